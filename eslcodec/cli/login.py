"""Where to connect, as whom, and with which password: from a file, the environment or a prompt, and never shown.

There is no option for the password on purpose: whoever is on the machine can read the command lines of others.
"""

from __future__ import annotations

import functools
import logging
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import click

from .. import _address
from .._ctext import redacted_user
from ..errors import ESLError, InvalidCommand
from ..logs import JsonFormatter
from ..reconnect import Password
from ..sync import Client, connect
from .text import escape, is_terminal, note

VARIABLE: Final = "ESLCODEC_PASSWORD"
DEFAULT_PASSWORD: Final = "ClueCon"  # of a switch that nobody has configured, and no secret
_LINE_BYTES: Final = 64 << 10  # more than a switch's configuration would take
KEEPALIVE: Final = 30.0  # seconds
_INTERRUPTED: Final = 130  # what a shell says of a program that Ctrl-C ended

F = TypeVar("F", bound=Callable[..., Any])


def password_file_option(function: F) -> F:
    """Adds --password-file to a command."""
    return click.option(
        "--password-file",
        metavar="FILE",
        envvar="ESLCODEC_PASSWORD_FILE",
        help="The password is the first line of this file, which nobody but its owner may read. It is read again when "
        f"the connection is set up again. Without it the environment variable {VARIABLE} counts.",
    )(function)


def stored_password(file: str | None) -> str | None:
    """The password in a file, or in the environment; None if there is none.

    Raises:
        click.ClickException: the file cannot be read, or others can read it too.
    """
    if file is not None:
        return _first_line(file)
    return os.environ.get(VARIABLE) or None


@dataclass(frozen=True)
class Target:
    """What to log in to, from the options of `target_options`."""

    host: str
    port: int
    user: str | None
    password_file: str | None

    def __str__(self) -> str:
        return address(self.host, self.port)

    @contextmanager
    def connected(self, **options: Any) -> Iterator[Client]:
        """A client, logged in. Whatever goes wrong with it becomes one line for the user; Ctrl-C ends it quietly.

        Args:
            options: as `eslcodec.connect` takes them.
        """
        password = self._password()
        try:
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
        try:
            return connect(self.host, self.port, password=password, user=self.user, keepalive=KEEPALIVE, **options)
        except OSError as error:  # later ones are not the connection's: that has errors of its own
            why = f"cannot connect to {self}: {escape(error.strerror)}" if error.strerror else escape(str(error))
            raise click.ClickException(why) from error

    def _password(self) -> Password:
        return chosen_password(self.password_file, self.user, str(self))


def chosen_password(file: str | None, user: str | None, where: str) -> Password:
    """The password for a login. A file is read at each attempt; one that is stored nowhere is asked for, if somebody
    sits at a terminal.

    Args:
        file: what `--password-file` names.
        user: who logs in.
        where: at which switch.

    Raises:
        click.UsageError: a user has none.
    """
    if file is not None:
        return functools.partial(_first_line, file)
    stored = stored_password(None)
    if stored is not None:
        return stored
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


def login_options(function: F) -> F:
    """Adds --port, --user and --password-file to a command."""
    for option in (
        password_file_option,
        click.option("--user", metavar="USER@DOMAIN", envvar="ESLCODEC_USER", help="Log in as this directory user."),
        click.option(
            "--port",
            type=click.IntRange(1, 65535),
            default=8021,
            show_default=True,
            metavar="PORT",
            envvar="ESLCODEC_PORT",
            help="The switch's port.",
        ),
    ):
        function = option(function)
    return function


def target_options(function: Callable[..., None]) -> Callable[..., None]:
    """Adds the options that say where to connect and as whom; the command gets them as `target`."""

    @functools.wraps(function)
    def command(host: str, port: int, user: str | None, password_file: str | None, **others: Any) -> None:
        function(target=Target(host, port, user, password_file), **others)

    return click.option(
        "--host",
        default="127.0.0.1",
        show_default=True,
        metavar="ADDRESS",
        envvar="ESLCODEC_HOST",
        help="The switch's address; each of these has a variable ESLCODEC_... too.",
    )(login_options(command))


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


def _first_line(path: str) -> str:
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
