"""To bytes: payloads in the three formats, whole frames as a switch writes them, `Event.build`.

See docs/protocol/frames.md, docs/protocol/payloads.md, and docs/protocol/encoding.md, P5.1.
"""

from __future__ import annotations

import importlib
import json
from functools import cache
from types import ModuleType
from typing import Any

import pytest
from support import DATA, capture, decode, decode_every_way

VECTORS = json.loads((DATA / "vectors.json").read_text())["vectors"]


@pytest.fixture
def render(esl: ModuleType) -> Any:
    return importlib.import_module(f"{esl.__name__}.render")


# The server's percent coding: docs/protocol/encoding.md, P5.1


@pytest.mark.parametrize(
    "vector", [v for v in VECTORS if v["kind"] == "urlencode_server"], ids=lambda vector: vector["name"]
)
def test_vector_urlencode_server(render: Any, vector: Any) -> None:
    assert render.quote_server(vector["input"].encode("latin-1")) == vector["expect"].encode("latin-1")


def test_server_escapes_all_but_its_alphabet_in_upper_case(render: Any) -> None:
    kept = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!$'()*,-./_~"
    for value in range(256):
        byte = bytes([value])
        assert render.quote_server(byte) == (byte if byte in kept else b"%%%02X" % value)
        assert render.quote_server(b"x" + byte + b"gh") == b"x" + render.quote_server(byte) + b"gh"


def test_server_leaves_a_percent_sign_alone_before_two_upper_case_digits(render: Any) -> None:
    upper = b"0123456789ABCDEF"
    for first in range(256):
        for second in (0x30, 0x39, 0x41, 0x46, 0x47, 0x61, 0x25, 0x2F, 0x3A, 0x40):
            pair = bytes([first, second])
            alone = first in upper and second in upper
            wanted = b"%" + pair if alone else b"%25" + render.quote_server(pair)
            assert render.quote_server(b"%" + pair) == wanted
    assert render.quote_server(b"%") == b"%25"
    assert render.quote_server(b"%4") == b"%254"
    assert render.quote_server(b"") == b""


# Plain payloads


def test_plain_writes_lines_percent_encoded_and_the_length_of_the_body(render: Any) -> None:
    fields = [("Event-Name", "DTMF"), ("a b:c", "x y\n%41é\udcff"), ("Arr", ["a", "", "b:"]), ("One", ["x"]), ("E", "")]
    assert render.plain(fields, b"body\xff\n\n") == (
        b"Event-Name: DTMF\na b:c: x%20y%0A%2541%C3%A9%FF\nArr: ARRAY%3A%3Aa%7C%3A%7C%3Ab%3A\nOne: x\nE: \n"
        b"Content-Length: 7\n\nbody\xff\n\n"
    )
    assert render.plain([]) == render.plain([], b"") == b"\n"
    assert render.plain([("A", "1")], b"") == b"A: 1\n\n"


def test_plain_as_the_server_writes_it(render: Any) -> None:
    fields = [("A", "100%41"), ("E", ""), ("F", []), ("Arr", ["%4A", "x"])]
    assert render.plain(fields, b"b", server=True) == (
        b"A: 100%41\nE: _undef_\nF: _undef_\nArr: ARRAY%3A%3A%4A%7C%3Ax\nContent-Length: 1\n\nb"
    )


@pytest.mark.parametrize("name", ["A\nB", "\n", "A: B", "A: ", ": "])
def test_plain_refuses_names_that_would_be_read_as_something_else(esl: ModuleType, render: Any, name: str) -> None:
    for server in (True, False):
        with pytest.raises(esl.InvalidCommand, match=r"cannot be written in the plain format$"):
            render.plain([("X", "1"), (name, "2")], server=server)


def test_plain_refuses_items_that_would_be_read_as_several(esl: ModuleType, render: Any) -> None:
    with pytest.raises(esl.InvalidCommand, match=r"^an item of 'A' has '\|:' in it"):
        render.plain([("A", ["a|:b", "c"])])
    assert render.plain([("A", ["a|:b"])]) == b"A: a%7C%3Ab\n\n"
    assert render.plain([("A", ["a|", ":b"])]) == b"A: ARRAY%3A%3Aa%7C%7C%3A%3Ab\n\n"
    assert esl.Event.from_payload(render.plain([("A", ["a|", ":b"])]), "plain").getlist("A") == ["a|", ":b"]


