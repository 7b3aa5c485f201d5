"""Blocking Event Socket: an inbound client, and a server for outbound calls.

Nobody reads in the background. Whoever waits, for a reply, a job or an event, reads the socket: the first to wait
becomes the reader, hands everybody what is theirs, and passes the reading on when it has its own. Between waits the
kernel's buffers fill, and then the switch queues.

Any number of threads may use a client: commands go out whole, one after the other, and each event goes to one of the
threads that read events. Under gevent's monkey patching threads are greenlets and all of this holds.

Every decision about the protocol is `connection.Connection`'s; here are sockets, threads and time.
"""

from __future__ import annotations

import logging
import math
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from . import limits
from ._codec import Message
from .backoff import Backoff
from .commands import Headers
from .connection import Connection, Reply, Wait, variable
from .enums import HangupCause, LogLevel
from .errors import AccessDenied, AuthError, ConnectionClosed, ESLError
from .events import CommandReply, Event, Gap, JobResult

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from .subscriptions import Subscriptions

T = TypeVar("T")

_LOG = logging.getLogger("eslcodec")
_LONG = 3600.0  # seconds: a socket's timeout where none was asked for, for without one it would be in another mode
_TURN = 0.05  # seconds that a send waits before it looks whether reading would help
_PATIENCE = 30.0  # seconds without progress after which a send is given up
_ACCEPT = 0.2  # seconds after which a server looks whether it was closed
_LAST = 5.0  # seconds for the handlers of calls that were closed


def _nothing() -> None:
    """A waker for those whom the condition wakes."""


