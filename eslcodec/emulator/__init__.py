"""An Event Socket server for tests and demos: a switch that answers as FreeSWITCH was seen to, without FreeSWITCH.

    >>> import socket
    >>> with Emulator() as switch:
    ...     switch.api["greet"] = lambda args: f"hello {args}"
    ...     with socket.create_connection((switch.host, switch.port)) as client:
    ...         client.sendall(b"auth ClueCon\\n\\napi greet world\\n\\n")
    ...         client.shutdown(socket.SHUT_WR)
    ...         received = b"".join(iter(lambda: client.recv(4096), b""))
    >>> print(received.decode())
    Content-Type: auth/request
    <BLANKLINE>
    Content-Type: command/reply
    Reply-Text: +OK accepted
    <BLANKLINE>
    Content-Type: api/response
    Content-Length: 11
    <BLANKLINE>
    hello world

It logs clients in, answers every command with the switch's own words, fires events, runs background jobs in any order,
replays captures, dials outbound servers and plays a call, and breaks connections on request (`Fault`). One thread of
its own serves all connections; every method may be called from any thread, from API functions and applications too.
It has an event loop of its own, a selector's, whichever the program uses: on Windows that serves some 500 connections.
"""

from __future__ import annotations

from ._core import QUEUE_LIMIT as QUEUE_LIMIT
from ._core import new_uuid as new_uuid
from ._endpoints import Endpoint as Endpoint
from ._faults import FREEZE_SECONDS as FREEZE_SECONDS
from ._faults import Fault
from ._listener import Listener
from ._listener import log_level as log_level
from ._model import SHUTDOWN as SHUTDOWN
from ._model import Api as Api
from ._model import Application as Application
from ._model import Job as Job
from ._model import Later, NotEmulated, Run, Session, User
from ._server import EmulatedCall, Emulator
from ._sockets import LOGIN_SECONDS as LOGIN_SECONDS
from ._switch import Switch as Switch

__all__ = ["EmulatedCall", "Emulator", "Endpoint", "Fault", "Later", "Listener", "NotEmulated", "Run", "Session", "User"]
