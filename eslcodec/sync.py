"""Blocking Event Socket: `connect` to a switch, or `serve` the calls that it sends.

    >>> from eslcodec.emulator import Emulator
    >>> with Emulator() as switch, connect("127.0.0.1", switch.port) as fs:
    ...     fs.api("status").text[:2], fs.bgapi("version").result(timeout=5).ok
    ('UP', True)

Whoever waits, for a reply, a job or an event, reads the socket: the first to wait becomes the reader, wakes those whose
reply or event came, and passes the reading on once it has its own. Between waits, once events were asked for, a
caretaker does it: one thread for the whole process, which reads into the queue when nobody else has for two seconds,
and ends a connection that is left unread so long that the switch would be endangered (`ReaderTooSlow`). It runs no
handler. Without it (`caretaker=False`, or ESLCODEC_CARETAKER=0) what is not read piles up in the kernel and then in the
switch, which queues 100 000 events and then kills the connection, holding up all its others for as long as it takes.

Any number of threads may use a client: commands go out whole, in the order in which they were asked for, and each event
goes to exactly one of the threads that read events. Under gevent's monkey patching threads are greenlets and all of
this holds. Sending never waits for the switch to read: what it does not take goes out while we wait and read.

Every decision about the protocol is made in `connection.py`; here are sockets, threads and time.
"""

from __future__ import annotations

import logging
import math
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Concatenate, Final, Literal, ParamSpec, TypedDict, TypeVar, overload

from . import _fork, limits
from ._address import address as _where
from ._address import unreachable
from ._caretaker import CARETAKER, is_wanted
from ._codec import Message
from ._door import Calls, Door, addresses, farewell
from ._options import check_calls, check_connect, check_serve
from ._words import check_handled, check_handler, check_names, tell_silence
from .commands import Headers
from .connection import Connection, Reply, Wait, variable
from .enums import HangupCause, LogLevel
from .errors import ChannelEnded, CommandTimeout, ConnectionClosed, ESLError
from .events import CommandReply, Event, JobResult
from .flow import Stats, Totals
from .reconnect import Backoff, End, Password, Reconnection, password_now
from .subscriptions import Subscriptions

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self, Unpack

__all__ = ["Call", "Client", "ExecuteOptions", "Job", "Server", "connect", "serve"]


class ExecuteOptions(TypedDict, total=False):
    """What `execute` takes besides application and argument; see `commands.execute`.

    Example:
        >>> from eslcodec import commands
        >>> options: ExecuteOptions = {"loops": 2, "event_lock": True}
        >>> commands.execute("playback", "a.wav", **options).splitlines()[-3:-1]
        [b'event-lock: true', b'loops: 2']
    """

    event_uuid: str | None
    event_uuid_name: str | None
    loops: int | None
    event_lock: bool
    event_lock_pri: bool
    run_async: bool
    hold_bleg: bool
    lead_frames: int | None


P = ParamSpec("P")
T = TypeVar("T")
M = TypeVar("M", bound=Message)
Handler = Callable[[Event], object]
H = TypeVar("H", bound=Handler)

_LOG: Final = logging.getLogger("eslcodec")
_LONGEST: Final = 60.0  # seconds of one turn of waiting: a socket without a timeout would be in another mode
_LOOK_AGAIN: Final = 1.0  # seconds after which who waits to be woken looks for himself
_RETRY: Final = 0.01  # seconds until the switch is offered again what it did not take
_PAUSE: Final = 0.5  # seconds after which a server that could not accept a call tries again
_GRACE: Final = 1.0  # seconds for the handlers of calls that the server closed
_LOOKS: Final = 16  # reads after which the end of a connection need not be looked for further behind what waits
_STILL: Final = 0.1  # seconds without a read after which the switch may have got ahead of us


class _Gate:
    """Where a thread waits while another one reads. Most who might have to wait never do: the bar is made for it."""

    __slots__ = ("_bar", "_called", "_woken")

    def __init__(self, woken: deque[_Gate]) -> None:
        self._bar: threading.Lock | None = None
        self._called = False  # before it was shut
        self._woken = woken

    def call(self) -> None:
        """Have it opened as soon as the lock of the connection is free."""
        if self._bar is None:
            self._called = True
        else:
            self._woken.append(self)

    def shut(self) -> None:
        """Before a wait, with the lock."""
        if self._bar is None:
            bar = threading.Lock()
            if not self._called:
                bar.acquire()
            self._bar = bar

    def open(self) -> None:
        if self._bar is not None:
            with suppress(RuntimeError):  # it is open
                self._bar.release()

    def wait(self, seconds: float) -> None:
        if self._bar is not None:
            self._bar.acquire(timeout=seconds)


class _Gone(Exception):
    """A command was not made, because the connection has ended."""


