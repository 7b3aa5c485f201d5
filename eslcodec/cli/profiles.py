"""Redaction as it is typed: the name of a profile, or a file in TOML."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from .text import escape

if TYPE_CHECKING:
    from ..ingest import Redact

F = TypeVar("F", bound=Callable[..., Any])

_PROFILES: Final = ("secrets",)


def redact_option(function: F) -> F:
    """Adds --redact to a command."""
    return click.option(
        "--redact",
        metavar="PROFILE",
        help=f"Take out what may not leave the site: {', '.join(_PROFILES)}, or a file FILE.toml (see the guide).",
    )(function)


def redaction(profile: str | None) -> Redact | None:
    """What takes out what may not leave the site; None if everything may.

    Args:
        profile: what `--redact` names.

    Raises:
        click.UsageError: there is no such profile.
        click.ClickException: the file cannot be read, or says what means nothing.
    """
    if profile is None:
        return None
    from ..ingest import Redact

    try:
        if profile.endswith(".toml"):
            return Redact.from_toml(profile)
        if profile in _PROFILES:
            return Redact.profile(profile)
    except OSError as error:
        name = profile if error.filename is None else str(error.filename)
        raise click.ClickException(f"{escape(name)}: {escape(error.strerror or str(error))}") from error
    except (ValueError, TypeError, RuntimeError) as error:
        raise click.ClickException(escape(str(error))) from error
    raise click.UsageError(f"read {escape(profile)!r}, expected {' or '.join(_PROFILES)}, or a file FILE.toml")
