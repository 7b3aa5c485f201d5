"""`ESLevent`, received or made here (docs/protocol/esl-module.md, A3)."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeGuard, overload

from .. import render
from .._codec import HeaderReader, Message, lone, quote
from .._ctext import to_bytes, to_text, unquoted
from .._json import Field, joined
from ..errors import InvalidCommand
from ..headers import HeaderList
from . import settings
from .arguments import as_int, as_text, wrong_arguments
from .commands import with_event
from .frames import (
    JsonEvent,
    PlainEvent,
    copy_list,
    index_event,
    index_frame,
    is_array,
    read_outer,
    read_pairs,
    read_plain,
    type_of,
)
from .json_text import read_json, write_json
from .settings import ERROR, log

_PRIORITIES: Final = {0: "NORMAL", 1: "LOW", 2: "HIGH"}
_LOG: Final = logging.getLogger("eslcodec.esl")

_LOCK = threading.RLock()
"""Held while an event is changed, since threads may share events. Looking up a header hardly ever needs it."""


def _renew_lock() -> None:
    """In a child process: the thread that held it at the fork does not exist there."""
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
            raise NotImplementedError(wrong_arguments("ESLevent"))
        try:
            name, detail = as_text(args[0]), as_text(args[1]) if len(args) == 2 else None
        except TypeError as error:
            raise NotImplementedError(f"{wrong_arguments('ESLevent')}: {error}") from None
        kind = (name or "").upper()
        if kind == "JSON" and detail is not None:
            self._make_from_json(detail)
        elif detail != "" or not settings.strict or type_of(name) in ("CUSTOM", "CLONE"):
            self._make(name, detail)

    def _make(self, name: str | None, subclass: str | None) -> None:
        self._type = type_of(name) or "MESSAGE"
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
        read = read_json(text)
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
        if (type(frame) is not PlainEvent and type(frame) is not JsonEvent) or frame.payload is None:
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
        if isinstance(frame, (PlainEvent, JsonEvent)):
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

    def _make_index(self) -> list[str]:
        """Make the index of all headers, and the list if there must be one. The names, in order."""
        with _LOCK:
            frame = self._frame
            if frame is not None:
                found = index_frame(frame) if self._outer else index_event(frame)
                if found is not None:
                    self._index, self._order = found
                    return self._order
            headers = self._headers() or HeaderList()
            self._order = [name for name, _ in headers]
            self._index = {name: self._get_text(headers, name) for name in dict.fromkeys(self._order)}
            return self._order

    def _headers(self) -> HeaderList | None:
        """The list, made of what was received if need be. None if the event is invalid."""
        if self._frame is None:
            return self._list
        with _LOCK:
            frame = self._frame
            if frame is not None:
                self._list, self._type = self._read_list(frame)
                self._frame = None
                self._index = None
            return self._list

    def _read_list(self, frame: Message) -> tuple[HeaderList, str]:
        """The list and the type: of the event in the frame, else of the frame itself."""
        if not self._outer and isinstance(frame, PlainEvent):
            headers, type_ = read_plain(frame)
            return headers, type_ or "CUSTOM"
        read = None if self._outer else read_json(to_text(frame.payload or b""))
        if read is not None:
            headers, type_ = read
            return copy_list(headers, None), type_ or "CUSTOM"
        self._outer = True  # the library hands out what it cannot read as it came
        return read_outer(frame), "SOCKET_DATA"

    def _changed(self) -> HeaderList | None:
        """The list, to be changed while `_LOCK` is held."""
        headers = self._headers()
        self._index = None
        return headers

    # Reading

    def _find(self, name: str | None, idx: int) -> str | None:
        """What `getHeader` cannot say at once."""
        name, idx = as_text(name), as_int(idx)
        if name is None:
            return None
        frame = self._frame
        if frame is not None and self._index is None:
            if idx < 0 and not self._outer and lone(frame, name) is None:
                return self.getBody() if name == "_body" else None
            self._make_index()
            frame = self._frame
        if frame is not None:  # its headers mean what they say
            value = self._look_up(frame, name)
            if value is None:
                return self.getBody() if name == "_body" else None
            if idx < 0:
                return value
            return _item(value[7:].split("|:"), idx) if is_array(value) else None
        headers = self._list
        if headers is None:
            return None
        if idx >= 0:
            first = headers.first(name)
            if first is None:  # which leaves the body, whatever the index
                return headers.get(name)
            return _item(first, idx) if isinstance(first, list) else None
        return self._get_text(headers, name)

    def _look_up(self, frame: Message, name: str) -> str | None:
        """The value of a header that means what it says."""
        index = self._index or {}
        if name in index:
            return index[name]
        if not self._outer:
            return frame.get(name)
        folded = to_bytes(name).lower()
        return next((index[other] for other in self._order if to_bytes(other).lower() == folded), None)

    def _get_text(self, headers: HeaderList, name: str) -> str | None:
        priority = self._first_priority
        if priority is not None and name.lower() == "priority":
            return priority
        return headers.get(name)

    def getBody(self) -> str | None:
        """The body as text, None if there is none."""
        frame = self._frame
        if isinstance(frame, JsonEvent) and self._index is None:
            self._make_index()  # whether it can be read
            frame = self._frame
        body = None if frame is None else frame.payload if self._outer else frame.body
        if frame is None or (body is None and ("_body" in frame or b"_body[" in frame.frame)):
            headers = self._headers()
            body = None if headers is None else headers.body
        return None if body is None else to_text(body)

    def getType(self) -> str:
        """The name of the event's type: `SOCKET_DATA` for a frame that holds no event, `invalid` for no event at all.

        A later change of headers does not change it.
        """
        frame = self._frame
        if self._type is None and frame is not None:
            self._type = self._read_type(frame)
        return self._type or "invalid"

    def _read_type(self, frame: Message) -> str | None:
        if self._outer:
            return "SOCKET_DATA"
        name = lone(frame, "Event-Name")
        if name is False:
            self._make_index()
            name = frame.get("Event-Name")
            if name is not None and is_array(name):
                self._headers()  # which knows whether that is the text or an array of JSON
            if self._frame is None:  # it has become a list
                return self._type
        return (type_of(name) if isinstance(name, str) else None) or "CUSTOM"

    def firstHeader(self) -> str | None:
        """The name of the first header, None if there is none; `nextHeader` goes on from here."""
        return self._rewind(self._make_index() if self._index is None else self._order)

    def serialize(self, format: str | None = None) -> str:
        """The event as text (docs/protocol/esl-module.md, A3.3, A3.4).

        Args:
            format: "json" in any case; "xml" in any case unless `ESL.strict`; anything else is the plain format, values
                percent-encoded. So is "xml" if a header's name cannot stand in XML.
        """
        wanted = (as_text(format) or "").lower()
        shown = self._read_all()
        if shown is None:
            return ""
        fields, _, body = shown
        if wanted == "json":
            return write_json(fields, body)
        if wanted == "xml" and not settings.strict:
            with suppress(InvalidCommand):
                return to_text(render.xml(fields, body))
        return to_text(self._write_plain(quote))

    def _write_plain(self, encode: Callable[[bytes], bytes] = bytes) -> bytes:
        shown = self._read_all()
        if shown is None:
            return b""
        _, pairs, body = shown
        lines = [  # as `to_bytes` does it: two calls less for each header
            b"%b: %b\n"
            % (
                name.encode("utf-8", "surrogateescape"),
                encode(value.encode("utf-8", "surrogateescape")) or b"_undef_",
            )
            for name, value in pairs
        ]
        if body:
            lines.append(b"Content-Length: %d\n" % len(body))
        return b"".join([*lines, b"\n", body or b""])

    def _to_command(self, line: str) -> bytes:
        """A command that sends the event."""
        if settings.strict:
            return to_bytes(line) + b"\n" + self._write_plain()
        shown = self._read_all()
        return with_event(line, [], b"") if shown is None else with_event(line, shown[1], shown[2] or b"")

    def _read_all(self) -> tuple[list[Field], list[tuple[str, str]], bytes | None] | None:
        """All headers, as they are and as text, and the body; None if the event is invalid."""
        with _LOCK:
            if self._frame is not None and self._index is None:
                self._make_index()
            frame, headers = self._frame, self._list
            fields: list[Field]
            if frame is not None:
                fields = [*read_pairs(frame)] if self._outer else frame._fields()
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
        """Add a header after the others: `ARRAY::a|:b` and `name[i]` make arrays, "" deletes the name's.

        See docs/protocol/headers.md, P6.

        False if one of the two is None, or the event invalid.
        """
        return self._edit(HeaderList.add, name, value)

    def pushHeader(self, name: str | None, value: str | None, /) -> bool:
        """Add an item to a header, which becomes an array; False as for `addHeader`."""
        return self._edit(HeaderList.push, name, value)

    def unshiftHeader(self, name: str | None, value: str | None, /) -> bool:
        """Put an item before the others of a header; False as for `addHeader`. `ESL.strict`: after them.

        A new header comes before all others.
        """
        return self._edit(_unshift_as_official if settings.strict else HeaderList.unshift, name, value)

    def _edit(self, edit: Callable[[HeaderList, str, str], None], name: Any, value: Any) -> bool:
        header, text = as_text(name), as_text(value)
        with _LOCK:
            headers = self._changed()
            if headers is None or header is None or text is None:
                return False
            edit(headers, header, text)
            if edit is not HeaderList.add or not text or is_array(text) or "[" in header:
                self._forget_priority(header)
        return True

    def _forget_priority(self, name: str) -> None:
        if name.partition("[")[0].lower() == "priority":
            self._first_priority = None

    def delHeader(self, name: str | None, /) -> bool:
        """Delete every header of a name. True even if there was none; False if the event is invalid."""
        header = as_text(name)
        with _LOCK:
            headers = self._changed()
            if headers is None or header is None:
                return False
            headers.delete(header)
            self._forget_priority(header)
        return True

    def addBody(self, text: str | None, /) -> bool:
        """Add to the body; `ESL.strict`: replace it. None is the text `(null)`. False if the event is invalid."""
        value = as_text(text)
        added = to_bytes("(null)" if value is None else value)
        with _LOCK:
            headers = self._changed()
            if headers is None:
                return False
            headers.body = added if settings.strict or headers.body is None else headers.body + added
        return True

    def setPriority(self, *priority: int) -> bool:
        """Set the header `priority` to NORMAL, or to 0 NORMAL, 1 LOW, 2 HIGH; False if the event is invalid.

        A new header comes before all others. `ESL.strict`: an argument is a TypeError, and of an array only the text
        is replaced.
        """
        if len(priority) > 1 or (priority and settings.strict):
            raise TypeError(
                "setPriority() takes no priority" if settings.strict else "setPriority() takes one priority"
            )
        text = _PRIORITIES.get(as_int(priority[0]), "INVALID") if priority else "NORMAL"
        with _LOCK:
            headers = self._changed()
            if headers is None:
                return False
            before = headers.first("priority")
            if before is None:
                headers.unshift("priority", text)
            elif settings.strict and isinstance(before, list) and before != [text]:
                self._first_priority = text
            else:
                headers.replace("priority", text if isinstance(before, str) else [text])
        return True

    def __repr__(self) -> str:
        return f"<ESL.ESLevent; {self._type or 'received'}>"


def _item(items: list[str], at: int) -> str | None:
    return items[at] if at < len(items) else None


def _unshift_as_official(headers: HeaderList, name: str, value: str) -> None:
    if name in headers or (is_array(value) and "[" not in name):
        headers.push(name, value)
    else:
        headers.unshift(name, value)


def make_disconnected() -> ESLevent:
    return ESLevent("SERVER_DISCONNECTED")


def refuse(error: InvalidCommand) -> ESLevent:
    """What stands for the reply to a command that was not sent."""
    text = f"not sent: {error}"
    _LOG.warning("ESL: %s", unquoted(text))
    _LOG.debug("ESL: %s", text)
    log(ERROR, text)
    return ESLevent._refusal(f"-ERR {text}")


def is_valid(event: Any) -> TypeGuard[ESLevent]:
    """Whether there is an event to be sent."""
    if event is not None and not isinstance(event, ESLevent):
        raise TypeError(f"argument is {type(event).__name__}, expected ESLevent")
    return event is not None and (event._frame is not None or event._list is not None)
