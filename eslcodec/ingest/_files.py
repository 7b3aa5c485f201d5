"""The files of a recorder: their names, who may read them, how they are written, which are deleted.

A recording is a wiretap: folders are 0700 and files 0600 whatever the umask. A file that is being written is locked
(where the system has `flock`), so that no other recorder deletes it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from .. import zst
from .._opened import last_listed
from ..errors import RecordingError

try:
    from fcntl import LOCK_EX, LOCK_NB, flock

    _HAS_LOCKS = True
except ImportError:  # Windows, which lets nobody delete an open file
    _HAS_LOCKS = False

SUFFIX: Final = ".esl.zst"
_PLAIN: Final = re.compile(r"[a-z0-9_.-]")
_RESERVED: Final = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)\.", re.ASCII)  # which Windows takes for a device
_HOST_MOST: Final = 160  # a name in a folder may have 255 bytes
_NAME: Final = re.compile(r"(\d{8}T\d{6}Z)-(\d+)" + re.escape(SUFFIX), re.ASCII)
_DELETED: Final = re.compile(_NAME.pattern + r"(?:\.damaged\d*)?", re.ASCII)  # `Recording.repair` keeps the old one
_FOLDER: Final = re.compile(r".*_\d+", re.ASCII | re.DOTALL)  # as `folder_name` makes them
_LOCK_SECONDS: Final = 2.0  # a look takes less; whoever stands still meanwhile does not hold us up for ever
_LOCK_AGAIN_SECONDS: Final = 0.002
_FLAGS: Final = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_KEPT_FLAGS: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # a pipe must not hold us up
_sync_data: Final = getattr(os, "fdatasync", os.fsync)


def folder_name(host: str, port: int) -> str:
    """The name of the folder for a peer: two peers have two, and each is safe on every system.

    Example:
        >>> folder_name("10.0.0.1", 8021), folder_name("::1", 8021), folder_name("../FS", 1)
        ('10.0.0.1_8021', '%3A%3A1_8021', '%2E.%2Ffs_1')
    """
    host = host.lower()
    parts = [
        one if _PLAIN.match(one) else "".join(f"%{byte:02X}" for byte in one.encode("utf-8", "surrogatepass"))
        for one in host
    ]
    if parts and (parts[0] in ".-" or _RESERVED.match(host)):
        parts[0] = f"%{ord(host[0]):02X}"
    name = "".join(parts)
    if len(name) > _HOST_MOST:
        name = name[:_HOST_MOST] + "~" + hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{name}_{port}"


def make_folder(path: Path, sync: bool = False) -> None:
    """Make a folder that only we may look into, and those it stands in.

    Raises:
        OSError: it cannot be made.
    """
    missing = [path]
    while not missing[-1].parent.exists():
        missing.append(missing[-1].parent)
    for folder in reversed(missing):
        try:
            folder.mkdir(0o700)
        except FileExistsError:
            if not folder.is_dir():
                raise
            continue
        folder.chmod(0o700)  # the umask may have taken rights that we need
        if sync:
            sync_folder(folder.parent)


def sync_folder(path: Path) -> None:
    """Have the names in a folder survive a power cut, where the system can do that."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def names_in(folder: Path) -> list[tuple[str, int]]:
    """The recordings in the folder of a peer, oldest first: of each its beginning and number."""
    with suppress(OSError):
        found = [_NAME.fullmatch(name) for name in os.listdir(folder)]
        return sorted((match[1], int(match[2])) for match in found if match)
    return []


def name_of(begin: str, number: int) -> str:
    """The name of a file. Names sort as the files were made."""
    return f"{begin}-{number:06}{SUFFIX}"


