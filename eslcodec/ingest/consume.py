"""Events from a stream of NATS JetStream that a bridge filled, with the extra `nats` (experimental: see STABILITY.md).

`consume` gives each event as an `Event`, and acknowledges it when it was handled: when the next one is asked for, or
when the handler has returned. What raises is not acknowledged. So an event may come twice, and is never lost between
the stream and the handler. A loop is what users of `fs.events()` know; a handler is what can be tried again, and given
to workers.

An ordered consumer hands out by the order of the stream, also what comes again: what failed is tried again before
anything behind it in its channel, and what a dead program had taken comes before anything new.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from . import _nats
from ._delivered import Delivered, StreamEvent, StreamNotice
from ._intake import Held, Intake
from ._pulling import ConsumerGone, ConsumerShared, Puller, Wanted
from .bridge import check_partitions
from .contract import Subjects, partition

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "ConsumeStats",
    "Consumer",
    "ConsumerGone",
    "ConsumerShared",
    "StreamEvent",
    "StreamNotice",
    "consume",
]

WINDOW: Final = 1024
WINDOW_BYTES: Final = 32 << 20
ACK_WAIT: Final = 30.0
RETRY: Final = 1.0
RETRY_MOST: Final = 60.0

_CANCEL_SECONDS: Final = 0.25
_LOG: Final = logging.getLogger("eslcodec.consume")

Handler = Callable[[Delivered], Awaitable[object] | object]
"""What is called with each event and notice; a coroutine is awaited."""


@dataclass(frozen=True)
class ConsumeStats:
    """How a consumer fares.

    Attributes:
        handled: messages that were handled.
        failed: how often a handler raised.
        given_up: messages that failed as often as they may; they are passed over.
        unreadable: messages that are none of the contract; they are passed over.
        repeats: messages that came again while they were here, or after they were handled here.
        out_of_order: messages of an ordered consumer that came behind a later one.
        held, held_bytes: what is here and not acknowledged.
        pending: how many the stream has behind the last one that came; None if none came.
        connects: how often a connection was made.
        trouble: why nothing comes, in a sentence; None if it does.

    Example:
        >>> stats = consume("nats://127.0.0.1:4222", "FS1", "billing").stats()
        >>> stats.handled, stats.trouble
        (0, None)
    """

    handled: int
    failed: int
    given_up: int
    unreadable: int
    repeats: int
    out_of_order: int
    held: int
    held_bytes: int
    pending: int | None
    connects: int
    trouble: str | None


class Consumer:
    """Events and notices of a stream; `consume` makes it.

    For a loop, `async with` and `async for`: an event is acknowledged when the next one is asked for, or the block is
    left without an exception. An exception leaves the event that the loop is at unacknowledged. For a handler, `run`.

    Attributes:
        wanted: what is read.

    Example:
        >>> async def main():
        ...     async with consume("nats://127.0.0.1:4222", "FS1", "billing") as consumer:
        ...         async for event in consumer:
        ...             print(event.switch, event.event_id)
    """

    def __init__(self, puller: Puller, retry: float, attempts: int | None) -> None:
        self.wanted = puller.wanted
        self._puller = puller
        self._intake = puller.intake
        self._retry = retry
        self._attempts = attempts
        self._handled = self._failed = self._given_up = 0
        self._delays: dict[int, float] = {}  # sequence -> after how many seconds it may come again
        self._current: Held | None = None
        self._task: asyncio.Task[None] | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self._is_closed = False
        puller.on_ready(self._wake)

    def __repr__(self) -> str:
        how = "" if self.wanted.durable is None else ", ordered" if self.wanted.ordered else ", unordered"
        return f"<Consumer {self.wanted.durable!r} of {self.wanted.stream!r}{how}>"

    async def __aenter__(self) -> Self:
        if self._task is not None:
            raise RuntimeError("the consumer was entered before: make another one")
        _nats.library("consuming from NATS")
        self._task = asyncio.create_task(self._puller.run(), name=f"consumer of {self.wanted.stream}")
        self._task.add_done_callback(lambda _: self._wake())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *args: object) -> None:
        if self._current is not None and kind is None:
            self._done(self._current)
        elif self._current is not None:
            self._delays[self._current.sequence] = self._retry
        self._current = None
        await self.close()

    async def close(self) -> None:
        """End it: what was handled is acknowledged, the rest is given back, so that others need not wait for it."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            with suppress(_nats.errors(), OSError, asyncio.TimeoutError):
                await self._puller.finish(self._delays)
        finally:
            while self._task is not None and not self._task.done():  # the library swallows some cancellations
                self._task.cancel()
                await asyncio.wait({self._task}, timeout=_CANCEL_SECONDS)
            self._wake()

    def stats(self) -> ConsumeStats:
        """How it fares."""
        intake, puller = self._intake, self._puller
        return ConsumeStats(
            self._handled,
            self._failed,
            self._given_up,
            puller.unreadable,
            intake.repeats,
            intake.out_of_order,
            len(intake.held),
            intake.size,
            puller.pending,
            puller.connects,
            puller.trouble,
        )

    # A loop

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Delivered:
        """The next event or notice; the one before is acknowledged."""
        current, self._current = self._current, None
        if current is not None:
            self._done(current)
        held = await self._next()
        if held is None:
            raise StopAsyncIteration
        self._current = held
        assert held.item is not None
        return held.item

    async def _next(self) -> Held | None:
        """The next one that can be read; None at the end."""
        while True:
            held = self._intake.take()
            if held is None:
                if self._is_at_end():
                    return None
                await self._wait()
            elif held.item is not None:
                return held
            else:
                self._pass_over(held)

    def _is_at_end(self) -> bool:
        if self._is_closed or self._task is None:
            raise RuntimeError("the consumer is not open")
        if self._task.done() and not self._task.cancelled():
            self._task.result()
        return self._puller.is_over or self._task.done()

    async def _wait(self) -> None:
        self._puller.poke()
        future = asyncio.get_running_loop().create_future()
        self._waiters.append(future)
        try:
            await future
        finally:
            self._waiters.remove(future)

    def _wake(self) -> None:
        for future in self._waiters:
            if not future.done():
                future.set_result(None)

    def _done(self, held: Held) -> None:
        self._handled += 1
        self._acknowledge(held, "ack")

    def _pass_over(self, held: Held) -> None:
        self._acknowledge(held, "term")

    def _acknowledge(self, held: Held, what: Literal["ack", "term"]) -> None:
        intake = self._intake
        self._delays.pop(held.sequence, None)
        intake.done(held)
        if not intake.ordered:
            self._puller.say(held, what)
        elif intake.since >= self._puller.ack_every:
            self._puller.poke()

    # A handler

    async def run(self, handler: Handler, workers: int = 1) -> None:
        """Call a handler with each event and notice, until it is cancelled, or the end is reached.

        What the handler raises is logged, and the event is not acknowledged: in order it is tried again after a while,
        and what is behind it in its channel waits; without order it is given back to the server, which gives it to
        anybody after a while.

        Args:
            handler: is called with each, and awaited if it gives something to await.
            workers: how many events may be handled at a time. In order, all events of a channel (of one Unique-ID; of a
                switch, if they have none) go to the same worker.

        Raises:
            ConsumerGone, ConsumerShared: see there.
            ValueError: the stream or the consumer cannot be used; or `workers` is none.

        Example:
            >>> async def main():
            ...     async def handle(event):
            ...         print(event.switch, event.event_id)
            ...
            ...     await consume("nats://127.0.0.1:4222", "FS1", "billing").run(handle, workers=4)
        """
        if workers < 1:
            raise ValueError(f"workers is {workers}, expected at least 1")
        async with self:
            if workers == 1:
                await self._work(handler)
                return
            if self.wanted.ordered:
                await self._share_out(handler, workers)
            else:
                await _together([self._work(handler) for _ in range(workers)])

    async def _work(self, handler: Handler) -> None:
        while (held := await self._next()) is not None:
            await self._handle(handler, held)

    async def _share_out(self, handler: Handler, workers: int) -> None:
        queues: list[asyncio.Queue[Held | None]] = [asyncio.Queue() for _ in range(workers)]

        async def give() -> None:
            while (held := await self._next()) is not None:
                queues[_lane(held.item, workers)].put_nowait(held)  # no more than the window
            for queue in queues:
                queue.put_nowait(None)

        async def work(queue: asyncio.Queue[Held | None]) -> None:
            while (held := await queue.get()) is not None:
                await self._handle(handler, held)

        await _together([give(), *(work(queue) for queue in queues)])

    async def _handle(self, handler: Handler, held: Held) -> None:
        """Until it is handled, or given up."""
        assert held.item is not None
        tries = held.delivery if not self.wanted.ordered else 1
        while True:
            try:
                result = handler(held.item)
                if inspect.isawaitable(result):
                    await result
            except Exception:
                self._failed += 1
                _LOG.exception("stream %s: the handler failed at message %d", self.wanted.stream, held.sequence)
            else:
                self._done(held)
                return
            if self._attempts is not None and tries >= self._attempts:
                _LOG.error("stream %s: message %d is given up: %d tries", self.wanted.stream, held.sequence, tries)
                self._given_up += 1
                self._pass_over(held)
                return
            wait = min(self._retry * 2.0 ** min(tries - 1, 16), RETRY_MOST)
            if not self.wanted.ordered and self.wanted.durable is not None:
                self._intake.drop(held)
                self._puller.say(held, wait)
                return
            self._delays[held.sequence] = wait
            tries += 1
            await asyncio.sleep(wait)
            held.item.redelivered = True


