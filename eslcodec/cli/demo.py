"""`eslcodec demo`: an emulated switch plays a recorded stream, the blocking client receives it, and it is checked."""

from __future__ import annotations

import hashlib
import importlib
import re
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import click
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from .. import Decoder, ESLError, Event, __impl__, __version__
from ..emulator import Emulator
from ..sync import connect
from .files import CHUNK, recording
from .lines import terminal_width
from .text import escape, is_terminal

_CORES: Final = {"c": "compiled", "python": "pure Python"}
_OTHER_CORE: Final = {"c": ("python", "_codec_py"), "python": ("c", "_codec_c")}
_WATCHED_RATE: Final = 400.0  # events/s: about what the recorded switch sent
_TIMEOUT: Final = 30.0  # seconds without an event: loopback does not do that
_REFRESH: Final = 0.1  # seconds between two pictures of the live view
_REPORT: Final = 1.0  # seconds between two lines without one
_HANGUPS: Final = frozenset(["CHANNEL_HANGUP", "CHANNEL_HANGUP_COMPLETE", "CHANNEL_DESTROY"])

_EVENT_HEAD: Final = re.compile(rb"Content-Length: (\d+)\nContent-Type: text/event-plain\n\n")
_EVENT_NAME: Final = re.compile(rb"^Event-Name: (.*)$", re.MULTILINE)


@dataclass
class Tally:
    """What has arrived so far. A call has a leg towards each party; FreeSWITCH names one by its Unique-ID.

    Attributes:
        events: how many of each name.
        legs: Unique-IDs of those that are up.
        created, hung_up: how many went up, and down again.
        seconds: from the subscription to the last of them.
        kept: the events themselves.
    """

    events: Counter[str] = field(default_factory=Counter)
    legs: set[str] = field(default_factory=set)
    created: int = 0
    hung_up: int = 0
    seconds: float = 0.0
    kept: list[Event] = field(default_factory=list)

    def add(self, event: Event) -> None:
        """Count an event."""
        self.kept.append(event)
        name = event.name or ""
        self.events[name] += 1
        if name == "CHANNEL_CREATE":
            self.legs.add(event["Unique-ID"])
            self.created += 1
        elif name in _HANGUPS and event["Unique-ID"] in self.legs:
            self.legs.remove(event["Unique-ID"])
            self.hung_up += 1

    @property
    def received(self) -> int:
        """Bytes of all events; counted when asked for, since it is not what the passes measure."""
        return sum(len(event.frame) for event in self.kept)

    def __str__(self) -> str:
        return (
            f"{self.seconds:5.1f} s  {len(self.kept):>6} events  {self.created} call legs up, {self.hung_up} down  "
            f"{_pace(len(self.kept), self.received, self.seconds)}"
        )


@click.command(short_help="Play a recorded stream, show what arrives, check it.")
@click.option("--plain", is_flag=True, help="Lines instead of a live view, no colours.")
@click.option(
    "--rate",
    type=click.FloatRange(min=0),
    metavar="N",
    help="Events per second, 0 for full speed. By default 400 on a terminal (the pace of the recording), "
    "elsewhere full speed.",
)
def demo(plain: bool, rate: float | None) -> None:
    """Play a recorded FreeSWITCH event stream, show what arrives, and check it.

    An emulated switch plays it, and the client that the package offers receives it over a loopback connection.

    \b
    eslcodec demo
    eslcodec demo --plain --rate 0

    The exit status is 1 if a check fails.
    """
    watched = is_terminal(sys.stdout)
    if rate is None:
        rate = _WATCHED_RATE if watched else 0.0
    data = recording()
    _say(
        f"eslcodec {__version__}, core: {__impl__} ({_CORES[__impl__]}). "
        f"A recorded FreeSWITCH stream, {len(data) / 1e6:.1f} MB, played by an emulated switch over loopback."
    )
    console = Console(force_terminal=watched and not plain, markup=False, highlight=False, emoji=False)
    try:
        with _showing(console) as show:
            tally = measured = receive(data, rate, show)
        if rate or console.is_terminal:  # a pass that was slowed down or drawn says nothing about speed
            measured = receive(data, 0.0, _show_nothing)
    except (OSError, ESLError) as error:
        raise click.ClickException(f"the demo broke off: {error}") from error
    console.print(_table(tally))
    if not _checked(data, tally, measured):
        click.echo("A CHECK FAILED", err=True)
        click.get_current_context().exit(1)


def receive(data: bytes, rate: float, show: Callable[[Tally], None]) -> Tally:
    """Have an emulated switch in this process play `data`, and receive it as a program would: log in, subscribe, read.

    Args:
        data: a recorded stream.
        rate: events per second, 0 for full speed.
        show: called after each event.
    """
    tally = Tally()
    with (
        Emulator(replay=data, rate=rate or None, lossless=not rate, then="close") as switch,
        connect(switch.host, switch.port) as client,
    ):
        started = time.perf_counter()
        client.subscribe("ALL")
        for event in client.events(timeout=_TIMEOUT):
            tally.add(event)
            tally.seconds = time.perf_counter() - started
            show(tally)
    return tally


