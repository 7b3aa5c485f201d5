"""What a reader with look-up rules of its own asks of a message: the drop-in for the official module."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from .formats import JSON, PLAIN
from .message import Message
from .text import decode_value

_SIMPLE_LINES: Final = re.compile(rb"[^:\n\[]*: [^ \t\r\n\[][^\n\[]*(?:\n[^:\n\[]*: [^ \t\r\n\[][^\n\[]*)*")


@lru_cache(maxsize=256)
def _lone_lines(name: str) -> Callable[[bytes], list[bytes]]:
    """What finds all that stands after this name and a colon, in any ASCII case."""
    return re.compile(b"\n" + re.escape(name.encode()) + b":([^\n]*)", re.IGNORECASE).findall


def lone(message: Message, name: object) -> str | bool | None:
    """The value of a name that cannot mean more than one thing, for a reader with look-up rules of its own.

    Of a plain payload without `[` in its header lines: the value of the only line with that name in any ASCII case,
    None if there is no such line. False in every other case, among them: an empty value, one with blanks before it,
    an array. Of a JSON payload the same, if `_json.is_flat` says so.

    Example:
        >>> message = Message(b"Content-Type: text/event-plain\\n\\n", b"A: 1\\nB: 2\\nb: 3\\n\\n")
        >>> lone(message, "a"), lone(message, "B"), lone(message, "C")
        ('1', False, None)
    """
    if message._format not in (PLAIN, JSON) or not isinstance(name, str) or not name.isascii() or not name:
        return False
    if any(byte in name for byte in ":[\n"):
        return False
    if message._format == JSON:
        return _lone_member(message, name)
    block = message._block()
    if b"[" in block:
        return False
    lines = _lone_lines(name)(b"\n" + block)
    if not lines:
        return None
    value = lines[0][:-1] if lines[0].endswith(b"\r") else lines[0]
    if len(lines) > 1 or len(value) < 2 or not value.startswith(b" ") or value[1] in b" \t":
        return False
    text = decode_value(value[1:])
    return False if text.startswith("ARRAY::") else text


def _lone_member(message: Message, name: str) -> str | bool | None:
    if not message._is_flat():
        return False
    folded = name.lower()
    values = [value for key, value in message._load()[0] if key.isascii() and key.lower() == folded]
    if not values:
        return None
    value = values[0]
    if len(values) > 1 or not value or not isinstance(value, str) or value.startswith("ARRAY::"):
        return False
    return value


def survey(message: Message) -> tuple[int, bool] | None:
    """How many header lines a plain payload has, and whether one is an array.

    None if a line is not cut at its first colon, if a value is empty or begins with a blank, if there is a `[`
    anywhere, or if an array has less than two items or begins with an empty item or with the text of an array. For a
    JSON payload that is flat (`_json.is_flat`) the same holds of its members and its body; None also if an item has
    `|:` in it, or if there are no members. None for other formats.

    Example:
        >>> survey(Message(b"Content-Type: text/event-plain\\n\\n", b"A: 1\\nB: 2\\n\\n"))
        (2, False)
    """
    if message._format == JSON:
        return _survey_members(message) if message._is_flat() else None
    if message._format != PLAIN:
        return None
    block = message._block().removesuffix(b"\n")
    if not block:
        return 0, False
    if _SIMPLE_LINES.fullmatch(block) is None:
        return None
    arrays = [value for _, value in message._pairs_of(block) if value.startswith("ARRAY::")]
    if any("|:" not in array or array.startswith(("ARRAY::|:", "ARRAY::ARRAY::")) for array in arrays):
        return None
    return block.count(b"\n") + 1, bool(arrays)


def _survey_members(message: Message) -> tuple[int, bool] | None:
    fields, body, _ = message._load()
    lists = [value for _, value in fields if isinstance(value, list)]
    texts = [value for _, value in fields if isinstance(value, str)]
    if not fields or body == b"" or any(not text or text.startswith("ARRAY::") for text in texts):
        return None
    for items in lists:
        if len(items) < 2 or not items[0] or items[0].startswith("ARRAY::") or any("|:" in item for item in items):
            return None
    return len(fields), bool(lists)
