"""`eslcodec record`: everything that switches send, kept exactly, until it is told to stop."""

from __future__ import annotations

import logging
import math
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType
from typing import Any, Final, Literal

import click

from ..errors import InvalidCommand
from ..ingest import Recorder
from .hosts import fleet_hosts, fleet_password, hosts_option
from .listen import Where, metrics_option
from .live import filter_option
from .login import Login, login_options, notes_told
from .names import PRESETS, check_names, complete_events, split_events, unknown_option
from .record_view import Survey, View, view
from .station import Crew, Station, Wanted
from .systemd import Notifier
from .text import escape, note
from .units import DURATION, FSYNC, ROTATION, SHARE, SIZE

_LOOK_SECONDS: Final = 1.0  # between two pictures
_STATUS_SECONDS: Final = 10.0  # between two lines for systemd
_SAME_SECONDS: Final = 600.0  # after which a line is said again
_LINES: Final = 1000  # that are remembered for that
_LOG: Final = logging.getLogger("eslcodec.record")
_INTERRUPTED: Final = 130  # what a shell says of a program that Ctrl-C ended


@click.command(short_help="Keep what switches send, exactly.")
@click.argument("hosts", nargs=-1, metavar="HOST...", envvar="ESLCODEC_HOST")
@hosts_option
@click.option(
    "--dir", "folder", required=True, metavar="DIR", help="Where the recordings go: DIR/HOST_PORT/TIME.esl.zst."
)
@click.option(
    "--events",
    multiple=True,
    required=True,
    metavar="EVENTS",
    shell_complete=complete_events,
    help=f"What is recorded: {', '.join(PRESETS)} (eslcodec.presets), names of events, or 'CUSTOM sofia::register'. "
    "Repeatable.",
)
@login_options
@click.option(
    "--format",
    "wire_format",
    type=click.Choice(["plain", "json", "xml"]),
    default="plain",
    show_default=True,
    help="How the switch sends events.",
)
@filter_option
@click.option(
    "--rotate",
    type=ROTATION,
    multiple=True,
    metavar="SIZE|TIME",
    help="Begin a new file after so much, or so long; both may be given. By default 256M and 1h.",
)
@click.option(
    "--fsync",
    type=FSYNC,
    default="1s",
    show_default=True,
    metavar="TIME|always|never",
    help="How often what was written is forced to the disk: what a power cut costs.",
)
@click.option("--keep", "keep_seconds", type=DURATION, metavar="TIME", help="Remove files that are older: 7d.")
@click.option("--keep-bytes", type=SIZE, metavar="SIZE", help="Remove the oldest files beyond so much: 50G.")
@click.option(
    "--min-free",
    type=SHARE,
    default="10%",
    show_default=True,
    metavar="PERCENT",
    help="Leave so much of the disk free.",
)
@click.option(
    "--on-full",
    type=click.Choice(["stop", "oldest"]),
    default="stop",
    show_default=True,
    help="When the disk is full: end with status 1, or remove the oldest files.",
)
@click.option("--quiet", is_flag=True, help="Say only what goes wrong.")
@click.option("--log-json", is_flag=True, help="Write what happens as lines of JSON on standard error, and no table.")
@metrics_option
@unknown_option
def record(
    hosts: tuple[str, ...],
    hosts_file: str | None,
    folder: str,
    events: tuple[str, ...],
    login: Login,
    wire_format: str,
    filters: list[tuple[str, str]],
    quiet: bool,
    log_json: bool,
    listen: Where | None,
    unknown: bool,
    **options: Any,
) -> None:
    """Keep exactly what switches send, until Ctrl-C or SIGTERM.

    \b
    eslcodec record 10.0.0.1 --dir rec --events ALL
    eslcodec record east=10.0.0.1 west=10.0.0.2 --dir rec --events CALLS --keep 7d

    HOST is a host, host:port, [IPv6 address]:port, or NAME= and one of these; without any, ESLCODEC_HOST has them.

    A connection that is lost is set up again, for ever, and each gap is told in a line. The exit status is 1 if
    recording ended by itself: the disk is full, or no switch lets us in.
    """
    names, subclasses = split_events(events)
    check_names(names, unknown, "it does not mind being asked for it")
    if not (names or subclasses):
        raise click.UsageError("--events names no event")
    if not (hosts or hosts_file or login.profiles):
        raise click.UsageError("Missing argument 'HOST...', or --hosts FILE.toml, or --profile NAME.")
    listed, said = fleet_hosts(hosts, login.said_port, hosts_file, login.profiles)
    user = login.user or said.get("user")
    password = fleet_password(listed, said, login, user)
    wanted = Wanted(names, subclasses, filters, wire_format, user, password)
    settings = recorder_options(**options)
    told = Told()
    tell = _LOG.warning if log_json else told.tell
    notes = notes_told(told.tell, json=told.tell if log_json else None, but="eslcodec.fleet")  # a station tells that
    with notes, Stop(told.wake) as stop:
        stations = [Station(host, lambda: Recorder(folder, **settings), tell) for host in listed]
        try:
            crew = Crew(listed, stations, wanted, folder, listen)
        except (ValueError, TypeError, InvalidCommand) as error:
            raise click.UsageError(escape(str(error))) from error
        survey = Survey(
            stations, folder, **{name: options[name] for name in ("min_free", "keep_seconds", "keep_bytes")}
        )
        why = _run(crew, stations, survey, told, stop, quiet, log_json)
    if why is not None and log_json:
        raise click.exceptions.Exit(1)
    if why is not None:
        raise click.ClickException(escape(why))


