"""The login of a connection without I/O, and what was asked for when it is set up again."""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import Any

import pytest
from connection_support import ENABLED, HEARTBEAT, Peer, event, raised
from connection_support import inbound as inbound
from connection_support import outbound as outbound
from connection_support import way as way
from support import ACCEPTED, AUTH, FAREWELL, OK, REJECTED, notice, part, reply


def test_a_connection_made_as_if_it_were_a_client_says_how_it_is_made(esl: ModuleType) -> None:
    connection = part(esl, "connection").Connection
    for arguments, options in (((), {"password": "x"}), (("ClueCon",), {}), ((), {}), ((), {"queue_limit": 1})):
        with pytest.raises(TypeError) as caught:
            connection(*arguments, **options)
        assert str(caught.value) == "a Connection is made by Connection.inbound(password) or Connection.outbound()"
    with pytest.raises(TypeError, match="unexpected keyword argument 'passwd'"):
        connection.inbound(passwd="x")
    assert list(inspect.signature(connection).parameters)[:2] == ["login", "greeted"]


# Login


def test_nothing_is_sent_before_the_switch_greets(esl: ModuleType, way: Any) -> None:
    peer = Peer(part(esl, "connection").Connection.inbound("secret"), way)
    assert peer.sent == b""
    peer.comes(AUTH)
    assert peer.sent == b"auth secret\n\n"
    assert not peer.ready.done


def test_login_is_done_when_it_is_accepted(inbound: Any) -> None:
    assert inbound.logged_in
    assert inbound.ready.result().text == "+OK accepted"


def test_a_directory_user_logs_in_with_userauth(esl: ModuleType, way: Any) -> None:
    peer = Peer(part(esl, "connection").Connection.inbound("pw", "1000@example.org"), way)
    peer.comes(AUTH, reply(b"+OK accepted", b"Allowed-Events: all\nAllowed-API: status\nAllowed-LOG: true\n"))
    assert peer.sent == b"userauth 1000@example.org:pw\n\n"
    assert peer.ready.result()["Allowed-API"] == "status"


@pytest.mark.parametrize(("user", "password"), [("1000", "pw"), ("a@b", "p\nq"), (None, "p\n\nexit"), ("a:b@c", "pw")])
def test_a_login_that_would_inject_is_refused(esl: ModuleType, user: Any, password: str) -> None:
    with pytest.raises(esl.InvalidCommand) as caught:
        part(esl, "connection").Connection.inbound(password, user)
    assert password not in str(caught.value)


def test_a_wrong_password_is_an_auth_error(esl: ModuleType, way: Any) -> None:
    peer = Peer(part(esl, "connection").Connection.inbound("x"), way)
    peer.comes(AUTH, reply(b"-ERR invalid"), notice(FAREWELL))
    assert raised(peer.ready) == ("AuthError", "-ERR invalid (wrong password?)")
    assert not peer.end.clean
    assert not peer.end.asked


def test_an_address_that_the_acl_refuses_is_denied(esl: ModuleType, way: Any) -> None:
    peer = Peer(part(esl, "connection").Connection.inbound("x"), way)
    peer.comes(REJECTED, notice(FAREWELL))
    assert raised(peer.ready) == ("AccessDenied", "Access Denied, go away.")


@pytest.mark.parametrize("data", [b"", AUTH, AUTH[:9]])
def test_a_stream_that_ends_before_the_login_says_so(esl: ModuleType, way: Any, data: Any) -> None:
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


def test_commands_before_the_login_are_refused(esl: ModuleType) -> None:
    connection = part(esl, "connection").Connection.inbound("x")
    connection.receive(AUTH)
    connection.data_to_send()
    with pytest.raises(esl.InvalidCommand, match="'api status' before the login was answered"):
        connection.api("status")
    assert connection.data_to_send() == b""


def test_an_outbound_connection_begins_with_connect_and_gets_its_channel(outbound: Any) -> None:
    reply = outbound.ready.result()
    assert (reply["Unique-ID"], reply["variable_x"]) == ("u-1", "a b")
    assert (outbound.channel, outbound.mode, outbound.control) == ("u-1", "async", "full")


def test_the_password_is_not_shown(esl: ModuleType) -> None:
    connection = part(esl, "connection").Connection.inbound("secret")
    connection.receive(AUTH)
    assert "secret" not in repr(connection.ready) + repr(vars(connection).get("_login"))


# Set up again


def test_what_was_granted_is_asked_for_again_and_the_gap_stands_before_it(
    esl: ModuleType, way: Any, inbound: Any
) -> None:
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


def test_what_is_refused_when_asked_for_again_ends_the_connection(esl: ModuleType, way: Any) -> None:
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
def test_subscriptions_follow_what_the_switch_granted(esl: ModuleType, steps: Any, commands: Any) -> None:
    connection = part(esl, "connection").Connection.inbound("x")
    connection.receive(AUTH + ACCEPTED)
    for method, *arguments in steps:
        getattr(connection, method)(*arguments)
        connection.receive(OK)
    assert connection.subscriptions.commands() == commands


def test_a_format_takes_effect_even_if_no_name_was_known(inbound: Any) -> None:
    inbound.subscribe("NOSUCH", format="xml")
    inbound.comes(reply(b"-ERR no keywords supplied"))
    assert inbound.subscriptions.format == "xml"


def test_unsubscribing_from_a_subclass_leaves_the_others(inbound: Any) -> None:
    inbound.subscribe(custom=["a::b", "c::d"])
    inbound.unsubscribe(custom=["a::b"])
    assert inbound.sent == b"event CUSTOM a::b c::d\n\nnixevent CUSTOM a::b\n\n"
    inbound.comes(ENABLED, OK)
    assert inbound.subscriptions.commands() == [b"event CUSTOM c::d\n\n"]
