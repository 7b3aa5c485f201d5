"""FreeSWITCH's own Python module `ESL`, with the same names and calls: a drop-in (docs/protocol/esl-module.md).

    from eslcodec import ESL                # in the place of `import ESL`
    eslcodec.install_as_ESL()               # or once, before whatever says `import ESL` or `from ESL import *`
    python -m eslcodec.ESL script.py        # or with a script that is left as it is; -m module likewise

Network errors raise nothing: a method returns what the official module returns. Text is UTF-8 with surrogateescape.
What a server sends is read as everywhere in eslcodec (no truncated frames, no forged headers) and then treated as by
the official library: header names in any case, `ARRAY::`, `name[i]`, empty values (docs/protocol/headers.md, P6).
Received events are read when they are asked; the first change makes a list of their headers.

Where the official module departs from its documentation, or would send something else than was meant, this one does
not; with `ESL.strict = True` it does as the official one:

| point | default | `ESL.strict = True` |
|---|---|---|
| `recvEventTimed(0)` | returns at once | blocks |
| `sendEvent(e)` | returns its reply | returns the last frame received |
| `setAsyncExecute(v)`, `setEventLock(v)` | words, or 1/0 as documented | words only, an int is a TypeError |
| `setPriority(n)` | accepted | TypeError |
| `addBody` called again | adds to the body | replaces it |
| `serialize("xml")` | the XML of the switch (docs/protocol/payloads.md, P4.3) | plain |
| `unshiftHeader` | the item first, a new header before all others | appends it, a new `ARRAY::` behind all others |
| `ESLevent("DTMF", "")` | as without the empty text | an invalid event |
| the fd of `ESLconnection(fd)` | duplicated; yours is yours to close | taken over |
| a value that would become another header or command | refused | sent |
| None as an argument of `filter`, `events` | refused | sent as `(null)` |
| line ends behind an argument | dropped | sent |
| an event's own Content-Length | sent once, the body's | sent, and the body's behind it |
| more than the switch reads as one command | refused | sent; it takes the rest for another command |

Refused: nothing is sent, the logger `eslcodec` has a warning, and what is returned is an event with the Reply-Text
`-ERR not sent: ...`, or 1 where a number is. `sendEvent` and `sendMSG` refuse an event whose header has a line end or a
NUL in its value, or a colon in its name. `send` and `sendRecv` send what they are given.

In both modes this is otherwise than in the official module:

| point | here | there | why |
|---|---|---|---|
| crashes, leaks, descriptors closed twice | none | some | |
| long arguments, 64 KiB of headers, long arrays | whole | cut, or glued to the next line | nothing may be lost |
| CR at the end of a line; line ends before a frame | dropped | kept, or a frame | as everywhere here |
| a line without a colon | skipped | takes the next line, or the rest, into its name | it would forge headers |
| a line with several colons | cut at its first colon and blank | at its first colon | names with a colon are sent raw |
| TABs before a value of an event | dropped | kept | as everywhere here |
| `%` without two hexadecimal digits behind it | stays | decoded by `scanf` | it would change values |
| NUL in a header or a body | a character | ends the value, the block or the body | nothing may be lost |
| a Content-Length that is no number, or two that differ | ends the connection | read in part | it would forge frames |
| a JSON or XML event without Content-Length | ends the connection | its text is read as frames | no switch sends it |
| an event's body without a Content-Length in the event | is the body | lost | nothing may be lost |
| the last line of an event without a line end | a header | lost, or the body | as everywhere here |
| a header `_body` of the frame itself | a header | makes an event of it | it would forge events |
| `ARRAY::` in the middle of a value | text | an array that begins 7 characters into the value | it would forge items |
| JSON that is none (`01`, control characters as blanks) | malformed | read | as everywhere here |
| an escaped surrogate inside of what is no header | not looked at | malformed | it is not read |
| `_body` of a JSON event with `%` in it | as it is | given to `printf` | it would change or crash |
| `name[i]` of an item that is there | `getHeader(name)` shows it | shows the old one at first | it is wrong |
| `name[i]` that would fill more than 65,536 gaps | dropped | filled | memory: `headers.MAX_GAP_ITEMS` |
| a lone surrogate in an argument | TypeError | a crash | |
| non-ASCII text in `serialize()` | encoded | encoded wrongly | |
"""

from __future__ import annotations

import json
import logging
import os
import re
import select
import socket
import sys
import threading
import weakref
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from traceback import walk_tb
from typing import Any, Final, ParamSpec, TypeGuard, TypeVar, overload

from . import render
from ._codec import HeaderReader, Message, MessageDecoder, parse_pairs, quote, unquote
from ._codec_py import split_array
from ._ctext import redacted
from ._json import Field, joined
from .commands import _command as command_block
from .enums import EventName
from .errors import IncompleteFrame, InvalidCommand, ProtocolError
from .headers import HeaderList, atoi

__all__ = ["ESLconnection", "ESLevent", "eslSetLogLevel"]

strict = False
"""Whether to do as the official module where it departs from its documentation."""

MAX_BODY_BYTES: Final = 16 << 20
"""The official library ends a connection that announces a larger body (docs/protocol/framing.md, P2.4)."""

MAX_QUEUED_BYTES: Final = 1 << 30
MAX_QUEUED_FRAMES: Final = 1 << 22
"""Of what came while a reply was waited for. A switch that sends events and never the reply would fill the memory; and
the smallest frames take ten times as much as their bytes."""

_TYPES: Final = {name.value.encode(): name.value for name in EventName if name.value != "CERT_RELOAD"}
"""What the official library knows: of the switch's names all but one."""

_PREFIX: Final = len("SWITCH_EVENT_")
_PRIORITIES: Final = {0: "NORMAL", 1: "LOW", 2: "HIGH"}
_DECODER_FILE: Final = split_array.__code__.co_filename
_TRUE: Final = frozenset(("yes", "on", "true", "enabled", "active", "allow"))


_LOG: Final = logging.getLogger("eslcodec")

_P = ParamSpec("_P")
_T = TypeVar("_T")


# Arguments, as SWIG takes them


