"""The same event in three formats: vectors, captures, round trips, and what each loses.

(The table for plain events and other frames is in test_headers.py.) What a format loses is in losses.py.
"""

from __future__ import annotations

import importlib
import json
import pickle
import random
import re
from functools import cache, lru_cache
from itertools import islice

import pytest
import support
from hypothesis import example, given
from hypothesis import strategies as st
from losses import FORMATS, refused, written
from sizes import FULL
from support import DATA, OK, capture, decode, decode_every_way, naive_dict, to_text

VECTORS = json.loads((DATA / "vectors.json").read_text())["vectors"]
CAPTURES = sorted(path.name.partition(".")[0] for path in (DATA / "captures").glob("*.esl*"))


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


def expected(inner):
    """What the official library read, in our terms."""
    if inner is None:
        return "malformed"
    fields = [
        (text(name), text(value) if isinstance(value, str) else [text(item) for item in value["array"]])
        for name, value in inner["headers"]
    ]
    body = inner["body"]
    return fields, None if body is None else body.encode("latin-1")


def text(latin1):
    return to_text(latin1.encode("latin-1"))


@pytest.mark.parametrize("vector", JSON_AND_XML, ids=lambda vector: vector["name"])
def test_vector_recv_of_json_and_xml(esl, vector):
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


def test_differences_name_vectors_that_exist():
    assert set(DIFFERENCES) <= {vector["name"] for vector in JSON_AND_XML}


# The captures


@lru_cache(maxsize=9)
def events_of(package, name):
    return list(decode_events(package, name))


def decode_events(package, name):
    decoder = package.Decoder()
    decoder.feed(capture(name))
    return (message for message in decoder if isinstance(message, package.Event))


def most_events_of(package, name):
    """All events of a capture, of a long one a fifth but in make test-all. Of the twin only the first 150, which is
    slow; that it reads them all as the compiled core does has a test of its own."""
    if package.__impl__ == "c":
        return a_fifth_of(events_of(package, name))
    return list(islice(decode_events(package, name), 150))


def a_fifth_of(events):
    return events if FULL or len(events) < 500 else events[::5]


def format_of(event):
    return event.content_type.rpartition("-")[2]


def test_captures_hold_events_in_every_format():
    import eslcodec

    counts = dict.fromkeys(FORMATS, 0)
    for name in CAPTURES:
        for event in events_of(eslcodec, name):
            counts[format_of(event)] += 1
    assert counts["plain"] > 10_000
    assert counts["json"] > 2_500
    assert counts["xml"] > 1_100


@pytest.mark.parametrize("name", CAPTURES)
def test_captured_events_are_read_alike_by_both_cores(both, name):
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
def test_to_json_of_a_captured_event_parses_to_its_to_dict_in_both_error_modes(esl, name):
    for event in most_events_of(esl, name):
        for errors in ("replace", "surrogateescape"):
            written_json = event.to_json(errors)
            written_json.decode()  # UTF-8
            assert json.loads(written_json) == event.to_dict(errors)
        assert list(json.loads(event.to_json())) == list(event.to_dict())
        assert event.to_json() == event.to_json("replace")


@pytest.mark.parametrize("name", CAPTURES)
def test_captured_event_gives_its_payload_back_byte_for_byte(esl, name):
    for event in most_events_of(esl, name):
        assert event.serialize(format_of(event)) == event.payload


