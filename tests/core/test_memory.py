"""Memory: what can be copied and pickled, what is kept, and what is left behind an allocation that fails."""

from __future__ import annotations

import copy
import importlib
import pickle
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support import OK, frame, plain

TESTS = Path(__file__).parents[1]
EVENT = plain(b"Event-Name: CUSTOM\nA: 1%202\n\nbody")


# Copies and pickles


def instances(esl: Any) -> Iterator[Any]:
    """One of everything that a program can get hold of."""
    decoder = esl.Decoder()
    decoder.feed(EVENT + OK)
    yield from decoder
    yield from (decoder, iter(decoder), esl.FrameSplitter())
    yield decoder.get_buffer().obj


def ways() -> list[Any]:
    """Each way to make a copy."""
    protocols = range(pickle.HIGHEST_PROTOCOL + 1)
    pickled = [lambda it, p=p: pickle.loads(pickle.dumps(it, p)) for p in protocols]
    reduced = [lambda it, p=p: pickle.loads(pickle.dumps(rebuilt(it.__reduce_ex__(p)))) for p in protocols]
    return [copy.copy, copy.deepcopy, lambda it: rebuilt(it.__reduce__()), *pickled, *reduced]


def rebuilt(reduced: tuple[Any, ...]) -> Any:
    made, args, *state = reduced
    again = made(*args)
    if state:
        again.__setstate__(state[0])
    return again


def check_copies(instance: Any) -> None:
    """Every copy is equal, or there is none."""
    for way in ways():
        try:
            again = way(instance)
        except TypeError as error:
            assert f"cannot pickle {type(instance).__name__!r}" in str(error)  # noqa: PT017 - a copy is as good
        else:
            assert type(again) is type(instance)
            assert again == instance or again.__reduce__()[1:] == instance.__reduce__()[1:]


def test_extension_types_are_copied_whole_or_not_at_all(esl: ModuleType) -> None:
    if esl.__impl__ != "c":
        pytest.skip("the types of the compiled core")
    from eslcodec import _codec_c

    types = [
        kind for kind in vars(_codec_c).values() if isinstance(kind, type) and kind.__module__ == _codec_c.__name__
    ]
    assert len(types) > 8
    for kind in types:
        assert not hasattr(kind, "__reduce_cython__"), kind
        assert not hasattr(kind, "__setstate_cython__"), kind
        check_copies(kind(b"A: 1\n\n") if kind is _codec_c.Message else kind.__new__(kind))


def test_instances_are_copied_whole_or_not_at_all(esl: ModuleType) -> None:
    for instance in instances(esl):
        if not isinstance(instance, bytearray):  # the Python core's window is one
            check_copies(instance)


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, pickle.dumps, lambda it: it.__reduce__()])
def test_a_decoder_has_no_copy(esl: ModuleType, way: Any) -> None:
    for instance, name in ((esl.Decoder(), "Decoder"), (esl.FrameSplitter(), "FrameSplitter")):
        with pytest.raises(TypeError, match=f"cannot pickle '{name}' object"):
            way(instance)


def test_messages_are_copied(esl: ModuleType) -> None:
    decoder = esl.Decoder()
    decoder.feed(EVENT + OK)
    for message in list(decoder):
        assert all(way(message) == message for way in ways())


def test_events_of_the_official_module_are_copied(esl: ModuleType) -> None:
    module = importlib.import_module(f"{esl.__name__}.ESL")
    event = module.ESLevent("CUSTOM", "a::b")
    event.addHeader("Peer", "a b")
    event.addBody("hello")
    event.firstHeader()
    for way in (copy.copy, copy.deepcopy, *(lambda it, p=p: pickle.loads(pickle.dumps(it, p)) for p in range(2, 6))):
        again = way(event)
        assert again.serialize() == event.serialize()
        assert again.nextHeader() == "Event-Subclass"
    with pytest.raises((TypeError, ValueError)):
        event.__setstate__(())


# What a decoder keeps


@pytest.fixture
def kept() -> Iterator[Any]:
    """Says how many bytes Python's allocators have handed out since the test began."""
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()


def test_a_decoder_keeps_no_bodies(esl: ModuleType, kept: Any) -> None:
    """It remembers events by the names in them: here 20 with other names each, and a body of 4 MB."""
    decoder = esl.Decoder()
    body = bytes(4_000_000)
    for number in range(20):
        decoder.feed(plain(b"Event-Name: CUSTOM\nName-%d: 1\n\n" % number + body))
        event = decoder.next_message()
        assert event.asdict() == {"Event-Name": "CUSTOM", f"Name-{number}": "1"}
        assert len(event.to_json()) > len(body)
    del event, body
    decoder.feed(OK)
    assert decoder.next_message()["Reply-Text"] == "+OK"
    assert kept() < 2_000_000


@pytest.mark.parametrize("framing", ["Decoder", "FrameSplitter"])
def test_of_a_large_frame_the_end_is_kept(esl: ModuleType, kept: Any, framing: str) -> None:
    decoder = getattr(esl, framing)()
    notice = b"Content-Type: text/disconnect-notice\nContent-Length: 21\n\nDisconnected, goodb"
    decoder.feed(frame(b"Content-Type: api/response", bytes(4_000_000) + notice) + b"ye\n")
    assert len(list(decoder)) == 1
    decoder.feed(b"")
    assert kept() < 2_000_000
    with pytest.raises(esl.IncompleteFrame) as caught:
        decoder.feed_eof()
    assert caught.value.reason == "Disconnected, goodbye"


# When there is none


@pytest.mark.heavy
@pytest.mark.parametrize("script", ["nomemory.py", "nomemory_columns.py"])
def test_an_allocation_that_fails_costs_one_call(esl: ModuleType, script: str) -> None:
    """The compiled core only: of the Python core every number and every call is an allocation, and CPython makes other
    errors of one that fails, such as RuntimeError of a lock."""
    if esl.__impl__ != "c":
        pytest.skip("the compiled core's allocations")
    pytest.importorskip("_testcapi", reason="this Python has no way to make an allocation fail")
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", str(TESTS / script)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout[-100:] + done.stderr
    assert done.stdout.endswith("done\n")
    assert done.stderr == ""