def _text(value: Any) -> str | None:
    """What a `char *` becomes: text up to its first NUL, None for NULL."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError(f"argument is {type(value).__name__}, expected str or None")
    if not value.isascii() and not _is_encodable(value):
        raise TypeError("argument has a surrogate that stands for no byte")
    return value.partition("\0")[0] if "\0" in value else value


def _is_encodable(text: str) -> bool:
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # which holds the text, and that perhaps a password
        return False
    return True


def _int(value: Any) -> int:
    if not isinstance(value, int):
        raise TypeError(f"argument is {type(value).__name__}, expected int")
    return value


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _str(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _flag(value: Any, before: int) -> int:
    """The new state of a switch (`setAsyncExecute`, `setEventLock`)."""
    if isinstance(value, int) and not strict:
        return int(value != 0)
    text = _text(value)
    if text is None:
        return before
    return int(text.lower() in _TRUE or atoi(text) != 0)


# The library's log


_LEVELS: Final = ("EMERG", "ALERT", "CRIT", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG")
_ERROR: Final = 3
_DEBUG: Final = 7
_log_level = -1


def eslSetLogLevel(level: int, /) -> None:
    """Have this module write to stderr what it does. The switch's own log is not concerned.

    Args:
        level: 0 (EMERG) to 7 (DEBUG, every frame that is sent or received); anything else is 7.

    Example:
        >>> eslSetLogLevel(3)
    """
    global _log_level
    number = _int(level)
    _log_level = number if 0 <= number <= _DEBUG else _DEBUG


def _log(level: int, text: str) -> None:
    if level > _log_level:
        return
    code = sys._getframe(1)
    print(f"[{_LEVELS[level]}] ESL.py:{code.f_lineno} {code.f_code.co_name}() {text}", file=sys.stderr)


# Frames, and what they mean to this module


class _PlainEvent(Message):
    __slots__ = ()


class _JsonEvent(Message):
    __slots__ = ()


class _Reply(Message):
    __slots__ = ()


class _Notice(Message):
    __slots__ = ()


_KINDS: Final[dict[bytes, type[Message]]] = {
    b"text/event-plain": _PlainEvent,
    b"text/event-json": _JsonEvent,
    b"command/reply": _Reply,
    b"api/response": _Reply,
    b"text/disconnect-notice": _Notice,
}


def _ends_connection(frame: Message) -> bool:
    """Whether a disconnect notice says that it is final (docs/protocol/frames.md, P3.6)."""
    return (
        isinstance(frame, _Notice)
        and frame.payload is not None
        and unquote(_bytes(frame.get("Content-Disposition", ""))).lower() != b"linger"
    )


def _is_reply(frame: Message) -> bool:
    """Whether a frame ends the wait for a reply: those of an unknown kind do, if they do not name it.

    See docs/protocol/esl-module.md, P7.3.
    """
    return isinstance(frame, _Reply) or (type(frame) is Message and not _type_read(frame))


def _type_read(frame: Message) -> bytes:
    """The Content-Type as the official library reads it, empty if there is none."""
    return unquote(_bytes((frame.content_type or "").lstrip(" \t")))


def _respelled(frame: Message) -> Message:
    """A frame of no known kind, or of the kind that its Content-Type names when read as the official library does."""
    if type(frame) is not Message:
        return frame
    written, read = _bytes(frame.content_type or ""), _type_read(frame)
    kind = _KINDS.get(read.lower())
    if kind is None or read == written:
        return frame
    line = rb"(?im)^(content-type:) *" + re.escape(written)
    return kind(re.sub(line, rb"\1 " + read, _block_of(frame), count=1), frame.payload)


def _block_of(frame: Message) -> bytes:
    """The frame's own header block."""
    return frame.frame[: len(frame.frame) - len(frame.payload or b"")]


def _values(block: bytes, blanks: str) -> Iterator[tuple[str, str]]:
    """The headers of a block as the official library reads them: blanks before a value dropped, then decoded."""
    for name, raw in parse_pairs(block, decode=False):
        value = raw.lstrip(blanks)
        yield name, _str(unquote(_bytes(value))) if "%" in value else value


def _outer_list(frame: Message) -> HeaderList:
    """The frame itself as the official library has it: what it makes of the frame's own header block, and the body."""
    headers = HeaderList()
    for name, value in _frame_pairs(frame):
        _receive(headers, name, value)
    return _copied(headers, frame.payload)


def _plain_event(frame: Message) -> tuple[HeaderList, str | None]:
    """The list of a plain event, and its type: None if no name that is known came."""
    headers = HeaderList()
    type_ = None
    for name, value in _values(frame.raw, " "):
        if _is_event_name(name):
            headers.delete(name)
            type_ = _type_of(value) or type_
        _receive(headers, name, value)
    return _copied(headers, frame.body), type_


def _receive(headers: HeaderList, name: str, value: str) -> None:
    """Add a header of a block that came: an array item by item, whatever the name."""
    if not _is_array(value):
        headers.add(name, value)
        return
    for item in split_array(value) if value != "ARRAY::" else ():
        headers.push(name, item)


def _copied(headers: HeaderList, body: bytes | None) -> HeaderList:
    """A copy, as the official module hands out what was received: each item pushed anew.

    See docs/protocol/esl-module.md, A3.2.
    """
    fields: list[Field] = []
    found = headers.body
    for name, value in headers.fields():
        kept = value if isinstance(value, str) else _pushed(value)
        if kept:
            fields.append((name, kept))
        if name == "_body" and found is None:  # an array, of which each item that is pushed becomes the body
            found = _bytes(value[-1])
    return HeaderList(fields, found if body is None else body)


def _pushed(items: list[str]) -> list[str]:
    """What becomes of the items of an array that are pushed one by one."""
    headers = HeaderList()
    for item in items:
        headers.push("", item)
    return headers.getlist("")


def _is_event_name(name: str) -> bool:
    return len(name) == 10 and name.lower() == "event-name"


def _simple_headers(event: Message) -> tuple[dict[str, str], list[str]] | None:
    """The first value of each exact name, and all names in order, of an event that has nothing special.

    Special are items `name[i]`, empty values, blanks before a value, arrays of less than two items, that begin with an
    empty one or another array, or of a name that repeats in any case, several Event-Name, and a header `_body`. In JSON
    also what is neither a text nor an array of texts, and more than one body.
    """
    found = event._survey()
    if found is None:
        return None
    lines, arrays = found
    headers = event.asdict()
    names = list(headers)
    aliases = _aliases(tuple(names))
    repeats = lines != len(names)
    if "_body" in headers or (arrays and (repeats or aliases) and _is_array_repeated(event.pairs())):
        return None
    if repeats:
        names = [name for name, _ in event.pairs()]
        if sum(map(_is_event_name, names)) > 1:
            return None
    for name, first in aliases:
        if _is_event_name(first):
            return None
        headers[name] = headers[first]
    return headers, names


def _is_array_repeated(pairs: list[tuple[str, str]]) -> bool:
    """Whether a header that is an array shares its name, in any case, with another: they become one."""
    folded = [_bytes(name).lower() for name, _ in pairs]
    counts = Counter(folded)
    return any(_is_array(value) and counts[name] > 1 for name, (_, value) in zip(folded, pairs, strict=True))


def _simple_frame(frame: Message) -> tuple[dict[str, str], list[str]] | None:
    """The same of the frame itself (`_outer_list`)."""
    pairs = _frame_pairs(frame)
    if any(not value or _is_array(value) or "[" in name or name == "_body" for name, value in pairs):
        return None
    headers = dict(reversed(pairs))
    names = [name for name, _ in pairs]
    for name, first in _aliases(tuple(names)):
        headers[name] = headers[first]
    return headers, names


def _frame_pairs(frame: Message) -> list[tuple[str, str]]:
    return [("Event-Name", "SOCKET_DATA"), *_values(_block_of(frame), " \t")]


@lru_cache(maxsize=128)
def _aliases(names: tuple[str, ...]) -> list[tuple[str, str]]:
    """Names that stand for an earlier one but for ASCII case, with that one. Events of one kind have the same names."""
    seen: dict[bytes, str] = {}
    pairs = [(name, seen.setdefault(_bytes(name).lower(), name)) for name in names]
    return [(name, first) for name, first in pairs if name != first]


def _is_array(value: str) -> bool:
    return value.startswith("ARRAY::")


# JSON


class _Members(list[tuple[str, Any]]):
    """The members of a JSON object, in order, repeats kept."""


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no JSON")


_json_reader: Final = json.JSONDecoder(object_pairs_hook=_Members, strict=False, parse_constant=_no_number)


