"""Our codec inside greenswitch: `install()` before or after `import greenswitch`, before connecting.

    >>> from eslcodec.adapters import greenswitch
    >>> greenswitch.install()  # doctest: +SKIP

`ESLEvent.parse_data` and `ESLProtocol.receive_events` are replaced; `headers` stays a plain dict with the last of a
repeated name, and queue, handlers, commands and `stop` are greenswitch's own. What is different:

* A line end in a value, percent-encoded or of another kind than LF, makes no header and stays as it was sent (CR LF
  became LF), as do blanks and line ends at the ends of an event's value. Names are not percent-decoded.
* The body of an event is its `data`, exactly; it was read as headers, or ended up in the last one, in a time that grew
  with the square of its size. The body of a disconnect-notice does not become a header of the next frame.
* JSON and XML events are read; they ended the receiving greenlet, or came as one senseless header.
* Bytes that are not UTF-8 become U+FFFD also where they are not percent-encoded; they ended the connection.
* A peer that dies inside a body ends the connection as elsewhere; the client read on for ever, without a pause.
* CR LF as line ends and line ends before a frame are accepted. Lengths that are no numbers, and a header block or a
  body beyond the bounds of `eslcodec.Decoder`, end the connection.
* The headers of the frame stand after those of the event in the dict, not before them.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import Any

from .. import Decoder, Event, Message
from ._client import Client, Pairs, Point, frame_pairs, headers_of, pairs_of, text_of, under


def install() -> None:
    """Have greenswitch's classes use our codec. A second call does nothing.

    Raises:
        ImportError: greenswitch is not installed.
        UnknownClient: it does not look as expected inside; nothing was replaced.
    """
    _CLIENT.install()


def uninstall() -> None:
    """Put back what `install` replaced; connections that are open keep our splitter.

    Example:
        >>> uninstall()  # no effect if nothing is installed
    """
    _CLIENT.uninstall()


class _Payload(str):
    """The text of an event's payload, with the event that `_parse_data` reads instead."""

    __slots__ = ("event",)
    event: Event


def _parse_data(self: Any, data: str) -> None:
    """In the place of `ESLEvent.parse_data`."""
    if not isinstance(data, _Payload):
        self.headers.update(_stripped_pairs(data.encode("utf-8", "surrogateescape")))
        return
    event = data.event
    self.headers = under(headers_of(event, self.headers["Content-Type"]), self.headers)
    body = event.body if event.malformed is None else event.payload
    if body is not None:
        self.data = text_of(body)


def _stripped_pairs(block: bytes) -> Pairs:
    return [(name.strip(), value.strip()) for name, value in pairs_of(block.lstrip())]


def _receive_events(self: Any) -> None:
    """In the place of `ESLProtocol.receive_events`."""
    esl_event = import_module("greenswitch.esl").ESLEvent
    decoder = Decoder()
    message: Any = None
    self._read_socket = lambda sock, length: _body(message)  # what `handle_event` asks for is here already
    while self._run:
        try:
            message = _next_message(decoder, self.sock_file)
        except Exception:  # as there: whatever it is, it ends the connection
            self._run = False
            self.connected = False
            self.sock.close()
            break
        if message is None:
            if self.connected:
                logging.debug("Error receiving data, is FreeSWITCH running?")
                self.connected = False
                self._run = False
            break
        event = esl_event.__new__(esl_event)
        event.headers = dict(frame_pairs(message, _stripped_pairs))
        self.handle_event(event)


def _next_message(decoder: Decoder, sock_file: Any) -> Message | None:
    """The next message, None at the end of the stream."""
    while (message := decoder.next_message()) is None:
        size = sock_file.readinto1(decoder.get_buffer())
        if not size:
            return None
        decoder.buffer_updated(size)
    return message


def _body(message: Message) -> str:
    text = text_of(message.payload)
    if not isinstance(message, Event):
        return text
    payload = _Payload(text)
    payload.event = message
    return payload


_CLIENT = Client(
    "greenswitch",
    "0.0.19",
    [
        [
            Point("greenswitch.esl", "ESLEvent.parse_data", "self, data", _parse_data),
            Point("greenswitch.esl", "ESLProtocol.receive_events", "self", _receive_events),
            Point("greenswitch.esl", "ESLProtocol.handle_event", "self, event"),
            Point("greenswitch.esl", "ESLProtocol._read_socket", "sock, length"),
        ]
    ],
)
