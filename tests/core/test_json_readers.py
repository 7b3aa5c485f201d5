"""JSON event payloads: the two readers of the Python core, eslcodec/_json.py, say the same."""

from __future__ import annotations

import copy
import json
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from json_support import quick, why
from support import capture, part, receive

import eslcodec

# The Python core's two readers: the standard library's, and the scanner, which says what is right

BLANK = st.sampled_from([b"", b"", b"", b" ", b"\n", b"\t\r\n", b"\x0b", b"\xc2\xa0"])
IN_STRINGS = st.sampled_from(
    [
        *(
            b"a",
            b"Event-Name",
            b"%41",
            b"ARRAY::",
            b"|:",
            b"{",
            b"}",
            b"[",
            b"]",
            b":",
            b",",
            b"'",
            b"\x00",
            b"\x1f",
            b"\x7f",
        ),
        *(b"\\n", b"\\r", b"\\\\", b'\\"', b"\\/", b"\\b", b"\\u0041", b"\\u00e9", b"\\u0000", b"\\uffff", b"\\uD7ff"),
        *(
            b"\\ud83d\\ude00",
            b"\\ud83d",
            b"\\uDE00",
            b"\\u12",
            b"\\u 123",
            b"\\u+123",
            b"\\u1_23",
            b"\\u0x1",
            b"\\x",
            b"\n",
        ),
        *("é".encode(), "你😀".encode(), b"\xc3", b"\xff", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xef\xbb\xbf"),
    ]
)
STRINGS = st.lists(IN_STRINGS, max_size=3).map(lambda parts: b'"' + b"".join(parts) + b'"')
NAMES = st.one_of(
    st.sampled_from(
        [b'"A"', b'"a"', b'"Event-Name"', b'"event-name"', b'"_body"', b'"_Body"', b'"\\u005fbody"', b'""']
    ),
    STRINGS,
)
NUMBERS = st.one_of(
    st.from_regex(rb"-?[0-9]{1,3}(\.[0-9]{0,2})?([eE][-+]?[0-9]{0,2})?", fullmatch=True),
    st.sampled_from(
        [b"1" * 5000, b"-0", b"01", b"1.", b".5", b"+1", "\uff11\uff12".encode(), "1\u0662".encode(), b"0x1", b"1_0"]
    ),
)
WORDS = st.sampled_from(
    [b"true", b"false", b"null", b"NaN", b"Infinity", b"-Infinity", b"True", b"tru", b"nullx", b"", b"'a'"]
)
SCALARS = st.one_of(STRINGS, STRINGS, STRINGS, NUMBERS, WORDS)


@st.composite
def arrays(draw: Any, items: Any) -> Any:
    comma = draw(BLANK) + b"," + draw(BLANK)
    return (
        b"["
        + draw(BLANK)
        + comma.join(draw(st.lists(items, max_size=3)))
        + draw(st.sampled_from([b"", b",", b" "]))
        + b"]"
    )


@st.composite
def objects(draw: Any, values: Any) -> Any:
    members = [
        draw(NAMES) + draw(BLANK) + draw(st.sampled_from([b":", b":", b":", b"", b"::"])) + draw(BLANK) + draw(values)
        for _ in range(draw(st.integers(0, 4)))
    ]
    blank = draw(BLANK)
    return b"{" + blank + (blank + b"," + blank).join(members) + draw(st.sampled_from([b"", b"", b"", b","])) + b"}"


NESTED = st.recursive(SCALARS, lambda inner: arrays(inner) | objects(inner), max_leaves=5)
HOSTILE = st.builds(
    lambda before, payload, behind: before + payload + behind,
    st.sampled_from([b"", b"", b"", b" ", b"\n", b"\xef\xbb\xbf", b"\0"]),
    objects(st.one_of(STRINGS, STRINGS, STRINGS, arrays(STRINGS), NESTED)),
    st.sampled_from([b"", b"", b"", b"\n", b" behind", b'{"A":1}', b"}", b"\xff", b"\\ud800"]),
)


def told(read: Any, payload: Any) -> Any:
    try:
        return read(payload)
    except Exception as fault:
        return type(fault).__name__, fault.offset, fault.why


def slow_reader(quick_reader: Any) -> Any:
    """The standard library's reader as it is where that has no C."""
    decoder = copy.copy(quick_reader.__self__)
    decoder.parse_string = json.decoder.py_scanstring
    decoder.scan_once = json.scanner.py_make_scanner(decoder)
    return decoder.raw_decode


@pytest.fixture(params=["C", "Python"])
def reading(
    request: pytest.FixtureRequest, both: tuple[ModuleType, ModuleType], monkeypatch: pytest.MonkeyPatch
) -> Any:
    """The Python core's `_json`, with both of the standard library's readers."""
    _, python = both
    module = part(python, "_json")
    if request.param == "Python":
        reader = slow_reader(module.reader(module.number))
        monkeypatch.setattr(module, "reader", lambda _: reader)
    return module


PROBES = ("A", "a", "Event-Name", "EVENT-NAME", "_body", "", "aa", "é", "absent")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large])
@given(payload=HOSTILE)
@example(payload=b"{}")
@example(payload=b'{"Event-Name":null,"A":"1","Event-Name":true}')
@example(payload=b'{"A":true,"A":[1,false,null],"_BODY":[1],"_body":"x"}')
@example(payload=b'{"A":"1","B":{"A":"2"}}')
@example(payload=b'{"A":["1",["2"]]}')
@example(payload=b'{"A":[{"x":"y"}]}')
@example(payload=b'{"A":{}}')
@example(payload=b'{"A":"\xc3\\u00a9"}')
def test_the_quick_reader_says_what_the_scanner_says(
    both: tuple[ModuleType, ModuleType], reading: Any, payload: Any
) -> None:
    c, python = both
    found = told(lambda payload: reading.read(payload, reading.members(payload)), payload)
    assert found == told(reading.scan, payload)
    if len(found) == 2 and isinstance(found[0], list):
        assert all(type(name) is str for name, _ in found[0])
        assert all(type(text) is str for _, value in found[0] for text in ([value] if type(value) is str else value))
    wanted = quick(c, payload)
    for name in PROBES:  # each as the first thing that is asked
        e = quick(python, payload)
        assert (name in e, e.get(name), e._last(name)) == (name in wanted, wanted.get(name), wanted._last(name))
        assert list(e.asdict().items()) == list(wanted.asdict().items())
    for first in ("asdict", "pairs", "_fields", "to_json", "__len__", "get A", "_last A", "body", "malformed"):
        e = quick(python, payload)
        method, *names = first.split()
        asked = getattr(e, method)
        if callable(asked):
            asked(*names)
        assert list(e.asdict().items()) == list(wanted.asdict().items())
        assert (e.pairs(), e._fields(), e.body, why(e)) == (
            *(wanted.pairs(), wanted._fields()),
            *(wanted.body, why(wanted)),
        )
        assert [e.get(name) for name in PROBES] == [wanted.get(name) for name in PROBES]
        assert [e.getlist(name) for name in PROBES] == [wanted.getlist(name) for name in PROBES]
        assert (list(e), len(e), dict(e)) == (list(wanted), len(wanted), wanted.asdict())
        assert (e.to_dict(), e.to_json()) == (wanted.to_dict(), wanted.to_json())


