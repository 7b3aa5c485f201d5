"""`--metrics`: where a command that runs for long tells over HTTP how it is."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import click

from .._address import address
from .text import escape

if TYPE_CHECKING:
    from ..ingest import Metrics

Where = tuple[str, int]
"""Host and port."""

_WHERE: Final = re.compile(r"(?:\[([^\[\]]+)\]|([^\[\]:]*)):([0-9]{1,5})", re.ASCII)


class _Listen(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic in new ones
    """Where to listen: `ADDRESS:PORT`, or `:PORT` for this machine alone.

    Example:
        >>> _Listen().convert(":9108", None, None), _Listen().convert("[::1]:9108", None, None)
        (('127.0.0.1', 9108), ('::1', 9108))
    """

    name = "[address]:port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Where:
        match = _WHERE.fullmatch(value) if isinstance(value, str) else None
        if match is None or int(match[3]) > 0xFFFF:
            self.fail(f"{escape(str(value))!r}, expected :9108 or ADDRESS:9108", param, ctx)
        return match[1] or match[2] or "127.0.0.1", int(match[3])


metrics_option = click.option(
    "--metrics",
    "listen",
    type=_Listen(),
    metavar="[ADDRESS]:PORT",
    help="Answer /metrics, /livez, /readyz and /status.",
)


@asynccontextmanager
async def answering(metrics: Metrics, where: Where) -> AsyncIterator[None]:
    """Answer over HTTP meanwhile.

    Raises:
        click.ClickException: nobody can listen there.
    """
    from ..ingest import Health

    health = Health(metrics, host=where[0], port=where[1])
    try:
        await health.start()
    except OSError as error:
        text = f"--metrics: cannot listen on {escape(address(*where))}: {error.strerror or error}"
        raise click.ClickException(text) from error
    try:
        yield
    finally:
        await health.close()
