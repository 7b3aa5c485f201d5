"""The numbers behind `eslcodec top`: rates, legs up, outcomes, sums; bounded and clean whatever comes."""

from __future__ import annotations

import dataclasses
import time
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import support
from support import part


@pytest.fixture
def board(esl: ModuleType) -> Any:
    return part(esl, "ingest._board").Board()


def event(esl: ModuleType, name: str, number: int | None = None, subclass: str | None = None, **headers: Any) -> Any:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    if number is not None:
        named["Event-Sequence"] = number
    return esl.Event.build(name, named, None, subclass)


def health(state: str = "connected", core_uuid: str | None = None, **more: Any) -> Any:
    return SimpleNamespace(state=state, connected=state == "connected", core_uuid=core_uuid, **more)


def line_of(board: Any, now: float) -> Any:
    [line] = board.lines(now)
    return line


# Rates


def test_a_rate_is_that_of_the_last_seconds(esl: ModuleType, board: Any) -> None:
    for tenth in range(600):
        board.see_all("a", [event(esl, "DTMF")], 1000 + tenth / 10)
    line = line_of(board, 1060.0)
    assert line.now == pytest.approx(10, rel=0.02)
    assert line.minute == pytest.approx(10, rel=0.02)
    assert line.events == {"DTMF": line.minute}
    assert line.events_now == {"DTMF": line.now}
    assert (line.total, line.seconds) == (600, 60)
    later = line_of(board, 1070.0)
    assert later.now == 0
    assert later.minute == pytest.approx(10 * 50 / 60, rel=0.03)
    assert later.events_now == {}
    assert line_of(board, 1200.0).events == {}
    assert line_of(board, 1200.0).total == 600


def test_what_has_just_begun_is_divided_by_how_long_it_was(esl: ModuleType, board: Any) -> None:
    board.see_all("a", [event(esl, "DTMF") for _ in range(30)], 1000.5)
    assert line_of(board, 1000.5).now == 30  # never by less than a second
    assert line_of(board, 1003.5).now == 10
    assert line_of(board, 1003.5).minute == 10


def test_a_subclass_is_counted_beside_custom(esl: ModuleType, board: Any) -> None:
    messages = [event(esl, "CUSTOM", subclass="a::b"), event(esl, "CUSTOM", subclass="a::b"), event(esl, "CUSTOM")]
    board.see_all("a", [*messages, event(esl, "API", Event_Subclass="x::y")], 1000.0)
    assert line_of(board, 1001.0).events == {"CUSTOM a::b": 2, "API": 1, "CUSTOM": 1}


def test_a_capture_is_counted_name_by_name(esl: ModuleType, board: Any) -> None:
    messages = support.decode(esl, support.capture("churn_plain"))
    for at in range(0, len(messages), 100):
        board.see_all("a", messages[at : at + 100], 1000 + at / 200)
    expected: dict[str, int] = {}
    for message in messages:
        if isinstance(message, esl.Event):
            expected[message.name] = expected.get(message.name, 0) + 1
    now = 1000 + len(messages) / 200
    line = line_of(board, now)
    assert {name: round(rate * (now - 1000)) for name, rate in line.events.items()} == expected
    assert list(line.events.values()) == sorted(line.events.values(), reverse=True)
    assert (line.ended, line.answered, line.causes) == (194, 194, {"NORMAL_CLEARING": 194})
    assert (line.up, line.source) == (224 - 194, "counted")
    assert round(line.calls * (now - 1000)) == 224  # its legs have calls of their own


# Clocks


