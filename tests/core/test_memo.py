"""What a decoder remembers of names and values: it never changes a result, holds what it says, and lets go of it.

The reference is the Python core, whose every event is read by a decoder of its own.
"""

from __future__ import annotations

import gc
import json
import random
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from memo_support import decoded, event, naive_json
from support import capture, load_core, naive_pairs, part, plain

WAYS: dict[str, Callable[[Any], Any]] = {
    "asdict": lambda event: list(event.asdict().items()),
    "pairs": lambda event: event.pairs(),
    "to_json": lambda event: event.to_json(),
    "surrogates": lambda event: event.to_json("surrogateescape"),
    "to_dict": lambda event: list(event.to_dict().items()),
    "to_dict, surrogates": lambda event: list(event.to_dict("surrogateescape").items()),
    "body": lambda event: (event.body, event.raw),
}


def expected(frames: list[bytes]) -> list[list[Any]]:
    reference = load_core("python")
    shown = []
    for frame in frames:
        (message,) = decoded(reference, frame)
        shown.append([way(message) for way in WAYS.values()])
    return shown


def check(esl: Any, frames: list[bytes], seed: int = 0) -> None:
    """One decoder reads them all twice, each in all ways and in any order of these: cold, warm and mixed."""
    wanted = expected(frames)
    ways = list(enumerate(WAYS.values()))
    mixed = random.Random(seed)
    decoder = esl.Decoder()
    for _ in range(2):
        decoder.feed(b"".join(frames))
        for message, answers in zip(list(decoder), wanted, strict=True):
            mixed.shuffle(ways)
            for number, way in ways:
                assert way(message) == answers[number]


# Shapes and values

ODD_LINES = [
    *(
        b"Event-Name: A",
        b"Event-Name: B",
        b'Event-Name: ARRAY::x|:]"\\|:y',
        b"event-name: c",
        b"Event-Name:D",
        b"Event-Name",
    ),
    *(
        b"_body: header",
        b"_body: ARRAY::a|:b",
        b"_BODY: x",
        b"_body:y",
        b"A: 1",
        b"A:1",
        b"A:\t1",
        b"A:",
        b"A: ",
        b"A:  x",
    ),
    *(b"A: 1\r", b"A: 1\r\r", b"A: \r", b"\r\r", b"no colon", b" ", b": nameless", b":", b"A:: 2", b"A:b: 3", b"a: 4"),
    *(b"B: %41%20%zz%", b"B: %ff%C3%A9", b"B: \xff", b"B: \xed\xa0\x80", "B: \u00e9".encode(), b'B: "\\/\x01\x7f'),
    *(b"\xff: bad name", b"\xfe: other bad name", "\ufffd: what both become".encode(), "\u00e9\u4e2d: name".encode()),
    *(
        b"List: ARRAY::a|:b%7C%3Ac",
        b"List: ARRAY::",
        b"List: ARRAY%3A%3A\xff|:x",
        b"List: ARRAY:",
        b"Long: " + b"x%20" * 1500,
    ),
    *(b"N" * 64 + b": 1", b"N" * 65 + b": 1", b"N" * 65 + b": 2", b"Event-Nbme: x", b"_bodz: x"),
]


