"""docs/protocol/reading.md for JSON and XML, and streams of them. (For plain events: test_headers_lines.py.)"""

from __future__ import annotations

import pickle
from types import ModuleType
from typing import Any

import pytest
import support
from losses import FORMATS
from support import OK, decode_every_way

# docs/protocol/reading.md, 1 to 16, for JSON and XML


def payload_of(format: Any, fields: Any, body: Any = None) -> Any:
    """A payload as the switch writes it. Names and values are bytes that need no escaping."""
    if format == "json":
        members = [b'"%b":"%b"' % field for field in fields]
        members += [] if body is None else [b'"Content-Length":"%d","_body":"%b"' % (len(body), body)]
        return b"{" + b",".join(members) + b"}"
    if format == "plain":
        fields = fields if body is None else [*fields, (b"Content-Length", b"%d" % len(body))]
        return b"".join(b"%b: %b\n" % field for field in fields) + b"\n" + (body or b"")
    lines = b"".join(b"    <%b>%b</%b>\n" % (name, value, name) for name, value in fields)
    rest = b"" if body is None else b"  <Content-Length>%d</Content-Length>\n  <body>%b</body>\n" % (len(body), body)
    return b"<event>\n  <headers>\n%b  </headers>\n%b</event>\n" % (lines, rest)


def framed(format: Any, payload: Any) -> Any:
    return b"Content-Length: %d\nContent-Type: text/event-%b\n\n%b" % (len(payload), format.encode(), payload)


def event(esl: ModuleType, format: Any, *fields: Any, body: Any = None) -> Any:
    (message,) = decode_every_way(esl, framed(format, payload_of(format, fields, body)))
    return message


JSON_XML = pytest.mark.parametrize("format", ["json", "xml"])


@JSON_XML
def test_row_lines_have_no_meaning_in_a_value(esl: ModuleType, format: Any) -> None:
    assert event(esl, format, (b"A", b"B: 2"), (b"C", b" x: y ")).asdict() == {"A": "B: 2", "C": " x: y "}


@pytest.mark.parametrize(("format", "value"), [("json", "a%20b%3A%C3%A9+"), ("xml", "a b:é+")])
def test_row_values_are_percent_decoded_in_xml_only(esl: ModuleType, format: str, value: str) -> None:
    message = event(esl, format, (b"A", b"a%20b%3A%C3%A9+"))
    assert message["A"] == value
    assert message.asdict() == {"A": value}
    assert message.pairs() == [("A", value)]
    assert message.getlist("A") == [value]
    assert message.select("a") == (value,)


@JSON_XML
def test_row_envelope_is_never_percent_decoded(esl: ModuleType, format: Any) -> None:
    payload = payload_of(format, [(b"X", b"1")])
    head = b"X: %41\nContent-Length: " + b"%d\nContent-Type: text/event-" % len(payload) + format.encode()
    (message,) = decode_every_way(esl, head + b"\n\n" + payload)
    assert message.envelope["X"] == "%41"
    assert message["X"] == "1"
    assert (message.get("Content-Type"), message.content_type) == (None, f"text/event-{format}")


@pytest.mark.parametrize(("format", "raw"), [("json", b"\xff \xc3\xa9"), ("xml", b"%FF%20%C3%A9")])
def test_row_text_is_utf8_and_no_byte_is_lost(esl: ModuleType, format: str, raw: bytes) -> None:
    message = event(esl, format, ("Né".encode(), raw))
    assert message.pairs() == [("Né", "\udcff é")]
    assert message["Né"] == "\udcff é"
    assert message.to_json() == '{"Né":"\ufffd é"}'.encode()
    assert message.to_json("surrogateescape") == '{"Né":"\\udcff é"}'.encode()


@JSON_XML
def test_row_names_as_keys_are_the_distinct_exact_spellings_in_order_of_first_appearance(
    esl: ModuleType, format: Any
) -> None:
    message = event(esl, format, *((name, b"%d" % at) for at, name in enumerate([b"B", b"a", b"A", b"B", b"a", b"C"])))
    wanted = {"B": "0", "a": "1", "A": "2", "C": "5"}
    assert list(message) == list(message.keys()) == list(wanted)
    assert len(message) == 4
    assert list(message.asdict().items()) == list(message.items()) == list(wanted.items())
    assert list(message.values()) == list(wanted.values())
    assert dict(message) == wanted