@pytest.mark.parametrize("name", ["special_json", "bgapi_json", "crlf_json", "out_myevents_json"])
def test_what_a_switch_writes_is_for_the_quick_reader(reading: Any, name: str) -> None:
    decoder = eslcodec.Decoder()
    receive(decoder, capture(name))
    payloads = [message.payload for message in decoder if message.content_type == "text/event-json"]
    assert payloads
    for payload in payloads:
        members = reading.members(payload)
        assert reading.read(payload, members) == reading.scan(payload)
        if payload.count(b"[") + payload.count(b"{") <= reading._MOST_BRACKETS:
            assert members is not None
            assert reading.settled(members) is not None


@pytest.mark.parametrize("deep", [b"[", b'{"a":', b'[{"a":'])
def test_the_quick_reader_never_calls_itself_often(reading: Any, deep: bytes) -> None:
    most = (reading._MOST_BRACKETS - 1) // (deep.count(b"[") + deep.count(b"{"))
    closing = {b"[": b"]", b"{": b"}"}
    for depth in (most - 1, most, most + 1, 100_000):
        end = b"".join(closing[bytes([byte])] for byte in reversed(deep) if bytes([byte]) in closing)
        payload = b'{"A":%b0%b,"B":"1"}' % (deep * depth, end * depth)
        brackets = payload.count(b"[") + payload.count(b"{")
        assert (reading.members(payload) is None) is (brackets > reading._MOST_BRACKETS)
        assert reading.read(payload, reading.members(payload)) == reading.scan(payload)


def test_near_the_limit_of_calls_the_scanner_reads(reading: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(text: Any) -> None:
        raise RecursionError

    payload = b'{"A":"1"}'
    assert reading.members(payload) == (("A", "1"),)
    monkeypatch.setattr(reading, "reader", lambda _: fail)
    assert reading.members(payload) is None
    assert reading.read(payload, None) == ([("A", "1")], None)
