"""nats-py's buffers and parser, between a publisher and a server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

nats = pytest.importorskip("nats", reason="nats-py is not installed")

from nats.protocol.parser import Parser  # noqa: E402

from eslcodec.ingest import _wire  # noqa: E402
from eslcodec.ingest._flight import Batch  # noqa: E402
from eslcodec.ingest._packed import pack  # noqa: E402
from eslcodec.ingest.contract import Item  # noqa: E402

INBOX = "_INBOX.abc"
SID = 5


class Connection:
    """As much of a client of nats-py as is used, with its own parser."""

    is_connected = True
    max_payload = 100

    def __init__(self) -> None:
        self._ps = Parser(self)
        self.sent = b""
        self.messages: list[tuple[int, bytes]] = []
        self.pings = 0

    def new_inbox(self) -> str:
        return INBOX

    async def subscribe(self, subject: str, **_: Any) -> Any:
        assert subject == f"{INBOX}.*.*"
        return SimpleNamespace(_id=SID)

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        self.messages.append((sid, data))

    async def _process_ping(self) -> None:
        self.pings += 1

    async def _send_command(self, data: bytes) -> None:
        self.sent += data

    async def _flush_pending(self) -> None:
        pass


def message(subject: str, sid: int, data: bytes, head: bytes = b"") -> bytes:
    if head:
        return b"HMSG %b %d %d %d\r\n%b%b\r\n" % (subject.encode(), sid, len(head), len(head) + len(data), head, data)
    return b"MSG %b %d %d\r\n%b\r\n" % (subject.encode(), sid, len(data), data)


def answer(number: int, data: bytes, head: bytes = b"", epoch: int = 1) -> bytes:
    return message(f"{INBOX}.{epoch}.{number}", SID, data, head)


KINDS = ["plain"] * 6 + ["spaced", "other stream", "duplicate", "status", "epoch", "zero", "other", "ping", "lines"]


def comes(kind: str, number: int) -> tuple[bytes, Any]:
    """What the server sends, and what is told of it."""
    plain = b'{"stream":"S","seq":%d}' % (number + 1)
    epoch = 2 if kind == "epoch" else 1
    if kind == "status":
        return answer(number, b"", b"NATS/1.0 503\r\n\r\n"), (1, number, b"", "503")
    if kind == "other":
        return message("x", SID + 1, plain), None
    if kind == "ping":
        return b"PING\r\n", None
    changes = {
        "spaced": plain.replace(b",", b", "),
        "other stream": plain.replace(b"S", b"T"),
        "duplicate": plain[:-1] + b',"duplicate": true}',
        "zero": b'{"stream":"S","seq":0}',
        "lines": b"\r\n" + plain + b"\r\n",
    }
    data = changes.get(kind, plain)
    return answer(number, data, epoch=epoch), (epoch, number, data.replace(b", ", b","), None)


@given(kinds=st.lists(st.sampled_from(KINDS), max_size=30), cuts=st.lists(st.integers(1, 90), max_size=60))
def test_answers_are_told_in_the_order_in_which_they_come_however_they_are_cut(
    kinds: list[str], cuts: list[int]
) -> None:
    both = [comes(kind, number) for number, kind in enumerate(kinds)]
    data = b"".join(bytes for bytes, _ in both)
    told: list[Any] = []
    connection: Any = Connection()

    def answered(epoch: int, number: int, data: bytes, status: str | None) -> None:
        told.append((epoch, number, data.replace(b", ", b","), status))

    def acknowledged(epoch: int, numbers: Sequence[int], sequences: Sequence[int]) -> None:
        for number, sequence in zip(numbers, sequences, strict=True):
            answered(epoch, number, b'{"stream":"S","seq":%d}' % sequence, None)

    async def run() -> None:
        wire = _wire.wire(connection, "S", acknowledged, answered)
        assert type(wire) is _wire.Fast
        await wire.subscribe()
        begin = 0
        for size in [*cuts, len(data)]:
            if data[begin : begin + size]:
                await connection._ps.parse(data[begin : begin + size])
            begin += size

    asyncio.run(run())
    assert told == [expected for _, expected in both if expected is not None]
    assert [sid for sid, _ in connection.messages] == [SID + 1] * kinds.count("other")
    assert connection.pings == kinds.count("ping")


def test_many_acknowledgements_are_told_at_once() -> None:
    connection: Any = Connection()
    told: list[Any] = []

    async def run() -> None:
        await _wire.wire(connection, "S", lambda *one: told.append(one), print).subscribe()
        await connection._ps.parse(b"".join(comes("plain", number)[0] for number in range(3)))

    asyncio.run(run())
    assert told == [(1, [0, 1, 2], [1, 2, 3])]


def send(connection: Any, *items: Item) -> None:
    async def run() -> None:
        wire = _wire.wire(connection, "S", print, print)
        await wire.send(Batch(3, 8, [pack(item) for item in items], None, "S", 10))

    asyncio.run(run())


def test_what_is_sent() -> None:
    connection: Any = Connection()
    send(connection, Item("a", {"A": "1"}, b"{}", "x"), Item("b", {}, b"", "y"))
    first = b"NATS/1.0\r\nA: 1\r\nNats-Expected-Stream: S\r\nNats-Expected-Last-Sequence: 10\r\n\r\n"
    second = b"NATS/1.0\r\nNats-Expected-Last-Sequence: 11\r\nNats-Expected-Last-Msg-Id: x\r\n\r\n"
    assert connection.sent == b"HPUB a %b.3.8 %d %d\r\n%b{}\r\nHPUB b %b.3.9 %d %d\r\n%b\r\n" % (
        *(INBOX.encode(), len(first), len(first) + 2, first),
        *(INBOX.encode(), len(second), len(second), second),
    )


def test_too_large_a_body_is_the_client_s_own_error() -> None:
    with pytest.raises(nats.errors.MaxPayloadError):
        send(Connection(), Item("a", {}, b"x" * 101, "x"))


def test_a_lost_connection_is_the_client_s_own_error() -> None:
    connection: Any = Connection()
    connection.is_connected = False
    with pytest.raises(nats.errors.ConnectionClosedError):
        send(connection, Item("a", {}, b"", "x"))


def test_this_version_of_nats_py_has_what_is_needed() -> None:
    assert _wire.Fast.fits(nats.NATS())


def test_without_that_it_goes_the_documented_way() -> None:
    connection: Any = SimpleNamespace(new_inbox=lambda: INBOX)
    assert type(_wire.wire(connection, "S", print, print)) is _wire.Slow
