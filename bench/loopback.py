"""Whole clients, from another process's socket to what their user reads: login, subscription, then the whole stream.

`protocol` is no client, only our decoder on a transport: what a client made of it would start from.

The switch is a process that knows just enough to let every client in, and sends the stream once `event` was said. Where
the stream's name has a number of events a read, it sends those when the ones before have come to the user.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from typing import Any

import clients
from clients import Pace
from corpora import FIVE, Stream, load

Pass = Callable[[], object]
CONNECTIONS = 200  # of one process
SWITCHES = 50  # of a `Fleet`
PATIENCE = 20  # seconds: some lose an event now and then, and would wait for it for ever
ANSWER = b"Content-Type: command/reply\nReply-Text: %b\n\n"
GOOD_BYE = b"Content-Type: text/disconnect-notice\nContent-Length: 67\n\n" + (
    b"Disconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n"
)


class Switch:
    """A process that sends a stream to client after client, or to many connections of one.

    The password is how many events it sends, and to how many connections: the process is started once, and before the
    client, for one that patches the socket module must not fork afterwards. Many connections get the events in turn,
    one each; and all of it twice: the first time is not measured.
    """

    def __init__(self, stream: Stream) -> None:
        self.pace = Pace(stream.every)
        self._served: list[socket.socket] = []  # closed with something unread, they would take back what is on its way
        server = socket.create_server(("127.0.0.1", 0), backlog=CONNECTIONS)
        self.port: int = server.getsockname()[1]
        parent = os.getpid()
        if os.fork() == 0:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            for output in (1, 2):  # who reads the client's output waits for its end, not for the switch's
                os.dup2(nowhere, output)
            whole = load(stream.name)
            while os.getppid() == parent:
                server.settimeout(1)
                with suppress(OSError):  # nobody came, or left without a word
                    self._serve(server, whole)
            os._exit(0)
        server.close()

    def _serve(self, server: socket.socket, stream: Stream) -> None:
        first = server.accept()[0]
        for connection in self._served:  # of a client that has finished
            connection.close()
        self._served = [first]
        count, others = self._let_in(first)
        for _ in range(others - 1):
            self._served.append(server.accept()[0])
            self._let_in(self._served[-1])
        self.pace.taken[0] = 0
        for connection in self._served:
            self._subscribe(connection)
        for before in (0, count) if others > 1 else (0,):
            self._send(stream.first(count), before)
        if others > 1:
            self.pace.wait(2 * count)  # how many connections end is not measured
        for connection in self._served:
            connection.sendall(GOOD_BYE)
            connection.shutdown(socket.SHUT_WR)

    def _let_in(self, connection: socket.socket) -> tuple[int, int]:
        connection.settimeout(None)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(b"Content-Type: auth/request\n\n")
        count, _, others = _command(connection, b"auth ").partition(b"-")
        connection.sendall(ANSWER % b"+OK accepted")
        return int(count), int(others or 1)

    def _subscribe(self, connection: socket.socket) -> None:
        while not _command(connection, b"event", b"api ", b"log "):
            connection.sendall(ANSWER % b"-ERR permission denied")  # what a `Fleet` would like to know
        connection.sendall(ANSWER % b"+OK event listener enabled plain")

    def _send(self, stream: Stream, before: int) -> None:
        """The stream, where so many events were sent before."""
        connections, every = self._served, self.pace.every
        for at, (number, chunk) in enumerate(_in_turn(stream.chunks, len(connections))):
            if at % len(connections) == 0:
                self.pace.wait(before + at * every)
            connections[number].sendall(chunk)


def _in_turn(chunks: list[bytes], connections: int) -> list[tuple[int, bytes]]:
    """What is sent to which connection, one after the other: each gets a part of the stream as it is."""
    bounds = [len(chunks) * at // connections for at in range(connections + 1)]
    parts = [chunks[begin:end] for begin, end in pairwise(bounds)]
    rounds = range(max(map(len, parts), default=0))
    return [(number, part[at]) for at in rounds for number, part in enumerate(parts) if at < len(part)]


def _command(connection: socket.socket, wanted: bytes, *answered: bytes) -> bytes:
    """The rest of the next command that begins so; nothing of one of the others. Reads nothing that stands behind it.

    Raises:
        ConnectionError: the client has gone.
    """
    line = b""
    while not (line.startswith((wanted, *answered)) and line.endswith(b"\n")):
        if line.endswith(b"\n"):
            line = b""
        byte = connection.recv(1)
        if not byte:
            raise ConnectionError("the client has gone")
        line += byte
    return line.removeprefix(wanted).strip() if line.startswith(wanted) else b""


_switches: dict[str, Switch] = {}


def switch(stream: Stream) -> Switch:
    """The switch that sends this stream."""
    if stream.name not in _switches:
        _switches[stream.name] = Switch(stream)
    return _switches[stream.name]


def blocking(stream: Stream, tap: Any = None) -> Pass:
    """`eslcodec.connect`."""
    import eslcodec

    served = switch(stream)
    client = eslcodec.connect(port=served.port, password=str(len(stream.frames)), tap=tap)
    one, two, three, four, last = FIVE
    taken, every = served.pace.taken, served.pace.every

    def run() -> int:
        came, due = 0, every or -1
        client.subscribe("ALL")
        for event in client.events():
            get = event.get
            get(one)
            get(two)
            get(three)
            get(four)
            get(last)
            came += 1
            if came == due:
                taken[0] = came
                due += every
        return came

    return run


def with_asyncio(stream: Stream) -> Pass:
    """`eslcodec.aio.connect`."""
    import eslcodec

    served = switch(stream)
    loop = asyncio.new_event_loop()
    client = loop.run_until_complete(
        _connected(eslcodec.aio.connect(port=served.port, password=str(len(stream.frames))))
    )
    one, two, three, four, last = FIVE
    taken, every = served.pace.taken, served.pace.every

    async def consume() -> int:
        came, due = 0, every or -1
        await client.subscribe("ALL")
        async for event in client.events():
            get = event.get
            get(one)
            get(two)
            get(three)
            get(four)
            get(last)
            came += 1
            if came == due:
                taken[0] = came
                due += every
        return came

    return lambda: loop.run_until_complete(consume())


def take(stream: Stream) -> Pass:
    """`eslcodec.connect`, read by `take`; the events are not looked at."""
    import eslcodec

    served = switch(stream)
    count = len(stream.frames)
    client = eslcodec.connect(port=served.port, password=str(count))
    taken, every = served.pace.taken, served.pace.every

    def run() -> int:
        came, due = 0, every or count
        client.subscribe("ALL")
        while came < count:
            came += len(client.take())
            if came >= due:
                taken[0] = came
                due += every
        return came

    return run


def take_asyncio(stream: Stream) -> Pass:
    """`eslcodec.aio.connect`, in the same way."""
    import eslcodec

    served = switch(stream)
    count = len(stream.frames)
    loop = asyncio.new_event_loop()
    client = loop.run_until_complete(_connected(eslcodec.aio.connect(port=served.port, password=str(count))))
    taken, every = served.pace.taken, served.pace.every

    async def consume() -> int:
        came, due = 0, every or count
        await client.subscribe("ALL")
        while came < count:
            came += len(await client.take())
            if came >= due:
                taken[0] = came
                due += every
        return came

    return lambda: loop.run_until_complete(consume())


async def _connected(connecting: Any) -> Any:
    return await connecting


class _Many:
    """Many connections of one process: `eslcodec.aio.connect`, a task for each. The events come to them in turn."""

    def __init__(self, stream: Stream) -> None:
        self._loop = asyncio.new_event_loop()
        self._count = len(stream.frames)
        self._came = 0
        self._due = min(CONNECTIONS, self._count)
        self._read = asyncio.Event()
        self._switch = switch(stream)
        self._loop.run_until_complete(self._begin())

    async def _begin(self) -> None:
        import eslcodec

        password = f"{self._count}-{CONNECTIONS}"
        connecting = [eslcodec.aio.connect(port=self._switch.port, password=password) for _ in range(CONNECTIONS)]
        self._clients = await asyncio.gather(*map(_connected, connecting))
        await asyncio.gather(*(client.subscribe("ALL") for client in self._clients))
        self._tasks = [asyncio.create_task(self._consume(client)) for client in self._clients]
        await self._read.wait()

    async def _consume(self, client: Any) -> None:
        one, two, three, four, last = FIVE
        async for event in client.events():
            get = event.get
            get(one)
            get(two)
            get(three)
            get(four)
            get(last)
            self._came += 1
            if self._came == self._due:
                self._next()

    def _next(self) -> None:
        """All connections have had an event."""
        end = self._count if self._due <= self._count else 2 * self._count
        if self._came == end:
            self._read.set()
            return
        self._due = min(self._due + CONNECTIONS, end)
        self._switch.pace.taken[0] = self._came

    def run(self) -> int:
        """The second time, the first was in the constructor."""
        self._read.clear()
        self._due = min(self._count + CONNECTIONS, 2 * self._count)
        self._switch.pace.taken[0] = self._count
        self._loop.run_until_complete(asyncio.wait_for(self._read.wait(), PATIENCE))
        self._switch.pace.taken[0] = 2 * self._count
        return self._came - self._count

    def close(self) -> None:
        self._loop.run_until_complete(self._end())
        self._loop.close()

    async def _end(self) -> None:
        await asyncio.gather(*(client.close() for client in self._clients))
        await asyncio.gather(*self._tasks, return_exceptions=True)


_open: list[_Many] = []


def many(stream: Stream) -> Pass:
    """`CONNECTIONS` asyncio clients. Those of the pass before are closed first: there are not so many descriptors."""
    while _open:
        _open.pop().close()
    _open.append(_Many(stream))
    return _open[-1].run


class _Fleet:
    """`eslcodec.ingest.Fleet`, read by `take`; the events are not looked at. Each switch has its part of the stream."""

    def __init__(self, stream: Stream) -> None:
        from eslcodec.ingest import Fleet

        self._loop = asyncio.new_event_loop()
        self._count = len(stream.frames)
        self._every = SWITCHES * (stream.every or self._count)
        self._switch = switch(stream)
        hosts = [f"fs{number}=127.0.0.1:{self._switch.port}" for number in range(SWITCHES)]
        password = f"{self._count}-{SWITCHES}"
        self._fleet = Fleet(hosts, password=password, dials_per_second=float("inf"), connect_timeout=PATIENCE)
        self._loop.run_until_complete(self._fleet.__aenter__())
        self._first: dict[str, Any] = {}  # event of each
        self._loop.run_until_complete(self._consume(0, -SWITCHES))  # a notice of each, that it has begun
        for name, member in self._fleet._members.items():  # the same numbers come again, and shall be just the next
            watch = member._watch = member._make_watch(heartbeat=True)
            if name in self._first:
                watch.see(self._first[name], 0.0)
                watch._numbering._next -= 1

    async def _consume(self, before: int, came: int = 0) -> int:
        taken, due, first = self._switch.pace.taken, self._every, self._first
        while came < self._count:
            for name, run in await self._fleet.take():
                came += len(run)
                if name not in first and not hasattr(run[-1], "switch"):  # a notice has that
                    first[name] = next(item for item in run if not hasattr(item, "switch"))
            if due <= came < self._count:
                taken[0] = before + came
                due += self._every
        return came

    def run(self) -> int:
        """The second time, the first was in the constructor."""
        self._switch.pace.taken[0] = self._count
        came = self._loop.run_until_complete(asyncio.wait_for(self._consume(self._count), PATIENCE))
        self._switch.pace.taken[0] = 2 * self._count
        return came

    def close(self) -> None:
        self._loop.run_until_complete(self._fleet.close())
        self._loop.close()


_fleets: list[_Fleet] = []


def fleet(stream: Stream) -> Pass:
    """A `Fleet` of `SWITCHES`. That of the pass before is closed first."""
    while _fleets:
        _fleets.pop().close()
    _fleets.append(_Fleet(stream))
    return _fleets[-1].run


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
    port = switch(stream).port
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
    client = Inbound("127.0.0.1", switch(stream).port, str(len(stream.frames)))

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
    client = get_event_loop("127.0.0.1", switch(stream).port, str(len(stream.frames)))
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
