"""What is shown of messages, safe for a terminal."""

from __future__ import annotations

import json
from typing import Final, TextIO

import click

from .. import Message

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
        >>> from eslcodec import Event
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
