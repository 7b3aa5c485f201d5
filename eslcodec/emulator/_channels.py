"""Channels of an emulated switch: what runs on them, and how they end.

What it does is what a real switch was seen to do (docs/protocol/observed.md), so that a client tested with it meets
what it will meet in production.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import replace
from typing import Final

from .._ctext import is_true
from .._json import Field
from ..enums import CallState
from ..headers import HeaderList
from ._core import Core
from ._digits import Given, Gone, Instead, Key, KeysNotTaken, Prompt, Step, Steps, Wait
from ._model import Application, Connected, Effect, Run, Running, Session, Until, cause_named, nothing, run_of

_WITHOUT_VARIABLES: Final = ("CHANNEL_STATE", "CHANNEL_CALLSTATE", "CHANNEL_OUTGOING", "DTMF")
_CALL_STATES: Final = [state.value for state in CallState]
_SILENT_APPLICATIONS: Final = """
    bridge ring_ready start_dtmf stop_dtmf set_user socket
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
        timed: how those run that are told how long they take.
        expand: gives application data with values for its `${variables}`.
        heard: told what a caller says to a recognizer.
        before_report: told of a channel that has hung up, before its record is written.
        leads: sends a channel that no client controls elsewhere in the dialplan; None if nothing does.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self.sessions: dict[str, Session] = {}
        self.leads: Callable[[Session, str], None] | None = None
        self.total = 0
        self.most = 0
        self.applications: dict[str, Application] = {
            **dict.fromkeys(_SILENT_APPLICATIONS.split(), 0.0),
            "answer": self._answer,
            "hangup": lambda session, data: self.hangup(session, cause_named(data)),
        }
        self.timed: dict[str, Callable[[Session, str, Run], Steps]] = {}
        self.expand: Callable[[Session, str], str] = lambda _session, data: data
        self.heard: Callable[[Session, str], None] = lambda _session, _words: None
        self.before_report: Callable[[Session], None] = lambda _session: None

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

    # Keys

    def dtmf(self, session: Session, digits: str, *, source: str = "RTP", duration: int = 2000) -> None:
        """Keys are pressed on a channel: an event for each when something takes it, or while nothing runs."""
        if session.hangup_cause is None:
            idle = not session.running
            for digit in digits:
                session.press(Key(digit, source, duration))
            self.serve(session, typed=idle)

    def serve(self, session: Session, *, typed: bool = False) -> None:
        """Give what runs on a channel what it waits for, as long as there is something.

        While nothing runs, a key is an event at once. On a static socket those that an application left wait for the
        next, as in the switch; there, what is typed between two applications waits as well.

        Args:
            session: the channel.
            typed: whether this is for keys that are typed just now.
        """
        self._serve_recognizer(session)
        while session.running and self._serve_top(session, session.running[-1]):
            pass
        while not session.running and session.hangup_cause is None and not session._goes_on_soon:
            if session.keys and (typed or session.parked or not session.in_socket):
                self._dequeue(session)
                continue
            listens = any(listener.hears_keys for listener in session.listeners)
            step = session.caller.answer_idle(session.ended, listens)
            if step is None:
                return
            self._do(session, step)
            session.ended, typed = "", True

    def _serve_recognizer(self, session: Session) -> None:
        """A recognizer that listens beside what runs hears what the caller says next."""
        steps = session.caller.steps
        if session.listens is None or session.hangup_cause is not None or (steps and steps[0].kind != "say"):
            return
        step = self._answer_of(session, session.listens)
        if step is None:
            return
        session.listens = None
        if step.kind == "say":
            self._core.later(0, lambda: self.heard(session, str(step.value)))
        else:
            self._do(session, step)

    def _serve_top(self, session: Session, running: Running) -> bool:
        """Give the application that runs on top something. False if there is nothing, or if it does not wait."""
        if running.wait is None or running.busy or running.over or session.hangup_cause is not None:
            return False
        wait = running.wait
        given = self._given(session, wait)
        if given is None and wait.prompt is not None and wait.prompt is not running.answered:
            step = self._answer_of(session, wait.prompt)
            if step is not None:
                running.answered = wait.prompt
                if step.kind not in ("say", "talk"):
                    self._do(session, step)
                    return True
                given = step
        if given is None and (running.due or (wait.prompt is not None and wait.prompt is running.answered)):
            given = Instead.TIME  # what a scripted caller did is all: the time for more passes at once
        if given is not None:
            self._step(session, running, given)
        return given is not None

    def _given(self, session: Session, wait: Wait) -> Given | None:
        """What an application that waits is given; None if nothing has come."""
        if session.broken:
            session.broken = False
            return Instead.BREAK
        if session.keys and wait.keys == "take":
            return self._dequeue(session)
        return Instead.KEY if session.keys and wait.keys == "look" else None

    def _answer_of(self, session: Session, prompt: Prompt) -> Step | None:
        try:
            return session.caller.answer(prompt)
        except BaseException as error:  # a script of the test
            self._core.errors.append(error)
            return Step("silence")

    def _dequeue(self, session: Session) -> str:
        key = session.keys.popleft()
        typed = [("DTMF-Digit", key.digit), ("DTMF-Duration", str(key.duration)), ("DTMF-Source", key.source)]
        if not is_true(session.text_of("sensitive_dtmf")):
            self.fire("DTMF", session, typed, function="switch_channel_dequeue_dtmf")
        return key.digit

    def _do(self, session: Session, step: Step) -> None:
        """A caller does something."""
        if step.kind == "press":
            for digit in str(step.value):
                session.press(Key(digit))
        elif step.kind == "hangup":
            self.hangup(session, cause_named(str(step.value)))

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
        if session.performs:  # whoever performs them goes on with the next one, so that many do not go deep
            return
        session.performs = True
        try:
            while (message := session.next_message()) is not None:
                self._perform(session, message, nothing)
        finally:
            session.performs = False

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
        """Run one after the other. Many that end at once do not go deep."""
        begins = ended = False

        def go_on() -> None:
            nonlocal ended
            ended = True
            if not begins:
                self._execute_all(session, wanted, done)

        while wanted and session.hangup_cause is None:
            application, _, data = wanted.popleft().partition(" ")
            begins, ended = True, False
            self._execute(session, Running(application, data, self._core.make_uuid("application"), go_on))
            begins = False
            if not ended:
                return
        done()

    def run(
        self,
        session: Session,
        application: str,
        data: str,
        done: Callable[[], None] = nothing,
    ) -> None:
        """Run an application on a channel.

        Args:
            session: the channel.
            application: its name.
            data: its argument.
            done: called when it has ended.
        """
        uuid = self._core.make_uuid("application")
        self._execute(session, Running(application, data, uuid, done))

    def interrupt(self, session: Session) -> None:
        """What runs on a channel is broken off; who waited for its end is told."""
        for done in self._interrupt(session):
            done()

    def _execute(self, session: Session, running: Running) -> None:
        if self.applications.get(running.application) is None:
            if running.application not in self.applications:
                self._core.unknown("applications", running.application)
            self.hangup(session, "DESTINATION_OUT_OF_ORDER", by_command=True)
            running.done()
            return
        if not is_true(session.text_of("app_disable_expand_variables")):
            running.data = self.expand(session, running.data)
        session.execute(running)
        self._run(session, running)

    def _run(self, session: Session, running: Running) -> None:
        session.set("current_application_response")
        self._fire_execute("CHANNEL_EXECUTE", session, running)
        session.broken = False
        session.running.append(running)
        running.busy = True
        effect = self._effect(session, running)
        running.busy = False
        if isinstance(effect, Generator):
            running.steps = effect
            self._step(session, running, None)
            self.serve(session)
            return
        running.begin(effect)
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
        name = running.application
        effect = self.applications[name]
        try:
            result: object = effect(session, running.data) if callable(effect) else effect
            if name in self.timed and (result is None or isinstance(result, (int, float, Run))):
                return self.timed[name](session, running.data, run_of(name, result))
            if result is None or isinstance(result, (int, float, Run, Until, Generator)):
                return result
            raise TypeError(f"application {name!r} gave {result!r}, expected seconds, Run or None")
        except BaseException as error:  # another's function, or its pytest.fail: it must not end the connection
            self._core.errors.append(error)
            return None

    def _step(self, session: Session, running: Running, given: Given | Gone | None) -> None:
        """Let an application that waits go on, to its next wait or to its end."""
        assert running.steps is not None
        running.busy, running.wait = True, None
        try:
            wait = running.steps.throw(given) if isinstance(given, Gone) else _send(running.steps, given)
            if not isinstance(wait, Wait):
                raise TypeError(f"application {running.application!r} is a generator, expected seconds, Run or None")
            if isinstance(given, Gone) or running not in session.running:
                running.steps.close()
        except StopIteration as end:
            running.begin(end.value if isinstance(end.value, (int, float, Run)) else None)
        except Gone:
            pass
        except BaseException as error:  # another's function
            self._core.errors.append(error)
        else:
            if running in session.running and not isinstance(given, Gone):
                self._await(session, running, wait)
            return
        finally:
            running.busy = False
        if not isinstance(given, Gone):
            self._end(session, running)

    def _await(self, session: Session, running: Running, wait: Wait) -> None:
        turn = running.awaits(wait)
        if wait.seconds and not wait.same:
            self._core.later(wait.seconds, lambda: self._passes(session, running, turn))

    def _passes(self, session: Session, running: Running, turn: int) -> None:
        running.passes(turn)
        self.serve(session)

    def _end(self, session: Session, running: Running) -> None:
        """An application's time has passed; it ends when those that were begun meanwhile have ended."""
        running.end()
        while session.running and session.running[-1].over:
            last = session.running.pop()
            session.ended = last.application
            self._complete(session, last, last.run.response)
        if session.transferred and not session.running and session.hangup_cause is None:
            session.transferred = False
            self._leave_socket(session)
        self._perform_queued(session)
        self.serve(session)
        self._go_on(session)

    def _complete(self, session: Session, running: Running, response: str) -> None:
        if response != Run().response:
            session.set("current_application_response", response)
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

    def break_off(self, session: Session) -> None:
        """What plays on a channel is broken off, as by `uuid_break`."""
        session.broken = True
        self.serve(session)

    def transfer(self, session: Session, data: str) -> None:
        """The channel goes to another place in the dialplan.

        It leaves `socket`, unless that is static and waits for its client. As in the switch the connection stays, and
        may go on to command the channel; nothing else does here.
        """
        if self.leads is not None and not session.in_socket:
            self.leads(session, data)
            return
        session.profile["Caller-Destination-Number"] = data.split(" ")[0]
        session.transferred = session.parked

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
        self.lose_keys(session)
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

    def lose_keys(self, session: Session) -> None:
        """Keys that a test pressed for an application, and that none took, are the test's mistake."""
        leftover = session.caller.leftover()
        if leftover:
            self._core.errors.append(KeysNotTaken(leftover, [name for name, _ in session.executed], session.uuid))

    def _interrupt(self, session: Session) -> list[Callable[[], None]]:
        """What runs ends now; give what is to be called then."""
        waiting: list[Callable[[], None]] = []
        while session.running:
            running = session.running.pop()
            waiting.append(running.abandon())
            self._complete(session, running, self._interrupted(session, running))
        return waiting

    def _interrupted(self, session: Session, running: Running) -> str:
        """The response of an application that is interrupted; one that waits is told, and may fire events."""
        if running.steps is None or running.busy:
            return running.run.interrupted
        self._step(session, running, Gone())
        return running.run.response

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
        self.before_report(session)
        leg = session.leg
        if leg is not None:
            leg.times.hungup = self.now()
        self.enter(session, "CS_HANGUP")
        self.enter_call_state(session, "HANGUP")
        self.enter(session, "CS_REPORTING")
        again: list[Field] = []
        if leg is not None:
            session.variables.update(leg.report(session.hangup_cause or "NONE"))
            session.variables.update(_last_application(session))
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


def _send(steps: Steps, given: Given | None) -> Wait:
    """Let a generator go on; its first step takes nothing."""
    return next(steps) if given is None else steps.send(given)


def _last_application(session: Session) -> dict[str, str]:
    """`last_app` and `last_arg`, which call records have."""
    if not session.executed:
        return {}
    name, data = session.executed[-1]
    return {"last_app": name, **({"last_arg": data} if data else {})}
