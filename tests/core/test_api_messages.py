"""How messages behave as Python: mappings, equality, pickles, subclasses, threads, any order of asking.

That is so on both cores (STABILITY.md; docs/protocol/reading.md, 5 to 7 and 16).
"""

from __future__ import annotations

import copy
import pickle
import random
import threading
from collections.abc import ItemsView, KeysView, Mapping, ValuesView
from types import ModuleType
from typing import Any

import pytest
from support import AUTH, OK, decode, frame, naive_get, plain

PAYLOAD = b"Event-Name: DTMF\nUnique-ID: a%20b\nunique-id: c\nUnique-ID: d\nDTMF-Digit: %23\n\nbody"
READ = {"Event-Name": "DTMF", "Unique-ID": "a b", "unique-id": "c", "DTMF-Digit": "#"}

ONE_OF_EACH = (
    AUTH
    + OK
    + frame(b"Content-Type: api/response", b"+OK\n")
    + plain(PAYLOAD)
    + frame(b"Content-Type: log/data\nLog-Level: 7", b"line\n")
    + frame(b"Content-Type: text/disconnect-notice", b"bye\n")
    + frame(b"Content-Type: text/rude-rejection", b"go away\n")
    + b"Foo: bar\n\n"
    + b"Event-Name: CHANNEL_DATA\nA: %41\nContent-Type: command/reply\n\n"
)


def every_kind(esl: ModuleType) -> Any:
    data = ONE_OF_EACH
    for format, payload in (
        ("json", b'{"A":"1"}'),
        ("xml", b"<event><headers><A>1</A></headers></event>"),
        ("json", b"?"),
    ):
        data += frame(b"Content-Type: text/event-" + format.encode(), payload)
    return decode(esl, data)


def event(esl: ModuleType) -> Any:
    (message,) = decode(esl, plain(PAYLOAD))
    return message


# A read-only mapping


def test_message_is_a_mapping(esl: ModuleType) -> None:
    e = event(esl)
    assert isinstance(e, Mapping)
    assert issubclass(esl.Message, Mapping)
    assert dict(e) == e.asdict() == READ
    assert list(dict(e)) == list(e) == list(e.keys()) == list(READ)
    assert {**e} == READ
    assert len(e) == 4
    assert list(e.values()) == list(READ.values())
    assert list(e.items()) == list(READ.items())
    assert (lambda **named: named)(**decode(esl, b"A: 1\n\n")[0]) == {"A": "1"}


def test_views_are_those_of_a_mapping(esl: ModuleType) -> None:
    e = event(esl)
    assert isinstance(e.keys(), KeysView)
    assert isinstance(e.values(), ValuesView)
    assert isinstance(e.items(), ItemsView)
    assert "DTMF-Digit" in e.keys()  # noqa: SIM118
    assert ("DTMF-Digit", "#") in e.items()
    assert ("DTMF-Digit", "*") not in e.items()
    assert "#" in e.values()
    assert len(e.keys()) == len(e.values()) == len(e.items()) == 4
    assert e.keys() & {"Event-Name", "X"} == {"Event-Name"}
    assert e.keys() == READ.keys()
    assert e.items() == READ.items()
    for view in (e.keys(), e.values(), e.items()):
        assert list(view) == list(iter(view))


def test_every_view_is_read_only(esl: ModuleType) -> None:
    e = event(esl)
    for view in (e.keys(), e.values(), e.items()):
        for method in ("pop", "clear", "update", "add", "discard", "append"):
            assert not hasattr(view, method)
    assert e.asdict() == READ


def test_key_error_names_the_key(esl: ModuleType) -> None:
    for name in ("absent", "", "dtmf_digit"):
        with pytest.raises(KeyError) as caught:
            event(esl)[name]
        assert caught.value.args == (name,)


@pytest.mark.parametrize("name", [None, 5, b"Event-Name", ("Event-Name",), 1.5, ["Event-Name"]])
def test_what_is_no_text_is_no_name(esl: ModuleType, name: Any) -> None:
    for message in every_kind(esl):
        assert message.get(name) is None
        assert message.get(name, "default") == "default"
        assert name not in message
        assert message.select(name) == (None,)
        assert message.getlist(name) == []
        with pytest.raises(KeyError):
            message[name]


def test_subclass_of_str_is_a_name(esl: ModuleType) -> None:
    class Name(str):
        __slots__ = ()

    for message in decode(esl, plain(PAYLOAD) + b"DTMF-Digit: #\n\n"):
        assert message[Name("DTMF-Digit")] == message[Name("dtmf-DIGIT")] == "#"
        assert message.get(Name("absent")) is None
        assert Name("DTMF-Digit") in message
        assert message.select(Name("DTMF-Digit")) == ("#",)
        assert message.getlist(Name("dtmf-digit")) == ["#"]
        assert esl.EventName.DTMF not in message


def test_fresh_dict_is_the_callers_own(esl: ModuleType) -> None:
    e = event(esl)
    first = e.asdict()
    assert type(first) is dict
    first["Event-Name"] = "changed"
    first.clear()
    assert e.asdict() == READ
    len(e)
    e.asdict().clear()
    e.pairs().clear()
    e.getlist("Unique-ID").clear()
    assert e.asdict() == dict(e) == READ
    assert e.getlist("Unique-ID") == ["a b", "d"]


