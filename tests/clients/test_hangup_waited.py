"""A hang-up that something waits for, the same for both clients, in every mode of a socket, with linger or not.

Against the emulator, and against a switch that is played with what a real one sent (tests/data/captures).
"""

from __future__ import annotations

import pytest
from hangup_support import (
    ACTS,
    ANSWERED,
    ASYNC_END,
    BEGUN,
    COMPLETE,
    ENABLED,
    GOODBYE,
    HANGUP,
    NOTICE,
    PLAYED,
    UNAWARE,
    UUID,
    WAYS,
    begins,
    changed,
    dials,
    ended,
    frames,
    goes_on,
    interrupted,
    rings,
)
from hangup_support import callee as callee
from hangup_support import switch as switch
from shells import PATIENCE, Callee, until
from support import OK

from eslcodec.emulator import Emulator, Run


def test_the_played_frames_are_those_of_the_mode() -> None:
    for mode, name in ANSWERED.items():
        first = frames(name)[0]
        assert (b"Socket-Mode: async" in first) == ("async" in mode)
        assert (b"Control: full" in first) == ("full" in mode)
    for frame, name in (
        (BEGUN, b"CHANNEL_EXECUTE\n"),
        (HANGUP, b"CHANNEL_HANGUP\n"),
        (ASYNC_END[0], b"CHANNEL_HANGUP\n"),
    ):
        assert b"Event-Name: " + name in frame
        assert b"\nUnique-ID: " + UUID.encode() in frame
    assert b"Event-Name: CHANNEL_HANGUP_COMPLETE\n" in ASYNC_END[-1]
    assert PLAYED in BEGUN
    assert b"Application-Response: PLAYBACK%20ERROR" in COMPLETE
    assert (b": linger\n" in NOTICE, b": disconnect\n" in GOODBYE) == (True, True)


# A hang-up that something waits for


@pytest.mark.parametrize(("mode", "linger"), WAYS)
def test_a_hangup_ends_what_is_waited_for_and_what_acts_on_the_channel(callee: Callee, mode: str, linger: bool) -> None:
    line = rings(callee, mode, linger=linger)
    ending, key = begins(callee, line, "playback", "a.wav")
    assert callee.client.hung_up is None
    line.sends(*interrupted(line, key, linger=linger))
    if not linger:
        line.close()
    error = ended(callee, ending)
    assert (error.cause, error.complete["Application-Response"]) == ("NORMAL_CLEARING", "PLAYBACK ERROR")
    assert error.complete["Application-UUID"] == key.decode()
    assert str(error) == "the channel hung up: NORMAL_CLEARING"
    assert callee.client.hung_up == "NORMAL_CLEARING"
    for verb, arguments, options in ACTS:
        error = ended(callee, callee.begin(verb, *arguments, **options))
        assert (error.cause, error.complete, error.maybe_done) == ("NORMAL_CLEARING", None, False), verb
    if linger:
        goes_on(callee, line)
    else:
        with pytest.raises(callee.esl.ConnectionClosed, match="the switch said good-bye"):
            callee.do("api", "status")
        assert callee.closed


@pytest.mark.parametrize(("mode", "linger"), WAYS)
def test_an_emulated_hangup_ends_what_is_waited_for(callee: Callee, switch: Emulator, mode: str, linger: bool) -> None:
    switch.applications["playback"] = Run(60, response="FILE PLAYED", interrupted="PLAYBACK ERROR")
    call = dials(callee, switch, mode)
    if linger:
        callee.do("linger")
    ending = callee.begin("playback", "a.wav", wait=True)
    switch.wait_for(lambda: call.executed, 20)
    call.hangup("ORIGINATOR_CANCEL")
    error = ended(callee, ending)
    assert (error.cause, error.complete["Application-Response"]) == ("ORIGINATOR_CANCEL", "PLAYBACK ERROR")
    assert error.complete["Answer-State"] == "hangup"
    assert callee.client.hung_up == "ORIGINATOR_CANCEL"
    before = list(call.commands)
    for verb, arguments, options in ACTS:
        if options.get("uuid") != UUID and "session-id" not in str(arguments):
            assert ended(callee, callee.begin(verb, *arguments, **options)).cause == "ORIGINATOR_CANCEL"
    assert call.commands == before
    if linger:
        assert callee.do("api", "echo", "on").text == "on"
        assert callee.do("bgapi", "echo", "on").uuid
        assert callee.do("exit").ok
    assert call.wait(20) == "ORIGINATOR_CANCEL"


