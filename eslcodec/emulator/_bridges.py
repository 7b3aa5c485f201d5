"""Channels that are connected with one another, and what becomes of both when one of them leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .._ctext import is_true
from .._json import joined
from ._channels import Channels
from ._legs import Leg, Profile
from ._model import Session

_FUNCTION = "switch_ivr_multi_threaded_bridge"


def leg_of(session: Session) -> Leg:
    """What a channel is as a leg; one that never was one becomes one, with what its headers say of it."""
    if session.leg is None:
        headers = {name: joined(value) for name, value in session.fields(variables=False)}
        profile = Profile(
            session.uuid,
            session.name,
            direction=headers.get("Call-Direction", "inbound"),
            logical_direction=headers.get("Caller-Logical-Direction", "inbound"),
            username=headers.get("Caller-Username", ""),
            dialplan=headers.get("Caller-Dialplan", ""),
            name=headers.get("Caller-Caller-ID-Name", ""),
            number=headers.get("Caller-Caller-ID-Number", ""),
            original_name=headers.get("Caller-Orig-Caller-ID-Name", ""),
            original_number=headers.get("Caller-Orig-Caller-ID-Number", headers.get("Caller-Caller-ID-Number", "")),
            network=headers.get("Caller-Network-Addr", ""),
            ani=headers.get("Caller-ANI", ""),
            destination=headers.get("Caller-Destination-Number", ""),
            source=headers.get("Caller-Source", "mod_sofia"),
            context=headers.get("Caller-Context", "default"),
        )
        leg = Leg(profile, call_state=headers.get("Channel-Call-State", "RINGING"), codec=True)
        created = int(session.created * 1_000_000)
        leg.times.created = leg.times.profile_created = created
        leg.times.answered = created if session.answered else 0
        session.leg = leg
    return session.leg


@dataclass(eq=False)
class _Bridge:
    """Two channels that hear one another."""

    a: Session
    b: Session
    ended: Callable[[str], None]
    over: bool = False

    def other(self, session: Session) -> Session:
        return self.b if session is self.a else self.a


class Bridges:
    """The bridges of a switch.

    Args:
        channels: the channels.
    """

    def __init__(self, channels: Channels) -> None:
        self._channels = channels
        self._bridges: dict[str, _Bridge] = {}

    def partner(self, session: Session) -> Session | None:
        """The channel that another one is connected with; None if it is with none."""
        bridge = self._bridges.get(session.uuid)
        return None if bridge is None else bridge.other(session)

    def pair(self, session: Session) -> tuple[Session, Session] | None:
        """The bridge that a channel is in: who made it, and the other one."""
        bridge = self._bridges.get(session.uuid)
        return None if bridge is None else (bridge.a, bridge.b)

    def connect(self, a: Session, b: Session, ended: Callable[[str], None]) -> None:
        """Connect two channels.

        Args:
            a: the one whose application connects them.
            b: the other one.
            ended: called with why, when `b` has gone: its cause, or "" if it has been led elsewhere.
        """
        a_leg, b_leg = leg_of(a), leg_of(b)
        if b.answered:
            self._channels.answer(a)
        now = self._channels.now()
        b_leg.call_uuid = a_leg.call_uuid or a.uuid
        b.variables["call_uuid"] = b_leg.call_uuid
        a_leg.sees("originatee", b_leg.profile, b_leg.times)
        if b_leg.other is None:
            b_leg.sees("originator", a_leg.profile)
        a_leg.times.bridged = b_leg.times.bridged = now
        bridge = _Bridge(a, b, ended)
        self._bridges[a.uuid] = self._bridges[b.uuid] = bridge
        a_leg.peer, b_leg.peer = b.uuid, a.uuid
        self._fire("CHANNEL_BRIDGE", bridge)
        for one, other in ((a, b), (b, a)):
            one.variables.update(_bond(other))
            one.at_end.append(lambda one=one: self.leave(one))  # type: ignore[misc]
        self._channels.enter(b, "CS_EXCHANGE_MEDIA")
        self._update(b, a)
        self._update(a, b)

    def leave(self, session: Session) -> None:
        """A channel leaves the bridge that it is in, because it has been hung up or led elsewhere."""
        bridge = self._bridges.pop(session.uuid, None)
        if bridge is None or bridge.over:
            return
        bridge.over = True
        other = bridge.other(session)
        self._bridges.pop(other.uuid, None)
        for one in (session, other):
            leg_of(one).peer = None
            one.variables.pop("bridge_to", None)
            one.variables["last_bridge_role"] = "originator" if one is bridge.a else "originatee"
        cause = session.hangup_cause
        if cause is not None:
            other.variables["last_bridge_hangup_cause"] = other.variables["bridge_hangup_cause"] = cause
        if session is bridge.a:
            self._channels.hangup(other, cause or "NORMAL_CLEARING")
        self._apart(bridge)
        if session is bridge.b:
            bridge.ended(cause or "")

    def let_go(self, session: Session) -> Session | None:
        """A channel and the one that it is connected with part, and both live on; gives the other one."""
        bridge = self._bridges.pop(session.uuid, None)
        if bridge is None:
            return None
        bridge.over = True
        other = bridge.other(session)
        self._bridges.pop(other.uuid, None)
        for one in (session, other):
            leg_of(one).peer = None
            one.variables.pop("bridge_to", None)
        self._apart(bridge)
        return other

    def _apart(self, bridge: _Bridge) -> None:
        leg_of(bridge.b).call_uuid = bridge.b.uuid
        bridge.b.variables["call_uuid"] = bridge.b.uuid
        self._fire("CHANNEL_UNBRIDGE", bridge)

    def _fire(self, name: str, bridge: _Bridge) -> None:
        first = [("Bridge-A-Unique-ID", bridge.a.uuid), ("Bridge-B-Unique-ID", bridge.b.uuid)]
        self._channels.fire(name, bridge.a, first=first, function=_FUNCTION)

    def _update(self, session: Session, other: Session) -> None:
        """Its telephone is shown who is at the other end."""
        profile = leg_of(other).profile
        outbound = profile.direction == "outbound" and leg_of(session).profile.direction == "inbound"
        name = profile.callee_name if outbound else profile.name
        number = profile.callee_number if outbound else profile.number
        session.variables.update({"last_sent_callee_id_name": name, "last_sent_callee_id_number": number})
        first = [
            ("Direction", "SEND"),
            ("Sent-Callee-ID-Name", name),
            ("Sent-Callee-ID-Number", number),
            ("Bridged-To", other.uuid),
        ]
        self._channels.fire("CALL_UPDATE", session, first=first, function="sofia_receive_message")


def _bond(other: Session) -> dict[str, str]:
    return {
        "bridge_to": other.uuid,
        "last_bridge_to": other.uuid,
        "bridge_channel": other.name,
        "bridge_uuid": other.uuid,
        "signal_bond": other.uuid,
    }


def hangs_up_after(session: Session) -> bool:
    """Whether a channel is hung up when the one that it was bridged to has gone."""
    return is_true(joined(session.variables.get("hangup_after_bridge", "")))


def parks_after(session: Session) -> bool:
    """Whether a channel is parked when the one that it was bridged to has gone."""
    return is_true(joined(session.variables.get("park_after_bridge", "")))


