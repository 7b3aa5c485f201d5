"""`legs` and `calls`: rows from a stream of messages, blocking or asyncio."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar, Union, overload

from .._codec import Message
from ..events import Decoder
from ..recordings import Recording
from ._calls import Call, Calls
from ._delivered import StreamNotice
from ._legs import SENT, Legs
from ._rows import Leg
from .notices import Notice
from .watch import Loss

__all__ = ["calls", "legs"]

_T = TypeVar("_T", covariant=True)


class _Maker(Protocol[_T]):
    def see(self, message: Message | Notice | Loss) -> Sequence[_T]: ...
    def finish(self) -> Sequence[_T]: ...


class Readable(Protocol):
    """What has messages: a client, a `Recording`."""

    @property
    def messages(self) -> Callable[[], Iterable[Message]]: ...


class AsyncReadable(Protocol):
    """The same for asyncio."""

    @property
    def messages(self) -> Callable[[], AsyncIterable[Message]]: ...


_Seen = Message | Notice | Loss | StreamNotice
_Source = Union[Iterable[_Seen], Readable, "str | os.PathLike[str]"]
_AsyncSource = AsyncIterable[_Seen] | AsyncReadable


@overload
def legs(
    source: _Source,
    *,
    columns: Mapping[str, str] | None = None,
    give_up: float = 86_400.0,
    max_open: int = 1_000_000,
    recover_seconds: float = 300.0,
) -> Iterator[Leg]: ...


@overload
def legs(
    source: _AsyncSource,
    *,
    columns: Mapping[str, str] | None = None,
    give_up: float = 86_400.0,
    max_open: int = 1_000_000,
    recover_seconds: float = 300.0,
) -> AsyncIterator[Leg]: ...


def legs(
    source: _Source | _AsyncSource,
    *,
    columns: Mapping[str, str] | None = None,
    give_up: float = 86_400.0,
    max_open: int = 1_000_000,
    recover_seconds: float = 300.0,
) -> Iterator[Leg] | AsyncIterator[Leg]:
    """A row of each leg, when it has ended; at the end of the source also of those that have not.

    Args:
        source: any messages: a `Decoder`, `fs.events()`, a client, a `Recording` or the path
            of one; or those of asyncio, for `async for`: a client, a consumer of a stream.
        columns: as the others, see `Legs`.
        give_up: see `Legs`.
        max_open: see `Legs`.
        recover_seconds: see `Legs`.

    Raises:
        ValueError: see `Legs`.

    What the source raises is raised here, and rows of legs that have not ended do not come. For these, and for
    counters, use a `Legs` of your own.

    Example:
        >>> from eslcodec import Decoder
        >>> decoder = Decoder()
        >>> payload = b"Event-Name: CHANNEL_HANGUP_COMPLETE\\nUnique-ID: e10a8e20\\nHangup-Cause: USER_BUSY\\n\\n"
        >>> decoder.feed(b"Content-Length: %d\\nContent-Type: text/event-plain\\n\\n%b" % (len(payload), payload))
        >>> [(leg.uuid, leg.cause, leg.status) for leg in legs(decoder)]
        [('e10a8e20', 'USER_BUSY', 'complete')]
    """
    maker = Legs(columns=columns, give_up=give_up, max_open=max_open, recover_seconds=recover_seconds)
    return _rows(maker, source)


@overload
def calls(
    source: _Source,
    *,
    columns: Mapping[str, str] | None = None,
    give_up: float = 86_400.0,
    max_open: int = 1_000_000,
    recover_seconds: float = 300.0,
    max_legs: int = 1_000,
) -> Iterator[Call]: ...


@overload
def calls(
    source: _AsyncSource,
    *,
    columns: Mapping[str, str] | None = None,
    give_up: float = 86_400.0,
    max_open: int = 1_000_000,
    recover_seconds: float = 300.0,
    max_legs: int = 1_000,
) -> AsyncIterator[Call]: ...


def calls(
    source: _Source | _AsyncSource,
    *,
    columns: Mapping[str, str] | None = None,
    give_up: float = 86_400.0,
    max_open: int = 1_000_000,
    recover_seconds: float = 300.0,
    max_legs: int = 1_000,
) -> Iterator[Call] | AsyncIterator[Call]:
    """A row of each call, when its last leg has ended; at the end of the source also of those that have not.

    Args:
        source: as for `legs`.
        columns: own columns of the legs, see `Legs`.
        give_up: see `Legs`.
        max_open: see `Legs`.
        recover_seconds: see `Legs`.
        max_legs: see `Calls`.

    Raises:
        ValueError: see `Calls`.

    Example:
        >>> from eslcodec import Event
        >>> [call.legs for call in calls([Event.build("HEARTBEAT")])]
        []
    """
    maker = Calls(
        columns=columns, give_up=give_up, max_open=max_open, recover_seconds=recover_seconds, max_legs=max_legs
    )
    return _rows(maker, source)


def _rows(maker: _Maker[_T], source: _Source | _AsyncSource) -> Iterator[_T] | AsyncIterator[_T]:
    if isinstance(source, (str, os.PathLike)):
        source = Recording(source)
    messages: Any
    if type(source) is Recording or type(source) is Decoder:
        messages = source._named(SENT)  # most messages are never made
    else:
        messages = source if isinstance(source, (Iterable, AsyncIterable)) else source.messages()
    return _arows(maker, messages) if isinstance(messages, AsyncIterable) else _brows(maker, messages)


def _brows(maker: _Maker[_T], messages: Iterable[_Seen]) -> Iterator[_T]:
    for item in messages:
        message = item.notice if isinstance(item, StreamNotice) else item
        if message is not None and (rows := maker.see(message)):
            yield from rows
    yield from maker.finish()


async def _arows(maker: _Maker[_T], messages: AsyncIterable[_Seen]) -> AsyncIterator[_T]:
    async for item in messages:
        message = item.notice if isinstance(item, StreamNotice) else item
        for row in maker.see(message) if message is not None else ():
            yield row
    for row in maker.finish():
        yield row