def _read_json(text: str) -> tuple[HeaderList, str | None] | None:
    """The list of a JSON event, and its type: None if no name that is known came. None if it is malformed.

    See docs/protocol/payloads.md, P4.2.
    """
    members = _members_of(text)
    try:
        fields = None if members is None else [_encodable(field) for field in _fields_of(members[0])]
    except ValueError:  # an escaped surrogate without its partner
        return None
    if fields is None:
        return None
    headers = HeaderList()
    type_ = None
    for name, value in fields:
        if not isinstance(value, str):
            for item in value:
                headers.push(name, item)
        elif len(name) == 5 and name.lower() == "_body":
            headers.body = _bytes(value)
        else:
            if _is_event_name(name):
                headers.delete(name)
                type_ = _type_of(value) or type_
            headers.add(name, value)
    return headers, type_


def _members_of(text: str) -> tuple[Any] | None:
    """What the text stands for, in a tuple; None if it is no JSON."""
    try:
        return (_json_reader.raw_decode(text.lstrip(" \t\r\n"))[0],)
    except (ValueError, RecursionError):
        return None


def _fields_of(members: Any) -> Iterator[Field]:
    """The members as texts and lists of texts. What else is there is left out, but for its name."""
    for name, value in members if isinstance(members, _Members) else ():
        if isinstance(value, str):
            yield name, value
        else:
            yield name, [item for item in value if isinstance(item, str)] if type(value) is list else []


def _encodable(field: Field) -> Field:
    name, value = field
    for text in (name, value) if isinstance(value, str) else (name, *value):
        if not text.isascii():
            _bytes(text)
    return field


def _json_string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


# Commands, as bytes. By default no text becomes another header or command: what would is refused with InvalidCommand.


_RELOADS: Final = frozenset(
    f"{through}{verb} mod_event_socket".encode()
    for through in ("api ", "api bgapi ", "bgapi ")
    for verb in ("reload", "unload")
)
"""Commands that the switch reads as they are meant, though it replaces every block with these words."""

_BREAKERS: Final = re.compile("[\n\r\0]")


def _line(what: str, text: str) -> str:
    """Text that stays on its line: line ends behind it are dropped, they would end the command too early."""
    if strict:
        return text
    line = text.rstrip("\r\n")
    if _BREAKERS.search(line):
        raise InvalidCommand(f"{what} has a line end in it, which would begin another header")
    return line


def _named(what: str, text: str | None) -> str:
    """Text that must be there. The official library prints NULL as C does."""
    if text is not None:
        return _line(what, text)
    if not strict:
        raise InvalidCommand(f"{what} is None")
    return "(null)"


def _block(line: str, headers: Iterable[str] = (), body: bytes = b"", end: str = "\n\n") -> bytes:
    """A command, refused if the switch would cut it, close the connection, or read another one.

    Strict, it is what it is, and ends with `end`.
    """
    if strict:
        return _bytes("\n".join([line, *headers]) + end)
    if _bytes(line).rstrip(b" ").lower() in _RELOADS:
        return _bytes(line)
    return command_block(line, headers, body)


def _api(command: str, argument: str | None) -> bytes:
    return _block(f"api {_line('the command', command)} {_line('the argument', argument or '')}", end="")


def _bgapi(command: str, argument: str | None, job: str | None) -> bytes:
    tail = "" if argument is None else f" {_line('the argument', argument)}"
    headers = [] if job is None else [f"Job-UUID: {_line('the Job-UUID', job)}"]
    return _block(f"bgapi {_line('the command', command)}{tail}", headers, end="")


def _filter(header: str | None, value: str | None) -> bytes:
    return _block(f"filter {_named('the header', header)} {_named('the value', value)}")


def _subscription(format: str, names: str | None) -> bytes:
    known = format if format in ("json", "xml") else "plain"
    return _block(f"event {known} {_named('the value', names)}")


def _message_line(uuid: str | None) -> str:
    return "sendmsg" if uuid is None else f"sendmsg {_line('the uuid', uuid)}"


def _execution(app: str | None, arg: str | None, uuid: str | None, flags: Iterable[str]) -> bytes:
    headers = ["call-command: execute"]
    if app is not None:
        headers.append(f"execute-app-name: {_line('the application', app)}")
    if arg is not None:
        headers.append(f"execute-app-arg: {_line('the argument', arg)}")
    return _block(_message_line(uuid), [*headers, *flags])


def _firing(event: ESLevent) -> bytes:
    return event._in_command(f"sendevent {event.getType()}")


def _message(event: ESLevent, uuid: str | None) -> bytes:
    return event._in_command(_message_line(uuid))


def _with_event(line: str, pairs: list[tuple[str, str]], body: bytes) -> bytes:
    """A command with the headers and the body of an event. It has one Content-Length: the body's."""
    headers = []
    has_length = False
    for name, value in pairs:
        shown = f"{name!r:.80}"
        if ":" in name or _BREAKERS.search(name):
            raise InvalidCommand(f"the header name {shown} has a colon or a line end in it")
        if _BREAKERS.search(value):
            raise InvalidCommand(f"the value of {shown} has a line end or a NUL in it, which would end the header")
        if name.lower() == "content-length":
            has_length = True
        else:
            headers.append(f"{name}: {value or '_undef_'}")
    if has_length and not body:
        headers.append("Content-Length: 0")
    return _block(line, headers, body)


def _refused(error: InvalidCommand) -> ESLevent:
    """What stands for the reply to a command that was not sent."""
    text = f"not sent: {error}"
    _LOG.warning("ESL: %s", text)
    _log(_ERROR, text)
    return ESLevent._refusal(f"-ERR {text}")


# Events


def _type_of(name: str | None) -> str | None:
    """The type that a name stands for, None if it is unknown (docs/protocol/esl-module.md, P7.2)."""
    if name is None:
        return None
    upper = _bytes(name).upper()
    return _TYPES.get(upper) or _TYPES.get(upper[_PREFIX:])


_LOCK = threading.RLock()
"""Held by whatever makes an event another one: threads may share events. Asking for a header hardly ever needs it."""


def _renew_lock() -> None:
    """In a child process: whoever held it when it was forked is not there."""
    global _LOCK
    _LOCK = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


