"""ESLevent: the official module's contract, and where we depart (docs/protocol/esl-module.md, A1, A3 and A6)."""

from __future__ import annotations

import contextlib
import json
import lzma
from typing import Any

import pytest
from esl_model import Model
from esl_support import (
    DONE,
    OTHERWISE,
    RECORDED,
    VECTORS,
    decoder_of,
    names_of,
    outcome,
    saying,
    strictly,
    vectors,
    wires,
)
from hypothesis import given
from hypothesis import strategies as st
from sizes import FULL
from support import DATA, examples, frame, part, plain

GIVEN = [kind for kind in RECORDED if kind.startswith("serialize")]


@pytest.fixture
def ESL(esl):
    """The module under test, with its default behaviour."""
    module = part(esl, "ESL")
    with strictly(module, False):
        yield module


@pytest.fixture(params=[False, True], ids=["default", "strict"])
def strict(request, ESL):
    """Both behaviours, one after the other."""
    with strictly(ESL, request.param):
        yield request.param


@pytest.fixture(params=["built", "plain", "json"])
def dtmf(request, ESL):
    """An event with one header, made here or received; the second kind is not read before it must be."""
    if request.param == "built":
        return ESL.ESLevent("DTMF")
    with wires(ESL) as wire_of:
        return wire_of(framed(request.param, [], None)).con.recvEvent()


# The vectors


@pytest.mark.parametrize("name", [name for kind in GIVEN for name in vectors(kind)])
def test_vector(ESL, strict, name):
    vector = VECTORS[name]
    assert DONE[vector["kind"]](ESL, vector) == outcome(vector, strict)


def test_every_difference_names_a_vector_and_differs_from_it():
    for name, other in OTHERWISE.items():
        assert other.does != RECORDED[VECTORS[name]["kind"]](VECTORS[name]), f"{name}: no difference"


def test_length_without_the_off_by_one_is_what_the_vector_says():
    for name in vectors("serialize_length"):
        assert OTHERWISE[name].does == VECTORS[name]["expect_correct_length"]


# Constructors: docs/protocol/esl-module.md, A3.1


@pytest.mark.parametrize(
    ("arguments", "type_", "headers"),
    [
        (("DTMF",), "DTMF", "Event-Name: DTMF\n"),
        (("channel_answer",), "CHANNEL_ANSWER", "Event-Name: CHANNEL_ANSWER\n"),
        (("DTMF", None), "DTMF", "Event-Name: DTMF\n"),
        (("SWITCH_EVENT_DTMF",), "DTMF", "Event-Name: DTMF\n"),
        (("any 13 bytes.dtmf",), "DTMF", "Event-Name: DTMF\n"),
        (("any 12 byte.dtmf",), "MESSAGE", "Event-Name: MESSAGE\n"),
        (("FOO",), "MESSAGE", "Event-Name: MESSAGE\n"),
        (("CERT_RELOAD",), "MESSAGE", "Event-Name: MESSAGE\n"),
        (("",), "MESSAGE", "Event-Name: MESSAGE\n"),
        (("CUSTOM",), "CUSTOM", "Event-Name: CUSTOM\n"),
        (("CUSTOM", ""), "CUSTOM", "Event-Name: CUSTOM\n"),
        (("CUSTOM", "a::b"), "CUSTOM", "Event-Name: CUSTOM\nEvent-Subclass: a%3A%3Ab\n"),
        (("custom", "x"), "CUSTOM", "Event-Name: CUSTOM\nEvent-Subclass: x\n"),
        (("DTMF", "x"), "CUSTOM", "Event-Name: CUSTOM\nEvent-Subclass: x\n"),
        (("FOO", "x"), "CUSTOM", "Event-Name: CUSTOM\nEvent-Subclass: x\n"),
        (("CLONE",), "CUSTOM", ""),
        (("json",), "MESSAGE", "Event-Name: MESSAGE\n"),
        (("json", None), "MESSAGE", "Event-Name: MESSAGE\n"),
        (("json", '{"Event-Name":"DTMF","A":"x y"}'), "DTMF", "Event-Name: DTMF\nA: x%20y\n"),
        (("JSON", '{"A":"1","event-name":"dtmf"}'), "DTMF", "A: 1\nevent-name: dtmf\n"),
        (("json", '{"Event-Name":"FOO"}'), "CUSTOM", "Event-Name: FOO\n"),
        (("json", "{}"), "CUSTOM", ""),
        (("json", '["x"]'), "CUSTOM", ""),
        (("json", '{"A":1,"B":true,"C":null,"D":{"E":"x"},"F":["x",1,"y"]}'), "CUSTOM", "F: ARRAY%3A%3Ax%7C%3Ay\n"),
    ],
)
def test_event_of_a_type(ESL, strict, arguments, type_, headers):
    event = ESL.ESLevent(*arguments)
    assert (event.getType(), event.serialize(), event.getBody()) == (type_, headers + "\n", None)


@pytest.mark.parametrize("text", ["{", '{"A":"1"', "nonsense", '{"A":"\\ud83d"}'])
def test_event_from_malformed_json_is_invalid(ESL, strict, text):
    assert_invalid(ESL.ESLevent("json", text))


def test_empty_json_text_is_invalid(ESL, strict):
    assert_invalid(ESL.ESLevent("json", ""))


@pytest.mark.parametrize(("type_", "ours"), [("DTMF", "DTMF"), ("FOO", "MESSAGE")])
def test_empty_second_argument_is_as_none_and_invalid_when_strict(ESL, type_, ours):
    assert ESL.ESLevent(type_, "").serialize() == f"Event-Name: {ours}\n\n"
    with strictly(ESL, True):
        assert_invalid(ESL.ESLevent(type_, ""))


