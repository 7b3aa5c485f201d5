"""What the connections of an emulated switch share: events, channels and what runs on them, API commands, jobs.

No sockets, threads or timers of its own: `later` is whoever runs it. One thread at a time. What it does is what a real
switch was seen to do (docs/protocol/observed.md), so that a client tested with it meets what it will meet in
production.
"""

from __future__ import annotations

import time
import uuid as _uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from typing import TYPE_CHECKING, Final

from . import render
from ._ctext import atoi, is_true, to_bytes, to_text
from ._json import Field, joined
from .enums import ChannelState, HangupCause
from .events import Event
from .headers import HeaderList

if TYPE_CHECKING:
    from ._listener import Listener

QUEUE_LIMIT: Final = 100_000
"""Events, and log lines, that wait for a connection before they are lost."""
COMMANDS_KEPT: Final = 10_000
"""Commands that are remembered, of one connection and of all: more than a test looks through, and a switch that serves
a demo or a soak for weeks does not fill the memory with them."""

# Where the real switch fires its events; clients look at the function at most.
_ORIGINS: Final = {
    "parse_command": ("mod_event_socket.c", "2283"),
    "api_exec": ("mod_event_socket.c", "1580"),
    "switch_core_session_exec": ("switch_core_session.c", "2949"),
    "switch_channel_dequeue_dtmf": ("switch_channel.c", "678"),
    "switch_channel_perform_hangup": ("switch_channel.c", "3447"),
    "switch_channel_perform_mark_answered": ("switch_channel.c", "3881"),
    "switch_core_session_reporting_state": ("switch_core_state_machine.c", "943"),
}


@dataclass(frozen=True)
class User:
    """A directory user for `userauth`: the password, and what the user may do.

    Args:
        password: `esl-password`.
        events: `esl-allowed-events`: "all", or names separated by blanks (behind CUSTOM, subclasses).
        api: `esl-allowed-api`: "all", or API commands separated by blanks.
        log: `esl-allowed-log`.

    Example:
        >>> from eslcodec import connect
        >>> from eslcodec.emulator import Emulator, User
        >>> with Emulator(users={"1000@example.org": User("secret", api="echo")}) as switch:
        ...     with connect(switch.host, switch.port, user="1000@example.org", password="secret") as fs:
        ...         fs.api("echo", "hi").text, fs.api("status").ok
        ('hi', False)
    """

    password: str = field(repr=False)
    events: str = "all"
    api: str = "all"
    log: bool = True


@dataclass(frozen=True)
class Later:
    """An API output that takes `seconds`. The connection that asked stands still meanwhile; a `bgapi` does not.

    Example:
        >>> from eslcodec import connect
        >>> from eslcodec.emulator import Emulator, Later
        >>> with Emulator() as switch, connect(switch.host, switch.port) as fs:
        ...     switch.api["slow"] = Later(0.01, "+OK")
        ...     fs.api("slow").text
        '+OK'
    """

    seconds: float
    output: str | bytes


@dataclass(frozen=True)
class Run:
    """How a dialplan application runs: for how long, and its `Application-Response`, also when hung up midway.

    Example:
        >>> from eslcodec import serve
        >>> from eslcodec.emulator import Emulator, Run
        >>> responses = []
        >>> def play(call):
        ...     responses.append(call.playback("a.wav", wait=True)["Application-Response"])
        >>> with serve(play) as server, Emulator() as switch:
        ...     switch.applications["playback"] = Run(0.01, response="FILE NOT FOUND")
        ...     _ = switch.dial("127.0.0.1", server.port).wait()
        >>> responses
        ['FILE NOT FOUND']
    """

    seconds: float = 0.0
    response: str = "_none_"
    interrupted: str = "_none_"


ApiOutput = str | bytes | Later | None
"""What an API command puts out; None is the command's failure, which reads `-ERR <command> Command not found!`."""
Api = str | bytes | Later | Callable[[str], ApiOutput]
Application = float | Run | Callable[["Session", str], "float | Run | None"]

