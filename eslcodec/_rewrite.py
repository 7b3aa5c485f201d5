"""A message again, with other values: each format is changed in place, and what is not concerned keeps its bytes.

`ingest.redact` and the emulator's replay say what becomes of a value; here it is found and written back, in the
format that the message has, with lengths that are right. Arrays are changed item by item unless a rule wants the whole
text. What a reader of the format would skip (a line without a colon, text after a JSON object, comments in XML) is
given to the rules too, or left out: nothing is kept that no rule has seen.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar

from . import render
from ._codec import Message, quote
from ._codec_py import FORMAT_NAMES, JSON, PAYLOAD_FORMATS, PLAIN, split_array
from ._core.json_in import read_payload
from ._core.lines import cut_line
from ._core.text import decode_value, to_text
from ._ctext import to_bytes
from ._json import MEMBER, SURROGATE, Field, joined, members
from .errors import InvalidCommand

_MOST_NAMES: Final = 4096
"""Names whose rules are remembered: a thousand is what a busy switch has; a hostile one makes them up."""
_LONGEST_NAME: Final = 256
_STRUCTURE: Final = (b"content-type", b"content-length")
_XML_LINE: Final = re.compile(rb"    <([^<>&\s/!?]+)>([^<&]*)</\1>")
_XML_HEAD: Final = b"<event>\n  <headers>\n"
_XML_FOOT: Final = b"  </headers>\n</event>\n"
_EMPTY: Final = b"Redacted: \n\n"  # what stands for a frame that has lost all of its lines

M = TypeVar("M", bound=Message)
BodyRule = Callable[[bytes], "bytes | None"]


class Rule(NamedTuple):
    """What becomes of a value.

    Attributes:
        change: the new text of a text, None if the header is to go.
        whole: an array is given as its joined text, not item by item.
    """

    change: Callable[[str], str | None]
    whole: bool = False

    def __call__(self, value: str | list[str]) -> str | list[str] | None:
        """The new value of a header; None if it is to go."""
        if isinstance(value, str):
            return self.change(value)
        if self.whole:
            text = joined(value)
            new = self.change(text)
            return value if new == text else None if new is None else split_array(new)
        items = [self.change(item) for item in value]
        kept = [item for item in items if item is not None]
        return kept if len(kept) == len(items) else None


class Rules(dict[bytes, "Rule | None"]):
    """The rule of each name, asked for once; None where the value stays.

    Args:
        choose: the rule of a name. `""` stands for a line that has no name.

    Example:
        >>> rules = Rules(lambda name: Rule(str.upper) if name == "A" else None)
        >>> rules[b"B"] is None, rules[b"A"].change("x")
        (True, 'X')
    """

    def __init__(self, choose: Callable[[str], Rule | None]) -> None:
        super().__init__()
        self._choose = choose

    def __missing__(self, name: bytes) -> Rule | None:
        rule = self._choose(to_text(name))
        if len(name) <= _LONGEST_NAME:
            if len(self) >= _MOST_NAMES:
                self.clear()
            self[name] = rule
        return rule


def rewrite(message: M, rules: Rules, body: BodyRule | None = None) -> M:
    """A message of the same kind with other values; if none changes, the message itself or one that is read alike.

    Content-Type and Content-Length of the frame are no values: the one stays, the other follows the body. An event
    that cannot be read (`malformed`) loses its payload, since its headers cannot be told.

    Args:
        message: any kind.
        rules: what becomes of the value of each header.
        body: what becomes of the body; None leaves it.

    Example:
        >>> from eslcodec import Event
        >>> event = Event.build("DTMF", {"DTMF-Digit": "5", "Codecs": ["a", "b"]})
        >>> changed = rewrite(event, Rules(lambda name: Rule(str.upper) if name == "Codecs" else None))
        >>> changed["Codecs"], changed["DTMF-Digit"], changed.envelope["Content-Length"]
        ('ARRAY::A|:B', '5', '60')
    """
    payload = message.payload
    frame = message.frame
    block = frame if payload is None else frame[: len(frame) - len(payload)]
    format = PAYLOAD_FORMATS.get((message.content_type or "").lower().encode("utf-8", "surrogateescape"))
    if format is None or payload is None:
        data = payload if body is None or payload is None else body(payload) or b""
    elif format == PLAIN:
        data = _plain(message.raw, message.body, rules, body)
    else:
        data = _json_payload(payload, rules, body) if format == JSON else _xml_payload(payload, rules, body)
        if data is None:
            data = _rendered(format, payload, rules, body)
    head = _block(block, rules, encoded=frame.startswith(b"Event-Name:"), structure=True)
    if data == payload and head == block:
        return message
    if data is not None and data != payload:
        head = with_length(head, len(data))
    head = head.lstrip(b"\r\n")  # which decoders skip
    return type(message)(head if head.endswith((b"\n\n", b"\n\r\n")) else _EMPTY, data)


def rewrite_block(block: bytes, rules: Rules) -> bytes:
    """Lines that somebody wrote as text, such as a command's headers, with other values.

    Example:
        >>> rewrite_block(b"execute-app-name: set\\nexecute-app-arg: a=b\\n", Rules(lambda name: Rule(str.upper)))
        b'execute-app-name: SET\\nexecute-app-arg: A=B\\n'
    """
    return _block(block, rules, structure=True)


# Lines: plain payloads, and the frames themselves


def _block(block: bytes, rules: Rules, *, encoded: bool = False, structure: bool = False) -> bytes:
    """Header lines with other values.

    Args:
        block: the lines, with their line ends.
        rules: what becomes of the values.
        encoded: they are percent-encoded.
        structure: Content-Type and Content-Length stay.
    """
    lines = block.split(b"\n")
    kept: list[bytes | None] | None = None
    for at, line in enumerate(lines):
        name, colon, raw = line.partition(b": ")
        if not colon:
            name, raw = _odd_line(line, rules, structure)
        rule = rules[name]
        if rule is None or not line or (structure and name.lower() in _STRUCTURE):
            continue
        end = b"\r" if raw.endswith(b"\r") else b""
        raw = raw[:-1] if end else raw
        value = decode_value(raw) if encoded else to_text(raw)
        new = _changed(rule, value)
        if new == value:
            continue
        if kept is None:
            kept = [*lines]
        kept[at] = None if new is None else _line(name, new, encoded) + end
    return block if kept is None else b"\n".join([line for line in kept if line is not None])


def _odd_line(line: bytes, rules: Rules, structure: bool) -> tuple[bytes, bytes]:
    """Name and value of a line that no switch writes; no name if the whole is what a rule would change."""
    name, raw = cut_line(line) or (b"", line)
    rule = rules[b""]
    if rule is None or not name or (structure and name.lower() in _STRUCTURE):
        return name, raw
    text = decode_value(line)
    return (name, raw) if rule.change(text) == text else (b"", line)


def _changed(rule: Rule, value: str) -> str | None:
    if rule.whole or not value.startswith("ARRAY::"):
        return rule.change(value)
    items = split_array(value)
    new = rule(items)
    return value if new == items else None if new is None else joined(new)


def _line(name: bytes, value: str, encoded: bool) -> bytes:
    data = to_bytes(value)
    written = quote(data) if encoded else data.replace(b"\n", b" ").replace(b"\r", b" ")
    return b"%b: %b" % (name, written) if name else written


def with_length(block: bytes, length: int) -> bytes:
    """A header block with the length of another body.

    Example:
        >>> with_length(b"sendmsg\\nContent-Length: 7\\n\\n", 3)
        b'sendmsg\\nContent-Length: 3\\n\\n'
    """
    lines = block.split(b"\n")
    for at, line in enumerate(lines):
        name, colon, _ = line.partition(b":")
        if colon and name.lower() == b"content-length":
            lines[at] = b"%b: %d" % (name, length) + (b"\r" if line.endswith(b"\r") else b"")
    return b"\n".join(lines)


def _plain(head: bytes, data: bytes | None, rules: Rules, body: BodyRule | None) -> bytes:
    head = _block(head, rules, encoded=True)
    if data is None or body is None:
        return head + (data or b"")
    new = body(data)
    if new == data:
        return head + data
    lines = []
    for line in head.split(b"\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length" and value.strip() == b"%d" % len(data):
            if not new:
                continue
            line = b"%b: %d" % (name, len(new))
        lines.append(line)
    return b"\n".join(lines) + (new or b"")


# JSON and XML


def _json_payload(payload: bytes, rules: Rules, body: BodyRule | None) -> bytes | None:
    """A JSON payload with other values, if it is what a switch writes and has no body to be changed; else None."""
    if SURROGATE.search(payload) or payload[:1] != b"{":
        return None
    kept = []
    changed = False
    at = 0
    while (member := MEMBER.match(payload, at)) is not None:
        at = member.end()
        name = member[1]
        rule = rules[name]
        if name.lower() == b"_body":
            if body is not None:
                return None
        elif rule is not None:
            try:
                value = _read_json(member[2])
            except ValueError:
                return None
            new = _changed(rule, value) if isinstance(value, str) else rule(value)
            if new != value:
                changed = True
                if new is not None:
                    kept.append(b'"%b":%b' % (name, _write_json(new)))
                continue
        kept.append(payload[member.start() + 1 : at])
    if payload[at:].strip(b" \t\r\n") != b"}":  # another object, or more than one
        return None
    return b"{%b}" % b",".join(kept) if changed else payload


def _read_json(raw: bytes) -> str | list[str]:
    value: str | list[str] = json.loads(to_text(raw), strict=False)
    return value


def _write_json(value: str | list[str]) -> bytes:
    return to_bytes(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _xml_payload(payload: bytes, rules: Rules, body: BodyRule | None) -> bytes | None:
    """An XML payload with other values, if it is what a switch writes, has no body and wants no whole arrays."""
    if not payload.startswith(_XML_HEAD) or not payload.endswith(_XML_FOOT):
        return None
    lines = payload[len(_XML_HEAD) : len(payload) - len(_XML_FOOT)].split(b"\n")
    kept = []
    for line in lines[:-1]:
        match = _XML_LINE.fullmatch(line)
        if match is None:
            return None
        rule = rules[match[1]]
        if rule is not None:
            if rule.whole:
                return None
            value = decode_value(match[2])
            new = rule.change(value)
            if new is None:
                continue
            if new != value:
                line = b"    <%b>%b</%b>" % (match[1], quote(to_bytes(new)), match[1])
        kept.append(line + b"\n")
    return None if lines[-1] else b"".join([_XML_HEAD, *kept, _XML_FOOT])


def _rendered(format: int, payload: bytes, rules: Rules, body: BodyRule | None) -> bytes:
    """Any JSON or XML payload with other values, written anew; empty if it cannot be read."""
    fields, data, fault = read_payload(format, payload, members(payload) if format == JSON else None)
    if fault is not None:
        return b""
    kept: list[Field] = []
    for name, value in fields:
        rule = rules[to_bytes(name)]
        new = value if rule is None else _changed(rule, value) if isinstance(value, str) else rule(value)
        if new is not None:
            kept.append((name, new))
    if data is not None and body is not None:
        new_data = body(data)
        if new_data != data:
            length = str(len(data))
            kept = [field for field in kept if field[0].lower() != "content-length" or field[1] != length]
            data = new_data
    try:
        return render.PAYLOADS[FORMAT_NAMES[format]](kept, data)
    except InvalidCommand:  # it was read, but is nothing that can be written
        return b""
