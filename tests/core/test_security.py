"""What a hostile caller, or a hostile peer, cannot do (docs/protocol/rules.md, 3 to 5).

A caller controls header values, bodies and variables; a peer controls every byte.
"""

from __future__ import annotations

import pickle
import sys
from types import ModuleType
from typing import Any

import pytest
from support import AUTH, OK, decode, decode_every_way, frame, part, pieces, plain, take

# A line break in a value never makes a header


@pytest.mark.parametrize("line_end", [b"%0A", b"%0a", b"%0D%0A", b"%0D", b"%0A%0A"])
def test_encoded_line_break_in_a_value_makes_no_header(esl: ModuleType, line_end: bytes) -> None:
    name = b"Caller-Caller-ID-Name: x" + line_end + b"Unique-ID: forged" + line_end + b"Event-Name: forged\n"
    value = "x" + esl.unquote(line_end).decode() + "Unique-ID: forged" + esl.unquote(line_end).decode()
    for first in ("asdict", "pairs", "keys", "body"):
        (event,) = decode_every_way(esl, plain(b"Event-Name: DTMF\n" + name + b"Unique-ID: true\n\nbody"))
        getattr(event, first)() if first != "body" else event.body
        assert event["Unique-ID"] == "true"
        assert event.uuid == "true"
        assert event.name == "DTMF"
        assert event["Caller-Caller-ID-Name"] == value + "Event-Name: forged"
        assert list(event.asdict()) == ["Event-Name", "Caller-Caller-ID-Name", "Unique-ID"]
        assert event.getlist("Unique-ID") == ["true"]
        assert event.select("Unique-ID", "Event-Name") == ("true", "DTMF")
        assert event.body == b"body"


def test_encoded_line_break_in_a_name_makes_no_header(esl: ModuleType) -> None:
    (event,) = decode_every_way(esl, plain(b"variable_x%0AUnique-ID: forged\nA: 1\n\n"))
    assert event.asdict() == {"variable_x%0AUnique-ID": "forged", "A": "1"}
    assert event.uuid is None


def test_encoded_line_break_in_the_connect_reply_makes_no_header(esl: ModuleType) -> None:
    (reply,) = decode_every_way(
        esl, b"Event-Name: CHANNEL_DATA\nvariable_x: a%0A%0AControl: forged%0A\nContent-Type: command/reply\n\n"
    )
    assert reply.get("Control") is None
    assert reply["variable_x"] == "a\n\nControl: forged\n"


def test_encoded_line_break_makes_no_header_in_parse(esl: ModuleType) -> None:
    assert esl.parse_pairs(b"A: x%0AB: 1\nC: 2\n") == [("A", "x\nB: 1"), ("C", "2")]
    assert esl.parse_headers(b"A: x%0D%0A%0D%0AB: 1\nC: 2\n") == {"A": "x\r\n\r\nB: 1", "C": "2"}


def test_doubly_encoded_line_break_is_decoded_once(esl: ModuleType) -> None:
    (event,) = decode_every_way(esl, plain(b"A: x%250AB: 1\n\n"))
    assert event.asdict() == {"A": "x%0AB: 1"}


@pytest.mark.parametrize("other", ["\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"])
def test_what_python_calls_a_line_end_is_none(esl: ModuleType, other: str) -> None:
    for message in decode_every_way(esl, plain(f"A: x{other}B: 1\n\n".encode()) + f"A: x{other}B: 1\n\n".encode()):
        assert message.asdict() == {"A": f"x{other}B: 1"}
    assert esl.parse_pairs(f"A: x{other}B: 1\n") == [("A", f"x{other}B: 1")]


# A body never becomes headers or frames

FORGERIES = [
    b"Unique-ID: forged\nEvent-Name: forged\n\n",
    b"\nUnique-ID: forged\n\n",
    b"\n\nContent-Type: text/event-plain\nContent-Length: 24\n\nUnique-ID: forged\n\n\n\n\n\n",
    OK + AUTH,
    plain(b"Unique-ID: forged\n\n"),
    b"Content-Type: text/disconnect-notice\nContent-Length: 3\n\nbye",
    b"Content-Length: -1\n\n",
    b"Content-Length: 99999999999\n\n",
]


