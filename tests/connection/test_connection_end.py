"""How a connection without I/O ends, and what becomes of what was waited for."""

from __future__ import annotations

import json
import lzma
from types import ModuleType
from typing import Any

import pytest
from connection_support import CONNECTED, HEARTBEAT, LINGER, Peer, event, outbound_peer, raised
from connection_support import inbound as inbound
from connection_support import outbound as outbound
from connection_support import way as way
from support import DATA, FAREWELL, REJECTED, api_response, notice, part, reply

# The end


def test_the_linger_notice_is_not_the_end(esl: ModuleType, outbound: Any) -> None:
    outbound.linger()
    outbound.comes(reply(b"+OK will linger"), LINGER)
    assert outbound.end is None
    assert outbound.lingering.linger_time == 5
    outbound.comes(event(b"CHANNEL_HANGUP_COMPLETE"), notice(FAREWELL))
    assert (outbound.end.reason, outbound.end.clean, outbound.end.asked) == ("the switch said good-bye", True, False)
    assert outbound.names == ["DisconnectNotice", "CHANNEL_HANGUP_COMPLETE"]


def test_exit_is_an_end_that_we_asked_for(inbound: Any) -> None:
    wait = inbound.exit()
    inbound.comes(reply(b"+OK bye"), notice(FAREWELL))
    inbound.receive_eof()
    assert wait.result().text == "+OK bye"
    assert (inbound.end.clean, inbound.end.asked) == (True, True)


def test_exit_as_a_command_of_ones_own_is_an_end_that_we_asked_for(inbound: Any) -> None:
    inbound.send("exit")
    inbound.comes(reply(b"+OK bye"))
    inbound.receive_eof()
    assert (inbound.end.clean, inbound.end.asked) == (True, True)


ENDS = {
    "good-bye": (notice(FAREWELL), "ConnectionClosed", "the switch said good-bye", True),
    "shutdown": (
        notice(b"The system is being shut down.\n"),
        "ConnectionClosed",
        "The system is being shut down.",
        False,
    ),
    "slow reader": (
        notice(b"killed listener because of lost events\n"),
        "ConnectionClosed",
        "killed listener because of lost events",
        False,
    ),
    "slow reader, inside an event": (
        b"Content-Length: 900\nContent-Type: text/event-plain\n\nEvent-Name: DT"
        + notice(b"killed listener because of lost events\n"),
        "ConnectionClosed",
        "killed listener because of lost events",
        False,
    ),
    "nothing said": (b"", "ConnectionClosed", "the switch closed the connection", False),
    "a notice without text": (
        b"Content-Type: text/disconnect-notice\n\n",
        "ConnectionClosed",
        "the switch disconnected us",
        False,
    ),
    "inside a header block": (
        b"Content-Type: comm",
        "ConnectionClosed",
        "stream ended in a header block: read 18 bytes, expected a blank line",
        False,
    ),
    "a broken length": (
        b"Content-Length: x\n\n",
        "InvalidContentLength",
        "read Content-Length 'x', expected ASCII digits",
        False,
    ),
    "a giant body": (
        b"Content-Length: 999999999\n\n",
        "BodyTooLarge",
        "read a Content-Length of 999999999 bytes, expected no more than 67108864 (max_body_bytes)",
        False,
    ),
    "a late refusal": (REJECTED, "AccessDenied", "Access Denied, go away.", False),
}


@pytest.mark.parametrize(("data", "kind", "text", "clean"), ENDS.values(), ids=ENDS)
def test_every_end_ends_every_wait_with_its_reason(
    esl: ModuleType, way: Any, data: Any, kind: Any, text: Any, clean: Any
) -> None:
    peer = outbound_peer(esl, way)
    waits = [peer.api("status"), *peer.bgapi("status"), *peer.run("playback"), peer.getvar("x")]
    peer.comes(HEARTBEAT, data)
    peer.receive_eof()
    assert {raised(wait) for wait in waits} == {(kind, text)}
    assert peer.end.clean is clean
    assert peer.names[:1] == ["HEARTBEAT"]
    with pytest.raises(esl.ESLError, match=text[:20]):
        peer.api("status")


def test_each_who_waited_gets_an_exception_of_his_own(inbound: Any) -> None:
    first, second = inbound.api("status"), inbound.api("version")
    inbound.receive_eof()
    errors = []
    for wait in (first, first, second):
        with pytest.raises(Exception, match="closed the connection") as caught:
            wait.result()
        errors.append(caught.value)
    assert len({id(error) for error in errors}) == 3


def test_an_unfinished_frame_is_the_cause_of_the_end(esl: ModuleType, inbound: Any) -> None:
    wait = inbound.api("status")
    inbound.comes(b"Content-Type: api/response\nContent-Length: 5\n\nUP")
    inbound.receive_eof()
    with pytest.raises(esl.ConnectionClosed) as caught:
        wait.result()
    assert isinstance(caught.value.__cause__, esl.IncompleteFrame)
    assert caught.value.__cause__.data.endswith(b"\n\nUP")


