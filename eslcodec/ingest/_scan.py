"""Columns of what was recorded, as a stream of batches: `scan`."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..errors import ESLError, ProtocolError
from ..events import Event
from ..recordings import Recording, Span, nanoseconds
from ..zst import NOTE, Chunk
from . import _spec, columns
from ._pieces import Part, Pieces, Switches, groups, plain_chunks, skip_of, with_beginnings
from .columns import Batch, Columns, Schema
from .notices import from_dict
from .presets import Preset, metadata_of

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from ._pieces import Skip

    Source = str | os.PathLike[str] | Recording | Buffer
    Redacts = Callable[[Event], Event] | None

_IMPLEMENTATION: Final[Any] = vars(columns)["_columns"]
_THREADS_MOST: Final = 4
"""Without being told otherwise: the thread that reads the file and makes the groups keeps no more of them at work."""
_BATCH_BYTES: Final = 4 << 20
"""Batches with whole events in them are large: several are in memory at a time."""


class _Plan(NamedTuple):
    """What is made of chunks."""

    spec: _spec.Spec
    events: tuple[str, ...] | None
    redact: Redacts
    span: Span
    skip: Skip

    def columns(self) -> Columns:
        return Columns(self.spec, self.events, batch_bytes=_BATCH_BYTES, redact=self.redact)

    @property
    def sources(self) -> set[int]:
        return {column.source for column in _spec.columns_of(self.spec)}

    @property
    def tells(self) -> bool:
        return _spec.tells(_spec.columns_of(self.spec))

    @property
    def times(self) -> bool:
        return _spec.SOURCES.index("@received") in self.sources


class Scan:
    """Batches of columns, made while they are read; `scan` makes it.

    Whatever takes Arrow streams takes it (`__arrow_c_stream__`), as often as you like: each time the source is read
    anew. So does iterating, which gives each `Batch`.

    Attributes:
        metadata: of the schema: `table` and `schema_version` of a preset.

    Example:
        >>> data = b"Content-Length: 17\\nContent-Type: text/event-plain\\n\\nEvent-Name: DTMF\\n"
        >>> found = scan(data * 3, {"name": ("Event-Name", "dictionary")})
        >>> [batch.num_rows for batch in found], found.stats()["rows"]
        ([3], 3)
    """

    def __init__(self, chunks: Callable[[], Iterable[Chunk]], plan: _Plan, threads: int) -> None:
        self._chunks = chunks
        self._plan = plan
        self._threads = threads
        self._stats: dict[str, Any] = {}
        self._schema = plan.columns().schema
        self.metadata = metadata_of(plan.spec)

    def __repr__(self) -> str:
        return f"<Scan, {len(self._schema)} columns>"

    @property
    def schema(self) -> Schema:
        """The columns that every batch has."""
        return self._schema

    def stats(self) -> dict[str, Any]:
        """What the last reading made, as `Columns.stats`; {} before there was one. It is whole at its end.

        With `since` or `until` events that were read and not asked for are counted too.
        """
        return dict(self._stats)

    def __iter__(self) -> Iterator[Batch]:
        self._stats = stats = {"rows": 0, "filtered": 0, "malformed": 0, "refused": {}}
        switches = Switches()
        tells = self._plan.tells
        chunks = (chunk for chunk in self._chunks() if switches.see(chunk) or tells)
        if self._threads == 1:
            return _batches((Part(chunk, None) for chunk in chunks), self._plan, switches, stats)
        return self._threaded(chunks, switches, stats)

    def __arrow_c_schema__(self) -> object:
        """A fresh capsule `arrow_schema`, of a struct with a field for each column."""
        return self._schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """A fresh capsule `arrow_array_stream` of all batches. What goes wrong comes out of it as an error with a text.

        Without the compiled columns all batches are made before; iterating makes one after the other.

        Args:
            requested_schema: not looked at: the data come in the schema that they have.
        """
        stream_of = getattr(_IMPLEMENTATION, "stream_of", None)
        if stream_of is not None:
            return stream_of(self._schema, iter(self))
        return _IMPLEMENTATION.stream_of_all(self._schema, list(self))

    # Threads

    def _threaded(self, chunks: Iterable[Chunk], switches: Switches, stats: dict[str, Any]) -> Iterator[Batch]:
        waiting: deque[Future[_Made]] = deque()
        damage: Exception | None = None
        with ThreadPoolExecutor(self._threads, "eslcodec-scan") as pool:
            found = groups(with_beginnings(chunks))
            try:
                while True:
                    try:
                        group = next(found, None)
                    except (ESLError, OSError) as error:
                        group, damage = None, error
                    if group is not None:
                        waiting.append(pool.submit(_made, group, self._plan, switches))
                    if group is None or len(waiting) > self._threads + 1:
                        while waiting and (group is None or len(waiting) > self._threads + 1):
                            yield from waiting.popleft().result().taken(stats)
                    if group is None:
                        break
            finally:
                for future in waiting:
                    future.cancel()
        if damage is not None:
            raise damage


class _Made(NamedTuple):
    """What a thread made of a group."""

    batches: deque[Batch]
    stats: dict[str, Any]
    error: Exception | None

    def taken(self, stats: dict[str, Any]) -> Iterator[Batch]:
        _add_stats(stats, self.stats)
        while self.batches:
            yield self.batches.popleft()
        if self.error is not None:
            raise self.error


def _made(group: deque[Part], plan: _Plan, switches: Switches) -> _Made:
    made = _Made(deque(), {"rows": 0, "filtered": 0, "malformed": 0, "refused": {}}, None)
    try:
        made.batches.extend(_batches(_drained(group), plan, switches, made.stats))
    except (ESLError, OSError) as error:
        return made._replace(error=error)
    return made


def _drained(group: deque[Part]) -> Iterator[Part]:
    """Each once, and not kept: what was unpacked of it is freed."""
    while group:
        yield group.popleft()


def _batches(parts: Iterable[Part], plan: _Plan, switches: Switches, stats: dict[str, Any]) -> Iterator[Batch]:
    """The batches of chunks. What was made before an error comes first."""
    rows = _Rows(plan, switches, stats)
    try:
        for part in parts:
            yield from rows.of(part)
    except (ESLError, OSError):
        yield from rows.rest()
        raise
    finally:
        _add_stats(stats, rows.columns.stats())
    yield from rows.rest()


class _Rows:
    """Columns that are fed with chunks."""

    def __init__(self, plan: _Plan, switches: Switches, stats: dict[str, Any]) -> None:
        self.columns = plan.columns()
        self._stats = stats  # of the columns before these
        self._plan = plan
        self._names = switches if _spec.SOURCES.index("@switch") in plan.sources else Switches()
        self._pieces = Pieces(plan.span, plan.times, plan.skip)
        self._wanted = True

    def of(self, part: Part) -> Iterator[Batch]:
        """The batches that a chunk makes full."""
        name = self._names.name(part.chunk)
        if part.chunk.kind == NOTE:
            yield from self._noted(part.chunk, name)
            return
        for begin, data, us, wanted in self._pieces.of(part):
            if wanted != self._wanted:
                yield from self.rest()
                self._wanted = wanted
            if begin is not None:
                self.columns._restart_at(begin)
            try:
                self.columns.feed(data, None if us is None else us / 1e6, name)
                for batch in iter(self.columns.take, None):
                    if wanted:
                        yield batch
            except ProtocolError as error:
                if self._plan.skip is None:
                    raise
                self._plan.skip(error)
                self._pieces.lose()
                _add_stats(self._stats, self.columns.stats())
                self.columns = self._plan.columns()
                return

    def _noted(self, chunk: Chunk, name: str | None) -> Iterator[Batch]:
        """The row of a note, if it is a notice."""
        note = chunk.note or {}
        notice = from_dict(note)
        if notice is None or not self._plan.span.has(chunk.wall_ns):
            return
        if not self._wanted:
            yield from self.rest()
            self._wanted = True
        line = _spec.notice_line(notice, self._plan.redact, note.get("switch"), note["at"])
        self.columns._add_notice(line, chunk.wall_ns / 1e9, name)
        yield from iter(self.columns.take, None)

    def rest(self) -> Iterator[Batch]:
        """The rows that are there, if they are wanted."""
        try:
            for batch in iter(self.columns.flush, None):
                if self._wanted:
                    yield batch
        except ProtocolError:
            pass  # was raised


def _add_stats(total: dict[str, Any], more: dict[str, Any]) -> None:
    for name in ("rows", "filtered", "malformed"):
        total[name] += more[name]
    for name, count in more["refused"].items():
        total["refused"][name] = total["refused"].get(name, 0) + count


def scan(
    source: Source | Sequence[str | os.PathLike[str]],
    spec: _spec.Spec,
    threads: int | None = None,
    since: datetime | float | None = None,
    until: datetime | float | None = None,
    events: Iterable[str] | None = None,
    redact: Redacts = None,
) -> Scan:
    """Columns of what was recorded, as an Arrow stream: for tables of pyarrow, frames of Polars, queries of DuckDB.

    Nothing is read before somebody asks, and memory is that of some batches, however long it is. A recording knows
    `@received`, `@switch` (host and port), and `@notice`: what was noted in it. An event that the stream ends in has
    no row.

    Args:
        source: the path of a recording, a file or a folder, or of a stream as the server sent it; several of them; a
            `Recording`; or received bytes.
        spec: a column's name -> its kind, or a header and a kind, see `Columns`; or one of `presets`, which also says
            which events, if `events` does not.
        threads: how many read at a time; the batches come in order all the same. None for as many as the machine has
            processors, at most 4; one if the columns are not compiled, or with `redact`.
        since, until: when an event was received, by the recorder's clock: from the one, before the other. An aware
            datetime, or seconds since 1970.
        events: names of events, see `Columns`; None for all.
        redact: what is called with each event, such as a `Redact`; by several threads if there are several.

    Raises:
        ValueError: see `Columns`; `threads` is less than 1; the `Recording` is of a file object, which is read once.
        OSError: there is no such file.

    What the source raises, see `Recording.messages`, comes while it is read, after the rows before it: with this text
    from whoever reads the stream.

    Example:
        >>> data = b"Content-Length: 17\\nContent-Type: text/event-plain\\n\\nEvent-Name: DTMF\\n"
        >>> for batch in scan(data, {"name": ("Event-Name", "dictionary"), "place": ("@offset", "int64")}):
        ...     print(batch)
        <Batch of 1 rows, 2 columns>
    """
    if threads is None:
        threads = default_threads(redact)
    if threads < 1:
        raise ValueError(f"threads is {threads}, expected 1 or more")
    span = Span(nanoseconds(since, "since"), nanoseconds(until, "until"))
    chunks, skip = chunks_of(source, since, until)
    return Scan(chunks, plan_of(spec, events, redact, span, skip), threads)


def plan_of(spec: _spec.Spec, events: Iterable[str] | None, redact: Redacts, span: Span, skip: Skip) -> _Plan:
    if events is None and isinstance(spec, Preset):
        events = spec.events
    chosen = None if events is None else (events,) if isinstance(events, str) else tuple(events)
    return _Plan(spec, chosen, redact, span, skip)


def chunks_of(
    source: Source | Sequence[str | os.PathLike[str]],
    since: datetime | float | None = None,
    until: datetime | float | None = None,
) -> tuple[Callable[[], Iterable[Chunk]], Skip]:
    """What gives the chunks of a source anew each time, and what is told of damage; None to raise it.

    Raises:
        ValueError, OSError: as for `scan`.
    """
    if isinstance(source, Recording):
        if source._is_file:
            raise ValueError("the recording is a file object, which is read once; expected one of a path")
        return lambda: source.chunks(since, until, check=False), skip_of(source)
    if isinstance(source, (str, os.PathLike)):
        return chunks_of(Recording(source), since, until)
    if is_bytes(source):
        if since is not None or until is not None:
            raise ValueError("bytes have no times, so since and until cannot be used")
        return lambda: plain_chunks(source), None  # type: ignore[arg-type]
    found = [Recording(path) for path in source]  # type: ignore[union-attr]
    return lambda: (chunk for each in found for chunk in each.chunks(since, until, check=False)), None


def is_bytes(source: object) -> bool:
    try:
        memoryview(source).release()  # type: ignore[arg-type]
    except TypeError:
        return False
    return True


def default_threads(redact: Redacts) -> int:
    """How many threads are of use."""
    if redact is not None or not hasattr(_IMPLEMENTATION, "stream_of"):
        return 1
    if sys.version_info >= (3, 13):
        count = os.process_cpu_count()
    else:
        count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(count or 1, _THREADS_MOST)
