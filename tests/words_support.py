"""What the tests of words share: a client, or a call, of either shell, and what was asked of the switch."""

from __future__ import annotations

import asyncio
import logging
import queue
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from types import ModuleType
from typing import Any

import pytest
import shells
from shells import HOST, PATIENCE

from eslcodec.emulator import EmulatedCall, Emulator


class Shell(shells.Shell):
    """A client, or a call, behind blocking methods, whichever shell it is of."""

    def __init__(self, esl: ModuleType, kind: str) -> None:
        super().__init__(esl, kind)
        self.server: Any = None

    def joins(self, switch: Emulator, **options: Any) -> Any:
        """Connected to a switch, and logged in."""
        self.client = self.opening(switch.port, **options).result(PATIENCE)
        return self.client

    def answers(self, switch: Emulator, mode: str = "async full") -> EmulatedCall:
        """A call is taken, `client` is our side of it; its handler waits until the call is closed."""
        calls: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.server = self._start(self._module.serve, self._handler(calls)).result(PATIENCE)
        call = switch.dial(HOST, self.server.port, mode=mode)
        self.client = calls.get(timeout=PATIENCE)
        return call

    def _handler(self, calls: queue.SimpleQueue[Any]) -> Callable[[Any], Any]:
        self._over: Any = None

        def take(call: Any) -> None:
            over = self._over = Future[None]()
            calls.put(call)
            over.result(PATIENCE)

        async def take_async(call: Any) -> None:
            await asyncio.to_thread(take, call)

        return take if self.kind == "sync" else take_async

    def digits(self, timeout: float | None = None, count: int | None = None) -> Future[list[str]]:
        """What `dtmf` gives, until it ends or there are so many."""
        iterator = self.dtmf(timeout)
        return self._start(self._collected if self.kind == "sync" else self._collected_async, iterator, count)

    def dtmf(self, timeout: float | None = None) -> Any:
        if self.kind == "sync":
            return self.client.dtmf(timeout)

        async def call() -> Any:
            return self.client.dtmf(timeout)

        return self._start(call).result(PATIENCE)

    @staticmethod
    def _collected(iterator: Iterator[str], count: int | None) -> list[str]:
        typed = []
        for digit in iterator:
            typed.append(digit)
            if len(typed) == count:
                break
        return typed

    @staticmethod
    async def _collected_async(iterator: Any, count: int | None) -> list[str]:
        typed: list[str] = []
        async for digit in iterator:
            typed.append(digit)
            if len(typed) == count:
                break
        return typed

    def close(self) -> None:
        if self.server is not None:
            self._over.set_result(None)
            self._start(self.server.close).result(PATIENCE)
            self.client = None
        super().close()


@pytest.fixture(params=["sync", "aio"])
def shell(esl: ModuleType, request: pytest.FixtureRequest) -> Iterator[Shell]:
    shell = Shell(esl, request.param)
    yield shell
    shell.close()


@pytest.fixture
def switch() -> Iterator[Emulator]:
    with Emulator() as switch:
        yield switch


@pytest.fixture
def strange() -> str:
    """A name that is like none, and that no test has had before: each is logged once."""
    return f"NEW_{uuid.uuid4().hex.upper()}"


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def asked(switch: Emulator) -> list[str]:
    """The commands, but for the login."""
    return [command for command in switch.commands if not command.startswith("auth ")]


def fire_two(switch: Emulator, call: EmulatedCall) -> None:
    other = switch.add_session()
    switch.fire("DTMF", {"Unique-ID": other.uuid, "DTMF-Digit": "9"})
    call.dtmf("1")
