"""JSON event payloads: members, strings, arrays, values, the body (docs/protocol/payloads.md, P4.2)."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from json_support import event, quick
from support import to_text

# The object and its members


def test_members_are_headers_in_order(esl: ModuleType) -> None:
    e = event(esl, b'{"Event-Name":"DTMF","Unique-ID":"a1","DTMF-Digit":"#"}')
    assert e.malformed is None
    assert e.pairs() == [("Event-Name", "DTMF"), ("Unique-ID", "a1"), ("DTMF-Digit", "#")]
    assert (e.name, e.uuid, e["dtmf-digit"], e.body) == ("DTMF", "a1", "#", None)
    assert e.select("DTMF-Digit", "absent", "event-name") == ("#", None, "DTMF")


@pytest.mark.parametrize("payload", [b"{}", b" {\n} ", b"\t{\r\n}"])
def test_empty_object_has_no_headers(esl: ModuleType, payload: bytes) -> None:
    e = event(esl, payload)
    assert (e.malformed, e.pairs(), e.asdict(), len(e), e.body, e.name) == (None, [], {}, 0, None, None)


def test_blanks_may_stand_between_everything(esl: ModuleType) -> None:
    payload = b' \t\r\n{ \n"A"\t: "1" ,\r\n "B" :\n[ "x" , "y"\t] , "C":\t{ } , "D" : [ ] , "E" : 5 } \n'
    e = event(esl, payload)
    assert e.malformed is None
    assert e._fields() == [("A", "1"), ("B", ["x", "y"]), ("C", "{ }"), ("D", []), ("E", "5")]


def test_text_behind_the_object_is_ignored(esl: ModuleType) -> None:
    for behind in (b"\n", b" trailing", b'{"A":"2"}', b"\x00\xff", b"}"):
        e = event(esl, b'{"A":"1"}' + behind)
        assert (e.malformed, e.asdict()) == (None, {"A": "1"})


def test_names_with_anything_in_them_are_names(esl: ModuleType) -> None:
    e = event(esl, '{"a b":"1","variable_x:colon: y":"2","":"3","é":"4","l\\nf":"5","\\u0041":"6"}'.encode())
    assert e.asdict() == {"a b": "1", "variable_x:colon: y": "2", "": "3", "é": "4", "l\nf": "5", "A": "6"}
    for name, value in e.asdict().items():
        assert quick(esl, e.payload)[name] == value


def test_indexed_names_are_names(esl: ModuleType) -> None:
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
def test_string_is_unescaped_and_never_percent_decoded(esl: ModuleType, string: Any, text: str) -> None:
    e = event(esl, b'{"A":"%b","B":["%b","%b"],"%b!":"name","_body":"%b"}' % ((string,) * 5))
    assert e["A"] == text
    assert e._fields() == [("A", text), ("B", [text, text]), (text + "!", "name")]
    assert e.asdict() == {"A": text, "B": f"ARRAY::{text}|:{text}", text + "!": "name"}
    assert quick(esl, e.payload)[text + "!"] == "name"
    assert e.body == text.encode("utf-8", "surrogateescape")
    assert e.text == text


def test_encoded_line_feed_makes_no_header(esl: ModuleType) -> None:
    e = event(esl, b'{"A":"1\\nB: 2\\n\\nC: 3","D":"%0AE: 4"}')
    assert e.asdict() == {"A": "1\nB: 2\n\nC: 3", "D": "%0AE: 4"}
    assert (e.get("B"), e.get("C"), e.get("E"), e.body) == (None, None, None, None)


def test_name_is_found_by_its_text_and_by_nothing_else(esl: ModuleType) -> None:
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
def test_array_is_its_items_in_lists_and_its_joined_text_as_a_value(
    esl: ModuleType, array: bytes, items: Any, text: Any
) -> None:
    text = "ARRAY::" + "|:".join(items) if text is None else text
    e = event(esl, b'{"B":"0","A":%b,"C":"1"}' % array)
    assert e._fields() == [("B", "0"), ("A", items), ("C", "1")]
    assert e.pairs() == [("B", "0"), ("A", text), ("C", "1")]
    assert (e["A"], e["a"], e.asdict()["A"], e.select("A")) == (text, text, text, (text,))
    assert e.getlist("A") == e.getlist("a") == items
    assert e.to_dict()["A"] == items


def test_text_of_an_array_in_a_string_is_one_pair_and_its_items_in_lists(esl: ModuleType) -> None:
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
def test_number_word_or_nested_value_is_its_text(esl: ModuleType, value: bytes) -> None:
    e = event(esl, b'{"A":%b,"B":"1"}' % value)
    assert e.malformed is None
    assert e.pairs() == [("A", to_text(value)), ("B", "1")]
    assert e["A"] == to_text(value)
    assert e.to_dict("surrogateescape")["A"] == to_text(value)


def test_sequence_and_timestamp_may_be_numbers(esl: ModuleType) -> None:
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
def test_body_is_the_first_member_of_its_name_in_any_case_and_no_header(
    esl: ModuleType, members: Any, body: Any
) -> None:
    e = event(esl, b'{"A":"1",%b,"B":"2"}' % members)
    assert (e.body, e.text) == (body, to_text(body or b""))
    assert e["B"] == "2"
    assert ("_body" in e, "_BODY" in e, e.get("_body")) == (False, False, None)
    if body is not None:
        assert e.pairs() == [("A", "1"), ("B", "2")]


def test_content_length_of_the_payload_is_a_header_and_cuts_nothing(esl: ModuleType) -> None:
    for number in ("3", "0", "99", "x"):
        e = event(esl, f'{{"Content-Length":"{number}","_body":"abcdef"}}'.encode())
        assert (e.body, e["content-length"]) == (b"abcdef", number)


def test_body_is_the_same_whatever_is_read_first(esl: ModuleType) -> None:
    payload = b'{"A":"1","_body":"b\\n","C":"2"}'
    for first in ("body", "name", "text", "malformed"):
        e = quick(esl, payload)
        getattr(e, first)
        assert (e.body, e.pairs()) == (b"b\n", [("A", "1"), ("C", "2")])
