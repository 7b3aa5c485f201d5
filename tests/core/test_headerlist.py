"""The mutable header list (docs/protocol/headers.md, P6), and the vectors of kind `serialize`."""

from __future__ import annotations

import importlib
import json
from types import ModuleType
from typing import Any

import pytest
from support import DATA

VECTORS = json.loads((DATA / "vectors.json").read_text())["vectors"]


@pytest.fixture
def new(esl: ModuleType) -> Any:
    """HeaderList of the package under test."""
    return importlib.import_module(f"{esl.__name__}.headers").HeaderList


@pytest.fixture
def render(esl: ModuleType) -> Any:
    return importlib.import_module(f"{esl.__name__}.render")


# Order, repeats, look-up: docs/protocol/headers.md, P6.1


def test_headers_keep_their_order_spelling_and_repeats(new: Any) -> None:
    headers = new([("B", "1"), ("a", "2")])
    headers.add("A", "3")
    headers.add("B", "4")
    assert headers.pairs() == list(headers) == [("B", "1"), ("a", "2"), ("A", "3"), ("B", "4")]
    assert len(headers) == 4


def test_look_up_takes_the_first_that_matches_ignoring_ascii_case(new: Any) -> None:
    headers = new([("unique-id", "1"), ("Unique-ID", "2"), ("É", "3")])
    assert headers.get("Unique-ID") == headers.get("UNIQUE-ID") == "1"
    assert "uNIQUE-iD" in headers
    assert (headers.get("é"), "é" in headers, headers.get("É")) == (None, False, "3")
    assert (headers.get("absent"), headers.get("absent", "x"), headers.getlist("absent")) == (None, "x", [])
    assert (None in headers, 5 in headers) == (False, False)


def test_delete_removes_every_header_of_the_name(new: Any) -> None:
    headers = new([("A", "1"), ("B", "2"), ("a", "3")], b"body")
    assert headers.delete("A") is True
    assert (headers.pairs(), headers.body) == ([("B", "2")], b"body")
    assert headers.delete("A") is False


def test_header_may_be_added_before_the_others(new: Any) -> None:
    headers = new([("A", "1")])
    headers.add("B", "2", first=True)
    headers.add("C", "ARRAY::x|:y", first=True)
    assert headers.fields() == [("C", ["x", "y"]), ("B", "2"), ("A", "1")]


# Empty values: docs/protocol/headers.md, P6.2


def test_adding_an_empty_value_deletes_every_header_of_the_name(new: Any) -> None:
    headers = new([("A", "1"), ("B", "2"), ("a", "3")])
    headers.add("A", "")
    headers.add("C", "")
    assert headers.pairs() == [("B", "2")]


def test_fields_given_at_the_beginning_are_taken_as_they_are(new: Any) -> None:
    given_fields = [("A", ""), ("A", "ARRAY::x"), ("B[1]", "y"), ("_body", "z"), ("C", []), ("D", ["", "q"])]
    headers = new(given_fields)
    assert headers.fields() == given_fields
    assert headers.body is None
    assert headers.pairs()[-2:] == [("C", ""), ("D", "ARRAY::|:q")]


# Push and unshift: docs/protocol/headers.md, P6.3


def test_push_makes_an_array_of_one(new: Any) -> None:
    headers = new()
    headers.push("P", "1")
    assert (headers.fields(), headers.pairs(), headers.get("p")) == ([("P", ["1"])], [("P", "1")], "1")


def test_push_makes_a_text_the_first_item(new: Any) -> None:
    headers = new([("A", "1"), ("A", "2")])
    headers.push("a", "3")
    headers.push("A", "")
    assert headers.fields() == [("A", ["1", "3", ""]), ("A", "2")]
    assert headers.getlist("a") == ["1", "3", ""]
    assert headers.get("A") == "ARRAY::1|:3|:"


def test_push_of_nothing_as_first_item_is_ignored(new: Any) -> None:
    headers = new()
    headers.push("P", "")
    headers.unshift("P", "")
    assert len(headers) == 0


def test_unshift_puts_the_item_before_the_others(new: Any) -> None:
    headers = new([("A", "1"), ("P", ["2"])])
    headers.unshift("P", "1")
    headers.unshift("A", "0")
    headers.unshift("A", "")
    assert headers.fields() == [("A", ["", "0", "1"]), ("P", ["1", "2"])]


def test_header_that_unshift_makes_stands_before_all_others(new: Any) -> None:
    headers = new([("A", "1")])
    headers.unshift("R", "r")
    assert headers.fields() == [("R", ["r"]), ("A", "1")]


