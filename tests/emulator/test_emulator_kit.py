"""What helps people who write tests: missing commands, expected commands, shaped events, filtered replays, asyncio."""

from __future__ import annotations

import asyncio
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
from eslcodec.emulator import AioEmulator, Emulator, NotEmulated, NotRunning, UnknownEvent
from eslcodec.emulator._expected import difference
from eslcodec.emulator._shapes import shape


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
        switch.wait_for(lambda: call.executed[-1:] == [("bridge", "user/1000")], 30)
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
    assert (difference(["api status", "auth secret"], came, containing=True) or "").startswith("commands are not all")
    assert (difference(["exit"], came, any_order=True) or "").splitlines()[1] == "- exit"


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
        novel, ended = fs.take(max=2, timeout=5), None
        ended = novel[1] if len(novel) > 1 else fs.next_event(timeout=5)
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
            assert await call.wait() == "USER_BUSY"
            assert call.hangup_cause == "USER_BUSY"
            async with aio.connect(switch.host, switch.port) as fs:
                await fs.subscribe("HEARTBEAT")
                await switch.assert_commands("event HEARTBEAT", containing=True)
                assert await switch.wait_for(lambda: "event HEARTBEAT" in switch.commands)
                switch.fire("HEARTBEAT")
                return (await fs.next_event(timeout=5)).name

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
