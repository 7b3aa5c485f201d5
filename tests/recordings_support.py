"""Recordings made by hand: what the tests of recordings share."""

from __future__ import annotations

import importlib.util
import io
import struct
from pathlib import Path
from typing import Any

import pytest
from support import plain

from eslcodec import _zstd, zst
from eslcodec._codec import HeadScanner

HAS_LIBRARY = _zstd.library() is not None
BEGIN = 1_790_000_000  # s since 1970
CONNECTION = 0x0123_4567_89AB_CDEF
LEVELS = [0, pytest.param(1, marks=pytest.mark.skipif(not HAS_LIBRARY, reason="no Zstandard library"))]
HAS_LZMA = importlib.util.find_spec("_lzma") is not None


class Tape:
    """A file of a recording.

    Args:
        level: of compression; 0 for raw blocks.
        begin: when it begins, in seconds since 1970.
    """

    def __init__(self, level: int = 0, begin: float = BEGIN) -> None:
        self.written: list[bytes] = []
        self.sizes: list[tuple[int, int]] = []
        self.received = b""
        self.now = begin
        self.open(CONNECTION)
        self._compressor = zst.Compressor(level)

    def open(self, connection: int, offset: int = 0) -> None:
        """Another connection begins."""
        self.connection = connection
        self.offset = offset
        self.scanner = HeadScanner()

    @property
    def when(self) -> dict[str, int]:
        ns = round(self.now * 1e6) * 1000
        return {"connection": self.connection, "offset": self.offset, "wall_ns": ns, "mono_ns": ns - 10**18}

    def chunk(self, *reads: bytes, us: int = 1000, sends: tuple[tuple[int, int, bytes], ...] = ()) -> None:
        """A chunk of what so many reads gave, so many microseconds apart; the next one begins a second later."""
        data = b"".join(reads)
        first = None
        before = 0
        for read in reads:
            found = self.scanner.scan(read)
            if found is not None and first is None:
                first = before + found
            before += len(read)
        table = b"".join(struct.pack("<II", number * us, len(read)) for number, read in enumerate(reads))
        packed = zst.pack_stream(self._compressor, first=first, reads=table, sends=sends, data=data, **self.when)
        self.written += packed
        self.sizes += [(len(packed[0]), 0), (len(packed[1]), len(data))]
        self.offset += len(data)
        self.received += data
        self.now += 1

    def note(self, **said: Any) -> None:
        packed = zst.pack_note(note=said, **self.when)
        self.written.append(packed)
        self.sizes.append((len(packed), 0))

    def bytes(self, closed: bool = True) -> bytes:
        """What is in the file."""
        return b"".join(self.written) + (zst.seek_table(self.sizes) if closed else b"")

    def write(self, path: Path, closed: bool = True) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.bytes(closed))
        return path

    def ends(self) -> list[int]:
        """Where each chunk ends in the file."""
        ends, at, rest = [], 0, iter(self.written)
        for part in rest:
            at += len(part)
            if struct.unpack_from("<B", part, 17)[0] == zst.STREAM:
                at += len(next(rest))
            ends.append(at)
        return ends


def event(number: int, size: int = 40) -> bytes:
    """A plain event with this Event-Sequence."""
    return plain(b"Event-Name: DTMF\nEvent-Sequence: %d\nFill: %b\n\n" % (number, b"x" * size))


def shown(chunk: zst.Chunk) -> tuple[Any, ...]:
    """All that a chunk says, checked."""
    data = chunk.data
    head = chunk.kind, chunk.connection, chunk.offset, chunk.wall_ns, chunk.mono_ns, chunk.first, chunk.length
    return (*head, data, chunk.reads, chunk.sends, repr(chunk.note))


def read(data: bytes, **options: Any) -> tuple[list[tuple[Any, ...]], zst.ChunkReader]:
    """All chunks of a file, and their reader."""
    reader = zst.read_chunks(io.BytesIO(data), "rec", **options)
    return [shown(chunk) for chunk in reader], reader


def small_tape(level: int = 0) -> Tape:
    """Two connections, notes, something sent, frames over the edges of chunks."""
    tape = Tape(level)
    tape.note(note="opened", peer=["fs1", 8021])
    stream = b"Content-Type: auth/request\n\n" + b"".join(event(number) for number in range(12))
    for at in range(0, 1200, 300):
        piece = stream[at : at + 300]
        tape.chunk(piece[:100], piece[100:], sends=((500, 100, b"api status\n\n"), (700, 300, b"exit\n\n")))
    tape.note(note="closed", why="the switch closed the connection")
    tape.open(CONNECTION + 1)
    tape.chunk(b"Content-Type: auth/request\n\n")
    tape.note(note="stopped", why="signal")
    return tape
