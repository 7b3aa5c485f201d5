"""Dial strings as the switch takes them apart: `{}`, `[]`, `<>`, `,`, `|`, `:_:`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from ._expand import separate

_PAIRS: Final = {"{": "}", "[": "]", "<": ">"}


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
