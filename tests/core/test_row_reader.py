"""`RowReader`: many headers at once, each as what it is."""

from __future__ import annotations

import copy
import gc
import pickle
import random
import re
import sys
from datetime import datetime, timedelta, timezone
from itertools import product
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import capture, load_core, part, plain

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
KINDS = ("string", "int64", "float64", "timestamp", "list")
INTEGERS = [
    "",
    "0",
    "-0",
    "007",
    "-7",
    "-",
    "--7",
    "+7",
    " 7",
    "7 ",
    "1_0",
    "\u0663",
    "7.0",
    "0x7",
    "1e3",
    "9" * 18,
    "9" * 19,
]
INTEGERS += ["-" + "9" * 18, "-" + "9" * 19, "1" + "0" * 19, str(2**63 - 1), str(2**63), f"-{10**17}", "7\0", "é"]
REALS = [
    "4.41",
    "-4.41",
    ".5",
    "5.",
    ".",
    "-.",
    "-.5",
    "1.2.3",
    "..",
    "1e5",
    "nan",
    "inf",
    "0",
    "-0",
    "-0.0",
    "--1",
    "1-",
]
REALS += ["\u0663.\u0661", "1" * 30, "1" * 31, "0.1", "0." + "3" * 28, "123456789.987654321", "1_0.0", " 1.0"]
TIMES = [
    "1",
    "999999",
    "1000000",
    "86399999999",
    "86400000000",
    "951782399999999",
    "951782400000000",
    "951868800000000",
]
TIMES += ["1795920738251991", "253402300799999999", "253402300800000000", "9" * 18, "-1", "4107542399999999"]
LISTS = [
    "a",
    "ARRAY::",
    "ARRAY::a",
    "ARRAY::a|:b",
    "ARRAY::|:",
    "ARRAY::a|:b|:",
    "array::a|:b",
    "a|:b",
    "ARRAY:a",
    "é|:x",
]


def wanted(text: str | None, kind: str) -> Any:
    """What the docstring says, by other means."""
    if kind == "string":
        return text
    if kind == "list":
        if not text:
            return ()
        return tuple(text[7:].split("|:")) if text[:7] == "ARRAY::" else (text,)
    if text is None:
        return None
    if kind == "float64":
        decimal = re.fullmatch("-?(?=[.]?[0-9])[0-9]*[.]?[0-9]*", text)
        return float(text) if decimal and len(text) <= 30 else None
    if not re.fullmatch("-?[0-9]+", text) or len(text) > 19:
        return None
    number = int(text)
    if kind == "int64":
        return number
    return EPOCH + timedelta(microseconds=number) if 0 < number < 253402300800000000 else None


def event_of(esl: ModuleType, value: str, format: str) -> Any:
    return esl.Event.from_payload(esl.Event.build("DTMF", {"A": value}).serialize(format), format)


def read(esl: ModuleType, value: str, kind: str) -> Any:
    return reader(esl, [("A", kind)]).read(event_of(esl, value, "plain"))[0]


def reader(esl: ModuleType, columns: Any) -> Any:
    return part(esl, "_codec").RowReader(columns)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", [*INTEGERS, *REALS, *TIMES, *LISTS])
def test_values(esl: ModuleType, text: str, kind: str) -> None:
    for format in ("plain", "json", "xml"):
        if "\0" in text and format != "plain":
            continue
        event = event_of(esl, text, format)
        (found,) = reader(esl, [("A", kind)]).read(event)
        right = wanted(event["A"], kind)  # an array of one item is that item in JSON and XML
        assert (type(found), repr(found)) == (type(right), repr(right))


def test_times_are_in_utc_itself(esl: ModuleType) -> None:
    assert read(esl, "1795920738251991", "timestamp").tzinfo is timezone.utc


def test_every_day(esl: ModuleType) -> None:
    """The calendar, from the first day to the last."""
    days = reader(esl, [(f"D{number}", "timestamp") for number in range(500)])
    chance = random.Random(8021)
    for first in range(0, 2_932_896, 29_000):
        places = [first + chance.randrange(29_000) for _ in range(400)] + list(range(first, first + 100))
        times = [min(day, 2_932_896) * 86_400_000_000 + chance.randrange(86_400_000_000) for day in places]
        lines = "".join(f"D{number}: {time}\n" for number, time in enumerate(times))
        found = days.read(esl.Event.from_payload(lines.encode() + b"\n", "plain"))
        assert found == [EPOCH + timedelta(microseconds=time) if time else None for time in times]


def test_what_is_absent(esl: ModuleType) -> None:
    event = esl.Event.from_payload(b"Event-Name: DTMF\n\n", "plain")
    assert reader(esl, [("Nothing", kind) for kind in KINDS]).read(event) == [None, None, None, None, ()]
    assert reader(esl, []).read(event) == []


def test_names_are_found_as_select_finds_them(both: tuple[ModuleType, ModuleType]) -> None:
    few = ["event-name", "Event-Name", "Unique-ID", "variable_é", "variable_é"[:9], "A\nB", "\ud800", ""]
    many = [*few, *(header for header, _ in part(both[0], "ingest.presets").LEGS.values())]
    for esl, names in product(both, (few, many)):
        for data in (
            *(capture(name)[:100_000] for name in ("sip_plain", "sip_json", "sip_xml")),
            plain(b"\xff: 1\n\n"),
        ):
            decoder = esl.Decoder()
            decoder.feed(data)
            rows = reader(esl, iter([(name, "string") for name in names]))
            for message in decoder:
                found = list(message.select(*names))
                assert rows.read(message) == found
                alone = pickle.loads(pickle.dumps(message))  # no decoder made it
                assert rows.read(alone) == rows.read(message) == rows.read(alone) == list(alone.select(*names)) == found


