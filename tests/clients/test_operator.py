"""Calls that are originated and waited for, tables and channels by their uuid: the same for both shells."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import pytest
from aio_support import job_accepted, job_done, job_uuid
from reconnect_support import quick
from reconnect_support import shell as shell
from reconnect_support import switch as switch
from shells import ENABLED, PATIENCE, REFUSED, Peer, Shell, Switch
from support import api_response, part, plain

UUID = b"7f4de4bc-17d7-11dd-b7a0-db4edd065621"


def event(name: str, **headers: str) -> bytes:
    lines = [f"Event-Name: {name}", *(f"{key.replace('_', '-')}: {value}" for key, value in headers.items())]
    return plain("\n".join([*lines, "", ""]).encode())


ANSWER = event("CHANNEL_ANSWER", Unique_ID=UUID.decode())
HANGUP = event("CHANNEL_HANGUP", Unique_ID=UUID.decode(), Hangup_Cause="ORIGINATOR_CANCEL")


class Call:
    """An originate of the client, and the switch's side of it."""

    def __init__(self, shell: Shell, peer: Peer, **options: Any) -> None:
        self.begun: Future[Any] = shell.begin("originate", "user/1000", application="park", **options)
        self.peer = peer
        peer.answers(b"event CHANNEL_ANSWER")
        peer.answers(b"event CHANNEL_HANGUP")
        peer.answers(b"event BACKGROUND_JOB")
        self.command = peer.command()
        self.job = job_uuid(self.command)
        peer.sends(ENABLED, ENABLED, ENABLED, job_accepted(self.command))

    def again(self, shell: Shell) -> None:
        """The next one, for which nothing has to be subscribed to any more."""
        self.begun = shell.begin("originate", "user/1000", application="park")
        self.command = self.peer.command()
        self.peer.sends(job_accepted(self.command))

    def ends(self, text: bytes) -> None:
        """The job's result."""
        self.peer.sends(job_done(self.command, text))

    def outcome(self) -> tuple[bool, str, str, str]:
        made = self.begun.result(PATIENCE)
        return made.answered, made.reason, made.cause, made.uuid


class Later(Call):
    """One more, for which nothing has to be subscribed to any more."""

    def __init__(self, shell: Shell, peer: Peer) -> None:
        self.peer = peer
        self.again(shell)


def test_an_answer_is_waited_for_and_its_events_stay_private(shell: Shell, switch: Switch) -> None:
    peer = shell.connects(switch)
    call = Call(shell, peer)
    assert call.command.startswith(b"bgapi originate user/1000 &park\n")
    peer.sends(ANSWER)
    call.ends(b"+OK " + UUID + b"\n")
    assert call.outcome() == (True, "answered", "SUCCESS", UUID.decode())
    call.again(shell)
    call.ends(b"+OK " + UUID + b"\n")  # at early media: the answer comes later, and that of before is forgotten
    peer.sends(event("CHANNEL_ANSWER", Unique_ID="another"), HANGUP)
    assert call.outcome() == (False, "no answer", "ORIGINATOR_CANCEL", UUID.decode())
    shell.subscribes(peer)
    peer.sends(ANSWER, HANGUP, event("DTMF", DTMF_Digit="1"))
    assert shell.event()["DTMF-Digit"] == "1"


def test_why_calls_were_not_answered(shell: Shell, switch: Switch) -> None:
    call = Call(shell, shell.connects(switch))
    for text, reason in (
        (b"USER_BUSY", "busy"),
        (b"NO_ANSWER", "no answer"),
        (b"CALL_REJECTED", "rejected"),
        (b"UNALLOCATED_NUMBER", "failed"),
    ):
        call.ends(b"-ERR " + text + b"\n")
        assert call.outcome() == (False, reason, text.decode(), "")
        call.again(shell)


def test_a_refusal_is_no_call_that_failed(shell: Shell, switch: Switch) -> None:
    call = Call(shell, shell.connects(switch))
    call.ends(b"-USAGE: <call url> <exten>\n")
    with pytest.raises(shell.esl.CommandError, match=r"^-USAGE"):
        call.begun.result(PATIENCE)


def test_events_that_are_refused_end_the_wait(shell: Shell, switch: Switch) -> None:
    peer = shell.connects(switch)
    begun = shell.begin("originate", "user/1000", application="park")
    peer.answers(b"event CHANNEL_ANSWER", REFUSED)
    peer.answers(b"event CHANNEL_HANGUP", REFUSED)
    peer.answers(b"event BACKGROUND_JOB", ENABLED)
    peer.sends(job_accepted(peer.command()))
    with pytest.raises(shell.esl.CommandError, match="permission denied"):
        begun.result(PATIENCE)