def test_event_moves_into_a_new_one(ESL, strict):
    source = ESL.ESLevent("CUSTOM", "a::b")
    source.pushHeader("L", "1")
    source.addBody("B")
    text = source.serialize("json")
    moved = ESL.ESLevent(source)
    assert (moved.serialize("json"), moved.getType(), moved.getBody()) == (text, "CUSTOM", "B")
    assert_invalid(source)
    assert moved.addHeader("A", "1") is True
    assert_invalid(source)


def test_names_of_a_moved_event_are_gone_in_the_middle_of_an_iteration(ESL, strict, dtmf):
    dtmf.addHeader("A", "1")
    assert dtmf.firstHeader() == "Event-Name"
    ESL.ESLevent(dtmf)
    assert (dtmf.nextHeader(), dtmf.firstHeader()) == (None, None)


def test_event_moved_from_an_invalid_one_is_invalid(ESL, strict, dtmf):
    ESL.ESLevent(dtmf)
    assert_invalid(ESL.ESLevent(dtmf))


def assert_invalid(event: Any) -> None:
    assert event.getType() == "invalid"
    assert (event.serialize(), event.serialize("json")) == ("", "")
    assert (event.getBody(), event.getHeader("Event-Name"), event.getHeader("_body"), event.getHeader("x", 0)) == (
        *(None, None, None, None),
    )
    assert (event.firstHeader(), event.nextHeader()) == (None, None)
    assert [event.addHeader("A", "1"), event.pushHeader("A", "1"), event.unshiftHeader("A", "1")] == [False] * 3
    assert [event.delHeader("A"), event.addBody("B"), event.setPriority()] == [False] * 3
    assert event.serialize() == ""


@pytest.mark.parametrize(
    "arguments", [(), (b"DTMF",), (5,), (True,), (1.5,), ("DTMF", b"x"), ("DTMF", 5), ("a", "b", "c")]
)
def test_wrong_constructor_arguments(ESL, strict, arguments):
    with pytest.raises(NotImplementedError, match="Wrong number or type of arguments for overloaded function"):
        ESL.ESLevent(*arguments)


def test_constructor_takes_no_keywords(ESL, strict):
    with pytest.raises((TypeError, NotImplementedError)):
        ESL.ESLevent(type="DTMF")


# Types: docs/protocol/esl-module.md, A1


METHODS = {  # method: arguments that it takes
    "serialize": ("json",),
    "getHeader": ("A",),
    "addBody": ("B",),
    "addHeader": ("A", "1"),
    "pushHeader": ("A", "1"),
    "unshiftHeader": ("A", "1"),
    "delHeader": ("A",),
}
NO_ARGUMENTS = ["getBody", "getType", "firstHeader", "nextHeader"]
TAKES_STRINGS = [(name, at) for name, right in METHODS.items() for at in range(len(right))]


@pytest.mark.parametrize(("name", "at"), TAKES_STRINGS)
def test_only_a_string_is_a_string(ESL, strict, dtmf, name, at):
    arguments: list[Any] = list(METHODS[name])
    for wrong in (b"A", 5, True, 1.5, ["A"], object()):
        arguments[at] = wrong
        with pytest.raises(TypeError):
            getattr(dtmf, name)(*arguments)
    assert dtmf.serialize("json") == '{\n\t"Event-Name":\t"DTMF"\n}'


@pytest.mark.parametrize("name", METHODS)
def test_wrong_number_of_arguments(ESL, strict, dtmf, name):
    arguments = METHODS[name]
    with pytest.raises(TypeError):
        getattr(dtmf, name)(*arguments, "1", "2")
    if name != "serialize":
        with pytest.raises(TypeError):
            getattr(dtmf, name)(*arguments[1:])


@pytest.mark.parametrize("name", NO_ARGUMENTS)
def test_methods_without_arguments_take_none(ESL, strict, dtmf, name):
    with pytest.raises(TypeError):
        getattr(dtmf, name)("A")


@pytest.mark.parametrize("wrong", ["0", 1.5, None])
def test_only_an_int_is_an_index(ESL, strict, dtmf, wrong):
    with pytest.raises(TypeError):
        dtmf.getHeader("Event-Name", wrong)


@pytest.mark.parametrize(
    ("name", "keywords"),
    [
        ("getHeader", {"header_name": "A"}),
        ("getHeader", {"name": "A"}),
        ("addBody", {"value": "B"}),
        ("addBody", {"text": "B"}),
        ("addHeader", {"header_name": "A", "value": "1"}),
        ("addHeader", {"name": "A", "value": "1"}),
        ("delHeader", {"header_name": "A"}),
        ("delHeader", {"name": "A"}),
    ],
)
def test_arguments_are_positional(ESL, strict, dtmf, name, keywords):
    with pytest.raises(TypeError):
        getattr(dtmf, name)(**keywords)


def test_serialize_takes_its_format_by_name(ESL, strict, dtmf):
    assert dtmf.serialize(format="json") == '{\n\t"Event-Name":\t"DTMF"\n}'
    assert dtmf.serialize(format=None) == "Event-Name: DTMF\n\n"


def test_nul_cuts_a_string(ESL, strict, dtmf):
    assert dtmf.addHeader("A\0x", "1\0002") is True
    assert dtmf.getHeader("a\0b") == "1"
    assert dtmf.addBody("body\0more") is True
    assert dtmf.serialize() == "Event-Name: DTMF\nA: 1\nContent-Length: 4\n\nbody"
    assert ESL.ESLevent("DTMF\0x").getType() == "DTMF"
    assert (
        dtmf.serialize("json\0x")
        == '{\n\t"Event-Name":\t"DTMF",\n\t"A":\t"1",\n\t"Content-Length":\t"4",\n\t"_body":\t"body"\n}'
    )


