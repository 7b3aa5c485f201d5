"""A dial string is dialled: legs come into being, ring, answer or do not, and one of them wins.

Causes and variables are those of the switch's `switch_ivr_originate`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from .._ctext import atoi, is_true
from .._json import joined
from ._bridges import leg_of
from ._channels import Channels
from ._core import Core
from ._dialstring import ParseError, Target, parse
from ._endpoints import Endpoint, channel_name, codec_variables, number, refusal
from ._legs import NO_NUMBER, OUTBOUND_NAME, Leg, Profile
from ._model import Session

TIMEOUT: Final = 60.0
"""Seconds after which the switch gives up if nothing else is said."""
_STATUS: Final = {
    "ORIGINATOR_CANCEL": "CANCEL",
    "USER_BUSY": "BUSY",
    "NO_ANSWER": "NOANSWER",
    "DESTINATION_OUT_OF_ORDER": "INVALIDARGS",
    "INVALID_PROFILE": "INVALIDARGS",
    "CALL_REJECTED": "DONTCALL",
}
Found = Callable[[Target], "Endpoint | None"]
Done = Callable[["Session | None", str], None]


@dataclass(frozen=True)
class Order:
    """What is to be dialled.

    Attributes:
        text: the dial string.
        caller: for whom; None if nobody waits.
        timeout: seconds.
        name: the caller's name, "" for that of the caller's channel.
        number: the caller's number, the same.
    """

    text: str
    caller: Session | None = None
    timeout: float = TIMEOUT
    name: str = ""
    number: str = ""


@dataclass(eq=False)
class _Dialled:
    """One leg of a group, and how it answers."""

    session: Session
    endpoint: Endpoint
    variables: dict[str, str]
    heard: bool = False


@dataclass(eq=False)
class Dialling:
    """One dial string while it is dialled.

    Attributes:
        core: time and ids.
        channels: where legs live.
        found: how a target answers; None if nothing is known of it.
        order: what is to be dialled.
        done: called once with the leg that won, or with None, and the cause.
    """

    core: Core
    channels: Channels
    found: Found
    order: Order
    done: Done
    cause: str = "DESTINATION_OUT_OF_ORDER"
    over: bool = False
    _groups: list[list[tuple[Target, dict[str, str]]]] = field(default_factory=list)
    _legs: list[_Dialled] = field(default_factory=list)
    _group: int = 0

    def start(self) -> None:
        """Dial."""
        caller = self.order.caller
        if caller is not None:
            leg_of(caller)
            caller.variables.pop("originate_causes", None)
        try:
            attempts = parse(self.order.text)
        except ParseError:
            self._fail()
            return
        if caller is not None:
            caller.variables.update({"originate_disposition": "failure", "DIALSTATUS": "INVALIDARGS"})
        for attempt in attempts:  # those of `:_:` ring together
            for at, group in enumerate(attempt.groups):
                if at == len(self._groups):
                    self._groups.append([])
                shared = attempt.variables
                self._groups[at] += [(target, {**shared, **target.variables}) for target in group]
        self._dial_next()

    def cancel(self, cause: str = "ORIGINATOR_CANCEL") -> None:
        """The caller has gone: nobody is told any more."""
        self.over = True
        self._hang_up_all(cause)

    # Groups, one after the other

    def _dial_next(self) -> None:
        while not self.over and self._groups:
            self._group += 1
            self._legs = []
            for target, variables in self._groups.pop(0):
                self._dial(target, variables)
            if self._legs:
                self._ring_all()
                return
        if not self.over:
            self._fail()

    def _dial(self, target: Target, variables: dict[str, str]) -> None:
        endpoint = self.found(target)
        uuid = variables.get("origination_uuid") or self.core.make_uuid("channel")
        if endpoint is None:
            self.cause = refusal(target)
        elif uuid in self.channels.sessions:
            self.cause = "DESTINATION_OUT_OF_ORDER"
        else:
            self._legs.append(_Dialled(self._session(uuid, target, variables, endpoint), endpoint, variables))

    def _ring_all(self) -> None:
        group, legs = self._group, self._legs
        for leg in legs:
            leg.session.at_end.append(lambda leg=leg: self._lost(leg))  # type: ignore[misc]
        for leg in legs:
            self._run(leg)
        if self.over or group != self._group:
            return
        for leg in legs:
            seconds = atoi(leg.variables.get("leg_timeout") or "0")
            if seconds > 0:
                self.core.later(seconds, lambda leg=leg: self._leg_timeout(leg, group))  # type: ignore[misc]
        self.core.later(self._timeout(legs[0].variables), lambda: self._timed_out(group))

    def _timeout(self, variables: dict[str, str]) -> float:
        caller = self.order.caller
        said = variables.get("originate_timeout") or variables.get("call_timeout")
        if not said and caller is not None:
            said = joined(caller.variables.get("call_timeout", ""))
        return atoi(said) if said and atoi(said) > 0 else self.order.timeout

    def _leg_timeout(self, leg: _Dialled, group: int) -> None:
        if not self.over and group == self._group and not leg.session.answered:
            self.channels.hangup(leg.session, "NO_ANSWER")

    def _timed_out(self, group: int) -> None:
        if self.over or group != self._group:
            return
        self.cause = "NO_ANSWER"
        if not is_true(self._legs[0].variables.get("originate_continue_on_timeout")):
            self._groups.clear()
        self._hang_up_all("NO_ANSWER")

    # One leg

    def _run(self, leg: _Dialled) -> None:
        endpoint = leg.endpoint
        if endpoint.ring_after is not None:
            self._later(endpoint.ring_after, leg, self._ring)
        if endpoint.does == "ring":
            return
        if endpoint.cause is not None:
            self._later(endpoint.after, leg, self._refuse)
        else:
            self._later(endpoint.after, leg, self._answer)

    def _later(self, seconds: float, leg: _Dialled, call: Callable[[_Dialled], None]) -> None:
        if seconds > 0:
            self.core.later(seconds, lambda: self._live(leg, call))
        else:
            self._live(leg, call)

    def _live(self, leg: _Dialled, call: Callable[[_Dialled], None]) -> None:
        if leg.session.hangup_cause is None:
            call(leg)

    def _ring(self, leg: _Dialled) -> None:
        own = leg_of(leg.session)
        early = leg.endpoint.early_media
        now = self.channels.now()
        if early:
            own.early, own.codec, own.times.progress_media = True, True, now
            leg.session.variables.update(codec_variables(leg.session))
        else:
            own.times.progress = now
        self._progress(leg.session, early)
        caller = self.order.caller
        if caller is not None and not self.over:
            self._caller_hears(caller, leg, early, now)
        wins = (early and not is_true(self._said(leg, "ignore_early_media"))) or (
            not early and is_true(self._said(leg, "return_ring_ready"))
        )
        if wins:
            self._win(leg)

    def _progress(self, session: Session, early: bool) -> None:
        if early:
            self.channels.fire("CHANNEL_PROGRESS_MEDIA", session, function="switch_channel_perform_mark_pre_answered")
        else:
            self.channels.fire("CHANNEL_PROGRESS", session, function="switch_channel_perform_mark_ring_ready_value")
        if leg_of(session).call_state in ("DOWN", "RINGING") or early:
            self.channels.enter_call_state(session, "EARLY" if early else "RINGING")

    def _caller_hears(self, caller: Session, leg: _Dialled, early: bool, now: int) -> None:
        own = leg_of(caller)
        own.profile.callee_name = OUTBOUND_NAME
        own.profile.callee_number = leg_of(leg.session).profile.callee_number
        heard = own.times.progress_media if early else own.times.progress
        if caller.answered or heard:
            return
        if early:
            own.early, own.times.progress_media = True, now
        else:
            own.times.progress = now
        self._progress(caller, early)

    def _answer(self, leg: _Dialled) -> None:
        leg.session.variables.update(codec_variables(leg.session))
        self.channels.answer(leg.session)
        if leg.endpoint.talks is not None:
            self.core.later(leg.endpoint.talks, lambda: self.channels.hangup(leg.session))
        self._win(leg)

    def _refuse(self, leg: _Dialled) -> None:
        self.channels.hangup(leg.session, leg.endpoint.cause or "NORMAL_CLEARING")

    def _said(self, leg: _Dialled, name: str) -> str:
        caller = self.order.caller
        inherited = "" if caller is None else joined(caller.variables.get(name, ""))
        return leg.variables.get(name, inherited)

    # How it ends

    def _win(self, winner: _Dialled) -> None:
        if self.over:
            return
        self.over = True
        self._tell_caller("SUCCESS")
        self._note(winner, "NONE")
        for leg in self._legs:
            if leg is not winner:
                self.channels.hangup(leg.session, "LOSE_RACE")
        self.done(winner.session, "SUCCESS")

    def _lost(self, leg: _Dialled) -> None:
        """A leg has ended; if that was the last one of its group, the next one is dialled."""
        cause = leg.session.hangup_cause or "NONE"
        self._note(leg, cause)
        caller = self.order.caller
        if self.over or leg not in self._legs:
            return
        if caller is not None:
            caller.variables["last_bridge_hangup_cause"] = cause
        if all(one.session.hangup_cause is not None for one in self._legs):
            self.cause = self._legs[0].session.hangup_cause or "NONE"
            self._tell_caller(self.cause)
            self._dial_next()

    def _fail(self) -> None:
        self.over = True
        self._tell_caller(self.cause)
        self.done(None, self.cause)

    def _hang_up_all(self, cause: str) -> None:
        for leg in self._legs:
            if not leg.session.answered:
                self.channels.hangup(leg.session, cause)

    def _tell_caller(self, cause: str) -> None:
        caller = self.order.caller
        if caller is not None:
            caller.variables["originate_disposition"] = cause
            caller.variables["DIALSTATUS"] = _STATUS.get(cause, cause)

    def _note(self, leg: _Dialled, cause: str) -> None:
        """`originate_causes` of the caller: what became of each leg, once."""
        caller = self.order.caller
        if caller is None or leg.heard:
            return
        leg.heard = True
        _push(caller, "originate_causes", f"{leg.session.uuid};{cause}")

    # A leg comes into being

    def _session(self, uuid: str, target: Target, variables: dict[str, str], endpoint: Endpoint) -> Session:
        caller = self.order.caller
        name = variables.get("origination_channel_name") or channel_name(target)
        session = Session(uuid, name=name, answered=False)
        leg = Leg(self._profile(uuid, name, target, variables))
        leg.times.created = leg.times.profile_created = self.channels.now()
        session.leg = leg
        session.enter("CS_NONE")
        self.channels.add(session)
        session.variables = self._variables(session, target, variables, endpoint)
        if caller is not None:
            leg.sees("originator", leg_of(caller).profile)
        self.channels.fire("CHANNEL_OUTGOING", session, function="switch_core_session_outgoing_channel")
        leg.call_uuid = uuid if caller is None else leg_of(caller).call_uuid or caller.uuid
        self.channels.enter(session, "CS_INIT")
        self.channels.fire("CHANNEL_CREATE", session, function="switch_core_session_run")
        self.channels.fire("CHANNEL_ORIGINATE", session, function="switch_core_session_run")
        self.channels.enter(session, "CS_ROUTING")
        self.channels.enter(session, "CS_CONSUME_MEDIA")
        if caller is not None:
            caller.variables["originate_signal_bond"] = uuid
            _push(caller, "originated_legs", f"{uuid};{OUTBOUND_NAME};{leg.profile.callee_number}")
        return session

    def _profile(self, uuid: str, name: str, target: Target, variables: dict[str, str]) -> Profile:
        profile = self._caller_profile(uuid, name)
        profile.original_name, profile.original_number = profile.name, profile.number
        caller = self.order.caller
        if caller is not None:
            profile.name = joined(caller.variables.get("effective_caller_id_name", profile.name))
            profile.number = joined(caller.variables.get("effective_caller_id_number", profile.number))
        profile.name = variables.get("origination_caller_id_name", profile.name)
        profile.number = variables.get("origination_caller_id_number", profile.number)
        if caller is None:
            profile.original_name, profile.original_number = profile.name, profile.number
            profile.ani = profile.number
        profile.destination = profile.callee_number = number(target)
        profile.callee_name = OUTBOUND_NAME
        return profile

    def _caller_profile(self, uuid: str, name: str) -> Profile:
        caller = self.order.caller
        if caller is None:
            return Profile(uuid, name, name=self.order.name, number=self.order.number or NO_NUMBER)
        theirs = leg_of(caller).profile
        return Profile(
            uuid,
            name,
            username=theirs.username,
            dialplan=theirs.dialplan,
            name=theirs.name,
            number=theirs.number,
            network=theirs.network,
            ani=theirs.ani,
            source=theirs.source,
            context=theirs.context,
        )

    def _variables(
        self, session: Session, target: Target, variables: dict[str, str], endpoint: Endpoint
    ) -> dict[str, str | list[str]]:
        caller = self.order.caller
        found: dict[str, str | list[str]] = {
            "direction": "outbound",
            "is_outbound": "true",
            "uuid": session.uuid,
            "call_uuid": session.uuid if caller is None else leg_of(caller).call_uuid or caller.uuid,
            "session_id": str(self.channels.total),
            "channel_name": session.name,
        }
        if caller is not None:
            found.update({"originator": caller.uuid, "signal_bond": caller.uuid, **_exported(caller)})
        found.update(variables)
        found["originate_early_media"] = "true"
        if caller is not None:
            found["originating_leg_uuid"] = caller.uuid
        found["originate_endpoint"] = "sofia" if target.endpoint == "user" else target.endpoint
        found.update(endpoint.variables)
        return found


def _exported(caller: Session) -> dict[str, str | list[str]]:
    """The variables that a caller hands on to the legs that are dialled for it."""
    names = joined(caller.variables.get("export_vars", ""))
    if not names:
        return {}
    found: dict[str, str | list[str]] = {"export_vars": names}
    for name in names.split(","):
        value = caller.variables.get(name)
        if value is not None:
            found[name.removeprefix("nolocal:")] = value
    return found


def _push(session: Session, name: str, value: str) -> None:
    """Add an item to an array."""
    before = session.variables.get(name)
    if before is None:
        session.variables[name] = value
    else:
        session.variables[name] = [*([before] if isinstance(before, str) else before), value]
