"""Messages in flight, against a model of a stream that refuses, delays, loses and turns round."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterator
from itertools import accumulate, takewhile
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import examples

from eslcodec.ingest import _flight
from eslcodec.ingest._flight import Flight, Last
from eslcodec.ingest._packed import Packed, headers_of, pack
from eslcodec.ingest.contract import Item, Place

FAULTS = [
    "ok",
    "ok",
    "lose",
    "lose ack",
    "full",
    "no responders",
    "garbage",
    "swap",
    "leader",
    "stale",
    "forget",
    "delay",
    "late",
]


class Ticket(NamedTuple):
    """A message that is published."""

    epoch: int
    number: int
    item: Packed
    headers: dict[str, str]


def item(number: int, size: int = 2) -> Packed:
    return pack(Item("e.x", {"Nats-Msg-Id": f"c:{number}"}, b"x" * size, f"c:{number}", Place("f", 0, number, 7)))


def take_all(flight: Flight, now: float, most: int) -> list[Ticket]:
    """So many messages at most, taken at once."""
    batch = flight.take(now, most)
    if batch is None:
        return []
    both = enumerate(zip(batch.items, batch.guards(), strict=True), batch.number)
    return [Ticket(batch.epoch, number, one, headers_of(one.head + guard)) for number, (one, guard) in both]


def take(flight: Flight, now: float) -> Ticket | None:
    return next(iter(take_all(flight, now, 1)), None)


def ack(sequence: int, stream: str = "S", **more: Any) -> bytes:
    return json.dumps({"stream": stream, "seq": sequence, **more}).encode()


def error(code: int, text: str = "no") -> bytes:
    return json.dumps({"error": {"code": 400, "err_code": code, "description": text}, "stream": "S", "seq": 0}).encode()


class Broker:
    """A stream as a server applies it, one message a step; what is wrong is told for each step."""

    def __init__(self, dedupes: bool) -> None:
        self.ids: list[str] = []
        self.seen: dict[str, int] = {}
        self.dedupes = dedupes
        self.queue: deque[Ticket] = deque()
        self.answers: deque[tuple[Ticket, bytes, str | None]] = deque()
        self.behind = 0

    def last(self) -> Last:
        count = max(len(self.ids) - self.behind, 0)
        self.behind = 0
        return Last(count, self.ids[count - 1] if count else None)

    def step(self, fault: str) -> None:
        if fault == "leader":  # what was proposed is lost, what comes later is not
            for _ in range(min(3, len(self.queue))):
                self.queue.popleft()
        elif fault == "forget":  # the window for duplicates is over
            self.seen.clear()
        elif fault == "stale":  # the next look-up is answered by a follower
            self.behind = 2
        elif fault == "swap" and len(self.answers) > 1:
            self.answers[0], self.answers[1] = self.answers[1], self.answers[0]
        if not self.queue or fault == "delay":
            return
        if fault == "late":  # one overtakes another
            self.queue.rotate(-1)
        ticket = self.queue.popleft()
        if fault == "lose":
            return
        data, status = self.apply(ticket, fault)
        if fault != "lose ack":
            self.answers.append((ticket, data, status))

    def apply(self, ticket: Ticket, fault: str) -> tuple[bytes, str | None]:
        if fault == "no responders":
            return b"", "503"
        if fault == "twin":
            return error(10158, "duplicate message id is in process"), None
        if fault == "full":
            return error(10077, "maximum messages exceeded"), None
        headers, id = ticket.headers, ticket.item.id
        assert headers["Nats-Msg-Id"] == id
        if self.dedupes and id in self.seen:
            return ack(self.seen[id], duplicate=True), None
        expected = headers.get("Nats-Expected-Last-Sequence")
        if expected is not None and int(expected) != len(self.ids):
            return error(10071, f"wrong last sequence: {len(self.ids)}"), None
        expected = headers.get("Nats-Expected-Last-Msg-Id")
        if expected is not None and (not self.ids or expected != self.ids[-1]):
            return error(10070, "wrong last msg ID"), None
        self.ids.append(id)
        self.seen[id] = len(self.ids)
        if fault == "garbage":
            return b"+OK", None
        return ack(len(self.ids)), None


def reopen(flight: Flight, broker: Broker) -> None:
    if not flight.chained:
        return flight.open()
    last = broker.last()
    flight.open(last, broker.ids[last.sequence - flight.look_back(last) : last.sequence])


PLAIN = re.compile(rb'\{"stream": "S", "seq": ([0-9]+)\}')


def tell(flight: Flight, answers: deque[tuple[Ticket, bytes, str | None]], now: float) -> None:
    """Answers that came at once: plain ones that follow each other together, as a connection reads them."""
    while answers:
        run = list(takewhile(lambda one: PLAIN.fullmatch(one[1]) and one[0].epoch == answers[0][0].epoch, answers))
        if not run:
            ticket, data, status = answers.popleft()
            flight.answered(ticket.epoch, ticket.number, data, status, now)
            continue
        sequences = [int(PLAIN.sub(rb"\1", data)) for _, data, _ in run]
        flight.acknowledged_all(run[0][0].epoch, [one.number for one, _, _ in run], sequences, now)
        for _ in run:
            answers.popleft()


def play(flight: Flight, broker: Broker, count: int, faults: Iterator[str], many: int = 0) -> None:
    """Publish so many messages through whatever goes wrong, one at a time, or so many at once."""
    added, now = 0, 0.0
    for _ in range(200 * count + 2000):
        if flight.acknowledged == count:
            return
        while added < count and flight.room:
            flight.add(item(added))
            added += 1
        if not flight.is_open:
            reopen(flight, broker)
        while tickets := take_all(flight, now, many or 1):
            broker.queue += tickets
        for _ in range(many or 1):
            broker.step(next(faults, "ok"))
        if many:
            tell(flight, broker.answers, now)
        elif broker.answers:
            ticket, data, status = broker.answers.popleft()
            flight.answered(ticket.epoch, ticket.number, data, status, now)
        now += 0.1
        flight.tick(now)
        assert (flight.trouble is not None) >= (not flight.is_open)
        if flight.acknowledged:
            assert flight.last_id == f"c:{flight.acknowledged - 1}"
            assert flight.place == Place("f", 0, flight.acknowledged - 1, 7)
        assert flight.acknowledged + flight.waiting == added
    pytest.fail(f"it does not end: {flight} {flight.stops}")


@examples(300)
@given(
    faults=st.lists(st.sampled_from(FAULTS), max_size=120),
    window=st.integers(1, 9),
    count=st.integers(1, 40),
    dedupes=st.booleans(),
    many=st.integers(0, 6),
)
def test_a_chained_stream_has_each_message_once_and_in_order(
    faults: list[str], window: int, count: int, dedupes: bool, many: int
) -> None:
    """Whether or not the server remembers what it had."""
    flight = Flight("S", window=window, timeout=1.0)
    broker = Broker(dedupes)
    play(flight, broker, count, iter(faults), many)
    assert broker.ids == [f"c:{number}" for number in range(count)]
    assert flight.out_of_order == 0
    assert flight.disagreements == 0 or "stale" in faults


@examples(300)
@given(
    faults=st.lists(st.sampled_from([fault for fault in FAULTS if fault != "forget"]), max_size=120),
    window=st.integers(1, 9),
    count=st.integers(1, 40),
    many=st.integers(0, 6),
)
def test_a_shared_stream_has_each_message_once_and_what_is_late_is_counted(
    faults: list[str], window: int, count: int, many: int
) -> None:
    flight = Flight("S", chained=False, window=window, timeout=1.0)
    broker = Broker(True)
    play(flight, broker, count, iter(faults), many)
    want = [f"c:{number}" for number in range(count)]
    assert sorted(broker.ids) == sorted(want)
    assert (flight.out_of_order > 0) == (broker.ids != want)


@examples(100)
@given(faults=st.lists(st.sampled_from(FAULTS), max_size=80), count=st.integers(2, 40), at=st.integers(0, 39))
def test_a_publisher_that_wakes_up_late_changes_nothing(faults: list[str], count: int, at: int) -> None:
    """One has half of it in flight, freezes, another takes over and ends; then what the first had comes after all."""
    broker = Broker(False)
    frozen = Flight("S", window=50, timeout=1.0)
    frozen.open(broker.last())
    late = []
    for number in range(min(at, count)):
        frozen.add(item(number))
    while (ticket := take(frozen, 0.0)) is not None:
        late.append(ticket)
    for ticket in late[: len(late) // 2]:
        broker.queue.append(ticket)
        broker.step("ok")
    flight = Flight("S", window=50, timeout=1.0)
    play(flight, broker, count, iter(faults))
    before = list(broker.ids)
    for ticket in late[len(late) // 2 :]:
        broker.queue.append(ticket)
        broker.step("ok")
    assert broker.ids == before == [f"c:{number}" for number in range(count)]


@examples(200)
@given(
    faults=st.lists(st.sampled_from(FAULTS), max_size=60),
    turns=st.lists(st.booleans(), max_size=200),
    gaps=st.tuples(st.sets(st.integers(0, 29)), st.sets(st.integers(0, 29))),
    dedupes=st.booleans(),
)
def test_two_publishers_of_one_switch_lose_nothing_that_one_of_them_has(
    faults: list[str], turns: list[bool], gaps: tuple[set[int], set[int]], dedupes: bool
) -> None:
    """Each has its own recording, with gaps of its own."""
    broker = Broker(dedupes)
    flights = [Flight("S", window=40, timeout=1.0) for _ in gaps]
    flights[1].epoch = 1000  # so that it is seen whose answer comes
    wanted = [[number for number in range(30) if number not in gap] for gap in gaps]
    for flight, numbers in zip(flights, wanted, strict=True):
        for number in numbers:
            flight.add(item(number))
    trouble, now = iter(faults), 0.0
    for which in [*turns, *[False] * 2000, *[True] * 2000]:
        flight = flights[which]
        if not flight.waiting:
            continue
        if not flight.is_open:
            reopen(flight, broker)
        if (ticket := take(flight, now)) is not None:
            broker.queue.append(ticket)
        broker.step(next(trouble, "ok"))
        if broker.answers:
            ticket, data, status = broker.answers.popleft()
            owner = flights[ticket.epoch > 1000]
            owner.answered(ticket.epoch, ticket.number, data, status, now)
        now += 0.1
        for each in flights:
            each.tick(now)
    assert [flight.waiting for flight in flights] == [0, 0]
    assert set(broker.ids) == {f"c:{number}" for numbers in wanted for number in numbers}
    if dedupes and "forget" not in faults:
        assert len(set(broker.ids)) == len(broker.ids)


@examples(200)
@given(
    faults=st.lists(st.sampled_from([*FAULTS, "twin"]), max_size=80),
    turns=st.lists(st.booleans(), max_size=200),
    gaps=st.tuples(st.sets(st.integers(0, 29)), st.sets(st.integers(0, 29))),
)
def test_two_that_overlap_lose_nothing_and_what_is_late_is_counted(
    faults: list[str], turns: list[bool], gaps: tuple[set[int], set[int]]
) -> None:
    """No chain, and a server that may refuse an identity while the same one is under way."""
    broker = Broker(True)
    flights = [Flight("S", chained=False, overlap=True, window=40, timeout=1.0) for _ in gaps]
    flights[1].epoch = 1000
    wanted = [[number for number in range(30) if number not in gap] for gap in gaps]
    for flight, numbers in zip(flights, wanted, strict=True):
        for number in numbers:
            flight.add(item(number))
    trouble, now = iter(faults), 0.0
    for which in [*turns, *[False] * 2000, *[True] * 2000]:
        flight = flights[which]
        if not flight.waiting:
            continue
        if not flight.is_open:
            last = broker.last()
            flight.open(last, broker.ids[last.sequence - flight.look_back(last) : last.sequence])
        if (ticket := take(flight, now)) is not None:
            assert not any("Last" in name for name in ticket.headers)
            broker.queue.append(ticket)
        broker.step(next(trouble, "ok"))
        if broker.answers:
            ticket, data, status = broker.answers.popleft()
            flights[ticket.epoch > 1000].answered(ticket.epoch, ticket.number, data, status, now)
        now += 0.1
        for each in flights:
            each.tick(now)
    assert [flight.waiting for flight in flights] == [0, 0]
    assert [flight.acknowledged for flight in flights] == [len(numbers) for numbers in wanted]
    assert set(broker.ids) == {f"c:{number}" for numbers in wanted for number in numbers}
    if "forget" not in faults:
        assert len(set(broker.ids)) == len(broker.ids)


# One thing at a time


def opened(count: int = 3, **options: Any) -> tuple[Flight, list[Ticket]]:
    flight = Flight("S", **options)
    for number in range(count):
        flight.add(item(number))
    flight.open(Last(10, None))
    tickets = []
    while (ticket := take(flight, 0.0)) is not None:
        tickets.append(ticket)
    return flight, tickets


def test_each_message_says_what_must_be_before_it() -> None:
    flight, tickets = opened(4)
    flight.answered(1, 0, ack(11), None, 1.0)
    tickets += take_all(flight, 1.0, 8)
    said = [{name: value for name, value in one.headers.items() if "Expected" in name} for one in tickets]
    assert said == [
        {"Nats-Expected-Stream": "S", "Nats-Expected-Last-Sequence": "10"},
        {"Nats-Expected-Last-Sequence": "11", "Nats-Expected-Last-Msg-Id": "c:0"},
        {"Nats-Expected-Last-Sequence": "12", "Nats-Expected-Last-Msg-Id": "c:1"},
        {"Nats-Expected-Last-Sequence": "13", "Nats-Expected-Last-Msg-Id": "c:2"},
    ]
    assert [(one.epoch, one.number) for one in tickets] == [(1, 0), (1, 1), (1, 2), (1, 3)]
    assert (flight.waiting, flight.in_flight) == (3, 3)
    assert "Nats-Expected-Stream" not in headers_of(tickets[0].item.head)


def test_in_a_shared_stream_each_says_only_which_stream_it_is() -> None:
    flight = Flight("S", chained=False)
    flight.add(item(0))
    flight.open()
    ticket = take(flight, 0.0)
    assert ticket is not None
    assert ticket.headers == {"Nats-Msg-Id": "c:0", "Nats-Expected-Stream": "S"}


@pytest.mark.parametrize(
    ("data", "status", "kind"),
    [
        (b"", "503", "no_responders"),
        (b"", None, "unreadable"),
        (b"+OK", None, "unreadable"),
        (b"[]", None, "unreadable"),
        (b"{}", None, "unreadable"),
        (b"[" * 100_000, None, "unreadable"),
        (ack(11)[:-1], None, "unreadable"),
        (b'{"stream":"S"}', None, "unreadable"),
        (b'{"stream":"S","seq":"11"}', None, "unreadable"),
        (b'{"stream":"S","seq":true}', None, "unreadable"),
        (ack(0), None, "unreadable"),
        (ack(11, "T"), None, "stream"),
        (ack(10), None, "disorder"),
        (error(10060), None, "stream"),
        (error(10070), None, "order"),
        (error(10071), None, "order"),
        (error(10077), None, "full"),
        (error(10047), None, "full"),
        (error(10054), None, "oversize"),
        (error(10097), None, "oversize"),
        (error(10109), None, "sealed"),
        (error(10158), None, "order"),
        (error(1), None, "refused"),
        (b'{"error":{"err_code":"x"},"stream":"S","seq":11}', None, "refused"),
    ],
)
def test_only_a_whole_acknowledgement_counts(data: bytes, status: str | None, kind: str) -> None:
    flight, _ = opened()
    flight.answered(1, 0, data, status, 1.0)
    assert (flight.is_open, flight.acknowledged, flight.waiting, take(flight, 1.0)) == (False, 0, 3, None)
    assert flight.trouble is not None
    assert (flight.trouble.kind, flight.trouble.since) == (kind, 1.0)
    assert flight.stops == {kind: 1}


@given(
    answers=st.lists(st.tuples(st.sampled_from([0, 0, 0, 1, -1]), st.sampled_from([1, 1, 1, 2, 0, -1])), min_size=1),
    epoch=st.sampled_from([1, 1, 1, 0]),
    chained=st.booleans(),
    seen=st.sets(st.integers(0, 9), max_size=2),
)
def test_acknowledgements_at_once_count_as_one_by_one(
    answers: list[tuple[int, int]], epoch: int, chained: bool, seen: set[int]
) -> None:
    states = []
    numbers = [at + step for at, (step, _) in enumerate(answers)]
    sequences = list(accumulate((step for _, step in answers), initial=10))[1:]
    for at_once in (True, False):
        flight = Flight("S", chained=chained)
        for number in range(10):
            flight.add(item(number))
        flight.open(Last(10, None), [f"c:{number}" for number in seen])
        flight.take(0.0, 8)
        if at_once:
            flight.acknowledged_all(epoch, numbers, sequences, 1.0)
        else:
            for number, sequence in zip(numbers, sequences, strict=True):
                flight.acknowledged_all(epoch, [number], [sequence], 1.0)
        state = {name: value for name, value in vars(flight).items() if name not in ("_waiting", "times", "_clock")}
        states.append((state, [one.id for one in flight._waiting]))
    assert states[0] == states[1]


def test_messages_that_are_taken_at_once_say_the_same() -> None:
    _, tickets = opened(5)
    other = Flight("S")
    for number in range(5):
        other.add(item(number))
    other.open(Last(10, None))
    assert take_all(other, 0.0, 2) + take_all(other, 0.0, 7) == tickets


def test_what_the_stream_has_is_left_out_of_what_is_taken_at_once() -> None:
    flight = Flight("S")
    for number in range(6):
        flight.add(item(number))
    flight.open(Last(10, "c:0"), ["c:0", "c:3"])
    taken = [[one.number for one in take_all(flight, 0.0, 9)]]
    flight.answered(1, 1, ack(11), None, 1.0)
    taken += [[one.number for one in take_all(flight, 2.0, 9)] for _ in range(3)]
    assert taken == [[1], [2], [4, 5], []]


def test_an_acknowledgement_of_another_message_stops_it() -> None:
    flight, _ = opened()
    flight.answered(1, 1, ack(11), None, 1.0)
    assert flight.trouble is not None
    assert flight.trouble.needs_connection
    assert (flight.trouble.kind, flight.acknowledged) == ("disorder", 0)


def test_what_a_cluster_had_in_hand_before_the_first_message_costs_one_message_at_most() -> None:
    flight, _ = opened(5)
    flight.answered(1, 0, ack(11), None, 1.0)
    assert [one.item.id for one in take_all(flight, 1.0, 8)] == ["c:1", "c:2", "c:3", "c:4"]
    flight.stop("timeout", "no acknowledgement", 6.0)
    flight.open(Last(11, "c:0"))  # the four are not in the stream yet, and the next is checked against it
    assert [one.item.id for one in take_all(flight, 7.0, 8)] == ["c:1"]
    assert take(flight, 7.0) is None
    flight.answered(2, 1, ack(16), None, 8.0)  # now they are, and so is this one
    assert flight.trouble is not None
    assert flight.trouble.text == "sequence 16 was given, expected 12"
    last = Last(16, "c:1")
    assert flight.look_back(last) == 5
    flight.open(last, ["c:1", "c:2", "c:3", "c:4", "c:1"])
    assert (take(flight, 9.0), flight.waiting, flight.found) == (None, 0, 4)
    flight.add(item(5))
    assert [one.headers["Nats-Expected-Last-Sequence"] for one in take_all(flight, 9.0, 8)] == ["16"]


def test_an_answer_of_an_earlier_epoch_counts_for_nothing() -> None:
    flight, _ = opened()
    flight.answered(1, 0, error(10077), None, 1.0)
    flight.answered(1, 1, ack(11), None, 1.0)
    flight.open(Last(10, None))
    flight.answered(1, 0, ack(11), None, 1.0)
    assert (flight.acknowledged, flight.stale, flight.is_open) == (0, 2, True)


def test_silence_stops_it_and_an_empty_flight_is_not_silent() -> None:
    flight, _ = opened(2, timeout=5.0)
    flight.answered(1, 0, ack(11), None, 4.0)
    assert take(flight, 4.0) is not None
    flight.tick(8.9)
    assert flight.is_open
    flight.answered(1, 1, ack(12), None, 8.9)
    flight.tick(1000.0)
    assert flight.is_open
    flight.add(item(2))
    assert take(flight, 1000.0) is not None
    flight.tick(1004.9)
    assert flight.is_open
    flight.tick(1005.0)
    assert flight.trouble is not None
    assert flight.trouble.text == "no acknowledgement for 5.0 s"


def test_trouble_lasts_until_something_is_acknowledged() -> None:
    flight, _ = opened()
    flight.answered(1, 0, error(10077), None, 1.0)
    flight.open(Last(10, None))
    ticket = take(flight, 2.0)
    assert ticket is not None
    flight.answered(2, 0, error(10070), None, 3.0)
    assert flight.trouble is not None
    assert (flight.trouble.kind, flight.trouble.since) == ("order", 1.0)
    flight.open(Last(10, None))
    assert take(flight, 4.0) is not None
    flight.answered(3, 0, ack(11), None, 5.0)
    assert flight.trouble is None


def test_with_nothing_to_publish_there_is_no_trouble() -> None:
    flight = Flight("S")
    flight.stop("connection", "refused", 1.0)
    flight.open(Last(10, None))
    assert flight.trouble is None


def test_what_the_stream_has_is_not_published_again() -> None:
    flight, _ = opened(5)
    flight.stop("connection", "gone", 1.0)
    assert flight.look_back(Last(13, "c:2")) == 3
    flight.open(Last(13, "c:2"), ["c:0", "c:1", "c:2"])
    ticket = take(flight, 2.0)
    assert ticket is not None
    assert (ticket.item.id, ticket.headers["Nats-Expected-Last-Sequence"]) == ("c:3", "13")
    assert (flight.acknowledged, flight.found, flight.last_id, flight.trouble) == (3, 3, "c:2", None)


@pytest.mark.parametrize(
    ("last", "disagreements"),
    [
        (Last(11, "c:0"), 0),
        (Last(11, None), 0),  # aged out
        (Last(12, None), 1),
        (Last(12, "other:1"), 1),
        (Last(0, None), 1),  # made anew
        (Last(3, "c:-7"), 1),  # gone back
    ],
)
def test_an_end_that_is_none_of_ours_is_counted(last: Last, disagreements: int) -> None:
    flight, _ = opened(2)
    flight.answered(1, 0, ack(11), None, 1.0)
    flight.stop("connection", "gone", 2.0)
    flight.open(last)
    assert flight.disagreements == disagreements
    ticket = take(flight, 3.0)
    assert ticket is not None
    assert (ticket.item.id, ticket.headers["Nats-Expected-Last-Sequence"]) == ("c:1", str(last.sequence))


def test_a_stream_that_never_had_a_message_is_not_the_one_of_an_earlier_run() -> None:
    flight = Flight("S", last="c:7")
    flight.open(Last(0, None))
    assert flight.disagreements == 1


def test_what_the_stream_lacks_is_published_though_something_later_is_there() -> None:
    flight, _ = opened(5)
    flight.stop("connection", "gone", 1.0)
    flight.open(Last(13, "c:3"), ["c:0", "c:2", "c:3", "c:7"])
    assert (flight.acknowledged, flight.found, flight.waiting) == (1, 1, 4)
    tickets = [take(flight, 2.0)]
    flight.answered(2, 1, ack(14), None, 3.0)
    assert (flight.acknowledged, flight.found, flight.last_id) == (4, 3, "c:3")
    tickets += [take(flight, 3.0), take(flight, 3.0)]
    assert [ticket.item.id if ticket else None for ticket in tickets] == ["c:1", "c:4", None]
    flight.answered(2, 4, ack(15), None, 3.0)
    for number in (5, 6, 7, 8):
        flight.add(item(number))
    tickets = [take(flight, 2.0), take(flight, 2.0), take(flight, 2.0)]
    assert [ticket.item.id if ticket else None for ticket in tickets] == ["c:5", "c:6", "c:8"]


def stopped() -> Flight:
    """Five messages were published behind sequence 10, and no acknowledgement came."""
    flight, _ = opened(5)
    flight.stop("timeout", "", 0.0)
    return flight


def published(flight: Flight) -> list[str]:
    """All that is published now, each acknowledged in turn."""
    found = []
    while (batch := flight.take(0.0)) is not None:
        found += [item.id for item in batch.items]
        flight.answered(batch.epoch, batch.number, ack(flight._sequence + 1), None, 0.0)
    return found


def test_what_was_purged_in_front_of_ours_is_not_put_behind_it() -> None:
    flight = stopped()
    last = Last(14, "c:3")
    assert flight.look_back(last) == 4
    flight.open(last, ["c:3", "c:2"])
    assert (flight.found, published(flight), flight.acknowledged) == (4, ["c:4"], 5)


def test_what_may_never_have_been_there_is_published() -> None:
    for last, ids, later in (
        (Last(13, "c:3"), ["c:3", "c:2"], ["c:0", "c:1", "c:4"]),  # too few sequences: something was left out
        (Last(14, "c:3"), ["c:3", "c:1"], ["c:0", "c:2", "c:4"]),  # purged are the oldest
        (Last(14, "x"), ["c:2"], ["c:0", "c:1", "c:3", "c:4"]),
        (Last(14, None), [], ["c:0", "c:1", "c:2", "c:3", "c:4"]),
        (Last(14, "c:3"), ["c:3", "c:2", "x"], ["c:0", "c:1", "c:4"]),  # of another publisher
        (Last(14, "c:3"), ["c:3", "c:2", ""], ["c:0", "c:1", "c:4"]),
    ):
        flight = stopped()
        flight.open(last, ids)
        assert published(flight) == later


def test_how_far_it_looks_back() -> None:
    flight = Flight("S")
    assert [flight.look_back(Last(count, "x")) for count in (0, 1, 2048, 5000)] == [0, 1, 2048, 2048]
    for number in range(3000):
        flight.add(item(number))
    assert flight.look_back(Last(5000, "x")) == 2048
    flight.open(Last(100, "x"))
    assert [flight.look_back(Last(count, "x")) for count in (100, 101, 3000, 9000, 50)] == [0, 1, 2900, 3000, 50]


def test_the_end_of_an_earlier_run_is_compared_too() -> None:
    for last, disagreements in ((Last(5, "c:9"), 0), (Last(5, "x"), 1), (Last(5, None), 0)):
        flight = Flight("S", last="c:9")
        flight.open(last)
        assert flight.disagreements == disagreements


def test_there_is_room_for_a_window_of_messages_and_of_bytes() -> None:
    flight = Flight("S", window=3, window_bytes=100)
    for number in range(3):
        assert flight.room
        flight.add(item(number))
    assert not flight.room
    flight = Flight("S", window=3, window_bytes=100)
    flight.add(item(0, 99))
    assert flight.room
    flight.add(item(1, 1))
    assert not flight.room
    flight.open(Last(0, None))
    flight.take(0.0)
    flight.answered(1, 0, ack(1), None, 0.0)
    assert flight.room


def test_a_chained_stream_is_not_opened_blindly() -> None:
    with pytest.raises(ValueError, match="must be looked up"):
        Flight("S").open()


def test_it_says_how_it_is() -> None:
    flight, _ = opened()
    assert repr(flight) == "<Flight 'S' open, 3 waiting>"
    flight.stop("connection", "x", 0.0)
    assert repr(flight) == "<Flight 'S' shut, 3 waiting>"


def test_the_same_trouble_twice_is_one_and_each_try_that_fails_is_another() -> None:
    flight = Flight("S")
    for _ in range(3):
        flight.stop("connection", "refused", 1.0)
    assert flight.stops == {"connection": 1}
    for at in (2.0, 3.0):
        flight.failed("connection", "refused", at)
    assert flight.stops == {"connection": 3}
    assert flight.trouble == ("connection", "refused", 1.0)


@pytest.mark.parametrize(
    "data",
    [
        b'{"stream":"FS1", "seq":12}',
        b'{"stream":"FS1","seq":9223372036854775807}',
        b'{"stream":"F%2E S", "seq":1}',
        b'{"stream":"FS1", "seq":0}',
        b'{"stream":"FS1", "seq":-1}',
        b'{"stream":"FS1", "seq":12, "duplicate": true}',
        b'{"stream":"FS1", "domain":"d", "seq":12}',
        b'{"stream":"F\\u0053", "seq":12}',
        '{"stream":"Fä", "seq":12}'.encode(),
        b'{"stream":"FS1","seq":1.5}',
        b'{"stream":"FS1", "seq":12} ',
    ],
)
def test_an_answer_is_read_as_json_is(data: bytes) -> None:
    assert _flight._read(data) == json.loads(data)


@pytest.mark.parametrize(
    "data", [b'{"stream":"FS1", "seq":012}', b'{"stream":"F\xff", "seq":1}', b'{"stream":"FS1", "seq":12}}', b""]
)
def test_what_is_no_json_is_no_answer(data: bytes) -> None:
    assert _flight._read(data) is None


def overlapping(ids: tuple[str, ...] = ()) -> Flight:
    flight = Flight("S", chained=False, overlap=True, clock=lambda: 1796000010.0)
    for number in range(3):
        flight.add(item(number)._replace(received=1796000000.0 + number))
    flight.open(Last(10, "x"), ids)
    while take(flight, 0.0) is not None:
        pass
    return flight


def test_where_bridges_overlap_answers_may_come_in_any_order() -> None:
    """What the other one has put there is answered at once, what is new when a cluster has agreed on it."""
    flight = overlapping()
    flight.answered(1, 2, ack(9, duplicate=True), None, 1.0)
    assert (flight.is_open, flight.acknowledged, flight.duplicates, flight.last_id) == (True, 0, 1, None)
    flight.answered(1, 0, ack(11), None, 1.0)
    assert (flight.acknowledged, flight.last_id, flight.out_of_order) == (1, "c:0", 0)
    flight.answered(1, 1, ack(12), None, 1.0)
    assert (flight.acknowledged, flight.last_id, flight.out_of_order, flight.waiting) == (3, "c:2", 1, 0)


def test_what_was_answered_early_is_not_published_again() -> None:
    flight = overlapping()
    flight.answered(1, 1, ack(9, duplicate=True), None, 1.0)
    flight.stop("connection", "gone", 2.0)
    flight.open(Last(10, "x"))
    tickets = [take(flight, 3.0), take(flight, 3.0), take(flight, 3.0)]
    assert [ticket.item.id if ticket else None for ticket in tickets] == ["c:0", "c:2", None]


def test_what_is_under_way_from_another_bridge_is_published_again() -> None:
    flight = overlapping()
    flight.answered(1, 1, error(10158), None, 1.0)
    assert (flight.is_open, flight.stops) == (True, {})
    ticket = take(flight, 1.0)
    assert ticket is not None
    assert (ticket.epoch, ticket.number, ticket.item.id) == (1, 1, "c:1")
    assert take(flight, 1.0) is None


def test_an_answer_that_never_comes_is_missed_though_others_come() -> None:
    flight = overlapping()
    flight.answered(1, 1, ack(11), None, 4.0)
    flight.tick(4.9)
    assert flight.is_open
    flight.tick(5.0)
    assert flight.trouble is not None
    assert flight.trouble.kind == "timeout"


def test_where_bridges_overlap_the_stream_s_end_is_always_looked_at() -> None:
    flight = overlapping(ids=("c:0", "c:2"))
    assert (flight.acknowledged, flight.found, flight.waiting) == (1, 1, 2)
    flight.answered(1, 1, ack(11), None, 1.0)
    assert (flight.acknowledged, flight.found, flight.disagreements) == (3, 2, 0)
    assert [flight.look_back(Last(count, "c:2")) for count in (0, 5, 9000)] == [0, 5, 2048]


def test_it_says_how_old_the_oldest_is_and_how_long_it_took() -> None:
    flight = overlapping()
    assert flight.oldest == 1796000000.0
    flight.answered(1, 0, ack(11), None, 1.0)
    flight.answered(1, 1, ack(12), None, 1.0)
    assert flight.oldest == 1796000002.0
    assert (flight.times.sum, flight.times.cumulated()[-1]) == (19.0, ("+Inf", 2))
    assert Flight("S").oldest is None


def test_an_acknowledgement_behind_something_else_stops_a_chain() -> None:
    flight, _ = opened()
    flight.answered(1, 0, ack(12), None, 1.0)
    assert flight.trouble == ("disorder", "sequence 12 was given, expected 11", 1.0)
    assert (flight.acknowledged, flight.look_back(Last(12, "c:0"))) == (0, 2)
