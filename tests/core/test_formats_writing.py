"""Events as they are written: in any format and read back, to_dict, to_json, serialize."""

from __future__ import annotations

import importlib
import json
import random
from types import ModuleType
from typing import Any

import pytest
import support
from formats_support import CAPTURES, a_fifth_of, events_of, format_of
from hypothesis import example, given
from hypothesis import strategies as st
from losses import FORMATS, refused, written
from support import decode, naive_dict, to_text

# Any event, written and read back

BYTES = st.one_of(
    st.binary(max_size=6),
    st.text(max_size=6).map(str.encode),
    st.lists(
        st.sampled_from(
            [b"a", b" ", b":", b"%41", b"%", b"|:", b"ARRAY::", b"\n", b"\r", b'"', b"\\", b"<", b"&", b"\xff"]
        ),
        max_size=5,
    ).map(b"".join),
)
TEXT = BYTES.map(to_text)
ODD_NAMES = st.sampled_from(
    [
        "A",
        "a",
        "A",
        "Event-Name",
        "event-name",
        "Content-Length",
        "_body",
        "_BODY",
        "",
        "a b",
        "a:b",
        "a: b",
        "x:",
        "é",
        "1",
    ]
)
NAMES = ODD_NAMES | TEXT
TAME_NAMES = st.sampled_from(["A", "a", "B", "Event-Name", "Content-Length", "variable_x", "é", "a:b"])
VALUES = TEXT.filter(lambda value: not value.startswith("ARRAY::")) | st.lists(TEXT, max_size=4)
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=7) | st.lists(st.tuples(TAME_NAMES, VALUES), max_size=7)
BODIES = st.none() | BYTES


@given(fields=FIELDS, body=BODIES, format=st.sampled_from(FORMATS))
@example(fields=[("A", ["x"]), ("A", "y"), ("Content-Length", "1")], body=b"z", format="xml")
@example(fields=[("A", ["ARRAY::x|:y"])], body=None, format="plain")
@example(fields=[("A", ["ARRAY::"])], body=None, format="plain")
@example(fields=[("A", ["x|", ":y"])], body=b"\xff", format="xml")
@example(fields=[("_body", "x"), ("Event-Name", "Y")], body=b"real", format="json")
def test_any_event_is_read_back_as_losses_py_says_unless_it_is_refused(
    both: tuple[ModuleType, ModuleType], fields: Any, body: Any, format: Any
) -> None:
    for package in both:
        render = importlib.import_module(f"{package.__name__}.render")
        if refused(fields, body, format):
            with pytest.raises(package.InvalidCommand):
                render.PAYLOADS[format](fields, body)
            continue
        payload = render.PAYLOADS[format](fields, body)
        event = package.Event.from_payload(payload, format)
        assert event.malformed is None
        wanted = written(fields, body, format)
        assert (event._fields(), event.body) == wanted
        # Once read, nothing more is lost: written again it is the same, but for the text `ARRAY::x` of an array of one.
        arrays_of_one = any(not isinstance(value, str) and len(value) == 1 for _, value in wanted[0])
        if not refused(*wanted, format) and wanted[1] != b"" and not arrays_of_one:
            assert render.PAYLOADS[format](*wanted) == payload or format == "json"


@given(fields=FIELDS, body=BODIES, source=st.sampled_from(FORMATS), order=st.randoms(use_true_random=False))
def test_any_event_is_shown_alike_by_both_cores_in_any_order(
    both: tuple[ModuleType, ModuleType], fields: Any, body: Any, source: Any, order: Any
) -> None:
    if refused(fields, body, source):
        return
    render = importlib.import_module(f"{both[1].__name__}.render")
    payload = render.PAYLOADS[source](fields, body)
    ours, theirs = (package.Event.from_payload(payload, source) for package in both)
    pairs = theirs.pairs()
    eager = naive_dict(pairs)
    names = [name for name, _ in pairs]
    asked = [*names, *map(str.swapcase, names), "absent", "_body", "Event-Name", "EVENT-NAME"]
    order.shuffle(asked)
    for name in asked:
        assert ours.get(name) == theirs.get(name)
        assert ours.getlist(name) == theirs.getlist(name)
        assert name not in eager or ours.get(name) == eager[name]
    assert ours.pairs() == pairs
    assert list(ours.asdict().items()) == list(theirs.asdict().items()) == list(eager.items())
    assert ours._fields() == theirs._fields()
    for errors in ("replace", "surrogateescape"):
        assert ours.to_dict(errors) == theirs.to_dict(errors) == json.loads(ours.to_json(errors))
        assert ours.to_json(errors) == theirs.to_json(errors)
        ours.to_json(errors).decode()
    for format in FORMATS:
        assert outcome(ours, format) == outcome(theirs, format)


