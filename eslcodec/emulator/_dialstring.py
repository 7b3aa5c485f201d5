"""Arguments and dial strings as the switch takes them apart: quotes, `\\`, `^^:`, `{}`, `[]`, `<>`, `,`, `|`, `:_:`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

_ESCAPED: Final = {"n": "\n", "r": "\r", "t": "\t", "s": " "}
_PAIRS: Final = {"{": "}", "[": "]", "<": ">"}


def separate(text: str, delimiter: str, most: int = 1024) -> list[str]:
    """The parts of a text, as `switch_separate_string` gives them: the last of `most` parts is all the rest.

    Args:
        text: what is taken apart; `^^` and a character in front of it name another delimiter.
        delimiter: what stands between parts; a run of blanks counts as one.
        most: so many parts.

    Example:
        >>> separate("1000 'a b' c\\\\'d", " "), separate("^^:a=1:b=x,y", ",")
        (['1000', 'a b', "c'd"], ['a=1', 'b=x,y'])
    """
    if text.startswith("^^") and len(text) > 3:
        delimiter, text = text[2], text[3:]
    if delimiter == " ":
        return [_clean(part, "") for part in _by_blanks(text, most)]
    return [_clean(part, delimiter) for part in _by_delimiter(text, delimiter, most)]


def _by_delimiter(text: str, delimiter: str, most: int) -> list[str]:
    parts: list[str] = []
    start, at, quoted = 0, 0, False
    fresh = True
    while at < len(text):
        if fresh:
            parts.append(text[at:])
            if len(parts) == most:
                return parts
            start, fresh = at, False
        character = text[at]
        if character == "\\":
            at += 1
        elif character == "'" and (quoted or "'" in text[at + 1 :]):
            quoted = not quoted
        elif character == delimiter and not quoted:
            parts[-1] = text[start:at]
            fresh = True
        at += 1
    return parts


def _by_blanks(text: str, most: int) -> list[str]:
    parts: list[str] = []
    at = 0
    while at < len(text):
        if len(parts) == most - 1:
            return [*parts, text[at:]]
        while at < len(text) and text[at] == " ":
            at += 1
        start, quoted = at, False
        while at < len(text) and (quoted or text[at] != " "):
            if text[at] == "\\":
                at += 1
            elif text[at] == "'":
                quoted = not quoted
            at += 1
        parts.append(text[start:at])
        while at < len(text) and text[at] == " ":
            at += 1
    return parts


def _clean(text: str, delimiter: str) -> str:
    """A part without its quotes, escapes and the blanks around it."""
    text = text.lstrip(" ")
    out: list[str] = []
    end, at, quoted = 0, 0, False
    while at < len(text):
        character = text[at]
        following = text[at + 1 : at + 2]
        if character == "\\" and following and (following in ("'", '"', "\\", delimiter) or following in _ESCAPED):
            out.append(following if following in ("'", '"', "\\", delimiter) else _ESCAPED[following])
            at, end = at + 1, len(out)
        elif character == "'" and (quoted or "'" in text[at + 1 :]):
            quoted = not quoted
            end = max(end, len(out)) if quoted else end
        else:
            out.append(character)
            if character != " " or quoted:
                end = len(out)
        at += 1
    return "".join(out[:end])


def end_of(text: str, opening: str) -> int | None:
    """Where the bracket closes that a text begins with; None if it does not."""
    closing, depth = _PAIRS[opening], 0
    for at, character in enumerate(text):
        depth += (character == opening) - (character == closing)
        if not depth:
            return at if at else None
    return None


def variables(text: str, delimiter: str = ",") -> dict[str, str]:
    """The variables between brackets; what has no `=` is skipped.

    Example:
        >>> variables("a=1,note='x, y'"), variables("^^:a=1:b=x,y")
        ({'a': '1', 'note': 'x, y'}, {'a': '1', 'b': 'x,y'})
    """
    if text.startswith("^^") and len(text) > 2:
        delimiter, text = text[2], text[3:]
    pairs = [separate(part, "=", 2) for part in separate(text, delimiter)]
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


class ParseError(ValueError):
    """The switch logs `Parse Error!` and dials nothing."""


def take_variables(text: str, opening: str) -> tuple[dict[str, str], str]:
    """All variables in brackets of a kind that a text begins with, and the rest of it.

    Raises:
        ParseError: a bracket does not close.

    Example:
        >>> take_variables("{a=1}{b=2}user/1000", "{")
        ({'a': '1', 'b': '2'}, 'user/1000')
    """
    found: dict[str, str] = {}
    text = text.lstrip(" ")
    while text.startswith(opening):
        end = end_of(text, opening)
        if end is None:
            raise ParseError(f"{text!r} has no {_PAIRS[opening]!r}")
        found.update(variables(text[1:end]))
        text = text[end + 1 :].lstrip(" ")
    return found, text


@dataclass
class Target:
    """One thing that is dialled.

    Attributes:
        endpoint: its kind, such as "user", "sofia" or "loopback".
        destination: what stands after the first `/`.
        variables: those in `[]`.
    """

    endpoint: str
    destination: str
    variables: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.endpoint}/{self.destination}"


@dataclass
class Attempt:
    """What one thread of a dial string dials: groups, one after the other, of targets that ring together.

    Attributes:
        variables: those in `{}` and `<>`.
        groups: the targets.
    """

    variables: dict[str, str]
    groups: list[list[Target]]


def parse(text: str) -> list[Attempt]:
    """What a dial string asks for; more than one attempt if `:_:` is in it.

    Raises:
        ParseError: a bracket does not close, or nothing is dialled.

    Example:
        >>> (attempt,) = parse("{a=1}[leg_timeout=5]user/1000,sofia/gw/x|error/USER_BUSY")
        >>> attempt.variables, [[str(target) for target in group] for group in attempt.groups]
        ({'a': '1'}, [['user/1000', 'sofia/gw/x'], ['error/USER_BUSY']])
        >>> attempt.groups[0][0].variables
        {'leg_timeout': '5'}
    """
    shared, rest = take_variables(text, "<")
    return [_attempt(part, shared) for part in rest.split(":_:")]


def _attempt(text: str, shared: dict[str, str]) -> Attempt:
    found, rest = take_variables(text, "{")
    groups = [[_target(one) for one in _together(group)] for group in separate_raw(rest, "|")]
    if not rest:
        raise ParseError("No origination URL specified!")
    return Attempt({**shared, **found}, groups)


def _together(text: str) -> Iterator[str]:
    yield from separate_raw(text, ",")


def separate_raw(text: str, delimiter: str) -> list[str]:
    """The parts of a dial string, brackets and what is in them left alone.

    Example:
        >>> separate_raw("[a=1,b=2]user/1000,user/1001", ",")
        ['[a=1,b=2]user/1000', 'user/1001']
    """
    parts: list[str] = []
    start, at = 0, 0
    while at < len(text):
        end = end_of(text[at:], "[") if text[at] == "[" else None
        if end is not None:
            at += end
        elif text[at] == delimiter:
            parts.append(text[start:at])
            start = at + 1
        at += 1
    return [*parts, text[start:]]


def _target(text: str) -> Target:
    found, rest = take_variables(text, "[")
    endpoint, _, destination = rest.strip(" ").partition("/")
    return Target(endpoint, destination, found)
