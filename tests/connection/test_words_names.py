"""Names of events that a switch answers with +OK and that do nothing, and handlers that cannot match.

Each test runs against the blocking shell and the asyncio one (`shell`), with the emulator as the switch.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from functools import partial
from types import ModuleType
from typing import Any

import pytest
import support
from hypothesis import given
from hypothesis import strategies as st
from shells import HOST, PATIENCE
from support import part
from words_support import Shell, asked, warnings
from words_support import shell as shell
from words_support import strange as strange
from words_support import switch as switch

from eslcodec import EventName, InvalidCommand, _words
from eslcodec.emulator import Emulator

NAMES = sorted(EventName.__members__)


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


def test_lists_of_names_say_how_they_are_given(shell: Shell, switch: Emulator) -> None:
    shell.joins(switch)
    for names, said in (
        (shell.esl.presets.CALLS, r"is a tuple, expected str: each name is an argument \(\*names\)$"),
        ("CALLS", r"named 'CALLS', expected the list's names: \*presets\.CALLS \("),
        ("GATEWAYS", r"named 'GATEWAYS', expected the list's names: custom=presets\.GATEWAYS \("),
        (
            "CHANNEL_ANSWER DTMF",
            r"\(each name is an argument; subclasses: custom=...\)$",
        ),
    ):
        with pytest.raises((TypeError, shell.esl.InvalidCommand), match=said):
            shell.do("subscribe", names)
    assert asked(switch) == []


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
