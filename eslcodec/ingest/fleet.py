"""Many switches as one stream: `Fleet`.

Each switch has a connection of its own (`eslcodec.aio`), with its own reconnection, bounds and password; a slow or a
dead one holds back no other. What came waits with its connection until it is taken, a fair share of each.

    >>> import asyncio
    >>> from eslcodec.emulator import Emulator
    >>> from eslcodec.ingest import Fleet
    >>> async def main(one, two):
    ...     async with Fleet([f"east=127.0.0.1:{one.port}", f"west=127.0.0.1:{two.port}"]) as fleet:
    ...         said = set()
    ...         async for switch, message in fleet:
    ...             said.add(f"{switch} {message.kind}")
    ...             if len(said) == 2:
    ...                 return sorted(said)
    >>> with Emulator() as one, Emulator() as two:
    ...     asyncio.run(main(one, two))
    ['east started', 'west started']
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import logging
import math
import os
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby, repeat
from typing import TYPE_CHECKING, Any, Final

from .. import commands, limits, presets
from .._options import ConnectionOptions
from .._tap import Tap
from .._words import check_names
from ..aio._loop import Bell
from ..connection import Reply
from ..errors import ConnectionClosed
from ..reconnect import Backoff, Password
from ._dials import Dials
from ._hosts import Host, follow_toml, read_environment, read_toml, split_events, to_hosts
from ._member import Member
from ._switches import Finder, Item, SwitchStats, Wanted, opening
from .resync import Resync

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self, Unpack

__all__ = ["Fleet", "FleetStats", "Host", "SwitchStats"]

Listed = Iterable[Host | str]
Hosts = Listed | Callable[[], Listed | Awaitable[Listed]]

_LOG: Final = logging.getLogger("eslcodec.fleet")
_TURN: Final = 128  # messages that are given without waiting before the loop has its turn
_TICK_SECONDS: Final = 1.0
_KEEPALIVE: Final = 30.0
_BACKOFF: Final = Backoff(first=1)


@dataclass(frozen=True, slots=True)
class FleetStats:
    """Sums over all switches of a fleet.

    Attributes:
        switches: how many it has.
        connected: how many of them are connected.
        received_events, received_bytes, dropped, reconnects, gaps, waiting: sums; see `SwitchStats`.
        error: why the list of hosts could not be had the last time, None if it could.

    Example:
        >>> FleetStats(2, 1, 10, 4200, 0, 0, 0, 0).connected
        1
    """

    switches: int
    connected: int
    received_events: int
    received_bytes: int
    dropped: int
    reconnects: int
    gaps: int
    waiting: int
    error: str | None = None


class Fleet:
    """Many switches as one stream of `(switch, message)`. Use it in `async with`, and read it all the time.

    What comes of a switch, in this order: a `Started` when it lets us in; what it sends (`Event`, and `LogLine` of
    `log`); a `Gap` where a connection was lost and set up again; a `Loss` where something is missing; `CoreChanged`
    before the first event of another run of the switch; `Stopped` when it is over. Docs: docs/guides/fleet.md.

    Args:
        hosts: each a `Host`, or text: `name=host:port`. Or a function, or coroutine function, without arguments that
            returns such a list: it is asked every `refresh` seconds, and switches come and go as it says. If it fails,
            the list stays as it was; a switch that cannot be taken in is left out; `stats().error` and the log say so.
        events: names of events, names of `eslcodec.presets`, or `CUSTOM subclass`. HEARTBEAT is always asked for too.
        custom: subclasses of CUSTOM.
        unknown: names of events that FreeSWITCH 1.11 does not have are meant, though they are like one that it has.
        filters: (header, value) of each. One that lets HEARTBEAT through is added to them.
        format: "plain", "json" or "xml".
        user, password, password_file: of all hosts that have none of their own. A file, or a function, is read again
            at each attempt.
        log: down to which level log lines are asked for; a switch that refuses that does without. None: none. At
            "crit" a switch tells of events that it lost.
        tap: a function that gives the `Tap` of the switch of this name, or None: such as a `Recorder` for each. Notices
            and losses are told to its `note(dict)`, if it has that. It is called once more for a recorder that has
            stopped because the disk was too slow.
        resync: whether `show channels` is compared with the known channels after each gap, if the end of every channel
            is asked for (CHANNEL_HANGUP_COMPLETE or CHANNEL_DESTROY, without filters); or a function that makes what
            does so for the switch of a name.
        dials_per_second: how many attempts to connect there are in any second, over all switches.
        queue: messages of one switch that may wait to be taken. Then `when_full` says what happens: "pause" reading
            from it, or "drop" its oldest. See `eslcodec.aio.connect` for what is said here of one connection.
        refresh: seconds between two looks at a list of hosts that is a function.
        keepalive, connect_timeout, command_timeout, options: as `eslcodec.aio.connect` takes them.
        backoff: the pauses between attempts, the first connection included: it is tried again for ever.

    Raises:
        ValueError, TypeError, InvalidCommand: what cannot be.

    Example:
        >>> import asyncio
        >>> from eslcodec.emulator import Emulator
        >>> async def main(switch):
        ...     async with Fleet([f"lab=127.0.0.1:{switch.port}"], events=["DTMF"]) as fleet:
        ...         [(name, [started])] = await fleet.take(timeout=5)
        ...         switch.fire("DTMF", {"DTMF-Digit": "#"})
        ...         [(name, [event])] = await fleet.take(timeout=5)
        ...         return name, started.kind, event["DTMF-Digit"]
        >>> with Emulator() as switch:
        ...     asyncio.run(main(switch))
        ('lab', 'started', '#')
    """

    def __init__(
        self,
        hosts: Hosts,
        *,
        events: Iterable[str] | str = presets.ALL,
        custom: Sequence[str] = (),
        unknown: bool = False,
        filters: Sequence[tuple[str, str]] = (),
        format: str = "plain",
        user: str | None = None,
        password: Password | None = None,
        password_file: str | os.PathLike[str] | None = None,
        log: str | None = "crit",
        tap: Callable[[str], Tap | None] | None = None,
        resync: bool | Callable[[str], Finder] = True,
        dials_per_second: float = 5.0,
        queue: int = limits.EVENT_QUEUE,
        refresh: float = 30.0,
        keepalive: float | None = _KEEPALIVE,
        connect_timeout: float = 5,
        command_timeout: float = 30,
        backoff: Backoff = _BACKOFF,
        **options: Unpack[ConnectionOptions],
    ) -> None:
        options.setdefault("queue_hard_limit", max(limits.EVENT_QUEUE_HARD, queue))
        for_all = Host("all", "all", password=password, password_file=password_file)  # which may object
        timeouts = {"connect_timeout": connect_timeout, "command_timeout": command_timeout}
        every = {**options, **timeouts, "queue_limit": queue, "keepalive": keepalive}
        secret = for_all.secret(None)
        self._wanted = _wanted(events, custom, filters, format, log, user, secret, backoff, every)
        if not refresh > 0:
            raise ValueError(f"refresh is {refresh!r}, expected more than 0 seconds")
        if not unknown:
            check_names(self._wanted.names, unknown)
        self._source = hosts if callable(hosts) else None
        self._first = {} if callable(hosts) else to_hosts(hosts)
        for host in (for_all, *self._first.values()):
            opening(host, self._wanted)  # which may object
        self._refresh_seconds = refresh
        self._tap = tap
        follows = bool(resync) and self._wanted.ends  # else a channel would end in a gap that ended long before
        self._make_finder: Callable[[str], Finder] | None = resync if callable(resync) else Resync if follows else None
        self._dials = Dials(dials_per_second)
        self._begin_empty()

    def _begin_empty(self) -> None:
        self._members: dict[str, Member] = {}
        self._listed: set[str] = set()  # names that the function gave
        self._ready: deque[Member] = deque()
        self._held: deque[tuple[str, Item]] = deque()  # taken from members, and not given yet
        self._left = _TURN
        self._error: str | None = None
        self._closed = False
        self._bell: Bell | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str], **options: Any) -> Self:
        """A fleet as a TOML file describes it: docs/guides/fleet.md.

        With `refresh` in it the file is read again every so many seconds, and switches come and go as it says; its
        other settings stay as they were.

        Args:
            path: the file.
            options: as `Fleet` takes them; they count more than the file's.

        Raises:
            OSError: it cannot be read.
            ValueError: something in it is not as expected.
            RuntimeError: Python 3.10 without tomli.

        Example:
            >>> import pathlib, tempfile
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     path = pathlib.Path(folder, "fleet.toml")
            ...     size = path.write_text('[fleet]\\nevents = ["CALLS"]\\n[switches]\\nfs1 = "10.0.0.1:8021"\\n')
            ...     Fleet.from_toml(path)
            <Fleet of 1, not entered>
        """
        hosts, said = read_toml(path)
        if said.get("log") is False:
            said["log"] = None
        if said.get("log") is True:
            del said["log"]
        settings = {**said, **options}
        if "refresh" not in settings:
            return cls(list(hosts.values()), **settings)
        fleet = cls(partial(follow_toml, path), **settings)
        fleet._first = hosts
        return fleet

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None, **options: Any) -> Self:
        """A fleet of ESLCODEC_HOSTS (`name=host:port`, with blanks or commas between them), ESLCODEC_EVENTS (with
        commas between them), ESLCODEC_PORT, ESLCODEC_USER, ESLCODEC_PASSWORD_FILE or ESLCODEC_PASSWORD.

        Args:
            environment: the variables; those of the process by default.
            options: as `Fleet` takes them; they count more than the environment's.

        Raises:
            ValueError: no hosts, or something is not as expected.

        Example:
            >>> Fleet.from_environment({"ESLCODEC_HOSTS": "fs1=10.0.0.1, fs2=10.0.0.2:8022"})
            <Fleet of 2, not entered>
        """
        hosts, said = read_environment(os.environ if environment is None else environment)
        return cls(list(hosts.values()), **{**said, **options})

    def __repr__(self) -> str:
        if self._bell is None:
            return f"<Fleet of {len(self._first)}, not entered>"
        stats = self.stats()
        return f"<Fleet of {stats.switches}, {'closed' if self._closed else f'{stats.connected} connected'}>"

    # Its life

    async def __aenter__(self) -> Self:
        if self._bell is not None:
            raise RuntimeError("a Fleet is for one `async with`, expected a new one")
        self._bell = Bell(asyncio.get_running_loop())
        try:
            for host in self._first.values():
                self._begin(host)
        except BaseException:
            await self.close()
            raise
        if self._source is not None:
            self._listed = set(self._first)
            self._refreshing = asyncio.ensure_future(self._refresh(self._source))
        self._timer = self._bell.loop.call_later(_TICK_SECONDS, self._tick)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections. What was received before can still be taken; then iterating ends, and `take` raises
        ConnectionClosed. More than once does no harm."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.wait({self._refreshing})
        await _all(member.stop("the fleet was closed") for member in list(self._members.values()))
        if self._bell is not None:
            self._bell.ring()

    def _tick(self) -> None:
        now, steady = time.time(), time.monotonic()
        for member in list(self._members.values()):
            member.tick(now, steady)
        self._timer = self._loop().call_later(_TICK_SECONDS, self._tick)

    def _loop(self) -> asyncio.AbstractEventLoop:
        if self._bell is None:
            raise RuntimeError("the Fleet is not entered, expected `async with Fleet(...) as fleet`")
        return self._bell.loop

    # Hosts

    async def add(self, host: Host | str) -> None:
        """One switch more. It is connected to in its turn; this does not wait for that.

        Raises:
            ValueError: there is one of this name.
            RuntimeError: the fleet is not entered, or closed.
        """
        [one] = to_hosts([host]).values()
        self._begin(one)

    async def remove(self, name: str) -> None:
        """Close the connection to a switch. What it sent before can still be taken, a `Stopped` last.

        Raises:
            KeyError: there is none of this name.
        """
        member = self._member(name)
        self._listed.discard(name)
        await member.stop("removed")
        self._forget_if_over(member)  # else whoever takes its last, or closes the fleet

    def _begin(self, host: Host) -> None:
        self._loop()
        if self._closed:
            raise RuntimeError("the fleet is closed")
        before = self._members.get(host.name)
        for name, member in self._members.items():
            if name.lower() == host.name.lower() and not (member is before and member.is_leaving):
                raise ValueError(f"there is a switch named {name!r} already, expected another name than {host.name!r}")
        make_tap = self._tap or _no_tap
        finder = None if self._make_finder is None else self._make_finder(host.name)
        member = Member(host, self._wanted, self._dials, self._is_ready, partial(make_tap, host.name), finder)
        if before is not None and before.waiting:
            member.follow(before)
        self._members[host.name] = member
        member.start()

    def _member(self, name: str) -> Member:
        member = self._members.get(name)
        if member is None or member.is_leaving:
            raise KeyError(f"no switch is named {name!r}, expected one of {', '.join(self._members) or 'none at all'}")
        return member

    def _forget_if_over(self, member: Member) -> None:
        if member.is_over and not member.waiting and self._members.get(member.name) is member:
            del self._members[member.name]

    async def _refresh(self, source: Callable[[], Any]) -> None:
        """Ask for the list of hosts, again and again."""
        while True:
            try:
                await self._follow(await _called(source))
            except Exception as error:  # whatever a function of others raises, or hosts that cannot be
                said = f"{type(error).__name__}: {error}"
                if said != self._error:
                    _LOG.warning("the list of hosts cannot be followed: %s", said)
                self._error = said
            else:
                self._error = None
            await asyncio.sleep(self._refresh_seconds)

    async def _follow(self, hosts: Mapping[str, Host]) -> None:
        """Let switches go that are not listed any more, or otherwise; take in those that are new.

        Raises:
            Exception: why one cannot be taken in; the others were.
        """
        gone = [name for name in self._listed if name in self._members and hosts.get(name) != self._members[name].host]
        await _all(self.remove(name) for name in gone if not self._members[name].is_leaving)
        failed: Exception | None = None
        for name, host in hosts.items():
            member = self._members.get(name)
            if member is None or member.is_leaving:
                try:
                    self._begin(host)
                except Exception as error:
                    failed = failed or error
                    continue
            self._listed.add(name)
        if failed is not None:
            raise failed

    # Reading

    def _is_ready(self, member: Member) -> None:
        self._ready.append(member)
        bell = self._bell
        if bell is not None and bell.waiting:
            bell.ring()

    async def take(self, max: int = 1000, timeout: float | None = 0.5) -> list[tuple[str, list[Item]]]:
        """What waits, of each switch that has something a run in order; if nothing does, what comes next.

        Each has a fair share of `max`. It is the cheap way to read: one call for many messages.

        Args:
            max: how many messages and notices at most.
            timeout: seconds to wait if there is none; None for no limit, 0 to take only what has come.

        Returns:
            (switch, its messages) of each, a switch at most once; [] if nothing came within `timeout` seconds.

        Raises:
            ConnectionClosed: the fleet is closed, and everything received was taken.
            ValueError: `max` is less than 1.
        """
        if max < 1:
            raise ValueError(f"max is {max!r}, expected 1 or more")
        runs = await self._runs(max, timeout)
        if runs is None:
            raise ConnectionClosed("the fleet is closed")
        return runs

    async def _runs(self, most: int, timeout: float | None) -> list[tuple[str, list[Item]]] | None:
        """See `take`; None at the end."""
        loop = self._loop()
        bell = self._bell
        assert bell is not None
        deadline = math.inf if timeout is None else None
        if self._left <= 0:
            self._left = _TURN
            await asyncio.sleep(0)
        if self._held:
            return self._of_held(most)
        while True:
            if self._ready:
                runs = self._harvest(most)
                if runs:
                    return runs
            if self._closed:
                return None
            self._left = _TURN
            if deadline is None:
                assert timeout is not None
                deadline = loop.time() + timeout
            if not await bell.wait_often(deadline) and not self._ready:
                return []

    def _harvest(self, most: int) -> list[tuple[str, list[Item]]]:
        """A run of each member that has something, a fair share for each."""
        ready, left = self._ready, most
        now, steady = time.time(), time.monotonic()
        runs: list[tuple[str, list[Item]]] = []
        for others in range(len(ready), 0, -1):
            member = ready.popleft()
            run = member.harvest(left // others or 1, now, steady)
            if member.is_ready:
                ready.append(member)
            elif member.is_leaving:
                self._forget_if_over(member)
            if run:
                runs.append((member.name, run))
                left -= len(run)
                if not left:
                    break
        self._left -= most - left
        return runs

    def _of_held(self, most: int) -> list[tuple[str, list[Item]]]:
        taken = [self._held.popleft() for _ in range(min(most, len(self._held)))]
        return [(name, [item for _, item in pairs]) for name, pairs in groupby(taken, lambda pair: pair[0])]

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> tuple[str, Item]:
        held = self._held
        while not held:
            runs = await self._runs(1000, None)
            if runs is None:
                raise StopAsyncIteration
            for name, run in runs:
                held.extend(zip(repeat(name), run))
        return held.popleft()

    # What is known

    @property
    def switches(self) -> Mapping[str, SwitchStats]:
        """How each switch stands, by name, now. Any thread may ask."""
        return {name: member.stats() for name, member in list(self._members.items())}

    def stats(self) -> FleetStats:
        """Sums over all of them. Any thread may ask."""
        all = self.switches.values()
        return FleetStats(
            len(all),
            sum(one.connected for one in all),
            sum(one.received_events for one in all),
            sum(one.received_bytes for one in all),
            sum(one.dropped for one in all),
            sum(one.reconnects for one in all),
            sum(one.gaps for one in all),
            sum(one.waiting for one in all) + len(self._held),
            self._error,
        )

    # Commands

    async def api(self, name: str, command: str, args: str = "", *, timeout: float | None = None) -> Reply:
        """Run an API command on one switch: see `eslcodec.aio.Client.api`.

        Raises:
            KeyError: there is none of this name.
            ConnectionClosed: it is not connected.
            ESLError: as `eslcodec.aio.Client.api` does.
        """
        return await self._member(name).api(command, args, timeout)

    async def everywhere(
        self, command: str, args: str = "", *, concurrency: int = 10, timeout: float | None = None
    ) -> dict[str, Reply | Exception]:
        """Run an API command on all switches.

        Args:
            command, args, timeout: as `api` takes them.
            concurrency: on how many at the same time.

        Returns:
            name -> what it answered, or the error: ConnectionClosed of one that is not connected.

        Raises:
            InvalidCommand: it cannot be sent, anywhere.
            ValueError: `concurrency` is less than 1.

        Example:
            >>> import asyncio
            >>> from eslcodec.emulator import Emulator
            >>> async def main(switch):
            ...     async with Fleet([f"lab=127.0.0.1:{switch.port}", "gone=127.0.0.1:1"]) as fleet:
            ...         await fleet.take(timeout=5)
            ...         answers = await fleet.everywhere("echo", "hello")
            ...         return answers["lab"].text, type(answers["gone"]).__name__
            >>> with Emulator() as switch:
            ...     asyncio.run(main(switch))
            ('hello', 'ConnectionClosed')
        """
        if concurrency < 1:
            raise ValueError(f"concurrency is {concurrency!r}, expected 1 or more")
        commands.api(command, args)
        some = asyncio.Semaphore(concurrency)
        members = [member for member in self._members.values() if not member.is_leaving]

        async def ask(member: Member) -> Reply | Exception:
            async with some:
                try:
                    return await member.api(command, args, timeout)
                except Exception as error:
                    return error

        answers = await asyncio.gather(*map(ask, members))
        return {member.name: answer for member, answer in zip(members, answers, strict=True)}


def _wanted(events: Iterable[str] | str, custom: Sequence[str], filters: Iterable[Any], *more: Any) -> Wanted:
    """What is asked of every switch.

    Raises:
        ValueError, InvalidCommand: what cannot be.
    """
    names, subclasses = split_events(events)
    wanted = Wanted(names, [*subclasses, *custom], [(header, value) for header, value in filters], *more)
    attempts = wanted.backoff.attempts
    if attempts is not None:
        raise ValueError(f"backoff has {attempts} attempts, expected None: a switch is tried for ever")
    for header, value in wanted.filters:
        commands.filter(header, value)
    if wanted.log is not None:
        commands.log(wanted.log)
    commands.event(*names, "HEARTBEAT", custom=wanted.subclasses, format=wanted.format)  # which may object
    return wanted


def _no_tap(name: str) -> None:
    """Nobody hears the bytes of this switch."""


async def _called(source: Callable[[], Any]) -> dict[str, Host]:
    """The hosts that a function returns that may block, or be a coroutine function."""
    found = await (source() if inspect.iscoroutinefunction(source) else _in_thread(partial(_listed, source)))
    return to_hosts(await found if inspect.isawaitable(found) else found)


def _listed(source: Callable[[], Any]) -> Any:
    found = source()
    return found if inspect.isawaitable(found) else list(to_hosts(found).values())  # which a generator may find slowly


async def _in_thread(function: Callable[[], Any]) -> Any:
    """`asyncio.to_thread` in a thread that nobody waits for: the program can end though the function hangs."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()

    def settle(result: Any, error: BaseException | None) -> None:
        if not done.done():
            done.set_result((result, error))

    def work() -> None:
        result, problem = None, None
        try:
            result = function()
        except BaseException as error:
            problem = error
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, result, problem)

    call = partial(contextvars.copy_context().run, work)
    threading.Thread(target=call, name="eslcodec fleet hosts", daemon=True).start()
    result, error = await done
    if error is not None:
        raise error
    return result


async def _all(doing: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do these side by side; if one of them fails the others go on."""
    tasks = [asyncio.ensure_future(one) for one in doing]
    if tasks:
        await asyncio.wait(tasks)
    for task in tasks:
        task.result()
