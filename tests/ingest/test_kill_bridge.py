"""The bridge under whatever may go wrong; tests/kill_bridge.py does it for longer."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from nats_support import BINARIES, at_full_size, needs_server, once
from sizes import HEAVY

kill_support = pytest.importorskip("kill_support")
kill_bridge = pytest.importorskip("kill_bridge")
kill_soak = pytest.importorskip("kill_soak")
Mark = kill_support.Mark
EVENTS = int(20_000 * HEAVY)
ABC = [Mark("event", "a"), Mark("notice", "gap"), Mark("event", "b"), Mark("event", "c")]


@pytest.mark.heavy
@needs_server
@once
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("servers", "is_one"),
    [(1, False), pytest.param(1, True, marks=at_full_size), pytest.param(3, False, marks=at_full_size)],
)
def test_the_stream_is_the_recording_whatever_goes_wrong(tmp_path: Path, servers: int, is_one: bool) -> None:
    options: dict[str, Any] = {"events": EVENTS, "seconds": 20.0, "seed": 19, "is_one": is_one, "rounds": 1}
    report = kill_bridge.run(BINARIES[-1], tmp_path, servers, **options)
    assert report.wrong == [], "\n".join(report.lines())
    assert report.fired > EVENTS
    assert report.recorded > EVENTS // 8  # much is missed where the recorder starts slowly
    assert set(report.done.values()) == {1}


@pytest.mark.heavy
@needs_server
@once
@at_full_size
@pytest.mark.timeout(300)
def test_memory_and_descriptors_are_flat(tmp_path: Path) -> None:
    """Of some seconds, so nothing but the script is proved."""
    assert kill_soak.main(BINARIES[-1], tmp_path, 10.0) == 0


# Without a server: the judge


@pytest.mark.parametrize(
    ("parts", "window"),
    [
        ([ABC], 0),
        ([ABC[:2], ABC[2:]], 0),
        ([ABC[:3], ABC[1:]], 2),
        ([ABC, []], 0),
        ([[], ABC[:1], [], ABC[1:]], 0),
    ],
)
def test_a_stream_that_is_the_recording_is_right(parts: list[Any], window: int) -> None:
    assert kill_support.check(ABC, parts, window) == []


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([ABC[:3]], "1 of 4 are not in the stream"),
        ([ABC[:2]], "2 of 4 are not in the stream"),
        ([[ABC[0], ABC[2], ABC[3]]], "1 absent"),
        ([[*ABC, ABC[3]]], r"1 are there twice \['c'\]"),
        ([[ABC[0], ABC[1], ABC[3], ABC[2]]], "1 out of order"),
        ([[*ABC[:3], Mark("event", "x"), ABC[3]]], r"1 foreign \['x'\]"),
        ([ABC[:3], ABC[1:]], "part 2 of 2"),
        ([ABC[:1], ABC[2:]], "part 2 of 2"),
    ],
)
def test_a_stream_that_is_not_is_wrong(parts: list[Any], said: str) -> None:
    (wrong,) = kill_support.check(ABC, parts, 1)
    assert re.search(said, wrong), wrong


def test_what_is_missing_must_have_been_reported() -> None:
    def event(number: int) -> Any:
        return {"N": str(number), "Core-UUID": "c", "Event-Sequence": str(number + 100)}

    found = kill_support.Recorded()
    found.event(event(3))
    found.note({"note": "gap", "since": 1, "until": 2})
    found.event(event(7))
    found.event(event(8))
    assert (found.missing, found.gaps, found.unreported) == (3, 1, [])
    found.event(event(10))
    found.note({"note": "opened"})
    found.event(event(12))
    found.event(event(12))
    assert found.unreported == [(8, 10), (10, 12), (12, 12)]
    assert found.marks[:2] == [Mark("event", "c:103"), Mark("notice", "gap")]


def test_growth_is_seen() -> None:
    flat = [kill_soak.Row(float(second), 50 << 20, 12) for second in range(30)]
    assert kill_soak.grown(flat) == []
    leaking = [kill_soak.Row(float(second), (50 + 3 * second) << 20, 12 + second) for second in range(30)]
    assert kill_soak.grown(leaking) == ["memory grew from 107 to 137 MiB", "descriptors grew from 31 to 41"]
