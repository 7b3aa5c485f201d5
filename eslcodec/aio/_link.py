"""A connection and its transport: what is received and sent, and who waits for it."""

from __future__ import annotations

import asyncio
import logging
import select
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

from .. import _fork, limits
from .._door import of_socket
from ..connection import Connection, Wait
from ._loop import Bell

T = TypeVar("T")

_LOG: Final = logging.getLogger("eslcodec.client")


class Link(asyncio.BufferedProtocol):
    """A connection and its socket: what is received and sent, and who waits for it.

    Attributes:
        connection: the state of the protocol, which decides everything.
        shut: set while there is no open socket.
        began: when the connection was made, by the loop's clock.
        heard: with `keepalive`, when something was received last.
        ended_at: when the connection had ended.
        gone: since when something may have been missed: when the socket was last read empty.
        peer: host and port of the other side.
        paused: whether the socket is not read, because the queue is full, or it is held.
        held: whether its owner wants the socket to be left alone for a moment; `throttle` heeds it.
        came: called when there are messages in the queue.
        ended: called when the connection has ended.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        connection: Connection,
        *,
        keepalive: float | None = None,
        caretaker: bool = True,
    ) -> None:
        self.connection = connection
        self.get_buffer = connection._decoder.get_buffer  # type: ignore[method-assign]  # saves a step a read
        self.shut = asyncio.Event()
        self.shut.set()
        self.began = self.heard = self.gone = self.ended_at = loop.time()
        self.paused = self.held = False
        self.came: Callable[[], None] = lambda: None
        self.ended: Callable[[], None] = lambda: None
        self.peer = ("", 0)
        self._keepalive = keepalive
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self.caretaker = caretaker
        self._tending: asyncio.TimerHandle | None = None  # for how far the reader is behind
        self._paused_at = 0.0
        self._empty: float | None = None  # when the socket was last read empty; None while it is
        self._probe: object = None  # of the last read, while `_empty` is set
        self._blocked = False
        self._unblocked = Bell(loop)
        self._timer: asyncio.TimerHandle | None = None
        _fork.register(self)

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.shut.clear()
        self.peer = of_socket(transport.get_extra_info("peername"))
        self.began = self.heard = self._loop.time()
        if self._keepalive is not None:
            self._timer = self._loop.call_later(self._keepalive, self._listened, self._keepalive)
        self.act()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.connection.get_buffer(sizehint)

    def buffer_updated(self, nbytes: int) -> None:
        if self._keepalive is not None:
            self.heard = self._loop.time()
        if self._empty is not None:
            self._check_backlog()
        connection = self.connection
        connection.buffer_updated(nbytes)
        queue = connection.queue
        if (
            connection._out
            or connection.end is not None
            or self.paused
            or (self._tending is None and connection.listens)
            or len(queue) >= connection.queue_limit
            or queue.size_at_most >= limits.EVENT_QUEUE_BYTES
        ):
            self.act()
        elif queue:
            self.came()

    def eof_received(self) -> None:
        self._note_unsent()
        self.connection.receive_eof()
        self.act()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is None:
            self.connection.receive_eof()
        else:
            self.connection.lost(exc)
        self.act()
        self.shut.set()

    def pause_writing(self) -> None:
        self._blocked = True

    def resume_writing(self) -> None:
        self._blocked = False
        self._unblocked.ring()

    # What its owner calls

    def act(self) -> None:
        """Do what the connection wants by now: send, read or pause, end; tell those concerned."""
        connection = self.connection
        transport = self._transport
        if transport is None:
            return
        data = self._take_out()
        if data:
            transport.write(data)
        if connection.queue:
            self.came()
        if connection.listens and self.caretaker and self._tending is None:
            self._tending = self._loop.call_later(connection.flow.look_again, self._tend)
        if connection.end is None:
            self.throttle()
        else:
            self._shut(transport)

    def throttle(self) -> None:
        """Read, or pause reading, as the connection says now."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if (self.connection.wants_data and not self.held) != self.paused:
            return
        if self.paused:
            self.paused = False
            self.heard = self._loop.time()  # nobody read: the silence until now means nothing
            transport.resume_reading()
            self._check_backlog()
        else:
            self.paused = True
            self._paused_at = self._loop.time()
            self._empty = self._loop.time() if self._empty is None else self._empty
            transport.pause_reading()

    def close(self) -> None:
        """End the connection because we want to."""
        self._note_unsent()
        self.connection.close()
        self.act()

    def abort(self, reason: str) -> None:
        """End the connection because something is wrong."""
        self._note_unsent()
        self.connection.abort(reason)
        self.act()

    def _leave(self) -> None:
        """In a child process: the connection is the parent's (see `_fork`)."""
        transport, self._transport = self._transport, None
        self.connection.leave(_fork.FORKED)
        self.ended_at = self.gone = self._loop.time()
        self.shut.set()
        if transport is not None:
            _fork.close_here(transport.get_extra_info("socket").fileno())
        self.ended()

    async def outcome(self, wait: Wait[T], seconds: float, since: float | None = None) -> T:
        """What a wait comes to.

        Args:
            wait: of this connection.
            seconds: how long at most; `math.inf` is no limit.
            since: from when on they count; now if it is None.

        Raises:
            CommandTimeout: it took longer.
            EventQueueFull: more events came before it than may wait.
            ESLError: what the wait failed with.
        """
        if not wait.done:
            await self._until(wait, seconds, self._loop.time() if since is None else since)
        return wait.result()

    async def _until(self, wait: Wait[Any], seconds: float, since: float) -> None:
        bell = Bell(self._loop)
        wait.watch(bell.ring)
        self.throttle()  # since somebody waits, more may be read
        try:
            while not wait.done:
                if self.connection.queue_is_full:
                    raise self.connection.queue_full_error(wait.what)
                if not await bell.wait(since + seconds) and not wait.done:
                    raise self.connection.timeout_error(wait.what, seconds)
        finally:
            wait.unwatch(bell.ring)
            self.throttle()

    async def writable(self, seconds: float, since: float) -> None:
        """Wait until the socket takes more, or the connection has ended.

        Args:
            seconds: how long at most.
            since: from when on they count.

        Raises:
            CommandTimeout: it takes nothing for so long.
        """
        deadline = since + seconds
        while self._blocked and self.connection.end is None:
            if not await self._unblocked.wait(deadline) and self._blocked:
                raise self.connection.timeout_error("the switch to read what was sent before", seconds)

    def tap_stats(self) -> dict[str, Any] | None:
        """What is said of its tap: it has none."""
        return None

    # Inside

    def _take_out(self) -> bytes:
        """What the connection wants to be sent."""
        return self.connection.data_to_send()

    def _note_unsent(self) -> None:
        if self._transport is not None:
            self.connection.unsent = self._transport.get_write_buffer_size()

    def measure(self) -> None:
        """See how far behind the reader is by now (`Connection.flow`)."""
        self.connection.flow.note(self._loop.time(), self.connection.received_events, self._unread_since())

    def _unread_since(self) -> float | None:
        transport = self._transport
        if not self.paused or transport is None or not _has_more(transport.get_extra_info("socket")):
            return None
        return self._paused_at

    def _tend(self) -> None:
        """See how far the reader is behind the switch; again in a while."""
        connection = self.connection
        warning = connection.heed(self._loop.time(), self._unread_since())
        if warning:
            _LOG.warning("%s", warning)
        if connection.end is None:
            self._tending = self._loop.call_later(connection.flow.look_again, self._tend)
        else:
            self.act()

    def _check_backlog(self) -> None:
        """After a pause: if the loop looks at the socket once more and finds neither bytes nor the end, it is empty."""
        self._probe = object()
        self._loop.call_soon(self._loop.call_soon, self._caught_up, self._probe)

    def _caught_up(self, read: object) -> None:
        if self._probe is read and not self.paused and self.connection.end is None:
            self._empty = None

    def _listened(self, seconds: float) -> None:
        left = seconds if self.paused else self.heard + seconds - self._loop.time()
        if left <= 0:
            left = seconds
            self.connection.probe(seconds)
            self.act()
            self.ended_at = self.gone = self.heard
        if self.connection.end is None:
            self._timer = self._loop.call_later(left, self._listened, seconds)

    def _shut(self, transport: asyncio.Transport) -> None:
        """The connection has ended: close the socket, and discard what the peer has not taken."""
        self._transport = None
        self.ended_at = self._loop.time()
        self.gone = self.ended_at if self._empty is None else self._empty
        for timer in (self._timer, self._tending):
            if timer is not None:
                timer.cancel()
        self._unblocked.ring()
        if transport.is_closing():
            self.shut.set()  # uvloop closes what a cancelled connect had reached, and never calls connection_lost
        elif transport.get_write_buffer_size() or transport.get_extra_info("sslcontext") is not None:
            transport.abort()  # of TLS: it would wait for the peer's good-bye
        else:
            transport.close()
        self.ended()


def _has_more(sock: Any) -> bool:
    """Whether a read would find something, the end included."""
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([sock], [], [], 0)[0])
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))
