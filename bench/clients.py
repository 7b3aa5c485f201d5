"""The clients that others wrote, each driven through its own classes up to where its user gets an event.

Every function takes a stream and what the user does with an event's headers, and returns what feeds the client with the
whole stream. What a client does behind that point (handlers, tasks, telemetry) is not counted against it. Where it
saves a client time, a part around its parser is replaced: each docstring says which.
"""

from __future__ import annotations

import asyncio
import importlib
import io
import logging
import mmap
import os
import socket
import sys
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ParamSpec, TypeVar

from corpora import Stream

Use = Callable[[Mapping[str, Any]], object]
Run = Callable[[], None]
P = ParamSpec("P")
R = TypeVar("R")


class _Memory(io.RawIOBase):
    """Chunks that are read as from a socket: at most one a call."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        chunk = self._rest or next(self._chunks, b"")
        size = min(len(chunk), len(buffer))
        buffer[:size] = chunk[:size]
        self._rest = chunk[size:]
        return size


def greenswitch(stream: Stream, use: Use) -> Run:
    """`ESLProtocol.receive_events` over a buffered reader, as `makefile("rb")` gives one, without the kernel.

    Its gevent queue is replaced by a call, and its queue of commands by one that never ends.
    """
    from greenswitch.esl import ESLProtocol

    class Queue:
        def put(self, event: Any) -> None:
            use(event.headers)

    class Reply:  # in the place of the AsyncResult on which a command waits
        def set(self, event: Any) -> None:
            use(event.headers)

    class Commands:
        def pop(self, index: int) -> Reply:
            return Reply()

    protocol = ESLProtocol()
    protocol.sock_file = io.BufferedReader(_Memory(stream.chunks))
    protocol._esl_event_queue = Queue()
    protocol._commands_sent = Commands()
    run: Run = protocol.receive_events
    return run


def genesis(stream: Stream, use: Use) -> Run:
    """`Protocol.handler` over an asyncio StreamReader, to its queue."""
    from genesis.inbound import Inbound

    async def run() -> None:
        protocol = Inbound("", 0, "")
        protocol.reader = asyncio.StreamReader()
        protocol.is_connected = True
        producer = asyncio.create_task(protocol.handler())
        consumer = asyncio.create_task(consume(protocol.events))
        for chunk in chunks:
            protocol.reader.feed_data(chunk)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        protocol.reader.feed_eof()
        await producer
        await consumer

    async def consume(events: asyncio.Queue[Any]) -> None:
        while (event := await events.get()) is not None:
            use(event)

    chunks = stream.chunks
    return lambda: asyncio.run(run())


def _restore_asyncio_coroutine() -> None:
    """`asyncio.coroutine`, gone since Python 3.11, which decorated generators."""
    if not hasattr(asyncio, "coroutine"):
        asyncio.coroutine = types.coroutine


class _Queue(asyncio.Queue[Any]):
    """`asyncio.Queue` with the argument that went with Python 3.10."""

    def __init__(self, loop: object = None) -> None:
        super().__init__()


def restore_old_asyncio() -> None:
    """What switchio, made for Python 3.5, takes from asyncio."""
    _restore_asyncio_coroutine()
    asyncio.Queue = _Queue  # type: ignore[assignment,misc]


def switchio(stream: Stream, use: Use) -> Run:
    """`InboundProtocol.data_received`, to its queue."""
    restore_old_asyncio()
    from switchio.protocol import InboundProtocol

    protocol = InboundProtocol("", "", asyncio.new_event_loop())
    chunks = stream.chunks

    def run() -> None:
        events = protocol.event_queue
        for chunk in chunks:
            protocol.data_received(chunk)
            while not events.empty():
                use(events.get_nowait())

    return run


def aioesl(stream: Stream, use: Use) -> Run:
    """`EventSocket.data_received`, through its reader, to the hook `event_received`."""
    _restore_asyncio_coroutine()
    logging.disable(logging.WARNING)
    from aioesl.protocol import EventSocket

    class Client(EventSocket):  # type: ignore[misc]
        def event_received(self, ev: Any) -> None:
            use(ev)

    class Transport:
        def get_extra_info(self, name: str) -> tuple[str, int]:
            return "", 0

        def pause_reading(self) -> None: ...

        def resume_reading(self) -> None: ...

    async def run() -> None:
        client = Client(loop=asyncio.get_running_loop())
        client.connection_made(Transport())
        await asyncio.sleep(0)
        for chunk in chunks:
            client.data_received(chunk)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        client._is_connected = False  # or it would read on after being cancelled
        client._reader_f.cancel()

    chunks = stream.chunks
    return lambda: asyncio.run(run())


class Pace:
    """How many events a reader has taken, in memory that it shares with the sender, a process forked from it.

    The sender waits for it between reads, on a core of its own: a system call for it would be a part of the figure.

    Attributes:
        every: events a read; 0 where nobody waits.
        taken: item 0 is what the reader sets.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self.taken = memoryview(mmap.mmap(-1, 8)).cast("q")
        self._reader = os.getpid()

    def wait(self, sent: int) -> None:
        """Until that many are taken, or the reader has ended."""
        while self.taken[0] < sent and os.getppid() == self._reader:
            os.sched_yield()


