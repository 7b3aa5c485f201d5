"""A read of nothing but events goes to the queue as a whole: with every count as if each message were looked at.

The same bytes, in the same pieces, go to two connections: the second one takes every message on its own.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest
from connection_support import LINGER, LOG, event, execution, job
from sizes import HEAVY
from support import ACCEPTED, AUTH, FAREWELL, api_response, capture, naive_frames, notice, part, receive, reply

CASES = int(120 * HEAVY)
OK = reply(b"+OK")
CONNECTED = (
    b"Event-Name: CHANNEL_DATA\nUnique-ID: u-1\nContent-Type: command/reply\nReply-Text: %2BOK%0A\n"
    b"Socket-Mode: async\nControl: full\n\n"
)
CAPTURES = ("sip_plain", "churn_plain", "calls_sip", "sip_json", "sip_xml", "callcenter")
DAMAGE = [b"Content-Length: x\n\n", b"Content-Length: 1\nContent-Length: 2\n\n", b"Content-Type: text/event-json\n\n"]


def captured_events(name: str, most: int = 60) -> list[bytes]:
    frames = [block + (body or b"") for block, body in naive_frames(capture(name))]
    return [frame for frame in frames if b"Content-Type: text/event-" in frame[:200]][:most]


@pytest.fixture(scope="module")
def events() -> list[bytes]:
    """Of a switch, and short ones."""
    real = [frame for name in CAPTURES for frame in captured_events(name)]
    assert len(real) > 100
    return real + [event(b"DTMF", b"Event-Sequence: %d" % number, b"Unique-ID: u-1") for number in range(40)]


class Pair:
    """Two connections with the same options; everything is done to both."""

    def __init__(self, esl: ModuleType, chance: random.Random, kind: str = "", again: bool | None = None) -> None:
        self._esl = esl
        self._module = part(esl, "connection")
        self.chance = chance
        self.kind = kind or chance.choice(["inbound", "inbound", "outbound"])
        self.again = chance.random() < 0.3 if again is None else again  # whether there was a connection before
        bounds = {"max_header_bytes": 100_000, "max_body_bytes": 200_000}
        limit = chance.choice([1, 3, 10, 4096])
        options: dict[str, Any] = {"queue_limit": limit, "queue_hard_limit": limit + chance.choice([0, 2, 50])}
        options["when_full"] = chance.choice(["pause", "pause", "drop"])
        self.sides = [self._made(**options, **bounds) for _ in range(2)]
        self.waits: list[list[Any]] = [[], []]
        self.woken = [0, 0]
        self.taken: list[list[bytes]] = [[], []]

    def _made(self, **options: Any) -> Any:
        if self.again:
            options["subscriptions"] = part(self._esl, "subscriptions").Subscriptions()
            options["subscriptions"].add(["ALL"])
            last = event(b"DTMF", b"Core-UUID: c-1", b"Event-Sequence: 3").partition(b"\n\n")[2]
            before = self._esl.Event.from_payload(last, "plain")
            options["gap"] = lambda: self._esl.Gap.of(2.5, "gone", before)
        return getattr(self._module.Connection, self.kind)(**options)

    @contextmanager
    def slowly(self, connection: Any) -> Iterator[None]:
        """Every message is looked at, whatever came with it."""
        before, connection._decoder = connection._decoder, Slow(connection._decoder)
        only, self._module._ONLY_EVENTS = self._module._ONLY_EVENTS, frozenset()
        try:
            yield
        finally:
            connection._decoder, self._module._ONLY_EVENTS = before, only

    def hears(self, data: bytes, buffered: bool) -> None:
        fast, slow = self.sides
        hear: Callable[[Any], None] = lambda one: receive(one, data) if buffered else one.receive(data)  # noqa: E731
        before = fast._decoder.consumed
        hear(fast)
        with self.slowly(slow):
            hear(slow)
        if fast._decoder.consumed == before:  # no message: who waits may be woken once more
            self.woken[1] = self.woken[0]

    def does(self, what: Callable[[Any], Any]) -> None:
        for side, connection in enumerate(self.sides):
            try:
                made = what(connection)
            except self._esl.ESLError as error:
                self.taken[side].append(f"{type(error).__name__} {error}".encode())
            else:
                waits = [one for one in (made if isinstance(made, tuple) else (made,)) if hasattr(one, "watch")]
                for wait in waits:
                    wait.watch(lambda side=side: self._wake(side))
                self.waits[side] += waits

    def _wake(self, side: int) -> None:
        self.woken[side] += 1

    def reads(self, most: int, back: bool) -> None:
        for side, connection in enumerate(self.sides):
            got: list[Any] = []
            connection.queue.take_events(most, got)
            if back:
                connection.queue.put_back(got)
            else:
                self.taken[side] += [one.frame for one in got]

    def state(self, side: int) -> Any:
        connection = self.sides[side]
        end = connection.end
        error = end and end.error()
        return (
            [(type(one).__name__, one.frame) for one in connection.queue],
            *(connection.queue.size, connection.queue.size_at_most, connection.dropped, connection.received_events),
            *(connection.received_bytes, connection.last_event and connection.last_event.frame),
            *(connection.wants_data, connection.queue_is_full, connection.hung_up, connection.gap_told),
            connection._decoder.consumed,
            end and (end.reason, end.asked, end.clean, type(error).__name__, str(error), end.refused),
            connection.flow.estimated,
            *(self.woken[side], [wait.done for wait in self.waits[side]], self.taken[side]),
            [(getattr(one, "same_core", None), getattr(one, "at_most", None)) for one in connection.queue],
        )

    def compare(self) -> None:
        assert self.state(0) == self.state(1)
        assert self.sides[0].data_to_send() == self.sides[1].data_to_send()


class Slow:
    """A decoder that does not know that a read brought only events."""

    def __init__(self, decoder: Any) -> None:
        self._decoder = decoder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._decoder, name)

    def drain(self, messages: list[Any], kind: type) -> bool:
        messages.extend(self._decoder)
        return False


def greeting(pair: Pair) -> bytes:
    return AUTH + ACCEPTED if pair.kind == "inbound" else CONNECTED


def act(pair: Pair, number: int) -> list[bytes]:
    """One thing that a client does, and what the switch sends for that."""
    chance = pair.chance
    what = chance.choice(["api", "job", "subscribe", "filter", "log", "nixevent", "dtmf", "run", "heed", "nothing"])
    if what == "api":
        pair.does(lambda one: one.api("status"))
        return [api_response(b"UP")]
    if what == "job":
        pair.does(lambda one: one.bgapi("status", job_uuid=f"j-{number}"))
        return [chance.choice([OK * 2, OK, b""]), chance.choice([b"", job(f"j-{number}")])]
    if what == "subscribe":
        pair.does(lambda one: one.subscribe(chance_name(number)))
    elif what == "filter":
        pair.does(lambda one: one.filter("Event-Name", chance_name(number)))
    elif what == "log":
        pair.does(lambda one: one.log(7))
    elif what == "nixevent":
        pair.does(lambda one: one.unsubscribe("DTMF"))
    elif what == "dtmf":
        pair.does(lambda one: one.digit())
    elif what == "run":
        pair.does(lambda one: one.run("playback", "x.wav", event_uuid=f"e-{number}"))
        names = (b"CHANNEL_EXECUTE", b"CHANNEL_EXECUTE_COMPLETE")
        return [OK * 2, *(execution(name, f"e-{number}") for name in names)]
    elif what == "heed":
        since = chance.choice([None, float(number)])
        pair.does(lambda one: one.heed(float(number), since))
        return []
    return [chance.choice([OK, OK, b""])]


def chance_name(number: int) -> str:
    return ("DTMF", "CHANNEL_ANSWER", "HEARTBEAT")[number % 3]


def other(pair: Pair) -> bytes:
    """What is no event, or no usual one."""
    hangup = event(b"CHANNEL_HANGUP", b"Unique-ID: u-1", b"Hangup-Cause: USER_BUSY")
    odd = [LOG, LINGER, hangup, event(b""), b"Content-Type: x/y\n\n", job("j-1"), OK, *DAMAGE]
    last = [notice(FAREWELL), notice(b"Disconnected: too slow\n"), b"Content-Type: text/rude-rejection\n\n"]
    return pair.chance.choice([*odd[:6], *odd[:6], *odd, *last])


def one_case(esl: ModuleType, seed: int, events: list[bytes]) -> Pair:
    chance = random.Random(seed)
    pair = Pair(esl, chance)
    rest, number = b"", 0
    again = chance.randint(1, 5) if pair.again else 0  # when what was subscribed to before is granted
    odd = chance.choice([0, 0, 0.02, 0.2])
    deeds = chance.choice([0, 0.05, 0.3])
    sizes = chance.choice([(1, 7, 200), (500, 5000), (4000, 60_000)])
    for step in range(60):
        come = [greeting(pair) if step == 0 else b"".join(chance.choices(events, k=chance.choice([0, 1, 2, 15])))]
        if step and step == again:
            come.append(OK)
        if chance.random() < odd:
            come.append(other(pair))
        if step > again and chance.random() < deeds:
            number += 1
            come += act(pair, number)
        for data in come:
            rest += data
            whole = step == 0 or chance.random() < 0.7
            while len(rest) > (0 if whole else 1000):
                size = min(max(chance.choice(sizes), len(rest) // 8), len(rest))
                pair.hears(rest[:size], chance.random() < 0.5)
                rest = rest[size:]
                pair.compare()
        if chance.random() < 0.3:
            pair.reads(chance.choice([1, 2, 20, 1000]), chance.random() < 0.3)
            pair.compare()
    for connection in pair.sides:
        connection.receive_eof()
    pair.compare()
    return pair


@pytest.mark.heavy
@pytest.mark.parametrize("block", range(6))
def test_a_read_of_events_counts_as_its_messages_do(esl: ModuleType, events: list[bytes], block: int) -> None:
    received = []
    for seed in range(block * CASES // 6, (block + 1) * CASES // 6):
        pair = one_case(esl, seed, events)
        received.append(pair.sides[0].received_events)
    assert max(received) > 50


@pytest.mark.parametrize("limit", range(1, 9))
@pytest.mark.parametrize("when_full", ["pause", "drop"])
def test_a_limit_that_is_reached_at_any_message_of_a_read(esl: ModuleType, limit: int, when_full: str) -> None:
    def state(slow: bool) -> Any:
        pair = Pair(esl, random.Random(1))
        one = pair._module.Connection.inbound("x", queue_limit=limit, queue_hard_limit=limit + 1, when_full=when_full)
        one.receive(AUTH + ACCEPTED)
        woken: list[int] = []
        one.api("status").watch(lambda: woken.append(len(one.queue)))
        seen = []
        for number in range(0, 8, 2):
            data = b"".join(event(b"DTMF", b"Event-Sequence: %d" % (number + at)) for at in (1, 2))
            with pair.slowly(one) if slow else nothing():
                one.receive(data)
            seen.append((one.wants_data, one.queue_is_full, one.dropped, one.queue.size, list(woken)))
        return seen, [message.frame for message in one.queue]

    assert state(slow=True) == state(slow=False)


@contextmanager
def nothing() -> Iterator[None]:
    yield


@pytest.mark.parametrize("before", range(6))
@pytest.mark.parametrize("damage", [*DAMAGE, notice(FAREWELL), notice(b"killed\n")])
def test_what_ends_the_connection_after_some_events(esl: ModuleType, before: int, damage: bytes) -> None:
    data = b"".join(event(b"DTMF", b"Event-Sequence: %d" % number) for number in range(before))
    pair = Pair(esl, random.Random(0))
    pair.hears(greeting(pair), buffered=False)
    pair.hears(data + damage + event(b"DTMF"), buffered=True)
    pair.compare()
    fast = pair.sides[0]
    assert fast.received_events == before
    assert fast.end is not None


NEXT = event(b"DTMF", b"Core-UUID: c-1", b"Event-Sequence: 9")
HANGUP = event(b"CHANNEL_HANGUP", b"Unique-ID: u-1", b"Hangup-Cause: USER_BUSY")


@pytest.mark.parametrize("reads", [(OK, NEXT), (NEXT, OK), (NEXT, NEXT, OK, NEXT), (OK + NEXT,), (NEXT + OK, NEXT)])
def test_a_gap_learns_from_the_first_event_after_it(esl: ModuleType, reads: tuple[bytes, ...]) -> None:
    pair = Pair(esl, random.Random(0), "inbound", again=True)
    for data in (greeting(pair), *reads):
        pair.hears(data, buffered=True)
        pair.compare()
    gap = pair.sides[0].queue[0]
    assert (gap.same_core, gap.at_most) == (True, 5)


def test_a_channel_that_hangs_up_in_a_read_of_events(esl: ModuleType) -> None:
    pair = Pair(esl, random.Random(0), "outbound", again=False)
    for data in (greeting(pair), NEXT, HANGUP, NEXT):
        pair.hears(data, buffered=True)
        pair.compare()
    assert pair.sides[0].hung_up == "USER_BUSY"


def test_the_result_of_a_job_in_a_read_of_events(esl: ModuleType) -> None:
    pair = Pair(esl, random.Random(0), "inbound", again=False)
    pair.hears(greeting(pair), buffered=True)
    pair.hears(NEXT, buffered=True)
    pair.does(lambda one: one.bgapi("status", job_uuid="j-1"))
    for data in (OK * 2, NEXT + job("j-1") + NEXT):
        pair.hears(data, buffered=True)
        pair.compare()
    assert all(wait.done for waits in pair.waits for wait in waits)
    assert b"j-1" not in b"".join(message.frame for message in pair.sides[0].queue)


# The queue


def test_what_is_put_back_is_the_oldest_again(esl: ModuleType) -> None:
    queue = part(esl, "message_queue").MessageQueue()
    frames = [event(b"DTMF", b"Event-Sequence: %d" % number) for number in range(6)]
    decoder = esl.Decoder()
    for two in (frames[:2], frames[2:4], frames[4:]):
        decoder.feed(b"".join(two))
        queue.take_read(list(decoder), sum(map(len, two)))
    size = sum(map(len, frames))
    for most in range(1, 7):
        got: list[Any] = []
        queue.take_events(most, got)
        assert len(got) == most
        queue.put_back(got)
        assert [message.frame for message in queue] == frames
        assert size <= queue.size <= size + 2 * len(frames[0])  # by one read too much, as it may be
        assert queue.size_at_most >= queue.size
    queue.take_events(6, [])
    assert queue.size == 0


def test_a_list_that_is_full_takes_no_more(esl: ModuleType) -> None:
    queue = part(esl, "message_queue").MessageQueue()
    decoder = esl.Decoder()
    decoder.feed(event(b"DTMF") * 3 + LOG)
    queue.extend(decoder)
    got: list[Any] = []
    queue.take_events(2, got)
    queue.take_events(2, got)
    assert (len(got), len(queue)) == (2, 2)
    queue.take_events(9, got)
    assert (len(got), len(queue)) == (3, 0)
