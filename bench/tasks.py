"""What is measured: the one table of competitors, and the functions of ours, of the yardstick and of the limits.

A task takes a stream and returns what is timed: one pass over the whole stream. What it returns is kept until memory
has been measured.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from operator import attrgetter, methodcaller
from typing import Any
from urllib.parse import unquote_to_bytes

import clients
import columns
import loopback
import recorded
import ways
from clients import Use
from corpora import ABSENT, FIVE, ITEMS, LATE, Stream

Pass = Callable[[], object]


@dataclass(frozen=True)
class Task:
    """A row of the table.

    Attributes:
        group: "ours", "python" (our Python core), "yardstick", "peer", "adapted" (a peer with our codec in it) and
            "limit" are in the table of a stream. Those `APART` are not: "whole" (whole clients over loopback) and
            "part" (what authors of clients use) have their own, "extra" is in none.
        label: what the table says.
        prepare: makes a pass over a stream, not timed.
        client: of clients.py, for the tasks whose events are compared with ours.
        peer: a name of PEERS.
    """

    group: str
    label: str
    prepare: Callable[[Stream], Pass]
    client: Callable[[Stream, Use], Pass] | None = None
    peer: str | None = None


APART = ("whole", "part", "extra")


@dataclass(frozen=True)
class Peer:
    """A client on PyPI: what to install, on which Pythons it works, and what had to be done for it."""

    requirement: str
    newest: tuple[int, int] | None = None
    note: str = ""


PEERS = {
    "greenswitch": Peer("greenswitch==0.0.19", note="its gevent queue replaced by a call, which is quicker"),
    "genesis": Peer("genesis==2026.10.18", newest=(3, 12), note="up to its queue"),
    "switchio": Peer(
        "switchio==0.1.0a1",
        note="made for Python 3.5; `asyncio.coroutine` and `Queue(loop=...)` put back; up to its queue",
    ),
    "aioesl": Peer("aioesl==0.1.3.3", note="`asyncio.coroutine` put back; up to `event_received`"),
    "official": Peer(
        "FreeSWITCH-ESL-Python==1.2",
        note="the C library of 2015 behind SWIG; over loopback, for it reads from sockets only; "
        "from Python 3.12 on with an empty `imp`",
    ),
}


# Ours

DECODERS = 200  # where there are many connections


def _decoder(stream: Stream) -> tuple[Any, list[bytes]]:
    import eslcodec

    return eslcodec.Decoder(), stream.chunks


def _decoders(stream: Stream, count: int) -> list[tuple[Any, bytes]]:
    """What reads each chunk: so many decoders in turn."""
    import eslcodec

    decoders = [eslcodec.Decoder() for _ in range(count)]
    return list(zip(cycle(decoders), stream.chunks, strict=False))


def iterate(stream: Stream) -> Pass:
    decoder, chunks = _decoder(stream)

    def run() -> None:
        for chunk in chunks:
            decoder.feed(chunk)
            for _ in decoder:
                pass

    return run


def one(stream: Stream) -> Pass:
    turns = _decoders(stream, 1)
    name = FIVE[0]

    def run() -> None:
        for decoder, chunk in turns:
            decoder.feed(chunk)
            for event in decoder:
                event.get(name)

    return run


def five(stream: Stream, decoders: int = 1) -> Pass:
    turns = _decoders(stream, decoders)
    one, two, three, four, last = FIVE

    def run() -> None:
        for decoder, chunk in turns:
            decoder.feed(chunk)
            for event in decoder:
                get = event.get
                get(one)
                get(two)
                get(three)
                get(four)
                get(last)

    return run


def warmed(prepare: Callable[[Stream], Pass]) -> Callable[[Stream], Pass]:
    """The task after one pass that is not timed: what many decoders cost once each has seen some events."""

    def prepare_and_run(stream: Stream) -> Pass:
        run = prepare(stream)
        run()
        return run

    return prepare_and_run


def five_and_absent(stream: Stream) -> Pass:
    decoder, chunks = _decoder(stream)
    one, two, three, four, last = FIVE
    no, nor = ABSENT

    def run() -> None:
        for chunk in chunks:
            decoder.feed(chunk)
            for event in decoder:
                get = event.get
                get(one)
                get(two)
                get(three)
                get(four)
                get(last)
                get(no)
                get(nor)

    return run


def each(use: Callable[[Any], object], decoders: int = 1) -> Callable[[Stream], Pass]:
    """The task that does one thing with every message."""

    def prepare(stream: Stream) -> Pass:
        turns = _decoders(stream, decoders)

        def run() -> None:
            for decoder, chunk in turns:
                decoder.feed(chunk)
                for message in decoder:
                    use(message)

        return run

    return prepare


def split(stream: Stream) -> Pass:
    """`FrameSplitter` alone."""
    import eslcodec

    splitter, chunks = eslcodec.FrameSplitter(), stream.chunks

    def run() -> None:
        for chunk in chunks:
            splitter.feed(chunk)
            for _ in splitter:
                pass

    return run


def split_and(function: str) -> Callable[[Stream], Pass]:
    """`FrameSplitter`, and a function of eslcodec for each payload."""

    def prepare(stream: Stream) -> Pass:
        import eslcodec

        splitter, chunks = eslcodec.FrameSplitter(), stream.chunks
        parse = getattr(eslcodec, function)

        def run() -> None:
            for chunk in chunks:
                splitter.feed(chunk)
                for _, body in splitter:
                    parse(body)

        return run

    return prepare


# Others


def yardstick(stream: Stream, use: Use) -> Pass:
    """What a careful programmer writes with the standard library."""
    chunks = stream.chunks

    def events() -> Iterator[dict[str, str]]:
        buffer = b""
        for chunk in chunks:
            buffer += chunk
            start = 0
            while (head_end := buffer.find(b"\n\n", start)) >= 0:
                head = dict(line.split(b": ", 1) for line in buffer[start:head_end].split(b"\n"))
                end = head_end + 2 + int(head.get(b"Content-Length", 0))
                if end > len(buffer):
                    break
                block = buffer[head_end + 2 : end].partition(b"\n\n")[0].decode("utf-8", "surrogateescape")
                headers: dict[str, str] = {}
                for line in block.split("\n"):
                    name, _, value = line.partition(": ")
                    if "%" in value:
                        value = unquote_to_bytes(value).decode("utf-8", "surrogateescape")
                    if name not in headers or name == "Event-Name":
                        headers[name] = value
                yield headers
                start = end
            buffer = buffer[start:]

    def run() -> None:
        for headers in events():
            use(headers)

    return run


def orjson_loads(stream: Stream) -> Pass:
    import orjson

    payloads = stream.payloads

    def run() -> None:
        for payload in payloads:
            orjson.loads(payload)

    return run


def orjson_both(stream: Stream) -> Pass:
    """What gives a line of JSON without eslcodec."""
    import orjson

    payloads, loads, dumps = stream.payloads, orjson.loads, orjson.dumps

    def run() -> None:
        for payload in payloads:
            dumps(loads(payload))

    return run


def json_loads(stream: Stream) -> Pass:
    payloads = stream.payloads

    def run() -> None:
        for payload in payloads:
            json.loads(payload)

    return run


def orjson_dumps(stream: Stream) -> Pass:
    import orjson

    dumps = orjson.dumps
    return each(lambda event: dumps(event.asdict()))(stream)


def newlines(stream: Stream) -> Pass:
    import limits

    return partial(limits.newlines, stream.data)


def newline_positions(stream: Stream) -> Pass:
    import limits

    run: Pass = limits.Frames(stream.frames).line_feeds
    return run


def copy(stream: Stream) -> Pass:
    import limits

    run: Pass = limits.Frames(stream.frames).copy
    return run


def receive(stream: Stream) -> Pass:
    if stream.every:
        return receive_events(stream)
    sock = clients.sender(stream.chunks)
    buffer = bytearray(65536)
    size = len(stream.data)

    def run() -> None:
        left = size
        while left:
            left -= sock.recv_into(buffer)

    return run


def receive_events(stream: Stream) -> Pass:
    """The same where the next events are sent after the ones before were read."""
    pace = clients.Pace(stream.every)
    sock = clients.sender(stream.chunks, pace)
    sizes = [len(chunk) for chunk in stream.chunks]
    taken = pace.taken
    buffer = bytearray(65536)

    def run() -> None:
        came = 0
        for left in sizes:
            while left:
                left -= sock.recv_into(buffer)
            came += stream.every
            taken[0] = came

    return run


def floor(stream: Stream) -> Pass:
    import limits

    decoder, _ = _decoder(stream)
    decoder.feed(stream.data)
    spans = limits.Spans([event.asdict() for event in decoder], stream.name.startswith("names"))

    def run() -> None:
        for _ in spans:
            pass

    return run


# Memory: what is returned is kept


def _repeated(stream: Stream, count: int, keep: Callable[[Any], Any]) -> Pass:
    decoder, chunks = _decoder(stream)

    def run() -> list[Any]:
        kept: list[Any] = []
        while True:
            for chunk in chunks:
                decoder.feed(chunk)
                for event in decoder:
                    kept.append(keep(event))
                    if len(kept) == count:
                        return kept

    return run


KEPT = 50_000
KEPT_DICTS = 5_000  # they are big


def keep_events(stream: Stream) -> Pass:
    return _repeated(stream, KEPT, lambda event: event)


def keep_dicts(stream: Stream) -> Pass:
    return _repeated(stream, KEPT_DICTS, lambda event: event.asdict())


def keep_decoders(stream: Stream) -> Pass:
    """Many decoders, each of which has read a whole stream: what they remember."""
    import eslcodec

    chunks = stream.chunks

    def run() -> list[Any]:
        kept = [eslcodec.Decoder() for _ in range(DECODERS)]
        for decoder in kept:
            for chunk in chunks:
                decoder.feed(chunk)
                for event in decoder:
                    event.asdict()
        return kept

    return run


# The table


def by_client(client: Callable[[Stream, Use], Pass]) -> Callable[[Stream], Pass]:
    """The task in which a client's user reads the names that the stream is about. Returns how many events came."""

    def prepare(stream: Stream) -> Pass:
        one, *others = stream.reads
        is_array = stream.name.startswith("array")
        came = 0

        def use(headers: Any) -> None:
            nonlocal came
            get = headers.get
            value = get(one)
            came += value is not None
            for name in others:
                get(name)
            if is_array and isinstance(value, str):
                value.removeprefix("ARRAY::").split("|:")

        def run() -> int:
            feed()
            return came

        feed = client(stream, use)
        return run

    return prepare


