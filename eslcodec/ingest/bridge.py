"""From the recording of a switch to a stream of NATS JetStream (experimental: see STABILITY.md).

A recorder writes the spill, this reads it while it is written and publishes by the contract (docs/contract.md). The
recorder never waits for the broker. How far the stream is, is kept in the spill; after a kill of either process, or of
the broker, everything goes on behind that.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Literal

from ..events import Event, Gap
from . import notices
from ._flight import LOOK_BACK, WINDOW
from ._packed import Packed, Packer, pack
from ._spill import Entry, Kept, Spill, keep, kept, place_name
from ._streams import PARTITIONS_KEY, check_partitions, check_replay, check_stream, stream_config
from ._wire import AT_ONCE
from ._writer import LOGGED_IN
from .contract import Contract, Item, Place, identity, notice_identity
from .publisher import Publisher, PublisherStats, StreamEnd
from .sinks import End, Sink

__all__ = [
    "Bridge",
    "BridgeStats",
    "check_partitions",
    "check_replay",
    "check_stream",
    "notice_line",
    "stream_config",
]

KEEP_SECONDS: Final = 0.5
"""How often the place is kept: what was acknowledged since is looked for in the stream after a kill."""

POLL_SECONDS: Final = 0.05
"""How long it waits when nothing is new; a recorder writes a chunk a second."""

MEET_SECONDS: Final = 5.0
"""How long another bridge is waited for that is behind: the other recorder writes a chunk a second."""

_MEET_AGAIN_SECONDS: Final = 0.1
_ENTRIES: Final = 256  # at a time
_CANCEL_SECONDS: Final = 0.25
_CLOCKS_SECONDS: Final = 60.0  # between those of two recorders, at most


@dataclass(frozen=True)
class BridgeStats:
    """How a bridge fares.

    Attributes:
        publisher: of what it publishes; `trouble` is there.
        missed: how many files of the spill were deleted before they were read.
        damage: how many chunks could not be read.
        oversize: how many events were told without their body.
        place: behind the last event that the stream has of all that came before it.
        warnings: what `check_stream` says of the stream.
        oldest: when that was received which is not acknowledged and waits longest, in seconds since 1970; None if
            nothing waits, or it is not known.

    Example:
        >>> from eslcodec.ingest.contract import Contract
        >>> Bridge("rec/10.0.0.1_8021", "nats://127.0.0.1:4222", "FS1", Contract("fs1")).stats().missed
        0
    """

    publisher: PublisherStats
    missed: int
    damage: int
    oversize: int
    place: Place | None
    warnings: tuple[str, ...]
    oldest: float | None


class Bridge:
    """Publishes what is recorded of one switch, while it is recorded.

    Args:
        folder: that a recorder has for the peer.
        servers, stream, options: as for `Publisher`.
        contract: how messages are made. Its `core` is set by what the recording says; set it if that says nothing.
        chained: whether nobody else publishes to the stream; a shared one keeps each message once only within its
            window for duplicates.
        create: a configuration (see `stream_config`) with which the stream is made if it is not there.
        begin: where to begin if no place is kept: with what comes "now", with "all" that was recorded, or with what was
            received from a time on (seconds since 1970). A place is kept for each stream and first words of subjects.
        overlap: whether other bridges publish the same switch to this stream, each from a recording of its own
            (docs/contract.md, Two bridges).
        window: how many messages may be in flight.
        sink: where to, if that is no stream of JetStream: it is called as `Publisher` is (see `Sink`).

    Example:
        >>> async def run():
        ...     contract = Contract("fs1")
        ...     config = stream_config("FS1", [contract.subjects.pattern("fs1")])
        ...     bridge = Bridge("rec/10.0.0.1_8021", "nats://127.0.0.1:4222", "FS1", contract, create=config)
        ...     await bridge.run()
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        servers: str | Sequence[str],
        stream: str,
        contract: Contract,
        *,
        chained: bool = True,
        create: Mapping[str, Any] | None = None,
        begin: Literal["now", "all"] | float = "now",
        overlap: bool = False,
        window: int = WINDOW,
        options: Mapping[str, Any] | None = None,
        sink: Callable[..., Sink] = Publisher,
    ) -> None:
        if begin not in ("now", "all") and not (isinstance(begin, (int, float)) and math.isfinite(begin)):
            raise ValueError(f"begin is {begin!r}, expected 'now', 'all', or seconds since 1970")
        if overlap and not (isinstance(sink, type) and issubclass(sink, Publisher)):
            raise ValueError(f"overlap is True and sink {sink!r:.80}, expected a Publisher: only JetStream can have it")
        self.folder = os.fspath(folder)
        self.contract = contract
        self._packer = Packer(contract)
        self.warnings: tuple[str, ...] = ()
        self._begin = begin
        self._overlap = overlap
        self._chained = chained and not overlap
        said = {PARTITIONS_KEY: str(contract.subjects.partitions)}
        self._create = None if create is None else {**create, "metadata": {**create.get("metadata", {}), **said}}
        self._place_name = place_name(stream, contract.subjects.prefix)
        self._kept = kept(self.folder, self._place_name)
        beside = {"overlap": True} if overlap else {}
        self._new = partial(sink, servers, stream, chained=chained, window=window, options=options, **beside)
        self._publisher = self._new(last=None)
        self._spill = Spill(self.folder)
        self._is_stopping = asyncio.Event()
        self._is_finishing = False
        self._has_login = False  # whether a note of the connection says where it leads
        self._is_found = False  # whether the stream is, and the place to go on from
        self._ahead: Spill | None = None  # see `look`
        self._unread: float | None = None
        self._kept_at = 0.0
        self._writing = threading.Lock()  # of the next
        self._written = 0  # the turn of the place that was
        self._turn = 0

    def __repr__(self) -> str:
        return f"<Bridge {self.folder!r} to {self._publisher.stream!r}>"

    def stats(self) -> BridgeStats:
        """How it fares."""
        stats = self._publisher.stats()
        return BridgeStats(
            stats,
            self._spill.missed,
            self._spill.damage,
            self.contract.oversize,
            self._publisher.place or (self._kept.place if self._kept is not None else None),
            self.warnings,
            stats.oldest if self._is_found else self._unread,
        )

    def look(self) -> None:
        """See what waits in the spill while the stream is not there, for `stats`. It reads the disk."""
        if self._is_found or self._unread is not None:
            return
        if self._ahead is None:
            self._ahead = self._spill_at(self._kept.place if self._kept is not None else None)
        entries = self._ahead.read(1)
        self._unread = entries[0].received if entries else None

    def stop(self) -> None:
        """Have `run` publish nothing new, wait for what is in flight, and return."""
        self._is_stopping.set()

    def finish(self) -> None:
        """Have `run` return when all is published that is in the spill."""
        self._is_finishing = True

    async def run(self, drain: float = 20.0) -> bool:
        """Publish until it is stopped.

        Args:
            drain: how many seconds to wait for acknowledgements then. What is not acknowledged stays in the spill.

        Returns:
            Whether everything that was read is acknowledged.

        Raises:
            ValueError: the stream cannot be used (`check_stream`, `check_partitions`), or what was kept is no place.
            OSError: the spill cannot be read, or the place cannot be kept.
        """
        if not await self._unless_stopped(self._find_place()):
            return True
        async with self._publisher as publisher:
            await self._unless_stopped(self._publish_all(publisher))
            is_done = await publisher.flush(drain)
            await self._keep(now=True)
            return is_done

    async def _find_place(self) -> None:
        """Look at the stream, and where to go on."""
        if self._overlap:
            start = await self._meet()
        else:
            end = await self._publisher.stream_end(self._create)
            self._check(end)
            start = await asyncio.to_thread(self._start, end)
        place, last = start
        self._spill = await asyncio.to_thread(self._open, place)
        self._publisher = self._new(last=last)
        self._is_found = True

    def _check(self, end: End) -> None:
        """See that the stream can be used.

        Raises:
            ValueError: it cannot, and why.
        """
        said = end.check(self.contract.subjects.partitions, self.contract.subjects.prefix)
        if self._overlap and isinstance(end, StreamEnd) and not end.config.get("duplicate_window"):
            raise ValueError(f"stream {end.config.get('name')} has no window for duplicates: bridges cannot overlap")
        if self._kept is not None and isinstance(self._begin, (int, float)):
            said.append(
                f"a place is kept in {self.folder}, and it goes on from there: what is older is published again only "
                "under another prefix"
            )
        if self._kept is not None and isinstance(end, StreamEnd) and end.sequence == 0:
            said.append(
                f"stream {self._publisher.stream} never had a message, though a place is kept in {self.folder}: it was "
                "made anew, or its servers lost it. It goes on from there; the recording has what came before"
            )
        self.warnings = tuple(said)
        self.contract.max_bytes = end.max_bytes

    async def _publish_all(self, publisher: Sink) -> None:
        while not self._is_stopping.is_set():
            is_last = self._is_finishing  # asked before it is read
            entries = await asyncio.to_thread(self._spill.read, _ENTRIES)
            for begin in range(0, len(entries), AT_ONCE):
                await self._publish(publisher, entries[begin : begin + AT_ONCE])
            await self._keep()
            if not entries and is_last:
                return
            if not entries:
                await self._pause()

    async def _publish(self, publisher: Sink, entries: Sequence[Entry]) -> None:
        if isinstance(publisher, Publisher):
            await publisher._publish_all([self._packed(entry) for entry in entries])
            return
        for entry in entries:
            await publisher.publish(self._item(entry))

    async def _unless_stopped(self, doing: Coroutine[Any, Any, None]) -> bool:
        """Do it, but no longer than until it is stopped: a broker that is away is waited for without an end.

        Returns:
            Whether it was done.
        """
        task, stopping = asyncio.ensure_future(doing), asyncio.ensure_future(self._is_stopping.wait())
        try:
            await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            while not task.done():  # NATS's library swallows some cancellations
                task.cancel()
                await asyncio.wait({task}, timeout=_CANCEL_SECONDS)
        if task.cancelled():
            return False
        task.result()
        return True

    async def _pause(self) -> None:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._is_stopping.wait(), POLL_SECONDS)

    def _start(self, end: End) -> tuple[Place | None, str | None]:
        """Behind what the stream has: what was kept, or the stream's last message, if that is ours and later."""
        place, last = self._kept if self._kept is not None else (None, None)
        if place is not None and not self._chained:  # that a later one is there does not say that all before it are
            return place, last
        if end.place is not None and (place is None or end.place > place):
            entry = self._spill.has(end.place)
            if entry is not None and end.id in self._ids(entry):
                return end.place, end.id
        return place, last

    async def _meet(self) -> tuple[Place | None, str | None]:
        """Where to go on beside another bridge. If that is behind what is recorded here, it is waited for a while, or
        what only it has would come late."""
        until = time.monotonic() + MEET_SECONDS
        publisher = self._publisher
        assert isinstance(publisher, Publisher)
        while True:
            end = await publisher.stream_end(self._create, LOOK_BACK)
            self._check(end)
            has_met, place = await asyncio.to_thread(self._meeting, end)
            latest = max((at for at in end.recent.values() if at is not None), default=0.0)
            is_alone = time.time() - latest > _CLOCKS_SECONDS
            if has_met or is_alone or self._is_finishing or time.monotonic() > until:
                return (place, None) if self._kept is None else self._kept
            await asyncio.sleep(_MEET_AGAIN_SECONDS)

    def _meeting(self, end: StreamEnd) -> tuple[bool, Place | None]:
        """Whether the stream's end has something that was received over the last connection to the switch; and where to
        begin if no place is kept: before the first of ours that the stream's end has, or, if that is earlier, before
        the first that the window for duplicates has for sure. What is there is not published again."""
        sure = time.time() - end.config["duplicate_window"] / 2e9
        received = [at for at in end.recent.values() if at is not None]
        has_hashes = any(":h:" in id for id in end.recent)
        reader, first, begin = Spill(self.folder), None, None
        connection = reader.last_connection()
        reader.since(min([sure, *received]) - _CLOCKS_SECONDS)
        while entries := reader.read(_ENTRIES):
            for entry in entries:
                if first is None and entry.received >= sure:
                    first = _before(entry.place)
                ids = self._ids(entry) if has_hashes or entry.event is None else {entry.event.id}
                if end.recent.keys().isdisjoint(ids):
                    continue
                begin = begin or first or _before(entry.place)
                if entry.place.connection == connection:
                    return True, begin
        return False, begin or (first if self._begin == "now" else None)

    def _open(self, place: Place | None) -> Spill:
        spill = self._spill_at(place)
        until = place if place is not None else spill.next_place
        if until is not None:
            for note in spill.notes(until):
                self._learn(note)
        return spill

    def _spill_at(self, place: Place | None) -> Spill:
        """What is to be published: from a place on, or as was asked for."""
        spill = Spill(self.folder, place)
        if place is None and self._begin == "now":
            spill.skip()
        elif place is None and self._begin != "all":
            spill.since(float(self._begin))
        return spill

    def _learn(self, note: Mapping[str, Any]) -> None:
        """Which switch the connection leads to, if a note says it, or that it is not known.

        `logged_in` stands in front of the first event of a connection. `started` and `core_changed` stand behind some,
        and may be of an earlier connection: they are heeded where there is no `logged_in`.
        """
        kind = note.get("note")
        if kind == "opened":
            self._has_login = False
        if kind in (LOGGED_IN, "continued") and "core_uuid" in note:
            core = note["core_uuid"]
            self.contract.core = core if isinstance(core, str) else None
            self._has_login = True
        notice = None if self._has_login else notices.from_dict(note)
        if isinstance(notice, notices.Started):
            self.contract.core = notice.core_uuid
        elif isinstance(notice, notices.CoreChanged):
            self.contract.core = notice.after

    def _ids(self, entry: Entry) -> set[str]:
        """What an entry may be known by, whatever is known of the connection's switch."""
        if entry.event is None:
            return {notice_identity(self._line(entry), entry.place.connection, entry.place.offset)}
        cores = self.contract.core, entry.event.get("Core-UUID"), None
        return {identity(entry.event, core) for core in cores}

    def _item(self, entry: Entry) -> Item:
        if entry.event is not None:
            return self.contract.event(entry.event, entry.place, entry.received)
        self._learn(entry.note or {})
        redact = self.contract.redact
        redacted = None if redact is None else self._line(entry, redact)
        return self.contract.notice(self._line(entry), entry.place, entry.received, redacted)

    def _packed(self, entry: Entry) -> Packed:
        """The same as bytes."""
        if entry.event is not None:
            return self._packer.event(entry.event, entry.place, entry.received)
        return pack(self._item(entry))

    def _line(self, entry: Entry, redact: Callable[[Event], Event] | None = None) -> bytes:
        return notice_line(entry.note or {}, self.contract.switch, entry.received, redact)

    async def _keep(self, now: bool = False) -> None:
        publisher = self._publisher
        if publisher.place is None or publisher.last_id is None:
            return
        state = Kept(publisher.place, publisher.last_id)
        if state != self._kept and (now or time.monotonic() - self._kept_at >= KEEP_SECONDS):
            self._turn += 1
            await asyncio.to_thread(self._write, self._turn, self._place_name, state)
            self._kept, self._kept_at = state, time.monotonic()

    def _write(self, turn: int, name: str, state: Kept) -> None:
        """Keep a place. It is in a thread that goes on when who waits for it is cancelled: an older place may not come
        between a newer one, or after it."""
        with self._writing:
            if turn > self._written:
                keep(self.folder, name, state)
                self._written = turn


