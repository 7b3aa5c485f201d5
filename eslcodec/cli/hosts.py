"""Switches as they are typed: a host, or a host and a port."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import click

from .._address import address
from .text import escape

_HOST: Final = re.compile(r"(?:\[([^\[\]]+)\]|([^\[\]:]+))(?::([0-9]+))?", re.ASCII)


def hosts(texts: Iterable[str], port: int) -> list[tuple[str, int]]:
    """Hosts and ports.

    Args:
        texts: each `host`, `host:port`, `[IPv6 address]` or `[IPv6 address]:port`.
        port: of those that name none.

    Example:
        >>> hosts(["10.0.0.1", "pbx.example.org:8022", "[::1]:8023"], 8021)
        [('10.0.0.1', 8021), ('pbx.example.org', 8022), ('::1', 8023)]

    Raises:
        click.UsageError: one of them is something else, or is there twice.
    """
    found: list[tuple[str, int]] = []
    for text in texts:
        host = _host(text, port)
        if host in found:
            raise click.UsageError(f"{escape(address(*host))} is there twice: the same events would be recorded twice")
        found.append(host)
    return found


def _host(text: str, port: int) -> tuple[str, int]:
    match = _HOST.fullmatch(text)
    if match is None or text != "".join(text.split()):
        hint = f"; an IPv6 address in brackets: [{escape(text)}]" if re.fullmatch("[0-9A-Fa-f:.]*", text) else ""
        raise click.UsageError(f"read {escape(text)!r}, expected host or host:port{hint}")
    number = port if match[3] is None else int(match[3][:6])
    if not 0 < number < 65536:
        raise click.UsageError(f"read {escape(text)!r}, expected a port from 1 to 65535")
    return match[1] or match[2], number