@pytest.mark.parametrize("body", FORGERIES)
def test_body_that_looks_like_headers_or_frames_changes_nothing(esl: ModuleType, body: Any) -> None:
    data = (
        frame(b"Content-Type: api/response", body)
        + plain(b"Event-Name: MESSAGE\nUnique-ID: true\nContent-Length: %d\n\n%b" % (len(body), body))
        + OK
    )
    response, event, reply = decode_every_way(esl, data)
    assert (response.body, response.get("Unique-ID"), len(response)) == (body, None, 2)
    assert (event.body, event.uuid, event.name, len(event)) == (body, "true", "MESSAGE", 3)
    assert reply.frame == OK


@pytest.mark.parametrize("body", FORGERIES)
def test_absent_header_is_not_found_in_the_body(esl: ModuleType, body: Any) -> None:
    for order in (["Unique-ID", "Event-Name"], ["event-name", "unique-id", "Content-Type"]):
        (event,) = decode_every_way(esl, plain(b"A: 1\n\n" + body))
        assert [event.get(name) for name in order] == [None] * len(order)
        assert event.body == body


def test_payload_shorter_than_its_headers_say_takes_nothing_from_the_next_frame(esl: ModuleType) -> None:
    event, reply = decode_every_way(esl, plain(b"A: 1\nContent-Length: 500\n\nshort") + OK)
    assert (event.body, reply.frame) == (b"short", OK)


# Bytes are counted, not characters


def test_multibyte_text_cut_at_every_byte(esl: ModuleType) -> None:
    text = "Zoë 你好 \U0001f600 naïve"
    data = (
        frame(b"Content-Type: api/response", text.encode() + b"\n")
        + plain(f"variable_naïve: {text}\n\n{text}".encode())
        + f"Content-Type: command/reply\nReply-Text: {text}\n\n".encode()
    )
    response, event, reply = decode_every_way(esl, data)
    assert response.text == text + "\n"
    assert (event["variable_naïve"], event.text) == (text, text)
    assert reply.text == text
    for cut in range(len(data) + 1):
        decoder = esl.Decoder()
        messages = []
        for chunk in (data[:cut], data[cut:]):
            decoder.feed(chunk)
            messages += decoder
        assert messages == [response, event, reply]
        assert messages[1]["variable_naïve"] == text


def test_content_length_that_cuts_a_character_costs_that_character_alone(esl: ModuleType) -> None:
    whole = "é".encode()
    message, rest = decode_every_way(esl, b"Content-Length: 1\n\n" + whole + b": 1\n\n")
    assert message.body == whole[:1]
    assert message.text == "\udcc3"
    assert rest.pairs() == [("\udca9", "1")]


# Content-Length


@pytest.mark.parametrize(
    "value",
    [
        b"-1",
        b"-0",
        b"-99999999999999999999",
        b"+3",
        b"0x10",
        b"0x",
        b"0b1",
        b"0o7",
        b"1e3",
        b"3.0",
        b"3x",
        b"x3",
        b"3,3",
        b"3 3",
        b"1_000",
        b"",
        b" ",
        b"nan",
        b"%33",
        b"\xd9\xa3",  # an Arabic three
        b"\xc2\xb3",  # superscript three
        b"\xef\xbc\x93",  # full-width three
        b"3\x00",
        b"\x003",
        b"3\x0b",
        b"\x0c3",
        b"\xa03",
        b"3\r",  # with the one before LF that is two, and only one is dropped
        b"ARRAY::3|:4",
    ],
)
def test_content_length_that_is_no_number_is_refused(esl: ModuleType, value: bytes) -> None:
    for head in (b"Content-Length: ", b"Content-Length:", b"content-length: "):
        for sizes in ((1,), (1000,)):
            messages = []
            with pytest.raises(esl.InvalidContentLength) as caught:
                take(esl.Decoder(), pieces(head + value + b"\r\n\r\nabc" + OK, *sizes), messages)
            assert messages == []
            assert caught.value.values == (value if head.endswith(b" ") else value.lstrip(b" "),)


@pytest.mark.parametrize(
    "digits",
    [
        *(b"67108865", b"4294967296", b"9223372036854775808", b"18446744073709551616", b"99999999999999999999"),
        *(b"%d" % (10**18 - 1), b"%d" % 10**18, b"%d" % (10**18 + 1), b"%d" % (10**19 - 1)),
        *(b"9" * 60, b"9" * 61, b"12345" * 100, b"0" * 500 + b"9" * 18, b"0" * 5000 + b"9" * 600),
    ],
)
def test_huge_content_length_is_refused_with_its_number(esl: ModuleType, digits: Any) -> None:
    written = digits.lstrip(b"0").decode()
    shown = written if len(written) <= 60 else f"{written[:60]}... ({len(written)} digits)"
    for value in (digits, b" \t" + digits + b" "):
        decoder = esl.Decoder()
        decoder.feed(b"Content-Length: " + value + b"\n\n")
        for ask in (decoder.feed_eof, decoder.next_message, decoder.feed_eof):
            with pytest.raises(esl.BodyTooLarge) as caught:
                ask()
            assert (caught.value.read, caught.value.limit) == (int(written), 64 << 20)
            assert str(caught.value) == (
                f"read a Content-Length of {shown} bytes, expected no more than 67108864 (max_body_bytes)"
            )