@pytest.mark.parametrize("name", CAPTURES)
def test_captured_plain_event_rebuilt_by_the_servers_writer_is_its_payload_byte_for_byte(esl, name):
    """Not a copy: through `_fields` and `render.plain(server=True)`. But `%41`, which the server left alone, is `A` to
    every reader (docs/protocol/observed.md, 7)."""
    render = importlib.import_module(f"{esl.__name__}.render")
    events = [event for event in most_events_of(esl, name) if format_of(event) == "plain"]
    for event in events[:: 1 + len(events) // 200]:
        again = render.plain(event._fields(), event.body, server=True)
        sent = re.sub(rb"%[0-9A-F]{2}", lambda coded: render.quote_server(esl.unquote(coded[0])), event.raw)
        assert again == sent + (event.body or b"")


@pytest.mark.parametrize("name", [name for name in CAPTURES if "json" in name])
def test_to_json_of_a_captured_json_event_parses_to_the_effective_pairs_and_has_unique_members(esl, name):
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
def test_captured_event_written_in_every_format_loses_what_losses_py_says(esl, name):
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


def masked(value):
    return masked_text(value) if isinstance(value, str) else tuple(masked_text(item) for item in value)


@cache
def masked_text(value):
    return WEEKDAY.sub("day", RUN.sub("0", UUID.sub("0", value)))


def masked_event(fields, body):
    return tuple((name, masked(value)) for name, value in fields), None if body is None else masked(to_text(body))


def as_the_server_encodes_it(esl, value):
    """What is left of a value after the server's percent coding: `%XX` that it left alone is decoded by everybody."""
    if isinstance(value, list):
        return [as_the_server_encodes_it(esl, item) for item in value]
    if "%" not in value:
        return value
    render = importlib.import_module(f"{esl.__name__}.render")
    return to_text(esl.unquote(render.quote_server(value.encode("utf-8", "surrogateescape"))))


def in_format(esl, event, format):
    """A JSON event, which loses nothing, as the server would have sent it in another format."""
    fields = [(name, as_the_server_encodes_it(esl, value)) for name, value in event._fields()]
    return masked_event(*written(fields, event.body, format))


def test_special_events_are_the_same_in_three_formats(esl):
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
def test_captured_stream_has_the_same_events_in_three_formats(name, format, least):
    """Of 785 (sip) and 1656 (churn) JSON events so many are found, whole, in the other run. On the core that is
    imported: that both read all of it alike has a test of its own."""
    import eslcodec as esl

    others = {masked_event(event._fields(), event.body) for event in events_of(esl, f"{name}_{format}")}
    found = [e for e in events_of(esl, f"{name}_json") if in_format(esl, e, format) in others]
    assert len(found) >= least
    assert len({event.name for event in found}) >= 12


# Each loss of docs/protocol/reading.md, 13


def the(esl, format, name, **wanted):
    """The event of that name among the special ones."""
    (found,) = [
        event
        for event in events_of(esl, f"special_{format}")
        if event.name == name and all(event.get(key.replace("_", "-")) == value for key, value in wanted.items())
    ]
    return found


def test_loss_percent_xx_that_the_server_left_alone(esl):
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


def test_no_loss_of_a_body_with_markup_percent_signs_and_utf8(esl):
    for format in FORMATS:
        event = the(esl, format, "NOTIFY")
        assert event.body == "hello\nworld <&> 50% é".encode()
        assert (event["Content-Length"], event["content-length"]) == ("22", "22")
        assert event["x-pct"] == ("100%25 %" if format == "json" else "100% %")


def test_no_loss_of_a_large_body(esl):
    bodies = {the(esl, format, "BACKGROUND_JOB", Job_Command="help").body for format in FORMATS}
    (body,) = bodies
    assert len(body) > 10_000
    assert body.endswith(b"\n")


def test_loss_neighbours_of_one_name_are_an_array_in_xml(esl):
    events = {format: the(esl, format, "CUSTOM", Event_Subclass="a::b") for format in FORMATS}
    assert events["plain"].pairs()[2:4] == events["json"].pairs()[2:4] == [("k", "v1"), ("k", "v2")]
    assert events["xml"].pairs()[2] == ("k", "ARRAY::v1|:v2")
    for event in events.values():
        assert event.getlist("k") == ["v1", "v2"]
        assert (event.getlist("Arr"), event["Arr"], "empty" in event) == (["x", "y"], "ARRAY::x|:y", False)


def test_loss_array_of_one_is_text_in_plain_and_xml(esl):
    event = esl.Event.from_payload(b'{"A":["x"],"B":["x","y"]}', "json")
    assert event._fields() == [("A", ["x"]), ("B", ["x", "y"])]
    for format in ("plain", "xml"):
        again = esl.Event.from_payload(event.serialize(format), format)
        assert again._fields() == [("A", "x"), ("B", ["x", "y"])]
        assert again.pairs() == event.pairs()
        assert again.getlist("A") == event.getlist("A") == ["x"]


def test_loss_empty_body_is_absent_in_plain_and_xml(esl):
    event = esl.Event.from_payload(b'{"A":"1","Content-Length":"0","_body":""}', "json")
    assert event.body == b""
    for format in ("plain", "xml"):
        again = esl.Event.from_payload(event.serialize(format), format)
        assert (again.body, again.pairs()) == (None, [("A", "1")])


def test_loss_where_content_length_stands(esl):
    event = esl.Event.from_payload(b"Content-Length: 4\nA: 1\n\nbody", "plain")
    for format in ("json", "xml"):
        again = esl.Event.from_payload(event.serialize(format), format)
        assert again.pairs() == [("Content-Length", "4"), ("A", "1"), ("Content-Length", "4")]
        assert again.body == b"body"
    event = esl.Event.from_payload(b'{"_body":"body"}', "json")
    assert event.pairs() == []
    assert esl.Event.from_payload(event.serialize("plain"), "plain").pairs() == [("Content-Length", "4")]


def test_loss_bodies_that_are_not_utf8_in_xml(esl):
    event = esl.Event.from_payload(b"A: %FF\n\na\xffb", "plain")
    assert esl.Event.from_payload(event.serialize("json"), "json").body == b"a\xffb"
    again = esl.Event.from_payload(event.serialize("xml"), "xml")
    assert (again["A"], again.body, again["Content-Length"]) == ("\udcff", b"ab", "2")


def test_header_named_body_cannot_be_written_in_json(esl):
    event = esl.Event.from_payload(b"A: 1\n_BODY: x\n\n", "plain")
    with pytest.raises(esl.InvalidCommand, match=r"^header name '_BODY' cannot be written in JSON"):
        event.serialize("json")


# Any event, written and read back

BYTES = st.one_of(
    st.binary(max_size=6),
    st.text(max_size=6).map(str.encode),
    st.lists(
        st.sampled_from(
            [b"a", b" ", b":", b"%41", b"%", b"|:", b"ARRAY::", b"\n", b"\r", b'"', b"\\", b"<", b"&", b"\xff"]
        ),
        max_size=5,
    ).map(b"".join),
)
TEXT = BYTES.map(to_text)
ODD_NAMES = st.sampled_from(
    [
        "A",
        "a",
        "A",
        "Event-Name",
        "event-name",
        "Content-Length",
        "_body",
        "_BODY",
        "",
        "a b",
        "a:b",
        "a: b",
        "x:",
        "é",
        "1",
    ]
)
NAMES = ODD_NAMES | TEXT
TAME_NAMES = st.sampled_from(["A", "a", "B", "Event-Name", "Content-Length", "variable_x", "é", "a:b"])
VALUES = TEXT.filter(lambda value: not value.startswith("ARRAY::")) | st.lists(TEXT, max_size=4)
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=7) | st.lists(st.tuples(TAME_NAMES, VALUES), max_size=7)
BODIES = st.none() | BYTES


