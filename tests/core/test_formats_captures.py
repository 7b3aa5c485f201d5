"""The same event in three formats: vectors, captures, and what each loses. What a format loses is in losses.py."""

from __future__ import annotations

import importlib
import json
import re
from functools import cache
from itertools import islice
from types import ModuleType
from typing import Any

import pytest
from formats_support import CAPTURES, a_fifth_of, decode_events, events_of, format_of
from losses import FORMATS, refused, written
from support import DATA, decode_every_way, to_text

VECTORS = json.loads((DATA / "vectors.json").read_text())["vectors"]

# Vectors of kind `recv` with JSON or XML. What is ours on purpose: name -> (fields, body), and the line it follows.

DIFFERENCES = {
    "event_json_non_strings_dropped": (
        "_json.py: numbers, words and nested values are the JSON text that stands there",
        (
            [
                ("Event-Name", "DTMF"),
                ("num", "5"),
                ("t", "true"),
                ("nul", "null"),
                ("obj", '{"a":"b"}'),
                ("mix", ["a", "1", "null", "b"]),
                ("e", []),
            ],
            None,
        ),
    ),
    "event_json_empty_strings": (
        "docs/protocol/reading.md, 9: empty values are kept",
        ([("Event-Name", "DTMF"), ("A", ""), ("arr", ["", "y", ""]), ("dup", "1"), ("dup", "2")], None),
    ),
    "event_json_lone_surrogate_rejected": (
        "_json.py: an escaped surrogate without its partner is U+FFFD",
        ([("u", "\ufffd")], None),
    ),
    "event_json_escaped_nul_truncates": (
        "docs/protocol/reading.md, 11: NUL is a byte",
        ([("u", "a\0b"), ("v", "1")], None),
    ),
    "event_json_top_level_array": ("_json.py: anything but an object is malformed", "malformed"),
    "event_json_body_percent_percent": (
        "docs/protocol/reading.md, 10: the member _body as it is",
        ([("Event-Name", "DTMF")], b"a%%b"),
    ),
    "event_xml_left_raw": ("docs/protocol/reading.md, 14: XML is read", ([("Event-Name", "DTMF")], None)),
}
JSON_AND_XML = [
    vector
    for vector in VECTORS
    if vector["kind"] == "recv" and re.search("text/event-(json|xml)", json.dumps(vector["input"]))
]


def expected(inner: Any) -> Any:
    """What the official library read, in our terms."""
    if inner is None:
        return "malformed"
    fields = [
        (text(name), text(value) if isinstance(value, str) else [text(item) for item in value["array"]])
        for name, value in inner["headers"]
    ]
    body = inner["body"]
    return fields, None if body is None else body.encode("latin-1")


def text(latin1: Any) -> Any:
    return to_text(latin1.encode("latin-1"))


@pytest.mark.parametrize("vector", JSON_AND_XML, ids=lambda vector: vector["name"])
def test_vector_recv_of_json_and_xml(esl: ModuleType, vector: Any) -> None:
    messages = decode_every_way(esl, vector["input"].encode("latin-1"))
    frames = vector["expect"]["frames"]
    assert len(messages) == len(frames)
    for message, frame in zip(messages, frames, strict=True):
        outer = [(text(name), text(value)) for name, value in frame["outer"]["headers"]]
        assert outer[0] == ("Event-Name", "SOCKET_DATA")
        if not isinstance(message, esl.Event):
            assert (message.pairs(), message.body) == (outer[1:], None)
            continue
        assert list(message.envelope.items()) == outer[1:]
        assert message.payload == frame["outer"]["body"].encode("latin-1")
        wanted = expected(frame["event"])
        if vector["name"] in DIFFERENCES:
            _, ours = DIFFERENCES[vector["name"]]
            assert ours != wanted, "no difference: the entry is not needed"
            wanted = ours
        if wanted == "malformed":
            assert message.malformed is not None
            continue
        assert (message._fields(), message.body) == wanted
        for name, value in wanted[0]:
            joined = value if isinstance(value, str) else "ARRAY::" + "|:".join(value) if value[1:] else "".join(value)
            assert (name, joined) in message.pairs()


def test_differences_name_vectors_that_exist() -> None:
    assert set(DIFFERENCES) <= {vector["name"] for vector in JSON_AND_XML}


# The captures


