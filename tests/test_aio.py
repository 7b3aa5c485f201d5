"""The asyncio client and server, on both cores, on asyncio's own loop and on uvloop.

Where bytes matter the switch is a script beside the client (`Script`); where behaviour matters it is the emulator.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import random
import re
import socket
import struct
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from itertools import chain, pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support import ACCEPTED, AUTH, FAREWELL, OK, REJECTED, api_response, notice, part, plain, reply

from eslcodec.emulator import Emulator, User

Play = Callable[[Coroutine[Any, Any, Any]], Any]
CONNECTED = (
    b"Event-Name: CHANNEL_DATA\nUnique-ID: u-1\nvariable_x: a%20b\nContent-Type: command/reply\n"
    b"Reply-Text: %2BOK%0A\nSocket-Mode: async\nControl: full\n\n"
)
LINGER = (
    b"Content-Type: text/disconnect-notice\nControlled-Session-UUID: u-1\nContent-Disposition: linger\n"
    b"Channel-Name: loopback/1\nLinger-Time: 5\nContent-Length: 0\n\n"
)
LOG = b"Content-Type: log/data\nContent-Length: 2\nLog-Level: 7\nUser-Data: \n\nx\n"
ENABLED = reply(b"+OK event listener enabled plain")
PROBE = b"filter delete Eslcodec-Probe\n\n"


def event(name: bytes, *lines: bytes, body: bytes = b"") -> bytes:
    length = [b"Content-Length: %d" % len(body)] if body else []
    return plain(b"\n".join([b"Event-Name: " + name, *lines, *length, b"", b""]) + body)


def numbered(numbers: range) -> bytes:
    return b"".join(event(b"HEARTBEAT", b"Event-Sequence: %d" % number) for number in numbers)


def job_accepted(command: bytes) -> bytes:
    """The reply to a `bgapi`."""
    return reply(b"+OK Job-UUID: " + job_uuid(command), b"Job-UUID: " + job_uuid(command) + b"\n")


def job_done(command: bytes, output: bytes = b"+OK\n") -> bytes:
    """The result of the job that a `bgapi` began."""
    return event(b"BACKGROUND_JOB", b"Job-UUID: " + job_uuid(command), body=output)


def job_uuid(command: bytes) -> bytes:
    return command.partition(b"Job-UUID: ")[2].strip()


@pytest.fixture(params=["asyncio", "uvloop"])
def play(request: pytest.FixtureRequest) -> Play:
    """Runs a coroutine, for a hundred seconds at most, on an event loop; nothing may be left of it then."""
    loops = asyncio if request.param == "asyncio" else pytest.importorskip("uvloop")

    async def whole(main: Coroutine[Any, Any, Any]) -> Any:
        await asyncio.sleep(0)
        before = sockets()
        result = await asyncio.wait_for(main, 100)
        await asyncio.sleep(0)  # what was cancelled is done then
        assert asyncio.all_tasks() == {asyncio.current_task()}
        await until(lambda: sockets() == before)
        return result

    def run(main: Coroutine[Any, Any, Any]) -> Any:
        loop = loops.new_event_loop()
        try:
            asyncio.set_event_loop(loop)
            return loop.run_until_complete(whole(main))
        finally:
            asyncio.set_event_loop(None)
            loop.close()

    return run


def sockets() -> int:
    """How many are open; a loop opens other things when it needs them first."""
    return sum("socket:" in target for target in map(leads_to, Path("/proc/self/fd").glob("*")))


def leads_to(link: Path) -> str:
    try:
        return os.readlink(link)
    except FileNotFoundError:  # another thread closed it since it was listed
        return ""


async def until(condition: Callable[[], Any]) -> Any:
    """Wait until a condition holds, which something else brings about."""
    for _ in range(8000):
        result = condition()
        if result:
            return result
        await asyncio.sleep(0.005)
    raise AssertionError("not so within 40 s")


class Peer:
    """A connection of a `Script`: what the client sent, and what it is sent."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def command(self) -> bytes:
        """The next command."""
        return await asyncio.wait_for(self.reader.readuntil(b"\n\n"), 10)

    async def answers(self, *exchange: tuple[bytes, bytes]) -> None:
        """These commands come, and are answered by that."""
        for command, answer in exchange:
            assert await self.command() == command
            self.sends(answer)

    def sends(self, *frames: bytes) -> None:
        self.writer.write(b"".join(frames))

    async def ends(self) -> None:
        """The client closes."""
        assert await asyncio.wait_for(self.reader.read(), 10) == b""

    async def close(self) -> None:
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()

    def reset(self) -> None:
        """Close as a peer that crashed."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


class Script:
    """A switch that does what a test says, in the client's own loop."""

    async def __aenter__(self) -> Script:
        self.peers: list[Peer] = []
        self._waiting: asyncio.Queue[Peer] = asyncio.Queue()
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        for peer in self.peers:
            await peer.close()

    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        self.peers.append(peer)
        self._waiting.put_nowait(peer)

    async def accept(self) -> Peer:
        return await asyncio.wait_for(self._waiting.get(), 10)

    async def lets_in(self, *frames: bytes, password: bytes = b"ClueCon") -> Peer:
        """The next connection, logged in."""
        peer = await self.accept()
        peer.sends(AUTH)
        assert await peer.command() == b"auth " + password + b"\n\n"
        peer.sends(ACCEPTED, *frames)
        return peer


@asynccontextmanager
async def pair(esl: ModuleType, **options: Any) -> AsyncIterator[tuple[Any, Peer, Script]]:
    """A client that is logged in, and the other side of its connection."""
    async with Script() as switch:
        peer, fs = await asyncio.gather(
            switch.lets_in(), part(esl, "aio").connect("127.0.0.1", switch.port, **options).__aenter__()
        )
        try:
            yield fs, peer, switch
        finally:
            await fs.close()


def narrow(fs: Any, peer: Peer) -> None:
    """Let the sockets keep little; on some machines they would grow to tens of megabytes."""
    for transport, side in ((fs._link._transport, socket.SO_SNDBUF), (peer.writer.transport, socket.SO_RCVBUF)):
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, side, 1 << 16)


async def error_of(waiting: Awaitable[Any]) -> tuple[str, str]:
    """Type and text of what an awaitable raises."""
    try:
        result = await waiting
    except Exception as error:
        return type(error).__name__, str(error)
    pytest.fail(f"nothing was raised, but {result!r} returned")


def sequences(events: list[Any]) -> list[int]:
    return [event.sequence for event in events]


async def take(events: Any, count: int) -> list[Any]:
    """So many of them."""
    taken = []
    async for event in events:
        taken.append(event)
        if len(taken) == count:
            break
    return taken


# Login


def test_a_client_logs_in_with_the_default_password(esl, play):
    async def main():
        async with pair(esl) as (fs, _, _):
            assert not fs.closed
            assert fs.connection.logged_in
        assert fs.closed

    play(main())


def test_a_client_may_be_awaited_or_entered(esl, play):
    async def main():
        with Emulator(password="secret") as switch:
            fs = await part(esl, "aio").connect("127.0.0.1", switch.port, password="secret")
            assert (await fs.api("global_getvar", "no_such")).text is not None
            assert (fs.host, fs.port) == ("127.0.0.1", switch.port)
            await fs.close()
            async with part(esl, "aio").connect("127.0.0.1", switch.port, password="secret") as other:
                assert not other.closed
            assert other.closed

    play(main())


def test_the_password_is_never_shown(esl, play, caplog):
    caplog.set_level(logging.DEBUG)

    async def main():
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


def test_an_address_that_the_acl_refuses(esl, play):
    async def main():
        async with Script() as switch:
            task = asyncio.create_task(part(esl, "aio").connect("127.0.0.1", switch.port).__aenter__())
            (await switch.accept()).sends(REJECTED)
            text = f"127.0.0.1:{switch.port} refused our address: Access Denied, go away."
            assert await error_of(task) == ("AccessDenied", text)
        with Emulator(allow=False) as emulator, pytest.raises(esl.AccessDenied):
            await part(esl, "aio").connect("127.0.0.1", emulator.port)

    play(main())


def test_a_directory_user_logs_in_with_userauth(esl, play):
    async def main():
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
def test_what_cannot_be_sent_is_refused_before_connecting(esl, options, said):
    with pytest.raises(esl.InvalidCommand, match=re.escape(said)):
        part(esl, "aio").connect("127.0.0.1", 1, **options)


