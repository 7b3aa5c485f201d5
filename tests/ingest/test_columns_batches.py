"""Batches of columns: when they are full, who reads them, how they end, and what threads and scarce memory do."""

from __future__ import annotations

import ctypes
import mmap
import subprocess
import sys
import threading
from datetime import datetime, timezone
from types import ModuleType
from typing import Any

import pytest
from arrow_reader import rows_by_ctypes
from columns_support import EPOCH, SPEC, all_batches, columns_of, made, rows_of
from support import capture, plain

import eslcodec

NAME = {"name": ("Event-Name", "string")}
DICTIONARY = {
    "name": ("Event-Name", "dictionary"),
    "at": ("Event-Date-Timestamp", "timestamp"),
    "codecs": ("L", "list"),
}


def event(number: int) -> bytes:
    lines = b"Event-Name: E%d\nEvent-Date-Timestamp: %d\nL: ARRAY::a|:b\n\n" % (number % 3, number * 10**6)
    return plain(lines)


EVENTS = b"".join(map(event, range(10)))


def whole(name: str, most: int) -> bytes:
    """The whole frames that a capture begins with."""
    data = capture(name)[:most]
    decoder = eslcodec.Decoder()
    decoder.feed(data)
    list(decoder)
    return data[: decoder.consumed]


# Bounds


def test_a_batch_is_full_by_rows(esl: ModuleType) -> None:
    columns = columns_of(esl).Columns(DICTIONARY, batch_rows=4)
    columns.feed(EVENTS)
    assert [batch.num_rows for batch in iter(columns.take, None)] == [4, 4]
    assert columns.take() is None
    assert [batch.num_rows for batch in all_batches(columns)] == [2]
    assert columns.flush() is None


def test_a_batch_is_full_by_bytes_in_both_cores_alike(both: tuple[ModuleType, ModuleType]) -> None:
    data = whole("sip_plain", 200_000) + whole("special_json", 100_000)
    for most in (1, 1000, 5000):
        sizes = []
        for esl in both:
            columns = columns_of(esl).Columns(SPEC, batch_bytes=most)
            columns.feed(data)
            sizes.append([batch.num_rows for batch in all_batches(columns)])
        assert sizes[0] == sizes[1]
        assert most > 1 or set(sizes[0]) == {1}


def test_flush_gives_full_batches_first(esl: ModuleType) -> None:
    columns = columns_of(esl).Columns(NAME, batch_rows=3)
    columns.feed(EVENTS)
    assert [batch.num_rows for batch in all_batches(columns)] == [3, 3, 3, 1]


