"""Who stands at the door of a blocking server: calls come in while there is room, others are sent away."""

from __future__ import annotations

import logging
import math
import selectors
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from .. import limits
from .._door import Door, farewell
from ..connection import Connection
from ._link import is_early

_LOG: Final = logging.getLogger("eslcodec.server")
_PAUSE: Final = 0.5  # seconds after which a server that could not accept a call tries again


class Refusal:
    """A call that is sent away: it is sent `connect`, and what lets its channel go on in the dialplan."""

    __slots__ = ("_parted", "address", "connection", "deadline", "done", "sock")

    def __init__(self, sock: socket.socket, connection: Connection, address: tuple[str, int], deadline: float) -> None:
        self.sock = sock
        self.connection = connection
        self.address = address
        self.deadline = deadline
        self.done = False
        self._parted = False
        sock.setblocking(False)
        self._send()

    def receive(self) -> None:
        """Take in what came, and send what is due."""
        try:
            data = self.sock.recv(limits.RECEIVE_BYTES_MIN)
        except OSError as error:
            if is_early(error):
                return
            self.connection.lost(error)
        else:
            self.connection.receive(data) if data else self.connection.receive_eof()
        if self.connection.logged_in and self.connection.end is None and not self._parted:
            self._parted = True
            self.done = farewell(self.connection, "resume") is None
            self._send()
        self.done = self.done or self.connection.end is not None

    def _send(self) -> None:
        try:
            self.sock.send(self.connection.data_to_send())  # some fifty bytes in all: there is room for them
        except OSError as error:
            self.connection.lost(error)
            self.done = True

    def give_up(self, reason: str) -> None:
        """End it before everything was said."""
        self.connection.abort(reason)
        self.done = True


