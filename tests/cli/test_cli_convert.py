"""`eslcodec convert`: a recording again, or NDJSON; all of it, or less."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import support
from cli_support import run, spawn
from recordings_support import CONNECTION, Tape, event, small_tape

import eslcodec
from eslcodec import Recording

convert = pytest.importorskip("eslcodec.cli.convert")


@pytest.fixture
def day(tmp_path: Path) -> Path:
    """Three files of one connection, two events each, half a second apart; with notes, and something that was sent."""
    tape = Tape()
    tape.note(note="opened", peer=["fs", 8021])
    for number in range(0, 6, 2):
        fired = [
            support.plain(b"Event-Name: %b\nEvent-Sequence: %d\nDTMF-Digit: 5\n\n" % (name, number + at))
            for at, name in enumerate((b"DTMF", b"HEARTBEAT"))
        ]
        tape.chunk(*fired, us=500_000, sends=((1, 0, b"auth ***\n\n"),) if not number else ())
        tape.write(tmp_path / "rec" / "fs_8021" / f"20260921T14132{number}Z-000000.esl.zst")
        tape.written, tape.sizes = [], []
    return tmp_path / "rec"


def sequences(path: Any, **options: Any) -> list[int]:
    return [int(message["Event-Sequence"]) for message in Recording(path).messages(**options)]


def test_a_recording_again(day: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.esl.zst"
    result = run("convert", day, out)
    assert (result.exit_code, result.output) == (0, "")
    before, after = Recording(day), Recording(out)
    assert [message.frame for message in after.messages()] == [message.frame for message in before.messages()]
    info = after.info(verify=True)
    assert (info.files, info.connections, info.closed, info.damage, info.gaps) == (1, 1, True, [], [])
    assert (info.first, info.last) == (before.info().first, before.info().last)
    assert [note["note"] for _, note in info.notes] == ["opened"]
    assert [sent.data for chunk in after.chunks() for sent in chunk.sends] == [b"auth ***\n\n"]
    assert [chunk.reads for chunk in after.chunks()] == [chunk.reads for chunk in before.chunks()]
    if os.name == "posix":
        assert out.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--events", "DTMF"], [0, 2, 4]),
        (["--events", "heartbeat,DTMF"], [0, 1, 2, 3, 4, 5]),
        (["--events", "CALLS"], []),
        (["--since", "2026-09-21T14:13:21Z"], [2, 3, 4, 5]),
        (["--until", "2026-09-21T14:13:21.5Z"], [0, 1, 2]),
        (["--since", "2026-09-21T14:13:20.3Z", "--until", "2026-09-21T14:13:22.1Z", "--events", "DTMF"], [2, 4]),
    ],
)
def test_less_of_it(options: list[str], expected: list[int], day: Path, tmp_path: Path) -> None:
    recording, lines = tmp_path / "out.esl.zst", tmp_path / "out.ndjson"
    for out in (recording, lines):
        result = run("convert", *options, day, out)
        assert (result.exit_code, result.output) == (0, "")
    assert sequences(recording) == expected
    assert [json.loads(line)["Event-Sequence"] for line in lines.read_bytes().splitlines()] == list(map(str, expected))
    if expected:
        times = [chunk.wall_ns for chunk in Recording(day).chunks() if not chunk.note]
        assert {chunk.wall_ns for chunk in Recording(recording).chunks() if not chunk.note} <= set(times)
        assert Recording(recording).info(verify=True).damage == []


def test_subclasses(tmp_path: Path) -> None:
    (tmp_path / "a.esl").write_bytes(
        support.plain(b"Event-Name: CUSTOM\nEvent-Subclass: a%3A%3Ab\nEvent-Sequence: 1\n\n")
        + support.plain(b"Event-Name: CUSTOM\nEvent-Subclass: c%3A%3Ad\nEvent-Sequence: 2\n\n")
        + support.AUTH
    )
    run("convert", "--events", "CUSTOM a::b", tmp_path / "a.esl", tmp_path / "out.esl.zst")
    assert sequences(tmp_path / "out.esl.zst") == [1]
    run("convert", "--events", "ALL", tmp_path / "a.esl", tmp_path / "all.esl.zst")
    assert sequences(tmp_path / "all.esl.zst") == [1, 2]


def test_without_what_may_not_leave_the_site(day: Path, tmp_path: Path) -> None:
    profile = tmp_path / "profile.toml"
    profile.write_text('profile = "secrets"\ndrop = ["Event-Sequence"]\n')
    for out in ("out.esl.zst", "out.ndjson"):
        result = run("convert", "--redact", profile, day, tmp_path / out)
        assert (result.exit_code, result.output) == (0, "")
    messages = list(Recording(tmp_path / "out.esl.zst").messages())
    assert [message.asdict() for message in messages] == [
        {"Event-Name": name, "DTMF-Digit": "***"} for name in ("DTMF", "HEARTBEAT") * 3
    ]
    lines = (tmp_path / "out.ndjson").read_bytes().splitlines()
    assert lines == [message.to_json() for message in messages]


def test_several_sources_into_one(day: Path, tmp_path: Path) -> None:
    (tmp_path / "plain.esl").write_bytes(event(100))
    small = small_tape().write(tmp_path / "small.esl.zst")
    result = run("convert", day, tmp_path / "plain.esl", small, tmp_path / "out.esl.zst")
    assert (result.exit_code, result.output) == (0, "")
    expected = [*Recording(day).messages(), *Recording(tmp_path / "plain.esl").messages(), *Recording(small).messages()]
    got = list(Recording(tmp_path / "out.esl.zst").messages())
    assert [message.frame for message in got] == [message.frame for message in expected]


def test_standard_input_and_output(day: Path, tmp_path: Path) -> None:
    stream = support.capture("special_plain")
    done = spawn("convert", "-", "-", stdin=stream)
    assert (done.returncode, done.stderr) == (0, b"")
    (tmp_path / "a.esl").write_bytes(stream)
    run("convert", tmp_path / "a.esl", tmp_path / "a.ndjson")
    assert done.stdout == (tmp_path / "a.ndjson").read_bytes()
    assert done.stdout.splitlines() == [message.to_json() for message in support.decode(eslcodec, stream)]


def test_a_terminal_is_shown_what_it_may_see(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.esl").write_bytes(support.plain("Event-Name: DTMF\nName: \u202ea\n\n".encode()))
    assert "\u202e" in run("convert", tmp_path / "a.esl", "-").output
    monkeypatch.setattr(convert, "is_terminal", lambda stream: True)
    assert run("convert", tmp_path / "a.esl", "-").output == '{"Event-Name":"DTMF","Name":"\\u202ea"}\n'


# What goes wrong


def test_what_is_there_already_is_kept(day: Path, tmp_path: Path) -> None:
    for name in ("out.esl.zst", "out.ndjson"):
        out = tmp_path / name
        out.write_text("precious")
        result = run("convert", day, out)
        assert (result.exit_code, result.output) == (1, f"Error: {out}: File exists\n")
        assert out.read_text() == "precious"


@pytest.mark.parametrize("name", ["out.esl.zst", "out.ndjson"])
def test_damage_is_passed_over_and_told(name: str, day: Path, tmp_path: Path) -> None:
    path = sorted((day / "fs_8021").iterdir())[1]
    data = bytearray(path.read_bytes())
    data[data.index(b"Event-Sequence: 2") + 3] ^= 1
    path.write_bytes(data)
    result = run("convert", day, tmp_path / name)
    assert result.exit_code == 1
    assert re.fullmatch(rf"Error: {path}, byte 0: .*checksum.*\n", result.output)
    if name == "out.esl.zst":
        assert sequences(tmp_path / name) == [0, 1, 4, 5]
        assert Recording(tmp_path / name).info(verify=True).damage == []
    else:
        assert (tmp_path / name).read_bytes().count(b"\n") == 4


def test_events_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.esl").write_bytes(support.frame(b"Content-Type: text/event-json", b"{"))
    result = run("convert", tmp_path / "a.esl", tmp_path / "a.ndjson")
    assert (result.exit_code, result.output) == (1, "Error: event payloads that cannot be read: 1\n")


@pytest.mark.parametrize("name", ["out.esl.zst", "out.ndjson"])
def test_an_interruption_leaves_nothing_behind(
    name: str, day: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(message: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(convert, "redaction", lambda profile: interrupt)
    result = run("convert", "--redact", "secrets", day, tmp_path / name)
    assert result.exit_code == 1
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize(
    ("words", "status", "why"),
    [
        (["OUT.esl.zst"], 2, "Missing argument 'OUT'"),
        (["{day}", "out.csv"], 2, "expected OUT to be - or to end in .esl.zst, .ndjson, .parquet, .arrow"),
        (["{day}", "out.esl"], 2, "expected OUT to be - or to end in .esl.zst, .ndjson, .parquet, .arrow"),
        (["{day}", "-", "--events", "DMTF"], 2, "expected DTMF (--unknown: it is meant)"),
        (["{day}", "-", "--redact", "x"], 2, "expected secrets, or a file FILE.toml"),
        (["none", "-"], 1, "none: No such file or directory"),
        (["{day}", "none/out.esl.zst"], 1, "none/out.esl.zst: No such file or directory"),
        (["{day}", "none/out.ndjson"], 1, "none/out.ndjson: No such file or directory"),
        (["plain.esl", "-", "--until", "now"], 1, "plain.esl: it has no times, so that they cannot be asked for"),
        (["plain.esl", "a.esl.zst", "--until", "now"], 1, "plain.esl: it has no times, so that they cannot"),
    ],
)
def test_wrong_use(
    words: list[str], status: int, why: str, day: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain.esl").write_bytes(event(1))
    result = run("convert", *(word.format(day=day) for word in words))
    assert result.exit_code == status
    assert why in " ".join(result.stderr.split())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plain.esl", "rec"]


def test_a_connection_that_went_on_without_a_file(tmp_path: Path) -> None:
    """Bytes of a connection that are missing stay missing: nothing is joined to what came before."""
    tape = Tape()
    tape.chunk(event(1), event(2)[:50])
    tape.offset += 1000
    tape.scanner = type(tape.scanner)()
    tape.chunk(event(3))
    tape.write(tmp_path / "a.esl.zst")
    run("convert", tmp_path / "a.esl.zst", tmp_path / "out.esl.zst")
    assert sequences(tmp_path / "out.esl.zst") == [1, 3]
    assert [gap.missing is not None for gap in Recording(tmp_path / "out.esl.zst").info().gaps] == [True]
    assert {chunk.connection for chunk in Recording(tmp_path / "out.esl.zst").chunks()} == {CONNECTION}
