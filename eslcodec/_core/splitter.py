"""Where a frame ends: `FrameSplitter`, and what it needs of a header block.

A frame is a header block up to its blank line and, if the block has a Content-Length, that many bytes of body.
`FrameSplitter` keeps the unread bytes in one piece, remembers how far it has searched for the blank line, and waits for
a body by counting: no byte is scanned again because a chunk ended there. Bytes that are fed are cut in place. What is
left of them is put before the next bytes, or these are appended to it if they are fewer.

Nothing is decoded here, so a body never becomes a header.
"""

from __future__ import annotations

import operator
import re
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, NoReturn

from .. import limits
from ..errors import BodyTooLarge, HeaderTooLarge, IncompleteFrame, InvalidContentLength, LimitExceeded
from .formats import needs_length
from .lines import find_blank_line, raw_pairs

if TYPE_CHECKING:
    from typing_extensions import Buffer

STRAY_LINE_ENDS: Final = re.compile(rb"[\r\n]*")
_EVENT_HEAD: Final = re.compile(rb"Content-Length: ([0-9]{1,18})\nContent-Type: (text/event-(?:plain|json|xml))\n\n")
_DIGITS: Final = re.compile(rb"[ \t]*([0-9]+)[ \t]*")


def read_head(block: bytes, max_body: int | None = None) -> tuple[bytes | None, int | None]:
    """What framing needs of a frame's header block: its Content-Type as written, and its Content-Length.

    Raises:
        InvalidContentLength: not ASCII digits with blanks around, or repeated with another value.
        BodyTooLarge: more than `max_body`.
    """
    content_type: bytes | None = None
    exact = False
    first_length: bytes | None = None
    digits = b""
    for name, value in raw_pairs(block):
        folded = name.lower()
        if folded == b"content-type":
            # The exact spelling counts before any other, the first before the next: as in every look-up.
            if content_type is None or (not exact and name == b"Content-Type"):
                content_type, exact = value, name == b"Content-Type"
        elif folded == b"content-length":
            read = _read_digits(value)
            if first_length is not None and read != digits:
                raise InvalidContentLength(first_length, value)
            if first_length is None:
                first_length, digits = value, read
    if first_length is None:
        return content_type, None
    length = int(digits) if len(digits) < 19 else limits.BOUND_CEILING
    if max_body is not None and length > max_body:
        raise BodyTooLarge(digits, max_body)
    return content_type, length


def read_framing(block: bytes, max_body: int) -> tuple[bytes, int | None]:
    """The same of a block that must be a whole frame's: its Content-Type in lower case, empty if there is none.

    Raises:
        InvalidContentLength: as `read_head`, or it is missing where it never is.
        BodyTooLarge: more than `max_body`.
    """
    event = _EVENT_HEAD.fullmatch(block)
    if event is not None and int(event[1]) <= max_body:
        return event[2], int(event[1])
    content_type, length = read_head(block, max_body)
    kind = (content_type or b"").lower()
    if length is None and needs_length(kind):
        raise InvalidContentLength()
    return kind, length


def _read_digits(value: bytes) -> bytes:
    match = _DIGITS.fullmatch(value)
    if match is None:
        raise InvalidContentLength(value)
    return match[1].lstrip(b"0") or b"0"


def view_bytes(data: object, method: str = "feed") -> memoryview:
    """What a method takes, as bytes."""
    try:
        return memoryview(data)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{method}() takes bytes, not {type(data).__name__}") from None


