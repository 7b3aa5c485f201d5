"""Names of events as they are typed: a misspelt name is an error, an unknown one is reported; lists by purpose."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

import click

from .. import presets
from .._words import is_known, nearest
from ..enums import EventName
from .text import escape, note

_NAMES: Final = {"ALL": presets.ALL, "CALLS": presets.CALLS}
_SUBCLASSES: Final = {
    "CALLCENTER": presets.CALLCENTER,
    "CONFERENCE": presets.CONFERENCE,
    "GATEWAYS": presets.GATEWAYS,
    "REGISTRATIONS": presets.REGISTRATIONS,
}
PRESETS: Final = (*_NAMES, *_SUBCLASSES)

SUBCLASSES: Final = tuple(dict.fromkeys(name for names in _SUBCLASSES.values() for name in names))


def complete_events(_ctx: click.Context, _option: click.Parameter, begun: str) -> list[str]:
    """What a shell offers for what is begun: presets, names of events, subclasses that are in presets.

    Example:
        >>> complete_events(None, None, "channel_hangup_")
        ['CHANNEL_HANGUP_COMPLETE']
    """
    known = (*PRESETS, *(name for name in EventName.__members__ if name not in _NAMES), *SUBCLASSES)
    return [name for name in known if name.lower().startswith(begun.lower())]


unknown_option: Callable[[Callable[..., None]], Callable[..., None]] = click.option(
    "--unknown", is_flag=True, help="Names that FreeSWITCH 1.11 does not have are meant: say nothing about them."
)


def check_names(names: Iterable[str], unknown: bool, consequence: str) -> None:
    """Look at names before they are used.

    Args:
        names: as they were typed.
        unknown: whether `--unknown` was said.
        consequence: what becomes of one that FreeSWITCH does not have.

    Raises:
        click.UsageError: a known name misspelt.
    """
    if unknown:
        return
    for name in dict.fromkeys(name for name in names if not is_known(name)):
        known = nearest(name)
        if known is not None:
            raise click.UsageError(f"no event is named {escape(name)!r}, expected {known} (--unknown: it is meant)")
        note(f"FreeSWITCH 1.11 has no event {name}: {consequence}")


def split_events(texts: Iterable[str]) -> tuple[list[str], list[str]]:
    """Names of events, and subclasses of CUSTOM.

    Args:
        texts: each has words with blanks or commas between them: names of `eslcodec.presets`, names of events, and
            subclasses, which have `::` in them or stand behind `CUSTOM` and are no event that FreeSWITCH has.

    Returns:
        Both without repeats, in the order in which they were named.

    Example:
        >>> split_events(["CHANNEL_ANSWER, CALLCENTER", "dtmf CUSTOM mine sofia::register"])
        (['CHANNEL_ANSWER', 'dtmf'], ['callcenter::info', 'mine', 'sofia::register'])
    """
    names: list[str] = []
    subclasses: list[str] = []
    for text in texts:
        words = re.split(r"[\s,]+", text.strip(", \t\r\n"))
        behind_custom = False
        for at, word in enumerate(words):
            upper = word.upper()
            if upper in _NAMES:
                names += _NAMES[upper]
            elif upper in _SUBCLASSES:
                subclasses += _SUBCLASSES[upper]
            elif upper == "CUSTOM" and at + 1 < len(words):
                behind_custom = True
            elif "::" in word or (behind_custom and not is_known(word)):
                subclasses.append(word)
            elif word:
                names.append(word)
    return list(dict.fromkeys(names)), list(dict.fromkeys(subclasses))