@JSON_XML
def test_row_look_up_takes_the_exact_spelling_else_the_first_that_matches_ignoring_ascii_case(
    esl: ModuleType, format: Any
) -> None:
    message = event(esl, format, (b"unique-id", b"1"), (b"Unique-ID", b"2"), ("É".encode(), b"3"))
    assert (message["Unique-ID"], message["unique-id"], message["UNIQUE-id"], message.uuid) == ("2", "1", "1", "2")
    assert (message.get("é"), "é" in message, message["É"]) == (None, False, "3")
    assert message.select("UNIQUE-ID", "é", "É", "Unique-ID") == ("1", None, "3", "2")
    assert message.getlist("UNIQUE-ID") == ["1"]
    with pytest.raises(KeyError, match=r"^'absent'$"):
        message["absent"]
    assert (message.get("absent", "x"), message.get(None), None in message) == ("x", None, False)


@JSON_XML
def test_row_first_of_a_repeated_spelling_counts_and_all_are_kept(esl: ModuleType, format: Any) -> None:
    message = event(esl, format, (b"A", b"1"), (b"B", b"x"), (b"A", b"2"), (b"a", b"3"), (b"A", b"4"))
    assert (message["A"], message.asdict(), message.select("A", "a")) == (
        *("1", {"A": "1", "B": "x", "a": "3"}),
        ("1", "3"),
    )
    assert message.pairs() == [("A", "1"), ("B", "x"), ("A", "2"), ("a", "3"), ("A", "4")]
    assert message.getlist("A") == ["1", "2", "4"]
    assert esl.Event.from_payload(message.serialize("plain"), "plain").pairs() == message.pairs()


@JSON_XML
@pytest.mark.parametrize("first", ["name", "asdict", "look-up", "to_dict"])
def test_row_last_of_several_event_names_counts(esl: ModuleType, format: Any, first: str) -> None:
    message = event(
        esl,
        format,
        *((b"Event-Name", b"COMMAND"), (b"Event-Sequence", b"1"), (b"Event-Name", b"PRIVATE_COMMAND")),
        *((b"Event-Sequence", b"2"), (b"EVENT-NAME", b"X")),
    )
    if first == "look-up":
        assert message["event-name"] == "PRIVATE_COMMAND"
    elif first != "name":
        getattr(message, first)()
    assert message.name == message["Event-Name"] == message["event-NAME"] == "PRIVATE_COMMAND"
    assert (message["EVENT-NAME"], message.sequence, message["Event-Sequence"]) == ("X", 2, "1")
    assert list(message.asdict().items()) == [
        *(("Event-Name", "PRIVATE_COMMAND"), ("Event-Sequence", "1"), ("EVENT-NAME", "X")),
    ]
    assert message.getlist("event-name") == ["COMMAND", "PRIVATE_COMMAND"]
    assert message.to_dict()["Event-Name"] == "PRIVATE_COMMAND"


SENDERS_HEAD = [
    *((b"Event-Subclass", b"my"), (b"Event-Name", b"DTMF"), (b"Core-UUID", b"old"), (b"Unique-ID", b"u")),
    *((b"Event-Date-Timestamp", b"1000000"), (b"Event-Sequence", b"7"), (b"Event-UUID", b"e")),
]
OWN_HEAD = [
    *((b"Event-Name", b"CUSTOM"), (b"Core-UUID", b"new"), (b"Event-Date-Timestamp", b"2000000")),
    *((b"Event-Sequence", b"525"), (b"A", b"1")),
]


