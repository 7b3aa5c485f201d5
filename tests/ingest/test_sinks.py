"""A bridge to another log than NATS JetStream: what it asks of a sink."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from bridge_support import ListSink
from recordings_support import Tape
from support import plain

from eslcodec.ingest._spill import kept
from eslcodec.ingest.bridge import Bridge
from eslcodec.ingest.contract import Contract
from eslcodec.ingest.publisher import Publisher, PublisherStats
from eslcodec.ingest.sinks import Sink

NAME = "20261130T014838Z-000001.esl.zst"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tape = Tape()
    text = b"Event-Name: DTMF\nCore-UUID: 8f08a03a\nEvent-Sequence: %d\n\n"
    tape.chunk(b"".join(plain(text % number) for number in range(10)))
    (tmp_path / NAME).write_bytes(tape.bytes(closed=False))
    return tmp_path


def publish(folder: Path, most: int, **settings: Any) -> tuple[Bridge, list[str], bool]:
    kind = type("Sink", (ListSink,), {"log": [], "most": most})
    bridge = Bridge(folder, "", "LIST", Contract("fs1", "8f08a03a"), begin="all", sink=kind, **settings)
    bridge.finish()
    is_done = asyncio.run(asyncio.wait_for(bridge.run(), 60))
    return bridge, [item.id for item in kind.log], is_done  # type: ignore[attr-defined]


def ids(*numbers: int) -> list[str]:
    return [f"8f08a03a:{number}" for number in numbers]


def test_a_sink_gets_all_in_order_and_goes_on_behind_what_it_acknowledged(folder: Path) -> None:
    assert publish(folder, 7)[1:] == (ids(*range(10)), False)
    state = kept(folder, "LIST")
    assert state is not None
    assert state.id == "8f08a03a:6"
    bridge, found, is_done = publish(folder, 1000)
    assert (found, is_done) == (ids(7, 8, 9), True)
    assert bridge.stats().publisher == PublisherStats(acknowledged=3)


def test_a_sink_is_made_as_a_publisher_is(folder: Path) -> None:
    bridge, _, _ = publish(folder, 1000, window=7, chained=False, options={"a": 1})
    sink: Any = bridge._publisher
    assert sink.settings == {"window": 7, "chained": False, "options": {"a": 1}}


def test_what_a_sink_says_of_its_log_is_heeded(folder: Path) -> None:
    bridge, _, _ = publish(folder, 1000)
    assert bridge.stats().warnings == ("a list is in memory",)
    assert bridge.contract.max_bytes == 1 << 20
    bridge.contract.subjects.partitions = 4
    with pytest.raises(ValueError, match="a list has 16 partitions"):
        asyncio.run(bridge.run())


def test_the_publisher_is_a_sink_by_its_names() -> None:
    names = [name for name in (*vars(Sink), *Sink.__annotations__) if not name.startswith("_")]
    publisher = Publisher("nats://127.0.0.1:4222", "FS1")
    assert sorted(names) == ["flush", "last_id", "place", "publish", "stats", "stream", "stream_end"]
    assert [name for name in names if not hasattr(publisher, name)] == []
