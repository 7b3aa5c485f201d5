"""Channels compared with what the switch says: each that ended in a gap is told once, none that did not."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import datetime, timezone
from itertools import islice
from types import ModuleType
from typing import Any

import pytest
from shells import PATIENCE, Shell, Switch, until
from support import api_response, captured, part, plain

EMPTY = '{"row_count": 0}\n'
CORE = b"c-1"


@pytest.fixture(params=["sync", "aio"])
def shell(esl: ModuleType, request: pytest.FixtureRequest) -> Iterator[Shell]:
    shell = Shell(esl, request.param)
    yield shell
    shell.close()


def resync_of(esl: ModuleType) -> Any:
    return part(esl, "ingest.resync")


def channel(esl: ModuleType, name: str, uuid: str, **more: str) -> Any:
    return esl.Event.build(name, {"Unique-ID": uuid, "Core-UUID": "c-1", **more})


def table(*uuids: str, **more: str) -> str:
    rows = [{"uuid": uuid, "callstate": "ACTIVE", **more} for uuid in uuids]
    return json.dumps({"row_count": len(rows), "rows": rows}) if rows else EMPTY


def compared(esl: ModuleType, known: Any, text: str, waiting: list[Any], exists: dict[str, bool], last: bool) -> Any:
    module = resync_of(esl)
    told = module.Comparison(known, module.read_channels(text), waiting).notices("fs1", 1e9, exists, last=last)
    return [(notice.kind, notice.uuid) for notice in told]


# Known


def test_what_is_open(esl: ModuleType) -> None:
    known = resync_of(esl).Known()
    known.see_all(channel(esl, "CHANNEL_CREATE", uuid) for uuid in "abcd")
    known.see(channel(esl, "CHANNEL_HANGUP_COMPLETE", "a"))
    known.see(channel(esl, "CHANNEL_EXECUTE", "a"))  # late
    known.see(channel(esl, "CHANNEL_DESTROY", "b"))
    known.see(channel(esl, "CHANNEL_UUID", "e", **{"Old-Unique-ID": "c"}))
    known.see(esl.Event.build("CUSTOM", subclass="eslcodec::gap"))  # anybody's
    known.see(esl.Event.build("HEARTBEAT"))
    known.see(esl.LogLine(b"Content-Type: log/data\n\n"))
    assert (list(known), len(known), known.doubtful) == (["d", "e"], 2, 0)
    known.see(esl.Gap.of(1, "gone"))
    known.see(channel(esl, "CHANNEL_CREATE", "a"))  # recovered
    assert (sorted(known), known.doubtful) == (["a", "d", "e"], 2)
    notices = part(esl, "ingest.notices")
    known.see(notices.Ended("x", 1.0, "d"))
    known.see(notices.Found("x", 1.0, "f"))
    known.see(notices.Stopped("x", 1.0, "removed"))
    assert (sorted(known), known.doubtful) == (["a", "e", "f"], 1)


def test_what_is_known_is_bounded(esl: ModuleType) -> None:
    known = resync_of(esl).Known(max_open=3)
    known.see_all(channel(esl, "CHANNEL_CREATE", uuid) for uuid in "abac")
    known.see_all(channel(esl, "CHANNEL_CREATE", uuid) for uuid in "de")
    assert list(known) == ["c", "d", "e"]
    with pytest.raises(ValueError, match="max_open"):
        resync_of(esl).Known(0)


# The answer


def test_an_answer_that_is_not_whole_says_nothing(esl: ModuleType) -> None:
    read = resync_of(esl).read_channels
    whole = table("a", "b")
    assert [row.uuid for row in read(whole)] == ["a", "b"]
    texts = [whole[:end] for end in range(len(whole))]
    texts += ["[]", "null", "5", '"x"', '{"row_count":2,"rows":[]}', '{"rows":[{"uuid":"a"}]}', "[" * 100_000]
    texts += ['{"row_count":1,"rows":[{"uuid":""}]}', '{"row_count":1,"rows":[5]}', '{"row_count":1,"rows":[{}]}']
    texts += ['{"row_count":1}', '{"row_count":0,"rows":{}}', "-ERR SQL disabled, no data available!\n", "\n0 total.\n"]
    for text in texts:
        with pytest.raises(ValueError, match="answer"):
            read(text)


def test_a_row(esl: ModuleType) -> None:
    read = resync_of(esl).read_channels
    row = {"uuid": "a", "created_epoch": "1795920738", "direction": "inbound", "cid_num": "", "initial_cid_num": "1000"}
    (found,) = read(json.dumps({"row_count": 1, "rows": [{**row, "dest": "2000", "callstate": "EARLY"}]}))
    assert found.created == datetime.fromtimestamp(1795920738, timezone.utc)
    assert (found.direction, found.caller, found.callee, found.answered) == ("inbound", "1000", "2000", False)
    for epoch in "", "x", "-5", "9" * 30, "99999999999999":
        (odd,) = read(json.dumps({"row_count": 1, "rows": [{"uuid": "a", "created_epoch": epoch}]}))
        assert (odd.created, odd.answered) == (None, None)


# The comparison


def test_only_what_is_in_doubt_can_have_ended(esl: ModuleType) -> None:
    known = resync_of(esl).Known()
    known.see_all(channel(esl, "CHANNEL_CREATE", uuid) for uuid in "ab")
    assert compared(esl, known, EMPTY, [], {}, True) == []  # nothing was missed: the table is late
    known.see(esl.Gap.of(1, "gone"))
    known.see(channel(esl, "CHANNEL_ANSWER", "b"))
    assert compared(esl, known, EMPTY, [], {}, False) == []  # it will be asked again
    assert compared(esl, known, EMPTY, [], {"a": True}, False) == []  # it exists
    known.missed()
    assert compared(esl, known, EMPTY, [], {"a": False}, True) == [("ended", "b"), ("ended", "a")]
    assert compared(esl, known, EMPTY, [], {}, True) == []


def test_what_nobody_has_read_yet_counts(esl: ModuleType) -> None:
    known = resync_of(esl).Known()
    known.see_all(channel(esl, "CHANNEL_CREATE", uuid) for uuid in "abcd")
    known.missed()
    waiting = [
        channel(esl, "CHANNEL_ANSWER", "a"),
        channel(esl, "CHANNEL_HANGUP_COMPLETE", "b"),
        channel(esl, "CHANNEL_UUID", "z", **{"Old-Unique-ID": "c"}),
        channel(esl, "CHANNEL_CREATE", "e"),
        channel(esl, "CHANNEL_CREATE", "f"),
        channel(esl, "CHANNEL_DESTROY", "f"),
    ]
    rows = table("a", "z", "e", "f", "g")
    assert compared(esl, known, rows, [*waiting, esl.Gap.of(1, "gone")], {}, True) == []
    assert known.doubtful == 4
    told = compared(esl, known, rows, waiting, {}, True)
    assert told == [("ended", "d"), ("found", "g")]
    known.see_all(waiting)
    assert sorted(known) == ["a", "e", "g", "z"]


def test_a_channel_that_is_hanging_up_is_not_found(esl: ModuleType) -> None:
    known = resync_of(esl).Known()
    assert compared(esl, known, table("a", callstate="HANGUP"), [], {}, True) == []
    assert compared(esl, known, table("a", state="CS_REPORTING"), [], {}, True) == []


def test_one_that_had_ended_is_found_only_if_it_exists(esl: ModuleType) -> None:
    known = resync_of(esl).Known()
    known.see(channel(esl, "CHANNEL_CREATE", "a"))
    known.see(channel(esl, "CHANNEL_HANGUP_COMPLETE", "a"))
    assert compared(esl, known, table("a"), [], {}, True) == []
    known.missed()
    assert compared(esl, known, table("a"), [], {"a": False}, True) == []
    assert compared(esl, known, table("a"), [], {"a": True}, True) == [("found", "a")]


@pytest.mark.parametrize("offset", [1e18, -1e18, float("inf"), float("nan"), -253_402_300_800.0])
def test_a_clock_beyond_all_times_bounds_nothing(esl: ModuleType, offset: float) -> None:
    module = resync_of(esl)
    known = module.Known()
    known.see(channel(esl, "CHANNEL_CREATE", "a"))
    known.missed()
    [ended] = module.Comparison(known, []).notices("fs1", 1.0, {}, clock_offset=offset)
    assert (ended.uuid, ended.not_after) == ("a", None)


def test_the_bounds_of_an_end(esl: ModuleType) -> None:
    module = resync_of(esl)
    known = module.Known()
    stamp = {"Event-Date-Timestamp": "1795920750251991"}
    known.see(channel(esl, "CHANNEL_CREATE", "a"))
    known.see(esl.Gap.of(1, "gone", channel(esl, "CHANNEL_CREATE", "a", **stamp)))
    known.see(esl.Gap.of(1, "gone", channel(esl, "HEARTBEAT", "", **{"Event-Date-Timestamp": "1795920760000000"})))
    known.see(channel(esl, "CHANNEL_CREATE", "b"))
    first = known._since[0]
    (ended,) = module.Comparison(known, [], []).notices("fs1", 1795920770.5, {}, core_uuid="c-2", clock_offset=0.5)
    assert (ended.uuid, ended.core_uuid) == ("a", "c-2")
    assert ended.not_before == first == datetime(2026, 11, 29, 2, 52, 30, 251991, timezone.utc)
    assert ended.not_after == datetime.fromtimestamp(1795920770, timezone.utc)
    known.see(esl.Gap.of(1, "gone", channel(esl, "CHANNEL_CREATE", "b", **stamp)))
    (ended,) = module.Comparison(known, [], []).notices("fs1", 5.0, {})  # our clock is far behind
    assert ended.not_before == ended.not_after == first


class Model:
    """A switch whose table is late, and a stream with gaps in it."""

    def __init__(self, esl: ModuleType, seed: int) -> None:
        self.esl = esl
        self.chance = random.Random(seed)
        self.alive: set[str] = set()
        self.rows: dict[str, bool] = {}  # the table
        self.late: list[tuple[str, bool]] = []  # not yet in it
        self.connected = True
        self.queue: list[Any] = []  # received and not read
        self.count = 0
        self.unseen_ends: set[str] = set()  # known, ended in a gap
        self.unseen_births: set[str] = set()

    def fire(self, event: Any) -> None:
        if self.connected:
            self.queue.append(event)

    def step(self, known: Any) -> None:
        do = self.chance.randrange(5)
        if do == 0 or not self.alive:
            uuid = str(self.count)
            self.count += 1
            self.alive.add(uuid)
            self.late.append((uuid, True))
            self.fire(channel(self.esl, "CHANNEL_CREATE", uuid))
            if not self.connected:
                self.unseen_births.add(uuid)
        elif do == 1:
            uuid = self.chance.choice(sorted(self.alive))
            self.alive.discard(uuid)
            self.late.append((uuid, False))
            self.fire(channel(self.esl, "CHANNEL_HANGUP_COMPLETE", uuid))
            if not self.connected and uuid not in self.unseen_births:
                self.unseen_ends.add(uuid)
            self.unseen_births.discard(uuid)
        elif do == 2:
            uuid = self.chance.choice(sorted(self.alive))
            self.fire(channel(self.esl, "CHANNEL_ANSWER", uuid))
            if self.connected:
                self.unseen_births.discard(uuid)
        elif do == 3:
            self.read(known, self.chance.randrange(4))
        else:
            self.write_table(self.chance.randrange(3))

    def write_table(self, count: int) -> None:
        for uuid, here in self.late[:count]:
            if here:
                self.rows[uuid] = True
            else:
                self.rows.pop(uuid, None)
        del self.late[:count]

    def read(self, known: Any, count: int) -> None:
        known.see_all(self.queue[:count])
        del self.queue[:count]

    def reconnect(self) -> None:
        self.connected = True
        self.queue.append(self.esl.Gap.of(1, "gone"))


@pytest.mark.parametrize("seed", range(30))
def test_each_end_in_a_gap_is_told_once_whatever_comes_between(esl: ModuleType, seed: int) -> None:
    """Against a model: a table that is late, events that nobody read, ends and beginnings while it is asked."""
    module, model = resync_of(esl), Model(esl, seed)
    known = module.Known()
    for _ in range(6):
        for _ in range(model.chance.randrange(20)):
            model.step(known)
        model.connected = False
        for _ in range(model.chance.randrange(20)):
            model.step(known)
        model.reconnect()
        model.read(known, len(model.queue))
        for _ in range(model.chance.randrange(10)):
            model.step(known)
        told: list[tuple[str, str]] = []
        for last in (False, True):
            if last:
                model.write_table(len(model.late))
            rows = module.read_channels(table(*model.rows))
            asks = module.Comparison(known, rows, model.queue).asks
            for _ in range(model.chance.randrange(6)):
                model.step(known)
            exists = {uuid: uuid in model.alive for uuid in asks}
            for _ in range(model.chance.randrange(6)):
                model.step(known)
            notices = module.Comparison(known, rows, model.queue).notices("x", 1e9, exists, last=last)
            told += [(notice.kind, notice.uuid) for notice in notices]
        ended = [uuid for kind, uuid in told if kind == "ended"]
        found = [uuid for kind, uuid in told if kind == "found"]
        assert sorted(ended) == sorted(model.unseen_ends)
        assert len(set(found)) == len(found)
        assert model.unseen_births <= set(found)
        model.unseen_ends.clear()
        model.unseen_births.clear()
        model.read(known, len(model.queue))
        assert set(known) == model.alive


# With a client, and an emulated switch


def opened(shell: Shell, port: int, **options: Any) -> Any:
    shell.client = shell.opening(port, **options).result(PATIENCE)
    return shell.client


def fired(switch: Any, uuid: str) -> None:
    switch.add_session(uuid)
    switch.fire("CHANNEL_CREATE", {"Unique-ID": uuid})


def reads(shell: Shell, known: Any, count: int) -> list[Any]:
    seen: list[Any] = []
    while len(seen) < count:
        got = shell.do("take", 1000, PATIENCE)
        known.see_all(got)
        seen += got
    return seen


@pytest.mark.parametrize("settle", [0, 0.01])
def test_legs_that_ended_and_began_in_a_gap(esl: ModuleType, shell: Shell, settle: float) -> None:
    known = resync_of(esl).Known()
    with part(esl, "emulator").Emulator() as switch:
        switch.add_session("old")
        opened(shell, switch.port, reconnect=True)
        found = shell.do("resync", known, switch="fs1", settle=settle)
        assert [(notice.kind, notice.uuid, notice.switch) for notice in found] == [("found", "old", "fs1")]
        assert found[0].answered
        assert found[0].created is not None
        shell.do("subscribe", "CHANNEL_CREATE", "CHANNEL_HANGUP_COMPLETE", "HEARTBEAT")
        fired(switch, "a")
        fired(switch, "b")
        reads(shell, known, 2)
        switch._run(lambda: cut(switch, "a", "old"))
        switch.add_session("c")
        until(lambda: gap_read(shell, known))
        told = shell.do("resync", known, settle=settle)
        assert [(notice.kind, notice.uuid) for notice in told] == [("ended", "old"), ("ended", "a"), ("found", "c")]
        assert told[0].switch == f"127.0.0.1:{switch.port}"
        assert told[0].core_uuid == switch._switch.core.uuid
        assert shell.do("resync", known, settle=settle) == []
        switch.hangup("b")
        reads(shell, known, 1)
        assert shell.do("resync", known, settle=settle) == []
        assert list(known) == ["c"]


def cut(switch: Any, *uuids: str) -> None:
    """Nobody is connected when these hang up."""
    switch._sockets.drop()
    for uuid in uuids:
        switch._switch.channels.hangup(switch.sessions[uuid], "NORMAL_CLEARING")


def gap_read(shell: Shell, known: Any) -> bool:
    got = shell.do("take", 1000, 0.05)
    known.see_all(got)
    return any(type(event).__name__ == "Gap" for event in got)


def test_who_may_not_ask_is_told_so(esl: ModuleType, shell: Shell) -> None:
    emulator = part(esl, "emulator")
    known = resync_of(esl).Known()
    known.see(channel(esl, "CHANNEL_CREATE", "a"))
    known.missed()
    with emulator.Emulator(users={"1000@x": emulator.User("secret", api="status")}) as switch:
        opened(shell, switch.port, user="1000@x", password="secret")
        with pytest.raises(esl.CommandError):
            shell.do("resync", known, settle=0)
    assert list(known) == ["a"]


@pytest.mark.parametrize(
    "answer",
    [
        "-ERR SQL disabled, no data available!\n",
        table("b", "c")[:-9],
        '{"row_count":7,"rows":[]}',
        None,
        "\n0 total.\n",
    ],
)
def test_an_answer_that_is_none_ends_nothing(esl: ModuleType, shell: Shell, answer: str | None) -> None:
    known = resync_of(esl).Known()
    known.see(channel(esl, "CHANNEL_CREATE", "a"))
    known.missed()
    with part(esl, "emulator").Emulator() as switch:
        switch.api["show"] = lambda _args: answer
        opened(shell, switch.port)
        with pytest.raises(esl.CommandError):
            shell.do("resync", known, settle=0)
    assert list(known) == ["a"]
    assert known.doubtful == 1


def test_where_uuid_exists_is_refused_the_second_table_is_believed(esl: ModuleType, shell: Shell) -> None:
    emulator = part(esl, "emulator")
    known = resync_of(esl).Known()
    known.see(channel(esl, "CHANNEL_CREATE", "a"))
    known.see(channel(esl, "CHANNEL_CREATE", "b"))
    known.missed()
    with emulator.Emulator(users={"1000@x": emulator.User("secret", api="show")}) as switch:
        answers = [EMPTY, table("b")]
        switch.api["show"] = lambda _args: answers.pop(0)
        opened(shell, switch.port, user="1000@x", password="secret")
        told = shell.do("resync", known, settle=0.01)
        assert [(notice.kind, notice.uuid, notice.core_uuid) for notice in told] == [("ended", "a", None)]


def test_a_uuid_that_is_a_command_is_never_sent(esl: ModuleType, shell: Shell) -> None:
    known = resync_of(esl).Known()
    for uuid in "x\n\nexit", "y hupall", "z" * 300, "ä":
        known.see(channel(esl, "CHANNEL_CREATE", uuid))
    known.missed()
    with part(esl, "emulator").Emulator() as switch:
        opened(shell, switch.port)
        assert len(shell.do("resync", known, settle=0)) == 4
        assert all("uuid_exists" not in command for command in switch.commands)


def api_output(text: str) -> bytes:
    return api_response(text.encode())


# Races, with a switch that the test plays


def wire(name: bytes, uuid: bytes) -> bytes:
    return plain(b"Event-Name: %b\nCore-UUID: %b\nUnique-ID: %b\n\n" % (name, CORE, uuid))


def test_events_before_the_answer_that_nobody_read(esl: ModuleType, shell: Shell) -> None:
    """A leg hung up after the reconnection and before the answer: its end is in the queue."""
    known = resync_of(esl).Known()
    known.see_all(channel(esl, "CHANNEL_CREATE", uuid) for uuid in "abc")
    known.missed()
    switch = Switch()
    peer = shell.connects(switch)
    begun = shell.begin("resync", known, settle=0)
    peer.answers(
        b"api show channels as json",
        wire(b"CHANNEL_HANGUP_COMPLETE", b"a"),
        wire(b"CHANNEL_CREATE", b"d"),
        api_output(table("d", "e")),
        wire(b"CHANNEL_CREATE", b"e"),  # no news: it was in the table
    )
    peer.answers(b"api global_getvar core_uuid", api_output("c-1"))
    peer.answers(b"api uuid_exists b", wire(b"CHANNEL_ANSWER", b"b"), api_output("true"))
    peer.answers(b"api uuid_exists c", api_output("false"))
    told = begun.result(PATIENCE)
    assert [(notice.kind, notice.uuid) for notice in told] == [("ended", "c")]
    reads(shell, known, 4)
    assert sorted(known) == ["b", "d", "e"]
    peer.close()
    switch.close()


def test_a_connection_that_is_lost_while_it_asks(esl: ModuleType, shell: Shell) -> None:
    """The answer was of the connection before: what is missing in it may be of the next."""
    known = resync_of(esl).Known()
    known.see_all(channel(esl, "CHANNEL_CREATE", uuid) for uuid in "ab")
    known.missed()
    switch = Switch()
    peer = shell.connects(switch, reconnect=True)
    begun = shell.begin("resync", known, settle=0)
    peer.answers(b"api show channels as json", api_output(EMPTY))
    assert peer.command() == b"api global_getvar core_uuid"
    peer.close()
    with pytest.raises(esl.ConnectionClosed):
        begun.result(PATIENCE)
    assert sorted(known) == ["a", "b"]
    switch.close()


@pytest.mark.parametrize("read", [False, True])
def test_a_gap_between_the_answers_ends_it(esl: ModuleType, read: bool) -> None:
    """What is not in the answer may be of the connection after it."""
    module = resync_of(esl)
    known = module.Known()
    known.see_all(channel(esl, "CHANNEL_CREATE", uuid) for uuid in "ab")
    known.missed()
    queue: list[Any] = []
    asks = module._Asks(known, "fs1", 0, 10, 0.0, lambda: queue)
    assert asks.goes_on
    assert asks.take(response(esl, table("b"))) == ["api global_getvar core_uuid", "api uuid_exists a"]
    if read:
        known.see(esl.Gap.of(1, "gone"))
    else:
        queue.append(esl.Gap.of(1, "gone"))
    assert not asks.end([response(esl, "c-1"), response(esl, "false")])
    assert (asks.told, sorted(known), asks.goes_on) == ([], ["a", "b"], False)


def test_nothing_is_asked_while_a_gap_waits(esl: ModuleType) -> None:
    module = resync_of(esl)
    assert not module._Asks(module.Known(), "fs1", 1, 10, 0.0, lambda: [esl.Gap.of(1, "gone")]).goes_on


def response(esl: ModuleType, text: str) -> Any:
    decoder = esl.Decoder()
    decoder.feed(api_output(text))
    return decoder.next_message()


# Recorded


def test_a_switch_that_was_killed_and_recovered(esl: ModuleType) -> None:
    """The recorded restart: all calls are gone after it, each told once, and back with `sofia recover`."""
    module = resync_of(esl)
    known = module.Known()
    for message in captured(esl, "restart_recover_before"):
        known.see(message)
    before = set(known)
    assert before
    known.see(esl.Gap.of(30, "gone"))
    told = module.Comparison(known, [], []).notices("fs1", 2e9, dict.fromkeys(before, False), core_uuid="other")
    assert sorted(notice.uuid for notice in told) == sorted(before)
    assert module.Comparison(known, [], []).notices("fs1", 2e9, {}) == []
    back: set[str] = set()
    for message in captured(esl, "restart_recover_after"):
        known.see(message)
        back |= before & set(known)
    assert back
    assert not set(known)


@pytest.mark.parametrize("max_open", [1, 3, 8, 1_000_000])
def test_seeing_all_is_seeing_each(esl: ModuleType, max_open: int) -> None:
    make, notices = resync_of(esl).Known, part(esl, "ingest.notices")
    chance = random.Random(18)
    names = ["CHANNEL_CREATE", "CHANNEL_ANSWER", "CHANNEL_HANGUP_COMPLETE", "CHANNEL_UUID", "DTMF", "CHANNEL_BRIDGE"]
    one, other = make(max_open), make(max_open)
    for _ in range(300):
        run: list[Any] = []
        for _ in range(chance.randrange(5)):
            uuid, old = chance.choices("abcdef", k=2)
            headers = {"Unique-ID": uuid, "Old-Unique-ID": old} if chance.random() < 0.9 else {}
            others = [esl.Gap.of(1.0, "gone"), notices.Ended("x", 1.0, uuid), notices.Found("x", 1.0, uuid)]
            event = esl.Event.build(chance.choice(names), headers)
            run.append(event if chance.random() < 0.9 else chance.choice(others))
        for message in run:
            one.see(message)
        other.see_all(run)
        assert dict(one._open) == dict(other._open)
        assert one._finished == other._finished
        assert one.doubtful == other.doubtful
        if max_open < 8:  # full, or nearly
            assert list(one) == list(other)


@pytest.mark.parametrize("size", [1, 15, 1000])
@pytest.mark.parametrize("name", ["calls_sip", "transfer_hold_json", "conference_xml", "churn_plain"])
def test_seeing_all_of_a_recording(esl: ModuleType, name: str, size: int) -> None:
    items = list(islice(captured(esl, name), 3000))
    items.insert(len(items) // 2, esl.Gap.of(1.0, "gone"))
    one, other = resync_of(esl).Known(), resync_of(esl).Known()
    for at in range(0, len(items), size):
        for item in items[at : at + size]:
            one.see(item)
        other.see_all(items[at : at + size])
        assert dict(one._open) == dict(other._open)
    assert one._finished == other._finished
    assert len(one._finished) > 0
