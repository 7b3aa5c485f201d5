"""The switches that are recorded: a `Fleet` with a recorder for each, in a thread of its own, and how each stands."""

from __future__ import annotations

import asyncio
import os
import re
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import click

from .._address import address
from ..errors import AuthError, ConnectionClosed
from ..events import Event, Gap, LogLine
from ..ingest import Fleet, Host, Metrics, Recorder, SwitchStats
from ..ingest.notices import Started, Stopped
from ..ingest.watch import Loss
from ..reconnect import Password
from .hosts import is_named
from .listen import Where, answering
from .login import KEEPALIVE
from .numbers import RECORDING, Numbers
from .units import shown_duration

_BATCH: Final = 100_000  # events that are read and thrown away at once
_LOOK_SECONDS: Final = 0.2  # so often it is looked how the switches stand
_STUCK_SECONDS: Final = 60.0  # nothing that works takes so long
_JOIN_SECONDS: Final = 5.0  # for the thread to end the connections
_COMES: Final = frozenset((Event, LogLine))
_ERROR_NUMBER: Final = re.compile(r"\[Errno (-?[0-9]{1,9})\] ([^,()]*)")
_STATES: Final = {"connecting": "connecting", "connected": RECORDING, "refused": "refused"}
_OPENS: Final = "CHANNEL_CREATE"
_CLOSES: Final = frozenset(("CHANNEL_DESTROY", "CHANNEL_HANGUP_COMPLETE"))


@dataclass(frozen=True)
class Wanted:
    """What is recorded of each switch, and as whom we log in there.

    Attributes:
        names, subclasses: the events.
        filters: (header, value) of each.
        format: of the events.
        user, password: of the login, of switches that have none of their own; None if each has.
    """

    names: Sequence[str]
    subclasses: Sequence[str]
    filters: Sequence[tuple[str, str]]
    format: str
    user: str | None
    password: Password | None

    @property
    def knows_channels(self) -> bool:
        """Whether what comes tells which channels there are: else nobody needs to be asked for them after a gap."""
        if self.filters:
            return False
        return "ALL" in self.names or (_OPENS in self.names and not _CLOSES.isdisjoint(self.names))


class Station:
    """How one switch stands that is recorded.

    Args:
        host: which.
        recorder: makes what writes it.
        tell: called, from any thread, with a line about what has gone wrong.

    Attributes:
        name: what it is called.
        key: what the `Fleet` calls it.
        state: what it does, in a word or two.
        refused: whether the switch has never let us in, and said so.
        failure: why nothing more can be recorded; None as long as it can.
    """

    def __init__(self, host: Host, recorder: Callable[[], Recorder], tell: Callable[[str], None]) -> None:
        self.name = host.name if is_named(host) else address(host.host, host.port)
        self.key = host.name
        self.state = "connecting"
        self.refused = False
        self.failure: str | None = None
        self._tell = tell
        self._told: str | None = None
        self._make_recorder = recorder
        self._is_used = False
        self._was_here = self._is_here = False
        self._lock = threading.Lock()  # of the next four, which are one sum
        self._sums = Numbers()  # without the disk
        self._past_disk = 0  # of recorders before the former
        self._former: Recorder | None = None
        self._recorder = recorder()

    def recorder(self) -> Recorder:
        """What hears its bytes; another one than before, if that could not keep up."""
        if self._is_used:
            try:
                other = self._make_recorder()
            except OSError as error:
                self.failure = f"recording has ended: {error}"
                raise
            with self._lock:
                if self._former is not None:
                    self._past_disk += self._former.stats()["written_bytes"]
                self._former, self._recorder = self._recorder, other
        self._is_used = True
        return self._recorder

    def close(self) -> None:
        """Wait until everything received is in a file that is whole."""
        if self._former is not None:
            self._former.close()
        self._recorder.close()

    def numbers(self) -> Numbers:
        """What it has brought by now."""
        with self._lock:
            recorders = [self._recorder] if self._former is None else [self._former, self._recorder]
            disk = sum(each.stats()["written_bytes"] for each in recorders)
            return self._sums + Numbers(disk=self._past_disk + disk)

    # In the thread of the fleet

    def see(self, items: Sequence[Any]) -> None:
        """These came of it."""
        if set(map(type, items)) <= _COMES:
            return
        for item in items:
            if isinstance(item, Gap):
                self._note_gap(item.seconds, item.reason)
            elif isinstance(item, Loss):
                self._tell(f"{self.name}: {shown_loss(item)}")
            elif isinstance(item, Started):
                self._was_here = self._is_here = True
                self._told = None
            elif isinstance(item, Stopped):
                self._is_here = False
                self._told = None

    def look(self, stats: SwitchStats) -> None:
        """It stands so."""
        with self._lock:
            self._sums = Numbers(stats.received_events, stats.received_bytes, gaps=self._sums.gaps)
        self.state = _STATES.get(stats.state, "connecting again" if self._was_here else "connecting")
        self.refused = stats.state == "refused" and not self._was_here
        why = stats.error
        if why is not None and not self._is_here and not stats.connected and why != self._told:
            shown = _shown_error(why)
            self._tell(shown if self.name in shown else f"{self.name}: {shown}")
            self._told = why  # else it would be said all night
        self._heed_recorder()

    def _note_gap(self, seconds: float, why: str) -> None:
        with self._lock:
            self._sums += Numbers(gaps=1)
        self._tell(f"{self.name}: nothing was recorded for {shown_duration(seconds)}: {why}")

    def _heed_recorder(self) -> None:
        """See whether it still records."""
        stats = self._recorder.stats()
        if stats["state"] == "stopped" and not stats["behind"]:  # else another one follows
            self.failure = f"recording has ended: {stats['why']}"