def test_matching_a_mapping_pattern(esl: ModuleType) -> None:
    match event(esl):
        case {"Event-Name": "HEARTBEAT"}:
            pytest.fail("another event")
        case {"Event-Name": "DTMF", "DTMF-Digit": digit, **rest}:
            assert digit == "#"
            assert rest == {"Unique-ID": "a b", "unique-id": "c"}
        case _:
            pytest.fail("no match")


# Messages do not change


@pytest.mark.parametrize("name", ["frame", "raw", "body", "text", "content_type", "name", "new", "_x"])
def test_no_attribute_can_be_set(esl: ModuleType, name: str) -> None:
    for message in every_kind(esl):
        before = message.frame
        with pytest.raises(AttributeError):
            setattr(message, name, b"x")
        assert message.frame == before


def test_no_item_can_be_set(esl: ModuleType) -> None:
    e = event(esl)
    with pytest.raises(TypeError):
        e["A"] = "1"
    with pytest.raises(TypeError):
        del e["Event-Name"]
    for method in ("pop", "popitem", "clear", "update", "setdefault", "__setitem__", "__delitem__"):
        assert not hasattr(e, method)


def test_messages_carry_no_dict_of_their_own(esl: ModuleType) -> None:
    for message in every_kind(esl):
        assert not hasattr(message, "__dict__")


def test_body_and_frame_are_bytes(esl: ModuleType) -> None:
    for message in every_kind(esl):
        assert type(message.frame) is bytes
        assert type(message.raw) is bytes
        assert message.body is None or type(message.body) is bytes


# Equality, hash, pickle, copy, repr


def test_equal_bytes_of_one_kind_are_equal(esl: ModuleType) -> None:
    for one, two in zip(every_kind(esl), every_kind(esl), strict=True):
        assert one == two
        assert hash(one) == hash(two)
        assert len({one, two}) == 1
        assert not (one != two)  # noqa: SIM202


def test_different_messages_are_different(esl: ModuleType) -> None:
    messages = every_kind(esl)
    for at, one in enumerate(messages):
        for other in messages[at + 1 :]:
            assert one != other
    assert len(set(messages)) == len(messages)


def test_kind_counts(esl: ModuleType) -> None:
    assert esl.Message(OK) != esl.CommandReply(OK)
    assert esl.CommandReply(OK) == esl.CommandReply(OK)


def test_bytes_count_and_not_what_they_say(esl: ModuleType) -> None:
    plain_event = esl.Event.from_payload
    assert plain_event(b"A: 1\n\n", "plain") != plain_event(b"A:1\n\n", "plain")
    assert plain_event(b"A: 1\n\n", "plain") != plain_event(b"A: 1\n", "plain")
    assert plain_event(b"A: %41\n\n", "plain") != plain_event(b"A: A\n\n", "plain")
    assert plain_event(b"A: 1\n\nx", "plain") != plain_event(b"A: 1\n\ny", "plain")
    assert plain_event(b"", "json") != plain_event(b"", "plain")
    assert esl.Message(b"A: 1\n\n") != esl.Message(b"A: 1\n\n", b"")


def test_envelope_of_an_event_does_not_count(esl: ModuleType) -> None:
    one, two = decode(
        esl,
        b"Content-Length: 6\nContent-Type: text/event-plain\n\nA: 1\n\n"
        b"Content-Type: text/event-plain\nContent-Length: 6\n\nA: 1\n\n",
    )
    assert one == two
    assert hash(one) == hash(two)


@pytest.mark.parametrize("other", [None, 5, "text", OK, READ, object()])
def test_other_types_are_not_implemented(esl: ModuleType, other: Any) -> None:
    for message in every_kind(esl):
        assert message.__eq__(other) is NotImplemented
        assert message.__ne__(other) is NotImplemented
        assert message != other
        assert message != dict(message)


def test_other_types_may_answer_themselves(esl: ModuleType) -> None:
    class Anything:
        def __eq__(self, other: Any) -> Any:
            return True

        __hash__ = None

    assert event(esl) == Anything()
    assert Anything() == event(esl)


def test_order_of_messages_is_not_defined(esl: ModuleType) -> None:
    with pytest.raises(TypeError):
        event(esl) < event(esl)  # noqa: B015


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_message_pickles_as_its_bytes(esl: ModuleType, protocol: Any) -> None:
    for message in every_kind(esl):
        if protocol % 2:
            message.asdict()
            len(message)
        again = pickle.loads(pickle.dumps(message, protocol))
        assert type(again) is type(message)
        assert again == message
        assert again.frame == message.frame
        assert (again.asdict(), again.body, again.content_type) == (
            message.asdict(),
            message.body,
            message.content_type,
        )


def test_pickle_is_hardly_larger_than_the_bytes(esl: ModuleType) -> None:
    e = event(esl)
    e.asdict()
    e.get("absent")
    assert len(pickle.dumps(e)) < len(e.frame) + 120


