"""What the tests of the adapters share: what runs a client, and what it should make of a stream.

A client runs in a process of its own (adapters_client.py), against our emulator or a server that sends given bytes. If
it is not installed, what needs it is skipped; ESLCODEC_TEST_REQUIRE_CLIENT=greenswitch (or genesis, or switchio) makes
its absence a failure.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support import ACCEPTED, AUTH, OK, capture, naive_frames, naive_pairs, naive_payload, plain

from eslcodec.emulator import Emulator, Fault

CLIENTS = ("greenswitch", "genesis", "switchio")
PROGRAM = Path(__file__).with_name("adapters_client.py")
END = plain(b"Event-Name: CUSTOM\nEvent-Subclass: test%3A%3Aend\n\n")

Headers = dict[str, Any]
Shown = tuple[Headers, "str | None"]  # an event: its headers, its body


# What runs a client


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> str:
    """Each client that is installed."""
    name: str = request.param
    return need(name)


def need(name: str) -> str:
    if importlib.util.find_spec(name) is None:
        if os.environ.get("ESLCODEC_TEST_REQUIRE_CLIENT") == name:
            pytest.fail(f"{name} is not installed")
        pytest.skip(f"{name} is not installed")
    return name


def adapter(name: str) -> ModuleType:
    return importlib.import_module(f"eslcodec.adapters.{name}")


def started(
    client: str, port: int, *, install: bool = True, until: int | None = None, path: Path | None = None, **task: Any
) -> Any:
    """A process in which the client does a task at this port; it is looked for in `path` first."""
    environment = {**os.environ, **({"PYTHONPATH": str(path)} if path else {})}
    task = {"together": [], "commands": [], "patience": 40, "stop": False} | task
    task |= {"client": client, "port": port, "install": install, "until": until}
    arguments = [sys.executable, str(PROGRAM), json.dumps(task)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def result(process: Any) -> dict[str, Any]:
    """What the client's user saw."""
    with process:
        try:
            printed, errors = process.communicate(timeout=90)
        finally:
            process.kill()
    assert process.returncode == 0, errors
    seen: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return seen


def run(client: str, port: int, **task: Any) -> dict[str, Any]:
    return result(started(client, port, **task))


def events_of(client: str, stream: bytes, *, install: bool = True, fault: Fault | None = None) -> list[Shown]:
    """The events that the client makes of a stream that the emulator replays, and of END behind it."""
    count = len(naive_frames(stream))
    with Emulator(replay=stream + END, fault=fault) as switch:
        seen = run(client, switch.port, install=install, until=count + 1, commands=["event plain ALL"])
    assert len(seen["events"]) == count + 1
    return [(headers, body) for headers, body in seen["events"][:-1]]


def event_of(client: str, payload: bytes) -> Shown:
    """The event that the client makes of a plain payload."""
    (event,) = events_of(client, plain(payload))
    return event


class Wire:
    """A server that logs one client in, sends it given bytes once it has said `event`, and then perhaps no more."""

    def __init__(self, data: bytes, *, close: bool = False) -> None:
        self._data = data
        self._close = close

    def __enter__(self) -> Wire:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(60)
        self._listening.close()

    def _serve(self) -> None:
        connection, _ = self._listening.accept()
        with connection, suppress(ConnectionError), connection.makefile("rb") as commands:
            connection.sendall(AUTH)
            for line in commands:
                if line.startswith(b"auth "):
                    connection.sendall(ACCEPTED)
                elif line.startswith(b"event "):
                    connection.sendall(OK + self._data)
                    if self._close:
                        connection.shutdown(socket.SHUT_WR)


def wire_events(client: str, data: bytes, count: int) -> list[Shown]:
    """The first events that the client makes of given bytes."""
    with Wire(data) as server:
        seen = run(client, server.port, until=count, commands=["event plain ALL"])
    return [(headers, body) for headers, body in seen["events"]]


# Captured streams


@lru_cache
def captured(name: str) -> bytes:
    """The plain events and the log lines of a capture, at most 300."""
    frames = [block + (body or b"") for block, body in naive_frames(capture(name)) if is_replayed(block)]
    return b"".join(frames[:300])


def is_replayed(block: bytes) -> bool:
    return b"Content-Type: text/event-plain" in block or b"Content-Type: log/data" in block


def text(data: bytes | str) -> str:
    raw = data if isinstance(data, bytes) else data.encode("utf-8", "surrogateescape")
    return raw.decode("utf-8", "replace")


def listed(pairs: list[tuple[str, str]]) -> Headers:
    """Pairs as genesis has them: a list for a repeated name."""
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(text(name), []).append(text(value))
    return {name: found if len(found) > 1 else found[0] for name, found in values.items()}


def last(pairs: list[tuple[str, str]]) -> Headers:
    """Pairs as greenswitch and switchio have them: the last of a repeated name."""
    return {text(name): text(value) for name, value in pairs}


def expected(client: str, block: bytes, body: bytes | None) -> Shown:
    """What a client with its adapter makes of a frame, in the plainest way."""
    mapping = listed if client == "genesis" else last
    pairs, rest = naive_payload(body or b"") if b"text/event-plain" in block else ([], body)
    shown = text(rest) if rest else None
    if client == "switchio" and shown is not None and not shown.endswith("\n"):
        shown += "\n"
    return mapping(naive_pairs(block)) | mapping(pairs), shown
