"""What columns are asked for, and how one event is read for them: what both cores of `Columns` share.

Every value is bytes until it becomes what its column's kind says; the pseudo headers too. The compiled core reads plain
and JSON events by itself, and comes here for the others.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, Final, NamedTuple, NoReturn

from .. import limits
from .._core.formats import FRAME, PAYLOAD_FORMATS, format_of, needs_length
from .._core.splitter import read_head
from ..errors import InvalidContentLength
from ..events import Event
from .notices import Item, redacted, to_line

Spec = Mapping[str, "str | tuple[str, str]"]
"""What `Columns` takes: a column's name -> a kind, or a header and a kind."""

Values = list["bytes | list[bytes] | None"]

KINDS: Final = ("string", "dictionary", "int64", "float64", "timestamp", "bool", "list", "binary", "json")
SOURCES: Final = ("", "@body", "@json", "@id", "@received", "@offset", "@switch", "@notice")
"""A header, and the pseudo headers. The order of both is that of the numbers in src/arrow.h and src/columns.h."""

COLUMNS_MOST: Final = 4096
"""Numbers of names have 15 bits in the compiled core; a switch has some 400 names."""

BATCH_ROWS_MOST: Final = (1 << 31) - 1
VALUE_MOST: Final = (1 << 29) - 1
"""Bytes of a value, and what `batch_bytes` may be: a column with one more value has its end within 32 bits, though each
byte became three. A larger value becomes null."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_SECONDS_MOST: Final = 1 << 42


class Column(NamedTuple):
    """One column: its name, where its values come from, and what they become."""

    name: str
    header: str
    kind: str
    source: int  # in SOURCES
    fixed: int  # bytes of a row beside what varies


_FIXED: Final = {"int64": 8, "float64": 8, "timestamp": 8, "bool": 1}


def columns_of(spec: Spec) -> tuple[Column, ...]:
    """The columns of a spec.

    Raises:
        ValueError: it has none or too many, an unknown kind or pseudo header, or a name that Arrow cannot have.
    """
    columns = tuple(_column(name, what) for name, what in spec.items())
    if not columns:
        raise ValueError("the spec has no columns")
    if len(columns) > COLUMNS_MOST:
        raise ValueError(f"the spec has {len(columns)} columns, expected no more than {COLUMNS_MOST}")
    return columns


def _column(name: str, what: str | tuple[str, str]) -> Column:
    header, kind = (name, what) if isinstance(what, str) else what
    if kind not in KINDS:
        raise ValueError(f"the kind of column {name!r} is {kind!r}, expected one of {', '.join(KINDS)}")
    source = SOURCES.index(header) if header.startswith("@") and header in SOURCES else 0
    if header.startswith("@") and not source:
        raise ValueError(f"{header!r} is no pseudo header, expected one of {', '.join(SOURCES[1:])}")
    if source and kind == "list":
        raise ValueError(f"column {name!r}: {header} is no list")
    if "\0" in name or not _is_text(name):
        raise ValueError(f"{name!r} cannot be the name of a column")
    return Column(name, header, kind, source, _FIXED.get(kind, 4))


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def checked_bound(name: str, value: int, most: int) -> int:
    if not 1 <= value <= most:
        raise ValueError(f"{name} is {value}, expected 1 to {most}")
    return value


# Which events


def wanted(events: Iterable[str] | None) -> frozenset[tuple[bytes, bytes | None]] | None:
    """Names, upper-case, each with a subclass or None for all; None if every event is wanted.

    Raises:
        ValueError: a subclass of anything but CUSTOM.
    """
    if events is None:
        return None
    chosen: set[tuple[bytes, bytes | None]] = set()
    for text in (events,) if isinstance(events, str) else events:
        name, *subclasses = text.encode("utf-8", "surrogateescape").split()
        name = name.upper()
        if subclasses and name != b"CUSTOM":
            raise ValueError(f"{text!r}: only CUSTOM has subclasses")
        chosen.update([(name, subclass) for subclass in subclasses] or [(name, None)])
    if (b"ALL", None) in chosen:
        return None
    if (b"CUSTOM", None) in chosen:
        chosen = {(name, subclass) for name, subclass in chosen if subclass is None}
    return frozenset(chosen)


def passes(event: Event, chosen: frozenset[tuple[bytes, bytes | None]] | None) -> bool:
    """Whether an event is among those that are wanted."""
    if chosen is None:
        return True
    name = to_wire(event.name)
    if name is None:
        return False
    name = name.upper()
    return (name, None) in chosen or (name, to_wire(event.subclass)) in chosen


# Streams


def head_of(block: bytes) -> tuple[int, int]:
    """Format of a frame's payload, `FRAME` if it is no event, and its length, from a header block.

    Raises:
        ProtocolError: as a decoder says.
    """
    content_type, length = read_head(block, limits.MAX_BODY_BYTES)
    kind = (content_type or b"").lower()
    if length is None and needs_length(kind):
        raise InvalidContentLength()
    return format_of(kind, FRAME), length or 0


def microseconds(received: float | datetime | None) -> bytes | None:
    """When something was received, as digits.

    Raises:
        ValueError: before 1970, or beyond what a timestamp can be.
    """
    if received is None:
        return None
    if isinstance(received, datetime):
        number = (received - _EPOCH) // timedelta(microseconds=1)
    elif 0 <= received < _SECONDS_MOST:
        number = round(received * 1e6)
    else:
        number = -1
    if number < 0:
        raise ValueError(f"received is {received!r}, expected seconds since 1970")
    return b"%d" % number


# One event


class Context(NamedTuple):
    """What is known of an event beside itself."""

    received: bytes | None = None
    offset: bytes | None = None
    switch: bytes | None = None


def to_wire(text: str | None) -> bytes | None:
    return None if text is None else text.encode("utf-8", "surrogateescape")


def values_of(event: Event, columns: Iterable[Column], context: Context) -> Values:
    """The value of each column as bytes, of a list its items, None where it is absent."""
    return [_value(event, column, context) for column in columns]


def _value(event: Event, column: Column, context: Context) -> bytes | list[bytes] | None:
    if not column.source:
        value = event.get(column.header)
        if column.kind != "list" or value is None:
            return to_wire(value)
        return [item.encode("utf-8", "surrogateescape") for item in event.getlist(column.header)]
    reader: Callable[[Event, Context], bytes | None] = _PSEUDO[column.source]
    return reader(event, context)


_PSEUDO: Final[Mapping[int, Callable[[Event, Context], Any]]] = {
    1: lambda event, _: event.body,
    2: lambda event, _: event.to_json(),
    3: lambda event, _: to_wire(event.id),
    4: lambda _, context: context.received,
    5: lambda _, context: context.offset,
    6: lambda _, context: context.switch,
    7: lambda _event, _context: None,
}

# Notices

_OF_NOTICE: Final = SOURCES.index("@notice")


def tells(columns: Iterable[Column]) -> bool:
    """Whether notices get rows."""
    return any(column.source == _OF_NOTICE for column in columns)


def notice_line(
    item: Item, redact: Callable[[Event], Event] | None, switch: str | None = None, at: float | None = None
) -> bytes:
    """`@notice` of a notice; one that does not know its time has it from the clock."""
    told = item if redact is None else redacted(item, redact)
    return to_line(told, switch, time.time() if at is None else at)


def notice_values(line: bytes, columns: Iterable[Column], context: Context) -> list[bytes | None]:
    """The value of each column of a notice's row."""
    given = {4: context.received, 6: context.switch, _OF_NOTICE: line}
    return [given.get(column.source) for column in columns]


