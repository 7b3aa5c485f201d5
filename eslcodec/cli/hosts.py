"""Switches as they are typed: a host, or a host and a port."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

import click

from .._address import address
from .login import Login, chosen_password
from .text import escape

if TYPE_CHECKING:
    from ..ingest import Host
    from ..reconnect import Password
    from .conf import Profile

_PORT: Final = 8021  # which a name does not tell
_NAME_CHARACTERS: Final = 64  # of a switch of a fleet

hosts_option: Final[Callable[[Callable[..., None]], Callable[..., None]]] = click.option(
    "--hosts",
    "hosts_file",
    metavar="FILE.toml",
    help="The switches of this file too, each with its own password if it has one: see the guide of Fleet.",
)
_HOST: Final = re.compile(r"(?:\[([^\[\]]+)\]|([^\[\]:]+))(?::([0-9]+))?", re.ASCII)


def _host(text: str, port: int) -> tuple[str, int]:
    match = _HOST.fullmatch(text)
    if match is None or text != "".join(text.split()):
        hint = f"; an IPv6 address in brackets: [{escape(text)}]" if re.fullmatch("[0-9A-Fa-f:.]*", text) else ""
        raise click.UsageError(f"read {escape(text)!r}, expected host or host:port{hint}")
    number = port if match[3] is None else int(match[3][:6])
    if not 0 < number < 65536:
        raise click.UsageError(f"read {escape(text)!r}, expected a port from 1 to 65535")
    return match[1] or match[2], number


def fleet_hosts(
    texts: Iterable[str], port: int | None, file: str | None, profiles: Iterable[Profile] = ()
) -> tuple[list[Host], dict[str, Any]]:
    """Switches of a fleet, and its options.

    Args:
        texts: each `host`, `host:port`, `[IPv6 address]` or `[IPv6 address]:port`, with `name=` in front or not.
        port: of those that name none; None: 8021.
        profiles: more of them, which have names.
        file: a TOML file with more of them, and options (docs/guides/fleet.md); None: none.

    Example:
        >>> [host.name for host in fleet_hosts(["10.0.0.1", "b=10.0.0.2", "[::1]:8022"], 8021, None)[0]]
        ['10.0.0.1', 'b', 'ip6-__1_8022']

    Raises:
        click.UsageError: one of them is something else, or a name or an address is there twice.
        click.ClickException: the file cannot be read, or says what means nothing.
    """
    found, options = ([], {}) if file is None else _of_file(file)
    found += map(_of_profile, profiles)
    found += (_named(text, port or _PORT) for text in texts)
    seen: dict[tuple[str, int], str] = {}
    names: set[str] = set()
    for host in found:
        where = address(host.host, host.port)
        if host.name.lower() in names:
            raise click.UsageError(f"{escape(host.name if is_named(host) else where)} is there twice")
        if (host.host, host.port) in seen:
            raise click.UsageError(f"{escape(where)} is there twice: the same events would come twice")
        names.add(host.name.lower())
        seen[host.host, host.port] = host.name
    return found, options


def is_named(host: Host) -> bool:
    """Whether it was given a name, and not just an address."""
    return host.name != _default_name(host.host, host.port)


def fleet_password(
    hosts: Iterable[Host], options: Mapping[str, Any], login: Login, user: str | None
) -> Password | None:
    """The password of those switches that have none of their own: of the command line, of the TOML file, or as
    `chosen_password` finds it. None if each has its own.

    Raises:
        click.ClickException: it cannot be read, here and now.
    """
    asking = [host for host in hosts if host.secret(None) is None]
    if not asking:
        return None
    if not login.is_option and ("password" in options or "password_file" in options):
        found: Password = options["password"] if "password" in options else options["password_file"]
        return found
    where = ", ".join(address(host.host, host.port) for host in asking)
    password = chosen_password(login.password, user, where)
    if callable(password):
        password()  # a file that cannot be read is told at once
    return password


def _of_file(file: str) -> tuple[list[Host], dict[str, Any]]:
    from ..ingest._hosts import read_toml

    try:
        named, options = read_toml(file)
    except OSError as error:
        raise click.ClickException(f"{escape(file)}: {escape(error.strerror or str(error))}") from error
    except (ValueError, RuntimeError) as error:
        raise click.ClickException(escape(str(error))) from error
    if isinstance(options.get("log"), bool):
        options["log"] = "crit" if options["log"] else None
    return list(named.values()), options


def _named(text: str, port: int) -> Host:
    from ..ingest._hosts import Host

    name, equals, where = text.rpartition("=")
    host, number = _host(where, port)
    try:
        return Host(name if equals else _default_name(host, number), host, number)
    except ValueError as error:
        raise click.UsageError(escape(str(error))) from error


def _of_profile(profile: Profile) -> Host:
    from ..ingest._hosts import Host

    try:
        return Host(
            profile.name, profile.host or "127.0.0.1", profile.port or _PORT, profile.password, user=profile.user
        )
    except ValueError as error:
        raise click.UsageError(escape(str(error))) from error


def _default_name(host: str, port: int) -> str:
    """A name that a switch of a fleet may have, of where it is."""
    text = host if ":" not in host else f"ip6-{host}"
    text = text if port == _PORT else f"{text}_{port}"
    name = re.sub("[^A-Za-z0-9._-]", "_", text)
    name = name if name[0].isalnum() else f"host{name}"
    return name if len(name) <= _NAME_CHARACTERS else f"{name[: _NAME_CHARACTERS - 9]}-{crc32(text.encode()):08x}"
