"""What is in a recording, by the heads of its chunks."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from ._opened import PlainReader, Reader
from .errors import DamagedRecording
from .zst import NOTE, Chunk

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)


def time_of(ns: int) -> datetime:
    """Nanoseconds since 1970 as a datetime."""
    return _EPOCH + timedelta(microseconds=ns // 1000)


@dataclass(frozen=True)
class RecordingGap:
    """Something may be missing between two chunks: another connection begins, or bytes of the same one are lost.

    Attributes:
        since, until: the end of the one, the beginning of the other.
        missing: how many bytes of a connection are lost; None if another one begins.

    Example:
        >>> gap = RecordingGap(time_of(10**18), time_of(10**18 + 2 * 10**9), None)
        >>> gap.seconds
        2.0
    """

    since: datetime
    until: datetime
    missing: int | None

    @property
    def seconds(self) -> float:
        """How long."""
        return (self.until - self.since).total_seconds()


@dataclass
class RecordingInfo:
    """What is in a recording.

    Attributes:
        files: how many there are.
        connections: how many connections were recorded; a stream without times counts as one.
        chunks: how many chunks of received bytes it has.
        received: bytes that were received.
        stored: bytes of the files.
        first, last: when the first and the last came; None if there is none, or no times.
        gaps: where something may be missing.
        notes: what the recorder noted, with the time.
        torn: of each file whose end is no whole chunk, how many bytes that is.
        damage: what else is damaged.
        longest_silence: the longest time in seconds in which nothing came over a connection that stood.
        open_files: those without the seek table that closes a file: their recorder still runs, or was killed.

    Example:
        >>> info = RecordingInfo(files=1, open_files=["day.esl.zst"])
        >>> info.closed, info.connections
        (False, 0)
    """

    files: int = 0
    connections: int = 0
    chunks: int = 0
    received: int = 0
    stored: int = 0
    first: datetime | None = None
    last: datetime | None = None
    gaps: list[RecordingGap] = field(default_factory=list)
    notes: list[tuple[datetime, dict[str, Any]]] = field(default_factory=list)
    torn: dict[str, int] = field(default_factory=dict)
    damage: list[DamagedRecording] = field(default_factory=list)
    longest_silence: float = 0.0
    open_files: list[str] = field(default_factory=list)

    @property
    def closed(self) -> bool:
        """Whether all files were closed."""
        return not self.open_files


def overview(folders: Iterable[Iterable[tuple[str, Reader]]]) -> RecordingInfo:
    """What is in the files of some folders, each with a reader of its chunks."""
    info = RecordingInfo()
    connections: set[int] = set()
    for files in folders:
        track = _Track(info, connections)
        for path, reader in files:
            if isinstance(reader, PlainReader):
                info.connections += 1
                info.received += sum(chunk.length for chunk in reader)
            else:
                for chunk in reader:
                    track.add(chunk)
            _add_file(info, path, reader)
    info.connections += len(connections)
    return info


def _add_file(info: RecordingInfo, path: str, reader: Reader) -> None:
    info.files += 1
    info.damage += reader.damage
    if os.path.exists(path):
        info.stored += os.path.getsize(path)
    if reader.torn:
        info.torn[path] = reader.torn
    if not reader.closed:
        info.open_files.append(path)


class _Track:
    """The chunks of one folder, in order."""

    def __init__(self, info: RecordingInfo, connections: set[int]) -> None:
        self._info = info
        self._connections = connections
        self._last: Chunk | None = None
        self._silent_since = 0  # by the monotonic clock, in microseconds

    def add(self, chunk: Chunk) -> None:
        info = self._info
        if chunk.kind == NOTE:
            info.notes.append((time_of(chunk.wall_ns), chunk.note or {}))
            return
        self._connections.add(chunk.connection)
        info.chunks += 1
        info.received += chunk.length
        begin, end = time_of(chunk.wall_ns), time_of(chunk.end_ns)
        info.first = min(info.first or begin, begin)
        info.last = max(info.last or end, end)
        last, self._last = self._last, chunk
        silent_since, times = self._silent_since, list(_read_times(chunk))
        self._silent_since = times[-1] if times else chunk.mono_ns // 1000
        if last is not None and (last.connection, last.offset + last.length) != (chunk.connection, chunk.offset):
            lost = chunk.offset - last.offset - last.length if last.connection == chunk.connection else None
            info.gaps.append(RecordingGap(time_of(last.end_ns), begin, lost))
        elif last is not None:
            times.insert(0, silent_since)
        silence = max(map(operator.sub, times[1:], times), default=0)
        info.longest_silence = max(info.longest_silence, silence / 1e6)


def _read_times(chunk: Chunk) -> Iterator[int]:
    """When something was read, by the monotonic clock, in microseconds."""
    begin = chunk.mono_ns // 1000
    return (begin + us for us, _ in chunk.reads)
