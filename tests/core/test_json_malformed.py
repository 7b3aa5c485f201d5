"""JSON event payloads that are damaged, large, or of any bytes (docs/protocol/payloads.md, P4.2)."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from json_support import event, framed, quick, why
from support import OK, decode_every_way, receive

# Malformed payloads

MALFORMED = [
    (b"", 0, "read its end, expected an object"),
    (b"  ", 2, "read its end, expected an object"),
    (b'["a","b"]', 0, "read '[', expected an object"),
    (b'"text"', 0, "read '\"', expected an object"),
    (b"null", 0, "read 'n', expected an object"),
    (b'\xef\xbb\xbf{"A":"1"}', 0, "read '\\xef', expected an object"),
    (b"\x00{}", 0, "read '\\x00', expected an object"),
    (b"\x0b{}", 0, "read '\\x0b', expected an object"),
    (b"{", 1, "read its end, expected a name"),
    (b"{A:1}", 1, "read 'A', expected a name"),
    (b"{'A':1}", 1, 'read "\'", expected a name'),
    (b"{,}", 1, "read ',', expected a name"),
    (b'{"A', 1, "read '\"', expected a name"),
    (b'{"A\\x":"1"}', 1, "read '\"', expected a name"),
    (b'{"A":"1",}', 9, "read '}', expected a name"),
    (b'{"A":"1","B":"2", }', 18, "read '}', expected a name"),
    (b'{"Event-Name":"DTMF",', 21, "read its end, expected a name"),
    (b'{"A"', 4, "read its end, expected a colon"),
    (b'{"A" "1"}', 5, "read '\"', expected a colon"),
    (b'{"A",', 4, "read ',', expected a colon"),
    (b'{"A":', 5, "read its end, expected a value"),
    (b'{"A":}', 5, "read '}', expected a value"),
    (b'{"A":]', 5, "read ']', expected a value"),
    (b'{"A":+1}', 5, "read '+', expected a value"),
    (b'{"A":.5}', 5, "read '.', expected a value"),
    (b'{"A":-}', 5, "read '-', expected a value"),
    (b'{"A":True}', 5, "read 'T', expected a value"),
    (b'{"A":tru}', 5, "read 't', expected a value"),
    (b'{"A":NaN}', 5, "read 'N', expected a value"),
    (b'{"A":-Infinity}', 5, "read '-', expected a value"),
    (b'{"A":"1', 5, "read '\"', expected a whole string"),
    (b'{"A":"\\', 5, "read '\"', expected a whole string"),
    (b'{"A":"\\"}', 5, "read '\"', expected a whole string"),
    (b'{"A":"\\x41"}', 5, "read '\"', expected a whole string"),
    (b'{"A":"\\u00"}', 5, "read '\"', expected a whole string"),
    (b'{"A":"\\u00g0"}', 5, "read '\"', expected a whole string"),
    (b'{"A":"\\U0041"}', 5, "read '\"', expected a whole string"),
    (b'{"A":"\\\x00"}', 5, "read '\"', expected a whole string"),
    (b'{"A":"\\\n"}', 5, "read '\"', expected a whole string"),
    (b'{"A":"1"', 8, "read its end, expected a comma or the end of the object"),
    (b'{"A":"1""B":"2"}', 8, "read '\"', expected a comma or the end of the object"),
    (b'{"A":"1";"B":"2"}', 8, "read ';', expected a comma or the end of the object"),
    (b'{"A":1.}', 6, "read '.', expected a comma or the end of the object"),
    (b'{"A":1e}', 6, "read 'e', expected a comma or the end of the object"),
    (b'{"A":1e+}', 6, "read 'e', expected a comma or the end of the object"),
    (b'{"A":0x10}', 6, "read 'x', expected a comma or the end of the object"),
    (b'{"A":truely}', 9, "read 'l', expected a comma or the end of the object"),
    (b'{"A":["x"', 9, "read its end, expected a comma or the end of the array"),
    (b'{"A":["x"}', 9, "read '}', expected a comma or the end of the array"),
    (b'{"A":["x" "y"]}', 10, "read '\"', expected a comma or the end of the array"),
    (b'{"A":[', 6, "read its end, expected a value"),
    (b'{"A":["x",]}', 10, "read ']', expected a value"),
    (b'{"A":[,]}', 6, "read ',', expected a value"),
    (b'{"A":["x]}', 6, "read '\"', expected a whole string"),
    (b'{"A":{', 5, "read '{', expected a nested value with its end"),
    (b'{"A":{"x":"}', 5, "read '{', expected a nested value with its end"),
    (b'{"A":{"\\x"}}', 5, "read '{', expected a nested value with its end"),
    (b'{"A":[[1,2]', 11, "read its end, expected a comma or the end of the array"),
    (b'{"A":[[1,2', 6, "read '[', expected a nested value with its end"),
]


@pytest.mark.parametrize(("payload", "offset", "reason"), MALFORMED)
def test_malformed_payload_says_where_and_why(esl: ModuleType, payload: Any, offset: Any, reason: Any) -> None:
    e = event(esl, payload)
    assert isinstance(e.malformed, esl.MalformedPayload)
    assert why(e) == ("json", offset, reason)
    assert str(e.malformed) == f"event payload is not JSON as expected: {reason} (byte {offset})"


def test_malformed_event_is_empty_and_keeps_its_bytes(esl: ModuleType) -> None:
    payload = b'{"Event-Name":"DTMF","_body":"b","A":"1'
    for first in ("malformed", "body", "name", "pairs", "asdict"):
        (e,) = decode_every_way(esl, framed(payload))
        value = getattr(e, first)
        _ = value() if callable(value) else value
        assert (e.pairs(), e.asdict(), list(e), len(e), e.getlist("A"), e.select("A", "Event-Name")) == (
            *([], {}, [], 0, []),
            (None, None),
        )
        assert (e.name, e.body, e.text, e.get("Event-Name"), "A" in e) == (None, None, "", None, False)
        assert (e.to_dict(), e.to_json()) == ({}, b"{}")
        assert e.raw == e.payload == e.serialize("json") == payload
        with pytest.raises(KeyError):
            e["A"]
        for format in ("plain", "xml"):
            with pytest.raises(esl.MalformedPayload, match=r"expected a whole string \(byte 37\)$"):
                e.serialize(format)


def test_stream_goes_on_after_a_malformed_event(esl: ModuleType) -> None:
    data = framed(b'{"A":') + framed(b'{"A":"2"}') + OK + framed(b"") + framed(b'{"A":"3"}')
    bad, good, reply, empty, last = decode_every_way(esl, data)
    assert why(bad) == ("json", 5, "read its end, expected a value")
    assert (good["A"], reply.text, last["A"]) == ("2", "+OK", "3")
    assert why(empty) == ("json", 0, "read its end, expected an object")


WHOLE = (
    '{"Event-Name":"DTMF","a b":"x\\n\\u00e9\\ud83d\\ude00é", "n":-1.5e3,"t":true,"arr":["x","",null,[1]],'
    '"obj":{"k":["}",{}]},"one":["x"],"Content-Length":"3","_body":"abc"}'
).encode()


def test_payload_truncated_at_any_byte_is_malformed(esl: ModuleType) -> None:
    assert quick(esl, WHOLE).malformed is None
    for size in range(len(WHOLE)):
        e = quick(esl, WHOLE[:size])
        assert e.malformed is not None
        assert e.malformed.offset <= size
        assert (e.pairs(), e.body, e.to_dict()) == ([], None, {})


def test_payload_truncated_at_any_byte_is_malformed_in_the_same_way_on_both_cores(
    both: tuple[ModuleType, ModuleType],
) -> None:
    c, python = both
    for size in range(len(WHOLE)):
        assert why(quick(c, WHOLE[:size])) == why(quick(python, WHOLE[:size]))


# Size


def test_any_depth_of_nesting_is_read_without_recursion(esl: ModuleType) -> None:
    depth = 100_000
    for opened, closed in ((b"[", b"]"), (b'{"a":', b"}")):
        nested = opened * depth + b"0" + closed * depth
        e = quick(esl, b'{"A":%b,"B":"1"}' % nested)
        assert (e["B"], e.malformed) == ("1", None)
        if opened == b"[":
            assert e.getlist("A") == [nested[1:-1].decode()]
        else:
            assert e["A"] == nested.decode()
        assert quick(esl, b'{"A":' + opened * depth).malformed is not None
        assert quick(esl, opened * depth).malformed is not None
    mixed = b'[{"a":' * depth
    assert quick(esl, b'{"A":' + mixed).malformed.why == "read '{', expected a nested value with its end"


def test_array_of_many_items(esl: ModuleType) -> None:
    items = [str(number) for number in range(200_000)]
    e = quick(esl, json.dumps({"A": items, "B": "1"}).encode())
    assert e["B"] == "1"
    assert e.getlist("A") == items
    assert e["A"] == "ARRAY::" + "|:".join(items)
    assert json.loads(e.to_json()) == {"A": items, "B": "1"}


def test_many_members_and_long_values(esl: ModuleType) -> None:
    headers = {f"name-{number}": str(number) for number in range(50_000)}
    headers["long"] = "x\n" * 500_000
    e = quick(esl, json.dumps(headers).encode())
    assert (e["name-49999"], e["NAME-0"], e.get("absent")) == ("49999", "0", None)
    assert e.asdict() == headers
    assert e.to_dict() == headers


# Any bytes, and an independent reader

JSON_PIECES = st.sampled_from(
    [
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b'"',
        b'"A"',
        b'"_body"',
        b'"Event-Name"',
        b"\\",
        b"\\n",
        b"\\u00e9",
        b"\\ud83d",
        b"\\ude00",
        b"1",
        b"-",
        b".5",
        b"e3",
        b"true",
        b"null",
        b" ",
        b"\n",
        b"\xff",
        b"\xc3\xa9",
        b"ARRAY::a|:b",
    ]
)
GARBAGE = st.one_of(
    st.binary(max_size=40),
    st.lists(JSON_PIECES, max_size=25).map(b"".join),
    st.lists(JSON_PIECES, max_size=20).map(lambda pieces: b'{"A":' + b"".join(pieces) + b"}"),
    st.tuples(st.integers(0, len(WHOLE)), st.integers(0, 9), st.binary(max_size=3)).map(
        lambda cut: WHOLE[: cut[0]] + cut[2] + WHOLE[cut[0] + cut[1] :]
    ),
)


@given(payload=GARBAGE)
@example(payload=b'{"A":"1","_body":"x","A":["2"]}')
def test_any_bytes_are_read_alike_by_both_cores_and_nothing_is_raised(
    both: tuple[ModuleType, ModuleType], payload: Any
) -> None:
    shown = []
    for package in both:
        for e in (quick(package, payload), *_received(package, payload)):
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
    assert all(other == shown[0] for other in shown)


def _received(package: Any, payload: Any) -> Any:
    """Two events of one decoder, which may remember the first."""
    decoder = package.Decoder()
    receive(decoder, framed(payload) * 2)
    return list(decoder)


TEXT = st.text(max_size=12)
SCALAR = st.one_of(TEXT, st.integers(), st.booleans(), st.none())
VALUE = st.recursive(SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3))


@given(
    members=st.lists(st.tuples(TEXT.filter(lambda name: name.lower() != "_body"), TEXT | VALUE), max_size=8),
    ascii_only=st.booleans(),
    indent=st.sampled_from([None, 0, 3]),
)
def test_whatever_json_writes_is_read(
    both: tuple[ModuleType, ModuleType], members: Any, ascii_only: Any, indent: Any
) -> None:
    def dumped(value: Any) -> Any:
        return json.dumps(value, ensure_ascii=ascii_only, indent=indent)

    def read(value: Any) -> Any:
        return value if isinstance(value, str) else dumped(value)

    payload = "{" + ",".join(f"{dumped(name)}:{dumped(value)}" for name, value in members) + "}"
    wanted = [(n, [read(item) for item in v] if isinstance(v, list) else read(v)) for n, v in members]
    for package in both:
        e = quick(package, payload.encode("utf-8", "surrogatepass"))
        assert e.malformed is None
        if indent is None:  # a nested value is the text that stands there, indented otherwise when it stands alone
            fields = [(n, v.split("|:") if isinstance(v, str) and v.startswith("ARRAY::") else v) for n, v in wanted]
            assert e._fields() == fields
        assert [name for name, _ in e.pairs()] == [name for name, _ in wanted]


@given(
    names=st.lists(st.sampled_from(["A", "a", "Event-Name", "event-name", "EVENT-NAME", "é", "É", "_x"]), max_size=8),
    order=st.randoms(use_true_random=False),
)
def test_look_ups_in_any_order_equal_the_eager_reading(
    both: tuple[ModuleType, ModuleType], names: Any, order: Any
) -> None:
    members = [(name, str(at)) for at, name in enumerate(names)]
    payload = ("{" + ",".join(f'"{name}":"{value}"' for name, value in members) + "}").encode()
    asked = ["A", "a", "Event-Name", "event-name", "eVENT-nAME", "é", "É", "_X", "absent", ""]
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
            assert e.getlist(name) == [value for other, value in members if other == key]
            if order.random() < 0.1:
                len(e)