class _Link:
    """One connection and its socket: who reads it, who writes it, who waits.

    Reading and writing have a socket object each, of the same connection, since the timeout of one is not the other's.
    """

    def __init__(self, sock: socket.socket, connection: Connection, keepalive: float | None = None) -> None:
        self.connection = connection
        self.lock = threading.Lock()  # guards the connection
        self.heard = time.monotonic()
        self._changed = threading.Condition(self.lock)
        self._sending = threading.Lock()
        self._keepalive = keepalive
        self._reading = False
        self._in, self._out = sock, sock.dup()
        self._in_timeout = -1.0
        self._out.settimeout(_TURN)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def outcome(self, wait: Wait[T], timeout: float | None) -> T:
        """Send what has to be sent, and wait for what comes of it.

        Raises:
            CommandTimeout: not within `timeout` seconds; None is no limit.
            EventQueueFull: it stands behind more events than may wait.
            ESLError: what it failed with.
        """
        with self.lock:
            wait.watch(_nothing)
        try:
            self.flush()
            if not self.wait_for(lambda: wait.done or self.connection.stuck, timeout):
                assert timeout is not None
                raise self.connection.timeout_error(wait.what, timeout)
            if not wait.done:
                raise self.connection.stuck_error(wait.what)
            return wait.result()
        finally:
            with self.lock:
                wait.unwatch(_nothing)

    def wait_for(self, ready: Callable[[], object], timeout: float | None) -> bool:
        """Read, or let another thread read, until something is so; False if it is not within `timeout` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            with self._changed:
                if ready():
                    return True
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return False
                if self._reading:
                    self._changed.wait(left)
                    continue
                if self.connection.end is not None:
                    return bool(ready())
                self._read(_LONG if left is None else left)
            self.flush()

    def flush(self) -> None:
        """Send what the connection has to send. A switch that takes nothing may be waiting for us to read: so we do."""
        with self._sending:
            while data := self._data_to_send():
                with memoryview(data) as view:
                    self._send(view)

    def close(self) -> None:
        """We close; whoever waits is woken. Twice is once."""
        with self._changed:
            self.connection.close()
            self._dispose()
            self._changed.notify_all()

    def abort(self, reason: str) -> None:
        """We give up."""
        with self._changed:
            self.connection.abort(reason)
            self._dispose()
            self._changed.notify_all()

    # With the lock

    def _read(self, timeout: float) -> None:
        """One turn of reading. The lock is free while the kernel waits."""
        self._reading = True
        try:
            self._receive(timeout)
        finally:
            self._reading = False
            if self.connection.end is not None:
                self._dispose()
            self._changed.notify_all()

    def _receive(self, timeout: float) -> None:
        connection = self.connection
        if self._keepalive is not None:
            timeout = min(timeout, max(self.heard + self._keepalive - time.monotonic(), 0.001))
        if timeout != self._in_timeout:
            self._in_timeout = timeout
            self._in.settimeout(timeout)
        with connection.get_buffer() as room:
            self.lock.release()
            try:
                size = self._in.recv_into(room)
            except TimeoutError:
                size = -1
            except OSError as error:
                failure: OSError | None = error
                size = -2
            finally:
                self.lock.acquire()
        if size > 0:
            self.heard = time.monotonic()
            connection.buffer_updated(size)
        elif size == 0:
            connection.receive_eof()
        elif size == -2:
            connection.lost(failure)
        elif self._keepalive is not None and time.monotonic() >= self.heard + self._keepalive:
            self.heard = time.monotonic()
            connection.silence(self._keepalive)

    def _dispose(self) -> None:
        """Close the sockets; a thread that reads is woken and does it itself."""
        if self._reading:
            with suppress(OSError):
                self._in.shutdown(socket.SHUT_RDWR)
            return
        self._in.close()
        self._out.close()

    # Sending

    def _data_to_send(self) -> bytes:
        with self.lock:
            return self.connection.data_to_send()

    def _send(self, view: memoryview) -> None:
        sent, since = 0, time.monotonic()
        while sent < len(view):
            try:
                sent += self._out.send(view[sent:])
                since = time.monotonic()
            except TimeoutError:
                if time.monotonic() > since + _PATIENCE:
                    self.abort(f"the switch took nothing for {_PATIENCE:g} s, in the middle of a command")
                    return
                self._read_meanwhile()
            except OSError as error:
                self._could_not_send(error)
                return

    def _read_meanwhile(self) -> None:
        with self._changed:
            if not self._reading and self.connection.end is None and self.connection.wants_data:
                self._read(_TURN)

    def _could_not_send(self, error: OSError) -> None:
        """What the switch said before it closed is read first: it may say why."""
        while True:
            with self._changed:
                if self.connection.end is not None:
                    return
                if self._reading or not self.connection.wants_data:
                    break
                before = self.heard
                self._read(_TURN)
                if self.heard == before:
                    break
        with self._changed:
            self.connection.lost(error)
            self._dispose()
            self._changed.notify_all()


class Job:
    """A background job, from `Client.bgapi`.

    Attributes:
        uuid: its Job-UUID.
    """

    def __init__(self, uuid: str, link: _Link, wait: Wait[JobResult]) -> None:
        self.uuid = uuid
        self._link = link
        self._wait = wait

    def __repr__(self) -> str:
        return f"<Job {self.uuid}{' done' if self.done else ''}>"

    @property
    def done(self) -> bool:
        """Whether `result` returns, or raises, at once."""
        return self._wait.done

    def result(self, timeout: float | None = None) -> JobResult:
        """What the command wrote, once it has ended; any number of times.

        Args:
            timeout: seconds to wait at most, None for as long as the connection lasts.

        Raises:
            CommandTimeout: it has not ended in time; ask again later.
            CommandError: the switch refused the job, or to report its end.
            EventQueueFull: nobody reads the events that stand before it.
            ConnectionClosed: the connection ended before it did.
        """
        return self._link.outcome(self._wait, timeout)


class Client:
    """A connection to a switch, logged in; `connect` makes it. A context manager that closes it.

    Every command takes `timeout`, in seconds; None is the client's `command_timeout`, `math.inf` no limit. What all of
    them raise: CommandTimeout (the connection stays usable), ConnectionClosed or the error that ended the connection,
    EventQueueFull, InvalidCommand (nothing was sent). What the switch refuses is a CommandError, but for `send`,
    `pipeline`, `api` and `getvar`, whose replies are data.
    """

    def __init__(
        self,
        link: _Link,
        command_timeout: float,
        reopen: Callable[[Client], _Link] | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self._link = link
        self._command_timeout = command_timeout
        self._reopen = reopen
        self._backoff = backoff
        self._closing = threading.Event()
        self._reconnecting = threading.Lock()
        self._dropped = 0
        self._handlers: dict[str, list[tuple[str | None, Callable[[Event], object]]]] = {}

    def __repr__(self) -> str:
        end = self.connection.end
        return f"<{type(self).__name__} {'open' if end is None else f'closed: {end.reason}'}>"

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
        """Events dropped because the queue was full (`when_full="drop"`)."""
        return self._dropped + self.connection.dropped

    @property
    def closed(self) -> bool:
        """Whether the connection has ended."""
        return self.connection.end is not None

    def close(self) -> None:
        """Close the connection, from any thread; every wait ends. What was received can still be read."""
        self._closing.set()
        self._link.close()

    # Reading

    def events(self, timeout: float | None = None) -> Iterator[Event]:
        """Events as they come, after a reconnection a `Gap` among them; other messages are passed over.

        Args:
            timeout: seconds without anything after which iteration ends, None for no end.

        Raises:
            ConnectionClosed: the connection did not end well; everything received was yielded. Also the ProtocolError
                that ended it, or AuthError or AccessDenied of a reconnection.
        """
        queue = self.connection.queue
        while True:
            try:
                message = queue.popleft()
            except IndexError:
                if not self._more(timeout):
                    return
                continue
            if isinstance(message, Event):
                yield message

    def messages(self, timeout: float | None = None) -> Iterator[Message]:
        """As `events`, with log lines, linger notices and frames of unknown kind."""
        queue = self.connection.queue
        while True:
            try:
                message = queue.popleft()
            except IndexError:
                if not self._more(timeout):
                    return
                continue
            yield message

    def next_event(self, timeout: float | None = None) -> Event | None:
        """The next event; None if none came within `timeout` seconds, or the connection has ended well."""
        return next(self.events(timeout), None)

    def on(self, name: str, handler: Callable[[Event], object], *, subclass: str | None = None) -> None:
        """Have `run` call a handler for events of this name.

        Args:
            name: such as "DTMF"; "ALL" for every event.
            handler: called with the event.
            subclass: for CUSTOM, only events of this subclass.
        """
        self._handlers.setdefault(name.upper(), []).append((subclass, handler))

    def run(self) -> None:
        """Read events and call their handlers, one after the other, until the connection ends.

        A handler's exception is logged and hurts no other.

        Raises:
            ConnectionClosed: as `events`.
        """
        for event in self.events():
            for handler in self._handlers_of(event):
                try:
                    handler(event)
                except Exception:
                    _LOG.exception("a handler of %s failed", event.name)

    def _handlers_of(self, event: Event) -> list[Callable[[Event], object]]:
        registered = [*self._handlers.get(event.name or "", ()), *self._handlers.get("ALL", ())]
        return [handler for subclass, handler in registered if subclass in (None, event.subclass)]

    def _more(self, timeout: float | None) -> bool:
        """Wait until there is something in the queue. False if it did not come in time, or never will."""
        link = self._link
        connection = link.connection
        if not link.wait_for(lambda: connection.queue or connection.end is not None, timeout):
            return False
        if connection.queue:
            return True
        assert connection.end is not None
        if self._backoff is not None and connection.end.worth_retrying:
            self._reconnect(link, self._backoff)
            return True
        if connection.end.clean:
            return False
        raise connection.end.error()

    def _reconnect(self, lost: _Link, backoff: Backoff) -> None:
        assert self._reopen is not None
        with self._reconnecting:
            if self._link is not lost:
                return  # another thread did it
            failure: Exception = ConnectionClosed("closed by us")
            for delay in backoff.delays():
                if self._closing.wait(delay):
                    raise ConnectionClosed("closed by us")
                try:
                    link = self._reopen(self)
                except (AuthError, AccessDenied):
                    raise
                except (OSError, ESLError) as error:
                    _LOG.info("cannot connect again: %s", error)
                    failure = error
                    continue
                self._dropped += lost.connection.dropped
                self._link = link
                if self._closing.is_set():
                    link.close()
                return
            raise failure

    # Commands

    def _limit(self, wait: Wait[Any], timeout: float | None) -> float | None:
        if timeout is None:
            return None if wait.patient else self._command_timeout
        return None if timeout == math.inf else timeout

    def _ask(self, begin: Callable[[Connection], Wait[T]], timeout: float | None) -> T:
        link = self._link
        with link.lock:
            wait = begin(link.connection)
        return link.outcome(wait, self._limit(wait, timeout))

    def send(self, command: bytes | str, *, timeout: float | None = None) -> Reply:
        """One command as it goes over the wire, its blank line may be missing; its reply, whatever it says."""
        return self._ask(lambda connection: connection.send(command), timeout)

    def pipeline(self, commands: Iterable[bytes | str], *, timeout: float | None = None) -> list[Reply]:
        """Send many commands at once and collect their replies, in order; `timeout` is for each reply."""
        link = self._link
        with link.lock:
            waits = link.connection.pipeline(commands)
        return [link.outcome(wait, self._limit(wait, timeout)) for wait in waits]

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
        return self._ask(lambda connection: connection.api(command, args, console_execute=console_execute), timeout)

    def bgapi(self, command: str, args: str = "", *, job_uuid: str | None = None, timeout: float | None = None) -> Job:
        """`bgapi`: run an API command in the background. BACKGROUND_JOB is subscribed to by itself."""
        link = self._link
        with link.lock:
            accepted, result = link.connection.bgapi(command, args, job_uuid=job_uuid)
        reply = link.outcome(accepted, self._limit(accepted, timeout))
        return Job(reply.job_uuid or job_uuid or "", link, result)

    def subscribe(
        self, *names: str, custom: Sequence[str] = (), format: str | None = None, timeout: float | None = None
    ) -> CommandReply:
        """`event`: events of these names too; `custom` are subclasses, `format` is for all events from now."""
        return self._ask(lambda connection: connection.subscribe(*names, custom=custom, format=format), timeout)

    def unsubscribe(self, *names: str, custom: Sequence[str] = (), timeout: float | None = None) -> CommandReply:
        """`nixevent`: these no more."""
        return self._ask(lambda connection: connection.unsubscribe(*names, custom=custom), timeout)

    def noevents(self, *, timeout: float | None = None) -> CommandReply:
        """`noevents`: no events any more."""
        return self._ask(lambda connection: connection.noevents(), timeout)

    def myevents(
        self, uuid: str | None = None, *, format: str | None = None, timeout: float | None = None
    ) -> CommandReply:
        """`myevents`: the events of one channel; without a uuid of the connection's own."""
        return self._ask(lambda connection: connection.myevents(uuid, format=format), timeout)

    def divert_events(self, on: bool = True, *, timeout: float | None = None) -> CommandReply:
        """`divert_events`: what a script's input callback would get comes here."""
        return self._ask(lambda connection: connection.divert_events(on), timeout)

    def filter(self, header: str, value: str, *, timeout: float | None = None) -> CommandReply:
        """`filter add`: of the events subscribed to, only those that match a filter; see `commands.filter`."""
        return self._ask(lambda connection: connection.filter(header, value), timeout)

    def filter_delete(
        self, header: str = "all", value: str | None = None, *, timeout: float | None = None
    ) -> CommandReply:
        """`filter delete`."""
        return self._ask(lambda connection: connection.filter_delete(header, value), timeout)

    def sendevent(
        self,
        name: str,
        headers: Headers = (),
        body: bytes | str = b"",
        *,
        subclass: str | None = None,
        timeout: float | None = None,
    ) -> CommandReply:
        """`sendevent`: fire an event in the switch; see `commands.sendevent`."""
        return self._ask(lambda connection: connection.sendevent(name, headers, body, subclass=subclass), timeout)

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
        return self._ask(lambda connection: connection.sendmsg(call_command, headers, body, uuid=uuid), timeout)

    def hangup(
        self,
        cause: str | HangupCause = HangupCause.NORMAL_CLEARING,
        *,
        uuid: str | None = None,
        timeout: float | None = None,
    ) -> CommandReply:
        """Hang up a channel; without a uuid the connection's own."""
        return self._ask(lambda connection: connection.hangup(cause, uuid=uuid), timeout)

    def log(self, level: str | int | LogLevel | None = None, *, timeout: float | None = None) -> CommandReply:
        """`log`: the switch's log lines up to this level, among `messages`."""
        return self._ask(lambda connection: connection.log(level), timeout)

    def nolog(self, *, timeout: float | None = None) -> CommandReply:
        """`nolog`."""
        return self._ask(lambda connection: connection.nolog(), timeout)

    def linger(self, seconds: int | None = None, *, timeout: float | None = None) -> CommandReply:
        """`linger`: stay connected after the hangup, for so many seconds or until we close."""
        return self._ask(lambda connection: connection.linger(seconds), timeout)

    def nolinger(self, *, timeout: float | None = None) -> CommandReply:
        """`nolinger`."""
        return self._ask(lambda connection: connection.nolinger(), timeout)

    def getvar(self, name: str, *, timeout: float | None = None) -> str | None:
        """`getvar`: a variable of the connection's own channel, None if it is unset; see `Connection.getvar`."""
        return variable(self._ask(lambda connection: connection.getvar(name), timeout))

    def resume(self, *, timeout: float | None = None) -> CommandReply:
        """`resume`: go on in the dialplan when this connection closes."""
        return self._ask(lambda connection: connection.resume(), timeout)

    def exit(self, *, timeout: float | None = None) -> CommandReply:
        """`exit`: the switch says good-bye and closes."""
        return self._ask(lambda connection: connection.exit(), timeout)

    def execute(
        self, application: str, argument: str = "", *, timeout: float | None = None, **options: Any
    ) -> CommandReply:
        """Run a dialplan application on a channel (`uuid=`); options as `commands.execute` takes them."""
        return self._ask(lambda connection: connection.execute(application, argument, **options), timeout)


