"""A peer that means harm, or is broken: every client ends in a typed error, in time, and with little memory.

The peer is a socket of this file, which follows a list of acts: bytes that it says, and functions of the socket. What
every test of clients has already, such as a switch that never greets or that ends at any byte, is in their own files.

ESLCODEC_TEST_EXAMPLES=50 makes it a million tiny frames through each client.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from sizes import FACTOR, HEAVY
from support import ACCEPTED, AUTH, OK, REJECTED, api_response, frame, part, plain, reply, until

from eslcodec.emulator import Emulator, User

HOST = "127.0.0.1"
SECONDS = 30.0  # no act of a peer takes longer, and no client: what does hangs
FOREIGN_MALLOC = os.environ.get("PYTHONMALLOC") == "malloc"  # sanitizers keep what is freed: memory says nothing then
EVENT = plain(b"Event-Name: HEARTBEAT\nvariable_x: y\n\n")
TINY = b"Content-Type: x\n\n"
GIANT = plain(b"Event-Name: HEARTBEAT\nContent-Length: 1000000\n\n" + b"x" * 1_000_000)
CONNECTED = (
    b"Event-Name: CHANNEL_DATA\nUnique-ID: u-1\nContent-Type: command/reply\n"
    b"Reply-Text: %2BOK%0A\nSocket-Mode: async\nControl: full\n\n"
)

pytestmark = pytest.mark.heavy

# The peer

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


# The clients that time out


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
SHORT_LOGIN = {"connect_timeout": 0.2}
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
    "drips the greeting": ([drip(AUTH)], SHORT_LOGIN, "CommandTimeout", r"waited 0\.2 s for the login" + UNFINISHED),
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


@pytest.mark.parametrize("client", ["sync", "aio"])
@pytest.mark.parametrize("way", ENDS)
def test_every_way_ends_in_its_error(esl, client, way):
    acts, options, kind, text = ENDS[way]
    with Hostile(*acts) as peer:
        error = ask(esl, client, peer.port, **options)
    assert type(error) is getattr(esl, kind), repr(error)
    where = f"{HOST}:{peer.port}"
    said = str(error).removeprefix(f"{where} refused our address: ").replace(f"the login at {where}", "the login")
    assert re.fullmatch(text, said), str(error)


@pytest.mark.parametrize("client", ["sync", "aio"])
def test_the_password_is_sent_once_however_often_it_is_asked_for(esl, client):
    heard: list[bytes] = []
    acts: list[Act] = [AUTH * 3, lambda sock: heard.append(hear(sock)), ACCEPTED + AUTH * 3]
    with Hostile(*acts, lambda sock: heard.append(hear(sock)), AUTH + api_response(b"UP"), stay) as peer:
        error = ask(esl, client, peer.port, password="secret", command_timeout=0.2)
    assert str(error) == "waited 0.2 s for the answer to 'api status'"
    assert heard == [b"auth secret\n\n", b"api status\n\n"]


# The official module: no exceptions, no time limits

DEAD: dict[str, list[Act]] = {
    name: acts
    for name, (acts, _, kind, _) in ENDS.items()
    if kind not in ("CommandTimeout", "EventQueueFull", "LoginTooLarge", "AuthError")
    and name not in ("two answers", "two replies to the login", "refuses in the middle", "answer beyond the bound")
}


@pytest.mark.parametrize("way", DEAD)
def test_the_official_module_is_not_connected_any_more(esl, way):
    ESL = part(esl, "ESL")
    with Hostile(*DEAD[way]) as peer:
        con = ESL.ESLconnection(HOST, str(peer.port), "secret")
        replies = [con.api("status") for _ in range(2)]
        assert (replies[-1], con.connected(), con.recvEvent().getType()) == (None, 0, "SERVER_DISCONNECTED")
        assert con.recvEventTimed(1) is None
        con.disconnect()


@pytest.mark.parametrize("act", [flood(b"\n"), drip(EVENT), stay], ids=["line ends", "drip", "silence"])
def test_the_official_module_waits_until_another_thread_ends_it(esl, act):
    ESL = part(esl, "ESL")
    with Hostile(*LOGIN, act) as peer:
        con = ESL.ESLconnection(HOST, str(peer.port), "secret")
        seen: list[str] = []
        thread = threading.Thread(target=lambda: seen.append(con.recvEvent().getType()), daemon=True)
        thread.start()
        until(lambda: con.recvEventTimed(0) is None and con._receiving._holder)  # the other thread receives
        con.disconnect()
        thread.join(SECONDS)
        assert not thread.is_alive(), "hangs"
    assert (seen, con.connected()) == (["SERVER_DISCONNECTED"], 0)


def test_the_official_module_keeps_so_many_frames_while_it_waits(esl, monkeypatch):
    """The smallest frames take more memory than their bytes."""
    ESL = part(esl, "ESL")
    monkeypatch.setattr(part(esl, "_esl.link"), "MAX_QUEUED_FRAMES", 1000)
    with Hostile(*LOGIN, hear, TINY * 1000 + OK, hear, TINY * 1001 + OK, stay) as peer:
        con = ESL.ESLconnection(HOST, str(peer.port), "secret")
        assert con.sendRecv("x").getHeader("Reply-Text") == "+OK"
        for _ in range(1000):
            assert con.recvEvent().getHeader("Content-Type") == "x"
        assert (con.sendRecv("x"), con.connected()) == (None, 0)


# Outbound: whoever connects may be anybody

CALLERS: dict[str, tuple[list[Act], str]] = {
    "closes at once": ([hear], "the switch closed the connection before the login was answered"),
    "speaks HTTP": (
        [hear, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", stay],
        r"waited 0\.2 s for the login",
    ),
    "headers without end": ([hear, flood(b"A: b\n")], re.escape(NO_END)),
    "zeros": ([hear, flood(b"\0")], re.escape(NO_END)),
    "body that is too large": (
        [hear, b"Content-Length: 67108865\n\n", flood(b"x")],
        re.escape("read a Content-Length of 67108865 bytes, expected no more than 67108864 (max_body_bytes)"),
    ),
    "drips": ([hear, drip(CONNECTED)], r"waited 0\.2 s for the login" + UNFINISHED),
    "line ends without end": ([hear, flood(b"\n")], NO_LOGIN),
    "events without end": (
        [hear, flood(EVENT)],
        r"waiting for the login: \d+ messages are queued, expected somebody to read them \(100\)",
    ),
    "output instead of a reply": (
        [hear, api_response(b"+OK"), stay],
        "read the output of an API command, expected the login",
    ),
    "two replies": ([hear, reply(b"-ERR no") * 2, stay], "the switch refused the login: -ERR no"),
    "asks for a password": ([hear, AUTH, stay], r"waited 0\.2 s for the login"),
    "refuses": ([hear, REJECTED, stay], r"Access Denied, go away\."),
}


@contextlib.contextmanager
def serving(esl: Any, client: str, handler: Callable[[Any], Any], **options: Any) -> Iterator[Any]:
    """A server of either kind, in a thread of its own if need be."""
    if client == "sync":
        with esl.serve(handler, **options) as server:
            yield server
        return
    aio = part(esl, "aio")
    servers: list[Any] = []
    loop = asyncio.new_event_loop()

    async def handle(call: Any) -> None:
        handler(call)

    async def main() -> None:
        async with aio.serve(handle, **options) as server:
            servers.append(server)
            await server.serve_forever()

    def run() -> None:
        loop.run_until_complete(main())
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    until(lambda: servers)
    try:
        yield servers[0]
    finally:
        closing = asyncio.run_coroutine_threadsafe(servers[0].close(), loop)
        with contextlib.suppress(RuntimeError):
            closing.result(SECONDS)
        thread.join(SECONDS)
        assert not thread.is_alive(), "hangs"


@pytest.mark.parametrize("client", ["sync", "aio"])
@pytest.mark.parametrize("way", CALLERS)
def test_a_caller_that_is_no_switch_is_turned_away_and_the_next_is_served(esl, caplog, client, way):
    acts, text = CALLERS[way]
    calls: list[str] = []
    options: dict[str, Any] = {"first_frame_timeout": 0.2 if text.startswith("waited") else 20}
    options |= {"queue_limit": 100, "queue_hard_limit": 100} if "messages" in text else {}
    with serving(esl, client, lambda call: calls.append(call.uuid), **options) as server:
        play(socket.create_connection((HOST, server.port)), acts)
        until(lambda: server.calls == 0)
        assert calls == []
        play(socket.create_connection((HOST, server.port)), [hear, CONNECTED, stay])
        until(lambda: calls)
        until(lambda: server.calls == 0)
    assert calls == ["u-1"]
    messages = [record.getMessage() for record in caplog.records if record.name == "eslcodec"]
    assert len(messages) == 1
    said = re.fullmatch(r"a connection from 127\.0\.0\.1:\d+ brought no call: (.*)", messages[0])
    assert said is not None
    pattern = text if "refuses" not in way else r"the switch refused our address: Access Denied, go away\.|" + text
    assert re.fullmatch(pattern, said[1]), said[1]


# Memory

CLIENT = """
import asyncio, re, resource, sys
import eslcodec
from eslcodec import ESL, aio, limits
limits.EVENT_QUEUE_HARD_BYTES = 48 << 20  # of 512, which small machines do not have
client, port, what, count = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
unit = 1 if sys.platform == "darwin" else 1024
options = dict(connect_timeout=20, command_timeout=float(sys.argv[5]))

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

