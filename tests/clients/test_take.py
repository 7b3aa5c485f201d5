"""`take`: what `events` would give, as lists. One suite for both clients."""

from __future__ import annotations

import asyncio
import random
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from types import ModuleType
from typing import Any

import pytest
from connection_support import LOG
from interrupt_support import Interrupt, raise_at
from reconnect_support import quick
from reconnect_support import shell as shell
from reconnect_support import switch as switch
from shells import ENABLED, PATIENCE, Shell, Switch, event, until
from support import FAREWELL, notice, part, plain

from eslcodec.emulator import Emulator


def numbers(events: list[Any]) -> list[Any]:
    """Their Event-Sequence, "gap" for a gap."""
    return ["gap" if one.subclass else one.sequence for one in events]


def take(shell: Shell, most: int = 1000, timeout: float | None = PATIENCE) -> list[Any]:
    return numbers(shell.do("take", most, timeout))


def take_all(shell: Shell, wanted: int, most: int = 1000) -> list[Any]:
    """One list after the other, until so many events came."""
    got: list[Any] = []
    while len(got) < wanted:
        batch = take(shell, most)
        assert 0 < len(batch) <= most
        got += batch
    return got


def subscribed(shell: Shell, switch: Switch, **options: Any) -> Any:
    peer = shell.connects(switch, **options)
    shell.subscribes(peer)
    return peer


def received(shell: Shell, events: int) -> None:
    """So many events are in the queue, though nobody reads."""

    def are_there() -> bool:
        if shell.kind == "sync":
            shell.client._link.look()
        return bool(shell.client.stats().received_events >= events)

    until(are_there)


def test_what_waits_comes_at_once_in_order(shell: Shell, switch: Switch) -> None:
    peer = subscribed(shell, switch)
    peer.sends(*map(event, range(1, 8)))
    received(shell, 7)
    assert take(shell, 3, timeout=0) == [1, 2, 3]
    assert take(shell, 1, timeout=None) == [4]
    assert take(shell) == [5, 6, 7]
    assert shell.client.stats().queued == shell.client.stats().queued_bytes == 0
    assert shell.client.stats().received_events == 7


def test_without_arguments(shell: Shell, switch: Switch) -> None:
    peer = subscribed(shell, switch)
    assert shell.do("take") == []
    peer.sends(*map(event, range(1, 1502)))
    received(shell, 1501)
    got = numbers(shell.do("take"))
    assert got == list(range(1, 1001))
    assert numbers(shell.do("take", max=600, timeout=PATIENCE)) == list(range(1001, 1502))


@pytest.mark.parametrize("timeout", [0, -1, 0.01])
def test_nothing_in_time_is_an_empty_list(shell: Shell, switch: Switch, timeout: float) -> None:
    peer = subscribed(shell, switch)
    assert take(shell, timeout=timeout) == []
    peer.sends(event(1))
    assert take(shell) == [1]
    assert take(shell, timeout=timeout) == []


def test_no_wait_still_takes_what_has_come_to_the_socket(shell: Shell, switch: Switch) -> None:
    peer = subscribed(shell, switch)
    peer.sends(event(1), event(2))
    got: list[Any] = []
    until(lambda: got.extend(take(shell, timeout=0)) or len(got) == 2)
    assert got == [1, 2]


@pytest.mark.parametrize("timeout", [PATIENCE, None])
def test_it_waits_for_the_first(shell: Shell, switch: Switch, timeout: float | None) -> None:
    peer = subscribed(shell, switch)
    taking = shell.begin("take", 5, timeout)
    peer.sends(event(1))
    assert numbers(taking.result(PATIENCE)) == [1]


@pytest.mark.parametrize("most", [0, -1])
def test_less_than_one_is_refused(shell: Shell, switch: Switch, most: int) -> None:
    shell.connects(switch)
    with pytest.raises(ValueError, match=rf"max is {most}, expected 1 or more"):
        shell.do("take", most)


