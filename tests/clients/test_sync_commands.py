"""The blocking client: login, commands and jobs."""

from __future__ import annotations

import logging
import math
import random
import re
from types import ModuleType
from typing import Any

import pytest
from ports import free_port
from support import AUTH, FAREWELL, api_response, notice, reply
from sync_support import HOST, LINGER, LOG, Peer, Script, Task, event, logged_in, numbers, scripted, until
from sync_support import fs as fs
from sync_support import nothing_left as nothing_left
from sync_support import switch as switch

from eslcodec.emulator import Emulator, User

# Login


def test_connects_and_logs_in(esl: ModuleType, switch: Emulator) -> None:
    with esl.connect(HOST, switch.port) as fs:
        assert repr(fs) == f"<Client 127.0.0.1:{switch.port} open>"
        assert (fs.host, fs.port, fs.closed, fs.dropped) == (HOST, switch.port, False, 0)
        assert fs.api("status").text.startswith("UP ")
        assert switch.commands == ["auth ClueCon", "api status"]
    assert repr(fs) == f"<Client 127.0.0.1:{switch.port} closed: closed by us>"
    assert fs.closed
    with pytest.raises(esl.ConnectionClosed, match=r"^closed by us$"):
        fs.api("status")
    fs.close()


def test_logs_in_as_a_user(esl: ModuleType) -> None:
    with Emulator(users={"ops@example.org": User("s3cret", api="status")}) as switch:
        with esl.connect(HOST, switch.port, user="ops@example.org", password="s3cret") as fs:
            assert fs.api("status").ok
            refusal = fs.api("version")
        assert (type(refusal), refusal.text) == (esl.CommandReply, "-ERR permission denied")
        with pytest.raises(esl.AuthError, match=r"refused the login: -ERR invalid \(wrong password\?\)$"):
            esl.connect(HOST, switch.port, user="ops@example.org", password="other")


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"password": "wr0ng"}, "AuthError", "{where} refused the login: -ERR invalid (wrong password?)"),
        ({"password": "wr0ng\nx"}, "InvalidCommand", "the password has '\\n' in it, expected a single line"),
        ({"user": "ops", "password": "wr0ng"}, "InvalidCommand", "the user has no '@' in it, expected user@domain"),
    ],
)
def test_a_login_that_fails_tells_no_password(
    esl: ModuleType, switch: Emulator, options: Any, error: str, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(getattr(esl, error)) as caught:
        esl.connect(HOST, switch.port, **options)
    assert str(caught.value) == text.format(where=f"{HOST}:{switch.port}")
    assert "wr0ng" not in repr(caught.value) + caplog.text


def test_an_address_that_is_refused(esl: ModuleType) -> None:
    with (
        Emulator(allow=False) as switch,
        pytest.raises(esl.AccessDenied, match=r"our address: Access Denied, go away\.$"),
    ):
        esl.connect(HOST, switch.port)


@pytest.mark.parametrize(
    ("said", "seconds", "text"),
    [
        (b"", 0.3, "waited 0.3 s for the login at {where}"),
        (AUTH, 2.5, "waited 2.5 s for the login at {where}"),
        (
            AUTH + b"Content-Type: com",
            2.5,
            "waited 2.5 s for the login at {where}; read 17 bytes of a frame without its end",
        ),
    ],
)
def test_a_login_without_an_answer(esl: ModuleType, said: bytes, seconds: float, text: str) -> None:
    def silent(peer: Peer) -> None:
        peer.send(said)
        while peer.sock.recv(100):
            pass

    with Script(silent) as script, pytest.raises(esl.CommandTimeout) as caught:
        esl.connect(HOST, script.port, connect_timeout=seconds)
    assert str(caught.value) == text.format(where=f"{HOST}:{script.port}")


def test_what_the_system_says_about_connecting_goes_through(esl: ModuleType) -> None:
    port = free_port()
    with pytest.raises(ConnectionRefusedError):
        esl.connect(HOST, port)
    with pytest.raises(ValueError, match="queue_limit"):
        esl.connect(HOST, port, queue_limit=0)


# Commands


def test_every_verb_sends_its_command(esl: ModuleType, fs: Any, switch: Emulator) -> None:
    channel = switch.add_session("u-1", {"color": "red"})
    assert fs.subscribe("DTMF", custom=["a::b"], format="json").text == "+OK event listener enabled json"
    assert fs.unsubscribe("DTMF").text == "+OK events nixed"
    assert fs.filter("Unique-ID", "u-1").ok
    assert fs.filter_delete("Unique-ID", "u-1").ok
    assert fs.filter_delete().ok
    assert fs.noevents().ok
    assert fs.log("info").text == "+OK log level info [6]"
    assert fs.nolog().ok
    assert fs.sendevent("NOTIFY", {"a": 1}, "body").ok
    assert fs.sendmsg("execute", {"execute-app-name": "set", "execute-app-arg": "a=1"}, uuid="u-1").ok
    assert fs.execute("set", "b=2", uuid="u-1", event_lock=True).ok
    assert fs.send("myevents u-1").text == "+OK Events Enabled"
    assert fs.divert_events().text == "+OK events diverted"
    assert fs.divert_events(False).text == "+OK events not diverted"
    assert (fs.getvar("color"), fs.getvar("nothing")) == ("red", None)
    assert fs.linger(5).ok
    assert fs.nolinger().ok
    assert fs.resume().ok
    assert fs.api("uuid_getvar", "u-1 color", console_execute=True).text == "red"
    assert fs.hangup("USER_BUSY", uuid="u-1").ok
    assert channel.executed == [("set", "a=1"), ("set", "b=2")]
    assert channel.hangup_cause == "USER_BUSY"
    assert switch.commands[1:] == [
        "event json DTMF CUSTOM a::b",
        "nixevent DTMF",
        "filter add Unique-ID u-1",
        "filter delete Unique-ID u-1",
        "filter delete all",
        "noevents",
        "log info",
        "nolog",
        "sendevent NOTIFY\na: 1\nContent-Length: 4\n\nbody",
        "sendmsg u-1\ncall-command: execute\nexecute-app-name: set\nexecute-app-arg: a=1",
        "sendmsg u-1\ncall-command: execute\nexecute-app-name: set\nexecute-app-arg: b=2\nevent-lock: true",
        "myevents u-1",
        "divert_events on",
        "divert_events off",
        "getvar color",
        "getvar nothing",
        "linger 5",
        "nolinger",
        "resume",
        "api uuid_getvar u-1 color\nconsole_execute: true",
        "sendmsg u-1\ncall-command: hangup\nhangup-cause: USER_BUSY",
    ]


def test_what_the_switch_refuses(esl: ModuleType, fs: Any) -> None:
    assert (fs.api("nosuch").ok, fs.api("nosuch").text) == (False, "-ERR nosuch Command not found!\n")
    assert fs.send("nosuch").text == "-ERR command not found"
    with pytest.raises(esl.CommandError, match=r"^-ERR no keywords supplied$"):
        fs.subscribe("NO_SUCH_EVENT")
    with pytest.raises(esl.CommandError, match=r"^-ERR invalid session id"):
        fs.hangup(uuid="nobody")
    with pytest.raises(esl.CommandError, match=r"^-ERR not controlling a session$"):
        fs.linger()
    assert fs.api("status").ok


@pytest.mark.parametrize("command", ["", "api a\n\napi b\n\n", "api a\r\n\r\n", "x\nContent-Length: 3\n\nab", "a\0b"])
def test_a_raw_send_that_is_not_one_command(esl: ModuleType, fs: Any, switch: Emulator, command: str) -> None:
    with pytest.raises(esl.InvalidCommand):
        fs.send(command)
    with pytest.raises(esl.InvalidCommand):
        fs.pipeline(["api status", command])
    assert fs.send(b"api status").ok
    assert switch.commands == ["auth ClueCon", "api status"]


def test_events_before_a_reply_wait_for_the_reader(esl: ModuleType) -> None:
    def part(peer: Peer) -> None:
        peer.expect(b"api status\n\n")
        peer.send(event(1), LOG, event(2), api_response(b"UP\n"), event(3))
        peer.expect(b"exit\n\n")
        peer.send(reply(b"+OK bye"), event(4), notice(FAREWELL))
        peer.closed()

    with scripted(esl, logged_in(part)) as fs:
        assert fs.api("status").text == "UP\n"
        assert fs.exit().text == "+OK bye"
        assert numbers(fs.events()) == [1, 2, 3, 4]
        assert fs.closed
        with pytest.raises(esl.ConnectionClosed, match=r"^the switch said good-bye$"):
            fs.next_event()


def test_messages_are_all_kinds(esl: ModuleType) -> None:
    odd = b"Content-Type: text/odd\n\n"

    def part(peer: Peer) -> None:
        peer.send(event(1), LOG, odd, LINGER, event(2), notice(FAREWELL))
        peer.closed()

    with scripted(esl, logged_in(part)) as fs:
        kinds = [type(message) for message in fs.messages()]
    assert kinds == [esl.Event, esl.LogLine, esl.Message, esl.DisconnectNotice, esl.Event]


def test_pipelined_commands_are_answered_in_order(esl: ModuleType, fs: Any, switch: Emulator) -> None:
    switch.api["echo"] = lambda args: args
    replies = fs.pipeline(f"api echo {number}" for number in range(1000))
    assert [one.text for one in replies] == [str(number) for number in range(1000)]
    assert fs.pipeline([]) == []


def test_neither_side_waits_for_the_other_to_read(esl: ModuleType) -> None:
    """The switch reads nothing before it has written 32 MB; we send 8 MB meanwhile."""
    large = event(1, b"DTMF", b"Data: " + b"x" * 64_000)
    commands = [f"api echo {'y' * 4000}"] * 2000

    def part(peer: Peer) -> None:
        for _ in range(500):
            peer.send(large)
        for _ in commands:
            peer.command()
            peer.send(api_response(b"+OK\n"))
        peer.closed()

    with scripted(esl, logged_in(part)) as fs:
        assert [one.text for one in fs.pipeline(commands)] == ["+OK\n"] * 2000
        assert len(fs.connection.queue) == 500


def test_a_timeout_leaves_the_connection_usable(esl: ModuleType) -> None:
    def part(peer: Peer) -> None:
        peer.expect(b"api slow\n\napi status\n\n")  # the first is answered when the second has come
        peer.send(api_response(b"late"), api_response(b"UP\n"))
        peer.closed()

    with scripted(esl, logged_in(part)) as fs:
        with pytest.raises(esl.CommandTimeout, match=r"^waited 0\.05 s for the answer to 'api slow'$"):
            fs.api("slow", timeout=0.05)
        assert fs.api("status", timeout=math.inf).text == "UP\n"
    with scripted(esl, logged_in(part), command_timeout=0.05) as other:
        with pytest.raises(esl.CommandTimeout, match=r"^waited 0\.05 s for the answer to 'api slow'$"):
            other.api("slow")
        assert other.api("status", timeout=20).text == "UP\n"


# Jobs


def test_a_job(esl: ModuleType, fs: Any, switch: Emulator) -> None:
    switch.hold_jobs = True
    switch.api["work"] = lambda args: f"-ERR {args}"
    job = fs.bgapi("work", "hard", job_uuid="j-1")
    assert (job.uuid, job.done, repr(job)) == ("j-1", False, "<Job j-1>")
    with pytest.raises(esl.CommandTimeout, match=r"^waited 0\.05 s for the result of 'bgapi work'$"):
        job.result(timeout=0.05)
    switch.release_jobs()
    until(lambda: job.done)
    assert job.done
    assert (job.result().text, job.result().ok, repr(job)) == ("-ERR hard", False, "<Job j-1 done>")
    assert fs.next_event(timeout=0.01) is None  # BACKGROUND_JOB was not asked for
    made = fs.bgapi("status")
    reader = Task(lambda: fs.next_event(timeout=2.5))
    until(lambda: fs._link._reading)
    assert not made.done  # it looks without waiting for the one who reads
    assert reader.result() is None
    switch.release_jobs()
    assert made.result(20).ok
    assert re.fullmatch("[0-9a-f-]{36}", made.uuid)
    assert switch.commands[1:3] == ["event BACKGROUND_JOB", "bgapi work hard\nJob-UUID: j-1"]


def test_a_job_that_is_refused(esl: ModuleType) -> None:
    users = {"ops@example.org": User("s3cret", api="status")}
    login = {"user": "ops@example.org", "password": "s3cret"}
    with Emulator(users=users) as switch, esl.connect(HOST, switch.port, **login) as fs:
        with pytest.raises(esl.CommandError, match=r"^-ERR permission denied$"):
            fs.bgapi("version")
        assert fs.bgapi("status").result(20).ok


def test_a_thousand_jobs_end_in_random_order(esl: ModuleType, fs: Any, switch: Emulator) -> None:
    switch.hold_jobs = True
    switch.api["echo"] = lambda args: args

    def work(worker: int) -> list[tuple[str, str]]:
        jobs = {f"{worker}-{number}": fs.bgapi("echo", f"{worker}-{number}") for number in range(250)}
        return [(wanted, job.result(60).text) for wanted, job in random.Random(worker).sample(list(jobs.items()), 250)]

    tasks = [Task(lambda worker=worker: work(worker)) for worker in range(4)]
    switch.wait_for(lambda: len(switch.jobs) == 1000, 60)
    switch.release_jobs("random", seed=1)
    results = [pair for task in tasks for pair in task.result(60)]
    assert len(results) == 1000
    assert all(wanted == got for wanted, got in results)