async def read_aio():
    async with aio.connect("127.0.0.1", port, **options) as fs:
        if what == "ask":
            await fs.api("status")
        seen = 0
        async for message in fs.messages():
            seen += 1
            if seen == count:
                return seen

def read_sync():
    with eslcodec.connect("127.0.0.1", port, **options) as fs:
        if what == "ask":
            fs.api("status")
        for seen, message in enumerate(fs.messages(), 1):
            if seen == count:
                return seen

def read_esl():
    con = ESL.ESLconnection("127.0.0.1", str(port), "ClueCon")
    if what == "ask":
        con.api("status")
    seen = 0
    while con.connected() and seen < count:
        seen += con.recvEvent().getType() != "SERVER_DISCONNECTED"
    con.disconnect()
    return seen

async def within():
    return await asyncio.wait_for(read_aio(), 100 + count / 1000)

before = peak()
try:
    result = asyncio.run(within()) if client == "aio" else read_sync() if client == "sync" else read_esl()
except eslcodec.ESLError as error:
    result = type(error).__name__
print(result, peak() - before)
"""
MANY = {"sync": 1_000_000, "aio": 300_000, "ESL": 20_000}  # a few seconds of the compiled core; of the other a tenth
ALIVE: dict[str, tuple[str, list[Act], Any, int]] = {  # what the client does, acts, result, bytes
    "tiny frames that are read": ("read", [flood(TINY)], None, 40 << 20),
    "tiny frames instead of an answer": ("ask", [hear, flood(TINY)], "EventQueueFull", 80 << 20),
    "giant events instead of an answer": ("ask", [hear, flood(GIANT)], "EventQueueFull", 80 << 20),
    "line ends without end": ("ask", [hear, flood(b"\n")], "CommandTimeout", 20 << 20),
    "headers without end": ("ask", [hear, flood(b"A: b\n")], "HeaderTooLarge", 20 << 20),
    "a body that is announced and never comes": (
        "ask",
        [hear, b"Content-Length: 16000000\n\nx", stay],
        "CommandTimeout",
        10 << 20,
    ),
}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc: what the peak says differs there")
@pytest.mark.skipif(FOREIGN_MALLOC, reason="under a foreign malloc memory that is freed does not come back")
@pytest.mark.timeout(120 + 10 * FACTOR)
@pytest.mark.parametrize("client", ["sync", "aio", "ESL"])
@pytest.mark.parametrize("way", ALIVE)
def test_memory_stays_small(esl, client, way):
    what, acts, result, bound = ALIVE[way]
    if client == "ESL" and result in ("CommandTimeout", "EventQueueFull"):
        pytest.skip("it has no time limits; its own bound is tested above")
    patience = "1" if result == "CommandTimeout" else "60"
    count = min(1_000_000, int(MANY[client] // (1 if esl.__impl__ == "c" else 20) * HEAVY))
    with Hostile(*LOGIN, *acts) as peer:
        done = subprocess.run(
            [sys.executable, "-c", CLIENT, client, str(peer.port), what, str(count), patience],
            cwd="/",  # with -c the folder comes first where modules are looked for: not the checkout
            capture_output=True,
            text=True,
            env={**os.environ, "ESLCODEC_IMPL": esl.__impl__},
            timeout=110 + 10 * FACTOR,
        )
    assert done.returncode == 0, done.stderr
    came, grown = done.stdout.split()
    assert came == (str(count) if result is None else "0" if client == "ESL" else result)
    assert int(grown) < bound


# Secrets

SECRET = "hunter2-is-my-password"
FAILURES: dict[str, list[Act]] = {
    "wrong password": [AUTH, hear, reply(b"-ERR invalid"), stay],
    **{name: ENDS[name][0] for name in ("closes after the password", "zeros", "drips the greeting", "never answers")},
    "echoes": [AUTH, lambda sock: sock.sendall(frame(b"Content-Type: x", hear(sock)) + b"Content-Length: x\n\n"), stay],
    "refuses": [REJECTED],
    "half an answer": ENDS["half an answer"][0],
}


WAYS = [*((way, None) for way in FAILURES), ("wrong password", "ops@example.org"), ("echoes", "ops@example.org")]


def told(error: BaseException) -> str:
    """Everything that is shown of an exception: its text, its repr, its traceback with every cause."""
    return "".join([str(error), repr(error), *traceback.format_exception(type(error), error, error.__traceback__)])


@pytest.mark.parametrize(("way", "user"), WAYS)
def test_no_failure_of_the_blocking_client_tells_the_password(esl, caplog, capfd, way, user):
    caplog.set_level(logging.DEBUG)
    with Hostile(*FAILURES[way]) as peer:
        error = ask(esl, "sync", peer.port, password=SECRET, user=user, **SHORT, **SHORT_LOGIN)
    out, err = capfd.readouterr()
    assert isinstance(error, esl.ESLError)
    assert SECRET not in told(error) + caplog.text + out + err


@pytest.mark.parametrize(("way", "user"), WAYS)
def test_no_failure_of_the_asyncio_client_tells_the_password(esl, caplog, capfd, way, user):
    """Not in asyncio's debug mode either."""
    caplog.set_level(logging.DEBUG)
    aio = part(esl, "aio")
    shown: list[str] = []

    async def main(port: int) -> None:
        opening = aio.connect(HOST, port, password=SECRET, user=user, **SHORT, **SHORT_LOGIN)
        shown.append(repr(opening))
        task = asyncio.ensure_future(opening.__aenter__())
        shown.append(repr(task))
        try:
            fs = await task
        except esl.ESLError as error:
            shown.append(told(error))
        else:
            shown.append(repr(fs) + repr(vars(fs)) + repr(vars(fs._link)) + repr(vars(fs.connection)))
            with pytest.raises(esl.ESLError) as caught:
                await fs.api("status")
            shown.append(told(caught.value))
            await fs.close()
        shown.append(repr(task) + repr(asyncio.all_tasks()))

    with Hostile(*FAILURES[way]) as peer:
        asyncio.run(main(peer.port), debug=True)
    out, err = capfd.readouterr()
    assert len(shown) >= 4
    assert SECRET not in "".join(shown) + caplog.text + out + err


