"""Ending a socket while another thread reads it."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from typing import Any, Final

_AT_ONCE: Final = struct.pack("HH" if hasattr(socket, "SO_EXCLUSIVEADDRUSE") else "ii", 1, 0)  # Windows has shorts


def shut_down(sock: Any) -> None:
    """Have every thread that waits on a socket return."""
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def reset_at_close(sock: Any) -> None:
    """Have the next `close` tell the other side at once that nothing is read any more.

    It is for a socket that was shut down, and read after that: Linux makes no room known that such a read makes. If
    there was none, the other side would go on waiting for it in `send`, a switch too, for a minute after the close.
    """
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
