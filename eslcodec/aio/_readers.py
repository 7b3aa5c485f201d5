"""Reading, as asynchronous iterators: what waits in the queue, and the digits of a call."""

from __future__ import annotations

import asyncio
import math
from typing import Final, Generic, TypeVar

from .._codec import Message
from ..errors import CommandTimeout
from ..events import Event
from ..reconnect import Reconnection
from ._link import Link
from ._loop import Bell

M = TypeVar("M", bound=Message)

_TURN: Final = 128
"""After so many messages without waiting a reader lets the other tasks of the loop have their turn."""


class Inbox:
    """What the readers of a client take from.

    Attributes:
        queue: what came.
        link: what fills it; after a reconnection another one.
        bell: rings when something came, or when nothing will come any more.
        books: say whether that is the end.
    """

    __slots__ = ("_left", "bell", "books", "link", "queue")

    def __init__(self, loop: asyncio.AbstractEventLoop, link: Link, books: Reconnection) -> None:
        self._left = _TURN  # as of `Reader`, for `take`
        self.queue = link.connection.queue
        self.link = link
        self.bell = Bell(loop)
        self.books = books

    async def more(self, deadline: float) -> bool:
        """Wait until something may be in the queue; False if there is nothing in time, or the end was clean.

        Raises:
            ESLError: the connection ended otherwise.
        """
        if self.books.over is None:
            return await self.bell.wait(deadline)
        error = self.books.told(self.books.over)
        if error is None:
            return False
        raise error

    async def take(self, most: int, timeout: float | None) -> list[Event]:
        """Events, as `Client.take` says."""
        queue = self.queue
        taken: list[Event] = []
        deadline = math.inf if timeout is None else None
        if queue and self._left <= 0:
            self._left = _TURN
            await asyncio.sleep(0)
        try:
            while True:
                if queue:
                    queue.take_events(most, taken)
                    if self.link.paused:
                        self.link.throttle()
                    if taken:
                        self._left -= len(taken)
                        return taken
                self._left = _TURN
                if deadline is None:
                    deadline = self.bell.loop.time() + timeout  # type: ignore[operator]  # without one it is inf
                if self.books.over is not None:
                    await self.more(deadline)
                    raise self.books.over.error()
                if not await self.bell.wait_often(deadline) and not queue:
                    return taken
        except BaseException:
            if taken:
                queue.put_back(taken)
            raise


class Reader(Generic[M]):
    """Messages of one kind, as an asynchronous iterator; see `Client.events`. It holds no message while nobody
    waits."""

    __slots__ = ("_inbox", "_kind", "_left", "_next", "_queue", "_seconds")

    def __init__(self, inbox: Inbox, kind: type[M], timeout: float | None) -> None:
        self._inbox = inbox
        self._kind = kind
        self._queue = inbox.queue
        self._next = self._queue.popleft
        self._seconds = math.inf if timeout is None else timeout
        self._left = _TURN  # messages until others have their turn

    def __aiter__(self) -> Reader[M]:
        return self

    async def __anext__(self) -> M:
        inbox, queue = self._inbox, self._queue
        while True:  # the usual way, and as short as can be
            if not self._left:
                return await self._wait()
            if queue:
                self._left -= 1
                message = self._next()
                if inbox.link.paused:
                    inbox.link.throttle()
                if isinstance(message, self._kind):
                    return message
            elif self._seconds != math.inf or inbox.books.over is not None:
                return await self._wait()
            else:
                self._left = _TURN
                future = inbox.bell.loop.create_future()
                waiting = inbox.bell.waiting
                waiting[future] = math.inf
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
                if await self._inbox.more(deadline):
                    continue
                raise StopAsyncIteration from None
            self._inbox.link.throttle()
            if isinstance(message, self._kind):
                return message


class Digits:
    """A call's digits, as an asynchronous iterator; see `Call.dtmf`."""

    __slots__ = ("_link", "_seconds")

    def __init__(self, link: Link, timeout: float | None) -> None:
        self._link = link
        self._seconds = math.inf if timeout is None else timeout

    def __aiter__(self) -> Digits:
        return self

    async def __anext__(self) -> str:
        link, since = self._link, asyncio.get_running_loop().time()
        digits = link.connection.digits
        while not digits:
            wait = link.connection.digit()
            link.act()
            try:
                if not await link.outcome(wait, self._seconds, since):
                    raise StopAsyncIteration
            except CommandTimeout:
                raise StopAsyncIteration from None
        return digits.popleft()
