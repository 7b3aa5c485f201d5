"""The calls of asyncio."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Any

import pytest
from aio_support import CONNECTED, LINGER, Peer, error_of, event, over, until
from aio_support import play as play
from aio_support import switch as switch
from support import FAREWELL, OK, notice, part, reply


def test_a_call_brings_its_channels_data(esl: ModuleType, play: Any, switch: Any) -> None:
    async def main() -> None:
        seen = []

        async def handler(call: Any) -> None:
            seen.append((call.data.name, call.data["variable_x"], call.uuid, call.mode, call.control, call.closed))
            assert isinstance(call.data, esl.Event)
            assert call.data.uuid == call.uuid
            await call.set("x", "new value", wait=True)
            assert (await call.getvar("x"), await call.getvar("nosuch")) == ("new value", None)
            fresh = await call.connect()
            assert fresh["variable_x"] == "new value"
            assert call.data == fresh
            assert repr(call) == f"<Call {call.host}:{call.port} open>"

        async with part(esl, "aio").serve(handler) as server:
            assert server.host == "127.0.0.1"
            assert repr(server) == f"<Server on 127.0.0.1:{server.port}: 0 calls>"
            calls = [
                switch.dial(server.host, server.port, mode=mode, uuid=f"u-{number}", variables={"x": "a b"})
                for number, mode in enumerate(["async full", "full", "async", ""])
            ]
            for call in calls:
                assert await over(call) is None or call.listener.static
        assert sorted(seen, key=lambda one: one[2]) == [
            ("CHANNEL_DATA", "a b", "u-0", "async", "full", False),
            ("CHANNEL_DATA", "a b", "u-1", "static", "full", False),
            ("CHANNEL_DATA", "a b", "u-2", "async", "single-channel", False),
            ("CHANNEL_DATA", "a b", "u-3", "static", "single-channel", False),
        ]
        assert repr(server) == f"<Server on 127.0.0.1:{server.port}: closed>"

    play(main())


APPLICATIONS: list[tuple[Callable[[Any], Awaitable[Any]], tuple[str, str]]] = [
    (lambda call: call.answer(), ("answer", "")),
    (lambda call: call.pre_answer(), ("pre_answer", "")),
    (lambda call: call.ring_ready(), ("ring_ready", "")),
    (lambda call: call.playback("a.wav"), ("playback", "a.wav")),
    (lambda call: call.record("/tmp/a.wav 60 200 5"), ("record", "/tmp/a.wav 60 200 5")),
    (lambda call: call.bridge("user/1000,user/1001"), ("bridge", "user/1000,user/1001")),
    (lambda call: call.set("a", "b c"), ("set", "a=b c")),
    (lambda call: call.unset("a"), ("unset", "a")),
    (lambda call: call.sleep(20), ("sleep", "20")),
    (lambda call: call.park(), ("park", "")),
    (lambda call: call.transfer("1000 XML default"), ("transfer", "1000 XML default")),
    (lambda call: call.execute("log", "INFO hello"), ("log", "INFO hello")),
]


@pytest.mark.parametrize("mode", ["async full", "full", "async", ""])
def test_applications_with_and_without_their_end(esl: ModuleType, play: Any, switch: Any, mode: str) -> None:
    switch.applications.update(dict.fromkeys(["bridge", "park", "record", "transfer"], 0.0))  # each ends at once

    async def main() -> None:
        results = []

        async def handler(call: Any) -> None:
            for verb, _ in APPLICATIONS:
                results.append((await verb(call)).text)
            done = await call.execute("playback", "b.wav", wait=True, loops=1)
            results.append((type(done).__name__, done.name, done["Application-Response"]))
            done = await call.answer(wait=True)
            results.append((type(done).__name__, done["Application"]))
            assert not call.connection.queue  # nobody asked for these events but we
            await call.hangup("USER_BUSY")

        async with part(esl, "aio").serve(handler) as server:
            call = switch.dial(server.host, server.port, mode=mode)
            assert await over(call) == "USER_BUSY"
        assert results == [
            *["+OK"] * len(APPLICATIONS),
            ("Event", "CHANNEL_EXECUTE_COMPLETE", "FILE PLAYED"),
            ("Event", "answer"),
        ]
        assert call.executed == [*(wanted for _, wanted in APPLICATIONS), ("playback", "b.wav"), ("answer", "")]

    play(main())


def test_several_executions_are_told_apart(esl: ModuleType, play: Any, switch: Any) -> None:
    switch.applications["quick"] = 0.01
    switch.applications["slow"] = 0.05

    async def main() -> None:
        order = []

        async def handler(call: Any) -> None:
            async def one(name: Any, number: Any) -> None:
                done = await call.execute(name, str(number), wait=True)
                order.append((done["Application"], done["Application-Data"]))

            await asyncio.gather(one("slow", 1), one("quick", 2), one("quick", 3))
            await call.hangup()

        async with part(esl, "aio").serve(handler) as server:
            await over(switch.dial(server.host, server.port))
        assert sorted(order) == [("quick", "2"), ("quick", "3"), ("slow", "1")]

    play(main())


@pytest.mark.parametrize("mode", ["async full", ""])
def test_an_application_may_take_longer_than_commands(esl: ModuleType, play: Any, switch: Any, mode: str) -> None:
    switch.applications["slow"] = 2.6

    async def main() -> None:
        done = []

        async def handler(call: Any) -> None:
            if call.mode == "static":
                done.append((await call.execute("slow")).text)  # its reply comes when it has ended
            done.append((await call.execute("slow", wait=True)).name)
            done.append(await error_of(call.execute("slow", wait=True, timeout=0.05)))
            await call.execute("answer", wait=True, timeout=math.inf)

        async with part(esl, "aio").serve(handler, command_timeout=2.5) as server:
            await over(switch.dial(server.host, server.port, mode=mode))
            await until(lambda: not server.calls)
        what = "the end of slow" if mode else "the answer to 'sendmsg'"
        assert done[-2:] == ["CHANNEL_EXECUTE_COMPLETE", ("CommandTimeout", f"waited 0.05 s for {what}")]
        assert done[:-2] == ([] if mode else ["+OK"])

    play(main())


def test_an_execution_of_another_channel_cannot_be_waited_for(esl: ModuleType, play: Any, switch: Any) -> None:
    async def main() -> None:
        said = []

        async def handler(call: Any) -> None:
            said.append(await error_of(call.execute("answer", uuid="other", wait=True)))
            await call.execute("answer", uuid=call.uuid, wait=True)

        async with part(esl, "aio").serve(handler) as server:
            await over(switch.dial(server.host, server.port))
            await until(lambda: not server.calls)
        wanted = "execute can wait for its end on the connection's own channel only"
        assert said == [("InvalidCommand", wanted)]

    play(main())


def test_what_a_single_channel_socket_may_not_do(esl: ModuleType, play: Any, switch: Any) -> None:
    async def main() -> None:
        answers = []

        async def handler(call: Any) -> None:
            refused = ("CommandError", "-ERR command not found")
            for verb in (call.subscribe("DTMF"), call.noevents(), call.log(), call.linger(), call.bgapi("status")):
                answers.append(await error_of(verb) == refused)
            answers.append((await call.api("status")).text)
            answers.append((await call.myevents()).text)
            answers.append((await call.filter("A", "b")).ok)
            answers.append((await call.divert_events()).text)
            answers.append((await call.resume()).text)
            answers.append((await call.execute("answer", wait=True)).name)

        async with part(esl, "aio").serve(handler) as server:
            await over(switch.dial(server.host, server.port, mode="async"))
            await until(lambda: not server.calls)
        assert answers == [
            *[True] * 5,
            "-ERR command not found",
            "+OK Events Enabled",
            True,
            "+OK events diverted",
            "+OK",
            "CHANNEL_EXECUTE_COMPLETE",
        ]

    play(main())


def test_a_hangup_ends_what_is_waited_for(
    esl: ModuleType, play: Any, switch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    switch.applications["slow"] = 60

    async def main() -> None:
        ended = []

        async def handler(call: Any) -> None:
            first = asyncio.create_task(call.execute("slow", event_lock=True, wait=True))
            await until(lambda: switch.sessions[call.uuid].executed)
            second = asyncio.create_task(call.execute("answer", event_lock=True, wait=True))
            await until(lambda: len(switch.commands) == 4)
            switch.hangup(call.uuid, "ORIGINATOR_CANCEL")
            await asyncio.wait({first, second})
            ended.append(await error_of(second))
            ended.append(first.exception() is None or await error_of(first))
            await second

        async with part(esl, "aio").serve(handler) as server:
            call = switch.dial(server.host, server.port)
            assert await over(call) == "ORIGINATOR_CANCEL"
            await until(lambda: not server.calls)
        assert ended[0][0] in ("ChannelEnded", "ConnectionClosed")
        assert "ORIGINATOR_CANCEL" in ended[0][1]

    play(main())
    (record,) = [record for record in caplog.records if "under its handler" in record.getMessage()]
    assert record.levelname == "INFO"


def test_events_of_a_call_and_linger(esl: ModuleType, play: Any, switch: Any) -> None:
    async def main() -> None:
        seen = []

        async def handler(call: Any) -> None:
            await call.linger(1)
            await call.myevents(format="json")
            await call.answer()
            async for message in call.events(timeout=20):
                seen.append(message.name)
                if message.name == "CHANNEL_EXECUTE_COMPLETE":
                    break
            await call.hangup()
            async for message in call.messages():
                seen.append(getattr(message, "name", "lingering"))
            seen.append(call.closed)
            assert call.connection.end.clean

        async with part(esl, "aio").serve(handler) as server:
            call = switch.dial(server.host, server.port)
            await over(call)
            await until(lambda: not server.calls)
        assert seen[:3] == ["CHANNEL_EXECUTE", "CHANNEL_ANSWER", "CHANNEL_EXECUTE_COMPLETE"]
        assert "CHANNEL_HANGUP" in seen
        assert "lingering" in seen
        assert seen[-1] is True

    play(main())


def test_exact_bytes_of_an_outbound_connection(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        ended = asyncio.Event()

        async def handler(call: Any) -> None:
            done = await call.execute("playback", "a.wav", wait=True, event_uuid="e-1")
            assert done["Application-UUID"] == "e-1"
            assert [type(message).__name__ async for message in call.messages()] == ["DisconnectNotice"]
            ended.set()

        async with part(esl, "aio").serve(handler) as server:
            peer = Peer(*await asyncio.open_connection("127.0.0.1", server.port))
            await peer.answers((b"connect\n\n", CONNECTED), (b"myevents\n\n", reply(b"+OK Events Enabled")))
            execute = b"sendmsg\ncall-command: execute\nexecute-app-name: playback\nexecute-app-arg: a.wav\n"
            assert await peer.command() == execute + b"Event-UUID: e-1\n\n"
            complete = event(b"CHANNEL_EXECUTE_COMPLETE", b"Unique-ID: u-1", b"Application-UUID: e-1")
            peer.sends(OK, complete, LINGER, notice(FAREWELL))
            await asyncio.wait_for(ended.wait(), 20)
            await peer.ends()
            await peer.close()

    play(main())
