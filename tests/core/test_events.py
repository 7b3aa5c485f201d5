"""The kinds of message and what they read from the wire.

See docs/protocol/frames.md, docs/protocol/payloads.md, and docs/protocol/observed.md, 1 to 13 and 20.
"""

from __future__ import annotations

import copy
import pickle
from datetime import datetime, timedelta, timezone
from types import ModuleType
from typing import Any

import pytest
from support import AUTH, OK, decode_every_way, frame, plain


def only(esl: ModuleType, data: Any) -> Any:
    (message,) = decode_every_way(esl, data)
    return message


def event(esl: ModuleType, payload: Any) -> Any:
    return only(esl, plain(payload))


# Event


def test_event_names_what_every_reader_asks_for(esl: ModuleType) -> None:
    e = event(
        esl,
        b"Event-Subclass: sofia%3A%3Aregister\nEvent-Name: CUSTOM\nEvent-Date-Timestamp: 1795442151991319\n"
        b"Event-Sequence: 17429\nUnique-ID: fcc63192-a1aa-4b48-a8e4-2df4d2d9a04d\n\n",
    )
    assert type(e) is esl.Event
    assert e.name == "CUSTOM"
    assert e.subclass == "sofia::register"
    assert e.sequence == 17429
    assert e.uuid == "fcc63192-a1aa-4b48-a8e4-2df4d2d9a04d"
    assert e.timestamp == datetime(2026, 11, 23, 13, 55, 51, 991319, timezone.utc)
    assert e.timestamp.tzinfo is timezone.utc
    assert e.body is None
    assert e.text == ""


def test_event_without_these_headers_has_none_of_them(esl: ModuleType) -> None:
    e = event(esl, b"A: 1\n\n")
    assert (e.name, e.subclass, e.uuid, e.sequence, e.timestamp) == (None,) * 5


def test_unknown_event_name_is_kept_as_text(esl: ModuleType) -> None:
    assert event(esl, b"Event-Name: NO_SUCH_EVENT\n\n").name == "NO_SUCH_EVENT"
    assert event(esl, b"Event-Name: SWITCH_EVENT_DTMF\n\n").name == "SWITCH_EVENT_DTMF"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (b"0", 0),
        (b"-5", -5),
        (b"007", 7),
        (b"9223372036854775807", 9223372036854775807),
        (b"99999999999999999999", None),
        (b"", None),
        (b"-", None),
        (b"--5", None),
        (b"+5", None),
        (b"5x", None),
        (b" 5", None),
        (b"5 ", None),
        (b"1_000", None),
        (b"1.0", None),
        (b"0x10", None),
        (b"%D9%A5", None),  # an Arabic five: a digit to Python, not to the protocol
        (b"%C2%B2", None),  # superscript two
        (b"_undef_", None),
    ],
)
def test_sequence_is_a_decimal_number_or_none(esl: ModuleType, text: bytes, number: Any) -> None:
    assert event(esl, b"Event-Sequence: " + text + b"\n\n").sequence == number


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        (b"0", datetime(1970, 1, 1, tzinfo=timezone.utc)),
        (b"-1", datetime(1970, 1, 1, tzinfo=timezone.utc) - timedelta(microseconds=1)),
        (b"253402300799999999", datetime.max.replace(tzinfo=timezone.utc)),
        (b"253402300800000000", None),
        (b"-62135596800000000", datetime.min.replace(tzinfo=timezone.utc)),
        (b"-62135596800000001", None),
        (b"9999999999999999999", None),
        (b"soon", None),
    ],
)
def test_timestamp_is_exact_to_the_microsecond_or_none(esl: ModuleType, text: bytes, moment: Any) -> None:
    assert event(esl, b"Event-Date-Timestamp: " + text + b"\n\n").timestamp == moment


def test_background_job_carries_its_result_as_body(esl: ModuleType) -> None:
    e = event(esl, b"Event-Name: BACKGROUND_JOB\nJob-UUID: u\nContent-Length: 6\n\n+OK x\n")
    assert (e["Job-UUID"], e.body, e.text) == ("u", b"+OK x\n", "+OK x\n")


def test_body_text_is_utf8_with_surrogateescape(esl: ModuleType) -> None:
    assert event(esl, b"A: 1\n\n\xc3\xa9\xff%41").text == "é\udcff%41"


def test_envelope_is_the_frames_own_headers_and_fresh_each_time(esl: ModuleType) -> None:
    e = only(esl, b"Content-Length: 6\nX-More: 1\nContent-Type: text/event-plain\n\nA: 1\n\n")
    assert e.envelope == {"Content-Length": "6", "X-More": "1", "Content-Type": "text/event-plain"}
    e.envelope.clear()
    assert len(e.envelope) == 3


