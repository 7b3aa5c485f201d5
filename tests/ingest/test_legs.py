"""Rows of legs, from streams written by hand."""

from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from legs_support import START, Script, at, by_uuid
from support import part, plain


def legs(esl: ModuleType, script: Script, **options: Any) -> Any:
    return list(part(esl, "ingest").legs(script.events, **options))


def streamed(esl: ModuleType, script: Script, **options: Any) -> Any:
    """What came before the end of the stream, and the counters."""
    maker = part(esl, "ingest").Legs(**options)
    rows = [leg for event in script.events for leg in maker.see(event)]
    return rows, maker.stats()


def test_a_leg_that_ends_is_a_row_at_once(esl: ModuleType) -> None:
    script = Script(esl).talk("a", "b").after(10).end("a", "b")
    rows, stats = streamed(esl, script)
    found = by_uuid(rows)
    a, b = found["a"], found["b"]
    assert (a.switch, a.core_uuid, a.direction, b.direction) == ("pbx1", "core-1", "inbound", "outbound")
    assert (a.caller, a.callee, a.context, a.other_leg, b.other_leg) == ("1000", "2000", "public", "b", "a")
    assert (a.created, a.answered, a.hung_up) == (at(START), at(START + 2_000_000), at(START + 12_000_000))
    assert (a.bridged, a.event_time) == (at(START + 2_000_000), at(START + 12_000_000))
    assert (a.duration, a.billsec, a.pdd) == (12.0, 10.0, 2.0)
    assert (a.cause, a.disposition, b.disposition) == ("NORMAL_CLEARING", "recv_bye", "send_bye")
    assert (a.status, a.former_uuid, a.own) == ("complete", None, {})
    assert stats == {
        "complete": 2,
        "recovered": 0,
        "switch_restarted": 0,
        "lost_in_gap": 0,
        "open": 0,
        "repeats": 0,
        "given_up": 0,
    }


def test_values_are_read_as_what_they_are(esl: ModuleType) -> None:
    script = Script(esl).create("a", "1000", "2000").after(1).hang_up("a")
    script.event(
        "CHANNEL_HANGUP_COMPLETE",
        "a",
        variable_hangup_cause_q850=16,
        variable_sip_term_status="200",
        variable_rtp_audio_in_mos="4.41",
        variable_rtp_audio_in_jitter_max_variance="66.67",
        variable_rtp_audio_in_skip_packet_count="44",
        variable_transfer_history=["1:x:bl_xfer:2", "2:y:uuid_br:b"],
        variable_sip_gateway="carrier",
        variable_verto_hangup_disposition="recv_bye",
        **{"Caller__Channel__Hold__Accum": 2_876_242, "Channel__Read__Codec__Rate": "8000"},
    )
    (leg,) = legs(esl, script)
    assert (leg.q850, leg.sip_term_status, leg.mos, leg.jitter, leg.skipped_packets) == (16, 200, 4.41, 66.67, 44)
    assert leg.transfer_history == ("1:x:bl_xfer:2", "2:y:uuid_br:b")
    assert (leg.gateway, leg.disposition, leg.hold_seconds, leg.read_rate) == ("carrier", "recv_bye", 2.876242, 8000)
    assert (leg.billsec, leg.answered, leg.pdd) == (0.0, None, None)


@pytest.mark.parametrize("text", ["", "x", "-", "4.4.1", "nan", "inf", "1e5", "٣", "1_000", " 1", "9" * 40])
def test_what_is_no_number_is_none(esl: ModuleType, text: str) -> None:
    script = Script(esl).create("a", "1000", "2000").hang_up("a")
    script.event(
        "CHANNEL_HANGUP_COMPLETE",
        "a",
        variable_hangup_cause_q850=text,
        variable_rtp_audio_in_mos=text,
        **{"Caller__Channel__Answered__Time": text, "Event__Date__Timestamp": text},
    )
    (leg,) = legs(esl, script)
    assert (leg.q850, leg.mos, leg.answered, leg.event_time) == (None, None, None, None)


