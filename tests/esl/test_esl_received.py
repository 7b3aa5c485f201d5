"""ESLevent against a model, and received events against lists (docs/protocol/esl-module.md, A3)."""

from __future__ import annotations

import json
import lzma
from types import ModuleType
from typing import Any

import pytest
from esl_model import Model
from esl_support import FIRST, apply, framed, names_of, received, saying, strictly, wires
from hypothesis import given
from hypothesis import strategies as st
from sizes import FULL
from support import DATA, examples, lone, part, survey

# Against a list of headers (esl_model.py)

NAMES = st.sampled_from(["A", "a", "B", "Event-Name", "priorit", "\u00c9", "\u00e9", "x-Y", "Event-Subclass"])
INDEXED = st.builds(
    str.__add__,
    st.sampled_from(["A", "a", "B", "C"]),
    st.sampled_from(["[0]", "[1]", "[3]", "[]", "[-1]", "[4001]", "[ 2x"]),
)
TEXT = st.text(st.sampled_from('ab %41:|"\\/\n\t\x01\x7f\u00e9\u4f60\U0001f600\udcff'), max_size=5)
ARRAYS = st.lists(TEXT.filter(lambda text: "|:" not in text), max_size=4).map(
    lambda items: "ARRAY::" + "|:".join(items)
)
ARRAY_TEXTS = [
    "ARRAY::",
    "ARRAY::a",
    "ARRAY::|:",
    "ARRAY::|:|:",
    "ARRAY::|:b",
    "ARRAY::a|:",
    "ARRAY::a|:|:c",
    "ARRAY::a|",
    "ARRAY::ARRAY::",
    "ARRAY::ARRAY::a",
    "ARRAY::ARRAY::a|:b",
    "ARRAY::ARRAY::|:b",
    "ARRAY::a|:ARRAY::b",
]
NO_ARRAYS = ["ARRAY:a|:b", "array::a|:b", "x ARRAY::a|:b", "a|:b", "_undef_", " a", "a ", "\ta"]
TEXTS = [*ARRAY_TEXTS, *NO_ARRAYS]
VALUES = st.one_of(TEXT, st.just(""), ARRAYS, st.sampled_from(TEXTS))
READS = st.one_of(
    st.tuples(st.just("getHeader"), NAMES),
    st.tuples(st.just("getHeader"), NAMES, st.integers(-2, 5)),
    st.tuples(st.just("getHeader"), st.just("_body"), st.integers(-2, 5)),
    st.tuples(st.just("names")),
    st.tuples(st.just("getBody")),
    st.tuples(st.just("serialize"), st.sampled_from([None, "plain", "json"])),
)
CHANGES = st.one_of(
    st.tuples(st.sampled_from(["addHeader", "pushHeader", "unshiftHeader"]), NAMES | INDEXED, VALUES),
    st.tuples(st.sampled_from(["addHeader", "pushHeader", "unshiftHeader"]), st.just("_body"), VALUES),
    st.tuples(st.just("delHeader"), NAMES | st.sampled_from(["_body", "A[0]", "C"])),
    st.tuples(st.just("addBody"), TEXT),
    st.tuples(st.just("setPriority")),
)


@pytest.mark.parametrize("strict", [False, True], ids=["default", "strict"])
@given(steps=st.lists(READS | CHANGES, max_size=12))
@examples(150)
def test_event_is_a_list_of_headers(esl: ModuleType, strict: bool, steps: Any) -> None:
    ESL = part(esl, "ESL")
    with strictly(ESL, strict):
        event, model = ESL.ESLevent("DTMF"), Model(strict, [["Event-Name", "DTMF"]])
        apply(event, model, steps)
        apply(event, model, [("names",), ("getBody",), ("serialize", None), ("serialize", "json")])
        assert event.getType() == "DTMF"