def test_bytes_that_are_no_text_come_back(ESL, strict, dtmf):
    assert dtmf.addHeader("A\udcfe", "\udcff\u00e9") is True
    assert dtmf.addBody("\udce9") is True
    assert dtmf.getHeader("a\udcfe") == "\udcff\u00e9"
    assert dtmf.getBody() == "\udce9"
    assert dtmf.serialize() == "Event-Name: DTMF\nA\udcfe: %FF%C3%A9\nContent-Length: 1\n\n\udce9"
    assert dtmf.serialize("json").encode("utf-8", "surrogateescape") == (
        b'{\n\t"Event-Name":\t"DTMF",\n\t"A\xfe":\t"\xff\xc3\xa9",\n\t"Content-Length":\t"1",\n\t"_body":\t"\xe9"\n}'
    )


@pytest.mark.parametrize("name", METHODS)
def test_surrogate_that_stands_for_no_byte_is_refused(ESL, strict, dtmf, name):
    before = dtmf.serialize("json")
    with pytest.raises((TypeError, ValueError)):
        getattr(dtmf, name)(*["\ud800" for _ in METHODS[name]])
    assert dtmf.serialize("json") == before


def test_event_takes_new_attributes_and_has_no_unknown_ones(ESL, strict, dtmf):
    dtmf.mine_own = 5
    assert dtmf.mine_own == 5
    with pytest.raises(AttributeError):
        dtmf.getNothing()


# Methods, headers: docs/protocol/esl-module.md, A3.2


def test_get_header_ignores_case_and_takes_the_first(ESL, strict, dtmf):
    dtmf.addHeader("Unique-ID", "1")
    dtmf.addHeader("unique-id", "2")
    assert dtmf.getHeader("UNIQUE-id") == "1"
    assert dtmf.getHeader("Unique") is None
    assert dtmf.getHeader("") is None


def test_case_is_that_of_ascii(ESL, strict, dtmf):
    dtmf.addHeader("\u00c9", "1")
    assert (dtmf.getHeader("\u00c9"), dtmf.getHeader("\u00e9")) == ("1", None)


def test_get_header_of_none_is_none(ESL, strict, dtmf):
    assert dtmf.getHeader(None) is None


@pytest.mark.parametrize(
    ("index", "array", "scalar"),
    [
        *((0, "a", None), (1, "", None), (2, "c", None), (3, None, None), (1 << 20, None, None)),
        *((-1, "ARRAY::a|:|:c", "text"), (-5, "ARRAY::a|:|:c", "text")),
    ],
)
def test_get_header_with_an_index(ESL, strict, dtmf, index, array, scalar):
    dtmf.addHeader("L", "ARRAY::a|:|:c")
    dtmf.addHeader("S", "text")
    assert (dtmf.getHeader("L", index), dtmf.getHeader("S", index)) == (array, scalar)
    assert dtmf.getHeader("absent", index) is None


def test_underscore_body_is_the_body_where_no_header_is_so_called(ESL, strict, dtmf):
    assert dtmf.getHeader("_body") is None
    dtmf.addBody("B")
    assert (dtmf.getHeader("_body"), dtmf.getHeader("_BODY")) == ("B", None)
    dtmf.addHeader("_BODY", "header")
    assert dtmf.getHeader("_body") == "header"


@pytest.mark.parametrize("format", ["built", "plain", "json", "outer"])
@pytest.mark.parametrize("index", [-1, 0, 2])
def test_underscore_body_is_the_body_whatever_the_index(ESL, strict, format, index):
    """The index is that of a header's array, and there is no header."""
    if format == "built":
        event = ESL.ESLevent("DTMF")
        event.addBody("B")
    else:
        with wires(ESL) as wire_of:
            event = wire_of(framed(format, [], "B")).con.recvEvent()
    assert (event.getHeader("_body", index), event.getHeader("_BODY", index)) == ("B", None)
    event.addHeader("A", "1")  # and so when the event is a list of headers
    assert (event.getHeader("_body", index), event.getHeader("_BODY", index)) == ("B", None)


def test_header_named_underscore_body_is_the_body_too(ESL, strict, dtmf):
    dtmf.addBody("old")
    dtmf.addHeader("_body", "new")
    assert (dtmf.getBody(), dtmf.getHeader("_body"), names_of(dtmf)) == ("new", "new", ["Event-Name", "_body"])


def test_type_is_not_that_of_a_later_header(ESL, strict, dtmf):
    dtmf.delHeader("Event-Name")
    dtmf.addHeader("Event-Name", "HEARTBEAT")
    assert (dtmf.getType(), dtmf.getHeader("event-name")) == ("DTMF", "HEARTBEAT")


def test_add_header_appends_and_keeps_repeats(ESL, strict, dtmf):
    assert [dtmf.addHeader("A", "1"), dtmf.addHeader("A", "2"), dtmf.addHeader("a", "3")] == [True] * 3
    assert dtmf.serialize() == "Event-Name: DTMF\nA: 1\nA: 2\na: 3\n\n"


def test_add_header_of_nothing_deletes(ESL, strict, dtmf):
    dtmf.addHeader("A", "1")
    dtmf.addHeader("a", "2")
    assert dtmf.addHeader("A", "") is True
    assert dtmf.serialize() == "Event-Name: DTMF\n\n"


