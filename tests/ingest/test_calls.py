"""Rows of calls, from streams written by hand: how legs are put together, and what is said of them."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from types import ModuleType
from typing import Any

import pytest
from legs_support import START, Script, at
from support import part


def calls(esl: ModuleType, script: Script, **options: Any) -> Any:
    return list(part(esl, "ingest").calls(script.events, **options))


def only(esl: ModuleType, script: Script, **options: Any) -> Any:
    (call,) = calls(esl, script, **options)
    return call


def uuids(call: Any) -> str:
    return "".join(leg.uuid for leg in call.legs)


def streamed(esl: ModuleType, script: Script, **options: Any) -> Any:
    """What came before the end of the stream, and the counters."""
    maker = part(esl, "ingest").Calls(**options)
    rows = [call for event in script.events for call in maker.see(event)]
    return rows, maker.stats()


def test_a_call_of_two_is_a_row_when_both_legs_have_ended(esl: ModuleType) -> None:
    script = Script(esl).talk("a", "b").after(10).end("a", "b")
    (call,), stats = streamed(esl, script)
    assert (call.uuid, uuids(call), call.switch, call.direction, call.status) == (
        "a",
        "ab",
        "pbx1",
        "inbound",
        "complete",
    )
    assert (call.caller, call.callee, call.outcome) == ("1000", "2000", "answered")
    assert (call.created, call.answered, call.ended) == (at(START), at(START + 2_000_000), at(START + 12_000_000))
    assert (call.duration, call.talk_seconds, call.transfers, call.conference) == (12.0, 10.0, 0, None)
    assert (call.ended_by, call.ended_leg, call.cause) == ("caller", "a", "NORMAL_CLEARING")
    assert (stats["calls"], stats["complete"], stats["open"], stats["cut"]) == (1, 2, 0, 0)


ORDERS = [
    order
    for order in itertools.permutations(["hang_a", "hang_b", "end_a", "end_b"])
    if order.index("hang_a") < order.index("end_a") and order.index("hang_b") < order.index("end_b")
]


@pytest.mark.parametrize("order", ORDERS)
def test_the_order_of_the_ends_changes_nothing(esl: ModuleType, order: tuple[str, ...]) -> None:
    """Each leg's events are in order, those of two legs are not."""
    script = Script(esl).talk("a", "b").after(10)
    steps = {
        "hang_a": lambda: script.hang_up("a", "send_bye", "ALLOTTED_TIMEOUT"),
        "hang_b": lambda: script.hang_up("b", "recv_bye"),
        "end_a": lambda: script.complete("a"),
        "end_b": lambda: script.complete("b"),
    }
    for step in order:
        steps[step]()
    call = only(esl, script)
    assert (uuids(call), call.ended_by, call.ended_leg, call.cause) == ("ab", "callee", "b", "NORMAL_CLEARING")
    assert (call.caller, call.callee, call.talk_seconds) == ("1000", "2000", 10.0)


def test_without_times_the_first_that_was_seen_is_the_first(esl: ModuleType) -> None:
    build = esl.Event.build
    b = {"Unique-ID": "b", "Other-Leg-Unique-ID": "a"}
    for story in ([{"Unique-ID": "a"}, b], [{"Unique-ID": "a"}, {"Unique-ID": "c"}, {"Unique-ID": "d"}, b]):
        events = [build("CHANNEL_CREATE", headers) for headers in story]
        events += [build("CHANNEL_HANGUP_COMPLETE", headers) for headers in reversed(story)]
        found = {uuids(call) for call in part(esl, "ingest").calls(events)}
        assert found == ({"ab"} if len(story) == 2 else {"ab", "c", "d"})


