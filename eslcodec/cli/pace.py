"""How fast a recording grows, and how long the disk will do."""

from __future__ import annotations

import os
import shutil
from collections import deque
from pathlib import Path
from typing import Final

_WINDOW: Final = 3600.0  # seconds that a pace is an average of: a minute without calls says little of a day
_STEP: Final = 10.0  # seconds between two samples that are kept


class Pace:
    """A number that grows, and how fast, on average of the last hour at most.

    Example:
        >>> pace = Pace()
        >>> pace.note(100, 0)
        >>> pace.per_second is None
        True
        >>> pace.note(120, 500)
        >>> pace.per_second
        25.0
    """

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque()
        self._last = (0.0, 0.0)

    def note(self, now: float, number: float) -> None:
        """What it is by now.

        Args:
            now: seconds of a clock that does not jump.
            number: the number.
        """
        self._last = now, number
        if not self._samples or now - self._samples[-1][0] >= _STEP:
            self._samples.append(self._last)
        while now - self._samples[0][0] > _WINDOW:
            self._samples.popleft()

    @property
    def per_second(self) -> float | None:
        """Its growth a second; None if it is not known yet."""
        if not self._samples:
            return None
        (first, before), (last, after) = self._samples[0], self._last
        return (after - before) / (last - first) if last > first else None


def folder_bytes(folder: str) -> int:
    """Bytes of all files in a folder and below."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(root, name)).st_size
            except OSError:  # gone by now
                continue
    return total


def room(folder: str, min_free: float) -> int:
    """Bytes that may still be written to the disk of a folder.

    Args:
        folder: any on it, there or still to be made.
        min_free: the part of the disk that stays free.
    """
    there = Path(folder).absolute()
    while not there.exists():
        there = there.parent
    usage = shutil.disk_usage(there)
    return max(int(usage.free - min_free * usage.total), 0)


def seconds_left(
    room: float, per_second: float | None, kept: float, keep_seconds: float | None, keep_bytes: float | None
) -> float | None:
    """How long the disk will do at this pace.

    Args:
        room: bytes that may still be written.
        per_second: bytes a second that are.
        kept: bytes of recordings that are there.
        keep_seconds, keep_bytes: after which, and beyond which, old ones are removed.

    Returns:
        Seconds; None for ever, because nothing comes or the old ones go in time; or if the pace is not known.

    Example:
        >>> seconds_left(1000, 10, 0, None, None)
        100.0
        >>> seconds_left(1000, 10, 0, keep_seconds=50, keep_bytes=None) is None
        True
    """
    if not per_second:
        return None
    bounds = [bound for bound in (keep_bytes, keep_seconds and per_second * keep_seconds) if bound is not None]
    if bounds and min(bounds) - kept <= room:
        return None
    return room / per_second
