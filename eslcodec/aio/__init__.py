"""The asyncio client and server: `connect` to a switch, or `serve` the calls that it sends.

    >>> import asyncio
    >>> from eslcodec.emulator import Emulator
    >>> async def main(port):
    ...     async with connect("127.0.0.1", port) as fs:
    ...         print((await fs.api("status")).text.splitlines()[0][:2])
    ...         job = await fs.bgapi("version")
    ...         print((await job.result(timeout=5)).ok)
    >>> with Emulator() as switch:
    ...     asyncio.run(main(switch.port))
    UP
    True

`connection.Connection` decides what the protocol asks for; here are sockets, tasks and time. The names are those of
`eslcodec.sync`.

**Backpressure.** Messages wait in one bounded queue until somebody takes them: `events`, `messages`, `next_event`, or
`run` for handlers. At `queue_limit` messages, or `limits.EVENT_QUEUE_BYTES`, the socket is not read, and the switch
queues what comes. Before that endangers the switch we end the connection, with `ReaderTooSlow` (`limits.SWITCH_QUEUE`,
`limits.PAUSE_SECONDS`). With `when_full="drop"` the oldest message makes room, and `dropped` counts. While a command or
a job is waited for, reading goes on to `queue_hard_limit`: the reply comes after the events, and the task that waits
may be the one that should read them, since a handler may send commands. At the hard limit the wait ends with
`EventQueueFull`; the connection goes on once the queue is read.

**Cancellation.** A task that waits for a command, a job or an event may be cancelled. Only its own answer is lost,
which is passed over when it comes. Prefer the `timeout` of a method to `asyncio.wait_for`, which on Python 3.10 and
3.11 can lose what it was about to return.

**Event loop.** Everything here works on asyncio's own loop and on uvloop; `run(main())` takes uvloop if it is
installed.
"""

from __future__ import annotations

from .._tap import Tap
from ._call import Call
from ._client import Client
from ._connect import connect
from ._job import Job
from ._operator_verbs import UuidVerbs
from ._loop import run
from ._opening import Opening
from ._server import Server, serve

__all__ = ["Call", "Client", "Job", "Opening", "Server", "Tap", "UuidVerbs", "connect", "run", "serve"]
