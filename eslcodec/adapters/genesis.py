"""Our codec inside genesis: `install()` before or after `import genesis`, before connecting.

    >>> from eslcodec.adapters import genesis
    >>> genesis.install()  # doctest: +SKIP

`Protocol.handler` is replaced, and `parse_headers` wherever it is bound. Events stay `ESLEvent` with a list for a
repeated name; consumer, processors, routing, commands and telemetry are genesis' own. Two things are made faster: the
telemetry, which goes through all headers of all events, remembers its names for them, and `ESLEvent.items`. What is
different:

* A line end other than LF that stands in a line as it is does not cut it (`str.splitlines` knows ten). Names are not
  percent-decoded; blanks at the ends of a raw value stay.
* A value of several lines whose name occurred before continues that one; it took the place of the list.
* The body of a plain event begins at its blank line also where that is CR LF. The body of an XML event stays whole; it
  was cut at a blank line in it.
* Bytes that are not UTF-8 become U+FFFD also where they are not percent-encoded; they ended the receiving task.
* A value of many lines takes time in proportion to its size.
* Header lines may be longer than the 64 KiB of asyncio's reader; they ended the connection. A length that is no number
  ends the connection, as a header block or a body beyond the bounds of `eslcodec.Decoder` does; it ended the receiving
  task, and nobody heard of it.
* The headers of the frame stand after those of a plain event, not before them.

Made for the releases 2026.7.1 and 2026.10.18. The latter tells whoever waits for an answer that the connection has
ended, and why; ours does too then. The former tells nobody, and ours leaves it at that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from importlib import import_module
from typing import Any

from .. import Decoder, Event, Message
from ._client import Client, Point, block_of, frame_pairs, headers_of, pairs_of, text_of, under


def install() -> None:
    """Have genesis' classes use our codec. A second call does nothing.

    Raises:
        ImportError: genesis is not installed.
        UnknownClient: it does not look as expected inside; nothing was replaced.
    """
    _CLIENT.install()


def uninstall() -> None:
    """Put back what `install` replaced; connections that are open keep our splitter.

    Example:
        >>> uninstall()  # no effect if nothing is installed
    """
    _CLIENT.uninstall()


def _parse_headers(payload: str) -> Any:
    """In the place of `parse_headers`."""
    return _filled(_esl_event_class()(), _listed(pairs_of(payload.strip().encode("utf-8", "surrogateescape"))))


async def _handler(self: Any) -> None:
    """In the place of `Protocol.handler`."""
    if self.reader is None:
        return
    try:
        self._pending_loss_reason = await _received(self) or self._pending_loss_reason
    finally:
        await self._signal_reader_done()


async def _handler_before_2026_10(self: Any) -> None:
    """In the place of `Protocol.handler` of a version that tells nobody that its connection has ended."""
    if self.reader is not None:
        await _received(self)


async def _received(self: Any) -> str | None:
    """Read until the connection ends; the name that genesis has for such an end, None if it ended itself."""
    logger = import_module("genesis.observability").logger
    esl_event = _esl_event_class()
    decoder = Decoder()
    while self.is_connected:
        try:
            message = decoder.next_message()
            if message is None:
                data = await self.reader.read(_READ_BYTES)
        except Exception as error:  # as there: whatever it is, it ends the connection
            logger.error(f"Error reading from stream. {error}")
            self.is_connected = False
            return "eof"
        if message is not None:
            logger.trace("Complete message received: %r", message.frame)
            for event in _events(message, esl_event):
                await self.events.put(event)
        elif data:
            decoder.feed(data)
        else:
            self.is_connected = False
            return "truncated" if decoder.buffered else "eof"
    return None


def _events(message: Message, esl_event: Callable[[], Any]) -> list[Any]:
    """What genesis makes of a frame: an event, or several if its payload holds several after an event-lock."""
    if isinstance(message, Event) and message.get("Event-Lock", "").lower().startswith("true"):
        fsm = import_module("genesis.protocol.reader_fsm").ESLReaderFSM()
        fsm.process_headers(text_of(block_of(message)))
        events: list[Any] = fsm.process_body(text_of(message.payload).encode())
        return events
    frame = _listed(frame_pairs(message, pairs_of))
    content_type = frame.get("Content-Type")
    if not isinstance(message, Event) or content_type != "text/event-plain":
        return [_filled(esl_event(), frame, message.payload)]
    found = headers_of(message, content_type)
    headers = found if isinstance(found, dict) else _listed(found)
    return [_filled(esl_event(), under(headers, frame), message.body)]


def _esl_event_class() -> Callable[[], Any]:
    found: Callable[[], Any] = import_module("genesis.protocol.parser").ESLEvent
    return found


def _listed(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """A dict in which a repeated name has the list of its values."""
    headers: dict[str, Any] = {}
    for name, value in pairs:
        before = headers.get(name)
        if before is None:
            headers[name] = value
        elif isinstance(before, list):
            before.append(value)
        else:
            headers[name] = [before, value]
    return headers


def _items(self: Any) -> Any:
    """In the place of `UserDict.items`, which looks each name up."""
    return self.data.items()


def _filled(event: Any, headers: dict[str, Any], body: bytes | None = None) -> Any:
    event.data = headers
    event.body = text_of(body) or None
    return event


_READ_BYTES = 1 << 18
_EVERY_VERSION = [
    Point("genesis.protocol.parser", "parse_headers", "payload", _parse_headers),
    Point("genesis.protocol.reader_fsm", "parse_headers", "payload", _parse_headers),
    Point("genesis.protocol.parser", "ESLEvent.items", "self", _items),
    Point("genesis.protocol.telemetry", "_header_attr_name", "key", wrap=lru_cache(maxsize=4096)),
    Point("genesis.protocol.reader_fsm", "ESLReaderFSM.process_headers", "self, header_block"),
    Point("genesis.protocol.reader_fsm", "ESLReaderFSM.process_body", "self, raw_body"),
]
_CLIENT = Client(
    "genesis",
    "2026.7.1 and 2026.10.18",
    [
        [
            Point("genesis.protocol.base", "Protocol.handler", "self", _handler),
            Point("genesis.protocol.base", "Protocol._signal_reader_done", "self"),
            Point("genesis.channel", "parse_headers", "payload", _parse_headers),
            *_EVERY_VERSION,
        ],
        [
            Point("genesis.protocol.base", "Protocol.handler", "self", _handler_before_2026_10),
            Point("genesis.protocol.base", "Protocol._signal_reader_done", absent=True),
            Point("genesis.protocol.base", "parse_headers", "payload", _parse_headers),
            *_EVERY_VERSION,
        ],
    ],
)
