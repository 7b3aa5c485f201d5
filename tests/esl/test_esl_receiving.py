"""ESLconnection: receiving, ends, bounds (docs/protocol/esl-module.md, P7.4 to P7.6)."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import ModuleType
from typing import Any

import pytest
from esl_support import (
    COMMAND_REPLY,
    CONNECT_REPLY,
    DTMF,
    DTMF_SEEN,
    FINAL,
    LOST,
    OK_SEEN,
    Background,
    assert_dead,
    outbound,
    saying,
    seen,
    strictly,
    unread,
)
from support import part, plain, until

# Receiving: docs/protocol/esl-module.md, P7.4 and P7.5


def test_received_events_are_copies_of_their_own(ESL: Any, strict: Any, wire_of: Any) -> None:
    payload = b"Event-Name: CUSTOM\nEvent-Subclass: a%3A%3Ab\nL: ARRAY%3A%3A%7C%3Ax\nA[1]: y\n\n"
    con = wire_of(plain(payload), plain(payload)).con
    event = con.recvEvent()
    assert seen(event) == {
        "type": "CUSTOM",
        "headers": [["Event-Name", "CUSTOM"], ["Event-Subclass", "a::b"], ["L", ["x"]], ["A", ["y"]]],
        "body": None,
    }
    event.delHeader("L")
    event.addBody("B")
    assert con.recvEvent().getHeader("L") == "x"


def test_received_event_can_be_sent_on(ESL: Any, strict: Any, wire_of: Any) -> None:
    wire = wire_of(plain(b"Event-Name: CUSTOM\nEvent-Subclass: a%3A%3Ab\nContent-Length: 3\n\nx y"), COMMAND_REPLY)
    wire.con.sendEvent(wire.con.recvEvent())
    length = b"Content-Length: 3\n" * (2 if strict else 1)
    assert wire.sent() == (b"sendevent CUSTOM\nEvent-Name: CUSTOM\nEvent-Subclass: a::b\n" + length + b"\nx y\n\n")


def test_reply_of_a_received_event_moves_as_a_built_one(ESL: Any, strict: Any, wire_of: Any) -> None:
    event = wire_of(DTMF).con.recvEvent()
    moved = ESL.ESLevent(event)
    assert (event.getType(), seen(moved)) == ("invalid", DTMF_SEEN)


def test_frames_in_single_bytes(ESL: Any, strict: Any, wire_of: Any) -> None:
    wire = wire_of()
    data = DTMF + COMMAND_REPLY + DTMF

    def trickle() -> None:
        for at in range(len(data)):
            until(lambda: not unread(wire.con.socketDescriptor()))
            wire.peer.sendall(data[at : at + 1])

    thread = threading.Thread(target=trickle)
    thread.start()
    assert [seen(wire.con.recvEvent()) for _ in range(3)] == [DTMF_SEEN, OK_SEEN, DTMF_SEEN]
    thread.join()


def test_poll_returns_at_once(ESL: Any, wire_of: Any) -> None:
    wire = wire_of()
    assert wire.con.recvEventTimed(0) is None
    assert wire.con.connected() == 1
    wire.peer.sendall(DTMF + DTMF)
    assert [seen(wire.con.recvEventTimed(0)) for _ in range(3)] == [DTMF_SEEN, DTMF_SEEN, None]


def test_poll_gives_what_came_before_a_reply(ESL: Any, wire_of: Any) -> None:
    wire = wire_of(DTMF, COMMAND_REPLY)
    wire.con.sendRecv("x")
    assert [seen(wire.con.recvEventTimed(0)) for _ in range(2)] == [DTMF_SEEN, None]


def test_poll_blocks_when_strict(ESL: Any, wire_of: Any) -> None:
    with strictly(ESL, True):
        wire = wire_of()
        call = Background(wire.con.recvEventTimed, 0)
        assert call.waits()
        wire.peer.sendall(DTMF)
        assert seen(call.returns()) == DTMF_SEEN


def test_negative_time_is_no_limit(ESL: Any, strict: Any, wire_of: Any) -> None:
    wire = wire_of()
    call = Background(wire.con.recvEventTimed, -1)
    assert call.waits()
    wire.peer.sendall(DTMF)
    assert seen(call.returns()) == DTMF_SEEN


def test_time_that_is_over_gives_none_and_leaves_the_connection(ESL: Any, strict: Any, wire_of: Any) -> None:
    wire = wire_of()
    assert wire.con.recvEventTimed(1) is None
    assert wire.con.connected() == 1
    wire.peer.sendall(DTMF)
    assert seen(wire.con.recvEventTimed(60_000)) == DTMF_SEEN


def test_frame_that_has_begun_is_awaited_without_limit(ESL: Any, strict: Any, wire_of: Any) -> None:
    wire = wire_of()
    wire.peer.sendall(DTMF[:20])
    call = Background(wire.con.recvEventTimed, 1)
    assert call.waits()
    wire.peer.sendall(DTMF[20:])
    assert seen(call.returns()) == DTMF_SEEN


def test_frame_whose_headers_are_here_is_awaited_without_limit(ESL: Any, strict: Any, wire_of: Any) -> None:
    begun = DTMF[: DTMF.index(b"\n\n") + 5]
    wire = wire_of(begun)  # read together with the reply to `connect`: the socket has nothing more
    call = Background(wire.con.recvEventTimed, 1)
    assert call.waits()
    wire.peer.sendall(DTMF[len(begun) :])
    assert seen(call.returns()) == DTMF_SEEN


def test_frame_whose_headers_are_not_all_here_has_the_time_that_is_given(ESL: Any, strict: Any, wire_of: Any) -> None:
    wire = wire_of(DTMF[:20])
    assert wire.con.recvEventTimed(1) is None
    assert wire.con.connected() == 1
    wire.peer.sendall(DTMF[20:])
    assert seen(wire.con.recvEventTimed(60_000)) == DTMF_SEEN


def test_end_while_a_time_runs_gives_none_and_no_event(ESL: Any, strict: Any, wire_of: Any) -> None:
    con = wire_of(ended=True).con
    assert con.recvEventTimed(60_000) is None
    assert con.connected() == 0


def test_final_notice_while_a_time_runs_gives_none(ESL: Any, strict: Any, wire_of: Any) -> None:
    con = wire_of(FINAL, DTMF).con
    assert con.recvEventTimed(60_000) is None
    assert con.connected() == 0
    assert seen(con.recvEvent()) == LOST


# Ends: docs/protocol/esl-module.md, P7.6


def test_queued_final_notice_ends_the_connection_when_its_turn_comes(ESL: Any, strict: Any, wire_of: Any) -> None:
    con = wire_of(DTMF, FINAL, COMMAND_REPLY, COMMAND_REPLY).con
    assert seen(con.sendRecv("x")) == OK_SEEN
    assert (con.connected(), seen(con.recvEvent())) == (1, DTMF_SEEN)
    assert (seen(con.recvEvent()), con.connected()) == (LOST, 0)
    assert con.sendRecv("x") is None


@pytest.mark.parametrize("disposition", [b"Content-Disposition: disconnect\n", b"Content-Disposition: other\n", b""])
@pytest.mark.parametrize("body", [b"", b"x"])
def test_notice_with_a_body_is_the_end(ESL: Any, strict: Any, wire_of: Any, disposition: bytes, body: bytes) -> None:
    con = wire_of(
        b"Content-Type: TEXT/disconnect-notice\n%bContent-Length: %d\n\n%b" % (disposition, len(body), body)
    ).con
    assert (seen(con.recvEvent()), con.connected()) == (LOST, 0)


@pytest.mark.parametrize(
    "headers", [b"Content-Disposition: LINGER\nContent-Length: 1\n", b"", b"Content-Disposition: disconnect\n"]
)
def test_notice_of_lingering_or_without_a_body_is_a_frame(ESL: Any, strict: Any, wire_of: Any, headers: bytes) -> None:
    body = b"x" if b"Length" in headers else b""
    con = wire_of(b"Content-Type: text/disconnect-notice\n%b\n%b" % (headers, body), DTMF).con
    assert con.recvEvent().getHeader("Content-Type") == "text/disconnect-notice"
    assert (seen(con.recvEvent()), con.connected()) == (DTMF_SEEN, 1)


BROKEN = {
    "in a header": b"Content-Type: text/event-pl",
    "in a body": DTMF[:-3],
    "before a body": DTMF[: DTMF.index(b"\n\n") + 2],
    "bytes": bytes(range(1, 256)) * 4,
    "NUL": b"\0" * 100,
    "length not a number": b"Content-Length: x\n\n",
    "length too large": b"Content-Length: 99999999999999999999\n\n",
    "length negative": b"Content-Length: -1\n\n",
    "lengths that differ": b"Content-Length: 1\nContent-Length: 2\n\nab",
    "length of a JSON event missing": b"Content-Type: text/event-json\n\n",
    "length of a JSON event missing, spelled oddly": b"Content-Type: text/event%2Djson\n\n",
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_broken_end_is_an_end(ESL: Any, strict: Any, wire_of: Any, broken: Any) -> None:
    con = wire_of(DTMF, broken, ended=True).con
    assert (seen(con.recvEvent()), con.connected()) == (DTMF_SEEN, 1)
    assert (seen(con.recvEvent()), con.connected()) == (LOST, 0)
    assert_dead(ESL, con, info="may still be there")


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_broken_end_instead_of_a_reply(ESL: Any, strict: Any, wire_of: Any, broken: Any) -> None:
    con = wire_of(DTMF, broken, ended=True).con
    assert (con.sendRecv("x"), con.connected()) == (None, 0)


@pytest.mark.parametrize("broken", [broken for name, broken in BROKEN.items() if name.startswith("length")])
def test_frames_behind_a_bad_length_are_lost(ESL: Any, strict: Any, wire_of: Any, broken: Any) -> None:
    con = wire_of(broken, DTMF, COMMAND_REPLY).con
    assert (seen(con.recvEvent()), con.connected()) == (LOST, 0)
    assert (seen(con.recvEvent()), con.sendRecv("x"), con.recvEventTimed(1)) == (LOST, None, None)


def test_header_block_without_end_is_an_end(ESL: Any, strict: Any, wire_of: Any) -> None:
    wire = wire_of()
    with saying(wire.peer, b"A: " + b"x" * (80 << 20)):
        assert (seen(wire.con.recvEvent()), wire.con.connected()) == (LOST, 0)
        wire.con.disconnect()


def test_reset_is_an_end(ESL: Any, strict: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        peer, _ = listener.accept()
    peer.sendall(CONNECT_REPLY + DTMF[:30])
    con = outbound(ESL, ours)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    peer.close()
    assert (seen(con.recvEvent()), con.connected()) == (LOST, 0)


# Bounds


def test_frames_that_wait_while_no_reply_comes_are_bounded(
    esl: ModuleType, ESL: Any, strict: Any, wire_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for bound, returned in ((3 * len(DTMF), OK_SEEN), (3 * len(DTMF) - 1, None)):
        monkeypatch.setattr(part(esl, "_esl.link"), "MAX_QUEUED_BYTES", bound)
        con = wire_of(DTMF * 3, COMMAND_REPLY, DTMF * 3, COMMAND_REPLY).con
        assert seen(con.sendRecv("x")) == returned
        if returned is None:
            assert con.connected() == 0
        else:
            assert [seen(con.recvEvent()) for _ in range(3)] == [DTMF_SEEN] * 3
            assert seen(con.sendRecv("x")) == OK_SEEN, "what was read does not count"


def test_items_that_names_with_an_index_make_are_bounded(ESL: Any, strict: Any, wire_of: Any) -> None:
    lines = b"".join(b"A%d[4000]: x\n" % number for number in range(1000))
    event = wire_of(plain(b"Event-Name: DTMF\n" + lines + b"B: y\n\n")).con.recvEvent()
    made = [number for number in range(1000) if event.getHeader(f"A{number}") is not None]
    assert made == list(range(len(made)))
    assert 1 <= len(made) <= 20
    assert event.getHeader("B") == "y"


# Waiting in turn, and bounds


def test_poll_does_not_wait_for_the_rest_of_a_frame(ESL: Any, wire_of: Any) -> None:
    with strictly(ESL, False):
        wire = wire_of(DTMF[:-3])
        assert [wire.con.recvEventTimed(0) for _ in range(3)] == [None] * 3
        wire.peer.sendall(DTMF[-3:] + DTMF[:5])
        until(lambda: (event := wire.con.recvEventTimed(0)) is not None and seen(event) == DTMF_SEEN)
        assert wire.con.recvEventTimed(0) is None
        assert wire.con.connected() == 1


def test_who_waits_for_a_reply_is_not_overtaken_by_a_reader_that_never_stops(
    ESL: Any, strict: Any, wire_of: Any
) -> None:
    wire = wire_of()
    stop = threading.Event()

    def answer() -> None:  # events without end, and a reply to each command behind them
        wire.peer.setblocking(False)
        while not stop.is_set():
            with contextlib.suppress(OSError):  # nothing to read yet; or the connection was ended while this ran
                if wire.peer.recv(65536):
                    wire.peer.setblocking(True)
                    wire.peer.sendall(COMMAND_REPLY)
                    wire.peer.setblocking(False)
            with contextlib.suppress(OSError):
                wire.peer.setblocking(True)
                wire.peer.sendall(DTMF)
                wire.peer.setblocking(False)

    def read() -> None:
        while not stop.is_set():
            wire.con.recvEvent()

    threads = [threading.Thread(target=work) for work in (answer, read)]
    for thread in threads:
        thread.start()
    try:
        replies = Background(lambda: [seen(wire.con.sendRecv("x")) for _ in range(20)])
        assert len(replies.returns()) == 20
    finally:
        stop.set()
        wire.con.disconnect()
        for thread in threads:
            thread.join(10)


def test_events_that_wait_for_a_reply_that_never_comes_are_bounded(
    esl: ModuleType, ESL: Any, strict: Any, wire_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part(esl, "_esl.link"), "MAX_QUEUED_BYTES", 3 * len(DTMF))
    wire = wire_of(DTMF * 3, COMMAND_REPLY, DTMF * 4)
    assert seen(wire.con.sendRecv("x")) == OK_SEEN
    assert [seen(wire.con.recvEvent()) for _ in range(3)] == [DTMF_SEEN] * 3
    assert (wire.con.sendRecv("x"), wire.con.connected()) == (None, 0)
