"""What a recorder keeps is what was read and sent: by both clients, by hand, over connections and chunks."""

from __future__ import annotations

import logging
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from recorder_support import GREETING, Clock, bytes_in, chunks_in, files_in, is_closed, notes_in, recorder_of
from shells import HOST, PATIENCE, Callee, Peer, Shell, Switch, event, until
from support import ACCEPTED, AUTH, capture, part, reply

from eslcodec.emulator import Emulator

PEER = ("10.0.0.1", 8021)
CAPTURES = ["sip_plain", "sip_json", "sip_xml", "churn_plain", "conference", "log", "calls_sip"]


class Both:
    """A recorder, and beside it everything in memory."""

    exclusive = True

    def __init__(self, recorder: Any) -> None:
        self.recorder = recorder
        self.received_bytes = bytearray()
        self.sent_bytes = bytearray()
        self.opened, self.closed, self.stats = recorder.opened, recorder.closed, recorder.stats

    def received(self, data: memoryview) -> None:
        self.received_bytes += data
        self.recorder.received(data)

    def sent(self, data: bytes) -> None:
        self.sent_bytes += data
        self.recorder.sent(data)


@pytest.fixture(params=["sync", "aio"])
def shell(request: pytest.FixtureRequest, esl: ModuleType) -> Iterator[Shell]:
    shell = Shell(esl, request.param)
    yield shell
    shell.close()


@pytest.fixture
def switch() -> Iterator[Switch]:
    switch = Switch()
    yield switch
    switch.close()


def test_the_public_names(esl: ModuleType) -> None:
    ingest = part(esl, "ingest")
    assert ingest.Recorder is part(esl, "ingest.recorder").Recorder
    with pytest.raises(AttributeError, match="no attribute 'Recoder'"):
        ingest.Recoder  # noqa: B018


def names() -> list[str]:
    folder = Path(__file__).parents[1] / "data" / "captures"
    there = {path.name.split(".")[0] for path in folder.glob("*.esl*")}
    return [name for name in CAPTURES if name in there]


@pytest.mark.parametrize("name", names())
def test_a_replayed_capture_is_kept_to_the_byte(shell: Shell, tmp_path: Path, name: str) -> None:
    both = Both(recorder_of(shell.esl, tmp_path))
    with Emulator(replay=capture(name), lossless=True, then="close") as server:
        shell.client = shell.opening(server.port, tap=both).result(PATIENCE)
        shell.do("subscribe", "ALL")
        seen = shell.reads().result(60)
        shell.do("close")
    both.recorder.close()
    [path] = files_in(tmp_path)
    assert bytes_in(shell.esl, path) == both.received_bytes
    assert b"".join(sent.data for chunk in chunks_in(shell.esl, path) for sent in chunk.sends) == (
        both.sent_bytes.replace(b"ClueCon", b"***")
    )
    assert is_closed(shell.esl, path)
    events = [
        one for one in part(shell.esl, "recordings").Recording(tmp_path).messages() if isinstance(one, shell.esl.Event)
    ]
    assert events == seen
    assert len(seen) > 0
    assert both.recorder.stats()["state"] == "closed"
    assert shell.client.stats().tap["failed"] is None


def test_a_client_with_a_recorder(
    shell: Shell, switch: Switch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part(shell.esl, "limits"), "RECORDER_LINGER_SECONDS", 100.0)  # the file waits for the next one
    recorder = recorder_of(shell.esl, tmp_path)
    backoff = shell.esl.Backoff(first=0, longest=0)
    peer = shell.connects(switch, tap=recorder, reconnect=backoff)
    shell.subscribes(peer)
    peer.sends(event(1))
    assert shell.event().sequence == 1
    peer.sends(b"Content-Ty")
    until(lambda: recorder.stats()["received_bytes"] == shell.client.stats().received_bytes == len(_wire(1)) + 10)
    peer.reset()
    reading = shell.reads()
    again = switch.accept()
    again.sends(AUTH)
    again.answers(b"auth ClueCon", ACCEPTED)
    again.answers(b"event DTMF", reply(b"+OK event listener enabled plain"))
    again.sends(event(2))
    until(lambda: any(one.name == "DTMF" for one in shell.seen))
    tap = shell.client.stats().tap
    assert (tap["state"], tap["connections"], tap["failed"], tap["peer"]) == ("recording", 2, None, (HOST, switch.port))
    shell.do("close")
    reading.result(PATIENCE)
    assert shell.client.stats().tap["state"] == "waiting"
    recorder.close()
    [path] = files_in(tmp_path)
    assert path.parent.name == f"{HOST}_{switch.port}"
    assert bytes_in(shell.esl, path) == _wire(1) + b"Content-Ty" + _wire(2)
    kinds = [note["note"] for note in notes_in(shell.esl, path)]
    assert kinds == ["opened", "closed", "opened", "closed"]
    chunks = [chunk for chunk in chunks_in(shell.esl, path) if chunk.note is None]
    assert len({chunk.connection for chunk in chunks}) == 2
    recording = part(shell.esl, "recordings").Recording(tmp_path)
    messages = [one.sequence for one in recording.messages() if isinstance(one, shell.esl.Event)]
    assert messages == [1, 2]
    assert recording.dropped == 10


