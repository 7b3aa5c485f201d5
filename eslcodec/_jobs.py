"""Background jobs that wait for their result, which is an event with a Job-UUID of ours."""

from __future__ import annotations

import uuid as uuids

from . import commands, limits
from ._ctext import described
from ._needs import Needs
from ._pipeline import Pipeline
from .errors import CommandError, CommandTimeout, ESLError, InvalidCommand
from .events import CommandReply, Event, JobResult
from .waits import Reply, Wait


class Jobs:
    """The jobs of one connection, from `bgapi` to BACKGROUND_JOB.

    Args:
        pipeline: for commands.
        needs: lets BACKGROUND_JOB come from the first job on.
    """

    def __init__(self, pipeline: Pipeline, needs: Needs) -> None:
        self._pipeline = pipeline
        self._needs = needs
        self._results: dict[str, Wait[JobResult]] = {}

    def begin(
        self, command: str, args: str, job_uuid: str | None, result: Wait[JobResult] | None = None
    ) -> tuple[Wait[CommandReply], Wait[JobResult]]:
        """`bgapi`, as `Connection.bgapi` says; `result` is the one to be settled, if the caller has made it."""
        job_uuid = job_uuid or str(uuids.uuid4())
        if job_uuid in self._results:
            raise InvalidCommand(f"the Job-UUID {job_uuid!r:.80} is in use")
        block = commands.bgapi(command, args, job_uuid=job_uuid)
        what = described(block)
        self._pipeline.check_open(what)
        self._needs.need("BACKGROUND_JOB", what, self._cannot_see)
        result = result or Wait(self._pipeline.watchers, f"the result of {what}")
        if len(self._results) >= limits.JOBS:
            self._forget_oldest()
        self._pipeline.asked += 1
        self._results[job_uuid] = result

        def refused(reply: Reply) -> None:
            if self._results.get(job_uuid) is result:  # and not a later job's, after this one's failed
                del self._results[job_uuid]
            result.fail(CommandError(reply.text))

        return self._pipeline.send(block, what, refused=refused), result

    def _forget_oldest(self) -> None:
        oldest = self._results.pop(next(iter(self._results)))
        text = f"{oldest.what} has not come, and {limits.JOBS} jobs began after it: no more are kept"
        oldest.fail(CommandTimeout(text))

    def _cannot_see(self, reply: Reply) -> None:
        """The switch does not let us have BACKGROUND_JOB."""
        self._needs.give_up(["BACKGROUND_JOB"])
        results, self._results = self._results, {}
        for result in results.values():
            result.fail(CommandError(reply.text))

    def take(self, event: Event) -> None:
        """A BACKGROUND_JOB came, of ours or of somebody else's job."""
        result = self._results.pop(event.get("Job-UUID", ""), None)
        if result is not None:
            result.finish(JobResult.of(event))

    def waits(self) -> list[Wait[JobResult]]:
        """The waits for the results of jobs that are not done."""
        return list(self._results.values())

    def end(self, failure: ESLError) -> None:
        """The connection has ended. A job that was accepted goes on."""
        for result in self._results.values():
            result.fail(failure, sent=True)
        self._results.clear()
