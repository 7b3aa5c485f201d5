"""Which switches a `Fleet` has: `Host`, and where a list of them is read from: texts, a TOML file, the environment.

No I/O but that of reading a file.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from .. import presets
from .._words import is_known
from ..reconnect import Password

NAME_RULE: Final = (
    "1 to 64 of the letters a to z and A to Z, digits, '-', '_' and '.', the first of them a letter or a digit"
)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_WHERE: Final = re.compile(r"(?:\[([^\[\]]+)\]|([^\[\]:\s]+))(?::([0-9]{1,6}))?", re.ASCII)
_PORT: Final = 8021
_SETTLE_SECONDS: Final = 0.2
_LOOKS: Final = 25
_NAMES: Final = {"ALL": presets.ALL, "CALLS": presets.CALLS}
_SUBCLASSES: Final = {
    "CALLCENTER": presets.CALLCENTER,
    "CONFERENCE": presets.CONFERENCE,
    "GATEWAYS": presets.GATEWAYS,
    "REGISTRATIONS": presets.REGISTRATIONS,
}


@dataclass(frozen=True)
class Host:
    """A switch as it is configured.

    Attributes:
        name: of the switch, in everything that is told of it. It is a metric's label, a folder, and a part of a
            subject, so it has 1 to 64 letters (a to z, A to Z), digits, `-`, `_` and `.`, a letter or digit first. In
            one fleet no two names are the same, upper and lower case aside.
        host, port: where its event socket is.
        password: text, or a function that returns it and is asked at each attempt. None: the fleet's.
        password_file: a path: the file is read at each attempt.
        user: "user@domain" for a directory user. None: the fleet's.

    Raises:
        ValueError: a name, host or port that cannot be, or password and password_file together.

    Example:
        >>> Host("fs1", "10.0.0.1")
        Host(name='fs1', host='10.0.0.1', port=8021, password_file=None, user=None)
        >>> Host.parse("fs2=10.0.0.2:8022").port
        8022
    """

    name: str
    host: str
    port: int = _PORT
    password: Password | None = field(default=None, repr=False)
    password_file: str | os.PathLike[str] | None = None
    user: str | None = None

    def __post_init__(self) -> None:
        if type(self.name) is not str or _NAME.fullmatch(self.name) is None:
            raise ValueError(f"the name of a switch is {self.name!r:.80}, expected {NAME_RULE}")
        if not _is_host(self.host):
            raise ValueError(f"{self.name}: host is {self.host!r:.80}, expected a name or an address")
        if type(self.port) is not int or not 0 < self.port < 65536:
            raise ValueError(f"{self.name}: port is {self.port!r:.80}, expected 1 to 65535")
        if self.password is not None and self.password_file is not None:
            raise ValueError(f"{self.name} has a password and a password_file, expected one of them")

    @classmethod
    def parse(cls, text: str, port: int = _PORT) -> Host:
        """A host of a text: `name=host:port`, `host:port` or `host`, an IPv6 address in brackets.

        Without a name it is the host, and with another port than 8021 `host_port`.

        Args:
            text: it.
            port: if the text has none.

        Raises:
            ValueError: it is something else.

        Example:
            >>> Host.parse("pbx.example.org:8022").name, Host.parse("lab=[::1]").host
            ('pbx.example.org_8022', '::1')
        """
        name, equals, where = text.strip().rpartition("=")
        found = _WHERE.fullmatch(where.strip())
        if found is None:
            raise ValueError(f"read {text!r:.80}, expected name=host:port, host:port or host (IPv6 in brackets)")
        host = found[1] or found[2]
        number = port if found[3] is None else int(found[3])
        if not equals:
            if found[1]:
                raise ValueError(f"read {text!r:.80}, expected a name before an IPv6 address: name=[...]:port")
            name = host if number == _PORT else f"{host}_{number}"
        return cls(name.strip(), host, number)

    def secret(self, default: Password | None) -> Password | None:
        """The password, as `connect` takes it."""
        if self.password_file is not None:
            return Path(self.password_file)
        return default if self.password is None else self.password


def _is_host(host: object) -> bool:
    return isinstance(host, str) and host != "" and host.isprintable() and not any(map(str.isspace, host))


def to_hosts(listed: Iterable[Host | str]) -> dict[str, Host]:
    """Hosts by their names.

    Raises:
        ValueError: a name is there twice.
        TypeError: something is no host.

    Example:
        >>> list(to_hosts(["fs1=10.0.0.1", Host("fs2", "10.0.0.2")]))
        ['fs1', 'fs2']
    """
    if isinstance(listed, str):
        raise TypeError(f"hosts is {listed!r:.80}, expected a list of hosts")
    found: dict[str, Host] = {}
    seen: set[str] = set()
    for one in listed:
        host = Host.parse(one) if isinstance(one, str) else one
        if not isinstance(host, Host):
            raise TypeError(f"a host is {host!r:.80}, expected a Host or text")
        if host.name.lower() in seen:
            raise ValueError(f"two switches are named {host.name!r} (upper and lower case are the same), expected one")
        seen.add(host.name.lower())
        found[host.name] = host
    return found


def split_events(events: Iterable[str] | str) -> tuple[list[str], list[str]]:
    """Names of events, and subclasses of CUSTOM, of names, presets and `CUSTOM subclass`.

    Example:
        >>> split_events(["DTMF", "CALLCENTER", "CUSTOM sofia::register"])
        (['DTMF'], ['callcenter::info', 'sofia::register'])
    """
    names: list[str] = []
    subclasses: list[str] = []
    for text in [events] if isinstance(events, str) else events:
        if not isinstance(text, str):
            raise TypeError(f"an event is {text!r:.80}, expected text")
        words = text.split()
        for at, word in enumerate(words):
            upper = word.upper()
            if upper in _NAMES:
                names += _NAMES[upper]
            elif upper in _SUBCLASSES:
                subclasses += _SUBCLASSES[upper]
            elif "::" in word or (at and words[0].upper() == "CUSTOM" and not is_known(word)):
                subclasses.append(word)
            elif upper != "CUSTOM" or len(words) == 1:
                names.append(word)
    return list(dict.fromkeys(names)), list(dict.fromkeys(subclasses))


# TOML

_HOST_KEYS: Final = frozenset(one.name for one in fields(Host)) - {"name"}
_FLEET_KEYS: Final = {
    "events": list,
    "custom": list,
    "filters": list,
    "format": str,
    "log": (str, bool),
    "user": str,
    "password": str,
    "password_file": str,
    "dials_per_second": (int, float),
    "refresh": (int, float),
    "keepalive": (int, float),
    "connect_timeout": (int, float),
    "command_timeout": (int, float),
    "queue": int,
    "when_full": str,
    "pause_limit": (int, float),
    "resync": bool,
}


def _are_texts(value: Any) -> bool:
    return all(isinstance(one, str) for one in value)


def _are_pairs(value: Any) -> bool:
    return all(isinstance(one, list) and len(one) == 2 and _are_texts(one) for one in value)


def read_toml(path: str | os.PathLike[str]) -> tuple[dict[str, Host], dict[str, Any]]:
    """Hosts, and options of the fleet, of a file; docs/guides/fleet.md says what it looks like.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no TOML, or has something that is not expected.
    """
    where = Path(path)
    content = _parse(where)
    options = _checked(content.pop("fleet", {}), "[fleet]", _FLEET_KEYS, where)
    switches = content.pop("switches", {})
    if content:
        raise ValueError(f"{where} has {next(iter(content))!r}, expected [fleet] and [switches.NAME]")
    if not isinstance(switches, dict):
        raise ValueError(f"{where}: switches is {switches!r:.60}, expected a table for each: [switches.NAME]")
    hosts = [_to_host(name, said, where) for name, said in switches.items()]
    if "password_file" in options:
        options["password_file"] = _beside(where, options["password_file"])
    return to_hosts(hosts), options


async def follow_toml(path: str | os.PathLike[str]) -> list[Host]:
    """Hosts of a file that somebody may be writing just now: it is read once it has stayed the same for a moment.

    So a file that is not written whole yet, and may name fewer switches, makes none of them go.

    Raises:
        OSError, ValueError: as `read_toml`; also if the file is empty, or is never left alone.
    """
    for _ in range(_LOOKS):
        before = _state(path)
        await asyncio.sleep(_SETTLE_SECONDS)
        if _state(path) != before:
            continue
        hosts = list(read_toml(path)[0].values())
        if _state(path) == before:
            if not before[1]:
                raise ValueError(f"{path} is empty, expected [switches]")
            return hosts
    raise ValueError(f"{path} was written again and again for {_LOOKS * _SETTLE_SECONDS:g} s, expected it to stay")


def _state(path: str | os.PathLike[str]) -> tuple[int, int, int]:
    """What is another after each change of a file: which it is, its size, when it was written."""
    found = os.stat(path)
    return found.st_ino, found.st_size, found.st_mtime_ns


def _parse(path: Path) -> dict[str, Any]:
    try:
        toml = import_module("tomllib")
    except ImportError:  # Python 3.10
        try:
            toml = import_module("tomli")
        except ImportError:
            raise RuntimeError("reading TOML on Python 3.10 needs tomli: pip install tomli") from None
    try:
        content: dict[str, Any] = toml.loads(path.read_text(encoding="utf-8"))
    except (toml.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: {error}") from None
    except RecursionError:
        raise ValueError(f"{path}: it is too deep") from None
    return content


def _to_host(name: str, said: Any, path: Path) -> Host:
    if isinstance(said, str):  # fs1 = "10.0.0.1:8021"
        return Host.parse(f"{name}={said}")
    kinds = {key: int if key == "port" else str for key in _HOST_KEYS}
    values = _checked(said, f"[switches.{name}]", kinds, path)
    if "host" not in values:
        raise ValueError(f"{path}: [switches.{name}] has no host")
    if "password_file" in values:
        values["password_file"] = _beside(path, values["password_file"])
    return Host(name, **values)


def _checked(said: Any, what: str, kinds: Mapping[str, Any], path: Path) -> dict[str, Any]:
    if not isinstance(said, dict):
        raise ValueError(f"{path}: {what} is {said!r:.60}, expected a table")
    for key, value in said.items():
        if key not in kinds:
            raise ValueError(f"{path}: {what} has {key!r}, expected one of {', '.join(sorted(kinds))}")
        if not _is_of(value, kinds[key]):
            raise ValueError(f"{path}: {key} in {what} is of type {type(value).__name__}")
        if isinstance(value, list) and not (_are_pairs if key == "filters" else _are_texts)(value):
            expected = "a list of [header, value]" if key == "filters" else "a list of texts"
            raise ValueError(f"{path}: {key} in {what} is {value!r:.60}, expected {expected}")
    return dict(said)


def _is_of(value: Any, kind: Any) -> bool:
    kinds = kind if isinstance(kind, tuple) else (kind,)
    return isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))  # which are int in Python


def _beside(path: Path, name: str) -> Path:
    """A file named in another one is looked for beside it."""
    return path.parent / name


# The environment


def read_environment(environment: Mapping[str, str]) -> tuple[dict[str, Host], dict[str, Any]]:
    """Hosts, and options of the fleet, of variables: ESLCODEC_HOSTS, and those that the command `eslcodec` has.

    Raises:
        ValueError: ESLCODEC_HOSTS names none, or something is not as expected.

    Example:
        >>> hosts, options = read_environment({"ESLCODEC_HOSTS": "fs1=10.0.0.1 fs2=10.0.0.2", "ESLCODEC_EVENTS": "CALLS"})
        >>> list(hosts), options
        (['fs1', 'fs2'], {'events': ['CALLS']})
    """  # noqa: E501
    port = environment.get("ESLCODEC_PORT") or str(_PORT)
    if not port.isdecimal():
        raise ValueError(f"ESLCODEC_PORT is {port!r:.40}, expected a number")
    hosts = to_hosts(
        Host.parse(text, int(port)) for text in re.split(r"[\s,]+", environment.get("ESLCODEC_HOSTS", "")) if text
    )
    if not hosts:
        raise ValueError("ESLCODEC_HOSTS names no switch, expected name=host:port, with blanks or commas between them")
    options: dict[str, Any] = {}
    events = [text.strip() for text in environment.get("ESLCODEC_EVENTS", "").split(",") if text.strip()]
    if events:
        options["events"] = events
    for name, option in (
        ("ESLCODEC_USER", "user"),
        ("ESLCODEC_PASSWORD_FILE", "password_file"),
        ("ESLCODEC_PASSWORD", "password"),
    ):
        if environment.get(name) and not (option == "password" and "password_file" in options):
            options[option] = environment[name]
    return hosts, options
