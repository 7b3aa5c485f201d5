"""Commands, and keepalive, while a client is away and comes back, the same for both shells."""

from __future__ import annotations

import concurrent.futures
import time
from contextlib import suppress

import pytest
from reconnect_support import quick
from reconnect_support import shell as shell
from reconnect_support import switch as switch
from shells import PATIENCE, Peer, Shell, Switch, until
from support import OK, api_response
from sync_support import with_time

# Keepalive


def test_a_command_that_was_given_up_does_not_switch_keepalive_off(shell: Shell, switch: Switch) -> None:

    def given_up(keepalive: float) -> None:
        if shell.client is not None:  # from before
            shell.do("close")
        peer = shell.connects(switch, keepalive=keepalive)
        with pytest.raises(shell.esl.CommandTimeout):
            shell.do("api", "status", timeout=0.01)
        assert peer.command() == b"api status"
        reader = shell.begin("next_event")
        assert peer.command() == b"filter delete Eslcodec-Probe"
        peer.sends(api_response(b"UP\n"), OK)  # late, and in order
        assert peer.command() == b"filter delete Eslcodec-Probe"
        with pytest.raises(shell.esl.ConnectionClosed, match=rf"^nothing was received for {2 * keepalive:g} s"):
            reader.result(PATIENCE)

    with_time(given_up, 0.5, 3)


def test_a_command_that_somebody_waits_for_holds_keepalive_back(shell: Shell, switch: Switch) -> None:

    def held_back(keepalive: float) -> None:
        if shell.client is not None:  # from before
            shell.do("close")
        peer = shell.connects(switch, keepalive=keepalive)
        asked = shell.begin("api", "slow")
        while (command := peer.command()) == b"filter delete Eslcodec-Probe":
            peer.sends(OK)  # a slow machine is silent before
        assert command == b"api slow"
        begun = time.monotonic()
        until(lambda: time.monotonic() > begun + 5 * keepalive)
        peer.sends(api_response(b"done"))
        assert asked.result(PATIENCE).text == "done"
        assert peer.read == b""

    with_time(held_back, 0.1, 3)


# Commands


def test_whether_a_command_may_have_been_done(shell: Shell, switch: Switch) -> None:
    peer = shell.connects(switch)
    asked = shell.begin("api", "status")
    assert peer.command() == b"api status"
    peer.close()
    with pytest.raises(shell.esl.ConnectionClosed, match=r"^the switch closed the connection$") as caught:
        asked.result(PATIENCE)
    assert caught.value.maybe_done
    with pytest.raises(shell.esl.ConnectionClosed) as caught:
        shell.do("api", "status")
    assert not caught.value.maybe_done


def test_a_command_behind_what_the_switch_does_not_read_was_not_done(shell: Shell, switch: Switch) -> None:
    peer = shell.connects(switch)
    body = b"x" * (3 << 18)  # more than the two sockets take
    first = shell.begin("send", b"sendevent DTMF\nContent-Length: %d\n\n%b" % (len(body), body))
    assert peer.sock.recv(10) == b"sendevent "
    second = shell.begin("api", "status")
    until(lambda: shell.kind == "aio" or shell.client.connection.asked == 2)
    shell.begin("close").result(PATIENCE)
    found = []
    for waiting in (first, second):
        with pytest.raises(shell.esl.ConnectionClosed) as caught:
            waiting.result(PATIENCE)
        found.append(caught.value.maybe_done)
    assert found == [True, False]


def gone(shell: Shell, peer: Peer) -> None:
    """The switch closes; who reads in the background knows, and who does not could see it."""
    link = shell.client._link
    peer.close()
    until(lambda: link._head() == b"" if shell.kind == "sync" else "connecting again" in repr(shell.client))


