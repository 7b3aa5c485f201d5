"""The client of asyncio: backpressure, reading, and tasks that are cancelled."""

from __future__ import annotations

import asyncio
import random
from itertools import chain
from types import ModuleType
from typing import Any

import pytest
from aio_support import ENABLED, LOG, error_of, job_done, numbered, pair, sequences, take, until
from aio_support import play as play
from aio_support import switch as switch
from support import FAREWELL, OK, api_response, notice, part, reply

from eslcodec.emulator import Emulator

# Backpressure


def test_a_slow_reader_loses_nothing_and_the_queue_stays_short(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        async with pair(esl, queue_limit=10, queue_hard_limit=20) as (fs, peer, _):
            count = 40_000
            peer.sends(numbered(range(count)))
            await until(lambda: fs._link.paused)
            longest = len(fs.connection.queue)
            read = []
            async for event in fs.events():
                longest = max(longest, len(fs.connection.queue))
                read.append(event.sequence)
                if len(read) % 100 == 0:
                    await asyncio.sleep(0)
                if len(read) == count:
                    break
            assert read == list(range(count))
            assert longest < 10 + (256 << 10) / len(numbered(range(1)))  # what was there, and one more piece
            assert fs.dropped == 0

    play(main())


def test_reading_stands_still_while_the_queue_is_full(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        async with pair(esl, queue_limit=10) as (fs, peer, _):
            peer.sends(numbered(range(10)))
            await until(lambda: fs._link.paused)
            peer.sends(numbered(range(10, 11)))
            await asyncio.sleep(0.02)
            assert len(fs.connection.queue) == 10
            assert (await fs.next_event()).sequence == 0
            assert not fs._link.paused
            assert sequences(await take(fs.events(), 10)) == list(range(1, 11))

    play(main())


def test_reading_stands_still_while_what_waits_is_too_large(
    esl: ModuleType, play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        size = len(numbered(range(1)))
        monkeypatch.setattr(part(esl, "limits"), "EVENT_QUEUE_BYTES", 10 * size)
        async with pair(esl) as (fs, peer, _):
            peer.sends(numbered(range(10)))
            await until(lambda: fs._link.paused)
            peer.sends(numbered(range(10, 11)))
            await asyncio.sleep(0.02)
            assert len(fs.connection.queue) == 10
            assert sequences(await take(fs.events(), 11)) == list(range(11))
            assert not fs._link.paused

    play(main())


def test_dropping_keeps_the_newest_and_counts(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        async with pair(esl, queue_limit=100, when_full="drop") as (fs, peer, _):
            peer.sends(numbered(range(500)))
            await until(lambda: fs.connection.queue and fs.connection.queue[-1].sequence == 499)
            assert fs.dropped == 400
            assert sequences(await take(fs.events(), 100)) == list(range(400, 500))
            peer.sends(numbered(range(500, 600)))
            assert sequences(await take(fs.events(), 100)) == list(range(500, 600))
            assert fs.dropped == 400

    play(main())


def test_a_command_is_answered_though_the_queue_is_full(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        async with pair(esl, queue_limit=10, queue_hard_limit=1000) as (fs, peer, _):
            peer.sends(numbered(range(10)))
            await until(lambda: fs._link.paused)
            task = asyncio.create_task(fs.api("status"))
            await peer.command()
            peer.sends(numbered(range(10, 500)))
            await until(lambda: len(fs.connection.queue) == 500)  # it reads on, since somebody waits
            peer.sends(api_response(b"UP\n"))
            assert (await task).text == "UP\n"
            assert fs._link.paused
            assert sequences(await take(fs.events(), 500)) == list(range(500))
            assert not fs._link.paused

    play(main())


def test_beyond_the_hard_bound_waiting_is_in_vain_and_everything_goes_on(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        async with pair(esl, queue_limit=10, queue_hard_limit=50) as (fs, peer, _):
            task = asyncio.create_task(fs.api("status"))
            await peer.command()
            peer.sends(numbered(range(50)))
            wanted = (
                "EventQueueFull",
                "waiting for the answer to 'api status': 50 messages are queued, expected somebody to read them (50)",
            )
            assert await error_of(task) == wanted
            assert (await error_of(fs.api("version")))[0] == "EventQueueFull"  # at once
            peer.sends(api_response(b"late"))
            assert sequences(await take(fs.events(), 50)) == list(range(50))
            task = asyncio.create_task(fs.api("uptime"))
            await peer.answers((b"api version\n\n", api_response(b"late too")), (b"api uptime\n\n", api_response(b"1")))
            assert (await task).text == "1"

    play(main())


def test_handlers_send_commands_though_the_queue_is_full(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        with Emulator() as switch:
            switch.api["echo"] = lambda args: args
            async with part(esl, "aio").connect(port=switch.port, queue_limit=2) as fs:
                echoed = []

                @fs.on("HEARTBEAT")
                async def beat(event: Any) -> None:
                    job = await fs.bgapi("echo", event["N"])
                    answer = await fs.api("echo", event["N"])
                    echoed.append((answer.text, (await job.result(60)).text))
                    if len(echoed) == 200:
                        await fs.exit()

                await fs.subscribe("HEARTBEAT")
                for number in range(200):
                    switch.fire("HEARTBEAT", {"N": str(number)})
                await fs.run()
                assert echoed == [(str(number), str(number)) for number in range(200)]

    play(main())


# Reading


def test_each_event_goes_to_one_of_several_readers(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        async with pair(esl) as (fs, peer, _):

            async def read(into: Any) -> None:
                async for event in fs.events():
                    into.append(event.sequence)
                    await asyncio.sleep(0)

            shares: list[list[int]] = [[], [], []]
            readers = [asyncio.create_task(read(share)) for share in shares]
            await asyncio.sleep(0)
            peer.sends(numbered(range(1000)), notice(FAREWELL))
            await asyncio.gather(*readers)
            assert sorted(chain(*shares)) == list(range(1000))
            assert all(share == sorted(share) for share in shares)
            assert all(shares)

    play(main())


def test_reading_ends_when_the_connection_ended_well(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        async with pair(esl) as (fs, peer, _):
            peer.sends(numbered(range(3)), LOG, notice(FAREWELL))
            assert sequences([event async for event in fs.events()]) == [0, 1, 2]
            assert [event async for event in fs.events()] == []
            assert fs.closed
            assert await error_of(fs.next_event()) == ("ConnectionClosed", "the switch said good-bye")
            assert await error_of(fs.api("status")) == ("ConnectionClosed", "the switch said good-bye")
            await peer.ends()

    play(main())


@pytest.mark.parametrize(
    ("last", "wanted"),
    [
        (b"", ("ConnectionClosed", "the switch closed the connection")),
        (notice(b"The system is being shut down.\n"), ("ConnectionClosed", "The system is being shut down.")),
        (
            b"Content-Type: api/resp",
            ("ConnectionClosed", "stream ended in a header block: read 22 bytes, expected a blank line"),
        ),
        (
            b"Content-Length: x\n\n",
            ("InvalidContentLength", "read Content-Length 'x', expected ASCII digits"),
        ),
        (OK, ("ProtocolError", "read a reply that no command asked for: '+OK'")),
    ],
)
def test_reading_raises_why_it_ended_after_what_was_received(
    esl: ModuleType, play: Any, last: Any, wanted: Any
) -> None:
    async def main() -> None:
        async with pair(esl) as (fs, peer, _):
            peer.sends(numbered(range(3)), last)
            await peer.close()
            read = []

            async def read_all() -> None:
                async for event in fs.events():
                    read.append(event.sequence)

            assert await error_of(read_all()) == wanted
            assert read == [0, 1, 2]
            assert await error_of(fs.next_event(timeout=0)) == wanted
            assert await error_of(fs.run()) == wanted
            assert await error_of(fs.log()) == wanted

    play(main())


def test_a_reset_connection_says_so(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        async with pair(esl) as (fs, peer, _):
            peer.reset()
            with pytest.raises(esl.ConnectionClosed, match="the connection was lost: ") as caught:
                await fs.next_event()
            assert isinstance(caught.value.__cause__, ConnectionResetError)

    play(main())


def test_reading_with_a_timeout(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        async with pair(esl) as (fs, peer, _):
            assert await fs.next_event(timeout=0.01) is None
            assert await fs.next_event(timeout=0) is None
            peer.sends(numbered(range(2)), LOG)
            await until(lambda: len(fs.connection.queue) == 3)
            assert sequences([event async for event in fs.events(timeout=0.05)]) == [0, 1]
            peer.sends(LOG, numbered(range(2, 3)))
            await until(lambda: len(fs.connection.queue) == 2)
            kinds = [type(message).__name__ async for message in fs.messages(timeout=0.05)]
            assert kinds == ["LogLine", "Event"]
            waiting = asyncio.create_task(fs.next_event(60))
            await asyncio.sleep(0)
            peer.sends(LOG)
            assert await error_of(fs.api("status", timeout=0.02)) == (
                "CommandTimeout",
                "waited 0.02 s for the answer to 'api status'",
            )
            peer.sends(numbered(range(3, 4)))
            assert (await waiting).sequence == 3
            assert not fs.closed

    play(main())


def test_other_tasks_live_while_a_full_queue_is_read(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        async with pair(esl) as (fs, peer, _):
            peer.sends(numbered(range(4000)))
            await until(lambda: len(fs.connection.queue) == 4000)
            turns = 0

            async def count() -> None:
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0)

            counting = asyncio.create_task(count())
            assert sequences(await take(fs.events(), 4000)) == list(range(4000))
            assert turns >= 4000 // 128 - 1
            counting.cancel()

    play(main())


def test_a_reader_that_is_left_holds_nothing(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        async with pair(esl) as (fs, peer, _):
            peer.sends(numbered(range(4)))
            async for event in fs.events():
                assert event.sequence == 0
                break
            assert sequences(await take(fs.events(), 3)) == [1, 2, 3]

    play(main())


# Cancellation


def test_a_cancelled_command_leaves_the_others_their_replies(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        async with pair(esl) as (fs, peer, _):
            tasks = [asyncio.create_task(fs.api("echo", str(number))) for number in range(3)]
            for _ in tasks:
                await peer.command()
            tasks[1].cancel()
            with pytest.raises(asyncio.CancelledError):
                await tasks[1]
            peer.sends(*(api_response(b"%d" % number) for number in range(3)))
            assert [(await task).text for task in (tasks[0], tasks[2])] == ["0", "2"]
            assert fs.connection.watcher_count == 0

    play(main())


def test_a_cancelled_wait_for_a_job_may_be_repeated(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        async with pair(esl) as (fs, peer, _):
            begin = asyncio.create_task(fs.bgapi("status", job_uuid="j-1"))
            await peer.command()
            command = await peer.command()
            peer.sends(ENABLED, reply(b"+OK Job-UUID: j-1", b"Job-UUID: j-1\n"))
            job = await begin
            waiting = asyncio.create_task(job.result())
            await until(lambda: fs.connection.watcher_count)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            peer.sends(job_done(command, b"UP\n"))
            assert (await job.result(20)).text == "UP\n"

    play(main())


def test_cancelled_readers_lose_no_event(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        async with pair(esl) as (fs, peer, _):
            read: list[int] = []

            async def read_on() -> None:
                async for event in fs.events():
                    read.append(event.sequence)
                    await asyncio.sleep(0)

            chance = random.Random(1)
            for number in range(300):
                reader = asyncio.create_task(read_on())
                peer.sends(numbered(range(number, number + 1)))
                for _ in range(chance.randrange(8)):
                    await asyncio.sleep(0)
                reader.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await reader
            while len(read) < 300:
                read.append((await fs.next_event(20)).sequence)
            assert read == list(range(300))

    play(main())