def _compared(group: str, label: str, client: Callable[[Stream, Use], Pass], peer: str | None = None) -> Task:
    return Task(group, label, by_client(client), client, peer)


def _peer(name: str, label: str, client: Callable[[Stream, Use], Pass]) -> Task:
    return _compared("peer", label, client, name)


def _adapted(name: str, label: str, client: Callable[[Stream, Use], Pass]) -> Task:
    return _compared("adapted", f"{label}, our codec in it", clients.adapted(name, client), name)


def _whole_peer(name: str, label: str, prepare: Callable[[Stream], Pass]) -> Task:
    return Task("whole", label, prepare, peer=name)


def _whole_adapted(name: str, label: str, prepare: Callable[[Stream], Pass]) -> Task:
    return Task("whole", f"**{label}, our codec in it**", clients.adapted(name, prepare), peer=name)


def _official(label: str, prepare: Callable[[Stream], Pass]) -> Task:
    return Task("peer", f"official C library, {label}", prepare, peer="official")


def _drop_in(label: str, prepare: Callable[[Stream], Pass]) -> Task:
    return Task("ours", f"`eslcodec.ESL`, {label}", prepare)


def _limit(label: str, prepare: Callable[[Stream], Pass]) -> Task:
    return Task("limit", label, prepare)


