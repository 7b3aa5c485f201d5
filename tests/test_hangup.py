"""How a call ends, the same for the blocking client and that of asyncio, in every mode of a socket, with linger or not.

Against the emulator, and against a switch that is played with what a real one sent (tests/data/captures). `Callee`
(shells.py) hides which of the two clients it is.
"""

from __future__ import annotations

import pickle
import re
import socket
from collections.abc import Iterator
from concurrent.futures import Future
from types import ModuleType
from typing import Any

import pytest
from shells import HOST, PATIENCE, Callee, Peer, until
from support import OK, api_response, capture, naive_frames, plain, reply

from eslcodec.emulator import EmulatedCall, Emulator, Run

UUID = "d81101c7-3ab0-49ba-a4bc-877193d8ea38"  # of the channel in all frames that are played
PLAYED = b"16027621-e3d1-4850-b187-144a7717bf13"  # Application-UUID of the captured playback
ANSWERED = {
    "async full": "out_async_full",
    "async": "out_single_channel",
    "full": "out_sync",
    "": "outbound_sync_single_channel",
}
LINGERS = reply(b"+OK will linger")
ENABLED = reply(b"+OK Events Enabled")
WAYS = [(mode, linger) for mode in ANSWERED for linger in (False, True) if "full" in mode or not linger]

# What acts on the channel
ACTS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("playback", ("b.wav",), {}),
    ("playback", ("b.wav",), {"wait": True}),
    ("execute", ("sleep", "1"), {"event_lock": True}),
    ("execute", ("sleep", "1"), {"uuid": UUID}),
    ("answer", (), {}),
    ("set", ("a", "b"), {"wait": True}),
    ("sendmsg", ("nomedia",), {}),
    ("sendmsg", ("execute", {"session-id": UUID, "execute-app-name": "answer"}), {}),
    ("execute", ("hangup",), {"wait": True}),
    ("hangup", (), {}),
    ("nomedia", ("u-2",), {}),
    ("unicast", (), {"uuid": UUID}),
    ("xferext", ([("answer", "")],), {}),
]


@pytest.fixture(params=["sync", "aio"])
def callee(esl: ModuleType, request: pytest.FixtureRequest) -> Iterator[Callee]:
    callee = Callee(esl, request.param, command_timeout=PATIENCE)
    yield callee
    callee.close()


@pytest.fixture
def switch() -> Iterator[Emulator]:
    with Emulator() as switch:
        yield switch


# A switch that is played


def frames(name: str) -> list[bytes]:
    """The frames of a capture, its channel being ours."""
    data = [block + (body or b"") for block, body in naive_frames(capture(name))]
    found = re.search(rb"\nUnique-ID: (\S{36})\n", data[0])
    assert found is not None
    return [frame.replace(found[1], UUID.encode()) for frame in data]


BEGUN, NOTICE, HANGUP, COMPLETE, GOODBYE = frames("out_sync_hangup_midway")[4:]
ASYNC_END = frames("out_async_nolinger")[3:-1]  # from CHANNEL_HANGUP to CHANNEL_HANGUP_COMPLETE


def changed(frame: bytes, old: bytes, new: bytes) -> bytes:
    """A plain event's frame with other text in its payload."""
    payload = frame.partition(b"\n\n")[2]
    assert old in payload
    return plain(payload.replace(old, new))


UNAWARE = changed(COMPLETE, b"Answer-State: hangup\nHangup-Cause: NORMAL_CLEARING\n", b"Answer-State: answered\n")
"""What is complete an instant before the channel is seen to hang up (observed on async sockets)."""


class Line(Peer):
    """The switch's end of a call."""

    def __init__(self, port: int, mode: str) -> None:
        super().__init__(socket.create_connection((HOST, port)))
        self.static = "async" not in mode
        self.answers(b"connect", frames(ANSWERED[mode])[0])

    def executes(self) -> bytes:
        """The next command is an `execute`: its Event-UUID."""
        found = re.search(rb"Event-UUID: (\S+)", self.command())
        assert found is not None
        return found[1]


