"""Zstandard frames (RFC 8878), by the library of this Python, or without one as far as they are raw blocks."""

from __future__ import annotations

import struct
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from .errors import RecordingError

if TYPE_CHECKING:
    from typing_extensions import Buffer

FRAME_MAGIC: Final = 0xFD2FB528
FRAME_BYTES_MIN: Final = 9  # magic, descriptor, a byte of size, an empty block
BLOCK_HEAD_BYTES: Final = 3
RAW, RLE = 0, 1  # types of block
_RESERVED: Final = 3
_BLOCK_BYTES: Final = 1 << 17


class Fault(Exception):
    """What was read is no recording: why."""


@cache
def library() -> Any:
    """The Zstandard library of this Python: the standard one (3.14), else backports.zstd, else None."""
    for name in ("compression.zstd", "backports.zstd"):
        try:
            return import_module(name)
        except ImportError:
            continue
    return None


class Compressor:
    """Makes Zstandard frames that say how long their content is.

    Args:
        level: as Zstandard counts; 1 is the quickest. 0, or no Zstandard library, gives raw blocks, which any reader
            reads.

    Example:
        >>> Compressor(0).frame(b"hello").hex(" ")
        '28 b5 2f fd a0 05 00 00 00 29 00 00 68 65 6c 6c 6f'
    """

    def __init__(self, level: int = 1) -> None:
        kind: Any = getattr(library(), "ZstdCompressor", None) if level else None
        self._compressor = kind(level=level) if kind else None
        self._end = kind.FLUSH_FRAME if kind else None

    @property
    def compresses(self) -> bool:
        """Whether there is a library, and a level other than 0."""
        return self._compressor is not None

    def frame(self, data: Buffer) -> bytes:
        """One whole frame of `data`."""
        if self._compressor is None:
            return raw_frame(data)
        framed: bytes = self._compressor.compress(data, self._end)
        return framed


def raw_frame(data: Buffer) -> bytes:
    """A Zstandard frame of raw blocks (RFC 8878): a single segment, four bytes of content size."""
    with memoryview(data) as view, view.cast("B") as content:
        size = len(content)
        parts: list[Buffer] = [struct.pack("<IBI", FRAME_MAGIC, 0xA0, size)]
        for at in range(0, size or 1, _BLOCK_BYTES):
            block = content[at : at + _BLOCK_BYTES]
            last = at + _BLOCK_BYTES >= size
            parts += ((len(block) << 3 | last).to_bytes(3, "little"), block)
        return b"".join(parts)


def unpack_frame(frame: bytes, length: int, path: str = "") -> bytes:
    """The content of a Zstandard frame.

    Args:
        frame: the frame and nothing else.
        length: what it says is its content's length.
        path: for errors.

    Raises:
        RecordingError: it is compressed, and there is no Zstandard library.
    """
    at, left, view = frame_head(frame, 0)[0], length, memoryview(frame)
    blocks: list[Buffer] = []
    while True:
        kind, size, last = block_head(frame, at)
        at += BLOCK_HEAD_BYTES
        if kind not in (RAW, RLE):
            return _decompressed(frame, path)
        left -= size
        if left < 0:
            raise Fault(f"read a Zstandard frame with {-left} bytes or more beyond the {length} that it says")
        blocks.append(view[at : at + size] if kind == RAW else frame[at : at + 1] * size)
        at += size if kind == RAW else 1
        if last:
            return b"".join(blocks)


def no_library(path: str) -> RecordingError:
    """What is raised where a library is missing."""
    return RecordingError(
        f"{path or 'the recording'} is compressed with Zstandard, which this Python has no library for: "
        "pip install 'eslcodec[record]'"
    )


def _decompressed(frame: bytes, path: str) -> bytes:
    found = library()
    if found is None:
        raise no_library(path)
    decompressor = found.ZstdDecompressor()
    try:
        data: bytes = decompressor.decompress(frame)  # at most what the frame says: its content size is known
    except (found.ZstdError, ValueError) as error:
        raise Fault(f"read a Zstandard frame that cannot be read ({error})") from None
    if not decompressor.eof or decompressor.unused_data:
        raise Fault("read a Zstandard frame that does not end where its blocks do")
    return data


def frame_head(data: bytes, at: int) -> tuple[int, int, bool]:
    """Of a Zstandard frame's header: where it ends, the content's length, whether a checksum follows the blocks."""
    magic, descriptor = struct.unpack_from("<IB", data, at)
    if magic != FRAME_MAGIC:
        raise Fault(f"read magic {magic:08x} after the head of a chunk, expected a Zstandard frame")
    single = descriptor >> 5 & 1
    size = (single, 2, 4, 8)[descriptor >> 6]
    if not size or descriptor & 0b1011:  # reserved, a dictionary
        raise Fault(f"read a Zstandard frame with descriptor {descriptor:02x}, expected one with a content size")
    at += 5 + (not single)
    length = int.from_bytes(data[at : at + size], "little") + (256 if size == 2 else 0)
    return at + size, length, bool(descriptor & 4)


def block_head(data: bytes, at: int) -> tuple[int, int, int]:
    """Of a block: its type, its size, whether it is the last."""
    head = int.from_bytes(data[at : at + 3], "little")
    kind, size = head >> 1 & 3, head >> 3
    if kind == _RESERVED or size > _BLOCK_BYTES:
        raise Fault(f"read a Zstandard block of type {kind} and {size} bytes, expected no more than {_BLOCK_BYTES}")
    return kind, size, head & 1
