"""`ESLconnection`: login, commands, events (docs/protocol/esl-module.md, A2)."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, ParamSpec, overload

from .._codec import Message
from .._ctext import atoi, is_true_to_library
from .._shut import shut_down
from ..errors import InvalidCommand, ProtocolError
from . import commands, settings
from .arguments import as_int, as_text, wrong_arguments
from .event import ESLevent, is_valid, make_disconnected, refuse
from .frames import JsonEvent, PlainEvent, read_outer, read_type
from .link import Link
from .settings import DEBUG, ERROR, log

_P = ParamSpec("_P")


def _firing(event: ESLevent) -> bytes:
    return event._to_command(f"sendevent {event.getType()}")


def _message(event: ESLevent, uuid: str | None) -> bytes:
    return event._to_command(commands.message_line(uuid))


class ESLconnection(Link):
    """A connection to a switch: blocking, without time limits, as in the official module.

    See docs/protocol/esl-module.md, A2.

    `ESLconnection(host, port, password)` and `ESLconnection(host, port, user, password)` log in; `ESLconnection(fd)` is
    a call that came in on this socket. Whether that worked is what `connected()` says.

    One thread may wait in `recvEvent` while others `send`; a call that waits for a reply first waits for `recvEvent` to
    return. `disconnect` ends every wait. Nothing is read while nobody waits, and nothing watches over that: a program
    that subscribes and then does not read is killed by the switch, which holds up all its other connections meanwhile.

    An exception that a signal handler, a timeout of gevent or another thread raises into a call costs that call only:
    its reply is ignored when it comes. If it is not known what was sent or read, the connection ends.

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

    @overload
    def __init__(self, host: str | None, port: str | int | None, password: str | None, /) -> None: ...
    @overload
    def __init__(self, host: str | None, port: str | int | None, user: str | None, password: str | None, /) -> None: ...
    @overload
    def __init__(self, socket: int, /) -> None: ...
    def __init__(self, *args: Any) -> None:
        super().__init__()
        self._info: Message | None = None
        self._async = self._event_lock = 0
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

    def __del__(self) -> None:
        if self._had_socket:
            self.disconnect()

    def _log_in(self, host: str | None, port: int | None, *names: str | None) -> None:
        *users, password = names
        user = users[0] if users else None
        try:
            secret = "(null)" if password is None else commands.check_line("the password", password)
            login = f"userauth {commands.check_line('the user', user)}:{secret}" if user else f"auth {secret}"
            block = commands.block(login, end="")
        except InvalidCommand as error:
            refuse(error)
            return
        if self._connect(host, port):
            self._in_turn(self._greet, block)

    def _greet(self, login: bytes) -> None:
        asked = self._read()
        if asked is None or read_type(asked).lower() != b"auth/request":
            self._fail("the server does not ask for a password")
        elif self._write(login):
            reply = self._read()
            if reply is None or (read_outer(reply).get("Reply-Text") or "").lower() != "+ok accepted":
                self._fail("the server does not accept the login")
            self._last = reply

    def _attach(self, fd: int) -> None:
        try:
            self._use(socket.socket(fileno=fd if settings.strict else socket.dup(fd)))
        except (OSError, ValueError, OverflowError) as error:
            log(ERROR, f"{fd} is no socket: {error}")
            return
        self._info = self._in_turn(self._ask, "connect\n\n")

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
            shut_down(sock)
            self._close_if_over()
        return 0 if self._had_socket else 1

    # Commands

    def _send_for_reply(self, command: str | bytes) -> ESLevent | None:
        if not self._connected:
            return None
        reply = self._in_turn(self._ask, command)
        return None if reply is None else ESLevent._of_frame(reply)

    def _build_and_send(
        self, build: Callable[_P, bytes], *args: _P.args, **options: _P.kwargs
    ) -> tuple[ESLevent | None, bool]:
        """The reply to a command that is built now, and whether it was sent: what is refused has a reply of ours."""
        if not self._connected:
            return None, False
        try:
            command = build(*args, **options)
        except InvalidCommand as error:
            return refuse(error), False
        return self._send_for_reply(command), True

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
        return None if command is None else self._send_for_reply(command)

    def api(self, cmd: str | None, arg: str | None = None, /) -> ESLevent | None:
        """Run an API command; the switch does nothing else for us meanwhile. The result is the reply's body."""
        command, argument = as_text(cmd), as_text(arg)
        return None if command is None else self._build_and_send(commands.api, command, argument)[0]

    def bgapi(self, cmd: str | None, arg: str | None = None, job_uuid: str | None = None, /) -> ESLevent | None:
        """Run an API command in the background: the reply has a Job-UUID, as has the BACKGROUND_JOB with the result."""
        command, argument, job = as_text(cmd), as_text(arg), as_text(job_uuid)
        return None if command is None else self._build_and_send(commands.bgapi, command, argument, job)[0]

    def sendEvent(self, event: ESLevent | None, /) -> ESLevent:
        """Fire an event in the switch. The reply; `ESL.strict`: the last frame received.

        An event SERVER_DISCONNECTED if there is none. Values are sent as they are: one with a line end in it is
        refused. The Content-Length is that of the body, whatever the event says.
        """
        if not is_valid(event):
            return make_disconnected()
        reply, sent = self._build_and_send(_firing, event)
        if reply is None or not sent or not settings.strict:
            return reply or make_disconnected()
        return make_disconnected() if self._last is None else ESLevent._of_frame(self._last)

    def sendMSG(self, event: ESLevent | None, uuid: str | None = None, /) -> int:
        """Send a message to a channel, by default the connection's own: the event's headers. 0, or 1 if it failed.

        As in `sendEvent`, a value with a line end in it is refused.
        """
        channel = as_text(uuid)
        return _status(*self._build_and_send(_message, event, channel)) if is_valid(event) else 1

    def filter(self, header: str | None, value: str | None, /) -> ESLevent | None:
        """Have only events that match sent; the reply."""
        return self._build_and_send(commands.filter_, as_text(header), as_text(value))[0]

    def events(self, etype: str | None, value: str | None, /) -> int:
        """Subscribe to events, named in `value`, in the format "plain", "json" or "xml". 0 if a reply came, else 1."""
        format, names = as_text(etype), as_text(value)
        return 1 if format is None else _status(*self._build_and_send(commands.subscription, format, names))

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
        return self._build_and_send(commands.execution, as_text(app), as_text(arg), as_text(uuid), flags)[0]

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
        if not self._connected:  # by another thread, too
            self._close_if_over()
        if frame is None:
            return make_disconnected()
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
        self._close_if_over()
        return None if frame is None else ESLevent._received(frame)


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
