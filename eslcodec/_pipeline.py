"""Commands on their way: what has to be sent, and whose reply is due.

The switch answers commands in the order in which it got them, one reply each (docs/protocol/commands.md, 2.1). So the
first of those that are due gets the next reply. A command stays among them when its caller has given up waiting.

    >>> pipeline = Pipeline()
    >>> pipeline.is_open = True
    >>> status = pipeline.send(b"api status\\n\\n", "api status", is_api=True)
    >>> pipeline.data_to_send()
    b'api status\\n\\n'
    >>> pipeline.take(ApiResponse(b"Content-Type: api/response\\nContent-Length: 2\\n\\n", b"UP"))
    >>> status.result().text
    'UP'
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from . import _getvar
from ._ctext import described
from .errors import ChannelEnded, CommandError, ESLError, InvalidCommand, ProtocolError
from .events import ApiResponse, CommandReply
from .waits import Reply, Wait, Watchers

_LISTENING: Final = (b"event", b"myevents", b"log")  # as the switch compares them: by how the command begins

OnReply = Callable[[Reply], None]


@dataclass(slots=True)
class Pending:
    """A command whose reply is due.

    Attributes:
        wait: who waits for the reply.
        begins: how many bytes were sent before it.
        is_api: whether the output of an API command may answer it.
        is_getvar: whether its reply can be broken.
        must_be_ok: whether -ERR makes the wait fail.
        acts: whether it acts on the connection's own channel.
        instead: the command to send if the reply is no answer.
        granted, refused: called with the reply if it is +OK, or a refusal: what that changes on our side.
    """

    wait: Wait[Any]
    begins: int
    is_api: bool = False
    is_getvar: bool = False
    must_be_ok: bool = True
    acts: bool = False
    instead: bytes = b""
    granted: OnReply | None = None
    refused: OnReply | None = None


class Pipeline:
    """Commands from when they were given until they are answered.

    Attributes:
        watchers: how many wait for something.
        asked: how many commands were begun.
        listens: whether something was asked for that makes events or log lines come.
        out: bytes that were not given out yet.
        is_open: whether commands may be given: the login was accepted.
        failure: why none can be given any more; None while the connection lasts.
        channel_ended: the error of commands that act on the connection's own channel; None unless that has hung up.
    """

    def __init__(self) -> None:
        self.watchers = Watchers()
        self.asked = 0
        self.listens = False
        self.out = bytearray()
        self.is_open = False
        self.failure: ESLError | None = None
        self.channel_ended: ChannelEnded | None = None
        self._given = 0  # bytes that were in `out` before
        self._due: deque[Pending] = deque()

    def check_open(self, what: str) -> None:
        """Check that a command can be given.

        Raises:
            ESLError: what ended the connection.
            InvalidCommand: the login was not answered.
        """
        if self.failure is not None:
            raise self.failure.again()
        if not self.is_open:
            raise InvalidCommand(f"{what} before the login was answered, when the switch would refuse it")

    def send(
        self,
        block: bytes,
        what: str,
        *,
        must_be_ok: bool = True,
        is_api: bool = False,
        patient: bool = False,
        granted: OnReply | None = None,
        refused: OnReply | None = None,
        acts: bool = False,
        instead: bytes = b"",
        wait: Wait[Any] | None = None,
    ) -> Wait[Any]:
        """Send one command, given as bytes; `what` names it in messages. The other arguments are those of `Wait` and
        `Pending`."""
        self.check_open(what)
        self.asked += 1
        if not self.listens:
            self.listens = block.startswith(_LISTENING)
        wait = wait or Wait(self.watchers, f"the answer to {what}", patient=patient)
        begins, is_getvar = self._given + len(self.out), block.startswith(b"getvar")
        self._due.append(Pending(wait, begins, is_api, is_getvar, must_be_ok, acts, instead, granted, refused))
        self.out += block
        return wait

    def command(
        self,
        block: bytes,
        granted: OnReply | None = None,
        refused: OnReply | None = None,
        *,
        patient: bool = False,
        acts: bool = False,
    ) -> Wait[CommandReply]:
        """Send one command whose text names it in messages, and whose reply must be +OK."""
        return self.send(block, described(block), granted=granted, refused=refused, patient=patient, acts=acts)

    def log_in(self, block: bytes, granted: OnReply, refused: OnReply) -> None:
        """The command that the connection begins with. Its +OK opens the way for others."""
        self.out += block
        login: Wait[CommandReply] = Wait(self.watchers, "the login")
        self._due.append(Pending(login, 0, must_be_ok=False, granted=granted, refused=refused))

    def data_to_send(self) -> bytes:
        """What has to be sent now, once."""
        if not self.out:
            return b""
        data = bytes(self.out)
        self.out.clear()
        self._given += len(data)
        return data

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for a reply, or one may take long (`Wait.patient`)."""
        return any(pending.wait.awaited for pending in self._due)

    def waits(self) -> Iterator[Wait[Any]]:
        """The waits for the replies that are due."""
        return (pending.wait for pending in self._due)

    # Replies

    def take(self, reply: Reply) -> None:
        """A reply came: it is for the first command that is due.

        Raises:
            ProtocolError: it cannot be for that command, so no later reply can be trusted either.
        """
        if not self._due:
            raise ProtocolError(f"read a reply that no command asked for: {reply.text!r:.80}")
        pending = self._due[0]
        if pending.is_getvar and not _getvar.is_whole(reply):
            self._take_broken(pending, reply)
            return
        if isinstance(reply, ApiResponse) and not pending.is_api:
            raise ProtocolError(f"read the output of an API command, expected {pending.wait.what}")
        self._due.popleft()
        self._answer(pending, reply)

    def _take_broken(self, pending: Pending, reply: Reply) -> None:
        """Nobody can say where a broken value ends. If more replies are due, none of them can be trusted."""
        if len(self._due) > 1:
            raise _getvar.broken(reply)
        self._due.popleft()
        pending.wait.fail(_getvar.broken(reply))

    def _answer(self, pending: Pending, reply: Reply) -> None:
        wait = pending.wait
        if pending.instead and _getvar.is_no_answer(reply):
            self.send(pending.instead, wait.what, must_be_ok=pending.must_be_ok, wait=wait)
            return
        if not reply.ok and pending.refused is not None:
            pending.refused(reply)
        elif reply.ok and pending.granted is not None:
            pending.granted(reply)
        if pending.must_be_ok and not reply.ok:
            wait.fail(CommandError(reply.text))
        elif pending.acts and self.channel_ended is not None:  # +OK says that it was queued
            wait.fail(self.channel_ended, sent=True)
        else:
            wait.finish(reply)

    def end(self, failure: ESLError, unsent: int) -> None:
        """The connection has ended. Commands that act on the channel fail with ChannelEnded if the channel has hung up.

        Args:
            failure: why.
            unsent: how many bytes of what was given out were not sent.
        """
        self.failure = failure
        sent = self._given - unsent
        for pending in self._due:
            why = self.channel_ended if pending.acts else None
            pending.wait.fail(why or failure, sent=pending.begins < sent)
        self._due.clear()
        self.out.clear()