# Texts of arrays: docs/protocol/headers.md, P6.4


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("ARRAY::a|:b", ["a", "b"]),
        ("ARRAY::a", ["a"]),
        ("ARRAY::a|:", ["a", ""]),
        ("ARRAY::a|:|:b", ["a", "", "b"]),
        ("ARRAY::|:b", ["b"]),
        ("ARRAY::|:|:", None),
        ("ARRAY::", None),
        ("ARRAY::ARRAY::a|:b", ["a", "b"]),
        ("ARRAY::ARRAY::ARRAY::a", ["a"]),
        ("ARRAY::a|:ARRAY::b", ["a", "ARRAY::b"]),
        ("ARRAY::ARRAY::", None),
        ("ARRAY::ARRAY::|:b", ["b"]),
        ("array::a|:b", "array::a|:b"),
        ("xx ARRAY::a|:b", "xx ARRAY::a|:b"),
    ],
)
def test_text_of_an_array_is_pushed_item_by_item(new: Any, text: str, value: Any) -> None:
    for verb in ("add", "push"):
        headers = new([("Z", "0")])
        getattr(headers, verb)("A", text)
        wanted = [value] if verb == "push" and isinstance(value, str) else value
        assert headers.fields() == ([("Z", "0")] if value is None else [("Z", "0"), ("A", wanted)])


def test_text_of_an_array_extends_a_header_that_is_there(new: Any) -> None:
    headers = new([("A", "1"), ("B", ["2"])])
    headers.add("a", "ARRAY::x|:|:y")
    headers.add("B", "ARRAY::|:z")
    assert headers.fields() == [("A", ["1", "x", "", "y"]), ("B", ["2", "", "z"])]


def test_text_of_an_array_pushed_onto_a_header_is_one_item(new: Any) -> None:
    headers = new()
    headers.push("W", "ARRAY::a|:b")
    headers.push("W", "ARRAY::c|:d")
    headers.unshift("W", "ARRAY::e|:f")
    assert headers.fields() == [("W", ["ARRAY::e|:f", "a", "b", "ARRAY::c|:d"])]


# Indexed names: docs/protocol/headers.md, P6.5


@pytest.mark.parametrize(
    ("index", "at"),
    [
        ("[2]", 2),
        ("[2", 2),
        ("[]", 0),
        ("[", 0),
        ("[x]", 0),
        ("[ 2]", 2),
        ("[+2]", 2),
        ("[2x]", 2),
        ("[002]", 2),
        ("[-1]", None),
        ("[4000]", 4000),
        ("[+00000000000000000000005]", 5),
        ("[4001]", None),
        ("[99999999999999999999999]", None),
        ("[1][2]", 1),
    ],
)
def test_indexed_name_sets_an_item_and_fills_the_gap(new: Any, index: str, at: Any) -> None:
    for verb in ("add", "push", "unshift"):
        headers = new()
        getattr(headers, verb)("T" + index, "x")
        assert headers.fields() == ([] if at is None else [("T", [""] * at + ["x"])])


def test_indexed_name_replaces_an_item(new: Any) -> None:
    headers = new([("A", ["a", "b", "c"])])
    headers.add("a[1]", "")
    headers.add("A[4]", "e")
    assert headers.fields() == [("A", ["a", "", "c", "", "e"])]
    assert headers.get("A") == "ARRAY::a|:|:c|:|:e"


def test_text_is_not_kept_by_an_indexed_name(new: Any) -> None:
    headers = new([("A", "text")])
    headers.add("A[1]", "x")
    assert headers.fields() == [("A", ["", "x"])]


def test_empty_value_at_an_index_is_an_item(new: Any) -> None:
    headers = new()
    headers.add("A[0]", "")
    assert headers.fields() == [("A", [""])]


# The body: docs/protocol/headers.md, P6.6


def test_array_without_items_is_nothing(new: Any) -> None:
    headers = new([("A", "1"), ("B", ["2"])])
    headers.add("A", "ARRAY::")
    headers.add("B", "ARRAY::")
    assert headers.fields() == [("A", "1"), ("B", ["2"])]


@pytest.mark.parametrize("verb", ["push", "unshift"])
def test_pushed_item_named_body_is_the_body_as_well(new: Any, verb: str) -> None:
    headers = new(body=b"before")
    for value, body in (("x", b"x"), ("", b""), ("ARRAY::a|:b", b"ARRAY::a|:b")):
        getattr(headers, verb)("_body", value)
        assert headers.body == body
    assert len(headers.getlist("_body")) == 3
    headers.delete("_body")
    getattr(headers, verb)("_body", "ARRAY::a|:b")
    assert (headers.body, headers.getlist("_body")) == (b"b", ["a", "b"])