class Call(Client):
    """A call that the switch connected to us for; `serve` makes it and hands it to its handler.

    What runs an application returns when the switch has accepted it; on a static socket (`mode`) that is when it has
    ended. With `wait=True` they return its CHANNEL_EXECUTE_COMPLETE on any socket, and raise ChannelEnded when the
    channel hangs up before; `timeout` is for that, None for as long as it takes.

    Attributes:
        data: the channel's data as the switch sent it at the beginning, an `Event` of name CHANNEL_DATA.
    """

    def __init__(self, link: _Link, command_timeout: float, data: CommandReply) -> None:
        super().__init__(link, command_timeout)
        self.data = Event.from_payload(data.raw, "plain")

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

    def connect(self, *, timeout: float | None = None) -> Event:
        """The channel's data as it is now."""
        reply = self._ask(lambda connection: connection.connect(), timeout)
        return Event.from_payload(reply.raw, "plain")

    @overload
    def execute(
        self,
        application: str,
        argument: str = "",
        *,
        wait: Literal[False] = False,
        timeout: float | None = None,
        **options: Any,
    ) -> CommandReply: ...
    @overload
    def execute(
        self, application: str, argument: str = "", *, wait: Literal[True], timeout: float | None = None, **options: Any
    ) -> Event: ...
    @overload
    def execute(
        self, application: str, argument: str = "", *, wait: bool, timeout: float | None = None, **options: Any
    ) -> CommandReply | Event: ...
    def execute(
        self, application: str, argument: str = "", *, wait: bool = False, timeout: float | None = None, **options: Any
    ) -> CommandReply | Event:
        """Run a dialplan application on the channel; options as `commands.execute` takes them."""
        if not wait:
            return super().execute(application, argument, timeout=timeout, **options)
        link = self._link
        with link.lock:
            accepted, ended = link.connection.run(application, argument, **options)
        link.outcome(accepted, self._limit(accepted, None))
        return link.outcome(ended, self._limit(ended, timeout))

    def answer(self, *, wait: bool = False, timeout: float | None = None) -> CommandReply | Event:
        """Answer the call."""
        return self.execute("answer", wait=wait, timeout=timeout)

    def pre_answer(self, *, wait: bool = False, timeout: float | None = None) -> CommandReply | Event:
        """Send early media."""
        return self.execute("pre_answer", wait=wait, timeout=timeout)

    def ring_ready(self, *, wait: bool = False, timeout: float | None = None) -> CommandReply | Event:
        """Say that it rings."""
        return self.execute("ring_ready", wait=wait, timeout=timeout)

    def playback(self, path: str, *, wait: bool = False, timeout: float | None = None) -> CommandReply | Event:
        """Play a file, or what else `playback` takes, to the caller."""
        return self.execute("playback", path, wait=wait, timeout=timeout)

    def record(self, path: str, *, wait: bool = False, timeout: float | None = None) -> CommandReply | Event:
        """Record the caller; behind the path `record` takes limits, as in "/tmp/a.wav 60 200 5"."""
        return self.execute("record", path, wait=wait, timeout=timeout)

    def bridge(self, destination: str, *, wait: bool = False, timeout: float | None = None) -> CommandReply | Event:
        """Connect the call to a dial string."""
        return self.execute("bridge", destination, wait=wait, timeout=timeout)

    def set(self, name: str, value: str, *, wait: bool = False, timeout: float | None = None) -> CommandReply | Event:
        """Set a channel variable."""
        return self.execute("set", f"{name}={value}", wait=wait, timeout=timeout)

    def unset(self, name: str, *, wait: bool = False, timeout: float | None = None) -> CommandReply | Event:
        """Unset a channel variable."""
        return self.execute("unset", name, wait=wait, timeout=timeout)

    def sleep(self, milliseconds: int, *, wait: bool = False, timeout: float | None = None) -> CommandReply | Event:
        """Let the channel do nothing for a while."""
        return self.execute("sleep", str(milliseconds), wait=wait, timeout=timeout)

    def park(self, *, wait: bool = False, timeout: float | None = None) -> CommandReply | Event:
        """Park the channel."""
        return self.execute("park", wait=wait, timeout=timeout)

    def transfer(self, destination: str, *, wait: bool = False, timeout: float | None = None) -> CommandReply | Event:
        """Send the channel to an extension: "1000", or "1000 XML default"."""
        return self.execute("transfer", destination, wait=wait, timeout=timeout)


