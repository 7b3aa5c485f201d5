"""The contract of the bridge, version 1: subjects, identities, headers and bodies (docs/contract.md).

What a consumer in any language may rely on, in one place and without I/O. The vectors are in
`eslcodec/data/contract/v1.json`, the JSON Schemas beside them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import takewhile
from typing import Any, Final, NamedTuple
from zlib import crc32

from ..events import Event, _number

__all__ = [
    "PARTITIONS",
    "PARTITIONS_MOST",
    "PREFIX",
    "SUBJECT",
    "TEMPLATE_TOKENS_MOST",
    "TOKEN_MOST",
    "VERSION",
    "Contract",
    "Item",
    "Place",
    "Subject",
    "Subjects",
    "escape",
    "event_line",
    "identity",
    "notice_identity",
    "partition",
    "unescape",
]

VERSION: Final = 1
"""What changes for consumers gets another one, and other subjects with it: `esl.v1` stays as it is."""

PARTITIONS: Final = 16
"""How many partitions there are, unless told otherwise: enough for workers, few for subjects."""

PARTITIONS_MOST: Final = 1024
"""A server keeps each subject in its memory, and there is one for each name of event and partition."""

TOKEN_MOST: Final = 96
"""Bytes of a token. A line of NATS's protocol has 4,096 bytes at most, with the subject and two numbers in it."""

TEMPLATE_TOKENS_MOST: Final = 16
"""Tokens of a template: 16 of 96 bytes leave room for a reply subject in the line."""

PREFIX: Final = "esl.v1"
"""What subjects begin with, unless another is given: of what is live."""

SUBJECT: Final = PREFIX + ".{@switch}.{@partition}.{Event-Name}[.{Event-Subclass}]"
"""The template of subjects, unless another is given."""

_CORE: Final = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
_PLAIN: Final = re.compile(rf"[A-Za-z0-9_:-]{{1,{TOKEN_MOST}}}", re.ASCII)
_OTHER: Final = re.compile(rb"[^A-Za-z0-9_:-]")
_ESCAPED: Final = re.compile(r"(?:[A-Za-z0-9_:-]|%[0-9A-F]{2})+", re.ASCII)
_PLACE: Final = re.compile(r"([^.~]+):(\d{1,19}):(\d{1,19}):([0-9a-f]{16})", re.ASCII)
_NOTICE: Final = re.compile(rb'\{"_notice":("(?:[^"\\]|\\.)*")(?=[,}])')
_HASH_DIGITS: Final = 32  # 128 bits
_CUT: Final = TOKEN_MOST - _HASH_DIGITS - 1
_EMPTY: Final = "%"
_UNKNOWN: Final = "-"  # the core of a connection that could not be asked
_OURS: Final = ("_id", "_oversize")  # members that are never an event's own
_KEPT: Final = ("Event-Name", "Event-Subclass", "Core-UUID", "Event-Sequence", "Event-Date-Timestamp", "Unique-ID")
_KEPT_MOST: Final = 1024  # characters of each
_LEAST: Final = 64 << 10  # what a message without anything but what it is known by never needs
_HEADERS_MOST: Final = 2048  # bytes that headers of ours never need
_KEY_MOST: Final = 256  # characters of what a subject is remembered by
_MADE_MOST: Final = 1024  # subjects, but for their partition
_EPOCH: Final = datetime(1970, 1, 1)
_HEAD_BYTES: Final = 12  # "NATS/1.0", and the line ends around the headers


def escape(value: str) -> str:
    """A value as a token of a subject (docs/contract.md, Tokens).

    Letters, digits, `_`, `-` and `:` stay. Every other byte of the value's UTF-8 is `%` and two upper-case hexadecimal
    digits; a byte that was no UTF-8 stays that byte. The empty value is `%`. What would be longer than `TOKEN_MOST` is
    cut behind the last whole byte that leaves room for `~` and 128 bits of the SHA-256 of the value's bytes.

    Example:
        >>> escape("sofia::register"), escape("a.b c*>"), escape("")
        ('sofia::register', 'a%2Eb%20c%2A%3E', '%')
        >>> escape("x" * 97)
        'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx~19a8f07eeb7f3d0c0b7377e37d72eccd'
    """
    if _PLAIN.fullmatch(value):
        return value
    return _escaped(value) if len(value) <= TOKEN_MOST else _escape(value)


