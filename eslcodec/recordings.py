"""Recorded streams, read: a file or a folder, whatever packed it (docs/recording-format.md).

`Recording` gives the messages of a recording, or the chunks that they were received in, from a time or an
Event-Sequence on. `iter_messages` is the short form. A recording is a folder that a `Recorder` wrote, one of its files
(`.esl.zst`), or a stream as the server sent it, plain or in gzip, xz or Zstandard: the first bytes say which. Memory is
that of some megabytes, however long it is.
"""

from __future__ import annotations

import contextlib
import math
import os
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta, timezone
from importlib import import_module
from itertools import accumulate, chain
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Literal, overload

from ._mend import Repair, mend
from ._opened import PlainReader, Reader, find_files, open_reader
from ._overview import RecordingGap, RecordingInfo, overview
from .errors import DamagedRecording, ProtocolError, RecordingError
from .events import Decoder, Event
from .zst import NOTE, Chunk

if TYPE_CHECKING:
    from ._codec import Message

    _ReadNotice = Callable[[dict[str, Any]], Any]

    Time = datetime | float

__all__ = ["Chunk", "Follower", "Recording", "RecordingGap", "RecordingInfo", "Repair", "iter_messages"]

_DISORDER: Final = 1000
"""How far an event may stand behind one with a later number; 365 were seen (docs/protocol)."""

