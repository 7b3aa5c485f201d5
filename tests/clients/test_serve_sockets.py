"""Servers on sockets that others made, in child processes, and under gevent. One suite for both."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from types import ModuleType

import pytest
from serve_support import MODES, House, connected, forks, is_sent_on, messages, refuses, rings
from serve_support import house as house
from serve_support import switch as switch
from shells import HOST, PATIENCE, Peer, until
from support import part

from eslcodec.emulator import Emulator

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
            until(lambda number=number: server.refused == number + 1)
            assert server.listening
        house.open_gate()
        there.wait(PATIENCE)
        until(lambda: not server.calls)
        rings(switch, server.port).wait(PATIENCE)
        assert len(house.calls) == 2
        house.close()
        until(lambda: not server.listening)
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