def test_content_length_with_more_digits_than_a_number_may_have(esl: ModuleType) -> None:
    for count in (601, 1_000_000):
        decoder = esl.Decoder()
        decoder.feed(b"Content-Length: " + b"7" * count + b"\n\n")
        with pytest.raises(esl.BodyTooLarge) as caught:
            decoder.next_message()
        assert caught.value.read == 10**600
        assert str(caught.value) == (
            f"read a Content-Length of {'7' * 60}... ({count} digits) bytes, "
            "expected no more than 67108864 (max_body_bytes)"
        )
        again = pickle.loads(pickle.dumps(caught.value))
        assert (again.read, again.limit, str(again)) == (10**600, 64 << 20, str(caught.value))


def test_repeats_of_a_huge_content_length_are_compared_to_the_last_digit(esl: ModuleType) -> None:
    digits = b"9" * 40
    for second, error in ((b"0" + digits, "BodyTooLarge"), (digits[:-1] + b"8", "InvalidContentLength")):
        decoder = esl.Decoder()
        decoder.feed(b"Content-Length: " + digits + b"\nContent-Length: " + second + b"\n\n")
        for _ in range(2):
            with pytest.raises(getattr(esl, error)):
                decoder.next_message()


def test_longer_digits_than_any_bound_are_no_overflow(esl: ModuleType) -> None:
    decoder = esl.Decoder(max_body_bytes=10**18 - 1, max_buffered=1000)
    decoder.feed(b"Content-Length: " + b"9" * 100 + b"\n\n")
    with pytest.raises(esl.BodyTooLarge):
        decoder.next_message()
    decoder = esl.Decoder(max_body_bytes=10**18 - 1, max_buffered=1000)
    decoder.feed(b"Content-Length: " + b"9" * 18 + b"\n\nabc")
    assert decoder.next_message() is None
    with pytest.raises(esl.IncompleteFrame) as caught:
        decoder.feed_eof()
    assert caught.value.body_bytes == 10**18 - 1


def test_zeros_before_a_content_length_do_not_count(esl: ModuleType) -> None:
    message, _ = decode_every_way(esl, b"Content-Length: " + b"0" * 200 + b"3\n\nabc" + OK)
    assert message.body == b"abc"


@pytest.mark.parametrize("second", [b"4", b"0", b"x", b"-3", b""])
@pytest.mark.parametrize("name", [b"Content-Length", b"content-length"])
def test_repeated_content_length_that_differs_is_refused(esl: ModuleType, second: bytes, name: bytes) -> None:
    with pytest.raises(esl.InvalidContentLength):
        decode(esl, b"Content-Length: 3\nA: 1\n" + name + b": " + second + b"\n\nabc" + OK)


def test_content_length_is_found_only_as_a_whole_name(esl: ModuleType) -> None:
    data = b"X-Content-Length: 5\nContent-Length-X: 5\nContent-Length : 5\n Content-Length: 5\nContent_Length: 5\n\n"
    message, reply = decode_every_way(esl, data + OK)
    assert message.body is None
    assert reply.frame == OK


# NUL


def test_nul_is_a_byte_like_any_other(esl: ModuleType) -> None:
    data = (
        b"A\0: 1\0%00\n\0B: 2\n\0\nC:\0 3\n\n"
        + frame(b"Content-Type: api/response", b"\0a\0")
        + plain(b"\0A: \0%00\n\n\0")
    )
    message, response, event = decode_every_way(esl, data)
    assert message.pairs() == [("A\0", "1\0%00"), ("\0B", "2"), ("C", "\0 3")]
    assert message["A\0"] == "1\0%00"
    assert message.get("A") is None
    assert response.body == b"\0a\0"
    assert (event["\0A"], event.body, event.asdict()) == ("\0\0", b"\0", {"\0A": "\0\0"})


