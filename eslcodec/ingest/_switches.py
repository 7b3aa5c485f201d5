"""What is asked of each switch of a `Fleet`, and what is told of it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from .._codec import Message
from .._tap import Tap
from ..aio import Client, connect
from ..aio._opening import Opening
from ..errors import ESLError
from ..reconnect import Backoff, Password, password_now
from ..subscriptions import event_name
from ._hosts import Host
from .notices import Notice
from .watch import Loss

Item = Message | Notice | Loss
"""What is in the stream of a switch."""

_BACKOFF: Final = Backoff(first=1)
_ENDS: Final = frozenset(("ALL", "CHANNEL_HANGUP_COMPLETE", "CHANNEL_DESTROY"))


@dataclass(frozen=True, slots=True)
class SwitchStats:
    """Numbers of one switch of a `Fleet`, over all its connections.

    Attributes:
        name, host, port: as it was configured.
        state: "connecting" for the first time, "connected", "away" (it was there, and is dialled again), "refused" (it
            does not let us in, or not have what we ask for; it is tried again, slowly), "removed".
        connected: whether it is "connected".
        since: since when it is in this state, in seconds since 1970.
        hostname, switchname, core_uuid, version: what the switch calls itself; None until that is known.
        received_events, received_bytes: what came.
        malformed: events that could not be read.
        dropped: messages that made room for newer ones, with `when_full="drop"`.
        reconnects: how often the connection was set up again.
        gaps, gap_seconds: how often, and how long altogether, nothing was received since there was no connection.
        core_changes: how often the switch was found to be another run of itself, or another switch.
        lag: seconds that events take, less the least of that; None until it is known. See `LossWatch.lag`.
        queue_estimate: about how many events wait in the switch.
        losses: grade -> how many events were found to be lost, by losses that have a count.
        loss_reports: grade -> how many losses were found, those without a count too.
        unread_seconds: how long the socket has not been read though something is in it.
        waiting: messages that came, and were not taken from the fleet yet.
        error: what is wrong, None if nothing is.
        tap: what the tap says of itself; None if there is none.

    Example:
        >>> SwitchStats("fs1", "10.0.0.1", 8021, "connecting", False, 1796000000.0).received_events
        0
    """

    name: str
    host: str
    port: int
    state: str
    connected: bool
    since: float
    hostname: str | None = None
    switchname: str | None = None
    core_uuid: str | None = None
    version: str | None = None
    received_events: int = 0
    received_bytes: int = 0
    malformed: int = 0
    dropped: int = 0
    reconnects: int = 0
    gaps: int = 0
    gap_seconds: float = 0.0
    core_changes: int = 0
    lag: float | None = None
    queue_estimate: int | None = None
    losses: Mapping[str, int] = field(default_factory=dict)
    loss_reports: Mapping[str, int] = field(default_factory=dict)
    unread_seconds: float = 0.0
    waiting: int = 0
    error: str | None = None
    tap: dict[str, Any] | None = None


@dataclass(frozen=True)
class Wanted:
    """What is asked of every switch.

    Attributes:
        names, subclasses, filters, format: of the events.
        log: down to which level log lines are asked for; None: none.
        user, password: of the login, of hosts that have none of their own.
        backoff: the pauses between attempts.
        options: of `connect`.
    """

    names: Sequence[str]
    subclasses: Sequence[str] = ()
    filters: Sequence[tuple[str, str]] = ()
    format: str = "plain"
    log: str | None = "crit"
    user: str | None = None
    password: Password | None = None
    backoff: Backoff = _BACKOFF
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def all(self) -> bool:
        """Whether every event comes."""
        return "ALL" in self.names and not self.filters

    @property
    def ends(self) -> bool:
        """Whether the end of every channel comes."""
        return not self.filters and not _ENDS.isdisjoint(map(event_name, self.names))


def opening(host: Host, wanted: Wanted, tap: Tap | None = None) -> Opening[Client]:
    """The way to a switch, to be awaited.

    Raises:
        TypeError, ValueError, InvalidCommand: something that is wanted cannot be.
    """
    return connect(
        host.host,
        host.port,
        password=_asked(host.secret(wanted.password)),
        user=host.user or wanted.user,
        reconnect=wanted.backoff,
        tap=tap,
        **wanted.options,
    )


def _asked(secret: Password | None) -> Password | None:
    """A password that is asked for anew; that this fails is as if the switch could not be reached."""
    if secret is None or isinstance(secret, str) or not (callable(secret) or isinstance(secret, os.PathLike)):
        return secret

    def ask() -> str:
        try:
            found: object = password_now(secret)
        except (OSError, ESLError):
            raise
        except Exception as error:  # of the function of somebody else
            raise OSError(f"the password cannot be had: {type(error).__name__}: {error}") from error
        if not isinstance(found, str):
            raise OSError(f"the password cannot be had: it is {type(found).__name__}, expected str")
        return found

    return ask


class Finder(Protocol):
    """Finds out, for one switch, what happened while nothing was received: `resync.Resync`.

    Attributes:
        clock_offset: seconds that the switch's clock is behind ours, as far as that is known.
    """

    clock_offset: float

    def see(self, items: Sequence[Any]) -> object:
        """These are the next of its stream."""

    async def after(self, client: Client) -> Iterable[Notice]:
        """There is a connection, for the first time or after a gap: what is to be said of it."""
