"""Commands that a test expects, beside those that came: whether they match, and what differs, for people to read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from difflib import ndiff

from .._ctext import redacted

Expected = str | re.Pattern[str]
"""A command block without its blank line, or a pattern that matches all of it."""


def matches(expected: Expected, command: str) -> bool:
    """Whether a command is what was expected."""
    return command == expected if isinstance(expected, str) else expected.fullmatch(command) is not None


def difference(
    expected: Sequence[Expected], received: Sequence[str], *, any_order: bool = False, containing: bool = False
) -> str | None:
    """What differs; None if nothing does. No password is shown.

    Args:
        expected: the commands.
        received: those that came.
        any_order: they may come in any order.
        containing: there may be others between them.

    Example:
        >>> print(difference(["auth x", "event plain ALL"], ["auth x", "event json ALL"]))
        commands differ (- expected, + received):
          auth ***
        - event plain ALL
        + event json ALL
        >>> difference(["api status"], ["auth x", "api status", "exit"], containing=True) is None
        True
    """
    if any_order:
        return _in_any_order(expected, received, containing)
    pairs = _aligned(expected, received) if containing else None
    if containing:
        return None if pairs == len(expected) else _told(expected, received, "are not all among those received")
    same = len(expected) == len(received) and all(map(matches, expected, received))
    return None if same else _told(expected, received, "differ")


def _aligned(expected: Sequence[Expected], received: Sequence[str]) -> int:
    """How many of the expected ones came, in their order."""
    at = 0
    for command in received:
        if at < len(expected) and matches(expected[at], command):
            at += 1
    return at


def _in_any_order(expected: Sequence[Expected], received: Sequence[str], containing: bool) -> str | None:
    left = list(received)
    missing: list[Expected] = []
    for one in sorted(expected, key=lambda item: not isinstance(item, str)):  # patterns take what is left
        found = next((command for command in left if matches(one, command)), None)
        if found is None:
            missing.append(one)
        else:
            left.remove(found)
    if not missing and (containing or not left):
        return None
    lines = [f"- {text}" for text in _shown(missing)] + [f"+ {text}" for text in _shown(left) if not containing]
    lines += [f"  {text}" for text in _shown(left) if containing]
    return "\n".join(["commands differ, in any order (- expected, + received):", *lines])


def _told(expected: Sequence[Expected], received: Sequence[str], how: str) -> str:
    wanted, came = _shown(expected), _shown(received)
    for at, one in enumerate(expected):  # a pattern that matches is shown as what it matched
        if not isinstance(one, str) and at < len(received) and matches(one, received[at]):
            wanted[at] = came[at]
    lines = [line for line in ndiff(wanted, came) if not line.startswith("?")]
    note = "" if Counter(wanted) != Counter(came) or wanted != came else "\nthey differ in what is hidden"
    return "\n".join([f"commands {how} (- expected, + received):", *lines]) + note


def _shown(commands: Sequence[Expected]) -> list[str]:
    """One line for each."""
    texts = [redacted(one) if isinstance(one, str) else f"/{one.pattern}/" for one in commands]
    return [text.replace("\n", "\\n") for text in texts]


def recent(commands: Sequence[str], unexpected: Sequence[str]) -> str:
    """The last commands and what was missing, for the text of an error."""
    last = "".join(f"\n  {redacted(command)!r:.100}" for command in commands[-5:])
    return f"the last commands were:{last or ' none'}" + "".join(f"\n{sentence}" for sentence in unexpected)
