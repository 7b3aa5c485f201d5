"""What a recorder's thread does: chunks into files, new files in time, syncs, deletions. One thread, no locks."""

from __future__ import annotations

import errno
import logging
import math
import os
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from .. import zst
from .._codec import HeadScanner
from .._zstd import Compressor
from ._files import File, delete, folder_name, free_part, last_recorded, recordings_in
from ._masking import Masking

_LOG: Final = logging.getLogger("eslcodec.recorder")
SECOND: Final = 1_000_000_000
NEVER: Final = 1 << 63
"""A time that does not come."""

LOGGED_IN: Final = "logged_in"
"""The note that has the Core-UUID of the switch that a connection leads to. `continued` has it too."""

_FULL: Final = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
_LOOK_NS: Final = 60 * SECOND  # how often it is looked for what is to be deleted
_HELD_MOST: Final = 10_000
_PARTS: Final = 16  # into so many files at least goes what there is room for, so that one can be deleted


class Missed(NamedTuple):
    """The time between the last recording of a peer and this one.

    Attributes:
        since_ns: when the last of it came, in ns since 1970.
        until_ns: when the connection was made.
        whole: whether that connection had ended; else its recorder was killed, and may have lost `chunk_seconds`.

    Example:
        >>> Missed(10**18, 10**18 + 2_500_000_000, True).seconds
        2.5
    """

    since_ns: int
    until_ns: int
    whole: bool

    @property
    def seconds(self) -> float:
        """How long it was; 0 if the clock was set back meanwhile."""
        return max(self.until_ns - self.since_ns, 0) / SECOND


@dataclass(frozen=True)
class Settings:
    """What a recorder was told; `Recorder` says what each is. Times are in ns, `NEVER` is no bound."""

    folder: Path
    rotate_bytes: float
    rotate_ns: int
    sync_ns: int
    keep_seconds: float | None
    keep_bytes: float | None
    min_free: float
    on_full: Literal["stop", "oldest"]
    level: int
    mono: Callable[[], int]
    wall: Callable[[], int]

    @property
    def syncs(self) -> bool:
        """Whether anything is to survive a power cut."""
        return self.sync_ns != NEVER

    @property
    def deletes(self) -> bool:
        """Whether old recordings are deleted."""
        return self.keep_seconds is not None or self.keep_bytes is not None


class Stream:
    """One connection, as it is recorded.

    Attributes:
        peer: host and port of the other side.
        number: tells it from others; random.
        offset: how many bytes of it are in chunks that were begun.
        notes: what is to be written before its first chunk.
        begun: whether something of it is in a file.
        over: whether its end was taken.
        login: what a note said of its login, for the files in which it goes on.
    """

    __slots__ = ("begun", "login", "masking", "notes", "number", "offset", "over", "peer", "scanner")

    def __init__(self, host: str, port: int) -> None:
        self.peer = host, port
        self.number = int.from_bytes(os.urandom(8), "little") or 1
        self.offset = 0
        self.notes: list[Note] = []
        self.begun = self.over = False
        self.login: dict[str, Any] = {}
        self.scanner = HeadScanner()
        self.masking = Masking()


@dataclass
class Note:
    """Something to be said of a connection: what `kind` says, and more. `at` is how many bytes came before it."""

    stream: Stream
    at: int
    wall_ns: int
    mono_ns: int
    kind: str
    more: dict[str, Any] = field(default_factory=dict)
    told: bool = False
    """By whoever has the recorder: what it says is not the recorder's own."""

    @property
    def weight(self) -> int:
        """What it takes in line; a guess."""
        return 1024 + (64 * len(self.more) if self.told else 0)

    def packed(self) -> bytes:
        """As it is in a file."""
        said = {"note": self.kind, **self.more}
        return zst.pack_note(
            connection=self.stream.number, offset=self.at, wall_ns=self.wall_ns, mono_ns=self.mono_ns, note=said
        )


