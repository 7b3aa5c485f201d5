"""When a connection without I/O wants to read on: bounds of its queue, in messages and bytes."""

from __future__ import annotations

import copy
from functools import partial
from types import ModuleType
from typing import Any

import pytest
from connection_support import HEARTBEAT, LOG, Peer, event
from connection_support import way as way
from hypothesis import given
from hypothesis import strategies as st
from support import ACCEPTED, AUTH, api_response, part

from eslcodec import Message
from eslcodec.connection import Connection, MessageQueue


def limited(esl: Any, way: str, **options: Any) -> Peer:
    peer = Peer(part(esl, "connection").Connection.inbound("x", **options), way)
    peer.comes(AUTH, ACCEPTED)
    return peer


def test_reading_stops_at_the_soft_bound_and_goes_on_below(esl: ModuleType, way: Any) -> None:
    peer = limited(esl, way, queue_limit=3, queue_hard_limit=5)
    peer.comes(HEARTBEAT, HEARTBEAT)
    assert peer.wants_data
    peer.comes(HEARTBEAT)
    assert not peer.wants_data
    peer.queue.popleft()
    assert peer.wants_data


def test_the_bound_is_soft_while_somebody_waits(esl: ModuleType, way: Any) -> None:
    peer = limited(esl, way, queue_limit=3, queue_hard_limit=5)
    wait = peer.api("status")
    peer.comes(*[HEARTBEAT] * 4)
    assert not peer.wants_data
    woken = []
    waker = lambda: woken.append(1)  # noqa: E731
    wait.watch(waker)
    assert peer.wants_data
    assert not peer.queue_is_full
    peer.comes(HEARTBEAT)
    assert not peer.wants_data
    assert peer.queue_is_full
    assert woken
    error = peer.queue_full_error(wait.what)
    assert isinstance(error, esl.EventQueueFull)
    assert str(error) == (
        "waiting for the answer to 'api status': 5 messages are queued, expected somebody to read them (5)"
    )
    wait.unwatch(waker)
    peer.queue.clear()
    peer.comes(api_response(b"UP"))
    assert wait.result().text == "UP"


def test_the_oldest_is_dropped_and_counted_by_choice(esl: ModuleType, way: Any) -> None:
    peer = limited(esl, way, queue_limit=2, when_full="drop")
    peer.comes(*(event(b"DTMF", b"Event-Sequence: %d" % number) for number in range(7)))
    assert [message.sequence for message in peer.queue] == [5, 6]
    assert peer.dropped == 5
    assert peer.wants_data
    assert not peer.queue_is_full


BIG = event(b"DTMF", b"Data: " + b"x" * 600)


