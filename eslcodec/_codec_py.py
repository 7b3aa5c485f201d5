"""The pure-Python core, and the specification of what `_codec_c` (src/_codec_c.pyx) does.

Two problems are solved here and nowhere else: where a frame ends, and what its header lines say.

*Framing.* A frame is a header block up to its blank line and, if the block has a Content-Length, that many bytes of
body. `FrameSplitter` keeps the unread bytes in one piece, remembers how far it has searched for the blank line, and
waits for a body by counting: no byte is looked at twice because a chunk ended there. Bytes that are fed are cut in
place; what is left of them is put before the next ones, or, if it is longer than these, they are appended to it.

*Reading.* A `Message` owns the bytes of its frame, one object, and knows where the block that is read begins. A header
is found and decoded when asked for, by a search for its line. Only a name that stands there in another spelling, or in
a line that is cut in an unusual place, makes an index of them all.

Bytes are counted and cut before anything is decoded. So a percent-encoded line end never makes a header, and a body
never becomes one. If anything but the errors named in the docstrings leaves this module, that is a bug.
"""

from __future__ import annotations

import operator
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from copyreg import __newobj__ as _newobj  # type: ignore[attr-defined]
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar, overload

from . import _json, limits
from ._ctext import word
from ._json import Field, is_flat, joined
from .errors import (
    BodyTooLarge,
    HeaderTooLarge,
    IncompleteFrame,
    InvalidContentLength,
    LimitExceeded,
    MalformedPayload,
)

if TYPE_CHECKING:
    from typing_extensions import Buffer, Self

__impl__: Final = "python"
__build__: Final = "pure Python"  # the compiled core says how it was compiled

_T = TypeVar("_T")

# How the block that look-ups read is written. The first two are the frame's own header block.
FRAME: Final = 0  # plain text
FRAME_ENCODED: Final = 1  # values percent-encoded: the reply to `connect` (docs/protocol/frames.md, P3.4)
PLAIN: Final = 2  # from here on the frame's body, the event payload
JSON: Final = 3
XML: Final = 4

_PAYLOAD_FORMATS: Final = {b"text/event-plain": PLAIN, b"text/event-json": JSON, b"text/event-xml": XML}

_BLANK_LINE: Final = re.compile(rb"\n(?:\n|\r\n)")  # quicker than with `\r?`
_STRAY_LINE_ENDS: Final = re.compile(rb"[\r\n]*")
_EVENT_HEAD: Final = re.compile(rb"Content-Length: ([0-9]{1,18})\nContent-Type: (text/event-(?:plain|json|xml))\n\n")
_DIGITS: Final = re.compile(rb"[ \t]*([0-9]+)[ \t]*")
_SIMPLE_LINES: Final = re.compile(rb"[^:\n\[]*: [^ \t\r\n\[][^\n\[]*(?:\n[^:\n\[]*: [^ \t\r\n\[][^\n\[]*)*")
_CR: Final = ord("\r")
_SPACE: Final = ord(" ")
_PERCENT: Final = ord("%")  # `_PERCENT in raw` takes a fifth of the time of `b"%" in raw`

_HEX: Final = {
    high + low: bytes([int(high + low, 16)])
    for high in map(bytes, zip(b"0123456789abcdefABCDEF"))
    for low in map(bytes, zip(b"0123456789abcdefABCDEF"))
}
_UNESCAPED: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!$'()*,-./_~")
_QUOTED: Final = [bytes([byte]) if byte in _UNESCAPED else b"%%%02X" % byte for byte in range(256)]


# Percent coding


def unquote(data: Buffer) -> bytes:
    """Decode percent-encoded bytes (docs/protocol/reading.md, 3).

    `%` and exactly two hexadecimal digits of any case become one byte; every other `%` stays. One pass, NUL included.

    Args:
        data: percent-encoded bytes, of any bytes-like kind.

    Returns:
        The decoded bytes; `data` itself if nothing was encoded.

    Example:
        >>> unquote(b"a%20b%zz%2541")
        b'a b%zz%41'
    """
    data = bytes(memoryview(data))
    if _PERCENT not in data:
        return data
    head, *parts = data.split(b"%")
    decoded = [head]
    for part in parts:
        byte = _HEX.get(part[:2])
        decoded.append(b"%" + part if byte is None else byte + part[2:])
    return b"".join(decoded)


def quote(data: Buffer) -> bytes:
    """Percent-encode bytes with the switch's alphabet, every `%` included (docs/protocol/encoding.md, P5.2).

    Args:
        data: any bytes, of any bytes-like kind.

    Returns:
        ASCII bytes; upper-case hexadecimal digits. `unquote` gives `data` back.

    Example:
        >>> quote("naïve: 100%".encode())
        b'na%C3%AFve%3A%20100%25'
    """
    return b"".join([_QUOTED[byte] for byte in bytes(memoryview(data))])


def _text(raw: bytes) -> str:
    try:
        return raw.decode()  # half the time of the other, and nearly all is UTF-8
    except UnicodeDecodeError:
        return raw.decode("utf-8", "surrogateescape")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _value(raw: bytes) -> str:
    return _text(unquote(raw) if _PERCENT in raw else raw)


# Arrays, and payloads in other formats than plain


def split_array(text: str) -> str | list[str]:
    """A value as a list of its items if it is the text of an array (docs/protocol/headers.md, P6.4)."""
    return text[7:].split("|:") if text.startswith("ARRAY::") else text


_Parsed = tuple[list[Field], "bytes | None", "tuple[str, int, str] | None"]


def read_payload(format: int, payload: bytes, members: Iterable[_json.Member] | None = None) -> _Parsed:
    """The headers and the body of a JSON or XML payload, or why they cannot be read: what MalformedPayload takes.

    `members` as in `_json.read`.
    """
    name = "json" if format == JSON else "xml"
    try:
        fields, body = _json.read(payload, members) if format == JSON else _read_xml(payload)
    except _json.Fault as fault:
        return [], None, (name, fault.offset, fault.why)
    return fields, body, None


