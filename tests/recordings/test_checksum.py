"""The checksum of recordings is zlib's, for every length, beginning and value."""

from __future__ import annotations

import random
import zlib
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import examples, part


def test_every_length_and_alignment(esl: ModuleType) -> None:
    crc32 = part(esl, "_codec").crc32
    data = random.Random(1).randbytes(1200)
    view = memoryview(data)
    for size in [*range(400), 511, 512, 513, 1000, 1023, 1100]:
        for begin in (0, 1, 7, 8, 15, 16, 33):
            piece = view[begin : begin + size]
            assert crc32(piece) == zlib.crc32(piece), (begin, size)
            assert crc32(piece, 0x89ABCDEF) == zlib.crc32(piece, 0x89ABCDEF), (begin, size)


@examples(200)
@given(st.binary(max_size=300), st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_whatever_comes(both: tuple[ModuleType, ModuleType], data: bytes, value: int, times: int) -> None:
    for core in both:
        crc32 = part(core, "_codec").crc32
        assert crc32(data * times, value) == zlib.crc32(data * times, value)
        assert crc32(bytes(len(data)) * times, value) == zlib.crc32(bytes(len(data)) * times, value)


def test_a_large_piece(esl: ModuleType) -> None:
    data = random.Random(2).randbytes((1 << 20) + 5)
    assert part(esl, "_codec").crc32(data) == zlib.crc32(data)
    assert part(esl, "_codec").crc32(bytearray(data), 7) == zlib.crc32(data, 7)


def test_what_is_no_contiguous_bytes_is_refused(esl: ModuleType) -> None:
    crc32 = part(esl, "_codec").crc32
    with pytest.raises(TypeError):
        crc32("text")
    with pytest.raises(BufferError):
        crc32(memoryview(b"abcd")[::2])
