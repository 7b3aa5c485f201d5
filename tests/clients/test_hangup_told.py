"""How it is known that a call has ended, and what can be done then, the same for both clients, in every mode.

Against the emulator, and against a switch that is played with what a real one sent (tests/data/captures).
"""

from __future__ import annotations

import pickle
import re

import pytest
from hangup_support import (
    ACTS,
    ANSWERED,
    ASYNC_END,
    BEGUN,
    COMPLETE,
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
    goes_on,
    rings,
)
from hangup_support import callee as callee
from hangup_support import switch as switch
from shells import PATIENCE, Callee, until
from support import OK, api_response

from eslcodec.emulator import Emulator

# A hang-up that nothing waits for


@pytest.mark.parametrize(("mode", "linger"), WAYS)
def test_the_cause_is_known_before_anything_is_sent(callee: Callee, mode: str, linger: bool) -> None:
    line = rings(callee, mode, linger=linger)
    ending, key = begins(callee, line, "answer")
    complete = changed(UNAWARE, b"PLAYBACK%20ERROR", b"_none_").replace(PLAYED, key)
    line.sends(OK, BEGUN.replace(PLAYED, key), complete)
    assert ending.result(PATIENCE)["Application-UUID"] == key.decode()
    assert callee.client.hung_up is None
    line.sends(*(ASYNC_END if "async" in mode else [HANGUP]), NOTICE if linger else GOODBYE)
    until(lambda: callee.client.hung_up)
    assert callee.client.hung_up == "NORMAL_CLEARING"
    until(lambda: callee.client.connection.lingering if linger else callee.client.connection.end)
    for verb, arguments, options in ACTS:
        assert ended(callee, callee.begin(verb, *arguments, **options)).cause == "NORMAL_CLEARING"
    if linger:
        goes_on(callee, line)
    else:
        assert line.command() == b""  # nothing was sent


@pytest.mark.parametrize("mode", ANSWERED)
def test_without_the_channels_events_the_good_bye_tells(callee: Callee, mode: str) -> None:
    """An unknown application on a static socket shows no more (docs/protocol/observed.md, 30)."""
    line = rings(callee, mode)
    begun = callee.begin("execute", "nosuchapp")
    assert line.command().startswith(b"sendmsg")
    line.sends(OK, GOODBYE)
    line.close()
    assert begun.result(PATIENCE).ok
    error = ended(callee, callee.begin("playback", "a.wav"))
    assert (error.cause, error.complete) == ("UNKNOWN", None)
    assert callee.client.hung_up == "UNKNOWN"


@pytest.mark.parametrize("mode", ["async full", "full"])
def test_without_the_channels_events_the_linger_notice_tells(callee: Callee, mode: str) -> None:
    line = rings(callee, mode, linger=True)
    line.sends(NOTICE)
    until(lambda: callee.client.hung_up)
    assert callee.client.hung_up == "UNKNOWN"
    assert ended(callee, callee.begin("playback", "a.wav", wait=True)).cause == "UNKNOWN"
    assert ended(callee, callee.begin("playback", "a.wav")).cause == "UNKNOWN"
    line.sends(HANGUP)  # for which somebody else asked, late
    until(lambda: callee.client.hung_up == "NORMAL_CLEARING")
    begun = callee.begin("api", "status")
    line.answers(b"api status", api_response(b"UP"))
    assert begun.result(PATIENCE).text == "UP"


@pytest.mark.parametrize("mode", ANSWERED)
def test_a_command_that_meets_the_good_bye_is_ended_by_the_hangup(callee: Callee, mode: str) -> None:
    line = rings(callee, mode)
    begun = callee.begin("playback", "a.wav")
    assert line.command().startswith(b"sendmsg")
    line.sends(GOODBYE)
    line.close()
    error = ended(callee, begun)
    assert (error.cause, error.maybe_done) == ("UNKNOWN", True)


def test_what_is_accepted_after_the_hangup_never_happens(callee: Callee) -> None:
    """The switch answers +OK to what it does not do any more."""
    line = rings(callee, "async full", linger=True)
    begun = callee.begin("playback", "a.wav")
    assert line.command().startswith(b"sendmsg")
    line.sends(NOTICE, OK)
    assert ended(callee, begun).maybe_done


def test_an_end_without_a_good_bye_is_no_hangup(callee: Callee) -> None:
    line = rings(callee, "async full")
    line.close()
    with pytest.raises(callee.esl.ConnectionClosed) as raised:
        callee.do("playback", "a.wav")
    assert not isinstance(raised.value, callee.esl.ChannelEnded)
    assert callee.client.hung_up is None


@pytest.mark.parametrize("text", [b"The system is being shut down.\n", b"killed listener because of lost events\n"])
def test_another_notice_is_no_hangup(callee: Callee, text: bytes) -> None:
    line = rings(callee, "async full")
    line.sends(re.sub(rb"Content-Length: .*", b"Content-Length: %d\n\n%b" % (len(text), text), GOODBYE, flags=re.S))
    with pytest.raises(callee.esl.ConnectionClosed, match=text.strip().decode()):
        callee.do("playback", "a.wav")
    assert callee.client.hung_up is None


