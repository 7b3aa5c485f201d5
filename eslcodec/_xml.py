"""Reads XML event payloads (docs/protocol/payloads.md, P4.3), through expat with document types and entities refused.

    <event>
      <headers>  one element a header, its text percent-encoded; adjacent elements of one name are an array  </headers>
      <Content-Length>5</Content-Length>
      <body>text, not percent-encoded</body>
    </event>

The writer indents, so a body that ends in a line feed has two blanks after it: it is cut to its length. Header names
with blanks, or a body with `<!` in it, come out of the switch malformed; nothing is guessed then.
"""

from __future__ import annotations

from typing import Final, NoReturn
from xml.parsers import expat

from ._json import Fault, Field

_HEAD: Final = frozenset(["Event-Name", "Core-UUID", "Event-Date-Timestamp", "Event-Sequence"])


def read(payload: bytes) -> tuple[list[Field], bytes | None]:
    """The headers of a payload, percent-encoded values as they stand, repeated neighbours as a list, and its body.

    Content-Length, which stands beside the headers, is the last of them.

    Raises:
        Fault: not well-formed, no event, or with a document type.
    """
    return _Reader().read(payload)


class _Reader:
    def __init__(self) -> None:
        self.path: list[str] = []
        self.text: list[str] = []
        self.headers: list[tuple[str, list[str]]] = []
        self.length: str | None = None
        self.body: str | None = None
        parser = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.StartElementHandler = self.start
        parser.EndElementHandler = self.end
        parser.CharacterDataHandler = self.text.append
        parser.StartDoctypeDeclHandler = self.refuse
        self.parser = parser

    def read(self, payload: bytes) -> tuple[list[Field], bytes | None]:
        try:
            self.parser.Parse(payload, True)
        except expat.ExpatError as error:
            offset = max(self.parser.ErrorByteIndex, 0)
            raise Fault(min(offset, len(payload)), expat.ErrorString(error.code)) from None
        fields: list[Field] = [(name, items[0] if len(items) == 1 else items) for name, items in self.headers]
        if self.length is not None:
            fields.append(("Content-Length", self.length))
        return fields, None if self.body is None else self.cut_body()

    def cut_body(self) -> bytes:
        body = (self.body or "").encode("utf-8")
        length = self.length or ""
        return body[: int(length)] if length.isascii() and length.isdigit() and len(length) < 19 else body

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        if not self.path and name != "event":
            shown = repr(name[:60])[1:-1]  # a name may have characters that are not printable
            raise Fault(self.parser.CurrentByteIndex, f"read <{shown}>, expected <event>")
        self.path.append(name)
        self.text.clear()

    def end(self, name: str) -> None:
        text = "".join(self.text)
        if len(self.path) == 3 and self.path[1] == "headers":
            # Of what the switch writes itself two are one event fired as another, never an array: the last counts.
            if self.headers and self.headers[-1][0] == name and name not in _HEAD:
                self.headers[-1][1].append(text)
            else:
                self.headers.append((name, [text]))
        elif len(self.path) == 2 and name == "Content-Length":
            self.length = self.length or text.strip()
        elif len(self.path) == 2 and name == "body" and self.body is None:
            self.body = text
        self.path.pop()
        self.text.clear()

    def refuse(self, *_declaration: object) -> NoReturn:
        raise Fault(self.parser.CurrentByteIndex, "read a document type, expected none")
