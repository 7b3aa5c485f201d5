"""Switches that are known by name: those of our own file, in the form of a `Fleet`, and the profiles of fs_cli."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from .text import escape

if TYPE_CHECKING:
    from ..reconnect import Password

VARIABLE: Final = "ESLCODEC_SWITCHES"
DEFAULT: Final = "default"
_SYSTEM_FILE: Final = "/etc/fs_cli.conf"
_FILE_BYTES: Final = 1 << 20  # more than any such file has
_TRUE: Final = ("yes", "on", "true", "t", "enabled", "active", "allow")


@dataclass(frozen=True)
class Profile:
    """A switch that is known by name.

    Attributes:
        name: in its file.
        host, port, user: where it is, and who logs in; None: not said.
        password: None: not said.
        options: what else fs_cli's file says, by its name there in lower case.
    """

    name: str
    host: str | None = None
    port: int | None = None
    user: str | None = None
    password: Password | None = field(default=None, repr=False)
    options: Mapping[str, str] = field(default_factory=dict, repr=False)

    def is_on(self, option: str) -> bool:
        """Whether this is switched on, as fs_cli reads it."""
        value = self.options.get(option, "").lower()
        return value in _TRUE or (value.isdecimal() and int(value) != 0)


def own_file(environment: Mapping[str, str] = os.environ) -> Path:
    """Where our own file is: what ESLCODEC_SWITCHES names, or eslcodec/switches.toml where configuration is.

    Example:
        >>> print(own_file({"XDG_CONFIG_HOME": "/home/a/.config"}).as_posix())
        /home/a/.config/eslcodec/switches.toml
    """
    if environment.get(VARIABLE):
        return Path(environment[VARIABLE])
    folder = environment.get("XDG_CONFIG_HOME", "")
    base = (
        Path(folder) if os.path.isabs(folder) else Path(environment.get("HOME") or os.path.expanduser("~"), ".config")
    )
    return base / "eslcodec" / "switches.toml"


def fs_cli_files(environment: Mapping[str, str] = os.environ) -> list[Path]:
    """Where fs_cli looks: only the first of these that is there counts."""
    home = environment.get("HOME")
    return [*([Path(home, ".fs_cli_conf")] if home else []), Path(_SYSTEM_FILE)]


def parse_fs_cli(text: str) -> list[Profile]:
    """The profiles of fs_cli's file, read as fs_cli reads it.

    Args:
        text: lines `[name]` and `key => value`; `;`, `#` and `;;` begin comments.

    Example:
        >>> [one] = parse_fs_cli("[east]\\nhost => 10.0.0.1\\nport => 8022 ;; a comment\\npassword => secret\\n")
        >>> one.name, one.host, one.port, one.password
        ('east', '10.0.0.1', 8022, 'secret')
    """
    found: list[tuple[str, dict[str, str]]] = []
    for category, key, value in _pairs(text):
        if not found or found[-1][0] != category:
            found.append((category, {}))
        found[-1][1][key.lower()] = value
    return [_profile(name, said) for name, said in found]


def _pairs(text: str) -> Iterator[tuple[str, str, str]]:
    category = ""
    for line in text.split("\n"):
        line = line.removesuffix("\r")
        head = re.match(r"\[([^\]]*)\]", line)
        if head is not None:
            category = category if head[1].startswith("+") else head[1]
            continue
        if line.startswith("__END__"):
            return
        at = line.find(";")
        if at >= 0 and line.startswith(";;", at):
            line = line[:at].rstrip(" \t")
        key, equals, value = line.partition("=")
        if equals and category and not line.startswith(("#", ";")):
            yield category, key.strip(" \t"), value.removeprefix(">").lstrip(" \t")


def _profile(name: str, said: dict[str, str]) -> Profile:
    port = re.match("[0-9]{1,5}", said.get("port", "").strip())
    number = int(port[0]) if port else 0
    return Profile(
        name,
        said.get("host", "").strip() or None,
        number if 0 < number < 65536 else None,
        said.get("user", "").strip() or None,
        said.get("password") or None,
        {key: value.strip() for key, value in said.items() if key not in ("host", "port", "user", "password")},
    )


def find_profile(name: str | None) -> Profile | None:
    """The profile of this name: our own file comes before fs_cli's.

    Args:
        name: None: the one named `default`, or else the first of fs_cli's file, as fs_cli does.

    Raises:
        click.ClickException: there is none of this name, or a file cannot be read.
    """
    own, theirs = _of_own_file(), _of_fs_cli()
    for profile in (*own, *theirs):
        if profile.name == (DEFAULT if name is None else name):
            return profile
    if name is None:
        return theirs[0] if theirs else None
    known = ", ".join(dict.fromkeys(escape(profile.name) for profile in (*own, *theirs)))
    files = ", ".join(escape(str(path)) for path in (own_file(), *fs_cli_files()))
    raise click.ClickException(f"no profile is named {escape(name)!r} in {files}; known: {known or 'none'}")


def profile_names() -> list[str]:
    """All that are known, for completion; what cannot be read is left out."""
    names: list[str] = []
    for read in (_of_own_file, _of_fs_cli):
        try:
            names += (profile.name for profile in read())
        except click.ClickException:
            continue
    return list(dict.fromkeys(names))


def _of_own_file() -> list[Profile]:
    path = own_file()
    if not _is_there(path):
        if os.environ.get(VARIABLE):
            raise click.ClickException(f"{VARIABLE}: there is no file {escape(str(path))}")
        return []
    from ..ingest._hosts import read_toml
    from .login import first_line

    try:
        hosts, options = read_toml(path)
    except OSError as error:
        raise click.ClickException(f"{escape(str(path))}: {escape(error.strerror or str(error))}") from error
    except (ValueError, RuntimeError) as error:
        raise click.ClickException(escape(str(error))) from error

    def secret(said: Any, file: Any) -> Password | None:
        return partial(first_line, os.fspath(file)) if file is not None else said

    of_all = secret(options.get("password"), options.get("password_file"))
    return [
        Profile(
            host.name,
            host.host,
            host.port,
            host.user or options.get("user"),
            secret(host.password, host.password_file) or of_all,
        )
        for host in hosts.values()
    ]


def _is_there(path: Path) -> bool:
    """Whether our own file is there. What is in a folder of somebody else is not ours, unless it was named: HOME may be
    root's, and the process another user's."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except PermissionError:
        return bool(os.environ.get(VARIABLE))
    except OSError:  # whoever reads it tells why
        return True
    return True


def _of_fs_cli() -> list[Profile]:
    return _read_first(fs_cli_files())


def _read_first(paths: Iterable[Path]) -> list[Profile]:
    for path in paths:
        try:
            with open(path, "rb") as file:
                return parse_fs_cli(file.read(_FILE_BYTES).decode("utf-8", "surrogateescape"))
        except (FileNotFoundError, NotADirectoryError, PermissionError):  # fs_cli takes the next one then too
            continue
        except OSError as error:
            raise click.ClickException(f"{escape(str(path))}: {escape(error.strerror or str(error))}") from error
    return []
