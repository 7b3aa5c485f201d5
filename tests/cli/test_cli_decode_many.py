"""`eslcodec decode` of recordings, folders and several files; by time; what is damaged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import support
from cli_support import files, run, spawn
from recordings_support import BEGIN, CONNECTION, LEVELS, Tape, event, small_tape

from eslcodec.ingest import notices


def numbers(*words: Any) -> list[int]:
    """The Event-Sequences that `decode` shows."""
    result = run("decode", "--ndjson", *words)
    assert (result.exit_code, result.stderr) == (0, "")
    return [int(json.loads(line)["Event-Sequence"]) for line in result.output.splitlines() if "Event-Seq" in line]


@pytest.fixture
def day(tmp_path: Path) -> Path:
    """Four files of one connection, an event each half second, two in a chunk, four in a file; then another
    connection."""
    tape = Tape()
    number = 0
    for at in range(4):
        for _ in range(2):
            tape.chunk(event(number), event(number + 1), us=500_000)
            number += 2
        tape.write(tmp_path / "fs_8021" / f"20260921T14132{at}Z-000000.esl.zst")
        tape.written, tape.sizes = [], []
    tape.open(CONNECTION + 1)
    tape.chunk(event(100))
    tape.write(tmp_path / "fs_8021" / "20260921T141400Z-000000.esl.zst")
    return tmp_path


@pytest.mark.parametrize("level", LEVELS)
def test_a_recording_gives_what_the_stream_gives(level: int, tmp_path: Path) -> None:
    tape = Tape(level)
    stream = support.capture("special_plain")
    for piece in support.pieces(stream, 7000, 100, 20000):
        tape.chunk(piece)
    recorded, plain = tape.write(tmp_path / "a.esl.zst"), tmp_path / "a.esl"
    plain.write_bytes(stream)
    for options in ([], ["--full"], ["--ndjson"], ["--to", "json"]):
        assert run("decode", *options, recorded).stdout_bytes == run("decode", *options, plain).stdout_bytes
    done = spawn("decode", "-", stdin=recorded.read_bytes())
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode().splitlines() == run("decode", plain).output.splitlines()


def test_a_folder_goes_on_over_its_files(day: Path) -> None:
    assert numbers(day) == numbers(day / "fs_8021") == [*range(16), 100]


def test_several_sources_are_counted_on(day: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain.esl"
    plain.write_bytes(event(7) + support.AUTH)
    result = run("decode", plain, *sorted((day / "fs_8021").iterdir())[-1:], plain)
    assert [line.split()[:2] for line in result.output.splitlines()] == [
        ["1", "DTMF"],
        ["2", "AuthRequest"],
        ["3", "DTMF"],
        ["4", "DTMF"],
        ["5", "AuthRequest"],
    ]


def test_a_frame_over_the_edge_of_two_files(tmp_path: Path) -> None:
    tape = Tape()
    stream = event(1) + event(2) + event(3)
    tape.chunk(stream[:150])
    tape.write(tmp_path / "20260921T141320Z-000000.esl.zst")
    tape.written, tape.sizes = [], []
    tape.chunk(stream[150:])
    tape.write(tmp_path / "20260921T141330Z-000000.esl.zst")
    assert numbers(tmp_path) == [1, 2, 3]


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        (None, None, [*range(16), 100]),
        (0.0, 9.0, [*range(16), 100]),
        (0.5, None, [*range(1, 16), 100]),
        (0.4, 2.1, [1, 2, 3, 4]),
        (3.0, 3.5, [6]),
        (5.5, 8.0, [11, 12, 13, 14, 15]),
        (7.9, None, [100]),
        (None, 1.0, [0, 1]),
        (9.0, None, []),
    ],
)
def test_by_time(since: float | None, until: float | None, expected: list[int], day: Path) -> None:
    options = []
    for name, seconds in (("--since", since), ("--until", until)):
        if seconds is not None:
            options += [name, f"2026-09-21T14:13:{20 + seconds:09.6f}Z"]
    assert numbers(*options, day) == expected


def test_a_message_that_began_long_before(tmp_path: Path) -> None:
    tape = Tape()
    body = b"Event-Name: DTMF\nEvent-Sequence: 5\nFill: " + b"x" * 5000 + b"\n\n"
    stream = event(1) + support.plain(body) + event(6)
    for at in range(0, len(stream), 1000):
        tape.chunk(stream[at : at + 1000])
    tape.write(tmp_path / "a.esl.zst")
    assert numbers("--since", "2026-09-21T14:13:25Z", tmp_path) == [5, 6]


def test_a_message_that_began_in_the_file_before(tmp_path: Path) -> None:
    tape = Tape()
    stream = event(1) + event(2) + event(3)
    tape.chunk(stream[:150])
    tape.write(tmp_path / "20260921T141320Z-000000.esl.zst")
    tape.written, tape.sizes = [], []
    tape.chunk(stream[150:])
    tape.write(tmp_path / "20260921T141321Z-000000.esl.zst")
    begun = 1 if len(event(1)) > 150 else 2
    assert numbers("--since", "2026-09-21T14:13:20.5Z", tmp_path) == [*range(begun, 4)]


def test_a_stream_without_times_cannot_be_asked_for_them(tmp_path: Path) -> None:
    (tmp_path / "a.esl").write_bytes(event(1))
    result = run("decode", "--since", "-1h", tmp_path / "a.esl")
    assert result.exit_code == 1
    assert result.output == f"Error: {tmp_path / 'a.esl'}: it has no times, so that they cannot be asked for\n"


def test_wrong_times(tmp_path: Path) -> None:
    result = run("decode", "--since", "soon", tmp_path)
    assert result.exit_code == 2
    assert "read 'soon', expected a time such as 2026-11-29T08:00, 08:00, yesterday or -2h" in " ".join(
        result.output.split()
    )


# What is not whole


def test_a_torn_end_ends_it_without_an_error(tmp_path: Path) -> None:
    path = tmp_path / "torn.esl.zst"
    whole = small_tape()
    path.write_bytes(whole.bytes(closed=False)[:-7])
    result = run("decode", path)
    assert result.exit_code == 0
    assert result.stderr.startswith(f"eslcodec: {path}: its last ")
    assert result.stdout == run("decode", whole.write(tmp_path / "whole.esl.zst")).output


def test_damage_is_passed_over_and_told(day: Path) -> None:
    path = sorted((day / "fs_8021").iterdir())[1]
    data = bytearray(path.read_bytes())
    data[data.index(b"Event-Sequence: 4") + 3] ^= 1
    path.write_bytes(data)
    result = run("decode", "--ndjson", day)
    assert result.exit_code == 1
    shown = [int(json.loads(line)["Event-Sequence"]) for line in result.stdout.splitlines()]
    assert shown == [0, 1, 2, 3, *range(6, 16), 100]
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"Error: {path}, byte 0: ")
    assert "checksum" in line


def test_a_damaged_file_does_not_hide_the_others(tmp_path: Path) -> None:
    bad, good = tmp_path / "bad.esl", tmp_path / "good.esl"
    bad.write_bytes(event(1) + b"Content-Length: x\n\n" + event(2))
    good.write_bytes(event(3))
    result = run("decode", bad, good, bad)
    assert result.exit_code == 1
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["1", "2", "3"]
    assert [line.partition(": ")[2].partition(": ")[0] for line in result.stderr.splitlines()] == [str(bad)] * 2


def test_many_faults_are_counted(tmp_path: Path) -> None:
    bad = tmp_path / "bad.esl"
    bad.write_bytes(b"Content-Length: x\n\n")
    lines = run("decode", *[bad] * 25).stderr.splitlines()
    assert len(lines) == 11
    assert lines[-1] == "Error: 15 more faults like that"


def test_nothing_is_shown_if_a_source_is_not_there(day: Path) -> None:
    result = run("decode", day, day / "none")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "No such file" in result.stderr


def test_a_recording_that_needs_a_library_says_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from eslcodec import _zstd

    if _zstd.library() is None:
        pytest.skip("no Zstandard library, so that none can be written")
    tape = Tape(1)
    tape.chunk(event(1))
    path = tape.write(tmp_path / "a.esl.zst")
    code = (
        "import sys; sys.modules['compression.zstd'] = sys.modules['backports.zstd'] = None\n"
        "sys.modules['compression'] = sys.modules['backports'] = None"
    )
    done = spawn("decode", path, code=code)
    assert done.returncode == 1
    assert b"eslcodec[record]" in done.stderr
    assert done.stderr.count(b"\n") == 1


def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    """Fifty megabytes, unpacked, in an address space that has no room for them twice."""
    resource = pytest.importorskip("resource")
    assert resource
    tape = Tape(1)
    stream = b"".join(event(number, 5000) for number in range(200))
    for _ in range(50):
        tape.chunk(stream)
    path = tape.write(tmp_path / "a.esl.zst")
    program = (
        "import resource, sys\n"
        "from eslcodec.cli import main\n"
        "sys.argv[1:] = ['decode', '--event', 'HEARTBEAT', sys.argv[1]]\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    small = Tape(1)
    small.chunk(stream)
    peaks = []
    for each in (small.write(tmp_path / "small.esl.zst"), path):
        done = subprocess.run(
            [sys.executable, "-c", program, each],
            capture_output=True,
            text=True,
            timeout=120,
            cwd="/",
            env={**os.environ},
        )
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout))
    assert peaks[1] < peaks[0] * 1.5


def test_reading_a_pipe_shows_what_there_is(tmp_path: Path) -> None:
    """Each chunk when it is there, not when the pipe ends."""
    tape = Tape()
    tape.chunk(event(1))
    first = tape.bytes(closed=False)
    tape.chunk(event(2))
    command = [sys.executable, "-c", "from eslcodec.cli import main; main()", "decode", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(first)
        process.stdin.flush()
        assert b"#1" in process.stdout.readline()
        process.stdin.write(tape.bytes()[len(first) :])
        process.stdin.close()
        assert b"#2" in process.stdout.readline()
        assert process.wait(60) == 0


def test_a_progress_bar_follows_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_LONG_FILE", 0)
    monkeypatch.setattr(files, "is_terminal", lambda stream: stream is sys.stderr)
    tape = Tape()
    for number in range(5):
        tape.chunk(event(number))
    path = tape.write(tmp_path / "[red]a.esl.zst")
    assert numbers_of(run("decode", "--ndjson", path).stdout) == list(range(5))


def numbers_of(output: str) -> list[int]:
    return [int(json.loads(line)["Event-Sequence"]) for line in output.splitlines()]


def test_times_of_messages(day: Path) -> None:
    messages = files.Messages(files.Chunks([str(day)]))
    times = [(int(message["Event-Sequence"]), messages.received_ns) for message in messages]
    begin = BEGIN * 1_000_000_000
    assert times[:5] == [(number, begin + number * 500_000_000) for number in range(5)]
    assert times[-1] == (100, begin + 8_000_000_000)


NAMES = frozenset({"HEARTBEAT", "CHANNEL_HANGUP_COMPLETE"})


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Events of several names, a reply, a notice, cut anywhere; then a damaged chunk, and a stream that breaks off."""
    tape = Tape()
    stream = support.capture("sip_plain")
    for at in range(0, len(stream), 30_000):
        tape.chunk(*(stream[cut : cut + 1000] for cut in range(at, min(at + 30_000, len(stream)), 1000)), us=7_000)
        if at == 60_000:
            tape.note(**notices.to_note(notices.Ended("fs1", BEGIN, "a")))
    path = tape.write(tmp_path / "mixed" / "fs_8021" / "20260921T141320Z-000000.esl.zst")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    return tmp_path / "mixed"


