"""How the block that look-ups read is written: a number for each way; and the Content-Types of event payloads.

Both cores use these numbers. All other code that knows the three formats of events takes them from the tables here.
"""

from __future__ import annotations

from typing import Final

# The first two are the frame's own header block.
FRAME: Final = 0  # plain text
FRAME_ENCODED: Final = 1  # values percent-encoded: the reply to `connect` (docs/protocol/frames.md, P3.4)
PLAIN: Final = 2  # from here on the frame's body, the event payload
JSON: Final = 3
XML: Final = 4

PAYLOAD_FORMATS: Final = {b"text/event-plain": PLAIN, b"text/event-json": JSON, b"text/event-xml": XML}
"""Content-Type in lower case -> the format of the payload."""

format_of: Final = PAYLOAD_FORMATS.get

FORMAT_NAMES: Final = {PLAIN: "plain", JSON: "json", XML: "xml"}
"""What commands call them."""


def needs_length(content_type: bytes) -> bool:
    """Whether frames of a kind, in lower case, always have a Content-Length: without one the stream is damaged."""
    return format_of(content_type, FRAME) > PLAIN
