"""Notices of a recording on the command line: kept, shown where asked for, used by legs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import support
from cli_support import run
from recordings_support import Tape

import eslcodec
from eslcodec.ingest import notices

pytest.importorskip("eslcodec.cli.convert")

AT = 1_796_000_000.25
ENDED = notices.Ended("fs1", AT, "a")
FOUND = notices.Found("fs1", AT, "b", caller="1000\x1b", core_uuid="c-1")


@pytest.fixture
def day(tmp_path: Path) -> Path:
    """A call that began, a gap, and what was found out after it."""
    tape = Tape()
    tape.note(note="opened", peer=["fs", 8021])
    created = support.plain(b"Event-Name: CHANNEL_CREATE\nUnique-ID: a\nCore-UUID: c-1\n\n")
    tape.chunk(created)
    tape.note(**notices.to_note(eslcodec.Gap.of(2.5, "gone"), "fs1", AT))
    tape.note(**notices.to_note(ENDED))
    tape.note(**notices.to_note(FOUND))
    tape.note(note="mine")
    tape.chunk(support.plain(b"Event-Name: CHANNEL_HANGUP_COMPLETE\nUnique-ID: b\nCore-UUID: c-1\n\n"))
    tape.write(tmp_path / "rec" / "fs_8021" / "20260921T141320Z-000000.esl.zst")
    return tmp_path / "rec"


def kinds(output: str) -> list[str]:
    rows = [json.loads(line) for line in output.splitlines()]
    return [row.get("_notice") or row["Event-Name"] for row in rows]


EVENTS = ["CHANNEL_CREATE", "CHANNEL_HANGUP_COMPLETE"]
ALL = ["CHANNEL_CREATE", "gap", "ended", "found", "CHANNEL_HANGUP_COMPLETE"]


def test_info_has_them(day: Path) -> None:
    said = json.loads(run("info", "--json", day).output)
    assert [note["note"] for note in said["notes"]] == ["opened", "gap", "ended", "found", "mine"]
    assert all(isinstance(note["at"], str) for note in said["notes"])


def test_decode_shows_them_where_asked_for(day: Path) -> None:
    assert kinds(run("decode", "--ndjson", day).output) == EVENTS
    assert kinds(run("decode", "--ndjson", "--notices", day).output) == ALL
    listed = run("decode", "--notices", day).output.splitlines()
    assert [line.split()[0] for line in listed] == ["1", "Gap", "Ended", "Found", "2"]
    assert "\x1b" not in "".join(listed)
    assert run("decode", "--notices", "--to", "plain", day).exit_code == 2


def test_convert_keeps_them(day: Path, tmp_path: Path) -> None:
    assert kinds(run("convert", day, "-").output) == EVENTS
    lines = run("convert", "--notices", day, "-").output
    assert kinds(lines) == ALL
    assert [notices.from_line(line) for line in lines.splitlines()][2:4] == [ENDED, FOUND]
    out = tmp_path / "out.ndjson"
    profile = tmp_path / "redact.toml"
    profile.write_text('mask = ["Caller-*"]\n')
    result = run("convert", "--notices", "--redact", profile, day, out)
    assert (result.exit_code, result.output) == (0, "")
    (found,) = [json.loads(line) for line in out.read_text().splitlines() if '"found"' in line]
    assert found["caller"] == "***"
    again = tmp_path / "out.esl.zst"
    assert run("convert", day, again).exit_code == 0
    items = list(eslcodec.Recording(again).messages(notices=True))
    assert [type(item).__name__ for item in items] == ["Event", "Gap", "Ended", "Found", "Event"]
    assert run("convert", "--notices", day, tmp_path / "x.esl.zst").exit_code == 2
    assert run("convert", "--notices", "--legs", day, "-").exit_code == 2


def test_legs_use_them(day: Path) -> None:
    rows = [json.loads(line) for line in run("convert", "--legs", day, "-").output.splitlines()]
    assert [(row["uuid"], row["status"]) for row in rows] == [("a", "lost_in_gap"), ("b", "complete")]
    assert rows[1]["caller"] == "1000\x1b"
