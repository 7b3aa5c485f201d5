"""`originate` and `bridge` of the emulator: legs, their events in order, causes and variables, as captured."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from eslcodec._ctext import to_text
from eslcodec.emulator import Endpoint, Session
from eslcodec.emulator._api import default_answers
from eslcodec.emulator._events import SwitchEvent
from eslcodec.emulator._switch import Switch

HEADERS: dict[str, str] = json.loads((Path(__file__).parents[1] / "data" / "channel_headers.json").read_text())
"""Names of headers, without variables and those of every event, in the order of a capture."""
CORE = 13
RINGING = "OUTGOING STATE CREATE ORIGINATE STATE STATE PROGRESS CALLSTATE".split()  # noqa: SIM905
ENDED = "HANGUP STATE CALLSTATE STATE HANGUP_COMPLETE DESTROY STATE".split()  # noqa: SIM905


class Watched(Switch):
    """A switch that remembers what it fires; time passes when a test says so."""

    peer, inbound, static, lingers, hears_keys = None, True, False, False, False

    def __init__(self) -> None:
        self.due: list[tuple[float, Callable[[], None]]] = []
        super().__init__(answers=default_answers, later=self.schedule, clock=lambda: 1_800_000_000.0)
        self.fired: list[SwitchEvent] = []
        self.core.connect(self)

    def schedule(self, seconds: float, call: Callable[[], None]) -> None:
        self.due.append((seconds, call))

    def pass_time(self) -> None:
        """All that is due happens, in order."""
        while self.due:
            self.due.sort(key=lambda item: item[0])
            self.due.pop(0)[1]()

    def offer(self, event: SwitchEvent) -> None:
        self.fired.append(event)

    def offer_log(self, level: int, line: bytes) -> None:
        """Nobody reads the log."""

    def channel_gone(self) -> None:
        """Nobody is bound to a channel."""

    def dismiss(self, text: bytes = b"") -> None:
        """Nobody is connected."""

    def ask(self, command: str) -> str | None:
        outputs: list[bytes] = []
        word, _, args = command.partition(" ")
        self.run_api(word, args, False, outputs.append)
        return to_text(outputs[0]) if outputs else None

    def names(self, uuid: str | None = None) -> list[str]:
        fired = [one for one in self.fired if uuid in (None, one.headers.get("Unique-ID"))]
        return [one.name.removeprefix("CHANNEL_") for one in fired]

    def caller(self, **variables: str) -> Session:
        known = {"presence_id": "1000@h", **variables}
        session = self.channels.add(Session("caller", known, name="sofia/internal/1000@h", answered=False))
        session.profile = {
            "Caller-Username": "1000",
            "Caller-Caller-ID-Name": "Anna",
            "Caller-Caller-ID-Number": "1000",
            "Caller-Network-Addr": "10.0.0.1",
        }
        return session


@pytest.fixture
def switch() -> Iterable[Watched]:
    watched = Watched()
    yield watched
    assert watched.core.errors == []


def uuid_of(answer: str | None) -> str:
    assert answer is not None
    assert answer.startswith("+OK ")
    return answer.removeprefix("+OK ").rstrip("\n")


def same_headers(fired: Iterable[SwitchEvent], who: str) -> list[str]:
    """The events whose headers are named as in the capture; one whose are not fails the test."""
    compared = []
    for event in fired:
        expected = HEADERS.get(f"{who} {event.name}")
        if expected is not None and event.name not in compared:
            names = [name for name, _ in event.headers.pairs()[CORE:] if not name.startswith("variable_")]
            assert names == expected.split(" "), event.name
            compared.append(event.name)
    return compared


def test_an_originate_that_is_answered_has_the_events_and_headers_of_a_real_one(switch: Watched) -> None:
    switch.calls.endpoints["sofia/*"] = "answer"
    made = "originate {presence_id=1@h,origination_caller_id_number=7000,origination_uuid=u1}sofia/internal/2@h &park()"
    assert switch.ask(made) == "+OK u1\n"
    assert switch.names() == [*RINGING, "ANSWER", "CALLSTATE", "CALL_UPDATE", "STATE", "EXECUTE", "PARK"]
    assert switch.ask("uuid_kill u1") == "+OK\n"
    assert switch.names()[-9:] == ["HANGUP", "UNPARK", "EXECUTE_COMPLETE", *ENDED[1:]]
    assert len(same_headers(switch.fired, "originate")) == 12
    complete = next(event for event in switch.fired if event.name == "CHANNEL_HANGUP_COMPLETE")
    assert complete.headers.get("variable_origination_caller_id_number") == "7000"
    assert complete.headers.get("variable_billsec") == "0"
    assert switch.ask("show channels") == "\n0 total.\n"


@pytest.mark.parametrize(
    ("target", "cause", "legs"),
    [
        ("user/busy", "USER_BUSY", 1),
        ("user/silent", "NO_ANSWER", 1),
        ("user/rude", "CALL_REJECTED", 1),
        ("user/gone", "UNALLOCATED_NUMBER", 1),
        ("error/USER_BUSY", "USER_BUSY", 0),
        ("error/nonsense", "DESTINATION_OUT_OF_ORDER", 0),
        ("user/unknown", "SUBSCRIBER_ABSENT", 0),
        ("sofia/gateway/none/1", "INVALID_GATEWAY", 0),
        ("sofia/none/1@h", "INVALID_PROFILE", 0),
        ("sofia/internal/1@h", "NORMAL_TEMPORARY_FAILURE", 0),
        ("loopback/1/default", "NO_ROUTE_DESTINATION", 0),
        ("carrier/1", "CHAN_NOT_IMPLEMENTED", 0),
        ("1000", "CHAN_NOT_IMPLEMENTED", 0),
        ("{a=1", "DESTINATION_OUT_OF_ORDER", 0),
        ("user/unknown|user/busy", "USER_BUSY", 1),
        ("user/rude,user/busy", "CALL_REJECTED", 2),
    ],
)
def test_an_originate_that_fails_says_why(switch: Watched, target: str, cause: str, legs: int) -> None:
    said = {"busy": "busy", "silent": "no answer", "rude": "rejected", "gone": "unallocated_number"}
    switch.calls.endpoints.update({f"user/{name}": how for name, how in said.items()})
    assert switch.ask(f"originate {target} &park()") == f"-ERR {cause}\n"
    assert switch.names().count("HANGUP_COMPLETE") == legs
    assert switch.channels.sessions == {}


def test_the_first_to_answer_wins_and_the_others_lose(switch: Watched) -> None:
    switch.calls.endpoints["user/slow"] = Endpoint("answer", after=2.0)
    switch.calls.endpoints["user/quick"] = Endpoint("answer", after=1.0)
    switch.calls.endpoints["user/never"] = "ring"
    assert switch.ask("originate {a=all}[b=one]user/slow,[b=two,leg_timeout=9]user/quick,user/never &park()") is None
    switch.pass_time()
    (winner,) = switch.channels.sessions.values()
    assert (winner.variables["a"], winner.variables["b"]) == ("all", "two")
    ended = [event for event in switch.fired if event.name == "CHANNEL_HANGUP"]
    assert [event.headers.get("Hangup-Cause") for event in ended] == ["LOSE_RACE", "LOSE_RACE"]


@pytest.mark.parametrize("variable", ["originate_timeout=5", "call_timeout=5", "leg_timeout=5"])
def test_nobody_rings_for_ever(switch: Watched, variable: str) -> None:
    switch.calls.endpoints["user/1000"] = "ring"
    assert switch.ask(f"originate {{{variable}}}user/1000 &park()") is None
    assert min(seconds for seconds, _ in switch.due) == 5
    switch.pass_time()
    assert switch.fired[-1].headers.get("Hangup-Cause") == "NO_ANSWER"


def test_early_media_counts_as_an_answer_unless_it_is_ignored(switch: Watched) -> None:
    switch.calls.endpoints["user/*"] = Endpoint("busy", rings=0.5, after=1.0, early_media=True)
    asked: list[bytes] = []
    for target in ("user/1", "{ignore_early_media=true}user/2"):
        switch.run_api("originate", f"{target} &park()", False, asked.append)
    switch.pass_time()
    assert [text[:4] for text in asked] == [b"+OK ", b"-ERR"]
    assert switch.names().count("PROGRESS_MEDIA") == 2


def test_a_bridge_has_the_events_headers_and_variables_of_a_real_one(switch: Watched) -> None:
    switch.calls.endpoints["sofia/*"] = Endpoint("answer")
    caller = switch.caller(
        export_vars="tenant", tenant="7", effective_caller_id_name="Müller", hangup_after_bridge="true"
    )
    switch.channels.run(caller, "bridge", "sofia/internal/2@h")
    callee = next(uuid for uuid in switch.channels.sessions if uuid != "caller")
    assert switch.names(callee)[-5:] == ["CALLSTATE", "ANSWER", "CALLSTATE", "STATE", "CALL_UPDATE"]
    assert switch.names("caller") == ["EXECUTE", "PROGRESS", "ANSWER", "CALLSTATE", "BRIDGE", "CALL_UPDATE"]
    assert switch.ask("show calls count") == "\n1 total.\n"
    assert switch.channels.sessions[callee].variables["tenant"] == "7"
    switch.ask(f"uuid_kill {callee}")
    assert switch.names("caller")[6:] == ["UNBRIDGE", "HANGUP", "EXECUTE_COMPLETE", *ENDED[1:]]
    assert len(same_headers([one for one in switch.fired if one.headers.get("Unique-ID") == callee], "callee")) == 10
    assert len(same_headers([one for one in switch.fired if one.headers.get("Unique-ID") == "caller"], "caller")) == 3
    told = {name: caller.variables.get(name) for name in ("originate_disposition", "DIALSTATUS", "bridge_hangup_cause")}
    assert told == {
        "originate_disposition": "SUCCESS",
        "DIALSTATUS": "SUCCESS",
        "bridge_hangup_cause": "NORMAL_CLEARING",
    }


@pytest.mark.parametrize(
    ("how", "variables", "status", "ends"),
    [
        ("busy", {}, "BUSY", "USER_BUSY"),
        ("busy", {"continue_on_fail": "true"}, "BUSY", None),
        ("busy", {"continue_on_fail": "USER_BUSY,NO_ANSWER"}, "BUSY", None),
        ("rejected", {"continue_on_fail": "USER_BUSY"}, "DONTCALL", "CALL_REJECTED"),
        ("no answer", {}, "NOANSWER", None),
        ("no answer", {"continue_on_fail": "USER_BUSY"}, "NOANSWER", "NO_ANSWER"),
        ("unallocated_number", {}, "UNALLOCATED_NUMBER", "UNALLOCATED_NUMBER"),
    ],
)
def test_a_bridge_that_fails_hangs_up_as_the_switch_does(
    switch: Watched, how: str, variables: dict[str, str], status: str, ends: str | None
) -> None:
    switch.calls.endpoints["user/1001"] = how
    caller = switch.caller(**variables)
    switch.channels.run(caller, "bridge", "user/1001")
    assert (caller.variables["DIALSTATUS"], caller.hangup_cause) == (status, ends)
    assert caller.variables["originate_failed_cause"] == caller.variables["last_bridge_hangup_cause"]


def test_a_caller_who_gives_up_cancels_what_rings(switch: Watched) -> None:
    switch.calls.endpoints["user/1001"] = "ring"
    caller = switch.caller()
    switch.channels.run(caller, "bridge", "user/1001")
    switch.channels.hangup(caller)
    ended = [one.headers.get("Hangup-Cause") for one in switch.fired if one.name == "CHANNEL_HANGUP"]
    assert (ended, switch.channels.sessions) == (["NORMAL_CLEARING", "ORIGINATOR_CANCEL"], {})


def test_two_parked_calls_are_bridged_and_end_together(switch: Watched) -> None:
    switch.calls.endpoints["user/*"] = "answer"
    a, b = (uuid_of(switch.ask(f"originate user/{number} &park()")) for number in (1, 2))
    assert switch.ask(f"uuid_bridge {a} {b}") == f"+OK {b}\n"
    left = ["EXECUTE_COMPLETE", "STATE", "STATE", "STATE", "EXECUTE"]
    assert switch.names(a)[-8:] == ["UNPARK", *left, "BRIDGE", "CALL_UPDATE"]
    assert switch.names(b)[-9:] == ["UNPARK", *left, "STATE", "STATE", "CALL_UPDATE"]
    assert switch.ask(f"uuid_getvar {a} bridge_uuid") == b
    assert switch.ask(f"uuid_bridge {a} nosuch") == "-ERR Invalid uuid\n"
    switch.ask(f"uuid_kill {a} USER_BUSY")
    assert switch.channels.sessions == {}


def test_a_transfer_runs_what_the_dialplan_says_or_has_no_route(switch: Watched) -> None:
    switch.calls.endpoints["user/*"] = "answer"
    switch.calls.dialplan["5000"] = lambda session: [("set", f"asked={session.uuid}"), ("park", "")]
    uuid = uuid_of(switch.ask("originate user/1 5000 XML default"))
    session = switch.channels.sessions[uuid]
    assert session.variables["asked"] == uuid
    assert session.executed[-1] == ("park", "")
    assert switch.ask(f"uuid_transfer {uuid} 'set:x=1,park' inline") == "+OK\n"
    assert session.executed[-2:] == [("set", "x=1"), ("park", "")]
    switch.ask(f"uuid_transfer {uuid} 6000 XML default")
    assert session.hangup_cause == "NO_ROUTE_DESTINATION"
    assert session.variables["last_app"] == "park"


def test_a_dial_string_with_quotes_is_read_as_the_switch_read_it(switch: Watched) -> None:
    switch.calls.endpoints["sofia/*"] = "answer"
    quoted = "{origination_caller_id_name='Click, to dial',note='50% off'}sofia/internal/1@h"
    uuid = uuid_of(switch.ask(f"originate {quoted} &park()"))
    session = switch.channels.sessions[uuid]
    assert session.leg is not None
    assert session.leg.profile.original_name == "Click"  # `originate` takes the quotes, as captured
    assert session.variables["note"] == "50% off"
    other = uuid_of(switch.ask("originate {^^:note=Click,to:x=1}sofia/internal/1@h &park()"))
    assert switch.channels.sessions[other].variables["x"] == "1"


def test_an_endpoint_that_is_misspelt_is_refused_when_it_is_said(switch: Watched) -> None:
    with pytest.raises(ValueError, match="did you mean 'busy'"):
        switch.calls.endpoints["user/1000"] = "bussy"


def test_the_tables_can_be_had_as_json_xml_and_text(switch: Watched) -> None:
    switch.calls.endpoints["user/*"] = "answer"
    uuid = uuid_of(switch.ask("originate user/1000 &park()"))
    rows = json.loads(switch.ask("show channels as json") or "")
    assert (rows["row_count"], rows["rows"][0]["uuid"], rows["rows"][0]["callstate"]) == (1, uuid, "ACTIVE")
    assert json.loads(switch.ask("show calls as json") or "")["rows"][0]["b_uuid"] == ""
    assert (switch.ask("show channels as delim |") or "").startswith("uuid|direction|created|")
    assert f"<uuid>{uuid}</uuid>" in (switch.ask("show channels as xml") or "")
    assert json.loads(switch.ask("show channels like 1000 as json") or "")["row_count"] == 1
    assert switch.ask("show channels like nobody as json") == '{"row_count": 0}\n'
    assert switch.ask("show detailed_bridged_calls") == "\n0 total.\n"
    switch.tables["registrations"] = [{"reg_user": "1000", "realm": "h", "url": "sofia/internal/sip:1000@h"}]
    assert (switch.ask("show registrations") or "").splitlines()[1] == "1000,h,,sofia/internal/sip:1000@h,,,,,,"
    assert (switch.ask("show nonsense") or "").startswith("-USAGE: codec|endpoint|")
