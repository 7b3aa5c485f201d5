"""Payloads in JSON or XML as headers and body; `_json.py` reads the one, `xml_in.py` the other."""

from __future__ import annotations

from collections.abc import Iterable

from .. import _json
from .._json import Field
from . import xml_in
from .formats import FORMAT_NAMES, JSON

Parsed = tuple[list[Field], "bytes | None", "tuple[str, int, str] | None"]
"""Headers, body, and why there are none: the arguments of MalformedPayload."""


def read_payload(format: int, payload: bytes, members: Iterable[_json.Member] | None = None) -> Parsed:
    """The headers and the body of a JSON or XML payload, or why they cannot be read: what MalformedPayload takes.

    `members` as in `_json.read`.
    """
    try:
        fields, body = _json.read(payload, members) if format == JSON else xml_in.read(payload)
    except _json.Fault as fault:
        return [], None, (FORMAT_NAMES[format], fault.offset, fault.why)
    return fields, body, None
