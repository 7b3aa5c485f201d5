"""What hears one switch of a `Fleet`: its recorder, and the next one where that was too slow."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from .. import limits
from .._tap import Tap, Tapping, check_tap
from ..aio import Client
from ..aio._link import Link
from ..aio._route import Route
from ..aio._tapped import TappedLink
from ..events import Gap
from ._switches import Item
from ._writer import LOGGED_IN
from .notices import to_note

_LOG: Final = logging.getLogger("eslcodec.fleet")
_BUFFERED: Final = limits.RECORDER_BUFFER_BYTES // 2  # what may wait to be written before we read no more
_DISK_SECONDS: Final = 5.0  # that we read nothing because of that; a switch gets into danger after a minute
_DISK_LOOK_SECONDS: Final = 0.01
_DISK_READS: Final = 8  # so often it is looked: what these bring is little beside the other half


class MemberTap:
    """The tap of one switch over all its connections.

    Args:
        name: of the switch.
        make: makes what hears its bytes; again, if a recorder has stopped because it was behind.

    Attributes:
        tap: what hears now; None: nothing does.
    """

    def __init__(self, name: str, make: Callable[[], Tap | None]) -> None:
        self.tap = make()
        self._name = name
        self._make = make
        self._looks_back = True  # whether what was missed before it is still to be found
        self._reads = 0  # until its recorder is looked at

    def unrecorded(self) -> Gap | None:
        """What no recorder saw before this start, once, as soon as that is known."""
        missed = getattr(self.tap, "missed", None) if self._looks_back else None
        seconds = getattr(missed, "seconds", None)
        if missed is None or not isinstance(seconds, float):
            return None
        self._looks_back = False
        return Gap.of(seconds, "no recorder was running" if missed.whole else "the last recorder was killed")

    def note(self, item: Item, now: float) -> None:
        """Say a notice in it, if it can be told."""
        self._note(lambda: to_note(item, self._name, now))  # type: ignore[arg-type]  # a notice, a gap or a loss

    def logged_in(self, core: str | None) -> None:
        """There is a connection, nothing is subscribed to yet, and this is the Core-UUID that the switch tells: it
        stands in front of the first event."""
        self._note(lambda: {"note": LOGGED_IN, "switch": self._name, "at": time.time(), "core_uuid": core})

    def _note(self, make: Callable[[], dict[str, Any]]) -> None:
        note = getattr(self.tap, "note", None)
        if note is None:
            return
        try:
            note(make())
        except Exception as error:
            _LOG.warning("%s: the tap takes no note: %s: %s", self._name, type(error).__name__, error)

    def heed(self, client: Client) -> None:
        """If a recorder has stopped because the disk was too slow, another one may do better: it begins anew.

        The client may be between two connections, or log in with the last recorder: each connection is heard by the
        one that is used when it is ready, or ends.
        """
        route, link = client._route, client._link
        if self.tap is None or route is None or route.tapping is None:
            return
        stats = route.tapping.stats() or {}
        if stats.get("state") == "stopped" and stats.get("behind"):
            self._replace(client, route, stats)
        elif isinstance(link, TappedLink) and link.tapping is not route.tapping and link.connection.end is None:
            link.abort("its recorder was replaced while it logged in")

    def _replace(self, client: Client, route: Route, stats: dict[str, Any]) -> None:
        old, self._looks_back = self.tap, False
        try:
            self.tap = self._make()
            check_tap(self.tap)
            tapping = None if self.tap is None else Tapping(self.tap)
        except Exception as error:
            _LOG.error("%s: is not recorded any more: %s: %s", self._name, type(error).__name__, error)
            self.tap = None
            return
        client._route = replace(route, tapping=tapping)
        client._link.abort(f"the recorder has stopped: {stats['why']}")
        close = getattr(old, "close", None)
        if close is not None:
            asyncio.get_running_loop().run_in_executor(None, close)

    def heed_disk(self, link: Link) -> None:
        """A read came. While its recorder lags behind, events are left in the switch, which can bear it for a while."""
        self._reads += 1
        if self._reads >= _DISK_READS and not link.held:
            self._reads = 0
            self._look_at_disk(link, link._loop.time() + _DISK_SECONDS)

    def _look_at_disk(self, link: Link, deadline: float) -> None:
        loop = link._loop
        stats = link.tap_stats() or {}
        link.held = stats.get("queued_bytes", 0) > _BUFFERED and loop.time() < deadline
        if link.held:
            loop.call_later(_DISK_LOOK_SECONDS, self._look_at_disk, link, deadline)
        link.throttle()
