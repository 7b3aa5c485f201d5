"""Arguments as SWIG takes them."""

from __future__ import annotations

from typing import Any


def as_text(value: Any) -> str | None:
    """What a `char *` becomes: text up to its first NUL, None for NULL."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError(f"argument is {type(value).__name__}, expected str or None")
    if not value.isascii() and not _is_encodable(value):
        raise TypeError("argument has a surrogate that stands for no byte")
    return value.partition("\0")[0] if "\0" in value else value


def _is_encodable(text: str) -> bool:
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # which holds the text, and that perhaps a password
        return False
    return True


def as_int(value: Any) -> int:
    if not isinstance(value, int):
        raise TypeError(f"argument is {type(value).__name__}, expected int")
    return value


def wrong_arguments(what: str) -> str:
    """What the official module says when no way to make a `what` takes these arguments."""
    return f"Wrong number or type of arguments for overloaded function 'new_{what}'"
