"""What the tests of JSON payloads share: an event of a payload, and why it is malformed."""

from __future__ import annotations

from support import decode_every_way


def framed(payload):
    return b"Content-Length: %d\nContent-Type: text/event-json\n\n%b" % (len(payload), payload)


def event(esl, payload):
    (message,) = decode_every_way(esl, framed(payload))
    assert type(message) is esl.Event
    assert message.raw == message.payload == payload
    return message


def quick(esl, payload):
    return esl.Event.from_payload(payload, "json")


def why(e):
    return e.malformed and (e.malformed.format, e.malformed.offset, e.malformed.why)