def test_malformed_is_none_for_plain_events(esl: ModuleType) -> None:
    assert event(esl, b"no colon at all\n\xff\x00").malformed is None


def test_plain_event_from_its_payload_alone(esl: ModuleType) -> None:
    payload = b"Event-Name: DTMF\nDTMF-Digit: %23\n\nbody"
    e = esl.Event.from_payload(payload, "plain")
    assert type(e) is esl.Event
    assert e == event(esl, payload)
    assert (e.name, e["DTMF-Digit"], e.body) == ("DTMF", "#", b"body")
    assert e.frame == plain(payload)


@pytest.mark.parametrize("wrong", ["PLAIN", "yaml", "", None])
def test_payload_of_an_unknown_format_is_refused(esl: ModuleType, wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"^format is .*, expected 'plain', 'json' or 'xml'$"):
        esl.Event.from_payload(b"", wrong)


@pytest.mark.parametrize(
    ("format", "payload"),
    [("json", b'{"Event-Name":"DTMF"}'), ("xml", b"<event>\n</event>\n"), ("json", b"{"), ("xml", b"</x>")],
)
def test_json_and_xml_events_arrive_whole_whatever_their_payload_says(
    esl: ModuleType, format: str, payload: bytes
) -> None:
    data = b"Content-Length: %d\nContent-Type: text/event-%b\n\n%b" % (len(payload), format.encode(), payload)
    e, reply = decode_every_way(esl, data + OK)
    assert type(e) is esl.Event
    assert (e.raw, e.frame, e.content_type) == (payload, data, f"text/event-{format}")
    assert e.envelope == {"Content-Length": str(len(payload)), "Content-Type": f"text/event-{format}"}
    assert e == esl.Event.from_payload(payload, format)
    assert hash(e) == hash(esl.Event.from_payload(payload, format))
    assert pickle.loads(pickle.dumps(e)) == e
    assert e != event(esl, payload)
    assert repr(e).startswith("<Event ")
    assert reply.frame == OK


# AuthRequest, RudeRejection


def test_auth_request(esl: ModuleType) -> None:
    message = only(esl, AUTH)
    assert type(message) is esl.AuthRequest
    assert (message.asdict(), message.body) == ({"Content-Type": "auth/request"}, None)


def test_rude_rejection_says_why(esl: ModuleType) -> None:
    message = only(esl, frame(b"Content-Type: text/rude-rejection", b"Access Denied, go away.\n"))
    assert type(message) is esl.RudeRejection
    assert message.text == "Access Denied, go away.\n"


# CommandReply


@pytest.mark.parametrize(
    ("text", "ok"),
    [
        ("+OK", True),
        ("+OK accepted", True),
        ("-ERR", False),
        ("-ERR command not found", False),
        ("-ERRONEOUS", False),
        ("-USAGE: x", True),
        ("value of a variable", True),
        (" -ERR", True),
        ("", True),
        ("-err", True),
        ("100%41", True),
    ],
)
def test_command_reply_is_ok_unless_it_begins_with_err(esl: ModuleType, text: str, ok: bool) -> None:
    reply = only(esl, b"Content-Type: command/reply\nReply-Text: " + text.encode() + b"\n\n")
    assert (reply.text, reply.ok) == (text, ok)
    if ok:
        assert reply.check() is reply
    else:
        with pytest.raises(esl.CommandError) as caught:
            reply.check()
        assert caught.value.text == text
        assert str(caught.value) == text


def test_command_reply_without_text_is_empty_and_ok(esl: ModuleType) -> None:
    reply = only(esl, b"Content-Type: command/reply\n\n")
    assert (reply.text, reply.ok, reply.job_uuid) == ("", True, None)


def test_reply_to_bgapi_names_its_job(esl: ModuleType) -> None:
    reply = only(esl, b"Content-Type: command/reply\nReply-Text: +OK Job-UUID: 7f4d\nJob-UUID: 7f4d\n\n")
    assert (reply.text, reply.job_uuid) == ("+OK Job-UUID: 7f4d", "7f4d")


def test_getvar_reply_may_begin_with_blanks(esl: ModuleType) -> None:
    assert only(esl, b"Content-Type: command/reply\nReply-Text:   two blanks \n\n").text == "  two blanks "


# ApiResponse


