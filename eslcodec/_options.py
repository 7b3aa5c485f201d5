"""The options of `connect` and `serve`, checked where they are given: both clients and servers take the same.

A `TypeError` or `ValueError` says what was read and what is expected, before anything is opened.
"""

from __future__ import annotations

import inspect
import math
import socket
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from numbers import Real
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict, TypeVar, cast

from . import limits
from ._caretaker import is_wanted
from .reconnect import Backoff

if TYPE_CHECKING:
    from ssl import SSLContext

F = TypeVar("F", bound=Callable[..., Any])


class ExecuteOptions(TypedDict, total=False):
    """What `execute` takes besides application and argument; see `commands.execute`.

    Example:
        >>> from eslcodec import commands
        >>> options: ExecuteOptions = {"loops": 2, "event_lock": True}
        >>> commands.execute("playback", "a.wav", **options).splitlines()[-3:-1]
        [b'event-lock: true', b'loops: 2']
    """

    event_uuid: str | None
    event_uuid_name: str | None
    loops: int | None
    event_lock: bool
    event_lock_pri: bool
    run_async: bool
    hold_bleg: bool
    lead_frames: int | None


class ConnectionOptions(TypedDict, total=False):
    """The options of `connect` and `serve` that `connection.Connection` takes.

    Example:
        >>> from eslcodec.connection import Connection
        >>> options: ConnectionOptions = {"queue_limit": 10, "when_full": "drop"}
        >>> Connection.inbound("ClueCon", **options).wants_data
        True
    """

    queue_limit: int
    queue_hard_limit: int
    when_full: Literal["pause", "drop"]
    switch_queue_limit: int | None
    pause_limit: float | None
    max_header_bytes: int
    max_body_bytes: int


class LinkOptions(TypedDict):
    """Those that the link takes: the connection and its socket."""

    keepalive: float | None
    caretaker: bool


class ClientOptions(ConnectionOptions, total=False):
    """The options of both `connect` and `serve`, in both clients; their docstrings say what each is for."""

    keepalive: float | None
    caretaker: bool


DEFAULTS: Final[dict[str, Any]] = {  # in the order in which they are shown
    "keepalive": None,
    "queue_limit": limits.EVENT_QUEUE,
    "queue_hard_limit": limits.EVENT_QUEUE_HARD,
    "when_full": "pause",
    "switch_queue_limit": limits.SWITCH_QUEUE,
    "pause_limit": limits.PAUSE_SECONDS,
    "caretaker": True,
    "max_header_bytes": limits.MAX_HEADER_BYTES,
    "max_body_bytes": limits.MAX_BODY_BYTES,
}
"""Of `ClientOptions`."""


def shows_options(function: F) -> F:
    """Have `inspect.signature` and `help` name each of the `ClientOptions` that a function takes as `**options`. Its
    module has the names that their types use.

    Example:
        >>> @shows_options
        ... def connect(host, **options): ...
        >>> str(inspect.signature(connect))[:45]
        "(host, *, keepalive: 'float | None' = None, q"
    """
    signature = inspect.signature(function)
    *own, _ = signature.parameters.values()
    kinds = {name: getattr(kind, "__forward_arg__", kind) for name, kind in ClientOptions.__annotations__.items()}
    shown = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kinds[name])
        for name, default in DEFAULTS.items()
    ]
    function.__signature__ = signature.replace(parameters=[*own, *shown])  # type: ignore[attr-defined]
    annotations = {name: kind for name, kind in function.__annotations__.items() if name != "options"}
    function.__annotations__ = {**annotations, **kinds}
    return function


def split_options(function: str, options: ClientOptions) -> tuple[LinkOptions, ConnectionOptions]:
    """What the link takes, and what the connection takes; what was not given is there too.

    Raises:
        TypeError: what no function takes, said as Python does.

    Example:
        >>> link, connection = split_options("connect", {"keepalive": 30, "queue_limit": 7})
        >>> link, connection["queue_limit"], connection["when_full"]
        ({'keepalive': 30, 'caretaker': True}, 7, 'pause')
        >>> split_options("serve", {"quue_limit": 7})
        Traceback (most recent call last):
            ...
        TypeError: serve() got an unexpected keyword argument 'quue_limit'
    """
    for name in options:
        if name not in DEFAULTS:
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}")
    connection: dict[str, Any] = {**DEFAULTS, **options}
    link: LinkOptions = {"keepalive": connection.pop("keepalive"), "caretaker": is_wanted(connection.pop("caretaker"))}
    return link, cast("ConnectionOptions", connection)


def check_connect(
    host: object,
    port: object,
    *,
    connect_timeout: object,
    command_timeout: object,
    reconnect: object,
    keepalive: object,
) -> None:
    """The options of `connect` that are not the connection's.

    Example:
        >>> check_connect(
        ...     "::1", 8021, connect_timeout=5, command_timeout=math.inf, reconnect=Backoff(), keepalive=None
        ... )
    """
    _check_host(host)
    _check_int("port", port, 1, 65535)
    check_seconds("connect_timeout", connect_timeout)
    check_seconds("command_timeout", command_timeout)
    if not isinstance(reconnect, (bool, Backoff)):
        raise TypeError(f"reconnect is {reconnect!r:.80}, expected True, False or a Backoff")
    _check_keepalive(keepalive)


@dataclass(frozen=True, slots=True)
class Way:
    """How a connection gets to its switch, besides host and port.

    Attributes:
        context: for TLS; None without.
        server_hostname: the name that the certificate must have.
        sock: a socket that is connected already; None to make one.
    """

    context: SSLContext | None = None
    server_hostname: str | None = None
    sock: socket.socket | None = None


