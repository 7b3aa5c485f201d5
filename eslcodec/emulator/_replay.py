"""The replay of a recording: its events and log lines, at full speed, at a rate, or when they came."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from .._codec import Message
from ..errors import ESLError
from ..events import Decoder, Event, LogLine
from ._listener import Listener
from ._source import Loaded, Streamed

FOREVER: Final = 1 << 62
"""More frames than there will ever be."""


@dataclass(frozen=True)
class Programme:
    """What is replayed to each connection, and how.

    Attributes:
        source: what is sent.
        rate: frames a second; None is as fast as it goes.
        speed: how many times as fast as it came; None is as fast as it goes.
        repeat: how often; None is for ever.
        lossless: it waits for the reader.
        then: what follows.
        filtered: each connection gets what it subscribed to, in its format.
    """

    source: Loaded | Streamed
    rate: float | None
    speed: float | None
    repeat: int | None
    lossless: bool
    then: Literal["stay", "close"]
    filtered: bool = False

    def replay(self, listener: Listener) -> Replay:
        """What a connection gets of it."""
        source = self.source
        frames = LoadedFrames(source, self) if isinstance(source, Loaded) else StreamedFrames(source, self)
        return Replay(self, listener, frames)


class Replay:
    """What one connection gets of a recording: the frames that wait, as few ranges of frame numbers.

    Args:
        programme: what is replayed.
        listener: the connection, which counts what waits.
        frames: the frames.

    Attributes:
        programme: what is replayed.
        on_demand: nothing waits or is lost: a frame happens when it is taken.
        produced: how many frames have happened.
    """

    def __init__(self, programme: Programme, listener: Listener, frames: LoadedFrames | StreamedFrames) -> None:
        self.programme = programme
        self.on_demand = programme.lossless and programme.rate is None and programme.speed is None
        self._listener = listener
        self._frames = frames
        self._choice = _Choice(listener) if programme.filtered else None
        self._waiting: deque[tuple[int, int]] = deque()
        self._since: float | None = None
        self._begin = 0.0  # when, in the recording, what was produced since then began
        self.produced = 0
        if self.on_demand:
            self.produced = FOREVER
            self._waiting.append((0, FOREVER))

    @property
    def complete(self) -> bool:
        """Whether all of its frames have happened."""
        return self.on_demand or self._frames.all_happened

    @property
    def waiting(self) -> bool:
        """Whether there are frames to take."""
        return bool(self._waiting)

    @property
    def over(self) -> bool:
        """Whether all of its frames have happened and been taken."""
        return self.complete and not self._waiting

    def due(self, since: float, now: float, before: int, most: int) -> int:
        """How many frames are to happen now.

        Args:
            since: when the client began to listen.
            now: what time it is, by the same clock.
            before: how many had happened by then.
            most: so many at full speed, and at most of those that have to be read first: what is read is sent before
                more is read, or we would be the slow ones.
        """
        programme = self.programme
        if programme.rate is not None:
            count = before + int((now - since) * programme.rate) - self.produced
            return min(count, most) if isinstance(self._frames, StreamedFrames) else count
        if programme.speed is None:
            return most
        assert isinstance(self._frames, StreamedFrames)
        if since != self._since:
            self._since = since
            self._begin = self._frames.next_time()
        return self._frames.due(self._begin + (now - since) * programme.speed, most)

    def produce(self, count: int, room: int) -> None:
        """The next `count` frames happen; those that find no room are lost."""
        count = self._frames.happen(count)
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
        """About so many bytes of what waits, whole frames, and one at least; none of them may be wanted."""
        if not self._waiting:
            return memoryview(b"")
        first, last = self._waiting.popleft()
        data, count = self._frames.take(first, last, size)
        if count and first + count < last:
            self._waiting.appendleft((first + count, last))
        if not self.on_demand:
            self._listener.wait_elsewhere(-count)
        return data if self._choice is None else self._choice.of(data)

    def clear(self) -> None:
        """What waits is forgotten."""
        if not self.on_demand:
            self._listener.wait_elsewhere(-sum(last - first for first, last in self._waiting))
            self._waiting.clear()

    def close(self) -> None:
        """Nothing more is read."""
        self._frames.close()


class _Choice:
    """Of recorded frames, those that a connection asked for, in its format."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def of(self, data: memoryview) -> memoryview:
        """Those of them that are wanted."""
        decoder = Decoder(max_buffered=max(len(data), 1))
        decoder.feed(data)
        return memoryview(b"".join(map(self._frame, decoder)))

    def _frame(self, message: Message) -> bytes:
        listener = self._listener
        if isinstance(message, LogLine):
            wanted = listener.log_level is not None and (message.level or 0) <= listener.log_level
            return message.frame if wanted else b""
        if not isinstance(message, Event):
            return b""
        event = listener.switch.core.wrap(message)
        if not listener.wants(event):
            return b""
        same = message.content_type == f"text/event-{listener.format}"
        return message.frame if same else event.frame(listener.format)


