"""TLS between a blocking link and its socket: the two faces that `Link` has of a socket, one to read and wait, one that
never waits.

A `ssl.SSLSocket` cannot be that: it has no second descriptor, two threads may not use it at once before Python 3.13,
and that its socket has nothing to read says nothing about what is decrypted already. So the record layer stands here by
itself (`ssl.SSLObject`), behind a lock that nobody holds while waiting for the kernel.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from contextlib import suppress
from typing import Any, Final

_RECORDS: Final = 1 << 16  # bytes of the socket that are read, and of ours that are encrypted, at a time


class Tls:
    """The record layer of one connection, and what is on its way through it.

    Args:
        context, server_hostname: as `ssl.SSLContext.wrap_bio` takes them.
    """

    def __init__(self, context: ssl.SSLContext, server_hostname: str | None) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_hostname)
        self._lock = threading.RLock()  # of the record layer; a signal's handler may close while its thread is in it
        self._turn = threading.Lock()  # of who takes bytes from the socket: they must come in one by one, in order
        self._ahead = b""  # decrypted to see whether there is something
        self._sealed = b""  # encrypted, and not taken by the socket yet
        self._owed = 0  # how much of ours is in that
        self._ended = False

    def shake_hands(self, sock: socket.socket, seconds: float | None) -> None:
        """The handshake, with a socket that waits.

        Raises:
            OSError: it failed (`ssl.SSLError`), or took too long.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        while True:
            try:
                self._object.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                done = False
            except ssl.SSLError:
                with suppress(OSError):
                    sock.sendall(self._outgoing.read())  # the alert says why
                raise
            sock.settimeout(_left(deadline))
            sock.sendall(self._outgoing.read())
            if done:
                return
            sock.settimeout(_left(deadline))
            data = sock.recv(_RECORDS)
            if not data:
                raise ConnectionResetError("the connection was closed during the TLS handshake")
            self._incoming.write(data)

    # Reading

    def decrypted(self, room: Any) -> int | None:
        """Put what is there into a buffer: how much, 0 at the end, None if more has to come first."""
        with self._lock:
            if self._ahead:
                taken = min(len(room), len(self._ahead))
                room[:taken] = self._ahead[:taken]
                self._ahead = self._ahead[taken:]
                return taken
            if self._ended:
                return 0
            try:
                return int(self._object.read(len(room), room))
            except ssl.SSLWantReadError:
                return None
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                self._ended = True
                return 0
            finally:
                self._sealed += self._outgoing.read()  # a key that changed is answered with the next send

    def take(self, sock: socket.socket) -> bool:
        """Take what the socket has, as it waits or not; False if another thread is at it.

        Raises:
            OSError: nothing has come, or the socket is broken.
        """
        if not self._turn.acquire(blocking=False):
            return False
        taken: list[bytes] = []
        try:
            taken.extend(map(sock.recv, (_RECORDS,)))  # whatever interrupts this, what came is not lost
        finally:
            try:
                if taken:
                    self._came(taken[0])
            finally:
                self._turn.release()
        return True

    def _came(self, data: bytes) -> None:
        with self._lock:
            if data:
                self._incoming.write(data)
            else:
                self._incoming.write_eof()

    def peek(self, sock: socket.socket) -> bytes:
        """The next byte; b"" at the end.

        Raises:
            BlockingIOError: nothing has come.
        """
        with self._lock:
            if not self._ahead:
                room = bytearray(_RECORDS)
                size = self.read(sock, memoryview(room))
                self._ahead = bytes(room[:size])
            return self._ahead[:1]

    def read(self, sock: socket.socket, room: Any) -> int:
        """Read without waiting: how much; 0 at the end.

        Raises:
            BlockingIOError: nothing has come.
        """
        while True:
            size = self.decrypted(room)
            if size is not None:
                return size
            if not self.take(sock):
                raise BlockingIOError

    # Sending

    def send(self, sock: socket.socket, data: Any) -> int:
        """Send without waiting: how much of it the socket has taken, encrypted.

        What it has not is sent first the next time; until then the caller keeps it, and gives it again.

        Raises:
            BlockingIOError: nothing was taken.
        """
        with self._lock:
            if not self._owed:
                self._seal(bytes(data[:_RECORDS]))
            while self._sealed:
                self._sealed = self._sealed[sock.send(self._sealed) :]
            sent, self._owed = self._owed, 0
            return sent

    def _seal(self, data: bytes) -> None:
        try:
            self._owed = self._object.write(data)
        except ssl.SSLWantReadError:  # new keys are being agreed on
            raise BlockingIOError from None
        finally:
            self._sealed += self._outgoing.read()


class TlsSocket:
    """The face of a TLS connection that is read, and waits; `dup` makes the other one.

    Attributes:
        unsure: whether what was read last may not have arrived with the caller, if that was interrupted.
    """

    def __init__(self, sock: socket.socket, tls: Tls) -> None:
        self._sock = sock
        self._tls = tls
        self.unsure = False
        self.settimeout = sock.settimeout
        self.setsockopt = sock.setsockopt
        self.shutdown = sock.shutdown
        self.close = sock.close
        self.fileno = sock.fileno

    def dup(self) -> TlsSender:
        return TlsSender(self._sock.dup(), self._tls)

    def recv_into(self, room: Any) -> int:
        """As of a socket with a timeout."""
        self.unsure = False
        while True:
            self.unsure = True
            size = self._tls.decrypted(room)
            if size is not None:
                return size
            self.unsure = False
            if not self._tls.take(self._sock):
                raise BlockingIOError


class TlsSender:
    """The face that never waits: it sends, looks, and reads what is there."""

    def __init__(self, sock: socket.socket, tls: Tls) -> None:
        self._sock = sock
        self._tls = tls
        self.setblocking = sock.setblocking
        self.setsockopt = sock.setsockopt
        self.getsockopt = sock.getsockopt
        self.close = sock.close
        self.fileno = sock.fileno

    def send(self, data: Any) -> int:
        return self._tls.send(self._sock, data)

    def recv(self, size: int, flags: int) -> bytes:
        """A look at the next byte."""
        return self._tls.peek(self._sock)

    def recv_into(self, room: Any) -> int:
        return self._tls.read(self._sock, room)


def _left(deadline: float | None) -> float | None:
    """Seconds until then, for a socket, for which 0 would mean something else."""
    if deadline is None:
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left
