"""ESLevent: headers, priority, body, iteration, serialize (docs/protocol/esl-module.md, A3.2 to A3.4)."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from esl_support import framed, names_of, strictly, wires
from support import plain

# Methods, headers: docs/protocol/esl-module.md, A3.2


def test_get_header_ignores_case_and_takes_the_first(ESL: Any, strict: Any, dtmf: Any) -> None:
    dtmf.addHeader("Unique-ID", "1")
    dtmf.addHeader("unique-id", "2")
    assert dtmf.getHeader("UNIQUE-id") == "1"
    assert dtmf.getHeader("Unique") is None
    assert dtmf.getHeader("") is None


def test_case_is_that_of_ascii(ESL: Any, strict: Any, dtmf: Any) -> None:
    dtmf.addHeader("\u00c9", "1")
    assert (dtmf.getHeader("\u00c9"), dtmf.getHeader("\u00e9")) == ("1", None)


def test_get_header_of_none_is_none(ESL: Any, strict: Any, dtmf: Any) -> None:
    assert dtmf.getHeader(None) is None


@pytest.mark.parametrize(
    ("index", "array", "scalar"),
    [
        *((0, "a", None), (1, "", None), (2, "c", None), (3, None, None), (1 << 20, None, None)),
        *((-1, "ARRAY::a|:|:c", "text"), (-5, "ARRAY::a|:|:c", "text")),
    ],
)
def test_get_header_with_an_index(ESL: Any, strict: Any, dtmf: Any, index: Any, array: Any, scalar: Any) -> None:
    dtmf.addHeader("L", "ARRAY::a|:|:c")
    dtmf.addHeader("S", "text")
    assert (dtmf.getHeader("L", index), dtmf.getHeader("S", index)) == (array, scalar)
    assert dtmf.getHeader("absent", index) is None


def test_underscore_body_is_the_body_where_no_header_is_so_called(ESL: Any, strict: Any, dtmf: Any) -> None:
    assert dtmf.getHeader("_body") is None
    dtmf.addBody("B")
    assert (dtmf.getHeader("_body"), dtmf.getHeader("_BODY")) == ("B", None)
    dtmf.addHeader("_BODY", "header")
    assert dtmf.getHeader("_body") == "header"


@pytest.mark.parametrize("format", ["built", "plain", "json", "outer"])
@pytest.mark.parametrize("index", [-1, 0, 2])
def test_underscore_body_is_the_body_whatever_the_index(ESL: Any, strict: Any, format: str, index: int) -> None:
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


def test_header_named_underscore_body_is_the_body_too(ESL: Any, strict: Any, dtmf: Any) -> None:
    dtmf.addBody("old")
    dtmf.addHeader("_body", "new")
    assert (dtmf.getBody(), dtmf.getHeader("_body"), names_of(dtmf)) == ("new", "new", ["Event-Name", "_body"])


def test_type_is_not_that_of_a_later_header(ESL: Any, strict: Any, dtmf: Any) -> None:
    dtmf.delHeader("Event-Name")
    dtmf.addHeader("Event-Name", "HEARTBEAT")
    assert (dtmf.getType(), dtmf.getHeader("event-name")) == ("DTMF", "HEARTBEAT")


def test_add_header_appends_and_keeps_repeats(ESL: Any, strict: Any, dtmf: Any) -> None:
    assert [dtmf.addHeader("A", "1"), dtmf.addHeader("A", "2"), dtmf.addHeader("a", "3")] == [True] * 3
    assert dtmf.serialize() == "Event-Name: DTMF\nA: 1\nA: 2\na: 3\n\n"


def test_add_header_of_nothing_deletes(ESL: Any, strict: Any, dtmf: Any) -> None:
    dtmf.addHeader("A", "1")
    dtmf.addHeader("a", "2")
    assert dtmf.addHeader("A", "") is True
    assert dtmf.serialize() == "Event-Name: DTMF\n\n"


@pytest.mark.parametrize("name", ["addHeader", "pushHeader", "unshiftHeader"])
def test_value_none_is_refused(ESL: Any, strict: Any, dtmf: Any, name: str) -> None:
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
def test_name_none_changes_nothing(ESL: Any, strict: Any, dtmf: Any, call: Any) -> None:
    with contextlib.suppress(TypeError):  # docs/protocol/esl-module.md, A1: returns None or 1, or raises
        assert call(dtmf) in (None, False, True)
    assert dtmf.serialize() == "Event-Name: DTMF\n\n"


def test_push_makes_and_extends_an_array(ESL: Any, strict: Any, dtmf: Any) -> None:
    assert dtmf.pushHeader("P", "1") is True
    assert dtmf.serialize("json") == '{\n\t"Event-Name":\t"DTMF",\n\t"P":\t["1"]\n}'
    assert (dtmf.getHeader("P"), dtmf.getHeader("P", 0), dtmf.getHeader("P", 1)) == ("1", "1", None)
    assert dtmf.pushHeader("p", "") is True
    assert (dtmf.getHeader("P"), dtmf.getHeader("P", 1)) == ("ARRAY::1|:", "")


def test_unshift_puts_a_new_header_first(ESL: Any, strict: Any, dtmf: Any) -> None:
    assert dtmf.unshiftHeader("R", "r") is True
    assert dtmf.serialize("json") == '{\n\t"R":\t["r"],\n\t"Event-Name":\t"DTMF"\n}'


def test_unshift_puts_the_item_first(ESL: Any, dtmf: Any) -> None:
    dtmf.addHeader("A", "1")
    dtmf.unshiftHeader("a", "0")
    assert dtmf.getHeader("A") == "ARRAY::0|:1"


def test_unshift_appends_when_strict(ESL: Any, dtmf: Any) -> None:
    with strictly(ESL, True):
        dtmf.addHeader("A", "1")
        dtmf.unshiftHeader("a", "0")
        assert dtmf.getHeader("A") == "ARRAY::1|:0"


def test_delete_takes_every_header_of_the_name(ESL: Any, strict: Any, dtmf: Any) -> None:
    dtmf.addHeader("A", "1")
    dtmf.addHeader("B", "2")
    dtmf.addHeader("a", "3")
    assert dtmf.delHeader("A") is True
    assert names_of(dtmf) == ["Event-Name", "B"]
    assert dtmf.delHeader("A") is True


def test_overwritten_item_shows_everywhere(ESL: Any, strict: Any, dtmf: Any) -> None:
    for name, value in (("A[0]", "x"), ("A[1]", "y"), ("A[0]", "zz")):
        dtmf.addHeader(name, value)
    assert (dtmf.getHeader("A", 0), dtmf.getHeader("A")) == ("zz", "ARRAY::zz|:y")


@pytest.mark.parametrize("value", ["xx ARRAY::a|:b", "array::a|:b", "ARRAY:a|:b", "a|:b"])
def test_value_that_does_not_begin_with_the_marker_is_text(ESL: Any, strict: Any, dtmf: Any, value: str) -> None:
    dtmf.addHeader("A", value)
    assert (dtmf.getHeader("A"), dtmf.getHeader("A", 0)) == (value, None)


@pytest.mark.parametrize("name", ["A[4001]", "A[-1]", "A[99999999999999999999]"])
def test_index_out_of_range_is_dropped(ESL: Any, strict: Any, dtmf: Any, name: str) -> None:
    assert dtmf.addHeader(name, "x") is True
    assert dtmf.serialize() == "Event-Name: DTMF\n\n"


def test_largest_index(ESL: Any, strict: Any, dtmf: Any) -> None:
    dtmf.addHeader("A[4000]", "x")
    assert (dtmf.getHeader("A", 4000), dtmf.getHeader("A", 3999), dtmf.getHeader("A", 4001)) == ("x", "", None)


@pytest.mark.parametrize("name", ["A[]", "A[x]", "A[0", "A[ +0z]"])
def test_index_is_read_as_atoi_does(ESL: Any, strict: Any, dtmf: Any, name: str) -> None:
    dtmf.addHeader(name, "x")
    assert dtmf.serialize("json") == '{\n\t"Event-Name":\t"DTMF",\n\t"A":\t["x"]\n}'


# Methods, priority: docs/protocol/esl-module.md, A3.2


def test_priority_is_a_header_at_the_top(ESL: Any, strict: Any, dtmf: Any) -> None:
    assert [dtmf.setPriority(), dtmf.setPriority()] == [True, True]
    assert dtmf.serialize("json") == '{\n\t"priority":\t["NORMAL"],\n\t"Event-Name":\t"DTMF"\n}'


def test_priority_that_is_there_is_replaced_in_place(ESL: Any, strict: Any, dtmf: Any) -> None:
    dtmf.addHeader("Priority", "5")
    dtmf.addHeader("priority", "6")
    assert dtmf.setPriority() is True
    assert dtmf.serialize() == "Event-Name: DTMF\nPriority: NORMAL\npriority: 6\n\n"


def test_priority_of_an_array_changes_its_text_and_not_its_items_when_strict(ESL: Any, dtmf: Any) -> None:
    with strictly(ESL, True):
        dtmf.addHeader("priority", "ARRAY::a|:b")
        assert dtmf.setPriority() is True
        assert [dtmf.getHeader("priority", i) for i in (-1, 0, 1, 2)] == ["NORMAL", "a", "b", None]
        assert dtmf.serialize() == "Event-Name: DTMF\npriority: NORMAL\n\n"
        assert json.loads(dtmf.serialize("json")) == {"Event-Name": "DTMF", "priority": ["a", "b"]}


def test_priority_of_an_array_is_replaced(ESL: Any, dtmf: Any) -> None:
    dtmf.addHeader("priority", "ARRAY::a|:b")
    assert dtmf.setPriority() is True
    assert dtmf.serialize() == "Event-Name: DTMF\npriority: NORMAL\n\n"
    assert dtmf.getHeader("priority", 1) is None


@pytest.mark.parametrize("wrong", [0, 1, 2, "NORMAL", None])
def test_priority_takes_no_argument_when_strict(ESL: Any, dtmf: Any, wrong: Any) -> None:
    with strictly(ESL, True), pytest.raises(TypeError):
        dtmf.setPriority(wrong)
    assert dtmf.serialize() == "Event-Name: DTMF\n\n"


def test_priority_takes_a_number(ESL: Any, dtmf: Any) -> None:
    assert dtmf.setPriority(0) is True
    assert dtmf.serialize() == "priority: NORMAL\nEvent-Name: DTMF\n\n"
    assert dtmf.setPriority(2) is True
    assert dtmf.serialize() == "priority: HIGH\nEvent-Name: DTMF\n\n"
    with pytest.raises(TypeError):
        dtmf.setPriority("HIGH")


# Methods, body: docs/protocol/esl-module.md, A3.2


def test_body_is_none_until_there_is_one(ESL: Any, strict: Any, dtmf: Any) -> None:
    assert dtmf.getBody() is None
    assert dtmf.addBody("") is True
    assert dtmf.getBody() == ""


def test_body_none_is_its_printed_form(ESL: Any, strict: Any, dtmf: Any) -> None:
    assert dtmf.addBody(None) is True
    assert dtmf.getBody() == "(null)"


def test_body_is_added_to(ESL: Any, dtmf: Any) -> None:
    for text in ("a", "", "\u00e9\n"):
        assert dtmf.addBody(text) is True
    assert dtmf.serialize() == "Event-Name: DTMF\nContent-Length: 4\n\na\u00e9\n"


def test_body_is_replaced_when_strict(ESL: Any, dtmf: Any) -> None:
    with strictly(ESL, True):
        for text in ("a", "b"):
            assert dtmf.addBody(text) is True
        assert dtmf.getBody() == "b"


# Methods, iteration: docs/protocol/esl-module.md, A3.2


def test_next_before_first_is_none(ESL: Any, strict: Any, dtmf: Any) -> None:
    assert dtmf.nextHeader() is None


def test_first_begins_again(ESL: Any, strict: Any, dtmf: Any) -> None:
    dtmf.addHeader("A", "1")
    assert [dtmf.firstHeader(), dtmf.firstHeader(), dtmf.nextHeader(), dtmf.nextHeader()] == [
        *("Event-Name", "Event-Name", "A", None),
    ]
    assert dtmf.nextHeader() is None
    assert names_of(dtmf) == ["Event-Name", "A"]


def test_repeated_names_come_once_for_each_but_have_the_first_value(ESL: Any, strict: Any, dtmf: Any) -> None:
    dtmf.addHeader("A", "1")
    dtmf.addHeader("A", "2")
    assert [(name, dtmf.getHeader(name)) for name in names_of(dtmf)] == [
        *(("Event-Name", "DTMF"), ("A", "1"), ("A", "1")),
    ]


def test_event_without_headers_has_no_first(ESL: Any, strict: Any) -> None:
    event = ESL.ESLevent("CLONE")
    assert (event.firstHeader(), event.nextHeader()) == (None, None)


def test_iteration_survives_changes(ESL: Any, strict: Any, dtmf: Any) -> None:
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
def test_many_headers_are_read_one_by_one(ESL: Any, strict: Any, received: bool) -> None:
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
def test_every_other_format_is_plain(ESL: Any, strict: Any, dtmf: Any, format: Any) -> None:
    dtmf.addHeader("A", "x y:\u00e9%41")
    assert dtmf.serialize(format) == "Event-Name: DTMF\nA: x%20y%3A%C3%A9%2541\n\n"


@pytest.mark.parametrize("format", ["json", "JSON", "Json"])
def test_json_in_any_case(ESL: Any, strict: Any, format: str) -> None:
    event = ESL.ESLevent("CUSTOM")
    event.addHeader("L", "ARRAY::1|:2")
    event.addBody("B")
    assert event.serialize(format) == (
        '{\n\t"Event-Name":\t"CUSTOM",\n\t"L":\t["1", "2"],\n\t"Content-Length":\t"1",\n\t"_body":\t"B"\n}'
    )


def test_xml_is_plain_when_strict(ESL: Any, dtmf: Any) -> None:
    with strictly(ESL, True):
        assert dtmf.serialize("xml") == "Event-Name: DTMF\n\n"


@pytest.mark.parametrize("format", ["xml", "XML"])
def test_xml(ESL: Any, dtmf: Any, format: str) -> None:
    dtmf.addHeader("Unique-ID", "a b:c")
    dtmf.addHeader("variable_arr", "ARRAY::x|:y")
    dtmf.addBody("hello & \u00e9")
    assert dtmf.serialize(format) == (
        "<event>\n  <headers>\n    <Event-Name>DTMF</Event-Name>\n    <Unique-ID>a%20b%3Ac</Unique-ID>\n"
        "    <variable_arr>x</variable_arr>\n    <variable_arr>y</variable_arr>\n  </headers>\n"
        "  <Content-Length>10</Content-Length>\n  <body>hello &amp; &#xE9;</body>\n</event>\n"
    )


def test_xml_without_body(ESL: Any, dtmf: Any) -> None:
    dtmf.addBody("")
    assert dtmf.serialize("xml") == (
        "<event>\n  <headers>\n    <Event-Name>DTMF</Event-Name>\n  </headers>\n</event>\n"
    )


@pytest.mark.parametrize(("name", "value", "body"), [("A b", "1", None), ("A", "1", "\x01")])
def test_what_xml_cannot_carry_is_written_plain(ESL: Any, dtmf: Any, name: str, value: str, body: Any) -> None:
    dtmf.addHeader(name, value)
    if body is not None:
        dtmf.addBody(body)
    assert dtmf.serialize("xml") == dtmf.serialize()


def test_every_byte_is_written_and_read_back(ESL: Any, strict: Any) -> None:
    kept = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!$'()*,-./_~"
    for byte in range(1, 256):
        event = ESL.ESLevent("DTMF")
        text = bytes([byte]).decode("utf-8", "surrogateescape")
        event.addHeader("A", text)
        written = chr(byte) if byte in kept else f"%{byte:02X}"
        assert event.serialize() == f"Event-Name: DTMF\nA: {written}\n\n"
        assert json.loads(event.serialize("json"))["A"] == text
        assert ESL.ESLevent("json", event.serialize("json")).getHeader("A") == text
