"""The verbs of an IVR on both clients, against the emulator and against a switch that is played."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hangup_support import (
    ANSWERED,
    COMPLETE,
    ENABLED,
    GOODBYE,
    HANGUP,
    PLAYED,
    Line,
    changed,
    dials,
    ended,
    frames,
    rings,
)
from hangup_support import switch as switch
from shells import HOST, PATIENCE, Callee
from support import OK, reply

import eslcodec
from eslcodec import Bridged, Collected, Recorded
from eslcodec.emulator import Emulator, Session


@pytest.fixture(params=["sync", "aio"])
def callee(request: pytest.FixtureRequest) -> Iterator[Callee]:
    callee = Callee(eslcodec, request.param, command_timeout=PATIENCE)
    yield callee
    callee.close()


# Digits


def collects(switch: Emulator, *results: dict[str, str]) -> None:
    """The application leaves these variables behind, one time after the other."""
    left = list(results)

    def application(session: Session, data: str) -> None:
        session.variables.pop("collected_digits", None)
        session.variables.update(left.pop(0))

    switch.applications["play_and_get_digits"] = switch.applications["read"] = application


@pytest.mark.parametrize("mode", ANSWERED)
def test_digits_are_collected_in_every_mode(callee: Callee, switch: Emulator, mode: str) -> None:
    collects(
        switch,
        {"collected_digits": "1234", "read_result": "success"},
        {"collected_digits": "12", "read_result": "success", "read_terminator_used": "#"},
        {"read_result": "failure"},
    )
    call = dials(callee, switch, mode)
    got = callee.do("collect", "enter pin.wav", max_digits=4, timeout=3, retries=1, invalid="wrong.wav", pattern="^1")
    assert got == Collected("1234", "full")
    assert callee.do("play_and_get_digits", "a.wav", max_digits=4, variable="collected_digits").reason == "terminator"
    assert callee.do("read", "a.wav", max_digits=2, min_digits=2, terminators="*") == Collected("", "timeout")
    assert call.executed == [
        ("play_and_get_digits", "1 4 2 3000 # 'enter pin.wav' wrong.wav collected_digits ^1 3000"),
        ("play_and_get_digits", "1 4 1 5000 # a.wav '' collected_digits"),
        ("unset", "read_terminator_used"),  # the switch never does
        ("read", "2 2 a.wav collected_digits 5000 * 5000"),
    ]


def test_a_terminator_that_the_dialplan_left_is_none_of_ours(callee: Callee, switch: Emulator) -> None:
    collects(switch, {})
    call = dials(callee, switch, "async full", variables={"read_terminator_used": "#"})
    callee.do("collect", "", max_digits=1)
    assert call.executed[0] == ("unset", "read_terminator_used")


@pytest.mark.parametrize("mode", ANSWERED)
def test_a_hangup_while_digits_are_collected_is_told(callee: Callee, switch: Emulator, mode: str) -> None:
    switch.applications["play_and_get_digits"] = 60
    call = dials(callee, switch, mode)
    collecting = callee.begin("collect", "a.wav", max_digits=4)
    switch.wait_for(lambda: call.executed, 20)
    call.hangup("ORIGINATOR_CANCEL")
    error = ended(callee, collecting)
    assert (error.cause, error.complete["Application"]) == ("ORIGINATOR_CANCEL", "play_and_get_digits")


def test_collections_at_the_same_time_share_neither_a_variable_nor_a_terminator(
    callee: Callee, switch: Emulator
) -> None:
    switch.applications["play_and_get_digits"] = 60
    call = dials(callee, switch, "async full")
    collecting = [callee.begin("collect", "a.wav", max_digits=4)]
    switch.wait_for(lambda: len(call.executed) == 1, 20)
    collecting.append(callee.begin("collect", "b.wav", max_digits=4))
    switch.wait_for(lambda: len(call.executed) == 3, 20)
    assert call.executed[1] == ("unset", "read_terminator_used")  # which the first may leave behind
    assert [data.split()[-1] for _, data in call.executed[::2]] == ["collected_digits", "collected_digits_2"]
    call.hangup()
    for one in collecting:
        ended(callee, one)


def test_once_only_the_call_is_heard_no_answer_elsewhere_is_waited_for(callee: Callee, switch: Emulator) -> None:
    switch.endpoints["user/1000"] = "answer"
    collects(switch, {"collected_digits": "1", "read_result": "success"})
    dials(callee, switch, "async full")
    assert callee.do("originate", "user/1000", application="park").answered
    callee.do("collect", "a.wav", max_digits=1)
    with pytest.raises(eslcodec.InvalidCommand, match="myevents"):
        callee.do("originate", "user/1000", application="park")
    assert callee.do("originate", "user/1000", application="park", wait="job").reason == "connected"


def test_a_wrong_argument_is_told_before_anything_is_sent(callee: Callee, switch: Emulator) -> None:
    call = dials(callee, switch, "async full")
    with pytest.raises(eslcodec.InvalidCommand, match=r"^max_digits is 0"):
        callee.do("collect", "a.wav", max_digits=0)
    with pytest.raises(eslcodec.InvalidCommand, match=r"^min_digits is 0"):
        callee.do("read", "a.wav", max_digits=1, min_digits=0)
    with pytest.raises(eslcodec.InvalidCommand, match="expected a single line"):
        callee.do("dial", "user/1000\nbridge")
    with pytest.raises(TypeError, match="the prompt is int"):
        callee.do("collect", 5, max_digits=1)
    assert call.executed == []


# What only a switch that is played does


def event(key: bytes, variables: bytes = b"") -> bytes:
    """The end of the application as its caller is still there, with these variables only."""
    frame = COMPLETE.replace(PLAYED, key)
    payload = frame.partition(b"\n\n")[2]
    lines = [line for line in payload.split(b"\n") if line and not line.startswith((b"variable_", b"Hangup-Cause"))]
    text = b"\n".join([*lines, *filter(None, variables.split(b"\n")), b"", b""])
    text = text.replace(b"Answer-State: hangup", b"Answer-State: answered").replace(b"PLAYBACK%20ERROR", b"_none_")
    return changed(frame, payload, text)


def collecting(callee: Callee, line: Line, *what: Any, **options: Any) -> tuple[Any, bytes]:
    begun = callee.begin(*what, **options)
    line.answers(b"myevents", ENABLED)
    key = line.executes()
    line.sends(OK)
    return begun, key


def test_variables_that_the_end_lacks_are_asked_for(callee: Callee) -> None:
    line = rings(callee, "async")
    begun, key = collecting(callee, line, "collect", "a.wav", max_digits=4)
    line.sends(event(key))
    line.answers(b"getvar collected_digits", reply(b"12"))
    line.answers(b"getvar collected_digits_invalid", reply(b"-ERR command not found"))
    line.answers(b"getvar read_result", reply(b"timeout"))
    line.answers(b"getvar read_terminator_used", reply(b"-ERR command not found"))
    assert begun.result(PATIENCE) == Collected("12", "timeout")


def test_values_that_are_not_utf8_do_no_harm(callee: Callee) -> None:
    line = rings(callee, "async full")
    begun, key = collecting(callee, line, "collect", "caf\udce9.wav", max_digits=4)
    line.sends(event(key, b"variable_name: caf%E9\nvariable_collected_digits: 5\nvariable_read_result: timeout"))
    assert begun.result(PATIENCE) == Collected("5", "timeout")


@pytest.mark.parametrize("hung_up", [True, False])
def test_no_digits_from_a_caller_who_is_about_to_be_gone_are_no_answer(callee: Callee, hung_up: bool) -> None:
    line = rings(callee, "async full")
    begun, key = collecting(callee, line, "collect", "a.wav", max_digits=4)
    line.sends(event(key, b"variable_read_result: failure"))
    data = frames(ANSWERED["async full"])[0]
    if hung_up:
        data = data.replace(b"Answer-State: answered", b"Answer-State: hangup\nHangup-Cause: USER_BUSY")
        data = data.replace(b"Answer-State: ringing", b"Answer-State: hangup\nHangup-Cause: USER_BUSY")
    line.answers(b"connect", data)
    if hung_up:
        error = ended(callee, begun)
        assert (error.cause, error.complete["variable_read_result"]) == ("USER_BUSY", "failure")
    else:
        assert begun.result(PATIENCE) == Collected("", "timeout")


@pytest.mark.parametrize("farewell", [GOODBYE, b""])
def test_a_connection_that_ends_before_it_is_known_whether_the_caller_is_there(callee: Callee, farewell: bytes) -> None:
    line = rings(callee, "async full")
    begun, key = collecting(callee, line, "collect", "a.wav", max_digits=4)
    line.sends(event(key, b"variable_read_result: failure"), HANGUP if farewell else b"", farewell)
    line.close()
    if farewell:
        assert ended(callee, begun).cause == "NORMAL_CLEARING"
    else:
        with pytest.raises(eslcodec.ConnectionClosed):
            begun.result(PATIENCE)


# Somebody else


def test_a_call_to_somebody_else_and_its_outcome(callee: Callee, switch: Emulator) -> None:
    outcomes = ["USER_BUSY", "NO_ANSWER", "SUCCESS", "SUCCESS"]

    def bridge(session: Session, data: str) -> None:
        session.variables["originate_disposition"] = outcomes.pop(0)
        session.variables["last_bridge_to"] = "b-1"

    switch.applications["bridge"] = bridge
    call = dials(callee, switch, "async full")
    assert callee.do("dial", "user/1000", timeout=20) == Bridged(False, "busy", "USER_BUSY", None)
    assert callee.do("dial", ["user/1", "user/2"], variables={"a": "x,y"}).reason == "no answer"
    assert callee.do("dial", ["user/1", "user/2"], timeout=5, together=False) == Bridged(True, "answered", "", "b-1")
    callee.do("bridge", ["user/1", "user/2"], together=False)
    assert [data for application, data in call.executed if application == "bridge"] == [
        "{originate_timeout=20}user/1000",
        r"{a=x\,y}user/1,user/2",
        "{originate_timeout=5,originate_continue_on_timeout=true}user/1|user/2",
        "user/1|user/2",
    ]
    assert call.executed[0] == ("set", "continue_on_fail=true")


def test_the_caller_hangs_up_while_somebody_is_called(callee: Callee, switch: Emulator) -> None:
    switch.applications["bridge"] = 60
    call = dials(callee, switch, "async full", variables={"originate_disposition": "ORIGINATOR_CANCEL"})
    dialling = callee.begin("dial", "user/1000")
    switch.wait_for(lambda: len(call.executed) == 2, 20)
    call.hangup()
    assert Bridged.of(ended(callee, dialling).complete).cause == "ORIGINATOR_CANCEL"


# Speech, recording, media


VOICE = {"tts_engine": "flite", "tts_voice": "slt"}


def test_the_applications(callee: Callee, switch: Emulator) -> None:
    names = "say speak record transfer hold unhold displace_session stop_displace_session record_session"
    for name in [*names.split(), "stop_record_session", "send_dtmf", "flush_dtmf"]:
        switch.applications[name] = lambda session, data: None
    call = dials(callee, switch, "async full", variables={**VOICE, "name": "Ann"})
    assert callee.do("say", "42", wait=True)["Application-Data"] == "en number pronounced 42"
    callee.do("say", "1 2", type="telephone_number", method="iterated", language="en:en-gb", gender="feminine")
    callee.do("speak", "Hello ${name}", engine="flite", voice="slt")
    callee.do("speak", "Hello ${name}", expand=True)
    callee.do("record", "/a b.wav", limit=60, silence_threshold=200, silence_hits=5)
    callee.do("transfer", "1000", context="public")
    callee.do("hold")
    callee.do("hold", "back soon")
    callee.do("unhold")
    callee.do("displace", "/a b.wav", limit=1, mux=True)
    callee.do("stop_displace", "/a b.wav")
    callee.do("record_session", "/a b.wav", limit=60)
    callee.do("stop_record_session", "/a b.wav")
    callee.do("stop_record_session")
    callee.do("send_dtmf", "12#", duration=0.2)
    callee.do("flush_dtmf")
    assert call.executed == [
        ("say", "en number pronounced 42"),
        ("say", "en:en-gb telephone_number iterated feminine '1 2'"),
        ("speak", "flite|slt|Hello ${name}"),
        ("speak", "Hello Ann"),
        ("record", "'/a b.wav' 60 200 5"),
        ("transfer", "1000 XML public"),
        ("hold", ""),
        ("hold", "back soon"),
        ("unhold", ""),
        ("displace_session", "'/a b.wav' m +1000"),
        ("stop_displace_session", "/a b.wav"),
        ("record_session", "'/a b.wav' +60"),
        ("stop_record_session", "/a b.wav"),
        ("stop_record_session", "all"),
        ("send_dtmf", "12#@200"),
        ("flush_dtmf", ""),
    ]


def test_what_was_recorded_is_read_from_its_end(callee: Callee, switch: Emulator) -> None:
    call = callee.rings(lambda port: switch.call(HOST, port, script=[("talk", 1.5)]))
    ended = callee.do("record", "/a b.wav", limit=10, wait=True)
    assert Recorded.of(ended) == Recorded(1.5, 12000, "", False)
    assert call.executed == [("record", "'/a b.wav' 10")]


def test_media_is_controlled_by_the_api(callee: Callee, switch: Emulator) -> None:
    asked: list[tuple[str, str]] = []
    switch.api["uuid_break"] = lambda args: asked.append(("break", args)) or "+OK\n"
    switch.api["uuid_fileman"] = lambda args: asked.append(("fileman", args)) or "+OK\n"
    call = dials(callee, switch, "async full")
    callee.do("break_")
    callee.do("break_", all=True)
    callee.do("playback_control", "seek", -5000, relative=True)
    callee.do("playback_control", "pause")
    assert asked == [
        ("break", call.uuid),
        ("break", f"{call.uuid} all"),
        ("fileman", f"{call.uuid} seek:-5000"),
        ("fileman", f"{call.uuid} pause"),
    ]
    switch.api["uuid_fileman"] = "-ERR No file handle!\n"
    with pytest.raises(eslcodec.CommandError, match="No file handle"):
        callee.do("playback_control", "stop")


def test_a_single_channel_socket_does_not_permit_it(callee: Callee, switch: Emulator) -> None:
    dials(callee, switch, "async")
    with pytest.raises(eslcodec.CommandError, match="command not found"):
        callee.do("break_")