def test_other_messages_are_passed_over_as_events_does(shell: Shell, switch: Switch) -> None:
    peer = subscribed(shell, switch)
    peer.sends(LOG, event(1), LOG, LOG, event(2), event(3), LOG, plain(b""), LOG)
    received(shell, 4)
    assert take(shell, 2, timeout=0) == [1, 2]  # as many as it may, though others stood before them
    assert take(shell, 2, timeout=0) == [3, None]
    assert take(shell, 2, timeout=0) == []
    peer.sends(LOG)
    until(lambda: shell.do("take", 1, 0) == [] and shell.client.connection.received_bytes > 0)
    taking = shell.begin("take", 2, PATIENCE)
    peer.sends(LOG)
    peer.sends(event(5), LOG)
    assert numbers(taking.result(PATIENCE)) == [5]


# The end


def ends(shell: Shell) -> BaseException:
    """What the next `take` raises."""
    with pytest.raises(shell.esl.ESLError) as caught:
        take(shell)
    return caught.value


def same_as_events(shell: Shell, error: BaseException) -> None:
    again = ends(shell)
    assert again is not error
    assert (type(again), str(again)) == (type(error), str(error))
    with pytest.raises(type(error)) as caught:
        shell.reads().result(PATIENCE)
    assert str(caught.value) == str(error)


@pytest.mark.parametrize("most", [1, 2, 1000])
def test_a_lost_connection_is_raised_once_everything_is_taken(shell: Shell, switch: Switch, most: int) -> None:
    peer = subscribed(shell, switch)
    peer.sends(*map(event, range(1, 6)))
    peer.close()
    assert take_all(shell, 5, most) == [1, 2, 3, 4, 5]
    error = ends(shell)
    assert type(error) is shell.esl.ConnectionClosed
    assert "the switch closed the connection" in str(error)
    same_as_events(shell, error)


def test_damage_is_raised_once_everything_is_taken(shell: Shell, switch: Switch) -> None:
    peer = subscribed(shell, switch)
    peer.sends(event(1), LOG, event(2), b"Content-Length: x\n\n")
    assert take_all(shell, 2) == [1, 2]
    error = ends(shell)
    assert isinstance(error, shell.esl.InvalidContentLength)
    same_as_events(shell, error)


def test_a_final_notice_is_raised_once_everything_is_taken(shell: Shell, switch: Switch) -> None:
    peer = subscribed(shell, switch)
    peer.sends(event(1), notice(b"Disconnected: go away\n"), event(2))
    assert take_all(shell, 1) == [1]
    same_as_events(shell, ends(shell))


@pytest.mark.parametrize("good_bye", [True, False])
def test_a_clean_end_is_no_empty_list(shell: Shell, switch: Switch, good_bye: bool) -> None:
    """That would be a loop without a pause. `events` just ends, and `next_event` raises the same."""
    peer = subscribed(shell, switch)
    peer.sends(event(1), event(2))
    received(shell, 2)
    if good_bye:
        peer.sends(notice(FAREWELL))
    else:
        shell.do("close")
    assert take(shell, 1) == [1]
    assert take(shell, 2) == [2]
    error = ends(shell)
    assert type(error) is shell.esl.ConnectionClosed
    with pytest.raises(shell.esl.ConnectionClosed) as caught:
        shell.event()
    assert str(caught.value) == str(error)
    assert shell.reads().result(PATIENCE) == []


def test_closing_ends_a_wait(shell: Shell, switch: Switch) -> None:
    subscribed(shell, switch)
    taking = [shell.begin("take", 1, timeout) for timeout in (None, PATIENCE)]
    shell.do("close")
    for one in taking:
        with pytest.raises(shell.esl.ConnectionClosed, match="closed by us"):
            one.result(PATIENCE)


