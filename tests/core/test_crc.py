"""`crc32` is zlib's, on both cores, whatever the size and wherever the bytes stand."""

from __future__ import annotations

import random
import zlib
from types import ModuleType
from typing import Any

import pytest
from support import part


@pytest.fixture
def crc32(esl: ModuleType) -> Any:
    return part(esl, "_codec").crc32


def test_it_is_the_one_of_zlib(crc32: Any) -> None:
    luck = random.Random(32)
    data = luck.randbytes(70_000)
    for size in [*range(300), 4095, 4096, 4097, 65_535, 65_536, 65_537]:
        at, value = luck.randrange(64), luck.getrandbits(32)
        with memoryview(data)[at : at + size] as piece:
            assert crc32(piece, value) == zlib.crc32(piece, value), size
            assert crc32(bytes(piece)) == zlib.crc32(piece)
            assert crc32(bytearray(piece), 0) == zlib.crc32(piece)


def test_pieces_add_up(crc32: Any) -> None:
    data = bytes(range(256)) * 40
    for step in (1, 15, 16, 63, 64, 65, 1000):
        value = 0
        for at in range(0, len(data), step):
            value = crc32(data[at : at + step], value)
        assert value == zlib.crc32(data)


@pytest.mark.parametrize("byte", [0x00, 0xFF])
def test_bytes_that_are_all_the_same(crc32: Any, byte: int) -> None:
    for size in (64, 128, 1 << 20):
        data = bytes([byte]) * size
        for value in (0, 1, 0xFFFFFFFF, 0x80000000):
            assert crc32(data, value) == zlib.crc32(data, value)


@pytest.mark.parametrize("size", [10, 1000])
def test_what_it_does_not_take(crc32: Any, size: int) -> None:
    for data in ("x" * size, size, None):
        with pytest.raises(TypeError):
            crc32(data)
    with pytest.raises(BufferError):
        crc32(memoryview(bytes(2 * size))[::2])
