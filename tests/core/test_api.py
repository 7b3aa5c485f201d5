"""How the package behaves as Python: mappings, equality, pickles, what may be fed, threads, names.

These names exist and mean this on both cores (STABILITY.md; docs/protocol/reading.md, 5 to 7 and 16).
"""

from __future__ import annotations

import array
import copy
import importlib
import inspect
import mmap
import os
import pickle
import pydoc
import random
import re
import subprocess
import sys
import threading
from collections.abc import ItemsView, KeysView, Mapping, ValuesView

import pytest
import support
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


def every_kind(esl):
    data = ONE_OF_EACH
    for format, payload in (
        ("json", b'{"A":"1"}'),
        ("xml", b"<event><headers><A>1</A></headers></event>"),
        ("json", b"?"),
    ):
        data += frame(b"Content-Type: text/event-" + format.encode(), payload)
    return decode(esl, data)


def event(esl):
    (message,) = decode(esl, plain(PAYLOAD))
    return message


# A read-only mapping


def test_message_is_a_mapping(esl):
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


def test_views_are_those_of_a_mapping(esl):
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


def test_every_view_is_read_only(esl):
    e = event(esl)
    for view in (e.keys(), e.values(), e.items()):
        for method in ("pop", "clear", "update", "add", "discard", "append"):
            assert not hasattr(view, method)
    assert e.asdict() == READ


def test_key_error_names_the_key(esl):
    for name in ("absent", "", "dtmf_digit"):
        with pytest.raises(KeyError) as caught:
            event(esl)[name]
        assert caught.value.args == (name,)


@pytest.mark.parametrize("name", [None, 5, b"Event-Name", ("Event-Name",), 1.5, ["Event-Name"]])
def test_what_is_no_text_is_no_name(esl, name):
    for message in every_kind(esl):
        assert message.get(name) is None
        assert message.get(name, "default") == "default"
        assert name not in message
        assert message.select(name) == (None,)
        assert message.getlist(name) == []
        with pytest.raises(KeyError):
            message[name]


def test_subclass_of_str_is_a_name(esl):
    class Name(str):
        __slots__ = ()

    for message in decode(esl, plain(PAYLOAD) + b"DTMF-Digit: #\n\n"):
        assert message[Name("DTMF-Digit")] == message[Name("dtmf-DIGIT")] == "#"
        assert message.get(Name("absent")) is None
        assert Name("DTMF-Digit") in message
        assert message.select(Name("DTMF-Digit")) == ("#",)
        assert message.getlist(Name("dtmf-digit")) == ["#"]
        assert esl.EventName.DTMF not in message


def test_fresh_dict_is_the_callers_own(esl):
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


def test_matching_a_mapping_pattern(esl):
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
def test_no_attribute_can_be_set(esl, name):
    for message in every_kind(esl):
        before = message.frame
        with pytest.raises(AttributeError):
            setattr(message, name, b"x")
        assert message.frame == before


def test_no_item_can_be_set(esl):
    e = event(esl)
    with pytest.raises(TypeError):
        e["A"] = "1"
    with pytest.raises(TypeError):
        del e["Event-Name"]
    for method in ("pop", "popitem", "clear", "update", "setdefault", "__setitem__", "__delitem__"):
        assert not hasattr(e, method)


def test_messages_carry_no_dict_of_their_own(esl):
    for message in every_kind(esl):
        assert not hasattr(message, "__dict__")


def test_body_and_frame_are_bytes(esl):
    for message in every_kind(esl):
        assert type(message.frame) is bytes
        assert type(message.raw) is bytes
        assert message.body is None or type(message.body) is bytes


# Equality, hash, pickle, copy, repr


def test_equal_bytes_of_one_kind_are_equal(esl):
    for one, two in zip(every_kind(esl), every_kind(esl), strict=True):
        assert one == two
        assert hash(one) == hash(two)
        assert len({one, two}) == 1
        assert not (one != two)  # noqa: SIM202


def test_different_messages_are_different(esl):
    messages = every_kind(esl)
    for at, one in enumerate(messages):
        for other in messages[at + 1 :]:
            assert one != other
    assert len(set(messages)) == len(messages)


def test_kind_counts(esl):
    assert esl.Message(OK) != esl.CommandReply(OK)
    assert esl.CommandReply(OK) == esl.CommandReply(OK)