def test_reader_too_slow_is_raised_once_everything_is_taken(
    shell: Shell, switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    bounds = part(shell.esl, "limits")
    monkeypatch.setattr(bounds, "UNREAD_SECONDS", 0.05)
    monkeypatch.setattr(bounds, "CARETAKER_SECONDS", 0.02)
    peer = subscribed(shell, switch, queue_limit=10, pause_limit=0.2, switch_queue_limit=None)
    sent = count(1)
    with suppress(ConnectionError):  # the client may end it before all are sent, or before we see that it is full
        until(lambda: peer.sends(event(next(sent))) or shell.client.stats().queued >= 10)
        for _ in range(100):
            peer.sends(event(next(sent)))
    until(lambda: shell.client.connection.end is not None)
    queued = shell.client.stats().queued
    assert take_all(shell, queued, 3) == list(range(1, queued + 1))
    error = ends(shell)
    assert isinstance(error, shell.esl.ReaderTooSlow)
    assert error.last_event.sequence == queued


# Reconnection


def test_a_gap_stands_between_the_events(shell: Shell, switch: Switch) -> None:
    peer = subscribed(shell, switch, reconnect=quick(shell.esl))
    peer.sends(event(1), event(2))
    received(shell, 2)
    peer.close()
    until(lambda: shell.client.connection.end is not None or take_none(shell))
    assert take(shell) == [1, 2]
    taking = shell.begin("take", 1000, PATIENCE)
    peer = switch.lets_in()
    peer.answers(b"event DTMF", ENABLED, event(4))
    got = taking.result(PATIENCE)
    gap = got[0]
    assert (gap.last_sequence, type(gap)) == (2, shell.esl.Gap)
    assert numbers(got) + (take(shell) if len(got) == 1 else []) == ["gap", 4]
    assert (gap.same_core, gap.at_most) == (True, 1)
    assert shell.client.stats().reconnects == 1


def take_none(shell: Shell) -> bool:
    """Have the end noticed: a blocking client notices what somebody reads."""
    if shell.kind == "sync":
        shell.client._link.has_ended()
    return False


def test_a_final_end_while_connecting_again(shell: Shell, switch: Switch) -> None:
    peer = subscribed(shell, switch, reconnect=quick(shell.esl))
    taking = shell.begin("take", 1000, PATIENCE)
    peer.close()
    switch.refuses()
    with pytest.raises(shell.esl.AuthError):
        taking.result(PATIENCE)
    assert isinstance(ends(shell), shell.esl.AuthError)


def test_nothing_in_time_while_there_is_no_connection(shell: Shell, switch: Switch) -> None:
    peer = subscribed(shell, switch, reconnect=shell.esl.Backoff(first=1000, longest=1000, jitter=0))
    peer.sends(event(1))
    received(shell, 1)
    peer.close()
    assert take(shell) == [1]
    assert take(shell, timeout=0.1) == []
    assert take(shell, timeout=0) == []


# Several readers


@pytest.mark.parametrize("verbs", [("take", "take"), ("take", "next_event"), ("next_event", "take", "take")])
def test_several_readers_get_each_event_once(shell: Shell, switch: Switch, verbs: tuple[str, ...]) -> None:
    peer = subscribed(shell, switch)
    seen: list[int] = []

    def read(verb: str) -> None:
        arguments = (7, PATIENCE) if verb == "take" else (PATIENCE,)
        mine: list[int] = []
        with suppress(shell.esl.ConnectionClosed):
            while True:
                got = shell.do(verb, *arguments)
                mine += [one.sequence for one in (got if isinstance(got, list) else [got])]
        assert mine == sorted(mine)
        seen.extend(mine)

    readers = [threading.Thread(target=read, args=(verb,)) for verb in verbs]
    for reader in readers:
        reader.start()
    for begin in range(1, 401, 20):
        peer.sends(*map(event, range(begin, begin + 20)))
    peer.close()
    for reader in readers:
        reader.join(PATIENCE)
    assert sorted(seen) == list(range(1, 401))


def test_who_waits_longer_gets_what_comes_later(shell: Shell, switch: Switch) -> None:
    peer = subscribed(shell, switch)
    long = [shell.begin("take", 1, timeout) for timeout in (PATIENCE, None)]
    short = [shell.begin("take", 1, timeout) for timeout in (0.05, 0.01, 0.03)]
    assert [one.result(PATIENCE) for one in short] == [[], [], []]
    assert [one.done() for one in long] == [False, False]
    peer.sends(event(1), event(2))
    assert sorted(numbers([*long[0].result(PATIENCE), *long[1].result(PATIENCE)])) == [1, 2]


@pytest.mark.parametrize("verb", ["take", "next_event"])
def test_what_another_thread_takes_first_ends_no_wait(esl: ModuleType, verb: str) -> None:
    with Emulator() as switch, esl.connect(switch.host, switch.port, caretaker=False) as fs:
        fs.subscribe("DTMF")
        stolen: list[Any] = []

        def steal() -> None:  # when the lock is free again, and before the reader looks
            if not stolen and fs._queue:
                stolen.append(fs._queue.popleft())
                switch.fire("DTMF", {"Number": "2"})

        fs._link._woken, fs._link._open_gates = [None], steal
        switch.fire("DTMF", {"Number": "1"})
        got = getattr(fs, verb)(timeout=PATIENCE)
        assert stolen[0]["Number"] == "1"
        assert (got[0] if verb == "take" else got)["Number"] == "2"


# The queue and its bounds


@pytest.mark.parametrize("most", [1, 3, 1000])
def test_taking_lets_the_socket_be_read_again(shell: Shell, switch: Switch, most: int) -> None:
    peer = subscribed(shell, switch, queue_limit=5, queue_hard_limit=10)
    sending = threading.Thread(target=lambda: [peer.sends(event(number)) for number in range(1, 301)])
    sending.start()
    assert take_all(shell, 300, most) == list(range(1, 301))
    sending.join(PATIENCE)
    assert take(shell, timeout=0) == []
    assert shell.client.stats().queued_bytes == 0


def test_the_oldest_are_dropped_by_choice(shell: Shell, switch: Switch) -> None:
    peer = subscribed(shell, switch, queue_limit=5, when_full="drop")
    peer.sends(*map(event, range(1, 21)))
    received(shell, 20)
    got = take(shell, 3)
    got += take(shell)
    assert got == list(range(21 - len(got), 21))
    assert shell.client.dropped == 20 - len(got)


def test_commands_get_their_replies_between_takes(shell: Shell, switch: Switch) -> None:
    peer = subscribed(shell, switch)
    asked = shell.begin("api", "status")
    peer.answers(b"api status", event(1), b"Content-Type: api/response\nContent-Length: 2\n\nUP", event(2))
    assert asked.result(PATIENCE).text == "UP"
    assert take_all(shell, 2) == [1, 2]


def test_random_lists_are_what_events_gives(shell: Shell, switch: Switch) -> None:
    chance = random.Random(16)
    peer = subscribed(shell, switch)
    data = b"".join(chance.choice([b"", LOG]) + event(number) for number in range(1, 501)) + notice(FAREWELL)
    sending = threading.Thread(target=send_in_pieces, args=(peer, data, chance))
    sending.start()
    got: list[Any] = []
    while len(got) < 500:
        batch = take(shell, most := chance.randint(1, 9), chance.choice([0, 0.001, PATIENCE, None]))
        assert len(batch) <= most
        got += batch
    sending.join(PATIENCE)
    assert got == list(range(1, 501))
    assert "good-bye" in str(ends(shell))


def send_in_pieces(peer: Any, data: bytes, chance: random.Random) -> None:
    at = 0
    while at < len(data):
        size = chance.choice([1, 100, 5000])
        peer.sends(data[at : at + size])
        at += size


# Interrupted: no event is lost


def interrupted(esl: ModuleType, part_of: Any, fs: Any, step: int) -> tuple[list[Any], bool]:
    """One `take` with an exception at its `step`th line there; what it gave, and whether it came so far."""
    before = sys.gettrace()
    trace, where = raise_at(step, str(part_of.__file__))
    sys.settrace(trace)
    try:
        return fs.take(2, timeout=5), bool(where)
    except Interrupt:
        return [], True
    finally:
        sys.settrace(before)


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("place", "queued"),
    [
        *(("sync._client", True), ("message_queue", True)),
        *((place, False) for place in ("sync._client", "message_queue", "sync._link", "connection")),
    ],
)
def test_an_exception_at_any_line_loses_no_event(esl: ModuleType, place: str, queued: bool) -> None:
    step, more = 0, True
    with Emulator() as switch:
        while more:
            step += 1
            with esl.connect(switch.host, switch.port, caretaker=False) as fs:
                fs.subscribe("DTMF", timeout=5)
                for number in (1, 2, 3):
                    switch.fire("DTMF", {"Number": str(number)})
                if queued:
                    until(lambda: fs._link.look() or fs.connection.received_events == 3)
                got, more = interrupted(esl, part(esl, place), fs, step)
                with suppress(esl.ConnectionClosed):
                    while len(got) < 3:
                        got += fs.take(timeout=5)
                whole = [one["Number"] for one in got] == ["1", "2", "3"]
                assert whole or "interrupted" in fs.connection.end.reason, step
                assert fs.stats().queued_bytes == 0
    assert step > 5


