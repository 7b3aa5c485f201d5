"""Reads JSON event payloads (docs/protocol/payloads.md, P4.2): one flat object of strings and arrays of strings.

Two readers, one result. `scan` is the specification: it finds the members by regular expressions over the bytes, each
matched once. The standard library's reader is ten times as fast; `members` uses it where its result is the same, as for
what a switch writes. The bytes are decoded as a whole, which is the same as string by string: each is between two ASCII
characters. Repeats survive as pairs, numbers as their text. A nested value, whose text is wanted, and an escaped
surrogate are left to `scan`. So is everything that the standard library refuses, so that all faults come from one
reader.

The reading, for both cores:

* Members in order, repeats kept. `_body` in any ASCII case is the body and no header; of several the first.
* Numbers, `true`, `false`, `null` and nested values are the JSON text that stands there; of nested values only the
  brackets are counted and the strings skipped.
* Text after the object is ignored, as the official library does.
* Control characters in strings are taken as they are; an escaped surrogate without its partner is U+FFFD.
* Anything else makes the whole payload malformed, at the byte where the reading stopped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache
from itertools import product
from typing import Any, Final

Field = tuple[str, "str | list[str]"]
Member = tuple[str, Any]

_STRING: Final = re.compile(rb'"([^"\\]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\]*)*)"')
_LITERAL: Final = re.compile(rb"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null")
_BLANKS: Final = re.compile(rb"[ \t\r\n]*")
_NEST: Final = re.compile(rb'["\[\]{}]')
_ESCAPE: Final = re.compile(r"\\(?:u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|(.))")
_ALIEN_ESCAPE: Final = re.compile(rb"\\u(?!(?:[0-9a-ce-fA-CE-F][0-9a-fA-F]|[dD][0-7])[0-9a-fA-F]{2})")  # no character's
_NUMBER: Final = re.compile(r"[-+.0-9eE]+").fullmatch
_LITERALS: Final[dict[object, str]] = {None: "null", True: "true", False: "false"}
_MOST_BRACKETS: Final = 100  # how deep the standard library's reader may recurse: some threads have small stacks
BODY_NAMES: Final = frozenset(map("".join, product("_", "bB", "oO", "dD", "yY")))
_BACKSLASH: Final = ord("\\")  # `_BACKSLASH in payload` takes half the time of `b"\\" in payload`
_BRACKET: Final = ord("[")
_SHORT: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
SURROGATE: Final = re.compile(rb"\\u[dD]")
MEMBER: Final = re.compile(
    rb'[{,]W"([^"\\\[]*)"W:W(T|\[W(?:TW(?:,WTW)*)?\])W'.replace(b"W", rb"[ \t\r\n]*").replace(
        b"T", rb'"[^"\\]*(?:\\.[^"\\]*)*"'
    ),
    re.DOTALL,
)


class Fault(Exception):
    """Where and why a payload cannot be read. Stays inside the core, which makes a MalformedPayload of it."""

    def __init__(self, offset: int, why: str) -> None:
        self.offset = offset
        self.why = why
        super().__init__(why)


def fault(payload: bytes, offset: int, expected: str) -> Fault:
    """The fault of a payload that has something else than `expected` at `offset`."""
    read = repr(payload[offset : offset + 1])[1:] if offset < len(payload) else "its end"
    return Fault(offset, f"read {read}, expected {expected}")


def read(payload: bytes, members: Iterable[Member] | None) -> tuple[list[Field], bytes | None]:
    """The headers of a payload, an array as a list, and its body.

    Args:
        payload: the payload.
        members: what `members` says of it.

    Raises:
        Fault: the payload is not such an object.
    """
    fields = None if members is None else settled(members)
    if fields is None:
        return scan(payload)
    if BODY_NAMES.isdisjoint([name for name, _ in fields]):
        return fields, None
    body = next(value for name, value in fields if name in BODY_NAMES)
    return [field for field in fields if field[0] not in BODY_NAMES], joined(body).encode("utf-8", "surrogateescape")


def members(payload: bytes) -> tuple[Member, ...] | None:
    """Every member of a payload by the standard library's reader, its values not looked at; None if only `scan` can
    tell."""
    if payload[:1] != b"{" or (_BACKSLASH in payload and _ALIEN_ESCAPE.search(payload)):
        return None
    brackets = payload.count(b"[") if _BRACKET in payload else 0
    brackets += payload.count(b"{") if payload.rfind(b"{") else 1
    if brackets > _MOST_BRACKETS:
        return None
    try:
        found: tuple[Member, ...] = reader(number)(payload.decode("utf-8", "surrogateescape"))[0]
    except (ValueError, RecursionError):
        return None
    return found


def by_name(members: tuple[Member, ...]) -> dict[str, Any]:
    """The values of `members` that look-ups take, in any order; those of the body too."""
    headers: dict[str, Any] = dict(members)
    if len(headers) != len(members):
        last = headers
        headers = dict(reversed(members))
        if "Event-Name" in last:
            headers["Event-Name"] = last["Event-Name"]
    return headers


def settled(members: Iterable[Member]) -> list[Field] | None:
    """Members with `true`, `false` and `null` as text; None if a value is nested, so that its text is wanted."""
    try:
        return [member if type(member[1]) is str else (member[0], _settled(member[1])) for member in members]
    except (KeyError, TypeError):
        return None


def _settled(value: Any) -> str | list[str]:
    return [_literal(item) for item in value] if type(value) is list else _literal(value)


def _literal(value: Any) -> str:
    return value if type(value) is str else _LITERALS[value]


def flat(headers: dict[str, Any]) -> dict[str, str] | None:
    """The same with every value as text, arrays joined: a copy. None if a value is nested, so that `scan` is needed."""
    try:
        "".join(headers.values())  # the quickest way to know that all are text
    except TypeError:
        fields = settled(headers.items())
        return None if fields is None else {name: joined(value) for name, value in fields}
    return dict(headers)


@cache
def reader(number: Callable[[str], Any]) -> Callable[[str], tuple[Any, int]]:
    """The standard library's reader, of what a text begins with: an object is a tuple of its members, an array a list.

    Args:
        number: what makes a value of the text of a number; it has to refuse NaN and the like with a ValueError.
    """
    from json import JSONDecoder

    decoder = JSONDecoder(
        strict=False, object_pairs_hook=tuple, parse_int=number, parse_float=number, parse_constant=number
    )
    return decoder.raw_decode


def number(text: str) -> str:
    """A number's text. NaN is none, nor are digits of other alphabets, which the standard library may take."""
    if not _NUMBER(text):
        raise ValueError(text)
    return text


