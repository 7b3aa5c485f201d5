"""Columns have what `select`, `getlist`, `body`, `to_json` and `id` give: every capture, every cut, hostile lines."""

from __future__ import annotations

import json
from datetime import timedelta
from types import ModuleType
from typing import Any

import pytest
from columns_support import EPOCH, HEADERS, SPEC, all_batches, columns_of, made, rows_of, wanted_rows
from formats_support import CAPTURES
from hypothesis import given
from hypothesis import strategies as st
from support import capture, examples, frame, naive_get, naive_getlist, naive_payload, pieces, plain

PAYLOADS = {
    "plain": b"Event-Name: DTMF\nCore-UUID: c\nEvent-Sequence: 7\nUnique-ID: u%201\nB:\nA: 1\nA: 2\n\nbody %41",
    "json": b'{"Event-Name":"DTMF","Core-UUID":"c","Event-Sequence":"7","Unique-ID":"\\n\\"","A":["x","y"],"_body":""}',
    "xml": b"<event><headers><Event-Name>DTMF</Event-Name><A>x%20y</A></headers><body>b</body></event>",
}
SMALL = {
    "first": ("Event-Name", "string"),
    "Unique-ID": "string",
    "A": "list",
    "b": "string",
    "body": ("@body", "binary"),
    "id": ("@id", "string"),
    "offset": ("@offset", "int64"),
}


def framed(format: str, payload: bytes) -> bytes:
    return b"Content-Length: %d\nContent-Type: text/event-%b\n\n%b" % (len(payload), format.encode(), payload)


@pytest.mark.parametrize("name", CAPTURES)
@pytest.mark.parametrize("spec", [HEADERS, SPEC], ids=["headers", "all"])
def test_columns_of_a_capture_are_what_the_messages_say(esl: ModuleType, name: str, spec: Any) -> None:
    data = capture(name)[:400_000]
    rows, _, told = made(esl, spec, [data])
    assert rows == wanted_rows(esl, spec, data)
    assert told["rows"] == len(rows)


@pytest.mark.parametrize("name", ["sip_plain", "special_plain", "special_json", "special_xml", "malformed"])
def test_pieces_of_any_size_make_the_same_rows(both: tuple[ModuleType, ModuleType], name: str) -> None:
    data = capture(name)[:60_000]
    wanted = made(both[1], SPEC, [data])
    for sizes in ((1 << 20,), (4096, 1), (777,), (1, 2, 3, 50_000)):
        assert made(both[0], SPEC, pieces(data, *sizes)) == wanted


@pytest.mark.parametrize("format", PAYLOADS)
def test_every_cut_makes_the_same_rows(esl: ModuleType, format: str) -> None:
    one = framed(format, PAYLOADS[format])
    data = (
        frame(b"Content-Type: auth/request") + one + b"\r\n\n" + one + frame(b"Content-Type: log/data", b"x" * 9) + one
    )
    wanted = wanted_rows(esl, SMALL, data)
    assert len(wanted) == 3
    for at in range(len(data) + 1):
        assert made(esl, SMALL, [data[:at], data[at:]])[0] == wanted
    assert made(esl, SMALL, pieces(data, 1))[0] == wanted


# Lines

NAMES = [
    "A",
    "a",
    "B",
    "AB",
    "Event-Name",
    "event-name",
    "EVENT-NAME",
    "Event-Na",
    "Event-Subclass",
    "variable_sip_from_user",
]
NAMES += [
    "variable_sip_from_uri",
    "variable_sip_from_use",
    "Variable_sip_from_user",
    "A:b",
    "a b",
    "1234567",
    "12345678",
]
NAMES += [
    "123456789012345",
    "1234567890123456",
    "",
    "A:",
    "\u00e9",
    "x" * 70,
    "Core-UUID",
    "core-uuid",
    "Event-Sequence",
]
VALUES = [
    b"",
    b"1",
    b"%41",
    b"%e9",
    b"\xe9",
    b"\xed\xa0\x80",
    b"%C3%A9",
    b" x",
    b"x: y",
    b"ARRAY::a|:b",
    b"a\r",
    b"%",
    b"z" * 80,
]
LINE = st.one_of(
    st.builds(
        lambda name, cut, value, end: name.encode() + cut + value + end,
        st.sampled_from(NAMES),
        st.sampled_from([b": ", b":", b":\t", b":  "]),
        st.sampled_from(VALUES),
        st.sampled_from([b"", b"\r"]),
    ),
    st.sampled_from([b"no colon", b"\r", b":", b": x", b"x" * 61]),
    st.binary(max_size=8),
)
ALL = {
    **{f"{name} {kind}": (name, kind) for name in NAMES for kind in ("string", "binary", "list", "dictionary")},
    "id": ("@id", "binary"),
    "body": ("@body", "binary"),
}


