"""What a decoder remembers of JSON events never changes a result: each is read as if it were the first."""

from __future__ import annotations

import json
import random
import sys
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support import capture, decode, lone, receive, snapshot, survey

from eslcodec import limits

NAMES = ["Event-Name", "event-name", "Unique-ID", "UNIQUE-id", "A", "a", "", "é", "É", "_body", "variable_x", "no such"]

READING = {
    "asdict": lambda e: list(e.asdict().items()),
    "get": lambda e: [e.get(name) for name in NAMES],
    "one": lambda e: e.get("A"),
    "select": lambda e: e.select(*NAMES),
    "last": lambda e: [e._last(name) for name in NAMES],
    "in": lambda e: [name in e for name in NAMES],
    "to_json": lambda e: e.to_json(),
    "surrogates": lambda e: e.to_json("surrogateescape"),
    "to_dict": lambda e: list(e.to_dict().items()),
    "to_dict surrogates": lambda e: list(e.to_dict("surrogateescape").items()),
    "pairs": lambda e: e.pairs(),
    "fields": lambda e: e._fields(),
    "getlist": lambda e: [e.getlist(name) for name in NAMES],
    "body": lambda e: (e.body, e.text),
    "malformed": lambda e: str(e.malformed),
    "len": lambda e: (len(e), list(e)),
    "lone": lambda e: [*(lone(e, name) for name in NAMES), survey(e)],
    "all": snapshot,
}


def framed(payload: Any) -> Any:
    return b"Content-Length: %d\nContent-Type: text/event-json\n\n%b" % (len(payload), payload)


def written(fields: Any, body: Any = None) -> Any:
    members = [f"{json.dumps(name, ensure_ascii=False)}:{json.dumps(value)}" for name, value in fields]
    if body is not None:
        members.append(f'"_body":{json.dumps(body)}')
    return ("{" + ",".join(members) + "}").encode()


def one_by_one(esl: ModuleType, payloads: Any, verb: Any) -> Any:
    """What a reading of each event gives that another decoder has, and which nobody remembers."""
    return [READING[verb](event) for payload in payloads for event in decode(esl, framed(payload))]


def check(both: tuple[ModuleType, ModuleType], payloads: Any, verbs: Any = READING) -> None:
    """All readings, of each event as it comes and of all of them afterwards, on one decoder that sees them twice."""
    compiled, python = both
    stream = b"".join(map(framed, payloads)) * 2
    for verb in verbs:
        wanted = one_by_one(python, payloads, verb) * 2
        assert one_by_one(compiled, payloads, verb) * 2 == wanted
        decoder = compiled.Decoder()
        receive(decoder, stream)
        events = []
        for event, same in zip(decoder, wanted, strict=True):
            assert READING[verb](event) == same
            events.append(event)
        receive(decoder, stream)
        later = list(decoder)
        assert [READING[verb](event) for event in later] == wanted
        assert [READING[verb](event) for event in reversed(events)] == wanted[::-1]
        assert [list(event.asdict().items()) for event in later] == one_by_one(python, payloads, "asdict") * 2


BASE = [("Event-Name", "DTMF"), ("Unique-ID", "a1"), ("A", "x"), ("variable_x", "1"), ("é", "y")]

