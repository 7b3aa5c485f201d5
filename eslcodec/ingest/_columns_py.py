"""Columns in Python: the twin of src/_columns_c.pyx, and the specification of what it does.

Every event becomes an object, and every value one too: it is some thirty times slower. Arrow's buffers are made by
`nanoarrow`, of the extra `arrow`, when a batch is asked for them.
"""

from __future__ import annotations

import threading
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from .. import limits
from .._codec import Message
from .._core.text import replaced, to_text
from ..errors import ProtocolError
from ..events import Decoder, Event
from . import _spec
from ._spec import Column, Context, Spec
from .notices import Notice, is_notice
from .presets import metadata_of
from .watch import Loss

if TYPE_CHECKING:
    from typing_extensions import Buffer

_MISSING: Final = (
    "Arrow needs the compiled columns, which this install does not have, or nanoarrow: pip install 'eslcodec[arrow]'"
)


class Schema(Mapping[str, str]):
    """The columns of a batch: each name with its kind. Whatever takes Arrow schemas takes it.

    Example:
        >>> dict(Columns({"name": ("Event-Name", "string"), "Event-Sequence": "int64"}).schema)
        {'name': 'string', 'Event-Sequence': 'int64'}
    """

    __slots__ = ("_export", "_kinds")

    def __init__(self, kinds: Mapping[str, str], export: Callable[[], object]) -> None:
        self._kinds = dict(kinds)
        self._export = export

    def __getitem__(self, name: str) -> str:
        return self._kinds[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._kinds)

    def __len__(self) -> int:
        return len(self._kinds)

    def __repr__(self) -> str:
        return f"Schema({self._kinds!r})"

    def __arrow_c_schema__(self) -> object:
        """A fresh capsule `arrow_schema`, of a struct with a field for each column."""
        return self._export()


class Batch:
    """Rows of events as Arrow columns. Made by `Columns`; whatever takes Arrow data takes it, as often as you like.

    `pyarrow.table(batch)`, `polars.DataFrame(batch)`, `pandas.DataFrame.from_arrow(batch)`,
    `duckdb.sql("select * from batch")`. The memory is shared with what they make of it, and freed with the last of it.

    Example:
        >>> columns = Columns({"name": ("Event-Name", "string")})
        >>> columns.feed(b"Content-Length: 17\\nContent-Type: text/event-plain\\n\\nEvent-Name: DTMF\\n")
        >>> batch = columns.flush()
        >>> batch.num_rows, batch.schema["name"]
        (1, 'string')
    """

    __slots__ = ("_columns", "_data", "_metadata", "_num_rows")

    _columns: tuple[Column, ...]
    _metadata: dict[str, str]
    _data: list[list[Any]]
    _num_rows: int

    def __init__(self, *_arguments: Any) -> None:
        raise TypeError("Columns makes the batches")

    @classmethod
    def _of(cls, columns: tuple[Column, ...], metadata: dict[str, str], data: list[list[Any]], num_rows: int) -> Batch:
        batch = cls.__new__(cls)
        batch._columns = columns
        batch._metadata = metadata
        batch._data = data
        batch._num_rows = num_rows
        return batch

    @property
    def num_rows(self) -> int:
        """How many rows it has; at least one."""
        return self._num_rows

    @property
    def schema(self) -> Schema:
        """Its columns: names and kinds."""
        return _schema_of(self._columns, self._metadata)

    def __repr__(self) -> str:
        return f"<Batch of {self._num_rows} rows, {len(self._columns)} columns>"

    def _lists(self) -> list[list[Any]]:
        """The values of each column; of a timestamp its microseconds."""
        return self._data

    def __arrow_c_schema__(self) -> object:
        """A fresh capsule `arrow_schema`, of a struct with a field for each column."""
        return _arrow_schema(self._columns, self._metadata).__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """A fresh capsule `arrow_array_stream`, which gives the batch once.

        Args:
            requested_schema: not looked at: the data come in the schema that they have.
        """
        stream = _import_nanoarrow("nanoarrow.c_array_stream").CArrayStream
        schema = _arrow_schema(self._columns, self._metadata)
        children = [_arrow_array(column, values) for column, values in zip(self._columns, self._data, strict=True)]
        batch = _from_buffers(schema, self._num_rows, [None], children=children)
        return stream.from_c_arrays([batch], schema, validate=False).__arrow_c_stream__()