@pytest.mark.parametrize("format", ["plain", "json", "xml"])
@pytest.mark.parametrize("field", [("A\ud800", "1"), ("A", "\ud800"), ("A", ["x", "\udfff"])])
def test_surrogate_that_stands_for_no_byte_is_refused(esl: ModuleType, render: Any, format: str, field: Any) -> None:
    with pytest.raises(esl.InvalidCommand):
        render.PAYLOADS[format]([field], None)


@pytest.mark.parametrize("format", ["plain", "json", "xml"])
def test_content_length_of_the_body_is_written_once_and_last(esl: ModuleType, render: Any, format: str) -> None:
    for fields in ([("A", "1")], [("A", "1"), ("Content-Length", "4")]):
        payload = render.PAYLOADS[format](fields, b"body")
        assert payload == render.PAYLOADS[format]([("A", "1")], b"body")
        event = esl.Event.from_payload(payload, format)
        assert (event.pairs(), event.body) == ([("A", "1"), ("Content-Length", "4")], b"body")


@pytest.mark.parametrize("format", ["plain", "json", "xml"])
def test_content_length_that_is_not_the_bodys_is_kept(esl: ModuleType, render: Any, format: str) -> None:
    for fields in ([("Content-Length", "99")], [("Content-Length", "4"), ("A", "1")], [("content-length", "4")]):
        event = esl.Event.from_payload(render.PAYLOADS[format](fields, b"body"), format)
        assert event.pairs() == [*fields, ("Content-Length", "4")]
    without_body = esl.Event.from_payload(render.PAYLOADS[format]([("Content-Length", "0")], None), format)
    assert without_body.pairs() == [("Content-Length", "0")]


# JSON payloads


def test_json_is_compact_and_escapes_only_what_it_must(render: Any) -> None:
    fields = [("Event-Name", "DTMF"), ("a\n", 'q"\\/\b\f\r\t\x01\x7f'), ("é", "é😀%41"), ("Arr", ["a", ""]), ("N", [])]
    assert render.json(fields) == (
        b'{"Event-Name":"DTMF","a\\n":"q\\"\\\\/\\b\\f\\r\\t\\u0001\x7f","\xc3\xa9":"\xc3\xa9\xf0\x9f\x98\x80%41",'
        b'"Arr":["a",""],"N":[]}'
    )
    assert render.json([]) == b"{}"


def test_json_keeps_repeats_and_bytes_that_are_not_utf8(render: Any) -> None:
    fields = [("A", "\udcff"), ("A", "2"), ("Event-Name", "X"), ("Event-Name", "Y")]
    assert render.json(fields, b"\xfe\n") == (
        b'{"A":"\xff","A":"2","Event-Name":"X","Event-Name":"Y","Content-Length":"2","_body":"\xfe\\n"}'
    )


def test_json_writes_an_empty_body(render: Any) -> None:
    assert render.json([], b"") == b'{"Content-Length":"0","_body":""}'


# XML payloads


def xml_vector(vector: Any) -> Any:
    fields = [
        (name, to_utf8(value) if isinstance(value, str) else [to_utf8(item) for item in value])
        for name, value in vector["headers"]
    ]
    body = None if vector["body"] is None else vector["body"].encode("latin-1")
    return fields, body, vector["expect"].encode("latin-1")


def to_utf8(latin1: Any) -> Any:
    return latin1.encode("latin-1").decode()


XML_WRITTEN_OTHERWISE = {
    "event_xml_body_comment_stops_escaping": (
        "docs/protocol/payloads.md, P4.3: a `<!` switches escaping off, possibly malformed; ours is well-formed",
        (b"x <!-- & --> &", b"x &lt;!-- &amp; --&gt; &amp;"),
    ),
}


@pytest.mark.parametrize("vector", [v for v in VECTORS if v["kind"] == "xml"], ids=lambda vector: vector["name"])
def test_vector_xml_is_written(esl: ModuleType, render: Any, vector: Any) -> None:
    fields, body, wanted = xml_vector(vector)
    if vector["name"] in XML_WRITTEN_OTHERWISE:
        _, (theirs, ours) = XML_WRITTEN_OTHERWISE[vector["name"]]
        assert theirs in wanted
        wanted = wanted.replace(theirs, ours)
    assert render.xml(fields, body) == wanted
    assert esl.Event.from_payload(wanted, "xml").body == body