class LoadedFrames:
    """The frames of a capture in memory, as often as they are replayed.

    Attributes:
        all_happened: whether there are no more to happen.
    """

    def __init__(self, loaded: Loaded, programme: Programme) -> None:
        self._loaded = loaded
        self._total = FOREVER if programme.repeat is None else len(loaded.ends) * programme.repeat
        self._happened = 0

    @property
    def all_happened(self) -> bool:
        return self._happened == self._total

    def happen(self, count: int) -> int:
        """So many more happen; give how many there were."""
        count = min(count, self._total - self._happened)
        self._happened += count
        return count

    def take(self, first: int, last: int, size: int) -> tuple[memoryview, int]:
        """Frames from a number on, before another one: about so many bytes, one at least, and how many they are."""
        last = min(last, self._total)
        if first >= last:
            return memoryview(b""), 0
        ends = self._loaded.ends
        at = first % len(ends)
        start = ends[at - 1] if at else 0
        count = max(1, min(bisect_right(ends, start + size, lo=at) - at, last - first))
        return self._loaded.data[start : ends[at + count - 1]], count

    def close(self) -> None:
        """Nothing more is read."""


class StreamedFrames:
    """The frames of a recording, read twice: once as they happen, once as they are taken.

    What happens need not be taken soon, and may be lost; so neither keeps the frames for the other.

    Attributes:
        all_happened: whether there are no more to happen.
    """

    def __init__(self, streamed: Streamed, programme: Programme) -> None:
        self._frames = _passes(streamed, programme.repeat)
        self._times = _times(streamed, programme.repeat)
        self._next: float | None = None  # when the frame came that happens next, if that was looked at
        self._due = 0  # how many were found due and have not happened yet
        self._taken = 0
        self._kept: bytes | None = None  # a frame that did not fit
        self._error: Exception | None = None  # what comes instead of the next frame
        self.all_happened = False

    def next_time(self) -> float:
        """When, in the recording, the frame came that happens next."""
        return self._look() or 0.0

    def _look(self) -> float | None:
        if self._next is None and not self.all_happened:
            self._next = next(self._times, None)
            self.all_happened = self._next is None
        return self._next

    def due(self, until: float, most: int) -> int:
        """How many frames came before a time."""
        while self._due < most and (at := self._look()) is not None and at <= until:
            self._next = None
            self._due += 1
        return self._due

    def happen(self, count: int) -> int:
        """So many more happen; give how many there were."""
        passed, self._due = min(self._due, count), max(self._due - count, 0)
        while passed < count and self._look() is not None:
            self._next = None
            passed += 1
        self._look()
        return passed

    def take(self, first: int, last: int, size: int) -> tuple[memoryview, int]:
        """Frames from a number on, before another one: about so many bytes, one at least, and how many they are."""
        while self._taken < first and self._get() is not None:
            pass
        parts: list[bytes] = []
        total = 0
        try:
            while self._taken < last and (frame := self._get()) is not None:
                if parts and total + len(frame) > size:
                    self._kept = frame
                    self._taken -= 1
                    break
                parts.append(frame)
                total += len(frame)
        except (ESLError, OSError) as error:
            if not parts:
                raise
            self._error = error  # first what is whole
        return memoryview(b"".join(parts)), len(parts)

    def _get(self) -> bytes | None:
        if self._error is not None:
            raise self._error
        frame, self._kept = self._kept, None
        if frame is None:
            frame = next(self._frames, None)
        self._taken += frame is not None
        return frame

    def close(self) -> None:
        """Nothing more is read."""
        self._frames = iter(())
        self._times = iter(())


def _passes(streamed: Streamed, repeat: int | None) -> Iterator[bytes]:
    """The frames of a recording, as often as they are replayed."""
    while repeat is None or repeat > 0:
        yield from streamed.frames()
        repeat = repeat if repeat is None else repeat - 1


def _times(streamed: Streamed, repeat: int | None) -> Iterator[float]:
    """When each of these came; a repeat follows at once, so time goes on."""
    base = 0.0
    while repeat is None or repeat > 0:
        first: float | None = None
        last = 0.0
        for at in streamed.times():
            first = at if first is None else first
            last = max(at, last)
            yield base + max(at - first, 0.0)
        base += last - (first or 0.0)
        repeat = repeat if repeat is None else repeat - 1
