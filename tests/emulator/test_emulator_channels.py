"""Channels of the emulated switch: what runs on them, and how they end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from emulated import FAREWELL, Client, called, connected, names
from ports import free_port

import eslcodec
from eslcodec.emulator import EmulatedCall, Emulator, Run, Session


@pytest.fixture
def switch() -> Iterator[Emulator]:
    with Emulator() as switch:
        yield switch


def execute(application: str, data: str = "", **headers: str) -> str:
    lines = ["sendmsg", "call-command: execute", f"execute-app-name: {application}", f"execute-app-arg: {data}"]
    return "\n".join([*lines, *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())])


def executions(client: Client) -> list[str]:
    short = {"CHANNEL_EXECUTE": "begin", "CHANNEL_EXECUTE_COMPLETE": "end"}
    return [f"{short[event.name]} {event['Application-UUID']}" for event in client.events if event.name in short]


@pytest.fixture
def slow(switch: Emulator) -> Emulator:
    switch.applications["sleep"] = lambda _session, data: int(data) / 1000
    return switch


def test_executes_nest_without_event_lock(slow: Emulator) -> None:
    with called(slow) as (_call, client):
        for command in ("connect", "myevents"):
            client.ask(command)
        client.send("".join(execute("sleep", "20", Event_UUID=uuid) + "\n\n" for uuid in "abc"))
        client.until(lambda: len(executions(client)) == 6)
    assert executions(client) == ["begin a", "begin b", "begin c", "end c", "end b", "end a"]


def test_executes_with_event_lock_wait_for_each_other(slow: Emulator) -> None:
    with called(slow) as (_call, client):
        for command in ("connect", "myevents"):
            client.ask(command)
        client.send("".join(execute("sleep", "5", Event_UUID=uuid, event_lock="true") + "\n\n" for uuid in "abc"))
        client.until(lambda: len(executions(client)) == 6)
    assert executions(client) == ["begin a", "end a", "begin b", "end b", "begin c", "end c"]


def test_a_static_connection_is_answered_when_the_application_has_ended(slow: Emulator) -> None:
    with called(slow, mode="full") as (call, client):
        for command in ("connect", "event plain ALL"):
            client.ask(command)
        client.send(execute("sleep", "100") + "\n\napi echo next\n\n")
        slow.wait_for(lambda: call.executed, 20)
        slow.fire("HEARTBEAT")
        client.until(lambda: {"HEARTBEAT", "CHANNEL_EXECUTE_COMPLETE"} <= set(names(client)))
        kinds = [getattr(message, "name", None) or type(message).__name__ for message in client.messages[2:]]
        assert kinds[:3] == ["CommandReply", "ApiResponse", "CHANNEL_EXECUTE"]
        assert sorted(kinds[3:]) == ["CHANNEL_EXECUTE_COMPLETE", "HEARTBEAT"]


def test_async_true_makes_one_execute_of_a_static_connection_async(slow: Emulator) -> None:
    with called(slow, mode="full") as (_call, client):
        client.ask("connect")
        client.ask("myevents")
        assert client.text(execute("sleep", "60000", **{"async": "true"})) == "+OK"
        assert client.text("api echo free") == "free"


def test_a_short_application_is_not_repeated_and_a_long_one_is(switch: Emulator) -> None:
    flies = switch._switch.core.later
    switch._switch.core.later = lambda seconds, call: flies(seconds / 100, call)
    switch.applications["short"] = 0.4
    switch.applications["long"] = Run(0.5, "DONE")
    with called(switch) as (call, client):
        client.ask("connect")
        client.ask("myevents")
        client.ask(execute("short", loops="3", Event_UUID="s"))
        client.ask(execute("long", loops="3", Event_UUID="l", Event_UUID_Name="n"))
        client.until(lambda: len(executions(client)) == 8)
    assert executions(client).count("begin s") == 1
    assert executions(client).count("begin l") == 3
    last = [event for event in client.events if event["Application-UUID"] == "l"][-1]
    assert (last["Application-Response"], last["Application-UUID-Name"]) == ("DONE", "n")
    assert [application for application, _ in call.executed] == ["short", "long"]


def test_an_unknown_application_hangs_up(switch: Emulator) -> None:
    with called(switch) as (call, client):
        client.ask("connect")
        client.send(execute("nosuchapp") + "\n\n")
        assert call.wait(20) == "DESTINATION_OUT_OF_ORDER"


def test_an_application_may_be_a_function(switch: Emulator) -> None:
    def greet(session: Session, data: str) -> None:
        session.variables["greeting"] = f"hello {data}"

    switch.applications["greet"] = greet
    with called(switch, mode="full") as (_call, client):
        client.ask("connect")
        assert client.text(execute("greet", "you")) == "+OK"
        assert client.text("getvar greeting") == "hello you"


def test_what_an_application_raises_comes_out_at_the_end() -> None:
    def broken(_session: Session, _data: str) -> None:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"), Emulator() as switch:  # noqa: PT012
        switch.applications["broken"] = broken
        with called(switch, mode="full") as (_call, client):
            client.ask("connect")
            assert client.text(execute("broken")) == "+OK"


def test_an_application_takes_seconds() -> None:
    with pytest.raises(TypeError, match="'odd' gave 'x'"), Emulator() as switch:  # noqa: PT012
        switch.applications["odd"] = lambda _session, _data: "x"  # type: ignore[assignment,return-value]
        with called(switch, mode="full") as (_call, client):
            client.ask("connect")
            assert client.text(execute("odd")) == "+OK"


def test_xferext_executes_one_application_after_the_other(slow: Emulator) -> None:
    with called(slow) as (call, client):
        client.ask("connect")
        client.ask("myevents")
        client.ask(
            "sendmsg\ncall-command: xferext\napplication: sleep 10\napplication: set a=b\napplication: hangup 17"
        )
        assert call.wait(20) == "USER_BUSY"
    assert call.executed == [("sleep", "10"), ("set", "a=b"), ("hangup", "17")]


def test_xferext_of_many_applications_that_end_at_once(switch: Emulator) -> None:
    with called(switch) as (call, client):
        client.ask("connect")
        many = "application: set a=b\n" * 2000
        client.ask(f"sendmsg\ncall-command: xferext\n{many}application: hangup 17")
        assert call.wait(20) == "USER_BUSY"
    assert call.executed == [("set", "a=b")] * 2000 + [("hangup", "17")]


def test_an_inbound_connection_commands_a_channel_by_its_id(switch: Emulator) -> None:
    session = switch.add_session("s1", answered=False)
    with connected(switch, "event plain CHANNEL_ANSWER CHANNEL_EXECUTE_COMPLETE") as client:
        assert client.text(execute("answer").replace("sendmsg", "sendmsg s1")) == "+OK"
        assert client.text("sendmsg\nsession-id: s1\n" + execute("set", "a=b").partition("\n")[2]) == "+OK"
        client.until(lambda: len(client.events) == 3)
    assert names(client) == ["CHANNEL_ANSWER", "CHANNEL_EXECUTE_COMPLETE", "CHANNEL_EXECUTE_COMPLETE"]
    assert (session.answered, session.variables["a"]) == (True, "b")


def test_an_inbound_connection_lingers_after_its_channel(switch: Emulator) -> None:
    switch.add_session("s1", name="sofia/x")
    with connected(switch, "myevents s1", "linger 1") as client:
        switch.hangup("s1", "USER_BUSY")
        client.to_the_end()
        first, last = [message for message in client.messages if isinstance(message, eslcodec.DisconnectNotice)]
    assert (first.linger, first.linger_time, first.channel_name, first.controlled_uuid) == (True, 1, "sofia/x", "s1")
    assert (last.final, last.text) == (True, FAREWELL)
    at = client.messages.index(first)
    assert isinstance(client.messages[at - 1], eslcodec.Event)
    assert client.events[-1].name == "CHANNEL_HANGUP_COMPLETE"


def test_linger_without_a_time_ends_with_exit(switch: Emulator) -> None:
    with called(switch, uuid="c1") as (call, client):
        for command in ("connect", "linger", "myevents"):
            client.ask(command)
        call.hangup("NO_ANSWER")
        client.until(lambda: isinstance(client.messages[-1], eslcodec.DisconnectNotice))
        assert client.text("api echo still here") == "still here"
        assert client.text(execute("set", "late=1")) == "+OK"
        assert client.text("exit") == "+OK bye"
        client.to_the_end()
        assert client.messages[-1]["Controlled-Session-UUID"] == "c1"
        assert call.wait(20) == "NO_ANSWER"
        assert ("set", "late=1") not in call.executed
        assert call.commands[-1] == "exit"


def test_the_dialplan_ends_a_static_call_that_its_client_leaves(switch: Emulator) -> None:
    with connected(switch, "event plain CHANNEL_HANGUP CHANNEL_UNPARK CHANNEL_DESTROY") as watcher:
        with called(switch, mode="full") as (call, client):
            client.ask("connect")
        assert call.wait(20) == "NORMAL_CLEARING"
        watcher.until(lambda: "CHANNEL_DESTROY" in names(watcher))
        assert names(watcher) == ["CHANNEL_HANGUP", "CHANNEL_DESTROY"]


def test_an_async_call_stays_parked_unless_resumed(switch: Emulator) -> None:
    with called(switch, uuid="parked") as (call, client):
        client.ask("connect")
    assert call.wait(20) is None
    assert "parked" in switch.sessions
    with called(switch, uuid="resumed") as (call, client):
        client.ask("connect")
        client.ask("resume")
    assert call.wait(20) == "NORMAL_CLEARING"
    assert set(switch.sessions) == {"parked"}


@pytest.mark.parametrize("mode", ["async full", "async"])
def test_an_answered_async_call_goes_on_in_the_dialplan(switch: Emulator, mode: str) -> None:
    with connected(switch, "event plain ALL") as watcher:
        with called(switch, mode=mode, answered=True) as (call, client):
            client.ask("connect")
        assert call.wait(20) == "NORMAL_CLEARING"
        watcher.until(lambda: "CHANNEL_DESTROY" in names(watcher))
    assert names(watcher)[-7:] == [
        "CHANNEL_UNPARK",
        "CHANNEL_EXECUTE_COMPLETE",  # of `socket`
        "CHANNEL_HANGUP",
        "CHANNEL_STATE",
        "CHANNEL_STATE",
        "CHANNEL_HANGUP_COMPLETE",
        "CHANNEL_DESTROY",
    ]


def test_a_call_that_its_client_answered_goes_on_once_everything_is_done(slow: Emulator) -> None:
    with called(slow) as (call, client):
        client.ask("connect")
        client.ask(execute("answer"))
        client.ask(execute("sleep", "10", event_lock="true"))
        client.ask(execute("set", "a=b", event_lock="true"))
    slow.wait_for(lambda: call.hangup_cause, 20)
    assert call.executed == [("answer", ""), ("sleep", "10"), ("set", "a=b")]


@pytest.mark.parametrize("mode", ["full", ""])
def test_resume_on_a_static_socket_resets_the_channel_for_ever(switch: Emulator, mode: str) -> None:
    with connected(switch, "event plain CHANNEL_STATE CHANNEL_EXECUTE_COMPLETE CHANNEL_HANGUP") as watcher:
        with called(switch, mode=mode, uuid="c1", answered=True) as (call, client):
            client.ask("connect")
            assert client.text("resume") == "+OK"
        assert call.wait(20) is None
        watcher.until(lambda: len(watcher.events) == 2)
        assert [event.get("Application") for event in watcher.events] == ["socket", None]
        assert watcher.events[-1]["Channel-State"] == call.session.state == "CS_RESET"
        assert "c1" in switch.sessions
        assert watcher.text("api uuid_kill c1") == "+OK\n"  # the only way out
    assert call.hangup_cause == "NORMAL_CLEARING"


def test_an_unanswered_call_stays_parked_until_it_is_hung_up(switch: Emulator) -> None:
    with connected(switch, "event plain CHANNEL_UNPARK CHANNEL_EXECUTE_COMPLETE CHANNEL_HANGUP_COMPLETE") as watcher:
        with called(switch, uuid="c1") as (call, client):
            client.ask("connect")
            client.ask("myevents")
        assert call.wait(20) is None
        assert (call.session.parked, call.session.state) == (True, "CS_EXECUTE")
        switch.hangup("c1", "ORIGINATOR_CANCEL")
        watcher.until(lambda: len(watcher.events) == 3)
        assert names(watcher) == ["CHANNEL_UNPARK", "CHANNEL_EXECUTE_COMPLETE", "CHANNEL_HANGUP_COMPLETE"]
    assert not call.session.parked


INTERRUPTED = {  # what comes behind CHANNEL_EXECUTE when the caller hangs up during a playback
    ("async full", False): "CHANNEL_HANGUP CHANNEL_EXECUTE_COMPLETE disconnect",
    ("async full", True): "CHANNEL_HANGUP CHANNEL_EXECUTE_COMPLETE linger",
    ("async", False): "CHANNEL_HANGUP CHANNEL_EXECUTE_COMPLETE disconnect",
    ("full", False): "CHANNEL_HANGUP CHANNEL_EXECUTE_COMPLETE disconnect",
    ("full", True): "linger CHANNEL_HANGUP CHANNEL_EXECUTE_COMPLETE",
    ("", False): "CHANNEL_HANGUP CHANNEL_EXECUTE_COMPLETE disconnect",
}


@pytest.mark.parametrize(("mode", "linger"), INTERRUPTED)
def test_the_caller_hangs_up_during_a_playback(switch: Emulator, mode: str, linger: bool) -> None:
    switch.applications["playback"] = 60
    with called(switch, mode=mode) as (call, client):
        for command in ("connect", "myevents", *(["linger"] if linger else [])):
            client.ask(command)
        client.send(execute("playback", "a.wav") + "\n\n")
        switch.wait_for(lambda: call.executed, 20)
        call.hangup("ORIGINATOR_CANCEL")
        wanted = INTERRUPTED[mode, linger].split()
        client.until(lambda: len(seen(client)) >= len(wanted) + 1)
    assert seen(client) == ["CHANNEL_EXECUTE", *wanted]
    [complete] = [event for event in client.events if event.name == "CHANNEL_EXECUTE_COMPLETE" and is_played(event)]
    assert complete["Application-Response"] == "PLAYBACK ERROR"
    assert (complete["Answer-State"], complete["Hangup-Cause"]) == ("hangup", "ORIGINATOR_CANCEL")


def is_played(event: eslcodec.Event) -> bool:
    return event.get("Application") == "playback"


def seen(client: Client) -> list[str]:
    """Notices and the events that an execution and a hang-up bring, in order."""
    return [
        message.get("Content-Disposition", "") if isinstance(message, eslcodec.DisconnectNotice) else message.name or ""
        for message in client.messages
        if isinstance(message, eslcodec.DisconnectNotice)
        or (isinstance(message, eslcodec.Event) and (is_played(message) or message.name == "CHANNEL_HANGUP"))
    ]


def test_the_linger_notice_of_an_idle_static_call_comes_behind_its_hangup(switch: Emulator) -> None:
    with called(switch, mode="full") as (call, client):
        for command in ("connect", "myevents", "linger"):
            client.ask(command)
        call.hangup()
        client.until(lambda: len(seen(client)) == 2)
        assert seen(client) == ["CHANNEL_HANGUP", "linger"]
        assert client.text(execute("playback", "a.wav")) == "+OK"  # and no event of it
        assert client.text("api echo on") == "on"
        assert len(seen(client)) == 2


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("log -1", "+OK log level -1 [0]"),
        ("log +3", "+OK log level +3 [3]"),
        ("log 5.9", "+OK log level 5.9 [5]"),
        ("log -", "+OK log level - [0]"),
        ("log 64", "-ERR invalid log level"),
        ("log 65", "+OK log level 65 [63]"),
        ("log disable", "+OK log level disable [-1]"),
        ("log 1a", "-ERR invalid log level"),
    ],
)
def test_levels_of_the_log(switch: Emulator, command: str, answer: str) -> None:
    with connected(switch) as client:
        assert client.text(command) == answer


def test_unload_takes_modules_that_are_there(switch: Emulator) -> None:
    with connected(switch) as client:
        assert client.text("api unload mod_nosuch") == "-ERR [No such module!]\n"
        assert client.text("api unload -f mod_sofia") == "+OK\n"
        assert client.text("api unload mod_sofia") == "-ERR [No such module!]\n"
        assert client.text("api unload") == "-USAGE: [-f] <mod_name>\n"


def test_a_call_shows_what_it_is(switch: Emulator) -> None:
    with connected(switch, "event plain CHANNEL_EXECUTE CHANNEL_PARK") as watcher:
        with called(switch, variables={"a": ["x", "y"]}, path="p") as (call, client):
            channel = client.ask("connect")
            assert channel.getlist("variable_a") == ["x", "y"]
            assert (channel["variable_socket_path"], channel["Answer-State"]) == ("p", "ringing")
            assert channel["Unique-ID"] == call.uuid
            assert (channel["Socket-Mode"], channel["Control"]) == ("async", "full")
            assert not call.over
            assert call.uuid in repr(call)
        watcher.until(lambda: len(watcher.events) == 2)
        assert watcher.events[0]["Application-Data"].endswith("/p async full")


def test_a_call_is_over_once_its_channel_has_gone_on() -> None:
    seen: set[tuple[bool, str | None]] = set()
    calls: list[EmulatedCall] = []

    def clock() -> float:  # is asked for each event
        seen.update((call.over, call.hangup_cause) for call in calls)
        return 1.0

    with Emulator(clock=clock) as switch, connected(switch, "event plain ALL"):
        with called(switch) as (call, client):
            calls.append(call)
            client.ask("connect")
            client.ask("resume")
        assert call.wait(20) == "NORMAL_CLEARING"
    assert (False, "NORMAL_CLEARING") in seen
    assert not [cause for over, cause in seen if over and cause is None]


def test_dial_says_if_nobody_listens(switch: Emulator) -> None:
    with pytest.raises(OSError, match="refused"):
        switch.dial("127.0.0.1", free_port())
    assert switch.sessions == {}


def test_only_a_running_switch_dials() -> None:
    with pytest.raises(RuntimeError, match="does not run"):
        Emulator().dial("127.0.0.1", 1)


def test_hangup_takes_live_channels_and_known_causes(switch: Emulator) -> None:
    switch.add_session("s1")
    with pytest.raises(KeyError):
        switch.hangup("s1", "BORED")
    with pytest.raises(KeyError):
        switch.hangup("s2")
    session = switch.sessions["s1"]
    switch.hangup("s1", "USER_BUSY")
    assert switch.sessions == {}
    assert repr(session) == "<Session s1 USER_BUSY>"