class Columns:
    """Columns of headers from what an Event Socket sends, for Arrow: without a Python object a value, if compiled.

    Values are those of `Event.select`: the exact spelling of a name anywhere in the event before another one, of a
    repeated name the first, of Event-Name the last, percent-decoded; what is not UTF-8 becomes U+FFFD. An absent header
    is null, an empty one `""`. Each event is a row; frames that are no events are passed. The compiled core reads plain
    and JSON events without an object an event; XML ones, and JSON that no switch writes so, take the way of messages.

    Kinds: `string`; `dictionary`: text, with each value stored once a batch; `int64`; `float64`; `timestamp`:
    microseconds, as the switch writes them, UTC, of which 0 is null; `bool`; `list`: the items of an array; `binary`;
    `json`: text that is JSON. What is no such value becomes null, and `stats` counts it.

    Pseudo headers: `@body`, `@json` (`Event.to_json()`), `@id` (`Event.id`); `@received` (microseconds), `@offset`
    (in the bytes that were fed, where the frame begins) and `@switch`, which are null for messages; `@notice`, with
    which notices get rows too, a `Loss` among them, and a `Gap`, which is an event otherwise: their JSON
    (`eslcodec.ingest.notices.to_line`) is here, and everything else is null. It is null for every event, whatever that
    looks like.

    One thread at a time: a second one that comes while the first is at work gets a RuntimeError. The compiled core
    works without the GIL.

    Args:
        spec: a column's name -> its kind, or a header and a kind.
        events: names of events, and `"CUSTOM sofia::register"` for one of a subclass; None for all.
        batch_rows: rows of a batch.
        batch_bytes: bytes after which a batch is full, though it has fewer rows: it bounds the memory. Batches that
            nobody takes are kept, so take them between feeds.
        redact: what is called with each event, such as a `Redact`; the row is made of what it gives. If it raises, the
            event has no row, and `feed` or `extend` raises that after the other rows. The compiled core is then no
            quicker than the core's messages.

    Raises:
        ValueError: no columns, an unknown kind or pseudo header, a bound out of range.

    Example:
        >>> columns = Columns({"name": ("Event-Name", "dictionary"), "Event-Sequence": "int64"}, events=["DTMF"])
        >>> event = b"Event-Name: DTMF\\nEvent-Sequence: 7\\n"
        >>> columns.feed(b"Content-Length: %d\\nContent-Type: text/event-plain\\n\\n" % len(event) + event)
        >>> columns.take() is None, columns.flush().num_rows, columns.flush() is None
        (True, 1, True)
    """

    def __init__(
        self,
        spec: Spec,
        events: Iterable[str] | None = None,
        batch_rows: int = 65_536,
        batch_bytes: int = 32 << 20,
        redact: Callable[[Event], Event] | None = None,
    ) -> None:
        self._columns = _spec.columns_of(spec)
        self._wanted = _spec.wanted(events)
        self._batch_rows = _spec.checked_bound("batch_rows", batch_rows, _spec.BATCH_ROWS_MOST)
        self._batch_bytes = _spec.checked_bound("batch_bytes", batch_bytes, _spec.VALUE_MOST)
        self._redact = redact
        self._tells = _spec.tells(self._columns)
        self._row_bytes = sum(column.fixed for column in self._columns)
        self._busy = threading.Lock()
        self._metadata = metadata_of(spec)
        self._restart_at(0)
        self._error: ProtocolError | None = None
        self._full: deque[Batch] = deque()
        self._refused = [0] * len(self._columns)
        self._total = self._malformed = self._filtered = 0
        self._begin()

    def _begin(self) -> None:
        self._data: list[list[Any]] = [[] for _ in self._columns]
        self._seen: list[set[str]] = [set() for _ in self._columns]
        self._rows = self._bytes = 0

    def _restart_at(self, offset: int) -> None:
        """Begin at another place of a stream: what was left of a frame is dropped."""
        self._decoder = Decoder(max_buffered=limits.BOUND_CEILING - 1)
        self._base = offset

    @property
    def schema(self) -> Schema:
        """The columns that every batch has."""
        return _schema_of(self._columns, self._metadata)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._busy.acquire(blocking=False):
            raise RuntimeError("another thread is using these Columns")
        try:
            yield
        finally:
            self._busy.release()

    def feed(self, data: Buffer, received: float | datetime | None = None, switch: str | None = None) -> None:
        """Make rows of the next bytes of a stream.

        An event whose payload cannot be read gives no row, and is counted. What cannot be framed ends the stream: the
        rows before it can be taken, then every call raises the error.

        Args:
            data: any contiguous bytes-like object; not changed until this returns.
            received: `@received` of the events that become whole by it: seconds since 1970, or an aware datetime.
            switch: their `@switch`.

        Raises:
            ProtocolError: an earlier call met bytes that cannot be framed.
            ValueError: `received` is before 1970.
            RuntimeError: another thread is in a call.
            TypeError, BufferError: as for `Decoder.feed`.
        """
        context = _spec.microseconds(received), _spec.to_wire(switch)
        with self._alone():
            self._check()
            self._decoder.feed(data)
            raised = self._add_all(*context)
            if raised is not None:
                raise raised

    def extend(self, messages: Iterable[Message | Notice | Loss]) -> None:
        """Make rows of the events among messages, as `fs.take` gives them; of the notices too, if there is `@notice`.

        Raises:
            ProtocolError, RuntimeError: as for `feed`.
        """
        with self._alone():
            self._check()
            raised: BaseException | None = None
            for message in messages:
                try:
                    self._add_message(message)
                except BaseException as error:  # of `redact`: the others have their rows
                    raised = raised or error
            if raised is not None:
                raise raised

    def _add_message(self, message: Message | Notice | Loss) -> None:
        if self._tells and is_notice(message):
            self._put_notice(_spec.notice_line(message, self._redact), Context())
            return
        for event in _spec.payloads((message,)):
            self._add(event, Context())

    def _add_notice(self, line: bytes, received: float | None, switch: str | None) -> None:
        """Make a row of a notice, in its place in what is fed."""
        with self._alone():
            self._check()
            self._put_notice(line, Context(_spec.microseconds(received), None, _spec.to_wire(switch)))

    def take(self) -> Batch | None:
        """The next batch that is full, None if none is.

        Raises:
            ProtocolError: the stream cannot be framed any further, and all rows before that place were taken.
            RuntimeError: another thread is in a call.
        """
        with self._alone():
            if not self._full:
                self._check()
            return self._full.popleft() if self._full else None

    def flush(self) -> Batch | None:
        """The next batch, full or not; None if there are no rows. So call it until it gives None.

        Raises:
            ProtocolError, RuntimeError: as for `take`.
        """
        with self._alone():
            if not self._full:
                self._check()
                self._seal()
            return self._full.popleft() if self._full else None

    def stats(self) -> dict[str, Any]:
        """What was made so far.

        `rows`; `filtered`, events that `events` left out; `malformed`, events that could not be read; `refused`, a
        column's name -> how many values were not of its kind and became null.
        """
        with self._alone():
            counted = zip(self._columns, self._refused, strict=True)
            refused = {column.name: count for column, count in counted if count}
            counts = {"rows": self._total, "filtered": self._filtered, "malformed": self._malformed}
            return {**counts, "refused": refused}

    # One row

    def _add_all(self, received: bytes | None, switch: bytes | None) -> BaseException | None:
        """Add the events that are whole; what `redact` raised first."""
        raised: BaseException | None = None
        while True:
            try:
                message = self._decoder.next_message()
            except ProtocolError as error:
                self._end(error)
                return raised
            if message is None:
                return raised
            if isinstance(message, Event):
                offset = self._base + self._decoder.consumed - len(message.frame)
                try:
                    self._add(message, Context(received, b"%d" % offset, switch))
                except BaseException as error:
                    raised = raised or error

    def _check(self) -> None:
        if self._error is not None:
            raise self._error.again()

    def _end(self, error: ProtocolError) -> None:
        self._error = error.again()
        self._seal()

    def _seal(self) -> None:
        if self._rows:
            self._full.append(Batch._of(self._columns, self._metadata, self._data, self._rows))
            self._begin()

    def _add(self, event: Event, context: Context) -> None:
        if event.malformed is not None:
            self._malformed += 1
            return
        if not _spec.passes(event, self._wanted):
            self._filtered += 1
            return
        if self._redact is not None:
            event = self._redact(event)
        self._put(_spec.values_of(event, self._columns, context))

    def _put_notice(self, line: bytes, context: Context) -> None:
        self._put(_spec.notice_values(line, self._columns, context))

    def _put(self, values: Sequence[bytes | list[bytes] | None]) -> None:
        self._bytes += self._row_bytes
        row = [None if raw is None else self._read(number, raw) for number, raw in enumerate(values)]
        for column, value in zip(self._data, row, strict=True):
            column.append(value)
        self._rows += 1
        self._total += 1
        if self._rows >= self._batch_rows or self._bytes >= self._batch_bytes:
            self._seal()

    def _read(self, number: int, raw: bytes | list[bytes]) -> Any:
        """A value as its column's kind has it; None if it is no such value."""
        column = self._columns[number]
        if isinstance(raw, list):
            items = [replaced(to_text(item)) for item in raw]
            self._bytes += sum(len(item.encode()) + 4 for item in items)
            return items
        value = _READ[column.kind](raw) if len(raw) <= _spec.VALUE_MOST else None
        if (
            column.kind == "json"
            and value is not None
            and column.header != "@json"
            and not _spec.is_json(value.encode())
        ):
            value = None
        if value is None:
            self._refused[number] += 1
        elif column.kind == "timestamp":
            value = value or None
        elif column.kind == "dictionary":
            if value not in self._seen[number]:
                self._seen[number].add(value)
                self._bytes += len(value.encode()) + 4
        elif isinstance(value, (str, bytes)):
            self._bytes += len(value.encode() if isinstance(value, str) else value)
        return value