@pytest.mark.parametrize("first", [UNAWARE, COMPLETE], ids=["unaware", "aware"])
@pytest.mark.parametrize("between", [[], ASYNC_END[:1]], ids=["", "hangup"])
def test_a_completion_that_comes_before_the_hangup_is_the_hangups(
    callee: Callee, first: bytes, between: list[bytes]
) -> None:
    """An async socket: the file stops, and that the channel hung up comes an instant later, if at all."""
    line = rings(callee, "async full")
    ending, key = begins(callee, line, "playback", "a.wav")
    line.sends(OK, BEGUN.replace(PLAYED, key), first.replace(PLAYED, key), *between)
    if first is UNAWARE and not between:
        line.answers(b"connect", changed_state(frames("out_async_full")[0], b"hangup", b"USER_BUSY"))
    error = ended(callee, ending)
    assert error.cause == ("USER_BUSY" if first is UNAWARE and not between else "NORMAL_CLEARING")
    assert error.complete["Application-UUID"] == key.decode()
    assert callee.client.hung_up == error.cause


def changed_state(data: bytes, state: bytes, cause: bytes) -> bytes:
    assert b"\nAnswer-State: answered\n" in data
    return data.replace(b"\nAnswer-State: answered\n", b"\nAnswer-State: %b\nHangup-Cause: %b\n" % (state, cause))


def test_a_completion_before_the_good_bye_is_the_hangups(callee: Callee) -> None:
    line = rings(callee, "async")
    ending, key = begins(callee, line, "playback", "a.wav")
    line.sends(OK, BEGUN.replace(PLAYED, key), UNAWARE.replace(PLAYED, key), GOODBYE)
    error = ended(callee, ending)
    assert (error.cause, error.complete["Application-Response"]) == ("UNKNOWN", "PLAYBACK ERROR")


def test_a_file_that_cannot_be_played_is_no_hangup(callee: Callee, switch: Emulator) -> None:
    switch.applications["playback"] = Run(0, response="PLAYBACK ERROR")
    for mode in ANSWERED:
        call = dials(callee, switch, mode)
        assert callee.do("playback", "a.wav", wait=True)["Application-Response"] == "PLAYBACK ERROR"
        assert callee.do("playback", "a.wav").ok
        assert callee.client.hung_up is None
        call.hangup()


def test_a_completion_is_given_though_the_connection_ends_before_it_is_known_why(callee: Callee) -> None:
    line = rings(callee, "async full")
    ending, key = begins(callee, line, "playback", "a.wav")
    line.sends(OK, BEGUN.replace(PLAYED, key), UNAWARE.replace(PLAYED, key))
    assert line.command() == b"connect"
    line.close()
    assert ending.result(PATIENCE)["Application-Response"] == "PLAYBACK ERROR"


def test_what_ends_by_itself_before_the_hangup_is_no_error(callee: Callee) -> None:
    line = rings(callee, "async full")
    ending, key = begins(callee, line, "playback", "a.wav")
    whole = changed(UNAWARE, b"PLAYBACK%20ERROR", b"FILE%20PLAYED").replace(PLAYED, key)
    line.sends(OK, BEGUN.replace(PLAYED, key), whole)
    assert ending.result(PATIENCE)["Application-Response"] == "FILE PLAYED"
    line.sends(*ASYNC_END, GOODBYE)
    until(lambda: callee.client.hung_up)
    assert ended(callee, callee.begin("answer")).cause == "NORMAL_CLEARING"


# A hang-up of our own