class _Link:
    """One connection and its socket: who reads it, who waits, what is still to be sent. Owns both.

    One lock guards everything; it is free while somebody waits for the kernel. Everybody who waits has a gate, so that
    only those concerned are woken; gates are opened when the lock is free again, since under gevent that may let others
    run. Reading and sending have a socket object each, of the same connection: reading waits, sending never does.

    What an exception from outside (Ctrl-C, a signal's handler, `gevent.Timeout`) interrupts is a wait, at no cost for
    others, or a step that must be whole: making and sending a command, sending, receiving and settling. If one of
    these is not finished the connection ends, and says so. Who waits while another reads looks again after a moment, so
    that a call that was interrupted before it opened a gate costs that moment.
    """

    def __init__(
        self, sock: socket.socket, connection: Connection, keepalive: float | None = None, caretaker: bool = False
    ) -> None:
        self.connection = connection
        self._get_buffer = connection._decoder.get_buffer
        self.caretaker = caretaker
        self._tended = False
        self.began = time.monotonic()
        self.ended = math.inf  # when it had ended
        self.gone = math.inf  # from when on something may have been missed: when the socket had last been read empty
        self._new_lock()
        self._reading = False
        self._heard = self._looked = self.began  # received; read
        self._empty = self.began  # while it is behind: when the socket had last been read empty
        self._read_by_hand = self._tended_at = self.began  # read by somebody who waits; looked at by the caretaker
        self._behind = False  # whether more waits than was read, since nobody read for a while
        self._silent = 0.0  # seconds of reading since then
        self._keepalive = keepalive
        self._unsent = bytearray()
        self._undeliverable = 0  # bytes that there is no way to send any more
        with suppress(OSError):  # a matter of speed, and not every kind of socket has it
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._in = sock
        try:
            self._out = sock.dup()
        except OSError:
            sock.close()
            raise
        self._out.setblocking(False)
        self._timeout = _LONGEST  # of `_in`
        self._in.settimeout(_LONGEST)
        _fork.register(self)

    def _new_lock(self) -> None:
        self._lock = threading.RLock()  # a signal's handler may close what its own thread is at work on
        self._woken: deque[_Gate] = deque()  # to be opened once the lock is free
        self._readers: list[_Gate] = []  # of those who wait for messages
        self._followers: list[_Gate] = []  # of those who wait while another reads

    def log_in(self, timeout: float) -> CommandReply:
        """Wait for the login, whatever it consists of; if it does not succeed, everything is closed."""
        try:
            return self.outcome(self.begin(lambda connection: connection.ready), timeout)
        except BaseException:
            with self._lock:
                self.connection.abort("the login did not succeed")
                self._over()
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
            EventQueueFull: it stands behind more events than may wait.
            ESLError: what the wait failed with.
        """
        deadline = (time.monotonic() if since is None else since) + timeout
        mine = _Gate(self._woken)
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

    def _see_to(self, wait: Wait[T], mine: _Gate, deadline: float, timeout: float) -> None:
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
            EventQueueFull: it waits for its events to be read, and they may not be more.
        """
        if len(self._unsent) <= limits.UNSENT_BYTES:
            return
        began, what = time.monotonic(), "the switch to read what was sent before"
        mine = _Gate(self._woken)
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
        """Wait until a message is in the queue; False at the deadline, or if none will come on this connection."""
        connection = self.connection
        queue = connection.queue
        looked = False
        try:
            with self._lock:
                try:
                    if not (queue or self._reading or self._unsent or connection.end):  # as it is for one reader
                        self._read(math.inf if deadline == math.inf else max(deadline - time.monotonic(), 0))
                        looked = True
                    if not queue:
                        self._wait_for_more(deadline, looked)
                finally:
                    if self._followers:
                        self._pass_on()
        finally:
            if self._woken:
                self._open_gates()
        return bool(queue)

    def _wait_for_more(self, deadline: float, looked: bool) -> None:
        """The same, with the lock, perhaps as one of several readers."""
        queue = self.connection.queue
        mine = _Gate(self._woken)
        try:
            self._readers.append(mine)
            while not queue and self.connection.end is None:
                left = deadline - time.monotonic()
                if left <= 0 and looked:
                    break
                looked = True
                self._turn(mine, max(left, 0))
        finally:
            _drop(self._readers, mine)

    def look(self) -> None:
        """Take in what has come already, unless somebody else does so, without waiting."""
        try:
            with self._lock:
                if self.connection.end is None and self.connection.wants_data and not self._reading:
                    self._turn(_Gate(self._woken), 0)
                    self._pass_on()
        finally:
            self._open_gates()

    def has_ended(self) -> bool:
        """Whether it has, as far as can be known without waiting: the end may have come with nobody reading."""
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
        """Nothing but the end is left to be read: read it, or wait until the thread has that reads."""
        gate = _Gate(self._woken)
        try:
            with self._lock:
                while self.connection.end is None:
                    self._turn(gate, _RETRY)
                self._pass_on()
        finally:
            self._open_gates()

    def close(self, reason: str = "closed by us") -> None:
        """End it: whoever waits is woken, the sockets are closed. A signal's handler may call it at any moment."""
        try:
            with self._lock:
                self.connection.close(reason)
                self._over()
        finally:
            self._open_gates()

    def _tend(self) -> float | None:
        """The caretaker's look: read for those who do not, and see how far behind they are."""
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
        self._over()

    def measure(self) -> None:
        """See how far behind the reader is by now (`Connection.flow`)."""
        with self._lock:
            unread = self.connection.end is None and not self._reading and self._more_waits()
            received = self.connection.received_events
            self.connection.flow.note(time.monotonic(), received, self._looked if unread else None)

    @property
    def end(self) -> End:
        """Why it ended, which it has."""
        assert self.connection.end is not None
        return self.connection.end

    # Inside

    def _open_gates(self) -> None:
        """Wake whom it concerns; without the lock."""
        while self._woken:
            try:
                gate = self._woken.popleft()
            except IndexError:  # another thread was faster
                return
            gate.open()

    # Inside, with the lock

    def _turn(self, mine: _Gate, seconds: float) -> None:
        """Read once; or, while another thread reads, wait to be woken."""
        if self._unsent:
            self._flush()
            seconds = min(seconds, _RETRY)
        if self._reading:
            self._follow(mine, seconds)
        else:
            self._read(seconds)

    def _follow(self, mine: _Gate, seconds: float) -> None:
        try:
            mine.shut()
            self._followers.append(mine)
            self._lock.release()
            self._open_gates()
            mine.wait(min(seconds, _LOOK_AGAIN))
            self._own()
            _drop(self._followers, mine)
        except BaseException:
            self._own()
            _drop(self._followers, mine)
            raise

    def _pass_on(self) -> None:
        """Nobody may be left waiting with nobody reading."""
        if self._followers and not self._reading:
            self._followers[0].call()

    def _read(self, seconds: float) -> None:
        connection = self.connection
        if self._keepalive is not None or seconds < _LONGEST or self._timeout < _LONGEST / 2:
            self._set_timeout(seconds if self._keepalive is None else min(seconds, self._keepalive - self._silent))
        room = self._get_buffer()
        size, error = -1, None
        began = time.monotonic()
        if began - self._looked > _STILL:
            self._look_behind()
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
                if taken:  # it is of a signal's handler
                    raise
                if not _is_early(failure):
                    error = failure
            finally:
                if self._reading:
                    self._own()
                    self._reading = False
            if connection.end is None:
                self._received(size, error, began)
                self._read_by_hand = self._looked
            whole = True
        finally:
            if not whole:
                self._own()
                self._reading = False
                if taken:
                    self._give_up("while bytes were received")
        if connection.end is not None:
            self._over()

    def _received(self, size: int, error: OSError | None, began: float) -> None:
        connection = self.connection
        self._looked = time.monotonic()
        if self._behind:
            self._behind = (size >= 0 or error is not None) and self._more_waits()
        if size > 0:
            if self._keepalive is not None:
                self._heard, self._silent = self._looked, 0.0
            connection.buffer_updated(size)
            if self._readers and self._followers:  # who does not follow looks by himself
                self._tell(len(connection.queue))
        elif size == 0:
            connection.receive_eof()
        elif error is not None:
            connection.lost(error)
        elif self._keepalive is not None:
            self._quiet(self._keepalive, self._looked - began)
        if self._unsent or connection._out:
            self._flush()

    def _look_behind(self) -> None:
        """Nobody has read for a while: is there more than the next read takes?"""
        before, self._behind = self._behind, self._more_waits()
        if self._behind and not before:
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
                self.ended = self.gone = self._heard

    def _more_waits(self) -> bool:
        """Whether a read would find something, be it the end."""
        return self._head() is not None

    def _head(self) -> bytes | None:
        """The next byte; b"" if the end is next, None if there is nothing yet."""
        try:
            return self._out.recv(1, socket.MSG_PEEK)
        except OSError as error:
            return None if _is_early(error) else b""

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
            self._over()

    def _read_ahead(self) -> bool:
        """Take in what is there, up to the caretaker's bound; whether there may be more."""
        connection = self.connection
        left = limits.CARETAKER_BYTES
        if not self._behind:
            self._look_behind()
        while connection.end is None and connection.wants_data:
            if left <= 0:
                return True
            size, error = -1, None
            try:
                with connection.get_buffer() as room:
                    size = self._out.recv_into(room)
            except OSError as failure:
                if not _is_early(failure):
                    error = failure
            self._received(size, error, self._tended_at)
            self._tended_at = time.monotonic()
            if size <= 0:
                return False
            left -= size
        return False

    def _set_timeout(self, seconds: float) -> None:
        """The next read may end earlier than this, not later; successive ones seldom need a call for it."""
        seconds = min(seconds, _LONGEST)
        if not seconds / 2 <= self._timeout <= seconds:
            self._timeout = seconds * 0.75
            self._in.settimeout(self._timeout)

    def _flush(self) -> None:
        """Send what the switch takes now. That it cannot be reached is for the reader to find, who may read why."""
        whole = False
        try:
            self._unsent += self.connection.data_to_send()
            if self._unsent and self.connection.end is None:
                self._offer()
            whole = True
        finally:
            if not whole:
                self._give_up("while bytes were sent")

    def _offer(self) -> None:
        try:
            sent = self._out.send(self._unsent)
        except OSError as error:
            sent = 0 if _is_early(error) else len(self._unsent)
            self._undeliverable += sent
        del self._unsent[:sent]
        self.connection.unsent = len(self._unsent) + self._undeliverable

    def _own(self) -> None:
        """Have the lock again. What was raised into waiting for it is raised once it is there."""
        while not self._lock._is_owned():  # type: ignore[attr-defined]
            try:
                self._lock.acquire()
            except BaseException:
                self._own()
                raise

    def _give_up(self, when: str) -> None:
        """A step that must be whole was interrupted: what the other side has of it, or has sent, is not known."""
        self.connection.abort(f"interrupted {when}")
        self._over()

    def _over(self) -> None:
        """The connection has ended: nothing stays open, and nobody waits for messages. A thread that still reads wakes
        up and closes what it reads."""
        now = time.monotonic()
        if self._behind:
            self.gone = min(self.gone, self._empty)
        else:
            unread = not self._reading and now - self._looked > _STILL
            self.gone = min(self.gone, self._looked if unread else now)
        self.ended = min(self.ended, now)
        self._tell(len(self._readers))
        if self._reading:
            with suppress(OSError):
                self._in.shutdown(socket.SHUT_RDWR)
        else:
            self._in.close()
        self._out.close()


def _drop(gates: list[_Gate], gate: _Gate) -> None:
    if gate in gates:
        gates.remove(gate)


def _left(deadline: float) -> float:
    """Seconds until then, for one turn of waiting."""
    return max(min(deadline - time.monotonic(), _LONGEST), 0)