VALUES = [
    b'""',
    b'"x"',
    b'"xy"',
    b'"x\\"y"',
    b'"x\\\\"',
    b'"\\\\"',
    b'"\\/"',
    b'"\\n"',
    b'"\\b\\f\\n\\r\\t"',
    b'"\n"',
    b'"\t\x00\x1f"',
    b'"\x7f"',
    b'"\\u0000\\u0001\\u000b\\u001f"',
    b'"\\u001F"',
    b'"\\u0008"',
    b'"\\u000a"',
    b'"\\u0020"',
    b'"\\u007f"',
    b'"\\u0041"',
    b'"\\u00e9"',
    b'"\\ud83d\\ude00"',
    b'"\\ud83d"',
    b'"\\ude00x"',
    '"é你😀"'.encode(),
    b'"Jos\xe9"',
    b'"\xc3"',
    b'"\xe4\xbd"',
    b'"\xed\xa0\x80"',
    b'"\xc3\\u00a9"',
    b'"ARRAY::"',
    b'"ARRAY::x"',
    b'"ARRAY::x|:y\\n|:\xff"',
    b'"\\u0041RRAY::x|:y"',
    b'"ARRAY:"',
    b"[]",
    b"[ ]",
    b'["x"]',
    b'["x","y"]',
    b'["x", "y"]',
    b'["ARRAY::x|:y"]',
    b'["\\/"]',
    b'["x",5]',
    b'["\xff","\\n"]',
    b'[["x"],{"y":1}]',
    b"5",
    b"56",
    b"5.5e1",
    b"-5",
    b"true",
    b"null",
    b"{}",
    b'{"A":"}"}',
    b'"' + b"x" * 14 + b'"',
    b'"' + b"x" * 15 + b'"',
    b'"' + b"x" * 30 + b'\\n"',
    b'"' + b"x" * 2000 + '\\né"'.encode(),
    # what cannot be read
    b"",
    b'"x',
    b'"\\x"',
    b'"\\u00"',
    b"[",
    b'["x"',
    b'["x" "y"]',
    b"5x",
    b"{",
    b' "x"',
    b'"x" ',
    b'"x""y"',
]


@pytest.mark.parametrize("verb", READING)
def test_value_is_read_alike_whatever_it_was_before(both: tuple[ModuleType, ModuleType], verb: Any) -> None:
    payloads = []
    for value in VALUES:
        payloads.append(b'{"Event-Name":"DTMF","A":' + value + b',"Unique-ID":"a1","_body":"b"}')
        payloads.append(b'{"Event-Name":"DTMF","A":"between","Unique-ID":"a1","_body":' + value + b"}")
    check(both, payloads, [verb])


TURNS = [
    b'"x"',
    b'"y"',
    b'""',
    b'"ARRAY::x"',
    b'"ARRAY::x|:y"',
    b'["x","y"]',
    b'"\\n"',
    b'"\\/"',
    b"5",
    b'"' + b"x" * 255 + b'"',
]


@pytest.mark.parametrize("verb", READING)
def test_values_that_take_turns_are_read_alike(both: tuple[ModuleType, ModuleType], verb: Any) -> None:
    """Those of two calls, say: a value, the one before it, and the one before that."""
    order = [at for first in range(len(TURNS)) for at in (first, first - 1, first, first - 1, first - 2, first)]
    payloads = [b'{"Event-Name":"DTMF","A":' + TURNS[at] + b',"variable_x":' + TURNS[-at] + b"}" for at in order]
    check(both, payloads, [verb])


def test_values_that_take_turns_are_more_than_there_is_room_for(both: tuple[ModuleType, ModuleType]) -> None:
    names = [f"n{number}" for number in range(1500)]
    for size in (10, 30, 60):
        payloads = [written([(name, f"{turn % 3}" * size) for name in names]) for turn in (0, 1, 0, 1, 2, 1, 0, 2)]
        check(both, payloads, ["asdict", "to_json"])


def test_names_that_differ_in_case_are_told_apart_whichever_came_first(both: tuple[ModuleType, ModuleType]) -> None:
    one, other, third = b'"A":"1"', b'"a":"2"', b'"B":"3"'
    shapes = [[one, third], [third, other], [one, other], [other, one, third], [third], [one]]
    payloads = [b"{" + b",".join(members) + b"}" for turn in range(6) for members in shapes[turn:] + shapes[:turn]]
    check(both, payloads, ["lone", "get", "one"])


