"""`eslcodec emulate`: a switch for tests, in the foreground, that says who connects and what they want."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Final, TypeVar, cast

import click

from .. import ProtocolError
from .._ctext import redacted
from ..emulator import Emulator
from .files import check_stream, label, readable, recording
from .login import DEFAULT_PASSWORD, address, password_file_option, stored_password
from .text import escape, shortened

F = TypeVar("F", bound=Callable[..., Any])

_BUNDLED: Final = "demo"
_LOOK_SECONDS: Final = 1.0  # each change wakes us; this is for none
_LINES_KEPT: Final = 100_000  # some 20 MB, if nobody takes them


def listen_options(function: F) -> F:
    """Adds --host, --port and --password-file, of a switch that others connect to."""
    for option in (
        password_file_option,
        click.option(
            "--port",
            type=click.IntRange(0, 65535),
            default=8021,
            show_default=True,
            metavar="PORT",
            help="Listen on this port; 0 takes a free one.",
        ),
        click.option(
            "--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Listen on this address."
        ),
    ):
        function = option(function)
    return function


@click.command(short_help="Run a switch for tests, without FreeSWITCH.")
@listen_options
@click.option(
    "--replay",
    is_flag=False,
    flag_value=_BUNDLED,
    metavar="[FILE]",
    help="Send the events and log lines of a recorded stream (also .gz, .xz, .zst) to whoever subscribes to anything. "
    f"Without FILE, or with the word {_BUNDLED}: of the one that comes with the package.",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="Events a second of the replay, whether anybody reads them or not, as a switch does; by default as fast as "
    "they are read.",
)
@click.option("--repeat", is_flag=True, help="Replay over and over again.")
def emulate(
    host: str, port: int, password_file: str | None, replay: str | None, rate: float | None, repeat: bool
) -> None:
    """Run a switch for tests, without FreeSWITCH: it answers every command as FreeSWITCH does, until Ctrl-C.

    \b
    eslcodec emulate --replay --rate 400
    eslcodec emulate --port 0 --replay stream.esl --repeat

    It says who connects and what they send, passwords apart. Its own password is ClueCon if none is given.
    """
    switch = _made(
        replay,
        host=host,
        port=port,
        password=stored_password(password_file) or DEFAULT_PASSWORD,
        rate=rate,
        repeat=None if repeat else 1,
        lossless=rate is None,
    )
    serve(switch)


def serve(switch: Emulator) -> None:
    """Run it, and say who connects and what they want, until Ctrl-C.

    Raises:
        click.ClickException: it cannot listen.
    """
    news = _News()
    switch._observe(lambda listener, what: news.tell(cast("tuple[Any, ...]", listener.peer), what))
    with suppress(KeyboardInterrupt), _running(switch):
        click.echo(f"listening on {address(switch.host, switch.port)}")
        _watch(switch, news)


@contextmanager
def _running(switch: Emulator) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(switch)
        except OSError as error:
            where = address(switch.host, switch.port)
            raise click.ClickException(f"cannot listen on {where}: {escape(error.strerror or str(error))}") from error
        yield


def _made(replay: str | None, **options: Any) -> Emulator:
    if replay is None:
        return Emulator(**options)
    if replay == _BUNDLED:
        return Emulator(replay=recording(), **options)
    if os.path.isfile(replay):
        check_stream(replay)
    with readable(replay):
        try:
            return Emulator(replay=replay, **options)
        except (ProtocolError, ValueError) as error:  # not a stream, or nothing in it to replay
            raise click.ClickException(f"{label(replay)}: {error}") from error


class _News:
    """What has happened on the connections, as lines, until they are shown; no more of them than `limit`."""

    def __init__(self, limit: int = _LINES_KEPT) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._lines: list[str] = []
        self._missed = 0

    def tell(self, peer: tuple[Any, ...], what: str) -> None:
        """One more thing. In the emulator's thread, which cannot wait for a terminal that stands still."""
        with self._lock:
            if len(self._lines) < self._limit:
                self._lines.append(f"{address(*peer[:2])} {shortened(redacted(what))}")
            else:
                self._missed += 1

    def take(self) -> list[str]:
        """What has happened since the last time."""
        with self._lock:
            lines, self._lines = self._lines, []
            missed, self._missed = self._missed, 0
        return [*lines, f"{missed} more lines were not kept"] if missed else lines


def _watch(switch: Emulator, news: _News) -> None:
    """Print what happens, until somebody interrupts."""
    while True:
        with suppress(TimeoutError):
            for line in switch.wait_for(news.take, _LOOK_SECONDS):
                click.echo(line)
