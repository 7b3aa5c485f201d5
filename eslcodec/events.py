"""The kinds of message, and the decoder that makes them.

Thin classes over the core's `Message`: all except `Gap` keep nothing of their own (empty `__slots__`) and read what
they are asked for from the frame's bytes.

`repr`, `str` and `print` say what each is, on one short line that a terminal can show: `<Event DTMF #525 8f08a03a>`,
`<ApiResponse ok 'UP 0 years...'>`, `<CommandReply -ERR 'no reply'>`. Of an event's headers they show name, subclass,
number and uuid only. All that was written is in `text`, `body` and the headers.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, TypeVar

from . import limits
from ._codec import Message, MessageDecoder, parse_headers
from ._codec_py import FORMAT_NAMES, PAYLOAD_FORMATS, replaces
from ._ctext import quoted, word
from ._json import Field
from .enums import LogLevel
from .errors import CommandError, InvalidCommand

if TYPE_CHECKING:
    from typing_extensions import Self

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_PAYLOAD_HEADS: Final = {
    FORMAT_NAMES[format]: b"Content-Length: %%d\nContent-Type: %b\n\n" % content_type
    for content_type, format in PAYLOAD_FORMATS.items()
}
_OPENING: Final = 1024  # bytes
_FORMATS: Final = {content_type.decode(): FORMAT_NAMES[format] for content_type, format in PAYLOAD_FORMATS.items()}

HeaderValue = str | int | Sequence[str]
"""What `Event.build` takes as a value: text, a number, or the items of an array."""

Headers = (
    Mapping[str, HeaderValue]
    | ItemsView[str, HeaderValue]
    | Sequence[tuple[str, HeaderValue]]
    | Iterator[tuple[str, HeaderValue]]
)
"""What `Event.build` takes as headers: a mapping or pairs; see `eslcodec.commands.Headers`."""


def _number(text: str | None) -> int | None:
    """A decimal number of the wire, None if it is absent or anything else."""
    if text is None or len(text) > 19:
        return None
    digits = text[1:] if text.startswith("-") else text
    return int(text) if digits.isascii() and digits.isdigit() else None


def _line(*parts: str | None) -> str:
    """What of this is there, for a `repr`."""
    return " ".join(part for part in parts if part)


def _named(name: str | None) -> str | None:
    """A name, if it is there, for a `repr`."""
    return word(name) if name else None


def _status(ok: bool, text: str) -> str:
    """How a text begins, for a `repr`, after "ok" or "failed", or after the switch's own word for a failure."""
    if not ok:
        for sign in ("-ERR", "-USAGE"):
            if text.startswith(sign):
                return f"{sign} {quoted(text.removeprefix(sign).lstrip(': '))}"
    return f"{'ok' if ok else 'failed'} {quoted(text)}"


class _Answer(Protocol):
    @property
    def ok(self) -> bool: ...

    @property
    def text(self) -> str: ...


_A = TypeVar("_A", bound=_Answer)


def _check(answer: _A) -> _A:
    """The answer itself, or its text as an error."""
    if not answer.ok:
        raise CommandError(answer.text)
    return answer


def _is_ok(output: bytes | None) -> bool:
    """Whether what an API command put out is anything but an error."""
    return not (output or b"").startswith((b"-ERR", b"-USAGE"))


def _opening(message: Message) -> str:
    """The beginning of its text, which may be long: what a `repr` can show, and more."""
    return (message.body or b"")[:_OPENING].decode("utf-8", "surrogateescape")