def _is_early(error: OSError) -> bool:
    """Whether it only says that there is nothing yet. (`TimeoutError` is also what a kernel says that gave up.)"""
    return isinstance(error, BlockingIOError) or (isinstance(error, TimeoutError) and not error.errno)


class Job:
    """A background job, from `Client.bgapi`.

    Attributes:
        uuid: its Job-UUID.

    Example:
        >>> from eslcodec.emulator import Emulator
        >>> with Emulator() as switch, connect("127.0.0.1", switch.port) as fs:
        ...     job = fs.bgapi("echo", "done")
        ...     job.result(timeout=5).text, job.done
        ('done', True)
    """

    def __init__(self, uuid: str, link: _Link, wait: Wait[JobResult]) -> None:
        self.uuid = uuid
        self._link = link
        self._wait = wait

    def __repr__(self) -> str:
        return f"<Job {self.uuid}{' done' if self._wait.done else ''}>"

    @property
    def done(self) -> bool:
        """Whether `result` returns, or raises, at once. Takes in what has come from the switch, without waiting."""
        if not self._wait.done:
            self._link.look()
        return self._wait.done

    def result(self, timeout: float | None = None) -> JobResult:
        """What the command put out, once it has ended; any number of times, from any thread.

        Args:
            timeout: seconds to wait at most, None for as long as the connection lasts.

        Raises:
            CommandTimeout: it has not ended in time; ask again later.
            CommandError: the switch does not report the ends of jobs to us.
            EventQueueFull: nobody reads the events that stand before it.
            ConnectionClosed: the connection ended before it did; or the error that ended it.
        """
        return self._link.outcome(self._wait, math.inf if timeout is None else timeout)