def outcome(event: Any, format: Any) -> Any:
    """What `serialize` gives or, where it refuses, says."""
    error = None
    try:
        return event.serialize(format)
    except Exception as caught:
        error = caught
    assert type(error).__name__ == "InvalidCommand"
    return str(error)


@given(
    shapes=st.lists(
        st.lists(st.tuples(TAME_NAMES, st.lists(BYTES, max_size=3)), min_size=1, max_size=5), min_size=1, max_size=3
    ),
    seed=st.integers(0, 2**32),
    body=BODIES,
)
def test_to_json_of_events_of_one_decoder_does_not_depend_on_those_before(
    both: tuple[ModuleType, ModuleType], shapes: Any, seed: Any, body: Any
) -> None:
    """Events with the same names in the same order: the compiled core writes what differs from an earlier one."""
    rng = random.Random(seed)
    payloads = []
    for _ in range(6):
        shape = rng.choice(shapes)
        lines = [f"{name}: ".encode() + rng.choice(values or [b"x"]).replace(b"\n", b"%0A") for name, values in shape]
        payloads.append(b"\n".join(lines) + rng.choice([b"", b"\n", b"\n\n", b"\n\n" + (body or b""), b"\r\n\r\nb"]))
    data = b"".join(b"Content-Length: %d\nContent-Type: text/event-plain\n\n%b" % (len(p), p) for p in payloads)
    ours, theirs = (decode(package, data) for package in both)
    for at, payload in enumerate(payloads):
        alone = both[1].Event.from_payload(payload, "plain")
        for errors in ("replace", "surrogateescape"):
            assert ours[at].to_json(errors) == theirs[at].to_json(errors) == alone.to_json(errors)
            assert json.loads(ours[at].to_json(errors)) == alone.to_dict(errors)
        assert ours[at].asdict() == alone.asdict()


# to_dict and to_json


def test_to_dict_has_the_shape_of_the_servers_json(esl: ModuleType) -> None:
    fields = b"A: 1\nEvent-Name: P\nArr: ARRAY%3A%3Ax%7C%3Ay\nA: 2\nEvent-Name: Q\nE: \nContent-Length: 2\n\n\xc3\xa9"
    wanted = {"A": "1", "Event-Name": "Q", "Arr": ["x", "y"], "E": "", "Content-Length": "2", "_body": "é"}
    event = esl.Event.from_payload(fields, "plain")
    assert event.to_dict() == wanted
    assert list(event.to_dict()) == list(wanted)
    assert event.to_json() == (
        b'{"A":"1","Event-Name":"Q","Arr":["x","y"],"E":"","Content-Length":"2","_body":"\xc3\xa9"}'
    )
    for format in ("json", "xml"):
        again = esl.Event.from_payload(event.serialize(format), format)
        assert again.to_dict() == wanted
        assert again.to_json() == event.to_json()


