"""An exception raised into a blocking call costs that call, or ends the connection with an error that says so.

No reply reaches the wrong caller, no command goes out twice, nobody waits for ever.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import support
from interrupt_support import Interrupt, raise_at

from eslcodec.emulator import Emulator

pytestmark = pytest.mark.heavy


def echoes(switch: Emulator) -> Counter[str]:
    return Counter(command for command in switch.commands if command.startswith("api echo"))


def check_next(esl: ModuleType, fs: Any, tag: str) -> bool:
    """Send one more command: its own reply, or the connection has ended and says why. Whether it lives."""
    try:
        text = fs.api("echo", tag, timeout=5).text
    except esl.ConnectionClosed as error:
        text = str(error)
    assert text == tag or "interrupted" in text
    return bool(text == tag)


def place_of(esl: ModuleType, part: str) -> str:
    """The file of a module, or the folder of a package with all that is in it."""
    file = Path(str(support.part(esl, part).__file__))
    return f"{file.parent}{os.sep}" if file.name == "__init__.py" else str(file)


def one_command(fs: Any, tag: str) -> None:
    fs.api("echo", tag, timeout=5)


def a_job(fs: Any, tag: str) -> None:
    fs.bgapi("echo", tag, timeout=5).result(timeout=5)


def many_commands(fs: Any, tag: str) -> None:
    fs.pipeline([f"api echo {tag}-{number}" for number in range(3)], timeout=5)


def an_event(fs: Any, tag: str) -> None:
    fs.subscribe("DTMF", timeout=5)
    fs.api("fire", tag, timeout=5)
    fs.next_event(timeout=5)


@pytest.mark.parametrize("use", [one_command, a_job, many_commands, an_event])
@pytest.mark.parametrize("part", ["sync", "connection"])
def test_an_exception_at_any_line_of_a_call_gives_no_wrong_reply(
    esl: ModuleType, part: str, use: Callable[[Any, str], None]
) -> None:
    place = place_of(esl, part)
    before = sys.gettrace()
    with Emulator() as switch:
        switch.api["fire"] = lambda tag: switch.fire("DTMF", {"Tag": tag or ""}) or "+OK"
        step, more = 0, True
        while more:
            step += 1
            with esl.connect(switch.host, switch.port, caretaker=False) as fs:
                trace, where = raise_at(step, place)
                sys.settrace(trace)
                try:
                    use(fs, f"a{step}")
                except Interrupt:
                    pass
                finally:
                    sys.settrace(before)
                more = bool(where)
                if check_next(esl, fs, f"b{step}"):
                    assert fs.bgapi("echo", f"c{step}").result(timeout=5).text == f"c{step}"
        assert step > 30
        assert set(echoes(switch).values()) == {1}


@pytest.mark.parametrize("raised", [TimeoutError, ConnectionResetError])
def test_an_exception_as_sockets_have_it_loses_nothing_that_was_received(
    esl: ModuleType, raised: type[BaseException]
) -> None:
    """A signal's handler may raise what a read raises that finds nothing, or fails, also just after a read."""
    place = place_of(esl, "sync")
    before = sys.gettrace()
    with Emulator() as switch:
        step, more = 0, True
        while more:
            step += 1
            with esl.connect(switch.host, switch.port, caretaker=False) as fs:
                fs.subscribe("DTMF", timeout=5)
                switch.wait_for(lambda: switch.listeners, 20)
                switch.fire("DTMF", {"Tag": "first"})
                support.until(fs._link._more_waits)
                trace, where = raise_at(step, place, raised)
                sys.settrace(trace)
                got = None
                try:
                    got = fs.next_event(timeout=5)
                except (OSError, esl.ESLError):
                    pass
                finally:
                    sys.settrace(before)
                more = bool(where)
                taken = fs.connection.received_events and not fs.connection.queue  # and what it was for was interrupted
                if got is None and not taken and fs.connection.end is None:
                    got = fs.next_event(timeout=5)
                assert taken or got is not None or fs.connection.end is not None, where
                assert got is None or got["Tag"] == "first"
        assert step > 15


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a socket that nobody had yet closes so
@pytest.mark.parametrize("part", ["sync", "reconnect"])
def test_an_exception_at_any_line_of_a_reconnection_leaves_no_lock_held(esl: ModuleType, part: str) -> None:
    place = place_of(esl, part)
    before = sys.gettrace()
    with Emulator() as switch:
        step, more = 0, True
        pauses = esl.Backoff(first=0.001, longest=0.001)
        while more:
            step += 1
            with esl.connect(switch.host, switch.port, reconnect=pauses, caretaker=False) as fs:  # which does it too
                switch.wait_for(lambda: switch.listeners, 20)
                switch.drop()
                support.until(fs._link.has_ended)
                trace, where = raise_at(step, place)
                sys.settrace(trace)
                try:
                    fs.api("echo", f"a{step}", timeout=5)
                except Interrupt:
                    pass
                finally:
                    sys.settrace(before)
                more = bool(where)
                for tag in (f"b{step}", f"c{step}"):
                    with suppress(esl.ConnectionClosed):  # interrupted half-way; then there is another one
                        assert fs.api("echo", tag, timeout=5).text == tag
                assert fs.api("echo", f"d{step}", timeout=5).text == f"d{step}"
        assert step > 10
        assert set(echoes(switch).values()) == {1}


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no setitimer here")
def test_signals_at_random_moments_give_no_wrong_reply_and_no_second_copy(esl: ModuleType) -> None:
    def interrupt(*_: object) -> None:
        raise Interrupt

    chance = random.Random(1)
    before = signal.signal(signal.SIGALRM, interrupt)
    interrupted = 0
    try:
        with Emulator() as switch:
            fs = esl.connect(switch.host, switch.port)
            for number in range(300):
                try:
                    signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.00001, 0.0008))
                    fs.api("echo", f"a{number}", timeout=5)
                    signal.setitimer(signal.ITIMER_REAL, 0)
                except Interrupt:
                    interrupted += 1
                except esl.ConnectionClosed:
                    signal.setitimer(signal.ITIMER_REAL, 0)
                if not check_next(esl, fs, f"b{number}"):
                    fs.close()
                    fs = esl.connect(switch.host, switch.port)
            fs.close()
            assert interrupted > 10
            assert set(echoes(switch).values()) == {1}
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no setitimer here")
def test_a_signal_handler_may_close_what_its_own_thread_works_on(esl: ModuleType) -> None:
    with Emulator() as switch, esl.connect(switch.host, switch.port) as fs:
        main = threading.main_thread()
        with fs._link._lock:  # as if the signal came while it is held
            before = signal.signal(signal.SIGALRM, lambda *_: fs.close())
            try:
                signal.raise_signal(signal.SIGALRM)
            finally:
                signal.signal(signal.SIGALRM, before)
        assert threading.current_thread() is main
        with pytest.raises(esl.ConnectionClosed, match="closed by us"):
            fs.api("status")


