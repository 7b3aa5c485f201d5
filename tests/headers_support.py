"""What the tests of headers share: lines as an event, and as both kinds of block."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from support import decode_every_way, plain


def event(esl: ModuleType, payload: Any) -> Any:
    return esl.Event.from_payload(payload, "plain")


def both_blocks(esl: ModuleType, lines: Any) -> Any:
    """The same lines as a frame of its own and as a plain event's payload."""
    (message,) = decode_every_way(esl, lines + b"\n")
    (in_event,) = decode_every_way(esl, plain(lines + b"\n"))
    return message, in_event