def most_events_of(package: Any, name: Any) -> Any:
    """All events of a capture, of a long one a fifth but in make test-all. Of the twin only the first 150, which is
    slow; that it reads them all as the compiled core does has a test of its own."""
    if package.__impl__ == "c":
        return a_fifth_of(events_of(package, name))
    return list(islice(decode_events(package, name), 150))


def test_captures_hold_events_in_every_format() -> None:
    import eslcodec

    counts = dict.fromkeys(FORMATS, 0)
    for name in CAPTURES:
        for event in events_of(eslcodec, name):
            counts[format_of(event)] += 1
    assert counts["plain"] > 10_000
    assert counts["json"] > 2_500
    assert counts["xml"] > 1_100


@pytest.mark.parametrize("name", CAPTURES)
def test_captured_events_are_read_alike_by_both_cores(both: tuple[ModuleType, ModuleType], name: Any) -> None:
    for ours, theirs in a_fifth_of(list(zip(*(events_of(package, name) for package in both), strict=True))):
        assert ours.malformed is None or format_of(ours) == "xml"
        assert str(ours.malformed) == str(theirs.malformed)
        assert ours._fields() == theirs._fields()
        assert ours.body == theirs.body
        assert list(ours.asdict().items()) == list(theirs.asdict().items())
        assert ours.to_json() == theirs.to_json()
        if not ours.payload.isascii() or "\ufffd".encode() in ours.to_json():
            assert ours.to_json("surrogateescape") == theirs.to_json("surrogateescape")


@pytest.mark.parametrize("name", CAPTURES)
def test_to_json_of_a_captured_event_parses_to_its_to_dict_in_both_error_modes(esl: ModuleType, name: Any) -> None:
    for event in most_events_of(esl, name):
        for errors in ("replace", "surrogateescape"):
            written_json = event.to_json(errors)
            written_json.decode()  # UTF-8
            assert json.loads(written_json) == event.to_dict(errors)
        assert list(json.loads(event.to_json())) == list(event.to_dict())
        assert event.to_json() == event.to_json("replace")


@pytest.mark.parametrize("name", CAPTURES)
def test_captured_event_gives_its_payload_back_byte_for_byte(esl: ModuleType, name: Any) -> None:
    for event in most_events_of(esl, name):
        assert event.serialize(format_of(event)) == event.payload


@pytest.mark.parametrize("name", CAPTURES)
def test_captured_plain_event_rebuilt_by_the_servers_writer_is_its_payload_byte_for_byte(
    esl: ModuleType, name: Any
) -> None:
    """Not a copy: through `_fields` and `render.plain(server=True)`. But `%41`, which the server left alone, is `A` to
    every reader (docs/protocol/observed.md, 7)."""
    render = importlib.import_module(f"{esl.__name__}.render")
    events = [event for event in most_events_of(esl, name) if format_of(event) == "plain"]
    for event in events[:: 1 + len(events) // 200]:
        again = render.plain(event._fields(), event.body, server=True)
        sent = re.sub(rb"%[0-9A-F]{2}", lambda coded: render.quote_server(esl.unquote(coded[0])), event.raw)
        assert again == sent + (event.body or b"")


@pytest.mark.parametrize("name", [name for name in CAPTURES if "json" in name])
def test_to_json_of_a_captured_json_event_parses_to_the_effective_pairs_and_has_unique_members(
    esl: ModuleType, name: Any
) -> None:
    """Unique: a parser that keeps the last of a repeated member would be wrong about the payload, not about this."""
    repeats = 0
    for event in most_events_of(esl, name):
        if format_of(event) != "json":
            continue
        members = json.loads(event.to_json("surrogateescape"), object_pairs_hook=list)
        own = json.loads(to_text(event.payload), object_pairs_hook=list)
        spellings = [member for member, _ in own]
        if len(set(spellings)) == len(spellings):
            assert [tuple(member) for member in members] == [tuple(member) for member in own]
        else:
            repeats += 1
            assert len({member for member, _ in members}) == len(members)
            headers = {member: value for member, value in members if member != "_body"}
            for member, value in headers.items():
                assert value == [v for m, v in own if m == member][-1 if member == "Event-Name" else 0]
            assert list(headers) == list(dict.fromkeys(member for member in spellings if member != "_body"))
            assert dict(members).get("_body") == next((v for m, v in own if m == "_body"), None)
    assert repeats > 0 or name not in ("special_json", "sip_json")


@pytest.mark.parametrize(
    "name", [name for name in CAPTURES if not name.startswith(("churn", "sip", "slow", "shutdown"))]
)
def test_captured_event_written_in_every_format_loses_what_losses_py_says(esl: ModuleType, name: Any) -> None:
    for event in most_events_of(esl, name):
        fields, body = event._fields(), event.body
        for format in FORMATS:
            if format == format_of(event):
                continue
            if event.malformed is not None:
                with pytest.raises(esl.MalformedPayload):
                    event.serialize(format)
            elif refused(fields, body, format):
                with pytest.raises(esl.InvalidCommand):
                    event.serialize(format)
            else:
                again = esl.Event.from_payload(event.serialize(format), format)
                assert (again._fields(), again.body) == written(fields, body, format)


# The same event in three formats. The captures are of different runs: what differs from run to run is masked.

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
RUN = re.compile(r"[0-9A-Za-z]*[0-9][0-9A-Za-z]*")  # numbers, and identifiers with digits in them
WEEKDAY = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), 0 \w+")