def _wire(number: int) -> bytes:
    return AUTH + ACCEPTED + reply(b"+OK event listener enabled plain") + event(number)


def call_to(port: int) -> Peer:
    import socket

    data = b"Event-Name: CHANNEL_DATA\nUnique-ID: 7a1c\nContent-Type: command/reply\nReply-Text: %2BOK%0A\n\n"
    peer = Peer(socket.create_connection((HOST, port)))
    peer.answers(b"connect", data)
    return peer


@pytest.mark.parametrize("kind", ["sync", "aio"])
def test_calls_with_a_recorder_each(esl: ModuleType, kind: str, tmp_path: Path) -> None:
    recorders: list[Any] = []

    def choose(call: Any) -> Any:
        recorders.append(recorder_of(esl, tmp_path / call.data["Unique-ID"], chunk_seconds=1000))
        return recorders[-1]

    callee = Callee(esl, kind, tap=choose)
    try:
        callee.rings(call_to)
    finally:
        callee.close()
    [recorder] = recorders
    until(lambda: recorder._thread is None)  # nobody closes it
    [path] = files_in(tmp_path / "7a1c")
    assert is_closed(esl, path)
    [chunk] = [chunk for chunk in chunks_in(esl, path) if chunk.note is None]
    assert chunk.data.startswith(b"Event-Name: CHANNEL_DATA")
    assert [(sent.at, sent.data) for sent in chunk.sends] == [(0, b"connect\n\n")]


def test_chunks_say_when_and_where(esl: ModuleType, tmp_path: Path) -> None:
    clock = Clock()
    recorder = recorder_of(esl, tmp_path, clock)
    recorder.opened(PEER)
    begun = clock.mono_ns, clock.wall_ns
    recorder.received(GREETING)
    clock.go(0.25)
    recorder.sent(b"auth ClueCon\n\n")
    clock.go(0.25)
    recorder.received(memoryview(bytearray(ACCEPTED)))
    clock.go(0.25)
    recorder.received(b"Content-Length: 3\n\nab")
    clock.go(2)
    recorder.received(b"c" + GREETING)
    recorder.close()
    first, second = (chunk for chunk in chunks_in(esl, *files_in(tmp_path)) if chunk.note is None)
    assert (first.mono_ns, first.wall_ns) == begun
    assert first.reads == [(0, len(GREETING)), (500_000, len(ACCEPTED)), (750_000, 21)]
    assert first.sends == [(250_000, len(GREETING), b"auth ***\n\n")]
    assert (first.offset, first.first, first.length) == (0, 0, len(GREETING + ACCEPTED) + 21)
    assert (second.offset, second.first, second.reads) == (first.length, 1, [(0, 1 + len(GREETING))])
    assert second.connection == first.connection != 0


def test_a_chunk_is_written_in_time_though_nothing_more_comes(esl: ModuleType, tmp_path: Path) -> None:
    clock = Clock()
    recorder = recorder_of(esl, tmp_path, clock, chunk_seconds=5)
    recorder.opened(PEER)
    recorder.received(GREETING)
    clock.go(4.9, recorder)
    assert recorder.stats()["chunks"] == 0
    clock.go(0.1, recorder)
    until(lambda: recorder.stats()["chunks"] == 1)
    [path] = files_in(tmp_path)
    assert bytes_in(esl, path) == GREETING  # with the file still open
    recorder.close()


def test_by_the_real_clock_too(esl: ModuleType, tmp_path: Path) -> None:
    recorder = recorder_of(esl, tmp_path, chunk_seconds=0.01)
    recorder.opened(PEER)
    for number in range(1, 4):
        recorder.received(GREETING)
        until(lambda: recorder.stats()["chunks"] == number)  # noqa: B023
    recorder.close()
    assert bytes_in(esl, *files_in(tmp_path)) == 3 * GREETING


