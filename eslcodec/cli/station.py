"""One switch that is recorded, in a thread of its own: it connects, reads, throws away, and connects again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import click

from .._address import address
from ..errors import AccessDenied, AuthError, CommandError, ESLError, InvalidCommand
from ..events import Event, Gap
from ..ingest import Recorder
from ..reconnect import Backoff, Password
from ..subscriptions import is_negative
from ..sync import Client, connect
from .login import KEEPALIVE

_BATCH: Final = 1000  # events that are read and thrown away at once
_LOOK_SECONDS: Final = 0.5  # so often the reader looks whether the recorder still works
_STUCK_SECONDS: Final = 60.0  # no reader that works takes so long, a reconnection included
_JOIN_SECONDS: Final = 5.0  # for a reader to notice that its connection was closed
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
    subclasses: Sequence[str] = ()
    filters: Sequence[tuple[str, str]] = ()
    format: str = "plain"
    user: str | None = None
    password: Password | None = None


@dataclass(frozen=True)
class Numbers:
    """What a switch has brought so far.

    Attributes:
        events, received: how many events and bytes.
        disk: bytes written.
        gaps: how often nothing was heard for a while.
    """

    events: int = 0
    received: int = 0
    disk: int = 0
    gaps: int = 0


class Station:
    """Records one switch until it is stopped.

    Args:
        host, port: of the switch.
        wanted: what is recorded.
        recorder: makes what writes it.
        tell: called, from its thread, with a line about what has gone wrong.
        backoff: the pauses between attempts that the client itself does not make.

    Attributes:
        name: host and port.
        state: what it does, in a word or two.
        refused: whether the switch has never let us in, and said so.
        failure: why no more can be recorded; None as long as it can.
    """

    def __init__(
        self,
        host: str,
        port: int,
        wanted: Wanted,
        recorder: Callable[[], Recorder],
        tell: Callable[[str], None],
        backoff: Backoff = Backoff(first=1, longest=30),  # noqa: B008  # it cannot change
    ) -> None:
        self.name = address(host, port)
        self.state = "connecting"
        self.refused = False
        self.failure: str | None = None
        self._address = host, port
        self._wanted = wanted
        self._make_recorder = recorder
        self._tell_all = tell
        self._backoff = backoff
        self._told = ""
        self._stopping = threading.Event()
        self._recorder = recorder()
        self._client: Client | None = None
        self._past = Numbers()  # of clients and recorders that are gone
        self._gaps = 0
        self._lost: tuple[float, str] | None = None  # since when nothing comes, and why, if the client has given up
        self._beat = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=f"record {self.name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, with the files whole."""
        self._stopping.set()
        client = self._client
        if client is not None:
            client.close()
        self._thread.join(_JOIN_SECONDS)  # one that still connects has nothing to lose
        self._recorder.close()

    def numbers(self) -> Numbers:
        """What it has brought by now."""
        with self._lock:
            past, client, recorder = self._past, self._client, self._recorder
        stats = None if client is None else client.stats()
        return Numbers(
            past.events + (0 if stats is None else stats.received_events),
            past.received + (0 if stats is None else stats.received_bytes),
            past.disk + _written(recorder),
            self._gaps,
        )

    def is_stuck(self) -> bool:
        """Whether its thread does not come on any more."""
        return time.monotonic() - self._beat > _STUCK_SECONDS

    # In its thread

    def _run(self) -> None:
        try:
            attempt = 0
            while self._goes_on():
                began = time.monotonic()
                try:
                    self._record()
                except (ESLError, OSError, click.ClickException) as error:
                    self._ended(error)
                if time.monotonic() - began > _LASTING:
                    attempt = 0
                self._pause(attempt)
                attempt += 1
        except BaseException as error:
            self.failure = f"{type(error).__name__}: {error}"
            raise
