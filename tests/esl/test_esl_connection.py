"""ESLconnection: vectors, login, outbound calls, the descriptor (docs/protocol/esl-module.md, A2.1)."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest
from esl_support import (
    CONNECT_REPLY,
    DTMF,
    DTMF_SEEN,
    FINAL,
    LOGIN,
    Server,
    assert_dead,
    outbound,
    saying,
    seen,
    strictly,
    wires,
)
from esl_vectors import DONE, OTHERWISE, RECORDED, VECTORS, outcome, vectors
from support import ACCEPTED, AUTH, api_response, reply, until

GIVEN = ["emit", "handshake", "script", "recv"]


# The vectors


@pytest.mark.parametrize("name", [name for kind in GIVEN for name in vectors(kind)])
def test_vector(ESL: Any, strict: Any, name: Any) -> None:
    vector = VECTORS[name]
    assert DONE[vector["kind"]](ESL, vector) == outcome(vector, strict)


def test_every_difference_is_that_of_a_vector_that_is_run() -> None:
    run = {name for kind in RECORDED for name in vectors(kind)}
    assert set(OTHERWISE) <= run
    assert len(run) == 112 + 43 + 28 + 1 + 11 + 9


# Inbound: docs/protocol/esl-module.md, A2.1


@pytest.mark.parametrize(
    "spelled", [int, str, " {}".format, "+{}".format, "{}x".format, "{} 5".format, "{}\0 5".format]
)
def test_port_is_a_number_or_is_read_as_atoi_does(ESL: Any, strict: Any, spelled: Any) -> None:
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
def test_login(ESL: Any, strict: Any, arguments: Any, command: bytes) -> None:
    with Server(*LOGIN) as server:
        con = ESL.ESLconnection("127.0.0.1", server.port, *arguments)
        assert con.connected() == 1
        con.disconnect()
    assert server.heard == command


@pytest.mark.parametrize(
    "said", [b"CONTENT-type: AUTH/Request\n\n", b"Content-Length: 2\nContent-Type: auth/request\n\nok"]
)
def test_greeting_is_known_by_its_content_type(ESL: Any, strict: Any, said: bytes) -> None:
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
def test_any_deviation_in_the_login_gives_a_disconnected_object(ESL: Any, strict: Any, says: Any) -> None:
    with Server(*says) as server:
        before = descriptors()
        con = ESL.ESLconnection("127.0.0.1", server.port, "x")
        assert_dead(ESL, con)
        until(lambda: len(descriptors()) <= len(before))  # the server's end may be open still, ours is not
    assert server.called


@pytest.mark.parametrize(
    "says", [(AUTH, reply(b"+OK accepted", b"Allowed-API: all\n")), (AUTH, reply(b"+ok ACCEPTED"))]
)
def test_reply_to_the_login_is_compared_by_its_text(ESL: Any, strict: Any, says: Any) -> None:
    with Server(*says) as server:
        con = ESL.ESLconnection("127.0.0.1", server.port, "x")
        assert con.connected() == 1
        con.disconnect()


def test_inbound_connection_has_no_info(ESL: Any, strict: Any) -> None:
    with Server(*LOGIN) as server:
        con = ESL.ESLconnection("127.0.0.1", server.port, "x")
        assert con.getInfo() is None
        con.disconnect()


def test_inbound_connection_does_not_delay_small_commands(ESL: Any, strict: Any) -> None:
    with Server(*LOGIN) as server:
        con = ESL.ESLconnection("127.0.0.1", server.port, "x")
        with socket.socket(fileno=os.dup(con.socketDescriptor())) as sock:
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
        con.disconnect()


def test_inbound_connection_by_ipv6(ESL: Any, strict: Any) -> None:
    try:
        server = Server(*LOGIN, host="::1")
    except OSError:
        pytest.skip("no IPv6 here")
    with server:
        con = ESL.ESLconnection("::1", server.port, "x")
        assert con.connected() == 1
        con.disconnect()


def test_frames_behind_the_login_are_the_first_events(ESL: Any, strict: Any) -> None:
    with Server(AUTH, ACCEPTED + DTMF) as server:
        con = ESL.ESLconnection("127.0.0.1", server.port, "x")
        assert seen(con.recvEvent()) == DTMF_SEEN
        con.disconnect()


def test_refused_connection(ESL: Any, strict: Any, unused_port: Any) -> None:
    before = descriptors()
    assert_dead(ESL, ESL.ESLconnection("127.0.0.1", unused_port, "x"))
    assert_dead(ESL, ESL.ESLconnection("127.0.0.1", str(unused_port), "user", "x"))
    assert len(descriptors()) <= len(before)


@pytest.mark.parametrize(
    "host", ["no such host", "", None, "..", "x" * 70, "a" * 70 + ".b", "127.0.0.1\udcff", "\u00e9\u00df" * 40]
)
def test_host_that_does_not_exist(ESL: Any, strict: Any, host: Any, unused_port: Any) -> None:
    assert_standard_input_stays(lambda: assert_dead(ESL, ESL.ESLconnection(host, unused_port, "x")))


@pytest.mark.parametrize("port", [None, "", "x", "-1", -1, 0, 65536, 1 << 40, -(1 << 70), "99999999999999999999999"])
def test_port_that_does_not_exist(ESL: Any, strict: Any, port: Any) -> None:
    assert_standard_input_stays(lambda: assert_dead(ESL, ESL.ESLconnection("127.0.0.1", port, "x")))


@pytest.mark.parametrize("fd", [-1, -5, 1 << 20, 1 << 40, -(1 << 70)])
def test_descriptor_that_does_not_exist(ESL: Any, strict: Any, fd: int) -> None:
    assert_standard_input_stays(lambda: assert_dead(ESL, ESL.ESLconnection(fd)))


def test_descriptor_of_a_file_is_no_connection(ESL: Any, strict: Any, tmp_path: Path) -> None:
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
def test_wrong_constructor_arguments(ESL: Any, strict: Any, arguments: Any) -> None:
    with pytest.raises(NotImplementedError, match="Wrong number or type of arguments for overloaded function"):
        ESL.ESLconnection(*arguments)


def test_constructor_takes_no_keywords(ESL: Any, strict: Any) -> None:
    with pytest.raises((TypeError, NotImplementedError)):
        ESL.ESLconnection(host="127.0.0.1", port=1, password="x")


def test_lone_surrogate_in_the_login_is_refused(ESL: Any, strict: Any) -> None:
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
def test_any_reply_to_connect_is_a_success(ESL: Any, strict: Any, wire_of: Any, connect: Any) -> None:
    wire = wire_of(connect=connect)
    assert wire.con.connected() == 1
    assert wire.con.getInfo().getType() == "SOCKET_DATA"
    assert wire.sent() == b""


@pytest.mark.parametrize(
    "connect", [b"", b"Content-Type: command/reply\nReply-Te", b"Content-Length: -3\n\n", DTMF, FINAL, b"\0\xff" * 30]
)
def test_connect_without_reply_gives_a_disconnected_object(ESL: Any, strict: Any, wire_of: Any, connect: Any) -> None:
    wire = wire_of(connect=connect, ended=True)
    assert_dead(ESL, wire.con)
    assert wire.sent() == b""


def test_events_before_the_reply_to_connect_wait(ESL: Any, strict: Any, wire_of: Any) -> None:
    wire = wire_of(connect=DTMF + CONNECT_REPLY)
    assert wire.con.getInfo().getHeader("Unique-ID") == "u-1"
    assert seen(wire.con.recvEvent()) == DTMF_SEEN


def test_info_is_a_new_copy_each_time(ESL: Any, strict: Any, wire_of: Any) -> None:
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


def test_connect_reply_with_many_variables_is_whole(ESL: Any, strict: Any, wire_of: Any) -> None:
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


def test_descriptor_is_duplicated(ESL: Any) -> None:
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


def test_descriptor_is_taken_over_when_strict(ESL: Any) -> None:
    with strictly(ESL, True):
        peer, ours = socket.socketpair()
        with peer:
            peer.sendall(CONNECT_REPLY)
            fd = ours.detach()
            con = ESL.ESLconnection(fd)
            assert con.socketDescriptor() == fd
            con.disconnect()
            assert not is_open(fd)


def test_deleted_object_closes_its_descriptor_once(ESL: Any, strict: Any) -> None:
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


def test_closed_descriptor_is_not_closed_again(ESL: Any, strict: Any, wire_of: Any) -> None:
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


def test_ended_connection_has_closed_its_descriptor_by_the_time_it_is_deleted(ESL: Any, strict: Any) -> None:
    peer, ours = socket.socketpair()
    before = descriptors()
    peer.sendall(CONNECT_REPLY)
    peer.shutdown(socket.SHUT_WR)
    con = outbound(ESL, ours)
    assert con.recvEvent().getType() == "SERVER_DISCONNECTED"
    del con
    assert len(descriptors()) < len(before)
    peer.close()
