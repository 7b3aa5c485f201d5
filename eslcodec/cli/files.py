"""Recorded streams for the commands that read them: files, folders and standard input, and the one that comes along."""

from __future__ import annotations

import importlib.resources
import json
import math
import os
import sys
from bisect import bisect_left
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple, TypeVar

import click

from .._opened import find_files, open_reader
from ..errors import DamagedRecording, ProtocolError, RecordingError
from ..recordings import Follower, Recording
from ..zst import NOTE, Chunk
from .dumps import is_packets, unframed, why_no_stream
from .text import escape, is_terminal, note
from .units import MOMENT

if TYPE_CHECKING:
    from .. import Decoder, Message

STANDARD_INPUT: Final = "-"
CHUNK: Final = 256 << 10
_LONG_FILE: Final = 4 << 20  # below this, reading takes no time worth a progress bar
_RECORDING: Final = "sip_plain.esl.gz"
_PROBLEMS: Final = 10  # that are told of one command

T = TypeVar("T")


since_option: Final[Callable[[Callable[..., None]], Callable[..., None]]] = click.option(
    "--since",
    type=MOMENT,
    metavar="TIME",
    help="Only what was received from then on: 2026-11-29T08:00, 08:00, yesterday, -2h.",
)
until_option: Final[Callable[[Callable[..., None]], Callable[..., None]]] = click.option(
    "--until", type=MOMENT, metavar="TIME", help="Only what was received before."
)


def is_stream(word: str) -> bool:
    """Whether a source is a stream, and no file.

    Example:
        >>> is_stream("nats://127.0.0.1:4222/FS1"), is_stream("rec")
        (True, False)
    """
    return word.startswith(("nats://", "tls://"))


def check_stream(file: str) -> None:
    """See that a file is not something else than a stream.

    Raises:
        click.ClickException: it is; it says what.
    """
    with readable(file), open(file, "rb") as raw:
        next(_streams(open_reader(raw, file, "skip", check=False), file), None)


def _streams(chunks: Iterable[Chunk], name: str) -> Iterator[Chunk]:
    """The same chunks.

    Raises:
        click.ClickException: they are no stream; it says what they are.
    """
    for chunk in chunks:
        if not (chunk.connection or chunk.offset) and chunk.kind != NOTE:
            is_piece = name == "standard input" and b"\n\n" not in chunk.data  # of a block that a pipe has not all of
            why = None if is_piece else why_no_stream(chunk.data)
            if why is not None:
                raise click.ClickException(f"{label(name)}: read {why}")
        yield chunk


def _framed(reader: Iterable[Chunk], name: str) -> Iterator[Chunk]:
    """A stream of the events in a file without frames."""
    data = b"".join(chunk.data for chunk in reader)
    if is_packets(data):
        raise click.ClickException(f"{label(name)}: read {why_no_stream(data)}")
    found = unframed(data)
    if found.skipped:
        lines = "1 line is" if found.skipped == 1 else f"{found.skipped} lines are"
        note(f"{name}: {lines} no part of an event, and passed over")
    offset = 0
    for frame in found.frames:
        yield Chunk.plain(name, offset, frame)
        offset += len(frame)


def label(file: str) -> str:
    """A file's name, for messages."""
    return "standard input" if file in (STANDARD_INPUT, "") else escape(file)


def recording() -> bytes:
    """The stream that comes with the package."""
    import gzip  # not in every build of Python

    packed = importlib.resources.files("eslcodec") / "data" / _RECORDING
    return gzip.decompress(packed.read_bytes())


@contextmanager
def readable(source: str) -> Iterator[None]:
    """What goes wrong with a source becomes one line for the user.

    Raises:
        click.ClickException: it cannot be read, here or in the block.
    """
    try:
        yield
    except OSError as error:
        name = source if error.filename is None else str(error.filename)
        raise click.ClickException(f"{label(name)}: {escape(error.strerror or str(error))}") from error
    except RecordingError as error:
        raise click.ClickException(escape(str(error))) from error


def found(source: str) -> list[list[str]]:
    """The files of a source, those of each folder in order.

    Raises:
        click.ClickException: it cannot be read, or no recording is in it.
    """
    if source == STANDARD_INPUT or is_stream(source):
        return [[source]]
    with readable(source):
        folders = find_files(source)
    if not folders:
        raise click.ClickException(f"{label(source)}: no recording is in this folder")
    return folders


