"""One policy, two shells: how a client comes back, the same for the blocking one and that of asyncio.

`Shell` (shells.py) hides which of the two it is. Below are the unit tests of `eslcodec.reconnect`, which has neither
I/O nor clock.
"""

from __future__ import annotations

import concurrent.futures
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from shells import ENABLED, INVALID, PATIENCE, REFUSED, Peer, Shell, Switch, event, until
from support import ACCEPTED, AUTH, FAREWELL, OK, REJECTED, api_response, notice, part


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


def quick(esl: ModuleType, **options: Any) -> Any:
    return esl.Backoff(**{"first": 0.01, "jitter": 0, "longest": 0.05, **options})


# The gap


def test_seconds_of_gaps_do_not_overlap(shell: Shell, switch: Switch) -> None:
    """Whatever fails in between: together they are no longer than the outage."""
    peer = shell.connects(switch, reconnect=quick(shell.esl))
    shell.subscribes(peer)
    begun = time.monotonic()
    peer.close()
    shell.reads()
    for _ in range(2):
        switch.lets_in().answers(b"event DTMF", REFUSED)
    switch.accept().close()
    last = switch.lets_in()
    last.answers(b"event DTMF", ENABLED, event(1))
    last.sends(notice(b"gone for good\n"))
    switch.lets_in().answers(b"event DTMF", ENABLED, event(2))
    outage = time.monotonic() - begun
    until(lambda: shell.seen and shell.seen[-1].sequence == 2)
    assert [one.sequence for one in shell.seen if one.subclass is None] == [1, 2]
    gaps = [one for one in shell.seen if one.subclass]
    assert gaps
    assert sum(gap.seconds for gap in gaps) <= outage + 0.01  # they are rounded


def test_what_a_gap_knows_of_both_sides(shell: Shell, switch: Switch) -> None:
    peer = shell.connects(switch, reconnect=quick(shell.esl))
    shell.subscribes(peer)
    peer.sends(event(6), event(7))
    assert [shell.event().sequence for _ in range(2)] == [6, 7]
    peer.close()
    reader = shell.begin("next_event")
    peer = switch.lets_in()
    peer.answers(b"event DTMF", ENABLED)
    gap = reader.result(PATIENCE)
    assert (gap.last_sequence, gap.last_timestamp.timestamp()) == (7, 7)
    assert (gap.same_core, gap.at_most) == (None, None)
    before = hash(gap)
    peer.sends(event(12))
    assert shell.event().sequence == 12
    assert (gap.same_core, gap.at_most) == (True, 4)
    assert hash(gap) == before
    peer.close()
    reader = shell.begin("next_event")
    peer = switch.lets_in()
    peer.answers(b"event DTMF", ENABLED, event(1, core=b"c-2"))
    gap = reader.result(PATIENCE)
    assert shell.event().sequence == 1
    assert (gap.last_sequence, gap.same_core, gap.at_most) == (12, False, None)


def test_a_gap_remembers_the_last_event_over_a_connection_without_one(shell: Shell, switch: Switch) -> None:
    peer = shell.connects(switch, reconnect=quick(shell.esl))
    peer.sends(event(3), notice(FAREWELL))
    peer.close()
    shell.reads()
    switch.lets_in().close()
    switch.lets_in(event(9))
    until(lambda: shell.seen and shell.seen[-1].sequence == 9)
    gaps = [one for one in shell.seen if one.subclass]
    assert {gap.last_sequence for gap in gaps} == {3}
    assert (gaps[-1].same_core, gaps[-1].at_most) == (True, 5)


def test_a_gap_counts_from_when_the_socket_had_been_read_empty(shell: Shell, switch: Switch) -> None:
    """The switch killed a reader that stood still: what waited in the socket says nothing of what was lost since."""
    peer = shell.connects(switch, reconnect=quick(shell.esl), queue_limit=1)
    shell.subscribes(peer)
    if shell.kind == "aio":  # a full queue is what keeps this one from reading
        peer.sends(event(0))
        until(lambda: shell.client._link.paused)
    begun = time.monotonic()
    peer.sends(*map(event, range(1, 30)))
    peer.close()
    until(lambda: time.monotonic() > begun + 0.6)  # it reads nothing
    shell.reads()
    switch.lets_in().answers(b"event DTMF", ENABLED)
    until(lambda: shell.seen and shell.seen[-1].subclass)
    assert [one.sequence for one in shell.seen[-2:]] == [29, None]
    assert shell.seen[-1].seconds >= 0.5


