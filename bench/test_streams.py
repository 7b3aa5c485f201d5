"""Captured streams: what splitting and each way of reading costs, on each core."""

from __future__ import annotations

from collections.abc import Callable
from operator import methodcaller
from types import ModuleType
from typing import Any

import corpora
import pytest

Benchmark = Callable[..., Any]
EVENTS = 500
STREAMS = ("sip_plain", "sip_json", "sip_xml", "churn_plain", "churn_json", "churn_xml")
READINGS = {
    "name only": methodcaller("get", "Event-Name"),
    "5 headers": lambda event: [event.get(name) for name in corpora.FIVE],
    "5 headers, 2 absent": lambda event: [event.get(name) for name in corpora.FIVE + corpora.ABSENT],
    "select of 7": methodcaller("select", *corpora.FIVE, *corpora.LATE),
    "asdict": methodcaller("asdict"),
    "pairs": methodcaller("pairs"),
    "to_json": methodcaller("to_json"),
}


def passes(decoder: Any, chunks: list[bytes], use: Callable[[Any], object] = bool) -> int:
    count = 0
    for chunk in chunks:
        decoder.feed(chunk)
        for message in decoder:
            use(message)
            count += 1
    return count


@pytest.mark.parametrize("chunk", [16, 1460, 65536])
@pytest.mark.parametrize("stream", ["sip_plain", "churn_plain"])
def test_split(benchmark: Benchmark, esl: ModuleType, stream: str, chunk: int) -> None:
    chunks = corpora.load(f"{stream}@{chunk}", EVENTS).chunks
    assert benchmark(lambda: passes(esl.FrameSplitter(), chunks)) == EVENTS


@pytest.mark.parametrize("chunk", [16, 1460, 65536])
def test_chunks(benchmark: Benchmark, esl: ModuleType, chunk: int) -> None:
    chunks = corpora.load(f"sip_plain@{chunk}", EVENTS).chunks
    assert benchmark(lambda: passes(esl.Decoder(), chunks, READINGS["5 headers"])) == EVENTS


@pytest.mark.parametrize("every", [1, 2, 4, 15])
@pytest.mark.parametrize("stream", ["sip_plain", "churn_plain"])
def test_events_a_read(benchmark: Benchmark, esl: ModuleType, stream: str, every: int) -> None:
    chunks = corpora.load(f"{stream}#{every}", EVENTS).chunks
    assert benchmark(lambda: passes(esl.Decoder(), chunks, READINGS["5 headers"])) == EVENTS


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("stream", ["headers_500", "headers_1500"])
def test_many_headers(benchmark: Benchmark, esl: ModuleType, stream: str, reading: str) -> None:
    loaded = corpora.load(stream)
    use = READINGS[reading]
    assert benchmark(lambda: passes(esl.Decoder(), loaded.chunks, use)) == len(loaded.frames)


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("order", ["", "/shuffled"], ids=["recorded", "shuffled"])
@pytest.mark.parametrize("stream", STREAMS)
def test_read(benchmark: Benchmark, esl: ModuleType, stream: str, order: str, reading: str) -> None:
    loaded = corpora.load(stream + order, EVENTS)
    use = READINGS[reading]
    assert benchmark(lambda: passes(esl.Decoder(), loaded.chunks, use)) == len(loaded.frames)
