"""The blocking client: every way to end, and reconnection."""

from __future__ import annotations

import errno
import itertools
import logging
import re
import socket
import threading
import time
from collections import Counter
from types import ModuleType
from typing import Any

import pytest
from support import ACCEPTED, AUTH, FAREWELL, REJECTED, api_response, notice, plain, reply
from sync_support import ENABLED, HOST, LOG, Peer, Task, collect, event, is_held, logged_in, scripted, until, with_time
from sync_support import fs as fs
from sync_support import nothing_left as nothing_left
from sync_support import switch as switch

from eslcodec.emulator import Emulator

# Ends


SESSION = [
    AUTH,
    ACCEPTED,
    ENABLED + event(1),
    reply(b"+OK log level  [7]") + LOG,
    reply(b"+OK Job-UUID: j-1", b"Job-UUID: j-1\n")
    + event(2)
    + plain(b"Event-Name: BACKGROUND_JOB\nJob-UUID: j-1\nContent-Length: 3\n\nok\n"),
    api_response(b"UP\n") + event(3),
    reply(b"+OK bye") + notice(FAREWELL),
]
"""What a switch says at first, and to each command of `whole_session`."""


def whole_session(esl: ModuleType, port: int) -> str:
    try:
        with esl.connect(HOST, port) as fs:
            fs.subscribe("ALL")
            fs.log()
            assert fs.bgapi("x", job_uuid="j-1").result().text == "ok\n"
            assert fs.api("status").text == "UP\n"
            fs.exit()
            assert [one.sequence for one in fs.events()] == [1, 2, None, 3]
        return "done"
    except (esl.ESLError, ConnectionResetError) as error:
        return type(error).__name__


def end_session(sock: socket.socket, length: int, way: str) -> None:
    """The switch's end of the session, until so many bytes are sent."""
    peer = Peer(sock)
    for number, frames in enumerate(SESSION):
        if number:
            peer.command()
        peer.send(frames[:length])
        length -= len(frames)
        if length <= 0:
            break
    if way == "reset":
        peer.reset()


@pytest.mark.parametrize("way", ["closed", "reset"])
def test_a_disconnect_at_every_byte(esl: ModuleType, way: str) -> None:
    """Each wait ends soon, with an error that has a type, or with what came."""
    endings: Counter[str] = Counter()
    length = len(b"".join(SESSION))
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        for end in range(length + 1):
            task = Task(lambda: whole_session(esl, port))
            with listener.accept()[0] as sock:
                end_session(sock, end, way)
            begun = time.monotonic()
            endings[task.result()] += 1
            assert time.monotonic() - begun < 20
    if way == "closed":
        assert endings == {"ConnectionClosed": length - 1, "done": 2}  # the notice may be missing, but not half there
    else:  # a reset takes back what was not read yet
        assert set(endings) <= {"ConnectionClosed", "ConnectionResetError", "done"}


def test_a_reset_says_what_broke(esl: ModuleType) -> None:
    def part(peer: Peer) -> None:
        peer.expect(b"api status\n\n")
        peer.reset()

    with scripted(esl, logged_in(part)) as fs:
        with pytest.raises(esl.ConnectionClosed, match=r"^the connection was lost: ") as caught:
            fs.api("status")
        assert type(caught.value.__cause__) is ConnectionResetError