@pytest.mark.parametrize("name", ["addHeader", "pushHeader", "unshiftHeader"])
def test_value_none_is_refused(ESL, strict, dtmf, name):
    dtmf.addHeader("A", "1")
    assert getattr(dtmf, name)("A", None) is False
    assert dtmf.serialize() == "Event-Name: DTMF\nA: 1\n\n"


@pytest.mark.parametrize(
    "call",
    [
        lambda event: event.addHeader(None, "1"),
        lambda event: event.pushHeader(None, "1"),
        lambda event: event.unshiftHeader(None, "1"),
        lambda event: event.delHeader(None),
    ],
)
def test_name_none_changes_nothing(ESL, strict, dtmf, call):
    with contextlib.suppress(TypeError):  # docs/protocol/esl-module.md, A1: returns None or 1, or raises
        assert call(dtmf) in (None, False, True)
    assert dtmf.serialize() == "Event-Name: DTMF\n\n"


def test_push_makes_and_extends_an_array(ESL, strict, dtmf):
    assert dtmf.pushHeader("P", "1") is True
    assert dtmf.serialize("json") == '{\n\t"Event-Name":\t"DTMF",\n\t"P":\t["1"]\n}'
    assert (dtmf.getHeader("P"), dtmf.getHeader("P", 0), dtmf.getHeader("P", 1)) == ("1", "1", None)
    assert dtmf.pushHeader("p", "") is True
    assert (dtmf.getHeader("P"), dtmf.getHeader("P", 1)) == ("ARRAY::1|:", "")


def test_unshift_puts_a_new_header_first(ESL, strict, dtmf):
    assert dtmf.unshiftHeader("R", "r") is True
    assert dtmf.serialize("json") == '{\n\t"R":\t["r"],\n\t"Event-Name":\t"DTMF"\n}'


def test_unshift_puts_the_item_first(ESL, dtmf):
    dtmf.addHeader("A", "1")
    dtmf.unshiftHeader("a", "0")
    assert dtmf.getHeader("A") == "ARRAY::0|:1"


def test_unshift_appends_when_strict(ESL, dtmf):
    with strictly(ESL, True):
        dtmf.addHeader("A", "1")
        dtmf.unshiftHeader("a", "0")
        assert dtmf.getHeader("A") == "ARRAY::1|:0"


def test_delete_takes_every_header_of_the_name(ESL, strict, dtmf):
    dtmf.addHeader("A", "1")
    dtmf.addHeader("B", "2")
    dtmf.addHeader("a", "3")
    assert dtmf.delHeader("A") is True
    assert names_of(dtmf) == ["Event-Name", "B"]
    assert dtmf.delHeader("A") is True


def test_overwritten_item_shows_everywhere(ESL, strict, dtmf):
    for name, value in (("A[0]", "x"), ("A[1]", "y"), ("A[0]", "zz")):
        dtmf.addHeader(name, value)
    assert (dtmf.getHeader("A", 0), dtmf.getHeader("A")) == ("zz", "ARRAY::zz|:y")


@pytest.mark.parametrize("value", ["xx ARRAY::a|:b", "array::a|:b", "ARRAY:a|:b", "a|:b"])
def test_value_that_does_not_begin_with_the_marker_is_text(ESL, strict, dtmf, value):
    dtmf.addHeader("A", value)
    assert (dtmf.getHeader("A"), dtmf.getHeader("A", 0)) == (value, None)


@pytest.mark.parametrize("name", ["A[4001]", "A[-1]", "A[99999999999999999999]"])
def test_index_out_of_range_is_dropped(ESL, strict, dtmf, name):
    assert dtmf.addHeader(name, "x") is True
    assert dtmf.serialize() == "Event-Name: DTMF\n\n"


def test_largest_index(ESL, strict, dtmf):
    dtmf.addHeader("A[4000]", "x")
    assert (dtmf.getHeader("A", 4000), dtmf.getHeader("A", 3999), dtmf.getHeader("A", 4001)) == ("x", "", None)


@pytest.mark.parametrize("name", ["A[]", "A[x]", "A[0", "A[ +0z]"])
def test_index_is_read_as_atoi_does(ESL, strict, dtmf, name):
    dtmf.addHeader(name, "x")
    assert dtmf.serialize("json") == '{\n\t"Event-Name":\t"DTMF",\n\t"A":\t["x"]\n}'


# Methods, priority: docs/protocol/esl-module.md, A3.2


def test_priority_is_a_header_at_the_top(ESL, strict, dtmf):
    assert [dtmf.setPriority(), dtmf.setPriority()] == [True, True]
    assert dtmf.serialize("json") == '{\n\t"priority":\t["NORMAL"],\n\t"Event-Name":\t"DTMF"\n}'


def test_priority_that_is_there_is_replaced_in_place(ESL, strict, dtmf):
    dtmf.addHeader("Priority", "5")
    dtmf.addHeader("priority", "6")
    assert dtmf.setPriority() is True
    assert dtmf.serialize() == "Event-Name: DTMF\nPriority: NORMAL\npriority: 6\n\n"


def test_priority_of_an_array_changes_its_text_and_not_its_items_when_strict(ESL, dtmf):
    with strictly(ESL, True):
        dtmf.addHeader("priority", "ARRAY::a|:b")
        assert dtmf.setPriority() is True
        assert [dtmf.getHeader("priority", i) for i in (-1, 0, 1, 2)] == ["NORMAL", "a", "b", None]
        assert dtmf.serialize() == "Event-Name: DTMF\npriority: NORMAL\n\n"
        assert json.loads(dtmf.serialize("json")) == {"Event-Name": "DTMF", "priority": ["a", "b"]}