class ESLevent(HeaderReader):
    """An event, received or made here (docs/protocol/esl-module.md, A3).

    `ESLevent(type)`, `ESLevent(type, subclass)`, `ESLevent("json", text)` make one; `ESLevent(event)` takes everything
    out of another one, which is invalid afterwards.

    Raises:
        NotImplementedError: other arguments, as from the official module.

    Example:
        >>> event = ESLevent("CUSTOM", "my::test")
        >>> event.addHeader("Peer", "a b"), event.addBody("hello")
        (True, True)
        >>> event.getHeader("peer"), event.getType(), event.getBody()
        ('a b', 'CUSTOM', 'hello')
        >>> print(event.serialize())
        Event-Name: CUSTOM
        Event-Subclass: my%3A%3Atest
        Peer: a%20b
        Content-Length: 5
        <BLANKLINE>
        hello
    """

    # An event is in one of four states: received and not yet looked at (`_frame`), received with headers that mean what
    # they say (`_frame`, `_index`), a list (`_list`, and `_index` while it is not changed), or invalid (none of them).
    _outer = False  # the frame itself and not the event in it
    _list: HeaderList | None = None
    _order: list[str]  # with `_index`: all names
    _type: str | None = None  # None while it was not asked for
    # strict: its text while its items say something else (docs/protocol/esl-module.md, A3.2)
    _first_priority: str | None = None

    @overload
    def __init__(self, type: str | None, subclass_name: str | None = None, /) -> None: ...
    @overload
    def __init__(self, event: ESLevent, /) -> None: ...
    def __init__(self, *args: Any) -> None:
        if len(args) == 1 and isinstance(args[0], ESLevent):
            self._move(args[0])
            return
        if len(args) not in (1, 2):
            raise NotImplementedError(_overloaded("ESLevent"))
        try:
            name, detail = _text(args[0]), _text(args[1]) if len(args) == 2 else None
        except TypeError as error:
            raise NotImplementedError(f"{_overloaded('ESLevent')}: {error}") from None
        kind = (name or "").upper()
        if kind == "JSON" and detail is not None:
            self._make_from_json(detail)
        elif detail != "" or not strict or _type_of(name) in ("CUSTOM", "CLONE"):
            self._make(name, detail)

    def _make(self, name: str | None, subclass: str | None) -> None:
        self._type = _type_of(name) or "MESSAGE"
        if subclass:
            self._type = "CUSTOM"
        self._list = headers = HeaderList()
        if self._type == "CLONE":
            self._type = "CUSTOM"
            return
        headers.add("Event-Name", self._type)
        if subclass:
            headers.add("Event-Subclass", subclass)

    def _make_from_json(self, text: str) -> None:
        read = _read_json(text)
        if read is None:
            return
        self._list, type_ = read
        self._type = type_ or "CUSTOM"

    def _move(self, source: ESLevent) -> None:
        with _LOCK:
            for name in ("_frame", "_outer", "_list", "_type", "_first_priority"):
                setattr(self, name, getattr(source, name))
            source._frame = source._list = source._index = source._first_priority = None
            source._type = "invalid"
            source._rewind([])

    @classmethod
    def _received(cls, frame: Message) -> ESLevent:
        """What the library hands out for a frame: the event in it, else the frame itself."""
        if (type(frame) is not _PlainEvent and type(frame) is not _JsonEvent) or frame.payload is None:
            return cls._of_frame(frame)
        event = cls.__new__(cls)
        event._frame = frame
        return event

    @classmethod
    def _of_frame(cls, frame: Message) -> ESLevent:
        """The frame itself."""
        event = cls.__new__(cls)
        event._frame = frame
        event._outer = True
        if isinstance(frame, (_PlainEvent, _JsonEvent)):
            event._headers()  # at once: the frame's own headers are not what is looked up in such a frame
        return event

    @classmethod
    def _refusal(cls, text: str) -> ESLevent:
        """A reply that no switch has sent."""
        event = cls.__new__(cls)
        event._type = "SOCKET_DATA"
        pairs = [("Event-Name", event._type), ("Content-Type", "command/reply"), ("Reply-Text", text)]
        event._list = HeaderList(pairs)
        return event

    # What was received becomes a list when it is changed, or cannot be answered from its bytes

    def _settle(self) -> list[str]:
        """Make the index of all headers, and the list if there must be one. The names, in order."""
        with _LOCK:
            frame = self._frame
            if frame is not None:
                found = _simple_frame(frame) if self._outer else _simple_headers(frame)
                if found is not None:
                    self._index, self._order = found
                    return self._order
            headers = self._headers() or HeaderList()
            self._order = [name for name, _ in headers]
            self._index = {name: self._text_of(headers, name) for name in dict.fromkeys(self._order)}
            return self._order

    def _headers(self) -> HeaderList | None:
        """The list, made of what was received if need be. None if the event is invalid."""
        if self._frame is None:
            return self._list
        with _LOCK:
            frame = self._frame
            if frame is not None:
                self._list, self._type = self._read(frame)
                self._frame = None
                self._index = None
            return self._list

    def _read(self, frame: Message) -> tuple[HeaderList, str]:
        """The list and the type: of the event in the frame, else of the frame itself."""
        if not self._outer and isinstance(frame, _PlainEvent):
            headers, type_ = _plain_event(frame)
            return headers, type_ or "CUSTOM"
        read = None if self._outer else _read_json(_str(frame.payload or b""))
        if read is not None:
            headers, type_ = read
            return _copied(headers, None), type_ or "CUSTOM"
        self._outer = True  # the library hands out what it cannot read as it came
        return _outer_list(frame), "SOCKET_DATA"

    def _changed(self) -> HeaderList | None:
        """The list, to be changed while `_LOCK` is held."""
        headers = self._headers()
        self._index = None
        return headers

    # Reading

    def _find(self, name: str | None, idx: int) -> str | None:
        """What `getHeader` cannot say at once."""
        name, idx = _text(name), _int(idx)
        if name is None:
            return None
        frame = self._frame
        if frame is not None and self._index is None:
            if idx < 0 and not self._outer and frame._lone(name) is None:
                return self.getBody() if name == "_body" else None
            self._settle()
            frame = self._frame
        if frame is not None:  # its headers mean what they say
            value = self._seen_in(frame, name)
            if value is None:
                return self.getBody() if name == "_body" else None
            if idx < 0:
                return value
            return _item(value[7:].split("|:"), idx) if _is_array(value) else None
        headers = self._list
        if headers is None:
            return None
        if idx >= 0:
            first = headers.first(name)
            if first is None:  # which leaves the body, whatever the index
                return headers.get(name)
            return _item(first, idx) if isinstance(first, list) else None
        return self._text_of(headers, name)

    def _seen_in(self, frame: Message, name: str) -> str | None:
        """The value of a header that means what it says."""
        index = self._index or {}
        if name in index:
            return index[name]
        if not self._outer:
            return frame.get(name)
        folded = _bytes(name).lower()
        return next((index[other] for other in self._order if _bytes(other).lower() == folded), None)

    def _text_of(self, headers: HeaderList, name: str) -> str | None:
        priority = self._first_priority
        if priority is not None and name.lower() == "priority":
            return priority
        return headers.get(name)

    def getBody(self) -> str | None:
        """The body as text, None if there is none."""
        frame = self._frame
        if isinstance(frame, _JsonEvent) and self._index is None:
            self._settle()  # whether it can be read
            frame = self._frame
        body = None if frame is None else frame.payload if self._outer else frame.body
        if frame is None or (body is None and ("_body" in frame or b"_body[" in frame.frame)):
            headers = self._headers()
            body = None if headers is None else headers.body
        return None if body is None else _str(body)

    def getType(self) -> str:
        """The name of the event's type: `SOCKET_DATA` for a frame that holds no event, `invalid` for no event at all.

        A later change of headers does not change it.
        """
        frame = self._frame
        if self._type is None and frame is not None:
            self._type = self._type_in(frame)
        return self._type or "invalid"

    def _type_in(self, frame: Message) -> str | None:
        if self._outer:
            return "SOCKET_DATA"
        name = frame._lone("Event-Name")
        if name is False:
            self._settle()
            name = frame.get("Event-Name")
            if name is not None and _is_array(name):
                self._headers()  # which knows whether that is the text or an array of JSON
            if self._frame is None:  # it has become a list
                return self._type
        return (_type_of(name) if isinstance(name, str) else None) or "CUSTOM"

    def firstHeader(self) -> str | None:
        """The name of the first header, None if there is none; `nextHeader` goes on from here."""
        return self._rewind(self._settle() if self._index is None else self._order)

    def serialize(self, format: str | None = None) -> str:
        """The event as text (docs/protocol/esl-module.md, A3.3, A3.4).

        Args:
            format: "json" in any case; "xml" in any case unless `ESL.strict`; anything else is the plain format, values
                percent-encoded. So is "xml" if a header's name cannot stand in XML.
        """
        wanted = (_text(format) or "").lower()
        shown = self._shown()
        if shown is None:
            return ""
        fields, _, body = shown
        if wanted == "json":
            return _json_of(fields, body)
        if wanted == "xml" and not strict:
            with suppress(InvalidCommand):
                return _str(render.xml(fields, body))
        return _str(self._plain(quote))

    def _plain(self, encode: Callable[[bytes], bytes] = bytes) -> bytes:
        shown = self._shown()
        if shown is None:
            return b""
        _, pairs, body = shown
        lines = [b"%b: %b\n" % (_bytes(name), encode(_bytes(value)) or b"_undef_") for name, value in pairs]
        if body:
            lines.append(b"Content-Length: %d\n" % len(body))
        return b"".join([*lines, b"\n", body or b""])

    def _in_command(self, line: str) -> bytes:
        """A command that sends the event."""
        if strict:
            return _bytes(line) + b"\n" + self._plain()
        shown = self._shown()
        return _with_event(line, [], b"") if shown is None else _with_event(line, shown[1], shown[2] or b"")

    def _shown(self) -> tuple[list[Field], list[tuple[str, str]], bytes | None] | None:
        """All headers, as they are and as text, and the body; None if the event is invalid."""
        with _LOCK:
            if self._frame is not None and self._index is None:
                self._settle()
            frame, headers = self._frame, self._list
            fields: list[Field]
            if frame is not None:
                fields = [*_frame_pairs(frame)] if self._outer else frame._fields()
                body = frame.payload if self._outer else frame.body
            elif headers is not None:
                fields, body = headers.fields(), headers.body
            else:
                return None
            pairs = [(name, joined(value)) for name, value in fields]
            if self._first_priority is not None:
                at = next(at for at, (name, _) in enumerate(pairs) if name.lower() == "priority")
                pairs[at] = (pairs[at][0], self._first_priority)
        return fields, pairs, body

    # Changing

    def addHeader(self, name: str | None, value: str | None, /) -> bool:
        """Add a header behind the others: `ARRAY::a|:b` and `name[i]` make arrays, "" deletes the name's.

        See docs/protocol/headers.md, P6.

        False if one of the two is None, or the event invalid.
        """
        return self._edit(HeaderList.add, name, value)

    def pushHeader(self, name: str | None, value: str | None, /) -> bool:
        """Add an item to a header, which becomes an array; False as for `addHeader`."""
        return self._edit(HeaderList.push, name, value)

    def unshiftHeader(self, name: str | None, value: str | None, /) -> bool:
        """Put an item before the others of a header; False as for `addHeader`. `ESL.strict`: behind them.

        A new header comes before all others.
        """
        return self._edit(_unshift_as_official if strict else HeaderList.unshift, name, value)

    def _edit(self, edit: Callable[[HeaderList, str, str], None], name: Any, value: Any) -> bool:
        header, text = _text(name), _text(value)
        with _LOCK:
            headers = self._changed()
            if headers is None or header is None or text is None:
                return False
            edit(headers, header, text)
            if edit is not HeaderList.add or not text or _is_array(text) or "[" in header:
                self._forget_priority(header)
        return True

    def _forget_priority(self, name: str) -> None:
        if name.partition("[")[0].lower() == "priority":
            self._first_priority = None

    def delHeader(self, name: str | None, /) -> bool:
        """Delete every header of a name. True even if there was none; False if the event is invalid."""
        header = _text(name)
        with _LOCK:
            headers = self._changed()
            if headers is None or header is None:
                return False
            headers.delete(header)
            self._forget_priority(header)
        return True

    def addBody(self, text: str | None, /) -> bool:
        """Add to the body; `ESL.strict`: replace it. None is the text `(null)`. False if the event is invalid."""
        value = _text(text)
        added = _bytes("(null)" if value is None else value)
        with _LOCK:
            headers = self._changed()
            if headers is None:
                return False
            headers.body = added if strict or headers.body is None else headers.body + added
        return True

    def setPriority(self, *priority: int) -> bool:
        """Set the header `priority` to NORMAL, or to 0 NORMAL, 1 LOW, 2 HIGH; False if the event is invalid.

        A new header comes before all others. `ESL.strict`: an argument is a TypeError, and of an array only the text
        is replaced.
        """
        if len(priority) > 1 or (priority and strict):
            raise TypeError("setPriority() takes no priority" if strict else "setPriority() takes one priority")
        text = _PRIORITIES.get(_int(priority[0]), "INVALID") if priority else "NORMAL"
        with _LOCK:
            headers = self._changed()
            if headers is None:
                return False
            before = headers.first("priority")
            if before is None:
                headers.unshift("priority", text)
            elif strict and isinstance(before, list) and before != [text]:
                self._first_priority = text
            else:
                headers.replace("priority", text if isinstance(before, str) else [text])
        return True

    def __repr__(self) -> str:
        return f"<ESL.ESLevent; {self._type or 'received'}>"


