"""`connect`: dial, log in, make a client of it."""

from __future__ import annotations

import logging
import math
import socket
import time
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal  # noqa: F401  # Literal: as the options are shown

from .._address import address, unreachable
from .._options import ClientOptions, Way, check_connect, check_way, shows_options, split_options
from .._tap import Tap, Tapping, check_tap
from ..connection import Connection
from ..errors import ESLError
from ..reconnect import Backoff, Password, Reconnection, password_now
from ._client import Client
from ._link import Link
from ._tapped import TappedLink

if TYPE_CHECKING:
    from ssl import SSLContext

    from typing_extensions import Unpack

    from ._tls import TlsSocket
else:
    SSLContext = Any  # `ssl` takes a while to load, and few need it

_LOG: Final = logging.getLogger("eslcodec.client")


def first(books: Reconnection | None, dial: Callable[[], Link], seconds: float) -> Link:
    """The first connection, logged in; with books after as many attempts as it takes."""
    while True:
        link = None
        try:
            link = dial()
            link.log_in(seconds)
        except (OSError, ESLError) as error:
            if books is None:
                raise
            books.failed(error, None if link is None else link.end, now=time.monotonic())
            if books.due is None:
                raise
            if books.is_news(error):
                _LOG.info("cannot connect yet: %s", error)
            time.sleep(max(books.due - time.monotonic(), 0))
            books.dialling()
        else:
            if books is not None:
                books.usable()
            return link


@shows_options
def connect(
    host: str = "127.0.0.1",
    port: int = 8021,
    *,
    password: Password | None = None,
    user: str | None = None,
    connect_timeout: float = 5,
    command_timeout: float = 30,
    reconnect: bool | Backoff = False,
    connect_first: bool = False,
    tap: Tap | None = None,
    ssl: bool | SSLContext = False,
    server_hostname: str | None = None,
    sock: socket.socket | None = None,
    **options: Unpack[ClientOptions],
) -> Client:
    """Connect to a switch and log in.

    Args:
        host, port: of the switch's event_socket.conf.
        password: None is the switch's own default, ClueCon. A function that returns it, or the path of the file that it
            stands in, is asked again at each attempt; a refused login is tried again then, slowly.
        user: "user@domain" for a directory user.
        connect_timeout: seconds for the connection, and once more for the login.
        command_timeout: seconds within which a reply must come.
        reconnect: whether a connection that ended unasked is set up again, by whoever reads or sends a command. A
            `Backoff` says with which pauses. Everything subscribed to, filters and log level are asked for again, and a
            `Gap` tells how long nothing came. An attempt that has begun is finished, whatever the timeout of the
            reader. A command that finds the connection gone makes the attempt itself, or waits for it, if one is due
            within its timeout; else it raises ConnectionClosed. A command of which a byte was sent is never sent again
            (`ConnectionClosed.maybe_done`). A switch that does not let us in any more ends it, or one that refuses what
            was subscribed to three times.
        connect_first: whether `reconnect` covers the first connection too: this returns when there is one, or raises
            when no attempt is left.
        tap: is told each connection, exactly the bytes that are read, before they are parsed, and the commands that are
            sent, the login included (`eslcodec.Tap`), such as `eslcodec.ingest.Recorder`. One that raises is
            dropped, `stats().tap` says why, and the connection goes on.
        ssl: TLS, for a switch behind a tunnel such as stunnel (FreeSWITCH has none itself): True checks the certificate
            as browsers do, an SSLContext does as it says.
        server_hostname: the name in the certificate, if it is not `host`.
        sock: a socket that is connected already, instead of host and port. It is the client's from now on; as it
            cannot be connected again, `reconnect` does not go with it.
        keepalive: seconds without a byte after which the switch is asked for a sign of life, while somebody reads;
            after as long again the connection is given up. None: never.
        queue_limit: see `when_full`; while nobody waits nothing is read, so that this only counts during commands.
        queue_hard_limit: events that may come before a reply; more is EventQueueFull.
        switch_queue_limit: how many events may wait in the switch, by our estimate, because the queue is full and
            nobody takes them. With more the connection ends, with ReaderTooSlow, before the switch kills it. None: no
            limit.
        pause_limit: the same for the seconds that the socket may stay unread though something is in it.
        caretaker: whether, once events were asked for, a thread of the process reads while nobody else does, which
            also sends keepalive probes and has due reconnections tried. ESLCODEC_CARETAKER=0 is False for all.
        when_full: "drop": while a reply is waited for, only the newest `queue_limit` events are kept, `dropped` counts.
        max_header_bytes, max_body_bytes: bounds of a frame.

    Raises:
        OSError: no connection (ConnectionRefusedError, socket.gaierror, TimeoutError, ...); it says where.
        AuthError: wrong password or user.
        AccessDenied: the switch's ACL.
        CommandTimeout: the login was not answered in time.
        ConnectionClosed: the connection ended before.
        InvalidCommand: password or user cannot be sent.
        TypeError, ValueError: an option is wrong.
    """
    of_link, of_connection = split_options("connect", options)
    check_connect(
        host,
        port,
        connect_timeout=connect_timeout,
        command_timeout=command_timeout,
        reconnect=reconnect,
        keepalive=of_link["keepalive"],
    )
    host, port, way = check_way(host, port, ssl, server_hostname, sock, reconnect)
    where = address(host, port)
    books = Reconnection.of(reconnect, password, connect_first)
    check_tap(tap)
    tapping = None if tap is None else Tapping(tap)

    def dial(lost: Link | None, seconds: float) -> Link:
        earlier: dict[str, Any] = {}
        if lost is not None:
            earlier["subscriptions"] = lost.connection.subscriptions
            earlier["queue"] = lost.connection.queue
            earlier["gap"] = lambda: books.gap(time.monotonic())
        connection = Connection.inbound(password_now(password), user, where=where, **of_connection, **earlier)
        reached = _reach(host, port, seconds, way)
        if tapping is not None:
            return TappedLink(reached, connection, (host, port), tapping, **of_link)
        return Link(reached, connection, **of_link)

    link = first(books if connect_first else None, lambda: dial(None, connect_timeout), connect_timeout)
    return Client(link, (host, port), command_timeout, books, dial, connect_timeout)


def _reach(host: str, port: int, seconds: float, way: Way) -> socket.socket | TlsSocket:
    """A socket that is connected, and has TLS if it is to. What goes wrong says where."""
    limit = None if seconds == math.inf else seconds
    try:
        sock = way.sock or socket.create_connection((host, port), limit)
        return sock if way.context is None else _protected(sock, way, limit)
    except (OSError, UnicodeError) as error:
        raise unreachable(error, host, port, seconds) from None


def _protected(sock: socket.socket, way: Way, limit: float | None) -> TlsSocket:
    tls = import_module("._tls", __package__)  # with `ssl`, which takes a while, and few need it
    try:
        layer = tls.Tls(way.context, way.server_hostname)
        layer.shake_hands(sock, limit)
        protected: TlsSocket = tls.TlsSocket(sock, layer)
    except BaseException:
        sock.close()
        raise
    return protected