def test_who_hung_up_first_is_known_when_legs_are_found_to_be_one_call(esl: ModuleType) -> None:
    script = Script(esl).talk("a", "b").after(5)
    script.events.clear()
    for uuid in "ab":
        script.legs[uuid] |= {"Other-Leg-Unique-ID": None, "Other-Type": None}
    call = only(esl, script.hang_up("b").hang_up("a").unbridge("a", "b").complete("a", "b"))
    assert (uuids(call), call.ended_leg, call.talk_seconds) == ("ab", "b", 5.0)


def test_the_switch_may_end_it(esl: ModuleType) -> None:
    script = Script(esl).talk("a", "b").after(10).hang_up("b", "send_bye", "ALLOTTED_TIMEOUT").hang_up("a", "send_bye")
    call = only(esl, script.complete("b", "a"))
    assert (call.ended_by, call.ended_leg, call.cause) == ("switch", "b", "ALLOTTED_TIMEOUT")


def test_who_ended_it_may_be_unknown(esl: ModuleType) -> None:
    script = Script(esl).talk("a", "b").after(10).hang_up("b").hang_up("a").complete("a", "b")
    call = only(esl, script)
    assert (call.ended_by, call.ended_leg) == (None, "b")


def test_nobody_talks_before_the_answer(esl: ModuleType) -> None:
    """A bridge carries the tones of the other side before."""
    script = Script(esl).create("a", "1000", "2000").create("b", "1000", "2000", by="a").after(1).bridge("a", "b")
    call = only(esl, script.after(2).answer("b", "a").after(3).end("a", "b"))
    assert call.talk_seconds == 3.0
    script = Script(esl).create("a", "1000", "2000").create("b", "1000", "2000", by="a").after(1).bridge("a", "b")
    script.after(2).hang_up("a", "recv_cancel", "ORIGINATOR_CANCEL").hang_up("b", "send_cancel", "ORIGINATOR_CANCEL")
    call = only(esl, script.complete("a", "b"))
    assert (call.talk_seconds, call.outcome, call.answered) == (0.0, "cancelled", None)
    assert (call.ended_by, call.ended_leg) == ("caller", "a")


def test_a_busy_callee_is_seen_behind_normal_clearing(esl: ModuleType) -> None:
    script = Script(esl).create("a", "1000", "2000").create("b", "1000", "2000", by="a").after(1)
    script.hang_up("b", "recv_refuse", "USER_BUSY").complete("b").hang_up("a", "send_refuse")
    script.legs["a"]["variable_originate_disposition"] = "USER_BUSY"
    call = only(esl, script.complete("a"))
    assert (call.outcome, call.ended_by, call.cause) == ("failed", "callee", "USER_BUSY")
    assert (call.legs[0].cause, call.legs[0].originate_disposition) == ("NORMAL_CLEARING", "USER_BUSY")


def test_the_last_who_refused_counts(esl: ModuleType) -> None:
    script = Script(esl).create("a", "1000", "2000").create("b", "1000", "2000", by="a").after(1)
    script.hang_up("b", "recv_refuse", "CALL_REJECTED").complete("b").create("c", "1000", "2000", by="a").after(1)
    script.hang_up("c", "recv_refuse", "USER_BUSY").complete("c").hang_up("a", "send_refuse").complete("a")
    call = only(esl, script)
    assert (uuids(call), call.ended_leg, call.cause) == ("abc", "c", "USER_BUSY")


def test_who_refused_at_first_did_not_end_it(esl: ModuleType) -> None:
    script = Script(esl).create("a", "1000", "2000").create("b", "1000", "2000", by="a").after(1)
    script.hang_up("b", "recv_refuse", "CALL_REJECTED").complete("b").create("c", "1000", "2000", by="a").after(8)
    script.hang_up("c", "send_cancel", "NO_ANSWER").hang_up("a", "send_refuse", "NO_ANSWER").complete("c", "a")
    call = only(esl, script)
    assert (uuids(call), call.ended_by, call.ended_leg, call.cause) == ("abc", "switch", "a", "NO_ANSWER")


def test_nobody_answers(esl: ModuleType) -> None:
    script = Script(esl).create("a", "1000", "2000").create("b", "1000", "2000", by="a").after(8)
    script.hang_up("b", "send_cancel", "NO_ANSWER").complete("b").hang_up("a", "send_refuse", "NO_ANSWER").complete("a")
    call = only(esl, script)
    assert (call.outcome, call.ended_by, call.cause, call.talk_seconds) == ("failed", "switch", "NO_ANSWER", 0.0)


def test_a_forked_dial_with_one_answer(esl: ModuleType) -> None:
    script = Script(esl).create("a", "1000", "2000")
    for uuid in "bcd":
        script.create(uuid, "1000", f"200{uuid}", by="a")
    script.after(2).answer("c", "a").bridge("a", "c")
    for uuid in "bd":
        script.hang_up(uuid, "send_cancel", "LOSE_RACE").complete(uuid)
    rows, _ = streamed(esl, script.after(5).end("c", "a"))
    (call,) = rows
    assert (uuids(call), call.callee, call.talk_seconds, call.ended_by, call.ended_leg) == (
        "abcd",
        "2000",
        5.0,
        "callee",
        "c",
    )
    assert (call.outcome, call.transfers) == ("answered", 0)


def test_failover_to_a_second_gateway(esl: ModuleType) -> None:
    script = Script(esl).create("a", "1000", "2000").create("b", "1000", "2000", by="a").after(1)
    script.hang_up("b", "recv_refuse", "NORMAL_TEMPORARY_FAILURE").complete("b").create("c", "1000", "2000", by="a")
    call = only(esl, script.after(1).answer("c", "a").bridge("a", "c").after(4).end("a", "c"))
    assert (uuids(call), call.talk_seconds, call.ended_by, call.cause) == ("abc", 4.0, "caller", "NORMAL_CLEARING")


def test_hold_is_talk(esl: ModuleType) -> None:
    script = Script(esl).talk("a", "b").after(2).event("CHANNEL_HOLD", "a").after(3).event("CHANNEL_UNHOLD", "a")
    script.legs["a"]["Caller-Channel-Hold-Accum"] = 3_000_000
    call = only(esl, script.after(4).end("a", "b"))
    assert (call.talk_seconds, [leg.hold_seconds for leg in call.legs]) == (9.0, [3.0, None])


def test_a_blind_transfer(esl: ModuleType) -> None:
    script = Script(esl).talk("a", "b").after(5).unbridge("a", "b").hang_up("b", "send_bye").complete("b")
    script.create("c", "1000", "3000", by="a").after(2).answer("c")
    script.legs["a"] |= {
        "Caller-Destination-Number": "3000",
        "variable_transfer_history": f"{START // 1_000_000 + 7}:x:bl_xfer:3000/public/XML",
    }
    call = only(esl, script.bridge("a", "c").after(4).end("c", "a"))
    assert (uuids(call), call.caller, call.callee, call.transfers) == ("abc", "1000", "2000", 1)
    assert (call.talk_seconds, call.ended_by, call.ended_leg) == (9.0, "callee", "c")


def test_a_blind_transfer_to_nobody(esl: ModuleType) -> None:
    """To an announcement, or to a number that fails: what was said to be a transfer in the dialplan before is none."""
    second = START // 1_000_000
    script = Script(esl).talk("a", "b").after(5).unbridge("a", "b").hang_up("b", "send_bye").complete("b")
    script.legs["a"]["variable_transfer_history"] = [
        f"{second}:x:bl_xfer:2000/default/XML",
        f"{second + 7}:y:bl_xfer:9000/public/XML",
    ]
    call = only(esl, script.after(20).hang_up("a", "send_bye").complete("a"))
    assert (call.transfers, call.talk_seconds, call.ended_by, call.ended_leg) == (1, 5.0, "switch", "a")


