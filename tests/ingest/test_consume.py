"""Consuming from one real server: in order, each at least once, and what goes wrong is said."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from consume_support import RECEIVED, acknowledged, consumer_info, event, fill, first, items, number, put
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
    until,
)

from eslcodec import Event, Gap
from eslcodec.ingest.consume import ConsumerGone, ConsumerShared, StreamEvent, StreamNotice, consume
from eslcodec.ingest.contract import Contract, Place, partition
from eslcodec.ingest.notices import to_line

pytestmark = [needs_server, pytest.mark.heavy]


@pytest.fixture(params=BINARIES, ids=BINARY_IDS)
def run(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[Server], Awaitable[None]]], None]:
    """Runs a test with a server of its own, which has the stream FS1."""
    patient(monkeypatch)

    async def start(server: Server, test: Callable[[Server], Awaitable[None]]) -> None:
        await make_stream(server, "FS1", "esl.v1.>")
        await asyncio.wait_for(test(server), 90)

    def run_it(test: Callable[[Server], Awaitable[None]]) -> None:
        with cluster(request.param, tmp_path) as (server,):
            asyncio.run(start(server, test))

    return run_it


def test_events_come_as_they_were_with_what_is_known_of_their_way(run: Any) -> None:
    async def test(server: Server) -> None:
        sent = event(525, 3, **{"Codecs": "PCMU"})
        await fill(server, [Contract("fs 1", "8f08a03a").event(sent, Place("f", 0, 1, 7), RECEIVED)])
        async with consume(server.url, "FS1", "billing") as consumer:
            (found,) = await first(consumer, 1)
        assert isinstance(found, Event)
        assert isinstance(found, StreamEvent)
        assert found.to_dict() == sent.to_dict()
        assert (found.event_id, found.id, found.number) == ("8f08a03a:525", "8f08a03a:525", 1)
        assert (found.switch, found.received, found.redelivered, found.oversize) == ("fs 1", RECEIVED, False, None)
        assert "_id" not in found

    run(test)


def test_notices_come_as_notices(run: Any) -> None:
    async def test(server: Server) -> None:
        contract = Contract("fs1")
        place = Place("f", 0, 1, 7)
        lines = [to_line(Gap.of(2.5, "gone"), "fs1", 1796000000.25), b'{"_notice":"opened","switch":"fs1","at":1.5}']
        await fill(server, [contract.notice(line, place, RECEIVED) for line in lines])
        async with consume(server.url, "FS1", "billing") as consumer:
            gap, opened = await first(consumer, 2)
        assert isinstance(gap, StreamNotice)
        assert isinstance(gap.notice, Gap)
        assert (gap.kind, gap.switch, gap.received, gap.notice.seconds) == ("gap", "fs1", RECEIVED, 2.5)
        assert (opened.kind, opened.notice, opened.said["at"], opened.event_id[:2]) == ("opened", None, 1.5, "n:")

    run(test)


def test_a_consumer_goes_on_behind_what_was_acknowledged(run: Any) -> None:
    async def test(server: Server) -> None:
        await fill(server, items(range(500)))
        async with consume(server.url, "FS1", "billing") as consumer:
            assert list(map(number, await first(consumer, 200))) == list(range(200))
        async with consume(server.url, "FS1", "billing", until_end=True) as consumer:
            found = [one async for one in consumer]
        assert list(map(number, found)) == list(range(200, 500))
        await acknowledged(server, "billing")

    run(test)


def test_what_an_exception_left_comes_again_before_all_else(run: Any) -> None:
    async def test(server: Server) -> None:
        await fill(server, items(range(100)))

        async def fail_at_40() -> None:
            async with consume(server.url, "FS1", "billing", retry=0.1) as consumer:
                async for one in consumer:
                    if number(one) == 40:
                        raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail_at_40()
        async with consume(server.url, "FS1", "billing", until_end=True) as consumer:
            found = [one async for one in consumer]
        assert list(map(number, found)) == list(range(40, 100))
        assert found[0].redelivered

    run(test)


def test_what_a_dead_program_took_comes_before_what_is_new(run: Any) -> None:
    async def test(server: Server) -> None:
        await fill(server, items(range(100)))
        consumer = consume(server.url, "FS1", "billing", ack_wait=2.0, window=50)
        await consumer.__aenter__()
        await first(consumer, 10)
        task, consumer._task = consumer._task, None
        assert task is not None
        while not task.done():  # before Python 3.12 a cancellation is lost that comes with an answer
            task.cancel()  # as a kill: nothing is given back
            await asyncio.wait({task}, timeout=1.0)
        async with consume(server.url, "FS1", "billing", ack_wait=2.0, until_end=True) as after:
            found = [one async for one in after]
        numbers = list(map(number, found))
        assert numbers == list(range(numbers[0], 100))
        assert numbers[0] <= 10
        assert found[0].redelivered

    run(test)


def test_a_handler_that_fails_gets_it_again_before_what_is_behind(run: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def test(server: Server) -> None:
        await fill(server, items(range(50)))
        seen: list[tuple[int, bool]] = []

        async def handle(one: Any) -> None:
            seen.append((number(one), one.redelivered))
            if number(one) == 20 and len(seen) < 23:
                raise ZeroDivisionError

        consumer = consume(server.url, "FS1", "billing", retry=0.01, until_end=True)
        await consumer.run(handle)
        again = [(20, False), (20, True), (20, True)]
        assert seen == [*((n, False) for n in range(20)), *again, *((n, False) for n in range(21, 50))]
        assert (consumer.stats().failed, consumer.stats().handled) == (2, 50)
        await acknowledged(server, "billing")

    with caplog.at_level(logging.ERROR, "eslcodec.consume"):
        run(test)
    said = [record.getMessage() for record in caplog.records if record.name == "eslcodec.consume"]
    assert said == ["stream FS1: the handler failed at message 21"] * 2


def test_workers_keep_the_order_of_each_channel_also_when_they_fail(run: Any) -> None:
    async def test(server: Server) -> None:
        await fill(server, items(range(400), channels=16))
        seen: dict[str, list[int]] = defaultdict(list)
        failed: set[int] = set()
        busy = 0
        two = asyncio.Event()

        async def handle(one: Any) -> None:
            nonlocal busy
            busy += 1
            if busy > 1:
                two.set()
            await two.wait()  # two are at work at a time, though each message may come in a read of its own
            await asyncio.sleep(0)
            busy -= 1
            if number(one) % 7 == 0 and number(one) not in failed:
                failed.add(number(one))
                raise ZeroDivisionError
            seen[one["Unique-ID"]].append(number(one))

        await consume(server.url, "FS1", "billing", retry=0.001, until_end=True, window=64).run(handle, workers=4)
        assert seen == {f"channel-{n}": list(range(n, 400, 16)) for n in range(16)}
        await acknowledged(server, "billing")

    run(test)


def test_what_fails_too_often_is_given_up(run: Any) -> None:
    async def test(server: Server) -> None:
        await fill(server, items(range(10)))
        seen: list[int] = []

        def handle(one: Any) -> None:
            seen.append(number(one))
            if number(one) == 4:
                raise ZeroDivisionError

        for ordered, durable in ((True, "a"), (False, "b")):
            seen.clear()
            consumer = consume(server.url, "FS1", durable, ordered=ordered, retry=0.001, attempts=3, until_end=ordered)
            task = asyncio.ensure_future(consumer.run(handle))
            await acknowledged(server, durable)
            task.cancel()
            await asyncio.wait({task})
            assert sorted(seen) == sorted([*range(10), 4, 4])
            assert consumer.stats().given_up == 1

    run(test)


def test_programs_share_an_unordered_consumer(run: Any) -> None:
    async def test(server: Server) -> None:
        seen: list[int] = []
        failed: set[int] = set()
        who: set[str] = set()

        def handler(name: str) -> Callable[[Any], Awaitable[None]]:
            async def handle(one: Any) -> None:
                who.add(name)
                await asyncio.sleep(0.001)
                if number(one) % 50 == 0 and number(one) not in failed:
                    failed.add(number(one))
                    raise ZeroDivisionError
                seen.append(number(one))

            return handle

        settings: Any = {"ordered": False, "window": 20, "retry": 0.05}
        tasks = [
            asyncio.ensure_future(consume(server.url, "FS1", "both", **settings).run(handler(name), workers=3))
            for name in "ab"
        ]

        async def both_ask() -> bool:
            return bool((await consumer_info(server, "both")).num_waiting == 2)

        await until(both_ask, "two that wait")  # the first would have all before the other is there
        await fill(server, items(range(300)))
        await acknowledged(server, "both")
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert sorted(seen) == list(range(300))
        assert who == {"a", "b"}

    run(test)


def test_a_partition_has_all_events_of_its_channels(run: Any) -> None:
    async def test(server: Server) -> None:
        await fill(server, items(range(200), channels=50))
        found: list[int] = []
        for p in range(16):
            async with consume(server.url, "FS1", "billing", partition=p, until_end=True) as consumer:
                numbers = [number(one) async for one in consumer]
            assert numbers == [n for n in range(200) if partition(f"channel-{n % 50}", "fs1") == p]
            found += numbers
        assert sorted(found) == list(range(200))
        assert (await consumer_info(server, "billing-3")).config.filter_subject == "esl.v1.*.3.>"

    run(test)


def test_without_a_name_nothing_is_kept_and_all_comes_each_time(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eslcodec.ingest._pulling._INACTIVE", 3600.0)  # the server does not forget it by itself

    async def test(server: Server) -> None:
        await fill(server, items(range(100)))
        for window in (9, 1):  # with 1 the last message ends the request, too
            async with consume(server.url, "FS1", until_end=True, window=window) as consumer:
                assert [number(one) async for one in consumer] == list(range(100))
        connection = await client(server)

        async def is_gone() -> bool:
            return await connection.jetstream(timeout=ANSWER).consumers_info("FS1") == []

        await until(is_gone, "no consumer")
        await connection.close()

    run(test)


def test_it_begins_where_it_is_told(run: Any) -> None:
    async def test(server: Server) -> None:
        await fill(server, items(range(10)))
        now = datetime.now(timezone.utc)
        async with consume(server.url, "FS1", "new", begin="now") as consumer:
            task = asyncio.ensure_future(first(consumer, 1))
            await until(lambda: consumer_info(server, "new"), "a consumer")
            await fill(server, items(range(10, 20)))
            assert [number(one) for one in await task] == [10]
        async with consume(server.url, "FS1", begin=now, until_end=True) as consumer:
            assert [number(one) async for one in consumer] == list(range(10, 20))

    run(test)


def test_what_is_none_of_the_contract_is_passed_over_and_said(run: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def test(server: Server) -> None:
        bodies = [b"", b"hello", b'{"Event-Name":"DTMF"}', b'{"_id":"a","x":', b'{"_notice":1}', b'["_id"]']
        for body in bodies:
            await put(server, "esl.v1.fs1.0.X", body)
        await fill(server, items([7]), chained=False)
        async with consume(server.url, "FS1", "billing", until_end=True) as consumer:
            assert [number(one) async for one in consumer] == [7]
            assert consumer.stats().unreadable == len(bodies)
        await acknowledged(server, "billing")

    with caplog.at_level(logging.WARNING, "eslcodec.consume"):
        run(test)
    said = [record.getMessage() for record in caplog.records if "passed over" in record.getMessage()]
    assert said[1] == "stream FS1: message 2 is none of the contract: its 5 bytes are passed over"
    assert len(said) == 6


def test_little_is_held_and_what_is_larger_comes_alone(run: Any) -> None:
    async def test(server: Server) -> None:
        await fill(
            server, [*items(range(40), size=10_000), *items([40], size=200_000), *items(range(41, 60), size=9000)]
        )
        most = 0
        async with consume(server.url, "FS1", "billing", window_bytes=100_000, until_end=True) as consumer:
            found = []
            async for one in consumer:
                found.append(number(one))
                most = max(most, consumer.stats().held_bytes)
        assert found == list(range(60))
        assert 200_000 <= most < 210_000

    run(test)


def test_a_second_program_on_an_ordered_consumer_waits_until_the_first_is_gone(run: Any) -> None:
    async def test(server: Server) -> None:
        await fill(server, items(range(10)))
        async with consume(server.url, "FS1", "billing") as one:
            assert list(map(number, await first(one, 3))) == [0, 1, 2]
            second = consume(server.url, "FS1", "billing")
            async with second:
                task = asyncio.ensure_future(first(second, 7))

                async def waits() -> bool:
                    return "another program takes from consumer billing" in (second.stats().trouble or "")

                await until(waits, "it waits")
                await one.__aexit__(None)
                assert list(map(number, await task)) == list(range(3, 10))

    run(test)


def test_a_consumer_that_was_deleted_is_an_error(run: Any) -> None:
    async def test(server: Server) -> None:
        await fill(server, items(range(3)))
        async with consume(server.url, "FS1", "billing") as consumer:
            await first(consumer, 3)
            connection = await client(server)
            await connection.jetstream(timeout=ANSWER).delete_consumer("FS1", "billing")
            await connection.close()
            with pytest.raises(ConsumerGone, match="billing was deleted"):
                await first(consumer, 1)

    run(test)


def test_another_kind_of_consumer_of_that_name_is_refused(run: Any) -> None:
    async def test(server: Server) -> None:
        await fill(server, items(range(3)))
        async with consume(server.url, "FS1", "billing", ordered=False) as consumer:
            await first(consumer, 1)
        with pytest.raises(ValueError, match="has ack_policy explicit, expected all"):
            async with consume(server.url, "FS1", "billing") as consumer:
                await first(consumer, 1)
        with pytest.raises(ValueError, match="has the subjects"):
            async with consume(server.url, "FS1", "billing", subjects="esl.v1.fs1.>", ordered=False) as consumer:
                await first(consumer, 1)

    run(test)


def test_a_stream_that_is_not_there_is_waited_for(run: Any) -> None:
    async def test(server: Server) -> None:
        async with consume(server.url, "FS2", "billing") as consumer:
            task = asyncio.ensure_future(first(consumer, 5))

            async def in_trouble() -> bool:
                return "stream not found" in (consumer.stats().trouble or "")

            await until(in_trouble, "trouble")
            await make_stream(server, "FS2", "other.>")
            for n in range(5):
                await put(server, "other.x", b'{"_id":"a","X-Number":"%d"}' % n)
            assert [number(one) for one in await task] == list(range(5))
            assert consumer.stats().trouble is None

    run(test)


def test_a_server_that_is_killed_and_started_again_costs_nothing(run: Any) -> None:
    async def test(server: Server) -> None:
        await fill(server, items(range(3000)))
        found: list[int] = []
        kills = {500, 1500, 2500}
        async with consume(server.url, "FS1", "billing", window=100, ack_wait=2.0, until_end=True) as consumer:
            async for one in consumer:
                found.append(number(one))
                if number(one) in kills:
                    kills.remove(number(one))
                    server.kill()
                    await asyncio.sleep(0)
                    server.start()
                    await (await client(server)).close()
            assert consumer.stats().connects > 3
        assert found == list(range(3000))
        await acknowledged(server, "billing")

    run(test)


def test_a_handler_may_take_longer_than_the_server_waits(run: Any) -> None:
    async def test(server: Server) -> None:
        await fill(server, items(range(5)))
        found: list[Any] = []

        async def handle(one: Any) -> None:
            found.append((number(one), one.redelivered))
            if number(one) == 0:
                await asyncio.sleep(8.0)  # longer than ack_wait

        consumer = consume(server.url, "FS1", "billing", ack_wait=6.0, until_end=True)
        await consumer.run(handle)
        assert found == [(n, False) for n in range(5)]
        assert consumer.stats().repeats == 0

    run(test)


def test_two_that_take_from_an_ordered_consumer_at_once_are_told(run: Any) -> None:
    async def test(server: Server) -> None:
        await fill(server, items(range(1000)))
        async with consume(server.url, "FS1", "billing", window=4) as consumer:
            await first(consumer, 1)
            connection = await client(server)
            inbox = connection.new_inbox()

            async def ask(message: Any = None) -> None:
                if message is not None:
                    await message.ack()
                await connection.publish("$JS.API.CONSUMER.MSG.NEXT.FS1.billing", b'{"batch":1}', inbox)

            await connection.subscribe(inbox, cb=ask)
            is_told = asyncio.Event()

            async def feed() -> None:
                """Else the other one may have all that is left, and then there is nothing to see of it."""
                for n in itertools.count(1000):
                    if is_told.is_set():
                        return
                    await put(server, "esl.v1.fs1.0.X", b'{"_id":"%d","X-Number":"%d"}' % (n, n))

            for _ in range(3):
                await ask()
            feeding = asyncio.ensure_future(feed())
            try:
                with pytest.raises(ConsumerShared, match="another program takes from consumer billing"):
                    await first(consumer, 1_000_000)
            finally:
                is_told.set()
            await feeding
            await connection.close()

    run(test)