def _escape(value: str) -> str:
    data = _bytes(value)
    token = _OTHER.sub(lambda match: b"%%%02X" % match[0][0], data[: TOKEN_MOST + 1]).decode("ascii")
    if len(token) <= TOKEN_MOST:
        return token or _EMPTY
    torn = token.find("%", _CUT - 2, _CUT)
    return f"{token[: _CUT if torn < 0 else torn]}~{_digest(data)}"


_escaped = lru_cache(maxsize=512)(_escape)  # for short ones: they are few, and come again and again


def unescape(token: str) -> str:
    """The value of a token that `escape` made.

    Raises:
        ValueError: `escape` makes no such token, or it was shortened: the body has the whole value then.

    Example:
        >>> unescape("a%2Eb%20c%2A%3E"), unescape("%")
        ('a.b c*>', '')
        >>> unescape("a~00112233445566778899aabbccddeeff")
        Traceback (most recent call last):
            ...
        ValueError: the token 'a~00112233445566778899aabbccddeeff' was shortened
    """
    if token == _EMPTY:
        return ""
    if "~" in token:
        raise ValueError(f"the token {token!r:.200} was shortened")
    if _ESCAPED.fullmatch(token):
        data = re.sub(rb"%(..)", lambda match: bytes((int(match[1], 16),)), token.encode("ascii"))
        value = data.decode("utf-8", "surrogateescape")
        if escape(value) == token:
            return value
    raise ValueError(f"read the token {token!r:.200}, expected one that was escaped")


def _bytes(value: str) -> bytes:
    """The bytes of a text of the wire. Half a surrogate pair, which JSON can bring, becomes U+FFFD."""
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return re.sub("[\ud800-\udc7f\udd00-\udfff]", "\ufffd", value).encode("utf-8", "surrogateescape")


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:_HASH_DIGITS]


def partition(unique_id: str | None, switch: str, partitions: int = PARTITIONS) -> int:
    """Which partition an event belongs to: the CRC-32 (of zlib) of its Unique-ID, if it has one, else of the switch.

    All events of a channel have one partition, so that one worker gets them in order.

    Example:
        >>> partition("7f4de4bc-17d7-11dd-b7a0-db4edd065621", "fs1"), partition(None, "fs1")
        (5, 15)
    """
    return crc32(_bytes(unique_id or switch)) % partitions


# Identities


def identity(event: Event, core: str | None) -> str:
    """What an event is known by, in every recording of it and by every bridge.

    It is `eslcodec.Event.id` if that is the switch's own: the Core-UUID of the connection, and a number. Otherwise,
    since a program can fire an event with any headers, it is `<core>:h:` and 128 bits of the SHA-256 of the payload,
    which no other event has.

    Args:
        event: as received.
        core: the Core-UUID of the switch that the connection leads to, asked for after login; None if it is not known.

    Example:
        >>> event = Event.build("DTMF", {"Core-UUID": "8f08a03a", "Event-Sequence": 525})
        >>> identity(event, "8f08a03a"), identity(event, "11111111")
        ('8f08a03a:525', '11111111:h:fa93b6ed2b8312bc0975113750f9995c')
    """
    own = event.id if core is not None else None
    if own is not None:
        before, _, number = own.rpartition(":")
        if before == core and number.isdigit() and number.isascii() and len(number) <= 20:
            return own
    return f"{core or _UNKNOWN}:h:{_digest(event.payload or b'')}"


