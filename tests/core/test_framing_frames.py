"""Where frames end, and of which kind they are (docs/protocol/framing.md, P2, docs/protocol/observed.md, 1 to 5)."""

from __future__ import annotations

import re
from types import ModuleType
from typing import Any

import pytest
from support import AUTH, OK, decode, decode_every_way, frame, kinds, outcome, part, pieces, plain, snapshot, take


@pytest.mark.parametrize(
    ("content_type", "kind"),
    [
        (b"auth/request", "AuthRequest"),
        (b"command/reply", "CommandReply"),
        (b"api/response", "ApiResponse"),
        (b"text/event-plain", "Event"),
        (b"text/event-json", "Event"),
        (b"text/event-xml", "Event"),
        (b"log/data", "LogLine"),
        (b"text/disconnect-notice", "DisconnectNotice"),
        (b"text/rude-rejection", "RudeRejection"),
        (b"text/plain", "Message"),
        (b"", "Message"),
        (b"text/event-plain; charset=utf-8", "Message"),
        (b"text/event-plain ", "Message"),
        (b"xtext/event-plain", "Message"),
    ],
)
@pytest.mark.parametrize("body", [None, b"", b"A: 1\n\nbody\n\n"])
def test_every_content_type_of_the_protocol_has_its_kind(
    esl: ModuleType, content_type: bytes, kind: str, body: Any
) -> None:
    if body is None and content_type.endswith((b"json", b"xml")):
        body = b"{}"  # a switch always writes its length
    message, reply = decode_every_way(esl, frame(b"Content-Type: " + content_type, body) + OK)
    assert type(message) is getattr(esl, kind)
    assert message.content_type == content_type.decode()
    assert type(reply) is esl.CommandReply


def test_content_type_ignores_case_in_name_and_value(esl: ModuleType) -> None:
    messages = decode_every_way(esl, b"CONTENT-type: Command/REPLY\n\nContent-Type: TEXT/Event-Plain\n\n")
    assert kinds(messages) == ["CommandReply", "Event"]
    assert [message.content_type for message in messages] == ["Command/REPLY", "TEXT/Event-Plain"]


def test_exact_spelling_of_content_type_counts_before_an_earlier_other_one(esl: ModuleType) -> None:
    (message,) = decode_every_way(esl, b"content-type: api/response\nContent-Type: command/reply\n\n")
    assert type(message) is esl.CommandReply
    assert message.content_type == "command/reply"


def test_first_of_repeated_content_types_counts(esl: ModuleType) -> None:
    data = b"Content-Type: log/data\nContent-Type: command/reply\n\ncontent-type: log/data\nCONTENT-TYPE: x\n\n"
    assert kinds(decode_every_way(esl, data)) == ["LogLine", "LogLine"]


def test_content_type_of_an_event_is_its_frames_and_not_its_payloads(esl: ModuleType) -> None:
    (event,) = decode_every_way(esl, plain(b"Event-Name: MESSAGE\nContent-Type: text/html\n\n"))
    assert event.content_type == "text/event-plain"
    assert event["Content-Type"] == "text/html"


