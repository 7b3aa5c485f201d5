"""`eslcodec top`: what switches do at the moment, or did in a recording."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

import click

from .._address import address
from ..errors import ESLError
from ..ingest._board import Board
from .files import STANDARD_INPUT
from .hosts import fleet_hosts, fleet_password, hosts_option
from .live import filter_option
from .login import Login, login_options
from .names import PRESETS, check_names, complete_events, split_events, unknown_option
from .text import escape, is_terminal
from .top_screen import View, plain_view, terminal_view
from .units import DURATION, MOMENT

if TYPE_CHECKING:
    from ..ingest import Fleet, Host

_EVERY_SECONDS: Final = 1.0  # between two pictures on a terminal
_LINES_SECONDS: Final = 10.0  # between lines without one
_ONCE_SECONDS: Final = 5.0
_TAKEN: Final = 2000  # messages at once
_SIGNALS: Final = {"SIGINT": "end", "SIGTERM": "end", "SIGHUP": "end", "SIGWINCH": "resize", "SIGTSTP": "stop"}
_RECORDINGS: Final = (".esl", ".gz", ".xz", ".zst")


@click.command(short_help="Watch what switches do, in numbers.")
@click.argument("hosts", nargs=-1, metavar="[HOST|RECORDING]...", envvar="ESLCODEC_HOST")
@hosts_option
@click.option(
    "--events",
    multiple=True,
    metavar="EVENTS",
    shell_complete=complete_events,
    help=f"What is subscribed to: {', '.join(PRESETS)} (eslcodec.presets), names of events, or "
    "'CUSTOM sofia::register'. ALL by default; CALLS is an eighth of that. Repeatable.",
)
@login_options
@filter_option
@click.option(
    "--at", type=MOMENT, metavar="TIME", help="Of a recording: as it was then: 2026-11-29T08:00, 08:00, yesterday, -2h."
)
@click.option("--once", is_flag=True, help="Watch for --seconds, show it once, and end.")
@click.option("--seconds", type=DURATION, metavar="TIME", help="How long --once watches. By default 5s.")
@click.option("--json", "as_json", is_flag=True, help="An object of JSON on one line, in place of a picture.")
@click.option("--every", type=DURATION, metavar="TIME", help="Show it anew so often: 1s on a terminal, else 10s.")
@unknown_option
def top(
    hosts: tuple[str, ...],
    hosts_file: str | None,
    events: tuple[str, ...],
    login: Login,
    filters: list[tuple[str, str]],
    at: datetime | None,
    once: bool,
    seconds: float | None,
    as_json: bool,
    every: float | None,
    unknown: bool,
) -> None:
    """Watch what switches do: events, calls, answers and causes, lag and losses, until q or Ctrl-C.

    \b
    eslcodec top east=10.0.0.1 west=10.0.0.2
    eslcodec top --once --json | jq .total.legs
    eslcodec top rec/ --at 08:15

    HOST is a host, host:port, [IPv6 address]:port, or NAME= and one of these; without any, ESLCODEC_HOST has them, or
    it is where `eslcodec api` goes. A RECORDING is a file or a folder of
    `eslcodec record`, with a / in its name: shown is what its last ten minutes were, or those before --at. Keys: ? says
    them. With --once the exit status is 1 if no switch was connected.
    """
    if seconds is not None and not once:
        raise click.UsageError("--seconds goes with --once")
    recordings = tuple(name for name in hosts if at is not None or is_recording(name))
    if recordings:
        if len(recordings) < len(hosts) or hosts_file is not None:
            raise click.UsageError("switches and recordings cannot be shown together")
        _show_recording(recordings, at, as_json)
        return
    if not (hosts or hosts_file or login.profiles):
        hosts = (address(login.host, login.port),)
    if at is not None:
        raise click.UsageError("--at is for recordings")
    names, subclasses = split_events(events or ["ALL"])
    check_names(names, unknown, "it does not mind being asked for it")

    def look() -> tuple[list[Host], dict[str, Any]]:
        return fleet_hosts(hosts, login.said_port, hosts_file, login.profiles)

    listed, options = look()
    found = _found(listed, options, lambda: look()[0], hosts_file)
    options["password"] = fleet_password(listed, options, login, login.user)
    options.pop("password_file", None)
    if login.user is not None:
        options["user"] = login.user
    wanted = {"events": names, "custom": subclasses} if events or "events" not in options else {}
    said = {
        "hosts": found,
        "unknown": True,
        "filters": filters or options.get("filters", ()),
        "resync": False,
    }  # counts need no uuids
    watch = _Watch({**options, **wanted, **said})
    alone = once or as_json or not is_terminal(sys.stdout)
    view = plain_view(as_json) if alone else terminal_view()
    pause = seconds or _ONCE_SECONDS if once else every or (_LINES_SECONDS if view.slow else _EVERY_SECONDS)
    why = watch.run(view, pause, once)
    if why is not None:
        raise click.ClickException(escape(why))


def _found(
    listed: list[Host], options: Mapping[str, Any], look: Callable[[], list[Host]], hosts_file: str | None
) -> list[Host] | Callable[[], list[Host]]:
    """The switches, as the file says at the time if it is to be read again."""
    if "refresh" in options:
        return look
    if not listed:
        raise click.ClickException(f"{escape(str(hosts_file))}: there are no [switches] in it")
    return listed


def is_recording(name: str) -> bool:
    """Whether a name is that of a file or folder, not a host's.

    Example:
        >>> is_recording("pbx1:8021"), is_recording("./pbx1"), is_recording("stream.esl.xz"), is_recording("-")
        (False, True, True, True)
    """
    if name == STANDARD_INPUT:
        return True
    return "=" not in name and ("/" in name or os.sep in name or name.endswith(_RECORDINGS))


def _show_recording(sources: tuple[str, ...], at: datetime | None, as_json: bool) -> None:
    from .top_recording import board_of

    board, end, is_whole = board_of(sources, at)
    if as_json or not is_terminal(sys.stdout):
        lines = board.lines(end)
        plain_view(as_json).show(lines, board.total(end, lines), end)
    else:
        _show_picture(board, end)
    if not is_whole:
        raise click.exceptions.Exit(1)


def _show_picture(board: Board, end: float) -> None:
    from rich.console import Console

    from .top_view import LEAST, Choice, picture

    lines = board.lines(end)
    console = Console(markup=False, highlight=False, emoji=False)
    choice = Choice(note="recorded")
    size = console.width, max(console.height - 1, LEAST[1])  # a line for the prompt
    for text in picture(lines, board.total(end, lines), choice, size, end):
        console.print(text, no_wrap=True, overflow="ignore", crop=False)


@dataclass
class _Watch:
    """A board, and a fleet that feeds it.

    Attributes:
        options: of the fleet.
    """

    options: dict[str, Any]
    _board: Board = field(default_factory=Board)

    def run(self, view: View, pause: float, once: bool) -> str | None:
        """Until it is told to end: None, or until nothing is to be watched: why."""
        try:
            return asyncio.run(self._run(view, pause, once))
        except (ESLError, ValueError, TypeError) as error:
            raise click.UsageError(escape(str(error))) from error
        except KeyboardInterrupt:  # the second one
            return None

    async def _run(self, view: View, pause: float, once: bool) -> str | None:
        from ..ingest import Fleet

        keys: asyncio.Queue[str] = asyncio.Queue()
        fleet = Fleet(self.options.pop("hosts"), **self.options)
        with _signals(keys, view):
            async with fleet:
                self._tell(fleet, time.time())  # they are shown in the order in which they were named
                reading = asyncio.ensure_future(self._read(fleet))
                try:
                    with view.opened(keys.put_nowait):
                        return await self._look(fleet, view, keys, reading, pause, once)
                finally:
                    reading.cancel()
                    with suppress(asyncio.CancelledError):
                        await reading

    async def _read(self, fleet: Fleet) -> None:
        see = self._board.see_all
        while True:
            for name, messages in await fleet.take(_TAKEN, 1.0):
                see(name, messages, time.time())

    async def _look(
        self,
        fleet: Fleet,
        view: View,
        keys: asyncio.Queue[str],
        reading: asyncio.Future[None],
        pause: float,
        once: bool,
    ) -> str | None:
        loop = asyncio.get_running_loop()
        due = loop.time() + (pause if view.slow else 0)
        while not reading.done():
            key = None
            with suppress(asyncio.TimeoutError):
                key = await asyncio.wait_for(keys.get(), min(max(due - loop.time(), 0.001), _EVERY_SECONDS))
            if key is not None and (key == "end" or view.press(key)):
                return None
            why = _refused(fleet)
            if why is not None:
                return why
            if key is None and loop.time() < due:
                continue
            self._show(fleet, view)
            if loop.time() >= due:
                due = loop.time() + pause
                if once:
                    return _none_connected(fleet)
        reading.result()
        return None

    def _show(self, fleet: Fleet, view: View) -> None:
        now = time.time()
        self._tell(fleet, now)
        self._board.keep(fleet.switches)
        lines = self._board.lines(now)
        view.show(lines, self._board.total(now, lines), now)

    def _tell(self, fleet: Fleet, now: float) -> None:
        for name, stats in fleet.switches.items():
            self._board.stats(name, stats, now)


def _refused(fleet: Fleet) -> str | None:
    """Why nothing will come; None if something may."""
    stats = list(fleet.switches.values())
    if not stats or any(each.state != "refused" or each.reconnects or each.received_events for each in stats):
        return None
    if len(stats) == 1:
        return f"{stats[0].name}: {stats[0].error}"
    return f"no switch lets us in; {stats[0].name}: {stats[0].error}"


def _none_connected(fleet: Fleet) -> str | None:
    stats = list(fleet.switches.values())
    if any(each.connected for each in stats):
        return None
    first = next((each for each in stats if each.error), None)
    return "no switch is connected" + ("" if first is None else f"; {first.name}: {first.error}")


@contextmanager
def _signals(keys: asyncio.Queue[str], view: View) -> Iterator[None]:
    """Ctrl-C, SIGTERM and the end of the terminal end it, a change of its size shows it anew, Ctrl-Z stops it. A second
    Ctrl-C ends it at once."""
    loop = asyncio.get_running_loop()
    before: dict[int, Any] = {}

    def told(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        loop.call_soon_threadsafe(keys.put_nowait, _SIGNALS[signal.Signals(number).name])

    for name in _SIGNALS:
        number = getattr(signal, name, None)
        if number is None or (view.slow and name in ("SIGWINCH", "SIGTSTP")):
            continue
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            with suppress(ValueError):  # not in the main thread
                before[number] = signal.signal(number, told)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
