"""LossWatch: what it says of recordings in which nothing was lost, and what it says when something was."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from loss_rates import ROWS, STREAMS, WITH_HEARTBEAT, Row, rate, stream, trials, watched
from sizes import FULL
from support import DATA, captured, notice
from watch_support import CORE, NOW, event, heartbeat, see, see_numbers, settled

import eslcodec
from eslcodec import DisconnectNotice, Event, Gap, IncompleteFrame, LogLine, ReaderTooSlow
from eslcodec.ingest import Loss, LossWatch

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "losses.md"
CAPTURES = sorted({path.name.partition(".")[0] for path in (DATA / "captures").glob("*.esl*")})
KILLED = {"slow_client_killed"}


def gets_all(name: str) -> bool:
    """Whether its client subscribed to all, and set no filter."""
    sent = (DATA / "captures" / f"{name}.tx.json").read_text(encoding="utf-8")
    return bool(re.search(r"\bevent (plain |json |xml )?all\b", sent, re.IGNORECASE)) and "filter " not in sent


def replayed(name: str, watch: LossWatch) -> tuple[list[Loss], float]:
    """What it says of a recording, and when that ended."""
    found: list[Loss] = []
    now = NOW - 10**8
    try:
        for message in captured(eslcodec, name):
            stamp = message._last("Event-Date-Timestamp") if isinstance(message, Event) else None
            now = max(now, int(stamp) / 1e6 + 0.01) if stamp else now
            found += watch.see(message, now)
    except IncompleteFrame as error:
        found += watch.ended(error, now)
    return found, now


@pytest.mark.parametrize("name", sorted({*CAPTURES} - KILLED))
def test_a_recording_without_a_loss_is_silent_but_for_its_end(name: str) -> None:
    watch = LossWatch(subscribed_all=gets_all(name))
    found, now = replayed(name, watch)
    assert found == []
    assert watch.tick(now + 1) == []
    assert [loss.grade for loss in watch.tick(now + 41)] == ["stalled"]


def test_a_recording_is_silent_too_when_its_end_is_judged() -> None:
    for name in filter(gets_all, sorted({*CAPTURES} - KILLED)):
        watch = LossWatch()
        _, now = replayed(name, watch)
        expected = watch._numbering._next
        if expected >= 0:
            more = (event(expected + at, core=watch._core or "", stamp=now) for at in range(1300))
            assert see(watch, more, now + 2) == [], name


def test_there_are_recordings_to_be_silent_about() -> None:
    assert {"calls_sip", "callcenter", "conference_xml", "registrations", "churn_json"} <= {*filter(gets_all, CAPTURES)}
    names = [name for name in CAPTURES if name not in KILLED]
    events = sum(isinstance(message, Event) for name in names for message in captured(eslcodec, name))
    assert events > 40_000


def test_what_a_filter_keeps_away_is_missing_for_one_who_says_that_there_is_none() -> None:
    watch = LossWatch()
    found, now = replayed("lowlevel", watch)
    found += watch.tick(now + 2)
    assert [(loss.grade, loss.count) for loss in found] == [("probable", 34)]


# How often losses are found


@pytest.mark.skipif(eslcodec.__impl__ == "python", reason="the same in both, and takes a minute")
@pytest.mark.parametrize("row", [row for at, row in enumerate(ROWS) if FULL or at % 3 == 2], ids=lambda row: row.what)
def test_the_guide_says_how_often_a_loss_is_found(row: Row) -> None:
    probable = "-" if row.preset else rate(row, "probable", STREAMS)
    line = f"| {row.what} | {probable} | {rate(row, 'counted', WITH_HEARTBEAT)} |"
    assert line in GUIDE.read_text(encoding="utf-8")


def test_the_guide_has_no_other_rows() -> None:
    rows = re.findall(r"^\| (.+?) \| .* % \|$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [row.what for row in ROWS]


def test_as_many_are_missing_as_were_left_out() -> None:
    row = next(row for row in ROWS if row.what == "500 in a row")
    for size, losses in trials(row, ("calls_sip",)):
        (probable,) = [loss for loss in losses if loss.grade == "probable"]
        assert size * 0.98 <= probable.count <= size * 1.05  # some beside it were never sent


def test_what_a_watch_reads_is_what_the_rates_are_made_with() -> None:
    assert watched(stream("calls_sip"), LossWatch()) == []
    whole = [event for event in captured(eslcodec, "calls_sip") if type(event) is Event]
    left = [one for at, one in enumerate(whole) if not 3000 <= at < 3100]
    thin = [one for at, one in enumerate(stream("calls_sip")) if not 3000 <= at < 3100]
    assert watched(left, LossWatch()) == watched(thin, LossWatch()) != []


@pytest.mark.parametrize("size", [1, 7, 500])
def test_messages_together_are_the_same_as_one_by_one(size: int) -> None:
    """Times too are those of the whole list, so that both look at the lag alike."""
    whole = [*captured(eslcodec, "calls_sip"), Gap.of(1.0, "closed"), event(9000, core="c-2")]
    left = [one for at, one in enumerate(whole) if not 3000 <= at < 3100 and at % 50]
    alone, together = LossWatch(), LossWatch()
    single: list[Loss] = []
    found: list[Loss] = []
    now = 0.0
    for at in range(0, len(left), size):
        some = left[at : at + size]
        stamps = [int(one.get("Event-Date-Timestamp") or 0) / 1e6 for one in some]
        now = max(now, *stamps, 0)
        single += [loss for one in some for loss in alone.see(one, now)]
        found += together.see_all(some, now)
    assert found == single
    assert {loss.grade for loss in found} >= {"probable"}
    assert together.lag.seconds == alone.lag.seconds
    assert together.see_all([], now + 1) == []


# certain


def log_line(text: str, file: str = "mod_event_socket.c") -> LogLine:
    data = text.encode()
    head = b"Content-Type: log/data\nContent-Length: %d\nLog-Level: 2\nLog-File: %b\n\n" % (len(data), file.encode())
    return LogLine(head, data)


PREFIX = "2026-11-23 13:46:16.611267 97.07% [CRIT] mod_event_socket.c:392 "


def test_the_notice_that_we_were_killed() -> None:
    watch = LossWatch()
    (loss,) = watch.see(
        DisconnectNotice(b"Content-Type: text/disconnect-notice\n\n", b"killed listener because of lost events\n"), NOW
    )
    assert loss == Loss("certain", 501, None, "the switch ended the connection: killed listener because of lost events")
    assert watch.ended("killed listener because of lost events", NOW) == []  # is told once
    assert watch.see(Gap.of(1.0, "killed listener because of lost events\n"), NOW) == []
    see_numbers(watch, [1])
    assert [one.grade for one in watch.ended("killed listener because of lost events", NOW)] == ["certain"]


@pytest.mark.parametrize("text", [b"Disconnected, goodbye.\n", b"The system is being shut down.\n"])
def test_other_notices_say_nothing_of_losses(text: bytes) -> None:
    watch = LossWatch()
    assert watch.see(DisconnectNotice(b"Content-Type: text/disconnect-notice\n\n", text), NOW) == []
    assert watch.ended(text.decode(), NOW) == []


def test_a_notice_inside_a_half_sent_event() -> None:
    found, _ = replayed("slow_client_killed", LossWatch())
    assert [(loss.grade, loss.count) for loss in found] == [("certain", 501)]


def test_a_notice_inside_an_event_that_never_ended() -> None:
    decoder = eslcodec.Decoder()
    decoder.feed(b"Content-Length: 5510\nContent-Type: text/event-plain\n\nEvent-Name: DTMF\nEvent-Dat")
    decoder.feed(notice(b"killed listener because of lost events\n"))
    assert list(decoder) == []
    with pytest.raises(IncompleteFrame) as caught:
        decoder.feed_eof()
    assert [loss.grade for loss in LossWatch().ended(caught.value, NOW)] == ["certain"]


def test_a_connection_killed_for_its_log_lines() -> None:
    (loss,) = LossWatch().ended("killed listener because of lost log lines\n", NOW)
    assert (loss.grade, loss.count) == ("certain", None)


def test_lines_of_the_log() -> None:
    watch = LossWatch()
    (loss,) = watch.see(log_line(PREFIX + "Lost [3] events! Event Queue size: [99997/100000]\n"), NOW)
    assert (loss.grade, loss.count, loss.at_most) == ("certain", 3, 3)
    assert loss.evidence.startswith("on this switch, by its log: 392 Lost [3] events!")


def test_lines_of_the_log_count_each_event_once() -> None:
    watch = LossWatch()
    error = log_line(
        PREFIX + "Event enqueue ERROR [1] | [queue full] | Queue size: [100000/100000] Max queue size reached\n"
    )
    found = [loss for _ in range(3) for loss in watch.see(error, NOW)]
    found += watch.see(log_line(PREFIX + "Lost [5] events! Event Queue size: [99997/100000]\n"), NOW)
    assert [loss.count for loss in found] == [1, 1, 1, 2]
    found = watch.see(error, NOW)
    assert watch.see(log_line(PREFIX + "Lost [1] events! Event Queue size: [99997/100000]\n"), NOW) == []
    text = PREFIX + "Killing listener because of too many lost events. Lost [501] Queue size[100000/100000]!\n"
    assert [loss.count for loss in watch.see(log_line(text), NOW)] == [501]


@pytest.mark.parametrize(
    "line",
    [
        log_line("Dialplan: caller [CRIT] says Lost [3] events! and more\n"),
        log_line(PREFIX + "Lost [3] events! Event Queue size: [1/2]\n", file="mod_dptools.c"),
        log_line(PREFIX + "Lost [3] log lines! Log Queue size: [1/2]\n"),
        log_line(PREFIX + "Lost [99999999999] events! Event Queue size: [1/2]\n"),
        log_line(""),
    ],
)
def test_lines_of_the_log_that_say_something_else(line: LogLine) -> None:
    assert LossWatch().see(line, NOW) == []


def test_our_own_drops() -> None:
    watch = LossWatch()
    assert watch.dropped(0, NOW) == []
    assert [(loss.grade, loss.count) for loss in watch.dropped(7, NOW)] == [("certain", 7)]
    assert watch.dropped(7, NOW) == []
    assert [loss.count for loss in watch.dropped(9, NOW)] == [2]
    assert [loss.count for loss in watch.dropped(1, NOW)] == [1]  # of a new client


def test_a_reader_that_was_too_slow() -> None:
    (loss,) = LossWatch().ended(ReaderTooSlow(61.2, 12_000, (25_000, 60.0)), NOW)
    assert (loss.grade, loss.count, loss.at_most) == ("certain", None, None)
    assert "about 12000 wait in the switch" in loss.evidence


# bounded


def test_a_reconnection_to_the_same_run_of_the_switch() -> None:
    watch = LossWatch()
    see_numbers(watch, [5, 6, 9])  # 7 and 8 may be late
    assert watch.see(Gap.of(2.5, "the switch closed the connection"), NOW) == []
    (loss,) = see_numbers(watch, [20])
    assert (loss.grade, loss.count, loss.at_most) == ("bounded", None, 12)
    assert settled(watch, 21) == []  # they are not told again


def test_a_reconnection_without_a_gap_is_seen_by_its_login() -> None:
    decoder = eslcodec.Decoder()
    decoder.feed(b"Content-Type: auth/request\n\n")
    (request,) = decoder
    watch = LossWatch(subscribed_all=False)
    assert watch.see(request, NOW) == []
    see_numbers(watch, [5, 9])
    assert watch.see(request, NOW) == []
    assert [loss.at_most for loss in see_numbers(watch, [12])] == [2]


def test_a_reconnection_in_which_nothing_was_missed() -> None:
    watch = LossWatch()
    see_numbers(watch, [5, 6])
    watch.see(Gap.of(2.5, "closed"), NOW)
    assert see_numbers(watch, [7, 8]) == []


def test_a_reconnection_to_another_run_has_no_bound() -> None:
    watch = LossWatch()
    see_numbers(watch, [500, 501])
    watch.see(Gap.of(2.5, "closed"), NOW)
    assert see(watch, [event(3, core="c-2"), event(4, core="c-2")]) == []
    assert settled_as(watch, "c-2", 5) == []


def settled_as(watch: LossWatch, core: str, first: int) -> list[Loss]:
    return see(watch, (event(number, core=core) for number in range(first, first + 2000)), NOW + 2)


@pytest.mark.parametrize("first", [3, 5000])
def test_another_run_of_the_switch_without_a_gap(first: int) -> None:
    """Lower numbers are looked at; higher ones when the first HEARTBEAT comes."""
    watch = LossWatch()
    see_numbers(watch, range(100, 1000))
    found = see(watch, [event(first, core="c-2"), heartbeat(first + 1, 0, core="c-2")])
    assert found + settled_as(watch, "c-2", first + 2) == []


# stalled


def test_stalled_after_two_intervals_and_once() -> None:
    watch = LossWatch()
    see(watch, [heartbeat(1, 0)], NOW)
    assert watch.tick(NOW + 40) == []
    (loss,) = watch.tick(NOW + 41)
    assert loss == Loss("stalled", None, None, "no HEARTBEAT for 41.0 s, expected one every 20 s")
    assert watch.tick(NOW + 100) == []
    see(watch, [heartbeat(2, 0, 101)], NOW + 101)
    assert [one.grade for one in watch.tick(NOW + 350)] == ["stalled"]


def test_stalled_from_the_beginning() -> None:
    watch = LossWatch()
    assert watch.tick(NOW) == []
    assert watch.tick(NOW + 39) == []
    assert [loss.grade for loss in watch.tick(NOW + 41)] == ["stalled"]


def test_the_interval_is_the_least_between_two() -> None:
    watch = LossWatch()
    for number, uptime in [(1, 0), (2, 10), (3, 15), (4, 25)]:  # one was lost before 10, and one before 25
        assert see(watch, [heartbeat(number, 0, uptime)], NOW + uptime) == []
    assert watch.tick(NOW + 35) == []
    assert [loss.grade for loss in watch.tick(NOW + 35.5)] == ["stalled"]


def test_other_events_are_no_heartbeat() -> None:
    watch = LossWatch()
    found = [loss for second in range(50) for loss in see(watch, [event(second + 1)], NOW + second)]
    found += watch.tick(NOW + 50)
    assert [loss.grade for loss in found] == ["stalled"]


def test_a_heartbeat_that_somebody_sent_is_none() -> None:
    watch = LossWatch()
    watch.tick(NOW)
    see(watch, [heartbeat(1, 10**6, Command="sendevent")], NOW + 15)
    see(watch, [heartbeat(2, 10, Command="sendevent")], NOW + 16)
    assert [loss.grade for loss in watch.tick(NOW + 41)] == ["stalled"]


def test_who_does_not_get_heartbeats_is_not_stalled() -> None:
    watch = LossWatch(heartbeat=None)
    watch.tick(NOW)
    assert watch.tick(NOW + 1000) == []


# What it is given


def test_events_without_a_number() -> None:
    watch = LossWatch()
    see_numbers(watch, [1])
    odd = [
        Event.build("DTMF", {"Core-UUID": CORE}),
        Event.build("DTMF", {"Core-UUID": CORE, "Event-Sequence": "x"}),
        Event.build("DTMF", {"Core-UUID": CORE, "Event-Sequence": "9" * 5000}),
        Event.from_payload(b"{", "json"),
        Event.from_payload(b"", "plain"),
    ]
    assert see(watch, odd) == []
    assert settled(watch, 2) == []


def test_only_the_switch_s_own_number_counts() -> None:
    """A copy that somebody sent has the original's headers first, and the switch's own last."""
    watch = LossWatch()
    see_numbers(watch, [1])
    head = b"Event-Name: CUSTOM\nCore-UUID: other\nEvent-Sequence: 900000\n"
    own = b"Event-Name: CUSTOM\nCore-UUID: c-1\nEvent-Sequence: 2\n\n"
    assert see(watch, [Event.from_payload(head + own, "plain")]) == []
    assert settled(watch, 3) == []


def test_an_event_cannot_counterfeit_a_gap() -> None:
    watch = LossWatch()
    fake = event(
        7,
        "CUSTOM",
        Event_Subclass="eslcodec::gap",
        Gap_Seconds="1",
        Gap_Reason="killed listener because of lost events",
    )
    see_numbers(watch, [6])
    assert see(watch, [fake]) == []
    assert see_numbers(watch, [8]) == []


def test_the_lists_are_the_callers() -> None:
    watch = LossWatch()
    see_numbers(watch, [1])
    watch.see(event(2), NOW).append(Loss("certain", 1, 1, "mine"))
    assert watch.see(event(3), NOW) == []