def recorder_options(rotate: Sequence[tuple[Literal["bytes", "seconds"], float]], **options: Any) -> dict[str, Any]:
    """The options of the command as `Recorder` takes them.

    Raises:
        click.UsageError: two sizes, or two times, for one file.
    """
    kinds = dict(rotate)
    if len(kinds) < len(rotate):
        raise click.UsageError("--rotate takes one size and one time")
    return {**{f"rotate_{kind}": value for kind, value in kinds.items()}, **options}


class Told:
    """Lines that are to be shown, from any thread or a signal's handler; the same one no more than once in a while.

    Args:
        clock: seconds of a clock that does not jump.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._queue: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._last: dict[str, float] = {}

    def tell(self, text: str, news: str = "") -> None:
        """Show a line, unless it was shown a moment ago: a switch that is away all night is no news all night.

        Args:
            text: the line.
            news: what of it is to be news; all of it.
        """
        now, news = self._clock(), news or text
        if now - self._last.get(news, -math.inf) >= _SAME_SECONDS:
            if len(self._last) >= _LINES:
                self._last.clear()
            self._last[news] = now
            self._queue.put(text)

    def wake(self) -> None:
        """Wake whoever waits in `take`."""
        self._queue.put("")

    def take(self, seconds: float = 0) -> list[str]:
        """What there is to show. Waits so long for the first."""
        lines = []
        with suppress(queue.Empty):
            lines.append(self._queue.get(timeout=seconds))
            while True:
                lines.append(self._queue.get_nowait())
        return [line for line in lines if line]


class Stop(threading.Event):
    """Set when Ctrl-C, SIGTERM, or the end of the terminal asks us to end; a second Ctrl-C ends at once.

    Args:
        wake: called when it is set, by the handler of a signal.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        super().__init__()
        self._wake = wake

    def __enter__(self) -> Stop:
        self._before = {}
        if threading.current_thread() is threading.main_thread():
            for name in ("SIGINT", "SIGTERM", "SIGHUP"):
                number = getattr(signal, name, None)
                if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.is_set():
            os._exit(_INTERRUPTED)
        self.set()
        self._wake()


def _run(
    crew: Crew, stations: Sequence[Station], survey: Survey, told: Told, stop: Stop, quiet: bool, log_json: bool
) -> str | None:
    """Record until we are told to stop: None, or until it ends by itself: why."""
    notifier = Notifier()
    try:
        with view(quiet, json=log_json) as screen:
            crew.start()
            notifier.ready()
            why = _watch(crew, stations, survey, screen, notifier, told, stop)
            notifier.stopping()
    finally:
        notifier.close()
        crew.close()
    if log_json:
        for station in stations:
            _LOG.info("%s: %s", station.name, station.numbers())
        if why is not None:
            _LOG.error("%s", why)
    for text in told.take():
        (screen.say if log_json else note)(text)
    if not quiet and not log_json:
        for station in stations:
            click.echo(f"{escape(station.name)}: {station.numbers()}")
    return why


def _watch(
    crew: Crew, stations: Sequence[Station], survey: Survey, screen: View, notifier: Notifier, told: Told, stop: Stop
) -> str | None:
    look = min(_LOOK_SECONDS, (notifier.interval or math.inf) / 3)
    due = -math.inf
    while True:
        for text in told.take(look):
            screen.say(text)
        if stop.is_set():
            return None
        why = _over(stations)
        if why is not None:
            return why
        survey.look()
        screen.show(survey)
        if not crew.is_stuck():
            notifier.alive()
        if time.monotonic() >= due:
            due = time.monotonic() + _STATUS_SECONDS
            notifier.status(survey.summary())


def _over(stations: Sequence[Station]) -> str | None:
    """Why nothing is recorded any more; None if something is, or may be."""
    for station in stations:
        if station.failure is not None:
            return f"{station.name}: {station.failure}"
    if all(station.refused for station in stations):
        return "no switch lets us in" if len(stations) > 1 else f"{stations[0].name} does not let us in"
    return None