def _text(raw: bytes) -> str:
    return replaced(to_text(raw))


_READ: Final[Mapping[str, Callable[[bytes], Any]]] = {
    "string": _text,
    "dictionary": _text,
    "int64": _spec.to_int,
    "float64": _spec.to_float,
    "timestamp": _spec.to_timestamp,
    "bool": _spec.to_bool,
    "binary": bytes,
    "json": _text,
}


# Arrow, by nanoarrow


def stream_of_all(schema: Schema, batches: Iterable[Batch]) -> object:
    """A fresh capsule `arrow_array_stream` of all batches."""
    stream = _import_nanoarrow("nanoarrow.c_array_stream").CArrayStream
    na = _import_nanoarrow()
    arrays = [array for batch in batches for array in na.c_array_stream(batch)]
    return stream.from_c_arrays(arrays, na.c_schema(schema), validate=False).__arrow_c_stream__()


def _import_nanoarrow(name: str = "nanoarrow") -> Any:
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(_MISSING) from error


def _schema_of(columns: tuple[Column, ...], metadata: dict[str, str]) -> Schema:
    kinds = {column.name: column.kind for column in columns}
    return Schema(kinds, lambda: _arrow_schema(columns, metadata).__arrow_c_schema__())


def _arrow_schema(columns: tuple[Column, ...], metadata: dict[str, str]) -> Any:
    na = _import_nanoarrow()
    schema = na.c_schema(na.struct({column.name: _arrow_type(column.kind) for column in columns}, nullable=False))
    return schema.modify(metadata=metadata) if metadata else schema


