"""Whole clients, from another process's socket to what their user reads: login, subscription, then the whole stream.

`protocol` is no client, only our decoder on a transport: what a client made of it would start from.

The switch is a process that knows just enough to let every client in, and sends the stream once `event` was said.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import clients
from corpora import CHUNK, FIVE, Stream, captured

Pass = Callable[[], object]
PATIENCE = 20  # seconds: some lose an event now and then, and would wait for it for ever
ANSWER = b"Content-Type: command/reply\nReply-Text: %b\n\n"
GOOD_BYE = b"Content-Type: text/disconnect-notice\nContent-Length: 67\n\n" + (
    b"Disconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n"
)


_ports: dict[str, int] = {}


def switch(stream: Stream) -> int:
    """The port of a switch that sends this stream, in a process that is started once and serves client after client.

    The password is how many events it sends: a client that patches the socket module must not fork afterwards.
    """
    if stream.name not in _ports:
        server = socket.create_server(("127.0.0.1", 0))
        _ports[stream.name] = server.getsockname()[1]
        parent = os.getpid()
        if os.fork() == 0:
            frames = captured(stream.name)
            served = []  # left open: closed with something unread, a socket would take back what is on its way
            while os.getppid() == parent:
                server.settimeout(1)
                with suppress(TimeoutError):
                    served.append(_serve(server.accept()[0], frames))
            os._exit(0)
        server.close()
    return _ports[stream.name]


def _serve(connection: socket.socket, frames: list[bytes]) -> socket.socket:
    connection.settimeout(None)
    connection.sendall(b"Content-Type: auth/request\n\n")
    commands = connection.makefile("rb")
    for line in commands:
        if line.startswith(b"auth "):
            data = b"".join(frames[: int(line[5:])])
            connection.sendall(ANSWER % b"+OK accepted")
        elif line.startswith(b"event"):
            break
    connection.sendall(ANSWER % b"+OK event listener enabled plain")
    with suppress(OSError):  # some leave without a word
        for at in range(0, len(data), CHUNK):
            connection.sendall(data[at : at + CHUNK])
        connection.sendall(GOOD_BYE)
        connection.shutdown(socket.SHUT_WR)
    return connection


def blocking(stream: Stream) -> Pass:
    """`eslcodec.connect`."""
    import eslcodec

    client = eslcodec.connect(port=switch(stream), password=str(len(stream.frames)))
    one, two, three, four, last = FIVE

    def run() -> int:
        came = 0
        client.subscribe("ALL")
        for event in client.events():
            get = event.get
            get(one)
            get(two)
            get(three)
            get(four)
            get(last)
            came += 1
        return came

    return run


def with_asyncio(stream: Stream) -> Pass:
    """`eslcodec.aio.connect`."""
    import eslcodec

    loop = asyncio.new_event_loop()
    client = loop.run_until_complete(
        _connected(eslcodec.aio.connect(port=switch(stream), password=str(len(stream.frames))))
    )
    one, two, three, four, last = FIVE

    async def consume() -> int:
        came = 0
        await client.subscribe("ALL")
        async for event in client.events():
            get = event.get
            get(one)
            get(two)
            get(three)
            get(four)
            get(last)
            came += 1
        return came

    return lambda: loop.run_until_complete(consume())


async def _connected(connecting: Any) -> Any:
    return await connecting


class _Reader:
    """A user who reads five headers of each event."""

    def __init__(self, count: int, done: Callable[[], object]) -> None:
        self.came = 0
        self._count = count
        self._done = done

    def read(self, headers: Any) -> None:
        get = headers.get
        for name in FIVE:
            get(name)
        self.came += 1
        if self.came == self._count:
            self._done()


def greenswitch(stream: Stream) -> Pass:
    """`InboundESL` with a handler for everything, on gevent."""
    port = switch(stream)
    from gevent import monkey

    monkey.patch_all()
    import gevent.event
    from greenswitch import InboundESL

    done = gevent.event.Event()
    reader = _Reader(len(stream.frames), done.set)
    client = InboundESL("127.0.0.1", port, str(len(stream.frames)))
    client.connect()
    client.register_handle("*", lambda event: reader.read(event.headers))

    def run() -> int:
        client.send("events plain ALL")
        done.wait(PATIENCE)
        return reader.came

    return run


def genesis(stream: Stream) -> Pass:
    """`Inbound` with a handler for each name that occurs: a coroutine, for others run in threads."""
    from genesis.inbound import Inbound

    loop = asyncio.new_event_loop()
    done = asyncio.Event()
    reader = _Reader(len(stream.frames), done.set)
    client = Inbound("127.0.0.1", switch(stream), str(len(stream.frames)))

    async def handle(event: Any) -> None:
        reader.read(event)

    for name in stream.names:
        client.on(name, handle)
    loop.run_until_complete(client.start())

    async def consume() -> int:
        await client.send("events plain ALL")
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(done.wait(), PATIENCE)
        return reader.came

    return lambda: loop.run_until_complete(consume())


def switchio(stream: Stream) -> Pass:
    """`EventLoop`, in its thread, with a handler for each name. Logging in is timed too: the same call subscribes."""
    clients.restore_old_asyncio()
    from switchio import get_event_loop

    done = threading.Event()
    reader = _Reader(len(stream.frames), done.set)
    client = get_event_loop("127.0.0.1", switch(stream), str(len(stream.frames)))
    client._con.autorecon = False  # or it logs in again after the stream's end, in the time of the next pass

    def handle(event: Any) -> tuple[bool, None]:
        reader.read(event)
        return True, None

    for name in stream.names:
        client.add_handler(name, handle)

    def run() -> int:
        client.connect()
        client.start()
        done.wait(PATIENCE)
        return reader.came

    return run


def protocol(stream: Stream) -> Pass:
    """`Decoder` as an `asyncio.BufferedProtocol`, without a login."""
    import eslcodec

    one, two, three, four, last = FIVE
    loop = asyncio.new_event_loop()
    sock = clients.sender(stream.chunks)

    class Events(asyncio.BufferedProtocol):
        def __init__(self) -> None:
            self.came = 0
            self.decoder = eslcodec.Decoder()
            self.get_buffer = self.decoder.get_buffer  # type: ignore[method-assign]
            self.closed = loop.create_future()

        def buffer_updated(self, nbytes: int) -> None:
            self.decoder.buffer_updated(nbytes)
            for event in self.decoder:
                get = event.get
                get(one)
                get(two)
                get(three)
                get(four)
                get(last)
                self.came += 1

        def connection_lost(self, error: Exception | None) -> None:
            self.closed.set_result(None)

    async def consume() -> int:
        _, events = await loop.create_connection(Events, sock=sock)
        await events.closed
        return events.came

    return lambda: loop.run_until_complete(consume())
