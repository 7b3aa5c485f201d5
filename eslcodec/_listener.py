"""One connection as the switch's command loop sees it, without the socket: bytes in, bytes out.

Bug-compatible on purpose (docs/protocol/commands.md): commands are found by prefix, blanks count, replies are cut at
511 bytes, `getvar` breaks the framing. A client that is tested with this meets what it will meet in production.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

from . import render
from ._ctext import atoi, is_number, is_true, to_bytes, to_text
from ._filters import passes, remaining
from ._json import joined
from ._switch import Job, Session, Switch, SwitchEvent, User, keep
from .enums import EventName, LogLevel
from .headers import HeaderList
from .subscriptions import MY_EVENTS, event_name

MAX_COMMAND_BYTES: Final = 10_485_760
"""A command block of this size is taken as complete."""
MAX_BODY_BYTES: Final = 16 << 20
"""A larger body, or a negative length, ends the connection without a reply."""
MAX_REPLY_BYTES: Final = 511
"""Longer replies are cut, wherever that is."""
MAX_LOST: Final = 500
"""A connection that has lost more events, or log lines, than this in a row is killed."""
SHUTDOWN: Final = b"The system is being shut down.\n"
LOST_EVENTS: Final = b"killed listener because of lost events\n"
LOST_LOG_LINES: Final = b"killed listener because of lost log lines\n"

_T = TypeVar("_T")

_NAMES: Final = frozenset(name.value for name in EventName)
_WRAPPERS: Final = frozenset({"bgapi", "sched_api", "eval", "expand", "xml_wrap"})
_BLOCK_END: Final = re.compile(rb"\n\r*\n")


def _event_type(word: str) -> str | None:
    """The event that a word of a subscription names, None if it names none."""
    name = event_name(word)
    return name if name in _NAMES else None


def log_level(text: str) -> int | None:
    """The level that a word of `log` names, None if it names none."""
    if is_number(text):
        number = atoi(text)
        return None if number == 64 else max(0, min(number, 63))  # 64 is "invalid", and one less stands for "more"
    if text.upper() == "DISABLE":
        return -1
    names = [level.name for level in LogLevel if level <= LogLevel.DEBUG]
    return names.index(text.upper()) if text.upper() in names else None


class _Queue(deque[_T]):
    """What waits for a connection. What a switch gave at once, since it had stood still, does not count as waiting."""

    def __init__(self, items: Iterable[_T] = ()) -> None:
        super().__init__(items)
        self._spare = 0

    @property
    def counted(self) -> int:
        return len(self) - self._spare

    def append_spare(self, item: _T) -> None:
        self.append(item)
        self._spare += 1

    def popleft(self) -> _T:
        item = super().popleft()
        self._spare = min(self._spare, len(self))
        return item


class _Gone:
    """Stands in a queue of events where the channel ended: what is behind it is sent only if the client lingers."""


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

    Attributes:
        commands: the newest 10,000 command blocks that it received, as text without the final blank line.

    Example:
        >>> listener = Listener(Switch())
        >>> listener.start()
        b'Content-Type: auth/request\\n\\n'
        >>> listener.receive(b"auth ClueCon\\n\\nevent plain DTMF\\n\\n")[-74:]
        b'Content-Type: command/reply\\nReply-Text: +OK event listener enabled plain\\n\\n'
    """

    def __init__(self, switch: Switch, *, session: Session | None = None, mode: str = "") -> None:
        words = mode.lower().split()
        self.switch = switch
        self.session = session
        self.inbound = session is None
        self.full = self.inbound or "full" in words
        self.static = not self.inbound and "async" not in words
        self.authenticated = not self.inbound
        self.user: User | None = None
        self.commands: list[str] = []
        self.format = "plain"
        self.listening = False
        self.names: set[str] = set()
        self.subclasses: set[str] = set()
        self.filters = HeaderList()  # as the switch keeps them, so that names and values mean what they do there
        self.myevents = False
        self.log_level: int | None = None
        self.linger: int | None = None
        self.lost = 0
        self.lost_log_lines = 0
        self.backlog = 0
        self.closing = False
        self.killed = False
        self.wake: Callable[[], None] = lambda: None
        self.peer: object = None
        self._out: list[bytes] = []
        self._events: _Queue[SwitchEvent | _Gone] = _Queue()
        self._log: _Queue[bytes] = _Queue()
        self._buffer = bytearray()
        self._searched = 0
        self._command: tuple[str, HeaderList, int, list[int]] | None = None
        self._busy = False
        self._working = False
        self._first = True
        self._leaving = False
        self.ended = False

    # What comes in

    def start(self) -> bytes:
        """Begin: an inbound connection gets `auth/request`, an outbound one nothing."""
        self.switch.listeners.append(self)
        if self.session is not None:
            self.session.listeners.append(self)
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
            self._buffer += data
            self._work()

    def offer(self, event: SwitchEvent) -> None:
        """Queue an event if it is wanted; lose it if too many wait, and the connection if too many are lost."""
        if self.closing or not self.wants(event):
            return
        if self.switch.catching_up:
            self._events.append_spare(event)
        elif self._events.counted + self.backlog >= self.switch.queue_limit:
            self.lose(1)
            return
        else:
            self._events.append(event)
        self.lost = 0
        self.wake()

    def offer_log(self, level: int, line: bytes) -> None:
        """Queue a line of the log if it is wanted."""
        if self.closing or self.log_level is None or level > self.log_level:
            return
        if self.switch.catching_up:
            self._log.append_spare(line)
        elif self._log.counted < self.switch.queue_limit:
            self._log.append(line)
        else:
            self.lost_log_lines += 1
            if self.lost_log_lines > MAX_LOST:
                self.kill(LOST_LOG_LINES)
            return
        self.lost_log_lines = 0
        self.wake()

    def lose(self, count: int) -> None:
        """So many events found the queue full."""
        self.lost += count
        if self.lost > MAX_LOST:
            self.kill(LOST_EVENTS)

    def kill(self, text: bytes) -> None:
        """End the connection from outside its loop: the notice goes out at once, whatever is half sent."""
        self._out = [render.disconnect_notice(text)]
        self.killed = self.closing = True
        self.wake()

    def dismiss(self, text: bytes = SHUTDOWN) -> None:
        """End the connection with a notice of another text, behind what is being sent."""
        if not self.closing:
            self._out.append(render.disconnect_notice(text))
            self.closing = True
            self.wake()

    def channel_gone(self) -> None:
        """The channel that this connection controls has hung up."""
        self._events.append(_GONE)
        self.wake()

    def refuse(self) -> bytes:
        """Turn the connection away, as the switch's ACL does, instead of `start`."""
        self._out.append(render.rude_rejection())
        self.close()
        return self.pull()

    def close(self) -> None:
        """Say goodbye; the connection ends when that is written."""
        uuid = None if self.session is None else self.session.uuid
        self._out.append(render.disconnect_notice(uuid=uuid))
        self.closing = True
        self.wake()

    def end(self) -> None:
        """The connection is gone; the switch forgets it."""
        if self.ended:
            return
        self.closing = True
        if self in self.switch.listeners:
            self.switch.listeners.remove(self)
        if self.session is not None and self in self.session.listeners:
            self.switch.released(self.session, self)
        self.ended = True  # last, since other threads that wait for it look at the channel then
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

    @property
    def queued(self) -> int:
        """Events that wait."""
        return len(self._events) + self.backlog

    @property
    def held(self) -> bool:
        """Nothing but replies is sent while a command is executed or half received."""
        return self._busy or bool(self._buffer)

    def _next_queued(self) -> bytes | None:
        if self._log:
            return self._log.popleft()
        if not self._events:
            return None
        event = self._events.popleft()
        return event.frame(self.format) if isinstance(event, SwitchEvent) else self._mourn()

    def _mourn(self) -> bytes:
        assert self.session is not None
        if self.linger is None:
            self.close()
            return b""
        if self.linger >= 0:
            self.switch.later(self.linger, self._linger_over)
        return render.linger_notice(self.session.uuid, self.session.name, self.linger)

    def _linger_over(self) -> None:
        if not self.closing:
            self.close()

    # Which events

    def wants(self, event: SwitchEvent) -> bool:
        """Whether subscriptions, filters and `myevents` let an event through."""
        return self._subscribed(event) and self._filtered(event) and self._mine(event)

    def _subscribed(self, event: SwitchEvent) -> bool:
        if not self.listening:
            return False
        if "ALL" in self.names:
            return True
        if event.name not in self.names:
            return False
        return event.subclass is None or event.subclass in self.subclasses

    def _filtered(self, event: SwitchEvent) -> bool:
        return passes(self.filters, event.headers.get)

    def _mine(self, event: SwitchEvent) -> bool:
        if not self.myevents:
            return True
        if self.session is None:
            return "Unique-ID" in event.headers
        return self.session.uuid in (event.headers.get("Unique-ID"), event.headers.get("Job-Owner-UUID"))

    # How a command is read (docs/protocol/commands.md, 1)

    def _work(self) -> None:
        if self._working:  # an application ended inside the command that began it: the loop below goes on
            return
        self._working = True
        try:
            while not self._busy and not self.closing:
                command = self._next_command()
                if command is None:
                    return
                self._handle(*command)
        finally:
            self._working = False

    def _next_command(self) -> tuple[str, HeaderList] | None:
        if self._command is None and not self._read_block():
            return None
        assert self._command is not None
        text, headers, end, lengths = self._command
        if any(not 0 <= length <= MAX_BODY_BYTES for length in lengths):
            self.close()
            return None
        if len(self._buffer) < end + sum(lengths):
            return None
        body = None
        for length in lengths:  # of several the last counts, though all are read
            body = bytes(self._buffer[end : end + length]).partition(b"\0")[0] if length else body
            end += length
        del self._buffer[:end]
        self._command, self._searched = None, 0
        headers.body = body if body is not None else headers.body
        command = text if body is None else f"{text}\n\n{to_text(body)}"
        keep(self.commands, command)
        keep(self.switch.commands, command)
        self.switch.tell(self, command)
        return text, headers

    def _read_block(self) -> bool:
        start = len(self._buffer) - len(self._buffer.lstrip(b"\r\n"))
        if start:
            del self._buffer[:start]
            self._searched = 0
        match = _BLOCK_END.search(self._buffer, self._searched, MAX_COMMAND_BYTES)
        if match is None and len(self._buffer) < MAX_COMMAND_BYTES:
            # A terminator may have begun in the line ends at the buffer's end.
            self._searched = len(self._buffer.rstrip(b"\r\n"))
            return False
        end = match.end() if match else MAX_COMMAND_BYTES
        text = to_text(bytes(self._buffer[: match.start() if match else end]))
        headers = _command_headers(text)
        lengths = [atoi(value) for name, value in headers.pairs() if name.lower() == "content-length"]
        self._command = text, headers, end, lengths
        return True

    # What a command does (docs/protocol/commands.md, 4)

    def _handle(self, block: str, headers: HeaderList) -> None:
        first, self._first = self._first, False
        line = _first_line(block)
        lower = block.lower()
        for word in ("unload", "reload"):
            if word in lower and "mod_event_socket" in lower:
                line = f"api bgapi {word} mod_event_socket"
                break
        reply = self._dispatch(line.lower(), line, block, headers)
        if reply is not None and not (first and not self.inbound):
            self._reply(reply)
        if self._leaving:
            self.close()

    def _reply(self, text: str) -> None:
        raw = to_bytes(text or "-ERR command not found")[:MAX_REPLY_BYTES]
        if raw.startswith(b"~"):  # the switch's own way to add headers: nothing checks what follows
            self._out.append(b"Content-Type: command/reply\n" + raw[1:])
        else:  # not render.command_reply, which refuses the line ends that `getvar` sends
            self._out.append(b"Content-Type: command/reply\nReply-Text: %b\n\n" % raw)

    def _dispatch(self, command: str, line: str, block: str, headers: HeaderList) -> str | None:
        """The reply's text, "" for "command not found", None if there is no reply or it comes later."""
        if command.startswith(("exit", "...")):
            self._leaving = True
            return "+OK bye"
        if not self.authenticated:
            return self._login(command, line)
        for word, handler in self._handlers():
            if command.startswith(word):
                return handler(line, block, headers)
        return ""

    def _handlers(self) -> Iterator[tuple[str, Callable[[str, str, HeaderList], str | None]]]:
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
            yield "log", self._log_command
            yield "linger", self._linger_command
            yield "nolinger", self._nolinger
            yield "nolog", self._nolog
            yield "event", self._event
            yield "noevents", self._noevents
            yield "nixevent", self._nixevent

    def _login(self, command: str, line: str) -> str:
        if command.startswith("auth "):
            self.authenticated = line[5:] == self.switch.password
            self._leaving = not self.authenticated
            return "+OK accepted" if self.authenticated else "-ERR invalid"
        if not command.startswith("userauth "):
            return ""
        name, _, domain = line[9:].partition("@")
        name, colon, password = name.partition(":")
        if not colon:
            domain, _, password = domain.partition(":")
        user = self.switch.users.get(f"{name}@{domain}")
        if user is None or user.password != password:
            self._leaving = True
            return "-ERR invalid"
        self.authenticated, self.user = True, user
        log = "true" if user.log else "false"
        return (
            f"~Reply-Text: +OK accepted\nAllowed-Events: {user.events}\nAllowed-API: {user.api}\nAllowed-LOG: {log}\n\n"
        )

    def _filter(self, line: str, _block: str, _headers: HeaderList) -> str:
        header, blank, value = line[7:].lstrip(" ").partition(" ")
        if not blank:
            return "-ERR invalid syntax"
        if header.lower() == "delete":
            header, _, value = value.partition(" ")
            self.filters = HeaderList(remaining(self.filters, header, value))
            return f"+OK filter deleted. [{header}][{value}]"
        if header.lower() == "add":
            header, blank, value = value.partition(" ")
            if not blank:
                return f"+OK filter added. [{header}]=[(null)]"
        self.filters.add(header, value)
        return f"+OK filter added. [{header}]=[{value}]"

    def _resume(self, _line: str, _block: str, _headers: HeaderList) -> str:
        assert self.session is not None
        self.session.variables["socket_resume"] = "true"
        return "+OK"

    def _connect(self, _line: str, _block: str, _headers: HeaderList) -> None:
        assert self.session is not None
        core = self.switch.core_headers("CHANNEL_DATA", "parse_command")
        mode, control = ("static" if self.static else "async"), ("full" if self.full else "single-channel")
        fields = [*core, *self.session.fields()]
        self._out.append(render.connect_reply(fields, mode=mode, control=control))

    def _getvar(self, line: str, _block: str, _headers: HeaderList) -> str:
        assert self.session is not None
        return joined(self.session.variables.get(line.partition(" ")[2], ""))

    def _myevents(self, line: str, block: str, _headers: HeaderList) -> str:
        if self.myevents:
            return "-ERR aready enabled."
        if self.session is not None:
            for format in ("xml", "json"):
                if format in block or format.upper() in block:
                    self.format = format
        else:
            uuid, blank, _ = line[9:].partition(" ")
            session = self.switch.sessions.get(uuid)
            if session is None and blank:
                return "-ERR invalid uuid"
            if session is not None:
                self.session = session
                session.listeners.append(self)
        self.myevents = self.listening = True
        self.names |= MY_EVENTS
        return "+OK Events Enabled"

    def _divert_events(self, line: str, _block: str, _headers: HeaderList) -> str:
        if self.session is None:
            return "-ERR not controlling a session."
        value = line.partition(" ")[2].lstrip(" ")
        if not value:
            return "-ERR missing value."
        return "+OK events diverted" if value.lower() == "on" else "+OK events not diverted"

    def _sendmsg(self, line: str, _block: str, headers: HeaderList) -> str | None:
        uuid = line[7:].lstrip(" ") or headers.get("session-id") or ""
        own = self.session is not None and uuid in ("", self.session.uuid)
        session = self.session if own else self.switch.sessions.get(uuid)
        if session is None:
            return f"-ERR invalid session id [{uuid}]"
        if not own or not self.static or is_true(headers.get("async")):
            self.switch.send_message(session, headers)
            return "+OK"
        self._busy = True
        self.switch.send_message(session, headers, self._answer_later("+OK"))
        return None

    def _answer_later(self, text: str) -> Callable[[], None]:
        """What is to be called when the command that keeps the connection busy is over: it replies and goes on."""

        def done() -> None:
            self._busy = False
            self._reply(text)
            self._work()
            self.wake()

        return done

    def _sendevent(self, line: str, _block: str, headers: HeaderList) -> str:
        word = line[9:].strip(" ")
        name = _event_type(word) or "CUSTOM"
        event_uuid = self.switch.make_uuid("event")
        subclass = headers.get("Event-Subclass") if _event_type(word) == "CUSTOM" else None
        fields = headers.fields()
        if subclass is not None:
            fields = [item for item in fields if item[0].lower() != "event-subclass"]
            fields.insert(0, ("Event-Subclass", subclass))
        fields.insert(0 if subclass is None else 1, ("Command", line))
        fields += [("Event-UUID", event_uuid), *self.switch.core_headers(name, "parse_command")]
        event = SwitchEvent(name, HeaderList(fields, headers.body), subclass)
        session = self.switch.sessions.get(headers.get("Unique-ID") or "")
        if session is not None:
            session.events.append(event)
        else:
            self.switch.fire(event)
        return f"+OK {event_uuid}"

    def _api(self, line: str, _block: str, headers: HeaderList) -> str | None:
        console = is_true(headers.get("console_execute"))
        command, blank, args = (line[4:], "", "") if console else line[4:].partition(" ")
        if not self._allowed_api(command, args):
            return "-ERR permission denied"
        self._busy = True
        self.switch.run_api(command, args if blank else None, console, self._api_done)
        return None

    def _api_done(self, output: bytes) -> None:
        self._busy = False
        self._out.append(render.api_response(output))
        self._work()
        self.wake()

    def _bgapi(self, line: str, _block: str, headers: HeaderList) -> str | None:
        console = is_true(headers.get("console_execute"))
        command, blank, args = (line[6:], "", "") if console else line[6:].partition(" ")
        if not self._allowed_api(command, args):
            return "-ERR permission denied"
        uuid = headers.get("Job-UUID") or self.switch.make_uuid("job")
        owner = None if self.session is None else self.session.uuid
        self.switch.add_job(Job(uuid, command, args if blank else None, owner, console))
        return f"~Reply-Text: +OK Job-UUID: {uuid}\nJob-UUID: {uuid}\n\n"

    def _allowed_api(self, command: str, args: str) -> bool:
        if self.user is None or self.user.api == "all":
            return True
        allowed = self.user.api.split()
        for word in [command, *args.split(" ")]:
            if word not in allowed:
                return False
            if word.lower() not in _WRAPPERS:
                return True
        return True

    def _log_command(self, line: str, _block: str, _headers: HeaderList) -> str:
        if self.user is not None and not self.user.log:
            return "-ERR permission denied"
        word = line[3:].lstrip(" ").partition(" ")[0]
        level = log_level(word) if word else int(LogLevel.DEBUG)
        if level is None:
            return "-ERR invalid log level"
        self.log_level = level
        return f"+OK log level {word} [{level}]"

    def _nolog(self, _line: str, _block: str, _headers: HeaderList) -> str:
        if self.log_level is None:
            return "-ERR not loging"
        self.log_level = None
        self._log = _Queue()
        return "+OK no longer logging"

    def _linger_command(self, line: str, _block: str, _headers: HeaderList) -> str:
        if self.session is None:
            return "-ERR not controlling a session"
        words = line.partition(" ")[2].lstrip(" ")
        self.linger = atoi(words) if words else -1
        return f"+OK will linger {self.linger} seconds" if words else "+OK will linger"

    def _nolinger(self, _line: str, _block: str, _headers: HeaderList) -> str:
        if self.session is None:
            return "-ERR not controlling a session"
        self.linger = None
        return "+OK will not linger"

    def _event(self, line: str, _block: str, _headers: HeaderList) -> str:
        words = line.partition(" ")[2].split(" ")
        if words[0].lower() in ("plain", "json", "xml"):
            self.format = words.pop(0).lower()
        known = 0
        custom = False
        for word in words:
            name = _event_type(word)
            if not custom and name is None:
                continue
            if not self._allowed_event(word if custom else str(name), custom):
                return "-ERR permission denied"
            if custom:
                self.subclasses.add(word)
                continue
            known += 1
            self.names |= _NAMES if name == "ALL" else {str(name)}
            self.subclasses |= self.switch.subclasses if name == "ALL" else set()
            custom = name == "CUSTOM"
        if not known:
            return "-ERR no keywords supplied"
        self.listening = True
        return f"+OK event listener enabled {self.format}"

    def _allowed_event(self, word: str, subclass: bool) -> bool:
        if self.user is None or self.user.events == "all":
            return True
        names, _, subclasses = self.user.events.partition("CUSTOM ")
        if subclass:
            return word in subclasses.split()
        return word in names.upper().split() or (word == "CUSTOM" and "CUSTOM" in self.user.events)

    def _nixevent(self, line: str, _block: str, _headers: HeaderList) -> str:
        known = 0
        custom = False
        for word in line.partition(" ")[2].split(" "):
            if custom:
                self.subclasses.discard(word)
                continue
            name = _event_type(word)
            if name is None:
                continue
            known += 1
            custom = name == "CUSTOM"
            if name == "ALL":
                self.names.clear()
            elif not custom:
                self.names -= {"ALL", name}
        if not known:
            return "-ERR no keywords supplied"
        self.listening = True
        return "+OK events nixed"

    def _noevents(self, _line: str, _block: str, _headers: HeaderList) -> str:
        self._events = _Queue(event for event in self._events if event is _GONE)
        if not self.listening:
            return "-ERR not listening for events"
        self.listening = False
        self.names.clear()
        self.subclasses.clear()
        return "+OK no longer listening for events"


def _first_line(block: str) -> str:
    """A command's first line as the switch cuts it: at the first CR, only without one at the first LF."""
    end = block.find("\r")
    return block.partition("\n")[0] if end < 0 else block[:end]


def _command_headers(text: str) -> HeaderList:
    """The headers behind a command's first line (docs/protocol/commands.md, 1.3 and 1.5)."""
    headers = HeaderList()
    at = 0
    first = True
    while at < len(text):
        end = text.find("\r", at)  # the switch looks for the next CR, however far it is
        if end < 0:
            end = text.find("\n", at)
        line, rest = (text[at:], "") if end < 0 else (text[at:end], text[end:])
        name, colon, value = line.partition(":")
        if not first and colon and "\n" not in name:
            headers.add(name, value.lstrip(" "))
        first = False
        at = len(text) - len(rest.lstrip("\r\n"))
    return headers
