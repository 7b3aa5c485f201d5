"""Writes what `_codec` reads: event payloads in the three formats, and whole frames as a switch sends them.

Frames are in docs/protocol/frames.md, payloads in docs/protocol/payloads.md.

Payloads are lossless where their format allows it: values are percent-encoded with every `%`
(docs/protocol/encoding.md, P5.2), empty ones stay empty. The switch itself leaves `%41` alone and writes
`_undef_`; `quote_server` and `server=True` do as it does.
"""

from __future__ import annotations

import json as _stdlib_json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final
from xml.parsers import expat

from ._codec import quote
from ._json import BODY_NAMES, Field, joined
from .errors import InvalidCommand

FAREWELL: Final = b"Disconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n"
NO_REPLY: Final = b"-ERR no reply\n"
REJECTION: Final = b"Access Denied, go away.\n"

_ENCODED: Final = re.compile(rb"%(?![0-9A-F]{2})|[^A-Za-z0-9!$'()*,\-./_~%]")
_XML_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_XML_SPECIAL: Final = re.compile(r"[&<>\r\x80-\U0010ffff]")
_XML_ILLEGAL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_XML_NAMED: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def _bytes(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise InvalidCommand(f"{text!r:.80} has a surrogate that stands for no byte") from None


def quote_server(data: bytes) -> bytes:
    """Percent-encode as the switch does: `%` before two upper-case hexadecimal digits is left alone.

    See docs/protocol/encoding.md, P5.1.

    So what was encoded once is not encoded again, and `100%41` cannot be told from `100A`. To write what must be read
    back, use `eslcodec.quote`.

    Example:
        >>> quote_server(b"100%41 100%4a")
        b'100%41%20100%254a'
    """
    return _ENCODED.sub(lambda match: b"%%%02X" % match[0][0], data)


def own_fields(fields: Iterable[Field], body: bytes | None) -> list[Field]:
    """Fields without the last Content-Length if it is the body's, which every writer adds by itself.

    Example:
        >>> own_fields([("A", "1"), ("Content-Length", "2")], b"hi")
        [('A', '1')]
    """
    own = list(fields)
    if body is not None and own and own[-1] == ("Content-Length", str(len(body))):
        own.pop()
    return own


def plain(fields: Iterable[Field], body: bytes | None = None, *, server: bool = False) -> bytes:
    """A `text/event-plain` payload (docs/protocol/payloads.md, P4.1).

    Args:
        fields: (name, text or list) of each header, in order.
        body: what follows the blank line; an empty one cannot be told from none.
        server: encode as the switch does, with its losses.

    Raises:
        InvalidCommand: a name with a line feed or `": "` in it, or an array item with `|:`: it would be read as
            something else.

    Example:
        >>> plain([("Event-Name", "DTMF"), ("A", "100 %"), ("B", ["1", "2"])], b"hi")
        b'Event-Name: DTMF\\nA: 100%20%25\\nB: ARRAY%3A%3A1%7C%3A2\\nContent-Length: 2\\n\\nhi'
    """
    encode = quote_server if server else quote
    lines = [_plain_line(name, value, encode, server) for name, value in own_fields(fields, body)]
    if body:
        lines.append(b"Content-Length: %d\n" % len(body))
    return b"".join([*lines, b"\n", body or b""])


def _plain_line(name: str, value: str | list[str], encode: Callable[[bytes], bytes], server: bool) -> bytes:
    if "\n" in name or ": " in name:
        raise InvalidCommand(f"header name {name!r:.80} cannot be written in the plain format")
    if not isinstance(value, str) and len(value) > 1 and any("|:" in item for item in value):
        raise InvalidCommand(f"an item of {name!r:.80} has '|:' in it, which separates items in the plain format")
    return b"%b: %b\n" % (_bytes(name), encode(_bytes(joined(value))) or (b"_undef_" if server else b""))


def json(fields: Iterable[Field], body: bytes | None = None) -> bytes:
    """A `text/event-json` payload, compact, with repeats, bytes that are not UTF-8 as they are.

    See docs/protocol/payloads.md, P4.2.

    Args:
        fields: (name, text or list) of each header, in order.
        body: written as `_body`, an empty one too.

    Raises:
        InvalidCommand: a header named `_body`, in any case: it would be read as the body.

    Example:
        >>> json([("Event-Name", "DTMF"), ("B", ["1", "2"])], b"hi")
        b'{"Event-Name":"DTMF","B":["1","2"],"Content-Length":"2","_body":"hi"}'
    """
    members: list[Field] = own_fields(fields, body)
    for name in [name for name, _ in members if name in BODY_NAMES]:
        raise InvalidCommand(f"header name {name!r} cannot be written in JSON, where it is the body's")
    if body is not None:
        members += [("Content-Length", str(len(body))), ("_body", body.decode("utf-8", "surrogateescape"))]
    dump = _stdlib_json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
    headers = dict(members)
    if len(headers) == len(members):
        return _bytes(dump(headers))
    return _bytes("{" + ",".join([f"{dump(name)}:{dump(value)}" for name, value in members]) + "}")


def xml(fields: Iterable[Field], body: bytes | None = None) -> bytes:
    """A `text/event-xml` payload (docs/protocol/payloads.md, P4.3).

    Args:
        fields: (name, text or list) of each header, in order. Neighbours of one name will be read as an array.
        body: its bytes that are not UTF-8 are left out, as the switch does; an empty one is not written.

    Raises:
        InvalidCommand: a name that is no XML name, or a control character that XML cannot carry.

    Example:
        >>> print(xml([("Event-Name", "DTMF"), ("B", ["1", "2"])]).decode(), end="")
        <event>
          <headers>
            <Event-Name>DTMF</Event-Name>
            <B>1</B>
            <B>2</B>
          </headers>
        </event>
    """
    lines = ["<event>\n  <headers>\n"]
    for name, value in own_fields(fields, body):
        if not _is_xml_name(name):
            raise InvalidCommand(f"header name {name!r:.80} cannot be written in XML")
        for item in [value] if isinstance(value, str) else value:
            lines.append(f"    <{name}>{quote(_bytes(item)).decode()}</{name}>\n")
    lines.append("  </headers>\n")
    if body:
        lines.append(_xml_body(body))
    lines.append("</event>\n")
    return "".join(lines).encode()


def _xml_body(body: bytes) -> str:
    text = body.decode("utf-8", "ignore")
    illegal = _XML_ILLEGAL.search(text)
    if illegal is not None:
        raise InvalidCommand(f"the body has {illegal[0]!r} in it, which XML cannot carry")
    return xml_body(text, len(text.encode()))


def xml_body(text: str, length: int) -> str:
    """The elements of a body as the switch writes them, with the length that it tells.

    Example:
        >>> xml_body("a < b", 5)
        '  <Content-Length>5</Content-Length>\\n  <body>a &lt; b</body>\\n'
    """
    escaped = _XML_SPECIAL.sub(lambda match: _XML_NAMED.get(match[0]) or f"&#x{ord(match[0]):X};", text)
    indent = "  " if text.endswith("\n") else ""  # as the switch's writer; readers cut it off again
    return f"  <Content-Length>{length}</Content-Length>\n  <body>{escaped}{indent}</body>\n"


def _is_xml_name(name: str) -> bool:
    if _XML_NAME.fullmatch(name):
        return True
    names: list[str] = []
    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler = lambda found, _attributes: names.append(found)
    try:
        parser.Parse(f"<{name}/>".encode(), True)
    except (expat.ExpatError, UnicodeEncodeError):
        return False
    return names == [name]


PAYLOADS: Final[Mapping[str, Callable[[Iterable[Field], bytes | None], bytes]]] = {
    "plain": plain,
    "json": json,
    "xml": xml,
}


# Whole frames


def frame(headers: Iterable[tuple[str, str]], body: bytes | None = None) -> bytes:
    """A frame from its own headers, in order and not encoded, and its body.

    Raises:
        InvalidCommand: CR or LF in a header, or a name that is empty or has `": "` in it.

    Example:
        >>> frame([("Content-Type", "api/response"), ("Content-Length", "3")], b"UP\\n")
        b'Content-Type: api/response\\nContent-Length: 3\\n\\nUP\\n'
    """
    lines = []
    for name, value in headers:
        if not name or ": " in name:
            raise InvalidCommand(f"frame header name {name!r:.80} would be read as something else")
        if any(end in part for end in "\r\n" for part in (name, value)):
            raise InvalidCommand(f"frame header {name!r:.80} has a line end in it")
        lines.append(b"%b: %b\n" % (_bytes(name), _bytes(value)))
    return b"".join([*lines, b"\n", body or b""])


def event_frame(payload: bytes, format: str) -> bytes:
    """An event (docs/protocol/frames.md, P3.8) from its payload in "plain", "json" or "xml".

    Example:
        >>> event_frame(b"{}", "json")
        b'Content-Length: 2\\nContent-Type: text/event-json\\n\\n{}'
    """
    if format in PAYLOADS:
        return b"Content-Length: %d\nContent-Type: text/event-%b\n\n%b" % (len(payload), format.encode(), payload)
    return frame([("Content-Length", str(len(payload))), ("Content-Type", f"text/event-{format}")], payload)


def auth_request() -> bytes:
    """What a switch says first on an inbound connection (docs/protocol/frames.md, P3.1).

    Example:
        >>> auth_request()
        b'Content-Type: auth/request\\n\\n'
    """
    return frame([("Content-Type", "auth/request")])


def command_reply(text: str, extra: Iterable[tuple[str, str]] = ()) -> bytes:
    """A reply to a command (docs/protocol/frames.md, P3.2): its text, and headers after it such as Job-UUID.

    Example:
        >>> command_reply("+OK Job-UUID: 4a1c", [("Job-UUID", "4a1c")])
        b'Content-Type: command/reply\\nReply-Text: +OK Job-UUID: 4a1c\\nJob-UUID: 4a1c\\n\\n'
    """
    return frame([("Content-Type", "command/reply"), ("Reply-Text", text), *extra])


def connect_reply(fields: Iterable[Field], *, mode: str = "async", control: str = "full") -> bytes:
    """The reply to an outbound `connect`: the channel's data as the frame's own header block.

    See docs/protocol/frames.md, P3.4.

    Args:
        fields: (name, text or list) of each header, `Event-Name` first.
        mode: `Socket-Mode`, "async" or "static".
        control: `Control`, "full" or "single-channel".

    Example:
        >>> connect_reply([("Event-Name", "CHANNEL_DATA")]).splitlines()[:3]
        [b'Event-Name: CHANNEL_DATA', b'Content-Type: command/reply', b'Reply-Text: %2BOK%0A']
    """
    last = [("Content-Type", "command/reply"), ("Reply-Text", "+OK\n"), ("Socket-Mode", mode), ("Control", control)]
    return plain([*fields, *last], server=True)


def api_response(output: bytes) -> bytes:
    """The output of an API command (docs/protocol/frames.md, P3.3); `-ERR no reply` if there is none.

    Example:
        >>> api_response(b"")
        b'Content-Type: api/response\\nContent-Length: 14\\n\\n-ERR no reply\\n'
    """
    output = output or NO_REPLY
    return frame([("Content-Type", "api/response"), ("Content-Length", str(len(output)))], output)


def log_data(
    text: bytes, *, level: int, file: str, function: str, line: int, uuid: str = "", channel: int = 0
) -> bytes:
    """A line of the log (docs/protocol/frames.md, P3.5).

    Example:
        >>> log_data(b"hi\\n", level=7, file="mod.c", function="f", line=1).splitlines()[2:5]
        [b'Log-Level: 7', b'Text-Channel: 0', b'Log-File: mod.c']
    """
    headers = [
        ("Content-Type", "log/data"),
        ("Content-Length", str(len(text))),
        ("Log-Level", str(level)),
        ("Text-Channel", str(channel)),
        ("Log-File", file),
        ("Log-Func", function),
        ("Log-Line", str(line)),
        ("User-Data", uuid),
    ]
    return frame(headers, text)


def disconnect_notice(text: bytes = FAREWELL, *, uuid: str | None = None) -> bytes:
    """The end of a connection (docs/protocol/frames.md, P3.6); `uuid` of the channel if it controlled one.

    Example:
        >>> disconnect_notice(b"bye\\n")
        b'Content-Type: text/disconnect-notice\\nContent-Length: 4\\n\\nbye\\n'
    """
    session = [("Controlled-Session-UUID", uuid), ("Content-Disposition", "disconnect")] if uuid is not None else []
    return frame([("Content-Type", "text/disconnect-notice"), *session, ("Content-Length", str(len(text)))], text)


def linger_notice(uuid: str, channel_name: str, seconds: int) -> bytes:
    """The channel is gone, the connection stays for `seconds`, -1 for ever (docs/protocol/frames.md, P3.6).

    Example:
        >>> linger_notice("8f08a03a", "sofia/internal/1000", 5).splitlines()[2:5]
        [b'Content-Disposition: linger', b'Channel-Name: sofia/internal/1000', b'Linger-Time: 5']
    """
    headers = [
        ("Content-Type", "text/disconnect-notice"),
        ("Controlled-Session-UUID", uuid),
        ("Content-Disposition", "linger"),
        ("Channel-Name", channel_name),
        ("Linger-Time", str(seconds)),
        ("Content-Length", "0"),
    ]
    return frame(headers)


def rude_rejection() -> bytes:
    """What an address gets that the switch's ACL refuses (docs/protocol/frames.md, P3.7).

    Example:
        >>> rude_rejection()
        b'Content-Type: text/rude-rejection\\nContent-Length: 24\\n\\nAccess Denied, go away.\\n'
    """
    return frame([("Content-Type", "text/rude-rejection"), ("Content-Length", str(len(REJECTION)))], REJECTION)
