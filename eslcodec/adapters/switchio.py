"""Our codec inside switchio: `install()` before or after `import switchio`, before connecting.

    >>> from eslcodec.adapters import switchio
    >>> switchio.install()  # doctest: +SKIP

`InboundProtocol.data_received` is replaced; an event stays a flat dict, of a repeated name the last value counts, the
body is under `Body` and ends with a line feed, and futures, queue and `process_events` are switchio's own. What is
different:

* A line end in a value, percent-encoded or of another kind than LF, makes no header and stays as it was sent (it
  vanished or became LF). Names are not percent-decoded. The lines of a value that goes on are all joined by LF; the
  first two were glued together.
* The body of whatever frame is its body; its lines with a colon and a blank were read as headers, its blank lines
  dropped, its percent signs decoded. The payload of JSON and XML events is such a body.
* Lengths are bytes. They were counted in characters, so text that is not ASCII shifted all that came after; a character
  or a length cut by the end of a chunk ended the connection.
* All frames of a chunk arrive, also beyond a thousand, and after a disconnect-notice (events, after a linger notice).
* A large body takes time in proportion to its size. Half a frame that a lost connection left does not go before what
  the next one brings.
* Bytes that are not UTF-8 become U+FFFD also where they are not percent-encoded; they ended the connection.
* CR LF as line ends and line ends before a frame are accepted. A header block or a body beyond the bounds of
  `eslcodec.Decoder` ends the connection.
* The headers of the frame stand after those of the event in the dict, not before them.

switchio 0.1.0a1 itself does not run on Python 3.10 or later, with this adapter or without: from 3.11 on it cannot be
imported, on 3.10 it cannot connect. It imports `six` without asking for it, and wants these changes:

    file             what stands there               what has to stand there
    protocol.py      asyncio.Queue(loop=loop)        asyncio.Queue()
    connection.py    timeout=timeout, loop=loop)     timeout=timeout)
    models.py        fut, timeout, loop=loop)        fut, timeout)
    models.py        asyncio.Task.current_task       asyncio.current_task
    loop.py          asyncio.Task.current_task       asyncio.current_task
    loop.py          asyncio.Task.all_tasks          asyncio.all_tasks
    loop.py          wait(pending, loop=self.loop)   wait(pending)
    loop.py          import asyncio                  import asyncio, types
    loop.py          @asyncio.coroutine              @types.coroutine
    utils.py         inspect.getargspec(func)        inspect.getfullargspec(func)[:4]
    apps/players.py  inspect.getargspec              inspect.getfullargspec
"""

from __future__ import annotations

from collections import deque
from typing import Any

from .. import Decoder, Event, Message, unquote
from ._client import Client, Pairs, Point, frame_pairs, headers_of, pairs_of, text_of, under

_TRACE = 5  # switchio's own level


def install() -> None:
    """Have switchio's classes use our codec. A second call does nothing.

    Raises:
        ImportError: switchio is not installed.
        AttributeError: it cannot be imported on Python 3.11 and later as it is: see above.
        UnknownClient: it does not look as expected inside; nothing was replaced.
    """
    _CLIENT.install()


def uninstall() -> None:
    """Put back what `install` replaced.

    Example:
        >>> uninstall()  # no effect if nothing is installed
    """
    _CLIENT.uninstall()


def _data_received(self: Any, data: bytes) -> deque[dict[str, str]]:
    """In the place of `InboundProtocol.data_received`. An error of ours ends the connection as one of its own does."""
    if self.log.isEnabledFor(_TRACE):
        self.log.log(_TRACE, f"Socket data received:\n{text_of(unquote(data))}")
    transport, decoder = self.__dict__.get("_eslcodec", (None, None))
    if decoder is None or transport is not self.transport:  # the first data of a connection
        decoder = Decoder()
        self._eslcodec = self.transport, decoder
    decoder.feed(data)
    events: deque[dict[str, str]] = deque()
    for message in decoder:
        event = _event(message)
        events.append(event)
        self.process_events([event], "")
    return events


def _event(message: Message) -> dict[str, str]:
    event = dict(frame_pairs(message, _pairs))
    content_type = event.get("Content-Type", "")
    body = message.payload
    if isinstance(message, Event) and content_type == "text/event-plain":
        event = under(headers_of(message, content_type, _pairs), event)
        body = message.body
    if body:
        text = text_of(body)
        event["Body"] = text if text.endswith("\n") else text + "\n"
    return event


def _pairs(block: bytes) -> Pairs:
    return pairs_of(block, after_continued=b"%0A")  # as there: each further line brings its line feed


_CLIENT = Client(
    "switchio",
    "0.1.0a1",
    [
        [
            Point("switchio.protocol", "InboundProtocol.data_received", "self, data", _data_received),
            Point("switchio.protocol", "InboundProtocol.process_events", "self, events, parsed"),
        ]
    ],
    hint="switchio 0.1.0a1 itself needs changes on Python 3.10 and later: help(eslcodec.adapters.switchio) lists them",
)
