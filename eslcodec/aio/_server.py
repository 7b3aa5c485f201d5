"""The server of asyncio: `serve` listens, and each call has a task."""

from __future__ import annotations

import asyncio
import logging
import math
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from .. import _fork, limits
from .._address import address
from .._door import Calls, Door, addresses, farewell, lookup_flags, of_socket
from .._options import ClientOptions, LinkOptions, check_calls, check_serve, shows_options, split_options
from .._tap import CallTapping, Tap, check_chooser
from ..connection import Connection
from ..errors import ChannelEnded, ConnectionClosed, ESLError
from ._call import Call
from ._link import Link
from ._loop import Bell, within
from ._opening import Opening
from ._tapped import TappedLink

if TYPE_CHECKING:
    from typing_extensions import Unpack

_LOG: Final = logging.getLogger("eslcodec.server")
_GRACE: Final = 1.0
"""Seconds for the last commands of a cancelled handler. As many again for telling the switch what becomes of its call,
and as many for the handler to end after that."""
_PAUSE: Final = 0.5
"""Seconds after which a server that could not accept a call tries again."""


CallHandler = Callable[[Call], Coroutine[Any, Any, object]]


@dataclass
class _Running:
    """A call, and what becomes of it when the server is closed before it ends."""

    link: Link
    calls: Calls = "leave"
    parted: bool = False


