"""The client of asyncio: every way to end, keepalive, and reconnection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise
from types import ModuleType
from typing import Any

import pytest
from aio_support import (
    ENABLED,
    PROBE,
    Peer,
    Script,
    error_of,
    job_accepted,
    job_done,
    numbered,
    pair,
    quick,
    sequences,
    take,
    until,
    with_time,
)
from aio_support import play as play
from aio_support import switch as switch
from support import ACCEPTED, AUTH, FAREWELL, OK, REJECTED, api_response, notice, part, reply

from eslcodec.emulator import Emulator

# The end

SESSION: list[tuple[bytes, Callable[[bytes], bytes]]] = [
    (b"", lambda _: AUTH),
    (b"auth ClueCon\n\n", lambda _: ACCEPTED),
    (b"event plain ALL\n\n", lambda _: numbered(range(1)) + ENABLED),
    (b"bgapi status\n", lambda command: job_accepted(command)),
    (b"api status\n\n", lambda _: api_response(b"UP\n")),
]


def test_a_connection_that_ends_at_any_byte_ends_every_wait(esl: ModuleType, play: Any) -> None:
    """A whole session, cut off after every number of bytes: everybody who waits gets a typed error, soon."""
    ends = [numbered(range(1, 2)), notice(FAREWELL)]

    async def serve(peer: Peer, budget: int, reset: bool) -> bool:
        def send(data: bytes) -> bool:
            nonlocal budget
            peer.sends(data[:budget])
            budget -= len(data)
            return budget >= 0

        whole = True
        begun = b""
        for wanted, answer in SESSION:
            command = await peer.command() if wanted else b""
            assert command.startswith(wanted)
            begun = command if b"bgapi" in command else begun
            whole = send(answer(command))
            if not whole:
                break
        else:
            whole = all(send(frame) for frame in (job_done(begun), *ends))
        await peer.writer.drain()
        peer.reset() if reset else await peer.close()
        return whole

    async def session(port: int) -> list[int]:
        async with part(esl, "aio").connect("127.0.0.1", port) as fs:
            read: list[int] = []

            async def read_all() -> None:
                async for event in fs.events():
                    read.append(event.sequence)

            reader = asyncio.create_task(read_all())
            try:
                await fs.subscribe("ALL", format="plain")
                job = await fs.bgapi("status")
                waiting = asyncio.create_task(job.result())
                try:
                    assert (await fs.api("status")).text == "UP\n"
                finally:
                    await asyncio.wait({waiting})
                    waiting.exception()
                assert (await waiting).text == "+OK\n"
            finally:
                await asyncio.wait({reader})
                reader.exception()
            await reader
            return read

    async def main() -> None:
        async with Script() as switch:
            budget, outcome = 0, []
            while outcome != [0, None, 1]:
                task = asyncio.create_task(session(switch.port))
                whole = await serve(await switch.accept(), budget, reset=budget % 3 == 2)
                try:
                    outcome = await asyncio.wait_for(task, 20)
                except esl.ESLError:
                    assert not whole or budget % 3 == 2
                budget += 1
            assert 700 < budget < 1000
            assert len(switch.peers) == budget

    play(main())


def test_close_ends_every_wait(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        async with pair(esl) as (fs, peer, _):
            begin = asyncio.create_task(fs.bgapi("status", job_uuid="j-1"))
            await peer.command()
            await peer.command()
            peer.sends(ENABLED, reply(b"+OK Job-UUID: j-1", b"Job-UUID: j-1\n"))
            job = await begin
            waits = [asyncio.create_task(wait) for wait in (fs.api("status"), job.result(), fs.next_event())]
            reader = asyncio.create_task(take(fs.events(), 1))
            running = asyncio.create_task(fs.run())
            await peer.command()
            await asyncio.gather(fs.close(), fs.close())
            assert [await error_of(wait) for wait in waits] == [("ConnectionClosed", "closed by us")] * 3
            assert await reader == []
            await running
            await fs.close()
            assert await error_of(fs.api("status")) == ("ConnectionClosed", "closed by us")
            await peer.ends()

    play(main())


def test_what_was_received_can_be_read_after_close(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        async with pair(esl) as (fs, peer, _):
            peer.sends(numbered(range(3)))
            await until(lambda: len(fs.connection.queue) == 3)
            await fs.close()
            assert sequences([event async for event in fs.events()]) == [0, 1, 2]

    play(main())


def test_exit_is_an_end_that_was_asked_for(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        with Emulator() as switch:
            async with part(esl, "aio").connect(port=switch.port, reconnect=True) as fs:
                assert (await fs.exit()).text == "+OK bye"
                assert [event async for event in fs.events()] == []
                assert fs.closed
                assert fs.connection.end.asked

    play(main())


def test_a_client_that_ends_inside_its_block_raises_what_the_block_raised(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        with Emulator() as switch:
            with pytest.raises(KeyError):
                async with part(esl, "aio").connect(port=switch.port):
                    raise KeyError("x")
            await until(lambda: not switch.listeners)

    play(main())


# Keepalive


def test_a_switch_that_is_silent_is_asked_and_then_given_up(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        await with_time(silent, 0.3, 3)

    async def silent(keepalive: float) -> None:
        async with pair(esl, keepalive=keepalive) as (fs, peer, _):
            reader = asyncio.create_task(fs.next_event())
            await peer.answers((PROBE, OK), (PROBE, OK))
            assert await peer.command() == PROBE
            said = f"nothing was received for {2 * keepalive:g} s, though the switch was asked"
            assert await error_of(reader) == ("ConnectionClosed", said)
            await peer.ends()

    play(main())


def test_a_heartbeat_is_sign_of_life_enough(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        await with_time(beats, 0.5, 3)

    async def beats(keepalive: float) -> None:
        async with pair(esl, keepalive=keepalive) as (fs, peer, _):
            for number in range(12):
                peer.sends(numbered(range(number, number + 1)))
                assert (await fs.next_event(20)).sequence == number
                await asyncio.sleep(keepalive / 5)
            peer.writer.write_eof()
            await fs.close()
            await peer.ends()  # and no probe before

    play(main())


def test_silence_means_nothing_while_reading_stands_still(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        await with_time(stands_still, 0.3, 3)

    async def stands_still(keepalive: float) -> None:
        async with pair(esl, keepalive=keepalive, queue_limit=5) as (fs, peer, _):
            peer.sends(numbered(range(5)))
            await until(lambda: fs._link.paused)
            await asyncio.sleep(2.4 * keepalive)
            assert not fs.closed
            assert sequences(await take(fs.events(), 5)) == [0, 1, 2, 3, 4]
            await peer.answers((PROBE, OK))
            assert not fs.closed

    play(main())


# Reconnection


def test_everything_is_set_up_again_once(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        with Emulator() as switch:
            async with part(esl, "aio").connect(port=switch.port, reconnect=quick(esl)) as fs:
                await fs.filter("Unique-ID", "/u-/")
                await fs.subscribe("CHANNEL_ANSWER", "DTMF", custom=["sofia::register"], format="json")
                await fs.unsubscribe("DTMF")
                await fs.log("info")
                switch.fire("CHANNEL_ANSWER", {"Unique-ID": "u-1"})
                assert (await fs.next_event(20)).uuid == "u-1"
                before = fs.connection
                del switch.commands[:]
                switch.drop()
                gap = await fs.next_event(20)
                assert (type(gap).__name__, gap.subclass) == ("Gap", "eslcodec::gap")
                assert gap.reason == "the switch closed the connection"
                assert 0.01 <= gap.seconds < 20
                await until(lambda: not fs._books.away)
                assert fs.connection is not before
                assert switch.commands == [
                    "auth ClueCon",
                    "filter add Unique-ID /u-/",
                    "event json CHANNEL_ANSWER CUSTOM sofia::register",
                    "log info",
                ]
                switch.fire("CHANNEL_ANSWER", {"Unique-ID": "u-2"})
                switch.fire("CHANNEL_ANSWER", {"Unique-ID": "x-3"})
                switch.fire("CHANNEL_ANSWER", {"Unique-ID": "u-4"})
                assert [event.uuid for event in await take(fs.events(), 2)] == ["u-2", "u-4"]
                assert (await fs.api("status")).ok

    play(main())


def test_a_goodbye_that_nobody_asked_for_is_no_end(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        async with pair(esl, reconnect=quick(esl)) as (fs, peer, switch):
            peer.sends(notice(FAREWELL))
            await switch.lets_in(numbered(range(7, 8)))
            gap, event = await take(fs.events(), 2)
            assert gap.reason == "the switch said good-bye"
            assert event.sequence == 7

    play(main())


def test_commands_and_readers_wait_while_it_is_away(esl: ModuleType, play: Any) -> None:
    """Commands raised ConnectionClosed meanwhile, until reconnection came to serve them too."""

    async def main() -> None:
        async with pair(esl, reconnect=quick(esl)) as (fs, peer, switch):
            reader = asyncio.create_task(take(fs.events(), 2))
            task = asyncio.create_task(fs.api("status"))
            await peer.command()
            await peer.close()
            wanted = ("ConnectionClosed", "the switch closed the connection")
            assert await error_of(task) == wanted  # it was sent, and is not sent again
            second = await switch.accept()
            assert await error_of(fs.api("status", timeout=0.05)) == wanted  # there is a connection, but no login
            assert repr(fs).endswith("connecting again>")
            assert not fs.closed
            again = asyncio.create_task(fs.api("status"))
            second.sends(AUTH)
            await second.command()
            second.sends(ACCEPTED)
            await second.answers((b"api status\n\n", api_response(b"UP\n")))
            assert (await again).text == "UP\n"
            second.sends(numbered(range(1)))
            assert [type(event).__name__ for event in await reader] == ["Gap", "Event"]

    play(main())


def test_what_comes_before_the_client_knows_of_its_new_connection_is_read(
    esl: ModuleType, play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    route = part(esl, "aio._route")
    within = route.within

    async def main() -> None:
        async with pair(esl, reconnect=quick(esl), queue_limit=2) as (fs, peer, switch):
            reader = asyncio.create_task(take(fs.events(), 5))
            await asyncio.sleep(0)

            async def late(*arguments: Any) -> Any:
                transport, link = await within(*arguments)
                await until(lambda: link.paused)  # on a busy machine the switch may be that much quicker
                return transport, link

            monkeypatch.setattr(route, "within", late)
            await peer.close()
            second = await switch.lets_in(numbered(range(2)))
            await until(lambda: not fs._books.away)
            second.sends(numbered(range(2, 4)))
            assert sequences(await asyncio.wait_for(reader, 20)) == [None, 0, 1, 2, 3]

    play(main())


def test_a_storm_of_reconnections(esl: ModuleType, play: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with pair(esl, reconnect=quick(esl)) as (fs, peer, switch):
            task = asyncio.create_task(fs.subscribe("DTMF"))
            await peer.answers((b"event DTMF\n\n", ENABLED))
            await task
            await peer.close()
            for number in range(20):
                kind = number % 4
                peer = await (switch.accept() if kind < 2 else switch.lets_in())
                if kind == 1:
                    peer.sends(AUTH)
                elif kind == 3:
                    await peer.answers((b"event DTMF\n\n", ENABLED))
                    peer.sends(numbered(range(number, number + 1)))
                peer.reset() if kind == 2 else await peer.close()
            peer = await switch.lets_in()
            await peer.answers((b"event DTMF\n\n", ENABLED))
            peer.sends(numbered(range(20, 21)))
            read = []
            async for event in fs.events():
                read.append("gap" if event.subclass else event.sequence)
                if event.sequence == 20:
                    break
            events = [entry for entry in read if entry != "gap"]
            assert events == [3, 7, 11, 15, 19, 20]
            for before, after in pairwise(read):
                assert "gap" in (before, after)  # between events of two connections there is always one
            assert list(fs.subscriptions.names) == ["DTMF"]
            assert len(switch.peers) == 22

    play(main())


def test_pauses_grow_while_connections_do_not_last(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        aio = part(esl, "aio")
        pauses: list[float] = []

        class Counting(esl.Backoff):  # type: ignore[name-defined,misc]
            def pause(self, number: Any) -> Any:
                pause = super().pause(number)
                pauses.append(pause)
                return pause

        await with_time(lambda first: come_and_go(aio, Counting, pauses, first), 0.25, 2.5)

    async def come_and_go(aio: Any, counting: Any, pauses: list[float], first: float) -> None:
        del pauses[:]
        backoff = counting(first=first, factor=1.5, longest=4 * first, jitter=0, attempts=4)
        async with Script() as switch:
            task = asyncio.create_task(aio.connect(port=switch.port, reconnect=backoff).__aenter__())
            peer = await switch.lets_in()
            fs = await task
            for _ in range(4):
                await peer.close()
                peer = await switch.lets_in()
            await peer.close()
            assert await error_of(fs.run()) == ("ConnectionClosed", "the switch closed the connection")
            assert pauses == [first, 1.5 * first, 2.25 * first, 3.375 * first, None]
            await fs.close()

    play(main())


def test_attempts_that_are_exhausted_end_it(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        async with pair(esl, reconnect=quick(esl, attempts=2)) as (fs, peer, switch):
            switch._server.close()
            await peer.close()
            assert await error_of(fs.next_event()) == ("ConnectionClosed", "the switch closed the connection")
            assert fs.closed
            assert (await error_of(fs.api("status")))[0] == "ConnectionClosed"

    play(main())


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ([AUTH, reply(b"-ERR invalid")], ("AuthError", "refused the login: -ERR invalid (wrong password?)")),
        ([REJECTED], ("AccessDenied", "refused our address: Access Denied, go away.")),
    ],
)
def test_a_switch_that_does_not_let_us_in_again_ends_it(esl: ModuleType, play: Any, answer: Any, wanted: Any) -> None:
    async def main() -> None:
        async with pair(esl, reconnect=quick(esl)) as (fs, peer, switch):
            await peer.close()
            second = await switch.accept()
            second.sends(answer[0])
            if len(answer) > 1:
                await second.command()
                second.sends(answer[1])
            told = (wanted[0], f"127.0.0.1:{switch.port} {wanted[1]}")
            assert await error_of(fs.next_event()) == told
            assert await error_of(fs.api("status")) == told
            await second.ends()

    play(main())


@pytest.mark.parametrize("stage", ["pause", "connected", "greeted"])
def test_close_ends_a_reconnection(esl: ModuleType, play: Any, stage: str) -> None:
    async def main() -> None:
        first = 60 if stage == "pause" else 0.01
        async with pair(esl, reconnect=quick(esl, first=first, longest=60)) as (fs, peer, switch):
            await peer.close()
            await until(lambda: fs._books.away)
            if stage != "pause":
                second = await switch.accept()
            if stage == "greeted":
                second.sends(AUTH)
                await second.command()
            reader = asyncio.create_task(take(fs.events(), 1))
            await fs.close()
            assert await reader == []
            assert fs.closed
            if stage != "pause":
                await second.ends()

    play(main())


def test_what_was_dropped_is_counted_over_reconnections(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        async with pair(esl, reconnect=quick(esl), queue_limit=2, when_full="drop") as (fs, peer, switch):
            peer.sends(numbered(range(5)))
            await until(lambda: fs.dropped == 3)
            await peer.close()
            await switch.lets_in(numbered(range(5, 10)))
            await until(lambda: fs.dropped == 3 + 6)  # two that waited, the gap, three new ones
            assert sequences(await take(fs.events(), 2)) == [8, 9]

    play(main())


def test_a_full_queue_does_not_keep_a_connection_from_coming_back(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        options = {"queue_limit": 5, "queue_hard_limit": 10, "reconnect": quick(esl)}
        async with pair(esl, **options) as (fs, peer, switch):
            task = asyncio.create_task(fs.api("status"))
            await peer.command()
            peer.sends(numbered(range(10)))
            assert (await error_of(task))[0] == "EventQueueFull"
            await peer.close()
            assert sequences(await take(fs.events(), 10)) == list(range(10))  # only then the end is read
            await switch.lets_in(numbered(range(10, 12)))
            assert sequences(await take(fs.events(), 3)) == [None, 10, 11]

    play(main())
