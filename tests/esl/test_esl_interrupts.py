"""ESLconnection when an exception is raised into a call, and when the process forks."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import pytest
from esl_support import Wire, strictly
from support import api_response, part, plain, until

pytestmark = pytest.mark.heavy

SECONDS = 60.0
SOON = 2.5  # seconds within which a call has certainly begun to wait
alarms = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers that signal")


class Interrupted(BaseException):
    """What is raised into a call."""


@pytest.fixture
def ESL(esl: ModuleType) -> Iterator[Any]:
    module = part(esl, "ESL")
    with strictly(module, False):
        yield module


@pytest.fixture
def switch(esl: ModuleType) -> Iterator[Any]:
    with part(esl, "emulator").Emulator() as emulator:
        yield emulator


@pytest.fixture
def wire(ESL: Any) -> Iterator[Any]:
    made = Wire(ESL, b"")
    yield made
    made.close()


@pytest.fixture
def alarm() -> Iterator[Callable[[float], None]]:
    """Has `Interrupted` raised after so many seconds; 0: not any more."""

    def interrupt(*_: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGALRM, interrupt)
    yield lambda seconds: (signal.setitimer(signal.ITIMER_REAL, seconds), None)[1]
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def files_of(ESL: Any) -> frozenset[str]:
    """The face of the module, and what is behind it."""
    face = Path(ESL.__file__)
    return frozenset(map(str, [face, *(face.parent / "_esl").glob("*.py")]))


def within_time(call: Callable[[], Any]) -> Any:
    """What a call gives in a thread of its own, which must not hang."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(call()), daemon=True)
    thread.start()
    thread.join(SECONDS)
    assert results, "it hangs, or has failed"
    return results[0]


def interrupted_at(line: int, ESL: Any, call: Callable[[], Any]) -> bool:
    """Call with an exception raised before so manieth line of the module's files; whether there is one."""
    left = line
    files = files_of(ESL)

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        if frame.f_code.co_filename not in files:
            return None
        if event == "line":
            left -= 1
            if not left:
                raise Interrupted
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    except Interrupted:
        return True
    finally:
        sys.settrace(before)
    return False


def log_in(ESL: Any, switch: Any) -> Any:
    con = ESL.ESLconnection(switch.host, switch.port, "ClueCon")
    assert con.connected() == 1
    assert con.events("plain", "CUSTOM a::b") == 0
    return con


def answers(con: Any, tag: str) -> bool:
    """Whether the connection lives; if it does, it must give the right reply."""
    reply = con.api("echo", tag)
    assert (reply is None) == (con.connected() == 0)
    assert reply is None or reply.getBody() == tag
    return reply is not None


def test_api_is_interrupted_at_each_line(ESL: Any, switch: Any) -> None:
    def run() -> tuple[int, int]:
        lived = 0
        con = log_in(ESL, switch)
        for line in count(1):
            if not interrupted_at(line, ESL, lambda: con.api("echo", f"cut{line}")):  # noqa: B023
                con.disconnect()
                return line, lived
            if answers(con, f"next{line}"):
                lived += 1
            else:
                con = log_in(ESL, switch)

    lines, lived = within_time(run)
    assert lines > 30
    assert lived > lines // 2
    sent = [command for command in switch.commands if command.startswith("api ")]
    assert len(sent) == len(set(sent))


@pytest.mark.parametrize("timed", [False, True])
def test_receiving_is_interrupted_at_each_line(ESL: Any, switch: Any, timed: bool) -> None:
    def run() -> tuple[int, int]:
        lived = 0
        con = log_in(ESL, switch)
        for line in count(1):
            switch.fire("CUSTOM", {"Tag": f"cut{line}"}, subclass="a::b")
            receive = (lambda: con.recvEventTimed(20_000)) if timed else con.recvEvent  # noqa: B023
            if not interrupted_at(line, ESL, receive):
                con.disconnect()
                return line, lived
            switch.fire("CUSTOM", {"Tag": f"next{line}"}, subclass="a::b")
            if answers(con, f"next{line}"):
                tag = con.recvEvent().getHeader("Tag")
                assert tag in (f"cut{line}", f"next{line}")
                assert tag == f"next{line}" or con.recvEvent().getHeader("Tag") == f"next{line}"
                lived += 1
            else:
                con = log_in(ESL, switch)

    lines, lived = within_time(run)
    assert lines > 10
    assert lived > lines // 2


