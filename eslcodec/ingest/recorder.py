"""`Recorder`: a tap that keeps a stream exactly, in files that `Recording` reads (docs/recording-format.md).

Whoever reads the socket calls `received`, which copies into a chunk and returns. A thread writes each chunk once it has
a megabyte or is `chunk_seconds` old. What a kill of the process costs is the chunk that is not whole, and no more.

Nothing of it reaches the client, except that who reads more than 64 MB/s is slowed down while the writer is far behind.
If the disk is full, the writer fails, or it cannot keep up, then recording ends: the file says so, the log has one
line, and `stats()` tells.
"""

from __future__ import annotations

import atexit
import errno
import json
import logging
import math
import os
import queue
import struct
import threading
import time
import weakref
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from .. import _fork, limits
from .._address import address
from ._files import make_folder
from ._writer import NEVER, SECOND, Chunk, Full, Missed, Note, Settings, Stream, Writer

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["Missed", "Recorder"]

_LOG: Final = logging.getLogger("eslcodec.recorder")
_READ: Final = struct.Struct("<II")
_US_MOST: Final = 0xFFFFFFFF
_SPARE_CHUNKS: Final = 4  # whose memory is used again
_CHUNK_BYTES: Final = limits.RECORDER_CHUNK_BYTES
_QUEUE_BYTES: Final = limits.RECORDER_BUFFER_BYTES - _CHUNK_BYTES  # beside the chunk that is being filled
_CHUNK_SECONDS_MOST: Final = 3600.0  # times within a chunk are microseconds in 32 bits
_WAIT_MOST: Final = 1e6  # seconds
_CROWDED_BYTES: Final = limits.RECORDER_BUFFER_BYTES * 3 // 4
_FULL_BYTES: Final = limits.RECORDER_BUFFER_BYTES * 7 // 8
_FAST: Final = 256 << 20  # bytes a second that are read while the buffer is crowded, and
_SLOW: Final = 64 << 20  # while it is nearly full
_EARLY_MOST: Final = 1_000  # notes before the first connection that are kept
_NOTE_BYTES: Final = 64 << 10
_OWN_NOTES: Final = frozenset(("opened", "closed", "continued", "repaired"))
_ALSO_NOTICES: Final = frozenset(("gap", "stopped"))  # which have a time of their own, "at"
_with_thread: Final[weakref.WeakSet[Recorder]] = weakref.WeakSet()


