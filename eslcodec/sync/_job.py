"""A background job, whose result comes as an event."""

from __future__ import annotations

import math

from ..connection import Wait
from ..events import JobResult
from ._link import Link


class Job:
    """A background job, from `Client.bgapi`.

    Attributes:
        uuid: its Job-UUID.

    Example:
        >>> from eslcodec import connect
        >>> from eslcodec.emulator import Emulator
        >>> with Emulator() as switch, connect("127.0.0.1", switch.port) as fs:
        ...     job = fs.bgapi("echo", "done")
        ...     job.result(timeout=5).text, job.done
        ('done', True)
    """

    def __init__(self, uuid: str, link: Link, wait: Wait[JobResult]) -> None:
        self.uuid = uuid
        self._link = link
        self._wait = wait

    def __repr__(self) -> str:
        return f"<Job {self.uuid}{' done' if self._wait.done else ''}>"

    @property
    def done(self) -> bool:
        """Whether `result` returns, or raises, at once. Takes in what has come from the switch, without waiting."""
        if not self._wait.done:
            self._link.look()
        return self._wait.done

    def result(self, timeout: float | None = None) -> JobResult:
        """What the command put out, once it has ended; any number of times, from any thread.

        Args:
            timeout: seconds to wait at most, None for as long as the connection lasts.

        Raises:
            CommandTimeout: it has not ended in time; ask again later.
            CommandError: the switch does not report the ends of jobs to us.
            EventQueueFull: nobody reads the events that stand before it.
            ConnectionClosed: the connection ended before it did; or the error that ended it.
        """
        return self._link.outcome(self._wait, math.inf if timeout is None else timeout)
