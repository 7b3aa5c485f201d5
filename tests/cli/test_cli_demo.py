"""`eslcodec demo`: the recording and its checks."""

from __future__ import annotations

import functools
import re
import sys
import threading
from typing import Any

import pytest
import support
from cli_support import demo, files, run
from cli_support import short as short

import eslcodec
from eslcodec.emulator import Fault


def test_demo_decodes_and_checks_the_whole_recording() -> None:
    result = run("demo")
    assert result.exit_code == 0
    assert "OK      2819 of 2819 events sent were decoded" in result.output
    assert "OK      309200 headers, sha256 c08acf5e70bdcbd9" in result.output
    assert "CHANNEL_HANGUP               11" in result.output
    assert "142 call legs up, 11 down" in result.output
    assert f"core: {eslcodec.__impl__}" in result.output


def test_the_recording_is_the_capture() -> None:
    assert files.recording() == support.capture("sip_plain")


def test_demo_without_another_core_says_so(short: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    for core in ("_codec_c", "_codec_py"):
        monkeypatch.setitem(sys.modules, f"eslcodec.{core}", None)
    result = run("demo")
    assert result.exit_code == 0
    assert "no other core is here, so the standard library's reading" in result.output


def test_the_standard_librarys_reading_agrees_on_the_whole_recording() -> None:
    data = files.recording()
    events = [message.asdict() for message in support.decode(eslcodec, data) if isinstance(message, eslcodec.Event)]
    assert list(demo._plain_reading(data)) == events


def test_demo_fails_if_headers_differ(short: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_other_reading", lambda data: ("nobody", iter([])))
    result = run("demo")
    assert result.exit_code == 1
    assert "OK      40 of 40 events" in result.output
    assert "nobody: 0 headers" in result.output
    assert "A CHECK FAILED" in result.output


def test_demo_fails_if_an_event_is_missing(short: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_EVENT_NAME", re.compile(rb"^(?:Event-Name|Event-Sequence): (.*)$", re.MULTILINE))
    result = run("demo")
    assert result.exit_code == 1
    assert "FAILED  40 of 80 events" in result.output


def test_demo_that_breaks_off_says_why(short: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "Emulator", functools.partial(demo.Emulator, fault=Fault.close(after=len(short) // 2)))
    result = run("demo")
    assert result.exit_code == 1
    assert "Error: the demo broke off: stream ended in a body" in result.output


def test_demo_is_live_on_a_terminal(short: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "is_terminal", lambda stream: True)
    monkeypatch.setattr(demo, "_REFRESH", 0.0)
    result = run("demo", env={"TERM": "xterm-256color"})
    assert result.exit_code == 0
    assert "\x1b[2K" in result.output  # pictures replaced by later ones
    assert "OK      40 of 40 events" in result.output


@pytest.mark.parametrize(("options", "term"), [(["--plain"], "xterm"), ([], "dumb")])
def test_demo_in_plain_lines_on_a_terminal(
    options: list[str], term: str, short: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "is_terminal", lambda stream: True)
    monkeypatch.setattr(demo, "_REPORT", 0.0)
    result = run("demo", *options, "--rate", "1e6", env={"TERM": term})
    assert result.exit_code == 0
    assert "\x1b[2K" not in result.output
    assert " s      40 events  " in result.output


def test_a_demo_that_is_interrupted_stops_its_switch(short: bytes) -> None:
    def interrupt(tally: Any) -> None:
        raise KeyboardInterrupt

    def threads() -> set[threading.Thread]:
        return {one for one in threading.enumerate() if one.name != "eslcodec-caretaker"}  # which the process keeps

    before = threads()
    with pytest.raises(KeyboardInterrupt):
        demo.receive(short, 0.5, interrupt)  # the next event would come after two seconds
    assert threads() <= before  # those of other tests may have ended meanwhile


def test_the_rate_is_kept(short: bytes) -> None:
    tally = demo.receive(short, 400.0, lambda tally: None)
    assert tally.seconds >= 0.08  # 0.1, but for the granularity of waiting
    assert len(tally.kept) == 40
