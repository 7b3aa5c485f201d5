"""A link whose bytes are told to a tap as well. Links without a tap do not pay for it."""

from __future__ import annotations

import asyncio
from typing import Any

from .._door import of_socket
from .._tap import CallTapping, Tapping
from ..connection import Connection
from ._link import Link


class TappedLink(Link):
    """A link that tells a tap what is read, before it is parsed, and what is sent.

    Args:
        peer: host and port of the other side, as the tap is told them; None: as the socket has them.
        tapping: the tap.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        connection: Connection,
        peer: tuple[str, int] | None,
        tapping: Tapping,
        **options: Any,
    ) -> None:
        super().__init__(loop, connection, **options)
        self.tapping = tapping
        self._told = peer
        self._room: memoryview | None = None
        self.get_buffer = self._lend  # type: ignore[method-assign]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.tapping.opened(self._told or of_socket(transport.get_extra_info("peername")))
        super().connection_made(transport)

    def buffer_updated(self, nbytes: int) -> None:
        room, self._room = self._room, None
        if room is not None:
            self.tapping.received(room[:nbytes])
            room = None
        super().buffer_updated(nbytes)

    def choose_tap(self, call: Any) -> None:
        """Ask which tap hears this call; from now on that one does."""
        assert isinstance(self.tapping, CallTapping)
        self.tapping.use(self.tapping.choose(call))

    def tap_stats(self) -> dict[str, Any] | None:
        return self.tapping.stats()

    def _lend(self, sizehint: int) -> memoryview:
        self._room = None  # as long as somebody holds it the decoder leaves its bytes where they are
        room = self.connection._decoder.get_buffer(sizehint)
        self._room = memoryview(room)  # one of our own: whoever reads may release the other
        return room

    def _take_out(self) -> bytes:
        data = super()._take_out()
        if data:
            self.tapping.sent(data)
        return data

    def _shut(self, transport: asyncio.Transport) -> None:
        super()._shut(transport)
        end = self.connection.end
        self.tapping.closed("" if end is None else end.reason)

    def _leave(self) -> None:
        self.tapping.leave()
        super()._leave()
