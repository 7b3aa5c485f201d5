"""From the bytes of a switch to a table of eight columns: the ways that people go today, and what is behind them.

Each returns how many rows its table has. Ours are in columns.py.
"""

from __future__ import annotations

import atexit
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import clients
from columns import EIGHT
from corpora import Stream

Pass = Callable[[], int]
HEADERS = [header for header, _ in EIGHT.values()]


def greenswitch_pandas(stream: Stream) -> Pass:
    """A frame of the dicts that greenswitch's own parser makes; its columns stay text, which is cheaper."""
    import pandas

    rows: list[Any] = []
    feed = clients.greenswitch(stream, rows.append)

    def run() -> int:
        feed()
        return len(pandas.DataFrame(rows, columns=HEADERS))

    return run


def duckdb(lines: Callable[[Stream], Callable[[], Iterable[bytes]]]) -> Callable[[Stream], Pass]:
    """A table of DuckDB, of a file with the lines of JSON."""

    def prepare(stream: Stream) -> Pass:
        import duckdb

        db = duckdb.connect(config={"threads": 1})
        folder = tempfile.TemporaryDirectory(prefix="eslcodec-bench-")
        atexit.register(folder.cleanup)
        path = Path(folder.name, "events.ndjson")
        query = f"CREATE OR REPLACE TABLE events AS SELECT {', '.join(map(_selected, EIGHT))} FROM {_read_json(path)}"
        made = lines(stream)

        def run() -> int:
            with path.open("wb") as file:
                file.writelines(made())
            db.execute(query)
            (count,) = db.execute("SELECT count(*) FROM events").fetchone() or (0,)
            path.unlink()
            return int(count)

        return run

    return prepare


CASTS = {"int64": "TRY_CAST({} AS BIGINT)", "timestamp": "make_timestamp(TRY_CAST({} AS BIGINT))"}


def _selected(column: str) -> str:
    header, kind = EIGHT[column]
    return f"{CASTS.get(kind, '{}').format(chr(34) + header + chr(34))} AS {column}"


def _read_json(path: Path) -> str:
    """Only the columns that are wanted, of a known type: DuckDB has nothing to find out, which is the quickest."""
    columns = ", ".join(f"'{header}': 'VARCHAR'" for header in HEADERS)
    return f"read_json('{path}', format = 'newline_delimited', columns = {{{columns}}})"


def _events(stream: Stream) -> Callable[[], Iterator[Any]]:
    import eslcodec

    decoder, chunks = eslcodec.Decoder(), stream.chunks

    def run() -> Iterator[Any]:
        for chunk in chunks:
            decoder.feed(chunk)
            yield from decoder

    return run


def our_lines(stream: Stream) -> Callable[[], Iterator[bytes]]:
    """`to_json` of each event."""
    events = _events(stream)
    return lambda: (event.to_json() + b"\n" for event in events())


def stdlib_lines(yardstick: Callable[[Stream, clients.Use], Callable[[], object]]) -> Any:
    """`json.dumps` of the dicts that the yardstick makes."""

    def prepare(stream: Stream) -> Callable[[], list[bytes]]:
        found: list[bytes] = []
        feed = yardstick(
            stream, lambda headers: found.append(json.dumps(headers, ensure_ascii=False).encode(errors="replace"))
        )

        def run() -> list[bytes]:
            feed()
            return [line + b"\n" for line in found]

        return run

    return prepare


def official_lines(stream: Stream) -> Callable[[], Iterator[bytes]]:
    """`serialize("json")` of the official module's events, on one line each."""
    connection = clients.esl_connection(clients.official_esl(), stream)
    count = len(stream.frames)

    def run() -> Iterator[bytes]:
        for _ in range(count):
            text = connection.recvEvent().serialize("json")
            yield text.replace("\n", "").encode(errors="replace") + b"\n"

    return run


def select_arrow(stream: Stream) -> Pass:
    """pyarrow's builders of what `select` gives."""
    import pyarrow

    events = _events(stream)

    def built(kind: str, values: Iterable[str | None]) -> Any:
        if kind in ("string", "dictionary"):
            return pyarrow.array(values, pyarrow.string())
        numbers = pyarrow.array([None if value is None else int(value) for value in values], pyarrow.int64())
        return numbers if kind == "int64" else numbers.cast(pyarrow.timestamp("us", "UTC"))

    def run() -> int:
        rows = zip(*[event.select(*HEADERS) for event in events()], strict=True)
        arrays = [built(kind, values) for (_, kind), values in zip(EIGHT.values(), rows, strict=True)]
        return int(pyarrow.record_batch(arrays, names=list(EIGHT)).num_rows)

    return run
