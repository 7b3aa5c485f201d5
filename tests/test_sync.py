"""The blocking client and server: commands, events, threads, reconnection, calls, and every way to end.

`Script` is a switch that sends exactly what it is told to; where the bytes do not matter, the emulator is the switch.
"""

from __future__ import annotations

import errno
import itertools
import logging
import math
import os
import random
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import ModuleType, TracebackType
from typing import Any

import pytest
from support import ACCEPTED, AUTH, FAREWELL, OK, REJECTED, api_response, notice, plain, reply

from eslcodec.emulator import Emulator, Later, Run, User

ENABLED = reply(b"+OK event listener enabled plain")
HOST = "127.0.0.1"
LOG = b"Content-Type: log/data\nContent-Length: 2\nLog-Level: 7\nUser-Data: \n\nx\n"
LINGER = (
    b"Content-Type: text/disconnect-notice\nControlled-Session-UUID: u-1\nContent-Disposition: linger\n"
    b"Channel-Name: loopback/1\nLinger-Time: 5\nContent-Length: 0\n\n"
)
CONNECTED = (
    b"Event-Name: CHANNEL_DATA\nUnique-ID: u-1\nvariable_x: a%20b\nContent-Type: command/reply\n"
    b"Reply-Text: %2BOK%0A\nSocket-Mode: async\nControl: full\n\n"
)


def event(number: int, name: bytes = b"DTMF", *lines: bytes) -> bytes:
    return plain(b"\n".join([b"Event-Name: " + name, b"Event-Sequence: %d" % number, *lines, b"", b""]))


def until(condition: Callable[[], Any], seconds: float = 5) -> None:
    """Wait for a condition that nothing announces."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "not so in time"
        time.sleep(0.001)


def is_held(lock: Any) -> bool:
    """Whether another thread has a lock that is re-entrant."""
    if lock.acquire(blocking=False):
        lock.release()
        return False
    return True


class Peer:
    """The switch's end of a connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.read = b""
        sock.settimeout(5)

    def expect(self, data: bytes) -> None:
        """Exactly these bytes come next."""
        while len(self.read) < len(data) and data.startswith(self.read):
            chunk = self.sock.recv(1 << 16)
            assert chunk, f"closed after {self.read!r}, expected {data!r}"
            self.read += chunk
        assert self.read[: len(data)] == data
        self.read = self.read[len(data) :]

    def command(self) -> bytes:
        """The next command without a body."""
        while b"\n\n" not in self.read:
            chunk = self.sock.recv(1 << 16)
            assert chunk, f"closed after {self.read!r}, expected a command"
            self.read += chunk
        block, _, self.read = self.read.partition(b"\n\n")
        return block

    def send(self, *frames: bytes) -> None:
        self.sock.sendall(b"".join(frames))

    def log_in(self) -> None:
        self.send(AUTH)
        self.expect(b"auth ClueCon\n\n")
        self.send(ACCEPTED)

    def closed(self) -> None:
        """The other side closes, and says nothing more."""
        assert self.read + self.sock.recv(100) == b""

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class Script:
    """A switch that follows a script: one function for each connection in turn; what it raises, the test raises.

    When a function returns its connection is closed, with something unread if the function left it so.
    """

    def __init__(self, *parts: Callable[[Peer], object]) -> None:
        self.parts = parts
        self.errors: list[BaseException] = []
        self.listener = socket.create_server((HOST, 0))
        self.listener.settimeout(5)
        self.port: int = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._run)

    def __enter__(self) -> Script:
        self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.thread.join(10)
        if self.errors and kind is None:
            raise self.errors[0]

    def _run(self) -> None:
        try:
            with self.listener:
                for part in self.parts:
                    sock, _ = self.listener.accept()
                    with sock:
                        part(Peer(sock))
        except BaseException as error:
            self.errors.append(error)


def logged_in(then: Callable[[Peer], object]) -> Callable[[Peer], object]:
    def part(peer: Peer) -> None:
        peer.log_in()
        then(peer)

    return part


@contextmanager
def scripted(esl: ModuleType, *parts: Callable[[Peer], object], **options: Any) -> Iterator[Any]:
    """A client of a `Script`."""
    with Script(*parts) as script, esl.connect(HOST, script.port, **options) as fs:
        yield fs


