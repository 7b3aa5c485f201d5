"""Bounds of connections: each at n - 1, n and n + 1, and with a typed error that has the numbers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from shells import PATIENCE, Shell, Switch, until
from support import ACCEPTED, AUTH, OK, part, plain

JOB = b"Content-Type: command/reply\nReply-Text: +OK Job-UUID: %d\nJob-UUID: %d\n\n"


@pytest.fixture
def switch() -> Iterator[Switch]:
    switch = Switch()
    yield switch
    switch.close()


@pytest.fixture(params=["sync", "aio"])
def shell(esl: ModuleType, request: pytest.FixtureRequest) -> Iterator[Shell]:
    shell = Shell(esl, request.param)
    yield shell
    shell.close()


# Before the login is answered


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_so_much_may_come_before_the_login_is_answered(
    esl: ModuleType, monkeypatch: pytest.MonkeyPatch, more: int
) -> None:
    monkeypatch.setattr(part(esl, "limits"), "LOGIN_BYTES", 2000)
    connection = part(esl, "connection").Connection.inbound("secret", max_header_bytes=1000)
    connection.receive(AUTH)
    event = plain(b"Event-Name: DTMF\nX: " + b"x" * (3000 + more - len(AUTH) - len(ACCEPTED) - 70) + b"\n\n")
    event += b"\n" * (3000 + more - len(AUTH) - len(event))  # line ends between frames count too
    connection.receive(event)
    if more <= 0:
        connection.receive(ACCEPTED)
        assert connection.logged_in
        return
    with pytest.raises(esl.LoginTooLarge) as caught:
        connection.ready.result()
    assert (caught.value.read, caught.value.limit) == (3001, 3000)


def test_a_body_before_the_login_is_not_kept(esl: ModuleType) -> None:
    connection = part(esl, "connection").Connection.outbound()
    connection.receive(b"Content-Type: text/event-plain\nContent-Length: 60000000\n\n")
    for _ in range(30):
        if connection.end is None:
            connection.receive(b"x" * (1 << 17))
    assert "expected no more than 2097152" in connection.end.reason


def test_after_the_login_there_is_no_such_bound(esl: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part(esl, "limits"), "LOGIN_BYTES", 100)
    connection = part(esl, "connection").Connection.inbound("secret", max_header_bytes=1000)
    connection.receive(AUTH + ACCEPTED)
    connection.receive(plain(b"Event-Name: DTMF\n\n") * 1000)
    assert len(connection.queue) == 1000


# Jobs


@pytest.mark.parametrize("jobs", [4, 5, 6])
def test_so_many_jobs_are_waited_for(esl: ModuleType, monkeypatch: pytest.MonkeyPatch, jobs: int) -> None:
    monkeypatch.setattr(part(esl, "limits"), "JOBS", 5)
    connection = part(esl, "connection").Connection.inbound("secret")
    connection.receive(AUTH + ACCEPTED)
    results = [connection.bgapi("status", job_uuid=str(number))[1] for number in range(jobs)]
    connection.receive(OK + b"".join(JOB % (number, number) for number in range(jobs)))
    assert [result.done for result in results] == [jobs > 5, *[False] * (jobs - 1)]
    if jobs > 5:
        with pytest.raises(esl.CommandTimeout, match="the result of 'bgapi status' has not come, and 5 jobs began"):
            results[0].result()
    late = plain(b"Event-Name: BACKGROUND_JOB\nJob-UUID: 0\nContent-Length: 2\n\nUP")
    connection.receive(late)
    assert results[0].done
    assert connection.end is None


# Digits


@pytest.mark.parametrize("typed", [4, 5, 6])
def test_so_many_digits_wait(esl: ModuleType, monkeypatch: pytest.MonkeyPatch, typed: int) -> None:
    monkeypatch.setattr(part(esl, "limits"), "DIGITS", 5)
    connection = part(esl, "connection").Connection.outbound()
    head = b"Event-Name: CHANNEL_DATA\nUnique-ID: u-1\nContent-Type: command/reply\nReply-Text: +OK\n\n"
    connection.receive(head)
    connection.dtmf()
    digits = [plain(b"Event-Name: DTMF\nUnique-ID: u-1\nDTMF-Digit: %d\n\n" % number) for number in range(typed)]
    connection.receive(OK + b"".join(digits))
    assert list(connection.digits) == [str(number) for number in range(max(typed - 5, 0), typed)]


# What is not sent yet


def test_commands_wait_for_a_peer_that_takes_nothing(shell: Shell, switch: Switch) -> None:
    peer = shell.connects(switch)
    body = b"x" * (4 << 20)
    large = b"sendevent CUSTOM\nContent-Length: %d\n\n%b" % (len(body), body)
    first = [shell.begin("send", large) for _ in range(3)]  # more than the two sockets take
    until(lambda: waits(shell))
    with pytest.raises(shell.esl.CommandTimeout, match="the switch to read what was sent before"):
        shell.do("api", "status", timeout=0.05)
    assert unsent(shell) <= 3 * len(large)
    sent = threading.Thread(target=answer, args=(peer, len(large), len(first)))
    sent.start()
    for future in first:
        assert future.result(PATIENCE).ok
    sent.join(PATIENCE)
    answered = shell.begin("send", "noevents")
    peer.answers(b"noevents", OK)
    assert answered.result(PATIENCE).ok


def unsent(shell: Shell) -> int:
    link = shell.client._link
    return len(link._unsent) if shell.kind == "sync" else link._transport.get_write_buffer_size()


def waits(shell: Shell) -> bool:
    return unsent(shell) > 1 << 20 if shell.kind == "sync" else bool(shell.client._link._blocked)


def answer(peer: Any, size: int, count: int) -> None:
    """Read so many commands of this size, and answer them."""
    for _ in range(count):
        left = size
        while left:
            left -= len(peer.sock.recv(min(left, 1 << 20)))
        peer.sends(OK)
