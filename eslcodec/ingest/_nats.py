"""What publishing and consuming need of NATS's library alike: it, a connection to one server, questions to its API."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from nats.aio.client import Client

CONNECT_TIMEOUT: Final = 2.0
"""Seconds for a connection, and for an answer of the API: the next server of the cluster is tried then."""

NO_STREAM: Final = 10059
NO_CONSUMER: Final = 10014

_API: Final = "$JS.API"
_DELAY: Final = 0.05  # seconds, before the second try
_DELAY_MOST: Final = 2.0
_NAME: Final = re.compile(r"[^\s.*>/\\]+")


def library(what: str = "NATS") -> Any:
    """The library, loaded when it is needed.

    Args:
        what: needs it, for the message.

    Raises:
        ImportError: it is not installed; the text says what to install.
    """
    try:
        import nats
        import nats.errors
    except ImportError as error:
        raise ImportError(f"{what} needs nats-py: pip install 'eslcodec[nats]'") from error
    return nats


def errors() -> Any:
    """The base of the library's errors."""
    return library().errors.Error


def check_servers(servers: str | Any, stream: str) -> list[str]:
    """Servers as a list, of which there is one at least, and the name of a stream.

    Raises:
        ValueError: there is none, or it is no name.
    """
    listed = [servers] if isinstance(servers, str) else list(servers)
    if not listed:
        raise ValueError("there are no servers")
    check_name(stream, "a stream")
    return listed


def check_name(name: str, of: str) -> None:
    """See that it can be a name.

    Raises:
        ValueError: it cannot.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r:.200} is no name of {of}, expected one without blanks and any of . * > / \\")


async def connect(
    server: str,
    options: Mapping[str, Any],
    wrong: Callable[[Exception], None],
    over: Callable[[], None],
) -> Client:
    """A connection to one server: which is tried next, and when, is decided by us, and what a lost connection had taken
    is never sent behind our back.

    Args:
        server: its URL.
        options: of `nats.connect`: credentials, TLS.
        wrong: is told of errors once it stands; what it raises goes to the library.
        over: is told when it has ended.

    Raises:
        OSError: of a file with a key or a certificate, or of what is no server of NATS, too.
    """
    connection: Client = library().NATS()
    stands = False

    async def error_cb(error: Exception) -> None:
        if not connection.is_connected and not stands:
            raise error  # else the library would try again and again
        wrong(error)

    async def closed_cb() -> None:
        over()

    try:
        await connection.connect(
            servers=[server],
            allow_reconnect=False,
            error_cb=error_cb,
            closed_cb=closed_cb,
            skip_subject_validation=True,  # made of tokens, and of names that were checked
            **{"connect_timeout": CONNECT_TIMEOUT, **options},
        )
    except BaseException as error:
        await close(connection)
        if isinstance(error, (errors(), OSError, asyncio.TimeoutError)) or not isinstance(error, Exception):
            raise
        raise ConnectionError(said(error)) from error
    stands = True
    return connection


async def close(connection: Client) -> None:
    """Close a connection, whatever state it is in, and go on after a while even if it does not end: the library
    swallows some cancellations."""
    closing = asyncio.ensure_future(connection.close())
    closing.add_done_callback(lambda task: task.cancelled() or task.exception())
    await asyncio.wait({closing}, timeout=CONNECT_TIMEOUT)
    closing.cancel()


async def ask(connection: Client, subject: str, request: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A question to JetStream's API, and the answer, which may be an `error`."""
    data = json.dumps(request).encode() if request else b""
    answer = await connection.request(f"{_API}.{subject}", data, timeout=CONNECT_TIMEOUT)
    read: dict[str, Any] = json.loads(answer.data)
    return read


def header(message: Mapping[str, Any], name: str) -> str | None:
    """A header of a message as the API gives it."""
    head = base64.b64decode(message.get("hdrs") or "").decode("utf-8", "replace")
    match = re.search(rf"\r\n{name}: *([^\r\n]+)", head, re.IGNORECASE)
    return match[1] if match else None


def version(connection: Client) -> tuple[int, ...]:
    """The version of the server; empty if it says none."""
    said = connection.connected_server_version
    try:
        numbers = said.major, said.minor, said.patch
    except ValueError:  # something else than three numbers
        return ()
    return numbers if any(numbers) else ()


def delay(tries: int) -> float:
    """How many seconds to wait before it is tried again."""
    return 0.0 if tries < 1 else min(_DELAY * 2.0 ** min(tries - 1, 16), _DELAY_MOST)


def said(error: BaseException) -> str:
    """What an error says."""
    return str(error) or type(error).__name__
