"""Streams as a bridge fills them, for tests of consumers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from nats_support import ANSWER, Server, client, until

from eslcodec import Event
from eslcodec.ingest.contract import Contract, Item, Place
from eslcodec.ingest.publisher import Publisher

CORE = "8f08a03a"
RECEIVED = 1796003318.25


def event(number: int, channel: int | None = None, name: str = "CHANNEL_STATE", **more: str) -> Event:
    """One of a switch, with its number in it."""
    headers = {"Core-UUID": CORE, "Event-Sequence": str(number), "X-Number": str(number), **more}
    if channel is not None:
        headers["Unique-ID"] = f"channel-{channel}"
    return Event.build(name, headers)


def items(numbers: Iterable[int], channels: int = 8, switch: str = "fs1", size: int = 0) -> list[Item]:
    """Messages of the contract: event n is of channel n modulo `channels`."""
    contract = Contract(switch, CORE)
    more = {"X-Fill": "x" * size} if size else {}
    return [contract.event(event(n, n % channels, **more), Place("f", 0, n, 7), RECEIVED) for n in numbers]


async def fill(server: Server, messages: Iterable[Item], stream: str = "FS1", chained: bool = True) -> None:
    """Have a publisher put them into a stream."""
    async with Publisher(server.url, stream, chained=chained) as publisher:
        for one in messages:
            await publisher.publish(one)
        assert await publisher.flush(60.0)


async def put(server: Server, subject: str, body: bytes, headers: dict[str, str] | None = None) -> None:
    """Put anything into whatever stream has the subject."""
    connection = await client(server)
    context = connection.jetstream(timeout=ANSWER)  # a second try would put it there twice
    await until(lambda: context.publish(subject, body, headers=headers), "an acknowledgement")
    await connection.close()


async def consumer_info(server: Server, durable: str, stream: str = "FS1") -> Any:
    """What the server says of a consumer."""
    connection = await client(server)
    try:
        return await until(lambda: connection.jetstream(timeout=ANSWER).consumer_info(stream, durable), "a consumer")
    finally:
        await connection.close()


async def acknowledged(server: Server, durable: str, stream: str = "FS1") -> None:
    """Until all was delivered and acknowledged."""

    async def is_so() -> bool:
        info = await consumer_info(server, durable, stream)
        return bool(info.num_pending == 0 and info.num_ack_pending == 0)

    await until(is_so, "all acknowledged")


def number(item: Any) -> int:
    """Of an event of these."""
    return int(item["X-Number"])


async def first(consumer: Any, count: int) -> list[Any]:
    """So many events of a consumer that is open, the last one not acknowledged yet."""
    found: list[Any] = []
    async for one in consumer:
        found.append(one)
        if len(found) == count:
            return found
    return found


async def some(seconds: float, work: Any) -> Any:
    """What comes of it, in time."""
    return await asyncio.wait_for(work, seconds)
