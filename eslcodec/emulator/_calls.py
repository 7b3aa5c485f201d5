"""Calls of an emulated switch: `originate`, the application `bridge`, transfers, parking, and a dialplan."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from .._ctext import atoi, is_true
from .._json import joined
from ._bridges import Bridges, hangs_up_after, leg_of, parks_after
from ._channels import Channels
from ._core import Core
from ._dialling import Dialling, Order
from ._dialstring import Target
from ._endpoints import Endpoint, Endpoints
from ._expand import separate
from ._model import Effect, Session, Until

_ENDLESS: Final = ("delay_echo", "fifo", "soft_hold", "valet_park")
"""Applications that last as long as the channel, unless `switch.applications` says otherwise."""
_MOST_TRANSFERS: Final = 70
_ALWAYS_GOES_ON: Final = ("NO_ANSWER", "NO_USER_RESPONSE", "ORIGINATOR_CANCEL")

Extension = str | Sequence[tuple[str, str]] | Callable[[Session], "str | Sequence[tuple[str, str]]"]
"""What the dialplan does with a destination: "answer,playback:a.wav" as the inline dialplan has it, (application, data)
pairs, or a function of the channel that returns one of them."""


def inline(text: str) -> list[tuple[str, str]]:
    """The applications of an inline dialplan.

    Example:
        >>> inline("answer,playback:a.wav"), inline("m:^:log:a,b^park")
        ([('answer', ''), ('playback', 'a.wav')], [('log', 'a,b'), ('park', '')])
    """
    delimiter = ","
    if text.startswith("m:") and text[3:4] == ":":
        delimiter, text = text[2], text[4:]
    parts = [part.lstrip(" ").partition(":") for part in separate(text, delimiter)]
    return [(name, data) for name, _, data in parts]


class Calls:
    """What makes and connects channels.

    Args:
        core: time and ids.
        channels: the channels.

    Attributes:
        endpoints: how dialled targets answer.
        dialplan: what is done with a destination of the XML dialplan.
        bridges: which channels are connected.
    """

    def __init__(self, core: Core, channels: Channels) -> None:
        self._core = core
        self._channels = channels
        self._plans: dict[str, deque[tuple[str, str]]] = {}
        self._followed: dict[str, bool] = {}
        self.endpoints = Endpoints()
        self.dialplan: dict[str, Extension] = {}
        self.bridges = Bridges(channels)
        channels.applications["bridge"] = self._bridge
        channels.applications.update(dict.fromkeys(_ENDLESS, self._last))
        channels.leads = self._transfer_application

    # Dialling

    def dial(self, order: Order, done: Callable[[Session | None, str], None]) -> Dialling:
        """Dial; `done` is called with the leg that won, or None, and the cause."""
        dialling = Dialling(self._core, self._channels, self._endpoint, order, done)
        dialling.start()
        return dialling

    def _endpoint(self, target: Target) -> Endpoint | None:
        try:
            said = self.endpoints.of(str(target))
        except BaseException as error:  # another's function: its bug must not leave a caller waiting
            self._core.errors.append(error)
            return Endpoint("NORMAL_TEMPORARY_FAILURE")
        if said is None and target.endpoint == "loopback":
            extension = target.destination.partition("/")[0]
            return Endpoint("answer") if extension in self.dialplan else None
        return said

    def originated(self, session: Session, extension: str, dialplan: str | None, context: str | None) -> None:
        """A leg that `originate` dialled runs an application, or goes to the dialplan."""
        self._flip(session)
        if extension.startswith("&") and len(extension) > 1:
            name, _, data = extension[1:].partition(")")[0].partition("(")
            self._channels.enter(session, "CS_EXECUTE")
            self._run_plan(session, [(name, data)])
        else:
            self.transfer(session, extension, dialplan or "XML", context or "default")

    def _flip(self, session: Session) -> None:
        """Who was called is now the one who calls, and the other way round."""
        leg = leg_of(session)
        profile = leg.profile
        session.variables["pre_transfer_caller_id_number"] = profile.number
        profile.name, profile.callee_name = profile.callee_name, profile.name
        profile.number, profile.callee_number = profile.callee_number, profile.number
        session.variables["channel_cid_flipped"] = "yes"
        leg.hit_dialplan = True
        first = [("Direction", "RECV")]
        self._channels.fire("CALL_UPDATE", session, first=first, function="switch_channel_flip_cid")

    # The application `bridge`

    def _bridge(self, session: Session, data: str) -> Effect:
        if not data:
            return None
        dialling: list[Dialling] = []

        def abandoned() -> None:
            for one in dialling:
                if not one.over:
                    one.cancel()
            self.bridges.leave(session)

        until = Until(abandoned=abandoned)
        one = Dialling(
            self._core,
            self._channels,
            self._endpoint,
            Order(data, session),
            lambda leg, cause: self._dialled(session, until, leg, cause),
        )
        dialling.append(one)
        one.start()
        return until

    def _dialled(self, session: Session, until: Until, leg: Session | None, cause: str) -> None:
        if leg is not None:
            self.bridges.connect(session, leg, lambda gone: self._bridge_over(session, until, leg, gone))
            return
        session.variables["originate_failed_cause"] = cause
        hangs_up = not _goes_on_after(session, cause)
        if hangs_up:
            self._channels.hangup(session, cause)
        until.end()

    def _bridge_over(self, session: Session, until: Until, leg: Session, cause: str) -> None:
        if leg.answered and parks_after(session):
            until.end()
            self.park(session)
            return
        why = cause or "NORMAL_CLEARING"
        if hangs_up_after(session) if leg.answered else not _goes_on_after(session, why):
            self._channels.hangup(session, why)
        until.end()

    def uuid_bridge(self, uuid: str, other_uuid: str) -> bool:
        """Connect two channels, whatever they do; False if that cannot be."""
        a, b = self._channels.get(uuid), self._channels.get(other_uuid)
        if a is None or b is None or a is b:
            return False
        if not a.answered:
            if not b.answered:
                return False
            a, b = b, a
        for one, other in ((a, b), (b, a)):
            leg_of(one)
            one.variables.update({"bridge_channel": other.name, "bridge_uuid": other.uuid, "signal_bond": other.uuid})
        leg_of(a).sees("originatee", leg_of(b).profile, leg_of(b).times)
        leg_of(b).sees("originator", leg_of(a).profile)
        for one in (a, b):
            self._take_away(one)
            for state in ("CS_HIBERNATE", "CS_RESET", "CS_SOFT_EXECUTE"):
                self._channels.enter(one, state)
        for one, other in ((a, b), (b, a)):
            extra = [("Application", "uuid_bridge"), ("Application-Data", other.uuid)]
            self._channels.fire("CHANNEL_EXECUTE", one, extra, function="uuid_bridge_on_soft_execute")
        self._channels.enter(b, "CS_CONSUME_MEDIA")
        originator = a
        self.bridges.connect(a, b, lambda cause: self._uuid_bridge_over(originator, cause))
        return True

    def _uuid_bridge_over(self, session: Session, cause: str) -> None:
        if session.hangup_cause is not None:
            return
        if parks_after(session):
            self.park(session)
            return
        self._channels.enter(session, "CS_EXECUTE")
        self._channels.hangup(session, cause or "NORMAL_CLEARING")

    def _last(self, session: Session, _data: str) -> Effect:
        """It lasts, but not where a client waits for its end, who would wait for ever."""
        return None if session.in_socket else Until()

    # Elsewhere

    def _take_away(self, session: Session) -> None:
        """A channel leaves what it does, and the one that it is connected with."""
        self._plans.pop(session.uuid, None)
        other = self.bridges.partner(session)
        if other is not None:
            self.bridges.let_go(session)
            self._left_alone(other)
        self._channels.interrupt(session)
        if session.unpark():
            self._channels.fire("CHANNEL_UNPARK", session, function="switch_ivr_park")

    def _left_alone(self, session: Session) -> None:
        """What becomes of a channel whose other end was led elsewhere: it goes on if it was the one that bridged."""
        if session.running and session.running[-1].application == "bridge":
            until = session.running[-1].until
            if parks_after(session):
                self._channels.interrupt(session)
                self.park(session)
            elif until is not None:
                until.end()
        elif parks_after(session):
            self.park(session)
        else:
            self._channels.hangup(session)

    def park(self, session: Session) -> None:
        """Park a channel, as `uuid_park` does."""
        self._take_away(session)
        leg_of(session)
        session.enter("CS_PARK")
        session.parked = True
        self._channels.fire("CHANNEL_STATE", session, function="switch_channel_perform_set_running_state")
        self._channels.fire("CHANNEL_PARK", session, function="switch_ivr_park")

    def transfer(self, session: Session, extension: str, dialplan: str | None, context: str | None) -> None:
        """Send a channel to the dialplan.

        Args:
            session: the channel.
            extension: where to; what the inline dialplan does if `dialplan` is "inline".
            dialplan: "XML", "inline", or None for that of the channel.
            context: of the dialplan, or None for that of the channel.
        """
        if not self._may_transfer(session):
            self._channels.hangup(session, "EXCHANGE_ROUTING_ERROR")
            return
        leg = leg_of(session)
        self._take_away(session)
        if session.hangup_cause is not None:
            return
        profile = leg.profile
        before = "" if profile.dialplan.lower() == "inline" else profile.dialplan
        profile.dialplan, profile.context = dialplan or before or "XML", context or profile.context
        profile.destination, profile.index = extension, profile.index + 1
        leg.times.profile_created = self._channels.now()
        source = f"{int(self._core.clock())}:{self._core.make_uuid('call')}:bl_xfer:"
        source += f"{extension}/{profile.context}/{profile.dialplan}"
        session.variables["transfer_history"] = session.variables["transfer_source"] = source
        self._channels.enter(session, "CS_ROUTING")
        applications = self._applications(session, extension, profile.dialplan)
        if not applications:
            self._channels.hangup(session, "NO_ROUTE_DESTINATION")
            return
        self._channels.enter(session, "CS_EXECUTE")
        self._run_plan(session, applications)

    @staticmethod
    def _may_transfer(session: Session) -> bool:
        """Whether a channel may be transferred once more: each transfer counts down, so a loop of them ends."""
        name = "max_session_transfers" if session.text_of("max_session_transfers") else "max_forwards"
        said = session.text_of(name)
        left = atoi(said) - 1 if said else _MOST_TRANSFERS
        if left > 0:
            session.set(name, str(left))
        return left > 0

    def _transfer_application(self, session: Session, data: str) -> None:
        extension, dialplan, context = [*separate(data, " ", 3), "", "", ""][:3]
        self.transfer(session, extension, dialplan or None, context or None)

    def _applications(self, session: Session, extension: str, dialplan: str) -> list[tuple[str, str]]:
        if dialplan.lower() == "inline":
            return inline(extension)
        said = self.dialplan.get(extension)
        try:
            if callable(said):
                said = said(session)
            return inline(said) if isinstance(said, str) else [(str(name), str(data)) for name, data in said or ()]
        except BaseException as error:  # another's function: its bug must not leave the channel alive for ever
            self._core.errors.append(error)
            return []

    def _run_plan(self, session: Session, applications: Sequence[tuple[str, str]]) -> None:
        """Run applications one after the other; then the channel is hung up, unless it was led elsewhere."""
        plan = self._plans[session.uuid] = deque(applications)
        self._follow(session, plan)

    def _follow(self, session: Session, plan: deque[tuple[str, str]]) -> None:
        """Go on with a plan, unless another one took its place. It is followed in a loop: plans may be long."""
        uuid = session.uuid
        if self._plans.get(uuid) is not plan:
            return
        known = uuid in self._followed
        self._followed[uuid] = True
        if known:
            return
        try:
            while self._followed[uuid]:
                self._followed[uuid] = False
                self._run_next(session)
        finally:
            del self._followed[uuid]

    def _run_next(self, session: Session) -> None:
        plan = self._plans.get(session.uuid)
        if plan and session.hangup_cause is None:
            name, data = plan.popleft()
            self._channels.run(session, name, data, lambda: self._follow(session, plan))
        elif plan is not None:
            del self._plans[session.uuid]
            self._channels.hangup(session)


def _goes_on_after(session: Session, cause: str) -> bool:
    """Whether a channel goes on though nobody answered: `continue_on_fail` and `failure_causes`."""
    goes_on = joined(session.variables.get("continue_on_fail", ""))
    causes = joined(session.variables.get("failure_causes", ""))
    if not goes_on and not causes:
        return cause in _ALWAYS_GOES_ON
    if causes and not _names(causes, cause):
        return True
    return bool(goes_on) and (is_true(goes_on) or _names(goes_on, cause))


def _names(text: str, cause: str) -> bool:
    return cause in [word.upper() for word in separate(text, ",")]
