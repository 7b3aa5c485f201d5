"""A connection and its blocking socket: who reads it, who waits, what is still to be sent."""

from __future__ import annotations

import logging
import math
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeVar

from .. import _fork, limits
from .._caretaker import CARETAKER
from .._shut import reset_at_close, shut_down
from ..connection import Connection, Wait
from ..events import CommandReply
from ..reconnect import End
from ._gate import Gate, forget

if TYPE_CHECKING:
    from ._tls import TlsSocket

P = ParamSpec("P")
T = TypeVar("T")

LONGEST: Final = 60.0
"""Seconds of one turn of waiting. There must be a limit: a socket without a timeout would be in another mode."""
RETRY: Final = 0.01
"""Seconds until the switch is offered again what it did not take."""
_LOG: Final = logging.getLogger("eslcodec.client")
_LOOK_AGAIN: Final = 1.0  # seconds after which a thread that waits to be woken looks for itself
_LOOKS: Final = 16  # reads after which `has_ended` stops looking for the end
_STILL: Final = 0.1  # seconds without a read after which the switch may have got ahead of us


class Gone(Exception):
    """A command was not made, because the connection has ended."""


class Link:
    """One connection and its socket: which thread reads it, which ones wait, what is still to be sent. Owns both.

    One lock guards everything; it is free while a thread waits for the kernel. Each thread that waits has a gate, so
    that only those concerned are woken. Gates are opened when the lock is free again, since opening one may let others
    run under gevent. Reading and sending have a socket object each, of the same connection: reading waits, sending
    never does.

    An exception from outside (Ctrl-C, a signal's handler, `gevent.Timeout`) interrupts one of two things. A wait: then
    nobody else notices. Or a step that must be whole (making and sending a command, sending, receiving and sorting what
    came): then the connection ends, and says so. A thread that waits while another reads looks again after a moment,
    so a call that was interrupted before it opened a gate costs that moment.
    """

    def __init__(
        self,
        sock: socket.socket | TlsSocket,
        connection: Connection,
        keepalive: float | None = None,
        caretaker: bool = False,
    ) -> None:
        self.connection = connection
        self._get_buffer = connection._decoder.get_buffer
        self.caretaker = caretaker
        self._tended = False
        self.began = time.monotonic()
        self.ended_at = math.inf  # when it had ended
        self.gone = math.inf  # since when something may have been missed: when the socket was last read empty
        self._new_lock()
        self._reading = False
        self._heard = self._looked = self.began  # received; read
        self._empty = self.began  # while there is a backlog: when the socket was last read empty
        self._read_by_hand = self._tended_at = self.began  # read by somebody who waits; looked at by the caretaker
        self._backlog = False  # whether more waits than was read, since nobody read for a while
        self._silent = 0.0  # seconds of reading since then
        self._keepalive = keepalive
        self._unsent = bytearray()
        self._undeliverable = 0  # bytes that can never be sent
        with suppress(OSError):  # a matter of speed, and not every kind of socket has it
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._is_tls = not isinstance(sock, socket.socket)
        self._in: Any = sock
        try:
            self._out: Any = sock.dup()
        except OSError:
            sock.close()
            raise
        self._out.setblocking(False)
        self._timeout = LONGEST  # of `_in`
        self._in.settimeout(LONGEST)
        _fork.register(self)

    def _new_lock(self) -> None:
        self._lock = threading.RLock()  # a signal's handler may close what its own thread is at work on
        self._woken: deque[Gate] = deque()  # to be opened once the lock is free
        self._readers: list[Gate] = []  # of those who wait for messages
        self._followers: list[Gate] = []  # of those who wait while another reads

    def log_in(self, timeout: float) -> CommandReply:
        """Wait for the login, whatever it consists of; if it does not succeed, everything is closed."""
        try:
            return self.outcome(self.begin(lambda connection: connection.ready), timeout)
        except BaseException:
            with self._lock:
                self.connection.abort("the login did not succeed")
                self._tear_down()
            raise

    def begin(self, command: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Have the connection make a command, and send it."""
        try:
            with self._lock:
                before = self.connection.asked
                try:
                    begun = command(self.connection, *args, **kwargs)
                    self._flush()
                except BaseException:
                    if self.connection.asked != before:
                        self._give_up("while a command was sent")
                    raise
        finally:
            self._open_gates()
        return begun

    def outcome(self, wait: Wait[T], timeout: float, since: float | None = None) -> T:
        """What a wait comes to.

        Args:
            wait: one of this connection's.
            timeout: seconds; `math.inf` is no limit.
            since: what they are counted from (`time.monotonic`), by default now.

        Raises:
            CommandTimeout: nothing in time.
            EventQueueFull: more events came before it than may wait.
            ESLError: what the wait failed with.
        """
        deadline = (time.monotonic() if since is None else since) + timeout
        mine = Gate(self._woken)
        try:
            with self._lock:
                wait.watch(mine.call)
                try:
                    self._see_to(wait, mine, deadline, timeout)
                finally:
                    try:
                        wait.unwatch(mine.call)
                    finally:
                        self._pass_on()
        finally:
            self._open_gates()
        if self.connection.listens and self.caretaker and not self._tended:
            self._tended = True
            CARETAKER.take_on(self)
        return wait.result()

    def _see_to(self, wait: Wait[T], mine: Gate, deadline: float, timeout: float) -> None:
        while not wait.done:
            left = deadline - time.monotonic()
            if self.connection.queue_is_full:
                raise self.connection.queue_full_error(wait.what)
            if self.connection.end is not None:  # it ended while the command was made, by a signal's handler
                raise self.connection.end.error()
            if left <= 0:
                raise self.connection.timeout_error(wait.what, timeout)
            self._turn(mine, left)

    def writable(self, deadline: float) -> None:
        """Wait until the peer has taken most of what was sent before, or the connection has ended.

        Raises:
            CommandTimeout: it does not until then.
            EventQueueFull: the switch waits until its events are read, and the queue is full.
        """
        if len(self._unsent) <= limits.UNSENT_BYTES:
            return
        began, what = time.monotonic(), "the switch to read what was sent before"
        mine = Gate(self._woken)
        try:
            with self._lock:
                try:
                    while len(self._unsent) > limits.UNSENT_BYTES and self.connection.end is None:
                        if self.connection.queue_is_full:
                            raise self.connection.queue_full_error(what)
                        left = deadline - time.monotonic()
                        if left <= 0:
                            raise self.connection.timeout_error(what, max(deadline - began, 0))
                        self._turn(mine, left)
                finally:
                    self._pass_on()
        finally:
            self._open_gates()

    def more(self, deadline: float) -> bool:
        """Wait until a message is in the queue, which another thread may take first; False at the deadline, or if none
        will come on this connection."""
        connection = self.connection
        queue = connection.queue
        looked, came = False, True
        try:
            with self._lock:
                try:
                    if not (queue or self._reading or self._unsent or connection.end):  # the usual case: one reader
                        left = LONGEST if deadline == math.inf else deadline - time.monotonic()
                        self._receive(left if left > 0 else 0)
                        looked = True
                    if not queue:
                        came = self._wait_for_more(deadline, looked)
                finally:
                    if self._followers:
                        self._pass_on()
        finally:
            if self._woken:
                self._open_gates()
        return came

    def _wait_for_more(self, deadline: float, looked: bool) -> bool:
        """The same, with the lock, perhaps as one of several readers."""
        queue = self.connection.queue
        mine = Gate(self._woken)
        try:
            self._readers.append(mine)
            while not queue and self.connection.end is None:
                left = deadline - time.monotonic()
                if left <= 0 and looked:
                    return False
                looked = True
                self._turn(mine, max(left, 0))
            return self.connection.end is None or bool(queue)
        finally:
            forget(self._readers, mine)

    def look(self) -> None:
        """Take in what has come already, unless somebody else does so, without waiting."""
        try:
            with self._lock:
                if self.connection.end is None and self.connection.wants_data and not self._reading:
                    self._turn(Gate(self._woken), 0)
                    self._pass_on()
        finally:
            self._open_gates()

    def has_ended(self) -> bool:
        """Whether it has ended, as far as is known without waiting: the end may have come while nobody read."""
        for _ in range(_LOOKS):
            head = self._head()
            if self.connection.end is not None or head is None:
                break
            if not head:
                self._take_end()
            elif self._reading:
                break
            else:
                self.look()
        return self.connection.end is not None

    def _take_end(self) -> None:
        """Only the end is left to be read: read it, or wait until the thread that reads has."""
        gate = Gate(self._woken)
        try:
            with self._lock:
                while self.connection.end is None:
                    self._turn(gate, RETRY)
                self._pass_on()
        finally:
            self._open_gates()

    def close(self, reason: str = "closed by us") -> None:
        """End it: all who wait are woken, the sockets are closed. A signal's handler may call it at any moment."""
        try:
            with self._lock:
                self.connection.close(reason)
                self._tear_down()
        finally:
            self._open_gates()

    def _tend(self) -> float | None:
        """For the caretaker: read if nobody does, and see how far behind the reader is."""
        if not self._lock.acquire(blocking=False):
            return limits.CARETAKER_SECONDS
        try:
            return self._tend_now(time.monotonic())
        finally:
            self._lock.release()
            self._open_gates()

    def _leave(self) -> None:
        """In a child process: the connection is the parent's (see `_fork`)."""
        self._new_lock()
        self._reading = False
        self.connection.leave(_fork.FORKED)
        self._tear_down()

    def measure(self) -> None:
        """See how far behind the reader is by now (`Connection.flow`)."""
        with self._lock:
            unread = self.connection.end is None and not self._reading and self._more_waits()
            received = self.connection.received_events
            self.connection.flow.note(time.monotonic(), received, self._looked if unread else None)

    def tap_stats(self) -> dict[str, Any] | None:
        """What is said of its tap: it has none."""
        return None

    @property
    def end(self) -> End:
        """Why it ended, which it has."""
        assert self.connection.end is not None
        return self.connection.end

    # Inside

    def _open_gates(self) -> None:
        """Wake those concerned; without the lock."""
        while self._woken:
            try:
                gate = self._woken.popleft()
            except IndexError:  # another thread was faster
                return
            gate.open()

    # Inside, with the lock

    def _turn(self, mine: Gate, seconds: float) -> None:
        """Read once; or, while another thread reads, wait to be woken."""
        if self._unsent:
            self._flush()
            seconds = min(seconds, RETRY)
        if self._reading:
            self._follow(mine, seconds)
        else:
            self._receive(seconds)

    def _follow(self, mine: Gate, seconds: float) -> None:
        try:
            mine.shut()
            self._followers.append(mine)
            self._lock.release()
            self._open_gates()
            mine.wait(min(seconds, _LOOK_AGAIN))
            self._own()
            forget(self._followers, mine)
        except BaseException:
            self._own()
            forget(self._followers, mine)
            raise

    def _pass_on(self) -> None:
        """Wake a thread that waits, so that somebody reads."""
        if self._followers and not self._reading:
            self._followers[0].call()

    def _receive(self, seconds: float) -> None:
        connection = self.connection
        if not seconds / 2 <= self._timeout <= seconds or self._keepalive is not None:
            self._set_timeout(seconds if self._keepalive is None else min(seconds, self._keepalive - self._silent))
        room = self._get_buffer()
        size, error = -1, None
        began = time.monotonic()
        if began - self._looked > _STILL:
            self._check_backlog()
        taken: list[int] = []
        whole = False
        try:
            try:
                self._reading = True
                self._lock.release()
                if self._woken:
                    self._open_gates()
                taken.extend(map(self._in.recv_into, (room,)))  # in C from end to end: what came is known
                self._lock.acquire()
                size = taken[0]
                self._reading = False
            except OSError as failure:
                if taken:  # the error is from a signal's handler
                    raise
                if not is_early(failure):
                    error = failure
            finally:
                if self._reading:
                    self._own()
                    self._reading = False
            if connection.end is None:
                self._received(size, error, began)
                self._read_by_hand = self._looked
            elif size > 0:  # ended by another thread meanwhile
                reset_at_close(self._in)
            whole = True
        finally:
            if not whole:
                self._own()
                self._reading = False
                if taken or (self._is_tls and self._in.unsure):
                    self._give_up("while bytes were received")
        if connection.end is not None:
            self._tear_down()

    def _received(self, size: int, error: OSError | None, began: float) -> None:
        connection = self.connection
        self._looked = time.monotonic()
        if self._backlog:
            self._backlog = (size >= 0 or error is not None) and self._more_waits()
        if size > 0:
            if self._keepalive is not None:
                self._heard, self._silent = self._looked, 0.0
            connection.buffer_updated(size)
            if self._readers and self._followers:  # a reader that does not follow looks for itself
                self._tell(len(connection.queue))
        elif size == 0:
            connection.receive_eof()
        elif error is not None:
            connection.lost(error)
        elif self._keepalive is not None:
            self._quiet(self._keepalive, self._looked - began)
        if self._unsent or connection._out:
            self._flush()

    def _check_backlog(self) -> None:
        """Nobody has read for a while: is there more than the next read takes?"""
        before, self._backlog = self._backlog, self._more_waits()
        if self._backlog and not before:
            self._empty = self._looked

    def _tell(self, count: int) -> None:
        """There is something for so many readers."""
        for gate in self._readers[:count]:
            gate.call()

    def _quiet(self, keepalive: float, seconds: float) -> None:
        self._silent += seconds
        if self._silent >= keepalive:
            self._silent = 0.0
            self.connection.probe(keepalive)
            if self.connection.end is not None:
                self.ended_at = self.gone = self._heard

    def _more_waits(self) -> bool:
        """Whether a read would find something, the end included."""
        return self._head() is not None

    def _head(self) -> bytes | None:
        """The next byte; b"" if the end is next, None if there is nothing yet."""
        try:
            head: bytes = self._out.recv(1, socket.MSG_PEEK)
            return head
        except OSError as error:
            return None if is_early(error) else b""

    def _tend_now(self, now: float) -> float | None:
        connection = self.connection
        if connection.end is not None:
            return None
        since, more = None, False
        idle = not self._reading and now - self._read_by_hand >= limits.UNREAD_SECONDS
        if idle and connection.wants_data:
            more = self._read_ahead()
        elif idle and self._more_waits():
            since = self._looked
        self._tended_at = now
        if idle or self._reading:
            self._heed(now, since)
        return 0 if more else connection.flow.look_again

    def _heed(self, now: float, since: float | None) -> None:
        warning = self.connection.heed(now, since)
        if warning:
            _LOG.warning("%s", warning)
        if self.connection.end is not None:
            self._tear_down()

    def _read_ahead(self) -> bool:
        """Take in what is there, up to the caretaker's bound; whether there may be more."""
        connection = self.connection
        left = limits.CARETAKER_BYTES
        if not self._backlog:
            self._check_backlog()
        while connection.end is None and connection.wants_data:
            if left <= 0:
                return True
            size, error = -1, None
            try:
                with self._get_buffer() as room:
                    size = self._out.recv_into(room)
            except OSError as failure:
                if not is_early(failure):
                    error = failure
            self._received(size, error, self._tended_at)
            self._tended_at = time.monotonic()
            if size <= 0:
                return False
            left -= size
        return False

    def _set_timeout(self, seconds: float) -> None:
        """Have the next read end within these seconds, perhaps earlier: so most reads need no call for it."""
        seconds = min(seconds, LONGEST)
        if not seconds / 2 <= self._timeout <= seconds:
            self._timeout = seconds * 0.75
            self._in.settimeout(self._timeout)

    def _flush(self) -> None:
        """Send what the switch takes now. If it cannot be reached, the reader finds that, and may read why."""
        whole = False
        try:
            self._unsent += self._take_out()
            if self._unsent and self.connection.end is None:
                self._offer()
            whole = True
        finally:
            if not whole:
                self._give_up("while bytes were sent")

    def _take_out(self) -> bytes:
        """What the connection wants to be sent."""
        return self.connection.data_to_send()

    def _offer(self) -> None:
        try:
            sent = self._out.send(self._unsent)
        except OSError as error:
            sent = 0 if is_early(error) else len(self._unsent)
            self._undeliverable += sent
        del self._unsent[:sent]
        self.connection.unsent = len(self._unsent) + self._undeliverable

    def _own(self) -> None:
        """Take the lock again. What is raised meanwhile is raised again once the lock is taken."""
        while not self._lock._is_owned():  # type: ignore[attr-defined]
            try:
                self._lock.acquire()
            except BaseException:
                self._own()
                raise

    def _give_up(self, when: str) -> None:
        """A step that must be whole was interrupted: how much of it the other side has, or has sent, is not known."""
        self.connection.abort(f"interrupted {when}")
        self._tear_down()

    def _tear_down(self) -> None:
        """The connection has ended: close what is open, and wake those who wait for messages. A thread that still reads
        wakes up and closes the socket that it reads."""
        now = time.monotonic()
        if self._backlog:
            self.gone = min(self.gone, self._empty)
        else:
            unread = not self._reading and now - self._looked > _STILL
            self.gone = min(self.gone, self._looked if unread else now)
        self.ended_at = min(self.ended_at, now)
        self._tell(len(self._readers))
        if self._reading:
            shut_down(self._in)
        else:
            self._in.close()
        self._out.close()


def seconds_left(deadline: float) -> float:
    """Seconds until then, for one turn of waiting."""
    return max(min(deadline - time.monotonic(), LONGEST), 0)


def is_early(error: OSError) -> bool:
    """Whether it only says that there is nothing yet. (A kernel that gave up raises `TimeoutError` too.)"""
    return isinstance(error, BlockingIOError) or (isinstance(error, TimeoutError) and not error.errno)
