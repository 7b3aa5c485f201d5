"""One Event Socket connection without I/O: login, order of replies, background jobs, executions, end.

Bytes go in (`receive`, or `get_buffer` and `buffer_updated`), bytes come out (`data_to_send`); what a caller waits for
is a `Wait`, which the connection fills. Events go to `queue` in the order they came. The blocking and the asyncio
client each add a socket to it: every decision about the protocol is made here.

    >>> connection = Connection.inbound("ClueCon")
    >>> connection.receive(b"Content-Type: auth/request\\n\\n")
    >>> connection.data_to_send()
    b'auth ClueCon\\n\\n'
    >>> connection.receive(b"Content-Type: command/reply\\nReply-Text: +OK accepted\\n\\n")
    >>> status = connection.api("status")
    >>> connection.data_to_send()
    b'api status\\n\\n'
    >>> connection.receive(b"Content-Type: api/response\\nContent-Length: 3\\n\\nUP\\n")
    >>> status.result().text
    'UP\\n'

How it works:

* The switch answers commands in the order in which it got them, one reply each. So commands that were sent form a
  queue, and the first in it gets the next reply, even if its caller gave up (`_pipeline.py`; the commands are in
  `_verbs.py`).
* The result of a background job, and the end of an application, are events with a uuid that we chose (`_jobs.py`,
  `_channel.py`). Such events are asked for when they are first needed, and reach `queue` only if the user asked for
  them too (`_needs.py`).
* After the channel has hung up, a command that acts on it is not sent but raises ChannelEnded (`_channel.py`).
* A connection ends once, for one reason, kept in `end`; every `Wait` that is still open fails with that.
* Whether more should be read is said here (`wants_data`), since it depends on who waits: the queue's bound is soft
  while somebody waits for a reply, because the reply stands after the events on the wire.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import TYPE_CHECKING, Final, Literal, ParamSpec

from . import commands, limits
from ._codec import Message
from ._getvar import variable
from ._options import ConnectionOptions as ConnectionOptions
from ._renamed import Renamed
from ._verbs import PROBE, Verbs
from .errors import (
    AccessDenied,
    AuthError,
    CommandTimeout,
    ConnectionClosed,
    ESLError,
    EventQueueFull,
    IncompleteFrame,
    InvalidCommand,
    LoginTooLarge,
    ProtocolError,
)
from .events import (
    ApiResponse,
    AuthRequest,
    CommandReply,
    Decoder,
    DisconnectNotice,
    Event,
    Gap,
    RudeRejection,
)
from .flow import Flow
from .message_queue import MessageQueue
from .reconnect import End, GapNotice
from .render import FAREWELL
from .subscriptions import Subscriptions
from .waits import Reply as Reply
from .waits import Wait

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["AllOptions", "Connection", "End", "MessageQueue", "Wait", "variable"]

P = ParamSpec("P")

_ONLY_EVENTS: Final = frozenset([Event])

Question = tuple[bytes, Callable[[Reply], object]]
"""An API command, and what hears the reply."""


class AllOptions(ConnectionOptions, total=False):
    """What `Connection.inbound` and `Connection.outbound` take by name; `Connection` says what each is.

    Example:
        >>> options: AllOptions = {"queue_limit": 1000, "when_full": "drop", "where": "127.0.0.1:8021"}
        >>> Connection.inbound("ClueCon", **options).queue_limit
        1000
    """

    subscriptions: Subscriptions | None
    gap: Callable[[], Gap] | None
    queue: MessageQueue | None
    where: str


def _check_queue(limit: int, hard_limit: int, when_full: str) -> None:
    if when_full not in ("pause", "drop"):
        raise ValueError(f"when_full is {when_full!r}, expected 'pause' or 'drop'")
    if not 0 < limit <= hard_limit:
        raise ValueError(f"read queue_limit {limit}, expected 1 to queue_hard_limit ({hard_limit})")


def _login_at(where: str) -> str:
    return f"the login at {where}" if where else "the login"


def _by_classmethod(init: Callable[P, None]) -> Callable[P, None]:
    """Make a call of the class itself, as if it were a client, raise an error that says how a connection is made."""

    @wraps(init)
    def made(*args: P.args, **options: P.kwargs) -> None:
        if "greeted" not in options:
            raise TypeError("a Connection is made by Connection.inbound(password) or Connection.outbound()")
        init(*args, **options)

    return made


class Connection(Verbs):
    """The state of one connection. Not safe for several threads at once: its owner has to lock.

    Make one with `Connection.inbound` or `Connection.outbound`. Its commands are those of `Verbs`.

    Args:
        login: the command that begins it.
        greeted: whether the switch speaks first.
        subscriptions: what to ask for after login, such as an earlier connection's; it is kept up to date.
        gap: makes the notice of what was missed. It goes into `queue` before any new message, once everything in
            `subscriptions` is asked for. If the connection ends before that, it goes there at the end, if messages
            came.
        queue: where messages go; an earlier connection's, to go on in it.
        queue_limit: messages that may wait in `queue` before `wants_data` says stop (`limits.EVENT_QUEUE`). However
            few they are, `limits.EVENT_QUEUE_BYTES` stops it as well.
        queue_hard_limit: the same while somebody waits for a reply (`limits.EVENT_QUEUE_HARD`, and `_BYTES`).
        when_full: "pause" reading, or "drop" the oldest message and count it in `dropped`.
        switch_queue_limit, pause_limit: see `Flow`; `heed` ends the connection beyond them.
        max_header_bytes, max_body_bytes: bounds of the decoder.
        where: host and port of the switch, for the errors of the login.

    Attributes:
        queue: events, log lines, linger notices and frames of unknown kind, oldest first. Whoever reads takes them out
            with `popleft` (safe from any thread). With `gap` it is a separate one until `ready`.
        gap_told: whether the notice of what was missed went into `queue`.
        dropped: messages dropped from `queue`.
        ready: settled with the reply to the login, once everything in `subscriptions` is asked for too.
        end: why the connection ended, None while it has not.
        last_event: the event that came last; None if there was none.
        unsent: how many bytes of what `data_to_send` gave were not sent yet; its owner says so.
        received_events: how many events came.
        flow: how far the reader is behind the switch.

    Example:
        >>> connection = Connection.outbound()
        >>> connection.data_to_send()
        b'connect\\n\\n'
    """

    @_by_classmethod
    def __init__(
        self,
        login: bytes,
        *,
        greeted: bool,
        subscriptions: Subscriptions | None = None,
        gap: Callable[[], Gap] | None = None,
        queue: MessageQueue | None = None,
        queue_limit: int = limits.EVENT_QUEUE,
        queue_hard_limit: int = limits.EVENT_QUEUE_HARD,
        when_full: Literal["pause", "drop"] = "pause",
        switch_queue_limit: int | None = limits.SWITCH_QUEUE,
        pause_limit: float | None = limits.PAUSE_SECONDS,
        max_header_bytes: int = limits.MAX_HEADER_BYTES,
        max_body_bytes: int = limits.MAX_BODY_BYTES,
        where: str = "",
    ) -> None:
        _check_queue(queue_limit, queue_hard_limit, when_full)
        super().__init__(subscriptions or Subscriptions())
        # 30 attributes at most, those of `Verbs` included: with more, CPython keeps a dict for each connection, and
        # a read costs more.
        self._readers = MessageQueue() if queue is None else queue  # what they read
        self.queue = self._readers if gap is None else MessageQueue()
        self.gap_told = False
        self.queue_limit = queue_limit
        self.queue_hard_limit = queue_hard_limit
        self.dropped = 0
        self.end: End | None = None
        self.last_event: Event | None = None
        self.unsent = 0
        self.received_events = 0
        self.flow = Flow(switch_queue_limit, pause_limit)
        self.ready: Wait[CommandReply] = Wait(self._pipeline.watchers, _login_at(where))
        self._where = where
        self._drops = when_full == "drop"
        self._decoder = Decoder(max_header_bytes=max_header_bytes, max_body_bytes=max_body_bytes)
        self._login_bytes = max_header_bytes + limits.LOGIN_BYTES  # that may come before the login is answered
        self._taken = 0  # bytes that came out of the decoder as frames
        self._login = login
        self._gap = GapNotice(gap)
        self._out = self._pipeline.out  # both clients look at it after each read
        self._probed = False  # whether a sign of life was asked for, and nothing came since
        self._first: Question | None = None  # asked before anything is subscribed to
        if not greeted:
            self._log_in(greeted=False)

    @classmethod
    def inbound(cls, password: str = "ClueCon", user: str | None = None, **options: Unpack[AllOptions]) -> Connection:
        """A connection that we open to the switch: it greets, we log in.

        Args:
            password: of event_socket.conf, or of the user.
            user: `user@domain` of the directory, None for the switch's own password.
            options: as the class takes them.

        Raises:
            InvalidCommand: user or password cannot be sent.
        """
        if user is None:
            return cls(commands.auth(password), greeted=True, **options)
        name, at, domain = user.partition("@")
        if not at:
            raise InvalidCommand("the user has no '@' in it, expected user@domain")
        return cls(commands.userauth(name, domain, password), greeted=True, **options)

    @classmethod
    def outbound(cls, **options: Unpack[AllOptions]) -> Connection:
        """A connection that the switch opened to us for a channel: we begin, with `connect`."""
        return cls(commands.connect(), greeted=False, **options)

    # Bytes

    def get_buffer(self, sizehint: int = -1) -> memoryview:
        """Room to receive into, as asyncio.BufferedProtocol has it; owned by the decoder until `buffer_updated`."""
        return self._decoder.get_buffer(sizehint)

    def buffer_updated(self, size: int) -> None:
        """`size` bytes were received into the room."""
        self._probed = False
        self._decoder.buffer_updated(size)
        self._pump()

    def receive(self, data: bytes | bytearray | memoryview) -> None:
        """Bytes from the switch, in any pieces; they are copied. Never raises about their content."""
        self._probed = False
        try:
            self._decoder.feed(data)
        except ProtocolError as error:
            self._broken(error)
        self._pump()

    def receive_eof(self) -> None:
        """The switch closed the stream."""
        if self.end is not None:
            return
        try:
            self._decoder.feed_eof()
        except ProtocolError as error:
            self._broken(error)
            return
        where = "" if self.logged_in else " before the login was answered"
        self._finish(f"the switch closed the connection{where}", clean=self._leaving)

    def lost(self, error: BaseException | None) -> None:
        """The transport failed; `error` says how."""
        self._finish(f"the connection was lost: {error}", cause=error, clean=self._leaving)

    def close(self, reason: str = "closed by us") -> None:
        """We close our side: what is still waited for fails, `queue` stays readable."""
        self._leaving = True
        self._finish(reason, clean=True)

    def abort(self, reason: str) -> None:
        """End it though nobody asked for that: after a timeout, say."""
        self._finish(reason, clean=False)

    def leave(self, reason: str) -> None:
        """The connection belongs to another process: nothing is sent or received here any more, and it is not set up
        again."""
        self._leaving = True
        self._finish(reason, clean=False)

    def data_to_send(self) -> bytes:
        """What has to be sent now, once."""
        return self._pipeline.data_to_send()

    # Reading on

    @property
    def wants_data(self) -> bool:
        """Whether the socket should be read: not while `queue` is full."""
        if self._drops:
            return True
        if self._pipeline.watchers.count:
            return not self.queue.holds(self.queue_hard_limit, limits.EVENT_QUEUE_HARD_BYTES)
        return not self.queue.holds(self.queue_limit, limits.EVENT_QUEUE_BYTES)

    @property
    def queue_is_full(self) -> bool:
        """Whether a reply cannot come, because `queue` is full to the hard bound and nobody empties it."""
        if self._drops or self.end is not None:
            return False
        return self.queue.holds(self.queue_hard_limit, limits.EVENT_QUEUE_HARD_BYTES)

    def queue_full_error(self, what: str) -> EventQueueFull:
        """The error for somebody who waits for `what` while `queue` is full."""
        size = self.queue.size
        if size >= limits.EVENT_QUEUE_HARD_BYTES:
            return EventQueueFull(what, size, limits.EVENT_QUEUE_HARD_BYTES, "bytes")
        return EventQueueFull(what, len(self.queue), self.queue_hard_limit)

    stuck = Renamed()
    stuck_error = Renamed()
    watched = Renamed()

    def timeout_error(self, what: str, seconds: float) -> CommandTimeout:
        """The error for somebody who waited so long for `what`."""
        unfinished = self._decoder.buffered
        read = f"; read {unfinished} bytes of a frame without its end" if unfinished else ""
        return CommandTimeout(f"waited {seconds:g} s for {what}{read}")

    def probe(self, seconds: float) -> None:
        """Nothing was received for `seconds`: ask the switch for a sign of life. If one was asked for before, give up.

        While somebody waits for a command there is nothing to ask: the switch may be busy with it, and it has a
        timeout of its own. The same holds for a command whose reply may take as long as its application. A wait that
        was given up does not count.
        """
        if self._probed:
            self.abort(f"nothing was received for {2 * seconds:g} s, though the switch was asked")
        elif self.end is None and self.logged_in and not self._pipeline.is_awaited:
            self._probed = True
            self._pipeline.send(PROBE, "a sign of life", must_be_ok=False)

    silence = Renamed()

    @property
    def received_bytes(self) -> int:
        """Bytes received, those of an unfinished frame included."""
        return self._decoder.consumed + self._decoder.buffered

    def heed(self, now: float, since: float | None) -> str | None:
        """See how far the reader is behind the switch; beyond the limits the connection ends (`ReaderTooSlow`).

        Args:
            now, since: as `Flow.note` takes them.

        Returns:
            A warning for the log, once, when the reader is half as far behind as it may be.
        """
        flow = self.flow
        flow.note(now, self.received_events, since)
        if self.end is not None or not self.listens:
            return None
        if flow.is_over():
            self._fail(flow.error(self.last_event))
            return None
        warning = flow.warning()
        return f"{self._where}: {warning}" if warning and self._where else warning

    # Inside: login, and what was missed before it

    def _log_in(self, *, greeted: bool) -> None:
        login, self._login = self._login, b""  # it may hold a password
        self._pipeline.log_in(login, self._logged_in, partial(self._login_refused, greeted))

    def _logged_in(self, reply: Reply) -> None:
        assert isinstance(reply, CommandReply)
        self._pipeline.is_open = True
        self._channel.connected(reply)
        if self._first is None:
            self._restore(reply)
            return
        block, hear = self._first

        def heard(answer: Reply) -> None:
            hear(answer)
            self._restore(reply)

        self._pipeline.send(block, "who it is", must_be_ok=False, is_api=True, granted=heard, refused=heard)

    def _restore(self, reply: CommandReply) -> None:
        """Ask for what was asked for on an earlier connection."""
        wanted = self._subscriptions.commands()
        if not wanted:
            self._usable(reply)
            return

        def failed(refusal: Reply) -> None:
            self._finish(f"what was subscribed to is refused now: {refusal.text}", clean=False, refused=True)

        for number, block in enumerate(wanted, 1):
            last = number == len(wanted)
            self._pipeline.command(block, (lambda _: self._usable(reply)) if last else None, failed)

    def _usable(self, reply: CommandReply) -> None:
        self._tell_gap()
        self.ready.finish(reply)

    def _tell_gap(self) -> None:
        """Let readers have what was held back from them, after the notice of what they missed."""
        if self.queue is self._readers:
            return
        held, self.queue = self.queue, self._readers
        self.queue.append(self._gap.now())
        self.queue.extend(held)
        self.gap_told = True

    def _login_refused(self, greeted: bool, reply: Reply) -> None:
        text = reply.text.strip()
        hint = " (wrong password?)" if text == "-ERR invalid" else ""
        said = self._located("refused the login", text + hint)
        error = AuthError(said) if greeted else None
        self._finish(f"the switch refused the login: {text}", error=error, clean=False)

    def _located(self, refused: str, text: str) -> str:
        """Why the switch refused the login, in its words, with its address if that is known."""
        return f"{self._where} {refused}: {text}" if self._where else text

    # Inside: what comes

    def _pump(self) -> None:
        if self.end is not None:
            return
        broken: ProtocolError | None = None
        batch: list[Message] = []
        only_events = False
        try:
            only_events = self._decoder.drain(batch, Event)  # what came before the damage stays in it
        except ProtocolError as error:
            broken = error
        if (  # else it is the usual read: all of it is for the readers
            not only_events
            or self._needs.names
            or self._drops
            or self._gap.is_open
            or self._channel.uuid is not None
            or not self._pipeline.is_open
            or self.queue is not self._readers
        ):
            self._sort(batch, broken)
            return
        if batch:
            queue, taken = self.queue, self._decoder.consumed
            queue.take_read(batch, taken - self._taken)
            self._taken = taken
            self.received_events += len(batch)
            self.last_event = batch[-1]  # type: ignore[assignment]  # of events only
            if len(queue) >= self.queue_hard_limit or queue.size_at_most >= limits.EVENT_QUEUE_HARD_BYTES:
                self._tell_full()

    def _sort(self, batch: list[Message], broken: ProtocolError | None) -> None:
        """Hand each message of a read to the part that it is for."""
        if not self._needs.names and not self._channel.may_hang_up and _ONLY_EVENTS.issuperset(map(type, batch)):
            self.queue.take_in(batch, self._decoder.consumed - self._taken)
            self.received_events += len(batch)
            if batch:
                self.last_event = batch[-1]  # type: ignore[assignment]  # of events only
        else:
            for message in batch:
                self._take(message)
            self.last_event = next((one for one in reversed(batch) if isinstance(one, Event)), self.last_event)
        if self.queue is not self._readers and self.queue:
            self._gap.now()  # it ends here
        if self._gap.is_open:
            self._gap.resume(batch)
        if broken is not None:
            self._broken(broken)
        self.queue.close_read()
        self._taken = self._decoder.consumed
        if not self._pipeline.is_open and self.received_bytes > self._login_bytes:
            self._fail(LoginTooLarge(self.received_bytes, self._login_bytes))
        if self._drops:
            self.dropped += self.queue.drop(self.queue_limit, limits.EVENT_QUEUE_BYTES)
        else:
            self._tell_full()

    def _tell_full(self) -> None:
        """Make whoever waits look again, if the queue is full by now."""
        if self.queue_is_full:
            parts = (self._pipeline, self._jobs, self._dials, self._channel)
            for wait in (self.ready, *(wait for part in parts for wait in part.waits())):
                wait.wake()

    def _take(self, message: Message) -> None:
        if self.end is not None:
            return
        if isinstance(message, Event):
            self._take_event(message)
        elif isinstance(message, (CommandReply, ApiResponse)):
            try:
                self._pipeline.take(message)
            except ProtocolError as error:
                self._fail(error)
            if self._dials.is_waited_for:
                self._dials.look()
        elif isinstance(message, AuthRequest) and self._login:
            self._log_in(greeted=True)
        elif isinstance(message, DisconnectNotice) and message.final:
            self._take_notice(message)
        elif isinstance(message, RudeRejection):
            text = message.text.strip()
            said = self._located("refused our address", text)
            self._finish(f"the switch refused our address: {text}", error=AccessDenied(said), clean=False)
        else:
            if isinstance(message, DisconnectNotice):
                self._channel.linger(message)
            self.queue.append(message)

    def _take_notice(self, notice: DisconnectNotice) -> None:
        body = notice.body or b""
        farewell = body == FAREWELL
        if farewell and not self._leaving and notice.get("Controlled-Session-UUID") == (self.channel or ""):
            self._channel.hang_up(None)
        reason = "the switch said good-bye" if farewell else notice.text.strip() or "the switch disconnected us"
        self._finish(reason, clean=self._leaving or (farewell and self.logged_in))

    def _take_event(self, event: Event) -> None:
        self.received_events += 1
        name = event.name or ""
        if name == "BACKGROUND_JOB":
            self._jobs.take(event)
        elif self._channel.uuid is not None and name.startswith("CHANNEL_"):
            self._channel.take(name, event)
        elif name == "DTMF":
            self._channel.take_digit(event)
        if self._dials.is_waited_for:
            self._dials.take(name, event)
        if self._needs.shows(name, event):
            self.queue.append(event)

    # Inside: the end

    def _broken(self, error: ProtocolError) -> None:
        if isinstance(error, IncompleteFrame):
            said = error.reason.strip() if error.reason else ""
            self._finish(said or str(error), cause=error, clean=False)
        else:
            self._fail(error)

    def _fail(self, error: ESLError) -> None:
        """The connection ends with this error."""
        self._finish(str(error), error=error.again(), clean=False)  # without the frames that it was raised in

    def _finish(
        self,
        reason: str,
        *,
        clean: bool,
        error: ESLError | None = None,
        cause: BaseException | None = None,
        refused: bool = False,
    ) -> None:
        if self.end is not None:
            return
        if error is None:
            error = ConnectionClosed(reason)
            # A traceback would keep whoever called us, and what they receive into, alive.
            error.__cause__ = None if cause is None else cause.with_traceback(None)
        self.end = End(reason, self._leaving, clean, error.again, refused)
        if self.queue:
            self._tell_gap()
        self._channel.end(self.end)
        self._pipeline.end(error, self.unsent)
        self._jobs.end(error)
        self._dials.end(error)
        self.ready.fail(error)
