"""Streams at the edge of what is ordinary, on each core."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter, methodcaller
from types import ModuleType
from typing import Any

import corpora
import pytest
from test_streams import Benchmark, passes

CASES: dict[str, tuple[str, Callable[[Any], object]]] = {
    "4 MB body": ("body_4M@1460", attrgetter("body")),
    "3 000 headers to dict": ("names_3000", methodcaller("asdict")),
    "200 items to dict": ("array_200", methodcaller("asdict")),
    "200 items to list": ("array_200", methodcaller("getlist", corpora.ITEMS)),
    "20 000 replies": ("replies", methodcaller("get", "Reply-Text")),
}


@pytest.mark.parametrize("case", CASES)
def test_stress(benchmark: Benchmark, esl: ModuleType, case: str) -> None:
    name, use = CASES[case]
    stream = corpora.load(name)
    assert benchmark(lambda: passes(esl.Decoder(), stream.chunks, use)) == len(stream.frames)