def test_an_attended_transfer(esl: ModuleType) -> None:
    """The callee asks somebody else in a call of its own, and then connects them (REFER with Replaces)."""
    script = Script(esl).talk("a", "b").after(5).talk("b2", "c", "2000", "3000").after(3)
    script.unbridge("b2", "c").unbridge("a", "b").bridge("a", "c").hang_up("b", "send_bye").complete("b")
    script.hang_up("b2", "send_bye", "ATTENDED_TRANSFER").complete("b2")
    call = only(esl, script.after(6).end("c", "a"))
    assert (uuids(call), call.caller, call.callee, call.transfers) == ("abb2c", "1000", "2000", 1)
    assert (call.ended_by, call.ended_leg) == ("callee", "c")
    assert call.talk_seconds == 5 + 2 + 3 + 6  # somebody talked with somebody all the time


def test_an_attended_transfer_in_one_call(esl: ModuleType) -> None:
    """The application att_xfer: to ask somebody is no transfer yet."""
    script = (
        Script(esl).talk("a", "b").after(5).create("c", "1000", "3000", by="b").after(1).answer("c").bridge("b", "c")
    )
    consulting = len(script.events)
    script.after(3).hang_up("b", "recv_bye").unbridge("b", "c").unbridge("a", "b").complete("b").bridge("c", "a")
    call = only(esl, script.after(2).end("a", "c"))
    assert (uuids(call), call.transfers, call.ended_by, call.ended_leg) == ("abc", 1, "caller", "a")

    script.events[consulting:] = []
    for uuid in "abc":
        script.legs[uuid] |= {"Hangup-Cause": None, "Caller-Channel-Hangup-Time": 0}
    script.hang_up("c", "recv_bye").complete("c").unbridge("b", "c").unbridge("a", "b").bridge("b", "a")
    call = only(esl, script.after(2).end("b", "a"))
    assert (uuids(call), call.transfers, call.ended_by, call.ended_leg) == ("abc", 0, "callee", "b")


def test_two_transfers_at_once(esl: ModuleType) -> None:
    script = Script(esl).talk("a", "b").after(5).unbridge("a", "b")
    script.create("c", "1000", "3000", by="a").create("d", "2000", "4000", by="b").after(1).answer("c", "d")
    call = only(esl, script.bridge("a", "c").bridge("b", "d").after(4).end("d", "b").after(1).end("a", "c"))
    assert (uuids(call), call.transfers, call.talk_seconds, call.ended_by) == ("abcd", 2, 10.0, "caller")


def test_parked_and_picked_up(esl: ModuleType) -> None:
    script = Script(esl).talk("a", "b").after(5).hang_up("b", "send_bye").unbridge("a", "b").complete("b")
    script.event("CHANNEL_PARK", "a").after(30).create("c", "3000", "pick-a").answer("c").bridge("c", "a")
    call = only(esl, script.after(4).end("c", "a"))
    assert (uuids(call), call.transfers, call.talk_seconds, call.duration) == ("abc", 1, 9.0, 41.0)
    assert (call.caller, call.ended_by, call.ended_leg) == ("1000", "callee", "c")


def test_a_ringing_call_is_picked_up(esl: ModuleType) -> None:
    script = Script(esl).create("a", "1000", "2000").create("b", "1000", "2000", by="a").after(2)
    script.create("c", "3000", "pick-a").answer("c", "a").hang_up("b", "send_cancel", "PICKED_OFF").complete("b")
    call = only(esl, script.bridge("c", "a").after(4).end("a", "c"))
    assert (uuids(call), call.outcome, call.transfers, call.talk_seconds) == ("abc", "answered", 0, 4.0)


def test_who_listens_in_is_in_a_call_of_his_own(esl: ModuleType) -> None:
    """Three-way calls and eavesdropping are no bridge, and no leg is the other's."""
    script = Script(esl).talk("a", "b").after(2).create("c", "3000", "three-way").answer("c").after(3)
    first, second = calls(esl, script.end("c").after(1).end("b", "a"))
    assert (uuids(first), first.talk_seconds, uuids(second), second.talk_seconds) == ("c", 0.0, "ab", 6.0)


