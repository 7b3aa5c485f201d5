"""An IVR on both clients with a caller who types, on the emulated applications."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hangup_support import ended
from hangup_support import switch as switch
from shells import HOST, PATIENCE, Callee

import eslcodec
from eslcodec import Bridged, Collected
from eslcodec.emulator import EmulatedCall, Emulator, Endpoint

MODES = ["async full", "async", "full", ""]
Got = list[Collected]


@pytest.fixture(params=["sync", "aio"])
def callee(request: pytest.FixtureRequest) -> Iterator[Callee]:
    callee = Callee(eslcodec, request.param, command_timeout=PATIENCE)
    yield callee
    callee.close()


def calls(callee: Callee, switch: Emulator, *script: Any, mode: str = "async full") -> EmulatedCall:
    return callee.rings(lambda port: switch.call(HOST, port, mode=mode, script=list(script) or None))


@pytest.mark.parametrize("mode", MODES)
def test_what_a_caller_types_is_what_is_collected(callee: Callee, switch: Emulator, mode: str) -> None:
    call = calls(callee, switch, "1234", "12#", "12", None, "1#", "99", mode=mode)
    options = {"max_digits": 4, "min_digits": 2, "retries": 0, "pattern": "^1"}
    got = [callee.do("collect", "pin code.wav", **options) for _ in range(6)]
    assert got == [
        Collected("1234", "full"),
        Collected("12", "terminator", "#"),
        Collected("12", "timeout"),
        Collected("", "timeout"),
        Collected("", "invalid", "#", "1"),
        Collected("", "invalid", "", "99"),
    ]
    assert call.prompts == ["pin code.wav"] * 6


def test_it_is_asked_again_until_the_tries_are_over(callee: Callee, switch: Emulator) -> None:
    call = calls(callee, switch, None, "9", "1", "9", "9")
    assert callee.do("collect", "menu.wav", max_digits=1, invalid="wrong.wav", pattern="^[12]$").digits == "1"
    assert call.prompts == ["menu.wav", "wrong.wav"] * 2 + ["menu.wav"]
    got = callee.do("collect", "menu.wav", max_digits=1, invalid="wrong.wav", pattern="^[12]$", retries=1)
    assert got == Collected("", "invalid", "", "9")
    assert call.prompts[5:] == ["menu.wav", "wrong.wav"] * 2


def test_keys_typed_before_the_prompt_count(callee: Callee, switch: Emulator) -> None:
    call = calls(callee, switch)
    switch.applications["sleep"] = 60
    sleeping = callee.begin("sleep", 60_000, wait=True)
    switch.wait_for(lambda: call.executed, 20)
    call.dtmf("12#")
    collecting = callee.begin("collect", "a.wav", max_digits=4)
    assert collecting.result(PATIENCE) == Collected("12", "terminator", "#")
    call.hangup()
    ended(callee, sleeping)


def test_no_digit_is_needed(callee: Callee, switch: Emulator) -> None:
    calls(callee, switch, "#", None)
    assert callee.do("collect", "a.wav", max_digits=4, min_digits=0, retries=0) == Collected("", "terminator", "#")
    assert callee.do("collect", "a.wav", max_digits=4, min_digits=0, retries=0) == Collected("", "timeout")


def test_without_a_terminator_every_key_is_a_digit(callee: Callee, switch: Emulator) -> None:
    calls(callee, switch, "*1#", "*1#")
    assert callee.do("collect", "", max_digits=3, terminators="") == Collected("*1#", "full")
    assert callee.do("read", "", max_digits=3, terminators="#*", min_digits=1) == Collected("", "invalid", "*")


@pytest.mark.parametrize("mode", MODES)
def test_a_caller_who_hangs_up_at_the_prompt(callee: Callee, switch: Emulator, mode: str) -> None:
    call = calls(callee, switch, "9", ("hangup", "ORIGINATOR_CANCEL"), mode=mode)
    collecting = callee.begin("collect", "a.wav", max_digits=4, min_digits=4)
    error = ended(callee, collecting)
    assert (error.cause, call.hangup_cause) == ("ORIGINATOR_CANCEL", "ORIGINATOR_CANCEL")


def test_quotes_and_variables_reach_the_application_as_text(callee: Callee, switch: Emulator) -> None:
    call = calls(callee, switch, "1", "1")
    nasty = "say:it's \\n ${caller_id_number} $$ 5"
    assert callee.do("collect", nasty, max_digits=1, pattern=r"^\d$").digits == "1"
    callee.do("collect", "say:${Caller-Destination-Number}", max_digits=1, expand=True)
    assert call.prompts[0] == nasty
    assert "${" not in call.prompts[1]


def test_somebody_else_is_busy_or_answers(callee: Callee, switch: Emulator) -> None:
    switch.endpoints.update({"user/1": "busy", "user/2": "no answer", "user/3": "rejected"})
    switch.endpoints["user/4"] = Endpoint(talks=0.01)
    calls(callee, switch)
    assert callee.do("dial", "user/1", variables={"note": "it's me, again"}) == Bridged(
        False, "busy", "USER_BUSY", None
    )
    assert callee.do("dial", "user/2", timeout=20).reason == "no answer"
    assert callee.do("dial", "user/3") == Bridged(False, "rejected", "CALL_REJECTED", None)
    end = callee.do("dial", ["user/1", "user/2", "user/4"], together=False, timeout=5)
    assert (end.answered, end.reason, end.cause, len(end.peer)) == (True, "answered", "NORMAL_CLEARING", 36)


def test_the_caller_gives_up_while_it_rings(callee: Callee, switch: Emulator) -> None:
    switch.endpoints["user/1"] = "ring"
    call = calls(callee, switch)
    dialling = callee.begin("dial", ["user/1", "user/1"])
    switch.wait_for(lambda: len(call.executed) == 2, 20)
    call.hangup("ORIGINATOR_CANCEL")
    assert ended(callee, dialling).cause == "ORIGINATOR_CANCEL"