def _arrow_type(kind: str) -> Any:
    na = _import_nanoarrow()
    simple = {"int64": na.int64, "float64": na.float64, "bool": na.bool_, "binary": na.binary}
    if kind == "timestamp":
        return na.timestamp("us", "UTC")
    if kind == "list":
        return na.list_(na.string())
    if kind == "dictionary":
        return na.dictionary(na.int32(), na.string())
    return simple.get(kind, na.string)()


def _from_buffers(schema: Any, length: int, buffers: list[Any], children: Iterable[Any] = ()) -> Any:
    return _import_nanoarrow().c_array_from_buffers(schema, length, buffers, children=children, validation_level="none")


def _bits(flags: Iterable[bool]) -> bytes:
    packed = bytearray()
    for at, flag in enumerate(flags):
        if not at & 7:
            packed.append(0)
        packed[-1] |= flag << (at & 7)
    return bytes(packed)


def _numbers(code: str, numbers: Iterable[Any]) -> bytes:
    return array(code, numbers).tobytes()


def _offsets(pieces: Iterable[int]) -> bytes:
    ends = array("i", [0])
    end = 0
    for size in pieces:
        end += size
        ends.append(end)
    return ends.tobytes()


def _texts(texts: Iterable[Any]) -> list[bytes]:
    """Buffers of texts or bytes; of None too, which have no bytes."""
    raw = [b"" if text is None else text.encode() if isinstance(text, str) else text for text in texts]
    return [_offsets(map(len, raw)), b"".join(raw)]