def test_bytes_count_and_not_what_they_say(esl):
    plain_event = esl.Event.from_payload
    assert plain_event(b"A: 1\n\n", "plain") != plain_event(b"A:1\n\n", "plain")
    assert plain_event(b"A: 1\n\n", "plain") != plain_event(b"A: 1\n", "plain")
    assert plain_event(b"A: %41\n\n", "plain") != plain_event(b"A: A\n\n", "plain")
    assert plain_event(b"A: 1\n\nx", "plain") != plain_event(b"A: 1\n\ny", "plain")
    assert plain_event(b"", "json") != plain_event(b"", "plain")
    assert esl.Message(b"A: 1\n\n") != esl.Message(b"A: 1\n\n", b"")


def test_envelope_of_an_event_does_not_count(esl):
    one, two = decode(
        esl,
        b"Content-Length: 6\nContent-Type: text/event-plain\n\nA: 1\n\n"
        b"Content-Type: text/event-plain\nContent-Length: 6\n\nA: 1\n\n",
    )
    assert one == two
    assert hash(one) == hash(two)


@pytest.mark.parametrize("other", [None, 5, "text", OK, READ, object()])
def test_other_types_are_not_implemented(esl, other):
    for message in every_kind(esl):
        assert message.__eq__(other) is NotImplemented
        assert message.__ne__(other) is NotImplemented
        assert message != other
        assert message != dict(message)


def test_other_types_may_answer_themselves(esl):
    class Anything:
        def __eq__(self, other):
            return True

        __hash__ = None

    assert event(esl) == Anything()
    assert Anything() == event(esl)


def test_order_of_messages_is_not_defined(esl):
    with pytest.raises(TypeError):
        event(esl) < event(esl)  # noqa: B015


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_message_pickles_as_its_bytes(esl, protocol):
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


def test_pickle_is_hardly_larger_than_the_bytes(esl):
    e = event(esl)
    e.asdict()
    e.get("absent")
    assert len(pickle.dumps(e)) < len(e.frame) + 120


def test_copies_are_equal(esl):
    for message in every_kind(esl):
        for again in (copy.copy(message), copy.deepcopy(message)):
            assert again == message
            assert again.frame == message.frame


def test_repr_is_short_and_names_the_kind(esl):
    large = decode(esl, frame(b"Content-Type: api/response", b"long" * 100_000))[0]
    assert repr(large) == f"<ApiResponse ok '{'long' * 25}...'>"
    for message in every_kind(esl):
        assert repr(message) == str(message)
        assert repr(message).startswith(f"<{type(message).__name__}")
        assert len(repr(message)) < 100


def test_kinds_can_be_subclassed(esl):
    class MyReply(esl.CommandReply):
        """Another client's reply."""

        def __init__(self, block, body=None):
            super().__init__(block, body)
            self.extra = 1

    reply = MyReply(OK)
    assert (reply.text, reply.ok, reply.extra) == ("+OK", True, 1)
    assert repr(reply) == "<MyReply ok '+OK'>"
    assert reply != esl.CommandReply(OK)
    assert reply == MyReply(OK)


def test_decoder_and_splitter_can_be_subclassed(esl):
    class Counting(esl.Decoder):
        count = 0

        def next_message(self):
            message = super().next_message()
            self.count += message is not None
            return message

    decoder = Counting(max_header_bytes=1000)
    decoder.feed(OK + AUTH)
    while decoder.next_message() is not None:
        pass
    assert decoder.count == 2


# Feeding


def as_mmap(data):
    memory = mmap.mmap(-1, len(data))
    memory[:] = data
    return memory