@pytest.mark.heavy
@pytest.mark.parametrize("queued", [True, False])
@pytest.mark.parametrize("place", ["aio._readers", "aio._client", "message_queue"])
def test_an_exception_at_any_line_on_asyncio_loses_no_event(esl: ModuleType, place: str, queued: bool) -> None:
    async def once(switch: Emulator, step: int) -> bool:
        async with part(esl, "aio").connect(switch.host, switch.port) as fs:
            await fs.subscribe("DTMF")
            for number in (1, 2, 3):
                switch.fire("DTMF", {"Number": str(number)})
            while queued and fs.connection.received_events < 3:
                await asyncio.sleep(0.001)
            got: list[Any] = []
            before = sys.gettrace()
            trace, where = raise_at(step, str(part(esl, place).__file__))
            sys.settrace(trace)
            try:
                got = await fs.take(2, timeout=5)
            except (Interrupt, esl.ConnectionClosed):
                pass
            finally:
                sys.settrace(before)
            with suppress(esl.ConnectionClosed):
                while len(got) < 3:
                    got += await fs.take(timeout=5)
            whole = [one["Number"] for one in got] == ["1", "2", "3"]
            assert whole or "the connection was lost" in fs.connection.end.reason, where  # asyncio's word for it
            assert fs.stats().queued_bytes == 0
            return bool(where)

    with Emulator() as switch:
        step = 1
        while asyncio.run(once(switch, step)):
            step += 1
    assert step > 2


