"""As nomemory.py, of what reads many events at once: columns, lines of JSON, rows of headers, events of some names.

Each is called with its n-th allocation failing, for every n: of Python's allocators, or of the columns' own. What comes
out is MemoryError or what comes out else; the rows and lines before it are whole; the same call afterwards is as if
nothing had happened; and nothing is left behind.
"""

from __future__ import annotations

import _testcapi
import gc
import io
import sys
from collections.abc import Callable
from typing import Any

from nomemory import ENOUGH, EVENTS, json_event, plain_event
from sizes import FULL

import eslcodec as esl
from eslcodec import _columns_c
from eslcodec._codec import RowReader
from eslcodec.ingest import Columns, ndjson

MOST = 1000 if FULL else 150  # allocations of one operation, of those that have more the first
SPEC = {
    "name": ("Event-Name", "dictionary"),
    "a": ("A", "string"),
    "items": ("Arr", "list"),
    "long": ("Long", "binary"),
    "real": ("Header-3", "float64"),
    "large": ("Large", "float64"),
    "number": ("N", "int64"),
    "json": ("Json", "json"),
    "line": ("@json", "json"),
    "body": ("@body", "string"),
    "id": ("@id", "string"),
}
ROW = RowReader(
    [(name, kind) for name in ("A", "Arr", "N", "Long", "\u00e9") for kind in ("string", "int64", "list")] * 2
)
FEW = (("A", "string"), ("Arr", "list"), ("Event-Date-Timestamp", "timestamp"), ("Large", "float64"))


def more_event(number: int) -> bytes:
    """Values of which Python decides."""
    payload = b'Event-Name: DTMF\nLarge: %d.1e17\nJson: {"a": [%d]}\nEvent-Date-Timestamp: 17%014d\n\n' % (
        (number,) * 3
    )
    return b"Content-Length: %d\nContent-Type: text/event-plain\n\n" % len(payload) + payload


DATA = b"".join(event(number) for number in range(3) for event in (more_event, *EVENTS))
QUICK = b"".join(event(number) for number in range(3) for event in (more_event, plain_event, json_event))


def decoded(data: bytes) -> list[Any]:
    decoder = esl.Decoder()
    decoder.feed(data)
    return list(decoder)


def allocation_of_python(number: int) -> Callable[[], None]:
    _testcapi.set_nomemory(number, number + 1)
    return _testcapi.remove_mem_hooks


def allocation_of_columns(number: int) -> Callable[[], Any]:
    _columns_c.fail_after(number)
    return lambda: _columns_c.fail_after(-1)


WAYS = (allocation_of_python, allocation_of_columns)


def attempt(way: Callable[[int], Callable[[], Any]], number: int, call: Callable[[], Any]) -> tuple[bool, Any]:
    """(True, what comes out), or (False, None) if it is MemoryError."""
    end = way(number)
    try:
        result = call()
    except MemoryError:
        return False, None
    finally:
        end()
    return True, result


def sweep(way: Any, fresh: Callable[[], Callable[[], Any]], check: Callable[[bool, Any], None]) -> int:
    """Call what `fresh` makes with each allocation failing once; how many of them made a MemoryError."""
    failed: list[bool] = []
    while len(failed) < MOST and (len(failed) < ENOUGH or any(failed[-ENOUGH:])):
        done, result = attempt(way, len(failed), fresh())
        failed.append(not done)
        check(done, result)
    return sum(failed)


def check_kept(name: str, run: Callable[[], int], leaks: bool = False) -> None:
    """Run it some times, of which the last leave nothing behind; print how many failures there were.

    Where Python functions run, CPython itself leaks: the arguments of a function that has no memory for a cell.
    """
    counts = [run(), run()]
    gc.collect()
    before = sys.getallocatedblocks()
    counts += [run(), run(), run()]
    gc.collect()
    left = sys.getallocatedblocks() - before
    assert leaks or left < 60, f"{name}: {left} objects are left behind"
    print(name, *counts, flush=True)


def rows_of(batches: list[Any]) -> list[Any]:
    return [row for batch in batches for row in zip(*batch._lists(), strict=True)]


def flushed(columns: Any) -> list[Any]:
    return list(iter(columns.flush, None))


def extend(way: Any, messages: list[Any]) -> int:
    """Rows stay as they were made; the same columns take the messages again."""
    columns = Columns(SPEC, batch_rows=7)
    columns.extend(messages)
    wanted = rows_of(flushed(columns))
    assert len(wanted) == len(messages)
    made: list[Any] = []

    def fresh() -> Callable[[], Any]:
        made[:] = [Columns(SPEC, batch_rows=7)]
        return lambda: made[0].extend(messages)

    def check(done: bool, _: Any) -> None:
        rows = rows_of(flushed(made[0]))
        assert rows == wanted[: len(rows)]
        assert not done or len(rows) == len(wanted)
        made[0].extend(messages)
        assert rows_of(flushed(made[0])) == wanted

    return sweep(way, fresh, check)