def test_a_switch_that_does_not_greet(esl, play):
    async def main():
        async with Script() as switch:
            connecting = part(esl, "aio").connect("127.0.0.1", switch.port, connect_timeout=0.05)
            wanted = ("CommandTimeout", f"waited 0.05 s for the login at 127.0.0.1:{switch.port}")
            assert await error_of(connecting.__aenter__()) == wanted
            await switch.peers[0].ends()

    play(main())


def test_a_switch_that_closes_before_it_answers(esl, play):
    async def main():
        async with Script() as switch:
            task = asyncio.create_task(part(esl, "aio").connect("127.0.0.1", switch.port).__aenter__())
            peer = await switch.accept()
            peer.sends(AUTH)
            await peer.command()
            await peer.close()
            wanted = ("ConnectionClosed", "the switch closed the connection before the login was answered")
            assert await error_of(task) == wanted

    play(main())


def test_a_switch_that_says_goodbye_at_once(esl, play):
    async def main():
        async with Script() as switch:
            task = asyncio.create_task(part(esl, "aio").connect("127.0.0.1", switch.port).__aenter__())
            await switch.lets_in(numbered(range(1)), notice(FAREWELL))
            fs = await task
            assert fs.closed
            assert sequences([event async for event in fs.events()]) == [0]
            await fs.close()

    play(main())


def test_nobody_listens(esl, play):
    async def main():
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        with pytest.raises(ConnectionRefusedError):
            await part(esl, "aio").connect("127.0.0.1", port)

    play(main())


def test_a_connection_that_takes_too_long(esl, play):
    async def main():
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
def test_a_cancelled_login_leaves_nothing(esl, play, greeted):
    async def main():
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


def test_cancelled_while_connecting(esl, play):
    async def main():
        async with Script() as switch:
            for turns in range(12):  # wherever that is
                task = asyncio.create_task(part(esl, "aio").connect("127.0.0.1", switch.port).__aenter__())
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

    play(main())


def test_bounds_are_checked(esl, play):
    async def main():
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


def test_every_command_goes_out_and_its_reply_comes_back(esl, play):
    async def main():
        async with pair(esl) as (fs, peer, _):
            for number, (verb, wanted) in enumerate(VERBS):
                task = asyncio.create_task(verb(fs))
                assert await peer.command() == wanted + b"\n\n"
                peer.sends(reply(b"+OK %d" % number))
                answer = await task
                assert (type(answer).__name__, answer.text) == ("CommandReply", f"+OK {number}")

    play(main())


@pytest.mark.parametrize("verb", [verb for verb, _ in VERBS[2:]])
def test_what_the_switch_refuses_is_an_error(esl, play, verb):
    async def main():
        async with pair(esl) as (fs, peer, _):
            task = asyncio.create_task(verb(fs))
            await peer.command()
            peer.sends(reply(b"-ERR permission denied"))
            assert await error_of(task) == ("CommandError", "-ERR permission denied")
            assert not fs.closed

    play(main())


def test_refusals_of_send_and_api_are_data(esl, play):
    async def main():
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


def test_a_variable_is_its_text_or_none(esl, play):
    async def main():
        async with pair(esl) as (fs, peer, _):
            for answer, value in ((b"a b", "a b"), (b"-ERR command not found", None), (b"-ERR x", "-ERR x")):
                task = asyncio.create_task(fs.getvar("x"))
                await peer.answers((b"getvar x\n\n", reply(answer)))
                assert await task == value

    play(main())


def test_events_between_a_command_and_its_reply_wait_in_order(esl, play):
    async def main():
        async with pair(esl) as (fs, peer, _):
            task = asyncio.create_task(fs.api("status"))
            await peer.command()
            peer.sends(numbered(range(3)), api_response(b"UP\n"), numbered(range(3, 5)))
            assert (await task).text == "UP\n"
            assert sequences(await take(fs.events(), 5)) == [0, 1, 2, 3, 4]

    play(main())


def test_a_thousand_pipelined_commands(esl, play):
    async def main():
        with Emulator() as switch:
            switch.api["echo"] = lambda args: args
            async with part(esl, "aio").connect(port=switch.port) as fs:
                replies = await fs.pipeline(f"api echo {number}" for number in range(1000))
                assert [answer.text for answer in replies] == [str(number) for number in range(1000)]

    play(main())


def test_a_pipeline_goes_out_whole_or_not_at_all(esl, play):
    async def main():
        async with pair(esl) as (fs, peer, _):
            assert (await error_of(fs.pipeline(["api status", "log\r"])))[0] == "InvalidCommand"
            task = asyncio.create_task(fs.pipeline(["log", b"nolog\n\n"]))
            await peer.answers((b"log\n\n", OK), (b"nolog\n\n", reply(b"-ERR")))
            assert [answer.ok for answer in await task] == [True, False]

    play(main())


def test_a_late_reply_is_passed_over(esl, play):
    async def main():
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


def test_commands_wait_until_the_switch_reads(esl, play):
    async def main():
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


def test_commands_that_wait_for_the_socket_end_with_the_connection(esl, play):
    async def main():
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


def test_a_thousand_jobs_at_once_in_any_order(esl, play):
    async def main():
        with Emulator() as switch:
            switch.api["echo"] = lambda args: args
            switch.hold_jobs = True
            async with part(esl, "aio").connect(port=switch.port) as fs:
                jobs = await asyncio.gather(*(fs.bgapi("echo", str(number)) for number in range(1000)))
                assert len({job.uuid for job in jobs}) == 1000
                assert not any(job.done for job in jobs)
                results = asyncio.gather(*(job.result(timeout=20) for job in jobs))
                await asyncio.sleep(0)
                order = switch.release_jobs("random", seed=1)
                assert [result.text for result in await results] == [str(number) for number in range(1000)]
                assert order != [job.uuid for job in jobs]
                assert all(job.done for job in jobs)
                assert not fs.connection.queue  # nobody asked for BACKGROUND_JOB but we

    play(main())


def test_a_job_may_be_waited_for_again_and_by_several(esl, play):
    async def main():
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


def test_a_job_that_the_switch_refuses(esl, play):
    async def main():
        async with pair(esl) as (fs, peer, _):
            begin = asyncio.create_task(fs.bgapi("system", "reboot"))
            await peer.command()
            await peer.command()
            peer.sends(ENABLED, reply(b"-ERR permission denied"))
            assert await error_of(begin) == ("CommandError", "-ERR permission denied")

    play(main())


# Backpressure


def test_a_slow_reader_loses_nothing_and_the_queue_stays_short(esl, play):
    async def main():
        async with pair(esl, queue_limit=10, queue_hard_limit=20) as (fs, peer, _):
            count = 40_000
            peer.sends(numbered(range(count)))
            await until(lambda: fs._link.paused)
            longest = len(fs.connection.queue)
            read = []
            async for event in fs.events():
                longest = max(longest, len(fs.connection.queue))
                read.append(event.sequence)
                if len(read) % 100 == 0:
                    await asyncio.sleep(0)
                if len(read) == count:
                    break
            assert read == list(range(count))
            assert longest < 10 + (256 << 10) / len(numbered(range(1)))  # what was there, and one more piece
            assert fs.dropped == 0

    play(main())


def test_reading_stands_still_while_the_queue_is_full(esl, play):
    async def main():
        async with pair(esl, queue_limit=10) as (fs, peer, _):
            peer.sends(numbered(range(10)))
            await until(lambda: fs._link.paused)
            peer.sends(numbered(range(10, 11)))
            await asyncio.sleep(0.02)
            assert len(fs.connection.queue) == 10
            assert (await fs.next_event()).sequence == 0
            assert not fs._link.paused
            assert sequences(await take(fs.events(), 10)) == list(range(1, 11))

    play(main())


def test_reading_stands_still_while_what_waits_is_too_large(esl, play, monkeypatch):
    async def main():
        size = len(numbered(range(1)))
        monkeypatch.setattr(part(esl, "limits"), "EVENT_QUEUE_BYTES", 10 * size)
        async with pair(esl) as (fs, peer, _):
            peer.sends(numbered(range(10)))
            await until(lambda: fs._link.paused)
            peer.sends(numbered(range(10, 11)))
            await asyncio.sleep(0.02)
            assert len(fs.connection.queue) == 10
            assert sequences(await take(fs.events(), 11)) == list(range(11))
            assert not fs._link.paused

    play(main())