@pytest.mark.parametrize("vector", [v for v in VECTORS if v["kind"] == "xml"], ids=lambda vector: vector["name"])
def test_vector_xml_is_read_back(esl: ModuleType, vector: Any) -> None:
    fields, body, payload = xml_vector(vector)
    event = esl.Event.from_payload(payload, "xml")
    if vector["name"] in XML_WRITTEN_OTHERWISE:
        assert event.malformed is not None  # docs/protocol/reading.md, 14
        return
    length = [] if body is None else [("Content-Length", str(len(body)))]
    assert event._fields() == [
        *((name, value[0] if isinstance(value, list) and len(value) == 1 else value) for name, value in fields),
        *length,
    ]
    assert event.body == body


def test_differences_name_vectors_that_exist() -> None:
    assert set(XML_WRITTEN_OTHERWISE) <= {vector["name"] for vector in VECTORS if vector["kind"] == "xml"}


@pytest.mark.parametrize("name", ["a", "_", "a.b-c_d:e", "Näme", "variable_x", "你"])
def test_xml_takes_xml_names(esl: ModuleType, render: Any, name: str) -> None:
    assert esl.Event.from_payload(render.xml([(name, "1")]), "xml").pairs() == [(name, "1")]


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "a b",
        "a ",
        " a",
        "1a",
        "-a",
        "a\n",
        "a/",
        "/a",
        "a>",
        "<a",
        "a><b",
        "a/><b",
        'a b="c"',
        "a&b",
        "a\0",
        "a=",
        "\udcff",
    ],
)
def test_xml_refuses_names_that_are_none(esl: ModuleType, render: Any, name: str) -> None:
    with pytest.raises(esl.InvalidCommand, match=r"cannot be written in XML$"):
        render.xml([("A", "1"), (name, "2")])


def test_xml_leaves_out_of_a_body_what_is_not_utf8(render: Any) -> None:
    assert b"  <Content-Length>4</Content-Length>\n  <body>a&#xE9;b</body>\n" in render.xml([], b"a\xff\xc3\xa9\xc3b")
    assert b"  <Content-Length>0</Content-Length>\n  <body></body>\n" in render.xml([], b"\xff\xfe")


def test_xml_writes_no_empty_body(render: Any) -> None:
    assert render.xml([], b"") == render.xml([], None) == b"<event>\n  <headers>\n  </headers>\n</event>\n"


@pytest.mark.parametrize("character", ["\0", "\x01", "\x0b", "\x1f", "\ufffe", "\uffff"])
def test_xml_refuses_a_body_with_characters_it_cannot_carry(esl: ModuleType, render: Any, character: str) -> None:
    with pytest.raises(esl.InvalidCommand, match=r"which XML cannot carry$"):
        render.xml([], f"a{character}b".encode())
    assert esl.Event.from_payload(render.xml([("A", character)]), "xml")["A"] == character


# Event.build


def test_event_is_built_from_headers_and_body(esl: ModuleType) -> None:
    headers = [("A", "x y"), ("N", 5), ("Arr", ["a", "b"]), ("Tuple", ("c",)), ("A", "2")]
    event = esl.Event.build("CUSTOM", headers, "bödy\n", subclass="a::b")
    assert type(event) is esl.Event
    assert event.pairs() == [
        *(("Event-Name", "CUSTOM"), ("Event-Subclass", "a::b"), ("A", "x y"), ("N", "5"), ("Arr", "ARRAY::a|:b")),
        *(("Tuple", "c"), ("A", "2"), ("Content-Length", "6")),
    ]
    assert (event.name, event.subclass, event.body) == ("CUSTOM", "a::b", b"b\xc3\xb6dy\n")
    assert event == esl.Event.from_payload(event.payload, "plain")


