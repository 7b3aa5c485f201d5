"""Lines about messages: what they say, and that they fit a terminal."""

from __future__ import annotations

import os
import re
from typing import Any

import pytest
from cli_live_support import HOSTILE, build, events_in, live, run
from cli_support import files

import eslcodec

lines = pytest.importorskip("eslcodec.cli.lines")

UUID = "8f08a03a-c377-4f13-a9ec-93b2319b9f0b"
CELLS = pytest.importorskip("rich.cells").cell_len


def line(name: str, headers: Any, width: int | None, subclass: str | None = None, label: str = "14:05:43") -> str:
    (shown,) = lines.listing(label, build(name, headers, subclass=subclass), False, width)
    return re.sub(r"  #\d+$", "", shown)


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (40, "14:05:43 CHANNEL_HANGUP_COMPLETE  USER_…"),
        (60, f"14:05:43 CHANNEL_HANGU… {UUID}"),
        (80, f"14:05:43 CHANNEL_HANGUP_COMPLETE  {UUID} USER_BUSY"),
        (120, f"14:05:43  CHANNEL_HANGUP_COMPLETE   {UUID}  USER_BUSY  sofia/internal/1000@example.org:50…"),
        (None, f"14:05:43  CHANNEL_HANGUP_COMPLETE   {UUID}  USER_BUSY  sofia/internal/1000@example.org:5060"),
    ],
)
def test_the_uuid_is_whole_and_what_says_most_comes_next(width: int | None, shown: str) -> None:
    headers = {
        "Unique-ID": UUID,
        "Hangup-Cause": "USER_BUSY",
        "Channel-Name": "sofia/internal/1000@example.org:5060",
    }
    assert line("CHANNEL_HANGUP_COMPLETE", headers, width) == shown


@pytest.mark.parametrize(
    ("name", "headers", "subclass", "said"),
    [
        ("CHANNEL_CREATE", {"Caller-Caller-ID-Number": "1000", "Caller-Destination-Number": "9"}, None, "1000 -> 9"),
        ("CHANNEL_STATE", {"Channel-State": "CS_INIT"}, None, "CS_INIT"),
        ("CHANNEL_EXECUTE", {"Application": "playback", "Application-Data": "a.wav"}, None, "playback  a.wav"),
        ("DTMF", {"DTMF-Digit": "#"}, None, "#"),
        ("HEARTBEAT", {"Session-Count": "7"}, None, "7 sessions"),
        ("BACKGROUND_JOB", {"Job-UUID": UUID, "Job-Command": "status"}, None, f"{UUID}  status"),
        ("CUSTOM", {"from-user": "1000", "from-host": "example.org"}, "sofia::register", "1000  example.org"),
        ("CUSTOM", {"CC-Action": "agent-offering", "CC-Queue": "q"}, "callcenter::info", "agent-offering  q"),
        ("CUSTOM", {}, "mine", ""),
    ],
)
def test_what_happened_is_in_the_line(name: str, headers: Any, subclass: str | None, said: str) -> None:
    shown_name = name if subclass is None else subclass if "::" in subclass else f"CUSTOM {subclass}"
    assert line(name, headers, None, subclass) == f"14:05:43  {shown_name:<24}  {said}".rstrip()


@pytest.mark.parametrize("width", [1, 2, 10, 30, 50, 60, 69, 70, 71, 80, 99, 100, 200])
def test_no_line_of_a_recorded_switch_is_wider_than_the_terminal(width: int) -> None:
    messages = events_in(files.recording())[:400]
    shown = [next(lines.listing("14:05:43", message, False, width)) for message in messages]
    assert all(len(text) <= width for text in shown)
    if width >= 58:
        assert all(message["Unique-ID"] in text for message, text in zip(messages, shown, strict=True))


@pytest.mark.parametrize("width", [20, 60, 80, 120])
@pytest.mark.parametrize("wide", ["\u5317\u4eac" * 40, "\U0001f600" * 60, "e\u0301" * 90])
def test_wide_characters_take_two_columns(wide: str, width: int) -> None:
    for headers in ({"Channel-Name": wide}, {"Unique-ID": wide}, {"Unique-ID": UUID, "Channel-Name": wide}):
        for name, subclass in (("CHANNEL_CREATE", None), ("CUSTOM", wide)):
            shown = line(name, headers, width, subclass)
            assert CELLS(shown) <= width
            assert (UUID in shown) is (headers.get("Unique-ID") == UUID and width >= 60)


@pytest.mark.parametrize("width", [20, 60, 80, 200, None])
def test_nothing_of_a_hostile_event_reaches_the_terminal(width: int | None) -> None:
    for subclass in ("\x1b[2J::\x9b", "\x1b]0;t\x07"):
        assert line("CUSTOM", {**HOSTILE, "Unique-ID": "\x1b[1A\u202e"}, width, subclass).isprintable()


def test_a_terminal_without_unicode_gets_a_plain_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ascii:
        encoding = "ascii"

    monkeypatch.setattr(lines.sys, "stdout", Ascii())
    assert lines.fitted("CHANNEL_ANSWER", 8) == "CHANNEL>"


def test_the_time_is_the_events_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    live.time.tzset()
    try:
        event = build("DTMF", {"Event-Date-Timestamp": "1796004405547123"})
        assert live._clock(event, None) == "02:06:45.547"
        assert live._clock(event, 99) == "02:06:45"
        assert re.fullmatch(
            r"\d\d:\d\d:\d\d\.\d{3}", live._clock(eslcodec.LogLine(b"Content-Type: log/data\n\n", b"x"), 200)
        )
    finally:
        monkeypatch.undo()
        live.time.tzset()


def test_decode_fits_a_terminal_too(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    decode = pytest.importorskip("eslcodec.cli.decode")
    for module in (decode, lines):
        monkeypatch.setattr(module, "is_terminal", lambda stream: True)
    monkeypatch.setenv("COLUMNS", "80")
    path = tmp_path / "s.esl"
    path.write_bytes(files.recording()[:200_000])
    shown = run("decode", None, path).stdout.splitlines()
    assert max(map(len, shown)) == 80
    assert shown[3].startswith(f"      4 CHANNEL_STATE            {UUID}")


def test_a_terminal_of_unknown_size_has_eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "is_terminal", lambda stream: True)
    for said, width in (((0, 0), 80), ((132, 43), 132)):
        size = os.terminal_size(said)
        monkeypatch.setattr(lines.shutil, "get_terminal_size", lambda size=size: size)
        assert lines.terminal_width() == width
