"""Errors (docs/protocol/rules.md, 5 and 6): each with its type, its exact text and its numbers."""

from __future__ import annotations

import copy
import pickle
from types import ModuleType
from typing import Any

import pytest
from errors_support import raises
from support import AUTH, OK, decode, decode_every_way, frame, pieces, plain, receive, take

# After a framing error

BAD = b"Content-Length: x\n\n"
BAD_TEXT = "read Content-Length 'x', expected ASCII digits"

BROKEN = [
    ({}, BAD, "InvalidContentLength", BAD_TEXT),
    (
        {},
        b"Content-Length: 1\nA: 1\ncontent-length: 2\n\n",
        "InvalidContentLength",
        "read Content-Length '1' and '2' in one frame, expected one value",
    ),
    ({}, b"Content-Length: x\r\n\r\n", "InvalidContentLength", BAD_TEXT),
    ({}, b"A: 1\nContent-Length: x\n\r\n", "InvalidContentLength", BAD_TEXT),
    ({}, b"\r\n\nContent-Length: x\r\n\n", "InvalidContentLength", BAD_TEXT),
    (
        {"max_header_bytes": 50},
        b"A: " + b"x" * 50,
        "HeaderTooLarge",
        "read 51 bytes of a header block without its end, expected no more than 50 (max_header_bytes)",
    ),
    (
        {"max_header_bytes": 50},
        b"A: " + b"x" * 44 + b"\r\n\r\n",
        "HeaderTooLarge",
        "read 51 bytes of a header block without its end, expected no more than 50 (max_header_bytes)",
    ),
    *(
        (
            {"max_body_bytes": 50},
            b"Content-Length: 51" + end,
            "BodyTooLarge",
            "read a Content-Length of 51 bytes, expected no more than 50 (max_body_bytes)",
        )
        for end in (b"\n\n", b"\r\n\r\n")
    ),
]


def stray(data: Any) -> Any:
    """Line ends before a block: they are consumed, whatever comes then."""
    return len(data) - len(data.lstrip(b"\r\n"))


@pytest.mark.parametrize(("bounds", "broken", "kind", "text"), BROKEN)
@pytest.mark.parametrize("sizes", [(1,), (7,), (10_000,)])
def test_whole_messages_before_damage_come_out_first(
    esl: ModuleType, bounds: Any, broken: Any, kind: Any, text: Any, sizes: Any
) -> None:
    decoder = esl.Decoder(**bounds)
    messages = []
    with pytest.raises(esl.ProtocolError) as caught:
        take(decoder, pieces(OK + AUTH + broken + OK, *sizes), messages)
    assert [message.frame for message in messages] == [OK, AUTH]
    assert type(caught.value) is getattr(esl, kind)
    assert str(caught.value) == text
    assert decoder.consumed == len(OK + AUTH) + stray(broken)


@pytest.mark.parametrize(("bounds", "broken", "kind", "text"), BROKEN)
@pytest.mark.parametrize("behind", [b"", b"\n", OK])
def test_decoder_stays_dead_and_says_the_same_each_time(
    esl: ModuleType, bounds: Any, broken: Any, kind: Any, text: Any, behind: Any
) -> None:
    decoder = esl.Decoder(**bounds)
    decoder.feed(OK + broken + behind)
    assert decoder.next_message().frame == OK
    kind = getattr(esl, kind)
    seen = []
    for call in (decoder.next_message, lambda: next(decoder), lambda: list(decoder), decoder.feed_eof) * 2:
        seen.append(raises(call, kind, text))
        decoder.feed(OK)
        receive(decoder, OK)
    assert len(set(map(id, seen))) == len(seen), "a new instance each time"
    assert decoder.buffered == len(broken + behind) - stray(broken), "what came after the error is dropped"
    assert decoder.consumed == len(OK) + stray(broken)


@pytest.mark.parametrize(("bounds", "broken", "kind", "text"), BROKEN)
def test_splitter_stays_dead_in_the_same_way(esl: ModuleType, bounds: Any, broken: Any, kind: Any, text: Any) -> None:
    splitter = esl.FrameSplitter(**bounds)
    splitter.feed(OK + broken)
    assert splitter.next_frame() == (OK, None)
    for _ in range(2):
        raises(splitter.next_frame, getattr(esl, kind), text)
        raises(lambda: next(splitter), getattr(esl, kind), text)
        raises(splitter.feed_eof, getattr(esl, kind), text)
        splitter.feed(OK)