# Forks


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_process_leaves_the_connection_to_its_parent(esl: ModuleType) -> None:
    with Emulator() as switch, esl.connect(switch.host, switch.port, reconnect=True) as fs:
        switch.api["slow"] = "of the parent"
        switch.hold_jobs = True
        job = fs.bgapi("slow")
        if not (child := os.fork()):
            with suppress(BaseException):
                os._exit(in_child(esl, fs, lambda: job.result(timeout=5)))
            os._exit(99)
        assert os.waitpid(child, 0)[1] == 0
        assert fs.api("echo", "parent").text == "parent"
        switch.release_jobs()
        assert job.result(timeout=20).text == "of the parent"
        assert "api echo child\n" not in "\n".join(switch.commands)


def not_said(esl: ModuleType, uses: Sequence[Callable[[], object]]) -> int:
    """How many of these do not raise, and say, what they should in a child."""
    wrong = 0
    for use in uses:
        try:
            use()
        except esl.ConnectionClosed as error:
            wrong += "made in another process: connect again after the fork" not in str(error)
        else:
            wrong += 1
    return wrong


def in_child(esl: ModuleType, fs: Any, *more: Callable[[], object]) -> int:
    """How many uses of the parent's connection go wrong."""
    uses: list[Callable[[], object]] = [
        lambda: fs.api("echo", "child"),
        lambda: fs.subscribe("DTMF"),
        lambda: fs.next_event(timeout=5),
        lambda: next(fs.events(timeout=5)),
        lambda: fs.take(timeout=5),
        *more,
    ]
    wrong = not_said(esl, uses)
    fs.close()
    return wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_while_another_thread_waits_gives_the_child_nothing_of_it(esl: ModuleType) -> None:
    with Emulator() as switch, esl.connect(switch.host, switch.port) as fs:
        fs.subscribe("DTMF")
        got: list[Any] = []
        reader = threading.Thread(target=lambda: got.append(fs.next_event(timeout=30)))
        reader.start()
        support.until(lambda: fs._link._reading)
        with fs._link._lock:  # as if another thread had it, which is not there in the child
            if not (child := os.fork()):
                with suppress(BaseException):
                    os._exit(in_child(esl, fs))
                os._exit(99)
        assert os.waitpid(child, 0)[1] == 0
        switch.fire("DTMF", {"DTMF-Digit": "7"})
        reader.join(30)
        assert got[0]["DTMF-Digit"] == "7"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_process_leaves_an_asyncio_connection_to_its_parent(esl: ModuleType) -> None:
    async def main(port: int) -> None:
        async with support.part(esl, "aio").connect("127.0.0.1", port, reconnect=True) as fs:
            if not (child := os.fork()):
                with suppress(BaseException):
                    run = asyncio.new_event_loop().run_until_complete
                    ask = [
                        lambda: fs.api("echo", "child"),
                        lambda: fs.next_event(timeout=5),
                        lambda: fs.take(timeout=5),
                    ]
                    uses = [lambda one=one: run(one()) for one in ask]
                    os._exit(not_said(esl, uses))
                os._exit(99)
            assert os.waitpid(child, 0)[1] == 0
            assert (await fs.api("echo", "parent")).text == "parent"

    with Emulator() as switch:
        asyncio.run(main(switch.port))
        assert echoes(switch) == {"api echo parent": 1}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_process_leaves_a_server_and_its_calls_to_its_parent(esl: ModuleType) -> None:
    calls: list[Any] = []
    go_on = threading.Event()

    def handle(call: Any) -> None:
        calls.append(call)
        go_on.wait(60)
        call.hangup("USER_BUSY")

    with esl.serve(handle) as server, Emulator() as switch:
        call = switch.dial(server.host, server.port)
        support.until(lambda: calls)
        if not (child := os.fork()):
            with suppress(BaseException):
                server.close()
                os._exit(not_said(esl, [lambda: calls[0].hangup("NORMAL_CLEARING")]))
            os._exit(99)
        assert os.waitpid(child, 0)[1] == 0
        go_on.set()
        assert call.wait(20) == "USER_BUSY"
        again = switch.dial(server.host, server.port)
        assert again.wait(20) == "USER_BUSY"