@contextmanager
def _showing(console: Console) -> Iterator[Callable[[Tally], None]]:
    """How to show what arrives: live on a terminal that can do it, else a line each second."""
    if not console.is_terminal or console.is_dumb_terminal:
        yield _every(_REPORT, lambda tally: click.echo(str(tally)))
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield _every(_REFRESH, lambda tally: live.update(_picture(tally), refresh=True))


def _every(seconds: float, show: Callable[[Tally], None]) -> Callable[[Tally], None]:
    due = seconds

    def limited(tally: Tally) -> None:
        nonlocal due
        if tally.seconds >= due:
            due = tally.seconds + seconds
            show(tally)

    return limited


def _show_nothing(tally: Tally) -> None:
    """For the pass that is measured."""


def _picture(tally: Tally) -> Group:
    return Group(_table(tally), Text(str(tally), style="bold"))


def _table(tally: Tally) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("Event")
    table.add_column("Count", justify="right", style="cyan")
    for name, count in tally.events.most_common():
        table.add_row(Text(escape(name)), Text(str(count)))
    return table


def _pace(events: int, size: int, seconds: float) -> str:
    seconds = max(seconds, 1e-9)
    return f"{events / seconds:,.0f} events/s, {size / seconds / 1e6:,.1f} MB/s"


def _checked(data: bytes, tally: Tally, measured: Tally) -> bool:
    """Print the figures and the checks. Whether all checks passed."""
    events = len(tally.kept)
    started = time.perf_counter()
    _headers_of(data)
    from_memory = time.perf_counter() - started
    sent = Counter(name.decode() for name in _EVENT_NAME.findall(data))
    digest, count = _digest(event.asdict() for event in tally.kept)
    source, other = _other_reading(data)
    other_digest, other_count = _digest(other)
    all_there = tally.events == measured.events == sent
    same_headers = (digest, count) == (other_digest, other_count)
    for title, text in (
        ("Calls", f"{tally.created} call legs up, {tally.hung_up} down"),
        ("TCP", f"{_pace(events, measured.received, measured.seconds)}: received, split, looked up by name"),
        ("Memory", f"{_pace(events, len(data), from_memory)}: split, every header of every event into a dict"),
        (
            _verdict(all_there),
            f"{events} of {sent.total()} events sent were decoded; counts by name against those of the raw bytes",
        ),
        (
            _verdict(same_headers),
            f"{count} headers, sha256 {digest[:16]}; {source}: {other_count} headers, sha256 {other_digest[:16]}",
        ),
    ):
        _say(f"{title:<7} {text}", indent=8)
    return all_there and same_headers


def _say(text: str, indent: int = 0) -> None:
    """Print a line; on a terminal in several, between words, if it is too long for one."""
    width = terminal_width()
    click.echo(text if width is None else textwrap.fill(text, max(width, 20), subsequent_indent=" " * indent))


def _verdict(passed: bool) -> str:
    return "OK" if passed else "FAILED"


def _headers_of(data: bytes) -> None:
    """What is timed: the codec alone, all the way to dicts."""
    decoder = Decoder()
    for at in range(0, len(data), CHUNK):
        decoder.feed(data[at : at + CHUNK])
        for message in decoder:
            message.asdict()


def _digest(events: Iterable[dict[str, str]]) -> tuple[str, int]:
    """A checksum over all headers of all events in order, and how many there are."""
    digest = hashlib.sha256()
    count = 0
    for headers in events:
        count += len(headers)
        digest.update(repr(list(headers.items())).encode())
    return digest.hexdigest(), count


def _other_reading(data: bytes) -> tuple[str, Iterator[dict[str, str]]]:
    """The headers of each event as read by somebody else, and who that is."""
    name, module = _OTHER_CORE[__impl__]
    try:
        core = importlib.import_module(f"..{module}", __package__)
    except ImportError:
        return "no other core is here, so the standard library's reading", _plain_reading(data)
    return f"the {name} core", _core_reading(core, data)


def _core_reading(core: Any, data: bytes) -> Iterator[dict[str, str]]:
    decoder = core.MessageDecoder({}, core.Message)
    decoder.feed(data)
    return (message.asdict() for message in decoder if message.content_type == "text/event-plain")


def _plain_reading(data: bytes) -> Iterator[dict[str, str]]:
    """Without the codec: good enough for this recording, in which no frame is odd."""
    for head in _EVENT_HEAD.finditer(data):
        block, _, _ = data[head.end() : head.end() + int(head[1])].partition(b"\n\n")
        headers: dict[str, str] = {}
        for line in block.split(b"\n"):
            name, _, value = line.decode("utf-8", "surrogateescape").partition(": ")
            headers.setdefault(name, unquote_to_bytes(value).decode("utf-8", "surrogateescape"))
        yield headers