@given(fields=FIELDS, body=BODIES, format=st.sampled_from(FORMATS))
@example(fields=[("A", ["x"]), ("A", "y"), ("Content-Length", "1")], body=b"z", format="xml")
@example(fields=[("A", ["ARRAY::x|:y"])], body=None, format="plain")
@example(fields=[("A", ["ARRAY::"])], body=None, format="plain")
@example(fields=[("A", ["x|", ":y"])], body=b"\xff", format="xml")
@example(fields=[("_body", "x"), ("Event-Name", "Y")], body=b"real", format="json")
def test_any_event_is_read_back_as_losses_py_says_unless_it_is_refused(both, fields, body, format):
    for package in both:
        render = importlib.import_module(f"{package.__name__}.render")
        if refused(fields, body, format):
            with pytest.raises(package.InvalidCommand):
                render.PAYLOADS[format](fields, body)
            continue
        payload = render.PAYLOADS[format](fields, body)
        event = package.Event.from_payload(payload, format)
        assert event.malformed is None
        wanted = written(fields, body, format)
        assert (event._fields(), event.body) == wanted
        # Once read, nothing more is lost: written again it is the same, but for the text `ARRAY::x` of an array of one.
        arrays_of_one = any(not isinstance(value, str) and len(value) == 1 for _, value in wanted[0])
        if not refused(*wanted, format) and wanted[1] != b"" and not arrays_of_one:
            assert render.PAYLOADS[format](*wanted) == payload or format == "json"


@given(fields=FIELDS, body=BODIES, source=st.sampled_from(FORMATS), order=st.randoms(use_true_random=False))
def test_any_event_is_shown_alike_by_both_cores_in_any_order(both, fields, body, source, order):
    if refused(fields, body, source):
        return
    render = importlib.import_module(f"{both[1].__name__}.render")
    payload = render.PAYLOADS[source](fields, body)
    ours, theirs = (package.Event.from_payload(payload, source) for package in both)
    pairs = theirs.pairs()
    eager = naive_dict(pairs)
    names = [name for name, _ in pairs]
    asked = [*names, *map(str.swapcase, names), "absent", "_body", "Event-Name", "EVENT-NAME"]
    order.shuffle(asked)
    for name in asked:
        assert ours.get(name) == theirs.get(name)
        assert ours.getlist(name) == theirs.getlist(name)
        assert name not in eager or ours.get(name) == eager[name]
    assert ours.pairs() == pairs
    assert list(ours.asdict().items()) == list(theirs.asdict().items()) == list(eager.items())
    assert ours._fields() == theirs._fields()
    for errors in ("replace", "surrogateescape"):
        assert ours.to_dict(errors) == theirs.to_dict(errors) == json.loads(ours.to_json(errors))
        assert ours.to_json(errors) == theirs.to_json(errors)
        ours.to_json(errors).decode()
    for format in FORMATS:
        assert outcome(ours, format) == outcome(theirs, format)


def outcome(event, format):
    """What `serialize` gives or, where it refuses, says."""
    error = None
    try:
        return event.serialize(format)
    except Exception as caught:
        error = caught
    assert type(error).__name__ == "InvalidCommand"
    return str(error)


@given(
    shapes=st.lists(
        st.lists(st.tuples(TAME_NAMES, st.lists(BYTES, max_size=3)), min_size=1, max_size=5), min_size=1, max_size=3
    ),
    seed=st.integers(0, 2**32),
    body=BODIES,
)
def test_to_json_of_events_of_one_decoder_does_not_depend_on_those_before(both, shapes, seed, body):
    """Events with the same names in the same order: the compiled core writes what differs from an earlier one."""
    rng = random.Random(seed)
    payloads = []
    for _ in range(6):
        shape = rng.choice(shapes)
        lines = [f"{name}: ".encode() + rng.choice(values or [b"x"]).replace(b"\n", b"%0A") for name, values in shape]
        payloads.append(b"\n".join(lines) + rng.choice([b"", b"\n", b"\n\n", b"\n\n" + (body or b""), b"\r\n\r\nb"]))
    data = b"".join(b"Content-Length: %d\nContent-Type: text/event-plain\n\n%b" % (len(p), p) for p in payloads)
    ours, theirs = (decode(package, data) for package in both)
    for at, payload in enumerate(payloads):
        alone = both[1].Event.from_payload(payload, "plain")
        for errors in ("replace", "surrogateescape"):
            assert ours[at].to_json(errors) == theirs[at].to_json(errors) == alone.to_json(errors)
            assert json.loads(ours[at].to_json(errors)) == alone.to_dict(errors)
        assert ours[at].asdict() == alone.asdict()


