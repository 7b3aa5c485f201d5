"""What the tests of the blocking client share: a switch that follows a script, threads whose result is looked at."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import ModuleType, TracebackType
from typing import Any

import pytest
from support import ACCEPTED, AUTH, plain, reply

from eslcodec.emulator import Emulator

ENABLED = reply(b"+OK event listener enabled plain")
HOST = "127.0.0.1"
PATIENCE = 20.0  # seconds that nothing here should ever take
LOG = b"Content-Type: log/data\nContent-Length: 2\nLog-Level: 7\nUser-Data: \n\nx\n"
LINGER = (
    b"Content-Type: text/disconnect-notice\nControlled-Session-UUID: u-1\nContent-Disposition: linger\n"
    b"Channel-Name: loopback/1\nLinger-Time: 5\nContent-Length: 0\n\n"
)
CONNECTED = (
    b"Event-Name: CHANNEL_DATA\nUnique-ID: u-1\nvariable_x: a%20b\nContent-Type: command/reply\n"
    b"Reply-Text: %2BOK%0A\nSocket-Mode: async\nControl: full\n\n"
)


def event(number: int, name: bytes = b"DTMF", *lines: bytes) -> bytes:
    return plain(b"\n".join([b"Event-Name: " + name, b"Event-Sequence: %d" % number, *lines, b"", b""]))


def until(condition: Callable[[], Any], seconds: float = PATIENCE) -> None:
    """Wait for a condition that nothing announces."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "not so in time"
        time.sleep(0.001)


def with_time(attempt: Callable[[float], None], *seconds: float) -> None:
    """Do it with a short time; with a longer one if that fails: the machine may have stood still for so long."""
    for short in seconds[:-1]:
        try:
            attempt(short)
        except (Exception, pytest.fail.Exception):
            continue
        return
    attempt(seconds[-1])


def is_held(lock: Any) -> bool:
    """Whether another thread has a lock that is re-entrant."""
    if lock.acquire(blocking=False):
        lock.release()
        return False
    return True


class Peer:
    """The switch's end of a connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.read = b""
        sock.settimeout(PATIENCE)

    def expect(self, data: bytes) -> None:
        """Exactly these bytes come next."""
        while len(self.read) < len(data) and data.startswith(self.read):
            chunk = self.sock.recv(1 << 16)
            assert chunk, f"closed after {self.read!r}, expected {data!r}"
            self.read += chunk
        assert self.read[: len(data)] == data
        self.read = self.read[len(data) :]

    def command(self) -> bytes:
        """The next command without a body."""
        while b"\n\n" not in self.read:
            chunk = self.sock.recv(1 << 16)
            assert chunk, f"closed after {self.read!r}, expected a command"
            self.read += chunk
        block, _, self.read = self.read.partition(b"\n\n")
        return block

    def send(self, *frames: bytes) -> None:
        self.sock.sendall(b"".join(frames))

    def log_in(self) -> None:
        self.send(AUTH)
        self.expect(b"auth ClueCon\n\n")
        self.send(ACCEPTED)

    def closed(self) -> None:
        """The other side closes, and says nothing more."""
        assert self.read + self.sock.recv(100) == b""

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class Script:
    """A switch that follows a script: one function for each connection in turn; what it raises, the test raises.

    When a function returns its connection is closed, with something unread if the function left it so.
    """

    def __init__(self, *parts: Callable[[Peer], object]) -> None:
        self.parts = parts
        self.errors: list[BaseException] = []
        self.listener = socket.create_server((HOST, 0))
        self.listener.settimeout(PATIENCE)
        self.port: int = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._run)

    def __enter__(self) -> Script:
        self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.thread.join(3 * PATIENCE)
        if self.errors and kind is None:
            raise self.errors[0]

    def _run(self) -> None:
        try:
            with self.listener:
                for part in self.parts:
                    sock, _ = self.listener.accept()
                    with sock:
                        part(Peer(sock))
        except BaseException as error:
            self.errors.append(error)


def logged_in(then: Callable[[Peer], object]) -> Callable[[Peer], object]:
    def part(peer: Peer) -> None:
        peer.log_in()
        then(peer)

    return part


@contextmanager
def scripted(esl: ModuleType, *parts: Callable[[Peer], object], **options: Any) -> Iterator[Any]:
    """A client of a `Script`."""
    with Script(*parts) as script, esl.connect(HOST, script.port, **options) as fs:
        yield fs


class Task(threading.Thread):
    """A thread whose result, or exception, is looked at."""

    def __init__(self, call: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self.call = call
        self.value: Any = None
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self.value = self.call()
        except BaseException as error:
            self.error = error

    def result(self, seconds: float = PATIENCE) -> Any:
        self.join(seconds)
        assert not self.is_alive(), "it still runs"
        if self.error is not None:
            raise self.error
        return self.value


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Every thread and descriptor of a test is gone after it."""
    threads, files = set(threading.enumerate()), descriptors()
    yield
    until(lambda: {one for one in threading.enumerate() if one.name != "eslcodec-caretaker"} <= threads)
    until(lambda: descriptors() <= files)


@pytest.fixture
def switch() -> Iterator[Emulator]:
    with Emulator() as switch:
        yield switch


@pytest.fixture
def fs(esl: ModuleType, switch: Emulator) -> Iterator[Any]:
    with esl.connect(HOST, switch.port) as fs:
        yield fs


def numbers(events: Iterable[Any]) -> list[int]:
    return [one.sequence for one in events]


def collect(events: Iterable[Any], into: list[Any]) -> None:
    """What comes before an error is kept."""
    for one in events:
        into.append(one)