def test_dropping_keeps_the_newest_and_counts(esl, play):
    async def main():
        async with pair(esl, queue_limit=100, when_full="drop") as (fs, peer, _):
            peer.sends(numbered(range(500)))
            await until(lambda: fs.connection.queue and fs.connection.queue[-1].sequence == 499)
            assert fs.dropped == 400
            assert sequences(await take(fs.events(), 100)) == list(range(400, 500))
            peer.sends(numbered(range(500, 600)))
            assert sequences(await take(fs.events(), 100)) == list(range(500, 600))
            assert fs.dropped == 400

    play(main())


def test_a_command_is_answered_though_the_queue_is_full(esl, play):
    async def main():
        async with pair(esl, queue_limit=10, queue_hard_limit=1000) as (fs, peer, _):
            peer.sends(numbered(range(10)))
            await until(lambda: fs._link.paused)
            task = asyncio.create_task(fs.api("status"))
            await peer.command()
            peer.sends(numbered(range(10, 500)))
            await until(lambda: len(fs.connection.queue) == 500)  # it reads on, since somebody waits
            peer.sends(api_response(b"UP\n"))
            assert (await task).text == "UP\n"
            assert fs._link.paused
            assert sequences(await take(fs.events(), 500)) == list(range(500))
            assert not fs._link.paused

    play(main())


def test_beyond_the_hard_bound_waiting_is_in_vain_and_everything_goes_on(esl, play):
    async def main():
        async with pair(esl, queue_limit=10, queue_hard_limit=50) as (fs, peer, _):
            task = asyncio.create_task(fs.api("status"))
            await peer.command()
            peer.sends(numbered(range(50)))
            wanted = (
                "EventQueueFull",
                "waiting for the answer to 'api status': 50 messages are queued, expected somebody to read them (50)",
            )
            assert await error_of(task) == wanted
            assert (await error_of(fs.api("version")))[0] == "EventQueueFull"  # at once
            peer.sends(api_response(b"late"))
            assert sequences(await take(fs.events(), 50)) == list(range(50))
            task = asyncio.create_task(fs.api("uptime"))
            await peer.answers((b"api version\n\n", api_response(b"late too")), (b"api uptime\n\n", api_response(b"1")))
            assert (await task).text == "1"

    play(main())


def test_handlers_send_commands_though_the_queue_is_full(esl, play):
    async def main():
        with Emulator() as switch:
            switch.api["echo"] = lambda args: args
            async with part(esl, "aio").connect(port=switch.port, queue_limit=2) as fs:
                echoed = []

                @fs.on("HEARTBEAT")
                async def beat(event):
                    job = await fs.bgapi("echo", event["N"])
                    answer = await fs.api("echo", event["N"])
                    echoed.append((answer.text, (await job.result(10)).text))
                    if len(echoed) == 200:
                        await fs.exit()

                await fs.subscribe("HEARTBEAT")
                for number in range(200):
                    switch.fire("HEARTBEAT", {"N": str(number)})
                await fs.run()
                assert echoed == [(str(number), str(number)) for number in range(200)]

    play(main())


# Reading


def test_each_event_goes_to_one_of_several_readers(esl, play):
    async def main():
        async with pair(esl) as (fs, peer, _):

            async def read(into):
                async for event in fs.events():
                    into.append(event.sequence)
                    await asyncio.sleep(0)

            shares: list[list[int]] = [[], [], []]
            readers = [asyncio.create_task(read(share)) for share in shares]
            await asyncio.sleep(0)
            peer.sends(numbered(range(1000)), notice(FAREWELL))
            await asyncio.gather(*readers)
            assert sorted(chain(*shares)) == list(range(1000))
            assert all(share == sorted(share) for share in shares)
            assert all(shares)

    play(main())


def test_reading_ends_when_the_connection_ended_well(esl, play):
    async def main():
        async with pair(esl) as (fs, peer, _):
            peer.sends(numbered(range(3)), LOG, notice(FAREWELL))
            assert sequences([event async for event in fs.events()]) == [0, 1, 2]
            assert [event async for event in fs.events()] == []
            assert fs.closed
            assert await error_of(fs.next_event()) == ("ConnectionClosed", "the switch said good-bye")
            assert await error_of(fs.api("status")) == ("ConnectionClosed", "the switch said good-bye")
            await peer.ends()

    play(main())


@pytest.mark.parametrize(
    ("last", "wanted"),
    [
        (b"", ("ConnectionClosed", "the switch closed the connection")),
        (notice(b"The system is being shut down.\n"), ("ConnectionClosed", "The system is being shut down.")),
        (
            b"Content-Type: api/resp",
            ("ConnectionClosed", "stream ended in a header block: read 22 bytes, expected a blank line"),
        ),
        (
            b"Content-Length: x\n\n",
            ("InvalidContentLength", "read Content-Length 'x', expected ASCII digits"),
        ),
        (OK, ("ProtocolError", "read a reply that no command asked for: '+OK'")),
    ],
)
def test_reading_raises_why_it_ended_after_what_was_received(esl, play, last, wanted):
    async def main():
        async with pair(esl) as (fs, peer, _):
            peer.sends(numbered(range(3)), last)
            await peer.close()
            read = []

            async def read_all():
                async for event in fs.events():
                    read.append(event.sequence)

            assert await error_of(read_all()) == wanted
            assert read == [0, 1, 2]
            assert await error_of(fs.next_event(timeout=0)) == wanted
            assert await error_of(fs.run()) == wanted
            assert await error_of(fs.log()) == wanted

    play(main())


def test_a_reset_connection_says_so(esl, play):
    async def main():
        async with pair(esl) as (fs, peer, _):
            peer.reset()
            with pytest.raises(esl.ConnectionClosed, match="the connection was lost: ") as caught:
                await fs.next_event()
            assert isinstance(caught.value.__cause__, ConnectionResetError)

    play(main())


def test_reading_with_a_timeout(esl, play):
    async def main():
        async with pair(esl) as (fs, peer, _):
            assert await fs.next_event(timeout=0.01) is None
            assert await fs.next_event(timeout=0) is None
            peer.sends(numbered(range(2)), LOG)
            assert sequences([event async for event in fs.events(timeout=0.05)]) == [0, 1]
            peer.sends(LOG, numbered(range(2, 3)))
            kinds = [type(message).__name__ async for message in fs.messages(timeout=0.05)]
            assert kinds == ["LogLine", "Event"]
            waiting = asyncio.create_task(fs.next_event(5))
            await asyncio.sleep(0)
            peer.sends(LOG)
            assert await error_of(fs.api("status", timeout=0.02)) == (
                "CommandTimeout",
                "waited 0.02 s for the answer to 'api status'",
            )
            peer.sends(numbered(range(3, 4)))
            assert (await waiting).sequence == 3
            assert not fs.closed

    play(main())


def test_other_tasks_live_while_a_full_queue_is_read(esl, play):
    async def main():
        async with pair(esl) as (fs, peer, _):
            peer.sends(numbered(range(4000)))
            await until(lambda: len(fs.connection.queue) == 4000)
            turns = 0

            async def count():
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0)

            counting = asyncio.create_task(count())
            assert sequences(await take(fs.events(), 4000)) == list(range(4000))
            assert turns >= 4000 // 128 - 1
            counting.cancel()

    play(main())


def test_a_reader_that_is_left_holds_nothing(esl, play):
    async def main():
        async with pair(esl) as (fs, peer, _):
            peer.sends(numbered(range(4)))
            async for event in fs.events():
                assert event.sequence == 0
                break
            assert sequences(await take(fs.events(), 3)) == [1, 2, 3]

    play(main())


# Cancellation


def test_a_cancelled_command_leaves_the_others_their_replies(esl, play):
    async def main():
        async with pair(esl) as (fs, peer, _):
            tasks = [asyncio.create_task(fs.api("echo", str(number))) for number in range(3)]
            for _ in tasks:
                await peer.command()
            tasks[1].cancel()
            with pytest.raises(asyncio.CancelledError):
                await tasks[1]
            peer.sends(*(api_response(b"%d" % number) for number in range(3)))
            assert [(await task).text for task in (tasks[0], tasks[2])] == ["0", "2"]
            assert fs.connection.watcher_count == 0

    play(main())