def own(event: Any) -> Any:
    return event.name, event.sequence, event.timestamp and event.timestamp.timestamp(), event.id


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("first", [None, "asdict", "pairs", "to_dict", "to_json", "__len__", "body", "absent"])
@pytest.mark.parametrize("body", [None, b"Event-Name: B\nEvent-Sequence: 9\nCore-UUID: b\n"])
def test_row_of_two_heads_the_last_is_the_switchs_own(esl: ModuleType, format: Any, first: Any, body: Any) -> None:
    message = event(esl, format, *SENDERS_HEAD, *OWN_HEAD, body=body)
    if first == "absent":
        assert message.get("absent") is None
    elif first == "body":
        assert message.body == body
    elif first is not None:
        getattr(message, first)()
    for _ in range(2):
        assert own(message) == ("CUSTOM", 525, 2.0, "new:525")
    assert message.select("Event-Sequence", "Event-Date-Timestamp", "core-uuid") == ("7", "1000000", "old")
    assert (message["Event-Sequence"], message["Event-Name"], message.asdict()["Core-UUID"]) == ("7", "CUSTOM", "old")
    for other in FORMATS:
        again = esl.Event.from_payload(message.serialize(other), other)
        assert own(again) == own(message)
        assert again["Event-Sequence"] == "7"


def test_of_two_heads_of_an_event_of_our_own_the_last_counts(esl: ModuleType) -> None:
    head = [("Core-UUID", "old"), ("Event-Sequence", 7), ("Core-UUID", "new"), ("Event-Sequence", 525)]
    built = esl.Event.build("DTMF", head)
    assert (built.id, built.sequence, built["Core-UUID"]) == ("new:525", 525, "old")
    assert pickle.loads(pickle.dumps(built)).id == "new:525"
    assert esl.JobResult.of(built).id == "new:525"


@pytest.mark.parametrize("format", FORMATS)
def test_names_of_two_heads_side_by_side_are_no_array(esl: ModuleType, format: Any) -> None:
    names = (b"Event-Name", b"Core-UUID", b"Event-Date-Timestamp", b"Event-Sequence")
    fields = [(name, value) for name in names for value in (b"1", b"2")]
    message = event(esl, format, *fields)
    assert message.pairs() == [(name.decode(), value.decode()) for name, value in fields]
    assert own(message) == ("2", 2, 0.000002, "2:2")
    assert message["Event-Sequence"] == "1"


@pytest.mark.parametrize("format", FORMATS)
def test_the_last_of_a_name_is_of_the_spelling_that_a_look_up_takes(esl: ModuleType, format: Any) -> None:
    lower = [(name.lower(), value) for name, value in [*OWN_HEAD, *SENDERS_HEAD]]
    assert event(esl, format, *lower).id == "old:7"
    assert event(esl, format, *lower, *OWN_HEAD, *lower).id == "new:525"
    assert event(esl, format, *SENDERS_HEAD, *lower).id == "old:7"


@pytest.mark.parametrize("format", FORMATS)
def test_id_is_none_without_both_of_its_parts(esl: ModuleType, format: Any) -> None:
    assert event(esl, format, (b"A", b"1"), (b"Event-Sequence", b"7")).id is None
    assert event(esl, format, (b"A", b"1"), (b"Core-UUID", b"c")).id is None
    assert event(esl, format, (b"A", b"1")).id is None
    assert event(esl, format, (b"Event-Sequence", b"x"), (b"Core-UUID", b"c")).id == "c:x"
    assert event(esl, format, (b"Event-Sequence", b"x"), (b"Core-UUID", b"c")).sequence is None


def test_the_last_of_a_name_in_odd_lines(esl: ModuleType) -> None:
    def sequence_of(payload: Any) -> Any:
        (message,) = decode_every_way(esl, support.plain(payload))
        return message._last("Event-Sequence")

    assert sequence_of(b"Event-Sequence: 1\nEvent-Sequence:2\n\n") == "2"
    assert sequence_of(b"Event-Sequence: 1\nEvent-Sequence:b: 2\n\n") == "1"
    assert sequence_of(b"Event-Sequence:b: 2\n\n") is None
    assert sequence_of(b"Event-Sequence: 1\r\nEvent-Sequence: %32\r\n\r\nEvent-Sequence: 3\n") == "2"
    assert sequence_of(b"Event-Sequence: 1\nX-Event-Sequence: 2\nEvent-Sequence: ") == ""
    assert sequence_of(b"A: 1\n\nEvent-Sequence: 3\n") is None
    assert sequence_of(b"\nEvent-Sequence: 3\n") is None
    assert sequence_of(b"") is None