def naive_row(payload: bytes) -> dict[str, Any]:
    pairs, body = naive_payload(payload)
    row: dict[str, Any] = {"body": body}
    for name in NAMES:
        value = naive_get(pairs, name)
        raw = None if value is None else value.encode("utf-8", "surrogateescape")
        text = None if raw is None else "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in value or "")
        items = None if raw is None else [clean(item) for item in naive_getlist(pairs, name)]
        row.update({f"{name} string": text, f"{name} dictionary": text, f"{name} binary": raw, f"{name} list": items})
    return row


def clean(text: str) -> str:
    return "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text)


@examples(150)
@given(
    st.lists(LINE, max_size=12), st.sampled_from([b"", b"\n", b"\n\n", b"\n\r\n", b"\n\nbody\n\n"]), st.integers(0, 130)
)
def test_hostile_lines_are_read_as_the_rules_say(
    both: tuple[ModuleType, ModuleType], lines: list[bytes], end: bytes, fill: int
) -> None:
    payload = b"\n".join([b"F: " + b"f" * fill, *lines]) + end
    row = naive_row(payload)
    for esl in both:
        columns = columns_of(esl).Columns(ALL)
        columns.feed(plain(payload) + plain(payload))
        rows = rows_of(*all_batches(columns))
        assert [{name: value for name, value in one.items() if name != "id"} for one in rows] == [row, row]
        event = esl.Event.from_payload(payload, "plain")
        assert rows[0]["id"] == (None if event.id is None else event.id.encode("utf-8", "surrogateescape"))


MEMBER = st.tuples(
    st.sampled_from([*NAMES, "_body", "_BODY"]),
    st.one_of(
        st.sampled_from(["", "x", "\u00e9\n", 'q"\\', "ARRAY::a|:b", "\ufffd", "1", 5, 1.5, True, None]),
        st.lists(st.sampled_from(["", "a", 'b"', "\u20ac"]), max_size=3),
        st.dictionaries(st.just("k"), st.just(["v"]), max_size=1),
    ),
)


@examples(150)
@given(st.lists(MEMBER, max_size=10), st.booleans(), st.booleans(), st.binary(max_size=3), st.integers(0, 400))
def test_json_is_read_as_the_core_does(
    both: tuple[ModuleType, ModuleType], members: list[Any], ascii: bool, wide: bool, junk: bytes, at: int
) -> None:
    separators = (", ", ": ") if wide else (",", ":")
    texts = [f"{json.dumps(name)}{separators[1]}{json.dumps(value, ensure_ascii=ascii)}" for name, value in members]
    payload = ("{" + separators[0].join(texts) + "}").encode()
    payload = payload[:at] + junk + payload[at:]
    data = framed("json", payload) * 2
    for esl in both:
        rows, _, told = made(esl, ALL, [data])
        assert rows == wanted_rows(esl, ALL, data)
        assert told["malformed"] == 2 - len(rows)


# Kinds

NUMBERS = [
    "0",
    "-0",
    "007",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
]
NUMBERS += ["", "-", "+1", " 1", "1 ", "1.0", "0" * 30 + "5", "1e3", "--1", "99999999999999999999", "\u0661"]
REALS = [
    "0.1",
    "-0.0",
    "1.",
    ".5",
    ".",
    "1e400",
    "-1e400",
    "1e-400",
    "nan",
    "inf",
    "1_0",
    "123456789.123456789",
    "1e22",
]
REALS += ["9007199254740993", "0." + "0" * 30 + "1", "1e", "e1", "0x10", "179769313486231580793" + "0" * 290, "3.3e-7"]
WORDS = ["true", "FALSE", "Yes", "no", "on", "OFF", "t", "F", "1", "0", "00", "2", "-1", "", "tru", "maybe"]


