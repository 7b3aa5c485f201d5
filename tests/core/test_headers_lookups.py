"""Text, names, look-ups, repeats, arrays, bodies: docs/protocol/reading.md, for frames and plain events."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from headers_support import both_blocks, event
from support import AUTH, OK, decode_every_way, plain

# Row: text


def test_text_is_utf8_and_no_byte_is_lost(esl: ModuleType) -> None:
    lines = b"\xff\xfeN\xc3\xa9: \xe9 \xc3\xa9 \x80\n"
    for message in both_blocks(esl, lines):
        ((name, value),) = message.pairs()
        assert (name, value) == ("\udcff\udcfeNé", "\udce9 é \udc80")
        assert message[name] == value
        assert f"{name}: {value}\n".encode("utf-8", "surrogateescape") == lines


def test_percent_encoded_bytes_are_text_only_after_decoding(esl: ModuleType) -> None:
    message = event(esl, b"A: %FF%E9\nB: %C3%A9\nC: \xc3%A9\nD: %E4%BD\n\n")
    assert message.asdict() == {"A": "\udcff\udce9", "B": "é", "C": "é", "D": "\udce4\udcbd"}
    assert message.select("A", "B", "C", "D") == ("\udcff\udce9", "é", "é", "\udce4\udcbd")


def test_encoded_surrogates_are_not_utf8(esl: ModuleType) -> None:
    message = event(esl, b"A: %ED%A0%80\n\n")
    assert message["A"] == "\udced\udca0\udc80"


def test_name_is_found_by_its_text_and_by_nothing_else(esl: ModuleType) -> None:
    name = "a\udcc3\udca9"  # what surrogateescape makes of the bytes of "aé" when they are not UTF-8, which they are
    for lines in ("aé: 1\n", "Aé: 1\naé: 2\n"):
        for message in both_blocks(esl, lines.encode()):
            for _ in range(2):
                assert message.get(name) is None
                assert name not in message
                assert message.select(name) == (None,)
                assert message.getlist(name) == []
                len(message)  # the second time with all names known


def test_parse_takes_bytes_and_text(esl: ModuleType) -> None:
    block = "Näme: wört%20%C3%A9 \udcff\n\nB: 2\n"
    raw = block.encode("utf-8", "surrogateescape")
    for kind in (str, bytes, bytearray, memoryview):
        given = block if kind is str else kind(raw)
        assert esl.parse_headers(given) == {"Näme": "wört é \udcff"}
        assert esl.parse_pairs(given) == [("Näme", "wört é \udcff")]


@pytest.mark.parametrize("wrong", [None, 5, ["A: 1"], 1.5])
def test_parse_refuses_what_is_neither(esl: ModuleType, wrong: Any) -> None:
    for function in (esl.parse_pairs, esl.parse_headers):
        with pytest.raises(TypeError):
            function(wrong)


# Row: names as keys


def test_keys_are_the_distinct_exact_spellings_in_order_of_first_appearance(esl: ModuleType) -> None:
    for message in both_blocks(esl, b"B: 1\na: 2\nA: 3\nB: 4\na: 5\nC: 6\n"):
        wanted = {"B": "1", "a": "2", "A": "3", "C": "6"}
        assert list(message) == list(message.keys()) == list(wanted)
        assert len(message) == 4
        assert list(message.asdict().items()) == list(message.items()) == list(wanted.items())
        assert list(message.values()) == list(wanted.values())
        assert dict(message) == wanted
    assert list(esl.parse_headers(b"B: 1\na: 2\nA: 3\nB: 4\na: 5\nC: 6\n").items()) == list(wanted.items())


# Row: look-up


def test_exact_spelling_counts_before_an_earlier_other_one(esl: ModuleType) -> None:
    for message in both_blocks(esl, b"unique-id: 1\nUnique-ID: 2\nUNIQUE-ID: 3\n"):
        assert message["Unique-ID"] == "2"
        assert message["UNIQUE-ID"] == "3"
        assert message["unique-id"] == "1"


def test_otherwise_the_first_that_matches_ignoring_case(esl: ModuleType) -> None:
    for message in both_blocks(esl, b"unique-id: 1\nUnique-ID: 2\n"):
        assert message["UNIQUE-id"] == "1"
        assert "uNIQUE-ID" in message
        assert message.get("uNIQUE-ID") == "1"
        assert message.select("uNIQUE-ID") == ("1",)
        assert message.getlist("uNIQUE-ID") == ["1"]


def test_only_ascii_letters_match_ignoring_case(esl: ModuleType) -> None:
    for message in both_blocks(esl, "É: 1\nSTRASSE: 2\n\u212a: 3\nA[: 4\n".encode()):
        assert message.get("é") is None
        assert message.get("straße") is None
        assert message.get("k") is None
        assert message.get("a{") is None
        assert message["É"] == "1"
        assert message["strasse"] == "2"


def test_absent_names_are_absent(esl: ModuleType) -> None:
    for message in both_blocks(esl, b"A: 1\nB: 2\n"):
        assert message.get("C") is None
        assert message.get("C", "fallback") == "fallback"
        assert message.get("C", default=7) == 7
        assert "C" not in message
        assert message.select("C", "A", "C") == (None, "1", None)
        assert message.select() == ()
        with pytest.raises(KeyError, match=r"^'C'$"):
            message["C"]


# Row: a repeated spelling


def test_first_of_a_repeated_spelling_counts(esl: ModuleType) -> None:
    for message in both_blocks(esl, b"A: 1\nB: x\nA: 2\nA: 3\n"):
        assert message["A"] == "1"
        assert message.asdict() == {"A": "1", "B": "x"}
        assert message.select("A", "a") == ("1", "1")


def test_last_of_several_event_names_counts(esl: ModuleType) -> None:
    payload = b"Event-Name: COMMAND\nEvent-Sequence: 1\nEvent-Name: PRIVATE_COMMAND\nEvent-Sequence: 2\n\n"
    for first in ("name", "asdict", "len", "select"):
        (message,) = decode_every_way(esl, plain(payload))
        result = getattr(message, first, None)
        result() if callable(result) else len(message)
        assert message.name == message["Event-Name"] == message["event-name"] == "PRIVATE_COMMAND"
        assert (message.sequence, message["Event-Sequence"], message["event-sequence"]) == (2, "1", "1")
        assert message.asdict() == {"Event-Name": "PRIVATE_COMMAND", "Event-Sequence": "1"}
        assert list(message) == ["Event-Name", "Event-Sequence"]
        assert message.select("Event-Name", "Event-Sequence") == ("PRIVATE_COMMAND", "1")


def test_last_of_several_event_names_counts_in_frames_and_parse_too(esl: ModuleType) -> None:
    (message,) = decode_every_way(esl, b"Event-Name: A\nX: 1\nEvent-Name: B\n\n")
    assert message["Event-Name"] == "B"
    assert esl.parse_headers(b"Event-Name: A\nX: 1\nEvent-Name: B\n") == {"Event-Name": "B", "X": "1"}


def test_rule_for_event_name_is_for_its_exact_spelling(esl: ModuleType) -> None:
    for message in both_blocks(esl, b"Event-NAME: 1\nEvent-Name: 2\nEvent-NAME: 3\nEvent-Name: 4\n"):
        assert message["Event-NAME"] == "1"
        assert message["Event-Name"] == "4"
        assert message["event-name"] == "1"


def test_last_event_name_may_be_written_without_a_blank(esl: ModuleType) -> None:
    assert event(esl, b"Event-Name: A\nEvent-Name:B\n\n").name == "B"
    assert event(esl, b"Event-Name: A\nEvent-Name:b: x\n\n").name == "A"
    assert event(esl, b"Event-Name: A\nEvent-Name:\n\n").name == ""
    assert event(esl, b"Event-Name: A\nEvent-Name: \n\n").name == ""


def test_event_name_in_the_body_is_not_one(esl: ModuleType) -> None:
    assert event(esl, b"Event-Name: A\n\n\nEvent-Name: B\n").name == "A"
    assert event(esl, b"Event-Name: A\nEvent-Name: C\n\nEvent-Name: B\n").name == "C"
    assert event(esl, b"X: 1\n\nEvent-Name: B\n").name is None
    assert event(esl, b"\nEvent-Name: B\n").name is None


def test_pairs_and_getlist_keep_all_repeats(esl: ModuleType) -> None:
    for message in both_blocks(esl, b"A: 1\nEvent-Name: x\na: 2\nA: 3\nEvent-Name: y\n"):
        pairs = [("A", "1"), ("Event-Name", "x"), ("a", "2"), ("A", "3"), ("Event-Name", "y")]
        assert message.pairs() == pairs
        assert esl.parse_pairs(message.raw) == pairs
        assert message.getlist("A") == ["1", "3"]
        assert message.getlist("a") == ["2"]
        assert message.getlist("Event-Name") == message.getlist("EVENT-name") == ["x", "y"]
        assert message.getlist("B") == []


# Row: arrays


def test_array_is_its_joined_text_as_a_value_and_its_items_as_a_list(esl: ModuleType) -> None:
    for lines in (b"A: ARRAY::a|:b c|:\n", b"A: ARRAY%3A%3Aa%7C%3Ab%20c|:\n"):
        message = event(esl, lines + b"\n")
        assert message["A"] == message.asdict()["A"] == "ARRAY::a|:b c|:"
        assert message.getlist("A") == ["a", "b c", ""]
        assert message.pairs() == [("A", "ARRAY::a|:b c|:")]


@pytest.mark.parametrize(
    ("value", "items"),
    [
        ("plain", ["plain"]),
        ("", [""]),
        ("ARRAY::a", ["a"]),
        ("ARRAY::", [""]),
        ("ARRAY::|:b", ["", "b"]),
        ("ARRAY::a|:|:b", ["a", "", "b"]),
        ("ARRAY::a|:b|:c", ["a", "b", "c"]),
        ("ARRAY::a|b:c", ["a|b:c"]),
        ("ARRAY::a|:ARRAY::b", ["a", "ARRAY::b"]),
        ("array::a|:b", ["array::a|:b"]),
        ("xx ARRAY::a|:b", ["xx ARRAY::a|:b"]),
        (" ARRAY::a|:b", [" ARRAY::a|:b"]),
        ("ARRAY:a|:b", ["ARRAY:a|:b"]),
    ],
)
def test_array_begins_with_the_marker_and_is_split_at_its_separator(esl: ModuleType, value: str, items: Any) -> None:
    for message in both_blocks(esl, b"A: " + value.encode() + b"\n"):
        assert message.getlist("A") == items
        assert message["A"] == value


def test_getlist_splits_each_value_of_a_repeated_array(esl: ModuleType) -> None:
    for message in both_blocks(esl, b"A: p\nA: ARRAY::b|:c\nA: q\n"):
        assert message.getlist("A") == ["p", "b", "c", "q"]


def test_indexed_names_are_names(esl: ModuleType) -> None:
    for message in both_blocks(esl, b"A[0]: x\nA[1]: y\n"):
        assert message.asdict() == {"A[0]": "x", "A[1]": "y"}


# Row: empty values, _undef_


def test_empty_values_and_undef_are_kept(esl: ModuleType) -> None:
    for message in both_blocks(esl, b"A:\nB: \nC: _undef_\nD:\t \nE: end\n"):
        assert message.asdict() == {"A": "", "B": "", "C": "_undef_", "D": "", "E": "end"}
        assert message.select("A", "B", "C", "D", "E") == ("", "", "_undef_", "", "end")
        assert message["B"] == ""
        assert "A" in message
        assert message.get("A", "default") == ""


# Row: body


@pytest.mark.parametrize(
    ("payload", "body"),
    [
        (b"A: 1\n\nbody", b"body"),
        (b"A: 1\n\n\n\nbody\n\n", b"\n\nbody\n\n"),
        (b"A: 1\n\n", None),
        (b"A: 1\n", None),
        (b"A: 1", None),
        (b"", None),
        (b"\n", None),
        (b"\nbody", b"body"),
        (b"\r\nbody", b"body"),
        (b"A: 1\r\n\r\nbody\r\n", b"body\r\n"),
        (b"A: 1\n\r\nbody", b"body"),
        (b"A: 1\n\n\x00\xff", b"\x00\xff"),
        (b"A: 1\nContent-Length: 2\n\n+OK x\n", b"+OK x\n"),
        (b"A: 1\nContent-Length: 99\n\n+OK x\n", b"+OK x\n"),
        (b"A: 1\nContent-Length: 3\nContent-Length: 4\n\nabcd", b"abcd"),
        (b"A: 1\nContent-Length: nonsense\n\nabc", b"abc"),
        (b"A: 1\nContent-Length: 3\nB", None),
    ],
)
def test_body_of_an_event_is_all_that_follows_the_payloads_blank_line(
    esl: ModuleType, payload: bytes, body: Any
) -> None:
    for first in ("body", "pairs", "raw"):
        (message,) = decode_every_way(esl, plain(payload))
        getattr(message, first)() if first == "pairs" else getattr(message, first)
        assert message.body == body
        assert message.text == (body or b"").decode("utf-8", "surrogateescape")
        assert message.raw + (body or b"") == payload
        assert message["A"] == "1" if payload.startswith(b"A") else "A" not in message


def test_header_pseudo_body_is_a_header(esl: ModuleType) -> None:
    for message in both_blocks(esl, b"_body: hello\nB: 1\n"):
        assert message["_body"] == "hello"
        assert message.body is None


def test_body_that_looks_like_headers_adds_none(esl: ModuleType) -> None:
    message = event(esl, b"A: 1\n\nB: 2\nA: 3\nUnique-ID: forged\n\n")
    assert message.get("B") is None
    assert message["A"] == "1"
    assert message.get("unique-id") is None
    assert message.asdict() == {"A": "1"}
    assert message.select("B", "Unique-ID", "A") == (None, None, "1")


def test_last_line_of_a_payload_needs_no_line_end(esl: ModuleType) -> None:
    message = event(esl, b"Event-Name: DTMF\nB: 2")
    assert message["B"] == "2"
    assert message.asdict() == {"Event-Name": "DTMF", "B": "2"}


# Row: equality, hash, pickle, repr is in test_api_messages.py; Content-Length in test_framing_frames.py and
# test_security.py.


def test_raw_is_the_block_that_is_read(esl: ModuleType) -> None:
    auth, reply, in_event = decode_every_way(esl, AUTH + OK + plain(b"A: %41\n\nbody"))
    assert auth.raw == AUTH
    assert reply.raw == OK
    assert in_event.raw == b"A: %41\n\n"
    assert in_event.frame == plain(b"A: %41\n\nbody")


def test_name_of_any_length_is_found(esl: ModuleType) -> None:
    for size in (1, 500, 510, 511, 512, 513, 5000):
        name = "n" * size
        message = event(esl, f"{name}: 1\n\n".encode())
        for _ in range(2):
            assert message[name] == "1"
            assert message.get(name[1:] + "x") is None
            assert message[name.upper()] == "1"
