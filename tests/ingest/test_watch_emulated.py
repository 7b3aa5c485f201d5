"""LossWatch on connections to the emulator: killed, frozen, restarted."""

from __future__ import annotations

import time
from typing import Any

import pytest
from emulated import SECONDS, connected, overrun
from ports import free_port
from support import until

import eslcodec
from eslcodec import Gap, IncompleteFrame
from eslcodec.emulator import Emulator, Fault
from eslcodec.ingest import Loss, LossWatch
from eslcodec.reconnect import Backoff


def fire_heartbeat(switch: Emulator, uptime: int, sessions: int = 0) -> None:
    switch.fire("HEARTBEAT", {"Uptime-msec": uptime, "Session-Since-Startup": sessions})


def test_a_reader_that_the_switch_killed() -> None:
    with Emulator(queue_limit=10) as switch, connected(switch, "event plain ALL") as slow:
        overrun(switch)
        slow.to_the_end()
        decoder = eslcodec.Decoder()
        decoder.feed(slow.raw)
        watch = LossWatch()
        found = [loss for message in decoder for loss in watch.see(message, time.time())]
        try:
            decoder.feed_eof()
        except IncompleteFrame as error:
            found += watch.ended(error, time.time())
    assert [(loss.grade, loss.count) for loss in found] == [("certain", 501)]


def test_a_switch_that_stands_still() -> None:
    """Time is ours to give: what matters is that no HEARTBEAT comes while it stands still, and that it goes on."""
    with (
        Emulator(queue_limit=10, faults=[None, Fault.freeze()]) as switch,
        eslcodec.connect(switch.host, switch.port) as fs,
        connected(switch, "event plain ALL") as slow,
    ):
        fs.subscribe("HEARTBEAT", "DTMF")
        watch, now = LossWatch(subscribed_all=False), time.time()
        for second in (0, 20):
            fire_heartbeat(switch, second * 1000)
            assert watch.see(fs.next_event(timeout=SECONDS), now + second) == []
        overrun(switch)
        assert switch.frozen
        found = [loss for second in range(21, 90) for loss in watch.tick(now + second)]
        assert [loss.grade for loss in found] == ["stalled"]
        slow.to_the_end()
        fire_heartbeat(switch, 90_000)
        event = until(
            lambda: next((one for one in iter(lambda: fs.next_event(timeout=1), None) if one.name == "HEARTBEAT"), None)
        )
        assert watch.see(event, now + 90) == []
        assert watch.tick(now + 120) == []


def seen(fs: Any, watch: LossWatch, count: int) -> tuple[list[Gap], list[Loss]]:
    """What comes until so many events of the switch have, and what the watch says of it."""
    gaps: list[Gap] = []
    found: list[Loss] = []
    while count:
        event = fs.next_event(timeout=SECONDS)
        found += watch.see(event, time.time())
        if isinstance(event, Gap):
            gaps.append(event)
        else:
            count -= 1
    return gaps, found


def cut_and_fire(switch: Emulator, count: int) -> None:
    """Nobody is connected while these are fired."""
    switch.drop()
    for _ in range(count):
        switch.fire("DTMF")


def test_a_connection_that_was_cut_comes_back_with_a_bound() -> None:
    with (
        Emulator() as switch,
        eslcodec.connect(switch.host, switch.port, reconnect=Backoff(first=0.01, longest=0.01)) as fs,
    ):
        fs.subscribe("ALL")
        watch = LossWatch()
        switch.fire("DTMF")
        seen(fs, watch, 1)
        switch._run(lambda: cut_and_fire(switch, 5))
        reader = fs.next_event(timeout=SECONDS)
        assert isinstance(reader, Gap)
        assert watch.see(reader, time.time()) == []
        switch.fire("DTMF")
        _, found = seen(fs, watch, 1)
    assert [(loss.grade, loss.count, loss.at_most) for loss in found] == [("bounded", None, 5)]


@pytest.mark.parametrize("before", [1, 700])
def test_a_switch_that_was_restarted(before: int) -> None:
    with Emulator(port=free_port()) as switch:
        host, port = switch.host, switch.port
        fs = eslcodec.connect(host, port, reconnect=Backoff(first=0.01, longest=0.05))
        fs.subscribe("ALL")
        watch = LossWatch()
        for _ in range(before):
            switch.fire("DTMF")
        seen(fs, watch, before)
    with Emulator(host=host, port=port) as other, fs:
        gap = fs.next_event(timeout=SECONDS)
        assert isinstance(gap, Gap)
        found = watch.see(gap, time.time())
        other.wait_for(lambda: any("event" in command for command in other.commands), SECONDS)
        for _ in range(3):
            other.fire("DTMF")
        found += seen(fs, watch, 3)[1]
        assert gap.same_core is False
    assert found == []
