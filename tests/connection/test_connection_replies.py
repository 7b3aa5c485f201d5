"""Commands of a connection without I/O: each gets its reply, also where the switch breaks one."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from connection_support import ENABLED, HEARTBEAT, LOG, event, raised
from connection_support import inbound as inbound
from connection_support import way as way
from support import OK, api_response, reply

# Replies


def test_replies_go_to_the_commands_in_order(inbound: Any) -> None:
    status, version, subscribed = inbound.api("status"), inbound.api("version"), inbound.subscribe("ALL")
    assert inbound.sent == b"api status\n\napi version\n\nevent ALL\n\n"
    inbound.comes(api_response(b"UP\n"), api_response(b"1.11\n"))
    assert (status.result().text, version.result().text, subscribed.done) == ("UP\n", "1.11\n", False)
    inbound.comes(ENABLED)
    assert subscribed.result().text == "+OK event listener enabled plain"


def test_a_thousand_pipelined_commands_get_their_replies(inbound: Any) -> None:
    waits = [inbound.api("echo", str(number)) for number in range(1000)]
    assert inbound.sent.count(b"\n\n") == 1000
    inbound.comes(*(api_response(b"%d" % number) for number in range(1000)))
    assert [wait.result().text for wait in waits] == [str(number) for number in range(1000)]


def test_events_between_a_command_and_its_reply_go_to_the_queue(inbound: Any) -> None:
    status = inbound.api("status")
    inbound.comes(HEARTBEAT, LOG, event(b"DTMF"))
    assert not status.done
    inbound.comes(api_response(b"UP\n"), event(b"TALK"))
    assert status.result().text == "UP\n"
    assert inbound.names == ["HEARTBEAT", "LogLine", "DTMF", "TALK"]


def test_an_api_command_that_is_not_permitted_is_answered_by_a_command_reply(esl: ModuleType, inbound: Any) -> None:
    wait = inbound.api("uptime")
    inbound.comes(reply(b"-ERR permission denied"))
    assert (type(wait.result()), wait.result().text) == (esl.CommandReply, "-ERR permission denied")


def test_what_an_api_command_says_is_data(inbound: Any) -> None:
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
def test_a_refused_command_fails_with_what_the_switch_said(
    inbound: Any, method: str, arguments: Any, sent: bytes
) -> None:
    wait = getattr(inbound, method)(*arguments)
    assert inbound.sent == sent
    inbound.comes(reply(b"-ERR command not found"))
    assert raised(wait) == ("CommandError", "-ERR command not found")
    assert inbound.end is None


def test_a_command_of_ones_own_gets_whatever_reply_comes(inbound: Any) -> None:
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
def test_what_is_not_one_command_is_not_sent(esl: ModuleType, inbound: Any, command: str) -> None:
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
def test_a_command_of_ones_own_may_lack_its_blank_line_or_have_more_behind_it(
    inbound: Any, command: Any, block: bytes
) -> None:
    inbound.send(command)
    assert inbound.sent == block


def test_a_reply_that_no_command_asked_for_ends_the_connection(inbound: Any) -> None:
    inbound.comes(OK)
    assert inbound.end.reason == "read a reply that no command asked for: '+OK'"


def test_output_of_an_api_command_that_was_not_asked_for_ends_the_connection(inbound: Any) -> None:
    first, second = inbound.subscribe("ALL"), inbound.api("status")
    inbound.comes(api_response(b"UP\n"))
    expected = "ProtocolError", "read the output of an API command, expected the answer to 'event'"
    assert raised(first) == raised(second) == expected


# getvar, whose replies the switch can break


def test_getvar_gives_the_value_and_nothing_for_an_unset_one(inbound: Any) -> None:
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
def test_a_broken_getvar_reply_fails_that_getvar_alone_if_nothing_else_is_due(inbound: Any, broken: Any) -> None:
    wait = inbound.getvar("x")
    inbound.comes(broken)
    kind, text = raised(wait)
    assert kind == "ProtocolError"
    assert "expected a value of one line: use `api uuid_getvar`" in text
    assert inbound.end is None


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_after_a_broken_getvar_reply_no_other_reply_is_given_to_the_wrong_command(inbound: Any, broken: Any) -> None:
    waits = [inbound.getvar("x"), inbound.api("status"), inbound.api("version")]
    inbound.comes(broken, api_response(b"which one?"))
    assert {raised(wait)[0] for wait in waits} == {"ProtocolError"}
    assert inbound.end is not None


# What was sent, and what was not


@pytest.mark.parametrize(
    ("unsent", "wanted"), [(0, [True, True]), (1, [True, True]), (9, [True, False]), (20, [False] * 2)]
)
def test_an_end_says_whether_a_byte_of_a_command_was_sent(inbound: Any, unsent: int, wanted: Any) -> None:
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


def test_a_job_that_was_accepted_may_be_done(inbound: Any) -> None:
    accepted, result = inbound.bgapi("work", job_uuid="j-1")
    inbound.data_to_send()
    inbound.comes(ENABLED, reply(b"+OK Job-UUID: j-1", b"Job-UUID: j-1\n"))
    assert accepted.done
    inbound.receive_eof()
    with pytest.raises(Exception, match="closed the connection") as caught:
        result.result()
    assert caught.value.maybe_done
