"""JSON event payloads: what eslcodec/_json.py says about reading them (docs/protocol/payloads.md, P4.2)."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support import OK, capture, decode_every_way, part, receive, to_text

import eslcodec


def framed(payload):
    return b"Content-Length: %d\nContent-Type: text/event-json\n\n%b" % (len(payload), payload)


def event(esl, payload):
    (message,) = decode_every_way(esl, framed(payload))
    assert type(message) is esl.Event
    assert message.raw == message.payload == payload
    return message


def quick(esl, payload):
    return esl.Event.from_payload(payload, "json")


def why(e):
    return e.malformed and (e.malformed.format, e.malformed.offset, e.malformed.why)


# The object and its members


def test_members_are_headers_in_order(esl):
    e = event(esl, b'{"Event-Name":"DTMF","Unique-ID":"a1","DTMF-Digit":"#"}')
    assert e.malformed is None
    assert e.pairs() == [("Event-Name", "DTMF"), ("Unique-ID", "a1"), ("DTMF-Digit", "#")]
    assert (e.name, e.uuid, e["dtmf-digit"], e.body) == ("DTMF", "a1", "#", None)
    assert e.select("DTMF-Digit", "absent", "event-name") == ("#", None, "DTMF")


@pytest.mark.parametrize("payload", [b"{}", b" {\n} ", b"\t{\r\n}"])
def test_empty_object_has_no_headers(esl, payload):
    e = event(esl, payload)
    assert (e.malformed, e.pairs(), e.asdict(), len(e), e.body, e.name) == (None, [], {}, 0, None, None)


def test_blanks_may_stand_between_everything(esl):
    payload = b' \t\r\n{ \n"A"\t: "1" ,\r\n "B" :\n[ "x" , "y"\t] , "C":\t{ } , "D" : [ ] , "E" : 5 } \n'
    e = event(esl, payload)
    assert e.malformed is None
    assert e._fields() == [("A", "1"), ("B", ["x", "y"]), ("C", "{ }"), ("D", []), ("E", "5")]


def test_text_behind_the_object_is_ignored(esl):
    for behind in (b"\n", b" trailing", b'{"A":"2"}', b"\x00\xff", b"}"):
        e = event(esl, b'{"A":"1"}' + behind)
        assert (e.malformed, e.asdict()) == (None, {"A": "1"})


def test_names_with_anything_in_them_are_names(esl):
    e = event(esl, '{"a b":"1","variable_x:colon: y":"2","":"3","é":"4","l\\nf":"5","\\u0041":"6"}'.encode())
    assert e.asdict() == {"a b": "1", "variable_x:colon: y": "2", "": "3", "é": "4", "l\nf": "5", "A": "6"}
    for name, value in e.asdict().items():
        assert quick(esl, e.payload)[name] == value


def test_indexed_names_are_names(esl):
    assert event(esl, b'{"A[0]":"x","A[1]":"y"}').asdict() == {"A[0]": "x", "A[1]": "y"}


# Strings


@pytest.mark.parametrize(
    ("string", "text"),
    [
        (rb"", ""),
        (rb"\"\\\/\b\f\n\r\t", '"\\/\b\f\n\r\t'),
        (rb"\u0041\u00e9\u00E9\u4f60", "Aéé你"),
        (rb"a\u0000b", "a\0b"),
        (rb"\ud83d\ude00", "😀"),
        (rb"\uD83D\uDE00\uDBFF\uDFFF\ud800\udc00", "😀\U0010ffff\U00010000"),
        (rb"\ud83d", "\ufffd"),
        (rb"\ude00", "\ufffd"),
        (rb"\ud83d\ud83d\ude00", "\ufffd😀"),
        (rb"\ude00\ud83d", "\ufffd\ufffd"),
        (rb"\ud83d\u0041", "\ufffdA"),
        (rb"\ud83d\n\ude00", "\ufffd\n\ufffd"),
        (rb"\ud83dude00", "\ufffdude00"),
        (rb"\udcff", "\ufffd"),
        (rb"\uffff\ufffe\ufeff", "\uffff\ufffe\ufeff"),
        (rb"\\u0041", "\\u0041"),
        (rb"\\\u0041", "\\A"),
        (b"\x00\x01\x1f\n\r\t\x7f", "\0\x01\x1f\n\r\t\x7f"),
        ("é你😀".encode(), "é你😀"),
        (b"\xff\xfe", "\udcff\udcfe"),
        (b"\xe4\xbd", "\udce4\udcbd"),
        (b"\xed\xa0\x80", "\udced\udca0\udc80"),
        (b"\xc3\\n\xa9", "\udcc3\n\udca9"),
        (b"\xe4\\u00bd\xa0", "\udce4\u00bd\udca0"),
        (b"\xf0\x9f\\ud83d\\ude00\x80", "\udcf0\udc9f😀\udc80"),
        (b"100%25 %41 a+b", "100%25 %41 a+b"),
        (b"'/<>&", "'/<>&"),
    ],
)
def test_string_is_unescaped_and_never_percent_decoded(esl, string, text):
    e = event(esl, b'{"A":"%b","B":["%b","%b"],"%b!":"name","_body":"%b"}' % ((string,) * 5))
    assert e["A"] == text
    assert e._fields() == [("A", text), ("B", [text, text]), (text + "!", "name")]
    assert e.asdict() == {"A": text, "B": f"ARRAY::{text}|:{text}", text + "!": "name"}
    assert quick(esl, e.payload)[text + "!"] == "name"
    assert e.body == text.encode("utf-8", "surrogateescape")
    assert e.text == text


def test_encoded_line_feed_makes_no_header(esl):
    e = event(esl, b'{"A":"1\\nB: 2\\n\\nC: 3","D":"%0AE: 4"}')
    assert e.asdict() == {"A": "1\nB: 2\n\nC: 3", "D": "%0AE: 4"}
    assert (e.get("B"), e.get("C"), e.get("E"), e.body) == (None, None, None, None)


def test_name_is_found_by_its_text_and_by_nothing_else(esl):
    for payload in ('{"aé":"1"}', '{"Aé":"1","aé":"2"}', '{"a\\u00e9":"1"}'):
        e = quick(esl, payload.encode())
        for _ in range(2):
            for name in ("a\udcc3\udca9", "a\ud800", "a"):
                assert (e.get(name), name in e, e.getlist(name), e.select(name)) == (None, False, [], (None,))
            len(e)


# Arrays


@pytest.mark.parametrize(
    ("array", "items", "text"),
    [
        (b'["a","b"]', ["a", "b"], "ARRAY::a|:b"),
        (b'["a"]', ["a"], "a"),
        (b"[]", [], ""),
        (b'[""]', [""], ""),
        (b'["",""]', ["", ""], "ARRAY::|:"),
        (b'["","y",""]', ["", "y", ""], "ARRAY::|:y|:"),
        (b'["a|:b","c"]', ["a|:b", "c"], "ARRAY::a|:b|:c"),
        (b'["ARRAY::a|:b"]', ["ARRAY::a|:b"], "ARRAY::a|:b"),
        (b'["%41","\\u0042"]', ["%41", "B"], "ARRAY::%41|:B"),
        (b'["a",1,-2.5e3,true,false,null]', ["a", "1", "-2.5e3", "true", "false", "null"], None),
        (b'[["x"],{"y":[]},[]]', ['["x"]', '{"y":[]}', "[]"], None),
        (b'["]","[","\\"]"]', ["]", "[", '"]'], None),
    ],
)
def test_array_is_its_items_in_lists_and_its_joined_text_as_a_value(esl, array, items, text):
    text = "ARRAY::" + "|:".join(items) if text is None else text
    e = event(esl, b'{"B":"0","A":%b,"C":"1"}' % array)
    assert e._fields() == [("B", "0"), ("A", items), ("C", "1")]
    assert e.pairs() == [("B", "0"), ("A", text), ("C", "1")]
    assert (e["A"], e["a"], e.asdict()["A"], e.select("A")) == (text, text, text, (text,))
    assert e.getlist("A") == e.getlist("a") == items
    assert e.to_dict()["A"] == items


def test_text_of_an_array_in_a_string_is_one_pair_and_its_items_in_lists(esl):
    e = event(esl, b'{"A":"ARRAY::a|:b","B":"xx ARRAY::a|:b"}')
    assert e.pairs() == [("A", "ARRAY::a|:b"), ("B", "xx ARRAY::a|:b")]
    assert (e.getlist("A"), e.getlist("B")) == (["a", "b"], ["xx ARRAY::a|:b"])
    assert e.to_dict() == {"A": ["a", "b"], "B": "xx ARRAY::a|:b"}


# Values of other producers


@pytest.mark.parametrize(
    "value",
    [
        b"0",
        b"-0",
        b"525",
        b"007",
        b"-12.50",
        b"1e5",
        b"1E+5",
        b"1.5e-10",
        b"99999999999999999999999999",
        b"true",
        b"false",
        b"null",
        b"{}",
        b'{"a":"b"}',
        b'{ "a" : [ 1 , "}" ] }',
        b'{"a":"\\"}"}',
        b'{"a":["]",{"b":[[]]}]}',
        b"{not json at all]",
        b'{"\xff":1}',
    ],
)
def test_number_word_or_nested_value_is_its_text(esl, value):
    e = event(esl, b'{"A":%b,"B":"1"}' % value)
    assert e.malformed is None
    assert e.pairs() == [("A", to_text(value)), ("B", "1")]
    assert e["A"] == to_text(value)
    assert e.to_dict("surrogateescape")["A"] == to_text(value)


def test_sequence_and_timestamp_may_be_numbers(esl):
    e = event(esl, b'{"Event-Sequence":525,"Event-Date-Timestamp":1500000}')
    assert (e.sequence, e.timestamp.microsecond) == (525, 500000)


# The body


@pytest.mark.parametrize(
    ("members", "body"),
    [
        (rb'"_body":"abc"', b"abc"),
        (rb'"_BODY":"abc"', b"abc"),
        (rb'"\u005fbody":"abc"', b"abc"),
        (rb'"\u005f\u0062\u006f\u0064\u0079":"abc"', b"abc"),
        (rb'"_body":""', b""),
        (rb'"_body":"a%%b %s 50% %41"', b"a%%b %s 50% %41"),
        (rb'"_body":"line\n\nX: y\n"', b"line\n\nX: y\n"),
        (rb'"_body":"\u00e9\u0000"', b"\xc3\xa9\0"),
        (b'"_body":"\xff\xc3\xa9"', b"\xff\xc3\xa9"),
        (rb'"_body":"first","_body":"second"', b"first"),
        (rb'"_Body":"first","_body":"second"', b"first"),
        (rb'"_body":["a","b"]', b"ARRAY::a|:b"),
        (rb'"_body":["a"]', b"a"),
        (rb'"_body":[]', b""),
        (rb'"_body":5', b"5"),
        (rb'"_body":null', b"null"),
        (rb'"_body":{"a":1}', b'{"a":1}'),
        (rb'"_bodies":"abc"', None),
        (rb'"body":"abc"', None),
        (rb'"_body ":"abc"', None),
        ('"_bod\u0443":"abc"'.encode(), None),
    ],
)
def test_body_is_the_first_member_of_its_name_in_any_case_and_no_header(esl, members, body):
    e = event(esl, b'{"A":"1",%b,"B":"2"}' % members)
    assert (e.body, e.text) == (body, to_text(body or b""))
    assert e["B"] == "2"
    assert ("_body" in e, "_BODY" in e, e.get("_body")) == (False, False, None)
    if body is not None:
        assert e.pairs() == [("A", "1"), ("B", "2")]


def test_content_length_of_the_payload_is_a_header_and_cuts_nothing(esl):
    for number in ("3", "0", "99", "x"):
        e = event(esl, f'{{"Content-Length":"{number}","_body":"abcdef"}}'.encode())
        assert (e.body, e["content-length"]) == (b"abcdef", number)


def test_body_is_the_same_whatever_is_read_first(esl):
    payload = b'{"A":"1","_body":"b\\n","C":"2"}'
    for first in ("body", "name", "text", "malformed"):
        e = quick(esl, payload)
        getattr(e, first)
        assert (e.body, e.pairs()) == (b"b\n", [("A", "1"), ("C", "2")])


# Malformed payloads

MALFORMED = [
    (b"", 0, "read its end, expected an object"),
    (b"  ", 2, "read its end, expected an object"),
    (b'["a","b"]', 0, "read '[', expected an object"),
    (b'"text"', 0, "read '\"', expected an object"),
    (b"null", 0, "read 'n', expected an object"),
    (b'\xef\xbb\xbf{"A":"1"}', 0, "read '\\xef', expected an object"),
    (b"\x00{}", 0, "read '\\x00', expected an object"),
    (b"\x0b{}", 0, "read '\\x0b', expected an object"),
    (b"{", 1, "read its end, expected a name"),
    (b"{A:1}", 1, "read 'A', expected a name"),
    (b"{'A':1}", 1, 'read "\'", expected a name'),
    (b"{,}", 1, "read ',', expected a name"),
    (b'{"A', 1, "read '\"', expected a name"),
    (b'{"A\\x":"1"}', 1, "read '\"', expected a name"),
    (b'{"A":"1",}', 9, "read '}', expected a name"),
    (b'{"A":"1","B":"2", }', 18, "read '}', expected a name"),
    (b'{"Event-Name":"DTMF",', 21, "read its end, expected a name"),
    (b'{"A"', 4, "read its end, expected a colon"),
    (b'{"A" "1"}', 5, "read '\"', expected a colon"),
    (b'{"A",', 4, "read ',', expected a colon"),
    (b'{"A":', 5, "read its end, expected a value"),
    (b'{"A":}', 5, "read '}', expected a value"),
    (b'{"A":]', 5, "read ']', expected a value"),
    (b'{"A":+1}', 5, "read '+', expected a value"),
    (b'{"A":.5}', 5, "read '.', expected a value"),
    (b'{"A":-}', 5, "read '-', expected a value"),
    (b'{"A":True}', 5, "read 'T', expected a value"),
    (b'{"A":tru}', 5, "read 't', expected a value"),
    (b'{"A":NaN}', 5, "read 'N', expected a value"),
    (b'{"A":-Infinity}', 5, "read '-', expected a value"),
    (b'{"A":"1', 5, "read '\"', expected a whole string"),
    (b'{"A":"\\', 5, "read '\"', expected a whole string"),
    (b'{"A":"\\"}', 5, "read '\"', expected a whole string"),
    (b'{"A":"\\x41"}', 5, "read '\"', expected a whole string"),
    (b'{"A":"\\u00"}', 5, "read '\"', expected a whole string"),
    (b'{"A":"\\u00g0"}', 5, "read '\"', expected a whole string"),
    (b'{"A":"\\U0041"}', 5, "read '\"', expected a whole string"),
    (b'{"A":"\\\x00"}', 5, "read '\"', expected a whole string"),
    (b'{"A":"\\\n"}', 5, "read '\"', expected a whole string"),
    (b'{"A":"1"', 8, "read its end, expected a comma or the end of the object"),
    (b'{"A":"1""B":"2"}', 8, "read '\"', expected a comma or the end of the object"),
    (b'{"A":"1";"B":"2"}', 8, "read ';', expected a comma or the end of the object"),
    (b'{"A":1.}', 6, "read '.', expected a comma or the end of the object"),
    (b'{"A":1e}', 6, "read 'e', expected a comma or the end of the object"),
    (b'{"A":1e+}', 6, "read 'e', expected a comma or the end of the object"),
    (b'{"A":0x10}', 6, "read 'x', expected a comma or the end of the object"),
    (b'{"A":truely}', 9, "read 'l', expected a comma or the end of the object"),
    (b'{"A":["x"', 9, "read its end, expected a comma or the end of the array"),
    (b'{"A":["x"}', 9, "read '}', expected a comma or the end of the array"),
    (b'{"A":["x" "y"]}', 10, "read '\"', expected a comma or the end of the array"),
    (b'{"A":[', 6, "read its end, expected a value"),
    (b'{"A":["x",]}', 10, "read ']', expected a value"),
    (b'{"A":[,]}', 6, "read ',', expected a value"),
    (b'{"A":["x]}', 6, "read '\"', expected a whole string"),
    (b'{"A":{', 5, "read '{', expected a nested value with its end"),
    (b'{"A":{"x":"}', 5, "read '{', expected a nested value with its end"),
    (b'{"A":{"\\x"}}', 5, "read '{', expected a nested value with its end"),
    (b'{"A":[[1,2]', 11, "read its end, expected a comma or the end of the array"),
    (b'{"A":[[1,2', 6, "read '[', expected a nested value with its end"),
]


@pytest.mark.parametrize(("payload", "offset", "reason"), MALFORMED)
def test_malformed_payload_says_where_and_why(esl, payload, offset, reason):
    e = event(esl, payload)
    assert isinstance(e.malformed, esl.MalformedPayload)
    assert why(e) == ("json", offset, reason)
    assert str(e.malformed) == f"event payload is not JSON as expected: {reason} (byte {offset})"


def test_malformed_event_is_empty_and_keeps_its_bytes(esl):
    payload = b'{"Event-Name":"DTMF","_body":"b","A":"1'
    for first in ("malformed", "body", "name", "pairs", "asdict"):
        (e,) = decode_every_way(esl, framed(payload))
        value = getattr(e, first)
        _ = value() if callable(value) else value
        assert (e.pairs(), e.asdict(), list(e), len(e), e.getlist("A"), e.select("A", "Event-Name")) == (
            *([], {}, [], 0, []),
            (None, None),
        )
        assert (e.name, e.body, e.text, e.get("Event-Name"), "A" in e) == (None, None, "", None, False)
        assert (e.to_dict(), e.to_json()) == ({}, b"{}")
        assert e.raw == e.payload == e.serialize("json") == payload
        with pytest.raises(KeyError):
            e["A"]
        for format in ("plain", "xml"):
            with pytest.raises(esl.MalformedPayload, match=r"expected a whole string \(byte 37\)$"):
                e.serialize(format)


def test_stream_goes_on_after_a_malformed_event(esl):
    data = framed(b'{"A":') + framed(b'{"A":"2"}') + OK + framed(b"") + framed(b'{"A":"3"}')
    bad, good, reply, empty, last = decode_every_way(esl, data)
    assert why(bad) == ("json", 5, "read its end, expected a value")
    assert (good["A"], reply.text, last["A"]) == ("2", "+OK", "3")
    assert why(empty) == ("json", 0, "read its end, expected an object")


WHOLE = (
    '{"Event-Name":"DTMF","a b":"x\\n\\u00e9\\ud83d\\ude00é", "n":-1.5e3,"t":true,"arr":["x","",null,[1]],'
    '"obj":{"k":["}",{}]},"one":["x"],"Content-Length":"3","_body":"abc"}'
).encode()


def test_payload_truncated_at_any_byte_is_malformed(esl):
    assert quick(esl, WHOLE).malformed is None
    for size in range(len(WHOLE)):
        e = quick(esl, WHOLE[:size])
        assert e.malformed is not None
        assert e.malformed.offset <= size
        assert (e.pairs(), e.body, e.to_dict()) == ([], None, {})


def test_payload_truncated_at_any_byte_is_malformed_in_the_same_way_on_both_cores(both):
    c, python = both
    for size in range(len(WHOLE)):
        assert why(quick(c, WHOLE[:size])) == why(quick(python, WHOLE[:size]))


# Size


def test_any_depth_of_nesting_is_read_without_recursion(esl):
    depth = 100_000
    for opened, closed in ((b"[", b"]"), (b'{"a":', b"}")):
        nested = opened * depth + b"0" + closed * depth
        e = quick(esl, b'{"A":%b,"B":"1"}' % nested)
        assert (e["B"], e.malformed) == ("1", None)
        if opened == b"[":
            assert e.getlist("A") == [nested[1:-1].decode()]
        else:
            assert e["A"] == nested.decode()
        assert quick(esl, b'{"A":' + opened * depth).malformed is not None
        assert quick(esl, opened * depth).malformed is not None
    mixed = b'[{"a":' * depth
    assert quick(esl, b'{"A":' + mixed).malformed.why == "read '{', expected a nested value with its end"


def test_array_of_many_items(esl):
    items = [str(number) for number in range(200_000)]
    e = quick(esl, json.dumps({"A": items, "B": "1"}).encode())
    assert e["B"] == "1"
    assert e.getlist("A") == items
    assert e["A"] == "ARRAY::" + "|:".join(items)
    assert json.loads(e.to_json()) == {"A": items, "B": "1"}


def test_many_members_and_long_values(esl):
    headers = {f"name-{number}": str(number) for number in range(50_000)}
    headers["long"] = "x\n" * 500_000
    e = quick(esl, json.dumps(headers).encode())
    assert (e["name-49999"], e["NAME-0"], e.get("absent")) == ("49999", "0", None)
    assert e.asdict() == headers
    assert e.to_dict() == headers


# Any bytes, and an independent reader

JSON_PIECES = st.sampled_from(
    [
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b'"',
        b'"A"',
        b'"_body"',
        b'"Event-Name"',
        b"\\",
        b"\\n",
        b"\\u00e9",
        b"\\ud83d",
        b"\\ude00",
        b"1",
        b"-",
        b".5",
        b"e3",
        b"true",
        b"null",
        b" ",
        b"\n",
        b"\xff",
        b"\xc3\xa9",
        b"ARRAY::a|:b",
    ]
)
GARBAGE = st.one_of(
    st.binary(max_size=40),
    st.lists(JSON_PIECES, max_size=25).map(b"".join),
    st.lists(JSON_PIECES, max_size=20).map(lambda pieces: b'{"A":' + b"".join(pieces) + b"}"),
    st.tuples(st.integers(0, len(WHOLE)), st.integers(0, 9), st.binary(max_size=3)).map(
        lambda cut: WHOLE[: cut[0]] + cut[2] + WHOLE[cut[0] + cut[1] :]
    ),
)


@given(payload=GARBAGE)
@example(payload=b'{"A":"1","_body":"x","A":["2"]}')
def test_any_bytes_are_read_alike_by_both_cores_and_nothing_is_raised(both, payload):
    shown = []
    for package in both:
        for e in (quick(package, payload), *_received(package, payload)):
            shown.append(
                (
                    why(e),
                    e.pairs(),
                    e._fields(),
                    e.body,
                    e.text,
                    list(e.asdict().items()),
                    len(e),
                    e.name,
                    e.sequence,
                    e.getlist("A"),
                    e.select("a", "_body", "EVENT-NAME"),
                    e.to_dict(),
                    e.to_json(),
                    e.to_json("surrogateescape"),
                )
            )
    assert all(other == shown[0] for other in shown)


def _received(package, payload):
    """Two events of one decoder, which may remember the first."""
    decoder = package.Decoder()
    receive(decoder, framed(payload) * 2)
    return list(decoder)


TEXT = st.text(max_size=12)
SCALAR = st.one_of(TEXT, st.integers(), st.booleans(), st.none())
VALUE = st.recursive(SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3))


@given(
    members=st.lists(st.tuples(TEXT.filter(lambda name: name.lower() != "_body"), TEXT | VALUE), max_size=8),
    ascii_only=st.booleans(),
    indent=st.sampled_from([None, 0, 3]),
)
def test_whatever_json_writes_is_read(both, members, ascii_only, indent):
    def dumped(value):
        return json.dumps(value, ensure_ascii=ascii_only, indent=indent)

    def read(value):
        return value if isinstance(value, str) else dumped(value)

    payload = "{" + ",".join(f"{dumped(name)}:{dumped(value)}" for name, value in members) + "}"
    wanted = [(n, [read(item) for item in v] if isinstance(v, list) else read(v)) for n, v in members]
    for package in both:
        e = quick(package, payload.encode("utf-8", "surrogatepass"))
        assert e.malformed is None
        if indent is None:  # a nested value is the text that stands there, indented otherwise when it stands alone
            fields = [(n, v.split("|:") if isinstance(v, str) and v.startswith("ARRAY::") else v) for n, v in wanted]
            assert e._fields() == fields
        assert [name for name, _ in e.pairs()] == [name for name, _ in wanted]


@given(
    names=st.lists(st.sampled_from(["A", "a", "Event-Name", "event-name", "EVENT-NAME", "é", "É", "_x"]), max_size=8),
    order=st.randoms(use_true_random=False),
)
def test_look_ups_in_any_order_equal_the_eager_reading(both, names, order):
    members = [(name, str(at)) for at, name in enumerate(names)]
    payload = ("{" + ",".join(f'"{name}":"{value}"' for name, value in members) + "}").encode()
    asked = ["A", "a", "Event-Name", "event-name", "eVENT-nAME", "é", "É", "_X", "absent", ""]
    for package in both:
        eager = quick(package, payload).asdict()
        folded = {}
        for name in eager:
            folded.setdefault("".join(c.lower() if c.isascii() else c for c in name), name)
        e = quick(package, payload)
        order.shuffle(asked)
        for name in asked:
            key = name if name in eager else folded.get("".join(c.lower() if c.isascii() else c for c in name))
            assert e.get(name) == eager.get(key)
            assert e.getlist(name) == [value for other, value in members if other == key]
            if order.random() < 0.1:
                len(e)


# The Python core's two readers: the standard library's, and the scanner, which says what is right


BLANK = st.sampled_from([b"", b"", b"", b" ", b"\n", b"\t\r\n", b"\x0b", b"\xc2\xa0"])
IN_STRINGS = st.sampled_from(
    [
        *(
            b"a",
            b"Event-Name",
            b"%41",
            b"ARRAY::",
            b"|:",
            b"{",
            b"}",
            b"[",
            b"]",
            b":",
            b",",
            b"'",
            b"\x00",
            b"\x1f",
            b"\x7f",
        ),
        *(b"\\n", b"\\r", b"\\\\", b'\\"', b"\\/", b"\\b", b"\\u0041", b"\\u00e9", b"\\u0000", b"\\uffff", b"\\uD7ff"),
        *(
            b"\\ud83d\\ude00",
            b"\\ud83d",
            b"\\uDE00",
            b"\\u12",
            b"\\u 123",
            b"\\u+123",
            b"\\u1_23",
            b"\\u0x1",
            b"\\x",
            b"\n",
        ),
        *("é".encode(), "你😀".encode(), b"\xc3", b"\xff", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xef\xbb\xbf"),
    ]
)
STRINGS = st.lists(IN_STRINGS, max_size=3).map(lambda parts: b'"' + b"".join(parts) + b'"')
NAMES = st.one_of(
    st.sampled_from(
        [b'"A"', b'"a"', b'"Event-Name"', b'"event-name"', b'"_body"', b'"_Body"', b'"\\u005fbody"', b'""']
    ),
    STRINGS,
)
NUMBERS = st.one_of(
    st.from_regex(rb"-?[0-9]{1,3}(\.[0-9]{0,2})?([eE][-+]?[0-9]{0,2})?", fullmatch=True),
    st.sampled_from(
        [b"1" * 5000, b"-0", b"01", b"1.", b".5", b"+1", "\uff11\uff12".encode(), "1\u0662".encode(), b"0x1", b"1_0"]
    ),
)
WORDS = st.sampled_from(
    [b"true", b"false", b"null", b"NaN", b"Infinity", b"-Infinity", b"True", b"tru", b"nullx", b"", b"'a'"]
)
SCALARS = st.one_of(STRINGS, STRINGS, STRINGS, NUMBERS, WORDS)


@st.composite
def arrays(draw, items):
    comma = draw(BLANK) + b"," + draw(BLANK)
    return (
        b"["
        + draw(BLANK)
        + comma.join(draw(st.lists(items, max_size=3)))
        + draw(st.sampled_from([b"", b",", b" "]))
        + b"]"
    )


@st.composite
def objects(draw, values):
    members = [
        draw(NAMES) + draw(BLANK) + draw(st.sampled_from([b":", b":", b":", b"", b"::"])) + draw(BLANK) + draw(values)
        for _ in range(draw(st.integers(0, 4)))
    ]
    blank = draw(BLANK)
    return b"{" + blank + (blank + b"," + blank).join(members) + draw(st.sampled_from([b"", b"", b"", b","])) + b"}"


NESTED = st.recursive(SCALARS, lambda inner: arrays(inner) | objects(inner), max_leaves=5)
HOSTILE = st.builds(
    lambda before, payload, behind: before + payload + behind,
    st.sampled_from([b"", b"", b"", b" ", b"\n", b"\xef\xbb\xbf", b"\0"]),
    objects(st.one_of(STRINGS, STRINGS, STRINGS, arrays(STRINGS), NESTED)),
    st.sampled_from([b"", b"", b"", b"\n", b" behind", b'{"A":1}', b"}", b"\xff", b"\\ud800"]),
)


def told(read, payload):
    try:
        return read(payload)
    except Exception as fault:
        return type(fault).__name__, fault.offset, fault.why


def slow_reader(quick_reader):
    """The standard library's reader as it is where that has no C."""
    decoder = copy.copy(quick_reader.__self__)
    decoder.parse_string = json.decoder.py_scanstring
    decoder.scan_once = json.scanner.py_make_scanner(decoder)
    return decoder.raw_decode