class Chunks:
    """The chunks of sources, one source after the other. What is damaged is passed over, and told.

    Args:
        sources: files, folders, or "-" for standard input.
        since, until: only those that are needed for what was received from then on, and before.
        bar: whether there is a progress bar for a long file, if somebody watches standard error.
        check: whether what is in a chunk is unpacked and checked at once, and not when it is asked for.
        unframed: whether the sources are events without frames.

    Attributes:
        problems: what was wrong, a line each, escaped.

    Raises:
        click.ClickException: while iterating: a source cannot be read.
    """

    def __init__(
        self,
        sources: Sequence[str],
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        bar: bool = False,
        check: bool = False,
        unframed: bool = False,
    ) -> None:
        self._is_unframed = unframed
        self.problems: list[str] = []
        self.since_ns = -math.inf if since is None else since.timestamp() * 1e9
        self.until_ns = math.inf if until is None else until.timestamp() * 1e9
        self._since = since
        self._limited = since is not None or until is not None
        self._sources = [(source, found(source)) for source in sources]  # before anything is shown
        self._bar = bar
        self._check = check
        self._early: list[Chunk] = []  # which ended before `since`, and yet the first message may have begun in them

    def __iter__(self) -> Iterator[Chunk]:
        for source, folders in self._sources:
            for files in folders:
                self._early = []
                for file in self._wanted(files):
                    with readable(source):
                        yield from self._of_file(file)

    def tell(self) -> None:
        """What was wrong, a line each.

        Raises:
            click.ClickException: something was.
        """
        shown = self.problems[:_PROBLEMS]
        if len(shown) < len(self.problems):
            shown.append(f"{len(self.problems) - len(shown)} more faults like that")
        for problem in shown[:-1]:
            click.ClickException(problem).show()
        for problem in shown[-1:]:
            raise click.ClickException(problem)

    def _wanted(self, files: list[str]) -> list[str]:
        """Those that may have something in time: from the last but one that begins before it."""
        first = 0
        if self.since_ns > 0:
            while first + 2 < len(files) and 0 < begin_ns(files[first + 2]) <= self.since_ns:
                first += 1
        return files[first:]

    def _of_file(self, file: str) -> Iterator[Chunk]:
        if is_stream(file):
            from .stream import chunks as stream_chunks

            chunks = stream_chunks(file, self._since)
            yield from self._in_time(chunks) if self._limited else chunks
            return
        name = "standard input" if file == STANDARD_INPUT else file
        with open(0 if file == STANDARD_INPUT else file, "rb", closefd=file != STANDARD_INPUT) as raw:
            reader = open_reader(raw, name, "skip", check=self._check)
            size = os.fstat(raw.fileno()).st_size
            shown = self._bar and size > _LONG_FILE and is_terminal(sys.stderr)
            # Closed, it takes the bar away before an error is printed.
            with closing(_with_progress_bar(reader, raw, name, size) if shown else _each(reader)) as chunks:
                streamed = _framed(chunks, name) if self._is_unframed else _streams(chunks, name)
                yield from self._in_time(streamed) if self._limited else streamed
        self.problems += (escape(str(damage)) for damage in reader.damage)
        if reader.torn:
            note(f"{name}: its last {reader.torn} bytes are no whole chunk: the recorder was killed")

    def _in_time(self, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        for chunk in chunks:
            if not chunk.connection and chunk.kind != NOTE:
                raise click.ClickException(f"{escape(chunk.path)}: it has no times, so that they cannot be asked for")
            if chunk.wall_ns >= self.until_ns:
                continue
            if chunk.kind == NOTE:
                if chunk.wall_ns >= self.since_ns:
                    yield chunk
            elif chunk.end_ns < self.since_ns:
                self._early = [chunk] if chunk.first is not None else [*self._early, chunk]
            else:
                yield from self._early
                yield chunk
                self._early = []


class Messages:
    """The messages of chunks. What is damaged is passed over, and told.

    Args:
        chunks: of some sources.
        pause: called after each chunk: the next one may take its time.
        notices: whether notices of recordings come too, in their place.
        names: only messages of these Event-Names. The others are not made.

    Attributes:
        number: how many messages came so far; with `names`, how many of these.
    """

    def __init__(
        self,
        chunks: Chunks,
        pause: Callable[[], None] = lambda: None,
        notices: bool = False,
        names: frozenset[str] | None = None,
    ) -> None:
        self.number = 0
        self._names = names
        self._chunks = chunks
        self._pause = pause
        self._notices = notices
        self._follower = Follower()
        self._chunk = Chunk.plain("", 0, b"")  # that completed the last of them
        self._times: Times | None = None
        self._known = 0  # problems before this file

    def __iter__(self) -> Iterator[Any]:
        for chunk in self._chunks:
            if chunk.kind == NOTE and self._notices:
                yield from noticed(chunk)
            if chunk.path != self._chunk.path or not (chunk.connection or chunk.offset):
                self._end_file()
            self._chunk, self._times = chunk, None
            decoder = self._guarded(self._follower.take, chunk)
            step = None if decoder is None else self._step(decoder)
            while step is not None and (message := self._guarded(step)) is not None:
                self.number += 1
                if self._is_in_time():
                    yield message
            self._pause()
        self._end_file()

    @property
    def chunk(self) -> Chunk:
        """The chunk that completed the last message."""
        return self._chunk

    @property
    def received_ns(self) -> int:
        """When the last message came, in ns since 1970; 0 if the recording has no times."""
        self._times = self._times or Times(self._chunk)
        return self._times.of(self._follower.consumed)

    def _step(self, decoder: Decoder) -> Callable[[], Message | None]:
        """What gives the next message; None for no more."""
        return decoder.next_message if self._names is None else partial(next, decoder._named(self._names), None)

    def _is_in_time(self) -> bool:
        """Whether the last message came when it was asked for."""
        chunks, chunk = self._chunks, self._chunk
        if chunks.since_ns <= chunk.wall_ns and chunk.end_ns < chunks.until_ns:
            return True
        return chunks.since_ns <= self.received_ns < chunks.until_ns

    def _end_file(self) -> None:
        if len(self._chunks.problems) == self._known:  # else its end is not the stream's
            self._guarded(self._follower.finish)
        self._known = len(self._chunks.problems)

    def _guarded(self, step: Callable[..., T], *args: object) -> T | None:
        """What a step gives; None if the stream is damaged there, and goes on where the next frame begins."""
        try:
            return step(*args)
        except DamagedRecording as error:
            problem = escape(str(error))
        except ProtocolError as error:
            # The error's text quotes what the peer sent as Python literals, so it is printable.
            counted = "" if self._names is not None else f"after message {self.number}, "
            where = f"{counted}at byte {self._follower.consumed}"
            problem = f"{escape(self._chunk.path)}: {where}: {error}"
        except RecordingError as error:  # a library is missing
            raise click.ClickException(escape(str(error))) from error
        self._chunks.problems.append(problem)
        self._follower.end()
        return None


class Noticed(NamedTuple):
    """A notice of a recording.

    Attributes:
        item: what it is.
        line: as a line of JSON.
    """

    item: Any
    line: bytes

    def redacted(self, redact: Callable[[Any], Any] | None) -> Noticed:
        """The same without what is taken out."""
        from ..ingest import notices

        if redact is None:
            return self
        said = json.loads(self.line)
        item = notices.redacted(self.item, redact)
        return Noticed(item, notices.to_line(item, said["switch"], said["at"]))


def noticed(chunk: Chunk) -> Iterator[Noticed]:
    """What a note says, if it is a notice."""
    from ..ingest import notices

    note = chunk.note or {}
    item = notices.from_dict(note)
    if item is not None:
        yield Noticed(item, notices.to_line(item, note.get("switch"), note["at"]))


class Times:
    """When the messages of a chunk came.

    Args:
        chunk: which.
    """

    def __init__(self, chunk: Chunk) -> None:
        self._chunk = chunk
        self._reads = chunk.reads or [(0, chunk.length)]
        self._ends = list(accumulate(size for _, size in self._reads))

    def of(self, place: int) -> int:
        """Of a message that ends at this place in the stream of the connection, in ns since 1970."""
        at = min(bisect_left(self._ends, place - self._chunk.offset), len(self._ends) - 1)
        return self._chunk.wall_ns + self._reads[at][0] * 1000


def begin_ns(file: str) -> int:
    """When a recording begins, in ns since 1970; 0 if it has no times."""
    with suppress(RecordingError):
        for chunk in Recording(file, damaged="skip").chunks(check=False):
            return chunk.wall_ns
    return 0


def _each(chunks: Iterable[Chunk]) -> Generator[Chunk, None, None]:
    yield from chunks


def _with_progress_bar(chunks: Iterable[Chunk], raw: BinaryIO, file: str, size: int) -> Generator[Chunk, None, None]:
    # Takes a tenth of a second to load, and few need it.
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label(file), total=size)
        for chunk in chunks:
            yield chunk
            progress.update(task, completed=raw.tell())
