"""From the recording of a switch to a stream of NATS JetStream (experimental: see STABILITY.md).

A recorder writes the spill, this reads it while it is written and publishes by the contract (docs/contract.md). The
recorder never waits for the broker. How far the stream is, is kept in the spill; after a kill of either process, or of
the broker, everything goes on behind that.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Literal

from ..events import Gap
from . import notices
from ._flight import WINDOW
from ._packed import Packed, Packer, pack
from ._spill import Entry, Kept, Spill, keep, kept
from ._wire import AT_ONCE
from .contract import Contract, Place, identity, notice_identity
from .publisher import Publisher, PublisherStats, StreamEnd

__all__ = ["Bridge", "BridgeStats", "check_partitions", "check_stream", "notice_line", "stream_config"]

KEEP_SECONDS: Final = 0.5
"""How often the place is kept: what was acknowledged since is looked for in the stream after a kill."""

POLL_SECONDS: Final = 0.05
"""How long it waits when nothing is new; a recorder writes a chunk a second."""

_ENTRIES: Final = 256  # at a time
_HEADERS: Final = 2048  # bytes of a message that are not ours to give away: what the server adds
_CANCEL_SECONDS: Final = 0.25
_PARTITIONS: Final = "esl-partitions"  # in a stream's metadata
_DAYS_3: Final = 72 * 3600


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


def stream_config(name: str, subjects: Sequence[str], replicas: int = 1) -> dict[str, Any]:
    """The configuration of a stream for one switch: in files, 72 hours, window for duplicates of two minutes.

    Example:
        >>> stream_config("FS1", ["esl.v1.fs1.>"])["retention"]
        'limits'
    """
    return {
        "name": name,
        "subjects": list(subjects),
        "retention": "limits",
        "storage": "file",
        "discard": "old",
        "max_age": _DAYS_3 * 10**9,
        "duplicate_window": 120 * 10**9,
        "num_replicas": replicas,
    }


def check_stream(config: Mapping[str, Any]) -> list[str]:
    """What a stream's configuration means for a bridge, a sentence each.

    Args:
        config: as the server says it.

    Raises:
        ValueError: it cannot work, and why.

    Example:
        >>> check_stream({"name": "FS1", "retention": "limits", "duplicate_window": 1, "discard": "new"})
        ['stream FS1 takes nothing when it is full (discard is new): publishing waits then']
        >>> check_stream({"name": "FS1", "retention": "workqueue"})
        Traceback (most recent call last):
            ...
        ValueError: stream FS1 deletes what was consumed (retention is workqueue), so its end says nothing: use limits
    """
    name, retention = config.get("name"), config.get("retention")
    if retention in ("workqueue", "interest"):
        raise ValueError(
            f"stream {name} deletes what was consumed (retention is {retention}), so its end says nothing: use limits"
        )
    if config.get("no_ack"):
        raise ValueError(f"stream {name} acknowledges nothing (no_ack)")
    if config.get("sealed"):
        raise ValueError(f"stream {name} is sealed: it takes nothing any more")
    if config.get("mirror"):
        raise ValueError(f"stream {name} is a mirror: publish to the one that it copies")
    said = []
    if config.get("discard") == "new":
        said.append(f"stream {name} takes nothing when it is full (discard is new): publishing waits then")
    if config.get("storage") == "memory":
        said.append(f"stream {name} is in memory: it is empty after a restart of the server")
    if config.get("max_msgs_per_subject", -1) > 0:
        said.append(f"stream {name} keeps only {config['max_msgs_per_subject']} messages of each subject")
    if not config.get("duplicate_window"):
        said.append(f"stream {name} has no window for duplicates: two bridges put everything in twice")
    return said


def check_partitions(config: Mapping[str, Any], partitions: int) -> list[str]:
    """Whether a stream was made for so many partitions, which its metadata says (servers from 2.10 on keep that).

    Args:
        config: as the server says it.
        partitions: of the contract.

    Raises:
        ValueError: it was made for another number: the events of a channel would be in two partitions.

    Example:
        >>> check_partitions({"name": "FS1", "metadata": {"esl-partitions": "16"}}, 16)
        []
        >>> check_partitions({"name": "FS1"}, 16)
        ['stream FS1 does not say how many partitions it has (no esl-partitions in its metadata): never change 16']
    """
    name, said = config.get("name"), (config.get("metadata") or {}).get(_PARTITIONS)
    if said is None:
        none = f"no {_PARTITIONS} in its metadata"
        return [f"stream {name} does not say how many partitions it has ({none}): never change {partitions}"]
    if said != str(partitions):
        raise ValueError(f"stream {name} has {said:.20} partitions, not {partitions}: a channel would be in two")
    return []


class Bridge:
    """Publishes what is recorded of one switch, while it is recorded.

    Args:
        folder: that a recorder has for the peer.
        servers, stream, options: as for `Publisher`.
        contract: how messages are made. Its `core` is set by what the recording says; set it if that says nothing.
        chained: whether nobody else publishes to the stream; a shared one keeps each message once only within its
            window for duplicates.
        create: a configuration (see `stream_config`) with which the stream is made if it is not there.
        begin: where to begin if no place is kept: with what comes "now", or with "all" that was recorded.
        window: how many messages may be in flight.

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
        begin: Literal["now", "all"] = "now",
        window: int = WINDOW,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        if begin not in ("now", "all"):
            raise ValueError(f"begin is {begin!r}, expected 'now' or 'all'")
        self.folder = os.fspath(folder)
        self.contract = contract
        self._packer = Packer(contract)
        self.warnings: tuple[str, ...] = ()
        self._begin = begin
        said = {_PARTITIONS: str(contract.subjects.partitions)}
        self._create = None if create is None else {**create, "metadata": {**create.get("metadata", {}), **said}}
        self._kept = kept(self.folder, stream)
        self._new = partial(Publisher, servers, stream, chained=chained, window=window, options=options)
        self._publisher = self._new()
        self._spill = Spill(self.folder)
        self._is_stopping = asyncio.Event()
        self._is_finishing = False
        self._kept_at = 0.0
        self._writing = threading.Lock()  # of the next
        self._written = 0  # the turn of the place that was
        self._turn = 0

    def __repr__(self) -> str:
        return f"<Bridge {self.folder!r} to {self._publisher.stream!r}>"

    def stats(self) -> BridgeStats:
        """How it fares."""
        return BridgeStats(
            self._publisher.stats(),
            self._spill.missed,
            self._spill.damage,
            self.contract.oversize,
            self._publisher.place or (self._kept.place if self._kept is not None else None),
            self.warnings,
        )

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
        end = await self._publisher.stream_end(self._create)
        partitions = self.contract.subjects.partitions
        self.warnings = (*check_stream(end.config), *check_partitions(end.config, partitions))
        self.contract.max_bytes = _most(end)
        place, last = await asyncio.to_thread(self._start, end)
        self._spill = await asyncio.to_thread(self._open, place)
        self._publisher = self._new(last=last)

    async def _publish_all(self, publisher: Publisher) -> None:
        while not self._is_stopping.is_set():
            is_last = self._is_finishing  # asked before it is read
            entries = await asyncio.to_thread(self._spill.read, _ENTRIES)
            for begin in range(0, len(entries), AT_ONCE):
                await publisher._publish_all([self._item(entry) for entry in entries[begin : begin + AT_ONCE]])
            await self._keep()
            if not entries and is_last:
                return
            if not entries:
                await self._pause()

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

    def _start(self, end: StreamEnd) -> tuple[Place | None, str | None]:
        """Behind what the stream has: what was kept, or the stream's last message, if that is ours and later."""
        place, last = self._kept if self._kept is not None else (None, None)
        if end.place is not None and (place is None or end.place > place):
            entry = self._spill.has(end.place)
            if entry is not None and end.id in self._ids(entry):
                return end.place, end.id
        return place, last

    def _open(self, place: Place | None) -> Spill:
        spill = Spill(self.folder, place)
        if place is None and self._begin == "all":
            return spill
        if place is None:
            spill.skip()
        for note in spill.notes(place):
            self._learn(note)
        return spill

    def _learn(self, note: Mapping[str, Any]) -> None:
        """Which switch the connection leads to, if a note says it, or that it is not known."""
        notice = notices.from_dict(note)
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

    def _item(self, entry: Entry) -> Packed:
        if entry.event is not None:
            return self._packer.event(entry.event, entry.place, entry.received)
        self._learn(entry.note or {})
        return pack(self.contract.notice(self._line(entry), entry.place, entry.received))

    def _line(self, entry: Entry) -> bytes:
        return notice_line(entry.note or {}, self.contract.switch, entry.received)

    async def _keep(self, now: bool = False) -> None:
        publisher = self._publisher
        if publisher.place is None or publisher.last_id is None:
            return
        state = Kept(publisher.place, publisher.last_id)
        if state != self._kept and (now or time.monotonic() - self._kept_at >= KEEP_SECONDS):
            self._turn += 1
            await asyncio.to_thread(self._write, self._turn, publisher.stream, state)
            self._kept, self._kept_at = state, time.monotonic()

    def _write(self, turn: int, stream: str, state: Kept) -> None:
        """Keep a place. It is in a thread that goes on when who waits for it is cancelled: an older place may not come
        between a newer one, or after it."""
        with self._writing:
            if turn > self._written:
                keep(self.folder, stream, state)
                self._written = turn


def notice_line(note: Mapping[str, Any], switch: str, at: float) -> bytes:
    """A recorder's note as the line of a notice.

    What `notices.to_note` wrote is what `notices.to_line` writes. Of the recorder's own words, `gap` (nothing was
    recorded, between two times) is a `Gap` too, and `stopped` (it gave up) is `recorder_stopped`.

    Args:
        note: it.
        switch: its name for consumers, whatever the recorder calls it.
        at: when it was written, in seconds since 1970.

    Example:
        >>> notice_line({"note": "closed", "why": "gone"}, "fs1", 1796000000.25)
        b'{"_notice":"closed","switch":"fs1","at":1796000000.25,"why":"gone"}'
    """
    notice = notices.from_dict(note)
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


def _most(end: StreamEnd) -> int:
    """How large a message may be."""
    limits = [end.max_payload, end.config.get("max_msg_size", -1)]
    return min(int(limit) for limit in limits if limit and limit > 0) - _HEADERS