# to_dict and to_json


def test_to_dict_has_the_shape_of_the_servers_json(esl):
    fields = b"A: 1\nEvent-Name: P\nArr: ARRAY%3A%3Ax%7C%3Ay\nA: 2\nEvent-Name: Q\nE: \nContent-Length: 2\n\n\xc3\xa9"
    wanted = {"A": "1", "Event-Name": "Q", "Arr": ["x", "y"], "E": "", "Content-Length": "2", "_body": "é"}
    event = esl.Event.from_payload(fields, "plain")
    assert event.to_dict() == wanted
    assert list(event.to_dict()) == list(wanted)
    assert event.to_json() == (
        b'{"A":"1","Event-Name":"Q","Arr":["x","y"],"E":"","Content-Length":"2","_body":"\xc3\xa9"}'
    )
    for format in ("json", "xml"):
        again = esl.Event.from_payload(event.serialize(format), format)
        assert again.to_dict() == wanted
        assert again.to_json() == event.to_json()


@pytest.mark.parametrize(
    ("format", "payload"),
    [
        ("plain", b"A%FF: %FF%C3%A9\nB\xfe: ARRAY::\xff|:x\n\n\xff\n"),
        ("json", b'{"A%FF":"\xff\xc3\xa9","B\xfe":["\xff","x"],"_body":"\xff\\n"}'),
    ],
)
def test_bytes_that_are_not_utf8_are_replaced_or_written_as_escaped_surrogates(esl, format, payload):
    event = esl.Event.from_payload(payload, format)
    assert event.to_dict() == {"A%FF": "\ufffdé", "B\ufffd": ["\ufffd", "x"], "_body": "\ufffd\n"}
    assert event.to_json() == '{"A%FF":"\ufffdé","B\ufffd":["\ufffd","x"],"_body":"\ufffd\\n"}'.encode()
    kept = {"A%FF": "\udcffé", "B\udcfe": ["\udcff", "x"], "_body": "\udcff\n"}
    assert event.to_dict("surrogateescape") == event.to_dict(errors="surrogateescape") == kept
    assert event.to_json("surrogateescape") == (
        '{"A%FF":"\\udcffé","B\\udcfe":["\\udcff","x"],"_body":"\\udcff\\n"}'.encode()
    )
    assert json.loads(event.to_json(errors="surrogateescape")) == kept


@pytest.mark.parametrize("errors", ["strict", "ignore", "", None])
def test_other_error_modes_are_refused(esl, errors):
    event = esl.Event.build("DTMF")
    for write in (event.to_dict, event.to_json):
        with pytest.raises(ValueError, match=r"^errors is .*, expected 'replace' or 'surrogateescape'$"):
            write(errors)


def test_names_that_become_one_by_replacing_are_one(esl):
    event = esl.Event.from_payload(b"A\xff: 1\nA\xfe: 2\n\n", "plain")
    assert event.to_dict() == json.loads(event.to_json()) == {"A\ufffd": "1"}
    assert len(event.to_dict("surrogateescape")) == 2


@pytest.mark.parametrize("wrong", ["PLAIN", "yaml", "", None])
def test_writing_in_an_unknown_format_is_refused(esl, wrong):
    with pytest.raises(ValueError, match=r"^format is .*, expected 'plain', 'json' or 'xml'$"):
        esl.Event.build("DTMF").serialize(wrong)


# docs/protocol/reading.md, 1 to 16, for JSON and XML


def payload_of(format, fields, body=None):
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


def framed(format, payload):
    return b"Content-Length: %d\nContent-Type: text/event-%b\n\n%b" % (len(payload), format.encode(), payload)


def event(esl, format, *fields, body=None):
    (message,) = decode_every_way(esl, framed(format, payload_of(format, fields, body)))
    return message


JSON_XML = pytest.mark.parametrize("format", ["json", "xml"])


@JSON_XML
def test_row_lines_have_no_meaning_in_a_value(esl, format):
    assert event(esl, format, (b"A", b"B: 2"), (b"C", b" x: y ")).asdict() == {"A": "B: 2", "C": " x: y "}


@pytest.mark.parametrize(("format", "value"), [("json", "a%20b%3A%C3%A9+"), ("xml", "a b:é+")])
def test_row_values_are_percent_decoded_in_xml_only(esl, format, value):
    message = event(esl, format, (b"A", b"a%20b%3A%C3%A9+"))
    assert message["A"] == value
    assert message.asdict() == {"A": value}
    assert message.pairs() == [("A", value)]
    assert message.getlist("A") == [value]
    assert message.select("a") == (value,)


@JSON_XML
def test_row_envelope_is_never_percent_decoded(esl, format):
    payload = payload_of(format, [(b"X", b"1")])
    head = b"X: %41\nContent-Length: " + b"%d\nContent-Type: text/event-" % len(payload) + format.encode()
    (message,) = decode_every_way(esl, head + b"\n\n" + payload)
    assert message.envelope["X"] == "%41"
    assert message["X"] == "1"
    assert (message.get("Content-Type"), message.content_type) == (None, f"text/event-{format}")