def test_messages_of_many_readers_and_decoders_are_not_mixed_up(esl: ModuleType) -> None:
    """What one of them knows of a message is not what another knows of another."""
    chance = random.Random(8021)
    decoders = [esl.Decoder() for _ in range(3)]
    readers = [reader(esl, [("A", "int64"), ("Absent", "int64"), ("B", "string")]) for _ in range(3)]
    messages = []
    for number in range(60):
        payload = b"%bA: %d\nB: b%d\n\n" % (b"C: %b\n" % (b"x" * chance.randrange(200)), number, number)
        decoder = decoders[number % 3]
        decoder.feed(plain(payload))
        messages += [(number, message) for message in decoder]
        messages.append((number, esl.Event.from_payload(payload, "plain")))
    for _ in range(600):
        number, message = chance.choice(messages)
        if chance.random() < 0.3:
            assert message.get("B") == f"b{number}"
        assert chance.choice(readers).read(message) == [number, None, f"b{number}"]


def test_each_row_is_its_own(esl: ModuleType) -> None:
    event = esl.Event.from_payload(b"A: 1\n\n", "plain")
    rows = reader(esl, [("A", "int64")])
    rows.read(event).append(5)
    assert rows.read(event) == [1]


def test_what_it_refuses(esl: ModuleType) -> None:
    with pytest.raises(KeyError):
        reader(esl, [("A", "binary")])
    with pytest.raises((TypeError, AttributeError)):
        reader(esl, []).read(None)
    with pytest.raises((TypeError, ValueError)):
        reader(esl, ["A"])
    with pytest.raises(TypeError):
        reader(esl, [(b"A", "string")])
    with pytest.raises(TypeError):
        reader(esl, []).__init__([("A", "string")])


def test_nothing_is_kept(esl: ModuleType) -> None:
    rows = reader(esl, [("A", kind) for kind in KINDS])
    events = [esl.Event.from_payload(b"A: %d\n\n" % number, "plain") for number in range(50)]

    def count() -> int:
        gc.collect()
        return len(gc.get_objects()) + sys.getrefcount(timezone.utc)

    for event in events:
        rows.read(event)
    before = count()
    for _ in range(20):
        for event in events:
            rows.read(event)
    assert abs(count() - before) < 10


def test_the_compiled_one_is_not_pickled(esl: ModuleType) -> None:
    if esl.__impl__ == "c":
        for refused in (pickle.dumps, copy.copy):
            with pytest.raises(TypeError):
                refused(reader(esl, []))


@given(st.text("0123456789-.+eE_ \u0663:|ARY", max_size=33), st.sampled_from(KINDS))
def test_any_text(text: str, kind: str) -> None:
    for core in ("c", "python"):
        try:
            esl = load_core(core)
        except ImportError:
            continue
        found, right = read(esl, text, kind), wanted(text, kind)
        assert (type(found), repr(found)) == (type(right), repr(right))


@given(st.integers(-(2**63), 2**64))
def test_any_number(number: int) -> None:
    for core in ("c", "python"):
        try:
            esl = load_core(core)
        except ImportError:
            continue
        for kind in ("int64", "timestamp", "float64"):
            found, right = read(esl, str(number), kind), wanted(str(number), kind)
            assert (type(found), repr(found)) == (type(right), repr(right))


HARD = [
    b"Name",
    b"name",
    b"NAME",
    b"Name: 1",
    b"name: 2",
    b"Name:3",
    b"Name:a: 4",
    b"Name : 5",
    b": 6",
    b":",
    b" ",
    b"x",
]
HARD += [
    b"Event-Name: 7",
    b"event-name: 8",
    b"Unique-ID: 9",
    b"Unique-Id: 9",
    b"%20: %41",
    b"A" * 70,
    b"\xff: \xff",
    b"Name: %41",
]


@given(st.lists(st.tuples(st.sampled_from(HARD), st.sampled_from([b"\n", b"\n", b"\r\n", b"", b": 1\n"])), max_size=12))
def test_names_that_are_looked_for_at_once(lines: list[tuple[bytes, bytes]]) -> None:
    """Any lines: as `select` finds them one by one."""
    names = ["Name", "name", "Event-Name", "event-name", "Unique-ID", "%20", "A" * 70, "Name:a", "Name ", "", "\udcff"]
    names += [f"Absent{number}" for number in range(12)] + ["x", "Name"]
    payload = b"".join(line + end for line, end in lines)
    for core in ("c", "python"):
        try:
            esl = load_core(core)
        except ImportError:
            continue
        rows = reader(esl, [(name, "string") for name in names])
        decoder = esl.Decoder()
        decoder.feed(plain(payload) if payload.endswith(b"\n\n") else plain(payload + b"\n\nName: body\n"))
        for message in [*decoder, esl.Event.from_payload(payload, "plain")]:
            assert rows.read(message) == list(message.select(*names))
            message.asdict()
            assert rows.read(message) == list(message.select(*names))