class FrameSplitter:
    """Splits the byte stream of an Event Socket into frames (docs/protocol/framing.md, P2).

    Feed it whatever arrives, in any chunks, and iterate: each frame comes out as its header block (with its blank line)
    and its body, undecoded. Iteration ends when more bytes are needed and goes on after the next `feed`. CR and LF
    before a block are skipped.

    One splitter belongs to one thread at a time.

    Args:
        max_header_bytes: bound of one header block, its blank line included.
        max_body_bytes: bound of one body.
        max_buffered: bound of the bytes that wait; by default one frame of the largest size and 64 MiB.

    Example:
        >>> splitter = FrameSplitter()
        >>> splitter.feed(b"Content-Length: 5\\n\\nhelloContent-Type: auth/request\\n\\nCont")
        >>> list(splitter)
        [(b'Content-Length: 5\\n\\n', b'hello'), (b'Content-Type: auth/request\\n\\n', None)]
    """

    __slots__ = (
        "_block_end",
        "_buffer",
        "_consumed",
        "_content_type",
        "_dead",
        "_heads",
        "_last",
        "_length",
        "_lock",
        "_max_body",
        "_max_buffered",
        "_max_header",
        "_offered",
        "_searched",
        "_start",
        "_usual",
    )

    def __init__(
        self,
        *,
        max_header_bytes: int = limits.MAX_HEADER_BYTES,
        max_body_bytes: int = limits.MAX_BODY_BYTES,
        max_buffered: int | None = None,
    ) -> None:
        if max_buffered is None:
            max_buffered = limits.default_max_buffered(max_header_bytes, max_body_bytes)
        for name, bound in (
            ("max_header_bytes", max_header_bytes),
            ("max_body_bytes", max_body_bytes),
            ("max_buffered", max_buffered),
        ):
            if not 0 < operator.index(bound) < limits.BOUND_CEILING:
                raise ValueError(f"{name} is {bound}, expected 1 to {limits.BOUND_CEILING - 1}")
        self._lock = threading.RLock()  # keeps the state whole if threads share it, which they should not
        self._max_header = max_header_bytes
        self._max_body = max_body_bytes
        self._max_buffered = max_buffered
        self._buffer: bytes | bytearray = b""  # a bytearray while a long rest is appended to
        self._start = 0  # of the frame that comes next; what lies before is consumed
        self._searched = 0  # no blank line begins before this index
        self._block_end = 0  # of that frame, 0 while its blank line has not come
        self._content_type = b""  # in lower case, empty if there is none
        self._length: int | None = None
        self._consumed = 0
        self._dead = False
        self._last = b""  # the end of the frame that came out last
        self._offered: bytearray | None = None  # what get_buffer gave out
        self._usual = (
            limits.RECEIVE_BYTES_MIN
        )  # what it offers: twice after a read that filled it, slowly less after small ones
        self._heads: dict[bytes, tuple[bytes, int | None]] = {}

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")

    @property
    def buffered(self) -> int:
        """Bytes waiting: fed and not yet part of a frame that came out."""
        with self._lock:
            return len(self._buffer) - self._start

    @property
    def consumed(self) -> int:
        """Bytes turned into frames so far, skipped line ends included. After a framing error this is its place in the
        stream."""
        return self._consumed

    def feed(self, data: Buffer) -> None:
        """Store bytes. Says nothing about their content; after a framing error they are discarded.

        Args:
            data: any contiguous bytes-like object; copied.

        Raises:
            LimitExceeded: more than max_buffered bytes would wait. Nothing of `data` was stored; take frames out and
                feed it again.
            TypeError: not bytes-like.
            BufferError: not contiguous.
        """
        if type(data) is bytes:
            with self._lock:
                self._store(data, len(data))
            return
        with view_bytes(data) as view:
            if not view.c_contiguous:
                raise BufferError("feed() takes contiguous bytes")
            with self._lock:
                self._store(view, view.nbytes)

    def _store(self, data: bytes | memoryview, size: int) -> None:
        if self._dead:
            return
        buffer = self._buffer
        start = self._start
        left = len(buffer) - start
        if left + size > self._max_buffered:
            raise LimitExceeded(left + size, self._max_buffered)
        # No more is copied again than has come new, so the time is linear in the bytes fed.
        if left > size:
            if type(buffer) is not bytearray:
                buffer = bytearray(memoryview(buffer)[start:])
                buffer += data
            else:
                buffer += data
                del buffer[:start]
        elif left:
            buffer = b"".join((memoryview(buffer)[start:], data))
        else:
            buffer = bytes(data)
        self._buffer = buffer
        if start:
            self._move(start)

    def _move(self, start: int) -> None:
        """Make the buffer begin at `start`."""
        self._start = 0
        self._searched = max(self._searched - start, 0)
        self._block_end = max(self._block_end - start, 0)

    def _keep_rest(self) -> None:
        """Nothing whole is left: let go of what was fed, except the rest, which is copied."""
        start = self._start
        if start and type(self._buffer) is bytes:
            self._buffer = self._buffer[start:]
            self._move(start)

    def _cut(self, start: int, end: int) -> bytes:
        """A piece of the buffer, copied once."""
        buffer = self._buffer
        return buffer[start:end] if type(buffer) is bytes else bytes(memoryview(buffer)[start:end])

    def get_buffer(self, sizehint: int = -1) -> memoryview:
        """A writable buffer to receive into: asyncio.BufferedProtocol's half of feeding.

        Args:
            sizehint: how much may come, in bytes; -1 for unknown. What is offered is at least one byte.

        Returns:
            Memory that is ours. It is read when `buffer_updated` is called, and must not be written afterwards.

        Raises:
            LimitExceeded: max_buffered bytes are waiting.
        """
        with self._lock:
            room = limits.RECEIVE_BYTES_MAX if self._dead else self._max_buffered - self.buffered
            if room <= 0:
                raise LimitExceeded(self.buffered + 1, self._max_buffered)
            size = min(max(sizehint, self._usual), limits.RECEIVE_BYTES_MAX, room)
            if self._offered is None or len(self._offered) != size:
                self._offered = bytearray(size)
            return memoryview(self._offered)

    def buffer_updated(self, nbytes: int) -> None:
        """Take in the first bytes of the buffer that `get_buffer` gave out last.

        Args:
            nbytes: how many bytes were written there.

        Raises:
            ValueError: more than was offered, negative, or nothing was offered since the last call.
            TypeError: it is no whole number; the buffer stays offered.
            LimitExceeded: as for `feed`, if bytes were fed in between. The buffer stays offered (after a MemoryError
                too).
        """
        with self._lock:
            operator.index(nbytes)
            offered = self._offered
            if offered is None:
                raise ValueError("buffer_updated() without get_buffer()")
            if not 0 <= nbytes <= len(offered):
                self._offered = None
                raise ValueError(f"buffer_updated({nbytes}), expected 0 to {len(offered)}")
            with memoryview(offered) as view:
                self._store(view[:nbytes], nbytes)
            if nbytes == len(offered):
                self._usual = min(max(2 * nbytes, self._usual), limits.RECEIVE_BYTES_MAX)
            elif nbytes < self._usual // 8:
                self._usual = max(self._usual - self._usual // 32, limits.RECEIVE_BYTES_MIN)
            self._offered = None

    def feed_eof(self) -> None:
        """Say that the stream has ended. Whole frames that are waiting still come out; nothing else changes.

        Raises:
            IncompleteFrame: part of a frame is left after the whole ones.
            ProtocolError: the framing error that iteration is going to end with.
        """
        with self._lock:
            saved = self._start, self._searched, self._block_end, self._content_type, self._length, self._consumed
            dead = self._dead
            try:
                while (end := self._measure()) >= 0:
                    self._advance(end)
                if self.buffered:
                    self._raise_incomplete()
            finally:
                self._start, self._searched, self._block_end, self._content_type, self._length, self._consumed = saved
                self._dead = dead

    def _raise_incomplete(self) -> None:
        left = bytes(self._buffer[self._start :])
        if not self._block_end:
            raise IncompleteFrame(left, before=self._last)
        raise IncompleteFrame(left, self._block_end - self._start, self._length)

    def _measure(self) -> int:
        """Where the next frame ends in the buffer, -1 while it is not whole. What it finds out is kept in the
        attributes.

        If it raises, the splitter is dead.
        """
        block_end = self._block_end
        if not block_end:
            try:
                block_end = self._find_block()
            except BaseException:
                self._dead = True
                raise
            if not block_end:
                return -1
        end = block_end + (self._length or 0)
        return end if end <= len(self._buffer) else -1

    def _find_block(self) -> int:
        """Find the end of the header block and read what framing needs of it. 0 while its blank line is missing."""
        buffer = self._buffer
        start = self._start
        searched = self._searched
        if searched <= start:
            if start < len(buffer) and buffer[start] in b"\r\n":
                start = self._skip_line_ends()
            searched = start
        limit = start + self._max_header
        blank = find_blank_line(buffer, searched, limit)
        if blank is None:
            if len(buffer) > limit:
                raise HeaderTooLarge(self._max_header + 1, self._max_header)
            self._searched = max(len(buffer) - 2, start)  # the blank line may have begun: LF, or LF CR
            return 0
        end = blank.end()
        block = self._cut(start, end)
        head = self._heads.get(block)
        if head is None:
            self._searched = blank.start()  # found again at once if reading the block raises
            head = self._read_head(block)
        self._content_type, self._length = head
        self._block_end = end
        return end

    def _skip_line_ends(self) -> int:
        start = self._start
        match = STRAY_LINE_ENDS.match(self._buffer, start)
        self._start = self._searched = end = match.end() if match else start
        self._consumed += end - start
        return end

    def _read_head(self, block: bytes) -> tuple[bytes, int | None]:
        """What framing needs of a block that was not met before."""
        head = read_framing(block, self._max_body)
        if len(block) <= limits.MEMO_LINE_BYTES:
            if len(self._heads) >= limits.MEMO_LINES:
                self._heads.clear()
            self._heads[block] = head
        return head

    def _advance(self, end: int) -> None:
        """Go to the frame that begins at `end`."""
        self._consumed += end - self._start
        self._start = self._searched = end
        self._block_end = 0

    def next_frame(self) -> tuple[bytes, bytes | None] | None:
        """The next frame.

        Returns:
            (header block, body); the body is None without a Content-Length. None when more bytes are needed.

        Raises:
            InvalidContentLength, HeaderTooLarge, BodyTooLarge: the stream cannot be framed any further. Raised again
                at every later call.
        """
        with self._lock:
            end = self._measure()
            if end < 0:
                self._keep_rest()
                return None
            block_end = self._block_end
            block = self._cut(self._start, block_end)
            body = None if self._length is None else self._cut(block_end, end)
            last = body or block
            self._last = last if len(last) <= limits.KEPT_FRAME_BYTES else last[-limits.NOTICE_BYTES :]
            self._advance(end)
            return block, body

    def __iter__(self) -> Iterator[tuple[bytes, bytes | None]]:
        return self

    def __next__(self) -> tuple[bytes, bytes | None]:
        frame = self.next_frame()
        if frame is None:
            raise StopIteration
        return frame
