"""Two bridges for one switch, each with a recording of its own; and what is published again under another prefix."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import rolling_restarts
from nats_support import (
    ANSWER,
    BINARIES,
    BINARY_IDS,
    Server,
    client,
    cluster,
    needs_server,
    once,
    patient,
    stored,
    until,
)
from recorder_support import GREETING
from recordings_support import Tape
from sizes import HEAVY
from support import plain

from eslcodec.ingest import Host, notices
from eslcodec.ingest._bridges import Bridges
from eslcodec.ingest._spill import Spill, kept
from eslcodec.ingest.bridge import Bridge, check_replay, stream_config
from eslcodec.ingest.contract import Contract, Subjects
from eslcodec.ingest.publisher import StreamEnd

NAME = "20261130T014838Z-000001.esl.zst"
CORE = "8f08a03a"
LONG_AGO = time.time() - 86_400.0
BOTH = int(10_000 * HEAVY)


def event(number: int) -> bytes:
    text = b"Event-Name: DTMF\nCore-UUID: 8f08a03a\nEvent-Sequence: %d\nUnique-ID: u%d\n\n" % (number, number % 7)
    return plain(text)


def ids(numbers: Iterable[int]) -> list[str]:
    return [f"{CORE}:{number}" for number in numbers]


class Writer:
    """A recording that grows, of one of the bridges; its notices are its own."""

    def __init__(self, folder: Path, connection: int, begin: float = LONG_AGO) -> None:
        folder.mkdir(parents=True)
        self.tape = Tape(begin=begin)
        self.tape.open(connection)
        self.tape.note(**notices.to_note(notices.Started("x", begin, "127.0.0.1", 8021, core_uuid=CORE)))
        self.tape.chunk(GREETING)
        self._path = folder / NAME
        self._written = 0

    def connect(self, connection: int) -> None:
        """The recorder begins anew."""
        self.tape.open(connection)
        self.tape.note(note="opened", peer=["fs1", 8021])
        self.tape.chunk(GREETING)

    def events(self, numbers: Iterable[int], cut: int = 100) -> None:
        """Events in chunks that end anywhere."""
        data = b"".join(map(event, numbers))
        for at in range(0, len(data), cut * 97):
            self.tape.chunk(data[at : at + cut * 97])
        data = self.tape.bytes(closed=False)
        with self._path.open("ab") as file:
            file.write(data[self._written :])
        self._written = len(data)


def bridge_of(folder: Path, server: Server, replicas: int = 1, window: float = 120.0, **options: Any) -> Bridge:
    contract = options.pop("contract", Contract("fs1"))
    config = stream_config("FS1", [contract.subjects.pattern("fs1")], replicas)
    config["duplicate_window"] = int(window * 1e9)
    return Bridge(folder, server.url, "FS1", contract, **{"create": config, "begin": "all", "overlap": True, **options})


async def publish(bridge: Bridge) -> None:
    """All that is recorded."""
    bridge.finish()
    assert await bridge.run()


async def events_in(server: Server, stream: str = "FS1") -> list[str]:
    return [id for id, _ in await stored(server, stream) if not id.startswith("n:")]


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


async def both(server: Server, folder: Path, count: int, replicas: int = 1) -> list[Bridge]:
    """Two bridges run at once for long; each lacks what the other has."""
    gaps = range(count // 4, count // 4 + 50), range(count // 2, count // 2 + 50)
    writers = [Writer(folder / str(number), number + 1, time.time()) for number in range(2)]
    bridges = [bridge_of(folder / str(number), server, replicas) for number in range(2)]
    tasks = [asyncio.create_task(bridge.run()) for bridge in bridges]
    step = count // 20
    for begin in range(0, count, step):
        for number, writer in enumerate(writers):
            mine = [one for one in range(begin, begin + step) if one not in gaps[number]]
            writer.events(mine, cut=7 + 5 * number)
        bridge = bridges[begin // step % 2]  # the other one comes behind

        async def is_so(bridge: Bridge = bridge, most: int = begin) -> bool:
            return bridge.stats().publisher.acknowledged >= most * 9 // 10

        await until(is_so, f"more than {bridge.stats()}")
    for bridge in bridges:
        bridge.finish()
    assert await asyncio.gather(*tasks) == [True, True]
    return bridges


@pytest.mark.heavy
@needs_server
@once
def test_two_bridges_that_run_for_long_put_each_event_in_once(run: Any, tmp_path: Path) -> None:
    """Each lacks something that the other has."""

    async def test(server: Server) -> None:
        bridges = await both(server, tmp_path / "peers", BOTH)
        assert sorted(await events_in(server)) == sorted(ids(range(BOTH)))
        stats = [bridge.stats().publisher for bridge in bridges]
        assert [one.acknowledged for one in stats] == [BOTH - 50 + 1, BOTH - 50 + 1]  # and a notice each
        again = sum(one.duplicates + one.found for one in stats)
        stops = {kind for one in stats for kind in one.stops}
        assert again >= BOTH - 100 if stops else again == BOTH - 100  # after a stop some of its own come again, too
        assert stops <= {"timeout", "connection", "no_responders"}
        assert [one.disagreements for one in stats] == [0, 0]

    run(test)


@pytest.mark.heavy
@needs_server
@once
@pytest.mark.parametrize("binary", BINARIES, ids=BINARY_IDS)
def test_two_bridges_and_a_cluster(tmp_path: Path, binary: str) -> None:
    """There a server refuses an identity while the same one is under way."""

    async def test(server: Server) -> None:
        bridges = await both(server, tmp_path / "peers", BOTH, replicas=3)
        assert sorted(await events_in(server)) == sorted(ids(range(BOTH)))
        stats = [bridge.stats().publisher for bridge in bridges]
        again = sum(one.duplicates + one.found for one in stats)
        stops = {kind for one in stats for kind in one.stops}
        assert again >= BOTH - 100 if stops else again == BOTH - 100  # after a stop some of its own come again, too
        assert stops <= {"timeout", "connection", "no_responders"}

    with cluster(binary, tmp_path, 3) as servers:
        asyncio.run(asyncio.wait_for(test(servers[1]), 90))


@pytest.mark.heavy
@needs_server
@once
def test_a_new_bridge_finds_its_place_by_identity(run: Any, tmp_path: Path) -> None:
    """The window for duplicates is over: what is there once is so because it was not published again."""

    async def test(server: Server) -> None:
        for number in range(2):
            Writer(tmp_path / str(number), number + 1).events(range(3000 + number * 10))
        await publish(bridge_of(tmp_path / "0", server, window=0.1))
        bridge = bridge_of(tmp_path / "1", server)
        await publish(bridge)
        assert await events_in(server) == ids(range(3010))
        stats = bridge.stats().publisher
        assert (stats.acknowledged, stats.found, stats.duplicates) == (2058, 2048, 0)

    run(test)


@pytest.mark.heavy
@needs_server
@once
def test_what_the_other_one_lacks_comes_late_rather_than_never(run: Any, tmp_path: Path) -> None:
    async def test(server: Server) -> None:
        kept = [*range(2000, 2300), *range(2600, 3000)]
        Writer(tmp_path / "0", 1).events(kept)
        Writer(tmp_path / "1", 2).events(range(3000))
        await publish(bridge_of(tmp_path / "0", server, window=0.1))
        await publish(bridge_of(tmp_path / "1", server))
        assert await events_in(server) == ids([*kept, *range(2300, 2600)])

    run(test)


@pytest.mark.heavy
@needs_server
@once
@pytest.mark.parametrize(("begin", "first"), [("all", 0), ("now", 1000)])
def test_where_it_begins_if_the_stream_has_nothing_of_it(run: Any, tmp_path: Path, begin: Any, first: int) -> None:
    """ "now" is what the window for duplicates has for sure: the other one may be ahead by what is being recorded."""

    async def test(server: Server) -> None:
        Writer(tmp_path / "0", 1).events(range(5000, 5010))
        writer = Writer(tmp_path / "1", 2)
        writer.events(range(1000), cut=10_000)
        writer.tape.now = time.time()
        writer.events(range(1000, 1010))
        await publish(bridge_of(tmp_path / "0", server))
        await publish(bridge_of(tmp_path / "1", server, begin=begin))
        assert await events_in(server) == ids([*range(5000, 5010), *range(first, 1010)])

    run(test)


@pytest.mark.heavy
@needs_server
@once
@pytest.mark.parametrize("is_back", [False, True])
def test_a_new_bridge_waits_until_they_meet(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_back: bool
) -> None:
    """What the other one has recorded and not yet published is older."""
    monkeypatch.setattr("eslcodec.ingest.bridge.MEET_SECONDS", 60.0)

    async def test(server: Server) -> None:
        writer = Writer(tmp_path / "0", 1, time.time())
        writer.events(range(10))
        other = Writer(tmp_path / "1", 2, time.time())
        if is_back:
            other.events(range(10))
            other.connect(3)
        other.events(range(100, 110))
        await publish(bridge_of(tmp_path / "0", server))
        bridge = bridge_of(tmp_path / "1", server)
        task = asyncio.create_task(bridge.run())

        async def has_looked() -> bool:
            return bridge.stats().publisher.connects > 2

        await until(has_looked)
        writer.events(range(10, 105))
        await publish(bridge_of(tmp_path / "0", server))
        bridge.finish()
        assert await task
        assert await events_in(server) == ids(range(110))

    run(test)


@pytest.mark.heavy
@needs_server
@once
@pytest.mark.parametrize(("seconds", "is_finishing"), [(0.2, False), (600.0, True)])
def test_it_does_not_wait_for_ever_to_meet(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, is_finishing: bool
) -> None:
    monkeypatch.setattr("eslcodec.ingest.bridge.MEET_SECONDS", seconds)

    async def test(server: Server) -> None:
        Writer(tmp_path / "0", 1, time.time()).events(range(10))
        Writer(tmp_path / "1", 2, time.time()).events(range(100, 110))
        await publish(bridge_of(tmp_path / "0", server))
        bridge = bridge_of(tmp_path / "1", server)
        if is_finishing:
            bridge.finish()
        task = asyncio.create_task(bridge.run())

        async def is_done() -> bool:
            return bridge.stats().publisher.acknowledged == 11

        await until(is_done)
        bridge.stop()
        assert await task
        assert await events_in(server) == ids([*range(10), *range(100, 110)])

    run(test)


@pytest.mark.heavy
@needs_server
@once
def test_a_bridge_that_comes_back_goes_on_from_its_own_place(run: Any, tmp_path: Path) -> None:
    """Not behind what the other one published meanwhile, which may have lacked something."""

    async def test(server: Server) -> None:
        writers = [Writer(tmp_path / str(number), number + 1) for number in range(2)]
        writers[0].events(range(100))
        await publish(bridge_of(tmp_path / "0", server))
        writers[1].events([*range(100), *range(200, 300)])
        await publish(bridge_of(tmp_path / "1", server))
        writers[0].events(range(100, 300))
        await publish(bridge_of(tmp_path / "0", server))
        assert await events_in(server) == ids([*range(100), *range(200, 300), *range(100, 200)])

    run(test)


@pytest.mark.heavy
@needs_server
@once
@pytest.mark.timeout(200)
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_rolling_restarts_under_load_lose_nothing(tmp_path: Path) -> None:
    async def test(server: Server) -> rolling_restarts.Result:
        return await rolling_restarts.roll(server, tmp_path / "spill", 3, 200)

    with cluster(BINARIES[-1], tmp_path) as (server,):
        result = asyncio.run(asyncio.wait_for(test(server), 180))
    assert (result.missing, result.twice) == ([], 0)
    assert result.fired > 100


def test_what_is_missing_twice_or_late_is_seen() -> None:
    found = [(1, "a"), (2, "b"), (4, "d"), (3, "c"), (4, "d")]
    assert rolling_restarts.judge(5, found) == rolling_restarts.Result(5, [5], twice=1, late=1)


# What is published again


def old_and_new(folder: Path) -> float:
    """A recording with a pause in it, and a time in the pause."""
    writer = Writer(folder, 1)
    writer.events(range(100))
    at = writer.tape.now + 500
    writer.tape.now += 1000
    writer.events(range(100, 200))
    return at


@pytest.mark.heavy
@needs_server
@once
def test_it_begins_with_what_was_received_from_a_time_on(run: Any, tmp_path: Path) -> None:
    async def test(server: Server) -> None:
        at = old_and_new(tmp_path / "0")
        await publish(bridge_of(tmp_path / "0", server, begin=at, overlap=False))
        assert await events_in(server) == ids(range(100, 200))
        bridge = bridge_of(tmp_path / "0", server, begin=1.0, overlap=False)
        await publish(bridge)
        assert await events_in(server) == ids(range(100, 200))
        assert "a place is kept" in bridge.stats().warnings[-1]

    run(test)


@pytest.mark.heavy
@needs_server
@once
def test_a_replay_goes_to_another_stream_and_has_a_place_of_its_own(run: Any, tmp_path: Path) -> None:
    spill = tmp_path / "rec"

    async def play(server: Server, **options: Any) -> Bridges:
        bridges = Bridges(spill, [server.url], hosts=[Host("fs1", "10.0.0.1")], create=1, **options)
        task = asyncio.create_task(bridges.run())
        await asyncio.sleep(0)
        bridges.keep_running()
        task.cancel()
        await asyncio.wait({task})
        assert await bridges.finish(30.0), bridges.failures
        return bridges

    async def test(server: Server) -> None:
        at = old_and_new(spill / "10.0.0.1_8021")
        await play(server)
        await play(server, prefix="replay.may", begin=at, keep=0.0)
        bridges = await play(server, prefix="replay.may", begin="all")
        assert bridges.delete() == 0
        assert bridges.bridges["fs1"].stats().publisher.acknowledged == 0
        assert await events_in(server, "ESL-fs1") == ids(range(200))
        found = await stored(server, "ESL-fs1-replay-may")
        assert [id for id, _ in found] == ids(range(100, 200))
        assert found[0][1] == "replay.may.fs1.12.DTMF"
        places = sorted(path.name for path in spill.glob("*/*.place"))
        assert places == ["ESL-fs1-replay-may.replay.may.place", "ESL-fs1.place"]

    run(test)


@pytest.mark.heavy
@needs_server
@once
def test_a_replay_into_the_stream_of_what_is_live_is_refused(run: Any, tmp_path: Path) -> None:
    async def test(server: Server) -> None:
        connection = await client(server)
        context = connection.jetstream(timeout=ANSWER)
        await context.add_stream(name="FS1", subjects=["esl.v1.fs1.>", "again.fs1.>"])
        await connection.close()
        old_and_new(tmp_path / "0")
        bridge = bridge_of(tmp_path / "0", server, contract=Contract("fs1", subjects=Subjects.under("again")))
        with pytest.raises(ValueError, match=r"stream FS1 takes esl\.v1\.fs1\.>, where live events are"):
            await bridge.run()
        assert await events_in(server) == []

    run(test)


# Without a server


@pytest.mark.parametrize("subject", [">", "*.>", "esl.>", "esl.v1.>", "esl.*.fs1.>", "*.*.*.*.*"])
def test_where_live_events_can_be_is_no_place_for_a_replay(subject: str) -> None:
    with pytest.raises(ValueError, match="needs a stream of its own"):
        check_replay({"name": "FS1", "subjects": ["a.b", subject]}, "again")


@pytest.mark.parametrize("subject", ["again.>", "esl.v2.>", "esl-v1.>", "*.v2.>"])
def test_a_stream_without_live_events_may_have_a_replay(subject: str) -> None:
    check_replay({"name": "FS1", "subjects": [subject]}, "again")
    check_replay({"name": "FS1", "subjects": None}, "again")


def test_bridges_that_overlap_need_a_window_for_duplicates(tmp_path: Path) -> None:
    bridge = Bridge(tmp_path, "nats://127.0.0.1:1", "FS1", Contract("fs1"), overlap=True)
    with pytest.raises(ValueError, match="no window for duplicates: bridges cannot overlap"):
        bridge._check(StreamEnd({"name": "FS1", "metadata": {"esl-partitions": "16"}}, 1 << 20, 0, None, None))


def test_while_the_broker_is_away_it_says_how_old_the_spill_is(tmp_path: Path) -> None:
    bridge = Bridge(tmp_path / "0", "nats://127.0.0.1:1", "FS1", Contract("fs1"), begin="all")
    bridge.look()
    assert bridge.stats().oldest is None
    writer = Writer(tmp_path / "0", 1)
    writer.events(range(10))
    bridge.look()
    assert bridge.stats().oldest == pytest.approx(LONG_AGO, abs=0.001)
    place = Spill(tmp_path / "0").read(5)[-1].place
    (tmp_path / "0" / "FS1.place").write_text(f'{{"place": "{place}", "id": "x"}}')
    assert kept(tmp_path / "0", "FS1") is not None
    later = Bridge(tmp_path / "0", "nats://127.0.0.1:1", "FS1", Contract("fs1"))
    later.look()
    assert later.stats().oldest == pytest.approx(LONG_AGO + 1, abs=0.001)


@pytest.mark.parametrize("prefix", ["", ".", "a.", "a b", "a.*", "_x", "{Unique-ID}", "a/b"])
def test_a_prefix_is_words(prefix: str) -> None:
    with pytest.raises(ValueError, match=r"expected words with dots between them|begins with no word"):
        Bridges("rec", ["nats://127.0.0.1:1"], prefix=prefix)