_PLAYED: Final = Run(response="FILE PLAYED", interrupted="PLAYBACK ERROR")
_MODULES: Final = "mod_commands mod_dptools mod_event_socket mod_loopback mod_sofia"
_SILENT_APPLICATIONS: Final = """
    park sleep echo bridge record info log export unset read wait_for_silence ring_ready pre_answer start_dtmf
    stop_dtmf set_user transfer deflect respond conference socket break detect_speech speak say
"""


class SwitchEvent:
    """An event inside the switch. It is written in a format when a connection takes it, once for all of them."""

    __slots__ = ("_frames", "headers", "name", "subclass")

    def __init__(self, name: str, headers: HeaderList, subclass: str | None = None) -> None:
        self.name = name
        self.headers = headers
        self.subclass = subclass
        self._frames: dict[str, bytes] = {}

    def frame(self, format: str) -> bytes:
        """The event as a frame in "plain", "json" or "xml"."""
        frame = self._frames.get(format)
        if frame is None:
            frame = self._frames[format] = render.event_frame(self._payload(format), format)
        return frame

    def _payload(self, format: str) -> bytes:
        fields, body = self.headers.fields(), self.headers.body
        if format == "plain":
            return render.plain(fields, body, server=True)
        if format == "json":
            return render.json([field for field in fields if field[0].lower() != "_body"], body)
        return _xml(fields, body)


def _xml(fields: Iterable[Field], body: bytes | None) -> bytes:
    """XML as the switch writes it: malformed where a name is no XML name, and lossy, where `render.xml` refuses."""
    lines = [b"<event>\n  <headers>\n"]
    for name, value in fields:
        raw = name.encode("utf-8", "surrogateescape")
        for item in [value] if isinstance(value, str) else value:
            text = render.quote_server(item.encode("utf-8", "surrogateescape"))
            lines.append(b"    <%b>%b</%b>\n" % (raw, text, raw))
    lines.append(b"  </headers>\n")
    if body:
        lines.append(render.xml_body(_utf8(body), len(body)).encode())
    return b"".join([*lines, b"</event>\n"])


