"""`eslcodec replay`, and `tail --record`."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import support
from cli_live_support import SECRET, build, firing, interrupted, line, run, spawned
from cli_live_support import no_settings as no_settings
from cli_live_support import switch as switch
from recordings_support import Tape

import eslcodec
from eslcodec import Recording
from eslcodec.emulator import Emulator

pytest.importorskip("eslcodec.cli.replay")

CORE = "8f08a03a-c377-4f13-a9ec-93b2319b9f0b"


def fired(number: int, **headers: str) -> bytes:
    """An event as a switch sends it."""
    own = {
        "Core-UUID": CORE,
        "FreeSWITCH-Hostname": "production",
        "FreeSWITCH-Switchname": "production",
        "Event-Date-Timestamp": str(1_790_000_000_000_000 + number * 200_000),
        "Event-Sequence": str(number),
    }
    event = eslcodec.Event.build("DTMF", {**own, "DTMF-Digit": "5", **headers})
    return eslcodec.render.event_frame(event.serialize("plain"), "plain")


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A login, and ten events, 0.2 s apart."""
    tape = Tape()
    tape.chunk(support.AUTH, support.OK)
    for at in range(2):
        tape.now = 1_790_000_000 + at
        tape.chunk(*(fired(at * 5 + number) for number in range(5)), us=200_000)
    tape.write(tmp_path / "rec" / "fs_8021" / "20260921T141320Z-000000.esl.zst")
    return tmp_path / "rec"


@contextmanager
def replayed(*options: Any, **env: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """`eslcodec replay`, and where it listens."""
    with spawned("replay", "--port", 0, *options, **env) as process:
        listening = re.fullmatch(r"listening on 127\.0\.0\.1:(\d+)", line(process))
        assert listening is not None, process.communicate()
        yield process, int(listening[1])


def events(port: int, count: int, password: str = "ClueCon") -> list[eslcodec.Event]:
    with eslcodec.connect(port=port, password=password) as fs:
        fs.subscribe("ALL")
        return list(islice(fs.events(timeout=60), count))


def test_a_recording_is_sent_as_it_was(recorded: Path) -> None:
    with replayed(recorded, "--speed", "max") as (process, port):
        got = events(port, 10)
        assert b"".join(event.frame for event in got) == b"".join(map(fired, range(10)))
        assert line(process).endswith(" connected")
        assert interrupted(process) == (0, b"")


@pytest.mark.parametrize(("speed", "least"), [("1", 1.5), ("4", 0.4)])
def test_it_takes_the_time_that_it_took(speed: str, least: float, recorded: Path) -> None:
    with replayed(recorded, "--speed", speed) as (_, port):
        began = time.monotonic()
        got = events(port, 10)
        took = time.monotonic() - began
    assert [event.sequence for event in got] == list(range(10))
    assert took > least


def test_from_a_time_on(recorded: Path) -> None:
    with replayed(recorded, "--speed", "max", "--since", "2026-09-21T14:13:20.6Z", "--repeat") as (_, port):
        assert [event.sequence for event in events(port, 9)] == [*range(3, 10), 3, 4]


def test_it_can_be_made_to_look_like_now_and_like_staging(recorded: Path) -> None:
    options = ["--speed", "max", "--shift-to-now", "--rename", "staging", "--redact", "secrets"]
    before = time.time()
    with replayed(recorded, *options, ESLCODEC_PASSWORD=SECRET) as (_, port):
        got = events(port, 10, SECRET)
    assert {event["FreeSWITCH-Hostname"] for event in got} == {"staging"}
    assert CORE not in {event["Core-UUID"] for event in got}
    assert {event["DTMF-Digit"] for event in got} == {"***"}
    first = got[0].timestamp
    assert first is not None
    assert before - 1 <= first.timestamp() <= time.time() + 1


def test_what_is_taken_out_can_be_a_file(recorded: Path, tmp_path: Path) -> None:
    profile = tmp_path / "profile.toml"
    profile.write_text('drop = ["FreeSWITCH-*"]\n')
    with replayed(recorded, "--speed", "max", "--redact", profile) as (_, port):
        (event,) = events(port, 1)
    assert "FreeSWITCH-Hostname" not in event
    assert event["DTMF-Digit"] == "5"


@pytest.mark.parametrize(
    ("options", "status", "why"),
    [
        (["--speed", "0"], 2, "read '0', expected a number such as 1 or 10, or max"),
        (["--speed", "fast"], 2, "read 'fast', expected a number"),
        (["--speed", "nan"], 2, "expected a number"),
        (["--since", "soon"], 2, "expected a time such as"),
        (["--redact", "all"], 2, "read 'all', expected secrets, or a file FILE.toml"),
        (["--redact", "none.toml"], 1, "none.toml: No such file or directory"),
        (["--port", "-1"], 2, "not in the range"),
        (["--since", "2027-01-01"], 1, "has no event in it"),
    ],
)
def test_wrong_use(options: list[str], status: int, why: str, recorded: Path) -> None:
    result = run("replay", None, recorded, *options)
    assert result.exit_code == status
    assert why in " ".join(result.stderr.split())


def test_a_profile_that_means_nothing(recorded: Path, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("x = \x1b[2J")
    result = run("replay", None, recorded, "--redact", tmp_path / "a.toml")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert all(char.isprintable() or char == "\n" for char in result.stderr)


def test_what_cannot_be_replayed(tmp_path: Path) -> None:
    result = run("replay", None, tmp_path / "none")
    assert (result.exit_code, result.stderr) == (1, f"Error: {tmp_path / 'none'}: No such file or directory\n")
    (tmp_path / "auth.esl").write_bytes(support.AUTH)
    result = run("replay", None, tmp_path / "auth.esl")
    assert result.exit_code == 1
    assert result.stderr.endswith("has no event in it\n")
    result = run("replay", None, tmp_path / "auth.esl", "--port", "1", "--host", "192.0.2.1")
    assert result.exit_code == 1


# tail --record


def test_tail_keeps_what_it_shows(switch: Emulator, tmp_path: Path) -> None:
    with firing(switch, build("CHANNEL_CREATE", {"Unique-ID": "u1"}), build("DTMF")):
        result = run("tail", switch, "--count", 2, "--record", tmp_path / "rec")
    assert (result.exit_code, result.stderr) == (0, "")
    info = Recording(tmp_path / "rec").info(verify=True)
    assert (info.connections, info.closed, info.damage) == (1, True, [])
    kept = [message.name for message in Recording(tmp_path / "rec").messages() if isinstance(message, eslcodec.Event)]
    assert kept == ["CHANNEL_CREATE", "DTMF"]


def test_tail_that_may_not_write_says_so_at_once(switch: Emulator, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = run("tail", switch, "--record", tmp_path / "file" / "rec")
    assert result.exit_code == 1
    assert re.fullmatch(rf"Error: {tmp_path}/file\S*: (Not a directory|File exists)\n", result.stderr)
    assert switch.commands == []
