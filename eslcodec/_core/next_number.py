"""Events that are the next by number, without reading more of them: `NextNumber`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from .. import limits
from .formats import JSON, PLAIN
from .message import Message

_HEADS: Final = {PLAIN: b"Event-Name: ", JSON: b'{"Event-Name":"'}
_ENDS: Final = {PLAIN: b"\n", JSON: b'"'}
_SEQUENCES: Final = {PLAIN: b"\nEvent-Sequence: ", JSON: b',"Event-Sequence":"'}
_DIGITS: Final = re.compile(rb"([0-9]{1,18})[\n\"]")


class NextNumber:
    """Counts the events of a switch whose number is just the next.

    Most are such. Of a plain event, or one in JSON, that begins with `Event-Name`, the first `Event-Sequence` of the
    first `NEXT_NUMBER_BYTES` bytes is read and nothing else. What is written in any other way is left to whoever asks.

    Whoever uses it sets the attributes below.

    Args:
        names: of events that are looked for.

    Example:
        >>> numbers = NextNumber(["HEARTBEAT"])
        >>> numbers._next = 525
        >>> block = b"Content-Type: text/event-plain\\n\\n"
        >>> dtmf = Message(block, b"Event-Name: DTMF\\nEvent-Sequence: 525\\n\\n")
        >>> heartbeat = Message(block, b"Event-Name: HEARTBEAT\\nEvent-Sequence: 526\\n\\n")
        >>> numbers.takes(dtmf), numbers.takes(dtmf), numbers.takes(heartbeat), numbers._next, numbers._count
        ('', None, 'HEARTBEAT', 527, 2)
    """

    __slots__ = ("_answer", "_count", "_names", "_next", "_read", "_until")

    _next: int  # the number that is expected; none is taken while it is negative, as it is at first
    _count: int  # how many were taken
    _until: int  # none is taken once there are so many
    _read: int  # the number of the one that was asked about last, negative if it was not read
    _answer: str | None  # what `takes` would have said of the one at which `passes` stopped

    def __init__(self, names: Iterable[str]) -> None:
        self._names = {name.encode("ascii"): name for name in names}
        self._next = self._read = -1
        self._count = 0
        self._answer = None
        self._until = limits.BOUND_CEILING

    def takes(self, message: object) -> str | None:
        """Whether this is the next one; the one after it is expected then.

        Returns:
            None if it is not. If it is, its name if that is looked for, else an empty text.
        """
        self._read = -1
        if self._next < 0 or self._count >= self._until:
            return None
        if not isinstance(message, Message) or message._format not in _HEADS:
            return None
        name = self._look(message.frame[message._split :], message._format)
        if self._read != self._next:
            return None
        self._next += 1
        self._count += 1
        return name

    def passes(self, messages: list[Any], start: int) -> int:
        """Take one after the other as long as `takes` says nothing else of them.

        Args:
            messages: any.
            start: the place of the first.

        Returns:
            The place of the first that is not taken, or whose name is looked for; their number if there is none.
        """
        at = max(start, 0)
        while at < len(messages):
            self._answer = self.takes(messages[at])
            if self._answer != "":
                break
            at += 1
        return at

    def _look(self, payload: bytes, format: int) -> str | None:
        """Note the number of an event that is as most are."""
        head, sequence, last = _HEADS[format], _SEQUENCES[format], limits.NEXT_NUMBER_BYTES
        if not payload.startswith(head):
            return None
        stop = payload.find(_ENDS[format], len(head), last)
        name = payload[len(head) : stop]
        if stop < 0 or b"%" in name or b"\\" in name:
            return None
        at = payload.find(sequence, stop, last + len(sequence) - 1)
        if at < 0 or (format == PLAIN and payload.find(b"\n\n", stop, at + 1) >= 0):
            return None
        digits = _DIGITS.match(payload, at + len(sequence))
        if digits is not None and digits[0].endswith(_ENDS[format]):
            self._read = int(digits[1])
        return self._names.get(name, "")
