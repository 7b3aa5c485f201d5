"""The checksum of recordings."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer


def crc32(data: Buffer, value: int = 0) -> int:
    """The CRC-32 of bytes, as zlib counts it; the compiled core is quicker at it than most builds of that.

    Args:
        data: any contiguous bytes-like object.
        value: the CRC-32 of what came before.

    Example:
        >>> hex(crc32(b"world", crc32(b"hello ")))
        '0xd4a1185'
    """
    from zlib import crc32 as of_zlib  # which few who decode need

    return of_zlib(data, value)
