"""What is replayed: a short capture in memory, or a recording of any length that is read while it is sent."""

from __future__ import annotations

import io
import os
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from itertools import accumulate, islice
from typing import Final

from .._codec import FrameSplitter, Message
from .._retell import Retelling, shift_to
from ..events import Decoder, Event, LogLine
from ..recordings import Follower, Recording
from ..zst import NOTE, Chunk

MEMORY_BYTES: Final = 64 << 20
"""The longest capture that is kept in memory: what others replay again and again is shorter."""
_NOTHING: Final = "the capture to replay has no event in it"
_LOOK: Final = 10_000
"""Frames among which the first event with a time is looked for."""


class Loaded:
    """The event and log frames of a capture, end to end, and where each of them ends."""

    def __init__(self, data: bytes) -> None:
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
            raise ValueError(_NOTHING)


@dataclass(frozen=True)
class Changes:
    """What of a recording is replayed, and told otherwise.

    Attributes:
        since: from when on, in seconds since 1970; None is from the beginning.
        shift_to_now: all times move so that the first event is now.
        rename: the name of the switch; None leaves it.
        redact: what becomes of each message before that.
        clock: what is now.
    """

    since: float | None = None
    shift_to_now: bool = False
    rename: str | None = None
    redact: Callable[[Message], Message] | None = None
    clock: Callable[[], float] = time.time

    @property
    def any(self) -> bool:
        """Whether frames are not sent as they are, or not all of them."""
        return self.since is not None or self.shift_to_now or self.rename is not None or self.redact is not None


class Streamed:
    """A recording that is read anew for each connection, with the memory of some megabytes.

    Args:
        source: a path, or the bytes of a capture.
        changes: what is told otherwise.

    Raises:
        ValueError: there is no event in it.
    """

    def __init__(self, source: str | os.PathLike[str] | bytes, changes: Changes) -> None:
        self._source = source
        self._changes = changes
        self._salt = os.urandom(16)  # all connections are told of one switch
        if next(self.times(), None) is None:
            raise ValueError(_NOTHING)
        self._first = self._first_event() if changes.shift_to_now else None

    def times(self) -> Iterator[float]:
        """Of each frame when it was received, in seconds since 1970; of a capture without times, when it was fired."""
        for at, _ in self._frames(timed=True):
            yield at

    def frames(self) -> Iterator[bytes]:
        """Each frame, as it is sent."""
        change = self._change()
        for _, message in self._frames(timed=False):
            yield message.frame if change is None else change(message).frame

    def _change(self) -> Callable[[Message], Message] | None:
        changes = self._changes
        if not changes.shift_to_now and changes.rename is None:
            return changes.redact
        shift = timedelta(0)
        if self._first is not None:
            now = datetime.fromtimestamp(changes.clock(), timezone.utc)
            shift = shift_to(now, self._first) or shift
        retell = Retelling(shift, rename=changes.rename, salt=self._salt)
        redact = changes.redact
        return retell if redact is None else lambda message: retell(redact(message))

    def _first_event(self) -> Message | None:
        now = datetime.now(timezone.utc)
        for _, message in islice(self._frames(timed=False), _LOOK):
            if shift_to(now, message) is not None:
                return message
        return None

    def _frames(self, *, timed: bool) -> Iterator[tuple[float, Message]]:
        """Each event and line of the log, and when it came; 0 if that is not asked for."""
        since = self._changes.since
        last = 0.0
        for chunk, messages, follower in self._decoded():
            when = _Reads(chunk, follower) if chunk.connection and (timed or since is not None) else None
            for message in messages:
                if not isinstance(message, (Event, LogLine)):
                    continue
                if when is not None:
                    last = when.now()
                elif timed or since is not None:
                    last = max(last, _fired(message))
                if since is None or last >= since:
                    since = None
                    yield last, message

    def _decoded(self) -> Iterator[tuple[Chunk, Decoder, Follower]]:
        """Each chunk that completes messages; of those that ended before `since` only the last, from where
        a message begins in them."""
        follower = Follower()
        skipped: list[Chunk] = []
        begin = None if self._changes.since is None else self._changes.since * 1e9
        for chunk in self._recording().chunks(check=False):
            if chunk.kind == NOTE:
                continue
            if begin is not None and chunk.connection and chunk.end_ns < begin:
                skipped = [chunk] if chunk.first is not None else [*skipped, chunk]
                continue
            for each in (*skipped, chunk):
                messages = follower.take(each)
                if messages is not None:
                    yield each, messages, follower
            skipped = []

    def _recording(self) -> Recording:
        source = self._source
        return Recording(io.BytesIO(source) if isinstance(source, bytes) else source)


class _Reads:
    """When the messages of a chunk came."""

    def __init__(self, chunk: Chunk, follower: Follower) -> None:
        reads = chunk.reads or [(0, chunk.length)]
        self._chunk = chunk
        self._follower = follower
        self._ends = list(accumulate(size for _, size in reads))
        self._us = [us for us, _ in reads]

    def now(self) -> float:
        """When the message came that the decoder gave last, in seconds since 1970."""
        at = bisect_left(self._ends, self._follower.consumed - self._chunk.offset)
        us = self._us[min(at, len(self._us) - 1)]
        return (self._chunk.wall_ns + us * 1000) / 1e9


def _fired(message: Message) -> float:
    timestamp = message.timestamp if isinstance(message, Event) else None
    return 0.0 if timestamp is None else timestamp.timestamp()


def seconds_of(time: datetime | float | None) -> float | None:
    """A time as seconds since 1970."""
    if not isinstance(time, datetime):
        return time
    if time.tzinfo is None:
        raise ValueError(f"since is {time!r}, expected a datetime with a time zone")
    return time.timestamp()


def open_source(source: str | os.PathLike[str] | bytes, changes: Changes, *, timed: bool) -> Loaded | Streamed:
    """What is replayed.

    Args:
        source: a recording, or a capture, which are `eslcodec.Recording`'s paths; or the bytes of a capture.
        changes: what is told otherwise.
        timed: it is asked when each frame came.

    Raises:
        ValueError: there is no event in it.
        ProtocolError, RecordingError, OSError: it cannot be read; of a long one only its beginning is looked at.
    """
    if changes.any or timed:
        return Streamed(source, changes)
    data = source if isinstance(source, bytes) else _short(source)
    return Streamed(source, changes) if data is None or len(data) > MEMORY_BYTES else Loaded(data)


def _short(path: str | os.PathLike[str]) -> bytes | None:
    """A capture whole; None if it is long, or has times."""
    if os.path.isdir(path) or os.path.getsize(path) > MEMORY_BYTES:
        return None
    parts: list[bytes] = []
    size = 0
    for chunk in Recording(path).chunks():
        size += chunk.length
        if chunk.connection or chunk.kind == NOTE or size > MEMORY_BYTES:
            return None
        parts.append(chunk.data)
    return b"".join(parts)
