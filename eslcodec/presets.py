"""What to subscribe to, by purpose: much less than ALL, of which a busy switch sends 10 000 events a second.

Each is a tuple of text. `CALLS` and `ALL` are event names; the others are subclasses of CUSTOM, which go into `custom`:

    >>> from eslcodec import connect, presets
    >>> from eslcodec.emulator import Emulator
    >>> with Emulator() as switch, connect(switch.host, switch.port) as fs:
    ...     fs.subscribe(*presets.CALLS, custom=presets.REGISTRATIONS + presets.GATEWAYS).text
    ...     fs.unsubscribe(custom=presets.GATEWAYS).ok
    '+OK event listener enabled plain'
    True

So they fit whatever takes names or subclasses: `unsubscribe`, `eslcodec.commands.event`, the clients of both kinds.
"""

from __future__ import annotations

from typing import Final

__all__ = ["ALL", "CALLCENTER", "CALLS", "CONFERENCE", "GATEWAYS", "REGISTRATIONS"]

CALLS: Final = (
    "CHANNEL_CREATE",
    "CHANNEL_PROGRESS",
    "CHANNEL_ANSWER",
    "CHANNEL_BRIDGE",
    "CHANNEL_UNBRIDGE",
    "CHANNEL_HOLD",
    "CHANNEL_UNHOLD",
    "CHANNEL_UUID",
    "CHANNEL_HANGUP_COMPLETE",
)
"""Names: a call from its creation to its record. About an eighth of all events: the steps of the state machine and of
the dialplan, codecs and presence are left out. CHANNEL_UUID says that a channel has another id from now on."""

REGISTRATIONS: Final = (
    "sofia::register",
    "sofia::unregister",
    "sofia::expire",
    "sofia::register_failure",
)
"""Subclasses: SIP users who come, go, run out, or are refused. What comes with every single try is left out."""

GATEWAYS: Final = (
    "sofia::gateway_state",
    "sofia::gateway_add",
    "sofia::gateway_delete",
    "sofia::gateway_invalid_digest_req",
)
"""Subclasses: SIP gateways that change their state, are added or deleted, or get a digest that they cannot answer."""

CALLCENTER: Final = ("callcenter::info",)
"""Subclass: all of mod_callcenter; `CC-Action` says what happened."""

CONFERENCE: Final = ("conference::maintenance", "conference::cdr")
"""Subclasses: all of mod_conference, `Action` says what happened; and the record of one that has ended."""

ALL: Final = ("ALL",)
"""Name: everything, CUSTOM too. Only for whoever reads it all, all the time: a reader that is too slow is killed by the
switch, which stands still for its other clients meanwhile."""
