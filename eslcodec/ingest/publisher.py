"""Publishing to a stream of NATS JetStream, in order, with the extra `nats` (experimental: see STABILITY.md).

What is in flight, and what an answer means, is decided in `_flight.py`, without I/O. This is the connection around it:
each message is published with a reply subject of its own, one subscription takes all answers, and whenever something is
not as it should be, the stream's end is looked up and publishing goes on behind it. Reconnecting is ours, not the NATS
client's: what a lost connection had taken is never sent behind our back.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from . import _flight, _nats, _streams, _wire
from ._families import Times
from ._flight import Flight, Last, Trouble
from ._packed import Packed, pack
from .contract import PREFIX, Item, Place

if TYPE_CHECKING:
    from nats.aio.client import Client
    from typing_extensions import Self

__all__ = ["Publisher", "PublisherStats", "StreamEnd", "Trouble"]

_AT_ONCE: Final = 64  # questions
_LOOKS: Final = 0.25  # seconds between looks at the time
_NO_STREAM: Final = 404
_NOT_FOUND: Final = 10037  # no message found
_DENIED: Final = re.compile(  # as servers say that we may not
    "permissions violation|authorization violation|authentication (?:expired|revoked|timeout)", re.IGNORECASE
)


class StreamEnd(NamedTuple):
    """A stream, and where it ends.

    Attributes:
        config: as the server says it.
        max_payload: of a message, by the server.
        sequence: that was given last.
        id: of the last message; None if there is none, or it has none.
        place: in the recording of whoever sent that message.
        recent: the identities of the last messages, if they were asked for, and when each was received.
        version: of the server; empty if that is not known.

    Example:
        >>> StreamEnd({"name": "FS1"}, 1 << 20, 0, None, None).id is None
        True
    """

    config: dict[str, Any]
    max_payload: int
    sequence: int
    id: str | None
    place: Place | None
    recent: Mapping[str, float | None] = MappingProxyType({})
    version: tuple[int, ...] = ()

    @property
    def max_bytes(self) -> int:
        """How large a message may be, headers and body."""
        return _streams.max_bytes(self.max_payload, self.config)

    def check(self, partitions: int, prefix: str = PREFIX) -> list[str]:
        """What of the stream may surprise, a sentence each.

        Raises:
            ValueError: it cannot work, and why.

        Example:
            >>> StreamEnd({"name": "FS1", "duplicate_window": 0}, 1 << 20, 0, None, None).check(16)[0]
            'stream FS1 has no window for duplicates: two bridges put everything in twice'
        """
        if prefix != PREFIX:
            _streams.check_replay(self.config, prefix)
        said = _streams.check_stream(self.config) + _streams.check_partitions(self.config, partitions)
        return said + (_streams.check_server(self.config, self.version) if self.version else [])


@dataclass(frozen=True)
class PublisherStats:
    """How a publisher fares; `trouble` is a `Trouble`, with `kind`, `text` and `since` (of `time.monotonic`).

    Attributes:
        acknowledged: messages that the stream has, in order, without a hole.
        duplicates: how many of them it had before.
        found: how many of them were seen in the stream, though no acknowledgement came.
        out_of_order: how many stand in the stream before one that was sent earlier: never, in a chained stream.
        disagreements: how often the stream's last message was none of ours.
        stale: answers to what had been given up already.
        waiting: messages that are not acknowledged.
        connects: how often a connection was made.
        stops: how often publishing stopped, or a new try came to nothing, and why (see `Trouble.kind`).
        trouble: why nothing is published; None if it is.
        oldest: when that was received which waits longest, in seconds since 1970; None if nothing waits.
        publish_seconds: from the receipt of an event, by the recorder, to the acknowledgement of its message.

    Example:
        >>> stats = Publisher("nats://127.0.0.1:4222", "FS1").stats()
        >>> stats.acknowledged, stats.trouble
        (0, None)
    """

    acknowledged: int = 0
    duplicates: int = 0
    found: int = 0
    out_of_order: int = 0
    disagreements: int = 0
    stale: int = 0
    waiting: int = 0
    connects: int = 0
    stops: Mapping[str, int] = field(default_factory=dict)
    trouble: Trouble | None = None
    oldest: float | None = None
    publish_seconds: Times = field(default_factory=Times, compare=False)


class Publisher:
    """Publishes messages to one stream, in order.

    It holds what is not acknowledged and publishes it again as long as it takes: `stats().trouble` says what is wrong.
    With `chained` each message is once in the stream while one publisher runs, and in order, whatever happens to
    servers and connections; nobody else may publish to that stream. Without, the stream drops what it gets twice
    within its window for duplicates, and what was refused comes late.

    Args:
        servers: of the cluster, such as `nats://127.0.0.1:4222`; one, or several that are tried in turn.
        stream: its name. It must be there.
        chained: whether the stream is ours alone.
        overlap: whether others publish the same messages to it, under the same identities: there is no chain then, and
            what the stream's end has is not published again.
        window, window_bytes: how much may be in flight.
        timeout: after how many seconds without an acknowledgement a new connection is made.
        last: the identity of the message that an earlier run saw acknowledged last.
        options: for `nats.connect`: credentials, TLS.

    Raises:
        ValueError: no servers, or no name of a stream.

    Example:
        >>> async def run(items):
        ...     async with Publisher("nats://127.0.0.1:4222", "FS1") as publisher:
        ...         for item in items:
        ...             await publisher.publish(item)
        ...         await publisher.flush(timeout=10.0)
    """

    def __init__(
        self,
        servers: str | Sequence[str],
        stream: str,
        *,
        chained: bool = True,
        overlap: bool = False,
        window: int = _flight.WINDOW,
        window_bytes: int = _flight.WINDOW_BYTES,
        timeout: float = _flight.ACK_TIMEOUT,
        last: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.servers = _nats.check_servers(servers, stream)
        self.stream = stream
        self._options = dict(options or {})
        limits: dict[str, Any] = {"window": window, "window_bytes": window_bytes, "timeout": timeout}
        self._flight = Flight(stream, chained=chained and not overlap, overlap=overlap, last=last, **limits)
        self._low = max(window * 3 // 4, 1) - 1
        self._connects = 0
        self._connection: Client | None = None
        self._denied: str | None = None  # what the server last said that we may not
        self._wire: _wire.Slow | None = None
        self._is_pumping = False
        self._is_closed = False
        self._waiters: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Publisher {self.stream!r}, {self._flight.waiting} waiting>"

    async def __aenter__(self) -> Self:
        _nats.library("publishing to NATS")
        self._task = asyncio.create_task(self._run(), name=f"publisher of {self.stream}")
        self._task.add_done_callback(lambda _: self._wake())
        return self

    async def __aexit__(self, *args: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End it. What is not acknowledged may be in the stream, or not: see `flush`."""
        self._is_closed = True
        while self._task is not None and not self._task.done():  # the library swallows some cancellations
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=_LOOKS)
        self._wake()

    async def stream_end(self, create: Mapping[str, Any] | None = None, recent: int = 0) -> StreamEnd:
        """Look at the stream, before anything is published; wait until a server says something of it.

        Args:
            create: a configuration with which it is made if it is not there.
            recent: the identities of how many of the last messages are asked for.
        """
        tries = 0
        while True:
            server = self.servers[tries % len(self.servers)]
            try:
                connection = await self._connect(server)
                try:
                    end = await self._stream_end(connection, create, recent)
                finally:
                    self._connection = None
                    await _nats.close(connection)
            except (_nats.errors(), OSError, asyncio.TimeoutError, ValueError, KeyError, TypeError) as error:
                self._flight.failed(*self._reason(error, f"{server}: "), time.monotonic())
                end = None
            if end is not None:
                return end
            tries += 1
            await asyncio.sleep(_nats.delay(tries // len(self.servers)))

    async def _stream_end(self, connection: Client, create: Mapping[str, Any] | None, recent: int) -> StreamEnd | None:
        info = await _nats.ask(connection, f"STREAM.INFO.{self.stream}", {})
        if create is not None and info.get("error", {}).get("code") == _NO_STREAM:
            info = await _nats.ask(connection, f"STREAM.CREATE.{self.stream}", create)
        if "error" in info:
            self._refused(info["error"])
            return None
        sequence = int(info["state"]["last_seq"])
        found = await _nats.ask(connection, f"STREAM.MSG.GET.{self.stream}", {"seq": sequence}) if sequence else {}
        message = found.get("message", {})
        place = _nats.header(message, "Esl-Place")
        parsed = None
        with suppress(ValueError):
            parsed = Place.parse(place) if place is not None else None
        id, config = _nats.header(message, "Nats-Msg-Id"), info["config"]
        known = {}
        for one in await self._last_messages(connection, sequence, min(recent, sequence)):
            received = re.fullmatch(r"\d{1,12}(\.\d+)?", _nats.header(one, "Esl-Received") or "")
            known[_nats.header(one, "Nats-Msg-Id") or ""] = float(received[0]) if received is not None else None
        version = _nats.version(connection)
        return StreamEnd(config, connection.max_payload, sequence, id, parsed, known, version)

    # What is published

    @property
    def place(self) -> Place | None:
        """Behind the last message that the stream has of all that came before it."""
        return self._flight.place

    @property
    def last_id(self) -> str | None:
        """What that message is known by."""
        return self._flight.last_id

    @property
    def oldest(self) -> float | None:
        """When that was received which waits longest, in seconds since 1970; None if nothing waits."""
        return self._flight.oldest

    def stats(self) -> PublisherStats:
        """How it fares."""
        flight = self._flight
        return PublisherStats(
            flight.acknowledged,
            flight.duplicates,
            flight.found,
            flight.out_of_order,
            flight.disagreements,
            flight.stale,
            flight.waiting,
            self._connects,
            dict(flight.stops),
            flight.trouble,
            self.oldest,
            flight.times,
        )

    async def publish(self, item: Item) -> None:
        """Have a message published, behind all others; wait while there is no room for it in the window.

        Raises:
            RuntimeError: it was closed, or not entered.
            ValueError: the subject or a header cannot be sent.
        """
        self._check()
        await self._publish_all([pack(item)])

    async def _publish_all(self, items: Sequence[Packed]) -> None:
        """Have messages published, in their order."""
        flight = self._flight
        for item in items:
            if not flight.room:
                await self._pump()
                await self._until(lambda: flight.room and flight.waiting <= self._low)
            flight.add(item)
        self._check()
        await self._pump()

    async def flush(self, timeout: float | None = None) -> bool:
        """Wait until everything is acknowledged.

        Returns:
            Whether it is.

        Raises:
            RuntimeError: it was closed, or not entered.
        """
        self._check()
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._until(lambda: not self._flight.waiting), timeout)
        return not self._flight.waiting

    def _check(self) -> None:
        if self._is_closed or self._task is None:
            raise RuntimeError("the publisher is not open")
        if self._task.done():
            self._task.result()

    async def _until(self, is_so: Callable[[], bool]) -> None:
        while not is_so():
            self._check()
            future = asyncio.get_running_loop().create_future()
            entry = is_so, future
            self._waiters.append(entry)
            try:
                await future
            finally:
                self._waiters.remove(entry)

    def _wake(self) -> None:
        ended = self._is_closed or self._task is None or self._task.done()
        for is_so, future in self._waiters:
            if not future.done() and (ended or is_so()):
                future.set_result(None)

    async def _pump(self) -> None:
        """Publish what may be; one task at a time, so that the order stays."""
        if self._is_pumping:
            return
        self._is_pumping = True
        try:
            while (batch := self._flight.take(time.monotonic(), _wire.AT_ONCE)) is not None:
                connection, wire = self._connection, self._wire
                assert wire is not None
                try:
                    await wire.send(batch)
                except (_nats.errors(), OSError) as error:
                    kind = "oversize" if isinstance(error, _nats.library().errors.MaxPayloadError) else "connection"
                    self._stop(kind, error, connection)
        finally:
            self._is_pumping = False

    # The connection

    async def _run(self) -> None:
        tries = 0
        while not self._is_closed:
            before = self._flight.acknowledged
            server = self.servers[tries % len(self.servers)]
            try:
                connection = await self._connect(server)
            except (_nats.errors(), OSError, asyncio.TimeoutError) as error:
                self._flight.failed(*self._reason(error, f"{server}: "), time.monotonic())
            else:
                try:
                    await self._serve(connection)
                finally:
                    self._connection = None
                    await _nats.close(connection)
            tries = 1 if self._flight.acknowledged > before else tries + 1
            await asyncio.sleep(_nats.delay(tries // len(self.servers)))

    async def _connect(self, server: str) -> Client:
        """A connection to one server, with the subscription for answers."""
        connection: Client | None = None
        self._denied = None

        def wrong(error: Exception) -> None:
            is_denied = _DENIED.search(str(error)) is not None
            if self._flight.is_open:
                self._stop("permission" if is_denied else "connection", error, connection)
            elif is_denied:  # of a question, which gets no answer then
                self._denied = _nats.said(error)

        def over() -> None:
            self._stop("connection", ConnectionError("the connection ended"), connection)

        connection = await _nats.connect(server, self._options, wrong, over)
        try:
            wire = _wire.wire(connection, self.stream, self._acknowledged, self._answered)
            await wire.subscribe()
        except BaseException:
            await _nats.close(connection)
            raise
        self._connects += 1
        self._connection, self._wire = connection, wire
        return connection

    def _stop(self, kind: str, error: Exception, connection: Client | None) -> None:
        if connection is not None and connection is self._connection:
            self._flight.stop(kind, _nats.said(error), time.monotonic())
            self._wake()

    def _reason(self, error: BaseException, where: str) -> tuple[str, str]:
        """The kind of trouble, and its text. What we may not ask is not answered: the server says so beside it."""
        denied, self._denied = self._denied, None
        text = denied or _nats.said(error)
        if _DENIED.search(text):
            return "permission", where + text
        if isinstance(error, _nats.library().errors.NoRespondersError):
            return "no_responders", f"{where}{text}: JetStream is off there, or has no leader"
        return "connection", where + text

    def _acknowledged(self, epoch: int, numbers: Sequence[int], sequences: Sequence[int]) -> None:
        self._flight.acknowledged_all(epoch, numbers, sequences, time.monotonic())
        self._wake()

    def _answered(self, epoch: int, number: int, data: bytes, status: str | None) -> None:
        self._flight.answered(epoch, number, data, status, time.monotonic())
        self._wake()

    async def _serve(self, connection: Client) -> None:
        """Publish over one connection, until another is needed."""
        tries = 0
        while connection.is_connected and not self._is_closed:
            before = self._flight.acknowledged
            if await self._open(connection):
                await self._pump()
                await self._watch(connection)
            trouble = self._flight.trouble
            if trouble is not None and trouble.needs_connection:
                return
            tries = 0 if self._flight.acknowledged > before else tries + 1
            await asyncio.sleep(_nats.delay(tries))

    def _may_move(self, freed: int) -> bool:
        return not self._flight.is_open or self._flight.freed != freed

    async def _watch(self, connection: Client) -> None:
        flight, freed = self._flight, 0
        while flight.is_open and not self._is_closed:  # before Python 3.12 `wait_for` loses some cancellations
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._until(partial(self._may_move, freed)), _LOOKS)
            freed = flight.freed
            flight.tick(time.monotonic())
            await self._pump()
            if not connection.is_connected:
                self._stop("connection", ConnectionError("the connection ended"), connection)

    async def _open(self, connection: Client) -> bool:
        """Whether the stream's end is known and publishing may begin."""
        flight = self._flight
        if not flight.chained and not flight.overlap:
            flight.open()
            return True
        try:
            last = await self._look_up(connection)
            count = flight.look_back(last) if last is not None else 0
            found = await self._last_messages(connection, last.sequence, count) if last is not None else []
        except (_nats.errors(), OSError, asyncio.TimeoutError, ValueError, KeyError, TypeError) as error:
            kind, text = self._reason(error, f"stream {self.stream}: ")
            kind = "no_responders" if kind == "connection" and connection.is_connected else kind
            flight.failed(kind, text, time.monotonic())
            return False
        if last is None:
            return False
        flight.open(last, (_nats.header(message, "Nats-Msg-Id") or "" for message in found))
        self._wake()
        return True

    async def _last_messages(self, connection: Client, last: int, count: int) -> list[Mapping[str, Any]]:
        """So many of the stream's last messages, the latest first in runs; those that are gone are left out."""
        found: list[Mapping[str, Any]] = []
        for end in range(last, last - count, -_AT_ONCE):
            numbers = range(max(end - _AT_ONCE, last - count) + 1, end + 1)
            asked = (_nats.ask(connection, f"STREAM.MSG.GET.{self.stream}", {"seq": number}) for number in numbers)
            some = [answer["message"] for answer in await asyncio.gather(*asked) if "message" in answer]
            found += some
            if not some:  # older ones are gone
                break
        return found

    async def _look_up(self, connection: Client) -> Last | None:
        """The stream's end; None if the server does not say, which is trouble then."""
        info = await _nats.ask(connection, f"STREAM.INFO.{self.stream}", {})
        if "error" in info:
            self._refused(info["error"])
            return None
        sequence = int(info["state"]["last_seq"])
        if not info["state"]["messages"]:
            return Last(sequence, None)
        found = await _nats.ask(connection, f"STREAM.MSG.GET.{self.stream}", {"seq": sequence})
        if "error" in found:
            if found["error"].get("err_code") == _NOT_FOUND:
                return Last(sequence, None)
            self._refused(found["error"])
            return None
        return Last(sequence, _nats.header(found["message"], "Nats-Msg-Id"))

    def _refused(self, error: Mapping[str, Any]) -> None:
        text = f"stream {self.stream}: {error.get('description')} ({error.get('err_code')})"
        kind = "no_responders" if error.get("code") in (404, 503) else "refused"
        self._flight.failed(kind, text, time.monotonic())