def test_a_gap_of_a_reader_that_kept_up_counts_from_the_end(shell: Shell, switch: Switch) -> None:
    peer = shell.connects(switch, reconnect=quick(shell.esl))
    shell.subscribes(peer)
    reader = shell.begin("next_event")
    begun = time.monotonic()
    until(lambda: time.monotonic() > begun + 0.6)
    begun = time.monotonic()
    peer.close()
    switch.lets_in().answers(b"event DTMF", ENABLED)
    gap = reader.result(PATIENCE)
    assert gap.seconds <= time.monotonic() - begun + 0.01


def test_whoever_reads_a_gap_may_send_commands_at_once(shell: Shell, switch: Switch) -> None:
    peer = shell.connects(switch, reconnect=quick(shell.esl))
    shell.subscribes(peer)
    for number in range(20):
        peer.close()
        reader = shell.begin("next_event")
        peer = switch.lets_in()
        assert peer.command() == b"event DTMF"
        peer.sends(event(number))  # comes before the reply, as it may
        assert not reader.done()
        peer.sends(ENABLED)
        assert reader.result(PATIENCE).subclass == "eslcodec::gap"
        asked = shell.begin("api", "status")
        peer.answers(b"api status", api_response(b"UP\n"))
        assert asked.result(PATIENCE).text == "UP\n"
        assert shell.event().sequence == number


def test_what_came_on_a_connection_that_ended_too_soon_stands_behind_its_own_gap(shell: Shell, switch: Switch) -> None:
    peer = shell.connects(switch, reconnect=quick(shell.esl))
    shell.subscribes(peer)
    peer.close()
    shell.reads()
    peer = switch.lets_in()
    peer.command()
    peer.sends(event(1))
    peer.close()
    switch.lets_in().answers(b"event DTMF", ENABLED, event(5))
    until(lambda: shell.seen and shell.seen[-1].sequence == 5)
    assert [one.sequence for one in shell.seen] == [None, 1, None, 5]
    assert [(gap.last_sequence, gap.at_most) for gap in shell.seen[::2]] == [(None, None), (1, 3)]


# Keepalive


def test_a_command_that_was_given_up_does_not_switch_keepalive_off(shell: Shell, switch: Switch) -> None:
    peer = shell.connects(switch, keepalive=0.5)
    with pytest.raises(shell.esl.CommandTimeout):
        shell.do("api", "status", timeout=0.01)
    assert peer.command() == b"api status"
    reader = shell.begin("next_event")
    assert peer.command() == b"filter delete Eslcodec-Probe"
    peer.sends(api_response(b"UP\n"), OK)  # late, and in order
    assert peer.command() == b"filter delete Eslcodec-Probe"
    with pytest.raises(shell.esl.ConnectionClosed, match=r"^nothing was received for 1 s"):
        reader.result(PATIENCE)


def test_a_command_that_somebody_waits_for_holds_keepalive_back(shell: Shell, switch: Switch) -> None:
    peer = shell.connects(switch, keepalive=0.1)
    begun = time.monotonic()
    asked = shell.begin("api", "slow")
    while (command := peer.command()) == b"filter delete Eslcodec-Probe":
        peer.sends(OK)  # a slow machine is silent before
    assert command == b"api slow"
    until(lambda: time.monotonic() > begun + 0.5)
    peer.sends(api_response(b"done"))
    assert asked.result(PATIENCE).text == "done"
    assert peer.read == b""


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
    """The switch closes; who reads in the background knows."""
    peer.close()
    until(lambda: shell.kind == "sync" or "connecting again" in repr(shell.client))


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
    asked = shell.begin("api", "status", timeout=0.5)
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
    peer = shell.connects(switch, reconnect=quick(shell.esl), connect_timeout=1)
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
    file.unlink()
    file.write_text("second\n")
    peer = switch.accept()
    peer.sends(AUTH)
    while peer.command() == b"auth first":  # read before the file was new
        peer.sends(INVALID)
        peer = switch.accept()
        peer.sends(AUTH)
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


# The policy itself


def ending(esl: ModuleType, reason: str = "gone", *, error: str = "ConnectionClosed", **options: bool) -> Any:
    made = getattr(esl, error)
    return part(esl, "reconnect").End(
        reason, options.get("asked", False), options.get("clean", False), lambda: made(reason)
    )


def books_of(esl: ModuleType, **options: Any) -> Any:
    return part(esl, "reconnect").Reconnection(esl.Backoff(**{"first": 1, "jitter": 0, **options}))


