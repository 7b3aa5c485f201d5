"""What a service tells systemd about itself: `sd_notify`, without its library."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from contextlib import suppress


class Notifier:
    """Sends datagrams to the socket that NOTIFY_SOCKET names; without that, nothing.

    Args:
        environment: where the variables are: NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID.

    Attributes:
        interval: seconds within which `alive` must be sent; None if systemd does not watch us.

    Example:
        >>> notifier = Notifier({"WATCHDOG_USEC": "30000000"})  # without NOTIFY_SOCKET: nobody to tell it to
        >>> notifier.ready()
        >>> notifier.interval is None
        True
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        path = environment.get("NOTIFY_SOCKET", "")
        self._address = f"\0{path[1:]}" if path.startswith("@") else path
        self._socket: socket.socket | None = None
        self.interval: float | None = None
        if hasattr(socket, "AF_UNIX") and path[:1] in ("/", "@"):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)  # systemd that does not listen is no reason to stand still
            self.interval = _watched(environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", ""))

    def ready(self) -> None:
        """The service has begun its work."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """What it does, for `systemctl status`: one line."""
        self._send(f"STATUS={' '.join(text.splitlines())}")

    def alive(self) -> None:
        """It is not stuck."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """It ends, because it was told to."""
        self._send("STOPPING=1")

    def close(self) -> None:
        """Nothing more is sent."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, text: str) -> None:
        if self._socket is not None:
            with suppress(OSError):  # nobody listens, or not now
                self._socket.sendto(text.encode("utf-8", "replace"), self._address)


def _watched(microseconds: str, pid: str) -> float | None:
    ours = pid in ("", str(os.getpid()))
    return int(microseconds) / 1e6 or None if ours and re.fullmatch("[0-9]{1,18}", microseconds) else None
