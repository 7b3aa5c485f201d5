"""Consuming from a cluster of three: the leader is killed, and order and all messages stay."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from consume_support import acknowledged, fill, items, number
from nats_support import BINARIES, Server, at_full_size, cluster, leader_of, make_stream, needs_server, once

from eslcodec.ingest.consume import consume

pytestmark = [needs_server, pytest.mark.heavy, once]
COUNT = 2000


@pytest.mark.parametrize("ordered", [True, pytest.param(False, marks=at_full_size)])
def test_all_comes_though_leaders_are_killed(tmp_path: Path, ordered: bool) -> None:
    async def test(servers: list[Server]) -> None:
        await make_stream(servers[0], "FS1", "esl.v1.>", num_replicas=3)
        await fill(servers[0], items(range(COUNT)))
        found: list[int] = []
        urls = [server.url for server in servers]
        settings: dict[str, Any] = {"window": 100, "ack_wait": 4.0, "ordered": ordered, "until_end": True}
        async with consume(urls, "FS1", "billing", **settings) as consumer:
            async for one in consumer:
                found.append(number(one))
                if len(found) in (500, 1200):
                    name = await leader_of(servers[0], "FS1")
                    (leader,) = (server for server in servers if server.name == name)
                    leader.kill()
                    leader.start()
            await acknowledged(servers[0], "billing")  # while it can say so again
        if ordered:
            assert found == list(range(COUNT))
        assert sorted(set(found)) == list(range(COUNT))

    with cluster(BINARIES[-1], tmp_path, 3) as servers:
        asyncio.run(asyncio.wait_for(test(servers), 100))