@pytest.mark.parametrize("time", ["0", "-1", "253402300800000000", "9223372036854775807"])
def test_a_time_that_no_calendar_has_is_none(esl: ModuleType, time: str) -> None:
    script = Script(esl).create("a", "1000", "2000").hang_up("a")
    script.event("CHANNEL_HANGUP_COMPLETE", "a", **{"Caller__Channel__Hangup__Time": time})
    (leg,) = legs(esl, script)
    assert (leg.hung_up, leg.duration, leg.billsec) == (None, None, None)


def test_the_caller_and_the_number_called_are_those_of_the_beginning(esl: ModuleType) -> None:
    script = Script(esl).talk("a", "b").after(1)
    script.legs["a"] |= {"Caller-Destination-Number": "3000", "Caller-Caller-ID-Number": "x", "Caller-Context": "other"}
    a = by_uuid(legs(esl, script.end("a", "b")))["a"]
    assert (a.caller, a.callee, a.context) == ("1000", "2000", "public")


def test_a_leg_needs_nothing_but_its_end(esl: ModuleType) -> None:
    """A fork leg that was never started has no CHANNEL_CREATE."""
    script = Script(esl).talk("a", "b").after(10).end("a", "b")
    alone = [event for event in script.events if event.name == "CHANNEL_HANGUP_COMPLETE"]
    assert list(part(esl, "ingest").legs(alone)) == legs(esl, script)


def test_a_leg_whose_record_was_lost_is_made_of_what_follows_it(esl: ModuleType) -> None:
    script = Script(esl).talk("a", "b").after(10).end("a", "b")
    lost = [event for event in script.events if event.name != "CHANNEL_HANGUP_COMPLETE"]
    assert list(part(esl, "ingest").legs(lost)) == legs(esl, script)
    last = [event for event in script.events if event.name == "CHANNEL_DESTROY"]
    assert list(part(esl, "ingest").legs(last)) == []  # their rows are those of an earlier stream


def test_other_messages_are_passed_over(esl: ModuleType) -> None:
    maker = part(esl, "ingest").Legs()
    decoder = esl.Decoder()
    decoder.feed(b"Content-Type: auth/request\n\nContent-Type: command/reply\nReply-Text: +OK\n\n")
    decoder.feed(b"Content-Type: text/event-json\nContent-Length: 5\n\n{bad}")
    build = esl.Event.build
    for message in (
        *decoder,
        build("DTMF"),
        build("CUSTOM", subclass="sofia::register"),
        build("CHANNEL_CREATE"),
        build("CHANNEL_BRIDGE"),
        build("CHANNEL_HANGUP_COMPLETE"),
        build("HEARTBEAT"),
    ):
        assert list(maker.see(message)) == []
    assert list(maker.finish()) == []


# What comes twice


def test_an_end_that_comes_twice_is_counted(esl: ModuleType) -> None:
    script = Script(esl).talk("a", "b").after(10).end("a", "b").complete("a").beat(5).complete("b", "a")
    rows, stats = streamed(esl, script)
    assert len(rows) == 2
    assert (stats["repeats"], stats["complete"]) == (3, 2)


def test_late_events_do_not_open_a_leg_again(esl: ModuleType) -> None:
    script = Script(esl).talk("a", "b").after(10).end("a", "b").unbridge("a", "b").event("CHANNEL_ANSWER", "b")
    assert [leg.status for leg in legs(esl, script)] == ["complete", "complete"]


def test_a_uuid_that_is_used_again_is_another_leg(esl: ModuleType) -> None:
    script = Script(esl).create("a", "1000", "2000").after(1).hang_up("a").complete("a")
    script.after(1).create("a", "1000", "3000").after(1).hang_up("a").complete("a")
    assert [(leg.callee, leg.status) for leg in legs(esl, script)] == [("2000", "complete"), ("3000", "complete")]


