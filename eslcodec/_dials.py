"""Calls that were originated and are waited for: until somebody answers, or the attempt has failed.

The job of an `originate` ends when the call is answered, but at early media too. So the events CHANNEL_ANSWER and
CHANNEL_HANGUP of the channel that it names decide; they may come before or after the job's result. That the uuid is
only known from the result (a user may have several phones) is why those of all channels are kept meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from . import limits
from ._jobs import Jobs
from ._needs import Needs
from ._pipeline import Pipeline
from .dialing import Originated
from .errors import CommandError, CommandTimeout, ESLError
from .events import CommandReply, Event, JobResult
from .waits import Reply, Wait

_ANSWERED: Final = ""


@dataclass(slots=True)
class _Dial:
    """An originate whose outcome is not known yet."""

    result: Wait[JobResult]
    outcome: Wait[Originated]
    made: Originated | None = None  # what the job's result says, while the channel rings


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
        self._open: list[_Dial] = []
        self._fates: dict[str, str] = {}  # of channels since the oldest one began: the cause of their end, or _ANSWERED

    def begin(self, arguments: str) -> tuple[Wait[CommandReply], Wait[Originated]]:
        """`bgapi originate`, and what it comes to."""
        self._pipeline.check_open("originate")
        for name in ("CHANNEL_ANSWER", "CHANNEL_HANGUP"):
            self._needs.need(name, "originate", self._cannot_see)
        accepted, result = self._jobs.begin("originate", arguments, None)
        outcome: Wait[Originated] = Wait(self._pipeline.watchers, "the outcome of an originate")
        if len(self._open) >= limits.JOBS:
            self._open.pop(0).outcome.fail(
                CommandTimeout(f"{limits.JOBS} calls were originated after it: it is forgotten")
            )
        self._open.append(_Dial(result, outcome))
        return accepted, outcome

    def take(self, name: str, event: Event) -> None:
        """An event came that may be about one of the calls."""
        if name == "CHANNEL_ANSWER":
            self._note(event, _ANSWERED)
        elif name == "CHANNEL_HANGUP":
            self._note(event, event.get("Hangup-Cause") or "UNKNOWN")
        elif name != "BACKGROUND_JOB":
            return
        self._open = [dial for dial in self._open if not self._settle(dial)]
        if not self._open:
            self._fates.clear()

    @property
    def is_waited_for(self) -> bool:
        """Whether there is a call whose outcome is not known."""
        return bool(self._open)

    def waits(self) -> list[Wait[Originated]]:
        """The waits for outcomes."""
        return [dial.outcome for dial in self._open]

    def end(self, failure: ESLError) -> None:
        """The connection has ended. The calls go on."""
        for dial in self._open:
            dial.outcome.fail(failure, sent=True)
        self._open.clear()

    def _note(self, event: Event, fate: str) -> None:
        """The first that is known of a channel decides: who was answered may hang up at once."""
        uuid = event.uuid
        if uuid is None or uuid in self._fates:
            return
        if len(self._fates) >= limits.FATES:
            del self._fates[next(iter(self._fates))]
        self._fates[uuid] = fate

    def _settle(self, dial: _Dial) -> bool:
        """Whether the outcome of a call is known by now."""
        if dial.made is None and dial.result.done:
            try:
                dial.made = Originated.of(dial.result.result().text)
            except ESLError as error:
                dial.outcome.fail(error.again())
                return True
        made = dial.made
        if made is None:
            return dial.outcome.done
        fate = self._fates.get(made.uuid)
        if made.reason == "connected" and fate is None:
            return False
        if fate is not None:
            made = made.as_answered() if fate == _ANSWERED else made.as_ended(fate)
        dial.outcome.finish(made)
        return True

    def _cannot_see(self, reply: Reply) -> None:
        """The switch does not let us have the channels' events."""
        self._needs.give_up(["CHANNEL_ANSWER", "CHANNEL_HANGUP"])
        for dial in self._open:
            dial.outcome.fail(CommandError(reply.text), sent=True)
        self._open.clear()