def test_a_cancelled_wait_for_a_job_may_be_repeated(esl, play):
    async def main():
        async with pair(esl) as (fs, peer, _):
            begin = asyncio.create_task(fs.bgapi("status", job_uuid="j-1"))
            await peer.command()
            command = await peer.command()
            peer.sends(ENABLED, reply(b"+OK Job-UUID: j-1", b"Job-UUID: j-1\n"))
            job = await begin
            waiting = asyncio.create_task(job.result())
            await until(lambda: fs.connection.watcher_count)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            peer.sends(job_done(command, b"UP\n"))
            assert (await job.result(5)).text == "UP\n"

    play(main())


def test_cancelled_readers_lose_no_event(esl, play):
    async def main():
        async with pair(esl) as (fs, peer, _):
            read: list[int] = []

            async def read_on():
                async for event in fs.events():
                    read.append(event.sequence)
                    await asyncio.sleep(0)

            chance = random.Random(1)
            for number in range(300):
                reader = asyncio.create_task(read_on())
                peer.sends(numbered(range(number, number + 1)))
                for _ in range(chance.randrange(8)):
                    await asyncio.sleep(0)
                reader.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await reader
            while len(read) < 300:
                read.append((await fs.next_event(5)).sequence)
            assert read == list(range(300))

    play(main())


# The end

SESSION: list[tuple[bytes, Callable[[bytes], bytes]]] = [
    (b"", lambda _: AUTH),
    (b"auth ClueCon\n\n", lambda _: ACCEPTED),
    (b"event plain ALL\n\n", lambda _: numbered(range(1)) + ENABLED),
    (b"bgapi status\n", lambda command: job_accepted(command)),
    (b"api status\n\n", lambda _: api_response(b"UP\n")),
]


def test_a_connection_that_ends_at_any_byte_ends_every_wait(esl, play):
    """A whole session, cut off after every number of bytes: everybody who waits gets a typed error, soon."""
    ends = [numbered(range(1, 2)), notice(FAREWELL)]

    async def serve(peer: Peer, budget: int, reset: bool) -> bool:
        def send(data: bytes) -> bool:
            nonlocal budget
            peer.sends(data[:budget])
            budget -= len(data)
            return budget >= 0

        whole = True
        begun = b""
        for wanted, answer in SESSION:
            command = await peer.command() if wanted else b""
            assert command.startswith(wanted)
            begun = command if b"bgapi" in command else begun
            whole = send(answer(command))
            if not whole:
                break
        else:
            whole = all(send(frame) for frame in (job_done(begun), *ends))
        await peer.writer.drain()
        peer.reset() if reset else await peer.close()
        return whole

    async def session(port: int) -> list[int]:
        async with part(esl, "aio").connect("127.0.0.1", port) as fs:
            read: list[int] = []

            async def read_all():
                async for event in fs.events():
                    read.append(event.sequence)

            reader = asyncio.create_task(read_all())
            try:
                await fs.subscribe("ALL", format="plain")
                job = await fs.bgapi("status")
                waiting = asyncio.create_task(job.result())
                try:
                    assert (await fs.api("status")).text == "UP\n"
                finally:
                    await asyncio.wait({waiting})
                    waiting.exception()
                assert (await waiting).text == "+OK\n"
            finally:
                await asyncio.wait({reader})
                reader.exception()
            await reader
            return read

    async def main():
        async with Script() as switch:
            budget, outcome = 0, []
            while outcome != [0, None, 1]:
                task = asyncio.create_task(session(switch.port))
                whole = await serve(await switch.accept(), budget, reset=budget % 3 == 2)
                try:
                    outcome = await asyncio.wait_for(task, 1)
                except esl.ESLError:
                    assert not whole or budget % 3 == 2
                budget += 1
            assert 700 < budget < 1000
            assert len(switch.peers) == budget

    play(main())


def test_close_ends_every_wait(esl, play):
    async def main():
        async with pair(esl) as (fs, peer, _):
            begin = asyncio.create_task(fs.bgapi("status", job_uuid="j-1"))
            await peer.command()
            await peer.command()
            peer.sends(ENABLED, reply(b"+OK Job-UUID: j-1", b"Job-UUID: j-1\n"))
            job = await begin
            waits = [asyncio.create_task(wait) for wait in (fs.api("status"), job.result(), fs.next_event())]
            reader = asyncio.create_task(take(fs.events(), 1))
            running = asyncio.create_task(fs.run())
            await peer.command()
            await asyncio.gather(fs.close(), fs.close())
            assert [await error_of(wait) for wait in waits] == [("ConnectionClosed", "closed by us")] * 3
            assert await reader == []
            await running
            await fs.close()
            assert await error_of(fs.api("status")) == ("ConnectionClosed", "closed by us")
            await peer.ends()

    play(main())


def test_what_was_received_can_be_read_after_close(esl, play):
    async def main():
        async with pair(esl) as (fs, peer, _):
            peer.sends(numbered(range(3)))
            await until(lambda: len(fs.connection.queue) == 3)
            await fs.close()
            assert sequences([event async for event in fs.events()]) == [0, 1, 2]

    play(main())


def test_exit_is_an_end_that_was_asked_for(esl, play):
    async def main():
        with Emulator() as switch:
            async with part(esl, "aio").connect(port=switch.port, reconnect=True) as fs:
                assert (await fs.exit()).text == "+OK bye"
                assert [event async for event in fs.events()] == []
                assert fs.closed
                assert fs.connection.end.asked

    play(main())


def test_a_client_that_ends_inside_its_block_raises_what_the_block_raised(esl, play):
    async def main():
        with Emulator() as switch:
            with pytest.raises(KeyError):
                async with part(esl, "aio").connect(port=switch.port):
                    raise KeyError("x")
            await until(lambda: not switch.listeners)

    play(main())


# Keepalive


def test_a_switch_that_is_silent_is_asked_and_then_given_up(esl, play):
    async def main():
        async with pair(esl, keepalive=0.3) as (fs, peer, _):
            reader = asyncio.create_task(fs.next_event())
            await peer.answers((PROBE, OK), (PROBE, OK))
            assert await peer.command() == PROBE
            wanted = ("ConnectionClosed", "nothing was received for 0.6 s, though the switch was asked")
            assert await error_of(reader) == wanted
            await peer.ends()

    play(main())


def test_a_heartbeat_is_sign_of_life_enough(esl, play):
    async def main():
        async with pair(esl, keepalive=0.5) as (fs, peer, _):
            for number in range(12):
                peer.sends(numbered(range(number, number + 1)))
                assert (await fs.next_event(5)).sequence == number
                await asyncio.sleep(0.1)
            peer.writer.write_eof()
            await fs.close()
            await peer.ends()  # and no probe before

    play(main())


def test_silence_means_nothing_while_reading_stands_still(esl, play):
    async def main():
        async with pair(esl, keepalive=0.03, queue_limit=5) as (fs, peer, _):
            peer.sends(numbered(range(5)))
            await until(lambda: fs._link.paused)
            await asyncio.sleep(0.1)
            assert not fs.closed
            assert sequences(await take(fs.events(), 5)) == [0, 1, 2, 3, 4]
            await peer.answers((PROBE, OK))
            assert not fs.closed

    play(main())


# Reconnection


def quick(esl: ModuleType, **options: Any) -> Any:
    return esl.Backoff(**{"first": 0.01, "jitter": 0, "longest": 0.05, **options})


def test_everything_is_set_up_again_once(esl, play):
    async def main():
        with Emulator() as switch:
            async with part(esl, "aio").connect(port=switch.port, reconnect=quick(esl)) as fs:
                await fs.filter("Unique-ID", "/u-/")
                await fs.subscribe("CHANNEL_ANSWER", "DTMF", custom=["sofia::register"], format="json")
                await fs.unsubscribe("DTMF")
                await fs.log("info")
                switch.fire("CHANNEL_ANSWER", {"Unique-ID": "u-1"})
                assert (await fs.next_event(5)).uuid == "u-1"
                before = fs.connection
                del switch.commands[:]
                switch.drop()
                gap = await fs.next_event(5)
                assert (type(gap).__name__, gap.subclass) == ("Gap", "eslcodec::gap")
                assert gap.reason == "the switch closed the connection"
                assert 0.01 <= gap.seconds < 5
                await until(lambda: not fs._books.away)
                assert fs.connection is not before
                assert switch.commands == [
                    "auth ClueCon",
                    "filter add Unique-ID /u-/",
                    "event json CHANNEL_ANSWER CUSTOM sofia::register",
                    "log info",
                ]
                switch.fire("CHANNEL_ANSWER", {"Unique-ID": "u-2"})
                switch.fire("CHANNEL_ANSWER", {"Unique-ID": "x-3"})
                switch.fire("CHANNEL_ANSWER", {"Unique-ID": "u-4"})
                assert [event.uuid for event in await take(fs.events(), 2)] == ["u-2", "u-4"]
                assert (await fs.api("status")).ok

    play(main())