def masked(value: Any) -> Any:
    return masked_text(value) if isinstance(value, str) else tuple(masked_text(item) for item in value)


@cache
def masked_text(value: Any) -> Any:
    return WEEKDAY.sub("day", RUN.sub("0", UUID.sub("0", value)))


def masked_event(fields: Any, body: Any) -> Any:
    return tuple((name, masked(value)) for name, value in fields), None if body is None else masked(to_text(body))


def as_the_server_encodes_it(esl: ModuleType, value: Any) -> Any:
    """What is left of a value after the server's percent coding: `%XX` that it left alone is decoded by everybody."""
    if isinstance(value, list):
        return [as_the_server_encodes_it(esl, item) for item in value]
    if "%" not in value:
        return value
    render = importlib.import_module(f"{esl.__name__}.render")
    return to_text(esl.unquote(render.quote_server(value.encode("utf-8", "surrogateescape"))))


def in_format(esl: ModuleType, event: Any, format: Any) -> Any:
    """A JSON event, which loses nothing, as the server would have sent it in another format."""
    fields = [(name, as_the_server_encodes_it(esl, value)) for name, value in event._fields()]
    return masked_event(*written(fields, event.body, format))


def test_special_events_are_the_same_in_three_formats(esl: ModuleType) -> None:
    """All 85 of the JSON run that both other runs have (a heartbeat and its two schedules fell into it)."""
    by_format = {
        format: {masked_event(event._fields(), event.body) for event in events_of(esl, f"special_{format}")}
        for format in ("plain", "xml")
    }
    odd = []
    for event in events_of(esl, "special_json"):
        for format, others in by_format.items():
            if in_format(esl, event, format) not in others:
                odd.append((format, event.name))
    assert sorted(odd) == sorted(
        (format, name) for format in ("plain", "xml") for name in ("HEARTBEAT", "RE_SCHEDULE", "RE_SCHEDULE")
    )
    assert len(by_format["plain"]) == len(by_format["xml"]) == 85
    assert len(events_of(esl, "special_json")) == 88


@pytest.mark.parametrize(
    ("name", "format", "least"),
    [("sip", "plain", 440), ("sip", "xml", 600), ("churn", "plain", 1500), ("churn", "xml", 1500)],
)
def test_captured_stream_has_the_same_events_in_three_formats(name: str, format: str, least: int) -> None:
    """Of 785 (sip) and 1656 (churn) JSON events so many are found, whole, in the other run. On the core that is
    imported: that both read all of it alike has a test of its own."""
    import eslcodec as esl

    others = {masked_event(event._fields(), event.body) for event in events_of(esl, f"{name}_{format}")}
    found = [e for e in events_of(esl, f"{name}_json") if in_format(esl, e, format) in others]
    assert len(found) >= least
    assert len({event.name for event in found}) >= 12


# Each loss of docs/protocol/reading.md, 13


def the(esl: ModuleType, format: Any, name: Any, **wanted: Any) -> Any:
    """The event of that name among the special ones."""
    (found,) = [
        event
        for event in events_of(esl, f"special_{format}")
        if event.name == name and all(event.get(key.replace("_", "-")) == value for key, value in wanted.items())
    ]
    return found