@pytest.mark.parametrize(
    "options", [{"batch_rows": 0}, {"batch_rows": 1 << 31}, {"batch_bytes": 0}, {"batch_bytes": 1 << 29}]
)
def test_bounds_are_checked(esl: ModuleType, options: Any) -> None:
    with pytest.raises(ValueError, match="expected 1 to"):
        columns_of(esl).Columns(NAME, **options)


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({}, "no columns"),
        ({"a": "text"}, "expected one of string"),
        ({"@nobody": "string"}, "no pseudo header"),
        ({"@body": "list"}, "is no list"),
        ({"a\0": "string"}, "cannot be the name"),
        ({"\ud800": "string"}, "cannot be the name"),
    ],
)
def test_what_cannot_be_a_column_is_refused(esl: ModuleType, spec: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        columns_of(esl).Columns(spec)


# Arguments


def test_received_is_seconds_or_a_datetime(esl: ModuleType) -> None:
    columns = columns_of(esl).Columns({"@received": "timestamp", "@switch": "string"})
    columns.feed(event(1), received=1.25)
    columns.feed(bytearray(event(1)), received=datetime(1970, 1, 1, 0, 0, 2, 5, timezone.utc), switch="s\u00e9")
    columns.feed(memoryview(event(1)))
    assert [
        (row["@received"] and (row["@received"] - EPOCH).total_seconds(), row["@switch"])
        for row in rows_of(columns.flush())
    ] == [
        (1.25, None),
        (2.000005, "s\u00e9"),
        (None, None),
    ]


@pytest.mark.parametrize("received", [-1, float("nan"), float("inf"), 1e30])
def test_a_time_that_no_clock_shows_is_refused(esl: ModuleType, received: float) -> None:
    columns = columns_of(esl).Columns(NAME)
    with pytest.raises(ValueError, match="received is"):
        columns.feed(event(1), received=received)
    columns.feed(event(1))
    assert columns.flush().num_rows == 1


def test_what_is_no_bytes_is_refused(esl: ModuleType) -> None:
    columns = columns_of(esl).Columns(NAME)
    with pytest.raises(TypeError, match="feed\\(\\) takes bytes, not str"):
        columns.feed("text")
    with pytest.raises(BufferError, match="contiguous"):
        columns.feed(memoryview(b"abcd")[::2])
    columns.feed(event(1))
    assert columns.flush().num_rows == 1


# Damage


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (b"Content-Length: x\n\n", "InvalidContentLength"),
        (b"Content-Length: 1\nContent-Length: 2\n\n", "InvalidContentLength"),
        (b"Content-Type: text/event-json\n\n", "InvalidContentLength"),
        (b"Content-Length: 99999999999\nContent-Type: text/event-plain\n\n", "BodyTooLarge"),
        (b"Content-Length: 67108865\nContent-Type: text/event-plain\n\n", "BodyTooLarge"),
        (b"x" * (1 << 20) + b"y", "HeaderTooLarge"),
    ],
)
@pytest.mark.parametrize("cut", [1 << 30, 4096, 700])
def test_rows_before_damage_can_be_taken_and_then_it_is_raised(
    esl: ModuleType, damage: bytes, error: str, cut: int
) -> None:
    columns = columns_of(esl).Columns(NAME, batch_rows=4)
    data = EVENTS + damage
    for at in range(0, len(data), cut):
        columns.feed(data[at : at + cut])
    with pytest.raises(getattr(esl, error)) as first:
        columns.feed(EVENTS)
    assert [columns.take().num_rows for _ in range(3)] == [4, 4, 2]
    for again in (columns.take, columns.flush, lambda: columns.feed(b""), lambda: columns.extend([])):
        with pytest.raises(getattr(esl, error)) as later:
            again()
        assert str(later.value) == str(first.value)
        assert later.value is not first.value
    assert columns.stats()["rows"] == 10
    decoder = esl.Decoder()
    decoder.feed(data)
    with pytest.raises(getattr(esl, error)) as wanted:
        list(decoder)
    assert str(wanted.value) == str(first.value)


def test_malformed_events_are_counted_and_give_no_row(esl: ModuleType) -> None:
    bad = b"Content-Length: 2\nContent-Type: text/event-json\n\n[]"
    assert made(esl, NAME, [bad + event(1) + bad.replace(b"json", b"xml")])[1:] == (
        None,
        {"rows": 1, "filtered": 0, "malformed": 2, "refused": {}},
    )


# Who reads them


def table(esl: ModuleType, count: int = 7) -> Any:
    columns = columns_of(esl).Columns(DICTIONARY)
    columns.feed(EVENTS + plain(b"A: 1\n\n"))
    return columns.flush()


def test_a_batch_tells_what_it_has(esl: ModuleType) -> None:
    batch = table(esl)
    assert batch.num_rows == 11
    assert dict(batch.schema) == {"name": "dictionary", "at": "timestamp", "codecs": "list"}
    assert repr(batch) == "<Batch of 11 rows, 3 columns>"
    assert repr(batch.schema) == f"Schema({dict(batch.schema)!r})"
    assert dict(columns_of(esl).Columns(DICTIONARY).schema) == dict(batch.schema)
    with pytest.raises(TypeError, match="Columns makes"):
        columns_of(esl).Batch()


def test_what_was_not_made_is_told(both: tuple[ModuleType, ModuleType]) -> None:
    module = both[0]._columns_c
    batch = module.Batch.__new__(module.Batch)
    for ask in (lambda: batch.num_rows, batch.__arrow_c_stream__, batch.__arrow_c_schema__, lambda: repr(batch)):
        with pytest.raises(TypeError, match="Columns makes"):
            ask()
    columns = module.Columns.__new__(module.Columns)
    for ask in (columns.take, columns.flush, lambda: columns.feed(b""), lambda: columns.schema, columns.stats):
        with pytest.raises(TypeError, match="not made"):
            ask()
    with pytest.raises(TypeError, match="made once"):
        module.Columns(NAME).__init__(NAME)


