"""XML event payloads as a switch writes them: read without expat, to the same (docs/protocol/payloads.md, P4.3)."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import examples, part
from xml_support import document, event, framed, line, quick, why, with_body

# What is written as a switch writes it is read without expat, to the same

USUAL = document(
    line(b"Event-Name", b"DTMF") + line(b"A", b"1") + line(b"A", b"%C3%A9|:2") + line(b"B-2", b"") + line(b"a", b"x"),
    b"  <Content-Length>14</Content-Length>\n  <body>a&amp;&#xE9;\n\xc3\xa9 &lt;b&gt;&#33;c\n  </body>\n",
)


def read_by_expat(esl: ModuleType, payload: Any) -> Any:
    fields, body, fault = part(esl, "_core.json_in").read_payload(part(esl, "_codec_py").XML, payload)
    return [(name, part(esl, "_json").joined(value)) for name, value in fields], fields, body, fault


def assert_read_as_by_expat(esl: ModuleType, payload: Any) -> None:
    pairs, fields, body, fault = read_by_expat(esl, payload)
    e = quick(esl, payload)
    for name in ("A", "B-2", "b-2", "a", "event-name", "Event-Name", "Content-Length", "CONTENT-length", "absent"):
        exact = [value for other, value in pairs if other == name]
        spelled = next((other for other, _ in pairs if other.lower() == name.lower()), None)
        same = exact or [value for other, value in pairs if other == spelled]
        wanted = None if not same else same[-1] if "Event-Name" in (name if exact else spelled) else same[0]
        assert e.get(name) == wanted, name
        assert e._last(name) == (same[-1] if same else None), name
    assert (e.pairs(), e.body, why(e)) == (pairs, body, fault)
    first = {}
    for name, value in pairs:
        if name not in first or name == "Event-Name":
            first[name] = value
    assert [*e.asdict().items()] == [*first.items()]
    key = "A" if "A" in first else next((name for name in first if name in ("A", "a")), None)
    values = [
        part(esl, "_codec_py").split_array(value) if isinstance(value, str) else value
        for name, value in fields
        if name == key
    ]
    assert e.getlist("A") == [item for value in values for item in ([value] if isinstance(value, str) else value)]
    assert_written_as_of_fields(esl, e, fields, body)


def told(esl: ModuleType, write: Any, *arguments: Any) -> Any:
    try:
        return write(*arguments)
    except esl.InvalidCommand as error:
        return str(error)


def assert_written_as_of_fields(esl: ModuleType, e: Any, fields: Any, body: Any) -> None:
    core = part(esl, "_core.json_out")
    shaped = [
        (name, part(esl, "_codec_py").split_array(value) if isinstance(value, str) else value) for name, value in fields
    ]
    assert e._fields() == shaped
    for errors in ("replace", "surrogateescape"):
        assert e.to_json(errors) == core.to_json(shaped, body, errors == "replace")
        assert [*e.to_dict(errors).items()] == [*core.to_mapping(shaped, body, errors == "replace").items()]
    if e.malformed is None:
        render = part(esl, "render").PAYLOADS["json"]
        assert told(esl, e.serialize, "json") == told(esl, render, shaped, body)


def test_usual_payload_has_all_its_parts(esl: ModuleType) -> None:
    e = event(esl, USUAL)
    assert e.pairs() == [
        *(("Event-Name", "DTMF"), ("A", "ARRAY::1|:\u00e9|:2"), ("B-2", ""), ("a", "x"), ("Content-Length", "14")),
    ]
    assert e.body == "a&\u00e9\n\u00e9 <b>!c\n".encode()
    assert_read_as_by_expat(esl, USUAL)


@pytest.mark.parametrize(
    "byte", [b"", b"<", b">", b"&", b"/", b"\n", b"\r", b" ", b"0", b"x", b"\xc3", b"\x7f", b"\x01", b"]"]
)
def test_one_byte_more_or_less_is_read_as_by_expat(esl: ModuleType, byte: bytes) -> None:
    for at in range(len(USUAL)):
        for behind in (at, at + 1):
            assert_read_as_by_expat(esl, USUAL[:at] + byte + USUAL[behind:])


VALUES = st.one_of(
    st.sampled_from([b"", b"x", b"%C3%A9", b"%E9", b"%22%5C%0A%00%1F", b"ARRAY::", b"ARRAY::x", b"ARRAY::a|:b%E9|:"]),
    st.sampled_from(
        [b"ARRAY%3A%3Ax%7C%3Ay", b"%41RRAY::%22|:%5c", b"ARRAY:", b"ARRAY::ARRAY::x", b"%", b"%zz|:", b"%7F"]
    ),
    st.sampled_from([b"long" * 300, b"%C3%A9" * 400, b"%E9" * 1500, b"ARRAY::" + b"i%22|:" * 900]),
)
NAMES = st.sampled_from(
    [b"A", b"a", b"Event-Name", b"event-name", b"Core-UUID", b"_body", b"_BODY", b"Content-Length", b"B-2", b"x" * 90]
)
BODIES = st.one_of(
    st.just(b""),
    st.tuples(
        st.sampled_from([b"0", b"1", b"3", b"00002", b"4096", b"999999999999999999"]),
        st.sampled_from([b"", b"\xc3\xa9\xc3\xa9", b'a"\\&amp;&#10;&#x7f;\n  ', b"x&#233;" * 900]),
    ).map(lambda body: with_body(*body).partition(b"  </headers>\n")[2].removesuffix(b"</event>\n")),
)


@given(events=st.lists(st.tuples(st.lists(st.tuples(NAMES, VALUES), max_size=12), BODIES), min_size=1, max_size=3))
def test_events_of_one_decoder_are_written_as_of_what_expat_reads(
    both: tuple[ModuleType, ModuleType], events: Any
) -> None:
    payloads = [document(b"".join(line(*header) for header in headers), rest) for headers, rest in events]
    for esl in both:
        decoder = esl.Decoder()
        for _ in range(2):
            decoder.feed(b"".join(map(framed, payloads)))
            for payload, e in zip(payloads, list(decoder), strict=True):
                pairs, fields, body, _ = read_by_expat(esl, payload)
                assert_written_as_of_fields(esl, e, fields, body)
                assert (e.pairs(), e.body) == (pairs, body)


@pytest.mark.parametrize("count", [1, 31, 32, 33, 64, 65, 3000])
@pytest.mark.parametrize("repeat", [b"", b"name-0", b"Event-Name", b"_body"])
def test_any_number_of_names_is_written_each_once(esl: ModuleType, count: int, repeat: bytes) -> None:
    names = [b"Event-Name", *(b"name-%d" % number for number in range(count)), *([repeat] if repeat else [])]
    payload = document(b"".join(line(name, b"%d" % at) for at, name in enumerate(names)))
    assert_read_as_by_expat(esl, payload)


@pytest.mark.parametrize("middles", [["aaaa", "bbbb"], [f"{number:06}" for number in range(2000)]])
def test_names_that_begin_and_end_alike_are_written_each_once(esl: ModuleType, middles: Any) -> None:
    """What is looked at to tell names apart quickly is the same in all of them."""
    names = [f"variable_sip_h_X-Attribute-{middle}-of-the-leg-that-was-bridged" for middle in middles]
    payload = document(b"".join(line(name.encode(), b"1") for name in [*names, "A", names[0]]))
    assert_read_as_by_expat(esl, payload)


def test_payload_that_is_cut_is_read_as_by_expat(esl: ModuleType) -> None:
    for end in range(len(USUAL)):
        assert_read_as_by_expat(esl, USUAL[:end])


REFERENCES = [
    *(
        b"amp",
        b"lt",
        b"gt",
        b"quot",
        b"apos",
        b"AMP",
        b"nbsp",
        b"",
        b"#",
        b"#x",
        b"#X41",
        b"#65",
        b"#x41",
        b"#x9",
        b"#xD",
    ),
    *(b"#x0", b"#x1F", b"#x20", b"#x7F", b"#x7FF", b"#x800", b"#xD7FF", b"#xD800", b"#xDFFF", b"#xE000", b"#xFFFD"),
    *(b"#xFFFE", b"#xFFFF", b"#x10000", b"#x1FFFE", b"#x10FFFF", b"#x110000", b"#1114111", b"#1114112", b"#00000065"),
    *(b"#x0000041", b"#x00000041", b"#6a", b"#xg", b"amp ", b" amp"),
]


@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize("end", [b";", b""])
def test_references_are_those_of_xml(esl: ModuleType, reference: Any, end: bytes) -> None:
    text = b"a&" + reference + end + b"b"
    body = b"  <Content-Length>%d</Content-Length>\n  <body>%b</body>\n"
    for length in (0, 1, 2, 3, 4, 999, 10**18, 10**19):
        assert_read_as_by_expat(esl, document(line(b"A", b"1"), body % (length, text)))
    assert_read_as_by_expat(esl, document(line(b"A", text)))


TEXTS = [
    *(b"\xef\xbf\xbd", b"\xef\xbf\xbe", b"\xef\xbf\xbf", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b"\xf4\x90\x80\x80"),
    *(
        b"\xc2\x85",
        b"\xf0\x9f\xbf\xbe",
        b"]]>",
        b"]]&gt;",
        b"\r\n",
        b"\t",
        b"\x0b",
        b"\x7f",
        b"<b/>",
        b"<!-- -->",
        b"<![CDATA[x]]>",
    ),
    *(b" ", b"", b"x" * 40 + b"\n" + b"y" * 40, b"\xc3", b"\xa9"),
]


@pytest.mark.parametrize("text", TEXTS)
def test_texts_are_those_of_xml(esl: ModuleType, text: Any) -> None:
    body = b"  <Content-Length>90</Content-Length>\n  <body>%b</body>\n" % text
    assert_read_as_by_expat(esl, document(line(b"A", b"1"), body))
    assert_read_as_by_expat(esl, document(line(b"A", text), body))
    assert_read_as_by_expat(esl, document(line(b"A", b"x" * 30 + text)))


NAMED = st.sampled_from(
    [
        *(b"A", b"a", b"A", b"B-2", b"Event-Name", b"event-name", b"Core-UUID", b"Event-Sequence", b"Content-Length"),
        *(b"Event-Date-Timestamp", b"x_1.y", b"-x", b"1x", b"x:y", b"\xc3\xa9", b"a b", b"headers", b"body"),
    ]
)


@given(
    headers=st.lists(
        st.tuples(NAMED, st.sampled_from([b"", b"1", b"DTMF", b"ARRAY::a|:b", b"%25", b"|:"])), max_size=8
    ),
    length=st.sampled_from([None, b"", b"0", b"3", b" 3 ", b"+3", b"3.0", b"\xd9\xa3", b"0003"]),
    body=st.sampled_from([None, b"", b"body", b"b&#xE9;y\n  "]),
    swapped=st.booleans(),
)
@examples(200)
def test_any_headers_and_body_are_read_as_by_expat(
    esl: ModuleType, headers: Any, length: Any, body: Any, swapped: Any
) -> None:
    rest = [
        *([] if length is None else [b"  <Content-Length>%b</Content-Length>\n" % length]),
        *([] if body is None else [b"  <body>%b</body>\n" % body]),
    ]
    payload = document(b"".join(line(*header) for header in headers), b"".join(rest[::-1] if swapped else rest))
    assert_read_as_by_expat(esl, payload)
