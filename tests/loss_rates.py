"""How often losses are found that were planted into recordings: the table of docs/guides/losses.md.

`python tests/loss_rates.py` prints it. Recordings of a switch that lost nothing are taken, events are left out, and the
rest is given to `LossWatch`. The places are random and the same each time.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

from support import captured

import eslcodec
from eslcodec import Event
from eslcodec.ingest import Loss, LossWatch

STREAMS: Final = ("calls_sip", "transfer_hold", "churn_plain")
WITH_HEARTBEAT: Final = ("calls_sip", "transfer_hold")
TRIALS: Final = 20
AFTER: Final = 1200
AFTER_SECONDS: Final = 1.1
"""What follows what was left out, at least, so that it can be judged."""

READ: Final = (
    "Event-Subclass",
    "Core-UUID",
    "Event-Date-Timestamp",
    "Event-Sequence",
    "Channel-State",
    "Session-Since-Startup",
    "Uptime-msec",
)
PRESET: Final = frozenset({*eslcodec.presets.CALLS, "HEARTBEAT"})
Stream = list[Event]
Pick = Callable[[Stream, random.Random], set[int]]


@dataclass(frozen=True)
class Row:
    """A kind of loss: which of a stream's events are left out, by their places."""

    what: str
    pick: Pick
    preset: bool = False


def shrunk(event: Event) -> Event:
    """What a watch reads of an event, so that thousands of streams take no time."""
    values = [
        (name, value)
        for name, value in zip(READ, (event._last(name) for name in READ), strict=True)
        if value is not None
    ]
    return Event.build(event.name or "", values)


@cache
def stream(name: str, preset: bool = False) -> Stream:
    """The events of a recording; with `preset` those of presets.CALLS, and HEARTBEAT."""
    if preset:
        return [event for event in stream(name) if event.name in PRESET]
    return [shrunk(event) for event in captured(eslcodec, name) if type(event) is Event]


def times(events: Stream) -> Iterator[tuple[Event, float]]:
    """Each with the time at which it may have been received: 10 ms after the latest stamp so far."""
    now = 0.0
    for event in events:
        now = max(now, int(event["Event-Date-Timestamp"]) / 1e6 + 0.01)
        yield event, now


def watched(events: Stream, watch: LossWatch) -> list[Loss]:
    """All that a watch says about these."""
    return [loss for event, now in times(events) for loss in watch.see(event, now)]


def end(events: Stream) -> int:
    """Where what is left out has to end: enough follows."""
    last = int(events[-1]["Event-Date-Timestamp"])
    place = len(events) - (AFTER if len(events) > 2 * AFTER else len(events) // 3)
    while last - int(events[place]["Event-Date-Timestamp"]) < AFTER_SECONDS * 1e6:
        place -= 1
    return place


def start(events: Stream, size: int, chance: random.Random) -> int:
    """Where what is left out begins: something is before it, and enough after it."""
    return chance.randrange(100, end(events) - size)


def run_of(size: int) -> Pick:
    """Events in a row."""

    def pick(events: Stream, chance: random.Random) -> set[int]:
        first = start(events, size, chance)
        return set(range(first, first + size))

    return pick


def some_of_200(size: int) -> Pick:
    """Events at random of 200 in a row."""

    def pick(events: Stream, chance: random.Random) -> set[int]:
        first = start(events, 200, chance)
        return {first + place for place in chance.sample(range(200), size)}

    return pick


def beside_heartbeat(before: int, after: int) -> Pick:
    """Events before a HEARTBEAT, or after it; with both the HEARTBEAT as well."""

    def pick(events: Stream, chance: random.Random) -> set[int]:
        last = end(events) - after
        places = [at for at, event in enumerate(events) if event.name == "HEARTBEAT" and before < at < last]
        if not places:
            return run_of(before + after)(events, chance)
        at = chance.choice(places)
        left_out = set(range(at - before, at + 1 + after))
        return left_out if before and after else left_out - {at}

    return pick


ROWS: Final = (
    Row("1", run_of(1)),
    Row("2 in a row", run_of(2)),
    Row("3 in a row", run_of(3)),
    Row("5 in a row", run_of(5)),
    Row("20 in a row", run_of(20)),
    Row("100 in a row", run_of(100)),
    Row("500 in a row", run_of(500)),
    Row("10 of 200 at random", some_of_200(10)),
    Row("20 of 200 at random", some_of_200(20)),
    Row("30 of 200 at random", some_of_200(30)),
    Row("50 before a HEARTBEAT", beside_heartbeat(50, 0)),
    Row("50 after a HEARTBEAT", beside_heartbeat(0, 50)),
    Row("25 before it, it, 25 after", beside_heartbeat(25, 25)),
    Row("preset: 10 in a row", run_of(10), preset=True),
    Row("preset: 25 in a row", run_of(25), preset=True),
    Row("preset: 50 in a row", run_of(50), preset=True),
    Row("preset: 100 in a row", run_of(100), preset=True),
)


def trials(row: Row, streams: tuple[str, ...] = STREAMS) -> Iterator[tuple[int, list[Loss]]]:
    """What is found in each: how many were left out, and what the watch said."""
    for name in streams:
        events = stream(name, row.preset)
        for number in range(TRIALS):
            out = row.pick(events, random.Random(f"{name} {row.what} {number}"))
            left = [event for at, event in enumerate(events) if at not in out]
            yield len(out), watched(left, LossWatch(subscribed_all=not row.preset))


def rate(row: Row, grade: str, streams: tuple[str, ...]) -> str:
    """In how many of these a loss of that grade is found."""
    found = [any(loss.grade == grade for loss in losses) for _, losses in trials(row, streams)]
    return f"{round(100 * sum(found) / len(found))} %"


def table() -> str:
    """The table, as it stands in the guide."""
    lines = ["| left out | *probable* | *counted* |", "|---|--:|--:|"]
    for row in ROWS:
        probable = "-" if row.preset else rate(row, "probable", STREAMS)
        lines.append(f"| {row.what} | {probable} | {rate(row, 'counted', WITH_HEARTBEAT)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
