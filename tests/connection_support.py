"""The connection without I/O, fed in one of three ways: what its tests share."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import support
from support import ACCEPTED, AUTH, part, plain, reply

LINGER = (
    b"Content-Type: text/disconnect-notice\nControlled-Session-UUID: u-1\nContent-Disposition: linger\n"
    b"Channel-Name: loopback/1\nLinger-Time: 5\nContent-Length: 0\n\n"
)
CONNECTED = (
    b"Event-Name: CHANNEL_DATA\nUnique-ID: u-1\nvariable_x: a%20b\nContent-Type: command/reply\n"
    b"Reply-Text: %2BOK%0A\nSocket-Mode: {mode}\nControl: full\n\n"
)
HEARTBEAT = plain(b"Event-Name: HEARTBEAT\n\n")
ENABLED = reply(b"+OK event listener enabled plain")
LOG = b"Content-Type: log/data\nContent-Length: 2\nLog-Level: 7\nUser-Data: \n\nx\n"


def event(name: bytes, *lines: bytes, body: bytes = b"") -> bytes:
    length = [b"Content-Length: %d" % len(body)] if body else []
    return plain(b"\n".join([b"Event-Name: " + name, *lines, *length, b"", b""]) + body)


def job(uuid: str, output: bytes = b"+OK\n") -> bytes:
    return event(b"BACKGROUND_JOB", b"Job-UUID: " + uuid.encode(), body=output)


def execution(name: bytes, uuid: str) -> bytes:
    return event(name, b"Unique-ID: u-1", b"Application: playback", b"Application-UUID: " + uuid.encode())


class Peer:
    """A connection, fed in one of three ways, and what it wrote."""

    def __init__(self, connection: Any, way: str) -> None:
        self.connection = connection
        self.way = way

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)

    def comes(self, *frames: bytes) -> None:
        """These bytes come from the switch."""
        data = b"".join(frames)
        if self.way == "whole":
            self.connection.receive(data)
        elif self.way == "bytewise":
            for at in range(len(data)):
                self.connection.receive(data[at : at + 1])
        else:
            support.receive(self.connection, data)

    @property
    def sent(self) -> bytes:
        """What it wanted to send since the last time."""
        return self.connection.data_to_send()

    @property
    def names(self) -> list[str]:
        """What waits in the queue, by name."""
        return [getattr(message, "name", type(message).__name__) for message in self.connection.queue]


@pytest.fixture(params=["whole", "bytewise", "buffer"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def inbound(esl: ModuleType, way: str) -> Peer:
    """Logged in."""
    peer = Peer(part(esl, "connection").Connection.inbound("secret"), way)
    peer.comes(AUTH, ACCEPTED)
    assert peer.sent == b"auth secret\n\n"
    return peer


def outbound_peer(esl: ModuleType, way: str, mode: bytes = b"async") -> Peer:
    peer = Peer(part(esl, "connection").Connection.outbound(), way)
    assert peer.sent == b"connect\n\n"
    peer.comes(CONNECTED.replace(b"{mode}", mode))
    return peer


@pytest.fixture
def outbound(esl: ModuleType, way: str) -> Peer:
    """The switch connected to us for the channel u-1, async and full."""
    return outbound_peer(esl, way)


def raised(wait: Any) -> tuple[str, str]:
    """Type and text of what a wait failed with."""
    assert wait.done, wait
    try:
        wait.result()
    except Exception as error:
        return type(error).__name__, str(error)
    pytest.fail(f"{wait} did not fail")
