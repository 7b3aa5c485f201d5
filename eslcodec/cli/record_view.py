"""What `eslcodec record` shows: a table that lives on a terminal, or a line for each switch once a minute."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import click

from .numbers import RECORDING, Numbers
from .pace import Pace, folder_bytes, room, seconds_left
from .text import escape, is_terminal, note
from .units import shown_duration, shown_size

if TYPE_CHECKING:
    from rich.table import Table

    from .station import Station

LINE_SECONDS: Final = 60.0  # between two lines without a terminal
_LIVE_SECONDS: Final = 5.0  # that a rate is an average of, on a terminal
_COUNT_SECONDS: Final = 60.0  # between two looks at how large the folder is


@dataclass(frozen=True)
class Row:
    """One switch, as it is shown.

    Attributes:
        name, state: which, and what it does.
        events, bytes: how many a second.
        so_far: what it has brought.
    """

    name: str
    state: str
    events: float
    bytes: float
    so_far: Numbers

    def __str__(self) -> str:
        return (
            f"{escape(self.name)} {self.state}: {self.events:,.0f} events/s, {shown_size(self.bytes)}/s; {self.so_far}"
        )


class Survey:
    """All stations, from look to look.

    Args:
        stations: which.
        folder: where they write to.
        min_free, keep_seconds, keep_bytes: how much of the disk stays free, and which recordings are removed.
        clock: seconds of a clock that does not jump.
    """

    def __init__(
        self,
        stations: Sequence[Station],
        folder: str,
        *,
        min_free: float,
        keep_seconds: float | None,
        keep_bytes: float | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stations = stations
        self._folder = folder
        self._min_free = min_free
        self._keep = keep_seconds, keep_bytes
        self._clock = clock
        self._samples: deque[tuple[float, list[Numbers]]] = deque()
        self._pace = Pace()
        self._kept = 0
        self._counted_at: float | None = None
        self.look()

    def look(self) -> None:
        """Note what the stations have brought by now."""
        now = self._clock()
        numbers = [station.numbers() for station in self._stations]
        self._samples.append((now, numbers))
        self._pace.note(now, sum(number.disk for number in numbers))
        while now - self._samples[0][0] > LINE_SECONDS:
            self._samples.popleft()

    def rows(self, seconds: float) -> list[Row]:
        """The stations at the last look; rates are those of so many seconds before it, of a minute at most."""
        now, numbers = self._samples[-1]
        then, before = next(sample for sample in self._samples if now - sample[0] <= seconds)
        passed = max(now - then, 1e-9)
        return [
            Row(
                station.name,
                station.state,
                (new.events - old.events) / passed,
                (new.received - old.received) / passed,
                new,
            )
            for station, old, new in zip(self._stations, before, numbers, strict=True)
        ]

    def disk(self) -> str:
        """How much room is left, and for how long."""
        free = room(self._folder, self._min_free)
        left = seconds_left(free, self._pace.per_second, self._folder_bytes(), *self._keep)
        lasts = "" if left is None else f", {shown_duration(left)} at this pace"
        return f"room on disk for {shown_size(free)} more{lasts}"

    def summary(self) -> str:
        """All of it in a line."""
        rows = self.rows(LINE_SECONDS)
        if len(rows) == 1:
            return f"{rows[0]}; {self.disk()}"
        recording = sum(row.state == RECORDING for row in rows)
        total = sum((row.so_far for row in rows), Numbers())
        name = f"{recording} of {len(rows)} switches"
        row = Row(name, RECORDING, sum(row.events for row in rows), sum(row.bytes for row in rows), total)
        return f"{row}; {self.disk()}"

    def _folder_bytes(self) -> int:
        now = self._clock()
        if self._counted_at is None or now - self._counted_at >= _COUNT_SECONDS:
            self._kept, self._counted_at = folder_bytes(self._folder), now
        return self._kept


class View(Protocol):
    """Shows what it is given; `say` is for what cannot wait."""

    def show(self, survey: Survey) -> None:
        """A picture, if it is time for one."""

    def say(self, text: str) -> None:
        """A line of its own."""


class Silent:
    """Only what has gone wrong."""

    def show(self, survey: Survey) -> None:
        """Nothing."""

    def say(self, text: str) -> None:
        """A line on standard error."""
        note(text)


class JsonLines(Silent):
    """Lines that are JSON already."""

    def say(self, text: str) -> None:
        """A line on standard error."""
        click.echo(text, err=True)


class Lines(Silent):
    """A line for each switch, once a minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due = clock() + LINE_SECONDS

    def show(self, survey: Survey) -> None:
        """The lines, if it is time for them."""
        if self._clock() < self._due:
            return
        self._due = self._clock() + LINE_SECONDS
        for row in survey.rows(LINE_SECONDS):
            click.echo(str(row))
        click.echo(survey.disk())


@contextmanager
def view(quiet: bool, *, json: bool = False) -> Iterator[View]:
    """How to show it: on a terminal as a table, else in lines.

    Args:
        quiet: only what has gone wrong.
        json: what it is given to say is JSON, and there is no picture.
    """
    if json:
        yield JsonLines()
        return
    if quiet:
        yield Silent()
        return
    if not is_terminal(sys.stdout):
        yield Lines()
        return
    # Takes a tenth of a second to load, and only a terminal needs it.
    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    console = Console(markup=False, highlight=False, emoji=False)
    if console.is_dumb_terminal:
        yield Lines()
        return

    class Picture:
        def show(self, survey: Survey) -> None:
            live.update(Group(_table(survey.rows(_LIVE_SECONDS)), Text(survey.disk())), refresh=True)

        def say(self, text: str) -> None:
            live.console.print(Text(f"eslcodec: {escape(text)}"), soft_wrap=True)

    with Live(console=console, auto_refresh=False) as live:
        yield Picture()


def _table(rows: Sequence[Row]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("Switch")
    table.add_column("")
    for name in ("Events/s", "Received/s", "Received", "On disk", "Gaps"):
        table.add_column(name, justify="right")
    for row in rows:
        cells = (
            escape(row.name),
            row.state,
            f"{row.events:,.0f}",
            shown_size(row.bytes),
            shown_size(row.so_far.received),
            shown_size(row.so_far.disk),
            str(row.so_far.gaps),
        )
        table.add_row(*map(Text, cells))
    return table