def notice_identity(line: bytes, connection: int, offset: int) -> str:
    """What a notice is known by: it is of one recording, so that no other bridge has the same.

    Args:
        line: the notice as a line of JSON, without an `_id`.
        connection, offset: where it stands in the recording.

    Example:
        >>> notice_identity(b'{"_notice":"gap"}', 7, 1024)
        'n:2b56606263b5bfe351735688e2c2fb66'
    """
    return f"n:{_digest(b'%016x:%d:%b' % (connection, offset, line))}"


class Place(NamedTuple):
    """A place in the folder of a recording: behind an event, or behind a notice. Later places are greater.

    Attributes:
        file: the name of the file in which it ends, without `.esl.zst`. Names sort as the files were made.
        position: where in the file the chunk begins in which it ends.
        offset: where in the stream of the connection it ends.
        connection: the number of the connection.

    Example:
        >>> place = Place("20261130T014838Z-000001", 4096, 98765, 7)
        >>> str(place)
        '20261130T014838Z-000001:4096:98765:0000000000000007'
        >>> Place.parse(str(place)) == place
        True
    """

    file: str
    position: int
    offset: int
    connection: int

    def __str__(self) -> str:
        return f"{escape(self.file)}:{self.position}:{self.offset}:{self.connection:016x}"

    @classmethod
    def parse(cls, text: str) -> Place:
        """Read what `str` gave.

        Raises:
            ValueError: it is something else.
        """
        match = _PLACE.fullmatch(text)
        if match is None:
            raise ValueError(f"read {text!r:.200}, expected a place in a recording")
        return cls(unescape(match[1]), int(match[2]), int(match[3]), int(match[4], 16))


# Subjects


class Subject(NamedTuple):
    """What a subject says.

    Attributes:
        switch: the name of the switch; None if the template has none.
        partition: of an event; None of a notice.
        notice: the kind of a notice; None of an event.
        headers: what the template names: "" if the event has none of the name, or an empty one; None if the token was
            shortened.

    Example:
        >>> Subjects().parse("esl.v1.fs1.notice.gap")
        Subject(switch='fs1', partition=None, notice='gap', headers={})
    """

    switch: str | None
    partition: int | None
    notice: str | None
    headers: dict[str, str | None]


class _Token(NamedTuple):
    """A token of a template: `kind` is "" (a literal), "header", "@switch" or "@partition"."""

    kind: str
    text: str

    @classmethod
    def parse(cls, text: str, template: str) -> _Token:
        if _PLAIN.fullmatch(text):
            return cls("", text)
        match = re.fullmatch(r"\{([^{}]+)\}", text)
        if match is None or (match[1].startswith("@") and match[1] not in ("@switch", "@partition")):
            raise ValueError(f"the template {template!r:.200} has the token {text!r:.200}")
        return cls(match[1] if match[1].startswith("@") else "header", match[1])


