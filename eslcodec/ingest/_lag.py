"""How long events are on their way, with neither clock right.

An event says when the switch made it, by the switch's clock. Received minus that is the lag and what the clocks differ
by. The least of ten minutes is taken for the difference alone.
"""

from __future__ import annotations

from collections import deque
from typing import Final

MINUTES: Final = 10
"""The least of so many minutes is the difference of the clocks, so that a slow drift does no harm."""

JUMP: Final = 1.0
"""Seconds. Stamps go back by 0.2 s at most when events come out of order; a clock that is adjusted smoothly moves
slower than that. What is more is a jump."""

STEADY: Final = 0.25
STEADY_SECONDS: Final = 30.0
"""A lag that rose at once, and then stays the same to the first for the second, is a clock that jumped: what waits
in a queue gets more or less."""

RATE_SECONDS: Final = 1.0
"""Over how much of the switch's time its events are counted."""


class Lag:
    """The lag of one connection.

    Attributes:
        seconds: the lag of the last event that was looked at; None before.
        offset: our clock minus the switch's, and the shortest way; None before.
        rate: events that the switch sends a second.

    Example:
        >>> lag = Lag()
        >>> for stamp, now in [(100.0, 160.0), (101.0, 161.02), (102.0, 165.0)]:
        ...     lag.sample(stamp, now, count=int(stamp))
        >>> lag.offset, lag.seconds, lag.queue
        (60.0, 3.0, 3)
    """

    def __init__(self) -> None:
        self.seconds: float | None = None
        self.offset: float | None = None
        self.rate = 0.0
        self._raw = self._stamp = 0.0
        self._minutes: deque[list[float]] = deque()  # the minute, and the least of it
        self._counted: tuple[float, int] | None = None
        self._rose: list[float] | None = None  # when, the least and the most since

    @property
    def queue(self) -> int | None:
        """About how many events the switch has made that have not come."""
        return None if self.seconds is None else round(self.seconds * self.rate)

    def restart(self) -> None:
        """A clock jumped, or it is another switch."""
        self.seconds = self.offset = self._counted = self._rose = None
        self._minutes.clear()

    def sample(self, stamp: float, now: float, count: int) -> None:
        """An event came.

        Args:
            stamp: the seconds that it says.
            now: ours.
            count: of events until now.
        """
        raw = now - stamp
        if self.offset is not None and (
            raw < self.offset - JUMP or stamp < self._stamp - JUMP or self._stays_high(raw, now)
        ):
            self.restart()
        self._note_least(raw, now)
        self._note_rate(stamp, count)
        self._raw, self._stamp = raw, stamp
        assert self.offset is not None
        self.seconds = raw - self.offset

    def _stays_high(self, raw: float, now: float) -> bool:
        rose = self._rose
        if rose is None:
            if raw - self._raw > JUMP:
                self._rose = [now, raw, raw]
            return False
        since, least, most = rose[0], min(rose[1], raw), max(rose[2], raw)
        self._rose = [since, least, most] if most - least <= STEADY else None
        return self._rose is not None and now - since >= STEADY_SECONDS

    def _note_least(self, raw: float, now: float) -> None:
        minutes, minute = self._minutes, now // 60
        if minutes and minutes[-1][0] == minute:
            minutes[-1][1] = min(minutes[-1][1], raw)
        else:
            minutes.append([minute, raw])
            while minute - minutes[0][0] > MINUTES or minutes[0][0] > minute:
                minutes.popleft()
        self.offset = min(least for _, least in minutes)

    def _note_rate(self, stamp: float, count: int) -> None:
        if self._counted is None:
            self._counted = (stamp, count)
            return
        seconds = stamp - self._counted[0]
        if seconds >= RATE_SECONDS:
            rate = (count - self._counted[1]) / seconds
            self.rate = (self.rate + rate) / 2 if self.rate else rate
            self._counted = (stamp, count)
