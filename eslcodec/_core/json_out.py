"""Events as JSON, or as the dict that any JSON encoder takes, from their headers and body."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from .._json import Field
from .lines import first_wins
from .text import replaced, to_text


def to_mapping(fields: list[Field], body: bytes | None, replace: bool) -> dict[str, str | list[str]]:
    """Headers and body in the shape of the switch's JSON events, `replace` as in `Event.to_dict`. All lists are new."""
    if replace:
        fields = [(replaced(name), _replaced(value)) for name, value in fields]
    mapping = dict(fields)
    if len(mapping) != len(fields):
        mapping = first_wins(fields)
    for name in [name for name, value in mapping.items() if type(value) is list]:
        mapping[name] = [*mapping[name]]
    if body is not None:
        mapping["_body"] = replaced(to_text(body)) if replace else to_text(body)
    return mapping


def _replaced(value: str | list[str]) -> str | list[str]:
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