@pytest.mark.parametrize(("format", "raw"), [("json", b"\xff \xc3\xa9"), ("xml", b"%FF%20%C3%A9")])
def test_row_text_is_utf8_and_no_byte_is_lost(esl, format, raw):
    message = event(esl, format, ("Né".encode(), raw))
    assert message.pairs() == [("Né", "\udcff é")]
    assert message["Né"] == "\udcff é"
    assert message.to_json() == '{"Né":"\ufffd é"}'.encode()
    assert message.to_json("surrogateescape") == '{"Né":"\\udcff é"}'.encode()


@JSON_XML
def test_row_names_as_keys_are_the_distinct_exact_spellings_in_order_of_first_appearance(esl, format):
    message = event(esl, format, *((name, b"%d" % at) for at, name in enumerate([b"B", b"a", b"A", b"B", b"a", b"C"])))
    wanted = {"B": "0", "a": "1", "A": "2", "C": "5"}
    assert list(message) == list(message.keys()) == list(wanted)
    assert len(message) == 4
    assert list(message.asdict().items()) == list(message.items()) == list(wanted.items())
    assert list(message.values()) == list(wanted.values())
    assert dict(message) == wanted


@JSON_XML
def test_row_look_up_takes_the_exact_spelling_else_the_first_that_matches_ignoring_ascii_case(esl, format):
    message = event(esl, format, (b"unique-id", b"1"), (b"Unique-ID", b"2"), ("É".encode(), b"3"))
    assert (message["Unique-ID"], message["unique-id"], message["UNIQUE-id"], message.uuid) == ("2", "1", "1", "2")
    assert (message.get("é"), "é" in message, message["É"]) == (None, False, "3")
    assert message.select("UNIQUE-ID", "é", "É", "Unique-ID") == ("1", None, "3", "2")
    assert message.getlist("UNIQUE-ID") == ["1"]
    with pytest.raises(KeyError, match=r"^'absent'$"):
        message["absent"]
    assert (message.get("absent", "x"), message.get(None), None in message) == ("x", None, False)


@JSON_XML
def test_row_first_of_a_repeated_spelling_counts_and_all_are_kept(esl, format):
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
def test_row_last_of_several_event_names_counts(esl, format, first):
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


def own(event):
    return event.name, event.sequence, event.timestamp and event.timestamp.timestamp(), event.id


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("first", [None, "asdict", "pairs", "to_dict", "to_json", "__len__", "body", "absent"])
@pytest.mark.parametrize("body", [None, b"Event-Name: B\nEvent-Sequence: 9\nCore-UUID: b\n"])
def test_row_of_two_heads_the_last_is_the_switchs_own(esl, format, first, body):
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


def test_of_two_heads_of_an_event_of_our_own_the_last_counts(esl):
    head = [("Core-UUID", "old"), ("Event-Sequence", 7), ("Core-UUID", "new"), ("Event-Sequence", 525)]
    built = esl.Event.build("DTMF", head)
    assert (built.id, built.sequence, built["Core-UUID"]) == ("new:525", 525, "old")
    assert pickle.loads(pickle.dumps(built)).id == "new:525"
    assert esl.JobResult.of(built).id == "new:525"


@pytest.mark.parametrize("format", FORMATS)
def test_names_of_two_heads_side_by_side_are_no_array(esl, format):
    names = (b"Event-Name", b"Core-UUID", b"Event-Date-Timestamp", b"Event-Sequence")
    fields = [(name, value) for name in names for value in (b"1", b"2")]
    message = event(esl, format, *fields)
    assert message.pairs() == [(name.decode(), value.decode()) for name, value in fields]
    assert own(message) == ("2", 2, 0.000002, "2:2")
    assert message["Event-Sequence"] == "1"


@pytest.mark.parametrize("format", FORMATS)
def test_the_last_of_a_name_is_of_the_spelling_that_a_look_up_takes(esl, format):
    lower = [(name.lower(), value) for name, value in [*OWN_HEAD, *SENDERS_HEAD]]
    assert event(esl, format, *lower).id == "old:7"
    assert event(esl, format, *lower, *OWN_HEAD, *lower).id == "new:525"
    assert event(esl, format, *SENDERS_HEAD, *lower).id == "old:7"


@pytest.mark.parametrize("format", FORMATS)
def test_id_is_none_without_both_of_its_parts(esl, format):
    assert event(esl, format, (b"A", b"1"), (b"Event-Sequence", b"7")).id is None
    assert event(esl, format, (b"A", b"1"), (b"Core-UUID", b"c")).id is None
    assert event(esl, format, (b"A", b"1")).id is None
    assert event(esl, format, (b"Event-Sequence", b"x"), (b"Core-UUID", b"c")).id == "c:x"
    assert event(esl, format, (b"Event-Sequence", b"x"), (b"Core-UUID", b"c")).sequence is None


def test_the_last_of_a_name_in_odd_lines(esl):
    def sequence_of(payload):
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


def test_the_last_of_a_name_in_json_with_escapes(esl):
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
def test_row_array_is_one_pair_of_joined_text_and_items_in_lists(esl, format, payload):
    (message,) = decode_every_way(esl, framed(format, payload))
    assert message.pairs() == [("A", "ARRAY::x|:y"), ("B", "1")]
    assert message["A"] == message["a"] == message.asdict()["A"] == "ARRAY::x|:y"
    assert message.getlist("A") == message.getlist("a") == ["x", "y"]
    assert message.to_dict() == {"A": ["x", "y"], "B": "1"}
    assert message.to_json() == b'{"A":["x","y"],"B":"1"}'


