"""The publisher against one real server: what goes wrong is a state that is seen, and it goes on behind it."""

from __future__ import annotations

import asyncio
import gc
import signal
import subprocess
import sys
import textwrap
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from nats_support import (
    ANSWER,
    BINARIES,
    BINARY_IDS,
    Server,
    client,
    cluster,
    make_stream,
    needs_server,
    patient,
    stored,
    until,
)

from eslcodec.ingest import _wire
from eslcodec.ingest.contract import Item, Place
from eslcodec.ingest.publisher import Publisher

pytestmark = [needs_server, pytest.mark.heavy]
SUBJECT = "esl.v1.fs1.0.HEARTBEAT"


def item(number: int, size: int = 2) -> Item:
    id = f"core:{number}"
    return Item(SUBJECT, {"Nats-Msg-Id": id}, b"x" * size, id, Place("f", 0, number, 7))


def ids(*numbers: int) -> list[str]:
    return [f"core:{number}" for number in numbers]


async def publish(publisher: Publisher, numbers: range, size: int = 2) -> None:
    for number in numbers:
        await publisher.publish(item(number, size))


async def in_trouble(publisher: Publisher, kind: str) -> str:
    async def said() -> str | None:
        trouble = publisher.stats().trouble
        return trouble.text if trouble is not None and trouble.kind == kind else None

    text: str = await until(said, f"{kind}, but {publisher.stats()}")
    return text


async def check(server: Server, want: list[str], stream: str = "FS1") -> None:
    assert [id for id, _ in await stored(server, stream)] == want


@pytest.fixture(params=BINARIES, ids=BINARY_IDS)
def run(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[Server], Awaitable[None]]], None]:
    """Runs a test with a server of its own."""
    patient(monkeypatch)

    def start(test: Callable[[Server], Awaitable[None]]) -> None:
        with cluster(request.param, tmp_path) as (server,):
            asyncio.run(asyncio.wait_for(test(server), 90))

    return start


def test_its_end_right_after_an_acknowledgement_says_nothing(run: Any) -> None:
    """It comes while `asyncio.wait_for` has a result, which takes a cancellation's place before Python 3.12."""
    said: list[Any] = []

    async def test(server: Server) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: said.append(context))
        await make_stream(server, "FS1", "esl.v1.>")
        for number in range(10):
            async with Publisher(server.url, "FS1") as publisher:
                await publisher.publish(item(number))
                assert await publisher.flush(20.0)
        gc.collect()

    run(test)
    assert said == []


@pytest.mark.parametrize("is_fast", [True, False], ids=["fast", "documented"])
def test_messages_come_as_they_are(run: Any, monkeypatch: pytest.MonkeyPatch, is_fast: bool) -> None:
    monkeypatch.setattr(_wire.Fast, "fits", lambda _: is_fast)

    async def test(server: Server) -> None:
        await make_stream(server, "FS1", "esl.v1.fs1.>")
        async with Publisher(server.url, "FS1", window=7, timeout=ANSWER) as publisher:
            await publish(publisher, range(100))
            assert await publisher.flush(30.0)
            stats = publisher.stats()
            assert (stats.acknowledged, stats.waiting, stats.connects, stats.stops) == (100, 0, 1, {})
            assert (publisher.place, publisher.last_id) == (Place("f", 0, 99, 7), "core:99")
            assert repr(publisher) == "<Publisher 'FS1', 0 waiting>"
        await check(server, ids(*range(100)))
        connection = await client(server)
        message = await connection.jetstream(timeout=ANSWER).get_msg("FS1", 5)
        await connection.close()
        expected = {"Nats-Expected-Last-Msg-Id": "core:3", "Nats-Expected-Last-Sequence": "4"}
        assert message.headers == {"Nats-Msg-Id": "core:4", **expected}
        assert (message.subject, message.data) == (SUBJECT, b"xx")

    run(test)


def test_a_stream_that_is_not_there_is_waited_for(run: Any) -> None:
    async def test(server: Server) -> None:
        await (await client(server)).close()
        async with Publisher(server.url, "FS1") as publisher:
            await publish(publisher, range(10))
            assert "stream FS1" in await in_trouble(publisher, "no_responders")
            assert not await publisher.flush(0.01)
            await make_stream(server, "FS1", "esl.v1.fs1.>")
            assert await publisher.flush(30.0)
            assert publisher.stats().trouble is None
        await check(server, ids(*range(10)))

    run(test)


