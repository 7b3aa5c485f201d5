"""One Event Socket connection without I/O: login, order of replies, background jobs, executions, end.

Bytes go in (`receive`, or `get_buffer` and `buffer_updated`), bytes come out (`data_to_send`); what a caller waits for
is a `Wait`, which the connection fills. Events go to `queue` in the order they came. The blocking and the asyncio
client are this and a socket each: every decision about the protocol is made here.

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

* The switch answers commands in the order in which it got them, one reply each (docs/protocol/commands.md, 2), so what
  is sent stands in a line, and the first in the line gets the next reply. A caller that gave up stays in the line.
* A background job's result is an event, BACKGROUND_JOB, matched by a Job-UUID of our own. The event is subscribed to
  with the first job, without naming a format. It reaches `queue` only if the user subscribed to it too. The same holds
  for the completion of an application, CHANNEL_EXECUTE_COMPLETE, matched by Application-UUID.
* That the channel hung up is told by its own events, by the linger notice or by the good-bye, whichever comes first,
  and kept in `hung_up`. From then on nothing that acts on the channel is sent: ChannelEnded. On the wire it would be
  answered with +OK and never done.
* A connection ends once, for one reason, kept in `end`; every `Wait` that is still open fails with that.
* Whether more should be read is said here (`wants_data`), since it depends on who waits: the queue's bound is soft
  while somebody waits for a reply, because the reply stands behind the events on the wire.
"""

from __future__ import annotations

import re
import uuid as uuids
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final, Generic, Literal, ParamSpec, TypeVar, cast

from . import commands, limits
from ._codec import Message
from ._ctext import described as _described
from ._ctext import redacted
from .commands import _encoded
from .enums import HangupCause, LogLevel
from .errors import (
    AccessDenied,
    AuthError,
    ChannelEnded,
    CommandError,
    CommandTimeout,
    ConnectionClosed,
    ESLError,
    EventQueueFull,
    IncompleteFrame,
    InvalidCommand,
    LoginTooLarge,
    ProtocolError,
    ReaderTooSlow,
)
from .events import (
    ApiResponse,
    AuthRequest,
    CommandReply,
    Decoder,
    DisconnectNotice,
    Event,
    Gap,
    JobResult,
    RudeRejection,
)
from .flow import Flow
from .reconnect import End as End
from .render import FAREWELL
from .subscriptions import MY_EVENTS, Subscriptions, event_name

P = ParamSpec("P")
T = TypeVar("T")
Reply = CommandReply | ApiResponse
"""What answers a command."""

_ONLY_EVENTS = frozenset([Event])
_FEW_READS: Final = 64  # whose bytes are remembered without looking whether something of them still waits
_EXECUTION_EVENTS = frozenset(
    ["CHANNEL_EXECUTE", "CHANNEL_EXECUTE_COMPLETE", "CHANNEL_HANGUP", "CHANNEL_HANGUP_COMPLETE"]
)
_UNKNOWN_CAUSE: Final = "UNKNOWN"  # as the switch itself calls a cause that it has no name for
_NO_CHANNEL: Final = "-ERR No such channel!\n"
_ONE_WORD: Final = re.compile(r"[^\s'\"\\\[]+")  # that an API command takes as it is
_GETVAR_REPLY = re.compile(rb"Content-Type: command/reply\r?\nReply-Text: ?[^\n]*\n\r?\n")
_LISTENING = (b"event", b"myevents", b"log")  # as the switch compares them: by how the command begins
_PROBE = commands.filter_delete("Eslcodec-Probe")  # answered in every mode, permitted to everybody, and changes nothing


class Wait(Generic[T]):
    """What a command, a job, an execution or the login will come to: a value, or an error. Settled once.

    Attributes:
        what: what is waited for, for messages; no secret is in it.
        done: whether it is settled.
        patient: whether it may take as long as the application that it runs, so that no default timeout fits.

    Example:
        >>> connection = Connection.inbound("ClueCon")
        >>> connection.receive(b"Content-Type: auth/request\\n\\n")
        >>> connection.ready.done
        False
        >>> connection.receive(b"Content-Type: command/reply\\nReply-Text: +OK accepted\\n\\n")
        >>> connection.ready.done, connection.ready.result().text
        (True, '+OK accepted')
    """

    __slots__ = ("_connection", "_error", "_value", "_wakers", "done", "patient", "what")

    def __init__(self, connection: Connection, what: str, *, patient: bool = False) -> None:
        self._connection = connection
        self.what = what
        self.patient = patient
        self.done = False
        self._value: T | None = None
        self._error: Callable[[], ESLError] | None = None
        self._wakers: list[Callable[[], object]] = []

    def result(self) -> T:
        """The value.

        Raises:
            ESLError: what it failed with, a new instance each time.
            RuntimeError: it is not settled yet.
        """
        if not self.done:
            raise RuntimeError(f"{self.what} is not answered yet")
        if self._error is not None:
            raise self._error()
        return cast("T", self._value)

    def watch(self, waker: Callable[[], object]) -> None:
        """Somebody waits now: `waker` is called when it is settled, or when waiting has no point any more."""
        self._wakers.append(waker)
        self._connection.watched += 1

    def unwatch(self, waker: Callable[[], object]) -> None:
        """The end of `watch`."""
        self._wakers.remove(waker)
        self._connection.watched -= 1

    @property
    def awaited(self) -> bool:
        """Whether somebody waits for it, or may do so for long."""
        return self.patient or bool(self._wakers)

    def wake(self) -> None:
        """Make whoever waits look again."""
        for waker in list(self._wakers):
            waker()

    def finish(self, value: T) -> None:
        """Settle it with a value; no effect if it is settled."""
        if not self.done:
            self.done = True
            self._value = value
            self.wake()

    def fail(self, error: Callable[[], ESLError]) -> None:
        """Settle it with an error, made anew for each who asks; no effect if it is settled."""
        if not self.done:
            self.done = True
            self._error = error
            self.wake()

    def __repr__(self) -> str:
        return f"<Wait for {self.what}: {'open' if not self.done else 'failed' if self._error else 'done'}>"