@pytest.mark.parametrize("jump", [-3600, -30, 30, 3600])
def test_a_clock_that_jumps_does_no_harm(esl: ModuleType, board: Any, jump: float) -> None:
    for second in range(60):
        board.see_all("a", [event(esl, "DTMF"), event(esl, "CHANNEL_HANGUP_COMPLETE", Hangup_Cause="X")], 5000 + second)
    for second in range(400):
        board.see_all("a", [event(esl, "DTMF"), event(esl, "CHANNEL_HANGUP_COMPLETE")], 5060 + jump + second)
    line = line_of(board, 5060 + jump + 400)
    assert line.now == pytest.approx(2, rel=0.25)
    assert line.minute == pytest.approx(2, rel=0.25)
    assert 295 <= line.ended <= 300
    assert line.causes == {"(no cause)": line.ended}
    assert line.total == 920


# Legs up


def heartbeat(esl: ModuleType, number: int, count: object, **headers: Any) -> Any:
    return event(esl, "HEARTBEAT", number, Session_Count=count, Core_UUID="c", **headers)


def test_heartbeat_counts_and_what_comes_after_it_moves_it(esl: ModuleType, board: Any) -> None:
    board.see_all("a", [event(esl, "CHANNEL_CREATE", n) for n in (1, 2, 3)], 1000.0)
    assert (line_of(board, 1000).up, line_of(board, 1000).source) == (3, "counted")
    board.see_all("a", [heartbeat(esl, 10, 40, Max_Sessions="1000", Idle_CPU="97.566667")], 1001.0)
    line = line_of(board, 1001)
    assert (line.up, line.source, line.most, line.idle) == (40, "heartbeat", 1000, 97)
    late = [event(esl, "CHANNEL_CREATE", 9), event(esl, "CHANNEL_DESTROY", 8)]  # in its count already
    board.see_all("a", [*late, event(esl, "CHANNEL_CREATE", 11), event(esl, "CHANNEL_CREATE", 12)], 1002.0)
    assert line_of(board, 1002).up == 42
    board.see_all("a", [event(esl, "CHANNEL_HANGUP_COMPLETE", 13), event(esl, "CHANNEL_DESTROY", 14)], 1003.0)
    assert line_of(board, 1003).up == 41  # it ended once
    board.see_all("a", [heartbeat(esl, 20, 7)], 1004.0)
    assert line_of(board, 1004).up == 7


def test_without_destroy_the_hangup_is_the_end(esl: ModuleType, board: Any) -> None:
    board.see_all("a", [event(esl, "CHANNEL_CREATE", n) for n in (1, 2, 3)], 1000.0)
    board.see_all("a", [event(esl, "CHANNEL_HANGUP_COMPLETE", 4)], 1000.0)
    assert line_of(board, 1000).up == 2


def test_more_ends_than_began_are_not_less_than_none(esl: ModuleType, board: Any) -> None:
    board.see_all("a", [event(esl, "CHANNEL_CREATE", 1)], 1000.0)
    board.see_all("a", [event(esl, "CHANNEL_DESTROY", n) for n in range(2, 9)], 1000.0)
    assert line_of(board, 1000).up == 0


def test_nothing_is_known_of_a_switch_without_calls(esl: ModuleType, board: Any) -> None:
    board.see_all("a", [event(esl, "DTMF")], 1000.0)
    line = line_of(board, 1000)
    assert (line.up, line.source, line.most, line.idle, line.asr) == (None, None, None, None, None)


def test_after_a_gap_the_count_is_old_until_the_next_heartbeat(esl: ModuleType, board: Any) -> None:
    beat = heartbeat(esl, 10, 5)
    board.see_all("a", [beat, esl.Gap.of(3.0, "it was cut", beat), event(esl, "CHANNEL_CREATE", 90)], 1000.0)
    assert (line_of(board, 1000).up, line_of(board, 1000).source) == (6, "stale")
    board.see_all("a", [heartbeat(esl, 100, 2)], 1001.0)
    assert (line_of(board, 1001).up, line_of(board, 1001).source) == (2, "heartbeat")
    assert line_of(board, 1001).total == 3  # a gap is no event


