"""Whole files of torn and damaged ones."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from . import zst
from ._opened import open_reader

_SUFFIX: Final = ".damaged"


@dataclass(frozen=True)
class Repair:
    """A file that was replaced by what is whole of it.

    Attributes:
        path: the file.
        original: what it was, under another name.
        chunks: how many chunks were whole, notes too.
        dropped: how many bytes of it were left out.

    Example:
        >>> Repair("day.esl.zst", "day.esl.zst.damaged", chunks=3600, dropped=512).dropped
        512
    """

    path: str
    original: str
    chunks: int
    dropped: int


def mend(path: str) -> Repair | None:
    """Replace a file by what is whole of it, closed; None if it is whole and closed, is still written, or has no times.

    The new file is written beside it, and takes its name once it is on the disk.
    """
    made = _whole_copy(path)
    if made is None:
        return None
    name, chunks, dropped = made
    with _removed_on_error(name):
        original = _set_aside(path)
        os.replace(name, path)
    _sync_folder(path)
    return Repair(path, original, chunks, dropped)


def _whole_copy(path: str) -> tuple[str, int, int] | None:
    """What is whole of a file, closed, as a file beside it: its name, how many chunks, what was left out."""
    with open(path, "rb") as file:
        if _is_locked(file):
            return None
        reader = open_reader(file, path, "skip")
        if not isinstance(reader, zst.ChunkReader):
            return None
        for _ in reader:
            pass
        if reader.closed and not reader.damage:
            return None
        handle, name = tempfile.mkstemp(prefix=".", suffix=".repairing", dir=os.path.dirname(path) or ".")
        with _removed_on_error(name), open(handle, "wb") as out:
            chunks, dropped = _copy(file, path, out)
            out.flush()
            os.fsync(out.fileno())
            said = os.fstat(file.fileno())
            os.chmod(name, said.st_mode & 0o777)
        os.utime(name, ns=(said.st_atime_ns, said.st_mtime_ns))  # it expires when the old one would have
        return name, chunks, dropped


@contextlib.contextmanager
def _removed_on_error(name: str) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def _copy(file: BinaryIO, path: str, out: BinaryIO) -> tuple[int, int]:
    """Write the whole chunks of a file, a note, and the seek table; how many there are, and how much was left out."""
    file.seek(0)
    sizes: list[tuple[int, int]] = []
    chunks = kept = 0
    last: zst.Chunk | None = None
    source = open(path, "rb")  # noqa: SIM115
    with source:
        for last in zst.read_chunks(file, path, damaged="skip"):
            source.seek(last.position)
            out.write(source.read(last.stored))
            sizes += last.sizes
            chunks += 1
            kept += last.stored
    dropped = os.fstat(file.fileno()).st_size - kept
    note = {"note": "repaired", "dropped": dropped}
    when = (last.connection, last.offset + last.length, last.end_ns, last.mono_ns) if last else (0, 0, 0, 0)
    packed = zst.pack_note(connection=when[0], offset=when[1], wall_ns=when[2], mono_ns=when[3], note=note)
    out.write(packed)
    out.write(zst.seek_table([*sizes, (len(packed), 0)]))
    return chunks, dropped


def _set_aside(path: str) -> str:
    """Give a file a second name, so that the first can be taken by another."""
    number = 1
    while True:
        original = f"{path}{_SUFFIX}{number if number > 1 else ''}"
        number += 1
        if os.path.lexists(original):
            continue
        try:
            os.link(path, original)
        except FileExistsError:
            continue
        except OSError:  # a file system without links
            os.rename(path, original)
        return original


def _is_locked(file: BinaryIO) -> bool:
    """Whether a recorder holds its lock on the file."""
    try:
        import fcntl
    except ImportError:  # Windows
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    return False


def _sync_folder(path: str) -> None:
    with contextlib.suppress(OSError):  # Windows opens no folders
        handle = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