@pytest.mark.parametrize(("mode", "linger"), WAYS)
def test_an_awaited_hangup_gives_its_completion(callee: Callee, switch: Emulator, mode: str, linger: bool) -> None:
    call = dials(callee, switch, mode)
    if linger:
        callee.do("linger")
    complete = callee.do("execute", "hangup", "USER_BUSY", wait=True)
    assert (complete.name, complete["Application"]) == ("CHANNEL_EXECUTE_COMPLETE", "hangup")
    assert callee.client.hung_up == "USER_BUSY"
    assert ended(callee, callee.begin("answer")).cause == "USER_BUSY"
    if linger:
        callee.do("exit")
    assert call.wait(20) == "USER_BUSY"


@pytest.mark.parametrize("at", [0, 1, 2])
def test_the_linger_notice_may_come_before_the_completion_of_a_hangup(callee: Callee, at: int) -> None:
    """On a static socket the switch looks at the channel before its events have come to it."""
    line = rings(callee, "full", linger=True)
    ending, key = begins(callee, line, "execute", "HANGUP")
    events = [BEGUN.replace(PLAYED, key), HANGUP, COMPLETE.replace(PLAYED, key)]
    events.insert(at, NOTICE)
    line.sends(OK, *events)
    assert ending.result(PATIENCE)["Application-UUID"] == key.decode()


def test_a_hangup_that_the_caller_was_faster_than_is_ended_by_it(callee: Callee) -> None:
    line = rings(callee, "full", linger=True)
    ending, _ = begins(callee, line, "execute", "hangup")
    line.sends(HANGUP, OK, NOTICE)  # it was sent before that came
    assert ended(callee, ending).cause == "NORMAL_CLEARING"


@pytest.mark.parametrize(("mode", "linger"), WAYS)
def test_a_hangup_by_message_is_answered(callee: Callee, switch: Emulator, mode: str, linger: bool) -> None:
    call = dials(callee, switch, mode)
    if linger:
        callee.do("linger")
    assert callee.do("hangup", "USER_BUSY").ok
    until(lambda: callee.client.hung_up)
    assert ended(callee, callee.begin("hangup")).cause in ("USER_BUSY", "UNKNOWN")
    if linger:
        callee.do("exit")
    assert call.wait(20) == "USER_BUSY"


# Static, with linger


def test_what_is_begun_after_the_hangup_was_received_fails_at_once(callee: Callee) -> None:
    """Whether the linger notice has come or not; and nothing is sent."""
    line = rings(callee, "full", linger=True)
    ending, key = begins(callee, line, "answer")
    complete = changed(UNAWARE, b"PLAYBACK%20ERROR", b"_none_").replace(PLAYED, key)
    line.sends(OK, BEGUN.replace(PLAYED, key), complete)
    ending.result(PATIENCE)
    line.sends(HANGUP)
    until(lambda: callee.client.hung_up)
    assert ended(callee, callee.begin("playback", "a.wav", wait=True)).cause == "NORMAL_CLEARING"
    line.sends(NOTICE)
    assert ended(callee, callee.begin("playback", "a.wav", wait=True)).cause == "NORMAL_CLEARING"
    goes_on(callee, line)


@pytest.mark.parametrize("late", [0, 1, 2])
def test_the_linger_notice_fails_what_had_not_begun(callee: Callee, late: int) -> None:
    """The channel hung up before its events were asked for: no CHANNEL_HANGUP comes. `late` replies come after it."""
    line = rings(callee, "full", linger=True)
    ending = callee.begin("playback", "a.wav", wait=True)
    assert line.command() == b"myevents"
    line.executes()
    answers = [ENABLED, OK]
    answers.insert(2 - late, NOTICE)
    line.sends(*answers)
    error = ended(callee, ending)
    assert (error.cause, error.complete, error.maybe_done) == ("UNKNOWN", None, True)


def test_a_hangup_after_which_no_events_come_is_ended_by_the_notice(callee: Callee) -> None:
    line = rings(callee, "full", linger=True)
    ending = callee.begin("execute", "hangup", wait=True)
    assert line.command() == b"myevents"
    line.executes()
    line.sends(NOTICE, ENABLED, OK)
    assert ended(callee, ending).cause == "UNKNOWN"
