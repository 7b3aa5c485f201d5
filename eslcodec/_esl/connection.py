"""`ESLconnection`: a blocking socket, commands and their replies (docs/protocol/esl-module.md, A2).

Not over `eslcodec.connection`: the official module takes the next reply that comes for that of its command
(docs/protocol/esl-module.md, P7.3).
"""

from __future__ import annotations

import select
import socket
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from traceback import walk_tb
from typing import Any, Final, ParamSpec, TypeVar, overload

from .. import _fork
from .._codec import Message, MessageDecoder
from .._ctext import atoi, is_true_to_library, redacted, to_bytes, to_text
from ..errors import IncompleteFrame, InvalidCommand, ProtocolError
from . import commands, settings
from .arguments import as_int, as_text, wrong_arguments
from .event import ESLevent, is_valid, refused, server_disconnected
from .frames import KINDS, JsonEvent, Notice, PlainEvent, ends_connection, is_reply, outer_list, respelled, type_read
from .settings import DEBUG, ERROR, log
from .turns import Turns

MAX_BODY_BYTES: Final = 16 << 20
"""The official library ends a connection that announces a larger body (docs/protocol/framing.md, P2.4)."""

MAX_QUEUED_BYTES: Final = 1 << 30
MAX_QUEUED_FRAMES: Final = 1 << 22
"""Of what came while a reply was waited for. A switch that sends events and never the reply would fill the memory; and
the smallest frames take ten times as much as their bytes."""

_PACKAGE: Final = __name__.partition("._esl.")[0]
_DECODER: Final = (f"{_PACKAGE}._codec_py", f"{_PACKAGE}._core.")
"""What the names of the modules of the Python core begin with."""


_P = ParamSpec("_P")
_T = TypeVar("_T")


def _firing(event: ESLevent) -> bytes:
    return event._in_command(f"sendevent {event.getType()}")


def _message(event: ESLevent, uuid: str | None) -> bytes:
    return event._in_command(commands.message_line(uuid))


