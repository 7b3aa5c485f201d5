"""The marks that were set for eslcodec's speed, and what a run of peers.py says about each: marks.md."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from report import business, figure, made, ratio, shown
from tasks import TASKS

Results = dict[str, Any]


@dataclass(frozen=True)
class Mark:
    """One mark.

    Attributes:
        what: what is measured.
        measure: the figure, from a run's results and the capture's name: sip or churn.
        mark: the figure to reach; None if there is none any more, and the row is kept to be looked at.
        beyond: the better one, None if there is none.
        at_most: whether smaller is better.
    """

    what: str
    measure: Callable[[Results, str], float | None]
    mark: float | None = None
    beyond: float | None = None
    at_most: bool = False

    def verdict(self, value: float | None) -> str:
        if self.mark is None:
            return "no mark"
        if value is None:
            return "not measured"
        better = value / self.mark if not self.at_most else self.mark / value
        if better < 1:
            return f"**missed** by {100 * (1 - better):.0f} %"
        reached = self.beyond is not None and (value <= self.beyond if self.at_most else value >= self.beyond)
        return "beyond" if reached else "met"


def times(case: str, other: str) -> Callable[[Results, str], float | None]:
    """How many times faster `case` is than `other`, by CPU time."""
    return lambda results, kind: ratio(results, other.format(kind), case.format(kind))


def share(case: str, other: str) -> Callable[[Results, str], float | None]:
    """CPU time of `case` by that of `other`."""
    return lambda results, kind: ratio(results, case.format(kind), other.format(kind))


def by_the_clock(case: str, other: str) -> Callable[[Results, str], float | None]:
    """How many times faster `case` is than `other`, by wall clock: for several threads."""

    def measure(results: Results, kind: str) -> float | None:
        mine, theirs = (figure(results, name.format(kind), "wall") for name in (case, other))
        return None if not mine or theirs is None else theirs / mine

    return measure


def best(case: str, stream: str) -> Callable[[Results, str], float | None]:
    """How many times faster `case` is than the fastest peer on that stream that loses nothing."""

    def measure(results: Results, kind: str) -> float | None:
        peer = best_peer(results, stream)
        return None if peer is None else ratio(results, f"{peer} {stream}", f"{case} {stream}")

    return measure


def best_peer(results: Results, stream: str) -> str | None:
    peers = {
        name: figure(results, f"{name} {stream}", "cpu")
        for name, task in TASKS.items()
        if task.group == "peer" and not figure(results, f"{name} {stream}", "lost")
    }
    found = {name: cpu for name, cpu in peers.items() if cpu is not None}
    return min(found, key=found.__getitem__, default=None)


def growth(case: str, small: str, big: str) -> Callable[[Results, str], float | None]:
    """Time per byte on the big stream by time per byte on the small one: 1 is linear."""

    def measure(results: Results, kind: str) -> float | None:
        by_event = ratio(results, f"{case} {big}", f"{case} {small}")
        sizes = [size_of_event(results, f"{case} {stream}") for stream in (small, big)]
        return None if by_event is None or None in sizes else by_event * sizes[0] / sizes[1]  # type: ignore[operator]

    return measure


def size_of_event(results: Results, case: str) -> float | None:
    size, events = figure(results, case, "bytes"), figure(results, case, "events")
    return None if size is None or events is None else size / events


def by_header(case: str) -> Callable[[Results, str], float | None]:
    """Time a header of events with 1,500 by that of events with 500."""

    def measure(results: Results, kind: str) -> float | None:
        by_event = ratio(results, f"{case} headers_1500", f"{case} headers_500")
        return None if by_event is None else by_event * 500 / 1500

    return measure


def instructions(case: str) -> Callable[[Results, str], float | None]:
    """Thousands of instructions an event."""

    def measure(results: Results, kind: str) -> float | None:
        found = results.get("instructions", {}).get(case.format(kind))
        return None if found is None else found / 1000

    return measure


def peak_by_size(case: str) -> Callable[[Results, str], float | None]:
    """How far memory rose, by the bytes of the stream: how often they were in memory at once."""

    def measure(results: Results, kind: str) -> float | None:
        grown, size = figure(results, case, "peak"), figure(results, case, "bytes")
        return None if grown is None or not size else grown / size

    return measure


def of_decoders(results: Results, kind: str) -> float | None:
    """MB that 200 decoders keep after `asdict` of a whole stream each."""
    case = f"keep_decoders {kind}_plain"
    each, count = figure(results, case, "kept"), figure(results, case, "events")
    return None if each is None or count is None else each * count / 1e6


def of_converting(results: Results, kind: str) -> float | None:
    """MB that `eslcodec convert` needs at most, of many gigabytes to Parquet."""
    found: float | None = results.get("convert", {}).get("peak_mb")
    return found


def kept(results: Results, kind: str) -> float | None:
    """Memory of a kept event, without the 250 bytes that it may have, by its payload."""
    case = f"keep_events {kind}_plain"
    grown, payload = figure(results, case, "kept"), payload_of_event(results, kind)
    return None if grown is None or payload is None else (grown - 250) / payload


def payload_of_event(results: Results, kind: str) -> float | None:
    case = f"iterate {kind}_plain"
    payload, events = figure(results, case, "payload"), figure(results, case, "events")
    return None if payload is None or events is None else payload / events


def adapted(client: str) -> Mark:
    """A whole client of others with our codec in it, by the same client without."""
    case = f"{client} {{}}_plain"
    return Mark(f"{client} with our codec in it: times without", times(f"whole_adapted_{case}", f"whole_{case}"), 3)


OURS, FIRST = "times greenswitch", "greenswitch {}_plain"
CAPTURED = [
    Mark(f"name only: {OURS}", times("one {}_plain", FIRST), 65, 75),
    Mark(f"5 headers, `get`: {OURS}", times("five {}_plain", FIRST), 50, 55),
    Mark(f"5 + 2 late in one `select`: {OURS}", times("select {}_plain", FIRST), 42, 50),
    Mark(f"`asdict`: {OURS}", times("asdict {}_plain", FIRST), 20, 25),
    Mark("5 + 2 absent, `get`: by the time without", share("absent {}_plain", "five {}_plain"), 1.15, 1.05, True),
    Mark("`pairs`: by `asdict`", share("pairs {}_plain", "asdict {}_plain"), 1.1, at_most=True),
    Mark("`to_json`: times `orjson.dumps(asdict())`", times("to_json {}_plain", "orjson_dumps {}_plain"), 2.5, 3),
    Mark("JSON events, 5 headers: times `orjson.loads`", times("five {}_json", "orjson_loads {}_json"), 4, 5),
    Mark("JSON events, `asdict`: times `orjson.loads`", times("asdict {}_json", "orjson_loads {}_json"), 2.8, 3.5),
    Mark("JSON events, `to_json`: times `loads` + `dumps`", times("to_json {}_json", "orjson_both {}_json"), 3, 6),
    Mark("XML events, 5 headers: by the same in plain", share("five {0}_xml", "five {0}_xml/plain"), 4, 3, True),
    Mark("iterate: by (e)'s, a plain copy", share("iterate {}_plain", "copy {}_plain"), 3, 2, True),
    Mark(
        "one event a read, blocking client: 1,000 instructions", instructions("whole_blocking {}_plain#1"), 46, 30, True
    ),
    Mark(
        "one event a read, asyncio client: 1,000 instructions", instructions("whole_asyncio {}_plain#1"), 88, 60, True
    ),
    Mark(
        "15 events a read, blocking client: CPU by a bare `recv_into` loop",
        share("whole_blocking {}_plain#15", "receive {}_plain#15"),
        5.5,
        3,
        True,
    ),
    Mark(
        "15 events a read, asyncio client: CPU by a bare `recv_into` loop",
        share("whole_asyncio {}_plain#15", "receive {}_plain#15"),
        9,
        6,
        True,
    ),
    *(
        Mark(
            f"{said} a read, {client} client, `take`: CPU by a bare `recv_into` loop",
            share(f"take_{client} {{}}_plain#{every}", f"receive {{}}_plain#{every}"),
            mark,
            beyond,
            True,
        )
        for every, said, mark, beyond in ((15, "15 events", 3, 2), (1, "one event", 6, 4))
        for client in ("blocking", "asyncio")
    ),
    *(
        Mark(
            f"`Fleet` of 50 switches, {said} a read: CPU by one client's",
            share(f"take_fleet {{0}}_plain#{every}", f"take_asyncio {{0}}_plain#{every}"),
            1.5,
            1.2,
            True,
        )
        for every, said in ((15, "15 events"), (1, "one event"))
    ),
    Mark("`ESL`, plain, name only: times the official", times("esl_name {}_plain", "official_name {}_plain"), 20, 40),
    Mark("`ESL`, plain, all headers: times the official", times("esl_all {}_plain", "official_all {}_plain"), 6, 12),
    Mark("`ESL`, JSON, name only: times the official", times("esl_name {}_json", "official_name {}_json"), 20, 40),
    Mark("`ESL`, JSON, all headers: times the official", times("esl_all {}_json", "official_all {}_json"), 6, 12),
    Mark(f"Python core, 5 headers: {OURS}", times("py_five {}_plain", FIRST), 7.5, 10),
    Mark(f"Python core, `asdict`: {OURS}", times("py_asdict {}_plain", FIRST), 1.6, 2),
    Mark(
        "Python core, JSON events, first `get`: by `json.loads`",
        share("py_get {}_json", "json_loads {}_json"),
        1.5,
        1.2,
        True,
    ),
    Mark("200 decoders after `asdict` of a stream each: MB kept", of_decoders, 40, 20, True),
    Mark(
        "recording at full speed: CPU by (a)'s, a `memchr` loop",
        share("record {}_plain", "newlines {}_plain"),
        7,
        5,
        True,
    ),
    Mark(
        "`Recording.messages()`: by decoding the plain bytes from memory",
        share("messages {}_plain", "iterate {}_plain"),
        1.5,
        1.2,
        True,
    ),
    Mark(
        "blocking client that records: CPU by the same without",
        share("whole_tap {}_plain", "whole_blocking {}_plain"),
        1.6,
        1.3,
        True,
    ),
    Mark("8 columns: CPU by (a)'s, a `memchr` loop", share("columns8 {}_plain", "newlines {}_plain"), 1, 0.6, True),
    Mark(
        "8 columns: times greenswitch and pandas",
        times("columns8 {}_plain", "greenswitch_pandas {}_plain/long"),
        100,
        150,
    ),
    Mark("8 columns: times `to_json` and DuckDB", times("columns8 {}_plain", "json_duckdb {}_plain/long"), 10, 20),
    Mark("20 columns: CPU by (a)'s", share("columns20 {}_plain", "newlines {}_plain"), 1.8, 1.2, True),
    Mark(
        "JSON events, 8 columns: by the same in plain",
        share("columns8 {0}_json", "columns8 {0}_json/plain"),
        2.5,
        1.5,
        True,
    ),
    Mark("`ndjson`: CPU by (a)'s", share("ndjson {}_plain", "newlines {}_plain"), 3.2, 2.5, True),
    Mark(
        "JSON events, `ndjson`: CPU by (a)'s, in plain", share("ndjson {}_json", "newlines {0}_json/plain"), 4, 3, True
    ),
    Mark(
        "`fs.batches`, blocking client: CPU by a bare `recv_into` loop",
        share("take_batches {}_plain", "receive {}_plain"),
        5,
        3,
        True,
    ),
    Mark(
        "`scan` of 256 MiB, two threads: times one, by the clock",
        by_the_clock("scan_long_two {}_plain", "scan_long {}_plain"),
        1.6,
        1.9,
    ),
    Mark("`legs` of a recording: by `scan` of 8 columns", share("legs {}_plain", "scan {}_plain"), 1.5, 1.1, True),
    # Older marks, which still hold
    Mark("5 headers, `get`: CPU by (b)'s", share("five {}_plain", "receive {}_plain"), 2, at_most=True),
    Mark("`asdict`: times the yardstick", times("asdict {}_plain", "yardstick {}_plain"), 18),
    Mark("`asdict`: by the time of (c)", share("asdict {}_plain", "floor {}_plain"), 0.7, 0.5, True),
    Mark(
        "`asdict`, shuffled: by recorded order's",
        share("asdict {0}_plain/shuffled", "asdict {0}_plain"),
        1.4,
        1.2,
        True,
    ),
    Mark("5 headers, chunks of 1460: by 64 KiB's", share("five {0}_plain@1460", "five {0}_plain"), 1.25, at_most=True),
    Mark(
        "`asdict`, chunks of 1460: by 64 KiB's", share("asdict {0}_plain@1460", "asdict {0}_plain"), 1.25, at_most=True
    ),
    Mark("5 headers in chunks of 16: times greenswitch's", times("five {}_plain@16", "greenswitch {}_plain@16"), 10),
    Mark("`asdict` in chunks of 16: times greenswitch's", times("asdict {}_plain@16", "greenswitch {}_plain@16"), 10),
    Mark("50 000 kept: (memory - 250 B) by payload", kept, 1.1, at_most=True),
    adapted("greenswitch"),
    adapted("genesis"),
    adapted("switchio"),
    # Rows without a mark
    Mark("blocking client, 5 headers: CPU by (b)'s", share("whole_blocking {}_plain", "receive {}_plain")),
    Mark("asyncio client, 5 headers: CPU by (b)'s", share("whole_asyncio {}_plain", "receive {}_plain")),
    Mark("`ESL`, XML, the body: times the official", times("esl_body {}_xml", "official_body {}_xml")),
    Mark("XML events, `asdict`: by the same in plain", share("asdict {0}_xml", "asdict {0}_xml/plain")),
    Mark("200 decoders, one event a read, 5 headers: by one's", share("many_five {0}_plain#1", "five {0}_plain#1")),
    Mark("200 decoders, one event a read, `asdict`: by one's", share("many_asdict {0}_plain#1", "asdict {0}_plain#1")),
    Mark(
        "200 connections, asyncio, one event a read: by one client's",
        share("whole_many {0}_plain#1", "whole_asyncio {0}_plain#1"),
    ),
]

MADE = [
    Mark("1,500 headers, `get`: time a header by that of 500", by_header("five"), 1.2, at_most=True),
    Mark("1,500 headers, `asdict`: time a header by that of 500", by_header("asdict"), 1.2, at_most=True),
    Mark("1,500 headers, `to_json`: time a header by that of 500", by_header("to_json"), 1.2, at_most=True),
    Mark(
        "4 MB body: peak memory by its size",
        peak_by_size("body body_4M@1460"),
        2.1,
        1.1,
        True,
    ),
    Mark("4 MB body: time a byte by that of 1 MB", growth("body", "body_1M@1460", "body_4M@1460"), 1.3, at_most=True),
    Mark("200-item array, `asdict`: times the best peer", best("asdict", "array_200"), 10),
    Mark("200-item array, `getlist`: times the best peer", best("items", "array_200"), 10),
    Mark("2 000-item array: time a byte by 200's", growth("items", "array_200", "array_2000"), 1.3, at_most=True),
    Mark("12 000 new names: time a byte by 3 000's", growth("asdict", "names_3000", "names_12000"), 1.3, at_most=True),
    Mark("`ESL`, 3 000 headers: times the official", times("esl_all names_3000", "official_all names_3000"), 6),
    Mark(
        "`ESL`, 12 000 headers: time a byte by 3 000's",
        growth("esl_all", "names_3000", "names_12000"),
        1.3,
        at_most=True,
    ),
    Mark("`eslcodec convert` of 10 GB to Parquet: MB of memory", of_converting, 300, 150, True),
    # Rows without a mark
    Mark("4 MB body in chunks of 1460: times the best peer", best("body", "body_4M@1460")),
    Mark("4 MB body: CPU by (e)'s, a plain copy", share("body body_4M@1460", "copy body_4M@1460")),
    Mark("3 000 new names, `asdict`: times the best peer", best("asdict", "names_3000")),
    Mark(
        "3 000 new names, `asdict`: by the time of (c) with new names", share("asdict names_3000", "floor names_3000")
    ),
    Mark("20 000 replies: times greenswitch", times("reply replies", "greenswitch replies")),
    Mark("20 000 replies: times the best peer", best("reply", "replies")),
]


def markdown(results: Results) -> str:
    verdicts = Counter(
        "missed" if "missed" in verdict else verdict
        for mark in (*CAPTURED, *MADE)
        if (verdict := mark.verdict(mark.measure(results, "sip"))) != "no mark"
    )
    said = ", ".join(f"{verdicts[verdict]} {verdict}" for verdict in ("beyond", "met", "missed", "not measured"))
    lines = [
        made(results),
        "",
        f"The marks are for sip, churn stands beside it: {said}.",
        "",
        "| what | mark | beyond | sip | | churn |",
        "|---|--:|--:|--:|---|--:|",
    ]
    for mark in CAPTURED:
        sip, churn = mark.measure(results, "sip"), mark.measure(results, "churn")
        lines.append(f"| {mark.what} | {bounds(mark)} | {shown(sip)} | {mark.verdict(sip)} | {shown(churn)} |")
    lines += ["", "| what | mark | beyond | measured | |", "|---|--:|--:|--:|---|"]
    for mark in MADE:
        value = mark.measure(results, "")
        lines.append(f"| {mark.what} | {bounds(mark)} | {shown(value)} | {mark.verdict(value)} |")
    lines += ["", "The best peers: " + best_peers(results), "", "Memory of a kept event: " + memory(results)]
    if busy := business(results):
        lines += ["", f"**The machine was busy**: {busy}."]
    return "\n".join(lines) + "\n"


def bounds(mark: Mark) -> str:
    sign = "≤ " if mark.at_most else "≥ "
    return " | ".join("" if bound is None else f"{sign}{bound:g}" for bound in (mark.mark, mark.beyond))


def best_peers(results: Results) -> str:
    streams = ("body_4M@1460", "array_200", "names_3000", "replies")
    found = {stream: best_peer(results, stream) for stream in streams}
    lost = [
        f"{name} loses {count:,.0f} of `{stream}` and does not count there"
        for stream in streams
        for name in TASKS
        if (count := figure(results, f"{name} {stream}", "lost"))
    ]
    return "; ".join([*(f"`{stream}` {name}" for stream, name in found.items()), *lost]) + "."


def memory(results: Results) -> str:
    said = []
    for kind in ("sip", "churn"):
        events, dicts = (shown(figure(results, f"keep_{what} {kind}_plain", "kept")) for what in ("events", "dicts"))
        said.append(
            f"{kind} {events} B for {shown(payload_of_event(results, kind))} B of payload, its `asdict` {dicts} B"
        )
    return "; ".join(said) + " (dicts share values that are remembered)."


def write(results: Results, folder: Path) -> None:
    text = markdown(results)
    (folder / "marks.md").write_text(text)
    print(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, help="results.json; marks.md goes beside it")
    path = parser.parse_args().results
    write(json.loads(path.read_text()), path.parent)
