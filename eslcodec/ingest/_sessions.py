"""How many calls a switch says that it began, against how many began in the stream.

Each HEARTBEAT has `Session-Since-Startup`. A session is counted when it is made, and its CHANNEL_CREATE is sent when it
starts: later, for a leg of a fork that is delayed, or never. So one interval says little, and the sum over several is
judged. In the recordings of tests/data/captures it never went beyond 1 (docs/guides/losses.md).
"""

from __future__ import annotations

from typing import Final, NamedTuple

TOLERANCE: Final = 2
"""So many CHANNEL_CREATE may be due: twice the most that was seen."""

DUE_SHARE: Final = 0.05
"""And so many of the last interval's sessions more: 1 of 22 was due when a recording had its delayed legs."""

NEVER_SHARE: Final = 0.01
"""And so many of all more: legs that never start were 1 of 306."""


KEPT: Final = 1000
"""Numbers above that of a HEARTBEAT which came before it. A switch sends a few; who sends events of his own, any."""


class Missing(NamedTuple):
    """What is missing between two HEARTBEATs, by their numbers."""

    creates: int
    sessions: int
    first: int
    last: int


class Sessions:
    """The sum of both counts, from HEARTBEAT to HEARTBEAT.

    Example:
        >>> sessions = Sessions()
        >>> sessions.heartbeat(10, 500)
        >>> for number in (11, 14, 17):
        ...     sessions.create(number)
        >>> sessions.heartbeat(20, 503), sessions.heartbeat(30, 513)
        (None, Missing(creates=10, sessions=10, first=20, last=30))
    """

    def __init__(self) -> None:
        self._began: list[int] = []  # numbers since the last HEARTBEAT
        self._last: tuple[int, int] | None = None  # its number, and its count
        self._seen = False
        self._clear(0)

    def _clear(self, number: int) -> None:
        self._since = number
        self._excess = 0.0
        self._due = self._sessions = 0

    def create(self, number: int) -> None:
        """A session began: a CHANNEL_CREATE, or the hang-up of a leg that never started."""
        self._began.append(number)
        self._seen = True

    def heartbeat(self, number: int, sessions: int) -> Missing | None:
        """A HEARTBEAT with its number and `Session-Since-Startup`.

        Returns:
            What is missing beyond the tolerance; it is not told again.
        """
        last = self._last
        self._last = (number, sessions)
        began = sum(create < number for create in self._began)
        self._began = [create for create in self._began[-KEPT:] if create > number]
        if last is None or not self._seen or sessions < last[1] or number < last[0]:
            self._clear(number)
            return None
        made = sessions - last[1]
        self._due += made - began
        self._sessions += made
        self._excess += made - began - NEVER_SHARE * made
        if self._excess <= 0:
            self._clear(number)
        if self._excess <= TOLERANCE + DUE_SHARE * made:
            return None
        missing = Missing(self._due, self._sessions, self._since, number)
        self._clear(number)
        return missing