class Event(Message):
    """An event: `text/event-plain`, `text/event-json` or `text/event-xml` (docs/protocol/payloads.md, P4).

    The mapping is the payload's headers, `body` what follows them.

    Some events have two sets of headers: a copy that somebody sent has those of the original too, as has an event that
    the switch fires again as another one. What the switch wrote itself comes last, so `name`, `sequence`, `timestamp`
    and `id` take the last header of their name. Look-ups take the first of a repeated name, except for `Event-Name`, of
    which they take the last.

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

    @classmethod
    def build(
        cls,
        name: str,
        headers: Headers = (),
        body: bytes | str | None = None,
        subclass: str | None = None,
    ) -> Self:
        """An event of our own, ready to be sent or serialized.

        Args:
            name: `Event-Name`.
            headers: the others, in order; a list is an array. Repeats are kept.
            body: bytes, or text to be written as UTF-8. An empty one is none.
            subclass: `Event-Subclass`, for CUSTOM only.

        Raises:
            InvalidCommand: a subclass of anything but CUSTOM, or what the plain format cannot express: a name with a
                line feed or `": "` in it, an array item with `|:`.

        Example:
            >>> event = Event.build("CUSTOM", {"Peer": "a b", "Codecs": ["PCMU", "G722"]}, "hello", subclass="my::test")
            >>> print(event.serialize("plain").decode())
            Event-Name: CUSTOM
            Event-Subclass: my%3A%3Atest
            Peer: a%20b
            Codecs: ARRAY%3A%3APCMU%7C%3AG722
            Content-Length: 5
            <BLANKLINE>
            hello
        """
        from . import render

        if subclass is not None and name != "CUSTOM":
            raise InvalidCommand(f"{name!r:.80} has no subclasses, only CUSTOM has")
        fields: list[Field] = [("Event-Name", str(name))]
        if subclass is not None:
            fields.append(("Event-Subclass", subclass))
        for key, value in headers.items() if isinstance(headers, Mapping) else headers:
            fields.append((key, str(value) if isinstance(value, (str, int)) else list(value)))
        data = body.encode("utf-8", "surrogateescape") if isinstance(body, str) else body
        return cls.from_payload(render.plain(fields, data or None), "plain")

    def serialize(self, format: str) -> bytes:
        """The payload in a format: the bytes as received in the event's own, all headers with their repeats in another.

        See docs/protocol/payloads.md, P4, and docs/protocol/reading.md, 13.

        Args:
            format: "plain", "json" or "xml".

        Raises:
            MalformedPayload: this event could not be read, so it cannot be written in another format.
            InvalidCommand: the format cannot express a name, an item or the body.
            ValueError: another format.

        Example:
            >>> Event.build("DTMF", {"DTMF-Digit": "#"}).serialize("json")
            b'{"Event-Name":"DTMF","DTMF-Digit":"#"}'
        """
        if format not in _PAYLOAD_HEADS:
            raise ValueError(f"format is {format!r}, expected 'plain', 'json' or 'xml'")
        if _FORMATS.get((self.content_type or "").lower()) == format:
            return self.payload or b""
        malformed = self.malformed
        if malformed is not None:
            raise malformed
        line = self._whole_json() if format == "json" else None
        if line is not None and self._ends_with_own_length():
            return line
        from . import render

        return render.PAYLOADS[format](self._fields(), self.body)

    def _ends_with_own_length(self) -> bool:
        """Whether a plain event has no body, or its Content-Length as the last header, as writers have."""
        body = self.body
        return body is None or self.raw.endswith(b"\nContent-Length: %d\n\n" % len(body))

    def to_dict(self, errors: str = "replace") -> dict[str, str | list[str]]:
        """All headers in the shape of the switch's JSON events: arrays as lists, the body as text under `_body`.

        Of a repeated name the first header counts, of Event-Name the last. The result can be given to any JSON encoder.

        Args:
            errors: what becomes of bytes that are not UTF-8: "replace" by U+FFFD each, or "surrogateescape".

        Example:
            >>> Event.build("DTMF", {"A": ["x", "y"]}, "b").to_dict()
            {'Event-Name': 'DTMF', 'A': ['x', 'y'], 'Content-Length': '1', '_body': 'b'}
        """
        return self._mapping(replaces(errors))

    @property
    def name(self) -> str | None:
        """`Event-Name`, the last of several; None if absent."""
        return self.get("Event-Name")

    @property
    def id(self) -> str | None:
        """An id that is unique among all events of a switch: `<Core-UUID>:<Event-Sequence>`, the last of each.

        None if one is absent.

        Example:
            >>> Event.build("DTMF", {"Core-UUID": "8f08a03a", "Event-Sequence": 525}).id
            '8f08a03a:525'
        """
        core, sequence = self._last("Core-UUID"), self._last("Event-Sequence")
        return None if core is None or sequence is None else f"{core}:{sequence}"

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
        """`Event-Sequence`: the switch's event counter, the last of several; None if absent or not a number.

        The numbers are not in order on the wire, and have holes: an event gets its number when the switch begins to
        make it, is sent when it is done, and some are never sent. One number in fifty may be missing though nothing was
        lost, and an event may come after hundreds of later ones. The counter begins anew with the switch (see `id`).

        Example:
            >>> event = Event.from_payload(b"Event-Sequence: 7\\nEvent-Name: DTMF\\nEvent-Sequence: 525\\n\\n", "plain")
            >>> event.sequence, event["Event-Sequence"]
            (525, '7')
        """
        return _number(self._last("Event-Sequence"))

    @property
    def timestamp(self) -> datetime | None:
        """`Event-Date-Timestamp` as an aware UTC datetime of microseconds, the last of several.

        None if absent or out of range.
        """
        microseconds = _number(self._last("Event-Date-Timestamp"))
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

    def _told(self) -> str:
        if self.malformed is not None:
            return f"malformed {super()._told()}"
        sequence = self.sequence
        return _line(
            _named(self.name) or "(no name)",
            _named(self.subclass),
            None if sequence is None else f"#{sequence}",
            _named(self.uuid or self.get("Job-UUID")),
        )


class JobResult(Event):
    """The BACKGROUND_JOB event of a `bgapi`: the output of its command is `text`, or `body` as bytes.

    Example:
        >>> event = Event.build("BACKGROUND_JOB", {"Job-UUID": "7f4d", "Job-Command": "status"}, "-ERR no such call")
        >>> JobResult.of(event).ok
        False
    """

    __slots__ = ()

    @classmethod
    def of(cls, event: Event) -> Self:
        """The same event as the result of a job."""
        return cls(*event.__reduce__()[1])

    @property
    def job_uuid(self) -> str | None:
        """`Job-UUID`."""
        return self.get("Job-UUID")

    @property
    def ok(self) -> bool:
        """Whether the output is anything but `-ERR...` or `-USAGE...`."""
        return _is_ok(self.body)

    def check(self) -> Self:
        """The result itself if it is `ok`.

        Raises:
            CommandError: it is not.
        """
        return _check(self)

    def _told(self) -> str:
        return _line(_named(self.job_uuid), _status(self.ok, _opening(self)))


class Gap(Event):
    """An event of the client, not of the switch: it reconnected, and what happened meanwhile was missed.

    It is an event, CUSTOM with subclass `eslcodec::gap`, so that whatever handles events handles it too. The events
    before and after it, which it knows, count neither in comparisons nor in its hash.

    Example:
        >>> last = Event.build("DTMF", {"Core-UUID": "c", "Event-Sequence": 7, "Event-Date-Timestamp": 10**15})
        >>> gap = Gap.of(2.5, "The system is being shut down.", last)
        >>> gap.subclass, gap.seconds, gap.reason
        ('eslcodec::gap', 2.5, 'The system is being shut down.')
        >>> gap.last_sequence, gap.last_timestamp.year, gap.same_core, gap.at_most
        (7, 2001, None, None)
        >>> gap.resume(Event.build("DTMF", {"Core-UUID": "c", "Event-Sequence": 10}))  # as the client does
        >>> gap.same_core, gap.at_most
        (True, 2)
    """

    __slots__ = ("_after", "_before")

    kind: ClassVar[str] = "gap"
    """As the notices of `eslcodec.ingest` have one."""

    _after: Event | None
    _before: Event | None

    @classmethod
    def of(cls, seconds: float, reason: str, last: Event | None = None) -> Self:
        """A gap of so many seconds.

        Args:
            seconds: how long.
            reason: why the earlier connection ended.
            last: the event before it.
        """
        headers = {"Gap-Seconds": f"{seconds:.3f}", "Gap-Reason": " ".join(reason.split())}
        gap = cls.build("CUSTOM", headers, subclass="eslcodec::gap")
        gap._before = last
        return gap

    def resume(self, event: Event) -> None:
        """Note the first event after the gap."""
        self._after = event

    @property
    def seconds(self) -> float:
        """How long something may have been missed: since the socket was last read empty, until there was a connection
        again."""
        return float(self["Gap-Seconds"])

    @property
    def last_sequence(self) -> int | None:
        """`Event-Sequence` of the last event before it; None if there was none."""
        before, _ = self._sides
        return None if before is None else before.sequence

    @property
    def last_timestamp(self) -> datetime | None:
        """`Event-Date-Timestamp` of the last event before it; None if there was none."""
        before, _ = self._sides
        return None if before is None else before.timestamp

    @property
    def same_core(self) -> bool | None:
        """Whether it is the same run of the same switch as before: the Core-UUID is the same. None until the first
        event after the gap, or if there was none before it."""
        before, after = self._sides
        if before is None or after is None:
            return None
        cores = before._last("Core-UUID"), after._last("Core-UUID")
        return None if None in cores else cores[0] == cores[1]

    @property
    def at_most(self) -> int | None:
        """How many events of all kinds, subscribed to or not, the switch fired in between. It is computed from their
        numbers, which are not quite in order (see `Event.sequence`). None unless `same_core` is True."""
        before, after = self._sides
        if before is None or after is None or not self.same_core:
            return None
        first, last = before.sequence, after.sequence
        return None if first is None or last is None else max(last - first - 1, 0)

    @property
    def _sides(self) -> tuple[Event | None, Event | None]:
        return getattr(self, "_before", None), getattr(self, "_after", None)

    def __reduce__(self) -> tuple[Any, ...]:
        return *super().__reduce__(), self._sides

    def __setstate__(self, state: tuple[Event | None, Event | None]) -> None:
        self._before, self._after = state

    @property
    def reason(self) -> str:
        """Why the earlier connection ended."""
        return self["Gap-Reason"]

    def _told(self) -> str:
        return f"{quoted(self.get('Gap-Seconds', '?'))[1:-1]} s: {quoted(self.get('Gap-Reason', '?'))[1:-1]}"


class AuthRequest(Message):
    """`auth/request`: the first frame of an inbound connection (docs/protocol/frames.md, P3.1).

    Example:
        >>> decoder = Decoder()
        >>> decoder.feed(b"Content-Type: auth/request\\n\\n")
        >>> isinstance(decoder.next_message(), AuthRequest)
        True
    """

    __slots__ = ()

    def _told(self) -> str:
        return ""


class CommandReply(Message):
    """`command/reply`: the answer to a command, and the channel's data that answers `connect`.

    See docs/protocol/frames.md, P3.2 and P3.4.

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
        return _check(self)

    def _told(self) -> str:
        return _line(_status(self.ok, self.text), _named(self.get("Event-Name")), _named(self.get("Unique-ID")))


