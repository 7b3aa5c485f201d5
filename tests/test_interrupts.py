"""An exception raised into a blocking call costs that call, or ends the connection with an error that says so.

No reply reaches the wrong caller, no command goes out twice, nobody waits for ever.
"""

from __future__ import annotations

import random
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable
from types import FrameType, ModuleType
from typing import Any

import pytest
import support

from eslcodec.emulator import Emulator


class Interrupt(BaseException):
    """What no code catches by name."""


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


def raise_at(step: int, file: str) -> tuple[Callable[[FrameType, str, Any], Any], list[str]]:
    """A tracer that raises once, at the `step`th line that runs in `file`; and where that was."""
    left, where = [step], []

    def trace(frame: FrameType, what: str, _: Any) -> Any:
        if frame.f_code.co_filename != file:
            return None
        if what == "line":
            left[0] -= 1
            if left[0] == 0:
                where.append(f"{frame.f_code.co_name}:{frame.f_lineno}")
                raise Interrupt
        return trace

    return trace, where


@pytest.mark.parametrize("part", ["sync", "connection"])
def test_an_exception_at_any_line_of_a_command_gives_no_wrong_reply(esl: ModuleType, part: str) -> None:
    file = str(support.part(esl, part).__file__)
    before = sys.gettrace()
    with Emulator() as switch:
        step, more = 0, True
        while more:
            step += 1
            with esl.connect(switch.host, switch.port) as fs:
                trace, where = raise_at(step, file)
                sys.settrace(trace)
                try:
                    fs.api("echo", f"a{step}", timeout=5)
                except Interrupt:
                    pass
                finally:
                    sys.settrace(before)
                more = bool(where)
                check_next(esl, fs, f"b{step}")
        assert step > 30
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