def test_no_wait_outlives_its_connection_though_the_client_comes_back(shell: Shell, switch: Switch) -> None:
    call = Call(shell, shell.connects(switch, reconnect=quick(shell.esl)))
    call.ends(b"+OK " + UUID + b"\n")
    calling = Later(shell, call.peer)
    reader = shell.begin("next_event")
    call.peer.close()
    for waiting in (call, calling):
        with pytest.raises(shell.esl.ConnectionClosed) as caught:
            waiting.begun.result(PATIENCE)
        assert caught.value.maybe_done
    peer = switch.lets_in()
    peer.close()
    reader.cancel()


def test_no_phone_rings_for_a_wait_that_cannot_be(shell: Shell, switch: Switch) -> None:
    peer = shell.connects(switch)
    for patience, error in ((-1, ValueError), (float("nan"), ValueError), ("20", TypeError)):
        with pytest.raises(error, match=r"^patience is .*, expected .*seconds"):
            shell.do("originate", "user/1000", application="park", patience=patience)
    Call(shell, peer)  # whose commands are the first ones


def test_how_long_the_outcome_is_waited_for(shell: Shell, switch: Switch) -> None:
    call = Call(shell, shell.connects(switch), patience=0.05)
    with pytest.raises(shell.esl.CommandTimeout, match=r"^waited 0.05 s for the outcome of an originate$"):
        call.begun.result(PATIENCE)
    begun = shell.begin("originate", "user/1", application="park", wait="job", patience=PATIENCE)
    command = call.peer.command()
    call.peer.sends(job_accepted(command))
    call.command = command
    call.ends(b"+OK " + UUID + b"\n")
    made = begun.result(PATIENCE)
    assert (bool(made), made.answered, made.reason, made.uuid) == (True, False, "connected", UUID.decode())
    job = shell.begin("originate", "user/1", extension="9664", wait=False)
    command = call.peer.command()
    assert command.startswith(b"bgapi originate user/1 9664\n")
    call.peer.sends(job_accepted(command))
    assert job.result(PATIENCE).uuid == job_uuid(command).decode()


def test_a_channel_with_the_uuid_of_one_that_has_ended_has_its_own_answer(shell: Shell, switch: Switch) -> None:
    peer = shell.connects(switch)
    first = Call(shell, peer)  # rings all the time, so that what became of other channels is kept
    second, third = Later(shell, peer), Later(shell, peer)
    peer.sends(ANSWER, HANGUP, job_done(second.command, b"+OK " + UUID + b"\n"))
    assert second.outcome() == (True, "answered", "SUCCESS", UUID.decode())
    peer.sends(job_done(third.command, b"-ERR USER_BUSY\n"))
    assert third.outcome()[1] == "busy"
    fourth = Later(shell, peer)
    peer.sends(job_done(fourth.command, b"+OK " + UUID + b"\n"), HANGUP)
    assert fourth.outcome() == (False, "no answer", "ORIGINATOR_CANCEL", UUID.decode())
    first.ends(b"-ERR NO_ANSWER\n")
    assert first.outcome()[1] == "no answer"


