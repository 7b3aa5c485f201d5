"""Commands of the emulated switch: login, API commands and jobs, `sendevent`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from emulated import FAREWELL, UUID, connected, fence

import eslcodec
from eslcodec.emulator import Emulator, Later, User


@pytest.fixture
def switch() -> Iterator[Emulator]:
    with Emulator() as switch:
        yield switch


# Login


def test_an_address_that_the_acl_refuses_is_told_so() -> None:
    with Emulator(allow=lambda address: address != "127.0.0.1") as switch:
        with connected(switch, login=False) as client:
            client.to_the_end()
        assert [type(message).__name__ for message in client.messages] == ["RudeRejection", "DisconnectNotice"]


def test_a_client_that_says_nothing_is_sent_away() -> None:
    with Emulator(login_timeout=0.05) as switch, connected(switch, login=False) as client:
        client.to_the_end()
        assert client.messages[-1].text == FAREWELL


def test_a_restricted_user_is_refused_api_commands_hidden_in_others() -> None:
    users = {"u@d": User("p", api="status bgapi expand")}
    with Emulator(users=users) as switch, connected(switch, login=False) as client:
        client.until(lambda: client.messages)
        client.ask("userauth u@d:p")
        switch.api["expand"] = "expanded"
        assert client.text("api expand status") == "expanded"
        assert client.text("api expand uptime") == "-ERR permission denied"
        assert client.text("bgapi bgapi expand version") == "-ERR permission denied"
        assert client.text("api bgapi status").startswith("+OK Job-UUID: ")


def test_a_restricted_user_may_subscribe_to_the_allowed_subclasses_only() -> None:
    users = {"u@d": User("p", events="DTMF CUSTOM a::b", log=False)}
    with Emulator(users=users) as switch, connected(switch, login=False) as client:
        client.until(lambda: client.messages)
        client.ask("userauth u@d:p")
        assert client.text("event plain dtmf CUSTOM a::b") == "+OK event listener enabled plain"
        assert client.text("event plain CUSTOM c::d") == "-ERR permission denied"
        assert client.text("event plain TALK") == "-ERR permission denied"
        assert client.text("log 7") == "-ERR permission denied"


# API commands and jobs


def test_an_api_answer_is_an_output_or_a_function_of_the_arguments(switch: Emulator) -> None:
    switch.api |= {"text": "a\n", "bytes": b"\xff", "call": lambda args: args.upper(), "fails": lambda _args: None}
    with connected(switch) as client:
        assert client.text("api text") == "a\n"
        assert client.ask("api bytes").body == b"\xff"
        assert client.text("api call x y") == "X Y"
        assert client.text("api fails now") == "-ERR fails Command not found!\n"
        assert client.text("api call x;;text\nconsole_execute: true") == "Xa\n"


def test_a_slow_api_command_stops_its_connection_and_no_other(switch: Emulator) -> None:
    switch.api["slow"] = Later(0.2, "done")
    with connected(switch, "event plain DTMF") as client, connected(switch) as other:
        client.send("api slow\n\napi echo after\n\n")
        switch.wait_for(lambda: "api slow" in switch.commands, 20)
        switch.fire("DTMF")
        fence(switch, other)
        client.until(lambda: client.events)
        assert [message.text for message in client.messages[-3:-1]] == ["done", "after"]


def test_what_an_api_function_raises_comes_out_at_the_end() -> None:
    def broken(_args: str) -> str:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"), Emulator() as switch:  # noqa: PT012
        switch.api["broken"] = broken
        with connected(switch) as client:
            assert client.text("api broken") == "-ERR RuntimeError('broken')\n"
            assert client.text("api echo still here") == "still here"


def test_what_an_api_command_puts_out_has_to_be_text() -> None:
    with pytest.raises(TypeError, match="'number' gave 5"), Emulator() as switch:  # noqa: PT012
        switch.api["number"] = 5  # type: ignore[assignment]
        with connected(switch) as client:
            assert client.text("api number").startswith("-ERR TypeError")


def test_default_api_commands(switch: Emulator) -> None:
    session = switch.add_session("s1", {"a": ["x", "y"]})
    with connected(switch) as client:
        assert client.text("api status").startswith("UP 0 years, 0 days, 0 hours, 0 minutes")
        assert "FreeSWITCH Version" in client.text("api version")
        assert client.text("api uptime").strip().isdigit()
        assert UUID.fullmatch(client.text("api create_uuid"))
        assert client.text("api uuid_exists s1") == "true"
        assert client.text("api uuid_getvar s1 a") == "ARRAY::x|:y"
        assert client.text("api uuid_getvar s1 b") == "_undef_"
        assert client.text("api uuid_setvar s1 b c d") == "+OK\n"
        assert session.variables["b"] == "c d"
        assert client.text("api global_setvar g=1") == "+OK"
        assert client.text("api global_getvar g") == "1"
        assert client.text("api uuid_kill s1 17") == "+OK\n"
        assert session.hangup_cause == "USER_BUSY"
        for command in ("uuid_kill", "uuid_getvar", "uuid_setvar"):
            assert client.text(f"api {command} s1 x y") == "-ERR No such channel!\n"
        switch.add_session("s2")
        assert client.text("api hupall").startswith("+OK")
        assert switch.sessions == {}
        loaded = "+OK Reloading XML\n+OK module unloaded\n+OK module loaded\n"
        assert client.text("api reload mod_hash") == loaded


def test_jobs_finish_at_once_unless_held(switch: Emulator) -> None:
    with connected(switch, "event plain BACKGROUND_JOB") as client:
        reply = client.ask("bgapi echo x y")
        event = client.next_event()
    assert isinstance(reply, eslcodec.CommandReply)
    assert event["Job-UUID"] == reply.job_uuid
    assert (event["Job-Command"], event["Job-Command-Arg"], event.body) == ("echo", "x y", b"x y")


@pytest.mark.parametrize("order", ["first", "last", "random", "given"])
def test_held_jobs_finish_in_the_order_wanted(switch: Emulator, order: Any) -> None:
    switch.hold_jobs = True
    ids = [f"job{at}" for at in range(20)]
    with connected(switch, "event plain BACKGROUND_JOB") as client:
        for uuid in ids:
            client.ask(f"bgapi echo {uuid}\nJob-UUID: {uuid}")
        assert client.events == []
        given = sorted(ids)
        released = switch.release_jobs(given if order == "given" else order, seed=7)
        client.until(lambda: len(client.events) == len(ids))
        assert [event["Job-UUID"] for event in client.events] == released
        assert [event.text for event in client.events] == released
    if order == "random":
        assert released not in (ids, ids[::-1])
        assert sorted(released) == given
    else:
        assert released == {"first": ids, "last": ids[::-1], "given": given}[order]
    assert switch.jobs == []


def test_some_jobs_may_be_released_and_others_held(switch: Emulator) -> None:
    switch.hold_jobs = True
    with connected(switch) as client:
        for uuid in "abc":
            client.ask(f"bgapi echo\nJob-UUID: {uuid}")
    assert switch.hold_jobs
    assert switch.release_jobs(count=1) == ["a"]
    assert switch.release_jobs(["c"]) == ["c"]
    assert [job.uuid for job in switch.jobs] == ["b"]
    with pytest.raises(KeyError):
        switch.release_jobs(["nosuch"])


# sendevent


@pytest.mark.parametrize("format", ["plain", "json", "xml"])
def test_sendevent_comes_back(switch: Emulator, format: str) -> None:
    with connected(switch, f"event {format} CUSTOM a::b") as client:
        reply = client.text("sendevent CUSTOM\nEvent-Subclass: a::b\nX: 1 %\nL[1]: b\nContent-Length: 5\n\nhello")
        event = client.next_event()
    assert reply == f"+OK {event['Event-UUID']}"
    assert (event.subclass, event["X"], event["Command"], event.body) == ("a::b", "1 %", "sendevent CUSTOM", b"hello")
    assert event.getlist("L") == ["", "b"]


def test_sendevent_to_a_live_channel_goes_to_the_channel(switch: Emulator) -> None:
    session = switch.add_session("s1")
    with connected(switch, "event plain ALL") as client:
        client.ask("sendevent DTMF\nUnique-ID: s1\nDigit: 5")
        fence(switch, client)
        assert client.events == []
    assert [event.headers.get("Digit") for event in session.events] == ["5"]


def test_xml_of_an_odd_header_name_is_malformed_as_on_a_real_switch(switch: Emulator) -> None:
    with connected(switch, "event xml NOTIFY") as client:
        client.ask("sendevent NOTIFY\na name: x\nContent-Length: 13\n\n<é&\x01>\r\n\xff\xfe.\n")
        event = client.next_event()
    assert event.malformed is not None
    assert b"    <a name>x</a name>\n" in (event.payload or b"")


def test_show_channels(switch: Emulator) -> None:
    with connected(switch) as client:
        assert client.text("api show channels") == "\n0 total.\n"
        assert client.text("api show channels as json") == '{"row_count": 0}\n'
        switch.add_session("a", name="sofia/internal/1000", answered=False)
        switch.add_session("b")
        told = json.loads(client.text("api show channels as json"))
        assert told["row_count"] == 2
        first, second = told["rows"]
        assert (first["uuid"], first["callstate"], first["name"]) == ("a", "RINGING", "sofia/internal/1000")
        assert (second["uuid"], second["callstate"], second["direction"]) == ("b", "ACTIVE", "inbound")
        assert int(first["created_epoch"]) > 1_700_000_000
        assert len(first) == 38
        assert all(isinstance(value, str) for value in first.values())
        title, *rows, empty, total = client.text("api show channels").split("\n")[:-1]
        assert title.startswith("uuid,direction,created,created_epoch,name,state,cid_name,")
        assert [row.split(",")[0] for row in rows] == ["a", "b"]
        assert (empty, total) == ("", "2 total.")
        assert client.text("api show channels count") == "\n2 total.\n"
        assert json.loads(client.text("api show channels count as json")) == {"row_count": 2, "rows": []}
        assert client.text("api show channels as yaml") == "-ERR Cannot find format yaml\n"
        assert client.text("api show nothing").startswith("-USAGE: ")
        assert client.text("api global_getvar core_uuid") == switch._switch.core.uuid
        switch.hangup("a")
        assert [row["uuid"] for row in json.loads(client.text("api show channels as json"))["rows"]] == ["b"]