class MessageQueue(deque[Message]):
    """Messages that wait for a reader, oldest first, and about how many bytes they are.

    Whoever reads takes messages out as out of any deque, from any thread, at no further cost: bytes are counted for
    each read, and given back when the last message of it is gone. So `size` is too large by up to one read, and 0 if
    nothing waits. Whoever asks for it is one thread at a time, and not while another puts messages in.

    Attributes:
        size_at_most: at least `size`, and no work to know.

    Example:
        >>> queue = MessageQueue([Message(b"Content-Type: a\\n\\n"), Message(b"Content-Type: b\\n\\n")])
        >>> queue.close_read()
        >>> queue.popleft()["Content-Type"], queue.size
        ('a', 34)
        >>> queue.popleft()["Content-Type"], queue.size
        ('b', 0)
    """

    def __init__(self, messages: Iterable[Message] = ()) -> None:
        super().__init__()
        self._appended = 0
        self.size_at_most = 0  # of all reads
        self._fresh = 0  # of the one that is not closed
        self._reads: deque[tuple[int, int]] = deque()  # how many had been appended by its end, and their bytes
        self.extend(messages)

    def append(self, message: Message, /) -> None:
        """One more."""
        super().append(message)
        self._appended += 1
        self._fresh += len(message.frame)
        if self._fresh > limits.RECEIVE_BYTES_MAX:  # a large one should not count until what came with it is gone
            self.close_read()

    def extend(self, messages: Iterable[Message], /) -> None:
        """Some more."""
        for message in messages:
            self.append(message)

    def take_in(self, messages: list[Message], size: int) -> None:
        """Some more, of a read of `size` bytes in which there was nothing else."""
        if size > limits.RECEIVE_BYTES_MAX:
            self.extend(messages)
            return
        super().extend(messages)
        self._appended += len(messages)
        self._fresh += size

    def close_read(self) -> None:
        """What was appended since the last time is one read."""
        if self._fresh:
            self._reads.append((self._appended, self._fresh))
            self.size_at_most += self._fresh
            self._fresh = 0

    def take_read(self, messages: list[Message], size: int) -> None:
        """`take_in` and `close_read` in one step."""
        if self._fresh or not messages or size > limits.RECEIVE_BYTES_MAX:
            self.take_in(messages, size)
            self.close_read()
            return
        if not self:  # so every read before is gone
            self._reads.clear()
            self.size_at_most = 0
        elif len(self._reads) > _FEW_READS:
            self._forget_reads()
        deque.extend(self, messages)
        self._appended += len(messages)
        self._reads.append((self._appended, size))
        self.size_at_most += size

    def holds(self, count: int, size: int) -> bool:
        """Whether so many messages wait, or so many bytes."""
        return len(self) >= count or (self.size_at_most >= size and self.size >= size)

    def _forget_reads(self) -> None:
        """Those of which no message is left."""
        gone = self._appended - len(self)
        while self._reads and self._reads[0][0] <= gone:
            self.size_at_most -= self._reads.popleft()[1]

    @property
    def size(self) -> int:
        """Bytes of what waits, rounded up to whole reads."""
        self._forget_reads()
        return self.size_at_most


@dataclass(slots=True)
class _Sent:
    """A command in the line for replies."""

    wait: Wait[Any]
    is_api: bool
    checked: bool  # whether -ERR makes the wait fail
    is_getvar: bool
    granted: Callable[[Reply], None] | None  # what an +OK changes on our side
    refused: Callable[[Reply], None] | None
    begins: int  # how many bytes were sent before it
    acts: bool = False  # whether it acts on the connection's own channel
    instead: bytes = b""  # what is asked if the reply is of no use


@dataclass(slots=True)
class _Execution:
    wait: Wait[Event]
    hangs_up: bool  # whether a hang-up is what it is for
    started: bool = False
    complete: Event | None = None  # it came; whether a hang-up is why is being asked


def _by_classmethod(init: Callable[P, None]) -> Callable[P, None]:
    """Say how a connection is made to who calls the class as if it were a client."""

    @wraps(init)
    def checked(*args: P.args, **options: P.kwargs) -> None:
        if "greeted" not in options:
            raise TypeError("a Connection is made by Connection.inbound(password) or Connection.outbound()")
        init(*args, **options)

    return checked