def test_nanoarrow_reads_a_batch_twice(esl: ModuleType) -> None:
    nanoarrow = pytest.importorskip("nanoarrow")
    batch = table(esl)
    first, again = rows_of(batch), rows_of(batch)
    assert first == again
    assert first[4] == {"name": "E1", "at": datetime(1970, 1, 1, 0, 0, 4, tzinfo=timezone.utc), "codecs": ["a", "b"]}
    assert first[10] == {"name": None, "at": None, "codecs": None}
    for schema in (batch, batch.schema, columns_of(esl).Columns(DICTIONARY).schema):
        assert [field.name for field in nanoarrow.Schema(schema).fields] == ["name", "at", "codecs"]


def test_pyarrow_reads_a_batch_twice(esl: ModuleType) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    batch = table(esl)
    for read in (pyarrow.table(batch), pyarrow.table(batch)):
        read.validate(full=True)
        assert read.to_pylist() == rows_of(batch)
        assert read.schema == pyarrow.schema(batch.schema)
        assert str(read.schema.field("name").type) == "dictionary<values=string, indices=int32, ordered=0>"
        assert str(read.schema.field("at").type) == "timestamp[us, tz=UTC]"
        assert len(read.column("name").chunk(0).dictionary) == 3


def test_polars_reads_a_batch_twice(esl: ModuleType) -> None:
    polars = pytest.importorskip("polars")
    batch = table(esl)
    for read in (polars.DataFrame(batch), polars.DataFrame(batch)):
        assert read["codecs"].to_list() == [["a", "b"]] * 10 + [None]
        assert read["name"].to_list()[:3] == ["E0", "E1", "E2"]


def test_duckdb_reads_a_batch_twice(esl: ModuleType) -> None:
    duckdb = pytest.importorskip("duckdb")
    batch = table(esl)
    connection = duckdb.connect()
    connection.register("batch", batch)
    for _ in range(2):
        assert connection.sql('select count(*), count(name), max(epoch_us("at")) from batch').fetchall() == [
            (11, 10, 9_000_000)
        ]


def test_pandas_reads_a_batch_twice(esl: ModuleType) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    batch = table(esl)
    for read in (pandas.DataFrame.from_arrow(batch), pandas.DataFrame.from_arrow(batch)):
        assert list(read["name"])[:3] == ["E0", "E1", "E2"]


def test_each_batch_has_its_own_dictionary(esl: ModuleType) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    columns = columns_of(esl).Columns(DICTIONARY, batch_rows=1)
    columns.feed(EVENTS)
    dictionaries = [
        pyarrow.table(batch).column("name").chunk(0).dictionary.to_pylist() for batch in all_batches(columns)
    ]
    assert dictionaries[:4] == [["E0"], ["E1"], ["E2"], ["E0"]]


def test_what_was_made_of_a_batch_outlives_it(esl: ModuleType) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    columns = columns_of(esl).Columns(DICTIONARY)
    columns.feed(EVENTS)
    column = pyarrow.table(columns.flush()).column("codecs").chunk(0).flatten()
    del columns
    assert column.to_pylist() == ["a", "b"] * 10


EXIT = """
import sys, threading
import pyarrow
from columns_support import columns_of
from support import load_core, plain
columns = columns_of(load_core("c")).Columns({"Event-Name": "dictionary", "L": "list"})
columns.feed(plain(b"Event-Name: A\\nL: ARRAY::a|:b\\n\\n") * 1000)
batch = columns.flush()
kept = pyarrow.table(batch)
stream = batch.__arrow_c_stream__()
sys.kept = kept, stream, batch
def read():
    table = pyarrow.table(batch)
    assert table["L"].combine_chunks().flatten()[1999].as_py() == "b"
threads = [threading.Thread(target=read) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print("done")
"""


