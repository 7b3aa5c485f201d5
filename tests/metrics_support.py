"""What the tests of metrics share: numbers of switches that nobody runs, and asking over HTTP."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import Any, TypeVar

from prometheus_client.parser import text_string_to_metric_families

T = TypeVar("T")
SECONDS = 20.0


@dataclass(frozen=True)
class Numbers:
    """As `SwitchStats` of a fleet has them."""

    name: str = "west"
    host: str = "10.0.0.1"
    port: int = 8021
    state: str = "connected"
    connected: bool = True
    since: float = 1_700_000_000.0
    hostname: str | None = "pbx-west"
    switchname: str | None = "pbx-west"
    core_uuid: str | None = "8f08a03a-0000-4000-8000-000000000001"
    received_events: int = 12
    received_bytes: int = 60_000
    malformed: int = 1
    dropped: int = 2
    reconnects: int = 3
    gaps: int = 3
    gap_seconds: float = 4.5
    core_changes: int = 1
    lag: float | None = 0.25
    queue_estimate: int | None = 7
    losses: Mapping[str, int] = field(default_factory=lambda: {"certain": 501})
    loss_reports: Mapping[str, int] = field(default_factory=lambda: {"bounded": 2})
    unread_seconds: float = 0.5
    waiting: int = 9
    error: str | None = None
    tap: dict[str, Any] | None = None


def parsed(text: str) -> dict[tuple[Any, ...], float]:
    """(name, values of the labels in the order of their names) -> value, by the official parser."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def asked(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of an answer."""
    connection = HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def exchange(port: int, data: bytes) -> bytes:
    """What comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as sock:
        sock.sendall(data)
        return everything(sock)


def everything(sock: socket.socket) -> bytes:
    received = b""
    while chunk := sock.recv(1 << 16):
        received += chunk
    return received


def run(main: Callable[[], Awaitable[T]]) -> T:
    """Run a coroutine function to its end."""

    async def whole() -> T:
        return await asyncio.wait_for(main(), 3 * SECONDS)

    return asyncio.run(whole())