@pytest.mark.parametrize(
    "kind",
    [
        bytes,
        bytearray,
        memoryview,
        lambda data: memoryview(bytearray(data)),
        lambda data: array.array("B", data),
        lambda data: memoryview(b"xx" + data + b"yy")[2:-2],
        lambda data: memoryview(data).cast("B", (2, len(data) // 2)),
        as_mmap,
    ],
)
def test_any_contiguous_bytes_like_object_can_be_fed(esl, kind):
    data = OK + b"\n" * (len(OK) % 2)
    decoder = esl.Decoder()
    decoder.feed(kind(data))
    assert decoder.buffered == len(data)
    assert [message.frame for message in decoder] == [OK]


def test_items_wider_than_a_byte_are_fed_as_their_bytes(esl):
    data = AUTH + b"\n" * (-len(AUTH) % 4)
    decoder = esl.Decoder()
    decoder.feed(array.array("I", data))
    assert decoder.buffered == len(data)
    assert [message.frame for message in decoder] == [AUTH]


@pytest.mark.parametrize("wrong", ["text", None, 5, [1, 2], object(), 1.5])
def test_what_is_not_bytes_like_is_refused(esl, wrong):
    for decoder in (esl.Decoder(), esl.FrameSplitter()):
        with pytest.raises(TypeError):
            decoder.feed(wrong)
        assert decoder.buffered == 0


def test_what_is_not_contiguous_is_refused(esl):
    decoder = esl.Decoder()
    for view in (memoryview(OK)[::2], memoryview(OK)[::-1]):
        with pytest.raises(BufferError):
            decoder.feed(view)
    assert decoder.buffered == 0
    decoder.feed(OK)
    assert len(list(decoder)) == 1


def test_fed_memory_is_released(esl):
    data = bytearray(OK)
    esl.Decoder().feed(data)
    data += b"still resizable"


@pytest.mark.parametrize("hint", [None, -1, 0, 1, 100, 1 << 16, 1 << 20, 1 << 40])
def test_get_buffer_offers_writable_memory_whatever_is_asked_for(esl, hint):
    decoder = esl.Decoder()
    view = memoryview(decoder.get_buffer() if hint is None else decoder.get_buffer(hint))
    assert not view.readonly
    assert view.c_contiguous
    assert (view.itemsize, view.ndim) == (1, 1)
    assert 1 <= len(view) <= 256 << 10
    assert len(view) >= min(hint or 0, 256 << 10)
    view[: len(OK)] = OK
    decoder.buffer_updated(len(OK))
    assert [message.frame for message in decoder] == [OK]


def test_buffer_updated_without_get_buffer_is_refused(esl):
    decoder = esl.Decoder()
    with pytest.raises(ValueError, match=r"^buffer_updated\(\) without get_buffer\(\)$"):
        decoder.buffer_updated(0)
    decoder.get_buffer(10)
    decoder.buffer_updated(0)
    with pytest.raises(ValueError, match=r"^buffer_updated\(\) without get_buffer\(\)$"):
        decoder.buffer_updated(0)


def test_buffer_updated_takes_no_more_than_was_offered(esl):
    decoder = esl.Decoder()
    for wrong in (-1, len(decoder.get_buffer(10)) + 1, 10**30, -(10**30)):
        size = len(decoder.get_buffer(10))
        with pytest.raises(ValueError, match=rf"^buffer_updated\({wrong}\), expected 0 to {size}$"):
            decoder.buffer_updated(wrong)
        assert decoder.buffered == 0


def test_last_offer_counts(esl):
    decoder = esl.Decoder()
    decoder.get_buffer(10)[:3] = b"xyz"
    view = decoder.get_buffer(10)
    view[: len(OK)] = OK
    decoder.buffer_updated(len(OK))
    assert [message.frame for message in decoder] == [OK]


def test_offered_memory_outlives_growth_and_the_decoder(esl):
    decoder = esl.Decoder()
    views = []
    for _ in range(20):
        view = memoryview(decoder.get_buffer(1 << 16))
        view[: len(OK)] = OK
        decoder.buffer_updated(len(OK))
        views.append(view)
        decoder.feed(frame(b"Content-Type: api/response", bytes(200_000)))
    assert [type(message).__name__ for message in decoder] == ["CommandReply", "ApiResponse"] * 20
    decoder.feed(OK)
    for view in views:
        view[:] = b"x" * len(view)  # forbidden by the docstring, and harmless all the same to memory
        bytes(view)
    del decoder
    for view in views:
        view[:] = b"y" * len(view)
        assert bytes(view[:1]) == b"y"
        view.release()


def test_decoder_takes_its_bounds_as_keywords_only(esl):
    for kind in (esl.Decoder, esl.FrameSplitter):
        kind(max_header_bytes=1, max_body_bytes=1, max_buffered=1)
        with pytest.raises(TypeError):
            kind(1)
        with pytest.raises(TypeError):
            kind(max_frames=1)


def test_state_of_a_decoder_cannot_be_set(esl):
    decoder = esl.Decoder()
    for name in ("buffered", "consumed"):
        with pytest.raises(AttributeError):
            setattr(decoder, name, 0)


# Threads


def in_threads(work, count=8):
    failures = []
    start = threading.Barrier(count)

    def run(number):
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


def test_one_message_is_read_from_many_threads(esl):
    names = [f"variable_{number}" for number in range(100)]
    payload = "".join(f"{name}: {name}%20\n" for name in names).encode() + b"Event-Name: X\nEvent-Name: Y\n\nbody"
    wanted = {**{name: name + " " for name in names}, "Event-Name": "Y"}
    events = decode(esl, plain(payload) * 30)

    def read(number):
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


def test_messages_of_one_decoder_are_read_while_it_goes_on(esl):
    decoder = esl.Decoder()
    shared = []

    def work(number):
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


def test_a_decoder_per_thread(esl):
    def work(number):
        data = plain(b"A: %d\nB: same\n\n" % number) * 200
        for message in decode(esl, data):
            assert (message["A"], message["B"], message.get("C")) == (str(number), "same", None)

    in_threads(work)


# Any order of asking gives the same answers


def test_order_of_asking_does_not_matter(esl):
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


# Names


def test_public_names(esl):
    assert esl.__all__ == sorted(esl.__all__, key=lambda name: (not name.isupper(), name))
    assert len(set(esl.__all__)) == len(esl.__all__)
    for name in esl.__all__:
        assert getattr(esl, name) is not None
    promised = [
        "Decoder",
        "FrameSplitter",
        "parse_headers",
        "parse_pairs",
        "quote",
        "unquote",
        "Message",
        "Event",
        "CommandReply",
        "ApiResponse",
        "AuthRequest",
        "LogLine",
        "DisconnectNotice",
        "RudeRejection",
        "ESLError",
        "ProtocolError",
        "InvalidContentLength",
        "LimitExceeded",
        "HeaderTooLarge",
        "BodyTooLarge",
        "IncompleteFrame",
        "MalformedPayload",
        "InvalidCommand",
        "CommandError",
        "AuthError",
        "AccessDenied",
        "ConnectionClosed",
        "CommandTimeout",
        "__version__",
        "__impl__",
    ]
    assert set(promised) <= set(esl.__all__)


def test_kinds_are_messages(esl):
    for name in ("Event", "CommandReply", "ApiResponse", "AuthRequest", "LogLine", "DisconnectNotice", "RudeRejection"):
        assert issubclass(getattr(esl, name), esl.Message)


def public(kind):
    return {name for name in dir(kind) if not name.startswith("_")}


def test_both_packages_have_the_same_names(both):
    c, python = both
    assert c.__all__ == python.__all__
    assert (c.__impl__, python.__impl__) == ("c", "python")
    for name in c.__all__:
        ours, twins = getattr(c, name), getattr(python, name)
        if inspect.isclass(ours):
            assert public(ours) == public(twins), name
            assert ours.__name__ == twins.__name__


# The compiled core and its twin


CORE = {"FrameSplitter", "HeaderReader", "Message", "MessageDecoder"}
CORE |= {"lone", "parse_headers", "parse_pairs", "quote", "survey", "unquote"}


@pytest.fixture
def cores(both):
    c, python = both
    return importlib.import_module(f"{c.__name__}._codec_c"), importlib.import_module(f"{python.__name__}._codec_py")


def members(core):
    """Everything public of a core: "quote", "Message", "Message.get"."""
    found = {name: getattr(core, name) for name in CORE}
    for name in CORE:
        if inspect.isclass(found[name]):
            found |= {f"{name}.{member}": getattr(found[name], member) for member in public(found[name])}
    return found


def test_core_is_what_the_package_takes(esl):
    taken = vars(importlib.import_module(f"{esl.__name__}._codec"))
    assert {name for name in taken if name[0].isalpha()} - {"os", "TYPE_CHECKING", "annotations"} == CORE


def test_both_cores_have_the_same_members(cores):
    c, python = map(members, cores)
    assert c.keys() == python.keys()
    for name, mine in c.items():
        assert callable(mine) == callable(python[name]), name
        assert inspect.isclass(mine) == inspect.isclass(python[name]), name
        assert inspect.isdatadescriptor(mine) == inspect.isdatadescriptor(python[name]), name


def test_both_cores_have_the_same_signatures(cores):
    c, python = map(members, cores)
    compared = 0
    for name, mine in c.items():
        if callable(mine) and not inspect.isclass(mine):
            assert shape(mine) == shape(python[name]), name
            compared += 1
    assert compared >= 20


def shape(function):
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]


CALLS = {  # of the constructors: what must be given, and what may be
    "FrameSplitter": ({}, {"max_header_bytes": 9, "max_body_bytes": 9, "max_buffered": 9}),
    "MessageDecoder": ({"kinds": {}, "default": None}, {"max_header_bytes": 9, "max_body_bytes": 9, "max_buffered": 9}),
    "Message": ({"block": b"A: 1\n\n"}, {"body": b"x"}),
    "HeaderReader": ({}, {}),
}


@pytest.mark.parametrize("kind", sorted(CALLS))
def test_both_cores_construct_from_the_same_arguments(cores, kind):
    must, may = CALLS[kind]
    assert [*must, *may] == [
        name for name in inspect.signature(getattr(cores[1], kind)).parameters if name not in ("args", "names")
    ]
    for core in cores:
        required = {**must, "default": core.Message} if "default" in must else must
        every = {**required, **may}
        make = getattr(core, kind)
        make(**every)
        make(*required.values(), **may)
        for name in may:
            make(**required, **{name: every[name]})
        for name in required:
            with pytest.raises(TypeError):
                make(**{other: value for other, value in every.items() if other != name})
        if kind == "HeaderReader":
            continue  # takes what its subclasses take
        with pytest.raises(TypeError):
            make(**every, bogus=1)
        if kind == "Message":
            assert make(*every.values()) == make(**every)
        else:
            with pytest.raises(TypeError):
                make(*required.values(), 9)  # the bounds are keywords
        with pytest.raises(TypeError):
            make(*every.values(), 9)


def test_both_cores_construct_with_the_same_bounds(cores):
    said = []
    for core in cores:
        for made in (core.FrameSplitter, lambda core=core: core.MessageDecoder({}, core.Message)):
            for data in (b"x" * ((1 << 20) + 1), b"Content-Length: 67108865\n\n"):
                splitter = made()
                splitter.feed(data)
                with pytest.raises(Exception, match="expected no more than") as caught:
                    next(iter(splitter))
                said.append(str(caught.value))
    assert said[:4] == said[4:]
    assert "1048576 (max_header_bytes)" in said[0]
    assert "67108864 (max_body_bytes)" in said[1]


def own(core):
    """Those that a class has itself and not from its base."""
    names = {name: name.partition(".") for name in members(core)}
    return [name for name, (kind, _, member) in names.items() if not member or member in vars(getattr(core, kind))]


def test_help_is_the_same_on_both_cores(cores):
    """The compiled core's docstrings come from its twin when it is built."""
    c, python = map(members, cores)
    assert len(own(cores[0])) >= 30
    for name in own(cores[0]):
        assert inspect.getdoc(python[name]), name
        assert c[name].__doc__ == inspect.cleandoc(python[name].__doc__), name


def test_help_shows_what_a_function_takes_and_does(esl):
    shown = pydoc.render_doc(esl.Event.get, renderer=pydoc.plaintext)
    assert re.search(r"get\(\s*self,\s*name", shown)  # on one line, or on many from Python 3.13 on
    assert "The value of a header, or `default`." in shown
    assert "ignoring ASCII case" in shown
    assert "Bytes waiting" in pydoc.render_doc(esl.FrameSplitter, renderer=pydoc.plaintext)


@pytest.mark.parametrize("kind", ["FrameSplitter", "MessageDecoder", "Message", "HeaderReader"])
def test_classes_of_both_cores_have_the_same_signature(cores, kind):
    c, python = (getattr(core, kind) for core in cores)
    assert shape(c) == shape(python)


def test_signature_of_what_is_made_of_the_core(esl):
    assert [name for name, _, _ in shape(esl.Event)] == ["block", "body"]
    assert [name for name, _, _ in shape(esl.Decoder)] == ["max_header_bytes", "max_body_bytes", "max_buffered"]

    class Splitter(esl.FrameSplitter):
        pass

    assert shape(Splitter) == shape(esl.FrameSplitter)


# Which core


def python(code, **environment):
    folder = support.Path(__import__("eslcodec").__file__).parent.parent
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**{name: value for name, value in os.environ.items() if name != "ESLCODEC_IMPL"}, **environment},
        cwd=folder,  # which `python -c` puts first on its path: not the checkout's package, then
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_core_that_does_not_exist_raises_at_import():
    done = python("import eslcodec", ESLCODEC_IMPL="bogus")
    assert done.returncode != 0
    assert done.stderr.endswith("ImportError: ESLCODEC_IMPL is 'bogus', expected 'c' or 'python'\n")


