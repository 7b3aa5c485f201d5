"""A recording that may leave the site: the same connections, times and notes, its messages redacted.

A frame counts to the read that completed it; so a read which brought only parts of frames is gone, and no time is
moved. Frames that are not whole, where a connection ended or bytes were lost, cannot be read and are left out. What was
sent is redacted command by command.
"""

from __future__ import annotations

import os
import struct
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import BinaryIO, Final, Literal

from .. import zst
from .._codec import FrameSplitter, Message
from .._zstd import Compressor
from ..errors import ProtocolError
from ..events import Decoder
from ..recordings import Follower, Recording
from .notices import from_dict, redacted, to_note
from .redact import Redact

_READ: Final = struct.Struct("<II")
_MOST: Final = 0xFFFFFFFF


@dataclass(frozen=True)
class Redacted:
    """What became of a recording.

    Attributes:
        messages: how many messages were written.
        changed: how many of them were changed.
        received: bytes of the recording that was read.
        written: bytes of the messages that were written.
        dropped: bytes of frames that were not whole, or no frames at all.

    Example:
        >>> Redacted(messages=2, changed=1, received=100, written=90, dropped=0).changed
        1
    """

    messages: int
    changed: int
    received: int
    written: int
    dropped: int


def redact_recording(
    source: str | os.PathLike[str] | BinaryIO,
    out: str | os.PathLike[str],
    redact: Redact,
    *,
    level: int = 1,
    damaged: Literal["raise", "skip"] = "raise",
) -> Redacted:
    """Write a recording anew, redacted, into one file with the same connections, times and notes.

    Args:
        source: what `eslcodec.Recording` takes. A stream without times stays one.
        out: a new `.esl.zst`, which nobody else may read (0600). It is removed again if something goes wrong.
        redact: what goes.
        level: of the compression; 0 is none.
        damaged: as for `eslcodec.Recording`.

    Raises:
        FileExistsError: there is such a file.
        DamagedRecording, RecordingError, OSError: as `eslcodec.Recording`.

    Example:
        >>> import io, tempfile
        >>> out = os.path.join(tempfile.mkdtemp(), "out.esl.zst")
        >>> stream = io.BytesIO(b"Content-Type: command/reply\\nReply-Text: a secret\\n\\n")
        >>> redact_recording(stream, out, Redact.profile("secrets"), level=0).changed
        1
        >>> [message.text for message in Recording(out).messages()]
        ['***']
    """
    return copy_recording(Recording(source, damaged=damaged).chunks(), out, redact, level=level)


def copy_recording(
    chunks: Iterable[zst.Chunk],
    out: str | os.PathLike[str],
    redact: Redact | None = None,
    *,
    keep: Callable[[Message, int], bool] | None = None,
    level: int = 1,
) -> Redacted:
    """The same of any chunks, and less of them.

    Args:
        chunks: in order, each connection's one after the other.
        out: as of `redact_recording`.
        redact: what goes; None: nothing, and messages stay byte for byte.
        keep: whether a message is kept, which is asked with the time at which it came, in ns since 1970 (0 if it is not
            known). None: all are.
        level: of the compression.

    Raises:
        FileExistsError: there is such a file. And what iterating over the chunks raises.

    Example:
        >>> import io, tempfile
        >>> out = os.path.join(tempfile.mkdtemp(), "out.esl.zst")
        >>> stream = io.BytesIO(b"Content-Type: auth/request\\n\\nContent-Type: command/reply\\nReply-Text: +OK\\n\\n")
        >>> keep = lambda message, ns: message.content_type == "auth/request"
        >>> copy_recording(Recording(stream).chunks(), out, keep=keep, level=0).messages
        1
    """
    descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if os.name == "posix":
                os.fchmod(file.fileno(), 0o600)  # whatever the umask
            copy = _Copy(file, redact, keep, Compressor(level))
            result = copy.run(chunks)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        os.unlink(out)
        raise
    return result