@pytest.mark.parametrize(
    ("body", "ok"),
    [
        (b"+OK\n", True),
        (b"", True),
        (b"true", True),
        (b"-ERR no reply\n", False),
        (b"-USAGE: uuid_kill <uuid>\n", False),
        (b"-ERR \xff\n", False),
        (b"line\n-ERR\n", True),
        (b"-USE", True),
    ],
)
def test_api_response_is_ok_unless_it_begins_with_err_or_usage(esl: ModuleType, body: bytes, ok: bool) -> None:
    response = only(esl, frame(b"Content-Type: api/response", body))
    assert type(response) is esl.ApiResponse
    text = body.decode("utf-8", "surrogateescape")
    assert (response.body, response.text, response.ok) == (body, text, ok)
    if ok:
        assert response.check() is response
    else:
        with pytest.raises(esl.CommandError) as caught:
            response.check()
        assert caught.value.text == text
        assert str(caught.value) == text.strip()


def test_api_response_without_content_length_is_empty(esl: ModuleType) -> None:
    response = only(esl, b"Content-Type: api/response\n\n")
    assert (response.body, response.text, response.ok) == (None, "", True)


# LogLine


def log(esl: ModuleType, level: Any = b"7", data: Any = b"", line: Any = b"12") -> Any:
    return only(
        esl,
        frame(
            b"Content-Type: log/data\nLog-Level: %b\nText-Channel: 0\nLog-File: switch_core.c\nLog-Func: main\n"
            b"Log-Line: %b\nUser-Data: %b" % (level, line, data),
            b"log line\n\nContent-Length: 5\n",
        ),
    )


def test_log_line_says_who_wrote_what(esl: ModuleType) -> None:
    line = log(esl, data=b"fcc63192-a1aa")
    assert type(line) is esl.LogLine
    assert (line.file, line.function, line.line, line.uuid) == ("switch_core.c", "main", 12, "fcc63192-a1aa")
    assert line.text == "log line\n\nContent-Length: 5\n"
    assert line.level is esl.LogLevel.DEBUG


def test_log_line_of_no_channel_has_no_uuid(esl: ModuleType) -> None:
    line = log(esl)
    assert line.uuid is None
    assert line["User-Data"] == ""


@pytest.mark.parametrize(
    ("text", "level"), [(b"0", 0), (b"3", 3), (b"110", 110), (b"63", 63), (b"-1", -1), (b"x", None), (b"", None)]
)
def test_log_level_is_named_where_the_switch_has_a_name(esl: ModuleType, text: bytes, level: Any) -> None:
    read = log(esl, level=text).level
    assert read == level
    assert isinstance(read, esl.LogLevel) == (level in {0, 3, 110})


def test_log_line_without_headers_has_none(esl: ModuleType) -> None:
    line = only(esl, b"Content-Type: log/data\n\n")
    assert (line.level, line.file, line.function, line.line, line.uuid, line.text) == (None,) * 5 + ("",)
    assert log(esl, line=b"twelve").line is None


# DisconnectNotice

GOODBYE = b"Disconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n"


def test_bare_disconnect_notice_is_final_and_controls_nothing(esl: ModuleType) -> None:
    notice, reply = decode_every_way(esl, frame(b"Content-Type: text/disconnect-notice", GOODBYE) + OK)
    assert type(notice) is esl.DisconnectNotice
    assert (notice.final, notice.linger, notice.text) == (True, False, GOODBYE.decode())
    assert (notice.controlled_uuid, notice.channel_name, notice.linger_time) == (None, None, None)
    assert reply.frame == OK


def test_disconnect_notice_names_the_channel_it_controlled(esl: ModuleType) -> None:
    head = b"Content-Type: text/disconnect-notice\nControlled-Session-UUID: u-1\nContent-Disposition: disconnect"
    notice = only(esl, frame(head, GOODBYE))
    assert (notice.final, notice.linger, notice.controlled_uuid) == (True, False, "u-1")


@pytest.mark.parametrize(("time", "seconds"), [(b"5", 5), (b"-1", -1), (b"soon", None)])
def test_linger_notice_is_not_the_end(esl: ModuleType, time: bytes, seconds: Any) -> None:
    notice = only(
        esl,
        frame(
            b"Content-Type: text/disconnect-notice\nControlled-Session-UUID: u-1\nContent-Disposition: Linger\n"
            b"Channel-Name: sofia/internal/1000@x\nLinger-Time: " + time,
            b"",
        ),
    )
    assert (notice.final, notice.linger) == (False, True)
    assert (notice.controlled_uuid, notice.channel_name) == ("u-1", "sofia/internal/1000@x")
    assert (notice.linger_time, notice.body) == (seconds, b"")


def test_disconnect_notice_without_length_is_a_message_like_any_other(esl: ModuleType) -> None:
    notice, reply = decode_every_way(esl, b"Content-Type: text/disconnect-notice\n\n" + OK)
    assert (notice.final, notice.body, notice.text) == (True, None, "")
    assert reply.frame == OK


