"""ESLconnection: the official module's contract, and our defaults (docs/protocol/esl-module.md, A1, A2, A4 and A6)."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from esl_support import (
    COMMAND_REPLY,
    CONNECT_REPLY,
    DONE,
    GOODBYE,
    LOGIN,
    LOST,
    OTHERWISE,
    RECORDED,
    VECTORS,
    Background,
    Server,
    inner,
    outbound,
    outcome,
    outer,
    saying,
    seen,
    strictly,
    unread,
    vectors,
    wires,
)
from support import ACCEPTED, AUTH, api_response, frame, notice, part, plain, reply, until

GIVEN = ["emit", "handshake", "script", "recv"]
DTMF = plain(b"Event-Name: DTMF\nA: 1\n\n")
DTMF_SEEN = inner("DTMF", "Event-Name=DTMF", "A=1")
OK_SEEN = outer("Content-Type=command/reply", "Reply-Text=+OK")
FINAL = notice(GOODBYE.encode())


@pytest.fixture
def ESL(esl):
    """The module under test, with its default behaviour."""
    module = part(esl, "ESL")
    with strictly(module, False):
        yield module


@pytest.fixture(params=[False, True], ids=["default", "strict"])
def strict(request, ESL):
    """Both behaviours, one after the other."""
    with strictly(ESL, request.param):
        yield request.param


@pytest.fixture
def wire_of(ESL):
    """Makes outbound connections whose peers have said everything already."""
    with wires(ESL) as make:
        yield make


def reply_seen(text: str) -> Any:
    return outer("Content-Type=command/reply", f"Reply-Text={text}")


# The vectors


@pytest.mark.parametrize("name", [name for kind in GIVEN for name in vectors(kind)])
def test_vector(ESL, strict, name):
    vector = VECTORS[name]
    assert DONE[vector["kind"]](ESL, vector) == outcome(vector, strict)


def test_every_difference_is_that_of_a_vector_that_is_run():
    run = {name for kind in RECORDED for name in vectors(kind)}
    assert set(OTHERWISE) <= run
    assert len(run) == 112 + 43 + 28 + 1 + 11 + 9


# Inbound: docs/protocol/esl-module.md, A2.1


@pytest.mark.parametrize(
    "spelled", [int, str, " {}".format, "+{}".format, "{}x".format, "{} 5".format, "{}\0 5".format]
)
def test_port_is_a_number_or_is_read_as_atoi_does(ESL, strict, spelled):
    with Server(*LOGIN) as server:
        con = ESL.ESLconnection("127.0.0.1", spelled(server.port), "ClueCon")
        assert con.connected() == 1
        con.disconnect()
    assert server.heard == b"auth ClueCon\n\n"


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (("ClueCon",), b"auth ClueCon\n\n"),
        (("",), b"auth \n\n"),
        ((None,), b"auth (null)\n\n"),
        ((None, "pw"), b"auth pw\n\n"),
        (("", "pw"), b"auth pw\n\n"),
        (("1000@example.com", "pw"), b"userauth 1000@example.com:pw\n\n"),
        (("1000@example.com", None), b"userauth 1000@example.com:(null)\n\n"),
        (("\u00e9@d", "\udcff"), b"userauth \xc3\xa9@d:\xff\n\n"),
        (("p" * 300,), b"auth " + b"p" * 300 + b"\n\n"),
        (("u" * 300, "p" * 300), b"userauth " + b"u" * 300 + b":" + b"p" * 300 + b"\n\n"),
        (("a\0b",), b"auth a\n\n"),
    ],
)
def test_login(ESL, strict, arguments, command):
    with Server(*LOGIN) as server:
        con = ESL.ESLconnection("127.0.0.1", server.port, *arguments)
        assert con.connected() == 1
        con.disconnect()
    assert server.heard == command


@pytest.mark.parametrize(
    "said", [b"CONTENT-type: AUTH/Request\n\n", b"Content-Length: 2\nContent-Type: auth/request\n\nok"]
)
def test_greeting_is_known_by_its_content_type(ESL, strict, said):
    with Server(said, ACCEPTED) as server:
        con = ESL.ESLconnection("127.0.0.1", server.port, "x")
        assert con.connected() == 1
        con.disconnect()


@pytest.mark.parametrize(
    "says",
    [
        (b"",),
        (b"Content-Type: auth/req",),
        (b"Content-Type: command/reply\nReply-Text: +OK accepted\n\n",),
        (b"Content-Type: auth/request; charset=utf-8\n\n",),
        (b"Reply-Text: auth/request\n\n",),
        (b"garbage\n\n",),
        (b"Content-Length: many\n\n",),
        (FINAL,),
        (AUTH, b""),
        (AUTH, b"Content-Type: command/reply\nReply-Text: +OK acc"),
        (AUTH, reply(b"+OK")),
        (AUTH, reply(b"+OK accepted ")),
        (AUTH, reply(b"-ERR invalid")),
        (AUTH, b"Content-Type: command/reply\n\n"),
        (AUTH, DTMF),
    ],
)
def test_any_deviation_in_the_login_gives_a_disconnected_object(ESL, strict, says):
    with Server(*says) as server:
        before = descriptors()
        con = ESL.ESLconnection("127.0.0.1", server.port, "x")
        assert_dead(ESL, con)
        until(lambda: len(descriptors()) <= len(before))  # the server's end may be open still, ours is not
    assert server.called


@pytest.mark.parametrize(
    "says", [(AUTH, reply(b"+OK accepted", b"Allowed-API: all\n")), (AUTH, reply(b"+ok ACCEPTED"))]
)
def test_reply_to_the_login_is_compared_by_its_text(ESL, strict, says):
    with Server(*says) as server:
        con = ESL.ESLconnection("127.0.0.1", server.port, "x")
        assert con.connected() == 1
        con.disconnect()


def test_inbound_connection_has_no_info(ESL, strict):
    with Server(*LOGIN) as server:
        con = ESL.ESLconnection("127.0.0.1", server.port, "x")
        assert con.getInfo() is None
        con.disconnect()


def test_inbound_connection_does_not_delay_small_commands(ESL, strict):
    with Server(*LOGIN) as server:
        con = ESL.ESLconnection("127.0.0.1", server.port, "x")
        with socket.socket(fileno=os.dup(con.socketDescriptor())) as sock:
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
        con.disconnect()


def test_inbound_connection_by_ipv6(ESL, strict):
    try:
        server = Server(*LOGIN, host="::1")
    except OSError:
        pytest.skip("no IPv6 here")
    with server:
        con = ESL.ESLconnection("::1", server.port, "x")
        assert con.connected() == 1
        con.disconnect()


def test_frames_behind_the_login_are_the_first_events(ESL, strict):
    with Server(AUTH, ACCEPTED + DTMF) as server:
        con = ESL.ESLconnection("127.0.0.1", server.port, "x")
        assert seen(con.recvEvent()) == DTMF_SEEN
        con.disconnect()


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A port that refuses connections: it is bound, but nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


def test_refused_connection(ESL, strict, unused_port):
    before = descriptors()
    assert_dead(ESL, ESL.ESLconnection("127.0.0.1", unused_port, "x"))
    assert_dead(ESL, ESL.ESLconnection("127.0.0.1", str(unused_port), "user", "x"))
    assert len(descriptors()) <= len(before)


@pytest.mark.parametrize(
    "host", ["no such host", "", None, "..", "x" * 70, "a" * 70 + ".b", "127.0.0.1\udcff", "\u00e9\u00df" * 40]
)
def test_host_that_does_not_exist(ESL, strict, host, unused_port):
    assert_standard_input_stays(lambda: assert_dead(ESL, ESL.ESLconnection(host, unused_port, "x")))


@pytest.mark.parametrize("port", [None, "", "x", "-1", -1, 0, 65536, 1 << 40, -(1 << 70), "99999999999999999999999"])
def test_port_that_does_not_exist(ESL, strict, port):
    assert_standard_input_stays(lambda: assert_dead(ESL, ESL.ESLconnection("127.0.0.1", port, "x")))


@pytest.mark.parametrize("fd", [-1, -5, 1 << 20, 1 << 40, -(1 << 70)])
def test_descriptor_that_does_not_exist(ESL, strict, fd):
    assert_standard_input_stays(lambda: assert_dead(ESL, ESL.ESLconnection(fd)))


def test_descriptor_of_a_file_is_no_connection(ESL, strict, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"before")
    fd = os.open(path, os.O_RDWR)
    try:
        assert_standard_input_stays(lambda: assert_dead(ESL, ESL.ESLconnection(fd)))
    finally:
        try:
            os.close(fd)
        except OSError:
            assert strict, "only there the descriptor is not the caller's any more"


def assert_standard_input_stays(call: Any) -> None:
    """The official module closes descriptor 0, at once or when the object goes."""
    with open(os.devnull) as null:
        kept = os.dup(0)
        try:
            os.dup2(null.fileno(), 0)
            call()
            assert os.fstat(0).st_rdev == os.fstat(null.fileno()).st_rdev
        finally:
            os.dup2(kept, 0)
            os.close(kept)


@pytest.mark.parametrize(
    "arguments",
    [
        *((), ("h",), ("h", 1), (b"h", 1, "p"), ("h", 1, b"p"), ("h", 1.5, "p"), ("h", b"1", "p"), (5, 1, "p")),
        *(("h", 1, 5), ("h", 1, True), (True, 1, "p"), ("h", 1, "u", 5), ("h", 1, "u", b"p"), ("h", 1, b"u", "p")),
        *(("h", 1, "u", "p", "x"), ("5",), (None,), (1.5,), (b"5",)),
    ],
)
def test_wrong_constructor_arguments(ESL, strict, arguments):
    with pytest.raises(NotImplementedError, match="Wrong number or type of arguments for overloaded function"):
        ESL.ESLconnection(*arguments)


def test_constructor_takes_no_keywords(ESL, strict):
    with pytest.raises((TypeError, NotImplementedError)):
        ESL.ESLconnection(host="127.0.0.1", port=1, password="x")


def test_lone_surrogate_in_the_login_is_refused(ESL, strict):
    with Server(*LOGIN) as server:
        try:
            con = ESL.ESLconnection("127.0.0.1", server.port, "\ud800")
        except (ValueError, TypeError, NotImplementedError):
            pass
        else:
            assert con.connected() == 0
    assert server.heard == b""


# Outbound: docs/protocol/esl-module.md, A2.1


@pytest.mark.parametrize(
    "connect",
    [
        CONNECT_REPLY,
        reply(b"-ERR no such thing"),
        api_response(b"x"),
        b"Foo: bar\n\n",
    ],
)
def test_any_reply_to_connect_is_a_success(ESL, strict, wire_of, connect):
    wire = wire_of(connect=connect)
    assert wire.con.connected() == 1
    assert wire.con.getInfo().getType() == "SOCKET_DATA"
    assert wire.sent() == b""


@pytest.mark.parametrize(
    "connect", [b"", b"Content-Type: command/reply\nReply-Te", b"Content-Length: -3\n\n", DTMF, FINAL, b"\0\xff" * 30]
)
def test_connect_without_reply_gives_a_disconnected_object(ESL, strict, wire_of, connect):
    wire = wire_of(connect=connect, ended=True)
    assert_dead(ESL, wire.con)
    assert wire.sent() == b""


def test_events_before_the_reply_to_connect_wait(ESL, strict, wire_of):
    wire = wire_of(connect=DTMF + CONNECT_REPLY)
    assert wire.con.getInfo().getHeader("Unique-ID") == "u-1"
    assert seen(wire.con.recvEvent()) == DTMF_SEEN


def test_info_is_a_new_copy_each_time(ESL, strict, wire_of):
    con = wire_of().con
    first, second = con.getInfo(), con.getInfo()
    assert first is not second
    first.addHeader("A", "1")
    first.delHeader("Unique-ID")
    assert (second.getHeader("A"), second.getHeader("unique-id")) == (None, "u-1")
    assert (con.getInfo().getHeader("A"), con.getInfo().getHeader("unique-id")) == (None, "u-1")
    assert second.getHeader("Event-Name") == "SOCKET_DATA"
    assert second.getHeader("Caller-Caller-ID-Name") == "A B"
    assert [second.getHeader("variable_x", i) for i in range(3)] == ["a", "b", None]


def test_connect_reply_with_many_variables_is_whole(ESL, strict, wire_of):
    variables = b"".join(b"variable_%05d: %b\n" % (number, b"x" * 90) for number in range(1000))
    with wires(ESL):
        peer, ours = socket.socketpair()
        with peer, saying(peer, b"Event-Name: CHANNEL_DATA\n" + variables + b"Content-Type: command/reply\n\n"):
            con = outbound(ESL, ours)
            assert con.getInfo().getHeader("variable_00999") == "x" * 90
            assert con.getInfo().getHeader("content-type") == "command/reply"
            con.disconnect()


def descriptors() -> set[str]:
    return set(os.listdir("/dev/fd"))


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def test_descriptor_is_duplicated(ESL):
    peer, ours = socket.socketpair()
    with peer, ours:
        peer.settimeout(10)
        peer.sendall(CONNECT_REPLY)
        con = ESL.ESLconnection(ours.fileno())
        own = con.socketDescriptor()
        assert own != ours.fileno()
        assert os.path.sameopenfile(own, ours.fileno())
        con.disconnect()
        assert not is_open(own)
        assert is_open(ours.fileno())
        assert peer.recv(100) == b"connect\n\n"
        assert peer.recv(100) == b"", "the peer sees the end though the caller's descriptor is open"


def test_descriptor_is_taken_over_when_strict(ESL):
    with strictly(ESL, True):
        peer, ours = socket.socketpair()
        with peer:
            peer.sendall(CONNECT_REPLY)
            fd = ours.detach()
            con = ESL.ESLconnection(fd)
            assert con.socketDescriptor() == fd
            con.disconnect()
            assert not is_open(fd)


def test_deleted_object_closes_its_descriptor_once(ESL, strict):
    peer, ours = socket.socketpair()
    with peer:
        peer.settimeout(10)
        peer.sendall(CONNECT_REPLY)
        con = outbound(ESL, ours)
        fd = con.socketDescriptor()
        del con
        assert not is_open(fd)
        assert peer.recv(100) == b"connect\n\n"
        assert peer.recv(100) == b""


def test_closed_descriptor_is_not_closed_again(ESL, strict, wire_of):
    con = wire_of().con
    fd = con.socketDescriptor()
    con.disconnect()
    assert not is_open(fd)
    somebody = os.open(os.devnull, os.O_RDONLY)
    if somebody != fd:
        os.dup2(somebody, fd)
        os.close(somebody)
    con.disconnect()
    assert con.recvEvent().getType() == "SERVER_DISCONNECTED"
    del con
    assert is_open(fd)
    os.close(fd)


def test_ended_connection_has_closed_its_descriptor_by_the_time_it_is_deleted(ESL, strict):
    peer, ours = socket.socketpair()
    before = descriptors()
    peer.sendall(CONNECT_REPLY)
    peer.shutdown(socket.SHUT_WR)
    con = outbound(ESL, ours)
    assert con.recvEvent().getType() == "SERVER_DISCONNECTED"
    del con
    assert len(descriptors()) < len(before)
    peer.close()


# Every row, on a connection and on dead ones: docs/protocol/esl-module.md, A2.2

REPLIES: dict[str, tuple[Any, ...]] = {  # methods that send a command and return its reply
    "sendRecv": ("status",),
    "api": ("status",),
    "bgapi": ("status",),
    "filter": ("A", "b"),
    "execute": ("answer",),
    "executeAsync": ("answer",),
}
STATUSES: dict[str, tuple[Any, ...]] = {"send": ("noevents",), "events": ("plain", "ALL")}


@pytest.mark.parametrize("name", REPLIES)
def test_reply_is_returned(ESL, strict, wire_of, name):
    wire = wire_of(reply(b"+OK one"))
    assert seen(getattr(wire.con, name)(*REPLIES[name])) == reply_seen("+OK one")
    assert wire.con.connected() == 1


@pytest.mark.parametrize("name", REPLIES)
def test_refusal_is_a_reply(ESL, strict, wire_of, name):
    returned = getattr(wire_of(reply(b"-ERR no")).con, name)(*REPLIES[name])
    assert (returned.getType(), returned.getHeader("reply-text"), returned.getBody()) == (
        "SOCKET_DATA",
        "-ERR no",
        None,
    )


def test_output_of_an_api_command_is_the_body(ESL, strict, wire_of):
    returned = wire_of(api_response(b"UP 0 years\n\n+OK\n")).con.api("status")
    assert seen(returned) == outer("Content-Type=api/response", "Content-Length=16", body="UP 0 years\n\n+OK\n")


def test_reply_of_bgapi_has_the_job(ESL, strict, wire_of):
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
def test_bytes_of_a_command(ESL, strict, wire_of, method, arguments, wire_text):
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
def test_terminator(ESL, strict, wire_of, text, wire_text):
    wire = wire_of()
    assert wire.con.send(text) == 0
    assert wire.sent() == wire_text


def test_send_does_not_wait_and_shifts_the_replies(ESL, strict, wire_of):
    wire = wire_of(reply(b"+OK one"), reply(b"+OK two"), reply(b"+OK three"))
    assert wire.con.send("first") == 0
    assert seen(wire.con.sendRecv("second")) == reply_seen("+OK one")
    assert seen(wire.con.recvEvent()) == reply_seen("+OK two")
    assert seen(wire.con.sendRecv("third")) == reply_seen("+OK three")


def test_events_that_come_before_a_reply_keep_their_order(ESL, strict, wire_of):
    frames = [plain(b"Event-Name: DTMF\nA: %d\n\n" % number) for number in range(5)]
    wire = wire_of(frames[0], frames[1], COMMAND_REPLY, frames[2], COMMAND_REPLY, frames[3], frames[4])
    assert seen(wire.con.sendRecv("x")) == OK_SEEN
    assert seen(wire.con.api("x")) == OK_SEEN
    assert [wire.con.recvEvent().getHeader("A") for _ in range(5)] == ["0", "1", "2", "3", "4"]


def test_frame_of_another_type_is_no_reply(ESL, strict, wire_of):
    wire = wire_of(frame(b"Content-Type: auth/request"), frame(b"Content-Type: unheard/of", b"x"), api_response(b"y"))
    assert wire.con.sendRecv("x").getBody() == "y"
    assert [wire.con.recvEvent().getHeader("Content-Type") for _ in range(2)] == ["auth/request", "unheard/of"]


@pytest.mark.parametrize("headers", [b"Foo: bar", b"Content-Type: \nFoo: bar", b"Content-Type:\nFoo: bar"])
def test_frame_without_a_type_is_a_reply(ESL, strict, wire_of, headers):
    wire = wire_of(DTMF, headers + b"\n\n", ended=True)
    assert seen(wire.con.sendRecv("x")) == outer("Foo=bar")
    assert seen(wire.con.recvEvent()) == DTMF_SEEN


@pytest.mark.parametrize("blanks", [b"", b"  ", b" \t ", b"\t"])
def test_blanks_before_a_type_do_not_count(ESL, strict, blanks):
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
def test_type_of_a_reply_in_any_case(ESL, strict, wire_of, type_):
    wire = wire_of(b"content-TYPE: %b\nReply-Text: +OK\n\n" % type_)
    assert wire.con.sendRecv("x").getHeader("reply-text") == "+OK"


@pytest.mark.parametrize("text", ["+OK", "-ERR no such event"])
def test_events_says_only_that_a_reply_came(ESL, strict, wire_of, text):
    wire = wire_of(reply(text.encode()), DTMF)
    assert wire.con.events("json", "all") == 0
    assert seen(wire.con.recvEvent()) == DTMF_SEEN, "the reply was consumed"


def test_send_msg_consumes_its_reply(ESL, strict, wire_of):
    wire = wire_of(reply(b"-ERR invalid session id []"), DTMF)
    assert wire.con.sendMSG(ESL.ESLevent("DTMF")) == 0
    assert seen(wire.con.recvEvent()) == DTMF_SEEN
    assert wire.sent() == b"sendmsg\nEvent-Name: DTMF\n\n"


@pytest.mark.parametrize(
    ("uuid", "line"), [((), b"sendmsg\n"), ((None,), b"sendmsg\n"), (("u",), b"sendmsg u\n"), (("",), b"sendmsg \n")]
)
def test_send_msg_names_the_channel(ESL, strict, wire_of, uuid, line):
    wire = wire_of(COMMAND_REPLY)
    event = ESL.ESLevent("CLONE")
    event.addHeader("call-command", "hangup")
    assert wire.con.sendMSG(event, *uuid) == 0
    assert wire.sent() == line + b"call-command: hangup\n\n"


def test_send_event_returns_its_reply(ESL, wire_of):
    wire = wire_of(DTMF, reply(b"+OK e-1"), DTMF)
    assert seen(wire.con.sendEvent(ESL.ESLevent("DTMF"))) == reply_seen("+OK e-1")
    assert [seen(wire.con.recvEvent()) for _ in range(2)] == [DTMF_SEEN, DTMF_SEEN]


def test_send_event_returns_the_last_frame_received_when_strict(ESL):
    with strictly(ESL, True), Server(AUTH, ACCEPTED, reply(b"+OK e-1")) as server:
        con = ESL.ESLconnection("127.0.0.1", server.port, "x")
        assert seen(con.sendEvent(ESL.ESLevent("DTMF"))) == reply_seen("+OK accepted")
        con.disconnect()
    assert server.heard == b"auth x\n\nsendevent DTMF\nEvent-Name: DTMF\n\n"


def test_sent_event_is_not_changed(ESL, strict, wire_of):
    event = ESL.ESLevent("CUSTOM", "a::b")
    event.addBody("B")
    before = event.serialize("json")
    wire = wire_of(COMMAND_REPLY, COMMAND_REPLY)
    wire.con.sendEvent(event)
    wire.con.sendMSG(event)
    assert event.serialize("json") == before


@pytest.mark.parametrize("name", ["sendEvent", "sendMSG"])
def test_no_event_is_not_sent(ESL, strict, wire_of, name):
    wire = wire_of(COMMAND_REPLY)
    try:
        returned = getattr(wire.con, name)(None)
    except TypeError:
        pass
    else:
        assert seen(returned) == LOST if name == "sendEvent" else returned == 1
    assert wire.sent() == b""


def test_invalid_event_is_not_sent(ESL, strict, wire_of):
    wire = wire_of(COMMAND_REPLY)
    event = ESL.ESLevent("DTMF")
    ESL.ESLevent(event)
    assert (seen(wire.con.sendEvent(event)), wire.con.sendMSG(event), wire.con.connected()) == (LOST, 1, 1)
    assert wire.sent() == b""


def test_api_without_command_sends_nothing(ESL, strict, wire_of):
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
def test_none_for_a_command_is_no_crash(ESL, strict, wire_of, call):
    wire = wire_of(COMMAND_REPLY)
    with contextlib.suppress(TypeError, ValueError):
        call(wire.con)
    assert wire.con.connected() == 1


ON = ["yes", "on", "true", "enabled", "active", "allow", "YES", "True", "1", "2abc", "-1", "+5", "42"]
OFF = ["no", "off", "t", "true ", " true", "", "0", "00", "-0", "x1", "yes\n", "+", "-"]


@pytest.mark.parametrize("name", ["setAsyncExecute", "setEventLock"])
@pytest.mark.parametrize(("words", "flag"), [(ON, 1), (OFF, 0)])
def test_flag_by_a_word(ESL, strict, wire_of, name, words, flag):
    con = wire_of().con
    for word in words:
        for before in ("yes", "no"):
            getattr(con, name)(before)
            assert getattr(con, name)(word) == flag, word
            assert getattr(con, name)(None) == flag, "None leaves it"


@pytest.mark.parametrize("name", ["setAsyncExecute", "setEventLock"])
def test_flag_by_a_number(ESL, wire_of, name):
    set_flag = getattr(wire_of().con, name)
    assert [set_flag(1), set_flag(None), set_flag(0), set_flag(None)] == [1, 1, 0, 0]
    assert [set_flag(True), set_flag(False), set_flag(-2)] == [1, 0, 1]


@pytest.mark.parametrize("name", ["setAsyncExecute", "setEventLock"])
@pytest.mark.parametrize("wrong", [1, 0, True, False])
def test_flag_by_a_number_is_refused_when_strict(ESL, wire_of, name, wrong):
    with strictly(ESL, True):
        con = wire_of().con
        with pytest.raises(TypeError):
            getattr(con, name)(wrong)
        assert getattr(con, name)(None) == 0


@pytest.mark.parametrize("name", ["setAsyncExecute", "setEventLock"])
@pytest.mark.parametrize("wrong", [b"yes", 1.0, ["yes"]])
def test_flag_by_something_else_is_refused(ESL, strict, wire_of, name, wrong):
    with pytest.raises(TypeError):
        getattr(wire_of().con, name)(wrong)


def test_flags_affect_execute_until_they_are_taken_back(ESL, strict, wire_of):
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


def test_connected_is_a_flag_that_a_silent_end_leaves_alone(ESL, strict, wire_of):
    wire = wire_of(ended=True)
    wire.peer.close()
    assert wire.con.connected() == 1
    assert seen(wire.con.recvEvent()) == LOST
    assert wire.con.connected() == 0


def test_connected_falls_when_a_write_fails(ESL, strict, wire_of):
    wire = wire_of()
    wire.peer.close()
    until(lambda: wire.con.send("x") == 1)
    assert wire.con.connected() == 0


def test_disconnect_is_final_and_may_be_said_twice(ESL, strict, wire_of):
    wire = wire_of(DTMF)
    assert wire.con.disconnect() == 0
    assert_dead(ESL, wire.con)
    assert wire.con.disconnect() == 0


def test_disconnect_of_what_was_never_connected(ESL, strict, unused_port):
    con = ESL.ESLconnection("127.0.0.1", unused_port, "x")
    assert con.disconnect() in (0, 1)  # "1 only if there was no socket"
    assert con.disconnect() in (0, 1)


def test_connection_whose_peer_has_gone_is_dead(ESL, strict, wire_of):
    wire = wire_of(ended=True)
    assert seen(wire.con.recvEvent()) == LOST
    assert wire.con.connected() == 0
    assert_dead(ESL, wire.con, info=None if wire.con.getInfo() is None else "info")


def assert_dead(ESL: Any, con: Any, info: str | None = None) -> None:
    """What everything returns on a dead connection (docs/protocol/esl-module.md, A2.2)."""
    assert con.connected() == 0
    assert con.socketDescriptor() == -1
    if info is None:
        assert con.getInfo() is None
    assert {name: getattr(con, name)(*arguments) for name, arguments in REPLIES.items()} == dict.fromkeys(REPLIES)
    assert {name: getattr(con, name)(*arguments) for name, arguments in STATUSES.items()} == dict.fromkeys(STATUSES, 1)
    assert (con.sendMSG(ESL.ESLevent("DTMF")), con.sendMSG(ESL.ESLevent("DTMF"), "u")) == (1, 1)
    assert seen(con.sendEvent(ESL.ESLevent("DTMF"))) == LOST
    assert seen(con.recvEvent()) == LOST
    assert [con.recvEventTimed(ms) for ms in (0, 5, 60_000, -1)] == [None] * 4
    assert (con.setAsyncExecute("1"), con.setEventLock("yes")) == (1, 1)
    assert con.connected() == 0


# Types of arguments: docs/protocol/esl-module.md, A1


METHODS: dict[str, tuple[Any, ...]] = {
    **REPLIES,
    **STATUSES,
    "api": ("status", "x"),
    "bgapi": ("status", "x", "j"),
    "execute": ("a", "x", "u"),
    "executeAsync": ("a", "x", "u"),
}
TAKES_STRINGS = [(name, at) for name, right in METHODS.items() for at in range(len(right))]


@pytest.mark.parametrize(("name", "at"), TAKES_STRINGS)
def test_only_a_string_is_a_string(ESL, strict, wire_of, name, at):
    wire = wire_of(COMMAND_REPLY)
    arguments = list(METHODS[name])
    for wrong in (b"A", 5, True, 1.5, ["A"]):
        arguments[at] = wrong
        with pytest.raises(TypeError):
            getattr(wire.con, name)(*arguments)
    assert wire.sent() == b""


@pytest.mark.parametrize(("name", "at"), TAKES_STRINGS)
def test_surrogate_that_stands_for_no_byte_is_refused(ESL, strict, wire_of, name, at):
    wire = wire_of(COMMAND_REPLY)
    arguments = list(METHODS[name])
    arguments[at] = "\ud800"
    if (name, at) != ("events", 0):  # there it is only compared
        with pytest.raises((TypeError, ValueError)):
            getattr(wire.con, name)(*arguments)
        assert wire.sent() == b""


@pytest.mark.parametrize("wrong", ["x", b"x", 5, True])
def test_only_an_event_is_an_event(ESL, strict, wire_of, wrong):
    wire = wire_of(COMMAND_REPLY)
    for name in ("sendEvent", "sendMSG"):
        with pytest.raises(TypeError):
            getattr(wire.con, name)(wrong)
    with pytest.raises(TypeError):
        wire.con.sendMSG(ESL.ESLevent("DTMF"), b"u")
    assert wire.sent() == b""


@pytest.mark.parametrize("wrong", ["1", 1.5, None, b"1"])
def test_only_an_int_is_a_number_of_milliseconds(ESL, strict, wire_of, wrong):
    with pytest.raises(TypeError):
        wire_of(DTMF).con.recvEventTimed(wrong)


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        *(("socketDescriptor", {0}), ("connected", {0}), ("getInfo", {0}), ("recvEvent", {0}), ("disconnect", {0})),
        *(
            ("send", {1}),
            ("sendRecv", {1}),
            ("recvEventTimed", {1}),
            ("sendEvent", {1}),
            ("filter", {2}),
            ("events", {2}),
        ),
        *(("setAsyncExecute", {1}), ("setEventLock", {1}), ("api", {1, 2}), ("bgapi", {1, 2, 3}), ("sendMSG", {1, 2})),
        *(("execute", {1, 2, 3}), ("executeAsync", {1, 2, 3})),
    ],
)
def test_number_of_arguments(ESL, strict, wire_of, name, counts):
    wire = wire_of(COMMAND_REPLY)
    for count in {0, 1, 2, 3, 4} - counts:
        with pytest.raises(TypeError):
            getattr(wire.con, name)(*["x"] * count)
    assert wire.sent() == b""


@pytest.mark.parametrize(
    ("name", "keywords"),
    [
        *(("send", {"cmd": "x"}), ("sendRecv", {"cmd": "x"}), ("api", {"cmd": "x"}), ("recvEventTimed", {"ms": 1})),
        *(("events", {"etype": "plain", "value": "ALL"}), ("execute", {"app": "answer"}), ("bgapi", {"cmd": "x"})),
    ],
)
def test_arguments_are_positional(ESL, strict, wire_of, name, keywords):
    wire = wire_of(COMMAND_REPLY)
    with pytest.raises(TypeError):
        getattr(wire.con, name)(**keywords)
    assert wire.sent() == b""


def test_nul_cuts_every_string(ESL, strict, wire_of):
    wire = wire_of(COMMAND_REPLY * 4)
    wire.con.api("status\0x", "a\0b")
    wire.con.filter("A\0x", "b\0c")
    wire.con.events("json\0x", "ALL\0x")
    wire.con.execute("a\0x", "b\0x", "u\0x")
    assert wire.sent() == (
        b"api status a\n\nfilter A b\n\nevent json ALL\n\n"
        b"sendmsg u\ncall-command: execute\nexecute-app-name: a\nexecute-app-arg: b\n\n"
    )


def test_connection_takes_new_attributes_and_has_no_unknown_ones(ESL, strict, wire_of):
    con = wire_of().con
    con.mine_own = 5
    assert con.mine_own == 5
    for name in ("noevents", "myevents", "linger", "log", "divert_events", "nixevent", "exit"):
        with pytest.raises(AttributeError):
            getattr(con, name)


# Receiving: docs/protocol/esl-module.md, P7.4 and P7.5


def test_received_events_are_copies_of_their_own(ESL, strict, wire_of):
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


def test_received_event_can_be_sent_on(ESL, strict, wire_of):
    wire = wire_of(plain(b"Event-Name: CUSTOM\nEvent-Subclass: a%3A%3Ab\nContent-Length: 3\n\nx y"), COMMAND_REPLY)
    wire.con.sendEvent(wire.con.recvEvent())
    length = b"Content-Length: 3\n" * (2 if strict else 1)
    assert wire.sent() == (b"sendevent CUSTOM\nEvent-Name: CUSTOM\nEvent-Subclass: a::b\n" + length + b"\nx y\n\n")


def test_reply_of_a_received_event_moves_as_a_built_one(ESL, strict, wire_of):
    event = wire_of(DTMF).con.recvEvent()
    moved = ESL.ESLevent(event)
    assert (event.getType(), seen(moved)) == ("invalid", DTMF_SEEN)


def test_frames_in_single_bytes(ESL, strict, wire_of):
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


def test_poll_returns_at_once(ESL, wire_of):
    wire = wire_of()
    assert wire.con.recvEventTimed(0) is None
    assert wire.con.connected() == 1
    wire.peer.sendall(DTMF + DTMF)
    assert [seen(wire.con.recvEventTimed(0)) for _ in range(3)] == [DTMF_SEEN, DTMF_SEEN, None]


def test_poll_gives_what_came_before_a_reply(ESL, wire_of):
    wire = wire_of(DTMF, COMMAND_REPLY)
    wire.con.sendRecv("x")
    assert [seen(wire.con.recvEventTimed(0)) for _ in range(2)] == [DTMF_SEEN, None]


def test_poll_blocks_when_strict(ESL, wire_of):
    with strictly(ESL, True):
        wire = wire_of()
        call = Background(wire.con.recvEventTimed, 0)
        assert call.waits()
        wire.peer.sendall(DTMF)
        assert seen(call.returns()) == DTMF_SEEN


def test_negative_time_is_no_limit(ESL, strict, wire_of):
    wire = wire_of()
    call = Background(wire.con.recvEventTimed, -1)
    assert call.waits()
    wire.peer.sendall(DTMF)
    assert seen(call.returns()) == DTMF_SEEN


def test_time_that_is_over_gives_none_and_leaves_the_connection(ESL, strict, wire_of):
    wire = wire_of()
    assert wire.con.recvEventTimed(1) is None
    assert wire.con.connected() == 1
    wire.peer.sendall(DTMF)
    assert seen(wire.con.recvEventTimed(60_000)) == DTMF_SEEN


def test_frame_that_has_begun_is_awaited_without_limit(ESL, strict, wire_of):
    wire = wire_of()
    wire.peer.sendall(DTMF[:20])
    call = Background(wire.con.recvEventTimed, 1)
    assert call.waits()
    wire.peer.sendall(DTMF[20:])
    assert seen(call.returns()) == DTMF_SEEN


def test_frame_whose_headers_are_here_is_awaited_without_limit(ESL, strict, wire_of):
    begun = DTMF[: DTMF.index(b"\n\n") + 5]
    wire = wire_of(begun)  # read together with the reply to `connect`: the socket has nothing more
    call = Background(wire.con.recvEventTimed, 1)
    assert call.waits()
    wire.peer.sendall(DTMF[len(begun) :])
    assert seen(call.returns()) == DTMF_SEEN


def test_frame_whose_headers_are_not_all_here_has_the_time_that_is_given(ESL, strict, wire_of):
    wire = wire_of(DTMF[:20])
    assert wire.con.recvEventTimed(1) is None
    assert wire.con.connected() == 1
    wire.peer.sendall(DTMF[20:])
    assert seen(wire.con.recvEventTimed(60_000)) == DTMF_SEEN


def test_end_while_a_time_runs_gives_none_and_no_event(ESL, strict, wire_of):
    con = wire_of(ended=True).con
    assert con.recvEventTimed(60_000) is None
    assert con.connected() == 0


def test_final_notice_while_a_time_runs_gives_none(ESL, strict, wire_of):
    con = wire_of(FINAL, DTMF).con
    assert con.recvEventTimed(60_000) is None
    assert con.connected() == 0
    assert seen(con.recvEvent()) == LOST


# Ends: docs/protocol/esl-module.md, P7.6


def test_queued_final_notice_ends_the_connection_when_its_turn_comes(ESL, strict, wire_of):
    con = wire_of(DTMF, FINAL, COMMAND_REPLY, COMMAND_REPLY).con
    assert seen(con.sendRecv("x")) == OK_SEEN
    assert (con.connected(), seen(con.recvEvent())) == (1, DTMF_SEEN)
    assert (seen(con.recvEvent()), con.connected()) == (LOST, 0)
    assert con.sendRecv("x") is None


@pytest.mark.parametrize("disposition", [b"Content-Disposition: disconnect\n", b"Content-Disposition: other\n", b""])
@pytest.mark.parametrize("body", [b"", b"x"])
def test_notice_with_a_body_is_the_end(ESL, strict, wire_of, disposition, body):
    con = wire_of(
        b"Content-Type: TEXT/disconnect-notice\n%bContent-Length: %d\n\n%b" % (disposition, len(body), body)
    ).con
    assert (seen(con.recvEvent()), con.connected()) == (LOST, 0)


@pytest.mark.parametrize(
    "headers", [b"Content-Disposition: LINGER\nContent-Length: 1\n", b"", b"Content-Disposition: disconnect\n"]
)
def test_notice_of_lingering_or_without_a_body_is_a_frame(ESL, strict, wire_of, headers):
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
def test_broken_end_is_an_end(ESL, strict, wire_of, broken):
    con = wire_of(DTMF, broken, ended=True).con
    assert (seen(con.recvEvent()), con.connected()) == (DTMF_SEEN, 1)
    assert (seen(con.recvEvent()), con.connected()) == (LOST, 0)
    assert_dead(ESL, con, info="may still be there")


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_broken_end_instead_of_a_reply(ESL, strict, wire_of, broken):
    con = wire_of(DTMF, broken, ended=True).con
    assert (con.sendRecv("x"), con.connected()) == (None, 0)


@pytest.mark.parametrize("broken", [broken for name, broken in BROKEN.items() if name.startswith("length")])
def test_frames_behind_a_bad_length_are_lost(ESL, strict, wire_of, broken):
    con = wire_of(broken, DTMF, COMMAND_REPLY).con
    assert (seen(con.recvEvent()), con.connected()) == (LOST, 0)
    assert (seen(con.recvEvent()), con.sendRecv("x"), con.recvEventTimed(1)) == (LOST, None, None)


def test_header_block_without_end_is_an_end(ESL, strict, wire_of):
    wire = wire_of()
    with saying(wire.peer, b"A: " + b"x" * (80 << 20)):
        assert (seen(wire.con.recvEvent()), wire.con.connected()) == (LOST, 0)
        wire.con.disconnect()


def test_reset_is_an_end(ESL, strict):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        peer, _ = listener.accept()
    peer.sendall(CONNECT_REPLY + DTMF[:30])
    con = outbound(ESL, ours)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    peer.close()
    assert (seen(con.recvEvent()), con.connected()) == (LOST, 0)


# Bounds


def test_frames_that_wait_while_no_reply_comes_are_bounded(esl, ESL, strict, wire_of, monkeypatch):
    for bound, returned in ((3 * len(DTMF), OK_SEEN), (3 * len(DTMF) - 1, None)):
        monkeypatch.setattr(part(esl, "_esl.connection"), "MAX_QUEUED_BYTES", bound)
        con = wire_of(DTMF * 3, COMMAND_REPLY, DTMF * 3, COMMAND_REPLY).con
        assert seen(con.sendRecv("x")) == returned
        if returned is None:
            assert con.connected() == 0
        else:
            assert [seen(con.recvEvent()) for _ in range(3)] == [DTMF_SEEN] * 3
            assert seen(con.sendRecv("x")) == OK_SEEN, "what was read does not count"


def test_items_that_names_with_an_index_make_are_bounded(ESL, strict, wire_of):
    lines = b"".join(b"A%d[4000]: x\n" % number for number in range(1000))
    event = wire_of(plain(b"Event-Name: DTMF\n" + lines + b"B: y\n\n")).con.recvEvent()
    made = [number for number in range(1000) if event.getHeader(f"A{number}") is not None]
    assert made == list(range(len(made)))
    assert 1 <= len(made) <= 20
    assert event.getHeader("B") == "y"


# Threads: docs/protocol/esl-module.md, A1


def in_a_read(wire: Any, call: Any, *arguments: Any) -> Background:
    """A call in a thread that has certainly begun to read: it has taken half of `DTMF` from the socket."""
    wire.peer.sendall(DTMF[:20])
    background = Background(call, *arguments)
    until(lambda: unread(wire.con.socketDescriptor()) == 0)
    return background


def test_send_does_not_wait_for_another_threads_read(ESL, strict, wire_of):
    wire = wire_of()
    reading = in_a_read(wire, wire.con.recvEvent)
    for _ in range(3):
        assert Background(wire.con.send, "api status").returns() == 0
    assert wire.hears(b"connect\n\n" + b"api status\n\n" * 3) == b"connect\n\n" + b"api status\n\n" * 3
    wire.peer.sendall(DTMF[20:])
    assert seen(reading.returns()) == DTMF_SEEN


def test_command_waits_for_another_threads_read(ESL, strict, wire_of):
    wire = wire_of()
    reading = in_a_read(wire, wire.con.recvEvent)
    asking = Background(wire.con.sendRecv, "x")
    assert asking.waits()
    wire.peer.sendall(DTMF[20:] + COMMAND_REPLY)
    assert seen(reading.returns()) == DTMF_SEEN
    assert seen(asking.returns()) == OK_SEEN


def test_timed_read_gives_up_while_another_thread_reads(ESL, strict, wire_of):
    wire = wire_of()
    reading = in_a_read(wire, wire.con.recvEvent)
    for ms in (1, 3_600_000):
        assert Background(wire.con.recvEventTimed, ms).returns() is None
    assert wire.con.connected() == 1
    wire.peer.sendall(DTMF[20:])
    assert seen(reading.returns()) == DTMF_SEEN


@pytest.mark.parametrize(
    ("name", "arguments", "returned"),
    [
        *(("recvEvent", (), LOST), ("recvEventTimed", (-1,), None), ("sendRecv", ("x",), None)),
        *(("api", ("x",), None), ("execute", ("answer",), None), ("events", ("plain", "ALL"), 1)),
    ],
)
@pytest.mark.parametrize("begun", [False, True], ids=["idle", "in a frame"])
def test_blocked_read_ends_when_another_thread_disconnects(ESL, strict, wire_of, name, arguments, returned, begun):
    wire = wire_of()
    call = getattr(wire.con, name)
    background = in_a_read(wire, call, *arguments) if begun else Background(call, *arguments)
    if not begun:
        assert background.waits()
    assert Background(wire.con.disconnect).returns() == 0
    result = background.returns()
    assert (result if isinstance(result, int) else seen(result)) == returned
    assert (wire.con.connected(), wire.con.socketDescriptor()) == (0, -1)


def test_blocked_send_ends_when_another_thread_disconnects(ESL, strict, wire_of):
    wire = wire_of()
    sending = Background(wire.con.send, "x" * (64 << 20))
    assert sending.waits()
    assert Background(wire.con.disconnect).returns() == 0
    assert sending.returns() == 1
    assert (wire.con.connected(), wire.con.socketDescriptor()) == (0, -1)


def test_command_that_waits_for_another_threads_read_ends_with_it(ESL, strict, wire_of):
    wire = wire_of()
    reading = in_a_read(wire, wire.con.recvEvent)
    asking = Background(wire.con.sendRecv, "x")
    assert asking.waits()
    Background(wire.con.disconnect).returns()
    assert (seen(reading.returns()), asking.returns()) == (LOST, None)
    assert wire.hears(b"connect\n\n...") == b"connect\n\n"


def test_one_thread_receives_while_another_sends(ESL, strict, wire_of):
    wire = wire_of()
    received: list[str] = []

    def receive() -> None:
        while (event := wire.con.recvEvent()).getType() != "SERVER_DISCONNECTED":
            received.append(event.getHeader("Reply-Text"))

    receiving = Background(receive)
    for number in range(300):
        assert wire.con.send(f"x {number}") == 0
        command = b"x %d\n\n" % number
        heard = wire.hears(command if number else b"connect\n\n" + command)
        assert heard.endswith(command)
        wire.peer.sendall(reply(b"+OK %d" % number))
    wire.peer.shutdown(socket.SHUT_WR)
    receiving.returns()
    assert received == [f"+OK {number}" for number in range(300)]


def test_commands_of_several_threads_get_their_own_replies(ESL, strict, wire_of):
    wire = wire_of()
    answers: dict[str, str] = {}

    def ask(name: str) -> None:
        for number in range(20):
            answers[f"{name} {number}"] = wire.con.api(name, str(number)).getBody()

    def answer() -> None:
        heard = b""
        while data := wire.peer.recv(1 << 16):
            heard += data
            *commands, heard = heard.split(b"\n\n")
            for command in commands:
                if command.startswith(b"api "):
                    wire.peer.sendall(DTMF + api_response(command.removeprefix(b"api ")))

    answering = Background(answer)
    for asking in [Background(ask, name) for name in ("a", "b", "c")]:
        asking.returns()
    assert answers == {f"{name} {number}": f"{name} {number}" for name in "abc" for number in range(20)}
    wire.con.disconnect()
    answering.returns()


# The module: docs/protocol/esl-module.md, A4


def test_star_import_gives_the_three_names(ESL):
    names: dict[str, Any] = {}
    exec(f"from {ESL.__name__} import *", names)
    assert {name for name in names if not name.startswith("__")} == {"ESLconnection", "ESLevent", "eslSetLogLevel"}
    assert names["ESLconnection"] is ESL.ESLconnection


def test_strict_is_off_unless_asked_for(ESL):
    assert ESL.strict is False


@pytest.mark.parametrize("wrong", [(), ("7",), (None,), (7.0,), (b"7",), (7, 7)])
def test_log_level_is_an_int(ESL, strict, wrong):
    with pytest.raises(TypeError):
        ESL.eslSetLogLevel(*wrong)


@pytest.fixture
def set_level(esl, ESL, monkeypatch):
    """`eslSetLogLevel`, which cannot be taken back by a program."""
    settings = part(esl, "_esl.settings")
    monkeypatch.setattr(settings, "log_level", settings.log_level)
    return ESL.eslSetLogLevel


def test_nothing_is_logged_before_it_is_asked_for(ESL, strict, wire_of, capfd):
    wire = wire_of(DTMF, b"Content-Length: x\n\n")
    wire.con.send("noevents")
    assert [wire.con.recvEvent().getType() for _ in range(2)] == ["DTMF", "SERVER_DISCONNECTED"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("level", [7, 8, 99, -1])
def test_every_frame_is_logged_to_standard_error_at_the_last_level(ESL, strict, wire_of, set_level, capfd, level):
    wire = wire_of(DTMF, COMMAND_REPLY)
    assert set_level(level) is None
    assert seen(wire.con.sendRecv("noevents")) == OK_SEEN
    assert seen(wire.con.recvEvent()) == DTMF_SEEN
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("[DEBUG] ")
    assert all(part in err for part in ("noevents", "Reply-Text: +OK", "Event-Name: DTMF\nA: 1\n"))


@pytest.mark.parametrize(("level", "begins"), [(0, ""), (2, ""), (3, "[ERROR] "), (6, "[ERROR] ")])
def test_errors_are_logged_from_their_level_on(ESL, strict, wire_of, set_level, capfd, level, begins):
    wire = wire_of(DTMF, b"Content-Length: x\n\n")
    set_level(level)
    assert [wire.con.recvEvent().getType() for _ in range(2)] == ["DTMF", "SERVER_DISCONNECTED"]
    out, err = capfd.readouterr()
    assert (out, err[: len("[ERROR] ")], err.count("\n")) == ("", begins, 1 if begins else 0)


def test_last_of_several_levels_counts(ESL, wire_of, set_level, capfd):
    set_level(7)
    set_level(0)
    assert seen(wire_of(DTMF).con.recvEvent()) == DTMF_SEEN
    assert capfd.readouterr() == ("", "")


# Waiting in turn, and bounds


def test_poll_does_not_wait_for_the_rest_of_a_frame(ESL, wire_of):
    with strictly(ESL, False):
        wire = wire_of(DTMF[:-3])
        assert [wire.con.recvEventTimed(0) for _ in range(3)] == [None] * 3
        wire.peer.sendall(DTMF[-3:] + DTMF[:5])
        until(lambda: (event := wire.con.recvEventTimed(0)) is not None and seen(event) == DTMF_SEEN)
        assert wire.con.recvEventTimed(0) is None
        assert wire.con.connected() == 1


def test_who_waits_for_a_reply_is_not_overtaken_by_a_reader_that_never_stops(ESL, strict, wire_of):
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


def test_events_that_wait_for_a_reply_that_never_comes_are_bounded(esl, ESL, strict, wire_of, monkeypatch):
    monkeypatch.setattr(part(esl, "_esl.connection"), "MAX_QUEUED_BYTES", 3 * len(DTMF))
    wire = wire_of(DTMF * 3, COMMAND_REPLY, DTMF * 4)
    assert seen(wire.con.sendRecv("x")) == OK_SEEN
    assert [seen(wire.con.recvEvent()) for _ in range(3)] == [DTMF_SEEN] * 3
    assert (wire.con.sendRecv("x"), wire.con.connected()) == (None, 0)


# By default no value becomes another header or command


REFUSABLE: list[tuple[str, tuple[Any, ...]]] = [
    ("api", ("status\nconsole_execute: true",)),
    ("api", ("status\n\nexit",)),
    ("api", ("status", "a\n\nexit\n\n")),
    ("api", ("status\rx",)),
    ("api", ("echo", "reload of mod_event_socket")),
    ("bgapi", ("status\n\nexit",)),
    ("bgapi", ("status", "x\nJob-UUID: j")),
    ("bgapi", ("status", "x", "j\n\nexit")),
    ("filter", ("A", "b\n\nexit")),
    ("filter", ("A\nB", "b")),
    ("filter", ("A", "b\rc")),
    ("filter", ("A", None)),
    ("filter", (None, "b")),
    ("filter", (None, None)),
    ("events", ("plain", "DTMF\nCUSTOM")),
    ("events", ("json", "DTMF\n\nexit")),
    ("events", ("plain", None)),
    ("execute", ("playback", "a\nasync: true")),
    ("execute", ("playback\nexecute-app-arg: b", "a")),
    ("execute", ("playback", "a", "u\n\nexit")),
    ("execute", ("log", "INFO unload mod_event_socket")),
    ("executeAsync", ("playback", "a\r\nb")),
]
NEVER_WHOLE = [  # more than the switch reads as one command: it would take the rest for the next
    ("api", ("echo", "x" * (10 << 20))),
    ("bgapi", ("echo", "x" * (10 << 20))),
    ("execute", ("log", "x" * (10 << 20), "u")),
    ("filter", ("A", "x" * (10 << 20))),
    ("events", ("plain", "x" * (10 << 20))),
]


def assert_refused(wire: Any, returned: Any, caplog: Any) -> None:
    """Nothing was sent, the reply says why, the log as well; the connection goes on."""
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("eslcodec", "WARNING")
    assert record.getMessage().startswith("ESL: not sent: ")
    if not isinstance(returned, int):
        assert (returned.getType(), returned.getBody()) == ("SOCKET_DATA", None)
        assert returned.getHeader("Content-Type") == "command/reply"
        text = returned.getHeader("Reply-Text")
        assert text == "-ERR " + record.getMessage().removeprefix("ESL: ")
        assert "\n" not in text
    else:
        assert returned == 1
    assert wire.con.connected() == 1
    assert seen(wire.con.sendRecv("next")) == OK_SEEN
    assert wire.sent() == b"next\n\n"


@pytest.mark.parametrize(("method", "arguments"), [*REFUSABLE, *NEVER_WHOLE])
def test_what_would_be_another_header_or_command_is_refused(ESL, wire_of, caplog, method, arguments):
    wire = wire_of(COMMAND_REPLY)
    assert_refused(wire, getattr(wire.con, method)(*arguments), caplog)


@pytest.mark.parametrize(("method", "arguments"), REFUSABLE)
def test_nothing_is_refused_when_strict(ESL, wire_of, caplog, method, arguments):
    with strictly(ESL, True):
        wire = wire_of(COMMAND_REPLY)
        returned = getattr(wire.con, method)(*arguments)
        assert returned == 0 if method == "events" else returned.getHeader("Reply-Text") == "+OK"
        sent = wire.sent()
    assert all((text or "(null)").encode() in sent for text in arguments)
    assert caplog.records == []


def test_refusals_are_refused_in_the_module_s_own_log_too(ESL, wire_of, set_level, capfd):
    set_level(3)
    wire_of().con.filter("A", None)
    assert "] event.py:" in (err := capfd.readouterr().err)
    assert "not sent: the value is None" in err


@pytest.mark.parametrize(
    ("method", "arguments", "wire_text"),
    [
        ("api", ("status\n",), b"api status \n\n"),
        ("api", ("status\r\n\r\n",), b"api status \n\n"),
        ("api", ("show", "calls\n\n"), b"api show calls\n\n"),
        ("bgapi", ("status\n", "x\n", "j\n"), b"bgapi status x\nJob-UUID: j\n\n"),
        ("filter", ("A\n", "b\n"), b"filter A b\n\n"),
        ("events", ("plain", "ALL\n"), b"event plain ALL\n\n"),
        (
            "executeAsync",
            ("playback\n", "a\n\n", "u\r\n"),
            b"sendmsg u\ncall-command: execute\nexecute-app-name: playback\nexecute-app-arg: a\nasync: true\n\n",
        ),
    ],
)
def test_line_end_behind_an_argument_is_dropped(ESL, wire_of, caplog, method, arguments, wire_text):
    wire = wire_of(COMMAND_REPLY)
    getattr(wire.con, method)(*arguments)
    assert wire.sent() == wire_text
    assert caplog.records == []


@pytest.mark.parametrize("verb", ["reload", "unload"])
def test_reloading_the_socket_module_is_sent_where_it_is_meant(ESL, strict, wire_of, caplog, verb):
    wire = wire_of(COMMAND_REPLY * 4)
    wire.con.api(verb, "mod_event_socket")
    wire.con.api(f"{verb} mod_event_socket")
    wire.con.api("bgapi", f"{verb} mod_event_socket")
    wire.con.bgapi(verb, "mod_event_socket")
    assert wire.sent() == b"".join(
        command % verb.encode() + b"\n\n"
        for command in (
            b"api %b mod_event_socket",
            b"api %b mod_event_socket ",
            b"api bgapi %b mod_event_socket",
            b"bgapi %b mod_event_socket",
        )
    )
    assert caplog.records == []


@pytest.mark.parametrize(
    "arguments", [("a\n\nexit",), ("user\nx", "pw"), ("user", "p\rw"), ("reload mod_event_socket",)]
)
def test_login_that_would_be_another_command_is_refused(ESL, caplog, arguments):
    with Server(*LOGIN) as server:
        con = ESL.ESLconnection("127.0.0.1", server.port, *arguments)
        assert_dead(ESL, con)
    assert (server.called, server.heard) == (False, b"")
    (record,) = caplog.records
    assert all(text not in record.getMessage() for text in ("exit", "pw", "user\nx", "p\rw"))


def test_line_end_behind_a_password_is_dropped(ESL):
    with Server(*LOGIN) as server:
        con = ESL.ESLconnection("127.0.0.1", server.port, "user@d\n", "pw\r\n")
        assert con.connected() == 1
        con.disconnect()
    assert server.heard == b"userauth user@d:pw\n\n"


def event_of(ESL: Any, *headers: tuple[str, str], body: str | None = None, new: tuple[str, ...] = ("CLONE",)) -> Any:
    event = ESL.ESLevent(*new)
    for name, value in headers:
        event.addHeader(name, value)
    if body is not None:
        event.addBody(body)
    return event


INJECTING: list[dict[str, Any]] = [
    {"headers": [("A", "x\nInjected: 1")]},
    {"headers": [("A", "x\n\nexit")]},
    {"headers": [("A", "x\n")]},
    {"headers": [("A", "x\rInjected: 1")]},
    {"headers": [("A", "ARRAY::x|:y\nInjected: 1")]},
    {"headers": [("A\nInjected: 1", "x")]},
    {"headers": [("Content-Length: 99", "x")], "body": "b"},
    {"headers": [("Command", "reload"), ("Module", "mod_event_socket")]},
    {"headers": [], "new": ("CUSTOM", "a::b\nInjected: 1")},
    {"headers": [("_body", "x\n\nexit")]},
    {"headers": [("A", "x" * (10 << 20))]},
    {"headers": [], "body": "x" * ((16 << 20) + 1)},
]


@pytest.mark.parametrize("event", INJECTING, ids=range(len(INJECTING)))
@pytest.mark.parametrize("method", ["sendEvent", "sendMSG"])
def test_event_whose_value_would_be_another_header_is_refused(ESL, wire_of, caplog, method, event):
    wire = wire_of(COMMAND_REPLY)
    headers, options = event["headers"], {name: value for name, value in event.items() if name != "headers"}
    returned = getattr(wire.con, method)(event_of(ESL, *headers, **options))
    assert_refused(wire, returned, caplog)


def test_channel_that_would_be_another_header_is_refused(ESL, wire_of, caplog):
    wire = wire_of(COMMAND_REPLY)
    assert_refused(wire, wire.con.sendMSG(event_of(ESL, ("A", "1")), "u\nInjected: 1"), caplog)


def test_received_value_with_a_line_end_or_a_nul_is_refused(ESL, wire_of, caplog):
    for value in (b"v%0AInjected: 1", b"a%0D%0Ab", b"a%00b"):
        wire = wire_of(plain(b"Event-Name: DTMF\nA: " + value + b"\nContent-Length: 1\n\nB"), COMMAND_REPLY)
        event = wire.con.recvEvent()
        assert_refused(wire, wire.con.sendEvent(event), caplog)
        caplog.clear()


def test_nothing_of_an_event_is_refused_when_strict(ESL, wire_of, caplog):
    with strictly(ESL, True):
        wire = wire_of(COMMAND_REPLY * 2)
        event = event_of(ESL, ("A", "x\nInjected: 1"), ("Content-Length", "7"), body="B")
        wire.con.sendEvent(event)
        assert wire.con.sendMSG(event, "u\nAlso: 1") == 0
        lines = b"A: x\nInjected: 1\nContent-Length: 7\nContent-Length: 1\n\nB\n\n"
        assert wire.sent() == b"sendevent CUSTOM\n" + lines + b"sendmsg u\nAlso: 1\n" + lines
    assert caplog.records == []


@pytest.mark.parametrize(
    ("headers", "body", "sent"),
    [
        ([("Content-Length", "99")], "two\u00e9", b"Content-Length: 5\n\ntwo\xc3\xa9\n\n"),
        ([("content-LENGTH", "1"), ("Content-Length", "2"), ("A", "1")], "B", b"A: 1\nContent-Length: 1\n\nB\n\n"),
        ([("Content-Length", "x"), ("A", "1")], "B\n\n", b"A: 1\nContent-Length: 3\n\nB\n\n"),
        ([("Content-Length", "5"), ("A", "1")], None, b"A: 1\nContent-Length: 0\n\n"),
        ([("Content-Length", "ARRAY::5|:6")], "", b"Content-Length: 0\n\n"),
        ([("A", "1")], "", b"A: 1\n\n"),
        ([("A", "1")], "B", b"A: 1\nContent-Length: 1\n\nB\n\n"),
    ],
)
def test_length_of_an_event_is_sent_once_and_is_that_of_the_body(ESL, wire_of, headers, body, sent):
    wire = wire_of(COMMAND_REPLY * 2)
    event = event_of(ESL, *headers, body=body)
    wire.con.sendEvent(event)
    assert wire.con.sendMSG(event, "u") == 0
    assert wire.sent() == b"sendevent CUSTOM\n" + sent + b"sendmsg u\n" + sent


@pytest.mark.parametrize("length", [4076, 4077, 4078, 4095, 5119, 100_000])
def test_long_argument_stays_apart_from_the_lines_behind_it(ESL, strict, wire_of, length):
    """In the official module it loses its line end, and the next header is glued to it."""
    wire = wire_of(COMMAND_REPLY)
    heard = Background(wire.hears, b"x" * 200_000)
    wire.con.setEventLock("1")
    wire.con.executeAsync("set", "x" * length, "u")
    wire.con.disconnect()
    assert heard.returns().splitlines()[2:] == [
        *(b"sendmsg u", b"call-command: execute", b"execute-app-name: set", b"execute-app-arg: " + b"x" * length),
        *(b"event-lock: true", b"async: true", b""),
    ]


def test_refusal_on_a_dead_connection_is_what_everything_is_there(ESL, strict, wire_of, caplog):
    con = wire_of().con
    con.disconnect()
    assert [con.api("a\nb"), con.bgapi("a\nb"), con.filter("A", None), con.execute("a\nb")] == [None] * 4
    event = event_of(ESL, ("A", "x\ny"))
    assert (con.events("plain", "a\nb"), con.sendMSG(event), seen(con.sendEvent(event))) == (1, 1, LOST)
    assert caplog.records == []


def test_switch_gets_one_command_from_what_is_sent(ESL):
    """Against a switch that reads as the real one does."""
    from eslcodec.emulator import Emulator

    with Emulator() as switch:
        con = ESL.ESLconnection(switch.host, switch.port, "ClueCon")
        event = event_of(ESL, ("Content-Length", "3"), ("Section", "33"), body="B" * 3, new=("CUSTOM", "a::b"))
        con.events("plain", "CUSTOM a::b")
        con.sendEvent(event)
        received = con.recvEvent()
        assert (received.getHeader("Section"), received.getBody()) == (
            "33",
            "BBB" if not strict else received.getBody(),
        )
        con.disconnect()
