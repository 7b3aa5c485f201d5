"""Channels of an emulated switch: what runs on them, and how they end.

What it does is what a real switch was seen to do (docs/protocol/observed.md), so that a client tested with it meets
what it will meet in production.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from .._json import Field
from ..enums import CallState
from ..headers import HeaderList
from ._core import Core
from ._model import PLAYED, Application, Connected, Effect, Run, Running, Session, Until, cause_named, nothing

_WITHOUT_VARIABLES: Final = ("CHANNEL_STATE", "CHANNEL_CALLSTATE", "CHANNEL_OUTGOING", "DTMF")
_CALL_STATES: Final = [state.value for state in CallState]
_SILENT_APPLICATIONS: Final = """
    park sleep echo bridge record info log export unset read wait_for_silence ring_ready pre_answer start_dtmf
    stop_dtmf set_user transfer deflect respond conference socket break detect_speech speak say
"""


class Channels:
    """The live channels of a switch and the applications that run on them.

    Args:
        core: what the switch stands on.

    Attributes:
        sessions: live channels by uuid.
        applications: dialplan applications by name.
        total: how many channels there have been.
        most: how many there were at once.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self.sessions: dict[str, Session] = {}
        self.total = 0
        self.most = 0
        self.applications: dict[str, Application] = {
            **dict.fromkeys(_SILENT_APPLICATIONS.split(), 0.0),
            "answer": self._answer,
            "set": self._set,
            "hangup": lambda session, data: self.hangup(session, cause_named(data)),
            "playback": PLAYED,
        }

    def add(self, session: Session) -> Session:
        """A channel comes into being."""
        session.created = self._core.clock()
        self.sessions[session.uuid] = session
        self.total += 1
        self.most = max(self.most, len(self.sessions))
        return session

    def get(self, uuid: str | None) -> Session | None:
        """The live channel with an id; None if there is none."""
        return self.sessions.get(uuid or "")

    def fire(
        self,
        name: str,
        session: Session,
        extra: Iterable[Field] = (),
        *,
        first: Iterable[Field] = (),
        function: str = "fire",
    ) -> None:
        """Fire an event of a channel.

        Args:
            name: of the event.
            session: the channel.
            extra: headers that come last.
            first: headers that come before those of the channel.
            function: what fires it.
        """
        fields = session.fields(variables=name not in _WITHOUT_VARIABLES)
        self._core.fire(self._core.event(name, [*first, *fields, *extra], function=function))

    def enter(self, session: Session, state: str) -> None:
        """A channel comes to another state."""
        session.enter(state)
        self.fire("CHANNEL_STATE", session, function="switch_channel_perform_set_running_state")

    def enter_call_state(self, session: Session, state: str) -> None:
        """A channel comes to another `Channel-Call-State`; nothing happens if it is in it, or if it is no leg."""
        leg = session.leg
        if leg is None or leg.call_state == state:
            return
        before, leg.call_state = leg.call_state, state
        first = [
            ("Original-Channel-Call-State", before),
            ("Channel-Call-State-Number", str(_CALL_STATES.index(state))),
        ]
        self.fire("CHANNEL_CALLSTATE", session, first=first, function="switch_channel_perform_set_callstate")

    def now(self) -> int:
        """What time it is, in microseconds since 1970."""
        return int(self._core.clock() * 1_000_000)

    def dtmf(self, session: Session, digit: str) -> None:
        """A key is pressed on a channel."""
        if session.hangup_cause is not None:
            return
        typed = [("DTMF-Digit", digit), ("DTMF-Duration", "2000"), ("DTMF-Source", "RTP")]
        self.fire("DTMF", session, typed, function="switch_channel_dequeue_dtmf")

    def start_socket(self, session: Session, data: str, parked: bool) -> None:
        """The dialplan application `socket` begins on a channel."""
        self.fire("CHANNEL_CREATE", session)
        running = Running("socket", data, self._core.make_uuid("application"))
        session.enter_socket(running, parked)
        self._fire_execute("CHANNEL_EXECUTE", session, running)
        if parked:
            self.fire("CHANNEL_PARK", session)

    # Messages

    def send_message(self, session: Session, message: HeaderList, done: Callable[[], None] | None = None) -> None:
        """A `sendmsg` reaches a channel: it is queued, or performed now if `done` waits for its end."""
        if done is not None:
            self._perform(session, message, done)
            return
        session.queue(message)
        self._perform_queued(session)

    def _perform_queued(self, session: Session) -> None:
        while (message := session.next_message()) is not None:
            self._perform(session, message, nothing)

    def _perform(self, session: Session, message: HeaderList, done: Callable[[], None]) -> None:
        command = message.get("call-command")
        if session.hangup_cause is not None:
            done()
        elif command == "execute":
            self._execute(session, Running.asked(message, self._core.make_uuid, done))
        elif command == "hangup":
            self.hangup(session, cause_named(message.get("hangup-cause", "")), by_command=True)
            done()
        elif command == "xferext":
            wanted = [value for name, value in message.pairs() if name.lower() == "application"]
            self._execute_all(session, deque(wanted), done)
        else:
            done()

    # Applications

    def _execute_all(self, session: Session, wanted: deque[str], done: Callable[[], None]) -> None:
        if not wanted or session.hangup_cause is not None:
            done()
            return
        application, _, data = wanted.popleft().partition(" ")
        uuid = self._core.make_uuid("application")
        self._execute(session, Running(application, data, uuid, lambda: self._execute_all(session, wanted, done)))

    def run(
        self,
        session: Session,
        application: str,
        data: str,
        done: Callable[[], None] = nothing,
        effect: Callable[[], Effect] | None = None,
    ) -> None:
        """Run an application on a channel.

        Args:
            session: the channel.
            application: its name.
            data: its argument.
            done: called when it has ended.
            effect: how it runs, if that is not for `applications` to say.
        """
        uuid = self._core.make_uuid("application")
        self._execute(session, Running(application, data, uuid, done, effect=effect))

    def interrupt(self, session: Session) -> None:
        """What runs on a channel is broken off; who waited for its end is told."""
        for done in self._interrupt(session):
            done()

    def _execute(self, session: Session, running: Running) -> None:
        if running.effect is None and running.application not in self.applications:
            self.hangup(session, "DESTINATION_OUT_OF_ORDER", by_command=True)
            running.done()
            return
        session.execute(running)
        self._run(session, running)

    def _run(self, session: Session, running: Running) -> None:
        self._fire_execute("CHANNEL_EXECUTE", session, running)
        session.running.append(running)
        running.begin(self._effect(session, running) if running.effect is None else running.effect())
        if running.until is not None:
            running.until.begin(lambda response: self._end_with(session, running, response))
        elif running.run.seconds > 0:
            self._core.later(running.run.seconds, lambda: self._end(session, running))
        else:
            self._end(session, running)

    def _end_with(self, session: Session, running: Running, response: str) -> None:
        """What an application waited for has happened."""
        running.run = replace(running.run, response=response)
        self._end(session, running)

    def _effect(self, session: Session, running: Running) -> Effect:
        effect = self.applications[running.application]
        try:
            result: object = effect(session, running.data) if callable(effect) else effect
            if result is None or isinstance(result, (int, float, Run, Until)):
                return result
            raise TypeError(f"application {running.application!r} gave {result!r}, expected seconds, Run or None")
        except Exception as error:  # another's function: its bug must not end the connection
            self._core.errors.append(error)
            return None

    def _end(self, session: Session, running: Running) -> None:
        """An application's time has passed; it ends when those that were begun meanwhile have ended."""
        running.end()
        while session.running and session.running[-1].over:
            last = session.running.pop()
            self._complete(session, last, last.run.response)
        self._perform_queued(session)
        self._go_on(session)

    def _complete(self, session: Session, running: Running, response: str) -> None:
        self._fire_complete(session, running, response)
        if running.repeats() and session.hangup_cause is None:
            self._run(session, running)
        else:
            running.done()

    def _fire_execute(self, name: str, session: Session, running: Running, response: Sequence[Field] = ()) -> None:
        fields: list[Field] = [("Application", running.application)]
        if running.data:
            fields.append(("Application-Data", running.data))
        fields += [*response, ("Application-UUID", running.uuid), *running.extra]
        self.fire(name, session, fields, function="switch_core_session_exec")

    def _fire_complete(self, session: Session, running: Running, response: str) -> None:
        self._fire_execute("CHANNEL_EXECUTE_COMPLETE", session, running, [("Application-Response", response)])

    def _answer(self, session: Session, _data: str) -> None:
        self.answer(session)

    def answer(self, session: Session) -> None:
        """A channel is answered, unless it was before."""
        if not session.answer():
            return
        leg = session.leg
        if leg is not None:
            leg.times.answered, leg.codec = self.now(), True
        self.fire("CHANNEL_ANSWER", session, function="switch_channel_perform_mark_answered")
        self.enter_call_state(session, "ACTIVE")
        if leg is not None:
            session.variables["endpoint_disposition"] = "ANSWER"

    def _set(self, session: Session, data: str) -> None:
        name, _, value = data.partition("=")
        session.variables[name] = value

    # The end

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
        early = [one for one in bound if one.static and self._tells_first(session, one, by_command)]
        self._tell(early)
        session.hang_up(cause)
        self.sessions.pop(session.uuid, None)
        self.fire("CHANNEL_HANGUP", session, function="switch_channel_perform_hangup")
        self._tell(one for one in bound if one.inbound)
        waiting = self._interrupt(session)
        self._tell(one for one in bound if one.static and one not in early)
        for done in waiting:
            done()
        if not any(one.static for one in bound):
            self._report(session)
        self._tell(one for one in bound if not one.static and not one.inbound)
        self._destroy(session)

    def _interrupt(self, session: Session) -> list[Callable[[], None]]:
        """What runs ends now; give what is to be called then."""
        waiting: list[Callable[[], None]] = []
        while session.running:
            running = session.running.pop()
            waiting.append(running.abandon())
            self._complete(session, running, running.run.interrupted)
        return waiting

    def _tells_first(self, session: Session, connection: Connected, by_command: bool) -> bool:
        """Whether a static connection is told of a hang-up before its events come.

        It is if its own command hangs up, while no events can come, and if the hang-up ends a command of a connection
        that lingers: then the switch looks at the channel before it looks for events, as seen in captures. Without
        linger the notice ends the connection, so the events of what was interrupted would never come: for these the
        switch mostly waits.
        """
        return by_command or self._core.frozen or (bool(session.running) and connection.lingers)

    def _tell(self, connections: Iterable[Connected]) -> None:
        """Tell connections that their channel has hung up, after the events that were given to them before."""
        for connection in connections:
            self._core.in_turn(connection.channel_gone)

    def _report(self, session: Session) -> None:
        """A dead channel leaves the dialplan and writes its record."""
        self._leave_socket(session)
        leg = session.leg
        if leg is not None:
            leg.times.hungup = self.now()
        self.enter(session, "CS_HANGUP")
        self.enter_call_state(session, "HANGUP")
        self.enter(session, "CS_REPORTING")
        again: list[Field] = []
        if leg is not None:
            session.variables.update(leg.report(session.hangup_cause or "NONE"))
            again = [("Hangup-Cause", session.hangup_cause or "NONE")]
        self.fire("CHANNEL_HANGUP_COMPLETE", session, first=again, function="switch_core_session_reporting_state")
        at_end, session.at_end = session.at_end, []
        for call in at_end:
            call()

    def _destroy(self, session: Session) -> None:
        """A dead channel is kept as long as a connection is bound to it."""
        if session.hangup_cause is not None and not session.listeners:
            self.fire("CHANNEL_DESTROY", session, function="switch_core_session_perform_destroy")
            if session.leg is not None:
                self.enter(session, "CS_DESTROY")

    def _leave_socket(self, session: Session) -> None:
        """The application `socket` has ended."""
        if session.unpark():
            self.fire("CHANNEL_UNPARK", session)
        running = session.leave_socket()
        if running is not None:
            self._fire_complete(session, running, running.run.response)

    def release(self, session: Session, connection: Connected) -> None:
        """A connection that may be bound to a channel has ended.

        Seen on a real switch: a static channel goes on in the dialplan, except for one that said `resume`, which is
        reset and stays so; an async one goes on if it was answered or said `resume`, and stays parked otherwise.
        """
        if not session.release(connection):
            return
        if session.hangup_cause is not None:
            if connection.static:
                self._report(session)
            self._destroy(session)
        elif connection.static and session.resumes:
            session.enter("CS_RESET")
            self._leave_socket(session)
            self.fire("CHANNEL_STATE", session)
        elif not connection.inbound and (connection.static or session.answered or session.resumes):
            session.leave()
            self._go_on(session)

    def _go_on(self, session: Session) -> None:
        """The dialplan goes on after `socket` once all that was sent to the channel is done; there it ends."""
        if session.goes_on:
            self._leave_socket(session)
            self.hangup(session)
