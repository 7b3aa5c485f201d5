"""Who calls whom on a channel, and when what happened to it: the `Caller-` and `Other-Leg-` headers of its events.

Names, their order and what stands in them are those of captures of a real switch.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Final

from .._json import Field
from ..enums import HangupCause

OUTBOUND_NAME: Final = "Outbound Call"
"""`Caller-Callee-ID-Name` of a channel that the switch dialled."""
NO_NUMBER: Final = "0000000000"
"""The caller's number of a channel that nobody called from."""
_CODEC: Final = (("Name", "PCMU"), ("Rate", "8000"), ("Bit-Rate", "64000"))
_TIMES: Final = {
    "Profile-Created": "profile_created",
    "Channel-Created": "created",
    "Channel-Answered": "answered",
    "Channel-Progress": "progress",
    "Channel-Progress-Media": "progress_media",
    "Channel-Hangup": "hungup",
    "Channel-Transfer": "transferred",
    "Channel-Resurrect": "resurrected",
    "Channel-Bridged": "bridged",
}


@dataclass
class Times:
    """When what happened to a channel, in microseconds since 1970; 0 if it did not."""

    created: int = 0
    profile_created: int = 0
    answered: int = 0
    progress: int = 0
    progress_media: int = 0
    hungup: int = 0
    transferred: int = 0
    resurrected: int = 0
    bridged: int = 0
    last_hold: int = 0
    hold_accum: int = 0


@dataclass
class Profile:
    """Who calls whom, as `Caller-` headers tell it; an empty value is absent."""

    uuid: str
    channel_name: str
    direction: str = "outbound"
    logical_direction: str = "outbound"
    username: str = ""
    dialplan: str = ""
    name: str = ""
    number: str = ""
    original_name: str = ""
    original_number: str = ""
    callee_name: str = ""
    callee_number: str = ""
    network: str = ""
    ani: str = ""
    destination: str = ""
    source: str = "src/switch_ivr_originate.c"
    context: str = "default"
    index: int = 1

    def fields(self, prefix: str, times: Times) -> list[Field]:
        """Its headers."""
        index = str(self.index) if prefix == "Caller" else ""
        named = [
            ("Direction", self.direction),
            ("Logical-Direction", self.logical_direction),
            ("Username", self.username),
            ("Dialplan", self.dialplan),
            ("Caller-ID-Name", self.name),
            ("Caller-ID-Number", self.number),
            ("Orig-Caller-ID-Name", self.original_name),
            ("Orig-Caller-ID-Number", self.original_number),
            ("Callee-ID-Name", self.callee_name),
            ("Callee-ID-Number", self.callee_number),
            ("Network-Addr", self.network),
            ("ANI", self.ani),
            ("Destination-Number", self.destination),
            ("Unique-ID", self.uuid),
            ("Source", self.source),
            ("Context", self.context),
            ("Channel-Name", self.channel_name),
            ("Profile-Index", index),
        ]
        fields: list[Field] = [(f"{prefix}-{name}", value) for name, value in named if value]
        fields += [(f"{prefix}-{name}-Time", str(getattr(times, attribute))) for name, attribute in _TIMES.items()]
        fields += [
            (f"{prefix}-Channel-Last-Hold", str(times.last_hold)),
            (f"{prefix}-Channel-Hold-Accum", str(times.hold_accum)),
            (f"{prefix}-Screen-Bit", "true"),
            (f"{prefix}-Privacy-Hide-Name", "false"),
            (f"{prefix}-Privacy-Hide-Number", "false"),
        ]
        return fields


@dataclass
class Leg:
    """What a channel is as a leg of calls.

    Attributes:
        profile: who calls whom.
        times: when what happened.
        call_state: its `Channel-Call-State`.
        call_uuid: its `Channel-Call-UUID`.
        early: it has early media.
        codec: it has media.
        other: "originator" or "originatee", and that channel's profile and times as they were.
        peer: the uuid of the channel that it is bridged to; None if it is not.
    """

    profile: Profile
    times: Times = field(default_factory=Times)
    call_state: str = "DOWN"
    call_uuid: str = ""
    early: bool = False
    codec: bool = False
    hit_dialplan: bool = False
    other: tuple[str, Profile, Times] | None = None
    peer: str | None = None

    def sees(self, role: str, profile: Profile, times: Times | None = None) -> None:
        """It is told who is at the other end: a copy, as the switch takes one."""
        self.other = (role, replace(profile), replace(times) if times is not None else Times())

    def codec_fields(self) -> list[Field]:
        """Its codecs, once it has media."""
        if not self.codec:
            return []
        return [(f"Channel-{way}-Codec-{name}", value) for way in ("Read", "Write") for name, value in _CODEC]

    def caller_fields(self) -> list[Field]:
        """`Caller-` and `Other-Leg-` headers."""
        fields = self.profile.fields("Caller", self.times)
        if self.other is not None:
            role, profile, times = self.other
            fields += [("Other-Type", role), *profile.fields("Other-Leg", times)]
        return fields

    def report(self, cause: str) -> dict[str, str]:
        """The variables that a channel gets at its end: what call records are made of."""
        times, found = self.times, {"hangup_cause": cause, "hangup_cause_q850": str(_q850(cause)), "digits_dialed": "none"}
        stamps = {
            "start": times.created,
            "profile_start": times.profile_created,
            "answer": times.answered,
            "bridge": times.bridged,
            "hold": times.last_hold,
            "progress": times.progress,
            "progress_media": times.progress_media,
            "end": times.hungup,
        }
        found.update({f"{name}_stamp": _stamp(at) for name, at in stamps.items() if at})
        epochs = {**stamps, "last_hold": times.last_hold, "resurrect": times.resurrected}
        for name in _EPOCHS:
            found[f"{name}_epoch"], found[f"{name}_uepoch"] = str(epochs[name] // 1_000_000), str(epochs[name])
        found["hold_accum_seconds"] = str(times.hold_accum // 1_000_000)
        found["hold_accum_usec"], found["hold_accum_ms"] = str(times.hold_accum), str(times.hold_accum // 1000)
        profile = self.profile
        found["caller_id"] = f'"{profile.name}" <{profile.number}>' if profile.name else profile.number
        found.update(self._durations())
        return found

    def _durations(self) -> dict[str, str]:
        """Durations, in seconds, milliseconds and microseconds, each of its own two times cut to that unit."""
        times = self.times
        spans = {
            "duration": (times.created, times.hungup),
            "bill": (times.answered, times.hungup),
            "progress": (times.created, times.progress),
            "answer": (times.created, times.answered),
            "wait": (times.created, times.bridged),
            "progress_media": (times.created, times.progress_media),
            "flow_bill": (times.created, times.hungup),
        }
        found: dict[str, str] = {}
        for unit, size in (("sec", 1_000_000), ("msec", 1000), ("usec", 1)):
            for name, (begin, end) in spans.items():
                key = f"{unit[:-3]}duration" if name == "duration" else f"{name}{unit}"
                found[key] = str(end // size - begin // size if begin and end else 0)
        return found


_EPOCHS: Final = "start profile_start answer bridge last_hold resurrect progress progress_media end".split()


def _stamp(at: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at / 1_000_000))


def _q850(cause: str) -> int:
    number = int(HangupCause[cause])
    return number if number < 128 else 16


def profile_of_caller(uuid: str, name: str) -> Profile:
    """The profile of a channel that called the switch and of which no more is known."""
    return Profile(
        uuid,
        name,
        direction="inbound",
        logical_direction="inbound",
        dialplan="xml",
        number=NO_NUMBER,
        ani=NO_NUMBER,
        destination="default",
        source="mod_loopback",
    )
