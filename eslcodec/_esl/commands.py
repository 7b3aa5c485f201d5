"""Commands as bytes, as the official module writes them.

By default no text becomes another header or command: what would is refused with InvalidCommand.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from .._ctext import to_bytes
from ..commands import _command as command_block
from ..errors import InvalidCommand
from . import settings

_RELOADS: Final = frozenset(
    f"{through}{verb} mod_event_socket".encode()
    for through in ("api ", "api bgapi ", "bgapi ")
    for verb in ("reload", "unload")
)
"""The switch replaces every block that has these words in it (docs/protocol/commands.md, 1.11). These mean that."""

_BREAKERS: Final = re.compile("[\n\r\0]")


def check_line(what: str, text: str) -> str:
    """Text that stays on its line. Line ends after it are removed: they would end the command too early."""
    if settings.strict:
        return text
    line = text.rstrip("\r\n")
    if _BREAKERS.search(line):
        raise InvalidCommand(f"{what} has a line end in it, which would begin another header")
    return line


def _check_named(what: str, text: str | None) -> str:
    """Text that must be there. The official library prints NULL as C does."""
    if text is not None:
        return check_line(what, text)
    if not settings.strict:
        raise InvalidCommand(f"{what} is None")
    return "(null)"


def block(line: str, headers: Iterable[str] = (), body: bytes = b"", end: str = "\n\n") -> bytes:
    """A command, refused if the switch would cut it, close the connection, or read another one.

    With `ESL.strict` it is sent as it is, and ends with `end`.
    """
    if settings.strict:
        return to_bytes("\n".join([line, *headers]) + end)
    if to_bytes(line).rstrip(b" ").lower() in _RELOADS:
        return to_bytes(line)
    return command_block(line, headers, body)


def api(command: str, argument: str | None) -> bytes:
    """An API command. Without an argument the blank before it stays, as the official module sends it."""
    return block(f"api {check_line('the command', command)} {check_line('the argument', argument or '')}", end="")


def bgapi(command: str, argument: str | None, job: str | None) -> bytes:
    tail = "" if argument is None else f" {check_line('the argument', argument)}"
    headers = [] if job is None else [f"Job-UUID: {check_line('the Job-UUID', job)}"]
    return block(f"bgapi {check_line('the command', command)}{tail}", headers, end="")


def filter_(header: str | None, value: str | None) -> bytes:
    return block(f"filter {_check_named('the header', header)} {_check_named('the value', value)}")


def subscription(format: str, names: str | None) -> bytes:
    known = format if format in ("json", "xml") else "plain"
    return block(f"event {known} {_check_named('the value', names)}")


def message_line(uuid: str | None) -> str:
    return "sendmsg" if uuid is None else f"sendmsg {check_line('the uuid', uuid)}"


def execution(app: str | None, arg: str | None, uuid: str | None, flags: Iterable[str]) -> bytes:
    headers = ["call-command: execute"]
    if app is not None:
        headers.append(f"execute-app-name: {check_line('the application', app)}")
    if arg is not None:
        headers.append(f"execute-app-arg: {check_line('the argument', arg)}")
    return block(message_line(uuid), [*headers, *flags])


def with_event(line: str, pairs: list[tuple[str, str]], body: bytes) -> bytes:
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
    return block(line, headers, body)