class ApiResponse(Message):
    """`api/response`: the output of an API command. Success or failure stands in the text alone.

    See docs/protocol/frames.md, P3.3.

    `print(response)` shows how it begins, on one line without control characters; `print(response.text)` all of it.

    Example:
        >>> response = ApiResponse(b"Content-Type: api/response\\nContent-Length: 16\\n\\n", b"+OK\\nUP 0 years\\n")
        >>> print(response)
        <ApiResponse ok '+OK...'>
        >>> response.check().text
        '+OK\\nUP 0 years\\n'
    """

    __slots__ = ()

    @property
    def ok(self) -> bool:
        """Whether the output is anything but `-ERR...` or `-USAGE...`."""
        return _is_ok(self.body)

    def check(self) -> Self:
        """The response itself if it is `ok`.

        Raises:
            CommandError: it is not.
        """
        return _check(self)

    def _told(self) -> str:
        return _status(self.ok, _opening(self))


class LogLine(Message):
    """`log/data`: a line of the switch's log (docs/protocol/frames.md, P3.5); `text` is the line.

    Example:
        >>> head = b"Content-Type: log/data\\nContent-Length: 6\\nLog-Level: 4\\nLog-File: mod.c\\nLog-Line: 7\\n\\n"
        >>> line = LogLine(head, b"hello\\n")
        >>> line.level, line.file, line.line, line.text
        (<LogLevel.WARNING: 4>, 'mod.c', 7, 'hello\\n')
    """

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

    def _told(self) -> str:
        level = self.level
        place = self.file and f"{self.file}{'' if self.line is None else f':{self.line}'}"
        shown = level.name if isinstance(level, LogLevel) else "?" if level is None else str(level)
        return _line(shown, _named(place), quoted(_opening(self)), _named(self.uuid))


