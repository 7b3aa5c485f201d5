"""The container of recorded streams: `.esl.zst`, a Zstandard file with times (docs/recording-format.md).

`zstd -dc` gives exactly the bytes that were received. Each chunk of them is one frame; the skippable frame before it,
which Zstandard's readers pass over, says of which connection they are, where they stand in its stream, and when they
came. A skippable frame alone is a note. A file that was closed ends with a seek table as the official seekable format
has it.

Nothing is believed: what comes out has the right checksum, or `DamagedRecording` is raised. A Zstandard library is
loaded when a frame needs one; frames of raw blocks, which `Compressor` writes without a library, need none.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Literal, NamedTuple

from . import limits
from ._codec import crc32
from ._window import Window
from ._zstd import BLOCK_HEAD_BYTES, FRAME_BYTES_MIN, RAW, RLE, Compressor, Fault, block_head, frame_head, unpack_frame
from .errors import DamagedRecording, RecordingError

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = [
    "NOTE",
    "STREAM",
    "Chunk",
    "ChunkReader",
    "Compressor",
    "Sent",
    "pack_note",
    "pack_stream",
    "read_chunks",
    "seek_table",
]

VERSION: Final = 1
STREAM: Final = 0
"""The kind of a chunk that has received bytes."""

NOTE: Final = 2
"""The kind of one that says something of the recording."""

NO_FRAME: Final = 0xFFFFFFFF
"""`first` of a chunk in which no frame of the protocol begins, or it is not known where."""

CHUNK_MAGIC: Final = 0x184D2A5C
TABLE_MAGIC: Final = 0x184D2A5E
SEEKABLE_MAGIC: Final = 0x8F92EAB1
MAGIC: Final = b"ESLR"

_SKIPPABLE: Final = struct.Struct("<II")  # magic, bytes that follow
_SEALED: Final = struct.Struct("<4sI")  # magic, crc32 of what follows
_HEAD: Final = struct.Struct("<BBHQQQQIIIII")
_READ: Final = struct.Struct("<II")
_SEND: Final = struct.Struct("<III")
_FOOTER: Final = struct.Struct("<IBI")  # frames, descriptor, magic
_CONNECTION_AT: Final = _SKIPPABLE.size + _SEALED.size + 4
_HEAD_BYTES: Final = _SEALED.size + _HEAD.size


# Writing


def pack_stream(
    compressor: Compressor,
    *,
    connection: int,
    offset: int,
    wall_ns: int,
    mono_ns: int,
    first: int | None,
    reads: Buffer,
    sends: Sequence[tuple[int, int, bytes]],
    data: Buffer,
) -> tuple[bytes, bytes]:
    """A chunk of received bytes.

    Args:
        compressor: makes its second part.
        connection: which one, a random number of 64 bits.
        offset: how many bytes of the connection came before.
        wall_ns, mono_ns: when it begins, in ns since 1970 and of the monotonic clock.
        first: where in `data` the first frame of the protocol begins; None if none does, or it is not known.
        reads: for each read (microseconds since the beginning, bytes), packed as `<II`.
        sends: for each thing that was sent meanwhile (microseconds, received bytes of this chunk before it, bytes).
        data: what was received.

    Returns:
        The skippable frame and the Zstandard frame, to be written one after the other.

    Example:
        >>> head, frame = pack_stream(Compressor(0), connection=7, offset=0, wall_ns=10**18, mono_ns=5, first=0,
        ...     reads=struct.pack("<II", 0, 5), sends=[], data=b"hello")
        >>> len(head), len(frame)
        (80, 17)
    """
    with memoryview(data) as view:
        length = view.nbytes
        tables = [bytes(reads), *(_SEND.pack(us, at, len(sent)) for us, at, sent in sends), *(x[2] for x in sends)]
        counts = length, NO_FRAME if first is None else first, len(tables[0]) // _READ.size, len(sends), 0
        head = _packed(STREAM, (connection, offset, wall_ns, mono_ns), counts, b"".join(tables), view)
        return head, compressor.frame(view)


def pack_note(*, connection: int, offset: int, wall_ns: int, mono_ns: int, note: dict[str, Any]) -> bytes:
    """A chunk that says something of the recording itself: what its key "note" says.

    Args:
        connection, offset, wall_ns, mono_ns: as for `pack_stream`.
        note: what is said; becomes JSON.

    Example:
        >>> import io
        >>> packed = pack_note(connection=7, offset=5, wall_ns=10**18, mono_ns=9, note={"note": "closed", "why": "end"})
        >>> [chunk] = read_chunks(io.BytesIO(packed))
        >>> chunk.note
        {'note': 'closed', 'why': 'end'}
    """
    text = json.dumps(note, ensure_ascii=False).encode("utf-8", "replace")
    return _packed(NOTE, (connection, offset, wall_ns, mono_ns), (0, NO_FRAME, 0, 0, len(text)), text, b"")


def _packed(
    kind: int, when: tuple[int, int, int, int], counts: tuple[int, int, int, int, int], tables: bytes, data: Buffer
) -> bytes:
    sealed = _HEAD.pack(VERSION, kind, 0, *when, *counts) + tables
    crc = crc32(data, crc32(sealed))
    return _SKIPPABLE.pack(CHUNK_MAGIC, _SEALED.size + len(sealed)) + _SEALED.pack(MAGIC, crc) + sealed


def seek_table(sizes: Iterable[tuple[int, int]]) -> bytes:
    """The seek table of a file, which ends it.

    Args:
        sizes: of each frame in the file, skippable ones too: its bytes in the file, and those of its content.

    Example:
        >>> table = seek_table([(80, 0), (22, 5)])
        >>> len(table), table[-9:].hex(" ")
        (33, '02 00 00 00 00 b1 ea 92 8f')
    """
    entries = b"".join(_READ.pack(*size) for size in sizes)
    footer = _FOOTER.pack(len(entries) // _READ.size, 0, SEEKABLE_MAGIC)
    return _SKIPPABLE.pack(TABLE_MAGIC, len(entries) + len(footer)) + entries + footer


# Reading


class Sent(NamedTuple):
    """What was sent while a chunk was received.

    Attributes:
        us: when, in microseconds since the chunk's beginning.
        at: how many received bytes of the chunk came before it.
        data: the bytes, passwords masked.

    Example:
        >>> Sent(us=250, at=28, data=b"auth ******\\n\\n").at
        28
    """

    us: int
    at: int
    data: bytes


class Chunk:
    """A piece of a recorded stream, or a note.

    What the attributes say is checked when `data` is first asked for: the checksum is of both.

    Attributes:
        kind: `STREAM` or `NOTE`.
        connection: of which connection, a random number; 0 of a stream that was recorded without times.
        offset: how many bytes of the connection were received before.
        wall_ns, mono_ns: when it begins, in ns since 1970 and of the monotonic clock; 0 if it is not known.
        length: how many bytes were received.
        first: where in `data` the first frame of the protocol begins; None if none does, or it is not known.
        path, position: the file, and where in it the chunk begins.
        stored: how many bytes it takes there.

    Example:
        >>> chunk = Chunk.plain("day.esl", 0, b"Content-Type: auth/request\\n\\n")
        >>> chunk.kind == STREAM, chunk.length, chunk.data[:12]
        (True, 28, b'Content-Type')
    """

    __slots__ = (
        "_counts",
        "_crc",
        "_data",
        "_frame",
        "_note",
        "_sealed",
        "connection",
        "first",
        "kind",
        "length",
        "mono_ns",
        "offset",
        "path",
        "position",
        "stored",
        "wall_ns",
    )

    def __init__(self, path: str, position: int, kind: int, when: tuple[int, int, int, int], length: int) -> None:
        self.path = path
        self.position = position
        self.kind = kind
        self.connection, self.offset, self.wall_ns, self.mono_ns = when
        self.length = length
        self.first: int | None = None
        self.stored = 0
        self._sealed = b""
        self._counts = 0, 0, 0
        self._crc = 0
        self._frame: bytes | None = None
        self._data: bytes | None = None
        self._note: dict[str, Any] | None = None

    @classmethod
    def plain(cls, path: str, offset: int, data: bytes) -> Chunk:
        """A piece of a stream that was recorded without times."""
        chunk = cls(path, offset, STREAM, (0, offset, 0, 0), len(data))
        chunk.first = 0 if offset == 0 else None
        chunk.stored = len(data)
        chunk._data = data
        return chunk

    @property
    def data(self) -> bytes:
        """What was received. Any thread may ask for it.

        Raises:
            DamagedRecording: it is not what the checksum says.
            RecordingError: it needs a Zstandard library.
            ValueError: it was not read (`read_chunks(data=False)`).
        """
        data, frame = self._data, self._frame
        if data is None and frame is None:
            data = self._data  # another thread had both just now
            if data is None:
                raise ValueError("only the heads of the chunks were read")
        if data is None:
            assert frame is not None
            try:
                data = self._data = self._unpacked(frame)
            except Fault as fault:
                raise DamagedRecording(self.path, self.position, str(fault)) from None
            self._frame = None
        return data

    def _unpacked(self, frame: bytes) -> bytes:
        data = unpack_frame(frame, self.length, self.path) if self.kind == STREAM else b""
        crc = crc32(data, crc32(self._sealed))
        if crc != self._crc:
            raise Fault(f"read bytes with checksum {crc:08x}, expected {self._crc:08x}")
        return data

    @property
    def reads(self) -> list[tuple[int, int]]:
        """Of each read: microseconds since the chunk's beginning, and bytes."""
        return list(_READ.iter_unpack(self.reads_bytes))

    @property
    def reads_bytes(self) -> bytes:
        """The same as it is stored: `<II` for each."""
        return self._sealed[_HEAD.size : _HEAD.size + self._counts[0] * _READ.size]

    @property
    def sends(self) -> list[Sent]:
        """What was sent meanwhile."""
        reads, sends, _ = self._counts
        table = _HEAD.size + reads * _READ.size
        at = table + sends * _SEND.size
        sent = []
        for us, before, size in _SEND.iter_unpack(self._sealed[table:at]):
            sent.append(Sent(us, before, self._sealed[at : at + size]))
            at += size
        return sent

    @property
    def note(self) -> dict[str, Any] | None:
        """What a note says."""
        return self._note

    @property
    def end_ns(self) -> int:
        """When the last of it came, in ns since 1970."""
        us = self._last_us(0, _READ, self._counts[0])
        sent_us = self._last_us(self._counts[0] * _READ.size, _SEND, self._counts[1])
        return self.wall_ns + max(us, sent_us) * 1000

    def _last_us(self, table: int, entry: struct.Struct, count: int) -> int:
        if not count:
            return 0
        us: int = entry.unpack_from(self._sealed, _HEAD.size + table + (count - 1) * entry.size)[0]
        return us

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """What the seek table says of it: for each of its frames the bytes in the file, and of the content."""
        head = _SKIPPABLE.size + _SEALED.size + len(self._sealed)
        return [(head, 0)] if self.kind == NOTE else [(head, 0), (self.stored - head, self.length)]

    def __repr__(self) -> str:
        kind = "note" if self.kind == NOTE else "stream"
        return f"<Chunk {kind} {self.connection:016x} {self.offset}+{self.length}>"