def test_event_is_built_without_body_from_nothing_or_an_empty_one(esl: ModuleType) -> None:
    for body in (None, b"", ""):
        assert esl.Event.build("DTMF", body=body).payload == b"Event-Name: DTMF\n\n"
    assert esl.Event.build("DTMF", {"A": "1"}, b"\xff").body == b"\xff"
    assert esl.Event.build("DTMF", body="\udcff").body == b"\xff"
    assert esl.Event.build(esl.EventName.DTMF).name == "DTMF"


def test_only_custom_events_have_a_subclass(esl: ModuleType) -> None:
    with pytest.raises(esl.InvalidCommand, match="'DTMF' has no subclasses, only CUSTOM has"):
        esl.Event.build("DTMF", subclass="x")


@pytest.mark.parametrize("headers", [{"A\nB": "1"}, {"A: B": "1"}, {"A": ["x|:y", "z"]}, {"A": "\ud800"}])
def test_event_that_plain_cannot_express_is_refused(esl: ModuleType, headers: Any) -> None:
    with pytest.raises(esl.InvalidCommand):
        esl.Event.build("DTMF", headers)


def test_line_end_in_a_value_cannot_inject(esl: ModuleType) -> None:
    event = esl.Event.build("DTMF\nX: 1", {"A": "1\nB: 2\n\nbody", "C": ["x\n", "\r\n\r\n"]})
    assert list(event) == ["Event-Name", "A", "C"]
    assert (event.name, event["A"], event.getlist("C"), event.body) == (
        *("DTMF\nX: 1", "1\nB: 2\n\nbody", ["x\n", "\r\n\r\n"]),
        None,
    )


# Whole frames: docs/protocol/frames.md, P3

FAREWELL = b"Disconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n"


def one(esl: ModuleType, data: Any, kind: Any) -> Any:
    (message,) = decode_every_way(esl, data)
    assert type(message) is getattr(esl, kind)
    return message


@cache
def captured_frames(*names: Any) -> Any:
    import eslcodec

    return frozenset(message.frame for name in names for message in decode(eslcodec, capture(name)))


def test_auth_request_frame(esl: ModuleType, render: Any) -> None:
    data = render.auth_request()
    assert data == b"Content-Type: auth/request\n\n"
    assert data in captured_frames("auth_invalid")
    one(esl, data, "AuthRequest")


def test_command_reply_frame(esl: ModuleType, render: Any) -> None:
    data = render.command_reply("+OK accepted")
    assert data == b"Content-Type: command/reply\nReply-Text: +OK accepted\n\n"
    assert data in captured_frames("auth_late")
    reply = one(esl, data, "CommandReply")
    assert (reply.text, reply.ok, reply.job_uuid, reply.body) == ("+OK accepted", True, None, None)
    assert render.command_reply("-ERR invalid") in captured_frames("auth_invalid")
    assert one(esl, render.command_reply("100%41"), "CommandReply").text == "100%41"


def test_command_reply_frame_with_more_headers(esl: ModuleType, render: Any) -> None:
    uuid = "7f4d2f6c-0000-4000-8000-0123456789ab"
    data = render.command_reply(f"+OK Job-UUID: {uuid}", [("Job-UUID", uuid)])
    assert data == f"Content-Type: command/reply\nReply-Text: +OK Job-UUID: {uuid}\nJob-UUID: {uuid}\n\n".encode()
    assert one(esl, data, "CommandReply").job_uuid == uuid
    job = next(m for m in decode(esl, capture("bgapi_plain")) if isinstance(m, esl.CommandReply) and m.job_uuid)
    assert render.command_reply(job.text, [("Job-UUID", job.job_uuid)]) == job.frame


def test_connect_reply_frame(esl: ModuleType, render: Any) -> None:
    fields = [("Event-Name", "CHANNEL_DATA"), ("Channel-Name", "sofia/x@y"), ("variable_a", ["1", "2"]), ("E", "")]
    data = render.connect_reply(fields, mode="static", control="single-channel")
    assert data == (
        b"Event-Name: CHANNEL_DATA\nChannel-Name: sofia/x%40y\nvariable_a: ARRAY%3A%3A1%7C%3A2\nE: _undef_\n"
        b"Content-Type: command/reply\nReply-Text: %2BOK%0A\nSocket-Mode: static\nControl: single-channel\n\n"
    )
    reply = one(esl, data, "CommandReply")
    assert (reply.text, reply.ok, reply.body) == ("+OK\n", True, None)
    assert (reply["Channel-Name"], reply.getlist("variable_a"), reply["E"]) == ("sofia/x@y", ["1", "2"], "_undef_")
    assert render.connect_reply([]).endswith(b"Socket-Mode: async\nControl: full\n\n")