@pytest.mark.parametrize("seed", range(12))
def test_events_of_odd_lines(esl: ModuleType, seed: Any) -> None:
    odd = random.Random(seed)
    frames = []
    for number in range(60):
        lines = [odd.choice(ODD_LINES) for _ in range(odd.randrange(9))]
        lines += [b"Usual-%d: %d" % (at, number // 7 if at % 3 else number) for at in range(odd.randrange(12))]
        if odd.random() < 0.3:
            odd.shuffle(lines)
        frames.append(event(lines, odd.choice([b"", b"", b"body", b'"\xff\n\n'])))
        if odd.random() < 0.2:
            frames.append(
                plain(odd.choice([b"", b"\n", b"\r\n", b"A: 1", b"A: 1\r", b"A: 1\n", b"\r", b"A", b"A: 1\n\r"]))
            )
    check(esl, frames, seed)


@pytest.mark.parametrize("seed", range(6))
def test_names_that_come_and_go(esl: ModuleType, seed: Any) -> None:
    """Events that are like one before but for some names: what a dict is copied from varies."""
    many = random.Random(seed)
    names = [b"Name-%d" % number for number in range(60)]
    shapes = [names[:]]
    for _ in range(30):
        shape = many.choice(shapes)[:]
        for _ in range(many.choice([1, 1, 2, 5, 30])):
            at = many.randrange(len(shape))
            if many.random() < 0.5 and len(shape) > 3:
                del shape[at]
            else:
                shape.insert(at, b"New-%d" % many.randrange(40))
        shapes.append(shape)
    frames = []
    for number in range(120):
        shape = many.choice(shapes)
        values = [b"%d" % (number if at % 5 == 0 else many.randrange(2)) for at in range(len(shape))]
        frames.append(event([b"Event-Name: SAME", *(b"%b: %b" % line for line in zip(shape, values, strict=True))]))
    check(esl, frames, seed)


def test_names_with_one_hash(esl: ModuleType) -> None:
    """Those with one length, beginning and end are looked for in one place, which is soon full."""
    lines = [b"Beginning%04dthe ending: %d" % (number, number) for number in range(200)]
    check(esl, [event(lines), event(lines[::-1]), event(lines[50:] + lines[:100])])


def test_a_captured_stream(esl: ModuleType) -> None:
    data = capture("bgapi_plain")
    reference = decoded(load_core("python"), data)
    for mine, wanted in zip(decoded(esl, data), reference, strict=True):
        for way in (lambda it: it.pairs(), lambda it: it.asdict()):
            assert way(mine) == way(wanted)


@pytest.mark.parametrize("seed", range(6))
def test_all_is_as_if_each_line_were_read_by_itself(esl: ModuleType, seed: Any) -> None:
    odd = random.Random(seed)
    decoder = esl.Decoder()
    payloads = []
    for number in range(120):
        lines = [odd.choice(ODD_LINES) for _ in range(odd.choice([0, 0, 1, 2, 6]))]
        lines += [b"Usual-%d: %d" % (at, number // 7 if at % 3 else number) for at in range(odd.randrange(1, 12))]
        odd.shuffle(lines)
        payloads.append((b"\n".join(lines), odd.choice([b"", b"", b"body", b'"\xff\x00\n'])))
    for _ in range(2):
        decoder.feed(b"".join(plain(b"%b\n\n%b" % payload) for payload in payloads))
        for (block, body), message in zip(payloads, decoder, strict=True):
            pairs = naive_pairs(block)
            assert message.pairs() == pairs
            for errors in odd.sample(["replace", "surrogateescape"], 2):
                wanted = naive_json(pairs, body, errors == "replace")
                assert message.to_json(errors) == wanted
                assert list(message.to_dict(errors).items()) == list(json.loads(wanted).items())


def test_what_is_written_as_it_is_known_is_what_the_writer_writes(esl: ModuleType) -> None:
    """`serialize` takes what `to_json` has of it where that is all: no repeats, and bytes that are not UTF-8 kept."""
    odd = random.Random(7)
    render = part(esl, "render")
    decoder = esl.Decoder()
    for _ in range(600):
        lines = [b"A: %d" % odd.randrange(3), b"C: x"] + [odd.choice(ODD_LINES) for _ in range(odd.randrange(3))]
        body = odd.choice([b"", b"text"])
        decoder.feed(event([*lines, b"Content-Length: 4"] if body else lines, body))
        (message,) = decoder
        wanted = result_of(esl, render.json, message._fields(), message.body)
        assert result_of(esl, message.serialize, "json") == wanted


def result_of(esl: Any, call: Callable[..., bytes], *args: Any) -> bytes | str:
    """What it returns, or why it cannot."""
    try:
        return call(*args)
    except esl.InvalidCommand as error:
        return str(error)


def test_an_event_without_a_decoder_is_written_alike(esl: ModuleType) -> None:
    lines = [b"Event-Name: A", b"List: ARRAY::a|:b", b"Event-Name: B", b"_body: header", b"A: %C3%A9"]
    (message,) = decoded(esl, event(lines, b"text"))
    alone = type(message)(*message.__reduce__()[1])
    for way in WAYS.values():
        assert way(alone) == way(message)


def test_a_body_of_a_subclass_is_written(esl: ModuleType) -> None:
    class Other(esl.Event):  # type: ignore[misc, name-defined]
        @property
        def body(self) -> bytes:
            return b"other"

    alone = Other(*decoded(esl, event([b"A: 1"], b"text"))[0].__reduce__()[1])
    assert alone.to_json() == b'{"A":"1","_body":"other"}'
    assert alone.to_dict() == {"A": "1", "_body": "other"}


def test_what_is_given_out_is_the_readers(esl: ModuleType) -> None:
    """Changing a result changes no other."""
    decoder = esl.Decoder()
    data = event([b"Event-Name: A", b"B: 1"])
    for _ in range(3):
        decoder.feed(data)
        (message,) = decoder
        headers, pairs, mapping = message.asdict(), message.pairs(), message.to_dict()
        assert headers == mapping == dict(pairs) == {"Event-Name": "A", "B": "1"}
        headers.clear()
        mapping["B"] = "2"
        pairs.reverse()


# Memory


@pytest.fixture
def traced() -> Iterator[Callable[[], int]]:
    """Says how many bytes Python's allocators have handed out since the test began."""
    gc.collect()
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()


def read_all(decoder: Any) -> None:
    for message in decoder:
        for way in WAYS.values():
            way(message)


def test_a_decoder_keeps_little_whatever_comes(esl: ModuleType, traced: Any) -> None:
    """Names and values that are always others, as long as any that are remembered."""
    if esl.__impl__ != "c":
        pytest.skip("the compiled core's memory")
    decoder = esl.Decoder()
    for number in range(120):
        names = (b"%06d-%02d" % (number, at) + b"n" * 55 for at in range(40))
        decoder.feed(event([b"%b: %b" % (name, b"v%20" * (1 + number * 7 % 900)) for name in names]))
        read_all(decoder)
    assert traced() < 2_000_000


def test_two_hundred_decoders_share_names(esl: ModuleType, traced: Any) -> None:
    if esl.__impl__ != "c":
        pytest.skip("the compiled core's memory")
    frames = [
        event(
            [
                b"Event-Name: E%d" % shape,
                *(b"variable_name_%d: value-%d" % (at, at) for at in range(shape, shape + 100)),
            ]
        )
        for shape in range(50)
    ]
    data = b"".join(frames)
    decoders = [esl.Decoder() for _ in range(20)]
    before = traced()
    for decoder in decoders:
        for _ in range(2):
            decoder.feed(data)
            for message in decoder:
                message.asdict()
    assert (traced() - before) / len(decoders) < 120_000
    del decoder, message, decoders
    assert traced() < before


def test_nothing_remembered_holds_none(esl: ModuleType) -> None:
    """A table of None that fills up, or a field that is None until wanted, moves a count that leaks are looked for by:
    that is what a prototype's sinking count was (before Python 3.12, from where on None is not counted)."""
    decoder = esl.Decoder()
    frames = [
        event([b"Event-Name: N%d" % n, *(b"name-%d-%d: x%%20y" % (n, at) for at in range(8))]) for n in range(600)
    ]
    decoder.feed(event([b"Event-Name: FIRST"]))
    read_all(decoder)  # which may import something
    gc.collect()
    before = sys.getrefcount(None)
    for frame in frames:
        decoder.feed(frame)
        read_all(decoder)
        assert abs(sys.getrefcount(None) - before) < 100
    del decoder
    gc.collect()
    assert abs(sys.getrefcount(None) - before) < 100


# Other code in between, and other threads


def test_a_garbage_collection_may_read_events_of_the_same_decoder(esl: ModuleType) -> None:
    frames = [
        event([b"Event-Name: N%d" % n, *(b"name-%d: %d" % (at * n % 90, n + at) for at in range(40))])
        for n in range(15)
    ]
    wanted = expected(frames)
    decoder = esl.Decoder()
    decoder.feed(b"".join(frames) * 2)
    messages = list(decoder)
    reading = False
    wrong = []

    def read(phase: str, info: dict[str, int]) -> None:
        nonlocal reading
        if phase != "stop" or reading:
            return
        reading = True
        number = len(wrong) * 7 % len(frames)
        wrong.append([way(messages[number]) for way in WAYS.values()] != wanted[number])
        reading = False

    thresholds = gc.get_threshold()
    gc.callbacks.append(read)
    gc.set_threshold(3)
    try:
        for _ in range(3):
            for message, answers in zip(messages, wanted * 2, strict=True):
                assert [way(message) for way in WAYS.values()] == answers
    finally:
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(read)
    assert wrong
    assert not any(wrong)


@pytest.mark.skipif(sys.platform == "emscripten", reason="no threads")
def test_threads_share_a_decoders_memory(esl: ModuleType) -> None:
    frames = [
        event([b"Event-Name: N%d" % n, *(b"name-%d: %d" % (at * n % 90, n + at) for at in range(40))])
        for n in range(40)
    ]
    wanted = expected(frames)
    decoder = esl.Decoder()
    decoder.feed(b"".join(frames) * 2)
    messages = list(decoder)
    wrong: list[Any] = []

    def read(seed: int) -> None:
        numbers = list(range(len(messages)))
        random.Random(seed).shuffle(numbers)
        for number in numbers * 2:
            answers = [way(messages[number]) for way in WAYS.values()]
            if answers != wanted[number % len(frames)]:
                wrong.append(number)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