class Connection:
    """The state of one connection. Not safe for several threads at once: its owner locks.

    Make one with `Connection.inbound` or `Connection.outbound`.

    Args:
        login: the command that begins it.
        greeted: whether the switch speaks first.
        subscriptions: what to ask for after login, such as an earlier connection's; it is kept up to date.
        gap: makes the notice of what was missed. It goes into `queue` before anything new, and both not before
            everything in `subscriptions` is asked for; or when the connection ends, if something came until then.
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
            with `popleft` (safe from any thread). With `gap` it is another one until `ready`.
        gap_told: whether the notice of what was missed went into `queue`.
        dropped: messages dropped from `queue`.
        ready: settled with the reply to the login, once everything in `subscriptions` is asked for too.
        logged_in: whether the login was accepted.
        end: why the connection ended, None while it has not.
        channel: uuid of the channel it controls: outbound, or after `myevents(uuid)`; None if there is none.
        mode: `Socket-Mode` of an outbound connection: "async", or "static" where an application ends before its reply.
        control: `Control` of an outbound connection: "full", or "single-channel" where most commands are refused.
        lingering: the notice that the channel is gone and the connection stays, None before.
        digits: what the channel's caller has typed since `dtmf`, oldest first (`limits.DIGITS` at most). Whoever reads
            takes them out with `popleft`.
        hung_up: why the channel hung up, as in `Hangup-Cause`, None as long as nothing that was received says that it
            did. "UNKNOWN" if it did and its events do not come here (`myevents`, or an awaited execution, enables
            them), until one says why.
        watched: how many wait for something at the moment.
        asked: how many commands were begun: what is raised into one of them leaves it in part.
        last_event: of what came, the last; None if there was none.
        unsent: how many bytes of what `data_to_send` gave were not sent yet; its owner says so.
        received_events: how many came.
        flow: how far the reader is behind the switch.
        listens: whether something was asked for that makes events or log lines come.

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
        if when_full not in ("pause", "drop"):
            raise ValueError(f"when_full is {when_full!r}, expected 'pause' or 'drop'")
        if not 0 < queue_limit <= queue_hard_limit:
            raise ValueError(f"read queue_limit {queue_limit}, expected 1 to queue_hard_limit ({queue_hard_limit})")
        self.queue = MessageQueue() if queue is None else queue
        self.gap_told = False
        self.queue_limit = queue_limit
        self.queue_hard_limit = queue_hard_limit
        self.dropped = 0
        self.subscriptions = subscriptions or Subscriptions()
        self.logged_in = False
        self.end: End | None = None
        self.channel: str | None = None
        self.mode: str | None = None
        self.control: str | None = None
        self.lingering: DisconnectNotice | None = None
        self.digits: deque[str] = deque(maxlen=limits.DIGITS)
        self.hung_up: str | None = None
        self.watched = 0
        self.asked = 0
        self.last_event: Event | None = None
        self.unsent = 0
        self.received_events = 0
        self.flow = Flow(switch_queue_limit, pause_limit)
        self.listens = False
        self._warned = False
        self.ready: Wait[CommandReply] = Wait(self, f"the login at {where}" if where else "the login")
        self._where = where
        self._drops = when_full == "drop"
        self._decoder = Decoder(max_header_bytes=max_header_bytes, max_body_bytes=max_body_bytes)
        self._login_bytes = max_header_bytes + limits.LOGIN_BYTES  # that may come before the login is answered
        self._taken = 0  # bytes of what came out of it
        self._login = login
        self._greeted = greeted
        self._make_gap = gap
        self._gap: Gap | None = None
        self._gap_open = False  # until an event came behind it
        self._readers = self.queue  # what they read
        if gap is not None:
            self.queue = MessageQueue()
        self._out = bytearray()
        self._given = 0  # bytes that were in it before
        self._line: deque[_Sent] = deque()
        self._leaving = False
        self._probing = False
        self._heard = False
        self._jobs: dict[str, Wait[JobResult]] = {}
        self._executions: dict[str, _Execution] = {}
        self._digit: Wait[bool] | None = None
        self._needed: set[str] = set()  # names of events that we need ourselves, from the first job or execution on
        self._private: set[str] = set()  # names of events that come because we asked, whether the user did or not
        self._own_filters: set[str] = set()  # needed names for which there is a filter of ours
        self._my_events: Wait[CommandReply] | None = None
        if not greeted:
            self._log_in()

    @classmethod
    def inbound(cls, password: str = "ClueCon", user: str | None = None, **options: Any) -> Connection:
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
    def outbound(cls, **options: Any) -> Connection:
        """A connection that the switch opened to us for a channel: we begin, with `connect`."""
        return cls(commands.connect(), greeted=False, **options)

    # Bytes

    def get_buffer(self, sizehint: int = -1) -> memoryview:
        """Room to receive into, as asyncio.BufferedProtocol has it; owned by the decoder until `buffer_updated`."""
        return self._decoder.get_buffer(sizehint)

    def buffer_updated(self, size: int) -> None:
        """`size` bytes were received into the room."""
        self._heard = True
        self._decoder.buffer_updated(size)
        self._pump()

    def receive(self, data: bytes | bytearray | memoryview) -> None:
        """Bytes from the switch, in any pieces; they are copied. Never raises about their content."""
        self._heard = True
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
        """Given up by us, though nobody asked for it: a timeout, say."""
        self._finish(reason, clean=False)

    def leave(self, reason: str) -> None:
        """It is another process's: nothing is sent or received here any more, and it is not set up again."""
        self._leaving = True
        self._finish(reason, clean=False)

    def data_to_send(self) -> bytes:
        """What has to be sent now, once."""
        if not self._out:
            return b""
        data = bytes(self._out)
        self._out.clear()
        self._given += len(data)
        return data

    # Reading on

    @property
    def wants_data(self) -> bool:
        """Whether the socket should be read: not while `queue` is full."""
        if self._drops:
            return True
        if self.watched:
            return not self.queue.holds(self.queue_hard_limit, limits.EVENT_QUEUE_HARD_BYTES)
        return not self.queue.holds(self.queue_limit, limits.EVENT_QUEUE_BYTES)

    @property
    def stuck(self) -> bool:
        """Whether waiting for a reply is in vain, because `queue` is full to the hard bound and nobody empties it."""
        if self._drops or self.end is not None:
            return False
        return self.queue.holds(self.queue_hard_limit, limits.EVENT_QUEUE_HARD_BYTES)

    def stuck_error(self, what: str) -> EventQueueFull:
        """The error for somebody who waits for `what` then."""
        size = self.queue.size
        if size >= limits.EVENT_QUEUE_HARD_BYTES:
            return EventQueueFull(what, size, limits.EVENT_QUEUE_HARD_BYTES, "bytes")
        return EventQueueFull(what, len(self.queue), self.queue_hard_limit)

    def timeout_error(self, what: str, seconds: float) -> CommandTimeout:
        """The error for somebody who waited so long for `what`."""
        unfinished = self._decoder.buffered
        read = f"; read {unfinished} bytes of a frame without its end" if unfinished else ""
        return CommandTimeout(f"waited {seconds:g} s for {what}{read}")

    def silence(self, seconds: float) -> None:
        """Nothing was received for `seconds`: ask the switch for a sign of life; if it gave none since, give up.

        While somebody waits for a command there is nothing to ask: the switch may be busy with it, and it has a
        timeout of its own. So with one that may take as long as its application. What was given up counts no more.
        """
        if self._probing and not self._heard:
            self.abort(f"nothing was received for {2 * seconds:g} s, though the switch was asked")
        elif self.end is None and self.logged_in and not any(sent.wait.awaited for sent in self._line):
            self._probing = True
            self._heard = False
            self._send(_PROBE, "a sign of life", checked=False)

    @property
    def received_bytes(self) -> int:
        """Bytes received, those of an unfinished frame included."""
        return self._decoder.consumed + self._decoder.buffered

    def heed(self, now: float, since: float | None) -> str | None:
        """See how far the reader is behind the switch; beyond the limits the connection ends (`ReaderTooSlow`).

        Args:
            now, since: as `Flow.note` takes them.

        Returns:
            A warning for the log, once, when it is half as far as it may be.
        """
        flow = self.flow
        flow.note(now, self.received_events, since)
        if self.end is not None or not self.listens:
            return None
        if flow.is_over():
            arguments = flow.unread_seconds, flow.estimated, flow.limits, self.last_event
            self._finish(str(ReaderTooSlow(*arguments)), error=lambda: ReaderTooSlow(*arguments), clean=False)
        elif flow.is_half() and not self._warned:
            self._warned = True
            where = f"{self._where}: " if self._where else ""
            return (
                f"{where}events have not been read for {flow.unread_seconds:.1f} s, and about {flow.estimated} wait in "
                f"the switch: at twice as much the connection ends"
            )
        elif since is None:
            self._warned = False
        return None

    # Commands

    def send(self, command: bytes | str) -> Wait[Reply]:
        """Any command, as it goes over the wire; what it changes in the switch is not noted in `subscriptions`.

        Args:
            command: one command block, with its body if it has one; the blank line behind it may be missing.

        Returns:
            Its reply, whatever it says.

        Raises:
            ConnectionClosed: the connection has ended (all commands raise it; or the error that ended it).
            InvalidCommand: it is not one command.
        """
        return self._send_block(_one_command(command))

    def pipeline(self, commands: Iterable[bytes | str]) -> list[Wait[Reply]]:
        """Many commands as `send` takes them; none goes out unless all can."""
        return [self._send_block(block) for block in [_one_command(command) for command in commands]]

    def _send_block(self, block: bytes) -> Wait[Reply]:
        is_api = block[:4].lower() == b"api "
        wait = self._send(block, _described(block), checked=False, is_api=is_api)
        self._leaving = self._leaving or block[:4].lower() == b"exit"
        return wait

    def api(self, command: str, args: str = "", *, console_execute: bool = False) -> Wait[Reply]:
        """`api`. The reply is data, `-ERR` too; a CommandReply if the switch refuses the command as such."""
        block = commands.api(command, args, console_execute=console_execute)
        return self._send(block, _described(block), checked=False, is_api=True)

    def bgapi(
        self, command: str, args: str = "", *, job_uuid: str | None = None
    ) -> tuple[Wait[CommandReply], Wait[JobResult]]:
        """`bgapi`: the reply, and the result when the job is done."""
        job_uuid = job_uuid or str(uuids.uuid4())
        if job_uuid in self._jobs:
            raise InvalidCommand(f"the Job-UUID {job_uuid!r:.80} is in use")
        block = commands.bgapi(command, args, job_uuid=job_uuid)
        what = _described(block)
        self._check_open(what)
        self._need("BACKGROUND_JOB", lambda: self._send(commands.event("BACKGROUND_JOB"), what, refused=self._no_jobs))
        result: Wait[JobResult] = Wait(self, f"the result of {what}")
        if len(self._jobs) >= limits.JOBS:
            self._forget_oldest_job()
        self.asked += 1
        self._jobs[job_uuid] = result

        def refused(reply: Reply) -> None:
            if self._jobs.get(job_uuid) is result:  # and not a later job's, after this one's failed
                del self._jobs[job_uuid]
            result.fail(lambda: CommandError(reply.text))

        return self._send(block, what, refused=refused), result

    def _forget_oldest_job(self) -> None:
        oldest = self._jobs.pop(next(iter(self._jobs)))
        text = f"{oldest.what} has not come, and {limits.JOBS} jobs began after it: no more are kept"
        oldest.fail(lambda: CommandTimeout(text))

    def subscribe(self, *names: str, custom: Sequence[str] = (), format: str | None = None) -> Wait[CommandReply]:
        """`event`, in addition to what is subscribed to."""

        wanted = [*names, "CUSTOM"] if custom else names

        def granted(reply: Reply) -> None:
            self.subscriptions.add(wanted, custom, format)

        def refused(reply: Reply) -> None:  # of unknown names the format takes effect all the same
            self.subscriptions.format = format or self.subscriptions.format

        return self._command(commands.event(*names, custom=custom, format=format), granted, refused)

    def unsubscribe(self, *names: str, custom: Sequence[str] = ()) -> Wait[CommandReply]:
        """`nixevent`. What jobs and executions need goes on coming, but no longer reaches `queue`."""
        commands.nixevent(*names, custom=custom)  # checks them all
        told = [name for name in names if event_name(name) not in self._needed]
        self.asked += 1
        self._private |= self._needed

        def granted(reply: Reply) -> None:
            self.subscriptions.remove([*names, "CUSTOM"] if custom else names, custom)

        wait = self._command(commands.nixevent(*told, custom=custom) if told or custom else _PROBE, granted)
        if "ALL" in map(event_name, names):
            self._ask_again()
        return wait

    def noevents(self) -> Wait[CommandReply]:
        """`noevents`. Jobs and executions keep their events, but for those of the moment in between."""
        wait = self._command(commands.noevents(), lambda reply: self.subscriptions.clear())
        self._ask_again()
        return wait

    def myevents(self, uuid: str | None = None, *, format: str | None = None) -> Wait[CommandReply]:
        """`myevents`: of the connection's own channel, or inbound of the channel `uuid`."""
        if self._my_events is not None and uuid is None:
            return self._adopt_my_events(self._my_events, format)

        def granted(reply: Reply) -> None:
            self.subscriptions.channel = uuid or ""
            self.subscriptions.format = format or self.subscriptions.format
            self.channel = uuid or self.channel

        def refused(reply: Reply) -> None:
            self._my_events = None

        wait = self._command(commands.myevents(uuid, format=format), granted, refused)
        if uuid is None:
            self._my_events = wait
        return wait

    def divert_events(self, on: bool = True) -> Wait[CommandReply]:
        """`divert_events`."""
        return self._command(commands.divert_events(on))

    def filter(self, header: str, value: str) -> Wait[CommandReply]:
        """`filter add`."""
        block = commands.filter(header, value)
        self._check_open(_described(block))
        self.asked += 1
        self.subscriptions.filters.append((header, value))
        self._filter_ours()
        return self._command(block)

    def filter_delete(self, header: str = "all", value: str | None = None) -> Wait[CommandReply]:
        """`filter delete`."""
        wait = self._command(commands.filter_delete(header, value))
        self.subscriptions.remove_filters(header, value)
        if header.lower() in ("all", "event-name"):
            self._own_filters -= {value} if value else self._own_filters.copy()
        self._filter_ours()
        return wait

    def sendevent(
        self,
        name: str,
        headers: commands.Headers = (),
        body: bytes | str = b"",
        *,
        subclass: str | None = None,
    ) -> Wait[CommandReply]:
        """`sendevent`; the reply's text is `+OK` and the event's uuid."""
        return self._command(commands.sendevent(name, headers, body, subclass=subclass))

    def sendmsg(
        self, call_command: str, headers: commands.Headers = (), body: bytes | str = b"", *, uuid: str | None = None
    ) -> Wait[CommandReply]:
        """`sendmsg`.

        Raises:
            ChannelEnded: it is for the connection's own channel, and that has hung up (`execute`, `run`, `hangup` too).
        """
        return self._message(commands.sendmsg(call_command, headers, body, uuid=uuid))

    def execute(self, application: str, argument: str = "", **options: Any) -> Wait[CommandReply]:
        """`sendmsg` / `execute`; options as `commands.execute` takes them.

        The reply says that the application was accepted; on a static socket it comes when the application has ended.
        """
        return self._message(commands.execute(application, argument, **options), waits=not options.get("run_async"))

    def run(self, application: str, argument: str = "", **options: Any) -> tuple[Wait[CommandReply], Wait[Event]]:
        """`execute` on the connection's own channel, and its CHANNEL_EXECUTE_COMPLETE.

        The channel's events are enabled with the first one (`myevents`) if they are not yet; they reach `queue` only
        if the user asked for them too. With `loops` it is the end of the first round.

        If the channel hangs up first, or meanwhile, the second fails with ChannelEnded, which has the completion if it
        came. Of the application `hangup` it is the completion.

        Raises:
            ChannelEnded: the channel has hung up.
            InvalidCommand: the connection controls no channel.
        """
        if self.channel is None:
            raise InvalidCommand("execute can wait for its end on a connection that controls a channel only")
        if options.pop("uuid", None) not in (None, self.channel):
            raise InvalidCommand("execute can wait for its end on the connection's own channel only")
        event_uuid: str = options.pop("event_uuid", None) or str(uuids.uuid4())
        if event_uuid in self._executions:
            raise InvalidCommand(f"the Event-UUID {event_uuid!r:.80} is in use")
        block = commands.execute(application, argument, event_uuid=event_uuid, **options)
        what = _described(block)
        self._check_channel()
        self._check_open(what)
        ended: Wait[Event] = Wait(self, f"the end of {redacted(application)}", patient=True)
        execution = _Execution(ended, hangs_up=application.lower() == "hangup")
        self.asked += 1
        self._need_executions()
        self._executions[event_uuid] = execution

        def refused(reply: Reply) -> None:
            if self._executions.get(event_uuid) is execution:  # and not a later one, after this one's end failed
                del self._executions[event_uuid]
            ended.fail(lambda: CommandError(reply.text))

        patient = self.mode == "static" and not options.get("run_async")
        return self._send(block, what, refused=refused, patient=patient, acts=True), ended

    def dtmf(self) -> None:
        """From now on collect the digits of the connection's own channel in `digits`.

        The channel's events are enabled (`myevents`) if they are not yet; they reach `queue` only if the user asked for
        them too.

        Raises:
            InvalidCommand: the connection controls no channel.
        """
        if self.channel is None:
            raise InvalidCommand("digits are those of a channel, and the connection controls none")
        if self.end is None and self.hung_up is None:
            self._need_digits()

    def digit(self) -> Wait[bool]:
        """`dtmf`, and wait: True once there is something in `digits`, False if none will come, because the channel has
        hung up or the connection has ended well."""
        self.dtmf()
        if self._digit is None or self._digit.done:
            self._digit = Wait(self, "a digit of the caller")
        self._tell_digit()
        return self._digit

    def hangup(
        self, cause: str | HangupCause = HangupCause.NORMAL_CLEARING, *, uuid: str | None = None
    ) -> Wait[CommandReply]:
        """`sendmsg` / `hangup`."""
        return self._message(commands.hangup(cause, uuid=uuid), waits=False)

    def log(self, level: str | int | LogLevel | None = None) -> Wait[CommandReply]:
        """`log`: the switch's log lines, into `queue`."""

        def granted(reply: Reply) -> None:
            self.subscriptions.log_level = LogLevel.DEBUG if level is None else level

        return self._command(commands.log(level), granted)

    def nolog(self) -> Wait[CommandReply]:
        """`nolog`."""

        def granted(reply: Reply) -> None:
            self.subscriptions.log_level = None

        return self._command(commands.nolog(), granted)

    def linger(self, seconds: int | None = None) -> Wait[CommandReply]:
        """`linger`."""
        return self._command(commands.linger(seconds))

    def nolinger(self) -> Wait[CommandReply]:
        """`nolinger`."""
        return self._command(commands.nolinger())

    def connect(self) -> Wait[CommandReply]:
        """`connect`, once more: the channel's data as it is now."""
        return self._command(commands.connect(), self._look_at_channel)

    def getvar(self, name: str) -> Wait[Reply]:
        """A variable of the connection's own channel; `variable` takes the value from the reply.

        The switch sends what `getvar` asks for as it is: cut at 511 bytes, broken by line ends, and a value that begins
        with `~`, which a caller may choose, has no end (docs/protocol/observed.md, 27). So where all commands are
        permitted the value comes by `api uuid_getvar`, whatever it is. What remains for `getvar` itself is a
        single-channel socket, a channel that has hung up, and a name that is not a word: there such a value ends this
        with a ProtocolError (if other replies are due, the connection too), and one that begins with `~` not before
        something more is sent.
        """
        block = commands.getvar(name)
        what = _described(block)
        if not self._asks_api(name):
            return self._send(block, what, checked=False)
        api = commands.api("uuid_getvar", f"{self.channel} {name}")
        return self._send(api, what, checked=False, is_api=True, instead=block)

    def _asks_api(self, name: str) -> bool:
        if self.channel is None or self.control == "single-channel" or self.hung_up is not None:
            return False  # the API knows no channel that has hung up
        return all(map(_ONE_WORD.fullmatch, (self.channel, name)))

    def resume(self) -> Wait[CommandReply]:
        """`resume`: the dialplan goes on when the connection closes.

        Raises:
            InvalidCommand: the socket is static. Its dialplan goes on anyhow, and the switch would put the channel into
                CS_RESET when the connection closes, and leave it there for ever.
        """
        if self.mode == "static":
            raise InvalidCommand(
                "resume on a static socket would leave the channel in CS_RESET for ever, expected an async one: "
                "after a static socket the dialplan goes on when the connection closes"
            )
        return self._command(commands.resume())

    def exit(self) -> Wait[CommandReply]:
        """`exit`: the switch answers, says good-bye and closes; that end is one we asked for."""
        wait = self._command(commands.exit())
        self._leaving = True
        return wait

    # Inside: sending

    def _log_in(self) -> None:
        self._out += self._login
        self._login = b""  # it may hold a password
        login: Wait[CommandReply] = Wait(self, "the login")
        self._line.append(_Sent(login, False, False, False, self._logged_in, self._login_refused, 0))

    def _logged_in(self, reply: Reply) -> None:
        assert isinstance(reply, CommandReply)
        self.logged_in = True
        self.channel = reply.get("Unique-ID")
        self.mode = reply.get("Socket-Mode")
        self.control = reply.get("Control")
        self._look_at_channel(reply)
        wanted = self.subscriptions.commands()
        if not wanted:
            self._usable(reply)
            return

        def failed(refusal: Reply) -> None:
            self._finish(f"what was subscribed to is refused now: {refusal.text}", clean=False, refused=True)

        for number, block in enumerate(wanted, 1):
            last = number == len(wanted)
            granted = (lambda _: self._usable(reply)) if last else None
            self._send(block, _described(block), granted=granted, refused=failed)

    def _usable(self, reply: CommandReply) -> None:
        self._tell_gap()
        self.ready.finish(reply)

    def _tell_gap(self) -> None:
        """Let readers have what was held back from them, behind the notice of what they missed."""
        if self.queue is self._readers:
            return
        held, self.queue = self.queue, self._readers
        self.queue.append(self._gap_now())
        self.queue.extend(held)
        self.gap_told = True

    def _gap_now(self) -> Gap:
        if self._gap is None:
            assert self._make_gap is not None
            self._gap, self._gap_open = self._make_gap(), True
        return self._gap

    def _login_refused(self, reply: Reply) -> None:
        text = reply.text.strip()
        hint = " (wrong password?)" if text == "-ERR invalid" else ""
        said = self._located("refused the login", text + hint)
        error = (lambda: AuthError(said)) if self._greeted else None
        self._finish(f"the switch refused the login: {text}", error=error, clean=False)

    def _located(self, refused: str, text: str) -> str:
        """What the switch said about letting us in, with where it is, if that is known."""
        return f"{self._where} {refused}: {text}" if self._where else text

    def _check_open(self, what: str) -> None:
        if self.end is not None:
            raise self.end.error()
        if not self.logged_in:
            raise InvalidCommand(f"{what} before the login was answered, when the switch would refuse it")

    def _check_channel(self) -> None:
        if self.hung_up is not None:
            raise self._channel_ended()

    def _message(self, block: bytes, *, waits: bool = True) -> Wait[CommandReply]:
        """A `sendmsg`; whether on a static socket its reply waits for what it begins."""
        own = self.channel is not None and _target(block) in (None, self.channel)
        if own:
            self._check_channel()
        return self._command(block, patient=own and waits and self.mode == "static", acts=own)

    def _send(
        self,
        block: bytes,
        what: str,
        *,
        checked: bool = True,
        is_api: bool = False,
        patient: bool = False,
        granted: Callable[[Reply], None] | None = None,
        refused: Callable[[Reply], None] | None = None,
        acts: bool = False,
        instead: bytes = b"",
        wait: Wait[Any] | None = None,
    ) -> Wait[Any]:
        self._check_open(what)
        self.asked += 1
        if not self.listens:
            self.listens = block.startswith(_LISTENING)
        wait = wait or Wait(self, f"the answer to {what}", patient=patient)
        begins, is_getvar = self._given + len(self._out), block.startswith(b"getvar")
        self._line.append(_Sent(wait, is_api, checked, is_getvar, granted, refused, begins, acts, instead))
        self._out += block
        return wait

    def _command(
        self,
        block: bytes,
        granted: Callable[[Reply], None] | None = None,
        refused: Callable[[Reply], None] | None = None,
        *,
        patient: bool = False,
        acts: bool = False,
    ) -> Wait[CommandReply]:
        return self._send(block, _described(block), granted=granted, refused=refused, patient=patient, acts=acts)

    # Inside: what we need ourselves

    def _need(self, name: str, ask: Callable[[], object]) -> None:
        """From now on events of this name must come: `ask` for them unless the user did."""
        if name in self._needed:
            return
        self.asked += 1
        self._needed.add(name)
        self._filter_ours()
        if not self.subscriptions.wants(name):
            self._private.add(name)
            ask()

    def _need_no_more(self, names: Iterable[str]) -> None:
        """We do not get these, so those that come are the user's."""
        self._needed.difference_update(names)
        self._private.difference_update(names)
        self._filter_ours()

    def _no_jobs(self, reply: Reply) -> None:
        """The switch does not let us have BACKGROUND_JOB."""
        self._need_no_more(["BACKGROUND_JOB"])
        jobs, self._jobs = self._jobs, {}
        for result in jobs.values():
            result.fail(lambda: CommandError(reply.text))

    def _need_executions(self) -> None:
        if "CHANNEL_EXECUTE" in self._needed:
            return
        if self._my_events is None and self.subscriptions.channel is None:
            self._private |= MY_EVENTS
            self._my_events = self._send(
                commands.myevents(),
                "the channel's events",
                granted=self._has_executions,
                refused=self._no_executions,
            )
        self._needed |= _EXECUTION_EVENTS
        self._filter_ours()

    def _need_digits(self) -> None:
        if "DTMF" in self._needed:
            return
        self.asked += 1
        self._need_executions()  # the channel's events, and those of its end
        self._needed.add("DTMF")
        self._filter_ours()

    def _has_executions(self, reply: Reply) -> None:
        if self.lingering is not None:  # no events come any more of a channel that had hung up before
            self._end_executions(lambda execution: not execution.started)

    def _no_executions(self, reply: Reply) -> None:
        """The switch does not let us have the channel's events."""
        self._need_no_more(MY_EVENTS)
        self._my_events = None
        executions, self._executions = self._executions, {}
        for execution in executions.values():
            execution.wait.fail(lambda: CommandError(reply.text))
        if self._digit is not None:
            self._digit.fail(lambda: CommandError(reply.text))

    def _ask_again(self) -> None:
        """After a command that took every event away."""
        self._private |= self._needed
        if self._needed:
            self._command(commands.event(*sorted(self._needed)))

    def _filter_ours(self) -> None:
        """One filter that matches is enough: while the user has any, there must be one for each event we need."""
        needed = self._needed if self.subscriptions.filters else set()
        for name in sorted(needed - self._own_filters):
            self._command(commands.filter("Event-Name", name))
        for name in sorted(self._own_filters - needed):
            if ("Event-Name", name) not in self.subscriptions.filters:
                self._command(commands.filter_delete("Event-Name", name))
        self._own_filters = set(needed)

    def _adopt_my_events(self, wait: Wait[CommandReply], format: str | None) -> Wait[CommandReply]:
        """The user asks for what we already enabled; the switch would answer -ERR."""
        if format not in (None, self.subscriptions.format or "plain"):
            raise InvalidCommand(f"the channel's events are enabled already: their format cannot become {format!r:.80}")
        self.subscriptions.channel = ""
        return wait

    # Inside: what comes

    def _pump(self) -> None:
        if self.end is not None:
            return
        broken: ProtocolError | None = None
        batch: list[Message] = []
        try:
            batch.extend(self._decoder)  # what came before the damage stays in it
        except ProtocolError as error:
            broken = error
        if (  # the usual read: there is nothing in it for us
            broken is not None
            or self._needed
            or self._drops
            or self._gap_open
            or self.channel is not None
            or not self.logged_in
            or self.queue is not self._readers
        ):
            self._sort(batch, broken)
            return
        for message in batch:
            if type(message) is not Event:
                self._sort(batch, None)
                return
        if batch:
            queue, taken = self.queue, self._decoder.consumed
            queue.take_read(batch, taken - self._taken)
            self._taken = taken
            self.received_events += len(batch)
            self.last_event = batch[-1]  # type: ignore[assignment]  # of events only
            if len(queue) >= self.queue_hard_limit or queue.size_at_most >= limits.EVENT_QUEUE_HARD_BYTES:
                self._tell_stuck()

    def _sort(self, batch: list[Message], broken: ProtocolError | None) -> None:
        """Each message of a read to where it belongs."""
        watches = self.channel is not None and self.hung_up in (None, _UNKNOWN_CAUSE)
        if not self._needed and not watches and _ONLY_EVENTS.issuperset(map(type, batch)):
            self.queue.take_in(batch, self._decoder.consumed - self._taken)
            self.received_events += len(batch)
            if batch:
                self.last_event = batch[-1]  # type: ignore[assignment]  # of events only
        else:
            for message in batch:
                self._take(message)
            self.last_event = next((one for one in reversed(batch) if isinstance(one, Event)), self.last_event)
        if self.queue is not self._readers and self.queue:
            self._gap_now()  # which ends here
        if self._gap_open:
            self._resume(batch)
        if broken is not None:
            self._broken(broken)
        self.queue.close_read()
        self._taken = self._decoder.consumed
        if not self.logged_in:
            self._bound_login()
        if self._drops:
            self._drop()
        else:
            self._tell_stuck()

    def _tell_stuck(self) -> None:
        if self.stuck:
            self._wake_all()

    def _bound_login(self) -> None:
        if self.received_bytes > self._login_bytes:
            self._finish_with(LoginTooLarge(self.received_bytes, self._login_bytes))

    def _resume(self, batch: list[Message]) -> None:
        for message in batch:
            if isinstance(message, Event) and "Core-UUID" in message:
                self._gap_now().resume(message)
                self._gap_open = False
                return

    def _drop(self) -> None:
        while len(self.queue) > self.queue_limit or (
            self.queue.size > limits.EVENT_QUEUE_BYTES and len(self.queue) > 1  # the newest stays, whatever its size
        ):
            try:
                self.queue.popleft()
            except IndexError:  # a reader was faster
                return
            self.dropped += 1

    def _wake_all(self) -> None:
        for wait in self._waits():
            wait.wake()

    def _waits(self) -> list[Wait[Any]]:
        executions = [execution.wait for execution in self._executions.values()]
        digit = [] if self._digit is None else [self._digit]
        return [self.ready, *(sent.wait for sent in self._line), *self._jobs.values(), *executions, *digit]

    def _take(self, message: Message) -> None:
        if self.end is not None:
            return
        if isinstance(message, Event):
            self._take_event(message)
        elif isinstance(message, (CommandReply, ApiResponse)):
            self._take_reply(message)
        elif isinstance(message, AuthRequest) and self._login:
            self._log_in()
        elif isinstance(message, DisconnectNotice) and message.final:
            self._take_notice(message)
        elif isinstance(message, RudeRejection):
            text = message.text.strip()
            said = self._located("refused our address", text)
            self._finish(f"the switch refused our address: {text}", error=lambda: AccessDenied(said), clean=False)
        else:
            if isinstance(message, DisconnectNotice):
                self.lingering = message
                self._hang_up(None)
            self.queue.append(message)

    def _take_notice(self, notice: DisconnectNotice) -> None:
        body = notice.body or b""
        farewell = body == FAREWELL
        if farewell and not self._leaving and notice.get("Controlled-Session-UUID") == (self.channel or ""):
            self._hang_up(None)
        reason = "the switch said good-bye" if farewell else notice.text.strip() or "the switch disconnected us"
        self._finish(reason, clean=self._leaving or (farewell and self.logged_in))

    def _take_reply(self, reply: Reply) -> None:
        if not self._line:
            self._finish_with(ProtocolError(f"read a reply that no command asked for: {reply.text!r:.80}"))
            return
        sent = self._line.popleft()
        if sent.is_getvar and not _GETVAR_REPLY.fullmatch(reply.raw):
            self._take_broken(sent, reply)
            return
        if isinstance(reply, ApiResponse) and not sent.is_api:
            self._line.appendleft(sent)
            self._finish_with(ProtocolError(f"read the output of an API command, expected {sent.wait.what}"))
            return
        self._settle(sent, reply)

    def _take_broken(self, sent: _Sent, reply: Reply) -> None:
        """The switch sends the value of `getvar` as it is (docs/protocol/observed.md, 3). One with line ends looks like
        headers; one with `~` in front takes the blank line away, and the next frame is part of this. They cannot be
        told apart, so if more replies are due, none of them can be trusted."""
        shown = reply.raw.decode("utf-8", "backslashreplace")
        text = f"read {shown!r:.200} as the reply to a getvar, expected a value of one line: use `api uuid_getvar`"
        if self._line:
            self._line.appendleft(sent)
            self._finish_with(ProtocolError(text))
        else:
            sent.wait.fail(lambda: ProtocolError(text))

    def _settle(self, sent: _Sent, reply: Reply) -> None:
        if sent.instead and (not isinstance(reply, ApiResponse) or reply.text == _NO_CHANNEL):
            self._send(sent.instead, sent.wait.what, checked=sent.checked, wait=sent.wait)
            return
        if not reply.ok and sent.refused is not None:
            sent.refused(reply)
        elif reply.ok and sent.granted is not None:
            sent.granted(reply)
        if sent.checked and not reply.ok:
            sent.wait.fail(lambda: CommandError(reply.text))
        elif sent.acts and self.hung_up is not None:  # +OK says that it was queued
            sent.wait.fail(_maybe_done(self._channel_ended))
        else:
            sent.wait.finish(reply)

    def _take_event(self, event: Event) -> None:
        self.received_events += 1
        name = event.name or ""
        if name == "BACKGROUND_JOB":
            result = self._jobs.pop(event.get("Job-UUID", ""), None)
            if result is not None:
                result.finish(JobResult.of(event))
        elif self.channel is not None and name.startswith("CHANNEL_"):
            self._take_channel(name, event)
        elif name == "DTMF" and event.uuid == self.channel and "DTMF" in self._needed:
            self._take_digit(event)
        if self._for_user(name, event):
            self.queue.append(event)

    def _for_user(self, name: str, event: Event) -> bool:
        if name in self._private and not self.subscriptions.wants(name):
            return False
        return name not in self._own_filters or self.subscriptions.passes(event)

    # Inside: the channel

    def _take_digit(self, event: Event) -> None:
        digit = event.get("DTMF-Digit")
        if digit:
            self.digits.append(digit)
            self._tell_digit()

    def _tell_digit(self) -> None:
        """Whoever waits for a digit is told that there is one, or none."""
        if self._digit is None:
            return
        if self.digits:
            self._digit.finish(True)
        elif self.hung_up is not None or (self.end is not None and self.end.clean):
            self._digit.finish(False)
        elif self.end is not None:
            self._digit.fail(self.end.error)

    def _take_channel(self, name: str, event: Event) -> None:
        key = event.get("Application-UUID", "") if name.startswith("CHANNEL_EXECUTE") else ""
        execution = self._executions.get(key)
        if execution is not None and name == "CHANNEL_EXECUTE_COMPLETE":
            del self._executions[key]
        if event.uuid == self.channel and ("HANGUP" in name or event.get("Answer-State") == "hangup"):
            self._hang_up(event.get("Hangup-Cause"))
            if name == "CHANNEL_HANGUP":  # whatever begins is told before it
                self._end_executions(lambda execution: not execution.started)
            elif name == "CHANNEL_HANGUP_COMPLETE":
                self._end_executions(lambda execution: True)
        if execution is None:
            return
        execution.started = True
        if name == "CHANNEL_EXECUTE_COMPLETE":
            self._completed(execution, key, event)

    def _hang_up(self, cause: str | None) -> None:
        """The channel has hung up: what has not begun never will.

        But for a hang-up of our own, whose events may still come; CHANNEL_HANGUP, which is one of them, decides.
        """
        if self.hung_up in (None, _UNKNOWN_CAUSE):
            self.hung_up = cause or _UNKNOWN_CAUSE
        self._tell_digit()
        self._end_executions(lambda execution: not execution.started and not execution.hangs_up)
        self._end_executions(lambda execution: execution.complete is not None)

    def _completed(self, execution: _Execution, key: str, event: Event) -> None:
        """An application's end came: was it the application's own, or the caller's?

        One that the caller ended says so in its `Answer-State`, mostly. But a file may stop being played just before
        the channel is seen to hang up, and CHANNEL_HANGUP follows later; so it is asked how the channel is.
        """
        if execution.hangs_up:
            execution.wait.finish(event)
        elif self.hung_up is not None:
            self._end_execution(execution, event)
        elif event.get("Application-Response") == "PLAYBACK ERROR":
            execution.complete = event
            self._executions[key] = execution

            def known(reply: Reply) -> None:
                self._look_at_channel(reply)
                if self._executions.get(key) is execution:
                    del self._executions[key]
                    execution.wait.finish(event)

            self._send(commands.connect(), "the channel's state", checked=False, granted=known, refused=known)
        else:
            execution.wait.finish(event)

    def _look_at_channel(self, reply: Reply) -> None:
        """The answer to `connect` says whether the channel has hung up."""
        if isinstance(reply, CommandReply) and reply.get("Answer-State") == "hangup":
            self._hang_up(reply.get("Hangup-Cause"))

    def _end_executions(self, which: Callable[[_Execution], bool]) -> None:
        for key, execution in list(self._executions.items()):
            if which(execution):
                del self._executions[key]
                self._end_execution(execution, execution.complete)

    def _end_execution(self, execution: _Execution, complete: Event | None) -> None:
        execution.wait.fail(_maybe_done(lambda: self._channel_ended(complete)))

    def _channel_ended(self, complete: Event | None = None) -> ChannelEnded:
        return ChannelEnded(self.hung_up or _UNKNOWN_CAUSE, complete)

    # Inside: the end

    def _broken(self, error: ProtocolError) -> None:
        if isinstance(error, IncompleteFrame):
            said = error.reason.strip() if error.reason else ""
            self._finish(said or str(error), cause=error, clean=False)
        else:
            self._finish_with(error)

    def _finish_with(self, error: ProtocolError) -> None:
        kind, arguments = cast("tuple[Callable[..., ESLError], tuple[Any, ...]]", error.__reduce__()[:2])
        self._finish(str(error), error=lambda: kind(*arguments), clean=False)

    def _finish(
        self,
        reason: str,
        *,
        clean: bool,
        error: Callable[[], ESLError] | None = None,
        cause: BaseException | None = None,
        refused: bool = False,
    ) -> None:
        if self.end is not None:
            return

        if cause is not None:
            cause = cause.with_traceback(None)  # which would keep whoever called us, and what they receive into, alive

        def closed() -> ESLError:
            closing = ConnectionClosed(reason)
            closing.__cause__ = cause
            return closing

        self.end = End(reason, self._leaving, clean, error or closed, refused)
        if self.queue:
            self._tell_gap()
        self._tell_digit()
        self._end_waits(self.end.error)
        self._line.clear()
        self._jobs.clear()
        self._executions.clear()
        self._out.clear()

    def _end_waits(self, error: Callable[[], ESLError]) -> None:
        """What is waited for does not come: what acts on the channel fails for its end, if that has come."""
        hung_up = self.hung_up is not None
        sent = self._given - self.unsent
        for entry in self._line:
            why = self._channel_ended if entry.acts and hung_up else error
            entry.wait.fail(_maybe_done(why) if entry.begins < sent else why)
        for execution in self._executions.values():
            if execution.complete is not None:  # and no hang-up is known of
                execution.wait.finish(execution.complete)
            elif hung_up:
                self._end_execution(execution, None)
        for wait in self._waits():  # a job that was accepted goes on
            wait.fail(error if wait is self.ready else _maybe_done(error))


