"""Bounds of a decoder (docs/protocol/rules.md, 5 and 6): at n-1, n and n+1, and what is told beyond them."""

from __future__ import annotations

from types import ModuleType

import pytest
from errors_support import raises
from support import OK, decode, decode_every_way, frame, pieces, receive, take

# Bounds at n-1, n, n+1


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n"])
def test_max_header_bytes(esl: ModuleType, end: bytes) -> None:
    bound = 100
    for size in (bound - 1, bound):
        block = b"A: " + b"x" * (size - 3 - len(end)) + end
        (message,) = decode_every_way(esl, block, max_header_bytes=bound)
        assert len(message.frame) == size
    block = b"A: " + b"x" * (bound + 1 - 3 - len(end)) + end
    for sizes in ((1,), (3,), (1000,)):
        messages = []
        with pytest.raises(esl.HeaderTooLarge) as caught:
            take(esl.Decoder(max_header_bytes=bound), pieces(block + OK, *sizes), messages)
        assert messages == []
        assert (caught.value.read, caught.value.limit) == (101, 100)


def test_max_header_bytes_is_not_crossed_before_the_byte_behind_it_comes(esl: ModuleType) -> None:
    decoder = esl.Decoder(max_header_bytes=10)
    decoder.feed(b"x" * 10)
    assert decoder.next_message() is None
    decoder.feed(b"x")
    with pytest.raises(esl.HeaderTooLarge):
        decoder.next_message()


def test_max_header_bytes_counts_neither_stray_line_ends_nor_the_body(esl: ModuleType) -> None:
    data = b"\r\n" * 500 + frame(b"A: 1", b"x" * 500) + b"\n" * 500 + OK
    assert len(decode(esl, data, max_header_bytes=len(OK))) == 2


def test_default_of_max_header_bytes(esl: ModuleType) -> None:
    bound = 1 << 20
    for size in (bound - 1, bound):
        (message,) = decode(esl, b"A: " + b"x" * (size - 5) + b"\n\n")
        assert len(message.raw) == size
    error = raises(
        lambda: decode(esl, b"A: " + b"x" * (bound + 1 - 5) + b"\n\n"),
        esl.HeaderTooLarge,
        "read 1048577 bytes of a header block without its end, expected no more than 1048576 (max_header_bytes)",
    )
    assert (error.read, error.limit) == (bound + 1, bound)


def test_max_body_bytes(esl: ModuleType) -> None:
    bound = 100
    for size in (0, bound - 1, bound):
        (message,) = decode_every_way(esl, frame(b"A: 1", b"x" * size), max_body_bytes=bound)
        assert message.body == b"x" * size
    error = raises(
        lambda: decode(esl, frame(b"A: 1", b"x" * (bound + 1)), max_body_bytes=bound),
        esl.BodyTooLarge,
        "read a Content-Length of 101 bytes, expected no more than 100 (max_body_bytes)",
    )
    assert (error.read, error.limit) == (101, 100)


def test_default_of_max_body_bytes(esl: ModuleType) -> None:
    bound = 64 << 20
    for size in (bound - 1, bound):
        decoder = esl.Decoder()
        decoder.feed(b"Content-Length: %d\n\n" % size)
        assert decoder.next_message() is None
    decoder = esl.Decoder()
    decoder.feed(b"Content-Length: %d\n\n" % (bound + 1))
    raises(
        decoder.next_message,
        esl.BodyTooLarge,
        "read a Content-Length of 67108865 bytes, expected no more than 67108864 (max_body_bytes)",
    )


def test_max_buffered(esl: ModuleType) -> None:
    bound = 100
    for size in (bound - 1, bound):
        decoder = esl.Decoder(max_buffered=bound)
        decoder.feed(b"x" * size)
        assert decoder.buffered == size
    decoder = esl.Decoder(max_buffered=bound)
    error = raises(
        lambda: decoder.feed(b"x" * (bound + 1)),
        esl.LimitExceeded,
        "read 101 bytes ahead of the reader, expected no more than 100 (max_buffered)",
    )
    assert (error.read, error.limit) == (101, 100)
    assert decoder.buffered == 0


def test_feed_beyond_max_buffered_stores_nothing_and_can_go_on(esl: ModuleType) -> None:
    decoder = esl.Decoder(max_buffered=len(OK) + 5)
    decoder.feed(OK + OK[:5])
    with pytest.raises(esl.LimitExceeded):
        decoder.feed(OK[5:])
    assert decoder.buffered == len(OK) + 5
    assert [message.frame for message in decoder] == [OK]
    decoder.feed(OK[5:])
    assert [message.frame for message in decoder] == [OK]
    decoder.feed_eof()


def test_bytes_taken_out_make_room_under_max_buffered(esl: ModuleType) -> None:
    decoder = esl.Decoder(max_buffered=len(OK) * 2)
    for _ in range(10):
        decoder.feed(OK * 2)
        with pytest.raises(esl.LimitExceeded):
            decoder.feed(b"x")
        assert decoder.next_message().frame == OK
        decoder.feed(OK)
        assert len(list(decoder)) == 2


def test_get_buffer_offers_no_more_than_max_buffered_leaves(esl: ModuleType) -> None:
    decoder = esl.Decoder(max_buffered=100)
    decoder.feed(b"x" * 70)
    for room in (30, 29, 28):
        assert len(decoder.get_buffer(1 << 20)) == room
        decoder.buffer_updated(1)
    receive(decoder, b"x" * 27)
    assert decoder.buffered == 100
    raises(
        decoder.get_buffer,
        esl.LimitExceeded,
        "read 101 bytes ahead of the reader, expected no more than 100 (max_buffered)",
    )


def test_buffer_offered_before_a_feed_may_be_too_much_by_then(esl: ModuleType) -> None:
    decoder = esl.Decoder(max_buffered=100)
    assert len(decoder.get_buffer(100)) == 100
    decoder.feed(b"x" * 60)
    error = raises(
        lambda: decoder.buffer_updated(41),
        esl.LimitExceeded,
        "read 101 bytes ahead of the reader, expected no more than 100 (max_buffered)",
    )
    assert (error.read, error.limit) == (101, 100)
    assert decoder.buffered == 60


def test_default_of_max_buffered_is_one_frame_of_the_largest_size_and_64_mib(esl: ModuleType) -> None:
    bound = 100 + 200 + (64 << 20)
    chunk = bytes(1 << 20)
    decoder = esl.FrameSplitter(max_header_bytes=100, max_body_bytes=200)
    for _ in range(64):
        decoder.feed(chunk)
    decoder.feed(bytes(300))
    error = raises(
        lambda: decoder.feed(b"x"),
        esl.LimitExceeded,
        f"read {bound + 1} bytes ahead of the reader, expected no more than {bound} (max_buffered)",
    )
    assert (error.read, error.limit) == (bound + 1, bound)


@pytest.mark.parametrize("name", ["max_header_bytes", "max_body_bytes", "max_buffered"])
def test_bounds_are_numbers_from_1_on(esl: ModuleType, name: str) -> None:
    for kind in (esl.Decoder, esl.FrameSplitter):
        for value in (0, -1, 10**18, 10**30):
            with pytest.raises(ValueError, match=f"^{name} is {value}, expected 1 to {10**18 - 1}$"):
                kind(**{name: value})
        kind(**{name: 1})
        if name != "max_buffered":
            kind(**{name: 10**18 - 1})
        for value in ("5", 1.5, b"1"):
            with pytest.raises(TypeError):
                kind(**{name: value})
