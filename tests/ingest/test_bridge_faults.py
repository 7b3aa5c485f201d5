"""What a bridge makes of a right that is taken away, a stream that is emptied meanwhile, a disk that is full."""

from __future__ import annotations

import asyncio
import itertools
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cli_live_support import build, spawned, subscribed
from nats_support import (
    ANSWER,
    BINARIES,
    BINARY_IDS,
    Server,
    client,
    cluster,
    make_stream,
    needs_server,
    stored,
    until,
)
from recordings_support import Tape
from support import plain

from eslcodec.emulator import Emulator
from eslcodec.ingest import notices
from eslcodec.ingest._bridges import Bridges
from eslcodec.ingest.bridge import Bridge
from eslcodec.ingest.contract import Contract, Item
from eslcodec.ingest.publisher import Publisher

CORE = "8f08a03a"
NAME = "20261130T014838Z-000001.esl.zst"
DENIED = ', permissions: {publish: {deny: ["esl.v1.>"]}}'
each_server = pytest.mark.parametrize("binary", BINARIES, ids=BINARY_IDS)


def ids(*numbers: int) -> list[str]:
    return [f"{CORE}:{number}" for number in numbers]


def users(rights: str) -> str:
    """Configuration: who is not said to be anybody is the bridge."""
    return f"no_auth_user: bridge\nauthorization {{ timeout: 30, users: [{{user: bridge, password: bridge{rights}}}] }}"


def item(number: int) -> Item:
    id = f"{CORE}:{number}"
    return Item("esl.v1.fs1.0.DTMF", {"Nats-Msg-Id": id}, b"{}", id)


class Writer:
    """A recording that grows by an event a chunk."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._path, self._tape, self._written = folder / NAME, Tape(), 0
        started = notices.Started("recorded", 1796000000.0, "127.0.0.1", 8021, core_uuid=CORE)
        self._tape.note(**notices.to_note(started))

    def events(self, numbers: range) -> None:
        for number in numbers:
            self._tape.chunk(plain(b"Event-Name: DTMF\nCore-UUID: 8f08a03a\nEvent-Sequence: %d\n\n" % number))
        data = self._tape.bytes(closed=False)
        with self._path.open("ab") as file:
            file.write(data[self._written :])
        self._written = len(data)


async def events_in(server: Server, stream: str) -> list[str]:
    return [id for id, _ in await stored(server, stream) if not id.startswith("n:")]


@pytest.mark.heavy
@needs_server
@each_server
def test_a_right_that_is_taken_away_is_waited_for(binary: str, tmp_path: Path) -> None:
    async def run(server: Server) -> None:
        await make_stream(server, "FS1", "esl.v1.fs1.>")
        async with Publisher(server.url, "FS1") as publisher:
            for number in range(10):
                await publisher.publish(item(number))
            assert await publisher.flush(30.0)
            server.configure(users(DENIED))
            server.kill(signal.SIGHUP)

            numbers = itertools.count(10)

            async def is_refused() -> bool:
                await publisher.publish(item(next(numbers)))  # some are taken until the server has read it
                trouble = publisher.stats().trouble
                return trouble is not None and trouble.kind == "permission"

            await until(is_refused, f"a refusal, but {publisher.stats()}")
            count = next(numbers)
            server.configure(users(""))
            server.kill(signal.SIGHUP)
            assert await publisher.flush(30.0), publisher.stats()
            assert publisher.stats().stops["permission"] > 0
        assert await events_in(server, "FS1") == ids(*range(count))

    with cluster(binary, tmp_path, config=users("")) as (server,):
        asyncio.run(asyncio.wait_for(run(server), 90))


@pytest.mark.heavy
@needs_server
@each_server
@pytest.mark.parametrize("how", ["purge", "recreate"])
def test_a_stream_that_was_emptied_while_no_bridge_ran_gets_what_comes_after_the_place(
    binary: str, how: str, tmp_path: Path
) -> None:
    folder = tmp_path / "peer"

    async def publish(server: Server, count: int) -> None:
        bridge = Bridge(folder, server.url, "FS1", Contract("fs1"), begin="all")
        bridge.finish()
        assert await bridge.run()
        assert bridge.stats().publisher.acknowledged == count

    async def run(server: Server) -> None:
        await make_stream(server, "FS1", "esl.v1.fs1.>")
        writer = Writer(folder)
        writer.events(range(20))
        await publish(server, 21)
        connection = await client(server)
        context = connection.jetstream(timeout=ANSWER)
        if how == "purge":
            await context.purge_stream("FS1")
        else:
            await context.delete_stream("FS1")
            await context.add_stream(name="FS1", subjects=["esl.v1.fs1.>"])
        await connection.close()
        writer.events(range(20, 30))
        await publish(server, 10)
        assert await events_in(server, "FS1") == ids(*range(20, 30))

    with cluster(binary, tmp_path) as (server,):
        asyncio.run(asyncio.wait_for(run(server), 90))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True)
    except OSError as error:
        pytest.skip(f"cannot mount a small disk: {error}")
    if done.returncode:
        pytest.skip(f"cannot mount a small disk, which needs root: {done.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """What takes all of the disk."""
    ballast = folder / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return ballast


@pytest.mark.heavy
@needs_server
def test_where_no_place_can_be_kept_publishing_goes_on(
    small_disk: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The end of the stream says where."""

    async def run(server: Server) -> None:
        writer = Writer(small_disk / "10.0.0.1_8021")
        writer.events(range(1000))
        ballast = fill(small_disk)
        bridges = Bridges(small_disk, [server.url], create=1)
        task = asyncio.create_task(bridges.run())

        async def has_all() -> bool:
            return await events_in(server, "ESL-10%2E0%2E0%2E1") == ids(*range(1000))

        async def has_failed() -> bool:
            return any("No space left" in record.message for record in caplog.records)

        await until(has_all, "all events, though the disk is full")
        await until(has_failed, "a place that cannot be kept")
        ballast.unlink()
        writer.events(range(1000, 1010))
        bridges.keep_running()
        task.cancel()
        await asyncio.wait({task})
        assert await bridges.finish(30.0)
        assert await events_in(server, "ESL-10%2E0%2E0%2E1") == ids(*range(1010))

    with cluster(BINARIES[-1], tmp_path) as (server,):
        asyncio.run(asyncio.wait_for(run(server), 90))


@pytest.mark.heavy
@needs_server
def test_a_full_disk_ends_the_command_once_all_is_published(small_disk: Path, tmp_path: Path) -> None:
    """It would read, and neither record nor publish, for ever."""
    with cluster(BINARIES[-1], tmp_path) as (server,), Emulator() as switch:
        words: list[Any] = [f"fs1=127.0.0.1:{switch.port}", "--dir", small_disk, "--events", "DTMF", "--create-stream"]
        with spawned("bridge", *words, "--to", server.url) as process:
            subscribed(switch)
            for number in range(50):
                switch.fire(build("DTMF", {"X-Number": str(number)}))
            asyncio.run(until(lambda: _has(server, 50), "events"))
            fill(small_disk)
            switch.fire(build("DTMF"))
            _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"recording of 127.0.0.1:{switch.port} has ended: " in errors.decode().splitlines()[-1]


async def _has(server: Server, count: int) -> bool:
    connection = await client(server)
    try:
        return bool((await connection.jetstream(timeout=ANSWER).stream_info("ESL-fs1")).state.messages >= count)
    finally:
        await connection.close()