@pytest.mark.parametrize("content_type", [b"text/event-json", b"text/event-xml", b"Text/Event-JSON"])
@pytest.mark.parametrize("lines", [b"", b"X: 1\n", b"Content-Length : 2\n", b"X-Content-Length: 2\n"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_json_or_xml_event_without_a_length_is_refused_behind_what_came_before(
    esl: ModuleType, content_type: bytes, lines: bytes, end: bytes
) -> None:
    data = OK + lines + b"Content-Type: " + content_type + end + end + b"{}"
    for make in (esl.Decoder, esl.FrameSplitter):
        for sizes in ((1,), (7, 2), (1000,)):
            decoder, came = make(), []
            with pytest.raises(esl.InvalidContentLength) as caught:
                take(decoder, pieces(data + OK, *sizes), came)
            assert len(came) == 1
            assert caught.value.values == ()
            assert str(caught.value) == "read no Content-Length in the frame of a JSON or XML event, expected one"
            for ask in (lambda decoder=decoder: next(decoder), decoder.feed_eof):
                with pytest.raises(esl.InvalidContentLength, match=f"^{re.escape(str(caught.value))}$"):
                    ask()
            assert decoder.consumed == len(OK)


def test_which_content_type_needs_a_length_is_told_as_its_kind_is(esl: ModuleType) -> None:
    decoder = esl.Decoder()
    decoder.feed(b"content-type: text/event-json\nContent-Type: command/reply\n\n")
    assert type(decoder.next_message()) is esl.CommandReply
    decoder.feed(b"content-type: command/reply\nContent-Type: text/event-json\n\n")
    with pytest.raises(esl.InvalidContentLength):
        decoder.next_message()


def test_json_or_xml_event_with_an_empty_payload_is_malformed_only(esl: ModuleType) -> None:
    for format in ("json", "xml"):
        event, reply = decode_every_way(esl, frame(b"Content-Type: text/event-" + format.encode(), b"") + OK)
        assert (event.name, event.malformed.format, type(reply)) == (None, format, esl.CommandReply)


def test_frame_without_content_type_is_a_plain_message(esl: ModuleType) -> None:
    message, _ = decode_every_way(esl, b"Foo: bar\n\n" + OK)
    assert type(message) is esl.Message
    assert (message.content_type, message.asdict(), message.body) == (None, {"Foo": "bar"}, None)


def test_content_length_may_stand_before_or_behind_content_type(esl: ModuleType) -> None:
    before = b"Content-Length: 4\nContent-Type: api/response\n\n+OK\n"
    behind = b"Content-Type: api/response\nContent-Length: 4\n\n+OK\n"
    assert [message.text for message in decode_every_way(esl, before + behind)] == ["+OK\n", "+OK\n"]


def test_next_frame_stands_directly_behind_a_body(esl: ModuleType) -> None:
    messages = decode_every_way(
        esl, frame(b"Content-Type: api/response", b"+OK 1\n\n") + OK + plain(b"A: 1\n\n") + AUTH
    )
    assert kinds(messages) == ["ApiResponse", "CommandReply", "Event", "AuthRequest"]
    assert messages[0].body == b"+OK 1\n\n"


@pytest.mark.parametrize("stray", [b"\n", b"\r\n", b"\n\n", b"\r\n\r\n", b"\r", b"\r\r\n\n\r", b"\n" * 1000])
def test_stray_line_ends_before_a_block_are_skipped(esl: ModuleType, stray: bytes) -> None:
    messages = decode_every_way(esl, stray + OK + stray + frame(b"Content-Type: api/response", b"x") + stray + OK)
    assert kinds(messages) == ["CommandReply", "ApiResponse", "CommandReply"]
    assert messages[0].frame == OK


def test_stray_line_ends_count_as_consumed(esl: ModuleType) -> None:
    decoder = esl.Decoder()
    decoder.feed(b"\r\n\n")
    assert (decoder.buffered, decoder.consumed) == (3, 0)
    assert decoder.next_message() is None
    assert (decoder.buffered, decoder.consumed) == (0, 3)
    decoder.feed_eof()


def test_only_stray_line_ends_are_a_clean_end_of_the_stream(esl: ModuleType) -> None:
    decoder = esl.Decoder()
    decoder.feed(OK + b"\r\n\n")
    decoder.feed_eof()
    assert len(list(decoder)) == 1


def test_line_ends_are_part_of_a_body_and_stray_only_behind_it(esl: ModuleType) -> None:
    message, reply = decode_every_way(esl, frame(b"Content-Type: api/response", b"\n\r\n\n") + b"\n" + OK)
    assert message.body == b"\n\r\n\n"
    assert reply.text == "+OK"


@pytest.mark.parametrize("blank", [b"\n\n", b"\r\n\r\n", b"\n\r\n", b"\r\n\n"])
def test_block_ends_at_lf_lf_or_lf_cr_lf(esl: ModuleType, blank: bytes) -> None:
    messages = decode_every_way(esl, b"A: 1" + blank + b"Content-Length: 2" + blank + b"hiB: 2" + blank)
    assert [message.asdict() for message in messages] == [{"A": "1"}, {"Content-Length": "2"}, {"B": "2"}]
    assert [message.body for message in messages] == [None, b"hi", None]


@pytest.mark.parametrize("no_blank", [b"\n\r\r\n", b"\r\r", b"\r\n", b"\n \n", b"\n\t\r\n", b"\n\x00\n"])
def test_block_does_not_end_anywhere_else(esl: ModuleType, no_blank: bytes) -> None:
    (message,) = decode_every_way(esl, b"A: 1" + no_blank + b"B: 2\n\n")
    assert message.raw == b"A: 1" + no_blank + b"B: 2\n\n"


def test_crlf_stream_reads_like_an_lf_stream(esl: ModuleType) -> None:
    data = (
        b"Content-Type: auth/request\r\n\r\n"
        b"Content-Type: command/reply\r\nReply-Text: +OK accepted\r\n\r\n"
        b"Content-Length: 42\r\nContent-Type: text/event-plain\r\n\r\n"
        b"Event-Name: DTMF\r\nDTMF-Digit: %23\r\n\r\nbody\n"
        b"Content-Type: api/response\r\nContent-Length: 5\r\n\r\n+OK\r\n"
    )
    auth, reply, event, response = decode_every_way(esl, data)
    assert kinds([auth, reply, event, response]) == ["AuthRequest", "CommandReply", "Event", "ApiResponse"]
    assert reply.text == "+OK accepted"
    assert (event.asdict(), event.body) == ({"Event-Name": "DTMF", "DTMF-Digit": "#"}, b"body\n")
    assert response.body == b"+OK\r\n"


@pytest.mark.parametrize("body", [b"", b"\n", b"\n\n", b"A: 1\n\n", OK, b"\x00\xff%0A", b"Content-Length: 5\n\nhello"])
def test_body_is_taken_by_its_length_and_never_looked_into(esl: ModuleType, body: Any) -> None:
    message, reply = decode_every_way(esl, frame(b"Content-Type: api/response", body) + OK)
    assert message.body == body
    assert reply.frame == OK


def test_content_length_absent_is_no_body_and_zero_is_an_empty_one(esl: ModuleType) -> None:
    absent, zero = decode_every_way(esl, b"A: 1\n\nA: 1\nContent-Length: 0\n\n")
    assert (absent.body, zero.body) == (None, b"")


def test_plain_event_without_content_length_is_an_event_without_payload(esl: ModuleType) -> None:
    event, reply = decode_every_way(esl, b"Content-Type: text/event-plain\n\n" + OK)
    assert type(event) is esl.Event
    assert (event.raw, event.payload) == (b"", None)
    assert reply.frame == OK


def test_plain_event_without_payload_has_no_headers_and_no_body(esl: ModuleType) -> None:
    for event in decode_every_way(esl, b"Content-Type: text/event-plain\n\n" + plain(b"")):
        assert (event.asdict(), event.body, event.name) == ({}, None, None)


@pytest.mark.parametrize("value", [b"5", b" 5", b"5 ", b"\t 5 \t", b"05", b"000000000000000000000000000005"])
def test_content_length_is_ascii_digits_with_blanks_around(esl: ModuleType, value: bytes) -> None:
    message, _ = decode_every_way(esl, b"Content-Length:" + value + b"\n\nhello" + OK)
    assert message.body == b"hello"


def test_equal_repeats_of_content_length_are_one(esl: ModuleType) -> None:
    message, _ = decode_every_way(esl, b"content-LENGTH: 5\nContent-Length: 05\nContent-Length:5\n\nhello" + OK)
    assert message.body == b"hello"


def test_header_block_beyond_64_kib_is_one_block(esl: ModuleType) -> None:
    variables = b"".join(b"variable_%d: %b\n" % (number, b"x" * 1000) for number in range(300))
    block = b"Event-Name: CHANNEL_DATA\n" + variables + b"Content-Type: command/reply\nReply-Text: %2BOK%0A\n\n"
    assert len(block) > 300_000
    for sizes in ((len(block) * 2,), (1460,), (65536,), (65535, 1)):
        decoder = esl.Decoder()
        messages = []
        for chunk in pieces(block + OK, *sizes):
            decoder.feed(chunk)
            messages += decoder
        reply, after = messages
        assert type(reply) is esl.CommandReply
        assert (reply.text, reply["variable_299"], len(reply)) == ("+OK\n", "x" * 1000, 303)
        assert after.frame == OK


@pytest.mark.parametrize("length", [65534, 65535, 65536, 70000])
def test_no_64_kib_boundary_is_felt(esl: ModuleType, length: int) -> None:
    message, reply = decode(esl, b"A: " + b"x" * (length - 5) + b"\n\n" + OK)
    assert len(message.frame) == length
    assert message["A"] == "x" * (length - 5)
    assert reply.frame == OK


def test_splitter_yields_header_block_and_body(esl: ModuleType) -> None:
    splitter = esl.FrameSplitter()
    assert splitter.next_frame() is None
    splitter.feed(b"\nContent-Length: 5\n\nhello" + AUTH + b"Content-Length: 0\n\nCont")
    assert splitter.next_frame() == (b"Content-Length: 5\n\n", b"hello")
    assert list(splitter) == [(AUTH, None), (b"Content-Length: 0\n\n", b"")]
    assert splitter.buffered == 4


def test_splitter_does_not_know_content_types(esl: ModuleType) -> None:
    splitter = esl.FrameSplitter()
    splitter.feed(b"Content-Type: text/event-json\nContent-Length: 1\n\n{")
    assert list(splitter) == [(b"Content-Type: text/event-json\nContent-Length: 1\n\n", b"{")]


def test_end_of_stream_after_a_whole_frame_is_clean(esl: ModuleType) -> None:
    decoder = esl.Decoder()
    decoder.feed_eof()
    decoder.feed(OK)
    decoder.feed_eof()
    assert [message.frame for message in decoder] == [OK]
    decoder.feed_eof()


def test_end_of_stream_takes_nothing_out(esl: ModuleType) -> None:
    decoder = esl.Decoder()
    decoder.feed(b"\n" + OK + plain(b"A: 1\n\n") + b"\r\n")
    decoder.next_message()
    before = decoder.buffered, decoder.consumed
    decoder.feed_eof()
    assert (decoder.buffered, decoder.consumed) == before
    assert kinds(decoder) == ["Event"]


# Heads as a switch writes them, and almost so

USUAL = [
    b"Content-Length: 12\nContent-Type: text/event-plain\n\nA: 1\n\nbody\n\n",
    b'Content-Length: 12\nContent-Type: text/event-json\n\n{"A": "1"}\n\n',
    b"Content-Length: 12\nContent-Type: text/event-xml\n\n<event/>    ",
    b"Content-Type: command/reply\nReply-Text: +OK accepted\n\n",
    b"Content-Type: command/reply\nReply-Text: +OK\nJob-UUID: 1\n\n",
    b"Content-Type: command/reply\nReply-Text: \n\n",
]


def seen_in_one_read_and_in_many(esl: ModuleType, data: Any, **bounds: Any) -> Any:
    """Messages, error and rest are the same; what they are."""
    both = [outcome(esl.Decoder(**bounds), chunks) for chunks in ([data], pieces(data, 3))]
    for seen in both:
        seen["messages"] = [snapshot(message) for message in seen["messages"]]
        if seen["error"]:
            del seen["buffered"]  # pieces behind an error are not fed
    assert both[0] == both[1]
    return both[0]


@pytest.mark.parametrize("head", USUAL)
@pytest.mark.parametrize("byte", [b"", b"\n", b"\r", b":", b" ", b"0", b"\0", b"x"])
def test_one_byte_more_or_less_in_a_usual_head_reads_the_same_at_once_and_bit_by_bit(
    esl: ModuleType, head: Any, byte: bytes
) -> None:
    for at in range(len(head)):
        for behind in (at, at + 1):  # put in, or in place of what is there
            seen_in_one_read_and_in_many(esl, head[:at] + byte + head[behind:] + OK)


@pytest.mark.parametrize("head", USUAL)
def test_usual_head_may_be_as_long_as_its_bound(esl: ModuleType, head: Any) -> None:
    size = head.index(b"\n\n") + 2
    assert seen_in_one_read_and_in_many(esl, head + OK[:1], max_header_bytes=size)["consumed"] == len(head)
    assert seen_in_one_read_and_in_many(esl, head, max_header_bytes=size - 1)["error"][0] == "HeaderTooLarge"


@pytest.mark.parametrize("head", USUAL[:3])
def test_body_behind_a_usual_head_may_be_as_long_as_its_bound(esl: ModuleType, head: Any) -> None:
    assert seen_in_one_read_and_in_many(esl, head, max_body_bytes=12)["error"] is None
    assert seen_in_one_read_and_in_many(esl, head, max_body_bytes=11)["error"][0] == "BodyTooLarge"


@pytest.mark.parametrize("digits", [b"0", b"012", b"0000000012", b"00000000012", b"9999999999", b"99999999999"])
def test_length_in_a_usual_head_is_the_number_that_it_is(esl: ModuleType, digits: bytes) -> None:
    data = USUAL[0].replace(b"12", digits, 1)
    seen = seen_in_one_read_and_in_many(esl, data)
    if int(digits) <= 12:
        assert (seen["error"] or [""])[0] in ("", "IncompleteFrame")
        assert len(seen["messages"]) >= 1
    else:
        assert seen["error"][0] == "BodyTooLarge"


def test_iterators_that_come_and_go_are_of_their_own_decoders(esl: ModuleType) -> None:
    decoders = [esl.Decoder() for _ in range(20)]
    for turn in range(3):
        iterators = [iter(decoder) for decoder in decoders]
        for number, decoder in enumerate(decoders):
            decoder.feed(b"Content-Type: command/reply\nReply-Text: +OK %d %d\n\n" % (number, turn))
        for number, iterator in reversed(list(enumerate(iterators))):
            assert [message.text for message in iterator] == [f"+OK {number} {turn}"]
            assert next(iterator, None) is None


def test_damage_behind_a_frame_that_lacked_bytes_is_told_again_and_again(esl: ModuleType) -> None:
    data = frame(b"Content-Type: api/response", b"body") + b"Content-Length: x\n\n"
    decoder = esl.Decoder()
    for at in range(len(data) - 1):
        decoder.feed(data[at : at + 1])
        assert kinds(decoder) == (["ApiResponse"] if at + 1 == data.index(b"body") + 4 else [])
    decoder.feed(data[-1:])
    for _ in range(3):
        with pytest.raises(esl.InvalidContentLength):
            next(iter(decoder))
        decoder.feed(OK)


@pytest.mark.parametrize("length", [b"0000000000000000005", b"000000000000000005", b"5", b"05"])
@pytest.mark.parametrize("kind", [b"text/event-plain", b"text/event-json", b"text/event-xml", b"Text/Event-plain"])
def test_an_events_length_is_read_however_many_digits_it_has(esl: ModuleType, length: bytes, kind: bytes) -> None:
    head = b"Content-Length: %b\nContent-Type: %b\n\n" % (length, kind)
    decoder = esl.Decoder()
    for _ in range(2):
        decoder.feed(head + b"A: 1\n" + OK)
        assert [message.payload for message in decoder] == [b"A: 1\n", None]


@pytest.mark.parametrize("digits", [b"6", b"000000000000000006", b"999999999999999999", b"9999999999999999999"])
def test_an_events_length_beyond_the_bound_is_told(esl: ModuleType, digits: bytes) -> None:
    decoder = esl.Decoder(max_body_bytes=5)
    decoder.feed(OK + b"Content-Length: %b\nContent-Type: text/event-plain\n\n" % digits)
    assert decoder.next_message().frame == OK
    for _ in range(2):
        with pytest.raises(esl.BodyTooLarge, match=rf"\b{int(digits)}\b"):
            decoder.next_message()


def test_a_class_that_cannot_be_made_leaves_its_frame_though_its_head_was_met(esl: ModuleType) -> None:
    moods = [None, None, ZeroDivisionError]

    class Moody(esl.Event):
        def __new__(cls, *_args: Any) -> Any:
            mood = moods.pop(0)
            if mood is not None:
                raise mood
            return super().__new__(cls)

    decoder = part(esl, "_codec").MessageDecoder({b"text/event-plain": Moody}, part(esl, "_codec").Message)
    frame = plain(b"A: 1\n\n")
    decoder.feed(frame * 3)
    assert [decoder.next_message().frame for _ in range(2)] == [frame] * 2
    with pytest.raises(ZeroDivisionError):
        decoder.next_message()
    assert (decoder.buffered, decoder.consumed) == (len(frame), 2 * len(frame))
    moods.append(None)
    assert decoder.next_message().frame == frame


def test_a_class_that_feeds_while_it_is_made_gets_its_own_frame_though_its_head_was_met(esl: ModuleType) -> None:
    class Hungry(esl.Event):
        def __new__(cls, *_args: Any) -> Any:
            decoder.feed(OK)
            return super().__new__(cls)

    decoder = part(esl, "_codec").MessageDecoder({b"text/event-plain": Hungry}, part(esl, "_codec").Message)
    frames = [plain(b"A: %d\n\n" % number) for number in range(5)]
    decoder.feed(b"".join(frames))
    assert [message.frame for message in decoder] == [*frames, *[OK] * 5]