def test_a_full_stream_is_waited_for(run: Any) -> None:
    async def test(server: Server) -> None:
        await make_stream(server, "FS1", "esl.v1.fs1.>", max_msgs=20, discard="new")
        async with Publisher(server.url, "FS1") as publisher:
            await publish(publisher, range(50))
            assert "maximum messages" in await in_trouble(publisher, "full")
            assert publisher.stats().acknowledged == 20
            connection = await client(server)
            await connection.jetstream(timeout=ANSWER).update_stream(
                name="FS1", subjects=["esl.v1.fs1.>"], max_msgs=1000
            )
            await connection.close()
            assert await publisher.flush(30.0)
        await check(server, ids(*range(50)))

    run(test)


@pytest.mark.parametrize("chained", [True, False])
def test_another_stream_of_the_subject_gets_nothing(run: Any, chained: bool) -> None:
    async def test(server: Server) -> None:
        await make_stream(server, "FS1", "other.>")
        await make_stream(server, "FS2", "esl.v1.fs1.>")
        async with Publisher(server.url, "FS1", chained=chained) as publisher:
            await publish(publisher, range(50))
            assert "expected stream does not match" in await in_trouble(publisher, "stream")
        await check(server, [], "FS2")

    run(test)


def test_a_subject_that_nobody_takes_is_said(run: Any) -> None:
    async def test(server: Server) -> None:
        await make_stream(server, "FS1", "other.>")
        async with Publisher(server.url, "FS1") as publisher:
            await publish(publisher, range(50))
            assert "nobody took" in await in_trouble(publisher, "no_responders")
            assert publisher.stats().acknowledged == 0

    run(test)


def test_what_the_server_takes_from_nobody_is_said(run: Any) -> None:
    async def test(server: Server) -> None:
        await make_stream(server, "FS1", "esl.v1.fs1.>", max_msg_size=1000)
        async with Publisher(server.url, "FS1") as publisher:
            await publisher.publish(item(0))
            await publisher.publish(item(1, 2000))
            assert "maximum allowed" in await in_trouble(publisher, "oversize")
            assert publisher.stats().acknowledged == 1
        async with Publisher(server.url, "FS1") as publisher:
            await publisher.publish(item(1, 2 << 20))
            assert "maximum payload" in await in_trouble(publisher, "oversize")

    run(test)


@pytest.mark.parametrize("how", ["purge", "recreate"])
def test_a_stream_that_is_emptied_is_filled_from_there_on(run: Any, how: str) -> None:
    async def test(server: Server) -> None:
        await make_stream(server, "FS1", "esl.v1.fs1.>")
        async with Publisher(server.url, "FS1", timeout=ANSWER) as publisher:
            await publish(publisher, range(20))
            assert await publisher.flush(30.0)
            connection = await client(server)
            if how == "purge":
                await connection.jetstream(timeout=ANSWER).purge_stream("FS1")
            else:
                await connection.jetstream(timeout=ANSWER).delete_stream("FS1")
                await connection.jetstream(timeout=ANSWER).add_stream(name="FS1", subjects=["esl.v1.fs1.>"])
            await connection.close()
            await publish(publisher, range(20, 40))
            assert await publisher.flush(30.0), publisher.stats()
            assert publisher.stats().disagreements == (how == "recreate")
        await check(server, ids(*range(20, 40)))

    run(test)


def test_a_message_of_somebody_else_is_counted_and_passed(run: Any) -> None:
    async def test(server: Server) -> None:
        await make_stream(server, "FS1", "esl.v1.fs1.>")
        async with Publisher(server.url, "FS1", timeout=ANSWER) as publisher:
            await publish(publisher, range(5))
            assert await publisher.flush(30.0)
            connection = await client(server)
            await connection.jetstream(timeout=ANSWER).publish(SUBJECT, b"", headers={"Nats-Msg-Id": "other"})
            await connection.close()
            await publish(publisher, range(5, 10))
            assert await publisher.flush(30.0)
            stats = publisher.stats()
            assert (stats.disagreements, stats.stops) == (1, {"order": 1})
        await check(server, [*ids(*range(5)), "other", *ids(*range(5, 10))])

    run(test)