def one_column(esl: ModuleType, kind: str, values: list[str]) -> tuple[list[Any], Any]:
    columns = columns_of(esl).Columns({"v": ("Value", kind)})
    for value in values:
        columns.feed(plain(b"Value: " + value.encode() + b"\n\n"))
    return [row["v"] for row in rows_of(*all_batches(columns))], columns.stats()["refused"]


def test_what_is_no_number_is_null_and_counted(esl: ModuleType) -> None:
    values, refused = one_column(esl, "int64", NUMBERS)
    wanted: list[Any] = [0, 0, 7, (1 << 63) - 1, None, -(1 << 63), None, *[None] * 6, 5, *[None] * 4]
    assert values == wanted
    assert refused == {"v": wanted.count(None)}


def test_reals_are_decimal_and_finite(esl: ModuleType) -> None:
    values, _ = one_column(esl, "float64", REALS + NUMBERS)
    exact = {
        "0.1",
        "-0.0",
        "1.",
        ".5",
        "1e-400",
        "123456789.123456789",
        "1e22",
        "9007199254740993",
        REALS[14],
        "3.3e-7",
    }
    exact |= {text for text in NUMBERS if text.strip("-") and " " not in text and text.isascii() and text != "--1"}
    assert values == [float(text) if text in exact else None for text in REALS + NUMBERS]


def test_truth_is_that_of_the_switch(esl: ModuleType) -> None:
    values, refused = one_column(esl, "bool", WORDS)
    assert values == [True, False] * 4 + [True, False, False, True, None, None, None, None]
    assert refused == {"v": 4}


def test_a_timestamp_of_nothing_is_null_and_not_counted(esl: ModuleType) -> None:
    values, refused = one_column(esl, "timestamp", ["0", "1500000", "-1", "x", "99999999999999999999"])
    assert [value and value.timestamp() for value in values] == [None, 1.5, None, None, None]
    assert refused == {"v": 3}


def test_json_is_looked_at(esl: ModuleType) -> None:
    texts = ['{"a":[1]}', "[1,]", "1e999", "NaN", "", '"x"', "[" * 100_000, "12345678901234567890" * 400]
    values, refused = one_column(esl, "json", texts)
    assert values == [texts[0], None, "1e999", None, None, '"x"', None, texts[7]]
    assert refused == {"v": 4}


# Which events


def test_events_are_chosen_by_name_and_subclass(esl: ModuleType) -> None:
    def custom(subclass: str) -> bytes:
        return plain(b"Event-Name: CUSTOM\nEvent-Subclass: %b\n\n" % subclass.replace(":", "%3A").encode())

    names = [plain(b"Event-Name: %b\n\n" % name) for name in (b"DTMF", b"HEARTBEAT", b"dtmf", b"CUSTO")]
    json_custom = framed("json", b'{"Event-Name":"CUSTOM","Event-Subclass":"sofia::register"}')
    data = b"".join([*names, custom("sofia::register"), custom("sofia::expire"), plain(b"A: 1\n\n"), json_custom])
    spec = {"name": ("Event-Name", "string"), "sub": ("Event-Subclass", "string")}
    for events, count in (
        (["DTMF"], 2),
        ("heartbeat", 1),
        (["CUSTOM sofia::register"], 2),
        (["CUSTOM sofia::register sofia::expire", "DTMF"], 5),
        (["CUSTOM", "CUSTOM x"], 3),
        (["ALL"], 8),
        (["CUSTOM Sofia::Register"], 0),
        ([], 0),
        (None, 8),
    ):
        rows, _, told = made(esl, spec, [data], events=events)
        assert (len(rows), told["filtered"]) == (count, 8 - count), events


def test_a_subclass_of_anything_but_custom_is_refused(esl: ModuleType) -> None:
    with pytest.raises(ValueError, match="only CUSTOM has subclasses"):
        columns_of(esl).Columns({"A": "string"}, events=["DTMF x"])


def test_the_name_that_counts_for_the_choice_is_the_last(esl: ModuleType) -> None:
    data = plain(b"Event-Name: COMMAND\nEvent-Name: PRIVATE_COMMAND\n\n")
    assert made(esl, {"Event-Name": "string"}, [data], events=["PRIVATE_COMMAND"])[0] == [
        {"Event-Name": "PRIVATE_COMMAND"}
    ]
    assert made(esl, {"Event-Name": "string"}, [data], events=["COMMAND"])[0] == []