def _read_xml(payload: bytes) -> tuple[list[Field], bytes | None]:
    from . import _xml  # expat is loaded by those who get XML

    fields, body = _xml.read(payload)
    return [(name, _xml_value(value)) for name, value in fields], body


def _xml_value(value: str | list[str]) -> str | list[str]:
    return _value(value.encode()) if isinstance(value, str) else [_value(item.encode()) for item in value]


def replaces(errors: str) -> bool:
    """Whether bytes that are not UTF-8 are to be replaced, by the name of the way."""
    if errors not in ("replace", "surrogateescape"):
        raise ValueError(f"errors is {errors!r}, expected 'replace' or 'surrogateescape'")
    return errors == "replace"


def to_mapping(fields: list[Field], body: bytes | None, replace: bool) -> dict[str, str | list[str]]:
    """Headers and body in the shape of the switch's JSON events, `replace` as in `Event.to_dict`. All lists are new."""
    if replace:
        fields = [(replaced(name), _all_replaced(value)) for name, value in fields]
    mapping = dict(fields)
    if len(mapping) != len(fields):
        mapping = _first_wins(fields)
    for name in [name for name, value in mapping.items() if type(value) is list]:
        mapping[name] = [*mapping[name]]
    if body is not None:
        mapping["_body"] = replaced(_text(body)) if replace else _text(body)
    return mapping


def _all_replaced(value: str | list[str]) -> str | list[str]:
    return replaced(value) if isinstance(value, str) else [*map(replaced, value)]


def to_json(fields: list[Field], body: bytes | None, replace: bool) -> bytes:
    """`to_mapping` as compact JSON. What is not UTF-8 and not replaced is written as an escaped surrogate."""
    dumps = _json_writer()
    text = dumps(to_mapping(fields, body, False))
    try:
        return text.encode()  # nearly all is UTF-8: this is the quickest way to know
    except UnicodeEncodeError:
        if not replace:
            return text.encode("utf-8", "backslashreplace")
    return dumps(to_mapping(fields, body, True)).encode()


@cache
def _json_writer() -> Callable[[Any], str]:
    from json import JSONEncoder  # loaded by those who write JSON

    return JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


_SURROGATES: Final = re.compile("[\ud800-\udfff]")


def replaced(text: str) -> str:
    """Text with U+FFFD for each byte that is not UTF-8."""
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)


def all_replaced(headers: dict[str, str]) -> dict[str, str]:
    """Names and values `replaced`; `headers` itself if all is UTF-8. Of names that become the same the first counts."""
    try:
        "".join([*headers, *headers.values()]).encode()  # the quickest way to know
    except UnicodeEncodeError:
        return _first_wins((replaced(name), replaced(value)) for name, value in headers.items())
    return headers


# Header lines


def _cut(line: bytes) -> tuple[bytes, bytes] | None:
    """Name and raw value of a header line without its line end, None if it has no colon.

    See docs/protocol/reading.md, 1.
    """
    name, colon, value = line.partition(b": ")
    if colon:
        return name, value
    name, colon, value = line.partition(b":")
    return (name, value.lstrip(b" \t")) if colon else None


def _lines(block: bytes) -> Iterator[bytes]:
    """The lines of a header block up to its blank line, each without LF and one CR before it."""
    for line in block.split(b"\n"):
        line = line[:-1] if line.endswith(b"\r") else line
        if not line:
            return
        yield line


def _raw_pairs(block: bytes, multiline: bool = False) -> Iterator[tuple[bytes, bytes]]:
    """Every (name, raw value) of a header block; see `parse_pairs` for `multiline`."""
    if not multiline:
        yield from filter(None, map(_cut, _lines(block)))
        return
    last: tuple[bytes, bytes] | None = None
    for line in _lines(block):
        pair = _cut(line)
        if pair is None:
            last = last and (last[0], last[1] + b"\n" + line)
            continue
        if last is not None:
            yield last
        last = pair
    if last is not None:
        yield last


def _first_wins(pairs: Iterable[tuple[str, _T]]) -> dict[str, _T]:
    """Pairs as a dict: the first of a repeated spelling counts, of several Event-Name the last."""
    headers: dict[str, _T] = {}
    for name, value in pairs:
        if name not in headers or name == "Event-Name":
            headers[name] = value
    return headers


def _block_bytes(block: Buffer | str) -> bytes:
    return block.encode("utf-8", "surrogateescape") if isinstance(block, str) else bytes(memoryview(block))


def parse_pairs(block: Buffer | str, *, decode: bool = True, multiline: bool = False) -> list[tuple[str, str]]:
    """Read a header block into pairs, in wire order, repeats kept (docs/protocol/reading.md, 1 and 2).

    Args:
        block: the header lines, with or without the blank line that ends them; nothing after it is read.
        decode: percent-decode the values, as in event payloads. False for the plain text of other frames.
        multiline: join a line without a colon to the value before it, with a line feed; otherwise it is skipped. A line
            with a colon is a header in any case. So it serves dumps whose values have no colons in their further lines,
            and not SDP, which has: `a=rtpmap:0 PCMU/8000`.

    Returns:
        (name, value) for each header line; text is UTF-8 with surrogateescape.

    Example:
        >>> parse_pairs(b"A: 1%2B1\\nB:2\\nA: x\\n\\nnot: read")
        [('A', '1+1'), ('B', '2'), ('A', 'x')]
        >>> parse_pairs("Note: two\\nlines\\nNext: 1", multiline=True)
        [('Note', 'two\\nlines'), ('Next', '1')]
    """
    text = _value if decode else _text
    return [(_text(name), text(value)) for name, value in _raw_pairs(_block_bytes(block), multiline)]


def parse_headers(block: Buffer | str, *, decode: bool = True, multiline: bool = False) -> dict[str, str]:
    """Read a header block into a dict: `parse_pairs` with the first of a repeated spelling, of Event-Name the last.

    Args:
        block: as for `parse_pairs`.
        decode: as for `parse_pairs`.
        multiline: as for `parse_pairs`.

    Returns:
        Names in order of first appearance.

    Example:
        >>> parse_headers("Content-Type: command/reply\\nReply-Text: +OK 100%25\\n\\n", decode=False)
        {'Content-Type': 'command/reply', 'Reply-Text': '+OK 100%25'}
    """
    return _first_wins(parse_pairs(block, decode=decode, multiline=multiline))


