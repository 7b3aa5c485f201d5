"""Events that are the next by number, without reading more of them: `NextNumber`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from .. import limits
from .formats import JSON, PLAIN
from .message import Message

_HEADS: Final = {PLAIN: b"Event-Name: ", JSON: b'{"Event-Name":"'}
_ENDS: Final = {PLAIN: b"\n", JSON: b'"'}
_SEQUENCES: Final = {PLAIN: b"\nEvent-Sequence: ", JSON: b',"Event-Sequence":"'}
_DIGITS: Final = re.compile(rb"([0-9]{1,18})[\n\"]")


class NextNumber:
    """Counts the events of a switch whose number is just the next, and which have no name that is looked for.

    Most are such. Of a plain event, or one in JSON, that begins with `Event-Name`, the first `Event-Sequence` of the
    first `NEXT_NUMBER_BYTES` bytes is read and nothing else. What is written in any other way is left to whoever asks.

    Args:
        names: of events that are looked for.

    Whoever uses it sets the attributes below.

    Example:
        >>> numbers = NextNumber(["HEARTBEAT"])
        >>> numbers._next = 525
        >>> block = b"Content-Type: text/event-plain\\n\\n"
        >>> dtmf = Message(block, b"Event-Name: DTMF\\nEvent-Sequence: 525\\n\\n")
        >>> heartbeat = Message(block, b"Event-Name: HEARTBEAT\\nEvent-Sequence: 526\\n\\n")
        >>> numbers.takes(dtmf), numbers.takes(dtmf), numbers.takes(heartbeat), numbers._next, numbers._count
        (True, False, False, 526, 1)
    """

    __slots__ = ("_count", "_names", "_next", "_until")

    _next: int  # the number that is expected; none is taken while it is negative, as it is at first
    _count: int  # how many were taken
    _until: int  # none is taken once there are so many

    def __init__(self, names: Iterable[str]) -> None:
        self._names = tuple(name.encode("ascii") for name in names)
        self._next = -1
        self._count = 0
        self._until = limits.BOUND_CEILING

    def takes(self, message: object) -> bool:
        """Whether this is the next one; the one after it is expected then."""
        if self._next < 0 or self._count >= self._until:
            return False
        if not isinstance(message, Message) or message._format not in _HEADS:
            return False
        if self._number(message.frame[message._split :], message._format) != self._next:
            return False
        self._next += 1
        self._count += 1
        return True

    def _number(self, payload: bytes, format: int) -> int | None:
        """The number of an event that is not looked for; None if it is, or is not as most are."""
        head, sequence, last = _HEADS[format], _SEQUENCES[format], limits.NEXT_NUMBER_BYTES
        if not payload.startswith(head):
            return None
        stop = payload.find(_ENDS[format], len(head), last)
        name = payload[len(head) : stop]
        if stop < 0 or name in self._names or b"%" in name or b"\\" in name:
            return None
        at = payload.find(sequence, stop, last + len(sequence) - 1)
        if at < 0 or (format == PLAIN and payload.find(b"\n\n", stop, at + 1) >= 0):
            return None
        digits = _DIGITS.match(payload, at + len(sequence))
        return None if digits is None or not digits[0].endswith(_ENDS[format]) else int(digits[1])
