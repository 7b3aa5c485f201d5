"""One connection as the switch's command loop sees it, without the socket: bytes in, bytes out.

Bug-compatible on purpose (docs/protocol/commands.md): commands are found by prefix, blanks count, replies are cut at
511 bytes, `getvar` breaks the framing. A client that is tested with this meets what it will meet in production.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum, IntEnum
from typing import Final

from .. import render
from .._ctext import atoi, is_number, is_true, to_bytes
from .._json import joined
from ..enums import LogLevel
from ..headers import HeaderList
from ._blocks import BadLength, Command, CommandReader
from ._events import SwitchEvent
from ._model import SHUTDOWN, Job, Session, User, nothing
from ._rights import DENIED, may_call, user_of, welcome
from ._subscription import Subscription, event_type
from ._switch import Switch, keep
from ._waiting import WaitingQueue

MAX_REPLY_BYTES: Final = 511
"""Longer replies are cut, wherever that is."""
LOST_EVENTS: Final = b"killed listener because of lost events\n"
LOST_LOG_LINES: Final = b"killed listener because of lost log lines\n"

_NO_SESSION: Final = "-ERR not controlling a session"


def log_level(text: str) -> int | None:
    """The level that a word of `log` names, None if it names none."""
    if is_number(text):
        number = atoi(text)
        return None if number == 64 else max(0, min(number, 63))  # 64 is "invalid", and one less stands for "more"
    if text.upper() == "DISABLE":
        return -1
    names = [level.name for level in LogLevel if level <= LogLevel.DEBUG]
    return names.index(text.upper()) if text.upper() in names else None


class _Mode(Enum):
    """Who dialled, and what the dialplan said of it."""

    INBOUND = "the client connected"
    STATIC = ""
    STATIC_FULL = "full"
    ASYNC = "async"
    ASYNC_FULL = "async full"

    @classmethod
    def outbound(cls, words: str) -> _Mode:
        """That of a call to a server, from the words in the dialplan."""
        given = words.lower().split()
        return cls(" ".join(word for word in ("async", "full") if word in given))


class _State(IntEnum):
    """How far a connection has come. Each state is later than those above it."""

    STRANGER = 0  # has not logged in
    DIALLED = 1  # a server that has not yet said anything: its first command gets no reply line
    OPEN = 2
    CLOSING = 3  # has been said goodbye to
    KILLED = 4  # the same, and what was half sent is not sent to its end
    ENDED = 5


class _Gone:
    """Stands in a queue of events where the channel ended: what comes after it is sent only if the client lingers."""


_GONE: Final = _Gone()


class Listener:
    """One connection as the switch's command loop sees it, without the socket.

    `receive` takes what the client wrote and gives what the switch writes; `fire` does so for an event. With I/O:
    `start`, then `feed` and `offer` as things happen, `pull` whenever the socket takes more, and close it once
    `closing` is set and `pull` gives nothing.

    Args:
        switch: what all connections share.
        session: the channel that the connection controls; the switch dialled out for it.
        mode: "async full", "full", "async" or "" of such a connection, as in the dialplan.
        peer: the client's address.

    Attributes:
        commands: the newest 10,000 command blocks that it received, as text without the final blank line.
        session: the channel that it controls, or whose events it looks at; None if there is none.
        user: who logged in with `userauth`, None otherwise.
        log_level: of the lines that it gets; None if it gets none.
        wake: called whenever there may be something to write; see `attach`.
        linger: seconds for which it stays when its channel has hung up, -1 for ever; None if it does not.

    Example:
        >>> listener = Listener(Switch())
        >>> listener.start()
        b'Content-Type: auth/request\\n\\n'
        >>> listener.receive(b"auth ClueCon\\n\\nevent plain DTMF\\n\\n")[-74:]
        b'Content-Type: command/reply\\nReply-Text: +OK event listener enabled plain\\n\\n'
    """

    def __init__(self, switch: Switch, *, session: Session | None = None, mode: str = "", peer: object = None) -> None:
        self.switch = switch
        self.session = session
        self.peer = peer
        self.user: User | None = None
        self.commands: list[str] = []
        self.log_level: int | None = None
        self.linger: int | None = None
        self._mode = _Mode.INBOUND if session is None else _Mode.outbound(mode)
        self._state = _State.STRANGER if session is None else _State.DIALLED
        self._wanted = Subscription()
        self._reader = CommandReader()
        self._out: list[bytes] = []
        self._events: WaitingQueue[SwitchEvent | _Gone] = WaitingQueue(switch.core.queue_limit)
        self._log: WaitingQueue[bytes] = WaitingQueue(switch.core.queue_limit)
        self.wake: Callable[[], None] = nothing
        self._busy = False  # a command is being executed
        self._working = False  # commands are being taken

    # What it is

    @property
    def inbound(self) -> bool:
        """Whether the client connected; otherwise the switch dialled out for a channel."""
        return self._mode is _Mode.INBOUND

    @property
    def full(self) -> bool:
        """Whether it may do everything, and not only control its channel."""
        return self._mode in (_Mode.INBOUND, _Mode.STATIC_FULL, _Mode.ASYNC_FULL)

    @property
    def static(self) -> bool:
        """Whether the dialplan waits for its commands, as with `socket` without `async`."""
        return self._mode in (_Mode.STATIC, _Mode.STATIC_FULL)

    @property
    def authenticated(self) -> bool:
        """Whether it has logged in, or need not."""
        return self._state is not _State.STRANGER

    @property
    def closing(self) -> bool:
        """Whether nothing comes after what is still to be written."""
        return self._state >= _State.CLOSING

    @property
    def killed(self) -> bool:
        """Whether it ends for being too slow: its notice goes out at once."""
        return self._state is _State.KILLED

    @property
    def ended(self) -> bool:
        """Whether the connection is gone."""
        return self._state is _State.ENDED

    @property
    def lingers(self) -> bool:
        """Whether it stays when its channel has hung up."""
        return self.linger is not None

    @property
    def hears_keys(self) -> bool:
        """Whether it asked for DTMF by name, rather than for all events or those of its channel."""
        return self.listening and "DTMF" in self.names and "ALL" not in self.names and not self.myevents

    @property
    def format(self) -> str:
        """Of its events: "plain", "json" or "xml"."""
        return self._wanted.format

    @property
    def listening(self) -> bool:
        """Whether it gets events at all."""
        return self._wanted.listening

    @property
    def names(self) -> set[str]:
        """Names of events that it gets."""
        return self._wanted.names

    @property
    def subclasses(self) -> set[str]:
        """Subclasses of CUSTOM that it gets."""
        return self._wanted.subclasses

    @property
    def myevents(self) -> bool:
        """Whether it gets only the events of its channel."""
        return self._wanted.own_only

    @property
    def filters(self) -> list[tuple[str, str]]:
        """(header, value) of each of its filters."""
        return self._wanted.filters

    @property
    def lost(self) -> int:
        """Events that were lost in a row."""
        return self._events.lost

    @property
    def lost_log_lines(self) -> int:
        """Log lines that were lost in a row."""
        return self._log.lost

    @property
    def queued(self) -> int:
        """Events that wait."""
        return len(self._events)

    @property
    def backlog(self) -> int:
        """Those of them that do not come from here, but from a replay."""
        return self._events.elsewhere

    @property
    def held(self) -> bool:
        """Whether only replies are sent: while a command is executed or half received."""
        return self._busy or self._reader.partial

    # What comes in

    def attach(self, wake: Callable[[], None]) -> None:
        """Have a function called whenever there may be something to write."""
        self.wake = wake

    def start(self) -> bytes:
        """Begin: an inbound connection gets `auth/request`, an outbound one nothing."""
        self.switch.core.connect(self)
        if self.session is not None:
            self.session.bind(self)
        if self.inbound:
            self._out.append(render.auth_request())
        return self.pull()

    def receive(self, data: bytes) -> bytes:
        """Take bytes of the client, give those that the switch writes now."""
        self.feed(data)
        return self.pull()

    def fire(self, event: SwitchEvent) -> bytes:
        """Take an event, give what the switch writes now: nothing if it is not wanted or has to wait."""
        self.offer(event)
        return self.pull()

    def feed(self, data: bytes) -> None:
        """Take bytes of the client and execute the commands that are complete."""
        if not self.closing:
            self._reader.feed(data)
            self._work()

    def offer(self, event: SwitchEvent) -> None:
        """Queue an event if it is wanted; lose it if too many wait, and the connection if too many are lost."""
        if self.closing or not self.wants(event):
            return
        if self._events.offer(event, spare=self.switch.core.catching_up):
            self.wake()
        elif self._events.deadly:
            self.kill(LOST_EVENTS)

    def lose(self, count: int) -> None:
        """So many events found the queue full."""
        self._events.lose(count)
        if self._events.deadly:
            self.kill(LOST_EVENTS)

    def wants(self, event: SwitchEvent) -> bool:
        """Whether subscriptions, filters and `myevents` let an event through."""
        return self._wanted.wants(event, self.session)

    def offer_log(self, level: int, line: bytes) -> None:
        """Queue a line of the log if it is wanted."""
        if self.closing or self.log_level is None or level > self.log_level:
            return
        if self._log.offer(line, spare=self.switch.core.catching_up):
            self.wake()
        elif self._log.deadly:
            self.kill(LOST_LOG_LINES)

    def wait_elsewhere(self, count: int) -> None:
        """So many more events wait that do not come from here, but from a replay; less if it is below 0."""
        self._events.wait_elsewhere(count)

    # The end

    def dismiss(self, text: bytes = SHUTDOWN) -> None:
        """End the connection with a notice of another text, after what is being sent."""
        if not self.closing:
            self._part(_State.CLOSING, render.disconnect_notice(text))

    def channel_gone(self) -> None:
        """The channel that this connection controls has hung up."""
        self._events.put(_GONE)
        self.wake()

    def refuse(self) -> bytes:
        """Turn the connection away, as the switch's ACL does, instead of `start`."""
        self._out.append(render.rude_rejection())
        self.close()
        return self.pull()

    def close(self) -> None:
        """Say goodbye; the connection ends when that is written."""
        uuid = None if self.session is None else self.session.uuid
        self._part(_State.CLOSING, render.disconnect_notice(uuid=uuid))

    def kill(self, text: bytes) -> None:
        """End the connection from outside its loop: the notice goes out at once, whatever is half sent."""
        self._out.clear()
        self._part(_State.KILLED, render.disconnect_notice(text))

    def _part(self, state: _State, notice: bytes) -> None:
        self._out.append(notice)
        self._state = max(self._state, state)
        self.wake()

    def end(self) -> None:
        """The connection is gone; the switch forgets it."""
        if self.ended:
            return
        self._state = max(self._state, _State.CLOSING)
        self.switch.core.disconnect(self)
        if self.session is not None:
            self.switch.channels.release(self.session, self)
        self._state = _State.ENDED  # last, since other threads that wait for it look at the channel then
        self.switch.tell(self, "closed")

    # What goes out

    def pull(self, size: int = 1 << 62) -> bytes:
        """What is to be written now, whole frames: replies first, then log lines and events, about `size` bytes."""
        chunks, self._out = self._out, []
        total = sum(map(len, chunks))
        while total < size and not self.closing and not self.held:
            chunk = self._next_queued()
            if chunk is None:
                break
            chunks.append(chunk)
            total += len(chunk)
        chunks += self._out
        self._out = []
        return b"".join(chunks)

    def _next_queued(self) -> bytes | None:
        line = self._log.take()
        if line is not None:
            return line
        event = self._events.take()
        if event is None:
            return None
        return event.frame(self.format) if isinstance(event, SwitchEvent) else self._mourn()

    def _mourn(self) -> bytes:
        assert self.session is not None
        if self.linger is None:
            self.close()
            return b""
        if self.linger >= 0:
            self.switch.core.later(self.linger, self._linger_over)
        return render.linger_notice(self.session.uuid, self.session.name, self.linger)

    def _linger_over(self) -> None:
        if not self.closing:
            self.close()

    # How commands are taken

    def _work(self) -> None:
        if self._working:  # an application ended inside the command that began it: the loop below goes on
            return
        self._working = True
        try:
            while not self._busy and not self.closing:
                command = self._next_command()
                if command is None:
                    return
                self._handle(command)
        finally:
            self._working = False

    def _next_command(self) -> Command | None:
        try:
            command = self._reader.next()
        except BadLength:
            self.close()
            return None
        if command is not None:
            keep(self.commands, command.text)
            keep(self.switch.commands, command.text)
            self.switch.tell(self, command.text)
        return command

    def _handle(self, command: Command) -> None:
        silent = self._state is _State.DIALLED
        if silent:
            self._state = _State.OPEN
        line = command.line
        lower = command.block.lower()
        for word in ("unload", "reload"):
            if word in lower and "mod_event_socket" in lower:
                line = f"api bgapi {word} mod_event_socket"
                break
        reply, leaving = self._dispatch(line.lower(), line, command)
        if reply is not None and not silent:
            self._reply(reply)
        if leaving:
            self.close()

    def _reply(self, text: str) -> None:
        raw = to_bytes(text or "-ERR command not found")[:MAX_REPLY_BYTES]
        if raw.startswith(b"~"):  # the switch's own way to add headers: nothing checks what follows
            self._out.append(b"Content-Type: command/reply\n" + raw[1:])
        else:  # not render.command_reply, which refuses the line ends that `getvar` sends
            self._out.append(b"Content-Type: command/reply\nReply-Text: %b\n\n" % raw)

    def _dispatch(self, word: str, line: str, command: Command) -> tuple[str | None, bool]:
        """The reply's text, "" for "command not found", None if there is no reply or it comes later; and whether the
        connection ends then."""
        if word.startswith(("exit", "...")):
            return "+OK bye", True
        if self._state is _State.STRANGER:
            return self._login(word, line)
        for beginning, handler in self._handlers():
            if word.startswith(beginning):
                return handler(line, command), False
        return "", False

    def _handlers(self) -> Iterator[tuple[str, Callable[[str, Command], str | None]]]:
        yield "filter ", self._filter
        if self.session is not None:
            yield "resume", self._resume
            yield "connect", self._connect
            yield "getvar", self._getvar
            yield "myevents", self._myevents
        yield "myevents ", self._myevents
        yield "divert_events", self._divert_events
        yield "sendmsg", self._sendmsg
        if self.full:
            yield "sendevent", self._sendevent
            yield "api ", self._api
            yield "bgapi ", self._bgapi
            yield "log", self._log_on
            yield "linger", self._linger_on
            yield "nolinger", self._linger_off
            yield "nolog", self._log_off
            yield "event", self._event
            yield "noevents", self._noevents
            yield "nixevent", self._nixevent

    # What a command does (docs/protocol/commands.md, 4)

    def _login(self, word: str, line: str) -> tuple[str, bool]:
        if word.startswith("auth "):
            if line[5:] != self.switch.password:
                return "-ERR invalid", True
            self._state = _State.OPEN
            return "+OK accepted", False
        if not word.startswith("userauth "):
            return "", False
        user = user_of(self.switch.users, line[9:])
        if user is None:
            return "-ERR invalid", True
        self._state, self.user = _State.OPEN, user
        return welcome(user), False

    def _filter(self, line: str, _command: Command) -> str:
        return self._wanted.filter(line[7:])

    def _resume(self, _line: str, _command: Command) -> str:
        assert self.session is not None
        self.session.variables["socket_resume"] = "true"
        return "+OK"

    def _connect(self, _line: str, _command: Command) -> None:
        assert self.session is not None
        core = self.switch.core.headers("CHANNEL_DATA", "parse_command")
        mode, control = ("static" if self.static else "async"), ("full" if self.full else "single-channel")
        fields = [*core, *self.session.fields()]
        self._out.append(render.connect_reply(fields, mode=mode, control=control))

    def _getvar(self, line: str, _command: Command) -> str:
        assert self.session is not None
        return joined(self.session.variables.get(line.partition(" ")[2], ""))

    def _myevents(self, line: str, command: Command) -> str:
        if self._wanted.own_only:
            return "-ERR aready enabled."
        if self.session is not None:
            return self._wanted.enable_own(command.block)
        uuid, blank, _ = line[9:].partition(" ")
        session = self.switch.channels.get(uuid)
        if session is None and blank:
            return "-ERR invalid uuid"
        if session is not None:
            self.session = session
            session.bind(self)
        return self._wanted.enable_own()

    def _divert_events(self, line: str, _command: Command) -> str:
        if self.session is None:
            return "-ERR not controlling a session."
        value = line.partition(" ")[2].lstrip(" ")
        if not value:
            return "-ERR missing value."
        return "+OK events diverted" if value.lower() == "on" else "+OK events not diverted"

    def _sendmsg(self, line: str, command: Command) -> str | None:
        headers = command.headers
        uuid = line[7:].lstrip(" ") or headers.get("session-id") or ""
        own = self.session is not None and uuid in ("", self.session.uuid)
        session = self.session if own else self.switch.channels.get(uuid)
        if session is None:
            return f"-ERR invalid session id [{uuid}]"
        if not own or not self.static or is_true(headers.get("async")):
            self.switch.channels.send_message(session, headers)
            return "+OK"
        self._busy = True
        self.switch.channels.send_message(session, headers, lambda: self._executed("+OK"))
        return None

    def _executed(self, reply: str) -> None:
        """The command that kept the connection busy has ended."""
        self._reply(reply)
        self._go_on()

    def _go_on(self) -> None:
        self._busy = False
        self._work()
        self.wake()

    def _sendevent(self, line: str, command: Command) -> str:
        headers = command.headers
        word = line[9:].strip(" ")
        name = event_type(word) or "CUSTOM"
        event_uuid = self.switch.core.make_uuid("event")
        subclass = headers.get("Event-Subclass") if event_type(word) == "CUSTOM" else None
        fields = headers.fields()
        if subclass is not None:
            fields = [item for item in fields if item[0].lower() != "event-subclass"]
            fields.insert(0, ("Event-Subclass", subclass))
        fields.insert(0 if subclass is None else 1, ("Command", line))
        fields += [("Event-UUID", event_uuid), *self.switch.core.headers(name, "parse_command")]
        event = SwitchEvent(name, HeaderList(fields, headers.body), subclass)
        session = self.switch.channels.get(headers.get("Unique-ID"))
        if session is not None:
            session.events.append(event)
        else:
            self.switch.core.fire(event)
        return f"+OK {event_uuid}"

    def _api(self, line: str, command: Command) -> str | None:
        word, args, console = _call(line[4:], command.headers)
        if not may_call(self.user, word, args or ""):
            return DENIED
        self._busy = True
        self.switch.run_api(word, args, console, self._api_done)
        return None

    def _api_done(self, output: bytes) -> None:
        self._out.append(render.api_response(output))
        self._go_on()

    def _bgapi(self, line: str, command: Command) -> str | None:
        word, args, console = _call(line[6:], command.headers)
        if not may_call(self.user, word, args or ""):
            return DENIED
        uuid = command.headers.get("Job-UUID") or self.switch.core.make_uuid("job")
        owner = None if self.session is None else self.session.uuid
        self.switch.add_job(Job(uuid, word, args, owner, console))
        return f"~Reply-Text: +OK Job-UUID: {uuid}\nJob-UUID: {uuid}\n\n"

    def _log_on(self, line: str, _command: Command) -> str:
        if self.user is not None and not self.user.log:
            return DENIED
        word = line[3:].lstrip(" ").partition(" ")[0]
        level = log_level(word) if word else int(LogLevel.DEBUG)
        if level is None:
            return "-ERR invalid log level"
        self.log_level = level
        return f"+OK log level {word} [{level}]"

    def _log_off(self, _line: str, _command: Command) -> str:
        if self.log_level is None:
            return "-ERR not loging"
        self.log_level = None
        self._log.keep(lambda _line: False)
        return "+OK no longer logging"

    def _linger_on(self, line: str, _command: Command) -> str:
        if self.session is None:
            return _NO_SESSION
        words = line.partition(" ")[2].lstrip(" ")
        self.linger = atoi(words) if words else -1
        return f"+OK will linger {self.linger} seconds" if words else "+OK will linger"

    def _linger_off(self, _line: str, _command: Command) -> str:
        if self.session is None:
            return _NO_SESSION
        self.linger = None
        return "+OK will not linger"

    def _event(self, line: str, _command: Command) -> str:
        reply = self._wanted.enable(line.partition(" ")[2].split(" "), self.user, self.switch.core.subclasses)
        if self.session is not None and self.hears_keys:
            self.switch.core.later(0, lambda: self._heed(self.session))
        return reply

    def _heed(self, session: Session | None) -> None:
        """A caller who waits for somebody to listen may type."""
        if session is not None:
            self.switch.channels.serve(session)

    def _nixevent(self, line: str, _command: Command) -> str:
        return self._wanted.disable(line.partition(" ")[2].split(" "))

    def _noevents(self, _line: str, _command: Command) -> str:
        self._events.keep(lambda event: event is _GONE)
        return self._wanted.stop()


def _call(text: str, headers: HeaderList) -> tuple[str, str | None, bool]:
    """The command that `api` and `bgapi` call, its arguments, and whether the console interprets both."""
    if is_true(headers.get("console_execute")):
        return text, None, True
    word, blank, args = text.partition(" ")
    return word, args if blank else None, False