@pytest.mark.parametrize(("bounds", "broken", "kind", "text"), BROKEN)
def test_end_of_stream_tells_of_damage_that_is_still_to_come(
    esl: ModuleType, bounds: Any, broken: Any, kind: Any, text: Any
) -> None:
    decoder = esl.Decoder(**bounds)
    decoder.feed(OK + broken)
    raises(decoder.feed_eof, getattr(esl, kind), text)
    assert (decoder.buffered, decoder.consumed) == (len(OK + broken), 0)
    assert decoder.next_message().frame == OK
    raises(decoder.next_message, getattr(esl, kind), text)


def test_feeding_never_raises_about_content(esl: ModuleType) -> None:
    decoder = esl.Decoder(max_header_bytes=10, max_body_bytes=1)
    for data in (BAD, b"x" * 1000, b"Content-Length: 99\n\n", b"\x00\xff" * 50):
        decoder.feed(data)
        receive(decoder, data)


# InvalidContentLength


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([b""], "''"),
        ([b"abc"], "'abc'"),
        ([b"\xff\x00'"], '"\\xff\\x00\'"'),
        ([b"x" * 60], "'" + "x" * 60 + "'"),
        ([b"x" * 61], "'" + "x" * 60 + "'... (61 bytes)"),
    ],
)
def test_bad_content_length_is_shown_short(esl: ModuleType, values: Any, shown: str) -> None:
    error = raises(
        lambda: decode(esl, b"Content-Length: " + values[0] + b"\n\n"),
        esl.InvalidContentLength,
        f"read Content-Length {shown}, expected ASCII digits",
    )
    assert error.values == (values[0],)


def test_repeats_that_differ_are_both_shown(esl: ModuleType) -> None:
    error = raises(
        lambda: decode(esl, b"Content-Length: 3 \nCONTENT-LENGTH:3\ncontent-length: 04\nContent-Length: 5\n\nabc"),
        esl.InvalidContentLength,
        "read Content-Length '3 ' and '04' in one frame, expected one value",
    )
    assert error.values == (b"3 ", b"04")


def test_first_bad_value_is_the_one_that_is_told(esl: ModuleType) -> None:
    text = "read Content-Length 'x', expected ASCII digits"
    for lines in (b"Content-Length: x\nContent-Length: y\n\n", b"Content-Length: 1\nContent-Length: x\n\n"):
        raises(lambda lines=lines: decode(esl, lines), esl.InvalidContentLength, text)


# IncompleteFrame


def test_end_of_stream_inside_a_header_block(esl: ModuleType) -> None:
    decoder = esl.Decoder()
    decoder.feed(OK + b"\nContent-Type: a\n")
    error = raises(
        decoder.feed_eof,
        esl.IncompleteFrame,
        "stream ended in a header block: read 16 bytes, expected a blank line",
    )
    assert error.data == b"Content-Type: a\n"
    assert (error.header_bytes, error.body_bytes, error.notice, error.reason) == (None, None, None, None)
    assert [message.frame for message in decoder] == [OK]


def test_end_of_stream_inside_a_body(esl: ModuleType) -> None:
    decoder = esl.Decoder()
    decoder.feed(OK + b"Content-Length: 5\n\nhel")
    error = raises(decoder.feed_eof, esl.IncompleteFrame, "stream ended in a body: read 3 bytes, expected 5")
    assert error.data == b"Content-Length: 5\n\nhel"
    assert (error.header_bytes, error.body_bytes, error.notice, error.reason) == (19, 5, None, None)


def test_end_of_stream_is_no_death(esl: ModuleType) -> None:
    decoder = esl.Decoder()
    decoder.feed(b"Content-Length: 5\n\nhel")
    for _ in range(2):
        with pytest.raises(esl.IncompleteFrame):
            decoder.feed_eof()
    decoder.feed(b"lo")
    decoder.feed_eof()
    assert [message.body for message in decoder] == [b"hello"]


@pytest.mark.parametrize("cut", range(1, 24))
def test_end_of_stream_at_every_byte_of_a_frame(esl: ModuleType, cut: Any) -> None:
    data = b"Content-Length: 5\n\nhello"
    for sizes in ((1,), (100,)):
        decoder = esl.Decoder()
        for chunk in pieces(AUTH + data[:cut], *sizes):
            decoder.feed(chunk)
            for message in decoder:
                assert message.frame == AUTH
        with pytest.raises(esl.IncompleteFrame) as caught:
            decoder.feed_eof()
        assert caught.value.data == data[:cut]
        assert caught.value.header_bytes == (19 if cut >= 19 else None)
        assert caught.value.body_bytes == (5 if cut >= 19 else None)