def test_the_last_of_a_name_in_json_with_escapes(esl: ModuleType) -> None:
    payload = b'{"Event-Sequence":"1","Event-\\u0053equence":"2","event-sequence":"3","\\u0065vent-sequence":"4"}'
    assert esl.Event.from_payload(payload, "json").sequence == 2
    assert esl.Event.from_payload(payload, "json")._last("event-sequence") == "4"
    assert esl.Event.from_payload(payload.replace(b'"E', b'"e'), "json").sequence == 2  # of event-Sequence
    assert esl.Event.from_payload(b'{"event-sequence":"3","\\u0065vent-sequence":"4"}', "json").sequence == 4


@pytest.mark.parametrize(
    ("format", "payload"),
    [
        ("plain", b"A: ARRAY%3A%3Ax%7C%3Ay\nB: 1\n\n"),
        ("json", b'{"A":["x","y"],"B":"1"}'),
        ("json", b'{"A":"ARRAY::x|:y","B":"1"}'),
        ("xml", b"<event><headers><A>x</A><A>y</A><B>1</B></headers></event>"),
        ("xml", b"<event><headers><A>ARRAY%3A%3Ax%7C%3Ay</A><B>1</B></headers></event>"),
    ],
)
def test_row_array_is_one_pair_of_joined_text_and_items_in_lists(esl: ModuleType, format: str, payload: bytes) -> None:
    (message,) = decode_every_way(esl, framed(format, payload))
    assert message.pairs() == [("A", "ARRAY::x|:y"), ("B", "1")]
    assert message["A"] == message["a"] == message.asdict()["A"] == "ARRAY::x|:y"
    assert message.getlist("A") == message.getlist("a") == ["x", "y"]
    assert message.to_dict() == {"A": ["x", "y"], "B": "1"}
    assert message.to_json() == b'{"A":["x","y"],"B":"1"}'


@JSON_XML
def test_row_empty_values_and_undef_are_kept(esl: ModuleType, format: Any) -> None:
    message = event(esl, format, (b"A", b""), (b"B", b"_undef_"), (b"C", b" "))
    assert message.asdict() == {"A": "", "B": "_undef_", "C": " "}
    assert message.select("A", "B", "C") == ("", "_undef_", " ")
    assert ("A" in message, message.get("A", "x"), message.getlist("A")) == (True, "", [""])


@JSON_XML
def test_row_body_is_what_its_member_or_element_holds(esl: ModuleType, format: Any) -> None:
    message = event(esl, format, (b"A", b"1"), body=b"hello %41: x")
    assert (message.body, message.text) == (b"hello %41: x", "hello %41: x")
    assert message.pairs() == [("A", "1"), ("Content-Length", "12")]
    assert event(esl, format, (b"A", b"1")).body is None
    assert event(esl, format, (b"A", b"1")).text == ""
    assert event(esl, format, body=b"").body == b""


@JSON_XML
def test_row_content_length_of_the_frame_frames_and_that_of_the_payload_does_not(esl: ModuleType, format: Any) -> None:
    fields = [(b"Content-Length", b"nonsense"), (b"content-length", b"5"), (b"A", b"1")]
    payload = payload_of(format, fields)
    message, reply = decode_every_way(esl, framed(format, payload) + OK)
    assert message["Content-Length"] == "nonsense"
    assert message.envelope["Content-Length"] == str(len(payload))
    assert reply.text == "+OK"


@JSON_XML
def test_row_frame_without_a_length_is_refused(esl: ModuleType, format: Any) -> None:
    decoder = esl.Decoder()
    decoder.feed(OK + b"Content-Type: text/event-%b\n\n" % format.encode() + OK)
    assert next(decoder).text == "+OK"
    with pytest.raises(esl.InvalidContentLength):
        next(decoder)


@JSON_XML
def test_row_frame_of_length_zero_has_an_empty_payload(esl: ModuleType, format: Any) -> None:
    message, reply = decode_every_way(esl, support.frame(b"Content-Type: text/event-%b" % format.encode(), b"") + OK)
    assert (type(message), message.payload, message.raw) == (esl.Event, b"", b"")
    assert message.malformed.offset == 0
    assert (message.pairs(), message.body, message.name) == ([], None, None)
    assert message.serialize(format) == b""
    assert reply.text == "+OK"


