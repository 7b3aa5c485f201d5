"""Legs and calls with what a resync found out: each leg whose end was missed gives one row, at once."""

from __future__ import annotations

import random
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from legs_support import START, Script, at
from recorder_support import GREETING, recorder_of
from support import captured, part, plain

OVER = {"CHANNEL_HANGUP_COMPLETE", "CHANNEL_DESTROY"}


def notices_of(esl: ModuleType) -> Any:
    return part(esl, "ingest.notices")


def seen(maker: Any, messages: list[Any]) -> list[Any]:
    return [row for message in messages for row in maker.see(message)]


def test_a_leg_that_is_known_to_have_ended_gives_its_row_at_once(esl: ModuleType) -> None:
    n, ingest = notices_of(esl), part(esl, "ingest")
    script = Script(esl).talk("a", "b").after(5)
    ended = [n.Ended("pbx1", 1e9, uuid, at(START + 10**6), at(START + 2 * 10**6), "core-1") for uuid in "ab"]
    legs = ingest.Legs()
    messages = [*script.events, esl.Gap.of(1, "gone", script.before)]
    assert seen(legs, messages) == []
    one, other = (seen(legs, [notice])[0] for notice in ended)
    for leg in one, other:
        assert (leg.status, leg.hung_up, leg.caller, leg.callee) == ("lost_in_gap", None, "1000", "2000")
        assert (leg.not_before, leg.not_after) == (at(START + 10**6), at(START + 2 * 10**6))
        assert leg.answered is not None
    assert [leg.uuid for leg in (one, other)] == ["a", "b"]
    assert seen(legs, ended) == []
    assert seen(legs, script.after(1).end("a", "b").events[-6:]) == []  # it had not ended after all: told once
    assert legs.finish() == []
    assert legs.stats()["lost_in_gap"] == 2
    (call,) = seen(ingest.Calls(), [*messages, *ended])
    assert (call.status, call.ended, [leg.uuid for leg in call.legs]) == ("lost_in_gap", None, ["a", "b"])


