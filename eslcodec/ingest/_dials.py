"""At most so many attempts to connect a second, over a whole fleet. Without I/O but for the waiting itself."""

from __future__ import annotations

import asyncio
from collections import deque


class Dials:
    """Gives out the moments at which may be dialled, in the order in which they are asked for.

    In no second there are more than `per_second`; of less than 1 the pause between two is what follows from it.

    Args:
        per_second: how many; `math.inf` is no bound.

    Raises:
        ValueError: it is not more than 0.

    Example:
        >>> dials = Dials(2)
        >>> [dials.reserve(now=100.0) for _ in range(5)], dials.reserve(now=101.5)
        ([0.0, 0.0, 1.0, 1.0, 2.0], 0.5)
    """

    def __init__(self, per_second: float) -> None:
        if not per_second > 0:
            raise ValueError(f"dials_per_second is {per_second!r}, expected more than 0")
        self._seconds = max(1.0, 1 / per_second)
        self._waits = asyncio.Lock()  # first come, first served
        self._last: deque[float] | None = None
        if per_second < float("inf"):
            self._last = deque(maxlen=max(1, int(per_second)))

    def reserve(self, now: float) -> float:
        """Take the next moment: how many seconds it is away."""
        seconds = self._away(now)
        if self._last is not None:
            self._last.append(now + seconds)
        return seconds

    def _away(self, now: float) -> float:
        """How many seconds the next moment is away."""
        last = self._last
        if not last:
            return 0.0
        at = max(now, last[-1])
        if len(last) == last.maxlen:
            at = max(at, last[0] + self._seconds)
        return at - now

    async def turn(self) -> None:
        """Wait until it is our turn to dial. Who gives up meanwhile has taken no moment from those behind."""
        async with self._waits:
            now = asyncio.get_running_loop().time
            seconds = self._away(now())
            if seconds > 0:
                await asyncio.sleep(seconds)
            self.reserve(now())
