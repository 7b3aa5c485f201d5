"""Replays of the emulator, and faults of its connections."""

from __future__ import annotations

import gzip
import lzma
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from emulated import DAY, FAREWELL, SECONDS, Client, connected, fence, messages_of, recording, whole
from sizes import FULL
from support import capture

import eslcodec
from eslcodec.emulator import Emulator, Fault


@pytest.fixture
def switch() -> Iterator[Emulator]:
    with Emulator() as switch:
        yield switch


# Replay


@pytest.fixture(autouse=True, params=["in memory", "streamed"])
def kept(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A short capture is kept in memory; everything holds for a long one too, which is read while it is sent."""
    if request.param == "streamed":
        monkeypatch.setattr("eslcodec.emulator._source.MEMORY_BYTES", 0)


def test_a_replay_begins_with_event_and_is_verbatim() -> None:
    data, events = recording(30)
    with Emulator(replay=data, then="close") as switch, connected(switch) as client:
        fence(switch, client)
        assert client.events == []
        client.ask("event xml DTMF")
        client.to_the_end()
    assert [event.frame for event in client.events] == events
    assert client.messages[-1].text == FAREWELL


@pytest.mark.parametrize("suffix", [".esl", ".esl.xz", ".esl.gz"])
def test_a_replay_comes_from_a_file(tmp_path: Path, suffix: str) -> None:
    data, events = recording(3)
    pack = {".esl.xz": lzma.compress, ".esl.gz": gzip.compress}.get(suffix, bytes)
    path = tmp_path / f"capture{suffix}"
    path.write_bytes(pack(data))
    with Emulator(replay=path, lossless=True) as switch, connected(switch, "myevents any") as client:
        client.until(lambda: len(client.events) == 3)
        assert client.text("api echo open") == "open"
    assert [event.frame for event in client.events] == events


@pytest.mark.heavy
@pytest.mark.parametrize("name", DAY)
def test_a_production_day_is_replayed_verbatim(name: str) -> None:
    """Whole in make test-all; else of the long ones the beginning."""
    data = whole(name) if FULL else capture(name)
    kept = (eslcodec.Event, eslcodec.LogLine)
    frames = [message.frame for message in messages_of(data) if isinstance(message, kept)]
    with (
        Emulator(replay=data, lossless=True, then="close") as switch,
        connected(switch, "event plain ALL") as client,
    ):
        client.to_the_end()
    assert [message.frame for message in client.messages if isinstance(message, kept)] == frames
    assert len(frames) > 40


def test_a_capture_without_events_cannot_be_replayed() -> None:
    with pytest.raises(ValueError, match="no event"):
        Emulator(replay=capture("auth_late"))


def test_a_replay_has_a_rate_above_zero() -> None:
    with pytest.raises(ValueError, match="rate is 0"):
        Emulator(rate=0)


def test_a_replay_repeats() -> None:
    data, events = recording(7)
    with (
        Emulator(replay=data, repeat=5, lossless=True, then="close") as switch,
        connected(switch, "event plain ALL") as client,
    ):
        client.to_the_end()
    assert [event.frame for event in client.events] == events * 5


def test_a_replay_without_end_goes_on() -> None:
    data, events = recording(7)
    with Emulator(replay=data, repeat=None, lossless=True) as switch, connected(switch, "event plain ALL") as client:
        client.until(lambda: len(client.events) > 1000)
    assert [event.frame for event in client.events[:21]] == events * 3


def test_a_replay_at_a_rate_takes_its_time() -> None:
    data, events = recording(20)
    with Emulator(replay=data, rate=200, then="close") as switch, connected(switch) as client:
        began = time.monotonic()
        client.ask("event plain ALL")
        client.to_the_end()
        took = time.monotonic() - began
    assert [event.frame for event in client.events] == events
    assert 0.08 < took < 20


def test_commands_are_answered_and_events_fired_during_a_replay() -> None:
    data, events = recording(50)
    with Emulator(replay=data, rate=500) as switch, connected(switch, "event plain ALL") as client:
        assert client.text("api echo x") == "x"
        switch.fire("HEARTBEAT")
        client.until(lambda: len(client.events) == 51)
    assert [event.frame for event in client.events if event.get("FreeSWITCH-Hostname") != "emulator"] == events


def test_commands_are_read_though_a_replay_keeps_the_socket_full() -> None:
    data, _ = recording(100)
    with Emulator(replay=data, repeat=None, lossless=True) as switch, connected(switch, "event plain ALL") as client:
        client.until(lambda: len(client.events) > 5000)
        assert client.text("api echo heard") == "heard"
        client.send("exit\n\n")
        client.to_the_end()
    assert client.messages[-1].text == FAREWELL


def test_noevents_stops_a_replay_and_event_goes_on() -> None:
    data, _ = recording(5)
    with Emulator(replay=data, rate=400, repeat=None) as switch, connected(switch, "event plain ALL") as client:
        client.until(lambda: client.events)
        client.ask("noevents")
        count = len(client.events)
        fence(switch, client)
        assert len(client.events) == count
        client.ask("event plain ALL")
        client.until(lambda: len(client.events) > count)


def test_a_replay_does_not_wait_for_a_slow_reader() -> None:
    data, _ = recording(100)
    with Emulator(replay=data, repeat=None, queue_limit=2000) as switch, connected(switch, "event plain ALL") as client:
        switch.wait_for(lambda: not switch.listeners, SECONDS)
        client.to_the_end()
    assert client.raw.endswith(b"\n\nkilled listener because of lost events\n")


def test_a_lossless_replay_waits_for_a_slow_reader() -> None:
    data, events = recording(100)
    with (
        Emulator(replay=data, repeat=30, queue_limit=10, lossless=True, rate=1e6, then="close") as switch,
        connected(switch, "event plain ALL") as client,
    ):
        switch.wait_for(lambda: switch.listeners[0].queued > 1000, SECONDS)
        client.to_the_end()
    assert len(client.events) == 100 * 30
    assert [event.frame for event in client.events[-100:]] == events


# Faults


GREETING = b"Content-Type: auth/request\n\n"


def test_fault_cut() -> None:
    with Emulator(faults=[Fault.cut(after=10)]) as switch:
        with socket.create_connection((switch.host, switch.port)) as sock:
            client = Client(sock)
            client.to_the_end()
            assert client.raw in (GREETING[:10], b"")  # a reset may overtake what was sent
        with connected(switch) as client:
            assert client.text("api echo the next one is whole") == "the next one is whole"


def test_fault_close() -> None:
    with Emulator(fault=Fault.close(after=40)) as switch:
        for _ in range(2):
            with socket.create_connection((switch.host, switch.port)) as sock:
                client = Client(sock)
                client.send("auth ClueCon\n\n")
                client.to_the_end()
                assert client.raw == (GREETING + b"Content-Type: command/reply")[:40]
        switch.wait_for(lambda: not switch.listeners, 20)


def test_fault_stall() -> None:
    with Emulator(fault=Fault.stall(after=len(GREETING) + 5)) as switch, connected(switch, login=False) as client:
        client.send("auth ClueCon\n\nexit\n\n")
        switch.wait_for(lambda: "exit" in switch.commands, 20)
        client.until(lambda: len(client.raw) == len(GREETING) + 5)
        client.sock.settimeout(0.05)
        with pytest.raises(TimeoutError):
            client.sock.recv(1)


def test_fault_drip() -> None:
    with (
        Emulator(fault=Fault.drip(10, every=0.5, after=len(GREETING))) as switch,
        connected(switch, login=False) as client,
    ):
        client.until(lambda: client.messages)
        client.send("auth ClueCon\n\n")
        pieces = []
        while len(client.messages) < 2:
            before = len(client.raw)
            client.read()
            pieces.append(len(client.raw) - before)
    assert len(pieces) > 1
    assert client.messages[1].text == "+OK accepted"


def test_fault_garbage() -> None:
    with (
        Emulator(fault=Fault.garbage(b"\0garbage", after=len(GREETING) - 1)) as switch,
        socket.create_connection((switch.host, switch.port)) as sock,
    ):
        client = Client(sock)
        client.until(lambda: len(client.raw) == len(GREETING) + 8)
    assert client.raw == GREETING[:-1] + b"\0garbage\n"


def test_a_fault_after_nothing_is_there_from_the_start() -> None:
    with Emulator(fault=Fault.close()) as switch, socket.create_connection((switch.host, switch.port)) as sock:
        assert Client(sock).sock.recv(1) == b""


def test_drop_closes_without_a_notice(switch: Emulator) -> None:
    with connected(switch) as client:
        switch.drop()
        client.to_the_end()
    assert not isinstance(client.messages[-1], eslcodec.DisconnectNotice)
    with connected(switch) as client:
        assert client.text("api echo again") == "again"


def test_shutdown_says_so(switch: Emulator) -> None:
    with connected(switch) as client:
        switch.shutdown()
        client.to_the_end()
    assert client.messages[-1].text == "The system is being shut down.\n"
