"""What an emulated switch has: users, channels and what runs on them, background jobs; and how it sees a connection."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from .._ctext import atoi, is_true, to_text
from .._json import Field, joined
from ..enums import ChannelState, HangupCause
from ..headers import HeaderList
from ._digits import KEYS_KEPT, Caller, Key, Prompt, Steps, Wait
from ._events import SwitchEvent
from ._legs import Leg

SHUTDOWN: Final = b"The system is being shut down.\n"
"""What a connection is told when the switch, or its module, ends."""
_SPINNING_SECONDS: Final = 0.5


class Connected(Protocol):
    """A connection as the rest of the switch sees it.

    Attributes:
        peer: the client's address, None if it has none.
        inbound: the client connected; otherwise the switch dialled out for a channel.
        static: the dialplan waits for each command, as with `socket` without `async`.
        lingers: it stays after its channel has hung up.
        hears_keys: it asked for DTMF by name.
    """

    @property
    def peer(self) -> object: ...

    @property
    def inbound(self) -> bool: ...

    @property
    def static(self) -> bool: ...

    @property
    def lingers(self) -> bool: ...

    @property
    def hears_keys(self) -> bool: ...

    def offer(self, event: SwitchEvent) -> None:
        """An event has been fired."""

    def offer_log(self, level: int, line: bytes) -> None:
        """A line has been written to the log."""

    def channel_gone(self) -> None:
        """The channel that it controls has hung up."""

    def dismiss(self, text: bytes = SHUTDOWN) -> None:
        """End with a notice."""


class NotEmulated(AssertionError):
    """A program asked a strict emulator for an API command or an application that it does not have.

    Example:
        >>> from eslcodec import connect
        >>> from eslcodec.emulator import Emulator, NotEmulated
        >>> try:
        ...     with Emulator(strict=True) as switch, connect(switch.host, switch.port) as fs:
        ...         print(fs.api("lua", "greet.lua").text, end="")
        ... except NotEmulated as error:
        ...     print(error)
        -ERR lua Command not found!
        no API command 'lua' is emulated: say switch.api['lua'] = ..., with None if it is meant to be missing
    """


class UnknownEvent(ValueError):
    """An event of a name that no switch has was to be fired.

    Example:
        >>> from eslcodec.emulator import Emulator, UnknownEvent
        >>> try:
        ...     Emulator().fire("HEARTBEET")
        ... except UnknownEvent as error:
        ...     print(error)
        no switch fires 'HEARTBEET' (did you mean 'HEARTBEAT'?): say unknown=True to mean it
    """


class NotRunning(RuntimeError):
    """An emulator that does not run was to do something.

    Example:
        >>> from eslcodec.emulator import Emulator, NotRunning
        >>> try:
        ...     Emulator().fire("HEARTBEAT")
        ... except NotRunning:
        ...     print("enter it first")
        enter it first
    """


@dataclass(frozen=True)
class User:
    """A directory user for `userauth`: the password, and what the user may do.

    Args:
        password: `esl-password`.
        events: `esl-allowed-events`: "all", or names separated by blanks (after CUSTOM, subclasses).
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


def _must_be(value: object, kinds: tuple[type, ...], owner: str, name: str) -> None:
    """Say what is wrong where a test says it, not where the emulator uses it."""
    if not isinstance(value, kinds):
        raise TypeError(f"{owner}: {name} is {value!r}, expected {' or '.join(kind.__name__ for kind in kinds)}")


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

    def __post_init__(self) -> None:
        _must_be(self.seconds, (int, float), "Later", "seconds")
        _must_be(self.output, (str, bytes), "Later", "output")


_FILES_PLAYED: Final = ("playback", "endless_playback", "loop_playback")


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

    def __post_init__(self) -> None:
        _must_be(self.seconds, (int, float), "Run", "seconds")
        _must_be(self.response, (str,), "Run", "response")
        _must_be(self.interrupted, (str,), "Run", "interrupted")


class Promise:
    """An API output that comes when something has happened, such as an answer. Whoever made it calls `keep`.

    Example:
        >>> promise = Promise()
        >>> promise.then(print)
        >>> promise.keep("+OK")
        +OK
    """

    def __init__(self) -> None:
        self._output: str | bytes | None = None
        self._then: Callable[[str | bytes], None] | None = None

    def then(self, call: Callable[[str | bytes], None]) -> None:
        """Have a function called with the output, at once if it is there."""
        if self._output is None:
            self._then = call
        else:
            call(self._output)

    def keep(self, output: str | bytes) -> None:
        """Here is the output. Only the first one counts."""
        if self._output is not None:
            return
        self._output = output
        if self._then is not None:
            self._then(output)


