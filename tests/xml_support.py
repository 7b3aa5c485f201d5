"""What the tests of XML payloads share: a document of lines, and an event of it."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from support import decode_every_way


def framed(payload: Any) -> Any:
    return b"Content-Length: %d\nContent-Type: text/event-xml\n\n%b" % (len(payload), payload)


def event(esl: ModuleType, payload: Any) -> Any:
    (message,) = decode_every_way(esl, framed(payload))
    assert type(message) is esl.Event
    assert message.raw == message.payload == payload
    return message


def quick(esl: ModuleType, payload: Any) -> Any:
    return esl.Event.from_payload(payload, "xml")


def document(headers: Any, rest: Any = b"") -> Any:
    """A payload as the switch writes it, with these lines in its headers and behind them."""
    return b"<event>\n  <headers>\n%b  </headers>\n%b</event>\n" % (headers, rest)


def line(name: Any, value: Any) -> Any:
    return b"    <%b>%b</%b>\n" % (name, value, name)


def why(e: Any) -> Any:
    return e.malformed and (e.malformed.format, e.malformed.offset, e.malformed.why)


def with_body(length: Any, body: Any) -> Any:
    rest = b"" if length is None else b"  <Content-Length>%b</Content-Length>\n" % length
    return document(line(b"A", b"1"), rest + b"  <body>%b</body>\n" % body)
