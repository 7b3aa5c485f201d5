"""Words that a switch answers with +OK and that do nothing: names, handlers, filters; and a call's own digits.

Each test runs against the blocking shell and the asyncio one (`shell`), with the emulator as the switch.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import re
import string
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from types import ModuleType
from typing import Any

import pytest
import shells
import support
from hypothesis import given
from hypothesis import strategies as st
from shells import HOST, PATIENCE, until
from support import part

from eslcodec import EventName, InvalidCommand, _words
from eslcodec.emulator import EmulatedCall, Emulator, Fault

NAMES = sorted(EventName.__members__)


class Shell(shells.Shell):
    """A client, or a call, behind blocking methods, whichever shell it is of."""

    def __init__(self, esl: ModuleType, kind: str) -> None:
        super().__init__(esl, kind)
        self.server: Any = None

    def joins(self, switch: Emulator, **options: Any) -> Any:
        """Connected to a switch, and logged in."""
        self.client = self.opening(switch.port, **options).result(PATIENCE)
        return self.client

    def answers(self, switch: Emulator, mode: str = "async full") -> EmulatedCall:
        """A call is taken, `client` is our side of it; its handler waits until the call is closed."""
        calls: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.server = self._start(self._module.serve, self._handler(calls)).result(PATIENCE)
        call = switch.dial(HOST, self.server.port, mode=mode)
        self.client = calls.get(timeout=PATIENCE)
        return call

    def _handler(self, calls: queue.SimpleQueue[Any]) -> Callable[[Any], Any]:
        self._over: Any = None

        def take(call: Any) -> None:
            over = self._over = Future[None]()
            calls.put(call)
            over.result(PATIENCE)

        async def take_async(call: Any) -> None:
            await asyncio.to_thread(take, call)

        return take if self.kind == "sync" else take_async

    def digits(self, timeout: float | None = None, count: int | None = None) -> Future[list[str]]:
        """What `dtmf` gives, until it ends or there are so many."""
        iterator = self.dtmf(timeout)
        return self._start(self._collected if self.kind == "sync" else self._collected_async, iterator, count)

    def dtmf(self, timeout: float | None = None) -> Any:
        if self.kind == "sync":
            return self.client.dtmf(timeout)

        async def call() -> Any:
            return self.client.dtmf(timeout)

        return self._start(call).result(PATIENCE)

    @staticmethod
    def _collected(iterator: Iterator[str], count: int | None) -> list[str]:
        typed = []
        for digit in iterator:
            typed.append(digit)
            if len(typed) == count:
                break
        return typed

    @staticmethod
    async def _collected_async(iterator: Any, count: int | None) -> list[str]:
        typed: list[str] = []
        async for digit in iterator:
            typed.append(digit)
            if len(typed) == count:
                break
        return typed

    def close(self) -> None:
        if self.server is not None:
            self._over.set_result(None)
            self._start(self.server.close).result(PATIENCE)
            self.client = None
        super().close()


@pytest.fixture(params=["sync", "aio"])
def shell(esl: ModuleType, request: pytest.FixtureRequest) -> Iterator[Shell]:
    shell = Shell(esl, request.param)
    yield shell
    shell.close()


@pytest.fixture
def switch() -> Iterator[Emulator]:
    with Emulator() as switch:
        yield switch


@pytest.fixture
def strange() -> str:
    """A name that is like none, and that no test has had before: each is logged once."""
    return f"NEW_{uuid.uuid4().hex.upper()}"


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def asked(switch: Emulator) -> list[str]:
    """The commands, but for the login."""
    return [command for command in switch.commands if not command.startswith("auth ")]


# Names of events


VERBS = [("subscribe", ()), ("sendevent", ()), ("on", (print,))]


def use(shell: Shell, verb: str, *arguments: Any, **options: Any) -> Any:
    if verb == "on":
        return shell.client.on(*arguments, **options)
    return shell.do(verb, *arguments, **options)


@pytest.mark.parametrize(("verb", "more"), VERBS)
@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("CHANEL_ANSWER", "CHANNEL_ANSWER"),
        ("channel_hungup", "CHANNEL_HANGUP"),
        ("SWITCH_EVENT_CHANNEL_ANSWERED", "CHANNEL_ANSWER"),
        ("DMTF", "DTMF"),
        ("CUSTOMS", "CUSTOM"),
        ("BACKGROUNDJOB", "BACKGROUND_JOB"),
    ],
)
def test_a_known_name_misspelt_is_refused(
    shell: Shell,
    switch: Emulator,
    caplog: pytest.LogCaptureFixture,
    verb: str,
    more: tuple[Any, ...],
    name: str,
    known: str,
) -> None:
    shell.joins(switch)
    said = rf"^no event is named '{name}', expected '{known}' \(unknown=True: it is meant\)$"
    with pytest.raises(shell.esl.InvalidCommand, match=said):
        use(shell, verb, name, *more)
    assert asked(switch) == []
    use(shell, verb, name, *more, unknown=True) if verb != "subscribe" else use(shell, verb, name, "DTMF", unknown=True)
    assert warnings(caplog) == []
    sent = {"subscribe": [f"event {name} DTMF"], "sendevent": [f"sendevent {name}"], "on": []}[verb]
    assert asked(switch) == sent


def test_a_decorator_is_refused_before_it_decorates(shell: Shell, switch: Emulator) -> None:
    shell.joins(switch)
    with pytest.raises(shell.esl.InvalidCommand, match="expected 'DTMF'"):
        shell.client.on("DMTF")
    with pytest.raises(TypeError, match=r"^the handler is 5, expected a function$"):
        shell.client.on("DTMF")(5)


@pytest.mark.parametrize(("verb", "more"), VERBS)
def test_a_name_that_is_like_none_is_sent_and_logged_once(
    shell: Shell,
    switch: Emulator,
    caplog: pytest.LogCaptureFixture,
    strange: str,
    verb: str,
    more: tuple[Any, ...],
) -> None:
    shell.joins(switch)
    for name in (strange, strange.lower(), f"SWITCH_EVENT_{strange}"):
        use(shell, verb, name, *(("DTMF",) if verb == "subscribe" else more))
    [warning] = warnings(caplog)
    assert warning.startswith(f"FreeSWITCH 1.11 has no event {strange}: ")
    assert "unknown=True" in warning
    if verb != "on":
        assert [command.split()[1] for command in asked(switch)] == [
            strange,
            strange.lower(),
            f"SWITCH_EVENT_{strange}",
        ]


def test_whoever_says_that_a_name_is_meant_reads_nothing_about_it(
    shell: Shell, switch: Emulator, caplog: pytest.LogCaptureFixture, strange: str
) -> None:
    shell.joins(switch)
    shell.do("subscribe", strange, "DTMF", unknown=True)
    shell.do("sendevent", strange, unknown=True)
    shell.client.on(strange, print, unknown=True)
    assert warnings(caplog) == []
    shell.client.on(strange, print)
    assert len(warnings(caplog)) == 1


def test_unknown_lets_nothing_through_that_is_no_name(shell: Shell, switch: Emulator) -> None:
    shell.joins(switch)
    for verb, more in VERBS:
        with pytest.raises(shell.esl.InvalidCommand, match="expected letters, digits and '_'"):
            use(shell, verb, "sofia::register", *more, unknown=True)
    assert asked(switch) == []


def test_what_was_subscribed_to_is_not_looked_at_again(
    shell: Shell, switch: Emulator, caplog: pytest.LogCaptureFixture, strange: str
) -> None:
    shell.joins(switch, reconnect=shell.esl.Backoff(first=0, jitter=0))
    shell.do("subscribe", "CHANEL_ANSWER", strange, "DTMF", unknown=True)
    switch.drop()
    reading = shell.begin("next_event", PATIENCE)
    again = [f"event CHANEL_ANSWER {strange} DTMF"] * 2
    switch.wait_for(lambda: asked(switch) == again, PATIENCE)
    assert isinstance(reading.result(PATIENCE), shell.esl.Gap)
    assert [said for said in warnings(caplog) if "event" in said] == []


def test_what_is_sent_as_it_is_is_not_looked_at(
    shell: Shell, switch: Emulator, caplog: pytest.LogCaptureFixture, strange: str
) -> None:
    esl = shell.esl
    shell.joins(switch)
    assert shell.do("send", f"event plain CHANEL_ANSWER {strange} DTMF").ok
    assert shell.do("send", "sendevent CHANEL_ANSWER").ok
    connection = part(esl, "connection").Connection.inbound("x")
    connection.receive(support.AUTH + support.ACCEPTED)
    connection.subscribe("CHANEL_ANSWER", strange)
    connection.sendevent("CHANEL_ANSWER")
    official = part(esl, "ESL").ESLconnection(HOST, str(switch.port), "ClueCon")
    assert official.events("plain", f"CHANEL_ANSWER {strange} DTMF") == 0
    switch.wait_for(lambda: asked(switch).count(f"event plain CHANEL_ANSWER {strange} DTMF") == 2)
    official.disconnect()
    assert part(esl, "commands").event("CHANEL_ANSWER") == b"event CHANEL_ANSWER\n\n"
    assert warnings(caplog) == []


def naive_distance(one: str, other: str) -> int:
    if not (one and other):
        return len(one) + len(other)
    rows = [[max(a, b) if not (a and b) else 0 for b in range(len(other) + 1)] for a in range(len(one) + 1)]
    for a in range(1, len(one) + 1):
        for b in range(1, len(other) + 1):
            same = rows[a - 1][b - 1] + (one[a - 1] != other[b - 1])
            rows[a][b] = min(rows[a - 1][b] + 1, rows[a][b - 1] + 1, same)
    return rows[-1][-1]


def edited(name: str, edits: list[tuple[str, int, str]]) -> str:
    for what, place, letter in edits:
        at = place % (len(name) + 1)
        name = name[:at] + (letter if what != "out" else "") + name[at + (what != "in") :]
    return name


@support.examples(300)
@given(
    st.sampled_from(NAMES),
    st.lists(
        st.tuples(st.sampled_from(["in", "out", "other"]), st.integers(0, 40), st.sampled_from(string.ascii_uppercase)),
        max_size=4,
    ),
)
def test_the_nearest_name_is_within_two_letters(known: str, edits: list[tuple[str, int, str]]) -> None:
    name = edited(known, edits)
    distances = {other: naive_distance(name, other) for other in NAMES}
    found = _words.nearest(name)
    if min(distances.values()) > 2:
        assert found is None
    else:
        assert found is not None
        assert distances[found] == min(distances.values())


def test_a_long_name_costs_nothing() -> None:
    assert _words.nearest("X" * 10_000_000) is None
    with pytest.raises(InvalidCommand):
        _words.check_names(["CHANNEL_HANGUP_COMPLETES"], False)


@pytest.mark.parametrize("name", [*NAMES, *map(str.lower, NAMES), *(f"SWITCH_EVENT_{name}" for name in NAMES)])
def test_a_known_name_is_none_misspelt(name: str, caplog: pytest.LogCaptureFixture) -> None:
    _words.check_names([name], False)
    assert warnings(caplog) == []


# Handlers


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("sofia::register", r'expected letters, digits and \'_\' (subclasses: "CUSTOM", subclass=...)'),
        ("CHANNEL_*", "expected letters, digits and '_'"),
        ("CHANNEL_ANSWER CHANNEL_HANGUP", "expected letters, digits and '_'"),
        ("CHANNEL_ANSWER,DTMF", "expected letters, digits and '_'"),
        ("", "expected letters, digits and '_'"),
        ("DTMF\n", "expected a single line"),
        ("json", "which the switch takes for a format"),
    ],
)
def test_a_handler_is_for_what_can_come(shell: Shell, switch: Emulator, name: str, why: str) -> None:
    shell.joins(switch)
    with pytest.raises(shell.esl.InvalidCommand, match=re.escape(why.replace("\\", ""))):
        shell.client.on(name, print)
    with pytest.raises(shell.esl.InvalidCommand):
        shell.do("subscribe", name)
    assert asked(switch) == []


@pytest.mark.parametrize("subclass", ["", "a::b c::d", "a::b\n"])
def test_a_subclass_is_one_word(shell: Shell, switch: Emulator, subclass: str) -> None:
    shell.joins(switch)
    with pytest.raises(shell.esl.InvalidCommand, match=r"^a subclass "):
        shell.client.on("CUSTOM", print, subclass=subclass)


@pytest.mark.parametrize("name", [None, 5, b"DTMF"])
def test_a_name_is_text(shell: Shell, switch: Emulator, name: Any) -> None:
    shell.joins(switch)
    for verb, more in VERBS:
        with pytest.raises(TypeError, match=r"^an event name is \w+, expected str$"):
            use(shell, verb, name, *more)


class Awaited:
    async def __call__(self, event: Any) -> None: ...

    async def method(self, event: Any) -> None: ...


async def coroutine(first: Any, event: Any = None) -> None: ...


@pytest.mark.parametrize("handler", [coroutine, partial(partial(coroutine), 1), Awaited(), Awaited().method])
def test_a_coroutine_function_is_for_asyncio_alone(shell: Shell, switch: Emulator, handler: Any) -> None:
    shell.joins(switch)
    if shell.kind == "aio":
        assert shell.client.on("DTMF", handler) is handler
        return
    for add in (lambda: shell.client.on("DTMF", handler), lambda: shell.client.on("DTMF")(handler)):
        with pytest.raises(TypeError, match=r"^the handler is an async def, which nothing here awaits"):
            add()
    switch.fire("DTMF")
    assert shell.client._handlers == {}


def test_the_blocking_server_takes_no_coroutine_function(esl: ModuleType) -> None:
    with pytest.raises(TypeError, match=r"^the handler is an async def"):
        esl.serve(coroutine)


def yields(event: Any) -> Iterator[Any]:
    yield event


async def yields_async(event: Any) -> Any:
    yield event


@pytest.mark.parametrize("handler", [yields, yields_async, partial(yields)])
def test_a_handler_that_yields_would_not_run(shell: Shell, switch: Emulator, handler: Any) -> None:
    shell.joins(switch)
    with pytest.raises(TypeError, match=r"^the handler is a generator, of which nothing would run"):
        shell.client.on("DTMF", handler)


@pytest.mark.parametrize("handler", [print, len, str, [].append, partial(print), lambda event: None])
def test_a_handler_is_anything_that_can_be_called(shell: Shell, switch: Emulator, handler: Any) -> None:
    shell.joins(switch)
    assert shell.client.on(EventName.DTMF, handler) is handler
    assert shell.client.on("CUSTOM", subclass="sofia::register")(handler) is handler


# Filters


SILENT = "no event comes until one more filter lets it"


def test_a_first_filter_that_keeps_events_back_is_told(
    shell: Shell, switch: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    shell.joins(switch)
    shell.do("subscribe", "DTMF")
    shell.do("filter", "Unique-ID", "-u-1")
    assert warnings(caplog) == [f"{SILENT}: there is only Unique-ID -u-1, which keeps events back"]
    shell.do("filter", "Unique-ID", "-u-2")
    assert len(caplog.records) == 1
    switch.fire("DTMF", {"Unique-ID": "u-3"})  # which nothing matches
    shell.do("filter", "Event-Name", "DTMF")
    switch.fire("DTMF", {"Unique-ID": "u-1"})
    switch.fire("DTMF", {"Unique-ID": "u-4"})
    assert shell.event().uuid == "u-4"
    assert len(caplog.records) == 1


@pytest.mark.parametrize("value", ["8f08", "+8f08", "-+8f08", "/-8f08/"])
def test_a_first_filter_that_lets_events_through_is_not(
    shell: Shell, switch: Emulator, caplog: pytest.LogCaptureFixture, value: str
) -> None:
    shell.joins(switch)
    shell.do("filter", "Unique-ID", value)
    shell.do("filter", "Unique-ID", "-u-2")
    assert warnings(caplog) == []


def test_filters_of_which_only_those_are_left_are_told_again(
    shell: Shell, switch: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    shell.joins(switch)
    shell.do("filter", "Event-Name", "DTMF")
    shell.do("filter", "Unique-ID", "-u-2")
    assert warnings(caplog) == []
    shell.do("filter_delete", "Event-Name")
    assert len(warnings(caplog)) == 1
    shell.do("filter_delete")
    shell.do("filter", "Unique-ID", "+-u-2")
    assert len(warnings(caplog)) == 2


def test_a_filter_that_is_asked_for_again_is_not_told_again(
    shell: Shell, switch: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    shell.joins(switch, reconnect=shell.esl.Backoff(first=0, jitter=0))
    shell.do("subscribe", "DTMF")
    shell.do("filter", "Unique-ID", "-u-1")
    switch.drop()
    reading = shell.begin("next_event", PATIENCE)
    assert isinstance(reading.result(PATIENCE), shell.esl.Gap)
    assert [said.partition(":")[0] for said in warnings(caplog) if not said.startswith("lost")] == [SILENT]


@pytest.mark.parametrize(
    ("value", "negative"),
    [
        ("x", False),
        ("-x", True),
        ("+x", False),
        (" - x", True),
        ("-+x", False),
        ("+-x", True),
        ("-", True),
        ("", False),
    ],
)
def test_the_last_sign_counts_as_in_the_switch(esl: ModuleType, value: str, negative: bool) -> None:
    subscriptions = part(esl, "subscriptions")
    assert subscriptions.is_negative(value) is negative
    wanted = subscriptions.Subscriptions()
    wanted.filters += [("A", "/./"), ("B", value)]
    if value.strip(" +-"):
        assert wanted.passes(esl.Event.build("DTMF", {"A": "a", "B": "x"})) is not negative


# ALL, and less than that


def test_subclasses_that_nobody_registered_go_with_the_first_name_that_is_taken_out(
    shell: Shell, switch: Emulator
) -> None:
    switch.fire("CUSTOM", subclass="module::one")  # by a module, which has registered it
    shell.joins(switch)
    shell.do("sendevent", "CUSTOM", subclass="mine::before")
    shell.do("subscribe", "ALL", custom=["mine::named"])
    shell.do("unsubscribe", "HEARTBEAT")
    for subclass in ("mine::before", "mine::later", "mine::named", "module::one"):
        shell.do("sendevent", "CUSTOM", {"Number": 1}, subclass=subclass)
    switch.fire("CUSTOM")
    assert [shell.event().subclass for _ in range(3)] == ["mine::named", "module::one", None]


# Events of a call's connection


def fire_two(switch: Emulator, call: EmulatedCall) -> None:
    other = switch.add_session()
    switch.fire("DTMF", {"Unique-ID": other.uuid, "DTMF-Digit": "9"})
    call.dtmf("1")


def test_subscribing_on_a_call_is_for_the_whole_switch(shell: Shell, switch: Emulator) -> None:
    call = shell.answers(switch)
    shell.do("subscribe", "DTMF")
    fire_two(switch, call)
    assert [shell.event()["DTMF-Digit"] for _ in range(2)] == ["9", "1"]


def test_myevents_are_the_calls_own(shell: Shell, switch: Emulator) -> None:
    call = shell.answers(switch)
    shell.do("myevents")
    fire_two(switch, call)
    assert shell.event()["DTMF-Digit"] == "1"


def test_a_filter_makes_them_the_calls_own(shell: Shell, switch: Emulator) -> None:
    call = shell.answers(switch)
    shell.do("filter", "Unique-ID", shell.client.uuid)
    shell.do("subscribe", "DTMF")
    fire_two(switch, call)
    assert shell.event()["DTMF-Digit"] == "1"


# Digits


MODES = ["async full", "async", "full", ""]


@pytest.mark.parametrize("mode", MODES)
def test_digits_are_the_calls_own_and_end_with_it(shell: Shell, switch: Emulator, mode: str) -> None:
    call = shell.answers(switch, mode)
    typed = shell.digits()
    switch.wait_for(lambda: "myevents" in call.commands)
    for digits in ("1", "2#"):
        fire_two(switch, call)
        call.dtmf(digits)
    call.hangup()
    assert typed.result(PATIENCE) == ["1", "1", "1", "2", "#"]
    assert shell.digits().result(PATIENCE) == []


@pytest.mark.parametrize("mode", ["async full", "full"])
def test_with_linger_digits_end_with_the_channel_and_not_with_the_connection(
    shell: Shell, switch: Emulator, mode: str
) -> None:
    call = shell.answers(switch, mode)
    shell.do("linger")
    typed = shell.digits()
    switch.wait_for(lambda: "myevents" in call.commands)
    call.dtmf("12")
    call.hangup()
    assert typed.result(PATIENCE) == ["1", "2"]
    assert shell.digits().result(PATIENCE) == []
    assert not shell.closed
    shell.do("exit")


def test_what_is_typed_while_nobody_iterates_waits(shell: Shell, switch: Emulator) -> None:
    call = shell.answers(switch)
    shell.dtmf()
    switch.wait_for(lambda: "myevents" in call.commands)
    call.dtmf("123")
    assert shell.do("execute", "playback", "a.wav", wait=True)["Application"] == "playback"
    assert shell.digits(count=2).result(PATIENCE) == ["1", "2"]
    call.dtmf("4")
    assert shell.digits(count=2).result(PATIENCE) == ["3", "4"]
    typed = shell.digits(count=1)
    call.dtmf("5")
    assert typed.result(PATIENCE) == ["5"]


def test_digits_end_at_a_pause(shell: Shell, switch: Emulator) -> None:
    call = shell.answers(switch)
    assert shell.digits(timeout=0.01).result(PATIENCE) == []
    call.dtmf("12")
    assert shell.do("execute", "sleep", "1", wait=True)  # they came before this did
    assert shell.digits(timeout=0).result(PATIENCE) == ["1", "2"]
    assert shell.digits(timeout=0).result(PATIENCE) == []
    call.dtmf("3")
    until(lambda: shell.digits(timeout=0).result(PATIENCE) == ["3"])  # what is there is read without waiting
    call.hangup()
    assert shell.digits(timeout=PATIENCE).result(PATIENCE) == []


def test_digits_are_no_events_unless_they_were_asked_for(shell: Shell, switch: Emulator) -> None:
    call = shell.answers(switch)
    typed = shell.digits(count=1)
    switch.wait_for(lambda: "myevents" in call.commands)
    call.dtmf("1")
    assert typed.result(PATIENCE) == ["1"]
    assert shell.do("next_event", 0) is None
    shell.do("subscribe", "DTMF")
    call.dtmf("2")
    assert shell.event()["DTMF-Digit"] == "2"
    assert shell.digits(timeout=0).result(PATIENCE) == ["2"]
    shell.do("unsubscribe", "DTMF")
    typed = shell.digits(count=1)
    call.dtmf("3")
    assert typed.result(PATIENCE) == ["3"]
    assert shell.do("next_event", 0) is None


def test_events_asked_for_before_go_on_being_events(shell: Shell, switch: Emulator) -> None:
    call = shell.answers(switch)
    shell.do("myevents")
    typed = shell.digits(count=1)
    call.dtmf("1")
    assert typed.result(PATIENCE) == ["1"]
    assert shell.event()["DTMF-Digit"] == "1"
    assert call.commands.count("myevents") == 1


def test_filters_let_digits_pass(shell: Shell, switch: Emulator) -> None:
    call = shell.answers(switch)
    shell.do("filter", "Event-Name", "HEARTBEAT")
    typed = shell.digits()
    switch.wait_for(lambda: any(command.startswith("filter add Event-Name DTMF") for command in call.commands))
    call.dtmf("1")
    call.hangup()
    assert typed.result(PATIENCE) == ["1"]


def test_each_digit_is_given_once(shell: Shell, switch: Emulator) -> None:
    call = shell.answers(switch)
    readers = [shell.digits() for _ in range(3)]
    switch.wait_for(lambda: "myevents" in call.commands)
    call.dtmf("0123456789*#ABCD")
    call.hangup()
    typed = [digit for reader in readers for digit in reader.result(PATIENCE)]
    assert sorted(typed) == sorted("0123456789*#ABCD")


def test_closing_ends_them(shell: Shell, switch: Emulator) -> None:
    call = shell.answers(switch)
    typed = shell.digits()
    switch.wait_for(lambda: "myevents" in call.commands)
    shell.do("close")
    assert typed.result(PATIENCE) == []
    assert shell.digits().result(PATIENCE) == []


def test_a_connection_that_breaks_is_an_error(shell: Shell, switch: Emulator) -> None:
    call = shell.answers(switch)
    typed = shell.digits()
    switch.wait_for(lambda: "myevents" in call.commands)
    switch.drop()
    with pytest.raises(shell.esl.ConnectionClosed) as caught:
        typed.result(PATIENCE)
    assert not caught.value.maybe_done
    with pytest.raises(shell.esl.ConnectionClosed):
        shell.digits().result(PATIENCE)
    with pytest.raises(shell.esl.ConnectionClosed):
        shell.digits(timeout=0).result(PATIENCE)


def test_a_digit_behind_events_that_nobody_reads(shell: Shell, switch: Emulator) -> None:
    call = shell.answers(switch)
    shell.do("myevents")
    connection = shell.client.connection
    connection.queue_limit = connection.queue_hard_limit = 5
    typed = shell.digits()
    for _ in range(20):
        switch.fire("CHANNEL_STATE", {"Unique-ID": call.uuid})
    with pytest.raises(shell.esl.EventQueueFull, match="a digit of the caller"):
        typed.result(PATIENCE)


def test_a_switch_that_stands_still_does_not_keep_us(shell: Shell) -> None:
    with Emulator(fault=Fault.stall(after=4000)) as switch:
        call = shell.answers(switch)
        assert shell.digits(timeout=0.01).result(PATIENCE) == []
        call.dtmf("1" * 30)
        typed = shell.digits(timeout=0.2).result(PATIENCE)
        assert typed == ["1"] * len(typed)
        assert len(typed) < 30