def payloads(messages: Iterable[object]) -> Iterator[Event]:
    """The events among messages."""
    for message in messages:
        if isinstance(message, Event) and (message.content_type or "").lower() in _EVENT_TYPES:
            yield message


_EVENT_TYPES: Final = frozenset(content_type.decode() for content_type in PAYLOAD_FORMATS)


# What a value becomes

_INT: Final = re.compile(rb"-?[0-9]+")
_DIGITS: Final = re.compile(rb"[0-9]+")
_FLOAT: Final = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_TRUE: Final = frozenset((b"true", b"yes", b"on", b"t", b"enabled", b"active", b"allow"))
_FALSE: Final = frozenset((b"false", b"no", b"off", b"f", b"disabled", b"inactive", b"disallow"))


def to_int(raw: bytes) -> int | None:
    """`-?[0-9]+` within 64 bits."""
    if _INT.fullmatch(raw) is None:
        return None
    digits = raw.lstrip(b"-").lstrip(b"0")
    if len(digits) > 19:
        return None
    number = int(digits or b"0") * (-1 if raw.startswith(b"-") else 1)
    return number if -(1 << 63) <= number < 1 << 63 else None


def to_timestamp(raw: bytes) -> int | None:
    """Microseconds: digits within 63 bits."""
    return None if _DIGITS.fullmatch(raw) is None else to_int(raw)


def to_float(raw: bytes) -> float | None:
    """A number in decimal form that is finite."""
    if _FLOAT.fullmatch(raw) is None:
        return None
    number = float(raw)
    return number if number - number == 0 else None


def to_bool(raw: bytes) -> bool | None:
    """One of the switch's words in any case, or digits, of which anything but 0 is true."""
    word = raw.lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    return None if _DIGITS.fullmatch(raw) is None else raw.strip(b"0") != b""


def is_json(text: bytes) -> bool:
    """Whether a text, which is UTF-8, is JSON (RFC 8259)."""
    try:
        json.loads(text.decode(), parse_int=len, parse_float=len, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return False
    return True


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)