FIRST_READS: list[tuple[Any, ...]] = [
    *(("getHeader", "A"), ("getHeader", "a"), ("getHeader", "A", 0), ("getHeader", "_body"), ("getBody",)),
    ("getHeader", "_body", 1),
    *(("names",), ("serialize", "json"), ("delHeader", "absent")),
]
SINGLE = [[(name, value)] for name in ("A", "A[0]", "A[2]", "A[]", "A[-1]", "A[4001]") for value in ["", *TEXTS]]
SEVERAL = [
    *([("Event-Name", "TALK")], [("A", "1"), ("event-name", "TALK"), ("B", "2")], [("Event-Name", ""), ("A", "1")]),
    *(
        [("EVENT-NAME", "1"), ("Event-Name", "2")],
        [("Event-Name", "1"), ("A", "2"), ("Event-Name", "DTMF"), ("A", "3")],
    ),
    *([("A", "1"), ("A", "")], [("A", "1"), ("a", "")], [("A", ""), ("A", "1")], [("A", "1"), ("B", ""), ("A", "2")]),
    *([("A", "1"), ("A", "2")], [("a", "1"), ("A", "2")], [("A", "1"), ("a", "2")], [("a", "1"), ("B", "2")]),
    *([("A", "1"), ("A", "ARRAY::2|:3")], [("A", "ARRAY::2|:3"), ("A", "1")], [("A", "ARRAY::1"), ("a", "ARRAY::2")]),
    *([("A", "1"), ("A", "ARRAY::")], [("A", "1"), ("a", "ARRAY::|:")], [("a", "ARRAY::|:2"), ("A", "")]),
    *([("A", "1"), ("A[1]", "2")], [("A[1]", "1"), ("A[0]", "2")], [("A[1]", "1"), ("A", "2")], [("A[1]", "")]),
    *(
        [("A", "1"), ("A[-1]", "2")],
        [("A", "1"), ("a[0]", "")],
        [("A[0]", "1"), ("A", "")],
        [("B[0]", "1"), ("A", "2")],
    ),
    *([("_body", "1")], [("_BODY", "1"), ("A", "2")], [("A", "_body")], [("\u00c9", "1"), ("\u00e9", "2"), ("A", "3")]),
]


@pytest.mark.parametrize("format", ["plain", "json", "outer"])
@pytest.mark.parametrize("headers", [SINGLE, SEVERAL], ids=["single", "several"])
def test_received_headers_are_those_of_a_built_event(ESL: Any, strict: Any, format: str, headers: Any) -> None:
    for given_headers in headers:
        if format == "json" and given_headers[0][0].lower() == "_body":
            continue  # there it is the body, and no header
        model = Model(strict)
        for name, value in [*FIRST[format], *given_headers]:
            model.receive(name, value, json=format == "json", event=format != "outer")
        with wires(ESL) as wire_of:
            con = wire_of(framed(format, given_headers, None) * len(FIRST_READS)).con
            for step in FIRST_READS:  # each is the first that is asked
                event = con.recvEvent()
                apply(event, model.copied(), [step, ("names",), ("serialize", "json"), ("serialize", None)])


WIRE_NAMES = st.sampled_from(["A", "a", "B", "\u00c9", "x-Y", "A[1]", "A[0]", "C[2]", "D[-1]", "Unique-ID"])


@pytest.mark.parametrize("strict", [False, True], ids=["default", "strict"])
@pytest.mark.parametrize("format", ["plain", "json", "outer"])
@given(
    headers=st.lists(st.tuples(WIRE_NAMES, VALUES), max_size=8),
    body=st.none() | TEXT.filter(bool),
    steps=st.lists(READS | CHANGES, max_size=8),
)
@examples(60)
def test_received_event_is_the_same_list(
    esl: ModuleType, strict: bool, format: str, headers: Any, body: Any, steps: Any
) -> None:
    ESL = part(esl, "ESL")
    built = Model(strict)
    for name, value in [*FIRST[format], *headers]:
        built.receive(name, value, json=format == "json", event=format != "outer")
    if format == "outer" and body is not None:
        built.addHeader("Content-Length", str(len(body.encode("utf-8", "surrogateescape"))))
    built.body = body
    with strictly(ESL, strict), wires(ESL) as wire_of:
        event = wire_of(framed(format, headers, body)).con.recvEvent()
        assert event.getType() == ("SOCKET_DATA" if format == "outer" else "DTMF")
        model = built.copied()
        apply(event, model, steps)
        apply(event, model, [("names",), ("getBody",), ("serialize", None), ("serialize", "json")])


# JSON events that have nothing special are not made into a list; what is read from them is the same

JSON_NAMES = st.sampled_from(
    ["Event-Name", "event-name", "A", "a", "B-long-enough-name", "C[1]", "_body", "_BODY", "_"]
)
JSON_ITEMS = st.sampled_from(
    ["x", "", "y z", "ARRAY::a|:b", "ARRAY::", "a|:b", "a]b", 'q"', '":"', '":[', "\\u", "DTMF"]
)
JSON_VALUES = st.one_of(
    st.sampled_from(["DTMF", "TALK", "1", "\u00e9\udcff", "\x01", "a[b", '"', '","', '":"x', '":["x"', "\\"]),
    st.sampled_from(["", "ARRAY::", "ARRAY::a|:b", None, 1, True, {"k": "v"}]),
    st.lists(JSON_ITEMS | st.sampled_from([1, None, ["x"]]), max_size=3),
)


def reading(event: Any, asked: list[str]) -> Any:
    """All that can be read of an event without changing it."""
    names = names_of(event)
    everything = [event.getHeader(name, i) for name in [*names, *asked] for i in (-1, 0, 1, 2, 3)]
    return names, everything, event.getBody(), event.getType(), event.serialize("json"), event.serialize()