def _maybe_done(error: Callable[[], ESLError]) -> Callable[[], ESLError]:
    """The same error, for somebody whose command was sent."""

    def made() -> ESLError:
        failure = error()
        if isinstance(failure, ConnectionClosed):
            failure.maybe_done = True
        return failure

    return made


# Texts


def variable(reply: Reply) -> str | None:
    """The value that a reply to `Connection.getvar` gives; None if the variable is unset.

    Example:
        >>> variable(CommandReply(b"Content-Type: command/reply\\nReply-Text: yes\\n\\n"))
        'yes'
        >>> variable(ApiResponse(b"Content-Type: api/response\\nContent-Length: 7\\n\\n", b"_undef_")) is None
        True
    """
    unset = ("_undef_", "-ERR no reply\n") if isinstance(reply, ApiResponse) else ("-ERR command not found",)
    return None if reply.text in unset else reply.text


def _target(block: bytes) -> str | None:
    """The channel that a `sendmsg` names, on its first line or as session-id; None is the connection's own."""
    first, *lines = block.partition(b"\n\n")[0].split(b"\n")
    named = first[len(b"sendmsg") :].strip(b" ")
    for name, _, value in (line.partition(b":") for line in lines):
        if not named and name.lower() == b"session-id":
            named = value.strip(b" ")
    return named.decode("utf-8", "surrogateescape") or None


def _one_command(command: bytes | str) -> bytes:
    """A block as the switch reads it (docs/protocol/commands.md, 1), checked to be a single command.

    Raises:
        InvalidCommand: the switch would read none, or more than one.
    """
    block = _encoded(command) if isinstance(command, str) else bytes(command)
    head, _, body = block.lstrip(b"\n").partition(b"\n\n")
    head = head.rstrip(b"\n")
    if not head or b"\r" in head or b"\0" in head:
        raise InvalidCommand(f"a command is {_described(block)}, expected text without CR and NUL")
    length = 0
    for line in head.split(b"\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            digits = value.strip(b" ")
            length = int(digits) if digits.isdigit() and len(digits) < 10 else -1
    rest = body[max(length, 0) :].strip(b"\n")  # line ends before the next command mean nothing
    if rest or len(body) < length or length < 0:
        raise InvalidCommand(f"{len(body)} bytes follow the blank line of {_described(block)}, expected {length}")
    return head + b"\n\n" + body[:length]