class Porter:
    """At the door of a server: takes calls in while there is room, sends others away, and shuts the door when nobody
    waits any more. Its thread waits for all of them at once.

    Args:
        door: the listening socket.
        make_connection: for a call that is sent away.
        take: has a call served.
        calls: how many run.
        max_calls: how many may.
        closing: set when the server is closed.

    Attributes:
        refused: calls that had connected while `max_calls` were running.
        refusals: those that are being sent away.
    """

    def __init__(
        self,
        door: Door,
        make_connection: Callable[[], Connection],
        take: Callable[[socket.socket, tuple[str, int]], None],
        calls: Callable[[], int],
        max_calls: int,
        closing: threading.Event,
    ) -> None:
        self.refused = 0
        self.refusals: set[Refusal] = set()
        self._door = door
        self._make_connection = make_connection
        self._take = take
        self._calls = calls
        self._max_calls = max_calls
        self._closing = closing
        self._selector = selectors.DefaultSelector()
        self._bell, self._rope = socket.socketpair()
        for end in (self._bell, self._rope):
            end.setblocking(False)
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._watched: socket.socket | None = None
        self._again = 0.0  # when to try again what did not succeed
        self._until = math.inf  # when sending away has to end

    @property
    def _full(self) -> bool:
        return self._calls() >= self._max_calls

    def ring(self) -> None:
        """Have it look: a call has ended, or the server is closed."""
        with suppress(OSError):  # it has been told often, or is gone
            self._rope.send(b"!")

    def stop(self, deadline: float) -> None:
        """Shut the door, and send away those who wait at it until then."""
        self._until = min(self._until, deadline)
        self.ring()

    def work(self) -> None:
        """Take in and send away, until the server is closed."""
        try:
            while self._turn():
                pass
        finally:
            self._close()

    def leave(self) -> None:
        """In a child process: the sockets are the parent's (see `_fork`)."""
        self._door.leave()
        for refusal in self.refusals:
            refusal.sock.close()
        self._close()

    def _close(self) -> None:
        with suppress(OSError):  # some systems close it in a child process
            self._selector.close()
        self._bell.close()
        self._rope.close()

    def _turn(self) -> bool:
        """Do what is due, wait for more; False if the server is closed and nobody is left."""
        if self._closing.is_set():
            self._lock_up()
            if not self.refusals:
                return False
        else:
            self._attend()
        for key, _ in self._selector.select(self._seconds()):
            if key.data is not None:
                self._continue(key.data)
            elif key.fileobj is self._bell:
                with suppress(OSError):
                    self._bell.recv(4096)
        self._give_up_late()
        return True

    def _give_up_late(self) -> None:
        now = time.monotonic()
        for refusal in list(self.refusals):
            if refusal.deadline <= now:
                refusal.give_up(f"sending it on took more than {limits.REFUSAL_SECONDS:g} s")
            elif self._until <= now:
                refusal.give_up("the server was closed")
            else:
                continue
            self._dismiss(refusal)

    def _attend(self) -> None:
        """Take in the calls that wait at the door, or send them away; open and shut it."""
        now = time.monotonic()
        if now < self._again:
            return
        if not self._door.listening and not self._full and not self._door.open():
            self._again = now + limits.LISTEN_AGAIN_SECONDS
        try:
            self._take_in()
        except (OSError, RuntimeError) as error:  # no descriptors or no threads left
            _LOG.error("cannot accept a call: %s", error)
            self._again = now + _PAUSE
            if self._full and self._door.own and not self.refusals:
                self._shut()  # better refused than left to wait
        waits = self._door.listening and now >= self._again and len(self.refusals) < limits.REFUSALS
        self._watch(self._door.sock if waits else None)

    def _take_in(self) -> None:
        while self._door.listening and not self._closing.is_set() and len(self.refusals) < limits.REFUSALS:
            found = self._door.accept()
            if found is None:
                if self._full and self._door.own:
                    self._shut()
                    _LOG.warning("%s calls run, which is all: others are refused until one ends", self._calls())
                return
            if not self._full:
                self._take(*found)
                continue
            self.refused += 1
            _LOG.warning("a call from %s:%s was refused: %s are running", *found[1], self._calls())
            self._send_away(*found)

    def _lock_up(self) -> None:
        """Shut the door for good. A call that waits at our own socket is sent away; at a socket that was given it is
        left for other servers."""
        if not self._door.listening:
            return
        with suppress(OSError):
            while self._door.own and len(self.refusals) < limits.REFUSALS and (found := self._door.accept()):
                self._send_away(*found)
        self._shut()

    def _shut(self) -> None:
        self._watch(None)
        self._door.shut()

    def _watch(self, sock: socket.socket | None) -> None:
        if self._watched is sock:
            return
        if self._watched is not None:
            self._selector.unregister(self._watched)
        if sock is not None:
            self._selector.register(sock, selectors.EVENT_READ)
        self._watched = sock

    def _seconds(self) -> float | None:
        """How long there is nothing to do."""
        times = [min(refusal.deadline, self._until) for refusal in self.refusals]
        if self._again > time.monotonic():
            times.append(self._again)
        return max(min(times) - time.monotonic(), 0) if times else None

    def _send_away(self, sock: socket.socket, address: tuple[str, int]) -> None:
        deadline = time.monotonic() + limits.REFUSAL_SECONDS
        refusal = Refusal(sock, self._make_connection(), address, deadline)
        try:
            self._selector.register(sock, selectors.EVENT_READ, refusal)
        except OSError:
            sock.close()
            raise
        self.refusals.add(refusal)
        if refusal.done:
            self._dismiss(refusal)

    def _continue(self, refusal: Refusal) -> None:
        refusal.receive()
        if refusal.done:
            self._dismiss(refusal)

    def _dismiss(self, refusal: Refusal) -> None:
        end = refusal.connection.end
        if end is not None and not end.clean:
            _LOG.warning("a call from %s:%s was refused without being sent on: %s", *refusal.address, end.reason)
        self.refusals.discard(refusal)
        self._selector.unregister(refusal.sock)
        refusal.sock.close()