def connect(
    host: str = "127.0.0.1",
    port: int = 8021,
    *,
    password: str | None = None,
    user: str | None = None,
    connect_timeout: float = 5,
    command_timeout: float = 30,
    reconnect: bool | Backoff = False,
    keepalive: float | None = None,
    queue_limit: int = limits.EVENT_QUEUE,
    queue_hard_limit: int = limits.EVENT_QUEUE_HARD,
    when_full: Literal["pause", "drop"] = "pause",
    max_header_bytes: int = limits.MAX_HEADER_BYTES,
    max_body_bytes: int = limits.MAX_BODY_BYTES,
) -> Client:
    """Connect to a switch and log in.

    Args:
        host, port: of the switch's event_socket.conf.
        password: None is the switch's own default, ClueCon.
        user: "user@domain" for a directory user.
        connect_timeout: seconds for the connection, and once more for the login.
        command_timeout: seconds within which a reply must come.
        reconnect: whether whoever reads events connects again when the connection ended unasked.
        keepalive: seconds without a byte after which the switch is asked for a sign of life, while somebody reads;
            after as long again the connection is given up. None: never.
        queue_limit: see `when_full`; while nobody waits nothing is read, so that this only counts during commands.
        queue_hard_limit: events that may come before a reply; more is EventQueueFull.
        when_full: "drop": while a reply is waited for, only the newest `queue_limit` events are kept, `dropped` counts.
        max_header_bytes, max_body_bytes: bounds of a frame.

    Raises:
        OSError: no connection; TimeoutError is one.
        AuthError: wrong password or user.
        AccessDenied: the switch's ACL.
        CommandTimeout: the login was not answered in time.
        ConnectionClosed: the connection ended before.
        InvalidCommand: password or user cannot be sent.
    """
    options: dict[str, Any] = {
        "queue_limit": queue_limit,
        "queue_hard_limit": queue_hard_limit,
        "when_full": when_full,
        "max_header_bytes": max_header_bytes,
        "max_body_bytes": max_body_bytes,
    }
    secret = "ClueCon" if password is None else password

    def open_link(client: Client | None = None) -> _Link:
        if client is None:
            connection = Connection.inbound(secret, user, **options)
        else:
            link, end = client._link, client.connection.end
            reason = end.reason if end is not None else ""
            connection = Connection.inbound(
                secret,
                user,
                subscriptions=client.subscriptions,
                queue=client.connection.queue,
                gap=lambda: Gap.of(time.monotonic() - link.heard, reason),
                **options,
            )
        sock = socket.create_connection((host, port), connect_timeout)
        return _opened(_Link(sock, connection, keepalive), connect_timeout)

    backoff = Backoff() if reconnect is True else reconnect or None
    return Client(open_link(), command_timeout, open_link, backoff)


