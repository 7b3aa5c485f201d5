"""A background job, whose result comes as an event."""

from __future__ import annotations

import math

from ..connection import Wait
from ..events import JobResult
from ._link import Link


class Job:
    """A background job; see `Client.bgapi`.

    Attributes:
        uuid: its Job-UUID.

    Example:
        >>> import asyncio
        >>> from eslcodec import aio
        >>> from eslcodec.emulator import Emulator
        >>> async def main(port):
        ...     async with aio.connect("127.0.0.1", port) as fs:
        ...         job = await fs.bgapi("echo", "done")
        ...         return (await job.result(timeout=5)).text
        >>> with Emulator() as switch:
        ...     asyncio.run(main(switch.port))
        'done'
    """

    def __init__(self, uuid: str, link: Link, wait: Wait[JobResult]) -> None:
        self.uuid = uuid
        self._wait = wait
        self._link = link

    @property
    def done(self) -> bool:
        """Whether its result is there, or will never be."""
        return self._wait.done

    async def result(self, timeout: float | None = None) -> JobResult:
        """What the command put out, once it has ended; any number of times, for several tasks.

        Args:
            timeout: seconds to wait at most, None for as long as the connection lasts.

        Raises:
            CommandTimeout: it has not ended in time; ask again later.
            CommandError: the switch does not report the ends of jobs to us.
            EventQueueFull: nobody reads the events that stand before it.
            ConnectionClosed: the connection ended before it did; or the error that ended it.
        """
        return await self._link.outcome(self._wait, math.inf if timeout is None else timeout)

    def __repr__(self) -> str:
        return f"<Job {self.uuid} {'done' if self.done else 'running'}>"
