"""Servers that are full: who is sent on, who is refused, and when they listen again. One suite for both."""

from __future__ import annotations

import errno
import logging
import os
import re
import socket
import time
from contextlib import suppress
from types import ModuleType
from typing import Any

import pytest
from ports import free_port
from serve_support import AGES, MODES, Held, House, connected, is_sent_on, linux, messages, refuses, rings
from serve_support import held as held
from serve_support import house as house
from serve_support import switch as switch
from shells import HOST, PATIENCE, Peer, until
from support import part

from eslcodec.emulator import EmulatedCall, Emulator


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
    end = time.monotonic() + AGES / 2
    while len(calls) < 150 or (len(house.calls) <= 10 and time.monotonic() < end):
        try:
            calls.append(switch.dial(HOST, server.port))
        except (ConnectionRefusedError, ConnectionResetError):
            refused += 1
    late = 0
    for call in calls:
        try:
            call.wait(PATIENCE)
        except TimeoutError:
            late += 1
    assert late <= 2  # whom the kernel greets while the listener is being closed it may forget without a word
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
    until(lambda: not server.listening and len(messages(caplog)) == 6)
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
        with suppress(ConnectionResetError):  # it may have been given up before what we sent was read
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
    server = house.opens(max_calls=1, port=free_port())
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
    assert tried[3] - tried[0] >= 0.2  # a tenth of a second each, of which the first may be noted late
    rings(switch, port).wait(PATIENCE)
    failed = [text for text in messages(caplog, logging.ERROR) if "cannot be listened on again" in text]
    assert len(failed) == 1
    assert failed[0].startswith(f"{HOST}:{port} cannot be listened on again; it is tried again and again: ")
    assert os.strerror(errno.EADDRINUSE) in failed[0]
    until(lambda: f"{HOST}:{port} is listened on again" in messages(caplog))


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
