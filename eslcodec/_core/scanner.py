"""What a recording is made with: where in each piece of a stream the first frame begins (`HeadScanner`), `crc32`."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, NoReturn

from .. import limits
from ..errors import ProtocolError
from .lines import find_blank_line
from .splitter import STRAY_LINE_ENDS, read_framing, view_bytes

if TYPE_CHECKING:
    from typing_extensions import Buffer

_STEP: Final = 4096  # bytes that are put to the beginning of a head before its end is looked for


class HeadScanner:
    """Follows the frames of a stream from head to head, by Content-Length, and keeps none of it.

    It finds the beginnings that a `FrameSplitter` with the usual bounds finds. At a head that cannot be read it gives
    up for good. Give it the bytes of one connection in order, from the first on.

    Example:
        >>> scanner = HeadScanner()
        >>> scanner.scan(b"Content-Length: 5\\n\\nhel"), scanner.scan(b"loContent-"), scanner.scan(b"Type: x\\n\\n")
        (0, 2, None)
    """

    __slots__ = ("_body", "_head", "_lock", "_lost")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._body = 0  # bytes of a body that are still to come
        self._head = bytearray()  # of a head whose end has not come
        self._lost = False

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")

    def scan(self, data: Buffer) -> int | None:
        """Go over the next bytes.

        Args:
            data: any contiguous bytes-like object.

        Returns:
            Where in `data` the first frame begins that begins there; None if none does, or after a head that cannot be
            read.

        Raises:
            TypeError: not bytes-like.
            BufferError: not contiguous.
        """
        with view_bytes(data, "scan") as view:
            if not view.c_contiguous:
                raise BufferError("scan() takes contiguous bytes")
            with self._lock, view.cast("B") as raw:
                return self._scan(raw)

    def _scan(self, data: memoryview) -> int | None:
        first = None
        at = 0
        size = len(data)
        while not self._lost:
            step = min(self._body, size - at)
            self._body -= step
            at += step
            if not self._head:
                stray = STRAY_LINE_ENDS.match(data, at)
                at = stray.end() if stray else at
                if at < size and first is None:
                    first = at
            if at == size:
                break
            at = self._pass_head(data, at)
        return first

    def _pass_head(self, data: memoryview, at: int) -> int:
        """Go over a head or as much as there is of it; where it ends in `data`."""
        head = self._head
        if not head:
            blank = find_blank_line(data, at, at + limits.MAX_HEADER_BYTES)
            if blank is not None:
                self._read(bytes(data[at : blank.end()]))
                return blank.end()
        while at < len(data):
            known = len(head)
            head += data[at : at + (_STEP if known else limits.MAX_HEADER_BYTES + 1)]
            blank = find_blank_line(head, max(known - 2, 0), limits.MAX_HEADER_BYTES)
            if blank is not None:
                end = blank.end()
                block = bytes(head[:end])
                head.clear()
                self._read(block)
                return at + end - known
            if len(head) > limits.MAX_HEADER_BYTES:
                self._lost = True
                head.clear()
                return len(data)
            at += len(head) - known
        return at

    def _read(self, block: bytes) -> None:
        try:
            self._body = read_framing(block, limits.MAX_BODY_BYTES)[1] or 0
        except ProtocolError:
            self._lost = True


def crc32(data: Buffer, value: int = 0) -> int:
    """The checksum of a recording: `zlib.crc32`, which the compiled core does four times as fast where it can.

    Args:
        data: any contiguous bytes-like object.
        value: the checksum of what stands before it.

    Raises:
        TypeError: not bytes-like.
        BufferError: not contiguous.

    Example:
        >>> f"{crc32(b'56789', crc32(b'1234')):08x}"
        'cbf43926'
    """
    from zlib import crc32 as by_zlib  # not every user of the core records

    return by_zlib(data, value)