def test_a_uuid_that_is_used_again_when_its_end_was_missed(esl: ModuleType) -> None:
    script = Script(esl).create("a", "1000", "2000").after(1).create("a", "1000", "3000").after(1).hang_up("a")
    assert [(leg.callee, leg.status) for leg in legs(esl, script.complete("a"))] == [
        ("2000", "open"),
        ("3000", "complete"),
    ]


def test_an_end_after_a_long_silence_is_one_row(esl: ModuleType) -> None:
    """The event that brings the time is the one that was waited for."""
    script = Script(esl).create("a", "1000", "2000").after(90_000).hang_up("a")
    script.events.pop()
    assert [leg.status for leg in legs(esl, script.complete("a"))] == ["complete"]
    script = Script(esl).talk("a", "b").restart().after(301).recover("a", "b")
    assert {leg.status for leg in legs(esl, script.end("a", "b"))} == {"recovered", "switch_restarted"}


def test_ends_are_remembered_up_to_a_bound(esl: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part(esl, "ingest._legs"), "_FINISHED", 2)
    script = Script(esl)
    for uuid in "abc":
        script.create(uuid, "1000", "2000").after(1).hang_up(uuid).complete(uuid)
    rows, stats = streamed(esl, script.complete("b", "c", "a"))
    assert [leg.uuid for leg in rows] == ["a", "b", "c", "a"]
    assert stats["repeats"] == 2


# Renamed channels


def test_a_renamed_channel_is_one_leg(esl: ModuleType) -> None:
    script = Script(esl).create("old", "1000", "2000").after(1).answer("old").rename("old", "new").after(1)
    script.rename("new", "newer").after(1).hang_up("newer").complete("newer")
    (leg,) = legs(esl, script)
    assert (leg.uuid, leg.former_uuid, leg.duration, leg.status) == ("newer", "old", 3.0, "complete")


def test_a_channel_can_be_renamed_before_it_is_created(esl: ModuleType) -> None:
    """As `origination_uuid` does."""
    script = Script(esl).create("old", "1000", "2000")
    script.events.clear()
    script.rename("old", "new").event("CHANNEL_CREATE", "new").after(1).hang_up("new").complete("new")
    (leg,) = legs(esl, script)
    assert (leg.uuid, leg.former_uuid, leg.callee, leg.status) == ("new", "old", "2000", "complete")


def test_its_end_is_known_when_it_comes_twice(esl: ModuleType) -> None:
    """CHANNEL_UUID may say nothing of the time when the channel was created."""
    script = Script(esl).create("old", "1000", "2000")
    script.events.clear()
    created = script.legs["old"].pop("Caller-Channel-Created-Time")
    script.rename("old", "new")
    script.legs["new"]["Caller-Channel-Created-Time"] = created
    rows, stats = streamed(esl, script.after(1).hang_up("new").complete("new", "new"))
    assert ([leg.uuid for leg in rows], stats["repeats"]) == (["new"], 1)


# Switches that start again


def test_a_leg_whose_switch_started_again_is_given_up_after_a_while(esl: ModuleType) -> None:
    script = Script(esl).talk("a", "b").after(10).restart().beat(299)
    rows, _ = streamed(esl, script)
    assert rows == []
    rows, stats = streamed(esl, script.beat(2))
    a = by_uuid(rows)["a"]
    assert [(leg.status, leg.core_uuid) for leg in rows] == [("switch_restarted", "core-1")] * 2
    assert (a.caller, a.callee, a.answered, a.hung_up) == ("1000", "2000", at(START + 2_000_000), None)
    assert (a.duration, a.billsec, a.cause) == (None, None, None)
    assert (stats["switch_restarted"], stats["open"]) == (2, 0)


