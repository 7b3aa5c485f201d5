"""Every block of code in the README runs, against an emulated switch where it needs one."""

from __future__ import annotations

import ast
import doctest
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import plugin_option, until

from eslcodec.emulator import Emulator

README = Path(__file__).parent.parent / "README.md"

pytestmark = pytest.mark.skipif(not README.exists(), reason="the README is in the checkout only")


def block(first: str) -> str:
    """The block of Python that begins with this line, or has it in it."""
    blocks = re.findall(r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    (found,) = [code for code in blocks if first in code]
    return str(found)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def running(code: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-u", "-c", code], cwd="/", stdout=subprocess.PIPE, text=True)
    with process:
        try:
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def subscribed(switch: Emulator) -> bool:
    return any(command.startswith("event") for command in switch.commands)


def test_the_dialogues_go_as_printed() -> None:
    result = doctest.testfile(str(README), module_relative=False, encoding="utf-8")
    assert result.failed == 0
    assert result.attempted > 40


def test_every_block_is_python() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 5
    for code in blocks:
        ast.parse(code)


def test_the_loop_over_events() -> None:
    with Emulator() as switch:
        code = "import eslcodec\n" + block("with eslcodec.connect(").replace("8021", str(switch.port))
        with running(code) as process:
            switch.wait_for(lambda: subscribed(switch), 30)
            switch.fire("CHANNEL_ANSWER", {"Unique-ID": "u-1"})
            assert line(process) == "CHANNEL_ANSWER u-1"


def test_the_loop_with_asyncio() -> None:
    with Emulator() as switch:
        switch.api["originate"] = "+OK"
        with running(block("eslcodec.aio.connect(").replace("8021", str(switch.port))) as process:
            switch.wait_for(lambda: any(command.startswith("bgapi") for command in switch.commands), 30)
            switch.fire("CHANNEL_ANSWER", {"Unique-ID": "u-1"})
            assert line(process) == "CHANNEL_ANSWER u-1"


def test_the_handler_of_calls() -> None:
    port = free_port()
    code = "import eslcodec\n" + block("def greet(call)").replace("8084", str(port))
    with running(code) as process, Emulator() as switch:
        until(lambda: connectable(port), 30)
        call = switch.dial("127.0.0.1", port)
        assert line(process).startswith("call from")
        assert call.wait() == "NORMAL_CLEARING"
        assert call.executed == [("answer", ""), ("set", "greeted=yes"), ("playback", "ivr/ivr-welcome.wav")]


def connectable(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def test_the_tests_that_users_write(tmp_path: Path) -> None:
    program = (
        "import eslcodec, threading\n"
        + block("def greet(call)").partition("\n\n\nwith")[0]
        + "\ndef listen(host, port):\n"
        "    with eslcodec.connect(host, port) as fs:\n"
        "        fs.subscribe('ALL', format='plain')\n"
        "        assert fs.next_event(10).name == 'CHANNEL_HANGUP'\n"
        "def start_my_program(host, port):\n"
        "    threading.Thread(target=listen, args=(host, port)).start()\n"
    )
    (tmp_path / "test_mine.py").write_text(program + block("def test_my_program(esl_switch)"))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            *plugin_option(),
            "-q",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            ".",
            "test_mine.py",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "2 passed" in done.stdout, done.stdout


def test_the_protocol_over_the_decoder() -> None:
    with Emulator() as switch, running(block("class Answers(").replace("8021", str(switch.port))) as process:
        switch.wait_for(lambda: subscribed(switch), 30)
        switch.fire("CHANNEL_ANSWER", {"Unique-ID": "u-1"})
        assert line(process) == "CHANNEL_ANSWER 'u-1'"
        switch.shutdown()
        assert line(process) == "closed: None"
