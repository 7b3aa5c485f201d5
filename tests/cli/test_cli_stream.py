"""`eslcodec tail` and `eslcodec convert` of a stream that a bridge filled."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_live_support import no_settings as no_settings
from cli_live_support import run, spawned
from consume_support import CORE, RECEIVED, event, fill, items, number
from nats_support import BINARIES, Server, client, cluster, make_stream, needs_server, until

from eslcodec import Event, Gap, Recording
from eslcodec.ingest import calls, legs
from eslcodec.ingest.consume import consume
from eslcodec.ingest.contract import Contract, Place
from eslcodec.ingest.notices import to_line

PLACE = Place("f", 0, 1, 7)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with cluster(BINARIES[-1], tmp_path) as (one,):
        asyncio.run(make_stream(one, "FS1", "esl.v1.>"))
        yield one


def a_call(switch: str = "fs1") -> list[Any]:
    """The end of a leg, and a notice before it."""
    contract = Contract(switch, CORE)
    end = Event.build(
        "CHANNEL_HANGUP_COMPLETE",
        {"Core-UUID": CORE, "Event-Sequence": "9009", "Unique-ID": "e10a8e20", "Hangup-Cause": "USER_BUSY"},
    )
    gap = to_line(Gap.of(2.5, "gone"), switch, 1796000000.25)
    return [contract.notice(gap, PLACE, RECEIVED), contract.event(end, PLACE, RECEIVED + 1)]


@pytest.mark.heavy
@needs_server
def test_legs_and_calls_are_made_of_what_a_consumer_gives(server: Server) -> None:
    async def made() -> tuple[list[Any], list[Any]]:
        await fill(server, a_call())
        async with consume(server.url, "FS1", until_end=True) as consumer:
            leg = [row async for row in legs(consumer)]
        async with consume(server.url, "FS1", until_end=True) as consumer:
            return leg, [row async for row in calls(consumer)]

    leg, call = asyncio.run(made())
    assert [(each.uuid, each.cause) for each in leg] == [("e10a8e20", "USER_BUSY")]
    assert [len(each.legs) for each in call] == [1]


@pytest.mark.heavy
@needs_server
def test_a_stream_is_converted_as_a_recording_is(server: Server, tmp_path: Path) -> None:
    asyncio.run(fill(server, [*items(range(700)), *a_call("fs2")], chained=False))
    source = f"{server.url}/FS1"
    out = tmp_path / "all.ndjson"
    done = run("convert", None, source, out, "--notices")
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in out.read_bytes().splitlines()]
    assert [int(line["X-Number"]) for line in lines[:700]] == list(range(700))
    assert [line.get("_notice", line.get("Event-Name")) for line in lines[700:]] == ["gap", "CHANNEL_HANGUP_COMPLETE"]
    recording = tmp_path / "all.esl.zst"
    assert run("convert", None, source, recording, "--subject", "esl.v1.fs1.>").exit_code == 0
    assert [number(each) for each in Recording(recording).messages()] == list(range(700))
    done = run("convert", None, source, "-", "--legs")
    assert [json.loads(line)["uuid"] for line in done.stdout.splitlines()] == ["e10a8e20"]
    received = run("convert", None, source, "-", "--columns", "at=@received:timestamp", "--subject", "esl.v1.fs2.>")
    assert json.loads(received.stdout) == {"at": "2026-11-30T01:48:39.250000Z"}


@pytest.mark.heavy
@needs_server
def test_tail_shows_what_is_there_and_what_comes(server: Server) -> None:
    asyncio.run(fill(server, items(range(3))))
    words = ["tail", f"{server.url}/FS1", "--since", "-2h", "--ndjson", "--count", "5"]
    with spawned(*words) as process:
        assert process.stdout is not None
        assert [int(json.loads(process.stdout.readline())["X-Number"]) for _ in range(3)] == [0, 1, 2]
        asyncio.run(fill(server, a_call(), chained=False))
        assert json.loads(process.stdout.readline())["_notice"] == "gap"
        assert json.loads(process.stdout.readline())["Unique-ID"] == "e10a8e20"
        assert process.wait(30) == 0


@pytest.mark.heavy
@needs_server
def test_tail_begins_with_what_comes_and_shows_the_names_that_are_asked_for(server: Server) -> None:
    asyncio.run(fill(server, items(range(3))))
    words = ["tail", f"{server.url}/FS1", "dtmf", "--count", "1"]

    async def is_read() -> bool:
        connection = await client(server)
        try:
            return bool(await connection.jetstream().consumers_info("FS1"))
        finally:
            await connection.close()

    with spawned(*words) as process:
        asyncio.run(until(is_read, "a consumer"))
        contract = Contract("fs1", CORE)
        more = [contract.event(event(n, n, name), PLACE, RECEIVED) for n, name in ((7, "HEARTBEAT"), (8, "DTMF"))]
        asyncio.run(fill(server, more, chained=False))
        shown, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, b"")
    assert shown.decode().split()[1:] == ["fs1", "DTMF", "channel-8", "#8"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nats://127.0.0.1:4222"], "expected nats://HOST:PORT/STREAM"),
        (["nats://127.0.0.1:4222/FS1/x"], "expected nats://HOST:PORT/STREAM"),
        (["nats://me:secret@127.0.0.1:4222/FS1"], "use --nats-creds"),
        (["nats://127.0.0.1:4222/FS1", "--filter", "a=b"], "are for switches"),
    ],
)
def test_what_is_no_stream_is_refused(words: list[str], said: str) -> None:
    done = run("tail", None, *words)
    assert done.exit_code == 2
    assert said in done.output


def test_a_switch_has_no_past() -> None:
    done = run("tail", None, "--since", "-2h")
    assert (done.exit_code, "a switch tells what happens from now on" in done.output) == (2, True)
