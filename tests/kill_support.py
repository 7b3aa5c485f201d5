"""What the kill test and the soak of the bridge share: processes, servers, and what a recording and a stream have."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import nats.js.api
import nats.js.errors
from nats_support import Server, connect

from eslcodec import Decoder, Event, zst

T = TypeVar("T")

SWITCH: Final = "fs1"
STREAM: Final = "ESL-fs1"
COMMAND: Final = [sys.executable, "-c", "from eslcodec.cli import main; main()"]
PATIENCE: Final = 180.0
"""Seconds until what must come about has: much more than it takes."""

_TRY_SECONDS: Final = 10.0
_PAUSE: Final = 0.1
_REPORTS: Final = frozenset(("gap", "loss"))  # notes that something may be missing
_ADMIN: Final[dict[str, Any]] = {"user": "admin", "password": "admin"}


async def until(is_so: Callable[[], Awaitable[T]], what: str, seconds: float = PATIENCE) -> T:
    """What is true in the end.

    Raises:
        AssertionError: it does not come about.
    """
    end = time.monotonic() + seconds
    while not (found := await is_so()):
        if time.monotonic() > end:
            raise AssertionError(f"it did not come about in {seconds:.0f} s: {what}")
        await asyncio.sleep(_PAUSE)
    return found


# Processes


class Program:
    """A process that is killed, frozen and started again. What it says goes into a file."""

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        self.name = name
        self._command, self._log = list(command), log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if self._process is not None and self.status is None:
            return
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def status(self) -> int | None:
        """With which it ended; None while it runs."""
        return None if self._process is None else self._process.poll()

    def signal(self, number: int) -> None:
        if self._process is not None and self.status is None:
            self._process.send_signal(number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait(PATIENCE)

    def end(self) -> int:
        """Ask it to end; its status."""
        assert self._process is not None
        self.signal(signal.SIGTERM)
        return self._process.wait(PATIENCE)

    def log(self) -> str:
        return self._log.read_text(errors="replace")


class Switch:
    """The emulated switch: tests/kill_switch.py."""

    def __init__(self) -> None:
        script = str(Path(__file__).with_name("kill_switch.py").resolve())
        self._process = subprocess.Popen(
            [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/", text=True
        )
        self.port = int(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def say(self, text: str) -> int:
        """Tell it something; how many events it has fired, or will have, if it is told to fire some."""
        assert self._process.stdin is not None
        self._process.stdin.write(text + "\n")
        self._process.stdin.flush()
        return int(self._line())

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def record(port: int, folder: Path, *more: str) -> list[str]:
    """The command that records the switch."""
    limits = ["--min-free", "1%", "--quiet"]
    return [*COMMAND, "record", f"{SWITCH}=127.0.0.1:{port}", "--dir", str(folder), "--events", "DTMF", *limits, *more]


def bridge(port: int, folder: Path, urls: Sequence[str], *, one: bool = False) -> list[str]:
    """The command that publishes; with `one` the one that records too."""
    where = ["--dir", "--events", "DTMF", "--min-free", "1%"] if one else ["--from", "--since", "all"]
    where.insert(1, str(folder))
    to = [word for url in urls for word in ("--to", url)]
    return [*COMMAND, "bridge", f"{SWITCH}=127.0.0.1:{port}", *to, *where, "--drain", "120s"]


# The servers


class Broker:
    """The servers and the stream, as whoever is in charge of them sees them."""

    def __init__(self, servers: Sequence[Server], window: float) -> None:
        self.servers = servers
        self.window = window

    async def ask(self, call: Callable[[Any], Awaitable[T]], seconds: float = _TRY_SECONDS) -> T:
        """What a server answers in the end.

        Args:
            call: given what nats-py calls a context.
            seconds: for one try.

        Raises:
            AssertionError: none does.
        """
        end, last = time.monotonic() + PATIENCE, ""
        for server in itertools.cycle(self.servers):
            try:
                return await asyncio.wait_for(_on(server, call), seconds)
            except (nats.errors.Error, OSError, asyncio.TimeoutError) as error:
                last = f"{server.url}: {type(error).__name__}: {error}"
            if time.monotonic() > end:
                break
            await asyncio.sleep(_PAUSE)
        raise AssertionError(f"no server answers: {last}")

    async def make(self) -> None:
        config = {
            "subjects": [f"esl.v1.{SWITCH}.>"],
            "storage": "file",
            "num_replicas": len(self.servers),
            "duplicate_window": self.window,
            "discard": "new",
        }

        async def make(context: Any) -> bool:
            with suppress(nats.js.errors.BadRequestError):  # it was made, and nobody could say so
                await context.add_stream(name=STREAM, **config)
            return bool(await context.stream_info(STREAM))

        await self.ask(make)

    async def state(self) -> Any:
        info: Any = await self.ask(lambda context: context.stream_info(STREAM))
        return info.state

    async def moment(self) -> tuple[int, int]:
        """What changes when something is stored."""
        state = await self.state()
        return state.last_seq, state.messages

    async def leader(self) -> Server:
        """The server that leads the stream."""
        name = ""

        async def is_known() -> bool:
            nonlocal name
            info: Any = await self.ask(lambda context: context.stream_info(STREAM))
            name = info.cluster.leader if info.cluster and len(self.servers) > 1 else self.servers[0].name
            return bool(name)

        await until(is_known, "a leader")
        (found,) = (server for server in self.servers if server.name == name)
        return found

    async def change(self, **settings: int) -> None:
        """Change the stream's limits."""

        async def change(context: Any) -> None:
            config = (await context.stream_info(STREAM)).config
            for name, value in settings.items():
                setattr(config, name, value)
            await context.update_stream(config)

        await self.ask(change)

    async def is_still(self) -> bool:
        """Whether nothing is stored any more: what was under way to the servers has come."""
        before = await self.moment()
        for _ in range(5):
            await asyncio.sleep(_PAUSE)
            if await self.moment() != before:
                return False
        return True

    async def content(self) -> list[Mark]:
        """What the stream has, in its order."""

        async def read(context: Any) -> list[Mark]:
            count = (await context.stream_info(STREAM)).state.messages
            config = nats.js.api.ConsumerConfig(headers_only=True)
            reader = await context.subscribe("", stream=STREAM, ordered_consumer=True, config=config)
            return [_mark(await reader.next_msg(timeout=30)) for _ in range(count)]

        return await self.ask(read, PATIENCE)

    async def last_number(self) -> int:
        """The number of the last message, if that is an event; else 0."""

        async def read(context: Any) -> int:
            state = (await context.stream_info(STREAM)).state
            if not state.messages:
                return 0
            message = await context.get_msg(STREAM, state.last_seq)
            event = Event.from_payload(message.data, "json")
            return int(event.get("N", "0"))

        return await self.ask(read)

    async def permit(self, allowed: bool) -> None:
        """Let the bridge publish, or not."""
        for server in self.servers:

            async def is_ready(server: Server = server) -> bool:
                return not server.is_running or server.is_up

            await until(is_ready, f"{server.url} up")
            server.configure(users(allowed))
            server.kill(signal.SIGHUP)


