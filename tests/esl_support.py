"""What the tests of `eslcodec.ESL` share: the other end of its socket, what events show, events as they are framed.

A peer says everything before the module reads any of it, wherever the order of bytes on the wire allows that: no
threads, no waiting. Nothing in here tests anything.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from esl_model import Model
from support import ACCEPTED, AUTH, DATA, frame, notice, plain

FILE = json.loads((DATA / "vectors.json").read_text())
CONNECT_REPLY: bytes = FILE["outbound_connect_reply"].encode("latin-1")
COMMAND_REPLY: bytes = FILE["command_reply"].encode("latin-1")
GOODBYE = "Disconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n"
SECONDS = 30.0


def room(ESL: Any, name: str) -> Any:
    """One of the files behind the module."""
    return importlib.import_module(f"{ESL.__package__}._esl.{name}")


def decoder_of(ESL: Any) -> Any:
    """A decoder as a connection of the module has it."""
    frames = room(ESL, "frames")
    return room(ESL, "link").MessageDecoder(frames.KINDS, frames.Message)


# The other end


def outbound(ESL: Any, sock: socket.socket) -> Any:
    """ESLconnection(fd) with a socket that is its alone, whether it takes the descriptor over or duplicates it."""
    if ESL.strict:
        return ESL.ESLconnection(sock.detach())
    with sock:
        return ESL.ESLconnection(sock.fileno())


class Wire:
    """An outbound connection and its peer, which has said everything already."""

    def __init__(self, ESL: Any, said: bytes, *, ended: bool = False, connect: bytes = CONNECT_REPLY) -> None:
        self.peer, ours = socket.socketpair()
        self.peer.settimeout(SECONDS)
        self.peer.sendall(connect + said)
        if ended:
            self.peer.shutdown(socket.SHUT_WR)
        self.con = outbound(ESL, ours)

    def close(self) -> None:
        self.con.disconnect()
        self.peer.close()

    def hears(self, data: bytes) -> bytes:
        """What the peer receives, up to as many bytes as are expected."""
        heard = b""
        while len(heard) < len(data):
            more = self.peer.recv(len(data) - len(heard))
            if not more:
                break
            heard += more
        return heard

    def sent(self) -> bytes:
        """Everything that was sent behind `connect`. Ends the connection."""
        self.con.disconnect()
        heard = to_the_end(self.peer)
        assert heard.startswith(b"connect\n\n")
        return heard.removeprefix(b"connect\n\n")


def to_the_end(sock: socket.socket) -> bytes:
    heard = b""
    try:
        while data := sock.recv(1 << 16):
            heard += data
    except ConnectionResetError:
        pass
    return heard


@contextmanager
def wires(ESL: Any) -> Iterator[Callable[..., Wire]]:
    """Makes `Wire`s, and closes them."""
    with ExitStack() as stack:

        def make(*said: bytes, **options: Any) -> Wire:
            wire = Wire(ESL, b"".join(said), **options)
            stack.callback(wire.close)
            return wire

        yield make


@contextmanager
def saying(sock: socket.socket, data: bytes) -> Iterator[None]:
    """Something longer than a socket's buffers, then the end, while something else reads it."""

    def say() -> None:
        with contextlib.suppress(OSError):  # it may not want to hear it all
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=say)
    thread.start()
    try:
        yield
    finally:
        thread.join(SECONDS)
        assert not thread.is_alive(), "nobody reads"


