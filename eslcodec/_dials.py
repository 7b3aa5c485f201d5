"""Calls that were originated and are waited for: until somebody answers, or the attempt has failed.

The job of an `originate` ends when the call is answered, but at early media too. So the events CHANNEL_ANSWER and
CHANNEL_HANGUP of the channel that it names decide; they may come before or after the job's result. That the uuid is
only known from the result (a user may have several phones) is why those of all channels are kept meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

from . import limits
from ._jobs import Jobs
from ._needs import Needs
from ._pipeline import Pipeline
from .dialing import Originated
from .errors import CommandError, CommandTimeout, ESLError, InvalidCommand
from .events import CommandReply, Event, JobResult
from .waits import Reply, Wait

_ANSWERED: Final = ""


class _Result(Wait[JobResult]):
    """The result of an originate's job. Whatever settles it, an event or not, the call hears of it."""

    __slots__ = ("told",)

    told: Callable[[Wait[JobResult]], None]

    def wake(self) -> None:
        super().wake()
        if self.done:
            self.told(self)


@dataclass(slots=True, eq=False)
class _Dial:
    """An originate whose outcome is not known yet."""

    outcome: Wait[Originated]
    began: int  # how many fates had been told before it
    uuid: str = ""  # of its channel, while that rings


class _Fate(NamedTuple):
    """What became of a channel first."""

    number: int  # how many were told before
    cause: str  # of its end, or _ANSWERED
    over: bool  # whether it has hung up: then another channel may get its uuid (`origination_uuid`)


class Dials:
    """The originated calls of one connection.

    Args:
        pipeline: for commands.
        needs: lets the channels' events come from the first call on.
        jobs: for `bgapi`.
    """

    def __init__(self, pipeline: Pipeline, needs: Needs, jobs: Jobs) -> None:
        self._pipeline = pipeline
        self._needs = needs
        self._jobs = jobs
        self._open: dict[_Dial, None] = {}
        self._ringing: dict[str, dict[_Dial, Originated]] = {}  # what the jobs' results say, by the channel
        self._fates: dict[str, _Fate] = {}  # of channels since the oldest one began
        self._told = 0  # fates

    def begin(self, arguments: str) -> tuple[Wait[CommandReply], Wait[Originated]]:
        """`bgapi originate`, and what it comes to."""
        self._pipeline.check_open("originate")
        if self._needs.own_channel_only:
            raise InvalidCommand(
                "an answer is told by events of the called channel, and this connection gets those of one other only "
                "(myevents): expected wait='job' or False, or another connection"
            )
        for name in ("CHANNEL_ANSWER", "CHANNEL_HANGUP"):
            self._needs.need(name, "originate", self._cannot_see)
        outcome: Wait[Originated] = Wait(self._pipeline.watchers, "the outcome of an originate")
        dial = _Dial(outcome, self._told)
        result = _Result(self._pipeline.watchers, "the result of bgapi originate")
        result.told = partial(self._job_ended, dial)
        accepted, _ = self._jobs.begin("originate", arguments, None, result)
        if len(self._open) >= limits.JOBS:
            oldest = next(iter(self._open))
            self._close(oldest)
            oldest.outcome.fail(CommandTimeout(f"{limits.JOBS} calls were originated after it: it is forgotten"))
        self._open[dial] = None
        return accepted, outcome

    def take(self, name: str, event: Event) -> None:
        """An event came that may be about one of the calls."""
        if name == "CHANNEL_ANSWER":
            self._note(event, _ANSWERED)
        elif name == "CHANNEL_HANGUP":
            self._note(event, event.get("Hangup-Cause") or "UNKNOWN")

    def look(self) -> None:
        """A reply came. If it was to `myevents`, it is not told any more whether those that ring are answered."""
        if not self._needs.own_channel_only or (self._needs.my_events and not self._needs.my_events.done):
            return
        for dials in list(self._ringing.values()):
            for dial, made in list(dials.items()):
                self._finish(dial, made)

    @property
    def is_waited_for(self) -> bool:
        """Whether there is a call whose outcome is not known."""
        return bool(self._open)

    def waits(self) -> list[Wait[Originated]]:
        """The waits for outcomes."""
        return [dial.outcome for dial in self._open]

    def end(self, failure: ESLError) -> None:
        """The connection has ended. The calls go on."""
        self._fail(failure)

    def _note(self, event: Event, cause: str) -> None:
        """The first that is known of a channel decides: who was answered may hang up at once."""
        uuid = event.uuid
        if uuid is None:
            return
        over, known = cause != _ANSWERED, self._fates.pop(uuid, None)
        if known is not None and not known.over:
            self._fates[uuid] = known._replace(over=over)
        else:
            if len(self._fates) >= limits.FATES:
                del self._fates[next(iter(self._fates))]
            self._fates[uuid] = _Fate(self._told, cause, over)
            self._told += 1
        for dial, made in list(self._ringing.get(uuid, {}).items()):
            self._finish(dial, _after(made, cause))

    def _job_ended(self, dial: _Dial, result: Wait[JobResult]) -> None:
        """The job of a call has a result, or will have none."""
        if dial not in self._open:
            return
        try:
            made = Originated.of(result.result().text)
        except ESLError as error:
            self._close(dial)
            dial.outcome.fail(error.again())
            return
        fate = self._fates.get(made.uuid)
        if made.reason != "connected":
            self._finish(dial, made)
        elif fate is not None and fate.number >= dial.began:
            self._finish(dial, _after(made, fate.cause))
        elif self._needs.own_channel_only:
            self._finish(dial, made)
        else:
            dial.uuid = made.uuid
            self._ringing.setdefault(made.uuid, {})[dial] = made

    def _finish(self, dial: _Dial, made: Originated) -> None:
        self._close(dial)
        dial.outcome.finish(made)

    def _close(self, dial: _Dial) -> None:
        """It is waited for no longer."""
        del self._open[dial]
        if dial.uuid:
            dials = self._ringing[dial.uuid]
            del dials[dial]
            if not dials:
                del self._ringing[dial.uuid]
        if not self._open:
            self._fates.clear()

    def _fail(self, failure: ESLError) -> None:
        dials = list(self._open)
        self._open.clear()
        self._ringing.clear()
        self._fates.clear()
        for dial in dials:
            dial.outcome.fail(failure, sent=True)

    def _cannot_see(self, reply: Reply) -> None:
        """The switch does not let us have the channels' events."""
        self._needs.give_up(["CHANNEL_ANSWER", "CHANNEL_HANGUP"])
        self._fail(CommandError(reply.text))


def _after(made: Originated, cause: str) -> Originated:
    return made.as_answered() if cause == _ANSWERED else made.as_ended(cause)
