"""What waits for one connection of an emulated switch, and what was lost because too much waited."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

MAX_LOST: Final = 500
"""A connection that has lost more events, or log lines, than this in a row is killed."""

_T = TypeVar("_T")


class WaitingQueue(Generic[_T]):
    """Events, or log lines, that wait for one connection.

    What a switch gave at once, since it had stood still, does not count as waiting.

    Args:
        limit: so many wait at most.

    Attributes:
        lost: how many were lost in a row.
        elsewhere: how many of those that wait do so elsewhere, in a replay.

    Example:
        >>> queue = WaitingQueue(2)
        >>> [queue.offer(number) for number in range(4)], queue.lost, queue.take()
        ([True, True, False, False], 2, 0)
    """

    def __init__(self, limit: int) -> None:
        self.lost = 0
        self._limit = limit
        self._items: deque[_T] = deque()
        self._spare = 0
        self.elsewhere = 0

    def __len__(self) -> int:
        """How many wait, those elsewhere too."""
        return len(self._items) + self.elsewhere

    def offer(self, item: _T, *, spare: bool = False) -> bool:
        """Have one more wait, unless it is lost.

        Args:
            item: what is to wait.
            spare: it does not count as waiting.
        """
        if spare:
            self._spare += 1
        elif len(self) - self._spare >= self._limit:
            self.lose(1)
            return False
        self._items.append(item)
        self.lost = 0
        return True

    def put(self, item: _T) -> None:
        """Have one more wait that is never lost."""
        self._items.append(item)

    def lose(self, count: int) -> None:
        """So many found no room."""
        self.lost += count

    @property
    def deadly(self) -> bool:
        """Whether so much is lost that the connection is killed."""
        return self.lost > MAX_LOST

    def wait_elsewhere(self, count: int) -> None:
        """So many more wait elsewhere; less if it is below 0."""
        self.elsewhere += count
        if count > 0:
            self.lost = 0

    def take(self) -> _T | None:
        """The one that has waited longest here; None if none does."""
        if not self._items:
            return None
        item = self._items.popleft()
        self._spare = min(self._spare, len(self._items))
        return item

    def keep(self, wanted: Callable[[_T], bool]) -> None:
        """Forget what waits here, except what is wanted."""
        self._items = deque(filter(wanted, self._items))
        self._spare = 0
