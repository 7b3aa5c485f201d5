"""Programs written for the official module run unchanged (docs/protocol/esl-module.md, A5), against the emulator.

They run in this process after `install_as_ESL()`, on both cores. tests/esl/test_esl_runner.py runs some under
`python -m eslcodec.ESL`.
"""

from __future__ import annotations

import contextlib
import io
import os
import socketserver
import sys
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from esl_support import INBOUND, Background, strictly
from support import part, until

from eslcodec.emulator import EmulatedCall, Emulator

SECONDS = 30.0


@pytest.fixture
def ESL(esl: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module under test, which `import ESL` finds."""
    monkeypatch.delitem(sys.modules, "ESL", raising=False)
    module = part(esl, "ESL")
    with strictly(module, False):
        esl.install_as_ESL()
        yield module
    sys.modules.pop("ESL", None)


@pytest.fixture(params=[False, True], ids=["default", "strict"])
def strict(request: pytest.FixtureRequest, ESL: Any) -> Iterator[Any]:
    with strictly(ESL, request.param):
        yield request.param


@pytest.fixture
def switch() -> Iterator[Emulator]:
    with Emulator() as switch:
        yield switch


# The name ESL


def test_import_finds_our_module(ESL: Any, esl: ModuleType) -> None:
    import ESL as found

    assert found is ESL
    assert found is esl.ESL
    assert found.ESLconnection is esl.ESL.ESLconnection


def test_installing_twice_is_the_same(ESL: Any, esl: ModuleType) -> None:
    esl.install_as_ESL()
    assert sys.modules["ESL"] is ESL


def test_official_module_that_was_imported_before_is_replaced(
    ESL: Any, esl: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ESL", os)
    esl.install_as_ESL()
    assert sys.modules["ESL"] is ESL


def test_strict_is_set_by_either_name(ESL: Any, esl: ModuleType) -> None:
    import ESL as found

    found.strict = True
    assert esl.ESL.strict is True


def test_star_import_gives_what_programs_use(ESL: Any) -> None:
    names: dict[str, Any] = {}
    exec("from ESL import *", names)
    assert names["ESLconnection"] is ESL.ESLconnection
    assert names["ESLevent"] is ESL.ESLevent
    assert names["eslSetLogLevel"] is ESL.eslSetLogLevel


# Inbound


def run(program: str, *arguments: str) -> Background:
    """A program in a thread; what it prints comes back."""

    def main() -> str:
        printed = io.StringIO()
        names = {"__name__": "__main__", "print": lambda *values: print(*values, file=printed)}
        exec(compile(program.format(*arguments), "program.py", "exec"), names)
        return printed.getvalue()

    return Background(main)


def test_inbound_program(ESL: Any, strict: Any, switch: Any) -> None:
    program = run(INBOUND, str(switch.port))
    switch.wait_for(lambda: "event json all" in switch.commands, 20)
    switch.fire("HEARTBEAT", {"Event-Info": "System Ready"})
    assert program.returns() == "HEARTBEAT\n"
    assert switch.commands == ["auth ClueCon", "event json all"]


LOOP = """
import ESL

con = ESL.ESLconnection("127.0.0.1", "{}", "ClueCon")
if con.connected:
    con.events("plain", "DTMF CUSTOM a::b")
    while con.connected():
        e = con.recvEvent()
        if e:
            name = e.getHeader("Event-Name")
            print(name, e.getType(), e.getHeader("DTMF-Digit"), e.getBody())
            h = e.firstHeader()
            while h:
                if h.startswith("variable_"):
                    print(h, e.getHeader(h))
                h = e.nextHeader()
            if name == "CUSTOM":
                con.send("exit")
"""


def test_loop_ends_when_the_switch_says_goodbye(ESL: Any, strict: Any, switch: Any) -> None:
    program = run(LOOP, str(switch.port))
    switch.wait_for(lambda: "event plain DTMF CUSTOM a::b" in switch.commands, 20)
    switch.fire("DTMF", {"DTMF-Digit": "5", "variable_x": "a b:c", "variable_l": ["1", "2"]})
    switch.fire("CUSTOM", {}, "body\n", "a::b")
    assert program.returns() == (
        "DTMF DTMF 5 None\nvariable_x a b:c\nvariable_l ARRAY::1|:2\nCUSTOM CUSTOM None body\n\n"
        "SOCKET_DATA SOCKET_DATA None None\nSERVER_DISCONNECTED SERVER_DISCONNECTED None None\n"
    )


CLI = """
from ESL import *

con = ESLconnection("127.0.0.1", {}, "ClueCon")
e = con.sendRecv("api status\\nconsole_execute: true\\n\\n")
print(e.getBody())
e = con.api("echo", "one two")
print(e.getBody())
e = con.bgapi("echo", "three", "my-job")
print(e.getHeader("Reply-Text"), e.getHeader("Job-UUID"))
e = con.sendRecv("nonsense")
print(e.getHeader("Reply-Text"), e.getBody())
"""


def test_command_line_program(ESL: Any, strict: Any, switch: Any) -> None:
    switch.api["status"] = "UP 0 years"
    program = run(CLI, str(switch.port))
    assert program.returns() == ("UP 0 years\none two\n+OK Job-UUID: my-job my-job\n-ERR command not found None\n")
    assert "api status\nconsole_execute: true" in switch.commands


LOG_VIEWER = """
from ESL import *

con = ESLconnection("127.0.0.1", "{}", "ClueCon")
con.sendRecv("log 7")
shown = 0
while con.connected() and shown < 2:
    e = con.recvEventTimed(100)
    if e and e.getHeader("content-type") == "log/data":
        print(e.getHeader("log-level"), e.getBody())
        shown += 1
"""


def test_log_viewer(ESL: Any, strict: Any, switch: Any) -> None:
    program = run(LOG_VIEWER, str(switch.port))
    switch.wait_for(lambda: "log 7" in switch.commands, 20)
    switch.log(4, "Content-Length: 5\n\none\n")
    switch.log("debug", "two %41")
    assert program.returns() == "4 Content-Length: 5\n\none\n\n7 two %41\n\n"


SEND_EVENT = """
from ESL import *

con = ESLconnection("127.0.0.1", "{}", "ClueCon")
con.events("plain", "CUSTOM albs::Section-Alarm")
e = ESLevent("CUSTOM", "albs::Section-Alarm")
e.addHeader("Section", "33")
e.addHeader("Alarm-Type", "PIR")
e.addBody("text")
con.sendEvent(e)
e = con.recvEvent()
print(e.getType(), e.getHeader("Event-Subclass"), e.getHeader("Section"), e.getBody())
"""


def test_sent_event_comes_back(ESL: Any, strict: Any, switch: Any) -> None:
    program = run(SEND_EVENT, str(switch.port))
    assert program.returns() == "CUSTOM albs::Section-Alarm 33 text\n"


def test_wrong_password(ESL: Any, strict: Any, switch: Any) -> None:
    con = ESL.ESLconnection(switch.host, switch.port, "wrong")
    assert con.connected() == 0


def test_directory_user(ESL: Any, strict: Any) -> None:
    from eslcodec.emulator import User

    with Emulator(users={"1000@example.com": User("secret")}) as switch:
        assert ESL.ESLconnection(switch.host, switch.port, "1000@example.com", "wrong").connected() == 0
        con = ESL.ESLconnection(switch.host, switch.port, "1000@example.com", "secret")
        assert con.connected() == 1
        con.disconnect()


def test_address_that_the_switch_refuses(ESL: Any, strict: Any) -> None:
    with Emulator(allow=False) as switch:
        con = ESL.ESLconnection(switch.host, switch.port, "ClueCon")
        assert con.connected() == 0


# Outbound

OUTBOUND = """
import socketserver
from ESL import *

class ESLRequestHandler(socketserver.BaseRequestHandler):
    def setup(self):
        con = ESLconnection(self.request.{})
        if con.connected():
            info = con.getInfo()
            uuid = info.getHeader("unique-id")
            con.execute("answer", "", uuid)
            con.execute("playback", "/tmp/a b.wav", uuid)
            ended(con)
"""


class Calls(socketserver.TCPServer):
    """Serves the program's handler, and knows what went wrong in it."""

    allow_reuse_address = True

    def __init__(self, program: str, ended: Any) -> None:
        names: dict[str, Any] = {"ended": ended}
        exec(program, names)
        self.errors: list[BaseException | None] = []
        self.done = 0
        super().__init__(("127.0.0.1", 0), names["ESLRequestHandler"])

    def handle_error(self, request: Any, client_address: Any) -> None:
        self.errors.append(sys.exc_info()[1])

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        self.done += 1


@contextlib.contextmanager
def serving(server: Calls) -> Iterator[Calls]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    with server:
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def test_outbound_program(ESL: Any, strict: Any, switch: Any) -> None:
    handle = "detach()" if strict else "fileno()"
    with serving(Calls(OUTBOUND.format(handle), lambda con: con.disconnect())) as server:
        call = switch.dial(*server.server_address, mode="async full", variables={"x": "y"})
        call.wait(20)
    assert call.executed == [("answer", ""), ("playback", "/tmp/a b.wav")]
    command = f"sendmsg {call.uuid}\ncall-command: execute\nexecute-app-name: "
    assert call.commands[0] == "connect"
    assert call.commands[1].startswith(command + "answer")
    assert call.commands[2].startswith(command + "playback\nexecute-app-arg: /tmp/a b.wav")
    assert server.errors == []


@pytest.mark.parametrize("mode", ["async full", "full", "async", ""])
def test_outbound_program_in_every_mode(ESL: Any, strict: Any, switch: Any, mode: str) -> None:
    handle = "detach()" if strict else "fileno()"
    with serving(Calls(OUTBOUND.format(handle), lambda con: None)) as server:
        call = switch.dial(*server.server_address, mode=mode)
        call.wait(20)
    assert call.executed == [("answer", ""), ("playback", "/tmp/a b.wav")]
    assert server.errors == []


def descriptors() -> list[str]:
    return sorted(os.listdir("/dev/fd"))


def test_calls_in_a_row_leave_no_descriptor_and_close_none_twice(ESL: Any, strict: Any, switch: Any) -> None:
    """A descriptor opened right behind `disconnect` has the number that was closed: closing twice would hit it."""
    sentinels: list[tuple[int, os.stat_result]] = []

    def ended(con: Any) -> None:
        if server.done % 2:  # the other calls end by the object's end
            con.disconnect()
        fd = os.open(__file__, os.O_RDONLY)
        sentinels.append((fd, os.fstat(fd)))

    def check() -> None:
        for fd, stat in sentinels:
            assert os.path.samestat(os.fstat(fd), stat)
            os.close(fd)
        sentinels.clear()

    handle = "detach()" if strict else "fileno()"
    with serving(Calls(OUTBOUND.format(handle), ended)) as server:
        for number in range(200 if strict else 1001):
            call: EmulatedCall = switch.dial(*server.server_address)
            call.wait(20)
            until(lambda done=number + 1: server.done == done)
            check()
            if number == 0:
                before = descriptors()
        until(lambda: len(descriptors()) <= len(before))
    assert server.errors == []
    assert len(call.executed) == 2


def test_framework_may_close_the_number_again(ESL: Any, switch: Any) -> None:
    """Strict, and without `detach`: what the official module is known for. It must be harmless as long as it can be."""
    with strictly(ESL, True), serving(Calls(OUTBOUND.format("fileno()"), lambda con: con.disconnect())) as server:
        for _ in range(3):
            call = switch.dial(*server.server_address)
            call.wait(20)
            assert call.executed == [("answer", ""), ("playback", "/tmp/a b.wav")]
