"""Legs and calls of streams that no switch would send: nothing is lost, nothing comes twice, nothing is kept."""

from __future__ import annotations

from collections import Counter
from types import ModuleType
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from legs_support import START
from support import examples, part

UUIDS = st.sampled_from("abcdef")
NAMES = st.sampled_from(
    [
        "CHANNEL_CREATE",
        "CHANNEL_ANSWER",
        "CHANNEL_BRIDGE",
        "CHANNEL_UNBRIDGE",
        "CHANNEL_UUID",
        "CHANNEL_HANGUP",
        "CHANNEL_HANGUP_COMPLETE",
        "CHANNEL_DESTROY",
        "HEARTBEAT",
        "gap",
    ]
)
TIMES = st.integers(-5, 60).map(lambda seconds: START + seconds * 1_000_000) | st.sampled_from([0, -1, 10**17, 10**25])
EVENTS = st.tuples(
    NAMES,
    st.fixed_dictionaries(
        {"Unique-ID": UUIDS, "Core-UUID": st.sampled_from(["core-1", "core-1", "core-1", "core-2"])},
        optional={
            "Other-Leg-Unique-ID": UUIDS,
            "Other-Type": st.sampled_from(["originator", "originatee"]),
            "Bridge-A-Unique-ID": UUIDS,
            "Bridge-B-Unique-ID": UUIDS,
            "Old-Unique-ID": UUIDS,
            "variable_other_loopback_leg_uuid": UUIDS,
            "variable_recovered": st.just("true"),
            "variable_sip_hangup_disposition": st.sampled_from(
                ["recv_bye", "send_bye", "recv_refuse", "recv_cancel", "x"]
            ),
            "variable_transfer_history": st.text(":|ABCrxbl_fe1", max_size=30),
            "Event-Date-Timestamp": TIMES,
            "Caller-Channel-Created-Time": TIMES,
            "Caller-Channel-Answered-Time": TIMES,
            "Caller-Channel-Bridged-Time": TIMES,
            "Caller-Channel-Hangup-Time": TIMES,
        },
    ),
)


def stream(esl: ModuleType, story: Any) -> Any:
    return [
        esl.Gap.of(1.0, "gone") if name == "gap" else esl.Event.build(name, {**headers, "Event-Sequence": number})
        for number, (name, headers) in enumerate(story)
    ]


@given(story=st.lists(EVENTS, max_size=25), max_open=st.sampled_from([2, 1000]), max_legs=st.sampled_from([2, 1000]))
@examples(150)
def test_every_leg_is_in_one_call(esl: ModuleType, story: Any, max_open: int, max_legs: int) -> None:
    ingest = part(esl, "ingest")
    events = stream(esl, story)
    maker = ingest.Calls(max_open=max_open, max_legs=max_legs)
    calls = [call for event in events for call in maker.see(event)] + list(maker.finish())
    legs = list(ingest.legs(events, max_open=max_open))

    def shown(rows: Any) -> Any:
        return Counter(leg.to_json() for leg in rows)

    assert shown(leg for call in calls for leg in call.legs) == shown(legs)
    assert all(call.legs for call in calls)
    for call in calls:
        call.to_json()
        assert call.talk_seconds is None or call.talk_seconds >= 0
        assert call.ended_leg is None or call.ended_leg in {leg.uuid for leg in call.legs}
        assert call.transfers >= 0
    watcher = maker._watcher
    assert (watcher._of, list(watcher._waiting), watcher._rows) == ({}, [], [])
    assert not maker._legs._open
    assert maker.stats()["open"] == 0
    named = {headers["Unique-ID"] for name, headers in story if name.startswith("CHANNEL_")}
    assert {leg.uuid for leg in legs} <= named


@given(story=st.lists(EVENTS, max_size=25))
@examples(100)
def test_both_cores_give_the_same_rows(both: tuple[ModuleType, ModuleType], story: Any) -> None:
    one, other = ([call.to_json() for call in part(esl, "ingest").calls(stream(esl, story))] for esl in both)
    assert one == other
