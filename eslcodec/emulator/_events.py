"""An event inside the emulated switch, written in a connection's format when it is taken."""

from __future__ import annotations

from collections.abc import Iterable

from .. import render
from .._ctext import to_bytes
from .._json import Field
from ..headers import HeaderList


class SwitchEvent:
    """An event inside the switch. It is written in a format when a connection takes it, once for all of them."""

    __slots__ = ("_frames", "headers", "name", "subclass")

    def __init__(self, name: str, headers: HeaderList, subclass: str | None = None) -> None:
        self.name = name
        self.headers = headers
        self.subclass = subclass
        self._frames: dict[str, bytes] = {}

    def frame(self, format: str) -> bytes:
        """The event as a frame in "plain", "json" or "xml"."""
        frame = self._frames.get(format)
        if frame is None:
            frame = self._frames[format] = render.event_frame(self.payload(format), format)
        return frame

    def payload(self, format: str) -> bytes:
        fields, body = self.headers.fields(), self.headers.body
        if format == "plain":
            return render.plain(fields, body, server=True)
        if format == "json":
            return render.json([field for field in fields if field[0].lower() != "_body"], body)
        return _xml(fields, body)


def _xml(fields: Iterable[Field], body: bytes | None) -> bytes:
    """XML as the switch writes it: malformed where a name is no XML name, and lossy, where `render.xml` refuses."""
    lines = [b"<event>\n  <headers>\n"]
    for name, value in fields:
        raw = to_bytes(name)
        for item in [value] if isinstance(value, str) else value:
            text = render.quote_server(to_bytes(item))
            lines.append(b"    <%b>%b</%b>\n" % (raw, text, raw))
    lines.append(b"  </headers>\n")
    if body:
        lines.append(render.xml_body(_utf8(body), len(body)).encode())
    return b"".join([*lines, b"</event>\n"])


def _utf8(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return ""  # as the switch was seen to do
