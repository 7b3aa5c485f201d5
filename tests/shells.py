"""Both clients, the blocking one and that of asyncio, behind the same blocking methods; and a switch that is played."""

from __future__ import annotations

import asyncio
import queue
import socket
import struct
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from types import ModuleType
from typing import Any, TypeVar

from support import ACCEPTED, AUTH, part, plain, reply

HOST = "127.0.0.1"
ENABLED = reply(b"+OK event listener enabled plain")
INVALID = reply(b"-ERR invalid")
REFUSED = reply(b"-ERR permission denied")
T = TypeVar("T")
PATIENCE = 20.0  # seconds that nothing here should ever take
SMALL = 1 << 16  # bytes that a socket keeps; some machines let it grow to tens of megabytes


def event(number: int, core: bytes = b"c-1") -> bytes:
    lines = [b"Event-Name: DTMF", b"Core-UUID: " + core, b"Event-Date-Timestamp: %d" % (1_000_000 * number)]
    return plain(b"\n".join([*lines, b"Event-Sequence: %d" % number, b"", b""]))


def until(condition: Callable[[], Any]) -> None:
    """Wait for a condition that nothing announces."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "not so in time"
        time.sleep(0.001)


class Peer:
    """The switch's end of a connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.read = b""
        sock.settimeout(PATIENCE)

    def command(self) -> bytes:
        """The next command; b"" if the client closed instead."""
        while b"\n\n" not in self.read:
            chunk = self.sock.recv(1 << 16)
            if not chunk:
                return b""
            self.read += chunk
        block, _, self.read = self.read.partition(b"\n\n")
        return block

    def answers(self, command: bytes, *frames: bytes) -> None:
        assert self.command() == command
        self.sends(*frames)

    def sends(self, *frames: bytes) -> None:
        self.sock.sendall(b"".join(frames))

    def close(self) -> None:
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class Switch:
    """A listener whose connections the test plays, one after the other."""

    def __init__(self) -> None:
        self.peers: list[Peer] = []
        self.listener = socket.create_server((HOST, 0))
        self.listener.settimeout(PATIENCE)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
        self.port: int = self.listener.getsockname()[1]

    def accept(self) -> Peer:
        self.peers.append(Peer(self.listener.accept()[0]))
        return self.peers[-1]

    def lets_in(self, *frames: bytes, password: bytes = b"ClueCon") -> Peer:
        """The next connection, logged in."""
        peer = self.accept()
        peer.sends(AUTH)
        peer.answers(b"auth " + password, ACCEPTED, *frames)
        return peer

    def refuses(self, password: bytes = b"ClueCon") -> None:
        peer = self.accept()
        peer.sends(AUTH)
        peer.answers(b"auth " + password, INVALID)
        assert peer.command() == b""

    def close(self) -> None:
        self.listener.close()
        for peer in self.peers:
            peer.close()


class Shell:
    """A client behind blocking methods, whichever it is. `begin` does not wait; the future it gives does."""

    def __init__(self, esl: ModuleType, kind: str) -> None:
        self.esl = esl
        self.kind = kind
        self.client: Any = None
        self._threads = ThreadPoolExecutor(8)
        self._loop = asyncio.new_event_loop() if kind == "aio" else None
        if self._loop is not None:
            self._runner = threading.Thread(target=self._loop.run_forever)
            self._runner.start()

    def opening(self, port: int, **options: Any) -> Future[Any]:
        """A connection that is being made."""
        return self._start(self._module.connect, HOST, port, **options)

    def connects(self, switch: Switch, **options: Any) -> Peer:
        """Connected and logged in; the other side of it."""
        opening = self.opening(switch.port, **options)
        peer = switch.lets_in()
        self.client = opening.result(PATIENCE)
        link = self.client._link
        sock = link._out if self.kind == "sync" else link._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)
        return peer

    def begin(self, verb: str, *arguments: Any, **options: Any) -> Future[Any]:
        return self._start(getattr(self.client, verb), *arguments, **options)

    def do(self, verb: str, *arguments: Any, **options: Any) -> Any:
        return self.begin(verb, *arguments, **options).result(PATIENCE)

    def subscribes(self, peer: Peer) -> None:
        """To DTMF."""
        begun = self.begin("subscribe", "DTMF")
        peer.answers(b"event DTMF", ENABLED)
        begun.result(PATIENCE)

    def event(self) -> Any:
        return self.do("next_event", PATIENCE)

    def reads(self) -> Future[Any]:
        """Events, until they end; meanwhile they are in `seen`."""
        self.seen: list[Any] = []
        return self._start(self._sync_read if self._loop is None else self._aio_read)

    @property
    def closed(self) -> bool:
        return bool(self.client.closed)

    def close(self) -> None:
        if self.client is not None:
            self.do("close")
        self._threads.shutdown()
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._runner.join(PATIENCE)
            self._loop.close()

    @property
    def _module(self) -> Any:
        return part(self.esl, "aio") if self.kind == "aio" else self.esl

    def _sync_read(self) -> list[Any]:
        for event in self.client.events():
            self.seen.append(event)
        return self.seen

    async def _aio_read(self) -> list[Any]:
        async for event in self.client.events():
            self.seen.append(event)
        return self.seen

    def _start(self, verb: Callable[..., Any], *arguments: Any, **options: Any) -> Future[Any]:
        if self._loop is None:
            return self._threads.submit(verb, *arguments, **options)

        async def whole() -> Any:
            return await verb(*arguments, **options)

        return asyncio.run_coroutine_threadsafe(whole(), self._loop)


class Callee(Shell):
    """A server that the switch calls. `client` is the call, whose handler goes on until `close`."""

    def __init__(self, esl: ModuleType, kind: str, **options: Any) -> None:
        super().__init__(esl, kind)
        self._calls: queue.Queue[Any] = queue.Queue()
        self._peers: list[Peer] = []
        self._over = threading.Event()
        self._aio_over = asyncio.Event()
        self.server = self._start(self._serve, **options).result(PATIENCE) if self._loop else self._sync_serve(options)

    def rings(self, put_through: Callable[[int], T]) -> T:
        """The switch puts a call through to this port, and its handler begins."""
        result = put_through(self.server.port)
        if isinstance(result, Peer):
            self._peers.append(result)
        self.client = self._calls.get(timeout=PATIENCE)
        return result

    def close(self) -> None:
        self._over.set()
        if self._loop is None:
            self.server.close()
        else:
            self._loop.call_soon_threadsafe(self._aio_over.set)
            self._start(self.server.close).result(PATIENCE)
        super().close()
        for peer in self._peers:
            peer.close()

    def _sync_serve(self, options: dict[str, Any]) -> Any:
        def handler(call: Any) -> None:
            self._calls.put(call)
            self._over.wait(PATIENCE)

        return self.esl.serve(handler, **options)

    async def _serve(self, **options: Any) -> Any:
        async def handler(call: Any) -> None:
            self._calls.put(call)
            await self._aio_over.wait()

        return await self._module.serve(handler, **options)