def test_python_core_can_be_asked_for():
    done = python("import eslcodec; print(eslcodec.__impl__)", ESLCODEC_IMPL="python")
    assert (done.stdout, done.stderr) == ("python\n", "")


def test_core_asked_for_is_the_core_in_use(esl, request):
    assert esl.__impl__ == request.node.callspec.params["esl"]
    home = "_codec_c" if esl.__impl__ == "c" else "_core.message"
    assert esl.Message.__module__ == f"{esl.__name__}.{home}"


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        ("bogus", "^ESLCODEC_IMPL is 'bogus', expected 'c' or 'python'$"),
        (
            "c",
            r"^ESLCODEC_IMPL=c, but the compiled core is not there: .*\. "
            r"In a checkout `ESLCODEC_BUILD_EXTENSION=yes pip install \.` builds it, or says why it cannot$",
        ),
    ],
)
def test_wrong_core_is_an_import_error(monkeypatch, wanted, error):
    monkeypatch.setitem(sys.modules, "eslcodec_absent._codec_c", None)  # as if it had not been built
    with pytest.raises(ImportError, match=error):
        support.load_copy("eslcodec_absent", wanted)


def test_python_core_stands_in_for_a_compiled_one_that_is_not_there(monkeypatch):
    monkeypatch.setitem(sys.modules, "eslcodec_absent._codec_c", None)
    package = support.load_copy("eslcodec_absent", "")
    assert package.__impl__ == "python"
    assert package.CommandReply(OK).text == "+OK"
    support.forget_copy("eslcodec_absent")


