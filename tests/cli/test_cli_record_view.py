"""What `eslcodec record` shows, how long it says that the disk will do, and how it is told to stop."""

from __future__ import annotations

import io
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from support import until

pytest.importorskip("click")
rich_console = pytest.importorskip("rich.console")
numbers, pace, record, record_view = (
    pytest.importorskip(f"eslcodec.cli.{name}") for name in ("numbers", "pace", "record", "record_view")
)

Numbers = numbers.Numbers


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Fake:
    """A station that brings what it is told to."""

    refused = False
    failure: str | None = None

    def __init__(self, name: str) -> None:
        self.name = name
        self.state = "recording"
        self.so_far = Numbers()

    def numbers(self) -> Any:
        return self.so_far


@pytest.fixture
def clock() -> Clock:
    return Clock()


def survey(stations: Any, folder: Path, clock: Clock, **options: Any) -> Any:
    return record_view.Survey(
        stations, str(folder), **{"min_free": 0.1, "keep_seconds": None, "keep_bytes": None, **options}, clock=clock
    )


# The pace


def test_a_pace_is_that_of_the_last_hour(clock: Clock) -> None:
    found = pace.Pace()
    assert found.per_second is None
    for second in range(0, 4000, 100):
        found.note(second, second * 10)
    for second in range(4000, 9000, 10):
        found.note(second, 40000)
    assert found.per_second == 0
    found.note(9000, 76000)
    assert found.per_second == pytest.approx(10)
    found.note(9001, 76001)  # too soon to be kept, and yet the last
    assert found.per_second == pytest.approx(10, rel=0.01)
    assert len(found._samples) <= 362


@pytest.mark.parametrize(
    ("per_second", "kept", "keep_seconds", "keep_bytes", "expected"),
    [
        (None, 0, None, None, None),
        (0, 0, None, None, None),
        (10, 0, None, None, 100),
        (10, 0, 99, None, None),  # 990 bytes at most
        (10, 0, 101, None, 100),
        (10, 500, 150, None, None),  # 1,000 more
        (10, 0, None, 1000, None),
        (10, 0, None, 1001, 100),
        (10, 0, 1e9, 1000, None),
        (10, 0, 50, 1e9, None),
    ],
)
def test_how_long_the_disk_will_do(
    per_second: Any, kept: float, keep_seconds: Any, keep_bytes: Any, expected: Any
) -> None:
    assert pace.seconds_left(1000, per_second, kept, keep_seconds, keep_bytes) == expected


def test_the_room_is_that_of_the_disk(tmp_path: Path) -> None:
    def is_less_if_some_stays_free() -> bool:
        all_of_it = pace.room(str(tmp_path), 0)
        return all_of_it > pace.room(str(tmp_path / "not" / "there"), 0.001) > 0 or all_of_it == 0

    until(is_less_if_some_stays_free)  # others may have made room between two looks
    assert pace.room(str(tmp_path), 1) == 0


def test_the_size_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"12345")
    (tmp_path / "c").write_bytes(b"67")
    (tmp_path / "gone").symlink_to("nothing")
    assert pace.folder_bytes(str(tmp_path)) == 7
    assert pace.folder_bytes(str(tmp_path / "none")) == 0


# What is shown


def test_sums_for_people() -> None:
    assert str(Numbers()) == "0 events, 0 B received, 0 B on disk, no gaps"
    assert str(Numbers(1, 100, 200, 1)) == "1 events, 100 B received, 200 B on disk, 1 gap"


def test_rates_are_those_of_the_last_seconds(tmp_path: Path, clock: Clock) -> None:
    station = Fake("pbx:8021")
    seen = survey([station], tmp_path, clock)
    for _ in range(90):
        clock.now += 1
        station.so_far += Numbers(10, 1000, 10, 0)
        seen.look()
    station.so_far += Numbers(990, 0, 0, 2)
    clock.now += 1
    seen.look()
    (row,) = seen.rows(1)
    assert (row.events, row.bytes, row.so_far.gaps) == (990, 0, 2)
    (row,) = seen.rows(5)
    assert (row.events, row.bytes) == ((4 * 10 + 990) / 5, 800)
    assert seen.rows(60)[0].events == (59 * 10 + 990) / 60
    assert len(seen._samples) == 61