def _read_note(chunk: Chunk) -> None:
    chunk._data = chunk._unpacked(b"")
    try:
        note = json.loads(chunk._sealed[-chunk._counts[2] :])
    except (ValueError, RecursionError) as error:
        raise Fault(f"read a note that is no JSON ({error})") from None
    if not isinstance(note, dict):
        raise Fault(f"read a note that is a {type(note).__name__}, expected an object")
    chunk._note = note


_BEGINNING: Final = re.compile(rb"\x5c\x2a\x4d\x18....ESLR....\x01[\x00\x02]\x00\x00|\x5e\x2a\x4d\x18", re.DOTALL)
_BEGINNING_BYTES: Final = 20
_LOOKED_BYTES: Final = 256 << 20  # beside 16 times the file: more is no accident, and would take for ever


class ChunkReader:
    """The chunks of a file, in order: see `read_chunks`.

    Attributes:
        closed: whether the file ends with a seek table, as a recorder leaves it that was closed.
        torn: how many bytes at the end of the file are no whole chunk: the recorder was killed.
        damage: what was passed over (`damaged="skip"`).

    Example:
        >>> import io
        >>> reader = read_chunks(io.BytesIO(seek_table([])))
        >>> list(reader), reader.closed
        ([], True)
    """

    def __init__(
        self,
        file: BinaryIO,
        path: str,
        damaged: Literal["raise", "skip"],
        data: bool | Callable[[Chunk], bool],
        check: bool,
    ) -> None:
        self.closed = False
        self.torn = 0
        self.damage: list[DamagedRecording] = []
        self._window = Window(file)
        self._path = path
        self._skips = damaged == "skip"
        self._wants: Callable[[Chunk], bool] | None = data if callable(data) else None
        self._wants_data = bool(data)
        self._checks = check
        self._connections: set[int] = set()
        self._listed: set[int] | None = None
        self._looked = 0  # how many bytes were looked at after damage, some of them more than once
        self._lookalike = False  # whether something that looks like a chunk was passed over
        self._end = -1  # where the last chunk ends that was gone over, right or not
        self._counts = self._window.base == 0  # whether all frames so far were read, so that
        self._sizes = 0  # the seek table has entries with this crc32
        self._frames = 0
        self._error: RecordingError | None = None
        self._over = False

    def __iter__(self) -> Iterator[Chunk]:
        return self

    def __next__(self) -> Chunk:
        window = self._window
        while not self._over:
            if self._error is not None:
                raise self._error.again()
            window.forget()
            start = window.position
            if not window.need(1):
                self._over = True
                break
            try:
                chunk = self._next()
                if chunk is not None and self._checks and chunk._frame is not None:
                    chunk.data  # noqa: B018  # raises if it is not right
            except Fault as fault:
                self._fail(start, DamagedRecording(self._path, start, str(fault)))
            except DamagedRecording as error:
                self._fail(start, error)
            except RecordingError as error:
                self._error = error
            else:
                if chunk is not None:
                    self._connections.add(chunk.connection)
                    return chunk
        raise StopIteration

    def _next(self) -> Chunk | None:
        """The chunk that begins here; None if it is a seek table."""
        window = self._window
        magic, size = self._unpack(_SKIPPABLE)
        if magic == TABLE_MAGIC:
            self._pass_table(size)
            return None
        if magic != CHUNK_MAGIC:
            raise Fault(f"read magic {magic:08x}, expected a chunk's {CHUNK_MAGIC:08x}")
        if not _HEAD_BYTES <= size <= limits.RECORD_HEAD_BYTES:
            raise Fault(f"read a chunk's head of {size} bytes, expected {_HEAD_BYTES} to {limits.RECORD_HEAD_BYTES}")
        self._need(_SKIPPABLE.size + size)
        begin = window.at + _SKIPPABLE.size
        chunk = self._head(window.data[begin : begin + size])
        stored = [_SKIPPABLE.size + size]
        window.at = begin + size
        self.closed = False
        if chunk.kind == STREAM:
            stored.append(self._pass_frame(chunk))
        self._end = window.position
        if chunk.kind == NOTE:
            _read_note(chunk)
        chunk.stored = sum(stored)
        for entry in chunk.sizes:
            self._sizes = crc32(_READ.pack(*entry), self._sizes)
            self._frames += 1
        return chunk

    def _head(self, head: bytes) -> Chunk:
        """The chunk that a skippable frame with this content begins."""
        magic, crc = _SEALED.unpack_from(head)
        if magic != MAGIC:
            raise Fault(f"read a chunk's head that begins with {magic!r}, expected {MAGIC!r}")
        version, kind, flags, *when, length, first, reads, sends, note = _HEAD.unpack_from(head, _SEALED.size)
        if version != VERSION or kind not in (STREAM, NOTE) or flags:
            raise Fault(
                f"read a chunk of version {version}, kind {kind}, flags {flags}, expected version {VERSION}, "
                f"kind {STREAM} or {NOTE}, no flags"
            )
        connection, offset, wall_ns, mono_ns = when
        start = self._window.position
        chunk = Chunk(self._path, start, kind, (connection, offset, wall_ns, mono_ns), length)
        chunk.first = None if first == NO_FRAME else first
        chunk._sealed = head[_SEALED.size :]
        chunk._counts = reads, sends, note
        chunk._crc = crc
        _check_head(chunk)
        return chunk

    def _pass_frame(self, chunk: Chunk) -> int:
        """Go over the Zstandard frame of a chunk, and give it to the chunk; its size."""
        window = self._window
        begin = window.position
        self._need(FRAME_BYTES_MIN)
        self._need(frame_head(window.data, window.at)[0] - window.at + BLOCK_HEAD_BYTES)
        head_end, length, checksum = frame_head(window.data, window.at)
        if length != chunk.length:
            raise Fault(f"read a Zstandard frame of {length} bytes after the head of a chunk of {chunk.length}")
        if self._wants is not None:
            self._wants_data = self._wants(chunk)
        self._skip(head_end - window.at)
        last = 0
        while not last:
            self._need(BLOCK_HEAD_BYTES)
            kind, size, last = block_head(window.data, window.at)
            if kind == RAW and self._wants_data and window.file.seekable():  # more may not have come yet of a pipe
                window.need(size + length)  # the others will be as long; what is there now is not put together again
                length = 0
            self._skip(BLOCK_HEAD_BYTES + (1 if kind == RLE else size))
        self._skip(4 if checksum else 0)
        stored = window.position - begin
        if self._wants_data:
            chunk._frame = window.data[window.at - stored : window.at]
        return stored

    def _pass_table(self, size: int) -> None:
        """Go over a seek table, which must say what was read."""
        window = self._window
        if not _FOOTER.size <= size <= limits.RECORD_HEAD_BYTES:
            raise Fault(f"read a seek table of {size} bytes, expected {_FOOTER.size} to {limits.RECORD_HEAD_BYTES}")
        self._need(_SKIPPABLE.size + size)
        entries = window.data[window.at + _SKIPPABLE.size : window.at + _SKIPPABLE.size + size - _FOOTER.size]
        window.at += _SKIPPABLE.size + size
        frames, descriptor, magic = _FOOTER.unpack_from(window.data, window.at - _FOOTER.size)
        if magic != SEEKABLE_MAGIC or descriptor or frames * _READ.size != len(entries):
            raise Fault(f"read a seek table of {size} bytes that ends with {frames} frames, magic {magic:08x}")
        if self._counts and (frames, crc32(entries)) != (self._frames, self._sizes):
            raise Fault(f"read a seek table that does not fit the {self._frames} frames before it")
        self.closed = True
        self._counts = True  # another file may have been put after this one
        self._frames = self._sizes = 0

    def _unpack(self, form: struct.Struct) -> Any:
        self._need(form.size)
        return form.unpack_from(self._window.data, self._window.at)

    def _need(self, size: int) -> None:
        window = self._window
        if not window.need(size):
            raise Fault(f"read {len(window.data) - window.at} bytes before the end of the file, expected {size}")

    def _skip(self, size: int) -> None:
        """Go over so many bytes, which need not be read if only heads are wanted."""
        window = self._window
        if self._wants_data or window.at + size <= len(window.data) or not window.file.seekable():
            self._need(size)
            window.at += size
            return
        window.go(window.position + size - 1)
        self._need(1)
        window.at += 1

    # Damage

    def _fail(self, start: int, error: DamagedRecording) -> None:
        """What begins at `start` is no whole chunk. If nothing comes after it, the file is torn there."""
        self._counts = self._lookalike = False
        self._looked += self._window.position - start
        found = self._find_next(start)
        if not (found or self._lookalike):
            window = self._window
            self.torn = window.base + len(window.data) - start
        elif self._skips:
            self.damage.append(error)
        else:
            self._error = error
            return
        self._over = not found
        self.closed = self.closed and found

    def _find_next(self, start: int) -> bool:
        """Go to the next chunk or seek table after damage at `start`; False if there is none."""
        window = self._window
        if window.position == self._end and self._begins(in_place=True):
            return True
        window.go(start)
        if not self._connections and window.need(_CONNECTION_AT + 8):
            magic, eslr = struct.unpack_from("<I4x4s", window.data, window.at)
            if magic == CHUNK_MAGIC or eslr == MAGIC:
                self._connections.add(struct.unpack_from("<Q", window.data, window.at + _CONNECTION_AT)[0])
        window.go(start + 1)
        while True:
            match = _BEGINNING.search(window.data, window.at)
            if match is not None:
                window.at = match.start()
                if self._looked > _LOOKED_BYTES + 16 * window.position:
                    self._lookalike = True  # somebody made it so
                    return False
                if self._begins():
                    return True
                window.at += 1
                continue
            window.at = max(window.at, len(window.data) - _BEGINNING_BYTES + 1)
            window.forget()
            if not window.need(len(window.data) - window.at + 1):
                return False

    def _begins(self, in_place: bool = False) -> bool:
        """Whether a chunk or a seek table begins here, by its looks.

        Received bytes may look like a chunk too. What the seek table lists is one. Without a table that is one which
        stands where the one before it ends, or is of a connection that is known: nobody can guess its number.
        """
        window = self._window
        if not window.need(_SKIPPABLE.size):
            return False
        magic, size = _SKIPPABLE.unpack_from(window.data, window.at)
        if size > limits.RECORD_HEAD_BYTES or not window.need(_SKIPPABLE.size + size):
            return False
        self._looked += size
        begin = window.at + _SKIPPABLE.size
        content = window.data[begin : begin + size]
        if magic == TABLE_MAGIC:
            frames, _, last = _FOOTER.unpack_from(b"\0" * _FOOTER.size + content, size)
            return bool(last == SEEKABLE_MAGIC and frames * _READ.size == size - _FOOTER.size)
        if magic != CHUNK_MAGIC or size < _HEAD_BYTES:
            return False
        try:
            chunk = self._head(content)
        except Fault:
            return False
        if self._listed is None:
            self._listed = _listed(window.file)
        if self._listed:
            return window.position in self._listed
        if in_place or chunk.connection in self._connections:
            return True
        self._lookalike = True
        return False