@JSON_XML
def test_row_empty_values_and_undef_are_kept(esl, format):
    message = event(esl, format, (b"A", b""), (b"B", b"_undef_"), (b"C", b" "))
    assert message.asdict() == {"A": "", "B": "_undef_", "C": " "}
    assert message.select("A", "B", "C") == ("", "_undef_", " ")
    assert ("A" in message, message.get("A", "x"), message.getlist("A")) == (True, "", [""])


@JSON_XML
def test_row_body_is_what_its_member_or_element_holds(esl, format):
    message = event(esl, format, (b"A", b"1"), body=b"hello %41: x")
    assert (message.body, message.text) == (b"hello %41: x", "hello %41: x")
    assert message.pairs() == [("A", "1"), ("Content-Length", "12")]
    assert event(esl, format, (b"A", b"1")).body is None
    assert event(esl, format, (b"A", b"1")).text == ""
    assert event(esl, format, body=b"").body == b""


@JSON_XML
def test_row_content_length_of_the_frame_frames_and_that_of_the_payload_does_not(esl, format):
    fields = [(b"Content-Length", b"nonsense"), (b"content-length", b"5"), (b"A", b"1")]
    payload = payload_of(format, fields)
    message, reply = decode_every_way(esl, framed(format, payload) + OK)
    assert message["Content-Length"] == "nonsense"
    assert message.envelope["Content-Length"] == str(len(payload))
    assert reply.text == "+OK"


@JSON_XML
def test_row_frame_without_a_length_is_refused(esl, format):
    decoder = esl.Decoder()
    decoder.feed(OK + b"Content-Type: text/event-%b\n\n" % format.encode() + OK)
    assert next(decoder).text == "+OK"
    with pytest.raises(esl.InvalidContentLength):
        next(decoder)


@JSON_XML
def test_row_frame_of_length_zero_has_an_empty_payload(esl, format):
    message, reply = decode_every_way(esl, support.frame(b"Content-Type: text/event-%b" % format.encode(), b"") + OK)
    assert (type(message), message.payload, message.raw) == (esl.Event, b"", b"")
    assert message.malformed.offset == 0
    assert (message.pairs(), message.body, message.name) == ([], None, None)
    assert message.serialize(format) == b""
    assert reply.text == "+OK"


@JSON_XML
@pytest.mark.parametrize("spelling", ["TEXT/EVENT-", "Text/Event-"])
def test_row_content_type_is_compared_ignoring_ascii_case(esl, format, spelling):
    payload = payload_of(format, [(b"A", b"1")])
    head = f"Content-Type: {spelling}{format.swapcase()}\nContent-Length: {len(payload)}\n\n"
    (message,) = decode_every_way(esl, head.encode() + payload)
    assert (type(message), message["A"], message.serialize(format)) == (esl.Event, "1", payload)


@JSON_XML
def test_row_equality_is_of_kind_and_raw_bytes(esl, format):
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
def test_row_pickle_and_repr_whether_it_can_be_read_or_not(esl, format, payload):
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


def test_stream_of_every_format_with_malformed_events_between(esl):
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


def _good(format):
    return b"A: 1\n\n" if format == "plain" else payload_of(format, [(b"A", b"1")])


# What fuzzing found


@pytest.mark.parametrize("bounds", [{}, {"max_body_bytes": 32}])
@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\n\r\n"])
def test_decoder_stays_dead_whatever_ends_the_block_that_killed_it(esl, bounds, end):
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


@pytest.mark.parametrize(
    "payload",
    [
        b"A: " + b"x%20" * 1000 + b"\n\n",  # longer than what is decoded on the stack
        b"A: ARRAY%3A%3Aa%7Cb%7C%3Ac%7C\n\n",  # bars that separate nothing
        b"A: 1\n_body: x\nContent-Length: 4\n\nreal",
        b"A: 1\nContent-Length: 1100000\n\n" + b"\xff\n" * 550000,
    ],
    ids=["long", "bars", "header named _body", "large body"],
)
def test_to_json_of_what_is_rare_is_the_same_on_both_cores(both, payload):
    stream = support.plain(payload)
    written = []
    for package in both:
        decoder = package.Decoder()
        decoder.feed(stream * 2)
        first, second = decoder  # the second has a template
        assert first.to_json() == second.to_json()
        assert json.loads(second.to_json()) == second.to_dict()
        written.append(second.to_json())
    assert written[0] == written[1]


# Text that anything takes: `errors` of look-ups


NOT_UTF8 = [
    ("plain", b"A: Jos\xe9\nB\xfe: %FF%C3%A9 %ed%a0%80\nE: \nArr: ARRAY::\xff|:x\nU: \xc3\xa9\n\nbody\xff"),
    (
        "json",
        b'{"A":"Jos\xe9","B\xfe":"\xff\xc3\xa9 \xed\xa0\x80","E":"","Arr":["\xff","x"],"U":"\\u00e9","_body":"\xff"}',
    ),
]
REPLACED = {"A": "Jos\ufffd", "B\ufffd": "\ufffdé \ufffd\ufffd\ufffd", "E": "", "Arr": "ARRAY::\ufffd|:x", "U": "é"}
KEPT = {"A": "Jos\udce9", "B\udcfe": "\udcffé \udced\udca0\udc80", "E": "", "Arr": "ARRAY::\udcff|:x", "U": "é"}