def test_what_is_kept_of_calls_and_channels_is_bounded(
    shell: Shell, switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = part(shell.esl, "limits")
    monkeypatch.setattr(limits, "JOBS", 2)
    monkeypatch.setattr(limits, "FATES", 1)
    peer = shell.connects(switch)
    calls = [Call(shell, peer), Later(shell, peer)]
    for call in calls:  # both ring, and the switch says of both that they are one channel
        peer.sends(job_done(call.command, b"+OK " + UUID + b"\n"))
    asked = shell.begin("api", "uptime")
    peer.answers(b"api uptime", api_response(b"1"))
    asked.result(PATIENCE)  # so that the results were read
    calls.append(Later(shell, peer))
    with pytest.raises(shell.esl.CommandTimeout, match=r"^2 calls were originated after it: it is forgotten$"):
        calls[0].outcome()
    peer.sends(event("CHANNEL_ANSWER"), event("CHANNEL_ANSWER", Unique_ID="another"), ANSWER)
    assert calls[1].outcome() == (True, "answered", "SUCCESS", UUID.decode())
    peer.sends(job_done(calls[2].command, b"+OK another\n"), event("CHANNEL_HANGUP", Unique_ID="another"))
    assert calls[2].outcome() == (False, "failed", "UNKNOWN", "another")  # its answer was the older one


def test_a_job_whose_result_cannot_come_ends_the_wait(shell: Shell, switch: Switch) -> None:
    peer = shell.connects(switch)
    begun = shell.begin("originate", "user/1000", application="park")
    peer.answers(b"event CHANNEL_ANSWER", ENABLED)
    peer.answers(b"event CHANNEL_HANGUP", ENABLED)
    peer.answers(b"event BACKGROUND_JOB", REFUSED)
    peer.sends(job_accepted(peer.command()))
    with pytest.raises(shell.esl.CommandError, match="permission denied"):
        begun.result(PATIENCE)


def test_an_answer_that_the_switch_does_not_tell_this_connection_is_not_waited_for(
    shell: Shell, switch: Switch
) -> None:
    peer = shell.connects(switch)
    ringing, calling = Call(shell, peer), Later(shell, peer)
    ringing.ends(b"+OK " + UUID + b"\n")
    narrowing = shell.begin("myevents", "own")
    peer.answers(b"myevents own", ENABLED)
    narrowing.result(PATIENCE)
    assert ringing.outcome() == (False, "connected", "SUCCESS", UUID.decode())
    peer.sends(job_done(calling.command, b"+OK other\n"))
    assert calling.outcome() == (False, "connected", "SUCCESS", "other")
    with pytest.raises(shell.esl.InvalidCommand, match=r"those of one other only \(myevents\)"):
        shell.do("originate", "user/1000", application="park")


# Tables


def asks(shell: Shell, peer: Peer, verb: str, *arguments: Any, command: bytes, output: bytes, **options: Any) -> Any:
    """What a verb returns when the switch gets this command and puts that out."""
    begun = shell.begin(verb, *arguments, **options)
    peer.answers(b"api " + command, api_response(output))
    return begun.result(PATIENCE)


def test_tables_come_as_dicts(shell: Shell, switch: Switch) -> None:
    peer = shell.connects(switch)
    rows = asks(
        shell, peer, "show", "channels", command=b"show channels as json",
        output=b'{"row_count":1,"rows":[{"uuid":"a","cid_name":"J, \\"D\\""}]}',
    )  # fmt: skip
    assert rows == [{"uuid": "a", "cid_name": 'J, "D"'}]
    assert asks(shell, peer, "show", "calls", command=b"show calls as json", output=b'{"row_count":0}\n') == []
    rows = asks(
        shell, peer, "show", "channels", like="J D'",
        command=b"show channels like J\\sD\\' as json", output=b"uuid,dest\na,1000\n\n1 total.\n",
    )  # fmt: skip
    assert rows == [{"uuid": "a", "dest": "1000"}]
    assert asks(shell, peer, "count", "calls", command=b"show calls count", output=b"\n12 total.\n") == 12
    output = b"name|strategy\nsupport|ring-all\n+OK\n"
    rows = asks(
        shell, peer, "table", "callcenter_config queue list", command=b"callcenter_config queue list", output=output
    )
    assert rows == [{"name": "support", "strategy": "ring-all"}]
    with pytest.raises(shell.esl.CommandError, match=r"^-USAGE"):
        asks(shell, peer, "show", "nothing", command=b"show nothing as json", output=b"-USAGE: codec|endpoint\n")
    for refused in ("channels\napi x", "status", "channels count", "", "a b c", "help"):
        with pytest.raises(shell.esl.InvalidCommand):
            shell.do("show", refused)


# Channels


def test_each_shorthand_of_a_channel_sends_its_command(shell: Shell, switch: Switch) -> None:
    peer = shell.connects(switch)
    channel = shell.client.uuid("u-1")
    for verb, arguments, options, command in (
        ("kill", (), {}, "uuid_kill u-1 NORMAL_CLEARING"),
        ("kill", ("USER_BUSY",), {}, "uuid_kill u-1 USER_BUSY"),
        ("answer", (), {}, "uuid_answer u-1"),
        ("pre_answer", (), {}, "uuid_pre_answer u-1"),
        ("park", (), {}, "uuid_park u-1"),
        ("bridge", ("u-2",), {}, "uuid_bridge u-1 u-2"),
        ("bridge", (channel,), {}, "uuid_bridge u-1 u-1"),
        ("transfer", ("1000",), {}, "uuid_transfer u-1 1000"),
        ("transfer", ("1000", "XML", "default"), {"leg": "bleg"}, "uuid_transfer u-1 -bleg 1000 XML default"),
        ("transfer", ("set:a=b c", "inline"), {}, "uuid_transfer u-1 set:a=b\\sc inline"),
        ("hold", (), {}, "uuid_hold u-1"),
        ("hold", (False,), {}, "uuid_hold off u-1"),
        ("hold", (), {"toggle": True}, "uuid_hold toggle u-1"),
        ("media", (False,), {}, "uuid_media off u-1"),
        ("broadcast", ("/tmp/a b.wav",), {}, "uuid_broadcast u-1 /tmp/a\\sb.wav aleg"),
        ("broadcast", ("say", "en it's"), {"leg": "both"}, "uuid_broadcast u-1 say::en\\sit\\'s both"),
        ("broadcast", ("http://x/a::b.wav",), {}, "uuid_broadcast u-1 http://x/a::b.wav aleg"),
        ("broadcast", ("park", ""), {}, "uuid_broadcast u-1 park:: aleg"),
        ("break_", (), {"everything": True}, "uuid_break u-1 all"),
        ("record", ("/tmp/a.wav",), {"limit": 5}, "uuid_record u-1 start /tmp/a.wav 5"),
        ("stop_record", (), {}, "uuid_record u-1 stop all"),
        ("send_dtmf", ("12w#@200",), {}, "uuid_send_dtmf u-1 12w#@200"),
        ("recv_dtmf", ("1",), {}, "uuid_recv_dtmf u-1 1"),
        ("display", ("J D", "100"), {}, "uuid_display u-1 J\\sD|100"),
        ("display", ("it's|me",), {}, "uuid_display u-1 it\\\\\\'s\\\\|me"),
        ("setvar", ("a", "b 'c'"), {}, "uuid_setvar u-1 a b\\s\\'c\\'"),
        ("setvar", ("a", None), {}, "uuid_setvar u-1 a"),
        ("setvar_multi", ({"a": "b;c", "d": True},), {}, "uuid_setvar_multi u-1 a=b\\;c;d=true"),
    ):
        begun = shell._start(getattr(channel, verb), *arguments, **options)
        peer.answers(b"api " + command.encode(), api_response(b"+OK\n"))
        assert begun.result(PATIENCE) is None


def test_what_is_asked_of_a_channel(shell: Shell, switch: Switch) -> None:
    peer = shell.connects(switch)
    channel = shell.client.uuid("u-1")

    def answer(verb: str, *arguments: Any, output: bytes) -> Any:
        begun = shell._start(getattr(channel, verb), *arguments)
        command = peer.command()
        assert command.startswith(b"api uuid_" + verb.encode() + b" u-1")
        peer.sends(api_response(output))
        return begun.result(PATIENCE)

    assert answer("exists", output=b"true") is True
    assert answer("exists", output=b"false") is False
    assert answer("getvar", "a", output=b"-ERR x") == "-ERR x"
    assert answer("getvar", "a", output=b"_undef_") is None
    assert answer("deflect", "sip:1@x", output=b"+OK:200 OK\n") == "+OK:200 OK\n"
    dumped = answer("dump", output=b'{"Event-Name":"CHANNEL_DATA","variable_a":"b"}')
    assert dumped == {"Event-Name": "CHANNEL_DATA", "variable_a": "b"}
    with pytest.raises(shell.esl.MalformedPayload):
        answer("dump", output=b"")
    with pytest.raises(shell.esl.CommandError, match="No such channel"):
        answer("getvar", "a", output=b"-ERR No such channel!\n")


def test_no_argument_of_a_channel_becomes_another(shell: Shell, switch: Switch) -> None:
    shell.connects(switch)
    for uuid in ("", "a b", "a\napi x", "it's", "^^:a", "{a}"):
        with pytest.raises(shell.esl.InvalidCommand):
            shell.client.uuid(uuid)
    channel = shell.client.uuid("u-1")
    for verb, arguments in (
        ("kill", ("USER BUSY",)),
        ("bridge", ("a b",)),
        ("transfer", ("-both",)),
        ("transfer", ("",)),
        ("broadcast", ("a.wav", "", "x")),
        ("broadcast", ("system::reboot",)),
        ("broadcast", ("::a",)),
        ("broadcast", ("system:", "a")),
        ("display", ("", "100")),
        ("display", ("^^:a:b",)),
        ("send_dtmf", ("1 2",)),
        ("deflect", ("sip:x\napi y",)),
        ("setvar", ("a b", "c")),
        ("setvar", ("a", "b\0")),
        ("setvar_multi", ({"a": "${b}"},)),
        ("setvar_multi", ({},)),
        ("record", ("\0",)),
        ("getvar", ("a b",)),
    ):
        arguments, leg = (arguments[:2], {"leg": arguments[2]}) if len(arguments) > 2 else (arguments, {})
        with pytest.raises(shell.esl.InvalidCommand):
            shell._start(getattr(channel, verb), *arguments, **leg).result(PATIENCE)
