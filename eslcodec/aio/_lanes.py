"""Running handlers: a lane for each channel, side by side."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from inspect import isawaitable
from typing import Final

from .. import limits
from .._ctext import word
from ..events import Event
from ._loop import Bell

Handler = Callable[[Event], object]
"""What `Client.on` takes: a function of the event; what it returns is awaited if it can be."""

_LOG: Final = logging.getLogger("eslcodec.client")


class Lanes:
    """Runs handlers: one after the other for the events of a channel, side by side for several channels."""

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._lanes: dict[str | None, deque[tuple[Event, list[Handler], int]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._held = 0  # events that are not handled yet
        self._held_bytes = 0
        self._ending = False
        self._moved = Bell(asyncio.get_running_loop())

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
            _LOG.exception("a handler of %s failed", word(event.name or ""))
