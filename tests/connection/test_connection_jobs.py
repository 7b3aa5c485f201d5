"""Background jobs of a connection without I/O, and the events and filters that only it needs."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from connection_support import ENABLED, HEARTBEAT, LOG, Peer, job, raised
from connection_support import inbound as inbound
from connection_support import way as way
from support import OK, reply


def test_the_first_job_subscribes_to_its_result_without_naming_a_format(inbound: Any) -> None:
    inbound.bgapi("status", job_uuid="j1")
    inbound.bgapi("originate", "user/1 &park", job_uuid="j2")
    assert inbound.sent == (
        b"event BACKGROUND_JOB\n\nbgapi status\nJob-UUID: j1\n\nbgapi originate user/1 &park\nJob-UUID: j2\n\n"
    )


def start_jobs(peer: Peer, *uuids: str) -> list[Any]:
    results = []
    for number, uuid in enumerate(uuids):
        accepted, result = peer.bgapi("status", job_uuid=uuid)
        if number == 0 and b"event BACKGROUND_JOB\n\n" in peer.sent:
            peer.comes(ENABLED)
        peer.comes(reply(b"+OK Job-UUID: " + uuid.encode(), b"Job-UUID: %b\n" % uuid.encode()))
        assert accepted.result().job_uuid == uuid
        results.append(result)
    return results


def test_results_find_their_jobs_in_any_order_and_stay_out_of_the_queue(esl: ModuleType, inbound: Any) -> None:
    first, second = start_jobs(inbound, "j1", "j2")
    inbound.comes(job("j2", b"two"), HEARTBEAT, job("j1", b"-ERR one"))
    assert (first.result().text, first.result().ok) == ("-ERR one", False)
    assert (second.result().text, second.result().ok) == ("two", True)
    with pytest.raises(esl.CommandError, match="-ERR one"):
        first.result().check()
    assert inbound.names == ["HEARTBEAT"]


def test_a_job_uuid_is_made_up_for_each_job(inbound: Any) -> None:
    inbound.bgapi("status")
    inbound.bgapi("status")
    uuids = [line for line in inbound.sent.split(b"\n") if line.startswith(b"Job-UUID: ")]
    assert len(set(uuids)) == 2


def test_jobs_of_others_stay_out_of_the_queue_too(inbound: Any) -> None:
    start_jobs(inbound, "j1")
    inbound.comes(job("somebody else's"))
    assert inbound.names == []


def test_jobs_reach_a_user_who_subscribed_to_them(inbound: Any) -> None:
    inbound.subscribe("SWITCH_EVENT_background_job")
    inbound.comes(ENABLED)
    assert inbound.sent == b"event SWITCH_EVENT_background_job\n\n"
    (result,) = start_jobs(inbound, "j1")
    inbound.comes(job("j1"), job("j9"))
    assert result.done
    assert inbound.names == ["BACKGROUND_JOB", "BACKGROUND_JOB"]


def test_a_job_that_is_refused_has_no_result(inbound: Any) -> None:
    accepted, result = inbound.bgapi("status")
    inbound.comes(ENABLED, reply(b"-ERR permission denied"))
    assert raised(accepted) == raised(result) == ("CommandError", "-ERR permission denied")


def test_a_job_whose_result_may_not_be_received_says_so(inbound: Any) -> None:
    accepted, result = inbound.bgapi("status", job_uuid="j1")
    inbound.comes(reply(b"-ERR permission denied"), reply(b"+OK Job-UUID: j1", b"Job-UUID: j1\n"))
    assert accepted.result().job_uuid == "j1"
    assert raised(result) == ("CommandError", "-ERR permission denied")


def test_jobs_that_come_though_they_were_refused_are_the_users(inbound: Any) -> None:
    """Alone or beside other messages: found by fuzzing, for the two ways of taking messages in differed."""
    inbound.filter("Unique-ID", "u-1")
    inbound.comes(reply(b"+OK filter added. [Unique-ID]=[u-1]"))
    inbound.bgapi("status", job_uuid="j1")
    inbound.comes(OK, reply(b"-ERR permission denied"), reply(b"+OK Job-UUID: j1", b"Job-UUID: j1\n"))
    assert inbound.sent.endswith(b"filter delete Event-Name BACKGROUND_JOB\n\n")
    inbound.comes(job("j1"))
    inbound.comes(job("j1"), LOG)
    inbound.comes(reply(b"+OK filter deleted. [Event-Name][BACKGROUND_JOB]"))
    assert inbound.names == ["BACKGROUND_JOB", "BACKGROUND_JOB", "LogLine"]


def test_a_job_may_have_the_uuid_of_one_whose_result_may_not_be_received(inbound: Any) -> None:
    """The refusal of the first then is not the second's, whose wait would never end: found by fuzzing."""
    first, _ = inbound.bgapi("status", job_uuid="j1")
    inbound.comes(reply(b"-ERR permission denied"))
    second, result = inbound.bgapi("version", job_uuid="j1")
    inbound.comes(reply(b"-ERR no"), ENABLED, reply(b"+OK Job-UUID: j1", b"Job-UUID: j1\n"), job("j1"))
    assert raised(first) == ("CommandError", "-ERR no")
    assert second.result().job_uuid == "j1"
    assert result.result().ok