NOTICE = b"Content-Type: text/disconnect-notice\nContent-Length: 39\n\nkilled listener because of lost events\n"
SHORT = b"Content-Type: text/disconnect-notice\nContent-Length: 6\n\nkilled"


@pytest.mark.parametrize(
    ("there", "notice", "reason"),
    [
        (b"Event-Name: DTMF\nEvent-Dat" + NOTICE, NOTICE, "killed listener because of lost events\n"),
        (NOTICE, NOTICE, "killed listener because of lost events\n"),
        (b"A" + NOTICE[:-10], NOTICE[:-10], "killed listener because of lo"),
        (b"A" + NOTICE[:-39], NOTICE[:-39], ""),
        (b"A" + NOTICE[:-40], None, None),
        (b"A" + NOTICE + b"behind", NOTICE, "killed listener because of lost events\n"),
        (b"A" + SHORT + b" listener", SHORT, "killed"),
        (b"AContent-Type: text/disconnect-notice\n\nrest", b"Content-Type: text/disconnect-notice\n\n", ""),
        (
            b"AContent-Type: text/disconnect-notice\r\nContent-Length: 3\r\n\r\nbye..",
            b"Content-Type: text/disconnect-notice\r\nContent-Length: 3\r\n\r\nbye",
            "bye",
        ),
        (
            b"AContent-Type: text/disconnect-notice\nContent-Length: 2\n\n\xffx",
            b"Content-Type: text/disconnect-notice\nContent-Length: 2\n\n\xffx",
            "\\xffx",
        ),
        (NOTICE + SHORT, SHORT, "killed"),
        (b"text/disconnect-notice\n\n", None, None),
    ],
)
def test_notice_inside_an_unfinished_frame_is_found_and_named(
    esl: ModuleType, there: Any, notice: Any, reason: Any
) -> None:
    decoder = esl.Decoder()
    decoder.feed(b"Content-Length: 5000\nContent-Type: text/event-plain\n\n" + there)
    with pytest.raises(esl.IncompleteFrame) as caught:
        decoder.feed_eof()
    assert caught.value.notice == notice
    assert caught.value.reason == reason
    text = f"stream ended in a body: read {len(there)} bytes, expected 5000"
    if reason is not None:
        text += f"; a disconnect-notice stands in it: {reason.strip()!r}"
    assert str(caught.value) == text


def test_notice_that_is_itself_unfinished_is_not_inside_itself(esl: ModuleType) -> None:
    decoder = esl.Decoder()
    decoder.feed(NOTICE[:-5])
    error = raises(decoder.feed_eof, esl.IncompleteFrame, "stream ended in a body: read 34 bytes, expected 39")
    assert error.notice is None


# The exceptions themselves


def test_tree_of_exceptions(esl: ModuleType) -> None:
    assert issubclass(esl.ESLError, Exception)
    for name, base in {
        "ProtocolError": "ESLError",
        "InvalidContentLength": "ProtocolError",
        "LimitExceeded": "ProtocolError",
        "HeaderTooLarge": "LimitExceeded",
        "BodyTooLarge": "LimitExceeded",
        "IncompleteFrame": "ProtocolError",
        "MalformedPayload": "ProtocolError",
        "InvalidCommand": "ESLError",
        "CommandError": "ESLError",
        "AuthError": "ESLError",
        "AccessDenied": "ESLError",
        "ConnectionClosed": "ESLError",
        "CommandTimeout": "ESLError",
    }.items():
        assert getattr(esl, name).__bases__ == (getattr(esl, base),)