class Server:
    """Listens for calls and runs a handler for each, in a task of its own; `serve` makes it.

    When `max_calls` run it stops listening, so that the switch is refused and tries its next host, and listens again,
    at the same address, as soon as one has ended. A call that had connected by then is sent away: it goes on in the
    dialplan after `socket`.

    Attributes:
        host, port: where it listens.
        refused: calls that had connected while `max_calls` were running. Those that the kernel refused are not known.

    Example:
        >>> from eslcodec import aio
        >>> async def main():
        ...     async with aio.serve(asyncio.sleep, max_calls=10) as server:
        ...         return server.host, server.port > 0, server.listening, server.calls
        >>> asyncio.run(main())
        ('127.0.0.1', True, True, 0)
    """

    def __init__(
        self,
        handler: CallHandler,
        door: Door,
        make_connection: Callable[[], Connection],
        max_calls: int,
        first_frame_timeout: float,
        command_timeout: float,
        of_link: LinkOptions,
        tap: Callable[[Call], Tap | None] | None = None,
    ) -> None:
        self.host, self.port = door.host, door.port
        self.refused = 0
        self._handler = handler
        self._make_connection = make_connection
        self._max_calls = max_calls
        self._first_frame_timeout = first_frame_timeout
        self._command_timeout = command_timeout
        self._of_link = of_link
        self._tap = tap
        self._running: dict[asyncio.Task[None], _Running] = {}
        self._refusals: set[asyncio.Task[None]] = set()
        self._closing = self._left = False
        self._closed = asyncio.Event()
        self._close_lock = asyncio.Lock()
        self._door = door
        self._loop = asyncio.get_running_loop()
        self._ended = Bell(self._loop)  # a call has
        self._accepting = self._loop.create_task(self._accept())
        _fork.register(self)

    def _leave(self) -> None:
        """In a child process: the calls, and whoever calls, are the parent's (see `_fork`)."""
        self._closing = self._left = True
        self._running = {}
        self._refusals = set()
        self._door.leave()

    def __repr__(self) -> str:
        full = "" if self.listening else ", full"
        state = "closed" if self._closing else f"{self.calls} calls{full}"
        return f"<Server on {self.host}:{self.port}: {state}>"

    @property
    def calls(self) -> int:
        """How many calls run, those included whose first frame has not come."""
        return len(self._running)

    @property
    def listening(self) -> bool:
        """Whether it listens at the moment: not while `max_calls` run, unless the socket was given, nor when closed."""
        return self._door.listening

    @property
    def _full(self) -> bool:
        return self.calls >= self._max_calls

    async def serve_forever(self) -> None:
        """Wait until the server is closed, which cancelling this does too."""
        try:
            await self._closed.wait()
        finally:
            await self.close()

    async def close(self, timeout: float = 5, *, calls: Literal["leave", "hangup", "resume"] = "leave") -> None:
        """Take no more calls, wait for those that run, then cancel their handlers.

        A handler that is cancelled has a second for last words to the switch; then its call's connection is closed.
        More than once does no harm: the second waits for the first. A handler may close the server, and is not waited
        for by itself.

        Args:
            timeout: seconds that running calls are given.
            calls: what becomes of those that still run then, after the last words. "leave" only closes their
                connections: a static call goes on in the dialplan, and so does an async one that was answered;
                unanswered it stays parked until the caller gives up. "resume" has every call go on in the dialplan.
                "hangup" hangs them up; on a static socket not before the application that runs there has ended.

        Raises:
            ValueError: `calls` is something else.
            RuntimeError: this is not the event loop in which the server was made.
        """
        check_calls(calls)
        if self._left:
            return
        if asyncio.get_running_loop() is not self._loop:
            raise RuntimeError(
                f"{self!r} belongs to another event loop, expected close() there: "
                "asyncio.run_coroutine_threadsafe(server.close(), loop) does it"
            )
        if self._closing and asyncio.current_task() in self._running:
            return  # whoever closes it waits for this handler
        async with self._close_lock:
            self._closing = True
            await self._lock_up()
            await self._wait(timeout)
            self._cancel(calls)
            await self._wait(_GRACE)
            left = [self._running[task] for task in self._others()]
            await asyncio.gather(*map(self._part, left))
            for running in left:
                running.link.close()
            await self._wait(_GRACE)
            self._closed.set()

    def _others(self) -> set[asyncio.Task[None]]:
        """The calls that run, without the one whose handler calls this."""
        return {task for task in self._running if task is not asyncio.current_task()}

    async def _wait(self, seconds: float) -> None:
        waited = self._others() | self._refusals
        if waited:
            await asyncio.wait(waited, timeout=None if seconds == math.inf else seconds)

    def _cancel(self, calls: Calls) -> None:
        for task in self._others():
            self._running[task].calls = calls
            task.cancel()
        for task in self._refusals:
            task.cancel()

    # The door

    async def _accept(self) -> None:
        while True:
            try:
                await self._attend()
            except OSError as error:  # no descriptors left
                _LOG.error("cannot accept a call: %s", error)
                if self._full and self._door.own and not self._refusals:
                    self._door.shut()  # better refused than left to wait
                await asyncio.sleep(_PAUSE)

    async def _attend(self) -> None:
        """Let the next call in, or send it away; open and shut the door."""
        if not self._door.listening:
            if self._full:
                await self._ended.wait()
            elif not self._door.open():
                await asyncio.sleep(limits.LISTEN_AGAIN_SECONDS)
            return
        if len(self._refusals) >= limits.REFUSALS:
            await asyncio.wait(self._refusals, return_when=asyncio.FIRST_COMPLETED)
            return
        found = self._door.accept()
        if found is None and self._full and self._door.own:
            self._door.shut()
            _LOG.warning("%s calls run, which is all: others are refused until one ends", self.calls)
            return
        if found is None:
            sock, address = await self._loop.sock_accept(self._door.sock)
            found = sock, of_socket(address)
        self._take(*found)
        await asyncio.sleep(0)  # a burst of calls lets the others have their turn

    async def _lock_up(self) -> None:
        """Shut the door for good. A call that waits at our own socket is sent away; at a socket that was given it is
        left for other servers."""
        if self._door.listening:
            with suppress(OSError):
                while self._door.own and len(self._refusals) < limits.REFUSALS and (found := self._door.accept()):
                    self._send_away(*found)
            self._door.stop()
        self._accepting.cancel()
        await asyncio.wait({self._accepting})  # which may watch the socket until then
        self._door.shut()

    def _take(self, sock: socket.socket, address: tuple[str, int]) -> None:
        if self._full:
            self.refused += 1
            _LOG.warning("a call from %s:%s was refused: %s are running", *address, self.calls)
            self._send_away(sock, address)
            return
        running = _Running(self._make_link())
        task = self._loop.create_task(self._serve(running, sock, address))
        self._running[task] = running
        task.add_done_callback(self._forget)

    def _make_link(self) -> Link:
        if self._tap is not None:
            return TappedLink(self._loop, self._make_connection(), None, CallTapping(self._tap), **self._of_link)
        return Link(self._loop, self._make_connection(), **self._of_link)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        self._ended.ring()

    def _send_away(self, sock: socket.socket, address: tuple[str, int]) -> None:
        task = self._loop.create_task(self._refuse(sock, address))
        self._refusals.add(task)
        task.add_done_callback(self._refusals.discard)

    async def _refuse(self, sock: socket.socket, address: tuple[str, int]) -> None:
        """`connect`, and what lets the channel go on in the dialplan."""
        link = Link(self._loop, self._make_connection())

        async def send_on() -> None:
            await self._loop.connect_accepted_socket(lambda: link, sock)
            await link.outcome(link.connection.ready, math.inf)
            await _part(link, "resume")

        try:
            await within(limits.REFUSAL_SECONDS, "sending it on", send_on())
        except (ESLError, OSError) as error:
            _LOG.warning("a call from %s:%s was refused without being sent on: %s", *address, error)
        finally:
            link.close()
            await link.shut.wait()

    # Calls

    async def _serve(self, running: _Running, sock: socket.socket, address: tuple[str, int]) -> None:
        link = running.link
        try:
            await self._loop.connect_accepted_socket(lambda: link, sock)
            data = await link.outcome(link.connection.ready, self._first_frame_timeout)
        except (ESLError, OSError) as error:
            _LOG.warning("a connection from %s:%s brought no call: %s", *address, error)
        else:
            call = Call(link, data, self._command_timeout)
            if isinstance(link, TappedLink):
                link.choose_tap(call)
            await self._handle(call)
        finally:
            await self._part(running)
            link.close()
            await link.shut.wait()

    async def _part(self, running: _Running) -> None:
        """Tell the switch what becomes of a call, once."""
        if running.parted:
            return
        running.parted = True
        with suppress(ESLError, TimeoutError):
            await within(_GRACE, "the end of the connection", _part(running.link, running.calls))

    async def _handle(self, call: Call) -> None:
        try:
            await self._handler(call)
        except Exception as error:
            where = address(call.host, call.port)
            if isinstance(error, ConnectionClosed) and (call.closed or isinstance(error, ChannelEnded)):
                _LOG.info("the call from %s ended under its handler: %s", where, error)
            else:
                _LOG.exception("the handler of the call from %s failed", where)
            _LOG.debug("that was the call %s", call.uuid)