class Chunk:
    """Received bytes, and what was sent between them.

    Attributes:
        memory: where the bytes are; the first `size` of it.
        reads: of each read, the time and how many bytes, packed.
        sends: what was sent, and when and where.
        due_ns: when it must be written.
    """

    __slots__ = ("due_ns", "memory", "mono_ns", "offset", "reads", "sends", "sent", "size", "stream", "view", "wall_ns")

    def __init__(self, stream: Stream, memory: bytearray, wall_ns: int, mono_ns: int, due_ns: int) -> None:
        self.stream = stream
        self.memory = memory
        self.view = memoryview(memory)
        self.size = 0
        self.reads = bytearray()
        self.sends: list[tuple[int, int, bytes]] = []
        self.sent = 0
        self.offset = stream.offset
        self.wall_ns = wall_ns
        self.mono_ns = mono_ns
        self.due_ns = due_ns

    @property
    def weight(self) -> int:
        """What it takes in line."""
        return self.size + len(self.reads) + self.sent + 64 * len(self.sends) + 1024


class Full(Exception):
    """Recording ends: why."""


def _continued(stream: Stream, at: int, wall_ns: int, mono_ns: int) -> Note:
    """What begins a file that goes on with a connection."""
    return Note(stream, at, wall_ns, mono_ns, "continued", {"peer": list(stream.peer), **stream.login})