def _read_head(block: bytes, max_body: int | None = None) -> tuple[bytes | None, int | None]:
    """What framing needs of a frame's header block: its Content-Type as written, and its Content-Length.

    Raises:
        InvalidContentLength: not ASCII digits with blanks around, or repeated with another value.
        BodyTooLarge: more than `max_body`.
    """
    content_type: bytes | None = None
    exact = False
    first_length: bytes | None = None
    digits = b""
    for name, value in _raw_pairs(block):
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


def _read_digits(value: bytes) -> bytes:
    match = _DIGITS.fullmatch(value)
    if match is None:
        raise InvalidContentLength(value)
    return match[1].lstrip(b"0") or b"0"


def _needs_length(content_type: bytes) -> bool:
    """Whether frames of a kind, in lower case, always have a Content-Length: without one the stream was shifted."""
    return _PAYLOAD_FORMATS.get(content_type, FRAME) > PLAIN


# Framing


def _view(data: object) -> memoryview:
    """What `feed` takes, as bytes."""
    try:
        return memoryview(data)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"feed() takes bytes, not {type(data).__name__}") from None


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
        self._lock = threading.RLock()  # so that one that is wrongly shared stays whole
        self._max_header = max_header_bytes
        self._max_body = max_body_bytes
        self._max_buffered = max_buffered
        self._buffer: bytes | bytearray = b""  # a bytearray while more bytes are left than come at once
        self._start = 0  # of the frame that comes next; what lies before is consumed
        self._searched = 0  # no blank line begins before this index
        self._block_end = 0  # of that frame, 0 while its blank line has not come
        self._content_type = b""  # in lower case, empty if there is none
        self._length: int | None = None
        self._consumed = 0
        self._dead = False
        self._last = b""  # the end of the frame that came out last
        self._offered: bytearray | None = None  # what get_buffer gave out
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
        """Bytes turned into frames so far, skipped line ends included. After a framing error: where it stands."""
        return self._consumed

    def feed(self, data: Buffer) -> None:
        """Store bytes. Says nothing about their content; after a framing error they are dropped.

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
        with _view(data) as view:
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
        # What is copied again is never longer than what comes, so that all of it takes linear time.
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
        """The buffer begins now where `start` was."""
        self._start = 0
        self._searched = max(self._searched - start, 0)
        self._block_end = max(self._block_end - start, 0)

    def _keep_rest(self) -> None:
        """Nothing whole is left: let go of what was fed but for the rest, which is copied."""
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
            size = min(max(sizehint, limits.RECEIVE_BYTES_MIN), limits.RECEIVE_BYTES_MAX, room)
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
            LimitExceeded: as for `feed`, if bytes were fed in between. The buffer stays offered, as it does if there is
                no memory.
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
            self._offered = None

    def feed_eof(self) -> None:
        """Say that the stream has ended. Whole frames that are waiting still come out; nothing else changes.

        Raises:
            IncompleteFrame: part of a frame is left behind the whole ones.
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
        """Where the next frame ends in the buffer, -1 while it is not whole. Leaves what it learned in the slots.

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
        blank = _BLANK_LINE.search(buffer, searched, limit)
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
        match = _STRAY_LINE_ENDS.match(self._buffer, start)
        self._start = self._searched = end = match.end() if match else start
        self._consumed += end - start
        return end

    def _read_head(self, block: bytes) -> tuple[bytes, int | None]:
        """What framing needs of a block that was not met before."""
        head: tuple[bytes, int | None]
        event = _EVENT_HEAD.fullmatch(block)
        if event is not None and int(event[1]) <= self._max_body:
            head = event[2], int(event[1])
        else:
            content_type, length = _read_head(block, self._max_body)
            head = (content_type or b"").lower(), length
            if length is None and _needs_length(head[0]):
                raise InvalidContentLength()
        if len(block) <= limits.MEMO_LINE_BYTES:
            if len(self._heads) >= limits.MEMO_LINES:
                self._heads.clear()
            self._heads[block] = head
        return head

    def _advance(self, end: int) -> None:
        """Go to the frame behind `end`."""
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


class MessageDecoder(FrameSplitter):
    """A splitter whose frames come out as messages.

    Args:
        kinds: Content-Type in lower case -> subclass of `Message`.
        default: the class for everything else.
        max_header_bytes, max_body_bytes, max_buffered: as for `FrameSplitter`.
    """

    __slots__ = ("_default", "_kinds", "_memo", "_split")

    def __init__(
        self,
        kinds: Mapping[bytes, type[Message]],
        default: type[Message],
        *,
        max_header_bytes: int = limits.MAX_HEADER_BYTES,
        max_body_bytes: int = limits.MAX_BODY_BYTES,
        max_buffered: int | None = None,
    ) -> None:
        super().__init__(max_header_bytes=max_header_bytes, max_body_bytes=max_body_bytes, max_buffered=max_buffered)
        self._kinds = dict(kinds)
        self._default = default
        for kind in [*self._kinds.values(), default]:
            if not issubclass(kind, Message):
                raise TypeError(f"{kind!r} is no subclass of Message")
        self._memo = _Memo()
        self._split = 0  # how long the head was that was known last: successive ones are as long as each other

    def next_message(self) -> Message | None:
        """The next message, None when more bytes are needed. Raises as iteration does.

        If making the message raises, its frame still waits.
        """
        with self._lock:
            while True:
                # Nearly all frames lie whole in what was fed, with a head like one before.
                start = self._start
                buffer = self._buffer
                head = None
                if type(buffer) is bytes and not self._block_end:
                    block_end = start + self._split  # what is a head that was met is a whole one
                    head = self._heads.get(buffer[start:block_end])
                    if head is None:
                        block_end = buffer.find(b"\n\n", start, start + limits.MEMO_LINE_BYTES) + 2
                        head = self._heads.get(buffer[start:block_end])
                        if head is not None:
                            self._split = block_end - start
                if head is not None and (end := block_end + (head[1] or 0)) <= len(buffer):
                    content_type, length = head
                    frame: bytes = buffer[start:end]  # type: ignore[assignment]  # bytes, as was seen
                else:
                    end = self._measure()
                    if end < 0:
                        self._keep_rest()
                        return None
                    start, block_end = self._start, self._block_end
                    content_type, length = self._content_type, self._length
                    frame = self._cut(start, end)
                consumed = self._consumed
                kind = self._kinds.get(content_type, self._default)
                message = kind.__new__(kind)  # which may be anybody's code
                if self._consumed == consumed:
                    break
            size = end - start
            self._last = frame if size <= limits.KEPT_FRAME_BYTES else frame[-limits.NOTICE_BYTES :]
            self._consumed = consumed + size  # as `_advance` does
            self._start = self._searched = self._start + size  # which may have moved
            self._block_end = 0
        message._frame = frame
        split = block_end - start
        if content_type != b"text/event-plain":
            message._init(split, length is not None, content_type, self._memo)
            return message
        message._split = split  # as `_init` does, without the call
        message._has_body = length is not None
        message._memo = memo = self._memo
        message._needles = memo.needles
        message._format = PLAIN
        message._index = message._folded = None
        message._head_stop = -1
        message._checked = split - 1
        return message

    if TYPE_CHECKING:

        def __iter__(self) -> Iterator[Message]: ...  # type: ignore[override]

    def __next__(self) -> Message:  # type: ignore[override]
        message = self.next_message()
        if message is None:
            raise StopIteration
        return message


# Reading


class _NoColon(Exception):
    """A line that is no header. Who looked it up reads its block in the other way."""


def _pair(line: bytes) -> tuple[str, str]:
    """Name and decoded value of a payload's line.

    Raises:
        _NoColon: it has none. The empty line is one of these.
    """
    cut = _cut(line[:-1] if line.endswith(b"\r") else line)
    if cut is None:
        raise _NoColon
    return _text(cut[0]), _value(cut[1])


class _LineMemo(dict[bytes, tuple[str, str]]):
    """Header line -> (name, decoded value), made on first look-up. Bounded; never changes a result."""

    __slots__ = ()

    def __missing__(self, line: bytes) -> tuple[str, str]:
        pair = _pair(line)
        if len(line) <= limits.MEMO_LINE_BYTES:
            if len(self) >= limits.MEMO_LINES:
                self.clear()
            self[line] = pair
        return pair


class _MemberMemo(dict[bytes, tuple[str, str]]):
    """Header line -> (name, the member of a JSON object that it becomes), as `_LineMemo`.

    A byte that is not UTF-8 is a surrogate in the member too, not escaped: whoever writes it decides what it becomes.
    """

    __slots__ = ("_quoted",)

    def __init__(self) -> None:
        from json.encoder import encode_basestring  # loaded by those who write JSON

        self._quoted: Callable[[str], str] = encode_basestring

    def __missing__(self, line: bytes) -> tuple[str, str]:
        name, value = _pair(line)
        member = name, self.written(name, split_array(value))
        # A control character may be six times as long here: what is kept is bounded by what is written, too.
        if len(line) <= limits.MEMO_LINE_BYTES and len(member[1]) <= limits.MEMO_LINE_BYTES:
            if len(self) >= limits.MEMO_LINES:
                self.clear()
            self[line] = member
        return member

    def written(self, name: str, value: str | list[str]) -> str:
        quoted = self._quoted
        text = quoted(value) if isinstance(value, str) else f"[{','.join(map(quoted, value))}]"
        return f"{quoted(name)}:{text}"


class _NeedleMemo(dict[str, bytes]):
    """Name -> what stands before its value in a block, from the line feed on; b"" if no line can have it. Bounded."""

    __slots__ = ()

    def __missing__(self, name: str) -> bytes:
        raw = _name_bytes(name)
        if raw is None or b"\n" in raw or b": " in raw:
            return b""
        needle = b"\n%b:" % raw
        if len(needle) <= limits.MEMO_LINE_BYTES:
            if len(self) >= limits.MEMO_LINES:
                self.clear()
            self[name] = needle
        return needle


class _Memo:
    """What a decoder's messages remember together. Dropped with the last of them."""

    __slots__ = ("_members", "lines", "needles")

    def __init__(self) -> None:
        self.lines = _LineMemo()
        self.needles = _NeedleMemo()
        self._members: _MemberMemo | None = None

    @property
    def members(self) -> _MemberMemo:
        """Made by the first who writes JSON. Of two threads at once each may make one; one of them stays."""
        members = self._members
        if members is None:
            members = self._members = _MemberMemo()
        return members


