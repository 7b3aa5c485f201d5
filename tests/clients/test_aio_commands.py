"""The client of asyncio: login, commands, jobs; `run`."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import sys
from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Any

import pytest
from aio_support import (
    ENABLED,
    Script,
    error_of,
    job_done,
    narrow,
    numbered,
    pair,
    sequences,
    take,
    until,
)
from aio_support import play as play
from aio_support import switch as switch
from ports import free_port
from support import AUTH, FAREWELL, OK, REJECTED, api_response, notice, part, reply

from eslcodec.emulator import Emulator, User

# Login


def test_a_client_logs_in_with_the_default_password(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        async with pair(esl) as (fs, _, _):
            assert not fs.closed
            assert fs.connection.logged_in
        assert fs.closed

    play(main())


def test_a_client_may_be_awaited_or_entered(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        with Emulator(password="secret") as switch:
            fs = await part(esl, "aio").connect("127.0.0.1", switch.port, password="secret")
            assert (await fs.api("global_getvar", "no_such")).text is not None
            assert (fs.host, fs.port) == ("127.0.0.1", switch.port)
            await fs.close()
            async with part(esl, "aio").connect("127.0.0.1", switch.port, password="secret") as other:
                assert not other.closed
            assert other.closed

    play(main())


def test_the_password_is_never_shown(esl: ModuleType, play: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def main() -> None:
        with Emulator(password="other") as switch:
            connecting = part(esl, "aio").connect("127.0.0.1", switch.port, password="hunter2")
            assert "hunter2" not in repr(connecting)
            with pytest.raises(esl.AuthError) as caught:
                await connecting
            assert str(caught.value) == f"127.0.0.1:{switch.port} refused the login: -ERR invalid (wrong password?)"
            switch.drop()
        async with Script() as switch:
            task = asyncio.create_task(
                part(esl, "aio").connect("127.0.0.1", switch.port, password="hunter2").__aenter__()
            )
            await switch.lets_in(password=b"hunter2")
            fs = await task
            assert repr(fs) == f"<Client 127.0.0.1:{switch.port} open>"
            assert "hunter2" not in repr(vars(fs))
            await fs.close()
            assert repr(fs) == f"<Client 127.0.0.1:{switch.port} closed: closed by us>"

    play(main())
    assert "hunter2" not in caplog.text


def test_an_address_that_the_acl_refuses(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        async with Script() as switch:
            task = asyncio.create_task(part(esl, "aio").connect("127.0.0.1", switch.port).__aenter__())
            (await switch.accept()).sends(REJECTED)
            text = f"127.0.0.1:{switch.port} refused our address: Access Denied, go away."
            assert await error_of(task) == ("AccessDenied", text)
        with Emulator(allow=False) as emulator, pytest.raises(esl.AccessDenied):
            await part(esl, "aio").connect("127.0.0.1", emulator.port)

    play(main())


def test_a_directory_user_logs_in_with_userauth(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        users = {"ops@example.org": User("secret", api="status")}
        with Emulator(users=users) as switch:
            async with part(esl, "aio").connect(
                "127.0.0.1", switch.port, user="ops@example.org", password="secret"
            ) as fs:
                assert switch.commands == ["userauth ops@example.org:secret"]
                assert (await fs.api("version")).text == "-ERR permission denied"
                assert (await fs.api("status")).ok
            with pytest.raises(esl.AuthError, match="-ERR invalid"):
                await part(esl, "aio").connect("127.0.0.1", switch.port, user="ops@example.org", password="wrong")

    play(main())


@pytest.mark.parametrize(
    ("options", "said"), [({"user": "ops"}, "expected user@domain"), ({"password": "a\nb"}, "'\\n'")]
)
def test_what_cannot_be_sent_is_refused_before_connecting(esl: ModuleType, options: Any, said: str) -> None:
    with pytest.raises(esl.InvalidCommand, match=re.escape(said)):
        part(esl, "aio").connect("127.0.0.1", 1, **options)


def test_a_switch_that_does_not_greet(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        async with Script() as switch:
            connecting = part(esl, "aio").connect("127.0.0.1", switch.port, connect_timeout=0.3)
            wanted = ("CommandTimeout", f"waited 0.3 s for the login at 127.0.0.1:{switch.port}")
            assert await error_of(connecting.__aenter__()) == wanted
            await (await switch.accept()).ends()  # the client may be gone before the connection is taken

    play(main())


def test_a_switch_that_closes_before_it_answers(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        async with Script() as switch:
            task = asyncio.create_task(part(esl, "aio").connect("127.0.0.1", switch.port).__aenter__())
            peer = await switch.accept()
            peer.sends(AUTH)
            await peer.command()
            await peer.close()
            wanted = ("ConnectionClosed", "the switch closed the connection before the login was answered")
            assert await error_of(task) == wanted

    play(main())


def test_a_switch_that_says_goodbye_at_once(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        async with Script() as switch:
            task = asyncio.create_task(part(esl, "aio").connect("127.0.0.1", switch.port).__aenter__())
            await switch.lets_in(numbered(range(1)), notice(FAREWELL))
            fs = await task
            assert fs.closed
            assert sequences([event async for event in fs.events()]) == [0]
            await fs.close()

    play(main())


def test_nobody_listens(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        with pytest.raises(ConnectionRefusedError):
            await part(esl, "aio").connect("127.0.0.1", free_port())

    play(main())


def test_a_connection_that_takes_too_long(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            fillers = [socket.socket() for _ in range(4)]
            for filler in fillers:  # from the second or third on, the kernel lets them wait
                filler.setblocking(False)
                filler.connect_ex(full.getsockname())
            connecting = part(esl, "aio").connect(*full.getsockname(), connect_timeout=0.1)
            with pytest.raises(TimeoutError, match=r"connecting to 127\.0\.0\.1:\d+ took more than 0\.1 s"):
                await connecting
            for filler in fillers:
                filler.close()

    play(main())


@pytest.mark.parametrize("greeted", [False, True])
def test_a_cancelled_login_leaves_nothing(esl: ModuleType, play: Any, greeted: bool) -> None:
    async def main() -> None:
        async with Script() as switch:
            task = asyncio.create_task(part(esl, "aio").connect("127.0.0.1", switch.port).__aenter__())
            peer = await switch.accept()
            if greeted:
                peer.sends(AUTH)
                await peer.command()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await peer.ends()

    play(main())


def test_cancelled_while_connecting(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        async with Script() as switch:
            for turns in range(12):  # wherever that is
                task = asyncio.create_task(part(esl, "aio").connect("127.0.0.1", switch.port).__aenter__())
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

    play(main())


def test_bounds_are_checked(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        aio = part(esl, "aio")
        with pytest.raises(ValueError, match="queue_limit"):
            await aio.connect(port=1, queue_limit=0)
        with pytest.raises(ValueError, match="when_full"):
            await aio.connect(port=1, when_full="wait")
        with pytest.raises(ValueError, match="queue_limit"):
            await aio.serve(None, queue_limit=0)

    play(main())


# Commands

VERBS: list[tuple[Callable[[Any], Awaitable[Any]], bytes]] = [
    (lambda fs: fs.send("version"), b"version"),
    (lambda fs: fs.send(b"log 7\n\n"), b"log 7"),
    (lambda fs: fs.subscribe("DTMF", custom=["a::b"], format="json"), b"event json DTMF CUSTOM a::b"),
    (lambda fs: fs.unsubscribe("DTMF", custom=["a::b"]), b"nixevent DTMF CUSTOM a::b"),
    (lambda fs: fs.noevents(), b"noevents"),
    (lambda fs: fs.myevents("u-1"), b"myevents u-1"),
    (lambda fs: fs.divert_events(), b"divert_events on"),
    (lambda fs: fs.divert_events(False), b"divert_events off"),
    (lambda fs: fs.filter("A", "b"), b"filter add A b"),
    (lambda fs: fs.filter_delete("A", "b"), b"filter delete A b"),
    (lambda fs: fs.filter_delete(), b"filter delete all"),
    (
        lambda fs: fs.sendevent("CUSTOM", {"A": "b"}, subclass="x::y"),
        b"sendevent CUSTOM\nEvent-Subclass: x::y\nA: b",
    ),
    (
        lambda fs: fs.sendmsg("nomedia", {"nomedia-uuid": "u"}, uuid="u-1"),
        b"sendmsg u-1\ncall-command: nomedia\nnomedia-uuid: u",
    ),
    (
        lambda fs: fs.execute("sleep", "9", uuid="u-1", event_lock=True),
        b"sendmsg u-1\ncall-command: execute\nexecute-app-name: sleep\nexecute-app-arg: 9\nevent-lock: true",
    ),
    (lambda fs: fs.hangup(uuid="u-1"), b"sendmsg u-1\ncall-command: hangup\nhangup-cause: NORMAL_CLEARING"),
    (lambda fs: fs.hangup("USER_BUSY"), b"sendmsg\ncall-command: hangup\nhangup-cause: USER_BUSY"),
    (lambda fs: fs.log(), b"log"),
    (lambda fs: fs.log("info"), b"log info"),
    (lambda fs: fs.nolog(), b"nolog"),
    (lambda fs: fs.linger(), b"linger"),
    (lambda fs: fs.linger(5), b"linger 5"),
    (lambda fs: fs.nolinger(), b"nolinger"),
    (lambda fs: fs.resume(), b"resume"),
    (lambda fs: fs.exit(), b"exit"),
]


def test_every_command_goes_out_and_its_reply_comes_back(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        async with pair(esl) as (fs, peer, _):
            for number, (verb, wanted) in enumerate(VERBS):
                task = asyncio.create_task(verb(fs))
                assert await peer.command() == wanted + b"\n\n"
                peer.sends(reply(b"+OK %d" % number))
                answer = await task
                assert (type(answer).__name__, answer.text) == ("CommandReply", f"+OK {number}")

    play(main())


@pytest.mark.parametrize("verb", [verb for verb, _ in VERBS[2:]])
def test_what_the_switch_refuses_is_an_error(esl: ModuleType, play: Any, verb: Any) -> None:
    async def main() -> None:
        async with pair(esl) as (fs, peer, _):
            task = asyncio.create_task(verb(fs))
            await peer.command()
            peer.sends(reply(b"-ERR permission denied"))
            assert await error_of(task) == ("CommandError", "-ERR permission denied")
            assert not fs.closed

    play(main())


def test_refusals_of_send_and_api_are_data(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        async with pair(esl) as (fs, peer, _):
            asking = asyncio.gather(
                fs.send("nosuch"), fs.api("nosuch", "x y"), fs.api("status", console_execute=True), fs.api("secret")
            )
            await peer.answers(
                (b"nosuch\n\n", reply(b"-ERR command not found")),
                (b"api nosuch x y\n\n", api_response(b"-ERR nosuch Command not found!\n")),
                (b"api status\nconsole_execute: true\n\n", api_response(b"UP\n")),
                (b"api secret\n\n", reply(b"-ERR permission denied")),
            )
            assert [(type(answer).__name__, answer.ok, answer.text) for answer in await asking] == [
                ("CommandReply", False, "-ERR command not found"),
                ("ApiResponse", False, "-ERR nosuch Command not found!\n"),
                ("ApiResponse", True, "UP\n"),
                ("CommandReply", False, "-ERR permission denied"),
            ]

    play(main())


def test_a_variable_is_its_text_or_none(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        async with pair(esl) as (fs, peer, _):
            for answer, value in ((b"a b", "a b"), (b"-ERR command not found", None), (b"-ERR x", "-ERR x")):
                task = asyncio.create_task(fs.getvar("x"))
                await peer.answers((b"getvar x\n\n", reply(answer)))
                assert await task == value

    play(main())


def test_events_between_a_command_and_its_reply_wait_in_order(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        async with pair(esl) as (fs, peer, _):
            task = asyncio.create_task(fs.api("status"))
            await peer.command()
            peer.sends(numbered(range(3)), api_response(b"UP\n"), numbered(range(3, 5)))
            assert (await task).text == "UP\n"
            assert sequences(await take(fs.events(), 5)) == [0, 1, 2, 3, 4]

    play(main())


def test_a_thousand_pipelined_commands(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        with Emulator() as switch:
            switch.api["echo"] = lambda args: args
            async with part(esl, "aio").connect(port=switch.port) as fs:
                replies = await fs.pipeline(f"api echo {number}" for number in range(1000))
                assert [answer.text for answer in replies] == [str(number) for number in range(1000)]

    play(main())


def test_a_pipeline_goes_out_whole_or_not_at_all(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        async with pair(esl) as (fs, peer, _):
            assert (await error_of(fs.pipeline(["api status", "log\r"])))[0] == "InvalidCommand"
            task = asyncio.create_task(fs.pipeline(["log", b"nolog\n\n"]))
            await peer.answers((b"log\n\n", OK), (b"nolog\n\n", reply(b"-ERR")))
            assert [answer.ok for answer in await task] == [True, False]

    play(main())


def test_a_late_reply_is_passed_over(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        async with pair(esl, command_timeout=0.05) as (fs, peer, _):
            assert await error_of(fs.api("slow")) == ("CommandTimeout", "waited 0.05 s for the answer to 'api slow'")
            assert await error_of(fs.api("slow", timeout=0.01)) == (
                "CommandTimeout",
                "waited 0.01 s for the answer to 'api slow'",
            )
            pipeline = await error_of(fs.pipeline(["log", "nolog"], timeout=0.02))
            assert pipeline == ("CommandTimeout", "waited 0.02 s for the answer to 'log'")
            task = asyncio.create_task(fs.api("quick", timeout=10))
            for _ in range(5):
                await peer.command()
            peer.sends(api_response(b"slow"), api_response(b"slow"), OK, OK, api_response(b"quick"))
            assert (await task).text == "quick"

    play(main())


def test_commands_wait_until_the_switch_reads(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        async with pair(esl) as (fs, peer, _):
            peer.writer.transport.pause_reading()
            narrow(fs, peer)
            big = "x" * (4 << 20)
            first = [asyncio.create_task(fs.api("echo", big)) for _ in range(2)]
            await until(lambda: fs._link._blocked)
            kind, text = await error_of(fs.api("status", timeout=0.05))
            assert (kind, text) == ("CommandTimeout", "waited 0.05 s for the switch to read what was sent before")
            second = asyncio.create_task(fs.api("status"))
            peer.reader._limit = 16 << 20
            peer.writer.transport.resume_reading()
            for _ in first:
                assert len(await peer.command()) > 4 << 20
                peer.sends(api_response(b"1"))
            assert await peer.command() == b"api status\n\n"
            peer.sends(api_response(b"2"))
            assert [(await task).text for task in (*first, second)] == ["1", "1", "2"]

    play(main())


def test_commands_that_wait_for_the_socket_end_with_the_connection(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        async with pair(esl) as (fs, peer, _):
            peer.writer.transport.pause_reading()
            narrow(fs, peer)
            tasks = [asyncio.create_task(fs.api("echo", "x" * (8 << 20)))]
            await until(lambda: fs._link._blocked)
            tasks.append(asyncio.create_task(fs.api("status")))
            await asyncio.sleep(0)
            await fs.close()
            assert [await error_of(task) for task in tasks] == [("ConnectionClosed", "closed by us")] * 2

    play(main())


# Jobs


def test_a_thousand_jobs_at_once_in_any_order(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        with Emulator() as switch:
            switch.api["echo"] = lambda args: args
            switch.hold_jobs = True
            async with part(esl, "aio").connect(port=switch.port) as fs:
                jobs = await asyncio.gather(*(fs.bgapi("echo", str(number)) for number in range(1000)))
                assert len({job.uuid for job in jobs}) == 1000
                assert not any(job.done for job in jobs)
                results = asyncio.gather(*(job.result(timeout=60) for job in jobs))
                await asyncio.sleep(0)
                order = switch.release_jobs("random", seed=1)
                assert [result.text for result in await results] == [str(number) for number in range(1000)]
                assert order != [job.uuid for job in jobs]
                assert all(job.done for job in jobs)
                assert not fs.connection.queue  # nobody asked for BACKGROUND_JOB but we

    play(main())


def test_a_job_may_be_waited_for_again_and_by_several(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        async with pair(esl) as (fs, peer, _):
            begin = asyncio.create_task(fs.bgapi("status", job_uuid="j-1"))
            assert await peer.command() == b"event BACKGROUND_JOB\n\n"
            command = await peer.command()
            assert command == b"bgapi status\nJob-UUID: j-1\n\n"
            peer.sends(ENABLED, reply(b"+OK Job-UUID: j-1", b"Job-UUID: j-1\n"))
            job = await begin
            assert (job.uuid, job.done, repr(job)) == ("j-1", False, "<Job j-1 running>")
            assert await error_of(job.result(timeout=0.01)) == (
                "CommandTimeout",
                "waited 0.01 s for the result of 'bgapi status'",
            )
            both = asyncio.gather(job.result(), job.result())
            peer.sends(job_done(command, b"UP\n"))
            assert [result.text for result in await both] == ["UP\n", "UP\n"]
            assert (await job.result(timeout=0)).job_uuid == "j-1"
            assert repr(job) == "<Job j-1 done>"

    play(main())


def test_a_job_that_the_switch_refuses(esl: ModuleType, play: Any) -> None:
    async def main() -> None:
        async with pair(esl) as (fs, peer, _):
            begin = asyncio.create_task(fs.bgapi("system", "reboot"))
            await peer.command()
            await peer.command()
            peer.sends(ENABLED, reply(b"-ERR permission denied"))
            assert await error_of(begin) == ("CommandError", "-ERR permission denied")

    play(main())


# The loop


def test_run_takes_uvloop_if_it_is_there(esl: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    aio = part(esl, "aio")

    async def main(argument: Any) -> Any:
        return argument, type(asyncio.get_running_loop()).__module__.partition(".")[0]

    monkeypatch.setitem(sys.modules, "uvloop", None)  # as if it were not installed
    assert aio.run(main(1)) == (1, "asyncio")
    monkeypatch.undo()
    pytest.importorskip("uvloop")
    assert aio.run(main(2)) == (2, "uvloop")
