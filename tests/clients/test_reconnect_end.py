"""When a client does not come back, its password, and its first connection, the same for both shells."""

from __future__ import annotations

from pathlib import Path

import pytest
from reconnect_support import quick
from reconnect_support import shell as shell
from reconnect_support import switch as switch
from shells import INVALID, PATIENCE, REFUSED, Shell, Switch, event, until
from support import ACCEPTED, AUTH, FAREWELL, REJECTED, api_response, notice, part

# The end


def test_exhaustion_after_a_goodbye_is_an_error(shell: Shell, switch: Switch) -> None:
    """Whoever asked for reconnection hears that it failed; the two clients used to differ."""
    peer = shell.connects(switch, reconnect=quick(shell.esl, attempts=2))
    switch.listener.close()
    peer.sends(notice(FAREWELL))
    peer.close()
    for _ in range(2):
        with pytest.raises(shell.esl.ConnectionClosed, match=r"^the switch said good-bye$") as caught:
            shell.reads().result(PATIENCE)
        assert isinstance(caught.value.__cause__, OSError)
    with pytest.raises(shell.esl.ConnectionClosed):
        shell.event()
    assert shell.closed


def test_without_reconnection_a_goodbye_is_no_error(shell: Shell, switch: Switch) -> None:
    peer = shell.connects(switch)
    peer.sends(event(1), notice(FAREWELL))
    peer.close()
    assert [one.sequence for one in shell.reads().result(PATIENCE)] == [1]
    assert shell.closed


def test_closing_while_it_is_away_is_silent(shell: Shell, switch: Switch) -> None:
    peer = shell.connects(switch, reconnect=quick(shell.esl, first=60, longest=60))
    peer.close()
    reader = shell.reads()
    until(lambda: "connecting again" in repr(shell.client))
    assert not shell.closed
    shell.do("close")
    assert reader.result(PATIENCE) == []
    assert shell.closed


@pytest.mark.parametrize("way", ["refused", "rejected"])
def test_who_is_not_let_in_again_hears_why(shell: Shell, switch: Switch, way: str) -> None:
    peer = shell.connects(switch, reconnect=quick(shell.esl))
    peer.close()
    reader = shell.reads()
    if way == "refused":
        switch.refuses()
    else:
        switch.accept().sends(REJECTED)
    error = shell.esl.AuthError if way == "refused" else shell.esl.AccessDenied
    for _ in range(2):
        with pytest.raises(error):
            reader.result(PATIENCE)
        with pytest.raises(error):
            shell.do("api", "status")
        reader = shell.reads()
    assert shell.closed


def test_a_login_that_hangs_is_not_the_end(shell: Shell, switch: Switch) -> None:
    peer = shell.connects(switch, reconnect=quick(shell.esl), connect_timeout=4)
    peer.close()
    reader = shell.begin("next_event")
    assert switch.accept().command() == b""  # it gives up
    switch.lets_in()
    assert reader.result(PATIENCE).reason == "the switch closed the connection"


def test_what_was_subscribed_to_is_refused_three_times(shell: Shell, switch: Switch) -> None:
    """The reader gets the switch's words, and no gaps before."""
    peer = shell.connects(switch, reconnect=quick(shell.esl))
    shell.subscribes(peer)
    peer.close()
    reader = shell.reads()
    for _ in range(part(shell.esl, "limits").RESUBSCRIBE_TRIES):
        switch.lets_in().answers(b"event DTMF", REFUSED)
    with pytest.raises(
        shell.esl.ConnectionClosed, match=r"^what was subscribed to is refused now: -ERR permission denied$"
    ):
        reader.result(PATIENCE)
    assert shell.seen == []
    with pytest.raises(shell.esl.ConnectionClosed, match="refused now"):
        shell.do("api", "status")


# Passwords, and the first connection