async def _part(link: Link, calls: Calls) -> None:
    """Tell the switch what becomes of a call, and wait until it has answered and closed the connection.

    Raises:
        ESLError: nothing can be said, or it is refused.
    """
    last = farewell(link.connection, calls)
    link.act()
    if last is not None:
        await link.outcome(last, math.inf)
        await link.shut.wait()


@shows_options
def serve(
    handler: CallHandler,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    sock: socket.socket | None = None,
    max_calls: int = 1000,
    first_frame_timeout: float = 10,
    command_timeout: float = 30,
    tap: Callable[[Call], Tap | None] | None = None,
    **options: Unpack[ClientOptions],
) -> Opening[Server]:
    """Listen for calls that the dialplan's `socket` application sends, and run `handler` for each in a task.

    `async with serve(handler) as server`, or `server = await serve(handler)` and `server.close()`. When the handler
    returns, its call's connection is closed; an exception of it is logged (logger "eslcodec") and does the same.

    Args:
        handler: a coroutine function, called with the `Call` once the channel's data is there.
        host: address to listen on; loopback unless told otherwise. "" is every address of IPv4, "::" of IPv6.
        port: 0 takes a free one, which `Server.port` tells.
        sock: a bound socket to listen on instead, from systemd or shared with other processes, say. It becomes
            non-blocking, and stays yours: it is never closed.
        max_calls: calls at once. When they run, the server does not listen until one has ended (`Server.listening`):
            the switch is refused and tries its next host, which it does in no other case. Calls that had connected by
            then go on in the dialplan after `socket`, and so does each one beyond `max_calls` at a given `sock`. One
            that the kernel takes in just before the server stops listening is lost: its connection breaks, and if it is
            async and unanswered it stays parked.
        first_frame_timeout: seconds within which the channel's data must come.
        command_timeout: seconds within which a reply must come.
        tap: a function of the call that gives its tap, or None: who is told exactly the bytes that are read, before
            they are parsed, and the commands that are sent (`eslcodec.Tap`). It is asked before the handler, once
            the channel's data is there; what was read and sent until then is told to the tap as well. A call that
            brings no such data has no tap. What the function or the tap raises is logged, and costs the call its tap
            only.
        keepalive, queue_limit, queue_hard_limit, when_full: as `connect` has them.
        switch_queue_limit, pause_limit, caretaker, max_header_bytes, max_body_bytes: likewise.

    Raises:
        OSError: the address cannot be listened on.
        TypeError, ValueError: an option is wrong; this is raised at once, not when it is awaited.
    """
    of_link, of_connection = split_options("serve", options)
    check_serve(
        host,
        port,
        sock=sock,
        max_calls=max_calls,
        first_frame_timeout=first_frame_timeout,
        command_timeout=command_timeout,
        keepalive=of_link["keepalive"],
    )

    check_chooser(tap)

    def make_connection() -> Connection:
        return Connection.outbound(**of_connection)

    make_connection()  # wrong options are an error here, not with the first call

    async def open() -> Server:
        door = await _door_at(host, port) if sock is None else Door.of(sock)
        return Server(handler, door, make_connection, max_calls, first_frame_timeout, command_timeout, of_link, tap)

    return Opening(open)


async def _door_at(host: str, port: int) -> Door:
    with suppress(socket.gaierror):
        return Door.at(addresses(host, port, numeric=True))
    loop = asyncio.get_running_loop()
    return Door.at(await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=lookup_flags()))
