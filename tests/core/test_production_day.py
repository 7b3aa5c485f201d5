"""What a switch sent on a day like those in production ("Like a production day" in tests/data/captures/README.md).

Calls with every outcome, transfers, holds, registrations, call centre, conference, a killed switch and its recovery,
log lines; some in two formats by two listeners of one switch, some with the truth as the other ends of the calls saw
it. Nothing here has a whole stream in memory. (test_captures.py, test_formats_captures.py and test_emulator_replay.py
take these captures as all others.)
"""

from __future__ import annotations

import importlib
import json
from collections import Counter
from datetime import timedelta
from functools import cache
from itertools import accumulate, pairwise
from types import ModuleType
from typing import Any

import pytest
from losses import written
from sizes import FULL
from support import DATA, LONG, captured, snapshot, to_text

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(0)]

# name: how often a number is smaller than the one before it, and how many events have two heads
NUMBERS = {
    "callcenter": (57, 0),
    "calls_sip": (88, 2),
    "calls_sip_json": (88, 2),
    "conference": (25, 0),
    "conference_xml": (25, 0),
    "lowlevel": (34, 1),
    "registrations": (27, 0),
    "restart_recover_after": (17, 0),
    "restart_recover_before": (3, 0),
    "transfer_hold": (48, 11),
    "transfer_hold_json": (48, 11),
}
STEP = 1 if FULL else 25  # every so manieth event is compared field by field


def events(esl: ModuleType, name: Any) -> Any:
    """The events of a capture. The twin takes half a minute for the long ones in JSON: in make test-all only."""
    if esl.__impl__ == "python" and name in LONG and name.endswith("json") and not FULL:
        pytest.skip("long")
    return (message for message in captured(esl, name) if isinstance(message, esl.Event))


def truth(name: Any) -> Any:
    return json.loads((DATA / "captures" / f"{name}.truth.json").read_text("utf-8"))


def own(message: Any) -> Any:
    return [getattr(message, name, None) for name in ("name", "id", "sequence", "timestamp", "subclass", "uuid")]


def has_two_heads(event: Any) -> Any:
    return event["Event-Sequence"] != str(event.sequence)


# Numbers


@cache
def numbered(esl: ModuleType, name: Any) -> Any:
    """Of each event: the number, the time, and the id that `event` gives, and whether it has two heads."""
    return [(event.sequence, event.timestamp, event.id, has_two_heads(event)) for event in events(esl, name)]


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_are_nearly_in_order_and_never_given_twice(esl: ModuleType, name: Any) -> None:
    numbers = [number for number, _, _, _ in numbered(esl, name)]
    back, two_heads = NUMBERS[name]
    assert sum(later < earlier for earlier, later in pairwise(numbers)) == back
    assert sum(doubled for _, _, _, doubled in numbered(esl, name)) == two_heads
    assert len(set(numbers)) == len(numbers)
    assert max(highest - number for highest, number in zip(accumulate(numbers, max), numbers, strict=True)) < 100
    times = [time for _, time, _, _ in numbered(esl, name)]
    assert max(earlier - later for earlier, later in pairwise(times)) < timedelta(seconds=0.6)


@pytest.mark.parametrize("name", NUMBERS)
def test_every_event_has_an_id_of_its_own_with_the_core_that_sent_it(esl: ModuleType, name: Any) -> None:
    ids = [name for _, _, name, _ in numbered(esl, name)]
    assert len(set(ids)) == len(ids)
    cores = {name.partition(":")[0] for name in ids}
    assert len(cores) == 1
    assert [int(name.partition(":")[2]) for name in ids] == [number for number, _, _, _ in numbered(esl, name)]


def test_a_switch_that_was_killed_has_another_core_afterwards(esl: ModuleType) -> None:
    (*_, last), first = events(esl, "restart_recover_before"), next(events(esl, "restart_recover_after"))
    gap = esl.Gap.of(1.0, "gone", last)
    gap.resume(first)
    assert (gap.last_sequence, gap.same_core, gap.at_most) == (last.sequence, False, None)
    assert first.sequence < last.sequence
    assert first.timestamp > last.timestamp


