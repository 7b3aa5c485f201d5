"""LossWatch: how long events take, with clocks that differ, drift and jump."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest
from support import captured
from watch_support import NOW, event, heartbeat, see

import eslcodec
from eslcodec import Event
from eslcodec.ingest import Loss, LossWatch


def steady_stream(seconds: int, first: int = 1, rate: int = 10, start: float = NOW) -> Iterator[tuple[Event, float]]:
    """Events at a steady rate with a HEARTBEAT every 20 s, each with the time of its stamp."""
    number = first
    for step in range(seconds * rate):
        at = start + step / rate
        if step % (20 * rate) == 0:
            yield heartbeat(number, 0, at - NOW), at
            number += 1
        yield event(number, stamp=at), at
        number += 1


def watched(
    watch: LossWatch, stream: Iterable[tuple[Event, float]], shift: float = 0.0, lag: float = 0.0
) -> list[Loss]:
    """It sees these, `lag` after they were made, by a clock that is ahead by `shift`."""
    return [loss for one, at in stream for loss in watch.see(one, at + lag + shift)]


def test_nothing_is_known_before_an_event() -> None:
    lag = LossWatch().lag
    assert (lag.seconds, lag.offset, lag.queue) == (None, None, None)


@pytest.mark.parametrize("skew", [0.0, -7200.0, 31.5])
def test_the_clocks_difference_is_taken_out(skew: float) -> None:
    watch = LossWatch()
    assert watched(watch, steady_stream(60), skew, lag=0.02) == []
    assert watch.lag.offset == pytest.approx(skew + 0.02, abs=0.001)
    assert watch.lag.seconds == pytest.approx(0, abs=0.001)
    assert watched(watch, steady_stream(5, 700, start=NOW + 60), skew, lag=0.92) == []
    assert watch.lag.seconds == pytest.approx(0.9, abs=0.001)


def test_what_waits_in_the_switch_is_estimated() -> None:
    watch = LossWatch()
    watched(watch, steady_stream(60, rate=100))
    watched(watch, steady_stream(10, 7000, rate=100, start=NOW + 60), lag=5.0)
    assert watch.lag.rate == pytest.approx(100, rel=0.1)
    assert watch.lag.queue == pytest.approx(500, rel=0.1)


def test_a_clock_that_drifts_is_no_lag() -> None:
    """50 parts in a million, ours slower and faster, for two hours: 0.36 s."""
    for drift in (-50e-6, 50e-6):
        watch = LossWatch()
        for number in range(7200):
            stamp = NOW + number
            watch.see(event(number + 1, stamp=stamp), stamp + drift * number)
        assert watch.lag.seconds is not None
        assert 0 <= watch.lag.seconds <= 11 * 60 * 50e-6


def jumped(ours: float, theirs: float, *, steady: bool) -> LossWatch:
    """A watch after a clock was set, and 40 s more."""
    watch = LossWatch()
    found = []
    for one, at in steady_stream(60):
        found += watch.see(one, at, at if steady else None)
    for one, at in steady_stream(40, 700, start=NOW + 60):
        moved = Event.build(one.name or "", {**without_name(one), "Event-Date-Timestamp": round((at + theirs) * 1e6)})
        found += watch.see(moved, at + ours, at if steady else None)
    assert found == []
    return watch


def without_name(one: Event) -> dict[str, str]:
    return {name: value for name, value in one.asdict().items() if name != "Event-Name"}


@pytest.mark.parametrize("steady", [False, True])
@pytest.mark.parametrize(
    ("ours", "theirs"), [(3600, 0), (-3600, 0), (0, 3600), (0, -3600), (2, 0), (-2, 0), (0, 2), (0, -2)]
)
def test_a_clock_that_is_set_is_neither_lag_nor_loss(ours: float, theirs: float, steady: bool) -> None:
    watch = jumped(ours, theirs, steady=steady)
    assert watch.lag.offset == pytest.approx(ours - theirs, abs=0.001)
    assert watch.lag.seconds == pytest.approx(0, abs=0.001)
    now = NOW + 100 + ours
    assert watch.tick(now, NOW + 100 if steady else None) == []
    found = [
        loss.grade for second in range(60) for loss in watch.tick(now + second, NOW + 100 + second if steady else None)
    ]
    assert found == ["stalled"]


def test_a_clock_that_is_set_while_nothing_comes() -> None:
    watch = LossWatch()
    see(watch, [heartbeat(1, 0)], NOW)
    watch.tick(NOW, 500.0)
    assert watch.tick(NOW + 3600, 501.0) == []
    assert [loss.grade for loss in watch.tick(NOW + 3650, 551.0)] == ["stalled"]


def test_who_knows_of_a_jump_says_so() -> None:
    watch = LossWatch()
    watched(watch, steady_stream(30))
    watch.clock_jumped(3600)
    assert watch.lag.offset is None
    assert watch.tick(NOW + 3631) == []
    watched(watch, steady_stream(5, 400, start=NOW + 30), shift=3600)
    assert watch.lag.offset == pytest.approx(3600, abs=0.001)


def test_a_frozen_connection_is_lag_and_no_jump() -> None:
    """Nothing for 30 s, then all that was made meanwhile within 15 s."""
    watch = LossWatch()
    watched(watch, steady_stream(60))
    thawed = NOW + 90
    lags = []
    for one, at in steady_stream(45, 700, start=NOW + 60):
        watch.see(one, max(at, thawed + (at - NOW - 60) / 3))
        lags.append(watch.lag.seconds)
    assert lags[0] == pytest.approx(30, abs=0.1)
    assert lags == sorted(lags, reverse=True)
    assert lags[-1] == pytest.approx(0, abs=0.1)
    assert watch.lag.offset == pytest.approx(0, abs=0.001)


def test_a_queue_that_grows_is_no_jump() -> None:
    watch = LossWatch()
    watched(watch, steady_stream(60))
    for one, at in steady_stream(100, 700, start=NOW + 60):
        watch.see(one, NOW + 60 + 2 * (at - NOW - 60))
    assert watch.lag.seconds == pytest.approx(100, abs=0.5)


def test_another_run_of_the_switch_has_another_clock() -> None:
    watch = LossWatch()
    watched(watch, steady_stream(60))
    see(watch, [event(3, core="c-2", stamp=NOW + 50)], NOW + 60)
    see(watch, [event(4, core="c-2", stamp=NOW + 51)], NOW + 61)
    assert watch.lag.offset == pytest.approx(10, abs=0.001)


def test_stamps_that_are_none_are_left_out() -> None:
    watch = LossWatch()
    odd = [Event.build("DTMF", {"Core-UUID": "c-1", "Event-Sequence": 1}), event(2)]
    odd.append(Event.build("DTMF", {"Core-UUID": "c-1", "Event-Sequence": 3, "Event-Date-Timestamp": "9" * 300}))
    for second, one in enumerate(odd):
        watch.see(one, NOW + second)
    assert watch.lag.offset == pytest.approx(1, abs=0.001)


def test_a_recording_received_as_it_was_made_has_no_lag() -> None:
    watch = LossWatch()
    now, most = 0.0, 0.0
    for message in captured(eslcodec, "calls_sip"):
        if isinstance(message, Event):
            now = max(now, int(message["Event-Date-Timestamp"]) / 1e6)
        watch.see(message, now)
        most = max(most, watch.lag.seconds or 0.0)
    assert most < 0.3  # events that come out of order
