"""`fs.batches`: columns of what a client receives. One suite for both clients."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from columns_support import rows_of
from reconnect_support import shell as shell
from reconnect_support import switch as switch
from shells import PATIENCE, Shell, Switch, event
from support import FAREWELL, notice, part, plain

SEQUENCE = {"Event-Sequence": "int64"}


class Batches:
    """The batches of a client, one after the other."""

    def __init__(self, shell: Shell, *args: Any, **options: Any) -> None:
        self.shell = shell
        self.found = shell.client.batches(*args, **options)

    def next(self) -> Any:
        """The next one; None at the end."""
        if self.shell.kind == "sync":
            return next(self.found, None)

        async def one() -> Any:
            return await anext(self.found, None)

        return asyncio.run_coroutine_threadsafe(one(), self.shell._loop).result(PATIENCE)

    def numbers(self) -> list[int]:
        return [row["Event-Sequence"] for row in rows_of(self.next())]


def subscribed(shell: Shell, switch: Switch, **options: Any) -> Any:
    peer = shell.connects(switch, **options)
    shell.subscribes(peer)
    return peer


def test_a_batch_comes_when_it_is_full(shell: Shell, switch: Switch) -> None:
    peer = subscribed(shell, switch)
    batches = Batches(shell, SEQUENCE, max_rows=3, max_seconds=1000)
    peer.sends(*map(event, range(1, 8)))
    assert batches.numbers() == [1, 2, 3]
    assert batches.numbers() == [4, 5, 6]
    peer.sends(event(8), event(9))
    assert batches.numbers() == [7, 8, 9]


def test_a_batch_comes_when_it_is_time(shell: Shell, switch: Switch) -> None:
    peer = subscribed(shell, switch)
    batches = Batches(shell, SEQUENCE, max_seconds=0.01)
    for number in (1, 2):
        peer.sends(event(number))
        assert batches.numbers() == [number]


def test_other_events_are_passed_over(shell: Shell, switch: Switch) -> None:
    peer = subscribed(shell, switch)
    batches = Batches(shell, SEQUENCE, max_rows=1, events=["HEARTBEAT"], max_seconds=0.01)
    peer.sends(event(1), plain(b"Event-Name: HEARTBEAT\nEvent-Sequence: 2\n\n"))
    assert batches.numbers() == [2]


def test_a_preset_says_which_events(shell: Shell, switch: Switch) -> None:
    peer = subscribed(shell, switch)
    presets = part(shell.esl, "ingest.presets")
    batches = Batches(shell, presets.LEGS, max_rows=1, max_seconds=1000)
    peer.sends(event(1), plain(b"Event-Name: CHANNEL_HANGUP_COMPLETE\nUnique-ID: u\n\n"))
    batch = batches.next()
    assert [row["uuid"] for row in rows_of(batch)] == ["u"]
    nanoarrow = pytest.importorskip("nanoarrow")
    for found in (batch, batch.schema):
        assert dict(nanoarrow.c_schema(found).metadata) == {b"table": b"legs", b"schema_version": b"1"}


def test_it_ends_with_the_connection_after_the_rows_before(shell: Shell, switch: Switch) -> None:
    peer = subscribed(shell, switch)
    batches = Batches(shell, SEQUENCE, max_seconds=1000)
    peer.sends(event(1), event(2), notice(FAREWELL))
    peer.sock.close()
    assert batches.numbers() == [1, 2]
    assert batches.next() is None
    assert batches.next() is None


def test_an_end_that_is_none_is_raised_after_the_rows_before(shell: Shell, switch: Switch) -> None:
    peer = subscribed(shell, switch)
    batches = Batches(shell, SEQUENCE, max_seconds=1000)
    peer.sends(event(1), b"Content-Length: x\n\n")
    assert batches.numbers() == [1]
    with pytest.raises(shell.esl.InvalidContentLength):
        batches.next()


def test_arguments_are_checked_at_once(shell: Shell, switch: Switch) -> None:
    subscribed(shell, switch)
    with pytest.raises(ValueError, match="max_seconds is 0"):
        shell.client.batches(SEQUENCE, max_seconds=0)
    with pytest.raises(ValueError, match="expected one of string"):
        shell.client.batches({"a": "text"})
    with pytest.raises(ValueError, match="batch_rows is 0"):
        shell.client.batches(SEQUENCE, max_rows=0)
