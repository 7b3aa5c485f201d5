"""`Fleet` against emulated switches: the stream of each, and what is said in it."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fleet_support import Stream, at, eventually, fire, quick, run
from ports import free_port
from shells import Switch
from support import plain, until

from eslcodec import ConnectionClosed, Event, LogLine, limits
from eslcodec.emulator import Emulator, Fault, User
from eslcodec.ingest import Fleet, Host, Notice, Recorder
from eslcodec.ingest.resync import Resync
from eslcodec.reconnect import Backoff


def test_events_of_each_switch_come_in_order_behind_its_started() -> None:
    async def main(switches: list[Emulator]) -> Stream:
        async with quick([at(f"fs{n}", switch) for n, switch in enumerate(switches)]) as fleet:
            stream = Stream(fleet)
            await stream.connected(*(f"fs{n}" for n in range(3)))
            for number in range(300):
                for switch in switches:
                    fire(switch, number)
            await stream.until(lambda: sum(map(len, stream.came.values())) == 3 * 301)
            return stream

    with Emulator() as one, Emulator() as two, Emulator() as three:
        stream = run(main([one, two, three]))
        cores = [switch._switch.core.uuid for switch in (one, two, three)]
    for number in range(3):
        name = f"fs{number}"
        started = stream.came[name][0]
        assert (started.kind, started.switch, started.core_uuid) == ("started", name, cores[number])
        assert (started.hostname, started.switchname, started.host) == ("emulator", "emulator", "127.0.0.1")
        assert started.version.startswith("FreeSWITCH")
        assert stream.numbers(name) == list(range(300))


def test_started_comes_before_all_that_is_said_of_its_first_event() -> None:
    """The events are there as soon as they are subscribed to, and tell of another run than the switch did."""

    async def main(switch: Emulator) -> Stream:
        async with quick([at("lab", switch)]) as fleet:
            stream = Stream(fleet)
            await stream.until(lambda: len(stream.came["lab"]) > 3)
            return stream

    with Emulator(replay=plain(b"Event-Name: DTMF\nCore-UUID: another\n\n") * 9) as switch:
        stream = run(main(switch))
    assert stream.kinds("lab")[:3] == ["started", "core_changed", "event"]


def test_iterating_gives_pairs_and_ends_when_the_fleet_is_closed() -> None:
    async def main(switch: Emulator) -> list[tuple[str, Any]]:
        found = []
        async with quick([at("lab", switch)]) as fleet:
            async for name, item in fleet:
                found.append((name, item))
                if len(found) == 1:
                    fire(switch, 1, 2)
                if len(found) == 3:
                    await fleet.close()
        with pytest.raises(ConnectionClosed, match="closed"):
            await fleet.take()
        return found

    with Emulator() as switch:
        found = run(main(switch))
    assert [name for name, _ in found] == ["lab"] * 4
    assert [type(item).__name__ for _, item in found] == ["Started", "Event", "Event", "Stopped"]


def test_after_a_cut_there_is_a_gap_and_a_loss_before_the_next_event() -> None:
    async def main(switch: Emulator) -> tuple[Stream, Any]:
        async with quick([at("lab", switch)]) as fleet:
            stream = Stream(fleet)
            await stream.connected("lab")
            fire(switch, 1, 2)
            await stream.until(lambda: stream.numbers("lab") == [1, 2])
            switch.drop()
            fire(switch, 3)
            await stream.until(lambda: "gap" in stream.kinds("lab"))
            fire(switch, 4)
            await stream.until(lambda: 4 in stream.numbers("lab"))
            return stream, fleet.switches["lab"]

    with Emulator() as switch:
        stream, stats = run(main(switch))
    assert stream.kinds("lab") == ["started", "event", "event", "gap", "loss", "event"]
    loss = stream.of("lab", "loss")[0]
    assert (loss.grade, loss.at_most) == ("bounded", 1)
    assert (stats.gaps, stats.reconnects, stats.core_changes) == (1, 1, 0)
    assert stats.loss_reports == {"bounded": 1}
    assert stats.losses == {}
    assert stats.gap_seconds == stream.of("lab", "gap")[0].seconds
    assert stats.received_events == 3


def test_another_run_of_the_switch_is_told_before_its_first_event() -> None:
    async def main() -> tuple[Stream, Any, list[str]]:
        port = free_port()
        with Emulator(port=port) as first:
            async with quick([f"lab=127.0.0.1:{port}"]) as fleet:
                stream = Stream(fleet)
                await stream.connected("lab")
                fire(first, 1)
                await stream.until(lambda: stream.numbers("lab") == [1])
                await asyncio.to_thread(first.stop)
                await stream.until(lambda: fleet.switches["lab"].state == "away")
                assert fleet.switches["lab"].error
                with Emulator(port=port) as second:
                    await stream.until(lambda: "gap" in stream.kinds("lab"))
                    fire(second, 2)
                    await stream.until(lambda: 2 in stream.numbers("lab"))
                    cores = [switch._switch.core.uuid for switch in (first, second)]
                    return stream, fleet.switches["lab"], cores

    stream, stats, cores = run(main())
    assert stream.kinds("lab") in (
        ["started", "event", "gap", "core_changed", "event"],
        ["started", "event", "gap", "core_changed", "loss", "event"],
    )
    [changed] = stream.of("lab", "core_changed")
    assert [changed.before, changed.after] == cores
    assert (stats.core_uuid, stats.core_changes, stats.error) == (cores[1], 1, None)


def test_a_refused_password_is_read_again_from_its_file(tmp_path: Path) -> None:
    secret = tmp_path / "password"

    async def main(switch: Emulator) -> None:
        async with quick([Host("lab", "127.0.0.1", switch.port, password_file=secret)]) as fleet:
            await eventually(lambda: fleet.switches["lab"].error is not None)  # there is no file
            assert str(secret) in str(fleet.switches["lab"].error)
            secret.write_text("wrong\n")
            await eventually(lambda: fleet.switches["lab"].state == "refused")
            assert "refused the login" in str(fleet.switches["lab"].error)
            secret.write_text("right\n")
            await Stream(fleet).connected("lab")
            assert fleet.switches["lab"].connected

    with Emulator(password="right") as switch:
        run(main(switch))


@pytest.mark.parametrize("first", [RuntimeError("the vault is sealed"), 5])
def test_a_password_that_cannot_be_had_is_asked_for_again(first: Any, caplog: pytest.LogCaptureFixture) -> None:
    """It is a trouble of somebody else, which passes: no fault of ours that is said for ever."""
    answers: list[Any] = [first]

    def password() -> Any:
        answer = answers.pop(0) if answers else "right"
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def main(switch: Emulator) -> None:
        async with quick([at("lab", switch)], password=password) as fleet:
            stream = Stream(fleet)
            await stream.connected("lab")
            assert fleet.switches["lab"].error is None
            answers.append(first)
            switch.drop()  # the client asks again by itself
            await stream.until(lambda: "gap" in stream.kinds("lab"))
            assert "stopped" not in stream.kinds("lab")
            await eventually(lambda: fleet.switches["lab"].error is None)

    with Emulator(password="right") as switch:
        run(main(switch))
    assert "the password cannot be had" in caplog.text
    assert "fault" not in caplog.text


def test_a_switch_that_lets_us_in_no_more_is_stopped_and_begins_again() -> None:
    async def main() -> Stream:
        port = free_port()
        with Emulator(port=port) as first:
            async with quick([f"lab=127.0.0.1:{port}"], events=["DTMF"]) as fleet:
                stream = Stream(fleet)
                await stream.connected("lab")
                fire(first, 1)
                await eventually(lambda: fleet.switches["lab"].waiting)
                await asyncio.to_thread(first.stop)
                with Emulator(port=port, password="other"):
                    await eventually(lambda: fleet.switches["lab"].state == "refused")
                with Emulator(port=port) as last:
                    await eventually(lambda: fleet.switches["lab"].state == "connected")
                    fire(last, 2)
                    await stream.until(lambda: 2 in stream.numbers("lab"))
                    assert fleet.switches["lab"].received_events == 2
                    return stream

    stream = run(main())
    assert stream.kinds("lab") == ["started", "event", "stopped", "gap", "started", "core_changed", "event"]
    assert "refused the login" in stream.of("lab", "stopped")[0].reason
    [gap] = stream.of("lab", "gap")
    assert gap.same_core is False


def test_dead_and_silent_switches_hold_back_no_other(unused_port: int) -> None:
    async def main(switch: Emulator, silent: Switch) -> tuple[Stream, Any]:
        hosts = [f"dead=127.0.0.1:{unused_port}", at("silent", silent), at("lab", switch)]
        async with quick(hosts) as fleet:
            stream = Stream(fleet)
            await stream.connected("lab")
            fire(switch, *range(100))
            await stream.until(lambda: len(stream.numbers("lab")) == 100)
            await eventually(lambda: fleet.switches["dead"].error)
            return stream, fleet.switches

    silent = Switch()
    try:
        with Emulator() as switch:
            stream, stats = run(main(switch, silent))
    finally:
        silent.close()
    assert list(stream.came) == ["lab"]
    assert [stats[name].state for name in ("dead", "silent", "lab")] == ["connecting", "connecting", "connected"]
    assert "refused" in stats["dead"].error.lower()


def test_a_switch_that_stands_still_holds_back_no_other() -> None:
    async def main(frozen: Emulator, other: Emulator) -> None:
        with socket.create_connection(("127.0.0.1", frozen.port)) as slow:
            slow.sendall(b"auth ClueCon\n\nevent plain CUSTOM\n\n")
            async with quick([at("frozen", frozen), at("other", other)], events=["DTMF"]) as fleet:
                stream = Stream(fleet)
                await stream.connected("frozen", "other")
                while not frozen.frozen:
                    frozen.fire("CUSTOM", body="x" * 200_000)
                fire(frozen, 1)
                fire(other, *range(100))
                await stream.until(lambda: len(stream.numbers("other")) == 100)
                assert stream.numbers("frozen") == []
                slow.close()
                await stream.until(lambda: stream.numbers("frozen") == [1])

    with Emulator(queue_limit=10, faults=[Fault.freeze()]) as frozen, Emulator() as other:
        run(main(frozen, other))


def test_each_has_a_fair_share_of_what_is_taken() -> None:
    async def main(busy: Emulator, calm: Emulator) -> None:
        async with quick([at("busy", busy), at("calm", calm)]) as fleet:
            stream = Stream(fleet)
            await stream.connected("busy", "calm")
            fire(busy, *range(1000))
            fire(calm, *range(30))
            await eventually(lambda: fleet.stats().waiting == 1030)
            sizes = []
            while fleet.stats().waiting:
                runs = await fleet.take(max=20)
                assert sum(len(run) for _, run in runs) <= 20
                sizes.append({name: len(run) for name, run in runs})
            assert sizes[:3] == [{"busy": 10, "calm": 10}] * 3
            assert set(map(str, sizes[3:])) == {"{'busy': 20}", "{'busy': 10}"}
            assert await fleet.take(max=1, timeout=0) == []

    with Emulator() as busy, Emulator() as calm:
        run(main(busy, calm))


def test_more_switches_than_may_be_taken_get_one_each_in_turn() -> None:
    async def main(switches: list[Emulator]) -> None:
        names = [f"fs{n}" for n in range(3)]
        async with quick([at(name, switch) for name, switch in zip(names, switches, strict=True)]) as fleet:
            await Stream(fleet).connected(*names)
            for switch in switches:
                fire(switch, 1, 2)
            await eventually(lambda: fleet.stats().waiting == 6)
            order = [[name for name, _ in await fleet.take(max=2)] for _ in range(3)]
            assert sorted([*order[0], *order[1]][:3]) == names
            assert all(len(set(one)) == 2 for one in order)

    with Emulator() as one, Emulator() as two, Emulator() as three:
        run(main([one, two, three]))


def test_a_reader_that_is_too_slow_is_told_and_connected_again() -> None:
    async def main(switch: Emulator) -> Stream:
        async with quick([at("lab", switch)], queue=10, pause_limit=0.5) as fleet:
            stream = Stream(fleet)
            await stream.connected("lab")
            connections = list(switch.listeners)
            number = 0
            while connections[0] in switch.listeners:  # nobody reads
                fire(switch, number)
                number += 1
                await asyncio.sleep(0)
            await stream.until(lambda: "gap" in stream.kinds("lab"))
            lost = [one for one in stream.of("lab", "loss") if one.grade == "certain"]
            assert fleet.switches["lab"].loss_reports["certain"] == len(lost)
            assert fleet.stats().waiting < 200
            return stream

    with Emulator() as switch:
        stream = run(main(switch))
    kinds = stream.kinds("lab")
    lost = [one for one in stream.of("lab", "loss") if one.grade == "certain"]
    assert len(lost) == kinds.count("gap")  # a machine that stands still may make it two
    assert "we ended the connection" in lost[0].evidence
    assert kinds[kinds.index("loss") + 1] == "gap"
    numbers = stream.numbers("lab")
    assert numbers[:10] == list(range(10))


def test_what_is_dropped_is_a_loss() -> None:
    async def main(switch: Emulator) -> tuple[Stream, Any]:
        async with quick([at("lab", switch)], queue=10, when_full="drop") as fleet:
            stream = Stream(fleet)
            await stream.connected("lab")
            fire(switch, *range(50))
            await eventually(lambda: fleet.switches["lab"].dropped == 40)
            await stream.until(lambda: len(stream.numbers("lab")) == 10)
            await stream.until(lambda: stream.of("lab", "loss"))
            return stream, fleet.switches["lab"]

    with Emulator() as switch:
        stream, stats = run(main(switch))
    assert stream.numbers("lab") == list(range(40, 50))
    assert ("certain", 40) in [(loss.grade, loss.count) for loss in stream.of("lab", "loss")]
    assert stats.losses["certain"] == 40


def test_heartbeat_and_log_are_part_of_every_subscription() -> None:
    async def main(switch: Emulator) -> Stream:
        async with quick([at("lab", switch)], events=["CALLS"], filters=[("Caller-Context", "public")]) as fleet:
            stream = Stream(fleet)
            await stream.connected("lab")
            switch.fire("HEARTBEAT", {"N": "1"})
            switch.fire("CHANNEL_CREATE", {"N": "2", "Caller-Context": "private"})
            switch.fire("CHANNEL_CREATE", {"N": "3", "Caller-Context": "public"})
            switch.log("crit", "Lost [7] events!", file="mod_event_socket.c", line=312)
            await stream.until(lambda: stream.of("lab", "loss"))
            return stream

    with Emulator() as switch:
        stream = run(main(switch))
    assert stream.kinds("lab") == ["started", "event", "event", "loss", "logline"]
    assert stream.numbers("lab") == [1, 3]
    assert stream.of("lab", "loss")[0].count == 7
    assert isinstance(stream.came["lab"][-1], LogLine)


def test_a_user_who_may_have_neither_heartbeat_nor_log_is_served_all_the_same() -> None:
    async def main(switch: Emulator) -> Stream:
        options = {"user": "1000@example.org", "password": "secret", "events": ["DTMF"]}
        async with quick([at("lab", switch)], **options) as fleet:
            stream = Stream(fleet)
            await stream.connected("lab")
            fire(switch, 1)
            await stream.until(lambda: stream.numbers("lab") == [1])
            stats = fleet.switches["lab"]
            assert (stats.hostname, stats.switchname) == ("emulator", "emulator")  # of the event
            assert stats.core_uuid == switch._switch.core.uuid
            return stream

    with Emulator(users={"1000@example.org": User("secret", events="DTMF", api="", log=False)}) as switch:
        stream = run(main(switch))
    started = stream.came["lab"][0]
    assert (started.hostname, started.core_uuid, started.version) == (None, None, None)


def test_a_tap_of_its_own_for_each_hears_bytes_and_is_told_notices(tmp_path: Path) -> None:
    class Ear:
        def __init__(self) -> None:
            self.size, self.notes = 0, []

        def opened(self, peer: tuple[str, int]) -> None: ...
        def received(self, data: memoryview) -> None:
            self.size += len(data)

        def sent(self, data: bytes) -> None: ...
        def note(self, note: dict[str, Any]) -> None:
            self.notes.append(note)

        def stats(self) -> dict[str, Any]:
            return {"size": self.size}

    ears = {"one": Ear(), "two": Ear()}

    async def main(one: Emulator, two: Emulator) -> None:
        async with quick([at("one", one), at("two", two)], tap=lambda name: ears[name]) as fleet:
            stream = Stream(fleet)
            await stream.connected("one", "two")
            one.drop()
            await stream.until(lambda: "gap" in stream.kinds("one"))
            stats = fleet.switches
            assert stats["one"].received_bytes == stats["one"].tap["size"] == ears["one"].size
            assert stats["two"].received_bytes == ears["two"].size
            await fleet.remove("two")
            await stream.until(lambda: "stopped" in stream.kinds("two"))

    with Emulator() as one, Emulator() as two:
        run(main(one, two))
    assert [note["note"] for note in ears["one"].notes] == ["logged_in", "started", "logged_in", "gap"]
    assert [note["note"] for note in ears["two"].notes] == ["logged_in", "started", "stopped"]
    assert {note["switch"] for note in ears["two"].notes} == {"two"}


def test_recorders_of_each_switch(tmp_path: Path) -> None:
    async def main(one: Emulator, two: Emulator) -> None:
        recorders = {name: Recorder(tmp_path / name, min_free=0) for name in ("one", "two")}
        async with quick([at("one", one), at("two", two)], tap=recorders.__getitem__) as fleet:
            stream = Stream(fleet)
            await stream.connected("one", "two")
            fire(one, 1)
            await stream.until(lambda: stream.numbers("one") == [1])
            assert fleet.switches["two"].tap["state"] == "recording"
        for recorder in recorders.values():
            recorder.close()

    with Emulator() as one, Emulator() as two:
        run(main(one, two))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_a_recorder_that_was_behind_is_replaced() -> None:
    class Ear:
        def __init__(self) -> None:
            self.size, self.why, self.behind, self.done = 0, "", False, False

        def opened(self, peer: tuple[str, int]) -> None: ...
        def received(self, data: memoryview) -> None:
            self.size += len(data)

        def sent(self, data: bytes) -> None: ...
        def stats(self) -> dict[str, Any]:
            state = "stopped" if self.why else "recording"
            return {"state": state, "why": self.why, "behind": self.behind}

        def close(self) -> None:
            self.done = True

    ears: list[Ear] = []

    def make(name: str) -> Ear:
        ears.append(Ear())
        return ears[-1]

    async def main(switch: Emulator) -> None:
        async with quick([at("lab", switch)], tap=make) as fleet:
            stream = Stream(fleet)
            await stream.connected("lab")
            ears[0].why = "the disk is full"
            fleet._members["lab"].tick(0.0, 0.0)
            assert len(ears) == 1
            ears[0].why, ears[0].behind = "too slow: 64 MiB wait", True
            await stream.until(lambda: "gap" in stream.kinds("lab"))
            assert "too slow" in stream.of("lab", "gap")[0].reason
            heard = ears[0].size
            fire(switch, 1)
            await stream.until(lambda: stream.numbers("lab") == [1])
            assert (len(ears), ears[0].size) == (2, heard)
            assert ears[1].size > 0
            await eventually(lambda: ears[0].done)
            assert fleet.switches["lab"].tap["state"] == "recording"

    with Emulator() as switch:
        run(main(switch))


class Recording:
    """A tap that can be said to be behind, also as soon as it is connected, and says whether it was closed."""

    def __init__(self, number: int, *, falls_behind: bool) -> None:
        self.number, self.falls_behind = number, falls_behind
        self.behind = self.done = False
        self.heard = b""

    def opened(self, peer: tuple[str, int]) -> None:
        self.behind = self.falls_behind

    def received(self, data: memoryview) -> None:
        self.heard += bytes(data)

    def sent(self, data: bytes) -> None: ...
    def stats(self) -> dict[str, Any]:
        state = "stopped" if self.behind else "recording"
        return {"number": self.number, "state": state, "why": "64 MiB wait", "behind": self.behind}

    def close(self) -> None:
        self.done = True


@pytest.mark.parametrize("more", [0, 1, 2])
def test_a_recorder_that_is_needed_is_never_closed(more: int) -> None:
    """Time passes while the switch is away and while it is logged in to; more recorders fall behind meanwhile."""
    recorders: list[Recording] = []

    def make(name: str) -> Recording:
        recorders.append(Recording(len(recorders), falls_behind=0 < len(recorders) <= more))
        return recorders[-1]

    async def main(switch: Emulator) -> None:
        async with quick([at("lab", switch)], tap=make, resync=False) as fleet:
            stream, member = Stream(fleet), fleet._members["lab"]

            def is_heard_again() -> bool:
                member.tick(0.0, 0.0)
                stats = fleet.switches["lab"]
                return stats.connected and stats.tap["number"] == more + 1

            await stream.connected("lab")
            recorders[0].behind = True
            await stream.until(is_heard_again)
            fire(switch, 1)
            await stream.until(lambda: stream.numbers("lab") == [1])
            await eventually(lambda: [each.done for each in recorders] == [True] * (more + 1) + [False])
            assert b"Event-Name: DTMF" in recorders[-1].heard

    with Emulator() as switch:
        run(main(switch))


def test_while_a_recorder_lags_its_events_stay_in_the_switch() -> None:
    """Those of the other switch come, and its own as soon as the disk is through, or after a moment all the same."""

    class Ear:
        def __init__(self) -> None:
            self.reads = self.queued = 0

        def opened(self, peer: tuple[str, int]) -> None: ...
        def received(self, data: memoryview) -> None:
            self.reads += 1

        def sent(self, data: bytes) -> None: ...
        def stats(self) -> dict[str, Any]:
            return {"queued_bytes": self.queued}

    ears = {"one": Ear(), "two": Ear()}

    async def main(one: Emulator, two: Emulator) -> None:
        async with quick([at("one", one), at("two", two)], tap=ears.__getitem__, resync=False) as fleet:
            stream = Stream(fleet)
            await stream.connected("one", "two")
            sent = {"one": 0, "two": 0}

            async def is_held(name: str) -> bool:
                """Whether it is, after one more event; if not, that came."""
                link = fleet._members[name].client._link
                sent[name] += 1
                fire({"one": one, "two": two}[name], sent[name])
                await stream.until(lambda: stream.numbers(name)[-1:] == [sent[name]] or link.held)
                return link.held

            link = fleet._members["one"].client._link
            for _ in range(2):  # it is held again, as often as needed
                ears["one"].queued = limits.RECORDER_BUFFER_BYTES // 2 + 1
                while not await is_held("one"):
                    pass
                heard = ears["one"].reads
                sent["one"] += 1
                fire(one, sent["one"])
                assert not await is_held("two")
                assert not link.held or (link.paused and ears["one"].reads == heard)
                ears["one"].queued = limits.RECORDER_BUFFER_BYTES // 2
                await stream.until(lambda: stream.numbers("one")[-1:] == [sent["one"]])
                assert not link.held
            assert stream.numbers("one") == list(range(1, sent["one"] + 1))

    with Emulator() as one, Emulator() as two:
        run(main(one, two))


def test_a_disk_that_stands_still_is_waited_for_a_moment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    class Ear:
        def opened(self, peer: tuple[str, int]) -> None: ...
        def received(self, data: memoryview) -> None: ...
        def sent(self, data: bytes) -> None: ...
        def stats(self) -> dict[str, Any]:
            return {"queued_bytes": limits.RECORDER_BUFFER_BYTES}

    monkeypatch.setattr("eslcodec.ingest._member_tap._DISK_SECONDS", 0.02)

    async def main(switch: Emulator) -> None:
        async with quick([at("lab", switch)], tap=lambda name: Ear()) as fleet:
            stream = Stream(fleet)
            await stream.connected("lab")
            fire(switch, *range(100))
            await stream.until(lambda: stream.numbers("lab") == list(range(100)))
            assert stream.kinds("lab").count("gap") == 0

    with Emulator() as switch:
        run(main(switch))


def test_what_no_recorder_saw_is_told_once_and_is_no_gap_of_a_connection(tmp_path: Path) -> None:
    def recorder(name: str) -> Recorder:
        made.append(Recorder(tmp_path, min_free=0))
        return made[-1]

    made: list[Recorder] = []

    async def main(switch: Emulator) -> tuple[Stream, Any]:
        async with quick([at("lab", switch)], tap=recorder) as fleet:
            stream = Stream(fleet)
            await stream.connected("lab")
            fire(switch, 1)
            await stream.until(lambda: stream.numbers("lab"))
            if len(made) == 2:
                await stream.until(lambda: stream.of("lab", "gap"))
                for _ in range(3):
                    fleet._members["lab"].tick(time.time(), time.monotonic())
                fire(switch, 2)
                await stream.until(lambda: 2 in stream.numbers("lab"))
            return stream, fleet.switches["lab"]

    with Emulator() as switch:
        assert run(main(switch))[0].of("lab", "gap") == []
        made[0].close()
        stream, stats = run(main(switch))
        made[1].close()
    kinds = stream.kinds("lab")
    assert made[0].missed is None
    assert made[1].missed is not None
    [gap] = stream.of("lab", "gap")
    assert kinds.index("gap") <= 2
    assert kinds.count("gap") == 1
    assert gap.reason == "no recorder was running"
    assert gap.seconds == round(made[1].missed.seconds, 3)
    assert (stats.gaps, stats.reconnects) == (1, 0)


def test_what_finds_out_about_gaps_sees_the_stream_and_speaks_in_it() -> None:
    class Found(Notice):
        kind = "found"

    class Finder:
        def __init__(self, name: str) -> None:
            self.name, self.seen, self.asked = name, [], 0

        def see(self, items: Any) -> None:
            self.seen += items

        async def after(self, client: Any) -> list[Notice]:
            self.asked += 1
            await client.api("status")
            return [Found(self.name, float(self.asked))]

    finders = []

    def make(name: str) -> Finder:
        finders.append(Finder(name))
        return finders[-1]

    async def main(switch: Emulator) -> Stream:
        async with quick([at("lab", switch)], resync=make) as fleet:
            stream = Stream(fleet)
            await stream.until(lambda: stream.of("lab", "found"))
            fire(switch, 1)
            await stream.until(lambda: stream.numbers("lab") == [1])
            switch.drop()
            await stream.until(lambda: len(stream.of("lab", "found")) == 2)
            return stream

    with Emulator() as switch:
        stream = run(main(switch))
    assert stream.kinds("lab") == ["started", "found", "event", "gap", "found"]
    assert [one.at for one in stream.of("lab", "found")] == [1, 2]
    assert [type(one).__name__ for one in finders[0].seen if isinstance(one, Event)] == ["Event", "Gap"]


def test_channels_that_began_or_ended_unseen_are_told_where_the_gap_is() -> None:
    async def main(switch: Emulator) -> Stream:
        resync = partial(Resync, settle=0)
        async with quick([at("lab", switch)], events=["CALLS", "DTMF"], resync=resync) as fleet:
            stream = Stream(fleet)
            await stream.until(lambda: stream.of("lab", "found"))
            switch.fire("CHANNEL_CREATE", {"Unique-ID": "short"})
            await stream.until(lambda: stream.of("lab", "event"))
            switch.drop()
            await stream.until(lambda: stream.of("lab", "ended"))
            fire(switch, 1)
            await stream.until(lambda: stream.numbers("lab") == [1])
            return stream

    with Emulator() as switch:
        switch.add_session("long")
        stream = run(main(switch))
    assert stream.kinds("lab") == ["started", "found", "event", "gap", "ended", "event"]
    assert [(one.uuid, one.switch) for one in stream.of("lab", "found")] == [("long", "lab")]
    assert [(one.uuid, one.switch) for one in stream.of("lab", "ended")] == [("short", "lab")]


def test_a_switch_that_cannot_say_which_channels_it_has_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eslcodec.ingest._member._ASK_AGAIN", Backoff(first=0.01, longest=0.01))
    answers = ["-ERR database is locked", '{"row_count": 1}', '{"row_count": 1, "rows": [{"uuid": "long"}]}']
    asked = []

    def show(args: str) -> str:
        asked.append(args)
        return answers[min(len(asked), 3) - 1]

    async def main(switch: Emulator) -> Stream:
        async with quick([at("lab", switch)], resync=partial(Resync, settle=0)) as fleet:
            stream = Stream(fleet)
            await stream.until(lambda: stream.of("lab", "found"))
            return stream

    with Emulator() as switch:
        switch.api["show"] = show
        stream = run(main(switch))
    assert asked == ["channels as json"] * 3
    assert [one.uuid for one in stream.of("lab", "found")] == ["long"]


@pytest.mark.parametrize("wanted", [{"events": ["DTMF"]}, {"filters": [("Event-Name", "DTMF")]}])
def test_where_not_every_end_comes_no_channel_is_said_to_have_ended_in_a_gap(wanted: dict[str, Any]) -> None:
    """It ended before the gap, which nobody was told."""

    async def main(switch: Emulator) -> Stream:
        switch.add_session("e10a8e20")
        async with quick([at("one", switch)], **wanted) as fleet:
            stream = Stream(fleet)
            await stream.connected("one")
            assert fleet._members["one"]._resync is None
            switch.hangup("e10a8e20")
            switch.fire("DTMF", {"DTMF-Digit": "1"})
            await stream.until(lambda: "event" in stream.kinds("one"))
            switch.drop()
            await stream.until(lambda: "gap" in stream.kinds("one"))
            return stream

    with Emulator() as switch:
        stream = run(main(switch))
    assert not {"found", "ended"} & set(stream.kinds("one"))


def test_answers_of_everywhere_and_their_errors_by_switch(unused_port: int) -> None:
    async def main(one: Emulator, two: Emulator) -> None:
        async with quick([at("one", one), at("two", two), f"dead=127.0.0.1:{unused_port}"]) as fleet:
            await Stream(fleet).connected("one", "two")
            await eventually(lambda: fleet.switches["dead"].error)
            answers = await fleet.everywhere("which", concurrency=1)
            assert [answers[name].text for name in ("one", "two")] == ["first", "second"]
            assert isinstance(answers["dead"], ConnectionClosed)
            assert "dead is not connected: " in str(answers["dead"])
            assert (await fleet.api("two", "which")).text == "second"
            with pytest.raises(ConnectionClosed, match="dead is not connected"):
                await fleet.api("dead", "which")
            with pytest.raises(KeyError, match="no switch is named 'none'"):
                await fleet.api("none", "which")
            with pytest.raises(ValueError, match="concurrency"):
                await fleet.everywhere("which", concurrency=0)

    with Emulator() as one, Emulator() as two:
        one.api["which"] = "first"
        two.api["which"] = "second"
        run(main(one, two))


def test_first_connections_and_later_ones_wait_for_their_turn_to_dial() -> None:
    async def main(one: Emulator, two: Emulator) -> None:
        fleet = quick([at("one", one), at("two", two)])
        turns = []
        turn = fleet._dials.turn

        async def counted() -> None:
            turns.append(1)
            await turn()

        fleet._dials.turn = counted  # type: ignore[method-assign]
        async with fleet:
            stream = Stream(fleet)
            await stream.connected("one", "two")
            assert len(turns) == 2
            one.drop()
            await stream.until(lambda: "gap" in stream.kinds("one"))
            assert len(turns) >= 3
            one.drop()
            two.drop()
            await stream.until(lambda: stream.kinds("one").count("gap") == 2 and "gap" in stream.kinds("two"))
            assert len(turns) >= 5

    with Emulator() as one, Emulator() as two:
        run(main(one, two))


def test_a_fault_of_ours_in_one_switch_is_seen_and_not_the_end(caplog: pytest.LogCaptureFixture) -> None:
    async def main(one: Emulator, two: Emulator) -> None:
        async with quick([at("one", one), at("two", two)]) as fleet:
            member = fleet._members["one"]
            ask, failed = member._ask, []

            async def fails_once(client: Any) -> None:
                if not failed:
                    failed.append(1)
                    raise ZeroDivisionError("of the test")
                await ask(client)

            member._ask = fails_once  # type: ignore[method-assign]
            stream = Stream(fleet)
            await stream.connected("one", "two")
            assert fleet.switches["one"].error == "a fault in eslcodec: ZeroDivisionError: of the test"
            assert fleet.switches["two"].error is None
            member._watch.see_all = None  # type: ignore[assignment, method-assign]
            fire(one, 1)
            await stream.until(lambda: stream.numbers("one") == [1])
            assert "TypeError" in str(fleet.switches["one"].error)

    with Emulator() as one, Emulator() as two:
        run(main(one, two))
    assert [record.exc_info is not None for record in caplog.records if "fault" in record.message] == [True, True]


def test_leaving_ends_all_tasks_and_sockets_also_after_an_error_and_a_cancellation() -> None:
    async def read(hosts: list[str]) -> None:
        async with quick(hosts) as fleet:
            await Stream(fleet).connected("one", "two")
            while True:
                await fleet.take(timeout=None)

    async def fail(hosts: list[str]) -> None:
        async with quick(hosts) as fleet:
            await Stream(fleet).connected("one")
            raise ZeroDivisionError

    async def main(one: Emulator, two: Emulator) -> None:
        before, hosts = asyncio.all_tasks(), [at("one", one), at("two", two), "dead=127.0.0.1:1"]
        task = asyncio.ensure_future(read(hosts))
        await eventually(lambda: len(one.listeners) + len(two.listeners) == 2)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
        with pytest.raises(ZeroDivisionError):
            await fail(hosts)
        await eventually(lambda: not one.listeners and not two.listeners)
        assert asyncio.all_tasks() == before

    with Emulator() as one, Emulator() as two:
        run(main(one, two))
        before = descriptors()
        run(main(one, two))
        until(lambda: descriptors() <= before)  # the switches close their sockets in threads of theirs


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0


def test_what_came_before_the_end_can_be_taken_after_it() -> None:
    async def main(switch: Emulator) -> list[Any]:
        async with quick([at("lab", switch)]) as fleet:
            stream = Stream(fleet)
            await stream.connected("lab")
            fire(switch, 1, 2, 3)
            await eventually(lambda: fleet.stats().waiting == 3)
        await stream.until(lambda: "stopped" in stream.kinds("lab"))
        return stream.kinds("lab")

    with Emulator() as switch:
        assert run(main(switch)) == ["started", "event", "event", "event", "stopped"]


def test_reading_by_item_and_by_run_gives_each_item_once() -> None:
    async def main(switch: Emulator) -> None:
        async with quick([at("lab", switch)]) as fleet:
            await Stream(fleet).connected("lab")
            fire(switch, *range(100))
            await eventually(lambda: fleet.stats().waiting == 100)
            _, first = await fleet.__anext__()
            [(name, held)] = await fleet.take(max=49)
            [(_, rest)] = await fleet.take()
            assert [int(one["N"]) for one in [first, *held, *rest]] == list(range(100))
            assert (name, len(held)) == ("lab", 49)

    with Emulator() as switch:
        run(main(switch))


def test_a_fleet_is_for_one_block() -> None:
    async def main() -> None:
        fleet = Fleet([])
        with pytest.raises(RuntimeError, match="not entered"):
            await fleet.take()
        async with fleet:
            assert await fleet.take(timeout=0) == []
            with pytest.raises(ValueError, match="max is 0"):
                await fleet.take(max=0)
        with pytest.raises(RuntimeError, match="one `async with`"):
            async with fleet:
                pass
        with pytest.raises(RuntimeError, match="closed"):
            await fleet.add("a=b")

    run(main())