def test_a_leg_that_is_found_is_open(esl: ModuleType) -> None:
    n, ingest = notices_of(esl), part(esl, "ingest")
    created = datetime.fromtimestamp(START // 10**6, timezone.utc)
    found = n.Found("pbx1", 1e9, "a", created, "inbound", "1000", "2000", True, "Ann", "sofia/a", "public", "core-1")
    for notice in found, n.Found("pbx1", 1e9, "a"):
        legs = ingest.Legs()
        assert seen(legs, [notice, notice]) == []
        assert legs.stats()["open"] == 1
        (leg,) = legs.finish()
        assert (leg.uuid, leg.status) == ("a", "open")
    legs = ingest.Legs()
    assert seen(legs, [found]) == []
    (leg,) = ingest.legs([found])
    assert (leg.caller, leg.callee, leg.caller_name, leg.context) == ("1000", "2000", "Ann", "public")
    assert (leg.channel, leg.direction, leg.created, leg.core_uuid) == ("sofia/a", "inbound", created, "core-1")
    script = Script(esl).talk("a", "b").after(3).end("a", "b")
    for notice in found, n.Found("pbx1", 1e9, "a"):  # without a Core-UUID too
        rows = list(ingest.legs([notice, *script.events[2:]]))
        assert sorted((leg.uuid, leg.status) for leg in rows) == [("a", "complete"), ("b", "complete")]
    (call,) = ingest.calls([found, *script.events[2:]])
    assert (call.caller, call.status, len(call.legs)) == ("1000", "complete", 2)
    assert [leg.status for leg in ingest.legs([found, n.Ended("pbx1", 1e9, "a")])] == ["lost_in_gap"]
    assert [leg.status for leg in ingest.legs([found, n.Ended("pbx1", 1e9, "a", None, None, "core-1")])] == [
        "lost_in_gap"
    ]


def test_what_was_found_late_opens_nothing(esl: ModuleType) -> None:
    """The recorder was told when somebody read it; the end of the channel was received before."""
    n, ingest = notices_of(esl), part(esl, "ingest")
    events = Script(esl).talk("a", "b").after(3).end("a", "b").events
    rows = list(ingest.legs([*events[3:], n.Found("pbx1", 1e9, "a"), n.Ended("pbx1", 1e9, "a")]))
    assert sorted((leg.uuid, leg.status) for leg in rows) == [("a", "complete"), ("b", "complete")]


def test_legs_of_a_switch_that_was_started_anew_wait_for_their_recovery(esl: ModuleType) -> None:
    n, ingest = notices_of(esl), part(esl, "ingest")
    script = Script(esl).talk("a", "b").after(5)
    gap = esl.Gap.of(1, "gone", script.before)
    ended = [n.Ended("pbx1", 1e9, uuid, None, None, "core-2") for uuid in "ab"]
    changed = n.CoreChanged("pbx1", 1e9, "core-1", "core-2")
    before = list(script.events)
    script.restart().recover("a").after(2).end("a")
    script.beat(400)
    after = script.events[len(before) :]
    for told in [*ended], [changed, *ended], [changed], [changed, *(n.Ended("pbx1", 1e9, uuid) for uuid in "ab")]:
        rows = list(ingest.legs([*before, gap, *told, *after]))
        assert sorted((leg.uuid, leg.status) for leg in rows) == [("a", "recovered"), ("b", "switch_restarted")]


def test_other_notices_change_nothing(esl: ModuleType) -> None:
    n, ingest = notices_of(esl), part(esl, "ingest")
    others = [
        n.Started("pbx1", 1e9, "127.0.0.1", 8021),
        n.Stopped("pbx1", 1e9, "x"),
        n.CoreChanged("pbx1", 1e9, None, None),
        n.CoreChanged("pbx1", 1e9, "core-9", "core-1"),
        part(esl, "ingest.watch").Loss("stalled", None, None, ""),
    ]
    events = Script(esl).talk("a", "b").after(3).end("a", "b").events
    mixed = [item for event in events for item in (*others, event)]
    assert list(ingest.legs(mixed)) == list(ingest.legs(events))
    assert list(ingest.calls(mixed)) == list(ingest.calls(events))


def test_legs_of_a_recording_with_notices(esl: ModuleType, tmp_path: Path) -> None:
    n, ingest = notices_of(esl), part(esl, "ingest")
    script = Script(esl).talk("a", "b")
    with recorder_of(esl, tmp_path) as recorder:
        recorder.opened(("127.0.0.1", 8021))
        recorder.received(GREETING)
        for event in script.events:
            recorder.received(plain(event.serialize("plain")))
        recorder.note(n.to_note(esl.Gap.of(1, "gone", script.before), "pbx1", 1e9))
        recorder.note(n.to_note(n.Ended("pbx1", 1e9, "b", at(START), at(START + 1), "core-1")))
        recorder.note(n.to_note(n.Found("pbx1", 1e9, "c", caller="3000", core_uuid="core-1")))
    for source in tmp_path, esl.Recording(tmp_path).messages(notices=True):
        rows = {leg.uuid: leg for leg in ingest.legs(source)}
        assert {uuid: leg.status for uuid, leg in rows.items()} == {"b": "lost_in_gap", "a": "lost_in_gap", "c": "open"}
        assert (rows["b"].not_after, rows["a"].not_after, rows["c"].caller) == (at(START + 1), None, "3000")


def resynced(esl: ModuleType, messages: list[Any], begin: int, end: int) -> list[Any]:
    """The stream with a gap, and what a resync after it says: the table is as the events in it have it."""
    resync = part(esl, "ingest.resync")
    known, alive, dying = resync.Known(), set(), set()
    for message in messages[:end]:
        uuid = message.get("Unique-ID")
        if uuid and message.get("Event-Name") == "CHANNEL_CREATE":
            alive.add(uuid)
        elif uuid and message.get("Event-Name") == "CHANNEL_UUID":
            alive.discard(message.get("Old-Unique-ID"))
            alive.add(uuid)
        elif uuid and message.get("Event-Name") == "CHANNEL_HANGUP_COMPLETE":
            dying.add(uuid)
        elif uuid and message.get("Event-Name") == "CHANNEL_DESTROY":
            alive.discard(uuid)
    known.see_all(messages[:begin])
    gap = esl.Gap.of(1, "gone", next((m for m in reversed(messages[:begin]) if isinstance(m, esl.Event)), None))
    known.see(gap)
    rows = [resync.Channel(uuid, *[None] * 8, dying=uuid in dying) for uuid in sorted(alive)]
    told = resync.Comparison(known, rows).notices("fs1", 2e9, {})
    return [*messages[:begin], gap, *told, *messages[end:]]


@pytest.mark.parametrize("name", ["calls_sip", "transfer_hold", "churn_plain"])
def test_each_leg_that_ended_in_a_gap_is_told_once(esl: ModuleType, name: str) -> None:
    ingest, chance = part(esl, "ingest"), random.Random(5)
    messages = [message for message in captured(esl, name) if (message.get("Event-Name") or "").startswith("CHANNEL_")]
    ends = {leg.uuid: leg.hung_up for leg in ingest.legs(messages)}
    names = {leg.former_uuid or leg.uuid: leg.uuid for leg in ingest.legs(messages)}
    lost = 0
    for _ in range(4):
        begin = chance.randrange(len(messages) // 2)
        end = begin + chance.randrange(1, len(messages) // 3)
        stream = resynced(esl, messages, begin, end)
        told = [item.uuid for item in stream if isinstance(item, notices_of(esl).Ended)]
        rows = list(ingest.legs(stream))
        assert max(Counter(names.get(leg.uuid, leg.uuid) for leg in rows).values()) == 1
        assert sorted(leg.uuid for leg in rows if leg.status == "lost_in_gap") == sorted(told)
        kept = [message for message in (*messages[:begin], *messages[end:]) if message.get("Event-Name") in OVER]
        heard = {message.get("Unique-ID") for message in kept}
        assert not heard & set(told)
        for leg in rows:
            if leg.uuid in heard:
                assert (leg.status, leg.hung_up) == ("complete", ends[leg.uuid])
        lost += len(told)
    assert lost > 5


def test_the_recorded_restart(esl: ModuleType) -> None:
    """After the switch was killed nothing is there; the legs that `sofia recover` brings back give one row each."""
    ingest, resync = part(esl, "ingest"), part(esl, "ingest.resync")
    before = list(captured(esl, "restart_recover_before"))
    after = list(captured(esl, "restart_recover_after"))
    known = resync.Known()
    known.see_all(before)
    gap = esl.Gap.of(30, "gone", next(message for message in reversed(before) if isinstance(message, esl.Event)))
    known.see(gap)
    cores = [message.get("Core-UUID") for message in after if isinstance(message, esl.Event)]
    told = resync.Comparison(known, []).notices("fs1", 2e9, {}, core_uuid=cores[0])
    assert len(told) == 16
    plainly = list(ingest.legs([*before, *after]))
    assert list(ingest.legs([*before, gap, *told, *after])) == plainly
    assert list(ingest.calls([*before, gap, *told, *after])) == list(ingest.calls([*before, *after]))
