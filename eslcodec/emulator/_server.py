"""The emulator as its users see it: `Emulator`."""

from __future__ import annotations

import os
import random
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Literal, TypeVar

from .. import render
from .._codec import Message
from .._ctext import to_bytes
from .._json import Field
from ..enums import HangupCause
from ..events import Event, Headers
from ._api import default_answers
from ._calls import Extension
from ._core import QUEUE_LIMIT, new_uuid
from ._digits import Caller, Script, step_of
from ._endpoints import Endpoints
from ._expected import Expected, agree, difference, recent
from ._faults import Fault
from ._listener import Listener, log_level
from ._model import SHUTDOWN, Api, Application, Connected, Job, NotEmulated, NotRunning, Session, User
from ._put_through import EmulatedCall
from ._replay import Programme
from ._shapes import check_name, shape
from ._sockets import LOGIN_SECONDS, Sockets
from ._source import Changes, open_source, seconds_of
from ._switch import Switch
from ._thread import LoopThread

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

T = TypeVar("T")


class Emulator:
    """An Event Socket server; see the package's docstring.

    Use it as a context manager, or `start` and `stop` it. Leaving the `with` block raises what an API function or an
    application raised meanwhile.

    Args:
        host: address to listen on.
        port: port to listen on; 0 takes a free one, which `port` tells.
        password: of `auth`.
        users: directory users for `userauth`, by "user@domain".
        allow: whether the ACL lets an address in: True, False, or a function of the address.
        replay: a recording or a capture, any path that `eslcodec.Recording` takes, of any length; or the bytes of a
            capture. Once a connection has said `event` or `myevents`, the event and log frames are sent to it,
            verbatim: format, subscriptions and filters are the capture's. `noevents` stops it; `event` goes on where it
            stopped. More than 64 MiB, and all with the options below, is read while it is sent, for each connection.
        replay_filtered: each connection gets of the replay what it subscribed to, past its filters, in the format that
            it asked for, and log lines of its level.
        rate: frames a second of the replay; None is as fast as it goes.
        speed: how many times as fast as the frames were received, 1.0 as they were; None is as fast as it goes. What
            was recorded without times goes by the times of its events.
        since: replay what was received from then on, an aware datetime or seconds since 1970.
        shift_to_now: all times in events and log lines are moved so that the first event is of now. Core-UUIDs become
            others.
        rename: `FreeSWITCH-Hostname` and `FreeSWITCH-Switchname` of all events, so that nobody takes them for those of
            the switch that was recorded. Core-UUIDs become others.
        redact: a function that is given each message and returns the one that is sent, such as
            `eslcodec.ingest.Redact`.
        repeat: how often the replay runs; None is for ever.
        lossless: the replay waits for the reader. If not, it goes on whether anyone reads or not, as a switch does:
            when `queue_limit` frames wait further ones are lost, and after 501 lost ones the connection is killed.
        then: what follows the replay: the connection stays, or is closed with the farewell notice.
        queue_limit: events, and log lines, that wait for one connection before they are lost.
        login_timeout: seconds within which a connection must have sent its first command.
        strict: leaving the `with` block, or `check`, raises `NotEmulated` if a program asked for an API command or an
            application that is not there. The switch answers as a real one all the same. The fixture `esl_switch` is.
        fault: what goes wrong with every connection.
        faults: what goes wrong with the first connection, the second, and so on; then `fault` again.
        clock: seconds since 1970 for the dates in events.
        make_uuid: a new id; its argument says what for: "core", "job", "event", "application", "channel".
        core_headers: the headers that the switch puts into each event, by event name and the function that fires it;
            the first must be `Event-Name`.

    Attributes:
        api: API commands by name: an output, `Later`, or a function of the arguments that returns one; None from a
            function is the command's failure, and None itself is a command that is meant to be missing. Runs in the
            emulator's thread.
        applications: dialplan applications by name: how many seconds they take, `Run`, or a function of the `Session`
            and the data that returns one of these. One that is not in here hangs up the channel, as in the switch.
        endpoints: how targets answer that `originate` and `bridge` dial, by what is dialled: "answer", "busy",
            "no answer", "rejected", "ring", a hangup cause, an `Endpoint`, or a function of what is dialled.
        dialplan: what is done with a destination: "answer,playback:a.wav", (application, data) pairs, or a function of
            the `Session` that returns one of them. Where nothing is said the channel hangs up: NO_ROUTE_DESTINATION.
        variables: global variables.
        tables: rows of `show`, by table, for "registrations" and others that a switch does not fill by itself; and
            "gateways", with name, to and state.
        commands: the newest 10,000 command blocks received on all connections, as text without the final blank line. A
            list, that of the emulator itself: `del switch.commands[:]` forgets them.
        sessions: live channels by uuid.
        jobs: background jobs that `hold_jobs` keeps.
        errors: what API functions and applications raised.
        unexpected: what programs asked for that is not there, a sentence each.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        password: str = "ClueCon",
        users: Mapping[str, User] | None = None,
        allow: bool | Callable[[str], bool] = True,
        replay: str | os.PathLike[str] | bytes | None = None,
        replay_filtered: bool = False,
        rate: float | None = None,
        speed: float | None = None,
        since: datetime | float | None = None,
        shift_to_now: bool = False,
        rename: str | None = None,
        redact: Callable[[Message], Message] | None = None,
        repeat: int | None = 1,
        lossless: bool = False,
        then: Literal["stay", "close"] = "stay",
        queue_limit: int = QUEUE_LIMIT,
        login_timeout: float = LOGIN_SECONDS,
        strict: bool = False,
        fault: Fault | None = None,
        faults: Iterable[Fault | None] = (),
        clock: Callable[[], float] = time.time,
        make_uuid: Callable[[str], str] = new_uuid,
        core_headers: Callable[[str, str], Iterable[Field]] | None = None,
    ) -> None:
        if rate is not None and rate <= 0:
            raise ValueError(f"rate is {rate}, expected more than 0 frames a second, or None for full speed")
        if speed is not None and not (speed > 0 and rate is None):
            raise ValueError(f"speed is {speed}, expected more than 0, or None for full speed; and no rate beside it")
        self.host = host
        self.port = port
        self.allow = allow
        self.login_timeout = login_timeout
        self.strict = strict
        self.fault = fault
        self.faults = deque(faults)
        programme = None
        if replay is not None:
            changes = Changes(seconds_of(since), shift_to_now, rename, redact, clock)
            source = open_source(replay, changes, timed=speed is not None)
            programme = Programme(source, rate, speed, repeat, lossless, then, replay_filtered)
        self._switch = Switch(
            password=password,
            users=users,
            answers=default_answers,
            queue_limit=queue_limit,
            later=lambda seconds, call: self._thread.later(seconds, call),
            clock=clock,
            make_uuid=make_uuid,
            core_headers=core_headers,
        )
        self.api: dict[str, Api] = self._switch.api
        self.applications: dict[str, Application] = self._switch.channels.applications
        self.endpoints: Endpoints = self._switch.calls.endpoints
        self.dialplan: dict[str, Extension] = self._switch.calls.dialplan
        self.variables: dict[str, str] = self._switch.variables
        self.tables: dict[str, list[dict[str, str]]] = self._switch.tables
        self.commands: list[str] = self._switch.commands
        self.sessions: dict[str, Session] = self._switch.channels.sessions
        self.jobs: list[Job] = self._switch.jobs
        self.errors: list[BaseException] = self._switch.core.errors
        self.unexpected: list[str] = self._switch.core.unexpected
        self._thread = LoopThread(self.errors.append)
        self._sockets = Sockets(self._switch, self._thread, self, programme)

    # Beginning and end

    def start(self) -> Self:
        """Listen, and serve in a thread."""
        self.port = self._sockets.listen(self.host, self.port)
        self._thread.start(self._sockets.watch)
        return self

    def stop(self) -> None:
        """Close every connection, as a switch that is being shut down, and end the thread.

        Raises:
            RuntimeError: an API function or an application said so: it runs in this thread. They may say `shutdown`.
        """
        self._thread.stop(self._sockets.close)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        if kind is None:
            self.check()

    def check(self) -> None:
        """Raise what leaving the `with` block raises: an error of an API function or application, or `NotEmulated`."""
        if self.errors:
            raise self.errors[0]
        if self.strict and self.unexpected:
            raise NotEmulated("\n".join(self.unexpected))

    def __repr__(self) -> str:
        return f"<Emulator {self.host}:{self.port} {'stopped' if self._thread.loop is None else 'running'}>"

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until `stop`; False if that did not come in time. For programs that do nothing else."""
        return self._thread.wait(timeout)

    # What a test sees

    @property
    def listeners(self) -> list[Listener]:
        """The connections that are open, oldest first."""
        return [listener for listener in list(self._switch.core.connections) if isinstance(listener, Listener)]

    @property
    def frozen(self) -> bool:
        """Whether it stands still because it kills a slow reader: see `Fault.freeze`."""
        return self._sockets.frozen

    def wait_for(self, condition: Callable[[], T], timeout: float = 5.0) -> T:
        """Wait until a condition holds; give what it returned.

        It is looked at whenever something has happened on a connection. API functions and applications cannot use it:
        they run in the thread that makes things happen.

        Raises:
            TimeoutError: it does not hold in time.

        Example:
            >>> with Emulator() as switch, socket.create_connection((switch.host, switch.port)) as client:
            ...     client.sendall(b"auth ClueCon\\n\\n")
            ...     switch.wait_for(lambda: "auth ClueCon" in switch.commands)
            True
        """
        result = self._thread.wait_for(condition, timeout)
        if not result:
            raise TimeoutError(f"not so within {timeout} s; {recent(self.commands, self.unexpected, self.errors)}")
        return result

    def assert_commands(
        self, *expected: Expected, any_order: bool = False, containing: bool = False, timeout: float = 5.0
    ) -> None:
        """Expect that these commands have come, or come in time, and no others.

        Args:
            expected: command blocks, as in `commands`, or patterns (`re.compile`) that match all of one.
            any_order: they may come in any order.
            containing: others may come between them.
            timeout: seconds to wait for them.

        Raises:
            AssertionError: with what differs, for people to read. Passwords are not shown.

        Example:
            >>> with Emulator() as switch, socket.create_connection((switch.host, switch.port)) as client:
            ...     client.sendall(b"auth ClueCon\\n\\napi status\\n\\n")
            ...     switch.assert_commands("auth ClueCon", "api status")
        """

        self._thread.wait_for(
            lambda: agree(expected, list(self.commands), any_order=any_order, containing=containing), timeout
        )
        told = difference(expected, list(self.commands), any_order=any_order, containing=containing)
        if told is not None:
            raise AssertionError(told)

    # What a test does

    def fire(
        self,
        event: str | Event,
        headers: Headers = (),
        body: bytes | str | None = None,
        subclass: str | None = None,
        *,
        shaped: bool = False,
        unknown: bool = False,
    ) -> None:
        """Fire an event, for every connection that wants it.

        Args:
            event: its name, or an event; the core headers are added unless it has them.
            headers: of a name: the other headers.
            body: of a name: the body.
            subclass: of CUSTOM: the subclass.
            shaped: of a name: it has the headers too that such an event has on a real switch; `headers` replace them.
            unknown: the name may be one that no switch has.

        Raises:
            InvalidCommand: what no switch could send, such as a line feed in a header's name.
            NotRunning: the emulator does not run.
            UnknownEvent: no switch has an event of this name.
        """
        if not unknown:
            check_name(event if isinstance(event, str) else event.name or "CUSTOM")
        self._must_run()
        if isinstance(event, str):
            if shaped:
                headers = shape(event, headers, subclass, self._switch.core.clock, self._switch.core.make_uuid)
            event = Event.build(event, headers, body, subclass)
        self._run(lambda: self._switch.core.fire(self._switch.core.wrap(event)))

    def log(
        self,
        level: int | str,
        text: str | bytes,
        *,
        file: str = "emulator.py",
        function: str = "log",
        line: int = 1,
        uuid: str = "",
    ) -> None:
        """Write a line to the log, for every connection that wants its level."""
        number = log_level(level) if isinstance(level, str) else int(level)
        if number is None:
            raise ValueError(f"{level!r} is no log level")
        data = to_bytes(text)
        frame = render.log_data(
            data if data.endswith(b"\n") else data + b"\n",
            level=number,
            file=file,
            function=function,
            line=line,
            uuid=uuid,
        )
        self._run(lambda: self._switch.core.log(number, frame))

    def add_session(
        self,
        uuid: str | None = None,
        variables: Mapping[str, str | Sequence[str]] | None = None,
        *,
        name: str = "",
        answered: bool = True,
    ) -> Session:
        """Add a live channel, for `sendmsg`, `myevents` and the `uuid_` commands. No event is fired for it."""
        session = Session(uuid or self._switch.core.make_uuid("channel"), variables, name=name, answered=answered)
        return self._run(lambda: self._switch.channels.add(session))

    def hangup(self, uuid: str, cause: str = "NORMAL_CLEARING") -> None:
        """Hang up a channel.

        Raises:
            KeyError: there is no such channel, or no such cause.
        """
        name = HangupCause[cause].name
        self._run(lambda: self._switch.channels.hangup(self.sessions[uuid], name))

    @property
    def hold_jobs(self) -> bool:
        """Whether the results of `bgapi` wait for `release_jobs`."""
        return self._switch.holds_jobs

    @hold_jobs.setter
    def hold_jobs(self, hold: bool) -> None:
        self._switch.hold_jobs(hold)

    def release_jobs(
        self,
        order: Literal["first", "last", "random"] | Sequence[str] = "first",
        *,
        count: int | None = None,
        seed: int | None = None,
    ) -> list[str]:
        """Let background jobs finish that `hold_jobs` has kept; give their ids in that order.

        Args:
            order: "first" come first, "last" come first, "random", or the ids themselves.
            count: so many of them only.
            seed: of "random".

        Raises:
            KeyError: no job has such an id.
        """

        def release() -> list[str]:
            kept = [job.uuid for job in self.jobs]
            chosen = kept if isinstance(order, str) else list(order)
            if order == "last":
                chosen.reverse()
            elif order == "random":
                random.Random(seed).shuffle(chosen)
            chosen = chosen[:count]
            self._switch.release_jobs(chosen)
            return chosen

        return self._run(release)

    def dial(
        self,
        host: str,
        port: int,
        *,
        mode: str = "async full",
        uuid: str | None = None,
        variables: Mapping[str, str | Sequence[str]] | None = None,
        name: str = "",
        answered: bool = False,
        path: str = "",
        timeout: float = 5.0,
    ) -> EmulatedCall:
        """Call an outbound server, as the dialplan application `socket` does.

        Args:
            host: where it listens.
            port: where it listens.
            mode: the words after the address in the dialplan: "async full", "full", "async", or "".
            uuid: of the channel; a new one by default.
            variables: of the channel, in addition to the usual ones.
            name: `Channel-Name`.
            answered: whether the channel was answered before.
            path: `socket_path`, what stands after `host:port/` in the dialplan.
            timeout: seconds for connecting.

        Raises:
            OSError: nobody listens there.
            RuntimeError: the emulator does not run.
        """
        session, sock, data = self._calling(host, port, mode, uuid, variables or {}, name, answered, path, timeout)
        return self._run(lambda: self._dialled(sock, session, mode, data))

    def call(
        self,
        host: str,
        port: int,
        *,
        caller: str = "1000",
        destination: str = "2000",
        mode: str = "async full",
        script: Script | None = None,
        variables: Mapping[str, str | Sequence[str]] | None = None,
        answered: bool = False,
        uuid: str | None = None,
        timeout: float = 5.0,
    ) -> EmulatedCall:
        """Call an outbound server, as a caller with a number and, with a script, with a mind of its own.

        A script answers each prompt of the call: an application that collects digits, records or listens to speech.
        It is a list, or a generator, with a step for each prompt in order, or a function from the prompt to the step.
        A step is

        * keys, or `("press", "12#")`: all that is typed at this prompt;
        * `None` or `("silence",)`: nothing, and the time for it passes at once;
        * `("hangup", "NORMAL_CLEARING")`;
        * `("talk", 2.5)`: so many seconds of a recording; `("say", "yes")`: what speech recognition hears.

        After its last step the caller is silent.

        Args:
            host: where it listens.
            port: where it listens.
            caller: `Caller-Caller-ID-Number`.
            destination: `Caller-Destination-Number`.
            mode: the words after the address in the dialplan: "async full", "full", "async", or "".
            script: what the caller does; without one, what `press` and the like say.
            variables: of the channel, in addition to the usual ones.
            answered: whether the channel was answered before.
            uuid: of the channel; a new one by default.
            timeout: seconds for connecting.

        Raises:
            OSError: nobody listens there.
            RuntimeError: the emulator does not run.
            ValueError: a step of a list is none.

        Example:
            >>> from eslcodec import serve
            >>> def ask(call):
            ...     call.execute("play_and_get_digits", "1 4 3 5000 # pin.wav wrong.wav pin ^1234", wait=True)
            ...     call.hangup()
            >>> with serve(ask) as server, Emulator() as switch:
            ...     call = switch.call("127.0.0.1", server.port, script=["12#", None, "1234"])
            ...     call.wait(), call.variable("pin"), call.prompts
            ('NORMAL_CLEARING', '1234', ['pin.wav', 'wrong.wav', 'pin.wav', 'wrong.wav', 'pin.wav'])
        """
        if isinstance(script, (list, tuple)):
            script = [step_of(step) for step in script]
        name = f"loopback/{destination}-b"
        session, sock, data = self._calling(host, port, mode, uuid, variables or {}, name, answered, "", timeout)
        session.caller = Caller(script)
        session.profile = {
            "Caller-Caller-ID-Name": caller,
            "Caller-Caller-ID-Number": caller,
            "Caller-ANI": caller,
            "Caller-Destination-Number": destination,
        }
        return self._run(lambda: self._dialled(sock, session, mode, data))

    def _calling(
        self,
        host: str,
        port: int,
        mode: str,
        uuid: str | None,
        variables: Mapping[str, str | Sequence[str]],
        name: str,
        answered: bool,
        path: str,
        timeout: float,
    ) -> tuple[Session, socket.socket, str]:
        """A channel that is about to be put through, the connection for it, and what the dialplan says."""
        self._must_run()
        sock = socket.create_connection((host, port), timeout)
        sock.setblocking(False)
        known = {"socket_host": host, **({"socket_path": path} if path else {}), **variables}
        session = Session(uuid or self._switch.core.make_uuid("channel"), known, name=name, answered=answered)
        return session, sock, f"{host}:{port}{f'/{path}' if path else ''} {mode}".rstrip()

    def _dialled(self, sock: socket.socket, session: Session, mode: str, data: str) -> EmulatedCall:
        self._switch.channels.add(session)
        listener = Listener(self._switch, session=session, mode=mode)
        self._switch.channels.start_socket(session, data, parked=not listener.static)
        self._sockets.open(sock, listener)
        return EmulatedCall(self, session, listener)

    def drop(self) -> None:
        """Close every connection without a notice, wherever in a frame that is."""
        self._run(self._sockets.drop)

    def shutdown(self) -> None:
        """End every connection with `The system is being shut down.`; new ones are served, as after a reload."""

        def dismiss_all() -> None:
            for listener in self.listeners:
                listener.dismiss(SHUTDOWN)

        self._run(dismiss_all)

    def _must_run(self) -> None:
        if self._thread.loop is None:
            raise NotRunning("the emulator does not run: use it in a `with` block, or start it")

    # The thread

    def _run(self, call: Callable[[], T]) -> T:
        """Call a function in the emulator's thread, or here if that is this one or there is none."""
        return self._thread.run(call)

    def _observe(self, witness: Callable[[Connected, str], None]) -> None:
        """Have a function told, in the emulator's thread, what happens on connections."""
        self._switch.observe(witness)
