"""LossWatch: which numbers are missing, and how many calls."""

from __future__ import annotations

import random

import pytest
from watch_support import NOW, event, heartbeat, see, see_numbers, settled

from eslcodec import Event, Gap
from eslcodec.ingest import Loss, LossWatch
from eslcodec.ingest._numbers import HOLES, Numbers

# probable


@pytest.mark.parametrize(("size", "found"), [(1, []), (2, []), (3, [3]), (50, [50])])
def test_three_in_a_row_are_too_many(size: int, found: list[int]) -> None:
    watch = LossWatch()
    see_numbers(watch, range(1, 100))
    losses = settled(watch, 100 + size)
    assert [(loss.grade, loss.count, loss.at_most) for loss in losses] == [("probable", n, n) for n in found]
    if losses:
        assert losses[0].evidence == f"numbers missing: 100 to {99 + size}"


@pytest.mark.parametrize(("missing", "found"), [(20, []), (21, [21])])
def test_more_than_20_of_200_are_too_many(missing: int, found: list[int]) -> None:
    watch = LossWatch()
    see_numbers(watch, range(1, 1000))
    left_out = set(range(1001, 1001 + 9 * missing, 9))
    losses = see_numbers(watch, sorted({*range(1000, 1200)} - left_out))
    losses += settled(watch, 1200)
    assert [loss.count for loss in losses] == found


def test_they_are_judged_1024_events_and_a_second_later() -> None:
    watch = LossWatch()
    see_numbers(watch, [1])
    assert see_numbers(watch, range(10, 10 + 2000), NOW) == []  # no second has passed
    assert [loss.count for loss in watch.tick(NOW + 1.1)] == [8]
    watch = LossWatch()
    see_numbers(watch, [1])
    assert see_numbers(watch, range(10, 10 + 1000), NOW) == []
    assert watch.tick(NOW + 30) == []  # there are not enough events
    assert [loss.count for loss in see_numbers(watch, range(1010, 1300), NOW + 31)] == [8]


def test_those_that_come_late_are_not_missing() -> None:
    watch = LossWatch()
    numbers = list(range(1, 400))
    random.Random(1).shuffle(numbers)
    see_numbers(watch, [0, *numbers])
    assert settled(watch, 400) == []
    late = LossWatch()
    see_numbers(late, [0, *range(10, 1000), 4, 6])
    (loss,) = settled(late, 1000)
    assert (loss.count, loss.evidence) == (6, "numbers missing: 1 to 3, 7 to 9")


def test_a_number_twice_is_no_matter() -> None:
    watch = LossWatch()
    see_numbers(watch, [1, 2, 2, 3, 1, 3])
    assert settled(watch, 4) == []


def test_dialled_legs_draw_numbers_that_no_event_has() -> None:
    """A queue that rings five agents at once: five numbers, and then five CHANNEL_OUTGOING."""
    watch = LossWatch()
    see_numbers(watch, [1])
    assert see(watch, [event(number, "CHANNEL_OUTGOING") for number in range(7, 12)]) == []
    assert settled(watch, 12) == []


def test_one_dialled_leg_explains_no_run() -> None:
    watch = LossWatch()
    see_numbers(watch, [1])
    see(watch, [event(5, "CHANNEL_OUTGOING")])
    assert [loss.count for loss in settled(watch, 6)] == [3]


def test_look_ups_of_users_draw_numbers_too() -> None:
    """A registrar: a quarter of the numbers is missing, one for each try."""
    watch = LossWatch()
    see_numbers(watch, range(900))
    found: list[Loss] = []
    number = 900
    for _ in range(100):
        found += see(watch, [event(number + 1, "CUSTOM", Event_Subclass="sofia::register_attempt")])
        found += see_numbers(watch, [number + 2, number + 3])
        number += 4
    assert found + settled(watch, number) == []


def test_other_custom_events_explain_nothing() -> None:
    watch = LossWatch()
    see_numbers(watch, range(900))
    number = 900
    for _ in range(100):
        see(watch, [event(number + 1, "CUSTOM", Event_Subclass="my::own")])
        see_numbers(watch, [number + 2, number + 3])
        number += 4
    assert {loss.grade for loss in settled(watch, number)} == {"probable"}


def test_with_a_preset_missing_numbers_say_nothing() -> None:
    watch = LossWatch(subscribed_all=False)
    numbers = range(0, 20_000, 7)
    assert [loss for at, n in enumerate(numbers) for loss in watch.see(event(n), NOW + at / 10)] == []


def test_who_changes_what_is_subscribed_to_says_so() -> None:
    watch = LossWatch()
    see_numbers(watch, range(1, 100))
    watch.subscribed_all = False
    assert see_numbers(watch, range(100, 4000, 10)) == []
    watch.subscribed_all = True
    assert settled(watch, 3991) == []
    assert [loss.count for loss in settled(watch, 6000)] == [6000 - 3991 - 1400]


def test_many_missing_are_told_together() -> None:
    watch = LossWatch()
    see_numbers(watch, [1])
    see_numbers(watch, range(10, 210, 5))
    (loss,) = settled(watch, 206)
    assert loss.count == 8 + 39 * 4
    assert loss.evidence == "numbers missing: 2 to 9, 11 to 14, 16 to 19, 21 to 24, 26 to 29 and 35 more"