@JSON_XML
@pytest.mark.parametrize("spelling", ["TEXT/EVENT-", "Text/Event-"])
def test_row_content_type_is_compared_ignoring_ascii_case(esl: ModuleType, format: Any, spelling: str) -> None:
    payload = payload_of(format, [(b"A", b"1")])
    head = f"Content-Type: {spelling}{format.swapcase()}\nContent-Length: {len(payload)}\n\n"
    (message,) = decode_every_way(esl, head.encode() + payload)
    assert (type(message), message["A"], message.serialize(format)) == (esl.Event, "1", payload)


@JSON_XML
def test_row_equality_is_of_kind_and_raw_bytes(esl: ModuleType, format: Any) -> None:
    fields = [(b"A", b"1"), (b"B", b"2")]
    one, same = (esl.Event.from_payload(payload_of(format, fields, b"x"), format) for _ in range(2))
    one.asdict()
    assert one == same
    assert hash(one) == hash(same)
    assert one != esl.Event.from_payload(payload_of(format, fields[::-1], b"x"), format)
    assert one != esl.Event.from_payload(payload_of(format, fields, b"y"), format)
    assert one != one.asdict()
    assert one != esl.Event.from_payload(one.serialize("plain"), "plain")
    assert (one.__eq__(5), one.__eq__(None)) == (NotImplemented, NotImplemented)


@JSON_XML
@pytest.mark.parametrize("payload", [None, b"", b"{", b"\xff<"])
def test_row_pickle_and_repr_whether_it_can_be_read_or_not(esl: ModuleType, format: Any, payload: Any) -> None:
    payload = payload_of(format, [(b"A", b"1")], b"x") if payload is None else payload
    for read_before in (True, False):
        message = esl.Event.from_payload(payload, format)
        if read_before:
            message.asdict()
        again = pickle.loads(pickle.dumps(message))
        assert again == message
        assert (again.pairs(), again.body, str(again.malformed)) == (
            message.pairs(),
            message.body,
            str(message.malformed),
        )
        assert repr(message) == repr(again)
        hash(message)


# The stream goes on, whatever the payloads are


def test_stream_of_every_format_with_malformed_events_between(esl: ModuleType) -> None:
    payloads = [
        ("json", b"{"),
        ("xml", b"<"),
        ("plain", b"no colon"),
        ("json", b"\xff"),
        ("xml", b"\xff"),
        ("plain", b""),
    ]
    good = [(format, event_payload) for format in FORMATS for event_payload in [_good(format)]]
    data, count = b"", 0
    for format, payload in payloads:
        data += framed(format, payload) + b"".join(framed(*pair) for pair in good) + OK
        count += 2 + len(good)
    messages = decode_every_way(esl, data)
    assert len(messages) == count
    assert [message["A"] for message in messages if "A" in message] == ["1"] * len(good) * len(payloads)
    assert sum(isinstance(m, esl.Event) and m.malformed is not None for m in messages) == 4


def _good(format: Any) -> Any:
    return b"A: 1\n\n" if format == "plain" else payload_of(format, [(b"A", b"1")])


# What fuzzing found


@pytest.mark.parametrize("bounds", [{}, {"max_body_bytes": 32}])
@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\n\r\n"])
def test_decoder_stays_dead_whatever_ends_the_block_that_killed_it(esl: ModuleType, bounds: Any, end: bytes) -> None:
    data = b"Content-Length: 99999999999" + end if bounds else b"Content-Length: x" + end
    decoder = esl.Decoder(**bounds)
    decoder.feed(data)
    texts = set()
    for again in (
        decoder.next_message,
        decoder.feed_eof,
        lambda: list(decoder),
        decoder.next_message,
        decoder.feed_eof,
    ):
        with pytest.raises((esl.InvalidContentLength, esl.BodyTooLarge)) as caught:
            again()
        texts.add(str(caught.value))
        decoder.feed(b"Content-Type: auth/request\n\n")
    assert len(texts) == 1
