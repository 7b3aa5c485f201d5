"""An Event Socket server for tests and demos: a switch that answers as FreeSWITCH was seen to, without FreeSWITCH.

    >>> import socket
    >>> with Emulator() as switch:
    ...     switch.api["greet"] = lambda args: f"hello {args}"
    ...     with socket.create_connection((switch.host, switch.port)) as client:
    ...         client.sendall(b"auth ClueCon\\n\\napi greet world\\n\\n")
    ...         client.shutdown(socket.SHUT_WR)
    ...         received = b"".join(iter(lambda: client.recv(4096), b""))
    >>> print(received.decode())
    Content-Type: auth/request
    <BLANKLINE>
    Content-Type: command/reply
    Reply-Text: +OK accepted
    <BLANKLINE>
    Content-Type: api/response
    Content-Length: 11
    <BLANKLINE>
    hello world

It logs clients in, answers every command with the switch's own words, fires events, runs background jobs in any order,
replays captures, dials outbound servers and plays a call, and breaks connections on request (`Fault`). One thread of
its own serves all connections; every method may be called from any thread, from API functions and applications too.
It has an event loop of its own, a selector's, whichever the program uses: on Windows that serves some 500 connections.
"""

from __future__ import annotations

import asyncio
import gzip
import os
import random
import socket
import struct
import threading
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from . import render
from ._codec import FrameSplitter
from ._ctext import redacted
from ._json import Field
from ._listener import SHUTDOWN, Listener, log_level
from ._switch import QUEUE_LIMIT, Api, Application, Job, Later, Run, Session, Switch, User, new_uuid
from .enums import HangupCause
from .events import Event, Headers

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["EmulatedCall", "Emulator", "Fault", "Later", "Listener", "Run", "Session", "User"]

LOGIN_SECONDS: Final = 25.0
"""Within these the first command has to be complete."""
_CHUNK_BYTES: Final = 256 << 10
"""What is handed to a socket at once, and so what a reply waits for at most."""
_TURN_BYTES: Final = 8 << 20
"""After so much for one connection the others have their turn."""
_BURST: Final = 1000
"""Frames that a replay at full speed produces between two looks at the sockets."""
_TICK_SECONDS: Final = 0.01
"""How often a replay at a rate produces what is due."""
_STANDSTILL_SECONDS: Final = 0.1
"""How long a switch stands still at least, for all to see it: a kernel now and then takes what nobody reads yet."""
_GRACE_SECONDS: Final = 1.0
"""How long a connection that has said goodbye waits for the client to close: what it still sends must not reset it."""
_FOREVER: Final = 1 << 62
FREEZE_SECONDS: Final = 600.0
"""After so long a switch gives up telling a slow reader that it is killed: 60 000 tries, 10 ms apart."""