SHAPES = [
    b"{}",
    b"{ }",
    b'{"A":"1"}',
    b'{"A":"1"} behind',
    b'{"A":"1"},',
    b'{"A":"1",}',
    b'{"A":"1"',
    b'{"A"',
    b'{"A":',
    b'{"A":"1"]',
    b'{"A" :"1"}',
    b'{ "A":"1"}',
    b'{"A": "1"}',
    b'{"A":"1" ,"B":"2"}',
    b'{"A":"1", "B":"2"}',
    b'{"A":"1","B":"2"}',
    b'{"B":"2","A":"1"}',
    b'{"B":"2","A":"1","C":"3"}',
    b'{"A":"1","C":"3"}',
    b'{"A":"1","A":"2"}',
    b'{"A":"2","A":"1","a":"3"}',
    b'{"a":"3","A":"2","a":"1"}',
    b'{"A":"1","B":"2","A":"1","B":"2"}',
    b'{"Event-Name":"COMMAND","A":"1","Event-Name":"PRIVATE_COMMAND"}',
    b'{"event-name":"x","Event-Name":"COMMAND","A":"1","Event-Name":"PRIVATE_COMMAND","Event-Name":"THIRD"}',
    b'{"event-name":"x","A":"1","event-name":"y"}',
    b'{"EVENT-NAME":"x","A":"1"}',
    b'{"A":"1","Content-Length":"1","_body":"b"}',
    b'{"A":"1","_body":"b","Content-Length":"1"}',
    b'{"_body":"b","A":"1"}',
    b'{"A":"1","_BODY":"b"}',
    b'{"A":"1","\\u005fbody":"b"}',
    b'{"A":"1","_body":"b","_body":"c"}',
    b'{"_body":"b"}',
    b'{"A":"1","_body":""}',
    b'{"A":"1","_body":"ARRAY::x|:y"}',
    b'{"A":"1","_body":["x","y"]}',
    b'{"A":"1","_body":[]}',
    b'{"A":"1","_body":5}',
    b'{"A":"1","_body":"\xff\\n"}',
    b'{"":"empty","A":"1"}',
    b'{"\\u0041":"1","B":"2"}',
    b'{"A\\n":"1","A":"2"}',
    b'{"A\n":"1","A":"2"}',
    b'{"A\\"":"1","A":"2"}',
    '{"é":"1","É":"2","A":"3"}'.encode(),
    b'{"\xe9":"1","\xc9":"2","\xe9":"3","A":"4"}',
    b'{"\xef\xbf\xbd":"1","\xe9":"2","\xff":"3","A":"4"}',
    b'{"' + b"n" * 254 + b'":"1","A":"2"}',
    b'{"' + b"n" * 255 + b'":"1","A":"2"}',
    b'{"' + b"n" * 256 + b'":"1","A":"2"}',
    b'{"' + b"n" * 257 + b'":"1","A":"2"}',
    b'{"' + b"n" * 1000 + b'":"1","A":"2"}',
    b"[]",
    b"",
    b"{",
    b"x",
]


@pytest.mark.parametrize("verb", READING)
def test_shape_is_read_alike_whatever_came_before(both: tuple[ModuleType, ModuleType], verb: Any) -> None:
    check(both, SHAPES + SHAPES[::-1], [verb])


def test_event_that_ends_anywhere_after_a_whole_one_is_malformed_as_ever(both: tuple[ModuleType, ModuleType]) -> None:
    whole = written(BASE, "body")
    check(both, [piece for end in range(len(whole)) for piece in (whole, whole[:end])], ["malformed", "to_json"])


def test_byte_that_differs_anywhere_is_read(both: tuple[ModuleType, ModuleType]) -> None:
    whole = written([*BASE, ("L", ["x", "y"]), ("N", 5)], "body")
    damaged = [whole[:at] + byte + whole[at + 1 :] for at in range(len(whole)) for byte in (b'"', b"\\", b",")]
    check(both, [piece for other in damaged for piece in (whole, other)], ["asdict", "to_json"])


BEHIND = [("Z", "z" * 80)]  # so much is compared at once as a whole, and has to be there