class DisconnectNotice(Message):
    """`text/disconnect-notice`: the channel is gone or the connection is about to end (docs/protocol/frames.md, P3.6).

    Example:
        >>> head = b"Content-Type: text/disconnect-notice\\nContent-Disposition: linger\\nLinger-Time: 5\\n\\n"
        >>> notice = DisconnectNotice(head)
        >>> notice.linger, notice.final, notice.linger_time
        (True, False, 5)
    """

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

    def _told(self) -> str:
        return _line("linger" if self.linger else "final", quoted(_opening(self)), _named(self.controlled_uuid))


class RudeRejection(Message):
    """`text/rude-rejection`: the switch's ACL refused our address (docs/protocol/frames.md, P3.7); `text` says so.

    Example:
        >>> head = b"Content-Type: text/rude-rejection\\nContent-Length: 24\\n\\n"
        >>> RudeRejection(head, b"Access Denied, go away.\\n").text
        'Access Denied, go away.\\n'
    """

    __slots__ = ()

    def _told(self) -> str:
        return quoted(_opening(self))


_KINDS: Final[Mapping[bytes, type[Message]]] = {
    **dict.fromkeys(PAYLOAD_FORMATS, Event),
    b"auth/request": AuthRequest,
    b"command/reply": CommandReply,
    b"api/response": ApiResponse,
    b"log/data": LogLine,
    b"text/disconnect-notice": DisconnectNotice,
    b"text/rude-rejection": RudeRejection,
}


class Decoder(MessageDecoder):
    """The stream of an Event Socket as messages (docs/protocol/framing.md and docs/protocol/frames.md).

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