class Recorder:
    """Keeps what a client reads and sends: `connect(..., tap=Recorder("rec"))`. A context manager that closes it.

    Files are `<host>_<port>/<UTC start>-<n>.esl.zst` in `dir`, for the user of the process alone. Each is a Zstandard
    file: `zstd -dc` gives exactly the bytes received. What was sent is beside them, with passwords masked where they
    can be known: logins, and variables and headers with a name such as `sip_auth_password`. What was *received* is
    kept as it is, digits, messages and passwords too.

    A recorder is for one connection at a time; several may have the same `dir`. `keep_seconds`, `keep_bytes` and
    `on_full` concern all recordings in `dir` that recorders named, and what `Recording.repair` put aside of them. It
    may be used again after the connection ended; a child process of `fork` records nothing. What is not closed is
    written at the exit of the interpreter.

    Args:
        dir: made if there is none.
        rotate_bytes, rotate_seconds: of a file; with more the next one goes on with the connection.
        chunk_seconds: after which a chunk is written: what a kill of the process costs at most.
        fsync: seconds between syncs, which is what a power cut costs beside that; "always" syncs each chunk, "never"
            leaves it to the system.
        keep_seconds: after which a recording that is not being written is deleted; None: never.
        keep_bytes: of all recordings in `dir`; with more, those that ended first are deleted. None: no limit.
        min_free: how much of the disk has to stay free, as a part of it.
        on_full: what happens when less is free: "stop" ends recording, "oldest" deletes those that ended first, and
            makes files small enough for that.
        level: of compression; 0, or without a library for it, stores the bytes as they are.

    Raises:
        OSError: `dir` cannot be made or written.
        TypeError, ValueError: an option is wrong.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with Recorder(folder, min_free=0) as recorder:
        ...         recorder.opened(("127.0.0.1", 8021))
        ...         recorder.received(b"Content-Type: auth/request\\n\\n")
        ...         recorder.sent(b"auth ClueCon\\n\\n")
        ...         recorder.closed("done")
        ...     recorder.stats()["chunks"], [path.name for path in Path(folder).iterdir()]
        (1, ['127.0.0.1_8021'])
    """

    exclusive: Final = True
    _mono = staticmethod(time.monotonic_ns)
    _wall = staticmethod(time.time_ns)

    def __init__(
        self,
        dir: str | os.PathLike[str],
        *,
        rotate_bytes: float = 256 << 20,
        rotate_seconds: float = 3600,
        chunk_seconds: float = 1.0,
        fsync: float | Literal["always", "never"] = 1.0,
        keep_seconds: float | None = None,
        keep_bytes: float | None = None,
        min_free: float = 0.1,
        on_full: Literal["stop", "oldest"] = "stop",
        level: int = 1,
    ) -> None:
        kept = {"keep_seconds": keep_seconds, "keep_bytes": keep_bytes}
        _check_positive(rotate_bytes=rotate_bytes, rotate_seconds=rotate_seconds, chunk_seconds=chunk_seconds)
        _check_positive(**{name: number for name, number in kept.items() if number is not None})
        _check_rest(chunk_seconds, fsync, min_free, on_full, level)
        self._dir = Path(dir)
        self._chunk_ns = _in_ns(chunk_seconds)
        settings = Settings(
            folder=self._dir,
            rotate_bytes=rotate_bytes,
            rotate_ns=_in_ns(rotate_seconds),
            sync_ns=NEVER if fsync == "never" else 0 if fsync == "always" else _in_ns(float(fsync)),
            keep_seconds=keep_seconds,
            keep_bytes=keep_bytes,
            min_free=min_free,
            on_full=on_full,
            level=level,
            mono=self._mono,
            wall=self._wall,
        )
        make_folder(self._dir, settings.syncs)
        if not os.access(self._dir, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(self._dir))
        self._deletes = settings.deletes
        self._writer = Writer(settings)
        self._state = "waiting"
        self._why: str | None = None
        self._untold = False  # why it ended is to be logged
        self._received = self._sent = self._connections = 0
        self._peer: tuple[str, int] | None = None
        self._begin_anew()
        _fork.register(self)

    def _begin_anew(self) -> None:
        """Locks, and what they guard."""
        self._lock = threading.RLock()  # a signal's handler may close a client, or this, in the middle of anything
        self._bell = _Bell()
        self._stream: Stream | None = None
        self._former: Stream | None = None  # the last one that was opened
        self._early: deque[tuple[int, int, str, dict[str, Any]]] = deque(maxlen=_EARLY_MOST)  # noted before the first
        self._chunk: Chunk | None = None  # that is being filled
        self._queue: deque[Chunk | Note] = deque()
        self._queued = 0  # what that takes
        self._spare: list[bytearray] = []
        self._thread: threading.Thread | None = None  # the last one
        self._has_thread = False
        self._idle_ns = 0  # since when there has been no connection
        self._closing = False
        self._behind = False  # it has ended because the writer was

    def __repr__(self) -> str:
        return f"<Recorder {os.fspath(self._dir)!r} {self._state}{f': {self._why}' if self._why else ''}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def missed(self) -> Missed | None:
        """What was not recorded between the last recording of the peer, as it is on the disk, and the first connection
        of this recorder; None if there was none, or it was not looked for yet, which the thread does at once. The file
        has it as a note, "gap"."""
        return self._writer.missed

    def stats(self) -> dict[str, Any]:
        """How it fares.

        Returns:
            `state`: "waiting" for a connection, "recording", "stopped" (`why` says why; `behind`, whether that was
            because the disk was too slow: another recorder may do better), "closed" or, in a child process, "left".
            `peer`: of the last connection; `path`: the file that is being written, or was last.
            `received_bytes` and `sent_bytes` were taken in, `written_bytes` are in files, `queued_bytes` wait for the
            thread. `connections`, `chunks`, `files` and `deleted_files` are counts. `syncs` were done, which
            took the disk `sync_seconds` in all; `gap_seconds` the length of `missed`.
        """
        writer = self._writer
        return {
            "state": self._state,
            "why": self._why,
            "behind": self._behind,
            "peer": self._peer,
            "path": None if writer.path is None else os.fspath(writer.path),
            "received_bytes": self._received,
            "sent_bytes": self._sent,
            "written_bytes": writer.written_bytes,
            "queued_bytes": self._queued,
            "connections": self._connections,
            "chunks": writer.chunks,
            "files": writer.files,
            "deleted_files": writer.deleted_files,
            "syncs": writer.syncs,
            "sync_seconds": writer.sync_seconds,
            "gap_seconds": None if writer.missed is None else writer.missed.seconds,
        }

    # What a client calls

    def opened(self, peer: tuple[str, int]) -> None:
        """A connection begins; the one before it has ended.

        Args:
            peer: host and port of the other side.
        """
        host, port = peer
        stream = Stream(str(host), int(port))
        with self._lock:
            if self._is_over:
                return
            self._end_stream("another connection was opened")
            self._stream = self._former = stream
            self._peer = stream.peer
            self._state = "recording"
            self._connections += 1
            early, self._early = self._early, deque(maxlen=_EARLY_MOST)
            for wall, mono, kind, more in early:
                self._push(Note(stream, 0, wall, mono, kind, more, told=True))
            self._push(Note(stream, 0, self._wall(), self._mono(), "opened", {"peer": list(stream.peer)}))
        self._tell()

    def received(self, data: bytes | bytearray | memoryview) -> None:
        """What one read brought. It is copied.

        Args:
            data: any contiguous bytes-like object.

        Raises:
            RuntimeError: no connection was opened.
        """
        if type(data) is not bytes:
            data = memoryview(data)
            if data.format != "B" or data.ndim != 1:
                data = data.cast("B")
        size = len(data)
        if size > _CHUNK_BYTES:
            for at in range(0, size, _CHUNK_BYTES):
                self.received(data[at : at + _CHUNK_BYTES])
            return
        with self._lock:
            now = self._mono()
            chunk = self._chunk
            if (
                chunk is None
                or chunk.size + size > _CHUNK_BYTES
                or now >= chunk.due_ns
                or len(chunk.reads) >= 8 * limits.RECORDER_CHUNK_ENTRIES
            ):
                chunk = self._next_chunk("received", now)
            if chunk is not None:
                begin, reads = chunk.size, len(chunk.reads)
                end = begin + size
                us = (now - chunk.mono_ns) // 1000
                try:
                    chunk.view[begin:end] = data
                    chunk.reads += _READ.pack(us if 0 <= us <= _US_MOST else 0, size)
                    chunk.size = end
                except BaseException:  # a signal's, for one: all of it or nothing
                    del chunk.reads[reads:]
                    chunk.size = begin
                    raise
                self._received += size
        if self._queued > _CROWDED_BYTES:
            self._slow_down(size)
        if self._untold:
            self._tell()

    def sent(self, data: bytes) -> None:
        """Something was sent.

        Args:
            data: the bytes; passwords are masked before they are written.

        Raises:
            RuntimeError: no connection was opened.
        """
        data = bytes(data)
        with self._lock:
            now = self._mono()
            chunk = self._chunk
            if (
                chunk is None
                or (chunk.sent and chunk.sent + len(data) > _CHUNK_BYTES)
                or now >= chunk.due_ns
                or len(chunk.sends) >= limits.RECORDER_CHUNK_ENTRIES
            ):
                chunk = self._next_chunk("sent", now)
            if chunk is not None:
                us = (now - chunk.mono_ns) // 1000
                chunk.sends.append((us if 0 <= us <= _US_MOST else 0, chunk.size, data))
                chunk.sent += len(data)
                self._sent += len(data)
        if self._untold:
            self._tell()

    def note(self, said: Mapping[str, Any]) -> None:
        """Say something at this place of the stream: after what was received so far, before what comes next.

        Any thread may call it. Between two connections it stands behind the last; before the first, in front of it.
        What is noted behind the last of all may have a file of its own. A recording without any byte has no file, and
        so no notes.

        Args:
            said: a JSON object, with "note", a word that says what it is; `ingest.notices.to_note` makes it of a
                notice. It is copied.

        Raises:
            ValueError: "note" is missing, or one of the recorder's own words; or it has more than 64 KiB as JSON; or
                JSON cannot have a value of it, such as NaN.
            TypeError: JSON cannot have something of its type.
        """
        kind, more = _checked_note(said)
        with self._lock:
            if self._is_over:
                return
            self._seal()
            wall, mono = self._wall(), self._mono()
            stream = self._stream or self._former
            if stream is None:
                self._early.append((wall, mono, kind, more))
            else:
                self._push(Note(stream, stream.offset, wall, mono, kind, more, told=True))
        self._tell()

    def closed(self, reason: str = "") -> None:
        """The connection has ended.

        Args:
            reason: why.
        """
        with self._lock:
            self._end_stream(reason)
        self._tell()

    def close(self, timeout: float = 30.0) -> None:
        """Write what there is, close the file, record no more. More than once does no harm.

        Args:
            timeout: seconds that the disk is given.
        """
        with self._lock:
            self._end_stream("the recorder was closed")
            if not self._is_over:
                self._state = "closed"
            self._closing = True
            thread = self._thread
            self._bell.ring()
        self._tell()
        if thread is None or thread is threading.current_thread() or self._is_interrupted():
            return
        thread.join(timeout)
        if thread.is_alive():
            _LOG.error("%r: its disk did not answer within %g s; what was not written is lost", self, timeout)

    def _is_interrupted(self) -> bool:
        """Whether this is a signal's handler, in the middle of something that the writer's thread waits for."""
        return bool(self._lock._is_owned() or self._bell.lock._is_owned())  # type: ignore[attr-defined]

    # Inside, with the lock

    @property
    def _is_over(self) -> bool:
        return self._closing or self._state in ("stopped", "left")

    def _next_chunk(self, what: str, now: int) -> Chunk | None:
        """Have the chunk that is full written, and begin another; None if nothing is recorded any more."""
        self._seal()
        stream = self._stream
        if stream is None:
            if not self._is_over:
                raise RuntimeError(f"{what}() before opened(), expected a connection to be opened first")
            return None
        memory = self._spare.pop() if self._spare else bytearray(_CHUNK_BYTES)
        chunk = self._chunk = Chunk(stream, memory, self._wall(), now, now + self._chunk_ns)
        if not 0 < self._bell.until_ns <= chunk.due_ns:
            self._bell.ring()
        return chunk

    def _seal(self) -> None:
        """Put the chunk in line, as far as it is filled."""
        chunk, self._chunk = self._chunk, None  # in one step: a signal's handler may do the same
        if chunk is not None and (chunk.size or chunk.sends):
            chunk.stream.offset += chunk.size
            self._push(chunk)

    def _end_stream(self, reason: str) -> None:
        self._seal()
        stream, self._stream = self._stream, None
        if stream is not None:
            self._state = "waiting"
            self._idle_ns = self._mono()
            self._push(Note(stream, stream.offset, self._wall(), self._idle_ns, "closed", {"why": reason}))

    def _push(self, item: Chunk | Note) -> None:
        """Put it in line for the thread. If that is too far behind, recording ends with it."""
        self._bell.kept = self
        self._queue.append(item)
        self._queued += item.weight
        if self._queued > _QUEUE_BYTES and not self._is_over:
            self._fall_behind(item.stream)
        if not self._has_thread:
            self._has_thread = True  # in one step: a signal's handler may do the same
            try:
                self._start_thread()
            except BaseException:  # a signal's, for one
                self._has_thread = self._thread is not None and self._thread.ident is not None
                raise
        self._bell.ring()

    def _fall_behind(self, stream: Stream) -> None:
        why = f"the writer is behind, {self._queued >> 20} MiB wait"
        self._why, self._behind, self._state, self._untold = why, True, "stopped", True
        self._chunk = self._stream = None
        note = Note(stream, stream.offset, self._wall(), self._mono(), "stopped", {"why": why})
        self._queue.append(note)
        self._queued += note.weight

    def _start_thread(self) -> None:
        reference = weakref.ref(self, self._bell.toll)
        arguments = reference, self._bell, self._writer
        thread = threading.Thread(target=_work, args=arguments, name="eslcodec-recorder", daemon=True)
        self._thread = thread
        _with_thread.add(self)
        try:
            thread.start()
        except RuntimeError as error:  # no threads left
            self._thread, self._has_thread = None, False
            self._queue.clear()
            self._why, self._state, self._untold = str(error), "stopped", True
            self._chunk = self._stream = None

    # Inside

    def _slow_down(self, size: int) -> None:
        """The writer is nearly too far behind: let the reader be no faster than a disk. A burst after a pause would end
        recording otherwise. A writer that stands still costs the reader 0.15 s so, once."""
        if not self._is_over:
            time.sleep(size / (_FAST if self._queued < _FULL_BYTES else _SLOW))

    def _tell(self) -> None:
        """Log why recording ended, once; without the lock."""
        with self._lock:
            untold, self._untold = self._untold, False
        if untold:
            peer = "" if self._peer is None else f" of {address(*self._peer)}"
            _LOG.error("recording%s in %s has ended: %s", peer, self._dir, self._why)

    def _leave(self) -> None:
        """In a child process: all of it is the parent's (see `_fork`)."""
        self._begin_anew()
        self._state, self._untold = "left", False
        self._writer.leave()

    # The thread

    def _step(self) -> tuple[float, int] | None:
        """Write what waits and do what is due: seconds until more is, and when that is; None if nothing will be."""
        try:
            while (item := self._take()) is not None:
                self._writer.take(item)
                self._free(item)
            self._writer.tick()
            if self._is_unused():
                self._writer.finish() if self._closing else self._writer.close_file()
        except Exception as error:
            self._failed(error)
        with self._lock:
            if self._queue:
                return 0, 0
            has_more = self._deletes or self._writer.holds
            if self._is_unused() and not self._writer.has_file and (self._closing or not has_more):
                self._thread, self._has_thread = None, False
                self._bell.kept = None
                _with_thread.discard(self)
                return None
            if self._stream is None and not self._writer.has_file:
                self._bell.kept = None
            due = self._writer.due()
            if self._chunk is not None:
                due = min(due, self._chunk.due_ns)
            elif self._stream is None and self._writer.has_file:
                due = min(due, self._idle_ns + int(limits.RECORDER_LINGER_SECONDS * SECOND))
            return (math.inf if due >= NEVER else max(due - self._mono(), 0) / SECOND), due

    def _take(self) -> Chunk | Note | None:
        """The next in line; a chunk that is due is."""
        with self._lock:
            if not self._queue and self._chunk is not None and self._mono() >= self._chunk.due_ns:
                self._seal()
            return self._queue.popleft() if self._queue else None

    def _free(self, item: Chunk | Note) -> None:
        with self._lock:
            self._queued -= item.weight
            if isinstance(item, Chunk) and len(self._spare) < _SPARE_CHUNKS:
                self._spare.append(item.memory)

    def _is_unused(self) -> bool:
        """Whether there is no connection, nor will one come soon."""
        with self._lock:
            if self._stream is not None or self._queue:
                return False
            return self._is_over or self._mono() >= self._idle_ns + int(limits.RECORDER_LINGER_SECONDS * SECOND)

    def _failed(self, error: Exception) -> None:
        """The writer did: recording ends."""
        with self._lock:
            stream = self._stream or next((item.stream for item in reversed(self._queue)), None)
            self._queue.clear()
            self._queued = 0
            if self._state != "stopped":
                # First, since stats() takes no lock: what has stopped has a reason.
                self._why = str(error) if isinstance(error, (Full, OSError)) else f"{type(error).__name__}: {error}"
                self._state, self._untold = "stopped", True
            self._chunk = self._stream = None
            if stream is None:
                stream = Stream("", 0)
            note = Note(stream, stream.offset, self._wall(), self._mono(), "stopped", {"why": self._why})
        self._writer.end(note)
        self._tell()


