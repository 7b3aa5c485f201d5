"""Columns of what a switch sends, while it sends: `batches`, for both clients."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from inspect import iscoroutinefunction
from typing import Any, Protocol, overload

from ..errors import ESLError
from ..events import Event
from . import _spec
from .columns import Batch, Columns
from .presets import Preset


class _Client(Protocol):
    """The blocking client."""

    def take(self, max: int = ..., timeout: float | None = ...) -> list[Event]: ...
    def events(self, timeout: float | None = ...) -> Iterator[Event]: ...


class _AsyncClient(Protocol):
    """That of asyncio."""

    def take(self, max: int = ..., timeout: float | None = ...) -> Coroutine[Any, Any, list[Event]]: ...
    def events(self, timeout: float | None = ...) -> AsyncIterator[Event]: ...


@overload
def batches(
    fs: _Client,
    spec: _spec.Spec,
    max_rows: int = 65_536,
    max_seconds: float = 1.0,
    events: Iterable[str] | None = None,
    redact: Callable[[Event], Event] | None = None,
) -> Iterator[Batch]: ...


@overload
def batches(
    fs: _AsyncClient,
    spec: _spec.Spec,
    max_rows: int = 65_536,
    max_seconds: float = 1.0,
    events: Iterable[str] | None = None,
    redact: Callable[[Event], Event] | None = None,
) -> AsyncIterator[Batch]: ...


def batches(
    fs: _Client | _AsyncClient,
    spec: _spec.Spec,
    max_rows: int = 65_536,
    max_seconds: float = 1.0,
    events: Iterable[str] | None = None,
    redact: Callable[[Event], Event] | None = None,
) -> Iterator[Batch] | AsyncIterator[Batch]:
    """Columns of the events that a client receives: what `fs.batches` gives.

    A batch comes when it is full, or so many seconds after its first event. It ends when the connection does, as
    `fs.events()` would, after the rows that were there. `@received`, `@offset` and `@switch` are null.

    Args:
        fs: a client, blocking or of asyncio (then for `async for`). It subscribes to nothing by this.
        spec: a column's name -> its kind, or a header and a kind, see `Columns`; or one of `presets`, which also says
            which events, if `events` does not.
        max_rows: of a batch.
        max_seconds: how long a row waits for others.
        events: names of events, see `Columns`; None for all.
        redact: what is called with each event, such as a `Redact`.

    Raises:
        ValueError: see `Columns`; `max_seconds` is not above 0.

    What the connection ended with comes while iterating, see `fs.events`.

    Example:
        >>> import eslcodec
        >>> from eslcodec.emulator import Emulator
        >>> with Emulator() as switch, eslcodec.connect(switch.host, switch.port) as fs:
        ...     fs.subscribe("DTMF").ok
        ...     switch.fire("DTMF", {"DTMF-Digit": "5"})
        ...     next(fs.batches({"digit": ("DTMF-Digit", "string")}, max_rows=1))
        True
        <Batch of 1 rows, 1 columns>
    """
    if not max_seconds > 0:
        raise ValueError(f"max_seconds is {max_seconds}, expected more than 0")
    if events is None and isinstance(spec, Preset):
        events = spec.events
    waiting = _Waiting(Columns(spec, events, batch_rows=max_rows, redact=redact), max_seconds)
    if iscoroutinefunction(fs.take):
        return _abatches(fs, waiting, max_rows)
    return _bbatches(fs, waiting, max_rows)


class _Waiting:
    """Rows that wait until their batch is full, or it is time."""

    def __init__(self, columns: Columns, seconds: float) -> None:
        self._columns = columns
        self._seconds = seconds
        self._until: float | None = None  # when the rows that are there have to go

    @property
    def timeout(self) -> float | None:
        return None if self._until is None else max(self._until - time.monotonic(), 0)

    def add(self, events: list[Event]) -> Iterator[Batch]:
        """The batches that are due with some more events."""
        if events:
            self._columns.extend(events)
            for batch in iter(self._columns.take, None):
                self._until = None
                yield batch
            if self._until is None:
                self._until = time.monotonic() + self._seconds
        if self._until is not None and time.monotonic() >= self._until:
            yield from self.rest()

    def rest(self) -> Iterator[Batch]:
        self._until = None
        return iter(self._columns.flush, None)


def _bbatches(fs: Any, waiting: _Waiting, most: int) -> Iterator[Batch]:
    while True:
        try:
            events = fs.take(most, waiting.timeout)
        except ESLError:
            break
        yield from waiting.add(events)
    yield from waiting.rest()
    for _ in fs.events(0):  # raises what there is to raise
        pass


async def _abatches(fs: Any, waiting: _Waiting, most: int) -> AsyncIterator[Batch]:
    while True:
        try:
            events = await fs.take(most, waiting.timeout)
        except ESLError:
            break
        for batch in waiting.add(events):
            yield batch
    for batch in waiting.rest():
        yield batch
    async for _ in fs.events(0):  # raises what there is to raise
        pass
