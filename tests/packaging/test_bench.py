"""bench/: the cases that its tables and marks speak of are measured, in one unit, and only on a quiet machine.

How fast anything is, is not looked at.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"
pytestmark = pytest.mark.skipif(not BENCH.exists(), reason="the bench is in the checkout only")
MODULES = ("clients", "corpora", "day_chart", "loopback", "marks", "peers", "report", "tasks", "ways")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """The bench's modules, which call each other by these names. The suite does not keep them."""
    monkeypatch.syspath_prepend(str(BENCH))
    for name in MODULES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield SimpleNamespace(**{name: __import__(name) for name in MODULES})
    for name in MODULES:
        sys.modules.pop(name, None)


def measurement(cpu: float = 2e-6, wall: float = 2e-6, work: float = 1e-3) -> dict[str, Any]:
    return {
        "work": work,
        "events": 100,
        "lost": 0,
        "bytes": 400_000,
        "payload": 390_000,
        "wall": wall,
        "cpu": cpu,
        "peak": 800_000,
        "kept": 4000.0,
    }


@pytest.fixture
def results(bench: SimpleNamespace) -> dict[str, Any]:
    """A run in which every case took 2 µs, 3 µs and 4 µs."""
    cases = {" ".join(case): [measurement(cpu, cpu) for cpu in (2e-6, 3e-6, 4e-6)] for case in bench.peers.all_cases()}
    return {
        "made": {
            "date": "2026-01-01",
            "cpu": "a CPU",
            "system": "a system",
            "python": "3.11.7",
            "eslcodec": "0",
            "core": "c",
            "clients": {},
            "rounds": 3,
        },
        "equal": {},
        "instructions": {f"{task} {kind}_plain#1": 5e4 for task in bench.peers.COUNTED for kind in ("sip", "churn")},
        "convert": {"gigabytes": 10, "peak_mb": 250.0},
        "cases": cases,
        "skipped": {},
    }


def test_every_case_is_a_task_and_a_stream(bench: SimpleNamespace) -> None:
    cases = bench.peers.all_cases()
    assert len(cases) == len(set(cases))
    assert {task for task, _ in cases} <= bench.tasks.TASKS.keys()
    for name in {stream.split("#")[0].split("@")[0] for _, stream in cases if not stream.startswith(("body", "names"))}:
        assert bench.corpora.load(name, 5).frames


def test_every_mark_is_measured(bench: SimpleNamespace, results: dict[str, Any]) -> None:
    missing = [
        (mark.what, kind)
        for mark in (*bench.marks.CAPTURED, *bench.marks.MADE)
        for kind in ("sip", "churn")
        if mark.measure(results, kind) is None
    ]
    assert not missing


def test_a_missed_mark_is_shown(bench: SimpleNamespace, results: dict[str, Any]) -> None:
    text = bench.marks.markdown(results)
    row = next(line for line in text.splitlines() if line.startswith("| 5 headers, `get`: times greenswitch |"))
    assert row == "| 5 headers, `get`: times greenswitch | ≥ 50 | ≥ 55 | 1 | **missed** by 98 % | 1 |"
    assert "| 20 000 replies: times greenswitch |  |  | 1 | no mark |" in text


def test_rows_are_in_one_unit_with_rounds_and_spread(bench: SimpleNamespace, results: dict[str, Any]) -> None:
    table = bench.report.table(results, "sip_plain")
    row = next(line for line in table.splitlines() if line.startswith("| **`asdict`** |"))
    assert [cell.strip() for cell in row.split("|")[2:7]] == ["3", "67 %", "333,000", "1,333", "1"]
    assert ", 3 rounds, " in bench.report.made(results)
    assert bench.report.summary(results["cases"])["asdict sip_plain"] == {
        "rounds": 3,
        "cpu_us": 3,
        "cpu_us_min": 2,
        "cpu_us_max": 4,
        "spread": 0.667,
        "wall_by_cpu": 1,
    }


def test_the_table_says_that_the_machine_was_busy(bench: SimpleNamespace, results: dict[str, Any]) -> None:
    assert bench.report.business(results) == ""
    results["cases"]["whole_blocking sip_plain"] = [measurement(2e-6, 9e-6)]  # it waits for its sender
    assert bench.report.business(results) == ""
    results["cases"]["asdict sip_plain"] = [measurement(2e-6, 3e-6)]
    assert "up to 1.50 times more wall clock" in bench.report.business(results)
    assert "**The machine was busy**" in bench.marks.markdown(results)


def test_every_table_has_rows(bench: SimpleNamespace, results: dict[str, Any]) -> None:
    report = bench.report
    for table in (
        report.formats_table,
        report.headers_table,
        report.reads_table,
        report.whole_table,
        report.parts_table,
        report.adapters_table,
        report.module_table,
    ):
        assert table(results).count("\n") > 3, table.__name__
        assert table({**results, "cases": {}}) == ""