def test_priority_of_an_array_is_replaced(ESL, dtmf):
    dtmf.addHeader("priority", "ARRAY::a|:b")
    assert dtmf.setPriority() is True
    assert dtmf.serialize() == "Event-Name: DTMF\npriority: NORMAL\n\n"
    assert dtmf.getHeader("priority", 1) is None


@pytest.mark.parametrize("wrong", [0, 1, 2, "NORMAL", None])
def test_priority_takes_no_argument_when_strict(ESL, dtmf, wrong):
    with strictly(ESL, True), pytest.raises(TypeError):
        dtmf.setPriority(wrong)
    assert dtmf.serialize() == "Event-Name: DTMF\n\n"


def test_priority_takes_a_number(ESL, dtmf):
    assert dtmf.setPriority(0) is True
    assert dtmf.serialize() == "priority: NORMAL\nEvent-Name: DTMF\n\n"
    assert dtmf.setPriority(2) is True
    assert dtmf.serialize() == "priority: HIGH\nEvent-Name: DTMF\n\n"
    with pytest.raises(TypeError):
        dtmf.setPriority("HIGH")


# Methods, body: docs/protocol/esl-module.md, A3.2


def test_body_is_none_until_there_is_one(ESL, strict, dtmf):
    assert dtmf.getBody() is None
    assert dtmf.addBody("") is True
    assert dtmf.getBody() == ""


def test_body_none_is_its_printed_form(ESL, strict, dtmf):
    assert dtmf.addBody(None) is True
    assert dtmf.getBody() == "(null)"


def test_body_is_added_to(ESL, dtmf):
    for text in ("a", "", "\u00e9\n"):
        assert dtmf.addBody(text) is True
    assert dtmf.serialize() == "Event-Name: DTMF\nContent-Length: 4\n\na\u00e9\n"


def test_body_is_replaced_when_strict(ESL, dtmf):
    with strictly(ESL, True):
        for text in ("a", "b"):
            assert dtmf.addBody(text) is True
        assert dtmf.getBody() == "b"


# Methods, iteration: docs/protocol/esl-module.md, A3.2


def test_next_before_first_is_none(ESL, strict, dtmf):
    assert dtmf.nextHeader() is None


def test_first_begins_again(ESL, strict, dtmf):
    dtmf.addHeader("A", "1")
    assert [dtmf.firstHeader(), dtmf.firstHeader(), dtmf.nextHeader(), dtmf.nextHeader()] == [
        *("Event-Name", "Event-Name", "A", None),
    ]
    assert dtmf.nextHeader() is None
    assert names_of(dtmf) == ["Event-Name", "A"]


def test_repeated_names_come_once_for_each_but_have_the_first_value(ESL, strict, dtmf):
    dtmf.addHeader("A", "1")
    dtmf.addHeader("A", "2")
    assert [(name, dtmf.getHeader(name)) for name in names_of(dtmf)] == [
        *(("Event-Name", "DTMF"), ("A", "1"), ("A", "1")),
    ]


def test_event_without_headers_has_no_first(ESL, strict):
    event = ESL.ESLevent("CLONE")
    assert (event.firstHeader(), event.nextHeader()) == (None, None)


def test_iteration_survives_changes(ESL, strict, dtmf):
    for number in range(5):
        dtmf.addHeader(f"A{number}", "x")
    seen_names = []
    name = dtmf.firstHeader()
    while name is not None and len(seen_names) < 100:
        seen_names.append(name)
        dtmf.delHeader(name)
        name = dtmf.nextHeader()
    assert len(seen_names) < 100  # what comes is undefined in C; that it ends is not


@pytest.mark.parametrize("received", [False, True], ids=["built", "received"])
def test_many_headers_are_read_one_by_one(ESL, strict, received):
    headers = [(f"H{number}", str(number)) for number in range(3000)]
    if received:
        payload = b"Event-Name: DTMF\n" + b"".join(b"%b: %b\n" % (n.encode(), v.encode()) for n, v in headers) + b"\n"
        with wires(ESL) as wire_of:
            event = wire_of(plain(payload)).con.recvEvent()
    else:
        event = ESL.ESLevent("DTMF")
        for name, value in headers:
            event.addHeader(name, value)
    found = [(name, event.getHeader(name)) for name in names_of(event)]
    assert found == [("Event-Name", "DTMF"), *headers]
    event.addHeader("H0", "again")
    event.addHeader("Z", "z")
    assert names_of(event) == ["Event-Name", *(name for name, _ in headers), "H0", "Z"]
    assert (event.getHeader("h0"), event.getHeader("z"), event.getHeader("H2999")) == ("0", "z", "2999")


# serialize: docs/protocol/esl-module.md, A3.2 to A3.4


@pytest.mark.parametrize("format", [None, "", "plain", "text", "PLAIN", "jsonx"])
def test_every_other_format_is_plain(ESL, strict, dtmf, format):
    dtmf.addHeader("A", "x y:\u00e9%41")
    assert dtmf.serialize(format) == "Event-Name: DTMF\nA: x%20y%3A%C3%A9%2541\n\n"


@pytest.mark.parametrize("format", ["json", "JSON", "Json"])
def test_json_in_any_case(ESL, strict, format):
    event = ESL.ESLevent("CUSTOM")
    event.addHeader("L", "ARRAY::1|:2")
    event.addBody("B")
    assert event.serialize(format) == (
        '{\n\t"Event-Name":\t"CUSTOM",\n\t"L":\t["1", "2"],\n\t"Content-Length":\t"1",\n\t"_body":\t"B"\n}'
    )


