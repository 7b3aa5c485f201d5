"""A link whose bytes are told to a tap as well. Links without a tap do not pay for it."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from .._tap import CallTapping, Tapping
from ..connection import Connection
from ._link import Link

if TYPE_CHECKING:
    from ._tls import TlsSocket


class TappedLink(Link):
    """A link that tells a tap what is read, before it is parsed, and what is sent.

    Args:
        peer: host and port of the other side, as the tap is told them.
        tapping: the tap.
    """

    def __init__(
        self,
        sock: socket.socket | TlsSocket,
        connection: Connection,
        peer: tuple[str, int],
        tapping: Tapping,
        **options: Any,
    ) -> None:
        super().__init__(sock, connection, **options)
        self._tapping = tapping
        self._room: memoryview | None = None
        self._is_told = False  # its end; the tap may hear the next connection by now
        self._get_buffer = self._lend
        tapping.opened(peer)

    def choose_tap(self, call: Any) -> None:
        """Ask which tap hears this call; from now on that one does."""
        assert isinstance(self._tapping, CallTapping)
        tap = self._tapping.choose(call)
        with self._lock:
            self._tapping.use(tap)

    def tap_stats(self) -> dict[str, Any] | None:
        return self._tapping.stats()

    # Inside, with the lock

    def _lend(self, sizehint: int = -1) -> memoryview:
        self._room = None  # as long as somebody holds it the decoder leaves its bytes where they are
        room = self.connection._decoder.get_buffer(sizehint)
        self._room = memoryview(room)  # one of our own: whoever reads may release the other
        return room

    def _received(self, size: int, error: OSError | None, began: float) -> None:
        room, self._room = self._room, None
        if size > 0 and room is not None:
            self._tapping.received(room[:size])
            room = None
        super()._received(size, error, began)

    def _take_out(self) -> bytes:
        data = super()._take_out()
        if data:
            self._tapping.sent(data)
        return data

    def _tear_down(self) -> None:
        super()._tear_down()
        if not self._is_told:
            self._is_told = True
            self._tapping.closed(self.end.reason)

    def _leave(self) -> None:
        self._tapping.leave()
        super()._leave()