def _name_bytes(name: str) -> bytes | None:
    """A name as it would stand on the wire, None if no bytes are read as this text."""
    try:
        raw = name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return None
    return raw if _text(raw) == name else None


def _fold(name: str) -> bytes | None:
    """A name for comparing without regard to ASCII case, None if it cannot stand on the wire."""
    raw = _name_bytes(name)
    return None if raw is None else raw.lower()


@lru_cache(maxsize=256)
def _lone_lines(name: str) -> Callable[[bytes], list[bytes]]:
    """What finds all that stands behind this name and a colon, in any ASCII case."""
    return re.compile(b"\n" + re.escape(name.encode()) + b":([^\n]*)", re.IGNORECASE).findall


class Message(Mapping[str, str]):
    """One frame: a read-only mapping of header names to text, read from the frame's bytes when asked.

    For events the mapping is the payload's headers, for every other kind the frame's own. Keys are the distinct exact
    spellings in order of first appearance; a look-up takes the exact spelling if present, else the first that matches
    ignoring ASCII case. Of a repeated spelling the first counts, of several Event-Name the last. Text is UTF-8 with
    surrogateescape. Values are percent-decoded in event payloads and in the reply to `connect`, nowhere else.

    A message may be read from any thread.

    Args:
        block: the frame's header block with its blank line.
        body: the frame's body, None if there is none.

    Raises:
        ValueError: `block` does not end with its first blank line.
        InvalidContentLength: as in a stream. An event in JSON or XML may have a body without one, but not neither.

    Example:
        >>> message = Message(b"Content-Type: command/reply\\nReply-Text: +OK\\n\\n")
        >>> message["reply-text"], message.get("Job-UUID"), list(message)
        ('+OK', None, ['Content-Type', 'Reply-Text'])
    """

    __slots__ = (
        "_checked",
        "_flat",
        "_folded",
        "_format",
        "_frame",
        "_has_body",
        "_head_stop",
        "_index",
        "_members",
        "_memo",
        "_needles",
        "_opened",
        "_parsed",
        "_split",
    )

    _frame: bytes
    _split: int  # length of the frame's own header block
    _has_body: bool
    _format: int
    _memo: _Memo
    _needles: _NeedleMemo | None  # while look-ups search for a line: in a plain payload, until there is an index
    _index: dict[str, str] | None
    _folded: dict[bytes, str] | None
    _members: tuple[_json.Member, ...] | None  # of JSON events that the quick reader can read, once it has
    _opened: dict[str, Any] | None  # and by name, the body too; empty for others
    _parsed: _Parsed | None  # of JSON and XML events
    _flat: bool | None  # of JSON events; None while not known
    _head_stop: int  # where the blank line of the block that is read begins; -1 while not known
    _checked: int  # no blank line begins before this index

    def __init__(self, block: bytes, body: bytes | None = None) -> None:
        block = bytes(memoryview(block))
        blank = _BLANK_LINE.search(block)
        if blank is None or blank.end() != len(block):
            raise ValueError("a header block ends with its first blank line")
        self._frame = block if body is None else block + body
        written, _ = _read_head(block)
        content_type = (written or b"").lower()
        if body is None and _needs_length(content_type):
            raise InvalidContentLength()
        self._init(len(block), body is not None, content_type, _Memo())

    def _init(self, split: int, has_body: bool, content_type: bytes, memo: _Memo) -> None:
        """Set all but the frame; the Content-Type in lower case."""
        self._split = split
        self._has_body = has_body
        self._memo = memo
        self._index = None
        self._folded = None
        self._head_stop = -1
        self._checked = split - 1
        self._format = format = _PAYLOAD_FORMATS.get(content_type, FRAME)
        if format == PLAIN:
            self._needles = memo.needles
            return
        self._needles = self._parsed = self._members = self._opened = self._flat = None
        if format == FRAME and self._frame.startswith(b"Event-Name:"):
            self._format = FRAME_ENCODED

    # The bytes

    @property
    def frame(self) -> bytes:
        """The whole frame as on the wire: header block and body."""
        return self._frame

    @property
    def raw(self) -> bytes:
        """The header block that is read, undecoded, with its blank line; of JSON and XML events the whole payload."""
        if self._format < PLAIN:
            return self._frame[: self._split]
        if self._format == PLAIN:
            return self._frame[self._split : self._find_head_end()]
        return self._frame[self._split :]

    @property
    def body(self) -> bytes | None:
        """The body as bytes: of an event what follows its payload's blank line, of other frames the frame's body.

        None if nothing is there.
        """
        if self._format == PLAIN:
            return self._frame[self._find_head_end() :] or None
        if self._format > PLAIN:
            return self._load()[1]
        return self._frame[self._split :] if self._has_body else None

    @property
    def payload(self) -> bytes | None:
        """The frame's body as it came, of an event its payload; None without a Content-Length."""
        return self._frame[self._split :] if self._has_body else None

    @property
    def text(self) -> str:
        """The body as text (UTF-8, surrogateescape); "" if there is none."""
        return _text(self.body or b"")

    @property
    def content_type(self) -> str | None:
        """The Content-Type of the frame, as written."""
        if self._format < PLAIN:
            return self.get("Content-Type")
        written, _ = _read_head(self._frame[: self._split])
        return None if written is None else _text(written)

    @property
    def malformed(self) -> MalformedPayload | None:
        """None, or why nothing could be read from an event's payload. Such an event has no headers and no body."""
        fault = self._load()[2] if self._format > PLAIN else None
        return None if fault is None else MalformedPayload(*fault)

    def _load(self) -> _Parsed:
        """What a JSON or XML payload says."""
        parsed = self._parsed
        if parsed is None:
            payload = self._frame[self._split :]
            members = self._members
            if self._format == JSON and self._opened is None:
                self._members = members = _json.members(payload)
                if members is None:
                    self._opened = {}  # so that it is not tried again
            parsed = self._parsed = read_payload(self._format, payload, members)
        return parsed

    def _open(self) -> dict[str, Any]:
        """The values of a JSON event that look-ups take, those that are no text not looked at."""
        opened = self._opened
        if opened is None:
            members = self._members
            if members is None:
                self._members = members = _json.members(self._frame[self._split :])
            opened = self._opened = {} if members is None else _json.by_name(members)
        return opened

    def _find_head_end(self) -> int:
        """Where the body begins in the frame: behind the payload's blank line, or at the end if it has none."""
        frame = self._frame
        blank = _BLANK_LINE.search(frame, self._checked if self._head_stop < 0 else self._head_stop)
        if blank is None:
            self._head_stop = len(frame)
            return len(frame)
        self._head_stop = blank.start()
        return blank.end()

    def _block(self) -> bytes:
        """The header lines that are read, without what ends the last one."""
        if self._format < PLAIN:
            return self._frame[: self._split]
        if self._head_stop < 0:
            self._find_head_end()
        return self._frame[self._split : max(self._head_stop, self._split)]

    # Look-ups

    def _in_head(self, at: int) -> bool:
        """Whether the line that begins behind `at` stands before the payload's blank line."""
        if self._head_stop >= 0:
            return at < self._head_stop
        blank = _BLANK_LINE.search(self._frame, self._checked, at + 1)
        if blank is not None:
            self._head_stop = blank.start()
            return False
        self._checked = at
        return True

    def _build_index(self) -> dict[str, str]:
        index = self._parse()
        self._index = index
        self._needles = None
        return index

    def _parse(self) -> dict[str, str]:
        """All headers, as `asdict` gives them."""
        if self._format > PLAIN:
            return _first_wins((name, joined(value)) for name, value in self._load()[0])
        block = self._block()
        if self._format != PLAIN:
            return _first_wins(self._pairs_of(block))
        lines = block.split(b"\n")
        known = self._memo.lines.__getitem__
        try:
            headers = dict(map(known, lines))
            return headers if len(headers) == len(lines) else _first_wins(map(known, lines))
        except _NoColon:
            return _first_wins(self._pairs_of(block))

    def _pairs_of(self, block: bytes) -> Iterator[tuple[str, str]]:
        text = _text if self._format == FRAME else _value
        return ((_text(name), text(value)) for name, value in _raw_pairs(block))

    def _spelling(self, name: object) -> str | None:
        """The key that a look-up of `name` takes: itself, or the first that matches ignoring ASCII case."""
        index = self._index
        if index is None:
            index = self._build_index()
        if not isinstance(name, str):
            return None
        if name in index:
            return name
        folded = self._folded
        if folded is None:
            folded = {}
            for key in index:
                folded.setdefault(_fold(key) or b"", key)
            self._folded = folded
        wanted = _fold(name)
        return None if wanted is None else folded.get(wanted)

    @overload
    def get(self, name: str, default: None = None, *, errors: str = "surrogateescape") -> str | None: ...
    @overload
    def get(self, name: str, default: str | _T, *, errors: str = "surrogateescape") -> str | _T: ...
    def get(self, name: str, default: Any = None, *, errors: str = "surrogateescape") -> Any:
        """The value of a header, or `default`.

        A value may have bytes that are not UTF-8: a caller chooses their name, `Jos\\xe9` in Latin-1. With
        "surrogateescape" each is kept as a lone surrogate, `Jos\\udce9`, and `value.encode("utf-8", "surrogateescape")`
        gives the bytes back; but what wants UTF-8 (orjson, a database, a text file) refuses such text. "replace" gives
        text that anything takes.

        Args:
            name: its exact spelling; if no header has that, the first that matches ignoring ASCII case.
            default: returned as it is if there is no such header.
            errors: what becomes of bytes that are not UTF-8: "surrogateescape", or "replace" by U+FFFD each.

        Raises:
            ValueError: another value of `errors`.

        Example:
            >>> message = Message(b"Content-Type: command/reply\\nReply-Text: +OK Jos\\xe9\\n\\n")
            >>> message.get("reply-text"), message.get("Job-UUID"), message.get("Job-UUID", "none")
            ('+OK Jos\\udce9', None, 'none')
            >>> message.get("Reply-Text", errors="replace") == "+OK Jos\\N{REPLACEMENT CHARACTER}"
            True
        """
        if errors != "surrogateescape" and replaces(errors):
            value = self._get(name)
            return default if value is None else replaced(value)
        # A search for its line in the exact spelling, as far as that decides it. One flat function: all look-ups come
        # through here, and a call costs a tenth of one.
        needles = self._needles
        needle = needles[name] if needles is not None and isinstance(name, str) else b""
        if needle:
            frame = self._frame
            first = self._split - 1  # the frame's block ends with LF: the payload's first line has one before it, too
            at = frame.rfind(needle, first) if name == "Event-Name" else frame.find(needle, first)
            if at >= 0 and (at <= self._checked or self._in_head(at)):
                start = at + len(needle)
                end = frame.find(b"\n", start)
                if end >= 0 and frame[start] == _SPACE:
                    raw = frame[start + 1 : end]
                    if _PERCENT in raw or _CR in raw:
                        return _value(raw[:-1] if raw.endswith(b"\r") else raw)
                    try:
                        return raw.decode()  # as `_text`
                    except UnicodeDecodeError:
                        return raw.decode("utf-8", "surrogateescape")
        value = self._look_up(name)
        return default if value is None else value

    def _look_up(self, name: object) -> str | None:
        """The value of a name that is absent, spelled otherwise, or in a line that is cut elsewhere."""
        if not isinstance(name, str) or (self._needles is not None and not self._may_have(name)):
            return None
        if self._format == JSON:
            opened = self._opened
            value = (self._open() if opened is None else opened).get(name)
            if type(value) is str and name not in _json.BODY_NAMES:
                return value
        key = self._spelling(name)
        return None if key is None or self._index is None else self._index[key]

    def _may_have(self, name: str) -> bool:
        """Whether a line could begin with `name` in any spelling. Cheaper than an index, for names that are absent."""
        needle = self._memo.needles[name]
        return needle != b"" and needle.lower() in self._frame.lower()

    _get = get  # for the other look-ups, whatever a subclass makes of `get`

    def _last(self, name: str) -> str | None:
        """The value of a look-up, but the last of a repeated spelling.

        Somebody's headers may stand before those that the switch wrote itself (docs/protocol/observed.md, 33 and 34).
        """
        needle = self._memo.needles[name] if self._format == PLAIN else b""
        if needle:
            frame = self._frame
            first = self._split - 1
            at = frame.rfind(needle, first)
            if at > self._checked and not self._in_head(at):
                at = frame.rfind(needle, first, self._head_stop)
            start = at + len(needle)
            if at >= 0 and frame[start : start + 1] == b" ":
                end = frame.find(b"\n", start)
                raw = frame[start + 1 : end if end >= 0 else len(frame)]
                return _value(raw[:-1] if raw.endswith(b"\r") else raw)
            if at < 0 and not self._may_have(name):
                return None
        if self._format == JSON:
            opened = self._open()
            value = opened.get(name) if len(opened) == len(self._members or ()) else None  # if no name is repeated
            if type(value) is str and name not in _json.BODY_NAMES:
                return value
        key = self._spelling(name)
        if key is None:
            return None
        fields = self._load()[0] if self._format > PLAIN else self.pairs()
        return next(joined(value) for other, value in reversed(fields) if other == key)

    def __getitem__(self, name: str) -> str:
        value = self._get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._get(name) is not None

    def __bool__(self) -> bool:
        """True: a message is there, whatever it says. So `while message := decoder.next_message()` misses none."""
        return True

    def __len__(self) -> int:
        return len(self._index if self._index is not None else self._build_index())

    def __iter__(self) -> Iterator[str]:
        return iter(self._index if self._index is not None else self._build_index())

    def _lone(self, name: object) -> str | bool | None:
        """The value of a name that cannot mean more than one thing, for readers with look-up rules of their own.

        Of a plain payload without `[` in its header lines: the value of the only line with that name in any ASCII case,
        None if there is no such line. False in every other case, among them: an empty value, one with blanks before it,
        an array. Of a JSON payload the same, if `_json.is_flat` says so.
        """
        if self._format not in (PLAIN, JSON) or not isinstance(name, str) or not name.isascii() or not name:
            return False
        if any(byte in name for byte in ":[\n"):
            return False
        if self._format == JSON:
            return self._lone_member(name)
        block = self._block()
        if b"[" in block:
            return False
        lines = _lone_lines(name)(b"\n" + block)
        if not lines:
            return None
        value = lines[0][:-1] if lines[0].endswith(b"\r") else lines[0]
        if len(lines) > 1 or len(value) < 2 or not value.startswith(b" ") or value[1] in b" \t":
            return False
        text = _value(value[1:])
        return False if text.startswith("ARRAY::") else text

    def _lone_member(self, name: str) -> str | bool | None:
        if not self._is_flat():
            return False
        folded = name.lower()
        values = [value for key, value in self._load()[0] if key.isascii() and key.lower() == folded]
        if not values:
            return None
        value = values[0]
        if len(values) > 1 or not value or not isinstance(value, str) or value.startswith("ARRAY::"):
            return False
        return value

    def _is_flat(self) -> bool:
        """Whether a JSON payload is (`_json.is_flat`)."""
        if self._flat is None:
            self._flat = self._load()[2] is None and is_flat(self._frame[self._split :])
        return self._flat

    def _survey(self) -> tuple[int, bool] | None:
        """How many header lines a plain payload has, and whether one is an array.

        None where a line is not cut at its first colon, a value is empty or begins with a blank, an array has less than
        two items or first an empty one or an array's text, or a `[` stands anywhere. Of a JSON payload that is flat
        (`_json.is_flat`) the same of its members and its body; None also where an item has `|:` in it, and where there
        are no members. None for other formats.
        """
        if self._format == JSON:
            return self._survey_members() if self._is_flat() else None
        if self._format != PLAIN:
            return None
        block = self._block().removesuffix(b"\n")
        if not block:
            return 0, False
        if _SIMPLE_LINES.fullmatch(block) is None:
            return None
        arrays = [value for _, value in self._pairs_of(block) if value.startswith("ARRAY::")]
        if any("|:" not in array or array.startswith(("ARRAY::|:", "ARRAY::ARRAY::")) for array in arrays):
            return None
        return block.count(b"\n") + 1, bool(arrays)

    def _survey_members(self) -> tuple[int, bool] | None:
        fields, body, _ = self._load()
        lists = [value for _, value in fields if isinstance(value, list)]
        texts = [value for _, value in fields if isinstance(value, str)]
        if not fields or body == b"" or any(not text or text.startswith("ARRAY::") for text in texts):
            return None
        for items in lists:
            if len(items) < 2 or not items[0] or items[0].startswith("ARRAY::") or any("|:" in item for item in items):
                return None
        return len(fields), bool(lists)

    def select(self, *names: str, errors: str = "surrogateescape") -> tuple[str | None, ...]:
        """The values of several names in one pass over the bytes, None where absent.

        Args:
            names: as for `get`.
            errors: as for `get`.

        Raises:
            ValueError: another value of `errors`.

        Example:
            >>> Message(b"A: 1\\nB: 2\\n\\n").select("B", "C", "a")
            ('2', None, '1')
        """
        values = tuple(map(self._get, names))
        if errors != "surrogateescape" and replaces(errors):
            return tuple([None if value is None else replaced(value) for value in values])
        return values

    def asdict(self, *, errors: str = "surrogateescape") -> dict[str, str]:
        """All headers as a fresh dict, equal to `dict(message)` and much faster.

        Args:
            errors: as for `get`, of names and values. "replace" gives what any JSON encoder or database takes; names
                that become the same are one, the first.

        Raises:
            ValueError: another value of `errors`.

        Example:
            >>> Message(b"A: 1\\nCaller: Jos\\xe9\\n\\n").asdict()
            {'A': '1', 'Caller': 'Jos\\udce9'}
            >>> Message(b"A: 1\\nCaller: Jos\\xe9\\n\\n").asdict(errors="replace")["Caller"].encode()
            b'Jos\\xef\\xbf\\xbd'
        """
        headers = self._fresh()
        return all_replaced(headers) if errors != "surrogateescape" and replaces(errors) else headers

    def _fresh(self) -> dict[str, str]:
        if self._index is not None:
            return dict(self._index)
        if self._format == JSON:
            opened = self._open()
            members = self._members
            if members is not None and len(opened) == len(members) and opened.keys().isdisjoint(_json.BODY_NAMES):
                headers = _json.flat(opened)
                if headers is not None:
                    return headers
        return self._parse()

    def pairs(self) -> list[tuple[str, str]]:
        """Every (name, value) as on the wire, repeats kept, an array as its joined text."""
        if self._format > PLAIN:
            fields: list[Any] = self._load()[0]
            return [field if type(field[1]) is str else (field[0], joined(field[1])) for field in fields]
        block = self._block()
        if self._format == PLAIN:
            try:
                return list(map(self._memo.lines.__getitem__, block.split(b"\n")))
            except _NoColon:
                pass
        return list(self._pairs_of(block))

    def _fields(self) -> list[Field]:
        """`pairs` with arrays as lists."""
        fields = self._load()[0] if self._format > PLAIN else self.pairs()
        # `in` spares nearly all the call; of a list it asks for an item that is this.
        return [
            (field[0], split_array(field[1])) if "ARRAY::" in field[1] and isinstance(field[1], str) else field
            for field in fields
        ]

    def to_json(self, errors: str = "replace") -> bytes:
        """All headers, and the body of an event, as compact JSON in the shape of the switch's JSON events.

        Straight from the bytes, without a dict in between. See `Event.to_dict`, which it is equal to.

        Args:
            errors: what becomes of bytes that are not UTF-8: "replace" by U+FFFD each, or "surrogateescape": written
                as `\\udcXX`, which `json.loads` gives back as such.

        Returns:
            Valid UTF-8 in any case.

        Raises:
            ValueError: another value of `errors`.

        Example:
            >>> Message(b"A: 1\\nB: ARRAY::x|:y\\n\\n").to_json()
            b'{"A":"1","B":["x","y"]}'
        """
        replace = replaces(errors)
        json = self._plain_json(replace) if self._format == PLAIN else None
        return to_json(self._fields(), self.body, replace) if json is None else json

    def _whole_json(self) -> bytes | None:
        """What `to_json` gives, if that is known to be all: each name stands once, and all is UTF-8. None if not.

        It is known of events whose lines are remembered: plain ones, in the compiled core XML ones too.
        """
        return self._plain_json(None) if self._format == PLAIN else None

    def _plain_json(self, replace: bool | None) -> bytes | None:
        """A plain event as JSON, put together of lines that are remembered. None if that needs another way.

        With None for `replace` also if something is not UTF-8.
        """
        memo = self._memo.members
        lines = self._block().split(b"\n")
        try:
            members = dict(map(memo.__getitem__, lines))
        except _NoColon:
            return None
        if len(members) != len(lines) or not members.keys().isdisjoint(_json.BODY_NAMES):
            return None
        body = self.body
        if body is not None:
            members["_body"] = memo.written("_body", _text(body))
        text = f"{{{','.join(members.values())}}}"
        try:
            return text.encode()
        except UnicodeEncodeError:
            if replace is None:
                return None
        if not replace:
            return text.encode("utf-8", "backslashreplace")
        if len(set(map(replaced, members))) != len(members):
            return None
        return replaced(text).encode()

    def _mapping(self, replace: bool) -> dict[str, str | list[str]]:
        """What `to_json` writes."""
        if self._format != PLAIN:
            if replace and self._format == JSON:
                replace = not _is_utf8(self._frame)  # where it is, the text is: an escaped surrogate is read as U+FFFD
            return to_mapping(self._fields(), self.body, replace)
        headers = all_replaced(self._fresh()) if replace else self._fresh()
        mapping: dict[str, Any] = headers
        for name in [name for name, value in headers.items() if "ARRAY::" in value]:
            mapping[name] = split_array(headers[name])
        body = self.body
        if body is not None:
            text = _text(body)
            mapping["_body"] = replaced(text) if replace else text
        return mapping

    def getlist(self, name: str) -> list[str]:
        """Every value of a name, `ARRAY::a|:b` split into its items. [] if the name is absent.

        Example:
            >>> Message(b"A: ARRAY::x|:y\\nA: z\\n\\n").getlist("A")
            ['x', 'y', 'z']
        """
        key = self._spelling(name)
        values: list[str] = []
        for other, value in self._fields() if key is not None else ():
            if other == key:
                values += [value] if isinstance(value, str) else value
        return values

    # As an object

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other) or not isinstance(other, Message):
            return NotImplemented
        return self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple[int, bytes, bool]:
        """Format, and raw bytes and body as one."""
        if self._format < PLAIN:
            return self._format, self._frame, self._has_body
        return self._format, self._frame[self._split :], True

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._frame[: self._split], self._frame[self._split :] if self._has_body else None)

    def __repr__(self) -> str:
        """What it is, on one short line: `str` and `print` show the same. `text` has what was written."""
        told = self._told() if getattr(self, "_frame", b"") else "not made yet"
        return f"<{type(self).__name__} {told}>" if told else f"<{type(self).__name__}>"

    def _told(self) -> str:
        """What `repr` says behind the kind. Never a header's value that may be a secret."""
        kind = self.content_type
        return f"{'' if kind is None else word(kind) + ' '}of {len(self.frame)} bytes"


