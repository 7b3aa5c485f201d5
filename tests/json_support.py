"""What the tests of JSON payloads share: an event of a payload, and why it is malformed."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from support import decode_every_way


def framed(payload: Any) -> Any:
    return b"Content-Length: %d\nContent-Type: text/event-json\n\n%b" % (len(payload), payload)


def event(esl: ModuleType, payload: Any) -> Any:
    (message,) = decode_every_way(esl, framed(payload))
    assert type(message) is esl.Event
    assert message.raw == message.payload == payload
    return message


def quick(esl: ModuleType, payload: Any) -> Any:
    return esl.Event.from_payload(payload, "json")


def why(e: Any) -> Any:
    return e.malformed and (e.malformed.format, e.malformed.offset, e.malformed.why)