def scan(payload: bytes) -> tuple[list[Field], bytes | None]:
    """What `read` gives, of any payload."""
    fields: list[Field] = []
    body: bytes | None = None
    at = _skip(payload, 0)
    if payload[at : at + 1] != b"{":
        raise fault(payload, at, "an object")
    at = _skip(payload, at + 1)
    more = payload[at : at + 1] != b"}"
    while more:
        name, at = _string(payload, at, "a name")
        at = _skip(payload, at)
        if payload[at : at + 1] != b":":
            raise fault(payload, at, "a colon")
        value, at = _value(payload, _skip(payload, at + 1))
        if name.lower() != "_body" or not name.isascii():
            fields.append((name, value))
        elif body is None:
            body = joined(value).encode("utf-8", "surrogateescape")
        at = _skip(payload, at)
        more = payload[at : at + 1] == b","
        if not more and payload[at : at + 1] != b"}":
            raise fault(payload, at, "a comma or the end of the object")
        at = _skip(payload, at + 1)
    return fields, body


def is_flat(payload: bytes) -> bool:
    """Whether a payload that `read` takes is what a switch writes, so that every reader of JSON reads the same in it.

    Its members are texts and arrays of texts, their names stand there as they are, without `[`; there is one body at
    most, a text. No surrogate is escaped, nor does anything look as if one were.
    """
    if SURROGATE.search(payload):
        return False
    at = _skip(payload, 0)
    bodies = 0
    if payload[_skip(payload, at + 1)] == 0x7D:
        return True
    while payload[at] != 0x7D:
        member = MEMBER.match(payload, at)
        if member is None:
            return False
        if member[1].lower() == b"_body":
            bodies += 1 if payload[member.start(2)] == 0x22 else 2
        at = member.end()
    return bodies < 2


def joined(value: str | list[str]) -> str:
    """An array as text, as the plain format has it (docs/protocol/headers.md, P6.4)."""
    if isinstance(value, str):
        return value
    return value[0] if len(value) == 1 else "ARRAY::" + "|:".join(value) if value else ""


def _skip(payload: bytes, at: int) -> int:
    match = _BLANKS.match(payload, at)
    return match.end() if match else at


def _string(payload: bytes, at: int, expected: str) -> tuple[str, int]:
    match = _STRING.match(payload, at)
    if match is None:
        raise fault(payload, at, expected)
    raw: bytes = match[1]
    text = raw.decode("utf-8", "surrogateescape")
    return (_ESCAPE.sub(_unescape, text) if b"\\" in raw else text), match.end()


def _unescape(match: re.Match[str]) -> str:
    high, low, code, short = match.groups()
    if short is not None:
        return _SHORT.get(short, short)
    if high is not None:
        return chr(0x10000 + ((int(high, 16) & 0x3FF) << 10) + (int(low, 16) & 0x3FF))
    number = int(code, 16)
    return "\ufffd" if 0xD800 <= number < 0xE000 else chr(number)


def _value(payload: bytes, at: int) -> tuple[str | list[str], int]:
    if payload[at : at + 1] != b"[":
        return _scalar(payload, at)
    items: list[str] = []
    at = _skip(payload, at + 1)
    more = payload[at : at + 1] != b"]"
    while more:
        item, at = _scalar(payload, at)
        items.append(item)
        at = _skip(payload, at)
        more = payload[at : at + 1] == b","
        if not more and payload[at : at + 1] != b"]":
            raise fault(payload, at, "a comma or the end of the array")
        at = _skip(payload, at + 1) if more else at
    return items, at + 1


def _scalar(payload: bytes, at: int) -> tuple[str, int]:
    first = payload[at : at + 1]
    if first == b'"':
        return _string(payload, at, "a whole string")
    match = _LITERAL.match(payload, at)
    if match is not None:
        return match[0].decode(), match.end()
    if first not in (b"[", b"{"):
        raise fault(payload, at, "a value")
    end = _nested_end(payload, at)
    return payload[at:end].decode("utf-8", "surrogateescape"), end


def _nested_end(payload: bytes, start: int) -> int:
    depth = 0
    at = start
    while (match := _NEST.search(payload, at)) is not None:
        at = match.start()
        byte = payload[at]
        if byte == 0x22:
            string = _STRING.match(payload, at)
            if string is None:
                break
            at = string.end()
            continue
        at += 1
        depth += 1 if byte in b"[{" else -1
        if depth == 0:
            return at
    raise fault(payload, start, "a nested value with its end")
