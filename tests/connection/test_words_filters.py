"""Filters that keep everything back, less than ALL, and which events a call's connection gets.

Each test runs against the blocking shell and the asyncio one (`shell`), with the emulator as the switch.
"""

from __future__ import annotations

from types import ModuleType

import pytest
from shells import PATIENCE
from support import part
from words_support import Shell, fire_two, warnings
from words_support import shell as shell
from words_support import switch as switch

from eslcodec.emulator import Emulator

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
