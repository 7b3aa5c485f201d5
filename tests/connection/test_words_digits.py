"""A call's own digits.

Each test runs against the blocking shell and the asyncio one (`shell`), with the emulator as the switch.
"""

from __future__ import annotations

import pytest
from shells import PATIENCE, until
from words_support import Shell, fire_two
from words_support import shell as shell
from words_support import switch as switch

from eslcodec.emulator import Emulator, Fault

MODES = ["async full", "async", "full", ""]


@pytest.mark.parametrize("mode", MODES)
def test_digits_are_the_calls_own_and_end_with_it(shell: Shell, switch: Emulator, mode: str) -> None:
    call = shell.answers(switch, mode)
    typed = shell.digits()
    switch.wait_for(lambda: "myevents" in call.commands)
    for digits in ("1", "2#"):
        fire_two(switch, call)
        call.dtmf(digits)
    call.hangup()
    assert typed.result(PATIENCE) == ["1", "1", "1", "2", "#"]
    assert shell.digits().result(PATIENCE) == []


@pytest.mark.parametrize("mode", ["async full", "full"])
def test_with_linger_digits_end_with_the_channel_and_not_with_the_connection(
    shell: Shell, switch: Emulator, mode: str
) -> None:
    call = shell.answers(switch, mode)
    shell.do("linger")
    typed = shell.digits()
    switch.wait_for(lambda: "myevents" in call.commands)
    call.dtmf("12")
    call.hangup()
    assert typed.result(PATIENCE) == ["1", "2"]
    assert shell.digits().result(PATIENCE) == []
    assert not shell.closed
    shell.do("exit")


def test_what_is_typed_while_nobody_iterates_waits(shell: Shell, switch: Emulator) -> None:
    call = shell.answers(switch)
    shell.dtmf()
    switch.wait_for(lambda: "myevents" in call.commands)
    call.dtmf("123")
    assert shell.do("execute", "playback", "a.wav", wait=True)["Application"] == "playback"
    assert shell.digits(count=2).result(PATIENCE) == ["1", "2"]
    call.dtmf("4")
    assert shell.digits(count=2).result(PATIENCE) == ["3", "4"]
    typed = shell.digits(count=1)
    call.dtmf("5")
    assert typed.result(PATIENCE) == ["5"]


def test_digits_end_at_a_pause(shell: Shell, switch: Emulator) -> None:
    call = shell.answers(switch)
    assert shell.digits(timeout=0.01).result(PATIENCE) == []
    call.dtmf("12")
    assert shell.do("execute", "sleep", "1", wait=True)  # they came before this did
    assert shell.digits(timeout=0).result(PATIENCE) == ["1", "2"]
    assert shell.digits(timeout=0).result(PATIENCE) == []
    call.dtmf("3")
    until(lambda: shell.digits(timeout=0).result(PATIENCE) == ["3"])  # what is there is read without waiting
    call.hangup()
    assert shell.digits(timeout=PATIENCE).result(PATIENCE) == []


def test_digits_are_no_events_unless_they_were_asked_for(shell: Shell, switch: Emulator) -> None:
    call = shell.answers(switch)
    typed = shell.digits(count=1)
    switch.wait_for(lambda: "myevents" in call.commands)
    call.dtmf("1")
    assert typed.result(PATIENCE) == ["1"]
    assert shell.do("next_event", 0) is None
    shell.do("subscribe", "DTMF")
    call.dtmf("2")
    assert shell.event()["DTMF-Digit"] == "2"
    assert shell.digits(timeout=0).result(PATIENCE) == ["2"]
    shell.do("unsubscribe", "DTMF")
    typed = shell.digits(count=1)
    call.dtmf("3")
    assert typed.result(PATIENCE) == ["3"]
    assert shell.do("next_event", 0) is None


def test_events_asked_for_before_go_on_being_events(shell: Shell, switch: Emulator) -> None:
    call = shell.answers(switch)
    shell.do("myevents")
    typed = shell.digits(count=1)
    call.dtmf("1")
    assert typed.result(PATIENCE) == ["1"]
    assert shell.event()["DTMF-Digit"] == "1"
    assert call.commands.count("myevents") == 1


def test_filters_let_digits_pass(shell: Shell, switch: Emulator) -> None:
    call = shell.answers(switch)
    shell.do("filter", "Event-Name", "HEARTBEAT")
    typed = shell.digits()
    switch.wait_for(lambda: any(command.startswith("filter add Event-Name DTMF") for command in call.commands))
    call.dtmf("1")
    call.hangup()
    assert typed.result(PATIENCE) == ["1"]


def test_each_digit_is_given_once(shell: Shell, switch: Emulator) -> None:
    call = shell.answers(switch)
    readers = [shell.digits() for _ in range(3)]
    switch.wait_for(lambda: "myevents" in call.commands)
    call.dtmf("0123456789*#ABCD")
    call.hangup()
    typed = [digit for reader in readers for digit in reader.result(PATIENCE)]
    assert sorted(typed) == sorted("0123456789*#ABCD")


def test_closing_ends_them(shell: Shell, switch: Emulator) -> None:
    call = shell.answers(switch)
    typed = shell.digits()
    switch.wait_for(lambda: "myevents" in call.commands)
    shell.do("close")
    assert typed.result(PATIENCE) == []
    assert shell.digits().result(PATIENCE) == []


def test_a_connection_that_breaks_is_an_error(shell: Shell, switch: Emulator) -> None:
    call = shell.answers(switch)
    typed = shell.digits()
    switch.wait_for(lambda: "myevents" in call.commands)
    switch.drop()
    with pytest.raises(shell.esl.ConnectionClosed) as caught:
        typed.result(PATIENCE)
    assert not caught.value.maybe_done
    with pytest.raises(shell.esl.ConnectionClosed):
        shell.digits().result(PATIENCE)
    with pytest.raises(shell.esl.ConnectionClosed):
        shell.digits(timeout=0).result(PATIENCE)


def test_a_digit_behind_events_that_nobody_reads(shell: Shell, switch: Emulator) -> None:
    call = shell.answers(switch)
    shell.do("myevents")
    connection = shell.client.connection
    connection.queue_limit = connection.queue_hard_limit = 5
    typed = shell.digits()
    for _ in range(20):
        switch.fire("CHANNEL_STATE", {"Unique-ID": call.uuid})
    with pytest.raises(shell.esl.EventQueueFull, match="a digit of the caller"):
        typed.result(PATIENCE)


def test_a_switch_that_stands_still_does_not_keep_us(shell: Shell) -> None:
    with Emulator(fault=Fault.stall(after=4000)) as switch:
        call = shell.answers(switch)
        assert shell.digits(timeout=0.01).result(PATIENCE) == []
        call.dtmf("1" * 30)
        typed = shell.digits(timeout=0.2).result(PATIENCE)
        assert typed == ["1"] * len(typed)
        assert len(typed) < 30