class Until:
    """How a dialplan application runs that ends when something has happened. Whoever made it calls `end`.

    Args:
        interrupted: its `Application-Response` if the channel is hung up before.
        abandoned: called then.

    Attributes:
        over: whether it has ended.

    Example:
        >>> until = Until()
        >>> until.begin(print)
        >>> until.end("digits")
        digits
    """

    def __init__(self, *, interrupted: str = "_none_", abandoned: Callable[[], None] | None = None) -> None:
        self.over = False
        self.interrupted = interrupted
        self._abandoned = abandoned
        self._response = "_none_"
        self._then: Callable[[str], None] | None = None

    def begin(self, then: Callable[[str], None]) -> None:
        """It runs; `then` is called with its response, at once if it is over already."""
        if self.over:
            then(self._response)
        else:
            self._then = then

    def end(self, response: str = "_none_") -> None:
        """It has ended. Only the first end counts."""
        if self.over:
            return
        self.over, self._response = True, response
        if self._then is not None:
            self._then(response)

    def abandon(self) -> None:
        """The channel has been hung up, or what runs on it has been broken off."""
        if self.over:
            return
        self.over = True
        if self._abandoned is not None:
            self._abandoned()


ApiOutput = str | bytes | Later | Promise | None
"""What an API command puts out; None is the command's failure, which reads `-ERR <command> Command not found!`."""
Api = str | bytes | Later | Promise | Callable[[str], ApiOutput] | None
Effect = float | Run | Until | Steps | None
"""How an application runs: for some seconds, as `Run` says, until something has happened, or step by step."""
Application = float | Run | Callable[["Session", str], Effect] | None

PLAYED: Final = Run(response="FILE PLAYED", interrupted="PLAYBACK ERROR")
"""How `playback` runs unless told otherwise."""


def run_of(application: str, effect: float | Run | None) -> Run:
    """How an application runs, from what was said of it.

    Example:
        >>> run_of("playback", 2).response, run_of("sleep", 2).seconds, run_of("sleep", None)
        ('FILE PLAYED', 2, Run(seconds=0.0, response='_none_', interrupted='_none_'))
    """
    if isinstance(effect, Run):
        return effect
    plain = PLAYED if application in _FILES_PLAYED else Run()
    return plain if effect is None else replace(plain, seconds=effect)


@dataclass(frozen=True)
class Job:
    """A `bgapi` that has been answered and whose result is still to come."""

    uuid: str
    command: str
    args: str | None
    owner: str | None
    console: bool = False


def nothing() -> None:
    """What is called at the end of something that nobody waits for."""


@dataclass(eq=False)
class Running:
    """An application that runs on a channel."""

    application: str
    data: str
    uuid: str
    done: Callable[[], None] = nothing
    locked: bool = False
    loops: int = 1
    extra: Sequence[Field] = ()
    run: Run = Run()
    until: Until | None = None
    over: bool = False
    steps: Steps | None = None
    wait: Wait | None = None
    turn: int = 0
    due: bool = False
    busy: bool = False
    answered: Prompt | None = None

    @classmethod
    def asked(cls, message: HeaderList, make_uuid: Callable[[str], str], done: Callable[[], None]) -> Running:
        """What a `sendmsg` with `execute` asks for; `done` is called at its end."""
        data = message.get("execute-app-arg", "")
        if not data and message.get("content-type") == "text/plain":
            data = to_text(message.body or b"")
        name = message.get("Event-UUID-Name")
        return cls(
            application=message.get("execute-app-name") or "",
            data=data or "",
            uuid=message.get("Event-UUID") or make_uuid("application"),
            done=done,
            locked=is_true(message.get("event-lock")) or is_true(message.get("event-lock-pri")),
            loops=atoi(message.get("loops") or "1"),
            extra=[("Application-UUID-Name", name)] if name else [],
        )

    def begin(self, effect: float | Run | Until | None) -> None:
        """It runs for as long as its effect says."""
        if isinstance(effect, Until):
            self.until = effect
            self.run = Run(interrupted=effect.interrupted)
        else:
            self.run = run_of(self.application, effect)

    def awaits(self, wait: Wait) -> int:
        """It waits for something; give the number of this wait."""
        self.wait = wait
        if not wait.same:
            self.due = wait.seconds is not None and wait.seconds <= 0
            self.turn += 1
        return self.turn

    def passes(self, turn: int) -> None:
        """The time of a wait has passed; of another one than the present, that is nothing."""
        self.due = self.due or turn == self.turn

    def end(self) -> None:
        """Its time has passed."""
        self.over = True

    def repeats(self) -> bool:
        """Whether it runs once more, now that it has ended.

        As in the switch: what ran for less than half a second is not repeated, or it would spin.
        """
        self.loops -= 1
        again = bool(self.loops) and self.run.seconds >= _SPINNING_SECONDS
        self.over = not again
        return again

    def abandon(self) -> Callable[[], None]:
        """What is to be called at the end; the caller does that, not `end`."""
        if self.until is not None:
            self.until.abandon()
        done, self.done = self.done, nothing
        return done