@pytest.fixture(params=["C", "Python"])
def reading(request, both, monkeypatch):
    """The Python core's `_json`, with both of the standard library's readers."""
    _, python = both
    module = part(python, "_json")
    if request.param == "Python":
        reader = slow_reader(module.reader(module.number))
        monkeypatch.setattr(module, "reader", lambda _: reader)
    return module


PROBES = ("A", "a", "Event-Name", "EVENT-NAME", "_body", "", "aa", "é", "absent")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large])
@given(payload=HOSTILE)
@example(payload=b"{}")
@example(payload=b'{"Event-Name":null,"A":"1","Event-Name":true}')
@example(payload=b'{"A":true,"A":[1,false,null],"_BODY":[1],"_body":"x"}')
@example(payload=b'{"A":"1","B":{"A":"2"}}')
@example(payload=b'{"A":["1",["2"]]}')
@example(payload=b'{"A":[{"x":"y"}]}')
@example(payload=b'{"A":{}}')
@example(payload=b'{"A":"\xc3\\u00a9"}')
def test_the_quick_reader_says_what_the_scanner_says(both, reading, payload):
    c, python = both
    found = told(lambda payload: reading.read(payload, reading.members(payload)), payload)
    assert found == told(reading.scan, payload)
    if len(found) == 2 and isinstance(found[0], list):
        assert all(type(name) is str for name, _ in found[0])
        assert all(type(text) is str for _, value in found[0] for text in ([value] if type(value) is str else value))
    wanted = quick(c, payload)
    for name in PROBES:  # each as the first thing that is asked
        e = quick(python, payload)
        assert (name in e, e.get(name), e._last(name)) == (name in wanted, wanted.get(name), wanted._last(name))
        assert list(e.asdict().items()) == list(wanted.asdict().items())
    for first in ("asdict", "pairs", "_fields", "to_json", "__len__", "get A", "_last A", "body", "malformed"):
        e = quick(python, payload)
        method, *names = first.split()
        asked = getattr(e, method)
        if callable(asked):
            asked(*names)
        assert list(e.asdict().items()) == list(wanted.asdict().items())
        assert (e.pairs(), e._fields(), e.body, why(e)) == (
            *(wanted.pairs(), wanted._fields()),
            *(wanted.body, why(wanted)),
        )
        assert [e.get(name) for name in PROBES] == [wanted.get(name) for name in PROBES]
        assert [e.getlist(name) for name in PROBES] == [wanted.getlist(name) for name in PROBES]
        assert (list(e), len(e), dict(e)) == (list(wanted), len(wanted), wanted.asdict())
        assert (e.to_dict(), e.to_json()) == (wanted.to_dict(), wanted.to_json())