def test_at_the_end_of_the_stream_it_is_known_too(esl: ModuleType) -> None:
    script = Script(esl).talk("a", "b").after(10).restart()
    assert [leg.status for leg in legs(esl, script)] == ["switch_restarted", "switch_restarted"]
    assert [leg.status for leg in legs(esl, Script(esl).talk("a", "b").after(10))] == ["open", "open"]


def test_a_recovered_leg_goes_on(esl: ModuleType) -> None:
    script = Script(esl).talk("a", "b").after(10).restart().after(5).recover("a", "b").bridge("a", "b")
    rows, stats = streamed(esl, script.after(7).end("a", "b"))
    for leg in rows:
        assert (leg.status, leg.core_uuid) == ("recovered", "core-2")
        assert leg.billsec == 22.0
    assert [leg.duration for leg in rows] == [24.0, 23.9]
    assert (stats["recovered"], stats["complete"], stats["switch_restarted"]) == (2, 0, 0)


def test_a_recovered_leg_is_known_without_its_first_half(esl: ModuleType) -> None:
    """It was answered before it was created, as its headers say: its duration is not less than what is billed."""
    script = Script(esl).talk("a", "b").after(10).restart()
    script.events.clear()
    rows = legs(esl, script.after(5).recover("a", "b").bridge("a", "b").after(7).end("a", "b"))
    assert [(leg.status, leg.billsec, leg.duration) for leg in rows] == [("recovered", 22.0, 22.0)] * 2
    assert all(leg.created == leg.answered for leg in rows)


def test_a_leg_that_is_recovered_too_late_is_a_second_row(esl: ModuleType) -> None:
    script = Script(esl).talk("a", "b").restart().beat(301).recover("a").after(7).end("a")
    assert [(leg.uuid, leg.status) for leg in legs(esl, script)] == [
        ("b", "switch_restarted"),  # the one that was not heard of for longer
        ("a", "switch_restarted"),
        ("a", "recovered"),
    ]


def test_two_switches_do_not_restart_each_other(esl: ModuleType) -> None:
    script = Script(esl).talk("a", "b")
    script.switch, script.core = "pbx2", "core-9"
    script.talk("c", "d").beat(400)
    script.switch, script.core = "pbx1", "core-1"
    rows, _ = streamed(esl, script.beat(400).end("a", "b"))
    assert [(leg.uuid, leg.status) for leg in rows] == [("a", "complete"), ("b", "complete")]


def test_two_switches_of_one_name_are_told_apart_while_both_are_heard_of(esl: ModuleType) -> None:
    script = Script(esl).talk("a", "b")
    for core in ("core-2", "core-1") * 5:
        script.core = core
        script.beat(100)
    rows, _ = streamed(esl, script.end("a", "b"))
    assert [(leg.uuid, leg.status) for leg in rows] == [("a", "complete"), ("b", "complete")]


def test_a_copy_that_somebody_sent_restarts_nothing(esl: ModuleType) -> None:
    """`sendevent` of a copied event: the copied head comes first, the switch's own last."""
    script = Script(esl).talk("a", "b")
    own = [("Core-UUID", "core-1"), ("Event-Sequence", "99"), ("Event-Name", "CHANNEL_ANSWER")]
    pairs = [(name, "x" if name == "Core-UUID" else value) for name, value in script.events[-1].pairs()]
    script.events.append(esl.Event.build("CHANNEL_ANSWER", [*pairs, *own]))
    rows, _ = streamed(esl, script.beat(400).end("a", "b"))
    assert [(leg.status, leg.core_uuid) for leg in rows] == [("complete", "core-1")] * 2
    rest = legs(esl, Script(esl).talk("a", "b").restart("core-3"))
    assert [leg.status for leg in rest] == ["switch_restarted"] * 2