@pytest.mark.usefixtures("both")
def test_unset_takes_the_compiled_core_if_it_is_there():
    for environment in ({}, {"ESLCODEC_IMPL": ""}, {"ESLCODEC_IMPL": "c"}):
        done = python("import eslcodec; print(eslcodec.__impl__)", **environment)
        assert (done.stdout, done.stderr) == ("c\n", "")


def test_message_is_true_whatever_it_says(esl):
    assert esl.Event.from_payload(b"\n", "plain")
    assert esl.Event.from_payload(b"{", "json")


@pytest.mark.parametrize("coding", ["quote", "unquote"])
def test_percent_coding_takes_bytes_like_objects_alone(esl, coding):
    code = getattr(esl, coding)
    given = b"%41 " if coding == "unquote" else b"a b"
    for data in (bytearray(given), memoryview(given)):
        assert code(data) == code(given)
        assert type(code(data)) is bytes
    for data in (3, None, "a"):
        with pytest.raises(TypeError):
            code(data)


@pytest.mark.parametrize(("data", "kind"), [("text", "str"), (3, "int"), (None, "NoneType"), ([b"a"], "list")])
def test_feed_says_that_it_takes_bytes(esl, data, kind):
    for decoder in (esl.FrameSplitter(), esl.Decoder()):
        with pytest.raises(TypeError, match=rf"^feed\(\) takes bytes, not {kind}$"):
            decoder.feed(data)
        assert decoder.buffered == 0


def test_decoder_core_takes_subclasses_of_message_alone(both):
    for package in both:
        core = importlib.import_module(f"{package.__name__}._codec")
        for kinds, default in (({b"a": int}, core.Message), ({}, str)):
            with pytest.raises(TypeError, match=r"^<class '(int|str)'> is no subclass of Message$"):
                core.MessageDecoder(kinds, default)