class HeaderReader:
    """What a program calls for each header of an event of the official module: `ESLevent.getHeader`, `nextHeader`.

    A subclass sets what they read and answers, in `_find`, what cannot be answered here.
    """

    __slots__ = ("_at", "_frame", "_index", "_names")

    _frame: Message | None  # an event as it came
    _index: Mapping[str, str | None] | None  # the value of each exact name, once it was made
    _names: list[str]
    _at: int

    def __new__(cls, *args: Any, **names: Any) -> Self:
        reader = super().__new__(cls)
        reader._frame = reader._index = None
        reader._names = []
        reader._at = 0
        return reader

    def getHeader(self, name: str | None, idx: int = -1, /) -> str | None:
        """The first value of a header, whatever the case of its name, None if there is none.

        Args:
            name: `_body` is the body, if no header has that name.
            idx: which item of an array, from 0; None if there is no such item or no array. Negative: the whole value,
                of an array `ARRAY::a|:b`.
        """
        if idx == -1:
            index, frame = self._index, self._frame  # whose event it is may change it meanwhile
            if index is not None:
                found: Any = index.get(name)  # type: ignore[arg-type]
                if found is not None:
                    return found  # type: ignore[no-any-return]
            elif frame is not None:
                found = frame._lone(name)
                if found is not False and found is not None:
                    return found  # type: ignore[no-any-return]
        return self._find(name, idx)

    def _find(self, name: str | None, idx: int) -> str | None:
        raise NotImplementedError

    def nextHeader(self) -> str | None:
        """The name of the next header, None behind the last one or before `firstHeader`.

        The names are those that `firstHeader` found: headers may be changed meanwhile.
        """
        names, at = self._names, self._at  # whose reader it is may begin anew meanwhile
        if at >= len(names):
            return None
        self._at = at + 1
        return names[at]

    def _rewind(self, names: list[str]) -> str | None:
        """Have `nextHeader` give these names; the first of them."""
        self._names = names
        self._at = 0
        return self.nextHeader()

    def __reduce__(self) -> tuple[Any, ...]:
        state = self._frame, self._index, self._names, self._at, getattr(self, "__dict__", None)
        return _newobj, (type(self),), state

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._frame, self._index, self._names, at, others = state
        self._at = max(at, 0)
        if others:
            self.__dict__.update(others)