def test_an_exit_is_no_hangup(callee: Callee, switch: Emulator) -> None:
    call = dials(callee, switch, "async full")
    assert callee.do("exit").ok
    call.wait(20)
    with pytest.raises(callee.esl.ConnectionClosed) as raised:
        callee.do("playback", "a.wav")
    assert not isinstance(raised.value, callee.esl.ChannelEnded)
    assert callee.client.hung_up is None


def test_only_the_channels_own_hangup_counts(callee: Callee) -> None:
    """The b-leg's events come on the same socket, after `event ALL` say."""
    line = rings(callee, "async full", linger=True)
    ending, key = begins(callee, line, "bridge", "user/1000")
    other = [frame.replace(UUID.encode(), b"11111111-3ab0-49ba-a4bc-877193d8ea38") for frame in (*ASYNC_END, COMPLETE)]
    line.sends(OK, BEGUN.replace(PLAYED, key), *other)
    begun = callee.begin("api", "status")
    line.answers(b"api status", api_response(b"UP"))
    begun.result(PATIENCE)
    assert callee.client.hung_up is None
    assert not ending.done()
    line.sends(HANGUP, changed(COMPLETE, b"PLAYBACK%20ERROR", b"_none_").replace(PLAYED, key))
    assert ended(callee, ending).complete["Application-Response"] == "_none_"


# resume


@pytest.mark.parametrize("mode", ["full", ""])
def test_resume_on_a_static_socket_says_why_not(callee: Callee, switch: Emulator, mode: str) -> None:
    call = dials(callee, switch, mode)
    with pytest.raises(callee.esl.InvalidCommand, match="CS_RESET for ever, expected an async one"):
        callee.do("resume")
    callee.do("close")
    assert call.wait(20) == "NORMAL_CLEARING"  # the dialplan went on
    assert "resume" not in call.commands


@pytest.mark.parametrize("mode", ["async full", "async"])
def test_resume_on_an_async_socket(callee: Callee, switch: Emulator, mode: str) -> None:
    call = dials(callee, switch, mode)
    assert callee.do("resume").ok
    callee.do("close")
    assert call.wait(20) == "NORMAL_CLEARING"


# Variables


@pytest.mark.parametrize("mode", ["async full", "full"])
def test_any_value_of_a_variable_comes_where_all_commands_are_permitted(
    callee: Callee, switch: Emulator, mode: str
) -> None:
    values = {"tilde": "~Reply-Text: fake", "lines": "a\nb\n\nc", "long": "x" * 5000, "plus": "+OK %41 é"}
    call = dials(callee, switch, mode, variables=values, uuid="c-1")
    assert {name: callee.do("getvar", name) for name in values} == values
    assert callee.do("getvar", "nosuch") is None
    assert call.commands == ["connect", *(f"api uuid_getvar c-1 {name}" for name in (*values, "nosuch"))]


def test_a_name_that_is_not_a_word_is_asked_for_as_before(callee: Callee, switch: Emulator) -> None:
    call = dials(callee, switch, "async full", variables={"a b": "1", "it's": "2"})
    assert [callee.do("getvar", name) for name in ("a b", "it's", "x[0]")] == ["1", "2", None]
    assert call.commands[1:] == ["getvar a b", "getvar it's", "getvar x[0]"]


def test_a_single_channel_socket_asks_for_variables_itself(callee: Callee, switch: Emulator) -> None:
    call = dials(callee, switch, "async", variables={"a": "1"})
    assert (callee.do("getvar", "a"), callee.do("getvar", "b")) == ("1", None)
    assert call.commands[1:] == ["getvar a", "getvar b"]


def test_variables_are_there_after_the_hangup(callee: Callee, switch: Emulator) -> None:
    """When the API does not know the channel any more, whether we know that already or not."""
    call = dials(callee, switch, "async full", variables={"a": "1", "no": "-ERR No such channel!\n"}, uuid="c-1")
    callee.do("linger")
    switch.sessions.pop("c-1")
    assert (callee.do("getvar", "a"), callee.do("getvar", "b")) == ("1", None)
    assert callee.client.hung_up is None
    assert call.commands[2:] == [
        *("api uuid_getvar c-1 a", "getvar a"),
        *("api uuid_getvar c-1 b", "getvar b"),
    ]
    switch.sessions["c-1"] = call.session
    call.hangup()
    until(lambda: callee.client.hung_up)
    assert callee.do("getvar", "a") == "1"
    assert call.commands[-1] == "getvar a"


# The error


def test_the_error_can_be_pickled(callee: Callee) -> None:
    event = callee.esl.Event.build("CHANNEL_EXECUTE_COMPLETE", {"Application": "playback"})
    error = callee.esl.ChannelEnded("USER_BUSY", event)
    error.maybe_done = True
    again = pickle.loads(pickle.dumps(error))
    assert (again.cause, again.complete, again.maybe_done, str(again)) == ("USER_BUSY", event, True, str(error))
