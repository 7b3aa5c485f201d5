"""Servers that are closed: what becomes of calls, and of who waits. One suite for both."""

from __future__ import annotations

import asyncio
import logging
import socket
from concurrent.futures import wait
from types import ModuleType
from typing import Any

import pytest
from ports import free_port
from serve_support import HANGUP, MODES, Held, House, connected, is_sent_on, messages, refuses, rings
from serve_support import held as held
from serve_support import house as house
from serve_support import switch as switch
from shells import HOST, PATIENCE, Peer, until

from eslcodec.emulator import Emulator, Run


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
    until(lambda: (server.calls, len(house.ended)) == (0, 3))
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
    until(lambda: house.ended)
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
    server = house.opens(max_calls=1, port=free_port())
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
