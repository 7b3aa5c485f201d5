"""A command block that somebody else wrote, as the switch reads it: is it one command, and for which channel?

    >>> one_command("api status")
    b'api status\\n\\n'
    >>> target(b"sendmsg 8f08a03a\\ncall-command: hangup\\n\\n")
    '8f08a03a'

Commands that are built here (commands.py) need none of this.
"""

from __future__ import annotations

from ._ctext import described
from .commands import _encoded as encoded
from .errors import InvalidCommand


def one_command(command: bytes | str) -> bytes:
    """A block as the switch reads it (docs/protocol/commands.md, 1), checked to be a single command.

    Raises:
        InvalidCommand: the switch would read none, or more than one.
    """
    block = encoded(command) if isinstance(command, str) else bytes(command)
    head, _, body = block.lstrip(b"\n").partition(b"\n\n")
    head = head.rstrip(b"\n")
    if not head or b"\r" in head or b"\0" in head:
        raise InvalidCommand(f"a command is {described(block)}, expected text without CR and NUL")
    length = 0
    for line in head.split(b"\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            digits = value.strip(b" ")
            length = int(digits) if digits.isdigit() and len(digits) < 10 else -1
    rest = body[max(length, 0) :].strip(b"\n")  # line ends before the next command mean nothing
    if rest or len(body) < length or length < 0:
        raise InvalidCommand(f"{len(body)} bytes follow the blank line of {described(block)}, expected {length}")
    return head + b"\n\n" + body[:length]


def target(block: bytes) -> str | None:
    """The channel that a `sendmsg` names, on its first line or as session-id; None is the connection's own."""
    first, *lines = block.partition(b"\n\n")[0].split(b"\n")
    named = first[len(b"sendmsg") :].strip(b" ")
    for name, _, value in (line.partition(b":") for line in lines):
        if not named and name.lower() == b"session-id":
            named = value.strip(b" ")
    return named.decode("utf-8", "surrogateescape") or None
