"""Where to connect, as whom, and with which password: from options, a profile, the environment, a file or a prompt.

A password is never shown. `-p` is there because fs_cli has it: whoever is on the machine can read the command lines of
others.
"""

from __future__ import annotations

import functools
import logging
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import click
from click.core import ParameterSource

from .. import _address
from .._ctext import redacted_user
from ..errors import ESLError, InvalidCommand
from ..logs import JsonFormatter
from ..reconnect import Password
from ..sync import Client, connect
from .conf import Profile, find_profile, profile_names
from .text import escape, is_terminal, note

VARIABLE: Final = "ESLCODEC_PASSWORD"
DEFAULT_PASSWORD: Final = "ClueCon"  # of a switch that nobody has configured, and no secret
_LINE_BYTES: Final = 64 << 10  # more than a switch's configuration would take
KEEPALIVE: Final = 30.0  # seconds
_INTERRUPTED: Final = 130  # what a shell says of a program that Ctrl-C ended
_HOST: Final = "127.0.0.1"
_PORT: Final = 8021
_RETRIES: Final = 120  # of `--retry`, as fs_cli does
_RETRY_SECONDS: Final = 1.0
_SET_BY: Final = (ParameterSource.COMMANDLINE, ParameterSource.PROMPT)

F = TypeVar("F", bound=Callable[..., Any])
_Decorator = Callable[[Callable[..., None]], Callable[..., None]]


def password_file_option(function: F) -> F:
    """Adds --password-file to a command."""
    return click.option(
        "--password-file",
        metavar="FILE",
        envvar="ESLCODEC_PASSWORD_FILE",
        show_envvar=True,
        help="The password is the first line of this file, which nobody but its owner may read. It is read again when "
        f"the connection is set up again. Without it the environment variable {VARIABLE} counts.",
    )(function)


def stored_password(file: str | None) -> str | None:
    """The password in a file, or in the environment; None if there is none.

    Raises:
        click.ClickException: the file cannot be read, or others can read it too.
    """
    if file is not None:
        return first_line(file)
    return os.environ.get(VARIABLE) or None


@dataclass(frozen=True)
class Login:
    """As whom to log in, and with which password; where, if nothing else says that.

    Attributes:
        host, port: of one switch.
        said_port: the port that was asked for; None: none was.
        user, password: None: not said. The password of a profile is not taken for another user.
        profiles: those that were asked for.
        is_option: whether the password is from an option.
        options: what else the profile says.
    """

    host: str = _HOST
    port: int = _PORT
    said_port: int | None = None
    user: str | None = None
    password: Password | None = field(default=None, repr=False)
    profiles: tuple[Profile, ...] = ()
    is_option: bool = False
    options: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        host: str | None = None,
        port: int | None = None,
        user: str | None = None,
        password: str | None = None,
        password_file: str | None = None,
        profiles: Sequence[str] = (),
        many: bool = False,
    ) -> Login:
        """Of options: what the command line says comes first, a profile that it names included; then the environment,
        then the profile that counts if none is named.

        Args:
            host, port, user, password, password_file: the options of these names.
            profiles: the names of `--profile`.
            many: each of these profiles is a switch of its own, and says nothing about others.

        Raises:
            click.ClickException: there is no such profile, or a file cannot be read.
        """
        if password is not None and password_file is not None and _is_typed("password_file"):
            raise click.UsageError("--password and --password-file exclude each other")
        found = tuple(filter(None, map(find_profile, profiles or (None,))))
        profile = found[0] if found and not (many and profiles) else Profile("")
        named = bool(profiles) and _is_typed("profiles")

        def said(name: str, option: Any, of_profile: Any) -> Any:
            is_first = option is not None and (_is_typed(name) or not named)
            return option if is_first or of_profile is None else of_profile

        host, user = said("host", host, profile.host), said("user", user, profile.user)
        of_profile = profile.password if user == profile.user else None
        secret = said("password_file", _secret(password_file), of_profile) if password is None else password
        return cls(
            host or _HOST,
            said("port", port, profile.port) or _PORT,
            port,
            user,
            secret,
            found if profiles else (),
            password is not None or password_file is not None,
            profile.options,
        )


def _secret(password_file: str | None) -> Password | None:
    """The password in a file, which is read at each attempt, or in the environment; None if there is none."""
    if password_file is not None:
        return functools.partial(first_line, password_file)
    return os.environ.get(VARIABLE) or None