T = TypeVar("T")


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong with a connection once `after` bytes have been sent on it, the greeting included.

    `freeze` is another matter: it happens when the connection is killed, and goes wrong with all the others.

    Example:
        >>> Fault.cut(after=100).kind, Fault.drip(1, every=0.01).size
        ('cut', 1)
    """

    kind: Literal["cut", "close", "stall", "drip", "garbage", "freeze"]
    after: int = 0
    data: bytes = b""
    size: int = 1
    every: float = 0.0
    seconds: float = FREEZE_SECONDS

    @classmethod
    def cut(cls, after: int = 0) -> Fault:
        """The connection is reset, wherever in a frame that is."""
        return cls("cut", after)

    @classmethod
    def close(cls, after: int = 0) -> Fault:
        """The connection is closed without a notice, wherever in a frame that is."""
        return cls("close", after)

    @classmethod
    def stall(cls, after: int = 0) -> Fault:
        """Nothing more is sent; the connection stays open."""
        return cls("stall", after)

    @classmethod
    def drip(cls, size: int = 1, *, every: float = 0.001, after: int = 0) -> Fault:
        """Only `size` bytes are sent every so many seconds."""
        return cls("drip", after, size=size, every=every)

    @classmethod
    def garbage(cls, data: bytes, after: int = 0) -> Fault:
        """These bytes are sent in between."""
        return cls("garbage", after, data)

    @classmethod
    def freeze(cls, seconds: float = FREEZE_SECONDS) -> Fault:
        """The whole switch stands still while it kills this connection for being too slow, as FreeSWITCH does.

        It tells a reader whose queue ran over that it is killed, and holds the lock of all connections until the full
        socket has taken the notice or is closed. No other connection gets an event, a reply or a login meanwhile;
        events that are fired, and log lines, are given out afterwards, all at once; they do not count in `queue_limit`,
        so that nobody loses one of them. Without this fault the emulator kills a slow reader and nobody else notices.

        Args:
            seconds: after which the switch gives up and closes the connection.

        Example:
            >>> from eslcodec import connect
            >>> with Emulator(queue_limit=10, faults=[Fault.freeze()]) as switch:
            ...     slow = socket.create_connection((switch.host, switch.port))
            ...     slow.sendall(b"auth ClueCon\\n\\nevent plain ALL\\n\\n")
            ...     _ = switch.wait_for(lambda: "event plain ALL" in switch.commands)
            ...     while not switch.frozen:
            ...         switch.fire("CUSTOM", body="x" * 200_000)
            ...     slow.close()  # or read
            ...     with connect(switch.host, switch.port) as fs:
            ...         fs.api("echo", "at last").text
            'at last'
        """
        return cls("freeze", seconds=seconds)


class EmulatedCall:
    """A call that the emulator put through to an outbound server, from `Emulator.dial`.

    Attributes:
        session: the channel: `uuid`, `variables`, `executed`, `hangup_cause`.
        listener: the connection: `commands`, and what the server subscribed to.

    Example:
        >>> from eslcodec import serve
        >>> with serve(lambda call: call.hangup("USER_BUSY")) as server, Emulator() as switch:
        ...     call = switch.dial("127.0.0.1", server.port)
        ...     call.wait()
        'USER_BUSY'
    """

    def __init__(self, emulator: Emulator, session: Session, listener: Listener) -> None:
        self.session = session
        self.listener = listener
        self._emulator = emulator

    def __repr__(self) -> str:
        return f"<EmulatedCall {self.uuid}{' over' if self.over else ''}>"

    @property
    def uuid(self) -> str:
        """The channel's `Unique-ID`."""
        return self.session.uuid

    @property
    def executed(self) -> list[tuple[str, str]]:
        """(application, data) of everything the server had executed on the channel, in order."""
        return list(self.session.executed)

    @property
    def commands(self) -> list[str]:
        """The command blocks that the server sent, the newest 10,000 of them."""
        return list(self.listener.commands)

    @property
    def hangup_cause(self) -> str | None:
        """Why the channel was hung up; None while it lives."""
        return self.session.hangup_cause

    @property
    def over(self) -> bool:
        """Whether the connection to the server has ended."""
        return self.listener.ended

    def hangup(self, cause: str = "NORMAL_CLEARING") -> None:
        """Hang the channel up, as the caller would."""
        self._emulator._run(lambda: self._emulator._switch.hangup(self.session, cause))

    def dtmf(self, digits: str) -> None:
        """Type digits, as the caller would: a DTMF event for each."""

        def type_all() -> None:
            for digit in digits:
                self._emulator._switch.dtmf(self.session, digit)

        self._emulator._run(type_all)

    def wait(self, timeout: float = 5.0) -> str | None:
        """Wait until the connection to the server has ended; give the cause if the channel was hung up.

        Raises:
            TimeoutError: it has not ended in time.
        """
        self._emulator.wait_for(lambda: self.over, timeout)
        return self.hangup_cause


