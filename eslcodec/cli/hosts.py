"""Switches as they are typed: a host, or a host and a port."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import click

from .._address import address
from .text import escape

if TYPE_CHECKING:
    from ..ingest import Host

_PORT: Final = 8021  # which a name does not tell
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


def fleet_hosts(texts: Iterable[str], port: int, file: str | None) -> tuple[list[Host], dict[str, Any]]:
    """Switches of a fleet, and its options.

    Args:
        texts: each as `hosts` takes it, with `name=` in front of it or not.
        port: of those that name none.
        file: a TOML file with more of them, and options (docs/guides/fleet.md); None: none.

    Example:
        >>> [host.name for host in fleet_hosts(["10.0.0.1", "b=10.0.0.2", "[::1]:8022"], 8021, None)[0]]
        ['10.0.0.1', 'b', 'ip6-__1_8022']

    Raises:
        click.UsageError: one of them is something else, or a name is there twice.
        click.ClickException: the file cannot be read, or says what means nothing.
    """
    from ..ingest._hosts import Host, read_toml, to_hosts

    found: list[Host] = []
    options: dict[str, Any] = {}
    if file is not None:
        try:
            named, options = read_toml(file)
        except OSError as error:
            raise click.ClickException(f"{escape(file)}: {escape(error.strerror or str(error))}") from error
        except (ValueError, RuntimeError) as error:
            raise click.ClickException(escape(str(error))) from error
        found += named.values()
        if isinstance(options.get("log"), bool):
            options["log"] = "crit" if options["log"] else None
    for text in texts:
        name, equals, where = text.rpartition("=")
        host, number = _host(where, port)
        if not equals:
            name = host if ":" not in host else f"ip6-{host.replace(':', '_').replace('%', '_')}"
            name = name if number == _PORT else f"{name}_{number}"
        try:
            found.append(Host(name, host, number))
            to_hosts(found)
        except ValueError as error:
            raise click.UsageError(escape(str(error))) from error
    return found, options
