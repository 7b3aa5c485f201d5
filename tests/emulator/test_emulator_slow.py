"""Slow readers of the emulated switch: what is lost, who is killed; and what it remembers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from emulated import connected

import eslcodec
from eslcodec.emulator import Emulator, Listener
from eslcodec.emulator._switch import COMMANDS_KEPT, Switch


@pytest.fixture
def switch() -> Iterator[Emulator]:
    with Emulator() as switch:
        yield switch


# Slow readers


def big_events(switch: Emulator) -> None:
    body = "x" * 200_000
    while switch.listeners:
        switch.fire("CUSTOM", {"N": "1"}, body)


def test_a_slow_reader_is_killed_in_the_middle_of_an_event() -> None:
    with Emulator(queue_limit=10) as switch, connected(switch, "event plain ALL") as client:
        big_events(switch)
        client.to_the_end()
    notice = b"Content-Type: text/disconnect-notice\nContent-Length: 39\n\nkilled listener because of lost events\n"
    assert client.raw.endswith(notice)
    assert client.raw[: -len(notice)][-1:] == b"x"
    with pytest.raises(eslcodec.IncompleteFrame):
        client.decoder.feed_eof()


def test_the_500th_lost_event_in_a_row_is_survived_and_the_501st_is_not() -> None:
    switch = Switch(queue_limit=1)
    listener = Listener(switch)
    listener.start()
    listener.receive(b"auth ClueCon\n\nevent plain DTMF\n\n")
    listener.receive(b"half a command")
    event = switch.core.event("DTMF")
    for _ in range(501):
        listener.offer(event)
    assert (listener.lost, listener.closing) == (500, False)
    assert listener.receive(b"\n\n").count(b"Event-Name: DTMF") == 1
    listener.receive(b"half a command")
    for _ in range(501):
        listener.offer(event)
    assert (listener.lost, listener.closing) == (500, False)
    assert b"lost events" in listener.fire(event)
    assert listener.closing


def test_lost_log_lines_kill_too() -> None:
    switch = Switch(queue_limit=1)
    listener = Listener(switch)
    listener.start()
    listener.receive(b"auth ClueCon\n\nlog\n\nhalf a command")
    for _ in range(502):
        switch.core.log(7, b"x")
    assert listener.pull().endswith(b"killed listener because of lost log lines\n")


# What is remembered


@pytest.mark.parametrize("count", [COMMANDS_KEPT - 1, COMMANDS_KEPT, COMMANDS_KEPT + 1, 2 * COMMANDS_KEPT])
def test_the_newest_commands_are_remembered(count: int) -> None:
    switch = Switch()
    listener = Listener(switch)
    sent = [f"api echo {number}" for number in range(count)]
    listener.receive("".join(f"{command}\n\n" for command in sent).encode())
    assert listener.commands == switch.commands == sent[-COMMANDS_KEPT:]
    assert (sent[0] in switch.commands) == (count <= COMMANDS_KEPT)


def test_commands_of_all_connections_are_bounded_together() -> None:
    switch = Switch()
    one, two = Listener(switch), Listener(switch)
    one.receive(b"a\n\n" * COMMANDS_KEPT)
    two.receive(b"b\n\n")
    assert (len(one.commands), two.commands) == (COMMANDS_KEPT, ["b"])
    assert switch.commands == one.commands[1:] + two.commands


def test_commands_are_a_list_that_a_test_may_empty(switch: Emulator) -> None:
    with connected(switch, "api echo 1") as client:
        assert switch.commands[1:] == ["api echo 1"]
        del switch.commands[:]
        client.ask("api echo 2")
    assert switch.commands == ["api echo 2"]