def test_a_copy_of_an_event_of_another_switch_moves_no_leg(esl: ModuleType) -> None:
    script = Script(esl)
    script.switch, script.core = "pbx2", "core-9"
    script.beat(1)
    script.switch, script.core = "pbx1", "core-1"
    script.talk("a", "b")
    own = [("Core-UUID", "core-1"), ("Event-Sequence", "99"), ("Event-Name", "CHANNEL_ANSWER")]
    pairs = [(name, "core-9" if name == "Core-UUID" else value) for name, value in script.events[-1].pairs()]
    script.events.append(esl.Event.build("CHANNEL_ANSWER", [*pairs, *own]))
    assert [(leg.status, leg.core_uuid) for leg in legs(esl, script)] == [("open", "core-1")] * 2


def test_runs_of_switches_are_remembered_up_to_a_bound(esl: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part(esl, "ingest._legs"), "_CORES", 2)
    script = Script(esl).talk("a", "b")
    for number in range(2, 9):
        script.restart(f"core-{number}")
    assert [leg.status for leg in legs(esl, script)] == ["switch_restarted"] * 2


# Gaps


def test_what_was_open_before_a_gap_and_is_not_heard_of_is_lost(esl: ModuleType) -> None:
    script = Script(esl).talk("a", "b").talk("c", "d").gap().talk("e", "f").after(10).end("c", "d")
    found = by_uuid(legs(esl, script))
    assert {uuid: leg.status for uuid, leg in found.items()} == {
        "a": "lost_in_gap",
        "b": "lost_in_gap",
        "c": "complete",
        "d": "complete",
        "e": "open",
        "f": "open",
    }


@pytest.mark.parametrize("known", [True, False])
def test_a_gap_concerns_its_own_switch_if_that_is_known(esl: ModuleType, known: bool) -> None:
    script = Script(esl).talk("a", "b")
    script.switch, script.core = "pbx2", "core-9"
    found = by_uuid(legs(esl, script.talk("c", "d").gap(known=known)))
    assert [found[uuid].status for uuid in "abcd"] == ["open" if known else "lost_in_gap"] * 2 + ["lost_in_gap"] * 2


def test_a_restart_is_more_than_a_gap(esl: ModuleType) -> None:
    script = Script(esl).talk("a", "b").gap().restart()
    assert [leg.status for leg in legs(esl, script)] == ["switch_restarted"] * 2


# Bounds


def test_a_leg_that_is_not_heard_of_is_given_up_after_a_day(esl: ModuleType) -> None:
    script = Script(esl).create("a", "1000", "2000").create("b", "1000", "2000").beat(86_000).answer("b").beat(500)
    rows, stats = streamed(esl, script)
    assert [(leg.uuid, leg.status) for leg in rows] == [("a", "open")]
    assert (stats["given_up"], stats["open"]) == (1, 1)
    rows, _ = streamed(esl, script, give_up=100.0)
    assert [(leg.uuid, leg.answered is None) for leg in rows] == [("a", True), ("b", True), ("b", False)]


def test_the_most_silent_are_given_up_when_too_many_are_open(esl: ModuleType) -> None:
    script = Script(esl)
    for uuid in "abc":
        script.create(uuid, "1000", "2000")
    rows, stats = streamed(esl, script.answer("a").create("d", "1000", "2000"), max_open=3)
    assert [(leg.uuid, leg.status) for leg in rows] == [("b", "open")]
    assert (stats["given_up"], stats["open"]) == (1, 3)


def test_nothing_is_given_up_when_the_first_time_comes(esl: ModuleType) -> None:
    build = esl.Event.build
    events = [build("CHANNEL_CREATE", {"Unique-ID": "a"}), build("HEARTBEAT", {"Event-Date-Timestamp": START})]
    maker = part(esl, "ingest").Legs(give_up=100.0)
    assert [leg for event in events for leg in maker.see(event)] == []
    (leg,) = maker.see(build("HEARTBEAT", {"Event-Date-Timestamp": START + 101_000_000}))
    assert (leg.uuid, leg.status) == ("a", "open")


@pytest.mark.parametrize("bound", ["give_up", "max_open", "recover_seconds"])
def test_bounds_must_be_positive(esl: ModuleType, bound: str) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        part(esl, "ingest").Legs(**{bound: 0})