# gevent

GEVENT = """
from gevent import monkey
monkey.patch_all()
import sys
import gevent
from eslcodec import ConnectionClosed, connect
from eslcodec.emulator import Emulator, Later

with Emulator() as switch:
    switch.api["echo"] = lambda text: Later(0.0005 * (len(switch.commands) % 4), text)
    fs = connect("127.0.0.1", switch.port)
    wrong = stopped = 0

    def ask(who):
        global fs, wrong, stopped
        for number in range(150):
            tag = f"{who}-{number}"
            try:
                with gevent.Timeout(0.001):
                    wrong += fs.api("echo", tag).text != tag
            except gevent.Timeout:
                stopped += 1
            except ConnectionClosed:
                fs = connect("127.0.0.1", switch.port)

    greenlets = [gevent.spawn(ask, who) for who in "ab"]
    gevent.joinall(greenlets, timeout=60, raise_error=True)
    with gevent.Timeout(20):
        try:
            last = fs.api("echo", "last").text
        except ConnectionClosed:  # interrupted half-way
            fs = connect("127.0.0.1", switch.port)
            last = fs.api("echo", "last").text
    fs.close()
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


# Threads


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # hit behind its last line
def test_an_exception_from_another_thread_costs_the_thread_that_it_hits_only(esl: ModuleType) -> None:
    chance = random.Random(2)
    with Emulator() as switch, esl.connect(switch.host, switch.port) as fs:
        errors: list[str] = []
        ended: set[str] = set()
        done = threading.Event()
        hit = 0

        def ask_on(who: str, tags: Iterator[int]) -> None:
            try:
                while not done.is_set():
                    tag = f"{who}-{next(tags)}"
                    if (text := fs.api("echo", tag, timeout=20).text) != tag:
                        errors.append(f"{tag}: {text}")
            except Exception as error:
                if "interrupted" not in str(error):
                    errors.append(repr(error))
                ended.add(who)

        def ask(who: str) -> None:
            tags = count()
            while not done.is_set() and who not in ended:
                with suppress(Interrupt):
                    ask_on(who, tags)

        threads = [threading.Thread(target=ask, args=(who,)) for who in "abc"]
        for thread in threads:
            thread.start()
        while hit < 50 and threads[0].is_alive():
            hit += ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(threads[0].ident or 0), ctypes.py_object(Interrupt)
            )
            done.wait(chance.uniform(0, 0.004))
        done.set()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()
        assert errors == []
