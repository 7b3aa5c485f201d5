"""The kinds of message, and the decoder that makes them.

Thin classes over the core's `Message`: they keep nothing of their own (empty `__slots__`) and read what they are asked
for from the frame's bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Final

from . import limits
from ._codec import Message, MessageDecoder, parse_headers
from .enums import LogLevel
from .errors import CommandError

if TYPE_CHECKING:
    from typing_extensions import Self

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_PAYLOAD_HEADS: Final = {
    "plain": b"Content-Length: %d\nContent-Type: text/event-plain\n\n",
    "json": b"Content-Length: %d\nContent-Type: text/event-json\n\n",
    "xml": b"Content-Length: %d\nContent-Type: text/event-xml\n\n",
}


def _number(text: str | None) -> int | None:
    """A decimal number of the wire, None if it is absent or anything else."""
    if text is None or len(text) > 19:
        return None
    digits = text[1:] if text.startswith("-") else text
    return int(text) if digits.isascii() and digits.isdigit() else None


class Event(Message):
    """An event: `text/event-plain`, `text/event-json` or `text/event-xml` (spec P4).

    The mapping is the payload's headers, `body` what follows them.

    Example:
        >>> event = Event.from_payload(b"Event-Name: HEARTBEAT\\nEvent-Sequence: 525\\nUp-Time: 0%20s\\n\\n", "plain")
        >>> event.name, event.sequence, event["Up-Time"], event.body
        ('HEARTBEAT', 525, '0 s', None)
    """

    __slots__ = ()

    @classmethod
    def from_payload(cls, payload: bytes, format: str) -> Self:
        """An event from its payload alone, without the frame around it.

        Args:
            payload: the frame's body as a switch sends it.
            format: "plain", "json" or "xml".

        Raises:
            ValueError: another format.
        """
        head = _PAYLOAD_HEADS.get(format)
        if head is None:
            raise ValueError(f"format is {format!r}, expected 'plain', 'json' or 'xml'")
        return cls(head % len(payload), payload)

    @property
    def name(self) -> str | None:
        """`Event-Name`, None if absent."""
        return self.get("Event-Name")

    @property
    def subclass(self) -> str | None:
        """`Event-Subclass`: which kind of CUSTOM event, None if absent."""
        return self.get("Event-Subclass")

    @property
    def uuid(self) -> str | None:
        """`Unique-ID`: the channel concerned, None if absent."""
        return self.get("Unique-ID")

    @property
    def sequence(self) -> int | None:
        """`Event-Sequence`: the switch's event counter, None if absent or not a number."""
        return _number(self.get("Event-Sequence"))

    @property
    def timestamp(self) -> datetime | None:
        """`Event-Date-Timestamp` as an aware UTC datetime of microseconds, None if absent or out of range."""
        microseconds = _number(self.get("Event-Date-Timestamp"))
        if microseconds is None:
            return None
        try:
            return _EPOCH + timedelta(microseconds=microseconds)
        except OverflowError:
            return None

    @property
    def envelope(self) -> dict[str, str]:
        """The headers of the frame around the payload (Content-Length, Content-Type)."""
        return parse_headers(self.frame, decode=False)


class AuthRequest(Message):
    """`auth/request`: the first frame of an inbound connection (spec P3.1)."""

    __slots__ = ()


class CommandReply(Message):
    """`command/reply`: the answer to a command (spec P3.2), and the channel's data that answers `connect` (P3.4).

    Example:
        >>> reply = CommandReply(b"Content-Type: command/reply\\nReply-Text: -ERR invalid\\n\\n")
        >>> reply.ok, reply.text
        (False, '-ERR invalid')
    """

    __slots__ = ()

    @property
    def text(self) -> str:
        """`Reply-Text` as received: `+OK...`, `-ERR...`, or the value of a `getvar`; "" if absent."""
        return self.get("Reply-Text", "")

    @property
    def ok(self) -> bool:
        """Whether the text is anything but `-ERR...`."""
        return not self.text.startswith("-ERR")

    @property
    def job_uuid(self) -> str | None:
        """`Job-UUID` of an accepted `bgapi`, None otherwise."""
        return self.get("Job-UUID")

    def check(self) -> Self:
        """The reply itself if it is `ok`.

        Raises:
            CommandError: it is not.
        """
        if not self.ok:
            raise CommandError(self.text)
        return self