@pytest.mark.parametrize("name", ["transfer_hold", "transfer_hold_json"])
def test_private_commands_have_the_number_they_were_sent_with(esl: ModuleType, name: str) -> None:
    found = [event for event in events(esl, name) if event.name == "PRIVATE_COMMAND"]
    doubled = list(filter(has_two_heads, found))
    assert (len(found), len(doubled)) == (15, 11)
    for event in doubled:
        values = {}
        for header, value in event.pairs():
            values.setdefault(header, []).append(value)
        assert values["Event-Name"] == ["COMMAND", "PRIVATE_COMMAND"]
        assert values["Event-Sequence"] == [event["Event-Sequence"], str(event.sequence)]
        assert int(event["Event-Sequence"]) < event.sequence
        assert event.id == f"{values['Core-UUID'][-1]}:{event.sequence}"


def test_an_event_sent_with_the_head_of_another_is_known_by_its_own(esl: ModuleType) -> None:
    (note,) = (event for event in events(esl, "lowlevel") if event.subclass == "app::note")
    other = "00000000-0000-4000-8000-000000000000"
    assert (note["Event-Sequence"], note["Core-UUID"], note.getlist("Core-UUID")[0]) == ("77", other, other)
    cores = {name.partition(":")[0] for _, _, name, _ in numbered(esl, "lowlevel")}
    assert note.id == f"{note.getlist('Core-UUID')[-1]}:{note.sequence}"
    assert {note.id.partition(":")[0]} == cores
    assert note.sequence > 77


# Both cores, and two listeners of one switch


@pytest.mark.parametrize("name", NUMBERS)
def test_both_cores_read_a_day_alike(both: tuple[ModuleType, ModuleType], name: Any) -> None:
    for at, (ours, theirs) in enumerate(zip(*(captured(package, name) for package in both), strict=True)):
        assert type(ours).__name__ == type(theirs).__name__
        assert ours.frame == theirs.frame
        if b"Event-Name: COMMAND" in ours.frame or b'"Event-Name":"COMMAND"' in ours.frame:
            assert snapshot(ours) == snapshot(theirs)  # which shows everything, and takes its time
        if at % STEP == 0:
            assert own(ours) == own(theirs)
            assert list(ours.asdict().items()) == list(theirs.asdict().items())
            assert (ours.pairs(), ours.body) == (theirs.pairs(), theirs.body)
            assert ours.to_json() == theirs.to_json()


def in_format(esl: ModuleType, event: Any, format: Any) -> Any:
    """What the switch sends of an event in another format: `%XX` that it left alone is decoded by every reader."""
    render = importlib.import_module(f"{esl.__name__}.render")

    def coded(value: Any) -> Any:
        if isinstance(value, list):
            return [coded(item) for item in value]
        encoded = value.encode("utf-8", "surrogateescape")
        return to_text(esl.unquote(render.quote_server(encoded))) if "%" in value else value

    return written([(name, coded(value)) for name, value in event._fields()], event.body, format)


@pytest.mark.parametrize(
    ("one", "other", "format", "common", "alone"),
    [
        ("calls_sip_json", "calls_sip", "plain", 8153, (11, 0)),
        ("transfer_hold_json", "transfer_hold", "plain", 2719, (2, 2)),
        ("conference", "conference_xml", "xml", 280, (0, 0)),
    ],
)
def test_two_listeners_get_the_same_events_each_in_its_format(
    esl: ModuleType, one: str, other: str, format: str, common: int, alone: Any
) -> None:
    """Both were there at the same time, so each event is in both, but for the first and the last few."""
    sent = [[name for _, _, name, _ in numbered(esl, capture)] for capture in (one, other)]
    both = set(sent[0]) & set(sent[1])
    assert len(both) == common
    assert tuple(len(names) - common for names in sent) == alone
    assert [name for name in sent[0] if name in both] == [name for name in sent[1] if name in both]
    shared = [(event for event in events(esl, capture) if event.id in both) for capture in (one, other)]
    not_ascii = two_heads = 0
    for at, (event, twin) in enumerate(zip(*shared, strict=True)):
        assert (event.id, event.name, event.timestamp) == (twin.id, twin.name, twin.timestamp)
        two_heads += has_two_heads(event)
        if at % STEP == 0 or has_two_heads(event) or event.body is not None:
            not_ascii += not event.payload.isascii()
            assert in_format(esl, event, format) == (twin._fields(), twin.body)
    assert two_heads == NUMBERS[one][1]
    assert not_ascii > 0 or format == "xml"