def test_copies_are_equal(esl: ModuleType) -> None:
    for message in every_kind(esl):
        for again in (copy.copy(message), copy.deepcopy(message)):
            assert again == message
            assert again.frame == message.frame


def test_repr_is_short_and_names_the_kind(esl: ModuleType) -> None:
    large = decode(esl, frame(b"Content-Type: api/response", b"long" * 100_000))[0]
    assert repr(large) == f"<ApiResponse ok '{'long' * 25}...'>"
    for message in every_kind(esl):
        assert repr(message) == str(message)
        assert repr(message).startswith(f"<{type(message).__name__}")
        assert len(repr(message)) < 100


def test_kinds_can_be_subclassed(esl: ModuleType) -> None:
    class MyReply(esl.CommandReply):
        """Another client's reply."""

        def __init__(self, block: Any, body: Any = None) -> None:
            super().__init__(block, body)
            self.extra = 1

    reply = MyReply(OK)
    assert (reply.text, reply.ok, reply.extra) == ("+OK", True, 1)
    assert repr(reply) == "<MyReply ok '+OK'>"
    assert reply != esl.CommandReply(OK)
    assert reply == MyReply(OK)


# Threads


def in_threads(work: Any, count: Any = 8) -> None:
    failures = []
    start = threading.Barrier(count)

    def run(number: Any) -> None:
        try:
            start.wait()
            work(number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_one_message_is_read_from_many_threads(esl: ModuleType) -> None:
    names = [f"variable_{number}" for number in range(100)]
    payload = "".join(f"{name}: {name}%20\n" for name in names).encode() + b"Event-Name: X\nEvent-Name: Y\n\nbody"
    wanted = {**{name: name + " " for name in names}, "Event-Name": "Y"}
    events = decode(esl, plain(payload) * 30)

    def read(number: Any) -> None:
        order = random.Random(number)
        for e in events:
            for name in order.sample([*names, "Event-Name", "absent", "VARIABLE_7"], 20):
                assert e.get(name) == wanted.get("variable_7" if name == "VARIABLE_7" else name)
            assert e.body == b"body"
            assert e.asdict() == wanted
            assert len(e) == 101
            assert e.select("absent", names[number]) == (None, wanted[names[number]])
            assert e.getlist("event-name") == ["X", "Y"]

    in_threads(read)


def test_messages_of_one_decoder_are_read_while_it_goes_on(esl: ModuleType) -> None:
    decoder = esl.Decoder()
    shared = []

    def work(number: Any) -> None:
        if number == 0:
            for count in range(300):
                decoder.feed(plain(b"A: %d\nSame: value\nB-%d: x\n\n" % (count, count)))
                shared.append(decoder.next_message())
        for e in list(shared):
            count = e["A"]
            assert e.asdict() == {"A": count, "Same": "value", f"B-{count}": "x"}
            assert e["same"] == "value"

    in_threads(work)
    assert len(shared) == 300


def test_a_decoder_per_thread(esl: ModuleType) -> None:
    def work(number: Any) -> None:
        data = plain(b"A: %d\nB: same\n\n" % number) * 200
        for message in decode(esl, data):
            assert (message["A"], message["B"], message.get("C")) == (str(number), "same", None)

    in_threads(work)


# Any order of asking gives the same answers


def test_order_of_asking_does_not_matter(esl: ModuleType) -> None:
    payload = (
        b"Event-Name: COMMAND\nA: 1\na: 2\nA: 3\nB:4\nC:d: 5\nC: 6\nevent-name: x\nEvent-Name: PRIVATE_COMMAND\n"
        b"E: \nno colon\nF: %41%0A\n\nBody: no\nEvent-Name: no\n"
    )
    pairs = esl.parse_pairs(payload)
    names = [
        "Event-Name",
        "EVENT-NAME",
        "event-name",
        "A",
        "a",
        "B",
        "b",
        "C",
        "c",
        "C:d",
        "c:D",
        "E",
        "F",
        "Body",
        "G",
    ]
    wanted = {name: naive_get(pairs, name) for name in names}
    asks = {
        **{f"get {name}": (lambda m, name=name: m.get(name), wanted[name]) for name in names},
        "asdict": (lambda m: m.asdict(), esl.parse_headers(payload)),
        "len": (len, 8 + 1),
        "list": (list, list(esl.parse_headers(payload))),
        "select": (lambda m: m.select(*names), tuple(wanted.values())),
        "pairs": (lambda m: m.pairs(), pairs),
        "body": (lambda m: m.body, b"Body: no\nEvent-Name: no\n"),
        "raw": (lambda m: m.raw, payload[: payload.index(b"\n\n") + 2]),
        "getlist": (lambda m: m.getlist("A"), ["1", "3"]),
    }
    for seed in range(60):
        order = list(asks.items())
        random.Random(seed).shuffle(order)
        message = esl.Event.from_payload(payload, "plain")
        for label, (ask, answer) in order + order[:5]:
            assert ask(message) == answer, (seed, label)


def test_message_is_true_whatever_it_says(esl: ModuleType) -> None:
    assert esl.Event.from_payload(b"\n", "plain")
    assert esl.Event.from_payload(b"{", "json")