def test_a_goodbye_that_nobody_asked_for_is_no_end(esl, play):
    async def main():
        async with pair(esl, reconnect=quick(esl)) as (fs, peer, switch):
            peer.sends(notice(FAREWELL))
            await switch.lets_in(numbered(range(7, 8)))
            gap, event = await take(fs.events(), 2)
            assert gap.reason == "the switch said good-bye"
            assert event.sequence == 7

    play(main())


def test_commands_and_readers_wait_while_it_is_away(esl, play):
    """Commands raised ConnectionClosed meanwhile, until reconnection came to serve them too."""

    async def main():
        async with pair(esl, reconnect=quick(esl)) as (fs, peer, switch):
            reader = asyncio.create_task(take(fs.events(), 2))
            task = asyncio.create_task(fs.api("status"))
            await peer.command()
            await peer.close()
            wanted = ("ConnectionClosed", "the switch closed the connection")
            assert await error_of(task) == wanted  # it was sent, and is not sent again
            second = await switch.accept()
            assert await error_of(fs.api("status", timeout=0.05)) == wanted  # there is a connection, but no login
            assert repr(fs).endswith("connecting again>")
            assert not fs.closed
            again = asyncio.create_task(fs.api("status"))
            second.sends(AUTH)
            await second.command()
            second.sends(ACCEPTED)
            await second.answers((b"api status\n\n", api_response(b"UP\n")))
            assert (await again).text == "UP\n"
            second.sends(numbered(range(1)))
            assert [type(event).__name__ for event in await reader] == ["Gap", "Event"]

    play(main())


def test_what_comes_before_the_client_knows_of_its_new_connection_is_read(esl, play, monkeypatch):
    aio = part(esl, "aio")
    within = aio._within

    async def main():
        async with pair(esl, reconnect=quick(esl), queue_limit=2) as (fs, peer, switch):
            reader = asyncio.create_task(take(fs.events(), 5))
            await asyncio.sleep(0)

            async def late(*arguments):
                transport, link = await within(*arguments)
                await until(lambda: link.paused)  # on a busy machine the switch may be that much quicker
                return transport, link

            monkeypatch.setattr(aio, "_within", late)
            await peer.close()
            second = await switch.lets_in(numbered(range(2)))
            await until(lambda: not fs._books.away)
            second.sends(numbered(range(2, 4)))
            assert sequences(await asyncio.wait_for(reader, 5)) == [None, 0, 1, 2, 3]

    play(main())


def test_a_storm_of_reconnections(esl, play, caplog):
    async def main():
        async with pair(esl, reconnect=quick(esl)) as (fs, peer, switch):
            task = asyncio.create_task(fs.subscribe("DTMF"))
            await peer.answers((b"event DTMF\n\n", ENABLED))
            await task
            await peer.close()
            for number in range(20):
                kind = number % 4
                peer = await (switch.accept() if kind < 2 else switch.lets_in())
                if kind == 1:
                    peer.sends(AUTH)
                elif kind == 3:
                    await peer.answers((b"event DTMF\n\n", ENABLED))
                    peer.sends(numbered(range(number, number + 1)))
                peer.reset() if kind == 2 else await peer.close()
            peer = await switch.lets_in()
            await peer.answers((b"event DTMF\n\n", ENABLED))
            peer.sends(numbered(range(20, 21)))
            read = []
            async for event in fs.events():
                read.append("gap" if event.subclass else event.sequence)
                if event.sequence == 20:
                    break
            events = [entry for entry in read if entry != "gap"]
            assert events == [3, 7, 11, 15, 19, 20]
            for before, after in pairwise(read):
                assert "gap" in (before, after)  # between events of two connections there is always one
            assert list(fs.subscriptions.names) == ["DTMF"]
            assert len(switch.peers) == 22

    play(main())


def test_pauses_grow_while_connections_do_not_last(esl, play):
    async def main():
        aio = part(esl, "aio")
        pauses: list[float] = []

        class Counting(esl.Backoff):  # type: ignore[name-defined,misc]
            def pause(self, number):
                pause = super().pause(number)
                pauses.append(pause)
                return pause

        backoff = Counting(first=0.25, factor=1.5, longest=1, jitter=0, attempts=4)
        async with Script() as switch:
            task = asyncio.create_task(aio.connect(port=switch.port, reconnect=backoff).__aenter__())
            peer = await switch.lets_in()
            fs = await task
            for _ in range(4):
                await peer.close()
                peer = await switch.lets_in()
            await peer.close()
            assert await error_of(fs.run()) == ("ConnectionClosed", "the switch closed the connection")
            assert pauses == [0.25, 0.375, 0.5625, 0.84375, None]
            await fs.close()

    play(main())


def test_attempts_that_are_exhausted_end_it(esl, play):
    async def main():
        async with pair(esl, reconnect=quick(esl, attempts=2)) as (fs, peer, switch):
            switch._server.close()
            await peer.close()
            assert await error_of(fs.next_event()) == ("ConnectionClosed", "the switch closed the connection")
            assert fs.closed
            assert (await error_of(fs.api("status")))[0] == "ConnectionClosed"

    play(main())


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ([AUTH, reply(b"-ERR invalid")], ("AuthError", "refused the login: -ERR invalid (wrong password?)")),
        ([REJECTED], ("AccessDenied", "refused our address: Access Denied, go away.")),
    ],
)
def test_a_switch_that_does_not_let_us_in_again_ends_it(esl, play, answer, wanted):
    async def main():
        async with pair(esl, reconnect=quick(esl)) as (fs, peer, switch):
            await peer.close()
            second = await switch.accept()
            second.sends(answer[0])
            if len(answer) > 1:
                await second.command()
                second.sends(answer[1])
            told = (wanted[0], f"127.0.0.1:{switch.port} {wanted[1]}")
            assert await error_of(fs.next_event()) == told
            assert await error_of(fs.api("status")) == told
            await second.ends()

    play(main())


@pytest.mark.parametrize("stage", ["pause", "connected", "greeted"])
def test_close_ends_a_reconnection(esl, play, stage):
    async def main():
        first = 60 if stage == "pause" else 0.01
        async with pair(esl, reconnect=quick(esl, first=first, longest=60)) as (fs, peer, switch):
            await peer.close()
            await until(lambda: fs._books.away)
            if stage != "pause":
                second = await switch.accept()
            if stage == "greeted":
                second.sends(AUTH)
                await second.command()
            reader = asyncio.create_task(take(fs.events(), 1))
            await fs.close()
            assert await reader == []
            assert fs.closed
            if stage != "pause":
                await second.ends()

    play(main())


def test_what_was_dropped_is_counted_over_reconnections(esl, play):
    async def main():
        async with pair(esl, reconnect=quick(esl), queue_limit=2, when_full="drop") as (fs, peer, switch):
            peer.sends(numbered(range(5)))
            await until(lambda: fs.dropped == 3)
            await peer.close()
            await switch.lets_in(numbered(range(5, 10)))
            await until(lambda: fs.dropped == 3 + 6)  # two that waited, the gap, three new ones
            assert sequences(await take(fs.events(), 2)) == [8, 9]

    play(main())


def test_a_full_queue_does_not_keep_a_connection_from_coming_back(esl, play):
    async def main():
        options = {"queue_limit": 5, "queue_hard_limit": 10, "reconnect": quick(esl)}
        async with pair(esl, **options) as (fs, peer, switch):
            task = asyncio.create_task(fs.api("status"))
            await peer.command()
            peer.sends(numbered(range(10)))
            assert (await error_of(task))[0] == "EventQueueFull"
            await peer.close()
            assert sequences(await take(fs.events(), 10)) == list(range(10))  # only then the end is read
            await switch.lets_in(numbered(range(10, 12)))
            assert sequences(await take(fs.events(), 3)) == [None, 10, 11]

    play(main())