def test_header_that_an_index_makes_is_first_where_it_is_to_be(new: Any) -> None:
    headers = new([("A", "1")])
    headers.unshift("B[1]", "x")
    headers.add("C[0]", "y", first=True)
    headers.push("D[0]", "z")
    headers.unshift("A[0]", "2")
    assert headers.fields() == [("C", ["y"]), ("B", ["", "x"]), ("A", ["2"]), ("D", ["z"])]


def test_header_named_body_is_the_body_as_well(new: Any) -> None:
    headers = new()
    headers.add("_body", "bé\udcff")
    assert headers.body == b"b\xc3\xa9\xff"
    assert headers.pairs() == [("_body", "bé\udcff")]
    headers.add("_BODY", "x")
    assert headers.body == b"b\xc3\xa9\xff"


def test_look_up_of_body_falls_back_to_the_body(new: Any) -> None:
    headers = new(body=b"b\xff")
    assert headers.get("_body") == "b\udcff"
    assert (headers.get("_BODY"), "_body" in headers, headers.getlist("_body")) == (None, False, [])
    headers.push("_Body", "header")
    assert headers.get("_body") == "header"
    assert new().get("_body", "none") == "none"


# As an object


def test_lists_that_come_out_are_copies(new: Any) -> None:
    items = ["a", "b"]
    headers = new([("A", items)])
    items.append("c")
    headers.fields()[0][1].append("d")
    headers.getlist("A").append("e")
    assert headers.fields() == [("A", ["a", "b"])]


def test_lists_are_equal_by_headers_and_body_and_have_no_hash(new: Any) -> None:
    assert new([("A", "1")], b"x") == new([("A", "1")], b"x")
    assert new([("A", "1")]) != new([("A", ["1"])])
    assert new([("A", "1")]) != new([("a", "1")])
    assert new([("A", "1")], b"x") != new([("A", "1")])
    assert new() != []
    with pytest.raises(TypeError):
        hash(new())
    assert repr(new([("A", "1")])) == "<HeaderList of 1 headers>"


@pytest.mark.parametrize(
    ("format", "payload"),
    [
        ("plain", b"A: ARRAY%3A%3Aa%7C%3Ab\nB: \nA: 2\nContent-Length: 1\n\nx"),
        ("json", b'{"A":["a","b"],"B":"","A":"2","Content-Length":"1","_body":"x"}'),
        (
            "xml",
            b"<event><headers><A>a</A><A>b</A><B/><A>2</A></headers><Content-Length>1</Content-Length><body>x</body>"
            b"</event>",
        ),
    ],
)
def test_event_as_a_list_to_be_changed(esl: ModuleType, new: Any, format: str, payload: bytes) -> None:
    event = esl.Event.from_payload(payload, format)
    headers = new.of(event)
    assert headers.fields() == [("A", ["a", "b"]), ("B", ""), ("A", "2"), ("Content-Length", "1")]
    assert headers.body == b"x"
    headers.delete("A")
    assert event.getlist("A") == ["a", "b", "2"]


# Vectors of kind `serialize`. What is ours on purpose: name -> (plain, JSON members), and the line it follows.

DIFFERENCES = {
    "serialize_unshift_appends": (
        "docs/protocol/headers.md, P6.3: on the server unshift prepends",
        (b"Event-Name: DTMF\nP: ARRAY%3A%3A0%7C%3A1\n\n", [("Event-Name", "DTMF"), ("P", ["0", "1"])]),
    ),
    "serialize_index_empty_value": (
        "docs/protocol/reading.md, 9: empty values are kept",
        (b"Event-Name: DTMF\nA: \n\n", [("Event-Name", "DTMF"), ("A", [""])]),
    ),
    "serialize_names_not_encoded": (
        "render.plain: a name with ': ' would be read as something else",
        ("InvalidCommand", [("Event-Name", "DTMF"), ("A b: c", "v w")]),
    ),
    "serialize_array_text_pushed_second": (
        "render.plain: an item with '|:' would be read as something else",
        ("InvalidCommand", [("Event-Name", "DTMF"), ("W", ["a", "b", "ARRAY::c|:d"])]),
    ),
    "serialize_body_header": (
        "render.json: a header '_body' would be read as the body",
        (b"Event-Name: DTMF\n_body: bb\nContent-Length: 2\n\nbb", "InvalidCommand"),
    ),
    "serialize_no_headers": (
        "docs/protocol/esl-module.md, A3: what types the ESL module knows is the drop-in's matter",
        (b"Event-Name: CLONE\n\n", [("Event-Name", "CLONE")]),
    ),
    "serialize_unknown_type_message": (
        "docs/protocol/esl-module.md, A3: what types the ESL module knows is the drop-in's matter",
        (b"Event-Name: FOO\n\n", [("Event-Name", "FOO")]),
    ),
    "serialize_type_with_subclass_becomes_custom": (
        "docs/protocol/esl-module.md, A3: what types the ESL module knows is the drop-in's matter",
        (b"Event-Name: DTMF\nEvent-Subclass: sub\n\n", [("Event-Name", "DTMF"), ("Event-Subclass", "sub")]),
    ),
}


