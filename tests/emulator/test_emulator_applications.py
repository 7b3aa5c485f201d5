"""The dialplan applications of the emulated switch: the variables they set, the events they fire, how they end."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from emulated import Client, called, connected, names

import eslcodec
from eslcodec.emulator import EmulatedCall, Emulator, NotEmulated, Run


@pytest.fixture
def switch() -> Iterator[Emulator]:
    with Emulator() as switch:
        yield switch


def execute(application: str, data: str = "", **headers: str) -> str:
    lines = ["sendmsg", "call-command: execute", f"execute-app-name: {application}", f"execute-app-arg: {data}"]
    return "\n".join([*lines, *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())])


class Line:
    """A static call: each command is answered when its application has ended."""

    def __init__(self, call: EmulatedCall, client: Client) -> None:
        self.call, self.client = call, client

    def run(self, application: str, data: str = "") -> eslcodec.Event:
        """The end of an application."""
        before = len(self.client.events)
        self.client.send(execute(application, data) + "\n\n")
        ends: list[eslcodec.Event] = []
        while not ends:
            self.client.read()
            ends = [event for event in self.client.events[before:] if event.name == "CHANNEL_EXECUTE_COMPLETE"]
        return ends[-1]

    def told(self, application: str, data: str = "", *wanted: str) -> list[tuple[str, ...]]:
        """What an application fired between its own events: names, and the values of some headers."""
        before = len(self.client.events)
        self.run(application, data)
        fired = self.client.events[before:]
        inside = [event for event in fired if not (event.name or "").startswith("CHANNEL_EXECUTE")]
        return [(event.name or "", *(event.get(name, "") for name in wanted)) for event in inside]


@pytest.fixture
def line(switch: Emulator) -> Iterator[Callable[..., Line]]:
    """Opens a static call, with a script."""
    with ExitStack() as stack:

        def opened(*script: Any, **variables: str) -> Line:
            server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            call = switch.call(*server.getsockname(), mode="full", script=script, variables=variables, answered=True)
            client = Client(stack.enter_context(server.accept()[0]))
            client.ask("connect")
            client.ask("event plain ALL")
            return Line(call, client)

        yield opened


# Data


def test_application_data_is_expanded_before_it_runs(switch: Emulator, line: Callable[..., Line]) -> None:
    opened = line(name="Anna", path="${name}/x")
    switch.api["upper"] = lambda args: args.upper()
    opened.run("set_global", "domain=example.org")
    for data, expected in (
        ("a=${name}", "Anna"),
        ("a=${path}", "Anna/x"),
        ("a=$${domain}", "example.org"),
        ("a=${domain}", "example.org"),
        ("a=${name:1:2}", "nn"),
        ("a=${name:-2}", "na"),
        ("a=${upper(${name})}", "ANNA"),
        ("a=${caller_id_number} ${destination_number}", "1000 2000"),
        ("a=[${nosuch}]", "[]"),
        (r"a=\${name}", "Anna"),  # `set` expands once more
        ("a=5$", "5$"),
        ("a=${name", "Anna"),
    ):
        done = opened.run("set", data)
        assert (data, opened.call.variable("a")) == (data, expected)
    assert done["Application-Data"] == "a=Anna"
    assert opened.call.executed[-1] == ("set", "a=Anna")


def test_variables_are_set(switch: Emulator, line: Callable[..., Line]) -> None:
    opened = line()
    for application, data in (
        ("multiset", "a=1 b=2"),
        ("multiset", "^^:c=x y:d="),
        ("export", "e=5"),
        ("export", "nolocal:f=6"),
        ("push", "g=1"),
        ("push", "g=2"),
        ("unshift", "g=0"),
        ("unset", "b"),
        ("set", "h,8"),
    ):
        opened.run(application, data)
    found = {name: opened.call.variable(name) for name in "abcdegh"}
    assert found == {"a": "1", "b": None, "c": "x y", "d": None, "e": "5", "g": "ARRAY::0|:1|:2", "h": "8"}
    assert opened.call.variable("export_vars") == "e,nolocal:f"
    with connected(switch) as client:
        opened.run("set_global", "a=1")
        assert client.text("api global_getvar a") == "1"


def test_what_is_not_emulated_hangs_up_and_fails_a_strict_test() -> None:
    told = r"no application 'rxfax' is emulated: say switch\.applications\['rxfax'\] = \.\.\."
    with pytest.raises(NotEmulated, match=told), Emulator(strict=True) as switch, called(switch) as (call, client):  # noqa: PT012
        client.ask("connect")
        client.send(execute("rxfax", "a.tif") + "\n\n")
        assert call.wait(20) == "DESTINATION_OUT_OF_ORDER"
    with Emulator(strict=True) as switch, called(switch) as (call, client):
        switch.applications["rxfax"] = None  # it is meant to be missing
        client.ask("connect")
        client.send(execute("rxfax", "a.tif") + "\n\n")
        assert call.wait(20) == "DESTINATION_OUT_OF_ORDER"


# What is heard

PLAYED = ("Playback-File-Path", "Playback-Status", "Playback-File-Type")


def test_playback_tells_when_it_begins_and_ends(switch: Emulator, line: Callable[..., Line]) -> None:
    opened = line()
    assert opened.told("playback", "a.wav", *PLAYED) == [
        ("PLAYBACK_START", "a.wav", "", ""),
        ("PLAYBACK_STOP", "a.wav", "done", ""),
    ]
    assert opened.told("playback", "tone_stream://%(1,1,1)", *PLAYED)[0][3] == "tone_stream"
    assert opened.told("playback", "say:hello") == []
    opened.run("set", "playback_delimiter=!")
    assert [name for name, _ in opened.told("playback", "a.wav!b.wav", "x")] == ["PLAYBACK_START", "PLAYBACK_STOP"] * 2
    switch.applications["playback"] = Run(response="FILE NOT FOUND")
    assert opened.told("playback", "none.wav") == []
    assert opened.run("playback", "none.wav")["Application-Response"] == "FILE NOT FOUND"
    switch.applications["playback"] = 0.25
    assert opened.run("playback", "c.wav@@800")["Application-Response"] == "FILE PLAYED"
    heard = [opened.call.variable(f"playback_{name}") for name in ("seconds", "ms", "samples")]
    assert heard == ["0", "250", "2000"]
    assert opened.call.prompts == [
        *("a.wav", "tone_stream://%(1,1,1)", "say:hello", "a.wav", "b.wav", "none.wav", "none.wav", "c.wav"),
    ]


@pytest.mark.parametrize(
    ("terminators", "typed", "used"),
    [("", "1*", "*"), ("#9", "*9", "9"), ("any", "5", "5"), ("none", "*#", None)],
)
def test_a_terminator_ends_a_playback_and_other_keys_are_eaten(
    switch: Emulator, terminators: str, typed: str, used: str | None
) -> None:
    switch.applications["playback"] = 3600
    with called(switch, mode="full", variables={"playback_terminators": terminators}) as (call, client):
        client.ask("connect")
        client.ask("event plain DTMF PLAYBACK_STOP CHANNEL_EXECUTE_COMPLETE")
        client.send(execute("playback", "a.wav") + "\n\n")
        switch.wait_for(lambda: call.executed, 20)
        call.dtmf(typed)
        if used is None:
            assert not call.session.keys
            assert call.variable("playback_terminator_used") is None
            assert [running.application for running in call.session.running] == ["playback"]
            return
        client.until(lambda: names(client)[-1:] == ["CHANNEL_EXECUTE_COMPLETE"])
    assert [event.get("DTMF-Digit") for event in client.events] == [*typed, None, None]
    stop, done = client.events[-2:]
    assert (stop["Playback-Status"], done["Application-Response"]) == ("break", "FILE PLAYED")
    assert done["variable_playback_terminator_used"] == call.variable("playback_terminator_used") == used


def test_what_plays_ends_with_a_break_or_with_the_call(switch: Emulator) -> None:
    with called(switch, answered=True) as (call, client):
        client.ask("connect")
        client.ask("event plain PLAYBACK_STOP CHANNEL_EXECUTE_COMPLETE")
        client.ask(execute("playback", "a.wav"))
        client.ask(execute("echo"))
        client.ask(execute("break"))
        client.until(lambda: [event.get("Application") for event in client.events][-1:] == ["echo"])
        client.ask(execute("endless_playback", "music.wav"))
        client.ask(execute("break"))  # it begins anew
        client.until(lambda: [event.get("Playback-Status") for event in client.events].count("break") == 1)
        assert call.prompts == ["a.wav", "music.wav", "music.wav"]
        call.hangup()
        client.to_the_end()
    told = [(event.get("Playback-Status"), event.get("Application")) for event in client.events[-3:]]
    assert told == [("done", None), (None, "endless_playback"), (None, "socket")]
    assert client.events[-2]["Application-Response"] == "PLAYBACK ERROR"


def test_what_is_said_or_spoken_is_heard(line: Callable[..., Line]) -> None:
    opened = line()
    for application, data, response in (
        ("say", "en number pronounced 42", "_none_"),
        ("say", "en number", "_none_"),  # too little
        ("speak", "flite|kal|hello there", "_none_"),
        ("phrase", "spell,abc", "PHRASE PLAYED"),
        ("phrase", "", "NOTHING"),
        ("gentones", "%(500,0,800)|3", "_none_"),
        ("loop_playback", "+2 a.wav", "FILE PLAYED"),
    ):
        assert (data, opened.run(application, data)["Application-Response"]) == (data, response)
    assert opened.call.prompts == [
        *("say:en number pronounced 42", "hello there", "phrase:spell,abc", "%(500,0,800)", "a.wav", "a.wav"),
    ]
    opened.client.send(execute("speak", "no engine") + "\n\n")
    assert opened.call.wait(20) == "DESTINATION_OUT_OF_ORDER"


def test_a_recording_is_as_long_as_its_caller_talks(line: Callable[..., Line]) -> None:
    opened = line(("talk", 2.5), ("talk", 90), "1*", None)
    fields = ("seconds", "ms", "samples")
    expected = {
        "/r/a.wav 60 200 5": ["2", "2500", "20000", "true"],
        "/r/b.wav +60 200": ["60", "60000", "480000", "false"],
        "/r/c.wav": ["0", "0", "0", "false"],
        "/r/d.wav": ["0", "0", "0", "false"],
    }
    for data, wanted in expected.items():
        told = [item for item in opened.told("record", data, "Record-File-Path") if item[0] != "DTMF"]
        path = data.partition(" ")[0]
        assert told == [("RECORD_START", path), ("RECORD_STOP", path)]
        found = [opened.call.variable(f"record_{name}") for name in fields]
        assert [*found, opened.call.variable("silence_hits_exhausted")] == wanted
        assert opened.call.variable("playback_terminator_used") == ("*" if "c.wav" in data else None)


def test_a_session_is_recorded_until_it_is_stopped_or_over(switch: Emulator) -> None:
    bug = ("Media-Bug-Function", "Media-Bug-Target", "Record-File-Path", "Answer-State")
    with called(switch, answered=True) as (call, client):
        client.ask("connect")
        client.ask("linger")
        client.ask("event plain RECORD_START RECORD_STOP MEDIA_BUG_START MEDIA_BUG_STOP CHANNEL_HANGUP_COMPLETE")
        for application, path in (("record_session", "/a"), ("record_session", "/b"), ("stop_record_session", "/a")):
            client.ask(execute(application, path))
        client.ask(execute("record_session", "/b"))  # it is already
        call.hangup()
        client.until(lambda: "CHANNEL_HANGUP_COMPLETE" in names(client))
    told = [(event.name, *(event.get(name) for name in bug)) for event in client.events]
    assert told[:-1] == [
        ("RECORD_START", None, None, "/a", "answered"),
        ("MEDIA_BUG_START", "session_record", "/a", None, "answered"),
        ("RECORD_START", None, None, "/b", "answered"),
        ("MEDIA_BUG_START", "session_record", "/b", None, "answered"),
        ("RECORD_STOP", None, None, "/a", "answered"),
        ("MEDIA_BUG_STOP", "session_record", "/a", None, "answered"),
        ("RECORD_STOP", None, None, "/b", "hangup"),
        ("MEDIA_BUG_STOP", "session_record", "/b", None, "hangup"),
    ]


def test_silence_is_waited_for(line: Callable[..., Line]) -> None:
    opened = line()
    opened.run("wait_for_silence", "200 15 10 5000")
    found = [opened.call.variable(f"wait_for_silence_{name}") for name in ("timeout", "listenhits", "silence_hits")]
    assert found == ["false", "10", "0"]


def test_sleep_eats_digits_if_it_is_told_to(switch: Emulator) -> None:
    switch.applications["sleep"] = 3600
    with called(switch, mode="full", answered=True, variables={"sleep_eat_digits": "true"}) as (call, client):
        client.ask("connect")
        client.ask("event plain DTMF CHANNEL_EXECUTE_COMPLETE")
        client.send(execute("sleep", "60000") + "\n\n")
        switch.wait_for(lambda: call.executed, 20)
        call.dtmf("12*3")
        client.until(lambda: "CHANNEL_EXECUTE_COMPLETE" in names(client))
        assert [event.get("DTMF-Digit") for event in client.events] == ["1", "2", "*", None]
        assert call.variable("playback_terminator_used") == "*"
        client.ask(execute("flush_dtmf"))  # the 3 that was left
        assert not call.session.keys


def test_keys_may_come_from_an_application(line: Callable[..., Line]) -> None:
    opened = line(None)
    opened.run("queue_dtmf", "1w2@100+3x")
    typed = [("DTMF", key, duration, "APP") for key, duration in zip("1w23", (800, 800, 800, 2000), strict=True)]
    opened.run("play_and_get_digits", "1 4 1 3000 # silence silence got")
    found = [
        (event.name, event["DTMF-Digit"], int(event["DTMF-Duration"]), event["DTMF-Source"])
        for event in opened.client.events
        if event.name == "DTMF"
    ]
    assert found == typed
    assert opened.call.variable("got") == "1w23"


# Where a call goes


def test_hold_and_transfer(switch: Emulator) -> None:
    with called(switch, answered=True) as (_call, client):
        client.ask("connect")
        client.ask("event plain CHANNEL_HOLD CHANNEL_UNHOLD CHANNEL_UNPARK CHANNEL_EXECUTE_COMPLETE")
        for application, data in (("hold", ""), ("hold", ""), ("unhold", ""), ("transfer", "9000 XML public")):
            client.ask(execute(application, data))
        assert client.text(execute("set", "later=1")) == "+OK"  # the connection stays
        client.until(lambda: [event.get("Application") for event in client.events][-1:] == ["set"])
    told = [event.get("Application", event.name) for event in client.events]
    assert told == [
        *("CHANNEL_HOLD", "hold", "hold", "CHANNEL_UNHOLD", "unhold"),
        *("transfer", "CHANNEL_UNPARK", "socket", "set"),
    ]
    assert client.events[-1]["Caller-Destination-Number"] == "9000"


def test_a_channel_without_a_socket_parks(switch: Emulator) -> None:
    session = switch.add_session("s1", {"park_timeout": "0:USER_BUSY"})
    other = switch.add_session("s2")
    with connected(switch, "event plain CHANNEL_PARK CHANNEL_UNPARK CHANNEL_HANGUP") as client:
        client.ask(execute("park").replace("sendmsg", "sendmsg s1"))
        client.until(lambda: names(client) == ["CHANNEL_PARK", "CHANNEL_HANGUP", "CHANNEL_UNPARK"])
        client.ask(execute("park").replace("sendmsg", "sendmsg s2"))
        client.until(lambda: names(client)[3:] == ["CHANNEL_PARK"])
    assert (session.hangup_cause, other.hangup_cause) == ("USER_BUSY", None)


def test_a_conference(switch: Emulator) -> None:
    shown = ("Action", "Conference-Name", "Conference-Size", "Member-ID", "Speak", "DTMF-Key", "Member-Type")
    listening = connected(switch, "event plain CUSTOM conference::maintenance")
    with listening as watcher, called(switch) as (first, one), called(switch) as (second, two):
        for client, data in ((one, "room@default"), (two, "room@default+1234+flags{mute|moderator}")):
            client.ask("connect")
            client.ask(execute("conference", data))
        first.dtmf("5")
        assert second.variable("conference_member_id") == "2"
        second.hangup()
        first.hangup()
        watcher.until(lambda: watcher.events and watcher.events[-1]["Action"] == "conference-destroy")
    assert [tuple(event.get(name) for name in shown) for event in watcher.events] == [
        ("conference-create", "room", "0", None, None, None, None),
        ("add-member", "room", "1", "1", "true", None, "member"),
        ("floor-change", "room", "1", "1", "true", None, "member"),
        ("add-member", "room", "2", "2", "false", None, "moderator"),
        ("dtmf-member", "room", "2", "1", "true", "5", "member"),
        ("del-member", "room", "1", "2", "false", None, "moderator"),
        ("del-member", "room", "0", "1", "true", None, "member"),
        ("conference-destroy", "room", "0", None, None, None, None),
    ]
    assert len({event["Conference-Unique-ID"] for event in watcher.events}) == 1


def test_what_a_caller_says_is_recognized(switch: Emulator, line: Callable[..., Line]) -> None:
    opened = line(("say", "yes"), None, "5", ("say", "no"))
    for expected in ("yes", None):
        done = opened.run("play_and_detect_speech", "ask.wav detect:pocketsphinx yesno")
        assert (done["Application-Response"], opened.call.variable("detect_speech_result")) == ("DONE", expected)
    opened.run("set", "playback_terminators=any")
    opened.run("play_and_detect_speech", "ask.wav detect:pocketsphinx yesno")
    assert opened.call.variable("detect_speech_result") == "DIGIT: 5"
    assert opened.run("play_and_detect_speech", "ask.wav")["Application-Response"] == "USAGE ERROR"
    opened.client.send(execute("detect_speech", "pocketsphinx yesno yesno") + "\n\n")
    speech: list[eslcodec.Event] = []
    while len(speech) < 2:
        opened.client.read()
        speech = [event for event in opened.client.events if event.name == "DETECTED_SPEECH"]
    assert [(event["Speech-Type"], event.text) for event in speech] == [
        ("begin-speaking", ""),
        ("detected-speech", "no"),
    ]
    with called(switch) as (call, client):
        client.ask("connect")
        client.ask("event plain DETECTED_SPEECH")
        client.ask(execute("detect_speech", "pocketsphinx yesno yesno"))
        call.say("maybe")
        client.until(lambda: len(client.events) == 2)
        assert client.events[1].text == "maybe"


def test_lines_for_the_log(switch: Emulator) -> None:
    with called(switch, mode="full") as (_call, client):
        client.ask("connect")
        client.ask("log info")
        for application, data in (("log", "WARNING mind the gap"), ("log", "DEBUG nobody"), ("info", "")):
            client.ask(execute(application, data))
        client.until(lambda: sum(isinstance(message, eslcodec.LogLine) for message in client.messages) == 2)
        first, last = [message for message in client.messages if isinstance(message, eslcodec.LogLine)]
    assert (first.level, first.text) == (4, "mind the gap\n")
    assert "CHANNEL_DATA" in last.text
    assert "Channel-State: [CS_EXECUTE]" in last.text


# What goes wrong


def test_the_caller_hangs_up_while_digits_are_read(switch: Emulator) -> None:
    with called(switch) as (call, client):
        client.ask("connect")
        client.ask("myevents")
        client.ask(execute("read", "1 4 pin.wav got 60000 #", event_lock="true"))
        client.ask(execute("set", "never=1", event_lock="true"))
        switch.wait_for(lambda: call.prompts, 20)
        call.dtmf("1")
        call.hangup("ORIGINATOR_CANCEL")
        client.to_the_end()
    told = [event.name for event in client.events]
    assert told[:4] == ["CHANNEL_EXECUTE", "DTMF", "CHANNEL_HANGUP", "CHANNEL_EXECUTE_COMPLETE"]
    done = client.events[3]
    assert (done["Application"], done["Application-Response"]) == ("read", "_none_")
    assert ("set", "never=1") not in call.executed


def test_an_application_may_wait_and_may_fail_meanwhile() -> None:
    def broken(_session: Any, _data: str) -> Iterator[Any]:
        raise RuntimeError("broken while it waits")
        yield

    with pytest.raises(RuntimeError, match="broken while it waits"), Emulator() as switch:  # noqa: PT012
        switch.applications["broken"] = broken  # type: ignore[assignment]
        with called(switch, mode="full") as (_call, client):
            client.ask("connect")
            assert client.text(execute("broken")) == "+OK"
            assert client.text("api echo still here") == "still here"


def test_a_script_that_fails_is_silence_and_fails_the_test() -> None:
    def confused(prompt: str) -> str:
        raise LookupError(prompt)

    def ask(call: Any) -> None:
        call.execute("read", "1 4 pin.wav got 60000 #", wait=True)
        call.hangup()

    with pytest.raises(LookupError, match=r"pin\.wav"), eslcodec.serve(ask) as server, Emulator() as switch:
        assert switch.call("127.0.0.1", server.port, script=confused).wait(20) == "NORMAL_CLEARING"


@pytest.mark.parametrize("mode", ["async full", "full"])
def test_many_calls_at_once_have_their_own_digits(switch: Emulator, mode: str) -> None:
    def ask(call: Any) -> None:
        call.execute("play_and_get_digits", "1 4 1 60000 # pin.wav bad.wav got", wait=True)
        call.hangup()

    with eslcodec.serve(ask) as server:
        calls = [switch.call("127.0.0.1", server.port, mode=mode, caller=str(number)) for number in range(20)]
        for number, call in enumerate(calls):
            call.press(f"{number}#")
        assert {call.wait(30) for call in calls} == {"NORMAL_CLEARING"}
    assert [call.variable("got") for call in calls] == [str(number) for number in range(20)]


def test_event_lock_keeps_the_order_of_what_waits_for_digits(switch: Emulator) -> None:
    with called(switch) as (call, client):
        client.ask("connect")
        client.ask("event plain CHANNEL_EXECUTE CHANNEL_EXECUTE_COMPLETE")
        for name in "abc":
            client.ask(execute("read", f"1 1 silence {name} 60000 #", event_lock="true"))
        for key in "123":
            call.press(key)
        client.until(lambda: len(client.events) == 6)
    assert [event["Application-Data"].split()[3] for event in client.events] == ["a", "a", "b", "b", "c", "c"]
    assert [call.variable(name) for name in "abc"] == ["1", "2", "3"]
