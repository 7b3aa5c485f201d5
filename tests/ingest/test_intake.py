"""What is held of a stream: the order in which it is handed out, and what may be acknowledged."""

from __future__ import annotations

from typing import Any

from eslcodec.ingest._intake import Held, Intake, Requests


def intake(ordered: bool = True) -> Intake:
    made = Intake(ordered, 100, 1 << 20)
    made.settle_now()
    return made


def come(to: Intake, *sequences: int, first: int = 1) -> list[bool]:
    """They are delivered one after the other; whether each was taken."""
    found = []
    for delivery, sequence in enumerate(sequences, first):
        reply = f"{delivery}/{sequence}"
        found.append(to.is_new(sequence, delivery, reply))
        if found[-1]:
            to.add(Held(sequence, reply, None, 10, 1, 0.0))
    return found


def taken(from_: Intake) -> list[Held]:
    found = []
    while (held := from_.take()) is not None:
        found.append(held)
    return found


def sequences(helds: list[Held]) -> list[int]:
    return [held.sequence for held in helds]


def info(delivered: int, pending: int) -> dict[str, Any]:
    return {"delivered": {"stream_seq": delivered}, "num_ack_pending": pending}


def test_what_comes_is_handed_out_in_its_order() -> None:
    one = intake()
    come(one, 3, 5, 9)
    assert (sequences(taken(one)), one.size, one.last) == ([3, 5, 9], 30, 9)


def test_an_acknowledgement_means_all_before_it() -> None:
    one = intake()
    come(one, 1, 2, 3, 4)
    first, second, third, _ = taken(one)
    one.done(third)
    one.done(second)
    assert (one.ack, one.floor, len(one.held)) == (None, 0, 4)
    one.done(first)
    assert (one.ack, one.floor, sorted(one.held), one.size) == ("3/3", 3, [4], 10)


def test_a_hole_in_the_deliveries_stops_what_is_behind_it_until_the_lost_ones_are_here() -> None:
    one = intake()
    come(one, 1, 2)
    assert sequences(taken(one)) == [1, 2]
    come(one, 6, first=6)
    assert (one.is_settled, one.take()) == (False, None)
    assert not one.settle(info(6, 6))
    come(one, 3, 5, 4, first=7)
    assert one.settle(info(6, 6))
    assert sequences(taken(one)) == [3, 4, 5, 6]
    assert one.out_of_order == 0


def test_what_a_server_has_forgotten_it_is_not_waited_for() -> None:
    one = intake()
    come(one, 1, 2, 3, 4)
    one.unsettle()
    assert not one.settle(info(2, 3))
    assert one.settle(info(2, 2))


def test_what_comes_again_is_not_handed_out_again_and_its_newest_reply_counts() -> None:
    one = intake()
    come(one, 1, 2)
    held = taken(one)
    assert come(one, 1, first=3) == [False]
    one.done(held[0])
    assert (one.ack, one.repeats) == ("3/1", 1)


def test_what_was_handled_and_comes_again_is_acknowledged_again() -> None:
    one = intake()
    come(one, 1, 2, 3)
    for held in taken(one):
        one.done(held)
    one.ack = None  # it was sent
    assert come(one, 1, 2, first=4) == [False, False]
    assert (one.ack, one.floor) == ("5/2", 3)


def test_without_order_each_is_let_go_by_itself() -> None:
    one = intake(ordered=False)
    come(one, 1, 2, 3)
    held = taken(one)
    come(one, 9, first=9)
    assert one.is_settled
    one.done(held[1])
    assert (sorted(one.held), one.ack, one.size) == ([1, 3, 9], None, 30)


def test_what_a_server_forgot_to_have_delivered_is_not_acknowledged_before_it_comes_again() -> None:
    one = intake()
    come(one, 1, 2, 3, 4)
    first, second = one.take(), one.take()
    assert first is not None
    assert second is not None
    one.unsettle()
    one.forgotten(1)
    assert sorted(one.held) == [1, 2]  # the others come again
    one.done(first)
    one.done(second)
    assert (one.ack, one.floor) == ("1/1", 2)
    assert come(one, 2, 3, 4, first=2) == [False, True, True]
    assert one.ack == "2/2"
    assert one.settle(info(4, 2))
    assert sequences(taken(one)) == [3, 4]


def test_a_request_is_over_when_all_its_messages_came() -> None:
    requests = Requests()
    assert (requests.ask(2), requests.open) == (1, 2)
    assert [requests.came(), requests.came()] == [False, True]
    assert (requests.open, requests.ask(1), requests.open) == (0, 2, 1)


def test_messages_behind_the_end_of_their_request_are_none_of_the_next() -> None:
    requests = Requests()
    requests.ask(3)
    requests.came()
    requests.end("1", "0")
    assert requests.open == 0
    requests.ask(2)
    assert [requests.came(), requests.came(), requests.open] == [False, False, 2]
    assert [requests.came(), requests.came(), requests.open] == [False, True, 0]


def test_what_a_request_did_not_bring_is_not_waited_for() -> None:
    for unsent in ("3", "7", "", "x"):
        requests = Requests()
        requests.ask(3)
        requests.end("1", unsent)
        assert (requests.open, requests.ask(1), requests.came()) == (0, 2, True)


def test_the_end_of_an_earlier_request_ends_no_other() -> None:
    requests = Requests()
    requests.ask(1)
    requests.came()
    requests.ask(5)
    requests.end("1", "0")
    assert requests.open == 5
    requests.end("2", "0")
    requests.forget()
    requests.ask(1)
    assert requests.came()


def test_a_message_that_nobody_asked_for() -> None:
    requests = Requests()
    assert (requests.came(), requests.open) == (False, 0)