@pytest.mark.parametrize("strict", [False, True], ids=["default", "strict"])
@given(
    members=st.lists(st.tuples(JSON_NAMES, JSON_VALUES), max_size=6),
    escaped=st.booleans(),
    between=st.sampled_from([(":", ","), (":", ","), (": ", ", "), (" : ", ",\n")]),
    first=st.sampled_from(["getType", "getBody", "firstHeader", "getHeader"]),
)
@examples(200)
def test_json_event_reads_as_its_list_does(
    esl: ModuleType, strict: bool, members: Any, escaped: Any, between: Any, first: Any
) -> None:
    colon, comma = between
    texts = [f"{json.dumps(n)}{colon}{json.dumps(v, ensure_ascii=escaped and n < '_')}" for n, v in members]
    payload = ("{" + comma.join(texts) + "}").encode("utf-8", "surrogateescape")
    said = b"Content-Length: %d\nContent-Type: text/event-json\n\n%b" % (len(payload), payload)
    ESL = part(esl, "ESL")
    with strictly(ESL, strict), wires(ESL) as wire_of:
        con = wire_of(said * 2).con
        event, listed = con.recvEvent(), con.recvEvent()
    listed.delHeader("absent")
    asked = ["a", "A", "EVENT-NAME", "_body", "_Body", "b-LONG-enough-name", "c", "absent"]
    getattr(event, first)(*["A"][: first == "getHeader"])
    assert reading(event, asked) == reading(listed, asked)


def test_captured_json_events_read_as_their_lists_do(ESL: Any, strict: Any) -> None:
    for name in ("sip_json", "churn_json"):
        data = lzma.decompress((DATA / "captures" / f"{name}.esl.xz").read_bytes())
        data = data[data.index(b"Content-Length") :]
        with wires(ESL) as wire_of:
            wire, other = wire_of(), wire_of()
            with saying(wire.peer, data), saying(other.peer, data):
                for _ in range(400 if FULL else 100):
                    event, listed = wire.con.recvEvent(), other.con.recvEvent()
                    listed.delHeader("absent")
                    assert reading(event, ["event-NAME", "_body"]) == reading(listed, ["event-NAME", "_body"])
                wire.con.disconnect()
                other.con.disconnect()


# What was received is read where it stands


def all_of(event: Any, names: list[str]) -> Any:
    headers = {name: [event.getHeader(name), event.getHeader(name, 0), event.getHeader(name, 1)] for name in names}
    shown = [event.serialize(format) for format in ("plain", "json", "xml")]
    return event.getType(), event.getBody(), headers, names_of(event), shown


@pytest.mark.parametrize(
    "name", ["churn_plain", "churn_json", "churn_xml", "calls_sip", "calls_sip_json", "callcenter"]
)
def test_reading_makes_no_list_of_headers(ESL: Any, strict: Any, name: str) -> None:
    stream = lzma.decompress((DATA / "captures" / f"{name}.esl.xz").read_bytes())[:300_000]
    lazy, listed = received(ESL, stream), received(ESL, stream)
    assert len(lazy) > 20
    for event, other in zip(lazy, listed, strict=True):
        other._headers()
        asked = ["Event-Name", "event-subclass", "no such name", "_body", "Content-Type", *names_of(other)[:9]]
        assert all_of(event, asked) == all_of(other, asked)
        assert event._list is None, event.serialize()
        assert event.addHeader("Added", "x")
        assert event._list is not None
        assert (event.getHeader("added"), event.getType()) == ("x", other.getType())


TEXTS = [
    *('""', '"x"', '"a|:b"', '"ARRAY::a|:b"', '"ARRAY::"', r'"\u0041RRAY::a|:b"', '"CUSTOM"', '"DTMF"', '"a[0]"'),
    *(r'"\ud800"', r'"\uD83D\uDE00"', r'"\\ud"', r'"\u001b"', r'"a\"b\\"', '"x\ty"', '"é"', '"{"', '"\udce9"', '":"'),
]
ODD_VALUES = [
    *("1", "01", "-", "null", "true", "NaN", "Infinity", "{}", '{"a":"b"}', '{"a":[}', "[1]", '["a",["b"]]', '["a",2]'),
    *("[]", '["a"]', '["","b"]', '["a|:b","c"]', '["ARRAY::x","y"]', '[ "a" ,\n"b"]', r'["\ud800","b"]', '["a" "b"]'),
]
ODD_NAMES = [
    '"_body"',
    '"_BODY"',
    r'"_\u0062ody"',
    '"A[1]"',
    r'"\u0041"',
    r'"a\"b"',
    '""',
    '"é"',
    '"A:b"',
    '"EVENT-NAME"',
]
MEMBERS = st.tuples(
    st.sampled_from(['"Event-Name"', '"event-name"', '"A"', '"a"', '"B"', '"C"', *ODD_NAMES]),
    st.sampled_from(["", " ", "\n\t"]),
    st.one_of(st.sampled_from(TEXTS), st.sampled_from(['["a","b"]', '["a","","c"]', *ODD_VALUES])),
)
PAYLOADS = st.builds(
    lambda members, before, after: (
        f"{before}{{{','.join(f'{name}:{blank}{value}' for name, blank, value in members)}{after}"
    ),
    st.lists(MEMBERS, max_size=7),
    st.sampled_from(["", " ", "\x0b"]),
    st.sampled_from(["}", " }", "} x", "}\\ud800", ",}", ""]),
)
ASKED = ["Event-Name", "A", "a", "b", "C", "_body", "_BODY", "A[1]", "", "é", 'a"b', "A:b", "none", "event-name"]