@pytest.mark.parametrize(("format", "payload"), NOT_UTF8)
@pytest.mark.parametrize("first", ["get", "select", "asdict", "len", "absent"])
def test_look_ups_replace_or_keep_bytes_that_are_not_utf8(esl, format, payload, first):
    event = esl.Event.from_payload(payload, format)
    event.asdict() if first == "asdict" else event.get("absent") if first == "absent" else None
    assert first != "len" or len(event) == 5
    for name, kept, replaced in zip(KEPT, KEPT.values(), REPLACED.values(), strict=True):
        assert event.get(name) == event.get(name, errors="surrogateescape") == event[name] == kept
        assert event.get(name, errors="replace") == event.get(name, None, errors="replace") == replaced
        assert event.get(name, "default", errors="replace") == replaced
        replaced.encode()
    assert event.select(*KEPT) == event.select(*KEPT, errors="surrogateescape") == tuple(KEPT.values())
    assert event.select(*KEPT, "absent", errors="replace") == (*REPLACED.values(), None)
    assert event.select(errors="replace") == ()
    assert event.asdict() == event.asdict(errors="surrogateescape") == dict(event) == KEPT
    assert list(event.asdict(errors="replace").items()) == list(REPLACED.items())
    assert event.asdict(errors="replace") is not event.asdict(errors="replace")
    assert event.asdict() == KEPT
    json.dumps(event.asdict(errors="replace"), ensure_ascii=False).encode()


def test_other_frames_and_xml_are_replaced_alike(esl):
    frame = b"Content-Type: command/reply\nReply-Text: +OK Jos\xe9\n\n"
    (reply,) = decode(esl, frame)
    made = esl.CommandReply(frame)
    xml = esl.Event.from_payload(b"<event><headers><A>%E9</A></headers></event>", "xml")
    for message, name, kept in (
        (reply, "Reply-Text", "+OK Jos\udce9"),
        (made, "reply-text", "+OK Jos\udce9"),
        (xml, "A", "\udce9"),
    ):
        assert message.get(name) == kept
        assert message.get(name, errors="replace") == kept[:-1] + "\ufffd"
        assert message.select(name, errors="replace") == (kept[:-1] + "\ufffd",)
        assert kept[:-1] + "\ufffd" in message.asdict(errors="replace").values()


def test_the_default_of_a_look_up_is_returned_as_it_is(esl):
    event = esl.Event.build("DTMF")
    for default in ("\udce9", b"\xff", ["\udce9"], 5, None):
        assert event.get("absent", default, errors="replace") is default
        assert event.get("absent", default) is default


def test_names_that_become_one_are_one_in_asdict(esl):
    event = esl.Event.from_payload(b"A\xff: 1\nA\xfe: 2\nEvent-Name: B\nEvent-Name: C\n\n", "plain")
    assert event.asdict(errors="replace") == {"A\ufffd": "1", "Event-Name": "C"}
    assert event.get("A\xfe", errors="replace") is None
    assert event.get("A\udcfe", errors="replace") == "2"


@pytest.mark.parametrize("errors", ["strict", "ignore", "", "Replace", None, 5])
def test_other_error_modes_of_look_ups_are_refused(esl, errors):
    event = esl.Event.build("DTMF")
    message = r"^errors is .*, expected 'replace' or 'surrogateescape'$"
    for name in ("Event-Name", "absent"):
        with pytest.raises(ValueError, match=message):
            event.get(name, errors=errors)
        with pytest.raises(ValueError, match=message):
            event.get(name, "default", errors=errors)
        with pytest.raises(ValueError, match=message):
            event.select(name, errors=errors)
    with pytest.raises(ValueError, match=message):
        event.asdict(errors=errors)
    for wrong in (lambda: event.get("A", None, "replace"), lambda: event.asdict("replace")):
        with pytest.raises(TypeError):
            wrong()


def test_the_name_of_a_mode_may_be_another_object(esl):
    event = esl.Event.from_payload(b"A: \xff\n\n", "plain")
    for mode, text in (("surrogate", "\udcff"), ("repl", "\ufffd")):
        errors = "".join([mode, "escape" if mode == "surrogate" else "ace"])
        assert event.get("A", errors=errors) == event.select("A", errors=errors)[0] == text
        assert event.asdict(errors=errors) == {"A": text}


@given(
    fields=st.lists(
        st.tuples(
            st.sampled_from([b"A", b"a", b"B\xff", b"B\xfe", b"Event-Name", "é".encode(), b"\xc3"]),
            st.sampled_from(
                [b"1", b"\xff", b"%FE", b"%C3%A9", b"\xc3", b"x%ED%A0%80y", b"\xf0\x9f\x98\x80", b"%F0%9F%98"]
            ),
        ),
        max_size=6,
    )
)
def test_replaced_look_ups_are_the_others_replaced(both, fields):
    def replaced(text):
        return re.sub("[\ud800-\udfff]", "\ufffd", text)

    payload = b"".join(name + b": " + value + b"\n" for name, value in fields) + b"\n"
    for package in both:
        event = package.Event.from_payload(payload, "plain")
        kept = event.asdict()
        wanted = {}
        for name, value in kept.items():
            wanted.setdefault(replaced(name), replaced(value))
        assert list(event.asdict(errors="replace").items()) == list(wanted.items())
        assert event.select(*kept, errors="replace") == tuple(map(replaced, kept.values()))
        assert [event.get(name, errors="replace") for name in kept] == list(map(replaced, kept.values()))
        assert event.asdict(errors="replace").items() <= event.to_dict().items()