@pytest.mark.parametrize(
    ("format", "payload"),
    [
        ("plain", b"A%FF: %FF%C3%A9\nB\xfe: ARRAY::\xff|:x\n\n\xff\n"),
        ("json", b'{"A%FF":"\xff\xc3\xa9","B\xfe":["\xff","x"],"_body":"\xff\\n"}'),
    ],
)
def test_bytes_that_are_not_utf8_are_replaced_or_written_as_escaped_surrogates(
    esl: ModuleType, format: str, payload: bytes
) -> None:
    event = esl.Event.from_payload(payload, format)
    assert event.to_dict() == {"A%FF": "\ufffdé", "B\ufffd": ["\ufffd", "x"], "_body": "\ufffd\n"}
    assert event.to_json() == '{"A%FF":"\ufffdé","B\ufffd":["\ufffd","x"],"_body":"\ufffd\\n"}'.encode()
    kept = {"A%FF": "\udcffé", "B\udcfe": ["\udcff", "x"], "_body": "\udcff\n"}
    assert event.to_dict("surrogateescape") == event.to_dict(errors="surrogateescape") == kept
    assert event.to_json("surrogateescape") == (
        '{"A%FF":"\\udcffé","B\\udcfe":["\\udcff","x"],"_body":"\\udcff\\n"}'.encode()
    )
    assert json.loads(event.to_json(errors="surrogateescape")) == kept


@pytest.mark.parametrize("errors", ["strict", "ignore", "", None])
def test_other_error_modes_are_refused(esl: ModuleType, errors: Any) -> None:
    event = esl.Event.build("DTMF")
    for write in (event.to_dict, event.to_json):
        with pytest.raises(ValueError, match=r"^errors is .*, expected 'replace' or 'surrogateescape'$"):
            write(errors)


def test_names_that_become_one_by_replacing_are_one(esl: ModuleType) -> None:
    event = esl.Event.from_payload(b"A\xff: 1\nA\xfe: 2\n\n", "plain")
    assert event.to_dict() == json.loads(event.to_json()) == {"A\ufffd": "1"}
    assert len(event.to_dict("surrogateescape")) == 2


@pytest.mark.parametrize("wrong", ["PLAIN", "yaml", "", None])
def test_writing_in_an_unknown_format_is_refused(esl: ModuleType, wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"^format is .*, expected 'plain', 'json' or 'xml'$"):
        esl.Event.build("DTMF").serialize(wrong)


@pytest.mark.parametrize(
    "payload",
    [
        b"A: " + b"x%20" * 1000 + b"\n\n",  # longer than what is decoded on the stack
        b"A: ARRAY%3A%3Aa%7Cb%7C%3Ac%7C\n\n",  # bars that separate nothing
        b"A: 1\n_body: x\nContent-Length: 4\n\nreal",
        b"A: 1\nContent-Length: 1100000\n\n" + b"\xff\n" * 550000,
    ],
    ids=["long", "bars", "header named _body", "large body"],
)
def test_to_json_of_what_is_rare_is_the_same_on_both_cores(both: tuple[ModuleType, ModuleType], payload: bytes) -> None:
    stream = support.plain(payload)
    written = []
    for package in both:
        decoder = package.Decoder()
        decoder.feed(stream * 2)
        first, second = decoder  # the second has a template
        assert first.to_json() == second.to_json()
        assert json.loads(second.to_json()) == second.to_dict()
        written.append(second.to_json())
    assert written[0] == written[1]


# serialize("json"), which takes the way of to_json where that says the same


def json_member_by_member(event: Any) -> Any:
    """The payload as eslcodec/render.py describes it; None if it has to be refused."""
    fields, body = event._fields(), event.body
    if body is not None and fields and fields[-1] == ("Content-Length", str(len(body))):
        fields = fields[:-1]
    if any(name.isascii() and name.lower() == "_body" for name, _ in fields):
        return None
    if body is not None:
        fields = [*fields, ("Content-Length", str(len(body))), ("_body", to_text(body))]
    members = [
        json.dumps(name, ensure_ascii=False) + ":" + json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        for name, value in fields
    ]
    return ("{" + ",".join(members) + "}").encode("utf-8", "surrogateescape")


def assert_written_member_by_member(esl: ModuleType, event: Any) -> None:
    wanted = json_member_by_member(event)
    if wanted is None:
        with pytest.raises(esl.InvalidCommand, match=r"^header name '_[a-zA-Z]{4}' cannot be written in JSON"):
            event.serialize("json")
    else:
        assert event.serialize("json") == wanted