class Server:
    """A server for one inbound connection: says something, reads a command, and so on; then only listens."""

    def __init__(self, *says: bytes, host: str = "127.0.0.1") -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.says = says
        self.heard = b""
        self.listener = socket.create_server((host, 0), family=family)
        self.listener.settimeout(SECONDS)
        self.port: int = self.listener.getsockname()[1]
        self.called = False
        self.thread = threading.Thread(target=self.serve)

    def serve(self) -> None:
        try:
            sock, _ = self.listener.accept()
        except OSError:  # nobody called
            return
        self.called = True
        sock.settimeout(SECONDS)
        with sock, contextlib.suppress(ConnectionError):
            for say in self.says[:-1]:
                sock.sendall(say)
                before = len(self.heard)
                while b"\n\n" not in self.heard[before:]:
                    data = sock.recv(1 << 16)
                    if not data:
                        return
                    self.heard += data
            sock.sendall(self.says[-1])
            sock.shutdown(socket.SHUT_WR)
            self.heard += to_the_end(sock)

    def __enter__(self) -> Server:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join(SECONDS)
        self.listener.close()
        assert not self.thread.is_alive(), "the client does not close"


LOGIN = (AUTH, ACCEPTED)


def unread(fd: int) -> int:
    """How many bytes have arrived that nobody has read."""
    import array
    import fcntl
    import termios

    count = array.array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, count)
    return count[0]


class Background:
    """A call in a thread of its own."""

    def __init__(self, call: Callable[..., Any], *arguments: Any) -> None:
        self.result: Any = "nothing yet"

        def run() -> None:
            self.result = call(*arguments)

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()

    def waits(self) -> bool:
        """Whether it has not returned, given every chance to."""
        self.thread.join(0.1)
        return self.thread.is_alive()

    def returns(self) -> Any:
        self.thread.join(SECONDS)
        assert not self.thread.is_alive(), "does not return"
        return self.result


# What an event shows


def seen(event: Any) -> Any:
    """Type, headers (arrays as lists) and body, in the vectors' words; None for None."""
    if event is None:
        return None
    members = json.loads(event.serialize("json"), object_pairs_hook=list) or []
    body = event.getBody()
    if body is not None:
        assert [name for name, _ in members[-2:]] == ["Content-Length", "_body"]
        members = members[:-2]
    assert names_of(event) == [name for name, _ in members]
    for name, value in members[::-1]:  # so that the first of a name is looked at last, and counts
        first = next(value for other, value in members if ascii_lower(other) == ascii_lower(name))
        text = first if isinstance(first, str) else first[0] if len(first) == 1 else "ARRAY::" + "|:".join(first)
        assert event.getHeader(name) == text
        items = [None] if isinstance(first, str) else [*first, None]
        assert [event.getHeader(name, i) for i in range(len(items))] == items
    return {"type": event.getType(), "headers": [list(member) for member in members], "body": body}


def ascii_lower(name: str) -> str:
    return "".join(char.lower() if char.isascii() else char for char in name)


def names_of(event: Any) -> list[str]:
    names = []
    name = event.firstHeader()
    while name is not None:
        names.append(name)
        name = event.nextHeader()
    return names


def outer(*headers: str, body: str | None = None) -> Any:
    """A frame, "name=value"."""
    pairs = [["Event-Name", "SOCKET_DATA"], *(header.split("=", 1) for header in headers)]
    return {"type": "SOCKET_DATA", "headers": pairs, "body": body}


def inner(type_: str, *headers: str, body: str | None = None) -> Any:
    return {"type": type_, "headers": [header.split("=", 1) for header in headers], "body": body}


LOST = {"type": "SERVER_DISCONNECTED", "headers": [["Event-Name", "SERVER_DISCONNECTED"]], "body": None}


DTMF = plain(b"Event-Name: DTMF\nA: 1\n\n")
DTMF_SEEN = inner("DTMF", "Event-Name=DTMF", "A=1")
OK_SEEN = outer("Content-Type=command/reply", "Reply-Text=+OK")
FINAL = notice(GOODBYE.encode())


def reply_seen(text: str) -> Any:
    return outer("Content-Type=command/reply", f"Reply-Text={text}")


# Methods of a connection


REPLIES: dict[str, tuple[Any, ...]] = {  # methods that send a command and return its reply
    "sendRecv": ("status",),
    "api": ("status",),
    "bgapi": ("status",),
    "filter": ("A", "b"),
    "execute": ("answer",),
    "executeAsync": ("answer",),
}
STATUSES: dict[str, tuple[Any, ...]] = {"send": ("noevents",), "events": ("plain", "ALL")}


