"""What an event looks like after it was written in a format and read back: docs/protocol/reading.md, 13, in code.

`written` is a naive model of `serialize(format)` followed by `from_payload`. Whatever it does to an event is one of:

* plain: an array of one is text, an empty array is an empty text; an empty body is none.
* XML: an array of one is text, neighbours of one name are one array (but two Event-Name stay two, as do the others in
  HEAD), an empty array is nothing; an empty body is none; what is not UTF-8 in a body is left out.
* All: Content-Length of the body stands last, once.

`refused` says what the formats cannot express: `serialize` raises InvalidCommand for these, and for nothing else.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

Fields = list[tuple[str, "str | list[str]"]]

FORMATS = ("plain", "json", "xml")
HEAD = ("Event-Name", "Core-UUID", "Event-Date-Timestamp", "Event-Sequence")


def is_xml_name(name: str) -> bool:
    if re.search("[\\s/<>=&'\"]", name):
        return False
    try:
        return ElementTree.fromstring(f"<{name}/>".encode()).tag == name
    except (ElementTree.ParseError, UnicodeEncodeError):
        return ":" in name and is_xml_name(name.replace(":", "_"))  # ElementTree knows namespaces, expat need not


def own(fields: Fields, body: bytes | None) -> Fields:
    """Without the Content-Length of the body."""
    if body is not None and fields and fields[-1] == ("Content-Length", str(len(body))):
        return fields[:-1]
    return list(fields)


def refused(fields: Fields, body: bytes | None, format: str) -> bool:
    """Whether the format cannot express the event."""
    fields = own(fields, body)
    if format == "plain":
        return any(
            "\n" in name or ": " in name or (isinstance(value, list) and len(value) > 1 and "|:" in "\0".join(value))
            for name, value in fields
        )
    if format == "json":
        return any(is_body_name(name) for name, _ in fields)
    if format == "xml":
        text = (body or b"").decode("utf-8", "ignore")
        return not all(is_xml_name(name) for name, _ in fields) or bool(
            re.search("[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", text)
        )
    return False


def written(fields: Fields, body: bytes | None, format: str) -> tuple[Fields, bytes | None]:
    """The fields and the body that are read back."""
    fields = own(fields, body)
    if format == "json":
        if body is not None:
            fields.append(("Content-Length", str(len(body))))
        return fields, body
    if format == "xml":
        fields = merged(fields)
        if body:
            body = body.decode("utf-8", "ignore").encode()
            fields.append(("Content-Length", str(len(body))))
        else:
            body = None
        return [(name, one_is_text(value)) for name, value in fields], body
    if body:
        fields.append(("Content-Length", str(len(body))))
    return [(name, one_is_text(value)) for name, value in fields], body or None


def is_body_name(name: str) -> bool:
    return name.isascii() and name.lower() == "_body"


def one_is_text(value: str | list[str]) -> str | list[str]:
    """An array as it is read back from its text."""
    if isinstance(value, list) and len(value) < 2:
        text = "".join(value)
        return text[len("ARRAY::") :].split("|:") if text.startswith("ARRAY::") else text
    return value


def merged(fields: Fields) -> Fields:
    """Neighbours of one name as one array, but for those of an event's head."""
    result: Fields = []
    for name, value in fields:
        items = [value] if isinstance(value, str) else value
        if name in HEAD:
            result += [(name, [item]) for item in items]
        elif items and result and result[-1][0] == name:
            result[-1] = (name, [*result[-1][1], *items])
        elif items:
            result.append((name, list(items)))
    return result
