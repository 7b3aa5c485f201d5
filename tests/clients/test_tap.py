"""`tap=`: exactly what was read and sent, by both clients and both servers; and one that fails harms nothing."""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from shells import ENABLED, HOST, PATIENCE, Callee, Peer, Shell, Switch, event, until
from support import ACCEPTED, AUTH, part, reply

from eslcodec.emulator import Emulator


class Ear:
    """A tap that keeps everything."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Any]] = []

    def opened(self, peer: tuple[str, int]) -> None:
        self.heard.append(("opened", peer))

    def received(self, data: memoryview) -> None:
        self.heard.append(("received", bytes(data)))

    def sent(self, data: bytes) -> None:
        self.heard.append(("sent", bytes(data)))

    def closed(self, reason: str) -> None:
        self.heard.append(("closed", reason))

    def stats(self) -> dict[str, Any]:
        return {"heard": len(self.heard)}

    def all(self, kind: str) -> list[Any]:
        return [what for how, what in self.heard if how == kind]

    @property
    def bytes(self) -> bytes:
        return b"".join(self.all("received"))


class Deaf(Ear):
    """One that fails where it is told to."""

    def __init__(self, where: str, error: type[Exception] = OSError) -> None:
        super().__init__()
        self.where = where
        self.error = error
        self.calls = 0

    def _fail(self, here: str) -> None:
        if self.where == here:
            self.calls += 1
            raise self.error("no space left")

    def opened(self, peer: tuple[str, int]) -> None:
        self._fail("opened")

    def received(self, data: memoryview) -> None:
        self._fail("received")

    def sent(self, data: bytes) -> None:
        self._fail("sent")

    def closed(self, reason: str) -> None:
        self._fail("closed")

    def stats(self) -> dict[str, Any]:
        self._fail("stats")
        return {}


class Alone(Ear):
    """One for one connection at a time."""

    exclusive = True


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


def test_a_tap_hears_everything_from_the_greeting_on(shell: Shell, switch: Switch) -> None:
    ear = Ear()
    peer = shell.connects(switch, tap=ear)
    shell.subscribes(peer)
    reading = shell.reads()
    sent = [event(number) for number in range(200)]
    for frame in sent:
        peer.sends(frame)
    until(lambda: len(shell.seen) == 200)
    peer.sends(b"Content-Type: text/ev")  # never whole
    until(lambda: ear.bytes.endswith(b"text/ev"))
    peer.close()
    with pytest.raises(shell.esl.ConnectionClosed):
        reading.result(PATIENCE)
    assert ear.bytes == b"".join([AUTH, ACCEPTED, ENABLED, *sent, b"Content-Type: text/ev"])
    assert ear.all("sent") == [b"auth ClueCon\n\n", b"event DTMF\n\n"]
    assert ear.heard[:4] == [
        ("opened", (HOST, switch.port)),
        ("received", AUTH),
        ("sent", b"auth ClueCon\n\n"),
        ("received", ACCEPTED),
    ]
    assert ear.heard[-1][0] == "closed"
    assert "closed the connection" in ear.heard[-1][1] or "lost" in ear.heard[-1][1] or "ended" in ear.heard[-1][1]
    assert len(ear.all("closed")) == 1
    stats = shell.client.stats()
    assert stats.tap == stats["tap"] == {"heard": len(ear.heard), "failed": None}
    assert stats.received_bytes == len(ear.bytes)


def test_without_a_tap_nothing_is_said_of_one(shell: Shell, switch: Switch) -> None:
    shell.connects(switch)
    assert shell.client.stats().tap is None
    assert type(shell.client._link).__name__ == "Link"
    with pytest.raises(KeyError):
        shell.client.stats()["tapp"]


def test_frames_of_any_size_are_heard_whole_and_leave_the_decoder_alone(shell: Shell, switch: Switch) -> None:
    """Larger than the room of a read, and in pieces of one byte."""
    ear = Ear()
    peer = shell.connects(switch, tap=ear)
    bodies = [b"x" * size for size in (0, 1, 70_000, 1_000_000, 5)]
    for body in bodies:
        asked = shell.begin("api", "status")
        frame = b"Content-Type: api/response\nContent-Length: %d\n\n" % len(body) + body
        if len(body) < 10:
            peer.answers(b"api status")
            for place in range(len(frame)):
                peer.sends(frame[place : place + 1])
        else:
            peer.answers(b"api status", frame)
        assert asked.result(PATIENCE).body == body
        assert ear.bytes.endswith(frame)
    assert ear.all("sent")[1:] == [b"api status\n\n"] * len(bodies)


def test_each_connection_is_opened_and_closed(shell: Shell, switch: Switch) -> None:
    ear = Ear()
    backoff = shell.esl.Backoff(first=0, longest=0)
    shell.connects(switch, tap=ear, reconnect=backoff).reset()
    reading = shell.reads()
    peer = switch.lets_in()
    until(lambda: len(ear.all("opened")) == 2)
    peer.sends(event(1))
    until(lambda: ear.bytes.endswith(event(1)))
    shell.do("close")
    reading.result(PATIENCE)
    assert ear.all("opened") == [(HOST, switch.port)] * 2
    assert [how for how, _ in ear.heard if how in ("opened", "closed")] == ["opened", "closed"] * 2
    assert ear.bytes == (AUTH + ACCEPTED) * 2 + event(1)
    assert ear.heard[-1] == ("closed", "closed by us")


def test_an_end_is_heard_once_though_the_client_closes_while_it_connects_again(shell: Shell, switch: Switch) -> None:
    ear = Ear()
    shell.connects(switch, tap=ear, reconnect=shell.esl.Backoff(first=0, longest=0)).close()
    reading = shell.reads()
    switch.accept().sends(AUTH)
    until(lambda: ear.bytes.endswith(AUTH) and len(ear.all("sent")) == 2)
    shell.do("close")
    reading.result(PATIENCE)
    assert [said for how, said in ear.heard if how == "closed"] == ["the switch closed the connection", "closed by us"]


def test_a_login_that_is_refused_is_heard_to_its_end(shell: Shell, switch: Switch) -> None:
    ear = Ear()
    opening = shell.opening(switch.port, tap=ear, password="wrong")
    switch.refuses(b"wrong")
    with pytest.raises(shell.esl.AuthError):
        opening.result(PATIENCE)
    assert [how for how, _ in ear.heard] == ["opened", "received", "sent", "received", "closed"]
    assert ear.bytes.endswith(b"-ERR invalid\n\n")


@pytest.mark.parametrize("where", ["opened", "received", "sent"])
def test_a_tap_that_raises_is_dropped_with_one_line(
    shell: Shell, switch: Switch, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    ear = Deaf(where)
    peer = shell.connects(switch, tap=ear)
    shell.subscribes(peer)
    peer.sends(event(1))
    assert shell.event().sequence == 1
    assert ear.calls == 1
    assert shell.client.stats().tap == {"failed": "OSError: no space left"}
    lines = [record for record in caplog.records if "tap of" in record.message]
    assert [(line.levelno, line.name) for line in lines] == [(logging.ERROR, "eslcodec.tap")]
    assert f"{HOST}:{switch.port}" in lines[0].message


@pytest.mark.parametrize("where", ["closed", "stats"])
def test_what_fails_late_does_no_harm_either(
    shell: Shell, switch: Switch, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    ear = Deaf(where)
    shell.connects(switch, tap=ear)
    if where == "stats":
        assert shell.client.stats().tap == {"failed": "OSError: no space left"}
    shell.do("close")
    assert shell.client.stats().tap == {"failed": "OSError: no space left"}
    assert (ear.calls, len([record for record in caplog.records if "tap of" in record.message])) == (1, 1)


def test_a_dropped_tap_stays_dropped_over_a_reconnection(shell: Shell, switch: Switch) -> None:
    ear = Deaf("received")
    shell.connects(switch, tap=ear, reconnect=shell.esl.Backoff(first=0, longest=0)).reset()
    reading = shell.reads()
    switch.lets_in()
    until(lambda: shell.client.stats().reconnects == 1)
    shell.do("close")
    reading.result(PATIENCE)
    assert ear.calls == 1


def test_a_tap_without_more_than_it_must_have(shell: Shell, switch: Switch) -> None:
    class Least:
        size = 0

        def opened(self, peer: tuple[str, int]) -> None: ...

        def received(self, data: memoryview) -> None:
            self.size += data.nbytes

        def sent(self, data: bytes) -> None: ...

    tap = Least()
    shell.connects(switch, tap=tap)
    assert shell.client.stats().tap == {"failed": None}
    shell.do("close")
    assert tap.size == len(AUTH + ACCEPTED)


@pytest.mark.parametrize("tap", [7, print, Ear, object()])
def test_what_is_no_tap_is_refused(shell: Shell, switch: Switch, tap: Any) -> None:
    with pytest.raises(TypeError, match="expected an object with opened"):
        shell._module.connect(HOST, switch.port, tap=tap)


def test_what_chooses_no_tap_is_refused(shell: Shell) -> None:
    with pytest.raises(TypeError, match="expected a function"):
        shell._module.serve(shell.do, tap=Ear())


def test_a_tap_for_one_connection_is_refused_to_a_second(shell: Shell, switch: Switch) -> None:
    ear = Alone()
    shell.connects(switch, tap=ear)
    with pytest.raises(ValueError, match="in use for another connection"):
        shell.opening(switch.port, tap=ear).result(PATIENCE)
    shell.do("close")
    shell.connects(switch, tap=ear)
    assert len(ear.all("opened")) == 2
    assert shell.client.stats().tap["failed"] is None


def test_a_tap_taken_by_another_client_meanwhile_is_dropped(esl: ModuleType, caplog: pytest.LogCaptureFixture) -> None:
    """While one client has no connection, another may take it; the first goes on without."""
    ear, tapping = Alone(), part(esl, "_tap").Tapping
    first = tapping(ear)
    first.opened(("one", 1))
    first.closed("lost")
    second = tapping(ear)
    second.opened(("two", 2))
    first.opened(("one", 1))
    first.received(memoryview(b"1"))
    second.received(memoryview(b"2"))
    assert ear.all("received") == [b"2"]
    assert second.failed is None
    assert "in use for another connection" in first.failed
    assert "tap of one:1" in caplog.text
    second.closed("over")
    del second
    tapping(ear).opened(("three", 3))


def test_a_client_that_was_forgotten_does_not_keep_its_tap(esl: ModuleType) -> None:
    ear, tapping = Alone(), part(esl, "_tap").Tapping
    tapping(ear).opened(("one", 1))
    gc.collect()
    assert tapping(ear).failed is None


# Calls

CONNECTED = (
    b"Event-Name: CHANNEL_DATA\nUnique-ID: 7a1c\nChannel-Name: sofia/a\nContent-Type: command/reply\n"
    b"Reply-Text: %2BOK%0A\nSocket-Mode: async\nControl: full\n\n"
)


def call_to(port: int, first: bytes = CONNECTED) -> Peer:
    peer = Peer(socket.create_connection((HOST, port)))
    peer.answers(b"connect", first)
    return peer


@pytest.mark.parametrize("kind", ["sync", "aio"])
def test_a_call_is_heard_from_its_first_byte(esl: ModuleType, kind: str) -> None:
    ear, asked = Ear(), []

    def choose(call: Any) -> Ear:
        asked.append((call.data.name, call.data["Unique-ID"]))
        return ear

    callee = Callee(esl, kind, tap=choose)
    try:
        peer = callee.rings(call_to)
        answer = callee.begin("execute", "answer")
        command = peer.command()
        peer.sends(reply(b"+OK"))
        answer.result(PATIENCE)
        assert asked == [("CHANNEL_DATA", "7a1c")]
        assert ear.bytes == CONNECTED + reply(b"+OK")
        assert ear.all("sent") == [b"connect\n\n", command + b"\n\n"]
        assert [how for how, _ in ear.heard[:3]] == ["opened", "sent", "received"]
        assert ear.heard[0][1] == peer.sock.getsockname()[:2]
        assert callee.client.stats().tap["failed"] is None
    finally:
        callee.close()
    assert len(ear.all("closed")) == 1


@pytest.mark.parametrize("kind", ["sync", "aio"])
@pytest.mark.parametrize("chosen", ["none", "raises", "no tap", "deaf"])
def test_a_call_without_a_tap_goes_on(
    esl: ModuleType, kind: str, chosen: str, caplog: pytest.LogCaptureFixture
) -> None:
    def choose(call: Any) -> Any:
        if chosen == "raises":
            raise LookupError("which one?")
        return {"none": None, "no tap": 7, "deaf": Deaf("received")}[chosen]

    callee = Callee(esl, kind, tap=choose)
    try:
        peer = callee.rings(call_to)
        asked = callee.begin("api", "status")
        peer.answers(b"api status", b"Content-Type: api/response\nContent-Length: 2\n\nUP")
        assert asked.result(PATIENCE).text == "UP"
        tap = callee.client.stats().tap
        lines = [record for record in caplog.records if "tap of" in record.message]
        if chosen == "none":
            assert tap is None
            assert lines == []
        else:
            said = {"raises": "LookupError: which one?", "no tap": "TypeError: ", "deaf": "OSError: no space left"}
            assert tap["failed"].startswith(said[chosen])
            assert len(lines) == 1
    finally:
        callee.close()


@pytest.mark.parametrize("kind", ["sync", "aio"])
def test_a_call_that_brings_no_data_is_not_asked_about(esl: ModuleType, kind: str) -> None:
    asked: list[Any] = []
    callee = Callee(esl, kind, tap=asked.append)
    try:
        peer = call_to(callee.server.port, b"Content-Type: te")
        peer.close()
        until(lambda: callee.server.calls == 0)
        assert asked == []
    finally:
        callee.close()


# Around it


def test_the_caretaker_reads_for_the_tap_too(esl: ModuleType, switch: Switch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(esl.limits, "UNREAD_SECONDS", 0.01)
    monkeypatch.setattr(esl.limits, "CARETAKER_SECONDS", 0.01)
    shell = Shell(esl, "sync")
    try:
        ear = Ear()
        peer = shell.connects(switch, tap=ear)
        shell.subscribes(peer)
        for number in range(100):
            peer.sends(event(number))
        until(lambda: ear.bytes.endswith(event(99)))
        assert [shell.event().sequence for _ in range(100)] == list(range(100))
        assert ear.bytes == AUTH + ACCEPTED + ENABLED + b"".join(event(number) for number in range(100))
    finally:
        shell.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_process_tells_the_tap_nothing(esl: ModuleType) -> None:
    ear = Ear()
    with Emulator() as switch, esl.connect(switch.host, switch.port, tap=ear, caretaker=False) as fs:
        before = len(ear.heard)
        child = os.fork()
        if child == 0:
            said = 1
            try:
                fs.close()
                said = 0 if len(ear.heard) == before and fs.stats().tap == {"failed": "the process is a fork"} else 2
            finally:
                os._exit(said)
        assert os.waitpid(child, 0)[1] == 0
        assert fs.api("status").ok
        assert len(ear.heard) > before


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs signals")
def test_a_signal_that_closes_the_client_within_its_tap(esl: ModuleType) -> None:
    """Its handler runs in the middle of `received`, in the same thread."""
    with Emulator() as switch:

        class Bell(Ear):
            def received(self, data: memoryview) -> None:
                super().received(data)
                if fs is not None:
                    os.kill(os.getpid(), signal.SIGUSR1)

        ear, fs = Bell(), None
        fs = esl.connect(switch.host, switch.port, tap=ear, caretaker=False)
        before = signal.signal(signal.SIGUSR1, lambda *_: fs.close())
        try:
            assert threading.current_thread() is threading.main_thread()
            with pytest.raises(esl.ConnectionClosed):
                fs.api("status")
        finally:
            signal.signal(signal.SIGUSR1, before)
        assert ear.heard[-1] == ("closed", "closed by us")