def test_what_waits_is_bounded() -> None:
    numbers = Numbers()
    for number in range(0, 40 * HOLES, 20):
        numbers.jumped(number, number - 10, count=number, now=NOW)
    found = numbers.judge(count=0, now=NOW)
    assert len(found) == HOLES
    assert numbers.missing == 10 * HOLES


# counted


def calls(watch: LossWatch, counts: list[tuple[int, int]]) -> list[Loss]:
    """Intervals, each with so many CHANNEL_CREATE, and so many sessions by the HEARTBEAT at its end."""
    found = see(watch, [heartbeat(1, 0)])
    number, sessions, uptime = 1, 0, 0.0
    for creates, made in counts:
        found += see(watch, [event(number + 1 + one, "CHANNEL_CREATE") for one in range(creates)])
        number, sessions, uptime = number + creates + 1, sessions + made, uptime + 20
        found += see(watch, [heartbeat(number, sessions, uptime)], NOW + uptime)
    return found


def counted(losses: list[Loss]) -> list[int | None]:
    assert {loss.grade for loss in losses} <= {"counted"}
    return [loss.count for loss in losses]


@pytest.mark.parametrize(
    "counts",
    [
        [(20, 20)] * 10,
        [(19, 20), (21, 20)] * 10,  # delayed
        [(21, 20), (19, 20)] * 10,
        [(18, 20), (20, 20), (22, 20)],
        [(99, 100)] * 30,  # one of a hundred never starts
        [(0, 0)] * 5,
        [(0, 50), (0, 50)],  # none is subscribed to
        [(2, 0), (0, 2)],
    ],
)
def test_calls_that_differ_no_more_than_usual(counts: list[tuple[int, int]]) -> None:
    assert calls(LossWatch(), counts) == []


@pytest.mark.parametrize(
    ("counts", "found"),
    [
        ([(20, 20), (10, 20), (20, 20)], [10]),
        ([(20, 20), (19, 20), (19, 20), (19, 20), (19, 20), (19, 20)], [4]),  # little by little
        ([(10, 20), (10, 20)], [10, 10]),  # is not told twice
        ([(4, 8)], [4]),
    ],
)
def test_calls_that_are_missing(counts: list[tuple[int, int]], found: list[int]) -> None:
    assert counted(calls(LossWatch(subscribed_all=False), counts)) == found


def test_who_does_not_get_each_call_says_so() -> None:
    assert calls(LossWatch(creates=False), [(10, 20)] * 3) == []


def test_legs_that_never_started_are_known_by_their_end() -> None:
    watch = LossWatch()
    see(watch, [heartbeat(1, 0), event(2, "CHANNEL_CREATE")])
    see(watch, [event(number, "CHANNEL_HANGUP", Channel_State="CS_NONE") for number in range(3, 13)])
    assert see(watch, [heartbeat(13, 11, 20)]) == []


def test_calls_belong_to_an_interval_by_their_number() -> None:
    """Those after the HEARTBEAT that came before it do not make up for those that are missing."""
    watch = LossWatch()
    see(watch, [heartbeat(1, 0), event(2, "CHANNEL_CREATE")])
    early = [event(number, "CHANNEL_CREATE") for number in range(20, 30)]
    assert counted(see(watch, [*early, heartbeat(12, 10, 20)])) == [9]
    assert see(watch, [heartbeat(40, 20, 40)]) == []


def test_a_heartbeat_that_is_missing_makes_one_interval_of_two() -> None:
    watch = LossWatch(subscribed_all=False)
    see(watch, [heartbeat(1, 0)])
    see(watch, [event(number, "CHANNEL_CREATE") for number in range(2, 42)])
    assert see(watch, [heartbeat(60, 40, 40)]) == []
    see(watch, [event(number, "CHANNEL_CREATE") for number in range(61, 81)])
    assert counted(see(watch, [heartbeat(100, 80, 80)])) == [20]


def test_another_run_of_the_switch_counts_from_its_beginning() -> None:
    watch = LossWatch()
    assert calls(watch, [(20, 20)]) == []

    def other(one: Event) -> Event:
        return Event.build(
            one.name or "", {**dict(one.items()), "Core-UUID": "c-2"}.items() - {("Event-Name", one.name)}
        )

    events = [other(heartbeat(3, 500)), other(event(4, "CHANNEL_CREATE")), other(heartbeat(5, 501, 20))]
    assert see(watch, events) == []


def test_calls_of_a_gap_are_counted_after_it() -> None:
    """The same run of the switch: its bound is told at once, the calls at the next HEARTBEAT."""
    watch = LossWatch()
    assert calls(watch, [(20, 20)]) == []
    assert watch.see(Gap.of(30, "closed"), NOW + 50) == []
    found = see_numbers(watch, [300], NOW + 50) + see(watch, [heartbeat(301, 35, 60)], NOW + 60)
    assert [(loss.grade, loss.count) for loss in found] == [("bounded", None), ("counted", 15)]
