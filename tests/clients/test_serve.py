"""Servers: full, closed, on sockets that others made. One suite for both."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from types import ModuleType
from typing import Any

import pytest
from shells import HOST, PATIENCE, Peer, until
from support import part

from eslcodec.emulator import EmulatedCall, Emulator, Run

MODES = ["async full", "async", "full", ""]
HANGUP = "sendmsg\ncall-command: hangup\nhangup-cause: NORMAL_CLEARING"
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux is known to do so")
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")


class WithoutReaders(asyncio.SelectorEventLoop):
    """As the default loop of Windows, which cannot watch sockets."""

    def add_reader(self, *_: Any) -> Any:
        raise NotImplementedError

    add_writer = add_reader


def new_loop(kind: str) -> asyncio.AbstractEventLoop:
    if kind == "uvloop":
        loop: asyncio.AbstractEventLoop = pytest.importorskip("uvloop").new_event_loop()
        return loop
    return WithoutReaders()


class House:
    """A server behind blocking methods, whichever it is. Its handler does its work, then waits until it may go."""

    def __init__(self, esl: ModuleType, kind: str) -> None:
        self.esl = esl
        self.kind = kind
        self.server: Any = None
        self.calls: list[Any] = []
        self.ended: list[BaseException | None] = []
        self.work: list[tuple[Any, ...]] = []  # (verb, arguments ...) of a call
        self._threads = ThreadPoolExecutor(8)
        self._loop = None if kind == "sync" else new_loop(kind)
        if self._loop is not None:
            self._runner = threading.Thread(target=self._loop.run_forever)
            self._runner.start()
        self.close_gate()

    def close_gate(self) -> None:
        """Calls wait from now on."""
        self._gate: Any = threading.Event() if self._loop is None else asyncio.Event()

    def open_gate(self) -> None:
        """Those that wait may go."""
        if self._loop is None:
            self._gate.set()
        else:
            self._loop.call_soon_threadsafe(self._gate.set)

    def opens(self, **options: Any) -> Any:
        handler = self._sync_handler if self._loop is None else self._aio_handler
        module = self.esl.sync if self._loop is None else part(self.esl, "aio")
        self.server = self._start(module.serve, handler, **options).result(PATIENCE)
        return self.server

    def closes(self, *arguments: Any, **options: Any) -> Future[Any]:
        return self._start(self.server.close, *arguments, **options)

    def close(self, *arguments: Any, **options: Any) -> None:
        self.closes(*arguments, **options).result(PATIENCE)

    def serves_for_ever(self) -> Future[Any]:
        return self._start(self.server.serve_forever)

    def demolish(self) -> None:
        """Close everything; nothing may be left."""
        self.open_gate()
        try:
            if self.server is not None:
                self.close()
            if self._loop is not None:
                asyncio.run_coroutine_threadsafe(self._nothing_left(), self._loop).result(PATIENCE)
        finally:
            self._threads.shutdown()
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._runner.join(PATIENCE)
                self._loop.close()
        until(lambda: not [one for one in threading.enumerate() if re.match("eslcodec-(serve|call)-", one.name)])

    async def _nothing_left(self) -> None:
        while asyncio.all_tasks() != {asyncio.current_task()}:
            await asyncio.sleep(0)

    def _sync_handler(self, call: Any) -> None:
        self.calls.append(call)
        gate = self._gate
        try:
            for verb, *arguments in self.work:
                options = arguments.pop() if arguments and isinstance(arguments[-1], dict) else {}
                getattr(call, verb)(*arguments, **options)
            gate.wait(PATIENCE)
        except BaseException as error:
            self.ended.append(error)
            raise
        self.ended.append(None)

    async def _aio_handler(self, call: Any) -> None:
        self.calls.append(call)
        gate = self._gate
        try:
            for verb, *arguments in self.work:
                options = arguments.pop() if arguments and isinstance(arguments[-1], dict) else {}
                await getattr(call, verb)(*arguments, **options)
            await gate.wait()
        except BaseException as error:
            self.ended.append(error)
            raise
        self.ended.append(None)

    def _start(self, verb: Callable[..., Any], *arguments: Any, **options: Any) -> Future[Any]:
        if self._loop is None:
            return self._threads.submit(verb, *arguments, **options)

        async def whole() -> Any:
            return await verb(*arguments, **options)

        return asyncio.run_coroutine_threadsafe(whole(), self._loop)


KINDS = ["sync", "aio", "uvloop"]


@pytest.fixture(params=KINDS)
def house(esl: ModuleType, request: pytest.FixtureRequest) -> Iterator[House]:
    if request.param == "uvloop":
        pytest.importorskip("uvloop")
    before = sockets()
    house = House(esl, request.param)
    yield house
    house.demolish()
    until(lambda: sockets() <= before)


def sockets() -> int:
    """How many are open, where that can be seen."""
    count = 0
    with suppress(FileNotFoundError):
        for number in os.listdir("/proc/self/fd"):
            with suppress(FileNotFoundError):
                count += os.readlink(f"/proc/self/fd/{number}").startswith("socket:")
    return count


@pytest.fixture
def switch(house: House) -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator
        house.open_gate()
        if house.server is not None:
            house.close()


def rings(switch: Emulator, *ports: int, mode: str = "async full") -> EmulatedCall:
    """As the switch does: the next host is tried if this one refuses the connection, and in no other case."""
    for port in ports:
        with suppress(ConnectionRefusedError):
            return switch.dial(HOST, port, mode=mode)
    raise AssertionError("nobody is there")


def is_sent_on(call: EmulatedCall, mode: str) -> None:
    """It goes on in the dialplan, at whose end the emulator hangs up."""
    call.wait(PATIENCE)
    until(lambda: call.hangup_cause == "NORMAL_CLEARING")
    assert call.commands == (["connect", "resume", "exit"] if "async" in mode else ["connect"])


def refuses(port: int) -> bool:
    """Whether the kernel does."""
    try:
        socket.create_connection((HOST, port)).close()
    except ConnectionRefusedError:
        return True
    return False


def messages(caplog: pytest.LogCaptureFixture, level: int = logging.WARNING) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.name == "eslcodec" and one.levelno >= level]


def connected(mode: bytes) -> bytes:
    """The answer to `connect`."""
    return (
        b"Event-Name: CHANNEL_DATA\nUnique-ID: u-1\nContent-Type: command/reply\nReply-Text: %%2BOK%%0A\n"
        b"Socket-Mode: %b\nControl: full\n\n" % mode
    )


class Held:
    """Servers that accept nobody until they may: who connects waits in the kernel."""

    def __init__(self, esl: ModuleType, patch: pytest.MonkeyPatch) -> None:
        self.holds = False
        self.tried = threading.Event()
        self._go = threading.Event()
        door = part(esl, "_door").Door
        accept = door.accept

        def held(door: Any) -> Any:
            if self.holds:
                self.tried.set()
                assert self._go.wait(PATIENCE)
            return accept(door)

        patch.setattr(door, "accept", held)

    def hold(self, port: int) -> Peer:
        """From the next connection on, which is made here."""
        self.holds = True
        first = Peer(socket.create_connection((HOST, port)))
        assert self.tried.wait(PATIENCE)
        return first

    def let(self) -> None:
        self.holds = False
        self._go.set()


@pytest.fixture
def held(esl: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    held = Held(esl, monkeypatch)
    yield held
    held.let()


# Full


def test_the_second_host_is_tried_when_the_first_is_full(esl: ModuleType, house: House, switch: Emulator) -> None:
    first = house.opens(max_calls=2)
    port = first.port
    with esl.serve(lambda call: call.hangup("USER_BUSY")) as second:
        there = [rings(switch, port, second.port) for _ in range(2)]
        until(lambda: len(house.calls) == 2 and not first.listening)
        assert repr(first) == f"<Server on {HOST}:{port}: 2 calls, full>"
        elsewhere = rings(switch, port, second.port)
        assert elsewhere.wait(PATIENCE) == "USER_BUSY"
        assert not any(call.over for call in there)
        house.open_gate()
        until(lambda: first.listening and not first.calls)
        assert (first.port, first.refused) == (port, 0)
        house.close_gate()
        again = rings(switch, port, second.port)
        until(lambda: len(house.calls) == 3)
        assert house.calls[-1].uuid == again.uuid


def test_the_port_stays_though_it_was_any(house: House, switch: Emulator) -> None:
    server = house.opens(port=0, max_calls=1)
    port = server.port
    for number in range(20):
        house.close_gate()
        call = rings(switch, port)
        until(lambda number=number: len(house.calls) == number + 1 and not server.listening)
        assert refuses(port)
        house.open_gate()
        call.wait(PATIENCE)
        until(lambda: server.listening)
        assert server.port == port


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
@pytest.mark.parametrize("host", ["::1", "localhost", ""])
def test_every_kind_of_address_can_be_taken_again(house: House, host: str) -> None:
    with suppress(OSError):
        server = house.opens(host=host, max_calls=1)
    if house.server is None:
        pytest.skip("no IPv6 here")
    there = (server.host if host else HOST, server.port)
    for _ in range(3):
        house.close_gate()
        peer = Peer(socket.create_connection(there))
        peer.answers(b"connect", connected(b"async"))
        until(lambda: not server.listening)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(there)
        house.open_gate()
        assert peer.command() == b""
        peer.close()
        until(lambda: server.listening)
    assert re.fullmatch(r"::1|127\.0\.0\.1|0\.0\.0\.0", server.host)


def test_calls_that_come_and_go_all_end(house: House, switch: Emulator) -> None:
    """Each is served, or sent on, or refused by the kernel; none is left to ring."""
    server = house.opens(max_calls=3)
    house.work = [("set", "mine", "yes", {"wait": True}), ("hangup",)]
    house.open_gate()
    calls: list[EmulatedCall] = []
    refused = 0
    while len(calls) < 150:
        try:
            calls.append(switch.dial(HOST, server.port))
        except (ConnectionRefusedError, ConnectionResetError):
            refused += 1
    for call in calls:
        call.wait(PATIENCE)
    until(lambda: server.listening and not server.calls)
    assert len(house.calls) + server.refused <= len(calls)  # some broke between
    assert len(house.calls) > 10


@pytest.mark.parametrize("mode", MODES)
def test_who_waits_when_it_gets_full_is_sent_on(
    house: House, switch: Emulator, held: Held, caplog: pytest.LogCaptureFixture, mode: str
) -> None:
    server = house.opens(max_calls=1)
    first = held.hold(server.port)
    calls = [switch.dial(HOST, server.port, mode=mode) for _ in range(5)]
    held.let()
    first.answers(b"connect", connected(b"async"))
    for call in calls:
        is_sent_on(call, mode)
    until(lambda: not server.listening)
    assert (server.calls, server.refused) == (1, 5)
    assert refuses(server.port)
    first.close()
    pattern = rf"a call from {re.escape(HOST)}:\d+ was refused: 1 are running"
    assert [bool(re.fullmatch(pattern, text)) for text in messages(caplog)] == [True] * 5 + [False]
    assert messages(caplog)[5] == "1 calls run, which is all: others are refused until one ends"


def test_hundreds_wait_when_it_gets_full(house: House, switch: Emulator, held: Held) -> None:
    allow_descriptors(2048)
    server = house.opens(max_calls=3)
    peers = [held.hold(server.port)]
    peers += [Peer(socket.create_connection((HOST, server.port))) for _ in range(2)]
    calls = [switch.dial(HOST, server.port) for _ in range(400)]
    held.let()
    for peer in peers:
        peer.answers(b"connect", connected(b"async"))
    for call in calls:
        is_sent_on(call, "async")
    until(lambda: not server.listening and len(house.calls) == 3)
    assert (server.calls, server.refused) == (3, 400)
    assert refuses(server.port)
    for peer in peers:
        peer.close()


def allow_descriptors(count: int) -> None:
    """Some systems give a process 256."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < count:
            resource.setrlimit(resource.RLIMIT_NOFILE, (count if hard < 0 else min(count, hard), hard))