# serialize("json"), which takes the way of to_json where that says the same


def json_member_by_member(event):
    """The payload as eslcodec/render.py describes it; None if it has to be refused."""
    fields, body = event._fields(), event.body
    if body is not None and fields and fields[-1] == ("Content-Length", str(len(body))):
        fields = fields[:-1]
    if any(name.isascii() and name.lower() == "_body" for name, _ in fields):
        return None
    if body is not None:
        fields = [*fields, ("Content-Length", str(len(body))), ("_body", to_text(body))]
    members = [
        json.dumps(name, ensure_ascii=False) + ":" + json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        for name, value in fields
    ]
    return ("{" + ",".join(members) + "}").encode("utf-8", "surrogateescape")


def assert_written_member_by_member(esl, event):
    wanted = json_member_by_member(event)
    if wanted is None:
        with pytest.raises(esl.InvalidCommand, match=r"^header name '_[a-zA-Z]{4}' cannot be written in JSON"):
            event.serialize("json")
    else:
        assert event.serialize("json") == wanted


SERIALIZED_NAMES = st.sampled_from(
    [
        b"A",
        b"A",
        b"B",
        b"C",
        b"Event-Name",
        b"Content-Length",
        b"content-length",
        b"_body",
        b"_Body",
        b"x_body",
        b"N\xff",
        b"",
    ]
)
SERIALIZED_VALUES = st.one_of(
    st.sampled_from([b"", b"1", b"5", b"%35", b"x", b"%FF", b"\xe9", b"%C3%A9", b"%22%5Cud800%01%7F", b"ARRAY::a|:b"]),
    st.sampled_from([b"ARRAY%3A%3Aa%7C%3A%FF", b"ARRAY::a", b"\\ud800", b"%E2%80%A8", b" 1", b"1 ", b"0", b"3"]),
)
ONES, HELLO, NO_BODY = [[b"1"] * 5] * 3, [b"hello"] * 4, [b""] * 4


@given(
    names=st.lists(SERIALIZED_NAMES, max_size=5),
    values=st.lists(st.lists(SERIALIZED_VALUES, min_size=5, max_size=5), min_size=1, max_size=4),
    line_end=st.sampled_from([b"\n", b"\n", b"\n", b"\r\n"]),
    separator=st.sampled_from([b": ", b": ", b": ", b":"]),
    bodies=st.lists(
        st.sampled_from([b"", b"", b"hello", b"abc", b"\xff", "é".encode(), b'"\\\x00', b"\n\n"]),
        min_size=4,
        max_size=4,
    ),
    own_length=st.sampled_from(["", "last", "first"]),
)
@example(names=[b"A"], values=ONES, line_end=b"\n", separator=b": ", bodies=HELLO, own_length="last")
@example(names=[b"A"], values=ONES, line_end=b"\n", separator=b": ", bodies=HELLO, own_length="first")
@example(names=[], values=ONES, line_end=b"\n", separator=b": ", bodies=HELLO, own_length="last")
@example(names=[b"A", b"A"], values=ONES, line_end=b"\n", separator=b": ", bodies=NO_BODY, own_length="")
@example(names=[b"A"], values=[*ONES, [b"%FF"] * 5], line_end=b"\n", separator=b": ", bodies=NO_BODY, own_length="")
def test_serialized_json_is_what_member_by_member_gives(both, names, values, line_end, separator, bodies, own_length):
    payloads = []
    for row, body in zip(values, bodies, strict=False):
        lines = [name + separator + value + line_end for name, value in zip(names, row, strict=False)]
        length = b"Content-Length%b%d%b" % (separator, len(body), line_end)
        lines = [*lines, length] if own_length == "last" else [length, *lines] if own_length == "first" else lines
        payloads.append(b"".join(lines) + line_end + body)
    for package in both:
        decoder = package.Decoder()
        decoder.feed(b"".join(map(support.plain, payloads * 2)))  # the second time it remembers
        for event in (*decoder, *(package.Event.from_payload(payload, "plain") for payload in payloads)):
            assert_written_member_by_member(package, event)


@pytest.mark.parametrize("name", CAPTURES)
def test_captured_events_are_serialized_member_by_member(esl, name):
    for event in a_fifth_of([event for event in events_of(esl, name) if format_of(event) != "json"]):
        if event.malformed is None:
            assert_written_member_by_member(esl, event)


def test_serialized_json_is_of_what_a_subclass_reads(esl):
    class Mine(esl.Event):
        __slots__ = ()

        @property
        def body(self):
            return b"mine"

    (event,) = decode(esl, support.plain(b"A: 1\nContent-Length: 5\n\nhello"))
    mine = Mine(*event.__reduce__()[1])
    assert mine.serialize("json") == b'{"A":"1","Content-Length":"5","Content-Length":"4","_body":"mine"}'
