"""Reading the folder of a peer while a recorder writes it, from a place on; and where that place is kept.

A recorder writes whole chunks, one after the other, so what is behind the last whole one is not there yet. Nothing here
waits: `Spill.read` gives what has come since it was called last.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

from .. import zst
from ..events import Event
from ..recordings import Follower
from . import _files
from .contract import PREFIX, Place


class Entry(NamedTuple):
    """An event, or a note of the recorder.

    Attributes:
        event: the event; None of a note.
        note: what the note says; None of an event.
        place: behind it.
        received: when it came, in seconds since 1970.
    """

    event: Event | None
    note: dict[str, Any] | None
    place: Place
    received: float


class Spill:
    """The folder of one peer, read while it is written.

    Args:
        folder: as a recorder makes it, with `.esl.zst` files. It may not be there yet.
        after: from which place on; None for all that is there.

    Attributes:
        missed: how many times the file in which it had to go on was deleted before it was read.
        dropped: bytes that belong to no whole frame.
        damage: chunks that could not be read and were passed over.
    """

    def __init__(self, folder: str | os.PathLike[str], after: Place | None = None) -> None:
        self.folder = Path(folder)
        self.missed = 0
        self.damage = 0
        self._after = after
        self._name: str | None = None  # of the file that is read, without suffix
        self._position = 0  # of the next chunk in it
        self._follower = Follower()
        self._ready: deque[Entry] = deque()
        self._since: float | None = None  # what was received before is left out, until the first that was not
        if after is not None:
            self._name, self._position = self._seek(after)

    def __repr__(self) -> str:
        return f"<Spill {str(self.folder)!r} at {self._name}:{self._position}>"

    @property
    def dropped(self) -> int:
        return self._follower.dropped

    def read(self, most: int = 1000) -> list[Entry]:
        """What came since, at most so much; nothing if there is nothing yet.

        Raises:
            OSError: the folder cannot be read.
            RecordingError: a library that it needs is missing.
        """
        while len(self._ready) < most and self._advance(most):
            pass
        return [self._ready.popleft() for _ in range(min(most, len(self._ready)))]

    def has(self, place: Place) -> Entry | None:
        """The event that ends at a place, or the note there; None if there is none."""
        before = place._replace(offset=place.offset - 1)
        entries = Spill(self.folder, before).read(1)
        return entries[0] if entries and entries[0].place == place else None

    def notes(self, until: Place | None) -> Iterator[dict[str, Any]]:
        """The notes before a place; all that there are, if it is None. Only heads of chunks are read."""
        for name in self._names():
            for chunk in self._heads(name):
                if until is not None and (name, chunk.position) > (until.file, until.position):
                    return
                if chunk.note is not None:
                    yield chunk.note

    def skip(self) -> None:
        """Go on behind all that is there now."""
        names = self._names()
        if not names:
            return
        self._name, self._position = names[-1], 0
        for chunk in self._heads(names[-1]):
            self._position = chunk.position + chunk.stored

    def last_connection(self) -> int | None:
        """The connection that was recorded last; None if nothing is there."""
        connection = None
        for name in self._names()[-1:]:
            for chunk in self._heads(name):
                connection = chunk.connection
        return connection

    def _heads(self, name: str) -> Iterator[zst.Chunk]:
        """The chunks of a file without what is in them; none if it is gone."""
        with suppress(FileNotFoundError), open(self._path(name), "rb") as file:
            yield from zst.read_chunks(file, str(self._path(name)), damaged="skip", data=False)

    def since(self, at: float) -> None:
        """Go on with what was received from a time on, in seconds since 1970."""
        self._since = at
        begins: list[tuple[str, int]] = []
        for name in reversed(self._names()):
            found = []
            for chunk in self._heads(name):
                if chunk.wall_ns > at * 1e9:
                    break
                if chunk.first is not None or (chunk.note or {}).get("note") == "opened":
                    found.append((name, chunk.position))
            begins = found + begins
            if len(begins) >= 2:  # a frame that ends in the last one may begin in the one before
                self._name, self._position = begins[-2]
                return

    @property
    def next_place(self) -> Place | None:
        """Where it goes on, by files and chunks; None if that is the beginning of what is there."""
        return None if self._name is None else Place(self._name, self._position, 0, 0)

    def _advance(self, most: int) -> bool:
        """Read chunks, or go to the next file; whether there was one."""
        if self._name is None:
            return self._go_to(next(iter(self._names()), None))
        path = self._path(self._name)
        following = self._following(self._name)
        try:
            with open(path, "rb") as file:
                over = following is not None and _files.is_over(file)  # asked before the last of it is read
                file.seek(self._position)
                if self._take(file, path, most):
                    return True
        except FileNotFoundError:
            if following is not None:
                self.missed += 1
            over = True
        return over and self._go_to(following)

    def _take(self, file: BinaryIO, path: Path, most: int) -> bool:
        reader = zst.read_chunks(file, str(path), damaged="skip")
        taken = False
        while len(self._ready) < most and (chunk := next(reader, None)) is not None:
            taken = True
            self._position = chunk.position + chunk.stored
            found = self._entries(chunk)
            is_all = self._after is None and self._since is None
            self._ready += found if is_all else filter(self._is_wanted, found)
        self.damage += len(reader.damage)
        return taken

    def _is_wanted(self, entry: Entry) -> bool:
        if self._since is not None:
            if entry.received < self._since:
                return False
            self._since = None
        return self._after is None or entry.place > self._after

    def _entries(self, chunk: zst.Chunk) -> list[Entry]:
        assert self._name is not None
        name, position, connection = self._name, chunk.position, chunk.connection
        if chunk.kind == zst.NOTE:
            place = Place(name, position, chunk.offset, connection)
            return [Entry(None, chunk.note or {}, place, chunk.wall_ns / 1e9)]
        decoder = self._follower.take(chunk)
        if decoder is None:
            return []
        base = self._follower.consumed - decoder.consumed
        times = _Times(chunk)
        found = []
        for message in decoder:
            if isinstance(message, Event):
                end = base + decoder.consumed
                received = times.of(end) if end > times.end else times.seconds
                found.append(Entry(message, None, Place(name, position, end, connection), received))
        return found

    # Files

    def _path(self, name: str) -> Path:
        return self.folder / (name + _files.SUFFIX)

    def _names(self) -> list[str]:
        return [_files.name_of(*one).removesuffix(_files.SUFFIX) for one in _files.names_in(self.folder)]

    def _following(self, name: str) -> str | None:
        return next((other for other in self._names() if other > name), None)

    def _go_to(self, name: str | None) -> bool:
        if name is None:
            return False
        self._name, self._position = name, 0
        return True

    def _seek(self, after: Place) -> tuple[str, int]:
        """Where to begin, so that what comes behind a place is read whole: where a frame begins at or before it."""
        for name in reversed([one for one in self._names() if one <= after.file]):
            found = None
            for chunk in self._heads(name):
                if (name, chunk.position) > (after.file, after.position):
                    break
                begins = chunk.first is not None and chunk.offset + chunk.first <= after.offset
                if chunk.connection == after.connection and (begins or (chunk.note or {}).get("note") == "opened"):
                    found = chunk.position
            if found is not None:
                return name, found
        return after.file, 0


class _Times:
    """When the bytes of a chunk came, asked from the first to the last.

    Attributes:
        end: of the read that is at hand, as an offset in the stream of the connection.
        seconds: when it came, since 1970.
    """

    def __init__(self, chunk: zst.Chunk) -> None:
        self._wall = chunk.wall_ns // 1000
        self._reads = iter(chunk.reads)
        self.end = chunk.offset
        self.seconds = self._wall / 1e6

    def of(self, end: int) -> float:
        """When the read came that brought the byte before `end`."""
        for us, size in self._reads:
            self.end += size
            if self.end >= end:
                self.seconds = (self._wall + us) / 1e6
                break
        return self.seconds


# Where the place is kept

_PLACE_SUFFIX: Final = ".place"


class Kept(NamedTuple):
    """How far a stream has what the folder has.

    Attributes:
        place: behind the last event that was acknowledged.
        id: what that one is known by.
    """

    place: Place
    id: str


def place_name(stream: str, prefix: str) -> str:
    """What a place is kept under: what is published again, with other subjects, has another place than what is live.

    Example:
        >>> place_name("FS1", "esl.v1"), place_name("FS1", "replay.may")
        ('FS1', 'FS1.replay.may')
    """
    return stream if prefix == PREFIX else f"{stream}.{prefix.replace(':', '%3A')}"  # a stream's name has no dot


def keep(folder: str | os.PathLike[str], name: str, kept: Kept) -> None:
    """Keep a place in the folder, whole or not at all, for our eyes only.

    Raises:
        OSError: it cannot be written; what was kept before still is.
    """
    path = Path(folder) / (name + _PLACE_SUFFIX)
    data = json.dumps({"version": 1, "place": str(kept.place), "id": kept.id}).encode()
    beside = path.with_suffix(".new")
    descriptor = os.open(beside, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        os.write(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(beside, path)
    _files.sync_folder(path.parent)


def kept(folder: str | os.PathLike[str], name: str) -> Kept | None:
    """What was kept; None if nothing was.

    Raises:
        ValueError: it is something else.
        OSError: it cannot be read.
    """
    path = Path(folder) / (name + _PLACE_SUFFIX)
    try:
        data = json.loads(path.read_bytes())
        return Kept(Place.parse(data["place"]), str(data["id"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: read no place in a recording ({error})") from error