@pytest.mark.parametrize("names", [(SECRET,), ("ops@example.org", SECRET)])
@pytest.mark.parametrize("way", FAILURES)
def test_the_official_module_logs_no_password_at_its_last_level(esl, capfd, monkeypatch, way, names):
    if way in ("drips the greeting", "never answers"):
        pytest.skip("without time limits")
    ESL = part(esl, "ESL")
    monkeypatch.setattr(part(esl, "_esl.settings"), "log_level", 7)
    acts = FAILURES[way] if way != "echoes" else [AUTH, hear, reply(b"-ERR invalid"), stay]  # what comes is logged
    with Hostile(*acts) as peer:
        con = ESL.ESLconnection(HOST, str(peer.port), *names)
        shown = repr(con)
        con.api("status")
        con.disconnect()
    out, err = capfd.readouterr()
    assert "] link.py:" in err
    assert SECRET not in shown + out + err


@pytest.mark.parametrize("command", [f"auth {SECRET}", f"AUTH {SECRET}\n\n", f"userauth ops@x:{SECRET}"])
def test_a_login_of_ones_own_is_not_told_either(esl, capfd, monkeypatch, command):
    ESL = part(esl, "ESL")
    monkeypatch.setattr(part(esl, "_esl.settings"), "log_level", 7)
    with Hostile(*LOGIN, hear, reply(b"-ERR no"), stay) as peer:
        con = ESL.ESLconnection(HOST, str(peer.port), "x")
        assert con.sendRecv(command).getHeader("Reply-Text") == "-ERR no"
        con.disconnect()
    err = capfd.readouterr().err
    assert f"SEND {re.match('[a-zA-Z]+', command)[0]} ***" in err
    assert SECRET not in err
    with Hostile(*LOGIN, stay) as peer, esl.connect(HOST, peer.port) as fs:
        with pytest.raises(esl.CommandTimeout) as caught:
            fs.send(command, timeout=0.1)
        assert str(caught.value) == f"waited 0.1 s for the answer to '{command.split()[0]}'"
        with pytest.raises(esl.InvalidCommand) as refused:
            fs.send(command + "\r")
    assert SECRET not in told(caught.value) + told(refused.value)