_FOREVER: Final = 1 << 65  # ns
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Follower:
    """Chunks as messages: one decoder while they continue one another, a new one where they do not.

    Example:
        >>> from eslcodec import zst
        >>> follower = Follower()
        >>> data = b"Content-Type: command/reply\\nReply-Text: +OK\\n\\nContent"
        >>> [reply] = follower.take(zst.Chunk.plain("", 0, data))
        >>> reply.text
        '+OK'
        >>> follower.end()
        >>> follower.dropped
        7

    Attributes:
        dropped: bytes of frames that were not whole, and of what could not be read since it was not known where a frame
            begins.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self._decoder: Decoder | None = None
        self._base = 0  # where in the connection's stream the decoder began
        self._next: tuple[int, int] | None = None  # the connection, and where the next chunk of it begins

    def __repr__(self) -> str:
        return f"<Follower at {self.consumed} of a connection, {self.dropped} bytes dropped>"

    @property
    def consumed(self) -> int:
        """How far the stream of the connection was read, in bytes."""
        return self._base + (self._decoder.consumed if self._decoder is not None else 0)

    def take(self, chunk: Chunk) -> Decoder | None:
        """The decoder that has the messages which the chunk completes; None if it has none."""
        if chunk.kind == NOTE:
            return None
        data = chunk.data  # checked, before anything of the chunk is believed
        if (chunk.connection, chunk.offset) != self._next:
            self.end()
        self._next = chunk.connection, chunk.offset + chunk.length
        if self._decoder is None:
            if chunk.first is None:
                self.dropped += chunk.length
                return None
            self.dropped += chunk.first
            self._decoder = Decoder()
            self._base = chunk.offset + chunk.first
            data = data[chunk.first :]
        self._decoder.feed(data)
        return self._decoder

    def end(self) -> None:
        """What is left of a frame will not come any more."""
        if self._decoder is not None:
            self.dropped += self._decoder.buffered
            self._decoder = None

    def finish(self) -> None:
        """The same at the end of a stream without times, where it is damage.

        Raises:
            IncompleteFrame: part of a frame is left.
        """
        if self._decoder is not None and self._next is not None and not self._next[0]:
            self._decoder.feed_eof()


class Recording:
    """A recorded stream, or a folder of them.

    A folder is read with all that are in it: the files of each folder by the time at which they begin, one folder after
    the other; recorders that wrote into one folder at the same time, one after the other. What follows holds for each
    of them. An end that is not whole, because the recorder was killed, ends a
    file without an error; `info` says so.

    Args:
        path: a folder or a file: `.esl.zst` as a `Recorder` writes it, or a stream as the server sent it, plain or
            packed by gzip, xz or zstd. Or a file object that gives bytes, which is read once.
        damaged: what happens at damage, after everything whole before it has come out: "raise" raises
            `DamagedRecording`, "skip" goes on behind it.

    Attributes:
        damage: what was passed over so far ("skip").
        dropped: how many bytes of frames that were not whole were left out so far: where a connection ended, or after
            damage.

    Example:
        >>> import io
        >>> recording = Recording(io.BytesIO(b"Content-Type: command/reply\\nReply-Text: +OK accepted\\n\\n"))
        >>> [message.text for message in recording.messages()]
        ['+OK accepted']
    """

    def __init__(self, path: str | os.PathLike[str] | BinaryIO, *, damaged: Literal["raise", "skip"] = "raise") -> None:
        if damaged not in ("raise", "skip"):
            raise ValueError(f"damaged is {damaged!r}, expected 'raise' or 'skip'")
        self._file: BinaryIO | None = None
        if isinstance(path, (str, os.PathLike)):
            self.path = os.fsdecode(path)
            os.stat(self.path)
        else:
            self._file = path
            self.path = str(getattr(path, "name", ""))
        self.damage: list[DamagedRecording] = []
        self.dropped = 0
        self._damaged: Literal["raise", "skip"] = damaged

    def __repr__(self) -> str:
        return f"<Recording {self.path!r}>"

    @property
    def _is_file(self) -> bool:
        """Whether it is a file object, which is read once."""
        return self._file is not None

    @property
    def _skips(self) -> bool:
        return self._damaged == "skip"

    # Reading

    @overload
    def messages(
        self,
        since: Time | None = None,
        until: Time | None = None,
        sequence: int | None = None,
        *,
        notices: Literal[False] = False,
    ) -> Iterator[Message]: ...
    @overload
    def messages(
        self, since: Time | None = None, until: Time | None = None, sequence: int | None = None, *, notices: bool
    ) -> Iterator[Any]: ...
    def messages(
        self,
        since: Time | None = None,
        until: Time | None = None,
        sequence: int | None = None,
        *,
        notices: bool = False,
    ) -> Iterator[Any]:
        """The messages, as a `Decoder` gives them.

        Chunks that lie outside of what is asked for are not read, nor checked, but for their heads.

        Args:
            since, until: when a message was received, by the recorder's clock: from the one, before the other. An aware
                datetime, or seconds since 1970.
            sequence: everything from the first event on that has this Event-Sequence or a later one; in each folder.
                Events do not quite come in the order of their numbers, so that a few earlier ones come with it. With
                `since` too, the first such event after that.
            notices: give what `eslcodec.ingest.notices` wrote (experimental) in its place too: `Notice`, `Loss`, and
                `Gap`, which is a message. A notice has the time when it was noted.

        Raises:
            DamagedRecording: while iterating: it is damaged.
            ProtocolError: while iterating: what was received is no Event Socket protocol (in a stream without times, if
                its end is not whole too).
            RecordingError: a library that it needs is missing; or times are asked for and it has none.
            OSError: it cannot be read.
        """
        begin, end = nanoseconds(since, "since"), nanoseconds(until, "until")
        folders = [None] if self._file is not None else find_files(self.path)
        read = _read_notice() if notices else None
        found = (self._of_folder(files, begin, end, sequence, read) for files in folders)
        return chain.from_iterable(chain.from_iterable(found))  # at the speed of the decoder alone

    def _named(self, names: frozenset[str]) -> Iterator[Any]:
        """Those of all messages whose Event-Name is one of these, and all notices."""
        folders = [None] if self._file is not None else find_files(self.path)
        read = _read_notice()
        found = (self._batches(files, (0, 0), Span(None, None), read, names) for files in folders)
        return chain.from_iterable(chain.from_iterable(found))

    def _of_folder(
        self,
        files: list[str] | None,
        begin: int | None,
        end: int | None,
        sequence: int | None,
        read: _ReadNotice | None,
    ) -> Iterator[Iterable[Any]]:
        place = 0, 0
        if files is not None and begin is not None:
            place = self._seek_time(files, begin)
        elif files is not None and sequence is not None:
            place = self._seek_sequence(files, sequence)
        batches = self._batches(files, place, Span(begin, end), read)
        if sequence is None:
            return batches
        return iter([_from_sequence(chain.from_iterable(batches), sequence)])

    def _batches(
        self,
        files: list[str] | None,
        place: tuple[int, int],
        span: Span,
        read: _ReadNotice | None,
        names: frozenset[str] | None = None,
    ) -> Iterator[Iterable[Any]]:
        """The messages that each chunk completes, or those of these names; what a note says, if `read` knows it."""
        follower = Follower()
        counted = None if place != (0, 0) else 0  # what stands before the first frame there was asked for by nobody
        for reader in self._readers(files, place, span.wants, True):
            self._check_times(reader, span)
            for chunk in reader:
                if not span.wants(chunk):
                    continue
                if chunk.kind == NOTE and read is not None and span.has(chunk.wall_ns):
                    yield _noted(chunk, read)
                decoder = follower.take(chunk)
                self.dropped += 0 if counted is None else follower.dropped - counted
                counted = follower.dropped
                if decoder is not None:
                    messages = decoder._named(names) if names else span.messages(chunk, decoder, follower)
                    yield messages if self._damaged == "raise" else _bearable(messages, follower)
            if self._damaged == "raise":
                follower.finish()
        follower.end()
        self.dropped += follower.dropped - (counted or 0)

    def _readers(
        self, files: list[str] | None, place: tuple[int, int], wants: bool | Callable[[Chunk], bool], check: bool
    ) -> Iterator[Reader]:
        """A reader for each file from a place on, which is a file and a position in it."""
        first, position = place
        if files is None:
            assert self._file is not None
            reader = open_reader(self._file, self.path, self._damaged, wants, check)
            yield reader
            self.damage += reader.damage
            return
        for path in files[first:]:
            with open(path, "rb") as file:
                file.seek(position)
                position = 0
                reader = open_reader(file, path, self._damaged, wants, check)
                yield reader
                self.damage += reader.damage

    def chunks(self, since: Time | None = None, until: Time | None = None, *, check: bool = True) -> Iterator[Chunk]:
        """The chunks in which it was received, notes too. A stream without times comes as pieces without times.

        Args:
            since, until: only those that are needed for what was received from the one on, and before the other.
            check: False to have the data of each unpacked and checked when it is asked for, by whatever thread. Damage
                is raised there then.

        Raises:
            DamagedRecording, RecordingError, OSError: as for `messages`.

        Example:
            >>> import io
            >>> [chunk.length for chunk in Recording(io.BytesIO(b"Content-Type: auth/request\\n\\n")).chunks()]
            [28]
        """
        span = Span(nanoseconds(since, "since"), nanoseconds(until, "until"))
        folders = [None] if self._file is not None else find_files(self.path)
        return chain.from_iterable(self._chunks(files, span, check) for files in folders)

    def _chunks(self, files: list[str] | None, span: Span, check: bool) -> Iterator[Chunk]:
        place = self._seek_time(files, span.begin) if files is not None and span.begin else (0, 0)
        for reader in self._readers(files, place, span.wants, check):
            self._check_times(reader, span)
            yield from filter(span.wants, reader) if span.limited else reader

    def _check_times(self, reader: Reader, span: Span) -> None:
        if span.limited and isinstance(reader, PlainReader):
            raise RecordingError(f"{self.path or 'the recording'} has no times, so since and until cannot be used")

    # Seeking

    def _heads(self, path: str, notes: bool = False) -> Iterator[Chunk]:
        """The heads of a file's chunks."""
        with open(path, "rb") as file:
            for chunk in open_reader(file, path, "skip", False):
                if notes or chunk.kind != NOTE:
                    yield chunk

    def _seek_time(self, files: list[str], begin: int) -> tuple[int, int]:
        """Where to begin to read so that what came from a time on is read whole."""
        first = len(files) - 1
        while first > 0 and self._begin(files[first]) > begin:
            first -= 1
        place: tuple[int, int] | None = None
        expected: tuple[int, int] | None = None
        noted: tuple[int, int] | None = None  # the first note in time since the last chunk
        for number in range(max(first - 1, 0), len(files)):
            for chunk in self._heads(files[number], notes=True):
                here = number, chunk.position
                if chunk.kind == NOTE:
                    noted = noted or (here if chunk.wall_ns >= begin else None)
                    continue
                if (chunk.connection, chunk.offset) != expected:
                    place = None
                if not chunk.connection or chunk.end_ns >= begin:
                    return place or noted or here
                if chunk.first is not None:
                    place = here
                noted = None
                expected = chunk.connection, chunk.offset + chunk.length
        return noted or (len(files), 0)

    def _begin(self, path: str) -> int:
        return next((chunk.wall_ns for chunk in self._heads(path)), 0)

    def _seek_sequence(self, files: list[str], sequence: int) -> tuple[int, int]:
        """Where to begin to read so that the first event with such a number is read."""
        for number, path in enumerate(files):
            runs: list[list[int]] = []  # of each connection the chunks in which frames begin
            last: int | None = None
            for chunk in self._heads(path):
                if not chunk.connection:
                    return number, 0
                if chunk.connection != last:
                    last = chunk.connection
                    runs.append([])
                if chunk.first is not None:
                    runs[-1].append(chunk.position)
            with open(path, "rb") as file:
                for run in runs:
                    at = _search(run, sequence - _DISORDER, file)
                    if at is not None:
                        return number, at
        return len(files), 0

    # The whole

    def info(self, *, verify: bool = False) -> RecordingInfo:
        """What is in it, by the heads of its chunks.

        Args:
            verify: unpack and check everything. Otherwise damage is only seen where it breaks the order of chunks, and
                what the heads say is believed.

        Raises:
            RecordingError, OSError: as for `messages`. Damage is counted, not raised.

        Example:
            >>> import io
            >>> info = Recording(io.BytesIO(b"Content-Type: auth/request\\n\\n")).info()
            >>> info.received, info.connections
            (28, 1)
        """
        if self._file is not None:
            return overview([[(self.path, open_reader(self._file, self.path, "skip", verify))]])
        return overview(_opened(files, verify) for files in find_files(self.path))

    def repair(self) -> list[Repair]:
        """Replace each file that is torn or damaged by what is whole of it.

        The new file has the same chunks, byte for byte, but for those that are not whole, a note that says how many
        bytes were left out, and the seek table of a closed file. It takes the name of the old one once it is on the
        disk. The old one is kept beside it, `.damaged` behind its name, and no reader takes it for a recording. A file
        that is whole but was not closed becomes closed in the same way. Files that a recorder still writes, and streams
        without times, are left alone.

        Returns:
            Which files were replaced.

        Raises:
            RecordingError: a library that it needs is missing.
            OSError: it cannot be read or written; then the file is as it was.
            ValueError: it is not known by a path.
        """
        if self._file is not None:
            raise ValueError("a file object cannot be repaired, only a path")
        repaired = (mend(path) for files in find_files(self.path) for path in files)
        return [repair for repair in repaired if repair is not None]


