"""Probes and scrapes over HTTP: what they say, while the loop turns and while it does not, to friends and to others."""

from __future__ import annotations

import asyncio
import json
import math
import os
import socket
import sys
import threading
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("prometheus_client")

from metrics_support import SECONDS, Numbers, asked, everything, exchange, parsed, run
from ports import free_port
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from support import part, until

PAUSE = 0.05


class World:
    """Endpoints, and what they are asked from threads while the loop turns."""

    def __init__(self, esl: ModuleType) -> None:
        self.health_of = part(esl, "ingest._health").Health
        self.metrics_of = part(esl, "ingest.metrics").Metrics
        self.sample = part(esl, "ingest.metrics").Sample
        self.times = part(esl, "ingest.metrics").Times


@pytest.fixture
def world(esl: ModuleType, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(esl)
    monkeypatch.setattr(sys.modules[world.health_of.__module__], "ASK_SECONDS", SECONDS)  # the machine may be busy
    return world


def port_of(health: Any) -> int:
    return int(health.url.rpartition(":")[2])


async def ask(health: Any, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    return await asyncio.to_thread(asked, port_of(health), path, method, **headers)


async def send(health: Any, data: bytes) -> bytes:
    return await asyncio.to_thread(exchange, port_of(health), data)


def test_a_scrape(world: World) -> None:
    async def main() -> None:
        metrics = world.metrics_of({"west": Numbers()})
        async with world.health_of(metrics, port=0) as health:
            status, headers, body = await ask(health, "/metrics?x=1")
            assert (status, headers["content-type"].partition(";")[0]) == (200, "text/plain")
            assert parsed(body.decode())["eslcodec_reconnects_total", "west"] == 3
            _, headers, body = await ask(health, "/metrics", Accept="application/openmetrics-text; version=1.0.0")
            assert headers["content-type"].startswith("application/openmetrics-text")
            assert "eslcodec_reconnects" in [family.name for family in open_families(body.decode())]

    run(main)


def test_it_reads_the_fleet_where_that_lives(world: World) -> None:
    """And not in the thread that answers."""
    threads = set()

    def switches() -> dict[str, Any]:
        threads.add(threading.get_ident())
        return {"west": Numbers()}

    async def main() -> None:
        async with world.health_of(world.metrics_of(switches), port=0) as health:
            for path in ("/metrics", "/readyz", "/status"):
                assert (await ask(health, path))[0] == 200

    run(main)
    assert threads == {threading.get_ident()}


def test_status(world: World) -> None:
    async def main() -> None:
        away = Numbers(name="east", state="away", connected=False, error="Connection refused", lag=math.nan)
        metrics = world.metrics_of({"west": Numbers(tap={"path": Path("rec/a")}), "east": away})
        times = world.times()
        times.observe(0.5)
        metrics.add(lambda: [world.sample("eslcodec_spill_bytes", "west", 5)])
        metrics.add(lambda: [world.sample("eslcodec_publish_errors_total", "west", 2, "timeout")])
        metrics.add(lambda: [world.sample("eslcodec_publish_seconds", "north", times)])
        async with world.health_of(metrics, port=0) as health:
            status, headers, body = await ask(health, "/status")
            assert (status, headers["content-type"]) == (200, "application/json")
            told = json.loads(body)["switches"]
            west = told["west"]
            assert (west["connected"], west["state"], west["lag"], west["error"]) == (True, "connected", 0.25, None)
            assert (west["losses"], west["loss_reports"]) == ({"certain": 501}, {"bounded": 2})
            assert (west["spill_bytes"], west["publish_errors_total"]) == (5, {"timeout": 2})
            assert (told["east"]["error"], told["east"]["lag"]) == ("Connection refused", None)
            assert told["north"]["publish_seconds"] == {"count": 1, "sum": 0.5}
            assert (await ask(health, "/readyz"))[0] == (await ask(health, "/livez"))[0] == 200  # a switch is away

    run(main)


def test_ready(world: World, tmp_path: Path) -> None:
    doubts: list[str | None] = [None]
    folder = tmp_path / "rec"
    folder.mkdir()

    async def main() -> None:
        metrics = world.metrics_of({}, folders=[folder])
        async with world.health_of(metrics, port=0, ready=[lambda: doubts[0]]) as health:
            assert (await ask(health, "/readyz"))[::2] == (200, b"ready\n")
            doubts[0] = "the configuration was not read"
            folder.rmdir()
            status, _, body = await ask(health, "/readyz")
            assert status == 503
            assert body.decode().splitlines() == [
                "the configuration was not read",
                f"{folder} cannot be written: No such file or directory",
            ]
            assert (await ask(health, "/livez"))[0] == (await ask(health, "/metrics"))[0] == 200
            doubts.clear()
            assert b"IndexError" in (await ask(health, "/readyz"))[2]

    run(main)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_others_own_is_not_ready(world: World, tmp_path: Path) -> None:
    async def main() -> None:
        async with world.health_of(world.metrics_of({}, folders=[tmp_path]), port=0) as health:
            tmp_path.chmod(0o500)
            assert b"Permission denied" in (await ask(health, "/readyz"))[2]
            tmp_path.chmod(0o700)

    run(main)


def test_a_loop_that_is_stuck(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[world.health_of.__module__], "ASK_SECONDS", 0.2)

    async def main() -> None:
        async with world.health_of(world.metrics_of({}), port=0, stuck_seconds=1) as health:
            port = port_of(health)
            while (await ask(health, "/livez"))[0] != 200:  # a busy machine may be stuck too
                pass

            def is_dead() -> bool:
                return asked(port, "/livez")[0] == 503

            until(is_dead, SECONDS)  # in the loop: it is stuck meanwhile
            assert asked(port, "/livez")[2].startswith(b"the loop has been stuck for ")
            for path in ("/metrics", "/readyz", "/status"):
                status, _, body = asked(port, path)
                assert status == 503
                assert b"the loop does not answer" in body
            for _ in range(100):  # nobody waits where another has waited in vain
                assert asked(port, "/status")[0] == 503
            asked_of = health._pictures._asked
            assert len(asked_of._done_callbacks) == 1
            await asyncio.sleep(0)
            for path in ("/livez", "/metrics"):
                while (await ask(health, path))[0] != 200:
                    pass

    run(main)


def test_a_loop_that_has_ended(world: World) -> None:
    loop = asyncio.new_event_loop()
    health = world.health_of(world.metrics_of({}), port=0, stuck_seconds=1)
    loop.run_until_complete(health.start())
    loop.close()
    port = port_of(health)
    assert asked(port, "/metrics")[0] == 503
    until(lambda: asked(port, "/livez")[0] == 503, SECONDS)
    asyncio.run(health.close())
    with pytest.raises(ConnectionError):
        asked(port, "/livez")


def test_a_disk_that_hangs(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module = sys.modules[world.health_of.__module__]
    monkeypatch.setattr(module, "ASK_SECONDS", 3.0)  # which the loop has too
    mended, calls = threading.Event(), []

    def disks_of(folders: Any) -> list[Any]:
        calls.append(folders)
        mended.wait(SECONDS)
        return []

    monkeypatch.setattr(module, "disks_of", disks_of)

    async def main() -> None:
        async with world.health_of(world.metrics_of({}, folders=[tmp_path]), port=0) as health:
            for _ in range(3):
                assert (await ask(health, "/readyz"))[::2] == (503, b"the disk does not answer\n")
                assert (await ask(health, "/livez"))[0] == (await ask(health, "/metrics"))[0] == 200
            assert calls == [(str(tmp_path),)]  # one thread hangs, and not one for each probe
            mended.set()
            while (await ask(health, "/readyz"))[0] != 200:
                pass

    run(main)


def test_a_fleet_that_fails_is_told(world: World, caplog: pytest.LogCaptureFixture) -> None:
    def switches() -> dict[str, Any]:
        raise KeyError("broken")

    async def main() -> None:
        async with world.health_of(world.metrics_of(switches), port=0) as health:
            for path in ("/metrics", "/status", "/metrics"):
                assert (await ask(health, path))[::2] == (500, b"Internal Server Error\n")
            assert b"KeyError: 'broken'" in (await ask(health, "/readyz"))[2]
            assert (await ask(health, "/livez"))[0] == 200

    run(main)
    assert [record.getMessage() for record in caplog.records] == ["cannot answer /metrics", "cannot answer /status"]


def test_without_prometheus_client(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)

    async def main() -> None:
        async with world.health_of(world.metrics_of({}), port=0) as health:
            sentence = b"metrics need prometheus-client: pip install 'eslcodec[metrics]'\n"
            assert (await ask(health, "/metrics"))[::2] == (501, sentence)
            assert (await ask(health, "/livez"))[0] == (await ask(health, "/status"))[0] == 200

    run(main)


# Requests


def test_head_and_unknown_paths(world: World) -> None:
    async def main() -> None:
        async with world.health_of(world.metrics_of({}), port=0) as health:
            status, headers, body = await ask(health, "/livez", "HEAD")
            assert (status, headers["content-length"], headers["connection"], body) == (200, "15", "close", b"")
            assert (await ask(health, "/"))[::2] == (404, b"there are /metrics /livez /readyz /status\n")
            assert (await ask(health, "/livez/"))[0] == 404
            status, headers, _ = await ask(health, "/livez", "POST")
            assert (status, headers["allow"]) == (405, "GET, HEAD")

    run(main)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /livez HTTP/1.0\r\n\r\n", 200),
        (b"GET /livez HTTP/1.1\r\nA: b\r\n\r\nGET /livez HTTP/1.1\r\n\r\n" + b"x" * 50_000, 200),
        (b"GET /livez HTTP/1.1\r\nContent-Length: 1000000\r\n\r\nabc", 200),
        (b"GET /livez\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
        (b"GET http://example.org/livez HTTP/1.1\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET /livez HTTP/2.0\r\n\r\n", 505),
        (b"DELETE /livez HTTP/1.1\r\n\r\n", 405),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 5000, 431),
    ],
)
def test_odd_requests(world: World, request_: bytes, status: int) -> None:
    async def main() -> None:
        async with world.health_of(world.metrics_of({}), port=0) as health:
            answer = await send(health, request_)
            assert answer.startswith(b"HTTP/1.1 %d " % status)
            assert answer.count(b"HTTP/1.1") == 1
            assert (await ask(health, "/livez"))[0] == 200

    run(main)


def test_slow_requests_are_cut_off(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[world.health_of.__module__.replace("_health", "_http")], "HEAD_SECONDS", 1.0)

    async def main() -> None:
        async with world.health_of(world.metrics_of({}), port=0) as health:
            assert (await send(health, b"GET /livez HT")).startswith(b"HTTP/1.1 408 ")
            assert (await send(health, b"")).startswith(b"HTTP/1.1 408 ")

    run(main)


def test_many_connections(world: World) -> None:
    """Of those that say nothing the oldest give way; who asks is answered."""

    async def main() -> None:
        async with world.health_of(world.metrics_of({}), port=0) as health:
            socks = [socket.create_connection(("127.0.0.1", port_of(health)), timeout=SECONDS) for _ in range(200)]
            for _ in range(20):
                assert (await ask(health, "/livez"))[0] == 200
            assert len(health._server._tasks) <= 32
            assert await asyncio.to_thread(everything, socks[0]) == b""  # it was closed
            for sock in socks:
                sock.close()

    run(main)


def test_an_answer_that_nobody_reads(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[world.health_of.__module__.replace("_health", "_http")], "ANSWER_SECONDS", 0.2)

    async def main() -> None:
        metrics = world.metrics_of({"west": Numbers(hostname="x" * 30_000_000)})
        async with world.health_of(metrics, port=0) as health:
            with socket.socket() as sock:
                sock.settimeout(SECONDS)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                sock.connect(("127.0.0.1", port_of(health)))
                sock.sendall(b"GET /status HTTP/1.1\r\n\r\n")
                assert await asyncio.to_thread(sock.recv, 1) == b"H"  # and no more of it
                while health._server._tasks:
                    await asyncio.sleep(PAUSE)

    run(main)


def test_a_client_that_goes_away(world: World) -> None:
    async def main() -> None:
        async with world.health_of(world.metrics_of({}), port=0) as health:
            for data in (b"", b"GET /li", b"GET /livez HTTP/1.1\r\n\r\n"):
                with socket.create_connection(("127.0.0.1", port_of(health))) as sock:
                    sock.sendall(data)
            while health._server._tasks:
                await asyncio.sleep(PAUSE)
            assert (await ask(health, "/livez"))[0] == 200

    run(main)


# Beginning and end


def test_the_address_is_loopback_and_free_again(world: World) -> None:
    async def main() -> None:
        port = free_port()
        health = world.health_of(world.metrics_of({}), port=port)
        await health.close()
        for _ in range(3):
            async with health:
                assert health.url == f"http://127.0.0.1:{port}"
                with pytest.raises(RuntimeError, match="started twice"):
                    await health.start()
                with pytest.raises(OSError, match="in use"):
                    await world.health_of(world.metrics_of({}), port=port).start()
            await health.close()
            with pytest.raises(ConnectionError):
                await ask(health, "/livez")
            with socket.create_server(("127.0.0.1", port)):
                pass

    run(main)
    assert "eslcodec-health" not in [thread.name for thread in threading.enumerate()]


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
def test_ipv6(world: World) -> None:
    async def main() -> None:
        try:
            async with world.health_of(world.metrics_of({}), host="::1", port=0) as health:
                assert health.url.startswith("http://[::1]:")
        except OSError as error:
            pytest.skip(f"no IPv6 here: {error}")

    run(main)


def test_closing_cuts_off_whoever_is_there(world: World) -> None:
    async def main() -> None:
        health = world.health_of(world.metrics_of({}), port=0)
        await health.start()
        sock = socket.create_connection(("127.0.0.1", port_of(health)), timeout=SECONDS)
        while not health._server._tasks:
            await asyncio.sleep(PAUSE)
        await health.close()
        with sock:
            assert await asyncio.to_thread(everything, sock) == b""

    run(main)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_child_process_leaves_the_port_to_its_parent(world: World) -> None:
    async def main() -> int:
        async with world.health_of(world.metrics_of({}), port=0) as health:
            child = os.fork()
            if child == 0:
                os._exit(0 if health._server._thread is None else 1)
            _, status = os.waitpid(child, 0)
            assert (await ask(health, "/livez"))[0] == 200
            return status

    with pytest.warns(DeprecationWarning, match="fork") if sys.version_info >= (3, 12) else nullcontext():
        assert run(main) == 0


def test_ctrl_c_during_a_question_is_not_for_the_client(world: World) -> None:
    def interrupted() -> Any:
        raise KeyboardInterrupt

    async def main() -> None:
        async with world.health_of(world.metrics_of(interrupted), port=0) as health:
            asked_for = asyncio.ensure_future(ask(health, "/status"))
            try:
                await asyncio.wait_for(asyncio.Event().wait(), SECONDS)
            finally:
                asked_for.cancel()

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())


@pytest.mark.parametrize("port", [-1, 65536])
def test_ports_that_are_none(world: World, port: int) -> None:
    with pytest.raises(ValueError, match="port is "):
        world.health_of(world.metrics_of({}), port=port)


@pytest.mark.parametrize("seconds", [0, 0.5, -1, math.inf, math.nan])
def test_options_that_make_no_sense(world: World, seconds: float) -> None:
    with pytest.raises(ValueError, match="stuck_seconds is "):
        world.health_of(world.metrics_of({}), stuck_seconds=seconds)
    with pytest.raises(TypeError, match="metrics is 5, expected Metrics"):
        world.health_of(5)