def _json_of(fields: list[Field], body: bytes | None) -> str:
    members = [
        f"\t{_json_string(name)}:\t"
        + (_json_string(value) if isinstance(value, str) else f"[{', '.join(map(_json_string, value))}]")
        for name, value in fields
    ]
    if body is not None:
        members += [f'\t"Content-Length":\t"{len(body)}"', f'\t"_body":\t{_json_string(_str(body))}']
    return "{\n" + ",\n".join(members) + ("\n}" if members else "}")


def _item(items: list[str], at: int) -> str | None:
    return items[at] if at < len(items) else None


def _unshift_as_official(headers: HeaderList, name: str, value: str) -> None:
    if name in headers or (_is_array(value) and "[" not in name):
        headers.push(name, value)
    else:
        headers.unshift(name, value)


def _overloaded(what: str) -> str:
    return f"Wrong number or type of arguments for overloaded function 'new_{what}'"


def _server_disconnected() -> ESLevent:
    return ESLevent("SERVER_DISCONNECTED")


# Connections


class _Turns:
    """A lock whose waiters come in turn, and that costs next to nothing while there are none.

    A thread that calls `recvEvent` in a loop would overtake the others for ever. Who has the turn is the mark that is
    in a dict, put there and taken away by operations that no other thread and no signal can divide: whoever is
    interrupted, at any point, gives up what has its mark with `abandon`.
    """

    def __init__(self) -> None:
        self._holder: dict[int, object] = {}
        self._mutex = threading.RLock()  # a signal handler may come here, too
        self._waiters: deque[tuple[object, threading.Lock]] = deque()

    def acquire(self, mark: object, blocking: bool = True) -> bool:
        if not self._waiters and self._holder.setdefault(0, mark) is mark:
            return True
        if not blocking:
            return False
        wake = threading.Lock()
        wake.acquire()
        with self._mutex:
            self._waiters.append((mark, wake))
            self._hand_over()
        wake.acquire()
        return True

    def release(self, mark: object) -> None:
        if self._holder.get(0) is mark:
            del self._holder[0]
        if self._waiters:
            self.abandon(mark)

    def abandon(self, mark: object) -> None:
        """Neither wait with this mark any more nor have the turn."""
        with self._mutex:
            for waiter in [waiter for waiter in self._waiters if waiter[0] is mark]:
                self._waiters.remove(waiter)
            if self._holder.get(0) is mark:
                del self._holder[0]
            self._hand_over()

    def holds(self, mark: object) -> bool:
        return self._holder.get(0) is mark

    def _hand_over(self) -> None:
        """Give the turn, if nobody has it, to who waits longest; with the mutex. Goes on where it was interrupted."""
        if self._waiters:
            mark, wake = self._waiters[0]
            if self._holder.setdefault(0, mark) is mark:
                with suppress(RuntimeError):  # it was woken already
                    wake.release()
                self._waiters.popleft()


