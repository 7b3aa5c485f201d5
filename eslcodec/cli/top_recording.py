"""The board of a recording, as it was at some time: of the ten minutes before."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Final

import click

from .. import AuthRequest, Event, Message
from ..ingest._board import Board
from ..ingest.watch import LossWatch
from ..recordings import Recording
from .files import STANDARD_INPUT, Chunks, Messages, begin_ns, found, label, readable

MINUTES: Final = 10
_BATCH: Final = 256  # messages that are taken to have come together, if they came in one chunk
_SILENT_SECONDS: Final = 60.0  # after which a switch was away: HEARTBEAT comes each 20
_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass
class Recorded:
    """What a recording shows of a connection, by the names of `SwitchStats`."""

    state: str = "recorded"
    hostname: str | None = None
    switchname: str | None = None
    core_uuid: str | None = None
    lag: float | None = None
    queue_estimate: int | None = None
    losses: Mapping[str, int] = field(default_factory=Counter)
    loss_reports: Mapping[str, int] = field(default_factory=Counter)
    gaps: int = 0
    gap_seconds: float = 0.0
    core_changes: int = 0
    malformed: int = 0

    @property
    def connected(self) -> bool:
        return self.state == "recorded"


class _Folder:
    """One switch's recording, read on."""

    def __init__(self, name: str, board: Board) -> None:
        self.name = name
        self.stats = Recorded()
        self.last = 0.0
        self._board = board
        self._watch = LossWatch()
        self._losses: Counter[str] = Counter()
        self._reports: Counter[str] = Counter()
        self._began = False

    def see(self, messages: list[Message], now: float) -> None:
        stats = self.stats
        if any(isinstance(message, AuthRequest) for message in messages):
            if self._began:
                stats.gaps += 1
                stats.gap_seconds += max(now - self.last, 0.0)
            self._board.gap(self.name, now)
        self._began = True
        self.last = max(now, self.last)
        stats.malformed += sum(message.malformed is not None for message in messages)
        event = next((message for message in reversed(messages) if isinstance(message, Event)), None)
        if event is not None:
            self._note(event)
        for loss in self._watch.see_all(messages, now):
            self._losses[loss.grade] += loss.count or 0
            self._reports[loss.grade] += 1
        self._board.see_all(self.name, messages, now)

    def _note(self, event: Event) -> None:
        stats = self.stats
        host, name, core = event.select("FreeSWITCH-Hostname", "FreeSWITCH-Switchname", "Core-UUID")
        stats.hostname, stats.switchname = host or stats.hostname, name or stats.switchname
        if core and core != stats.core_uuid:
            stats.core_changes += stats.core_uuid is not None
            stats.core_uuid = core

    def end(self, at: float) -> None:
        stats, lag = self.stats, self._watch.lag
        stats.state = "recorded" if at - self.last <= _SILENT_SECONDS else "away"
        stats.lag, stats.queue_estimate = lag.seconds, lag.queue
        stats.losses, stats.loss_reports = dict(self._losses), dict(self._reports)
        self._board.stats(self.name, stats, at)


def board_of(sources: tuple[str, ...], at: datetime | None) -> tuple[Board, float, bool]:
    """The board of recordings.

    Args:
        sources: folders or files.
        at: at what time; None at their end.

    Returns:
        It, the time in seconds since 1970, and whether everything could be read. What could not is told.

    Raises:
        click.ClickException: it cannot be read, or there is nothing in it then.
    """
    ends = [end for source in sources for end in _ends(source)]
    until = at if at is not None else max((end for end in ends if end is not None), default=None)
    begin = None if until is None else until - timedelta(minutes=MINUTES)
    board = Board()
    folders: dict[str, _Folder] = {}
    # without `at` the last message belongs to it
    chunks = Chunks(sources, begin, until if at is not None or until is None else until + _MICROSECOND)
    for path, messages, now in _batches(Messages(chunks)):
        name = _name(path, sources)
        if name not in folders:
            folders[name] = _Folder(name, board)
        folders[name].see(messages, now)
    if not folders:
        when = "" if until is None else f" in the {MINUTES} minutes before {until.isoformat(timespec='seconds')}"
        raise click.ClickException(f"{', '.join(map(label, sources))}: nothing was recorded{when}")
    end = max(folder.last for folder in folders.values()) if until is None else until.timestamp()
    for folder in folders.values():
        folder.end(end)
    for problem in chunks.problems:
        click.echo(f"eslcodec: {problem}", err=True)
    return board, end, not chunks.problems


def _batches(messages: Messages) -> Iterator[tuple[str, list[Message], float]]:
    """Messages that came together: from which file, and when. Without times it is when the switch made them."""
    batch: list[Message] = []
    chunk = messages.chunk
    now = before = 0.0
    for message in messages:
        if batch and (messages.chunk is not chunk or len(batch) >= _BATCH or not chunk.connection):
            yield chunk.path, batch, now
            batch = []
        if not batch:
            chunk = messages.chunk
            now = messages.received_ns / 1e9
            if not chunk.connection:
                stamp = message.timestamp if isinstance(message, Event) else None
                now = before = before if stamp is None else stamp.timestamp()
        batch.append(message)
    if batch:
        yield chunk.path, batch, now


def _ends(source: str) -> Iterator[datetime | None]:
    """When each folder of a source ends; None if it has no times."""
    for files in found(source):
        last = None
        with readable(source):
            if STANDARD_INPUT not in files and begin_ns(files[-1]):
                last = Recording(files[-1], damaged="skip").info().last
        yield None if last is None else last.astimezone(timezone.utc)


def _name(path: str, sources: tuple[str, ...]) -> str:
    """How a switch is called: by its folder, or the file if that was named."""
    if path in (*sources, STANDARD_INPUT):
        return os.path.basename(path) or path
    return os.path.basename(os.path.dirname(os.path.abspath(path))) or path
