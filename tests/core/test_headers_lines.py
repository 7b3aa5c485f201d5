"""Where a header line is cut, and what is decoded: docs/protocol/reading.md, for frames and plain events.

test_headers_lookups.py has the rest of it; test_formats_reading.py does the same for JSON and XML.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from headers_support import both_blocks, event
from support import decode_every_way, frame, plain

# Row: where is a line cut?

LINES = [
    (b"A: 1\n", [("A", "1")]),
    (b"A:1\n", [("A", "1")]),
    (b"A: a:b: c\n", [("A", "a:b: c")]),
    (b"variable_v_name:colon: x\n", [("variable_v_name:colon", "x")]),
    (b"a b \xc3\xa9:c:d: x\n", [("a b é:c:d", "x")]),
    (b"A::x\n", [("A", ":x")]),
    (b"A:: x\n", [("A:", "x")]),
    (b": x\n", [("", "x")]),
    (b":x\n", [("", "x")]),
    (b"::\n", [("", ":")]),
    (b"A:\n", [("A", "")]),
    (b"A: \n", [("A", "")]),
    (b"A:  two\n", [("A", " two")]),
    (b"A: \tx\n", [("A", "\tx")]),
    (b"A:\t  x\n", [("A", "x")]),
    (b"A:\t\n", [("A", "")]),
    (b"A:\tx: y\n", [("A:\tx", "y")]),
    (b"A: trailing  \n", [("A", "trailing  ")]),
    (b" A : x\n", [(" A ", "x")]),
    (b"A: 1\r\n", [("A", "1")]),
    (b"A: 1\r\r\n", [("A", "1\r")]),
    (b"A: 1\r2\n", [("A", "1\r2")]),
    (b"A:\r\n", [("A", "")]),
    (b"A: \r\n", [("A", "")]),
    (b"A\r: 1\n", [("A\r", "1")]),
    (b"A: 1\n\r\r\nB: 2\n", [("A", "1"), ("B", "2")]),
    (b"A: 1\nno colon\nB: 2\n", [("A", "1"), ("B", "2")]),
    (b"no colon\nA: 1\n", [("A", "1")]),
    (b"A: 1\nno colon\n", [("A", "1")]),
    (b"no colon\n", []),
    (b" \n", []),
    (b"\x00\n", []),
    (b"A%3A: 1\n", [("A%3A", "1")]),
]


@pytest.mark.parametrize(("lines", "pairs"), LINES)
def test_line_is_cut_at_its_first_colon_blank_else_at_its_first_colon(esl: ModuleType, lines: Any, pairs: Any) -> None:
    for message in both_blocks(esl, lines):
        assert message.pairs() == pairs
        assert message.asdict() == dict(pairs)
    for block in (lines, lines[:-1], lines + b"\n", lines + b"\r\n", lines + b"\nX: not read"):
        assert esl.parse_pairs(block) == pairs
        assert esl.parse_headers(block) == dict(pairs)


@pytest.mark.parametrize(("lines", "pairs"), LINES)
def test_cut_is_the_same_for_a_look_up_that_comes_first(esl: ModuleType, lines: Any, pairs: Any) -> None:
    for name, value in pairs:
        for message in both_blocks(esl, lines):
            assert message[name] == value
    for message in both_blocks(esl, lines):
        assert message.select("absent", *dict(pairs)) == (None, *dict(pairs).values())


def test_longer_name_does_not_answer_for_a_shorter_one(esl: ModuleType) -> None:
    for message in both_blocks(esl, b"variable_x:y: 1\nvariable_xx: 2\nvariable_x: 3\n"):
        assert message["variable_x"] == "3"
    for message in both_blocks(esl, b"variable_x:y: 1\nxvariable: 2\n"):
        assert message.get("variable_x") is None
        assert message.get("variable") is None


def test_name_in_a_value_is_no_name(esl: ModuleType) -> None:
    for message in both_blocks(esl, b"A: B: no\nC:B: no\nX: A: no\nB: yes\n"):
        assert message["B"] == "yes"


def test_name_that_cannot_stand_on_a_line_is_absent(esl: ModuleType) -> None:
    for message in both_blocks(esl, b"A: 1\nB: 2\n"):
        for name in ("A: 1", "A: 1\nB", "A\nB", "\nA", ": ", "\n", "\ud800", "A\ud800", ""):
            assert name not in message
            assert message.get(name) is None
            assert message.getlist(name) == []
            with pytest.raises(KeyError):
                message[name]


def test_lines_of_the_payload_begin_behind_the_frames_block(esl: ModuleType) -> None:
    (message,) = decode_every_way(esl, plain(b"Event-Name: DTMF\n\n"))
    assert "Content-Length" not in message
    assert "Content-Type" not in message
    assert message.envelope == {"Content-Length": "18", "Content-Type": "text/event-plain"}


# The keyword that joins colon-less lines


@pytest.mark.parametrize("function", ["parse_pairs", "parse_headers"])
def test_multiline_joins_a_line_without_colon_to_the_value_before(esl: ModuleType, function: str) -> None:
    block = b"skipped\nA: one\ntwo\r\n three\nB: x\nC:\nmore%41\n\nbehind\n"
    read = getattr(esl, function)
    assert dict(read(block, multiline=True)) == {"A": "one\ntwo\n three", "B": "x", "C": "\nmoreA"}
    assert dict(read(block, multiline=True, decode=False))["C"] == "\nmore%41"
    assert dict(read(block)) == {"A": "one", "B": "x", "C": ""}


def test_multiline_joins_before_it_decodes(esl: ModuleType) -> None:
    assert esl.parse_pairs(b"A: %4\n1\n", multiline=True) == [("A", "%4\n1")]
    assert esl.parse_pairs(b"A: %\n41\n", multiline=True) == [("A", "%\n41")]


def test_keywords_of_parse_are_keywords(esl: ModuleType) -> None:
    for function in (esl.parse_pairs, esl.parse_headers):
        with pytest.raises(TypeError):
            function(b"A: 1\n", False)


# Row: which values are percent-decoded?


def test_payload_values_are_percent_decoded(esl: ModuleType) -> None:
    (message,) = decode_every_way(esl, plain(b"A: a%20b%3A%2Bc%c3%A9\n\n"))
    assert message["A"] == "a b:+cé"
    assert message.asdict() == {"A": "a b:+cé"}
    assert message.pairs() == [("A", "a b:+cé")]
    assert message.getlist("A") == ["a b:+cé"]
    assert message.select("A", "a") == ("a b:+cé", "a b:+cé")


@pytest.mark.parametrize("content_type", [b"command/reply", b"api/response", b"log/data", b"x/y"])
def test_values_of_other_frames_stay_as_they_are(esl: ModuleType, content_type: bytes) -> None:
    (message,) = decode_every_way(esl, frame(b"Content-Type: " + content_type + b"\nReply-Text: 50% off %41%0A"))
    assert message["Reply-Text"] == "50% off %41%0A"
    assert message.asdict()["Reply-Text"] == "50% off %41%0A"
    assert message.pairs()[1] == ("Reply-Text", "50% off %41%0A")
    assert message.select("reply-text") == ("50% off %41%0A",)


def test_envelope_of_an_event_stays_as_it_is(esl: ModuleType) -> None:
    (message,) = decode_every_way(esl, frame(b"Content-Type: text/event-plain\nX: %41\nX: 2", b"A: %41\n\n"))
    assert message.envelope == {"Content-Type": "text/event-plain", "X": "%41", "Content-Length": "8"}
    assert message["A"] == "A"


def test_block_that_begins_with_event_name_is_decoded(esl: ModuleType) -> None:
    (reply,) = decode_every_way(
        esl,
        b"Event-Name: CHANNEL_DATA\nChannel-Name: sofia/internal/1000%40x\nvariable_x: ARRAY%3A%3Aa%7C%3Ab\n"
        b"Empty: _undef_\nContent-Type: command/reply\nReply-Text: %2BOK%0A\nSocket-Mode: async\nControl: full\n\n",
    )
    assert type(reply) is esl.CommandReply
    assert (reply.text, reply.ok, reply.content_type) == ("+OK\n", True, "command/reply")
    assert reply["channel-name"] == "sofia/internal/1000@x"
    assert reply.getlist("variable_x") == ["a", "b"]
    assert reply["Empty"] == "_undef_"
    assert reply.body is None


@pytest.mark.parametrize("first", [b"event-name: X\n", b"Event-Namex: X\n", b" Event-Name: X\n", b"X\nEvent-Name: X\n"])
def test_block_that_begins_otherwise_is_not_decoded(esl: ModuleType, first: bytes) -> None:
    (message,) = decode_every_way(esl, first + b"A: %41\n\n")
    assert message["A"] == "%41"


def test_stray_line_ends_before_event_name_do_not_matter(esl: ModuleType) -> None:
    (message,) = decode_every_way(esl, b"\r\n\nEvent-Name: X\nA: %41\n\n")
    assert message["A"] == "A"


def test_parse_decodes_unless_told_not_to(esl: ModuleType) -> None:
    assert esl.parse_headers(b"A: %41\n") == {"A": "A"}
    assert esl.parse_pairs(b"A: %41\n") == [("A", "A")]
    assert esl.parse_headers(b"A: %41\n", decode=False) == {"A": "%41"}
    assert esl.parse_pairs(b"A: %41\n", decode=False) == [("A", "%41")]


def test_names_are_never_decoded(esl: ModuleType) -> None:
    for message in both_blocks(esl, b"A%20B: 1\n"):
        assert list(message) == ["A%20B"]
        assert message["A%20B"] == "1"
        assert message.get("A B") is None


# Percent coding itself (docs/protocol/encoding.md, P5)


@pytest.mark.parametrize(
    ("encoded", "decoded"),
    [
        (b"", b""),
        (b"plain", b"plain"),
        (b"%41", b"A"),
        (b"%e4%BD%a0", b"\xe4\xbd\xa0"),
        (b"%2541", b"%41"),
        (b"%%41", b"%A"),
        (b"%zz%g1", b"%zz%g1"),
        (b"%4Z%4%", b"%4Z%4%"),
        (b"100%", b"100%"),
        (b"%2", b"%2"),
        (b"%", b"%"),
        (b"%%%", b"%%%"),
        (b"% 41%+4%-1%0x41", b"% 41%+4%-1%0x41"),
        (b"%00a\x00%7F%ff", b"\x00a\x00\x7f\xff"),
        (b"%0A%0d", b"\n\r"),
        (b"a+b", b"a+b"),
        (b"%\xc3\xa9%4\xff", b"%\xc3\xa9%4\xff"),
        (b"%41%42%43", b"ABC"),
        (b"%:0%/1%@A%`a%G0%g0", b"%:0%/1%@A%`a%G0%g0"),
    ],
)
def test_unquote_decodes_percent_and_exactly_two_hexadecimal_digits(
    esl: ModuleType, encoded: bytes, decoded: bytes
) -> None:
    assert esl.unquote(encoded) == decoded
    assert event(esl, b"A: " + encoded + b"\n\n")["A"] == decoded.decode("utf-8", "surrogateescape")


def test_unquote_reads_every_pair_of_digits_in_every_case(esl: ModuleType) -> None:
    for value in range(256):
        upper, lower = b"%%%02X" % value, b"%%%02x" % value
        mixed = upper[:2] + lower[2:]
        assert esl.unquote(upper + lower + mixed) == bytes([value] * 3)


def test_quote_escapes_the_switchs_alphabet_in_upper_case(esl: ModuleType) -> None:
    kept = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!$'()*,-./_~"
    for value in range(256):
        byte = bytes([value])
        assert esl.quote(byte) == (byte if byte in kept else b"%%%02X" % value)


def test_quote_escapes_every_percent_sign_and_unquote_gives_it_back(esl: ModuleType) -> None:
    everything = bytes(range(256))
    assert esl.quote(b"100%41") == b"100%2541"
    assert esl.quote(b"") == b""
    assert esl.unquote(esl.quote(everything)) == everything
