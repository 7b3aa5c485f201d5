"""How the switch cuts commands out of what a client writes (docs/protocol/commands.md, 1)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from .._ctext import atoi, to_text
from ..headers import HeaderList

MAX_COMMAND_BYTES: Final = 10_485_760
"""A command block of this size is taken as complete."""
MAX_BODY_BYTES: Final = 16 << 20
"""A larger body, or a negative length, ends the connection without a reply."""

_BLOCK_END: Final = re.compile(rb"\n\r*\n")


class BadLength(Exception):
    """A Content-Length that the switch does not take."""


@dataclass(frozen=True)
class Command:
    """A command as the switch has read it.

    Attributes:
        block: its text without the final blank line and without the body.
        headers: what stands after its first line, and the body.
        text: the block and the body.
    """

    block: str
    headers: HeaderList
    text: str

    @property
    def line(self) -> str:
        """Its first line as the switch cuts it: at the first CR, only without one at the first LF."""
        end = self.block.find("\r")
        return self.block.partition("\n")[0] if end < 0 else self.block[:end]


@dataclass(frozen=True)
class _Block:
    text: str
    headers: HeaderList
    end: int
    lengths: list[int]  # of bodies; of several the last counts, though all are read


class CommandReader:
    """Takes bytes, gives commands.

    Example:
        >>> reader = CommandReader()
        >>> reader.feed(b"sendevent CUSTOM\\nA: 1\\n\\nnoevents\\n")
        >>> command = reader.next()
        >>> command.line, command.headers.pairs(), reader.next(), reader.partial
        ('sendevent CUSTOM', [('A', '1')], None, True)
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._block: _Block | None = None

    @property
    def partial(self) -> bool:
        """Whether something has come that is not yet a command."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take bytes of the client."""
        self._buffer += data

    def next(self) -> Command | None:
        """The next command; None if it is not complete.

        Raises:
            BadLength: its body is too long, or has a length below 0.
        """
        if self._block is None:
            self._block = self._read_block()
        block = self._block
        if block is None:
            return None
        if any(not 0 <= length <= MAX_BODY_BYTES for length in block.lengths):
            raise BadLength
        end = block.end
        if len(self._buffer) < end + sum(block.lengths):
            return None
        body = None
        for length in block.lengths:
            body = bytes(self._buffer[end : end + length]).partition(b"\0")[0] if length else body
            end += length
        del self._buffer[:end]
        self._block, self._searched = None, 0
        if body is None:
            return Command(block.text, block.headers, block.text)
        headers = HeaderList(block.headers.fields(), body)
        return Command(block.text, headers, f"{block.text}\n\n{to_text(body)}")

    def _read_block(self) -> _Block | None:
        start = len(self._buffer) - len(self._buffer.lstrip(b"\r\n"))
        if start:
            del self._buffer[:start]
            self._searched = 0
        match = _BLOCK_END.search(self._buffer, self._searched, MAX_COMMAND_BYTES)
        if match is None and len(self._buffer) < MAX_COMMAND_BYTES:
            # A terminator may have begun in the line ends at the buffer's end.
            self._searched = len(self._buffer.rstrip(b"\r\n"))
            return None
        end = match.end() if match else MAX_COMMAND_BYTES
        text = to_text(bytes(self._buffer[: match.start() if match else end]))
        headers = _headers(text)
        lengths = [atoi(value) for name, value in headers.pairs() if name.lower() == "content-length"]
        return _Block(text, headers, end, lengths)


def _headers(text: str) -> HeaderList:
    """The headers after a command's first line (docs/protocol/commands.md, 1.3 and 1.5)."""
    headers = HeaderList()
    at = 0
    first = True
    while at < len(text):
        end = text.find("\r", at)  # the switch looks for the next CR, however far it is
        if end < 0:
            end = text.find("\n", at)
        line, rest = (text[at:], "") if end < 0 else (text[at:end], text[end:])
        name, colon, value = line.partition(":")
        if not first and colon and "\n" not in name:
            headers.add(name, value.lstrip(" "))
        first = False
        at = len(text) - len(rest.lstrip("\r\n"))
    return headers