def test_only_so_many_are_sent_on_at_a_time(
    esl: ModuleType, house: House, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part(esl, "limits"), "REFUSALS", 4)
    monkeypatch.setattr(part(esl, "limits"), "REFUSAL_SECONDS", PATIENCE)
    server = house.opens(max_calls=1)
    peers = [held.hold(server.port)]
    peers += [Peer(socket.create_connection((HOST, server.port))) for _ in range(9)]
    held.let()
    until(lambda: server.refused == 4)
    for peer in peers[1:5]:
        assert peer.command() == b"connect"
    assert server.listening  # five more wait
    for done, peer in enumerate(peers[1:], 1):
        if done > 4:
            assert peer.command() == b"connect"
        peer.sends(connected(b"static"))
        assert peer.command() == b""  # closed
        until(lambda done=done: server.refused == min(done + 4, 9))
    until(lambda: not server.listening)
    for peer in peers:
        peer.close()


def test_who_does_not_answer_keeps_nobody_waiting(
    esl: ModuleType, house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(part(esl, "limits"), "REFUSAL_SECONDS", PATIENCE)
    with socket.create_server((HOST, 0)) as listener:
        server = house.opens(sock=listener, max_calls=1)
        running = Peer(socket.create_connection((HOST, server.port)))
        running.answers(b"connect", connected(b"async"))
        until(lambda: house.calls)
        silent = [Peer(socket.create_connection((HOST, server.port))) for _ in range(5)]
        for peer in silent:
            assert peer.command() == b"connect"
        polite = Peer(socket.create_connection((HOST, server.port)))
        polite.answers(b"connect", connected(b"static"))
        assert polite.command() == b""
        running.close()
        house.open_gate()
        until(lambda: not server.calls)
        for _ in range(3):
            served = Peer(socket.create_connection((HOST, server.port)))
            served.answers(b"connect", connected(b"async"))
            assert served.command() == b""
            served.close()
            until(lambda: not server.calls)
        assert len(house.calls) == 4
        house.close(timeout=0)
        for peer in (*silent, polite):
            assert peer.command() == b""
            peer.close()


@pytest.mark.parametrize("sent", [b"", b"Content-Type: command/re", connected(b"async")])
def test_sending_on_takes_a_short_time_only(
    esl: ModuleType, house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    monkeypatch.setattr(part(esl, "limits"), "REFUSAL_SECONDS", 0.1)
    with socket.create_server((HOST, 0)) as listener:
        server = house.opens(sock=listener, max_calls=1)
        running = Peer(socket.create_connection((HOST, server.port)))
        running.answers(b"connect", connected(b"async"))
        silent = Peer(socket.create_connection((HOST, server.port)))
        silent.answers(b"connect", sent)
        while silent.command():
            pass
        until(lambda: len(messages(caplog)) == 2)
        text = "was refused without being sent on: sending it on took more than 0.1 s"
        assert messages(caplog)[1].endswith(text)
        for peer in (running, silent):
            peer.close()


@pytest.mark.parametrize("sent", [b"", b"Content-Length: x\n\n", b"Content-Type: command/reply\nReply-Text: -ERR\n\n"])
def test_who_is_no_switch_and_comes_too_much_is_closed(
    house: House, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    with socket.create_server((HOST, 0)) as listener:
        server = house.opens(sock=listener, max_calls=1)
        running = Peer(socket.create_connection((HOST, server.port)))
        running.answers(b"connect", connected(b"async"))
        strange = Peer(socket.create_connection((HOST, server.port)))
        strange.answers(b"connect", sent)
        if not sent:
            strange.sock.shutdown(socket.SHUT_WR)
        assert strange.command() == b""
        until(lambda: len(messages(caplog)) == 2)
        assert " was refused without being sent on: " in messages(caplog)[1]
        for peer in (running, strange):
            peer.close()


def test_a_port_that_somebody_took_meanwhile_is_waited_for(
    house: House, switch: Emulator, caplog: pytest.LogCaptureFixture, esl: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []
    door = part(esl, "_door").Door
    opens = door.open
    monkeypatch.setattr(door, "open", lambda door: tried.append(time.monotonic()) or opens(door))
    server = house.opens(max_calls=1)
    port = server.port
    call = rings(switch, port)
    until(lambda: house.calls and not server.listening)
    with socket.create_server((HOST, port)) as other:
        house.open_gate()
        call.wait(PATIENCE)
        until(lambda: len(tried) >= 4)
        assert not server.listening
        assert server.port == port
        other.settimeout(PATIENCE)
        with socket.create_connection((HOST, port)):
            other.accept()[0].close()  # it has it
    until(lambda: server.listening)
    assert tried[3] - tried[0] >= 0.27  # a tenth of a second each
    rings(switch, port).wait(PATIENCE)
    failed = [text for text in messages(caplog, logging.ERROR) if "cannot be listened on again" in text]
    assert len(failed) == 1
    assert failed[0].startswith(f"{HOST}:{port} cannot be listened on again; it is tried again and again: ")
    assert os.strerror(errno.EADDRINUSE) in failed[0]
    assert f"{HOST}:{port} is listened on again" in messages(caplog)


@linux
def test_a_copy_of_the_socket_elsewhere_does_not_keep_it_listening(house: House, switch: Emulator) -> None:
    """A process that was forked may have one."""
    server = house.opens(max_calls=1)
    with server._door.sock.dup():
        call = rings(switch, server.port)
        until(lambda: house.calls and not server.listening)
        assert refuses(server.port)
        house.open_gate()
        call.wait(PATIENCE)
        until(lambda: server.listening)
        rings(switch, server.port).wait(PATIENCE)


def test_a_full_server_without_descriptors_refuses(
    esl: ModuleType, house: House, switch: Emulator, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = part(esl, "_door").Door
    accept, opens = door.accept, door.open
    short = []

    def accepts(door: Any) -> Any:
        found = None if short else accept(door)
        if short or (found is None and house.server.calls):
            short.append(door)
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return found

    def opens_too(door: Any) -> Any:
        with monkeypatch.context() as patch:
            if len(short) < 3:
                short.append(door)
                patch.setattr(socket, "create_server", lambda *_, **__: accepts(door))
            return opens(door)

    server = house.opens(max_calls=1)
    monkeypatch.setattr(door, "accept", accepts)
    monkeypatch.setattr(door, "open", opens_too)
    call = rings(switch, server.port)
    until(lambda: house.calls and not server.listening)
    assert refuses(server.port)
    house.open_gate()
    call.wait(PATIENCE)
    until(lambda: server.listening)
    texts = messages(caplog)
    assert texts[0] == f"cannot accept a call: [Errno {errno.EMFILE}] {os.strerror(errno.EMFILE)}"
    assert texts[1].startswith(f"{HOST}:{server.port} cannot be listened on again")
    monkeypatch.undo()


# A socket of others


@pytest.mark.parametrize("mode", MODES)
def test_on_a_given_socket_who_is_too_much_is_sent_on(
    house: House, switch: Emulator, caplog: pytest.LogCaptureFixture, mode: str
) -> None:
    with socket.create_server((HOST, 0)) as listener:
        server = house.opens(sock=listener, max_calls=1)
        assert (server.host, server.port) == listener.getsockname()
        there = rings(switch, server.port, mode=mode)
        until(lambda: house.calls)
        for number in range(3):
            is_sent_on(rings(switch, server.port, mode=mode), mode)
            assert (server.refused, server.listening) == (number + 1, True)
        house.open_gate()
        there.wait(PATIENCE)
        until(lambda: not server.calls)
        rings(switch, server.port).wait(PATIENCE)
        assert len(house.calls) == 2
        house.close()
        assert not server.listening
        listener.settimeout(PATIENCE)
        with socket.create_connection((HOST, server.port)), listener.accept()[0]:
            pass  # it is open still, and whose it was
    assert len(messages(caplog)) == 3


def test_two_servers_share_a_socket(esl: ModuleType, house: House, switch: Emulator) -> None:
    """As the workers of a server that forks do."""
    with socket.create_server((HOST, 0)) as listener, esl.serve(lambda call: call.hangup(), sock=listener) as other:
        server = house.opens(sock=listener)
        house.work = [("hangup", "USER_BUSY")]
        house.open_gate()
        calls = [rings(switch, server.port) for _ in range(20)]
        assert {call.wait(PATIENCE) for call in calls} <= {"NORMAL_CLEARING", "USER_BUSY"}
        house.close()
        calls = [rings(switch, server.port) for _ in range(5)]
        assert [call.wait(PATIENCE) for call in calls] == ["NORMAL_CLEARING"] * 5
        assert (other.refused, server.refused) == (0, 0)


def test_a_given_socket_that_is_only_bound_is_listened_on(house: House, switch: Emulator) -> None:
    with socket.socket() as bound:
        bound.bind((HOST, 0))
        server = house.opens(sock=bound)
        house.open_gate()
        rings(switch, server.port).wait(PATIENCE)
        assert server.port == bound.getsockname()[1]


def test_a_wrong_socket_is_refused(esl: ModuleType) -> None:
    with (
        socket.socket() as unbound,
        socket.socket(type=socket.SOCK_DGRAM) as udp,
        socket.create_server((HOST, 0)) as ok,
    ):
        for module in (esl.sync, part(esl, "aio")):
            for wrong, error in ((5, TypeError), ("x", TypeError), (unbound, ValueError), (udp, ValueError)):
                with pytest.raises(error, match=r"^sock is .*, expected "):
                    module.serve(print, sock=wrong)
            for options in ({"port": 8084}, {"host": "::1"}):
                with pytest.raises(ValueError, match=r"^sock is given, and host or port too, expected one"):
                    module.serve(print, sock=ok, **options)


# Closed


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("calls", ["leave", "hangup", "resume"])
def test_what_becomes_of_running_calls_is_chosen(
    house: House, switch: Emulator, caplog: pytest.LogCaptureFixture, mode: str, calls: str
) -> None:
    server = house.opens()
    house.work = [("next_event", PATIENCE)]
    there = [rings(switch, server.port, mode=mode) for _ in range(3)]
    until(lambda: len(house.calls) == 3)
    house.close(timeout=0, calls=calls)
    said = {"leave": [], "hangup": [HANGUP], "resume": ["resume", "exit"] if "async" in mode else []}[calls]
    for call in there:
        call.wait(PATIENCE)
        assert call.commands == ["connect", *said]
        if calls == "leave" and "async" in mode:
            assert call.hangup_cause is None  # it is parked
        else:
            until(lambda call=call: call.hangup_cause == "NORMAL_CLEARING")
    assert (server.calls, len(house.ended)) == (0, 3)
    assert messages(caplog) == []


def test_closing_leaves_running_calls_unless_told_otherwise(house: House, switch: Emulator) -> None:
    server = house.opens()
    house.work = [("next_event", PATIENCE)]
    call = rings(switch, server.port)
    until(lambda: house.calls)
    house.close(timeout=0)
    assert call.wait(PATIENCE) is None
    assert call.commands == ["connect"]


@pytest.mark.parametrize("calls", ["hangup", "resume"])
def test_calls_that_end_in_time_are_their_handlers_business(house: House, switch: Emulator, calls: str) -> None:
    server = house.opens()
    call = rings(switch, server.port)
    until(lambda: house.calls)
    closing = house.closes(timeout=PATIENCE, calls=calls)
    until(lambda: not server.listening)
    assert refuses(server.port)
    house.open_gate()
    closing.result(PATIENCE)
    assert call.wait(PATIENCE) is None
    assert (call.commands, house.ended) == (["connect"], [None])


def test_a_hangup_is_seen_by_the_handler(esl: ModuleType, house: House, switch: Emulator) -> None:
    """By that of the blocking server. That of asyncio was cancelled before, so that it may say something first."""
    switch.applications["playback"] = Run(60)
    server = house.opens()
    house.work = [("playback", "a.wav", {"wait": True}), ("next_event", PATIENCE)]
    call = rings(switch, server.port)
    switch.wait_for(lambda: call.executed, PATIENCE)
    house.close(timeout=0, calls="hangup")
    assert call.wait(PATIENCE) == "NORMAL_CLEARING"
    [error] = house.ended
    assert isinstance(error, esl.ConnectionClosed if house.kind == "sync" else asyncio.CancelledError)


def test_a_static_call_is_told_while_its_application_runs(house: House) -> None:
    """It reads that when the application has ended."""
    server = house.opens()
    house.work = [("playback", "a.wav")]
    peer = Peer(socket.create_connection((HOST, server.port)))
    peer.answers(b"connect", connected(b"static"))
    assert peer.command().startswith(b"sendmsg\ncall-command: execute\n")
    house.close(timeout=0, calls="hangup")
    assert peer.command() == HANGUP.encode()
    assert peer.command() == b""
    peer.close()


@pytest.mark.parametrize("calls", ["leave", "hangup", "resume"])
def test_a_connection_that_has_brought_no_call_yet_is_closed(house: House, calls: str) -> None:
    server = house.opens()
    peer = Peer(socket.create_connection((HOST, server.port)))
    assert peer.command() == b"connect"
    house.close(timeout=0, calls=calls)
    assert peer.command() == b""
    assert not house.calls
    peer.close()


def test_another_word_for_calls_is_an_error(house: House) -> None:
    house.opens()
    with pytest.raises(ValueError, match=r"^calls is 'drop', expected 'leave', 'hangup' or 'resume'$"):
        house.close(calls="drop")
    assert house.server.listening


def test_who_waits_when_it_is_closed_is_sent_on(house: House, switch: Emulator, held: Held) -> None:
    server = house.opens()
    peer = held.hold(server.port)
    calls = [switch.dial(HOST, server.port, mode=mode) for mode in MODES * 5]
    closing = house.closes()
    if house.kind == "sync":
        assert server.wait(PATIENCE)
    held.let()
    peer.answers(b"connect", connected(b"async"))
    until(lambda: not server.listening)
    house.open_gate()
    closing.result(PATIENCE)
    taken = len(house.calls) - 1  # before it had heard of being closed
    assert taken < 5
    for call, mode in list(zip(calls, MODES * 5, strict=True))[taken:]:
        is_sent_on(call, mode)
    assert (peer.command(), server.refused) == (b"", 0)
    peer.close()


def test_closing_while_full(house: House, switch: Emulator) -> None:
    server = house.opens(max_calls=1)
    call = rings(switch, server.port)
    until(lambda: house.calls and not server.listening)
    house.close(timeout=0)
    call.wait(PATIENCE)
    assert not server.listening
    assert refuses(server.port)
    assert repr(server) == f"<Server on {HOST}:{server.port}: closed>"
    house.close()


def test_closing_while_the_port_is_somebody_elses(
    house: House, switch: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    server = house.opens(max_calls=1)
    call = rings(switch, server.port)
    until(lambda: house.calls and not server.listening)
    with socket.create_server((HOST, server.port)) as other:
        house.open_gate()
        call.wait(PATIENCE)
        until(lambda: messages(caplog, logging.ERROR))
        house.close()
        assert not server.listening
        other.settimeout(PATIENCE)
        with socket.create_connection((HOST, server.port)):
            other.accept()[0].close()
    assert refuses(server.port)


def test_closing_twice_waits_for_the_first(house: House, switch: Emulator) -> None:
    server = house.opens()
    serving = house.serves_for_ever()  # which closes it too
    call = rings(switch, server.port)
    until(lambda: house.calls)
    first = house.closes(timeout=PATIENCE, calls="resume")
    until(lambda: not server.listening)
    second = house.closes(timeout=0, calls="hangup")
    wait([second, serving], 0.2)
    assert [first.done(), second.done(), serving.done(), call.over] == [False] * 4
    house.open_gate()
    for one in (first, second, serving):
        one.result(PATIENCE)
    assert call.wait(PATIENCE) is None
    assert house.ended == [None]


def test_a_handler_that_closes_the_server_keeps_its_own_call(esl: ModuleType, switch: Emulator) -> None:
    done: list[str] = []

    def handle(call: Any) -> None:
        server.close(timeout=0, calls="resume")
        server.close(timeout=0)
        done.append(call.getvar("mine"))
        call.hangup("USER_BUSY")

    with esl.serve(handle) as server:
        call = switch.dial(HOST, server.port, variables={"mine": "yes"})
        server.serve_forever()
    assert call.wait(PATIENCE) == "USER_BUSY"
    assert "resume" not in call.commands
    assert done == ["yes"]


# Forks


@forks
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_process_has_no_part_in_it(house: House, switch: Emulator) -> None:
    server = house.opens(max_calls=1)
    go, went = os.pipe()
    call = rings(switch, server.port)
    until(lambda: house.calls and not server.listening)
    house.open_gate()
    call.wait(PATIENCE)
    until(lambda: server.listening)
    if not (child := os.fork()):
        status = 99
        with suppress(BaseException):
            os.close(went)
            closed = server.close()
            if house.kind != "sync":
                asyncio.new_event_loop().run_until_complete(closed)
            status = 1 if server.listening or server.calls else 0
            os.read(go, 1)  # it lives on, as a worker would
        os._exit(status)
    try:
        os.close(go)
        house.close_gate()
        call = rings(switch, server.port)
        until(lambda: len(house.calls) == 2 and not server.listening)
        assert refuses(server.port)
        house.open_gate()
        call.wait(PATIENCE)
        until(lambda: server.listening)
        rings(switch, server.port).wait(PATIENCE)
        house.close()
        assert refuses(server.port)
    finally:
        os.close(went)
        assert os.waitpid(child, 0)[1] == 0


@forks
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_process_ends_no_refusal(house: House) -> None:
    with socket.create_server((HOST, 0)) as listener:
        server = house.opens(sock=listener, max_calls=1)
        running = Peer(socket.create_connection((HOST, server.port)))
        running.answers(b"connect", connected(b"async"))
        refused = Peer(socket.create_connection((HOST, server.port)))
        assert refused.command() == b"connect"
        if not (child := os.fork()):
            os._exit(1 if server.listening else 0)
        assert os.waitpid(child, 0)[1] == 0
        refused.sends(connected(b"async"))
        assert [refused.command(), refused.command()] == [b"resume", b"exit"]
        for peer in (refused, running):
            peer.close()


@forks
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_workers_that_were_forked_share_a_socket(esl: ModuleType) -> None:
    """The parent listens, each child serves, as gunicorn's do."""
    with socket.create_server((HOST, 0)) as listener:
        go, went = os.pipe()
        causes = ("USER_BUSY", "NO_ANSWER")
        children = [os.fork() or works(esl, listener, cause, go, went) for cause in causes]
        os.close(go)
        try:
            with Emulator() as switch:
                calls = [rings(switch, listener.getsockname()[1]) for _ in range(30)]
                assert {call.wait(PATIENCE) for call in calls} <= set(causes)
        finally:
            os.close(went)
            assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]


def works(esl: ModuleType, listener: socket.socket, cause: str, go: int, went: int) -> int:
    """What a child does until its parent closes its end of the pipe."""
    status = 99
    with suppress(BaseException):
        os.close(went)
        with esl.serve(lambda call: call.hangup(cause), sock=listener):
            os.read(go, 1)
        status = 0
    os._exit(status)


# gevent

GEVENT = """
from gevent import monkey
monkey.patch_all()
import socket
import subprocess
import threading
import eslcodec

gate = threading.Event()
handled = []

def handle(call):
    gate.wait(20)
    call.hangup("USER_BUSY")
    handled.append(call)

listener = socket.create_server(("127.0.0.1", 0))
with eslcodec.serve(handle, max_calls=1) as own, eslcodec.serve(handle, max_calls=1, sock=listener) as given:
    print(own.port, given.port, flush=True)
    while own.listening or not given.refused:
        gate.wait(0.001)
    print("full", flush=True)
    gate.set()
    while own.calls or not own.listening:
        threading.Event().wait(0.001)
    print("free", flush=True)
    while len(handled) < 3:
        threading.Event().wait(0.001)
print(sorted(one.name for one in threading.enumerate() if one.name.startswith("eslcodec-serve")), flush=True)
"""


def test_under_gevent(esl: ModuleType) -> None:
    """The server runs in a process of its own, whose threads are greenlets."""
    pytest.importorskip("gevent")
    environment = {**os.environ, "ESLCODEC_IMPL": esl.__impl__}
    command = [sys.executable, "-c", GEVENT]
    with (
        Emulator() as switch,
        subprocess.Popen(command, cwd="/", stdout=subprocess.PIPE, text=True, env=environment) as process,
    ):
        timer = threading.Timer(3 * PATIENCE, process.kill)
        timer.start()
        assert process.stdout is not None
        own, given = map(int, process.stdout.readline().split())
        calls = [rings(switch, port) for port in (own, given)]
        is_sent_on(rings(switch, given), "async")
        assert process.stdout.readline() == "full\n"
        assert [call.wait(PATIENCE) for call in calls] == ["USER_BUSY"] * 2
        assert process.stdout.readline() == "free\n"
        assert rings(switch, own).wait(PATIENCE) == "USER_BUSY"
        assert process.stdout.readline() == "[]\n"
        assert process.wait(PATIENCE) == 0
        timer.cancel()