# The truth as the other ends saw it


def ends_of_legs(esl: ModuleType, name: Any) -> Any:
    """The last event of each leg, by its SIP Call-ID."""
    found = {}
    for event in events(esl, name):
        if event.name == "CHANNEL_HANGUP_COMPLETE":
            found.setdefault(event.get("variable_sip_call_id"), []).append(event)
    return found


@pytest.mark.parametrize("name", ["calls_sip", "calls_sip_json"])
def test_every_leg_of_every_call_ended_once_as_its_other_end_saw(esl: ModuleType, name: str) -> None:
    ends = ends_of_legs(esl, name)
    calls = truth("calls_sip")["calls"]
    legs = [leg["sip_call_id"] for call in calls for leg in (call["caller_side"], *call["callee_legs"])]
    assert len(calls) == 150
    assert {leg: len(ends[leg]) for leg in legs} == dict.fromkeys(legs, 1)
    assert set(ends) - set(legs) == {None}  # legs that never got to the wire
    outcomes = Counter()
    for call in calls:
        (end,) = ends[call["caller_side"]["sip_call_id"]]
        spoken = int(end["variable_billusec"]) / 1e6
        if call["outcome"] == "answered":
            assert abs(spoken - call["talk_seconds_caller"]) < 0.06
        else:
            assert spoken == 0
        assert end["variable_sip_to_user"] == call["callee"]
        assert end.getlist("Hangup-Cause") == [end["Hangup-Cause"]] * 2
        shown = call["caller_name_bytes_latin1"].encode("latin-1").strip(b'"')
        name_bytes = end.get("variable_sip_from_display", "").encode("utf-8", "surrogateescape").strip(b'"')
        assert name_bytes == (shown if name.endswith("json") else esl.unquote(shown))
        outcomes[call["outcome"]] += 1
    assert set(outcomes) == {"answered", "cancelled", "failed"}


def test_who_was_bridged_at_the_end_of_each_transfer(esl: ModuleType) -> None:
    bridges = [
        (event["Bridge-A-Unique-ID"], event["Bridge-B-Unique-ID"])
        for event in events(esl, "transfer_hold")
        if event.name == "CHANNEL_BRIDGE"
    ]
    scenarios = truth("transfer_hold")["scenarios"]
    assert len(scenarios) == 30
    for scenario in scenarios:
        wanted = scenario["bridged_at_end"]
        legs = {leg["uuid"]: letter for letter, leg in scenario["legs"].items() if leg.get("uuid")}
        pairs = [{legs.get(one), legs.get(other)} for one, other in bridges if one in legs or other in legs]
        if wanted is not None:
            apart = [set(wanted[at : at + 2]) for at in range(0, len(wanted), 2)]
            assert sorted(map(sorted, pairs[-len(apart) :])) == sorted(map(sorted, apart)), scenario["scenario"]


def test_registrations_are_those_of_the_phones(esl: ModuleType) -> None:
    steps = [step for step in truth("registrations")["steps"] if step.get("codes", [0])[-1] == 200]
    done = [step["user"] for step in steps if step.get("expires") != 0]
    registered = [event for event in events(esl, "registrations") if event.subclass == "sofia::register"]
    assert [event["from-user"] for event in registered] == done
    assert len(done) == 30
    call_ids = {step["call_id"] for step in steps if "call_id" in step and step["expires"]}
    assert call_ids <= {event["call-id"] for event in registered}


def test_calls_that_were_recovered_go_on_with_their_uuids(esl: ModuleType) -> None:
    before = {event.uuid for event in events(esl, "restart_recover_before") if event.name == "CHANNEL_BRIDGE"}
    created = Counter(event.uuid for event in events(esl, "restart_recover_after") if event.name == "CHANNEL_CREATE")
    ended = [event for event in events(esl, "restart_recover_after") if event.name == "CHANNEL_HANGUP_COMPLETE"]
    recovered = {event.uuid for event in ended if event.get("variable_recovered") == "true"}
    assert len(recovered & before) == 7
    assert recovered <= set(created)
    assert set(created.values()) == {1}
    assert Counter(event.uuid for event in ended) == created
