"""Events as lines of JSON: `ndjson`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from .. import limits
from .._core.text import replaces
from ..events import Decoder, Event
from . import _spec
from .columns import Columns

if TYPE_CHECKING:
    from typing_extensions import Buffer

_READ_BYTES: Final = 256 << 10
"""At a time: what is made of so many bytes is written before the next are read."""


def ndjson(
    source: Buffer | BinaryIO | Iterable[Buffer],
    out: BinaryIO,
    events: Iterable[str] | None = None,
    errors: str = "replace",
    redact: Callable[[Event], Event] | None = None,
) -> int:
    """Write the events of a stream as lines of JSON, each what `event.to_json()` gives.

    The compiled columns write the lines of plain and JSON events without an object an event. An event that cannot be
    read has no line, nor has one that the stream ends in.

    Args:
        source: received bytes; or a binary file, or pieces of bytes.
        out: a binary file.
        events: names of events, as for `Columns`; None for all.
        errors: as for `event.to_json`.
        redact: what is called with each event, such as a `Redact`; the line is that of what it gives.

    Returns:
        How many lines were written.

    Raises:
        ProtocolError: the stream cannot be framed any further; the lines before that place were written.
        ValueError: another value of `errors`, a subclass of anything but CUSTOM.

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
    for piece in _pieces(source):
        try:
            lines.feed(piece)
        finally:
            out.write(lines.drain())
    lines.check()
    return lines.count


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
        columns: Any = Columns({"line": ("@json", "binary")}, events, _spec.BATCH_ROWS_MOST, _spec.VALUE_MOST)
        columns._as_lines()
        self.columns = columns

    def feed(self, data: Buffer) -> None:
        self.columns.feed(data)

    def drain(self) -> bytes:
        drained: bytes = self.columns._drain()
        return drained

    @property
    def count(self) -> int:
        count: int = self.columns.stats()["rows"]
        return count

    def check(self) -> None:
        self.columns.take()


class _Lines:
    """Lines by the core's messages."""

    def __init__(self, events: Iterable[str] | None, errors: str, redact: Callable[[Event], Event] | None) -> None:
        self.wanted = _spec.wanted(events)
        self.errors = errors
        self.redact = redact
        self.decoder = Decoder(max_buffered=limits.BOUND_CEILING - 1)
        self.lines: list[bytes] = []
        self.count = 0

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
