"""Blocking Event Socket: `connect` to a switch, or `serve` the calls that it sends.

    >>> from eslcodec.emulator import Emulator
    >>> with Emulator() as switch, connect("127.0.0.1", switch.port) as fs:
    ...     fs.api("status").text[:2], fs.bgapi("version").result(timeout=5).ok
    ('UP', True)

A thread that waits for a reply, a job or an event reads the socket. The first to wait reads for all: it wakes those
whose reply or event came, and passes the reading on once it has its own. Between waits, once events were asked for, a
caretaker does it: one thread for the whole process, which reads into the queue when nobody else has for two seconds,
and ends a connection that is left unread so long that the switch would be endangered (`ReaderTooSlow`). It runs no
handler. Without it (`caretaker=False`, or ESLCODEC_CARETAKER=0) what is not read piles up in the kernel and then in the
switch, which queues 100 000 events and then kills the connection, holding up all its others for as long as it takes.

Any number of threads may use a client: commands go out whole, in the order in which they were asked for, and each event
goes to exactly one of the threads that read events. Under gevent's monkey patching threads are greenlets and all of
this holds. Sending never waits for the switch to read: what it does not take goes out while we wait and read.

Every decision about the protocol is made in `connection.Connection`; here are sockets, threads and time.
"""

from __future__ import annotations

from .._options import ExecuteOptions
from .._tap import Tap
from ._call import Call
from ._client import Client
from ._connect import connect
from ._job import Job
from ._operator_verbs import UuidVerbs
from ._server import Server, serve

__all__ = ["Call", "Client", "ExecuteOptions", "Job", "Server", "Tap", "UuidVerbs", "connect", "serve"]