def test_another_run_of_the_switch_has_no_legs_of_the_old_one(esl: ModuleType, board: Any) -> None:
    board.see_all("a", [heartbeat(esl, 10, 5)], 1000.0)
    board.stats("a", health(core_uuid="c"), 1001.0)
    assert line_of(board, 1001).up == 5
    board.stats("a", health(core_uuid="d"), 1002.0)
    assert line_of(board, 1002).up is None
    board.see_all("a", [event(esl, "CHANNEL_CREATE", 1)], 1003.0)
    assert line_of(board, 1003).up == 1


@pytest.mark.parametrize("count", ["", "-1", "x", "\u0663", "9" * 19, "1e3", " 5"])
def test_a_count_that_is_none_is_passed_over(esl: ModuleType, board: Any, count: str) -> None:
    board.see_all("a", [heartbeat(esl, 10, 5), heartbeat(esl, 11, count, Max_Sessions=count, Idle_CPU=count)], 1000.0)
    assert line_of(board, 1000).up == 5


# Outcomes


def test_answers_and_causes_are_those_of_the_last_minutes(esl: ModuleType, board: Any) -> None:
    def ended(cause: str, answered: str) -> Any:
        return event(esl, "CHANNEL_HANGUP_COMPLETE", Hangup_Cause=cause, Caller_Channel_Answered_Time=answered)

    board.see_all("a", [ended("USER_BUSY", "0"), ended("NORMAL_CLEARING", "1796000000000000")], 1000.0)
    board.see_all("a", [ended("USER_BUSY", "0"), event(esl, "CHANNEL_ANSWER")], 1200.0)
    line = line_of(board, 1200)
    assert (line.ended, line.answered, line.causes) == (3, 1, {"USER_BUSY": 2, "NORMAL_CLEARING": 1})
    assert line.asr == pytest.approx(1 / 3)
    assert line.answers == pytest.approx(1 / 60, rel=0.05)
    later = line_of(board, 1310)
    assert (later.ended, later.answered, later.causes, later.asr) == (1, 0, {"USER_BUSY": 1}, 0)
    assert line_of(board, 1600).asr is None


def test_a_call_begins_with_its_first_leg(esl: ModuleType, board: Any) -> None:
    first = event(esl, "CHANNEL_CREATE", 1, Unique_ID="x", Channel_Call_UUID="x")
    second = event(esl, "CHANNEL_CREATE", 2, Unique_ID="y", Channel_Call_UUID="x")
    board.see_all("a", [first, second], 1000.0)
    line = line_of(board, 1001)
    assert (line.calls, line.legs, line.up) == (1, 2, 2)


def test_registrations(esl: ModuleType, board: Any) -> None:
    kinds = ["register", "register", "unregister", "expire", "register_failure", "register_attempt"]
    board.see_all("a", [event(esl, "CUSTOM", subclass=f"sofia::{kind}") for kind in kinds], 1000.0)
    expected = {"registered": 2, "unregistered": 1, "expired": 1, "failed": 1}
    assert line_of(board, 1001).registrations == expected
    assert line_of(board, 1400).registrations == dict.fromkeys(expected, 0)
    board.see_all("a", [event(esl, "API", Event_Subclass="sofia::register")], 1400.0)
    assert not any(line_of(board, 1400).registrations.values())


# Hostile names


def test_memory_is_bounded_whatever_comes(esl: ModuleType, board: Any) -> None:
    module = part(esl, "ingest._board")
    for at in range(0, 3000, 3):
        messages = [
            event(esl, "CUSTOM", subclass=f"flood::{at}"),
            event(esl, f"NAME{at}"),
            event(esl, "CHANNEL_HANGUP_COMPLETE", Hangup_Cause=f"CAUSE{at}"),
        ]
        board.see_all("a", messages, 1000 + at / 100)
    line = line_of(board, 1030)
    assert len(line.events) == module.NAMES + 1
    assert len(line.causes) == module.CAUSES + 1
    assert sum(line.events.values()) == pytest.approx(line.minute)
    assert sum(line.causes.values()) == line.ended == 1000
    assert line.events[module.OTHERS] * line.seconds == pytest.approx(2000 - (module.NAMES - 1))
    board.see_all("a", [event(esl, "DTMF")], 1200.0)  # what was not seen for a minute makes room
    assert list(line_of(board, 1200).events) == ["DTMF"]


