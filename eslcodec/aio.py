"""The asyncio client and server: `connect` to a switch, or `serve` the calls that it sends.

    >>> import asyncio
    >>> from eslcodec.emulator import Emulator
    >>> async def main(port):
    ...     async with connect("127.0.0.1", port) as fs:
    ...         print((await fs.api("status")).text.splitlines()[0][:2])
    ...         job = await fs.bgapi("version")
    ...         print((await job.result(timeout=5)).ok)
    >>> with Emulator() as switch:
    ...     asyncio.run(main(switch.port))
    UP
    True

What the protocol asks for is decided in `connection.Connection`; here are sockets, tasks and time. The names are those
of `eslcodec.sync`.

**Backpressure.** What comes waits in one bounded queue until somebody takes it: `events`, `messages`, `next_event`, or
`run` for handlers. At `queue_limit` messages, or `limits.EVENT_QUEUE_BYTES`, the socket is left alone, and
what comes is queued by the switch; for so long as that endangers nobody else: then the connection is ended by us, with
`ReaderTooSlow` (`limits.SWITCH_QUEUE`, `limits.PAUSE_SECONDS`). With `when_full="drop"` the oldest message makes room,
and `dropped` counts. While a command or a job is waited for, reading goes on to `queue_hard_limit`, since
the reply stands behind the events, and whoever should read them may be the one who waits: a handler may send commands.
At the hard limit waiting is in vain and ends with `EventQueueFull`; the connection goes on once the queue is read.

**Cancellation.** A task that waits for a command, a job or an event may be cancelled: nothing is lost but its own
answer, which is passed over when it comes. Use the `timeout` of a method before `asyncio.wait_for`, which on Python
3.10 and 3.11 can lose what it was about to return.

**Event loop.** Everything here works on asyncio's own loop and on uvloop; `run(main())` takes uvloop if it is
installed.
"""

from __future__ import annotations

import asyncio
import logging
import math
import select
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from inspect import isawaitable
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Final,
    Generic,
    Literal,
    ParamSpec,
    Protocol,
    TypeVar,
    cast,
    overload,
)

from . import _fork, commands, limits
from ._address import address as _where
from ._address import unreachable
from ._caretaker import is_wanted
from ._codec import Message
from ._door import Calls, Door, addresses, farewell, lookup_flags, of_socket
from ._options import check_calls, check_connect, check_serve
from ._words import check_handled, check_handler, check_names, tell_silence
from .connection import Connection, Reply, Wait, variable
from .enums import HangupCause, LogLevel
from .errors import ChannelEnded, CommandTimeout, ConnectionClosed, ESLError
from .events import CommandReply, Event, JobResult
from .flow import Stats, Totals
from .reconnect import Backoff, Password, Reconnection, password_now
from .subscriptions import Subscriptions

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Unpack

    from .sync import ExecuteOptions

__all__ = ["Call", "Client", "Job", "Opening", "Server", "connect", "run", "serve"]

T = TypeVar("T")
C = TypeVar("C", bound="_Closable")
P = ParamSpec("P")
M = TypeVar("M", bound=Message)
H = TypeVar("H", bound="Handler")

Handler = Callable[[Event], object]
"""What `Client.on` takes: a function of the event; what it returns is awaited if it can be."""

_TURN: Final = 128
"""After so many messages without waiting a reader lets the other tasks of the loop have their turn."""
_GRACE: Final = 1.0
"""Seconds that a cancelled handler has for last words; once more for what is said then, and when its call is closed."""
_PAUSE: Final = 0.5
"""Seconds after which a server that could not accept a call tries again."""

_LOG: Final = logging.getLogger("eslcodec")