class Subjects:
    """Subjects by a template (docs/contract.md, Templates).

    Args:
        template: tokens with dots between them. A token is literal (letters, digits, `_`, `-`, `:`; the first one must
            be, and does not begin with `_`), `{@switch}`, `{@partition}` (once), or a header's name in braces. What
            stands in brackets at the end is left out if the event has none of its headers.
        partitions: how many.

    Raises:
        ValueError: it is no such template, or the number is no such number.

    Example:
        >>> subjects = Subjects("tenant.{variable_domain_name}.{@switch}.{@partition}.{Event-Name}")
        >>> event = Event.build("CHANNEL_ANSWER", {"Unique-ID": "a", "variable_domain_name": "example.com"})
        >>> subjects.of_event(event, "fs1"), subjects.of_notice("gap", "fs1")
        ('tenant.example%2Ecom.fs1.3.CHANNEL_ANSWER', 'tenant.%.fs1.notice.gap')
        >>> subjects.parse("tenant.example%2Ecom.fs1.3.CHANNEL_ANSWER").headers
        {'variable_domain_name': 'example.com', 'Event-Name': 'CHANNEL_ANSWER'}
        >>> Subjects().pattern("fs1")
        'esl.v1.fs1.>'
    """

    def __init__(self, template: str = SUBJECT, partitions: int = PARTITIONS) -> None:
        if not 1 <= partitions <= PARTITIONS_MOST:
            raise ValueError(f"partitions is {partitions}, expected 1 to {PARTITIONS_MOST}")
        self.template = template
        self.partitions = partitions
        match = re.fullmatch(r"([^\[\]]+)(?:\[\.([^\[\]]+)\])?", template)
        if match is None:
            raise ValueError(f"the template {template!r:.200} has brackets elsewhere than around its end")
        self._tokens = [_Token.parse(text, template) for text in match[1].split(".")]
        self._end = [_Token.parse(text, template) for text in match[2].split(".")] if match[2] else []
        self._names = tuple(token.text for token in self._tokens + self._end if token.kind == "header")
        self._check()
        self._partition_at = [token.kind for token in self._tokens].index("@partition")
        self._made: dict[tuple[str | None, ...], tuple[str, str]] = {}  # what is before and behind the partition

    @classmethod
    def under(cls, prefix: str, partitions: int = PARTITIONS) -> Subjects:
        """Subjects as `SUBJECT` makes them, with another beginning: for what is published again.

        Args:
            prefix: words with dots between them.
            partitions: how many.

        Raises:
            ValueError: it is something else.

        Example:
            >>> Subjects.under("replay.may").pattern("fs1")
            'replay.may.fs1.>'
        """
        if not prefix or any(_PLAIN.fullmatch(word) is None for word in prefix.split(".")):
            raise ValueError(f"read the prefix {prefix!r:.200}, expected words with dots between them")
        return cls(prefix + SUBJECT[len(PREFIX) :], partitions)

    @property
    def prefix(self) -> str:
        """The words that all subjects begin with.

        Example:
            >>> Subjects().prefix
            'esl.v1'
        """
        words = takewhile(lambda token: not token.kind, self._tokens)
        return ".".join(token.text for token in words)

    def _check(self) -> None:
        template = f"the template {self.template!r:.200}"
        kinds = [token.kind for token in self._tokens]
        ends = [token.kind for token in self._end]
        if kinds.count("@partition") != 1 or kinds.count("@switch") > 1 or "@partition" in ends or "@switch" in ends:
            raise ValueError(f"{template} has not one {{@partition}} and at most one {{@switch}}, before any brackets")
        if kinds[0] or self._tokens[0].text.startswith("_"):
            raise ValueError(f"{template} begins with no word of its own")
        if self._end and not any(ends):
            raise ValueError(f"{template} has no header in its brackets")
        if len(kinds) + len(ends) > TEMPLATE_TOKENS_MOST:
            raise ValueError(f"{template} has more than {TEMPLATE_TOKENS_MOST} tokens")
        if len(set(self._names)) < len(self._names):
            raise ValueError(f"{template} names a header twice")

    def __repr__(self) -> str:
        return f"<Subjects {self.template!r} {self.partitions}>"

    def of_event(self, event: Event, switch: str) -> str:
        """The subject of an event of a switch."""
        unique_id, *found = event.select("Unique-ID", *self._names)
        return self._of(unique_id, found, switch)

    def _of(self, unique_id: str | None, found: Sequence[str | None], switch: str) -> str:
        """The same, for what the event has: values of the template's headers, in their order."""
        key = (switch, *found)
        before, behind = self._made.get(key) or self._make(key)
        return f"{before}{partition(unique_id, switch, self.partitions)}{behind}"

    def _make(self, key: tuple[str | None, ...]) -> tuple[str, str]:
        switch, *found = key
        values = dict(zip(self._names, found, strict=True))
        shape = list(self._tokens)
        if any(token.kind and values[token.text] is not None for token in self._end):
            shape += self._end
        texts = [_text(token, values, switch or "") for token in shape]
        before, behind = texts[: self._partition_at], texts[self._partition_at + 1 :]
        made = "".join(text + "." for text in before), "".join("." + text for text in behind)
        if sum(len(value or "") for value in key) <= _KEY_MOST:
            if len(self._made) >= _MADE_MOST:
                self._made.clear()
            self._made[key] = made
        return made

    def of_notice(self, kind: str, switch: str) -> str:
        """The subject of a notice. Where an event has its partition, a number, it has `notice`."""
        none: dict[str, str | None] = dict.fromkeys(self._names)
        tokens = [_text(token, none, switch) for token in self._tokens[: self._partition_at]]
        return ".".join([*tokens, "notice", escape(kind)])

    def pattern(self, switch: str | None = None) -> str:
        """What a stream or a consumer asks for: all events and notices of a switch, or of all."""
        tokens = []
        for kind, text in self._tokens[: self._partition_at]:
            name = escape(switch) if kind == "@switch" and switch is not None else "*"
            tokens.append(name if kind else text)
        return ".".join([*tokens, ">"])

    def of_partition(self, number: int) -> str:
        """What a consumer asks for that wants the events of one partition, of all switches, and no notices.

        Raises:
            ValueError: there is no such partition, or the template has nothing but brackets behind it.

        Example:
            >>> Subjects().of_partition(3)
            'esl.v1.*.3.>'
        """
        if not 0 <= number < self.partitions:
            raise ValueError(f"partition is {number}, expected one below {self.partitions}")
        before = self.pattern().removesuffix(">") + str(number)
        if self._partition_at < len(self._tokens) - 1:
            return f"{before}.>"
        if self._end:
            raise ValueError(f"no one pattern has all of a partition by {self.template!r:.200}: name subjects")
        return before

    def parse(self, subject: str) -> Subject:
        """What a subject says.

        Raises:
            ValueError: the template gives no such subject.
        """
        tokens = subject.split(".")
        at = self._partition_at
        notice = None
        shape = self._tokens
        if len(tokens) == at + 2 and tokens[at] == "notice":
            notice = _value(tokens[-1])
            shape = shape[:at]
            tokens = tokens[:at]
        elif len(tokens) > len(shape):
            shape = shape + self._end
        found: dict[str, str | None] = {}
        if len(tokens) != len(shape) or not all(
            _read(token, text, found) for token, text in zip(shape, tokens, strict=True)
        ):
            raise ValueError(f"read the subject {subject!r:.200}, expected one of {self.template!r:.200}")
        number = None
        if "@partition" in found:
            text = found.pop("@partition") or ""
            if not self._has(text):
                raise ValueError(f"read the partition {text!r:.40}, expected one below {self.partitions}")
            number = int(text)
        return Subject(found.pop("@switch", None), number, notice, found)

    def _has(self, number: str) -> bool:
        is_number = number.isdigit() and number.isascii() and len(number) <= 4
        return is_number and str(int(number)) == number and int(number) < self.partitions


