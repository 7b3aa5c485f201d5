"""The channel of a connection without I/O: executions, hang-up, digits."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

import pytest
import support
from connection_support import CONNECTED, ENABLED, HEARTBEAT, LINGER, LOG, Peer, event, execution, outbound_peer, raised
from connection_support import inbound as inbound
from connection_support import outbound as outbound
from connection_support import way as way
from support import DATA, FAREWELL, OK, notice, part, reply

# Executions


def test_the_first_awaited_execution_enables_the_channels_events_for_itself_alone(outbound: Any) -> None:
    accepted, ended = outbound.run("playback", "a.wav", event_uuid="e1", event_lock=True)
    assert outbound.sent == (
        b"myevents\n\nsendmsg\ncall-command: execute\nexecute-app-name: playback\nexecute-app-arg: a.wav\n"
        b"event-lock: true\nEvent-UUID: e1\n\n"
    )
    outbound.comes(reply(b"+OK Events Enabled"), OK, execution(b"CHANNEL_EXECUTE", "e1"), event(b"DTMF"))
    assert accepted.result().ok
    assert not ended.done
    outbound.comes(execution(b"CHANNEL_EXECUTE_COMPLETE", "other"), execution(b"CHANNEL_EXECUTE_COMPLETE", "e1"))
    assert ended.result()["Application"] == "playback"
    assert outbound.names == []
    outbound.run("playback", event_uuid="e2")
    assert outbound.sent.startswith(b"sendmsg\n")


def test_executions_end_in_the_order_in_which_the_switch_ends_them(outbound: Any) -> None:
    runs = [outbound.run("playback", event_uuid=f"e{number}")[1] for number in range(3)]
    outbound.comes(reply(b"+OK Events Enabled"), OK, OK, OK)
    outbound.comes(*(execution(b"CHANNEL_EXECUTE_COMPLETE", f"e{number}") for number in (2, 1, 0)))
    assert [run.result()["Application-UUID"] for run in runs] == ["e0", "e1", "e2"]


def test_a_users_own_myevents_shows_the_events_and_serves_executions(outbound: Any) -> None:
    outbound.myevents(format="json")
    outbound.comes(reply(b"+OK Events Enabled"))
    _, ended = outbound.run("playback", event_uuid="e1")
    assert outbound.sent.startswith(b"myevents json\n\nsendmsg\n")
    outbound.comes(OK, execution(b"CHANNEL_EXECUTE_COMPLETE", "e1"))
    assert ended.done
    assert outbound.names == ["CHANNEL_EXECUTE_COMPLETE"]


def test_myevents_after_an_awaited_execution_is_not_sent_twice(esl: ModuleType, outbound: Any) -> None:
    outbound.run("playback", event_uuid="e1")
    assert b"myevents" in outbound.sent
    wait = outbound.myevents()
    assert outbound.sent == b""
    outbound.comes(reply(b"+OK Events Enabled"), OK, execution(b"CHANNEL_EXECUTE_COMPLETE", "e1"))
    assert wait.result().text == "+OK Events Enabled"
    assert outbound.names == ["CHANNEL_EXECUTE_COMPLETE"]
    with pytest.raises(esl.InvalidCommand, match="their format cannot become 'json'"):
        outbound.myevents(format="json")


def test_events_the_user_subscribed_to_are_shown_beside_those_only_executions_need(outbound: Any) -> None:
    outbound.subscribe("DTMF", custom=["a::b"])
    outbound.run("playback", event_uuid="e1")
    outbound.comes(ENABLED, reply(b"+OK Events Enabled"), OK)
    outbound.comes(event(b"DTMF"), event(b"CHANNEL_PARK"), event(b"CUSTOM", b"Event-Subclass: a%3A%3Ab"))
    assert outbound.names == ["DTMF", "CUSTOM"]


def test_a_hangup_ends_what_has_not_begun_and_what_runs_says_so_itself(outbound: Any) -> None:
    running, queued = (outbound.run("playback", event_uuid=uuid)[1] for uuid in ("e1", "e2"))
    outbound.comes(reply(b"+OK Events Enabled"), OK, OK, execution(b"CHANNEL_EXECUTE", "e1"))
    outbound.comes(event(b"CHANNEL_HANGUP", b"Unique-ID: u-1", b"Hangup-Cause: USER_BUSY"))
    assert raised(queued) == ("ChannelEnded", "the channel hung up: USER_BUSY")
    assert not running.done
    outbound.comes(execution(b"CHANNEL_EXECUTE_COMPLETE", "e1"))
    assert raised(running) == ("ChannelEnded", "the channel hung up: USER_BUSY")


def test_nothing_runs_after_the_end_of_a_hangup(outbound: Any) -> None:
    _, running = outbound.run("playback", event_uuid="e1")
    outbound.comes(reply(b"+OK Events Enabled"), OK, execution(b"CHANNEL_EXECUTE", "e1"))
    outbound.comes(event(b"CHANNEL_HANGUP_COMPLETE", b"Unique-ID: another", b"Hangup-Cause: X"))
    assert not running.done
    outbound.comes(event(b"CHANNEL_HANGUP_COMPLETE", b"Unique-ID: u-1", b"Hangup-Cause: NORMAL_CLEARING"))
    assert raised(running) == ("ChannelEnded", "the channel hung up: NORMAL_CLEARING")


def good_bye(uuid: bytes = b"u-1") -> bytes:
    """The final notice of a connection that controls a channel."""
    head = (
        b"Content-Type: text/disconnect-notice\nControlled-Session-UUID: %b\nContent-Disposition: disconnect\n" % uuid
    )
    return head + notice(FAREWELL).partition(b"\n")[2]


HUNG_UP = event(b"CHANNEL_HANGUP", b"Unique-ID: u-1", b"Hangup-Cause: USER_BUSY")


@pytest.mark.parametrize(
    ("frames", "cause"),
    [
        ([HUNG_UP], "USER_BUSY"),
        (
            [event(b"CHANNEL_STATE", b"Unique-ID: u-1", b"Answer-State: hangup", b"Hangup-Cause: NO_ANSWER")],
            "NO_ANSWER",
        ),
        ([LINGER], "UNKNOWN"),
        ([LINGER, HUNG_UP, LINGER], "USER_BUSY"),
        ([good_bye()], "UNKNOWN"),
        ([HUNG_UP, good_bye()], "USER_BUSY"),
        ([event(b"CHANNEL_HANGUP", b"Unique-ID: u-2", b"Hangup-Cause: X")], None),
        ([event(b"CHANNEL_STATE", b"Unique-ID: u-1", b"Answer-State: answered")], None),
        ([event(b"CUSTOM", b"Unique-ID: u-1", b"Answer-State: hangup", b"Hangup-Cause: X")], None),
        ([good_bye(b"u-2")], None),
        ([notice(FAREWELL)], None),
    ],
)
def test_what_tells_that_the_channel_hung_up(esl: ModuleType, outbound: Any, frames: Any, cause: Any) -> None:
    outbound.comes(HEARTBEAT)
    outbound.comes(*frames)
    assert outbound.hung_up == cause
    if cause is None:
        return
    for acts in (
        lambda: outbound.execute("playback"),
        lambda: outbound.run("playback"),
        lambda: outbound.hangup(),
        lambda: outbound.sendmsg("nomedia", uuid="u-1"),
        lambda: outbound.sendmsg("nomedia", {"Session-ID": "u-1"}),
    ):
        with pytest.raises(esl.ChannelEnded, match=f"^the channel hung up: {cause}$"):
            acts()
    assert outbound.sent == b""
    if outbound.end is None:
        outbound.sendmsg("nomedia", uuid="u-2")
        outbound.sendmsg("nomedia", {"Session-ID": "u-2"})
        outbound.hangup(uuid="u-2")
        outbound.api("status")
        assert outbound.sent.count(b"\n\n") == 4


def test_what_failed_before_the_cause_was_known_says_the_cause_once_it_is(esl: ModuleType, outbound: Any) -> None:
    status, ended = outbound.run("playback", "a.wav", event_uuid="e1")
    outbound.comes(LINGER, OK, reply(b"+OK"))
    raised_at_first = raised(ended)
    outbound.comes(event(b"CHANNEL_HANGUP", b"Unique-ID: u-1", b"Hangup-Cause: USER_BUSY"))
    for wait in (status, ended):
        with pytest.raises(esl.ChannelEnded) as caught:
            wait.result()
        assert (caught.value.cause, str(caught.value)) == ("USER_BUSY", "the channel hung up: USER_BUSY")
        assert caught.value.maybe_done
    assert raised_at_first == ("ChannelEnded", "the channel hung up: UNKNOWN")


def test_a_channel_may_have_hung_up_before_the_connection_is_there(esl: ModuleType, way: Any) -> None:
    peer = Peer(part(esl, "connection").Connection.outbound(), way)
    peer.comes(CONNECTED.replace(b"variable_x", b"Answer-State: hangup\nHangup-Cause: USER_BUSY\nvariable_x"))
    assert peer.hung_up == "USER_BUSY"


def test_the_channel_of_an_inbound_connection_hangs_up_likewise(esl: ModuleType, inbound: Any) -> None:
    inbound.myevents("u-1")
    inbound.comes(reply(b"+OK Events Enabled"), HUNG_UP)
    assert inbound.hung_up == "USER_BUSY"
    with pytest.raises(esl.ChannelEnded):
        inbound.execute("playback")
    inbound.comes(good_bye())
    with pytest.raises(esl.ConnectionClosed, match="the switch said good-bye"):
        inbound.api("status")


def test_a_user_who_may_not_ask_the_api_for_variables_gets_them_by_getvar(inbound: Any) -> None:
    inbound.myevents("u-1")
    inbound.comes(reply(b"+OK Events Enabled"))
    assert inbound.sent == b"myevents u-1\n\n"
    value, other = inbound.getvar("a"), inbound.api("status")
    assert inbound.sent == b"api uuid_getvar u-1 a\n\napi status\n\n"
    inbound.comes(reply(b"-ERR permission denied"), reply(b"-ERR permission denied"))
    assert (value.done, other.result().ok) == (False, False)
    assert inbound.sent == b"getvar a\n\n"
    inbound.comes(reply(b"b"))
    assert value.result().text == "b"


def test_the_end_by_the_channels_hangup_fails_what_acts_on_it_for_that_and_the_rest_for_the_end(outbound: Any) -> None:
    acting = [outbound.execute("playback"), *outbound.run("playback")]
    others = [outbound.api("status"), *outbound.bgapi("status"), outbound.execute("playback", uuid="u-2")]
    outbound.comes(good_bye())
    assert {raised(wait) for wait in acting} == {("ChannelEnded", "the channel hung up: UNKNOWN")}
    assert {raised(wait) for wait in others} == {("ConnectionClosed", "the switch said good-bye")}


def test_an_execution_that_is_refused_does_not_end(outbound: Any) -> None:
    accepted, ended = outbound.run("playback", event_uuid="e1")
    outbound.comes(reply(b"+OK Events Enabled"), reply(b"-ERR invalid session id [u-1]"))
    assert raised(accepted) == raised(ended) == ("CommandError", "-ERR invalid session id [u-1]")


def test_an_execution_whose_end_may_not_be_seen_says_so(outbound: Any) -> None:
    accepted, ended = outbound.run("playback", event_uuid="e1")
    outbound.comes(reply(b"-ERR no"), OK)
    assert raised(ended) == ("CommandError", "-ERR no")
    assert accepted.result().ok


def test_events_of_the_channel_that_come_though_they_were_refused_are_the_users(outbound: Any) -> None:
    outbound.run("playback", event_uuid="e1")
    outbound.comes(reply(b"-ERR no"), OK)
    outbound.comes(event(b"DTMF"))
    outbound.comes(execution(b"CHANNEL_EXECUTE_COMPLETE", "e1"), LOG)
    assert outbound.names == ["DTMF", "CHANNEL_EXECUTE_COMPLETE", "LogLine"]


def test_an_execution_may_have_the_uuid_of_one_whose_end_may_not_be_seen(outbound: Any) -> None:
    first, _ = outbound.run("playback", event_uuid="e1")
    outbound.comes(reply(b"-ERR no"))
    second, ended = outbound.run("sleep", event_uuid="e1")
    outbound.comes(reply(b"-ERR invalid"), reply(b"+OK Events Enabled"), OK)
    outbound.comes(execution(b"CHANNEL_EXECUTE_COMPLETE", "e1"))
    assert raised(first) == ("CommandError", "-ERR invalid")
    assert second.result().ok
    assert ended.result().name == "CHANNEL_EXECUTE_COMPLETE"


def test_only_a_connection_with_a_channel_can_wait_for_an_execution(esl: ModuleType, inbound: Any) -> None:
    with pytest.raises(esl.InvalidCommand, match="controls a channel only"):
        inbound.run("playback")
    inbound.myevents("u-7")
    inbound.comes(reply(b"+OK Events Enabled"))
    _, ended = inbound.run("playback", event_uuid="e1")
    inbound.comes(OK, execution(b"CHANNEL_EXECUTE_COMPLETE", "e1"))
    assert ended.done


def test_an_event_uuid_in_use_is_refused(esl: ModuleType, outbound: Any) -> None:
    outbound.run("playback", event_uuid="e1")
    with pytest.raises(esl.InvalidCommand, match="'e1' is in use"):
        outbound.run("playback", event_uuid="e1")


@pytest.mark.parametrize(("mode", "patient"), [(b"static", True), (b"async", False)])
def test_on_a_static_socket_the_reply_may_take_as_long_as_the_application(
    esl: ModuleType, mode: bytes, patient: bool
) -> None:
    peer = outbound_peer(esl, "whole", mode)
    assert peer.execute("playback").patient is patient
    assert peer.run("playback")[0].patient is patient
    assert peer.execute("playback", uuid="u-1").patient is patient
    assert not peer.execute("playback", uuid="another").patient
    assert not peer.execute("playback", run_async=True).patient
    assert peer.run("playback")[1].patient


# Digits


def digit(text: str, uuid: bytes = b"u-1") -> bytes:
    return event(b"DTMF", b"Unique-ID: " + uuid, b"DTMF-Digit: " + text.encode())


MINE = reply(b"+OK Events Enabled")


def test_digits_are_those_of_the_channel_and_no_events(outbound: Any) -> None:
    outbound.dtmf()
    assert outbound.sent == b"myevents\n\n"
    first = outbound.digit()
    assert outbound.digit() is first
    assert outbound.sent == b""
    outbound.comes(MINE, digit("9", b"another"), event(b"DTMF", b"Unique-ID: u-1"), digit(""))
    assert not first.done
    outbound.comes(digit("%23"), digit("1"))
    assert first.result() is True
    assert list(outbound.digits) == ["#", "1"]
    assert outbound.names == []
    assert outbound.digit().result() is True
    outbound.digits.clear()
    assert not outbound.digit().done


@pytest.mark.parametrize("last", [b"CHANNEL_HANGUP", b"CHANNEL_HANGUP_COMPLETE", None])
def test_digits_end_with_the_channel(outbound: Any, last: Any) -> None:
    wait = outbound.digit()
    outbound.comes(MINE, event(b"CHANNEL_HANGUP", b"Unique-ID: another"))
    assert not wait.done
    outbound.comes(LINGER if last is None else event(last, b"Unique-ID: u-1"))
    assert wait.result() is False
    assert outbound.digit().result() is False
    outbound.digits.append("1")  # typed before
    assert outbound.digit().result() is True


def test_digits_that_nobody_may_see_are_asked_for_again(outbound: Any) -> None:
    wait = outbound.digit()
    outbound.comes(reply(b"-ERR no"))
    assert raised(wait) == ("CommandError", "-ERR no")
    outbound.data_to_send()
    again = outbound.digit()
    assert outbound.sent == b"myevents\n\n"
    outbound.comes(MINE, digit("1"))
    assert again.result() is True


def test_digits_and_executions_share_the_channels_events(outbound: Any) -> None:
    _, ended = outbound.run("playback", event_uuid="e1")
    outbound.comes(MINE, OK)
    outbound.data_to_send()
    wait = outbound.digit()
    assert outbound.sent == b""
    outbound.comes(digit("1"), execution(b"CHANNEL_EXECUTE_COMPLETE", "e1"))
    assert wait.done
    assert ended.done
    assert outbound.names == []


@pytest.mark.parametrize("format", ["plain", "json"])
def test_digits_of_a_call_as_a_real_switch_sends_them(esl: ModuleType, way: Any, format: str) -> None:
    data = support.capture(f"out_myevents_{format}")
    sent = json.loads((DATA / "captures" / f"out_myevents_{format}.tx.json").read_text())
    peer = Peer(part(esl, "connection").Connection.outbound(), way)
    assert peer.sent == b"connect\n\n"
    peer.comes(data[: sent[1]["at"]])
    for written, following in zip(sent[1:], [*sent[2:], {"at": len(data)}], strict=True):
        if written["bytes"].startswith("myevents"):
            peer.myevents(format=format)
            peer.dtmf()
        else:
            peer.send(written["bytes"].encode("latin-1"))
        assert peer.sent == written["bytes"].encode("latin-1")  # nothing of our own in between
        peer.comes(data[written["at"] : following["at"]])
    assert list(peer.digits) == ["1", "2"]
    peer.digits.clear()
    assert peer.digit().result() is False
    assert peer.names.count("DTMF") == 2


def test_digits_before_anybody_asked_are_none(outbound: Any) -> None:
    outbound.subscribe("DTMF")
    outbound.comes(ENABLED, digit("1"))
    assert outbound.names == ["DTMF"]
    assert list(outbound.digits) == []


def test_digits_need_a_channel(esl: ModuleType, inbound: Any) -> None:
    with pytest.raises(esl.InvalidCommand, match="digits are those of a channel, and the conn"):
        inbound.dtmf()
    inbound.myevents("u-7")
    inbound.comes(MINE)
    wait = inbound.digit()
    inbound.comes(digit("1", b"u-7"))
    assert wait.result() is True


@pytest.mark.parametrize("waiting", [True, False])
def test_the_end_of_the_connection_ends_digits(outbound: Any, waiting: bool) -> None:
    outbound.dtmf()
    wait = outbound.digit() if waiting else None
    outbound.comes(MINE)
    outbound.close()
    assert (wait or outbound.digit()).result() is False


@pytest.mark.parametrize("waiting", [True, False])
def test_a_bad_end_of_the_connection_fails_them(outbound: Any, waiting: bool) -> None:
    outbound.dtmf()
    wait = outbound.digit() if waiting else None
    outbound.comes(MINE)
    outbound.receive_eof()
    assert raised(wait or outbound.digit()) == ("ConnectionClosed", "the switch closed the connection")
