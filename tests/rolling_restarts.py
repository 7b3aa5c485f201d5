"""Rolling restarts of bridges that overlap, under load: no event may be missing.

    python tests/rolling_restarts.py [--restarts 50] [--rate 400]

An emulated switch fires numbered events all the time. Each bridge, with a recording of its own, is up before the one
before it is told SIGTERM. At the end the stream must have each event at least once. It needs a `nats-server`. The tests
run it with three restarts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from nats_support import BINARIES, Server, client, cluster, until

from eslcodec.emulator import Emulator
from eslcodec.ingest import Fleet, Host, Recorder, notices
from eslcodec.ingest._bridges import Bridges

STREAM: Final = "ESL-fs1"
DRAIN: Final = 20.0
TOGETHER: Final = 0.5  # seconds in which both run, once the new one is up


async def bridge(port: int, folder: str, url: str) -> int:
    """As `eslcodec bridge` does it; a line when it records, and one at the end."""
    recorders: list[Recorder] = []

    def tap(name: str) -> Recorder:
        recorders.append(Recorder(folder, chunk_seconds=0.2))
        return recorders[-1]

    hosts = [Host("fs1", "127.0.0.1", port)]
    bridges = Bridges(folder, [url], hosts=hosts, create=1, overlap=True)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    publishing = asyncio.ensure_future(bridges.run())
    async with Fleet(hosts, tap=tap, events=["DTMF"], password="ClueCon") as fleet:
        while not stop.is_set():
            for _, messages in await fleet.take(2000, 0.1):
                if any(isinstance(message, notices.Started) for message in messages):
                    print("up", flush=True)
    for recorder in recorders:
        await asyncio.to_thread(recorder.close)
    bridges.keep_running()
    publishing.cancel()
    await asyncio.wait({publishing})
    is_done = await bridges.finish(DRAIN)
    print(bridges.summary(), flush=True)
    return 0 if is_done else 1


class Bridge:
    """A process with a bridge."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    @classmethod
    async def start(cls, port: int, folder: Path, url: str) -> Bridge:
        """One that records already."""
        command = [sys.executable, __file__, "--bridge", str(port), str(folder), url]
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        if await process.stdout.readline() != b"up\n":
            raise RuntimeError(f"a bridge ended with {await process.wait()}")
        return cls(process)

    async def end(self) -> None:
        self.process.terminate()
        out, _ = await self.process.communicate()
        if self.process.returncode:
            raise RuntimeError(f"a bridge ended with {self.process.returncode}: {out.decode()}")

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            self.process.kill()


class Load:
    """Fires numbered events all the time, from a thread."""

    def __init__(self, switch: Emulator, rate: int) -> None:
        self.fired = 0
        self._switch, self._rate = switch, rate
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Fire no more."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        began = time.monotonic()
        while not self._over.wait(0.005):
            for _ in range(int((time.monotonic() - began) * self._rate) - self.fired):
                self.fired += 1
                self._switch.fire("DTMF", {"X-Number": str(self.fired), "Unique-ID": f"u{self.fired % 7}"})


@dataclass(frozen=True)
class Result:
    """What is in the stream in the end.

    Attributes:
        fired: how many events the switch fired.
        missing: which are not there.
        twice: how many identities are there more than once.
        late: how many events stand behind a later one.
    """

    fired: int
    missing: list[int]
    twice: int
    late: int


async def numbers_in(server: Server, stream: str = STREAM) -> list[tuple[int, str]]:
    """Number and identity of each event in a stream, in its order."""
    connection = await client(server)
    context = connection.jetstream(timeout=10)
    found: list[tuple[int, str]] = []
    state = (await context.stream_info(stream)).state
    reader = await context.subscribe("", stream=stream, ordered_consumer=True)
    for _ in range(state.messages):
        message = await reader.next_msg(timeout=30)
        number = json.loads(message.data).get("X-Number")
        if number is not None:
            found.append((int(number), message.headers["Nats-Msg-Id"]))
    await connection.close()
    return found


def judge(fired: int, found: list[tuple[int, str]]) -> Result:
    """What is wrong with what a stream has."""
    most, late = 0, 0
    for number, _ in found:
        late += number < most
        most = max(most, number)
    there = {number for number, _ in found}
    ids = Counter(id for _, id in found)
    missing = [number for number in range(1, fired + 1) if number not in there]
    return Result(fired, missing, sum(count > 1 for count in ids.values()), late)


async def has_number(server: Server, number: int, stream: str = STREAM) -> None:
    """Wait until an event is among the last of a stream."""
    connection = await client(server)
    context = connection.jetstream(timeout=5)

    async def is_there() -> bool:
        last = (await context.stream_info(stream)).state.last_seq
        messages = [await context.get_msg(stream, each) for each in range(max(last - 20, 0) + 1, last + 1)]
        return any(json.loads(message.data).get("X-Number") == str(number) for message in messages)

    await until(is_there, f"event {number}")
    await connection.close()


@asynccontextmanager
async def running() -> AsyncIterator[list[Bridge]]:
    """Bridges that are put in there end with this, whatever happens."""
    bridges: list[Bridge] = []
    try:
        yield bridges
    finally:
        for one in bridges:
            one.kill()
            await one.process.wait()


async def roll(server: Server, spill: Path, restarts: int, rate: int, say: Any = lambda line: None) -> Result:
    """So many rolling restarts. Two in three bridges come back to the folder of the last but one, with the place that
    it kept; every third has a new one."""
    with Emulator() as switch:
        async with running() as bridges:
            bridges.append(await Bridge.start(switch.port, spill / "0", server.url))
            with Load(switch, rate) as load:
                for number in range(1, restarts + 1):
                    folder = spill / (f"new{number}" if number % 3 == 0 else str(number % 2))
                    bridges.append(await Bridge.start(switch.port, folder, server.url))
                    await asyncio.sleep(TOGETHER)  # no waiting for anything: both run
                    await bridges.pop(0).end()
                    say(f"restart {number}: {load.fired} events")
                load.end()
                await has_number(server, load.fired)
            await bridges.pop().end()
    return judge(load.fired, await numbers_in(server))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--restarts", type=int, default=50)
    parser.add_argument("--rate", type=int, default=400, help="events a second")
    parser.add_argument("--bridge", nargs=3, metavar=("PORT", "FOLDER", "URL"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.bridge:
        port, folder, url = given.bridge
        return asyncio.run(bridge(int(port), folder, url))
    with tempfile.TemporaryDirectory() as name, cluster(BINARIES[-1], Path(name)) as (server,):
        result = asyncio.run(roll(server, Path(name) / "spill", given.restarts, given.rate, print))
    print(f"{result.fired} fired, {len(result.missing)} missing, {result.twice} twice, {result.late} late")
    return 1 if result.missing else 0


if __name__ == "__main__":
    sys.exit(main())