def test_loss_percent_xx_that_the_server_left_alone(esl: ModuleType) -> None:
    events = {format: the(esl, format, "CUSTOM", Event_Subclass="eslcodec::test") for format in FORMATS}
    assert events["json"]["variable_pct"] == "100% of 50%25 and %41%zz"
    for format in ("plain", "xml"):
        assert events[format]["variable_pct"] == "100% of 50% and A%zz"
    for name in ("utf8", "colon", "quote", "plus", "trail", "arr", "one"):
        values = {event[f"variable_{name}"] for event in events.values()}
        assert len(values) == 1, name
    assert events["json"]["variable_utf8"] == "你好\uff0c世界 ñandú 😀"
    assert events["xml"]["variable_quote"] == 'it\'s "quoted" <tag> & amp'
    assert events["plain"]["variable_trail"] == "ends with space "
    for event in events.values():
        assert event.getlist("variable_arr") == ["first", "second value", "third", "odd"]
        assert event.getlist("variable_one") == ["only"]


def test_no_loss_of_a_body_with_markup_percent_signs_and_utf8(esl: ModuleType) -> None:
    for format in FORMATS:
        event = the(esl, format, "NOTIFY")
        assert event.body == "hello\nworld <&> 50% é".encode()
        assert (event["Content-Length"], event["content-length"]) == ("22", "22")
        assert event["x-pct"] == ("100%25 %" if format == "json" else "100% %")


def test_no_loss_of_a_large_body(esl: ModuleType) -> None:
    bodies = {the(esl, format, "BACKGROUND_JOB", Job_Command="help").body for format in FORMATS}
    (body,) = bodies
    assert len(body) > 10_000
    assert body.endswith(b"\n")


def test_loss_neighbours_of_one_name_are_an_array_in_xml(esl: ModuleType) -> None:
    events = {format: the(esl, format, "CUSTOM", Event_Subclass="a::b") for format in FORMATS}
    assert events["plain"].pairs()[2:4] == events["json"].pairs()[2:4] == [("k", "v1"), ("k", "v2")]
    assert events["xml"].pairs()[2] == ("k", "ARRAY::v1|:v2")
    for event in events.values():
        assert event.getlist("k") == ["v1", "v2"]
        assert (event.getlist("Arr"), event["Arr"], "empty" in event) == (["x", "y"], "ARRAY::x|:y", False)


def test_loss_array_of_one_is_text_in_plain_and_xml(esl: ModuleType) -> None:
    event = esl.Event.from_payload(b'{"A":["x"],"B":["x","y"]}', "json")
    assert event._fields() == [("A", ["x"]), ("B", ["x", "y"])]
    for format in ("plain", "xml"):
        again = esl.Event.from_payload(event.serialize(format), format)
        assert again._fields() == [("A", "x"), ("B", ["x", "y"])]
        assert again.pairs() == event.pairs()
        assert again.getlist("A") == event.getlist("A") == ["x"]


def test_loss_empty_body_is_absent_in_plain_and_xml(esl: ModuleType) -> None:
    event = esl.Event.from_payload(b'{"A":"1","Content-Length":"0","_body":""}', "json")
    assert event.body == b""
    for format in ("plain", "xml"):
        again = esl.Event.from_payload(event.serialize(format), format)
        assert (again.body, again.pairs()) == (None, [("A", "1")])


def test_loss_where_content_length_stands(esl: ModuleType) -> None:
    event = esl.Event.from_payload(b"Content-Length: 4\nA: 1\n\nbody", "plain")
    for format in ("json", "xml"):
        again = esl.Event.from_payload(event.serialize(format), format)
        assert again.pairs() == [("Content-Length", "4"), ("A", "1"), ("Content-Length", "4")]
        assert again.body == b"body"
    event = esl.Event.from_payload(b'{"_body":"body"}', "json")
    assert event.pairs() == []
    assert esl.Event.from_payload(event.serialize("plain"), "plain").pairs() == [("Content-Length", "4")]


def test_loss_bodies_that_are_not_utf8_in_xml(esl: ModuleType) -> None:
    event = esl.Event.from_payload(b"A: %FF\n\na\xffb", "plain")
    assert esl.Event.from_payload(event.serialize("json"), "json").body == b"a\xffb"
    again = esl.Event.from_payload(event.serialize("xml"), "xml")
    assert (again["A"], again.body, again["Content-Length"]) == ("\udcff", b"ab", "2")


def test_header_named_body_cannot_be_written_in_json(esl: ModuleType) -> None:
    event = esl.Event.from_payload(b"A: 1\n_BODY: x\n\n", "plain")
    with pytest.raises(esl.InvalidCommand, match=r"^header name '_BODY' cannot be written in JSON"):
        event.serialize("json")