PLAIN: Final = Way()
"""Without TLS, by a socket of our own."""


def check_way(
    host: str, port: int, ssl: object, server_hostname: object, sock: object, reconnect: object
) -> tuple[str, int, Way]:
    """Host and port, and the way there: the options `ssl`, `server_hostname` and `sock` of `connect`.

    Example:
        >>> check_way("127.0.0.1", 8021, False, None, None, True)[2]
        Way(context=None, server_hostname=None, sock=None)
    """
    context = _context(ssl)
    if server_hostname is not None and not isinstance(server_hostname, str):
        raise TypeError(f"server_hostname is {server_hostname!r:.80}, expected str")
    if server_hostname is not None and context is None:
        raise ValueError("server_hostname is given, which is for ssl")
    if sock is None:
        return host, port, Way(context, (server_hostname or host) if context else None)
    if not isinstance(sock, socket.socket) or hasattr(sock, "context"):
        raise TypeError(f"sock is {sock!r:.80}, expected a plain socket that is connected (TLS is ssl=)")
    if (host, port) != ("127.0.0.1", 8021):
        raise ValueError("sock is given, and host or port too, expected one or the other: the socket is connected")
    if reconnect:
        raise ValueError("reconnect is given with sock, expected one or the other: a socket cannot be connected again")
    if context is not None and context.check_hostname and server_hostname is None:
        raise ValueError("ssl is given with sock, expected server_hostname too: the name in the certificate")
    if sock.type != socket.SOCK_STREAM:
        raise ValueError(f"sock is {sock!r:.80}, expected a stream, such as TCP")
    try:
        peer = sock.getpeername()
    except OSError as error:
        raise type(error)(error.errno, f"{error.strerror}: sock is to be a socket that is connected") from None
    host, port = peer[:2] if isinstance(peer, tuple) else ("", 0)
    return host, port, Way(context, server_hostname, sock)


def _context(ssl: object) -> SSLContext | None:
    if ssl is False or ssl is None:
        return None
    tls = import_module("ssl")  # which takes a while, and few need it
    if ssl is True:
        made: SSLContext = tls.create_default_context()
        return made
    if not isinstance(ssl, tls.SSLContext):
        raise TypeError(f"ssl is {ssl!r:.80}, expected True, False or an SSLContext")
    return cast("SSLContext", ssl)


def check_serve(
    host: object,
    port: object,
    *,
    sock: object = None,
    max_calls: object,
    first_frame_timeout: object,
    command_timeout: object,
    keepalive: object,
) -> None:
    """The options of `serve` that are not the connections'.

    Example:
        >>> check_serve("", 0, max_calls=0, first_frame_timeout=10, command_timeout=30, keepalive=None)
        Traceback (most recent call last):
            ...
        ValueError: max_calls is 0, expected 1 or more
    """
    _check_host(host)
    _check_int("port", port, 0, 65535)
    if sock is not None:
        _check_sock(sock, host, port)
    _check_int("max_calls", max_calls, 1)
    check_seconds("first_frame_timeout", first_frame_timeout)
    check_seconds("command_timeout", command_timeout)
    _check_keepalive(keepalive)


def _check_host(host: object) -> None:
    if not isinstance(host, str):
        raise TypeError(f"host is {host!r:.80}, expected str")
    if host.startswith("[") or host.count(":") == 1:  # an IPv6 address has two colons at least, and no brackets here
        raise ValueError(f"host is {host!r:.80}, expected a name or address: the port is an argument beside it")


def check_calls(calls: object) -> None:
    """What shall become of running calls.

    Example:
        >>> check_calls("hangup")
    """
    if calls not in ("leave", "hangup", "resume"):
        raise ValueError(f"calls is {calls!r:.80}, expected 'leave', 'hangup' or 'resume'")


def _check_sock(sock: object, host: object, port: object) -> None:
    if not isinstance(sock, socket.socket):
        raise TypeError(f"sock is {sock!r:.80}, expected a socket that listens")
    if (host, port) != ("127.0.0.1", 0):
        raise ValueError("sock is given, and host or port too, expected one or the other: the socket has an address")
    if sock.type != socket.SOCK_STREAM or sock.family not in (socket.AF_INET, socket.AF_INET6):
        raise ValueError(f"sock is {sock!r:.120}, expected one for TCP")
    if not sock.getsockname()[1]:
        raise ValueError(f"sock is {sock!r:.120}, expected one that is bound to an address")


def _check_int(name: str, number: object, low: int, high: int | None = None) -> None:
    if isinstance(number, bool) or not isinstance(number, int):
        raise TypeError(f"{name} is {number!r:.80}, expected int")
    if number < low or (high is not None and number > high):
        raise ValueError(f"{name} is {number}, expected {low} {'or more' if high is None else f'to {high}'}")


def check_seconds(name: str, seconds: object) -> None:
    """How long something may take.

    Example:
        >>> check_seconds("patience", -1)
        Traceback (most recent call last):
            ...
        ValueError: patience is -1, expected seconds, 0 or more (math.inf: no limit)
    """
    if not _number(name, seconds) >= 0:  # nor is NaN
        raise ValueError(f"{name} is {seconds}, expected seconds, 0 or more (math.inf: no limit)")


def _check_keepalive(keepalive: object) -> None:
    if keepalive is not None and not 0 < _number("keepalive", keepalive) < math.inf:
        raise ValueError(f"keepalive is {keepalive}, expected seconds, more than 0, or None")


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} is {value!r:.80}, expected a number of seconds")
    return float(value)