class File:
    """A recording that is being written: only whole chunks stay in it.

    Args:
        folder: of the peer; made if there is none.
        wall_ns: the time, for its name. The name is later than all others in the folder, even if the clock was set
            back.
        sync: whether its name has to survive a power cut.

    Attributes:
        path: of the file.
        size: bytes in it.
        dirty: whether something was written that was not synced.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, folder: Path, wall_ns: int, sync: bool) -> None:
        self.size = 0
        self.dirty = False
        self._sizes: list[tuple[int, int]] = []
        self._is_torn = False
        begin = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(wall_ns // 1_000_000_000))
        while True:
            self.path, self._file = self._create(folder, begin, sync)
            if hasattr(os, "fchmod"):
                os.fchmod(self._file, 0o600)
            if self._own():
                break
            os.close(self._file)
        if sync:
            sync_folder(folder)

    def _create(self, folder: Path, begin: str, sync: bool) -> tuple[Path, int]:
        tries = 0
        while True:
            if folder.is_symlink():  # its recordings would never be deleted, and what it leads to is not ours
                raise NotADirectoryError(errno.ENOTDIR, "it is a link, expected a folder", os.fspath(folder))
            make_folder(folder, sync)
            if folder.stat().st_mode & 0o077:
                folder.chmod(0o700)
            begin, number = max([(begin, -1), *names_in(folder)[-1:]])
            path = folder / name_of(begin, number + 1)
            try:
                return path, os.open(path, _FLAGS, 0o600)
            except (FileExistsError, FileNotFoundError):  # another recorder made it, or deleted the empty folder
                tries += 1
                if tries == 100:
                    raise

    def _own(self) -> bool:
        """Lock it; whether it is still there. Another recorder may be looking at it, and may delete what nobody has."""
        until = time.monotonic() + _LOCK_SECONDS
        while not _lock(self._file) and time.monotonic() < until:
            time.sleep(_LOCK_AGAIN_SECONDS)
        return self.path.exists()

    def write(self, parts: list[tuple[bytes, int]]) -> None:
        """Write a chunk, or a note.

        Args:
            parts: its frames, and how long the content of each is.

        Raises:
            OSError: not all of it could be written; nothing of it is in the file.
        """
        data = b"".join(part for part, _ in parts) if len(parts) > 1 else parts[0][0]
        self.dirty = True
        self._put(data)
        self._sizes += [(len(part), content) for part, content in parts]

    def _put(self, data: bytes) -> None:
        begin = self.size
        if self._is_torn:
            raise OSError(errno.EIO, "part of a chunk stands at its end", os.fspath(self.path))
        try:
            with memoryview(data) as view:
                while self.size < begin + len(data):
                    self.size += os.write(self._file, view[self.size - begin :])
        except OSError:
            self.size = begin
            try:
                os.ftruncate(self._file, begin)
                os.lseek(self._file, begin, os.SEEK_SET)
            except OSError:  # then it ends there, as if we had been killed: nothing may come after that
                self._is_torn = True
            raise

    @property
    def is_gone(self) -> bool:
        """Whether somebody deleted it: nobody will ever read what is written then."""
        return os.fstat(self._file).st_nlink == 0

    def sync(self) -> None:
        """Have everything written survive a power cut."""
        if self.dirty:
            self.dirty = False
            _sync_data(self._file)

    def close(self, sync: bool) -> None:
        """End it with the seek table, if there is room for that.

        Raises:
            OSError: it could not be synced, or closed.
        """
        if self._file < 0:
            return
        try:
            if self._sizes:
                with suppress(OSError):
                    self._put(zst.seek_table(self._sizes))
            if sync:
                self.dirty = True
                self.sync()
        finally:
            descriptor, self._file = self._file, -1
            os.close(descriptor)

    def leave(self) -> None:
        """In a child process: the file is the parent's (see `_fork`)."""
        descriptor, self._file = self._file, -1
        if descriptor >= 0:
            with suppress(OSError):
                os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Whether nobody else has it."""
    if _HAS_LOCKS:
        try:
            flock(descriptor, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a file system without locks
            pass
    return True


def is_over(file: BinaryIO) -> bool:
    """Whether nobody is at work on an open recording any more; it is ours until it is closed then."""
    return _lock(file.fileno())


# What was recorded before


class Last(NamedTuple):
    """The end of what was recorded before.

    Attributes:
        end_ns: when the last of it came, in ns since 1970.
        whole: whether that was the end of a connection; else the recorder was killed.
    """

    end_ns: int
    whole: bool


def last_recorded(folder: Path) -> Last | None:
    """The end of what is in a peer's folder; None if there is nothing, or another recorder is at work on it."""
    for begin, number in reversed(names_in(folder)):
        with suppress(OSError, RecordingError), _open_kept(folder / name_of(begin, number)) as file:
            if not _lock(file.fileno()):
                return None
            last = last_listed(file)
            if last is None or not _counts(last):
                last = None
                file.seek(0)
                for chunk in zst.read_chunks(file, damaged="skip", data=False):
                    last = chunk if _counts(chunk) else last
            if last is not None:
                return Last(last.end_ns, last.note is not None)
    return None


def _open_kept(path: Path) -> BinaryIO:
    """Open a recording, which is a file and nothing else.

    Raises:
        OSError: it is not, or cannot be opened.
    """
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | _KEPT_FLAGS))  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "expected a file", os.fspath(path))
    return file


def _counts(chunk: zst.Chunk) -> bool:
    """Whether all until then was recorded: a note that a file or a connection begins says nothing of that."""
    note = chunk.note
    return note is None or (note.get("note") in ("closed", "stopped") and "at" not in note)


# What is deleted


class Kept(NamedTuple):
    """A recording in the folder of a recorder.

    Attributes:
        ended: when it was written last, in seconds since 1970.
        path: where it is.
        size: its bytes.
    """

    ended: float
    path: Path
    size: int


def recordings_in(folder: Path) -> list[Kept]:
    """All recordings of all peers in a recorder's folder, those that ended first first.

    They are known by their names and those of their folders: what somebody else keeps beside them is his."""
    return sorted(_recordings_in(folder))


def _recordings_in(folder: Path) -> Iterator[Kept]:
    with suppress(OSError), os.scandir(folder) as peers:
        for peer in peers:
            with suppress(OSError):
                if not _FOLDER.fullmatch(peer.name) or not peer.is_dir(follow_symlinks=False):
                    continue
                with os.scandir(peer) as files:
                    for file in files:
                        if _DELETED.fullmatch(file.name) and file.is_file(follow_symlinks=False):
                            said = file.stat(follow_symlinks=False)
                            yield Kept(said.st_mtime, Path(file.path), said.st_size)


def delete(path: Path) -> bool:
    """Delete a recording, unless it is being written, and its folder if that is empty then; whether it is gone."""
    try:
        with _open_kept(path) as file:
            if not _lock(file.fileno()):
                return False
            if _HAS_LOCKS:
                path.unlink()
        if not _HAS_LOCKS:
            path.unlink()
    except OSError:
        return False
    with suppress(OSError):
        path.parent.rmdir()
    return True


def free_part(folder: Path) -> tuple[float, int]:
    """How much of the disk is free, as a part of it, and how large the disk is. A file system that does not say has
    size 0, and all of it is free."""
    if not hasattr(os, "statvfs"):
        usage = shutil.disk_usage(folder)
        return (usage.free / usage.total if usage.total else 1.0), usage.total
    disk = os.statvfs(folder)
    return (disk.f_bavail / disk.f_blocks if disk.f_blocks else 1.0), disk.f_blocks * disk.f_frsize
