"""What is shown of messages, safe for a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final, TextIO

import click

from .. import ApiResponse, CommandReply, DisconnectNotice, Event, LogLine, Message, RudeRejection

_PRINTABLE: Final = bytes(range(0x20, 0x7F))
_SHORT: Final = 120  # characters of a text that a line of the listing shows


def is_terminal(stream: TextIO | None) -> bool:
    """Whether somebody watches."""
    return stream is not None and stream.isatty()


def escape(text: str) -> str:
    """Text of unknown origin, safe to show: on one line, without anything that a terminal obeys.

    Whatever is not printable is written as a Python escape: control characters (C0, DEL, C1), line and paragraph
    separators, format characters such as bidi overrides, surrogates, unassigned ones. So is the backslash, which keeps
    the result unambiguous.

    Args:
        text: anything.

    Returns:
        Printable text; `text` itself if it was that. Square brackets stay, so give it to rich as `Text` or without
        markup.

    Example:
        >>> print(escape("[red]a\\x1b[2J\\x9b\\nb\\u202e"))
        [red]a\\x1b[2J\\x9b\\nb\\u202e
    """
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(
        char if char.isprintable() and char != "\\" else char.encode("unicode_escape").decode() for char in text
    )


def escape_lines(text: str) -> str:
    """Text of several lines, safe to show: `escape`, except its line ends and tabs; the last line is ended too.

    Example:
        >>> escape_lines("a\\tb\\n\\x1b[2J")
        'a\\tb\\n\\\\x1b[2J\\n'
    """
    lines = text.removesuffix("\n").split("\n") if text else ()
    return "".join("\t".join(map(escape, line.split("\t"))) + "\n" for line in lines)


def write_bytes(out: TextIO, data: bytes, watched: bool) -> None:
    """Bytes of unknown origin: as they are, and what a terminal would obey escaped if one is watching."""
    if watched:
        out.write(escape_lines(data.decode("utf-8", "surrogateescape")))
    else:
        out.buffer.write(data)


def note(text: str) -> None:
    """Something about the command itself, on standard error."""
    click.echo(f"eslcodec: {escape(text)}", err=True)


def json_line(message: Message) -> bytes:
    """`to_json`, in which everything that is not printable is escaped: it may well end on a terminal.

    Example:
        >>> json_line(Event.build("DTMF", {"Name": "\\u202eZo\\xeb\\x9b"}))
        b'{"Event-Name":"DTMF","Name":"\\\\u202eZo\\xc3\\xab\\\\u009b"}'
    """
    line = message.to_json()
    if line.translate(None, _PRINTABLE).decode().isprintable():  # a tenth of the time of asking for each character
        return line
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in line.decode()).encode()


def shortened(text: str) -> str:
    """The beginning of a text, escaped."""
    return escape(text) if len(text) <= _SHORT else f"{escape(text[:_SHORT])}... ({len(text)} characters)"


def listing(label: str, message: Message, full: bool) -> Iterator[str]:
    """The lines that show a message.

    Args:
        label: what stands in front of it.
        message: the message.
        full: with all headers and the body.
    """
    yield f"{label}  {type(message).__name__:<16}  {'  '.join(_summary(message))}".rstrip()
    if not full:
        return
    for name, value in message.pairs():
        yield f"         {escape(name)}: {escape(value)}"
    body = message.body if message.malformed is None else message.raw
    if body is not None:
        for line in body.decode("utf-8", "surrogateescape").removesuffix("\n").split("\n"):
            yield f"         | {escape(line)}"


def _summary(message: Message) -> Iterator[str]:
    """What a line of the listing says of a message, escaped."""
    if message.malformed is not None:
        yield f"{escape(message.content_type or '')}, {len(message.raw)} bytes, malformed: {message.malformed}"
        return
    match message:
        case Event():
            name, subclass, uuid, job, channel = message.select(
                "Event-Name", "Event-Subclass", "Unique-ID", "Job-UUID", "Channel-Name"
            )
            sequence = message._last("Event-Sequence")
            yield f"{shortened(name or '(no name)'):<24}"
            yield from (shortened(part) for part in (sequence and f"#{sequence}", subclass, uuid, job, channel) if part)
            if message.body is not None:
                yield f"body: {len(message.body)} bytes"
        case CommandReply():
            yield shortened(message.text)
            if "Event-Name" in message:
                yield f"{len(message)} headers"
        case LogLine():
            yield f"{getattr(message.level, 'name', message.level)}: {shortened(message.text.rstrip())}"
        case DisconnectNotice():
            yield "linger" if message.linger else "final"
            yield from (shortened(part) for part in (message.controlled_uuid, message.channel_name) if part)
        case ApiResponse() | RudeRejection():
            yield f"{len(message.body or b'')} bytes: {shortened(message.text.rstrip())}"
        case _:
            yield f"{shortened(message.content_type or '(no Content-Type)')}, {len(message.body or b'')} bytes"