def notice_line(
    note: Mapping[str, Any], switch: str, at: float, redact: Callable[[Event], Event] | None = None
) -> bytes:
    """A recorder's note as the line of a notice.

    What `notices.to_note` wrote is what `notices.to_line` writes. Of the recorder's own words, `gap` (nothing was
    recorded, between two times) is a `Gap` too, and `stopped` (it gave up) is `recorder_stopped`.

    Args:
        note: it.
        switch: its name for consumers, whatever the recorder calls it.
        at: when it was written, in seconds since 1970.
        redact: what takes out of it what may not be published (see `notices.redacted`).

    Example:
        >>> notice_line({"note": "closed", "why": "gone"}, "fs1", 1796000000.25)
        b'{"_notice":"closed","switch":"fs1","at":1796000000.25,"why":"gone"}'
    """
    notice = notices.from_dict(note)
    if notice is not None and redact is not None:
        notice = notices.redacted(notice, redact)
    if isinstance(notice, notices.Notice):
        return notices.to_line(replace(notice, switch=switch))
    if notice is not None:
        return notices.to_line(notice, switch, float(note["at"]))
    said = dict(note)
    kind = str(said.pop("note", ""))
    if "at" not in said and kind == "gap" and all(type(said.get(name)) is int for name in ("since", "until")):
        return notices.to_line(Gap.of((said["until"] - said["since"]) / 1e9, "nothing was recorded"), switch, at)
    if "at" not in said and kind == "stopped":
        kind = "recorder_stopped"
    said = {"_notice": kind, "switch": switch, "at": at, **said}
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _before(place: Place) -> Place:
    """A place before what ends at one, and behind everything else."""
    return place._replace(offset=place.offset - 1)