# Handlers


def test_handlers_by_name_subclass_and_for_all(esl, play):
    async def main():
        async with pair(esl) as (fs, peer, _):
            seen = []
            fs.on("DTMF", lambda event: seen.append("first"))

            @fs.on("SWITCH_EVENT_DTMF")
            async def second(event):
                await asyncio.sleep(0)
                seen.append("second")

            @fs.on("ALL")
            def everything(event):
                seen.append(event.name)

            assert fs.on("custom", lambda event: seen.append("a::b"), subclass="a::b") is not None
            fs.on("CUSTOM", lambda event: seen.append("any"))
            with pytest.raises(ValueError, match="'DTMF' has no subclasses"):
                fs.on("DTMF", everything, subclass="a::b")
            peer.sends(
                event(b"DTMF"),
                LOG,
                event(b"CUSTOM", b"Event-Subclass: a%3A%3Ab"),
                event(b"CUSTOM", b"Event-Subclass: x"),
                event(b"HEARTBEAT"),
                notice(FAREWELL),
            )
            await fs.run()
            assert seen == ["first", "second", "DTMF", "a::b", "any", "CUSTOM", "any", "CUSTOM", "HEARTBEAT"]

    play(main())


def test_order_is_kept_per_channel_and_channels_do_not_wait_for_each_other(esl, play):
    async def main():
        async with pair(esl) as (fs, peer, _):
            seen: dict[str, list[int]] = {}
            at_work: set[str] = set()
            most = 0
            chance = random.Random(2)

            @fs.on("DTMF")
            async def handle(event):
                nonlocal most
                assert event.uuid not in at_work
                at_work.add(event.uuid)
                most = max(most, len(at_work))
                for _ in range(chance.randrange(4)):
                    await asyncio.sleep(0)
                at_work.remove(event.uuid)
                seen.setdefault(event.uuid, []).append(event.sequence)

            for number in range(2000):
                line = b"" if number % 21 == 20 else b"Unique-ID: u-%d" % (number % 21)
                peer.sends(event(b"DTMF", *filter(None, [line]), b"Event-Sequence: %d" % number))
            peer.sends(notice(FAREWELL))
            await fs.run(concurrency=10)
            assert sorted(chain(*seen.values())) == list(range(2000))
            assert all(numbers == sorted(numbers) for numbers in seen.values())
            assert len(seen) == 21
            assert most == 10

    play(main())


def test_a_slow_handler_stops_its_own_channel_only(esl, play):
    async def main():
        async with pair(esl) as (fs, peer, _):
            done: list[str] = []
            release = asyncio.Event()

            @fs.on("DTMF")
            async def handle(event):
                if event.uuid == "slow":
                    await release.wait()
                done.append(event.uuid)

            running = asyncio.create_task(fs.run())
            peer.sends(*(event(b"DTMF", b"Unique-ID: " + uuid) for uuid in [b"slow"] * 300 + [b"quick"] * 3))
            await until(lambda: done == ["quick"] * 3)
            release.set()
            peer.sends(notice(FAREWELL))
            await running
            assert done == ["quick"] * 3 + ["slow"] * 300

    play(main())


@pytest.mark.parametrize(
    ("bound", "value", "body"), [("EVENT_QUEUE", 20, b""), ("EVENT_QUEUE_BYTES", 10_000, b"x" * 500)]
)
def test_events_in_hand_are_bounded(esl, play, monkeypatch, bound, value, body):
    async def main():
        monkeypatch.setattr(part(esl, "limits"), bound, value)
        async with pair(esl, queue_limit=10) as (fs, peer, _):
            done: list[int] = []
            release = asyncio.Event()

            @fs.on("HEARTBEAT")
            async def handle(event):
                await release.wait()
                done.append(event.sequence)

            running = asyncio.create_task(fs.run())
            peer.sends(*(event(b"HEARTBEAT", b"Event-Sequence: %d" % number, body=body) for number in range(500)))
            await until(lambda: fs._link.paused)
            in_queue = len(fs.connection.queue)
            await asyncio.sleep(0.02)
            assert len(fs.connection.queue) == in_queue >= 10
            release.set()
            peer.sends(notice(FAREWELL))
            await running
            assert done == list(range(500))

    play(main())


def test_a_handlers_exception_is_logged_and_hurts_no_other(esl, play, caplog):
    async def main():
        async with pair(esl) as (fs, peer, _):
            done = []

            @fs.on("HEARTBEAT")
            def fails(event):
                raise KeyError("oh no")

            @fs.on("HEARTBEAT")
            async def is_cancelled(event):
                raise asyncio.CancelledError

            fs.on("HEARTBEAT", lambda event: done.append(event.sequence))
            peer.sends(numbered(range(2)), notice(FAREWELL))
            await fs.run()
            assert done == [0, 1]

    play(main())
    failures = [record for record in caplog.records if record.name == "eslcodec" and record.levelname == "ERROR"]
    assert [record.getMessage() for record in failures] == ["a handler of HEARTBEAT failed"] * 4
    assert "oh no" in caplog.text


def test_cancelling_run_cancels_its_handlers(esl, play):
    async def main():
        async with pair(esl) as (fs, peer, _):
            ended: list[str] = []

            @fs.on("DTMF")
            async def handle(event):
                try:
                    await asyncio.sleep(60)
                finally:
                    ended.append(event.uuid)

            running = asyncio.create_task(fs.run())
            peer.sends(*(event(b"DTMF", b"Unique-ID: u-%d" % number) for number in range(3)))
            await until(lambda: not fs.connection.queue and len(asyncio.all_tasks()) >= 5)
            await asyncio.sleep(0)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            assert sorted(ended) == ["u-0", "u-1", "u-2"]

    play(main())


def test_handlers_finish_before_run_says_how_it_ended(esl, play, caplog):
    async def main():
        async with pair(esl) as (fs, peer, _):
            done = []

            @fs.on("HEARTBEAT")
            async def handle(event):
                done.append(await error_of(fs.api("status")))

            peer.sends(numbered(range(1)))
            running = asyncio.create_task(fs.run())
            await peer.command()
            await peer.close()
            wanted = ("ConnectionClosed", "the switch closed the connection")
            assert await error_of(running) == wanted
            assert done == [wanted]

    play(main())


def test_a_gap_reaches_its_handler(esl, play):
    async def main():
        async with pair(esl, reconnect=quick(esl)) as (fs, peer, switch):
            gaps = []

            @fs.on("CUSTOM", subclass="eslcodec::gap")
            async def missed(gap):
                gaps.append(gap.reason)
                await fs.close()

            await peer.close()
            running = asyncio.create_task(fs.run())
            await switch.lets_in()
            await running
            assert gaps == ["the switch closed the connection"]

    play(main())


# Outbound


async def over(call: Any) -> str | None:
    """Wait until the connection of an emulated call has ended; why its channel was hung up."""
    await until(lambda: call.over)
    return call.hangup_cause


@pytest.fixture
def switch() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


def test_a_call_brings_its_channels_data(esl, play, switch):
    async def main():
        seen = []

        async def handler(call):
            seen.append((call.data.name, call.data["variable_x"], call.uuid, call.mode, call.control, call.closed))
            assert isinstance(call.data, esl.Event)
            assert call.data.uuid == call.uuid
            await call.set("x", "new value", wait=True)
            assert (await call.getvar("x"), await call.getvar("nosuch")) == ("new value", None)
            fresh = await call.connect()
            assert fresh["variable_x"] == "new value"
            assert call.data == fresh
            assert repr(call) == f"<Call {call.host}:{call.port} open>"

        async with part(esl, "aio").serve(handler) as server:
            assert server.host == "127.0.0.1"
            assert repr(server) == f"<Server on 127.0.0.1:{server.port}: 0 calls>"
            calls = [
                switch.dial(server.host, server.port, mode=mode, uuid=f"u-{number}", variables={"x": "a b"})
                for number, mode in enumerate(["async full", "full", "async", ""])
            ]
            for call in calls:
                assert await over(call) is None or call.listener.static
        assert sorted(seen, key=lambda one: one[2]) == [
            ("CHANNEL_DATA", "a b", "u-0", "async", "full", False),
            ("CHANNEL_DATA", "a b", "u-1", "static", "full", False),
            ("CHANNEL_DATA", "a b", "u-2", "async", "single-channel", False),
            ("CHANNEL_DATA", "a b", "u-3", "static", "single-channel", False),
        ]
        assert repr(server) == f"<Server on 127.0.0.1:{server.port}: closed>"

    play(main())