class ESLconnection:
    """A connection to a switch: blocking, without time limits, as in the official module.

    See docs/protocol/esl-module.md, A2.

    `ESLconnection(host, port, password)` and `ESLconnection(host, port, user, password)` log in; `ESLconnection(fd)` is
    a call that came in on this socket. Whether that worked is what `connected()` says.

    One thread may wait in `recvEvent` while others `send`; a call that waits for a reply first waits for `recvEvent` to
    return. `disconnect` ends every wait. Nothing is read while nobody waits, and nothing watches over that: a program
    that subscribes and then does not read is killed by the switch, which holds up all its other connections meanwhile.

    An exception that a signal handler, a timeout of gevent or another thread raises into a call costs that call only:
    its reply is dropped when it comes. Where it cannot be told what was sent or read, the connection ends.

    Raises:
        NotImplementedError: other arguments, as from the official module.

    Example:
        >>> from eslcodec.emulator import Emulator
        >>> with Emulator(password="ClueCon") as switch:
        ...     con = ESLconnection("127.0.0.1", str(switch.port), "ClueCon")
        ...     con.connected(), con.api("echo", "hi").getBody(), con.events("plain", "DTMF")
        ...     switch.fire("DTMF", {"DTMF-Digit": "#"})
        ...     con.recvEvent().getHeader("DTMF-Digit")
        ...     con.disconnect(), con.connected(), con.recvEvent().getType()
        (1, 'hi', 0)
        '#'
        (0, 0, 'SERVER_DISCONNECTED')
    """

    _had_socket = False

    @overload
    def __init__(self, host: str | None, port: str | int | None, password: str | None, /) -> None: ...
    @overload
    def __init__(self, host: str | None, port: str | int | None, user: str | None, password: str | None, /) -> None: ...
    @overload
    def __init__(self, socket: int, /) -> None: ...
    def __init__(self, *args: Any) -> None:
        self._socket: socket.socket | None = None
        self._connected = 0
        self._decoder = MessageDecoder(KINDS, Message, max_body_bytes=MAX_BODY_BYTES)
        self._queue: deque[Message] = deque()  # what came while a reply was waited for
        self._queued = 0  # its bytes
        self._last: Message | None = None  # the frame that came last, replies to commands apart
        self._info: Message | None = None
        self._async = self._event_lock = 0
        self._asked = False  # whether a command was sent whose reply is still to come
        self._seen = 0  # meanwhile: `consumed` of the decoder, for the frames that were dealt with
        self._writing = False  # whether a command may have been sent in part
        self._renew_locks()
        _fork.register(self)
        if len(args) == 1 and isinstance(args[0], int):
            self._attach(args[0])
            return
        if len(args) not in (3, 4):
            raise NotImplementedError(wrong_arguments("ESLconnection"))
        try:
            host, *names = (as_text(arg) for at, arg in enumerate(args) if at != 1)
            port = args[1] if isinstance(args[1], int) else as_text(args[1])
        except TypeError as error:
            raise NotImplementedError(f"{wrong_arguments('ESLconnection')}: {error}") from None
        self._log_in(host, atoi(port) if isinstance(port, str) else port, *names)

    def _renew_locks(self) -> None:
        self._receiving = Turns()
        self._sending = threading.RLock()

    def __del__(self) -> None:
        if self._had_socket:
            self.disconnect()

    def _log_in(self, host: str | None, port: int | None, *names: str | None) -> None:
        *users, password = names
        user = users[0] if users else None
        try:
            secret = "(null)" if password is None else commands.line_of("the password", password)
            login = f"userauth {commands.line_of('the user', user)}:{secret}" if user else f"auth {secret}"
            block = commands.block(login, end="")
        except InvalidCommand as error:
            refused(error)
            return
        if self._connect(host, port):
            self._in_turn(self._greet, block)

    def _greet(self, login: bytes) -> None:
        asked = self._read()
        if asked is None or type_read(asked).lower() != b"auth/request":
            self._fail("the server does not ask for a password")
        elif self._write(login):
            reply = self._read()
            if reply is None or (outer_list(reply).get("Reply-Text") or "").lower() != "+ok accepted":
                self._fail("the server does not accept the login")
            self._last = reply

    def _connect(self, host: str | None, port: int | None) -> bool:
        if port is None:
            return False
        try:
            found = socket.getaddrinfo(host, port & 0xFFFF, type=socket.SOCK_STREAM)
            family, kind, protocol, _, address = found[0]
            self._use(socket.socket(family, kind, protocol))
            if self._socket is not None:
                self._socket.connect(address)
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except (OSError, UnicodeError) as error:
            self._fail(f"cannot connect to {host}:{port}: {error}")
            self._close_if_over()
            return False
        return True

    def _attach(self, fd: int) -> None:
        try:
            self._use(socket.socket(fileno=fd if settings.strict else socket.dup(fd)))
        except (OSError, ValueError, OverflowError) as error:
            log(ERROR, f"{fd} is no socket: {error}")
            return
        self._info = self._in_turn(self._ask, "connect\n\n")

    def _use(self, sock: socket.socket) -> None:
        sock.settimeout(None)
        self._socket = sock
        self._had_socket = True
        self._connected = 1

    # State

    def socketDescriptor(self) -> int:
        """The number of the connection's socket, -1 if it is not connected."""
        sock = self._socket
        return sock.fileno() if sock is not None and self._connected else -1

    def connected(self) -> int:
        """1, or 0 once reading or writing failed, the switch said good-bye, or `disconnect` was called."""
        return self._connected

    def getInfo(self) -> ESLevent | None:
        """What the switch said about the call, each time a new event; None on an inbound connection or without one."""
        if self._info is None or not self._connected:
            return None
        return ESLevent._of_frame(self._info)

    def disconnect(self) -> int:
        """Close the connection; every call that waits on it returns. 0, or 1 if there never was a socket."""
        self._connected = 0
        sock = self._socket
        if sock is not None:
            _shut_down(sock)
            self._close_if_over()
        return 0 if self._had_socket else 1

    def _fail(self, why: str) -> None:
        if self._connected:
            log(ERROR, why)
        self._connected = 0

    def _close_if_over(self) -> None:
        """Close a socket that is not used any more. While one thread receives, it is the one that closes."""
        if self._connected or self._socket is None:
            return
        mark = object()
        try:
            if self._receiving.acquire(mark, blocking=False):
                with self._sending:
                    sock, self._socket = self._socket, None
                if sock is not None:
                    _shut_down(sock)
                    sock.close()
                self._receiving.release(mark)
        except BaseException:
            self._receiving.abandon(mark)
            raise

    def _in_turn(self, work: Callable[_P, _T], *args: _P.args, **options: _P.kwargs) -> _T:
        """Do what only one thread at a time may: receive."""
        mark, turns = object(), self._receiving
        try:
            turns.acquire(mark)
            result = work(*args, **options)
            turns.release(mark)
        except BaseException as error:
            self._interrupted(mark, turns, error)
            raise
        self._close_if_over()
        return result

    # Interruptions. Python raises them between any two steps, so what was done is read from what C code has counted.

    def _interrupted(self, mark: object, turns: Turns, error: BaseException) -> None:
        """Give up the turn; if it was ours, end a connection that would not be understood any more."""
        if turns.holds(mark) and (self._has_lost_a_frame() or _was_in_decoder(error)):
            self._end("interrupted while it read")
        turns.abandon(mark)
        self._close_if_over()

    def _has_lost_a_frame(self) -> bool:
        """Whether a frame was taken from the decoder that may have been the reply to come."""
        return self._asked and self._decoder.consumed != self._seen

    def _end(self, why: str) -> None:
        """End the connection for all threads. The socket is closed later."""
        self._fail(why)
        sock = self._socket
        if sock is not None:
            _shut_down(sock)

    def _leave(self) -> None:
        """In a child process: the connection and the threads that held its locks are the parent's (see `_fork`)."""
        sock, self._socket, self._connected = self._socket, None, 0
        self._renew_locks()
        if sock is not None:
            sock.close()

    # Bytes

    def _write(self, command: str | bytes, asks: bool = False) -> bool:
        """Send a command, and the blank line that it may lack. `asks`: its reply is awaited.

        See docs/protocol/esl-module.md, A2.3.
        """
        data = to_bytes(command) if isinstance(command, str) else command
        if not data.endswith(b"\n\n"):
            data += b"\n\n"
        if settings.log_level >= DEBUG:
            log(DEBUG, f"SEND {redacted(to_text(data))}")
        with self._sending:
            sock = self._socket
            if self._writing:
                self._end("a command was sent in part")
            if sock is None or not self._connected:
                return False
            try:
                self._writing = True
                sock.sendall(data)
                if asks:
                    self._asked = True
                self._writing = False
            except BaseException as error:
                if self._writing:
                    self._end(f"cannot send: {error!r}")
                if not _is_of_socket(error):
                    raise
                return False
        return True

    def _receive(self) -> bool:
        """Wait for bytes. False if there will be none."""
        sock = self._socket
        if sock is None or not self._connected:
            return False
        before = self._fed()
        sizes: list[int] = []
        try:
            with self._decoder.get_buffer() as room:
                sizes.extend(map(sock.recv_into, (room,)))  # no signal comes between receiving and noting the size
            self._decoder.buffer_updated(sizes[0])
        except ProtocolError:
            raise
        except BaseException as error:
            if _is_of_socket(error):
                self._fail(f"cannot receive: {error}")
                return False
            self._keep(sum(sizes), before)
            raise
        return sizes[0] > 0

    def _fed(self) -> int:
        """The bytes that the decoder was given."""
        return self._decoder.consumed + self._decoder.buffered

    def _keep(self, size: int, before: int) -> None:
        """Give the decoder what was received when an exception came, unless it has it."""
        if size and self._fed() == before:
            with suppress(ValueError, ProtocolError):  # the decoder of Python, between two states
                self._decoder.buffer_updated(size)
        if self._fed() != before + size:
            self._end("interrupted while it received")

    def _read(self, ms: int | None = None) -> Message | None:
        """The next frame from the wire. None if the connection has ended, or nothing has begun within `ms`."""
        try:
            while (frame := self._decoder.next_message()) is None:
                if ms is not None and not self._begins(ms):
                    return None
                ms = None if ms else ms
                if not self._receive():
                    self._fail("the connection has ended")
                    return None
            if settings.log_level >= DEBUG:
                log(DEBUG, f"RECV {to_text(frame.frame)}")
            return respelled(frame)
        except ProtocolError as error:
            self._fail(str(error))
            return None

    def _next_frame(self, frame: Message | None = None, ms: int | None = None) -> Message | None:
        """The next frame for `recvEvent`, this one if it was read already; None as for `_read`."""
        if not self._connected:
            return None
        if frame is None and self._queue:
            frame = self._queue.popleft()
            self._queued -= len(frame.frame)
        elif frame is None:
            frame = self._read_on(ms)
        else:
            frame = respelled(frame)
        if frame is None:
            return None
        self._last = frame
        if type(frame) is Notice and ends_connection(frame):
            self._fail("the server has said good-bye")
            return None
        return frame

    def _read_on(self, ms: int | None) -> Message | None:
        """`_read`, except the reply to a command that was interrupted, which is dropped."""
        if not self._asked:
            return self._read(ms)
        if self._has_lost_a_frame():
            self._end("interrupted while it read")
            return None
        frame = self._read(ms)
        if frame is not None and is_reply(frame):
            self._asked = False
            return self._read(ms)
        self._seen = self._decoder.consumed
        return frame

    def _ask(self, command: str | bytes) -> Message | None:
        """Send a command and wait for its reply: the next one that comes. Other frames wait in the queue.

        See docs/protocol/esl-module.md, P7.3.
        """
        if self._asked and self._reply() is None:  # that of a command that was interrupted
            return None
        self._seen = self._decoder.consumed
        return self._reply() if self._write(command, asks=True) else None

    def _reply(self) -> Message | None:
        """The reply to what was asked."""
        if self._has_lost_a_frame():
            self._end("interrupted while it read")
            return None
        while (frame := self._read()) is not None and not is_reply(frame):
            self._queue.append(frame)
            self._queued += len(frame.frame)
            self._seen = self._decoder.consumed
            if self._queued > MAX_QUEUED_BYTES or len(self._queue) > MAX_QUEUED_FRAMES:
                self._fail(f"{len(self._queue)} frames of {self._queued} bytes wait, and no reply has come")
                return None
        self._asked = False
        return frame

    def _command(self, command: str | bytes) -> ESLevent | None:
        if not self._connected:
            return None
        reply = self._in_turn(self._ask, command)
        return None if reply is None else ESLevent._of_frame(reply)

    def _built(self, build: Callable[_P, bytes], *args: _P.args, **options: _P.kwargs) -> tuple[ESLevent | None, bool]:
        """The reply to a command that is built now, and whether it was sent: what is refused has a reply of ours."""
        if not self._connected:
            return None, False
        try:
            command = build(*args, **options)
        except InvalidCommand as error:
            return refused(error), False
        return self._command(command), True

    # Commands

    def send(self, cmd: str | None, /) -> int:
        """Send a command. Its reply is a frame of `recvEvent`, or taken for that of the next command. 0, or 1 if it
        failed."""
        command = as_text(cmd)
        sent = command is not None and self._write(command)
        self._close_if_over()
        return 0 if sent else 1

    def sendRecv(self, cmd: str | None, /) -> ESLevent | None:
        """Send a command and return its reply, None if there is none to come."""
        command = as_text(cmd)
        return None if command is None else self._command(command)

    def api(self, cmd: str | None, arg: str | None = None, /) -> ESLevent | None:
        """Run an API command; the switch does nothing else for us meanwhile. The result is the reply's body."""
        command, argument = as_text(cmd), as_text(arg)
        return None if command is None else self._built(commands.api, command, argument)[0]

    def bgapi(self, cmd: str | None, arg: str | None = None, job_uuid: str | None = None, /) -> ESLevent | None:
        """Run an API command in the background: the reply has a Job-UUID, as has the BACKGROUND_JOB with the result."""
        command, argument, job = as_text(cmd), as_text(arg), as_text(job_uuid)
        return None if command is None else self._built(commands.bgapi, command, argument, job)[0]

    def sendEvent(self, event: ESLevent | None, /) -> ESLevent:
        """Fire an event in the switch. The reply; `ESL.strict`: the last frame received.

        An event SERVER_DISCONNECTED if there is none. Values are sent as they are: one with a line end in it is
        refused. The Content-Length is that of the body, whatever the event says.
        """
        if not is_valid(event):
            return server_disconnected()
        reply, sent = self._built(_firing, event)
        if reply is None or not sent or not settings.strict:
            return reply or server_disconnected()
        return server_disconnected() if self._last is None else ESLevent._of_frame(self._last)

    def sendMSG(self, event: ESLevent | None, uuid: str | None = None, /) -> int:
        """Send a message to a channel, by default the connection's own: the event's headers. 0, or 1 if it failed.

        As in `sendEvent`, a value with a line end in it is refused.
        """
        channel = as_text(uuid)
        return _status(*self._built(_message, event, channel)) if is_valid(event) else 1

    def filter(self, header: str | None, value: str | None, /) -> ESLevent | None:
        """Have only events that match sent; the reply."""
        return self._built(commands.filter_, as_text(header), as_text(value))[0]

    def events(self, etype: str | None, value: str | None, /) -> int:
        """Subscribe to events, named in `value`, in the format "plain", "json" or "xml". 0 if a reply came, else 1."""
        format, names = as_text(etype), as_text(value)
        return 1 if format is None else _status(*self._built(commands.subscription, format, names))

    def execute(self, app: str | None, arg: str | None = None, uuid: str | None = None, /) -> ESLevent | None:
        """Run an application on a channel, by default the connection's own; the reply.

        See docs/protocol/esl-module.md, A2.4.
        """
        return self._execute(app, arg, uuid, self._async)

    def executeAsync(self, app: str | None, arg: str | None = None, uuid: str | None = None, /) -> ESLevent | None:
        """`execute` with `async: true`: the switch does not wait for the application to end."""
        return self._execute(app, arg, uuid, 1)

    def _execute(self, app: Any, arg: Any, uuid: Any, is_async: int) -> ESLevent | None:
        flags = ["event-lock: true"] * bool(self._event_lock) + ["async: true"] * bool(is_async)
        return self._built(commands.execution, as_text(app), as_text(arg), as_text(uuid), flags)[0]

    def setAsyncExecute(self, val: str | int | None, /) -> int:
        """Whether `execute` says `async: true`, from now on: a word (yes, true, on, ...) or a number; None: unchanged.

        The new state; `ESL.strict`: numbers as text only.
        """
        self._async = _flag(val, self._async)
        return self._async

    def setEventLock(self, val: str | int | None, /) -> int:
        """Whether `execute` says `event-lock: true`, from now on; see `setAsyncExecute`."""
        self._event_lock = _flag(val, self._event_lock)
        return self._event_lock

    # Events

    def recvEvent(self) -> ESLevent:
        """Wait for the next event, or frame of another kind. SERVER_DISCONNECTED if there is none to come."""
        frame = None
        mark, turns = object(), self._receiving
        try:
            if turns._waiters or turns._holder.setdefault(0, mark) is not mark:
                turns.acquire(mark)
            if self._connected and not self._queue and not self._asked and settings.log_level < DEBUG:
                frame = self._decoder.next_message()
            if type(frame) is PlainEvent or type(frame) is JsonEvent:  # the way that most take
                self._last = frame
            else:
                frame = self._next_frame(frame)
            turns._holder.pop(0, None)
            if turns._waiters:
                turns.abandon(mark)
        except ProtocolError as error:
            frame = None
            self._fail(str(error))
            turns.abandon(mark)
        except BaseException as error:
            self._interrupted(mark, turns, error)
            raise
        if frame is None:
            self._close_if_over()
            return server_disconnected()
        whole = frame.frame
        if (type(frame) is PlainEvent or type(frame) is JsonEvent) and 0 < whole.find(b"\n\n") < len(whole) - 2:
            # as in `_received`: something follows a blank line, so it has a payload
            event = ESLevent.__new__(ESLevent)
            event._frame = frame
            return event
        return ESLevent._received(frame)

    def recvEventTimed(self, ms: int, /) -> ESLevent | None:
        """Wait for the next event, or frame of another kind, to begin within so many milliseconds.

        None if none did, if the connection has ended, or while another thread receives. Negative: for ever; 0: what is
        there already, `ESL.strict`: for ever.
        """
        limit: int | None = as_int(ms)
        if limit is not None and (limit < 0 or (limit == 0 and settings.strict)):
            limit = None
        mark, turns = object(), self._receiving
        try:
            if not turns.acquire(mark, blocking=False):
                return None
            frame = self._next_frame(ms=limit)
            turns.release(mark)
        except BaseException as error:
            self._interrupted(mark, turns, error)
            raise
        if frame is None:
            self._close_if_over()
            return None
        return ESLevent._received(frame)

    def _begins(self, ms: int) -> bool:
        """Whether the next frame has its header block here, or more of it comes within so many milliseconds.

        With 0 milliseconds only the latter: what is whole is taken then, and nothing awaited.
        """
        if ms and self._decoder.buffered and self._has_header_block():
            return True
        sock = self._socket
        return sock is None or not self._connected or _is_readable(sock, ms)

    def _has_header_block(self) -> bool:
        """Whether that of the next frame is here. Asking the decoder copies what came of the frame."""
        try:
            self._decoder.feed_eof()
        except IncompleteFrame as error:
            return error.header_bytes is not None
        return False


