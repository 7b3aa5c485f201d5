"""`eslcodec tail`: events as they come."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import TYPE_CHECKING, Final

import click

from .. import ConnectionClosed, Event, Gap, LogLevel, LogLine, Message
from ..subscriptions import is_negative
from ..sync import Client
from .decode import has_headers
from .files import is_stream, since_option
from .lines import ROOMY, listing, terminal_width
from .login import Target, target_options
from .names import check_names, complete_events, split_events, unknown_option
from .stream import Shown, stream_options, tail_stream
from .text import escape, is_terminal, json_line, note

if TYPE_CHECKING:
    from ..ingest import Recorder

_FOR_SWITCHES: Final = "--filter, --custom, --log, --format, --record and --no-reconnect are for switches"
_FOR_STREAMS: Final = "--since is for streams: a switch tells what happens from now on"
_LEVELS: Final = [level.name.lower() for level in LogLevel if level <= LogLevel.DEBUG]

# Of an event: the first that its name begins with.
_EVENT_STYLES: Final = {
    "CHANNEL_CREATE": "green",
    "CHANNEL_ANSWER": "bold green",
    "CHANNEL_HANGUP": "red",
    "CHANNEL_DESTROY": "red",
    "CHANNEL_": "cyan",
    "CUSTOM": "magenta",
    "BACKGROUND_JOB": "yellow",
    "HEARTBEAT": "dim",
    "RE_SCHEDULE": "dim",
    "": "none",
}
_LOG_STYLES: Final = {
    LogLevel.CONSOLE: "none",
    LogLevel.ALERT: "bold red",
    LogLevel.CRIT: "bold red",
    LogLevel.ERR: "red",
    LogLevel.WARNING: "yellow",
    LogLevel.NOTICE: "none",
}


def _pair(text: str) -> tuple[str, str]:
    header, _, value = text.partition("=")
    if not (header and value):
        raise click.BadParameter(f"read {escape(text)!r}, expected HEADER=VALUE")
    return header, value


filter_option: Final[Callable[[Callable[..., None]], Callable[..., None]]] = click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="HEADER=VALUE",
    callback=lambda _ctx, _option, values: [_pair(value) for value in values],
    help="The switch sends only events with this value of this header. VALUE may be a /regular expression/; with a - "
    "in front, what matches is not sent. Repeatable: one that matches is enough. With only -VALUE nothing comes.",
)


@click.command(short_help="Show events as they come.")
@click.argument("names", nargs=-1, metavar="[nats://HOST:PORT/STREAM] [NAME]...", shell_complete=complete_events)
@stream_options
@since_option
@target_options
@click.option("--custom", multiple=True, metavar="SUBCLASS", help="Custom events of this subclass too. Repeatable.")
@filter_option
@click.option(
    "--header",
    "headers",
    multiple=True,
    metavar="NAME[=VALUE]",
    help="Show only what has this header, and this value of it. Repeatable: all must match.",
)
@click.option("--ndjson", is_flag=True, help="One JSON object a line, arrays as lists, the body as _body.")
@click.option("--full", is_flag=True, help="All headers and the body of each.")
@click.option(
    "--log",
    "log_level",
    is_flag=False,
    flag_value="debug",
    type=click.Choice(_LEVELS, case_sensitive=False),
    metavar="[LEVEL]",
    help=f"The switch's log lines too, down to this level: {', '.join(_LEVELS)} (the default).",
)
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after so many.")
@click.option(
    "--format",
    "wire_format",
    type=click.Choice(["plain", "json"]),
    help="How the switch sends events; what is shown is the same.",
)
@unknown_option
@click.option("--no-reconnect", is_flag=True, help="End when the connection ends.")
@click.option("--record", "folder", metavar="DIR", help="Keep all that comes in there too, as `eslcodec record` does.")
def tail(
    target: Target,
    names: tuple[str, ...],
    custom: tuple[str, ...],
    filters: list[tuple[str, str]],
    headers: tuple[str, ...],
    ndjson: bool,
    full: bool,
    log_level: str | None,
    count: int | None,
    wire_format: str | None,
    unknown: bool,
    no_reconnect: bool,
    folder: str | None,
    since: datetime | None,
) -> None:
    """Show events as they come, until Ctrl-C: all, or those of the NAMEs.

    \b
    eslcodec tail CHANNEL_ANSWER CHANNEL_HANGUP_COMPLETE
    eslcodec tail CALLS --log warning
    eslcodec tail sofia::register --ndjson | jq -r '.["from-user"]'

    A NAME is that of an event, a subclass of CUSTOM, or a list by purpose: ALL, CALLS, CALLCENTER, CONFERENCE,
    GATEWAYS, REGISTRATIONS. A line is the event's own time, its name, the uuid, and what says most of it. It fits the
    terminal; into a file or a pipe it is whole.

    When the connection is lost, it is set up again, and a line on standard error (with --ndjson an event,
    eslcodec::gap) says how long nothing was heard.

    With a stream that `eslcodec bridge` fills in front of the names, what comes into it is shown, from now on or
    --since a time, notices too; the options that say something to a switch have no place then.
    """
    if ndjson and full:
        raise click.UsageError("--ndjson has all headers already; leave out --full")
    if names and is_stream(names[0]):
        if filters or custom or log_level or wire_format or folder or no_reconnect:
            raise click.UsageError(_FOR_SWITCHES)
        show = _in_colours() if is_terminal(sys.stdout) else _without_colours
        return tail_stream(names[0], since, Shown(names[1:], headers, ndjson, full, count, show))
    if since is not None:
        raise click.UsageError(_FOR_STREAMS)
    events, subclasses = split_events([" ".join(names), *(f"CUSTOM {name}" for name in custom)])
    if not (events or subclasses):
        events = ["ALL"]
    check_names(events, unknown, "it does not mind being asked for it")
    with _recorder(folder) as tap, target.connected(reconnect=not no_reconnect, tap=tap) as switch:
        for header, value in sorted(filters, key=lambda pair: is_negative(pair[1])):  # none is the first without need
            switch.filter(header, value)
        if log_level is not None:
            switch.log(log_level)
        switch.subscribe(*events, custom=subclasses, format=wire_format, unknown=True)  # they were looked at
        printer = _noting(_show_json if ndjson else _text_printer(full), tap)
        if not _followed(switch, lambda message: has_headers(message, headers), printer, count):
            end = switch.connection.end
            raise ConnectionClosed(end.reason if end else "the connection has ended")


def _recorder(folder: str | None) -> AbstractContextManager[Recorder | None]:
    """Keeps what comes, if it is wanted."""
    if folder is None:
        return nullcontext()
    from ..ingest import Recorder

    return Recorder(folder)


def _noting(show: Callable[[Message], None], recorder: Recorder | None) -> Callable[[Message], None]:
    """Has the recording, if there is one, say where something was missed."""
    if recorder is None:
        return show
    from ..ingest.notices import to_note

    def note_and_show(message: Message) -> None:
        if isinstance(message, Gap):
            recorder.note(to_note(message, None, time.time()))
        show(message)

    return note_and_show


def _followed(
    switch: Client, wanted: Callable[[Message], bool], show: Callable[[Message], None], count: int | None
) -> bool:
    """Show what is wanted, and gaps; whether it was `count`, and not just all that came."""
    number = 0
    for message in switch.messages():
        is_gap = isinstance(message, Gap)
        if is_gap or wanted(message):
            show(message)
            number += not is_gap
        done = number == count
        if done or not switch.connection.queue:  # nothing waits, so whoever reads our output gets it now
            sys.stdout.flush()
        if done:
            return True
    return False


def _show_json(message: Message) -> None:
    sys.stdout.buffer.write(json_line(message) + b"\n")


def _text_printer(full: bool) -> Callable[[Message], None]:
    watched = is_terminal(sys.stdout)
    write = _in_colours() if watched else _without_colours

    def show(message: Message) -> None:
        if isinstance(message, Gap):
            sys.stdout.flush()
            note(f"connected again after {message.seconds:.1f} s, what happened meanwhile is missing: {message.reason}")
            return
        width = terminal_width() if watched else None
        for line in listing(_clock(message, width), message, full, width):
            write(line, message)

    return show


def _clock(message: Message, width: int | None) -> str:
    """The event's own time, in the local time zone; of what has none (a log line) now."""
    own = message.timestamp if isinstance(message, Event) else None
    try:
        at = datetime.now() if own is None else own.astimezone()
    except (OverflowError, OSError, ValueError):  # a time that no local clock can show
        at = datetime.now()
    return f"{at:%H:%M:%S}" if width is not None and width < ROOMY else f"{at:%H:%M:%S.%f}"[:-3]


def _without_colours(line: str, message: Message) -> None:
    sys.stdout.write(f"{line}\n")


def _in_colours() -> Callable[[str, Message], None]:
    # Takes a tenth of a second to load, and only a terminal needs it.
    from rich.console import Console
    from rich.text import Text

    console = Console(markup=False, highlight=False, emoji=False)
    return lambda line, message: console.print(Text(line, style=_style(message)), soft_wrap=True)


def _style(message: Message) -> str:
    if message.malformed is not None:
        return "bold red"
    if isinstance(message, Event):
        name = message.name or ""
        return next(style for prefix, style in _EVENT_STYLES.items() if name.startswith(prefix))
    if isinstance(message, LogLine):
        level = message.level
        return _LOG_STYLES.get(level, "dim") if isinstance(level, LogLevel) else "dim"
    return "bold"
