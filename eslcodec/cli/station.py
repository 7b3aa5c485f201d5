"""One switch that is recorded, in a thread of its own: it connects, reads, throws away, and connects again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import click

from .. import limits
from .._address import address
from ..errors import AccessDenied, AuthError, CommandError, ESLError, InvalidCommand
from ..events import Gap
from ..ingest import Recorder
from ..reconnect import Backoff, Password
from ..subscriptions import is_negative
from ..sync import Client, connect
from .login import KEEPALIVE
from .numbers import RECORDING, Numbers
from .units import shown_duration

_BATCH: Final = 1000  # events that are read and thrown away at once
_LOOK_SECONDS: Final = 0.5  # so often the reader looks whether the recorder still works
_STUCK_SECONDS: Final = 60.0  # no reader that works takes so long, an attempt to connect included
_JOIN_SECONDS: Final = 5.0  # for a reader to notice that its connection was closed
_BACKOFF: Final = Backoff(first=1)  # between attempts that the client itself does not make
_BUFFERED: Final = limits.RECORDER_BUFFER_BYTES // 2  # what may wait to be written before we read no more
_DISK_SECONDS: Final = 5.0  # that we read nothing because of that; a switch gets into danger after a minute
_DISK_LOOK_SECONDS: Final = 0.01
_REFUSALS: Final = (AccessDenied, AuthError, CommandError, InvalidCommand, click.ClickException)


@dataclass(frozen=True)
class Wanted:
    """What is recorded of each switch, and as whom we log in there.

    Attributes:
        names, subclasses: the events.
        filters: (header, value) of each.
        format: of the events.
        user, password: of the login.
    """

    names: Sequence[str]
    subclasses: Sequence[str]
    filters: Sequence[tuple[str, str]]
    format: str
    user: str | None
    password: Password


class _Behind(Exception):
    """The disk was too slow for what came, and the recorder has ended; another one may do better."""


class Station:
    """Records one switch until it is stopped.

    Args:
        host, port: of the switch.
        wanted: what is recorded.
        recorder: makes what writes it.
        tell: called, from its thread, with a line about what has gone wrong.
        name: what it is called; None: its host and port.

    Attributes:
        name: what it is called.
        state: what it does, in a word or two.
        refused: whether the switch has never let us in, and said so.
        failure: why nothing more can be recorded; None as long as it can.
    """

    def __init__(
        self,
        host: str,
        port: int,
        wanted: Wanted,
        recorder: Callable[[], Recorder],
        tell: Callable[[str], None],
        name: str | None = None,
    ) -> None:
        self.name = address(host, port) if name is None else name
        self.state = "connecting"
        self.refused = False
        self.failure: str | None = None
        self._address = host, port
        self._wanted = wanted
        self._make_recorder = recorder
        self._tell = tell
        self._told = ""
        self._stopping = threading.Event()
        self._lock = threading.Lock()  # of the next three, which are one sum
        self._past = Numbers()  # of clients and recorders that are gone
        self._client: Client | None = None
        self._recorder = recorder()
        self._was_here = False
        self._missed_told = False
        self._quiet_since: tuple[float, str] | None = None  # when the last client gave up, and why
        self._beat = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=f"record {self.name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def leave(self) -> None:
        """Close the connection, and make no other."""
        self._stopping.set()
        with self._lock:
            client = self._client
        if client is not None:
            client.close()

    def close(self) -> None:
        """After `leave`: wait until everything received is in a file that is whole."""
        with self._lock:
            connected = self._client is not None
        if connected:  # one that is still connecting has nothing to lose
            self._thread.join(_JOIN_SECONDS)
        self._recorder.close()

    def numbers(self) -> Numbers:
        """What it has brought by now."""
        with self._lock:
            sums = self._past + Numbers(disk=self._recorder.stats()["written_bytes"])
            return sums if self._client is None else sums + _of_client(self._client)

    def is_stuck(self) -> bool:
        """Whether its thread does not come on any more."""
        return time.monotonic() - self._beat > _STUCK_SECONDS

    # In its thread

    def _run(self) -> None:
        attempt = 0
        while not self._stopping.is_set() and self.failure is None:
            try:
                with self._connected() as client:
                    attempt = 0
                    self._read(client)
            except _REFUSALS as error:
                self._lost(getattr(error, "message", None) or str(error), refused=True)
            except ESLError as error:
                self._lost(str(error))
            except OSError as error:
                self._lost(f"cannot connect: {error.strerror or error}")
            except _Behind as error:
                self._renew_recorder(str(error))
                continue
            except Exception as error:  # ours: it must not end in silence
                self.failure = f"{type(error).__name__}: {error}"
                raise
            if self.failure is None:
                self._stopping.wait(_BACKOFF.pause(attempt))
            self._beat = time.monotonic()
            attempt += 1

    @contextmanager
    def _connected(self) -> Iterator[Client]:
        wanted = self._wanted
        client = connect(
            *self._address,
            password=wanted.password,
            user=wanted.user,
            reconnect=True,
            keepalive=KEEPALIVE,
            caretaker=False,  # we read all the time, or mean not to
            tap=self._recorder,
        )
        with client:
            with self._lock:
                self._client = client
            try:
                for header, value in sorted(wanted.filters, key=lambda pair: is_negative(pair[1])):
                    client.filter(header, value)
                client.subscribe(*wanted.names, custom=wanted.subclasses, format=wanted.format, unknown=True)
                self._found()
                yield client
            finally:
                with self._lock:
                    self._past, self._client = self._past + _of_client(client), None

    def _read(self, client: Client) -> None:
        """Read and throw away, until the connection is over for good."""
        while not self._stopping.is_set() and self.failure is None:
            events = client.take(_BATCH, _LOOK_SECONDS)
            self._beat = time.monotonic()
            if Gap in set(map(type, events)):
                for gap in (event for event in events if isinstance(event, Gap)):
                    self._note_gap(gap.seconds, gap.reason)
            self._heed_recorder()
            self._wait_for_disk()
            self.state = "connecting again" if client.connection.end is not None else RECORDING

    def _found(self) -> None:
        """Its events come."""
        self.state, self.refused, self._told = RECORDING, False, ""
        if self._quiet_since is not None:
            since, why = self._quiet_since
            self._quiet_since = None
            self._note_gap(time.monotonic() - since, why)
        self._was_here = True

    def _lost(self, why: str, *, refused: bool = False) -> None:
        """No connection, and the client does not try again."""
        if self._stopping.is_set():
            return
        self.refused = refused and not self._was_here
        self.state = "refused" if refused else "connecting again" if self._was_here else "connecting"
        if self._was_here and self._quiet_since is None:
            self._quiet_since = time.monotonic(), why
        if why != self._told:  # else it would be said all night
            self._tell(why if self.name in why else f"{self.name}: {why}")
            self._told = why

    def _note_gap(self, seconds: float, why: str) -> None:
        with self._lock:
            self._past += Numbers(gaps=1)
        self._tell(f"{self.name}: nothing was recorded for {shown_duration(seconds)}: {why}")

    def _heed_recorder(self) -> None:
        """See whether it still records, and what it found of its last run.

        Raises:
            _Behind: not any more, because it could not keep up.
        """
        missed = self._recorder.missed
        if missed is not None and not self._missed_told:
            self._missed_told = True
            self._note_gap(
                missed.seconds, "no recorder was running" if missed.whole else "the last recorder was killed"
            )
        stats = self._recorder.stats()
        if stats["state"] == "stopped":
            why = str(stats["why"])
            if stats["behind"]:
                raise _Behind(why)
            self.failure = f"recording has ended: {why}"

    def _wait_for_disk(self) -> None:
        """Leave events in the switch while much waits to be written, which it can bear for a moment."""
        deadline = time.monotonic() + _DISK_SECONDS
        while self._recorder.stats()["queued_bytes"] > _BUFFERED and time.monotonic() < deadline:
            if self._stopping.wait(_DISK_LOOK_SECONDS):
                return

    def _renew_recorder(self, why: str) -> None:
        old = self._recorder
        old.close()
        with self._lock:
            self._past += Numbers(disk=old.stats()["written_bytes"])
            self._recorder = self._make_recorder()
        self._missed_told = True
        self._quiet_since = time.monotonic(), why


def _of_client(client: Client) -> Numbers:
    stats = client.stats()
    return Numbers(events=stats.received_events, received=stats.received_bytes)