def test_a_conference_is_not_one_call(esl: ModuleType) -> None:
    script = Script(esl)
    for uuid in "ab":
        script.create(uuid, f"100{uuid}", "conf").answer(uuid)
        script.legs[uuid] |= {"variable_conference_name": "room", "Channel-Call-UUID": "a", "variable_call_uuid": "a"}
    rows = calls(esl, script.after(5).end("a").after(5).end("b"))
    assert [(uuids(call), call.conference, call.duration) for call in rows] == [("a", "room", 5.0), ("b", "room", 10.0)]


def test_the_ends_of_a_loopback_channel_are_one_call(esl: ModuleType) -> None:
    script = Script(esl).create("a", "1000", "2000").create("la", "1000", "2000", by="a").create("lb", "1000", "2000")
    for one, other in ("la", "lb"), ("lb", "la"):
        script.legs[one]["variable_other_loopback_leg_uuid"] = other
    script.after(1).answer("lb").create("c", "1000", "3000", by="lb").answer("c").bridge("lb", "c").answer("la", "a")
    call = only(esl, script.bridge("a", "la").after(3).end("c", "lb").end("la", "a"))
    assert ({leg.uuid for leg in call.legs}, call.uuid, call.talk_seconds) == ({"a", "la", "lb", "c"}, "a", 3.0)


def test_two_calls_that_the_switch_connects(esl: ModuleType) -> None:
    """Click to dial: two outbound legs and `uuid_bridge`."""
    script = (
        Script(esl).create("a", "7001", "2000", direction="outbound").create("b", "0", "3000", direction="outbound")
    )
    call = only(esl, script.after(1).answer("a").after(1).answer("b").after(1).bridge("a", "b").after(5).end("b", "a"))
    assert (uuids(call), call.caller, call.callee, call.direction) == ("ab", "7001", "2000", "outbound")
    assert (call.talk_seconds, call.transfers, call.ended_by) == (5.0, 0, "callee")


def test_a_renamed_channel_stays_in_its_call(esl: ModuleType) -> None:
    script = Script(esl).talk("a", "old").after(5).rename("old", "new").after(5)
    script.legs["a"]["Other-Leg-Unique-ID"] = "old"  # as headers that were copied before have it
    call = only(esl, script.unbridge("a", "old").end("new", "a"))
    assert (uuids(call), call.talk_seconds, call.ended_leg, call.legs[1].former_uuid) == ("anew", 10.0, "new", "old")


def test_a_channel_may_be_called_as_one_that_was_named_before(esl: ModuleType) -> None:
    script = Script(esl).talk("a", "old").after(5)
    script.legs["a"]["Other-Leg-Unique-ID"] = "new"  # it is told of the name before the event is
    script.event("CHANNEL_HANGUP", "a").rename("old", "new")
    call = only(esl, script.end("new", "a"))
    assert (uuids(call), call.talk_seconds) == ("anew", 5.0)


# Streams that begin or end in the middle


def test_a_stream_that_begins_in_a_call(esl: ModuleType) -> None:
    script = Script(esl).talk("a", "b").after(10)
    script.events.clear()
    (call,), _ = streamed(esl, script.unbridge("a", "b").end("b", "a"))
    assert (uuids(call), call.created, call.status, call.talk_seconds) == ("ab", at(START), "complete", 10.0)


