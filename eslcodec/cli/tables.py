"""Tables for `eslcodec convert`: columns of events, legs or calls, as Parquet, Arrow or lines of JSON."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta, timezone
from importlib import import_module
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Protocol

import click

from ..errors import ESLError, ProtocolError
from ..recordings import Span, nanoseconds
from .files import Chunks, Messages, Noticed
from .text import escape

if TYPE_CHECKING:
    from ..ingest import Redact, Scan

PRESETS: Final = ("events", "legs", "registrations", "agents", "members", "gateways")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_ROWS: Final = 65_536
_GROUP_ROWS: Final = 131_072  # of a row group in Parquet
_GROUP_BYTES: Final = 32 << 20
_TEXT: Final[Callable[[str], str]] = json.JSONEncoder(ensure_ascii=False).encode


class Table(Protocol):
    """What is written: rows of one schema.

    Attributes:
        chunks: of the sources.
    """

    chunks: Chunks

    def schema(self, pa: Any) -> Any:
        """Arrow's schema, with the version in its metadata."""

    def batches(self, pa: Any) -> Iterable[Any]:
        """The rows as Arrow's record batches."""

    def lines(self) -> Iterable[bytes]:
        """The rows as lines of JSON."""


class Events:
    """A row an event, with columns."""

    def __init__(self, chunks: Chunks, found: Scan) -> None:
        self.chunks = chunks
        self._found = found

    def schema(self, pa: Any) -> Any:
        return pa.schema(self._found.schema).with_metadata(self._found.metadata or None)

    def batches(self, pa: Any) -> Iterator[Any]:
        metadata = self.schema(pa).metadata
        for batch in self._batches():
            yield from pa.table(batch).replace_schema_metadata(metadata).to_batches()

    def _batches(self) -> Iterator[Any]:
        try:
            yield from self._found
        except ESLError as error:  # a library is missing; what is damaged was passed over
            raise click.ClickException(escape(str(error))) from error
        malformed = self._found.stats()["malformed"]
        if malformed:
            self.chunks.problems.append(f"event payloads that cannot be read: {malformed}")

    def lines(self) -> Iterator[bytes]:
        begins = [f"{_TEXT(name)}:" for name in self._found.schema]
        writers = [_AS_JSON[kind] for kind in self._found.schema.values()]
        for batch in self._batches():
            columns = [
                [f"{begin}null" if value is None else begin + write(value) for value in values]
                for begin, write, values in zip(begins, writers, batch._lists(), strict=True)
            ]
            for row in zip(*columns, strict=True):
                yield f"{{{','.join(row)}}}".encode("utf-8", "replace")


class Records:
    """A row a leg or a call."""

    def __init__(self, chunks: Chunks, kind: str, redact: Redact | None) -> None:
        self.chunks = chunks
        self._kind = kind
        self._redact = redact

    def _rows(self) -> Iterator[Any]:
        from .. import ingest
        from ..ingest._legs import SENT

        found = map(self._told, Messages(self.chunks, notices=True, names=SENT))
        return ingest.legs(found) if self._kind == "leg" else ingest.calls(found)

    def _told(self, message: Any) -> Any:
        if isinstance(message, Noticed):
            return message.redacted(self._redact).item
        return message if self._redact is None else self._redact(message)

    def schema(self, pa: Any) -> Any:
        from .. import ingest

        return pa.schema(
            _fields(pa, ingest.Leg if self._kind == "leg" else ingest.Call),
            metadata={"table": f"{self._kind}s", "schema_version": str(ingest.presets.LEGS.schema_version)},
        )

    def batches(self, pa: Any) -> Iterator[Any]:
        schema, rows = self.schema(pa), self._rows()
        while some := list(islice(rows, _ROWS)):
            yield pa.RecordBatch.from_pylist([_clean(row.asdict()) for row in some], schema=schema)

    def lines(self) -> Iterator[bytes]:
        return (row.to_json() for row in self._rows())


def events_table(
    chunks: Chunks,
    columns: Iterable[str],
    preset: str | None,
    events: list[str] | None,
    span: tuple[datetime | None, datetime | None],
    threads: int | None,
    redact: Redact | None,
) -> Events:
    """A table of events.

    Raises:
        click.UsageError: a column that cannot be made.
    """
    from ..ingest import presets
    from ..ingest._scan import Scan, default_threads, plan_of

    spec = parse_columns(columns) if columns else getattr(presets, (preset or "events").upper())

    def skip(error: ESLError) -> None:
        where = "" if not isinstance(error, ProtocolError) else "a stream that cannot be framed from some place on: "
        chunks.problems.append(escape(f"{where}{error}"))

    since, until = span
    between = Span(nanoseconds(since, "since"), nanoseconds(until, "until"))
    try:
        plan = plan_of(spec, events, redact, between, skip)
        return Events(chunks, Scan(lambda: chunks, plan, threads or default_threads(redact)))
    except ValueError as error:
        raise click.UsageError(escape(str(error))) from error