def test_xml_is_plain_when_strict(ESL, dtmf):
    with strictly(ESL, True):
        assert dtmf.serialize("xml") == "Event-Name: DTMF\n\n"


@pytest.mark.parametrize("format", ["xml", "XML"])
def test_xml(ESL, dtmf, format):
    dtmf.addHeader("Unique-ID", "a b:c")
    dtmf.addHeader("variable_arr", "ARRAY::x|:y")
    dtmf.addBody("hello & \u00e9")
    assert dtmf.serialize(format) == (
        "<event>\n  <headers>\n    <Event-Name>DTMF</Event-Name>\n    <Unique-ID>a%20b%3Ac</Unique-ID>\n"
        "    <variable_arr>x</variable_arr>\n    <variable_arr>y</variable_arr>\n  </headers>\n"
        "  <Content-Length>10</Content-Length>\n  <body>hello &amp; &#xE9;</body>\n</event>\n"
    )


def test_xml_without_body(ESL, dtmf):
    dtmf.addBody("")
    assert dtmf.serialize("xml") == (
        "<event>\n  <headers>\n    <Event-Name>DTMF</Event-Name>\n  </headers>\n</event>\n"
    )


@pytest.mark.parametrize(("name", "value", "body"), [("A b", "1", None), ("A", "1", "\x01")])
def test_what_xml_cannot_carry_is_written_plain(ESL, dtmf, name, value, body):
    dtmf.addHeader(name, value)
    if body is not None:
        dtmf.addBody(body)
    assert dtmf.serialize("xml") == dtmf.serialize()


def test_every_byte_is_written_and_read_back(ESL, strict):
    kept = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!$'()*,-./_~"
    for byte in range(1, 256):
        event = ESL.ESLevent("DTMF")
        text = bytes([byte]).decode("utf-8", "surrogateescape")
        event.addHeader("A", text)
        written = chr(byte) if byte in kept else f"%{byte:02X}"
        assert event.serialize() == f"Event-Name: DTMF\nA: {written}\n\n"
        assert json.loads(event.serialize("json"))["A"] == text
        assert ESL.ESLevent("json", event.serialize("json")).getHeader("A") == text


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


def apply(event: Any, model: Model, steps: list[tuple[Any, ...]]) -> None:
    for verb, *arguments in steps:
        if verb == "names":
            assert names_of(event) == model.names()
        elif verb == "serialize":
            assert event.serialize(*arguments) == (model.json() if arguments == ["json"] else model.plain())
        else:
            assert getattr(event, verb)(*arguments) == getattr(model, verb)(*arguments), (verb, arguments)


@pytest.mark.parametrize("strict", [False, True], ids=["default", "strict"])
@given(steps=st.lists(READS | CHANGES, max_size=12))
@examples(150)
def test_event_is_a_list_of_headers(esl, strict, steps):
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
def test_received_headers_are_those_of_a_built_event(ESL, strict, format, headers):
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
def test_received_event_is_the_same_list(esl, strict, format, headers, body, steps):
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


FIRST = {  # headers that a received event has in any case
    "plain": [("Event-Name", "DTMF")],
    "json": [("Event-Name", "DTMF")],
    "outer": [("Event-Name", "SOCKET_DATA"), ("Content-Type", "log/data")],
}


def framed(format: str, headers: list[tuple[str, str]], body: str | None) -> bytes:
    """An event as a switch frames it, but with the headers' repeats and indexed names as they are."""
    if format == "outer":
        lines = [f"{name}: {percent_all(value)}\n" for name, value in [*FIRST[format][1:], *headers]]
        head = "".join(lines).encode("utf-8", "surrogateescape")
        return frame(head.removesuffix(b"\n"), None if body is None else body.encode("utf-8", "surrogateescape"))
    pairs = [*FIRST[format], *headers]
    if format == "json":
        members = [f"{json.dumps(name)}:{json.dumps(value, ensure_ascii=False)}" for name, value in pairs]
        if body is not None:
            members.append(f'"_body":{json.dumps(body, ensure_ascii=False)}')
        payload = ("{" + ",".join(members) + "}").encode("utf-8", "surrogateescape")
    else:
        lines = [f"{name}: {percent_all(value)}\n" for name, value in pairs]
        payload = ("".join(lines) + "\n" + (body or "")).encode("utf-8", "surrogateescape")
    return b"Content-Length: %d\nContent-Type: text/event-%b\n\n%b" % (len(payload), format.encode(), payload)


def percent_all(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode("utf-8", "surrogateescape"))


# What the official module of FreeSWITCH 1.11 was seen to do: how the event is made, its JSON form, its plain form


NONE = "{\n}"


def members(*pairs: str) -> str:
    return "{\n" + ",\n".join(f"\t{pair}" for pair in pairs) + "\n}"


def of_dtmf(*pairs: str) -> str:
    return members('"Event-Name":\t"DTMF"', *pairs)


BODY_B = ('"Content-Length":\t"1"', '"_body":\t"B"')