def test_pauses_grow_until_a_connection_lasts(esl: ModuleType) -> None:
    books = books_of(esl)
    dues = []
    for lasted in (0, 0.5, 2, 4.5, 100):
        books.lost(ending(esl), lasted=lasted, since=0, now=0)
        dues.append(books.due)
        books.dialling()
        books.usable()
    assert dues == [1, 2, 4, 1, 1]


def test_nothing_is_planned_twice(esl: ModuleType) -> None:
    books = books_of(esl)
    books.lost(ending(esl), lasted=9, since=9, now=10)
    books.plan(50)
    assert books.due == 11
    books.dialling()
    assert books.due is None
    books.plan(50)  # the attempt was never heard of again
    assert books.due == 52


@pytest.mark.parametrize("options", [{"asked": True, "clean": True}, {"error": "AuthError"}, {"error": "AccessDenied"}])
def test_what_is_final(esl: ModuleType, options: Any) -> None:
    end = ending(esl, **options)
    books = books_of(esl)
    assert not books.returns_from(end)
    books.lost(end, lasted=9, since=9, now=10)
    assert (books.over, books.away, books.due) == (end, None, None)
    books = books_of(esl)
    books.lost(ending(esl), lasted=9, since=9, now=10)
    books.dialling()
    books.failed(end.error(), end, now=12)
    assert (books.over, books.due) == (end, None)


@pytest.mark.parametrize("clean", [True, False])
def test_what_a_reader_is_told(esl: ModuleType, clean: bool) -> None:
    reconnect = part(esl, "reconnect")
    end = ending(esl, clean=clean)
    alone = reconnect.Reconnection(None)
    alone.lost(end, lasted=9, since=9, now=10)
    assert (alone.told(end) is None) == clean
    books = books_of(esl, attempts=1)
    books.lost(end, lasted=9, since=9, now=10)
    books.dialling()
    failure = OSError("no route")
    books.failed(failure, None, now=11)
    told = books.told(end)
    assert (type(told), str(told), told.__cause__) == (esl.ConnectionClosed, "gone", failure)
    books.close()
    assert books.told(end) is None


def test_from_when_on_a_gap_counts(esl: ModuleType) -> None:
    books = books_of(esl)
    books.lost(ending(esl), lasted=9, since=93, now=100)
    books.dialling()
    books.failed(OSError(), None, now=101)
    gap = books.gap(110)
    assert (gap.seconds, gap.reason) == (17, "gone")
    books.dialling()
    books.failed(esl.ConnectionClosed("again"), ending(esl, "again"), now=112, since=111)  # that gap was told
    gap = books.gap(115)
    assert (gap.seconds, gap.reason) == (4, "again")


def test_no_attempts_at_all(esl: ModuleType) -> None:
    books = books_of(esl, attempts=0)
    books.lost(ending(esl, clean=True), lasted=9, since=93, now=100)
    assert not books.over.clean
    assert books.due is None


def test_a_refused_login_is_tried_again_slowly_if_the_password_is_read_again(esl: ModuleType) -> None:
    reconnect = part(esl, "reconnect")
    refused = ending(esl, "-ERR invalid", error="AuthError")
    books = reconnect.Reconnection(esl.Backoff(first=1, longest=50, attempts=3, jitter=0), renews=True)
    books.lost(ending(esl), lasted=9, since=9, now=10)
    dues = [books.due]
    for now in (100, 200, 300):
        books.dialling()
        books.failed(refused.error(), refused, now=now)
        dues.append(books.due)
    assert dues == [11, 150, 250, None]
    assert books.over is refused


def test_refusals_of_what_was_subscribed_to_count_in_a_row(esl: ModuleType) -> None:
    refused = part(esl, "reconnect").End("refused", False, False, lambda: esl.ConnectionClosed("refused"), True)
    books = books_of(esl)
    for refusals in (2, 2, 3):
        books.lost(ending(esl), lasted=9, since=9, now=10)
        for _ in range(refusals):
            books.dialling()
            books.failed(refused.error(), refused, now=20)
        if refusals == 2:
            assert books.over is None
            books.usable()
    assert books.over is refused


def test_exhaustion_tells_what_the_switch_said_last(esl: ModuleType) -> None:
    refused = part(esl, "reconnect").End("refused", False, False, lambda: esl.ConnectionClosed("refused"), True)
    books = books_of(esl, attempts=1)
    books.lost(ending(esl, clean=True), lasted=9, since=9, now=10)
    books.dialling()
    books.failed(refused.error(), refused, now=20)
    assert books.over is refused
