"""Waiting in the event loop: `run`, a bell that wakes, and a timeout that loses nothing."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine
from importlib import import_module
from typing import Any, Final, TypeVar, cast

T = TypeVar("T")

_TICK: Final = 1.0
"""Seconds to the next look at deadlines, at most: so much longer than needed the loop may keep a bell."""


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


class Bell:
    """Wakes all who wait at the moment; each looks whether it is concerned.

    Attributes:
        loop: in which they wait.
        waiting: what they wait for, in the order they came; and until when, where somebody else sees to that.
    """

    __slots__ = ("_looks", "loop", "waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._looks = math.inf  # when the next look at the deadlines of `wait_often` is
        self.loop = loop
        self.waiting: dict[asyncio.Future[bool], float] = {}

    async def wait(self, deadline: float = math.inf) -> bool:
        """True when it rings, False at the deadline (of the loop's clock)."""
        future: asyncio.Future[bool] = self.loop.create_future()
        self.waiting[future] = math.inf
        timer = None if deadline == math.inf else self.loop.call_at(deadline, resolve, future, False)
        try:
            return await future
        finally:
            del self.waiting[future]
            if timer is not None:
                timer.cancel()

    async def wait_often(self, deadline: float) -> bool:
        """`wait` for who waits again and again: one timer serves many calls."""
        future: asyncio.Future[bool] = self.loop.create_future()
        self.waiting[future] = deadline
        try:
            if deadline < self._looks:
                self._look_at(deadline)
            return await future
        finally:
            del self.waiting[future]

    def _look_at(self, deadline: float) -> None:
        at = min(deadline, self.loop.time() + _TICK)
        self.loop.call_at(at, self._look, at)
        self._looks = at

    def _look(self, planned: float) -> None:
        """Tell those whose deadline has come; look again for the others."""
        if planned != self._looks:  # an earlier look came in between, and planned the next
            return
        now, self._looks = self.loop.time(), math.inf
        for future, deadline in self.waiting.items():
            if deadline <= now:
                resolve(future, False)
        later = min((deadline for deadline in self.waiting.values() if deadline > now), default=math.inf)
        if later < math.inf:
            self._look_at(later)

    def ring(self) -> None:
        for future in self.waiting:
            if not future.done():
                future.set_result(True)


def resolve(future: asyncio.Future[bool], value: bool) -> None:
    if not future.done():
        future.set_result(value)


async def within(seconds: float, what: str, doing: Coroutine[Any, Any, T]) -> T:
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
