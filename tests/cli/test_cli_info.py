"""`eslcodec info`: what is in recordings, and what is damaged."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import support
from cli_support import run, spawn
from recordings_support import BEGIN, CONNECTION, Tape, event, small_tape

pytest.importorskip("eslcodec.cli.info")


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A folder with two files of two switches."""
    small_tape().write(tmp_path / "fs1_8021" / "20260921T141320Z-000000.esl.zst")
    other = Tape(begin=BEGIN + 100)
    other.chunk(event(1), event(2), us=500_000)
    other.write(tmp_path / "fs2_8021" / "20260921T141500Z-000000.esl.zst")
    return tmp_path


def test_all_of_it_together(two: Path) -> None:
    result = run("info", two)
    assert (result.exit_code, result.stderr) == (0, "")
    first, second, *rest = result.output.splitlines()
    assert re.fullmatch(rf"{two}: 2 files, 2 connections, 20\S+ \S+ to 20\S+ \S+ \(1 min 40 s\)", first)
    assert re.fullmatch(r"  1\.\d KiB received in 6 chunks, \d\.\d KiB on disk", second)
    assert len(rest) == 1
    assert re.fullmatch(r"  gap of 1\.0 s from 20\S+ \S+ on, then another connection", rest[0])


def test_each_file(two: Path) -> None:
    lines = run("info", "--files", two).output.splitlines()
    assert len(lines) == 5
    assert re.fullmatch(
        rf"  {two}/fs2_8021/\S+\.zst, 20.+ \(0\.5 s\): \d+ B received in 1 chunk, \d+ B on disk", lines[-1]
    )


def test_json(two: Path) -> None:
    plain = two / "plain.esl"
    plain.write_bytes(support.AUTH)
    lines = run("info", "--json", "--files", two / "fs1_8021", plain).output.splitlines()
    recording, stream = map(json.loads, lines)
    (file,) = (two / "fs1_8021").iterdir()
    (each,) = recording.pop("each")
    assert each.pop("file") == str(file)
    assert {"source": str(two / "fs1_8021"), **each} == recording
    assert recording["source"] == str(two / "fs1_8021")
    assert (recording["files"], recording["connections"], recording["chunks"]) == (1, 2, 5)
    assert recording["stored"] == file.stat().st_size
    assert recording["first"] == "2026-09-21T14:13:20+00:00"
    assert [gap["missing"] for gap in recording["gaps"]] == [None]
    assert [note["note"] for note in recording["notes"]] == ["opened", "closed", "stopped"]
    assert recording["notes"][0] == {"at": "2026-09-21T14:13:20+00:00", "note": "opened", "peer": ["fs1", 8021]}
    assert (recording["torn"], recording["open_files"], recording["damage"]) == ({}, [], [])
    assert stream["each"][0]["file"] == stream["source"] == str(plain)
    assert (stream["received"], stream["first"], stream["connections"]) == (len(support.AUTH), None, 1)


def test_a_torn_end_is_told_and_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "torn.esl.zst"
    path.write_bytes(small_tape().bytes(closed=False)[:-7])
    result = run("info", path)
    assert result.exit_code == 0
    assert re.search(rf"  {path}: its last \d+ bytes are no whole chunk: its recorder was killed, or", result.output)
    assert run("info", "--files", path).output.endswith(", torn\n")


def test_a_file_that_was_not_closed_is_told(tmp_path: Path) -> None:
    path = small_tape().write(tmp_path / "open.esl.zst", closed=False)
    result = run("info", path)
    assert result.exit_code == 0
    assert f"  {path}: not closed: its recorder was killed, or still runs\n" in result.output
    assert run("info", "--files", path).output.endswith(", not closed\n")


def test_damage_is_told_and_changes_the_exit_status(tmp_path: Path) -> None:
    tape = small_tape()
    data = bytearray(tape.bytes())
    data[tape.ends()[1] - 20] ^= 1  # within the received bytes of a chunk
    path = tmp_path / "damaged.esl.zst"
    path.write_bytes(data)
    result = run("info", path)
    assert result.exit_code == 1
    assert re.search(rf"\n  damaged: {path}, byte \d+: .*checksum", result.output)
    assert run("info", "--files", path).output.endswith(", damaged\n")
    (damage,) = json.loads(run("info", "--json", path).output)["damage"]
    assert damage["file"] == str(path)
    assert run("info", "--quick", path).exit_code == 0  # which does not look inside


def test_much_damage_is_counted(tmp_path: Path) -> None:
    tape = Tape()
    for number in range(30):
        tape.chunk(event(number))
        tape.open(CONNECTION + number + 1)
    data = bytearray(tape.bytes())
    for end in tape.ends():
        data[end - 20] ^= 1
    path = tmp_path / "damaged.esl.zst"
    path.write_bytes(data)
    assert run("info", path).output.endswith("  damaged in 10 more places\n")


def test_standard_input(two: Path) -> None:
    (path,) = (two / "fs1_8021").iterdir()
    done = spawn("info", "--files", "-", stdin=path.read_bytes())
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"standard input: 1 file, 2 connections, ")


def test_what_a_recording_says_does_not_control_the_terminal(tmp_path: Path) -> None:
    tape = Tape()
    tape.note(note="\x1b[2J\u202e", why="\x9b")
    path = tape.write(tmp_path / "a\x1b[2J.esl.zst")
    for options in ([], ["--json"], ["--files"]):
        output = run("info", *options, path).output
        assert "[2J" in output
        assert all(char.isprintable() or char == "\n" for char in output)


def test_what_cannot_be_read(tmp_path: Path) -> None:
    result = run("info", tmp_path / "none")
    assert (result.exit_code, result.stderr) == (1, f"Error: {tmp_path / 'none'}: No such file or directory\n")
    result = run("info", tmp_path)
    assert (result.exit_code, result.stderr) == (1, f"Error: {tmp_path}: no recording is in this folder\n")


@pytest.mark.parametrize("name", ["api", "special_plain"])
def test_a_stream_without_times(name: str, tmp_path: Path) -> None:
    stream: Any = support.capture(name)
    (tmp_path / "x.esl").write_bytes(stream)
    lines = run("info", tmp_path / "x.esl").output.splitlines()
    assert lines[0] == f"{tmp_path / 'x.esl'}: 1 file, 1 connection"
    assert len(lines) == 2
