"""Legs and calls of the captures, against what the other ends of the calls saw (`*.truth.json`).

The clock of the truth is that of the program that placed the calls; the switch keeps time in steps of 20 ms and is told
of an end a moment later. So seconds may differ by CLOCK. What differs otherwise is named where it is tested.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from itertools import chain
from types import ModuleType
from typing import Any

import pytest
from sizes import FULL
from support import DATA, LONG, captured, part

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(0)]

CLOCK = 0.06  # seconds


def truth(name: str) -> Any:
    return json.loads((DATA / "captures" / f"{name}.truth.json").read_text("utf-8"))


@cache
def result(esl: ModuleType, *names: str) -> Any:
    """The calls of captures end to end, how many of them came before the end, and the counters."""
    maker = part(esl, "ingest").Calls()
    rows = [call for message in chain(*(captured(esl, name) for name in names)) for call in maker.see(message)]
    return rows + list(maker.finish()), len(rows), maker.stats()


def calls_of(esl: ModuleType, *names: str) -> Any:
    """The twin takes half a minute for the long ones in JSON: in make test-all only."""
    if esl.__impl__ == "python" and not FULL and any(name in LONG and name.endswith("json") for name in names):
        pytest.skip("long")
    return result(esl, *names)


def by(what: str, calls: Any) -> Any:
    """(leg, its call) by a column of the leg."""
    return {getattr(leg, what): (leg, call) for call in calls for leg in call.legs if getattr(leg, what)}


def seconds(side: Any) -> Any:
    """From answer to the end at one end of the line, None if it was not answered."""
    times = side["times"]
    return times.get("bye", times.get("bye_in", 0)) - times["answer"] if "answer" in times else None


@pytest.mark.parametrize("name", ["calls_sip", "calls_sip_json"])
def test_all_calls_come_while_the_stream_goes_on(esl: ModuleType, name: str) -> None:
    calls, streamed, stats = calls_of(esl, name)
    assert (len(calls), streamed, stats["complete"], stats["open"], stats["repeats"]) == (150, 150, 306, 0, 0)
    assert {call.status for call in calls} == {"complete"}


@pytest.mark.parametrize("name", ["calls_sip", "calls_sip_json"])
def test_who_called_whom_and_what_became_of_it(esl: ModuleType, name: str) -> None:
    calls, _, _ = calls_of(esl, name)
    legs = by("sip_call_id", calls)
    for told in truth("calls_sip")["calls"]:
        first, call = legs[told["caller_side"]["sip_call_id"]]
        assert (call.caller, call.callee, call.outcome) == (told["caller"], told["callee"], told["outcome"]), told["i"]
        assert call.legs[0] is first
        others = {leg.sip_call_id for leg in call.legs[1:] if leg.sip_call_id}  # some never went over the wire
        assert others == {leg["sip_call_id"] for leg in told["callee_legs"]}
        assert call.transfers == 0
        for side in (told["caller_side"], *told["callee_legs"]):
            leg, _ = legs[side["sip_call_id"]]
            assert leg.hung_up is not None
            if side["codec"]:
                assert (leg.read_codec or "").upper() == side["codec"].upper()


@pytest.mark.parametrize("name", ["calls_sip", "calls_sip_json"])
def test_who_hung_up(esl: ModuleType, name: str) -> None:
    calls, _, _ = calls_of(esl, name)
    legs = by("sip_call_id", calls)
    unanswered = Counter()
    for told in truth("calls_sip")["calls"]:
        leg, call = legs[told["caller_side"]["sip_call_id"]]
        if told["outcome"] == "answered":
            assert call.ended_by == told["hung_up_by"], told["i"]
            assert (call.ended_leg == leg.uuid) or told["hung_up_by"] != "caller"
        else:
            unanswered[told["kind"], call.ended_by, call.cause] += 1
    assert unanswered == {
        ("busy", "callee", "USER_BUSY"): 11,  # the caller's own leg says NORMAL_CLEARING
        ("cancel", "caller", "ORIGINATOR_CANCEL"): 7,
        ("cancel_early", "caller", "ORIGINATOR_CANCEL"): 5,
        ("dialplan_403", "switch", "CALL_REJECTED"): 2,
        ("dialplan_barred", "switch", "INCOMING_CALL_BARRED"): 4,
        ("failover_none", "callee", "NORMAL_TEMPORARY_FAILURE"): 4,
        ("failover_second", "switch", "NORMAL_CLEARING"): 1,  # a name that the switch cannot write
        ("fork", "switch", "DESTINATION_OUT_OF_ORDER"): 1,  # the same
        ("fork_cancel", "caller", "ORIGINATOR_CANCEL"): 3,
        ("noanswer", "switch", "NO_ANSWER"): 11,
        ("noroute", "switch", "NO_ROUTE_DESTINATION"): 4,
        ("redirect302", "switch", "NO_ROUTE_DESTINATION"): 3,
        ("reject404", "callee", "UNALLOCATED_NUMBER"): 4,
        ("reject480", "callee", "NO_USER_RESPONSE"): 5,
        ("reject503", "callee", "NORMAL_TEMPORARY_FAILURE"): 2,
        ("reject603", "callee", "CALL_REJECTED"): 5,
    }


@pytest.mark.parametrize("name", ["calls_sip", "calls_sip_json"])
def test_how_long_they_talked(esl: ModuleType, name: str) -> None:
    calls, _, _ = calls_of(esl, name)
    legs = by("sip_call_id", calls)
    for told in truth("calls_sip")["calls"]:
        leg, call = legs[told["caller_side"]["sip_call_id"]]
        talked = told.get("talk_seconds_caller") or 0
        assert leg.billsec == pytest.approx(talked, abs=CLOCK)
        # an IVR answers and nobody is at the other end: that is no talk
        assert call.talk_seconds == pytest.approx(0 if told["kind"] == "ivr_caller" else talked, abs=CLOCK), told["i"]


def test_seconds_are_those_of_the_switch(esl: ModuleType) -> None:
    """What we compute from times is what the switch computed, but for legs that were recovered."""
    calls, _, _ = calls_of(esl, "calls_sip")
    legs = by("uuid", calls)
    seen = 0
    for event in captured(esl, "calls_sip"):
        if isinstance(event, esl.Event) and event.name == "CHANNEL_HANGUP_COMPLETE":
            seen += 1
            leg, _ = legs[event.uuid]
            assert round(leg.duration * 1e6) == int(event["variable_uduration"])
            assert round(leg.billsec * 1e6) == int(event["variable_billusec"])
            assert round(leg.hold_seconds * 1e6) == int(event["variable_hold_accum_usec"])
    assert seen == len(legs)


def test_two_listeners_in_two_formats_give_the_same_calls(esl: ModuleType) -> None:
    for name in ("calls_sip", "transfer_hold"):
        plain, _, _ = calls_of(esl, name)
        others, _, _ = calls_of(esl, f"{name}_json")
        found = {call.uuid: call for call in others}
        for call in plain:
            assert call._replace(caller_name=None, legs=()) == found[call.uuid]._replace(caller_name=None, legs=())
            for one, other in zip(call.legs, found[call.uuid].legs, strict=True):
                # plain loses the difference between "%41" and "A" in a name
                assert one._replace(caller_name=None) == other._replace(caller_name=None)


def test_a_stream_that_comes_twice_gives_no_row_twice(esl: ModuleType) -> None:
    calls, _, _ = calls_of(esl, "transfer_hold")
    twice, _, stats = calls_of(esl, "transfer_hold", "transfer_hold")
    assert twice == calls
    assert stats["repeats"] == stats["complete"] == 80


# Transfers and holds

TRANSFERS = {
    "att_xfer_app": 1,
    "attended_refer": 1,
    "attended_refer_callee": 1,
    "dual_transfer": 2,
    "park_and_pick": 1,
    "refer_by_callee": 1,
    "refer_by_caller": 1,
    "sched": 1,
    "transfer_aleg": 1,
    "transfer_bleg": 1,
    "transfer_both_park_bridge": 2,  # each to the parking place, then they are together again
    "uuid_bridge_swap": 1,
    "valet": 1,
}
"""Of the others none. `refer_fails` is none: it came in the second in which they were connected, and led nowhere."""

ENDED_BY_SWITCH = {
    "deflect",  # a REFER: the phone is sent elsewhere
    "kill_bridged",
    "refer_fails",
}
LISTENERS = {"three_way": "C", "eavesdrop": "C"}  # are in a call of their own


def scenarios() -> Any:
    return truth("transfer_hold")["scenarios"]


def call_of(calls: Any, told: Any) -> Any:
    """The call of a scenario, after checking that its legs are in it."""
    legs = by("uuid", calls)
    listener = LISTENERS.get(told["scenario"])
    found = {legs[side["uuid"]][1].uuid for name, side in told["legs"].items() if name != listener}
    assert len(found) == 1, told["scenario"]
    if listener:
        assert len(legs[told["legs"][listener]["uuid"]][1].legs) == 1
    (uuid,) = found
    return next(call for call in calls if call.uuid == uuid)


def test_the_legs_of_each_scenario_are_one_call(esl: ModuleType) -> None:
    calls, streamed, stats = calls_of(esl, "transfer_hold")
    assert (len(calls), streamed, stats["complete"]) == (32, 32, 80)
    assert [told["scenario"] for told in scenarios() if call_of(calls, told)] == [
        told["scenario"] for told in scenarios()
    ]


def test_who_called_whom_before_the_transfers(esl: ModuleType) -> None:
    calls, _, _ = calls_of(esl, "transfer_hold")
    legs = by("uuid", calls)
    for told in scenarios():
        call = call_of(calls, told)
        first = told["legs"]["A"]
        assert (call.uuid, call.caller, call.callee) == (first["uuid"], first["caller_seen"], first["number_called"])
        for side in told["legs"].values():
            leg, _ = legs[side["uuid"]]
            assert (leg.caller, leg.callee) == (side["caller_seen"], side["number_called"])
            assert leg.direction == ("inbound" if side["role"] == "out" else "outbound")


def test_transfers_are_counted(esl: ModuleType) -> None:
    calls, _, _ = calls_of(esl, "transfer_hold")
    counted = {told["scenario"]: call_of(calls, told).transfers for told in scenarios()}
    assert {name: count for name, count in counted.items() if count} == TRANSFERS


def test_who_hung_up_after_the_transfers(esl: ModuleType) -> None:
    """The last who hung up himself, as the ends of the line saw it."""
    calls, _, _ = calls_of(esl, "transfer_hold")
    for told in scenarios():
        call = call_of(calls, told)
        sides = {name: side for name, side in told["legs"].items() if name != LISTENERS.get(told["scenario"])}
        ends = {
            name: max(side["times"].get(what, 0) for what in ("bye", "bye_in", "cancel"))
            for name, side in sides.items()
        }
        own = [name for name, side in sides.items() if side["ended"] == "self" or "cancel" in side["times"]]
        if told["scenario"] in ENDED_BY_SWITCH:
            assert call.ended_by == "switch"
            continue
        last = max(own, key=lambda name: ends[name])
        assert call.ended_leg == sides[last]["uuid"], told["scenario"]
        assert call.ended_by == ("caller" if last == "A" else "callee"), told["scenario"]


def test_seconds_of_each_leg_and_of_holds(esl: ModuleType) -> None:
    calls, _, _ = calls_of(esl, "transfer_hold")
    legs = by("uuid", calls)
    for told in scenarios():
        for name, side in told["legs"].items():
            leg, _ = legs[side["uuid"]]
            # the leg that uuid_bridge left over was slow to say good-bye
            allowed = 0.1 if (told["scenario"], name) == ("uuid_bridge_swap", "C") else CLOCK
            assert leg.billsec == pytest.approx(seconds(side) or 0, abs=allowed), (told["scenario"], name)
    held = {told["scenario"] for told in scenarios() if any(leg.hold_seconds for leg in call_of(calls, told).legs)}
    assert held == {
        "hold_caller",
        "hold_callee",
        "hold_api",
        "hold_twice_hangup_held",
        "attended_refer",
        "attended_refer_callee",
    }


def test_talk_of_two_is_from_the_answer_to_the_end(esl: ModuleType) -> None:
    calls, _, _ = calls_of(esl, "transfer_hold")
    compared = 0
    for told in scenarios():
        call = call_of(calls, told)
        if set(told["legs"]) != {"A", "B"} or call.transfers or told["scenario"] == "orig_and_uuid_bridge":
            continue
        a, b = (told["legs"][name]["times"] for name in "AB")
        talked = min(side.get("bye", side.get("bye_in")) for side in (a, b)) - max(a["answer"], b["answer"])
        assert call.talk_seconds == pytest.approx(talked, abs=CLOCK), told["scenario"]
        compared += 1
    assert compared == 11


# Restart


def recovered(told: Any) -> Any:
    """The callers whose calls were up when the switch was killed."""
    return [caller for caller in told["callers"] if caller["call"] not in (0, 6, 20)]


def test_calls_over_a_restart(esl: ModuleType) -> None:
    told = truth("restart_recover")
    calls, _, stats = calls_of(esl, "restart_recover_before", "restart_recover_after")
    assert (stats["complete"], stats["recovered"], stats["switch_restarted"], stats["open"]) == (6, 14, 2, 0)
    legs = by("sip_call_id", calls)
    ended = {step.get("call"): "caller" for step in told["steps"]} | {
        step.get("number"): "callee" for step in told["steps"]
    }
    for caller in told["callers"]:
        side = caller["side"]
        leg, call = legs[side["sip_call_id"]]
        assert (call.caller, call.callee, len(call.legs)) == (side["caller_seen"], side["number_called"], 2)
        assert call.status == ("recovered" if caller in recovered(told) else "complete")
        assert leg.billsec == pytest.approx(seconds(side) or 0, abs=CLOCK)
        assert call.talk_seconds == pytest.approx(seconds(side) or 0, abs=CLOCK)  # through the time without a switch
        assert leg.duration >= leg.billsec
        if caller in recovered(told):
            assert call.ended_by == ended.get(caller["call"], ended.get(caller["number"]))
    (lost,) = [call for call in calls if call.status == "switch_restarted"]
    assert {leg.channel for leg in lost.legs} == {"loopback/tone-a", "loopback/tone-b"}
    assert lost.legs[0].former_uuid is not None  # CHANNEL_UUID


def test_the_second_half_of_a_restart_alone(esl: ModuleType) -> None:
    told = truth("restart_recover")
    calls, _, stats = calls_of(esl, "restart_recover_after")
    assert (stats["complete"], stats["recovered"], len(calls)) == (2, 14, 8)
    legs = by("sip_call_id", calls)
    for caller in recovered(told):
        leg, call = legs[caller["side"]["sip_call_id"]]
        assert (leg.status, call.caller, call.callee) == ("recovered", leg.caller, caller["number"])
        assert leg.billsec == pytest.approx(seconds(caller["side"]), abs=CLOCK)
        assert leg.duration > leg.billsec  # of the switch it is the other way round
        assert call.talk_seconds < leg.billsec - 10  # that they were connected before is not in this half


def test_the_first_half_of_a_restart_alone(esl: ModuleType) -> None:
    calls, streamed, stats = calls_of(esl, "restart_recover_before")
    assert (streamed, stats["complete"]) == (2, 4)
    assert Counter(call.status for call in calls) == {"complete": 2, "open": 8}


# The others


@pytest.mark.parametrize("name", ["conference", "conference_xml"])
def test_members_of_a_conference_are_calls_of_their_own(esl: ModuleType, name: str) -> None:
    calls, _, _ = calls_of(esl, name)
    legs = by("sip_call_id", calls)
    assert len(calls) == 4
    for side in truth("conference")["legs"]:
        leg, call = legs[side["sip_call_id"]]
        assert (call.callee, len(call.legs)) == (side["number_called"], 1)
        assert leg.billsec == pytest.approx(seconds(side), abs=CLOCK)
        assert call.ended_by == ("caller" if side["ended"] == "self" else "switch")
    assert Counter(call.conference for call in calls) == {"room3692": 3, "room3692b": 1}  # where they were last


def test_members_of_a_queue_and_the_agents_who_answered(esl: ModuleType) -> None:
    """The legs that mod_callcenter places name no other leg: those that were not answered are calls of their own."""
    calls, _, _ = calls_of(esl, "callcenter")
    legs = by("sip_call_id", calls)
    told = truth("callcenter")
    for member in told["members"]:
        side = member["side"]
        leg, call = legs[side["sip_call_id"]]
        assert (call.caller, call.callee, call.legs[0]) == (side["caller_seen"], side["number_called"], leg)
        assert leg.billsec == pytest.approx(seconds(side), abs=CLOCK)
        assert call.ended_by == ("caller" if side["ended"] == "self" else "callee")
    for offer in told["offers"]:
        leg, call = legs[offer["side"]["sip_call_id"]]
        assert (len(call.legs) == 2) == ("answer" in offer["side"]["times"]), offer
        assert leg.billsec == pytest.approx(seconds(offer["side"]) or 0, abs=CLOCK)


def test_calls_among_log_lines_and_odd_things(esl: ModuleType) -> None:
    calls, _, stats = calls_of(esl, "lowlevel")
    legs = by("sip_call_id", calls)
    missing = []
    opened = []
    for side in truth("lowlevel")["calls"]:
        if side["sip_call_id"] not in legs:
            missing.append(side["final"])
            continue
        leg, call = legs[side["sip_call_id"]]
        assert (call.caller, call.callee) == (side["caller_seen"], side["number_called"])
        if call.status == "open":
            opened.append(side["caller_seen"])
            continue
        assert leg.billsec == pytest.approx(seconds(side) or 0, abs=CLOCK)
        assert call.talk_seconds == pytest.approx(seconds(side) or 0, abs=CLOCK)
        assert call.ended_by == ("caller" if side["ended"] == "self" else "callee")
    assert missing == [503, 503]  # `fsctl pause`: refused before there was a channel
    assert opened == ["49000018", "49000016"]  # ended while the listener had a filter
    assert stats["complete"] == 64


@pytest.mark.parametrize("name", ["registrations", "sip_plain", "churn_plain", "sip_json", "sip_xml", "churn_xml"])
def test_every_end_in_a_capture_is_a_row(esl: ModuleType, name: str) -> None:
    ends = Counter(
        event.uuid
        for event in captured(esl, name)
        if isinstance(event, esl.Event) and event.name == "CHANNEL_HANGUP_COMPLETE"
    )
    rows = list(part(esl, "ingest").legs(captured(esl, name)))
    assert Counter(leg.uuid for leg in rows if leg.status == "complete") == ends
    assert all(leg.status == "open" and leg.hung_up is None for leg in rows if leg.status != "complete")