def users(allowed: bool) -> str:
    """Configuration: who is not said to be anybody is the bridge, which may publish or not."""
    denied = "" if allowed else ', permissions: {publish: {deny: ["esl.v1.>"]}}'
    both = f"{{user: admin, password: admin}}, {{user: bridge, password: bridge{denied}}}"
    return f"no_auth_user: bridge\nauthorization {{ users: [{both}] }}"


async def _on(server: Server, call: Callable[[Any], Awaitable[T]]) -> T:
    async def silent(_: Exception) -> None:
        pass

    connection = await connect(server.url, **_ADMIN, connect_timeout=2, error_cb=silent)
    try:
        return await call(connection.jetstream(timeout=3))
    finally:
        with suppress(nats.errors.Error, OSError, asyncio.TimeoutError):
            await asyncio.wait_for(connection.close(), 2)


# What was recorded, and what the stream has


class Mark(NamedTuple):
    """An event by its identity, or a notice by its kind."""

    what: str
    id: str


def _mark(message: Any) -> Mark:
    _, notice, kind = message.subject.partition(".notice.")
    return Mark("notice", kind) if notice else Mark("event", message.headers["Nats-Msg-Id"])


@dataclass
class Recorded:
    """What a recording has.

    Attributes:
        marks: in its order.
        numbers: of the events.
        unreported: numbers of events between which others are missing though nothing between them says so.
        gaps: how many reports of gaps and losses there are.
        missing: how many events are not there.
    """

    marks: list[Mark] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    unreported: list[tuple[int, int]] = field(default_factory=list)
    gaps: int = 0
    missing: int = 0
    _is_reported: bool = False

    def event(self, event: Event) -> None:
        number = int(event["N"])
        last = self.numbers[-1] if self.numbers else None
        if last is not None and number != last + 1:
            self.missing += max(number - last - 1, 0)
            if number <= last or not self._is_reported:
                self.unreported.append((last, number))
        self._is_reported = False
        self.numbers.append(number)
        self.marks.append(Mark("event", f"{event['Core-UUID']}:{event['Event-Sequence']}"))

    def note(self, note: dict[str, Any]) -> None:
        kind = note["note"]
        self.gaps += kind in _REPORTS
        self._is_reported |= kind in _REPORTS
        self.marks.append(Mark("notice", "recorder_stopped" if kind == "stopped" and "at" not in note else kind))


