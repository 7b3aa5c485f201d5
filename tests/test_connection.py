"""The connection without I/O: what it sends, whom it gives what comes, and how it ends."""

from __future__ import annotations

import copy
import inspect
import json
import lzma
from functools import partial
from types import ModuleType
from typing import Any

import pytest
import support
from hypothesis import given
from hypothesis import strategies as st
from support import ACCEPTED, AUTH, DATA, FAREWELL, OK, REJECTED, api_response, notice, part, plain, reply

from eslcodec import Message
from eslcodec.connection import Connection, MessageQueue

LINGER = (
    b"Content-Type: text/disconnect-notice\nControlled-Session-UUID: u-1\nContent-Disposition: linger\n"
    b"Channel-Name: loopback/1\nLinger-Time: 5\nContent-Length: 0\n\n"
)
CONNECTED = (
    b"Event-Name: CHANNEL_DATA\nUnique-ID: u-1\nvariable_x: a%20b\nContent-Type: command/reply\n"
    b"Reply-Text: %2BOK%0A\nSocket-Mode: {mode}\nControl: full\n\n"
)
HEARTBEAT = plain(b"Event-Name: HEARTBEAT\n\n")
ENABLED = reply(b"+OK event listener enabled plain")
LOG = b"Content-Type: log/data\nContent-Length: 2\nLog-Level: 7\nUser-Data: \n\nx\n"


def event(name: bytes, *lines: bytes, body: bytes = b"") -> bytes:
    length = [b"Content-Length: %d" % len(body)] if body else []
    return plain(b"\n".join([b"Event-Name: " + name, *lines, *length, b"", b""]) + body)


def job(uuid: str, output: bytes = b"+OK\n") -> bytes:
    return event(b"BACKGROUND_JOB", b"Job-UUID: " + uuid.encode(), body=output)


def execution(name: bytes, uuid: str) -> bytes:
    return event(name, b"Unique-ID: u-1", b"Application: playback", b"Application-UUID: " + uuid.encode())


def test_a_connection_made_as_if_it_were_a_client_says_how_it_is_made(esl):
    connection = part(esl, "connection").Connection
    for arguments, options in (((), {"password": "x"}), (("ClueCon",), {}), ((), {}), ((), {"queue_limit": 1})):
        with pytest.raises(TypeError) as caught:
            connection(*arguments, **options)
        assert str(caught.value) == "a Connection is made by Connection.inbound(password) or Connection.outbound()"
    with pytest.raises(TypeError, match="unexpected keyword argument 'passwd'"):
        connection.inbound(passwd="x")
    assert list(inspect.signature(connection).parameters)[:2] == ["login", "greeted"]


class Peer:
    """A connection, fed in one of three ways, and what it wrote."""

    def __init__(self, connection: Any, way: str) -> None:
        self.connection = connection
        self.way = way

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)

    def comes(self, *frames: bytes) -> None:
        """These bytes come from the switch."""
        data = b"".join(frames)
        if self.way == "whole":
            self.connection.receive(data)
        elif self.way == "bytewise":
            for at in range(len(data)):
                self.connection.receive(data[at : at + 1])
        else:
            support.receive(self.connection, data)

    @property
    def sent(self) -> bytes:
        """What it wanted to send since the last time."""
        return self.connection.data_to_send()

    @property
    def names(self) -> list[str]:
        """What waits in the queue, by name."""
        return [getattr(message, "name", type(message).__name__) for message in self.connection.queue]


