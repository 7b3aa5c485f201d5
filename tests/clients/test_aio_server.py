"""The server of asyncio."""

from __future__ import annotations

import asyncio
import logging
import re
from types import ModuleType
from typing import Any

import pytest
from aio_support import CONNECTED, PROBE, Peer, error_of, over, until, with_time
from aio_support import play as play
from aio_support import switch as switch
from support import OK, part, reply


def test_the_connection_ends_with_the_handler(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        async def handler(call: Any) -> None:
            pass

        server = await part(esl, "aio").serve(handler)
        peer = Peer(*await asyncio.open_connection("127.0.0.1", server.port))
        await peer.answers((b"connect\n\n", CONNECTED))
        await peer.ends()
        await peer.close()
        await server.close()
        await server.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", server.port)

    play(main())


@pytest.mark.parametrize(
    ("sent", "seconds", "said"),
    [
        (b"", 0.3, "waited 0.3 s for the login"),
        (b"Content-", 2.5, "waited 2.5 s for the login; read 8 bytes of a frame without its end"),
        (reply(b"-ERR no"), 20, "the switch refused the login: -ERR no"),
        (b"GET / HTTP/1.1\n\n", 1, None),  # time to read it: else the end would be a reset
    ],
)
def test_a_connection_that_brings_no_call_is_closed(
    esl: ModuleType, play: Any, caplog: pytest.LogCaptureFixture, sent: Any, seconds: float, said: Any
) -> None:
    async def main() -> None:
        async def handler(call: Any) -> None:
            raise AssertionError("there is no call")

        async with part(esl, "aio").serve(handler, first_frame_timeout=seconds) as server:
            peer = Peer(*await asyncio.open_connection("127.0.0.1", server.port))
            peer.sends(sent)
            assert await peer.command() == b"connect\n\n"
            await peer.ends()
            await peer.close()
            await until(lambda: server.calls == 0)

    play(main())
    (record,) = [record for record in caplog.records if record.name.startswith("eslcodec")]
    assert record.levelname == "WARNING"
    assert " brought no call: " in record.getMessage()
    assert said is None or record.getMessage().endswith(said)


def test_a_handlers_exception_closes_its_call_and_no_other(
    esl: ModuleType, play: Any, switch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        release = asyncio.Event()
        done = []

        async def handler(call: Any) -> None:
            if call.data["variable_fails"] == "yes":
                raise KeyError("oh no")
            await release.wait()
            done.append((await call.answer()).text)

        async with part(esl, "aio").serve(handler) as server:
            good = switch.dial(server.host, server.port, variables={"fails": "no"})
            bad = switch.dial(server.host, server.port, variables={"fails": "yes"}, uuid="u-bad")
            await over(bad)
            assert not good.over
            release.set()
            await over(good)
            assert done == ["+OK"]

    play(main())
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert re.fullmatch(r"the handler of the call from 127\.0\.0\.1:\d+ failed", record.getMessage())
    assert "oh no" in caplog.text


def test_a_caller_that_hangs_up_under_a_handler_is_no_failure(
    esl: ModuleType, play: Any, switch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def main() -> None:
        async def handler(call: Any) -> None:
            await call.subscribe("DTMF")
            switch.hangup(call.uuid)
            while True:
                await call.next_event()

        async with part(esl, "aio").serve(handler) as server:
            await over(switch.dial(server.host, server.port, uuid="u-1"))
            await until(lambda: not server.calls)

    play(main())
    [record] = [record for record in caplog.records if record.name.startswith("eslcodec")]
    assert (record.levelname, record.name) == ("INFO", "eslcodec.server")
    where = r"the call from 127\.0\.0\.1:\d+"
    assert re.fullmatch(where + " ended under its handler: the switch said good-bye", record.getMessage())


def test_closing_waits_for_calls(esl: ModuleType, play: Any, switch: Any) -> None:
    async def main() -> None:
        release = asyncio.Event()
        done = []

        async def handler(call: Any) -> None:
            await release.wait()
            done.append((await call.hangup()).text)

        server = await part(esl, "aio").serve(handler)
        call = switch.dial(server.host, server.port)
        await until(lambda: server.calls == 1)
        serving = asyncio.create_task(server.serve_forever())
        closing = asyncio.create_task(server.close(timeout=30))
        await asyncio.sleep(0)
        with pytest.raises(OSError, match=r"refused"):
            switch.dial(server.host, server.port)
        release.set()
        await closing
        await serving
        assert done == ["+OK"]
        assert await over(call) == "NORMAL_CLEARING"

    play(main())


def test_closing_cancels_calls_that_go_on(
    esl: ModuleType, play: Any, switch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part(esl, "aio._server"), "_GRACE", 2.5)

    async def main() -> None:
        said = {}
        inside = []

        async def handler(call: Any) -> None:
            inside.append(call)
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if call.uuid == "u-polite":
                    said[call.uuid] = (await call.hangup("MANAGER_REQUEST")).text  # there is time for that
                else:
                    said[call.uuid] = await error_of(call.next_event())  # until the connection is closed
                raise

        async with part(esl, "aio").serve(handler) as server:
            calls = [switch.dial(server.host, server.port, uuid=uuid) for uuid in ("u-polite", "u-stubborn")]
            await until(lambda: len(inside) == 2)
            await server.close(timeout=0)
            assert server.calls == 0
            assert [await over(call) for call in calls] == ["MANAGER_REQUEST", None]
        assert said == {"u-polite": "+OK", "u-stubborn": ("ConnectionClosed", "closed by us")}

    play(main())


def test_a_handler_may_close_the_server(esl: ModuleType, play: Any, switch: Any) -> None:
    async def main() -> None:
        async def handler(call: Any) -> None:
            await server.close()
            await call.hangup()

        async with part(esl, "aio").serve(handler) as server:
            call = switch.dial(server.host, server.port)
            await server.serve_forever()
            assert await over(call) == "NORMAL_CLEARING"

    play(main())


def test_cancelling_serve_forever_closes_the_server(esl: ModuleType, play: Any, switch: Any) -> None:
    async def main() -> None:
        async def handler(call: Any) -> None:
            async for _ in call.events():
                pass

        async def serve() -> None:
            async with part(esl, "aio").serve(handler) as server:
                servers.append(server)
                await server.serve_forever()

        servers: list[Any] = []
        serving = asyncio.create_task(serve())
        await until(lambda: servers)
        call = switch.dial(servers[0].host, servers[0].port)
        await until(lambda: servers[0].calls)
        serving.cancel()
        await asyncio.sleep(0)
        call.hangup()  # and so the call that was waited for ends
        with pytest.raises(asyncio.CancelledError):
            await serving
        with pytest.raises(OSError, match=r"refused"):
            switch.dial(servers[0].host, servers[0].port)

    play(main())


def test_a_hundred_calls_at_once(esl: ModuleType, play: Any, switch: Any) -> None:
    switch.applications["playback"] = 0.02

    async def main() -> None:
        finished = []
        most = 0

        async def handler(call: Any) -> None:
            nonlocal most
            most = max(most, server.calls)
            await call.answer(wait=True)
            await all_there.wait()
            await call.playback("a.wav", wait=True)
            finished.append((await call.getvar("number"), call.uuid))
            await call.hangup()

        all_there = asyncio.Event()
        async with part(esl, "aio").serve(handler) as server:
            calls = [
                switch.dial(server.host, server.port, uuid=f"u-{number}", variables={"number": str(number)})
                for number in range(100)
            ]
            await until(lambda: server.calls == 100)
            all_there.set()
            for call in calls:
                assert await over(call) == "NORMAL_CLEARING"
            await until(lambda: server.calls == 0)
        assert sorted(finished) == sorted((str(number), f"u-{number}") for number in range(100))
        assert most == 100

    play(main())


def test_a_silent_call_is_given_up(esl: ModuleType, play: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def main() -> None:
        await with_time(silent, 0.5, 3)

    async def silent(keepalive: float) -> None:
        async def handler(call: Any) -> None:
            await call.next_event()

        caplog.clear()
        async with part(esl, "aio").serve(handler, keepalive=keepalive) as server:
            peer = Peer(*await asyncio.open_connection("127.0.0.1", server.port))
            try:
                await peer.answers((b"connect\n\n", CONNECTED), (PROBE, OK))
                assert await peer.command() == PROBE
                await peer.ends()
            finally:
                await peer.close()
            await until(lambda: not server.calls)
        assert f"nothing was received for {2 * keepalive:g} s, though the switch was asked" in caplog.text

    play(main())