@pytest.mark.parametrize("kind", ["function", "file"])
def test_a_password_is_read_again_at_each_attempt(shell: Shell, switch: Switch, tmp_path: Path, kind: str) -> None:
    file = tmp_path / "password"
    file.write_text("first\n")
    password = file if kind == "file" else lambda: file.read_text().strip()
    opening = shell.opening(switch.port, password=password, reconnect=quick(shell.esl))
    peer = switch.lets_in(password=b"first")
    shell.client = opening.result(PATIENCE)
    peer.close()
    reader = shell.begin("next_event")
    switch.refuses(b"first")
    switch.refuses(b"first")
    new = tmp_path / "new"
    new.write_text("second\n")
    new.replace(file)
    peer = switch.accept()
    peer.sends(AUTH)
    while (command := peer.command()) == b"auth first":  # read before the file was new
        peer.sends(INVALID)
        peer = switch.accept()
        peer.sends(AUTH)
    assert command == b"auth second"
    peer.sends(ACCEPTED)
    assert reader.result(PATIENCE).subclass == "eslcodec::gap"


def test_a_function_that_cannot_give_the_password_now_is_asked_again(shell: Shell, switch: Switch) -> None:
    answers = iter(["ClueCon", ValueError("not now"), OSError("nor now"), "ClueCon"])

    def password() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    peer = shell.connects(switch, password=password, reconnect=quick(shell.esl))
    peer.close()
    reader = shell.begin("next_event")
    switch.lets_in()
    assert reader.result(PATIENCE).subclass == "eslcodec::gap"


def test_a_function_that_cannot_give_the_password_at_first(shell: Shell, switch: Switch) -> None:
    with pytest.raises(ZeroDivisionError):
        shell.opening(switch.port, password=lambda: str(1 // 0), reconnect=True).result(PATIENCE)
    with pytest.raises(FileNotFoundError):
        shell.opening(switch.port, password=Path("/nowhere/at/all")).result(PATIENCE)


def test_the_first_connection_too(shell: Shell, switch: Switch) -> None:
    opening = shell.opening(switch.port, reconnect=quick(shell.esl), connect_first=True)
    switch.accept().close()
    switch.accept().reset()
    peer = switch.lets_in()
    shell.client = opening.result(PATIENCE)
    asked = shell.begin("api", "status")
    peer.answers(b"api status", api_response(b"UP\n"))
    assert asked.result(PATIENCE).text == "UP\n"
    peer.close()  # and it comes back as any
    reader = shell.begin("next_event")
    switch.lets_in()
    assert reader.result(PATIENCE).subclass == "eslcodec::gap"


def test_the_first_connection_is_not_tried_for_ever(shell: Shell, switch: Switch) -> None:
    opening = shell.opening(switch.port, reconnect=quick(shell.esl, attempts=2), connect_first=True)
    for _ in range(3):
        switch.accept().close()
    with pytest.raises((shell.esl.ConnectionClosed, ConnectionResetError)):
        opening.result(PATIENCE)
    opening = shell.opening(switch.port, reconnect=quick(shell.esl), connect_first=True)
    switch.refuses()
    with pytest.raises(shell.esl.AuthError):
        opening.result(PATIENCE)
    opening = shell.opening(switch.port, password="a\nb", reconnect=quick(shell.esl), connect_first=True)
    with pytest.raises(shell.esl.InvalidCommand):
        opening.result(PATIENCE)
    with pytest.raises(ValueError, match="connect_first"):
        shell.opening(switch.port, connect_first=True).result(PATIENCE)


def test_a_refused_first_login_is_tried_again_with_another_password(shell: Shell, switch: Switch) -> None:
    passwords = iter(["old", "new"])
    opening = shell.opening(
        switch.port, password=lambda: next(passwords), reconnect=quick(shell.esl), connect_first=True
    )
    switch.refuses(b"old")
    switch.lets_in(password=b"new")
    shell.client = opening.result(PATIENCE)