def test_a_kernel_that_gives_up_is_no_timeout_of_ours(esl: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are TimeoutError."""

    def gives_up(*_: Any) -> Any:
        raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")

    with scripted(esl, logged_in(Peer.command)) as fs:
        monkeypatch.setattr(fs._link._in.__class__, "recv_into", gives_up)
        with pytest.raises(esl.ConnectionClosed, match="Connection timed out"):
            fs.api("status")


def test_garbage_ends_the_connection(esl: ModuleType) -> None:
    with scripted(esl, logged_in(lambda peer: peer.send(event(1), b"Content-Length: x\n\n"))) as fs:
        assert fs.next_event().sequence == 1
        with pytest.raises(esl.InvalidContentLength, match="read Content-Length 'x', expected ASCII digits"):
            fs.next_event()
        with pytest.raises(esl.InvalidContentLength):
            fs.api("status")


def test_the_switch_shuts_down(esl: ModuleType, fs: Any, switch: Emulator) -> None:
    fs.subscribe("DTMF")
    switch.fire("DTMF")
    switch.shutdown()
    with pytest.raises(esl.ConnectionClosed, match=r"^The system is being shut down\.$"):
        assert [one.name for one in fs.events()] == ["DTMF"]


def test_keepalive_asks_and_gives_up(esl: ModuleType) -> None:
    def part(peer: Peer) -> None:
        for _ in range(2):
            peer.expect(b"filter delete Eslcodec-Probe\n\n")
            peer.send(reply(b"+OK filter deleted. [Eslcodec-Probe][]"))
        peer.expect(b"filter delete Eslcodec-Probe\n\n")
        peer.closed()

    def given_up(keepalive: float) -> None:
        with scripted(esl, logged_in(part), keepalive=keepalive) as fs:
            text = rf"^nothing was received for {2 * keepalive:g} s, though the switch was asked$"
            with pytest.raises(esl.ConnectionClosed, match=text):
                list(fs.events())
            assert keepalive < fs._link.gone - fs._link.began < 60

    with_time(given_up, 0.3, 3)


# Reconnection


FAST = {"first": 0.01, "longest": 0.02, "jitter": 0}


def test_everything_is_set_up_again_once(esl: ModuleType, switch: Emulator) -> None:
    with esl.connect(HOST, switch.port, reconnect=esl.Backoff(**FAST)) as fs:
        fs.filter("Event-Name", "DTMF")
        fs.subscribe("DTMF", custom=["a::b"], format="json")
        fs.log("info")
        switch.fire("DTMF", {"Number": "1"})
        assert fs.next_event()["Number"] == "1"
        del switch.commands[:]
        first = fs.connection
        switch.drop()
        gap = fs.next_event()
        assert (type(gap), gap.reason) == (esl.Gap, "the switch closed the connection")
        assert 0.01 <= gap.seconds < 20
        assert switch.commands == [
            "auth ClueCon",
            "filter add Event-Name DTMF",
            "event json DTMF CUSTOM a::b",
            "log info",
        ]
        switch.fire("DTMF", {"Number": "2"})
        assert fs.next_event()["Number"] == "2"
        assert fs.connection is not first
        assert (fs.subscriptions.names, fs.closed) == ({"DTMF": None, "CUSTOM": None}, False)


def test_reconnection_storm(esl: ModuleType, caplog: pytest.LogCaptureFixture) -> None:
    """The switch goes at every stage of a login; then it stays."""

    def subscribed(peer: Peer) -> None:
        peer.log_in()
        peer.expect(b"event DTMF\n\n")
        peer.send(ENABLED)

    def last(peer: Peer) -> None:
        subscribed(peer)
        peer.send(event(7), notice(FAREWELL))
        peer.sock.shutdown(socket.SHUT_WR)
        peer.closed()

    parts = [subscribed, lambda peer: None, lambda peer: peer.send(AUTH), Peer.log_in, subscribed, Peer.reset, last]
    caplog.set_level(logging.INFO, "eslcodec")
    with scripted(esl, *parts, reconnect=esl.Backoff(**FAST)) as fs:
        fs.subscribe("DTMF")
        seen = []
        for one in fs.events():
            seen.append(type(one).__name__)
            if one.sequence == 7:
                break
    assert seen[-1] == "Event"
    assert set(seen[:-1]) == {"Gap"}
    assert 2 <= len(seen) - 1 <= 3
    assert "ClueCon" not in caplog.text
    assert re.search(rf"cannot connect to 127\.0\.0\.1:{fs.port} again: ", caplog.text)


def test_pauses_grow_while_connections_do_not_last(esl: ModuleType) -> None:
    """A connection that ends at once starts no new series of attempts."""
    parts = [Peer.log_in] * 4

    def come_and_go(first: float) -> None:
        with scripted(esl, *parts, reconnect=esl.Backoff(first=first, jitter=0, attempts=3)) as fs:
            seen: list[Any] = []
            with pytest.raises(esl.ConnectionClosed):
                collect(fs.events(), seen)
            pauses = (first, 2 * first, 4 * first)
            assert [gap.seconds >= pause for gap, pause in zip(seen, pauses, strict=True)] == [True] * 3
            assert fs.closed

    with_time(come_and_go, 0.25, 2.5)


def test_attempts_come_to_an_end(esl: ModuleType) -> None:
    with scripted(esl, Peer.log_in, reconnect=esl.Backoff(attempts=3, **FAST)) as fs:
        with pytest.raises(esl.ConnectionClosed, match=r"^the switch closed the connection$"):
            fs.next_event()
        with pytest.raises(esl.ConnectionClosed, match=r"^the switch closed the connection$"):
            fs.next_event()


@pytest.mark.parametrize(
    ("part", "error"),
    [
        (lambda peer: (peer.send(AUTH), peer.command(), peer.send(reply(b"-ERR invalid"))), "AuthError"),
        (lambda peer: peer.send(REJECTED), "AccessDenied"),
    ],
)
def test_no_reconnection_where_we_are_not_let_in(esl: ModuleType, part: Any, error: str) -> None:
    with scripted(esl, Peer.log_in, part, reconnect=esl.Backoff(**FAST)) as fs:
        for _ in range(2):
            with pytest.raises(getattr(esl, error)):
                fs.next_event()
        assert fs.closed
        with pytest.raises(getattr(esl, error)):
            fs.api("status")


def test_no_reconnection_after_exit(esl: ModuleType, switch: Emulator) -> None:
    with esl.connect(HOST, switch.port, reconnect=True) as fs:
        fs.exit()
        assert list(fs.events()) == []
        assert fs.closed
        assert switch.commands == ["auth ClueCon", "exit"]


def test_while_the_switch_is_away(esl: ModuleType) -> None:
    """Commands and jobs fail, reading waits as long as it was told to, closing ends it."""

    def part(peer: Peer) -> None:
        peer.expect(b"event BACKGROUND_JOB\n\nbgapi work\nJob-UUID: j-1\n\n")
        peer.send(ENABLED, reply(b"+OK Job-UUID: j-1", b"Job-UUID: j-1\n"))

    with scripted(esl, logged_in(part), reconnect=esl.Backoff(first=60, longest=60, jitter=0)) as fs:
        job = fs.bgapi("work", job_uuid="j-1")
        assert fs.next_event(timeout=0.05) is None
        assert not fs.closed
        assert list(fs.events(timeout=0.01)) == []
        for call in (job.result, lambda: fs.api("status")):
            with pytest.raises(esl.ConnectionClosed, match=r"^the switch closed the connection$"):
                call()
        readers = [Task(lambda: list(fs.events())) for _ in range(3)]
        until(lambda: is_held(fs._dialling))
        assert fs.next_event(timeout=0.05) is None
        begun = time.monotonic()
        fs.close()
        assert [reader.result() for reader in readers] == [[], [], []]
        assert time.monotonic() - begun < 20
        assert fs.closed


def test_closing_ends_a_login_that_hangs(esl: ModuleType) -> None:
    hangs = threading.Event()

    def silent(peer: Peer) -> None:
        hangs.set()
        peer.closed()

    with scripted(esl, Peer.log_in, silent, reconnect=esl.Backoff(**FAST), connect_timeout=30) as fs:
        reader = Task(lambda: list(fs.events()))
        assert hangs.wait(20)
        until(lambda: fs._next is not None)
        fs.close()
        assert reader.result() == []


def test_many_readers_connect_once(esl: ModuleType, switch: Emulator) -> None:
    with esl.connect(HOST, switch.port, reconnect=esl.Backoff(**FAST)) as fs:
        fs.subscribe("DTMF")
        seen: list[Any] = []
        readers = [Task(lambda: seen.extend(fs.events())) for _ in range(4)]
        until(lambda: len(fs._link._followers) == 3)
        switch.drop()
        switch.wait_for(lambda: switch.commands.count("event DTMF") == 2, 20)
        until(lambda: not is_held(fs._dialling))
        switch.fire("DTMF")
        fs.api("status")
        fs.close()
        for reader in readers:
            reader.result()
        assert Counter(type(one).__name__ for one in seen) == {"Gap": 1, "Event": 1}
        assert switch.commands.count("auth ClueCon") == 2


def test_what_was_dropped_before_is_counted(esl: ModuleType) -> None:
    def part(peer: Peer) -> None:
        peer.log_in()
        peer.expect(b"api one\n\n")
        peer.send(*(event(number) for number in range(20)), api_response(b"one"))

    options = {"queue_limit": 5, "when_full": "drop", "reconnect": esl.Backoff(**FAST)}
    with scripted(esl, part, part, **options) as fs:
        fs.api("one")
        assert (fs.dropped, len(list(itertools.islice(fs.events(), 5)))) == (15, 5)
        assert type(fs.next_event()) is esl.Gap
        fs.api("one")
        assert fs.dropped == 30


def test_closing_in_the_middle_of_an_attempt(
    esl: ModuleType, switch: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with esl.connect(HOST, switch.port, reconnect=esl.Backoff(**FAST)) as fs:
        dial = fs._redial

        def dial_and_close(*arguments: Any) -> Any:
            link = dial(*arguments)
            fs.close()
            return link

        monkeypatch.setattr(fs, "_redial", dial_and_close)
        switch.drop()
        assert list(fs.events()) == []
        assert fs.closed


def test_reading_with_a_timeout_beside_a_reader_that_connects(esl: ModuleType) -> None:
    hangs = threading.Event()

    def silent(peer: Peer) -> None:
        hangs.set()
        peer.closed()

    with scripted(esl, Peer.log_in, silent, reconnect=esl.Backoff(**FAST), connect_timeout=30) as fs:
        reader = Task(lambda: list(fs.events()))
        assert hangs.wait(20)
        begun = time.monotonic()
        assert fs.next_event(timeout=0.05) is None
        assert 0.05 <= time.monotonic() - begun < 20
        fs.close()
        assert reader.result() == []
