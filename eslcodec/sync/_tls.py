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
        self._torn = False  # whether something that came may have been lost, since its way was interrupted
        self._awaited = False  # whether a thread waits for the socket: it would not see what another takes meanwhile
        self._ahead = b""  # decrypted to see whether there is something
        self._sealed = b""  # encrypted, and not taken by the socket yet
        self._owed = 0  # how much of ours is in that
        self._ended = False
        self._broken: tuple[Any, ...] = ()  # of the error that ended it, which OpenSSL tells once

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
            self._check()
            if self._ahead:
                taken = min(len(room), len(self._ahead))
                room[:taken] = self._ahead[:taken]
                self._ahead = self._ahead[taken:]
                return taken
            return self._decrypt(room)

    def _decrypt(self, room: Any) -> int | None:
        if self._broken:
            raise ssl.SSLError(*self._broken)
        if self._ended:
            return 0
        try:
            return int(self._object.read(len(room), room))
        except ssl.SSLWantReadError:
            return None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            self._ended = True
            return 0
        except ssl.SSLError as error:
            self._broken = error.args
            raise
        finally:
            self._sealed += self._outgoing.read()  # a key that changed is answered with the next send

    def decrypted_or_awaited(self, room: Any) -> int | None:
        """The same; if more has to come first, others leave the socket alone until `arrived`."""
        with self._lock:
            size = self.decrypted(room)
            self._awaited = size is None
            return size

    def arrived(self) -> None:
        """The end of the wait for the socket."""
        self._awaited = False

    def take(self, sock: socket.socket) -> None:
        """Take what the socket has, which does not wait.

        Raises:
            BlockingIOError: nothing has come, or another thread waits for it.
            OSError: the socket is broken.
        """
        with self._lock:
            if self._awaited:
                raise BlockingIOError
            self._check()
            self._torn = True
            try:
                data = sock.recv(_RECORDS)
            except OSError:
                self._torn = False
                raise
            if data:
                self._incoming.write(data)
            else:
                self._incoming.write_eof()
            self._torn = False

    def _check(self) -> None:
        if self._torn:
            raise ConnectionAbortedError("interrupted while bytes were received")

    def peek(self, sock: socket.socket) -> bytes:
        """The next byte; b"" at the end.

        Raises:
            BlockingIOError: nothing has come.
        """
        with self._lock:
            while not (self._ahead or self._ended):
                if not self._look_ahead():
                    self.take(sock)
            return self._ahead[:1]

    def _look_ahead(self) -> bool:
        """Decrypt what is there; False if more has to come first."""
        room = bytearray(_RECORDS)
        self._check()
        self._torn = True
        try:
            size = self._decrypt(room)
        except OSError:
            self._torn = False
            raise
        if size:
            self._ahead = bytes(room[:size])
        self._torn = False
        return size is not None

    def read(self, sock: socket.socket, room: Any) -> int:
        """Read without waiting: how much; 0 at the end.

        Raises:
            BlockingIOError: nothing has come.
        """
        with self._lock:
            while True:
                size = self.decrypted(room)
                if size is not None:
                    return size
                self.take(sock)

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
        self._now = sock.dup()  # which does not wait
        self._now.setblocking(False)
        self.unsure = False
        self.settimeout = sock.settimeout
        self.setsockopt = sock.setsockopt
        self.shutdown = sock.shutdown
        self.fileno = sock.fileno

    def dup(self) -> TlsSender:
        return TlsSender(self._sock.dup(), self._tls)

    def close(self) -> None:
        self._now.close()
        self._sock.close()

    def recv_into(self, room: Any) -> int:
        """As of a socket with a timeout."""
        while True:
            self.unsure = True
            size = self._tls.decrypted_or_awaited(room)
            if size is not None:
                return size
            self.unsure = False
            try:
                self._sock.recv(1, socket.MSG_PEEK)
            finally:
                self._tls.arrived()
            with suppress(BlockingIOError):  # another thread was faster
                self._tls.take(self._now)


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
