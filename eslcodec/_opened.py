"""A recorded stream of any kind as chunks: what it is, its first bytes say. All recordings are opened with this."""

from __future__ import annotations

import importlib
import io
import os
from bisect import insort
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, Final, Literal, NamedTuple, Protocol, cast

from . import _zstd, zst
from .errors import DamagedRecording, RecordingError

PIECE_BYTES: Final = 256 << 10
"""A chunk of a stream without times: what is there, at most so much."""

SUFFIXES: Final = (".esl", ".esl.gz", ".esl.xz", ".esl.zst")
"""How the recordings in a folder are named."""

_HEAD_BYTES: Final = 12
_FOOTER_BYTES: Final = 9  # of a seek table
_GZIP: Final = b"\x1f\x8b"
_XZ: Final = b"\xfd7zXZ\0"
_ZSTD: Final = _zstd.FRAME_MAGIC.to_bytes(4, "little")
_CHUNK: Final = zst.CHUNK_MAGIC.to_bytes(4, "little")


class Reader(Protocol):
    """What opening gives: chunks, and what was found out about the file."""

    closed: bool
    torn: int
    damage: list[DamagedRecording]

    def __iter__(self) -> Iterator[zst.Chunk]: ...

    def __next__(self) -> zst.Chunk: ...


class PlainReader:
    """The pieces of a stream that was recorded without times, unpacked.

    Attributes:
        closed: whether its end was read.
        torn: 0, as nobody can know.
        damage: what ended it, if its packing is damaged.
    """

    def __init__(
        self, stream: BinaryIO, path: str, faults: tuple[type[Exception], ...], damaged: Literal["raise", "skip"]
    ) -> None:
        self.closed = False
        self.torn = 0
        self.damage: list[DamagedRecording] = []
        self._read: Callable[[int], bytes | None] = getattr(stream, "read1", stream.read)
        self._path = path
        self._faults = faults
        self._skips = damaged == "skip"
        self._offset = 0

    def __iter__(self) -> Iterator[zst.Chunk]:
        return self

    def __next__(self) -> zst.Chunk:
        if self.closed or self.damage:
            raise StopIteration
        try:
            data = self._read(PIECE_BYTES)
        except self._faults as fault:
            why = f"read a stream that cannot be unpacked ({str(fault) or type(fault).__name__})"
            error = DamagedRecording(self._path, self._offset, f"{why}, after so many bytes of it")
            if not self._skips:
                raise error from fault
            self.damage.append(error)
            raise StopIteration from None
        if not data:
            self.closed = True
            raise StopIteration
        chunk = zst.Chunk.plain(self._path, self._offset, data)
        self._offset += len(data)
        return chunk


def open_reader(
    file: BinaryIO,
    path: str,
    damaged: Literal["raise", "skip"] = "raise",
    wants: bool | Callable[[zst.Chunk], bool] = True,
    check: bool = True,
) -> Reader:
    """The chunks of an open file.

    Args:
        file: open for reading bytes, at the beginning of the recording.
        path: its name, for errors.
        damaged: as for `zst.read_chunks`.
        wants: its `data`.
        check: as there.

    Raises:
        RecordingError: it is packed in a way that this Python has no library for.
    """
    file, head = _peek(file)
    if head[8:12] == zst.MAGIC or head[:4] == _CHUNK or (path.endswith(".zst") and head[:4] != _ZSTD):
        return zst.read_chunks(file, path, damaged=damaged, data=wants, check=check)
    stream, faults = _unpacked(file, head, path)
    return PlainReader(stream, path, faults, damaged)


def _unpacked(file: BinaryIO, head: bytes, path: str) -> tuple[BinaryIO, tuple[type[Exception], ...]]:
    """A file's content, and the exceptions that say that it is damaged."""
    if head.startswith(_GZIP):
        zlib, gzip = _module("zlib", path), _module("gzip", path)
        return gzip.GzipFile(fileobj=file), (gzip.BadGzipFile, EOFError, zlib.error)
    if head.startswith(_XZ):
        lzma = _module("lzma", path)
        return lzma.LZMAFile(file), (EOFError, lzma.LZMAError)
    if head.startswith(_ZSTD):
        zstd = _zstd.library()
        if zstd is None:
            raise _zstd.no_library(path)
        return zstd.ZstdFile(file), (EOFError, zstd.ZstdError)
    return file, ()