def test_a_line_a_minute(tmp_path: Path, clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    stations = [Fake("pbx1:8021"), Fake("[::1]:8021")]
    stations[1].state = "connecting again"
    seen = survey(stations, tmp_path, clock)
    lines = record_view.Lines(clock)
    for _ in range(119):
        clock.now += 1
        stations[0].so_far += Numbers(1200, 5000000, 100000, 0)
        seen.look()
        lines.show(seen)
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 3
    assert shown[0].startswith("pbx1:8021 recording: 1,200 events/s, 4.8 MiB/s; 72,000 events, 286.1 MiB received, ")
    assert shown[1].startswith("[::1]:8021 connecting again: 0 events/s, 0 B/s; 0 events, ")
    assert shown[2].startswith("room on disk for ")
    assert shown[2].endswith(" at this pace")
    assert seen.summary().startswith("1 of 2 switches recording: 1,200 events/s, ")


def test_the_line_of_one_switch_has_the_disk_in_it(tmp_path: Path, clock: Clock) -> None:
    seen = survey([Fake("pbx:8021")], tmp_path, clock, keep_seconds=60.0)
    assert seen.summary().startswith("pbx:8021 recording: 0 events/s, 0 B/s; 0 events, ")
    assert "; room on disk for " in seen.summary()
    assert not seen.summary().endswith(" at this pace")  # nothing comes: it is not known, or for ever


def test_the_folder_is_counted_once_a_minute(tmp_path: Path, clock: Clock) -> None:
    seen = survey([Fake("pbx")], tmp_path, clock)
    assert seen._folder_bytes() == 0
    (tmp_path / "a").write_bytes(b"1")
    assert seen._folder_bytes() == 0
    clock.now += 60
    assert seen._folder_bytes() == 1


def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Standard output is one; a fixture could not do that, since pytest sets it again for the test itself."""
    out = io.StringIO()
    out.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return out


def test_a_table_on_a_terminal(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    out = terminal(monkeypatch)
    seen = survey([Fake("pbx\x1b[2J:8021")], tmp_path, clock)
    with record_view.view(quiet=False) as screen:
        screen.show(seen)
        screen.say("nothing was recorded for 3 s: \x1b]0;t\x07[red]\u202e")
    shown = out.getvalue()
    assert "Events/s" in shown
    assert "pbx\\x1b[2J:8021" in shown
    assert "eslcodec: nothing was recorded for 3 s: \\x1b]0;t\\x07[red]\\u202e" in shown
    assert "\x1b[2J" not in shown
    assert "\x07" not in shown
    assert "\u202e" not in shown


def test_lines_where_a_table_cannot_be_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal(monkeypatch)
    monkeypatch.setenv("TERM", "dumb")
    with record_view.view(quiet=False) as screen:
        assert isinstance(screen, record_view.Lines)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    with record_view.view(quiet=False) as screen:
        assert isinstance(screen, record_view.Lines)


def test_quiet_says_only_what_goes_wrong(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = terminal(monkeypatch)
    with record_view.view(quiet=True) as screen:
        screen.show(survey([Fake("pbx")], tmp_path, clock))
        screen.say("a gap\x1b")
    assert out.getvalue() == ""
    assert capsys.readouterr().err == "eslcodec: a gap\\x1b\n"


def test_the_same_line_is_not_said_all_night(clock: Clock) -> None:
    told = record.Told(clock)
    for second in range(1300):
        clock.now = second
        told.tell("cannot connect")
        if second == 5:
            told.tell("a gap")
    assert told.take() == ["cannot connect", "a gap", "cannot connect", "cannot connect"]
    assert told.take(0.001) == []
    for number in range(1500):
        told.tell(str(number))
    assert len(told._last) < 1001


# How it ends


def test_signals_that_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    exits: list[int] = []
    monkeypatch.setattr(os, "_exit", exits.append)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    told = record.Told()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with record.Stop(told.wake) as stop:
        assert not stop.is_set()
        signal.raise_signal(signal.SIGTERM)
        assert stop.is_set()
        assert told.take(0) == []
        signal.raise_signal(signal.SIGTERM)
        assert exits == []
        signal.raise_signal(signal.SIGINT)
        assert exits == [130]
    signal.signal(signal.SIGINT, before[signal.SIGINT])
    assert {number: signal.getsignal(number) for number in before} == before


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is no SIGHUP")
def test_a_signal_that_was_to_be_ignored_is() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with record.Stop(lambda: None) as stop:
            signal.raise_signal(signal.SIGHUP)
            assert not stop.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_when_nothing_is_recorded_any_more() -> None:
    one, other = Fake("a:1"), Fake("b:2")
    assert record._over([one, other]) is None
    one.refused = True
    assert record._over([one, other]) is None
    other.refused = True
    assert record._over([one, other]) == "no switch lets us in"
    assert record._over([other]) == "b:2 does not let us in"
    other.failure = "the disk is full"
    assert record._over([one, other]) == "b:2: the disk is full"