def test_a_server_that_dies_for_longer_than_the_window_for_duplicates(run: Any) -> None:
    async def test(server: Server) -> None:
        await make_stream(server, "FS1", "esl.v1.fs1.>", duplicate_window=0.2, storage="file")
        async with Publisher(server.url, "FS1", window=256) as publisher:
            for begin in (0, 1000, 2000):
                task = asyncio.create_task(publish(publisher, range(begin, begin + 1000), 200))

                async def is_so(count: int = begin + 300) -> bool:
                    return publisher.stats().acknowledged >= count

                await until(is_so, f"more than {publisher.stats()}")
                server.kill()
                assert await in_trouble(publisher, "connection")
                await asyncio.sleep(0.3)  # no waiting for anything: it is the outage
                server.start()
                await task
            assert await publisher.flush(60.0), publisher.stats()
            assert publisher.stats().stops["connection"] >= 3
        await check(server, ids(*range(3000)))

    run(test)


FROZEN = """
    import asyncio, os, signal, sys
    from eslcodec.ingest.contract import Item
    from eslcodec.ingest.publisher import Publisher

    async def main():
        is_frozen = False
        async with Publisher(sys.argv[1], "FS1", window=64, timeout=1.0) as publisher:
            for number in range(3000):
                id = f"core:{number}"
                await publisher.publish(Item("esl.v1.fs1.0.HEARTBEAT", {"Nats-Msg-Id": id}, b"xx", id))
                if publisher.stats().acknowledged > 300 and not is_frozen:
                    is_frozen = True
                    print("now", flush=True)
                    os.kill(os.getpid(), signal.SIGSTOP)
            assert await publisher.flush(60.0)
            print(publisher.stats())

    asyncio.run(main())
"""


async def wake(frozen: asyncio.subprocess.Process) -> None:
    """Until it ends: it may freeze only after it was told to go on."""
    while frozen.returncode is None:
        with suppress(ProcessLookupError):
            frozen.send_signal(signal.SIGCONT)
        await asyncio.sleep(0.05)


def test_a_publisher_that_wakes_from_a_freeze_puts_nothing_between(run: Any) -> None:
    """Another one has taken over meanwhile; the server has forgotten the identities that it would drop."""

    async def test(server: Server) -> None:
        await make_stream(server, "FS1", "esl.v1.fs1.>", duplicate_window=0.1)
        command = [sys.executable, "-c", textwrap.dedent(FROZEN), server.url]
        frozen = await asyncio.create_subprocess_exec(*command, cwd="/", stdout=subprocess.PIPE)
        try:
            assert frozen.stdout is not None
            assert await frozen.stdout.readline() == b"now\n"
            async with Publisher(server.url, "FS1", window=2500) as publisher:
                await publish(publisher, range(2000))
                assert await publisher.flush(30.0)
                assert publisher.stats().found > 300
            waking = asyncio.create_task(wake(frozen))
            out, _ = await frozen.communicate()
            await waking
            assert b"acknowledged=3000" in out
        finally:
            if frozen.returncode is None:
                frozen.kill()
                await frozen.wait()
        await check(server, ids(*range(3000)))

    run(test)


# Without a server


def test_it_must_be_entered_and_not_closed() -> None:
    async def test() -> None:
        publisher = Publisher("nats://127.0.0.1:1", "FS1")
        for call in (publisher.publish(item(0)), publisher.flush()):
            with pytest.raises(RuntimeError, match="is not open"):
                await call
        async with publisher:
            assert await in_trouble(publisher, "connection")
            await publisher.publish(item(0))
            waiting = asyncio.ensure_future(publisher.flush())
            await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="is not open"):
            await waiting
        with pytest.raises(RuntimeError, match="is not open"):
            await publisher.publish(item(0))

    asyncio.run(asyncio.wait_for(test(), 30))


@pytest.mark.parametrize("stream", ["", "a.b", "a b", "*", ">", "a/b", "a\n"])
def test_what_is_no_name_of_a_stream_is_refused(stream: str) -> None:
    with pytest.raises(ValueError, match="is no name of a stream"):
        Publisher("nats://127.0.0.1:1", stream)


def test_there_must_be_servers() -> None:
    with pytest.raises(ValueError, match="there are no servers"):
        Publisher([], "FS1")


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with Publisher("nats://127.0.0.1:1", "FS1"):
            pass

    monkeypatch.setitem(sys.modules, "nats", None)
    with pytest.raises(ImportError, match=r"pip install 'eslcodec\[nats\]'"):
        asyncio.run(test())