def told(day: Path, since: float | None, until: float | None, names: frozenset[str] | None) -> tuple[list[Any], int]:
    """What comes of the names, each with its time, and how many faults were told."""
    limits = (None if at is None else datetime.fromtimestamp(BEGIN + at, timezone.utc) for at in (since, until))
    chunks = files.Chunks([str(day)], *limits, check=False)
    messages = files.Messages(chunks, notices=True, names=names)
    found = [
        (item.line if isinstance(item, files.Noticed) else item.frame, messages.received_ns)
        for item in messages
        if isinstance(item, files.Noticed) or item.get("Event-Name") in NAMES
    ]
    return found, len(chunks.problems)


@pytest.mark.parametrize("since", [None, 0.1, 1.05, 1.1])
@pytest.mark.parametrize("until", [None, 4.1, 9])
def test_messages_of_names_are_chosen_from_all(mixed: Path, since: float | None, until: float | None) -> None:
    chosen, problems = told(mixed, since, until, NAMES)
    assert (chosen, problems) == told(mixed, since, until, None)
    assert chosen


def test_messages_of_names_stop_where_the_stream_does(tmp_path: Path) -> None:
    path = tmp_path / "broken.esl"
    good = b"".join(support.plain(b"Event-Name: %b\n\n" % name) for name in (b"DTMF", b"HEARTBEAT", b"DTMF"))
    path.write_bytes(good + b"Content-Length: x\n\n" + good)
    chunks = files.Chunks([str(path)])
    messages = files.Messages(chunks, names=NAMES)
    assert [message.get("Event-Name") for message in messages] == ["HEARTBEAT"]
    assert messages.number == 1
    (problem,) = chunks.problems
    assert problem.startswith(f"{path}: at byte {len(good)}: read Content-Length 'x'")
