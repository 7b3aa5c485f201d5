"""What a switch that is recorded has brought so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .units import shown_size

RECORDING: Final = "recording"
"""The state of a switch whose events come."""


@dataclass(frozen=True)
class Numbers:
    """Sums, from the beginning on.

    Attributes:
        events, received: how many events and bytes.
        disk: bytes written.
        gaps: how often nothing was heard for a while.

    Example:
        >>> print(Numbers(1000, 5_000_000, 100_000, 1) + Numbers(1, 0, 0, 1))
        1,001 events, 4.8 MiB received, 97.7 KiB on disk (50 x smaller), 2 gaps
    """

    events: int = 0
    received: int = 0
    disk: int = 0
    gaps: int = 0

    def __str__(self) -> str:
        smaller = f" ({self.received / self.disk:.0f} x smaller)" if 0 < self.disk <= self.received else ""
        gaps = f"{self.gaps or 'no'} gap{'' if self.gaps == 1 else 's'}"
        sizes = f"{shown_size(self.received)} received, {shown_size(self.disk)} on disk{smaller}"
        return f"{self.events:,} events, {sizes}, {gaps}"

    def __add__(self, other: Numbers) -> Numbers:
        return Numbers(
            self.events + other.events,
            self.received + other.received,
            self.disk + other.disk,
            self.gaps + other.gaps,
        )
