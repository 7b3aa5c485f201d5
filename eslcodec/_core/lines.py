"""Header lines: where a line ends, its name and its value, and which of several headers with one name counts.

Bytes are counted and cut before anything is decoded. So a percent-encoded line end never makes a header.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final, TypeVar

from .text import decode_value, replaced, to_text

if TYPE_CHECKING:
    from typing_extensions import Buffer

# The method alone: to call one of a name that is imported, Python 3.11 makes a bound method each time.
find_blank_line: Final = re.compile(rb"\n(?:\n|\r\n)").search  # quicker than with `\r?`

_T = TypeVar("_T")


def cut_line(line: bytes) -> tuple[bytes, bytes] | None:
    """Name and raw value of a header line without its line end, None if it has no colon.

    See docs/protocol/reading.md, 1.
    """
    name, colon, value = line.partition(b": ")
    if colon:
        return name, value
    name, colon, value = line.partition(b":")
    return (name, value.lstrip(b" \t")) if colon else None


def _lines(block: bytes) -> Iterator[bytes]:
    """The lines of a header block up to its blank line, each without LF and one CR before it."""
    for line in block.split(b"\n"):
        line = line[:-1] if line.endswith(b"\r") else line
        if not line:
            return
        yield line


def raw_pairs(block: bytes, multiline: bool = False) -> Iterator[tuple[bytes, bytes]]:
    """Every (name, raw value) of a header block; see `parse_pairs` for `multiline`."""
    if not multiline:
        yield from filter(None, map(cut_line, _lines(block)))
        return
    last: tuple[bytes, bytes] | None = None
    for line in _lines(block):
        pair = cut_line(line)
        if pair is None:
            last = last and (last[0], last[1] + b"\n" + line)
            continue
        if last is not None:
            yield last
        last = pair
    if last is not None:
        yield last


def first_wins(pairs: Iterable[tuple[str, _T]]) -> dict[str, _T]:
    """Pairs as a dict: the first of a repeated spelling counts, of several Event-Name the last."""
    headers: dict[str, _T] = {}
    for name, value in pairs:
        if name not in headers or name == "Event-Name":
            headers[name] = value
    return headers


def _block_bytes(block: Buffer | str) -> bytes:
    return block.encode("utf-8", "surrogateescape") if isinstance(block, str) else bytes(memoryview(block))


def parse_pairs(block: Buffer | str, *, decode: bool = True, multiline: bool = False) -> list[tuple[str, str]]:
    """Read a header block into pairs, in wire order, repeats kept (docs/protocol/reading.md, 1 and 2).

    Args:
        block: the header lines, with or without the blank line that ends them; nothing after it is read.
        decode: percent-decode the values, as in event payloads. False for the plain text of other frames.
        multiline: join a line without a colon to the value before it, with a line feed; otherwise it is skipped. A line
            with a colon is a header in any case. So it fits dumps in which the further lines of a value have no colon.
            It does not fit SDP, which has colons: `a=rtpmap:0 PCMU/8000`.

    Returns:
        (name, value) for each header line; text is UTF-8 with surrogateescape.

    Example:
        >>> parse_pairs(b"A: 1%2B1\\nB:2\\nA: x\\n\\nnot: read")
        [('A', '1+1'), ('B', '2'), ('A', 'x')]
        >>> parse_pairs("Note: two\\nlines\\nNext: 1", multiline=True)
        [('Note', 'two\\nlines'), ('Next', '1')]
    """
    text = decode_value if decode else to_text
    return [(to_text(name), text(value)) for name, value in raw_pairs(_block_bytes(block), multiline)]


def parse_headers(block: Buffer | str, *, decode: bool = True, multiline: bool = False) -> dict[str, str]:
    """Read a header block into a dict, as `parse_pairs` does. Of a repeated name the first header counts, of Event-Name
    the last.

    Args:
        block: as for `parse_pairs`.
        decode: as for `parse_pairs`.
        multiline: as for `parse_pairs`.

    Returns:
        Names in order of first appearance.

    Example:
        >>> parse_headers("Content-Type: command/reply\\nReply-Text: +OK 100%25\\n\\n", decode=False)
        {'Content-Type': 'command/reply', 'Reply-Text': '+OK 100%25'}
    """
    return first_wins(parse_pairs(block, decode=decode, multiline=multiline))


def all_replaced(headers: dict[str, str]) -> dict[str, str]:
    """Names and values `replaced`; `headers` itself if all is UTF-8. Of names that become the same the first counts."""
    try:
        "".join([*headers, *headers.values()]).encode()  # the quickest way to know
    except UnicodeEncodeError:
        return first_wins((replaced(name), replaced(value)) for name, value in headers.items())
    return headers