@pytest.mark.parametrize("client", ["sync", "aio"])
@pytest.mark.parametrize("wrong", [SECRET + "\n", SECRET + "\r", SECRET + "\0", SECRET + "\ud800", SECRET * 500_000])
def test_a_password_that_cannot_be_sent_is_not_told(esl, client, wrong):
    with Hostile() as peer:
        error = ask(esl, client, peer.port, password=wrong)
        errors = [error, ask(esl, client, peer.port, password=wrong, user="ops@example.org")]
    assert [type(error) for error in errors] == [esl.InvalidCommand] * 2
    assert not [error for error in errors if SECRET in told(error)]


def test_reconnecting_tells_no_password(esl, caplog):
    caplog.set_level(logging.DEBUG)
    backoff = esl.Backoff(first=0.01, longest=0.01, attempts=3)
    with Emulator(password=SECRET) as switch:
        fs = esl.connect(HOST, switch.port, password=SECRET, reconnect=backoff)
        shown = [repr(backoff), repr(fs), repr(vars(fs)), repr(vars(fs._link)), repr(vars(fs.connection))]
        fs.subscribe("ALL")
    with fs, pytest.raises(esl.ConnectionClosed) as caught:
        list(fs.events())
    shown += [repr(fs), told(caught.value)]
    assert caplog.text.count("cannot connect to") == 3
    assert SECRET not in "".join(shown) + caplog.text


def test_the_emulator_tells_no_password(esl):
    users = {"ops@example.org": User(SECRET, api="status")}
    assert repr(users) == "{'ops@example.org': User(events='all', api='status', log=True)}"
    with Emulator(password=SECRET, users=users) as switch:
        with esl.connect(HOST, switch.port, password=SECRET) as fs:
            fs.api("status")
        with esl.connect(HOST, switch.port, user="ops@example.org", password=SECRET):
            pass
        switch.wait_for(lambda: len(switch.commands) == 3)
        with pytest.raises(TimeoutError) as caught:
            switch.wait_for(lambda: False, 0.01)
        shown = [repr(switch), told(caught.value), repr(switch.listeners), repr(switch.add_session("u-1"))]
    assert str(caught.value).splitlines()[1:] == ["  'auth ***'", "  'api status'", "  'userauth ***'"]
    assert SECRET not in "".join(shown)
