"""The blocking server: `serve` listens, and each call has a thread."""

from __future__ import annotations

import logging
import math
import socket
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Literal

from .. import _fork
from .._address import address
from .._door import Calls, Door, addresses, farewell
from .._options import ClientOptions, check_calls, check_serve, shows_options, split_options
from .._tap import CallTapping, Tap, check_chooser
from .._words import check_handler
from ..connection import Connection, Wait
from ..errors import ChannelEnded, ConnectionClosed, ESLError
from ._call import Call
from ._link import Link, seconds_left
from ._porter import Porter
from ._tapped import TappedLink

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self, Unpack

_LOG: Final = logging.getLogger("eslcodec.server")
_GRACE: Final = 1.0  # seconds for the handlers of calls that the server closed


class Server:
    """Listens for calls and runs a handler for each, in a thread of its own; `serve` makes it.

    A context manager: leaving it closes the server.

    When `max_calls` run it stops listening, so that the switch is refused and tries its next host, and listens again,
    at the same address, as soon as one has ended. A call that had connected by then is sent away: it goes on in the
    dialplan after `socket`.

    Attributes:
        host, port: where it listens.

    Example:
        >>> with serve(print, max_calls=10) as server:
        ...     server.host, server.port > 0, server.listening, server.calls
        ('127.0.0.1', True, True, 0)
    """

    def __init__(
        self,
        handler: Callable[[Call], object],
        door: Door,
        make_connection: Callable[[], Connection],
        make_call: Callable[[socket.socket, tuple[str, int]], Call],
        max_calls: int,
        first_frame_timeout: float,
    ) -> None:
        self.host, self.port = door.host, door.port
        self._handler = handler
        self._make_call = make_call
        self._first_frame_timeout = first_frame_timeout
        self._running: dict[threading.Thread, Call] = {}
        self._new_locks()
        self._door = door
        self._porter = Porter(door, make_connection, self._take, lambda: self.calls, max_calls, self._closing)
        self._porter_thread = threading.Thread(
            target=self._porter.work, name=f"eslcodec-serve-{self.port}", daemon=True
        )
        self._porter_thread.start()
        _fork.register(self)

    def _new_locks(self) -> None:
        self._lock = threading.Lock()  # guards `_running`
        self._close_lock = threading.RLock()  # a signal's handler may close it while its own thread does
        self._closing = threading.Event()

    def _leave(self) -> None:
        """In a child process: the calls, and whoever calls, are the parent's (see `_fork`)."""
        self._new_locks()
        self._closing.set()
        self._running = {}
        self._porter.leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        full = "" if self.listening else ", full"
        state = "closed" if self._closing.is_set() else f"{self.calls} calls{full}"
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
    def refused(self) -> int:
        """How many calls had connected while `max_calls` were running. Those that the kernel refused are not known."""
        return self._porter.refused

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the server is closed; False if it was not within `timeout` seconds."""
        return self._closing.wait(timeout)

    def serve_forever(self) -> None:
        """Wait until the server is closed, by another thread, or by a KeyboardInterrupt here."""
        try:
            self._closing.wait()
        finally:
            self.close()

    def close(self, timeout: float = 5, *, calls: Literal["leave", "hangup", "resume"] = "leave") -> None:
        """Take no more calls, wait for those that run, and close what is left of them then.

        Closing a call ends what its handler waits for, with ConnectionClosed. More than once does no harm: the
        second waits for the first. A handler may close the server: it is not waited for by itself.

        Args:
            timeout: seconds that running calls are given.
            calls: what becomes of those that still run then. "leave" only closes their connections: a static call
                goes on in the dialplan, and so does an async one that was answered; unanswered it stays parked until
                the caller gives up. "resume" has every call go on in the dialplan. "hangup" hangs them up; on a
                static socket not before the application that runs there has ended.

        Raises:
            ValueError: `calls` is something else.
        """
        check_calls(calls)
        if self._closing.is_set() and threading.current_thread() in self._running:
            return  # whoever closes it waits for this handler
        with self._close_lock:
            deadline = time.monotonic() + timeout
            self._closing.set()
            self._porter.stop(deadline)
            _join([self._porter_thread], math.inf)
            _join(self._others(), deadline)
            self._part(self._others(), calls)
            for call in self._others().values():
                call.close()
            _join(self._others(), time.monotonic() + _GRACE)

    def _others(self) -> dict[threading.Thread, Call]:
        """The calls that run, without the one whose handler calls this."""
        with self._lock:
            running = self._running.items()
            return {thread: call for thread, call in running if thread is not threading.current_thread()}

    def _part(self, running: dict[threading.Thread, Call], calls: Calls) -> None:
        """Tell the switch what becomes of these calls, and let their handlers see it."""
        if calls == "leave":
            return
        deadline = time.monotonic() + _GRACE
        said: list[tuple[Link, Wait[Any]]] = []
        for call in running.values():
            with suppress(ESLError):
                last = call._link.begin(farewell, calls)
                if last is not None:
                    said.append((call._link, last))
        for link, last in said:
            with suppress(ESLError):
                link.outcome(last, max(deadline - time.monotonic(), 0))
        if said:
            _join(running, deadline)

    def _take(self, sock: socket.socket, address: tuple[str, int]) -> None:
        call = self._make_call(sock, address)
        thread = threading.Thread(
            target=self._serve, args=(call,), name=f"eslcodec-call-{address[0]}:{address[1]}", daemon=True
        )
        with self._lock:
            self._running[thread] = call
        try:
            thread.start()
        except RuntimeError:
            self._forget(thread, call)
            raise

    def _serve(self, call: Call) -> None:
        try:
            call._begin(self._first_frame_timeout)
        except ESLError as error:
            _LOG.warning("a connection from %s:%s brought no call: %s", call.host, call.port, error)
        else:
            self._handle(call)
        finally:
            self._forget(threading.current_thread(), call)

    def _handle(self, call: Call) -> None:
        try:
            self._handler(call)
        except Exception as error:
            where = address(call.host, call.port)
            if isinstance(error, ConnectionClosed) and (call.closed or isinstance(error, ChannelEnded)):
                _LOG.info("the call from %s ended under its handler: %s", where, error)
            else:
                _LOG.exception("the handler of the call from %s failed", where)
            _LOG.debug("that was the call %s", call.uuid)

    def _forget(self, thread: threading.Thread, call: Call) -> None:
        call.close()
        with self._lock:
            self._running.pop(thread, None)
        self._porter.ring()


def _join(threads: Iterable[threading.Thread], deadline: float) -> None:
    for thread in threads:
        while thread is not threading.current_thread() and thread.is_alive() and time.monotonic() < deadline:
            thread.join(seconds_left(deadline))


@shows_options
def serve(
    handler: Callable[[Call], object],
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    sock: socket.socket | None = None,
    max_calls: int = 1000,
    first_frame_timeout: float = 10,
    command_timeout: float = 30,
    tap: Callable[[Call], Tap | None] | None = None,
    **options: Unpack[ClientOptions],
) -> Server:
    """Listen for calls that the dialplan's `socket` application sends, and run `handler` for each in a thread.

    It listens when this returns. When the handler returns, its call's connection is closed; an exception of it is
    logged (logger "eslcodec") and does the same.

    Args:
        handler: called with the `Call`, once the channel's data is there.
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
        TypeError, ValueError: an option is wrong.
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
    check_handler(handler)
    check_chooser(tap)

    def make_connection() -> Connection:
        return Connection.outbound(**of_connection)

    def make_call(sock: socket.socket, address: tuple[str, int]) -> Call:
        if tap is not None:
            link: Link = TappedLink(sock, make_connection(), address, CallTapping(tap), **of_link)
        else:
            link = Link(sock, make_connection(), **of_link)
        return Call(link, address, command_timeout)

    make_connection()  # wrong options are an error here, not with the first call
    door = Door.at(addresses(host, port)) if sock is None else Door.of(sock)
    return Server(handler, door, make_connection, make_call, max_calls, first_frame_timeout)
