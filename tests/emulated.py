"""What the tests of the emulator share: a client, captures, and what its channels are asked."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from support import capture, open_capture

import eslcodec
from eslcodec.emulator import EmulatedCall, Emulator

FAREWELL = "Disconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n"
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
SECONDS = 30.0


class Client:
    """A socket that keeps what it reads: messages, and the bytes."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(SECONDS)
        self.sock = sock
        self.decoder = eslcodec.Decoder()
        self.messages: list[eslcodec.Message] = []
        self.raw = b""
        self.ended = False
        self.seen = 0

    def send(self, text: str) -> None:
        self.sock.sendall(text.encode("latin-1"))

    def read(self) -> None:
        try:
            data = self.sock.recv(1 << 20)
        except ConnectionResetError:
            data = b""
        except TimeoutError:
            pytest.fail(f"nothing more came; received {self.messages}")
        self.ended = not data
        self.raw += data
        self.decoder.feed(data)
        self.messages += self.decoder

    def until(self, condition: Callable[[], Any]) -> None:
        while not condition():
            assert not self.ended, f"the connection ended; received {self.messages}"
            self.read()

    def to_the_end(self) -> None:
        while not self.ended:
            self.read()

    @property
    def events(self) -> list[eslcodec.Event]:
        return [message for message in self.messages if isinstance(message, eslcodec.Event)]

    @property
    def replies(self) -> list[eslcodec.Message]:
        return [message for message in self.messages if not isinstance(message, (eslcodec.Event, eslcodec.LogLine))]

    def ask(self, command: str) -> eslcodec.Message:
        """The reply to one command."""
        before = len(self.replies)
        self.send(command + "\n\n")
        self.until(lambda: len(self.replies) > before)
        return self.replies[before]

    def text(self, command: str) -> str:
        reply = self.ask(command)
        return reply.text if isinstance(reply, eslcodec.CommandReply) else (reply.body or b"").decode()

    def next_event(self) -> eslcodec.Event:
        self.until(lambda: len(self.events) > self.seen)
        self.seen += 1
        return self.events[self.seen - 1]


def narrow(switch: Emulator) -> socket.socket:
    """A connection whose sockets keep little; on some machines they would grow to tens of megabytes."""
    assert switch._sockets.server is not None
    switch._sockets.server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
    sock = socket.create_connection((switch.host, switch.port))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    return sock


@contextmanager
def connected(switch: Emulator, *commands: str, login: bool = True) -> Iterator[Client]:
    """A client that has logged in and sent some commands."""
    with narrow(switch) as sock:
        client = Client(sock)
        if login:
            client.until(lambda: client.messages)
            client.ask("auth ClueCon")
        for command in commands:
            client.ask(command)
        yield client


@contextmanager
def called(switch: Emulator, **options: Any) -> Iterator[tuple[EmulatedCall, Client]]:
    """A call that the switch has put through to us, and our end of its connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        call = switch.dial(*server.getsockname(), **options)
        sock, _ = server.accept()
    with sock:
        yield call, Client(sock)


def fence(switch: Emulator, client: Client) -> None:
    """Everything fired before is with the client, if it was meant for it."""
    client.text("api echo fence")


def names(client: Client) -> list[str | None]:
    return [event.name for event in client.events]


def messages_of(data: bytes) -> list[eslcodec.Message]:
    decoder = eslcodec.Decoder()
    decoder.feed(data)
    return list(decoder)


def whole(name: str) -> bytes:
    """A capture with its end, which has the last replies."""
    with open_capture(name) as stream:
        return stream.read()


DAY = (  # like a production day
    *("callcenter", "calls_sip", "calls_sip_json", "conference", "conference_xml", "lowlevel", "registrations"),
    *("restart_recover_after", "restart_recover_before", "transfer_hold", "transfer_hold_json"),
)


def overrun(switch: Emulator) -> None:
    """Fire events until the switch stands still, or has done so for as long as it may."""
    fill(switch)
    deadline, before = time.monotonic() + SECONDS, len(switch.listeners)
    while not switch.frozen and len(switch.listeners) == before:
        switch.fire("CUSTOM", {"N": "1"}, "x" * 200_000)
        assert time.monotonic() < deadline


def fill(switch: Emulator) -> None:
    """Fill the sockets of those who do not read. On a busy machine the kernel takes a while to move what they keep.

    They are full when the emulator, at a hundred looks in a row, had its turn and could write nothing.
    """

    def unsent() -> list[int]:
        return sorted(len(one.unsent) for one in switch._sockets.connections if one._blocked)

    deadline = time.monotonic() + SECONDS
    before: list[int] = []
    looks = 0
    while looks < 100:
        left = switch._run(unsent)
        looks = looks + 1 if left == before else 0
        before = left
        if not left:  # the kernel has taken it all
            switch.fire("CUSTOM", {"N": "0"}, "x" * 4_000_000)
            looks = 0
        assert time.monotonic() < deadline
        time.sleep(0.002)


def recording(count: int, name: str = "sip_plain") -> tuple[bytes, list[bytes]]:
    """The first events of a capture, as a capture with replies and a cut event around them; and these events."""
    decoder = eslcodec.Decoder()
    decoder.feed(capture(name)[: 40_000 * count])
    events = [message.frame for message in decoder if isinstance(message, eslcodec.Event)][:count]
    assert len(events) == count
    return b"Content-Type: auth/request\n\n" + b"".join(events) + events[0][:-9], events
