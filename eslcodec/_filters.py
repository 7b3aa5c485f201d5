"""How the switch compares a filter with an event, for the client and for the emulator.

It follows mod_event_socket.c and switch_regex.c (docs/protocol/commands.md, 4.10). All comparisons are of bytes, and
"any case" is that of ASCII: the switch runs in the C locale and compiles its expressions without UTF.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_SIGNS: Final = " +-"
_KEPT: Final = 256  # values that are kept parsed, none of them longer than:
_LONG: Final = 1024
_SET: Final = re.compile(
    r"\\.|\[\^?\]?(?:\[:\^?[a-z]+:\]|\\.|[^\]\\])*\]", re.DOTALL
)  # or what is escaped outside of one
_IN_SET: Final = re.compile(r"\[:([a-z]+):\]|\\.|[\[&~|]", re.DOTALL)
_CLASSES: Final = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "digit": "0-9",
    "lower": "a-z",
    "space": r"\s",
    "upper": "A-Z",
    "word": r"\w",
    "xdigit": "0-9A-Fa-f",
}


@dataclass(frozen=True)
class Filter:
    """The value of a filter, parsed.

    Attributes:
        negative: whether it keeps events back.
        text: what is compared as a whole, in lower case; None of an expression.
        expression: what is searched for; None of a text, and of what is no expression and never matches.

    Example:
        >>> Filter.of("-+Red").matches("red"), Filter.of("/^r/").matches("red"), Filter.of("/r").matches("r")
        (True, True, False)
    """

    negative: bool
    text: bytes | None
    expression: re.Pattern[bytes] | None = None

    @classmethod
    def of(cls, value: str) -> Filter:
        """What a filter's value means."""
        if value.startswith("/"):
            return cls(negative=False, text=None, expression=_expression(value))
        text = value.lstrip(_SIGNS)
        signs = value[: len(value) - len(text)].replace(" ", "")
        return cls(negative=signs.endswith("-"), text=_bytes(text).lower())

    def matches(self, value: str) -> bool:
        """Whether a header with this value is what the filter is about."""
        if self.text is not None:
            return _bytes(value).lower() == self.text
        return self.expression is not None and self.expression.search(_bytes(value)) is not None


def passes(filters: Iterable[tuple[str, str]], header: Callable[[str], str | None]) -> bool:
    """Whether filters let an event through: one that matches is enough, a negative one that matches forbids it.

    Args:
        filters: name and value of each. Without any everything passes.
        header: gives the event's header of a name, None if it has none.

    Example:
        >>> event = {"A": "1", "B": "2"}
        >>> passes([("A", "1")], event.get), passes([("A", "1"), ("B", "-2")], event.get), passes([], event.get)
        (True, False, True)
    """
    passed: bool | None = None
    for name, wanted in filters:
        passed = bool(passed)
        value = header(name)
        rule = Filter.of(wanted) if len(wanted) > _LONG else _kept(wanted)
        if value is None or (passed and not rule.negative) or not rule.matches(value):
            continue
        if rule.negative:
            return False
        passed = True
    return passed is not False


@lru_cache(_KEPT)
def _kept(value: str) -> Filter:
    return Filter.of(value)


def _bytes(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # JSON can name surrogates that stand for no byte
        return text.encode("utf-8", "surrogatepass")


def remaining(filters: Iterable[tuple[str, str]], header: str, value: str | None = None) -> list[tuple[str, str]]:
    """What `filter delete` leaves of filters: "all" deletes all of them, no value those of any value.

    Example:
        >>> remaining([("A", "1"), ("a", "2"), ("B", "1")], "A", "1"), remaining([("A", "1")], "A")
        ([('a', '2'), ('B', '1')], [])
    """
    name = _bytes(header).lower()
    if name == b"all":
        return []
    return [(one, text) for one, text in filters if _bytes(one).lower() != name or (value and text != value)]


def _expression(text: str) -> re.Pattern[bytes] | None:
    """`/expression/flags`, flags being `i` (any case) and `s` (a dot is any byte); None if it is none."""
    expression, slash, flags = text[1:].rpartition("/")
    if not slash:
        return None
    try:
        return re.compile(
            _bytes(_translated(expression)),
            (re.IGNORECASE if "i" in flags else 0) | (re.DOTALL if "s" in flags else 0),
        )
    except (re.error, OverflowError, RecursionError):  # an expression of PCRE that Python does not know, perhaps
        return None


def _translated(expression: str) -> str:
    """An expression of PCRE as Python's: with the classes of `[[:alpha:]]`, which Python does not know."""
    return _SET.sub(_set, expression)


def _set(found: re.Match[str]) -> str:
    text = found[0]
    return text if text.startswith("\\") else "[" + _IN_SET.sub(_in_set, text[1:])


def _in_set(found: re.Match[str]) -> str:
    if found[1]:
        return _CLASSES.get(found[1], found[0])
    return found[0] if found[0].startswith("\\") else f"\\{found[0]}"  # Python may give it a meaning one day