def _text(token: _Token, values: dict[str, str | None], switch: str) -> str:
    """A token with what it stands for; that of the partition is empty."""
    kind, text = token
    if kind == "header":
        return escape(values[text] or "")
    return text if not kind else "" if kind == "@partition" else escape(switch)


def _read(token: _Token, text: str, found: dict[str, str | None]) -> bool:
    if not token.kind:
        return text == token.text
    found[token.text] = _value(text)
    return True


def _value(token: str) -> str | None:
    return None if "~" in token else unescape(token)


# Messages


class Item(NamedTuple):
    """A message for the log.

    Attributes:
        subject: where it goes.
        headers: names and values, ASCII.
        body: the line of JSON.
        id: what it is known by; the same as `headers["Nats-Msg-Id"]`.
        place: behind it, in the recording; None if it is not from one.

    Example:
        >>> item = Item("esl.v1.fs1.0.DTMF", {"Nats-Msg-Id": "8f08a03a:525"}, b'{"_id":"8f08a03a:525"}', "8f08a03a:525")
        >>> item.size
        61
    """

    subject: str
    headers: dict[str, str]
    body: bytes
    id: str
    place: Place | None = None

    @property
    def size(self) -> int:
        """How many bytes a server counts: headers and body."""
        return len(self.body) + _HEAD_BYTES + sum(len(name) + len(value) + 4 for name, value in self.headers.items())


