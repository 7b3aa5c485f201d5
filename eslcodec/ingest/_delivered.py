"""What comes from a stream: events that know how they came, and notices. No I/O."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from ..events import Event, Gap
from .contract import unescape
from .notices import Notice, from_dict
from .watch import Loss

_SOURCE: Final = "/esl/"
_HEAD: Final = re.compile(rb'\{"_id":"([^"\\]*)"(?:,"_oversize":(\d{1,19}))?([,}])')
_NOTICE: Final = b'{"_notice":'


class StreamEvent(Event):
    """An event that came from a stream: `Event` with what is known of its way.

    Attributes:
        event_id: what it is known by, whichever bridge sent it and however often it comes: the key to dedupe with.
        switch: name of the switch; None if the message does not say.
        received: when the recorder received it, in seconds since 1970; None if the message does not say.
        redelivered: whether it was given to somebody before, perhaps to us.
        number: its sequence in the stream.
        oversize: how many bytes the event had, if it was too large for a message and comes without its body; else None.

    Example:
        >>> headers = {"Nats-Msg-Id": "8f08a03a:525", "ce-source": "/esl/fs1", "Esl-Received": "1796003318.250000"}
        >>> event = read(headers, b'{"_id":"8f08a03a:525","Event-Name":"DTMF"}', 17, False)
        >>> event.name, event.event_id, event.switch, event.received, event.redelivered
        ('DTMF', '8f08a03a:525', 'fs1', 1796003318.25, False)
    """

    __slots__ = ("event_id", "number", "oversize", "received", "redelivered", "switch")

    event_id: str
    switch: str | None
    received: float | None
    redelivered: bool
    number: int
    oversize: int | None


@dataclass(slots=True)
class StreamNotice:
    """A notice that came from a stream.

    Attributes:
        kind: such as `gap`, `loss`, `started`, `opened`.
        said: all that it says, as in JSON.
        notice: the same as a `Notice`, `Gap` or `Loss`; None if it is of another kind.
        event_id, switch, received, redelivered, number: as of a `StreamEvent`.

    Example:
        >>> body = b'{"_notice":"stopped","_id":"n:1","switch":"fs1","at":1796000000.25,"reason":"removed"}'
        >>> told = read({"Nats-Msg-Id": "n:1", "ce-source": "/esl/fs1"}, body, 18, False)
        >>> told.kind, told.switch, told.notice
        ('stopped', 'fs1', Stopped(switch='fs1', at=1796000000.25, reason='removed'))
    """

    kind: str
    said: dict[str, Any] = field(repr=False)
    notice: Notice | Gap | Loss | None
    event_id: str
    switch: str | None
    received: float | None
    redelivered: bool
    number: int


Delivered = StreamEvent | StreamNotice
"""What a stream gives."""


def read(headers: Mapping[str, str] | None, body: bytes, number: int, redelivered: bool) -> Delivered:
    """A message of the contract.

    Args:
        headers, body: of the message.
        number: its sequence in the stream.
        redelivered: whether it was delivered before.

    Raises:
        ValueError: it is none; the text says what was read.
    """
    headers = headers or {}
    source = headers.get("ce-source")
    switch = None if source is None else _switch(source)
    received = _seconds(headers.get("Esl-Received"))
    head = _HEAD.match(body)
    if head is None:
        return _notice(headers, body, switch, received, redelivered, number)
    end = head.end()
    rest = b"{" + body[end:] if head[3] == b"," else b"{}"
    event = StreamEvent.from_payload(rest, "json")
    if event.malformed is not None:
        raise ValueError(f"read {body[:80]!r}, which is no JSON: {event.malformed}")
    event.event_id = headers.get("Nats-Msg-Id") or head[1].decode("utf-8", "replace")
    event.switch = switch
    event.received = received
    event.redelivered = redelivered
    event.number = number
    event.oversize = None if head[2] is None else int(head[2])
    return event


def _notice(
    headers: Mapping[str, str], body: bytes, switch: str | None, received: float | None, redelivered: bool, number: int
) -> StreamNotice:
    said: Any = None
    if body.startswith(_NOTICE):
        try:
            said = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"read {body[:80]!r}, which is no JSON: {error}") from error
    if not isinstance(said, dict) or not isinstance(said["_notice"], str) or not isinstance(said.get("_id"), str):
        raise ValueError(f'read {body[:80]!r}, expected what begins with {{"_id": or {{"_notice":')
    event_id = headers.get("Nats-Msg-Id") or said["_id"]
    kind = said["_notice"]
    return StreamNotice(kind, said, from_dict(said), event_id, switch, received, redelivered, number)


@lru_cache(maxsize=1024)
def _switch(source: str) -> str | None:
    try:
        return unescape(source.removeprefix(_SOURCE)) if source.startswith(_SOURCE) else None
    except ValueError:
        return None


def _seconds(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