class Writer:
    """Writes what it is given into files.

    Args:
        settings: what the recorder was told.

    Attributes:
        path: the file that is being written, or was last.
        chunks, files, written_bytes: what was written.
        deleted_files: what was deleted.
        syncs, sync_seconds: how many there were, and how long they took in all.
        missed: what was not recorded before the first connection.
    """

    def __init__(self, settings: Settings) -> None:
        self.path: Path | None = None
        self.chunks = self.files = self.written_bytes = self.deleted_files = 0
        self.syncs, self.sync_seconds = 0, 0.0
        self.missed: Missed | None = None
        self._settings = settings
        self._compressor = Compressor(settings.level)
        self._file: File | None = None
        self._folder: Path | None = None
        self._held: deque[Note] = deque(maxlen=_HELD_MOST)  # came when there was no file, or of what brought no byte
        self._last: Stream | None = None  # that something was written of
        self._began_ns = self._synced_ns = 0
        self._looked_ns = -_LOOK_NS
        self._seen: set[Path] = set()
        self._rotate_bytes = settings.rotate_bytes
        self._steady = settings.wall() / SECOND, settings.mono()

    @property
    def has_file(self) -> bool:
        """Whether a file is open."""
        return self._file is not None

    @property
    def holds(self) -> bool:
        """Whether notes wait that `finish` would write."""
        return bool(self._held) and self._last is not None

    @property
    def compresses(self) -> bool:
        """Whether there is a library for it, and a level other than 0."""
        return self._compressor.compresses

    def take(self, item: Chunk | Note) -> None:
        """Write it.

        Raises:
            Full: the disk is.
            OSError: it cannot be written.
        """
        if isinstance(item, Note) and item.kind == LOGGED_IN:
            item.stream.login = {"core_uuid": item.more.get("core_uuid")}
        if isinstance(item, Chunk):
            self._take_chunk(item)
        elif item.kind == "opened":
            item.stream.notes.append(item)
            self._look_back(item)
        elif item.told:
            self._take_told(item)
        else:
            self._take_end(item)

    def _take_told(self, note: Note) -> None:
        if note.stream.begun and self._file is not None:
            self._put([(note.packed(), 0)])
        elif note.stream.begun or note.stream.over:
            self._held.append(note)
        else:
            note.stream.notes.append(note)

    def _take_end(self, note: Note) -> None:
        """ "closed" or "stopped"."""
        stream, stops = note.stream, note.kind == "stopped"
        stream.over = True
        if stream.begun:
            if self._file is None and not stops:  # it was closed in time, while nothing came
                self._go_on(note)
            self._put([(note.packed(), 0)], check=not stops)
        else:  # it brought nothing, so what was told of it stands by another one
            self._held += [told for told in stream.notes if told.told]
        if stops:
            self.close_file()

    def _take_chunk(self, chunk: Chunk) -> None:
        stream = chunk.stream
        self._get_ready(stream, chunk)
        with chunk.view[: chunk.size] as data:
            head, frame = zst.pack_stream(
                self._compressor,
                connection=stream.number,
                offset=chunk.offset,
                wall_ns=chunk.wall_ns,
                mono_ns=chunk.mono_ns,
                first=stream.scanner.scan(data),
                reads=chunk.reads,
                sends=[(us, at, stream.masking.mask(sent)) for us, at, sent in chunk.sends],
                data=data,
            )
        self._put([(head, 0), (frame, chunk.size)])
        self.chunks += 1

    def _look_back(self, opened: Note) -> None:
        """See what was recorded of this peer before."""
        folder = self._settings.folder / folder_name(*opened.stream.peer)
        if folder in self._seen:  # not before something is written: a connection may end before a byte comes
            return
        last = last_recorded(folder)
        if last is not None:
            self.missed = Missed(last.end_ns, opened.wall_ns, last.whole)
            more = {"since": last.end_ns, "until": opened.wall_ns, "whole": last.whole}
            gap = Note(opened.stream, 0, opened.wall_ns, opened.mono_ns, "gap", more)
            opened.stream.notes.insert(0, gap)

    # Files

    def _get_ready(self, stream: Stream, chunk: Chunk) -> None:
        """Have a file for this connection, in which its beginning is noted."""
        settings = self._settings
        folder = settings.folder / folder_name(*stream.peer)
        file = self._file
        if file is not None and file.is_gone:
            _LOG.warning("%s was deleted while it was written; another file goes on", file.path)
            self.close_file()
        elif file is not None and (folder != self._folder or file.size >= self._rotate_bytes or self._is_old()):
            self.close_file()
        if self._file is None:
            self._open_file(folder)
            if stream.begun:
                stream.notes = [_continued(stream, chunk.offset, chunk.wall_ns, chunk.mono_ns)]
        held = [replace(note, stream=stream, at=chunk.offset) for note in self._held]
        self._held.clear()
        notes, stream.notes, stream.begun, self._last = [*held, *stream.notes], [], True, stream
        for note in notes:
            self._put([(note.packed(), 0)])

    def _open_file(self, folder: Path) -> None:
        settings = self._settings
        self._make_room()
        self._file = File(folder, settings.wall(), settings.syncs)
        self._folder, self.path = folder, self._file.path
        self._seen.add(folder)
        self._began_ns = self._synced_ns = settings.mono()
        self.files += 1

    def _go_on(self, note: Note) -> None:
        """Have a file for a note of a connection that has another one already."""
        stream = note.stream
        self._open_file(self._settings.folder / folder_name(*stream.peer))
        self._put([(_continued(stream, note.at, note.wall_ns, note.mono_ns).packed(), 0)])

    def finish(self) -> None:
        """No connection will follow: write what was noted since the last one, into a file of its own if that one's is
        closed.

        Raises:
            Full: the disk is.
            OSError: it cannot be written.
        """
        last = self._last
        if last is not None and self._held:
            notes = [replace(note, stream=last, at=last.offset) for note in self._held]
            if self._file is None:
                self._go_on(notes[0])
            for note in notes:
                self._put([(note.packed(), 0)])
        self._held.clear()
        self.close_file()

    def _is_old(self) -> bool:
        return self._settings.mono() - self._began_ns >= self._settings.rotate_ns

    def _put(self, parts: list[tuple[bytes, int]], *, check: bool = True) -> None:
        file, settings = self._file, self._settings
        if file is None:
            return
        if check:
            self._make_room()
        while True:
            try:
                file.write(parts)
                break
            except OSError as error:
                if error.errno not in _FULL:
                    raise
                if settings.on_full == "stop" or not self._delete_oldest():
                    raise Full(f"the disk is full ({error.strerror})") from None
        self.written_bytes += sum(len(part) for part, _ in parts)
        if settings.mono() - self._synced_ns >= settings.sync_ns:
            self._sync()

    def _sync(self) -> None:
        if self._file is not None:
            began = time.perf_counter()
            self._file.sync()
            self._synced_ns = self._settings.mono()
            self.syncs += 1
            self.sync_seconds += time.perf_counter() - began

    def close_file(self) -> None:
        """Close the file whole.

        Raises:
            OSError: it could not be synced.
        """
        file, self._file = self._file, None
        if file is not None:
            file.close(self._settings.syncs)
            self._looked_ns = -_LOOK_NS

    def end(self, note: Note) -> None:
        """Something failed: say so in the file if that is possible, and close it."""
        self._held.clear()
        with suppress(OSError):
            if self._file is not None and note.stream.begun:
                self._file.write([(note.packed(), 0)])
        with suppress(OSError):
            self.close_file()

    def leave(self) -> None:
        """In a child process: the file is the parent's (see `_fork`)."""
        self._held.clear()
        file, self._file = self._file, None
        if file is not None:
            file.leave()

    # Room

    def _make_room(self) -> None:
        """See that enough of the disk is free.

        Raises:
            Full: it is not, and nothing can or may be deleted for it.
        """
        settings = self._settings
        if not settings.min_free and settings.on_full == "stop":
            return
        free, size = free_part(settings.folder)
        if settings.on_full == "oldest" and size:
            self._rotate_bytes = min(settings.rotate_bytes, size * (1 - settings.min_free) / _PARTS)
        while free < settings.min_free:
            if settings.on_full == "stop" or not self._delete_oldest():
                raise Full(f"{free:.1%} of the disk are free, expected {settings.min_free:.1%}")
            free, _ = free_part(settings.folder)

    def _delete_oldest(self) -> bool:
        """Whether there was a recording to delete."""
        return any(self._delete(kept.path) for kept in recordings_in(self._settings.folder))

    def _delete(self, path: Path) -> bool:
        if self._file is not None and path == self._file.path:
            return False
        if not delete(path):
            return False
        self.deleted_files += 1
        return True

    def _delete_old(self) -> None:
        settings = self._settings
        kept = recordings_in(settings.folder)
        most = math.inf if settings.keep_bytes is None else settings.keep_bytes
        seconds = math.inf if settings.keep_seconds is None else settings.keep_seconds
        now, total = self._steady_now(), sum(one.size for one in kept)
        for one in kept:
            if (now - one.ended > seconds or total > most) and self._delete(one.path):
                total -= one.size

    def _steady_now(self) -> float:
        """The time, in seconds since 1970, but for jumps ahead: a clock that is set wrong must not delete everything.
        A process that is started later believes it."""
        (wall, before), now = self._steady, self._settings.mono()
        wall = min(self._settings.wall() / SECOND, wall + (now - before) / SECOND)
        self._steady = wall, now
        return wall

    # Time

    def due(self) -> int:
        """When there is something to do (monotonic ns)."""
        settings = self._settings
        due = self._looked_ns + _LOOK_NS if settings.deletes else NEVER
        if self._file is not None:
            due = min(due, self._began_ns + settings.rotate_ns)
            if self._file.dirty and settings.syncs:
                due = min(due, self._synced_ns + settings.sync_ns)
        return due

    def tick(self) -> None:
        """Do what is due.

        Raises:
            OSError: the file could not be synced.
        """
        settings, now = self._settings, self._settings.mono()
        if self._file is not None:
            if self._is_old():
                self.close_file()
            elif self._file.dirty and settings.syncs and now >= self._synced_ns + settings.sync_ns:
                self._sync()
        if settings.deletes and now >= self._looked_ns + _LOOK_NS:
            self._looked_ns = now
            self._delete_old()
