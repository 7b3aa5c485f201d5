"""What the tests of servers share: both servers behind the same blocking methods, and what holds their calls back."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from types import ModuleType
from typing import Any

import pytest
from shells import HOST, PATIENCE, Peer, until
from support import part

from eslcodec.emulator import EmulatedCall, Emulator

AGES = 5 * PATIENCE  # for hundreds of calls; about what a test may take at all
MODES = ["async full", "async", "full", ""]
HANGUP = "sendmsg\ncall-command: hangup\nhangup-cause: NORMAL_CLEARING"
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux is known to do so")
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")


class WithoutReaders(asyncio.SelectorEventLoop):
    """As the default loop of Windows, which cannot watch sockets."""

    def add_reader(self, *_: Any) -> Any:
        raise NotImplementedError

    add_writer = add_reader


def new_loop(kind: str) -> asyncio.AbstractEventLoop:
    if kind == "uvloop":
        loop: asyncio.AbstractEventLoop = pytest.importorskip("uvloop").new_event_loop()
        return loop
    return WithoutReaders()


class House:
    """A server behind blocking methods, whichever it is. Its handler does its work, then waits until it may go."""

    def __init__(self, esl: ModuleType, kind: str) -> None:
        self.esl = esl
        self.kind = kind
        self.server: Any = None
        self.calls: list[Any] = []
        self.ended: list[BaseException | None] = []
        self.work: list[tuple[Any, ...]] = []  # (verb, arguments ...) of a call
        self._threads = ThreadPoolExecutor(8)
        self._loop = None if kind == "sync" else new_loop(kind)
        if self._loop is not None:
            self._runner = threading.Thread(target=self._loop.run_forever)
            self._runner.start()
        self.close_gate()

    def close_gate(self) -> None:
        """Calls wait from now on."""
        self._gate: Any = threading.Event() if self._loop is None else asyncio.Event()

    def open_gate(self) -> None:
        """Those that wait may go."""
        if self._loop is None:
            self._gate.set()
        else:
            self._loop.call_soon_threadsafe(self._gate.set)

    def opens(self, **options: Any) -> Any:
        handler = self._sync_handler if self._loop is None else self._aio_handler
        module = self.esl.sync if self._loop is None else part(self.esl, "aio")
        self.server = self._start(module.serve, handler, **options).result(PATIENCE)
        return self.server

    def closes(self, *arguments: Any, **options: Any) -> Future[Any]:
        return self._start(self.server.close, *arguments, **options)

    def close(self, *arguments: Any, **options: Any) -> None:
        self.closes(*arguments, **options).result(PATIENCE)

    def serves_for_ever(self) -> Future[Any]:
        return self._start(self.server.serve_forever)

    def demolish(self) -> None:
        """Close everything; nothing may be left."""
        self.open_gate()
        try:
            if self.server is not None:
                self.close()
            if self._loop is not None:
                asyncio.run_coroutine_threadsafe(self._nothing_left(), self._loop).result(PATIENCE)
        finally:
            self._threads.shutdown()
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._runner.join(PATIENCE)
                self._loop.close()
        until(lambda: not [one for one in threading.enumerate() if re.match("eslcodec-(serve|call)-", one.name)])

    async def _nothing_left(self) -> None:
        while asyncio.all_tasks() != {asyncio.current_task()}:
            await asyncio.sleep(0)

    def _sync_handler(self, call: Any) -> None:
        self.calls.append(call)
        gate = self._gate
        try:
            for verb, *arguments in self.work:
                options = arguments.pop() if arguments and isinstance(arguments[-1], dict) else {}
                getattr(call, verb)(*arguments, **options)
            gate.wait(PATIENCE)
        except BaseException as error:
            self.ended.append(error)
            raise
        self.ended.append(None)

    async def _aio_handler(self, call: Any) -> None:
        self.calls.append(call)
        gate = self._gate
        try:
            for verb, *arguments in self.work:
                options = arguments.pop() if arguments and isinstance(arguments[-1], dict) else {}
                await getattr(call, verb)(*arguments, **options)
            await gate.wait()
        except BaseException as error:
            self.ended.append(error)
            raise
        self.ended.append(None)

    def _start(self, verb: Callable[..., Any], *arguments: Any, **options: Any) -> Future[Any]:
        if self._loop is None:
            return self._threads.submit(verb, *arguments, **options)

        async def whole() -> Any:
            return await verb(*arguments, **options)

        return asyncio.run_coroutine_threadsafe(whole(), self._loop)


KINDS = ["sync", "aio", "uvloop"]


@pytest.fixture(params=KINDS)
def house(esl: ModuleType, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """Nobody is given up while sent on, however slow the machine is; tests of that limit set it themselves."""
    monkeypatch.setattr(part(esl, "limits"), "REFUSAL_SECONDS", AGES)
    if request.param == "uvloop":
        pytest.importorskip("uvloop")
    before = sockets()
    house = House(esl, request.param)
    yield house
    house.demolish()
    until(lambda: sockets() <= before)


def sockets() -> int:
    """How many are open, where that can be seen."""
    count = 0
    with suppress(FileNotFoundError):
        for number in os.listdir("/proc/self/fd"):
            with suppress(FileNotFoundError):
                count += os.readlink(f"/proc/self/fd/{number}").startswith("socket:")
    return count


@pytest.fixture
def switch(house: House) -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator
        house.open_gate()
        if house.server is not None:
            house.close()


def rings(switch: Emulator, *ports: int, mode: str = "async full") -> EmulatedCall:
    """As the switch does: the next host is tried if this one refuses the connection, and in no other case."""
    for port in ports:
        with suppress(ConnectionRefusedError):
            return switch.dial(HOST, port, mode=mode)
    raise AssertionError("nobody is there")


def is_sent_on(call: EmulatedCall, mode: str) -> None:
    """It goes on in the dialplan, at whose end the emulator hangs up."""
    call.wait(PATIENCE)
    until(lambda: call.hangup_cause == "NORMAL_CLEARING")
    assert call.commands == (["connect", "resume", "exit"] if "async" in mode else ["connect"])


def refuses(port: int) -> bool:
    """Whether the kernel does."""
    try:
        socket.create_connection((HOST, port)).close()
    except ConnectionRefusedError:
        return True
    return False


def messages(caplog: pytest.LogCaptureFixture, level: int = logging.WARNING) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.name.startswith("eslcodec") and one.levelno >= level]


def connected(mode: bytes) -> bytes:
    """The answer to `connect`."""
    return (
        b"Event-Name: CHANNEL_DATA\nUnique-ID: u-1\nContent-Type: command/reply\nReply-Text: %%2BOK%%0A\n"
        b"Socket-Mode: %b\nControl: full\n\n" % mode
    )


class Held:
    """Servers that accept nobody until they may: who connects waits in the kernel."""

    def __init__(self, esl: ModuleType, patch: pytest.MonkeyPatch) -> None:
        self.holds = False
        self.tried = threading.Event()
        self._go = threading.Event()
        door = part(esl, "_door").Door
        accept = door.accept

        def held(door: Any) -> Any:
            if self.holds:
                self.tried.set()
                assert self._go.wait(AGES)
            return accept(door)

        patch.setattr(door, "accept", held)

    def hold(self, port: int) -> Peer:
        """From the next connection on, which is made here."""
        self.holds = True
        first = Peer(socket.create_connection((HOST, port)))
        assert self.tried.wait(PATIENCE)
        return first

    def let(self) -> None:
        self.holds = False
        self._go.set()


@pytest.fixture
def held(esl: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    held = Held(esl, monkeypatch)
    yield held
    held.let()