def iter_messages(path: str | os.PathLike[str] | BinaryIO) -> Iterator[Message]:
    """The messages of a recording: `Recording(path).messages()`.

    Args:
        path: a folder, a file (`.esl.zst`, or a stream as the server sent it, plain or packed), or a file object.

    Raises:
        DamagedRecording, ProtocolError, RecordingError, OSError: as `Recording.messages`.

    Example:
        >>> import io
        >>> for message in iter_messages(io.BytesIO(b"Content-Type: auth/request\\n\\n")):
        ...     print(message)
        <AuthRequest>
    """
    return Recording(path).messages()


def _read_notice() -> _ReadNotice:
    read: _ReadNotice = import_module(".ingest.notices", __package__).from_dict  # which stands on this module
    return read


def _noted(chunk: Chunk, read: _ReadNotice) -> tuple[Any, ...]:
    """What a note says, if it is a notice."""
    notice = read(chunk.note or {})
    return () if notice is None else (notice,)


class Span:
    """From when to when."""

    def __init__(self, begin: int | None, end: int | None) -> None:
        self.limited = begin is not None or end is not None
        self.begin = 0 if begin is None else begin
        self.end = _FOREVER if end is None else end

    def wants(self, chunk: Chunk) -> bool:
        """Whether a chunk may complete a message in time."""
        return chunk.wall_ns < self.end

    def covers(self, chunk: Chunk) -> bool:
        """Whether all of a chunk came in time."""
        return self.begin <= chunk.wall_ns and chunk.end_ns < self.end

    def has(self, ns: int) -> bool:
        return self.begin <= ns < self.end

    def messages(self, chunk: Chunk, decoder: Decoder, follower: Follower) -> Iterable[Message]:
        """Those messages of a decoder, which the chunk completes, that came in time."""
        if self.covers(chunk):
            return decoder
        return self._in_time(chunk, decoder, follower)

    def _in_time(self, chunk: Chunk, decoder: Decoder, follower: Follower) -> Iterator[Message]:
        reads = chunk.reads or [(0, chunk.length)]
        ends = list(accumulate(size for _, size in reads))
        for message in decoder:
            us, _ = reads[bisect_left(ends, follower.consumed - chunk.offset)]
            if self.has(chunk.wall_ns + us * 1000):
                yield message