SERIALIZED_NAMES = st.sampled_from(
    [
        b"A",
        b"A",
        b"B",
        b"C",
        b"Event-Name",
        b"Content-Length",
        b"content-length",
        b"_body",
        b"_Body",
        b"x_body",
        b"N\xff",
        b"",
    ]
)
SERIALIZED_VALUES = st.one_of(
    st.sampled_from([b"", b"1", b"5", b"%35", b"x", b"%FF", b"\xe9", b"%C3%A9", b"%22%5Cud800%01%7F", b"ARRAY::a|:b"]),
    st.sampled_from([b"ARRAY%3A%3Aa%7C%3A%FF", b"ARRAY::a", b"\\ud800", b"%E2%80%A8", b" 1", b"1 ", b"0", b"3"]),
)
ONES, HELLO, NO_BODY = [[b"1"] * 5] * 3, [b"hello"] * 4, [b""] * 4


@given(
    names=st.lists(SERIALIZED_NAMES, max_size=5),
    values=st.lists(st.lists(SERIALIZED_VALUES, min_size=5, max_size=5), min_size=1, max_size=4),
    line_end=st.sampled_from([b"\n", b"\n", b"\n", b"\r\n"]),
    separator=st.sampled_from([b": ", b": ", b": ", b":"]),
    bodies=st.lists(
        st.sampled_from([b"", b"", b"hello", b"abc", b"\xff", "é".encode(), b'"\\\x00', b"\n\n"]),
        min_size=4,
        max_size=4,
    ),
    own_length=st.sampled_from(["", "last", "first"]),
)
@example(names=[b"A"], values=ONES, line_end=b"\n", separator=b": ", bodies=HELLO, own_length="last")
@example(names=[b"A"], values=ONES, line_end=b"\n", separator=b": ", bodies=HELLO, own_length="first")
@example(names=[], values=ONES, line_end=b"\n", separator=b": ", bodies=HELLO, own_length="last")
@example(names=[b"A", b"A"], values=ONES, line_end=b"\n", separator=b": ", bodies=NO_BODY, own_length="")
@example(names=[b"A"], values=[*ONES, [b"%FF"] * 5], line_end=b"\n", separator=b": ", bodies=NO_BODY, own_length="")
def test_serialized_json_is_what_member_by_member_gives(
    both: tuple[ModuleType, ModuleType],
    names: Any,
    values: Any,
    line_end: Any,
    separator: Any,
    bodies: Any,
    own_length: Any,
) -> None:
    payloads = []
    for row, body in zip(values, bodies, strict=False):
        lines = [name + separator + value + line_end for name, value in zip(names, row, strict=False)]
        length = b"Content-Length%b%d%b" % (separator, len(body), line_end)
        lines = [*lines, length] if own_length == "last" else [length, *lines] if own_length == "first" else lines
        payloads.append(b"".join(lines) + line_end + body)
    for package in both:
        decoder = package.Decoder()
        decoder.feed(b"".join(map(support.plain, payloads * 2)))  # the second time it remembers
        for event in (*decoder, *(package.Event.from_payload(payload, "plain") for payload in payloads)):
            assert_written_member_by_member(package, event)


@pytest.mark.parametrize("name", CAPTURES)
def test_captured_events_are_serialized_member_by_member(esl: ModuleType, name: Any) -> None:
    for event in a_fifth_of([event for event in events_of(esl, name) if format_of(event) != "json"]):
        if event.malformed is None:
            assert_written_member_by_member(esl, event)


def test_serialized_json_is_of_what_a_subclass_reads(esl: ModuleType) -> None:
    class Mine(esl.Event):
        __slots__ = ()

        @property
        def body(self) -> Any:
            return b"mine"

    (event,) = decode(esl, support.plain(b"A: 1\nContent-Length: 5\n\nhello"))
    mine = Mine(*event.__reduce__()[1])
    assert mine.serialize("json") == b'{"A":"1","Content-Length":"5","Content-Length":"4","_body":"mine"}'
