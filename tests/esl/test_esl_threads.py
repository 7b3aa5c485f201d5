"""ESLconnection used by several threads (docs/protocol/esl-module.md, A1)."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from esl_support import (
    COMMAND_REPLY,
    CONNECT_REPLY,
    DTMF,
    DTMF_SEEN,
    LOST,
    OK_SEEN,
    SECONDS,
    Background,
    outbound,
    seen,
    unread,
)
from shut_support import Late, flooded, small_socket
from support import api_response, reply, until

# Threads: docs/protocol/esl-module.md, A1


def in_a_read(wire: Any, call: Any, *arguments: Any) -> Background:
    """A call in a thread that has certainly begun to read: it has taken half of `DTMF` from the socket."""
    wire.peer.sendall(DTMF[:20])
    background = Background(call, *arguments)
    until(lambda: unread(wire.con.socketDescriptor()) == 0)
    return background


def test_send_does_not_wait_for_another_threads_read(ESL: Any, strict: Any, wire_of: Any) -> None:
    wire = wire_of()
    reading = in_a_read(wire, wire.con.recvEvent)
    for _ in range(3):
        assert Background(wire.con.send, "api status").returns() == 0
    assert wire.hears(b"connect\n\n" + b"api status\n\n" * 3) == b"connect\n\n" + b"api status\n\n" * 3
    wire.peer.sendall(DTMF[20:])
    assert seen(reading.returns()) == DTMF_SEEN


def test_command_waits_for_another_threads_read(ESL: Any, strict: Any, wire_of: Any) -> None:
    wire = wire_of()
    reading = in_a_read(wire, wire.con.recvEvent)
    asking = Background(wire.con.sendRecv, "x")
    assert asking.waits()
    wire.peer.sendall(DTMF[20:] + COMMAND_REPLY)
    assert seen(reading.returns()) == DTMF_SEEN
    assert seen(asking.returns()) == OK_SEEN


def test_timed_read_gives_up_while_another_thread_reads(ESL: Any, strict: Any, wire_of: Any) -> None:
    wire = wire_of()
    reading = in_a_read(wire, wire.con.recvEvent)
    for ms in (1, 3_600_000):
        assert Background(wire.con.recvEventTimed, ms).returns() is None
    assert wire.con.connected() == 1
    wire.peer.sendall(DTMF[20:])
    assert seen(reading.returns()) == DTMF_SEEN


@pytest.mark.parametrize(
    ("name", "arguments", "returned"),
    [
        *(("recvEvent", (), LOST), ("recvEventTimed", (-1,), None), ("sendRecv", ("x",), None)),
        *(("api", ("x",), None), ("execute", ("answer",), None), ("events", ("plain", "ALL"), 1)),
    ],
)
@pytest.mark.parametrize("begun", [False, True], ids=["idle", "in a frame"])
def test_blocked_read_ends_when_another_thread_disconnects(
    ESL: Any, strict: Any, wire_of: Any, name: Any, arguments: Any, returned: Any, begun: bool
) -> None:
    wire = wire_of()
    call = getattr(wire.con, name)
    background = in_a_read(wire, call, *arguments) if begun else Background(call, *arguments)
    if not begun:
        assert background.waits()
    assert Background(wire.con.disconnect).returns() == 0
    result = background.returns()
    assert (result if isinstance(result, int) else seen(result)) == returned
    assert (wire.con.connected(), wire.con.socketDescriptor()) == (0, -1)


def test_blocked_send_ends_when_another_thread_disconnects(ESL: Any, strict: Any, wire_of: Any) -> None:
    wire = wire_of()
    sending = Background(wire.con.send, "x" * (64 << 20))
    assert sending.waits()
    assert Background(wire.con.disconnect).returns() == 0
    assert sending.returns() == 1
    assert (wire.con.connected(), wire.con.socketDescriptor()) == (0, -1)


def test_command_that_waits_for_another_threads_read_ends_with_it(ESL: Any, strict: Any, wire_of: Any) -> None:
    wire = wire_of()
    reading = in_a_read(wire, wire.con.recvEvent)
    asking = Background(wire.con.sendRecv, "x")
    assert asking.waits()
    Background(wire.con.disconnect).returns()
    assert (seen(reading.returns()), asking.returns()) == (LOST, None)
    assert wire.hears(b"connect\n\n...") == b"connect\n\n"


def test_one_thread_receives_while_another_sends(ESL: Any, strict: Any, wire_of: Any) -> None:
    wire = wire_of()
    received: list[str] = []

    def receive() -> None:
        while (event := wire.con.recvEvent()).getType() != "SERVER_DISCONNECTED":
            received.append(event.getHeader("Reply-Text"))

    receiving = Background(receive)
    for number in range(300):
        assert wire.con.send(f"x {number}") == 0
        command = b"x %d\n\n" % number
        heard = wire.hears(command if number else b"connect\n\n" + command)
        assert heard.endswith(command)
        wire.peer.sendall(reply(b"+OK %d" % number))
    wire.peer.shutdown(socket.SHUT_WR)
    receiving.returns()
    assert received == [f"+OK {number}" for number in range(300)]


def test_commands_of_several_threads_get_their_own_replies(ESL: Any, strict: Any, wire_of: Any) -> None:
    wire = wire_of()
    answers: dict[str, str] = {}

    def ask(name: str) -> None:
        for number in range(20):
            answers[f"{name} {number}"] = wire.con.api(name, str(number)).getBody()

    def answer() -> None:
        heard = b""
        while data := wire.peer.recv(1 << 16):
            heard += data
            *commands, heard = heard.split(b"\n\n")
            for command in commands:
                if command.startswith(b"api "):
                    wire.peer.sendall(DTMF + api_response(command.removeprefix(b"api ")))

    answering = Background(answer)
    for asking in [Background(ask, name) for name in ("a", "b", "c")]:
        asking.returns()
    assert answers == {f"{name} {number}": f"{name} {number}" for name in "abc" for number in range(20)}
    wire.con.disconnect()
    answering.returns()


# A switch that stands in `send`


def test_a_switch_that_waits_for_room_hears_that_another_thread_has_disconnected(ESL: Any) -> None:
    """Linux makes no room known that a read makes after `shutdown`."""
    with flooded(CONNECT_REPLY, more=DTMF) as (address, switch):
        con = outbound(ESL, small_socket(address))
        late = con._socket = Late(con._socket)
        reading = Background(lambda: [con.recvEvent() for _ in iter(con.connected, 0)])
        assert late.reads.wait(SECONDS)
        switch.stands()
        con.disconnect()
        late.may.set()
        reading.returns()
        assert late.is_closed
        assert switch.heard_the_end()
