"""How far a reader is behind its switch, and when that is too far. Without I/O and without a clock.

What waits in the switch cannot be seen from here. It is estimated: the rate of events while the socket was read, times
the seconds in which it was not read though something was in it.

    >>> flow = Flow(switch_queue_limit=1000, pause_limit=60)
    >>> for second in range(1, 11):
    ...     flow.note(second, received=100 * second, since=None)  # 100 events a second are read
    >>> flow.note(16, received=1000, since=10)  # then nothing is read for six seconds
    >>> flow.unread_seconds, flow.estimated, flow.is_half(), flow.is_over()
    (6, 600, True, False)
    >>> flow.note(21, received=1000, since=10)
    >>> flow.is_over()
    True
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sized
from dataclasses import dataclass
from typing import Any, Protocol

from . import limits
from .errors import ReaderTooSlow


@dataclass(frozen=True, slots=True)
class Stats:
    """Numbers of a client, over all its connections, as `stats()` of both clients gives them.

    Attributes:
        queued: messages that wait for a reader.
        queued_bytes: about how many bytes they are.
        dropped: messages that made room for newer ones (`when_full="drop"`).
        received_events: events received.
        received_bytes: bytes received.
        unread_seconds: how long the socket has not been read though something is in it; 0 while it is read.
        paused_seconds: the sum of such times.
        estimated: about how many events wait in the switch.
        reconnects: how often the connection was set up again.
        caretaker: whether something looks after the connection while nobody reads: the caretaker's thread, or the
            event loop.
        tap: of `connect(tap=)`: what its own `stats()` says, if it has that, and as "failed" why it was dropped, None
            while it is in use; None without a tap.

    Example:
        >>> from eslcodec import connect
        >>> from eslcodec.emulator import Emulator
        >>> with Emulator() as switch, connect(switch.host, switch.port) as fs:
        ...     stats = fs.stats()
        ...     stats.queued, stats.dropped, stats.received_events, stats.unread_seconds, stats.reconnects
        (0, 0, 0, 0.0, 0)
    """

    queued: int
    queued_bytes: int
    dropped: int
    received_events: int
    received_bytes: int
    unread_seconds: float
    paused_seconds: float
    estimated: int
    reconnects: int
    caretaker: bool
    tap: dict[str, Any] | None = None

    def __getitem__(self, name: str) -> Any:
        """The number of this name: `stats["queued"]` is `stats.queued`."""
        if name not in self.__slots__:
            raise KeyError(name)
        return getattr(self, name)


class _Counted(Protocol):
    """What `Totals` asks a connection for."""

    dropped: int
    received_events: int
    flow: Flow

    @property
    def queue(self) -> _Queued: ...

    @property
    def received_bytes(self) -> int: ...


class _Queued(Sized, Protocol):
    """What `Totals` asks its queue for."""

    @property
    def size(self) -> int: ...


class Totals:
    """Sums over the connections of a client that are gone.

    Attributes:
        dropped: messages dropped.

    Example:
        >>> from eslcodec.connection import Connection
        >>> totals = Totals()
        >>> totals.add(Connection.inbound("ClueCon"))
        >>> totals.stats(Connection.inbound("ClueCon"), caretaker=True).reconnects
        1
    """

    def __init__(self) -> None:
        self.dropped = 0
        self._events = self._bytes = self._reconnects = 0
        self._paused = 0.0

    def add(self, gone: _Counted) -> None:
        """A connection is replaced by another."""
        self.dropped += gone.dropped
        self._events += gone.received_events
        self._bytes += gone.received_bytes
        self._paused += gone.flow.paused_seconds
        self._reconnects += 1

    def stats(self, connection: _Counted, *, caretaker: bool, tap: dict[str, Any] | None = None) -> Stats:
        """All of it, with the connection that is there."""
        flow = connection.flow
        return Stats(
            queued=len(connection.queue),
            queued_bytes=connection.queue.size,
            dropped=self.dropped + connection.dropped,
            received_events=self._events + connection.received_events,
            received_bytes=self._bytes + connection.received_bytes,
            unread_seconds=flow.unread_seconds,
            paused_seconds=self._paused + flow.paused_seconds,
            estimated=flow.estimated,
            reconnects=self._reconnects,
            caretaker=caretaker,
            tap=tap,
        )


class Flow:
    """What one connection receives, and how long it was left unread.

    Args:
        switch_queue_limit: events that may wait in the switch, by estimate; None is no limit.
        pause_limit: seconds that it may stay unread though something is in it; None is no limit.

    Attributes:
        unread_seconds: how long it has been unread by now; 0 while it is read.
        paused_seconds: the sum of such times.
        estimated: about how many events wait in the switch.

    Raises:
        ValueError: a limit is not more than 0.
    """

    def __init__(
        self, switch_queue_limit: int | None = limits.SWITCH_QUEUE, pause_limit: float | None = limits.PAUSE_SECONDS
    ) -> None:
        if switch_queue_limit is not None and not switch_queue_limit > 0:
            raise ValueError(f"switch_queue_limit is {switch_queue_limit!r}, expected more than 0, or None")
        if pause_limit is not None and not pause_limit > 0:
            raise ValueError(f"pause_limit is {pause_limit!r}, expected more than 0 seconds, or None")
        self.limits = switch_queue_limit, pause_limit
        self.unread_seconds = 0.0
        self.paused_seconds = 0.0
        self.estimated = 0
        self._at: float | None = None  # of the last note
        self._received = 0  # events by then
        self._samples: deque[tuple[float, int]] = deque()  # seconds of reading, and events in them
        self._seconds = 0.0  # of all samples
        self._events = 0
        self._warned = False  # about the time that it is unread by now

    @property
    def look_again(self) -> float:
        """Seconds until the next note at the latest: often enough for the limits."""
        pause = self.limits[1]
        return limits.CARETAKER_SECONDS if pause is None else min(limits.CARETAKER_SECONDS, pause / 4)

    def note(self, now: float, received: int, since: float | None) -> None:
        """Note how things stand.

        Args:
            now: the time, in seconds of any clock.
            received: events received so far.
            since: when the socket was read last, if something is in it now and nobody reads it; else None.
        """
        if self._at is None:
            self._at, self._received = now, received
        before = self._at
        read_until = now if since is None else min(max(since, before), now)
        self._sample(read_until - before, received - self._received)
        self._at, self._received = now, received
        if since is None:
            self.unread_seconds, self.estimated = 0.0, 0
            self._warned = False
            return
        self.paused_seconds += now - read_until
        self.unread_seconds = now - since
        self.estimated = round(self._rate() * self.unread_seconds)

    def is_over(self) -> bool:
        """Whether it is too far behind."""
        return self._reaches(1)

    def is_half(self) -> bool:
        """Whether it is half as far behind as it may be, at least."""
        return self._reaches(0.5)

    def error(self, last_event: object) -> ReaderTooSlow:
        """The error for a connection that ends since it is too far behind; `last_event` is what it received last."""
        return ReaderTooSlow(self.unread_seconds, self.estimated, self.limits, last_event)

    def warning(self) -> str | None:
        """A warning for the log, once, when it is half as far behind as it may be."""
        if self._warned or not self.is_half():
            return None
        self._warned = True
        return (
            f"events have not been read for {self.unread_seconds:.1f} s, and about {self.estimated} wait in the "
            "switch: at twice as much the connection ends"
        )

    def _reaches(self, part: float) -> bool:
        if not self.unread_seconds:
            return False
        queue, pause = self.limits
        return (queue is not None and self.estimated > part * queue) or (
            pause is not None and self.unread_seconds > part * pause
        )

    def _rate(self) -> float:
        return self._events / max(self._seconds, limits.RATE_LEAST_SECONDS)

    def _sample(self, seconds: float, events: int) -> None:
        if seconds <= 0 and not events:
            return
        self._samples.append((seconds, events))
        self._seconds += seconds
        self._events += events
        while len(self._samples) > 1 and self._seconds - self._samples[0][0] >= limits.RATE_SECONDS:
            gone, fewer = self._samples.popleft()
            self._seconds -= gone
            self._events -= fewer