def assert_dead(ESL: Any, con: Any, info: str | None = None) -> None:
    """What everything returns on a dead connection (docs/protocol/esl-module.md, A2.2)."""
    assert con.connected() == 0
    assert con.socketDescriptor() == -1
    if info is None:
        assert con.getInfo() is None
    assert {name: getattr(con, name)(*arguments) for name, arguments in REPLIES.items()} == dict.fromkeys(REPLIES)
    assert {name: getattr(con, name)(*arguments) for name, arguments in STATUSES.items()} == dict.fromkeys(STATUSES, 1)
    assert (con.sendMSG(ESL.ESLevent("DTMF")), con.sendMSG(ESL.ESLevent("DTMF"), "u")) == (1, 1)
    assert seen(con.sendEvent(ESL.ESLevent("DTMF"))) == LOST
    assert seen(con.recvEvent()) == LOST
    assert [con.recvEventTimed(ms) for ms in (0, 5, 60_000, -1)] == [None] * 4
    assert (con.setAsyncExecute("1"), con.setEventLock("yes")) == (1, 1)
    assert con.connected() == 0


# Events as a switch frames them


FIRST = {  # headers that a received event has in any case
    "plain": [("Event-Name", "DTMF")],
    "json": [("Event-Name", "DTMF")],
    "outer": [("Event-Name", "SOCKET_DATA"), ("Content-Type", "log/data")],
}


def framed(format: str, headers: list[tuple[str, str]], body: str | None) -> bytes:
    """An event as a switch frames it, but with the headers' repeats and indexed names as they are."""
    if format == "outer":
        lines = [f"{name}: {percent_all(value)}\n" for name, value in [*FIRST[format][1:], *headers]]
        head = "".join(lines).encode("utf-8", "surrogateescape")
        return frame(head.removesuffix(b"\n"), None if body is None else body.encode("utf-8", "surrogateescape"))
    pairs = [*FIRST[format], *headers]
    if format == "json":
        members = [f"{json.dumps(name)}:{json.dumps(value, ensure_ascii=False)}" for name, value in pairs]
        if body is not None:
            members.append(f'"_body":{json.dumps(body, ensure_ascii=False)}')
        payload = ("{" + ",".join(members) + "}").encode("utf-8", "surrogateescape")
    else:
        lines = [f"{name}: {percent_all(value)}\n" for name, value in pairs]
        payload = ("".join(lines) + "\n" + (body or "")).encode("utf-8", "surrogateescape")
    return b"Content-Length: %d\nContent-Type: text/event-%b\n\n%b" % (len(payload), format.encode(), payload)


def percent_all(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode("utf-8", "surrogateescape"))


def received(module: Any, stream: bytes) -> Any:
    """The frames of a stream, each as an event that nobody has looked at."""
    decoder = decoder_of(module)
    decoder.feed(stream)
    return [module.ESLevent._received(message) for message in decoder]


@contextmanager
def strictly(ESL: Any, strict: bool) -> Iterator[None]:
    """`ESL.strict`, as it was before afterwards."""
    before = ESL.strict
    ESL.strict = strict
    try:
        yield
    finally:
        ESL.strict = before


INBOUND = """
from ESL import *

con = ESLconnection("127.0.0.1","{}","ClueCon")
con.events("json","all")
e = con.recvEvent()
print(e.getHeader("Event-Name"))
"""


def apply(event: Any, model: Model, steps: list[tuple[Any, ...]]) -> None:
    """Do this with an event and with its model, and compare what each step gives."""
    for verb, *arguments in steps:
        if verb == "names":
            assert names_of(event) == model.names()
        elif verb == "serialize":
            assert event.serialize(*arguments) == (model.json() if arguments == ["json"] else model.plain())
        else:
            assert getattr(event, verb)(*arguments) == getattr(model, verb)(*arguments), (verb, arguments)
