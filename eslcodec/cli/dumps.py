"""Files that are no stream, as people have them: recognised by their content, and those with events in them read.

Scripts print the text of events without the frames around it, fs_cli prints them decoded between log lines, and tcpdump
writes packets.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from .. import quote

_HEAD_BYTES: Final = 64 << 10
_PCAP: Final = (b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\xc3\xd4", b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d", b"\x0a\x0d\x0d\x0a")
_COLOURS: Final = re.compile(rb"\x1b\[[0-9;]*[A-Za-z]")
_FRAMED: Final = re.compile(
    rb"^Content-Type:[ ]*(text/(event-|disconnect|rude)|auth/request|command/reply|api/response|log/data)",
    re.MULTILINE | re.IGNORECASE,
)
_EVENT: Final = re.compile(rb"^Event-Name: ", re.MULTILINE)
_LOG_LINE: Final = re.compile(
    rb"^(?:[0-9a-f-]{36} )?\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}\s.*?"
    rb"\[(?:CONSOLE|ALERT|CRIT|ERR|WARNING|NOTICE|INFO|DEBUG)\]",
    re.MULTILINE,
)
_HEADER: Final = re.compile(rb"([A-Za-z_][\w.\[\]-]*): ?(.*)", re.DOTALL)
_RECEIVED: Final = b"RECV EVENT"
_MARK: Final = b"\xef\xbb\xbf"  # of UTF-8, which editors put in front
_PACKETS: Final = "packets (pcap), expected a stream: `tcpflow -r FILE port 8021` writes one for each direction"
_READ: Final = "eslcodec decode --unframed reads them, and with --to plain writes a stream of them"


def is_packets(data: bytes) -> bool:
    """Whether a file that begins so is one of tcpdump."""
    return data.startswith(_PCAP)


def why_no_stream(data: bytes) -> str | None:
    """What a file is instead of a stream, and what to do with it; None if it may be a stream.

    Args:
        data: how it begins.

    Example:
        >>> print(why_no_stream(b"\\xd4\\xc3\\xb2\\xa1..."))
        packets (pcap), expected a stream: `tcpflow -r FILE port 8021` writes one for each direction
        >>> why_no_stream(b"Content-Type: auth/request\\n\\n") is None
        True
    """
    if is_packets(data):
        return _PACKETS
    head = _COLOURS.sub(b"", data[:_HEAD_BYTES].removeprefix(_MARK)).replace(b"\r\n", b"\n")
    if _FRAMED.search(head):
        return None
    if _EVENT.search(head):
        return f"events without the headers of frames, expected a stream: {_READ}"
    begun = head.lstrip()
    if begun.startswith((b"{", b"[")) and b'"Event-Name"' in begun:
        return f"events in JSON without frames, expected a stream: {_READ}"
    if begun.startswith((b"<event>", b"<?xml")) and b"<event>" in begun:
        return f"events in XML without frames, expected a stream: {_READ}"
    if _LOG_LINE.search(head):
        return "log lines without frames, expected a stream: there are no events in them, `eslcodec record` keeps both"
    return None


class Unframed(NamedTuple):
    """What is in such a file.

    Attributes:
        frames: a frame for each event.
        skipped: how many lines are no part of an event.
    """

    frames: list[bytes]
    skipped: int


def unframed(data: bytes) -> Unframed:
    """The events in a file without frames: as plain text, encoded or as fs_cli prints it, as JSON or as XML.

    Example:
        >>> unframed(b"Event-Name: DTMF\\nDTMF-Digit: %23\\n\\nEvent-Name: HEARTBEAT\\n\\n").frames[1]
        b'Content-Length: 23\\nContent-Type: text/event-plain\\n\\nEvent-Name: HEARTBEAT\\n\\n'
    """
    data = data.removeprefix(_MARK)
    begun = data.lstrip()
    if begun.startswith((b"{", b"[")):
        return _of_json(data)
    if begun.startswith(b"<"):
        return Unframed([_frame(event, b"xml") for event in _elements(data)], 0)
    reader = _Plain(io.BytesIO(data))
    return Unframed(list(reader), reader.skipped)


def _elements(data: bytes) -> Iterator[bytes]:
    """The events in XML."""
    at = 0
    while (start := data.find(b"<event>", at)) >= 0 and (end := data.find(b"</event>", start)) >= 0:
        at = end + len(b"</event>")
        yield data[start:at]


def _frame(payload: bytes, form: bytes) -> bytes:
    return b"Content-Length: %d\nContent-Type: text/event-%s\n\n%s" % (len(payload), form, payload)


def _of_json(data: bytes) -> Unframed:
    text, decoder = data.decode("utf-8", "surrogateescape"), json.JSONDecoder()
    frames: list[bytes] = []
    at, skipped = 0, 0
    while (brace := text.find("{", at)) >= 0:
        try:
            found, at = decoder.raw_decode(text, brace)
        except (ValueError, RecursionError):
            at, skipped = brace + 1, skipped + 1
            continue
        if "Event-Name" in found:
            frames.append(_frame(text[brace:at].encode("utf-8", "surrogateescape"), b"json"))
    return Unframed(frames, skipped)


class _Plain:
    """The events in lines of text.

    Args:
        file: the lines.

    Attributes:
        skipped: how many were no part of an event so far.
    """

    def __init__(self, file: io.BytesIO) -> None:
        self.skipped = 0
        self._file = file

    def __iter__(self) -> Iterator[bytes]:
        while line := self._file.readline():
            line = _clean(line)
            if line.startswith(b"Event-Name: "):
                yield self._event(line)
            elif line.strip() and line != _RECEIVED:
                self.skipped += 1

    def _event(self, first: bytes) -> bytes:
        """The event that begins with this line."""
        lines = [first, *self._lines()]
        if any(line.startswith(b"Event-Date-Local: ") and b" " in line[18:] for line in lines):
            lines = list(_encoded([*lines, *self._more()]))
        length = next((line[16:] for line in reversed(lines) if line.startswith(b"Content-Length: ")), b"")
        body = self._file.read(int(length)) if re.fullmatch(rb"[0-9]{1,8}", length) else b""
        return _frame(b"\n".join(lines) + b"\n\n" + body, b"plain")

    def _lines(self) -> Iterator[bytes]:
        """Up to an empty one."""
        while line := _clean(self._file.readline()):
            yield line

    def _more(self) -> Iterator[bytes]:
        """What follows an empty line and still belongs to the event: a value may have ended with a line end."""
        while True:
            at = self._file.tell()
            line = _clean(self._file.readline())
            self._file.seek(at)
            if not _HEADER.fullmatch(line) or line.startswith(b"Event-Name: "):
                return
            yield from self._lines()


def _clean(line: bytes) -> bytes:
    """Without its end and colours."""
    line = line.rstrip(b"\r\n")
    return _COLOURS.sub(b"", line) if b"\x1b" in line else line


def _encoded(lines: list[bytes]) -> Iterator[bytes]:
    """Headers as the switch sends them, of decoded ones, whose values may have several lines."""
    pairs: list[tuple[bytes, bytes]] = []
    for line in lines:
        header = _HEADER.fullmatch(line)
        if header is not None:
            pairs.append((header[1], header[2]))
        else:
            name, value = pairs[-1]
            pairs[-1] = name, value + b"\n" + line
    for name, value in pairs:
        yield name + b": " + quote(value)
