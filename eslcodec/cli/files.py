"""Recorded streams: a file, unpacked, piece by piece, and the recording that comes with the package."""

from __future__ import annotations

import importlib
import importlib.resources
import io
import os
import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from types import ModuleType
from typing import Final, TextIO

import click

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
    content: bytes = _module("gzip", _RECORDING).decompress(packed.read_bytes())
    return content


@contextmanager
def reading(file: str, out: TextIO | None = None) -> Iterator[Iterator[bytes]]:
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
        try:
            unpacked = _unpacked(raw, file)
        except OSError as error:
            raise click.ClickException(f"{label(file)}: {escape(error.strerror or str(error))}") from error
        chunks = _chunks(*unpacked, file)
        size = os.fstat(raw.fileno()).st_size
        if file != "-" and size > _LONG_FILE and out and is_terminal(sys.stderr) and not is_terminal(out):
            chunks = _with_progress_bar(chunks, raw, file, size)
        with closing(chunks):  # takes the bar away before an error is printed
            yield chunks


def _with_progress_bar(
    chunks: Iterable[bytes], raw: io.BufferedReader, file: str, size: int
) -> Generator[bytes, None, None]:
    # Takes a tenth of a second to load, and few need it.
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label(file), total=size)
        for chunk in chunks:
            yield chunk
            progress.update(task, completed=raw.tell())


def _unpacked(raw: io.BufferedReader, file: str) -> tuple[io.BufferedIOBase, tuple[type[Exception], ...]]:
    """A file's content, and the exceptions that say that it is damaged. What it is, its first bytes say."""
    head = raw.peek(6)
    if head.startswith(b"\x1f\x8b"):
        zlib, gzip = _module("zlib", file), _module("gzip", file)
        return gzip.GzipFile(fileobj=raw), (OSError, EOFError, zlib.error)
    if head.startswith(b"\xfd7zXZ\0"):
        lzma = _module("lzma", file)
        return lzma.LZMAFile(raw), (OSError, EOFError, lzma.LZMAError)
    return raw, (OSError,)


def _chunks(stream: io.BufferedIOBase, damage: tuple[type[Exception], ...], file: str) -> Generator[bytes, None, None]:
    while True:
        try:
            chunk = stream.read1(CHUNK)  # what is there, without waiting for more
        except damage as error:
            raise click.ClickException(f"{label(file)}: {escape(str(error))}") from error
        if not chunk:
            return
        yield chunk


def _module(name: str, file: str) -> ModuleType:
    """A module of the standard library that this Python may have been built without."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise click.ClickException(
            f"{label(file)} is compressed, and this Python was built without {name} ({error}): unpack it first"
        ) from error