def test_two_jobs_cannot_have_one_uuid(esl: ModuleType, inbound: Any) -> None:
    start_jobs(inbound, "j1")
    with pytest.raises(esl.InvalidCommand, match="'j1' is in use"):
        inbound.bgapi("status", job_uuid="j1")
    assert inbound.sent == b""


def test_unsubscribing_from_jobs_leaves_the_results_of_our_own(inbound: Any) -> None:
    inbound.subscribe("BACKGROUND_JOB", "DTMF")
    inbound.comes(ENABLED)
    (result,) = start_jobs(inbound, "j1")
    assert inbound.sent == b""
    wait = inbound.unsubscribe("BACKGROUND_JOB", "DTMF")
    assert inbound.sent == b"nixevent DTMF\n\n"
    inbound.comes(reply(b"+OK events nixed"), job("j1"))
    assert wait.result().ok
    assert result.done
    assert inbound.names == []
    inbound.unsubscribe("BACKGROUND_JOB")
    assert inbound.sent == b"filter delete Eslcodec-Probe\n\n"  # a command without effect: something must answer


@pytest.mark.parametrize(
    ("method", "names", "sent"), [("noevents", (), b"noevents"), ("unsubscribe", ("all",), b"nixevent all")]
)
def test_jobs_are_subscribed_to_again_after_everything_was_taken_away(
    inbound: Any, method: str, names: Any, sent: bytes
) -> None:
    (result,) = start_jobs(inbound, "j1")
    getattr(inbound, method)(*names)
    assert inbound.sent == sent + b"\n\nevent BACKGROUND_JOB\n\n"
    inbound.comes(OK, ENABLED, job("j1"), job("j2"))
    assert result.done
    assert inbound.names == []


def test_filters_let_the_results_of_jobs_pass_and_nothing_more(inbound: Any) -> None:
    inbound.subscribe("ALL")
    inbound.comes(ENABLED)
    (result,) = start_jobs(inbound, "j1")
    inbound.filter("Unique-ID", "u-1")
    assert inbound.sent == b"event ALL\n\nfilter add Event-Name BACKGROUND_JOB\n\nfilter add Unique-ID u-1\n\n"[11:]
    inbound.comes(OK, OK, job("j1"), job("j2"))
    assert result.done
    assert inbound.names == []  # subscribed to by ALL, but the user's filter does not let them pass
    inbound.filter("Job-UUID", "/^j[3-5]$/")
    inbound.filter("Job-UUID", "-j4")
    inbound.comes(OK, OK, job("j3"), job("j4"), job("J6"))
    assert [message["Job-UUID"] for message in inbound.queue] == ["j3"]


def test_a_filter_of_ours_goes_with_the_last_filter_of_the_user(inbound: Any) -> None:
    inbound.filter("A", "1")
    inbound.comes(OK)
    assert inbound.sent == b"filter add A 1\n\n"
    inbound.bgapi("status", job_uuid="j1")
    assert inbound.sent == (
        b"filter add Event-Name BACKGROUND_JOB\n\nevent BACKGROUND_JOB\n\nbgapi status\nJob-UUID: j1\n\n"
    )
    inbound.filter_delete("A")
    assert inbound.sent == b"filter delete A\n\nfilter delete Event-Name BACKGROUND_JOB\n\n"


@pytest.mark.parametrize("header", ["all", "Event-Name"])
def test_a_filter_of_ours_that_was_deleted_with_others_comes_again_if_it_is_needed(inbound: Any, header: str) -> None:
    inbound.filter("A", "1")
    inbound.filter("Event-Name", "DTMF")
    inbound.bgapi("status", job_uuid="j1")
    inbound.data_to_send()
    inbound.filter_delete(header)
    again = b"filter add Event-Name BACKGROUND_JOB\n\n" if header == "Event-Name" else b""
    assert inbound.sent == b"filter delete %b\n\n" % header.encode() + again
