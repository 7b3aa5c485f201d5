"""A connection of nats-py, where it would cost most: messages go out many at once, and so come acknowledgements.

Connecting, TLS, logging in and pings are nats-py's, and so is what is no answer to a message. What is used of it that
is not documented stands here and nowhere else. Where a version lacks that, all goes the documented way (`Slow`).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from ._flight import Batch
from ._packed import headers_of

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg

AT_ONCE: Final = 64
"""Messages that are sent at once: some 300 KB."""

_CONTROL_LINE: Final = 1  # the state in which nats-py's parser expects one
_LINES: Final = 2  # of a message
_STATUS: Final = re.compile(rb"NATS/1\.0[ \t]+(\d{3})")
_PENDING_MSGS: Final = 1 << 20  # answers, each to a message in flight
_ACK: Final = rb'MSG %b\.(\d{1,19})\.(\d{1,19}) %d \d+\r\n\{"stream":"%b", ?"seq":([1-9]\d{0,18})\}\r\n'

Acknowledged = Callable[[int, Sequence[int], Sequence[int]], None]
"""Is told plain acknowledgements of the stream: the epoch, numbers and sequences, in the order in which they came."""

Answered = Callable[[int, int, bytes, str | None], None]
"""Is told any other answer: epoch, number, data, and the status in its headers."""


class Slow:
    """Messages and answers, by what is documented of nats-py.

    Args:
        connection: that stands.
        stream: its name.
        acknowledged, answered: who is told.
    """

    def __init__(self, connection: Client, stream: str, acknowledged: Acknowledged, answered: Answered) -> None:
        self._connection = connection
        self._inbox = connection.new_inbox()
        self._stream = stream
        self._acknowledged, self._answered = acknowledged, answered

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._inbox}>"

    async def subscribe(self) -> None:
        """Ask for answers.

        Raises:
            nats.errors.Error: the connection is lost.
        """
        await self._connection.subscribe(f"{self._inbox}.*.*", cb=self._came, pending_msgs_limit=_PENDING_MSGS)

    async def send(self, batch: Batch) -> None:
        """Send messages.

        Raises:
            nats.errors.Error: one is too large, or the connection is lost.
        """
        for number, (item, guard) in enumerate(zip(batch.items, batch.guards(), strict=True), batch.number):
            reply = f"{self._inbox}.{batch.epoch}.{number}"
            headers = headers_of(item.head + guard)
            await self._connection.publish(item.subject.decode(), item.body, reply, headers)

    async def _came(self, message: Msg) -> None:
        self._tell(message.subject, message.data, message.headers.get("Status") if message.headers else None)

    def _tell(self, subject: str, data: bytes, status: str | None) -> None:
        epoch, _, number = subject[len(self._inbox) + 1 :].partition(".")
        if epoch.isdigit() and number.isdigit():
            self._answered(int(epoch), int(number), data, status)


class Fast(Slow):
    """The same, by nats-py's buffers and parser.

    Plain acknowledgements are taken out of what came before the parser sees it. Any other answer goes through the
    parser, and is told at once then too, so that the order stays.
    """

    def __init__(self, connection: Client, stream: str, acknowledged: Acknowledged, answered: Answered) -> None:
        super().__init__(connection, stream, acknowledged, answered)
        self._client: Any = connection  # for what is not documented of it
        self._begin = f"MSG {self._inbox}.".encode()
        self._sid = 0

    @staticmethod
    def fits(connection: Any) -> bool:
        """Whether this version of nats-py has what is used here."""
        parser = getattr(connection, "_ps", None)
        has_parser = all(hasattr(parser, name) for name in ("parse", "state", "buf"))
        names = "_process_msg", "_send_command", "_flush_pending"
        return has_parser and all(hasattr(connection, name) for name in names)

    async def subscribe(self) -> None:
        subscription: Any = await self._connection.subscribe(f"{self._inbox}.*.*", cb=self._came)
        client = self._client
        self._sid, self._parser = subscription._id, client._ps
        self._parse: Callable[[bytes], Awaitable[None]] = client._ps.parse
        self._process: Callable[..., Awaitable[None]] = client._process_msg
        inbox, stream = re.escape(self._inbox.encode()), re.escape(self._stream.encode())
        one = _ACK % (inbox, self._sid, stream)
        self._one = re.compile(one)
        self._run = re.compile(b"(?:%b)*" % one.replace(rb"(\d", rb"(?:\d").replace(b"([", b"(?:["))
        client._ps.parse, client._process_msg = self._read, self._message

    async def send(self, batch: Batch) -> None:
        from nats.errors import ConnectionClosedError, MaxPayloadError

        client = self._client
        if not client.is_connected:
            raise ConnectionClosedError
        if max(len(item.body) for item in batch.items) > client.max_payload:
            raise MaxPayloadError
        await client._send_command(self._commands(batch))
        await client._flush_pending()

    def _commands(self, batch: Batch) -> bytes:
        reply = f"{self._inbox}.{batch.epoch}.".encode()
        parts: list[bytes] = []
        end = b""  # of the one before
        for number, (item, guard) in enumerate(zip(batch.items, batch.guards(), strict=True), batch.number):
            subject, head, body, _, _, _ = item
            size = len(head) + len(guard) + 2
            line = b"%bHPUB %b %b%d %d %d\r\n%b%b\r\n"
            parts += line % (end, subject, reply, number, size, size + len(body), head, guard), body
            end = b"\r\n"
        parts.append(end)
        return b"".join(parts)

    async def _read(self, data: bytes = b"") -> None:
        """In place of the parser's own: take out plain acknowledgements, as many as are at the beginning."""
        parser = self._parser
        if parser.state == _CONTROL_LINE:
            if parser.buf:
                data = bytes(parser.buf) + data
                parser.buf.clear()
            data = data[self._take(data) :]
            if data.startswith(self._begin) and data.count(b"\r\n") < _LINES:
                parser.buf.extend(data)  # the rest of it is still to come
                return
        if data:
            await self._parse(data)

    def _take(self, data: bytes) -> int:
        """Tell plain acknowledgements; how many bytes they have."""
        run = self._run.match(data)
        end = run.end() if run is not None else 0
        if not end:
            return 0
        epochs, numbers, sequences = zip(*self._one.findall(data, 0, end), strict=True)
        if len(set(epochs)) == 1:
            self._acknowledged(int(epochs[0]), list(map(int, numbers)), list(map(int, sequences)))
        else:
            for epoch, number, sequence in zip(epochs, numbers, sequences, strict=True):
                self._acknowledged(int(epoch), [int(number)], [int(sequence)])
        return end

    async def _message(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes | None) -> None:
        """In place of the client's own: an answer to us is told at once."""
        if sid != self._sid:
            return await self._process(sid, subject, reply, data, headers)
        status = _STATUS.match(headers) if headers else None
        self._tell(subject.decode(), data, status[1].decode() if status is not None else None)


def wire(connection: Client, stream: str, acknowledged: Acknowledged, answered: Answered) -> Slow:
    """The fastest way that a connection has."""
    way = Fast if Fast.fits(connection) else Slow
    return way(connection, stream, acknowledged, answered)
