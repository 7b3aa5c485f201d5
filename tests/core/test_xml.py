"""XML event payloads: what eslcodec/_xml.py says about reading them (docs/protocol/payloads.md, P4.3)."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support import OK, decode_every_way, examples, part, to_text


def framed(payload):
    return b"Content-Length: %d\nContent-Type: text/event-xml\n\n%b" % (len(payload), payload)


def event(esl, payload):
    (message,) = decode_every_way(esl, framed(payload))
    assert type(message) is esl.Event
    assert message.raw == message.payload == payload
    return message


def quick(esl, payload):
    return esl.Event.from_payload(payload, "xml")


def document(headers, rest=b""):
    """A payload as the switch writes it, with these lines in its headers and behind them."""
    return b"<event>\n  <headers>\n%b  </headers>\n%b</event>\n" % (headers, rest)


def line(name, value):
    return b"    <%b>%b</%b>\n" % (name, value, name)


def why(e):
    return e.malformed and (e.malformed.format, e.malformed.offset, e.malformed.why)


# Headers


def test_elements_are_headers_in_order(esl):
    e = event(esl, document(line(b"Event-Name", b"DTMF") + line(b"Unique-ID", b"a1") + line(b"DTMF-Digit", b"%23")))
    assert e.malformed is None
    assert e.pairs() == [("Event-Name", "DTMF"), ("Unique-ID", "a1"), ("DTMF-Digit", "#")]
    assert (e.name, e.uuid, e["dtmf-digit"], e.body) == ("DTMF", "a1", "#", None)


@pytest.mark.parametrize("payload", [document(b""), b"<event/>", b"<event></event>", b"<event><headers/></event>"])
def test_event_without_headers_has_none(esl, payload):
    e = event(esl, payload)
    assert (e.malformed, e.pairs(), e.asdict(), len(e), e.body, e.name) == (None, [], {}, 0, None, None)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"a%20b%3Ac", "a b:c"),
        (b"%C3%A9%c3%a9", "éé"),
        (b"%2541", "%41"),
        (b"100%", "100%"),
        (b"%zz%4", "%zz%4"),
        (b"%FF", "\udcff"),
        (b"%00", "\0"),
        (b"a+b", "a+b"),
        ("é".encode(), "é"),
        (b"&#xE9;&#233;", "éé"),
        (b"&lt;&amp;&gt;&quot;&apos;", "<&>\"'"),
        (b"&#37;41", "A"),
        (b"<![CDATA[<x>%41]]>", "<x>A"),
        (b"  two  ", "  two  "),
        (b"", ""),
        (b"_undef_", "_undef_"),
        (b"a\r\nb\rc", "a\nb\nc"),
        (b"a&#13;&#10;b", "a\r\nb"),
        (b"x<!-- no -->y<?no?>z", "xyz"),
    ],
)
def test_value_is_xml_text_and_then_percent_decoded(esl, value, text):
    e = event(esl, document(line(b"A", value) + line(b"B", b"1")))
    assert e.pairs() == [("A", text), ("B", "1")]
    assert (e["A"], e["a"], e.getlist("A"), e.select("A")) == (text, text, [text], (text,))


def test_encoded_line_feed_makes_no_header(esl):
    e = event(esl, document(line(b"A", b"1%0AB%3A%202%0A%0A%3CC%3E3%3C/C%3E")))
    assert e.asdict() == {"A": "1\nB: 2\n\n<C>3</C>"}
    assert (e.get("B"), e.get("C"), e.body) == (None, None, None)


def test_names_are_never_percent_decoded_and_may_be_any_xml_name(esl):
    e = event(esl, document(line("Näme".encode(), b"1") + line(b"a:b.c-d_e", b"2") + line(b"_body", b"3")))
    assert e.asdict() == {"Näme": "1", "a:b.c-d_e": "2", "_body": "3"}
    assert e.body is None


def test_attributes_and_other_elements_are_no_headers(esl):
    payload = b'<event a="1"><x>no</x><headers b="2"><A c="3">yes</A></headers><headers><B>2</B></headers>text</event>'
    assert event(esl, payload).asdict() == {"A": "yes", "B": "2"}


def test_element_in_a_header_is_no_header(esl):
    e = event(esl, document(line(b"A", b"<B>in</B>") + line(b"C", b"1")))
    assert "B" not in e
    assert e["C"] == "1"


def test_declaration_of_another_encoding_changes_nothing(esl):
    for encoding in (b"utf-8", b"iso-8859-1", b"utf-16", b"us-ascii", b"no-such"):
        declared = b'<?xml version="1.0" encoding="%b"?>\n' % encoding
        assert event(esl, declared + document(line(b"A", "é".encode()))).asdict() == {"A": "é"}


# Arrays


def test_neighbours_of_one_name_are_an_array(esl):
    e = event(esl, document(line(b"A", b"x%20y") + line(b"A", b"") + line(b"A", b"z") + line(b"B", b"1")))
    assert e._fields() == [("A", ["x y", "", "z"]), ("B", "1")]
    assert e.pairs() == [("A", "ARRAY::x y|:|:z"), ("B", "1")]
    assert e["A"] == e["a"] == "ARRAY::x y|:|:z"
    assert e.getlist("A") == ["x y", "", "z"]
    assert e.to_dict() == {"A": ["x y", "", "z"], "B": "1"}


def test_two_event_names_side_by_side_are_no_array_and_the_last_counts(esl):
    e = event(esl, document(line(b"Event-Name", b"COMMAND") + line(b"Event-Name", b"PRIVATE_COMMAND")))
    assert e.pairs() == [("Event-Name", "COMMAND"), ("Event-Name", "PRIVATE_COMMAND")]
    assert e.name == e["Event-Name"] == "PRIVATE_COMMAND"


def test_repeats_with_something_between_them_are_repeats(esl):
    e = event(esl, document(line(b"A", b"1") + line(b"B", b"2") + line(b"A", b"3") + line(b"a", b"4")))
    assert e.pairs() == [("A", "1"), ("B", "2"), ("A", "3"), ("a", "4")]
    assert (e["A"], e["a"], e.getlist("A")) == ("1", "4", ["1", "3"])
    assert e.asdict() == {"A": "1", "B": "2", "a": "4"}


def test_array_of_one_is_text(esl):
    assert event(esl, document(line(b"A", b"x")))._fields() == [("A", "x")]


def test_text_of_an_array_is_one_pair_and_its_items_in_lists(esl):
    e = event(esl, document(line(b"A", b"ARRAY%3A%3Aa%7C%3Ab")))
    assert e.pairs() == [("A", "ARRAY::a|:b")]
    assert e.getlist("A") == ["a", "b"]
    assert e._fields() == [("A", ["a", "b"])]


def test_last_of_several_event_names_counts(esl):
    names = [line(b"Event-Name", b"COMMAND"), line(b"A", b"1"), line(b"Event-Name", b"PRIVATE_COMMAND")]
    e = event(esl, document(b"".join(names)))
    assert (e.name, e["event-name"], e.asdict()) == (
        *("PRIVATE_COMMAND", "PRIVATE_COMMAND"),
        {"Event-Name": "PRIVATE_COMMAND", "A": "1"},
    )


# Content-Length and body


def with_body(length, body):
    rest = b"" if length is None else b"  <Content-Length>%b</Content-Length>\n" % length
    return document(line(b"A", b"1"), rest + b"  <body>%b</body>\n" % body)


@pytest.mark.parametrize(
    ("length", "text", "body"),
    [
        (b"5", b"hello", b"hello"),
        (b"5", b"ends\n  ", b"ends\n"),
        (b"6", b"ends\n  ", b"ends\n "),
        (b"99", b"ends\n  ", b"ends\n  "),
        (b"3", b"hello", b"hel"),
        (b"0", b"hello", b""),
        (b"0", b"", b""),
        (b" 5\n", b"ends\n  ", b"ends\n"),
        (b"00005", b"ends\n  ", b"ends\n"),
        (b"2", "é!".encode(), b"\xc3\xa9"),
        (b"1", "é!".encode(), b"\xc3"),
        (b"2", b"&#xE9;!", b"\xc3\xa9"),
        (b"4", b"&lt;&amp;&gt;\"'", b'<&>"'),
        (b"3", b"a&#xD;\n  ", b"a\r\n"),
        (b"3", b"%41", b"%41"),
        (b"9", b"<![CDATA[a<b>&]]>  ", b"a<b>&  "),
        (b"", b"text  ", b"text  "),
        (b"x", b"text  ", b"text  "),
        (b"-1", b"text  ", b"text  "),
        (b"+4", b"text  ", b"text  "),
        (b"4.0", b"text  ", b"text  "),
        ("\u0664".encode(), b"text  ", b"text  "),
        ("\u00b2".encode(), b"text  ", b"text  "),
        (b"9" * 5000, b"text  ", b"text  "),
        (None, b"text\n  ", b"text\n  "),
        (None, b"", b""),
    ],
)
def test_body_is_cut_to_its_length_in_bytes(esl, length, text, body):
    e = event(esl, with_body(length, text))
    assert e.malformed is None
    assert (e.body, e.text) == (body, to_text(body))
    lengths = [] if length is None else [("Content-Length", length.decode().strip())]
    assert e.pairs() == [("A", "1"), *lengths]


def test_content_length_beside_the_headers_is_the_last_header(esl):
    rest = b"  <body>ab</body>\n  <Content-Length>1</Content-Length>\n"
    e = event(esl, document(line(b"Content-Length", b"7") + line(b"Content-Length", b"8"), rest))
    assert e._fields() == [("Content-Length", ["7", "8"]), ("Content-Length", "1")]
    assert e.body == b"a"


def test_first_body_and_first_length_count(esl):
    rest = b"<Content-Length>1</Content-Length><body>ab</body><Content-Length>2</Content-Length><body>cd</body>"
    e = event(esl, document(b"", rest))
    assert (e.body, e.pairs()) == (b"a", [("Content-Length", "1")])


def test_body_that_looks_like_headers_adds_none(esl):
    e = event(esl, with_body(b"40", b"&lt;headers>&lt;B>1&lt;/B>&lt;/headers>\nC: 2"))
    assert list(e) == ["A", "Content-Length"]


# Malformed payloads


@pytest.mark.parametrize(
    ("payload", "offset"),
    [
        (b"", 0),
        (b"\n", 1),
        (b"text", 0),
        (b"<event", 0),
        (b"<event>", 7),
        (b"<event>\n  <headers>\n    <variable_a b>x</variable_a b>\n", 37),
        (b"<event><headers><1a>x</1a></headers></event>", 17),
        (b"<event><headers><A>x</B></headers></event>", 22),
        (b"<event><headers><a:b: c>x</a:b: c></headers></event>", 23),
        (b"<event><headers><A>&nbsp;</A></headers></event>", 19),
        (b"<event><headers><A>& b</A></headers></event>", 20),
        (b"<event><body>x <!-- & --> &</body></event>", 27),
        (b"<event><body>\xff</body></event>", 13),
        (b"<event><body>\xed\xa0\x80</body></event>", 13),
        (b"<event><body>\x00</body></event>", 13),
        (b"<event><body>\x01</body></event>", 13),
        (b"<event><body>&#0;</body></event>", 13),
        (b"<event><body>&#xD800;</body></event>", 13),
        (b"<event/><event/>", 8),
        (b"<event/>junk", 8),
        (b'<?xml version="1.0"', 0),
        (b"<!-- only a comment -->", 23),
    ],
)
def test_malformed_payload_says_where_and_why(esl, payload, offset):
    e = event(esl, payload)
    assert isinstance(e.malformed, esl.MalformedPayload)
    assert (e.malformed.format, e.malformed.offset) == ("xml", offset)
    assert e.malformed.why
    assert str(e.malformed) == f"event payload is not XML as expected: {e.malformed.why} (byte {offset})"


def test_document_that_is_no_event_is_malformed(esl):
    assert why(event(esl, b"<events/>")) == ("xml", 0, "read <events>, expected <event>")
    assert why(event(esl, b"<!-- x --><Event></Event>")) == ("xml", 10, "read <Event>, expected <event>")
    assert event(esl, b"<%b/>" % (b"x" * 5000)).malformed.why == f"read <{'x' * 60}>, expected <event>"
    assert why(event(esl, "<Zo\u00eb\u06dd/>".encode())) == ("xml", 0, "read <Zo\u00eb\\u06dd>, expected <event>")


HEAD = b'<?xml version="1.0"?>\n'
BILLION_LAUGHS = (
    HEAD
    + b'<!DOCTYPE event [<!ENTITY a "ha">'
    + b"".join(b'<!ENTITY %c "%b">' % (98 + at, b"&%c;" % (97 + at) * 10) for at in range(20))
    + b"]><event><body>&u;</body></event>"
)


@pytest.mark.parametrize(
    "payload",
    [
        HEAD + b"<!DOCTYPE event><event/>",
        HEAD + b'<!DOCTYPE event SYSTEM "http://192.0.2.1/x.dtd"><event/>',
        HEAD + b'<!DOCTYPE event PUBLIC "-//X//EN" "file:///etc/passwd"><event/>',
        HEAD + b'<!DOCTYPE event [<!ENTITY x "y">]><event><body>&x;</body></event>',
        HEAD + b'<!DOCTYPE event [<!ENTITY x SYSTEM "file:///etc/passwd">]><event><body>&x;</body></event>',
        HEAD + b'<!DOCTYPE event [<!ENTITY % x SYSTEM "http://192.0.2.1/x"> %x;]><event/>',
        HEAD + b'<!DOCTYPE event [<!ATTLIST event a CDATA "b">]><event/>',
        BILLION_LAUGHS,
    ],
)
def test_document_type_is_refused_before_anything_of_it_is_used(esl, payload):
    e = event(esl, payload)
    assert (e.malformed.format, e.malformed.why) == ("xml", "read a document type, expected none")
    assert len(HEAD) <= e.malformed.offset <= payload.index(b"<event")
    assert (e.pairs(), e.body) == ([], None)


def test_malformed_event_is_empty_and_keeps_its_bytes(esl):
    payload = document(line(b"Event-Name", b"DTMF") + line(b"variable_a b", b"x"))
    for first in ("malformed", "body", "name", "pairs", "asdict"):
        (e,) = decode_every_way(esl, framed(payload))
        value = getattr(e, first)
        _ = value() if callable(value) else value
        assert (e.pairs(), e.asdict(), list(e), len(e), e.getlist("Event-Name")) == ([], {}, [], 0, [])
        assert (e.name, e.body, e.text, e.get("Event-Name"), e.select("Event-Name")) == (None, None, "", None, (None,))
        assert (e.to_dict(), e.to_json()) == ({}, b"{}")
        assert e.raw == e.payload == e.serialize("xml") == payload
        with pytest.raises(KeyError):
            e["Event-Name"]
        for format in ("plain", "json"):
            with pytest.raises(esl.MalformedPayload, match=r"^event payload is not XML as expected: "):
                e.serialize(format)


def test_stream_goes_on_after_a_malformed_event(esl):
    good = document(line(b"A", b"1"))
    bad, first, reply, empty, last = decode_every_way(
        esl, framed(b"<event>") + framed(good) + OK + framed(b"") + framed(good)
    )
    assert (bad.malformed is None, empty.malformed is None) == (False, False)
    assert (first["A"], reply.text, last["A"]) == ("1", "+OK", "1")


WHOLE = document(
    line(b"Event-Name", b"DTMF") + line(b"A", b"x%20") + line(b"A", b"y") + line("é".encode(), b"&amp;"),
    b"  <Content-Length>5</Content-Length>\n  <body>h&#xE9;l\n  </body>\n",
)


def test_payload_truncated_at_any_byte_of_the_document_is_malformed(esl):
    end = WHOLE.index(b"</event>") + len(b"</event>")
    for size in range(len(WHOLE) + 1):
        e = quick(esl, WHOLE[:size])
        if size < end:
            assert e.malformed is not None
            assert e.malformed.offset <= size
            assert (e.pairs(), e.body, e.to_dict()) == ([], None, {})
        else:
            assert (e.malformed, e.body, e["é"], e.getlist("A")) == (None, b"h\xc3\xa9l\n", "&", ["x ", "y"])


# Size


def test_any_depth_of_nesting_is_read_without_recursion(esl):
    depth = 100_000
    nested = b"<a>" * depth + b"</a>" * depth
    e = quick(esl, document(line(b"A", nested) + line(b"B", b"1"), b"<x>" + nested + b"</x>"))
    assert (e.malformed, e["B"], len(e)) == (None, "1", 2)
    assert quick(esl, b"<event>" + b"<a>" * depth).malformed is not None


def test_array_of_many_items(esl):
    items = [str(number) for number in range(100_000)]
    e = quick(esl, document(b"".join(line(b"A", item.encode()) for item in items) + line(b"B", b"1")))
    assert e["B"] == "1"
    assert e.getlist("A") == items


def test_large_body(esl):
    body = b"line of text\n" * 200_000
    e = quick(esl, with_body(b"%d" % len(body), body + b"  "))
    assert e.body == body


# Any bytes

PIECES = st.sampled_from(
    [
        b"<event>",
        b"</event>",
        b"<headers>",
        b"</headers>",
        b"<A>",
        b"</A>",
        b"<A/>",
        b"<body>",
        b"</body>",
        b"x",
        b"%41",
        b"<Content-Length>",
        b"</Content-Length>",
        b"1",
        b"&amp;",
        b"&#233;",
        b"&",
        b"<!DOCTYPE x>",
        b"<![CDATA[",
        b"]]>",
        b"<!-- ",
        b"-->",
        b"<?x ?>",
        b"\n",
        b" ",
        b"\xff",
        b"\xc3\xa9",
        b"\x00",
        b"ARRAY::a|:b",
    ]
)
GARBAGE = st.one_of(
    st.binary(max_size=40),
    st.lists(PIECES, max_size=25).map(b"".join),
    st.lists(PIECES, max_size=15).map(lambda pieces: document(b"".join(pieces))),
    st.tuples(st.integers(0, len(WHOLE)), st.integers(0, 9), st.binary(max_size=3)).map(
        lambda cut: WHOLE[: cut[0]] + cut[2] + WHOLE[cut[0] + cut[1] :]
    ),
)


@given(payload=GARBAGE)
@example(payload=WHOLE)
def test_any_bytes_are_read_alike_by_both_cores_and_nothing_is_raised(both, payload):
    shown = []
    for package in both:
        e = quick(package, payload)
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
    assert shown[0] == shown[1]


@given(
    names=st.lists(st.sampled_from(["A", "a", "Event-Name", "event-name", "é", "É", "B"]), max_size=8),
    order=st.randoms(use_true_random=False),
)
def test_look_ups_in_any_order_equal_the_eager_reading(both, names, order):
    payload = document(b"".join(line(name.encode(), b"%d" % at) for at, name in enumerate(names)))
    asked = ["A", "a", "Event-Name", "event-name", "eVENT-nAME", "é", "É", "b", "absent", ""]
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
            assert (name in e) == (key is not None)


# What is written as a switch writes it is read without expat, to the same


USUAL = document(
    line(b"Event-Name", b"DTMF") + line(b"A", b"1") + line(b"A", b"%C3%A9|:2") + line(b"B-2", b"") + line(b"a", b"x"),
    b"  <Content-Length>14</Content-Length>\n  <body>a&amp;&#xE9;\n\xc3\xa9 &lt;b&gt;&#33;c\n  </body>\n",
)


def read_by_expat(esl, payload):
    fields, body, fault = part(esl, "_core.json_in").read_payload(part(esl, "_codec_py").XML, payload)
    return [(name, part(esl, "_json").joined(value)) for name, value in fields], fields, body, fault


def assert_read_as_by_expat(esl, payload):
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


def told(esl, write, *arguments):
    try:
        return write(*arguments)
    except esl.InvalidCommand as error:
        return str(error)


def assert_written_as_of_fields(esl, e, fields, body):
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


def test_usual_payload_has_all_its_parts(esl):
    e = event(esl, USUAL)
    assert e.pairs() == [
        *(("Event-Name", "DTMF"), ("A", "ARRAY::1|:\u00e9|:2"), ("B-2", ""), ("a", "x"), ("Content-Length", "14")),
    ]
    assert e.body == "a&\u00e9\n\u00e9 <b>!c\n".encode()
    assert_read_as_by_expat(esl, USUAL)


@pytest.mark.parametrize(
    "byte", [b"", b"<", b">", b"&", b"/", b"\n", b"\r", b" ", b"0", b"x", b"\xc3", b"\x7f", b"\x01", b"]"]
)
def test_one_byte_more_or_less_is_read_as_by_expat(esl, byte):
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
def test_events_of_one_decoder_are_written_as_of_what_expat_reads(both, events):
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
def test_any_number_of_names_is_written_each_once(esl, count, repeat):
    names = [b"Event-Name", *(b"name-%d" % number for number in range(count)), *([repeat] if repeat else [])]
    payload = document(b"".join(line(name, b"%d" % at) for at, name in enumerate(names)))
    assert_read_as_by_expat(esl, payload)


@pytest.mark.parametrize("middles", [["aaaa", "bbbb"], [f"{number:06}" for number in range(2000)]])
def test_names_that_begin_and_end_alike_are_written_each_once(esl, middles):
    """What is looked at to tell names apart quickly is the same in all of them."""
    names = [f"variable_sip_h_X-Attribute-{middle}-of-the-leg-that-was-bridged" for middle in middles]
    payload = document(b"".join(line(name.encode(), b"1") for name in [*names, "A", names[0]]))
    assert_read_as_by_expat(esl, payload)


def test_payload_that_is_cut_is_read_as_by_expat(esl):
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
def test_references_are_those_of_xml(esl, reference, end):
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
def test_texts_are_those_of_xml(esl, text):
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
def test_any_headers_and_body_are_read_as_by_expat(esl, headers, length, body, swapped):
    rest = [
        *([] if length is None else [b"  <Content-Length>%b</Content-Length>\n" % length]),
        *([] if body is None else [b"  <body>%b</body>\n" % body]),
    ]
    payload = document(b"".join(line(*header) for header in headers), b"".join(rest[::-1] if swapped else rest))
    assert_read_as_by_expat(esl, payload)