def test_a_batch_may_be_released_by_any_thread_and_at_exit(both: tuple[ModuleType, ModuleType]) -> None:
    pytest.importorskip("pyarrow")
    paths = [str(path) for path in sys.path if path]
    code = f"import sys; sys.path[:0] = {paths!r}\n{EXIT}"
    done = subprocess.run([sys.executable, "-c", code], cwd="/", capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


# Threads


def test_a_second_thread_in_a_call_is_told(esl: ModuleType) -> None:
    columns = columns_of(esl).Columns(NAME)
    inside, leave = threading.Event(), threading.Event()

    def messages() -> Any:
        inside.set()
        leave.wait(30)
        yield esl.Event.from_payload(event(1).partition(b"\n\n")[2], "plain")

    worker = threading.Thread(target=columns.extend, args=(messages(),))
    worker.start()
    assert inside.wait(30)
    for call in (lambda: columns.feed(EVENTS), columns.take, columns.flush, columns.stats, lambda: columns.extend([])):
        with pytest.raises(RuntimeError, match="another thread"):
            call()
    leave.set()
    worker.join()
    columns.feed(EVENTS)
    assert columns.flush().num_rows == 11


# Memory


def until_it_raises(take: Any) -> list[Any]:
    batches = []
    try:
        while True:
            batches.append(take())
    except MemoryError:
        return batches


def test_each_allocation_may_fail_and_whole_rows_stay(both: tuple[ModuleType, ModuleType]) -> None:
    module = both[0]._columns_c
    data = whole("sip_plain", 30_000) + whole("special_json", 20_000)
    wanted = made(both[0], SPEC, [data], batch_rows=20)[0]
    failed = 0
    for count in range(3000):
        columns = module.Columns(SPEC, batch_rows=20)
        module.fail_after(count)
        try:
            for at in range(0, len(data), 9000):
                columns.feed(data[at : at + 9000], received=1.5, switch="a")
        except MemoryError:
            failed += 1
            left = module.fail_after(-1)
            batches = until_it_raises(columns.take)
        else:  # or what failed was not needed
            left = module.fail_after(-1)
            batches = all_batches(columns)
            assert sum(batch.num_rows for batch in batches) == len(wanted)
        rows = rows_of(*batches) if count % 10 == 0 or left >= 0 else []
        assert rows == wanted[: len(rows)]
        if left >= 0:
            break
    assert failed > 20
    assert rows == wanted


def test_what_the_reader_by_ctypes_gives_is_what_nanoarrow_gives(both: tuple[ModuleType, ModuleType]) -> None:
    pytest.importorskip("nanoarrow")
    columns = both[0]._columns_c.Columns(SPEC)
    columns.feed(whole("special_plain", 30_000), received=1.5, switch="a")
    batch = columns.flush()
    assert rows_by_ctypes(batch) == rows_of(batch)


def test_an_export_that_fails_can_be_asked_again(both: tuple[ModuleType, ModuleType]) -> None:
    module = both[0]._columns_c
    nanoarrow = pytest.importorskip("nanoarrow")
    batch = table(both[0])
    wanted = rows_of(batch)
    for count in range(200):
        module.fail_after(count)
        try:
            rows = nanoarrow.ArrayStream(batch).read_all().to_pylist()
        except Exception:
            rows = None
        left = module.fail_after(-1)
        assert rows in (None, wanted)
        if left >= 0:
            break
    assert count > 5
    assert rows_of(batch) == wanted


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mprotect is called by its Linux numbers")
@pytest.mark.parametrize("name", ["special_plain", "special_json", "special_xml"])
def test_nothing_is_read_behind_what_is_fed(esl: ModuleType, name: str) -> None:
    page = mmap.PAGESIZE
    data = whole(name, 12_000)
    wanted = made(esl, SPEC, [data])
    memory = mmap.mmap(-1, 5 * page)
    start = ctypes.c_char.from_buffer(memory)
    guard = ctypes.c_void_p(ctypes.addressof(start) + 4 * page)
    mprotect = ctypes.CDLL(None).mprotect
    assert mprotect(guard, ctypes.c_size_t(page), 0) == 0  # PROT_NONE: to read there kills the process
    try:
        for size in [*range(151, 200, 7), *range(5000, 5030), len(data)]:
            columns = columns_of(esl).Columns(SPEC)
            for at in range(0, len(data), size):
                piece = data[at : at + size]
                with memoryview(memory)[4 * page - len(piece) : 4 * page] as view:
                    view[:] = piece
                    columns.feed(view, received=1.5, switch="a")
            assert columns.stats()["rows"] == wanted[2]["rows"]
        assert rows_of(*all_batches(columns)) == wanted[0]
    finally:
        mprotect(guard, ctypes.c_size_t(page), 3)  # PROT_READ | PROT_WRITE
        del start
