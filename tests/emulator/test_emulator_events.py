"""Events of the emulated switch: how they are written, who gets them, filters, log lines."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from emulated import connected, fence

import eslcodec
from eslcodec.emulator import Emulator, Listener
from eslcodec.emulator._switch import Switch


@pytest.fixture
def switch() -> Iterator[Emulator]:
    with Emulator() as switch:
        yield switch


# Events


def test_the_same_event_in_three_formats(switch: Emulator) -> None:
    headers = {"Unique-ID": "a1", "Text": "a b: c%", "Array": ["x", "y"], "Utf": "你好"}
    read = []
    for format in ("plain", "json", "xml"):
        with connected(switch, f"event {format} MESSAGE") as client:
            switch.fire("MESSAGE", headers, "body of\ntwo lines")
            event = client.next_event()
        assert event.content_type == f"text/event-{format}"
        assert (event.name, event.body, event.getlist("Array")) == ("MESSAGE", b"body of\ntwo lines", ["x", "y"])
        read.append([event[name] for name in ("Unique-ID", "Text", "Utf", "FreeSWITCH-Hostname")])
    assert read[0] == read[1] == read[2] == ["a1", "a b: c%", "你好", "emulator"]


def test_events_get_the_headers_of_the_core() -> None:
    with Emulator(clock=lambda: 1_795_441_722.5) as switch, connected(switch, "event plain ALL") as client:
        switch.fire("HEARTBEAT")
        switch.fire("HEARTBEAT")
        first, second = client.next_event(), client.next_event()
    assert first["Event-Date-GMT"] == "Mon, 23 Nov 2026 13:48:42 GMT"
    assert first["Event-Date-Timestamp"] == "1795441722500000"
    assert (second.sequence or 0) - (first.sequence or 0) == 1
    assert first["Core-UUID"] == second["Core-UUID"]


def test_a_ready_made_event_is_fired_as_it_is(switch: Emulator) -> None:
    event = eslcodec.Event.build("DTMF", {"Core-UUID": "c", "DTMF-Digit": "#"})
    with connected(switch, "event plain DTMF") as client:
        switch.fire(event)
        assert client.next_event().pairs() == event.pairs()


def test_an_event_that_no_switch_could_send_is_refused(switch: Emulator) -> None:
    with pytest.raises(eslcodec.InvalidCommand):
        switch.fire("DTMF", {"a: b": "c"})


def test_the_subclass_comes_before_the_name(switch: Emulator) -> None:
    with connected(switch, "event plain CUSTOM a::b") as client:
        switch.fire("CUSTOM", {"X": "1"}, subclass="a::b")
        assert client.next_event().pairs()[:2] == [("Event-Subclass", "a::b"), ("Event-Name", "CUSTOM")]


def test_all_means_the_subclasses_known_by_then_once_a_name_is_nixed(switch: Emulator) -> None:
    switch.fire("CUSTOM", subclass="old::one")
    with connected(switch, "event plain ALL", "nixevent DTMF") as client:
        switch.fire("CUSTOM", subclass="new::one")
        switch.fire("DTMF")
        switch.fire("CUSTOM", subclass="old::one")
        assert client.next_event().subclass == "old::one"
        assert len(client.events) == 1


def test_a_subclass_of_sendevent_is_not_registered(switch: Emulator) -> None:
    with connected(switch, "event plain ALL") as other:
        other.text("sendevent CUSTOM\nEvent-Subclass: mine::own")
        with connected(switch, "event plain ALL", "nixevent DTMF") as client:
            other.text("sendevent CUSTOM\nEvent-Subclass: mine::own")
            switch.fire("TALK")
            assert client.next_event().name == "TALK"


def test_keys_are_pressed_as_long_as_the_call_lasts(switch: Emulator) -> None:
    with eslcodec.serve(lambda call: call.exit()) as server, connected(switch, "event plain DTMF") as client:
        call = switch.dial("127.0.0.1", server.port)
        call.dtmf("1#")
        call.hangup()
        call.dtmf("2")
        call.wait(20)
        fence(switch, client)
        events = client.events
    assert [(event["DTMF-Digit"], event.uuid) for event in events] == [("1", call.uuid), ("#", call.uuid)]
    assert "variable_uuid" not in events[0]  # as in captures


def test_nixevent_of_a_subclass_keeps_the_others(switch: Emulator) -> None:
    with connected(switch, "event plain CUSTOM a b", "nixevent CUSTOM a") as client:
        switch.fire("CUSTOM", subclass="a")
        switch.fire("CUSTOM", subclass="b")
        assert client.next_event().subclass == "b"


def test_event_names_may_have_their_prefix(switch: Emulator) -> None:
    with connected(switch, "event plain switch_event_dtmf") as client:
        switch.fire("DTMF")
        assert client.next_event().name == "DTMF"


def test_noevents_drops_what_waits(switch: Emulator) -> None:
    with connected(switch, "event plain DTMF") as client:
        client.send("noev")
        switch.wait_for(lambda: switch.listeners[0].held, 20)
        switch.fire("DTMF")
        assert client.text("ents") == "+OK no longer listening for events"
        fence(switch, client)
        assert client.events == []


def test_events_wait_until_all_pipelined_commands_are_answered(switch: Emulator) -> None:
    switch.api["fire"] = lambda args: switch.fire("DTMF", {"Digit": args})  # type: ignore[func-returns-value]
    with connected(switch, "event plain DTMF") as client:
        client.send("api fire 1\n\napi fire 2\n\napi echo x\n\n")
        client.until(lambda: len(client.events) == 2)
    kinds = [type(message).__name__ for message in client.messages[-5:]]
    assert kinds == ["ApiResponse"] * 3 + ["Event"] * 2


# Filters


def passing(filters: list[str], *headers: dict[str, str]) -> list[str]:
    """Which of the events with these headers pass, by their `N`."""
    switch = Switch()
    listener = Listener(switch)
    listener.start()
    listener.receive(b"auth ClueCon\n\nevent plain ALL\n\n")
    for line in filters:
        listener.receive(f"filter {line}\n\n".encode())
    events = [switch.core.event("DTMF", [("N", str(at)), *pairs.items()]) for at, pairs in enumerate(headers)]
    return [event.headers.get("N") or "" for event in events if listener.fire(event)]


def test_filters_are_alternatives() -> None:
    assert passing(["A 1", "B 2"], {"A": "1"}, {"B": "2"}, {"A": "2", "B": "1"}, {}) == ["0", "1"]


def test_a_negative_filter_vetoes() -> None:
    assert passing(["A 1", "B -2"], {"A": "1"}, {"A": "1", "B": "2"}, {"A": "1", "B": "3"}) == ["0", "2"]


def test_with_negative_filters_only_nothing_passes() -> None:
    assert passing(["B -2"], {"B": "2"}, {"B": "3"}, {}) == []


def test_a_filter_in_slashes_is_a_regular_expression() -> None:
    assert passing(["A /^x.z$/"], {"A": "xyz"}, {"A": "XYZ"}, {"A": "x"}) == ["0"]
    assert passing(["A /^x.z$/i"], {"A": "xyz"}, {"A": "XYZ"}, {"A": "x"}) == ["0", "1"]
    assert passing(["A /(/"], {"A": "("}) == []
    assert passing(["A /x"], {"A": "x"}, {"A": "/x"}) == []


def test_a_negative_regular_expression_is_none() -> None:
    assert passing(["A 1", "B -/2/"], {"A": "1", "B": "2"}, {"A": "1", "B": "/2/"}) == ["0"]


def test_filters_compare_without_case_and_match_values_with_blanks() -> None:
    assert passing(["application play back"], {"Application": "PLAY BACK"}) == ["0"]


def test_a_deleted_filter_filters_no_more() -> None:
    assert passing(["A 1", "A 2", "delete A 1"], {"A": "1"}, {"A": "2"}) == ["1"]
    assert passing(["A 1", "A 2", "delete a"], {"A": "1"}, {"A": "2"}) == ["0", "1"]
    assert passing(["A 1", "B 2", "delete all"], {}) == ["0"]


def test_a_filter_without_a_value_filters_nothing() -> None:
    assert passing(["add A"], {}) == ["0"]
    assert passing(["A "], {}) == ["0"]
    assert passing(["A 1", "B 2", "a "], {"A": "1"}, {"B": "2"}) == ["1"]  # an empty one deletes, as in a header


def test_a_filter_that_is_an_array_compares_as_one() -> None:
    assert passing(["A ARRAY::1|:2"], {"A": "ARRAY::1|:2"}, {"A": "1"}) == ["0"]
    assert passing(["A ARRAY::1"], {"A": "1"}, {"A": "ARRAY::1"}) == ["0"]
    assert passing(["A ARRAY::1|:2", "delete A ARRAY::1|:2"], {}) == ["0"]


# myevents, log lines


def test_myevents_lets_only_the_channels_own_events_through(switch: Emulator) -> None:
    switch.add_session("mine")
    with connected(switch, "event json BACKGROUND_JOB", "myevents mine") as client:
        switch.fire("DTMF", {"Unique-ID": "other"})
        switch.fire("HEARTBEAT", {"Unique-ID": "mine"})
        client.ask("bgapi echo x\nJob-UUID: j")
        switch.fire("DTMF", {"Unique-ID": "mine"})
        client.until(lambda: len(client.events) == 2)
        assert [(event.name, event.content_type) for event in client.events] == [
            ("BACKGROUND_JOB", "text/event-json"),
            ("DTMF", "text/event-json"),
        ]
        assert client.events[0]["Job-Owner-UUID"] == "mine"


def test_log_lines_come_up_to_the_level(switch: Emulator) -> None:
    with connected(switch, "log warning") as client:
        switch.log("INFO", "not this")
        switch.log("err", "this\n\nContent-Length: 5", uuid="a1", file="x.c", function="f", line=7)
        client.until(lambda: isinstance(client.messages[-1], eslcodec.LogLine))
        line = client.messages[-1]
        assert isinstance(line, eslcodec.LogLine)
        assert (line.level, line.text, line.uuid) == (3, "this\n\nContent-Length: 5\n", "a1")
        assert (line.file, line.function, line.line) == ("x.c", "f", 7)
        client.ask("nolog")
        switch.log(0, "nor this")
        fence(switch, client)
        assert sum(isinstance(message, eslcodec.LogLine) for message in client.messages) == 1
    with pytest.raises(ValueError, match="no log level"):
        switch.log("loud", "x")
