"""What the connections of an emulated switch share: users, API commands and background jobs, over core and channels.

No sockets, threads or timers of its own; one thread at a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from .._ctext import to_bytes
from .._json import Field
from ._applications import install
from ._calls import Calls
from ._channels import Channels
from ._core import QUEUE_LIMIT, Core, new_uuid
from ._model import Api, ApiOutput, Connected, Job, Later, Promise, User

MODULES: Final = """
    mod_callcenter mod_commands mod_conference mod_console mod_db mod_dialplan_xml mod_dptools mod_event_socket
    mod_expr mod_hash mod_logfile mod_loopback mod_sndfile mod_sofia mod_tone_stream mod_valet_parking
"""
"""The modules that are loaded from the beginning."""
COMMANDS_KEPT: Final = 10_000
"""Commands that are remembered, of one connection and of all: more than a test looks through, and a switch that serves
a demo or a soak for weeks does not fill the memory with them."""


class Switch:
    """What the connections of a switch share.

    Args:
        password: of `auth`.
        users: directory users for `userauth`, by "user@domain".
        answers: gives the API commands that the switch has from the beginning; without it there are none.
        queue_limit: events, and log lines, that wait for one connection before they are lost.
        later: calls a function after some seconds; nothing that takes time ever ends without one.
        clock: seconds since 1970 for the dates in events.
        make_uuid: a new id; its argument says what for: "core", "job", "event", "application", "channel".
        core_headers: the headers that the switch puts into each event, by event name and the function that fires it;
            the first must be `Event-Name`.

    Attributes:
        core: time, ids, events and who gets them.
        channels: what runs on them.
        calls: what makes and connects them.
        api: API commands by name.
        variables: global variables by name.
        tables: rows of `show`, by table: "registrations", "tasks", "interfaces" and so on.
        modules: those that are loaded.
        known_modules: those that can be loaded.
        limits: what `fsctl` sets.
        hostname: of the machine, and of the switch.
        jobs: background jobs that are held.
        commands: the newest 10,000 commands of all connections.
    """

    def __init__(
        self,
        *,
        password: str = "ClueCon",
        users: Mapping[str, User] | None = None,
        answers: Callable[[Switch], Mapping[str, Api]] | None = None,
        queue_limit: int = QUEUE_LIMIT,
        later: Callable[[float, Callable[[], None]], object] = lambda _seconds, _call: None,
        clock: Callable[[], float] = time.time,
        make_uuid: Callable[[str], str] = new_uuid,
        core_headers: Callable[[str, str], Iterable[Field]] | None = None,
    ) -> None:
        self.password = password
        self.users = dict(users or {})
        self.core = Core(
            queue_limit=queue_limit, later=later, clock=clock, make_uuid=make_uuid, core_headers=core_headers
        )
        self.channels = Channels(self.core)
        self.calls = Calls(self.core, self.channels)
        self.variables: dict[str, str] = {}
        self.tables: dict[str, list[dict[str, str]]] = {}
        self.modules = set(MODULES.split())
        self.known_modules = set(self.modules)
        self.limits = {
            "sps": 30,
            "max_sessions": 1000,
            "min_dtmf_duration": 400,
            "max_dtmf_duration": 192000,
            "default_dtmf_duration": 2000,
        }
        self.hostname = "emulator"
        self.jobs: list[Job] = []
        self.commands: list[str] = []
        self.holds_jobs = False
        self.api: dict[str, Api] = dict(answers(self)) if answers is not None else {}
        self._witness: Callable[[Connected, str], None] | None = None
        install(self)

    # What happens on connections

    def observe(self, witness: Callable[[Connected, str], None]) -> None:
        """Have a function told what happens on connections: "connected", "closed", or a command."""
        self._witness = witness

    def tell(self, connection: Connected, what: str) -> None:
        """Something happened on a connection: "connected", "closed", or a command."""
        if self._witness is not None:
            self._witness(connection, what)

    # API commands

    def execute(self, command: str, args: str) -> ApiOutput:
        """What an API command puts out, blanks around it and its arguments stripped; None if there is none."""
        name = command.strip(" ")
        if name not in self.api:
            self.core.unknown("api", name)
            return None
        answer = self.api[name]
        try:
            output: object = answer(args.strip(" ")) if callable(answer) else answer
            if output is None or isinstance(output, (str, bytes, Later, Promise)):
                return output
            raise TypeError(f"API command {command!r} gave {output!r}, expected text, bytes, Later or None")
        except BaseException as error:  # another's function, or its pytest.fail: it must not end the connection
            self.core.errors.append(error)
            return f"-ERR {error!r}\n"

    def run_api(self, command: str, args: str | None, console: bool, then: Callable[[bytes], None]) -> None:
        """Call `then` with the output of an API command, at once or, if that takes time, when it is there."""
        if console:
            self.run_console(command, then)
            return
        self._put_out(command, self.execute(command, args or ""), then)

    def _put_out(self, command: str, output: ApiOutput, then: Callable[[bytes], None]) -> None:
        if output is None:
            then(b"-ERR %b Command not found!\n" % to_bytes(command))
        elif isinstance(output, Later):
            due = to_bytes(output.output)
            self.core.later(output.seconds, lambda: then(due))
        elif isinstance(output, Promise):
            output.then(lambda text: then(to_bytes(text)))
        else:
            then(to_bytes(output))

    def run_console(self, text: str, then: Callable[[bytes], None]) -> None:
        """What the console interpreter puts out: commands separated by `;;`, their outputs joined.

        A command that is not there ends it, and is all that is put out.
        """
        parts = [part.strip() for part in text.split(";;")]
        outputs: list[bytes] = []

        running = False

        def go_on(output: bytes) -> None:
            outputs.append(output)
            if not running:
                run_rest()

        def run_rest() -> None:
            nonlocal running
            running = True
            for number, part in enumerate(parts[len(outputs) :], len(outputs) + 1):
                command, _, args = part.partition(" ")
                output = self.execute(command, args)
                self._put_out(text, output, then if output is None else go_on)
                if len(outputs) < number:  # none, or later
                    running = False
                    return
            then(b"".join(outputs))

        run_rest()

    # Background jobs

    def hold_jobs(self, hold: bool) -> None:
        """Keep the background jobs that come from now on, or run them."""
        self.holds_jobs = hold

    def add_job(self, job: Job) -> None:
        """Run a background job, or keep it."""
        if self.holds_jobs:
            self.jobs.append(job)
        else:
            self._run_job(job)

    def release_jobs(self, uuids: Sequence[str]) -> None:
        """Run jobs that were kept, in this order.

        Raises:
            KeyError: no job has such an id; then none is run.
        """
        kept = {job.uuid: job for job in self.jobs}
        for job in [kept[uuid] for uuid in uuids]:
            self.jobs.remove(job)
            self._run_job(job)

    def _run_job(self, job: Job) -> None:
        """Execute a job; its result is a BACKGROUND_JOB event."""
        self.run_api(job.command, job.args, job.console, lambda output: self._job_done(job, output))

    def _job_done(self, job: Job, output: bytes) -> None:
        fields: list[Field] = [("Job-UUID", job.uuid)]
        if job.owner is not None:
            fields.append(("Job-Owner-UUID", job.owner))
        fields.append(("Job-Command", job.command))
        if job.args is not None:
            fields.append(("Job-Command-Arg", job.args))
        self.core.fire(self.core.event("BACKGROUND_JOB", fields, output, function="api_exec"))


def keep(commands: list[str], command: str) -> None:
    """Remember a command, and no more than the newest `COMMANDS_KEPT`. A list, since tests slice and compare it."""
    commands.append(command)
    del commands[:-COMMANDS_KEPT]