def _shut_down(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def _is_of_socket(error: BaseException) -> bool:
    """Whether the system says so: a TimeoutError without a number is from somebody's signal handler."""
    return isinstance(error, OSError) and error.errno is not None


def _was_in_decoder(error: BaseException) -> bool:
    """Whether the decoder of Python was interrupted, and may be left between two states."""
    return any(frame.f_globals["__name__"].startswith(_DECODER) for frame, _ in walk_tb(error.__traceback__))


def _is_readable(sock: socket.socket, ms: int) -> bool:
    """Whether something can be received within so many milliseconds, the end included."""
    try:
        if not hasattr(select, "poll"):  # Windows; gevent
            return bool(select.select([sock], [], [], ms / 1000)[0])
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return bool(poll.poll(min(ms, 2**31 - 1)))
    except (OSError, ValueError):
        return True  # closed meanwhile: receiving will tell


def _flag(value: Any, before: int) -> int:
    """The new state of a switch (`setAsyncExecute`, `setEventLock`)."""
    if isinstance(value, int) and not settings.strict:
        return int(value != 0)
    text = as_text(value)
    if text is None:
        return before
    return int(is_true_to_library(text))


def _status(reply: ESLevent | None, sent: bool) -> int:
    return 0 if sent and reply is not None else 1
