"""The consumer in Node among the examples, against a real server: any language can read what a bridge publishes."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from consume_support import CORE, RECEIVED, acknowledged, event, fill
from nats_support import BINARIES, Server, cluster, make_stream, needs_server, once

from eslcodec import Gap
from eslcodec.ingest.contract import Contract, Place
from eslcodec.ingest.notices import to_line

EXAMPLE = Path(__file__).parents[2] / "examples" / "stream.mjs"
PACKAGES = ["@nats-io/transport-node@3", "@nats-io/jetstream@3"]

pytestmark = [
    pytest.mark.skipif(not EXAMPLE.exists(), reason="the tests stand beside no checkout"),
    pytest.mark.skipif(shutil.which("npm") is None, reason="there is no Node"),
    needs_server,
    pytest.mark.heavy,
    once,
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The example, with what it needs beside it."""
    shutil.copy(EXAMPLE, tmp_path)
    (tmp_path / "package.json").write_text("{}")
    words = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", *PACKAGES]
    try:
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=90)
    except subprocess.TimeoutExpired:
        pytest.skip("npm takes too long to install nats.js")
    if done.returncode:
        pytest.skip("npm cannot install nats.js here")
    return tmp_path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with cluster(BINARIES[-1], tmp_path) as (one,):
        asyncio.run(make_stream(one, "ESL-fs1", "esl.v1.>"))
        yield one


def test_events_and_notices_are_read_in_node_and_acknowledged(folder: Path, server: Server) -> None:
    contract = Contract("fs 1", CORE)
    gap = contract.notice(to_line(Gap.of(2.5, "gone"), "fs 1", 1796000000.25), Place("f", 0, 1, 7), RECEIVED)
    sent = [contract.event(event(n, n), Place("f", 0, n, 7), RECEIVED) for n in range(5)]
    asyncio.run(fill(server, [*sent, gap], "ESL-fs1"))
    with subprocess.Popen(
        ["node", "stream.mjs", server.url, "ESL-fs1", "billing"], cwd=folder, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline().rstrip("\n") for _ in range(6)]
            asyncio.run(acknowledged(server, "billing", "ESL-fs1"))
        finally:
            process.kill()
    assert lines[:5] == [f"fs 1 {CORE}:{n} CHANNEL_STATE channel-{n}" for n in range(5)]
    assert lines[5] == f"fs 1 {gap.id} gap -"
