"""Publishing to a stream of NATS JetStream, in order, with the extra `nats` (experimental: see STABILITY.md).

What is in flight, and what an answer means, is decided in `_flight.py`, without I/O. This is the connection around it:
each message is published with a reply subject of its own, one subscription takes all answers, and whenever something is
not as it should be, the stream's end is looked up and publishing goes on behind it. Reconnecting is ours, not the NATS
client's: what a lost connection had taken is never sent behind our back.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from . import _flight
from ._flight import Flight, Last, Trouble
from .contract import Item, Place

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from typing_extensions import Self

__all__ = ["Publisher", "PublisherStats", "StreamEnd", "Trouble"]

CONNECT_TIMEOUT: Final = 2.0
"""Seconds for a connection, and for an answer of the API: the next server of the cluster is tried then."""

_AT_ONCE: Final = 64  # questions
_DELAY: Final = 0.05  # seconds, before the second try
_DELAY_MOST: Final = 2.0
_LOOKS: Final = 0.25  # seconds between looks at the time
_API: Final = "$JS.API"
_NO_STREAM: Final = 404
_NOT_FOUND: Final = 10037  # no message found
_PENDING_MSGS: Final = 1 << 20  # answers, each to a message in flight


class StreamEnd(NamedTuple):
    """A stream, and where it ends.

    Attributes:
        config: as the server says it.
        max_payload: of a message, by the server.
        sequence: that was given last.
        id: of the last message; None if there is none, or it has none.
        place: in the recording of whoever sent that message.

    Example:
        >>> StreamEnd({"name": "FS1"}, 1 << 20, 0, None, None).id is None
        True
    """

    config: dict[str, Any]
    max_payload: int
    sequence: int
    id: str | None
    place: Place | None


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
        stops: how often publishing stopped, and why (see `Trouble.kind`).
        trouble: why nothing is published; None if it is.

    Example:
        >>> stats = Publisher("nats://127.0.0.1:4222", "FS1").stats()
        >>> stats.acknowledged, stats.trouble
        (0, None)
    """

    acknowledged: int
    duplicates: int
    found: int
    out_of_order: int
    disagreements: int
    stale: int
    waiting: int
    connects: int
    stops: Mapping[str, int]
    trouble: Trouble | None


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
        window: int = _flight.WINDOW,
        window_bytes: int = _flight.WINDOW_BYTES,
        timeout: float = _flight.ACK_TIMEOUT,
        last: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.servers = [servers] if isinstance(servers, str) else list(servers)
        if not self.servers:
            raise ValueError("there are no servers")
        if not re.fullmatch(r"[^\s.*>/\\]+", stream):
            raise ValueError(f"{stream!r:.200} is no name of a stream")
        self.stream = stream
        self._options = dict(options or {})
        self._flight = Flight(
            stream, chained=chained, window=window, window_bytes=window_bytes, timeout=timeout, last=last
        )
        self._low = max(window * 3 // 4, 1) - 1
        self._connects = 0
        self._connection: Client | None = None
        self._inbox = ""
        self._is_pumping = False
        self._is_closed = False
        self._waiters: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Publisher {self.stream!r}, {self._flight.waiting} waiting>"

    async def __aenter__(self) -> Self:
        _nats()
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

    async def stream_end(self, create: Mapping[str, Any] | None = None) -> StreamEnd:
        """Look at the stream, before anything is published; wait until a server says something of it.

        Args:
            create: a configuration with which it is made if it is not there.
        """
        tries = 0
        while True:
            server = self.servers[tries % len(self.servers)]
            try:
                connection = await self._connect(server)
                try:
                    end = await self._stream_end(connection, create)
                finally:
                    self._connection = None
                    await _close(connection)
            except (_errors(), OSError, asyncio.TimeoutError, ValueError, KeyError, TypeError) as error:
                self._flight.stop("connection", f"{server}: {_said(error)}", time.monotonic())
                end = None
            if end is not None:
                return end
            tries += 1
            await asyncio.sleep(_delay(tries // len(self.servers)))

    async def _stream_end(self, connection: Client, create: Mapping[str, Any] | None) -> StreamEnd | None:
        info = await self._ask(connection, f"STREAM.INFO.{self.stream}", {})
        if create is not None and info.get("error", {}).get("code") == _NO_STREAM:
            info = await self._ask(connection, f"STREAM.CREATE.{self.stream}", create)
        if "error" in info:
            self._refused(info["error"])
            return None
        sequence = int(info["state"]["last_seq"])
        found = await self._ask(connection, f"STREAM.MSG.GET.{self.stream}", {"seq": sequence}) if sequence else {}
        message = found.get("message", {})
        place = _header(message, "Esl-Place")
        parsed = None
        with suppress(ValueError):
            parsed = Place.parse(place) if place is not None else None
        return StreamEnd(info["config"], connection.max_payload, sequence, _header(message, "Nats-Msg-Id"), parsed)

    # What is published

    @property
    def place(self) -> Place | None:
        """Behind the last message that the stream has of all that came before it."""
        return self._flight.place

    @property
    def last_id(self) -> str | None:
        """What that message is known by."""
        return self._flight.last_id

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
        )

    async def publish(self, item: Item) -> None:
        """Have a message published, behind all others; wait while there is no room for it in the window.

        Raises:
            RuntimeError: it was closed, or not entered.
        """
        self._check()
        if not self._flight.room:
            await self._until(lambda: self._flight.room and self._flight.waiting <= self._low)
        self._flight.add(item)
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
            while (ticket := self._flight.take(time.monotonic())) is not None:
                connection, item = self._connection, ticket.item
                assert connection is not None
                reply = f"{self._inbox}.{ticket.epoch}.{ticket.number}"
                try:
                    await connection.publish(item.subject, item.body, reply, ticket.headers)
                except (_errors(), OSError) as error:
                    kind = "oversize" if isinstance(error, _nats().errors.MaxPayloadError) else "connection"
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
            except (_errors(), OSError, asyncio.TimeoutError) as error:
                self._flight.stop("connection", f"{server}: {_said(error)}", time.monotonic())
            else:
                try:
                    await self._serve(connection)
                finally:
                    self._connection = None
                    await _close(connection)
            tries = 1 if self._flight.acknowledged > before else tries + 1
            await asyncio.sleep(_delay(tries // len(self.servers)))

    async def _connect(self, server: str) -> Client:
        """A connection to one server: which is tried next, and when, is decided by us."""
        connection: Client = _nats().NATS()

        async def wrong(error: Exception) -> None:
            if not connection.is_connected and connection is not self._connection:
                raise error  # else the library would try again and again
            kind = "permission" if "permissions violation" in str(error).lower() else "connection"
            if self._flight.is_open:
                self._stop(kind, error, connection)

        async def over() -> None:
            self._stop("connection", ConnectionError("the connection ended"), connection)

        try:
            await connection.connect(
                servers=[server],
                allow_reconnect=False,
                error_cb=wrong,
                closed_cb=over,
                skip_subject_validation=True,  # made of tokens, and of names that were checked
                **{"connect_timeout": CONNECT_TIMEOUT, **self._options},
            )
            inbox = connection.new_inbox()
            await connection.subscribe(f"{inbox}.*.*", cb=self._answered, pending_msgs_limit=_PENDING_MSGS)
        except BaseException:
            await _close(connection)
            raise
        self._connects += 1
        self._connection, self._inbox = connection, inbox
        return connection

    def _stop(self, kind: str, error: Exception, connection: Client | None) -> None:
        if connection is self._connection:
            self._flight.stop(kind, _said(error), time.monotonic())
            self._wake()

    async def _answered(self, message: Msg) -> None:
        epoch, _, number = message.subject[len(self._inbox) + 1 :].partition(".")
        if not (epoch.isdigit() and number.isdigit()):
            return
        status = message.headers.get("Status") if message.headers else None
        self._flight.answered(int(epoch), int(number), message.data, status, time.monotonic())
        if self._waiters:
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
            await asyncio.sleep(_delay(tries))

    async def _watch(self, connection: Client) -> None:
        while self._flight.is_open:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._until(lambda: not self._flight.is_open), _LOOKS)
            self._flight.tick(time.monotonic())
            if not connection.is_connected:
                self._stop("connection", ConnectionError("the connection ended"), connection)

    async def _open(self, connection: Client) -> bool:
        """Whether the stream's end is known and publishing may begin."""
        if not self._flight.chained:
            self._flight.open()
            return True
        try:
            last = await self._look_up(connection)
            ids = await self._ids(connection, last) if last is not None else []
        except (_errors(), OSError, asyncio.TimeoutError, ValueError, KeyError, TypeError) as error:
            kind = "no_responders" if connection.is_connected else "connection"
            self._flight.stop(kind, f"stream {self.stream}: {_said(error)}", time.monotonic())
            return False
        if last is None:
            return False
        self._flight.open(last, ids)
        self._wake()
        return True

    async def _ids(self, connection: Client, last: Last) -> list[str]:
        """What the stream's last messages are known by, as many as the flight must know."""
        found: list[str] = []
        least = last.sequence - self._flight.look_back(last)
        for end in range(last.sequence, least, -_AT_ONCE):
            numbers = range(max(end - _AT_ONCE, least) + 1, end + 1)
            some = await asyncio.gather(*(self._id(connection, number) for number in numbers))
            found += [id for id in some if id is not None]
            if not any(some):  # older ones are gone
                break
        return found

    async def _id(self, connection: Client, sequence: int) -> str | None:
        found = await self._ask(connection, f"STREAM.MSG.GET.{self.stream}", {"seq": sequence})
        return _header(found["message"], "Nats-Msg-Id") if "message" in found else None

    async def _look_up(self, connection: Client) -> Last | None:
        """The stream's end; None if the server does not say, which is trouble then."""
        info = await self._ask(connection, f"STREAM.INFO.{self.stream}", {})
        if "error" in info:
            self._refused(info["error"])
            return None
        sequence = int(info["state"]["last_seq"])
        if not info["state"]["messages"]:
            return Last(sequence, None)
        found = await self._ask(connection, f"STREAM.MSG.GET.{self.stream}", {"seq": sequence})
        if "error" in found:
            if found["error"].get("err_code") == _NOT_FOUND:
                return Last(sequence, None)
            self._refused(found["error"])
            return None
        return Last(sequence, _header(found["message"], "Nats-Msg-Id"))

    def _refused(self, error: Mapping[str, Any]) -> None:
        text = f"stream {self.stream}: {error.get('description')} ({error.get('err_code')})"
        kind = "no_responders" if error.get("code") in (404, 503) else "refused"
        self._flight.stop(kind, text, time.monotonic())

    async def _ask(self, connection: Client, subject: str, request: Mapping[str, Any]) -> dict[str, Any]:
        data = json.dumps(request).encode() if request else b""
        answer = await connection.request(f"{_API}.{subject}", data, timeout=CONNECT_TIMEOUT)
        read: dict[str, Any] = json.loads(answer.data)
        return read


async def _close(connection: Client) -> None:
    """End it, and go on after a while even if it does not end: the library swallows some cancellations."""
    closing = asyncio.ensure_future(connection.close())
    closing.add_done_callback(lambda task: task.cancelled() or task.exception())
    await asyncio.wait({closing}, timeout=CONNECT_TIMEOUT)
    closing.cancel()


def _header(message: Mapping[str, Any], name: str) -> str | None:
    head = base64.b64decode(message.get("hdrs") or "").decode("utf-8", "replace")
    match = re.search(rf"\r\n{name}: *([^\r\n]+)", head, re.IGNORECASE)
    return match[1] if match else None


def _delay(tries: int) -> float:
    return 0.0 if tries < 1 else min(_DELAY * 2.0 ** min(tries - 1, 16), _DELAY_MOST)


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _nats() -> Any:
    """The library, loaded when it is needed.

    Raises:
        ImportError: it is not installed.
    """
    try:
        import nats
        import nats.errors
    except ImportError as error:
        raise ImportError("publishing to NATS needs nats-py: pip install 'eslcodec[nats]'") from error
    return nats


def _errors() -> Any:
    return _nats().errors.Error