def _is_typed(name: str) -> bool:
    """Whether an option stands on the command line."""
    return click.get_current_context().get_parameter_source(name) in _SET_BY


@dataclass(frozen=True)
class Target:
    """What to log in to, from the options of `target_options`."""

    login: Login
    retry: bool = False

    @property
    def host(self) -> str:
        """The switch's address."""
        return self.login.host

    @property
    def port(self) -> int:
        """The switch's port."""
        return self.login.port

    @property
    def user(self) -> str | None:
        """Who logs in; None: the password alone does."""
        return self.login.user

    def __str__(self) -> str:
        return address(self.host, self.port)

    @contextmanager
    def connected(self, **options: Any) -> Iterator[Client]:
        """A client, logged in. Whatever goes wrong with it becomes one line for the user; Ctrl-C ends it quietly.

        Args:
            options: as `eslcodec.connect` takes them.
        """
        try:
            password = chosen_password(self.login.password, self.user, str(self))
            with notes_told(), self._opened(password, options) as client:
                yield client
        except KeyboardInterrupt:
            click.get_current_context().exit(_INTERRUPTED)
        except InvalidCommand as error:
            raise click.UsageError(escape(str(error))) from error
        except ESLError as error:
            text = escape(str(error).strip())  # which says where, if it is about the login
            raise click.ClickException(text if str(self) in text else f"{self}: {text}") from error

    def _opened(self, password: Password, options: dict[str, Any]) -> Client:
        left = _RETRIES if self.retry else 0
        options = {"keepalive": KEEPALIVE, **options}
        while True:
            try:
                return connect(self.host, self.port, password=password, user=self.user, **options)
            except OSError as error:  # later ones are not the connection's: that has errors of its own
                why = f"cannot connect to {self}: {escape(error.strerror)}" if error.strerror else escape(str(error))
                if not left:
                    raise click.ClickException(why) from error
            if left == _RETRIES:
                note(f"{why}; it is tried again for {_RETRIES} s")
            left -= 1
            time.sleep(_RETRY_SECONDS)


def chosen_password(said: Password | None, user: str | None, where: str) -> Password:
    """The password for a login; one that was not said is asked for, if somebody sits at a terminal.

    Args:
        said: what `Login` found.
        user: who logs in.
        where: at which switch.

    Raises:
        click.UsageError: a user has none.
    """
    if said is not None:
        return said
    if is_terminal(sys.stdin):
        return _asked(user, where)
    if user is None:
        return DEFAULT_PASSWORD
    raise click.UsageError(f"a user needs a password: --password-file, or the environment variable {VARIABLE}")


def _asked(user: str | None, where: str) -> str:
    default = None if user else DEFAULT_PASSWORD
    whose = f"{escape(redacted_user(user))} at {where}" if user else f"{where} [{default}]"
    password: str = click.prompt(f"Password of {whose}", default=default, show_default=False, hide_input=True, err=True)
    return password


def _complete_profile(_ctx: click.Context, _option: click.Parameter, begun: str) -> list[str]:
    return [name for name in profile_names() if name.startswith(begun)]


def _options(many: bool) -> list[_Decorator]:
    """The options that all commands have which connect."""
    return [
        click.option(
            "--profile",
            "profiles",
            multiple=many,
            metavar="NAME",
            envvar="ESLCODEC_PROFILE",
            shell_complete=_complete_profile,
            help="A switch that has a name in eslcodec/switches.toml, or in fs_cli's .fs_cli_conf or /etc/fs_cli.conf. "
            + ("Repeatable." if many else "Without it the profile default counts, if there is one."),
        ),
        click.option(
            "-P",
            "--port",
            type=click.IntRange(1, 65535),
            show_default=str(_PORT),
            metavar="PORT",
            envvar="ESLCODEC_PORT",
            show_envvar=True,
            help="The switch's port.",
        ),
        click.option(
            "-u",
            "--user",
            metavar="USER@DOMAIN",
            envvar="ESLCODEC_USER",
            show_envvar=True,
            help="Log in as this directory user.",
        ),
        click.option(
            "-p",
            "--password",
            metavar="PASSWORD",
            help=f"As fs_cli has it: others on this machine can read it. {VARIABLE} and --password-file are safe.",
        ),
        password_file_option,
    ]