@pytest.mark.parametrize("first", ["a", "b"])
def test_a_stream_that_begins_at_its_end(esl: ModuleType, first: str) -> None:
    """One of the ends names a leg that was not seen: the call waits for it, but not for long."""
    script = Script(esl).talk("a", "b").after(10)
    script.hang_up(first, "recv_bye").hang_up("ab".replace(first, ""), "send_bye")
    script.events.clear()
    call = only(esl, script.complete(first, "ab".replace(first, "")))
    assert (uuids(call), call.caller, call.talk_seconds, call.transfers) == ("ab", "1000", 10.0, 0)
    assert call.ended_by == ("caller" if first == "a" else "callee")

    script.events[2:] = []  # the other ended before the stream, or after it
    rows, _ = streamed(esl, script.beat(29))
    assert rows == []
    (call,), _ = streamed(esl, script.beat(2))
    assert (uuids(call), call.status, call.talk_seconds) == (first, "complete", 10.0)


def test_a_stream_that_begins_at_the_end_of_legs_of_one_moment(esl: ModuleType) -> None:
    """The switch keeps time in steps: both legs can have been created in one. Who was called by the other is second."""
    script = Script(esl).create("a", "1000", "2000").create("b", "1001", "2001", by="a")
    script.events.clear()
    call = only(esl, script.after(1).end("b", "a"))
    assert (uuids(call), call.caller, call.callee) == ("ab", "1000", "2000")


def test_a_stream_that_ends_in_a_call(esl: ModuleType) -> None:
    rows, _ = streamed(esl, Script(esl).talk("a", "b").after(10))
    assert rows == []
    call = only(esl, Script(esl).talk("a", "b").after(10))
    assert (uuids(call), call.status, call.outcome, call.talk_seconds) == ("ab", "open", "answered", None)
    assert (call.ended, call.duration, call.ended_by, call.ended_leg, call.cause) == (None,) * 5
    call = only(esl, Script(esl).create("a", "1000", "2000"))
    assert (call.outcome, call.talk_seconds, call.ended) == (None, 0.0, None)
    call = only(esl, Script(esl).talk("a", "b").after(10).hang_up("b", "recv_bye").complete("b"))
    assert (call.status, call.ended, call.talk_seconds) == ("open", None, 10.0)


def test_without_bridges_the_legs_say_when_they_were_connected(esl: ModuleType) -> None:
    script = Script(esl).talk("a", "b").after(10).end("a", "b")
    ends = [event for event in script.events if event.name == "CHANNEL_HANGUP_COMPLETE"]
    (call,) = part(esl, "ingest").calls(ends)
    assert (uuids(call), call.talk_seconds, call.ended_by) == ("ab", 10.0, "caller")


# Restarts and gaps


def test_a_restart_without_recovery(esl: ModuleType) -> None:
    rows, stats = streamed(esl, Script(esl).talk("a", "b").after(10).restart().beat(301))
    (call,) = rows
    assert (uuids(call), call.status, call.outcome, call.talk_seconds) == ("ab", "switch_restarted", "answered", None)
    assert (stats["switch_restarted"], stats["calls"]) == (2, 1)


def test_a_restart_with_recovery(esl: ModuleType) -> None:
    """They were connected all the time, as they see it."""
    script = Script(esl).talk("a", "b").after(10).restart().after(5).recover("b", "a").after(1).bridge("a", "b")
    call = only(esl, script.after(7).end("a", "b"))
    assert (uuids(call), call.status, call.talk_seconds, call.transfers) == ("ab", "recovered", 23.0, 0)
    assert (call.created, call.duration, call.ended_by) == (at(START), 25.0, "caller")


def test_one_leg_of_a_call_is_recovered(esl: ModuleType) -> None:
    script = Script(esl).talk("a", "b").after(10).restart().after(5).recover("a").after(7).end("a").beat(301)
    (call,), _ = streamed(esl, script)
    assert (uuids(call), call.status) == ("ab", "switch_restarted")


def test_an_end_in_a_gap(esl: ModuleType) -> None:
    script = Script(esl).talk("a", "b").after(10).gap().after(5).hang_up("a", "send_bye").complete("a")
    call = only(esl, script)
    assert (uuids(call), call.status, call.ended) == ("ab", "lost_in_gap", None)
    assert call.talk_seconds == 15.0  # at most: one of them was still there