@pytest.mark.parametrize("name", ["out_async_full", "out_sync", "out_single_channel"])
def test_captured_connect_reply_is_written_byte_for_byte(esl: ModuleType, render: Any, name: str) -> None:
    reply = next(m for m in decode(esl, capture(name)) if "Socket-Mode" in m)
    fields = reply._fields()
    assert [field for field, _ in fields[-4:]] == ["Content-Type", "Reply-Text", "Socket-Mode", "Control"]
    assert render.connect_reply(fields[:-4], mode=reply["Socket-Mode"], control=reply["Control"]) == reply.frame


def test_api_response_frame(esl: ModuleType, render: Any) -> None:
    data = render.api_response(b"+OK \xff\n\n")
    assert data == b"Content-Type: api/response\nContent-Length: 7\n\n+OK \xff\n\n"
    response = one(esl, data, "ApiResponse")
    assert (response.body, response.ok) == (b"+OK \xff\n\n", True)
    assert render.api_response(b"") == b"Content-Type: api/response\nContent-Length: 14\n\n-ERR no reply\n"
    assert render.api_response(b"") in captured_frames("api")
    for message in decode(esl, capture("api")):
        if isinstance(message, esl.ApiResponse):
            assert render.api_response(message.body) == message.frame


def test_log_data_frame(esl: ModuleType, render: Any) -> None:
    data = render.log_data(b"text\n", level=7, file="a.c", function="f", line=12, uuid="u-1", channel=1)
    assert data == (
        b"Content-Type: log/data\nContent-Length: 5\nLog-Level: 7\nText-Channel: 1\nLog-File: a.c\nLog-Func: f\n"
        b"Log-Line: 12\nUser-Data: u-1\n\ntext\n"
    )
    line = one(esl, data, "LogLine")
    assert (line.level, line.file, line.function, line.line, line.uuid, line.text) == (
        7,
        "a.c",
        "f",
        12,
        "u-1",
        "text\n",
    )
    assert one(esl, render.log_data(b"x", level=3, file="a", function="b", line=1), "LogLine").uuid is None


def test_captured_log_lines_are_written_byte_for_byte(esl: ModuleType, render: Any) -> None:
    lines = [message for message in decode(esl, capture("log_only")) if isinstance(message, esl.LogLine)]
    assert len(lines) > 100
    for line in lines:
        written = render.log_data(
            *(line.body,),
            level=int(line["Log-Level"]),
            file=line.file,
            function=line.function,
            line=line.line,
            uuid=line.uuid or "",
            channel=int(line["Text-Channel"]),
        )
        assert written == line.frame


def test_disconnect_notice_frame(esl: ModuleType, render: Any) -> None:
    data = render.disconnect_notice()
    assert data == b"Content-Type: text/disconnect-notice\nContent-Length: 67\n\n" + FAREWELL
    assert data in captured_frames("auth_invalid")
    notice = one(esl, data, "DisconnectNotice")
    assert (notice.final, notice.linger, notice.controlled_uuid, notice.body) == (True, False, None, FAREWELL)
    assert one(esl, render.disconnect_notice(b""), "DisconnectNotice").body == b""
    shutdown = b"The system is being shut down.\n"
    assert one(esl, render.disconnect_notice(shutdown), "DisconnectNotice").text == shutdown.decode()


def test_disconnect_notice_frame_of_a_connection_that_controls_a_channel(esl: ModuleType, render: Any) -> None:
    data = render.disconnect_notice(uuid="u-1")
    assert data == (
        b"Content-Type: text/disconnect-notice\nControlled-Session-UUID: u-1\nContent-Disposition: disconnect\n"
        b"Content-Length: 67\n\n" + FAREWELL
    )
    notice = one(esl, data, "DisconnectNotice")
    assert (notice.final, notice.linger, notice.controlled_uuid) == (True, False, "u-1")