def test_a_failed_transport_is_the_cause_of_the_end(esl: ModuleType, inbound: Any) -> None:
    wait = inbound.api("status")
    inbound.lost(ConnectionResetError(104, "Connection reset by peer"))
    with pytest.raises(esl.ConnectionClosed, match=r"the connection was lost: .*reset by peer") as caught:
        wait.result()
    assert isinstance(caught.value.__cause__, ConnectionResetError)


def test_closing_is_an_end_that_we_asked_for(inbound: Any) -> None:
    wait = inbound.api("status")
    inbound.close()
    assert raised(wait) == ("ConnectionClosed", "closed by us")
    assert inbound.end.asked
    inbound.comes(api_response(b"late"))
    inbound.receive_eof()
    inbound.lost(None)
    assert inbound.end.reason == "closed by us"


def test_a_wait_that_is_open_has_no_result(inbound: Any) -> None:
    wait = inbound.api("status")
    with pytest.raises(RuntimeError, match="the answer to 'api status' is not answered yet"):
        wait.result()
    assert repr(wait) == "<Wait for the answer to 'api status': open>"
    inbound.comes(api_response(b"UP"))
    assert repr(wait) == "<Wait for the answer to 'api status': done>"


def session() -> tuple[bytes, list[tuple[int, bytes]]]:
    raw = (DATA / "captures/commands_inbound.esl").read_bytes()
    writes = json.loads((DATA / "captures/commands_inbound.tx.json").read_text())
    return raw, [(write["at"], write["bytes"].encode("latin-1")) for write in writes]


def test_a_recorded_session_cut_anywhere_leaves_no_wait_open(esl: ModuleType) -> None:
    raw, writes = session()
    for cut in [*range(1500), *range(1500, len(raw), 61)]:
        connection = part(esl, "connection").Connection.inbound("ClueCon")
        waits, at = [connection.ready], 0
        for position, block in writes[1:]:
            if position > cut:
                break
            connection.receive(raw[at:position])
            at = position
            waits.append(connection.send(block))
        connection.receive(raw[at:cut])
        connection.receive_eof()
        assert connection.end is not None
        for wait in waits:
            assert wait.done, (cut, wait)
            if "failed" in repr(wait):
                with pytest.raises(esl.ESLError):
                    wait.result()


def test_a_slow_reader_that_was_killed_learns_it(esl: ModuleType) -> None:
    raw = lzma.decompress((DATA / "captures/slow_client_killed.esl.xz").read_bytes())
    connection = part(esl, "connection").Connection.inbound("ClueCon", queue_limit=10**6, queue_hard_limit=10**6)
    blocks = raw.split(b"\n\n", 3)
    connection.receive(b"\n\n".join(blocks[:2]) + b"\n\n")
    connection.subscribe("ALL")
    connection.receive(b"\n\n".join(blocks[2:]))
    connection.receive_eof()
    assert connection.end.reason == "killed listener because of lost events"
    assert not connection.end.clean
    assert len(connection.queue) > 5000


# Silence


def test_after_a_silence_the_switch_is_asked_for_a_sign_of_life(inbound: Any) -> None:
    inbound.probe(20)
    assert inbound.sent == b"filter delete Eslcodec-Probe\n\n"
    inbound.comes(reply(b"+OK filter deleted. [Eslcodec-Probe][]"))
    inbound.probe(20)
    assert inbound.sent == b"filter delete Eslcodec-Probe\n\n"
    assert inbound.end is None


def test_a_switch_that_gives_no_sign_of_life_is_given_up(inbound: Any) -> None:
    inbound.probe(20)
    wait = inbound.api("status")
    inbound.probe(20)
    assert raised(wait) == ("ConnectionClosed", "nothing was received for 40 s, though the switch was asked")
    assert not inbound.end.clean
    assert not inbound.end.asked


def test_a_switch_that_is_busy_with_a_command_is_left_alone(inbound: Any) -> None:
    wait = inbound.api("originate", "user/1 &park")
    wait.watch(print)
    inbound.data_to_send()
    inbound.probe(20)
    inbound.probe(20)
    assert inbound.sent == b""
    assert inbound.end is None
    wait.unwatch(print)  # who waited gave up, and the switch has no excuse any more
    inbound.probe(20)
    assert inbound.sent == b"filter delete Eslcodec-Probe\n\n"
    inbound.probe(20)
    assert inbound.end is not None


def test_a_command_that_takes_as_long_as_its_application_holds_the_question_back(esl: ModuleType, way: Any) -> None:
    peer = Peer(part(esl, "connection").Connection.outbound(), way)
    peer.data_to_send()
    peer.comes(CONNECTED.replace(b"{mode}", b"static"))
    peer.execute("playback", "long.wav")
    peer.data_to_send()
    peer.probe(20)
    peer.probe(20)
    assert (peer.sent, peer.end) == (b"", None)
