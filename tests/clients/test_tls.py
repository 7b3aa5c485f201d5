"""TLS and sockets that are connected already, for both shells, through a real TLS proxy in front of the emulator."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from types import ModuleType
from typing import Any

import pytest
from interrupt_support import Interrupt, raise_at
from reconnect_support import quick
from reconnect_support import shell as shell
from shells import HOST, PATIENCE, Shell, until

trustme = pytest.importorskip("trustme", reason="trustme is not installed")

BIG = 300_000
SMALL = 600


class Proxy:
    """Takes TLS connections and carries them on to a port, byte by byte as they come."""

    def __init__(self, context: ssl.SSLContext, target: int) -> None:
        self._target = target
        self._writers: list[asyncio.StreamWriter] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._carry, HOST, 0, ssl=context))
        self.port: int = self._server.sockets[0].getsockname()[1]

    def drop(self) -> None:
        """End the connections that there are, without TLS's good-bye."""
        self._run(self._drop())

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        self.drop()
        self._run(asyncio.sleep(0))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    def _run(self, doing: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(doing, self._loop).result(PATIENCE)

    async def _drop(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(HOST, self._target)
        self._writers += [writer, back]
        await asyncio.gather(self._pump(reader, back), self._pump(there, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, ssl.SSLError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.close()


@pytest.fixture(scope="module")
def authority() -> Any:
    return trustme.CA()


@pytest.fixture(scope="module")
def trusting(authority: Any) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
def emulated(esl: ModuleType) -> Iterator[Any]:
    from eslcodec.emulator import Emulator

    with Emulator() as switch:
        yield switch


@pytest.fixture(scope="module")
def accepting(authority: Any) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(HOST).configure_cert(context)
    return context


@pytest.fixture
def proxy(accepting: ssl.SSLContext, emulated: Any) -> Iterator[Proxy]:
    proxy = Proxy(accepting, emulated.port)
    yield proxy
    proxy.close()


def connects(shell: Shell, port: int, **options: Any) -> Any:
    shell.client = shell.opening(port, **options).result(PATIENCE)
    return shell.client


def taken(shell: Shell, count: int) -> list[Any]:
    events: list[Any] = []
    while len(events) < count:
        came = shell.do("take", 100_000, timeout=PATIENCE)
        assert came, f"{len(events)} of {count} came"
        events += came
    return events


def test_many_small_events_and_big_ones_come_through(
    shell: Shell, proxy: Proxy, emulated: Any, trusting: ssl.SSLContext
) -> None:
    connects(shell, proxy.port, ssl=trusting)
    shell.do("subscribe", "DTMF")
    for number in range(SMALL):
        emulated.fire("DTMF", {"N": str(number)})
    for number in range(3):
        emulated.fire("DTMF", {"N": str(SMALL + number)}, "x" * BIG)
    assert shell.do("api", "echo", "between").text == "between"
    emulated.fire("DTMF", {"N": str(SMALL + 3)})
    events = taken(shell, SMALL + 4)
    assert [event["N"] for event in events] == [str(number) for number in range(SMALL + 4)]
    assert [len(event.body or b"") for event in events[-4:]] == [BIG, BIG, BIG, 0]
    replies = shell.do("pipeline", [f"api echo {number} {'y' * 1000}" for number in range(300)])
    assert [reply.text.partition(" ")[0] for reply in replies] == [str(number) for number in range(300)]


def test_a_connection_that_is_lost_is_set_up_again(
    shell: Shell, proxy: Proxy, emulated: Any, trusting: ssl.SSLContext
) -> None:
    client = connects(shell, proxy.port, ssl=trusting, reconnect=quick(shell.esl), keepalive=3)
    shell.do("subscribe", "DTMF")
    emulated.fire("DTMF", {"N": "1"})
    assert shell.event()["N"] == "1"
    gap = shell.begin("next_event", PATIENCE)
    until(lambda: any("Eslcodec-Probe" in command for command in emulated.commands))
    proxy.drop()
    assert type(gap.result(PATIENCE)).__name__ == "Gap"
    assert shell.do("api", "echo", "again").text == "again"
    emulated.fire("DTMF", {"N": "2"})
    assert shell.event()["N"] == "2"
    assert client.stats().reconnects == 1


def test_it_is_read_while_nobody_reads_and_a_tap_hears_what_was_decrypted(
    shell: Shell, proxy: Proxy, emulated: Any, trusting: ssl.SSLContext
) -> None:
    class Tap:
        received_bytes = b""

        def opened(self, peer: Any) -> None: ...
        def sent(self, data: Any) -> None: ...
        def closed(self, reason: str) -> None: ...
        def received(self, data: Any) -> None:
            self.received_bytes += bytes(data)

    tap = Tap()
    client = connects(shell, proxy.port, ssl=trusting, tap=tap)
    shell.do("subscribe", "DTMF")
    for number in range(300):
        emulated.fire("DTMF", {"N": str(number)})
    until(lambda: client.stats().queued == 300)
    assert tap.received_bytes.startswith(b"Content-Type: auth/request\n\n")
    assert tap.received_bytes.count(b"Event-Name: DTMF") == 300


def test_a_certificate_that_is_not_the_right_one(shell: Shell, proxy: Proxy, trusting: ssl.SSLContext) -> None:
    with pytest.raises(
        ssl.SSLCertVerificationError, match=rf"cannot connect to 127.0.0.1:{proxy.port}: .*verify failed"
    ):
        connects(shell, proxy.port, ssl=True)
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch") as caught:
        connects(shell, proxy.port, ssl=trusting, server_hostname="other.example")
    assert (caught.value.verify_code, caught.value.reason) == (62, "CERTIFICATE_VERIFY_FAILED")


def test_a_switch_without_tls_is_told_apart(shell: Shell, emulated: Any, trusting: ssl.SSLContext) -> None:
    with pytest.raises(OSError, match=f"127.0.0.1:{emulated.port}"):
        connects(shell, emulated.port, ssl=trusting)


def test_a_socket_that_is_connected_already(
    shell: Shell, proxy: Proxy, emulated: Any, trusting: ssl.SSLContext
) -> None:
    sock = socket.create_connection((HOST, emulated.port))
    begun = shell._start(shell._module.connect, sock=sock)
    shell.client = begun.result(PATIENCE)
    assert (shell.client.host, shell.client.port) == (HOST, emulated.port)
    assert shell.do("api", "echo", "here").text == "here"
    shell.do("close")
    sock = socket.create_connection((HOST, proxy.port))
    shell.client = shell._start(shell._module.connect, sock=sock, ssl=trusting, server_hostname=HOST).result(PATIENCE)
    assert shell.do("api", "echo", "there").text == "there"


def test_an_interruption_loses_nothing_unless_the_reading_ends(
    accepting: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    steps = 0
    for step in range(1, 200):
        steps, where = step, interrupted_reading(accepting, trusting, step)
        if not where:
            break
    assert 20 < steps < 199


@contextmanager
def layered(context: ssl.SSLContext, trusting: ssl.SSLContext) -> Iterator[tuple[Any, Any, Any, socket.socket]]:
    """A connection's record layer, its two faces, and the TLS socket at the other end."""
    from eslcodec.sync import _tls

    ours, theirs = socket.socketpair()
    with ThreadPoolExecutor(1) as server, ours, theirs:
        accepted = server.submit(context.wrap_socket, theirs, True)
        layer = _tls.Tls(trusting, HOST)
        layer.shake_hands(ours, PATIENCE)
        face = _tls.TlsSocket(ours, layer)
        with closing(face), closing(face.dup()) as sender, accepted.result(PATIENCE) as peer:
            sender.setblocking(False)
            yield layer, face, sender, peer


def interrupted_reading(context: ssl.SSLContext, trusting: ssl.SSLContext, step: int) -> list[str]:
    """Something is looked at, then read, and at the `step`th line an exception comes from outside; where that was."""
    from eslcodec.sync import _tls

    room, got, lost = bytearray(9), b"", ""
    with layered(context, trusting) as (_, face, sender, peer):
        peer.sendall(b"some")
        trace, where = raise_at(step, str(_tls.__file__))
        earlier = sys.gettrace()
        sys.settrace(trace)
        try:
            with suppress(Interrupt):
                sender.recv(1, socket.MSG_PEEK)
                got = bytes(room[: face.recv_into(room)])
        finally:
            sys.settrace(earlier)
        peer.sendall(b"thing")
        try:
            while not face.unsure and len(got) < 9:
                got += bytes(room[: face.recv_into(room)])
        except ConnectionAbortedError as error:
            lost = str(error)
        assert face.unsure or lost == "interrupted while bytes were received" or got == b"something", where
    return where


def test_what_one_thread_waits_for_another_does_not_take(accepting: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    with layered(accepting, trusting) as (layer, _, sender, peer):
        assert layer.decrypted_or_awaited(bytearray(9)) is None
        peer.sendall(b"some")
        with pytest.raises(BlockingIOError):
            sender.recv(1, socket.MSG_PEEK)
        layer.arrived()
        assert sender.recv(1, socket.MSG_PEEK) == b"s"


def test_what_is_no_tls_is_told_by_every_look(accepting: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    with layered(accepting, trusting) as (_, face, sender, peer):
        with socket.socket(fileno=os.dup(peer.fileno())) as bare:
            bare.sendall(b"Content-Type: command/reply\n\n")
        for read in (lambda: sender.recv(1, socket.MSG_PEEK), lambda: face.recv_into(bytearray(9))):
            with pytest.raises(ssl.SSLError):
                read()


def test_options_that_do_not_go_together(esl: ModuleType) -> None:
    for options, error, said in (
        ({"ssl": "yes"}, TypeError, "expected True, False or an SSLContext"),
        ({"server_hostname": "a"}, ValueError, "which is for ssl"),
        ({"sock": 5}, TypeError, "expected a plain socket that is connected"),
        ({"sock": True, "host": "a"}, ValueError, "expected one or the other"),
        ({"sock": True, "reconnect": True}, ValueError, "a socket cannot be connected again"),
        ({"sock": True, "ssl": True}, ValueError, "expected server_hostname too"),
        ({"sock": socket.socket(type=socket.SOCK_DGRAM)}, ValueError, "expected a stream, such as TCP"),
        ({"sock": socket.socket()}, OSError, "sock is to be a socket that is connected"),
    ):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            given = {**options, "sock": ours} if options.get("sock") is True else options
            with pytest.raises(error, match=said):
                esl.connect(**given)
            sock = options.get("sock")
            if isinstance(sock, socket.socket):
                sock.close()