def lists(way: Any, batch: Any) -> int:
    wanted = batch._lists()

    def check(done: bool, result: Any) -> None:
        assert not done or result == wanted
        assert batch._lists() == wanted

    return sweep(way, lambda: batch._lists, check)


def lines(way: Any, data: bytes) -> int:
    """What was written are whole lines of the first events."""
    wanted = [message.to_json() + b"\n" for message in decoded(data)]
    outs: list[Any] = []

    def fresh() -> Callable[[], Any]:
        outs[:] = [io.BytesIO()]
        return lambda: ndjson(data, outs[0])

    def check(done: bool, result: Any) -> None:
        assert not done or result == len(wanted)
        written = outs[0].getvalue().splitlines(keepends=True)
        assert written == wanted[: len(written)]
        assert not done or len(written) == len(wanted)
        fresh()()
        assert outs[0].getvalue() == b"".join(wanted)

    return sweep(way, fresh, check)


def reading(way: Any, reader: Any, messages: Callable[[], list[Any]]) -> int:
    wanted = [reader.read(message) for message in messages()]
    fresh_ones: list[Any] = []

    def fresh() -> Callable[[], Any]:
        fresh_ones[:] = messages()
        return lambda: [reader.read(message) for message in fresh_ones]

    def check(done: bool, result: Any) -> None:
        assert not done or result == wanted
        assert [reader.read(message) for message in fresh_ones] == wanted

    return sweep(way, fresh, check)


def made_alone() -> list[Any]:
    """Messages that no decoder made."""
    return [esl.Message(b"Content-Type: text/event-plain\n\n", plain_event(n).partition(b"\n\n")[2]) for n in (1, 2)]


def new_reader(way: Any) -> int:
    columns = [(f"Header-{number}", "string") for number in range(40)]

    def check(done: bool, reader: Any) -> None:
        if done:
            assert reader.read(decoded(plain_event(3))[0])[:3] == ["value 0", "value 3", "value 6"]

    return sweep(way, lambda: lambda: RowReader(columns), check)


def named(way: Any, names: tuple[str, ...]) -> int:
    """What was not given yet comes the next time; nothing is given twice."""
    wanted = [message.frame for message in decoded(DATA) if message["Event-Name"] in names]
    state: list[Any] = []

    def fresh() -> Callable[[], Any]:
        decoder, found = esl.Decoder(), []
        decoder.feed(DATA)
        state[:] = [decoder, found]

        def take() -> None:
            for message in decoder._named(names):
                found.append(message)  # so that what was given stays there

        return take

    def check(_: bool, __: Any) -> None:
        decoder, found = state
        found += decoder._named(names)
        frames = [message.frame for message in found]
        assert [frame for frame in wanted if frame in frames] == frames
        assert len(wanted) - len(frames) <= 1  # of which the list of this test had no memory
        assert [message.to_json() for message in found] == [decoded(frame)[0].to_json() for frame in frames]

    return sweep(way, fresh, check)


def new_decoder(way: Any) -> int:
    def check(done: bool, decoder: Any) -> None:
        if done:
            decoder.feed(plain_event(3))
            assert decoder.next_message().frame == plain_event(3)

    return sum(sweep(way, lambda: esl.Decoder, check) for _ in range(5))


def main() -> None:
    """Print how many failures each operation has met."""
    gc.disable()  # one that runs would allocate, too
    columns = Columns(SPEC)
    columns.extend(decoded(DATA))
    batch = columns.flush()
    for way in WAYS:
        check_kept("extend", lambda way=way: extend(way, decoded(QUICK)), way is allocation_of_python)
        check_kept("extend, XML too", lambda way=way: extend(way, decoded(DATA)), way is allocation_of_python)
        check_kept("lines", lambda way=way: lines(way, QUICK), way is allocation_of_python)
        check_kept("lines, XML too", lambda way=way: lines(way, DATA), way is allocation_of_python)
    way = allocation_of_python
    check_kept("lists", lambda: lists(way, batch))
    check_kept("new decoder", lambda: new_decoder(way))
    check_kept("new reader", lambda: new_reader(way))
    for reader in (ROW, RowReader(FEW)):
        check_kept("rows", lambda reader=reader: reading(way, reader, lambda: decoded(DATA)))
        check_kept("rows of messages alone", lambda reader=reader: reading(way, reader, made_alone))
    for names in (("DTMF",), ("CUSTOM",), ("CUSTOM", "DTMF")):
        check_kept("named", lambda names=names: named(way, names))
    print("done")


if __name__ == "__main__":
    sys.exit(main())
