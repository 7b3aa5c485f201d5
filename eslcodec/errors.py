"""The exceptions of eslcodec.

    ESLError
    ├── ProtocolError             the peer's bytes are not Event Socket protocol
    │   ├── InvalidContentLength      a frame's Content-Length is not a number, repeated with another value, or missing
    │   ├── LimitExceeded             a bound was crossed (also: more fed than max_buffered allows)
    │   │   ├── HeaderTooLarge
    │   │   ├── BodyTooLarge
    │   │   └── LoginTooLarge             before the login was answered
    │   ├── IncompleteFrame           the stream ended inside a frame
    │   ├── MalformedPayload          an event's payload cannot be read in its format
    │   └── MalformedTable            a command's output is not the table that was expected
    ├── InvalidCommand            ours: would inject a second command, or cannot be expressed
    ├── CommandError              the switch answered -ERR
    ├── AuthError                 the switch refused the login
    ├── AccessDenied              the switch's ACL refused the address
    ├── ConnectionClosed          the connection ended, and why
    │   ├── ReaderTooSlow             events were read so slowly that the switch would have been endangered
    │   └── ChannelEnded              the channel of the connection hung up, so what was asked of it cannot happen
    ├── RecordingError            a recorded stream cannot be read
    │   └── DamagedRecording          it is damaged, and where
    ├── EventQueueFull            a reply is waited for, but nobody takes the events that stand before it
    └── CommandTimeout            no answer in time

A text says what was read and what was expected; the numbers are attributes too. All texts are made here, so that both
cores say the same.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from .limits import NOTICE_BYTES

if TYPE_CHECKING:
    from typing_extensions import Self

    from .events import Event

_NOTICE = b"Content-Type: text/disconnect-notice"
_LENGTH = re.compile(rb"\nContent-Length: ([0-9]{1,9})\r?\n")
_BLANK = re.compile(rb"\n\r?\n")
_SHOWN_BYTES = 60
_NUMBER_DIGITS = 600  # Python may be told to refuse numbers of 640


class ESLError(Exception):
    """Base of everything that eslcodec raises on purpose.

    Example:
        >>> issubclass(ConnectionClosed, ESLError), issubclass(ProtocolError, ESLError)
        (True, True)
    """

    def again(self) -> Self:
        """The same error to be raised once more: a new instance with the same attributes and `__cause__`.

        An instance that is raised twice has a longer traceback, which keeps the objects of both calls alive.

        Example:
            >>> error = CommandError("-ERR no")
            >>> again = error.again()
            >>> again is error, str(again), again.text
            (False, '-ERR no', '-ERR no')
        """
        made = _made(type(self), self.args, dict(self.__dict__))
        made.__cause__ = self.__cause__
        made.__suppress_context__ = self.__suppress_context__
        return made

    def __reduce__(self) -> tuple[object, ...]:
        return _made, (type(self), self.args, self.__dict__)


class ProtocolError(ESLError):
    """The peer's bytes are not Event Socket protocol.

    Example:
        >>> issubclass(IncompleteFrame, ProtocolError), issubclass(CommandError, ProtocolError)
        (True, False)
    """


class InvalidContentLength(ProtocolError):
    """A frame's Content-Length is not ASCII digits, or is repeated with another value.

    Or there is none in the frame of a JSON or XML event, where a switch always writes one: the stream was shifted.

    Attributes:
        values: the raw values as read (bytes), one or two; none if it is missing.

    Example:
        >>> InvalidContentLength(b"5", b"6")
        InvalidContentLength("read Content-Length '5' and '6' in one frame, expected one value")
    """

    def __init__(self, *values: bytes) -> None:
        self.values = values
        if not values:
            text = "read no Content-Length in the frame of a JSON or XML event, expected one"
        elif len(values) == 1:
            text = f"read Content-Length {_shown(values[0])}, expected ASCII digits"
        else:
            text = f"read Content-Length {' and '.join(map(_shown, values))} in one frame, expected one value"
        super().__init__(text)


class LimitExceeded(ProtocolError):
    """A bound was crossed.

    Attributes:
        read: what was read or announced, in bytes (at least; see the text).
        limit: the bound, in bytes.

    Example:
        >>> error = LimitExceeded(1500, 1000)
        >>> error.read, error.limit, str(error)
        (1500, 1000, 'read 1500 bytes ahead of the reader, expected no more than 1000 (max_buffered)')
    """

    _text = "read {read} bytes ahead of the reader, expected no more than {limit} (max_buffered)"

    def __init__(self, read: int, limit: int) -> None:
        self.read = read
        self.limit = limit
        super().__init__(self._text.format(read=self._shown_read(), limit=limit))

    def _shown_read(self) -> str:
        return str(self.read)


class HeaderTooLarge(LimitExceeded):
    """A header block has no blank line within the bound.

    Example:
        >>> str(HeaderTooLarge(1001, 1000))
        'read 1001 bytes of a header block without its end, expected no more than 1000 (max_header_bytes)'
    """

    _text = "read {read} bytes of a header block without its end, expected no more than {limit} (max_header_bytes)"


class BodyTooLarge(LimitExceeded):
    """A frame announces a body beyond the bound. Nothing was allocated for it.

    Args:
        read: the number, or its digits as they were read.
        limit: the bound.

    Attributes:
        read: the number. Of more than 600 digits it is 10**600, which is at most what was announced.

    Example:
        >>> str(BodyTooLarge(5000, 1000))
        'read a Content-Length of 5000 bytes, expected no more than 1000 (max_body_bytes)'
    """

    _text = "read a Content-Length of {read} bytes, expected no more than {limit} (max_body_bytes)"

    def __init__(self, read: int | bytes, limit: int) -> None:
        self._digits = read if isinstance(read, bytes) else b"%d" % read
        exact = len(self._digits) <= _NUMBER_DIGITS
        super().__init__(int(self._digits) if exact else 10**_NUMBER_DIGITS, limit)

    def _shown_read(self) -> str:
        digits = self._digits.decode()
        if len(digits) <= _SHOWN_BYTES:
            return digits
        return f"{digits[:_SHOWN_BYTES]}... ({len(digits)} digits)"


class LoginTooLarge(LimitExceeded):
    """More has come before the login was answered than a switch sends then.

    Example:
        >>> str(LoginTooLarge(3000, 2000))
        'read 3000 bytes before the login was answered, expected no more than 2000'
    """

    _text = "read {read} bytes before the login was answered, expected no more than {limit}"


class IncompleteFrame(ProtocolError):
    """The stream ended inside a frame.

    A switch that kills a slow reader writes its disconnect-notice into the event it was sending; such a notice is
    found and named. The notice may complete the length of that event, so that a damaged event comes out and only the
    end of the notice is left.

    Args:
        data, header_bytes, body_bytes: the attributes.
        before: the end of what came before `data`.

    Attributes:
        data: what was there of the frame, header block and body (bytes).
        header_bytes: length of the header block in bytes, None if its blank line is missing.
        body_bytes: declared length of the body in bytes, None if the header block is unfinished.
        notice: the disconnect-notice found in it, or begun in the frame before it; None if there is none (bytes).
        reason: the text of that notice, None if there is none.

    Example:
        >>> error = IncompleteFrame(b"Content-Length: 5\\n\\nab", header_bytes=19, body_bytes=5)
        >>> str(error), error.data[19:], error.reason
        ('stream ended in a body: read 2 bytes, expected 5', b'ab', None)
    """

    def __init__(
        self, data: bytes, header_bytes: int | None = None, body_bytes: int | None = None, before: bytes = b""
    ) -> None:
        self.data = data
        self.header_bytes = header_bytes
        self.body_bytes = body_bytes
        self._before = before[-NOTICE_BYTES:]
        self.notice, self.reason = _find_notice(data, header_bytes or 0)
        where = "stands in it"
        if self.notice is None:
            self.notice, self.reason = _find_notice(self._before + data, 0, across=len(self._before))
            where = "begins in the frame before"
        if header_bytes is None:
            text = f"stream ended in a header block: read {len(data)} bytes, expected a blank line"
        else:
            text = f"stream ended in a body: read {len(data) - header_bytes} bytes, expected {body_bytes}"
        if self.reason is not None:
            text += f"; a disconnect-notice {where}: {self.reason.strip()!r}"
        super().__init__(text)


class MalformedPayload(ProtocolError):
    """An event's payload cannot be read in its format. The event keeps its bytes.

    Attributes:
        format: "json" or "xml".
        offset: where reading stopped, in bytes from the start of the payload.
        why: what was read and expected there.

    Example:
        >>> from eslcodec import Event
        >>> event = Event.from_payload(b'{"Event-Name" "DTMF"}', "json")
        >>> event.name, event.malformed.format, event.malformed.offset
        (None, 'json', 14)
    """

    def __init__(self, format: str, offset: int, why: str) -> None:
        self.format = format
        self.offset = offset
        self.why = why
        super().__init__(f"event payload is not {format.upper()} as expected: {why} (byte {offset})")


class MalformedTable(ProtocolError):
    """The output of an API command is not the table that was expected, or not whole.

    Attributes:
        read: what was read: the output, or the line of it.
        expected: what was expected.

    Example:
        >>> from eslcodec import tables
        >>> tables.parse("name|contact\\nsupport|user/1|user/2\\n")
        Traceback (most recent call last):
            ...
        eslcodec.errors.MalformedTable: read 'support|user/1|user/2', expected 2 columns, read 3 in line 2
    """

    def __init__(self, read: str, expected: str) -> None:
        self.read = read
        self.expected = expected
        super().__init__(f"read {read[:_SHOWN_BYTES]!r}, expected {expected}")


class InvalidCommand(ESLError):
    """A command that would start a second one, or cannot be expressed on the wire. Nothing was sent.

    Example:
        >>> from eslcodec import commands
        >>> commands.api("status\\n\\nexit")
        Traceback (most recent call last):
            ...
        eslcodec.errors.InvalidCommand: the API command 'status\\n\\nexit' has '\\n' in it, expected a single line
    """


class CommandError(ESLError):
    """The switch answered `-ERR` (or an API command `-USAGE`).

    Attributes:
        text: the answer as received.

    Example:
        >>> from eslcodec import CommandReply
        >>> CommandReply(b"Content-Type: command/reply\\nReply-Text: -ERR invalid\\n\\n").check()
        Traceback (most recent call last):
            ...
        eslcodec.errors.CommandError: -ERR invalid
    """

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(text.strip() or "-ERR")


class AuthError(ESLError):
    """The switch refused the login.

    Example:
        >>> from eslcodec import connect
        >>> from eslcodec.emulator import Emulator
        >>> with Emulator(password="secret") as switch:
        ...     connect(switch.host, switch.port, password="wrong")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        eslcodec.errors.AuthError: 127.0.0.1:... refused the login: -ERR invalid (wrong password?)
    """


class AccessDenied(ESLError):
    """The switch's access control list refused the address (text/rude-rejection).

    Example:
        >>> from eslcodec import connect
        >>> from eslcodec.emulator import Emulator
        >>> with Emulator(allow=False) as switch:
        ...     connect(switch.host, switch.port)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        eslcodec.errors.AccessDenied: 127.0.0.1:... refused our address: Access Denied, go away.
    """


class ConnectionClosed(ESLError):
    """The connection ended; the text says why, in the switch's words if it gave any. `__cause__` is what broke it.

    Example:
        >>> from eslcodec import connect
        >>> from eslcodec.emulator import Emulator
        >>> with Emulator() as switch, connect(switch.host, switch.port) as fs:
        ...     switch.drop()
        ...     fs.api("status")
        Traceback (most recent call last):
            ...
        eslcodec.errors.ConnectionClosed: the switch closed the connection

    Attributes:
        maybe_done: of a command that got no answer: True if a byte of it was sent, so that the switch may have done it;
            False if it never left, and can be given again without harm.
    """

    maybe_done: bool = False


class ReaderTooSlow(ConnectionClosed):
    """We ended the connection ourselves, because what was not read would have piled up in the switch.

    A switch that kills a slow reader holds the lock of all its Event Socket connections while it does so: none of them
    gets an event, a reply or a login. What was received can still be read.

    Attributes:
        unread_seconds: how long the socket was not read though something was in it.
        estimated: about how many events waited in the switch: the rate of events before, times those seconds.
        limits: (`switch_queue_limit`, `pause_limit`) of the connection; None is no limit.
        last_event: the last `Event` that was received; None if there was none.

    Example:
        >>> error = ReaderTooSlow(61.2, 12_000, (25_000, 60.0))
        >>> error.unread_seconds, error.estimated, error.last_event
        (61.2, 12000, None)
        >>> print(error)
        events were not read for 61.2 s, and about 12000 wait in the switch, expected no more than 60 s and 25000
    """

    def __init__(
        self,
        unread_seconds: float,
        estimated: int,
        limits: tuple[int | None, float | None],
        last_event: object = None,
    ) -> None:
        self.unread_seconds = unread_seconds
        self.estimated = estimated
        self.limits = limits
        self.last_event = last_event
        queue, pause = limits
        expected = [f"{pause:g} s"] if pause is not None else []
        expected += [f"{queue}"] if queue is not None else []
        super().__init__(
            f"events were not read for {unread_seconds:.1f} s, and about {estimated} wait in the switch, "
            f"expected no more than {' and '.join(expected)}"
        )


class ChannelEnded(ConnectionClosed):
    """The channel that the connection controls has hung up, so what was asked of it cannot happen, or was cut short.

    The connection itself may go on for a while (`linger`): what does not act on the channel still works then.

    Attributes:
        cause: why it hung up, as in `Hangup-Cause`; "UNKNOWN" if the switch did not say.
        complete: of an application that was waited for and that the hang-up ended: its CHANNEL_EXECUTE_COMPLETE, if
            that came.

    Example:
        >>> error = ChannelEnded("ORIGINATOR_CANCEL")
        >>> error.cause, error.complete, str(error)
        ('ORIGINATOR_CANCEL', None, 'the channel hung up: ORIGINATOR_CANCEL')
        >>> isinstance(error, ConnectionClosed)  # so whoever expects an end need not know of channels
        True
    """

    def __init__(self, cause: str, complete: Event | None = None) -> None:
        self.cause = cause
        self.complete = complete
        super().__init__(f"the channel hung up: {cause}")


class EventQueueFull(ESLError):
    """Events stand before the reply on the wire, and as many as may wait do so already: somebody must read them.

    The connection goes on as soon as they are read; a reply that nobody waits for any more is ignored when it comes.

    Attributes:
        what: what was waited for.
        queued: what is in the queue.
        limit: the bound.
        unit: what both count, "messages" or "bytes".

    Example:
        >>> error = EventQueueFull("api status", queued=65536, limit=65536)
        >>> error.what, error.queued, error.limit
        ('api status', 65536, 65536)
    """

    def __init__(self, what: str, queued: int, limit: int, unit: str = "messages") -> None:
        self.what = what
        self.queued = queued
        self.limit = limit
        self.unit = unit
        super().__init__(f"waiting for {what}: {queued} {unit} are queued, expected somebody to read them ({limit})")


class RecordingError(ESLError):
    """A recorded stream cannot be read on this Python, or in this way; the text says what is missing.

    Example:
        >>> issubclass(DamagedRecording, RecordingError)
        True
    """


class DamagedRecording(RecordingError):
    """A recording is damaged. Everything whole before the damage came out.

    Attributes:
        path: the file.
        position: where in it what is damaged begins, in bytes.
        why: what was read and expected there.

    Example:
        >>> error = DamagedRecording("day.esl.zst", 4096, "read bytes with checksum 12345678, expected 87654321")
        >>> print(error)
        day.esl.zst, byte 4096: read bytes with checksum 12345678, expected 87654321
    """

    def __init__(self, path: str, position: int, why: str) -> None:
        self.path = path
        self.position = position
        self.why = why
        super().__init__(f"{path or 'recording'}, byte {position}: {why}")


class CommandTimeout(ESLError):
    """No answer came in time.

    Example:
        >>> from eslcodec import connect
        >>> from eslcodec.emulator import Emulator, Later
        >>> with Emulator() as switch, connect(switch.host, switch.port) as fs:
        ...     switch.api["slow"] = Later(0.2, "+OK")
        ...     fs.api("slow", timeout=0.01)
        Traceback (most recent call last):
            ...
        eslcodec.errors.CommandTimeout: waited 0.01 s for the answer to 'api slow'
    """


_E = TypeVar("_E", bound=ESLError)


def _made(kind: type[_E], args: tuple[object, ...], attributes: dict[str, object]) -> _E:
    """An error with all that another one has, without working its text out again: `again`, and pickles, use it."""
    made = kind.__new__(kind, *args)
    made.__dict__.update(attributes)
    return made


def _shown(value: bytes) -> str:
    """A peer's value for a text: quoted, and short whatever its length."""
    if len(value) <= _SHOWN_BYTES:
        return repr(value)[1:]
    return f"{repr(value[:_SHOWN_BYTES])[1:]}... ({len(value)} bytes)"


def _find_notice(data: bytes, start: int, across: int | None = None) -> tuple[bytes | None, str | None]:
    """The last disconnect-notice in `data` after `start`, as far as it is there, and its text.

    It must lie across the boundary at `across`, if there is one.
    """
    at = data.rfind(_NOTICE, start)
    blank = _BLANK.search(data, at) if at >= 0 else None
    if blank is None:
        return None, None
    length = _LENGTH.search(data, at, blank.end())
    end = min(blank.end() + int(length[1]), len(data)) if length else blank.end()
    if across is not None and not at < across < end:
        return None, None
    return data[at:end], data[blank.end() : end].decode("utf-8", "backslashreplace")
