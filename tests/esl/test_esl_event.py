"""ESLevent: vectors, constructors, types of arguments, what was seen (docs/protocol/esl-module.md, A1, A3.1 and A6)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from esl_support import names_of, percent_all, strictly, wires
from esl_vectors import DONE, OTHERWISE, RECORDED, VECTORS, outcome, vectors
from support import plain

GIVEN = [kind for kind in RECORDED if kind.startswith("serialize")]


# The vectors


@pytest.mark.parametrize("name", [name for kind in GIVEN for name in vectors(kind)])
def test_vector(ESL: Any, strict: Any, name: Any) -> None:
    vector = VECTORS[name]
    assert DONE[vector["kind"]](ESL, vector) == outcome(vector, strict)


def test_every_difference_names_a_vector_and_differs_from_it() -> None:
    for name, other in OTHERWISE.items():
        assert other.does != RECORDED[VECTORS[name]["kind"]](VECTORS[name]), f"{name}: no difference"


def test_length_without_the_off_by_one_is_what_the_vector_says() -> None:
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
def test_event_of_a_type(ESL: Any, strict: Any, arguments: Any, type_: str, headers: str) -> None:
    event = ESL.ESLevent(*arguments)
    assert (event.getType(), event.serialize(), event.getBody()) == (type_, headers + "\n", None)


@pytest.mark.parametrize("text", ["{", '{"A":"1"', "nonsense", '{"A":"\\ud83d"}'])
def test_event_from_malformed_json_is_invalid(ESL: Any, strict: Any, text: str) -> None:
    assert_invalid(ESL.ESLevent("json", text))


def test_empty_json_text_is_invalid(ESL: Any, strict: Any) -> None:
    assert_invalid(ESL.ESLevent("json", ""))


@pytest.mark.parametrize(("type_", "ours"), [("DTMF", "DTMF"), ("FOO", "MESSAGE")])
def test_empty_second_argument_is_as_none_and_invalid_when_strict(ESL: Any, type_: str, ours: str) -> None:
    assert ESL.ESLevent(type_, "").serialize() == f"Event-Name: {ours}\n\n"
    with strictly(ESL, True):
        assert_invalid(ESL.ESLevent(type_, ""))


def test_event_moves_into_a_new_one(ESL: Any, strict: Any) -> None:
    source = ESL.ESLevent("CUSTOM", "a::b")
    source.pushHeader("L", "1")
    source.addBody("B")
    text = source.serialize("json")
    moved = ESL.ESLevent(source)
    assert (moved.serialize("json"), moved.getType(), moved.getBody()) == (text, "CUSTOM", "B")
    assert_invalid(source)
    assert moved.addHeader("A", "1") is True
    assert_invalid(source)


def test_names_of_a_moved_event_are_gone_in_the_middle_of_an_iteration(ESL: Any, strict: Any, dtmf: Any) -> None:
    dtmf.addHeader("A", "1")
    assert dtmf.firstHeader() == "Event-Name"
    ESL.ESLevent(dtmf)
    assert (dtmf.nextHeader(), dtmf.firstHeader()) == (None, None)


def test_event_moved_from_an_invalid_one_is_invalid(ESL: Any, strict: Any, dtmf: Any) -> None:
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
def test_wrong_constructor_arguments(ESL: Any, strict: Any, arguments: Any) -> None:
    with pytest.raises(NotImplementedError, match="Wrong number or type of arguments for overloaded function"):
        ESL.ESLevent(*arguments)


def test_constructor_takes_no_keywords(ESL: Any, strict: Any) -> None:
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
def test_only_a_string_is_a_string(ESL: Any, strict: Any, dtmf: Any, name: Any, at: Any) -> None:
    arguments: list[Any] = list(METHODS[name])
    for wrong in (b"A", 5, True, 1.5, ["A"], object()):
        arguments[at] = wrong
        with pytest.raises(TypeError):
            getattr(dtmf, name)(*arguments)
    assert dtmf.serialize("json") == '{\n\t"Event-Name":\t"DTMF"\n}'


@pytest.mark.parametrize("name", METHODS)
def test_wrong_number_of_arguments(ESL: Any, strict: Any, dtmf: Any, name: Any) -> None:
    arguments = METHODS[name]
    with pytest.raises(TypeError):
        getattr(dtmf, name)(*arguments, "1", "2")
    if name != "serialize":
        with pytest.raises(TypeError):
            getattr(dtmf, name)(*arguments[1:])


@pytest.mark.parametrize("name", NO_ARGUMENTS)
def test_methods_without_arguments_take_none(ESL: Any, strict: Any, dtmf: Any, name: Any) -> None:
    with pytest.raises(TypeError):
        getattr(dtmf, name)("A")


@pytest.mark.parametrize("wrong", ["0", 1.5, None])
def test_only_an_int_is_an_index(ESL: Any, strict: Any, dtmf: Any, wrong: Any) -> None:
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
def test_arguments_are_positional(ESL: Any, strict: Any, dtmf: Any, name: str, keywords: Any) -> None:
    with pytest.raises(TypeError):
        getattr(dtmf, name)(**keywords)


def test_serialize_takes_its_format_by_name(ESL: Any, strict: Any, dtmf: Any) -> None:
    assert dtmf.serialize(format="json") == '{\n\t"Event-Name":\t"DTMF"\n}'
    assert dtmf.serialize(format=None) == "Event-Name: DTMF\n\n"


def test_nul_cuts_a_string(ESL: Any, strict: Any, dtmf: Any) -> None:
    assert dtmf.addHeader("A\0x", "1\0002") is True
    assert dtmf.getHeader("a\0b") == "1"
    assert dtmf.addBody("body\0more") is True
    assert dtmf.serialize() == "Event-Name: DTMF\nA: 1\nContent-Length: 4\n\nbody"
    assert ESL.ESLevent("DTMF\0x").getType() == "DTMF"
    assert (
        dtmf.serialize("json\0x")
        == '{\n\t"Event-Name":\t"DTMF",\n\t"A":\t"1",\n\t"Content-Length":\t"4",\n\t"_body":\t"body"\n}'
    )


def test_bytes_that_are_no_text_come_back(ESL: Any, strict: Any, dtmf: Any) -> None:
    assert dtmf.addHeader("A\udcfe", "\udcff\u00e9") is True
    assert dtmf.addBody("\udce9") is True
    assert dtmf.getHeader("a\udcfe") == "\udcff\u00e9"
    assert dtmf.getBody() == "\udce9"
    assert dtmf.serialize() == "Event-Name: DTMF\nA\udcfe: %FF%C3%A9\nContent-Length: 1\n\n\udce9"
    assert dtmf.serialize("json").encode("utf-8", "surrogateescape") == (
        b'{\n\t"Event-Name":\t"DTMF",\n\t"A\xfe":\t"\xff\xc3\xa9",\n\t"Content-Length":\t"1",\n\t"_body":\t"\xe9"\n}'
    )


@pytest.mark.parametrize("name", METHODS)
def test_surrogate_that_stands_for_no_byte_is_refused(ESL: Any, strict: Any, dtmf: Any, name: Any) -> None:
    before = dtmf.serialize("json")
    with pytest.raises((TypeError, ValueError)):
        getattr(dtmf, name)(*["\ud800" for _ in METHODS[name]])
    assert dtmf.serialize("json") == before


def test_event_takes_new_attributes_and_has_no_unknown_ones(ESL: Any, strict: Any, dtmf: Any) -> None:
    dtmf.mine_own = 5
    assert dtmf.mine_own == 5
    with pytest.raises(AttributeError):
        dtmf.getNothing()


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
def test_as_the_official_module_was_seen_to_do(
    ESL: Any, strict: Any, new: Any, changes: Any, json_: Any, body: Any
) -> None:
    event = ESL.ESLevent(*new)
    for verb, *arguments in changes:
        assert getattr(event, verb)(*arguments) is True
    assert (event.serialize("json"), event.getBody()) == (json_, body)


def test_array_that_is_nested_deeply_takes_linear_time(ESL: Any, strict: Any) -> None:
    event = ESL.ESLevent("DTMF")
    event.addHeader("A", "ARRAY::" * 200_000 + "x")
    assert event.getHeader("A") == "x"


def test_whole_array_is_put_last_when_strict_and_first_by_default(ESL: Any) -> None:
    for mode, names in ((True, ["Event-Name", "A"]), (False, ["A", "Event-Name"])):
        with strictly(ESL, mode):
            event = ESL.ESLevent("DTMF")
            event.unshiftHeader("A", "ARRAY::a|:b")
            assert (names_of(event), event.getHeader("A")) == (names, "ARRAY::a|:b")


def test_clone_with_an_empty_text_is_an_event_without_headers(ESL: Any, strict: Any) -> None:
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
def test_type_is_that_of_the_last_name_that_is_known(
    ESL: Any, strict: Any, format: str, names: Any, type_: str, shown: Any, first: str
) -> None:
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


def test_repeated_name_of_an_event_is_that_name_once(ESL: Any, strict: Any) -> None:
    payload = b"EVENT-NAME: TALK\nA: 1\nEVENT-NAME: DTMF\n\n"
    with wires(ESL) as wire_of:
        event = wire_of(plain(payload)).con.recvEvent()
    assert (names_of(event), event.getHeader("event-name"), event.getType()) == (["A", "EVENT-NAME"], "DTMF", "DTMF")


@pytest.mark.parametrize("first", ["getType", "getHeader", "firstHeader", "getBody", "serialize"])
def test_plain_event_without_a_length_is_the_frame_itself(ESL: Any, strict: Any, first: str) -> None:
    said = b"Content-Type: text/event-plain\nEvent-Name: DTMF\nA: %41\n\n"
    with wires(ESL) as wire_of:
        event = wire_of(said).con.recvEvent()
    getattr(event, first)(*["A"][: first == "getHeader"])
    assert (event.getType(), event.getBody(), event.getHeader("A")) == ("SOCKET_DATA", None, "A")
    assert event.serialize() == ("Event-Name: SOCKET_DATA\nContent-Type: text/event-plain\nEvent-Name: DTMF\nA: A\n\n")


def test_plain_event_of_no_bytes_is_an_event_without_headers(ESL: Any, strict: Any) -> None:
    with wires(ESL) as wire_of:
        event = wire_of(b"Content-Type: text/event-plain\nContent-Length: 0\n\n").con.recvEvent()
    assert (event.getType(), event.serialize(), event.firstHeader()) == ("CUSTOM", "\n", None)


@pytest.mark.parametrize(("body", "read"), [(b"", "x"), (b"B", "B")])
def test_last_item_of_an_array_that_is_called_body_is_the_body_if_there_is_no_other(
    ESL: Any, strict: Any, body: bytes, read: str
) -> None:
    payload = b"Event-Name: DTMF\n_body[1]: x\n\n" + body
    with wires(ESL) as wire_of:
        event = wire_of(plain(payload)).con.recvEvent()
    assert (event.getBody(), event.getHeader("_body")) == (read, "x")


@pytest.mark.parametrize("names", [["DTMF"], ["DTMF", "TALK"], ["DTMF", "DTMF"], ["FOO", "DTMF"]])
def test_array_of_names_in_json_is_no_type(ESL: Any, strict: Any, names: Any) -> None:
    payload = json.dumps({"Event-Name": names}).encode()
    with wires(ESL) as wire_of:
        said = b"Content-Type: text/event-json\nContent-Length: %d\n\n%b" % (len(payload), payload)
        event = wire_of(said).con.recvEvent()
    assert event.getType() == "CUSTOM"


@pytest.mark.parametrize("text", ["null", "true", "[]", '["x"]', "5", "{}"])
def test_json_event_that_is_no_object_is_an_event_without_headers(ESL: Any, strict: Any, text: str) -> None:
    with wires(ESL) as wire_of:
        said = b"Content-Type: text/event-json\nContent-Length: %d\n\n%b" % (len(text), text.encode())
        event = wire_of(said).con.recvEvent()
    assert (event.getType(), event.serialize(), event.firstHeader(), event.getBody()) == ("CUSTOM", "\n", None, None)


@pytest.mark.parametrize("text", ["NaN", '{"A":NaN}', '{"A":-Infinity}'])
def test_what_only_python_takes_for_json_is_malformed(ESL: Any, strict: Any, text: str) -> None:
    assert_invalid(ESL.ESLevent("json", text))


def test_number_of_any_length_is_left_out(ESL: Any, strict: Any) -> None:
    event = ESL.ESLevent("json", f'{{"Event-Name": "DTMF", "N": {"9" * 5000}, "A": "1"}}')
    assert (event.getType(), event.getHeader("N"), event.getHeader("A")) == ("DTMF", None, "1")