@pytest.mark.parametrize("name", ["special_json", "bgapi_json", "crlf_json", "out_myevents_json"])
def test_what_a_switch_writes_is_for_the_quick_reader(reading, name):
    decoder = eslcodec.Decoder()
    receive(decoder, capture(name))
    payloads = [message.payload for message in decoder if message.content_type == "text/event-json"]
    assert payloads
    for payload in payloads:
        members = reading.members(payload)
        assert reading.read(payload, members) == reading.scan(payload)
        if payload.count(b"[") + payload.count(b"{") <= reading._MOST_BRACKETS:
            assert members is not None
            assert reading.settled(members) is not None


@pytest.mark.parametrize("deep", [b"[", b'{"a":', b'[{"a":'])
def test_the_quick_reader_never_calls_itself_often(reading, deep):
    most = (reading._MOST_BRACKETS - 1) // (deep.count(b"[") + deep.count(b"{"))
    closing = {b"[": b"]", b"{": b"}"}
    for depth in (most - 1, most, most + 1, 100_000):
        end = b"".join(closing[bytes([byte])] for byte in reversed(deep) if bytes([byte]) in closing)
        payload = b'{"A":%b0%b,"B":"1"}' % (deep * depth, end * depth)
        brackets = payload.count(b"[") + payload.count(b"{")
        assert (reading.members(payload) is None) is (brackets > reading._MOST_BRACKETS)
        assert reading.read(payload, reading.members(payload)) == reading.scan(payload)


def test_near_the_limit_of_calls_the_scanner_reads(reading, monkeypatch):
    def fail(text):
        raise RecursionError

    payload = b'{"A":"1"}'
    assert reading.members(payload) == (("A", "1"),)
    monkeypatch.setattr(reading, "reader", lambda _: fail)
    assert reading.members(payload) is None
    assert reading.read(payload, None) == ([("A", "1")], None)