def _listed(file: BinaryIO) -> set[int]:
    """Where the frames of a file begin, by its seek table; nothing if it has none that covers it."""
    if not file.seekable():
        return set()
    at = file.tell()
    try:
        size = file.seek(0, 2)
        file.seek(max(size - _FOOTER.size, 0))
        footer = file.read(_FOOTER.size)
        frames, descriptor, magic = _FOOTER.unpack(footer) if len(footer) == _FOOTER.size else (0, 0, 0)
        table = frames * _READ.size
        begin = size - _FOOTER.size - table
        if magic != SEEKABLE_MAGIC or descriptor or table > limits.RECORD_HEAD_BYTES or begin < _SKIPPABLE.size:
            return set()
        file.seek(begin)
        places = list(accumulate((packed for packed, _ in _READ.iter_unpack(file.read(table))), initial=0))
        return set(places) if places[-1] == begin - _SKIPPABLE.size else set()
    finally:
        file.seek(at)


def _check_head(chunk: Chunk) -> None:
    """The counts must explain the head to the byte."""
    reads, sends, note = chunk._counts
    sealed = chunk._sealed
    table = _HEAD.size + reads * _READ.size
    sent = table + sends * _SEND.size
    if sent + note > len(sealed):
        raise Fault(f"read a chunk's head of {len(sealed)} bytes, expected {sent + note} for its tables")
    received = sum(size for _, size in _READ.iter_unpack(sealed[_HEAD.size : table]))
    for _, before, size in _SEND.iter_unpack(sealed[table:sent]):
        sent += size
        if before > chunk.length:
            raise Fault(f"read that something was sent after {before} of {chunk.length} bytes")
    if sent + note != len(sealed):
        raise Fault(f"read a chunk's head of {len(sealed)} bytes, expected {sent + note} for what it holds")
    if max(chunk.offset, chunk.wall_ns, chunk.mono_ns) >> 63:
        raise Fault(f"read a chunk at {chunk.offset}, {chunk.wall_ns} ns, {chunk.mono_ns} ns, expected less than 2**63")
    if chunk.length > limits.RECORD_CHUNK_BYTES:
        raise Fault(f"read a chunk of {chunk.length} bytes, expected no more than {limits.RECORD_CHUNK_BYTES}")
    if reads and received != chunk.length:
        raise Fault(f"read a chunk of {chunk.length} bytes, whose reads have {received}")
    if chunk.first is not None and chunk.first >= chunk.length:
        raise Fault(f"read that a frame begins at {chunk.first} of {chunk.length} bytes")
    if (chunk.kind == NOTE) != bool(note) or (note and (chunk.length or reads or sends)):
        raise Fault(f"read a chunk of kind {chunk.kind} with {chunk.length} bytes and a note of {note}")


