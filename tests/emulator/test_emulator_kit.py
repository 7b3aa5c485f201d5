"""What helps people who write tests: missing commands, expected commands, shaped events, filtered replays, asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from support import plugin_option

import eslcodec
from eslcodec import Event, aio, render
from eslcodec.emulator import (
    AioEmulator,
    Emulator,
    Endpoint,
    Later,
    NotEmulated,
    NotRunning,
    Run,
    Session,
    Switch,
    UnknownEvent,
)
from eslcodec.emulator._api import default_answers
from eslcodec.emulator._dialling import Order
from eslcodec.emulator._digits import Gone, Wait, step_of
from eslcodec.emulator._expected import difference
from eslcodec.emulator._model import Until
from eslcodec.emulator._shapes import shape
from eslcodec.emulator._thread import LoopThread
from eslcodec.headers import HeaderList


def shaped(name: str, headers: dict[str, Any] | None = None, subclass: str | None = None) -> dict[str, Any]:
    return dict(shape(name, headers or {}, subclass, lambda: 1.0, lambda kind: f"new-{kind}"))


def test_a_strict_emulator_fails_for_a_command_that_is_missing_and_not_meant_to_be() -> None:
    with pytest.raises(NotEmulated) as caught, Emulator(strict=True) as switch:  # noqa: PT012, SIM117
        with eslcodec.connect(switch.host, switch.port) as fs:
            switch.api["meant"] = None
            assert fs.api("meant").text == "-ERR meant Command not found!\n"
            for _ in range(2):
                assert fs.api("lua", "greet.lua").text == "-ERR lua Command not found!\n"
            with pytest.raises(TimeoutError, match=re.escape("switch.api['lua'] = ...")):
                switch.wait_for(lambda: False, timeout=0.01)
    sentence = "no API command 'lua' is emulated: say switch.api['lua'] = ..., with None if it is meant to be missing"
    assert str(caught.value) == sentence


def test_a_call_that_is_not_over_says_what_it_does() -> None:
    go_on = threading.Event()

    def dial(call: eslcodec.sync.Call) -> None:
        go_on.wait(30)
        call.dial("user/1000")

    with eslcodec.serve(dial) as server, Emulator() as switch:
        switch.endpoints["user/1000"] = "answer"
        call = switch.call("127.0.0.1", server.port)
        with pytest.raises(TimeoutError, match="it runs no application, and waits for the server; not so within"):
            call.wait(0.01)
        go_on.set()
        switch.wait_for(lambda: call._doing().startswith("it is in bridge"), 30)
        assert call.executed[-1] == ("bridge", "user/1000")
        with pytest.raises(TimeoutError, match=r"it is in bridge 'user/1000', which Endpoint\(talks=...\) or call"):
            call.wait(0.01)
        call.hangup()
        assert call.wait(30) == "NORMAL_CLEARING"


def test_an_emulator_that_is_not_strict_only_tells() -> None:
    with Emulator() as switch, eslcodec.connect(switch.host, switch.port) as fs:
        assert not fs.api("lua").ok
        assert len(switch.unexpected) == 1


def test_expected_commands_are_compared_exactly_in_any_order_or_among_others() -> None:
    came = ["auth secret", "event plain ALL", "api status"]
    assert difference(["auth secret", re.compile("event .*"), "api status"], came) is None
    assert difference(["api status", "auth secret", "event plain ALL"], came, any_order=True) is None
    assert difference(["auth secret", "api status"], came, containing=True) is None
    assert difference(["api status"], came, any_order=True, containing=True) is None
    told = difference(["auth secret", "event json ALL"], came) or ""
    assert told.splitlines() == [
        "commands differ (- expected, + received):",
        "  auth ***",
        "- event json ALL",
        "+ event plain ALL",
        "+ api status",
    ]
    assert difference(["auth other", *came[1:]], came) is not None
    assert "secret" not in str(difference(["auth other", *came[1:]], came))
    assert "other" not in str(difference([re.compile("^auth other"), *came[1:]], came))
    assert (difference(["api status", "auth secret"], came, containing=True) or "").startswith("commands are not all")
    assert (difference(["exit"], came, any_order=True) or "").splitlines()[1] == "- exit"


def test_patterns_that_match_several_commands_give_way_to_one_another() -> None:
    patterns = [re.compile("api .*"), re.compile("api st.*"), re.compile("api status")]
    assert difference(patterns, ["api status", "api strftime", "api echo"], any_order=True) is None
    assert difference(patterns, ["api status", "api echo", "api x"], any_order=True) is not None


def test_what_differs_among_very_many_commands_is_told_with_what_stands_around_it() -> None:
    came = [f"api echo {number}" for number in range(2000)]
    told = difference([*came[:1000], "api status", *came[1001:]], came) or ""
    assert told.splitlines()[4:7] == ["  api echo 999", "- api status", "+ api echo 1000"]
    assert len(told.splitlines()) == 10


def test_events_fired_by_a_wrong_name_or_into_nothing_are_the_tests_mistake() -> None:
    switch = Emulator()
    with pytest.raises(NotRunning, match="does not run"):
        switch.fire("HEARTBEAT")
    with switch, eslcodec.connect(switch.host, switch.port) as fs:
        fs.subscribe("ALL")
        with pytest.raises(UnknownEvent, match="did you mean 'CHANNEL_ANSWER'"):
            switch.fire("CHANNEL_ANSWERED")
        switch.fire("NOVEL_EVENT", unknown=True)
        switch.fire("CHANNEL_HANGUP_COMPLETE", {"Unique-ID": "a1", "Hangup-Cause": "USER_BUSY"}, shaped=True)
        novel, ended = fs.take(max=2, timeout=20), None
        ended = novel[1] if len(novel) > 1 else fs.next_event(timeout=20)
        assert isinstance(ended, Event)
        assert ended.getlist("Hangup-Cause") == ["USER_BUSY", "USER_BUSY"]
        assert (ended["Caller-Unique-ID"], ended["variable_hangup_cause"]) == ("a1", "USER_BUSY")
        switch.assert_commands(re.compile("auth .*"), re.compile("event.*"), any_order=False)


def test_shaped_events_have_what_such_events_carry() -> None:
    bridged = shaped("CHANNEL_BRIDGE", {"Unique-ID": "a", "Other-Leg-Unique-ID": "b"})
    assert (bridged["Bridge-A-Unique-ID"], bridged["Bridge-B-Unique-ID"], bridged["Other-Type"]) == (
        "a",
        "b",
        "originatee",
    )
    created = shaped("CHANNEL_CREATE", {"Caller-Caller-ID-Number": "7"})
    assert (created["Answer-State"], created["Channel-Call-State"], created["Unique-ID"]) == (
        "ringing",
        "DOWN",
        "new-channel",
    )
    assert created["Caller-Username"] == "7"
    assert not any(name.startswith("variable_") for name in shaped("CHANNEL_STATE"))
    assert shaped("DTMF", {"DTMF-Digit": "5"})["DTMF-Digit"] == "5"
    assert shaped("CUSTOM", subclass="sofia::register")["profile-name"] == "internal"
    assert shaped("HEARTBEAT", {"X": "1"})["X"] == "1"


def test_a_filtered_replay_gives_each_connection_what_it_asked_for() -> None:
    events = [
        Event.build(name, {"Unique-ID": uuid}) for uuid in ("a", "b") for name in ("CHANNEL_CREATE", "CHANNEL_ANSWER")
    ]
    log = render.log_data(b"line\n", level=4, file="a.c", function="f", line=1, uuid="")
    capture = b"".join(render.event_frame(event.serialize("plain"), "plain") for event in events) + log
    with Emulator(replay=capture, replay_filtered=True, then="close") as switch:
        with eslcodec.connect(switch.host, switch.port) as fs:
            fs.filter("Unique-ID", "b")
            fs.subscribe("CHANNEL_ANSWER", format="json")
            (got,) = list(fs.events())
        assert isinstance(got, Event)
        assert (got.name, got.uuid, got.content_type) == ("CHANNEL_ANSWER", "b", "text/event-json")
        with eslcodec.connect(switch.host, switch.port) as fs:
            fs.subscribe("ALL", format="plain")
            assert [event.name for event in fs.events()] == [event.name for event in events]


def test_the_emulator_serves_asynchronous_tests_without_a_plugin() -> None:
    async def main() -> str | None:
        async def handler(call: aio.Call) -> None:
            await call.hangup("USER_BUSY")

        async with AioEmulator() as switch, aio.serve(handler) as server:
            call = await switch.call("127.0.0.1", server.port)
            assert await call.wait(20) == "USER_BUSY"
            assert call.hangup_cause == "USER_BUSY"
            async with aio.connect(switch.host, switch.port) as fs:
                await fs.subscribe("HEARTBEAT")
                await switch.assert_commands("event HEARTBEAT", containing=True)
                assert await switch.wait_for(lambda: "event HEARTBEAT" in switch.commands, 20)
                switch.fire("HEARTBEAT")
                return (await fs.next_event(timeout=20)).name

    assert asyncio.run(main()) == "HEARTBEAT"


def test_the_fixtures_are_there_and_the_strict_one_fails_its_test(tmp_path: Path) -> None:
    (tmp_path / "test_user.py").write_text(
        "import asyncio, eslcodec\n"
        "from eslcodec import aio\n"
        "def test_aio(aio_esl_switch):\n"
        "    async def main():\n"
        "        async with aio.connect(aio_esl_switch.host, aio_esl_switch.port):\n"
        "            await aio_esl_switch.assert_commands('auth ClueCon', containing=True)\n"
        "    asyncio.run(main())\n"
        "def test_missing(esl_switch):\n"
        "    with eslcodec.connect(esl_switch.host, esl_switch.port) as fs:\n"
        "        fs.api('lua')\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(eslcodec.__file__).parents[1])}
    command = [sys.executable, "-m", "pytest", "-q", *plugin_option(), "-p", "no:cacheprovider", "test_user.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert "2 passed, 1 error" in done.stdout, done.stdout + done.stderr
    assert "say switch.api['lua'] = ..." in done.stdout


def test_whatever_a_function_of_the_test_raises_everybody_is_answered_and_the_test_fails() -> None:
    def wrong(*_args: object) -> Any:
        pytest.fail("not to be asked")

    with pytest.raises(pytest.fail.Exception, match="not to be asked"), Emulator() as switch:  # noqa: PT012, SIM117
        with eslcodec.connect(switch.host, switch.port) as fs:
            switch.api.update(fails=wrong, leaves=lambda _args: sys.exit(3))
            switch.endpoints.update({"user/1": Endpoint("busy", after=0.01), "user/2": wrong, "user/3": "answer"})
            switch.dialplan["7"] = switch.dialplan["8"] = wrong
            switch.dialplan["9"] = [("set", "a=1", "too many")]  # type: ignore[list-item]
            assert fs.api("fails").text == "-ERR not to be asked\n"
            assert fs.api("leaves").text == "-ERR SystemExit(3)\n"
            assert fs.api("originate", "user/1|user/2 &park").text == "-ERR NORMAL_TEMPORARY_FAILURE\n"
            assert [fs.api("originate", f"user/3 {extension}").ok for extension in "789"] == [True] * 3
            assert switch.sessions == {}
            with pytest.raises(TimeoutError, match="a function of the test raised not to be asked"):
                switch.wait_for(lambda: False, timeout=0.01)
    assert len(switch.errors) == 6


def test_who_connects_is_turned_away_if_the_function_that_lets_in_raises() -> None:
    with Emulator(allow=lambda _address: sys.exit(3)) as switch:
        with pytest.raises(eslcodec.AccessDenied, match="Access Denied"):
            eslcodec.connect(switch.host, switch.port)
        assert repr(switch.errors.pop()) == "SystemExit(3)"


def test_the_emulators_thread_is_ended_by_another_one_only() -> None:
    errors: list[BaseException] = []
    thread = LoopThread(errors.append)
    thread.start(lambda: None)
    assert thread.loop is not None
    thread.loop.call_soon_threadsafe(sys.exit, 3)
    assert (thread.run(lambda: "it runs"), list(map(repr, errors))) == ("it runs", ["SystemExit(3)"])
    with pytest.raises(RuntimeError, match="cannot end itself"):
        thread.run(lambda: thread.stop(lambda: None))
    assert thread.run(lambda: "it runs") == "it runs"
    thread.stop(lambda: None)


@pytest.mark.parametrize(
    ("steps", "raised"),
    [
        ([1.0], "TypeError(\"application 'x' is a generator, expected seconds, Run or None\")"),
        (None, "RuntimeError('generator ignored GeneratorExit')"),
    ],
)
def test_an_application_that_is_a_wrong_generator_ends(steps: list[Any] | None, raised: str) -> None:
    def application(_session: Session, _data: str) -> Any:
        yield from steps or ()
        for _ in range(3):
            with contextlib.suppress(GeneratorExit, Gone):
                yield Wait(None)

    switch = Switch()
    switch.channels.applications["x"] = application
    session = switch.channels.add(Session("a"))
    ended: list[str] = []
    switch.channels.run(session, "x", "", lambda: ended.append("x"))
    switch.channels.hangup(session)
    assert (ended, list(map(repr, switch.core.errors)), switch.channels.sessions) == (["x"], [raised], {})


def test_long_dialplans_long_queues_and_many_console_commands_are_no_recursion() -> None:
    switch = Switch(answers=default_answers)
    switch.calls.endpoints["user/1"] = "answer"
    switch.calls.dialplan["7"] = [*[("set", f"a={number}") for number in range(500)], ("park", "")]
    switch.execute("originate", "{origination_uuid=a}user/1 7")
    session = switch.channels.sessions["a"]
    assert (len(session.executed), session.executed[-1], session.variables["a"]) == (501, ("park", ""), "499")
    switch.channels.applications["lock"] = lambda _session, _data: until
    until = Until()
    for name, data, lock in [("lock", "", "true"), *(("set", f"b={number}", "false") for number in range(500))]:
        fields = [("call-command", "execute"), ("execute-app-name", name), ("execute-app-arg", data)]
        switch.channels.send_message(session, HeaderList([*fields, ("event-lock", lock)]))
    until.end()
    assert (session.executed[-1], len(session.executed)) == (("set", "b=499"), 1002)
    outputs: list[bytes] = []
    switch.run_api(";;".join(["echo a"] * 500), None, True, outputs.append)
    assert (outputs, switch.core.errors) == ([b"a" * 500], [])


def test_variables_that_name_themselves_end() -> None:
    switch = Switch(answers=default_answers)
    switch.variables.update(once="${once}", twice="<${twice}${twice}>")
    assert switch.execute("eval", "a ${once}") == "a ${once}"
    output = switch.execute("eval", "${twice}")
    assert isinstance(output, str)
    assert output.startswith("<<<")
    assert switch.core.errors == []


def test_a_loop_of_transfers_ends_as_in_the_switch_and_nothing_is_kept_of_it() -> None:
    switch = Switch(answers=default_answers)
    switch.calls.endpoints["user/1"] = "answer"
    switch.calls.dialplan["7"] = "transfer:7"
    legs: list[Session] = []
    switch.calls.dial(Order("user/1"), lambda leg, _cause: legs.append(leg))  # type: ignore[arg-type]
    switch.calls.originated(legs[0], "7", None, None)
    assert (legs[0].hangup_cause, legs[0].executed) == ("EXCHANGE_ROUTING_ERROR", [("transfer", "7")] * 70)
    switch.calls.dialplan["8"] = "answer"
    for _ in range(3):
        switch.execute("originate", "user/1 8")
    assert (switch.calls._plans, switch.calls._followed, switch.core.errors) == ({}, {}, [])


def test_what_a_test_says_wrongly_is_refused_where_it_says_so() -> None:
    with pytest.raises(TypeError, match=re.escape("Run: seconds is '1', expected int or float")):
        Run("1")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=re.escape("Later: output is None, expected str or bytes")):
        Later(1, None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="5 is no step, expected keys"):
        step_of(5)  # type: ignore[arg-type]
    with Emulator() as switch, eslcodec.serve(lambda call: call.park()) as server:
        call = switch.call("127.0.0.1", server.port)
        with pytest.raises(KeyError, match="USER_BUZY"):
            call.hangup("USER_BUZY")
        assert call.hangup_cause is None


@pytest.mark.parametrize(
    ("command", "output"),
    [
        ("fsctl loglevel ²", "-ERR syntax error, log level not set!\n"),
        ("originate error/² &park", "-ERR DESTINATION_OUT_OF_ORDER\n"),
        (f"originate error/{'9' * 5000} &park", "-ERR DESTINATION_OUT_OF_ORDER\n"),
        ("originate error/17 &park undef undef n n ²", "-ERR USER_BUSY\n"),
        ("regex a|a{99999999999}", "false"),
        (f"regex a|(a)|%{'9' * 5000}", ""),
        ("strftime 99999999999999999999|%Y", ""),
        ("strftime \0", ""),
        ("uuid_getvar a list[²]", "_undef_"),
        (f"uuid_getvar a list[{'9' * 5000}]", "_undef_"),
        ("uuid_getvar a list[1]", "y"),
    ],
)
def test_numbers_that_are_none_and_numbers_beyond_all_use_are_answered(command: str, output: str) -> None:
    switch = Switch(answers=default_answers)
    switch.channels.add(Session("a", {"list": ["x", "y"]}))
    outputs: list[bytes] = []
    word, _, args = command.partition(" ")
    switch.run_api(word, args, False, outputs.append)
    assert (outputs, switch.core.errors) == ([output.encode()], [])
