"""`connect`: the way to the switch, and a client once it is connected."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, Literal  # noqa: F401  # Literal: as the options are shown

from .._address import address
from .._options import ClientOptions, check_connect, check_way, shows_options, split_options
from .._tap import Tap, Tapping, check_tap
from ..connection import Connection
from ..reconnect import Backoff, Password, Reconnection, password_now
from ._client import Client
from ._opening import Opening
from ._route import Route, first

if TYPE_CHECKING:
    from ssl import SSLContext

    from typing_extensions import Unpack
else:
    SSLContext = Any  # `ssl` takes a while to load, and few need it


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
) -> Opening[Client]:
    """Connect to a switch and log in: `async with connect(...) as fs`, or `fs = await connect(...)` and `fs.close()`.

    Args:
        host, port: of the switch's event_socket.conf.
        password: None is the switch's own default, ClueCon. A function that returns it (and does not block), or the
            path of the file that it stands in, is asked again at each attempt; a refused login is tried again then,
            slowly.
        user: "user@domain" for a directory user.
        connect_timeout: seconds for the connection, and once more for the login.
        command_timeout: seconds within which a reply must come.
        reconnect: whether to connect again when the connection ended unasked. Everything subscribed to, filters and log
            level are set up again, and a `Gap` tells readers how long nothing came. A command waits meanwhile, if an
            attempt is due within its timeout, else it raises ConnectionClosed; one of which a byte was sent is never
            sent again (`ConnectionClosed.maybe_done`). A `Backoff` says when; a switch that does not let us in any more
            ends it, or one that refuses what was subscribed to three times.
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
        keepalive: seconds without a byte after which the switch is asked for a sign of life; after as long again the
            connection is given up. None: never. It is not asked while reading is paused because the queue is full.
        queue_limit: messages that may wait for a reader.
        queue_hard_limit: the same while a reply is waited for; then waiting ends with EventQueueFull.
        switch_queue_limit: how many events may wait in the switch, by our estimate, because the queue is full and
            nobody takes them. With more the connection ends, with ReaderTooSlow, before the switch kills it. None: no
            limit.
        pause_limit: the same for the seconds that the socket may stay unread though something is in it.
        caretaker: whether a timer looks at these two. ESLCODEC_CARETAKER=0 is False for all.
        when_full: what happens at `queue_limit`: "pause" reading, or "drop" the oldest and count in `dropped`.
        max_header_bytes, max_body_bytes: bounds of a frame.

    Raises:
        OSError: no connection (ConnectionRefusedError, socket.gaierror, TimeoutError, ...); it says where.
        AuthError: wrong password or user.
        AccessDenied: the switch's ACL.
        CommandTimeout: the login was not answered in time.
        ConnectionClosed: the connection ended before.
        InvalidCommand: password or user cannot be sent.
        TypeError, ValueError: an option is wrong; this and InvalidCommand are raised at once, not when it is awaited.
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
    Reconnection.of(reconnect, password, connect_first)  # which may object
    check_tap(tap)

    def make_with(secret: str, **earlier: Any) -> Connection:
        return Connection.inbound(secret, user, where=address(host, port), **of_connection, **earlier)

    def make_connection(**earlier: Any) -> Connection:
        return make_with(password_now(password), **earlier)

    make_with(password if isinstance(password, str) else "ClueCon")  # wrong options are an error here

    async def open() -> Client:
        tapping = None if tap is None else Tapping(tap)
        route = Route(host, port, make_connection, connect_timeout, of_link, tapping, way=way)
        books = Reconnection.of(reconnect, password, connect_first)
        link = await first(books if connect_first else None, route)
        return Client(link, (host, port), command_timeout, books, route)

    return Opening(open)