@alarms
def test_reply_that_nobody_waited_for_is_dropped(wire: Any, alarm: Any) -> None:
    alarm(SOON)
    with pytest.raises(Interrupted):
        wire.con.api("first")
    wire.peer.sendall(plain(b"Event-Name: DTMF\n\n") + api_response(b"one") + api_response(b"two"))
    assert wire.con.recvEvent().getType() == "DTMF"
    assert wire.con.api("second").getBody() == "two"
    assert wire.con.recvEventTimed(0) is None
    assert wire.sent() == b"api first \n\napi second \n\n"


@alarms
def test_reply_that_nobody_waited_for_is_no_event(wire: Any, alarm: Any) -> None:
    alarm(SOON)
    with pytest.raises(Interrupted):
        wire.con.api("first")
    wire.peer.sendall(api_response(b"one"))
    assert wire.con.recvEventTimed(0) is None
    wire.peer.sendall(plain(b"Event-Name: DTMF\n\n"))
    assert wire.con.recvEvent().getType() == "DTMF"


@alarms
@pytest.mark.parametrize("error", [TimeoutError, KeyboardInterrupt])
def test_waiting_for_an_event_is_interrupted(wire: Any, alarm: Any, error: Any) -> None:
    def interrupt(*_: object) -> None:
        raise error

    signal.signal(signal.SIGALRM, interrupt)
    wire.peer.sendall(b"Content-Type: api/")  # part of a frame, which is kept
    alarm(SOON)
    with pytest.raises(error):
        wire.con.recvEvent()
    wire.peer.sendall(b"response\nContent-Length: 1\n\n1")
    assert wire.con.recvEvent().getBody() == "1"


@alarms
def test_command_that_was_sent_in_part_ends_the_connection(wire: Any, alarm: Any) -> None:
    alarm(SOON)  # when the system has taken what it takes
    with pytest.raises(Interrupted):
        wire.con.sendRecv("api echo " + "x" * (16 << 20))
    assert wire.con.connected() == 0
    assert wire.con.api("echo", "next") is None


@alarms
def test_disconnect_in_a_signal_handler_ends_the_wait(wire: Any, alarm: Any) -> None:
    signal.signal(signal.SIGALRM, lambda *_: wire.con.disconnect())
    alarm(0.05)
    assert wire.con.recvEvent().getType() == "SERVER_DISCONNECTED"
    assert wire.con.connected() == 0


@alarms
def test_signals_at_random(ESL: Any, switch: Any, alarm: Any) -> None:
    chance = random.Random(7)
    con = log_in(ESL, switch)
    interrupted = 0
    for step in count():
        tag = f"step{step}"
        try:
            alarm(chance.uniform(1e-6, 0.002))
            reply = con.api("echo", tag)
            alarm(0)
            assert reply is not None
            assert reply.getBody() == tag
        except Interrupted:
            interrupted += 1
        alarm(SECONDS)  # nothing hangs
        if not answers(con, f"next{step}"):
            con = log_in(ESL, switch)
        alarm(0)
        if interrupted == 100:
            break
    sent = [command for command in switch.commands if command.startswith("api ")]
    assert len(sent) == len(set(sent))
    con.disconnect()