@pytest.mark.parametrize(
    ("new", "changes", "json_", "body"),
    [
        (("json", '{"x[2]":"i"}'), [], members('"x":\t["", "", "i"]'), None),
        (("json", '{"x[2]":["i","j"]}'), [], members('"x":\t["", "", "j"]'), None),
        (("json", '{"x":["ARRAY::a|:b","c"]}'), [], members('"x":\t["a", "b", "c"]'), None),
        (("json", '{"Event-Name":"DTMF","Event-Name":["TALK"]}'), [], members('"Event-Name":\t["DTMF", "TALK"]'), None),
        (("json", '{"_body":["B"]}'), [], members('"_body":\t["B"]', *BODY_B), "B"),
        (("json", '{"_BODY":"A","_body":"B"}'), [], members(*BODY_B), "B"),
        *((("json", text), [], NONE, None) for text in ("null", "true", "false", "5", '"x"', "[]", " null x")),
        (("DTMF",), [("pushHeader", "_body", "B")], of_dtmf('"_body":\t["B"]', *BODY_B), "B"),
        (
            ("DTMF",),
            [("unshiftHeader", "_body", "B")],
            members('"_body":\t["B"]', '"Event-Name":\t"DTMF"', *BODY_B),
            "B",
        ),
        (
            ("DTMF",),
            [("pushHeader", "_body", "A"), ("pushHeader", "_body", "B")],
            of_dtmf('"_body":\t["A", "B"]', *BODY_B),
            "B",
        ),
        (
            ("DTMF",),
            [("addHeader", "_body", "ARRAY::A|:B")],
            of_dtmf('"_body":\t["A", "B"]', *BODY_B),
            "B",
        ),
        (("DTMF",), [("pushHeader", "_body", "")], of_dtmf('"Content-Length":\t"0"', '"_body":\t""'), ""),
        (("DTMF",), [("addHeader", "A", "1"), ("addHeader", "A", "ARRAY::")], of_dtmf('"A":\t"1"'), None),
        (("DTMF",), [("addHeader", "A", "ARRAY::")], of_dtmf(), None),
        (("DTMF",), [("pushHeader", "A", "1"), ("addHeader", "A", "ARRAY::")], of_dtmf('"A":\t["1"]'), None),
        (
            ("DTMF",),
            [("pushHeader", "A", "1"), ("pushHeader", "A", "ARRAY::")],
            of_dtmf('"A":\t["1", "ARRAY::"]'),
            None,
        ),
        (("DTMF",), [("addHeader", "A", "ARRAY::ARRAY::x")], of_dtmf('"A":\t["x"]'), None),
        (("DTMF",), [("addHeader", "A", "ARRAY::ARRAY::x|:y")], of_dtmf('"A":\t["x", "y"]'), None),
        (("DTMF",), [("pushHeader", "A", "ARRAY::ARRAY::x")], of_dtmf('"A":\t["x"]'), None),
        (("DTMF",), [("addHeader", "A", "ARRAY::x|:ARRAY::y")], of_dtmf('"A":\t["x", "ARRAY::y"]'), None),
        (("DTMF",), [("unshiftHeader", "A[1]", "x")], members('"A":\t["", "x"]', '"Event-Name":\t"DTMF"'), None),
    ],
)
def test_as_the_official_module_was_seen_to_do(ESL, strict, new, changes, json_, body):
    event = ESL.ESLevent(*new)
    for verb, *arguments in changes:
        assert getattr(event, verb)(*arguments) is True
    assert (event.serialize("json"), event.getBody()) == (json_, body)


def test_array_that_is_nested_deeply_takes_linear_time(ESL, strict):
    event = ESL.ESLevent("DTMF")
    event.addHeader("A", "ARRAY::" * 200_000 + "x")
    assert event.getHeader("A") == "x"


def test_whole_array_is_put_last_when_strict_and_first_by_default(ESL):
    for mode, names in ((True, ["Event-Name", "A"]), (False, ["A", "Event-Name"])):
        with strictly(ESL, mode):
            event = ESL.ESLevent("DTMF")
            event.unshiftHeader("A", "ARRAY::a|:b")
            assert (names_of(event), event.getHeader("A")) == (names, "ARRAY::a|:b")


def test_clone_with_an_empty_text_is_an_event_without_headers(ESL, strict):
    event = ESL.ESLevent("CLONE", "")
    assert (event.getType(), event.serialize(), event.addHeader("A", "1")) == ("CUSTOM", "\n", True)


@pytest.mark.parametrize("format", ["plain", "json"])
@pytest.mark.parametrize(
    ("names", "type_", "shown"),
    [
        (["DTMF", "FOO"], "DTMF", "FOO"),
        (["DTMF", "FOO", "TALK"], "TALK", "TALK"),
        (["FOO"], "CUSTOM", "FOO"),
        (["ARRAY::DTMF"], "CUSTOM", "DTMF"),
        (["ARRAY::FOO|:TALK"], "CUSTOM", "ARRAY::FOO|:TALK"),
        (["TALK", "ARRAY::DTMF"], "TALK", "DTMF"),
        (["ARRAY::6byte_DTMF"], "DTMF", "6byte_DTMF"),
        (["DTMF", ""], "DTMF", None),
        (["SWITCH_EVENT_DTMF"], "DTMF", "SWITCH_EVENT_DTMF"),
        (["CU\u017fTOM", "d\u0131mf"], "CUSTOM", "d\u0131mf"),
    ],
)
@pytest.mark.parametrize("first", ["getType", "getHeader", "firstHeader"])
def test_type_is_that_of_the_last_name_that_is_known(ESL, strict, format, names, type_, shown, first):
    spelled = ["Event-Name", "event-name", "EVENT-NAME"][: len(names)]
    headers = [("A", "1"), *zip(spelled, names, strict=True), ("B", "2")]
    if format == "json":
        payload = ("{" + ",".join(f"{json.dumps(name)}:{json.dumps(value)}" for name, value in headers) + "}").encode()
    else:
        payload = "".join(f"{name}: {percent_all(value)}\n" for name, value in headers).encode() + b"\n"
    with wires(ESL) as wire_of:
        event = wire_of(
            b"Content-Length: %d\nContent-Type: text/event-%b\n\n%b" % (len(payload), format.encode(), payload)
        ).con.recvEvent()
    {"getType": event.getType, "firstHeader": event.firstHeader, "getHeader": lambda: event.getHeader("Event-Name")}[
        first
    ]()
    assert (event.getType(), event.getHeader("Event-Name")) == (type_, shown)
    assert names_of(event) == ["A", *([spelled[-1]] if shown else []), "B"]