class ESLconnection:
    """A connection to a switch: blocking, without time limits, as in the official module.

    See docs/protocol/esl-module.md, A2.

    `ESLconnection(host, port, password)` and `ESLconnection(host, port, user, password)` log in; `ESLconnection(fd)` is
    a call that came in on this socket. Whether that worked is what `connected()` says.

    One thread may wait in `recvEvent` while others `send`; whoever waits for a reply waits for `recvEvent` to return.
    `disconnect` ends every wait. Nothing is read while nobody waits, and nothing watches over that: a program that
    subscribes and then does not read is killed by the switch, which holds up all its other connections meanwhile.

    An exception that a signal handler, a timeout of gevent or another thread raises into a call costs that call only:
    its reply is dropped when it comes. Where it cannot be told what was sent or read, the connection ends.

    Raises:
        NotImplementedError: other arguments, as from the official module.

    Example:
        >>> from eslcodec.emulator import Emulator
        >>> with Emulator(password="ClueCon") as switch:
        ...     con = ESLconnection("127.0.0.1", str(switch.port), "ClueCon")
        ...     con.connected(), con.api("echo", "hi").getBody(), con.events("plain", "DTMF")
        ...     switch.fire("DTMF", {"DTMF-Digit": "#"})
        ...     con.recvEvent().getHeader("DTMF-Digit")
        ...     con.disconnect(), con.connected(), con.recvEvent().getType()
        (1, 'hi', 0)
        '#'
        (0, 0, 'SERVER_DISCONNECTED')
    """

    _had_socket = False

    @overload
    def __init__(self, host: str | None, port: str | int | None, password: str | None, /) -> None: ...
    @overload
    def __init__(self, host: str | None, port: str | int | None, user: str | None, password: str | None, /) -> None: ...
    @overload
    def __init__(self, socket: int, /) -> None: ...
    def __init__(self, *args: Any) -> None:
        self._socket: socket.socket | None = None
        self._connected = 0
        self._decoder = MessageDecoder(_KINDS, Message, max_body_bytes=MAX_BODY_BYTES)
        self._queue: deque[Message] = deque()  # what came while a reply was waited for
        self._queued = 0  # its bytes
        self._last: Message | None = None  # the frame that came last, replies to commands apart
        self._info: Message | None = None
        self._async = self._event_lock = 0
        self._asked = False  # whether a command was sent whose reply is still to come
        self._seen = 0  # meanwhile: `consumed` of the decoder, for the frames that were dealt with
        self._writing = False  # whether a command may have been sent in part
        self._renew_locks()
        _connections.add(self)
        if len(args) == 1 and isinstance(args[0], int):
            self._attach(args[0])
            return
        if len(args) not in (3, 4):
            raise NotImplementedError(_overloaded("ESLconnection"))
        try:
            host, *names = (_text(arg) for at, arg in enumerate(args) if at != 1)
            port = args[1] if isinstance(args[1], int) else _text(args[1])
        except TypeError as error:
            raise NotImplementedError(f"{_overloaded('ESLconnection')}: {error}") from None
        self._log_in(host, atoi(port) if isinstance(port, str) else port, *names)

    def _renew_locks(self) -> None:
        self._receiving = _Turns()
        self._sending = threading.RLock()

    def __del__(self) -> None:
        if self._had_socket:
            self.disconnect()

    def _log_in(self, host: str | None, port: int | None, *names: str | None) -> None:
        *users, password = names
        user = users[0] if users else None
        try:
            secret = "(null)" if password is None else _line("the password", password)
            login = _block(f"userauth {_line('the user', user)}:{secret}" if user else f"auth {secret}", end="")
        except InvalidCommand as error:
            _refused(error)
            return
        if self._connect(host, port):
            self._in_turn(self._greet, login)

    def _greet(self, login: bytes) -> None:
        asked = self._read()
        if asked is None or _type_read(asked).lower() != b"auth/request":
            self._fail("the server does not ask for a password")
        elif self._write(login):
            reply = self._read()
            if reply is None or (_outer_list(reply).get("Reply-Text") or "").lower() != "+ok accepted":
                self._fail("the server does not accept the login")
            self._last = reply

    def _connect(self, host: str | None, port: int | None) -> bool:
        if port is None:
            return False
        try:
            found = socket.getaddrinfo(host, port & 0xFFFF, type=socket.SOCK_STREAM)
            family, kind, protocol, _, address = found[0]
            self._use(socket.socket(family, kind, protocol))
            if self._socket is not None:
                self._socket.connect(address)
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except (OSError, UnicodeError) as error:
            self._fail(f"cannot connect to {host}:{port}: {error}")
            self._close_if_over()
            return False
        return True

    def _attach(self, fd: int) -> None:
        try:
            self._use(socket.socket(fileno=fd if strict else socket.dup(fd)))
        except (OSError, ValueError, OverflowError) as error:
            _log(_ERROR, f"{fd} is no socket: {error}")
            return
        self._info = self._in_turn(self._ask, "connect\n\n")

    def _use(self, sock: socket.socket) -> None:
        sock.settimeout(None)
        self._socket = sock
        self._had_socket = True
        self._connected = 1

    # State

    def socketDescriptor(self) -> int:
        """The number of the connection's socket, -1 if it is not connected."""
        sock = self._socket
        return sock.fileno() if sock is not None and self._connected else -1

    def connected(self) -> int:
        """1, or 0 once reading or writing failed, the switch said good-bye, or `disconnect` was called."""
        return self._connected

    def getInfo(self) -> ESLevent | None:
        """What the switch said about the call, each time a new event; None on an inbound connection or without one."""
        if self._info is None or not self._connected:
            return None
        return ESLevent._of_frame(self._info)

    def disconnect(self) -> int:
        """Close the connection; whoever waits on it returns. 0, or 1 if there never was a socket."""
        self._connected = 0
        sock = self._socket
        if sock is not None:
            _shut_down(sock)
            self._close_if_over()
        return 0 if self._had_socket else 1

    def _fail(self, why: str) -> None:
        if self._connected:
            _log(_ERROR, why)
        self._connected = 0

    def _close_if_over(self) -> None:
        """Close a socket that is not used any more. While one thread receives, it is the one that closes."""
        if self._connected or self._socket is None:
            return
        mark = object()
        try:
            if self._receiving.acquire(mark, blocking=False):
                with self._sending:
                    sock, self._socket = self._socket, None
                if sock is not None:
                    _shut_down(sock)
                    sock.close()
                self._receiving.release(mark)
        except BaseException:
            self._receiving.abandon(mark)
            raise

    def _in_turn(self, work: Callable[_P, _T], *args: _P.args, **options: _P.kwargs) -> _T:
        """Do what only one thread at a time may: receive."""
        mark, turns = object(), self._receiving
        try:
            turns.acquire(mark)
            result = work(*args, **options)
            turns.release(mark)
        except BaseException as error:
            self._interrupted(mark, turns, error)
            raise
        self._close_if_over()
        return result

    # Interruptions. Python raises them between any two steps, so what was done is read from what C code has counted.

    def _interrupted(self, mark: object, turns: _Turns, error: BaseException) -> None:
        """Give up the turn; if it was ours, end a connection that would not be understood any more."""
        if turns.holds(mark) and (self._has_lost_a_frame() or _was_in_decoder(error)):
            self._end("interrupted while it read")
        turns.abandon(mark)
        self._close_if_over()

    def _has_lost_a_frame(self) -> bool:
        """Whether a frame was taken from the decoder that may have been the reply to come."""
        return self._asked and self._decoder.consumed != self._seen

    def _end(self, why: str) -> None:
        """End the connection for whoever uses it. Closing is for later."""
        self._fail(why)
        sock = self._socket
        if sock is not None:
            _shut_down(sock)

    def _forget_socket(self) -> None:
        """In a child process: the connection is the parent's, and so is whoever held a lock."""
        sock, self._socket, self._connected = self._socket, None, 0
        self._renew_locks()
        if sock is not None:
            sock.close()

    # Bytes

    def _write(self, command: str | bytes, asks: bool = False) -> bool:
        """Send a command, and the blank line that it may lack. `asks`: its reply is awaited.

        See docs/protocol/esl-module.md, A2.3.
        """
        data = _bytes(command) if isinstance(command, str) else command
        if not data.endswith(b"\n\n"):
            data += b"\n\n"
        if _log_level >= _DEBUG:
            _log(_DEBUG, f"SEND {redacted(_str(data))}")
        with self._sending:
            sock = self._socket
            if self._writing:
                self._end("a command was sent in part")
            if sock is None or not self._connected:
                return False
            try:
                self._writing = True
                sock.sendall(data)
                if asks:
                    self._asked = True
                self._writing = False
            except BaseException as error:
                if self._writing:
                    self._end(f"cannot send: {error!r}")
                if not _is_of_socket(error):
                    raise
                return False
        return True

    def _receive(self) -> bool:
        """Wait for bytes. False if there will be none."""
        sock = self._socket
        if sock is None or not self._connected:
            return False
        before = self._fed()
        sizes: list[int] = []
        try:
            with self._decoder.get_buffer() as room:
                sizes.extend(map(sock.recv_into, (room,)))  # no signal comes between receiving and noting the size
            self._decoder.buffer_updated(sizes[0])
        except ProtocolError:
            raise
        except BaseException as error:
            if _is_of_socket(error):
                self._fail(f"cannot receive: {error}")
                return False
            self._keep(sum(sizes), before)
            raise
        return sizes[0] > 0

    def _fed(self) -> int:
        """The bytes that the decoder was given."""
        return self._decoder.consumed + self._decoder.buffered

    def _keep(self, size: int, before: int) -> None:
        """Give the decoder what was received when an exception came, unless it has it."""
        if size and self._fed() == before:
            with suppress(ValueError, ProtocolError):  # the decoder of Python, between two states
                self._decoder.buffer_updated(size)
        if self._fed() != before + size:
            self._end("interrupted while it received")

    def _read(self, ms: int | None = None) -> Message | None:
        """The next frame from the wire. None if the connection has ended, or nothing has begun within `ms`."""
        try:
            while (frame := self._decoder.next_message()) is None:
                if ms is not None and not self._begins(ms):
                    return None
                ms = None if ms else ms
                if not self._receive():
                    self._fail("the connection has ended")
                    return None
            if _log_level >= _DEBUG:
                _log(_DEBUG, f"RECV {_str(frame.frame)}")
            return _respelled(frame)
        except ProtocolError as error:
            self._fail(str(error))
            return None

    def _next_frame(self, frame: Message | None = None, ms: int | None = None) -> Message | None:
        """The next frame for `recvEvent`, this one if it was read already; None as for `_read`."""
        if not self._connected:
            return None
        if frame is None and self._queue:
            frame = self._queue.popleft()
            self._queued -= len(frame.frame)
        elif frame is None:
            frame = self._read_on(ms)
        else:
            frame = _respelled(frame)
        if frame is None:
            return None
        self._last = frame
        if type(frame) is _Notice and _ends_connection(frame):
            self._fail("the server has said good-bye")
            return None
        return frame

    def _read_on(self, ms: int | None) -> Message | None:
        """`_read`, but for the reply to a command that was interrupted."""
        if not self._asked:
            return self._read(ms)
        if self._has_lost_a_frame():
            self._end("interrupted while it read")
            return None
        frame = self._read(ms)
        if frame is not None and _is_reply(frame):
            self._asked = False
            return self._read(ms)
        self._seen = self._decoder.consumed
        return frame

    def _ask(self, command: str | bytes) -> Message | None:
        """Send a command and wait for its reply: the next one that comes. Other frames wait in the queue.

        See docs/protocol/esl-module.md, P7.3.
        """
        if self._asked and self._reply() is None:  # that of a command that was interrupted
            return None
        self._seen = self._decoder.consumed
        return self._reply() if self._write(command, asks=True) else None

    def _reply(self) -> Message | None:
        """The reply to what was asked."""
        if self._has_lost_a_frame():
            self._end("interrupted while it read")
            return None
        while (frame := self._read()) is not None and not _is_reply(frame):
            self._queue.append(frame)
            self._queued += len(frame.frame)
            self._seen = self._decoder.consumed
            if self._queued > MAX_QUEUED_BYTES or len(self._queue) > MAX_QUEUED_FRAMES:
                self._fail(f"{len(self._queue)} frames of {self._queued} bytes wait, and no reply has come")
                return None
        self._asked = False
        return frame

    def _command(self, command: str | bytes) -> ESLevent | None:
        if not self._connected:
            return None
        reply = self._in_turn(self._ask, command)
        return None if reply is None else ESLevent._of_frame(reply)

    def _built(self, build: Callable[_P, bytes], *args: _P.args, **options: _P.kwargs) -> tuple[ESLevent | None, bool]:
        """The reply to a command that is built now, and whether it was sent: what is refused has a reply of ours."""
        if not self._connected:
            return None, False
        try:
            command = build(*args, **options)
        except InvalidCommand as error:
            return _refused(error), False
        return self._command(command), True

    # Commands

    def send(self, cmd: str | None, /) -> int:
        """Send a command. Its reply is a frame of `recvEvent`, or taken for that of the next command. 0, or 1 if it
        failed."""
        command = _text(cmd)
        sent = command is not None and self._write(command)
        self._close_if_over()
        return 0 if sent else 1

    def sendRecv(self, cmd: str | None, /) -> ESLevent | None:
        """Send a command and return its reply, None if there is none to come."""
        command = _text(cmd)
        return None if command is None else self._command(command)

    def api(self, cmd: str | None, arg: str | None = None, /) -> ESLevent | None:
        """Run an API command; the switch does nothing else for us meanwhile. The result is the reply's body."""
        command, argument = _text(cmd), _text(arg)
        return None if command is None else self._built(_api, command, argument)[0]

    def bgapi(self, cmd: str | None, arg: str | None = None, job_uuid: str | None = None, /) -> ESLevent | None:
        """Run an API command in the background: the reply has a Job-UUID, as has the BACKGROUND_JOB with the result."""
        command, argument, job = _text(cmd), _text(arg), _text(job_uuid)
        return None if command is None else self._built(_bgapi, command, argument, job)[0]

    def sendEvent(self, event: ESLevent | None, /) -> ESLevent:
        """Fire an event in the switch. The reply; `ESL.strict`: the last frame received.

        An event SERVER_DISCONNECTED if there is none. Values are sent as they are: one with a line end in it is
        refused. The Content-Length is that of the body, whatever the event says.
        """
        if not _is_valid(event):
            return _server_disconnected()
        reply, sent = self._built(_firing, event)
        if reply is None or not sent or not strict:
            return reply or _server_disconnected()
        return _server_disconnected() if self._last is None else ESLevent._of_frame(self._last)

    def sendMSG(self, event: ESLevent | None, uuid: str | None = None, /) -> int:
        """Send a message to a channel, by default the connection's own: the event's headers. 0, or 1 if it failed.

        As in `sendEvent`, a value with a line end in it is refused.
        """
        channel = _text(uuid)
        return _status(*self._built(_message, event, channel)) if _is_valid(event) else 1

    def filter(self, header: str | None, value: str | None, /) -> ESLevent | None:
        """Have only events that match sent; the reply."""
        return self._built(_filter, _text(header), _text(value))[0]

    def events(self, etype: str | None, value: str | None, /) -> int:
        """Subscribe to events, named in `value`, in the format "plain", "json" or "xml". 0 if a reply came, else 1."""
        format, names = _text(etype), _text(value)
        return 1 if format is None else _status(*self._built(_subscription, format, names))

    def execute(self, app: str | None, arg: str | None = None, uuid: str | None = None, /) -> ESLevent | None:
        """Run an application on a channel, by default the connection's own; the reply.

        See docs/protocol/esl-module.md, A2.4.
        """
        return self._execute(app, arg, uuid, self._async)

    def executeAsync(self, app: str | None, arg: str | None = None, uuid: str | None = None, /) -> ESLevent | None:
        """`execute` with `async: true`: the switch does not wait for the application to end."""
        return self._execute(app, arg, uuid, 1)

    def _execute(self, app: Any, arg: Any, uuid: Any, is_async: int) -> ESLevent | None:
        flags = ["event-lock: true"] * bool(self._event_lock) + ["async: true"] * bool(is_async)
        return self._built(_execution, _text(app), _text(arg), _text(uuid), flags)[0]

    def setAsyncExecute(self, val: str | int | None, /) -> int:
        """Whether `execute` says `async: true`, from now on: a word (yes, true, on, ...) or a number; None: unchanged.

        The new state; `ESL.strict`: numbers as text only.
        """
        self._async = _flag(val, self._async)
        return self._async

    def setEventLock(self, val: str | int | None, /) -> int:
        """Whether `execute` says `event-lock: true`, from now on; see `setAsyncExecute`."""
        self._event_lock = _flag(val, self._event_lock)
        return self._event_lock

    # Events

    def recvEvent(self) -> ESLevent:
        """Wait for the next event, or frame of another kind. SERVER_DISCONNECTED if there is none to come."""
        frame = None
        mark, turns = object(), self._receiving
        try:
            if turns._waiters or turns._holder.setdefault(0, mark) is not mark:
                turns.acquire(mark)
            if self._connected and not self._queue and not self._asked and _log_level < _DEBUG:
                frame = self._decoder.next_message()
            if type(frame) is _PlainEvent or type(frame) is _JsonEvent:  # the way that most take
                self._last = frame
            else:
                frame = self._next_frame(frame)
            turns._holder.pop(0, None)
            if turns._waiters:
                turns.abandon(mark)
        except ProtocolError as error:
            frame = None
            self._fail(str(error))
            turns.abandon(mark)
        except BaseException as error:
            self._interrupted(mark, turns, error)
            raise
        if frame is None:
            self._close_if_over()
            return _server_disconnected()
        whole = frame.frame
        if (type(frame) is _PlainEvent or type(frame) is _JsonEvent) and 0 < whole.find(b"\n\n") < len(whole) - 2:
            event = ESLevent.__new__(
                ESLevent
            )  # as in `_received`: something is behind a blank line, so it has a payload
            event._frame = frame
            return event
        return ESLevent._received(frame)

    def recvEventTimed(self, ms: int, /) -> ESLevent | None:
        """Wait for the next event, or frame of another kind, to begin within so many milliseconds.

        None if none did, if the connection has ended, or while another thread receives. Negative: for ever; 0: what is
        there already, `ESL.strict`: for ever.
        """
        limit: int | None = _int(ms)
        if limit is not None and (limit < 0 or (limit == 0 and strict)):
            limit = None
        mark, turns = object(), self._receiving
        try:
            if not turns.acquire(mark, blocking=False):
                return None
            frame = self._next_frame(ms=limit)
            turns.release(mark)
        except BaseException as error:
            self._interrupted(mark, turns, error)
            raise
        if frame is None:
            self._close_if_over()
            return None
        return ESLevent._received(frame)

    def _begins(self, ms: int) -> bool:
        """Whether the next frame has its header block here, or more of it comes within so many milliseconds.

        With 0 milliseconds only the latter: what is whole is taken then, and nothing awaited.
        """
        if ms and self._decoder.buffered and self._has_header_block():
            return True
        sock = self._socket
        return sock is None or not self._connected or _is_readable(sock, ms)

    def _has_header_block(self) -> bool:
        """Whether that of the next frame is here. Asking the decoder copies what came of the frame."""
        try:
            self._decoder.feed_eof()
        except IncompleteFrame as error:
            return error.header_bytes is not None
        return False


