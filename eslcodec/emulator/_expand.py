"""Application data as the switch reads it: `${variables}` in it, its arguments, and regular expressions."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from .._ctext import atoi

_ESCAPED: Final = re.compile(r"\\[\\nst']")
_NAMED: Final = {"n": "\n", "r": "\r", "t": "\t", "s": " "}
_DEEPEST: Final = 100
_MOST: Final = 10_000  # expansions of one text: variables that name themselves twice would double it for ever


@dataclass(frozen=True)
class Expander:
    """Puts values in the place of `${variables}`, as `switch_channel_expand_variables` does.

    Args:
        variable: the value of a variable, by name and index; the index is -1 unless one is given.
        call: the output of an API command, by name and arguments; None is its failure.

    Example:
        >>> expander = Expander(lambda name, index: {"name": "Anna"}.get(name), lambda name, args: name.upper() + args)
        >>> expander.expand("hello ${name}, ${name:0:2}${none} ${echo(a ${name})} $5")
        'hello Anna, An ECHOa Anna $5'
        >>> expander.expand(r"\\${name} \\d")
        '${name} \\\\d'
    """

    variable: Callable[[str, int], str | None]
    call: Callable[[str, str], str | None]
    _done: list[None] = field(default_factory=list, repr=False)

    def expand(self, text: str, depth: int = 0) -> str:
        """The text with values; as it is if there is nothing in it to expand."""
        if depth > _DEEPEST or len(self._done) >= _MOST or not ("${" in text or _ESCAPED.search(text)):
            return text
        self._done.append(None)
        out: list[str] = []
        at = 0
        while at < len(text):
            found, at = self._next(text, at, depth)
            out.append(found)
        return "".join(out)

    def _next(self, text: str, at: int, depth: int) -> tuple[str, int]:
        """What comes out for what stands there, and where it goes on."""
        char, following = text[at], text[at + 1 : at + 2]
        if char == "\\" and following == "$":
            return "$", at + (3 if text[at + 2 : at + 3] == "$" else 2)
        if char == "\\" and following == "'":
            return "", at + 2
        if char == "\\" and following == "\\":
            return "\\", at + 2
        opening = 3 if text.startswith("$${", at) else 2 if text.startswith("${", at) else 0
        if not opening:
            return char, at + 1
        end = _closing(text, at + opening)
        return self._value(text[at + opening : end], depth), end + 1

    def _value(self, inside: str, depth: int) -> str:
        match = re.search(r"[ (]", inside)
        if match is None:
            return self._sliced(self.expand(inside, depth + 1), depth)
        name = self.expand(inside[: match.start()].rstrip(" "), depth + 1)
        args = inside[match.end() :]
        if match[0] == "(":
            args = args[: _closing(args, 0, "()")]
        return self.call(name, self.expand(args, depth + 1)) or ""

    def _sliced(self, inside: str, depth: int) -> str:
        name, *numbers = inside.split(":", 2)
        offset, length = [*(atoi(number) for number in numbers), 0, 0][:2]
        index = -1
        if "[" in name and "]" in name:
            name, _, rest = name.partition("[")
            index = atoi(rest)
        value = self.variable(name, index)
        if value is None:
            return ""
        value = self.expand(value, depth + 1)
        if offset > 0 or -len(value) <= offset < 0:
            value = value[offset:]
        return value[:length] if length > 0 else value


def _closing(text: str, start: int, brackets: str = "{}") -> int:
    """Where the bracket closes that was opened before `start`; the end of the text if it does not."""
    depth = 1
    for at in range(start, len(text)):
        depth += (text[at] == brackets[0]) - (text[at] == brackets[1])
        if not depth:
            return at
    return len(text)


def separate(text: str, delimiter: str = " ", limit: int = 1 << 30) -> list[str]:
    """The arguments in a text, as `switch_separate_string` finds them: quotes, escapes, `^^` and another delimiter.

    Args:
        text: all of them.
        delimiter: what stands between them; blanks may be repeated.
        limit: so many at most; the last has the rest.

    Example:
        >>> separate("1 4  'my file.wav' \\\\d+"), separate("^^:a b:c"), separate("a b c", limit=2)
        (['1', '4', 'my file.wav', '\\\\d+'], ['a b', 'c'], ['a', 'b c'])
    """
    if text.startswith("^^") and len(text) > 3:
        delimiter, text = text[2], text[3:]
    parts: list[str] = []
    at = 0
    while at < len(text) and len(parts) < limit:
        end = _argument_end(text, at, delimiter) if len(parts) < limit - 1 else len(text)
        parts.append(_cleaned(text[at:end], "" if delimiter == " " else delimiter))
        at = end + 1
        while delimiter == " " and text[at : at + 1] == " ":
            at += 1
    return parts


def _argument_end(text: str, start: int, delimiter: str) -> int:
    at, quoted = start, False
    while delimiter == " " and text[at : at + 1] == " ":
        at += 1
    while at < len(text):
        if text[at] == "\\":
            at += 1
        elif text[at] == "'" and (delimiter == " " or quoted or "'" in text[at + 1 :]):
            quoted = not quoted
        elif text[at] == delimiter and not quoted:
            return at
        at += 1
    return len(text)


def _cleaned(part: str, delimiter: str) -> str:
    """An argument without its quotes, escapes and blanks at the ends (`cleanup_separated_string`)."""
    out: list[str] = []
    kept, quoted = 0, False
    part = part.lstrip(" ")
    at = 0
    while at < len(part):
        char, following = part[at], part[at + 1 : at + 2]
        at += 1
        if char == "\\" and following and (following in "'\"\\" + delimiter or following in _NAMED):
            out.append(_NAMED.get(following, following))
            at, kept = at + 1, len(out)
        elif char == "'" and (quoted or "'" in part[at:]):
            quoted = not quoted
            kept = len(out) if quoted else kept
        else:
            out.append(char)
            kept = len(out) if char != " " or quoted else kept
    return "".join(out[:kept])


def matches(text: str, expression: str) -> bool:
    """Whether a regular expression is found in a text (`switch_regex_match`); one that cannot be read is not.

    The switch uses PCRE. Python's `re` differs in what dialplans hardly use: possessive quantifiers and atomic groups
    before Python 3.11, recursion, `\\\\Q...\\\\E`, `[[:digit:]]`.

    Example:
        >>> matches("1234", "^\\\\d+$"), matches("1234", "/^12/i"), matches("1234", "("), matches("1234", "3")
        (True, True, False, True)
    """
    flags = re.ASCII
    if expression.startswith("/"):
        expression, slash, options = expression[1:].rpartition("/")
        if not slash:
            return False
        flags |= (re.IGNORECASE if "i" in options else 0) | (re.DOTALL if "s" in options else 0)
    try:
        return re.search(expression, text, flags) is not None
    except (re.error, RecursionError, OverflowError):
        return False


def argument(arguments: Sequence[str], index: int, default: str = "") -> str:
    """One of several arguments; the default if there are not so many."""
    return arguments[index] if index < len(arguments) else default