def login_options(function: Callable[..., None]) -> Callable[..., None]:
    """Adds the options that say as whom to log in, for a command that names its switches; it gets them as `login`."""

    @functools.wraps(function)
    def command(**options: Any) -> None:
        said = {name: options.pop(name) for name in ("profiles", "port", "user", "password", "password_file")}
        function(login=Login.of(many=True, **said), **options)

    return _with_options(command, _options(many=True))


def target_options(function: Callable[..., None]) -> Callable[..., None]:
    """Adds the options that say where to connect and as whom; the command gets them as `target`."""
    return _with_options(_of_target(function), [_host_option(), *_options(many=False), _retry_option()])


def console_options(function: Callable[..., None]) -> Callable[..., None]:
    """The same, but that the profile is an argument, as fs_cli has it."""
    profile = click.argument(
        "profiles", required=False, metavar="[PROFILE]", envvar="ESLCODEC_PROFILE", shell_complete=_complete_profile
    )
    return _with_options(_of_target(function), [profile, _host_option(), *_options(many=False)[1:], _retry_option()])


def _of_target(function: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(function)
    def command(profiles: str | None, retry: bool, **options: Any) -> None:
        said = {name: options.pop(name) for name in ("host", "port", "user", "password", "password_file")}
        function(target=Target(Login.of(profiles=(profiles,) if profiles else (), **said), retry), **options)

    return command


def _host_option() -> _Decorator:
    return click.option(
        "-H",
        "--host",
        show_default=_HOST,
        metavar="ADDRESS",
        envvar="ESLCODEC_HOST",
        show_envvar=True,
        help="The switch's address.",
    )


def _retry_option() -> _Decorator:
    return click.option("-r", "--retry", is_flag=True, help=f"If nobody listens there, try for {_RETRIES} s.")


def _with_options(command: Callable[..., None], options: Sequence[_Decorator]) -> Callable[..., None]:
    for option in reversed(options):
        command = option(command)
    return command


class _Notes(logging.Handler):
    """What the clients have to say about their connections."""

    def __init__(self, tell: Callable[[str], None], json: Callable[[str, str], None] | None) -> None:
        super().__init__()
        self._tell, self._json = tell, json
        self.setFormatter(JsonFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        if self._json is None:
            self._tell(record.getMessage())
        else:
            self._json(self.format(record), record.getMessage())


@contextmanager
def notes_told(
    tell: Callable[[str], None] = note, *, json: Callable[[str, str], None] | None = None, but: str | None = None
) -> Iterator[None]:
    """What the clients have to say about their connections is told meanwhile; by default on standard error.

    Args:
        tell: is given each message.
        json: is given each as a line of JSON instead, and the message.
        but: the name of a logger of which only errors are told.
    """
    log, notes = logging.getLogger("eslcodec"), _Notes(tell, json)
    notes.addFilter(lambda record: record.name != but or record.levelno >= logging.ERROR)
    before = log.level
    log.addHandler(notes)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(notes)
        log.setLevel(before)


def address(host: str, port: int) -> str:
    """host:port, escaped."""
    return escape(_address.address(host, port))


def first_line(path: str) -> str:
    """The password in a file.

    Raises:
        click.ClickException: it cannot be read, others can read it too, or there is none in it.
    """
    name = escape(path)
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            found = os.fstat(file.fileno())
            mode = found.st_mode
            if not stat.S_ISREG(mode):
                raise click.ClickException(f"{name}: expected a regular file with the password in its first line")
            if is_for_others(found):
                raise click.ClickException(
                    f"{name} has mode {stat.S_IMODE(mode):04o}: the password in it is not for others, chmod 600 it"
                )
            line = file.readline(_LINE_BYTES)
    except OSError as error:
        raise click.ClickException(f"Could not open file '{name}': {error.strerror}") from error
    password = line.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8", "surrogateescape")
    if not password:
        raise click.ClickException(f"{name} has no password in its first line")
    return password


def is_for_others(found: os.stat_result) -> bool:
    """Whether others can read or change a secret, or its group can.

    A file of root that its group can read is not, unless we are root: so systemd (`LoadCredential=`) and Kubernetes
    (`fsGroup`) hand secrets to a process that runs as somebody else.
    """
    if os.name != "posix":
        return False
    is_handed = found.st_uid == 0 and os.geteuid() != 0
    return bool(found.st_mode & (0o037 if is_handed else 0o077))


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # or a pipe would keep us waiting for a writer
