"""Reads JSON event payloads (spec P4.2): one flat object of strings and arrays of strings.

What the standard library's reader would do to a payload is not what is wanted: the first of a repeated member counts,
bytes that are not UTF-8 must survive, and an array, a number or a nested value of another producer keeps its text. So
the members are found by regular expressions over the bytes, each matched once.

The reading, for both cores:

* Members in order, repeats kept. `_body` in any ASCII case is the body and no header; of several the first.
* Numbers, `true`, `false`, `null` and nested values are the JSON text that stands there; of nested values only the
  brackets are counted and the strings skipped.
* Text behind the object is ignored, as the official library does.
* Control characters in strings are taken as they are; an escaped surrogate without its partner is U+FFFD.
* Anything else makes the whole payload malformed, at the byte where the reading stopped.
"""

from __future__ import annotations

import re
from typing import Final

Field = tuple[str, "str | list[str]"]

_STRING: Final = re.compile(rb'"([^"\\]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\]*)*)"')
_LITERAL: Final = re.compile(rb"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null")
_BLANKS: Final = re.compile(rb"[ \t\r\n]*")
_NEST: Final = re.compile(rb'["\[\]{}]')
_ESCAPE: Final = re.compile(r"\\(?:u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|(.))")
_SHORT: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_SURROGATE: Final = re.compile(rb"\\u[dD]")
_MEMBER: Final = re.compile(
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


def read(payload: bytes) -> tuple[list[Field], bytes | None]:
    """The members of a payload, an array as a list, and its body.

    Raises:
        Fault: the payload is not such an object.
    """
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
    if _SURROGATE.search(payload):
        return False
    at = _skip(payload, 0)
    bodies = 0
    if payload[_skip(payload, at + 1)] == 0x7D:
        return True
    while payload[at] != 0x7D:
        member = _MEMBER.match(payload, at)
        if member is None:
            return False
        if member[1].lower() == b"_body":
            bodies += 1 if payload[member.start(2)] == 0x22 else 2
        at = member.end()
    return bodies < 2


def joined(value: str | list[str]) -> str:
    """An array as text, as the plain format has it (spec P6.4)."""
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