def read_chunks(
    file: BinaryIO,
    path: str = "",
    *,
    damaged: Literal["raise", "skip"] = "raise",
    data: bool | Callable[[Chunk], bool] = True,
    check: bool = True,
) -> ChunkReader:
    """The chunks of a file in order, from where it stands.

    What is left at the end and is no whole chunk ends the reading without an error (`torn`). Memory is that of a chunk.

    Args:
        file: open for reading bytes; a pipe will do.
        path: its name, for errors.
        damaged: what happens at damage that something whole comes after, once everything whole before it has come out:
            "raise" raises, "skip" goes on there (`damage` says what was passed over).
        data: False to read the heads alone, which are not checked then; of a file that is seekable the data are not
            read. A function says it of each chunk.
        check: False to have each chunk's data unpacked and checked when it is asked for, by whatever thread.

    Raises:
        DamagedRecording: while iterating, at every later call again.
        RecordingError: a chunk is compressed, and there is no Zstandard library.
        OSError: the file cannot be read.

    Example:
        >>> import io
        >>> file = io.BytesIO(b"".join(pack_stream(Compressor(), connection=7, offset=0, wall_ns=0, mono_ns=0, first=0,
        ...     reads=b"", sends=[(3, 0, b"exit\\n\\n")], data=b"hello")))
        >>> [chunk] = read_chunks(file)
        >>> chunk.data, chunk.sends
        (b'hello', [Sent(us=3, at=0, data=b'exit\\n\\n')])
    """
    return ChunkReader(file, path, damaged, data, check)