async def _together(works: Sequence[Any]) -> None:
    """All at once; when one fails, the others are ended."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def _lane(item: Delivered | None, workers: int) -> int:
    """Which worker gets it: all of a channel the same one."""
    unique_id = item.get("Unique-ID") if isinstance(item, StreamEvent) else None
    switch = item.switch if item is not None else None
    return partition(unique_id, switch or "", workers)


def consume(
    servers: str | Sequence[str],
    stream: str,
    durable: str | None = None,
    *,
    subjects: str | Sequence[str] = (),
    partition: int | None = None,
    ordered: bool = True,
    begin: Literal["all", "now"] | datetime = "all",
    until_end: bool = False,
    template: Subjects | None = None,
    window: int = WINDOW,
    window_bytes: int = WINDOW_BYTES,
    ack_wait: float = ACK_WAIT,
    retry: float = RETRY,
    attempts: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> Consumer:
    """Events and notices from a stream that a bridge filled: for `async for`, or for `Consumer.run` with a handler.

    It connects again by itself, and goes on behind what was acknowledged. In between it waits: `stats().trouble` says
    for what.

    Args:
        servers: of the cluster, such as `nats://127.0.0.1:4222`; one, or several that are tried in turn.
        stream: its name.
        durable: the name under which the server keeps the place to go on from; it is made if it is not there. None: no
            place is kept, nothing is acknowledged, and everything comes in order and once.
        subjects: only these, such as `esl.v1.fs1.>`, with `*` and `>`; several need a server from 2.10 on.
        partition: only events of this partition, with the consumer `<durable>-<partition>`: one program for each keeps
            the order of all channels. It gets no notices.
        ordered: one program takes from the consumer; a second one waits until it is gone. False: any number of programs
            share the messages, in no order.
        begin: where, if the consumer is new: with "all" that the stream has, with what comes from "now" on, or with
            what the stream got since a time.
        until_end: end when everything has come that the stream had at the start.
        template: of the subjects, for `partition`; else that of the contract, with 16 partitions.
        window, window_bytes: how many messages, and about how many bytes of them, are held at most. One that is larger
            comes alone.
        ack_wait: seconds after which the server gives to others what a dead program took. A handler may take longer:
            the server is told that it is still at work.
        retry: seconds after which what failed is tried again; twice as many each time, a minute at most.
        attempts: after so many failures a message is passed over, with a line in the log. None: never.
        options: for `nats.connect`: credentials, TLS.

    Raises:
        ValueError: no servers; no name of a stream or consumer; a partition that there is not; a window of nothing.

    Example:
        >>> consume("nats://127.0.0.1:4222", "FS1", "billing", partition=3)
        <Consumer 'billing-3' of 'FS1', ordered>
    """
    listed = _nats.check_servers(servers, stream)
    layout = template if template is not None else Subjects()
    patterns = (subjects,) if isinstance(subjects, str) else tuple(subjects)
    check: Callable[[Mapping[str, Any]], object] = _nothing
    if durable is not None:
        _nats.check_name(durable, "a consumer")
    if partition is not None:
        if patterns:
            raise ValueError("subjects and partition exclude each other")
        patterns = (layout.of_partition(partition),)
        durable = None if durable is None else f"{durable}-{partition}"
        check = lambda config: check_partitions(config, layout.partitions)  # noqa: E731
    if window < 1 or window_bytes < 1 or ack_wait <= 0 or retry < 0:
        raise ValueError("window, window_bytes and ack_wait must be more than 0, and retry not less")
    wanted = Wanted(stream, durable, patterns, ordered or durable is None, begin, ack_wait, check)
    intake = Intake(wanted.ordered, window, window_bytes)
    return Consumer(Puller(listed, dict(options or {}), wanted, intake, until_end), retry, attempts)


def _nothing(config: Mapping[str, Any]) -> None:
    """Any stream will do."""
