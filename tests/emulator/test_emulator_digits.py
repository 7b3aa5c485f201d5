"""Digits on the emulated switch: who types them, which application takes them, and what it makes of them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from emulated import Client, called

import eslcodec
from eslcodec.emulator import EmulatedCall, Emulator, KeysNotTaken, Run

COLLECT = "play_and_get_digits"


@pytest.fixture
def switch() -> Iterator[Emulator]:
    with Emulator() as switch:
        yield switch


def execute(application: str, data: str = "", **headers: str) -> str:
    lines = ["sendmsg", "call-command: execute", f"execute-app-name: {application}", f"execute-app-arg: {data}"]
    return "\n".join([*lines, *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())])


def told(client: Client) -> list[str]:
    """The events of a call, short."""
    short = []
    for event in client.events:
        if event.name == "DTMF":
            short.append(event["DTMF-Digit"])
        elif event.name in ("PLAYBACK_START", "PLAYBACK_STOP"):
            short.append(f"{event.name[9:].lower()} {event['Playback-File-Path']} {event.get('Playback-Status', '')}")
        elif event.name in ("CHANNEL_EXECUTE", "CHANNEL_EXECUTE_COMPLETE"):
            short.append(event.get("Application-Response", event["Application"]))
    return [text.strip() for text in short]


class Line:
    """A static call: each command is answered when its application has ended."""

    def __init__(self, call: EmulatedCall, client: Client) -> None:
        self.call, self.client = call, client

    def run(self, application: str, data: str) -> dict[str, str | None]:
        assert self.client.text(execute(application, data)) == "+OK"
        names = ("read_result", "read_terminator_used", "got", "got_invalid")
        return {name: value for name in names if (value := self.call.variable(name)) is not None}


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


# What an application makes of them: the rules of switch_ivr_read and switch_play_and_get_digits

GOT = {
    # arguments, what the caller types at each prompt: what the variables are
    ("1 4 1 3000 # pin.wav bad.wav got", "12#"): {"got": "12", "read_result": "success", "read_terminator_used": "#"},
    ("1 4 1 3000 # pin.wav bad.wav got", "1234"): {"got": "1234", "read_result": "success"},
    ("1 4 1 3000 # pin.wav bad.wav got", "12"): {"got": "12", "read_result": "timeout"},
    ("1 4 1 3000 # pin.wav bad.wav got", ""): {"read_result": "failure"},
    ("1 4 1 3000 # pin.wav bad.wav got", "#"): {"read_result": "failure", "read_terminator_used": "#"},
    ("0 4 1 3000 # pin.wav bad.wav got", ""): {"read_result": "timeout"},
    ("0 4 1 3000 # pin.wav bad.wav got", "#"): {"read_result": "success", "read_terminator_used": "#"},
    ("3 4 1 3000 # pin.wav bad.wav got", "12#"): {"got": "12", "read_result": "failure", "read_terminator_used": "#"},
    ("1 4 1 3000 *# pin.wav bad.wav got", "1*"): {"got": "1", "read_result": "success", "read_terminator_used": "*"},
    ("1 4 1 3000 none pin.wav bad.wav got", "1#*"): {"got": "1#*", "read_result": "timeout"},
    ("1 4 1 3000 =# pin.wav bad.wav got", "1234"): {"got": "1234", "read_result": "failure"},
    ("1 4 1 3000 =# pin.wav bad.wav got", "1#"): {"got": "1", "read_result": "success", "read_terminator_used": "#"},
    ("1 4 1 3000 +# pin.wav bad.wav got", "1#"): {"got": "1#", "read_result": "success", "read_terminator_used": "#"},
    ("1 4 2 3000 x# pin.wav bad.wav got", "1#"): {"got": "1#", "read_result": "failure", "read_terminator_used": "#"},
    ("1 1 1 3000 # pin.wav bad.wav got", "7"): {"got": "7", "read_result": "success"},
    ("4 4 2 3000 # pin.wav bad.wav got ^1", "2345", "1234"): {
        "got": "1234",
        "got_invalid": "2345",
        "read_result": "success",
    },
    ("1 4 1 3000 # pin.wav bad.wav got /^A/i", "a#"): {
        "got": "a",
        "read_result": "success",
        "read_terminator_used": "#",
    },
    ("1 4 1 3000 # pin.wav bad.wav got (", "1#"): {
        "got_invalid": "1",
        "read_result": "success",
        "read_terminator_used": "#",
    },
    ("1 129 2 3000 # pin.wav bad.wav got", "1"): {},
    ("1 128 1 3000 # pin.wav bad.wav got", "1" * 200): {"got": "1" * 128, "read_result": "success"},
    ("1 4 0 3000 # pin.wav bad.wav got", "1"): {},
    ("1 4 1 3000 # 'my pin.wav' bad.wav got", "1#"): {
        "got": "1",
        "read_result": "success",
        "read_terminator_used": "#",
    },
}


def test_play_and_get_digits(line: Callable[..., Line]) -> None:
    for (data, *script), expected in GOT.items():
        assert (data, line(*script).run(COLLECT, data)) == (data, expected)


def test_read(line: Callable[..., Line]) -> None:
    for data, typed, expected in (
        ("0 4 pin.wav got 3000 #", "12#", {"got": "12", "read_result": "success", "read_terminator_used": "#"}),
        ("0 4 pin.wav got 3000 #", "", {"read_result": "failure"}),  # the least is one, whatever is said
        ("1 3 silence got", "123", {"got": "123", "read_result": "success"}),
        ("2 1 pin.wav got 3000 # 500", "12", {"got": "12", "read_result": "success"}),
        ("1 4 pin.wav got 3000 #", "1", {"got": "1", "read_result": "timeout"}),
    ):
        opened = line(typed)
        assert (data, opened.run("read", data)) == (data, expected)
        assert opened.call.prompts == ([] if "silence" in data else ["pin.wav"])


def test_tries_bring_the_prompt_again_and_the_events_are_those_of_a_switch(line: Callable[..., Line]) -> None:
    opened = line("9#", None, "42")
    assert opened.run(COLLECT, r"2 2 3 5000 # pin.wav bad.wav got ^\d+$")["got"] == "42"
    opened.client.until(lambda: told(opened.client)[-1:] == ["_none_"])
    once = ["start pin.wav", "stop pin.wav done"]
    bad = ["start bad.wav", "stop bad.wav done"]
    assert told(opened.client) == [COLLECT, *once, "9", "#", *bad, *once, *bad, *once, "4", "2", "_none_"]
    assert opened.call.prompts == ["pin.wav", "bad.wav", "pin.wav", "bad.wav", "pin.wav"]


def test_a_prompt_that_is_missing_is_not_answered(switch: Emulator, line: Callable[..., Line]) -> None:
    switch.applications["playback"] = lambda _session, file: Run(response="FILE NOT FOUND") if file == "pin.wav" else 0
    opened = line("1#")
    assert opened.run(COLLECT, "1 4 2 3000 # pin.wav bad.wav got") == {}
    assert opened.call.prompts == ["pin.wav", "bad.wav"] * 2


def test_where_to_go_on_failure(line: Callable[..., Line]) -> None:
    opened = line(None)
    opened.run(COLLECT, r"1 4 1 3000 # pin.wav bad.wav got \d+ 2000 failed XML public")
    assert opened.call.session.profile["Caller-Destination-Number"] == "failed"


# Who types


def collecting(call: Any) -> None:
    for name in ("first", "second"):
        call.execute(COLLECT, f"1 4 1 60000 # {name}.wav bad.wav {name}", wait=True)
    call.hangup()


def test_each_press_is_for_a_prompt_of_its_own(switch: Emulator) -> None:
    with eslcodec.serve(collecting) as server:
        call = switch.call("127.0.0.1", server.port)
        call.press("12#")
        call.press("3")  # and no more: the rest of a minute passes at once
        assert call.wait(20) == "NORMAL_CLEARING"
    assert (call.variable("first"), call.variable("second")) == ("12", "3")
    assert call.prompts == ["first.wav", "second.wav"]


def test_keys_may_be_pressed_before_or_while_an_application_waits(switch: Emulator) -> None:
    with eslcodec.serve(collecting) as server:
        call = switch.call("127.0.0.1", server.port)
        switch.wait_for(lambda: call.prompts == ["first.wav"], 20)
        call.press("1#")
        switch.wait_for(lambda: call.prompts == ["first.wav", "second.wav"], 20)
        call.dtmf("2")
        call.dtmf("2#")
        assert call.wait(20) == "NORMAL_CLEARING"
    assert (call.variable("first"), call.variable("second")) == ("1", "22")


def test_a_script_may_be_a_function_of_the_prompt_or_a_generator(switch: Emulator) -> None:
    def typed() -> Iterator[str]:
        yield "1#"
        yield "2#"

    answers: dict[str, Any] = {"first.wav": "1#", "second.wav": ("press", "2#")}
    with eslcodec.serve(collecting) as server:
        for script in (lambda prompt: answers[prompt], typed()):
            call = switch.call("127.0.0.1", server.port, script=script)
            assert call.wait(20) == "NORMAL_CLEARING"
            assert (call.variable("first"), call.variable("second")) == ("1", "2")


def test_a_caller_hangs_up_at_a_prompt(switch: Emulator) -> None:
    with eslcodec.serve(collecting) as server:
        call = switch.call("127.0.0.1", server.port, script=["1#", ("hangup", "USER_BUSY")])
        assert call.wait(20) == "USER_BUSY"
    assert (call.variable("first"), call.variable("second")) == ("1", None)
    assert call.prompts == ["first.wav", "second.wav"]


def test_digits_for_a_client_that_listens(switch: Emulator) -> None:
    heard: list[str] = []

    def listens(call: Any) -> None:
        digits = call.dtmf(timeout=30)
        call.playback("menu.wav", wait=True)
        heard.append(next(digits))
        call.hangup()

    with eslcodec.serve(listens) as server:
        call = switch.call("127.0.0.1", server.port)
        call.press("5", after="playback")
        assert call.wait(20) == "NORMAL_CLEARING"
    assert heard == ["5"]
    with called(switch) as (call, client):
        call.press("7")
        client.ask("connect")
        client.ask("event plain DTMF")
        assert client.next_event()["DTMF-Digit"] == "7"


def test_keys_that_nothing_took_fail_the_test(switch: Emulator) -> None:
    def deaf(call: Any) -> None:
        call.answer(wait=True)
        call.hangup()

    told = "the call ended before anything took the keys '12#'; it ran answer"
    with eslcodec.serve(deaf) as server:
        call = switch.call("127.0.0.1", server.port)
        call.press("12#", after="playback")
        with pytest.raises(KeysNotTaken, match=told):
            call.wait(20)
        assert call.wait(20) == "NORMAL_CLEARING"  # it is told once
        with pytest.raises(KeysNotTaken, match="took the keys '1'; it ran answer"):
            call.press("1")
        call.dtmf("1")  # nobody hears it
    with pytest.raises(KeysNotTaken, match=told), eslcodec.serve(deaf) as server, Emulator() as other:  # noqa: PT012
        call = other.call("127.0.0.1", server.port)
        call.press("12#", after="playback")
        other.wait_for(lambda: call.hangup_cause, 20)


@pytest.mark.parametrize("keys", ["1x", "\N{ARABIC-INDIC DIGIT ONE}", "1 2", "\u00b2"])
def test_what_is_no_key_is_refused(switch: Emulator, keys: str) -> None:
    with called(switch) as (call, _client):
        for types in (call.press, call.dtmf):
            with pytest.raises(ValueError, match="is no key, expected 0 to 9"):
                types(keys)
    with pytest.raises(ValueError, match="is no step, expected keys, or one of press"):
        switch.call("127.0.0.1", switch.port, script=[("shout", "x")])


# Which application has them


def test_what_is_typed_ahead_waits_for_an_application_that_takes_it(switch: Emulator) -> None:
    switch.applications["sleep"] = 60
    with called(switch, answered=True, mode="full") as (call, client):
        client.ask("connect")
        client.ask("event plain ALL")
        client.send(execute("sleep", "60000") + "\n\n")
        switch.wait_for(lambda: call.executed, 20)
        call.dtmf("1")  # it ends the sleep, and is still there
        client.send(execute(COLLECT, "1 1 1 60000 # pin.wav bad.wav got") + "\n\n")
        client.until(lambda: told(client).count("_none_") == 2)
    assert told(client) == ["sleep", "_none_", COLLECT, "start pin.wav", "1", "stop pin.wav break", "_none_"]
    assert call.variable("got") == "1"
