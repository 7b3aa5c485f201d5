"""What a decoder remembers of its events, up to each bound; beyond it nothing changes but speed."""

from __future__ import annotations

import hashlib
from types import ModuleType
from typing import Any

import pytest
from memo_support import decoded, event, naive_json
from support import load_core, naive_pairs, part

# Bounds. What is remembered is the same object again.


def kept(esl: Any, lines: list[bytes], warm: list[bytes] | None = None) -> list[bool]:
    """Of each line whether its value was remembered."""
    if esl.__impl__ != "c":
        pytest.skip("the compiled core's bounds")
    decoder = esl.Decoder()
    results = []
    for part_of in (warm or [], lines, lines):
        decoder.feed(event(part_of))
        results.append(decoder.next_message().asdict())
    first, second = results[1:]
    assert first == second == dict(decoded(load_core("python"), event(lines))[0].pairs())
    return [one is other for one, other in zip(first.values(), second.values(), strict=True)]


def test_values_that_take_turns_are_both_remembered(esl: ModuleType) -> None:
    """As those of the two legs of a call do."""
    decoder = esl.Decoder()
    decoder.feed(b"".join(event([b"Unique-ID: leg-%b" % leg]) for leg in (b"a", b"b", b"a", b"b", b"a")))
    values = [message.asdict()["Unique-ID"] for message in decoder]
    assert values == ["leg-a", "leg-b", "leg-a", "leg-b", "leg-a"]
    assert values[0] is values[2] is values[4]
    assert values[1] is values[3]


@pytest.mark.parametrize("way", ["pairs", "asdict", "to_json"])
def test_values_that_take_turns_within_an_event_are_told_apart(esl: ModuleType, way: str) -> None:
    blocks = [[b"A: 1", b"B: x", b"A: 2"], [b"A: 2", b"B: y", b"A: 1"], [b"A: 1", b"A: 1", b"B: x", b"A: 2"]] * 3
    decoder = esl.Decoder()
    decoder.feed(b"".join(map(event, blocks)))
    reference = load_core("python").Decoder()
    for block, message in zip(blocks, decoder, strict=True):
        reference.feed(event(block))
        assert getattr(message, way)() == getattr(reference.next_message(), way)()


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_so_many_names_are_remembered(esl: ModuleType, more: int) -> None:
    most = part(esl, "limits").MEMO_NAMES
    names = (hashlib.md5(b"%d" % number).hexdigest().encode() for number in range(most + more))
    remembered = kept(esl, [b"%b: value" % name for name in names])
    assert remembered == [True] * min(most + more, most) + [False] * max(more, 0)


def test_names_that_end_in_numbers_have_room(esl: ModuleType) -> None:
    """As those of a call's variables do: they differ in few bits, and none is to be crowded out."""
    assert all(kept(esl, [b"variable_sip_h_X-Attribute-%d: value" % number for number in range(1900)]))


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_names_so_long_are_remembered(esl: ModuleType, more: int) -> None:
    most = part(esl, "limits").MEMO_NAME_BYTES
    assert kept(esl, [b"n" * (most + more) + b": value", b"A: value"]) == [more <= 0, True]


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_values_so_long_are_remembered(esl: ModuleType, more: int) -> None:
    most = part(esl, "limits").MEMO_VALUE_BYTES
    assert kept(esl, [b"A: " + b"v" * (most + more), b"B: value"]) == [more <= 0, True]


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_so_much_of_values_is_remembered(esl: ModuleType, more: int) -> None:
    limits = part(esl, "limits")
    count = limits.MEMO_BYTES // limits.MEMO_VALUE_BYTES
    sizes = [limits.MEMO_VALUE_BYTES] * (count - 1) + [limits.MEMO_VALUE_BYTES - 50, 50 + more]
    lines = [b"name-%d: " % number + b"v" * size for number, size in enumerate(sizes)]
    assert kept(esl, lines) == [True] * count + [more <= 0]


def test_what_there_was_no_room_for_is_remembered_in_the_end(esl: ModuleType) -> None:
    """A decoder that met thousands of names once does not stay full of them."""
    if esl.__impl__ != "c":
        pytest.skip("the compiled core's bounds")
    decoder = esl.Decoder()
    for number in range(3000):
        decoder.feed(event([b"once-%d-%d: value" % (number, at) for at in range(10)]))
        decoder.next_message().asdict()
    lines = [b"A: value", b"B: value"]
    for _ in range(5000):  # it takes that many in vain, at most
        decoder.feed(event(lines) * 2)
        first, second = (message.asdict() for message in decoder)
        if first["B"] is second["B"]:
            break
    assert first["B"] is second["B"]


# The Python core's bounds: of lines, and of what they become in JSON


@pytest.fixture
def python() -> Any:
    return load_core("python")


def known_again(esl: Any, lines: list[bytes]) -> list[bool]:
    """Of each line whether its pair was remembered, and the numbers of remembered lines are within their bound."""
    decoder = esl.Decoder()
    seen = []
    for _ in range(2):
        decoder.feed(event(lines))
        message = decoder.next_message()
        seen.append(message.pairs())
        assert message.to_json() == naive_json(naive_pairs(b"\n".join(lines)), b"", True)
        most = part(esl, "limits").MEMO_LINES
        assert len(message._memo.lines) <= most
        assert len(message._memo.members) <= most
    return [one is other for one, other in zip(*seen, strict=True)]


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_lines_so_long_are_remembered(python: Any, more: int) -> None:
    most = part(python, "limits").MEMO_LINE_BYTES
    assert known_again(python, [b"A: " + b"v" * (most - 3 + more), b"B: value"]) == [more <= 0, True]


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_so_many_lines_are_remembered(python: Any, more: int) -> None:
    most = part(python, "limits").MEMO_LINES
    remembered = known_again(python, [b"name-%d: value" % number for number in range(most + more)])
    assert all(remembered) == (more <= 0)  # with one more all are forgotten, again and again


@pytest.mark.parametrize("more", [-1, 0, 1])
@pytest.mark.parametrize("shorter", [False, True])
def test_members_so_long_are_remembered(python: Any, more: int, shorter: bool) -> None:
    """Than its line a member may be shorter or longer: `%41` is one character, a control character six."""
    most = part(python, "limits").MEMO_LINE_BYTES
    size = most + more - len("A: " if shorter else '"A":""')
    line = b"A: " + (b"%41" * (size // 3) + b"v" * (size % 3) if shorter else b"\x01" * (size // 6) + b"v" * (size % 6))
    decoder = python.Decoder()
    for _ in range(2):
        decoder.feed(event([line, b"B: value"]))
        message = decoder.next_message()
        assert message.to_json() == naive_json(naive_pairs(line + b"\nB: value"), b"", True)
        assert (line in message._memo.members) == (more <= 0)
        assert b"B: value" in message._memo.members


def test_lines_without_a_colon_are_not_remembered(python: Any) -> None:
    decoder = python.Decoder()
    decoder.feed(event([b"A: 1", b"no colon", b"B: 2"]) * 2)
    for message in decoder:
        assert message.pairs() == [("A", "1"), ("B", "2")]
        assert message.asdict() == {"A": "1", "B": "2"}
        assert message.to_json() == b'{"A":"1","B":"2"}'
        assert b"no colon" not in message._memo.lines
        assert b"no colon" not in message._memo.members


def test_bodies_are_not_remembered(python: Any) -> None:
    decoder = python.Decoder()
    decoder.feed(event([b"A: 1"], b"body: text"))
    message = decoder.next_message()
    assert message.to_json() == b'{"A":"1","_body":"body: text"}'
    assert list(message._memo.members) == [b"A: 1"]