# Own columns, and rows as text


def test_own_columns(esl: ModuleType) -> None:
    script = Script(esl).create("a", "1000", "2000").after(1)
    script.event("CHANNEL_ANSWER", "a", variable_customer="4711")
    (leg,) = legs(esl, script, columns={"customer": "variable_customer", "missing": "variable_missing"})
    assert (leg.status, leg.own) == ("open", {"customer": "4711", "missing": None})
    row = leg.asdict()
    assert (row["customer"], row["missing"], "own" in row) == ("4711", None, False)
    assert json.loads(leg.to_json())["customer"] == "4711"


def test_an_own_column_is_not_called_as_one_of_ours(esl: ModuleType) -> None:
    with pytest.raises(ValueError, match="'caller'"):
        part(esl, "ingest").Legs(columns={"caller": "variable_caller"})


def test_a_line_is_utf_8_whatever_a_caller_is_called(esl: ModuleType) -> None:
    payload = b"Event-Name: CHANNEL_HANGUP_COMPLETE\nUnique-ID: a\nCaller-Caller-ID-Name: Jos%E9 %22%0A\n\n"
    (leg,) = part(esl, "ingest").legs([esl.Event.from_payload(payload, "plain")])
    assert leg.caller_name == 'Jos\udce9 "\n'
    line = leg.to_json()
    assert b"\n" not in line
    assert json.loads(line)["caller_name"] == 'Jos\ufffd "\n'


def test_times_are_written_in_utc(esl: ModuleType) -> None:
    (leg,) = legs(esl, Script(esl).create("a", "1000", "2000").after(0.25).hang_up("a").complete("a"))
    row = json.loads(leg.to_json())
    assert (row["created"], row["hung_up"]) == ("2026-11-29T02:52:18.000000Z", "2026-11-29T02:52:18.250000Z")
    assert leg.hung_up.utcoffset() == timedelta(0)


def test_rows_can_be_pickled_and_compared(esl: ModuleType) -> None:
    first, second = legs(esl, Script(esl).talk("a", "b").after(1).end("a", "b"))
    assert pickle.loads(pickle.dumps(first)) == first != second


# Sources


class Source:
    def __init__(self, messages: Any) -> None:
        self.messages = messages


def test_a_source_may_have_messages(esl: ModuleType) -> None:
    script = Script(esl).talk("a", "b").after(1).end("a", "b")
    assert list(part(esl, "ingest").legs(Source(lambda: iter(script.events)))) == legs(esl, script)


@pytest.mark.parametrize("has_messages", [False, True])
def test_a_source_may_be_asynchronous(esl: ModuleType, has_messages: bool) -> None:
    script = Script(esl).talk("a", "b").after(1).end("a", "b").create("c", "1", "2")

    async def messages() -> AsyncIterator[Any]:
        for event in script.events:
            yield event

    async def read() -> Any:
        source = Source(messages) if has_messages else messages()
        return [leg async for leg in part(esl, "ingest").legs(source)]

    assert asyncio.run(read()) == legs(esl, script)


def test_bad_options_are_refused_before_the_first_message(esl: ModuleType) -> None:
    with pytest.raises(ValueError, match="positive"):
        part(esl, "ingest").legs([], give_up=-1)


def test_legs_of_a_file(esl: ModuleType, tmp_path: Path) -> None:
    data = plain(b"Event-Name: CHANNEL_HANGUP_COMPLETE\nUnique-ID: e10a8e20\n\n")
    (tmp_path / "a.esl").write_bytes(data)
    ingest = part(esl, "ingest")
    for source in (tmp_path, str(tmp_path / "a.esl")):
        assert [leg.uuid for leg in ingest.legs(source)] == ["e10a8e20"]
        assert [call.legs[0].uuid for call in ingest.calls(source)] == ["e10a8e20"]
