"""A fleet of emulated switches, each cut, frozen and restarted at random, as long as you like.

    python tests/fleet_soak.py [SWITCHES] [SECONDS]

By default 50 switches and ten minutes. Each fires numbered events all the time. What came must be what was fired, in
order, but for what lies in the gaps that were told; descriptors, tasks and memory must not grow. The tests run it with
few switches for some seconds.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ports import free_ports

from eslcodec import Event, Gap
from eslcodec.emulator import Emulator
from eslcodec.ingest import CoreChanged, Fleet, Started, Stopped
from eslcodec.reconnect import Backoff

PAUSE: Final = 0.002  # seconds between two rounds of events
REPORT: Final = 10.0
BODY: Final = "x" * 300


@dataclass
class Played:
    """One emulated switch, and what was done to it."""

    name: str
    switch: Emulator
    fired: int = 0
    done: Counter[str] = field(default_factory=Counter)

    def fire(self) -> None:
        self.switch.fire("DTMF", {"N": str(self.fired + 1)}, BODY)
        self.fired += 1

    def suffer(self, what: str, chance: random.Random) -> None:
        """Cut, frozen or restarted."""
        self.done[what] += 1
        if what == "cut":
            self.switch.drop()
        elif what == "freeze":
            self.switch._run(lambda: time.sleep(chance.uniform(0.01, 0.3)))
        else:
            port = self.switch.port
            self.switch.stop()
            time.sleep(chance.uniform(0, 0.1))
            self.switch = Emulator(port=port).start()


@dataclass
class Seen:
    """What came of one switch."""

    last: int = 0
    came: int = 0
    in_gaps: int = 0
    gaps: int = 0
    cores: int = 0
    open: Gap | None = None
    wrong: list[str] = field(default_factory=list)

    def take(self, items: list[Any]) -> None:
        for item in items:
            if isinstance(item, Gap):
                self.gaps += 1
                self.open = item
            elif isinstance(item, CoreChanged):
                self.cores += 1
            elif isinstance(item, Event):
                self._event(item)
            elif isinstance(item, Started) and self.came:
                self.wrong.append(f"{item} in the middle")

    def _event(self, event: Event) -> None:
        number = int(event["N"])
        missing = number - self.last - 1
        self.came += 1
        if missing < 0:
            self.wrong.append(f"{number} after {self.last}")
        elif missing and self.open is None and self.last:
            self.wrong.append(f"{number} after {self.last}, and no gap")
        elif self.open is not None and self.open.at_most is not None and missing > self.open.at_most:
            self.wrong.append(f"{missing} are missing, at most {self.open.at_most} were told")
        self.in_gaps += missing
        self.last, self.open = number, None


class Soak:
    """See above.

    Args:
        count: of switches.
        seconds: how long.
        seed: of what happens when.
        faults: how many a second there are, over all switches.
        say: called with a line now and then.
    """

    def __init__(self, count: int, seconds: float, seed: int, faults: float, say: Any = lambda line: None) -> None:
        self._chance = random.Random(seed)
        self._seconds = seconds
        self._faults = faults
        self._say = say
        ports = free_ports(count)  # which nobody else gets while one is restarted
        self.played = [Played(f"fs{number:02}", Emulator(port=port).start()) for number, port in enumerate(ports)]
        self.seen = {played.name: Seen() for played in self.played}
        self.marks: list[tuple[int, int, int]] = []  # descriptors, tasks, memory
        self._over = threading.Event()

    def run(self) -> None:
        thread = threading.Thread(target=self._play)
        try:
            asyncio.run(self._read(thread))
        finally:
            self._over.set()
            thread.join()
            for played in self.played:
                played.switch.stop()

    def _play(self) -> None:
        """Fire events, and have things go wrong."""
        due = time.monotonic()
        while not self._over.wait(PAUSE):
            for played in self.played:
                played.fire()
            if time.monotonic() >= due:
                due += self._chance.expovariate(self._faults)
                what = self._chance.choices(["cut", "freeze", "restart"], [4, 4, 2])[0]
                self._chance.choice(self.played).suffer(what, self._chance)

    async def _read(self, thread: threading.Thread) -> None:
        hosts = [f"{played.name}=127.0.0.1:{played.switch.port}" for played in self.played]
        backoff = Backoff(first=0.05, longest=0.5)
        end, report = time.monotonic() + self._seconds, time.monotonic() + min(REPORT, self._seconds / 5)
        async with Fleet(hosts, dials_per_second=200, backoff=backoff, events=["DTMF"]) as fleet:
            while not all(stats.connected for stats in fleet.switches.values()):
                await self._take(fleet)
            thread.start()
            while time.monotonic() < end:
                await self._take(fleet)
                if time.monotonic() > report:
                    report += min(REPORT, self._seconds / 5)
                    self._mark(fleet)
            self._over.set()
            await asyncio.to_thread(thread.join)
            await self._settle(fleet)
            self.stats = fleet.switches

    async def _settle(self, fleet: Fleet) -> None:
        """Until the last event of each has come, and the gap of each connection that was set up again."""
        end = time.monotonic() + 30

        def is_missing(played: Played) -> bool:
            return self.seen[played.name].last < played.fired

        def is_behind(played: Played) -> bool:
            stats = fleet.switches[played.name]
            return is_missing(played) or stats.gaps != stats.reconnects

        while any(map(is_behind, self.played)):
            assert time.monotonic() < end, f"not all came: {self.seen}"
            for played in self.played:
                if is_missing(played):
                    played.fire()  # the last ones may have been fired into a gap
            for _ in range(5):
                await self._take(fleet)

    async def _take(self, fleet: Fleet) -> None:
        for name, items in await fleet.take(timeout=0.05):
            if not any(isinstance(item, Stopped) for item in items):
                self.seen[name].take(items)
            else:
                self.seen[name].wrong.append("it was stopped")

    def _mark(self, fleet: Fleet) -> None:
        gc.collect()
        self.marks.append((descriptors(), len(asyncio.all_tasks()), memory()))
        stats = fleet.stats()
        self._say(
            f"{stats.connected}/{stats.switches} connected, {stats.received_events:,} events, {stats.reconnects} "
            f"reconnections, {self.marks[-1][0]} descriptors, {self.marks[-1][1]} tasks, {memory() >> 20} MiB"
        )

    def verdict(self) -> list[str]:
        """What is not as it should be."""
        wrong = [f"{name}: {one}" for name, seen in self.seen.items() for one in seen.wrong]
        for played in self.played:
            seen, stats = self.seen[played.name], self.stats[played.name]
            if seen.came + seen.in_gaps != seen.last:
                wrong.append(f"{played.name}: {seen.came} came and {seen.in_gaps} lie in gaps, {seen.last} were fired")
            if (stats.gaps, stats.core_changes) != (seen.gaps, seen.cores) or stats.gaps != stats.reconnects:
                wrong.append(f"{played.name}: {stats} counts otherwise than {seen}")
            if played.done["restart"] < seen.cores:
                wrong.append(f"{played.name}: {seen.cores} runs, and {played.done['restart']} restarts")
        return wrong


def descriptors() -> int:
    folder = Path("/proc/self/fd")
    return len(os.listdir(folder)) if folder.exists() else 0


def memory() -> int:
    """Bytes of this process."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def main(count: int, seconds: float) -> int:
    logging.getLogger("eslcodec").setLevel(logging.CRITICAL)
    before = descriptors()
    soak = Soak(count, seconds, random.randrange(1 << 32), faults=count / 10, say=lambda line: print(line, flush=True))
    soak.run()
    wrong = soak.verdict()
    done = sum((played.done for played in soak.played), Counter())
    fired, came, in_gaps = (
        sum(getattr(one, name) for one in soak.seen.values()) for name in ("last", "came", "in_gaps")
    )
    print(f"{fired:,} fired, {came:,} came, {in_gaps:,} in gaps; {dict(done)}")
    third = len(soak.marks) // 3
    first, last = soak.marks[third][2], soak.marks[-1][2]
    print(f"descriptors: {before} before, {descriptors()} after; memory {(last - first) / first:+.1%} since a third")
    for line in wrong[:20]:
        print("WRONG", line)
    return bool(wrong) or descriptors() > before


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else 50, float(sys.argv[2]) if sys.argv[2:] else 600))
