"""A switch that sends for ever, and a client's socket that is read late: after another thread has shut it down."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from support import until

SECONDS = 20.0  # a kernel that says nothing more forgets a socket after sixty


class Late:
    """A socket whose reads wait until they may."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self.reads = threading.Event()
        self.may = threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    @property
    def is_closed(self) -> bool:
        closed: bool = self._sock.fileno() == -1
        return closed

    def recv_into(self, room: Any) -> int:
        self.reads.set()
        assert self.may.wait(SECONDS)
        size: int = self._sock.recv_into(room)
        return size


class Flooding:
    """A switch that lets one client in, and sends it the same again and again, in a thread of its own."""

    def __init__(self, server: socket.socket, first: bytes, more: bytes) -> None:
        self._server = server
        self._first = first
        self._more = more * (1 + (1 << 16) // len(more))
        self._sock: socket.socket | None = None
        self._errors: list[OSError] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._sock, _ = self._server.accept()
            self._sock.settimeout(2 * SECONDS)
            self._sock.sendall(self._first + self._more)
            while True:
                self._sock.sendall(self._more)
        except OSError as error:
            self._errors.append(error)

    def stands(self) -> None:
        """Wait until nothing more goes: the kernel has as much unsent as before."""
        import array
        import fcntl
        import termios

        sizes: list[int] = []

        def is_so() -> bool:
            if self._sock is None:
                return False
            unsent = array.array("i", [0])
            fcntl.ioctl(self._sock.fileno(), termios.TIOCOUTQ, unsent)
            sizes.append(unsent[0])
            return sizes[-1] > 0 and len(sizes) >= 50 and len(set(sizes[-50:])) == 1

        until(is_so, SECONDS)

    def heard_the_end(self) -> bool:
        """Whether `send` ends with an error that says so."""
        self._thread.join(SECONDS)
        return len(self._errors) == 1 and isinstance(self._errors[0], ConnectionError)

    def close(self) -> None:
        if self._sock is not None:
            self._sock.close()


def small_socket(address: Any) -> socket.socket:
    """Connected, with room for less than one read takes."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    sock.connect(address)
    return sock


@contextmanager
def flooded(*first: bytes, more: bytes) -> Iterator[tuple[Any, Flooding]]:
    """Where to connect, and the switch: it says what comes first, and then `more` without an end."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        switch = Flooding(server, b"".join(first), more)
        yield server.getsockname(), switch
        switch.close()