TASKS = {
    "iterate": Task("ours", "iterate, nothing read", iterate),
    "one": Task("ours", "name only, `get`", one),
    "five": Task("ours", "5 headers, `get`", five),
    "select": Task("ours", "5 + 2 late headers, one `select`", each(methodcaller("select", *FIVE, *LATE))),
    "absent": Task("ours", "5 headers + 2 absent, `get`", five_and_absent),
    "asdict": Task("ours", "`asdict`", each(methodcaller("asdict"))),
    "pairs": Task("ours", "`pairs`", each(methodcaller("pairs"))),
    "to_json": Task("ours", "`to_json`", each(methodcaller("to_json"))),
    "orjson_dumps": Task("ours", "`orjson.dumps(event.asdict())`", orjson_dumps),
    "py_five": Task("python", "Python core: 5 headers, `get`", five),
    "py_asdict": Task("python", "Python core: `asdict`", each(methodcaller("asdict"))),
    "py_pairs": Task("python", "Python core: `pairs`", each(methodcaller("pairs"))),
    "py_to_json": Task("python", "Python core: `to_json`", each(methodcaller("to_json"))),
    "yardstick": _compared("yardstick", "yardstick: 20 lines of stdlib, all headers", yardstick),
    "greenswitch": _peer("greenswitch", "greenswitch 0.0.19", clients.greenswitch),
    "adapted_greenswitch": _adapted("greenswitch", "greenswitch", clients.greenswitch),
    "switchio": _peer("switchio", "switchio 0.1.0a1", clients.switchio),
    "adapted_switchio": _adapted("switchio", "switchio", clients.switchio),
    "aioesl": _peer("aioesl", "aioesl 0.1.3.3", clients.aioesl),
    "genesis": _peer("genesis", "genesis 2026.10.18", clients.genesis),
    "adapted_genesis": _adapted("genesis", "genesis", clients.genesis),
    "official_name": _official("name only", clients.esl_name(clients.official_esl)),
    "esl_name": _drop_in("name only", clients.esl_name(clients.our_esl)),
    "official_five": _official("5 headers", by_client(clients.esl_five(clients.official_esl))),
    "esl_five": _drop_in("5 headers", by_client(clients.esl_five(clients.our_esl))),
    "official_all": _peer("official", "official C library, all headers", clients.esl_all(clients.official_esl)),
    "esl_all": _compared("ours", "`eslcodec.ESL`, all headers", clients.esl_all(clients.our_esl)),
    "newlines": _limit("(a) newlines by a `memchr` loop in C (no limit: see (d))", newlines),
    "receive": _limit("limit (b): `recv_into` over loopback", receive),
    "floor": _limit("limit (c): the same dicts in C, no parsing", floor),
    "positions": _limit("limit (d): newline positions, vectorised", newline_positions),
    "copy": _limit("limit (e): a plain copy of the bytes", copy),
    "whole_blocking": Task("whole", "**eslcodec, blocking**", loopback.blocking),
    "whole_asyncio": Task("whole", "**eslcodec, asyncio**", loopback.with_asyncio),
    "whole_many": Task("whole", f"**eslcodec, asyncio, {loopback.CONNECTIONS} connections**", loopback.many),
    "whole_greenswitch": _whole_peer("greenswitch", "greenswitch 0.0.19, gevent", loopback.greenswitch),
    "whole_adapted_greenswitch": _whole_adapted("greenswitch", "greenswitch, gevent", loopback.greenswitch),
    "whole_switchio": _whole_peer("switchio", "switchio 0.1.0a1, asyncio", loopback.switchio),
    "whole_adapted_switchio": _whole_adapted("switchio", "switchio, asyncio", loopback.switchio),
    "whole_genesis": _whole_peer("genesis", "genesis 2026.10.18, asyncio", loopback.genesis),
    "whole_adapted_genesis": _whole_adapted("genesis", "genesis, asyncio", loopback.genesis),
    "split": Task("part", "`FrameSplitter`", split),
    "split_headers": Task("part", "`FrameSplitter`, `parse_headers` of each payload", split_and("parse_headers")),
    "split_pairs": Task("part", "`FrameSplitter`, `parse_pairs` of each payload", split_and("parse_pairs")),
    "protocol": Task("part", "`Decoder` as a `BufferedProtocol`, over loopback: 5 headers", loopback.protocol),
    "take_blocking": Task("extra", "eslcodec, blocking, `take`", loopback.take),
    "take_asyncio": Task("extra", "eslcodec, asyncio, `take`", loopback.take_asyncio),
    "take_fleet": Task("extra", f"eslcodec, `Fleet` of {loopback.SWITCHES}, `take`", loopback.fleet),
    "orjson_loads": Task("extra", "`orjson.loads` of payloads already cut", orjson_loads),
    "orjson_both": Task("extra", "`orjson.dumps(orjson.loads())` of payloads already cut", orjson_both),
    "json_loads": Task("extra", "`json.loads` of payloads already cut", json_loads),
    "many_five": Task(
        "extra", f"{DECODERS} decoders in turn, 5 headers, `get`", warmed(partial(five, decoders=DECODERS))
    ),
    "many_asdict": Task(
        "extra", f"{DECODERS} decoders in turn, `asdict`", warmed(each(methodcaller("asdict"), DECODERS))
    ),
    "py_get": Task("extra", "Python core: one `get`", one),
    "official_body": Task("extra", "", clients.esl_body(clients.official_esl), peer="official"),
    "esl_body": Task("extra", "", clients.esl_body(clients.our_esl)),
    "reply": Task("extra", "`Reply-Text`", each(methodcaller("get", "Reply-Text"))),
    "items": Task("extra", "`getlist` of the array", each(methodcaller("getlist", ITEMS))),
    "body": Task("extra", "`body`", each(attrgetter("body"))),
    "record": Task("extra", "`Recorder`, at full speed", recorded.record),
    "messages": Task("extra", "`Recording.messages()`", recorded.messages),
    "whole_tap": Task("extra", "blocking client with a `Recorder` as its tap", recorded.blocking_with_tap),
    "columns8": Task("extra", "`Columns`, 8 columns", columns.columns(columns.EIGHT)),
    "columns20": Task("extra", "`Columns`, 20 columns", columns.columns(columns.TWENTY)),
    "ndjson": Task("extra", "`ndjson`", columns.lines),
    "greenswitch_pandas": Task("extra", "greenswitch, pandas", ways.greenswitch_pandas, peer="greenswitch"),
    "official_duckdb": Task(
        "extra", "official C module, its JSON, DuckDB", ways.duckdb(ways.official_lines), peer="official"
    ),
    "stdlib_duckdb": Task(
        "extra", "20 lines of stdlib, `json.dumps`, DuckDB", ways.duckdb(ways.stdlib_lines(yardstick))
    ),
    "json_duckdb": Task("extra", "`to_json`, DuckDB", ways.duckdb(ways.our_lines)),
    "select_arrow": Task("extra", "`select`, pyarrow", ways.select_arrow),
    "scan": Task("extra", "`scan` of a recording, 8 columns, one thread", columns.scanned(1)),
    "scan_long": Task("extra", "", columns.scanned(1, long=True)),
    "scan_long_two": Task("extra", "", columns.scanned(2, long=True)),
    "legs": Task("extra", "`legs` of a recording", columns.legs),
    "take_batches": Task("extra", "eslcodec, blocking, `batches` of 8 columns", columns.live),
    "keep_events": Task("extra", f"{KEPT} events kept", keep_events),
    "keep_dicts": Task("extra", f"{KEPT_DICTS} dicts kept", keep_dicts),
    "keep_decoders": Task("extra", f"{DECODERS} decoders kept", keep_decoders),
}


def waits(task: str) -> bool:
    """Whether it reads from a socket: then its wall clock does not say whether the machine is quiet."""
    begins = ("whole_", "official_", "esl_", "take_")
    return TASKS[task].group == "whole" or task.startswith(begins) or task in ("receive", "protocol")
