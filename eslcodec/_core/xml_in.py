"""Payloads in XML as headers and body: `_xml.py` reads the elements, their values are percent-decoded here."""

from __future__ import annotations

from .._json import Field
from .text import decode_value


def read(payload: bytes) -> tuple[list[Field], bytes | None]:
    """The headers of a payload, an array as a list, and its body.

    Raises:
        Fault: as for `_xml.read`.
    """
    from .. import _xml  # expat is loaded by those who get XML

    fields, body = _xml.read(payload)
    return [(name, _decode(value)) for name, value in fields], body


def _decode(value: str | list[str]) -> str | list[str]:
    return decode_value(value.encode()) if isinstance(value, str) else [decode_value(item.encode()) for item in value]
