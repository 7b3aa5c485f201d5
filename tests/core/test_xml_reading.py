"""XML event payloads: what eslcodec/_xml.py says about reading them (docs/protocol/payloads.md, P4.3)."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support import OK, decode_every_way, to_text
from xml_support import document, event, framed, line, quick, why, with_body

# Headers


def test_elements_are_headers_in_order(esl: ModuleType) -> None:
    e = event(esl, document(line(b"Event-Name", b"DTMF") + line(b"Unique-ID", b"a1") + line(b"DTMF-Digit", b"%23")))
    assert e.malformed is None
    assert e.pairs() == [("Event-Name", "DTMF"), ("Unique-ID", "a1"), ("DTMF-Digit", "#")]
    assert (e.name, e.uuid, e["dtmf-digit"], e.body) == ("DTMF", "a1", "#", None)


@pytest.mark.parametrize("payload", [document(b""), b"<event/>", b"<event></event>", b"<event><headers/></event>"])
def test_event_without_headers_has_none(esl: ModuleType, payload: Any) -> None:
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
def test_value_is_xml_text_and_then_percent_decoded(esl: ModuleType, value: Any, text: str) -> None:
    e = event(esl, document(line(b"A", value) + line(b"B", b"1")))
    assert e.pairs() == [("A", text), ("B", "1")]
    assert (e["A"], e["a"], e.getlist("A"), e.select("A")) == (text, text, [text], (text,))


def test_encoded_line_feed_makes_no_header(esl: ModuleType) -> None:
    e = event(esl, document(line(b"A", b"1%0AB%3A%202%0A%0A%3CC%3E3%3C/C%3E")))
    assert e.asdict() == {"A": "1\nB: 2\n\n<C>3</C>"}
    assert (e.get("B"), e.get("C"), e.body) == (None, None, None)


def test_names_are_never_percent_decoded_and_may_be_any_xml_name(esl: ModuleType) -> None:
    e = event(esl, document(line("Näme".encode(), b"1") + line(b"a:b.c-d_e", b"2") + line(b"_body", b"3")))
    assert e.asdict() == {"Näme": "1", "a:b.c-d_e": "2", "_body": "3"}
    assert e.body is None


def test_attributes_and_other_elements_are_no_headers(esl: ModuleType) -> None:
    payload = b'<event a="1"><x>no</x><headers b="2"><A c="3">yes</A></headers><headers><B>2</B></headers>text</event>'
    assert event(esl, payload).asdict() == {"A": "yes", "B": "2"}


def test_element_in_a_header_is_no_header(esl: ModuleType) -> None:
    e = event(esl, document(line(b"A", b"<B>in</B>") + line(b"C", b"1")))
    assert "B" not in e
    assert e["C"] == "1"


def test_declaration_of_another_encoding_changes_nothing(esl: ModuleType) -> None:
    for encoding in (b"utf-8", b"iso-8859-1", b"utf-16", b"us-ascii", b"no-such"):
        declared = b'<?xml version="1.0" encoding="%b"?>\n' % encoding
        assert event(esl, declared + document(line(b"A", "é".encode()))).asdict() == {"A": "é"}


# Arrays


def test_neighbours_of_one_name_are_an_array(esl: ModuleType) -> None:
    e = event(esl, document(line(b"A", b"x%20y") + line(b"A", b"") + line(b"A", b"z") + line(b"B", b"1")))
    assert e._fields() == [("A", ["x y", "", "z"]), ("B", "1")]
    assert e.pairs() == [("A", "ARRAY::x y|:|:z"), ("B", "1")]
    assert e["A"] == e["a"] == "ARRAY::x y|:|:z"
    assert e.getlist("A") == ["x y", "", "z"]
    assert e.to_dict() == {"A": ["x y", "", "z"], "B": "1"}


def test_two_event_names_side_by_side_are_no_array_and_the_last_counts(esl: ModuleType) -> None:
    e = event(esl, document(line(b"Event-Name", b"COMMAND") + line(b"Event-Name", b"PRIVATE_COMMAND")))
    assert e.pairs() == [("Event-Name", "COMMAND"), ("Event-Name", "PRIVATE_COMMAND")]
    assert e.name == e["Event-Name"] == "PRIVATE_COMMAND"


def test_repeats_with_something_between_them_are_repeats(esl: ModuleType) -> None:
    e = event(esl, document(line(b"A", b"1") + line(b"B", b"2") + line(b"A", b"3") + line(b"a", b"4")))
    assert e.pairs() == [("A", "1"), ("B", "2"), ("A", "3"), ("a", "4")]
    assert (e["A"], e["a"], e.getlist("A")) == ("1", "4", ["1", "3"])
    assert e.asdict() == {"A": "1", "B": "2", "a": "4"}


def test_array_of_one_is_text(esl: ModuleType) -> None:
    assert event(esl, document(line(b"A", b"x")))._fields() == [("A", "x")]


def test_text_of_an_array_is_one_pair_and_its_items_in_lists(esl: ModuleType) -> None:
    e = event(esl, document(line(b"A", b"ARRAY%3A%3Aa%7C%3Ab")))
    assert e.pairs() == [("A", "ARRAY::a|:b")]
    assert e.getlist("A") == ["a", "b"]
    assert e._fields() == [("A", ["a", "b"])]


def test_last_of_several_event_names_counts(esl: ModuleType) -> None:
    names = [line(b"Event-Name", b"COMMAND"), line(b"A", b"1"), line(b"Event-Name", b"PRIVATE_COMMAND")]
    e = event(esl, document(b"".join(names)))
    assert (e.name, e["event-name"], e.asdict()) == (
        *("PRIVATE_COMMAND", "PRIVATE_COMMAND"),
        {"Event-Name": "PRIVATE_COMMAND", "A": "1"},
    )


# Content-Length and body


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
def test_body_is_cut_to_its_length_in_bytes(esl: ModuleType, length: Any, text: Any, body: bytes) -> None:
    e = event(esl, with_body(length, text))
    assert e.malformed is None
    assert (e.body, e.text) == (body, to_text(body))
    lengths = [] if length is None else [("Content-Length", length.decode().strip())]
    assert e.pairs() == [("A", "1"), *lengths]


def test_content_length_beside_the_headers_is_the_last_header(esl: ModuleType) -> None:
    rest = b"  <body>ab</body>\n  <Content-Length>1</Content-Length>\n"
    e = event(esl, document(line(b"Content-Length", b"7") + line(b"Content-Length", b"8"), rest))
    assert e._fields() == [("Content-Length", ["7", "8"]), ("Content-Length", "1")]
    assert e.body == b"a"


def test_first_body_and_first_length_count(esl: ModuleType) -> None:
    rest = b"<Content-Length>1</Content-Length><body>ab</body><Content-Length>2</Content-Length><body>cd</body>"
    e = event(esl, document(b"", rest))
    assert (e.body, e.pairs()) == (b"a", [("Content-Length", "1")])


def test_body_that_looks_like_headers_adds_none(esl: ModuleType) -> None:
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
def test_malformed_payload_says_where_and_why(esl: ModuleType, payload: bytes, offset: int) -> None:
    e = event(esl, payload)
    assert isinstance(e.malformed, esl.MalformedPayload)
    assert (e.malformed.format, e.malformed.offset) == ("xml", offset)
    assert e.malformed.why
    assert str(e.malformed) == f"event payload is not XML as expected: {e.malformed.why} (byte {offset})"


def test_document_that_is_no_event_is_malformed(esl: ModuleType) -> None:
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
def test_document_type_is_refused_before_anything_of_it_is_used(esl: ModuleType, payload: Any) -> None:
    e = event(esl, payload)
    assert (e.malformed.format, e.malformed.why) == ("xml", "read a document type, expected none")
    assert len(HEAD) <= e.malformed.offset <= payload.index(b"<event")
    assert (e.pairs(), e.body) == ([], None)


def test_malformed_event_is_empty_and_keeps_its_bytes(esl: ModuleType) -> None:
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


def test_stream_goes_on_after_a_malformed_event(esl: ModuleType) -> None:
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


def test_payload_truncated_at_any_byte_of_the_document_is_malformed(esl: ModuleType) -> None:
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


def test_any_depth_of_nesting_is_read_without_recursion(esl: ModuleType) -> None:
    depth = 100_000
    nested = b"<a>" * depth + b"</a>" * depth
    e = quick(esl, document(line(b"A", nested) + line(b"B", b"1"), b"<x>" + nested + b"</x>"))
    assert (e.malformed, e["B"], len(e)) == (None, "1", 2)
    assert quick(esl, b"<event>" + b"<a>" * depth).malformed is not None


def test_array_of_many_items(esl: ModuleType) -> None:
    items = [str(number) for number in range(100_000)]
    e = quick(esl, document(b"".join(line(b"A", item.encode()) for item in items) + line(b"B", b"1")))
    assert e["B"] == "1"
    assert e.getlist("A") == items


def test_large_body(esl: ModuleType) -> None:
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
def test_any_bytes_are_read_alike_by_both_cores_and_nothing_is_raised(
    both: tuple[ModuleType, ModuleType], payload: Any
) -> None:
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
def test_look_ups_in_any_order_equal_the_eager_reading(
    both: tuple[ModuleType, ModuleType], names: Any, order: Any
) -> None:
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