MADE = [
    ("ESLError", ("text",), {}, "text"),
    ("InvalidContentLength", (b"x",), {"values": (b"x",)}, BAD_TEXT),
    (
        "InvalidContentLength",
        (),
        {"values": ()},
        "read no Content-Length in the frame of a JSON or XML event, expected one",
    ),
    (
        "InvalidContentLength",
        (b"1", b"2"),
        {"values": (b"1", b"2")},
        "read Content-Length '1' and '2' in one frame, expected one value",
    ),
    (
        "LimitExceeded",
        (6, 5),
        {"read": 6, "limit": 5},
        "read 6 bytes ahead of the reader, expected no more than 5 (max_buffered)",
    ),
    (
        "HeaderTooLarge",
        (6, 5),
        {"read": 6, "limit": 5},
        "read 6 bytes of a header block without its end, expected no more than 5 (max_header_bytes)",
    ),
    (
        "BodyTooLarge",
        (6, 5),
        {"read": 6, "limit": 5},
        "read a Content-Length of 6 bytes, expected no more than 5 (max_body_bytes)",
    ),
    (
        "BodyTooLarge",
        (b"99999999999999999999", 5),
        {"read": 99999999999999999999, "limit": 5},
        "read a Content-Length of 99999999999999999999 bytes, expected no more than 5 (max_body_bytes)",
    ),
    (
        "IncompleteFrame",
        (b"A: 1\n",),
        {"data": b"A: 1\n", "header_bytes": None, "body_bytes": None, "notice": None, "reason": None},
        "stream ended in a header block: read 5 bytes, expected a blank line",
    ),
    (
        "IncompleteFrame",
        (b"Content-Length: 999\n\n" + NOTICE, 21, 999),
        {"header_bytes": 21, "body_bytes": 999, "notice": NOTICE, "reason": "killed listener because of lost events\n"},
        "stream ended in a body: read 96 bytes, expected 999; "
        "a disconnect-notice stands in it: 'killed listener because of lost events'",
    ),
    (
        "MalformedPayload",
        ("json", 7, "read 'x', expected a colon"),
        {"format": "json", "offset": 7, "why": "read 'x', expected a colon"},
        "event payload is not JSON as expected: read 'x', expected a colon (byte 7)",
    ),
    ("InvalidCommand", ("would inject",), {}, "would inject"),
    ("CommandError", ("-ERR no\n",), {"text": "-ERR no\n"}, "-ERR no"),
    ("CommandError", ("",), {"text": ""}, "-ERR"),
    ("AuthError", ("invalid",), {}, "invalid"),
    ("AccessDenied", ("go away",), {}, "go away"),
    ("ConnectionClosed", ("why",), {}, "why"),
    ("CommandTimeout", ("5 s",), {}, "5 s"),
]


@pytest.mark.parametrize(("name", "args", "attributes", "text"), MADE)
def test_exception_carries_its_numbers_and_is_pickled_with_them(
    esl: ModuleType, name: Any, args: Any, attributes: Any, text: Any
) -> None:
    error = getattr(esl, name)(*args)
    for same in (
        error,
        copy.copy(error),
        copy.deepcopy(error),
        *(pickle.loads(pickle.dumps(error, p)) for p in range(6)),
        error.again(),
    ):
        assert type(same) is type(error)
        assert str(same) == text
        assert {attribute: getattr(same, attribute) for attribute in attributes} == attributes


def test_error_made_again_has_all_of_the_first_except_what_raising_it_left(esl: ModuleType) -> None:
    error = esl.ChannelEnded("USER_BUSY")
    error.maybe_done = True
    with pytest.raises(esl.ChannelEnded):
        raise error from OSError("reset")
    again = error.again()
    assert again is not error
    assert (vars(again), again.args, again.__cause__) == (vars(error), error.args, error.__cause__)
    assert vars(again) is not vars(error)
    assert (again.__traceback__, again.__suppress_context__) == (None, True)
    assert esl.ConnectionClosed("why").again().__suppress_context__ is False


def test_refused_replies_and_responses_are_raised_by_check_alone(esl: ModuleType) -> None:
    reply, response = decode(
        esl,
        b"Content-Type: command/reply\nReply-Text: -ERR no\n\n" + frame(b"Content-Type: api/response", b"-USAGE: x\n"),
    )
    assert raises(reply.check, esl.CommandError, "-ERR no").text == "-ERR no"
    assert raises(response.check, esl.CommandError, "-USAGE: x").text == "-USAGE: x\n"


def test_event_is_never_an_error_to_read(esl: ModuleType) -> None:
    for payload in (
        b"\xff\x00\n\n\n",
        b"no colon",
        b"%",
        b": \n",
        b"\r",
        b"Event-Sequence: x\nEvent-Date-Timestamp: y",
    ):
        (event,) = decode_every_way(esl, plain(payload))
        event.asdict()
        assert (event.sequence, event.timestamp, event.malformed) == (None, None, None)


@pytest.mark.parametrize("kind", ["Decoder", "FrameSplitter"])
def test_whole_notice_before_the_unfinished_frame_is_a_frame_of_its_own(esl: ModuleType, kind: str) -> None:
    decoder = getattr(esl, kind)()
    decoder.feed(b"Content-Type: text/disconnect-notice\nContent-Length: 3\n\nbyeConte")
    assert len(list(decoder)) == 1
    with pytest.raises(esl.IncompleteFrame) as caught:
        decoder.feed_eof()
    assert str(caught.value) == "stream ended in a header block: read 5 bytes, expected a blank line"
    assert (caught.value.notice, caught.value.reason) == (None, None)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
