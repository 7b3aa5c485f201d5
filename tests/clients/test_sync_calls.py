"""The blocking server and its calls; both ends under gevent."""

from __future__ import annotations

import errno
import logging
import os
import re
import socket
import subprocess
import sys
import threading
import time
from types import ModuleType
from typing import Any

import pytest
from support import OK, reply
from sync_support import CONNECTED, HOST, Peer, Task, until
from sync_support import fs as fs
from sync_support import nothing_left as nothing_left
from sync_support import switch as switch

from eslcodec.emulator import Emulator, Run

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
        assert self.done.wait(60)

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
        assert call.wait(20) == "USER_BUSY"
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
    switch.applications.update(dict.fromkeys(["bridge", "park", "record", "transfer"], 0.0))  # each ends at once

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
        call.wait(20)
        switch.wait_for(lambda: len(call.executed) == 13, 20)
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
    switch.applications["playback"] = Run(2.6, response="FILE PLAYED")
    replies: list[Any] = []

    def handler(call: Any) -> None:
        replies.extend([call.mode, call.playback("a.wav").text])  # longer than command_timeout
        replies.append(call.playback("b.wav", wait=True)["Application-Data"])
        with pytest.raises(esl.CommandTimeout, match=r"^waited 0\.05 s for the answer to 'sendmsg'$"):
            call.playback("c.wav", timeout=0.05)

    with esl.serve(handler, command_timeout=2.5) as server:
        switch.dial(HOST, server.port, mode="full").wait(60)
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
        assert switch.dial(HOST, server.port, mode="").wait(20) == "NORMAL_CLEARING"
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
        switch.wait_for(lambda: call.executed, 20)
        call.hangup("ORIGINATOR_CANCEL")
        call.wait(20)
    assert said == ["PLAYBACK ERROR"]
    [record] = caplog.records
    assert (record.levelname, record.exc_info) == ("INFO", None)
    said = r"the call from 127\.0\.0\.1:\d+ ended under its handler: the channel hung up: ORIGINATOR_CANCEL"
    assert re.fullmatch(said, record.getMessage())


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
        switch.wait_for(lambda: "linger 0" in call.commands, 20)
        call.hangup()
        call.wait(20)
    assert seen.index("CHANNEL_HANGUP") < len(seen) - 1
    assert seen.count("DisconnectNotice") == 1
    assert seen[-1] is True


@pytest.mark.parametrize(
    ("first", "seconds", "reason"),
    [
        (b"", 0.3, "waited 0.3 s for the login"),
        (b"Event-Name: CH", 2.5, "waited 2.5 s for the login; read 14 bytes of a frame without its end"),
        (b"Content-Length: x\n\n", 20, "read Content-Length 'x', expected ASCII digits"),
        (reply(b"-ERR no"), 20, "the switch refused the login: -ERR no"),
    ],
)
def test_a_connection_that_brings_no_call(
    esl: ModuleType, caplog: pytest.LogCaptureFixture, first: bytes, seconds: float, reason: str
) -> None:
    with esl.serve(Desk(), first_frame_timeout=seconds) as server:
        peer = Dialled(server.port)
        peer.expect(b"connect\n\n")
        peer.send(first)
        peer.closed()
        peer.sock.close()
        until(lambda: caplog.records)
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
    assert [record.name for record in caplog.records] == ["eslcodec.server"] * 2
    for record in caplog.records:
        assert re.fullmatch(r"the handler of the call from 127\.0\.0\.1:\d+ failed", record.getMessage())


def test_closing_waits_for_calls(esl: ModuleType) -> None:
    desk = Desk()
    server = esl.serve(desk)
    peer = Dialled(server.port).begin()
    call = desk.call()
    closing = Task(lambda: server.close(timeout=30))
    assert server.wait(20)
    until(lambda: not server.listening)
    with pytest.raises(ConnectionRefusedError):
        Dialled(server.port)
    assert closing.is_alive()
    assert not call.closed
    desk.done.set()
    closing.result(20)
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
        until(lambda: not server.calls)
        assert [str(error) for error in ended] == ["closed by us"]
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
    together = threading.Barrier(100, timeout=60)

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
            assert call.wait(60) == "NORMAL_CLEARING"
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
            results.append(fs.bgapi("echo", str(n)).result(20).text == str(n))
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
        reader.join(20)
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
    switch.api["drop"] = lambda args: switch._switch.core.later(0.05, switch.drop) or "+OK"  # type: ignore[func-returns-value]
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
while [one.name for one in threading.enumerate()] != ["MainThread", "eslcodec-caretaker"]:
    time.sleep(0.01)  # the call's is at its end
print("done")
"""
    )
    with subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, text=True, env=os.environ) as process:
        assert process.stdout is not None
        port = process.stdout.readline()
        assert port.strip().isdigit(), port
        call = switch.dial(HOST, int(port))
        assert call.wait(30) == "NORMAL_CLEARING"
        assert call.executed == [("answer", ""), ("playback", "a.wav")]
        assert process.communicate(timeout=20)[0] == "done\n"
        assert process.returncode == 0