def _opened(link: _Link, timeout: float) -> _Link:
    """The same, logged in."""
    try:
        link.outcome(link.connection.ready, timeout)
    except BaseException:
        link.abort("the login failed")
        raise
    return link


class Server:
    """Listens for calls and runs a handler for each, in a thread of its own; `serve` makes it.

    A context manager: leaving it closes the server.

    Attributes:
        host, port: where it listens.
        refused: connections closed at once because `max_calls` were running.
    """

    def __init__(
        self,
        handler: Callable[[Call], object],
        host: str,
        port: int,
        *,
        max_calls: int,
        first_frame_timeout: float,
        command_timeout: float,
        options: dict[str, Any],
    ) -> None:
        self._handler = handler
        self._max_calls = max_calls
        self._first_frame_timeout = first_frame_timeout
        self._command_timeout = command_timeout
        self._options = options
        self._lock = threading.Lock()
        self._calls: dict[threading.Thread, _Link] = {}
        self._changed = threading.Condition(self._lock)
        self._closing = threading.Event()
        self.refused = 0
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family, backlog=min(max_calls, 1024))
        self._listener.settimeout(_ACCEPT)
        self.host: str = self._listener.getsockname()[0]
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, name="eslcodec-serve", daemon=True)
        self._acceptor.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Server on {self.host} port {self.port}: {self.calls} calls>"

    @property
    def calls(self) -> int:
        """How many calls run."""
        with self._lock:
            return len(self._calls)

    def serve_forever(self) -> None:
        """Wait until the server is closed, by another thread or a KeyboardInterrupt here."""
        while not self._closing.wait(_LONG):
            pass

    def close(self, timeout: float | None = 5) -> None:
        """Take no calls any more, wait for those that run, and close what is left of them then.

        Args:
            timeout: seconds that running calls are given; None is no limit.
        """
        self._closing.set()
        if threading.current_thread() is not self._acceptor:
            self._acceptor.join()
        if not self._wait_for_calls(timeout):
            with self._lock:
                left = list(self._calls.values())
            for link in left:
                link.close()
            self._wait_for_calls(_LAST)

    def _wait_for_calls(self, timeout: float | None) -> bool:
        me = threading.current_thread()
        with self._changed:
            return self._changed.wait_for(lambda: not self._calls.keys() - {me}, timeout)

    def _accept(self) -> None:
        with self._listener:
            while not self._closing.is_set():
                try:
                    sock, _ = self._listener.accept()
                except TimeoutError:
                    continue
                except OSError:
                    _LOG.exception("cannot accept a call")
                    self._closing.wait(_ACCEPT)
                    continue
                self._begin(sock)

    def _begin(self, sock: socket.socket) -> None:
        with self._lock:
            full = len(self._calls) >= self._max_calls
            if full:
                self.refused += 1
            else:
                link = _Link(sock, Connection.outbound(**self._options))
                thread = threading.Thread(target=self._serve, args=(link,), name="eslcodec-call", daemon=True)
                self._calls[thread] = link
        if full:
            sock.close()
            _LOG.warning("a call was refused: %d are running", self._max_calls)
            return
        thread.start()

    def _serve(self, link: _Link) -> None:
        try:
            _opened(link, self._first_frame_timeout)
            self._handler(Call(link, self._command_timeout, link.connection.ready.result()))
        except ConnectionClosed as error:
            _LOG.info("a call ended: %s", error)
        except Exception:
            _LOG.exception("the handler of a call failed")
        finally:
            link.close()
            with self._changed:
                del self._calls[threading.current_thread()]
                self._changed.notify_all()


