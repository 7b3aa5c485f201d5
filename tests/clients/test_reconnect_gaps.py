"""What a client that comes back knows of the gap, the same for both shells."""

from __future__ import annotations

import time

from reconnect_support import quick
from reconnect_support import shell as shell
from reconnect_support import switch as switch
from shells import ENABLED, PATIENCE, REFUSED, Shell, Switch, event, until
from support import ACCEPTED, AUTH, FAREWELL, api_response, notice


def test_seconds_of_gaps_do_not_overlap(shell: Shell, switch: Switch) -> None:
    """Whatever fails in between: together they are no longer than the outage."""
    peer = shell.connects(switch, reconnect=quick(shell.esl))
    begun = time.monotonic()  # nobody reads from here on
    shell.subscribes(peer)
    peer.close()
    shell.reads()
    for _ in range(2):
        switch.lets_in().answers(b"event DTMF", REFUSED)
    switch.accept().close()
    last = switch.lets_in()
    last.answers(b"event DTMF", ENABLED, event(1))
    last.sends(notice(b"gone for good\n"))
    switch.lets_in().answers(b"event DTMF", ENABLED, event(2))
    until(lambda: shell.seen and shell.seen[-1].sequence == 2)
    outage = time.monotonic() - begun
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


def test_connected_says_whether_there_is_a_connection_now(shell: Shell, switch: Switch) -> None:
    peer = shell.connects(switch, reconnect=quick(shell.esl))
    shell.subscribes(peer)
    assert shell.client.connected
    peer.close()
    reader = shell.begin("next_event")
    peer = switch.accept()
    assert (shell.client.connected, shell.client.closed) == (False, False)
    peer.sends(AUTH)
    peer.answers(b"auth ClueCon", ACCEPTED)
    peer.answers(b"event DTMF", ENABLED)
    assert reader.result(PATIENCE).kind == "gap"
    assert shell.client.connected
    shell.do("close")
    assert (shell.client.connected, shell.client.closed) == (False, True)


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
    until(lambda: shell.kind == "aio" or shell.client._link._reading)
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