def _bearable(messages: Iterable[Message], follower: Follower) -> Iterator[Message]:
    """Messages up to a framing error, which ends their decoder."""
    try:
        yield from messages
    except ProtocolError:
        follower.end()


def _from_sequence(messages: Iterator[Any], sequence: int) -> Iterator[Any]:
    """Messages from the first event on that has this number or a later one."""
    for message in messages:
        if isinstance(message, Event) and (message.sequence or 0) >= sequence:
            yield message
            break
    yield from messages


def _numbers(file: BinaryIO, position: int) -> list[int]:
    """The Event-Sequences in the chunk that begins there."""
    file.seek(position)
    for chunk in open_reader(file, "", "skip"):
        if chunk.position != position:
            break
        with contextlib.suppress(ProtocolError):
            found = [message.sequence for message in Follower().take(chunk) or () if isinstance(message, Event)]
            return [number for number in found if number is not None]
        break
    return []


def _search(run: list[int], sequence: int, file: BinaryIO) -> int | None:
    """Of chunks, by their places in a file, the last that begins before an Event-Sequence; None if the number is not
    reached."""
    last = next((numbers for place in reversed(run) if (numbers := _numbers(file, place))), None)
    if last is None or max(last) < sequence:
        return None

    def begins(index: int) -> int:
        return next((numbers[0] for place in run[index:] if (numbers := _numbers(file, place))), sequence)

    index = bisect_left(range(len(run)), sequence, key=begins)
    return run[max(index - 1, 0)]


def _opened(files: list[str], verify: bool) -> Iterator[tuple[str, Reader]]:
    for path in files:
        with open(path, "rb") as file:
            yield path, open_reader(file, path, "skip", verify)


def nanoseconds(time: Time | None, name: str) -> int | None:
    if time is None:
        return None
    if not isinstance(time, datetime):
        if not math.isfinite(time):
            raise ValueError(f"{name} is {time!r}, expected seconds since 1970 or a datetime")
        return int(time * 1_000_000_000)
    if time.tzinfo is None:
        raise ValueError(f"{name} is {time!r}, expected a datetime with a time zone")
    return (time - _EPOCH) // timedelta(microseconds=1) * 1000