class _Copy:
    """One recording being written anew."""

    def __init__(
        self,
        file: BinaryIO,
        redact: Redact | None,
        keep: Callable[[Message, int], bool] | None,
        compressor: Compressor,
    ) -> None:
        self._file = file
        self._keep = keep
        self._redact = redact
        self._compressor = compressor
        self._follower = Follower()
        self._sizes: list[tuple[int, int]] = []
        self._connection: int | None = None
        self._expected = 0  # where in the old stream the next chunk of the connection begins
        self._offset = 0  # where in the new one
        self._commands = _Commands(redact)
        self._messages = self._changed = self._received = self._written = 0

    def run(self, chunks: Iterable[zst.Chunk]) -> Redacted:
        for chunk in chunks:
            self._enter(chunk)
            if chunk.kind == zst.NOTE:
                self._note(chunk, chunk.note or {})
            else:
                self._stream(chunk)
        self._follower.end()
        self._file.write(zst.seek_table(self._sizes))
        dropped = self._follower.dropped
        return Redacted(self._messages, self._changed, self._received, self._written, dropped)

    def _enter(self, chunk: zst.Chunk) -> None:
        """Another connection begins, or bytes of this one are missing."""
        if chunk.connection != self._connection:
            self._connection = chunk.connection
            self._commands = _Commands(self._redact)
            self._expected = self._offset = chunk.offset
        self._offset += max(chunk.offset - self._expected, 0)
        self._expected = chunk.offset + chunk.length

    def _note(self, chunk: zst.Chunk, note: dict[str, object]) -> None:
        notice = None if self._redact is None else from_dict(note)
        if notice is not None and self._redact is not None:
            told = redacted(notice, self._redact)
            note = to_note(told, note.get("switch"), note["at"])  # type: ignore[arg-type]  # `from_dict` looked
        self._put(
            zst.pack_note(
                connection=chunk.connection,
                offset=self._offset,
                wall_ns=chunk.wall_ns,
                mono_ns=chunk.mono_ns,
                note=note,
            )
        )

    def _put(self, head: bytes, frame: bytes = b"", length: int = 0) -> None:
        self._file.write(head + frame)
        self._sizes.append((len(head), 0))
        if frame:
            self._sizes.append((len(frame), length))

    def _stream(self, chunk: zst.Chunk) -> None:
        self._received += chunk.length
        reads = chunk.reads or [(0, chunk.length)]
        ends = list(accumulate(size for _, size in reads))
        sizes = [0] * len(reads)
        frames: list[bytes] = []
        places: list[int] = []  # where, in the old chunk, each of them ends
        for message in self._whole(chunk):
            place = max(self._follower.consumed - chunk.offset, 0)
            read = min(bisect_left(ends, place), len(sizes) - 1)
            if self._keep is not None and not self._keep(message, chunk.wall_ns + reads[read][0] * 1000):
                continue
            frame = self._told(message)
            sizes[read] += len(frame)
            frames.append(frame)
            places.append(place)
        data = b"".join(frames)
        so_far = [0, *accumulate(map(len, frames))]
        sends = []
        for sent in chunk.sends:
            command = self._commands.take(sent.data)
            if command:
                done = bisect_left(places, sent.at + 1)  # frames that were whole before it
                sends.append((sent.us, so_far[done], command))
        if not data and not sends:
            return
        table = b"".join(_READ.pack(us, size) for (us, _), size in zip(reads, sizes, strict=True) if size)
        head, packed = zst.pack_stream(
            self._compressor,
            connection=chunk.connection,
            offset=self._offset,
            wall_ns=chunk.wall_ns,
            mono_ns=chunk.mono_ns,
            first=0 if data else None,
            reads=table if chunk.reads else b"",
            sends=sends,
            data=data,
        )
        self._put(head, packed, len(data))
        self._offset += len(data)
        self._written += len(data)

    def _whole(self, chunk: zst.Chunk) -> Iterator[Message]:
        """The messages that a chunk completes; after damage to the protocol no more of it."""
        decoder: Decoder | None = self._follower.take(chunk)
        if decoder is None:
            return
        try:
            yield from decoder
        except ProtocolError:
            self._follower.end()

    def _told(self, message: Message) -> bytes:
        """The frame that stands for a message."""
        redacted = message if self._redact is None else self._redact(message)
        self._messages += 1
        self._changed += redacted is not message
        return redacted.frame


class _Commands:
    """What was sent on a connection, command by command, however it was cut.

    After something that cannot be cut into commands nothing more is told.
    """

    def __init__(self, redact: Redact | None) -> None:
        self._redact = redact
        self._splitter = FrameSplitter()
        self._dead = False

    def take(self, data: bytes) -> bytes:
        """The redacted commands that a piece completes."""
        if self._redact is None:
            return data
        if self._dead:
            return b""
        parts = []
        try:
            self._splitter.feed(data)
            for block, body in self._splitter:
                parts.append(self._redact.command(block, body))
        except ProtocolError:
            self._dead = True
        return b"".join(parts)
