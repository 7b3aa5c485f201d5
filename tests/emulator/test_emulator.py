"""The emulator itself: starting, stopping, waiting, its errors and its command line."""

from __future__ import annotations

import ast
import asyncio
import os
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from emulated import Client, connected, overrun
from support import plugin_option, until

import eslcodec
from eslcodec.emulator import Emulator, Fault
from eslcodec.emulator._events import SwitchEvent


@pytest.fixture
def switch() -> Iterator[Emulator]:
    with Emulator() as switch:
        yield switch


def test_wait_for_says_what_came_instead(switch: Emulator) -> None:
    with connected(switch, "api echo x"), pytest.raises(TimeoutError, match="'api echo x'"):
        switch.wait_for(lambda: False, timeout=0.01)


def test_a_hundred_connections_share_one_thread(switch: Emulator) -> None:
    before = threading.active_count()
    clients = [socket.create_connection((switch.host, switch.port)) for _ in range(100)]
    for client in clients:
        client.sendall(b"auth ClueCon\n\nevent plain DTMF\n\n")
    switch.wait_for(lambda: sum(listener.listening for listener in switch.listeners) == 100, 20)
    switch.fire("DTMF")
    for sock in clients:
        client = Client(sock)
        client.until(lambda client=client: client.events)
        sock.close()
    assert threading.active_count() <= before
    switch.wait_for(lambda: not switch.listeners, 20)


def test_stop_leaves_nothing_behind() -> None:
    def descriptors() -> int:
        folder = Path("/proc/self/fd")
        return len(os.listdir(folder)) if folder.exists() else 0

    threads, files = threading.active_count(), descriptors()
    emulator = Emulator()
    assert "stopped" in repr(emulator)
    emulator.start()
    assert "running" in repr(emulator)
    assert not emulator.wait(timeout=0)
    with connected(emulator) as client:
        emulator.stop()
        client.to_the_end()
    assert client.messages[-1].text == "The system is being shut down.\n"
    emulator.stop()
    assert emulator.wait(timeout=0)
    until(lambda: threading.active_count() <= threads and descriptors() <= files)  # those of other tests may go too


def test_it_can_be_started_again_on_its_port() -> None:
    emulator = Emulator()
    with emulator:
        port = emulator.port
    with emulator, connected(emulator) as client:
        assert emulator.port == port
        assert client.text("api echo again") == "again"


def test_it_listens_on_ipv6() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with Emulator(host="::1") as switch, connected(switch) as client:
        assert client.text("api echo six") == "six"


@pytest.mark.parametrize(
    "name",
    [
        "events",
        "waiting",
        "blocks",
        "model",
        "core",
        "rights",
        "subscription",
        "channels",
        "switch",
        "api",
        "listener",
        "replay",
    ],
)
def test_the_switch_knows_no_sockets_threads_and_loops(name: str) -> None:
    source = Path(eslcodec.__file__).parent / "emulator" / f"_{name}.py"
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert not {"socket", "asyncio", "threading", "concurrent.futures", "_sockets", "_thread"} & set(names)


class WithoutReaders(asyncio.SelectorEventLoop):
    """A loop that can do what the one that Windows has by default can do, and no more."""

    def _missing(self, *_: object) -> Any:
        raise NotImplementedError

    add_reader = add_writer = _missing


@pytest.fixture
def no_readers() -> Iterator[None]:
    """Whoever makes an event loop, and does not say which, gets one without `add_reader`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # since Python 3.14

        class Policy(asyncio.DefaultEventLoopPolicy):
            def new_event_loop(self) -> asyncio.AbstractEventLoop:
                return WithoutReaders()

        before = asyncio.get_event_loop_policy()
        asyncio.set_event_loop_policy(Policy())
        yield
        asyncio.set_event_loop_policy(before)


def test_it_needs_no_particular_event_loop_of_the_program(no_readers: None) -> None:
    """Windows' own has no `add_reader`."""

    async def answer(call: Any) -> None:
        await call.answer()
        await call.hangup("USER_BUSY")

    async def main() -> None:
        assert isinstance(asyncio.get_running_loop(), WithoutReaders)
        with Emulator(queue_limit=10, faults=[None, None, Fault.freeze()]) as switch:
            async with eslcodec.aio.connect(switch.host, switch.port) as fs, eslcodec.aio.serve(answer) as server:
                assert (await fs.api("echo", "one")).text == "one"
                call = await asyncio.to_thread(switch.dial, "127.0.0.1", server.port)
                assert await asyncio.to_thread(call.wait) == "USER_BUSY"
                with connected(switch, "event plain ALL"):
                    await asyncio.to_thread(overrun, switch)
                assert (await fs.api("echo", "two")).text == "two"

    asyncio.run(main())


def test_channels_may_be_set_up_before_it_starts() -> None:
    emulator = Emulator()
    emulator.add_session("s1", {"a": "b"})
    with emulator, connected(emulator, "myevents s1") as client:
        assert client.text("getvar a") == "b"


def test_an_event_is_written_once_for_all_connections() -> None:
    event = SwitchEvent("DTMF", eslcodec.headers.HeaderList([("Event-Name", "DTMF")]))
    assert event.frame("json") is event.frame("json")


def test_the_fixture_is_a_running_switch(tmp_path: Path) -> None:
    (tmp_path / "test_user.py").write_text(
        "import socket\n"
        "def test_fixture(esl_switch):\n"
        "    with socket.create_connection((esl_switch.host, esl_switch.port)) as sock:\n"
        "        assert sock.recv(28) == b'Content-Type: auth/request\\n\\n'\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(eslcodec.__file__).parents[1])}
    plugin = plugin_option()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", *plugin, "-p", "no:cacheprovider", "test_user.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr
