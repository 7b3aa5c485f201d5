"""`ChannelFilter`: what it passes says nothing new of a channel."""

from __future__ import annotations

from itertools import islice
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import captured, examples, part

NAMES = {"CHANNEL_ANSWER": True, "CHANNEL_CREATE": True, "CHANNEL_DESTROY": False}


def filter_of(esl: ModuleType) -> Any:
    return part(esl, "_codec").ChannelFilter(esl.Event, NAMES)


def event(esl: ModuleType, name: str, uuid: str | None = None) -> Any:
    return esl.Event.build(name, {} if uuid is None else {"Unique-ID": uuid})


def place(items: list[Any], start: int, heard: dict[Any, int], gaps: int, kind: type[Any]) -> int:
    """The same, one by one."""
    for at in range(max(start, 0), len(items)):
        item = items[at]
        if type(item) is not kind:
            return at
        opens = NAMES.get(item.get("Event-Name"))
        if opens is False or (opens and heard.get(item.get("Unique-ID"), -1) != gaps):
            return at
    return max(start, len(items))


def test_it_stops_at_what_is_new(esl: ModuleType) -> None:
    passes = filter_of(esl).passes
    items = [event(esl, "DTMF", "x"), event(esl, "CHANNEL_ANSWER", "a"), event(esl, "CHANNEL_DESTROY", "a")]
    assert passes(items, 0, {}, 0) == 1
    assert passes(items, -5, {"a": 3}, 3) == 2
    assert passes(items, 0, {"a": 3}, 4) == 1
    assert passes(items, 2, {"a": 3}, 3) == 2
    assert passes(items, 3, {"a": 3}, 3) == 3
    assert passes(items, 10**6, {}, 0) == 10**6
    assert passes([], 0, {}, 0) == 0
    assert passes(items[:1] * 1000, 0, {}, 0) == 1000


def test_what_is_no_event_itself_is_looked_at(esl: ModuleType) -> None:
    class Other(esl.Event):  # type: ignore[misc, name-defined]
        pass

    passes = filter_of(esl).passes
    for item in (None, "text", 5, esl.Gap.of(2.5, "gone"), Other.build("DTMF", {}), esl.CommandReply(b"A: b\n\n")):
        assert passes([event(esl, "DTMF"), item], 0, {}, 0) == 1


def test_without_a_uuid_it_is_looked_at(esl: ModuleType) -> None:
    passes = filter_of(esl).passes
    assert passes([event(esl, "CHANNEL_ANSWER")], 0, {"": 0, "a": 0}, 0) == 0
    nameless = esl.Event.from_payload(b"Unique-ID: a\n\n", "plain")
    assert passes([nameless], 0, {}, 0) == 1


def test_the_mapping_may_be_any_dict(esl: ModuleType) -> None:
    class Own(dict[str, int]):
        pass

    items = [event(esl, "CHANNEL_ANSWER", "a"), event(esl, "CHANNEL_ANSWER", "b")]
    big = 10**30
    assert filter_of(esl).passes(items, 0, Own(a=big, b=0), big + 0) == 1
    with pytest.raises(TypeError, match="heard is 5"):
        filter_of(esl).passes(items, 0, 5, 0)
    with pytest.raises(TypeError):
        filter_of(esl).passes(None, 0, {}, 0)


def test_of_messages_only(esl: ModuleType) -> None:
    for kind in (int, object):
        with pytest.raises(TypeError, match="no subclass of Message"):
            part(esl, "_codec").ChannelFilter(kind, NAMES)


@pytest.mark.parametrize("name", ["calls_sip", "transfer_hold_json", "conference_xml", "churn_plain", "lowlevel"])
def test_of_a_recording_it_passes_what_says_nothing(esl: ModuleType, name: str) -> None:
    """From each place, with half of the channels known."""
    items = list(islice(captured(esl, name), 1500))
    uuids = sorted({uuid for item in items if (uuid := item.get("Unique-ID"))})
    heard = {uuid: number % 3 for number, uuid in enumerate(uuids)}
    passes = filter_of(esl).passes
    for gaps in (0, 1):
        at = 0
        while at < len(items):
            found = passes(items, at, heard, gaps)
            assert found == place(items, at, heard, gaps, esl.Event)
            at = found + 1


PARTS = st.sampled_from(
    [
        b"Event-Name: DTMF\n",
        b"Event-Name: CHANNEL_ANSWER\n",
        b"Event-Name: CHANNEL_DESTROY\n",
        b"Event-Name:CHANNEL_ANSWER\r\n",
        b"Event-Name: CHANNEL_ANSWER\r\n",
        b"event-name: CHANNEL_CREATE\n",
        b"Event-Name: CHANNEL%5FANSWER\n",
        b"Unique-ID: a\n",
        b"Unique-ID: a\r\n",
        b"Unique-ID:a\n",
        b"Unique-ID: \n",
        b"unique-id: b\n",
        b"Unique-ID: b\n",
        b"Unique-ID: %61\n",
        b"Unique-ID: ARRAY::a|:b\n",
        b"Unique-ID: \xff\n",
        b"Unique-ID-2: b\n",
        b"A-Unique-ID: b\n",
        b"Content-Length: 13\n",
        b"\n",
        b"\r\n",
        b"x",
        b"X: %b\n" % (b"x" * 70),
    ]
)
FIRST = st.sampled_from([b"", b"Event-Name: DTMF\n", b"Event-Name: CHANNEL_ANSWER\n", b"Event-Name: CHANNEL_DESTROY\n"])
EVENTS = st.tuples(FIRST, st.lists(PARTS, max_size=6).map(b"".join), st.sampled_from([b"", b"\n", b"\n\n"])).map(
    b"".join
)


@examples(1000)
@given(events=st.lists(EVENTS, min_size=1, max_size=4), gaps=st.integers(0, 1))
def test_both_cores_pass_the_same(both: tuple[ModuleType, ModuleType], events: list[bytes], gaps: int) -> None:
    """What is not written as a switch does, too; with a memory of a decoder and without."""
    heard = {"a": 0, "b": 1, "": gaps, "a" * 65: gaps}
    seen = []
    for esl in both:
        items = [esl.Event.from_payload(payload, "plain") for payload in events]
        decoder = esl.Decoder()
        for payload in events:
            decoder.feed(b"Content-Length: %d\nContent-Type: text/event-plain\n\n%b" % (len(payload), payload))
            items += list(decoder)
        for start in range(len(items)):
            seen.append(filter_of(esl).passes(items, start, heard, gaps))
            assert seen[-1] == place(items, start, heard, gaps, esl.Event)
    assert seen[: len(seen) // 2] == seen[len(seen) // 2 :]


def test_frames_that_end_anywhere(esl: ModuleType) -> None:
    passes = filter_of(esl).passes
    whole = b"Event-Name: CHANNEL_ANSWER\nCore-UUID: c\nUnique-ID: abc\nX: y\n\n"
    for end in range(len(whole) + 1):
        item = esl.Event.from_payload(whole[:end], "plain")
        for heard in ({"abc": 0}, {"ab": 0}, {}):
            assert passes([item], 0, heard, 0) == place([item], 0, heard, 0, esl.Event), end


def test_it_is_made_once(esl: ModuleType) -> None:
    names = {"CHANNEL_ANSWER": True, "\udce9": False, "caf\xe9": False}
    made = part(esl, "_codec").ChannelFilter(esl.Event, names)
    assert made.passes([event(esl, "CHANNEL_ANSWER", "a"), event(esl, "DTMF")], 0, {"a": 0}, 0) == 2
    assert made.passes([esl.Event.from_payload("Event-Name: caf\xe9\n\n".encode(), "plain")], 0, {}, 0) == 0
    if part(esl, "_codec").__impl__ == "c":
        with pytest.raises(TypeError, match="once"):
            made.__init__(esl.Event, names)
