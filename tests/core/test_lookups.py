"""Look-ups in headers of every length at every place: the compiled core finds them by an index of 64 bytes a word."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import examples, plain


def event_of(esl: Any, payload: bytes, decoder: Any = None) -> Any:
    decoder = decoder or esl.Decoder()
    decoder.feed(plain(payload))
    (event,) = decoder
    return event


def looked_up(pairs: list[tuple[str, str]], name: str) -> str | None:
    """The exact spelling, else the first that matches ignoring ASCII case; of Event-Name the last."""
    exact = [value for other, value in pairs if other == name]
    if not exact:
        spelled = next((other for other, _ in pairs if other.lower() == name.lower()), None)
        return None if spelled is None else looked_up(pairs, spelled)
    return exact[-1] if name == "Event-Name" else exact[0]


def assert_found(event: Any, pairs: list[tuple[str, str]], names: Iterable[str]) -> None:
    names = [*names]
    wanted = [looked_up(pairs, name) for name in names]
    assert [event.get(name) for name in names] == wanted
    assert event.select(*names) == tuple(wanted)
    assert [name in event for name in names] == [value is not None for value in wanted]


def block(pairs: list[tuple[str, str]], feed: bytes = b"\n") -> bytes:
    return b"".join(b"%b: %b%b" % (name.encode(), value.encode(), feed) for name, value in pairs) + feed


@pytest.mark.parametrize("feed", [b"\n", b"\r\n"])
@pytest.mark.parametrize("size", [1, 2, 61, 62, 63, 64, 65, 126, 127, 128, 129, 200])
def test_name_of_any_length_is_found_at_any_place(esl: Any, size: int, feed: bytes) -> None:
    name = "N" * size
    decoder = esl.Decoder()
    for before in [*range(70), 120, 250, 255, 256, 257]:
        pairs = [("P", "x" * before), (name, "1"), ("n" * size, "2"), ("Q", "3")]
        event = event_of(esl, block(pairs, feed) + b"body\n" + name.encode() + b"x: 4\n\n", decoder)
        assert_found(event, pairs, [name, name[:-1], name + "N", name + "x", "Q", "q", "P", "n" * size, name.title()])
        assert event.body == b"body\n" + name.encode() + b"x: 4\n\n"


@pytest.mark.parametrize("blank", [b"\n", b"\r\n"])
def test_headers_end_at_the_blank_line_wherever_it_is(esl: Any, blank: bytes) -> None:
    decoder = esl.Decoder()
    for size in range(140):
        event = event_of(esl, b"A: " + b"x" * size + b"\n" + blank + b"B: 1\n\nC: 2\n", decoder)
        assert (event.get("B"), event.get("A"), event.get("C"), event.body) == (
            None,
            "x" * size,
            None,
            b"B: 1\n\nC: 2\n",
        )
        event = event_of(esl, b"A: " + b"x" * size + b"\r\r\nB: 1\n\r\r\nC: 2\n\nD: 3\n", decoder)
        assert event.select("A", "B", "C", "D") == ("x" * size + "\r", "1", "2", None)


@pytest.mark.parametrize(
    "payload", [b"", b"\n", b"\r\n", b"A: 1", b"A: 1\n", b"\nA: 1\n\n", b"A: 1\r\n", b"A:1\nA: 2\n\n"]
)
def test_headers_without_a_blank_line_or_before_it(esl: Any, payload: bytes) -> None:
    event = event_of(esl, payload)
    wanted = None if payload.lstrip(b"\r").startswith(b"\n") or not payload else "1"
    assert (event.get("A"), event.get("a"), event.get("B"), event.get("")) == (wanted, wanted, None, None)


@pytest.mark.parametrize("size", [8_000, 8_192, 8_200, 65_000, 262_000, 262_144, 262_200, 600_000])
def test_headers_of_any_size_are_found(esl: Any, size: int) -> None:
    pairs = [(f"Name-{number}", f"{number}" * 10) for number in range(size // 60)]
    pairs.append(("Last", "x" * (size - len(block(pairs)) - 7)))
    assert len(block(pairs)) == size
    event = event_of(esl, block(pairs) + b"Name-x: 1\n\n")
    names = [pairs[0][0], pairs[len(pairs) // 2][0], pairs[-2][0], "Last", "LAST", "Name-x", "absent"]
    assert_found(event, pairs, names)
    assert_found(event, pairs, names[::-1])


def test_events_that_are_asked_in_turn_answer_for_themselves(esl: Any) -> None:
    decoder = esl.Decoder()
    for number in range(4):
        decoder.feed(plain(b"A: %d\nB: %d\n\n" % (number, -number)))
    events = [*decoder]
    for _ in range(3):
        assert [event["A"] for event in events] == ["0", "1", "2", "3"]
    assert [event["B"] for event in reversed(events)] == ["-3", "-2", "-1", "0"]
    large = event_of(esl, b"A: 4\n" + b"X: 1\n" * 100_000 + b"B: 5\n\n", decoder)
    assert [(event["A"], event["B"]) for event in (events[1], large, events[2])] == [
        ("1", "-1"),
        ("4", "5"),
        ("2", "-2"),
    ]
    del events[:]
    assert event_of(esl, b"B: 6\n\n", decoder).select("A", "B") == (None, "6")


def test_message_that_becomes_another_is_read_anew(esl: Any) -> None:
    event = event_of(esl, b"A: 1\n\n")
    assert event["A"] == "1"
    event.__init__(b"Content-Type: text/event-plain\n\n", b"B: 2\n\n")
    assert event.select("A", "B") == (None, "2")


NAMES = st.sampled_from(
    ["A", "a", "AB", "Ab", "Event-Name", "event-name", "x" * 62, "x" * 63, "x" * 64, "X" * 63, "y: z"]
)
VALUES = st.sampled_from(["", "1", "v", "x" * 50, ":", "a: b", "\u00e9"])


@given(
    pairs=st.lists(st.tuples(NAMES, VALUES), max_size=12),
    colon=st.sampled_from([b": ", b":", b":\t"]),
    feed=st.sampled_from([b"\n", b"\r\n"]),
    body=st.sampled_from([b"", b"A: body\n", b"x: 1\n\n"]),
    names=st.lists(NAMES, max_size=6),
)
@examples(300)
def test_look_ups_take_what_the_pairs_say(
    esl: Any, pairs: list[tuple[str, str]], colon: bytes, feed: bytes, body: bytes, names: list[str]
) -> None:
    payload = b"".join(name.encode() + colon + value.encode() + feed for name, value in pairs) + feed + body
    event = event_of(esl, payload)
    read = esl.parse_pairs(payload)
    assert_found(event, read, names)
    assert event.pairs() == read


@pytest.mark.parametrize("size", [1, 2, 7, 8, 9, 15, 16, 17])
def test_names_that_are_as_long_are_told_apart_by_any_of_their_letters(esl: Any, size: int) -> None:
    name = "Abcdefgh-Jklmn_Pqrs"[:size]
    for at in range(size):
        for put in ("x", name[at].swapcase(), chr(ord(name[at]) ^ 0x20), chr(ord(name[at]) ^ 0x40)):
            if put in "\n\r:":
                continue
            other = name[:at] + put + name[at + 1 :]
            pairs = [("P", "0"), (other, "1"), ("Q", "2")]
            assert_found(event_of(esl, block(pairs)), pairs, [name, other])
            pairs.append((name, "3"))
            assert_found(event_of(esl, block(pairs)), pairs, [name, other])


@pytest.mark.parametrize("size", [5, 20, 63, 64, 130])
def test_name_is_found_behind_any_number_of_others_as_long(esl: Any, size: int) -> None:
    """Those that are as long, in one word of each four or in several, are passed one by one."""
    decoder = esl.Decoder()
    names = [f"{number:03}" + "n" * (size - 3) for number in range(24)]
    for step in range(1, 6):
        pairs = [(other if at % step == 0 else "short", "x" * 40) for at, other in enumerate(names)]
        event = event_of(esl, block(pairs) + b"999" + b"n" * (size - 3) + b": body\n\n", decoder)
        assert_found(event, pairs, [*names, "999" + "n" * (size - 3), names[-1].upper()])