# Messages


@pytest.mark.parametrize("name", ["sip_plain", "special_json", "sip_xml", "malformed", "api"])
def test_messages_make_the_rows_that_their_bytes_make(esl: ModuleType, name: str) -> None:
    data = capture(name)[:200_000]
    decoder = esl.Decoder()
    decoder.feed(data)
    messages = []
    try:
        messages += decoder
    except esl.ProtocolError:
        messages.append(esl.Event.from_payload(b"Event-Name: LAST\n\n", "plain"))
    columns = columns_of(esl).Columns(SPEC, batch_rows=50)
    columns.extend(messages)
    rows = rows_of(*all_batches(columns))
    wanted = wanted_rows(esl, SPEC, b"".join(message.frame for message in messages))
    assert rows == [{**row, "offset": None, "received": None, "switch": None} for row in wanted]


@pytest.mark.parametrize("rows", [1, 3, 64, 1000])
def test_many_messages_of_all_kinds_make_rows_in_order(esl: ModuleType, rows: int) -> None:
    class Own(esl.Event):  # type: ignore[name-defined, misc]
        pass

    def message(number: int) -> Any:
        block = b"Event-Name: DTMF\nN: %d\n\n" % number
        if number % 7 == 0:
            return esl.CommandReply(block)
        if number % 11 == 0:
            return Own.from_payload(block, "plain")
        if number % 13 == 0:
            return esl.Event.from_payload(b'{"Event-Name":"DTMF","N":"%d"}' % number, "json")
        if number % 17 == 0:
            return esl.Event.from_payload(b'{"N": "%d" }' % number, "json")  # as no switch writes it
        return esl.Event.from_payload(block, "plain")

    columns = columns_of(esl).Columns({"N": "int64"}, batch_rows=rows)
    columns.extend(map(message, range(300)))
    columns.extend([])
    batches = list(iter(columns.take, None))
    assert {batch.num_rows for batch in batches} <= {rows}
    found = [row["N"] for row in rows_of(*batches, *all_batches(columns))]
    assert found == [number for number in range(300) if number % 7]


def test_what_a_source_of_messages_raises_costs_no_row(esl: ModuleType) -> None:
    def messages() -> Any:
        for number in range(70):
            yield esl.Event.from_payload(b"N: %d\n\n" % number, "plain")
        raise OSError("no more")

    columns = columns_of(esl).Columns({"N": "int64"})
    with pytest.raises(OSError, match="no more"):
        columns.extend(messages())
    assert [row["N"] for row in rows_of(*all_batches(columns))] == list(range(70))


@pytest.mark.parametrize("cut", [20, 60, 100])
def test_what_is_left_of_a_frame_is_dropped_at_another_place_of_the_stream(esl: ModuleType, cut: int) -> None:
    one = plain(b"Event-Name: DTMF\nFill: " + bytes(80) + b"\n\n")
    columns = columns_of(esl).Columns({"Event-Name": "string", "at": ("@offset", "int64")})
    columns.feed(one + one[:cut])
    columns._restart_at(1000)
    columns.feed(one + one)
    assert [row["at"] for row in rows_of(*all_batches(columns))] == [0, 1000, 1000 + len(one)]


def test_values_are_listed_without_a_library_for_arrow(esl: ModuleType) -> None:
    for name in ("special_plain", "special_json"):
        columns = columns_of(esl).Columns(SPEC)
        columns.feed(capture(name)[:60_000], received=1.5, switch="a")
        for batch in all_batches(columns):
            lists = batch._lists()
            for row, values in zip(rows_of(batch), zip(*lists, strict=True), strict=True):
                times = {name for name, kind in batch.schema.items() if kind == "timestamp"}
                named = dict(zip(row, values, strict=True))
                for each in times & {name for name, value in named.items() if value is not None}:
                    named[each] = EPOCH + timedelta(microseconds=named[each])
                assert named == row


def test_messages_may_come_while_a_frame_is_not_whole(esl: ModuleType) -> None:
    one = plain(b"Event-Name: DTMF\n\n")
    columns = columns_of(esl).Columns({"Event-Name": "string", "offset": ("@offset", "int64")})
    columns.feed(one[:50])
    columns.extend([esl.Event.from_payload(b"Event-Name: HEARTBEAT\n\n", "plain"), esl.CommandReply(b"A: 1\n\n")])
    columns.feed(one[50:])
    assert rows_of(columns.flush()) == [
        {"Event-Name": "HEARTBEAT", "offset": None},
        {"Event-Name": "DTMF", "offset": 0},
    ]