class Task(threading.Thread):
    """A thread whose result, or exception, is looked at."""

    def __init__(self, call: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self.call = call
        self.value: Any = None
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self.value = self.call()
        except BaseException as error:
            self.error = error

    def result(self, seconds: float = 10) -> Any:
        self.join(seconds)
        assert not self.is_alive(), "it still runs"
        if self.error is not None:
            raise self.error
        return self.value


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Every thread and descriptor of a test is gone after it."""
    threads, files = set(threading.enumerate()), descriptors()
    yield
    until(lambda: {one for one in threading.enumerate() if one.name != "eslcodec-caretaker"} <= threads)
    until(lambda: descriptors() <= files)


@pytest.fixture
def switch() -> Iterator[Emulator]:
    with Emulator() as switch:
        yield switch


@pytest.fixture
def fs(esl: ModuleType, switch: Emulator) -> Iterator[Any]:
    with esl.connect(HOST, switch.port) as fs:
        yield fs


def numbers(events: Iterable[Any]) -> list[int]:
    return [one.sequence for one in events]


def collect(events: Iterable[Any], into: list[Any]) -> None:
    """What comes before an error is kept."""
    for one in events:
        into.append(one)


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
    ("said", "text"),
    [
        (b"", "waited 0.1 s for the login at {where}"),
        (AUTH, "waited 0.1 s for the login at {where}"),
        (
            AUTH + b"Content-Type: com",
            "waited 0.1 s for the login at {where}; read 17 bytes of a frame without its end",
        ),
    ],
)
def test_a_login_without_an_answer(esl: ModuleType, said: bytes, text: str) -> None:
    def silent(peer: Peer) -> None:
        peer.send(said)
        while peer.sock.recv(100):
            pass

    with Script(silent) as script, pytest.raises(esl.CommandTimeout) as caught:
        esl.connect(HOST, script.port, connect_timeout=0.1)
    assert str(caught.value) == text.format(where=f"{HOST}:{script.port}")


def test_what_the_system_says_about_connecting_goes_through(esl: ModuleType) -> None:
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
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


def test_a_timeout_leaves_the_connection_usable(esl: ModuleType, fs: Any, switch: Emulator) -> None:
    switch.api["slow"] = Later(0.2, "late")
    with pytest.raises(esl.CommandTimeout, match=r"^waited 0\.05 s for the answer to 'api slow'$"):
        fs.api("slow", timeout=0.05)
    assert fs.api("status", timeout=math.inf).text.startswith("UP ")
    with esl.connect(HOST, switch.port, command_timeout=0.05) as other:
        with pytest.raises(esl.CommandTimeout, match=r"^waited 0\.05 s for the answer to 'api slow'$"):
            other.api("slow")
        assert other.api("slow", timeout=5).text == "late"


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
    reader = Task(lambda: fs.next_event(timeout=0.2))
    until(lambda: fs._link._reading)
    assert not made.done  # it looks without waiting for the one who reads
    assert reader.result() is None
    switch.release_jobs()
    assert made.result(5).ok
    assert re.fullmatch("[0-9a-f-]{36}", made.uuid)
    assert switch.commands[1:3] == ["event BACKGROUND_JOB", "bgapi work hard\nJob-UUID: j-1"]


def test_a_job_that_is_refused(esl: ModuleType) -> None:
    users = {"ops@example.org": User("s3cret", api="status")}
    login = {"user": "ops@example.org", "password": "s3cret"}
    with Emulator(users=users) as switch, esl.connect(HOST, switch.port, **login) as fs:
        with pytest.raises(esl.CommandError, match=r"^-ERR permission denied$"):
            fs.bgapi("version")
        assert fs.bgapi("status").result(5).ok


def test_a_thousand_jobs_end_in_random_order(esl: ModuleType, fs: Any, switch: Emulator) -> None:
    switch.hold_jobs = True
    switch.api["echo"] = lambda args: args

    def work(worker: int) -> list[tuple[str, str]]:
        jobs = {f"{worker}-{number}": fs.bgapi("echo", f"{worker}-{number}") for number in range(250)}
        return [(wanted, job.result(20).text) for wanted, job in random.Random(worker).sample(list(jobs.items()), 250)]

    tasks = [Task(lambda worker=worker: work(worker)) for worker in range(4)]
    switch.wait_for(lambda: len(switch.jobs) == 1000, 30)
    switch.release_jobs("random", seed=1)
    results = [pair for task in tasks for pair in task.result(30)]
    assert len(results) == 1000
    assert all(wanted == got for wanted, got in results)


# Reading


def test_next_event(esl: ModuleType, fs: Any, switch: Emulator) -> None:
    fs.subscribe("DTMF")
    assert fs.next_event(timeout=0) is None
    assert fs.next_event(timeout=0.01) is None
    fs.log("debug")
    switch.log("info", "no event")
    assert fs.next_event(timeout=0.05) is None
    switch.fire("DTMF", {"DTMF-Digit": "5"})
    assert fs.next_event()["DTMF-Digit"] == "5"
    switch.fire("DTMF", {"DTMF-Digit": "6"})
    until(lambda: fs.next_event(timeout=0) is not None)
    switch.drop()
    with pytest.raises(esl.ConnectionClosed, match=r"^the switch closed the connection$"):
        fs.next_event()
    with pytest.raises(esl.ConnectionClosed, match=r"^the switch closed the connection$"):
        fs.next_event(timeout=1)


def test_iteration_ends_when_nothing_comes(esl: ModuleType, fs: Any, switch: Emulator) -> None:
    fs.subscribe("DTMF")
    for _ in range(3):
        switch.fire("DTMF")
    assert [one.name for one in fs.events(timeout=0.1)] == ["DTMF"] * 3
    assert not fs.closed


def test_everything_received_comes_before_the_end(esl: ModuleType) -> None:
    def part(peer: Peer) -> None:
        peer.send(*(event(number) for number in range(100)), b"Content-Type: te")

    with scripted(esl, logged_in(part)) as fs:
        seen: list[Any] = []
        with pytest.raises(esl.ConnectionClosed, match=r"^stream ended in a header block: read 16 bytes") as caught:
            collect(fs.events(), seen)
        assert type(caught.value.__cause__) is esl.IncompleteFrame
        assert numbers(seen) == list(range(100))
        with pytest.raises(esl.ConnectionClosed):
            next(fs.events())


def test_handlers(esl: ModuleType, caplog: pytest.LogCaptureFixture) -> None:
    def part(peer: Peer) -> None:
        peer.send(event(1), event(2, b"CUSTOM", b"Event-Subclass: a::b"), event(3, b"CUSTOM", b"Event-Subclass: c"))
        peer.send(notice(FAREWELL))
        peer.closed()

    called: list[tuple[str, int]] = []

    def recorder(label: str) -> Callable[[Any], None]:
        return lambda one: called.append((label, one.sequence))

    with scripted(esl, logged_in(part)) as fs:

        @fs.on("DTMF")
        def broken(one: Any) -> None:
            raise LookupError("of the handler")

        assert callable(broken)
        fs.on("dtmf", recorder("first"))
        fs.on("DTMF", recorder("second"))
        fs.on("CUSTOM", recorder("a::b"), subclass="a::b")
        fs.on("SWITCH_EVENT_CUSTOM", recorder("custom"))
        fs.on("ALL", recorder("all"))
        fs.run()
    assert called == [
        ("first", 1),
        ("second", 1),
        ("all", 1),
        ("a::b", 2),
        ("custom", 2),
        ("all", 2),
        ("custom", 3),
        ("all", 3),
    ]
    [record] = caplog.records
    assert (record.name, record.getMessage()) == ("eslcodec", "a handler of DTMF failed")
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "of the handler"


# Queue


def test_a_reply_behind_more_events_than_may_wait(esl: ModuleType) -> None:
    go_on = threading.Event()

    def part(peer: Peer) -> None:
        peer.expect(b"api one\n\n")
        for number in range(5000):
            peer.send(event(number, b"DTMF", b"Data: " + b"x" * 1000))
        peer.send(api_response(b"one"))
        peer.expect(b"api two\n\n")
        peer.send(api_response(b"two"))
        go_on.wait(5)

    with scripted(esl, logged_in(part), queue_limit=10, queue_hard_limit=50) as fs:
        with pytest.raises(esl.EventQueueFull) as caught:
            fs.api("one")
        assert caught.value.what == "the answer to 'api one'"
        assert caught.value.limit == 50
        assert caught.value.queued == len(fs.connection.queue) < 5000
        assert numbers(itertools.islice(fs.events(), 5000)) == list(range(5000))
        assert fs.api("two").text == "two"
        go_on.set()


def test_dropping_counts_what_it_drops(esl: ModuleType) -> None:
    def part(peer: Peer) -> None:
        peer.expect(b"api one\n\n")
        peer.send(*(event(number) for number in range(1000)), api_response(b"one"))
        peer.closed()

    with scripted(esl, logged_in(part), queue_limit=10, when_full="drop") as fs:
        assert fs.api("one").text == "one"
        assert fs.dropped == 990
        assert numbers(fs.events(timeout=0)) == list(range(990, 1000))


# Threads


def test_many_threads_send_and_many_read(esl: ModuleType, fs: Any, switch: Emulator) -> None:
    switch.api["echo"] = lambda args: args
    fs.subscribe("DTMF")
    count = 2000
    seen: list[list[int]] = [[] for _ in range(4)]

    def read(into: list[int]) -> None:
        for one in fs.events():
            into.append(int(one["Number"]))

    def send(worker: int) -> bool:
        return all(fs.api("echo", f"{worker} {n}").text == f"{worker} {n}" for n in range(200))

    readers = [Task(lambda into=into: read(into)) for into in seen]
    senders = [Task(lambda worker=worker: send(worker)) for worker in range(4)]
    for number in range(count):
        switch.fire("DTMF", {"Number": str(number)})
    assert [sender.result(30) for sender in senders] == [True] * 4
    until(lambda: sum(map(len, seen)) >= count)
    fs.close()
    for reader in readers:
        reader.result()
    assert Counter(number for numbers in seen for number in numbers) == Counter(range(count))
    assert all(numbers == sorted(numbers) for numbers in seen)


def test_closing_ends_every_wait(esl: ModuleType, switch: Emulator) -> None:
    switch.api["slow"] = Later(30, "late")
    switch.hold_jobs = True
    with esl.connect(HOST, switch.port) as fs:
        job = fs.bgapi("status")
        tasks = [
            Task(lambda: list(fs.events())),
            Task(lambda: fs.next_event()),
            Task(lambda: fs.api("slow")),
            Task(lambda: job.result()),
        ]
        switch.wait_for(lambda: "api slow" in switch.commands)
        until(lambda: len(fs._link._followers) == 3)
        begun = time.monotonic()
        Task(fs.close).result()
        assert tasks[0].result() == []
        for task in tasks[1:]:
            with pytest.raises(esl.ConnectionClosed, match=r"^closed by us$"):
                task.result()
        assert time.monotonic() - begun < 1


def test_a_reader_that_leaves_hands_the_reading_on(esl: ModuleType, fs: Any, switch: Emulator) -> None:
    switch.api["slow"] = Later(0.1, "late")
    fs.subscribe("DTMF")
    leader = Task(lambda: fs.next_event())
    until(lambda: fs._link._reading)
    followers = [Task(lambda: fs.api("slow").text) for _ in range(3)]
    until(lambda: len(fs._link._followers) == 3)
    switch.fire("DTMF")
    assert leader.result().name == "DTMF"
    assert [follower.result() for follower in followers] == ["late"] * 3


# Ends


SESSION = [
    AUTH,
    ACCEPTED,
    ENABLED + event(1),
    reply(b"+OK log level  [7]") + LOG,
    reply(b"+OK Job-UUID: j-1", b"Job-UUID: j-1\n")
    + event(2)
    + plain(b"Event-Name: BACKGROUND_JOB\nJob-UUID: j-1\nContent-Length: 3\n\nok\n"),
    api_response(b"UP\n") + event(3),
    reply(b"+OK bye") + notice(FAREWELL),
]
"""What a switch says at first, and to each command of `whole_session`."""


def whole_session(esl: ModuleType, port: int) -> str:
    try:
        with esl.connect(HOST, port) as fs:
            fs.subscribe("ALL")
            fs.log()
            assert fs.bgapi("x", job_uuid="j-1").result().text == "ok\n"
            assert fs.api("status").text == "UP\n"
            fs.exit()
            assert [one.sequence for one in fs.events()] == [1, 2, None, 3]
        return "done"
    except (esl.ESLError, ConnectionResetError) as error:
        return type(error).__name__


def end_session(sock: socket.socket, length: int, way: str) -> None:
    """The switch's end of the session, until so many bytes are sent."""
    peer = Peer(sock)
    for number, frames in enumerate(SESSION):
        if number:
            peer.command()
        peer.send(frames[:length])
        length -= len(frames)
        if length <= 0:
            break
    if way == "reset":
        peer.reset()


@pytest.mark.parametrize("way", ["closed", "reset"])
def test_a_disconnect_at_every_byte(esl: ModuleType, way: str) -> None:
    """Each wait ends within a second, with an error that has a type, or with what came."""
    endings: Counter[str] = Counter()
    length = len(b"".join(SESSION))
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        for end in range(length + 1):
            task = Task(lambda: whole_session(esl, port))
            with listener.accept()[0] as sock:
                end_session(sock, end, way)
            begun = time.monotonic()
            endings[task.result()] += 1
            assert time.monotonic() - begun < 1
    if way == "closed":
        assert endings == {"ConnectionClosed": length - 1, "done": 2}  # the notice may be missing, but not half there
    else:  # a reset takes back what was not read yet
        assert set(endings) <= {"ConnectionClosed", "ConnectionResetError", "done"}


def test_a_reset_says_what_broke(esl: ModuleType) -> None:
    def part(peer: Peer) -> None:
        peer.expect(b"api status\n\n")
        peer.reset()

    with scripted(esl, logged_in(part)) as fs:
        with pytest.raises(esl.ConnectionClosed, match=r"^the connection was lost: ") as caught:
            fs.api("status")
        assert type(caught.value.__cause__) is ConnectionResetError


def test_a_kernel_that_gives_up_is_no_timeout_of_ours(esl: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are TimeoutError."""

    def gives_up(*_: Any) -> Any:
        raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")

    with scripted(esl, logged_in(Peer.command)) as fs:
        monkeypatch.setattr(fs._link._in.__class__, "recv_into", gives_up)
        with pytest.raises(esl.ConnectionClosed, match="Connection timed out"):
            fs.api("status")


def test_garbage_ends_the_connection(esl: ModuleType) -> None:
    with scripted(esl, logged_in(lambda peer: peer.send(event(1), b"Content-Length: x\n\n"))) as fs:
        assert fs.next_event().sequence == 1
        with pytest.raises(esl.InvalidContentLength, match="read Content-Length 'x', expected ASCII digits"):
            fs.next_event()
        with pytest.raises(esl.InvalidContentLength):
            fs.api("status")


def test_the_switch_shuts_down(esl: ModuleType, fs: Any, switch: Emulator) -> None:
    fs.subscribe("DTMF")
    switch.fire("DTMF")
    switch.shutdown()
    with pytest.raises(esl.ConnectionClosed, match=r"^The system is being shut down\.$"):
        assert [one.name for one in fs.events()] == ["DTMF"]


def test_keepalive_asks_and_gives_up(esl: ModuleType) -> None:
    def part(peer: Peer) -> None:
        for _ in range(2):
            peer.expect(b"filter delete Eslcodec-Probe\n\n")
            peer.send(reply(b"+OK filter deleted. [Eslcodec-Probe][]"))
        peer.expect(b"filter delete Eslcodec-Probe\n\n")
        peer.closed()

    with scripted(esl, logged_in(part), keepalive=0.3) as fs:
        text = r"^nothing was received for 0\.6 s, though the switch was asked$"
        with pytest.raises(esl.ConnectionClosed, match=text):
            list(fs.events())
        assert 0.3 < fs._link.gone - fs._link.began < 5


# Reconnection


FAST = {"first": 0.01, "longest": 0.02, "jitter": 0}


def test_everything_is_set_up_again_once(esl: ModuleType, switch: Emulator) -> None:
    with esl.connect(HOST, switch.port, reconnect=esl.Backoff(**FAST)) as fs:
        fs.filter("Event-Name", "DTMF")
        fs.subscribe("DTMF", custom=["a::b"], format="json")
        fs.log("info")
        switch.fire("DTMF", {"Number": "1"})
        assert fs.next_event()["Number"] == "1"
        del switch.commands[:]
        first = fs.connection
        switch.drop()
        gap = fs.next_event()
        assert (type(gap), gap.reason) == (esl.Gap, "the switch closed the connection")
        assert 0.01 <= gap.seconds < 5
        assert switch.commands == [
            "auth ClueCon",
            "filter add Event-Name DTMF",
            "event json DTMF CUSTOM a::b",
            "log info",
        ]
        switch.fire("DTMF", {"Number": "2"})
        assert fs.next_event()["Number"] == "2"
        assert fs.connection is not first
        assert (fs.subscriptions.names, fs.closed) == ({"DTMF": None, "CUSTOM": None}, False)


def test_reconnection_storm(esl: ModuleType, caplog: pytest.LogCaptureFixture) -> None:
    """The switch goes at every stage of a login; then it stays."""

    def subscribed(peer: Peer) -> None:
        peer.log_in()
        peer.expect(b"event DTMF\n\n")
        peer.send(ENABLED)

    def last(peer: Peer) -> None:
        subscribed(peer)
        peer.send(event(7), notice(FAREWELL))
        peer.sock.shutdown(socket.SHUT_WR)
        peer.closed()

    parts = [subscribed, lambda peer: None, lambda peer: peer.send(AUTH), Peer.log_in, subscribed, Peer.reset, last]
    caplog.set_level(logging.INFO, "eslcodec")
    with scripted(esl, *parts, reconnect=esl.Backoff(**FAST)) as fs:
        fs.subscribe("DTMF")
        seen = []
        for one in fs.events():
            seen.append(type(one).__name__)
            if one.sequence == 7:
                break
    assert seen[-1] == "Event"
    assert set(seen[:-1]) == {"Gap"}
    assert 2 <= len(seen) - 1 <= 3
    assert "ClueCon" not in caplog.text
    assert re.search(rf"cannot connect to 127\.0\.0\.1:{fs.port} again: ", caplog.text)


def test_pauses_grow_while_connections_do_not_last(esl: ModuleType) -> None:
    """A connection that ends at once starts no new series of attempts."""
    parts = [Peer.log_in] * 4
    with scripted(esl, *parts, reconnect=esl.Backoff(first=0.25, jitter=0, attempts=3)) as fs:
        seen: list[Any] = []
        with pytest.raises(esl.ConnectionClosed):
            collect(fs.events(), seen)
        assert [gap.seconds >= pause for gap, pause in zip(seen, (0.25, 0.5, 1.0), strict=True)] == [True] * 3
        assert fs.closed


def test_attempts_come_to_an_end(esl: ModuleType) -> None:
    with scripted(esl, Peer.log_in, reconnect=esl.Backoff(attempts=3, **FAST)) as fs:
        with pytest.raises(esl.ConnectionClosed, match=r"^the switch closed the connection$"):
            fs.next_event()
        with pytest.raises(esl.ConnectionClosed, match=r"^the switch closed the connection$"):
            fs.next_event()


@pytest.mark.parametrize(
    ("part", "error"),
    [
        (lambda peer: (peer.send(AUTH), peer.command(), peer.send(reply(b"-ERR invalid"))), "AuthError"),
        (lambda peer: peer.send(REJECTED), "AccessDenied"),
    ],
)
def test_no_reconnection_where_we_are_not_let_in(esl: ModuleType, part: Any, error: str) -> None:
    with scripted(esl, Peer.log_in, part, reconnect=esl.Backoff(**FAST)) as fs:
        for _ in range(2):
            with pytest.raises(getattr(esl, error)):
                fs.next_event()
        assert fs.closed
        with pytest.raises(getattr(esl, error)):
            fs.api("status")


def test_no_reconnection_after_exit(esl: ModuleType, switch: Emulator) -> None:
    with esl.connect(HOST, switch.port, reconnect=True) as fs:
        fs.exit()
        assert list(fs.events()) == []
        assert fs.closed
        assert switch.commands == ["auth ClueCon", "exit"]


def test_while_the_switch_is_away(esl: ModuleType) -> None:
    """Commands and jobs fail, reading waits as long as it was told to, closing ends it."""

    def part(peer: Peer) -> None:
        peer.expect(b"event BACKGROUND_JOB\n\nbgapi work\nJob-UUID: j-1\n\n")
        peer.send(ENABLED, reply(b"+OK Job-UUID: j-1", b"Job-UUID: j-1\n"))

    with scripted(esl, logged_in(part), reconnect=esl.Backoff(first=60, longest=60, jitter=0)) as fs:
        job = fs.bgapi("work", job_uuid="j-1")
        assert fs.next_event(timeout=0.05) is None
        assert not fs.closed
        assert list(fs.events(timeout=0.01)) == []
        for call in (job.result, lambda: fs.api("status")):
            with pytest.raises(esl.ConnectionClosed, match=r"^the switch closed the connection$"):
                call()
        readers = [Task(lambda: list(fs.events())) for _ in range(3)]
        until(lambda: is_held(fs._dialling))
        assert fs.next_event(timeout=0.05) is None
        begun = time.monotonic()
        fs.close()
        assert [reader.result() for reader in readers] == [[], [], []]
        assert time.monotonic() - begun < 1
        assert fs.closed


def test_closing_ends_a_login_that_hangs(esl: ModuleType) -> None:
    hangs = threading.Event()

    def silent(peer: Peer) -> None:
        hangs.set()
        peer.closed()

    with scripted(esl, Peer.log_in, silent, reconnect=esl.Backoff(**FAST), connect_timeout=30) as fs:
        reader = Task(lambda: list(fs.events()))
        assert hangs.wait(5)
        until(lambda: fs._next is not None)
        fs.close()
        assert reader.result(1) == []


def test_many_readers_connect_once(esl: ModuleType, switch: Emulator) -> None:
    with esl.connect(HOST, switch.port, reconnect=esl.Backoff(**FAST)) as fs:
        fs.subscribe("DTMF")
        seen: list[Any] = []
        readers = [Task(lambda: seen.extend(fs.events())) for _ in range(4)]
        until(lambda: len(fs._link._followers) == 3)
        switch.drop()
        switch.wait_for(lambda: switch.commands.count("event DTMF") == 2)
        until(lambda: not is_held(fs._dialling))
        switch.fire("DTMF")
        fs.api("status")
        fs.close()
        for reader in readers:
            reader.result()
        assert Counter(type(one).__name__ for one in seen) == {"Gap": 1, "Event": 1}
        assert switch.commands.count("auth ClueCon") == 2


def test_what_was_dropped_before_is_counted(esl: ModuleType) -> None:
    def part(peer: Peer) -> None:
        peer.log_in()
        peer.expect(b"api one\n\n")
        peer.send(*(event(number) for number in range(20)), api_response(b"one"))

    options = {"queue_limit": 5, "when_full": "drop", "reconnect": esl.Backoff(**FAST)}
    with scripted(esl, part, part, **options) as fs:
        fs.api("one")
        assert (fs.dropped, len(list(itertools.islice(fs.events(), 5)))) == (15, 5)
        assert type(fs.next_event()) is esl.Gap
        fs.api("one")
        assert fs.dropped == 30


def test_closing_in_the_middle_of_an_attempt(
    esl: ModuleType, switch: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with esl.connect(HOST, switch.port, reconnect=esl.Backoff(**FAST)) as fs:
        dial = fs._redial

        def dial_and_close(*arguments: Any) -> Any:
            link = dial(*arguments)
            fs.close()
            return link

        monkeypatch.setattr(fs, "_redial", dial_and_close)
        switch.drop()
        assert list(fs.events()) == []
        assert fs.closed


def test_reading_with_a_timeout_beside_a_reader_that_connects(esl: ModuleType) -> None:
    hangs = threading.Event()

    def silent(peer: Peer) -> None:
        hangs.set()
        peer.closed()

    with scripted(esl, Peer.log_in, silent, reconnect=esl.Backoff(**FAST), connect_timeout=30) as fs:
        reader = Task(lambda: list(fs.events()))
        assert hangs.wait(5)
        begun = time.monotonic()
        assert fs.next_event(timeout=0.05) is None
        assert 0.05 <= time.monotonic() - begun < 1
        fs.close()
        assert reader.result() == []


# Outbound


class Dialled(Peer):
    """A connection to a server, as a switch makes it."""

    def __init__(self, port: int) -> None:
        super().__init__(socket.create_connection((HOST, port)))

    def begin(self) -> Dialled:
        self.expect(b"connect\n\n")
        self.send(CONNECTED)
        return self


class Desk:
    """A handler that hands its calls to the test, and ends when it is told to."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.done = threading.Event()

    def __call__(self, call: Any) -> None:
        self.calls.append(call)
        assert self.done.wait(10)

    def call(self) -> Any:
        until(lambda: self.calls)
        return self.calls.pop()


def test_a_call(esl: ModuleType, switch: Emulator) -> None:
    switch.applications["playback"] = Run(0.05, response="FILE PLAYED")
    said: dict[str, Any] = {}

    def handler(call: Any) -> None:
        said["kinds"] = type(call), isinstance(call, esl.sync.Client), type(call.data)
        said["data"] = call.data.name, call.data.uuid, call.data["variable_color"], call.uuid
        said["mode"] = call.mode, call.control
        said["answer"] = call.answer(wait=True)["Application"]
        said["fresh"] = call.connect()["Answer-State"], call.data["Answer-State"]
        said["played"] = call.playback("a.wav", wait=True).select("Event-Name", "Application-Response")
        said["color"] = call.getvar("color"), call.getvar("nothing")
        said["api"] = call.api("uuid_getvar", f"{call.uuid} color").text
        said["events"] = list(call.events(timeout=0))
        call.hangup("USER_BUSY")

    with esl.serve(handler) as server:
        assert (server.host, server.calls, server.refused) == (HOST, 0, 0)
        assert repr(server) == f"<Server on 127.0.0.1:{server.port}: 0 calls>"
        call = switch.dial(HOST, server.port, variables={"color": "a red"})
        assert call.wait() == "USER_BUSY"
    assert repr(server) == f"<Server on 127.0.0.1:{server.port}: closed>"
    assert said == {
        "kinds": (esl.sync.Call, True, esl.Event),
        "data": ("CHANNEL_DATA", call.uuid, "a red", call.uuid),
        "mode": ("async", "full"),
        "answer": "answer",
        "fresh": ("answered", "answered"),
        "played": ("CHANNEL_EXECUTE_COMPLETE", "FILE PLAYED"),
        "color": ("a red", None),
        "api": "a red",
        "events": [],
    }


@pytest.mark.parametrize("wait", [False, True])
def test_the_applications(esl: ModuleType, switch: Emulator, wait: bool) -> None:
    def handler(call: Any) -> None:
        call.pre_answer(wait=wait)
        call.ring_ready(wait=wait)
        call.answer(wait=wait)
        call.set("a", "b=c", wait=wait)
        call.unset("a", wait=wait)
        call.playback("a.wav", wait=wait)
        call.record("b.wav 60", wait=wait)
        call.sleep(5, wait=wait)
        call.bridge("user/1000", wait=wait)
        call.park(wait=wait)
        call.transfer("1000 XML default", wait=wait)
        call.execute("log", "INFO done\nand done", event_lock=True, wait=wait)
        call.execute("info", uuid=call.uuid, wait=wait)
        with pytest.raises(esl.InvalidCommand, match="own channel only"):
            call.execute("info", uuid="another", wait=True)

    with esl.serve(handler) as server:
        call = switch.dial(HOST, server.port)
        call.wait()
        switch.wait_for(lambda: len(call.executed) == 13)
    assert call.executed == [
        ("pre_answer", ""),
        ("ring_ready", ""),
        ("answer", ""),
        ("set", "a=b=c"),
        ("unset", "a"),
        ("playback", "a.wav"),
        ("record", "b.wav 60"),
        ("sleep", "5"),
        ("bridge", "user/1000"),
        ("park", ""),
        ("transfer", "1000 XML default"),
        ("log", "INFO done\nand done"),
        ("info", ""),
    ]


def test_a_static_socket_answers_when_the_application_ends(esl: ModuleType, switch: Emulator) -> None:
    switch.applications["playback"] = Run(0.2, response="FILE PLAYED")
    replies: list[Any] = []

    def handler(call: Any) -> None:
        replies.extend([call.mode, call.playback("a.wav").text])  # longer than command_timeout
        replies.append(call.playback("b.wav", wait=True)["Application-Data"])
        with pytest.raises(esl.CommandTimeout, match=r"^waited 0\.05 s for the answer to 'sendmsg'$"):
            call.playback("c.wav", timeout=0.05)

    with esl.serve(handler, command_timeout=0.1) as server:
        switch.dial(HOST, server.port, mode="full").wait()
    assert replies == ["static", "+OK", "b.wav"]


def test_a_single_channel_socket_allows_little(esl: ModuleType, switch: Emulator) -> None:
    allowed: list[Any] = []

    def handler(call: Any) -> None:
        allowed.append(call.control)
        allowed.append(call.api("status").text)
        for refused in (
            lambda: call.bgapi("status"),
            lambda: call.subscribe("DTMF"),
            lambda: call.unsubscribe("DTMF"),
            lambda: call.noevents(),
            lambda: call.log(),
            lambda: call.nolog(),
            lambda: call.linger(),
            lambda: call.nolinger(),
            lambda: call.sendevent("NOTIFY"),
        ):
            with pytest.raises(esl.CommandError, match=r"^-ERR command not found$"):
                refused()
        call.filter("a", "b")
        call.filter_delete()
        call.myevents(format="json")
        call.divert_events()
        allowed.append(call.getvar("direction"))
        allowed.append(call.connect().uuid == call.uuid)
        with pytest.raises(esl.InvalidCommand, match="CS_RESET"):
            call.resume()
        allowed.append(call.playback("a.wav", wait=True).name)
        call.hangup()

    with esl.serve(handler) as server:
        assert switch.dial(HOST, server.port, mode="").wait() == "NORMAL_CLEARING"
    assert allowed == ["single-channel", "-ERR command not found", "inbound", True, "CHANNEL_EXECUTE_COMPLETE"]


def test_a_hangup_ends_what_is_waited_for(esl: ModuleType, switch: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "eslcodec")
    switch.applications["playback"] = Run(30, response="FILE PLAYED", interrupted="PLAYBACK ERROR")
    said: list[Any] = []

    def handler(call: Any) -> None:
        call.linger()
        with pytest.raises(esl.ChannelEnded) as ended:
            call.playback("a.wav", wait=True)
        said.append(ended.value.complete["Application-Response"])
        call.execute("info", wait=True)

    with esl.serve(handler) as server:
        call = switch.dial(HOST, server.port)
        switch.wait_for(lambda: call.executed)
        call.hangup("ORIGINATOR_CANCEL")
        call.wait()
    assert said == ["PLAYBACK ERROR"]
    [record] = caplog.records
    assert (record.levelname, record.exc_info) == ("INFO", None)
    assert (
        record.getMessage() == f"the call {call.uuid} ended under its handler: the channel hung up: ORIGINATOR_CANCEL"
    )


def test_linger(esl: ModuleType, switch: Emulator) -> None:
    seen: list[Any] = []

    def handler(call: Any) -> None:
        call.myevents()
        call.linger(0)
        for message in call.messages():
            seen.append(type(message).__name__ if not isinstance(message, esl.Event) else message.name)
        seen.append(call.closed)

    with esl.serve(handler) as server:
        call = switch.dial(HOST, server.port)
        switch.wait_for(lambda: "linger 0" in call.commands)
        call.hangup()
        call.wait()
    assert seen.index("CHANNEL_HANGUP") < len(seen) - 1
    assert seen.count("DisconnectNotice") == 1
    assert seen[-1] is True


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (b"", "waited 0.1 s for the login"),
        (b"Event-Name: CH", "waited 0.1 s for the login; read 14 bytes of a frame without its end"),
        (b"Content-Length: x\n\n", "read Content-Length 'x', expected ASCII digits"),
        (reply(b"-ERR no"), "the switch refused the login: -ERR no"),
    ],
)
def test_a_connection_that_brings_no_call(
    esl: ModuleType, caplog: pytest.LogCaptureFixture, first: bytes, reason: str
) -> None:
    with esl.serve(Desk(), first_frame_timeout=0.1) as server:
        peer = Dialled(server.port)
        peer.expect(b"connect\n\n")
        peer.send(first)
        peer.closed()
        peer.sock.close()
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert re.fullmatch(
        r"a connection from 127\.0\.0\.1:\d+ brought no call: " + re.escape(reason), record.getMessage()
    )