class _Bell:
    """Wakes the thread. A signal's handler may ring it in the middle of anything, and may raise there.

    Attributes:
        until_ns: when the thread wakes up by itself, while it waits.
        kept: the recorder, while the thread has something of it to write, so that it is not forgotten before that.
    """

    def __init__(self) -> None:
        self.until_ns = 0
        self.kept: Recorder | None = None
        self.lock = threading.RLock()
        self._rung = False
        self._rings: queue.SimpleQueue[None] = queue.SimpleQueue()  # a condition half notified would never wake it

    def ring(self) -> None:
        """Have it wake up, or not fall asleep."""
        if not self._rung:
            with self.lock:
                self._rings.put(None)
                self._rung = True

    def toll(self, _: object) -> None:
        """The same, for a recorder that is gone."""
        self.ring()

    def wait(self, seconds: float, until_ns: int) -> None:
        """Wait until it rings, or for so many seconds."""
        self.until_ns = until_ns
        with suppress(queue.Empty):
            self._rings.get(timeout=min(seconds, _WAIT_MOST))
        self.until_ns = 0
        with self.lock:
            self._rung = False


def _work(reference: weakref.ref[Recorder], bell: _Bell, writer: Writer) -> None:
    """What the thread does. A recorder that waits for a connection and is forgotten meanwhile goes away."""
    while (recorder := reference()) is not None:
        wait = recorder._step()
        if wait is None:
            return
        del recorder
        bell.wait(*wait)
    with suppress(Full, OSError):
        writer.finish()