def test_rows_are_made_of_what_redact_gives(esl: ModuleType) -> None:
    def redact(event: Any) -> Any:
        return esl.Event.from_payload(b"A: ***\nEvent-Name: DTMF\n\n", "plain")

    columns = columns_of(esl).Columns({"A": "string"}, events=["DTMF"], redact=redact)
    columns.feed(plain(b"Event-Name: DTMF\nA: secret\n\n") + plain(b"Event-Name: X\n\n"))
    columns.extend([esl.Event.from_payload(b"Event-Name: DTMF\nA: secret\n\n", "plain")])
    assert rows_of(columns.flush()) == [{"A": "***"}] * 2


def test_what_redact_raises_costs_one_row(esl: ModuleType) -> None:
    def redact(event: Any) -> Any:
        if event["A"] == "2":
            raise OSError("no key")
        return event

    one, two = plain(b"A: 1\n\n"), plain(b"A: 2\n\n")
    columns = columns_of(esl).Columns({"A": "string"}, redact=redact)
    with pytest.raises(OSError, match="no key"):
        columns.feed(one + two + one + two + one[:30])
    columns.feed(one[30:])
    assert rows_of(columns.flush()) == [{"A": "1"}] * 3
    with pytest.raises(OSError, match="no key"):
        columns.extend(esl.Event.from_payload(b"A: %d\n\n" % (at % 3), "plain") for at in range(100))
    assert rows_of(columns.flush()) == [{"A": str(at % 3)} for at in range(100) if at % 3 != 2]
    columns.extend([esl.Event.from_payload(b"A: 1\n\n", "plain")])
    assert rows_of(columns.flush()) == [{"A": "1"}]


@pytest.mark.parametrize("given", ["to_json", "body"])
def test_a_row_is_made_whole_or_not_at_all(esl: ModuleType, given: str) -> None:
    class Odd(esl.Event):  # type: ignore[name-defined, misc]  # chosen at run time
        def to_json(self, *args: Any, **named: Any) -> Any:
            return 5 if given == "to_json" else super().to_json(*args, **named)

        @property
        def body(self) -> Any:
            return 5 if given == "body" else super().body

    def redact(event: Any) -> Any:
        return Odd.from_payload(event.payload, "plain") if event["A"] == "2" else event

    spec: dict[str, Any] = {"A": "string", "L": "list", "N": "int64", "B": "bool", "D": "dictionary"}
    spec |= {"j": ("@json", "string"), "b": ("@body", "string")}
    columns = columns_of(esl).Columns(spec, redact=redact)
    made_of = "A: %d\nL: ARRAY::%d|:x\nN: %d\nB: %s\nD: d%d\nContent-Length: 1\n\n%d"
    events = [
        esl.Event.from_payload((made_of % (n, n, n, "true" if n == 2 else "no", n, n)).encode(), "plain")
        for n in (1, 2, 3)
    ]
    for one in events:
        try:
            columns.extend([one])
        except (TypeError, AttributeError):
            assert one is events[1]
    rows = rows_of(columns.flush())
    assert [row.pop("j") for row in rows] == [events[0].to_json().decode(), events[2].to_json().decode()]
    assert rows == [{"A": n, "L": [n, "x"], "N": int(n), "B": False, "D": f"d{n}", "b": n} for n in ("1", "3")]
    assert columns.stats()["rows"] == 2


def test_columns_may_be_many(esl: ModuleType) -> None:
    names = [f"variable_{number}" for number in range(4096)]
    data = plain(b"\n".join(b"%s: %d" % (name.encode(), at) for at, name in enumerate(names)) + b"\n\n")
    columns = columns_of(esl).Columns(dict.fromkeys(names, "int64"))
    columns.feed(data)
    assert list(rows_of(columns.flush())[0].values()) == list(range(4096))
    with pytest.raises(ValueError, match="4097 columns, expected no more than 4096"):
        columns_of(esl).Columns(dict.fromkeys([*names, "A"], "int64"))
