"""A slow reader that is killed freezes the emulated switch."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from emulated import SECONDS, Client, called, connected, names, overrun, recording

import eslcodec
from eslcodec.emulator import Emulator, Fault, Listener
from eslcodec.emulator._switch import Switch


@contextmanager
def frozen(**options: Any) -> Iterator[tuple[Emulator, Client, Client]]:
    """A switch that stands still, the slow reader that it kills, and another client that was logged in before."""
    with (
        Emulator(queue_limit=10, faults=[None, Fault.freeze(**options)]) as switch,
        connected(switch, "event plain DTMF") as other,
        connected(switch, "event plain ALL") as slow,
    ):
        overrun(switch)
        yield switch, slow, other


def turns(switch: Emulator) -> None:
    """Time enough for the switch to do whatever it has to do now."""
    for _ in range(5):
        switch._run(lambda: None)


def nothing_for(client: Client) -> bool:
    client.sock.setblocking(False)
    try:
        return not client.sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    finally:
        client.sock.settimeout(SECONDS)


def test_nobody_is_served_while_a_slow_reader_is_killed() -> None:
    with frozen() as (switch, slow, other), socket.create_connection((switch.host, switch.port)) as late:
        before = len(switch.listeners)
        other.send("api echo x\n\n")
        switch.fire("DTMF", {"N": "1"})
        turns(switch)
        assert switch.frozen
        assert nothing_for(other)
        assert nothing_for(Client(late))
        assert len(switch.listeners) == before == 1
        assert "api echo x" not in switch.commands
        slow.sock.close()
        other.until(lambda: len(other.events) == 1 and any(message.body == b"x" for message in other.messages))
        assert Client(late).sock.recv(100) == b"Content-Type: auth/request\n\n"
        assert not switch.frozen


def test_all_goes_on_once_the_slow_reader_has_read_its_notice() -> None:
    with frozen() as (switch, slow, other):
        slow.to_the_end()
        assert slow.raw.endswith(b"\n\nkilled listener because of lost events\n")
        assert other.text("api echo x") == "x"
        assert not switch.frozen


def test_a_switch_gives_up_telling_a_slow_reader_after_some_seconds() -> None:
    with frozen(seconds=0.05) as (switch, slow, other):
        assert other.text("api echo x") == "x"
        assert not switch.frozen
        slow.to_the_end()
        assert b"disconnect-notice" not in slow.raw


def test_without_the_fault_a_slow_reader_is_killed_and_nobody_waits() -> None:
    with Emulator(queue_limit=10) as switch, connected(switch) as other, connected(switch, "event plain ALL"):
        while len(switch.listeners) == 2:
            switch.fire("CUSTOM", {"N": "1"}, "x" * 200_000)
        assert not switch.frozen
        assert other.text("api echo x") == "x"


def test_a_reader_whose_socket_takes_the_notice_freezes_nobody() -> None:
    with Emulator(queue_limit=1, fault=Fault.freeze()) as switch, connected(switch, "event plain DTMF") as client:
        client.send("half a command")
        switch.wait_for(lambda: switch.listeners[0].held, 20)
        for _ in range(502):
            switch.fire("DTMF")
        client.to_the_end()
        assert client.raw.endswith(b"lost events\n")
        assert not switch.frozen


def test_lost_log_lines_freeze_too() -> None:
    with Emulator(queue_limit=10, faults=[Fault.freeze()]) as switch, connected(switch, "log debug") as slow:
        switch.wait_for(lambda: switch.listeners[0].log_level == 7, 20)
        while not switch.frozen:
            switch.log("debug", "x" * 200_000)
        slow.to_the_end()
        assert slow.raw.endswith(b"lost log lines\n")


def test_a_short_standstill_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eslcodec.emulator._sockets._STANDSTILL_SECONDS", 2.5)  # else a busy machine may miss it
    with Emulator(queue_limit=10, faults=[Fault.freeze()]) as switch, connected(switch, "event plain ALL") as slow:

        def read_on() -> None:
            switch.wait_for(lambda: not switch.listeners, SECONDS)
            slow.to_the_end()

        reader = threading.Thread(target=read_on)
        reader.start()
        while switch.listeners:
            switch.fire("CUSTOM", body="x" * 200_000)
        switch.fire("CUSTOM")
        assert switch.frozen
        reader.join()
        assert switch.wait_for(lambda: not switch.frozen, SECONDS)


def test_what_happens_meanwhile_comes_in_order_and_overruns_nobody() -> None:
    with frozen() as (switch, slow, other):
        for number in range(600):  # more than the queue of a reader, and the lost ones that kill it
            switch.fire("DTMF", {"N": str(number)})
        slow.sock.close()
        other.until(lambda: len(other.events) == 600)
        switch.fire("DTMF", {"N": "600"})
        other.until(lambda: len(other.events) == 601)
        assert [int(event["N"]) for event in other.events] == list(range(601))


def test_what_happened_meanwhile_waits_for_a_reader_that_has_no_turn() -> None:
    """Its socket takes a few events now and then, and the queue is much smaller than what was held back."""
    with (
        Emulator(queue_limit=10, faults=[Fault.drip(3000, every=0.01), Fault.freeze()]) as switch,
        connected(switch, "event plain DTMF") as other,
        connected(switch, "event plain ALL") as slow,
    ):
        overrun(switch)
        for number in range(600):
            switch.fire("DTMF", {"N": str(number)})
        slow.sock.close()
        other.until(lambda: len(other.events) == 600)
        assert [int(event["N"]) for event in other.events] == list(range(600))


@pytest.mark.parametrize("command", [b"event plain DTMF\n\n", b"log\n\n"])
def test_what_was_held_does_not_count_in_the_queue_and_what_comes_then_does(command: bytes) -> None:
    switch = Switch(queue_limit=10)
    listener = Listener(switch)
    listener.start()
    listener.receive(b"auth ClueCon\n\n" + command)
    listener.receive(b"half a command")
    numbers = iter(range(10_000))

    def happen(count: int) -> None:
        for _ in range(count):
            number = next(numbers)
            switch.core.fire(switch.core.event("DTMF", [("N", f"<{number}>")]))
            switch.core.log(7, b"<%d>" % number)

    def lost() -> int:
        return listener.lost + listener.lost_log_lines

    happen(10)
    assert lost() == 0
    switch.core.freeze()
    happen(600)
    switch.core.thaw()
    switch.core.catch_up()
    assert (lost(), listener.closing) == (0, False)
    happen(3)
    assert lost() == 3  # the ten from before wait still
    written = listener.receive(b"\n\n")
    assert [int(number) for number in re.findall(rb"<(\d+)>|%3C(\d+)%3E", written) for number in number if number] == [
        *range(610)
    ]
    listener.receive(b"half a command")
    happen(510)
    assert (lost(), listener.closing) == (500, False)
    happen(1)
    assert listener.closing


def test_of_two_slow_readers_one_is_killed_after_the_other() -> None:
    with (
        Emulator(queue_limit=10, faults=[None, Fault.freeze(), Fault.freeze()]) as switch,
        connected(switch) as other,
        connected(switch, "event plain ALL") as one,
        connected(switch, "event plain ALL") as two,
    ):
        overrun(switch)
        switch.wait_for(lambda: len(switch.listeners) < 3, 20)
        other.send("api echo x\n\n")
        one.sock.close()
        turns(switch)
        while not switch.frozen:  # the second had room for a few events more
            switch.fire("CUSTOM", {"N": "1"}, "x" * 200_000)
        two.sock.close()
        other.until(lambda: any(message.body == b"x" for message in other.messages))
        switch.wait_for(lambda: len(switch.listeners) == 1 and not switch.frozen, 20)


def test_a_call_that_begins_meanwhile_stands_still_too() -> None:
    with frozen() as (switch, slow, _), called(switch, mode="async full") as (call, client):
        client.send("connect\n\n")
        turns(switch)
        assert nothing_for(client)
        assert call.commands == []
        slow.sock.close()
        client.until(lambda: client.replies)


@pytest.mark.parametrize("mode", ["async full", "full"])
def test_a_call_that_is_hung_up_meanwhile_ends_in_order(mode: str) -> None:
    with (
        Emulator(queue_limit=10, faults=[None, Fault.freeze()]) as switch,
        called(switch, mode=mode) as (call, client),
        connected(switch, "event plain ALL") as slow,
    ):
        client.ask("connect")
        client.ask("myevents")
        overrun(switch)
        switch.fire("DTMF", {"Unique-ID": call.uuid})
        call.hangup("USER_BUSY")
        turns(switch)
        assert nothing_for(client)
        slow.sock.close()
        client.to_the_end()
    # as without a freeze: a static connection ends before CHANNEL_HANGUP, an async one after the last event
    assert names(client)[-1:] == ["CHANNEL_HANGUP_COMPLETE" if mode == "async full" else "DTMF"]
    assert isinstance(client.messages[-1], eslcodec.DisconnectNotice)


def test_a_replay_stands_still_and_goes_on() -> None:
    data, _ = recording(40)
    with (
        Emulator(queue_limit=100, replay=data, rate=100, repeat=None, faults=[None, Fault.freeze()]) as switch,
        connected(switch, "event plain DTMF") as other,
        connected(switch, "event plain ALL") as slow,
    ):
        other.until(lambda: other.events)
        overrun(switch)
        while not nothing_for(other):
            other.read()
        (listener,) = switch.listeners
        before, due = listener.queued, threading.Event()
        switch._switch.core.later(0.05, due.set)  # when some frames would have happened
        assert due.wait(SECONDS)
        assert nothing_for(other)
        assert listener.queued == before
        slow.sock.close()
        seen = len(other.events)
        other.until(lambda: len(other.events) > seen + 10)


@pytest.mark.parametrize("how", ["stop", "drop", "shutdown"])
def test_a_switch_that_stands_still_can_be_stopped(how: str) -> None:
    with frozen() as (switch, _, other):
        for _ in range(3):
            switch.fire("DTMF")
        getattr(switch, how)()
        if how == "shutdown":
            assert switch.frozen
            switch.stop()
        other.to_the_end()
        assert (b"The system is being shut down.\n" in other.raw) == (how != "drop")
        assert not switch.frozen
        if how != "drop":
            switch.port = 0
            switch.start()
        with connected(switch, "event plain DTMF") as client:
            switch.fire("DTMF", {"N": "2"})
            assert client.next_event()["N"] == "2"