class Client:
    """A connection to a switch, logged in; `connect` makes it. A context manager that closes it.

    Every command takes `timeout`, in seconds; None is the client's `command_timeout` (no limit where the reply waits
    for an application, on a static socket), `math.inf` no limit. What all of them raise: CommandTimeout (the connection
    stays usable), ConnectionClosed or the error that ended the connection, EventQueueFull, InvalidCommand (nothing was
    sent). What the switch refuses is a CommandError, but for `send`, `pipeline`, `api` and `getvar`: there it is data.

    Attributes:
        host, port: of the switch.

    Example:
        >>> from eslcodec.emulator import Emulator
        >>> with Emulator() as switch, connect("127.0.0.1", switch.port) as fs:
        ...     fs.subscribe("DTMF").text
        ...     switch.fire("DTMF", {"DTMF-Digit": "#"})
        ...     fs.next_event(timeout=5)["DTMF-Digit"]
        '+OK event listener enabled plain'
        '#'
    """

    def __init__(
        self,
        link: _Link,
        address: tuple[str, int],
        command_timeout: float,
        books: Reconnection | None = None,
        redial: Callable[[_Link, float], _Link] | None = None,
        login_timeout: float = 0,
    ) -> None:
        self.host, self.port = address
        self._link = link
        self._queue = link.connection.queue
        self._command_timeout = command_timeout
        self._closing = threading.Event()
        self._totals = Totals()
        self._handlers: dict[str, list[tuple[str | None, Handler]]] = {}
        self._books = books or Reconnection(None)
        self._redial = redial
        self._login_timeout = login_timeout
        self._dialling = threading.RLock()  # guards the books and the rest; it knows whether it is ours
        self._next: _Link | None = None  # while it logs in
        self._lost: _Link | None = None  # whose end is in the books
        if link.caretaker and self._books.reconnects:
            CARETAKER.note(self)

    def __repr__(self) -> str:
        end = self._books.over or self.connection.end
        state = "open" if end is None else "connecting again" if not self.closed else f"closed: {end.reason}"
        return f"<{type(self).__name__} {self.host}:{self.port} {state}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def connection(self) -> Connection:
        """The state behind it; another one after a reconnection."""
        return self._link.connection

    @property
    def subscriptions(self) -> Subscriptions:
        """What was subscribed to."""
        return self.connection.subscriptions

    @property
    def dropped(self) -> int:
        """Messages dropped because the queue was full (`when_full="drop"`)."""
        return self._totals.dropped + self.connection.dropped

    def stats(self) -> Stats:
        """Numbers over all connections of this client: what is queued, was received, is left unread."""
        link = self._link
        with link._lock:
            link.measure()
            return self._totals.stats(link.connection, caretaker=link.caretaker and CARETAKER.running)

    @property
    def closed(self) -> bool:
        """Whether the connection has ended and will not be set up again. Notices only what somebody has read."""
        return self.connection.end is not None and not self._comes_back()

    def close(self) -> None:
        """Close the connection, from any thread: every wait ends at once with ConnectionClosed, and reading without an
        error. What was received can still be read. Twice is once."""
        self._closing.set()
        self._books.close()
        coming = self._next
        for link in (self._link, coming):
            if link is not None:
                link.close()

    # Reading

    def events(self, timeout: float | None = None) -> Iterator[Event]:
        """Events as they come, after a reconnection a `Gap` among them; other messages are passed over.

        It ends when the connection has ended well, that is, because we asked or with the switch's good-bye.

        Args:
            timeout: seconds without an event after which it ends too.

        Raises:
            ConnectionClosed: the connection did not end well; everything received was yielded. Or the ProtocolError
                that ended it, or AuthError or AccessDenied of a reconnection.
        """
        return self._read(Event, timeout)

    def messages(self, timeout: float | None = None) -> Iterator[Message]:
        """As `events`, with log lines, linger notices (DisconnectNotice) and frames of unknown kind."""
        return self._read(Message, timeout)

    def next_event(self, timeout: float | None = None) -> Event | None:
        """The next event; None if there was none within `timeout` seconds.

        Raises:
            ConnectionClosed: the connection has ended, well or not. Or the error that ended it.
        """
        for event in self._read(Event, timeout):
            return event
        end = self.connection.end
        if end is not None and self.closed:
            raise (self._books.over or end).error()
        return None

    @overload
    def on(
        self, name: str, handler: None = None, *, subclass: str | None = None, unknown: bool = False
    ) -> Callable[[H], H]: ...
    @overload
    def on(self, name: str, handler: H, *, subclass: str | None = None, unknown: bool = False) -> H: ...
    def on(
        self, name: str, handler: H | None = None, *, subclass: str | None = None, unknown: bool = False
    ) -> H | Callable[[H], H]:
        """Have `run` call a handler for events of this name; there may be several.

        Args:
            name: such as "DTMF"; "ALL" for every event.
            handler: called with the event. Without one this is a decorator: `@fs.on("DTMF")`.
            subclass: of CUSTOM, only events of this subclass.
            unknown: whether a name that FreeSWITCH 1.11 does not have is meant: nothing is said about it then.

        Raises:
            InvalidCommand: what no event can match: a subclass or a pattern for a name, a known name misspelt.
            TypeError: no function, an async def, which nothing here awaits, or one with a `yield`.
            ValueError: `subclass` of something else than CUSTOM.
        """
        handled = check_handled(name, subclass, unknown)

        def add(handler: H) -> H:
            check_handler(handler)
            self._handlers.setdefault(handled, []).append((subclass, handler))
            return handler

        return add if handler is None else add(handler)

    def run(self) -> None:
        """Read events and call their handlers, one after the other, until the connection ends.

        A handler's exception is logged (logger "eslcodec") and hurts no other.

        Raises:
            ConnectionClosed: as `events`.
        """
        for event in self.events():
            for handler in self._handlers_of(event):
                try:
                    handler(event)
                except Exception:
                    _LOG.exception("a handler of %s failed", event.name)

    def _handlers_of(self, event: Event) -> list[Handler]:
        registered = [*self._handlers.get(event.name or "", ()), *self._handlers.get("ALL", ())]
        return [handler for subclass, handler in registered if subclass in (None, event.subclass)]

    def _read(self, kind: type[M], timeout: float | None) -> Iterator[M]:
        queue = self._queue
        popleft = queue.popleft
        deadline = math.inf if timeout is None else None
        while True:
            if not queue:
                if deadline is None:
                    deadline = time.monotonic() + timeout  # type: ignore[operator]  # without one it is inf
                link = self._link
                if not (link.more(deadline) or self._goes_on(link, deadline)):
                    return
            try:
                message = popleft()
            except IndexError:  # another thread was faster
                continue
            if isinstance(message, kind):
                if timeout is not None:
                    deadline = None
                yield message

    def _goes_on(self, link: _Link, deadline: float) -> bool:
        """This link gives nothing more by now. False at the deadline, or if the end was well; else another one will."""
        end = link.connection.end
        if end is None:
            return False
        if self._comes_back():
            return self._reconnect(link, deadline)
        error = self._books.told(end)
        if error is None:
            return False
        raise error

    # Reconnection

    def _comes_back(self) -> bool:
        end = self.connection.end
        return end is not None and self._books.returns_from(end)

    def _reconnect(self, lost: _Link, deadline: float, *, command: bool = False) -> bool:
        """Set the connection up again, or wait until another thread has; False at the deadline.

        For a reader an attempt that has begun is finished. For a command nothing lasts beyond its deadline, and there
        is no point in waiting for an attempt that is due after it.
        """
        if command and self._lost is lost and (self._books.due or 0) > deadline:
            return False
        try:
            if not self._dialling.acquire(timeout=_left(deadline)):
                return time.monotonic() < deadline
            due = self._due(lost)
            if due is None:
                return True
            if command and due > deadline:
                return False
            if not self._closing.wait(_left(min(due, deadline))) and time.monotonic() >= due:
                self._attempt(lost, deadline if command else math.inf)
                return True
            return time.monotonic() < deadline
        finally:
            if self._dialling._is_owned():  # type: ignore[attr-defined]
                self._dialling.release()

    def _due(self, lost: _Link) -> float | None:
        """When the next attempt is; None if there will be none, or is a connection already."""
        if self._link is not lost or not self._comes_back():
            return None
        now = time.monotonic()
        if self._lost is not lost:
            _LOG.warning("lost the connection to %s:%s: %s", self.host, self.port, lost.end.reason)
            lasted, last = lost.ended - lost.began, lost.connection.last_event
            self._books.lost(lost.end, lasted=lasted, since=lost.gone, now=now, last=last)
            self._lost = lost
        self._books.plan(now)
        return self._books.due if self._books.over is None else None

    def _attempt(self, lost: _Link, deadline: float) -> None:
        assert self._redial is not None
        seconds = min(self._login_timeout, max(deadline - time.monotonic(), _RETRY))
        self._books.dialling()
        link = None
        try:
            link = self._next = self._redial(lost, seconds)
            if self._closing.is_set():
                link.close()
            link.log_in(min(seconds, max(deadline - time.monotonic(), _RETRY)))
        except Exception as error:  # what a function raises that gives the password is no end either
            _LOG.info("cannot connect to %s:%s again: %s", self.host, self.port, error)
            self._failed(link, error)
        else:
            self._adopt(link)
            self._books.usable()
        finally:
            self._next = None

    def _failed(self, link: _Link | None, error: Exception) -> None:
        now = time.monotonic()
        if link is not None and link.connection.gap_told:
            self._lost = link
            self._adopt(link)
            self._books.failed(error, link.end, now=now, since=link.gone, last=link.connection.last_event)
        else:
            self._books.failed(error, None if link is None else link.end, now=now)

    def _adopt(self, link: _Link) -> None:
        self._totals.add(self.connection)
        self._link = link

    def _tend(self) -> float | None:
        """For the caretaker: have a reconnection tried that is due."""
        link = self._link
        if link.connection.end is None:
            return limits.CARETAKER_SECONDS
        if not self._comes_back():
            return None
        if self._dialling.acquire(blocking=False):
            try:
                due = self._due(link)
            finally:
                self._dialling.release()
            if due is not None and time.monotonic() >= due:
                threading.Thread(target=self._try_again, args=(link,), name="eslcodec-reconnect", daemon=True).start()
        return limits.CARETAKER_SECONDS

    def _try_again(self, lost: _Link) -> None:
        with suppress(ESLError):  # the books keep it, for whoever reads next
            self._reconnect(lost, time.monotonic())

    # Commands

    def _issue(
        self,
        timeout: float | None,
        command: Callable[Concatenate[Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> tuple[_Link, T]:
        """Send a command: the link that took it, and what the connection returned. If the connection is gone, the
        attempt to set it up again that is due in time is made first, or waited for."""
        deadline = time.monotonic() + (self._command_timeout if timeout is None else timeout)

        def make(connection: Connection) -> T:
            if connection.end is not None and self._redial is not None:
                raise _Gone
            return command(connection, *args, **kwargs)

        while True:
            link = self._for_command(deadline)
            link.writable(deadline)
            try:
                return link, link.begin(make)
            except _Gone:
                if self._link is link and not self._comes_back():
                    raise (self._books.over or link.end).error() from None

    def _for_command(self, deadline: float) -> _Link:
        """The link that a command goes to."""
        link = self._link
        while self._redial is not None and link.has_ended() and self._comes_back():
            if not self._reconnect(link, deadline, command=True):
                raise link.end.error()
            link = self._link
        over = self._books.over
        if over is not None and over is not link.connection.end:
            raise over.error()
        return link

    def _limit(self, wait: Wait[Any], timeout: float | None) -> float:
        if timeout is None:
            return math.inf if wait.patient else self._command_timeout
        return timeout

    def _ask(
        self,
        timeout: float | None,
        command: Callable[Concatenate[Connection, P], Wait[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        since = time.monotonic()
        link, wait = self._issue(timeout, command, *args, **kwargs)
        return link.outcome(wait, self._limit(wait, timeout), since)

    def send(self, command: bytes | str, *, timeout: float | None = None) -> Reply:
        """One command as it goes over the wire, its blank line may be missing; its reply, whatever it says."""
        return self._ask(timeout, Connection.send, command)

    def pipeline(self, commands: Iterable[bytes | str], *, timeout: float | None = None) -> list[Reply]:
        """Send many commands at once, as `send` takes them, and collect their replies, in order.

        None goes out unless all can. However many there are, neither side waits for the other to read.

        Args:
            commands: the commands.
            timeout: seconds for all of them together, counted from the call.
        """
        since = time.monotonic()
        link, waits = self._issue(timeout, Connection.pipeline, commands)
        replies: list[Reply] = []
        try:
            for wait in waits:
                replies.append(link.outcome(wait, self._limit(wait, timeout), since))
        except ConnectionClosed as error:
            error.maybe_done = error.maybe_done or bool(replies)
            raise
        return replies

    def api(
        self, command: str, args: str = "", *, console_execute: bool = False, timeout: float | None = None
    ) -> Reply:
        """`api`: run an API command; its output is data, `-ERR` too. The connection is busy until it returns.

        Args:
            command: its name, or the whole line.
            args: its arguments.
            console_execute: through the console interpreter: aliases, several commands between `;;`.
            timeout: seconds.
        """
        return self._ask(timeout, Connection.api, command, args, console_execute=console_execute)

    def bgapi(self, command: str, args: str = "", *, job_uuid: str | None = None, timeout: float | None = None) -> Job:
        """`bgapi`: run an API command in the background.

        The event that tells the result is subscribed to with the first job; it is among `events` only if you asked for
        BACKGROUND_JOB too.

        Args:
            command: its name, or the whole line.
            args: its arguments.
            job_uuid: its Job-UUID; a new one by default.
            timeout: seconds for the reply; the result has its own.

        Raises:
            CommandError: the switch refused it.
        """
        since = time.monotonic()
        link, (accepted, result) = self._issue(timeout, Connection.bgapi, command, args, job_uuid=job_uuid)
        reply = link.outcome(accepted, self._limit(accepted, timeout), since)
        return Job(reply.job_uuid or job_uuid or "", link, result)

    def subscribe(
        self,
        *names: str,
        custom: Sequence[str] = (),
        format: str | None = None,
        unknown: bool = False,
        timeout: float | None = None,
    ) -> CommandReply:
        """`event`: subscribe, in addition to what is subscribed to.

        On a call's connection too this is for the whole switch: `subscribe("DTMF")` brings the digits of every call.
        For its own channel there are `myevents`, `Call.dtmf`, or a filter: `filter("Unique-ID", call.uuid)`.

        Args:
            names: of events, such as "CHANNEL_ANSWER" or "ALL".
            custom: subclasses of CUSTOM.
            format: "plain", "json" or "xml" for all events from now on; None leaves it.
            unknown: whether names that FreeSWITCH 1.11 does not have are meant. Else one that is a known name misspelt
                raises, and any other is sent and logged once.
            timeout: seconds.

        Raises:
            InvalidCommand: no name of an event, or a known one misspelt.
        """
        check_names(names, unknown)
        return self._ask(timeout, Connection.subscribe, *names, custom=custom, format=format)

    def unsubscribe(self, *names: str, custom: Sequence[str] = (), timeout: float | None = None) -> CommandReply:
        """`nixevent`: these no more.

        After `subscribe("ALL")` this is more than it says: CUSTOM events with a subclass stop coming, whatever name is
        taken out, but for those whose subclass a module of the switch had registered when ALL was asked for (not those
        of `sendevent`, nor of modules loaded later). What has to stay must be named: `subscribe(custom=[...])`.
        """
        return self._ask(timeout, Connection.unsubscribe, *names, custom=custom)

    def noevents(self, *, timeout: float | None = None) -> CommandReply:
        """`noevents`: no events any more."""
        return self._ask(timeout, Connection.noevents)

    def myevents(
        self, uuid: str | None = None, *, format: str | None = None, timeout: float | None = None
    ) -> CommandReply:
        """`myevents`: the events of one channel; without a uuid of the connection's own."""
        return self._ask(timeout, Connection.myevents, uuid, format=format)

    def divert_events(self, on: bool = True, *, timeout: float | None = None) -> CommandReply:
        """`divert_events`: what a script's input callback would get comes here."""
        return self._ask(timeout, Connection.divert_events, on)

    def filter(self, header: str, value: str, *, timeout: float | None = None) -> CommandReply:
        """`filter add`: of the events subscribed to, only those that match a filter, any of them.

        Args:
            header: the header that is compared.
            value: its value ignoring case, `/regex/`, or `-value` for what must not come. With only such ones nothing
                comes at all, which is logged once.
            timeout: seconds.
        """
        reply = self._ask(timeout, Connection.filter, header, value)
        tell_silence(self.subscriptions)
        return reply

    def filter_delete(
        self, header: str = "all", value: str | None = None, *, timeout: float | None = None
    ) -> CommandReply:
        """`filter delete`."""
        reply = self._ask(timeout, Connection.filter_delete, header, value)
        tell_silence(self.subscriptions)
        return reply

    def sendevent(
        self,
        name: str,
        headers: Headers = (),
        body: bytes | str = b"",
        *,
        subclass: str | None = None,
        unknown: bool = False,
        timeout: float | None = None,
    ) -> CommandReply:
        """`sendevent`: fire an event in the switch.

        Args:
            name: of the event. One that the switch does not know reaches whoever listens to CUSTOM, without a subclass.
            headers, body, subclass: see `commands.sendevent`.
            unknown: whether a name that FreeSWITCH 1.11 does not have is meant. Else one that is a known name misspelt
                raises, and any other is sent and logged once.
            timeout: seconds.

        Raises:
            InvalidCommand: what cannot be sent, or a known name misspelt.
        """
        check_names([name], unknown)
        return self._ask(timeout, Connection.sendevent, name, headers, body, subclass=subclass)

    def sendmsg(
        self,
        call_command: str,
        headers: Headers = (),
        body: bytes | str = b"",
        *,
        uuid: str | None = None,
        timeout: float | None = None,
    ) -> CommandReply:
        """`sendmsg`: a message to a channel; see `commands.sendmsg`."""
        return self._ask(timeout, Connection.sendmsg, call_command, headers, body, uuid=uuid)

    def hangup(
        self,
        cause: str | HangupCause = HangupCause.NORMAL_CLEARING,
        *,
        uuid: str | None = None,
        timeout: float | None = None,
    ) -> CommandReply:
        """Hang up a channel; without a uuid the connection's own."""
        return self._ask(timeout, Connection.hangup, cause, uuid=uuid)

    def log(self, level: str | int | LogLevel | None = None, *, timeout: float | None = None) -> CommandReply:
        """`log`: the switch's log lines up to this level, among `messages`."""
        return self._ask(timeout, Connection.log, level)

    def nolog(self, *, timeout: float | None = None) -> CommandReply:
        """`nolog`."""
        return self._ask(timeout, Connection.nolog)

    def linger(self, seconds: int | None = None, *, timeout: float | None = None) -> CommandReply:
        """`linger`: stay connected after the hangup, for so many seconds or until we close."""
        return self._ask(timeout, Connection.linger, seconds)

    def nolinger(self, *, timeout: float | None = None) -> CommandReply:
        """`nolinger`."""
        return self._ask(timeout, Connection.nolinger)

    def getvar(self, name: str, *, timeout: float | None = None) -> str | None:
        """A variable of the connection's own channel, None if it is unset.

        Where all commands are permitted it is asked for by `uuid_getvar`, so that any value arrives whole. On a
        single-channel socket, and after the hang-up, `getvar` itself has to do: the switch cuts its values at 511
        bytes, and one with line ends, or with `~` in front, breaks its reply; see `Connection.getvar`.
        """
        return variable(self._ask(timeout, Connection.getvar, name))

    def resume(self, *, timeout: float | None = None) -> CommandReply:
        """`resume`: go on in the dialplan when this connection closes. An answered call does so without being told.

        Raises:
            InvalidCommand: on a static socket, where the dialplan goes on anyhow, and this would hold the channel for
                ever.
        """
        return self._ask(timeout, Connection.resume)

    def exit(self, *, timeout: float | None = None) -> CommandReply:
        """`exit`: the switch says good-bye and closes."""
        return self._ask(timeout, Connection.exit)

    def execute(
        self,
        application: str,
        argument: str = "",
        *,
        uuid: str | None = None,
        timeout: float | None = None,
        **options: Unpack[ExecuteOptions],
    ) -> CommandReply:
        """Run a dialplan application on a channel; without a uuid on the connection's own."""
        return self._ask(timeout, lambda connection: connection.execute(application, argument, uuid=uuid, **options))


class Call(Client):
    """A call that the switch connected to us for; `serve` makes it and hands it to its handler.

    What runs an application returns when the switch has accepted it; on a static socket (`mode`) that is when it has
    ended. With `wait=True` it returns its CHANNEL_EXECUTE_COMPLETE on any socket; `timeout` is for that, None for as
    long as it takes.

    When the channel hangs up, what is waited for raises ChannelEnded, and so does from then on whatever acts on the
    channel: `sendmsg`, `execute` and its shorthands, `hangup`. All the rest goes on as long as the connection does:
    after `linger` that is beyond the hang-up.

    Attributes:
        data: the channel's data as `connect` gave it last, an `Event` of name CHANNEL_DATA.
        host, port: of the switch's end of the connection.

    Example:
        >>> from eslcodec.emulator import Emulator
        >>> def answer(call):
        ...     call.answer(wait=True)
        ...     call.execute("sleep", "10", wait=True)
        ...     call.hangup()
        >>> with serve(answer) as server, Emulator() as switch:
        ...     call = switch.dial("127.0.0.1", server.port)
        ...     call.wait(), call.executed
        ('NORMAL_CLEARING', [('answer', ''), ('sleep', '10')])
    """

    data: Event

    def _begin(self, timeout: float) -> None:
        """Wait for the channel's data."""
        self.data = Event.from_payload(self._link.log_in(timeout).raw, "plain")

    @property
    def uuid(self) -> str | None:
        """The channel's `Unique-ID`."""
        return self.connection.channel

    @property
    def mode(self) -> str | None:
        """`Socket-Mode`: "async" or "static"."""
        return self.connection.mode

    @property
    def control(self) -> str | None:
        """`Control`: "full", or "single-channel" where `event`, `api`, `bgapi`, `log`, `linger` are refused."""
        return self.connection.control

    @property
    def hung_up(self) -> str | None:
        """Why the channel hung up, as in `Hangup-Cause`; None as long as nothing that came says that it did.

        Nothing is sent for it. Its events say why: those come after `myevents`, or once an application was waited for.
        Else the cause is "UNKNOWN".
        """
        self._link.has_ended()
        return self.connection.hung_up

    def _for_command(self, deadline: float) -> _Link:
        self._link.has_ended()  # take in what came while nobody read: the channel may have hung up
        return super()._for_command(deadline)

    def connect(self, *, timeout: float | None = None) -> Event:
        """The channel's data as it is now; in `data` too."""
        reply = self._ask(timeout, Connection.connect)
        self.data = Event.from_payload(reply.raw, "plain")
        return self.data

    @overload
    def execute(
        self,
        application: str,
        argument: str = "",
        *,
        uuid: str | None = None,
        wait: Literal[False] = False,
        timeout: float | None = None,
        **options: Unpack[ExecuteOptions],
    ) -> CommandReply: ...
    @overload
    def execute(
        self,
        application: str,
        argument: str = "",
        *,
        wait: Literal[True],
        timeout: float | None = None,
        **options: Unpack[ExecuteOptions],
    ) -> Event: ...
    @overload
    def execute(
        self,
        application: str,
        argument: str = "",
        *,
        wait: bool,
        timeout: float | None = None,
        **options: Unpack[ExecuteOptions],
    ) -> CommandReply | Event: ...
    def execute(
        self,
        application: str,
        argument: str = "",
        *,
        uuid: str | None = None,
        wait: bool = False,
        timeout: float | None = None,
        **options: Unpack[ExecuteOptions],
    ) -> CommandReply | Event:
        """Run a dialplan application on the channel.

        Args:
            application: its name.
            argument: its data.
            uuid: another channel, whose executions cannot be waited for here.
            wait: until it has ended: its CHANNEL_EXECUTE_COMPLETE is returned, found by its Application-UUID.
            timeout: seconds for the reply, or with `wait` for the end.
            options: as `commands.execute` takes them.

        Raises:
            CommandError: the switch refused it.
            ChannelEnded: the channel has hung up, or with `wait` does so before it ends; then `complete` is its
                CHANNEL_EXECUTE_COMPLETE, if that came. A hang-up by the application `hangup` itself is no error.
        """
        if not wait:
            return super().execute(application, argument, uuid=uuid, timeout=timeout, **options)
        since = time.monotonic()
        link, (accepted, ended) = self._issue(
            timeout, lambda connection: connection.run(application, argument, uuid=uuid, **options)
        )
        link.outcome(accepted, self._limit(accepted, timeout), since)
        return link.outcome(ended, self._limit(ended, timeout), since)

    def dtmf(self, timeout: float | None = None) -> Iterator[str]:
        """The digits that the caller types from now on, one by one: `0` to `9`, `*`, `#`, `A` to `D`.

        Those of this call only. It ends when the call does: when the channel has hung up, or the connection has ended
        well; what was typed until then is given first. What comes while nobody iterates waits for the next `dtmf`
        (`dtmf(timeout=0)` takes what is there). Each digit is given once, and is among `events` only if you asked for
        DTMF too. The first `dtmf` enables the channel's events, `myevents`, as `wait=True` does: from then on the
        switch sends no events of other channels on this connection.

        Args:
            timeout: seconds without a digit after which it ends too.

        Raises:
            CommandError: while iterating: the switch refuses the channel's events.
            ConnectionClosed: while iterating: the connection did not end well. Or the error that ended it.
            EventQueueFull: while iterating: events stand before the next digit that nobody reads.

        Example:
            >>> from eslcodec.emulator import Emulator
            >>> typed = []
            >>> with serve(lambda call: typed.extend(call.dtmf())) as server, Emulator() as switch:
            ...     call = switch.dial("127.0.0.1", server.port)
            ...     _ = switch.wait_for(lambda: "myevents" in call.commands)
            ...     call.dtmf("12#")
            ...     call.hangup()
            ...     _ = call.wait()
            >>> typed
            ['1', '2', '#']
        """
        self._link.begin(Connection.dtmf)
        return self._typed(math.inf if timeout is None else timeout)

    def _typed(self, seconds: float) -> Iterator[str]:
        link, digits = self._link, self.connection.digits
        since: float | None = None
        while True:
            try:
                digit = digits.popleft()
            except IndexError:
                if since is None:
                    since = time.monotonic()
                    link.look()
                if not self._types_on(link.begin(Connection.digit), seconds, since):
                    return
            else:
                since = None
                yield digit

    def _types_on(self, wait: Wait[bool], seconds: float, since: float) -> bool:
        """Whether to look for a digit again."""
        try:
            return self._link.outcome(wait, seconds, since)
        except CommandTimeout:
            return False

    @overload
    def answer(self, *, wait: Literal[False] = False, timeout: float | None = None) -> CommandReply: ...
    @overload
    def answer(self, *, wait: Literal[True], timeout: float | None = None) -> Event: ...
    @overload
    def answer(self, *, wait: bool, timeout: float | None = None) -> CommandReply | Event: ...
    def answer(self, *, wait: bool = False, timeout: float | None = None) -> CommandReply | Event:
        """Answer the call."""
        return self.execute("answer", wait=wait, timeout=timeout)

    @overload
    def pre_answer(self, *, wait: Literal[False] = False, timeout: float | None = None) -> CommandReply: ...
    @overload
    def pre_answer(self, *, wait: Literal[True], timeout: float | None = None) -> Event: ...
    @overload
    def pre_answer(self, *, wait: bool, timeout: float | None = None) -> CommandReply | Event: ...
    def pre_answer(self, *, wait: bool = False, timeout: float | None = None) -> CommandReply | Event:
        """Send early media."""
        return self.execute("pre_answer", wait=wait, timeout=timeout)

    @overload
    def ring_ready(self, *, wait: Literal[False] = False, timeout: float | None = None) -> CommandReply: ...
    @overload
    def ring_ready(self, *, wait: Literal[True], timeout: float | None = None) -> Event: ...
    @overload
    def ring_ready(self, *, wait: bool, timeout: float | None = None) -> CommandReply | Event: ...
    def ring_ready(self, *, wait: bool = False, timeout: float | None = None) -> CommandReply | Event:
        """Say that it rings."""
        return self.execute("ring_ready", wait=wait, timeout=timeout)

    @overload
    def playback(self, path: str, *, wait: Literal[False] = False, timeout: float | None = None) -> CommandReply: ...
    @overload
    def playback(self, path: str, *, wait: Literal[True], timeout: float | None = None) -> Event: ...
    @overload
    def playback(self, path: str, *, wait: bool, timeout: float | None = None) -> CommandReply | Event: ...
    def playback(self, path: str, *, wait: bool = False, timeout: float | None = None) -> CommandReply | Event:
        """Play a file, or what else `playback` takes, to the caller."""
        return self.execute("playback", path, wait=wait, timeout=timeout)

    @overload
    def record(self, path: str, *, wait: Literal[False] = False, timeout: float | None = None) -> CommandReply: ...
    @overload
    def record(self, path: str, *, wait: Literal[True], timeout: float | None = None) -> Event: ...
    @overload
    def record(self, path: str, *, wait: bool, timeout: float | None = None) -> CommandReply | Event: ...
    def record(self, path: str, *, wait: bool = False, timeout: float | None = None) -> CommandReply | Event:
        """Record the caller; behind the path `record` takes limits, as in "/tmp/a.wav 60 200 5"."""
        return self.execute("record", path, wait=wait, timeout=timeout)

    @overload
    def bridge(
        self, destination: str, *, wait: Literal[False] = False, timeout: float | None = None
    ) -> CommandReply: ...
    @overload
    def bridge(self, destination: str, *, wait: Literal[True], timeout: float | None = None) -> Event: ...
    @overload
    def bridge(self, destination: str, *, wait: bool, timeout: float | None = None) -> CommandReply | Event: ...
    def bridge(self, destination: str, *, wait: bool = False, timeout: float | None = None) -> CommandReply | Event:
        """Connect the call to a dial string."""
        return self.execute("bridge", destination, wait=wait, timeout=timeout)

    @overload
    def set(
        self, name: str, value: str, *, wait: Literal[False] = False, timeout: float | None = None
    ) -> CommandReply: ...
    @overload
    def set(self, name: str, value: str, *, wait: Literal[True], timeout: float | None = None) -> Event: ...
    @overload
    def set(self, name: str, value: str, *, wait: bool, timeout: float | None = None) -> CommandReply | Event: ...
    def set(self, name: str, value: str, *, wait: bool = False, timeout: float | None = None) -> CommandReply | Event:
        """Set a channel variable."""
        return self.execute("set", f"{name}={value}", wait=wait, timeout=timeout)

    @overload
    def unset(self, name: str, *, wait: Literal[False] = False, timeout: float | None = None) -> CommandReply: ...
    @overload
    def unset(self, name: str, *, wait: Literal[True], timeout: float | None = None) -> Event: ...
    @overload
    def unset(self, name: str, *, wait: bool, timeout: float | None = None) -> CommandReply | Event: ...
    def unset(self, name: str, *, wait: bool = False, timeout: float | None = None) -> CommandReply | Event:
        """Unset a channel variable."""
        return self.execute("unset", name, wait=wait, timeout=timeout)

    @overload
    def sleep(
        self, milliseconds: int, *, wait: Literal[False] = False, timeout: float | None = None
    ) -> CommandReply: ...
    @overload
    def sleep(self, milliseconds: int, *, wait: Literal[True], timeout: float | None = None) -> Event: ...
    @overload
    def sleep(self, milliseconds: int, *, wait: bool, timeout: float | None = None) -> CommandReply | Event: ...
    def sleep(self, milliseconds: int, *, wait: bool = False, timeout: float | None = None) -> CommandReply | Event:
        """Let the channel do nothing for a while."""
        return self.execute("sleep", str(milliseconds), wait=wait, timeout=timeout)

    @overload
    def park(self, *, wait: Literal[False] = False, timeout: float | None = None) -> CommandReply: ...
    @overload
    def park(self, *, wait: Literal[True], timeout: float | None = None) -> Event: ...
    @overload
    def park(self, *, wait: bool, timeout: float | None = None) -> CommandReply | Event: ...
    def park(self, *, wait: bool = False, timeout: float | None = None) -> CommandReply | Event:
        """Park the channel."""
        return self.execute("park", wait=wait, timeout=timeout)

    @overload
    def transfer(
        self, destination: str, *, wait: Literal[False] = False, timeout: float | None = None
    ) -> CommandReply: ...
    @overload
    def transfer(self, destination: str, *, wait: Literal[True], timeout: float | None = None) -> Event: ...
    @overload
    def transfer(self, destination: str, *, wait: bool, timeout: float | None = None) -> CommandReply | Event: ...
    def transfer(self, destination: str, *, wait: bool = False, timeout: float | None = None) -> CommandReply | Event:
        """Send the channel to an extension: "1000", or "1000 XML default"."""
        return self.execute("transfer", destination, wait=wait, timeout=timeout)


def _first(books: Reconnection | None, dial: Callable[[], _Link], seconds: float) -> _Link:
    """The first connection, logged in; with books after as many attempts as it takes."""
    while True:
        link = None
        try:
            link = dial()
            link.log_in(seconds)
        except (OSError, ESLError) as error:
            if books is None:
                raise
            books.failed(error, None if link is None else link.end, now=time.monotonic())
            if books.due is None:
                raise
            _LOG.info("cannot connect yet: %s", error)
            time.sleep(max(books.due - time.monotonic(), 0))
            books.dialling()
        else:
            if books is not None:
                books.usable()
            return link


def connect(
    host: str = "127.0.0.1",
    port: int = 8021,
    *,
    password: Password | None = None,
    user: str | None = None,
    connect_timeout: float = 5,
    command_timeout: float = 30,
    reconnect: bool | Backoff = False,
    connect_first: bool = False,
    keepalive: float | None = None,
    queue_limit: int = limits.EVENT_QUEUE,
    queue_hard_limit: int = limits.EVENT_QUEUE_HARD,
    when_full: Literal["pause", "drop"] = "pause",
    switch_queue_limit: int | None = limits.SWITCH_QUEUE,
    pause_limit: float | None = limits.PAUSE_SECONDS,
    caretaker: bool = True,
    max_header_bytes: int = limits.MAX_HEADER_BYTES,
    max_body_bytes: int = limits.MAX_BODY_BYTES,
) -> Client:
    """Connect to a switch and log in.

    Args:
        host, port: of the switch's event_socket.conf.
        password: None is the switch's own default, ClueCon. A function that returns it, or the path of the file that it
            stands in, is asked again at each attempt; a refused login is tried again then, slowly.
        user: "user@domain" for a directory user.
        connect_timeout: seconds for the connection, and once more for the login.
        command_timeout: seconds within which a reply must come.
        reconnect: whether whoever reads or commands connects again when the connection ended unasked, with these
            pauses.
            Everything subscribed to, filters and log level are set up again, and a `Gap` tells how long nothing came.
            An attempt that has begun is finished, whatever the timeout of the reader. A command that finds the
            connection gone makes the attempt itself, or waits for it, if one is due within its timeout; else it raises
            ConnectionClosed. A command of which a byte was sent is never sent again (`ConnectionClosed.maybe_done`).
            A switch that does not let us in any more ends it, or one that refuses what was subscribed to three times.
        connect_first: whether `reconnect` covers the first connection too: this returns when there is one, or raises
            when no attempt is left.
        keepalive: seconds without a byte after which the switch is asked for a sign of life, while somebody reads;
            after as long again the connection is given up. None: never.
        queue_limit: see `when_full`; while nobody waits nothing is read, so that this only counts during commands.
        queue_hard_limit: events that may come before a reply; more is EventQueueFull.
        switch_queue_limit: how many events may be thought to wait in the switch, because the queue is full and nobody
            takes them: then the connection ends, with ReaderTooSlow, before the switch kills it. None: no limit.
        pause_limit: the same for the seconds that it may be unread with something to read.
        caretaker: whether, once events were asked for, a thread of the process reads while nobody else does, which
            also sends keepalive probes and has due reconnections tried. ESLCODEC_CARETAKER=0 is False for all.
        when_full: "drop": while a reply is waited for, only the newest `queue_limit` events are kept, `dropped` counts.
        max_header_bytes, max_body_bytes: bounds of a frame.

    Raises:
        OSError: no connection (ConnectionRefusedError, socket.gaierror, TimeoutError, ...); it says where.
        AuthError: wrong password or user.
        AccessDenied: the switch's ACL.
        CommandTimeout: the login was not answered in time.
        ConnectionClosed: the connection ended before.
        InvalidCommand: password or user cannot be sent.
        TypeError, ValueError: an option is wrong.
    """
    check_connect(
        host,
        port,
        connect_timeout=connect_timeout,
        command_timeout=command_timeout,
        reconnect=reconnect,
        keepalive=keepalive,
    )
    options: dict[str, Any] = {
        "queue_limit": queue_limit,
        "queue_hard_limit": queue_hard_limit,
        "when_full": when_full,
        "switch_queue_limit": switch_queue_limit,
        "pause_limit": pause_limit,
        "max_header_bytes": max_header_bytes,
        "max_body_bytes": max_body_bytes,
        "where": _where(host, port),
    }
    books = Reconnection.of(reconnect, password, connect_first)

    def dial(lost: _Link | None, seconds: float) -> _Link:
        earlier: dict[str, Any] = {}
        if lost is not None:
            earlier["subscriptions"] = lost.connection.subscriptions
            earlier["queue"] = lost.connection.queue
            earlier["gap"] = lambda: books.gap(time.monotonic())
        connection = Connection.inbound(password_now(password), user, **options, **earlier)
        return _Link(_reach(host, port, seconds), connection, keepalive, is_wanted(caretaker))

    link = _first(books if connect_first else None, lambda: dial(None, connect_timeout), connect_timeout)
    return Client(link, (host, port), command_timeout, books, dial, connect_timeout)


def _reach(host: str, port: int, seconds: float) -> socket.socket:
    """A socket that is connected. What goes wrong says where."""
    try:
        return socket.create_connection((host, port), None if seconds == math.inf else seconds)
    except (OSError, UnicodeError) as error:
        raise unreachable(error, host, port, seconds) from None


class _Refusal:
    """A call that is sent away: `connect`, and what lets its channel go on in the dialplan."""

    __slots__ = ("_parted", "address", "connection", "deadline", "over", "sock")

    def __init__(self, sock: socket.socket, connection: Connection, address: tuple[str, int], deadline: float) -> None:
        self.sock = sock
        self.connection = connection
        self.address = address
        self.deadline = deadline
        self.over = False
        self._parted = False
        sock.setblocking(False)
        self._send()

    def read(self) -> None:
        """Take in what came, and say what is due."""
        try:
            data = self.sock.recv(limits.RECEIVE_BYTES_MIN)
        except OSError as error:
            if _is_early(error):
                return
            self.connection.lost(error)
        else:
            self.connection.receive(data) if data else self.connection.receive_eof()
        if self.connection.logged_in and self.connection.end is None and not self._parted:
            self._parted = True
            self.over = farewell(self.connection, "resume") is None
            self._send()
        self.over = self.over or self.connection.end is not None

    def _send(self) -> None:
        try:
            self.sock.send(self.connection.data_to_send())  # some fifty bytes in all: there is room for them
        except OSError as error:
            self.connection.lost(error)
            self.over = True

    def give_up(self, reason: str) -> None:
        """Before all was said."""
        self.connection.abort(reason)
        self.over = True


class _Porter:
    """At the door of a server: takes calls in while there is room, sends others away, and shuts the door when nobody
    waits any more. Its thread waits for nobody, but for all at once."""

    def __init__(self, server: Server, door: Door) -> None:
        self.refusals: set[_Refusal] = set()
        self._server = server
        self._door = door
        self._selector = selectors.DefaultSelector()
        self._bell, self._rope = socket.socketpair()
        for end in (self._bell, self._rope):
            end.setblocking(False)
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._watched: socket.socket | None = None
        self._again = 0.0  # when to try again what did not succeed
        self._until = math.inf  # when sending away has to end

    def ring(self) -> None:
        """Have it look: a call has ended, or the server is closed."""
        with suppress(OSError):  # it has been told often, or is gone
            self._rope.send(b"!")

    def stop(self, deadline: float) -> None:
        """Shut the door, and have sent away by then those who wait at it."""
        self._until = min(self._until, deadline)
        self.ring()

    def work(self) -> None:
        """Until the server is closed."""
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
        with suppress(OSError):  # in a child process some systems have taken it away
            self._selector.close()
        self._bell.close()
        self._rope.close()

    def _turn(self) -> bool:
        """Do what is due, wait for more; False if the server is closed and nobody is left."""
        if self._server._closing.is_set():
            self._lock_up()
            if not self.refusals:
                return False
        else:
            self._attend()
        for key, _ in self._selector.select(self._seconds()):
            if key.data is not None:
                self._read(key.data)
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
        """Those who wait at the door come in or are sent away; it is opened and shut."""
        now = time.monotonic()
        if now < self._again:
            return
        if not self._door.listening and not self._server._full and not self._door.open():
            self._again = now + limits.LISTEN_AGAIN_SECONDS
        try:
            self._take_in()
        except (OSError, RuntimeError) as error:  # no descriptors or no threads left
            _LOG.error("cannot accept a call: %s", error)
            self._again = now + _PAUSE
            if self._server._full and self._door.own and not self.refusals:
                self._shut()  # better refused than left to wait
        waits = self._door.listening and now >= self._again and len(self.refusals) < limits.REFUSALS
        self._watch(self._door.sock if waits else None)

    def _take_in(self) -> None:
        while self._door.listening and not self._server._closing.is_set() and len(self.refusals) < limits.REFUSALS:
            found = self._door.accept()
            if found is None:
                if self._server._full and self._door.own:
                    self._shut()
                    _LOG.warning("%s calls run, which is all: others are refused until one ends", self._server.calls)
                return
            if not self._server._full:
                self._server._take(*found)
                continue
            self._server.refused += 1
            _LOG.warning("a call from %s:%s was refused: %s are running", *found[1], self._server.calls)
            self._send_away(*found)

    def _lock_up(self) -> None:
        """For good. Who waits at our own door is sent away; at somebody else's others will come."""
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
        refusal = _Refusal(sock, self._server._make_connection(), address, deadline)
        try:
            self._selector.register(sock, selectors.EVENT_READ, refusal)
        except OSError:
            sock.close()
            raise
        self.refusals.add(refusal)
        if refusal.over:
            self._dismiss(refusal)

    def _read(self, refusal: _Refusal) -> None:
        refusal.read()
        if refusal.over:
            self._dismiss(refusal)

    def _dismiss(self, refusal: _Refusal) -> None:
        end = refusal.connection.end
        if end is not None and not end.clean:
            _LOG.warning("a call from %s:%s was refused without being sent on: %s", *refusal.address, end.reason)
        self.refusals.discard(refusal)
        self._selector.unregister(refusal.sock)
        refusal.sock.close()


class Server:
    """Listens for calls and runs a handler for each, in a thread of its own; `serve` makes it.

    A context manager: leaving it closes the server.

    When `max_calls` run it stops listening, so that the switch is refused and tries its next host, and listens again,
    at the same address, as soon as one has ended. Who had connected by then is refused as well as can be: the call goes
    on in the dialplan behind `socket`.

    Attributes:
        host, port: where it listens.
        refused: calls that had connected while `max_calls` were running. Those that the kernel refused are not known.

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
        self.refused = 0
        self._handler = handler
        self._make_connection = make_connection
        self._make_call = make_call
        self._max_calls = max_calls
        self._first_frame_timeout = first_frame_timeout
        self._running: dict[threading.Thread, Call] = {}
        self._new_locks()
        self._door = door
        self._porter = _Porter(self, door)
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
    def _full(self) -> bool:
        return self.calls >= self._max_calls

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

        Closing a call ends what its handler waits for, with ConnectionClosed. Twice is once: the second waits for the
        first; but a handler may close the server, and is not waited for by itself.

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
        """Say to these what becomes of them, and let their handlers see it."""
        if calls == "leave":
            return
        deadline = time.monotonic() + _GRACE
        said: list[tuple[_Link, Wait[Any]]] = []
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
            if isinstance(error, ConnectionClosed) and (call.closed or isinstance(error, ChannelEnded)):
                _LOG.info("the call %s ended under its handler: %s", call.uuid, error)
            else:
                _LOG.exception("the handler of the call %s failed", call.uuid)

    def _forget(self, thread: threading.Thread, call: Call) -> None:
        call.close()
        with self._lock:
            self._running.pop(thread, None)
        self._porter.ring()


def _join(threads: Iterable[threading.Thread], deadline: float) -> None:
    for thread in threads:
        while thread is not threading.current_thread() and thread.is_alive() and time.monotonic() < deadline:
            thread.join(_left(deadline))


def serve(
    handler: Callable[[Call], object],
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    sock: socket.socket | None = None,
    max_calls: int = 1000,
    first_frame_timeout: float = 10,
    command_timeout: float = 30,
    keepalive: float | None = None,
    queue_limit: int = limits.EVENT_QUEUE,
    queue_hard_limit: int = limits.EVENT_QUEUE_HARD,
    when_full: Literal["pause", "drop"] = "pause",
    switch_queue_limit: int | None = limits.SWITCH_QUEUE,
    pause_limit: float | None = limits.PAUSE_SECONDS,
    caretaker: bool = True,
    max_header_bytes: int = limits.MAX_HEADER_BYTES,
    max_body_bytes: int = limits.MAX_BODY_BYTES,
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
            then go on in the dialplan behind `socket`, and so does each one beyond `max_calls` at a given `sock`. One
            that the kernel takes in just before the server stops listening is lost: its connection breaks, and if it is
            async and unanswered it stays parked.
        first_frame_timeout: seconds within which the channel's data must come.
        command_timeout: seconds within which a reply must come.
        keepalive, queue_limit, queue_hard_limit, when_full: as `connect` has them.
        switch_queue_limit, pause_limit, caretaker, max_header_bytes, max_body_bytes: likewise.

    Raises:
        OSError: the address cannot be listened on.
        TypeError, ValueError: an option is wrong.
    """
    check_serve(
        host,
        port,
        sock=sock,
        max_calls=max_calls,
        first_frame_timeout=first_frame_timeout,
        command_timeout=command_timeout,
        keepalive=keepalive,
    )
    check_handler(handler)
    options: dict[str, Any] = {
        "queue_limit": queue_limit,
        "queue_hard_limit": queue_hard_limit,
        "when_full": when_full,
        "switch_queue_limit": switch_queue_limit,
        "pause_limit": pause_limit,
        "max_header_bytes": max_header_bytes,
        "max_body_bytes": max_body_bytes,
    }

    def make_connection() -> Connection:
        return Connection.outbound(**options)

    def make_call(sock: socket.socket, address: tuple[str, int]) -> Call:
        return Call(_Link(sock, make_connection(), keepalive, is_wanted(caretaker)), address, command_timeout)

    make_connection()  # wrong options are an error here, not with the first call
    door = Door.at(addresses(host, port)) if sock is None else Door.of(sock)
    return Server(handler, door, make_connection, make_call, max_calls, first_frame_timeout)