# A message made by hand


def test_message_is_made_from_its_block_and_body(esl: ModuleType) -> None:
    message = esl.Message(b"A: 1\r\nContent-Length: 2\r\n\r\n", b"hi")
    assert (message["A"], message.body, message.frame) == ("1", b"hi", b"A: 1\r\nContent-Length: 2\r\n\r\nhi")
    assert esl.Message(b"A: 1\n\n").body is None
    assert esl.Message(b"A: 1\n\n", b"").body == b""
    assert esl.CommandReply(OK).text == "+OK"
    assert esl.Message(b"\n\n").asdict() == {}


@pytest.mark.parametrize("block", [b"", b"\n", b"A: 1", b"A: 1\n", b"A: 1\n\nB", b"A: 1\n\nB: 2\n\n", b"A: 1\r\n\r"])
def test_block_that_does_not_end_with_its_first_blank_line_is_refused(esl: ModuleType, block: bytes) -> None:
    for kind in (esl.Message, esl.Event, esl.CommandReply):
        with pytest.raises(ValueError, match=r"^a header block ends with its first blank line$"):
            kind(block)


def test_message_made_by_hand_obeys_the_rules_of_content_length(esl: ModuleType) -> None:
    for block in (b"Content-Length: x\n\n", b"Content-Length: 1\nContent-Length: 2\n\n"):
        with pytest.raises(esl.InvalidContentLength):
            esl.Message(block, b"x")
    for content_type in (b"text/event-json", b"TEXT/event-xml"):
        head = b"Content-Type: " + content_type + b"\n\n"
        for kind in (esl.Message, esl.Event):
            with pytest.raises(esl.InvalidContentLength, match=r"^read no Content-Length in the frame of a JSON"):
                kind(head)
            assert kind(head, b"{}").payload == b"{}"  # what its length is need not be said by hand
    assert esl.Event(b"Content-Type: text/event-plain\n\n").payload is None


def test_a_gap_keeps_both_sides_in_copies_and_compares_without_them(esl: ModuleType) -> None:
    last = esl.Event.build("DTMF", {"Core-UUID": "c", "Event-Sequence": "7", "Event-Date-Timestamp": "1000000"})
    gap, alone = esl.Gap.of(1.5, "gone", last), esl.Gap.of(1.5, "gone")
    assert (gap == alone, hash(gap) == hash(alone)) == (True, True)
    assert (alone.last_sequence, alone.last_timestamp, alone.same_core, alone.at_most) == (None,) * 4
    assert (gap.same_core, gap.at_most) == (None, None)
    gap.resume(esl.Event.build("DTMF", {"Core-UUID": "c", "Event-Sequence": "8"}))
    for one in (gap, pickle.loads(pickle.dumps(gap)), copy.copy(gap), copy.deepcopy(gap)):
        assert (one.seconds, one.last_sequence, one.last_timestamp.year) == (1.5, 7, 1970)
        assert (one.same_core, one.at_most) == (True, 0)
    alone.resume(last)
    assert (alone.same_core, alone.at_most) == (None, None)
    assert (gap.kind, hasattr(last, "kind")) == ("gap", False)
    read = esl.Gap(gap.frame[: -len(gap.payload)], gap.payload)  # from its bytes alone
    assert (read, read.last_sequence, read.at_most) == (gap, None, None)


def test_a_gap_is_told_by_the_switchs_own_heads(esl: ModuleType) -> None:
    copied = [("Core-UUID", "old"), ("Event-Sequence", "1"), ("Event-Date-Timestamp", "0")]
    last = esl.Event.build("CUSTOM", [*copied, ("Core-UUID", "c"), ("Event-Sequence", "7")])
    gap = esl.Gap.of(1, "gone", last)
    gap.resume(esl.Event.build("CUSTOM", [*copied, ("Core-UUID", "c"), ("Event-Sequence", "10")]))
    assert (gap.last_sequence, gap.same_core, gap.at_most) == (7, True, 2)


def test_a_gap_before_another_core_or_events_without_numbers(esl: ModuleType) -> None:
    last = esl.Event.build("DTMF", {"Core-UUID": "c", "Event-Sequence": "7"})
    sides = [
        ({"Core-UUID": "d", "Event-Sequence": "9"}, (False, None)),
        ({"Core-UUID": "c"}, (True, None)),
        ({}, (None, None)),
    ]
    for headers, wanted in sides:
        gap = esl.Gap.of(1, "gone", last)
        gap.resume(esl.Event.build("DTMF", headers))
        assert (gap.same_core, gap.at_most) == wanted
