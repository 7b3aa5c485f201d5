"""The publisher against real servers: a cluster of three whose leader is killed or frozen in mid-window."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from nats_support import (
    BINARIES,
    BINARY_IDS,
    Server,
    client,
    cluster,
    leader_of,
    make_stream,
    needs_server,
    once,
    stored,
)

from eslcodec.ingest.contract import Item
from eslcodec.ingest.publisher import Publisher

pytestmark = [needs_server, once, pytest.mark.heavy]
MESSAGES = 6000
WINDOW = 512


def item(number: int) -> Item:
    id = f"core:{number}"
    return Item(f"esl.v1.fs1.{number % 4}.HEARTBEAT", {"Nats-Msg-Id": id}, b'{"_id":"%b"}' % id.encode(), id)


async def publish(publisher: Publisher, numbers: range) -> None:
    for number in numbers:
        await publisher.publish(item(number))


async def begun(publisher: Publisher) -> int:
    """Publish until some are acknowledged and others are on their way: how many those are together.

    Who looks now and then may see none on their way: a fast cluster may have all of them between two looks.
    """
    for number in range(MESSAGES // 2):
        await publisher.publish(item(number))
        stats = publisher.stats()
        if stats.acknowledged >= 1000 and stats.waiting > WINDOW // 2:
            return number + 1
    pytest.fail(f"never as many on their way: {publisher.stats()}")


async def check(server: Server, stream: str, count: int) -> None:
    """Each message once, in order."""
    assert [id for id, _ in await stored(server, stream)] == [f"core:{number}" for number in range(count)]


@pytest.mark.parametrize("how", ["kill", "freeze"])
@pytest.mark.parametrize("binary", BINARIES, ids=BINARY_IDS)
def test_the_leader_goes_in_mid_window_and_nothing_is_lost_or_turned_round(
    binary: str, how: str, tmp_path: Path
) -> None:
    async def run(servers: list[Server]) -> None:
        await make_stream(servers[0], "FS1", "esl.v1.fs1.>", num_replicas=3, storage="file")
        leader = await leader_of(servers[0], "FS1")
        (lead,) = (server for server in servers if server.name == leader)
        others = [server for server in servers if server is not lead]
        async with Publisher(others[0].url, "FS1", window=WINDOW, timeout=2.0) as publisher:
            count = await begun(publisher)
            task = asyncio.create_task(publish(publisher, range(count, MESSAGES)))
            lead.kill() if how == "kill" else lead.freeze()
            await leader_of(others[0], "FS1", not_=leader)
            await task
            assert await publisher.flush(60.0), publisher.stats()
            stats = publisher.stats()
        assert (stats.acknowledged, stats.out_of_order, stats.disagreements) == (MESSAGES, 0, 0)
        assert sum(stats.stops.values()) > 0, stats
        lead.thaw()
        await check(others[0], "FS1", MESSAGES)

    with cluster(binary, tmp_path, 3) as servers:
        try:
            asyncio.run(run(servers))
        except BaseException:
            print("\n".join(server.log()[-1500:] for server in servers))
            raise


@pytest.mark.parametrize("how", ["purge", "recreate"])
@pytest.mark.parametrize("binary", BINARIES, ids=BINARY_IDS)
def test_a_refusal_in_a_cluster_is_got_over(binary: str, how: str, tmp_path: Path) -> None:
    """nats-server 2.15.1 answers nothing more after it has refused an identity in a stream with replicas."""

    async def run(servers: list[Server]) -> None:
        await make_stream(servers[0], "FS1", "esl.v1.fs1.>", num_replicas=3, storage="file")
        async with Publisher([server.url for server in servers], "FS1", timeout=2.0) as publisher:
            await publish(publisher, range(100))
            assert await publisher.flush(60.0), publisher.stats()
            connection = await client(servers[1])
            if how == "purge":
                await connection.jetstream(timeout=30).purge_stream("FS1")
            else:
                await connection.jetstream(timeout=30).delete_stream("FS1")
                await make_stream(servers[1], "FS1", "esl.v1.fs1.>", num_replicas=3, storage="file")
            await connection.close()
            await publish(publisher, range(100, 1000))
            assert await publisher.flush(60.0), publisher.stats()
        assert [id for id, _ in await stored(servers[0], "FS1")] == [f"core:{number}" for number in range(100, 1000)]

    with cluster(binary, tmp_path, 3) as servers:
        asyncio.run(run(servers))


@pytest.mark.parametrize("how", ["kill", "freeze"])
@pytest.mark.parametrize("binary", BINARIES, ids=BINARY_IDS)
def test_the_whole_cluster_goes_and_nothing_is_lost_or_turned_round(binary: str, how: str, tmp_path: Path) -> None:
    """For longer than the window for duplicates."""

    async def run(servers: list[Server]) -> None:
        config = {"num_replicas": 3, "storage": "file", "duplicate_window": 0.2}
        await make_stream(servers[0], "FS1", "esl.v1.fs1.>", **config)
        async with Publisher([server.url for server in servers], "FS1", window=WINDOW, timeout=2.0) as publisher:
            count = await begun(publisher)
            task = asyncio.create_task(publish(publisher, range(count, MESSAGES)))
            for server in servers:
                server.kill() if how == "kill" else server.freeze()
            await asyncio.sleep(0.5)  # no waiting for anything: it is the outage
            for server in servers:
                server.start() if how == "kill" else server.thaw()
            await task
            assert await publisher.flush(60.0), publisher.stats()
            stats = publisher.stats()
        assert (stats.acknowledged, stats.out_of_order, stats.disagreements) == (MESSAGES, 0, 0)
        await check(servers[0], "FS1", MESSAGES)

    with cluster(binary, tmp_path, 3) as servers:
        asyncio.run(run(servers))
