"""Nothing is kept that should be let go: memory, references, objects; for each public type and function, on both cores.

Each case of leaks.py does one thing again and again. In a process of its own, one for each core, it goes on for a
million messages or for as long as its time allows (a seventh of a second on the compiled core, less on the Python core,
and a fifth of that in `make test`: 500 to 500 000 messages); then resident memory, the blocks of Python's allocator and
the number of objects must be what they were. Blocks are exact: a leak at every other message is seen. In the test's own
process it is repeated some hundred times, and the reference counts of what it shares must be as before.

ESLCODEC_TEST_EXAMPLES=20 gives every case twenty times as long, and most of the compiled core their million messages.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from functools import cache
from types import ModuleType
from typing import Any

import leaks
import pytest
from leaks import CASES, LEAST, MESSAGES, OK, PLAIN, SHARED, STATUS, within_bounds
from sizes import FACTOR, FULL
from support import part

FOREIGN_MALLOC = os.environ.get("PYTHONMALLOC") == "malloc"  # sanitizers keep what is freed: memory says nothing then

pytestmark = pytest.mark.heavy


@cache
def grown(core: str) -> dict[str, dict[str, int]]:
    """What each case leaves behind."""
    done = subprocess.run(
        [sys.executable, leaks.__file__],
        capture_output=True,
        text=True,
        env={**os.environ, "ESLCODEC_IMPL": core},
        timeout=250 * FACTOR,
    )
    assert done.returncode == 0, done.stdout[-100:] + done.stderr
    return dict(map(json.loads, done.stdout.splitlines()))


@pytest.mark.timeout(300 * FACTOR)
@pytest.mark.skipif(not STATUS.exists(), reason="no /proc to read the memory from")
@pytest.mark.skipif(FOREIGN_MALLOC, reason="under a foreign malloc memory that is freed does not come back")
@pytest.mark.parametrize("name", CASES)
def test_memory_does_not_grow(esl: ModuleType, name: Any) -> None:
    growth = grown(esl.__impl__)[name]
    assert LEAST <= growth["messages"] < MESSAGES + 1000
    assert within_bounds(growth), growth


# References


def watched(esl: Any) -> list[Any]:
    """What everybody refers to."""
    public = [getattr(esl, name) for name in esl.__all__ if isinstance(getattr(esl, name), type)]
    core = part(esl, "_codec")
    return [*SHARED, *public, core.HeaderReader, core.MessageDecoder, part(esl, "ESL").ESLevent]


@pytest.fixture
def frozen() -> Iterator[Any]:
    """What is there already is not counted, nor searched for garbage."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def references(objects: list[Any]) -> list[int]:
    gc.collect()
    return [sys.getrefcount(one) for one in objects]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.usefixtures("frozen")
def test_references_are_given_back(esl: ModuleType, name: Any) -> None:
    objects = watched(esl)
    work, each = CASES[name](esl)
    rounds = max(10, (200 if FULL else 60) // each)
    few = rounds // 2  # what was leaked each time would be more
    for _ in range(3):
        work()
    for _ in range(4):  # what earlier tests left in the memory of names and shapes may go meanwhile
        before, objects_before = references(objects), len(gc.get_objects())
        for _ in range(rounds):
            work()
        after, objects_after = references(objects), len(gc.get_objects())
        changes = [late - early for early, late in zip(before, after, strict=True)]
        leaked = [(f"{one!r:.80}", by) for one, by in zip(objects, changes, strict=True) if abs(by) >= few]
        if not leaked and objects_after - objects_before < few:
            break
    assert leaked == []
    assert objects_after - objects_before < few


def test_none_is_not_leaked_by_the_buffer_that_is_given_out(esl: ModuleType) -> None:
    """`Window.__getbuffer__` of the compiled core took a reference each time (immortal from Python 3.12 on)."""
    decoder = esl.Decoder()
    before = sys.getrefcount(None)
    for _ in range(10_000):
        decoder.get_buffer().release()
        decoder.buffer_updated(0)
    assert abs(sys.getrefcount(None) - before) < 1000


def test_what_owns_a_buffer_is_let_go_with_it(esl: ModuleType) -> None:
    lone = object()
    decoder = esl.Decoder()
    view = decoder.get_buffer()
    owner = view.obj
    assert sys.getrefcount(owner) > sys.getrefcount(lone)
    view.release()
    decoder.buffer_updated(0)
    assert sys.getrefcount(owner) == sys.getrefcount(lone)


def test_what_owns_a_buffer_does_not_open_it_again_when_its_memory_is_gone(esl: ModuleType) -> None:
    decoder = esl.Decoder()
    decoder.feed(b"x" * (2 << 20))
    view = decoder.get_buffer()
    owner = view.obj
    view.release()
    assert len(memoryview(owner)) >= 64 << 10  # it is still there
    decoder.buffer_updated(0)
    decoder.feed(bytearray(20 << 20))  # which moves everything
    if esl.__impl__ == "python" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        assert len(memoryview(owner)) >= 64 << 10  # memory that it keeps
        return
    with pytest.raises(BufferError, match=r"^what get_buffer\(\) gave out was released, and its memory is gone$"):
        memoryview(owner)


def test_the_buffer_that_is_given_out_is_plain_bytes_to_write(esl: ModuleType) -> None:
    view = esl.Decoder().get_buffer(70_000)
    assert (view.format, view.itemsize, view.ndim, view.shape, view.strides) == ("B", 1, 1, (70_000,), (1,))
    assert (view.readonly, view.contiguous, view.nbytes, view.suboffsets) == (False, True, 70_000, ())
    view[-3:] = b"xyz"
    assert bytes(memoryview(view)[-3:]) == bytes(view.cast("c")[-3:]) == b"xyz"


def test_a_message_holds_its_own_bytes_and_no_others(esl: ModuleType) -> None:
    data = bytes(bytearray(PLAIN + OK))  # nobody else has these
    lone = bytes(bytearray(PLAIN))
    decoder = esl.Decoder()
    decoder.feed(data)
    messages = list(decoder)
    assert [len(message.frame) for message in messages] == [len(PLAIN), len(OK)]
    assert sys.getrefcount(data) == sys.getrefcount(lone)


@pytest.mark.usefixtures("frozen")
def test_cycles_through_decoders_are_collected(esl: ModuleType) -> None:
    class Decoder(esl.Decoder):  # type: ignore[misc, name-defined]
        pass

    for _ in range(100):
        decoder = Decoder()
        decoder.itself = decoder
        decoder.feed(PLAIN)
        decoder.messages = iter(decoder)
        decoder.room = decoder.get_buffer()
    assert sum(type(one) is Decoder for one in gc.get_objects()) > 0
    del decoder
    gc.collect()
    assert sum(type(one) is Decoder for one in gc.get_objects()) == 0
