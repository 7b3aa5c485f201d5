"""A peer that means harm, or is broken: every client ends in a typed error, in time, and with little memory.

The peer is that of hostile_support.py. What every test of clients has already, such as a switch that never greets or
that ends at any byte, is in their own files.

ESLCODEC_TEST_EXAMPLES=50 makes it a million tiny frames through each client.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hostile_support import (
    ENDS,
    EVENT,
    HOST,
    LOGIN,
    NO_END,
    NO_LOGIN,
    SECONDS,
    UNFINISHED,
    Act,
    Hostile,
    ask,
    drip,
    flood,
    hear,
    play,
    stay,
)
from sizes import FACTOR, HEAVY
from support import ACCEPTED, AUTH, OK, REJECTED, api_response, part, plain, reply, until

FOREIGN_MALLOC = os.environ.get("PYTHONMALLOC") == "malloc"  # sanitizers keep what is freed: memory says nothing then

TINY = b"Content-Type: x\n\n"
GIANT = plain(b"Event-Name: HEARTBEAT\nContent-Length: 1000000\n\n" + b"x" * 1_000_000)
CONNECTED = (
    b"Event-Name: CHANNEL_DATA\nUnique-ID: u-1\nContent-Type: command/reply\n"
    b"Reply-Text: %2BOK%0A\nSocket-Mode: async\nControl: full\n\n"
)

pytestmark = pytest.mark.heavy

# The clients that time out


@pytest.mark.parametrize("client", ["sync", "aio"])
@pytest.mark.parametrize("way", ENDS)
def test_every_way_ends_in_its_error(esl: ModuleType, client: str, way: Any) -> None:
    acts, options, kind, text = ENDS[way]
    with Hostile(*acts) as peer:
        error = ask(esl, client, peer.port, **options)
    assert type(error) is getattr(esl, kind), repr(error)
    where = f"{HOST}:{peer.port}"
    said = str(error).removeprefix(f"{where} refused our address: ").replace(f"the login at {where}", "the login")
    assert re.fullmatch(text, said), str(error)


@pytest.mark.parametrize("client", ["sync", "aio"])
def test_the_password_is_sent_once_however_often_it_is_asked_for(esl: ModuleType, client: str) -> None:
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
def test_the_official_module_is_not_connected_any_more(esl: ModuleType, way: Any) -> None:
    ESL = part(esl, "ESL")
    with Hostile(*DEAD[way]) as peer:
        con = ESL.ESLconnection(HOST, str(peer.port), "secret")
        replies = [con.api("status") for _ in range(2)]
        assert (replies[-1], con.connected(), con.recvEvent().getType()) == (None, 0, "SERVER_DISCONNECTED")
        assert con.recvEventTimed(1) is None
        con.disconnect()


@pytest.mark.parametrize("act", [flood(b"\n"), drip(EVENT), stay], ids=["line ends", "drip", "silence"])
def test_the_official_module_waits_until_another_thread_ends_it(esl: ModuleType, act: Any) -> None:
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


def test_the_official_module_keeps_so_many_frames_while_it_waits(
    esl: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    "drips": ([hear, drip(CONNECTED)], r"waited 2\.5 s for the login" + UNFINISHED),
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
def test_a_caller_that_is_no_switch_is_turned_away_and_the_next_is_served(
    esl: ModuleType, caplog: pytest.LogCaptureFixture, client: str, way: Any
) -> None:
    acts, text = CALLERS[way]
    calls: list[str] = []
    short = re.match(r"waited (\d\\.\d) s", text)
    options: dict[str, Any] = {"first_frame_timeout": float(short[1].replace("\\", "")) if short else 20}
    options |= {"queue_limit": 100, "queue_hard_limit": 100} if "messages" in text else {}
    with serving(esl, client, lambda call: calls.append(call.uuid), **options) as server:
        play(socket.create_connection((HOST, server.port)), acts)
        until(lambda: server.calls == 0)
        assert calls == []
        server._first_frame_timeout = 20  # a busy machine has time to be a switch
        play(socket.create_connection((HOST, server.port)), [hear, CONNECTED, stay])
        until(lambda: calls)
        until(lambda: server.calls == 0)
    assert calls == ["u-1"]
    messages = [record.getMessage() for record in caplog.records if record.name.startswith("eslcodec")]
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
def test_memory_stays_small(esl: ModuleType, client: str, way: Any) -> None:
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