def test_who_knows_otherwise_can_say_that_something_was_missed(esl: ModuleType) -> None:
    """A recording that goes on with another connection."""
    maker = part(esl, "ingest").Calls()
    for event in Script(esl).talk("a", "b").events:
        maker.see(event)
    maker.missed("another core")
    maker.missed("core-1")
    (call,) = maker.finish()
    assert call.status == "lost_in_gap"


# Bounds, text, sources


def test_a_leg_that_goes_on_all_day_does_not_keep_its_calls(esl: ModuleType) -> None:
    """An agent's channel that is connected to one caller after the other."""
    script = Script(esl).create("agent", "1", "agent").answer("agent")
    for number in range(7):
        uuid = f"c{number}"
        script.after(1).create(uuid, f"200{number}", "queue").answer(uuid).bridge(uuid, "agent").after(3)
        script.unbridge(uuid, "agent").end(uuid)
    rows, stats = streamed(esl, script, max_legs=3)
    assert [(uuids(call), call.status, call.ended, call.talk_seconds) for call in rows] == [
        ("c0c1c2", "open", None, 9.0),
        ("c3c4c5", "open", None, 9.0),
    ]
    assert (stats["cut"], stats["calls"]) == (2, 2)
    last = calls(esl, script.end("agent"), max_legs=3)[-1]
    assert (uuids(last), last.status, last.talk_seconds) == ("agentc6", "complete", 3.0)


def test_what_is_noted_of_a_call_is_bounded(esl: ModuleType) -> None:
    script = Script(esl).talk("a", "b")
    for number in range(100):
        script.event("CHANNEL_HANGUP", "a", Other__Leg__Unique__ID=f"n{number}").unbridge("a", "b").bridge("a", "b")
        script.event("CHANNEL_UNBRIDGE", "a", Bridge__A__Unique__ID="a", Bridge__B__Unique__ID=f"n{number}")
    maker = part(esl, "ingest").Calls(max_legs=2)
    for event in script.events:
        maker.see(event)
    (group,) = set(maker._watcher._of.values())
    assert (len(group.names), len(group.bridges)) == (20, 20)


def test_a_call_has_two_legs_at_least(esl: ModuleType) -> None:
    with pytest.raises(ValueError, match="max_legs"):
        part(esl, "ingest").Calls(max_legs=1)


def test_nothing_is_kept_of_what_has_ended(esl: ModuleType) -> None:
    maker = part(esl, "ingest").Calls()
    for number in range(50):
        script = Script(esl).after(number).talk(f"a{number}", f"b{number}").rename(f"b{number}", f"c{number}")
        for event in script.after(1).end(f"a{number}", f"c{number}").beat(40).events:
            maker.see(event)
    watcher = maker._watcher
    assert (len(watcher._of), len(watcher._waiting), len(watcher._rows)) == (0, 0, 0)
    assert (len(maker._legs._open), len(maker._legs._rows)) == (0, 0)


def test_a_call_as_a_line(esl: ModuleType) -> None:
    script = Script(esl).talk("a", "b").after(10).end("a", "b")
    call = only(esl, script, columns={"account": "variable_account"})
    row = json.loads(call.to_json())
    assert (row["ended"], row["talk_seconds"], row["uuid"]) == ("2026-11-29T02:52:30.000000Z", 10.0, "a")
    assert row["legs"] == [json.loads(leg.to_json()) for leg in call.legs]
    assert row["legs"][0]["account"] is None


def test_a_source_may_be_asynchronous(esl: ModuleType) -> None:
    script = Script(esl).talk("a", "b").after(1).end("a", "b").create("c", "1", "2")

    async def messages() -> AsyncIterator[Any]:
        for event in script.events:
            yield event

    async def read() -> Any:
        return [call async for call in part(esl, "ingest").calls(messages())]

    assert asyncio.run(read()) == calls(esl, script)
