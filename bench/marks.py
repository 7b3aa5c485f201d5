"""The marks that were set for eslcodec's speed, and what a run of peers.py says about each: marks.md."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from report import figure, made, ratio, shown
from tasks import TASKS

Results = dict[str, Any]


@dataclass(frozen=True)
class Mark:
    """One mark.

    Attributes:
        what: what is measured.
        measure: the figure, from a run's results and the capture's name: sip or churn.
        mark: the figure to reach.
        beyond: the better one, None if there is none.
        at_most: whether smaller is better.
    """

    what: str
    measure: Callable[[Results, str], float | None]
    mark: float
    beyond: float | None = None
    at_most: bool = False

    def verdict(self, value: float | None) -> str:
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


CAPTURED = [
    Mark("blocking client, 5 headers: CPU by (b)'s", share("whole_blocking {}_plain", "receive {}_plain"), 3, 2, True),
    Mark("asyncio client, 5 headers: CPU by (b)'s", share("whole_asyncio {}_plain", "receive {}_plain"), 3, 2, True),
    Mark("5 headers, `get`: times greenswitch", times("five {}_plain", "greenswitch {}_plain"), 50, 65),
    Mark("5 headers, `get`: CPU by (b)'s", share("five {}_plain", "receive {}_plain"), 2, at_most=True),
    Mark("5 + 2 late in one `select`: times greenswitch", times("select {}_plain", "greenswitch {}_plain"), 50, 80),
    Mark("5 + 2 absent, `get`: by the time without", share("absent {}_plain", "five {}_plain"), 1.4, 1.2, True),
    Mark("`asdict`: times greenswitch", times("asdict {}_plain", "greenswitch {}_plain"), 17, 25),
    Mark("`asdict`: times the yardstick", times("asdict {}_plain", "yardstick {}_plain"), 18),
    Mark("`asdict`: by the time of (c)", share("asdict {}_plain", "floor {}_plain"), 0.7, 0.5, True),
    Mark(
        "`asdict`, shuffled: by the recorded order's",
        share("asdict {0}_plain/shuffled", "asdict {0}_plain"),
        1.4,
        1.2,
        True,
    ),
    Mark("Python core, 5 headers: times greenswitch", times("py_five {}_plain", "greenswitch {}_plain"), 8, 12),
    Mark("Python core, `asdict`: times greenswitch", times("py_asdict {}_plain", "greenswitch {}_plain"), 1.2, 1.6),
    Mark("`to_json`: times `orjson.dumps(asdict())`", times("to_json {}_plain", "orjson_dumps {}_plain"), 3, 5),
    Mark("JSON events, 5 headers: times `orjson.loads`", times("five {}_json", "orjson_loads {}_json"), 5),
    Mark("JSON events, `asdict`: times `orjson.loads`", times("asdict {}_json", "orjson_loads {}_json"), 1),
    Mark(
        "5 headers in chunks of 1460: by 64 KiB's", share("five {0}_plain@1460", "five {0}_plain"), 1.25, at_most=True
    ),
    Mark(
        "`asdict` in chunks of 1460: by 64 KiB's",
        share("asdict {0}_plain@1460", "asdict {0}_plain"),
        1.25,
        at_most=True,
    ),
    Mark("5 headers in chunks of 16: times greenswitch's", times("five {}_plain@16", "greenswitch {}_plain@16"), 10),
    Mark("`asdict` in chunks of 16: times greenswitch's", times("asdict {}_plain@16", "greenswitch {}_plain@16"), 10),
    Mark("50 000 kept: (memory - 250 B) by payload", kept, 1.1, at_most=True),
    Mark("`ESL`, event name only: times the official module", times("esl_name {}_plain", "official_name {}_plain"), 20),
    Mark("`ESL`, all headers: times the official module", times("esl_all {}_plain", "official_all {}_plain"), 6),
    adapted("greenswitch"),
    adapted("genesis"),
    adapted("switchio"),
]

MADE = [
    Mark("4 MB body in chunks of 1460: times the best peer", best("body", "body_4M@1460"), 10),
    Mark("4 MB body: time a byte by that of 1 MB", growth("body", "body_1M@1460", "body_4M@1460"), 1.3, at_most=True),
    Mark("200-item array, `asdict`: times the best peer", best("asdict", "array_200"), 10),
    Mark("200-item array, `getlist`: times the best peer", best("items", "array_200"), 10),
    Mark("2 000-item array: time a byte by 200's", growth("items", "array_200", "array_2000"), 1.3, at_most=True),
    Mark("3 000 new names, `asdict`: times the best peer", best("asdict", "names_3000"), 5),
    Mark(
        "3 000 new names, `asdict`: by the time of (c) with new names",
        share("asdict names_3000", "floor names_3000"),
        1,
        at_most=True,
    ),
    Mark("12 000 new names: time a byte by 3 000's", growth("asdict", "names_3000", "names_12000"), 1.3, at_most=True),
    Mark("`ESL`, 3 000 headers: times the official module", times("esl_all names_3000", "official_all names_3000"), 6),
    Mark(
        "`ESL`, 12 000 headers: time a byte by 3 000's",
        growth("esl_all", "names_3000", "names_12000"),
        1.3,
        at_most=True,
    ),
    Mark("20 000 replies: times greenswitch", times("reply replies", "greenswitch replies"), 15, 25),
    Mark("20 000 replies: times the best peer", best("reply", "replies"), 15, 25),
]


def markdown(results: Results) -> str:
    lines = [
        made(results),
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
    return "\n".join(lines) + "\n"


def bounds(mark: Mark) -> str:
    sign = "≤ " if mark.at_most else "≥ "
    return f"{sign}{mark.mark:g} | {'' if mark.beyond is None else f'{sign}{mark.beyond:g}'}"


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