@pytest.mark.parametrize("name", ["N", "N" * 56, "N" * 57, "N" * 58, "N" * 59, "N" * 60, "N" * 61, "N" * 130])
def test_members_of_any_size_are_compared_to_their_last_byte(both: tuple[ModuleType, ModuleType], name: str) -> None:
    """Two values that take turns, and a third: they differ in their first, last or middle byte, or in size."""
    payloads = []
    for size in (1, 2, *range(22, 30), *range(54, 66), *range(86, 94), 127, 128, 129, 200):
        value = "x" * size
        others = [
            value,
            "y" + value[1:],
            value[:-1] + "y",
            value[: size // 2] + "y" + value[size // 2 + 1 :],
            value + "x",
        ]
        for other in others[1:]:
            for text in (value, other, value, other, value[:-1], value):
                payloads.append(written([("Event-Name", "DTMF"), (name, text), *BEHIND]))
    check(both, payloads, ["asdict", "to_json"])


def test_event_that_ends_anywhere_near_a_remembered_member_is_read(both: tuple[ModuleType, ModuleType]) -> None:
    """Shorter and longer ones in turn, so that what was behind a member is not there the next time."""
    whole = [("Event-Name", "DTMF"), ("A", "x" * 60), ("B", "y" * 30), ("C", "z" * 90), ("D", "1")]
    payloads = [written([*whole[:count], ("E", "e" * size)]) for size in range(66) for count in (5, 2, 4)]
    payloads += [piece for end in range(len(payloads[0])) for piece in (payloads[0], payloads[0][:end])]
    check(both, payloads, ["asdict", "malformed"])


def test_names_that_repeat_and_change_places_in_long_events_are_read(both: tuple[ModuleType, ModuleType]) -> None:
    chance = random.Random(14)
    names = ["Event-Name", *(f"Header-{number}" for number in range(12)), "L" * 62, "L" * 63, "_body"]
    payloads = []
    for _ in range(150):
        some = sorted(chance.sample(names, chance.randrange(1, 17)), key=names.index)
        if chance.random() < 0.5:
            some.insert(chance.randrange(len(some)), chance.choice(some))
        fields = [(name, chance.choice(["", "a", "b" * 70, "é", "n\n", "ARRAY::x|:y", ["x", "y"], 5])) for name in some]
        payloads.append(written([*fields, *(BEHIND if chance.random() < 0.8 else [])]))
    check(both, payloads, ["asdict", "get", "to_json", "fields"])


@pytest.mark.parametrize("size", range(limits.JSON_VALUE_BYTES - 4, limits.JSON_VALUE_BYTES + 2))
def test_value_of_any_length_is_read(both: tuple[ModuleType, ModuleType], size: Any) -> None:
    values = ["x" * size, "x" * size + "y", "x" * (size - 1) + "y", "y" + "x" * (size - 1), "é" * (size // 2)]
    check(both, [written([("Event-Name", "DTMF"), ("A", value), ("Z", "z")]) for value in values])


@pytest.mark.parametrize("count", [limits.JSON_NAMES - 1, limits.JSON_NAMES, limits.JSON_NAMES + 1])
def test_event_of_as_many_names_as_are_remembered_is_read(both: tuple[ModuleType, ModuleType], count: Any) -> None:
    one = [("Event-Name", "DTMF"), *((f"n{number}", str(number)) for number in range(count - 1))]
    two = [*one[:-1], ("A", "1")]
    payloads = [written(one), written(two), written(one[::-1]), written([("A", "2"), ("Unique-ID", "u")])]
    check(both, payloads, ["asdict", "get", "to_json"])


def test_more_names_and_values_than_there_is_room_for_are_read_and_forgotten(
    both: tuple[ModuleType, ModuleType],
) -> None:
    """Enough of both for what is remembered to be given up, more than once, while events that it read are kept."""
    compiled, python = both
    many = [(f"n{number}", "v" * 30 + str(number)) for number in range(4000)]
    payloads = [written([("A", str(turn)), *many[turn::2]]) for turn in range(2)]
    payloads += [written([(f"{turn}-{name}"[:40], value) for name, value in many[:600]]) for turn in range(20)]
    payloads.append(written(BASE))
    wanted = one_by_one(python, payloads, "asdict")
    decoder = compiled.Decoder()
    kept = []
    refused = 0
    while refused < 4 * limits.JSON_REFUSALS:
        receive(decoder, b"".join(map(framed, payloads)))
        events = list(decoder)
        assert [list(event.asdict().items()) for event in events] == wanted
        kept = kept or events
        refused += 2000  # values of the first two
    assert [READING["get"](event) for event in kept] == one_by_one(python, payloads, "get")
    assert [event.to_json() for event in kept] == one_by_one(python, payloads, "to_json")
    assert [list(event.asdict().items()) for event in kept] == wanted


def test_more_shapes_than_are_kept_are_read(both: tuple[ModuleType, ModuleType]) -> None:
    names = [f"Header-{number}" for number in range(100)]
    payloads = [
        written([(name, f"{at} {turn}") for at, name in enumerate(names) if at != turn % 100]) for turn in range(350)
    ]
    check(both, payloads, ["asdict"])


def test_events_with_nearly_the_same_names_are_read(both: tuple[ModuleType, ModuleType]) -> None:
    """Some names missing, some behind the others, some twice: in any number, of small events and large."""
    chance = random.Random(5)
    payloads = []
    for count in (3, 20, 100, 400):
        for _ in range(25):
            some = [name for name in range(count) if chance.random() > chance.choice([0, 0.01, 0.1, 0.5])]
            some += chance.sample(range(count), chance.choice([0, 1, 2]))
            fields = [(f"Header-{number}", chance.choice("abc") * chance.choice([1, 1, 300])) for number in some]
            payloads.append(written([*fields[:2], ("Event-Name", "A"), *fields[2:], ("Event-Name", "B")]))
    check(both, payloads, ["asdict", "len"])


def test_dict_that_was_given_out_is_the_readers_own(esl: ModuleType) -> None:
    decoder = esl.Decoder()
    receive(decoder, framed(written(BASE)) * 3)
    for event in decoder:
        headers = event.asdict()
        assert headers == dict(BASE)
        headers.clear()
        mapping = event.to_dict()
        assert mapping == dict(BASE)
        mapping.clear()


def test_name_of_a_subclass_of_str_is_looked_up(esl: ModuleType) -> None:
    class Name(str):
        __slots__ = ()

    decoder = esl.Decoder()
    receive(decoder, framed(written(BASE)) * 2)
    for event in decoder:
        assert (event.get(Name("Unique-ID")), event.get(Name("unique-id")), event.get(Name("x"))) == ("a1", "a1", None)
        assert (event.get(5), event.get("\udcc3\udca9"), event.get("\ud800"), 5 in event) == (None, None, None, False)


def test_captured_events_are_read_alike_by_one_decoder_and_by_many(both: tuple[ModuleType, ModuleType]) -> None:
    payloads = [event.payload for event in decode(both[1], capture("sip_json")) if event.payload][:150]
    check(both, payloads, ["asdict", "select", "to_json", "to_dict", "fields"])


def test_switchs_own_json_is_given_back_as_it_came(esl: ModuleType) -> None:
    events = [event for event in decode(esl, capture("sip_json")) if event.content_type == "text/event-json"]
    own = [event for event in events if len(set(event)) == len(event.pairs())]
    assert len(own) > 600
    assert all(event.to_json() == event.payload for event in own)


@pytest.mark.skipif(sys.platform == "emscripten", reason="no threads")
def test_events_of_one_decoder_are_read_by_several_threads(both: tuple[ModuleType, ModuleType]) -> None:
    compiled, python = both
    payloads = [written([*BASE, ("N", str(turn)), ("A", str(turn % 3))], "b" * (turn % 2)) for turn in range(60)]
    wanted = {verb: one_by_one(python, payloads, verb) for verb in ("asdict", "get", "to_json")}
    decoder = compiled.Decoder()
    receive(decoder, b"".join(map(framed, payloads)))
    events = list(decoder)

    def read(turn: Any) -> Any:
        verb = ("asdict", "get", "to_json")[turn % 3]
        return [READING[verb](event) for event in events] == wanted[verb]

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(read, range(24)))


MEMBER = st.tuples(
    st.sampled_from([b'"Event-Name"', b'"A"', b'"a"', b'"B"', b'"_body"', b'"event-name"', b'"\\u0041"', b'"\xff"']),
    st.sampled_from(VALUES[:52]) | st.sampled_from([b'"1"', b'"2"', b'"3"']),
)
PAYLOAD = st.lists(MEMBER, max_size=7).map(
    lambda members: b"{" + b",".join([name + b":" + value for name, value in members]) + b"}"
)


@given(payloads=st.lists(PAYLOAD | st.sampled_from(SHAPES), max_size=8), verb=st.sampled_from(sorted(READING)))
@example(payloads=[b'{"A":"1"}', b'{"A":"1","A":"1"}', b'{"A":"1"}'], verb="asdict")
def test_any_events_are_read_alike(both: tuple[ModuleType, ModuleType], payloads: Any, verb: Any) -> None:
    check(both, payloads, [verb])
