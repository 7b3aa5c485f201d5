"""Waiting in the event loop: `run`, a bell that wakes, and a timeout that loses nothing."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine
from importlib import import_module
from typing import Any, TypeVar, cast

T = TypeVar("T")


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

    __slots__ = ("loop", "waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
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