_connections: Final[weakref.WeakSet[ESLconnection]] = weakref.WeakSet()


def _forget_connections() -> None:
    """In a child process: leave the parent its connections."""
    for connection in list(_connections):
        connection._forget_socket()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_connections)


def _shut_down(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def _is_of_socket(error: BaseException) -> bool:
    """Whether the system says so: a TimeoutError without a number is from somebody's signal handler."""
    return isinstance(error, OSError) and error.errno is not None


def _was_in_decoder(error: BaseException) -> bool:
    """Whether the decoder of Python was interrupted, and may be left between two states."""
    return any(frame.f_code.co_filename == _DECODER_FILE for frame, _ in walk_tb(error.__traceback__))


def _is_readable(sock: socket.socket, ms: int) -> bool:
    """Whether something can be received within so many milliseconds, the end included."""
    try:
        if not hasattr(select, "poll"):  # Windows; gevent
            return bool(select.select([sock], [], [], ms / 1000)[0])
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return bool(poll.poll(min(ms, 2**31 - 1)))
    except (OSError, ValueError):
        return True  # closed meanwhile: receiving will tell


def _is_valid(event: Any) -> TypeGuard[ESLevent]:
    """Whether there is an event to be sent."""
    if event is not None and not isinstance(event, ESLevent):
        raise TypeError(f"argument is {type(event).__name__}, expected ESLevent")
    return event is not None and (event._frame is not None or event._list is not None)


def _status(reply: ESLevent | None, sent: bool) -> int:
    return 0 if sent and reply is not None else 1


_USAGE: Final = """\
usage: python -m eslcodec.ESL script.py [args]
       python -m eslcodec.ESL -m module [args]
"""
_HELP: Final = f"""{_USAGE}
Runs a program that was written for FreeSWITCH's own Python module, as it is: `import ESL` finds eslcodec.ESL in it.
The script or module sees everything else as `python script.py` or `python -m module` would show it.
"""


def _main(argv: list[str]) -> None:
    """`python -m eslcodec.ESL script.py [args]`, or `-m module [args]`."""
    from . import _script, install_as_ESL

    first = argv[0] if argv else ""
    if first in ("-h", "--help"):
        print(_HELP, end="")
        return
    if first == "-m" and argv[1:]:
        install_as_ESL()
        _script.run_module(argv[1:])
        return
    if not first or first.startswith("-"):
        why = {"": "no script", "-m": "no module behind -m"}.get(first, f"no such option: {first}")
        print(f"{_USAGE}{why}", file=sys.stderr)
        raise SystemExit(2)
    install_as_ESL()
    _script.run(argv)


if __name__ == "__main__":
    _main(sys.argv[1:])
