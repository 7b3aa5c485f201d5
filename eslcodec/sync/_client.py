"""The blocking client: reading, handlers, and setting a lost connection up again."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeVar, overload

from .. import limits
from .._caretaker import CARETAKER
from .._codec import Message
from .._ctext import word
from .._words import check_handled, check_handler
from ..connection import Connection
from ..errors import ESLError
from ..events import Event
from ..flow import Stats, Totals
from ..reconnect import Reconnection
from ..subscriptions import Subscriptions
from ._link import RETRY, Gone, Link, seconds_left
from ._operator_verbs import OperatorVerbs
from ._readers import read

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

P = ParamSpec("P")
T = TypeVar("T")
Handler = Callable[[Event], object]
H = TypeVar("H", bound=Handler)

_LOG: Final = logging.getLogger("eslcodec.client")


class Client(OperatorVerbs):
    """A connection to a switch, logged in; `connect` makes it. A context manager that closes it.

    Every command takes `timeout`, in seconds; None is the client's `command_timeout` (no limit where the reply waits
    for an application, on a static socket), `math.inf` no limit. What all of them raise: CommandTimeout (the connection
    stays usable), ConnectionClosed or the error that ended the connection, EventQueueFull, InvalidCommand (nothing was
    sent). What the switch refuses is a CommandError; of `send`, `pipeline`, `api` and `getvar` it is data.

    Attributes:
        host, port: of the switch.

    Example:
        >>> from eslcodec import connect
        >>> from eslcodec.emulator import Emulator
        >>> with Emulator() as switch, connect("127.0.0.1", switch.port) as fs:
        ...     fs.subscribe("DTMF").text
        ...     switch.fire("DTMF", {"DTMF-Digit": "#"})
        ...     fs.next_event(timeout=5)["DTMF-Digit"]
        '+OK event listener enabled plain'
        '#'
    """

    def __init__(
        self,
        link: Link,
        address: tuple[str, int],
        command_timeout: float,
        books: Reconnection | None = None,
        redial: Callable[[Link, float], Link] | None = None,
        login_timeout: float = 0,
    ) -> None:
        self.host, self.port = address
        self._link = link
        self._queue = link.connection.queue
        self._command_timeout = command_timeout
        self._closing = threading.Event()
        self._totals = Totals()
        self._handlers: dict[str, list[tuple[str | None, Handler]]] = {}
        self._books = books or Reconnection(None)
        self._redial = redial
        self._login_timeout = login_timeout
        self._dialling = threading.RLock()  # guards the books and the rest; says whether this thread has it
        self._next: Link | None = None  # while it logs in
        self._lost: Link | None = None  # whose end is in the books
        if link.caretaker and self._books.reconnects:
            CARETAKER.note(self)

    def __repr__(self) -> str:
        end = self._books.over or self.connection.end
        state = "open" if end is None else "connecting again" if not self.closed else f"closed: {end.reason}"
        return f"<{type(self).__name__} {self.host}:{self.port} {state}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def connection(self) -> Connection:
        """The state of the protocol; another one after a reconnection."""
        return self._link.connection

    @property
    def subscriptions(self) -> Subscriptions:
        """What was subscribed to."""
        return self.connection.subscriptions

    @property
    def dropped(self) -> int:
        """Messages dropped because the queue was full (`when_full="drop"`)."""
        return self._totals.dropped + self.connection.dropped

    def stats(self) -> Stats:
        """Numbers over all connections of this client: what is queued, was received, is left unread."""
        link = self._link
        tap = link.tap_stats()
        with link._lock:
            link.measure()
            return self._totals.stats(link.connection, caretaker=link.caretaker and CARETAKER.running, tap=tap)

    @property
    def connected(self) -> bool:
        """Whether there is a connection now: not after its end, nor while it is set up again (`reconnect`). An end is
        noticed by whoever reads or sends, or by the caretaker."""
        return self.connection.end is None

    @property
    def closed(self) -> bool:
        """Whether the connection has ended and will not be set up again. Notices only what somebody has read."""
        return self.connection.end is not None and not self._comes_back()

    def close(self) -> None:
        """Close the connection, from any thread: every wait ends at once with ConnectionClosed, and reading without an
        error. What was received can still be read. More than once does no harm."""
        self._closing.set()
        self._books.close()
        coming = self._next
        for link in (self._link, coming):
            if link is not None:
                link.close()

    # Reading

    def events(self, timeout: float | None = None) -> Iterator[Event]:
        """Events as they come, after a reconnection a `Gap` among them; other messages are passed over.

        It ends when the connection has ended well, that is, because we asked or with the switch's good-bye.

        Args:
            timeout: seconds without an event after which it ends too.

        Raises:
            ConnectionClosed: the connection did not end well; everything received was yielded. Or the ProtocolError
                that ended it, or AuthError or AccessDenied of a reconnection.
        """
        return read(Event, timeout, self._queue, self._more)

    def messages(self, timeout: float | None = None) -> Iterator[Message]:
        """As `events`, with log lines, linger notices (DisconnectNotice) and frames of unknown kind."""
        return read(Message, timeout, self._queue, self._more)

    def next_event(self, timeout: float | None = None) -> Event | None:
        """The next event; None if there was none within `timeout` seconds.

        Raises:
            ConnectionClosed: the connection has ended, well or not. Or the error that ended it.
        """
        for event in self.events(timeout):
            return event
        over = self._over()
        if over is not None:
            raise over
        return None

    def take(self, max: int = 1000, timeout: float | None = 0.5) -> list[Event]:
        """The events that wait, as a list; if there are none, those that come with the next one.

        They are the same as of `events`, in the same order, a `Gap` among them after a reconnection. For many events a
        second it costs less than `events`.

        Args:
            max: how many at most.
            timeout: seconds to wait if there is none; None for no limit, 0 to take only what has come.

        Returns:
            At least one event; [] if there was none within `timeout` seconds.

        Raises:
            ConnectionClosed: the connection has ended, well or not, and everything received was taken. Or the error
                that ended it, as of `events`.
            ValueError: `max` is less than 1.

        Example:
            >>> from eslcodec import connect
            >>> from eslcodec.emulator import Emulator
            >>> with Emulator() as switch, connect("127.0.0.1", switch.port) as fs:
            ...     fs.subscribe("DTMF").text
            ...     switch.fire("DTMF", {"DTMF-Digit": "#"})
            ...     [event["DTMF-Digit"] for event in fs.take(timeout=5)]
            '+OK event listener enabled plain'
            ['#']
        """
        if max < 1:
            raise ValueError(f"max is {max!r}, expected 1 or more")
        queue = self._queue
        taken: list[Event] = []
        deadline = math.inf if timeout is None else None
        try:
            while True:
                if queue:
                    queue.take_events(max, taken)
                    if taken:
                        return taken
                if deadline is None:
                    deadline = time.monotonic() + timeout  # type: ignore[operator]  # without one it is inf
                if not self._more(deadline):
                    over = self._over()
                    queue.take_events(max, taken)  # others may have read since
                    if over is not None and not taken:
                        raise over
                    return taken
        except BaseException:
            if taken:
                with self._link._lock:
                    queue.put_back(taken)
            raise

    def batches(
        self,
        spec: Mapping[str, str | tuple[str, str]],
        max_rows: int = 65_536,
        max_seconds: float = 1.0,
        events: Iterable[str] | None = None,
        redact: Callable[[Event], Event] | None = None,
    ) -> Iterator[Any]:
        """Columns of the events, as batches for Arrow: `eslcodec.ingest.batches`, which says more. Experimental.

        Args:
            spec: a column's name -> its kind, or a header and a kind; or one of `eslcodec.ingest.presets`.
            max_rows: of a batch.
            max_seconds: how long a row waits for others.
            events: names of events; None for all. It subscribes to none.
            redact: what is called with each event.

        Returns:
            An iterator of `eslcodec.ingest.Batch`, for `for`.
        """
        ingest = import_module("..ingest._batches", __package__)  # which stands on this module
        found: Iterator[Any] = ingest.batches(self, spec, max_rows, max_seconds, events, redact)
        return found

    def resync(
        self,
        known: Any,
        *,
        switch: str | None = None,
        settle: float = 1.0,
        clock_offset: float = 0.0,
        timeout: float | None = None,
    ) -> list[Any]:
        """Ask the switch for its channels and compare them with those that are known: `eslcodec.ingest.resync`, which
        says more. Experimental. Call it at the start, and after each `Gap` among the events.

        Args:
            known: an `eslcodec.ingest.Known`; it must have seen every event that was read.
            switch: name of the switch in the notices; None for host and port.
            settle: seconds after which it asks once more, as the switch's table is late; 0 not to.
            clock_offset: seconds that our clock is before the switch's.
            timeout: of each command, see `Client`.

        Returns:
            An `eslcodec.ingest.Ended` for each channel that is gone and whose end was missed, a `Found` for each that
            is new.

        Raises:
            CommandError: the switch refuses, or its answer is not whole. Nothing was found out then.
        """
        ingest = import_module("..ingest.resync", __package__)  # which stands on this module
        found: list[Any] = ingest.resync_blocking(
            self, known, switch=switch, settle=settle, clock_offset=clock_offset, timeout=timeout
        )
        return found

    def _over(self) -> ESLError | None:
        """What ended the connection, well or not, if it is over for good."""
        end = self.connection.end
        return (self._books.over or end).error() if end is not None and self.closed else None

    @overload
    def on(
        self, name: str, handler: None = None, *, subclass: str | None = None, unknown: bool = False
    ) -> Callable[[H], H]: ...
    @overload
    def on(self, name: str, handler: H, *, subclass: str | None = None, unknown: bool = False) -> H: ...
    def on(
        self, name: str, handler: H | None = None, *, subclass: str | None = None, unknown: bool = False
    ) -> H | Callable[[H], H]:
        """Have `run` call a handler for events of this name; there may be several.

        Args:
            name: such as "DTMF"; "ALL" for every event.
            handler: called with the event. Without one this is a decorator: `@fs.on("DTMF")`.
            subclass: of CUSTOM, only events of this subclass.
            unknown: whether a name that FreeSWITCH 1.11 does not have is meant: nothing is said about it then.

        Raises:
            InvalidCommand: what no event can match: a subclass or a pattern for a name, a known name misspelt.
            TypeError: no function, an async def, which nothing here awaits, or one with a `yield`.
            ValueError: `subclass` of something else than CUSTOM.
        """
        handled = check_handled(name, subclass, unknown)

        def add(handler: H) -> H:
            check_handler(handler)
            self._handlers.setdefault(handled, []).append((subclass, handler))
            return handler

        return add if handler is None else add(handler)

    def run(self) -> None:
        """Read events and call their handlers, one after the other, until the connection ends.

        A handler's exception is logged (logger "eslcodec") and hurts no other.

        Raises:
            ConnectionClosed: as `events`.
        """
        for event in self.events():
            for handler in self._handlers_of(event):
                try:
                    handler(event)
                except Exception:
                    _LOG.exception("a handler of %s failed", word(event.name or ""))

    def _handlers_of(self, event: Event) -> list[Handler]:
        registered = [*self._handlers.get(event.name or "", ()), *self._handlers.get("ALL", ())]
        return [handler for subclass, handler in registered if subclass in (None, event.subclass)]

    def _more(self, deadline: float) -> bool:
        """Wait until something may be in the queue; False if there is nothing in time, or the end was clean."""
        link = self._link
        return link.more(deadline) or self._goes_on(link, deadline)

    def _goes_on(self, link: Link, deadline: float) -> bool:
        """This link gives nothing more. Whether another one will: False at the deadline, or if the end was clean."""
        end = link.connection.end
        if end is None:
            return False
        if self._comes_back():
            return self._reconnect(link, deadline)
        error = self._books.told(end)
        if error is None:
            return False
        raise error

    # Reconnection

    def _comes_back(self) -> bool:
        end = self.connection.end
        return end is not None and self._books.returns_from(end)

    def _reconnect(self, lost: Link, deadline: float, *, command: bool = False) -> bool:
        """Set the connection up again, or wait until another thread has; False at the deadline.

        For a reader an attempt that has begun is finished. For a command nothing lasts beyond its deadline, and there
        is no point in waiting for an attempt that is due after it.
        """
        if command and self._lost is lost and (self._books.due or 0) > deadline:
            return False
        try:
            if not self._dialling.acquire(timeout=seconds_left(deadline)):
                return time.monotonic() < deadline
            due = self._due(lost)
            if due is None:
                return True
            if command and due > deadline:
                return False
            if not self._closing.wait(seconds_left(min(due, deadline))) and time.monotonic() >= due:
                self._attempt(lost, deadline if command else math.inf)
                return True
            return time.monotonic() < deadline
        finally:
            if self._dialling._is_owned():  # type: ignore[attr-defined]
                self._dialling.release()

    def _due(self, lost: Link) -> float | None:
        """When the next attempt is; None if there will be none, or is a connection already."""
        if self._link is not lost or not self._comes_back():
            return None
        now = time.monotonic()
        if self._lost is not lost:
            _LOG.warning("lost the connection to %s:%s: %s", self.host, self.port, lost.end.reason)
            lasted, last = lost.ended_at - lost.began, lost.connection.last_event
            self._books.lost(lost.end, lasted=lasted, since=lost.gone, now=now, last=last)
            self._lost = lost
        self._books.plan(now)
        return self._books.due if self._books.over is None else None

    def _attempt(self, lost: Link, deadline: float) -> None:
        assert self._redial is not None
        seconds = min(self._login_timeout, max(deadline - time.monotonic(), RETRY))
        self._books.dialling()
        link = None
        try:
            link = self._next = self._redial(lost, seconds)
            if self._closing.is_set():
                link.close()
            link.log_in(min(seconds, max(deadline - time.monotonic(), RETRY)))
        except Exception as error:  # an error of the function that gives the password does not end the client either
            if self._books.is_news(error):
                _LOG.info("cannot connect to %s:%s again: %s", self.host, self.port, error)
            self._failed(link, error)
        else:
            self._adopt(link)
            self._books.usable()
            _LOG.info("connected to %s:%s again", self.host, self.port)
        finally:
            self._next = None

    def _failed(self, link: Link | None, error: Exception) -> None:
        now = time.monotonic()
        if link is not None and link.connection.gap_told:
            self._lost = link
            self._adopt(link)
            self._books.failed(error, link.end, now=now, since=link.gone, last=link.connection.last_event)
        else:
            self._books.failed(error, None if link is None else link.end, now=now)

    def _adopt(self, link: Link) -> None:
        self._totals.add(self.connection)
        self._link = link

    def _tend(self) -> float | None:
        """For the caretaker: have a reconnection tried that is due."""
        link = self._link
        if link.connection.end is None:
            return limits.CARETAKER_SECONDS
        if not self._comes_back():
            return None
        if self._dialling.acquire(blocking=False):
            try:
                due = self._due(link)
            finally:
                self._dialling.release()
            if due is not None and time.monotonic() >= due:
                threading.Thread(target=self._try_again, args=(link,), name="eslcodec-reconnect", daemon=True).start()
        return limits.CARETAKER_SECONDS

    def _try_again(self, lost: Link) -> None:
        with suppress(ESLError):  # the books keep it, for whoever reads next
            self._reconnect(lost, time.monotonic())

    # Commands

    def _issue(
        self,
        timeout: float | None,
        command: Callable[Concatenate[Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> tuple[Link, T]:
        """Send a command: the link that took it, and what the connection returned. If the connection is gone, the
        attempt to set it up again that is due in time is made first, or waited for."""
        deadline = time.monotonic() + (self._command_timeout if timeout is None else timeout)

        def make(connection: Connection) -> T:
            if connection.end is not None and self._redial is not None:
                raise Gone
            return command(connection, *args, **kwargs)

        while True:
            link = self._for_command(deadline)
            link.writable(deadline)
            try:
                return link, link.begin(make)
            except Gone:
                if self._link is link and not self._comes_back():
                    raise (self._books.over or link.end).error() from None

    def _for_command(self, deadline: float) -> Link:
        """The link that a command goes to."""
        link = self._link
        while self._redial is not None and link.has_ended() and self._comes_back():
            if not self._reconnect(link, deadline, command=True):
                raise link.end.error()
            link = self._link
        over = self._books.over
        if over is not None and over is not link.connection.end:
            raise over.error()
        return link

    def _now(self) -> float:
        return time.monotonic()