def test_repeated_name_of_an_event_is_that_name_once(ESL, strict):
    payload = b"EVENT-NAME: TALK\nA: 1\nEVENT-NAME: DTMF\n\n"
    with wires(ESL) as wire_of:
        event = wire_of(plain(payload)).con.recvEvent()
    assert (names_of(event), event.getHeader("event-name"), event.getType()) == (["A", "EVENT-NAME"], "DTMF", "DTMF")


@pytest.mark.parametrize("first", ["getType", "getHeader", "firstHeader", "getBody", "serialize"])
def test_plain_event_without_a_length_is_the_frame_itself(ESL, strict, first):
    said = b"Content-Type: text/event-plain\nEvent-Name: DTMF\nA: %41\n\n"
    with wires(ESL) as wire_of:
        event = wire_of(said).con.recvEvent()
    getattr(event, first)(*["A"][: first == "getHeader"])
    assert (event.getType(), event.getBody(), event.getHeader("A")) == ("SOCKET_DATA", None, "A")
    assert event.serialize() == ("Event-Name: SOCKET_DATA\nContent-Type: text/event-plain\nEvent-Name: DTMF\nA: A\n\n")


def test_plain_event_of_no_bytes_is_an_event_without_headers(ESL, strict):
    with wires(ESL) as wire_of:
        event = wire_of(b"Content-Type: text/event-plain\nContent-Length: 0\n\n").con.recvEvent()
    assert (event.getType(), event.serialize(), event.firstHeader()) == ("CUSTOM", "\n", None)


@pytest.mark.parametrize(("body", "read"), [(b"", "x"), (b"B", "B")])
def test_last_item_of_an_array_that_is_called_body_is_the_body_if_there_is_no_other(ESL, strict, body, read):
    payload = b"Event-Name: DTMF\n_body[1]: x\n\n" + body
    with wires(ESL) as wire_of:
        event = wire_of(plain(payload)).con.recvEvent()
    assert (event.getBody(), event.getHeader("_body")) == (read, "x")


@pytest.mark.parametrize("names", [["DTMF"], ["DTMF", "TALK"], ["DTMF", "DTMF"], ["FOO", "DTMF"]])
def test_array_of_names_in_json_is_no_type(ESL, strict, names):
    payload = json.dumps({"Event-Name": names}).encode()
    with wires(ESL) as wire_of:
        said = b"Content-Type: text/event-json\nContent-Length: %d\n\n%b" % (len(payload), payload)
        event = wire_of(said).con.recvEvent()
    assert event.getType() == "CUSTOM"


@pytest.mark.parametrize("text", ["null", "true", "[]", '["x"]', "5", "{}"])
def test_json_event_that_is_no_object_is_an_event_without_headers(ESL, strict, text):
    with wires(ESL) as wire_of:
        said = b"Content-Type: text/event-json\nContent-Length: %d\n\n%b" % (len(text), text.encode())
        event = wire_of(said).con.recvEvent()
    assert (event.getType(), event.serialize(), event.firstHeader(), event.getBody()) == ("CUSTOM", "\n", None, None)


@pytest.mark.parametrize("text", ["NaN", '{"A":NaN}', '{"A":-Infinity}'])
def test_what_only_python_takes_for_json_is_malformed(ESL, strict, text):
    assert_invalid(ESL.ESLevent("json", text))


def test_number_of_any_length_is_left_out(ESL, strict):
    event = ESL.ESLevent("json", f'{{"Event-Name": "DTMF", "N": {"9" * 5000}, "A": "1"}}')
    assert (event.getType(), event.getHeader("N"), event.getHeader("A")) == ("DTMF", None, "1")


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
def test_json_event_reads_as_its_list_does(esl, strict, members, escaped, between, first):
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


def test_captured_json_events_read_as_their_lists_do(ESL, strict):
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


def received(module: Any, stream: bytes) -> Any:
    """The frames of a stream, each as an event that nobody has looked at."""
    decoder = decoder_of(module)
    decoder.feed(stream)
    return [module.ESLevent._received(message) for message in decoder]


def all_of(event: Any, names: list[str]) -> Any:
    headers = {name: [event.getHeader(name), event.getHeader(name, 0), event.getHeader(name, 1)] for name in names}
    shown = [event.serialize(format) for format in ("plain", "json", "xml")]
    return event.getType(), event.getBody(), headers, names_of(event), shown


@pytest.mark.parametrize(
    "name", ["churn_plain", "churn_json", "churn_xml", "calls_sip", "calls_sip_json", "callcenter"]
)
def test_reading_makes_no_list_of_headers(ESL, strict, name):
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
def test_any_json_is_looked_up_as_in_a_list(both, payload, asked):
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
    assert [ours._lone(name) for name in asked] == [theirs._lone(name) for name in asked]
    assert ours._survey() == theirs._survey()


@pytest.mark.parametrize("format", ["json", "plain"])
def test_event_with_an_array_and_another_name_twice_is_no_list(both, format):
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
def test_any_frame_is_looked_up_as_in_a_list(both, kind, lines, body, asked):
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