# Of asyncio alone


def on_asyncio(esl: ModuleType, use: Callable[[Any, Emulator], Any], **options: Any) -> None:
    async def main(switch: Emulator) -> None:
        async with part(esl, "aio").connect(switch.host, switch.port, **options) as fs:
            await fs.subscribe("DTMF")
            await use(fs, switch)

    with Emulator() as switch:
        asyncio.run(main(switch))


def test_a_cancelled_take_loses_nothing(esl: ModuleType) -> None:
    async def use(fs: Any, switch: Emulator) -> None:
        for timeout in (None, 5, 0.5):
            taking = asyncio.ensure_future(fs.take(timeout=timeout))
            await asyncio.sleep(0)
            taking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await taking
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(fs.take(timeout=None), 0.01)
        switch.fire("DTMF", {"Number": "1"})
        assert [one["Number"] for one in await fs.take(timeout=PATIENCE)] == ["1"]
        assert not fs._inbox.bell.waiting

    on_asyncio(esl, use)


def test_other_tasks_have_their_turn(esl: ModuleType) -> None:
    """However much waits, a reader that never has to wait lets others run."""

    async def use(fs: Any, switch: Emulator) -> None:
        for number in range(1000):
            switch.fire("DTMF", {"Number": str(number)})
        while fs.connection.received_events < 1000:
            await asyncio.sleep(0.001)
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.ensure_future(other())
        got = [one for _ in range(500) for one in await fs.take(2)]
        assert [int(one["Number"]) for one in got] == list(range(1000))
        assert turns >= 1000 // 128
        task.cancel()

    on_asyncio(esl, use)


def test_one_timer_serves_many_calls(esl: ModuleType) -> None:
    async def use(fs: Any, switch: Emulator) -> None:
        planned: list[float] = []
        call_at = fs._loop.call_at
        fs._loop.call_at = lambda when, *rest, **more: planned.append(when) or call_at(when, *rest, **more)
        for number in range(50):
            taking = asyncio.ensure_future(fs.take(timeout=PATIENCE))
            await asyncio.sleep(0)
            switch.fire("DTMF", {"Number": str(number)})
            assert [one["Number"] for one in await taking] == [str(number)]
        of_take = [when for when in planned if when > 0]
        assert len(of_take) < 25  # one, and one each second
        assert await fs.take(timeout=0.01) == []

    on_asyncio(esl, use)