def run(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run`, on uvloop if that is installed.

    Example:
        >>> run(asyncio.sleep(0, "done"))
        'done'
    """
    try:
        loop: Any = import_module("uvloop")
    except ImportError:
        loop = asyncio
    return cast("T", loop.run(main))


# Waiting, and the socket


class _Bell:
    """Wakes all who wait at the moment. They look for themselves whether it concerns them.

    Attributes:
        waiting: what they wait for, in the order they came.
    """

    __slots__ = ("_loop", "waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.waiting: dict[asyncio.Future[bool], None] = {}

    async def wait(self, deadline: float = math.inf) -> bool:
        """True when it rings, False at the deadline (of the loop's clock)."""
        future: asyncio.Future[bool] = self._loop.create_future()
        self.waiting[future] = None
        timer = None if deadline == math.inf else self._loop.call_at(deadline, _settle, future, False)
        try:
            return await future
        finally:
            del self.waiting[future]
            if timer is not None:
                timer.cancel()

    def ring(self) -> None:
        for future in self.waiting:
            if not future.done():
                future.set_result(True)


def _settle(future: asyncio.Future[bool], value: bool) -> None:
    if not future.done():
        future.set_result(value)


async def _within(seconds: float, what: str, doing: Coroutine[Any, Any, T]) -> T:
    """`asyncio.wait_for` without its races: neither a result nor a cancellation is lost."""
    task = asyncio.ensure_future(doing)
    try:
        await asyncio.wait({task}, timeout=None if seconds == math.inf else seconds)
        if not task.done():
            raise TimeoutError(f"{what} took more than {seconds:g} s")
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})


class _Link(asyncio.BufferedProtocol):
    """A connection and its socket: carries bytes, and those who wait for them.

    Attributes:
        connection: decides.
        shut: set while there is no open socket.
        began: when the connection was there, by the loop's clock.
        heard: with `keepalive`, when something was received last.
        ended_at: when the connection had ended.
        gone: from when on something may have been missed: when the socket had last been read empty.
        peer: host and port of the other side.
        paused: whether the socket is left alone, because the queue is full.
        came: called when there are messages in the queue.
        ended: called when the connection has ended.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        connection: Connection,
        *,
        keepalive: float | None = None,
        caretaker: bool = True,
    ) -> None:
        self.connection = connection
        self.get_buffer = connection._decoder.get_buffer  # type: ignore[method-assign]  # saves a step a read
        self.shut = asyncio.Event()
        self.shut.set()
        self.began = self.heard = self.gone = self.ended_at = loop.time()
        self.paused = False
        self.came: Callable[[], None] = lambda: None
        self.ended: Callable[[], None] = lambda: None
        self.peer = ("", 0)
        self._keepalive = keepalive
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self.caretaker = caretaker
        self._looking: asyncio.TimerHandle | None = None  # for how far the reader is behind
        self._paused_at = 0.0
        self._empty: float | None = None  # when the socket had last been read empty, while it may not be
        self._read: object = None  # of the last read while that is so
        self._blocked = False
        self._unblocked = _Bell(loop)
        self._timer: asyncio.TimerHandle | None = None
        _fork.register(self)

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.shut.clear()
        self.peer = of_socket(transport.get_extra_info("peername"))
        self.began = self.heard = self._loop.time()
        if self._keepalive is not None:
            self._timer = self._loop.call_later(self._keepalive, self._listened, self._keepalive)
        self.settle()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.connection.get_buffer(sizehint)

    def buffer_updated(self, nbytes: int) -> None:
        if self._keepalive is not None:
            self.heard = self._loop.time()
        if self._empty is not None:
            self._look_behind()
        connection = self.connection
        connection.buffer_updated(nbytes)
        queue = connection.queue
        if (
            connection._out
            or connection.end is not None
            or self.paused
            or (self._looking is None and connection.listens)
            or len(queue) >= connection.queue_limit
            or queue.size_at_most >= limits.EVENT_QUEUE_BYTES
        ):
            self.settle()
        elif queue:
            self.came()

    def eof_received(self) -> None:
        self._note_unsent()
        self.connection.receive_eof()
        self.settle()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is None:
            self.connection.receive_eof()
        else:
            self.connection.lost(exc)
        self.settle()
        self.shut.set()

    def pause_writing(self) -> None:
        self._blocked = True

    def resume_writing(self) -> None:
        self._blocked = False
        self._unblocked.ring()

    # What its owner calls

    def settle(self) -> None:
        """Do what the connection wants by now: send, go on reading or not, end; tell whom it concerns."""
        connection = self.connection
        transport = self._transport
        if transport is None:
            return
        data = connection.data_to_send()
        if data:
            transport.write(data)
        if connection.queue:
            self.came()
        if connection.listens and self.caretaker and self._looking is None:
            self._looking = self._loop.call_later(connection.flow.look_again, self._look)
        if connection.end is None:
            self.flow()
        else:
            self._shut(transport)

    def flow(self) -> None:
        """Read, or leave the socket alone, as the connection says now."""
        transport = self._transport
        if transport is None or transport.is_closing() or self.connection.wants_data != self.paused:
            return
        if self.paused:
            self.paused = False
            self.heard = self._loop.time()  # nobody listened: what was silence until now means nothing
            transport.resume_reading()
            self._look_behind()
        else:
            self.paused = True
            self._paused_at = self._loop.time()
            self._empty = self._loop.time() if self._empty is None else self._empty
            transport.pause_reading()

    def close(self) -> None:
        """End the connection because we want to."""
        self._note_unsent()
        self.connection.close()
        self.settle()

    def abort(self, reason: str) -> None:
        """End the connection because something is wrong."""
        self._note_unsent()
        self.connection.abort(reason)
        self.settle()

    def _leave(self) -> None:
        """In a child process: the connection is the parent's (see `_fork`)."""
        transport, self._transport = self._transport, None
        self.connection.leave(_fork.FORKED)
        self.ended_at = self.gone = self._loop.time()
        self.shut.set()
        if transport is not None:
            _fork.close_here(transport.get_extra_info("socket").fileno())
        self.ended()

    async def outcome(self, wait: Wait[T], seconds: float, since: float | None = None) -> T:
        """What a wait comes to.

        Args:
            wait: of this connection.
            seconds: how long at most; `math.inf` is no limit.
            since: from when on they count; now if it is None.

        Raises:
            CommandTimeout: it took longer.
            EventQueueFull: waiting is in vain.
            ESLError: what the wait failed with.
        """
        if not wait.done:
            await self._until(wait, seconds, self._loop.time() if since is None else since)
        return wait.result()

    async def _until(self, wait: Wait[Any], seconds: float, since: float) -> None:
        bell = _Bell(self._loop)
        wait.watch(bell.ring)
        self.flow()  # since somebody waits, more may be read
        try:
            while not wait.done:
                if self.connection.queue_is_full:
                    raise self.connection.queue_full_error(wait.what)
                if not await bell.wait(since + seconds) and not wait.done:
                    raise self.connection.timeout_error(wait.what, seconds)
        finally:
            wait.unwatch(bell.ring)
            self.flow()

    async def writable(self, seconds: float, since: float) -> None:
        """Wait until the socket takes more, or the connection has ended.

        Args:
            seconds: how long at most.
            since: from when on they count.

        Raises:
            CommandTimeout: it takes nothing for so long.
        """
        deadline = since + seconds
        while self._blocked and self.connection.end is None:
            if not await self._unblocked.wait(deadline) and self._blocked:
                raise self.connection.timeout_error("the switch to read what was sent before", seconds)

    # Inside

    def _note_unsent(self) -> None:
        if self._transport is not None:
            self.connection.unsent = self._transport.get_write_buffer_size()

    def measure(self) -> None:
        """See how far behind the reader is by now (`Connection.flow`)."""
        self.connection.flow.note(self._loop.time(), self.connection.received_events, self._unread_since())

    def _unread_since(self) -> float | None:
        transport = self._transport
        if not self.paused or transport is None or not _has_more(transport.get_extra_info("socket")):
            return None
        return self._paused_at

    def _look(self) -> None:
        """See how far the reader is behind the switch, again and again."""
        connection = self.connection
        warning = connection.heed(self._loop.time(), self._unread_since())
        if warning:
            _LOG.warning("%s", warning)
        if connection.end is None:
            self._looking = self._loop.call_later(connection.flow.look_again, self._look)
        else:
            self.settle()

    def _look_behind(self) -> None:
        """After a pause: if the loop looks at the socket once more and finds nothing, no end either, it is empty."""
        self._read = object()
        self._loop.call_soon(self._loop.call_soon, self._caught_up, self._read)

    def _caught_up(self, read: object) -> None:
        if self._read is read and not self.paused and self.connection.end is None:
            self._empty = None

    def _listened(self, seconds: float) -> None:
        left = seconds if self.paused else self.heard + seconds - self._loop.time()
        if left <= 0:
            left = seconds
            self.connection.probe(seconds)
            self.settle()
            self.ended_at = self.gone = self.heard
        if self.connection.end is None:
            self._timer = self._loop.call_later(left, self._listened, seconds)

    def _shut(self, transport: asyncio.Transport) -> None:
        """The connection has ended: away with the socket, and with what the peer would not take."""
        self._transport = None
        self.ended_at = self._loop.time()
        self.gone = self.ended_at if self._empty is None else self._empty
        for timer in (self._timer, self._looking):
            if timer is not None:
                timer.cancel()
        self._unblocked.ring()
        if transport.is_closing():
            self.shut.set()  # uvloop closes what a cancelled connect had reached, and never calls connection_lost
        elif transport.get_write_buffer_size():
            transport.abort()
        else:
            transport.close()
        self.ended()


def _has_more(sock: Any) -> bool:
    """Whether a read would find something, be it the end."""
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([sock], [], [], 0)[0])
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


class _Closable(Protocol):
    async def close(self) -> None: ...


class Opening(Generic[C]):
    """What `connect` and `serve` return: `await` it, or use it in `async with`, which closes at the end.

    Example:
        >>> async def main():
        ...     server = await serve(asyncio.sleep)
        ...     await server.close()
        >>> asyncio.run(main())
    """

    def __init__(self, open: Callable[[], Coroutine[Any, Any, C]]) -> None:
        self._open = open
        self._opened: C | None = None

    def __await__(self) -> Generator[Any, None, C]:
        return self._open().__await__()

    async def __aenter__(self) -> C:
        self._opened = await self._open()
        return self._opened

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._opened is not None
        await self._opened.close()

    if not TYPE_CHECKING:  # a type checker knows better

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}: await it, or use async with")


# Reading


class _Reader(Generic[M]):
    """Messages of one kind, as an asynchronous iterator; see `Client.events`. It holds nothing while nobody waits."""

    __slots__ = ("_client", "_kind", "_left", "_next", "_queue", "_seconds")

    def __init__(self, client: Client, kind: type[M], timeout: float | None) -> None:
        self._client = client
        self._kind = kind
        self._queue = client.connection.queue
        self._next = self._queue.popleft
        self._seconds = math.inf if timeout is None else timeout
        self._left = _TURN  # messages until others have their turn

    def __aiter__(self) -> _Reader[M]:
        return self

    async def __anext__(self) -> M:
        client, queue = self._client, self._queue
        while True:  # the usual way, and as short as can be
            if not self._left:
                return await self._wait()
            if queue:
                self._left -= 1
                message = self._next()
                if client._link.paused:
                    client._link.flow()
                if isinstance(message, self._kind):
                    return message
            elif self._seconds != math.inf or client._books.over is not None:
                return await self._wait()
            else:
                self._left = _TURN
                future = client._loop.create_future()
                waiting = client._readers.waiting
                waiting[future] = None
                try:
                    await future
                finally:
                    del waiting[future]

    async def _wait(self) -> M:
        """The next message when none is there, or when others have their turn first."""
        deadline: float | None = None
        while True:
            if not self._left:
                await asyncio.sleep(0)
                self._left = _TURN
            self._left -= 1
            try:
                message = self._next()
            except IndexError:
                if deadline is None:
                    deadline = asyncio.get_running_loop().time() + self._seconds
                self._left = _TURN
                if await self._client._more(deadline):
                    continue
                raise StopAsyncIteration from None
            self._client._link.flow()
            if isinstance(message, self._kind):
                return message


class _Digits:
    """A call's digits, as an asynchronous iterator; see `Call.dtmf`."""

    __slots__ = ("_link", "_seconds")

    def __init__(self, link: _Link, timeout: float | None) -> None:
        self._link = link
        self._seconds = math.inf if timeout is None else timeout

    def __aiter__(self) -> _Digits:
        return self

    async def __anext__(self) -> str:
        link, since = self._link, asyncio.get_running_loop().time()
        digits = link.connection.digits
        while not digits:
            wait = link.connection.digit()
            link.settle()
            try:
                if not await link.outcome(wait, self._seconds, since):
                    raise StopAsyncIteration
            except CommandTimeout:
                raise StopAsyncIteration from None
        return digits.popleft()


class _Lanes:
    """Handlers at work: one after the other for the events of a channel, side by side for those of several."""

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._lanes: dict[str | None, deque[tuple[Event, list[Handler], int]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._held = 0  # events that are not handled yet
        self._held_bytes = 0
        self._ending = False
        self._moved = _Bell(asyncio.get_running_loop())

    async def put(self, event: Event, handlers: list[Handler]) -> None:
        """Hand an event to its handlers, as soon as there is room."""
        channel = event.uuid
        while self._is_full(channel):
            await self._moved.wait()
        size = len(event.frame)
        self._held += 1
        self._held_bytes += size
        lane = self._lanes.get(channel)
        if lane is not None:
            lane.append((event, handlers, size))
            return
        self._lanes[channel] = deque([(event, handlers, size)])
        task = asyncio.create_task(self._work(channel))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def join(self) -> None:
        """Wait until everything is handled."""
        while self._lanes:
            await self._moved.wait()

    async def cancel(self) -> None:
        """End what is not done."""
        self._ending = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _is_full(self, channel: str | None) -> bool:
        crowded = len(self._lanes) >= self._concurrency and channel not in self._lanes
        return crowded or self._held >= limits.EVENT_QUEUE or self._held_bytes >= limits.EVENT_QUEUE_BYTES

    async def _work(self, channel: str | None) -> None:
        lane = self._lanes[channel]
        while lane:
            event, handlers, size = lane.popleft()
            for handler in handlers:
                await self._call(handler, event)
            self._held -= 1
            self._held_bytes -= size
            self._moved.ring()
        del self._lanes[channel]
        self._moved.ring()

    async def _call(self, handler: Handler, event: Event) -> None:
        try:
            result = handler(event)
            if isawaitable(result):
                await result
        except (Exception, asyncio.CancelledError) as error:
            if self._ending and isinstance(error, asyncio.CancelledError):
                raise  # if we are not, the handler has waited for something that was cancelled
            _LOG.exception("a handler of %s failed", event.name)


class Job:
    """A background job; see `Client.bgapi`.

    Attributes:
        uuid: its Job-UUID.

    Example:
        >>> from eslcodec.emulator import Emulator
        >>> async def main(port):
        ...     async with connect("127.0.0.1", port) as fs:
        ...         job = await fs.bgapi("echo", "done")
        ...         return (await job.result(timeout=5)).text
        >>> with Emulator() as switch:
        ...     asyncio.run(main(switch.port))
        'done'
    """

    def __init__(self, uuid: str, link: _Link, wait: Wait[JobResult]) -> None:
        self.uuid = uuid
        self._wait = wait
        self._link = link

    @property
    def done(self) -> bool:
        """Whether its result is there, or will never be."""
        return self._wait.done

    async def result(self, timeout: float | None = None) -> JobResult:
        """What the command put out, once it has ended; any number of times, for several tasks.

        Args:
            timeout: seconds to wait at most, None for as long as the connection lasts.

        Raises:
            CommandTimeout: it has not ended in time; ask again later.
            CommandError: the switch does not report the ends of jobs to us.
            EventQueueFull: nobody reads the events that stand before it.
            ConnectionClosed: the connection ended before it did; or the error that ended it.
        """
        return await self._link.outcome(self._wait, math.inf if timeout is None else timeout)

    def __repr__(self) -> str:
        return f"<Job {self.uuid} {'done' if self.done else 'running'}>"


# The client


class Client:
    """A connection to a switch. Make one with `connect`.

    Every command takes a `timeout` in seconds, counted from the call: None is the client's `command_timeout` (no limit
    where the reply waits for an application, on a static socket), `math.inf` no limit. All raise `CommandTimeout` when
    it is over (the connection stays usable), `CommandError` if the switch answers -ERR (`send`, `pipeline`, `api` and
    `getvar` return that as data), `InvalidCommand` for what cannot be sent, `EventQueueFull` if events stand before the
    answer that nobody reads, and `ConnectionClosed`, or the error that ended the connection.

    Attributes:
        host, port: where the switch is.

    Example:
        >>> from eslcodec.emulator import Emulator
        >>> async def main(switch):
        ...     async with connect("127.0.0.1", switch.port) as fs:
        ...         await fs.subscribe("DTMF")
        ...         switch.fire("DTMF", {"DTMF-Digit": "#"})
        ...         async for event in fs.events():
        ...             return event["DTMF-Digit"]
        >>> with Emulator() as switch:
        ...     asyncio.run(main(switch))
        '#'
    """

    def __init__(
        self,
        link: _Link,
        address: tuple[str, int],
        command_timeout: float,
        books: Reconnection | None = None,
        route: _Route | None = None,
    ) -> None:
        self.host, self.port = address
        self._command_timeout = command_timeout
        self._books = books or Reconnection(None)
        self._route = route
        self._loop = asyncio.get_running_loop()
        self._readers = _Bell(self._loop)
        self._turned = _Bell(self._loop)  # for commands: there is a connection again, or news of it
        self._handlers: dict[str, list[tuple[str | None, Handler]]] = {}
        self._totals = Totals()
        self._task: asyncio.Task[None] | None = None
        self._link = link
        self._attach(link)
        self._rely_on(link)

    # State

    @property
    def connection(self) -> Connection:
        """The protocol's side of it; after a reconnection another one."""
        return self._link.connection

    @property
    def subscriptions(self) -> Subscriptions:
        """What the switch was asked for, as far as it granted it."""
        return self.connection.subscriptions

    @property
    def dropped(self) -> int:
        """Messages that made room for newer ones, with `when_full="drop"`."""
        return self._totals.dropped + self.connection.dropped

    def stats(self) -> Stats:
        """Numbers over all connections of this client: what is queued, was received, is left unread."""
        self._link.measure()
        return self._totals.stats(self.connection, caretaker=self._link.caretaker)

    @property
    def closed(self) -> bool:
        """Whether it has ended for good. What was received before can still be read."""
        return self._books.over is not None

    def __repr__(self) -> str:
        over = self._books.over
        state = f"closed: {over.reason}" if over else "connecting again" if self._books.away else "open"
        return f"<{type(self).__name__} {self.host}:{self.port} {state}>"

    async def close(self) -> None:
        """Close the connection: every wait ends with ConnectionClosed, and reading without an error. What was received
        can still be read. Twice is once.

        Raises:
            RuntimeError: this is not the event loop in which the connection was made.
        """
        if asyncio.get_running_loop() is not self._loop:
            raise RuntimeError(
                f"{self!r} belongs to another event loop, expected close() there: "
                "asyncio.run_coroutine_threadsafe(client.close(), loop) does it"
            )
        task, self._task = self._task, None
        self._link.close()
        self._books.close()
        self._ring()
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
        await self._link.shut.wait()

    # Reading

    def events(self, timeout: float | None = None) -> AsyncIterator[Event]:
        """The events as they come, to be read with `async for`; a `Gap` among them after a reconnection.

        Several tasks may read: each gets what the others do not. Reading ends when the connection has ended as it
        should, after everything that was received; log lines and linger notices are passed over.

        Args:
            timeout: ends it too when nothing comes for so many seconds.

        Raises:
            ESLError: while iterating: the connection ended otherwise.
        """
        return _Reader(self, Event, timeout)

    def messages(self, timeout: float | None = None) -> AsyncIterator[Message]:
        """The same for everything that is no reply: events, log lines, linger notices, frames of unknown kind."""
        return _Reader(self, Message, timeout)

    async def next_event(self, timeout: float | None = None) -> Event | None:
        """The next event; None if there was none within `timeout` seconds.

        Raises:
            ConnectionClosed: the connection has ended, well or not. Or the error that ended it.
        """
        try:
            return await self.events(timeout).__anext__()
        except StopAsyncIteration:
            pass
        if self._books.over is not None:
            raise self._books.over.error()
        return None

    async def _more(self, deadline: float) -> bool:
        """Wait until something may be in the queue; False if there is nothing in time, or the end was well."""
        if self._books.over is None:
            return await self._readers.wait(deadline)
        error = self._books.told(self._books.over)
        if error is None:
            return False
        raise error

    # Handlers

    @overload
    def on(
        self, name: str, handler: None = None, *, subclass: str | None = None, unknown: bool = False
    ) -> Callable[[H], H]: ...
    @overload
    def on(self, name: str, handler: H, *, subclass: str | None = None, unknown: bool = False) -> H: ...
    def on(
        self, name: str, handler: H | None = None, *, subclass: str | None = None, unknown: bool = False
    ) -> H | Callable[[H], H]:
        """Have events handled by a function while `run` runs. It does not subscribe to them.

        Args:
            name: of the events; "ALL" for all of them. Handlers of one name are called in the order they were added,
                then those of "ALL".
            handler: a function, or coroutine function, of the event. Left out, `on` is a decorator.
            subclass: of CUSTOM, if only one is meant.
            unknown: whether a name that FreeSWITCH 1.11 does not have is meant: nothing is said about it then.

        Raises:
            InvalidCommand: what no event can match: a subclass or a pattern for a name, a known name misspelt.
            TypeError: no function, or one with a `yield`, of which nothing would run.
            ValueError: `subclass` of something else than CUSTOM.
        """
        handled = check_handled(name, subclass, unknown)

        def add(handler: H) -> H:
            check_handler(handler, awaits=True)
            self._handlers.setdefault(handled, []).append((subclass, handler))
            return handler

        return add if handler is None else add(handler)

    async def run(self, *, concurrency: int = 100) -> None:
        """Read events and call their handlers, until the connection ends and everything is handled.

        The events of a channel (`Unique-ID`) are handled one after the other, and so are those of none; different
        channels side by side. What a handler raises is logged and changes nothing else. A handler may send commands
        and wait for jobs.

        Args:
            concurrency: channels whose handlers may be at work at once. If more have events, or `limits.EVENT_QUEUE`
                events or `limits.EVENT_QUEUE_BYTES` are in hand, no further ones are taken from the queue.

        Raises:
            ESLError: the connection ended otherwise than it should.
        """
        lanes = _Lanes(concurrency)
        try:
            try:
                async for event in self.events():
                    handlers = self._handlers_of(event)
                    if handlers:
                        await lanes.put(event, handlers)
            except ESLError:
                await lanes.join()
                raise
            await lanes.join()
        finally:
            await lanes.cancel()

    def _handlers_of(self, event: Event) -> list[Handler]:
        handlers = self._handlers
        named = [*handlers.get(event.name or "", ()), *handlers.get("ALL", ())]
        return [handler for subclass, handler in named if subclass is None or subclass == event.subclass]

    # Commands

    async def send(self, command: bytes | str, *, timeout: float | None = None) -> Reply:
        """Any command as it goes over the wire; its reply, whatever it says."""
        return await self._ask(timeout, Connection.send, command)

    async def pipeline(self, commands: Iterable[bytes | str], *, timeout: float | None = None) -> list[Reply]:
        """Several commands without waiting in between; their replies in the same order, as `send` gives them.

        Nothing is sent if one of them is invalid. `timeout` is for all of them together.
        """
        since = self._loop.time()
        link, waits = await self._issue(timeout, Connection.pipeline, commands)
        replies: list[Reply] = []
        try:
            for wait in waits:
                replies.append(await link.outcome(wait, self._limit(wait, timeout), since))
        except ConnectionClosed as error:
            error.maybe_done = error.maybe_done or bool(replies)
            raise
        return replies

    async def api(
        self, command: str, args: str = "", *, console_execute: bool = False, timeout: float | None = None
    ) -> Reply:
        """Run an API command and give what it puts out, `-ERR` too; the switch does nothing else here meanwhile.

        Args:
            command: its name, or the whole line.
            args: its arguments.
            console_execute: run it through the console interpreter.
            timeout: see the class.

        Returns:
            An `ApiResponse`; a `CommandReply` if the switch refuses the command as such.
        """
        return await self._ask(timeout, Connection.api, command, args, console_execute=console_execute)

    async def bgapi(
        self, command: str, args: str = "", *, job_uuid: str | None = None, timeout: float | None = None
    ) -> Job:
        """Run an API command in the background.

        Args:
            command: its name, or the whole line.
            args: its arguments.
            job_uuid: an id of your own.
            timeout: for the switch to accept it; the result has a timeout of its own.
        """
        since = self._loop.time()
        link, (accepted, result) = await self._issue(timeout, Connection.bgapi, command, args, job_uuid=job_uuid)
        reply = await link.outcome(accepted, self._limit(accepted, timeout), since)
        return Job(reply.job_uuid or job_uuid or "", link, result)

    async def subscribe(
        self,
        *names: str,
        custom: Sequence[str] = (),
        format: str | None = None,
        unknown: bool = False,
        timeout: float | None = None,
    ) -> CommandReply:
        """`event`: subscribe, in addition to what is subscribed to.

        On a call's connection too this is for the whole switch: `subscribe("DTMF")` brings the digits of every call.
        For its own channel there are `myevents`, `Call.dtmf`, or a filter: `filter("Unique-ID", call.uuid)`.

        Args:
            names: of events, such as "CHANNEL_ANSWER" or "ALL".
            custom: subclasses of CUSTOM.
            format: "plain", "json" or "xml" for all events from now on; None leaves it.
            unknown: whether names that FreeSWITCH 1.11 does not have are meant. Else one that is a known name misspelt
                raises, and any other is sent and logged once.
            timeout: see the class.

        Raises:
            InvalidCommand: no name of an event, or a known one misspelt.
        """
        check_names(names, unknown)
        return await self._ask(timeout, Connection.subscribe, *names, custom=custom, format=format)

    async def unsubscribe(self, *names: str, custom: Sequence[str] = (), timeout: float | None = None) -> CommandReply:
        """`nixevent`: these no more.

        After `subscribe("ALL")` this is more than it says: CUSTOM events with a subclass stop coming, whatever name is
        taken out, but for those whose subclass a module of the switch had registered when ALL was asked for (not those
        of `sendevent`, nor of modules loaded later). What has to stay must be named: `subscribe(custom=[...])`.
        """
        return await self._ask(timeout, Connection.unsubscribe, *names, custom=custom)

    async def noevents(self, *, timeout: float | None = None) -> CommandReply:
        """`noevents`: no events any more."""
        return await self._ask(timeout, Connection.noevents)

    async def myevents(
        self, uuid: str | None = None, *, format: str | None = None, timeout: float | None = None
    ) -> CommandReply:
        """`myevents`: events of the connection's channel; inbound, of the channel `uuid`, which it then controls."""
        return await self._ask(timeout, Connection.myevents, uuid, format=format)

    async def divert_events(self, on: bool = True, *, timeout: float | None = None) -> CommandReply:
        """`divert_events`: what a script's input callback would get comes here."""
        return await self._ask(timeout, Connection.divert_events, on)

    async def filter(self, header: str, value: str, *, timeout: float | None = None) -> CommandReply:
        """`filter add`: of the events subscribed to only those that match a filter, any of them.

        Args:
            header: the header that is compared.
            value: its value ignoring case, `/regex/`, or `-value` for what must not come. With only such ones nothing
                comes at all, which is logged once.
            timeout: see the class.
        """
        reply = await self._ask(timeout, Connection.filter, header, value)
        tell_silence(self.subscriptions)
        return reply

    async def filter_delete(
        self, header: str = "all", value: str | None = None, *, timeout: float | None = None
    ) -> CommandReply:
        """`filter delete`: remove the filters on a header, one of them, or all."""
        reply = await self._ask(timeout, Connection.filter_delete, header, value)
        tell_silence(self.subscriptions)
        return reply

    async def sendevent(
        self,
        name: str,
        headers: commands.Headers = (),
        body: bytes | str = b"",
        *,
        subclass: str | None = None,
        unknown: bool = False,
        timeout: float | None = None,
    ) -> CommandReply:
        """`sendevent`: fire an event in the switch.

        Args:
            name: of the event. One that the switch does not know reaches whoever listens to CUSTOM, without a subclass.
            headers, body, subclass: see `commands.sendevent`.
            unknown: whether a name that FreeSWITCH 1.11 does not have is meant. Else one that is a known name misspelt
                raises, and any other is sent and logged once.
            timeout: see the class.

        Raises:
            InvalidCommand: what cannot be sent, or a known name misspelt.
        """
        check_names([name], unknown)
        return await self._ask(timeout, Connection.sendevent, name, headers, body, subclass=subclass)

    async def sendmsg(
        self,
        call_command: str,
        headers: commands.Headers = (),
        body: bytes | str = b"",
        *,
        uuid: str | None = None,
        timeout: float | None = None,
    ) -> CommandReply:
        """`sendmsg`: any message to a channel, the connection's own or `uuid`."""
        return await self._ask(timeout, Connection.sendmsg, call_command, headers, body, uuid=uuid)

    async def execute(
        self,
        application: str,
        argument: str = "",
        *,
        uuid: str | None = None,
        timeout: float | None = None,
        **options: Unpack[ExecuteOptions],
    ) -> CommandReply:
        """Run a dialplan application on a channel, the connection's own or `uuid`; see `commands.execute`."""
        return await self._ask(
            timeout, lambda connection: connection.execute(application, argument, uuid=uuid, **options)
        )

    async def hangup(
        self,
        cause: str | HangupCause = HangupCause.NORMAL_CLEARING,
        *,
        uuid: str | None = None,
        timeout: float | None = None,
    ) -> CommandReply:
        """Hang up a channel, the connection's own or `uuid`."""
        return await self._ask(timeout, Connection.hangup, cause, uuid=uuid)

    async def log(self, level: str | int | LogLevel | None = None, *, timeout: float | None = None) -> CommandReply:
        """`log`: the switch's log lines down to a level, debug if there is none; read them with `messages`."""
        return await self._ask(timeout, Connection.log, level)

    async def nolog(self, *, timeout: float | None = None) -> CommandReply:
        """`nolog`: no log lines any more."""
        return await self._ask(timeout, Connection.nolog)

    async def linger(self, seconds: int | None = None, *, timeout: float | None = None) -> CommandReply:
        """`linger`: keep the connection after the channel's end, for some seconds or until it is closed."""
        return await self._ask(timeout, Connection.linger, seconds)

    async def nolinger(self, *, timeout: float | None = None) -> CommandReply:
        """`nolinger`: close the connection when the channel ends."""
        return await self._ask(timeout, Connection.nolinger)

    async def getvar(self, name: str, *, timeout: float | None = None) -> str | None:
        """A variable of the connection's own channel, None if it is unset.

        Where all commands are permitted it is asked for by `uuid_getvar`, so that any value arrives whole. On a
        single-channel socket, and after the hang-up, `getvar` itself has to do: the switch cuts its values at 511
        bytes, and one with line ends, or with `~` in front, breaks its reply; see `Connection.getvar`.
        """
        return variable(await self._ask(timeout, Connection.getvar, name))

    async def resume(self, *, timeout: float | None = None) -> CommandReply:
        """`resume`: go on in the dialplan when this connection closes. An answered call does so without being told.

        Raises:
            InvalidCommand: on a static socket, where the dialplan goes on anyhow, and this would hold the channel for
                ever.
        """
        return await self._ask(timeout, Connection.resume)

    async def exit(self, *, timeout: float | None = None) -> CommandReply:
        """`exit`: ask the switch to say good-bye and close. Nothing connects again after it."""
        return await self._ask(timeout, Connection.exit)

    async def _ask(
        self,
        timeout: float | None,
        verb: Callable[Concatenate[Connection, P], Wait[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Send a command and wait for its answer."""
        since = self._loop.time()
        link, wait = await self._issue(timeout, verb, *args, **kwargs)
        return await link.outcome(wait, self._limit(wait, timeout), since)

    async def _issue(
        self,
        timeout: float | None,
        verb: Callable[Concatenate[Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> tuple[_Link, T]:
        """Send a command once the socket takes it: the link that took it, and what the connection returned. If the
        connection is gone, the attempt to set it up again that is due in time is waited for first."""
        limit, since = self._command_timeout if timeout is None else timeout, self._loop.time()
        while True:
            link = await self._for_command(since + limit)
            await link.writable(limit, since)
            if self._books.away is None or self._books.over is not None:
                break
        result = verb(link.connection, *args, **kwargs)
        link.settle()
        return link, result

    async def _for_command(self, deadline: float) -> _Link:
        """The link that a command goes to."""
        books = self._books
        while books.away is not None and books.over is None:
            if (books.due or 0) > deadline or not await self._turned.wait(deadline):
                raise books.away.error()
        if books.over is not None and books.over is not self.connection.end:
            raise books.over.error()
        return self._link

    def _limit(self, wait: Wait[Any], timeout: float | None) -> float:
        if timeout is None:
            return math.inf if wait.patient else self._command_timeout
        return timeout

    # The end, and beginning again

    def _attach(self, link: _Link) -> None:
        """Read from this link, and what it has brought already."""
        self._link = link
        link.came = self._readers.ring
        link.settle()

    def _rely_on(self, link: _Link) -> None:
        """From now on the end of this link is the end, or has to be dealt with."""
        link.ended = self._ended
        if link.connection.end is not None:
            self._ended()

    def _ended(self) -> None:
        link, books = self._link, self._books
        end = link.connection.end
        assert end is not None
        lasted, last = link.ended_at - link.began, link.connection.last_event
        books.lost(end, lasted=lasted, since=link.gone, now=self._loop.time(), last=last)
        if books.away is None or books.over is not None:
            self._ring()
            return
        _LOG.warning("lost the connection to %s:%s: %s", self.host, self.port, end.reason)
        self._task = self._loop.create_task(self._return())

    async def _return(self) -> None:
        """Connect again, as often as there are attempts."""
        books = self._books
        assert self._route is not None
        while books.due is not None and books.over is None:
            await asyncio.sleep(books.due - self._loop.time())
            books.dialling()
            link: _Link | None = None
            try:
                link = self._next(self._route)
                await self._route.reach(link)
            except Exception as error:
                _LOG.info("cannot connect to %s:%s again: %s", self.host, self.port, error)
                self._failed(link, error)
                self._turned.ring()
            else:
                self._adopt(link)
                books.usable()
                self._rely_on(link)
                self._turned.ring()
                return
        self._ring()

    def _ring(self) -> None:
        self._readers.ring()
        self._turned.ring()

    def _next(self, route: _Route) -> _Link:
        """A link to go on with."""
        before = self.connection
        return route.make(
            subscriptions=before.subscriptions, queue=before.queue, gap=lambda: self._books.gap(self._loop.time())
        )

    def _failed(self, link: _Link | None, error: Exception) -> None:
        now = self._loop.time()
        if link is not None and link.connection.gap_told:
            self._adopt(link)
            last = link.connection.last_event
            self._books.failed(error, link.connection.end, now=now, since=link.gone, last=last)
        else:
            self._books.failed(error, None if link is None else link.connection.end, now=now)

    def _adopt(self, link: _Link) -> None:
        self._totals.add(self.connection)
        self._attach(link)


@dataclass(frozen=True, slots=True)
class _Route:
    """How to get a connection that is logged in."""

    host: str
    port: int
    make_connection: Callable[..., Connection]
    timeout: float
    keepalive: float | None
    caretaker: bool

    def make(self, **earlier: Any) -> _Link:
        """What `reach` is to connect; `earlier` is what it goes on with."""
        loop, connection = asyncio.get_running_loop(), self.make_connection(**earlier)
        return _Link(loop, connection, keepalive=self.keepalive, caretaker=self.caretaker)

    async def reach(self, link: _Link) -> None:
        """Connect and log in."""
        loop = asyncio.get_running_loop()
        reaching = loop.create_connection(lambda: link, self.host, self.port)
        try:
            await _within(self.timeout, "connecting", reaching)
        except BaseException as error:  # create_connection cleans up, and uvloop's says nothing then: do not wait
            link.abort("it was given up")
            if isinstance(error, (OSError, UnicodeError)):
                raise unreachable(error, self.host, self.port, self.timeout) from None
            raise
        try:
            await link.outcome(link.connection.ready, self.timeout)
        except BaseException as error:
            link.abort(f"the login did not succeed: {error}")
            await link.shut.wait()
            raise


async def _first(books: Reconnection | None, route: _Route) -> _Link:
    """The first connection, logged in; with books after as many attempts as it takes."""
    loop = asyncio.get_running_loop()
    while True:
        link: _Link | None = None
        try:
            link = route.make()
            await route.reach(link)
        except (OSError, ESLError) as error:
            if books is None:
                raise
            books.failed(error, None if link is None else link.connection.end, now=loop.time())
            if books.due is None:
                raise
            _LOG.info("cannot connect yet: %s", error)
            await asyncio.sleep(books.due - loop.time())
            books.dialling()
        else:
            if books is not None:
                books.usable()
            return link


def connect(
    host: str = "127.0.0.1",
    port: int = 8021,
    *,
    password: Password | None = None,
    user: str | None = None,
    connect_timeout: float = 5,
    command_timeout: float = 30,
    reconnect: bool | Backoff = False,
    connect_first: bool = False,
    keepalive: float | None = None,
    queue_limit: int = limits.EVENT_QUEUE,
    queue_hard_limit: int = limits.EVENT_QUEUE_HARD,
    when_full: Literal["pause", "drop"] = "pause",
    switch_queue_limit: int | None = limits.SWITCH_QUEUE,
    pause_limit: float | None = limits.PAUSE_SECONDS,
    caretaker: bool = True,
    max_header_bytes: int = limits.MAX_HEADER_BYTES,
    max_body_bytes: int = limits.MAX_BODY_BYTES,
) -> Opening[Client]:
    """Connect to a switch and log in: `async with connect(...) as fs`, or `fs = await connect(...)` and `fs.close()`.

    Args:
        host, port: of the switch's event_socket.conf.
        password: None is the switch's own default, ClueCon. A function that returns it (and does not block), or the
            path of the file that it stands in, is asked again at each attempt; a refused login is tried again then,
            slowly.
        user: "user@domain" for a directory user.
        connect_timeout: seconds for the connection, and once more for the login.
        command_timeout: seconds within which a reply must come.
        reconnect: whether to connect again when the connection ended unasked. Everything subscribed to, filters and log
            level are set up again, and a `Gap` tells readers how long nothing came. A command waits meanwhile, if an
            attempt is due within its timeout, else it raises ConnectionClosed; one of which a byte was sent is never
            sent again (`ConnectionClosed.maybe_done`). A `Backoff` says when; a switch that does not let us in any more
            ends it, or one that refuses what was subscribed to three times.
        connect_first: whether `reconnect` covers the first connection too: this returns when there is one, or raises
            when no attempt is left.
        keepalive: seconds without a byte after which the switch is asked for a sign of life; after as long again the
            connection is given up. None: never. While reading stands still because the queue is full this does too.
        queue_limit: messages that may wait for a reader.
        queue_hard_limit: the same while a reply is waited for; then waiting ends with EventQueueFull.
        switch_queue_limit: how many events may be thought to wait in the switch, because the queue is full and nobody
            takes them: then the connection ends, with ReaderTooSlow, before the switch kills it. None: no limit.
        pause_limit: the same for the seconds that it may be unread with something to read.
        caretaker: whether a timer looks at these two. ESLCODEC_CARETAKER=0 is False for all.
        when_full: what happens at `queue_limit`: "pause" reading, or "drop" the oldest and count in `dropped`.
        max_header_bytes, max_body_bytes: bounds of a frame.

    Raises:
        OSError: no connection (ConnectionRefusedError, socket.gaierror, TimeoutError, ...); it says where.
        AuthError: wrong password or user.
        AccessDenied: the switch's ACL.
        CommandTimeout: the login was not answered in time.
        ConnectionClosed: the connection ended before.
        InvalidCommand: password or user cannot be sent.
        TypeError, ValueError: an option is wrong; this and InvalidCommand are raised at once, not when it is awaited.
    """
    check_connect(
        host,
        port,
        connect_timeout=connect_timeout,
        command_timeout=command_timeout,
        reconnect=reconnect,
        keepalive=keepalive,
    )
    Reconnection.of(reconnect, password, connect_first)  # which may object

    def make_with(secret: str, **earlier: Any) -> Connection:
        return Connection.inbound(
            secret,
            user,
            queue_limit=queue_limit,
            queue_hard_limit=queue_hard_limit,
            when_full=when_full,
            switch_queue_limit=switch_queue_limit,
            pause_limit=pause_limit,
            max_header_bytes=max_header_bytes,
            max_body_bytes=max_body_bytes,
            where=_where(host, port),
            **earlier,
        )

    def make_connection(**earlier: Any) -> Connection:
        return make_with(password_now(password), **earlier)

    make_with(password if isinstance(password, str) else "ClueCon")  # wrong options are an error here

    async def open() -> Client:
        route = _Route(host, port, make_connection, connect_timeout, keepalive, is_wanted(caretaker))
        books = Reconnection.of(reconnect, password, connect_first)
        link = await _first(books if connect_first else None, route)
        return Client(link, (host, port), command_timeout, books, route)

    return Opening(open)


# Outbound


class Call(Client):
    """A call that the switch connected to us for; `serve` makes it and hands it to its handler.

    What runs an application returns when the switch has accepted it; on a static socket (`mode`) that is when it has
    ended. With `wait=True` it returns its CHANNEL_EXECUTE_COMPLETE on any socket; `timeout` is for that, None for as
    long as it takes.

    When the channel hangs up, what is waited for raises ChannelEnded, and so does from then on whatever acts on the
    channel: `sendmsg`, `execute` and its shorthands, `hangup`. All the rest goes on as long as the connection does:
    after `linger` that is beyond the hang-up.

    Attributes:
        data: the channel's data as `connect` gave it last, an `Event` of name CHANNEL_DATA.
        host, port: of the switch's end of the connection.

    Example:
        >>> from eslcodec.emulator import Emulator
        >>> async def answer(call):
        ...     await call.answer(wait=True)
        ...     await call.hangup()
        >>> async def main(switch):
        ...     async with serve(answer) as server:
        ...         call = await asyncio.to_thread(switch.dial, "127.0.0.1", server.port)
        ...         return await asyncio.to_thread(call.wait), call.executed
        >>> with Emulator() as switch:
        ...     asyncio.run(main(switch))
        ('NORMAL_CLEARING', [('answer', '')])
    """

    def __init__(self, link: _Link, data: CommandReply, command_timeout: float) -> None:
        super().__init__(link, link.peer, command_timeout)
        self.data = _channel_data(data)

    @property
    def uuid(self) -> str | None:
        """The channel's `Unique-ID`."""
        return self.connection.channel

    @property
    def mode(self) -> str | None:
        """`Socket-Mode`: "async" or "static"."""
        return self.connection.mode

    @property
    def control(self) -> str | None:
        """`Control`: "full", or "single-channel" where `event`, `api`, `bgapi`, `log`, `linger` are refused."""
        return self.connection.control

    @property
    def hung_up(self) -> str | None:
        """Why the channel hung up, as in `Hangup-Cause`; None as long as nothing that came says that it did.

        Nothing is sent for it. Its events say why: those come after `myevents`, or once an application was waited for.
        Else the cause is "UNKNOWN".
        """
        return self.connection.hung_up

    async def connect(self, *, timeout: float | None = None) -> Event:
        """The channel's data as it is now; in `data` too."""
        self.data = _channel_data(await self._ask(timeout, Connection.connect))
        return self.data

    @overload
    async def execute(
        self,
        application: str,
        argument: str = "",
        *,
        uuid: str | None = None,
        wait: Literal[False] = False,
        timeout: float | None = None,
        **options: Unpack[ExecuteOptions],
    ) -> CommandReply: ...
    @overload
    async def execute(
        self,
        application: str,
        argument: str = "",
        *,
        wait: Literal[True],
        timeout: float | None = None,
        **options: Unpack[ExecuteOptions],
    ) -> Event: ...
    @overload
    async def execute(
        self,
        application: str,
        argument: str = "",
        *,
        wait: bool,
        timeout: float | None = None,
        **options: Unpack[ExecuteOptions],
    ) -> CommandReply | Event: ...
    async def execute(
        self,
        application: str,
        argument: str = "",
        *,
        uuid: str | None = None,
        wait: bool = False,
        timeout: float | None = None,
        **options: Unpack[ExecuteOptions],
    ) -> CommandReply | Event:
        """Run a dialplan application on the channel.

        Args:
            application: its name.
            argument: its data.
            uuid: another channel, whose executions cannot be waited for here.
            wait: until it has ended: its CHANNEL_EXECUTE_COMPLETE is returned, found by its Application-UUID.
            timeout: seconds for the reply, or with `wait` for the end.
            options: as `commands.execute` takes them.

        Raises:
            CommandError: the switch refused it.
            ChannelEnded: the channel has hung up, or with `wait` does so before it ends; then `complete` is its
                CHANNEL_EXECUTE_COMPLETE, if that came. A hang-up by the application `hangup` itself is no error.
        """
        if not wait:
            return await super().execute(application, argument, uuid=uuid, timeout=timeout, **options)
        since = self._loop.time()
        link, (accepted, ended) = await self._issue(
            timeout, lambda connection: connection.run(application, argument, uuid=uuid, **options)
        )
        await link.outcome(accepted, self._limit(accepted, timeout), since)
        return await link.outcome(ended, self._limit(ended, timeout), since)

    def dtmf(self, timeout: float | None = None) -> AsyncIterator[str]:
        """The digits that the caller types from now on, one by one: `0` to `9`, `*`, `#`, `A` to `D`.

        Those of this call only. It ends when the call does: when the channel has hung up, or the connection has ended
        well; what was typed until then is given first. What comes while nobody iterates waits for the next `dtmf`
        (`dtmf(timeout=0)` takes what is there). Each digit is given once, and is among `events` only if you asked for
        DTMF too. The first `dtmf` enables the channel's events, `myevents`, as `wait=True` does: from then on the
        switch sends no events of other channels on this connection.

        Args:
            timeout: seconds without a digit after which it ends too.

        Raises:
            CommandError: while iterating: the switch refuses the channel's events.
            ConnectionClosed: while iterating: the connection did not end well. Or the error that ended it.
            EventQueueFull: while iterating: events stand before the next digit that nobody reads.

        Example:
            >>> from eslcodec.emulator import Emulator
            >>> async def listen(call):
            ...     print([digit async for digit in call.dtmf()])
            >>> async def main(switch):
            ...     async with serve(listen) as server:
            ...         call = await asyncio.to_thread(switch.dial, "127.0.0.1", server.port)
            ...         await asyncio.to_thread(switch.wait_for, lambda: "myevents" in call.commands)
            ...         call.dtmf("12#")
            ...         call.hangup()
            ...         await asyncio.to_thread(call.wait)
            >>> with Emulator() as switch:
            ...     asyncio.run(main(switch))
            ['1', '2', '#']
        """
        self.connection.dtmf()
        self._link.settle()
        return _Digits(self._link, timeout)

    @overload
    async def answer(self, *, wait: Literal[False] = False, timeout: float | None = None) -> CommandReply: ...
    @overload
    async def answer(self, *, wait: Literal[True], timeout: float | None = None) -> Event: ...
    @overload
    async def answer(self, *, wait: bool, timeout: float | None = None) -> CommandReply | Event: ...
    async def answer(self, *, wait: bool = False, timeout: float | None = None) -> CommandReply | Event:
        """Answer the call."""
        return await self.execute("answer", wait=wait, timeout=timeout)

    @overload
    async def pre_answer(self, *, wait: Literal[False] = False, timeout: float | None = None) -> CommandReply: ...
    @overload
    async def pre_answer(self, *, wait: Literal[True], timeout: float | None = None) -> Event: ...
    @overload
    async def pre_answer(self, *, wait: bool, timeout: float | None = None) -> CommandReply | Event: ...
    async def pre_answer(self, *, wait: bool = False, timeout: float | None = None) -> CommandReply | Event:
        """Send early media."""
        return await self.execute("pre_answer", wait=wait, timeout=timeout)

    @overload
    async def ring_ready(self, *, wait: Literal[False] = False, timeout: float | None = None) -> CommandReply: ...
    @overload
    async def ring_ready(self, *, wait: Literal[True], timeout: float | None = None) -> Event: ...
    @overload
    async def ring_ready(self, *, wait: bool, timeout: float | None = None) -> CommandReply | Event: ...
    async def ring_ready(self, *, wait: bool = False, timeout: float | None = None) -> CommandReply | Event:
        """Say that it rings."""
        return await self.execute("ring_ready", wait=wait, timeout=timeout)

    @overload
    async def playback(
        self, path: str, *, wait: Literal[False] = False, timeout: float | None = None
    ) -> CommandReply: ...
    @overload
    async def playback(self, path: str, *, wait: Literal[True], timeout: float | None = None) -> Event: ...
    @overload
    async def playback(self, path: str, *, wait: bool, timeout: float | None = None) -> CommandReply | Event: ...
    async def playback(self, path: str, *, wait: bool = False, timeout: float | None = None) -> CommandReply | Event:
        """Play a file, or what else `playback` takes, to the caller."""
        return await self.execute("playback", path, wait=wait, timeout=timeout)

    @overload
    async def record(
        self, path: str, *, wait: Literal[False] = False, timeout: float | None = None
    ) -> CommandReply: ...
    @overload
    async def record(self, path: str, *, wait: Literal[True], timeout: float | None = None) -> Event: ...
    @overload
    async def record(self, path: str, *, wait: bool, timeout: float | None = None) -> CommandReply | Event: ...
    async def record(self, path: str, *, wait: bool = False, timeout: float | None = None) -> CommandReply | Event:
        """Record the caller; behind the path `record` takes limits, as in "/tmp/a.wav 60 200 5"."""
        return await self.execute("record", path, wait=wait, timeout=timeout)

    @overload
    async def bridge(
        self, destination: str, *, wait: Literal[False] = False, timeout: float | None = None
    ) -> CommandReply: ...
    @overload
    async def bridge(self, destination: str, *, wait: Literal[True], timeout: float | None = None) -> Event: ...
    @overload
    async def bridge(self, destination: str, *, wait: bool, timeout: float | None = None) -> CommandReply | Event: ...
    async def bridge(
        self, destination: str, *, wait: bool = False, timeout: float | None = None
    ) -> CommandReply | Event:
        """Connect the call to a dial string."""
        return await self.execute("bridge", destination, wait=wait, timeout=timeout)

    @overload
    async def set(
        self, name: str, value: str, *, wait: Literal[False] = False, timeout: float | None = None
    ) -> CommandReply: ...
    @overload
    async def set(self, name: str, value: str, *, wait: Literal[True], timeout: float | None = None) -> Event: ...
    @overload
    async def set(self, name: str, value: str, *, wait: bool, timeout: float | None = None) -> CommandReply | Event: ...
    async def set(
        self, name: str, value: str, *, wait: bool = False, timeout: float | None = None
    ) -> CommandReply | Event:
        """Set a channel variable."""
        return await self.execute("set", f"{name}={value}", wait=wait, timeout=timeout)

    @overload
    async def unset(self, name: str, *, wait: Literal[False] = False, timeout: float | None = None) -> CommandReply: ...
    @overload
    async def unset(self, name: str, *, wait: Literal[True], timeout: float | None = None) -> Event: ...
    @overload
    async def unset(self, name: str, *, wait: bool, timeout: float | None = None) -> CommandReply | Event: ...
    async def unset(self, name: str, *, wait: bool = False, timeout: float | None = None) -> CommandReply | Event:
        """Unset a channel variable."""
        return await self.execute("unset", name, wait=wait, timeout=timeout)

    @overload
    async def sleep(
        self, milliseconds: int, *, wait: Literal[False] = False, timeout: float | None = None
    ) -> CommandReply: ...
    @overload
    async def sleep(self, milliseconds: int, *, wait: Literal[True], timeout: float | None = None) -> Event: ...
    @overload
    async def sleep(self, milliseconds: int, *, wait: bool, timeout: float | None = None) -> CommandReply | Event: ...
    async def sleep(
        self, milliseconds: int, *, wait: bool = False, timeout: float | None = None
    ) -> CommandReply | Event:
        """Let the channel do nothing for a while."""
        return await self.execute("sleep", str(milliseconds), wait=wait, timeout=timeout)

    @overload
    async def park(self, *, wait: Literal[False] = False, timeout: float | None = None) -> CommandReply: ...
    @overload
    async def park(self, *, wait: Literal[True], timeout: float | None = None) -> Event: ...
    @overload
    async def park(self, *, wait: bool, timeout: float | None = None) -> CommandReply | Event: ...
    async def park(self, *, wait: bool = False, timeout: float | None = None) -> CommandReply | Event:
        """Park the channel."""
        return await self.execute("park", wait=wait, timeout=timeout)

    @overload
    async def transfer(
        self, destination: str, *, wait: Literal[False] = False, timeout: float | None = None
    ) -> CommandReply: ...
    @overload
    async def transfer(self, destination: str, *, wait: Literal[True], timeout: float | None = None) -> Event: ...
    @overload
    async def transfer(self, destination: str, *, wait: bool, timeout: float | None = None) -> CommandReply | Event: ...
    async def transfer(
        self, destination: str, *, wait: bool = False, timeout: float | None = None
    ) -> CommandReply | Event:
        """Send the channel to an extension: "1000", or "1000 XML default"."""
        return await self.execute("transfer", destination, wait=wait, timeout=timeout)


def _channel_data(reply: CommandReply) -> Event:
    return Event.from_payload(reply.raw, "plain")


CallHandler = Callable[[Call], Coroutine[Any, Any, object]]


@dataclass
class _Running:
    """A call, and what becomes of it when the server is closed before it ends."""

    link: _Link
    calls: Calls = "leave"
    parted: bool = False


class Server:
    """Listens for calls and runs a handler for each, in a task of its own; `serve` makes it.

    When `max_calls` run it stops listening, so that the switch is refused and tries its next host, and listens again,
    at the same address, as soon as one has ended. Who had connected by then is refused as well as can be: the call goes
    on in the dialplan behind `socket`.

    Attributes:
        host, port: where it listens.
        refused: calls that had connected while `max_calls` were running. Those that the kernel refused are not known.

    Example:
        >>> async def main():
        ...     async with serve(asyncio.sleep, max_calls=10) as server:
        ...         return server.host, server.port > 0, server.listening, server.calls
        >>> asyncio.run(main())
        ('127.0.0.1', True, True, 0)
    """

    def __init__(
        self,
        handler: CallHandler,
        door: Door,
        make_connection: Callable[[], Connection],
        max_calls: int,
        first_frame_timeout: float,
        command_timeout: float,
        keepalive: float | None,
        caretaker: bool,
    ) -> None:
        self.host, self.port = door.host, door.port
        self.refused = 0
        self._handler = handler
        self._make_connection = make_connection
        self._max_calls = max_calls
        self._first_frame_timeout = first_frame_timeout
        self._command_timeout = command_timeout
        self._keepalive = keepalive
        self._caretaker = caretaker
        self._running: dict[asyncio.Task[None], _Running] = {}
        self._refusals: set[asyncio.Task[None]] = set()
        self._closing = self._left = False
        self._closed = asyncio.Event()
        self._close_lock = asyncio.Lock()
        self._door = door
        self._loop = asyncio.get_running_loop()
        self._ended = _Bell(self._loop)  # a call has
        self._accepting = self._loop.create_task(self._accept())
        _fork.register(self)

    def _leave(self) -> None:
        """In a child process: the calls, and whoever calls, are the parent's (see `_fork`)."""
        self._closing = self._left = True
        self._running = {}
        self._refusals = set()
        self._door.leave()

    def __repr__(self) -> str:
        full = "" if self.listening else ", full"
        state = "closed" if self._closing else f"{self.calls} calls{full}"
        return f"<Server on {self.host}:{self.port}: {state}>"

    @property
    def calls(self) -> int:
        """How many calls run, those included whose first frame has not come."""
        return len(self._running)

    @property
    def listening(self) -> bool:
        """Whether it listens at the moment: not while `max_calls` run, unless the socket was given, nor when closed."""
        return self._door.listening

    @property
    def _full(self) -> bool:
        return self.calls >= self._max_calls

    async def serve_forever(self) -> None:
        """Wait until the server is closed, which cancelling this does too."""
        try:
            await self._closed.wait()
        finally:
            await self.close()

    async def close(self, timeout: float = 5, *, calls: Literal["leave", "hangup", "resume"] = "leave") -> None:
        """Take no more calls, wait for those that run, then cancel their handlers.

        A handler that is cancelled has a second for last words to the switch; then its call's connection is closed.
        Twice is once: the second waits for the first; but a handler may close the server, and is not waited for by
        itself.

        Args:
            timeout: seconds that running calls are given.
            calls: what becomes of those that still run then, after the last words. "leave" only closes their
                connections: a static call goes on in the dialplan, and so does an async one that was answered;
                unanswered it stays parked until the caller gives up. "resume" has every call go on in the dialplan.
                "hangup" hangs them up; on a static socket not before the application that runs there has ended.

        Raises:
            ValueError: `calls` is something else.
            RuntimeError: this is not the event loop in which the server was made.
        """
        check_calls(calls)
        if self._left:
            return
        if asyncio.get_running_loop() is not self._loop:
            raise RuntimeError(
                f"{self!r} belongs to another event loop, expected close() there: "
                "asyncio.run_coroutine_threadsafe(server.close(), loop) does it"
            )
        if self._closing and asyncio.current_task() in self._running:
            return  # whoever closes it waits for this handler
        async with self._close_lock:
            self._closing = True
            await self._lock_up()
            await self._wait(timeout)
            self._cancel(calls)
            await self._wait(_GRACE)
            left = [self._running[task] for task in self._others()]
            await asyncio.gather(*map(self._part, left))
            for running in left:
                running.link.close()
            await self._wait(_GRACE)
            self._closed.set()

    def _others(self) -> set[asyncio.Task[None]]:
        """The calls that run, without the one whose handler calls this."""
        return {task for task in self._running if task is not asyncio.current_task()}

    async def _wait(self, seconds: float) -> None:
        waited = self._others() | self._refusals
        if waited:
            await asyncio.wait(waited, timeout=None if seconds == math.inf else seconds)

    def _cancel(self, calls: Calls) -> None:
        for task in self._others():
            self._running[task].calls = calls
            task.cancel()
        for task in self._refusals:
            task.cancel()

    # The door

    async def _accept(self) -> None:
        while True:
            try:
                await self._attend()
            except OSError as error:  # no descriptors left
                _LOG.error("cannot accept a call: %s", error)
                if self._full and self._door.own and not self._refusals:
                    self._door.shut()  # better refused than left to wait
                await asyncio.sleep(_PAUSE)

    async def _attend(self) -> None:
        """The next who waits comes in or is sent away; the door is opened and shut."""
        if not self._door.listening:
            if self._full:
                await self._ended.wait()
            elif not self._door.open():
                await asyncio.sleep(limits.LISTEN_AGAIN_SECONDS)
            return
        if len(self._refusals) >= limits.REFUSALS:
            await asyncio.wait(self._refusals, return_when=asyncio.FIRST_COMPLETED)
            return
        found = self._door.accept()
        if found is None and self._full and self._door.own:
            self._door.shut()
            _LOG.warning("%s calls run, which is all: others are refused until one ends", self.calls)
            return
        if found is None:
            sock, address = await self._loop.sock_accept(self._door.sock)
            found = sock, of_socket(address)
        self._take(*found)
        await asyncio.sleep(0)  # a burst of calls lets the others have their turn

    async def _lock_up(self) -> None:
        """For good. Who waits at our own door is sent away; at somebody else's others will come."""
        if self._door.listening:
            with suppress(OSError):
                while self._door.own and len(self._refusals) < limits.REFUSALS and (found := self._door.accept()):
                    self._send_away(*found)
            self._door.stop()
        self._accepting.cancel()
        await asyncio.wait({self._accepting})  # which may watch the socket until then
        self._door.shut()

    def _take(self, sock: socket.socket, address: tuple[str, int]) -> None:
        if self._full:
            self.refused += 1
            _LOG.warning("a call from %s:%s was refused: %s are running", *address, self.calls)
            self._send_away(sock, address)
            return
        running = _Running(
            _Link(self._loop, self._make_connection(), keepalive=self._keepalive, caretaker=self._caretaker)
        )
        task = self._loop.create_task(self._serve(running, sock, address))
        self._running[task] = running
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        self._ended.ring()

    def _send_away(self, sock: socket.socket, address: tuple[str, int]) -> None:
        task = self._loop.create_task(self._refuse(sock, address))
        self._refusals.add(task)
        task.add_done_callback(self._refusals.discard)

    async def _refuse(self, sock: socket.socket, address: tuple[str, int]) -> None:
        """`connect`, and what lets the channel go on in the dialplan."""
        link = _Link(self._loop, self._make_connection())

        async def send_on() -> None:
            await self._loop.connect_accepted_socket(lambda: link, sock)
            await link.outcome(link.connection.ready, math.inf)
            await _part(link, "resume")

        try:
            await _within(limits.REFUSAL_SECONDS, "sending it on", send_on())
        except (ESLError, OSError) as error:
            _LOG.warning("a call from %s:%s was refused without being sent on: %s", *address, error)
        finally:
            link.close()
            await link.shut.wait()

    # Calls

    async def _serve(self, running: _Running, sock: socket.socket, address: tuple[str, int]) -> None:
        link = running.link
        try:
            await self._loop.connect_accepted_socket(lambda: link, sock)
            data = await link.outcome(link.connection.ready, self._first_frame_timeout)
        except (ESLError, OSError) as error:
            _LOG.warning("a connection from %s:%s brought no call: %s", *address, error)
        else:
            await self._handle(Call(link, data, self._command_timeout))
        finally:
            await self._part(running)
            link.close()
            await link.shut.wait()

    async def _part(self, running: _Running) -> None:
        """Say to a call what becomes of it, once."""
        if running.parted:
            return
        running.parted = True
        with suppress(ESLError, TimeoutError):
            await _within(_GRACE, "the end of the connection", _part(running.link, running.calls))

    async def _handle(self, call: Call) -> None:
        try:
            await self._handler(call)
        except Exception as error:
            if isinstance(error, ConnectionClosed) and (call.closed or isinstance(error, ChannelEnded)):
                _LOG.info("the call %s ended under its handler: %s", call.uuid, error)
            else:
                _LOG.exception("the handler of the call %s failed", call.uuid)


async def _part(link: _Link, calls: Calls) -> None:
    """Say to a call what becomes of it, and wait until the switch has answered that and closed the connection.

    Raises:
        ESLError: nothing can be said, or it is refused.
    """
    last = farewell(link.connection, calls)
    link.settle()
    if last is not None:
        await link.outcome(last, math.inf)
        await link.shut.wait()


def serve(
    handler: CallHandler,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    sock: socket.socket | None = None,
    max_calls: int = 1000,
    first_frame_timeout: float = 10,
    command_timeout: float = 30,
    keepalive: float | None = None,
    queue_limit: int = limits.EVENT_QUEUE,
    queue_hard_limit: int = limits.EVENT_QUEUE_HARD,
    when_full: Literal["pause", "drop"] = "pause",
    switch_queue_limit: int | None = limits.SWITCH_QUEUE,
    pause_limit: float | None = limits.PAUSE_SECONDS,
    caretaker: bool = True,
    max_header_bytes: int = limits.MAX_HEADER_BYTES,
    max_body_bytes: int = limits.MAX_BODY_BYTES,
) -> Opening[Server]:
    """Listen for calls that the dialplan's `socket` application sends, and run `handler` for each in a task.

    `async with serve(handler) as server`, or `server = await serve(handler)` and `server.close()`. When the handler
    returns, its call's connection is closed; an exception of it is logged (logger "eslcodec") and does the same.

    Args:
        handler: a coroutine function, called with the `Call` once the channel's data is there.
        host: address to listen on; loopback unless told otherwise. "" is every address of IPv4, "::" of IPv6.
        port: 0 takes a free one, which `Server.port` tells.
        sock: a bound socket to listen on instead, from systemd or shared with other processes, say. It becomes
            non-blocking, and stays yours: it is never closed.
        max_calls: calls at once. When they run, the server does not listen until one has ended (`Server.listening`):
            the switch is refused and tries its next host, which it does in no other case. Calls that had connected by
            then go on in the dialplan behind `socket`, and so does each one beyond `max_calls` at a given `sock`. One
            that the kernel takes in just before the server stops listening is lost: its connection breaks, and if it is
            async and unanswered it stays parked.
        first_frame_timeout: seconds within which the channel's data must come.
        command_timeout: seconds within which a reply must come.
        keepalive, queue_limit, queue_hard_limit, when_full: as `connect` has them.
        switch_queue_limit, pause_limit, caretaker, max_header_bytes, max_body_bytes: likewise.

    Raises:
        OSError: the address cannot be listened on.
        TypeError, ValueError: an option is wrong; this is raised at once, not when it is awaited.
    """
    check_serve(
        host,
        port,
        sock=sock,
        max_calls=max_calls,
        first_frame_timeout=first_frame_timeout,
        command_timeout=command_timeout,
        keepalive=keepalive,
    )

    def make_connection() -> Connection:
        return Connection.outbound(
            queue_limit=queue_limit,
            queue_hard_limit=queue_hard_limit,
            when_full=when_full,
            switch_queue_limit=switch_queue_limit,
            pause_limit=pause_limit,
            max_header_bytes=max_header_bytes,
            max_body_bytes=max_body_bytes,
        )

    make_connection()  # wrong options are an error here, not with the first call

    async def open() -> Server:
        door = await _door_at(host, port) if sock is None else Door.of(sock)
        return Server(
            handler,
            door,
            make_connection,
            max_calls,
            first_frame_timeout,
            command_timeout,
            keepalive,
            is_wanted(caretaker),
        )

    return Opening(open)


async def _door_at(host: str, port: int) -> Door:
    with suppress(socket.gaierror):
        return Door.at(addresses(host, port, numeric=True))
    loop = asyncio.get_running_loop()
    return Door.at(await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=lookup_flags()))
