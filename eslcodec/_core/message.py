"""What a frame says: `Message`.

A message owns the bytes of its frame, one object, and knows where the header block that is read begins. A header is
found and decoded when it is asked for, by a search for its line. An index of all headers is made only for a name in
another spelling, or in a line that is cut in an unusual place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeVar, overload

from .. import _json
from .._ctext import word
from .._json import Field, is_flat, joined
from ..errors import InvalidContentLength, MalformedPayload
from .formats import FRAME, FRAME_ENCODED, JSON, PLAIN, format_of, needs_length
from .json_in import Parsed, read_payload
from .json_out import to_json, to_mapping
from .lines import all_replaced, find_blank_line, first_wins, raw_pairs
from .splitter import read_head
from .templates import Memo, NeedleMemo, NoColon
from .text import PERCENT, decode_value, fold_name, is_utf8, replaced, replaces, split_array, to_text

_CR: Final = ord("\r")
_SPACE: Final = ord(" ")

_T = TypeVar("_T")


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
        InvalidContentLength: as in a stream. An event in JSON or XML must have a body or a Content-Length.

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
    _memo: Memo
    _needles: NeedleMemo | None  # while look-ups search for a line: in a plain payload, until there is an index
    _index: dict[str, str] | None
    _folded: dict[bytes, str] | None
    _members: tuple[_json.Member, ...] | None  # of JSON events that the quick reader can read, once it has
    _opened: dict[str, Any] | None  # and by name, the body too; empty for others
    _parsed: Parsed | None  # of JSON and XML events
    _flat: bool | None  # of JSON events; None while not known
    _head_stop: int  # where the blank line of the block that is read begins; -1 while not known
    _checked: int  # no blank line begins before this index

    def __init__(self, block: bytes, body: bytes | None = None) -> None:
        block = bytes(memoryview(block))
        blank = find_blank_line(block)
        if blank is None or blank.end() != len(block):
            raise ValueError("a header block ends with its first blank line")
        self._frame = block if body is None else block + body
        written, _ = read_head(block)
        content_type = (written or b"").lower()
        if body is None and needs_length(content_type):
            raise InvalidContentLength()
        self._init(len(block), body is not None, content_type, Memo())

    def _init(self, split: int, has_body: bool, content_type: bytes, memo: Memo) -> None:
        """Set everything except the frame; the Content-Type comes in lower case."""
        self._split = split
        self._has_body = has_body
        self._memo = memo
        self._index = None
        self._folded = None
        self._head_stop = -1
        self._checked = split - 1
        self._format = format = format_of(content_type, FRAME)
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
        return to_text(self.body or b"")

    @property
    def content_type(self) -> str | None:
        """The Content-Type of the frame, as written."""
        if self._format < PLAIN:
            return self.get("Content-Type")
        written, _ = read_head(self._frame[: self._split])
        return None if written is None else to_text(written)

    @property
    def malformed(self) -> MalformedPayload | None:
        """None, or why nothing could be read from an event's payload. Such an event has no headers and no body."""
        fault = self._load()[2] if self._format > PLAIN else None
        return None if fault is None else MalformedPayload(*fault)

    def _load(self) -> Parsed:
        """What a JSON or XML payload says."""
        parsed = self._parsed
        if parsed is None:
            payload = self._frame[self._split :]
            members = self._members
            if self._format == JSON and self._opened is None:
                self._members = members = _json.members(payload)
                if members is None:
                    self._opened = {}  # and is not tried again
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
        """Where the body begins in the frame: after the payload's blank line, or at the end if it has none."""
        frame = self._frame
        blank = find_blank_line(frame, self._checked if self._head_stop < 0 else self._head_stop)
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
        """Whether the line that begins after `at` stands before the payload's blank line."""
        if self._head_stop >= 0:
            return at < self._head_stop
        blank = find_blank_line(self._frame, self._checked, at + 1)
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
            return first_wins((name, joined(value)) for name, value in self._load()[0])
        block = self._block()
        if self._format != PLAIN:
            return first_wins(self._pairs_of(block))
        lines = block.split(b"\n")
        known = self._memo.lines.__getitem__
        try:
            headers = dict(map(known, lines))
            return headers if len(headers) == len(lines) else first_wins(map(known, lines))
        except NoColon:
            return first_wins(self._pairs_of(block))

    def _pairs_of(self, block: bytes) -> Iterator[tuple[str, str]]:
        text = to_text if self._format == FRAME else decode_value
        return ((to_text(name), text(value)) for name, value in raw_pairs(block))

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
                folded.setdefault(fold_name(key) or b"", key)
            self._folded = folded
        wanted = fold_name(name)
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
        # Search for its line in the exact spelling, as far as that decides it. One flat function: all look-ups come
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
                    if PERCENT in raw or _CR in raw:
                        return decode_value(raw[:-1] if raw.endswith(b"\r") else raw)
                    try:
                        return raw.decode()  # as `to_text`
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
        """As `get`, but of a repeated spelling the last header counts.

        Headers of another event may come before those that the switch wrote itself (docs/protocol/observed.md, 33 and
        34).
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
                return decode_value(raw[:-1] if raw.endswith(b"\r") else raw)
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
        """True, also without headers: so `while message := decoder.next_message()` misses no message."""
        return True

    def __len__(self) -> int:
        return len(self._index if self._index is not None else self._build_index())

    def __iter__(self) -> Iterator[str]:
        return iter(self._index if self._index is not None else self._build_index())

    def _is_flat(self) -> bool:
        """Whether a JSON payload is (`_json.is_flat`)."""
        if self._flat is None:
            self._flat = self._load()[2] is None and is_flat(self._frame[self._split :])
        return self._flat

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
            except NoColon:
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
        """What `to_json` gives, if that is known to lose nothing: each name occurs once, and all is UTF-8. Else None.

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
        except NoColon:
            return None
        if len(members) != len(lines) or not members.keys().isdisjoint(_json.BODY_NAMES):
            return None
        body = self.body
        if body is not None:
            members["_body"] = memo.written("_body", to_text(body))
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
                replace = not is_utf8(self._frame)  # no surrogates then: an escaped one is read as U+FFFD
            return to_mapping(self._fields(), self.body, replace)
        headers = all_replaced(self._fresh()) if replace else self._fresh()
        mapping: dict[str, Any] = headers
        for name in [name for name, value in headers.items() if "ARRAY::" in value]:
            mapping[name] = split_array(headers[name])
        body = self.body
        if body is not None:
            text = to_text(body)
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
        """What `repr` says after the kind of message. It never has the value of a header that may be a secret."""
        kind = self.content_type
        return f"{'' if kind is None else word(kind) + ' '}of {len(self.frame)} bytes"