def _arrow_array(column: Column, values: list[Any]) -> Any:
    na = _import_nanoarrow()
    schema = na.c_schema(_arrow_type(column.kind))
    valid = _bits(value is not None for value in values) if None in values else None
    if column.kind == "list":
        items = [item for value in values for item in value or ()]
        inner = _from_buffers(na.c_schema(na.string()), len(items), [None, *_texts(items)])
        return _from_buffers(schema, len(values), [valid, _offsets(len(value or ()) for value in values)], [inner])
    if column.kind == "dictionary":
        return _dictionary_array(schema, valid, values)
    if column.kind == "bool":
        return _from_buffers(schema, len(values), [valid, _bits(map(bool, values))])
    if column.kind in ("int64", "timestamp"):
        return _from_buffers(schema, len(values), [valid, _numbers("q", (value or 0 for value in values))])
    if column.kind == "float64":
        return _from_buffers(schema, len(values), [valid, _numbers("d", (value or 0.0 for value in values))])
    return _from_buffers(schema, len(values), [valid, *_texts(values)])


def _dictionary_array(schema: Any, valid: bytes | None, values: list[str | None]) -> Any:
    codes: dict[str, int] = {}
    indices = [0 if value is None else codes.setdefault(value, len(codes)) for value in values]
    array = _from_buffers(schema, len(values), [valid, _numbers("i", indices)])
    string = _import_nanoarrow().c_schema(_import_nanoarrow().string())
    _move(_from_buffers(string, len(codes), [None, *_texts(codes)]), array.dictionary)
    return array


def _move(source: Any, target: Any) -> None:
    """Move what one of nanoarrow's arrays owns into another, which is empty: nanoarrow has no way to set a dictionary.

    An ArrowArray may be moved by copying its bytes and marking the source released.
    """
    import ctypes

    pointer, words = ctypes.sizeof(ctypes.c_void_p), 5 * ctypes.sizeof(ctypes.c_int64)
    size, release = words + 5 * pointer, words + 3 * pointer
    callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p).from_address(target._addr() + release)
    callback(target._addr())
    ctypes.memmove(target._addr(), source._addr(), size)
    ctypes.memset(source._addr() + release, 0, pointer)
