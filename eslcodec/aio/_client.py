"""The client of asyncio: reading, handlers, and setting a lost connection up again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from importlib import import_module
from typing import Any, Concatenate, Final, ParamSpec, TypeVar, overload

from .._codec import Message
from .._words import check_handled, check_handler
from ..connection import Connection
from ..errors import ESLError
from ..events import Event
from ..flow import Stats, Totals
from ..reconnect import End, Reconnection
from ..subscriptions import Subscriptions
from ._lanes import Handler, Lanes
from ._link import Link
from ._loop import Bell
from ._operator_verbs import OperatorVerbs
from ._readers import Inbox, Reader
from ._route import Route

P = ParamSpec("P")
T = TypeVar("T")
H = TypeVar("H", bound=Handler)

_LOG: Final = logging.getLogger("eslcodec.client")


class Client(OperatorVerbs):
    """A connection to a switch. Make one with `connect`.

    Every command takes a `timeout` in seconds, counted from the call: None is the client's `command_timeout` (no limit
    where the reply waits for an application, on a static socket), `math.inf` no limit. All raise `CommandTimeout` when
    it has passed (the connection stays usable), `CommandError` if the switch answers -ERR (`send`, `pipeline`, `api`
    and `getvar` return that as data), `InvalidCommand` for what cannot be sent, `EventQueueFull` if events stand before
    the answer that nobody reads, and `ConnectionClosed`, or the error that ended the connection.

    Attributes:
        host, port: where the switch is.

    Example:
        >>> import asyncio
        >>> from eslcodec import aio
        >>> from eslcodec.emulator import Emulator
        >>> async def main(switch):
        ...     async with aio.connect("127.0.0.1", switch.port) as fs:
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
        link: Link,
        address: tuple[str, int],
        command_timeout: float,
        books: Reconnection | None = None,
        route: Route | None = None,
    ) -> None:
        self.host, self.port = address
        self._command_timeout = command_timeout
        self._books = books or Reconnection(None)
        self._route = route
        self._loop = asyncio.get_running_loop()
        self._inbox = Inbox(self._loop, link, self._books)
        self._turned = Bell(self._loop)  # for commands: there is a connection again, or news of it
        self._handlers: dict[str, list[tuple[str | None, Handler]]] = {}
        self._totals = Totals()
        self._task: asyncio.Task[None] | None = None
        self._lost: Callable[[End], None] | None = None  # is told why each connection ended
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
        return self._totals.stats(self.connection, caretaker=self._link.caretaker, tap=self._link.tap_stats())

    @property
    def connected(self) -> bool:
        """Whether there is a connection now: not after its end, nor while it is set up again (`reconnect`)."""
        return self.connection.end is None and self._books.away is None

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
        can still be read. More than once does no harm.

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
        return Reader(self._inbox, Event, timeout)

    def messages(self, timeout: float | None = None) -> AsyncIterator[Message]:
        """The same for everything that is no reply: events, log lines, linger notices, frames of unknown kind."""
        return Reader(self._inbox, Message, timeout)

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

    async def take(self, max: int = 1000, timeout: float | None = 0.5) -> list[Event]:
        """The events that wait, as a list; if there are none, those that come with the next one.

        They are the same as of `events`, in the same order, a `Gap` among them after a reconnection. For many events a
        second it costs less than `events`.

        Args:
            max: how many at most.
            timeout: seconds to wait if there is none; None for no limit, 0 to take only what has come.

        Returns:
            At least one event; [] if there was none within `timeout` seconds.

        Raises:
            ConnectionClosed: the connection has ended, well or not, and everything received was taken. Or the error
                that ended it, as of `events`.
            ValueError: `max` is less than 1.

        Example:
            >>> import asyncio
            >>> from eslcodec import aio
            >>> from eslcodec.emulator import Emulator
            >>> async def main(switch):
            ...     async with aio.connect("127.0.0.1", switch.port) as fs:
            ...         await fs.subscribe("DTMF")
            ...         switch.fire("DTMF", {"DTMF-Digit": "#"})
            ...         return [event["DTMF-Digit"] for event in await fs.take(timeout=5)]
            >>> with Emulator() as switch:
            ...     asyncio.run(main(switch))
            ['#']
        """
        if max < 1:
            raise ValueError(f"max is {max!r}, expected 1 or more")
        return await self._inbox.take(max, timeout)

    def batches(
        self,
        spec: Mapping[str, str | tuple[str, str]],
        max_rows: int = 65_536,
        max_seconds: float = 1.0,
        events: Iterable[str] | None = None,
        redact: Callable[[Event], Event] | None = None,
    ) -> AsyncIterator[Any]:
        """Columns of the events, as batches for Arrow: `eslcodec.ingest.batches`, which says more. Experimental.

        Args:
            spec: a column's name -> its kind, or a header and a kind; or one of `eslcodec.ingest.presets`.
            max_rows: of a batch.
            max_seconds: how long a row waits for others.
            events: names of events; None for all. It subscribes to none.
            redact: what is called with each event.

        Returns:
            An iterator of `eslcodec.ingest.Batch`, for `async for`.
        """
        ingest = import_module("..ingest._batches", __package__)  # which stands on this module
        found: AsyncIterator[Any] = ingest.batches(self, spec, max_rows, max_seconds, events, redact)
        return found

    async def resync(
        self,
        known: Any,
        *,
        switch: str | None = None,
        settle: float = 1.0,
        clock_offset: float = 0.0,
        timeout: float | None = None,
    ) -> list[Any]:
        """Ask the switch for its channels and compare them with those that are known: `eslcodec.ingest.resync`, which
        says more. Experimental. Call it at the start, and after each `Gap` among the events.

        Args:
            known: an `eslcodec.ingest.Known`; it must have seen every event that was read.
            switch: name of the switch in the notices; None for host and port.
            settle: seconds after which it asks once more, as the switch's table is late; 0 not to.
            clock_offset: seconds that our clock is before the switch's.
            timeout: of each command, see `Client`.

        Returns:
            An `eslcodec.ingest.Ended` for each channel that is gone and whose end was missed, a `Found` for each that
            is new.

        Raises:
            CommandError: the switch refuses, or its answer is not whole. Nothing was found out then.
        """
        ingest = import_module("..ingest.resync", __package__)  # which stands on this module
        found: list[Any] = await ingest.resync(
            self, known, switch=switch, settle=settle, clock_offset=clock_offset, timeout=timeout
        )
        return found

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

        The events of a channel (`Unique-ID`) are handled one after the other, and so are the events without a channel;
        different channels side by side. What a handler raises is logged and changes nothing else. A handler may send
        commands and wait for jobs.

        Args:
            concurrency: channels whose handlers may be at work at once. If more have events, or `limits.EVENT_QUEUE`
                events or `limits.EVENT_QUEUE_BYTES` are in hand, no further ones are taken from the queue.

        Raises:
            ESLError: the connection ended otherwise than it should.
        """
        lanes = Lanes(concurrency)
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

    async def _issue(
        self,
        timeout: float | None,
        command: Callable[Concatenate[Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> tuple[Link, T]:
        """Send a command once the socket takes it: the link that took it, and what the connection returned. If the
        connection is gone, the attempt to set it up again that is due in time is waited for first."""
        limit, since = self._command_timeout if timeout is None else timeout, self._loop.time()
        while True:
            link = await self._for_command(since + limit)
            await link.writable(limit, since)
            if self._books.away is None or self._books.over is not None:
                break
        result = command(link.connection, *args, **kwargs)
        link.act()
        return link, result

    async def _for_command(self, deadline: float) -> Link:
        """The link that a command goes to."""
        books = self._books
        while books.away is not None and books.over is None:
            if (books.due or 0) > deadline or not await self._turned.wait(deadline):
                raise books.away.error()
        if books.over is not None and books.over is not self.connection.end:
            raise books.over.error()
        return self._link

    def _now(self) -> float:
        return self._loop.time()

    # The end, and beginning again

    def _attach(self, link: Link) -> None:
        """Read from this link, and what it has brought already."""
        self._link = self._inbox.link = link
        link.came = self._inbox.bell.ring
        link.act()

    def _rely_on(self, link: Link) -> None:
        """From now on act on the end of this link: the client ends too, or reconnects."""
        link.ended = self._ended
        if link.connection.end is not None:
            self._ended()

    def _ended(self) -> None:
        link, books = self._link, self._books
        end = link.connection.end
        assert end is not None
        lasted, last = link.ended_at - link.began, link.connection.last_event
        books.lost(end, lasted=lasted, since=link.gone, now=self._loop.time(), last=last)
        if self._lost is not None:
            self._lost(end)
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
            link: Link | None = None
            try:
                link = self._next(self._route)
                await self._route.reach(link)
            except Exception as error:
                if books.is_news(error):
                    _LOG.info("cannot connect to %s:%s again: %s", self.host, self.port, error)
                self._failed(link, error)
                self._turned.ring()
            else:
                self._adopt(link)
                books.usable()
                _LOG.info("connected to %s:%s again", self.host, self.port)
                self._rely_on(link)
                self._turned.ring()
                return
        self._ring()

    def _ring(self) -> None:
        self._inbox.bell.ring()
        self._turned.ring()

    def _next(self, route: Route) -> Link:
        """A new link, which goes on where the last one ended."""
        before = self.connection
        return route.make(
            subscriptions=before.subscriptions, queue=before.queue, gap=lambda: self._books.gap(self._loop.time())
        )

    def _failed(self, link: Link | None, error: Exception) -> None:
        now = self._loop.time()
        if link is not None and link.connection.gap_told:
            self._adopt(link)
            last = link.connection.last_event
            self._books.failed(error, link.connection.end, now=now, since=link.gone, last=last)
        else:
            self._books.failed(error, None if link is None else link.connection.end, now=now)

    def _adopt(self, link: Link) -> None:
        self._totals.add(self.connection)
        self._attach(link)
