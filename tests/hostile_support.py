"""A peer that means harm, or is broken: a socket that follows a list of acts.

An act is bytes that it says, or a function of the socket. ENDS has the ways in which a client can end, and its error.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import threading
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import pytest
from support import ACCEPTED, AUTH, REJECTED, api_response, part, plain

HOST = "127.0.0.1"
SECONDS = 30.0  # no act of a peer takes longer, and no client: what does hangs

EVENT = plain(b"Event-Name: HEARTBEAT\nvariable_x: y\n\n")

Act = bytes | Callable[[socket.socket], object]


def hear(sock: socket.socket) -> bytes:
    """One command."""
    heard = b""
    while b"\n\n" not in heard:
        data = sock.recv(1 << 16)
        if not data:
            raise ConnectionError("the client closed")
        heard += data
    return heard


def stay(sock: socket.socket) -> None:
    """Say nothing more, and read until the client closes."""
    while sock.recv(1 << 16):
        pass


def flood(data: bytes) -> Act:
    """The same again and again until the client closes."""
    data *= max(1, (1 << 16) // len(data))

    def act(sock: socket.socket) -> None:
        while True:
            sock.sendall(data)

    return act


def drip(data: bytes) -> Act:
    """One byte after the other, ever so slowly; in the end nothing."""

    def act(sock: socket.socket) -> None:
        pace = threading.Event()
        for at in range(len(data)):
            sock.sendall(data[at : at + 1])
            pace.wait(0.05)
        stay(sock)

    return act


def play(sock: socket.socket, acts: Sequence[Act]) -> None:
    """Do it all, then close. That the client closes first ends it."""
    sock.settimeout(SECONDS)
    with sock, contextlib.suppress(ConnectionError):
        for act in acts:
            if isinstance(act, bytes):
                sock.sendall(act)
            else:
                act(sock)
        sock.shutdown(socket.SHUT_WR)
        stay(sock)


class Hostile:
    """Does the same with every client that connects."""

    def __init__(self, *acts: Act) -> None:
        self.acts = acts
        self.errors: list[BaseException] = []
        self.listener = socket.create_server((HOST, 0))
        self.port: int = self.listener.getsockname()[1]
        self.threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Hostile:
        self.threads[0].start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join(SECONDS)
            assert not thread.is_alive(), "the client does not close"
        if kind is None:
            assert self.errors == []

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                thread = threading.Thread(target=self._play, args=(sock,), daemon=True)
                self.threads.append(thread)
                thread.start()

    def _play(self, sock: socket.socket) -> None:
        try:
            play(sock, self.acts)
        except BaseException as error:
            self.errors.append(error)


async def ask_aio(aio: ModuleType, port: int, options: dict[str, Any]) -> None:
    async with aio.connect(HOST, port, **options) as fs:
        for _ in range(2):
            await fs.api("status")


def ask(esl: Any, client: str, port: int, **options: Any) -> BaseException:
    """Connect and ask twice; the error that this ends in."""
    options = {"connect_timeout": 20, "command_timeout": 20, **options}
    try:
        if client == "aio":
            asyncio.run(asyncio.wait_for(ask_aio(part(esl, "aio"), port, options), SECONDS))
        else:
            with esl.connect(HOST, port, **options) as fs:
                for _ in range(2):
                    fs.api("status")
    except Exception as error:
        return error
    pytest.fail("no error")


LOGIN: list[Act] = [AUTH, hear, ACCEPTED]
SHORT_LOGIN = {"connect_timeout": 1.0}  # of which connecting itself takes some on a busy machine
SHORT = {"command_timeout": 0.2}
FEW = {"queue_limit": 100, "queue_hard_limit": 1000}
NO_END = "read 1048577 bytes of a header block without its end, expected no more than 1048576 (max_header_bytes)"
UNFINISHED = r"(; read \d+ bytes of a frame without its end)?"  # where it stands then is a matter of speed
NO_LOGIN = r"read \d+ bytes before the login was answered, expected no more than 2097152"
Row = tuple[list[Act], dict[str, Any], str, str]


def exactly(acts: list[Act], error: str, text: str, **options: Any) -> Row:
    return acts, options, error, re.escape(text)


ENDS: dict[str, Row] = {
    # before the login is answered
    "closes at once": exactly([], "ConnectionClosed", "the switch closed the connection before the login was answered"),
    "speaks HTTP": exactly(
        [b"HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nno\n"],
        "ConnectionClosed",
        "the switch closed the connection before the login was answered",
    ),
    "speaks SSH": exactly(
        [b"SSH-2.0-OpenSSH_9.6\r\n"],
        "ConnectionClosed",
        "stream ended in a header block: read 21 bytes, expected a blank line",
    ),
    "speaks TLS": exactly(
        [b"\x15\x03\x01\0\x02\x02\x46"],
        "ConnectionClosed",
        "stream ended in a header block: read 7 bytes, expected a blank line",
    ),
    "zeros": exactly([flood(b"\0")], "HeaderTooLarge", NO_END),
    "headers without end": exactly([flood(b"A: b\n")], "HeaderTooLarge", NO_END),
    "header without end": exactly([b"Content-Type: ", flood(b"auth/request")], "HeaderTooLarge", NO_END),
    "one more than the largest body": exactly(
        [b"Content-Length: 67108865\n\n", stay],
        "BodyTooLarge",
        "read a Content-Length of 67108865 bytes, expected no more than 67108864 (max_body_bytes)",
    ),
    "length of thirty digits": exactly(
        [b"Content-Length: %b\n\n" % (b"9" * 30), flood(b"x")],
        "BodyTooLarge",
        f"read a Content-Length of {'9' * 30} bytes, expected no more than 67108864 (max_body_bytes)",
    ),
    "JSON event without a length": exactly(
        [b"Content-Type: text/event-json\n\n{}", stay],
        "InvalidContentLength",
        "read no Content-Length in the frame of a JSON or XML event, expected one",
    ),
    "negative length": exactly(
        [b"Content-Type: auth/request\nContent-Length: -1\n\n", stay],
        "InvalidContentLength",
        "read Content-Length '-1', expected ASCII digits",
    ),
    "reply before the question": exactly(
        [ACCEPTED, stay], "ProtocolError", "read a reply that no command asked for: '+OK accepted'"
    ),
    "two replies to the login": exactly(
        [AUTH, hear, ACCEPTED + ACCEPTED, stay],
        "ProtocolError",
        "read a reply that no command asked for: '+OK accepted'",
    ),
    "output instead of a reply": exactly(
        [AUTH, hear, api_response(b"+OK accepted"), stay],
        "ProtocolError",
        "read the output of an API command, expected the login",
    ),
    "closes after the password": exactly(
        [AUTH, hear], "ConnectionClosed", "the switch closed the connection before the login was answered"
    ),
    "body without end": exactly(
        [b"Content-Type: auth/request\nContent-Length: 60000000\n\nxyz"],
        "ConnectionClosed",
        "stream ended in a body: read 3 bytes, expected 60000000",
    ),
    "drips the greeting": ([drip(AUTH)], SHORT_LOGIN, "CommandTimeout", r"waited 1 s for the login" + UNFINISHED),
    "line ends without end": ([flood(b"\r\n")], {}, "LoginTooLarge", NO_LOGIN),
    "asks for the password again and again": ([flood(AUTH)], {"when_full": "drop"}, "LoginTooLarge", NO_LOGIN),
    "events instead of the reply to the login": (
        [AUTH, hear, flood(EVENT)],
        FEW,
        "EventQueueFull",
        r"waiting for the login: \d+ messages are queued, expected somebody to read them \(1000\)",
    ),
    # after it
    "never answers": exactly([*LOGIN, stay], "CommandTimeout", "waited 0.2 s for the answer to 'api status'", **SHORT),
    "never answers, but events come": (
        [*LOGIN, flood(EVENT)],
        FEW,
        "EventQueueFull",
        r"waiting for the answer to 'api status': \d+ messages are queued, expected somebody to read them \(1000\)",
    ),
    "never answers, but events come and are dropped": (
        [*LOGIN, flood(EVENT)],
        {**SHORT, "when_full": "drop"},
        "CommandTimeout",
        r"waited 0\.2 s for the answer to 'api status'" + UNFINISHED,
    ),
    "never answers, but line ends come": (
        [*LOGIN, flood(b"\n")],
        SHORT,
        "CommandTimeout",
        r"waited 0\.2 s for the answer to 'api status'" + UNFINISHED,
    ),
    "drips the answer": (
        [*LOGIN, hear, drip(api_response(b"UP\n"))],
        SHORT,
        "CommandTimeout",
        r"waited 0\.2 s for the answer to 'api status'" + UNFINISHED,
    ),
    "half an answer": exactly(
        [*LOGIN, hear, b"Content-Type: api/response\nContent-Length: 10\n\nhalf"],
        "ConnectionClosed",
        "stream ended in a body: read 4 bytes, expected 10",
    ),
    "two answers": exactly(
        [*LOGIN, hear, api_response(b"1") + api_response(b"2"), stay],
        "ProtocolError",
        "read a reply that no command asked for: '2'",
    ),
    "answer without end": exactly([*LOGIN, hear, flood(b"A: b\n")], "HeaderTooLarge", NO_END),
    "answer beyond the bound": exactly(
        [*LOGIN, hear, b"Content-Type: api/response\nContent-Length: 101\n\n", flood(b"x")],
        "BodyTooLarge",
        "read a Content-Length of 101 bytes, expected no more than 100 (max_body_bytes)",
        max_body_bytes=100,
    ),
    "closes instead of an answer": exactly([*LOGIN, hear], "ConnectionClosed", "the switch closed the connection"),
    "refuses in the middle": exactly([*LOGIN, hear, REJECTED], "AccessDenied", "Access Denied, go away."),
}