def sender(chunks: list[bytes], pace: Pace | None = None) -> socket.socket:
    """A loopback connection whose other end, another process, sends these chunks and closes.

    With a pace, it sends a chunk when the events of the chunks before are taken.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        receiving = socket.create_connection(server.getsockname())
        sending, _ = server.accept()
    if os.fork() == 0:
        receiving.close()
        sending.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at, chunk in enumerate(chunks):
            if pace:
                pace.wait(at * pace.every)
            sending.sendall(chunk)
        sending.shutdown(socket.SHUT_WR)
        while sending.recv(4096):  # closed with something unread, it would take back what is on its way
            pass
        os._exit(0)
    sending.close()
    return receiving


# The `ESL` module: the official one and ours, by the same calls


def official_esl() -> Any:
    """The C library behind SWIG."""
    if sys.version_info >= (3, 12):
        sys.modules["imp"] = types.ModuleType("imp")  # gone; ESL.py then says `import _ESL`

        def find_module(name: str, path: object = None) -> None:
            raise ImportError(name)

        sys.modules["imp"].find_module = find_module  # type: ignore[attr-defined]
    return importlib.import_module("freeswitchESL.ESL")


def our_esl() -> Any:
    """The drop-in."""
    return importlib.import_module("eslcodec.ESL")


def esl_connection(esl: Any, stream: Stream) -> Any:
    """An `ESLconnection` that gets the stream over loopback: the C library reads from sockets only.

    It owns the descriptor. Ours takes a duplicate and leaves this one to the end of the process.
    """
    hello = b"Content-Type: command/reply\nReply-Text: +OK\n\n"  # it says `connect` first
    return esl.ESLconnection(sender([hello, *stream.chunks]).detach())


def esl_name(module: Callable[[], Any]) -> Callable[[Stream], Callable[[], int]]:
    """The event's name by `getHeader` and nothing else. Returns how many had one."""

    def prepare(stream: Stream) -> Callable[[], int]:
        connection = esl_connection(module(), stream)
        count = len(stream.frames)

        def run() -> int:
            came = 0
            for _ in range(count):
                came += connection.recvEvent().getHeader("Event-Name") is not None
            return came

        return run

    return prepare


def esl_body(module: Callable[[], Any]) -> Callable[[Stream], Callable[[], int]]:
    """The body by `getBody`, which is all that the module makes of an XML event. Returns how many had one."""

    def prepare(stream: Stream) -> Callable[[], int]:
        connection = esl_connection(module(), stream)
        count = len(stream.frames)

        def run() -> int:
            came = 0
            for _ in range(count):
                came += connection.recvEvent().getBody() is not None
            return came

        return run

    return prepare


def _esl(module: Callable[[], Any], use: Callable[[Any, Use], object]) -> Callable[[Stream, Use], Run]:
    """`ESLconnection.recvEvent`, and what is done with each event for its user."""

    def prepare(stream: Stream, user: Use) -> Run:
        connection = esl_connection(module(), stream)
        count = len(stream.frames)

        def run() -> None:
            for _ in range(count):
                use(connection.recvEvent(), user)

        return run

    return prepare


class _Getter:
    """The `get` of a mapping over an `ESLevent`."""

    __slots__ = ("get",)

    def __init__(self, event: Any) -> None:
        self.get = event.getHeader


def esl_five(module: Callable[[], Any]) -> Callable[[Stream, Use], Run]:
    """The named headers by `getHeader`."""
    return _esl(module, lambda event, user: user(_Getter(event)))  # type: ignore[arg-type]


def esl_all(module: Callable[[], Any]) -> Callable[[Stream, Use], Run]:
    """All headers by `firstHeader`, `nextHeader` and `getHeader`, into a dict."""

    def to_dict(event: Any, user: Use) -> None:
        headers = {}
        name = event.firstHeader()
        while name is not None:
            headers[name] = event.getHeader(name)
            name = event.nextHeader()
        user(headers)

    return _esl(module, to_dict)


# Other clients with our codec in them


def adapted(client: str, prepare: Callable[P, R]) -> Callable[P, R]:
    """The same client, driven by the same function, with `eslcodec.adapters` behind its classes."""

    def install_and_prepare(*args: P.args, **kwargs: P.kwargs) -> R:
        _restore_asyncio_coroutine()  # switchio cannot be imported without it
        importlib.import_module(f"eslcodec.adapters.{client}").install()
        return prepare(*args, **kwargs)

    return install_and_prepare
