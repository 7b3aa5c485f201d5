"""A reader that is too slow does not endanger its switch: both clients look after that, and go before they are killed.

Most of it is one suite for both; the caretaker is the blocking client's.
"""

from __future__ import annotations

import gc
import logging
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import suppress
from types import ModuleType
from typing import Any

import pytest
from shells import PATIENCE, Shell, Switch, event, until
from support import part
from sync_support import with_time

from eslcodec.emulator import Emulator, Fault

LEFT_ALONE: dict[str, Any] = {"queue_limit": 10, "pause_limit": 0.4, "switch_queue_limit": None}


@pytest.fixture
def switch() -> Iterator[Switch]:
    switch = Switch()
    yield switch
    switch.close()


@pytest.fixture(params=["sync", "aio"])
def shell(esl: ModuleType, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """A client whose caretaker is in a hurry."""
    bounds = part(esl, "limits")
    monkeypatch.setattr(bounds, "UNREAD_SECONDS", 0.05)
    monkeypatch.setattr(bounds, "CARETAKER_SECONDS", 0.02)
    shell = Shell(esl, request.param)
    yield shell
    shell.close()


def flood(peer: Any, count: int = 100) -> None:
    """As many events, in many reads: so that the queue's bound leaves something unread."""
    for number in range(1, count + 1):
        peer.sends(event(number))


def stats(shell: Shell) -> Any:
    return shell.client.stats()


def fill(shell: Shell, peer: Any) -> None:
    """Events until the queue is full, and more behind them; the client may end it before all are sent."""
    with suppress(ConnectionError):
        until(lambda: flood(peer, 1) or stats(shell).queued >= 10)
        flood(peer)


def test_a_reader_who_reads_nothing_is_ended_by_us(shell: Shell, switch: Switch) -> None:
    peer = shell.connects(switch, **LEFT_ALONE)
    shell.subscribes(peer)
    fill(shell, peer)
    until(lambda: shell.client.connection.end is not None)
    queued = stats(shell).queued
    reading = shell.reads()
    with pytest.raises(shell.esl.ReaderTooSlow) as caught:
        reading.result(PATIENCE)
    assert len(shell.seen) == queued >= 10  # what was received is given first
    error = caught.value
    assert isinstance(error, shell.esl.ConnectionClosed)
    assert error.unread_seconds > 0.4
    assert error.limits == (None, 0.4)
    assert error.last_event == shell.seen[-1]


def test_a_gap_follows_with_reconnect(shell: Shell, switch: Switch) -> None:
    backoff = shell.esl.Backoff(first=0.01, jitter=0)
    peer = shell.connects(switch, reconnect=backoff, **LEFT_ALONE)
    shell.subscribes(peer)
    fill(shell, peer)
    until(lambda: shell.client.connection.end is not None)
    shell.reads()
    switch.lets_in().answers(b"event DTMF", b"Content-Type: command/reply\nReply-Text: +OK\n\n", event(1000))
    until(lambda: shell.seen and shell.seen[-1].sequence == 1000)
    (gap,) = [one for one in shell.seen if one.subclass]
    assert gap.reason.startswith("events were not read for")
    assert gap.seconds > 0.4
    assert stats(shell).reconnects == 1


def test_what_waits_in_the_switch_is_estimated(shell: Shell, switch: Switch) -> None:
    """From the rate while it was read, and the seconds unread: here about 20 a second at least, in five seconds."""
    options = {**LEFT_ALONE, "pause_limit": None, "switch_queue_limit": 1}
    peer = shell.connects(switch, **options)
    shell.subscribes(peer)
    until(lambda: stats(shell).caretaker)
    fill(shell, peer)
    until(lambda: shell.client.connection.end is not None)
    with pytest.raises(shell.esl.ReaderTooSlow) as caught:
        shell.reads().result(PATIENCE)
    assert caught.value.estimated > 1
    assert caught.value.limits == (1, None)


def test_none_is_no_limit(shell: Shell, switch: Switch) -> None:
    peer = shell.connects(switch, queue_limit=10, pause_limit=None, switch_queue_limit=None)
    shell.subscribes(peer)
    fill(shell, peer)
    until(lambda: stats(shell).unread_seconds > 0.3 and stats(shell).paused_seconds > 0.3)
    assert shell.client.connection.end is None


def test_half_of_a_limit_is_one_warning(shell: Shell, switch: Switch, caplog: pytest.LogCaptureFixture) -> None:

    def warned(limit: float) -> None:
        if shell.client is not None:  # from before
            shell.do("close")
        caplog.clear()
        with caplog.at_level(logging.WARNING, "eslcodec"):
            peer = shell.connects(switch, **{**LEFT_ALONE, "pause_limit": limit})
            shell.subscribes(peer)
            fill(shell, peer)
            until(lambda: shell.client.connection.end is not None)
        warnings = [record.getMessage() for record in caplog.records if "at twice as much" in record.getMessage()]
        assert len(warnings) == 1

    with_time(warned, 0.4, 5)


def test_nothing_is_read_for_who_asked_for_nothing(shell: Shell, switch: Switch) -> None:
    peer = shell.connects(switch, **LEFT_ALONE)
    answered = shell.begin("api", "status")
    peer.answers(b"api status", b"Content-Type: api/response\nContent-Length: 2\n\nUP")
    answered.result(PATIENCE)
    assert not shell.client.connection.listens
    assert not getattr(shell.client._link, "_tended", False)


def test_stats_are_whole_over_a_reconnection(shell: Shell, switch: Switch) -> None:
    peer = shell.connects(switch, reconnect=shell.esl.Backoff(first=0.01, jitter=0))
    shell.subscribes(peer)
    shell.reads()
    flood(peer, 5)
    until(lambda: len(shell.seen) == 5)
    before = stats(shell)
    assert (before.received_events, before.dropped, before.queued, before.reconnects) == (5, 0, 0, 0)
    peer.close()
    switch.lets_in().answers(b"event DTMF", b"Content-Type: command/reply\nReply-Text: +OK\n\n", event(6), event(7))
    until(lambda: len(shell.seen) == 8)
    after = stats(shell)
    assert (after.received_events, after.reconnects) == (7, 1)
    assert after.received_bytes > before.received_bytes > 5 * len(event(1))


def test_dropping_keeps_the_newest_with_nobody_reading(shell: Shell, switch: Switch) -> None:
    peer = shell.connects(switch, queue_limit=10, when_full="drop", pause_limit=5)
    shell.subscribes(peer)
    flood(peer, 100)
    until(lambda: stats(shell).dropped == 90)
    assert stats(shell).queued == 10
    assert shell.client.connection.end is None
    assert shell.event().sequence == 91


def test_the_emulated_switch_stands_still_for_nobody_with_our_defaults(esl: ModuleType) -> None:
    """What a reader that is left alone with the limits off does to others, and one with limits does not."""
    with Emulator(queue_limit=50, fault=Fault.freeze()) as switch:
        other = esl.connect(switch.host, switch.port)
        slow = esl.connect(switch.host, switch.port, queue_limit=10, pause_limit=0.3)
        bounds = part(esl, "limits")
        before = bounds.UNREAD_SECONDS, bounds.CARETAKER_SECONDS
        bounds.UNREAD_SECONDS, bounds.CARETAKER_SECONDS = 0.05, 0.02
        try:
            slow.subscribe("ALL")
            fired = 0
            while slow.connection.end is None:
                switch.fire("DTMF", body="x" * 100_000)
                fired += 1
                assert other.api("status", timeout=PATIENCE).ok
                assert not switch.frozen
                time.sleep(0.01 if fired < 40 else 0.1)  # so that the client's thread, which may be late, has its turn
            assert fired >= 10
            assert other.api("status").ok
        finally:
            bounds.UNREAD_SECONDS, bounds.CARETAKER_SECONDS = before
            slow.close()
            other.close()


# The caretaker of the blocking client


@pytest.fixture
def sync_shell(esl: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    monkeypatch.setattr(part(esl, "limits"), "UNREAD_SECONDS", 0.05)
    monkeypatch.setattr(part(esl, "limits"), "CARETAKER_SECONDS", 0.02)
    shell = Shell(esl, "sync")
    yield shell
    shell.close()


def test_the_caretaker_reads_when_nobody_else_does(sync_shell: Shell, switch: Switch) -> None:
    peer = sync_shell.connects(switch)
    sync_shell.subscribes(peer)
    flood(peer, 3)
    until(lambda: len(sync_shell.client.connection.queue) == 3)  # nobody has asked for them
    assert "eslcodec-caretaker" in [thread.name for thread in threading.enumerate()]


def test_the_caretaker_sends_the_probes_of_keepalive(sync_shell: Shell, switch: Switch) -> None:
    peer = sync_shell.connects(switch, keepalive=0.5)
    sync_shell.subscribes(peer)
    assert peer.command() == b"filter delete Eslcodec-Probe"
    until(lambda: sync_shell.client.connection.end is not None)
    assert "nothing was received" in sync_shell.client.connection.end.reason


def test_the_caretaker_has_a_due_reconnection_tried(sync_shell: Shell, switch: Switch) -> None:
    peer = sync_shell.connects(switch, reconnect=sync_shell.esl.Backoff(first=0.01, jitter=0))
    sync_shell.subscribes(peer)
    peer.close()
    switch.lets_in().answers(b"event DTMF", b"Content-Type: command/reply\nReply-Text: +OK\n\n", event(1))
    until(lambda: len(sync_shell.client.connection.queue) == 2)  # a gap and an event


def test_without_the_caretaker_nothing_is_read(sync_shell: Shell, switch: Switch) -> None:
    peer = sync_shell.connects(switch, caretaker=False)
    sync_shell.subscribes(peer)
    flood(peer, 3)
    until(lambda: sync_shell.client.stats().unread_seconds > 0.2)
    assert (stats(sync_shell).queued, stats(sync_shell).caretaker) == (0, False)
    assert sync_shell.event().sequence == 1


def test_the_environment_leaves_the_caretaker_out(
    sync_shell: Shell, switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESLCODEC_CARETAKER", "0")
    peer = sync_shell.connects(switch)
    sync_shell.subscribes(peer)
    assert not stats(sync_shell).caretaker


def test_where_threads_cannot_be_had_one_line_says_so(
    sync_shell: Shell, switch: Switch, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    peer = sync_shell.connects(switch)
    caretaker = part(sync_shell.esl, "_caretaker").Caretaker()
    for room in ("sync._link", "sync._client"):
        monkeypatch.setattr(part(sync_shell.esl, room), "CARETAKER", caretaker)
    begun = sync_shell.begin("subscribe", "DTMF")
    with monkeypatch.context() as patch:  # to close the client the shell may need another thread
        patch.setattr(threading.Thread, "start", refuse)
        peer.answers(b"event DTMF", b"Content-Type: command/reply\nReply-Text: +OK\n\n")
        begun.result(PATIENCE)
    assert not stats(sync_shell).caretaker
    assert [record.getMessage() for record in caplog.records if "no caretaker" in record.getMessage()] == [
        "no caretaker: unread events will pile up in the switch: can't start new thread"
    ]


def test_the_caretaker_keeps_nothing_alive(esl: ModuleType) -> None:
    with Emulator() as switch:
        fs = esl.connect(switch.host, switch.port)
        fs.subscribe("DTMF")
        gone = weakref.ref(fs._link)
        fs.close()
        del fs
        until(lambda: gc.collect() is not None and gone() is None)


def test_who_uses_the_codec_only_never_gets_a_thread() -> None:
    program = """
import threading, eslcodec
decoder = eslcodec.Decoder()
decoder.feed(b"Content-Type: auth/request\\n\\n")
list(decoder)
import eslcodec.sync
print([thread.name for thread in threading.enumerate()])
"""
    ran = subprocess.run([sys.executable, "-c", program], cwd="/", capture_output=True, text=True, timeout=60)
    assert ran.stdout == "['MainThread']\n", ran.stderr
