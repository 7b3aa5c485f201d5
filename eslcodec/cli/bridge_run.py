"""What `eslcodec bridge` does from its start to its end: read switches, publish, tell systemd, drain."""

from __future__ import annotations

import asyncio
import math
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from .._address import address
from .listen import Where, answering
from .systemd import Notifier
from .text import note

if TYPE_CHECKING:
    from ..ingest import Fleet, Metrics, Recorder
    from ..ingest._bridges import Bridges

_TAKEN: Final = 2000  # messages at once
_LOOK_SECONDS: Final = 1.0
_STATUS_SECONDS: Final = 10.0  # between two lines for systemd


@dataclass
class BridgeRun:
    """A run of the command.

    Args:
        where: the folder of the recordings.
        drain: for how many seconds acknowledgements are waited for at the end.
        listen: where it tells of itself over HTTP.
        bridges: makes what publishes.
        fleet: makes what reads; None if another process does.
        recorders: of the fleet: closed when the reading has ended.
        failure: why recording has ended by itself.
    """

    where: str
    drain: float
    listen: Where | None
    bridges: Callable[[], Bridges]
    fleet: Callable[[], Fleet] | None = None
    recorders: list[Recorder] = field(default_factory=list)
    failure: str | None = None

    async def run(self) -> bool:
        """Until it is told to end; whether all is acknowledged then."""
        bridges = self.bridges()
        stop, hurry = asyncio.Event(), asyncio.Event()
        with _told(stop, hurry):
            publishing = asyncio.ensure_future(bridges.run())
            try:
                async with self._reading(bridges) as reading:
                    await self._watch(bridges, stop, {publishing, *reading})
            finally:
                for recorder in self.recorders:
                    await asyncio.to_thread(recorder.close)
                bridges.keep_running()
                publishing.cancel()
            await asyncio.wait({publishing})
            is_done = await self._finish(bridges, hurry)
        note(bridges.summary())
        if not is_done:
            note(f"not everything is acknowledged: the rest stays in {self.where}")
        if self.failure is not None:
            note(self.failure)
        return is_done and self.failure is None

    async def _finish(self, bridges: Bridges, hurry: asyncio.Event) -> bool:
        """Wait for acknowledgements, but no longer than until it is told to end once more."""
        finishing = asyncio.ensure_future(bridges.finish(self.drain))
        hurrying = asyncio.ensure_future(hurry.wait())
        await asyncio.wait({finishing, hurrying}, return_when=asyncio.FIRST_COMPLETED)
        hurrying.cancel()
        if finishing.done():
            return finishing.result()
        finishing.cancel()
        await asyncio.wait({finishing})
        return await bridges.finish(0.0)

    @asynccontextmanager
    async def _reading(self, bridges: Bridges) -> AsyncIterator[set[asyncio.Future[None]]]:
        """The fleet, if there is one, and what tells of all over HTTP."""
        tasks: set[asyncio.Future[None]] = set()
        async with AsyncExitStack() as stack:
            fleet = await stack.enter_async_context(self.fleet()) if self.fleet is not None else None
            metrics = None
            if self.listen is not None:
                from ..ingest import Metrics

                metrics = Metrics(fleet if fleet is not None else {}, folders=[self.where])
                metrics.add(bridges.samples)
                await stack.enter_async_context(answering(metrics, self.listen))
            if fleet is not None:
                tasks.add(asyncio.ensure_future(_read(fleet, metrics)))
            try:
                yield tasks
            finally:
                for task in tasks:
                    task.cancel()
                    await asyncio.wait({task})

    async def _watch(self, bridges: Bridges, stop: asyncio.Event, tasks: set[asyncio.Future[None]]) -> None:
        notifier = Notifier()
        notifier.ready()
        due = -math.inf
        look = min(_LOOK_SECONDS, (notifier.interval or math.inf) / 3)
        try:
            while not stop.is_set():
                for task in tasks:
                    if task.done():
                        task.result()
                self.failure = self._recording_ended()
                if bridges.is_over or self.failure is not None:
                    return
                notifier.alive()
                if time.monotonic() >= due:
                    due = time.monotonic() + _STATUS_SECONDS
                    notifier.status(bridges.summary())
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(stop.wait(), look)
            notifier.stopping()
        finally:
            notifier.close()

    def _recording_ended(self) -> str | None:
        """Why a switch is not recorded any more, so that nothing of it would be published, ever; None if all are."""
        for stats in [recorder.stats() for recorder in self.recorders]:
            if stats["state"] == "stopped" and not stats["behind"]:  # else another one follows
                where = "" if stats["peer"] is None else f" of {address(*stats['peer'])}"
                return f"recording{where} has ended: {stats['why']}"
        return None


async def _read(fleet: Fleet, metrics: Metrics | None) -> None:
    """Take what comes, at once: it is recorded already."""
    while True:
        for name, messages in await fleet.take(_TAKEN, 1.0):
            if metrics is not None:
                metrics.see_all(name, messages)


@contextmanager
def _told(stop: asyncio.Event, hurry: asyncio.Event) -> Iterator[None]:
    """Ctrl-C and SIGTERM end it; a second one ends the waiting for acknowledgements, a third one the process."""
    loop = asyncio.get_running_loop()

    events = iter((stop, hurry))

    def told(number: int, frame: object) -> None:
        event = next(events)
        loop.call_soon_threadsafe(event.set)
        if event is hurry:
            for each in before:
                signal.signal(each, signal.SIG_DFL)

    before = {number: signal.signal(number, told) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