def test_a_busy_machine_is_refused(bench: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    peers = bench.peers
    monkeypatch.setattr(peers, "calibrate", lambda: 1.2)
    with pytest.raises(SystemExit, match=r"The machine is busy: 1\.20 times"):
        peers.Quiet(insist=True).begin()
    peers.Quiet(insist=False).begin()
    monkeypatch.setattr(peers, "calibrate", lambda: 1.05)
    peers.Quiet(insist=True).begin()


def test_a_busy_measurement_is_made_again(bench: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.peers.Quiet, "PAUSE", 0)
    quiet, busy = measurement(1e-6, 1.05e-6), measurement(1e-6, 1.3e-6)
    coming = iter([busy, busy, quiet])
    assert bench.peers.Quiet(insist=True).measure("asdict", lambda: next(coming)) is quiet
    assert bench.peers.Quiet(insist=True).measure("receive", lambda: busy) is busy
    assert bench.peers.Quiet(insist=False).measure("asdict", lambda: busy) is busy
    with pytest.raises(SystemExit, match="has become busy"):
        bench.peers.Quiet(insist=True).measure("asdict", lambda: busy)


def test_a_measurement_on_a_slowed_core_is_made_again(
    bench: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, results: dict[str, Any]
) -> None:
    monkeypatch.setattr(bench.peers.Quiet, "PAUSE", 0)
    quiet, slow = measurement(work=1e-3), measurement(work=1.3e-3)
    coming = iter([quiet, slow, slow, quiet])
    machine = bench.peers.Quiet(insist=True)
    assert machine.measure("receive", lambda: next(coming)) is quiet
    assert machine.measure("receive", lambda: next(coming)) is quiet
    assert machine.busy["receive"] == 2
    results["cases"]["asdict sip_plain"] = [slow]
    assert "1 of " in bench.report.business(results)
    assert "1.30 times slower" in bench.report.business(results)


def test_the_time_left_is_what_the_cases_took(bench: SimpleNamespace) -> None:
    progress = bench.peers.Progress(3, [("a", "s"), ("b", "s")])
    assert progress.left(0, 0) == "time left not known yet"
    progress.took(0, 10)
    assert progress.left(0, 1) == "50 s left"  # one of this round and two rounds of two, ten seconds each
    progress.took(1, 50)
    assert progress.left(1, 0) == "2 min left"


def test_streams_arrive_as_their_names_say(bench: SimpleNamespace) -> None:
    load = bench.corpora.load
    one, four = load("sip_plain#1", 10), load("sip_plain#4", 10)
    assert one.chunks == one.frames
    assert [len(chunk) for chunk in four.chunks] == [
        sum(map(len, four.frames[at : at + 4])) for at in range(0, len(four.frames), 4)
    ]
    assert [len(chunk) for chunk in load("sip_plain@16", 1).chunks[:-1]] == [16] * (len(one.frames[0]) // 16)


@pytest.mark.parametrize("count", [500, 1500])
def test_events_have_so_many_headers(bench: SimpleNamespace, count: int) -> None:
    import eslcodec

    decoder = eslcodec.Decoder()
    stream = bench.corpora.load(f"headers_{count}")
    decoder.feed(stream.data)
    events = list(decoder)
    assert {len(event.asdict()) for event in events} == {count}
    assert len(events) == len(stream.frames)
    assert all(None not in event.select(*bench.corpora.FIVE) for event in events)


@pytest.mark.parametrize("name", ["sip_json", "churn_xml"])
def test_the_same_events_in_plain_are_the_same(bench: SimpleNamespace, name: str) -> None:
    import eslcodec

    read = []
    for stream in (bench.corpora.load(name, 50), bench.corpora.load(f"{name}/plain", 50)):
        decoder = eslcodec.Decoder()
        decoder.feed(stream.data)
        read.append([event.asdict() for event in decoder])
    assert len(read[0]) == len(bench.corpora.load(name, 50).frames)
    assert read[0] == read[1]


@pytest.mark.parametrize("task", ["stdlib_duckdb", "json_duckdb", "select_arrow"])
def test_todays_ways_have_a_row_for_each_event(bench: SimpleNamespace, task: str) -> None:
    for module in ("duckdb", "pyarrow"):
        pytest.importorskip(module)
    stream = bench.corpora.load("sip_plain", 50)
    assert bench.tasks.TASKS[task].prepare(stream)() == 50


def test_the_chart_of_a_day_has_a_bar_for_each_way(
    bench: SimpleNamespace, results: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[list[Path]] = []
    monkeypatch.setattr(bench.day_chart, "chart", lambda results, paths: drawn.append(paths))
    bench.day_chart.write({**results, "cases": {}}, tmp_path)
    assert not drawn
    bench.day_chart.write(results, tmp_path)
    assert drawn == [[tmp_path / "day.svg", tmp_path / "day.png"]]
    assert json.loads((tmp_path / "day.json").read_text())["cases"].keys() == {
        " ".join(case) for case in bench.peers.DAY
    }
    assert bench.day_chart.of_a_day(results, "columns8") == 30
    assert [bench.day_chart.said(seconds) for seconds in (1.234, 30, 1234)] == ["1.2 s", "30 s", "21 min"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="its switch is forked")
@pytest.mark.parametrize("task", ["receive", "whole_blocking", "whole_asyncio", "whole_many", "esl_five", "protocol"])
def test_what_reads_from_a_switch_gets_every_event(task: str) -> None:
    every = 1 if task == "whole_many" else 3
    stream = "sip_plain" if task in ("esl_five", "protocol") else f"sip_plain#{every}"
    command = [sys.executable, str(BENCH / "worker.py"), task, stream, "--limit", "250", "--seconds", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    measured = json.loads(done.stdout)
    assert (measured["events"], measured["lost"], measured["passes"]) == (250, 0, 3)