APPLICATIONS: list[tuple[Callable[[Any], Awaitable[Any]], tuple[str, str]]] = [
    (lambda call: call.answer(), ("answer", "")),
    (lambda call: call.pre_answer(), ("pre_answer", "")),
    (lambda call: call.ring_ready(), ("ring_ready", "")),
    (lambda call: call.playback("a.wav"), ("playback", "a.wav")),
    (lambda call: call.record("/tmp/a.wav 60 200 5"), ("record", "/tmp/a.wav 60 200 5")),
    (lambda call: call.bridge("user/1000,user/1001"), ("bridge", "user/1000,user/1001")),
    (lambda call: call.set("a", "b c"), ("set", "a=b c")),
    (lambda call: call.unset("a"), ("unset", "a")),
    (lambda call: call.sleep(20), ("sleep", "20")),
    (lambda call: call.park(), ("park", "")),
    (lambda call: call.transfer("1000 XML default"), ("transfer", "1000 XML default")),
    (lambda call: call.execute("log", "INFO hello"), ("log", "INFO hello")),
]


@pytest.mark.parametrize("mode", ["async full", "full", "async", ""])
def test_applications_with_and_without_their_end(esl, play, switch, mode):
    async def main():
        results = []

        async def handler(call):
            for verb, _ in APPLICATIONS:
                results.append((await verb(call)).text)
            done = await call.execute("playback", "b.wav", wait=True, loops=1)
            results.append((type(done).__name__, done.name, done["Application-Response"]))
            done = await call.answer(wait=True)
            results.append((type(done).__name__, done["Application"]))
            assert not call.connection.queue  # nobody asked for these events but we
            await call.hangup("USER_BUSY")

        async with part(esl, "aio").serve(handler) as server:
            call = switch.dial(server.host, server.port, mode=mode)
            assert await over(call) == "USER_BUSY"
        assert results == [
            *["+OK"] * len(APPLICATIONS),
            ("Event", "CHANNEL_EXECUTE_COMPLETE", "FILE PLAYED"),
            ("Event", "answer"),
        ]
        assert call.executed == [*(wanted for _, wanted in APPLICATIONS), ("playback", "b.wav"), ("answer", "")]

    play(main())


def test_several_executions_are_told_apart(esl, play, switch):
    switch.applications["quick"] = 0.01
    switch.applications["slow"] = 0.05

    async def main():
        order = []

        async def handler(call):
            async def one(name, number):
                done = await call.execute(name, str(number), wait=True)
                order.append((done["Application"], done["Application-Data"]))

            await asyncio.gather(one("slow", 1), one("quick", 2), one("quick", 3))
            await call.hangup()

        async with part(esl, "aio").serve(handler) as server:
            await over(switch.dial(server.host, server.port))
        assert sorted(order) == [("quick", "2"), ("quick", "3"), ("slow", "1")]

    play(main())


@pytest.mark.parametrize("mode", ["async full", ""])
def test_an_application_may_take_longer_than_commands(esl, play, switch, mode):
    switch.applications["slow"] = 0.15

    async def main():
        done = []

        async def handler(call):
            if call.mode == "static":
                done.append((await call.execute("slow")).text)  # its reply comes when it has ended
            done.append((await call.execute("slow", wait=True)).name)
            done.append(await error_of(call.execute("slow", wait=True, timeout=0.05)))
            await call.execute("answer", wait=True, timeout=math.inf)

        async with part(esl, "aio").serve(handler, command_timeout=0.1) as server:
            await over(switch.dial(server.host, server.port, mode=mode))
            await until(lambda: not server.calls)
        what = "the end of slow" if mode else "the answer to 'sendmsg'"
        assert done[-2:] == ["CHANNEL_EXECUTE_COMPLETE", ("CommandTimeout", f"waited 0.05 s for {what}")]
        assert done[:-2] == ([] if mode else ["+OK"])

    play(main())


def test_an_execution_of_another_channel_cannot_be_waited_for(esl, play, switch):
    async def main():
        said = []

        async def handler(call):
            said.append(await error_of(call.execute("answer", uuid="other", wait=True)))
            await call.execute("answer", uuid=call.uuid, wait=True)

        async with part(esl, "aio").serve(handler) as server:
            await over(switch.dial(server.host, server.port))
            await until(lambda: not server.calls)
        wanted = "execute can wait for its end on the connection's own channel only"
        assert said == [("InvalidCommand", wanted)]

    play(main())


def test_what_a_single_channel_socket_may_not_do(esl, play, switch):
    async def main():
        answers = []

        async def handler(call):
            refused = ("CommandError", "-ERR command not found")
            for verb in (call.subscribe("DTMF"), call.noevents(), call.log(), call.linger(), call.bgapi("status")):
                answers.append(await error_of(verb) == refused)
            answers.append((await call.api("status")).text)
            answers.append((await call.myevents()).text)
            answers.append((await call.filter("A", "b")).ok)
            answers.append((await call.divert_events()).text)
            answers.append((await call.resume()).text)
            answers.append((await call.execute("answer", wait=True)).name)

        async with part(esl, "aio").serve(handler) as server:
            await over(switch.dial(server.host, server.port, mode="async"))
            await until(lambda: not server.calls)
        assert answers == [
            *[True] * 5,
            "-ERR command not found",
            "+OK Events Enabled",
            True,
            "+OK events diverted",
            "+OK",
            "CHANNEL_EXECUTE_COMPLETE",
        ]

    play(main())


def test_a_hangup_ends_what_is_waited_for(esl, play, switch, caplog):
    caplog.set_level(logging.INFO)
    switch.applications["slow"] = 60

    async def main():
        ended = []

        async def handler(call):
            first = asyncio.create_task(call.execute("slow", event_lock=True, wait=True))
            await until(lambda: switch.sessions[call.uuid].executed)
            second = asyncio.create_task(call.execute("answer", event_lock=True, wait=True))
            await until(lambda: len(switch.commands) == 4)
            switch.hangup(call.uuid, "ORIGINATOR_CANCEL")
            await asyncio.wait({first, second})
            ended.append(await error_of(second))
            ended.append(first.exception() is None or await error_of(first))
            await second

        async with part(esl, "aio").serve(handler) as server:
            call = switch.dial(server.host, server.port)
            assert await over(call) == "ORIGINATOR_CANCEL"
            await until(lambda: not server.calls)
        assert ended[0][0] in ("ChannelEnded", "ConnectionClosed")
        assert "ORIGINATOR_CANCEL" in ended[0][1]

    play(main())
    (record,) = [record for record in caplog.records if "under its handler" in record.getMessage()]
    assert record.levelname == "INFO"


def test_events_of_a_call_and_linger(esl, play, switch):
    async def main():
        seen = []

        async def handler(call):
            await call.linger(1)
            await call.myevents(format="json")
            await call.answer()
            async for event in call.events(timeout=5):
                seen.append(event.name)
                if event.name == "CHANNEL_EXECUTE_COMPLETE":
                    break
            await call.hangup()
            async for message in call.messages():
                seen.append(getattr(message, "name", "lingering"))
            seen.append(call.closed)
            assert call.connection.end.clean

        async with part(esl, "aio").serve(handler) as server:
            call = switch.dial(server.host, server.port)
            await over(call)
            await until(lambda: not server.calls)
        assert seen[:3] == ["CHANNEL_EXECUTE", "CHANNEL_ANSWER", "CHANNEL_EXECUTE_COMPLETE"]
        assert "CHANNEL_HANGUP" in seen
        assert "lingering" in seen
        assert seen[-1] is True

    play(main())