def test_a_program_that_only_sends_commands_comes_back(shell: Shell, switch: Switch) -> None:
    peer = shell.connects(switch, reconnect=quick(shell.esl))
    for number in range(5):
        gone(shell, peer)
        asked = shell.begin("api", "status", str(number))
        switch.accept().close()  # an attempt may fail: the next is due in time too
        peer = switch.lets_in()
        peer.answers(b"api status %d" % number, api_response(b"UP\n"))
        assert asked.result(PATIENCE).text == "UP\n"


def test_several_commands_wait_for_one_attempt(shell: Shell, switch: Switch) -> None:
    peer = shell.connects(switch, reconnect=quick(shell.esl))
    gone(shell, peer)
    asked = [shell.begin("pipeline", [f"api {number}"]) for number in range(4)]
    peer = switch.lets_in()
    commands = set()
    for _ in asked:
        commands.add(peer.command())
        peer.sends(api_response(b"UP\n"))
    assert commands == {b"api 0", b"api 1", b"api 2", b"api 3"}
    assert {one.result(PATIENCE)[0].text for one in asked} == {"UP\n"}


def test_a_command_does_not_wait_for_an_attempt_beyond_its_timeout(shell: Shell, switch: Switch) -> None:
    peer = shell.connects(switch, reconnect=quick(shell.esl, first=300, longest=300))
    gone(shell, peer)
    for timeout in (None, 0.01, 5):
        with pytest.raises(shell.esl.ConnectionClosed, match=r"^the switch closed the connection$") as caught:
            shell.do("api", "status", timeout=timeout)
        assert not caught.value.maybe_done
    assert not shell.closed


def test_a_command_waits_no_longer_for_a_login_than_its_timeout(shell: Shell, switch: Switch) -> None:
    peer = shell.connects(switch, reconnect=quick(shell.esl), connect_timeout=300)
    gone(shell, peer)
    asked = shell.begin("api", "status", timeout=2.5)
    hanging = switch.accept()
    with pytest.raises(shell.esl.ConnectionClosed) as caught:
        asked.result(PATIENCE)
    assert not caught.value.maybe_done
    hanging.close()
    asked = shell.begin("api", "status")
    switch.lets_in().answers(b"api status", api_response(b"UP\n"))
    assert asked.result(PATIENCE).text == "UP\n"


def test_a_command_that_was_sent_is_not_sent_again(shell: Shell, switch: Switch) -> None:
    peer = shell.connects(switch, reconnect=quick(shell.esl))
    asked = shell.begin("api", "originate")
    assert peer.command() == b"api originate"
    peer.close()
    with pytest.raises(shell.esl.ConnectionClosed) as caught:
        asked.result(PATIENCE)
    assert caught.value.maybe_done
    until(lambda: shell.kind == "sync" or "connecting again" in repr(shell.client))
    asked = shell.begin("api", "status")
    switch.lets_in().answers(b"api status", api_response(b"UP\n"))
    asked.result(PATIENCE)


def test_a_pipeline_of_which_a_part_was_answered_may_be_done(shell: Shell, switch: Switch) -> None:
    peer = shell.connects(switch, reconnect=quick(shell.esl))
    asked = shell.begin("pipeline", ["api one", "api two"])
    peer.answers(b"api one", api_response(b"1"))
    peer.command()
    peer.close()
    with pytest.raises(shell.esl.ConnectionClosed) as caught:
        asked.result(PATIENCE)
    assert caught.value.maybe_done


def test_a_timeout_of_a_pipeline_is_for_all_of_it(shell: Shell, switch: Switch) -> None:
    peer = shell.connects(switch)
    asked = shell.begin("pipeline", ["api 0"] * 40, timeout=0.5)
    begun = time.monotonic()
    with suppress(OSError):
        while not asked.done() and time.monotonic() < begun + PATIENCE:
            with suppress(concurrent.futures.TimeoutError):  # the built-in one since Python 3.11
                asked.exception(0.1)
            peer.sends(api_response(b"1"))
    with pytest.raises(shell.esl.CommandTimeout, match=r"waited 0\.5 s"):
        asked.result(PATIENCE)