class Session:
    """A live channel of the switch.

    Attributes:
        uuid: its `Unique-ID`.
        variables: channel variables by name; a list is an array.
        name: its `Channel-Name`.
        answered: whether it has been answered.
        created: when it began to live, in seconds since 1970.
        state: its `Channel-State`: CS_RESET, for ever, after `resume` on a static socket.
        parked: whether it is parked, as an unanswered async call stays when its connection ends without `resume`.
        hangup_cause: None while it lives.
        executed: (application, data) of everything executed on it, in order.
        prompts: what its caller was played, told or asked, in order.
        leg: who calls whom, and when what happened; None if no call was ever made with it.
        at_end: functions that are called once it has been hung up.
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
        self.created = 0.0
        self.hangup_cause: str | None = None
        self.executed: list[tuple[str, str]] = []
        self.prompts: list[str] = []
        self.leg: Leg | None = None
        self.at_end: list[Callable[[], None]] = []
        self.events: list[SwitchEvent] = []
        self.listeners: list[Connected] = []
        self.state = "CS_EXECUTE"
        self.parked = False
        self.running: list[Running] = []
        self.profile: dict[str, str] = {}
        self.held = False
        self.listens: Prompt | None = None
        self.recordings: dict[str, float] = {}
        self.transferred = False
        self.keys: deque[Key] = deque()
        self.caller = Caller()
        self.ended = ""
        self.broken = False
        self._socket: Running | None = None
        self._leaving = False
        self.performs = False
        self._pending: deque[HeaderList] = deque()

    def __repr__(self) -> str:
        return f"<Session {self.uuid}{f' {self.hangup_cause}' if self.hangup_cause else ''}>"

    def fields(self, *, variables: bool = True) -> list[Field]:
        """The channel's headers in an event: its state, its caller profile and, unless told not to, its variables."""
        if self.leg is not None:
            fields = [*self._leg_state_fields(self.leg), *self.leg.codec_fields(), *self.leg.caller_fields()]
            return fields + self._variable_fields() if variables else fields
        profile = {
            "Caller-Direction": "inbound",
            "Caller-Logical-Direction": "inbound",
            "Caller-Dialplan": "xml",
            "Caller-Caller-ID-Number": "0000000000",
            "Caller-ANI": "0000000000",
            "Caller-Destination-Number": "default",
            "Caller-Unique-ID": self.uuid,
            "Caller-Source": "mod_loopback",
            "Caller-Context": "default",
            "Caller-Channel-Name": self.name,
            "Caller-Profile-Index": "1",
        }
        fields = [
            *self._state_fields(),
            ("Channel-Read-Codec-Name", "L16"),
            ("Channel-Read-Codec-Rate", "8000"),
            ("Channel-Write-Codec-Name", "L16"),
            ("Channel-Write-Codec-Rate", "8000"),
            *{**profile, **self.profile}.items(),
        ]
        return fields + self._variable_fields() if variables else fields

    def _variable_fields(self) -> list[Field]:
        return [(f"variable_{name}", value) for name, value in self.variables.items()]

    def _leg_state_fields(self, leg: Leg) -> list[Field]:
        answer = "answered" if self.answered else "early" if leg.early else "ringing"
        number = ChannelState[self.state] if self.hangup_cause is None else max(10, min(12, ChannelState[self.state]))
        outbound = leg.profile.direction == "outbound"
        presence = self.variables.get("presence_id")
        return [
            ("Channel-State", self.state),
            ("Channel-Call-State", leg.call_state),
            ("Channel-State-Number", str(int(number))),
            ("Channel-Name", self.name),
            ("Unique-ID", self.uuid),
            ("Call-Direction", leg.profile.direction),
            ("Presence-Call-Direction", leg.profile.direction),
            ("Channel-HIT-Dialplan", "false" if outbound and not leg.hit_dialplan else "true"),
            *([("Channel-Presence-ID", presence)] if presence else []),
            ("Channel-Call-UUID", leg.call_uuid or self.uuid),
            ("Answer-State", "hangup" if self.hangup_cause else answer),
            *([("Hangup-Cause", self.hangup_cause)] if self.hangup_cause else []),
        ]

    def _state_fields(self) -> list[Field]:
        answer = "hangup" if self.hangup_cause else "answered" if self.answered else "ringing"
        call = "HANGUP" if self.hangup_cause else "ACTIVE" if self.answered else "RINGING"
        number = ChannelState[self.state] if self.hangup_cause is None else max(10, ChannelState[self.state])
        cause: list[Field] = [("Hangup-Cause", self.hangup_cause)] if self.hangup_cause else []
        return [
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
            *cause,
        ]

    # Connections that are bound to it

    def bind(self, connection: Connected) -> None:
        """A connection controls it, or looks at its events, from now on."""
        self.listeners.append(connection)

    def release(self, connection: Connected) -> bool:
        """A connection has ended. False if it was not bound."""
        if connection not in self.listeners:
            return False
        self.listeners.remove(connection)
        return True

    @property
    def resumes(self) -> bool:
        """A connection said `resume`."""
        return is_true(joined(self.variables.get("socket_resume", "")))

    # What runs on it

    def queue(self, message: HeaderList) -> None:
        """A `sendmsg` waits for its turn."""
        self._pending.append(message)

    @property
    def _goes_on_soon(self) -> bool:
        """Whether messages are being performed, and the next one comes at once."""
        return self.performs and bool(self._pending)

    def next_message(self) -> HeaderList | None:
        """The message whose turn it is; None if none waits, or if what runs has locked the queue."""
        if not self._pending or any(running.locked for running in self.running):
            return None
        return self._pending.popleft()

    def execute(self, running: Running) -> None:
        """An application has been called."""
        self.executed.append((running.application, running.data))
        self.variables["current_application"] = running.application
        if running.data:
            self.variables["current_application_data"] = running.data

    def text_of(self, name: str, default: str = "") -> str:
        """A variable as text."""
        return joined(self.variables.get(name, default))

    def set(self, name: str, value: str = "") -> None:
        """Set a variable; an empty value removes it, as in the switch."""
        if value:
            self.variables[name] = value
        else:
            self.variables.pop(name, None)

    def press(self, key: Key) -> None:
        """A key is pressed: it waits until something takes it."""
        self.keys.append(key)
        if len(self.keys) > KEYS_KEPT:
            self.keys.popleft()

    # Its life

    def answer(self) -> bool:
        """It is answered. False if it was before."""
        before, self.answered = self.answered, True
        return not before

    def enter_socket(self, running: Running, parked: bool) -> None:
        """The dialplan application `socket` runs on it."""
        self._socket, self.parked = running, parked

    @property
    def in_socket(self) -> bool:
        """Whether the dialplan application `socket` runs on it."""
        return self._socket is not None

    def leave_socket(self) -> Running | None:
        """The application `socket` has ended; None if it does not run."""
        running, self._socket = self._socket, None
        return running

    def unpark(self) -> bool:
        """It is parked no more. False if it was not."""
        before, self.parked = self.parked, False
        return before

    def enter(self, state: str) -> None:
        """It changes its `Channel-State`."""
        self.state = state

    def leave(self) -> None:
        """The dialplan is to go on once all is done that was sent to it."""
        self._leaving = True

    @property
    def goes_on(self) -> bool:
        """The dialplan goes on now."""
        return self._leaving and self.hangup_cause is None and not self.running and not self._pending

    def hang_up(self, cause: str) -> None:
        """It has ended; what waits for its turn never gets it."""
        self.hangup_cause = cause
        if self.leg is None:
            self.variables["hangup_cause"] = cause
        self._pending.clear()


def cause_named(text: str | None) -> str:
    """The name of a hangup cause given by name or number; NORMAL_CLEARING if there is no such cause.

    Example:
        >>> cause_named("user_busy"), cause_named("17"), cause_named("x")
        ('USER_BUSY', 'USER_BUSY', 'NORMAL_CLEARING')
    """
    text = (text or "").upper()
    if text in HangupCause.__members__:
        return text
    number = atoi(text)
    return HangupCause(number).name if number and number in HangupCause._value2member_map_ else "NORMAL_CLEARING"