def _utf8(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return ""  # as the switch was seen to do


class Session:
    """A live channel of the switch.

    Attributes:
        uuid: its `Unique-ID`.
        variables: channel variables by name; a list is an array.
        name: its `Channel-Name`.
        answered: whether it has been answered.
        state: its `Channel-State`: CS_RESET, for ever, after `resume` on a static socket.
        parked: whether it is parked, as an unanswered async call stays when its connection ends without `resume`.
        hangup_cause: None while it lives.
        executed: (application, data) of everything executed on it, in order.
        events: what `sendevent` sent to it by its `Unique-ID`.

    Example:
        >>> from eslcodec import connect
        >>> from eslcodec.emulator import Emulator
        >>> with Emulator() as switch, connect(switch.host, switch.port) as fs:
        ...     session = switch.add_session("8f08a03a", {"greeted": "yes"})
        ...     fs.api("uuid_getvar", "8f08a03a greeted").text, session.answered
        ('yes', True)
    """

    def __init__(
        self,
        uuid: str,
        variables: Mapping[str, str | Sequence[str]] | None = None,
        *,
        name: str = "",
        answered: bool = True,
    ) -> None:
        self.uuid = uuid
        self.name = name or f"loopback/{uuid[:8]}-b"
        self.variables: dict[str, str | list[str]] = {
            "direction": "inbound",
            "uuid": uuid,
            "channel_name": self.name,
        }
        for key, value in (variables or {}).items():
            self.variables[key] = value if isinstance(value, str) else list(value)
        self.answered = answered
        self.hangup_cause: str | None = None
        self.executed: list[tuple[str, str]] = []
        self.events: list[SwitchEvent] = []
        self.listeners: list[Listener] = []
        self.state = "CS_EXECUTE"
        self.parent: _Running | None = None
        self.parked = False
        self.leaving = False
        self.pending: deque[HeaderList] = deque()
        self.running: list[_Running] = []

    def fields(self, *, variables: bool = True) -> list[Field]:
        """The channel's headers in an event: its state, its caller profile and, unless told not to, its variables."""
        answer = "hangup" if self.hangup_cause else "answered" if self.answered else "ringing"
        call = "HANGUP" if self.hangup_cause else "ACTIVE" if self.answered else "RINGING"
        number = ChannelState[self.state] if self.hangup_cause is None else max(10, ChannelState[self.state])
        fields: list[Field] = [
            ("Channel-State", self.state),
            ("Channel-Call-State", call),
            ("Channel-State-Number", str(int(number))),
            ("Channel-Name", self.name),
            ("Unique-ID", self.uuid),
            ("Call-Direction", "inbound"),
            ("Presence-Call-Direction", "inbound"),
            ("Channel-HIT-Dialplan", "true"),
            ("Channel-Call-UUID", self.uuid),
            ("Answer-State", answer),
        ]
        if self.hangup_cause:
            fields.append(("Hangup-Cause", self.hangup_cause))
        fields += [
            ("Channel-Read-Codec-Name", "L16"),
            ("Channel-Read-Codec-Rate", "8000"),
            ("Channel-Write-Codec-Name", "L16"),
            ("Channel-Write-Codec-Rate", "8000"),
            ("Caller-Direction", "inbound"),
            ("Caller-Logical-Direction", "inbound"),
            ("Caller-Dialplan", "xml"),
            ("Caller-Caller-ID-Number", "0000000000"),
            ("Caller-ANI", "0000000000"),
            ("Caller-Destination-Number", "default"),
            ("Caller-Unique-ID", self.uuid),
            ("Caller-Source", "mod_loopback"),
            ("Caller-Context", "default"),
            ("Caller-Channel-Name", self.name),
            ("Caller-Profile-Index", "1"),
        ]
        if variables:
            fields += [(f"variable_{name}", value) for name, value in self.variables.items()]
        return fields

    def __repr__(self) -> str:
        return f"<Session {self.uuid}{f' {self.hangup_cause}' if self.hangup_cause else ''}>"


@dataclass(eq=False)
class _Running:
    """An application that runs on a channel."""

    application: str
    data: str
    uuid: str
    run: Run
    locked: bool = False
    loops: int = 1
    done: Callable[[], None] = lambda: None
    over: bool = False
    extra: list[Field] = field(default_factory=list)


@dataclass(frozen=True)
class Job:
    """A `bgapi` that has been answered and whose result is still to come."""

    uuid: str
    command: str
    args: str | None
    owner: str | None
    console: bool = False


def new_uuid(_kind: str) -> str:
    """A random id, whatever it is for."""
    return str(_uuid.uuid4())


class Switch:
    """What the connections of a switch share: events, API commands, channels, background jobs.

    Args:
        password: of `auth`.
        users: directory users for `userauth`, by "user@domain".
        queue_limit: events, and log lines, that wait for one connection before they are lost.
        later: calls a function after some seconds; nothing that takes time ever ends without one.
        clock: seconds since 1970 for the dates in events.
        make_uuid: a new id; its argument says what for: "core", "job", "event", "application", "channel".
        core_headers: the headers that the switch puts into each event, by event name and the function that fires it;
            the first must be `Event-Name`.
    """

    def __init__(
        self,
        *,
        password: str = "ClueCon",
        users: Mapping[str, User] | None = None,
        queue_limit: int = QUEUE_LIMIT,
        later: Callable[[float, Callable[[], None]], object] = lambda _seconds, _call: None,
        clock: Callable[[], float] = time.time,
        make_uuid: Callable[[str], str] = new_uuid,
        core_headers: Callable[[str, str], Iterable[Field]] | None = None,
    ) -> None:
        self.password = password
        self.users = dict(users or {})
        self.queue_limit = queue_limit
        self.later = later
        self.clock = clock
        self.make_uuid = make_uuid
        self.core_headers = core_headers or self._core_headers
        self.core_uuid = make_uuid("core")
        self.sequence = 0
        self.started = clock()
        self.subclasses: set[str] = set()
        self.listeners: list[Listener] = []
        self.commands: list[str] = []
        self.sessions: dict[str, Session] = {}
        self.variables: dict[str, str] = {}
        self.jobs: list[Job] = []
        self.errors: list[BaseException] = []
        self.hold_jobs = False
        self.frozen = False
        self.catching_up = False  # what it held back is being queued
        self.modules = set(_MODULES.split())
        self.witness: Callable[[Listener, str], None] | None = None
        self.held: deque[Callable[[], None]] = deque()
        self.api: dict[str, Api] = _default_api(self)
        self.applications: dict[str, Application] = dict.fromkeys(_SILENT_APPLICATIONS.split(), 0.0)
        self.applications |= {
            "answer": self._app_answer,
            "set": self._app_set,
            "hangup": self._app_hangup,
            "playback": _PLAYED,
        }

    # Events

    def _core_headers(self, name: str, function: str) -> Iterable[Field]:
        now = self.clock()
        self.sequence += 1
        file, line = _ORIGINS.get(function, ("switch_core.c", "1"))
        return [
            ("Event-Name", name),
            ("Core-UUID", self.core_uuid),
            ("FreeSWITCH-Hostname", "emulator"),
            ("FreeSWITCH-Switchname", "emulator"),
            ("FreeSWITCH-IPv4", "127.0.0.1"),
            ("FreeSWITCH-IPv6", "::1"),
            ("Event-Date-Local", time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))),
            ("Event-Date-GMT", formatdate(now, usegmt=True)),
            ("Event-Date-Timestamp", str(int(now * 1_000_000))),
            ("Event-Calling-File", file),
            ("Event-Calling-Function", function),
            ("Event-Calling-Line-Number", line),
            ("Event-Sequence", str(self.sequence)),
        ]

    def event(
        self,
        name: str,
        fields: Iterable[Field] = (),
        body: bytes | None = None,
        *,
        function: str = "fire",
    ) -> SwitchEvent:
        """An event with the core headers; a CUSTOM one's `Event-Subclass` is its subclass, and comes first."""
        rest = list(fields)
        subclass = None
        if name == "CUSTOM":
            subclass = next((joined(value) for key, value in rest if key.lower() == "event-subclass"), None)
        top: list[Field] = []
        if subclass is not None:
            top = [("Event-Subclass", subclass)]
            rest = [(key, value) for key, value in rest if key.lower() != "event-subclass"]
            self.subclasses.add(subclass)
        return SwitchEvent(name, HeaderList([*top, *self.core_headers(name, function), *rest], body), subclass)

    def wrap(self, event: Event) -> SwitchEvent:
        """A ready-made event; the core headers are added if it has none of them."""
        name = event.name or "CUSTOM"
        fields = event._fields()
        if "Core-UUID" not in event:
            return self.event(name, [item for item in fields if item[0] != "Event-Name"], event.body)
        return SwitchEvent(name, HeaderList(fields, event.body), event.subclass if name == "CUSTOM" else None)

    def fire(self, event: SwitchEvent) -> None:
        """Give an event to every connection that wants it."""
        self._give(lambda listener: listener.offer(event))

    def log(self, level: int, line: bytes) -> None:
        """Give a `log/data` frame to every connection that wants log lines of its level."""
        self._give(lambda listener: listener.offer_log(level, line))

    def tell(self, listener: Listener, what: str) -> None:
        """Something happened on a connection: "connected", "closed", or a command."""
        if self.witness is not None:
            self.witness(listener, what)

    def _give(self, offer: Callable[[Listener], None]) -> None:
        def give() -> None:
            for listener in list(self.listeners):
                offer(listener)

        self._in_turn(give)

    def _in_turn(self, call: Callable[[], None]) -> None:
        """Do something that connections see: now, or after what is held because the switch stands still."""
        if self.frozen or self.held:
            self.held.append(call)
        else:
            call()

    def give_held(self) -> None:
        """Do all that was held, at once as a switch does. Nothing of it is lost.

        What a switch holds back waits in its dispatch queue, ten thousand events for each of the threads that hand them
        on, and the queue of a connection that kept up has room for ten times as many. `queue_limit` may be much
        smaller than what was held, so that does not count.
        """
        self.catching_up = True
        try:
            while self.held and not self.frozen:
                self.held.popleft()()
        finally:
            self.catching_up = False

    # API commands and jobs

    def execute(self, command: str, args: str) -> ApiOutput:
        """What an API command puts out, blanks around it and its arguments stripped; None if there is none."""
        answer = self.api.get(command.strip(" "))
        try:
            output: object = answer(args.strip(" ")) if callable(answer) else answer
            if output is None or isinstance(output, (str, bytes, Later)):
                return output
            raise TypeError(f"API command {command!r} gave {output!r}, expected text, bytes, Later or None")
        except Exception as error:  # another's function: its bug must not end the connection
            self.errors.append(error)
            return f"-ERR {error!r}\n"

    def console(self, text: str) -> ApiOutput:
        """What the console interpreter puts out: commands separated by `;;`, their outputs joined."""
        outputs: list[bytes] = []
        for part in text.split(";;"):
            command, _, args = part.strip().partition(" ")
            output = self.execute(command, args)
            if output is None:
                return None
            outputs.append(to_bytes(output.output if isinstance(output, Later) else output))
        return b"".join(outputs)

    def run_api(self, command: str, args: str | None, console: bool, then: Callable[[bytes], None]) -> None:
        """Call `then` with the output of an API command, at once or, for `Later`, when it is due."""
        output = self.console(command) if console else self.execute(command, args or "")
        if output is None:
            then(b"-ERR %b Command not found!\n" % to_bytes(command))
        elif isinstance(output, Later):
            due = to_bytes(output.output)
            self.later(output.seconds, lambda: then(due))
        else:
            then(to_bytes(output))

    def add_job(self, job: Job) -> None:
        """Run a background job, or keep it if `hold_jobs`."""
        if self.hold_jobs:
            self.jobs.append(job)
        else:
            self.run_job(job)

    def run_job(self, job: Job) -> None:
        """Execute a job; its result is a BACKGROUND_JOB event."""
        self.run_api(job.command, job.args, job.console, lambda output: self._job_done(job, output))

    def _job_done(self, job: Job, output: bytes) -> None:
        fields: list[Field] = [("Job-UUID", job.uuid)]
        if job.owner is not None:
            fields.append(("Job-Owner-UUID", job.owner))
        fields.append(("Job-Command", job.command))
        if job.args is not None:
            fields.append(("Job-Command-Arg", job.args))
        self.fire(self.event("BACKGROUND_JOB", fields, output, function="api_exec"))

    # Channels

    def add_session(self, session: Session) -> Session:
        """A channel comes into being."""
        self.sessions[session.uuid] = session
        return session

    def channel_event(
        self, name: str, session: Session, extra: Iterable[Field] = (), *, function: str = "fire"
    ) -> None:
        """Fire an event of a channel."""
        fields = session.fields(variables=name not in ("CHANNEL_STATE", "DTMF"))
        self.fire(self.event(name, [*fields, *extra], function=function))

    def dtmf(self, session: Session, digit: str) -> None:
        """A key is pressed on a channel."""
        if session.hangup_cause is not None:
            return
        typed = [("DTMF-Digit", digit), ("DTMF-Duration", "2000"), ("DTMF-Source", "RTP")]
        self.channel_event("DTMF", session, typed, function="switch_channel_dequeue_dtmf")

    def start_socket(self, session: Session, data: str, parked: bool) -> None:
        """The dialplan application `socket` begins on a channel."""
        self.channel_event("CHANNEL_CREATE", session)
        parent = _Running("socket", data, self.make_uuid("application"), Run())
        session.parent, session.parked = parent, parked
        self._execute_event("CHANNEL_EXECUTE", session, parent)
        if parked:
            self.channel_event("CHANNEL_PARK", session)

    def send_message(self, session: Session, message: HeaderList, done: Callable[[], None] | None = None) -> None:
        """A `sendmsg` reaches a channel: it is queued, or performed now if `done` waits for its end."""
        if done is not None:
            self._perform(session, message, done)
            return
        session.pending.append(message)
        self._pump(session)

    def _pump(self, session: Session) -> None:
        while session.pending and not any(running.locked for running in session.running):
            self._perform(session, session.pending.popleft(), lambda: None)

    def _perform(self, session: Session, message: HeaderList, done: Callable[[], None]) -> None:
        command = message.get("call-command")
        if session.hangup_cause is not None:
            done()
        elif command == "execute":
            self._execute(session, _running(self, message), done)
        elif command == "hangup":
            self.hangup(session, _cause(message.get("hangup-cause", "")), by_command=True)
            done()
        elif command == "xferext":
            wanted = [value for name, value in message.pairs() if name.lower() == "application"]
            self._execute_all(session, deque(wanted), done)
        else:
            done()

    def _execute_all(self, session: Session, wanted: deque[str], done: Callable[[], None]) -> None:
        if not wanted or session.hangup_cause is not None:
            done()
            return
        application, _, data = wanted.popleft().partition(" ")
        running = _Running(application, data, self.make_uuid("application"), Run())
        self._execute(session, running, lambda: self._execute_all(session, wanted, done))

    def _execute(self, session: Session, running: _Running, done: Callable[[], None]) -> None:
        if running.application not in self.applications:
            self.hangup(session, "DESTINATION_OUT_OF_ORDER", by_command=True)
            done()
            return
        running.done = done
        session.executed.append((running.application, running.data))
        session.variables["current_application"] = running.application
        if running.data:
            session.variables["current_application_data"] = running.data
        self._execute_event("CHANNEL_EXECUTE", session, running)
        session.running.append(running)
        self._begin(session, running)

    def _begin(self, session: Session, running: _Running) -> None:
        result = self._effect(session, running)
        if isinstance(result, Run):
            running.run = result
        elif result is not None:
            default = _PLAYED if running.application == "playback" else Run()
            running.run = replace(default, seconds=result)
        if running.run.seconds > 0:
            self.later(running.run.seconds, lambda: self._end(session, running))
        else:
            self._end(session, running)

    def _effect(self, session: Session, running: _Running) -> float | Run | None:
        effect = self.applications[running.application]
        try:
            result: object = effect(session, running.data) if callable(effect) else effect
            if result is None or isinstance(result, (int, float, Run)):
                return result
            raise TypeError(f"application {running.application!r} gave {result!r}, expected seconds, Run or None")
        except Exception as error:  # as in `execute`
            self.errors.append(error)
            return None

    def _end(self, session: Session, running: _Running) -> None:
        """An application's time is over; it ends when those that were begun meanwhile have ended."""
        running.over = True
        while session.running and session.running[-1].over:
            last = session.running.pop()
            self._complete(session, last, last.run.response)
        self._pump(session)
        self._go_on(session)

    def _complete(self, session: Session, running: _Running, response: str) -> None:
        self._execute_event("CHANNEL_EXECUTE_COMPLETE", session, running, [("Application-Response", response)])
        running.loops -= 1
        # As the switch: what ran for less than half a second is not repeated, or it would spin.
        if running.loops and running.run.seconds >= 0.5 and session.hangup_cause is None:
            running.over = False
            self._execute_event("CHANNEL_EXECUTE", session, running)
            session.running.append(running)
            self._begin(session, running)
        else:
            running.done()

    def _execute_event(self, name: str, session: Session, running: _Running, response: Sequence[Field] = ()) -> None:
        fields: list[Field] = [("Application", running.application)]
        if running.data:
            fields.append(("Application-Data", running.data))
        fields += [*response, ("Application-UUID", running.uuid), *running.extra]
        self.channel_event(name, session, fields, function="switch_core_session_exec")

    def hangup(self, session: Session, cause: str = "NORMAL_CLEARING", *, by_command: bool = False) -> None:
        """Hang a channel up: its events, and what becomes of the connections that are bound to it.

        Args:
            session: the channel.
            cause: its `Hangup-Cause`.
            by_command: a command of a bound connection does so itself.
        """
        if session.hangup_cause is not None:
            return
        bound = list(session.listeners)
        early = [listener for listener in bound if listener.static and self._tells_first(listener, by_command)]
        self._tell(early)
        session.hangup_cause = cause
        session.variables["hangup_cause"] = cause
        self.sessions.pop(session.uuid, None)
        self.channel_event("CHANNEL_HANGUP", session, function="switch_channel_perform_hangup")
        self._tell(listener for listener in bound if listener.inbound)
        session.pending.clear()
        static = [listener for listener in bound if listener.static and listener not in early]
        waiting: list[Callable[[], None]] = []
        while session.running:
            running = session.running.pop()
            done, running.done = running.done, lambda: None
            self._complete(session, running, running.run.interrupted)
            waiting.append(done)
        self._tell(static)
        for done in waiting:
            done()
        if not any(listener.static for listener in bound):
            self._report(session)
        self._tell(listener for listener in bound if not listener.static and not listener.inbound)
        self._destroy(session)

    def _tells_first(self, listener: Listener, by_command: bool) -> bool:
        """Whether a static connection is told of a hang-up before its events come.

        It is while events cannot come, and if the hang-up ends its command, for then the switch looks at the channel
        before it looks for events; both seen in captures. Without linger that is the end, and what the caller
        interrupted would never be told; so much the switch waits for, mostly.
        """
        assert listener.session is not None
        return by_command or self.frozen or (bool(listener.session.running) and listener.linger is not None)

    def _tell(self, listeners: Iterable[Listener]) -> None:
        """Connections come to know that their channel has hung up, behind the events that they have got by now."""
        for listener in listeners:
            self._in_turn(listener.channel_gone)

    def _report(self, session: Session) -> None:
        """A dead channel leaves the dialplan and writes its record."""
        self._leave_socket(session)
        session.state = "CS_HANGUP"
        self.channel_event("CHANNEL_STATE", session)
        session.state = "CS_REPORTING"
        self.channel_event("CHANNEL_STATE", session)
        function = "switch_core_session_reporting_state"
        self.channel_event("CHANNEL_HANGUP_COMPLETE", session, function=function)

    def _destroy(self, session: Session) -> None:
        """A dead channel is kept as long as a connection is bound to it."""
        if session.hangup_cause is not None and not session.listeners:
            self.channel_event("CHANNEL_DESTROY", session)

    def _leave_socket(self, session: Session) -> None:
        """The application `socket` has ended."""
        if session.parked:
            session.parked = False
            self.channel_event("CHANNEL_UNPARK", session)
        if session.parent is not None:
            parent, session.parent = session.parent, None
            self._execute_event("CHANNEL_EXECUTE_COMPLETE", session, parent, [("Application-Response", "_none_")])

    def released(self, session: Session, listener: Listener) -> None:
        """A connection that was bound to a channel has ended.

        Seen on a real switch: a static channel goes on in the dialplan, but for one that said `resume`, which is reset
        and stays so; an async one goes on if it was answered or said `resume`, and stays parked else.
        """
        session.listeners.remove(listener)
        resumed = is_true(joined(session.variables.get("socket_resume", "")))
        if session.hangup_cause is not None:
            if listener.static:
                self._report(session)
            self._destroy(session)
        elif listener.static and resumed:
            session.state = "CS_RESET"
            self._leave_socket(session)
            self.channel_event("CHANNEL_STATE", session)
        elif not listener.inbound and (listener.static or session.answered or resumed):
            session.leaving = True
            self._go_on(session)

    def _go_on(self, session: Session) -> None:
        """The dialplan goes on behind `socket` once all that was sent to the channel is done; there it ends."""
        if session.leaving and session.hangup_cause is None and not session.running and not session.pending:
            self._leave_socket(session)
            self.hangup(session)

    def _app_answer(self, session: Session, _data: str) -> None:
        if not session.answered:
            session.answered = True
            self.channel_event("CHANNEL_ANSWER", session, function="switch_channel_perform_mark_answered")

    def _app_set(self, session: Session, data: str) -> None:
        name, _, value = data.partition("=")
        session.variables[name] = value

    def _app_hangup(self, session: Session, data: str) -> None:
        self.hangup(session, _cause(data))


