"""How long to wait before each attempt to connect again."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Backoff:
    """Longer and longer pauses, each cut short at random so that many clients do not come back at the same moment.

    Args:
        first: the first pause in seconds.
        factor: how much longer each next one is.
        longest: bound of a pause in seconds.
        jitter: the part of a pause that chance may take away, 0 to 1.
        attempts: how many before giving up, None for no end.

    Example:
        >>> list(Backoff(first=1, longest=3, jitter=0, attempts=4).delays())
        [1, 2.0, 3, 3]
    """

    first: float = 0.5
    factor: float = 2.0
    longest: float = 30.0
    jitter: float = 0.5
    attempts: int | None = None

    def __post_init__(self) -> None:
        if not (0 <= self.first <= self.longest and self.factor >= 1 and 0 <= self.jitter <= 1):
            raise ValueError(f"expected 0 <= first <= longest, factor >= 1 and jitter from 0 to 1, got {self}")

    def delays(self) -> Iterator[float]:
        """The pauses of one series of attempts, in seconds."""
        pause, number = self.first, 0
        while self.attempts is None or number < self.attempts:
            yield pause if not self.jitter else pause * (1 - self.jitter * random.random())
            pause, number = min(pause * self.factor, self.longest), number + 1
