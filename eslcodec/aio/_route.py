"""How to connect and log in, tried as often as it takes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from .._address import unreachable
from .._options import PLAIN, LinkOptions, Way
from .._tap import Tapping
from ..connection import Connection, Question
from ..errors import ESLError
from ..reconnect import Reconnection
from ._link import Link
from ._loop import within
from ._tapped import TappedLink

_LOG: Final = logging.getLogger("eslcodec.client")


@dataclass(frozen=True, slots=True)
class Route:
    """How to get a connection that is logged in.

    Attributes:
        way: TLS, and a socket that is connected already.
        turn: is awaited before each attempt: of many clients only so many may dial at a time.
        first: what is asked after each login, before anything is subscribed to, and who hears the answer.
    """

    host: str
    port: int
    make_connection: Callable[..., Connection]
    timeout: float
    options: LinkOptions
    tapping: Tapping | None = None
    way: Way = PLAIN
    turn: Callable[[], Awaitable[None]] | None = None
    first: Question | None = None

    def make(self, **earlier: Any) -> Link:
        """A link for `reach` to connect; `earlier` is what it takes over from an earlier connection."""
        loop, connection = asyncio.get_running_loop(), self.make_connection(**earlier)
        connection._first = self.first
        if self.tapping is not None:
            return TappedLink(loop, connection, (self.host, self.port), self.tapping, **self.options)
        return Link(loop, connection, **self.options)

    async def reach(self, link: Link) -> None:
        """Connect and log in."""
        if self.turn is not None:
            await self.turn()
        loop = asyncio.get_running_loop()
        reaching = loop.create_connection(lambda: link, **self._where())
        try:
            await within(self.timeout, "connecting", reaching)
        except BaseException as error:  # create_connection cleans up, and uvloop's says nothing then: do not wait
            link.abort("it was given up")
            if isinstance(error, (OSError, UnicodeError)):
                raise unreachable(error, self.host, self.port, self.timeout) from None
            raise
        try:
            await link.outcome(link.connection.ready, self.timeout)
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError):
                link.close()
            else:
                link.abort(f"the login did not succeed: {error}")
            await link.shut.wait()
            raise

    def _where(self) -> dict[str, Any]:
        """What `create_connection` is told."""
        way = self.way
        tls = {} if way.context is None else {"ssl": way.context, "server_hostname": way.server_hostname or ""}
        if way.sock is None:
            return {"host": self.host, "port": self.port, **tls}
        way.sock.setblocking(False)
        return {"sock": way.sock, **tls}


async def first(books: Reconnection | None, route: Route) -> Link:
    """The first connection, logged in; with books after as many attempts as it takes."""
    loop = asyncio.get_running_loop()
    while True:
        link: Link | None = None
        try:
            link = route.make()
            await route.reach(link)
        except (OSError, ESLError) as error:
            if books is None:
                raise
            books.failed(error, None if link is None else link.connection.end, now=loop.time())
            if books.due is None:
                raise
            if books.is_news(error):
                _LOG.info("cannot connect yet: %s", error)
            await asyncio.sleep(books.due - loop.time())
            books.dialling()
        else:
            if books is not None:
                books.usable()
            return link
