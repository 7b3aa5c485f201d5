"""Recorded chunks as pieces that a reader of a stream is fed with: for columns and lines, which keep no messages.

What `recordings.Follower` is for messages: a reader goes on while chunks continue one another, and begins anew where
they do not. Chunks can be read in groups that stand for themselves, by several threads: a group goes on until its last
frame is whole.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from struct import iter_unpack
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from .. import limits
from .._address import address
from .._codec import HeadScanner
from ..errors import DamagedRecording, ESLError, RecordingError
from ..recordings import Recording, Span
from ..zst import NOTE, Chunk

if TYPE_CHECKING:
    from typing_extensions import Buffer

    Skip = Callable[[ESLError], None] | None
    """What is told of damage, so that it is passed over; None to raise it."""

GROUP_BYTES: Final = 4 << 20
"""What a thread reads at a time: about a thousand events."""

_FRAME_MOST: Final = limits.MAX_HEADER_BYTES + limits.MAX_BODY_BYTES
_PLAIN_BYTES: Final = 1 << 20


def skip_of(recording: Recording) -> Skip:
    """What a recording makes of damage: counts what is damaged in the file, as `Recording.messages` does."""
    if not recording._skips:
        return None

    def skip(error: ESLError) -> None:
        if isinstance(error, DamagedRecording):
            recording.damage.append(error)

    return skip


class Piece(NamedTuple):
    """Bytes of a stream.

    Attributes:
        begin: where in the stream of its connection, if another stream begins here; None if the last one goes on.
        data: the bytes.
        us: when they were received, in microseconds since 1970; None if it is not known, or nobody asks.
        wanted: whether what becomes whole by them was asked for.
    """

    begin: int | None
    data: Buffer
    us: int | None
    wanted: bool


class Part(NamedTuple):
    """A chunk, or as much of it as the frame needs that began before it."""

    chunk: Chunk
    until: int | None


class Pieces:
    """The pieces of chunks.

    Args:
        span: what was asked for.
        times: whether each read is to come with its time.
        skip: see `Skip`.
    """

    def __init__(self, span: Span, times: bool, skip: Skip) -> None:
        self._span = span
        self._times = times
        self._skip = skip
        self._next: tuple[int, int] | None = None  # the connection, and where the next chunk of it begins
        self._reads = False  # whether a frame has begun

    def of(self, part: Part) -> Iterator[Piece]:
        """The pieces of one chunk.

        Raises:
            DamagedRecording, RecordingError: it cannot be unpacked.
        """
        chunk, until = part
        try:
            view = memoryview(chunk.data)
        except DamagedRecording as error:
            if self._skip is None:
                raise
            if until is None:  # else it is told where the whole chunk is read
                self._skip(error)
            self._next = None
            return
        if (chunk.connection, chunk.offset) != self._next:
            self._reads = False
        self._next = chunk.connection, chunk.offset + chunk.length
        at, end = 0, chunk.length if until is None else until
        begin = None
        if not self._reads:
            if chunk.first is None:
                return
            self._reads = True
            at, begin = chunk.first, chunk.offset + chunk.first
        if self._span.covers(chunk) and not (self._times and chunk.connection):
            yield Piece(begin, view[at:end], None, True)
            return
        yield from self._by_reads(chunk, view, at, end, begin)

    def lose(self) -> None:
        """The stream cannot be read any further; the next chunk begins anew."""
        self._next = None

    def _by_reads(self, chunk: Chunk, view: memoryview, at: int, end: int, begin: int | None) -> Iterator[Piece]:
        """Piece by piece as it was received. Bytes that no read accounts for came with the last one."""
        us, stop = 0, 0
        wall_us = chunk.wall_ns // 1000
        for us, size in iter_unpack("<II", chunk.reads_bytes):
            stop = min(stop + size, end)
            if stop > at:
                yield Piece(begin, view[at:stop], wall_us + us, self._span.has(chunk.wall_ns + us * 1000))
                at, begin = stop, None
        if at < end:
            yield Piece(begin, view[at:end], wall_us + us, self._span.has(chunk.wall_ns + us * 1000))


def groups(chunks: Iterable[Chunk]) -> Iterator[deque[Part]]:
    """Chunks in groups that can be read each for itself; what is raised comes after the last whole chunk."""
    group: deque[Part] = deque()
    size, without = 0, 0  # bytes of the group; bytes since a frame began in it
    following: tuple[int, int] | None = None
    try:
        for chunk in chunks:
            if chunk.kind == NOTE:
                group.append(Part(chunk, None))
                continue
            continues = (chunk.connection, chunk.offset) == following
            following = chunk.connection, chunk.offset + chunk.length
            without = 0 if chunk.first is not None or not continues else without + chunk.length
            if size >= GROUP_BYTES and (chunk.first is not None or not continues):
                if continues and chunk.first:
                    group.append(Part(chunk, chunk.first))
                yield group
                group, size = deque(), 0
            if without <= _FRAME_MOST + chunk.length:  # else it cannot be framed any more, as will be found out
                group.append(Part(chunk, None))
                size += chunk.length
    except (ESLError, OSError):
        if group:
            yield group
        raise
    if group:
        yield group


class Switches:
    """Which switch each connection is of: as the notes of a recording say, host and port.

    Example:
        >>> Switches().name(Chunk.plain("", 0, b"")) is None
        True
    """

    def __init__(self) -> None:
        self._names: dict[int, str | None] = {}

    def see(self, chunk: Chunk) -> bool:
        """Look at a chunk, in order; whether it is one with received bytes."""
        if chunk.kind != NOTE:
            if chunk.connection and chunk.connection not in self._names:
                self._names[chunk.connection] = self._look_back(chunk)
            return True
        note = chunk.note or {}
        peer = note.get("peer") if note.get("note") in ("opened", "continued") else None
        if isinstance(peer, list) and len(peer) == 2 and isinstance(peer[0], str):
            self._names[chunk.connection] = address(peer[0], peer[1])
        return False

    def name(self, chunk: Chunk) -> str | None:
        return self._names.get(chunk.connection)

    def _look_back(self, chunk: Chunk) -> str | None:
        """What the notes before a chunk say, if it was begun in the middle of a file."""
        if not chunk.position or not chunk.path:
            return None
        before = Switches()
        before._names[chunk.connection] = None
        try:
            for each in Recording(chunk.path, damaged="skip").chunks(check=False):
                if each.position >= chunk.position:
                    break
                before.see(each)
        except (RecordingError, OSError):
            pass
        return before._names[chunk.connection]


def plain_chunks(data: Buffer) -> Iterator[Chunk]:
    """A stream in memory as chunks without times."""
    with memoryview(data) as whole, whole.cast("B") as view:
        for at in range(0, len(view), _PLAIN_BYTES):
            yield Chunk.plain("", at, bytes(view[at : at + _PLAIN_BYTES]))


def with_beginnings(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    """The same chunks; of a stream without times it is now known where frames begin in each."""
    scanner: Any = None
    for chunk in chunks:
        if not chunk.connection and chunk.kind != NOTE:
            if not chunk.offset or scanner is None:
                scanner = HeadScanner()
            chunk.first = scanner.scan(chunk.data)
        yield chunk
