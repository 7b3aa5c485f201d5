"""Recorded streams for the commands that read them: files, folders and standard input, and the one that comes along."""

from __future__ import annotations

import importlib.resources
import os
import sys
from bisect import bisect_left
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from itertools import accumulate
from typing import BinaryIO, Final, TextIO, TypeVar

import click

from .. import Message
from .._opened import find_files, open_reader
from ..errors import DamagedRecording, ProtocolError, RecordingError
from ..recordings import Follower, Recording
from ..zst import NOTE, Chunk
from .text import escape, is_terminal, note
from .units import MOMENT

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
    if source == STANDARD_INPUT:
        return [[source]]
    with readable(source):
        folders = find_files(source)
    if not folders:
        raise click.ClickException(f"{label(source)}: no recording is in this folder")
    return folders


class Messages:
    """The messages of sources, one source after the other. What is damaged is passed over, and told.

    Args:
        sources: files, folders, or "-" for standard input.
        since, until: only what was received from then on, and before.
        out: where it goes: if somebody watches standard error and not this, there is a progress bar for a long file.
        pause: called after each piece of a stream: the next one may take its time.

    Attributes:
        number: how many messages came so far.
        chunk: the one that completed the last of them.
        problems: what was wrong, a line each, escaped.

    Raises:
        click.ClickException: while iterating: a source cannot be read.
    """

    def __init__(
        self,
        sources: Sequence[str],
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        out: TextIO | None = None,
        pause: Callable[[], None] = lambda: None,
    ) -> None:
        self.number = 0
        self.problems: list[str] = []
        self._sources = [(source, found(source)) for source in sources]  # before anything is shown
        self._since = None if since is None else since.timestamp() * 1e9
        self._until = None if until is None else until.timestamp() * 1e9
        self._out = out
        self._pause = pause
        self._follower = Follower()
        self.chunk = Chunk.plain("", 0, b"")
        self._reads_of: Chunk | None = None
        self._reads: Sequence[tuple[int, int]] = ()
        self._ends: list[int] = []  # of what each of them brought

    def __iter__(self) -> Iterator[Message]:
        for source, folders in self._sources:
            for files in folders:
                self._follower = Follower()
                for file in self._wanted(files):
                    with readable(source):
                        yield from self._of_file(file)
                self._follower.end()

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

    @property
    def received_ns(self) -> int:
        """When the last message came, in ns since 1970; 0 if the recording has no times."""
        if self._reads_of is not self.chunk:
            self._reads_of, self._reads = self.chunk, self.chunk.reads or [(0, self.chunk.length)]
            self._ends = list(accumulate(size for _, size in self._reads))
        at = bisect_left(self._ends, self._follower.consumed - self.chunk.offset)
        return self.chunk.wall_ns + self._reads[min(at, len(self._reads) - 1)][0] * 1000

    def _wanted(self, files: list[str]) -> list[str]:
        """Those that may have something in time: from the last but one that begins before it."""
        if self._since is None or len(files) < 3:
            return files
        first = 0
        while first + 2 < len(files) and 0 < begin_ns(files[first + 2]) <= self._since:
            first += 1
        return files[first:]

    def _of_file(self, file: str) -> Iterator[Message]:
        name = "standard input" if file == STANDARD_INPUT else file
        with open(0 if file == STANDARD_INPUT else file, "rb", closefd=file != STANDARD_INPUT) as raw:
            reader = open_reader(raw, name, "skip", check=False)
            size = os.fstat(raw.fileno()).st_size
            shown = size > _LONG_FILE and self._out and is_terminal(sys.stderr) and not is_terminal(self._out)
            # Closed, it takes the bar away before an error is printed.
            with closing(_with_progress_bar(reader, raw, name, size) if shown else _each(reader)) as chunks:
                for chunk in self._in_time(chunks, name):
                    yield from self._of_chunk(chunk, name)
                    self._pause()
            self._guarded(name, self._follower.finish)
        self.problems += (escape(str(damage)) for damage in reader.damage)
        if reader.torn:
            note(f"{name}: its last {reader.torn} bytes are no whole chunk: the recorder was killed")

    def _in_time(self, chunks: Iterable[Chunk], name: str) -> Iterator[Chunk]:
        """The chunks that are needed for what is asked for."""
        early: list[Chunk] = []  # which ended before it, and yet its first message may have begun in them
        for chunk in chunks:
            if chunk.kind == NOTE:
                continue
            if not chunk.connection and (self._since or self._until) is not None:
                raise click.ClickException(f"{escape(name)}: it has no times, so that they cannot be asked for")
            if self._until is not None and chunk.wall_ns >= self._until:
                continue
            if self._since is not None and chunk.end_ns < self._since:
                early = [chunk] if chunk.first is not None else [*early, chunk]
                continue
            yield from early
            yield chunk
            early = []

    def _of_chunk(self, chunk: Chunk, name: str) -> Iterator[Message]:
        self.chunk = chunk
        decoder = self._guarded(name, self._follower.take, chunk)
        while decoder is not None and (message := self._guarded(name, decoder.next_message)) is not None:
            self.number += 1
            if self._since is not None and self.received_ns < self._since:
                continue
            if self._until is not None and self.received_ns >= self._until:
                continue
            yield message

    def _guarded(self, name: str, step: Callable[..., T], *args: object) -> T | None:
        """What a step gives; None if the stream is damaged there, and goes on where the next frame begins."""
        try:
            return step(*args)
        except DamagedRecording as error:
            self.problems.append(escape(str(error)))
        except ProtocolError as error:
            # The error's text quotes what the peer sent as Python literals, so it is printable.
            where = f"after message {self.number}, at byte {self._follower.consumed}"
            self.problems.append(f"{escape(name)}: {where}: {error}")
        self._follower.end()
        return None


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
