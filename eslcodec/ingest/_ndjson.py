"""Events as lines of JSON: `ndjson`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from .. import limits
from .._core.text import replaces
from ..errors import ProtocolError
from ..events import Decoder, Event
from ..recordings import Recording, Span
from ..zst import NOTE
from . import _spec
from ._pieces import Part, Pieces, skip_of
from .columns import Columns
from .notices import from_dict, redacted, to_line

if TYPE_CHECKING:
    from typing_extensions import Buffer

_READ_BYTES: Final = 256 << 10
"""At a time: what is made of so many bytes is written before the next are read."""


def ndjson(
    source: Buffer | BinaryIO | Iterable[Buffer] | str | os.PathLike[str] | Recording,
    out: BinaryIO,
    events: Iterable[str] | None = None,
    errors: str = "replace",
    redact: Callable[[Event], Event] | None = None,
    notices: bool = False,
) -> int:
    """Write the events of a stream as lines of JSON, each what `Event.to_json()` gives.

    The compiled columns write the lines of plain and JSON events without an object an event. An event that cannot be
    read has no line, nor has one that the stream ends in.

    Args:
        source: the path of a recording, a file or a folder, or of a stream as the server sent it; a `Recording`;
            received bytes; a binary file of them, or pieces.
        out: a binary file.
        events: names of events, as for `Columns`; None for all.
        errors: as for `Event.to_json`.
        redact: what is called with each event, such as a `Redact`; the line is that of what it gives.
        notices: write the notices of a recording in their place too, each what `eslcodec.ingest.notices.to_line` gives.
            Who reads the lines has to tell them from events then, so it is to be asked for. `events` does not concern
            them.

    Returns:
        How many lines were written, those of notices too.

    Raises:
        ProtocolError: the stream cannot be framed any further; the lines before that place were written.
        ValueError: another value of `errors`, a subclass of anything but CUSTOM.
        DamagedRecording, RecordingError, OSError: as for `Recording.messages`; the lines before that were written.

    Example:
        >>> import io
        >>> out = io.BytesIO()
        >>> ndjson(b"Content-Length: 17\\nContent-Type: text/event-plain\\n\\nEvent-Name: DTMF\\n", out)
        1
        >>> out.getvalue()
        b'{"Event-Name":"DTMF"}\\n'
    """
    quick = replaces(errors) and redact is None and hasattr(Columns, "_drain")
    lines = _Compiled(events) if quick else _Lines(events, errors, redact)
    if isinstance(source, (str, os.PathLike, Recording)):
        return _of_recording(source, lines, out, _Told(redact) if notices else None)
    for piece in _pieces(source):
        _write(lines, piece, out)
    lines.check()
    return lines.count


def _write(lines: _Compiled | _Lines, data: Buffer, out: BinaryIO) -> None:
    try:
        lines.feed(data)
    finally:
        out.write(lines.drain())


class _Told:
    """Lines of notices."""

    def __init__(self, redact: Callable[[Event], Event] | None) -> None:
        self.count = 0
        self._redact = redact

    def line(self, note: dict[str, Any]) -> bytes:
        """What is written for a note of a recording; nothing if it is no notice."""
        notice = from_dict(note)
        if notice is None:
            return b""
        self.count += 1
        told = notice if self._redact is None else redacted(notice, self._redact)
        return to_line(told, note.get("switch"), note["at"]) + b"\n"


def _of_recording(
    source: str | os.PathLike[str] | Recording, lines: _Compiled | _Lines, out: BinaryIO, told: _Told | None
) -> int:
    recording = source if isinstance(source, Recording) else Recording(source)
    skip = skip_of(recording)
    pieces = Pieces(Span(None, None), False, skip)
    for chunk in recording.chunks(check=False):
        if chunk.kind == NOTE and told is not None:
            out.write(told.line(chunk.note or {}))
        for begin, data, _, _ in pieces.of(Part(chunk, None)) if chunk.kind != NOTE else ():
            if begin is not None:
                lines.restart()
            try:
                _write(lines, data, out)
                lines.check()
            except ProtocolError as error:
                if skip is None:
                    raise
                skip(error)
                pieces.lose()
                lines.renew()
    return lines.count + (0 if told is None else told.count)


def _pieces(source: Any) -> Iterator[Any]:
    if hasattr(source, "read"):
        while piece := source.read(_READ_BYTES):
            yield piece
        return
    for data in (source,) if _is_bytes(source) else source:
        view = memoryview(data).cast("B")
        for at in range(0, len(view), _READ_BYTES):
            yield view[at : at + _READ_BYTES]


def _is_bytes(source: object) -> bool:
    try:
        memoryview(source).release()  # type: ignore[arg-type]
    except TypeError:
        return False
    return True


class _Compiled:
    """Lines by the compiled columns: those of one column are its bytes."""

    def __init__(self, events: Iterable[str] | None) -> None:
        self.events = None if events is None else (events,) if isinstance(events, str) else tuple(events)
        self.before = 0
        self.columns = self._new()

    def _new(self) -> Any:
        columns: Any = Columns({"line": ("@json", "binary")}, self.events, _spec.BATCH_ROWS_MOST, _spec.VALUE_MOST)
        columns._as_lines()
        return columns

    def restart(self) -> None:
        """What was left of a frame is dropped."""
        self.columns._restart_at(0)

    def renew(self) -> None:
        """Go on after what cannot be framed."""
        self.before = self.count
        self.columns = self._new()

    def feed(self, data: Buffer) -> None:
        self.columns.feed(data)

    def drain(self) -> bytes:
        drained: bytes = self.columns._drain()
        return drained

    @property
    def count(self) -> int:
        count: int = self.columns.stats()["rows"]
        return self.before + count

    def check(self) -> None:
        self.columns.take()


class _Lines:
    """Lines by the core's messages."""

    def __init__(self, events: Iterable[str] | None, errors: str, redact: Callable[[Event], Event] | None) -> None:
        self.wanted = _spec.wanted(events)
        self.errors = errors
        self.redact = redact
        self.restart()
        self.lines: list[bytes] = []
        self.count = 0

    def restart(self) -> None:
        """What was left of a frame is dropped."""
        self.decoder = Decoder(max_buffered=limits.BOUND_CEILING - 1)

    renew = restart

    def feed(self, data: Buffer) -> None:
        self.decoder.feed(data)
        for message in self.decoder:
            if not isinstance(message, Event) or message.malformed is not None:
                continue
            if _spec.passes(message, self.wanted):
                event = message if self.redact is None else self.redact(message)
                self.lines.append(event.to_json(self.errors))

    def drain(self) -> bytes:
        self.count += len(self.lines)
        written = b"".join([line + b"\n" for line in self.lines])
        self.lines.clear()
        return written

    def check(self) -> None:
        """Nothing: `feed` raises what there is."""
