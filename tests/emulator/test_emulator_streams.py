"""Replays of recordings: of any length in little memory, at their times, told otherwise (emulator/_source.py)."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from emulated import Client, connected, messages_of, recording
from recordings_support import BEGIN, Tape, event
from support import capture, plain

import eslcodec
from eslcodec import render, zst
from eslcodec.emulator import Emulator

FOREIGN_MALLOC = os.environ.get("PYTHONMALLOC") == "malloc"  # sanitizers keep what is freed: memory says nothing then
KEPT = (eslcodec.Event, eslcodec.LogLine)
BEGAN = 1_800_000_000


def write(path: Path, parts: list[tuple[float, bytes]], *, cut: int = 0, connection: int = 7) -> Path:
    """A recording of bytes that came at times, in seconds since it began; a chunk each, cut `cut` bytes later."""
    data = b"".join(part for _, part in parts)
    splitter = zst_heads()
    offset = 0
    with path.open("wb") as file:
        for number, (at, part) in enumerate(parts):
            end = min(offset + len(part) + (cut if number < len(parts) - 1 else 0), len(data))
            start = offset + (cut if number else 0)
            piece = data[start:end]
            file.writelines(
                zst.pack_stream(
                    zst.Compressor(0),
                    connection=connection,
                    offset=start,
                    wall_ns=round((BEGAN + at) * 1e9),
                    mono_ns=round(at * 1e9),
                    first=splitter(piece),
                    reads=struct.pack("<II", 0, len(piece)),
                    sends=[],
                    data=piece,
                )
            )
            offset += len(part)
    return path


def zst_heads() -> Callable[[bytes], int | None]:
    from eslcodec._codec import HeadScanner

    return HeadScanner().scan


def events_of(client: Client) -> list[bytes]:
    return [message.frame for message in client.messages if isinstance(message, KEPT)]


def replayed(replay: Any, **options: Any) -> list[eslcodec.Event]:
    """The events and log lines that a client gets of a replay."""
    options = {"lossless": True, "then": "close", **options}
    with Emulator(replay=replay, **options) as switch, connected(switch, "event plain ALL") as client:
        client.to_the_end()
    return [message for message in client.messages if isinstance(message, KEPT)]


# What is read


@pytest.mark.parametrize("cut", [0, 1, 100, 4000])
def test_a_recording_is_replayed_verbatim(tmp_path: Path, cut: int) -> None:
    _, events = recording(20)
    parts = [(0.0, b"Content-Type: auth/request\n\n"), *((n / 10, event) for n, event in enumerate(events))]
    path = write(tmp_path / "x.esl.zst", parts, cut=cut)
    assert [event.frame for event in replayed(path)] == events
    assert [event.frame for event in replayed(path, repeat=3)] == events * 3
    assert [event.frame for event in replayed(path, lossless=False)] == events


def test_a_folder_is_replayed(tmp_path: Path) -> None:
    _, events = recording(4)
    folder = tmp_path / "127.0.0.1_8021"
    folder.mkdir()
    first = write(folder / "20270115T080000Z-0.esl.zst", [(0, events[0]), (1, events[1])])
    with first.open("ab") as file:
        file.write(zst.pack_note(connection=7, offset=0, wall_ns=BEGAN * 10**9, mono_ns=0, note={"note": "closed"}))
    write(folder / "20270115T090000Z-1.esl.zst", [(3600, events[2]), (3601, events[3])], connection=8)
    assert [event.frame for event in replayed(tmp_path)] == events


@pytest.mark.parametrize("name", ["sip_plain", "log_and_events", "special_json", "special_xml"])
def test_each_connection_has_its_own_place(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr("eslcodec.emulator._source.MEMORY_BYTES", 0)
    data = capture(name)[:400_000]
    decoder = eslcodec.Decoder()
    decoder.feed(data)
    frames = [message.frame for message in decoder if isinstance(message, KEPT)]
    with Emulator(replay=data, lossless=True) as switch, connected(switch, "event plain ALL") as first:
        first.until(lambda: events_of(first))
        with connected(switch, "event plain ALL") as second:
            second.until(lambda: len(events_of(second)) == len(frames))
        first.until(lambda: len(events_of(first)) == len(frames))
    assert events_of(first) == events_of(second) == frames


def test_nothing_in_it(tmp_path: Path) -> None:
    path = write(tmp_path / "x.esl.zst", [(0.0, b"Content-Type: auth/request\n\n")])
    for source, options in ((path, {}), (path, {"speed": 1}), (b"Content-Type: auth/request\n\n", {"rename": "x"})):
        with pytest.raises(ValueError, match="no event"):
            Emulator(replay=source, **options)
    data, _ = recording(3)
    with pytest.raises(ValueError, match="no event"):
        Emulator(replay=data, since=datetime(2100, 1, 1, tzinfo=timezone.utc))


def test_damage_ends_a_replay_and_is_told(tmp_path: Path) -> None:
    _, events = recording(3)
    path = write(tmp_path / "x.esl.zst", [(0, events[0]), (1, events[1]), (2, events[2])])
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)
    with (
        pytest.raises(eslcodec.DamagedRecording),
        Emulator(replay=path, lossless=True) as switch,
        connected(switch, "event plain ALL") as client,
    ):
        client.to_the_end()
    assert [event.frame for event in client.events] == events[:2]


def test_wrong_options() -> None:
    with pytest.raises(ValueError, match="speed is 0"):
        Emulator(speed=0)
    with pytest.raises(ValueError, match="no rate beside it"):
        Emulator(speed=1, rate=1)
    with pytest.raises(ValueError, match="time zone"):
        Emulator(replay=recording(1)[0], since=datetime(2026, 1, 1))


# When


def test_frames_come_at_their_times(tmp_path: Path) -> None:
    _, events = recording(5)
    at = [0.0, 0.0, 0.4, 0.8, 1.2]
    path = write(tmp_path / "x.esl.zst", list(zip(at, events, strict=True)))
    with Emulator(replay=path, speed=2) as switch, connected(switch) as client:
        began = time.monotonic()
        client.ask("event plain ALL")
        client.until(lambda: len(client.events) == 5)
        took = time.monotonic() - began
    assert [event.frame for event in client.events] == events
    assert took > 0.5  # and no more can be said on a busy machine


def test_a_fast_replay_of_slow_events_ends() -> None:
    data, events = recording(50)
    assert [event.frame for event in replayed(data, speed=1e6, repeat=2)] == events * 2
    assert [event.frame for event in replayed(data, speed=1e6, lossless=False)] == events


def test_a_paused_replay_goes_on_where_it_stopped(tmp_path: Path) -> None:
    _, events = recording(3)
    path = write(tmp_path / "x.esl.zst", [(0.0, events[0]), (0.0, events[1]), (3600.0, events[2])])
    with Emulator(replay=path, speed=1e4) as switch, connected(switch, "event plain ALL") as client:
        client.until(lambda: client.events)
        client.ask("noevents")
        client.ask("event plain ALL")
        client.until(lambda: len(client.events) == 3)
    assert [event.frame for event in client.events] == events


def test_a_message_that_began_long_before_the_time(tmp_path: Path) -> None:
    tape = Tape()
    stream = event(1) + plain(b"Event-Name: DTMF\nEvent-Sequence: 5\nFill: " + b"x" * 5000 + b"\n\n") + event(6)
    for at in range(0, len(stream), 1000):
        tape.chunk(stream[at : at + 1000])
    path = tape.write(tmp_path / "x.esl.zst")
    assert [event.sequence for event in replayed(path, since=BEGIN + 3.5)] == [5, 6]


def test_from_a_time_on(tmp_path: Path) -> None:
    _, events = recording(6)
    path = write(tmp_path / "x.esl.zst", [(float(n), event) for n, event in enumerate(events)], cut=100)
    for since in (BEGAN + 2.5, datetime.fromtimestamp(BEGAN + 2.5, timezone.utc)):
        assert [event.frame for event in replayed(path, since=since)] == events[3:]
    assert [event.frame for event in replayed(path, since=BEGAN - 5)] == events
    data, events = recording(20)
    times = [message.timestamp for message in messages_of(b"".join(events))]
    since = sorted(times)[10]
    got = replayed(data, since=since)
    assert got[0].timestamp >= since
    assert [event.frame for event in got] == events[20 - len(got) :]


# What


@pytest.mark.parametrize("name", ["sip_plain", "sip_json", "sip_xml", "log_and_events"])
def test_shifted_to_now_and_renamed(name: str) -> None:
    data = capture(name)[:300_000]
    decoder = eslcodec.Decoder()
    decoder.feed(data)
    before = [message for message in decoder if isinstance(message, KEPT)]
    now = 2_000_000_000.25
    got = replayed(data, shift_to_now=True, rename="staging", clock=lambda: now)
    assert len(got) == len(before)
    events = [(old, new) for old, new in zip(before, got, strict=True) if isinstance(old, eslcodec.Event)]
    first_old, first_new = events[0]
    assert now - 1 < first_new.timestamp.timestamp() <= now
    shift = first_new.timestamp - first_old.timestamp
    cores = set()
    for old, new in events:
        assert new.timestamp - old.timestamp == shift
        assert (new.name, new.sequence, new.body) == (old.name, old.sequence, old.body)
        assert new["FreeSWITCH-Hostname"] == new["FreeSWITCH-Switchname"] == "staging"
        assert new["Core-UUID"] != old["Core-UUID"]
        cores.add(new["Core-UUID"])
    assert len(cores) == 1
    for old, new in zip(before, got, strict=True):
        if isinstance(old, eslcodec.LogLine) and old.text.startswith("2026-"):
            assert new.text.startswith("2033-05-18")


def test_events_without_times_are_not_shifted() -> None:
    event = render.event_frame(
        eslcodec.Event.build("DTMF", {"variable_start_epoch": "1795921448"}).serialize("plain"), "plain"
    )
    assert [got.frame for got in replayed(event * 3, shift_to_now=True)] == [event] * 3


def test_two_connections_see_one_switch_and_the_next_emulator_is_another() -> None:
    data, _ = recording(3)
    cores = []
    for _ in range(2):
        with Emulator(replay=data, lossless=True, rename="x", then="close") as switch:
            for _ in range(2):
                with connected(switch, "event plain ALL") as client:
                    client.to_the_end()
                    cores.append(client.events[0]["Core-UUID"])
    assert cores[0] == cores[1] != cores[2] == cores[3]


def test_a_function_redacts() -> None:
    from eslcodec.ingest.redact import Redact

    data, events = recording(20)
    redact = Redact(mask=["caller-caller-id-number"])
    got = replayed(data, redact=redact, rename="x")
    assert len(got) == 20
    assert {event.get("Caller-Caller-ID-Number", "***") for event in got} == {"***"}
    assert {event["FreeSWITCH-Hostname"] for event in got} == {"x"}
    got = replayed(data, redact=redact)
    assert [event.frame for event in got] == [redact(event).frame for event in messages_of(b"".join(events))]


# Memory

LONG = """
import re, socket, sys
from pathlib import Path
from eslcodec.emulator import Emulator
path, options = sys.argv[1], eval(sys.argv[2])
with Emulator(replay=path, lossless=True, then="close", **options) as switch:
    with socket.create_connection((switch.host, switch.port)) as sock:
        sock.sendall(b"auth ClueCon\\n\\nevent plain ALL\\n\\n")
        received = 0
        while data := sock.recv(1 << 20):
            received += len(data)
print(received, re.search(r"VmHWM:\\s*([0-9]+) kB", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
@pytest.mark.parametrize("options", ["{}", "{'rename': 'staging', 'shift_to_now': True}"])
def test_memory_does_not_grow_with_the_recording(tmp_path: Path, options: str) -> None:
    """Of twice as much no more is kept: some megabytes, and what the program itself takes."""
    block = b"".join(message.frame for message in messages_of(capture("sip_plain")[:1_000_000])[3:200])
    peaks = []
    for megabytes in (75, 150) if options == "{}" else (10, 30):
        path = tmp_path / f"{megabytes}.esl"
        with path.open("wb") as file:
            for _ in range((megabytes << 20) // len(block)):
                file.write(block)
        code = [sys.executable, "-c", LONG, str(path), options]
        done = subprocess.run(code, cwd="/", capture_output=True, text=True, check=True, timeout=100)
        received, peak = map(int, done.stdout.split())
        assert received > path.stat().st_size * 0.9
        peaks.append(peak)
        path.unlink()
    if not FOREIGN_MALLOC:
        assert max(peaks) < 150 << 10  # KiB
        assert peaks[1] < peaks[0] + (20 << 10)
