"""Frames as the official module takes them: their kinds, which are replies, what their headers are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from .._codec import Message, parse_pairs, survey, unquote
from .._codec_py import split_array
from .._ctext import to_bytes, to_text
from .._json import Field
from ..enums import EventName
from ..headers import HeaderList

_TYPES: Final = {name.value.encode(): name.value for name in EventName if name.value != "CERT_RELOAD"}
"""The names that the official library knows: all of the switch's except one."""

_PREFIX: Final = len("SWITCH_EVENT_")


class PlainEvent(Message):
    """An event in the plain format."""

    __slots__ = ()


class JsonEvent(Message):
    """An event in JSON."""

    __slots__ = ()


class Reply(Message):
    """The reply to a command, or an API command's output."""

    __slots__ = ()


class Notice(Message):
    """A disconnect notice."""

    __slots__ = ()


KINDS: Final[dict[bytes, type[Message]]] = {
    b"text/event-plain": PlainEvent,
    b"text/event-json": JsonEvent,
    b"command/reply": Reply,
    b"api/response": Reply,
    b"text/disconnect-notice": Notice,
}


def ends_connection(frame: Message) -> bool:
    """Whether a disconnect notice says that it is final (docs/protocol/frames.md, P3.6)."""
    return (
        isinstance(frame, Notice)
        and frame.payload is not None
        and unquote(to_bytes(frame.get("Content-Disposition", ""))).lower() != b"linger"
    )


def is_reply(frame: Message) -> bool:
    """Whether a frame ends the wait for a reply: those of an unknown kind do, if they do not name it.

    See docs/protocol/esl-module.md, P7.3.
    """
    return isinstance(frame, Reply) or (type(frame) is Message and not read_type(frame))


def read_type(frame: Message) -> bytes:
    """The Content-Type as the official library reads it, empty if there is none."""
    return unquote(to_bytes((frame.content_type or "").lstrip(" \t")))


def respell(frame: Message) -> Message:
    """A frame of no known kind, or of the kind that its Content-Type names when read as the official library does."""
    if type(frame) is not Message:
        return frame
    written, read = to_bytes(frame.content_type or ""), read_type(frame)
    kind = KINDS.get(read.lower())
    if kind is None or read == written:
        return frame
    line = rb"(?im)^(content-type:) *" + re.escape(written)
    return kind(re.sub(line, rb"\1 " + read, _block_of(frame), count=1), frame.payload)


def _block_of(frame: Message) -> bytes:
    """The frame's own header block."""
    return frame.frame[: len(frame.frame) - len(frame.payload or b"")]


def _read_values(block: bytes, blanks: str) -> Iterator[tuple[str, str]]:
    """The headers of a block as the official library reads them: blanks before a value removed, then decoded."""
    for name, raw in parse_pairs(block, decode=False):
        value = raw.lstrip(blanks)
        yield name, to_text(unquote(to_bytes(value))) if "%" in value else value


def read_outer(frame: Message) -> HeaderList:
    """The frame itself as the official library has it: what it makes of the frame's own header block, and the body."""
    headers = HeaderList()
    for name, value in read_pairs(frame):
        _receive(headers, name, value)
    return copy_list(headers, frame.payload)


def read_plain(frame: Message) -> tuple[HeaderList, str | None]:
    """The list of a plain event, and its type: None if no name that is known came."""
    headers = HeaderList()
    type_ = None
    for name, value in _read_values(frame.raw, " "):
        if is_event_name(name):
            headers.delete(name)
            type_ = type_of(value) or type_
        _receive(headers, name, value)
    return copy_list(headers, frame.body), type_


def _receive(headers: HeaderList, name: str, value: str) -> None:
    """Add a header of a block that came: an array item by item, whatever the name."""
    if not is_array(value):
        headers.add(name, value)
        return
    for item in split_array(value) if value != "ARRAY::" else ():
        headers.push(name, item)


def copy_list(headers: HeaderList, body: bytes | None) -> HeaderList:
    """A copy, as the official module hands out what was received: each item pushed again.

    See docs/protocol/esl-module.md, A3.2.
    """
    fields: list[Field] = []
    found = headers.body
    for name, value in headers.fields():
        kept = value if isinstance(value, str) else _push_all(value)
        if kept:
            fields.append((name, kept))
        if name == "_body" and found is None:  # an array, of which each item that is pushed becomes the body
            found = to_bytes(value[-1])
    return HeaderList(fields, found if body is None else body)


def _push_all(items: list[str]) -> list[str]:
    """What becomes of the items of an array that are pushed one by one."""
    headers = HeaderList()
    for item in items:
        headers.push("", item)
    return headers.getlist("")


def is_event_name(name: str) -> bool:
    return len(name) == 10 and name.lower() == "event-name"


def index_event(event: Message) -> tuple[dict[str, str], list[str]] | None:
    """The first value of each exact name, and all names in order, of an event that has nothing special.

    Special are items `name[i]`, empty values, blanks before a value, arrays of less than two items, that begin with an
    empty one or another array, or of a name that repeats in any case, several Event-Name, and a header `_body`. In JSON
    also what is neither a text nor an array of texts, and more than one body.
    """
    found = survey(event)
    if found is None:
        return None
    lines, arrays = found
    headers = event.asdict()
    names = list(headers)
    aliases = _aliases(tuple(names))
    repeats = lines != len(names)
    if "_body" in headers or (arrays and (repeats or aliases) and _is_array_repeated(event.pairs())):
        return None
    if repeats:
        names = [name for name, _ in event.pairs()]
        if sum(map(is_event_name, names)) > 1:
            return None
    for name, first in aliases:
        if is_event_name(first):
            return None
        headers[name] = headers[first]
    return headers, names


def _is_array_repeated(pairs: list[tuple[str, str]]) -> bool:
    """Whether a header that is an array shares its name, in any case, with another: they become one."""
    folded = [to_bytes(name).lower() for name, _ in pairs]
    counts = Counter(folded)
    return any(is_array(value) and counts[name] > 1 for name, (_, value) in zip(folded, pairs, strict=True))


def index_frame(frame: Message) -> tuple[dict[str, str], list[str]] | None:
    """The same of the frame itself (`read_outer`)."""
    pairs = read_pairs(frame)
    if any(not value or is_array(value) or "[" in name or name == "_body" for name, value in pairs):
        return None
    headers = dict(reversed(pairs))
    names = [name for name, _ in pairs]
    for name, first in _aliases(tuple(names)):
        headers[name] = headers[first]
    return headers, names


def read_pairs(frame: Message) -> list[tuple[str, str]]:
    return [("Event-Name", "SOCKET_DATA"), *_read_values(_block_of(frame), " \t")]


@lru_cache(maxsize=128)
def _aliases(names: tuple[str, ...]) -> list[tuple[str, str]]:
    """Names that differ from an earlier one in ASCII case only, with that one. Events of one kind repeat them."""
    seen: dict[bytes, str] = {}
    pairs = [(name, seen.setdefault(to_bytes(name).lower(), name)) for name in names]
    return [(name, first) for name, first in pairs if name != first]


def is_array(value: str) -> bool:
    return value.startswith("ARRAY::")


def type_of(name: str | None) -> str | None:
    """The type that a name stands for, None if it is unknown (docs/protocol/esl-module.md, P7.2)."""
    if name is None:
        return None
    upper = to_bytes(name).upper()
    return _TYPES.get(upper) or _TYPES.get(upper[_PREFIX:])