def serve(
    handler: Callable[[Call], object],
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    max_calls: int = 1000,
    first_frame_timeout: float = 10,
    command_timeout: float = 30,
    queue_hard_limit: int = limits.EVENT_QUEUE_HARD,
    max_header_bytes: int = limits.MAX_HEADER_BYTES,
    max_body_bytes: int = limits.MAX_BODY_BYTES,
) -> Server:
    """Listen for calls that the dialplan's `socket` application sends, and run `handler` for each in a thread.

    When the handler returns, its call's connection is closed; an exception of it is logged (logger "eslcodec").

    Args:
        handler: called with the `Call`, once the channel's data is there.
        host: address to listen on; loopback unless told otherwise.
        port: 0 takes a free one, which `Server.port` tells.
        max_calls: calls at once; those beyond are closed at once, so that the switch can try its next host.
        first_frame_timeout: seconds within which the channel's data must come.
        command_timeout: seconds within which a reply must come.
        queue_hard_limit, max_header_bytes, max_body_bytes: as `connect`.

    Raises:
        OSError: the address cannot be listened on.
    """
    options = {
        "queue_limit": min(limits.EVENT_QUEUE, queue_hard_limit),
        "queue_hard_limit": queue_hard_limit,
        "max_header_bytes": max_header_bytes,
        "max_body_bytes": max_body_bytes,
    }
    return Server(
        handler,
        host,
        port,
        max_calls=max_calls,
        first_frame_timeout=first_frame_timeout,
        command_timeout=command_timeout,
        options=options,
    )