@pytest.mark.parametrize(
    "name",
    ["\x1b[2J\x1b]0;t\x07", "a\r\nb\x9b1m", "\u202e\u2066\udcff", "x" * 5000, "\u2028" * 70],
    ids=["c0", "c1", "bidi", "long", "separators"],
)
def test_names_are_short_and_printable(esl: ModuleType, board: Any, name: str) -> None:
    messages = [event(esl, "CUSTOM", subclass=name), event(esl, "CHANNEL_HANGUP_COMPLETE", Hangup_Cause=name)]
    board.see_all("a", messages, 1000.0)
    line = line_of(board, 1000)
    for found in (*line.events, *line.causes):
        assert found.isprintable()
        assert len(found) <= part(esl, "ingest._board").NAME_CHARACTERS
    assert line.total == 2


def test_what_is_no_event_is_passed_over(esl: ModuleType, board: Any) -> None:
    replies = support.decode(esl, b"Content-Type: auth/request\n\n" + support.reply(b"+OK accepted"))
    board.see_all("a", [*replies, object(), event(esl, "DTMF")], 1000.0)
    assert line_of(board, 1000).total == 1


def test_an_event_that_cannot_be_read_is_counted_once(esl: ModuleType, board: Any) -> None:
    broken = b"Content-Length: 3\nContent-Type: text/event-json\n\n{x}"
    board.see_all("a", support.decode(esl, broken), 1000.0)
    assert line_of(board, 1000).events == {"(no name)": 1}


# Several


def test_the_sum_of_all(esl: ModuleType, board: Any) -> None:
    board.see_all("a", [event(esl, "CHANNEL_CREATE", 1), heartbeat(esl, 2, 10, Max_Sessions="100")], 1000.0)
    board.see_all("b", [event(esl, "CHANNEL_CREATE", 1)], 1000.0)
    board.stats("a", health(core_uuid="c", lag=0.5, queue_estimate=7, losses={"certain": 3}, gaps=1), 1001.0)
    board.stats("b", health(lag=2.5, queue_estimate=None, losses={"certain": 1, "probable": 4}, gaps=2), 1001.0)
    total = board.total(1001.0)
    assert (total.name, total.total, total.up, total.source, total.most) == (None, 3, 11, "counted", None)
    assert total.events == {"CHANNEL_CREATE": 2, "HEARTBEAT": 1}
    sums = total.health
    assert (sums.lag, sums.queue_estimate, sums.gaps, sums.losses) == (2.5, 7, 3, {"certain": 4, "probable": 4})
    assert sum(line.now for line in board.lines(1001.0)) == total.now


def test_a_switch_that_was_removed_is_forgotten(esl: ModuleType, board: Any) -> None:
    board.see_all("a", [event(esl, "DTMF")], 1000.0)
    board.stats("b", health("away"), 1000.0)
    assert [line.name for line in board.lines(1000)] == ["a", "b"]
    board.stats("a", health("removed"), 1000.0)
    board.keep({"a", "c"})
    assert board.lines(1000) == []
    assert board.total(1000).up is None


def test_the_stats_of_a_fleet_fit(esl: ModuleType, board: Any) -> None:
    fleet = part(esl, "ingest.fleet")
    stats = fleet.SwitchStats("a", "10.0.0.1", 8021, "connected", True, time.time())
    board.stats("a", stats, 1000.0)
    assert line_of(board, 1000).health is stats
    sums = part(esl, "ingest._board").Sum
    names = {one.name for one in dataclasses.fields(sums)}
    assert names <= {one.name for one in dataclasses.fields(stats)}
    assert board.total(1000).health == sums()
