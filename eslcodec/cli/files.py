"""Recorded streams: a file, unpacked, piece by piece, and the recording that comes with the package."""

from __future__ import annotations

import importlib.resources
import io
import os
import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from typing import BinaryIO, Final, TextIO, cast

import click

from .._opened import open_reader
from ..errors import DamagedRecording, RecordingError
from ..zst import Chunk
from .text import escape, is_terminal

CHUNK: Final = 256 << 10
_LONG_FILE: Final = 4 << 20  # below this, reading takes no time worth a progress bar
_RECORDING: Final = "sip_plain.esl.gz"


def label(file: str) -> str:
    """A file's name, for messages."""
    return "standard input" if file == "-" else escape(file)


def recording() -> bytes:
    """The stream that comes with the package."""
    packed = importlib.resources.files("eslcodec") / "data" / _RECORDING
    with packed.open("rb") as file:
        return b"".join(chunk.data for chunk in open_reader(cast(BinaryIO, file), _RECORDING))


@contextmanager
def reading(file: str, out: TextIO | None = None) -> Iterator[Iterator[Chunk]]:
    """The content of a file in chunks, unpacked; with a progress bar if it is long and a terminal is watching.

    Args:
        file: its path, "-" for standard input.
        out: where the content goes; None for no progress bar.

    Raises:
        click.ClickException: it cannot be read, here or in the loop.
    """
    try:
        raw = open(0 if file == "-" else file, "rb", closefd=file != "-")  # noqa: SIM115
    except OSError as error:
        raise click.FileError(label(file), error.strerror) from error
    with raw:
        chunks = _chunks(raw, file)
        size = os.fstat(raw.fileno()).st_size
        if file != "-" and size > _LONG_FILE and out and is_terminal(sys.stderr) and not is_terminal(out):
            chunks = _with_progress_bar(chunks, raw, file, size)
        with closing(chunks):  # takes the bar away before an error is printed
            yield chunks


def _with_progress_bar(
    chunks: Iterable[Chunk], raw: io.BufferedReader, file: str, size: int
) -> Generator[Chunk, None, None]:
    # Takes a tenth of a second to load, and few need it.
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label(file), total=size)
        for chunk in chunks:
            yield chunk
            progress.update(task, completed=raw.tell())


def _chunks(raw: io.BufferedReader, file: str) -> Generator[Chunk, None, None]:
    try:
        yield from open_reader(raw, "" if file == "-" else file)
    except DamagedRecording as error:
        raise click.ClickException(f"{label(file)}, byte {error.position}: {escape(error.why)}") from error
    except RecordingError as error:
        raise click.ClickException(escape(str(error))) from error
    except OSError as error:
        raise click.ClickException(f"{label(file)}: {escape(error.strerror or str(error))}") from error