def test_a_handler_that_fails_hurts_no_other(esl: ModuleType, caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk()

    def handler(call: Any) -> None:
        desk(call)
        call.hangup()
        raise LookupError("of the handler")

    with esl.serve(handler) as server:
        first, second = Dialled(server.port).begin(), Dialled(server.port).begin()
        until(lambda: len(desk.calls) == 2)
        desk.done.set()
        for peer in (first, second):
            peer.expect(b"sendmsg\ncall-command: hangup\nhangup-cause: NORMAL_CLEARING\n\n")
        first.send(OK)
        first.closed()
        until(lambda: server.calls == 1)
        second.send(OK)
        second.closed()
        first.sock.close()
        second.sock.close()
        until(lambda: server.calls == 0)
    messages = [(record.name, record.getMessage()) for record in caplog.records]
    assert messages == [("eslcodec", "the handler of the call u-1 failed")] * 2


def test_closing_waits_for_calls(esl: ModuleType) -> None:
    desk = Desk()
    server = esl.serve(desk)
    peer = Dialled(server.port).begin()
    call = desk.call()
    closing = Task(lambda: server.close(timeout=30))
    assert server.wait(5)
    until(lambda: not server.listening)
    with pytest.raises(ConnectionRefusedError):
        Dialled(server.port)
    assert closing.is_alive()
    assert not call.closed
    desk.done.set()
    closing.result(5)
    peer.closed()
    peer.sock.close()
    server.close()


def test_closing_ends_calls_that_take_too_long(esl: ModuleType) -> None:
    ended: list[Exception] = []

    def handler(call: Any) -> None:
        try:
            call.playback("a.wav", wait=True)
        except esl.ConnectionClosed as error:
            ended.append(error)
            server.close()  # from a handler: it does not wait for itself
            raise

    with esl.serve(handler) as server:
        peer = Dialled(server.port).begin()
        peer.expect(b"myevents\n\n")
        begun = time.monotonic()
        server.close(timeout=0.1)
        assert 0.1 <= time.monotonic() - begun < 20
        assert [str(error) for error in ended] == ["closed by us"]
        assert server.calls == 0
        peer.sock.close()


def test_serving_for_ever(esl: ModuleType) -> None:
    with esl.serve(Desk()) as server:
        assert not server.wait(0.01)
        task = Task(server.serve_forever)
        server.close()
        task.result()
        with pytest.raises(OSError, match="assign requested address"):
            esl.serve(Desk(), "192.0.2.1")
    with pytest.raises(ValueError, match="when_full"):
        esl.serve(Desk(), when_full="panic")


def test_a_hundred_calls_at_once(esl: ModuleType, switch: Emulator) -> None:
    switch.applications["playback"] = Run(0.05, response="FILE PLAYED")
    together = threading.Barrier(100, timeout=20)

    def handler(call: Any) -> None:
        together.wait()
        call.answer()
        call.set("mine", call.uuid, wait=True)
        call.playback(call.uuid, wait=True)
        assert call.getvar("mine") == call.uuid
        call.hangup()

    with esl.serve(handler) as server:
        calls = [switch.dial(HOST, server.port) for _ in range(100)]
        for call in calls:
            assert call.wait(20) == "NORMAL_CLEARING"
            assert call.executed == [("answer", ""), ("set", f"mine={call.uuid}"), ("playback", call.uuid)]


def test_a_server_without_descriptors_or_threads_goes_on(
    esl: ModuleType, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def exhausted(*_: Any) -> Any:
        raise OSError(errno.EMFILE, "Too many open files")

    def unable(*_: Any) -> Any:
        raise RuntimeError("can't start new thread")

    desk = Desk()
    desk.done.set()
    with esl.serve(desk) as server:
        for owner, name, fails in ((socket.socket, "dup", exhausted), (threading.Thread, "start", unable)):
            with monkeypatch.context() as patch:
                patch.setattr(owner, name, fails)
                peer = Dialled(server.port)
                peer.closed()
                peer.sock.close()
        peer = Dialled(server.port).begin()
        assert desk.call().uuid == "u-1"
        peer.closed()
        peer.sock.close()
        assert server.refused == 0
    assert [record.getMessage() for record in caplog.records] == [
        "cannot accept a call: [Errno 24] Too many open files",
        "cannot accept a call: can't start new thread",
    ]


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
def test_over_ipv6(esl: ModuleType) -> None:
    try:
        server = esl.serve(lambda call: None, "::1")
    except OSError:
        pytest.skip("no IPv6 here")
    with server:
        peer = Peer(socket.create_connection(("::1", server.port)))
        peer.expect(b"connect\n\n")
        peer.sock.close()
        assert server.host == "::1"


# gevent


GEVENT = """
from gevent import monkey
monkey.patch_all()
import threading, time
import eslcodec
from eslcodec.errors import ConnectionClosed

def session(port):
    with eslcodec.connect("127.0.0.1", port, reconnect=eslcodec.Backoff(first=0.01, longest=0.01)) as fs:
        seen = []
        def read():
            for event in fs.events():
                seen.append(event)
        fs.subscribe("DTMF")
        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        results = []
        def work(n):
            results.append(fs.api("echo", str(n)).text == str(n))
            results.append(fs.bgapi("echo", str(n)).result(5).text == str(n))
        workers = [threading.Thread(target=work, args=(n,)) for n in range(20)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert results == [True] * 40, results
        assert len(fs.pipeline(["api status"] * 500)) == 500
        fs.api("fire")
        while len(seen) < 1:
            time.sleep(0.001)
        fs.api("drop")
        while len(seen) < 2:
            time.sleep(0.001)
        assert [type(one).__name__ for one in seen] == ["Event", "Gap"], seen
        assert fs.api("status").ok
    for reader in readers:
        reader.join(5)
        assert not reader.is_alive()

def handler(call):
    call.answer(wait=True)
    call.playback("a.wav", wait=True)
    call.hangup()
"""


def test_under_gevent(switch: Emulator, tmp_path: Any) -> None:
    """The client runs in a process of its own, whose threads are greenlets; the emulator here."""
    pytest.importorskip("gevent")
    switch.api["echo"] = lambda args: args
    switch.api["fire"] = lambda args: switch.fire("DTMF") or "+OK"
    switch.api["drop"] = lambda args: switch._later(0.05, switch.drop) or "+OK"  # type: ignore[func-returns-value]
    program = tmp_path / "with_gevent.py"
    program.write_text(
        GEVENT
        + f"""
session({switch.port})
begun = []
with eslcodec.serve(lambda call: begun.append(call) or handler(call)) as server:
    print(server.port, flush=True)
    while not begun:
        time.sleep(0.001)
assert [one.name for one in threading.enumerate()] == ["MainThread", "eslcodec-caretaker"], threading.enumerate()
print("done")
"""
    )
    with subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, text=True, env=os.environ) as process:
        assert process.stdout is not None
        port = process.stdout.readline()
        assert port.strip().isdigit(), port
        call = switch.dial(HOST, int(port))
        assert call.wait(10) == "NORMAL_CLEARING"
        assert call.executed == [("answer", ""), ("playback", "a.wav")]
        assert process.communicate(timeout=20)[0] == "done\n"
        assert process.returncode == 0
