"""Which numbers of a switch's events are missing, and when that is too much to be usual.

A switch gives a number (Event-Sequence) to each event when it begins to make it. Some of these are never sent: one for
each leg that is dialled, one for each look-up of a dialplan or of a user. Beside the 49 232 events of the recordings in
tests/data/captures 896 numbers are missing though nothing was lost. So a single one says nothing. What is left of them
without those that the events beside them explain: at most 2 in a row, and 13 of 200.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from typing import Final

RUN: Final = 3
"""As many missing in a row are unusual. Two at once were seen 17 times in the recordings."""

WINDOW: Final = 200
PER_WINDOW: Final = 20
"""More than so many of so many numbers are unusual."""

LATE_EVENTS: Final = 1024
LATE_SECONDS: Final = 1.0
"""When a missing number is judged: so many events, and so many seconds, after a later one came. The latest came 365
events or 199 ms late."""

HOLES: Final = 16_384
"""Runs of missing numbers that may wait for their time; the oldest are judged early beyond it."""

DRAWN: Final = 8192
"""Events remembered for which a number is drawn that no event has: as many as a busy switch sends in ten seconds."""

AFTER: Final = 2
"""How many numbers after a run they may come, besides twice its length: legs that are dialled at once draw their
numbers first, and then each has its CHANNEL_OUTGOING."""

EXPLAINED: Final = 2
"""One alone explains no run: it is beside every twentieth by chance."""


class Run:
    """Numbers missing in a row, `first` to `stop - 1`, since the event `count` at `now`."""

    __slots__ = ("count", "first", "now", "stop")

    def __init__(self, first: int, stop: int, count: int, now: float) -> None:
        self.first = first
        self.stop = stop
        self.count = count
        self.now = now

    def __len__(self) -> int:
        return self.stop - self.first

    def __str__(self) -> str:
        return str(self.first) if len(self) == 1 else f"{self.first} to {self.stop - 1}"


class Numbers:
    """The missing numbers of one run of one switch.

    Args:
        run: how many in a row are unusual.
        per_window: more than so many of 200 are unusual.

    Example:
        >>> numbers = Numbers()
        >>> numbers.jumped(100, 101, count=1, now=0.0)
        >>> numbers.jumped(107, 101, count=2, now=0.0)
        >>> numbers.late(103)
        True
        >>> [str(run) for run in numbers.judge(count=2000, now=2.0)]
        ['104 to 106']
    """

    def __init__(self, run: int = RUN, per_window: int = PER_WINDOW) -> None:
        self._run = run
        self._per_window = per_window
        self._waiting: list[Run] = []  # ascending
        self._window: deque[Run] = deque()  # of usual ones; ascending
        self._in_window = 0
        self._drawn: deque[int] = deque(maxlen=DRAWN)

    def jumped(self, number: int, expected: int, count: int, now: float) -> None:
        """`number` came where a lower one was expected."""
        if number > expected:
            self._waiting.append(Run(expected, number, count, now))

    def late(self, number: int) -> bool:
        """A number lower than another before it came. Returns whether it was missing."""
        waiting = self._waiting
        place = bisect_right(waiting, number, key=_first) - 1
        if place < 0 or number >= waiting[place].stop:
            return False
        run = waiting[place]
        left, right = Run(run.first, number, run.count, run.now), Run(number + 1, run.stop, run.count, run.now)
        waiting[place : place + 1] = [part for part in (left, right) if len(part)]
        return True

    def drawn(self, number: int) -> None:
        """This event is one of those for which another number was drawn that none has."""
        self._drawn.append(number)

    @property
    def missing(self) -> int:
        """How many are missing that may still come."""
        return sum(map(len, self._waiting))

    def forget(self) -> None:
        """Begin anew with the next number."""
        self._waiting.clear()
        self._window.clear()
        self._drawn.clear()
        self._in_window = 0

    def moved(self, seconds: float) -> None:
        """The clock jumped by so much."""
        for run in self._waiting:
            run.now += seconds

    def judge(self, count: int, now: float) -> list[Run]:
        """What is missing by now beyond the usual.

        Args:
            count: of events until now.
            now: the time.
        """
        found: list[Run] = []
        waiting, done = self._waiting, 0
        for run in waiting:
            due = count - run.count >= LATE_EVENTS and now - run.now >= LATE_SECONDS
            if not due and len(waiting) - done <= HOLES:
                break
            done += 1
            found += self._unusual(run)
        del waiting[:done]
        return found

    def _unusual(self, run: Run) -> list[Run]:
        size = len(run)
        if size >= self._run and self._explained(run.stop, 2 * size + AFTER) < max(size - self._run + 1, EXPLAINED):
            return [run]
        window = self._window
        window.append(run)
        self._in_window += len(run)
        while window[0].stop <= run.stop - WINDOW:
            self._in_window -= len(window.popleft())
        drawn = self._drawn  # in the order in which they came, nearly that of their numbers
        while drawn and drawn[0] < run.stop - WINDOW:
            drawn.popleft()
        if self._in_window <= self._per_window:
            return []
        if self._in_window - self._explained(run.stop - WINDOW, WINDOW + AFTER) <= self._per_window:
            return []
        found = list(window)
        window.clear()
        self._in_window = 0
        return found

    def _explained(self, first: int, size: int) -> int:
        """How many of these numbers are of events for which another was drawn."""
        return sum(first <= number < first + size for number in self._drawn)


def _first(run: Run) -> int:
    return run.first