def test_linger_notice_frame(esl: ModuleType, render: Any) -> None:
    data = render.linger_notice("u-1", "loopback/x", -1)
    assert data == (
        b"Content-Type: text/disconnect-notice\nControlled-Session-UUID: u-1\nContent-Disposition: linger\n"
        b"Channel-Name: loopback/x\nLinger-Time: -1\nContent-Length: 0\n\n"
    )
    notice = one(esl, data, "DisconnectNotice")
    assert (notice.final, notice.linger, notice.linger_time, notice.channel_name) == (False, True, -1, "loopback/x")


def test_captured_notices_are_written_byte_for_byte(esl: ModuleType, render: Any) -> None:
    seen = set()
    for name in (
        "outbound_async_full_plain",
        "outbound_async_json_linger2",
        "outbound_async_xml_nolinger",
        "auth_late",
    ):
        for notice in decode(esl, capture(name)):
            if not isinstance(notice, esl.DisconnectNotice):
                continue
            uuid = notice.controlled_uuid
            if notice.linger:
                assert render.linger_notice(uuid, notice.channel_name, notice.linger_time) == notice.frame
            else:
                assert render.disconnect_notice(notice.body, uuid=uuid) == notice.frame
            seen.add((notice.linger, uuid is None))
    assert seen == {(True, False), (False, False), (False, True)}


def test_rude_rejection_frame(esl: ModuleType, render: Any) -> None:
    data = render.rude_rejection()
    assert data == b"Content-Type: text/rude-rejection\nContent-Length: 24\n\nAccess Denied, go away.\n"
    assert data in captured_frames("rude_rejection")
    assert one(esl, data, "RudeRejection").text == "Access Denied, go away.\n"


@pytest.mark.parametrize("format", ["plain", "json", "xml"])
def test_event_frame(esl: ModuleType, render: Any, format: str) -> None:
    payload = render.PAYLOADS[format]([("Event-Name", "DTMF")], b"x\n")
    data = render.event_frame(payload, format)
    assert data == b"Content-Length: %d\nContent-Type: text/event-%b\n\n%b" % (len(payload), format.encode(), payload)
    event = one(esl, data, "Event")
    assert (event.name, event.body, event.payload) == ("DTMF", b"x\n", payload)
    captured = next(m for m in decode(esl, capture(f"special_{format}")) if isinstance(m, esl.Event))
    assert render.event_frame(captured.payload, format) == captured.frame
    assert captured == esl.Event.from_payload(captured.payload, format)
    assert captured.frame == esl.Event.from_payload(captured.payload, format).frame


@pytest.mark.parametrize("name", ["", "A: B", "A: "])
def test_frame_header_name_that_reads_as_something_else_is_refused(esl: ModuleType, render: Any, name: str) -> None:
    with pytest.raises(esl.InvalidCommand, match=r"would be read as something else$"):
        render.command_reply("+OK", [(name, "c")])


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\n\n", "x\ny"])
def test_line_end_in_a_frame_header_is_refused(esl: ModuleType, render: Any, end: str) -> None:
    for write in (
        lambda: render.command_reply("+OK" + end),
        lambda: render.command_reply("+OK", [("Job-UUID", end)]),
        lambda: render.command_reply("+OK", [("Job" + end, "u")]),
        lambda: render.log_data(b"", level=1, file=end, function="f", line=1),
        lambda: render.log_data(b"", level=1, file="f", function=end, line=1),
        lambda: render.log_data(b"", level=1, file="f", function="f", line=1, uuid=end),
        lambda: render.disconnect_notice(uuid=end),
        lambda: render.linger_notice(end, "c", 1),
        lambda: render.linger_notice("u", end, 1),
        lambda: render.event_frame(b"", "plain" + end),
        lambda: render.frame([("A", "1"), (end, "2")]),
    ):
        with pytest.raises(esl.InvalidCommand, match=r"has a line end in it$"):
            write()


def test_frame_is_its_headers_as_they_are_and_its_body(esl: ModuleType, render: Any) -> None:
    assert render.frame([("A", "50% é\udcff"), ("B", "")], b"\n\n") == b"A: 50% \xc3\xa9\xff\nB: \n\n\n\n"
    assert render.frame([]) == b"\n"
    with pytest.raises(esl.InvalidCommand):
        render.frame([("A", "\ud800")])
