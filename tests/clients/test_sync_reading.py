"""The blocking client: reading, the queue, and several threads at once."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from support import FAREWELL, api_response, notice
from sync_support import HOST, Peer, Task, collect, event, logged_in, numbers, scripted, until
from sync_support import fs as fs
from sync_support import nothing_left as nothing_left
from sync_support import switch as switch

from eslcodec.emulator import Emulator, Later

# Reading


def test_next_event(esl: ModuleType, fs: Any, switch: Emulator) -> None:
    fs.subscribe("DTMF")
    assert fs.next_event(timeout=0) is None
    assert fs.next_event(timeout=0.01) is None
    fs.log("debug")
    switch.log("info", "no event")
    assert fs.next_event(timeout=0.05) is None
    switch.fire("DTMF", {"DTMF-Digit": "5"})
    assert fs.next_event()["DTMF-Digit"] == "5"
    switch.fire("DTMF", {"DTMF-Digit": "6"})
    until(lambda: fs.next_event(timeout=0) is not None)
    switch.drop()
    with pytest.raises(esl.ConnectionClosed, match=r"^the switch closed the connection$"):
        fs.next_event()
    with pytest.raises(esl.ConnectionClosed, match=r"^the switch closed the connection$"):
        fs.next_event(timeout=1)


def test_iteration_ends_when_nothing_comes(esl: ModuleType, fs: Any, switch: Emulator) -> None:
    fs.subscribe("DTMF")
    for _ in range(3):
        switch.fire("DTMF")
    until(lambda: fs._link.look() or fs.connection.received_events == 3)
    assert [one.name for one in fs.events(timeout=0.05)] == ["DTMF"] * 3
    assert not fs.closed


def test_everything_received_comes_before_the_end(esl: ModuleType) -> None:
    def part(peer: Peer) -> None:
        peer.send(*(event(number) for number in range(100)), b"Content-Type: te")

    with scripted(esl, logged_in(part)) as fs:
        seen: list[Any] = []
        with pytest.raises(esl.ConnectionClosed, match=r"^stream ended in a header block: read 16 bytes") as caught:
            collect(fs.events(), seen)
        assert type(caught.value.__cause__) is esl.IncompleteFrame
        assert numbers(seen) == list(range(100))
        with pytest.raises(esl.ConnectionClosed):
            next(fs.events())


def test_handlers(esl: ModuleType, caplog: pytest.LogCaptureFixture) -> None:
    def part(peer: Peer) -> None:
        peer.send(event(1), event(2, b"CUSTOM", b"Event-Subclass: a::b"), event(3, b"CUSTOM", b"Event-Subclass: c"))
        peer.send(notice(FAREWELL))
        peer.closed()

    called: list[tuple[str, int]] = []

    def recorder(label: str) -> Callable[[Any], None]:
        return lambda one: called.append((label, one.sequence))

    with scripted(esl, logged_in(part)) as fs:

        @fs.on("DTMF")
        def broken(one: Any) -> None:
            raise LookupError("of the handler")

        assert callable(broken)
        fs.on("dtmf", recorder("first"))
        fs.on("DTMF", recorder("second"))
        fs.on("CUSTOM", recorder("a::b"), subclass="a::b")
        fs.on("SWITCH_EVENT_CUSTOM", recorder("custom"))
        fs.on("ALL", recorder("all"))
        fs.run()
    assert called == [
        ("first", 1),
        ("second", 1),
        ("all", 1),
        ("a::b", 2),
        ("custom", 2),
        ("all", 2),
        ("custom", 3),
        ("all", 3),
    ]
    [record] = caplog.records
    assert (record.name, record.getMessage()) == ("eslcodec.client", "a handler of DTMF failed")
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "of the handler"


# Queue


def test_a_reply_behind_more_events_than_may_wait(esl: ModuleType) -> None:
    go_on = threading.Event()

    def part(peer: Peer) -> None:
        peer.expect(b"api one\n\n")
        for number in range(5000):
            peer.send(event(number, b"DTMF", b"Data: " + b"x" * 1000))
        peer.send(api_response(b"one"))
        peer.expect(b"api two\n\n")
        peer.send(api_response(b"two"))
        go_on.wait(20)

    with scripted(esl, logged_in(part), queue_limit=10, queue_hard_limit=50) as fs:
        with pytest.raises(esl.EventQueueFull) as caught:
            fs.api("one")
        assert caught.value.what == "the answer to 'api one'"
        assert caught.value.limit == 50
        assert caught.value.queued == len(fs.connection.queue) < 5000
        assert numbers(itertools.islice(fs.events(), 5000)) == list(range(5000))
        assert fs.api("two").text == "two"
        go_on.set()


def test_dropping_counts_what_it_drops(esl: ModuleType) -> None:
    def part(peer: Peer) -> None:
        peer.expect(b"api one\n\n")
        peer.send(*(event(number) for number in range(1000)), api_response(b"one"))
        peer.closed()

    with scripted(esl, logged_in(part), queue_limit=10, when_full="drop") as fs:
        assert fs.api("one").text == "one"
        assert fs.dropped == 990
        assert numbers(fs.events(timeout=0)) == list(range(990, 1000))


# Threads


def test_many_threads_send_and_many_read(esl: ModuleType, fs: Any, switch: Emulator) -> None:
    switch.api["echo"] = lambda args: args
    fs.subscribe("DTMF")
    count = 2000
    seen: list[list[int]] = [[] for _ in range(4)]

    def read(into: list[int]) -> None:
        for one in fs.events():
            into.append(int(one["Number"]))

    def send(worker: int) -> bool:
        return all(fs.api("echo", f"{worker} {n}").text == f"{worker} {n}" for n in range(200))

    readers = [Task(lambda into=into: read(into)) for into in seen]
    senders = [Task(lambda worker=worker: send(worker)) for worker in range(4)]
    for number in range(count):
        switch.fire("DTMF", {"Number": str(number)})
    assert [sender.result(60) for sender in senders] == [True] * 4
    until(lambda: sum(map(len, seen)) >= count)
    fs.close()
    for reader in readers:
        reader.result()
    assert Counter(number for numbers in seen for number in numbers) == Counter(range(count))
    assert all(numbers == sorted(numbers) for numbers in seen)


def test_closing_ends_every_wait(esl: ModuleType, switch: Emulator) -> None:
    switch.api["slow"] = Later(30, "late")
    switch.hold_jobs = True
    with esl.connect(HOST, switch.port) as fs:
        job = fs.bgapi("status")
        tasks = [
            Task(lambda: list(fs.events())),
            Task(lambda: fs.next_event()),
            Task(lambda: fs.api("slow")),
            Task(lambda: job.result()),
        ]
        switch.wait_for(lambda: "api slow" in switch.commands, 20)
        until(lambda: len(fs._link._followers) == 3)
        begun = time.monotonic()
        Task(fs.close).result()
        assert tasks[0].result() == []
        for task in tasks[1:]:
            with pytest.raises(esl.ConnectionClosed, match=r"^closed by us$"):
                task.result()
        assert time.monotonic() - begun < 20


def test_a_reader_that_leaves_hands_the_reading_on(esl: ModuleType) -> None:
    they_wait, it_left = threading.Event(), threading.Event()

    def part(peer: Peer) -> None:
        peer.expect(b"api slow\n\n" * 3)
        assert they_wait.wait(20)
        peer.send(event(1))
        assert it_left.wait(20)
        peer.send(*[api_response(b"late")] * 3)
        peer.closed()

    with scripted(esl, logged_in(part)) as fs:
        leader = Task(lambda: fs.next_event())
        until(lambda: fs._link._reading)
        followers = [Task(lambda: fs.api("slow").text) for _ in range(3)]
        until(lambda: len(fs._link._followers) == 3)
        they_wait.set()
        assert leader.result().name == "DTMF"
        it_left.set()
        assert [follower.result() for follower in followers] == ["late"] * 3