def parse_columns(texts: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Columns as they are typed: `NAME=HEADER:KIND`, of which the name is the header's, the kind a string if left out.

    Example:
        >>> parse_columns(["at=Event-Date-Timestamp:timestamp,Unique-ID", "body=@body"])
        {'at': ('Event-Date-Timestamp', 'timestamp'), 'Unique-ID': ('Unique-ID', 'string'), 'body': ('@body', 'string')}
    """
    spec = {}
    for text in texts:
        for item in filter(None, map(str.strip, text.split(","))):
            name, is_named, rest = item.partition("=")
            header, _, kind = (rest if is_named else item).partition(":")
            spec[name if is_named else header] = (header, kind or "string")
    return spec


def pyarrow(what: str, module: str = "pyarrow") -> Any:
    """The library.

    Raises:
        click.ClickException: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise click.ClickException(f"{what} need pyarrow: pip install 'eslcodec[parquet]' ({error})") from error


# A function for each form


def write_parquet(table: Table, file: BinaryIO) -> None:
    pa, parquet = pyarrow("Parquet files"), pyarrow("Parquet files", "pyarrow.parquet")
    schema = table.schema(pa)
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        waiting: list[Any] = []
        rows = size = 0

        def write() -> None:
            writer.write_table(pa.Table.from_batches(waiting, schema).unify_dictionaries(), rows)
            waiting.clear()

        for batch in table.batches(pa):
            waiting.append(batch)
            rows += batch.num_rows
            size += batch.nbytes
            if rows >= _GROUP_ROWS or size >= _GROUP_BYTES:
                write()
                rows = size = 0
        if waiting:
            write()


def write_arrow(table: Table, file: BinaryIO) -> None:
    """Arrow's stream format."""
    pa = pyarrow("Arrow files")
    with pa.ipc.new_stream(file, table.schema(pa)) as writer:
        for batch in table.batches(pa):
            writer.write_batch(batch)


def write_lines(table: Table, file: BinaryIO) -> None:
    for line in table.lines():
        file.write(line + b"\n")


FORMS: Final[dict[str, Callable[[Table, BinaryIO], None]]] = {
    ".parquet": write_parquet,
    ".arrow": write_arrow,
    ".ndjson": write_lines,
}


def _time(us: int) -> str | int:
    try:
        at = _EPOCH + timedelta(microseconds=us)
    except OverflowError:  # behind the year 9999
        return us
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


_AS_JSON: Final[dict[str, Callable[[Any], str]]] = {
    "string": _TEXT,
    "dictionary": _TEXT,
    "int64": str,
    "float64": repr,
    "timestamp": lambda us: json.dumps(_time(us)),
    "bool": lambda value: "true" if value else "false",
    "list": lambda items: f"[{','.join(map(_TEXT, items))}]",
    "binary": lambda value: _TEXT(value.decode("utf-8", "replace")),
    "json": lambda text: text.replace("\n", " ").replace("\r", " "),  # as it is, but on one line
}
"""What becomes of the values of a kind."""


def _fields(pa: Any, kind: Any) -> list[Any]:
    """Arrow's fields for a NamedTuple; own columns are not among them."""
    hints = typing.get_type_hints(kind)
    return [pa.field(name, _type(pa, hints[name])) for name in kind._fields if name != "own"]


def _type(pa: Any, hint: Any) -> Any:
    if isinstance(hint, types.UnionType):
        (hint,) = (each for each in typing.get_args(hint) if each is not type(None))
    if typing.get_origin(hint) is tuple:
        return pa.list_(_type(pa, typing.get_args(hint)[0]))
    if hasattr(hint, "_fields"):
        return pa.struct(_fields(pa, hint))
    simple = {str: pa.string, int: pa.int64, float: pa.float64}
    return pa.timestamp("us", "UTC") if hint is datetime else simple[hint]()


def _clean(value: Any) -> Any:
    """A row whose texts are UTF-8, whatever came."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if isinstance(value, dict):
        return {name: _clean(each) for name, each in value.items()}
    return [_clean(each) for each in value] if isinstance(value, (list, tuple)) else value
