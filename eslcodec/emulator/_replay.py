"""The replay of a capture: its events and log lines, sent as they were, at full speed or at a rate."""

from __future__ import annotations

import gzip
import os
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from .._codec import FrameSplitter
from ._listener import Listener

FOREVER: Final = 1 << 62
"""More frames than there will ever be."""


class Recording:
    """The event and log frames of a capture, end to end, and where each of them ends."""

    def __init__(self, source: str | os.PathLike[str] | bytes) -> None:
        data = source if isinstance(source, bytes) else _read(Path(source))
        splitter = FrameSplitter(max_buffered=len(data) + 1)
        splitter.feed(data)
        frames = [
            block + (body or b"")
            for block, body in splitter
            if b"Content-Type: text/event-" in block or block.startswith(b"Content-Type: log/data\n")
        ]
        self.data = memoryview(b"".join(frames))
        self.ends: list[int] = []
        end = 0
        for frame in frames:
            end += len(frame)
            self.ends.append(end)
        if not frames:
            raise ValueError("the capture to replay has no event in it")


def _read(path: Path) -> bytes:
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes())
    if path.suffix == ".xz":
        import lzma  # not in every build of Python

        return lzma.decompress(path.read_bytes())
    return path.read_bytes()


@dataclass(frozen=True)
class Programme:
    """What is replayed to each connection, and how.

    Attributes:
        recording: what is sent.
        rate: frames a second; None is as fast as it goes.
        repeat: how often; None is for ever.
        lossless: it waits for the reader.
        then: what follows.
    """

    recording: Recording
    rate: float | None
    repeat: int | None
    lossless: bool
    then: Literal["stay", "close"]


class Replay:
    """What one connection gets of a recording: the frames that wait, as few ranges of frame numbers.

    Args:
        programme: what is replayed.
        listener: the connection, which counts what waits.

    Attributes:
        programme: what is replayed.
        on_demand: nothing waits or is lost: a frame happens when it is taken.
    """

    def __init__(self, programme: Programme, listener: Listener) -> None:
        self.programme = programme
        self.on_demand = programme.lossless and programme.rate is None
        self._listener = listener
        self._recording = programme.recording
        self._total = FOREVER if programme.repeat is None else len(self._recording.ends) * programme.repeat
        self._waiting: deque[tuple[int, int]] = deque()
        self.produced = 0
        if self.on_demand:
            self.produced = self._total
            self._waiting.append((0, self._total))

    @property
    def complete(self) -> bool:
        """Whether all of its frames have happened."""
        return self.produced == self._total

    @property
    def over(self) -> bool:
        """Whether all of its frames have happened and been taken."""
        return self.complete and not self._waiting

    def produce(self, count: int, room: int) -> None:
        """The next `count` frames happen; those that find no room are lost."""
        count = min(count, self._total - self.produced)
        kept = max(0, min(count, room))
        if kept:
            first = self.produced
            if self._waiting and self._waiting[-1][1] == first:
                first = self._waiting.pop()[0]
            self._waiting.append((first, self.produced + kept))
        self.produced += count
        self._listener.wait_elsewhere(kept)
        if count > kept:
            self._listener.lose(count - kept)

    def take(self, size: int) -> memoryview:
        """About so many bytes of what waits, whole frames, and one at least."""
        if not self._waiting:
            return memoryview(b"")
        first, last = self._waiting.popleft()
        ends = self._recording.ends
        at = first % len(ends)
        start = ends[at - 1] if at else 0
        count = max(1, min(bisect_right(ends, start + size, lo=at) - at, last - first))
        if first + count < last:
            self._waiting.appendleft((first + count, last))
        if not self.on_demand:
            self._listener.wait_elsewhere(-count)
        return self._recording.data[start : ends[at + count - 1]]

    def clear(self) -> None:
        """What waits is forgotten."""
        if not self.on_demand:
            self._listener.wait_elsewhere(-sum(last - first for first, last in self._waiting))
            self._waiting.clear()