def recorded(folder: Path) -> Recorded:
    """What the recordings of the switch have, read here chunk by chunk, not as the bridge reads it."""
    found = Recorded()
    connection, decoder = 0, Decoder()
    for path in sorted(folder.glob("*/*.esl.zst")):
        with path.open("rb") as file:
            for chunk in zst.read_chunks(file, str(path), damaged="skip"):
                if chunk.note is not None:
                    found.note(chunk.note)
                    continue
                if chunk.connection != connection:
                    connection, decoder = chunk.connection, Decoder()
                decoder.feed(chunk.data)
                for message in decoder:
                    if isinstance(message, Event):
                        found.event(message)
    return found


def check(want: list[Mark], parts: Sequence[list[Mark]], window: int) -> list[str]:
    """What is wrong with a stream that was emptied between `parts`.

    Each part must go on where the one before it ended, or a little before that: what was acknowledged after the bridge
    last kept its place, or without its knowing, is published again, since nothing says that it was there.

    Args:
        want: what was recorded.
        parts: what the stream had each time before it was emptied, and in the end.
        window: how many messages that may be.
    """
    at = 0
    for number, part in enumerate(parts):
        least = at if number == 0 else max(at - window, 0)
        begins = (k for k in range(at, least - 1, -1) if want[k : k + 1] == part[:1])
        begin = next((k for k in begins if want[k : k + len(part)] == part), None) if part else at
        if begin is None:
            return [f"part {number + 1} of {len(parts)}: {_difference(want, part, at)}"]
        at = begin + len(part)
    return [] if at == len(want) else [f"{len(want) - at:,} of {len(want):,} are not in the stream"]


def _difference(want: list[Mark], got: list[Mark], at: int) -> str:
    known = {mark: place for place, mark in enumerate(want) if mark.what == "event"}
    counts = Counter(mark for mark in got if mark.what == "event")
    twice = [mark.id for mark, count in counts.items() if count > 1]
    foreign = [mark.id for mark in counts if mark not in known]
    places = [known[mark] for mark in got if mark in known]
    turned = sum(after < before for before, after in itertools.pairwise(places))
    present = set(places)
    absent = sum(place not in present for place in range(min(places, default=0), max(places, default=0)))
    first = next((n for n, mark in enumerate(got) if want[at + n : at + n + 1] != [mark]), len(got))
    around = f"{got[max(first - 2, 0) : first + 3]}, expected {want[max(at + first - 2, 0) : at + first + 3]}"
    return (
        f"differs from the recording at message {first:,} of {len(got):,}: {len(twice)} are there twice {twice[:3]}, "
        f"{turned} out of order, {len(foreign)} foreign {foreign[:3]}, {absent} absent (notices too); read {around}"
    )


def memory(pid: int) -> int:
    """Bytes that a process has in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))
