"""Columns and lines of JSON of captured streams, on each core."""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable
from types import ModuleType
from typing import Any

import corpora
import pytest

Benchmark = Callable[..., Any]
EVENTS = 500
STREAMS = ("sip_plain", "sip_json", "sip_xml", "churn_plain", "churn_json")
EIGHT = {
    **dict.fromkeys(("Event-Name", "Core-UUID", "Unique-ID", "Channel-Name", "Hangup-Cause"), "string"),
    **{"Event-Date-Timestamp": "timestamp", "Event-Sequence": "int64", "Caller-Destination-Number": "string"},
}
MORE = ("Channel-State", "Channel-Call-State", "Answer-State", "Call-Direction", "Caller-Caller-ID-Number")
MORE += ("Caller-Caller-ID-Name", "Channel-Read-Codec-Name", "variable_sip_call_id", "variable_sip_from_user")
MORE += ("variable_sip_to_user", "variable_duration", "variable_billsec")
SPECS = {"8": EIGHT, "20": {**EIGHT, **dict.fromkeys(MORE, "string")}, "line": {"@json": "json"}}


def part(esl: ModuleType, name: str) -> Any:
    return importlib.import_module(f"{esl.__name__}.ingest.{name}")


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("stream", STREAMS)
def test_columns(benchmark: Benchmark, esl: ModuleType, stream: str, spec: str) -> None:
    loaded = corpora.load(stream, EVENTS)
    make = part(esl, "columns").Columns

    def rows() -> int:
        columns = make(SPECS[spec])
        for chunk in loaded.chunks:
            columns.feed(chunk)
        count: int = columns.flush().num_rows
        return count

    assert benchmark(rows) == len(loaded.frames)


@pytest.mark.parametrize("stream", STREAMS)
def test_ndjson(benchmark: Benchmark, esl: ModuleType, stream: str) -> None:
    loaded = corpora.load(stream, EVENTS)
    ndjson = part(esl, "_ndjson").ndjson
    assert benchmark(lambda: ndjson(loaded.chunks, io.BytesIO())) == len(loaded.frames)