class ApiResponse(Message):
    """`api/response`: the output of an API command (spec P3.3). Success or failure stands in the text alone.

    Example:
        >>> ApiResponse(b"Content-Type: api/response\\nContent-Length: 4\\n\\n", b"+OK\\n").check().text
        '+OK\\n'
    """

    __slots__ = ()

    @property
    def ok(self) -> bool:
        """Whether the output is anything but `-ERR...` or `-USAGE...`."""
        return not (self.body or b"").startswith((b"-ERR", b"-USAGE"))

    def check(self) -> Self:
        """The response itself if it is `ok`.

        Raises:
            CommandError: it is not.
        """
        if not self.ok:
            raise CommandError(self.text)
        return self


class LogLine(Message):
    """`log/data`: a line of the switch's log (spec P3.5); `text` is the line."""

    __slots__ = ()

    @property
    def level(self) -> LogLevel | int | None:
        """`Log-Level`, a plain int if the switch has no name for it, None if absent or not a number."""
        number = _number(self.get("Log-Level"))
        if number is None:
            return None
        try:
            return LogLevel(number)
        except ValueError:
            return number

    @property
    def file(self) -> str | None:
        """`Log-File`: the source file that wrote it, None if absent."""
        return self.get("Log-File")

    @property
    def function(self) -> str | None:
        """`Log-Func`: the function that wrote it, None if absent."""
        return self.get("Log-Func")

    @property
    def line(self) -> int | None:
        """`Log-Line`: the line of `file`, None if absent or not a number."""
        return _number(self.get("Log-Line"))

    @property
    def uuid(self) -> str | None:
        """`User-Data`: the channel concerned, None if there is none."""
        return self.get("User-Data") or None


class DisconnectNotice(Message):
    """`text/disconnect-notice`: the channel is gone or the connection is about to end (spec P3.6)."""

    __slots__ = ()

    @property
    def linger(self) -> bool:
        """True if the socket stays open for events of the dead channel; a final notice follows later."""
        return self.get("Content-Disposition", "").lower() == "linger"

    @property
    def final(self) -> bool:
        """True if the switch closes the connection after this notice."""
        return not self.linger

    @property
    def controlled_uuid(self) -> str | None:
        """`Controlled-Session-UUID`: the channel that this connection controlled, None if it controlled none."""
        return self.get("Controlled-Session-UUID")

    @property
    def channel_name(self) -> str | None:
        """`Channel-Name`, None if absent."""
        return self.get("Channel-Name")

    @property
    def linger_time(self) -> int | None:
        """`Linger-Time` in seconds, -1 for ever, None if this is no linger notice."""
        return _number(self.get("Linger-Time"))


class RudeRejection(Message):
    """`text/rude-rejection`: the switch's ACL refused our address (spec P3.7); `text` says so."""

    __slots__ = ()


_KINDS: Final[Mapping[bytes, type[Message]]] = {
    b"text/event-plain": Event,
    b"text/event-json": Event,
    b"text/event-xml": Event,
    b"auth/request": AuthRequest,
    b"command/reply": CommandReply,
    b"api/response": ApiResponse,
    b"log/data": LogLine,
    b"text/disconnect-notice": DisconnectNotice,
    b"text/rude-rejection": RudeRejection,
}


class Decoder(MessageDecoder):
    """The stream of an Event Socket as messages (spec P2, P3).

    Feed it whatever arrives, in any chunks, and iterate: `Event`, `CommandReply`, `ApiResponse`, `AuthRequest`,
    `LogLine`, `DisconnectNotice`, `RudeRejection`, or plain `Message` for a Content-Type that is none of the
    protocol's. Iteration ends when more bytes are needed and goes on after the next `feed`. Whole messages before
    damage come out first; then the framing error is raised, at every call. `-ERR` replies are messages, not errors.

    One decoder belongs to one thread at a time; its messages may be read from any.

    Args:
        max_header_bytes: bound of one header block, its blank line included.
        max_body_bytes: bound of one body.
        max_buffered: bound of the bytes that wait; by default one frame of the largest size and 64 MiB.

    Example:
        >>> decoder = Decoder()
        >>> decoder.feed(b"Content-Type: command/reply\\nReply-Text: +OK accepted\\n\\nContent-Type: api/resp")
        >>> [reply.text for reply in decoder]
        ['+OK accepted']
        >>> decoder.buffered
        22
    """

    __slots__ = ()

    def __init__(
        self,
        *,
        max_header_bytes: int = limits.MAX_HEADER_BYTES,
        max_body_bytes: int = limits.MAX_BODY_BYTES,
        max_buffered: int | None = None,
    ) -> None:
        super().__init__(
            _KINDS,
            Message,
            max_header_bytes=max_header_bytes,
            max_body_bytes=max_body_bytes,
            max_buffered=max_buffered,
        )

    if TYPE_CHECKING:

        def __iter__(self) -> Iterator[Message]: ...
