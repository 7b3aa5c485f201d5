"""Commands that a test expects, beside those that came: whether they match, and what differs, for people to read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from difflib import ndiff, unified_diff
from typing import Final

from .._ctext import redacted

_FEW: Final = 100  # `ndiff` is for so many lines: its time grows with the cube of them
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
    if agree(expected, received, any_order=any_order, containing=containing):
        return None
    if any_order:
        return _told_in_any_order(expected, received, containing)
    return _told(expected, received, "are not all among those received" if containing else "differ")


def agree(
    expected: Sequence[Expected], received: Sequence[str], *, any_order: bool = False, containing: bool = False
) -> bool:
    """Whether the commands are those that were expected, as `difference` has it.

    Example:
        >>> agree(["api status"], ["auth x", "api status"]), agree(["api status"], ["auth x"], containing=True)
        (False, False)
    """
    if len(expected) > len(received) or (len(expected) < len(received) and not containing):
        return False
    if any_order:
        return len(_assigned(expected, received)) == len(expected)
    if containing:
        return _aligned(expected, received) == len(expected)
    return all(map(matches, expected, received))


def _aligned(expected: Sequence[Expected], received: Sequence[str]) -> int:
    """How many of the expected ones came, in their order."""
    at = 0
    for command in received:
        if at < len(expected) and matches(expected[at], command):
            at += 1
    return at


def _told_in_any_order(expected: Sequence[Expected], received: Sequence[str], containing: bool) -> str:
    taken = _assigned(expected, received)
    missing = [one for at, one in enumerate(expected) if at not in taken.values()]
    left = [command for at, command in enumerate(received) if at not in taken]
    lines = [f"- {text}" for text in _shown(missing)] + [f"+ {text}" for text in _shown(left) if not containing]
    lines += [f"  {text}" for text in _shown(left) if containing]
    return "\n".join(["commands differ, in any order (- expected, + received):", *lines])


def _assigned(expected: Sequence[Expected], received: Sequence[str]) -> dict[int, int]:
    """Which received command is taken by which expected one: patterns that match several give way to one another."""
    taken: dict[int, int] = {}

    def place(one: int, tried: set[int]) -> bool:
        fits = [at for at, command in enumerate(received) if at not in tried and matches(expected[one], command)]
        for at in sorted(fits, key=lambda at: at in taken):  # those that nobody took come first
            tried.add(at)
            if at not in taken or place(taken[at], tried):
                taken[at] = one
                return True
        return False

    for one in range(len(expected)):
        place(one, set())
    return taken


def _told(expected: Sequence[Expected], received: Sequence[str], how: str) -> str:
    wanted, came = _shown(expected), _shown(received)
    for at, one in enumerate(expected):  # a pattern that matches is shown as what it matched
        if not isinstance(one, str) and at < len(received) and matches(one, received[at]):
            wanted[at] = came[at]
    lines = _compared(wanted, came)
    note = "" if Counter(wanted) != Counter(came) or wanted != came else "\nthey differ in what is hidden"
    return "\n".join([f"commands {how} (- expected, + received):", *lines]) + note


def _compared(wanted: list[str], came: list[str]) -> list[str]:
    """Lines of both, each with what it is; of very many only those that differ and what stands around them."""
    if len(wanted) + len(came) <= _FEW:
        return [line for line in ndiff(wanted, came) if not line.startswith("?")]
    lines = list(unified_diff(wanted, came, lineterm=""))[2:]
    return [line if line.startswith("@@") else f"{line[0]} {line[1:]}" for line in lines]


def _shown(commands: Sequence[Expected]) -> list[str]:
    """One line for each."""
    texts = [redacted(one) if isinstance(one, str) else f"/{redacted(one.pattern)}/" for one in commands]
    return [text.replace("\n", "\\n") for text in texts]


def recent(commands: Sequence[str], unexpected: Sequence[str], errors: Sequence[BaseException] = ()) -> str:
    """The last commands, what was missing and what functions of the test raised, for the text of an error."""
    last = "".join(f"\n  {redacted(command)!r:.100}" for command in commands[-5:])
    raised = [f"a function of the test raised {error!r:.300}" for error in errors[:3]]
    return f"the last commands were:{last or ' none'}" + "".join(f"\n{sentence}" for sentence in [*unexpected, *raised])