def rings(callee: Callee, mode: str, *, linger: bool = False) -> Line:
    line = callee.rings(lambda port: Line(port, mode))
    if linger:
        begun = callee.begin("linger")
        line.answers(b"linger", LINGERS)
        begun.result(PATIENCE)
    return line


def begins(callee: Callee, line: Line, *what: Any, first: bool = True) -> tuple[Future[Any], bytes]:
    """An awaited execution: what it comes to, and its Event-UUID."""
    ending = callee.begin(*what, wait=True)
    if first:
        line.answers(b"myevents", ENABLED)
    return ending, line.executes()


def interrupted(line: Line, key: bytes, *, linger: bool, complete: bytes = COMPLETE) -> list[bytes]:
    """What a switch sends when the caller hangs up during a playback."""
    begun, complete = BEGUN.replace(PLAYED, key), complete.replace(PLAYED, key)
    if line.static:  # nothing is sent while it runs
        return [OK, begun, NOTICE, HANGUP, complete] if linger else [OK, begun, HANGUP, complete, GOODBYE]
    return [OK, begun, ASYNC_END[0], complete, *ASYNC_END[1:], NOTICE if linger else GOODBYE]


def ended(callee: Callee, future: Future[Any]) -> Any:
    with pytest.raises(callee.esl.ChannelEnded) as raised:
        future.result(PATIENCE)
    return raised.value


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


def goes_on(callee: Callee, line: Line) -> None:
    """What does not act on the channel is sent, and nothing was sent before it."""
    for verb, arguments, options, sent, answer in (
        ("api", ("status",), {}, b"api status", api_response(b"UP")),
        ("bgapi", ("status",), {"job_uuid": "j"}, b"event BACKGROUND_JOB", OK + reply(b"+OK Job-UUID: j")),
        ("subscribe", ("DTMF",), {}, b"event DTMF", OK),
        ("filter_delete", (), {}, b"filter delete all", OK),
        ("linger", (5,), {}, b"linger 5", reply(b"+OK will linger 5 seconds")),
        ("hangup", (), {"uuid": "another"}, b"sendmsg another\ncall-command: hangup", OK),
        ("exit", (), {}, b"exit", reply(b"+OK bye")),
    ):
        begun = callee.begin(verb, *arguments, **options)
        assert line.command().startswith(sent)
        if verb == "bgapi":
            assert line.command().startswith(b"bgapi status")
        line.sends(answer)
        begun.result(PATIENCE)


@pytest.mark.parametrize(("mode", "linger"), WAYS)
def test_an_emulated_hangup_ends_what_is_waited_for(callee: Callee, switch: Emulator, mode: str, linger: bool) -> None:
    switch.applications["playback"] = Run(60, response="FILE PLAYED", interrupted="PLAYBACK ERROR")
    call = dials(callee, switch, mode)
    if linger:
        callee.do("linger")
    ending = callee.begin("playback", "a.wav", wait=True)
    switch.wait_for(lambda: call.executed)
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
    assert call.wait() == "ORIGINATOR_CANCEL"


def dials(callee: Callee, switch: Emulator, mode: str, **options: Any) -> EmulatedCall:
    return callee.rings(lambda port: switch.dial(HOST, port, mode=mode, **options))


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
    call.wait()
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
    assert call.wait() == "USER_BUSY"


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
    assert call.wait() == "USER_BUSY"


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


# resume


@pytest.mark.parametrize("mode", ["full", ""])
def test_resume_on_a_static_socket_says_why_not(callee: Callee, switch: Emulator, mode: str) -> None:
    call = dials(callee, switch, mode)
    with pytest.raises(callee.esl.InvalidCommand, match="CS_RESET for ever, expected an async one"):
        callee.do("resume")
    callee.do("close")
    assert call.wait() == "NORMAL_CLEARING"  # the dialplan went on
    assert "resume" not in call.commands


@pytest.mark.parametrize("mode", ["async full", "async"])
def test_resume_on_an_async_socket(callee: Callee, switch: Emulator, mode: str) -> None:
    call = dials(callee, switch, mode)
    assert callee.do("resume").ok
    callee.do("close")
    assert call.wait() == "NORMAL_CLEARING"


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
