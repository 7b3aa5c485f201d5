"""What may be fed to a decoder, and the memory that it offers to be read into."""

from __future__ import annotations

import array
import importlib
import mmap
from types import ModuleType
from typing import Any

import pytest
from support import AUTH, OK, frame


def test_decoder_and_splitter_can_be_subclassed(esl: ModuleType) -> None:
    class Counting(esl.Decoder):
        count = 0

        def next_message(self) -> Any:
            message = super().next_message()
            self.count += message is not None
            return message

    decoder = Counting(max_header_bytes=1000)
    decoder.feed(OK + AUTH)
    while decoder.next_message() is not None:
        pass
    assert decoder.count == 2


# Feeding


def as_mmap(data: Any) -> Any:
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
def test_any_contiguous_bytes_like_object_can_be_fed(esl: ModuleType, kind: Any) -> None:
    data = OK + b"\n" * (len(OK) % 2)
    decoder = esl.Decoder()
    decoder.feed(kind(data))
    assert decoder.buffered == len(data)
    assert [message.frame for message in decoder] == [OK]


def test_items_wider_than_a_byte_are_fed_as_their_bytes(esl: ModuleType) -> None:
    data = AUTH + b"\n" * (-len(AUTH) % 4)
    decoder = esl.Decoder()
    decoder.feed(array.array("I", data))
    assert decoder.buffered == len(data)
    assert [message.frame for message in decoder] == [AUTH]


@pytest.mark.parametrize("wrong", ["text", None, 5, [1, 2], object(), 1.5])
def test_what_is_not_bytes_like_is_refused(esl: ModuleType, wrong: Any) -> None:
    for decoder in (esl.Decoder(), esl.FrameSplitter()):
        with pytest.raises(TypeError):
            decoder.feed(wrong)
        assert decoder.buffered == 0


def test_what_is_not_contiguous_is_refused(esl: ModuleType) -> None:
    decoder = esl.Decoder()
    for view in (memoryview(OK)[::2], memoryview(OK)[::-1]):
        with pytest.raises(BufferError):
            decoder.feed(view)
    assert decoder.buffered == 0
    decoder.feed(OK)
    assert len(list(decoder)) == 1


def test_fed_memory_is_released(esl: ModuleType) -> None:
    data = bytearray(OK)
    esl.Decoder().feed(data)
    data += b"still resizable"


@pytest.mark.parametrize("hint", [None, -1, 0, 1, 100, 1 << 16, 1 << 20, 1 << 40])
def test_get_buffer_offers_writable_memory_whatever_is_asked_for(esl: ModuleType, hint: Any) -> None:
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


def test_buffer_updated_without_get_buffer_is_refused(esl: ModuleType) -> None:
    decoder = esl.Decoder()
    with pytest.raises(ValueError, match=r"^buffer_updated\(\) without get_buffer\(\)$"):
        decoder.buffer_updated(0)
    decoder.get_buffer(10)
    decoder.buffer_updated(0)
    with pytest.raises(ValueError, match=r"^buffer_updated\(\) without get_buffer\(\)$"):
        decoder.buffer_updated(0)


def test_buffer_updated_takes_no_more_than_was_offered(esl: ModuleType) -> None:
    decoder = esl.Decoder()
    for wrong in (-1, len(decoder.get_buffer(10)) + 1, 10**30, -(10**30)):
        size = len(decoder.get_buffer(10))
        with pytest.raises(ValueError, match=rf"^buffer_updated\({wrong}\), expected 0 to {size}$"):
            decoder.buffer_updated(wrong)
        assert decoder.buffered == 0


def test_last_offer_counts(esl: ModuleType) -> None:
    decoder = esl.Decoder()
    decoder.get_buffer(10)[:3] = b"xyz"
    view = decoder.get_buffer(10)
    view[: len(OK)] = OK
    decoder.buffer_updated(len(OK))
    assert [message.frame for message in decoder] == [OK]


def test_offered_memory_outlives_growth_and_the_decoder(esl: ModuleType) -> None:
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


def test_decoder_takes_its_bounds_as_keywords_only(esl: ModuleType) -> None:
    for kind in (esl.Decoder, esl.FrameSplitter):
        kind(max_header_bytes=1, max_body_bytes=1, max_buffered=1)
        with pytest.raises(TypeError):
            kind(1)
        with pytest.raises(TypeError):
            kind(max_frames=1)


def test_state_of_a_decoder_cannot_be_set(esl: ModuleType) -> None:
    decoder = esl.Decoder()
    for name in ("buffered", "consumed"):
        with pytest.raises(AttributeError):
            setattr(decoder, name, 0)


@pytest.mark.parametrize(("data", "kind"), [("text", "str"), (3, "int"), (None, "NoneType"), ([b"a"], "list")])
def test_feed_says_that_it_takes_bytes(esl: ModuleType, data: Any, kind: str) -> None:
    for decoder in (esl.FrameSplitter(), esl.Decoder()):
        with pytest.raises(TypeError, match=rf"^feed\(\) takes bytes, not {kind}$"):
            decoder.feed(data)
        assert decoder.buffered == 0


def test_decoder_core_takes_subclasses_of_message_alone(both: tuple[ModuleType, ModuleType]) -> None:
    for package in both:
        core = importlib.import_module(f"{package.__name__}._codec")
        for kinds, default in (({b"a": int}, core.Message), ({}, str)):
            with pytest.raises(TypeError, match=r"^<class '(int|str)'> is no subclass of Message$"):
                core.MessageDecoder(kinds, default)
