"""What a decoder remembers between messages never changes a result: warm, cold and naive readers agree."""

from __future__ import annotations

import random
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from differential_support import NAMES, SEPARATORS, VALUES
from hypothesis import given
from hypothesis import strategies as st
from support import capture, heavy_examples, naive_dict, naive_pairs, naive_payload, plain, snapshot

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(0)]

# What is remembered between messages never changes a result


@st.composite
def similar_payloads(draw: Any) -> Any:
    """Payloads that share most of their lines with the one before: what a decoder's memory is for."""
    lines = [draw(NAMES) + draw(SEPARATORS) + draw(VALUES) for _ in range(draw(st.integers(1, 10)))]
    lines = [b"Event-Name: A", *[line for line in lines if line.strip(b"\r")]]
    payloads = []
    for _ in range(draw(st.integers(2, 6))):
        for _ in range(draw(st.integers(0, 2))):
            at = draw(st.integers(0, len(lines) - 1))
            how = draw(st.sampled_from(["value", "value", "delete", "double", "new", "swap", "cut", "case"]))
            if how == "value" and b": " in lines[at]:
                lines[at] = lines[at].split(b": ")[0] + b": " + draw(VALUES)
            elif how == "delete" and len(lines) > 1:
                del lines[at]
            elif how == "double":
                lines.insert(draw(st.integers(0, len(lines))), lines[at])
            elif how == "new":
                lines.insert(at, b"new" + draw(NAMES) + draw(SEPARATORS) + draw(VALUES))
            elif how == "swap":
                lines[at], lines[-1] = lines[-1], lines[at]
            elif how == "cut" and lines[at][:-1].strip(b"\r"):
                lines[at] = lines[at][:-1]
            elif how == "case":
                lines[at] = lines[at].swapcase()
        end = draw(st.sampled_from([b"\n", b"\n", b"\n", b"\r\n"]))
        payloads.append(
            end.join(lines) + end + draw(st.sampled_from([b"\n", b"\n", b"", b"\r\n", b"\nbody", b"\n\n\n"]))
        )
    return payloads


READERS = {
    "asdict": lambda event: list(event.asdict().items()),
    "select": lambda event: event.select("Event-Name", "A", "a", "variable_x", "absent", "new"),
    "get": lambda event: [event.get(name) for name in ("unique-id", "Event-Name", "A:b", "absent")],
    "items": lambda event: list(event.items()),
}


@given(payloads=similar_payloads(), order=st.permutations(list(READERS)))
@heavy_examples(300)
def test_similar_events_are_read_alike_warm_and_cold(esl: ModuleType, payloads: Any, order: Any) -> None:
    decoder = esl.Decoder()
    for payload in payloads * 2:
        decoder.feed(plain(payload))
        warm = decoder.next_message()
        cold = esl.Event.from_payload(payload, "plain")
        pairs, body = naive_payload(payload)
        for reader in order:
            assert READERS[reader](warm) == READERS[reader](cold)
        assert list(warm.asdict().items()) == list(naive_dict(pairs).items())
        assert (warm.pairs(), warm.body) == (pairs, body)


def read(event: Any, number: Any) -> Any:
    """A message in one of the ways that use what the decoder remembers."""
    if number % 3 == 0:
        return event.asdict(), event.get("Event-Name"), event.get("A-50")
    if number % 3 == 1:
        return event.select("Event-Name", "A-50", "a-51", "absent"), event.asdict()
    return event["Event-Name"], event.get("absent"), event.asdict(), len(event)


def distinct_payloads(count: Any) -> Iterator[Any]:
    """Events of which half of the lines never come twice."""
    chosen = random.Random(5)
    for number in range(count):
        lines = [b"Event-Name: E%d" % (number % 7)]
        lines += [b"A-%d: same%%20%d" % (line, line % 3) for line in range(60)]
        lines += [b"B-%d-%d: %d" % (number, line, chosen.randrange(10**9)) for line in range(30)]
        lines += [b"C-%d: %d%%20" % (line, chosen.randrange(10**9)) for line in range(30)]
        lines += [b"L-%d: %b" % (line, b"x" * chosen.randrange(1100)) for line in range(2)]
        chosen.shuffle(lines)
        yield b"\n".join(lines) + b"\n\n"


def test_tens_of_thousands_of_distinct_lines_are_read_like_one(esl: ModuleType) -> None:
    payloads = list(distinct_payloads(400))
    stream = b"".join(map(plain, payloads))
    decoder = esl.Decoder()
    cold = [read(esl.Event.from_payload(payload, "plain"), number) for number, payload in enumerate(payloads)]
    for _ in range(2):  # the second time, what is remembered is of another event
        decoder.feed(stream)
        assert [read(event, number) for number, event in enumerate(decoder)] == cold
    for payload, seen in zip(payloads[::20], cold[::20], strict=True):
        assert naive_dict(naive_payload(payload)[0]) in seen


def test_tens_of_thousands_of_distinct_envelopes_are_read_like_one(esl: ModuleType) -> None:
    decoder = esl.Decoder()
    for number in range(10_000):
        decoder.feed(b"X-%d: 1\nContent-Length: %d\n\n%b" % (number, number % 5, b"xxxxx"[: number % 5]))
        message = decoder.next_message()
        assert (message[f"X-{number}"], message.body) == ("1", b"xxxxx"[: number % 5])


def test_tens_of_thousands_of_distinct_names_are_looked_up_like_one(esl: ModuleType) -> None:
    decoder = esl.Decoder()
    decoder.feed(plain(b"Name-7: seven\nName-7777: 4\n\n") * 2)
    first, second = decoder
    assert second["name-7"] == "seven"
    for number in range(10_000):
        wanted = {7: "seven", 7777: "4"}.get(number)
        assert first.get(f"Name-{number}") == wanted
    assert second["Name-7"] == "seven"


@pytest.mark.parametrize(
    "name", ["outbound_async_full_plain", "sendevent", "out_myevents_plain", "sendmsg_event_lock_order"]
)
def test_captured_events_are_read_alike_warm_cold_and_by_a_naive_reader(esl: ModuleType, name: str) -> None:
    data = capture(name)
    decoder = esl.Decoder()
    for turn in range(3):
        decoder.feed(data)
        messages = list(decoder)
        for message in messages if turn != 1 else random.Random(1).sample(messages, len(messages)):
            block, body = message.__reduce__()[1]
            again = type(message)(block, body)
            assert snapshot(message) == snapshot(again)
            if isinstance(message, esl.Event):
                pairs, inner = naive_payload(body)
                assert (message.pairs(), message.body) == (pairs, inner)
            else:
                encoded = block.startswith(b"Event-Name:")
                assert (message.pairs(), message.body) == (naive_pairs(block, encoded), body)
