"""The door of a server: its listening socket, shut while there is no room for calls, and what is said to those who are
sent away. Both servers have it; nothing here waits.
"""

from __future__ import annotations

import errno
import logging
import socket
from contextlib import suppress
from typing import Any, Final, Literal

from . import _fork, limits
from ._address import address as _where
from .connection import Connection, Wait

Calls = Literal["leave", "hangup", "resume"]
"""What becomes of the calls that run when a server is closed."""

_LOG: Final = logging.getLogger("eslcodec.server")
_UNKNOWN: Final = ("", 0)


class Door:
    """A listening socket. One of our own can be shut, so that the kernel refuses connections, and opened again at the
    same address; somebody else's socket is never closed.

    Attributes:
        sock: the socket, or the last one.
        own: whether we made it.
        listening: whether it takes connections.
        host, port: where.

    Example:
        >>> door = Door.at(addresses("127.0.0.1", 0))
        >>> door.accept() is None, door.listening
        (True, True)
        >>> door.shut()
        >>> door.open(), door.sock.getsockname() == (door.host, door.port)
        (True, True)
        >>> door.shut()
    """

    def __init__(self, sock: socket.socket, own: bool) -> None:
        self.sock = sock
        self.own = own
        self.listening = True
        self._family = sock.family
        self._address: tuple[Any, ...] = sock.getsockname()
        self.host, self.port = of_socket(self._address)
        self._told = ""  # why it cannot be opened, as it was logged last
        sock.setblocking(False)

    @classmethod
    def at(cls, found: list[Any]) -> Door:
        """One of our own, at an address that was looked up."""
        family, _, _, _, address = min(found, key=lambda one: bool(one[0] != socket.AF_INET))
        return cls(_listen(family, address), True)

    @classmethod
    def of(cls, sock: socket.socket) -> Door:
        """Somebody else's, which stays theirs: we have a descriptor of our own for it."""
        sock.setblocking(False)
        if not _listens(sock):
            sock.listen(limits.LISTEN_BACKLOG)
        return cls(sock.dup(), False)

    def accept(self) -> tuple[socket.socket, tuple[str, int]] | None:
        """The next connection that waits, and where it is from; None if none does.

        Raises:
            OSError: it cannot be taken; no descriptors are left, say.
        """
        while True:
            try:
                sock, address = self.sock.accept()
            except BlockingIOError:
                return None
            except ConnectionAbortedError:  # it is gone already
                continue
            return sock, of_socket(address)

    def stop(self) -> None:
        """Take no connections any more. If the socket is our own, the kernel refuses them from now on, where it can be
        told so while the socket is open."""
        if self.own:
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)  # for all who have it: a child of a fork may
        self.listening = False

    def shut(self) -> None:
        """The same, with the socket closed."""
        self.stop()
        self.sock.close()

    def open(self) -> bool:
        """Listen at the same address again; False if that is not possible, which is logged once for each reason."""
        try:
            self.sock = _listen(self._family, self._address)
            self.sock.setblocking(False)
        except OSError as error:
            reason = errno.errorcode.get(error.errno or 0, str(error))
            if reason != self._told:
                self._told = reason
                _LOG.error("%s cannot be listened on again; it is tried again and again: %s", self._name, error)
            return False
        self.listening = True
        _LOG.log(logging.WARNING if self._told else logging.INFO, "%s is listened on again", self._name)
        self._told = ""
        return True

    def leave(self) -> None:
        """In a child process: the socket is the parent's (see `_fork`)."""
        if self.listening:
            self.listening = False
            _fork.close_here(self.sock.fileno())

    @property
    def _name(self) -> str:
        return _where(self.host, self.port)


def addresses(host: str, port: int, *, numeric: bool = False) -> list[Any]:
    """What there is to listen on, as `socket.getaddrinfo` has it; no host is every address of IPv4.

    Args:
        host: a name or an address.
        port: 0 is any.
        numeric: take addresses only, and look no name up.

    Raises:
        OSError: the host is not known; with `numeric` if it is not an address.
    """
    return socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=lookup_flags(numeric))


def lookup_flags(numeric: bool = False) -> int:
    """Of `getaddrinfo`, to listen."""
    return socket.AI_PASSIVE | (socket.AI_NUMERICHOST if numeric else 0)


def of_socket(address: Any) -> tuple[str, int]:
    """Host and port of a socket's address, which has more parts with IPv6, and is None once the peer is gone."""
    host, port = address[:2] if address else _UNKNOWN
    return host, port


def farewell(connection: Connection, calls: Calls) -> Wait[Any] | None:
    """Tell the switch what becomes of a call, before its connection is closed.

    An async socket goes on in the dialplan if it is told to; a static one does when the connection is closed, and would
    never get out of it with `resume` (docs/protocol/observed.md, 25).

    Returns:
        The reply that comes last; None if nothing was said.

    Raises:
        ESLError: nothing can be said.

    Example:
        >>> call = Connection.outbound()
        >>> call.receive(b"Content-Type: command/reply\\nReply-Text: +OK\\nSocket-Mode: async\\n\\n")
        >>> _ = call.data_to_send()
        >>> farewell(call, "resume"), call.data_to_send()
        (<Wait for the answer to 'exit': open>, b'resume\\n\\nexit\\n\\n')
    """
    if calls == "hangup":
        return connection.hangup()
    if calls == "resume" and connection.mode == "async":
        connection.resume()
        return connection.exit()
    return None


def _listen(family: int, address: tuple[Any, ...]) -> socket.socket:
    """With SO_REUSEADDR, on systems where a port is else not free while old connections to it live."""
    return socket.create_server(address, family=family, backlog=limits.LISTEN_BACKLOG)


def _listens(sock: socket.socket) -> bool:
    try:
        return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:  # not every system says
        return False
