"""The headers that events of a real switch have, by name, for events that a test fires: those of captures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Final

from .._json import Field
from ..enums import EventName
from ..events import Headers
from ._legs import OUTBOUND_NAME, Leg, Profile
from ._model import Session, UnknownEvent

_STATES: Final = {
    "CHANNEL_CREATE": ("CS_INIT", "DOWN"),
    "CHANNEL_OUTGOING": ("CS_NONE", "DOWN"),
    "CHANNEL_ORIGINATE": ("CS_INIT", "DOWN"),
    "CHANNEL_PROGRESS": ("CS_EXECUTE", "RINGING"),
    "CHANNEL_PROGRESS_MEDIA": ("CS_EXECUTE", "EARLY"),
    "CHANNEL_HOLD": ("CS_EXECUTE", "HELD"),
    "CHANNEL_HANGUP": ("CS_EXECUTE", "ACTIVE"),
    "CHANNEL_HANGUP_COMPLETE": ("CS_REPORTING", "HANGUP"),
    "CHANNEL_DESTROY": ("CS_REPORTING", "HANGUP"),
}
_ON_CHANNELS: Final = ("CHANNEL_", "CALL_UPDATE", "CODEC", "DTMF", "PLAYBACK_", "RECORD_", "PRESENCE_IN")
_BARE: Final = ("CHANNEL_STATE", "CHANNEL_CALLSTATE", "CHANNEL_OUTGOING", "DTMF", "CODEC", "PRESENCE_IN")
_TWO_LEGS: Final = ("CHANNEL_BRIDGE", "CHANNEL_UNBRIDGE")
_ENDED: Final = ("CHANNEL_HANGUP", "CHANNEL_HANGUP_COMPLETE", "CHANNEL_DESTROY")
_OTHERS: Final[Mapping[str, Mapping[str, str]]] = {
    "CALL_UPDATE": {"Direction": "SEND", "Sent-Callee-ID-Name": OUTBOUND_NAME, "Sent-Callee-ID-Number": "1001"},
    "CHANNEL_CALLSTATE": {"Original-Channel-Call-State": "RINGING", "Channel-Call-State-Number": "4"},
    "CHANNEL_EXECUTE": {"Application": "playback", "Application-Data": "a.wav"},
    "CHANNEL_EXECUTE_COMPLETE": {
        "Application": "playback",
        "Application-Data": "a.wav",
        "Application-Response": "FILE PLAYED",
    },
    "DTMF": {"DTMF-Digit": "1", "DTMF-Duration": "2000", "DTMF-Source": "RTP"},
    "PLAYBACK_START": {"Playback-File-Type": "file", "Playback-File-Path": "a.wav"},
    "PLAYBACK_STOP": {"Playback-File-Type": "file", "Playback-File-Path": "a.wav", "Playback-Status": "done"},
    "RECORD_START": {"Record-File-Path": "a.wav"},
    "RECORD_STOP": {"Record-File-Path": "a.wav", "Record-Completion-Cause": "success-silence"},
    "API": {"API-Command": "status"},
    "HEARTBEAT": {
        "Event-Info": "System Ready",
        "Up-Time": "0 years, 0 days, 0 hours, 0 minutes, 25 seconds, 26 milliseconds, 128 microseconds",
        "FreeSWITCH-Version": "1.11.3-emulated~64bit",
        "Uptime-msec": "25026",
        "Session-Count": "0",
        "Max-Sessions": "1000",
        "Session-Per-Sec": "30",
        "Session-Per-Sec-Last": "0",
        "Session-Per-Sec-Max": "0",
        "Session-Per-Sec-FiveMin": "0",
        "Session-Since-Startup": "0",
        "Session-Peak-Max": "0",
        "Session-Peak-FiveMin": "0",
        "Idle-CPU": "98.500000",
    },
    "RE_SCHEDULE": {"Task-ID": "1", "Task-Desc": "heartbeat", "Task-Group": "core", "Task-Runtime": "0"},
    "PRESENCE_IN": {
        "proto": "any",
        "login": "src/switch_channel.c",
        "from": "1000@127.0.0.1",
        "rpid": "unknown",
        "status": "CS_EXECUTE",
        "event_type": "presence",
        "alt_event_type": "dialog",
        "event_count": "0",
    },
    "MESSAGE": {
        "login": "sip:mod_sofia@127.0.0.1:5060",
        "proto": "sip",
        "to_proto": "sip",
        "from": "1000@127.0.0.1",
        "from_user": "1000",
        "from_host": "127.0.0.1",
        "to_user": "1001",
        "to_host": "127.0.0.1",
        "to": "1001@127.0.0.1",
        "subject": "SIMPLE MESSAGE",
        "context": "public",
        "type": "text/plain",
        "sip_profile": "internal",
        "dest_proto": "sip",
    },
}
_REGISTRATION: Final = {
    "profile-name": "internal",
    "from-user": "1000",
    "from-host": "127.0.0.1",
    "contact": '"" <sip:1000@127.0.0.1:5062>',
    "call-id": "1@reg",
    "rpid": "unknown",
    "status": "Registered(UDP)",
    "expires": "3600",
    "network-ip": "127.0.0.1",
    "network-port": "5062",
    "username": "1000",
    "realm": "127.0.0.1",
    "user-agent": "phone/1.0",
}
_SUBCLASSES: Final[Mapping[str, Mapping[str, str]]] = {
    "sofia::register": _REGISTRATION,
    "sofia::unregister": {**_REGISTRATION, "status": "", "expires": "0"},
    "sofia::expire": {name: value for name, value in _REGISTRATION.items() if name not in ("rpid", "status")},
    "sofia::gateway_state": {
        "Gateway": "carrier",
        "State": "REGED",
        "Ping-Status": "UP",
        "Register-Network-IP": "127.0.0.1",
        "Register-Network-Port": "5060",
    },
    "conference::maintenance": {
        "Conference-Name": "3000",
        "Conference-Domain": "127.0.0.1",
        "Conference-Size": "1",
        "Conference-Ghosts": "0",
        "Conference-Profile-Name": "default",
        "Conference-Unique-ID": "1810daa3-c811-4266-ac7e-7d97deda53e6",
        "Action": "add-member",
    },
    "callcenter::info": {
        "CC-Agent": "1000@default",
        "CC-Action": "agent-status-change",
        "CC-Agent-Status": "Available",
    },
}


def check_name(name: str) -> None:
    """Refuse an event that no switch fires.

    Raises:
        UnknownEvent: no switch has an event of this name.

    Example:
        >>> try:
        ...     check_name("CHANEL_ANSWER")
        ... except UnknownEvent as error:
        ...     print(error)
        no switch fires 'CHANEL_ANSWER' (did you mean 'CHANNEL_ANSWER'?): say unknown=True to mean it
    """
    known = [event.value for event in EventName]
    if name not in known:
        close = get_close_matches(name.upper(), known, 1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise UnknownEvent(f"no switch fires {name!r}{hint}: say unknown=True to mean it")


def shape(
    name: str,
    headers: Headers,
    subclass: str | None,
    clock: Callable[[], float],
    make_uuid: Callable[[str], str],
) -> list[Field]:
    """The headers of an event of a name.

    Args:
        name: of the event.
        headers: what is known: they replace those of the shape, or come after them.
        subclass: of CUSTOM.
        clock: what time it is.
        make_uuid: a new id.

    Example:
        >>> fields = dict(shape("CHANNEL_ANSWER", {"Unique-ID": "a1"}, None, lambda: 1.0, str))
        >>> fields["Answer-State"], fields["Caller-Unique-ID"], fields["Caller-Channel-Answered-Time"]
        ('answered', 'a1', '1000000')
        >>> dict(shape("HEARTBEAT", {"Session-Count": "3"}, None, lambda: 1.0, str))["Session-Count"]
        '3'
    """
    items = headers.items() if isinstance(headers, Mapping) else headers
    given: list[Field] = [(key, _text(value)) for key, value in items]
    known = {key: value for key, value in given if isinstance(value, str)}
    fields: list[Field] = []
    if name.startswith(_ON_CHANNELS):
        uuid = known.get("Unique-ID") or make_uuid("channel")
        fields = _channel(name, uuid, known, int(clock() * 1_000_000), make_uuid)
    fields += (_SUBCLASSES.get(subclass or "", {}) if name == "CUSTOM" else _OTHERS.get(name, {})).items()
    return _replaced(fields, given)


def _text(value: str | int | Sequence[str]) -> str | list[str]:
    return str(value) if isinstance(value, (str, int)) else list(value)


def _replaced(fields: Sequence[Field], given: Sequence[Field]) -> list[Field]:
    """Fields with those that are given in their places, and the others after them."""
    values: dict[str, list[str | list[str]]] = {}
    for name, value in given:
        values.setdefault(name, []).append(value)
    out: list[Field] = []
    told: set[str] = set()
    for name, value in fields:
        known = values.get(name, [value])
        if name not in told or len(known) == 1:  # the switch repeats some of its own
            out += [(name, one) for one in known]
        told.add(name)
    return [*out, *((name, value) for name, value in given if name not in told)]


def _channel(name: str, uuid: str, known: Mapping[str, str], now: int, make_uuid: Callable[[str], str]) -> list[Field]:
    """The headers of a channel: that of a caller, 1000, who called 1001."""
    session = _leg(uuid, known, now)
    leg = session.leg
    assert leg is not None
    state, leg.call_state = _STATES.get(name, ("CS_EXECUTE", "ACTIVE"))
    session.enter(state)
    if leg.call_state in ("DOWN", "RINGING", "EARLY"):
        session.answered, leg.times.answered, leg.codec = False, 0, leg.call_state == "EARLY"
    first: list[Field] = []
    if name in _TWO_LEGS:
        other = _leg(known.get("Other-Leg-Unique-ID") or make_uuid("channel"), {}, now)
        assert other.leg is not None
        other.leg.profile.direction = "outbound"
        leg.sees("originatee", other.leg.profile, other.leg.times)
        leg.times.bridged = now
        first = [("Bridge-A-Unique-ID", uuid), ("Bridge-B-Unique-ID", other.uuid)]
    if name in _ENDED:
        cause = known.get("Hangup-Cause", "NORMAL_CLEARING")
        session.hang_up(cause)
        if name != "CHANNEL_HANGUP":
            first = [("Hangup-Cause", cause)] if name == "CHANNEL_HANGUP_COMPLETE" else []
            leg.times.hungup = now
            session.variables.update(leg.report(cause))
    return [*first, *session.fields(variables=name not in _BARE)]


def _leg(uuid: str, known: Mapping[str, str], now: int) -> Session:
    number = known.get("Caller-Caller-ID-Number", "1000")
    name = known.get("Channel-Name", f"sofia/internal/{number}@127.0.0.1")
    profile = Profile(
        uuid,
        name,
        direction="inbound",
        logical_direction="inbound",
        username=number,
        dialplan="XML",
        name=number,
        number=number,
        original_name=number,
        original_number=number,
        network="127.0.0.1",
        ani=number,
        destination=known.get("Caller-Destination-Number", "1001"),
        source="mod_sofia",
        context="public",
    )
    session = Session(uuid, {"call_uuid": uuid}, name=name)
    leg = session.leg = Leg(profile, codec=True)
    leg.times.created = leg.times.profile_created = leg.times.answered = now
    return session