def keep(commands: list[str], command: str) -> None:
    """Remember a command, and no more than the newest `COMMANDS_KEPT`. A list, since tests slice and compare it."""
    commands.append(command)
    del commands[:-COMMANDS_KEPT]


def _running(switch: Switch, message: HeaderList) -> _Running:
    data = message.get("execute-app-arg", "")
    if not data and message.get("content-type") == "text/plain":
        data = to_text(message.body or b"")
    extra: list[Field] = []
    name = message.get("Event-UUID-Name")
    if name:
        extra.append(("Application-UUID-Name", name))
    return _Running(
        application=message.get("execute-app-name") or "",
        data=data or "",
        uuid=message.get("Event-UUID") or switch.make_uuid("application"),
        run=Run(),
        locked=is_true(message.get("event-lock")) or is_true(message.get("event-lock-pri")),
        loops=atoi(message.get("loops") or "1"),
        extra=extra,
    )


def _cause(text: str | None) -> str:
    """The name of a hangup cause given by name or number; NORMAL_CLEARING if there is no such cause."""
    text = (text or "").upper()
    if text in HangupCause.__members__:
        return text
    number = atoi(text)
    return HangupCause(number).name if number and number in HangupCause._value2member_map_ else "NORMAL_CLEARING"


def _default_api(switch: Switch) -> dict[str, Api]:
    """API commands that clients and tests commonly use."""

    def session(args: str) -> tuple[Session | None, list[str]]:
        uuid, *rest = args.split(" ", 2)
        return switch.sessions.get(uuid), rest

    def status(_args: str) -> str:
        seconds = int(switch.clock() - switch.started)
        days, hours, minutes = seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60
        return (
            f"UP 0 years, {days} days, {hours} hours, {minutes} minutes, {seconds % 60} seconds, 0 milliseconds, "
            f"0 microseconds\nFreeSWITCH (Version 1.11.3 emulated) is ready\n{len(switch.sessions)} session(s)\n"
        )

    def uuid_getvar(args: str) -> str:
        found, rest = session(args)
        if found is None:
            return "-ERR No such channel!\n"
        return joined(found.variables.get(" ".join(rest), "_undef_"))

    def uuid_setvar(args: str) -> str:
        found, rest = session(args)
        if found is None:
            return "-ERR No such channel!\n"
        found.variables[rest[0] if rest else ""] = rest[1] if len(rest) > 1 else ""
        return "+OK\n"

    def uuid_kill(args: str) -> str:
        found, rest = session(args)
        if found is None:
            return "-ERR No such channel!\n"
        switch.hangup(found, _cause(rest[0] if rest else ""))
        return "+OK\n"

    def hupall(args: str) -> str:
        cause = _cause(args.partition(" ")[0] or "MANAGER_REQUEST")
        for found in list(switch.sessions.values()):
            switch.hangup(found, cause)
        return f"+OK hangup all channels with cause {cause}\n"

    def global_setvar(args: str) -> str:
        name, _, value = args.partition("=")
        switch.variables[name] = value
        return "+OK"

    def bgapi(args: str) -> str:
        command, blank, rest = args.partition(" ")
        uuid = switch.make_uuid("job")
        switch.later(0, lambda: switch.add_job(Job(uuid, command, rest if blank else None, None)))
        return f"+OK Job-UUID: {uuid}\n"

    def reload(args: str) -> str:
        if args == "mod_event_socket":
            for listener in list(switch.listeners):
                listener.dismiss()
        return "+OK\n"

    def unload(args: str) -> str:
        module = args.rpartition(" ")[2]  # behind -f
        if not module:
            return "-USAGE: [-f] <mod_name>\n"
        if module not in switch.modules:
            return "-ERR [No such module!]\n"
        if module != "mod_event_socket":
            switch.modules.discard(module)
        return reload(module)

    return {
        "bgapi": bgapi,
        "create_uuid": lambda _args: switch.make_uuid("channel"),
        "echo": lambda args: args,
        "eval": lambda args: args,
        "global_getvar": lambda args: switch.variables.get(args, ""),
        "global_setvar": global_setvar,
        "hupall": hupall,
        "reload": reload,
        "status": status,
        "unload": unload,
        "uptime": lambda _args: f"{int(switch.clock() - switch.started)}\n",
        "uuid_exists": lambda args: "true" if args in switch.sessions else "false",
        "uuid_getvar": uuid_getvar,
        "uuid_kill": uuid_kill,
        "uuid_setvar": uuid_setvar,
        "version": "FreeSWITCH Version 1.11.3-emulated (eslcodec)\n",
    }