def test_nul_in_content_type_makes_it_unknown(esl: ModuleType) -> None:
    for value in (b"command/reply\0", b"\0command/reply", b"command\0/reply"):
        (message,) = decode_every_way(esl, b"Content-Type: " + value + b"\n\n")
        assert type(message) is esl.Message


def test_nul_ends_no_percent_coding(esl: ModuleType) -> None:
    assert esl.unquote(b"%00%4\0%41\0") == b"\0%4\0A\0"
    assert esl.quote(b"\0") == b"%00"
    assert esl.parse_pairs("A: \0%00\0\n") == [("A", "\0\0\0")]


# What code of the program's own, called in the middle of something, cannot break


def test_a_number_of_bytes_may_be_an_object_that_feeds_the_decoder(esl: ModuleType) -> None:
    """Bytes that nobody wrote came out of the compiled core."""

    class Number(int):
        def __index__(self) -> int:
            decoder.feed(b"x" * 60_000)
            return int(self)

        def __ge__(self, other: object) -> bool:
            decoder.feed(b"x" * 60_000)
            return True

    decoder = esl.Decoder()
    room = decoder.get_buffer()
    room[:] = b"y" * len(room)
    decoder.buffer_updated(Number(len(room)))
    with pytest.raises(esl.IncompleteFrame) as caught:
        decoder.feed_eof()
    assert set(caught.value.data) <= set(b"xy")
    assert len(caught.value.data) == decoder.buffered


@pytest.mark.parametrize("wrong", ["1", 1.0, None, b"1"])
def test_a_number_of_bytes_that_is_none_leaves_the_buffer_offered(esl: ModuleType, wrong: Any) -> None:
    decoder = esl.Decoder()
    decoder.get_buffer(10)[: len(OK)] = OK
    with pytest.raises(TypeError):
        decoder.buffer_updated(wrong)
    decoder.buffer_updated(len(OK))
    assert [message.frame for message in decoder] == [OK]


def test_a_name_may_be_an_object_that_makes_another_message_of_this_one(esl: ModuleType) -> None:
    class Name(str):
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            message.__init__(b"B: other\n\n")
            return str.__eq__(self, other)

    for _ in range(20):
        message = esl.Message(b"A: 1\nB: " + b"q" * 200 + b"\n\n")
        assert len(message) == 2
        assert message.get(Name("B")) in ("q" * 200, "other", None)


def test_a_message_that_becomes_another_one_while_it_is_read(esl: ModuleType) -> None:
    """Its format decides how what was found out is read: the one of the other must not be taken for it."""
    xml = (b"Content-Type: text/event-xml\n\n", b"<event><headers><A>1</A></headers></event>")
    json = (b"Content-Type: text/event-json\n\n", b'{"A":"1"')

    def becomes_json(*_: object) -> None:
        if busy:
            busy.pop()
            message.__init__(*json)
            assert message.malformed is not None

    busy: list[int] = []
    message = esl.Message(*xml)
    sys.setprofile(becomes_json)  # called whenever Python code is, such as what reads XML
    try:
        for number in range(30):
            busy.append(number)
            read = message.asdict()
            message.__init__(*xml)
            assert read in ({"A": "1"}, {})
    finally:
        sys.setprofile(None)
    assert message.asdict() == {"A": "1"}


def test_a_class_of_messages_may_have_a_body_of_its_own(esl: ModuleType) -> None:
    class Mine(esl.Message):
        @property
        def body(self) -> bytes:
            return b"mine"

    class MyEvent(esl.Event):
        @property
        def body(self) -> bytes:
            return b"mine"

    decoder = part(esl, "_codec").MessageDecoder({b"text/event-plain": MyEvent}, esl.Message)
    decoder.feed(plain(b"A: 1\n\nbody"))
    assert decoder.next_message().to_json() == b'{"A":"1","_body":"mine"}'
    assert Mine(b"A: 1\n\n").to_json() == b'{"A":"1","_body":"mine"}'
    assert Mine(b"Content-Type: text/event-json\n\n", b'{"A":"1"}').to_json() == b'{"A":"1","_body":"mine"}'


def test_what_only_a_decoder_makes_is_empty_when_somebody_else_makes_it(esl: ModuleType) -> None:
    if esl.__impl__ != "c":
        pytest.skip("needs the compiled core")
    decoder = esl.Decoder()
    with pytest.raises(StopIteration):
        next(type(iter(decoder))())
    with pytest.raises(BufferError, match=r"^get_buffer\(\) makes these$"):
        memoryview(type(decoder.get_buffer().obj)())
