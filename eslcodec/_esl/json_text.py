"""JSON as the official module reads and writes it (docs/protocol/payloads.md, P4.2).

Read by the standard library's reader, as in `_json.py`, but another meaning is made of it: here a number or an object
as a value is left out, an escaped surrogate without its partner makes the whole malformed, and the last of several
bodies counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from .._ctext import to_bytes, to_text
from .._json import Field, number, reader
from ..headers import HeaderList
from .frames import is_event_name, type_of


def read_json(text: str) -> tuple[HeaderList, str | None] | None:
    """The list of a JSON event, and its type: None if no name that is known came. None if it is malformed.

    See docs/protocol/payloads.md, P4.2.
    """
    try:
        members, _ = reader(_left_out)(text.lstrip(" \t\r\n"))
        fields = [_encodable(field) for field in _fields_of(members)]
    except (ValueError, RecursionError):  # an escaped surrogate without its partner, too
        return None
    headers = HeaderList()
    type_ = None
    for name, value in fields:
        if not isinstance(value, str):
            for item in value:
                headers.push(name, item)
        elif len(name) == 5 and name.lower() == "_body":
            headers.body = to_bytes(value)
        else:
            if is_event_name(name):
                headers.delete(name)
                type_ = type_of(value) or type_
            headers.add(name, value)
    return headers, type_


def _left_out(text: str) -> None:
    """What a number stands for: nothing."""
    number(text)


def _fields_of(members: Any) -> Iterator[Field]:
    """The members as texts and lists of texts. What else is there is left out, except for its name."""
    for name, value in members if type(members) is tuple else ():
        if isinstance(value, str):
            yield name, value
        else:
            yield name, [item for item in value if isinstance(item, str)] if type(value) is list else []


def _encodable(field: Field) -> Field:
    """The field, if all of it can be bytes; else a ValueError."""
    name, value = field
    for text in (name, value) if isinstance(value, str) else (name, *value):
        if not text.isascii():
            to_bytes(text)
    return field


def _json_string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def write_json(fields: list[Field], body: bytes | None) -> str:
    """An event as JSON, laid out as the official module does it."""
    members = [
        f"\t{_json_string(name)}:\t"
        + (_json_string(value) if isinstance(value, str) else f"[{', '.join(map(_json_string, value))}]")
        for name, value in fields
    ]
    if body is not None:
        members += [f'\t"Content-Length":\t"{len(body)}"', f'\t"_body":\t{_json_string(to_text(body))}']
    return "{\n" + ",\n".join(members) + ("\n}" if members else "}")
