"""ESLconnection: what commands send and return (docs/protocol/esl-module.md, A2.2 to A2.4)."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from esl_support import (
    COMMAND_REPLY,
    DTMF,
    DTMF_SEEN,
    LOST,
    OK_SEEN,
    REPLIES,
    Background,
    Server,
    assert_dead,
    outer,
    reply_seen,
    seen,
    strictly,
)
from support import ACCEPTED, AUTH, api_response, frame, plain, reply, until

# Every row, on a connection and on dead ones: docs/protocol/esl-module.md, A2.2


@pytest.mark.parametrize("name", REPLIES)
def test_reply_is_returned(ESL: Any, strict: Any, wire_of: Any, name: Any) -> None:
    wire = wire_of(reply(b"+OK one"))
    assert seen(getattr(wire.con, name)(*REPLIES[name])) == reply_seen("+OK one")
    assert wire.con.connected() == 1


@pytest.mark.parametrize("name", REPLIES)
def test_refusal_is_a_reply(ESL: Any, strict: Any, wire_of: Any, name: Any) -> None:
    returned = getattr(wire_of(reply(b"-ERR no")).con, name)(*REPLIES[name])
    assert (returned.getType(), returned.getHeader("reply-text"), returned.getBody()) == (
        "SOCKET_DATA",
        "-ERR no",
        None,
    )


def test_output_of_an_api_command_is_the_body(ESL: Any, strict: Any, wire_of: Any) -> None:
    returned = wire_of(api_response(b"UP 0 years\n\n+OK\n")).con.api("status")
    assert seen(returned) == outer("Content-Type=api/response", "Content-Length=16", body="UP 0 years\n\n+OK\n")


def test_reply_of_bgapi_has_the_job(ESL: Any, strict: Any, wire_of: Any) -> None:
    returned = wire_of(reply(b"+OK Job-UUID: j-1", b"Job-UUID: j-1\n")).con.bgapi("status")
    assert (returned.getHeader("Reply-Text"), returned.getHeader("job-uuid")) == ("+OK Job-UUID: j-1", "j-1")


@pytest.mark.parametrize(
    ("method", "arguments", "wire_text"),
    [
        ("api", ("status", ""), b"api status \n\n"),
        ("api", ("show", "calls\n\n"), b"api show calls\n\n"),
        ("api", ("",), b"api  \n\n"),
        ("bgapi", ("status", None), b"bgapi status\n\n"),
        ("bgapi", ("status", ""), b"bgapi status \n\n"),
        ("bgapi", ("status", "x", None), b"bgapi status x\n\n"),
        ("bgapi", ("a", "b" * 5000, "j"), b"bgapi a " + b"b" * 5000 + b"\nJob-UUID: j\n\n"),
        ("api", ("a", "b" * 5000), b"api a " + b"b" * 5000 + b"\n\n"),
        ("filter", ("A", "b" * 2000), b"filter A " + b"b" * 2000 + b"\n\n"),
        ("sendRecv", ("api status\nconsole_execute: true\n\n",), b"api status\nconsole_execute: true\n\n"),
        ("sendRecv", ("x" * 100_000,), b"x" * 100_000 + b"\n\n"),
        ("execute", (None,), b"sendmsg\ncall-command: execute\n\n"),
        ("execute", (None, None, None), b"sendmsg\ncall-command: execute\n\n"),
        ("execute", ("a", None, ""), b"sendmsg \ncall-command: execute\nexecute-app-name: a\n\n"),
        ("execute", ("", "", "u"), b"sendmsg u\ncall-command: execute\nexecute-app-name: \nexecute-app-arg: \n\n"),
        ("executeAsync", ("a",), b"sendmsg\ncall-command: execute\nexecute-app-name: a\nasync: true\n\n"),
        (
            "execute",
            ("a" * 600, "b" * 5000, "u" * 200),
            b"sendmsg "
            + b"u" * 200
            + b"\ncall-command: execute\nexecute-app-name: "
            + b"a" * 600
            + b"\nexecute-app-arg: "
            + b"b" * 5000
            + b"\n\n",
        ),
        (
            "execute",
            ("p", "\u00e9\udcff", "u"),
            b"sendmsg u\ncall-command: execute\nexecute-app-name: p\nexecute-app-arg: \xc3\xa9\xff\n\n",
        ),
        ("events", ("json ", "ALL"), b"event plain ALL\n\n"),
        ("events", ("", "ALL"), b"event plain ALL\n\n"),
    ],
)
def test_bytes_of_a_command(ESL: Any, strict: Any, wire_of: Any, method: str, arguments: Any, wire_text: bytes) -> None:
    wire = wire_of(COMMAND_REPLY)
    heard = Background(wire.hears, b"connect\n\n" + wire_text)
    getattr(wire.con, method)(*arguments)
    assert heard.returns() == b"connect\n\n" + wire_text
    wire.con.disconnect()
    assert wire.peer.recv(100) == b""


@pytest.mark.parametrize(
    ("text", "wire_text"),
    [
        *(("x", b"x\n\n"), ("x\n", b"x\n\n\n"), ("x\n\n", b"x\n\n"), ("x\r\n\r\n", b"x\r\n\r\n\n\n"), ("", b"\n\n")),
        *(("\n", b"\n\n\n"), ("\n\n", b"\n\n"), ("x\n\ny", b"x\n\ny\n\n"), ("x\0y", b"x\n\n"), ("\0", b"\n\n")),
        *(("x\n\n\n", b"x\n\n\n"), ("\u00e9", b"\xc3\xa9\n\n"), ("x\udcff", b"x\xff\n\n")),
    ],
)
def test_terminator(ESL: Any, strict: Any, wire_of: Any, text: Any, wire_text: Any) -> None:
    wire = wire_of()
    assert wire.con.send(text) == 0
    assert wire.sent() == wire_text


def test_send_does_not_wait_and_shifts_the_replies(ESL: Any, strict: Any, wire_of: Any) -> None:
    wire = wire_of(reply(b"+OK one"), reply(b"+OK two"), reply(b"+OK three"))
    assert wire.con.send("first") == 0
    assert seen(wire.con.sendRecv("second")) == reply_seen("+OK one")
    assert seen(wire.con.recvEvent()) == reply_seen("+OK two")
    assert seen(wire.con.sendRecv("third")) == reply_seen("+OK three")


def test_events_that_come_before_a_reply_keep_their_order(ESL: Any, strict: Any, wire_of: Any) -> None:
    frames = [plain(b"Event-Name: DTMF\nA: %d\n\n" % number) for number in range(5)]
    wire = wire_of(frames[0], frames[1], COMMAND_REPLY, frames[2], COMMAND_REPLY, frames[3], frames[4])
    assert seen(wire.con.sendRecv("x")) == OK_SEEN
    assert seen(wire.con.api("x")) == OK_SEEN
    assert [wire.con.recvEvent().getHeader("A") for _ in range(5)] == ["0", "1", "2", "3", "4"]


def test_frame_of_another_type_is_no_reply(ESL: Any, strict: Any, wire_of: Any) -> None:
    wire = wire_of(frame(b"Content-Type: auth/request"), frame(b"Content-Type: unheard/of", b"x"), api_response(b"y"))
    assert wire.con.sendRecv("x").getBody() == "y"
    assert [wire.con.recvEvent().getHeader("Content-Type") for _ in range(2)] == ["auth/request", "unheard/of"]


@pytest.mark.parametrize("headers", [b"Foo: bar", b"Content-Type: \nFoo: bar", b"Content-Type:\nFoo: bar"])
def test_frame_without_a_type_is_a_reply(ESL: Any, strict: Any, wire_of: Any, headers: bytes) -> None:
    wire = wire_of(DTMF, headers + b"\n\n", ended=True)
    assert seen(wire.con.sendRecv("x")) == outer("Foo=bar")
    assert seen(wire.con.recvEvent()) == DTMF_SEEN


@pytest.mark.parametrize("blanks", [b"", b"  ", b" \t ", b"\t"])
def test_blanks_before_a_type_do_not_count(ESL: Any, strict: Any, blanks: bytes) -> None:
    payload = DTMF.partition(b"\n\n")[2]
    event = b"Content-Length: %d\nContent-Type:%btext/event-plain\n\n%b" % (len(payload), blanks, payload)
    replied = b"Content-Type:%bcommand/reply\nReply-Text:%b+OK accepted\n\n" % (blanks, blanks)
    final = b"Content-Type:%btext/disconnect-notice\nContent-Length: 0\n\n" % blanks
    with Server(b"Content-Type:%bauth/request\n\n" % blanks, replied, event + replied + final) as server:
        con = ESL.ESLconnection("127.0.0.1", server.port, "x")
        assert con.connected() == 1
        assert seen(con.sendRecv("x")) == reply_seen("+OK accepted")
        assert seen(con.recvEvent()) == DTMF_SEEN
        assert (seen(con.recvEvent()), con.connected()) == (LOST, 0)


@pytest.mark.parametrize("type_", [b"API/Response", b"COMMAND/reply"])
def test_type_of_a_reply_in_any_case(ESL: Any, strict: Any, wire_of: Any, type_: bytes) -> None:
    wire = wire_of(b"content-TYPE: %b\nReply-Text: +OK\n\n" % type_)
    assert wire.con.sendRecv("x").getHeader("reply-text") == "+OK"


@pytest.mark.parametrize("text", ["+OK", "-ERR no such event"])
def test_events_says_only_that_a_reply_came(ESL: Any, strict: Any, wire_of: Any, text: str) -> None:
    wire = wire_of(reply(text.encode()), DTMF)
    assert wire.con.events("json", "all") == 0
    assert seen(wire.con.recvEvent()) == DTMF_SEEN, "the reply was consumed"


def test_send_msg_consumes_its_reply(ESL: Any, strict: Any, wire_of: Any) -> None:
    wire = wire_of(reply(b"-ERR invalid session id []"), DTMF)
    assert wire.con.sendMSG(ESL.ESLevent("DTMF")) == 0
    assert seen(wire.con.recvEvent()) == DTMF_SEEN
    assert wire.sent() == b"sendmsg\nEvent-Name: DTMF\n\n"


@pytest.mark.parametrize(
    ("uuid", "line"), [((), b"sendmsg\n"), ((None,), b"sendmsg\n"), (("u",), b"sendmsg u\n"), (("",), b"sendmsg \n")]
)
def test_send_msg_names_the_channel(ESL: Any, strict: Any, wire_of: Any, uuid: Any, line: bytes) -> None:
    wire = wire_of(COMMAND_REPLY)
    event = ESL.ESLevent("CLONE")
    event.addHeader("call-command", "hangup")
    assert wire.con.sendMSG(event, *uuid) == 0
    assert wire.sent() == line + b"call-command: hangup\n\n"


def test_send_event_returns_its_reply(ESL: Any, wire_of: Any) -> None:
    wire = wire_of(DTMF, reply(b"+OK e-1"), DTMF)
    assert seen(wire.con.sendEvent(ESL.ESLevent("DTMF"))) == reply_seen("+OK e-1")
    assert [seen(wire.con.recvEvent()) for _ in range(2)] == [DTMF_SEEN, DTMF_SEEN]


def test_send_event_returns_the_last_frame_received_when_strict(ESL: Any) -> None:
    with strictly(ESL, True), Server(AUTH, ACCEPTED, reply(b"+OK e-1")) as server:
        con = ESL.ESLconnection("127.0.0.1", server.port, "x")
        assert seen(con.sendEvent(ESL.ESLevent("DTMF"))) == reply_seen("+OK accepted")
        con.disconnect()
    assert server.heard == b"auth x\n\nsendevent DTMF\nEvent-Name: DTMF\n\n"


def test_sent_event_is_not_changed(ESL: Any, strict: Any, wire_of: Any) -> None:
    event = ESL.ESLevent("CUSTOM", "a::b")
    event.addBody("B")
    before = event.serialize("json")
    wire = wire_of(COMMAND_REPLY, COMMAND_REPLY)
    wire.con.sendEvent(event)
    wire.con.sendMSG(event)
    assert event.serialize("json") == before


@pytest.mark.parametrize("name", ["sendEvent", "sendMSG"])
def test_no_event_is_not_sent(ESL: Any, strict: Any, wire_of: Any, name: str) -> None:
    wire = wire_of(COMMAND_REPLY)
    try:
        returned = getattr(wire.con, name)(None)
    except TypeError:
        pass
    else:
        assert seen(returned) == LOST if name == "sendEvent" else returned == 1
    assert wire.sent() == b""


def test_invalid_event_is_not_sent(ESL: Any, strict: Any, wire_of: Any) -> None:
    wire = wire_of(COMMAND_REPLY)
    event = ESL.ESLevent("DTMF")
    ESL.ESLevent(event)
    assert (seen(wire.con.sendEvent(event)), wire.con.sendMSG(event), wire.con.connected()) == (LOST, 1, 1)
    assert wire.sent() == b""


def test_api_without_command_sends_nothing(ESL: Any, strict: Any, wire_of: Any) -> None:
    wire = wire_of(COMMAND_REPLY)
    assert wire.con.api(None) is None
    assert wire.con.api(None, "x") is None
    assert wire.con.connected() == 1
    assert wire.sent() == b""


@pytest.mark.parametrize(
    "call",
    [
        lambda con: con.events(None, "ALL"),
        lambda con: con.send(None),
        lambda con: con.sendRecv(None),
        lambda con: con.bgapi(None),
    ],
)
def test_none_for_a_command_is_no_crash(ESL: Any, strict: Any, wire_of: Any, call: Any) -> None:
    wire = wire_of(COMMAND_REPLY)
    with contextlib.suppress(TypeError, ValueError):
        call(wire.con)
    assert wire.con.connected() == 1


ON = ["yes", "on", "true", "enabled", "active", "allow", "YES", "True", "1", "2abc", "-1", "+5", "42"]
OFF = ["no", "off", "t", "true ", " true", "", "0", "00", "-0", "x1", "yes\n", "+", "-"]


@pytest.mark.parametrize("name", ["setAsyncExecute", "setEventLock"])
@pytest.mark.parametrize(("words", "flag"), [(ON, 1), (OFF, 0)])
def test_flag_by_a_word(ESL: Any, strict: Any, wire_of: Any, name: str, words: Any, flag: int) -> None:
    con = wire_of().con
    for word in words:
        for before in ("yes", "no"):
            getattr(con, name)(before)
            assert getattr(con, name)(word) == flag, word
            assert getattr(con, name)(None) == flag, "None leaves it"


@pytest.mark.parametrize("name", ["setAsyncExecute", "setEventLock"])
def test_flag_by_a_number(ESL: Any, wire_of: Any, name: str) -> None:
    set_flag = getattr(wire_of().con, name)
    assert [set_flag(1), set_flag(None), set_flag(0), set_flag(None)] == [1, 1, 0, 0]
    assert [set_flag(True), set_flag(False), set_flag(-2)] == [1, 0, 1]


@pytest.mark.parametrize("name", ["setAsyncExecute", "setEventLock"])
@pytest.mark.parametrize("wrong", [1, 0, True, False])
def test_flag_by_a_number_is_refused_when_strict(ESL: Any, wire_of: Any, name: str, wrong: Any) -> None:
    with strictly(ESL, True):
        con = wire_of().con
        with pytest.raises(TypeError):
            getattr(con, name)(wrong)
        assert getattr(con, name)(None) == 0


@pytest.mark.parametrize("name", ["setAsyncExecute", "setEventLock"])
@pytest.mark.parametrize("wrong", [b"yes", 1.0, ["yes"]])
def test_flag_by_something_else_is_refused(ESL: Any, strict: Any, wire_of: Any, name: str, wrong: Any) -> None:
    with pytest.raises(TypeError):
        getattr(wire_of().con, name)(wrong)


def test_flags_affect_execute_until_they_are_taken_back(ESL: Any, strict: Any, wire_of: Any) -> None:
    wire = wire_of(COMMAND_REPLY * 3)
    wire.con.setAsyncExecute("1")
    wire.con.setEventLock("1")
    wire.con.executeAsync("a")
    wire.con.setAsyncExecute("0")
    wire.con.execute("b")
    wire.con.setEventLock("0")
    wire.con.execute("c")
    start = b"sendmsg\ncall-command: execute\nexecute-app-name: "
    assert wire.sent() == b"".join(
        start + rest for rest in (b"a\nevent-lock: true\nasync: true\n\n", b"b\nevent-lock: true\n\n", b"c\n\n")
    )


def test_connected_is_a_flag_that_a_silent_end_leaves_alone(ESL: Any, strict: Any, wire_of: Any) -> None:
    wire = wire_of(ended=True)
    wire.peer.close()
    assert wire.con.connected() == 1
    assert seen(wire.con.recvEvent()) == LOST
    assert wire.con.connected() == 0


def test_connected_falls_when_a_write_fails(ESL: Any, strict: Any, wire_of: Any) -> None:
    wire = wire_of()
    wire.peer.close()
    until(lambda: wire.con.send("x") == 1)
    assert wire.con.connected() == 0


def test_disconnect_is_final_and_may_be_said_twice(ESL: Any, strict: Any, wire_of: Any) -> None:
    wire = wire_of(DTMF)
    assert wire.con.disconnect() == 0
    assert_dead(ESL, wire.con)
    assert wire.con.disconnect() == 0


def test_disconnect_of_what_was_never_connected(ESL: Any, strict: Any, unused_port: Any) -> None:
    con = ESL.ESLconnection("127.0.0.1", unused_port, "x")
    assert con.disconnect() in (0, 1)  # "1 only if there was no socket"
    assert con.disconnect() in (0, 1)


def test_connection_whose_peer_has_gone_is_dead(ESL: Any, strict: Any, wire_of: Any) -> None:
    wire = wire_of(ended=True)
    assert seen(wire.con.recvEvent()) == LOST
    assert wire.con.connected() == 0
    assert_dead(ESL, wire.con, info=None if wire.con.getInfo() is None else "info")