def test_waiter_is_interrupted_at_each_line(esl: ModuleType, ESL: Any) -> None:
    for line in count(1):
        turns, mine = part(esl, "_esl.turns").Turns(), object()
        turns.acquire(mine)
        over: list[bool] = []

        def wait(line: int = line, turns: Any = turns, over: list[bool] = over) -> None:
            mark = object()
            hit = interrupted_at(line, ESL, lambda: turns.acquire(mark))
            turns.abandon(mark)
            over.append(hit)

        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        until(lambda turns=turns, over=over: turns._waiters or over)
        turns.release(mine)
        until(lambda over=over: over)
        other = object()
        assert turns.acquire(other, blocking=False), line
        turns.release(other)
        thread.join(SECONDS)
        if not over[0]:
            break
    assert line > 5


def test_release_is_interrupted_at_each_line(esl: ModuleType, ESL: Any) -> None:
    for line in count(1):
        turns, mine, later = part(esl, "_esl.turns").Turns(), object(), object()
        turns.acquire(mine)

        def wait(turns: Any = turns, later: object = later) -> None:
            turns.acquire(later)
            turns.release(later)

        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        until(lambda turns=turns: turns._waiters)
        hit = interrupted_at(line, ESL, lambda turns=turns, mine=mine: turns.release(mine))
        turns.abandon(mine)
        thread.join(SECONDS)
        assert not thread.is_alive(), line
        assert turns.acquire(object(), blocking=False), line
        if not hit:
            break
    assert line > 5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_fork_leaves_the_connection_to_the_parent(ESL: Any, switch: Any) -> None:
    con = log_in(ESL, switch)
    child = os.fork()
    if not child:
        try:
            gone = (con.connected(), con.socketDescriptor(), con.api("echo", "child"), con.disconnect())
            os._exit(0 if gone == (0, -1, None, 0) else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert answers(con, "parent")
    assert "api echo child" not in switch.commands
    con.disconnect()


def test_looking_for_a_long_frame_again_and_again_copies_nothing(esl: ModuleType, wire: Any) -> None:
    class Counting(part(esl, "_codec").MessageDecoder):  # type: ignore[misc]
        asked = 0

        def feed_eof(self) -> None:
            self.asked += 1
            super().feed_eof()

    wire.con._decoder = decoder = Counting(part(esl, "_esl.frames").KINDS, esl.Message)
    whole = api_response(b"x" * 100)
    for at in range(len(whole)):
        assert wire.con.recvEventTimed(0) is None
        wire.peer.sendall(whole[at : at + 1])
    assert wire.con.recvEventTimed(0).getBody() == "x" * 100
    assert decoder.asked == 0


GEVENT = """
from gevent import monkey
monkey.patch_all()
import gevent
from eslcodec import ESL
from eslcodec.emulator import Emulator, Later

with Emulator() as switch:
    switch.api["echo"] = lambda text: Later(0.0005 * (len(switch.commands) % 4), text)
    log_in = lambda: ESL.ESLconnection("127.0.0.1", str(switch.port), "ClueCon")
    con = log_in()
    wrong = stopped = 0

    def ask(who):
        global con, wrong, stopped
        for number in range(150):
            tag = f"{who}-{number}"
            try:
                with gevent.Timeout(0.001):
                    reply = con.api("echo", tag)
                    wrong += reply is not None and reply.getBody() != tag
            except gevent.Timeout:
                stopped += 1
            if not con.connected():
                con = log_in()

    greenlets = [gevent.spawn(ask, who) for who in "ab"]
    gevent.joinall(greenlets, timeout=60, raise_error=True)
    with gevent.Timeout(10):
        last = con.api("echo", "last").getBody()
    con.disconnect()
    sent = [command for command in switch.commands if "echo" in command]
print(all(greenlet.dead for greenlet in greenlets), wrong, last, stopped > 10, len(sent) == len(set(sent)))
"""


def test_timeouts_of_gevent_give_no_wrong_reply(tmp_path: Path) -> None:
    pytest.importorskip("gevent")
    program = tmp_path / "with_gevent.py"
    program.write_text(GEVENT)
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", program], cwd=tmp_path, capture_output=True, text=True, timeout=110
    )
    assert (ran.stdout, ran.returncode) == ("True 0 last True True\n", 0), ran.stderr
