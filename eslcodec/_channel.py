"""The channel that a connection controls: whether it has hung up, what runs on it, which digits its caller types.

Its hang-up is known from its own events, the linger notice, the final notice or the answer to `connect`, whichever
comes first. From then on no command that acts on the channel is sent: the switch would answer it with +OK and never do
it.
"""

from __future__ import annotations

import uuid as uuids
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from . import _getvar, commands, limits
from ._block import target
from ._ctext import described, redacted
from ._needs import Needs
from ._options import ExecuteOptions
from ._pipeline import Pipeline
from .errors import ChannelEnded, CommandError, InvalidCommand
from .events import CommandReply, DisconnectNotice, Event
from .reconnect import End
from .waits import Reply, Wait

if TYPE_CHECKING:
    from typing_extensions import Unpack

_UNKNOWN_CAUSE: Final = "UNKNOWN"  # as the switch itself calls a cause that it has no name for


@dataclass(slots=True)
class _Execution:
    """An application that somebody waits for the end of."""

    wait: Wait[Event]
    hangs_up: bool  # whether it is the application `hangup`
    started: bool = False
    complete: Event | None = None  # its end, while the switch is asked whether a hang-up is the cause


class Channel:
    """The connection's own channel, if it has one.

    Args:
        pipeline: for commands.
        needs: lets the channel's events come when they are needed.

    Attributes:
        uuid, mode, control, lingering, digits, hung_up: as `Connection` has them.
    """

    def __init__(self, pipeline: Pipeline, needs: Needs) -> None:
        self.uuid: str | None = None
        self.mode: str | None = None
        self.control: str | None = None
        self.lingering: DisconnectNotice | None = None
        self.digits: deque[str] = deque(maxlen=limits.DIGITS)
        self.hung_up: str | None = None
        self._pipeline = pipeline
        self._needs = needs
        self._executions: dict[str, _Execution] = {}
        self._digit: Wait[bool] | None = None
        self._end: End | None = None
        self._unexplained: list[ChannelEnded] = []  # errors of a hang-up whose cause is not known yet

    def connected(self, reply: CommandReply) -> None:
        """The login was answered: with the channel's data, if the connection is one for a channel."""
        self.uuid = reply.get("Unique-ID")
        self.mode = reply.get("Socket-Mode")
        self.control = reply.get("Control")
        self.look_at(reply)

    @property
    def may_hang_up(self) -> bool:
        """Whether a message may still say that it hung up, or for which cause."""
        return self.uuid is not None and self.hung_up in (None, _UNKNOWN_CAUSE)

    # Commands

    def check(self) -> None:
        """Check that it can be acted on.

        Raises:
            ChannelEnded: it has hung up.
        """
        if self.hung_up is not None:
            raise ChannelEnded(self.hung_up)

    def message(self, block: bytes, *, waits: bool = True) -> Wait[CommandReply]:
        """A `sendmsg`, to this channel or to another.

        Args:
            block: the command.
            waits: whether on a static socket its reply waits for what it begins.
        """
        own = self.uuid is not None and target(block) in (None, self.uuid)
        if own:
            self.check()
        return self._pipeline.command(block, patient=own and waits and self.mode == "static", acts=own)

    def getvar(self, name: str) -> Wait[Reply]:
        """`getvar`, as `Connection.getvar` says."""
        block = commands.getvar(name)
        what = described(block)
        if not self._asks_api(name):
            return self._pipeline.send(block, what, must_be_ok=False)
        api = commands.api("uuid_getvar", f"{self.uuid} {name}")
        return self._pipeline.send(api, what, must_be_ok=False, is_api=True, instead=block)

    def _asks_api(self, name: str) -> bool:
        if self.uuid is None or self.control == "single-channel" or self.hung_up is not None:
            return False  # the API knows no channel that has hung up
        return _getvar.can_ask_api(self.uuid, name)

    # Executions

    def run(
        self,
        application: str,
        argument: str,
        *,
        uuid: str | None = None,
        **options: Unpack[ExecuteOptions],
    ) -> tuple[Wait[CommandReply], Wait[Event]]:
        """`execute`, and its end, as `Connection.run` says."""
        options["event_uuid"] = event_uuid = options.get("event_uuid") or str(uuids.uuid4())
        self._check_run(uuid, event_uuid)
        block = commands.execute(application, argument, **options)
        what = described(block)
        self.check()
        self._pipeline.check_open(what)
        ended: Wait[Event] = Wait(self._pipeline.watchers, f"the end of {redacted(application)}", patient=True)
        execution = _Execution(ended, hangs_up=application.lower() == "hangup")
        self._pipeline.asked += 1
        self._needs.need_executions(self._sees_events, self._cannot_see)
        self._executions[event_uuid] = execution

        def refused(reply: Reply) -> None:
            if self._executions.get(event_uuid) is execution:  # and not a later one, after this one's end failed
                del self._executions[event_uuid]
            ended.fail(CommandError(reply.text))

        patient = self.mode == "static" and not options.get("run_async")
        return self._pipeline.send(block, what, refused=refused, patient=patient, acts=True), ended

    def _check_run(self, uuid: str | None, event_uuid: str) -> None:
        if self.uuid is None:
            raise InvalidCommand("execute can wait for its end on a connection that controls a channel only")
        if uuid not in (None, self.uuid):
            raise InvalidCommand("execute can wait for its end on the connection's own channel only")
        if event_uuid in self._executions:
            raise InvalidCommand(f"the Event-UUID {event_uuid!r:.80} is in use")

    def _sees_events(self, reply: Reply) -> None:
        if self.lingering is not None:  # it had hung up before: no events of it will come
            self._end_executions(lambda execution: not execution.started)

    def _cannot_see(self, reply: Reply) -> None:
        """The switch does not let us have the channel's events."""
        self._needs.give_up_channel()
        executions, self._executions = self._executions, {}
        for execution in executions.values():
            execution.wait.fail(CommandError(reply.text))
        if self._digit is not None:
            self._digit.fail(CommandError(reply.text))

    # Digits

    def collect_digits(self) -> None:
        """`dtmf`, as `Connection.dtmf` says."""
        if self.uuid is None:
            raise InvalidCommand("digits are those of a channel, and the connection controls none")
        if self._end is None and self.hung_up is None:
            self._needs.need_digits(self._sees_events, self._cannot_see)

    def digit(self) -> Wait[bool]:
        """`digit`, as `Connection.digit` says."""
        self.collect_digits()
        if self._digit is None or self._digit.done:
            self._digit = Wait(self._pipeline.watchers, "a digit of the caller")
        self._tell_digit()
        return self._digit

    def take_digit(self, event: Event) -> None:
        """A DTMF came: is it of our channel, and does anybody want it?"""
        if event.uuid != self.uuid or "DTMF" not in self._needs.names:
            return
        digit = event.get("DTMF-Digit")
        if digit:
            self.digits.append(digit)
            self._tell_digit()

    def _tell_digit(self) -> None:
        """Settle the wait for a digit, if there is one or none will come."""
        if self._digit is None:
            return
        if self.digits:
            self._digit.finish(True)
        elif self.hung_up is not None or (self._end is not None and self._end.clean):
            self._digit.finish(False)
        elif self._end is not None:
            self._digit.fail(self._end.error())

    # What comes

    def take(self, name: str, event: Event) -> None:
        """A CHANNEL_ event came: did ours hang up, and which application began or ended?"""
        key = event.get("Application-UUID", "") if name.startswith("CHANNEL_EXECUTE") else ""
        execution = self._executions.get(key)
        if execution is not None and name == "CHANNEL_EXECUTE_COMPLETE":
            del self._executions[key]
        if event.uuid == self.uuid and ("HANGUP" in name or event.get("Answer-State") == "hangup"):
            self.hang_up(event.get("Hangup-Cause"))
            if name == "CHANNEL_HANGUP":  # the event of what has begun comes before it
                self._end_executions(lambda execution: not execution.started)
            elif name == "CHANNEL_HANGUP_COMPLETE":
                self._end_executions(lambda execution: True)
        if execution is None:
            return
        execution.started = True
        if name == "CHANNEL_EXECUTE_COMPLETE":
            self._completed(execution, key, event)

    def _completed(self, execution: _Execution, key: str, event: Event) -> None:
        """An application has ended: by itself, or because the caller hung up?

        Mostly its `Answer-State` says so if the caller did. But a playback may stop just before the switch notices the
        hang-up, and CHANNEL_HANGUP follows later. So then the switch is asked for the state of the channel.
        """
        if execution.hangs_up:
            execution.wait.finish(event)
        elif self.hung_up is not None:
            self._cut_short(execution, event)
        elif event.get("Application-Response") == "PLAYBACK ERROR":
            execution.complete = event
            self._executions[key] = execution

            def known(reply: Reply) -> None:
                self.look_at(reply)
                if self._executions.get(key) is execution:
                    del self._executions[key]
                    execution.wait.finish(event)

            self._pipeline.send(
                commands.connect(), "the channel's state", must_be_ok=False, granted=known, refused=known
            )
        else:
            execution.wait.finish(event)

    def look_at(self, reply: Reply) -> None:
        """The answer to `connect` says whether the channel has hung up."""
        if isinstance(reply, CommandReply) and reply.get("Answer-State") == "hangup":
            self.hang_up(reply.get("Hangup-Cause"))

    def linger(self, notice: DisconnectNotice) -> None:
        """The channel is gone and the connection stays."""
        self.lingering = notice
        self.hang_up(None)

    def hang_up(self, cause: str | None) -> None:
        """The channel has hung up: an application that has not begun never will.

        The exception is an application `hangup` of our own: its events may still come, and CHANNEL_HANGUP decides.
        """
        if self.hung_up in (None, _UNKNOWN_CAUSE):
            self._set_cause(cause or _UNKNOWN_CAUSE)
        self._tell_digit()
        self._end_executions(lambda execution: not execution.started and not execution.hangs_up)
        self._end_executions(lambda execution: execution.complete is not None)

    def _set_cause(self, cause: str) -> None:
        self.hung_up = cause
        for failure in self._unexplained:  # which its reader may not have seen yet
            ChannelEnded.__init__(failure, cause, failure.complete)
        if cause != _UNKNOWN_CAUSE:
            self._unexplained.clear()
        if self._pipeline.channel_ended is None:
            self._pipeline.channel_ended = self._ended()

    def _ended(self, complete: Event | None = None) -> ChannelEnded:
        """The error for somebody who waits for what the channel was to do."""
        failure = ChannelEnded(self.hung_up or _UNKNOWN_CAUSE, complete)
        if failure.cause == _UNKNOWN_CAUSE:
            self._unexplained.append(failure)
        return failure

    def _end_executions(self, which: Callable[[_Execution], bool]) -> None:
        for key, execution in list(self._executions.items()):
            if which(execution):
                del self._executions[key]
                self._cut_short(execution, execution.complete)

    def _cut_short(self, execution: _Execution, complete: Event | None) -> None:
        """An application did not end by itself: the channel has hung up."""
        execution.wait.fail(self._ended(complete), sent=True)

    # The end

    def waits(self) -> Iterator[Wait[Any]]:
        """The waits for the ends of applications and for the next digit."""
        yield from [execution.wait for execution in self._executions.values()]
        if self._digit is not None:
            yield self._digit

    def end(self, end: End) -> None:
        """The connection has ended."""
        self._end = end
        self._tell_digit()
        for execution in self._executions.values():
            if execution.complete is not None:  # and no hang-up is known of
                execution.wait.finish(execution.complete)
            elif self.hung_up is not None:
                self._cut_short(execution, None)
            else:
                execution.wait.fail(end.error(), sent=True)
        self._executions.clear()