class Contract:
    """Events and notices of one switch as messages.

    Args:
        switch: its name.
        core: the Core-UUID of the switch that the connection leads to. Set it anew after each login.
        subjects: how subjects are made.
        max_bytes: of a message, headers and body, at least 64 KiB: what is larger is told without its body
            (docs/contract.md, Bodies).
        redact: what takes out of an event what may not be published, such as an `eslcodec.ingest.Redact`. What the
            event is known by is that of the event as it was received (docs/contract.md, Redaction).

    Attributes:
        switch, subjects, max_bytes, redact: see above.
        oversize: how many were told without their body.

    Raises:
        ValueError: the name is empty or too long for a token; `max_bytes` is too small.

    Example:
        >>> contract = Contract("fs1", "8f08a03a")
        >>> item = contract.event(Event.build("DTMF", {"Core-UUID": "8f08a03a", "Event-Sequence": 525}))
        >>> item.subject, item.id
        ('esl.v1.fs1.15.DTMF', '8f08a03a:525')
        >>> item.body
        b'{"_id":"8f08a03a:525","Event-Name":"DTMF","Core-UUID":"8f08a03a","Event-Sequence":"525"}'
        >>> item.headers["ce-source"], item.headers["ce-type"]
        ('/esl/fs1', 'esl.event.DTMF')
    """

    def __init__(
        self,
        switch: str,
        core: str | None = None,
        subjects: Subjects | None = None,
        max_bytes: int | None = None,
        redact: Callable[[Event], Event] | None = None,
    ) -> None:
        if not switch or "~" in escape(switch):
            raise ValueError(f"the name {switch!r:.200} of a switch is no token of at most {TOKEN_MOST} bytes")
        if max_bytes is not None and max_bytes < _LEAST:
            raise ValueError(f"max_bytes is {max_bytes}, expected at least {_LEAST}")
        self.switch = switch
        self.core = core
        self.subjects = subjects if subjects is not None else Subjects()
        self.max_bytes = max_bytes
        self.redact = redact
        self.oversize = 0
        self._source = f"/esl/{escape(switch)}"

    def __repr__(self) -> str:
        return f"<Contract {self.switch!r} v{VERSION}>"

    @property
    def max_bytes(self) -> int | None:
        """How large a message may be."""
        return None if self._room is None else self._room + _HEADERS_MOST

    @max_bytes.setter
    def max_bytes(self, most: int | None) -> None:
        self._room = None if most is None else most - _HEADERS_MOST

    @property
    def core(self) -> str | None:
        """The Core-UUID of the switch that the connection leads to. What cannot be one counts as not known."""
        return self._core

    @core.setter
    def core(self, core: str | None) -> None:
        self._core = core if core is not None and _CORE.fullmatch(core) else None

    def event(self, event: Event, place: Place | None = None, received: float | None = None) -> Item:
        """An event as a message.

        Args:
            event: as received.
            place: behind it, in the recording.
            received: when it was received, in seconds since 1970.
        """
        id = identity(event, self._core)
        if self.redact is not None:
            event = self.redact(event)
        names = self.subjects._names
        unique_id, name, subclass, *found = event.select("Unique-ID", "Event-Name", "Event-Subclass", *names)
        end = "" if subclass is None else "." + escape(subclass)
        headers = self._headers(id, f"esl.event.{escape(name or '')}{end}", place, received)
        at = _time_of(event._last("Event-Date-Timestamp"))
        if at is not None:
            headers["ce-time"] = at
        subject = self.subjects._of(unique_id, found, self.switch)
        item = Item(subject, headers, event_line(event, id), id, place)
        if self._room is None or len(item.body) <= self._room or item.size <= self._room + _HEADERS_MOST:
            return item
        self.oversize += 1
        headers["Esl-Oversize"] = str(len(item.body))
        room = self._room + _HEADERS_MOST - item._replace(body=b"").size
        return item._replace(body=_shortened(event, id, len(item.body), room))

    def notice(self, line: bytes, place: Place, received: float, redacted: bytes | None = None) -> Item:
        """A notice as a message.

        Args:
            line: it as a line of JSON, which begins with `{"_notice":`.
            place: behind it, in the recording.
            received: when it was written, in seconds since 1970.
            redacted: the line that is published, if that is another one: `line` is only what it is known by then.

        Raises:
            ValueError: it is no such line.

        Example:
            >>> place = Place("20261130T014838Z-000001", 4096, 98765, 7)
            >>> item = Contract("fs1").notice(b'{"_notice":"gap","switch":"fs1"}', place, 1796003318.25)
            >>> item.subject, item.body[:23], item.headers["ce-time"]
            ('esl.v1.fs1.notice.gap', b'{"_notice":"gap","_id":', '2026-11-30T01:48:38.250000Z')
        """
        id = notice_identity(line, place.connection, place.offset)
        line = line if redacted is None else redacted
        match = _NOTICE.match(line)
        if match is None:
            raise ValueError(f"read the line {line[:200]!r}, expected a notice")
        kind = str(json.loads(match[1]))
        headers = self._headers(id, f"esl.notice.{escape(kind)}", place, received)
        headers["ce-time"] = _time(round(received * 1e6))
        body = match[0] + b',"_id":"%b"' % id.encode() + line[match.end() :].rstrip(b"\n")
        return Item(self.subjects.of_notice(kind, self.switch), headers, body, id, place)

    def _headers(self, id: str, kind: str, place: Place | None, received: float | None) -> dict[str, str]:
        headers = {
            "Nats-Msg-Id": id,
            "ce-specversion": "1.0",
            "ce-id": id,
            "ce-source": self._source,
            "ce-type": kind,
            "ce-datacontenttype": "application/json",
        }
        if place is not None:
            headers["Esl-Place"] = str(place)
        if received is not None:
            headers["Esl-Received"] = f"{received:.6f}"
        return headers


