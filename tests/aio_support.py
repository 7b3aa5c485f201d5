"""What the tests of asyncio share: both loops, and a switch that does in the client's own loop what a test says."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support import ACCEPTED, AUTH, part, plain, reply

from eslcodec.emulator import Emulator

Play = Callable[[Coroutine[Any, Any, Any]], Any]
CONNECTED = (
    b"Event-Name: CHANNEL_DATA\nUnique-ID: u-1\nvariable_x: a%20b\nContent-Type: command/reply\n"
    b"Reply-Text: %2BOK%0A\nSocket-Mode: async\nControl: full\n\n"
)
LINGER = (
    b"Content-Type: text/disconnect-notice\nControlled-Session-UUID: u-1\nContent-Disposition: linger\n"
    b"Channel-Name: loopback/1\nLinger-Time: 5\nContent-Length: 0\n\n"
)
LOG = b"Content-Type: log/data\nContent-Length: 2\nLog-Level: 7\nUser-Data: \n\nx\n"
ENABLED = reply(b"+OK event listener enabled plain")
PROBE = b"filter delete Eslcodec-Probe\n\n"


def event(name: bytes, *lines: bytes, body: bytes = b"") -> bytes:
    length = [b"Content-Length: %d" % len(body)] if body else []
    return plain(b"\n".join([b"Event-Name: " + name, *lines, *length, b"", b""]) + body)


def numbered(numbers: range) -> bytes:
    return b"".join(event(b"HEARTBEAT", b"Event-Sequence: %d" % number) for number in numbers)


def job_accepted(command: bytes) -> bytes:
    """The reply to a `bgapi`."""
    return reply(b"+OK Job-UUID: " + job_uuid(command), b"Job-UUID: " + job_uuid(command) + b"\n")


def job_done(command: bytes, output: bytes = b"+OK\n") -> bytes:
    """The result of the job that a `bgapi` began."""
    return event(b"BACKGROUND_JOB", b"Job-UUID: " + job_uuid(command), body=output)


def job_uuid(command: bytes) -> bytes:
    return command.partition(b"Job-UUID: ")[2].strip()


@pytest.fixture(params=["asyncio", "uvloop"])
def play(request: pytest.FixtureRequest) -> Play:
    """Runs a coroutine, for a hundred seconds at most, on an event loop; nothing may be left of it then."""
    loops = asyncio if request.param == "asyncio" else pytest.importorskip("uvloop")

    async def whole(main: Coroutine[Any, Any, Any]) -> Any:
        await asyncio.sleep(0)
        before = sockets()
        result = await asyncio.wait_for(main, 100)
        await asyncio.sleep(0)  # what was cancelled is done then
        assert asyncio.all_tasks() == {asyncio.current_task()}
        await until(lambda: sockets() <= before)
        return result

    def run(main: Coroutine[Any, Any, Any]) -> Any:
        loop = loops.new_event_loop()
        try:
            asyncio.set_event_loop(loop)
            return loop.run_until_complete(whole(main))
        finally:
            asyncio.set_event_loop(None)
            loop.close()

    return run


def sockets() -> set[str]:
    """Those that are open, each with a name that no other one has had: what an earlier test left behind may be closed
    at any moment. A loop opens other things when it needs them first."""
    return {target for target in map(leads_to, Path("/proc/self/fd").glob("*")) if "socket:" in target}


def leads_to(link: Path) -> str:
    try:
        return os.readlink(link)
    except FileNotFoundError:  # another thread closed it since it was listed
        return ""


async def until(condition: Callable[[], Any]) -> Any:
    """Wait until a condition holds, which something else brings about."""
    for _ in range(8000):
        result = condition()
        if result:
            return result
        await asyncio.sleep(0.005)
    raise AssertionError("not so within 40 s")


async def with_time(attempt: Callable[[float], Awaitable[None]], *seconds: float) -> None:
    """Do it with a short time; with a longer one if that fails: the machine may have stood still for so long."""
    for short in seconds[:-1]:
        try:
            await attempt(short)
        except (Exception, pytest.fail.Exception):
            continue
        return
    await attempt(seconds[-1])


class Peer:
    """A connection of a `Script`: what the client sent, and what it is sent."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def command(self) -> bytes:
        """The next command."""
        return await asyncio.wait_for(self.reader.readuntil(b"\n\n"), 20)

    async def answers(self, *exchange: tuple[bytes, bytes]) -> None:
        """These commands come, and are answered by that."""
        for command, answer in exchange:
            assert await self.command() == command
            self.sends(answer)

    def sends(self, *frames: bytes) -> None:
        self.writer.write(b"".join(frames))

    async def ends(self) -> None:
        """The client closes."""
        assert await asyncio.wait_for(self.reader.read(), 20) == b""

    async def close(self) -> None:
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()

    def reset(self) -> None:
        """Close as a peer that crashed."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


class Script:
    """A switch that does what a test says, in the client's own loop."""

    async def __aenter__(self) -> Script:
        self.peers: list[Peer] = []
        self._waiting: asyncio.Queue[Peer] = asyncio.Queue()
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        for peer in self.peers:
            await peer.close()

    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        self.peers.append(peer)
        self._waiting.put_nowait(peer)

    async def accept(self) -> Peer:
        return await asyncio.wait_for(self._waiting.get(), 20)

    async def lets_in(self, *frames: bytes, password: bytes = b"ClueCon") -> Peer:
        """The next connection, logged in."""
        peer = await self.accept()
        peer.sends(AUTH)
        assert await peer.command() == b"auth " + password + b"\n\n"
        peer.sends(ACCEPTED, *frames)
        return peer


@asynccontextmanager
async def pair(esl: ModuleType, **options: Any) -> AsyncIterator[tuple[Any, Peer, Script]]:
    """A client that is logged in, and the other side of its connection."""
    async with Script() as switch:
        peer, fs = await asyncio.gather(
            switch.lets_in(), part(esl, "aio").connect("127.0.0.1", switch.port, **options).__aenter__()
        )
        try:
            yield fs, peer, switch
        finally:
            await fs.close()


def narrow(fs: Any, peer: Peer) -> None:
    """Let the sockets keep little; on some machines they would grow to tens of megabytes."""
    for transport, side in ((fs._link._transport, socket.SO_SNDBUF), (peer.writer.transport, socket.SO_RCVBUF)):
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, side, 1 << 16)


async def error_of(waiting: Awaitable[Any]) -> tuple[str, str]:
    """Type and text of what an awaitable raises."""
    try:
        result = await waiting
    except Exception as error:
        return type(error).__name__, str(error)
    pytest.fail(f"nothing was raised, but {result!r} returned")


def sequences(events: list[Any]) -> list[int]:
    return [event.sequence for event in events]


async def take(events: Any, count: int) -> list[Any]:
    """So many of them."""
    taken = []
    async for event in events:
        taken.append(event)
        if len(taken) == count:
            break
    return taken


def quick(esl: ModuleType, **options: Any) -> Any:
    return esl.Backoff(**{"first": 0.01, "jitter": 0, "longest": 0.05, **options})


async def over(call: Any) -> str | None:
    """Wait until the connection of an emulated call has ended; why its channel was hung up."""
    await until(lambda: call.over)
    return call.hangup_cause


@pytest.fixture
def switch() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator
