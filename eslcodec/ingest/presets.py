"""Columns by purpose: which headers make which table, and which events it is made of.

Each preset is a mapping from a column's name to `(header, kind)`, which is what `Columns` takes as its spec; `events`
is what it takes as `events`. Columns are only added, never renamed or given another kind: `schema_version` counts.

    >>> from eslcodec.ingest import presets
    >>> presets.REGISTRATIONS["user"], presets.REGISTRATIONS.schema_version
    (('from-user', 'string'), 1)
    >>> presets.LEGS.events
    ('CHANNEL_HANGUP_COMPLETE',)

The kinds are those of `Columns`: string, dictionary (a string of few values), int64, float64, timestamp (digits are
microseconds, 0 is null), bool, list, binary, json. `@body` and the like are its pseudo headers.

`LEGS` has what the headers of CHANNEL_HANGUP_COMPLETE say. `eslcodec.ingest.legs` makes more of them: it follows
renamed channels, knows what a restart or a gap has cut off, and computes seconds from times.

`json_schema` gives the JSON Schema of a line that is written for an event, a leg or a call.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from itertools import chain
from typing import Any, Final

__all__ = ["AGENTS", "EVENTS", "GATEWAYS", "LEGS", "MEMBERS", "REGISTRATIONS", "Preset", "json_schema"]


class Preset(Mapping[str, tuple[str, str]]):
    """Columns for one purpose: column -> (header, kind).

    Attributes:
        name: of the table.
        schema_version: grows when columns are added.
        events: event names, `"CUSTOM sofia::register"` for one with a subclass; None for all.

    Example:
        >>> Preset("digits", 1, ("DTMF",), {"digit": ("DTMF-Digit", "dictionary")})
        <Preset digits, version 1, 1 columns>
    """

    __slots__ = ("_columns", "events", "name", "schema_version")

    def __init__(
        self, name: str, schema_version: int, events: tuple[str, ...] | None, columns: Mapping[str, tuple[str, str]]
    ) -> None:
        self.name = name
        self.schema_version = schema_version
        self.events = events
        self._columns = dict(columns)

    def __getitem__(self, column: str) -> tuple[str, str]:
        return self._columns[column]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __repr__(self) -> str:
        return f"<Preset {self.name}, version {self.schema_version}, {len(self)} columns>"


def _custom(family: str, *kinds: str) -> tuple[str, ...]:
    """Subclasses of CUSTOM as `events` has them."""
    return tuple(f"CUSTOM {family}::{kind}" for kind in kinds)


_HEAD: Final = {
    "event_time": ("Event-Date-Timestamp", "timestamp"),
    "switch": ("FreeSWITCH-Switchname", "dictionary"),
    "core_uuid": ("Core-UUID", "dictionary"),
}

EVENTS: Final = Preset(
    "events",
    1,
    None,
    {
        **_HEAD,
        "sequence": ("Event-Sequence", "int64"),
        "id": ("@id", "string"),
        "name": ("Event-Name", "dictionary"),
        "subclass": ("Event-Subclass", "dictionary"),
        "uuid": ("Unique-ID", "string"),
        "other_leg": ("Other-Leg-Unique-ID", "string"),
        "direction": ("Call-Direction", "dictionary"),
        "channel": ("Channel-Name", "string"),
        "channel_state": ("Channel-State", "dictionary"),
        "call_state": ("Channel-Call-State", "dictionary"),
        "answer_state": ("Answer-State", "dictionary"),
        "caller": ("Caller-Caller-ID-Number", "string"),
        "callee": ("Caller-Destination-Number", "string"),
        "application": ("Application", "dictionary"),
        "cause": ("Hangup-Cause", "dictionary"),
        "job_uuid": ("Job-UUID", "string"),
        "event": ("@json", "json"),
    },
)
"""Every event: who, when and what, and all of it as JSON."""

LEGS: Final = Preset(
    "legs",
    1,
    ("CHANNEL_HANGUP_COMPLETE",),
    {
        "switch": ("FreeSWITCH-Switchname", "dictionary"),
        "core_uuid": ("Core-UUID", "dictionary"),
        "uuid": ("Unique-ID", "string"),
        "other_leg": ("Other-Leg-Unique-ID", "string"),
        "other_type": ("Other-Type", "dictionary"),
        "direction": ("Call-Direction", "dictionary"),
        "channel": ("Channel-Name", "string"),
        "created": ("Caller-Channel-Created-Time", "timestamp"),
        "progress": ("Caller-Channel-Progress-Time", "timestamp"),
        "progress_media": ("Caller-Channel-Progress-Media-Time", "timestamp"),
        "answered": ("Caller-Channel-Answered-Time", "timestamp"),
        "bridged": ("Caller-Channel-Bridged-Time", "timestamp"),
        "hung_up": ("Caller-Channel-Hangup-Time", "timestamp"),
        "event_time": ("Event-Date-Timestamp", "timestamp"),
        "caller_name": ("Caller-Caller-ID-Name", "string"),
        "caller": ("Caller-Caller-ID-Number", "string"),
        "callee": ("Caller-Destination-Number", "string"),
        "context": ("Caller-Context", "dictionary"),
        "profile": ("variable_sofia_profile_name", "dictionary"),
        "gateway": ("variable_sip_gateway_name", "dictionary"),
        "domain": ("variable_domain_name", "dictionary"),
        "accountcode": ("variable_accountcode", "dictionary"),
        "cause": ("Hangup-Cause", "dictionary"),
        "q850": ("variable_hangup_cause_q850", "int64"),
        "disposition": ("variable_sip_hangup_disposition", "dictionary"),
        "sip_term_status": ("variable_sip_term_status", "int64"),
        "last_bridge_hangup_cause": ("variable_last_bridge_hangup_cause", "dictionary"),
        "originate_disposition": ("variable_originate_disposition", "dictionary"),
        "read_codec": ("Channel-Read-Codec-Name", "dictionary"),
        "read_rate": ("Channel-Read-Codec-Rate", "int64"),
        "write_codec": ("Channel-Write-Codec-Name", "dictionary"),
        "write_rate": ("Channel-Write-Codec-Rate", "int64"),
        "sip_call_id": ("variable_sip_call_id", "string"),
        "remote_address": ("variable_sip_network_ip", "dictionary"),
        "remote_port": ("variable_sip_network_port", "int64"),
        "media_address": ("variable_remote_media_ip", "dictionary"),
        "media_port": ("variable_remote_media_port", "int64"),
        "user_agent": ("variable_sip_user_agent", "dictionary"),
        "mos": ("variable_rtp_audio_in_mos", "float64"),
        "jitter": ("variable_rtp_audio_in_jitter_max_variance", "float64"),
        "skipped_packets": ("variable_rtp_audio_in_skip_packet_count", "int64"),
        "held_us": ("Caller-Channel-Hold-Accum", "int64"),
        "conference": ("variable_conference_name", "dictionary"),
        "transfer_history": ("variable_transfer_history", "list"),
        "recovered": ("variable_recovered", "bool"),
        "gateway_in": ("variable_sip_gateway", "dictionary"),
        "verto_disposition": ("variable_verto_hangup_disposition", "dictionary"),
        "duration_us": ("variable_uduration", "int64"),
        "billed_us": ("variable_billusec", "int64"),
    },
)
"""The end of each leg. `duration_us` and `billed_us` are the switch's own: after a recovery the second is larger."""

REGISTRATIONS: Final = Preset(
    "registrations",
    1,
    _custom("sofia", "register", "unregister", "expire", "register_failure"),
    {
        **_HEAD,
        "subclass": ("Event-Subclass", "dictionary"),
        "profile": ("profile-name", "dictionary"),
        "user": ("from-user", "string"),
        "domain": ("from-host", "dictionary"),
        "call_id": ("call-id", "string"),
        "contact": ("contact", "string"),
        "status": ("status", "dictionary"),
        "expires": ("expires", "int64"),
        "to_user": ("to-user", "string"),
        "to_domain": ("to-host", "dictionary"),
        "address": ("network-ip", "string"),
        "port": ("network-port", "int64"),
        "username": ("username", "string"),
        "realm": ("realm", "dictionary"),
        "user_agent": ("user-agent", "dictionary"),
        "registration_type": ("registration-type", "dictionary"),
        "user_expired": ("user", "string"),
        "domain_expired": ("host", "dictionary"),
    },
)
"""SIP users who come, go, run out or are refused (mod_sofia).

`expires` is a number of seconds; where a registration ran out (`sofia::expire`) it is the time, in seconds too."""

AGENTS: Final = Preset(
    "agents",
    1,
    _custom("callcenter", "info"),
    {
        **_HEAD,
        "action": ("CC-Action", "dictionary"),
        "queue": ("CC-Queue", "dictionary"),
        "agent": ("CC-Agent", "dictionary"),
        "agent_status": ("CC-Agent-Status", "dictionary"),
        "agent_state": ("CC-Agent-State", "dictionary"),
        "agent_uuid": ("CC-Agent-UUID", "string"),
        "agent_called": ("CC-Agent-Called-Time", "int64"),
        "agent_answered": ("CC-Agent-Answered-Time", "int64"),
        "agent_aborted": ("CC-Agent-Aborted-Time", "int64"),
        "member_uuid": ("CC-Member-UUID", "string"),
        "member_session": ("CC-Member-Session-UUID", "string"),
        "member_name": ("CC-Member-CID-Name", "string"),
        "member_number": ("CC-Member-CID-Number", "string"),
        "member_dialled": ("CC-Member-DNIS", "string"),
        "member_joined": ("CC-Member-Joined-Time", "int64"),
        "member_left": ("CC-Member-Leaving-Time", "int64"),
        "cause": ("CC-Cause", "dictionary"),
        "cancel_reason": ("CC-Cancel-Reason", "dictionary"),
        "hangup_cause": ("CC-Hangup-Cause", "dictionary"),
        "bridge_ended": ("CC-Bridge-Terminated-Time", "int64"),
        "count": ("CC-Count", "int64"),
    },
)
"""Queues, agents and those who wait (mod_callcenter). Its times are seconds."""

MEMBERS: Final = Preset(
    "members",
    1,
    _custom("conference", "maintenance"),
    {
        **_HEAD,
        "action": ("Action", "dictionary"),
        "conference": ("Conference-Name", "dictionary"),
        "conference_uuid": ("Conference-Unique-ID", "string"),
        "conference_size": ("Conference-Size", "int64"),
        "profile": ("Conference-Profile-Name", "dictionary"),
        "member_id": ("Member-ID", "int64"),
        "member_type": ("Member-Type", "dictionary"),
        "uuid": ("Unique-ID", "string"),
        "caller_name": ("Caller-Caller-ID-Name", "string"),
        "caller": ("Caller-Caller-ID-Number", "string"),
        "hear": ("Hear", "bool"),
        "speak": ("Speak", "bool"),
        "talking": ("Talking", "bool"),
        "floor": ("Floor", "bool"),
        "hold": ("Hold", "bool"),
        "energy": ("Energy-Level", "int64"),
    },
)
"""Conferences and who is in them (mod_conference)."""

GATEWAYS: Final = Preset(
    "gateways",
    1,
    _custom("sofia", "gateway_state", "gateway_add", "gateway_delete", "gateway_invalid_digest_req"),
    {
        **_HEAD,
        "subclass": ("Event-Subclass", "dictionary"),
        "gateway": ("Gateway", "dictionary"),
        "profile": ("profile-name", "dictionary"),
        "state": ("State", "dictionary"),
        "ping": ("Ping-Status", "dictionary"),
        "phrase": ("Phrase", "dictionary"),
        "status": ("Status", "int64"),
    },
)
"""SIP gateways: registered, up, down, failed, added, deleted (mod_sofia)."""


def metadata_of(spec: Mapping[str, Any]) -> dict[str, str]:
    """What the schema of a table says of it: of a preset its name and version."""
    return {"table": spec.name, "schema_version": str(spec.schema_version)} if isinstance(spec, Preset) else {}


@cache
def _packed(metadata: tuple[tuple[str, str], ...]) -> bytes:
    packed = struct.pack("=i", len(metadata))
    for text in chain.from_iterable(metadata):
        packed += struct.pack("=i", len(text.encode())) + text.encode()
    return packed


def packed_metadata(spec: Mapping[str, Any]) -> bytes | None:
    """The same in the form of Arrow's C data interface. It is kept for good: who imports a schema need not copy it."""
    metadata = metadata_of(spec)
    return _packed(tuple(metadata.items())) if metadata else None


def json_schema(name: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of one line: "event" (`Event.to_json`), "leg" or "call" (their `to_json`), or
    "notice" (`eslcodec.ingest.notices.to_line`).

    Raises:
        ValueError: another name.

    Example:
        >>> json_schema("leg")["properties"]["status"]["enum"]
        ['complete', 'recovered', 'switch_restarted', 'lost_in_gap', 'open']
    """
    if name not in ("event", "leg", "call", "notice"):
        raise ValueError(f"name is {name!r}, expected 'event', 'leg', 'call' or 'notice'")
    text = (files("eslcodec") / "data" / "schemas" / f"{name}.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema
