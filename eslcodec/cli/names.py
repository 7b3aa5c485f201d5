"""Names of events as they are typed: a misspelt name is an error, an unknown one is reported."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click

from .._words import is_known, nearest
from .text import escape, note

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
