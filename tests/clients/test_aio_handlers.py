"""The client of asyncio: handlers."""

from __future__ import annotations

import asyncio
import random
from itertools import chain
from types import ModuleType
from typing import Any

import pytest
from aio_support import LOG, error_of, event, numbered, pair, quick, until
from aio_support import play as play
from aio_support import switch as switch
from support import FAREWELL, notice, part


def test_handlers_by_name_subclass_and_for_all(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        async with pair(esl) as (fs, peer, _):
            seen = []
            fs.on("DTMF", lambda event: seen.append("first"))

            @fs.on("SWITCH_EVENT_DTMF")
            async def second(event: Any) -> None:
                await asyncio.sleep(0)
                seen.append("second")

            @fs.on("ALL")
            def everything(event: Any) -> None:
                seen.append(event.name)

            assert fs.on("custom", lambda event: seen.append("a::b"), subclass="a::b") is not None
            fs.on("CUSTOM", lambda event: seen.append("any"))
            with pytest.raises(ValueError, match="'DTMF' has no subclasses"):
                fs.on("DTMF", everything, subclass="a::b")
            peer.sends(
                event(b"DTMF"),
                LOG,
                event(b"CUSTOM", b"Event-Subclass: a%3A%3Ab"),
                event(b"CUSTOM", b"Event-Subclass: x"),
                event(b"HEARTBEAT"),
                notice(FAREWELL),
            )
            await fs.run()
            assert seen == ["first", "second", "DTMF", "a::b", "any", "CUSTOM", "any", "CUSTOM", "HEARTBEAT"]

    play(main())


def test_order_is_kept_per_channel_and_channels_do_not_wait_for_each_other(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        async with pair(esl) as (fs, peer, _):
            seen: dict[str, list[int]] = {}
            at_work: set[str] = set()
            most = 0
            chance = random.Random(2)

            @fs.on("DTMF")
            async def handle(event: Any) -> None:
                nonlocal most
                assert event.uuid not in at_work
                at_work.add(event.uuid)
                most = max(most, len(at_work))
                for _ in range(chance.randrange(4)):
                    await asyncio.sleep(0)
                at_work.remove(event.uuid)
                seen.setdefault(event.uuid, []).append(event.sequence)

            for number in range(2000):
                line = b"" if number % 21 == 20 else b"Unique-ID: u-%d" % (number % 21)
                peer.sends(event(b"DTMF", *filter(None, [line]), b"Event-Sequence: %d" % number))
            peer.sends(notice(FAREWELL))
            await fs.run(concurrency=10)
            assert sorted(chain(*seen.values())) == list(range(2000))
            assert all(numbers == sorted(numbers) for numbers in seen.values())
            assert len(seen) == 21
            assert most == 10

    play(main())


def test_a_slow_handler_stops_its_own_channel_only(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        async with pair(esl) as (fs, peer, _):
            done: list[str] = []
            release = asyncio.Event()

            @fs.on("DTMF")
            async def handle(event: Any) -> None:
                if event.uuid == "slow":
                    await release.wait()
                done.append(event.uuid)

            running = asyncio.create_task(fs.run())
            peer.sends(*(event(b"DTMF", b"Unique-ID: " + uuid) for uuid in [b"slow"] * 300 + [b"quick"] * 3))
            await until(lambda: done == ["quick"] * 3)
            release.set()
            peer.sends(notice(FAREWELL))
            await running
            assert done == ["quick"] * 3 + ["slow"] * 300

    play(main())


@pytest.mark.parametrize(
    ("bound", "value", "body"), [("EVENT_QUEUE", 20, b""), ("EVENT_QUEUE_BYTES", 10_000, b"x" * 500)]
)
def test_events_in_hand_are_bounded(
    esl: ModuleType, play: Any, monkeypatch: pytest.MonkeyPatch, bound: str, value: int, body: bytes
) -> None:
    async def main() -> None:
        monkeypatch.setattr(part(esl, "limits"), bound, value)
        async with pair(esl, queue_limit=10) as (fs, peer, _):
            done: list[int] = []
            release = asyncio.Event()

            @fs.on("HEARTBEAT")
            async def handle(event: Any) -> None:
                await release.wait()
                done.append(event.sequence)

            running = asyncio.create_task(fs.run())
            peer.sends(*(event(b"HEARTBEAT", b"Event-Sequence: %d" % number, body=body) for number in range(500)))
            await until(lambda: fs._link.paused)
            seen = None
            while seen != (seen := (fs.connection.received_events, len(fs.connection.queue))):
                await asyncio.sleep(0.02)
                for _ in range(200):  # turns, which the loop has had though the machine stood still meanwhile
                    await asyncio.sleep(0)
            assert len(fs.connection.queue) >= 10  # all that may be in hand is
            release.set()
            peer.sends(notice(FAREWELL))
            await running
            assert done == list(range(500))

    play(main())


def test_a_handlers_exception_is_logged_and_hurts_no_other(
    esl: ModuleType, play: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with pair(esl) as (fs, peer, _):
            done = []

            @fs.on("HEARTBEAT")
            def fails(event: Any) -> None:
                raise KeyError("oh no")

            @fs.on("HEARTBEAT")
            async def is_cancelled(event: Any) -> None:
                raise asyncio.CancelledError

            fs.on("HEARTBEAT", lambda event: done.append(event.sequence))
            peer.sends(numbered(range(2)), notice(FAREWELL))
            await fs.run()
            assert done == [0, 1]

    play(main())
    failures = [
        record for record in caplog.records if record.name.startswith("eslcodec") and record.levelname == "ERROR"
    ]
    assert [record.getMessage() for record in failures] == ["a handler of HEARTBEAT failed"] * 4
    assert "oh no" in caplog.text


def test_cancelling_run_cancels_its_handlers(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        async with pair(esl) as (fs, peer, _):
            begun: list[str] = []
            ended: list[str] = []

            @fs.on("DTMF")
            async def handle(event: Any) -> None:
                begun.append(event.uuid)
                try:
                    await asyncio.sleep(60)
                finally:
                    ended.append(event.uuid)

            running = asyncio.create_task(fs.run())
            peer.sends(*(event(b"DTMF", b"Unique-ID: u-%d" % number) for number in range(3)))
            await until(lambda: len(begun) == 3)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            assert sorted(ended) == ["u-0", "u-1", "u-2"]

    play(main())


def test_handlers_finish_before_run_says_how_it_ended(
    esl: ModuleType, play: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with pair(esl) as (fs, peer, _):
            done = []

            @fs.on("HEARTBEAT")
            async def handle(event: Any) -> None:
                done.append(await error_of(fs.api("status")))

            peer.sends(numbered(range(1)))
            running = asyncio.create_task(fs.run())
            await peer.command()
            await peer.close()
            wanted = ("ConnectionClosed", "the switch closed the connection")
            assert await error_of(running) == wanted
            assert done == [wanted]

    play(main())


def test_a_gap_reaches_its_handler(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        async with pair(esl, reconnect=quick(esl)) as (fs, peer, switch):
            gaps = []

            @fs.on("CUSTOM", subclass="eslcodec::gap")
            async def missed(gap: Any) -> None:
                gaps.append(gap.reason)
                await fs.close()

            await peer.close()
            running = asyncio.create_task(fs.run())
            await switch.lets_in()
            await running
            assert gaps == ["the switch closed the connection"]

    play(main())