class Emulator:
    """An Event Socket server; see the module's docstring.

    Use it as a context manager, or `start` and `stop` it. Leaving the `with` block raises what an API function or an
    application raised meanwhile.

    Args:
        host: address to listen on.
        port: port to listen on; 0 takes a free one, which `port` tells.
        password: of `auth`.
        users: directory users for `userauth`, by "user@domain".
        allow: whether the ACL lets an address in: True, False, or a function of the address.
        replay: a capture (`.esl`, `.esl.xz`, `.esl.gz`, or its bytes). Once a connection has said `event` or
            `myevents`, the capture's event and log frames are sent to it, verbatim: format, subscriptions and filters
            are the capture's. `noevents` stops it; `event` goes on where it stopped.
        rate: frames a second of the replay; None is as fast as it goes.
        repeat: how often the replay runs; None is for ever.
        lossless: the replay waits for the reader. If not, it goes on whether anyone reads or not, as a switch does:
            when `queue_limit` frames wait further ones are lost, and after 501 lost ones the connection is killed.
        then: what follows the replay: the connection stays, or is closed with the farewell notice.
        queue_limit: events, and log lines, that wait for one connection before they are lost.
        login_timeout: seconds within which a connection must have sent its first command.
        fault: what goes wrong with every connection.
        faults: what goes wrong with the first connection, the second, and so on; then `fault` again.
        clock: seconds since 1970 for the dates in events.
        make_uuid: a new id; its argument says what for: "core", "job", "event", "application", "channel".
        core_headers: the headers that the switch puts into each event, by event name and the function that fires it;
            the first must be `Event-Name`.

    Attributes:
        api: API commands by name: an output, `Later`, or a function of the arguments that returns one; None from a
            function is the command's failure. Runs in the emulator's thread.
        applications: dialplan applications by name: how many seconds they take, `Run`, or a function of the `Session`
            and the data that returns one of these. One that is not in here hangs up the channel, as in the switch.
        commands: the newest 10,000 command blocks received on all connections, as text without the final blank line. A
            list, that of the emulator itself: `del switch.commands[:]` forgets them.
        sessions: live channels by uuid.
        jobs: background jobs that `hold_jobs` keeps.
        errors: what API functions and applications raised.
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
        rate: float | None = None,
        repeat: int | None = 1,
        lossless: bool = False,
        then: Literal["stay", "close"] = "stay",
        queue_limit: int = QUEUE_LIMIT,
        login_timeout: float = LOGIN_SECONDS,
        fault: Fault | None = None,
        faults: Iterable[Fault | None] = (),
        clock: Callable[[], float] = time.time,
        make_uuid: Callable[[str], str] = new_uuid,
        core_headers: Callable[[str, str], Iterable[Field]] | None = None,
    ) -> None:
        if rate is not None and rate <= 0:
            raise ValueError(f"rate is {rate}, expected more than 0 frames a second, or None for full speed")
        self.host = host
        self.port = port
        self.allow = allow
        self.login_timeout = login_timeout
        self.fault = fault
        self.faults = deque(faults)
        self._recording = None if replay is None else _Recording(replay)
        self._rate, self._repeat, self._lossless, self._then = rate, repeat, lossless, then
        self._switch = Switch(
            password=password,
            users=users,
            queue_limit=queue_limit,
            later=self._later,
            clock=clock,
            make_uuid=make_uuid,
            core_headers=core_headers,
        )
        self.api: dict[str, Api] = self._switch.api
        self.applications: dict[str, Application] = self._switch.applications
        self.commands: list[str] = self._switch.commands
        self.sessions: dict[str, Session] = self._switch.sessions
        self.jobs: list[Job] = self._switch.jobs
        self.errors: list[BaseException] = self._switch.errors
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._server: socket.socket | None = None
        self._connections: set[_Connection] = set()
        self._freezing: _Connection | None = None
        self._thaws_from = 0.0
        self._calls: set[Future[Any]] = set()
        self._changed = threading.Condition()
        self._version = 0
        self._stopped = threading.Event()

    # Beginning and end

    def start(self) -> Self:
        """Listen, and serve in a thread."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self._server = socket.create_server((self.host, self.port), family=family, backlog=1024)
        self._server.setblocking(False)
        self.port = self._server.getsockname()[1]
        self._stopped.clear()
        self._loop = loop = asyncio.SelectorEventLoop()  # the one that Windows has by default has no add_reader
        loop.set_exception_handler(self._failed)
        self._watch()
        self._thread = threading.Thread(target=loop.run_forever, name="eslcodec-emulator", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Close every connection, as a switch that is being shut down, and end the thread."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        self._run(self._close_all)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        self._loop = self._thread = None
        for call in list(self._calls):
            call.cancel()
        self._stopped.set()
        self._notify()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        if kind is None and self.errors:
            raise self.errors[0]

    def __repr__(self) -> str:
        return f"<Emulator {self.host}:{self.port} {'stopped' if self._loop is None else 'running'}>"

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until `stop`; False if that did not come in time. For programs that do nothing else."""
        return self._stopped.wait(timeout)

    # What a test sees

    @property
    def listeners(self) -> list[Listener]:
        """The connections that are open, oldest first."""
        return list(self._switch.listeners)

    @property
    def frozen(self) -> bool:
        """Whether it stands still because it kills a slow reader: see `Fault.freeze`."""
        return self._freezing is not None

    def wait_for(self, condition: Callable[[], T], timeout: float = 5.0) -> T:
        """Wait until a condition holds; give what it returned.

        It is looked at whenever something has happened on a connection. Not for API functions and applications, which
        run in the thread that makes things happen.

        Raises:
            TimeoutError: it does not hold in time.

        Example:
            >>> with Emulator() as switch, socket.create_connection((switch.host, switch.port)) as client:
            ...     client.sendall(b"auth ClueCon\\n\\n")
            ...     switch.wait_for(lambda: "auth ClueCon" in switch.commands)
            True
        """
        deadline = time.monotonic() + timeout
        while True:
            version = self._version
            result = condition()
            if result:
                return result
            if not self._changes(version, deadline - time.monotonic()):
                last = "".join(f"\n  {redacted(command)!r:.100}" for command in self.commands[-5:])
                raise TimeoutError(f"not so within {timeout} s; the last commands were:{last or ' none'}")

    # What a test does

    def fire(
        self,
        event: str | Event,
        headers: Headers = (),
        body: bytes | str | None = None,
        subclass: str | None = None,
    ) -> None:
        """Fire an event, for every connection that wants it.

        Args:
            event: its name, or an event; the core headers are added unless it has them.
            headers: of a name: the other headers.
            body: of a name: the body.
            subclass: of CUSTOM: the subclass.

        Raises:
            InvalidCommand: what no switch could send, such as a line feed in a header's name.
        """
        if isinstance(event, str):
            event = Event.build(event, headers, body, subclass)
        self._run(lambda: self._switch.fire(self._switch.wrap(event)))

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
        data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
        frame = render.log_data(
            data if data.endswith(b"\n") else data + b"\n",
            level=number,
            file=file,
            function=function,
            line=line,
            uuid=uuid,
        )
        self._run(lambda: self._switch.log(number, frame))

    def add_session(
        self,
        uuid: str | None = None,
        variables: Mapping[str, str | Sequence[str]] | None = None,
        *,
        name: str = "",
        answered: bool = True,
    ) -> Session:
        """Add a live channel, for `sendmsg`, `myevents` and the `uuid_` commands. No event is fired for it."""
        session = Session(uuid or self._switch.make_uuid("channel"), variables, name=name, answered=answered)
        return self._run(lambda: self._switch.add_session(session))

    def hangup(self, uuid: str, cause: str = "NORMAL_CLEARING") -> None:
        """Hang up a channel.

        Raises:
            KeyError: there is no such channel, or no such cause.
        """
        name = HangupCause[cause].name
        self._run(lambda: self._switch.hangup(self.sessions[uuid], name))

    @property
    def hold_jobs(self) -> bool:
        """Whether the results of `bgapi` wait for `release_jobs`."""
        return self._switch.hold_jobs

    @hold_jobs.setter
    def hold_jobs(self, hold: bool) -> None:
        self._switch.hold_jobs = hold

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
            jobs = {job.uuid: job for job in self.jobs}
            ids = list(jobs) if isinstance(order, str) else list(order)
            if order == "last":
                ids.reverse()
            elif order == "random":
                random.Random(seed).shuffle(ids)
            chosen = [jobs[uuid] for uuid in ids[:count]]
            for job in chosen:
                self.jobs.remove(job)
                self._switch.run_job(job)
            return [job.uuid for job in chosen]

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
            mode: the words behind the address in the dialplan: "async full", "full", "async", or "".
            uuid: of the channel; a new one by default.
            variables: of the channel, in addition to the usual ones.
            name: `Channel-Name`.
            answered: whether the channel was answered before.
            path: `socket_path`, what stands behind `host:port/` in the dialplan.
            timeout: seconds for connecting.

        Raises:
            OSError: nobody listens there.
            RuntimeError: the emulator does not run.
        """
        if self._loop is None:
            raise RuntimeError("the emulator does not run: use it in a `with` block, or start it")
        sock = socket.create_connection((host, port), timeout)
        sock.setblocking(False)
        known = {"socket_host": host, **({"socket_path": path} if path else {}), **(variables or {})}
        session = Session(uuid or self._switch.make_uuid("channel"), known, name=name, answered=answered)
        data = f"{host}:{port}{f'/{path}' if path else ''} {mode}".rstrip()
        return self._run(lambda: self._dialled(sock, session, mode, data))

    def _dialled(self, sock: socket.socket, session: Session, mode: str, data: str) -> EmulatedCall:
        self._switch.add_session(session)
        listener = Listener(self._switch, session=session, mode=mode)
        self._switch.start_socket(session, data, parked=not listener.static)
        self._open(sock, listener)
        return EmulatedCall(self, session, listener)

    def drop(self) -> None:
        """Close every connection without a notice, wherever in a frame that is."""

        def close_all() -> None:
            for connection in list(self._connections):
                connection.close()

        self._run(close_all)

    def shutdown(self) -> None:
        """End every connection with `The system is being shut down.`; new ones are served, as after a reload."""

        def dismiss_all() -> None:
            for listener in self.listeners:
                listener.dismiss(SHUTDOWN)

        self._run(dismiss_all)

    # The thread

    def _run(self, call: Callable[[], T]) -> T:
        """Call a function in the emulator's thread, or here if that is this one or there is none."""
        loop, thread = self._loop, self._thread
        if loop is None or threading.current_thread() is thread:
            return call()
        future: Future[T] = Future()
        self._calls.add(future)

        def run() -> None:
            try:
                future.set_result(call())
            except BaseException as error:
                future.set_exception(error)

        loop.call_soon_threadsafe(run)
        try:
            return future.result()
        finally:
            self._calls.discard(future)

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        assert self._loop is not None

        def due() -> None:
            call()
            self._notify()

        self._loop.call_later(seconds, due)

    def _failed(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.errors.append(context.get("exception") or RuntimeError(context["message"]))

    def _changes(self, version: int, timeout: float) -> bool:
        """Wait until something has happened since that version."""
        with self._changed:
            return self._changed.wait_for(lambda: self._version != version, timeout)

    def _notify(self) -> None:
        with self._changed:
            self._version += 1
            self._changed.notify_all()

    # Standing still

    def _freeze(self, connection: _Connection) -> None:
        """Nothing is accepted, read, written or fired until this connection has taken its notice."""
        assert self._loop is not None
        self._freezing = connection
        self._thaws_from = self._loop.time() + _STANDSTILL_SECONDS
        self._switch.frozen = True
        self._watch_all()
        self._notify()

    def _thaw(self, connection: _Connection) -> None:
        """This connection has taken its notice, or is gone: go on, if that is what all waited for."""
        if self._freezing is not connection or self._loop is None:
            return
        soon = self._thaws_from - self._loop.time()
        if soon > 0 and not connection.closed:
            self._loop.call_later(soon, self._thaw, connection)
            return
        self._freezing = None
        self._switch.frozen = False
        self._watch_all()
        for other in list(self._connections):
            other.flush()  # and another killed one may be among them
        self._switch.give_held()
        self._notify()

    def _watch_all(self) -> None:
        self._watch()
        for connection in self._connections:
            connection.watch()

    def _watch(self) -> None:
        """Wait for connections unless all stands still."""
        assert self._loop is not None
        assert self._server is not None
        if self._server.fileno() < 0:
            return
        if self.frozen:
            self._loop.remove_reader(self._server)
        else:
            self._loop.add_reader(self._server, self._accept)

    # Connections

    def _accept(self) -> None:
        assert self._server is not None
        while True:
            try:
                sock, address = self._server.accept()
            except OSError:  # nobody waits any more, or there are no descriptors left
                return
            sock.setblocking(False)
            listener = Listener(self._switch)
            listener.peer = address
            allowed = self.allow(address[0]) if callable(self.allow) else self.allow
            self._open(sock, listener, refused=not allowed)

    def _open(self, sock: socket.socket, listener: Listener, refused: bool = False) -> None:
        fault = self.faults.popleft() if self.faults else self.fault
        replay = None
        if self._recording is not None:
            replay = _Replay(self._recording, listener, self._repeat, self._lossless and self._rate is None)
        connection = _Connection(self, sock, listener, fault, replay)
        self._connections.add(connection)
        self._switch.tell(listener, "connected")
        connection.open(refused)
        self._notify()

    def _close_all(self) -> None:
        assert self._loop is not None
        if self._server is not None:
            self._loop.remove_reader(self._server)
            self._server.close()
        while self._freezing is not None:  # one after the other, if several are being killed
            self._freezing.close()
        self._switch.held.clear()
        for connection in list(self._connections):
            connection.listener.dismiss(SHUTDOWN)
            connection.flush()
            connection.close()


class _Recording:
    """The event and log frames of a capture, end to end, and where each of them ends."""

    def __init__(self, source: str | os.PathLike[str] | bytes) -> None:
        data = source if isinstance(source, bytes) else _read(Path(source))
        splitter = FrameSplitter(max_buffered=len(data) + 1)
        splitter.feed(data)
        frames = [
            block + (body or b"")
            for block, body in splitter
            if b"Content-Type: text/event-" in block or block.startswith(b"Content-Type: log/data\n")
        ]
        self.data = memoryview(b"".join(frames))
        self.ends: list[int] = []
        end = 0
        for frame in frames:
            end += len(frame)
            self.ends.append(end)
        if not frames:
            raise ValueError("the capture to replay has no event in it")


def _read(path: Path) -> bytes:
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes())
    if path.suffix == ".xz":
        import lzma  # not in every build of Python

        return lzma.decompress(path.read_bytes())
    return path.read_bytes()


class _Replay:
    """What one connection gets of a recording: the frames that wait, as few ranges of frame numbers."""

    def __init__(self, recording: _Recording, listener: Listener, repeat: int | None, on_demand: bool) -> None:
        self.recording = recording
        self.listener = listener
        self.total = _FOREVER if repeat is None else len(recording.ends) * repeat
        self.produced = 0
        self.started: float | None = None
        self.on_demand = on_demand
        self.waiting: deque[tuple[int, int]] = deque()
        if on_demand:
            self.produced = self.total
            self.waiting.append((0, self.total))

    @property
    def over(self) -> bool:
        return self.produced == self.total and not self.waiting

    def produce(self, count: int, room: int) -> None:
        """The next `count` frames happen; those that find no room are lost."""
        count = min(count, self.total - self.produced)
        kept = max(0, min(count, room))
        if kept:
            first = self.produced
            if self.waiting and self.waiting[-1][1] == first:
                first = self.waiting.pop()[0]
            self.waiting.append((first, self.produced + kept))
            self.listener.backlog += kept
            self.listener.lost = 0
        self.produced += count
        if count > kept:
            self.listener.lose(count - kept)

    def take(self, size: int) -> memoryview:
        """About so many bytes of what waits, whole frames, and one at least."""
        if not self.waiting:
            return memoryview(b"")
        first, last = self.waiting.popleft()
        ends = self.recording.ends
        at = first % len(ends)
        start = ends[at - 1] if at else 0
        count = max(1, min(bisect_right(ends, start + size, lo=at) - at, last - first))
        if first + count < last:
            self.waiting.appendleft((first + count, last))
        if not self.on_demand:
            self.listener.backlog -= count
        return self.recording.data[start : ends[at + count - 1]]

    def clear(self) -> None:
        if not self.on_demand:
            self.waiting.clear()
            self.listener.backlog = 0


class _Connection:
    """The socket of a listener: reads, writes, and what goes wrong with it. Lives in the emulator's thread."""

    def __init__(
        self, emulator: Emulator, sock: socket.socket, listener: Listener, fault: Fault | None, replay: _Replay | None
    ) -> None:
        assert emulator._loop is not None
        self.emulator = emulator
        self.loop = emulator._loop
        self.sock = sock
        self.listener = listener
        self.freeze = fault if fault is not None and fault.kind == "freeze" else None
        self.fault = None if self.freeze else fault
        self.replay = replay
        self.unsent = memoryview(b"")
        self.sent = 0
        self.closed = False
        self.blocked = False
        self.stalled = False
        self.drip: Fault | None = None
        self.dripped = False
        self.killed = False
        self.drained = False
        self.woken = False
        self.producing = False
        self.timer: asyncio.TimerHandle | None = None

    def open(self, refused: bool) -> None:
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.listener.wake = self.wake
        self.watch()
        self.timer = self.loop.call_later(self.emulator.login_timeout, self._too_late)
        greeting = self.listener.refuse() if refused else self.listener.start()
        self.unsent = memoryview(greeting)
        self._strike()
        self.flush()

    def close(self, *, reset: bool = False) -> None:
        if self.closed:
            return
        self.closed = True
        if self.timer is not None:
            self.timer.cancel()
        self.loop.remove_reader(self.sock)
        self.loop.remove_writer(self.sock)
        if reset:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()
        self.emulator._connections.discard(self)
        self.listener.end()
        self.emulator._thaw(self)
        self.emulator._notify()

    def wake(self) -> None:
        """The listener has something to send: send it once the loop comes around."""
        if not self.woken and not self.closed:
            self.woken = True
            self.loop.call_soon(self._awake)

    @property
    def still(self) -> bool:
        """Another connection is being killed, and the switch does nothing else."""
        return self.emulator._freezing not in (None, self)

    def watch(self) -> None:
        """Wait for what happens next on the socket. A switch that cannot write does not read either."""
        if self.closed:
            return
        self.loop.remove_reader(self.sock)
        self.loop.remove_writer(self.sock)
        if self.blocked and not self.still:
            self.loop.add_writer(self.sock, self._writable)
        elif not self.still:
            self.loop.add_reader(self.sock, self._readable)

    def _awake(self) -> None:
        self.woken = False
        self.flush()

    def _too_late(self) -> None:
        if not self.listener.commands:
            self.listener.close()

    def _readable(self) -> None:
        try:
            data = self.sock.recv(_CHUNK_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self.listener.feed(data)
        self._play()
        self.flush()
        self.emulator._notify()

    # Writing

    def flush(self) -> None:
        """Send what there is until the socket takes no more."""
        turn = _TURN_BYTES
        while not self.closed and not self.still:
            if self.listener.killed and not self.killed:
                self._kill()
                if self.emulator._freezing is self:  # its socket is full
                    return
            if not self.unsent:
                self.unsent = self._next()
            if not self.unsent:
                break
            size = self._permitted(len(self.unsent))
            if not size:
                return
            try:
                count = self.sock.send(self.unsent[:size])
            except (BlockingIOError, InterruptedError):
                self._block(True)
                return
            except OSError:
                self.close()
                return
            self.unsent = self.unsent[count:]
            self.sent += count
            turn -= count
            self._strike()
            if turn <= 0:
                self.wake()
                return
        if not self.closed and not self.still:
            self._block(False)
            if self.listener.closing:
                self._finish()

    def _writable(self) -> None:
        """The socket takes more. A switch looks for commands between two events, so that a stream starves none."""
        self._readable()
        if not self.closed:
            self.flush()

    def _kill(self) -> None:
        """What is half sent is not sent to its end; the notice waits for the reader, the switch does not."""
        self.killed = True
        self.unsent = memoryview(b"")
        self.listener.end()
        if self.freeze is not None and self.blocked:
            self._close_in(self.freeze.seconds)
            self.emulator._freeze(self)
        self.emulator._notify()

    def _next(self) -> memoryview:
        data = self.listener.pull(_CHUNK_BYTES)
        if data:
            return memoryview(data)
        replay = self.replay
        if replay is None or self.listener.closing or self.listener.held or not self.listener.listening:
            return memoryview(b"")
        chunk = replay.take(_CHUNK_BYTES)
        if not chunk and replay.over and self.emulator._then == "close":
            self.listener.close()
            return memoryview(self.listener.pull())
        return chunk

    def _block(self, blocked: bool) -> None:
        """Whether the socket takes no more."""
        if blocked == self.blocked:
            return
        self.blocked = blocked
        self.watch()
        if not blocked:
            self.emulator._thaw(self)

    def _finish(self) -> None:
        """Everything is said: close, but leave the client time to read it."""
        if self.drained:
            return
        self.drained = True
        self.listener.end()
        self._close_in(_GRACE_SECONDS)
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.close()
        self.emulator._notify()

    def _close_in(self, seconds: float) -> None:
        if self.timer is not None:
            self.timer.cancel()
        self.timer = self.loop.call_later(seconds, self.close)

    # Faults

    def _permitted(self, size: int) -> int:
        """How many bytes may be sent now."""
        if self.stalled or self.dripped:
            return 0
        if self.fault is not None:
            return min(size, self.fault.after - self.sent)
        if self.drip is None:
            return size
        self.dripped = True
        self.loop.call_later(self.drip.every, self._next_drip)
        return min(size, self.drip.size)

    def _next_drip(self) -> None:
        self.dripped = False
        self.flush()

    def _strike(self) -> None:
        """The fault happens, if it is due."""
        fault = self.fault
        if fault is None or self.sent < fault.after:
            return
        self.fault = None
        if fault.kind in ("cut", "close"):
            self.close(reset=fault.kind == "cut")
        elif fault.kind == "stall":
            self.stalled = True
        elif fault.kind == "drip":
            self.drip = fault
        else:
            self.unsent = memoryview(fault.data + bytes(self.unsent))

    # Replay

    def _play(self) -> None:
        """Go on with the replay if the client listens, stop it if it does not."""
        replay = self.replay
        if replay is None or replay.on_demand:
            return
        if not self.listener.listening:
            replay.clear()
        elif not self.producing and not replay.over:
            self.producing = True
            self.loop.call_soon(self._produce, self.loop.time(), replay.produced)

    def _produce(self, since: float, before: int) -> None:
        replay, rate = self.replay, self.emulator._rate
        assert replay is not None
        if self.closed or self.listener.closing or not self.listener.listening or replay.produced == replay.total:
            self.producing = False
            self.flush()
            return
        if self.still:
            self.loop.call_later(_TICK_SECONDS, self._produce, since, before)
            return
        due = _BURST if rate is None else before + int((self.loop.time() - since) * rate) - replay.produced
        limit = _FOREVER if self.emulator._lossless else self.emulator._switch.queue_limit
        replay.produce(due, limit - self.listener.queued)
        self.flush()
        self.emulator._notify()
        delay = 0 if rate is None else max(_TICK_SECONDS, 1 / rate)
        self.loop.call_later(delay, self._produce, since, before)
