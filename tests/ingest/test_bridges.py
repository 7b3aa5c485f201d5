"""A bridge for each switch of a folder."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from nats_support import BINARIES, cluster, make_stream, needs_server, patient, stored, until
from recordings_support import BEGIN, Tape
from support import plain

from eslcodec.ingest import Host, notices
from eslcodec.ingest._bridges import Bridges
from eslcodec.ingest.bridge import check_partitions

CORE = "8f08a03a"
NAMES = ("20261130T014838Z-000001.esl.zst", "20261130T024838Z-000001.esl.zst")


def record(folder: Path, name: str, numbers: range) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tape = Tape()
    tape.note(**notices.to_note(notices.Started("x", 1796000000.0, "127.0.0.1", 8021, core_uuid=CORE)))
    for number in numbers:
        tape.chunk(plain(b"Event-Name: DTMF\nCore-UUID: 8f08a03a\nEvent-Sequence: %d\n\n" % number))
    (folder / name).write_bytes(tape.bytes())


def ids(numbers: range) -> list[str]:
    return [f"{CORE}:{number}" for number in numbers]


async def events_in(server: Any, stream: str) -> list[str]:
    return [id for id, _ in await stored(server, stream) if not id.startswith("n:")]


@pytest.mark.heavy
@needs_server
def test_each_switch_has_a_stream_and_files_go_when_acknowledged_and_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient(monkeypatch)
    monkeypatch.setattr("eslcodec.ingest._bridges._DELETE_SECONDS", 3600.0)  # else it may be deleted when we look
    spill = tmp_path / "spill"
    for name, begin in zip(NAMES, (0, 10), strict=True):
        record(spill / "10.0.0.1_8021", name, range(begin, begin + 10))
        os.utime(spill / "10.0.0.1_8021" / name, (1e9, 1e9))
    (spill / "not a peer").mkdir()

    async def test(server: Any) -> None:
        hosts = [Host("fs1", "10.0.0.1"), Host("fs2", "10.0.0.2")]
        bridges = Bridges(spill, [server.url], hosts=hosts, create=1, keep=3600.0)
        task = asyncio.create_task(bridges.run())
        await asyncio.sleep(0)
        record(spill / "10.0.0.2_8021", NAMES[0], range(5))
        record(spill / "10.0.0.3_8021", NAMES[0], range(5))  # not asked for

        async def is_there() -> bool:
            found = {name: bridge.stats().publisher.acknowledged for name, bridge in bridges.bridges.items()}
            return found == {"fs1": 22, "fs2": 6}

        await until(is_there)
        samples = {(one.name, one.switch): one.value for one in bridges.samples()}
        assert samples["eslcodec_published_total", "fs2"] == 6
        assert samples["eslcodec_spill_oldest_seconds", "fs2"] == 0.0
        assert samples["eslcodec_duplicates_total", "fs2"] == samples["eslcodec_oversize_total", "fs2"] == 0
        assert samples["eslcodec_publish_seconds", "fs2"].cumulated()[-1] == ("+Inf", 6)
        bridges.keep_running()
        task.cancel()
        await asyncio.wait({task})
        assert await bridges.finish(20.0)
        assert await events_in(server, "ESL-fs1") == ids(range(20))
        assert await events_in(server, "ESL-fs2") == ids(range(5))
        assert bridges.delete() == 1
        left = sorted(path.name for path in spill.glob("*/*.zst"))
        assert left == [NAMES[0], NAMES[0], NAMES[1]]
        assert not (spill / "10.0.0.1_8021" / NAMES[0]).exists()

    with cluster(BINARIES[-1], tmp_path) as (server,):
        asyncio.run(asyncio.wait_for(test(server), 90))


@pytest.mark.heavy
@needs_server
def test_a_stream_that_cannot_work_stops_one_switch_alone(tmp_path: Path) -> None:
    spill = tmp_path / "spill"
    record(spill / "10.0.0.1_8021", NAMES[0], range(5))
    record(spill / "10.0.0.2_8021", NAMES[0], range(5))

    async def test(server: Any) -> None:
        await make_stream(server, "ESL-10%2E0%2E0%2E1", "esl.v1.10%2E0%2E0%2E1.>", retention="workqueue")
        bridges = Bridges(spill, [server.url], create=1)
        task = asyncio.create_task(bridges.run())

        async def is_there() -> bool:
            other = bridges.bridges.get("10.0.0.2")
            return other is not None and other.stats().publisher.acknowledged == 6 and bool(bridges.failures)

        await until(is_there)
        assert list(bridges.failures) == ["10.0.0.1"]
        assert not bridges.is_over
        task.cancel()
        await asyncio.wait({task})
        assert await events_in(server, "ESL-10%2E0%2E0%2E2") == ids(range(5))

    with cluster(BINARIES[-1], tmp_path) as (server,):
        asyncio.run(asyncio.wait_for(test(server), 90))


def test_nothing_is_deleted_and_it_ends_when_the_broker_is_away(tmp_path: Path) -> None:
    record(tmp_path / "10.0.0.1_8021", NAMES[0], range(5))
    os.utime(tmp_path / "10.0.0.1_8021" / NAMES[0], (1e9, 1e9))

    async def test() -> None:
        bridges = Bridges(tmp_path, ["nats://127.0.0.1:1"], create=1, keep=0.1)
        task = asyncio.create_task(bridges.run())

        async def is_troubled() -> bool:
            return "connection" in bridges.summary()

        await until(is_troubled)

        async def is_measured() -> bool:
            samples = {one.name: one.value for one in bridges.samples()}
            age: float = samples["eslcodec_spill_oldest_seconds"]
            return age == pytest.approx(time.time() - BEGIN, abs=60)

        await until(is_measured)
        bridges.keep_running()
        task.cancel()
        await asyncio.wait({task})
        assert bridges.delete() == 0
        assert not await bridges.finish(0.1)

    asyncio.run(asyncio.wait_for(test(), 60))


def test_a_library_that_is_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(tmp_path / "10.0.0.1_8021", NAMES[0], range(5))
    monkeypatch.setitem(sys.modules, "nats", None)

    async def test() -> None:
        with pytest.raises(ImportError, match=r"pip install 'eslcodec\[nats\]'"):
            await Bridges(tmp_path, ["nats://127.0.0.1:1"]).run()

    asyncio.run(asyncio.wait_for(test(), 60))


def test_the_number_of_partitions_is_never_changed() -> None:
    assert check_partitions({"name": "A", "metadata": {"esl-partitions": "16"}}, 16) == []
    assert "never change 16" in check_partitions({"name": "A", "metadata": None}, 16)[0]
    with pytest.raises(ValueError, match="has 8 partitions, not 16"):
        check_partitions({"name": "A", "metadata": {"esl-partitions": "8"}}, 16)