def build(esl: ModuleType, new: Any, event: Any) -> Any:
    kind, *rest = event["new"]
    if kind == "json":
        return new.of(esl.Event.from_payload(rest[0].encode(), "json"))
    headers = new([("Event-Name", kind), *[("Event-Subclass", subclass) for subclass in rest]])
    for verb, *arguments in event.get("ops", []):
        name, *values = [a if isinstance(a, str) else a["repeat"][0] * a["repeat"][1] for a in arguments] or [""]
        if verb == "addHeader":
            headers.add(name, *values)
        elif verb == "pushHeader":
            headers.push(name, *values)
        elif verb == "unshiftHeader":
            headers.unshift(name, *values)
        elif verb == "delHeader":
            headers.delete(name)
        elif verb == "addBody":
            headers.body = name.encode()
        elif verb == "setPriority":  # has no counterpart; what it does is this
            if "priority" not in headers:
                headers.unshift("priority", "NORMAL")
        else:
            raise AssertionError(verb)
    return headers


@pytest.mark.parametrize("vector", [v for v in VECTORS if v["kind"] == "serialize"], ids=lambda vector: vector["name"])
def test_vector_serialize(esl: ModuleType, new: Any, render: Any, vector: Any) -> None:
    headers = build(esl, new, vector["event"])
    plain = vector["expect_plain"].encode("latin-1")
    members = json.loads(vector["expect_json"].encode("latin-1"), object_pairs_hook=list)
    members = [tuple(member) for member in members] if members != {} else []
    if vector["name"] in DIFFERENCES:
        _, ours = DIFFERENCES[vector["name"]]
        assert ours != (plain, members), "no difference: the entry is not needed"
        plain, members = ours
    if plain == "InvalidCommand":
        with pytest.raises(esl.InvalidCommand):
            render.plain(headers.fields(), headers.body)
    else:
        assert render.plain(headers.fields(), headers.body) == plain
    if members == "InvalidCommand":
        with pytest.raises(esl.InvalidCommand):
            render.json(headers.fields(), headers.body)
        return
    written = render.json(headers.fields(), headers.body)
    assert [tuple(member) for member in json.loads(written, object_pairs_hook=list) or []] == members


def test_items_that_fill_gaps_are_bounded(new: Any) -> None:
    headers = new()
    for number in range(20):
        headers.add(f"A{number}[4000]", "x")
    kept = [len(headers.getlist(f"A{number}")) for number in range(20)]
    assert kept == [4001] * 16 + [0] * 4, "16 * 4001 is below 65 536, 17 * 4001 is not"
    headers.add("A0[0]", "y")
    assert headers.getlist("A0")[0] == "y", "what is there already needs no room"
    headers.add("B[1519]", "x")
    assert (len(headers.getlist("B")), 16 * 4001 + 1520) == (1520, 1 << 16)
    headers.add("C[0]", "x")
    assert "C" not in headers


def test_first_is_the_value_as_it_stands(new: Any) -> None:
    headers = new([("A", "1"), ("a", "2"), ("B", ["x", "y"])])
    items = headers.first("b")
    items.append("z")
    assert (headers.first("a"), headers.first("B"), headers.first("C")) == ("1", ["x", "y"], None)


def test_replace_puts_a_value_in_the_place_of_the_first(new: Any) -> None:
    headers = new([("A", "1"), ("B", "2"), ("a", "3")])
    assert headers.replace("a", ["x", "ARRAY::"]) is True
    assert headers.fields() == [("A", ["x", "ARRAY::"]), ("B", "2"), ("a", "3")]
    assert headers.replace("C", "x") is False


def test_differences_name_vectors_that_exist() -> None:
    assert set(DIFFERENCES) <= {vector["name"] for vector in VECTORS if vector["kind"] == "serialize"}


@pytest.mark.parametrize("vector", [v for v in VECTORS if v["kind"] == "serialize_length"], ids=lambda v: v["name"])
def test_vector_serialize_length(esl: ModuleType, new: Any, render: Any, vector: Any) -> None:
    headers = build(esl, new, vector["event"])
    assert len(render.plain(headers.fields(), headers.body)) == vector["expect_correct_length"]
    assert vector["expect_correct_length"] != vector["expect_plain_length"], "docs/protocol/encoding.md, P5.2"