@pytest.mark.parametrize("size", [1, 4096, 65_536, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 5_000_000])
def test_chunks_have_a_megabyte(esl: ModuleType, tmp_path: Path, size: int) -> None:
    """And reads are in one chunk each, unless they are longer."""
    most = part(esl, "limits").RECORDER_CHUNK_BYTES
    recorder = recorder_of(esl, tmp_path, Clock())
    recorder.opened(PEER)
    count = min(3_000_000 // size + 1, 2000)
    data = bytes(range(256)) * (size // 256 + 2)
    for number in range(count):
        recorder.received(data[number % 200 : number % 200 + size])
    recorder.close()
    chunks = [chunk for chunk in chunks_in(esl, *files_in(tmp_path)) if chunk.note is None]
    assert b"".join(chunk.data for chunk in chunks) == b"".join(data[n % 200 : n % 200 + size] for n in range(count))
    assert all(chunk.length <= most for chunk in chunks)
    assert len(chunks) <= 2 + count * size // (most - min(size, most) + 1) + count * (size // most)
    if size <= most:
        assert {read for chunk in chunks for _, read in chunk.reads} == {size}


def test_reads_and_sends_are_bounded_too(esl: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part(esl, "limits"), "RECORDER_CHUNK_ENTRIES", 10)
    recorder = recorder_of(esl, tmp_path, Clock())
    recorder.opened(PEER)
    for _ in range(25):
        recorder.received(b"x")
    for _ in range(25):
        recorder.sent(b"exit\n\n")
    recorder.sent(b"y" * 900_000)
    recorder.sent(b"z" * 900_000)
    recorder.close()
    chunks = [chunk for chunk in chunks_in(esl, *files_in(tmp_path)) if chunk.note is None]
    assert [(len(chunk.reads), len(chunk.sends)) for chunk in chunks] == [
        (10, 0),
        (10, 0),
        (5, 10),
        (0, 10),
        (0, 6),
        (0, 1),
    ]
    assert b"".join(sent.data for chunk in chunks for sent in chunk.sends) == (
        b"exit\n\n" * 25 + b"y" * 900_000 + b"z" * 900_000
    )


def test_what_was_only_sent_is_kept(esl: ModuleType, tmp_path: Path) -> None:
    recorder = recorder_of(esl, tmp_path, Clock())
    recorder.opened(PEER)
    recorder.sent(b"connect\n\n")
    recorder.close()
    [chunk] = [chunk for chunk in chunks_in(esl, *files_in(tmp_path)) if chunk.note is None]
    assert (chunk.length, chunk.sends) == (0, [(0, 0, b"connect\n\n")])


@pytest.mark.parametrize("level", [0, 1, 3])
def test_levels(esl: ModuleType, tmp_path: Path, level: int) -> None:
    recorder = recorder_of(esl, tmp_path, level=level)
    recorder.opened(PEER)
    recorder.received(GREETING * 1000)
    recorder.close()
    [path] = files_in(tmp_path)
    assert bytes_in(esl, path) == GREETING * 1000
    if level == 0:
        assert GREETING * 1000 in path.read_bytes()


def test_any_bytes_are_taken(esl: ModuleType, tmp_path: Path) -> None:
    recorder = recorder_of(esl, tmp_path)
    recorder.opened(PEER)
    for data in (
        b"a",
        bytearray(b"b"),
        memoryview(b"c"),
        memoryview(struct.pack("<HH", 0x6564, 0x6766)).cast("H"),
        b"",
    ):
        recorder.received(data)
    for data in ("text", 7):
        with pytest.raises(TypeError):
            recorder.received(data)
    recorder.received(memoryview(b"h.i.")[::2])
    recorder.close()
    assert bytes_in(esl, *files_in(tmp_path)) == b"abcdefghi"


def test_an_exception_from_outside_leaves_a_whole_chunk(esl: ModuleType, tmp_path: Path) -> None:
    """A signal's handler may raise in the middle of `received`."""

    recorder = recorder_of(esl, tmp_path, Clock())
    recorder.opened(PEER)
    recorder.received(b"before")
    chunk = recorder._chunk
    size, reads = chunk.size, bytes(chunk.reads)
    view, chunk.view = chunk.view, chunk.view[: size + 2]  # no room: what is copied does not fit
    with pytest.raises(ValueError, match="structures"):
        recorder.received(b"between")
    chunk.view = view
    assert (chunk.size, bytes(chunk.reads)) == (size, reads)
    recorder.received(b"after")
    recorder.close()
    assert bytes_in(esl, *files_in(tmp_path)) == b"beforeafter"


def test_many_connections_after_each_other(esl: ModuleType, tmp_path: Path) -> None:
    recorder = recorder_of(esl, tmp_path, Clock())  # the file waits for each
    for number in range(300):
        recorder.opened(PEER)
        recorder.received(b"Content-Length: %d\n\n" % number)
        if number % 3:
            recorder.closed("over")
    recorder.close()
    [path] = files_in(tmp_path)
    chunks = chunks_in(esl, path)
    assert len({chunk.connection for chunk in chunks}) == 300
    assert [chunk.data for chunk in chunks if chunk.note is None] == [b"Content-Length: %d\n\n" % n for n in range(300)]
    assert [note["note"] for note in notes_in(esl, path)] == ["opened", "closed"] * 300
    assert all(chunk.offset == 0 for chunk in chunks if chunk.note is None)


def test_another_peer_has_another_folder(esl: ModuleType, tmp_path: Path) -> None:
    recorder = recorder_of(esl, tmp_path)
    for host in ("one", "two", "one"):
        recorder.opened((host, 8021))
        recorder.received(host.encode())
    recorder.close()
    files = files_in(tmp_path)
    assert [path.parent.name for path in files] == ["one_8021", "one_8021", "two_8021"]
    assert [bytes_in(esl, path) for path in files] == [b"one", b"one", b"two"]
    assert all(is_closed(esl, path) for path in files)


def test_a_connection_that_brought_nothing_leaves_nothing(esl: ModuleType, tmp_path: Path) -> None:
    recorder = recorder_of(esl, tmp_path)
    for _ in range(10):
        recorder.opened(PEER)
        recorder.closed("refused")
    recorder.close()
    assert list(tmp_path.iterdir()) == []


def test_bytes_without_a_connection_are_a_mistake(esl: ModuleType, tmp_path: Path) -> None:
    recorder = recorder_of(esl, tmp_path)
    for verb in ("received", "sent"):
        with pytest.raises(RuntimeError, match=re.escape(f"{verb}() before opened()")):
            getattr(recorder, verb)(b"x")
    recorder.closed("nothing was open")
    recorder.close()
    recorder.close()
    recorder.received(b"after the end nothing is said: the client may go on")
    recorder.sent(b"x")
    recorder.opened(PEER)
    assert recorder.stats()["state"] == "closed"
    assert repr(recorder) == f"<Recorder {str(tmp_path)!r} closed>"


def test_two_clients_with_one_recorder(shell: Shell, switch: Switch, tmp_path: Path) -> None:
    recorder = recorder_of(shell.esl, tmp_path)
    shell.connects(switch, tap=recorder)
    with pytest.raises(ValueError, match=r"Recorder .* which is in use for another connection"):
        shell.opening(switch.port, tap=recorder).result(PATIENCE)
    shell.do("close")
    shell.connects(switch, tap=recorder)
    shell.do("close")
    recorder.close()
    assert bytes_in(shell.esl, *files_in(tmp_path)) == (AUTH + ACCEPTED) * 2


def test_without_a_library_it_says_nothing_and_stores_raw(
    esl: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(part(esl, "_zstd"), "library", lambda: None)
    caplog.set_level(logging.INFO)
    with recorder_of(esl, tmp_path) as recorder:
        recorder.opened(PEER)
        recorder.received(GREETING)
    [path] = files_in(tmp_path)
    assert GREETING in path.read_bytes()
    assert bytes_in(esl, path) == GREETING


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("rotate_bytes", 0, ValueError),
        ("rotate_bytes", "1M", TypeError),
        ("rotate_seconds", -1, ValueError),
        ("rotate_seconds", True, TypeError),
        ("chunk_seconds", 0, ValueError),
        ("chunk_seconds", 3601, ValueError),
        ("chunk_seconds", float("nan"), ValueError),
        ("fsync", "sometimes", TypeError),
        ("fsync", -1, ValueError),
        ("fsync", None, TypeError),
        ("keep_seconds", 0, ValueError),
        ("keep_bytes", "50G", TypeError),
        ("min_free", 1, ValueError),
        ("min_free", 10, ValueError),
        ("min_free", "10%", TypeError),
        ("on_full", "ask", ValueError),
        ("level", "high", TypeError),
    ],
)
def test_options_that_are_refused(
    esl: ModuleType, tmp_path: Path, option: str, value: Any, error: type[Exception]
) -> None:
    with pytest.raises(error, match=option):
        recorder_of(esl, tmp_path / "none", **{option: value})
    assert not (tmp_path / "none").exists()