def test_exact_bytes_of_an_outbound_connection(esl, play):
    async def main():
        ended = asyncio.Event()

        async def handler(call):
            done = await call.execute("playback", "a.wav", wait=True, event_uuid="e-1")
            assert done["Application-UUID"] == "e-1"
            assert [type(message).__name__ async for message in call.messages()] == ["DisconnectNotice"]
            ended.set()

        async with part(esl, "aio").serve(handler) as server:
            peer = Peer(*await asyncio.open_connection("127.0.0.1", server.port))
            await peer.answers((b"connect\n\n", CONNECTED), (b"myevents\n\n", reply(b"+OK Events Enabled")))
            execute = b"sendmsg\ncall-command: execute\nexecute-app-name: playback\nexecute-app-arg: a.wav\n"
            assert await peer.command() == execute + b"Event-UUID: e-1\n\n"
            complete = event(b"CHANNEL_EXECUTE_COMPLETE", b"Unique-ID: u-1", b"Application-UUID: e-1")
            peer.sends(OK, complete, LINGER, notice(FAREWELL))
            await asyncio.wait_for(ended.wait(), 5)
            await peer.ends()
            await peer.close()

    play(main())


# The server


def test_the_connection_ends_with_the_handler(esl, play):
    async def main():
        async def handler(call):
            pass

        server = await part(esl, "aio").serve(handler)
        peer = Peer(*await asyncio.open_connection("127.0.0.1", server.port))
        await peer.answers((b"connect\n\n", CONNECTED))
        await peer.ends()
        await peer.close()
        await server.close()
        await server.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", server.port)

    play(main())


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"", "waited 0.05 s for the login"),
        (b"Content-", "waited 0.05 s for the login; read 8 bytes of a frame without its end"),
        (reply(b"-ERR no"), "the switch refused the login: -ERR no"),
        (b"GET / HTTP/1.1\n\n", None),
    ],
)
def test_a_connection_that_brings_no_call_is_closed(esl, play, caplog, sent, said):
    async def main():
        async def handler(call):
            raise AssertionError("there is no call")

        async with part(esl, "aio").serve(handler, first_frame_timeout=0.05) as server:
            peer = Peer(*await asyncio.open_connection("127.0.0.1", server.port))
            peer.sends(sent)
            assert await peer.command() == b"connect\n\n"
            await peer.ends()
            await peer.close()
            await until(lambda: server.calls == 0)

    play(main())
    (record,) = [record for record in caplog.records if record.name == "eslcodec"]
    assert record.levelname == "WARNING"
    assert " brought no call: " in record.getMessage()
    assert said is None or record.getMessage().endswith(said)


def test_a_handlers_exception_closes_its_call_and_no_other(esl, play, switch, caplog):
    async def main():
        release = asyncio.Event()
        done = []

        async def handler(call):
            if call.data["variable_fails"] == "yes":
                raise KeyError("oh no")
            await release.wait()
            done.append((await call.answer()).text)

        async with part(esl, "aio").serve(handler) as server:
            good = switch.dial(server.host, server.port, variables={"fails": "no"})
            bad = switch.dial(server.host, server.port, variables={"fails": "yes"}, uuid="u-bad")
            await over(bad)
            assert not good.over
            release.set()
            await over(good)
            assert done == ["+OK"]

    play(main())
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.getMessage() == "the handler of the call u-bad failed"
    assert "oh no" in caplog.text


def test_a_caller_that_hangs_up_under_a_handler_is_no_failure(esl, play, switch, caplog):
    caplog.set_level(logging.INFO)

    async def main():
        async def handler(call):
            await call.subscribe("DTMF")
            switch.hangup(call.uuid)
            while True:
                await call.next_event()

        async with part(esl, "aio").serve(handler) as server:
            await over(switch.dial(server.host, server.port, uuid="u-1"))
            await until(lambda: not server.calls)

    play(main())
    messages = [(record.levelname, record.getMessage()) for record in caplog.records if record.name == "eslcodec"]
    assert messages == [("INFO", "the call u-1 ended under its handler: the switch said good-bye")]


def test_closing_waits_for_calls(esl, play, switch):
    async def main():
        release = asyncio.Event()
        done = []

        async def handler(call):
            await release.wait()
            done.append((await call.hangup()).text)

        server = await part(esl, "aio").serve(handler)
        call = switch.dial(server.host, server.port)
        await until(lambda: server.calls == 1)
        serving = asyncio.create_task(server.serve_forever())
        closing = asyncio.create_task(server.close(timeout=10))
        await asyncio.sleep(0)
        with pytest.raises(OSError, match=r"refused"):
            switch.dial(server.host, server.port)
        release.set()
        await closing
        await serving
        assert done == ["+OK"]
        assert await over(call) == "NORMAL_CLEARING"

    play(main())


def test_closing_cancels_calls_that_go_on(esl, play, switch, monkeypatch):
    monkeypatch.setattr(part(esl, "aio"), "_GRACE", 0.05)

    async def main():
        said = {}
        inside = []

        async def handler(call):
            inside.append(call)
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if call.uuid == "u-polite":
                    said[call.uuid] = (await call.hangup("MANAGER_REQUEST")).text  # there is time for that
                else:
                    said[call.uuid] = await error_of(call.next_event())  # until the connection is closed
                raise

        async with part(esl, "aio").serve(handler) as server:
            calls = [switch.dial(server.host, server.port, uuid=uuid) for uuid in ("u-polite", "u-stubborn")]
            await until(lambda: len(inside) == 2)
            await server.close(timeout=0)
            assert server.calls == 0
            assert [await over(call) for call in calls] == ["MANAGER_REQUEST", None]
        assert said == {"u-polite": "+OK", "u-stubborn": ("ConnectionClosed", "closed by us")}

    play(main())


def test_a_handler_may_close_the_server(esl, play, switch):
    async def main():
        async def handler(call):
            await server.close()
            await call.hangup()

        async with part(esl, "aio").serve(handler) as server:
            call = switch.dial(server.host, server.port)
            await server.serve_forever()
            assert await over(call) == "NORMAL_CLEARING"

    play(main())


def test_cancelling_serve_forever_closes_the_server(esl, play, switch):
    async def main():
        async def handler(call):
            async for _ in call.events():
                pass

        async def serve():
            async with part(esl, "aio").serve(handler) as server:
                servers.append(server)
                await server.serve_forever()

        servers: list[Any] = []
        serving = asyncio.create_task(serve())
        await until(lambda: servers)
        call = switch.dial(servers[0].host, servers[0].port)
        await until(lambda: servers[0].calls)
        serving.cancel()
        await asyncio.sleep(0)
        call.hangup()  # and so the call that was waited for ends
        with pytest.raises(asyncio.CancelledError):
            await serving
        with pytest.raises(OSError, match=r"refused"):
            switch.dial(servers[0].host, servers[0].port)

    play(main())


def test_a_hundred_calls_at_once(esl, play, switch):
    switch.applications["playback"] = 0.02

    async def main():
        finished = []
        most = 0

        async def handler(call):
            nonlocal most
            most = max(most, server.calls)
            await call.answer(wait=True)
            await all_there.wait()
            await call.playback("a.wav", wait=True)
            finished.append((await call.getvar("number"), call.uuid))
            await call.hangup()

        all_there = asyncio.Event()
        async with part(esl, "aio").serve(handler) as server:
            calls = [
                switch.dial(server.host, server.port, uuid=f"u-{number}", variables={"number": str(number)})
                for number in range(100)
            ]
            await until(lambda: server.calls == 100)
            all_there.set()
            for call in calls:
                assert await over(call) == "NORMAL_CLEARING"
            await until(lambda: server.calls == 0)
        assert sorted(finished) == sorted((str(number), f"u-{number}") for number in range(100))
        assert most == 100

    play(main())


def test_a_silent_call_is_given_up(esl, play, caplog):
    caplog.set_level(logging.INFO)

    async def main():
        async def handler(call):
            await call.next_event()

        async with part(esl, "aio").serve(handler, keepalive=0.5) as server:
            peer = Peer(*await asyncio.open_connection("127.0.0.1", server.port))
            await peer.answers((b"connect\n\n", CONNECTED), (PROBE, OK))
            assert await peer.command() == PROBE
            await peer.ends()
            await peer.close()
            await until(lambda: not server.calls)

    play(main())
    assert "nothing was received for 1 s, though the switch was asked" in caplog.text


# The loop


def test_run_takes_uvloop_if_it_is_there(esl, monkeypatch):
    aio = part(esl, "aio")

    async def main(argument):
        return argument, type(asyncio.get_running_loop()).__module__.partition(".")[0]

    monkeypatch.setitem(sys.modules, "uvloop", None)  # as if it were not installed
    assert aio.run(main(1)) == (1, "asyncio")
    monkeypatch.undo()
    pytest.importorskip("uvloop")
    assert aio.run(main(2)) == (2, "uvloop")
