"""The guide on events from a stream, with a real server where one is installed."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from consume_support import CORE, acknowledged, event, fill, items
from guide_support import README, block, commands
from nats_support import BINARIES, Server, cluster, make_stream, needs_server, once

from eslcodec import Gap
from eslcodec.ingest.contract import Contract, Place
from eslcodec.ingest.notices import to_line

pytestmark = [
    pytest.mark.skipif(not README.exists(), reason="the guides are in the checkout only"),
    needs_server,
    pytest.mark.heavy,
    once,
]
URL = "nats://127.0.0.1:4222"
STREAM = "ESL-fs1"
LISTENING = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # also where CI runs it beside
COMMAND = [sys.executable, "-W", "error", "-c", "from eslcodec.cli import main; main()"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with cluster(BINARIES[-1], tmp_path) as (one,):
        asyncio.run(make_stream(one, STREAM, "esl.v1.>"))
        yield one


@contextmanager
def started(words: list[str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(words, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process:
        try:
            yield process
        finally:
            process.kill()


def program(mark: str, server: Server) -> list[str]:
    code = block(mark)
    assert URL in code
    return [sys.executable, "-u", "-W", "error", "-c", f"{LISTENING}\n{code.replace(URL, server.url)}"]


def lines(process: subprocess.Popen[str], count: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline().rstrip("\n") for _ in range(count)]


def fill_with(server: Server, count: int) -> None:
    asyncio.run(fill(server, items(range(count)), STREAM))


def test_events_in_order(server: Server) -> None:
    contract = Contract("fs1", CORE)
    gap = contract.notice(to_line(Gap.of(2.5, "gone"), "fs1", 1796000000.25), Place("f", 0, 1, 7), 1.5)
    sent = [contract.event(event(n, n), Place("f", 0, n, 7), 1.5) for n in range(3)]
    asyncio.run(fill(server, [*sent, gap], STREAM))
    with started(program('print(event.switch, "notice", event.kind)', server)) as process:
        want = [f"fs1 1.5 CHANNEL_STATE {CORE}:{n}" for n in range(3)]
        assert lines(process, 4) == [*want, "fs1 notice gap"]
        if os.name == "posix":
            process.send_signal(signal.SIGINT)
            process.wait(30)


def test_events_with_workers(server: Server) -> None:
    fill_with(server, 20)
    with started(program("workers=8", server)) as process:
        assert sorted(lines(process, 20)) == sorted(f"fs1 {CORE}:{n}" for n in range(20))
        asyncio.run(acknowledged(server, "crm", STREAM))


def test_events_without_order(server: Server) -> None:
    fill_with(server, 20)
    with started(program("ordered=False)", server)) as process:
        assert sorted(lines(process, 20)) == sorted(f"{CORE}:{n}" for n in range(20))
        asyncio.run(acknowledged(server, "search", STREAM))


def test_legs_from_a_stream(server: Server, tmp_path: Path) -> None:
    pytest.importorskip("eslcodec.cli", reason="the extra cli is not installed")
    end = event(1, 7, "CHANNEL_HANGUP_COMPLETE", **{"Hangup-Cause": "USER_BUSY"})
    message = Contract("fs1", CORE).event(end, Place("f", 0, 1, 7), time.time())
    asyncio.run(fill(server, [message], STREAM))
    with started(program("async for leg in legs(consumer)", server)) as process:
        out, errors = process.communicate(timeout=60)
    late = f"stream {STREAM}: "  # it says so if the server answers late
    assert (out, [line for line in errors.splitlines() if not line.startswith(late)]) == ("channel-7 USER_BUSY\n", [])
    (to_lines, _), (to_table, _) = commands(block("$ eslcodec convert nats://"))
    done = cli(to_lines, server, tmp_path)
    assert json.loads(done.stdout)["uuid"] == "channel-7"
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    assert cli(to_table, server, tmp_path).returncode == 0
    assert (tmp_path / "day.parquet").stat().st_size > 0


def cli(command: str, server: Server, folder: Path) -> subprocess.CompletedProcess[str]:
    name, *words = shlex.split(command.replace(URL, server.url))
    assert name == "eslcodec"
    return subprocess.run([*COMMAND, *words], cwd=folder, capture_output=True, text=True, timeout=60)


def test_the_tail_of_a_stream(server: Server) -> None:
    pytest.importorskip("eslcodec.cli", reason="the extra cli is not installed")
    contract = Contract("fs1", CORE)
    gap = contract.notice(to_line(Gap.of(2.5, "gone"), "fs1", 1796000000.25), Place("f", 0, 1, 7), 1.5)
    asyncio.run(fill(server, [contract.event(event(1, 1), Place("f", 0, 1, 7), 1.5), gap], STREAM))
    (install, _), (tail, _), (notices, _) = commands(block("$ eslcodec tail nats://"))
    assert install == "pip install 'eslcodec[cli,nats]'"
    with started([*COMMAND, *shlex.split(notices.replace(URL, server.url))[1:]]) as process:
        assert json.loads(lines(process, 1)[0])["_notice"] == "gap"
    with started([*COMMAND, *shlex.split(tail.replace(URL, server.url))[1:], "--since", "-2h"]) as process:
        assert lines(process, 1)[0].split()[1:3] == ["fs1", "CHANNEL_STATE"]