@pytest.fixture
def bounds_in_bytes(esl: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two big events fill the queue, three of them to the hard bound."""
    monkeypatch.setattr(part(esl, "limits"), "EVENT_QUEUE_BYTES", 2 * len(BIG))
    monkeypatch.setattr(part(esl, "limits"), "EVENT_QUEUE_HARD_BYTES", 3 * len(BIG))


@pytest.mark.usefixtures("bounds_in_bytes")
def test_few_messages_that_are_large_fill_the_queue_too(esl: ModuleType, way: Any) -> None:
    peer = limited(esl, way)
    peer.comes(BIG)
    assert peer.wants_data
    peer.comes(BIG)
    assert not peer.wants_data
    peer.queue.popleft()
    assert peer.wants_data


@pytest.mark.usefixtures("bounds_in_bytes")
def test_large_messages_make_waiting_for_a_reply_vain_too(esl: ModuleType, way: Any) -> None:
    peer = limited(esl, way)
    wait = peer.api("status")
    woken = []
    wait.watch(lambda: woken.append(1))
    peer.comes(BIG)
    peer.comes(BIG)
    assert peer.wants_data
    assert not peer.queue_is_full
    assert not woken
    peer.comes(BIG)
    assert not peer.wants_data
    assert peer.queue_is_full
    assert woken
    error = peer.queue_full_error(wait.what)
    size = 3 * len(BIG)
    assert (error.queued, error.limit, error.unit) == (size, size, "bytes")
    assert vars(copy.copy(error)) == vars(error)
    assert str(error) == (
        f"waiting for the answer to 'api status': {size} bytes are queued, expected somebody to read them ({size})"
    )
    peer.queue.clear()
    assert not peer.queue_is_full
    peer.comes(api_response(b"UP"))
    assert wait.result().text == "UP"


@pytest.mark.usefixtures("bounds_in_bytes")
def test_what_an_earlier_connection_left_counts(esl: ModuleType, way: Any) -> None:
    earlier = limited(esl, way)
    earlier.comes(BIG)
    peer = limited(esl, way, queue=earlier.queue)
    assert peer.wants_data
    peer.comes(BIG)
    assert not peer.wants_data


@pytest.mark.usefixtures("bounds_in_bytes")
def test_what_does_not_wait_does_not_count(esl: ModuleType, way: Any) -> None:
    peer = limited(esl, way)
    for _ in range(9):
        wait = peer.api("status")
        peer.comes(api_response(b"x" * 1000))
        assert wait.result().text == "x" * 1000
    peer.comes(BIG)
    assert peer.wants_data


@pytest.mark.usefixtures("bounds_in_bytes")
def test_the_oldest_large_ones_are_dropped_and_the_newest_stays_whatever_its_size(esl: ModuleType, way: Any) -> None:
    peer = limited(esl, way, when_full="drop")
    for number in range(5):
        peer.comes(event(b"DTMF", b"Event-Sequence: %d" % number, b"Data: " + b"x" * 500))
    assert [message.sequence for message in peer.queue] == [3, 4]
    assert peer.dropped == 3
    peer.comes(event(b"DTMF", b"Event-Sequence: 5", b"Data: " + b"x" * 9000))
    assert [message.sequence for message in peer.queue] == [5]
    assert peer.dropped == 5


MESSAGES = st.binary(max_size=100).map(lambda body: Message(b"Content-Type: x\n\n", body))


@given(
    st.lists(
        st.one_of(
            st.integers(0, 5),
            st.tuples(st.sampled_from(["append", "extend", "take_in", "take_read"]), st.lists(MESSAGES)),
        )
    )
)
def test_size_of_a_queue_is_what_waits_rounded_up_to_whole_reads(operations: Any) -> None:
    """An operation takes so many messages out, or is a read of some."""
    queue, waiting, largest = MessageQueue(), [], 0
    for operation in operations:
        if isinstance(operation, int):
            for _ in waiting[:operation]:
                queue.popleft()
            del waiting[:operation]
        else:
            how, messages = operation
            sizes = [len(message.frame) for message in messages]
            if how == "take_in":
                queue.take_in(messages, sum(sizes))
            elif how == "take_read":
                queue.take_read(messages, sum(sizes))
            elif how == "extend":
                queue.extend(messages)
            else:
                for message in messages:
                    queue.append(message)
            queue.close_read()
            waiting += sizes
            largest = max(largest, sum(sizes))
        assert len(queue) == len(waiting)
        assert queue.size_at_most >= sum(waiting)
        assert queue.holds(9, 200) == (len(waiting) >= 9 or queue.size >= 200)
        assert sum(waiting) <= queue.size < sum(waiting) + max(largest, 1)
        assert waiting or queue.size == 0
    assert queue.copy().size == 0  # it is another read, which goes on
    assert list(queue.copy()) == list(queue)


@pytest.mark.parametrize("waiting", [0, 1, 3, 200])
def test_a_queue_remembers_few_reads_whose_messages_are_gone(waiting: int) -> None:
    one = Message(b"Content-Type: a\n\n")
    queue = MessageQueue([one] * waiting)
    queue.close_read()
    for _ in range(2000):
        queue.take_read([one], 17)
        queue.popleft()
        assert len(queue._reads) <= waiting + 66
    assert queue.size == waiting * 17


@pytest.mark.parametrize(("first", "left"), [(80, 100), (101, 20)])
def test_a_large_read_counts_message_by_message_in_a_queue(
    esl: ModuleType, monkeypatch: pytest.MonkeyPatch, first: int, left: int
) -> None:
    monkeypatch.setattr(part(esl, "limits"), "RECEIVE_BYTES_MAX", 100)
    queue = part(esl, "connection").MessageQueue()
    head = b"Content-Type: a\n\n"
    queue.take_read([esl.Message(head, b"x" * (first - len(head))), esl.Message(head, b"yyy")], first + 20)
    queue.popleft()
    assert queue.size == left


def test_a_connection_has_30_attributes_at_most(esl: ModuleType) -> None:
    """With more, CPython 3.11 and later keep a dict for each, and every read costs two hundredths more."""
    assert len(vars(part(esl, "connection").Connection.outbound(gap=lambda: None))) <= 30


@given(st.lists(st.lists(st.integers(0, 6), max_size=6), max_size=8), st.integers(0, 3))
def test_a_read_of_events_only_is_taken_as_any_other(reads: Any, taken: Any) -> None:
    """The shorter way of `Connection._pump` beside the one for all."""
    frames = [
        HEARTBEAT,
        event(b"DTMF", b"Event-Sequence: 7"),
        event(b"BACKGROUND_JOB", b"Job-UUID: none"),
        b"Content-Type: log/data\nContent-Length: 3\nLog-Level: 7\n\nabc",
        b"Content-Type: text/x-unknown\n\n",
        b"\n",
        b"",
    ]
    short, whole = (Connection.inbound("secret", queue_limit=4, queue_hard_limit=6) for _ in range(2))
    whole._needs.names.add("NONE")
    woken = {short: 0, whole: 0}

    def count(connection: Any) -> None:
        woken[connection] += 1

    for connection in (short, whole):
        connection.receive(AUTH + ACCEPTED)
        connection.api("status").watch(partial(count, connection))
    for read in reads:
        for connection in (short, whole):
            connection.receive(b"".join(frames[number] for number in read))
            for _ in range(min(taken, len(connection.queue))):
                connection.queue.popleft()
        assert list(short.queue) == list(whole.queue)
        assert short.received_events == whole.received_events
        assert short.last_event == whole.last_event
        assert short.received_bytes == whole.received_bytes
        assert (short.queue_is_full, short.wants_data, short.end) == (whole.queue_is_full, whole.wants_data, whole.end)
        assert bool(woken[short]) == bool(woken[whole])


@pytest.mark.usefixtures("bounds_in_bytes")
def test_what_came_with_a_message_and_does_not_wait_does_not_count(esl: ModuleType, way: Any) -> None:
    peer = limited(esl, way)
    for _ in range(5):
        wait = peer.api("status")
        peer.comes(HEARTBEAT, api_response(b"x" * 1000), HEARTBEAT)
        assert wait.result().text == "x" * 1000
    assert peer.wants_data
    assert len(peer.queue) == 10


def test_a_large_message_does_not_take_those_along_that_came_with_it(
    esl: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part(esl, "limits"), "EVENT_QUEUE_BYTES", 1 << 20)
    peer = limited(esl, "whole", when_full="drop")
    peer.comes(event(b"DTMF", b"Data: " + b"x" * (1 << 20)), *[HEARTBEAT] * 50)
    assert peer.names == ["HEARTBEAT"] * 50
    assert peer.dropped == 1
    peer.comes(LOG, event(b"DTMF", b"Data: " + b"x" * (1 << 20)), LOG, LOG)
    assert peer.names == ["LogLine"] * 2


@pytest.mark.parametrize(
    "options", [{"when_full": "block"}, {"queue_limit": 0}, {"queue_limit": 5, "queue_hard_limit": 4}]
)
def test_bounds_that_make_no_sense_are_refused(esl: ModuleType, options: Any) -> None:
    with pytest.raises(ValueError, match="expected"):
        part(esl, "connection").Connection.inbound("x", **options)