def _module(name: str, path: str) -> Any:
    """A module of the standard library that this Python may have been built without."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise RecordingError(
            f"{path or 'the recording'} is compressed, and this Python was built without {name} ({error}): unpack it "
            "first"
        ) from error


class _Begun(io.RawIOBase):
    """A file of which the first bytes were read."""

    def __init__(self, head: bytes, file: BinaryIO) -> None:
        self._head = head
        self._read: Callable[[int], bytes | None] = getattr(file, "read1", file.read)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._head or self._read(len(buffer)) or b""
        size = min(len(data), len(buffer))
        buffer[:size] = data[:size]
        self._head = self._head[size:]
        return size


def _peek(file: BinaryIO) -> tuple[BinaryIO, bytes]:
    """The same file, and how it begins."""
    at = file.tell() if file.seekable() else None
    head = b""
    while len(head) < _HEAD_BYTES and (more := file.read(_HEAD_BYTES - len(head))):
        head += more
    if at is None:
        return cast(BinaryIO, io.BufferedReader(_Begun(head, file))), head
    file.seek(at)
    return file, head


# Files


def find_files(path: str) -> list[list[str]]:
    """The files of a recording: those of each recorder in each folder, or the one file that it is.

    Raises:
        OSError: there is nothing, or it cannot be read.
    """
    if not os.path.isdir(path):
        os.stat(path)
        return [[path]]
    found = []
    for folder, folders, names in os.walk(path, onerror=_refuse):
        folders.sort()
        named = [os.path.join(folder, name) for name in names if name.endswith(SUFFIXES) and not name.startswith(".")]
        files = [path for path in named if os.path.isfile(path)]  # a pipe may wait for ever
        if files:
            found += in_order(sorted(files))
    return found


def _refuse(error: OSError) -> None:
    raise error


class _Span(NamedTuple):
    """What is known of a file by its first chunk and its last: times in ns since 1970, and places, which are a
    connection and the bytes of it that came before. Connection 0: it has no times."""

    begin_ns: int
    begin: tuple[int, int]
    end_ns: int
    end: tuple[int, int]
    path: str


def in_order(files: list[str]) -> list[list[str]]:
    """The files of a folder, which are sorted by name, by the time at which they begin: of each recorder a list.

    Files of one connection stand as its bytes came, whatever the clock did meanwhile. A file without times stays behind
    the one that its name puts it behind. Recorders that were at work at the same time have lists of their own, since
    files of one continue one another, and not those of the other.
    """
    if len(files) < 2:
        return [files]
    spans: list[_Span] = []
    for path in files:
        before = spans[-1].begin_ns if spans else 0
        spans.append(_span(path) or _Span(before, (0, 0), before, (0, 0), path))
    spans.sort(key=lambda span: span.begin_ns)
    places: dict[int, list[int]] = {}
    for place, span in enumerate(spans):
        places.setdefault(span.begin[0], []).append(place)
    ordered = list(spans)
    for connection, of_one in places.items():
        if connection:
            by_offset = sorted((spans[place] for place in of_one), key=lambda span: span.begin[1])
            for place, span in zip(of_one, by_offset, strict=True):
                ordered[place] = span
    return [[span.path for span in track] for track in _tracks(ordered)]


def _tracks(spans: list[_Span]) -> list[list[_Span]]:
    """Files so that in each list one begins after the one before has ended."""
    continued = {span.begin for span in spans if span.begin[1]}
    tracks: list[list[_Span]] = []
    at_end: dict[tuple[int, int], list[_Span]] = {}  # by where its last connection ended
    free: list[list[_Span]] = []  # which another connection may follow; the one that ended last is the last
    for span in spans:
        track = at_end.pop(span.begin, None) if span.begin[1] else None
        if track is None:
            at = next((at for at in range(len(free) - 1, -1, -1) if free[at][-1].end_ns <= span.begin_ns), None)
            track = [] if at is None else free.pop(at)
        if not track:
            tracks.append(track)
        track.append(span)
        if span.end in continued and span.end != span.begin:
            at_end[span.end] = track
        else:
            insort(free, track, key=lambda track: track[-1].end_ns)
    return tracks


def _span(path: str) -> _Span | None:
    """What is known of a file; None if it has no times, or cannot be read."""
    with open(path, "rb") as file:
        try:
            reader = open_reader(file, path, damaged="skip", wants=False)
            if not isinstance(reader, zst.ChunkReader):
                return None
            first = next(reader, None)
            if first is None:
                return None
            last = last_listed(file) or first
            if last is first:
                for chunk in reader:
                    last = chunk
        except RecordingError:
            return None
    end = last.connection, last.offset + last.length
    return _Span(first.wall_ns, (first.connection, first.offset), last.end_ns, end, path)


def last_listed(file: BinaryIO) -> zst.Chunk | None:
    """The last chunk of a file with a seek table; None if it has none. The file stands where it stood."""
    at = file.tell()
    try:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - _FOOTER_BYTES, 0))
        footer = file.read()
        frames = int.from_bytes(footer[:4], "little")
        table = 8 + 8 * frames + _FOOTER_BYTES
        if footer[5:] != zst.SEEKABLE_MAGIC.to_bytes(4, "little") or not frames or table > size:
            return None
        file.seek(size - table + 8 + 8 * max(frames - 2, 0))
        entries = file.read(8 * min(frames, 2))
        back = table
        for entry in range(len(entries) - 8, -1, -8):  # a note is one frame, a chunk two
            back += int.from_bytes(entries[entry : entry + 4], "little")
            if back > size:
                return None
            file.seek(size - back)
            if file.read(4) == _CHUNK:
                file.seek(size - back)
                return next(zst.read_chunks(file, damaged="skip", data=False), None)
        return None
    finally:
        file.seek(at)