@pytest.fixture(params=["whole", "bytewise", "buffer"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def inbound(esl: ModuleType, way: str) -> Peer:
    """Logged in."""
    peer = Peer(part(esl, "connection").Connection.inbound("secret"), way)
    peer.comes(AUTH, ACCEPTED)
    assert peer.sent == b"auth secret\n\n"
    return peer


def outbound_peer(esl: ModuleType, way: str, mode: bytes = b"async") -> Peer:
    peer = Peer(part(esl, "connection").Connection.outbound(), way)
    assert peer.sent == b"connect\n\n"
    peer.comes(CONNECTED.replace(b"{mode}", mode))
    return peer


@pytest.fixture
def outbound(esl: ModuleType, way: str) -> Peer:
    """The switch connected to us for the channel u-1, async and full."""
    return outbound_peer(esl, way)


def raised(wait: Any) -> tuple[str, str]:
    """Type and text of what a wait failed with."""
    assert wait.done, wait
    try:
        wait.result()
    except Exception as error:
        return type(error).__name__, str(error)
    pytest.fail(f"{wait} did not fail")


# Login


def test_nothing_is_sent_before_the_switch_greets(esl, way):
    peer = Peer(part(esl, "connection").Connection.inbound("secret"), way)
    assert peer.sent == b""
    peer.comes(AUTH)
    assert peer.sent == b"auth secret\n\n"
    assert not peer.ready.done


def test_login_is_done_when_it_is_accepted(inbound):
    assert inbound.logged_in
    assert inbound.ready.result().text == "+OK accepted"


def test_a_directory_user_logs_in_with_userauth(esl, way):
    peer = Peer(part(esl, "connection").Connection.inbound("pw", "1000@example.org"), way)
    peer.comes(AUTH, reply(b"+OK accepted", b"Allowed-Events: all\nAllowed-API: status\nAllowed-LOG: true\n"))
    assert peer.sent == b"userauth 1000@example.org:pw\n\n"
    assert peer.ready.result()["Allowed-API"] == "status"


@pytest.mark.parametrize(("user", "password"), [("1000", "pw"), ("a@b", "p\nq"), (None, "p\n\nexit"), ("a:b@c", "pw")])
def test_a_login_that_would_inject_is_refused(esl, user, password):
    with pytest.raises(esl.InvalidCommand) as caught:
        part(esl, "connection").Connection.inbound(password, user)
    assert password not in str(caught.value)


def test_a_wrong_password_is_an_auth_error(esl, way):
    peer = Peer(part(esl, "connection").Connection.inbound("x"), way)
    peer.comes(AUTH, reply(b"-ERR invalid"), notice(FAREWELL))
    assert raised(peer.ready) == ("AuthError", "-ERR invalid (wrong password?)")
    assert not peer.end.clean
    assert not peer.end.asked


def test_an_address_that_the_acl_refuses_is_denied(esl, way):
    peer = Peer(part(esl, "connection").Connection.inbound("x"), way)
    peer.comes(REJECTED, notice(FAREWELL))
    assert raised(peer.ready) == ("AccessDenied", "Access Denied, go away.")


@pytest.mark.parametrize("data", [b"", AUTH, AUTH[:9]])
def test_a_stream_that_ends_before_the_login_says_so(esl, way, data):
    peer = Peer(part(esl, "connection").Connection.inbound("x"), way)
    peer.comes(data)
    peer.receive_eof()
    kind, text = raised(peer.ready)
    assert kind == "ConnectionClosed"
    assert text == (
        "stream ended in a header block: read 9 bytes, expected a blank line"
        if len(data) == 9
        else "the switch closed the connection before the login was answered"
    )


def test_commands_before_the_login_are_refused(esl):
    connection = part(esl, "connection").Connection.inbound("x")
    connection.receive(AUTH)
    connection.data_to_send()
    with pytest.raises(esl.InvalidCommand, match="'api status' before the login was answered"):
        connection.api("status")
    assert connection.data_to_send() == b""


def test_an_outbound_connection_begins_with_connect_and_gets_its_channel(outbound):
    reply = outbound.ready.result()
    assert (reply["Unique-ID"], reply["variable_x"]) == ("u-1", "a b")
    assert (outbound.channel, outbound.mode, outbound.control) == ("u-1", "async", "full")


def test_the_password_is_not_shown(esl):
    connection = part(esl, "connection").Connection.inbound("secret")
    connection.receive(AUTH)
    assert "secret" not in repr(connection.ready) + repr(vars(connection).get("_login"))


# Replies


def test_replies_go_to_the_commands_in_order(inbound):
    status, version, subscribed = inbound.api("status"), inbound.api("version"), inbound.subscribe("ALL")
    assert inbound.sent == b"api status\n\napi version\n\nevent ALL\n\n"
    inbound.comes(api_response(b"UP\n"), api_response(b"1.11\n"))
    assert (status.result().text, version.result().text, subscribed.done) == ("UP\n", "1.11\n", False)
    inbound.comes(ENABLED)
    assert subscribed.result().text == "+OK event listener enabled plain"


def test_a_thousand_pipelined_commands_get_their_replies(inbound):
    waits = [inbound.api("echo", str(number)) for number in range(1000)]
    assert inbound.sent.count(b"\n\n") == 1000
    inbound.comes(*(api_response(b"%d" % number) for number in range(1000)))
    assert [wait.result().text for wait in waits] == [str(number) for number in range(1000)]


def test_events_between_a_command_and_its_reply_go_to_the_queue(inbound):
    status = inbound.api("status")
    inbound.comes(HEARTBEAT, LOG, event(b"DTMF"))
    assert not status.done
    inbound.comes(api_response(b"UP\n"), event(b"TALK"))
    assert status.result().text == "UP\n"
    assert inbound.names == ["HEARTBEAT", "LogLine", "DTMF", "TALK"]


def test_an_api_command_that_is_not_permitted_is_answered_by_a_command_reply(esl, inbound):
    wait = inbound.api("uptime")
    inbound.comes(reply(b"-ERR permission denied"))
    assert (type(wait.result()), wait.result().text) == (esl.CommandReply, "-ERR permission denied")


def test_what_an_api_command_says_is_data(inbound):
    wait = inbound.api("nosuch")
    inbound.comes(api_response(b"-ERR nosuch Command not found!\n"))
    assert not wait.result().ok


@pytest.mark.parametrize(
    ("method", "arguments", "sent"),
    [
        ("subscribe", ("NOSUCH",), b"event NOSUCH\n\n"),
        ("unsubscribe", ("HEARTBEAT",), b"nixevent HEARTBEAT\n\n"),
        ("noevents", (), b"noevents\n\n"),
        ("myevents", ("u-1",), b"myevents u-1\n\n"),
        ("divert_events", (True,), b"divert_events on\n\n"),
        ("filter", ("Unique-ID", "u-1"), b"filter add Unique-ID u-1\n\n"),
        ("filter_delete", ("Unique-ID",), b"filter delete Unique-ID\n\n"),
        ("sendevent", ("NOTIFY", {"a": "b"}, "hi"), b"sendevent NOTIFY\na: b\nContent-Length: 2\n\nhi"),
        ("sendmsg", ("hangup",), b"sendmsg\ncall-command: hangup\n\n"),
        ("hangup", ("USER_BUSY",), b"sendmsg\ncall-command: hangup\nhangup-cause: USER_BUSY\n\n"),
        ("execute", ("answer",), b"sendmsg\ncall-command: execute\nexecute-app-name: answer\n\n"),
        ("log", (7,), b"log 7\n\n"),
        ("nolog", (), b"nolog\n\n"),
        ("linger", (5,), b"linger 5\n\n"),
        ("nolinger", (), b"nolinger\n\n"),
        ("connect", (), b"connect\n\n"),
        ("resume", (), b"resume\n\n"),
        ("exit", (), b"exit\n\n"),
    ],
)
def test_a_refused_command_fails_with_what_the_switch_said(inbound, method, arguments, sent):
    wait = getattr(inbound, method)(*arguments)
    assert inbound.sent == sent
    inbound.comes(reply(b"-ERR command not found"))
    assert raised(wait) == ("CommandError", "-ERR command not found")
    assert inbound.end is None


def test_a_command_of_ones_own_gets_whatever_reply_comes(inbound):
    wait = inbound.send(b"filter  delete  A b")
    assert inbound.sent == b"filter  delete  A b\n\n"
    inbound.comes(reply(b"-ERR x"))
    assert wait.result().text == "-ERR x"


@pytest.mark.parametrize(
    "command",
    [
        "",
        "\n\n",
        "api status\n\napi system reboot",
        "api status\r\n\r\n",
        "api a\0b",
        "sendevent X\nContent-Length: 3\n\nab",
        "sendevent X\nContent-Length: 2\n\nabexit",
        "sendevent X\nContent-Length: -1\n\n",
        "sendevent X\nContent-Length: 99999999999\n\n",
    ],
)
def test_what_is_not_one_command_is_not_sent(esl, inbound, command):
    with pytest.raises(esl.InvalidCommand):
        inbound.send(command)
    assert inbound.sent == b""


@pytest.mark.parametrize(
    ("command", "block"),
    [
        ("api status", b"api status\n\n"),
        ("api status\n", b"api status\n\n"),
        (b"\n\nsendevent X\nA: b\n\n\n", b"sendevent X\nA: b\n\n"),
        ("sendevent X\ncontent-length: 2\n\n\u00e9\n\n", b"sendevent X\ncontent-length: 2\n\n\xc3\xa9"),
    ],
)
def test_a_command_of_ones_own_may_lack_its_blank_line_or_have_more_behind_it(inbound, command, block):
    inbound.send(command)
    assert inbound.sent == block


def test_a_reply_that_no_command_asked_for_ends_the_connection(inbound):
    inbound.comes(OK)
    assert inbound.end.reason == "read a reply that no command asked for: '+OK'"


def test_output_of_an_api_command_that_was_not_asked_for_ends_the_connection(inbound):
    first, second = inbound.subscribe("ALL"), inbound.api("status")
    inbound.comes(api_response(b"UP\n"))
    expected = "ProtocolError", "read the output of an API command, expected the answer to 'event'"
    assert raised(first) == raised(second) == expected


# getvar, whose replies the switch can break


def test_getvar_gives_the_value_and_nothing_for_an_unset_one(inbound):
    first, second = inbound.getvar("a"), inbound.getvar("b")
    assert inbound.sent == b"getvar a\n\ngetvar b\n\n"
    inbound.comes(reply(b"  +OK: x"), reply(b"-ERR command not found"))
    assert first.result().text == "  +OK: x"
    assert second.result().text == "-ERR command not found"


BROKEN = {
    "line ends": reply(b"line1\nline2"),
    "a header": reply(b"x\nContent-Length: 3") + b"\n\n\n",
    "a tilde": b"Content-Type: command/reply\nReply-Text: fake" + api_response(b"next"),
    "a tilde and a command": b"Content-Type: command/reply\nX: y" + OK,
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_broken_getvar_reply_fails_that_getvar_alone_if_nothing_else_is_due(inbound, broken):
    wait = inbound.getvar("x")
    inbound.comes(broken)
    kind, text = raised(wait)
    assert kind == "ProtocolError"
    assert "expected a value of one line: use `api uuid_getvar`" in text
    assert inbound.end is None


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_after_a_broken_getvar_reply_no_other_reply_is_given_to_the_wrong_command(inbound, broken):
    waits = [inbound.getvar("x"), inbound.api("status"), inbound.api("version")]
    inbound.comes(broken, api_response(b"which one?"))
    assert {raised(wait)[0] for wait in waits} == {"ProtocolError"}
    assert inbound.end is not None


# Background jobs


def test_the_first_job_subscribes_to_its_result_without_naming_a_format(inbound):
    inbound.bgapi("status", job_uuid="j1")
    inbound.bgapi("originate", "user/1 &park", job_uuid="j2")
    assert inbound.sent == (
        b"event BACKGROUND_JOB\n\nbgapi status\nJob-UUID: j1\n\nbgapi originate user/1 &park\nJob-UUID: j2\n\n"
    )


def start_jobs(peer: Peer, *uuids: str) -> list[Any]:
    results = []
    for number, uuid in enumerate(uuids):
        accepted, result = peer.bgapi("status", job_uuid=uuid)
        if number == 0 and b"event BACKGROUND_JOB\n\n" in peer.sent:
            peer.comes(ENABLED)
        peer.comes(reply(b"+OK Job-UUID: " + uuid.encode(), b"Job-UUID: %b\n" % uuid.encode()))
        assert accepted.result().job_uuid == uuid
        results.append(result)
    return results


def test_results_find_their_jobs_in_any_order_and_stay_out_of_the_queue(esl, inbound):
    first, second = start_jobs(inbound, "j1", "j2")
    inbound.comes(job("j2", b"two"), HEARTBEAT, job("j1", b"-ERR one"))
    assert (first.result().text, first.result().ok) == ("-ERR one", False)
    assert (second.result().text, second.result().ok) == ("two", True)
    with pytest.raises(esl.CommandError, match="-ERR one"):
        first.result().check()
    assert inbound.names == ["HEARTBEAT"]


def test_a_job_uuid_is_made_up_for_each_job(inbound):
    inbound.bgapi("status")
    inbound.bgapi("status")
    uuids = [line for line in inbound.sent.split(b"\n") if line.startswith(b"Job-UUID: ")]
    assert len(set(uuids)) == 2


def test_jobs_of_others_stay_out_of_the_queue_too(inbound):
    start_jobs(inbound, "j1")
    inbound.comes(job("somebody else's"))
    assert inbound.names == []


def test_jobs_reach_a_user_who_subscribed_to_them(inbound):
    inbound.subscribe("SWITCH_EVENT_background_job")
    inbound.comes(ENABLED)
    assert inbound.sent == b"event SWITCH_EVENT_background_job\n\n"
    (result,) = start_jobs(inbound, "j1")
    inbound.comes(job("j1"), job("j9"))
    assert result.done
    assert inbound.names == ["BACKGROUND_JOB", "BACKGROUND_JOB"]


def test_a_job_that_is_refused_has_no_result(inbound):
    accepted, result = inbound.bgapi("status")
    inbound.comes(ENABLED, reply(b"-ERR permission denied"))
    assert raised(accepted) == raised(result) == ("CommandError", "-ERR permission denied")


def test_a_job_whose_result_may_not_be_received_says_so(inbound):
    accepted, result = inbound.bgapi("status", job_uuid="j1")
    inbound.comes(reply(b"-ERR permission denied"), reply(b"+OK Job-UUID: j1", b"Job-UUID: j1\n"))
    assert accepted.result().job_uuid == "j1"
    assert raised(result) == ("CommandError", "-ERR permission denied")


def test_jobs_that_come_though_they_were_refused_are_the_users(inbound):
    """Alone or beside other messages: found by fuzzing, for the two ways of taking messages in differed."""
    inbound.filter("Unique-ID", "u-1")
    inbound.comes(reply(b"+OK filter added. [Unique-ID]=[u-1]"))
    inbound.bgapi("status", job_uuid="j1")
    inbound.comes(OK, reply(b"-ERR permission denied"), reply(b"+OK Job-UUID: j1", b"Job-UUID: j1\n"))
    assert inbound.sent.endswith(b"filter delete Event-Name BACKGROUND_JOB\n\n")
    inbound.comes(job("j1"))
    inbound.comes(job("j1"), LOG)
    inbound.comes(reply(b"+OK filter deleted. [Event-Name][BACKGROUND_JOB]"))
    assert inbound.names == ["BACKGROUND_JOB", "BACKGROUND_JOB", "LogLine"]


def test_a_job_may_have_the_uuid_of_one_whose_result_may_not_be_received(inbound):
    """The refusal of the first then is not the second's, whose wait would never end: found by fuzzing."""
    first, _ = inbound.bgapi("status", job_uuid="j1")
    inbound.comes(reply(b"-ERR permission denied"))
    second, result = inbound.bgapi("version", job_uuid="j1")
    inbound.comes(reply(b"-ERR no"), ENABLED, reply(b"+OK Job-UUID: j1", b"Job-UUID: j1\n"), job("j1"))
    assert raised(first) == ("CommandError", "-ERR no")
    assert second.result().job_uuid == "j1"
    assert result.result().ok


def test_two_jobs_cannot_have_one_uuid(esl, inbound):
    start_jobs(inbound, "j1")
    with pytest.raises(esl.InvalidCommand, match="'j1' is in use"):
        inbound.bgapi("status", job_uuid="j1")
    assert inbound.sent == b""


def test_unsubscribing_from_jobs_leaves_the_results_of_our_own(inbound):
    inbound.subscribe("BACKGROUND_JOB", "DTMF")
    inbound.comes(ENABLED)
    (result,) = start_jobs(inbound, "j1")
    assert inbound.sent == b""
    wait = inbound.unsubscribe("BACKGROUND_JOB", "DTMF")
    assert inbound.sent == b"nixevent DTMF\n\n"
    inbound.comes(reply(b"+OK events nixed"), job("j1"))
    assert wait.result().ok
    assert result.done
    assert inbound.names == []
    inbound.unsubscribe("BACKGROUND_JOB")
    assert inbound.sent == b"filter delete Eslcodec-Probe\n\n"  # a command without effect: something must answer


@pytest.mark.parametrize(
    ("method", "names", "sent"), [("noevents", (), b"noevents"), ("unsubscribe", ("all",), b"nixevent all")]
)
def test_jobs_are_subscribed_to_again_after_everything_was_taken_away(inbound, method, names, sent):
    (result,) = start_jobs(inbound, "j1")
    getattr(inbound, method)(*names)
    assert inbound.sent == sent + b"\n\nevent BACKGROUND_JOB\n\n"
    inbound.comes(OK, ENABLED, job("j1"), job("j2"))
    assert result.done
    assert inbound.names == []


def test_filters_let_the_results_of_jobs_pass_and_nothing_more(inbound):
    inbound.subscribe("ALL")
    inbound.comes(ENABLED)
    (result,) = start_jobs(inbound, "j1")
    inbound.filter("Unique-ID", "u-1")
    assert inbound.sent == b"event ALL\n\nfilter add Event-Name BACKGROUND_JOB\n\nfilter add Unique-ID u-1\n\n"[11:]
    inbound.comes(OK, OK, job("j1"), job("j2"))
    assert result.done
    assert inbound.names == []  # subscribed to by ALL, but the user's filter does not let them pass
    inbound.filter("Job-UUID", "/^j[3-5]$/")
    inbound.filter("Job-UUID", "-j4")
    inbound.comes(OK, OK, job("j3"), job("j4"), job("J6"))
    assert [message["Job-UUID"] for message in inbound.queue] == ["j3"]


def test_a_filter_of_ours_goes_with_the_last_filter_of_the_user(inbound):
    inbound.filter("A", "1")
    inbound.comes(OK)
    assert inbound.sent == b"filter add A 1\n\n"
    inbound.bgapi("status", job_uuid="j1")
    assert inbound.sent == (
        b"filter add Event-Name BACKGROUND_JOB\n\nevent BACKGROUND_JOB\n\nbgapi status\nJob-UUID: j1\n\n"
    )
    inbound.filter_delete("A")
    assert inbound.sent == b"filter delete A\n\nfilter delete Event-Name BACKGROUND_JOB\n\n"


@pytest.mark.parametrize("header", ["all", "Event-Name"])
def test_a_filter_of_ours_that_was_deleted_with_others_comes_again_if_it_is_needed(inbound, header):
    inbound.filter("A", "1")
    inbound.filter("Event-Name", "DTMF")
    inbound.bgapi("status", job_uuid="j1")
    inbound.data_to_send()
    inbound.filter_delete(header)
    again = b"filter add Event-Name BACKGROUND_JOB\n\n" if header == "Event-Name" else b""
    assert inbound.sent == b"filter delete %b\n\n" % header.encode() + again


# Executions


def test_the_first_awaited_execution_enables_the_channels_events_for_itself_alone(outbound):
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


def test_executions_end_in_the_order_in_which_the_switch_ends_them(outbound):
    runs = [outbound.run("playback", event_uuid=f"e{number}")[1] for number in range(3)]
    outbound.comes(reply(b"+OK Events Enabled"), OK, OK, OK)
    outbound.comes(*(execution(b"CHANNEL_EXECUTE_COMPLETE", f"e{number}") for number in (2, 1, 0)))
    assert [run.result()["Application-UUID"] for run in runs] == ["e0", "e1", "e2"]


def test_a_users_own_myevents_shows_the_events_and_serves_executions(outbound):
    outbound.myevents(format="json")
    outbound.comes(reply(b"+OK Events Enabled"))
    _, ended = outbound.run("playback", event_uuid="e1")
    assert outbound.sent.startswith(b"myevents json\n\nsendmsg\n")
    outbound.comes(OK, execution(b"CHANNEL_EXECUTE_COMPLETE", "e1"))
    assert ended.done
    assert outbound.names == ["CHANNEL_EXECUTE_COMPLETE"]


def test_myevents_after_an_awaited_execution_is_not_sent_twice(esl, outbound):
    outbound.run("playback", event_uuid="e1")
    assert b"myevents" in outbound.sent
    wait = outbound.myevents()
    assert outbound.sent == b""
    outbound.comes(reply(b"+OK Events Enabled"), OK, execution(b"CHANNEL_EXECUTE_COMPLETE", "e1"))
    assert wait.result().text == "+OK Events Enabled"
    assert outbound.names == ["CHANNEL_EXECUTE_COMPLETE"]
    with pytest.raises(esl.InvalidCommand, match="their format cannot become 'json'"):
        outbound.myevents(format="json")


def test_events_the_user_subscribed_to_are_shown_beside_those_only_executions_need(outbound):
    outbound.subscribe("DTMF", custom=["a::b"])
    outbound.run("playback", event_uuid="e1")
    outbound.comes(ENABLED, reply(b"+OK Events Enabled"), OK)
    outbound.comes(event(b"DTMF"), event(b"CHANNEL_PARK"), event(b"CUSTOM", b"Event-Subclass: a%3A%3Ab"))
    assert outbound.names == ["DTMF", "CUSTOM"]


def test_a_hangup_ends_what_has_not_begun_and_what_runs_says_so_itself(outbound):
    running, queued = (outbound.run("playback", event_uuid=uuid)[1] for uuid in ("e1", "e2"))
    outbound.comes(reply(b"+OK Events Enabled"), OK, OK, execution(b"CHANNEL_EXECUTE", "e1"))
    outbound.comes(event(b"CHANNEL_HANGUP", b"Unique-ID: u-1", b"Hangup-Cause: USER_BUSY"))
    assert raised(queued) == ("ChannelEnded", "the channel hung up: USER_BUSY")
    assert not running.done
    outbound.comes(execution(b"CHANNEL_EXECUTE_COMPLETE", "e1"))
    assert raised(running) == ("ChannelEnded", "the channel hung up: USER_BUSY")


def test_nothing_runs_after_the_end_of_a_hangup(outbound):
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
def test_what_tells_that_the_channel_hung_up(esl, outbound, frames, cause):
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


def test_what_failed_before_the_cause_was_known_says_the_cause_once_it_is(esl, outbound):
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


def test_a_channel_may_have_hung_up_before_the_connection_is_there(esl, way):
    peer = Peer(part(esl, "connection").Connection.outbound(), way)
    peer.comes(CONNECTED.replace(b"variable_x", b"Answer-State: hangup\nHangup-Cause: USER_BUSY\nvariable_x"))
    assert peer.hung_up == "USER_BUSY"


def test_the_channel_of_an_inbound_connection_hangs_up_likewise(esl, inbound):
    inbound.myevents("u-1")
    inbound.comes(reply(b"+OK Events Enabled"), HUNG_UP)
    assert inbound.hung_up == "USER_BUSY"
    with pytest.raises(esl.ChannelEnded):
        inbound.execute("playback")
    inbound.comes(good_bye())
    with pytest.raises(esl.ConnectionClosed, match="the switch said good-bye"):
        inbound.api("status")


def test_a_user_who_may_not_ask_the_api_for_variables_gets_them_by_getvar(inbound):
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


def test_the_end_by_the_channels_hangup_fails_what_acts_on_it_for_that_and_the_rest_for_the_end(outbound):
    acting = [outbound.execute("playback"), *outbound.run("playback")]
    others = [outbound.api("status"), *outbound.bgapi("status"), outbound.execute("playback", uuid="u-2")]
    outbound.comes(good_bye())
    assert {raised(wait) for wait in acting} == {("ChannelEnded", "the channel hung up: UNKNOWN")}
    assert {raised(wait) for wait in others} == {("ConnectionClosed", "the switch said good-bye")}


def test_an_execution_that_is_refused_does_not_end(outbound):
    accepted, ended = outbound.run("playback", event_uuid="e1")
    outbound.comes(reply(b"+OK Events Enabled"), reply(b"-ERR invalid session id [u-1]"))
    assert raised(accepted) == raised(ended) == ("CommandError", "-ERR invalid session id [u-1]")


def test_an_execution_whose_end_may_not_be_seen_says_so(outbound):
    accepted, ended = outbound.run("playback", event_uuid="e1")
    outbound.comes(reply(b"-ERR no"), OK)
    assert raised(ended) == ("CommandError", "-ERR no")
    assert accepted.result().ok


def test_events_of_the_channel_that_come_though_they_were_refused_are_the_users(outbound):
    outbound.run("playback", event_uuid="e1")
    outbound.comes(reply(b"-ERR no"), OK)
    outbound.comes(event(b"DTMF"))
    outbound.comes(execution(b"CHANNEL_EXECUTE_COMPLETE", "e1"), LOG)
    assert outbound.names == ["DTMF", "CHANNEL_EXECUTE_COMPLETE", "LogLine"]


def test_an_execution_may_have_the_uuid_of_one_whose_end_may_not_be_seen(outbound):
    first, _ = outbound.run("playback", event_uuid="e1")
    outbound.comes(reply(b"-ERR no"))
    second, ended = outbound.run("sleep", event_uuid="e1")
    outbound.comes(reply(b"-ERR invalid"), reply(b"+OK Events Enabled"), OK)
    outbound.comes(execution(b"CHANNEL_EXECUTE_COMPLETE", "e1"))
    assert raised(first) == ("CommandError", "-ERR invalid")
    assert second.result().ok
    assert ended.result().name == "CHANNEL_EXECUTE_COMPLETE"


def test_only_a_connection_with_a_channel_can_wait_for_an_execution(esl, inbound):
    with pytest.raises(esl.InvalidCommand, match="controls a channel only"):
        inbound.run("playback")
    inbound.myevents("u-7")
    inbound.comes(reply(b"+OK Events Enabled"))
    _, ended = inbound.run("playback", event_uuid="e1")
    inbound.comes(OK, execution(b"CHANNEL_EXECUTE_COMPLETE", "e1"))
    assert ended.done


def test_an_event_uuid_in_use_is_refused(esl, outbound):
    outbound.run("playback", event_uuid="e1")
    with pytest.raises(esl.InvalidCommand, match="'e1' is in use"):
        outbound.run("playback", event_uuid="e1")


@pytest.mark.parametrize(("mode", "patient"), [(b"static", True), (b"async", False)])
def test_on_a_static_socket_the_reply_may_take_as_long_as_the_application(esl, mode, patient):
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


def test_digits_are_those_of_the_channel_and_no_events(outbound):
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
def test_digits_end_with_the_channel(outbound, last):
    wait = outbound.digit()
    outbound.comes(MINE, event(b"CHANNEL_HANGUP", b"Unique-ID: another"))
    assert not wait.done
    outbound.comes(LINGER if last is None else event(last, b"Unique-ID: u-1"))
    assert wait.result() is False
    assert outbound.digit().result() is False
    outbound.digits.append("1")  # typed before
    assert outbound.digit().result() is True


def test_digits_that_nobody_may_see_are_asked_for_again(outbound):
    wait = outbound.digit()
    outbound.comes(reply(b"-ERR no"))
    assert raised(wait) == ("CommandError", "-ERR no")
    outbound.data_to_send()
    again = outbound.digit()
    assert outbound.sent == b"myevents\n\n"
    outbound.comes(MINE, digit("1"))
    assert again.result() is True


def test_digits_and_executions_share_the_channels_events(outbound):
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
def test_digits_of_a_call_as_a_real_switch_sends_them(esl, way, format):
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


def test_digits_before_anybody_asked_are_none(outbound):
    outbound.subscribe("DTMF")
    outbound.comes(ENABLED, digit("1"))
    assert outbound.names == ["DTMF"]
    assert list(outbound.digits) == []


def test_digits_need_a_channel(esl, inbound):
    with pytest.raises(esl.InvalidCommand, match="digits are those of a channel, and the conn"):
        inbound.dtmf()
    inbound.myevents("u-7")
    inbound.comes(MINE)
    wait = inbound.digit()
    inbound.comes(digit("1", b"u-7"))
    assert wait.result() is True


@pytest.mark.parametrize("waiting", [True, False])
def test_the_end_of_the_connection_ends_digits(outbound, waiting):
    outbound.dtmf()
    wait = outbound.digit() if waiting else None
    outbound.comes(MINE)
    outbound.close()
    assert (wait or outbound.digit()).result() is False


@pytest.mark.parametrize("waiting", [True, False])
def test_a_bad_end_of_the_connection_fails_them(outbound, waiting):
    outbound.dtmf()
    wait = outbound.digit() if waiting else None
    outbound.comes(MINE)
    outbound.receive_eof()
    assert raised(wait or outbound.digit()) == ("ConnectionClosed", "the switch closed the connection")


# The end


def test_the_linger_notice_is_not_the_end(esl, outbound):
    outbound.linger()
    outbound.comes(reply(b"+OK will linger"), LINGER)
    assert outbound.end is None
    assert outbound.lingering.linger_time == 5
    outbound.comes(event(b"CHANNEL_HANGUP_COMPLETE"), notice(FAREWELL))
    assert (outbound.end.reason, outbound.end.clean, outbound.end.asked) == ("the switch said good-bye", True, False)
    assert outbound.names == ["DisconnectNotice", "CHANNEL_HANGUP_COMPLETE"]


def test_exit_is_an_end_that_we_asked_for(inbound):
    wait = inbound.exit()
    inbound.comes(reply(b"+OK bye"), notice(FAREWELL))
    inbound.receive_eof()
    assert wait.result().text == "+OK bye"
    assert (inbound.end.clean, inbound.end.asked) == (True, True)


def test_exit_as_a_command_of_ones_own_is_an_end_that_we_asked_for(inbound):
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
def test_every_end_ends_every_wait_with_its_reason(esl, way, data, kind, text, clean):
    peer = outbound_peer(esl, way)
    waits = [peer.api("status"), *peer.bgapi("status"), *peer.run("playback"), peer.getvar("x")]
    peer.comes(HEARTBEAT, data)
    peer.receive_eof()
    assert {raised(wait) for wait in waits} == {(kind, text)}
    assert peer.end.clean is clean
    assert peer.names[:1] == ["HEARTBEAT"]
    with pytest.raises(esl.ESLError, match=text[:20]):
        peer.api("status")


def test_each_who_waited_gets_an_exception_of_his_own(inbound):
    first, second = inbound.api("status"), inbound.api("version")
    inbound.receive_eof()
    errors = []
    for wait in (first, first, second):
        with pytest.raises(Exception, match="closed the connection") as caught:
            wait.result()
        errors.append(caught.value)
    assert len({id(error) for error in errors}) == 3


def test_an_unfinished_frame_is_the_cause_of_the_end(esl, inbound):
    wait = inbound.api("status")
    inbound.comes(b"Content-Type: api/response\nContent-Length: 5\n\nUP")
    inbound.receive_eof()
    with pytest.raises(esl.ConnectionClosed) as caught:
        wait.result()
    assert isinstance(caught.value.__cause__, esl.IncompleteFrame)
    assert caught.value.__cause__.data.endswith(b"\n\nUP")


def test_a_failed_transport_is_the_cause_of_the_end(esl, inbound):
    wait = inbound.api("status")
    inbound.lost(ConnectionResetError(104, "Connection reset by peer"))
    with pytest.raises(esl.ConnectionClosed, match=r"the connection was lost: .*reset by peer") as caught:
        wait.result()
    assert isinstance(caught.value.__cause__, ConnectionResetError)


def test_closing_is_an_end_that_we_asked_for(inbound):
    wait = inbound.api("status")
    inbound.close()
    assert raised(wait) == ("ConnectionClosed", "closed by us")
    assert inbound.end.asked
    inbound.comes(api_response(b"late"))
    inbound.receive_eof()
    inbound.lost(None)
    assert inbound.end.reason == "closed by us"


def test_a_wait_that_is_open_has_no_result(inbound):
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


def test_a_recorded_session_cut_anywhere_leaves_no_wait_open(esl):
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


def test_a_slow_reader_that_was_killed_learns_it(esl):
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


# Reading on


def limited(esl: Any, way: str, **options: Any) -> Peer:
    peer = Peer(part(esl, "connection").Connection.inbound("x", **options), way)
    peer.comes(AUTH, ACCEPTED)
    return peer


def test_reading_stops_at_the_soft_bound_and_goes_on_below(esl, way):
    peer = limited(esl, way, queue_limit=3, queue_hard_limit=5)
    peer.comes(HEARTBEAT, HEARTBEAT)
    assert peer.wants_data
    peer.comes(HEARTBEAT)
    assert not peer.wants_data
    peer.queue.popleft()
    assert peer.wants_data


def test_the_bound_is_soft_while_somebody_waits(esl, way):
    peer = limited(esl, way, queue_limit=3, queue_hard_limit=5)
    wait = peer.api("status")
    peer.comes(*[HEARTBEAT] * 4)
    assert not peer.wants_data
    woken = []
    waker = lambda: woken.append(1)  # noqa: E731
    wait.watch(waker)
    assert peer.wants_data
    assert not peer.stuck
    peer.comes(HEARTBEAT)
    assert not peer.wants_data
    assert peer.stuck
    assert woken
    error = peer.stuck_error(wait.what)
    assert isinstance(error, esl.EventQueueFull)
    assert str(error) == (
        "waiting for the answer to 'api status': 5 messages are queued, expected somebody to read them (5)"
    )
    wait.unwatch(waker)
    peer.queue.clear()
    peer.comes(api_response(b"UP"))
    assert wait.result().text == "UP"


def test_the_oldest_is_dropped_and_counted_by_choice(esl, way):
    peer = limited(esl, way, queue_limit=2, when_full="drop")
    peer.comes(*(event(b"DTMF", b"Event-Sequence: %d" % number) for number in range(7)))
    assert [message.sequence for message in peer.queue] == [5, 6]
    assert peer.dropped == 5
    assert peer.wants_data
    assert not peer.stuck


BIG = event(b"DTMF", b"Data: " + b"x" * 600)


@pytest.fixture
def bounds_in_bytes(esl: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two big events fill the queue, three of them to the hard bound."""
    monkeypatch.setattr(part(esl, "limits"), "EVENT_QUEUE_BYTES", 2 * len(BIG))
    monkeypatch.setattr(part(esl, "limits"), "EVENT_QUEUE_HARD_BYTES", 3 * len(BIG))


@pytest.mark.usefixtures("bounds_in_bytes")
def test_few_messages_that_are_large_fill_the_queue_too(esl, way):
    peer = limited(esl, way)
    peer.comes(BIG)
    assert peer.wants_data
    peer.comes(BIG)
    assert not peer.wants_data
    peer.queue.popleft()
    assert peer.wants_data


@pytest.mark.usefixtures("bounds_in_bytes")
def test_large_messages_make_waiting_for_a_reply_vain_too(esl, way):
    peer = limited(esl, way)
    wait = peer.api("status")
    woken = []
    wait.watch(lambda: woken.append(1))
    peer.comes(BIG)
    peer.comes(BIG)
    assert peer.wants_data
    assert not peer.stuck
    assert not woken
    peer.comes(BIG)
    assert not peer.wants_data
    assert peer.stuck
    assert woken
    error = peer.stuck_error(wait.what)
    size = 3 * len(BIG)
    assert (error.queued, error.limit, error.unit) == (size, size, "bytes")
    assert vars(copy.copy(error)) == vars(error)
    assert str(error) == (
        f"waiting for the answer to 'api status': {size} bytes are queued, expected somebody to read them ({size})"
    )
    peer.queue.clear()
    assert not peer.stuck
    peer.comes(api_response(b"UP"))
    assert wait.result().text == "UP"


@pytest.mark.usefixtures("bounds_in_bytes")
def test_what_an_earlier_connection_left_counts(esl, way):
    earlier = limited(esl, way)
    earlier.comes(BIG)
    peer = limited(esl, way, queue=earlier.queue)
    assert peer.wants_data
    peer.comes(BIG)
    assert not peer.wants_data


@pytest.mark.usefixtures("bounds_in_bytes")
def test_what_does_not_wait_does_not_count(esl, way):
    peer = limited(esl, way)
    for _ in range(9):
        wait = peer.api("status")
        peer.comes(api_response(b"x" * 1000))
        assert wait.result().text == "x" * 1000
    peer.comes(BIG)
    assert peer.wants_data


@pytest.mark.usefixtures("bounds_in_bytes")
def test_the_oldest_large_ones_are_dropped_and_the_newest_stays_whatever_its_size(esl, way):
    peer = limited(esl, way, when_full="drop")
    for number in range(5):
        peer.comes(event(b"DTMF", b"Event-Sequence: %d" % number, b"Data: " + b"x" * 500))
    assert [message.sequence for message in peer.queue] == [3, 4]
    assert peer.dropped == 3
    peer.comes(event(b"DTMF", b"Event-Sequence: 5", b"Data: " + b"x" * 9000))
    assert [message.sequence for message in peer.queue] == [5]
    assert peer.dropped == 5


MESSAGES = st.binary(max_size=100).map(lambda body: Message(b"Content-Type: x\n\n", body))


@given(
    st.lists(
        st.one_of(
            st.integers(0, 5),
            st.tuples(st.sampled_from(["append", "extend", "take_in", "take_read"]), st.lists(MESSAGES)),
        )
    )
)
def test_size_of_a_queue_is_what_waits_rounded_up_to_whole_reads(operations):
    """An operation takes so many messages out, or is a read of some."""
    queue, waiting, largest = MessageQueue(), [], 0
    for operation in operations:
        if isinstance(operation, int):
            for _ in waiting[:operation]:
                queue.popleft()
            del waiting[:operation]
        else:
            how, messages = operation
            sizes = [len(message.frame) for message in messages]
            if how == "take_in":
                queue.take_in(messages, sum(sizes))
            elif how == "take_read":
                queue.take_read(messages, sum(sizes))
            elif how == "extend":
                queue.extend(messages)
            else:
                for message in messages:
                    queue.append(message)
            queue.close_read()
            waiting += sizes
            largest = max(largest, sum(sizes))
        assert len(queue) == len(waiting)
        assert queue.size_at_most >= sum(waiting)
        assert queue.holds(9, 200) == (len(waiting) >= 9 or queue.size >= 200)
        assert sum(waiting) <= queue.size < sum(waiting) + max(largest, 1)
        assert waiting or queue.size == 0
    assert queue.copy().size == 0  # it is another read, which goes on
    assert list(queue.copy()) == list(queue)


@pytest.mark.parametrize("waiting", [0, 1, 3, 200])
def test_a_queue_remembers_few_reads_whose_messages_are_gone(waiting):
    one = Message(b"Content-Type: a\n\n")
    queue = MessageQueue([one] * waiting)
    queue.close_read()
    for _ in range(2000):
        queue.take_read([one], 17)
        queue.popleft()
        assert len(queue._reads) <= waiting + 66
    assert queue.size == waiting * 17


@pytest.mark.parametrize(("first", "left"), [(80, 100), (101, 20)])
def test_a_large_read_counts_message_by_message_in_a_queue(esl, monkeypatch, first, left):
    monkeypatch.setattr(part(esl, "limits"), "RECEIVE_BYTES_MAX", 100)
    queue = part(esl, "connection").MessageQueue()
    head = b"Content-Type: a\n\n"
    queue.take_read([esl.Message(head, b"x" * (first - len(head))), esl.Message(head, b"yyy")], first + 20)
    queue.popleft()
    assert queue.size == left


@given(st.lists(st.lists(st.integers(0, 6), max_size=6), max_size=8), st.integers(0, 3))
def test_a_read_of_events_only_is_taken_as_any_other(reads, taken):
    """The shorter way of `Connection._pump` beside the one for all."""
    frames = [
        HEARTBEAT,
        event(b"DTMF", b"Event-Sequence: 7"),
        event(b"BACKGROUND_JOB", b"Job-UUID: none"),
        b"Content-Type: log/data\nContent-Length: 3\nLog-Level: 7\n\nabc",
        b"Content-Type: text/x-unknown\n\n",
        b"\n",
        b"",
    ]
    short, whole = (Connection.inbound("secret", queue_limit=4, queue_hard_limit=6) for _ in range(2))
    whole._needed = {"NONE"}
    woken = {short: 0, whole: 0}

    def count(connection):
        woken[connection] += 1

    for connection in (short, whole):
        connection.receive(AUTH + ACCEPTED)
        connection.api("status").watch(partial(count, connection))
    for read in reads:
        for connection in (short, whole):
            connection.receive(b"".join(frames[number] for number in read))
            for _ in range(min(taken, len(connection.queue))):
                connection.queue.popleft()
        assert list(short.queue) == list(whole.queue)
        assert short.received_events == whole.received_events
        assert short.last_event == whole.last_event
        assert short.received_bytes == whole.received_bytes
        assert (short.stuck, short.wants_data, short.end) == (whole.stuck, whole.wants_data, whole.end)
        assert bool(woken[short]) == bool(woken[whole])


@pytest.mark.usefixtures("bounds_in_bytes")
def test_what_came_with_a_message_and_does_not_wait_does_not_count(esl, way):
    peer = limited(esl, way)
    for _ in range(5):
        wait = peer.api("status")
        peer.comes(HEARTBEAT, api_response(b"x" * 1000), HEARTBEAT)
        assert wait.result().text == "x" * 1000
    assert peer.wants_data
    assert len(peer.queue) == 10


def test_a_large_message_does_not_take_those_along_that_came_with_it(esl, monkeypatch):
    monkeypatch.setattr(part(esl, "limits"), "EVENT_QUEUE_BYTES", 1 << 20)
    peer = limited(esl, "whole", when_full="drop")
    peer.comes(event(b"DTMF", b"Data: " + b"x" * (1 << 20)), *[HEARTBEAT] * 50)
    assert peer.names == ["HEARTBEAT"] * 50
    assert peer.dropped == 1
    peer.comes(LOG, event(b"DTMF", b"Data: " + b"x" * (1 << 20)), LOG, LOG)
    assert peer.names == ["LogLine"] * 2


@pytest.mark.parametrize(
    "options", [{"when_full": "block"}, {"queue_limit": 0}, {"queue_limit": 5, "queue_hard_limit": 4}]
)
def test_bounds_that_make_no_sense_are_refused(esl, options):
    with pytest.raises(ValueError, match="expected"):
        part(esl, "connection").Connection.inbound("x", **options)


# Silence


def test_after_a_silence_the_switch_is_asked_for_a_sign_of_life(inbound):
    inbound.silence(20)
    assert inbound.sent == b"filter delete Eslcodec-Probe\n\n"
    inbound.comes(reply(b"+OK filter deleted. [Eslcodec-Probe][]"))
    inbound.silence(20)
    assert inbound.sent == b"filter delete Eslcodec-Probe\n\n"
    assert inbound.end is None


def test_a_switch_that_gives_no_sign_of_life_is_given_up(inbound):
    inbound.silence(20)
    wait = inbound.api("status")
    inbound.silence(20)
    assert raised(wait) == ("ConnectionClosed", "nothing was received for 40 s, though the switch was asked")
    assert not inbound.end.clean
    assert not inbound.end.asked


def test_a_switch_that_is_busy_with_a_command_is_left_alone(inbound):
    wait = inbound.api("originate", "user/1 &park")
    wait.watch(print)
    inbound.data_to_send()
    inbound.silence(20)
    inbound.silence(20)
    assert inbound.sent == b""
    assert inbound.end is None
    wait.unwatch(print)  # who waited gave up, and the switch has no excuse any more
    inbound.silence(20)
    assert inbound.sent == b"filter delete Eslcodec-Probe\n\n"
    inbound.silence(20)
    assert inbound.end is not None


def test_a_command_that_takes_as_long_as_its_application_holds_the_question_back(esl, way):
    peer = Peer(part(esl, "connection").Connection.outbound(), way)
    peer.data_to_send()
    peer.comes(CONNECTED.replace(b"{mode}", b"static"))
    peer.execute("playback", "long.wav")
    peer.data_to_send()
    peer.silence(20)
    peer.silence(20)
    assert (peer.sent, peer.end) == (b"", None)


# What was sent, and what was not


@pytest.mark.parametrize(
    ("unsent", "wanted"), [(0, [True, True]), (1, [True, True]), (9, [True, False]), (20, [False] * 2)]
)
def test_an_end_says_whether_a_byte_of_a_command_was_sent(inbound, unsent, wanted):
    waits = [inbound.api("one"), inbound.api("two")]  # nine bytes each
    assert len(inbound.data_to_send()) == 18
    inbound.connection.unsent = unsent
    never = inbound.api("three")
    inbound.receive_eof()
    found = []
    for wait in [*waits, never]:
        with pytest.raises(Exception, match="closed the connection") as caught:
            wait.result()
        found.append(caught.value.maybe_done)
    assert found == [*wanted, False]


def test_a_job_that_was_accepted_may_be_done(inbound):
    accepted, result = inbound.bgapi("work", job_uuid="j-1")
    inbound.data_to_send()
    inbound.comes(ENABLED, reply(b"+OK Job-UUID: j-1", b"Job-UUID: j-1\n"))
    assert accepted.done
    inbound.receive_eof()
    with pytest.raises(Exception, match="closed the connection") as caught:
        result.result()
    assert caught.value.maybe_done


# Set up again


def test_what_was_granted_is_asked_for_again_and_the_gap_stands_before_it(esl, way, inbound):
    inbound.subscribe("DTMF", "CUSTOM", custom=["a::b"], format="json")
    inbound.subscribe("NOSUCH")
    inbound.filter("Unique-ID", "u-1")
    inbound.log("info")
    inbound.bgapi("status", job_uuid="j1")
    inbound.comes(ENABLED, reply(b"-ERR no keywords supplied"), OK, OK, OK, ENABLED, OK, HEARTBEAT)
    inbound.receive_eof()
    again = Peer(
        part(esl, "connection").Connection.inbound(
            "secret",
            subscriptions=inbound.subscriptions,
            queue=inbound.queue,
            gap=lambda: esl.Gap.of(1.5, inbound.end.reason),
        ),
        way,
    )
    again.comes(AUTH)
    again.data_to_send()
    again.comes(ACCEPTED)
    assert again.sent == (b"filter add Unique-ID u-1\n\nevent json DTMF CUSTOM a::b\n\nlog info\n\n")
    assert not again.ready.done
    again.comes(OK, event(b"DTMF"), ENABLED, OK)
    assert again.ready.result().text == "+OK accepted"
    assert again.names == ["HEARTBEAT", "CUSTOM", "DTMF"]
    gap = again.queue[1]
    assert (gap.subclass, gap.seconds, gap.reason) == ("eslcodec::gap", 1.5, "the switch closed the connection")


def test_what_is_refused_when_asked_for_again_ends_the_connection(esl, way):
    subscriptions = part(esl, "subscriptions").Subscriptions()
    subscriptions.add(["ALL"])
    peer = Peer(part(esl, "connection").Connection.inbound("x", subscriptions=subscriptions), way)
    peer.comes(AUTH, ACCEPTED, reply(b"-ERR permission denied"))
    assert raised(peer.ready) == (
        "ConnectionClosed",
        "what was subscribed to is refused now: -ERR permission denied",
    )


@pytest.mark.parametrize(
    ("steps", "commands"),
    [
        ([("subscribe", "ALL"), ("unsubscribe", "HEARTBEAT")], [b"event ALL\n\n", b"nixevent HEARTBEAT\n\n"]),
        ([("subscribe", "ALL"), ("unsubscribe", "TALK"), ("subscribe", "talk")], [b"event ALL TALK\n\n"]),
        ([("subscribe", "DTMF", "TALK"), ("unsubscribe", "dtmf")], [b"event TALK\n\n"]),
        ([("subscribe", "DTMF"), ("unsubscribe", "all")], []),
        ([("subscribe", "DTMF"), ("noevents",)], []),
        ([("filter", "A", "1"), ("filter", "a", "2"), ("filter", "B", "3"), ("filter_delete", "A", "2")],
         [b"filter add A 1\n\n", b"filter add B 3\n\n"]),
        ([("filter", "A", "1"), ("filter", "a", "2"), ("filter", "B", "3"), ("filter_delete", "A")],
         [b"filter add B 3\n\n"]),
        ([("filter", "A", "1"), ("filter_delete",)], []),
        ([("log",), ("nolog",)], []),
        ([("log",)], [b"log DEBUG\n\n"]),
        ([("myevents", "u-1"), ("subscribe", "HEARTBEAT")], [b"myevents u-1\n\n", b"event HEARTBEAT\n\n"]),
    ],
)  # fmt: skip
def test_subscriptions_follow_what_the_switch_granted(esl, steps, commands):
    connection = part(esl, "connection").Connection.inbound("x")
    connection.receive(AUTH + ACCEPTED)
    for method, *arguments in steps:
        getattr(connection, method)(*arguments)
        connection.receive(OK)
    assert connection.subscriptions.commands() == commands


def test_a_format_takes_effect_even_if_no_name_was_known(inbound):
    inbound.subscribe("NOSUCH", format="xml")
    inbound.comes(reply(b"-ERR no keywords supplied"))
    assert inbound.subscriptions.format == "xml"


def test_unsubscribing_from_a_subclass_leaves_the_others(inbound):
    inbound.subscribe(custom=["a::b", "c::d"])
    inbound.unsubscribe(custom=["a::b"])
    assert inbound.sent == b"event CUSTOM a::b c::d\n\nnixevent CUSTOM a::b\n\n"
    inbound.comes(ENABLED, OK)
    assert inbound.subscriptions.commands() == [b"event CUSTOM c::d\n\n"]