@atexit.register
def _close_all() -> None:
    """At exit: write what there is."""
    deadline = time.monotonic() + limits.RECORDER_EXIT_SECONDS
    for recorder in list(_with_thread):
        recorder.close(max(deadline - time.monotonic(), 0))


def _in_ns(seconds: float) -> int:
    return min(int(min(seconds, 1e9) * SECOND), NEVER)


def _check_positive(**numbers: float) -> None:
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            raise TypeError(f"{name} is {number!r:.80}, expected a number")
        if not number > 0:
            raise ValueError(f"{name} is {number}, expected more than 0")


def _check_rest(chunk_seconds: float, fsync: object, min_free: object, on_full: object, level: object) -> None:
    if chunk_seconds > _CHUNK_SECONDS_MOST:
        raise ValueError(f"chunk_seconds is {chunk_seconds}, expected no more than {_CHUNK_SECONDS_MOST}")
    if fsync not in ("always", "never"):
        if isinstance(fsync, bool) or not isinstance(fsync, (int, float)):
            raise TypeError(f"fsync is {fsync!r:.80}, expected seconds, 'always' or 'never'")
        if not fsync >= 0:
            raise ValueError(f"fsync is {fsync}, expected seconds, 'always' or 'never'")
    if isinstance(min_free, bool) or not isinstance(min_free, (int, float)):
        raise TypeError(f"min_free is {min_free!r:.80}, expected a part of the disk, 0 to 1")
    if not 0 <= min_free < 1:
        raise ValueError(f"min_free is {min_free}, expected a part of the disk, 0 to 1")
    if on_full not in ("stop", "oldest"):
        raise ValueError(f"on_full is {on_full!r:.80}, expected 'stop' or 'oldest'")
    if isinstance(level, bool) or not isinstance(level, int):
        raise TypeError(f"level is {level!r:.80}, expected int")


def _checked_note(said: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """What a note is about, and what else it says: a copy."""
    try:
        text = json.dumps(dict(said), allow_nan=False)
        more = json.loads(text)
    except RecursionError:
        raise ValueError("the note is too deep, expected an object of JSON") from None
    kind = more.pop("note", None)
    own = kind in _OWN_NOTES or (kind in _ALSO_NOTICES and "at" not in more) if isinstance(kind, str) else True
    if own or not kind:
        raise ValueError(f"note is {kind!r:.80}, expected a word that is not one of the recorder's own")
    if len(text) > _NOTE_BYTES:
        raise ValueError(f"the note has {len(text)} bytes, expected no more than {_NOTE_BYTES}")
    return kind, more