class Crew:
    """Records switches until it is told to stop, in a thread of its own.

    Args:
        hosts: which.
        stations: how each of them stands, in the same order.
        wanted: what is recorded.
        folder: where.
        listen: where to tell of them over HTTP; None: nowhere.
    """

    def __init__(
        self,
        hosts: Sequence[Host],
        stations: Sequence[Station],
        wanted: Wanted,
        folder: str = "",
        listen: Where | None = None,
    ) -> None:
        self._by_key = {station.key: station for station in stations}
        password = wanted.password
        self._fleet = Fleet(
            hosts,
            events=wanted.names,
            custom=wanted.subclasses,
            unknown=True,  # they were looked at
            filters=wanted.filters,
            format=wanted.format,
            user=wanted.user,
            password=_without_click(password) if callable(password) else password,
            tap=lambda key: self._by_key[key].recorder(),
            resync=wanted.knows_channels,
            keepalive=KEEPALIVE,
        )
        self._folder = folder
        self._where = listen
        self._stopping = threading.Event()
        self._beat = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="record", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End the connections, and wait until everything received is in files that are whole."""
        self._stopping.set()
        self._thread.join(_JOIN_SECONDS)
        for station in self._by_key.values():
            station.close()

    def is_stuck(self) -> bool:
        """Whether its thread does not come on any more."""
        return time.monotonic() - self._beat > _STUCK_SECONDS

    # In its thread

    def _run(self) -> None:
        try:
            asyncio.run(self._record())
        except click.ClickException as error:
            self._fail(error.message)
        except Exception as error:  # ours: it must not end in silence
            self._fail(f"{type(error).__name__}: {error}")
            raise

    def _fail(self, why: str) -> None:
        for station in self._by_key.values():
            station.failure = station.failure or why

    async def _record(self) -> None:
        due = 0.0
        async with self._fleet as fleet, self._observed(fleet) as metrics:
            while not self._stopping.is_set():
                self._see(await fleet.take(_BATCH, _LOOK_SECONDS), metrics)
                self._beat = now = time.monotonic()
                if now >= due:
                    due = now + _LOOK_SECONDS
                    self._look(fleet.switches)
            await fleet.close()
            self._look(fleet.switches)
            try:
                while True:
                    self._see(await fleet.take(_BATCH, 0), metrics)  # what is said at the end is kept too
            except ConnectionClosed:
                pass

    @asynccontextmanager
    async def _observed(self, fleet: Fleet) -> AsyncIterator[Metrics | None]:
        """The numbers that are told over HTTP, if they are."""
        if self._where is None:
            yield None
            return
        metrics = Metrics(fleet, folders=[self._folder])
        async with answering(metrics, self._where):
            yield metrics

    def _see(self, runs: Sequence[tuple[str, Sequence[Any]]], metrics: Metrics | None) -> None:
        for key, items in runs:
            if metrics is not None:
                metrics.see_all(key, items)
            self._by_key[key].see(items)

    def _look(self, switches: Mapping[str, SwitchStats]) -> None:
        for key, stats in switches.items():
            self._by_key[key].look(stats)


def shown_loss(loss: Loss) -> str:
    """A loss in a few words.

    Example:
        >>> print(shown_loss(Loss("certain", 501, None, "killed listener because of lost events")))
        501 events or more were lost (certain): killed listener because of lost events
    """
    if loss.grade == "stalled":
        return f"nothing may come any more: {loss.evidence}"
    if loss.count is not None:
        what = f"{loss.count:,} event{'' if loss.count == 1 else 's'} or more were lost"
    elif loss.at_most is not None:
        what = f"up to {loss.at_most:,} event{'' if loss.at_most == 1 else 's'} may have been lost"
    else:
        what = "events were lost"
    return f"{what} ({loss.grade}): {loss.evidence.strip()}"


def _shown_error(why: str) -> str:
    """What is wrong; what the system says of a connection is in asyncio's own words, around a number."""
    match = _ERROR_NUMBER.search(why)
    if match is None:
        return why
    number = int(match[1])
    return f"cannot connect: {os.strerror(number) if number > 0 else match[2].strip()}"


def _without_click(password: Callable[[], str]) -> Callable[[], str]:
    """The same password; that a file cannot be read is an answer like any other refusal."""

    def read() -> str:
        try:
            return password()
        except click.ClickException as error:
            raise AuthError(error.message) from error

    return read
