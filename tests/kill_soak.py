"""The soak of the bridge: three emulated switches for an hour, and memory and descriptors that do not grow.

`python tests/kill_bridge.py --soak 3600` runs it.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kill_support import COMMAND, Broker, Program, Switch, descriptors, memory, until, users
from nats_support import Server, cluster

RATE: Final = 200  # events a second of each switch
SWITCHES: Final = 3
ROWS: Final = 20
MEMORY_MORE: Final = 0.10  # of what it was after a third
MEMORY_SPARE: Final = 8 << 20
DESCRIPTORS_SPARE: Final = 4


@dataclass(frozen=True)
class Row:
    """What a process has at a moment."""

    seconds: float
    memory: int
    descriptors: int


def grown(rows: list[Row]) -> list[str]:
    """What has grown since the first third, beyond bounds."""
    third = max(len(rows) // 3, 1)
    early, late = rows[third : 2 * third] or rows[:1], rows[-third:]
    before, after = (max(row.memory for row in some) for some in (early, late))
    wrong = []
    if after > before * (1 + MEMORY_MORE) + MEMORY_SPARE:
        wrong.append(f"memory grew from {before >> 20} to {after >> 20} MiB")
    before, after = (max(row.descriptors for row in some) for some in (early, late))
    if after > before + DESCRIPTORS_SPARE:
        wrong.append(f"descriptors grew from {before} to {after}")
    return wrong


class Soak:
    """Three switches, a recorder, a bridge, one server.

    Args:
        server: that runs.
        folder: for all files.
        seconds: how long.
        rate: events a second of each switch.
    """

    def __init__(self, server: Server, folder: Path, seconds: float, rate: float = RATE) -> None:
        self.rows: dict[str, list[Row]] = {}
        self.wrong: list[str] = []
        self.published = 0
        self._seconds, self._rate = seconds, rate
        self._broker = Broker([server], 120.0)
        self._switches = [Switch() for _ in range(SWITCHES)]
        hosts = [f"fs{number}=127.0.0.1:{switch.port}" for number, switch in enumerate(self._switches)]
        (folder / "spill").mkdir()
        limits = ["--events", "DTMF", "--min-free", "1%", "--quiet", "--keep-bytes", "256M", "--rotate", "8M"]
        recorder = [*COMMAND, "record", *hosts, "--dir", str(folder / "spill"), *limits]
        bridge = [*COMMAND, "bridge", *hosts, "--from", str(folder / "spill"), "--since", "all", "--to", server.url]
        self._programs = [
            Program("recorder", recorder, folder / "r"),
            Program("bridge", [*bridge, "--create-stream", "--drain", "150s"], folder / "b"),
        ]

    async def run(self) -> None:
        began = time.monotonic()
        try:
            for program in self._programs:
                program.start()
            for switch in self._switches:
                switch.say(f"fire {1 << 40} {self._rate}")
            for number in range(SWITCHES):
                await until(lambda number=number: self._has(number, 1), f"events of fs{number}")  # type: ignore[misc]
            while time.monotonic() - began < self._seconds:
                await asyncio.sleep(self._seconds / ROWS)
                self._look(time.monotonic() - began)
            counts = [await self._count(number) for number in range(SWITCHES)]
            for number, count in enumerate(counts):  # it still works
                await until(lambda number=number, count=count: self._has(number, count + 1), "more")  # type: ignore[misc]
            self.published = sum(counts)
            for program in self._programs:
                if (status := program.end()) != 0:
                    self.wrong.append(f"the {program.name} ended with status {status}: {program.log()[-500:]}")
        finally:
            for program in self._programs:
                program.kill()
            for switch in self._switches:
                switch.close()
        for name, rows in self.rows.items():
            self.wrong += [f"{name}: {what}" for what in grown(rows)]

    async def _count(self, number: int) -> int:
        info = await self._broker.ask(lambda context: context.stream_info(f"ESL-fs{number}"))
        return int(info.state.last_seq)

    async def _has(self, number: int, count: int) -> bool:
        return await self._count(number) >= count

    def _look(self, seconds: float) -> None:
        for program in self._programs:
            if program.status is not None:
                raise AssertionError(f"the {program.name} ended with status {program.status}: {program.log()[-500:]}")
            row = Row(seconds, memory(program.pid), descriptors(program.pid))
            self.rows.setdefault(program.name, []).append(row)


def main(binary: str, folder: Path, seconds: float) -> int:
    with cluster(binary, folder, config=users(True)) as (server,):
        soak = Soak(server, folder, seconds)
        try:
            asyncio.run(soak.run())
        except AssertionError as error:  # what was seen until then is worth an hour
            soak.wrong.append(f"{error}; the bridge said: {(folder / 'b').read_text(errors='replace')[-500:]}")
    print(f"{'s':>7}  {'recorder MiB':>12}{'descriptors':>13}  {'bridge MiB':>12}{'descriptors':>13}")
    for recorder, bridge in zip(*soak.rows.values(), strict=True):
        columns = [f"{row.memory / (1 << 20):12.1f}{row.descriptors:13}" for row in (recorder, bridge)]
        print(f"{recorder.seconds:7.0f}  {'  '.join(columns)}")
    print(f"{soak.published:,} messages of {SWITCHES} switches were published")
    for line in soak.wrong:
        print(f"WRONG {line}")
    return bool(soak.wrong)