def event_line(event: Event, id: str) -> bytes:
    """The line of `Event.to_json`, with the event's identity in front as `_id`.

    Example:
        >>> event_line(Event.build("DTMF", {"_id": "forged"}), "8f08a03a:525")
        b'{"_id":"8f08a03a:525","Event-Name":"DTMF"}'
    """
    line = event.to_json()
    if "_id" in event or "_oversize" in event:
        line = _dumped({name: value for name, value in event.to_dict().items() if name not in _OURS})
    return b'{"_id":"%b"%b%b' % (id.encode(), b"" if line == b"{}" else b",", line[1:])


def _shortened(event: Event, id: str, size: int, room: int) -> bytes:
    """The line of an event that is too large: without its body, or with nothing but what it is known by."""
    ours: dict[str, Any] = {"_id": id, "_oversize": size}
    rest = {name: value for name, value in event.to_dict().items() if name not in (*_OURS, "_body")}
    line = _dumped(ours | rest)
    if len(line) <= room:
        return line
    return _dumped(ours | {name: str(rest[name])[:_KEPT_MOST] for name in _KEPT if name in rest})


def _dumped(mapping: dict[str, Any]) -> bytes:
    return json.dumps(mapping, ensure_ascii=False, separators=(",", ":")).encode()


def _time_of(text: str | None) -> str | None:
    """A number of microseconds since 1970 as a time; None if it is none, or not in the calendar."""
    microseconds = _number(text) if text is not None else None
    try:
        return None if microseconds is None else _time(microseconds)
    except OverflowError:
        return None


def _time(microseconds: int) -> str:
    second, rest = divmod(microseconds, 1_000_000)
    return f"{_second(second)}.{rest:06}Z"


@lru_cache(maxsize=64)
def _second(second: int) -> str:
    return (_EPOCH + timedelta(seconds=second)).isoformat()