@examples(400)
@given(PAYLOADS, st.permutations(ASKED))
def test_any_json_is_looked_up_as_in_a_list(both: tuple[ModuleType, ModuleType], payload: Any, asked: Any) -> None:
    data = payload.encode("utf-8", "surrogateescape")
    stream = b"Content-Length: %d\nContent-Type: text/event-json\n\n%b" % (len(data), data)
    shown = []
    for package in both:
        module = part(package, "ESL")
        (lazy,), (listed,), (typed,) = (received(module, stream) for _ in range(3))
        listed._headers()
        shown.append(all_of(listed, asked))
        assert all_of(lazy, asked) == shown[-1]
        assert (typed.getType(), typed.getBody(), typed.getHeader(asked[0])) == (
            shown[-1][0],
            shown[-1][1],
            listed.getHeader(asked[0]),
        )
    assert shown[0] == shown[1]
    ours, theirs = (package.Event.from_payload(data, "json") for package in both)
    assert [lone(ours, name) for name in asked] == [lone(theirs, name) for name in asked]
    assert survey(ours) == survey(theirs)


@pytest.mark.parametrize("format", ["json", "plain"])
def test_event_with_an_array_and_another_name_twice_is_no_list(
    both: tuple[ModuleType, ModuleType], format: str
) -> None:
    """As the switch sends it at the end of a call: Hangup-Cause twice, and arrays."""
    if format == "json":
        payload = b'{"Event-Name":"DTMF","A":"1","L":["a","b"],"A":"2","a":"3"}'
    else:
        payload = b"Event-Name: DTMF\nA: 1\nL: ARRAY::a|:b\nA: 2\na: 3\n\n"
    stream = b"Content-Length: %d\nContent-Type: text/event-%b\n\n%b" % (len(payload), format.encode(), payload)
    asked = ["Event-Name", "A", "a", "L", "l", "none"]
    for package in both:
        lazy, listed = (received(part(package, "ESL"), stream)[0] for _ in range(2))
        listed._headers()
        assert all_of(lazy, asked) == all_of(listed, asked)
        fresh = received(part(package, "ESL"), stream)[0]
        assert fresh.firstHeader() == "Event-Name"
        assert (fresh._frame is None, fresh.getHeader("l", 1), fresh.getHeader("A")) == (False, "b", "1")


FRAME_LINES = st.sampled_from(
    [
        *(b"A: 1", b"a: 2", b"B:", b"B: x%20y", b"C: ARRAY::a|:b", b"C[0]: z", b"_body: text", b"_BODY: text", b": e"),
        *(b"Event-Name: DTMF", b"event-name: X", b"Reply-Text: +OK", b"\xff: \xe9", b"T: \t x", b"nothing", b"A:b: c"),
    ]
)


@examples(200)
@given(
    st.sampled_from([b"command/reply", b"api/response", b"log/data", b"text/event-xml", b"text/unknown"]),
    st.lists(FRAME_LINES, max_size=6),
    st.one_of(st.none(), st.binary(max_size=9)),
    st.permutations([*ASKED, "B", "T", "Reply-Text", "Content-Type", "\udcff"]),
)
def test_any_frame_is_looked_up_as_in_a_list(
    both: tuple[ModuleType, ModuleType], kind: Any, lines: Any, body: Any, asked: Any
) -> None:
    if kind == b"text/event-xml" and body is None:
        body = b""
    length = [] if body is None else [b"Content-Length: %d" % len(body)]
    stream = b"\n".join([b"Content-Type: " + kind, *lines, *length]) + b"\n\n" + (body or b"")
    shown = []
    for package in both:
        module = part(package, "ESL")
        (lazy,), (listed,) = (received(module, stream) for _ in range(2))
        listed._headers()
        shown.append(all_of(listed, asked))
        assert all_of(lazy, asked) == shown[-1]
    assert shown[0] == shown[1]
