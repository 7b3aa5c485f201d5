"""The bridge from a recording to a stream: everything once and in order, whoever is killed meanwhile."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import json
import re
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from nats_support import (
    ANSWER,
    BINARIES,
    BINARY_IDS,
    Server,
    client,
    cluster,
    make_stream,
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

from eslcodec import Gap
from eslcodec.ingest import Redact, notices
from eslcodec.ingest._spill import Kept, keep
from eslcodec.ingest.bridge import Bridge, check_stream, notice_line, stream_config
from eslcodec.ingest.contract import Contract, Place
from eslcodec.ingest.publisher import StreamEnd

NAME = "20261130T014838Z-000001.esl.zst"
CORE = "8f08a03a"
KILLED = int(20_000 * HEAVY)


def event(number: int, size: int = 0) -> bytes:
    text = b"Event-Name: DTMF\nCore-UUID: 8f08a03a\nEvent-Sequence: %d\n" % number
    return plain(text + b"Unique-ID: u%d\n" % (number % 7) + b"X: %b\n\n" % (b"x" * size))


def ids(*numbers: int) -> list[str]:
    return [f"{CORE}:{number}" for number in numbers]


class Writer:
    """A recording that grows."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.tape = Tape()
        self.tape.note(**notices.to_note(notices.Started("recorded", 1796000000.0, "127.0.0.1", 8021, core_uuid=CORE)))
        self.tape.chunk(GREETING)
        self._path = folder / NAME
        self._written = 0
        self.write()

    def write(self) -> None:
        data = self.tape.bytes(closed=False)
        with self._path.open("ab") as file:
            file.write(data[self._written :])
        self._written = len(data)

    def events(self, numbers: range, size: int = 0) -> None:
        """Events in two chunks, the middle one cut."""
        data = b"".join(event(number, size) for number in numbers)
        self.tape.chunk(data[: len(data) // 2])
        self.tape.chunk(data[len(data) // 2 :])
        self.write()


def bridge_of(folder: Path, server: Server, **options: Any) -> Bridge:
    contract = Contract("fs1")
    config = stream_config("FS1", [contract.subjects.pattern("fs1")])
    return Bridge(folder, server.url, "FS1", contract, **{"create": config, "begin": "all", **options})


async def has(server: Server, count: int) -> None:
    """Wait until the stream has so many messages."""
    connection = await client(server)

    async def is_so() -> bool:
        info = await connection.jetstream(timeout=2).stream_info("FS1")
        return bool(info.state.messages >= count)

    await until(is_so, f"{count} messages")
    await connection.close()


async def run_until(bridge: Bridge, server: Server, count: int) -> None:
    task = asyncio.create_task(bridge.run())
    waiting = asyncio.create_task(has(server, count))
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    bridge.stop()
    assert await task
    await waiting


async def events_in(server: Server) -> list[str]:
    return [id for id, _ in await stored(server, "FS1") if not id.startswith("n:")]


def test_an_older_place_never_comes_between_a_newer_one_or_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a bridge is stopped while a thread of its own still keeps a place."""
    bridge = Bridge(tmp_path, "nats://127.0.0.1:1", "FS1", Contract("fs1"))
    begun, go_on, turns = threading.Event(), threading.Event(), []

    def keep(folder: str, stream: str, state: int) -> None:
        turns.append(state)
        begun.set()
        assert go_on.wait(30)
        turns.append(state)

    monkeypatch.setattr("eslcodec.ingest.bridge.keep", keep)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(bridge._write, 1, "FS1", 1)
        assert begun.wait(30)
        third = threads.submit(bridge._write, 3, "FS1", 3)
        go_on.set()
        first.result(30)
        third.result(30)
    bridge._write(2, "FS1", 2)
    assert turns == [1, 1, 3, 3]


@pytest.fixture(params=BINARIES, ids=BINARY_IDS)
def run(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[Server], Awaitable[None]]], None]:
    """Runs a test with a server of its own."""
    patient(monkeypatch)

    def start(test: Callable[[Server], Awaitable[None]]) -> None:
        with cluster(request.param, tmp_path) as (server,):
            asyncio.run(asyncio.wait_for(test(server), 110))

    return start


@pytest.mark.heavy
@needs_server
def test_a_recording_is_published_and_gone_on_with(run: Any, tmp_path: Path) -> None:
    async def test(server: Server) -> None:
        writer = Writer(tmp_path / "peer")
        writer.events(range(100))
        await run_until(bridge_of(tmp_path / "peer", server), server, 101)
        writer.tape.note(note="gap", since=10**9, until=3 * 10**9, whole=True)
        writer.events(range(100, 150))
        bridge = bridge_of(tmp_path / "peer", server)
        await run_until(bridge, server, 152)
        assert await events_in(server) == ids(*range(150))
        stats = bridge.stats()
        assert (stats.publisher.acknowledged, stats.publisher.duplicates, stats.missed, stats.damage) == (51, 0, 0, 0)
        found = await stored(server, "FS1")
        assert [subject for id, subject in found if id.startswith("n:")] == [
            "esl.v1.fs1.notice.started",
            "esl.v1.fs1.notice.gap",
        ]
        connection = await client(server)
        message = await connection.jetstream(timeout=ANSWER).get_msg("FS1", 102)
        await connection.close()
        body = json.loads(message.data)
        assert (body["_notice"], body["switch"], body["seconds"]) == ("gap", "fs1", 2.0)
        assert message.headers["Esl-Place"].startswith(NAME.partition(".")[0] + ":")

    run(test)


@pytest.mark.heavy
@needs_server
@pytest.mark.parametrize("what", ["deleted", "old"])
def test_the_stream_s_end_says_where_to_go_on_if_that_is_later(run: Any, tmp_path: Path, what: str) -> None:
    async def test(server: Server) -> None:
        folder = tmp_path / "peer"
        writer = Writer(folder)
        writer.events(range(10))
        await run_until(bridge_of(folder, server), server, 11)
        before = (folder / "FS1.place").read_bytes()
        writer.events(range(10, 5000))
        await run_until(bridge_of(folder, server), server, 5001)
        if what == "old":
            (folder / "FS1.place").write_bytes(before)
        else:
            (folder / "FS1.place").unlink()
        writer.events(range(5000, 5010))
        bridge = bridge_of(folder, server)
        await run_until(bridge, server, 5011)
        assert bridge.stats().publisher.acknowledged == 10
        assert await events_in(server) == ids(*range(5010))

    run(test)


@pytest.mark.heavy
@needs_server
def test_without_a_place_it_begins_now(run: Any, tmp_path: Path) -> None:
    async def test(server: Server) -> None:
        writer = Writer(tmp_path / "peer")
        writer.events(range(10))
        bridge = bridge_of(tmp_path / "peer", server, begin="now")
        task = asyncio.create_task(bridge.run())

        async def is_open() -> bool:
            return bridge._spill._name is not None and bridge.stats().publisher.connects > 0

        await until(is_open, "a bridge that reads")
        writer.events(range(10, 20))
        await has(server, 10)
        bridge.stop()
        assert await task
        assert await events_in(server) == ids(*range(10, 20))

    run(test)


@pytest.mark.heavy
@needs_server
def test_what_is_too_large_for_the_stream_comes_without_its_body(run: Any, tmp_path: Path) -> None:
    async def test(server: Server) -> None:
        await make_stream(server, "FS1", "esl.v1.fs1.>", max_msg_size=100_000)
        writer = Writer(tmp_path / "peer")
        for number, size in enumerate((10, 90_000, 200_000, 10)):
            writer.events(range(number, number + 1), size)
        bridge = bridge_of(tmp_path / "peer", server)
        await run_until(bridge, server, 5)
        assert await events_in(server) == ids(0, 1, 2, 3)
        assert bridge.stats().oversize == 1

    run(test)


@pytest.mark.heavy
@needs_server
def test_a_stream_that_cannot_work_is_refused(run: Any, tmp_path: Path) -> None:
    async def test(server: Server) -> None:
        await make_stream(server, "FS1", "esl.v1.fs1.>", retention="workqueue")
        Writer(tmp_path / "peer")
        with pytest.raises(ValueError, match="deletes what was consumed"):
            await bridge_of(tmp_path / "peer", server).run()

    run(test)


@pytest.mark.heavy
@needs_server
def test_the_program_on_the_page_does_what_it_says(run: Any, tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "contract.md"
    if not page.exists():
        pytest.skip("docs/ is not beside the tests")
    (code,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)

    async def test(server: Server) -> None:
        folder = tmp_path / "peer"
        writer = Writer(folder)
        program = code.replace("rec/10.0.0.1_8021", str(folder)).replace("nats://127.0.0.1:4222", server.url)
        assert code.count("asyncio.run(main())") == code.count("replicas=3") == 1
        names: dict[str, Any] = {}
        exec(program.replace("asyncio.run(main())", "").replace("replicas=3", "replicas=1"), names)
        task = asyncio.create_task(names["main"]())
        connection = await client(server)
        numbers = itertools.count()

        async def is_there() -> bool:
            number = next(numbers)
            writer.events(range(number, number + 1))  # it begins with what comes once it is there
            return bool((await connection.jetstream(timeout=ANSWER).stream_info("FS1")).state.messages)

        await until(is_there, "an event")
        await connection.close()
        task.cancel()
        await asyncio.wait({task})

    run(test)


SCRIPT = """
    import asyncio, signal, sys
    from eslcodec.ingest.bridge import Bridge, stream_config
    from eslcodec.ingest.contract import Contract

    async def main():
        contract = Contract("fs1")
        config = stream_config("FS1", [contract.subjects.pattern("fs1")]) | {"duplicate_window": 100_000_000}
        bridge = Bridge(sys.argv[1], sys.argv[2], "FS1", contract, create=config, begin="all", window=1024)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, bridge.stop)
        print("up", flush=True)
        print(await bridge.run(), flush=True)

    asyncio.run(main())
"""


@pytest.mark.heavy
@needs_server
@once
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_kills_and_freezes_of_bridge_and_server(run: Any, tmp_path: Path) -> None:
    """The window for duplicates is a tenth of a second: what is once in the stream is so by the chain."""
    folder = tmp_path / "peer"
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), str(folder)]

    async def start(server: Server) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(*command, server.url, cwd="/", stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert await process.stdout.readline() == b"up\n"
        return process

    async def test(server: Server) -> None:
        writer = Writer(folder)
        step = KILLED // 16
        process = await start(server)
        try:
            for turn, begin in enumerate(range(0, KILLED, step)):
                end = min(begin + step, KILLED)
                writer.events(range(begin, end))
                if turn % 4 == 3:
                    process.send_signal(signal.SIGSTOP)
                    await asyncio.sleep(0.2)  # no waiting for anything: it is the freeze
                    process.send_signal(signal.SIGCONT)
                await has(server, begin + (end - begin) * (turn % 3) // 4)
                if turn % 4 == 1:
                    process.kill()
                    await process.wait()
                    process = await start(server)
                elif turn % 4 == 2:
                    server.kill()
                    server.start()
            await has(server, KILLED + 1)
            process.terminate()
            out, _ = await process.communicate()
            assert out == b"True\n"
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert await events_in(server) == ids(*range(KILLED))

    run(test)


# Without a server


AT = 1796000000.5


@pytest.mark.parametrize(
    "notice",
    [
        notices.Started("recorded", AT, "127.0.0.1", 8021, core_uuid=CORE),
        notices.Stopped("recorded", AT, "removed"),
        notices.CoreChanged("recorded", AT, CORE, "11111111"),
        Gap.of(2.5, "gone"),
        notices.Found("recorded", AT, "u1", caller="\udcff1"),
    ],
)
def test_a_notice_in_the_recording_is_published_as_everywhere(notice: notices.Item) -> None:
    note = json.loads(json.dumps(notices.to_note(notice, "recorded", AT)))
    expected = dataclasses.replace(notice, switch="fs1") if isinstance(notice, notices.Notice) else notice
    assert notice_line(note, "fs1", 1.0) == notices.to_line(expected, "fs1", AT)


def test_what_a_recorder_notes_itself_is_no_other_notice() -> None:
    gap = json.loads(notice_line({"note": "gap", "since": 10**9, "until": 35 * 10**8, "whole": True}, "fs1", AT))
    assert (gap["_notice"], gap["seconds"], gap["reason"], gap["at"]) == ("gap", 2.5, "nothing was recorded", AT)
    assert isinstance(notices.from_dict(gap), Gap)
    stopped = notice_line({"note": "stopped", "why": "full"}, "fs1", AT)
    assert json.loads(stopped) == {"_notice": "recorder_stopped", "switch": "fs1", "at": AT, "why": "full"}
    assert json.loads(notice_line({}, "fs1", AT)) == {"_notice": "", "switch": "fs1", "at": AT}


def test_a_notice_loses_what_an_event_of_its_channel_would_lose() -> None:
    note = notices.to_note(notices.Found("x", AT, "u1", caller="1000", callee="2000"))
    redact = Redact(mask=["Caller-Caller-ID-Number"], drop=["unique-id"])
    found = json.loads(notice_line(note, "fs1", AT, redact))
    assert (found["uuid"], found["caller"], found["callee"]) == ("", "***", "2000")
    opened = {"note": "opened", "peer": ["fs1", 8021]}
    assert notice_line(opened, "fs1", AT, redact) == notice_line(opened, "fs1", AT)


@pytest.mark.parametrize(
    ("said", "core"),
    [
        (notices.Started("recorded", AT, "h", 1, core_uuid="a1"), "a1"),
        (notices.Started("recorded", AT, "h", 1), None),
        (notices.CoreChanged("recorded", AT, "a1", "b2"), "b2"),
        (notices.Stopped("recorded", AT, "removed"), "before"),
    ],
)
def test_the_core_is_what_the_last_notice_says(tmp_path: Path, said: notices.Item, core: str | None) -> None:
    bridge = Bridge(tmp_path, "nats://127.0.0.1:1", "FS1", Contract("fs1", "before"))
    bridge._learn(notices.to_note(said))
    assert bridge.contract.core == core


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"retention": "workqueue"}, "deletes what was consumed"),
        ({"retention": "interest"}, "deletes what was consumed"),
        ({"no_ack": True}, "acknowledges nothing"),
        ({"sealed": True}, "is sealed"),
        ({"mirror": {"name": "X"}}, "is a mirror"),
    ],
)
def test_what_cannot_work_is_refused_in_a_sentence(config: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        check_stream(stream_config("FS1", ["esl.v1.fs1.>"]) | config)


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"discard": "new"}, "publishing waits"),
        ({"storage": "memory"}, "is in memory"),
        ({"max_msgs_per_subject": 1}, "only 1 messages"),
        ({"duplicate_window": 0}, "no window for duplicates"),
    ],
)
def test_what_surprises_is_said_in_a_sentence(config: dict[str, Any], why: str) -> None:
    (said,) = check_stream(stream_config("FS1", ["esl.v1.fs1.>"]) | config)
    assert why in said
    assert check_stream(stream_config("FS1", ["esl.v1.fs1.>"], replicas=3)) == []


def test_it_is_said_that_a_stream_with_a_place_is_empty(tmp_path: Path) -> None:
    """Somebody made it anew, or its servers lost it."""
    keep(tmp_path, "FS1", Kept(Place(NAME, 0, 1, 7), "c:1"))
    bridge = Bridge(tmp_path, "nats://127.0.0.1:1", "FS1", Contract("fs1"))
    for sequence, count in ((0, 1), (5, 0)):
        bridge._check(StreamEnd(stream_config("FS1", ["esl.v1.fs1.>"]), 1 << 20, sequence, None, None))
        assert ["never had a message" in said for said in bridge.warnings].count(True) == count


def test_a_version_of_servers_that_loses_messages_is_named(tmp_path: Path) -> None:
    bridge = Bridge(tmp_path, "nats://127.0.0.1:1", "FS1", Contract("fs1"))
    config = stream_config("FS1", ["esl.v1.fs1.>"], replicas=3) | {"metadata": {"esl-partitions": "16"}}
    for version, count in (((2, 9, 10), 1), ((2, 10, 0), 0), ((), 0)):
        bridge._check(StreamEnd(config, 1 << 20, 5, None, None, version=version))
        assert len(bridge.warnings) == count


def test_where_to_begin_is_a_word_or_a_time(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected 'now', 'all', or seconds since 1970"):
        Bridge(tmp_path, "nats://127.0.0.1:1", "FS1", Contract("fs1"), begin="then")  # type: ignore[arg-type]
    assert (
        repr(Bridge(tmp_path, "nats://127.0.0.1:1", "FS1", Contract("fs1"))) == f"<Bridge {str(tmp_path)!r} to 'FS1'>"
    )
