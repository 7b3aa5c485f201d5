"""`eslcodec emulate`: who connects, what it replays, and how it ends."""

from __future__ import annotations

import gzip
import re
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import support
from cli_live_support import SECRET, emulate, interrupted, line, run, spawned
from cli_live_support import no_settings as no_settings

import eslcodec
from eslcodec.emulator import Emulator


@contextmanager
def emulated(*options: Any, **env: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """`eslcodec emulate`, and where it listens."""
    with spawned("emulate", "--port", 0, *options, **env) as process:
        listening = re.fullmatch(r"listening on 127\.0\.0\.1:(\d+)", line(process))
        assert listening is not None
        yield process, int(listening[1])


def test_emulate_says_who_connects_and_ends_with_ctrl_c() -> None:
    with emulated(ESLCODEC_PASSWORD=SECRET) as (process, port):
        with eslcodec.connect(port=port, password=SECRET) as client:
            assert "is ready" in client.api("status").text
            client.send("sendmsg x\nname: \u202e\x1b")
        me, what = line(process).split()
        assert what == "connected"
        assert [line(process) for _ in range(4)] == [
            f"{me} auth ***",
            f"{me} api status",
            f"{me} sendmsg x\\nname: \\u202e\\x1b",
            f"{me} closed",
        ]
        assert interrupted(process) == (0, b"")


def test_emulate_shows_connections_that_come_and_go_between_two_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks until all twenty are gone."""
    names: list[str] = []

    def visit(switch: Emulator) -> None:
        for number in range(20):
            with socket.create_connection((switch.host, switch.port)) as sock:
                sock.sendall(f"auth ClueCon\n\napi echo {number}\n\nexit\n\n".encode())
                while sock.recv(1000):
                    pass
                names.append("{}:{}".format(*sock.getsockname()))
            Emulator.wait_for(switch, lambda: not switch.listeners, 30)
            switch._run(lambda: None)  # that is so before it is told: behind this it is

    class Late(Watched):
        def wait_for(self, condition: Callable[[], Any], timeout: float = 5.0) -> Any:
            self.visitor.join()
            result = condition()
            if result:
                return result
            raise KeyboardInterrupt

    monkeypatch.setattr(emulate, "Emulator", Late)
    monkeypatch.setattr(Watched, "visit", staticmethod(visit))
    _, *lines = run("emulate", None, "--port", 0).stdout.splitlines()
    assert lines == [
        f"{name} {what}"
        for number, name in enumerate(names)
        for what in ("connected", "auth ***", f"api echo {number}", "exit", "closed")
    ]


def test_emulate_shows_every_command_of_a_client_that_says_much() -> None:
    """The emulator itself remembers the newest 10,000."""
    with emulated() as (process, port), eslcodec.connect(port=port) as client:
        for first in range(0, 12_000, 1000):
            client.pipeline([f"api echo {number}" for number in range(first, first + 1000)])
        lines = [line(process) for _ in range(12_002)]
        assert [text.split()[-1] for text in lines[2:]] == [str(number) for number in range(12_000)]


def test_emulate_says_how_much_it_did_not_show() -> None:
    news = emulate._News(3)
    for number in range(5):
        news.tell(("127.0.0.1", 5), f"\x1b{number}")
    assert news.take() == [*(f"127.0.0.1:5 \\x1b{number}" for number in range(3)), "2 more lines were not kept"]
    news.tell(("::1", 5, 0, 0), "connected")
    assert (news.take(), news.take()) == (["[::1]:5 connected"], [])


def test_emulate_replays_what_comes_with_the_package() -> None:
    with emulated("--replay", "--rate", 500) as (process, port), eslcodec.connect(port=port) as client:
        client.subscribe("ALL")
        assert [event.sequence for event in islice(client.events(30), 3)] == [18378, 18379, 18380]
        assert interrupted(process)[0] == 0


class Watched(Emulator):
    """Is interrupted, as by Ctrl-C, when a client has said `exit` and is gone."""

    visit: Callable[[Emulator], object] = staticmethod(lambda switch: None)

    def __enter__(self) -> Any:
        super().__enter__()
        self.visitor = threading.Thread(target=self.visit, args=(self,))
        self.visitor.start()
        return self

    def wait_for(self, condition: Callable[[], Any], timeout: float = 5.0) -> Any:
        if self.visitor.is_alive() or self.listeners:
            return super().wait_for(condition, timeout)
        if news := condition():  # all of which may have come before anybody looked
            return news
        raise KeyboardInterrupt


@pytest.mark.parametrize("repeat", [[], ["--repeat"]])
def test_emulate_replays_a_file(repeat: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "stream"  # its content says that it is packed
    path.write_bytes(gzip.compress(support.AUTH + b"".join(support.plain(b"A: %d\n\n" % at) for at in range(3))))
    received: list[str] = []

    def visit(switch: Emulator) -> None:
        with eslcodec.connect(port=switch.port) as client:
            client.subscribe("ALL")
            received.extend(event["A"] for event in islice(client.events(30), 7 if repeat else 3))
            if not repeat and client.next_event(timeout=0.2) is not None:
                received.append("more")

    monkeypatch.setattr(emulate, "Emulator", Watched)
    monkeypatch.setattr(emulate, "_LOOK_SECONDS", 0.05)
    monkeypatch.setattr(Watched, "visit", staticmethod(visit))
    result = run("emulate", None, "--port", 0, "--replay", path, *repeat)
    assert (result.exit_code, result.stderr) == (0, "")
    assert re.fullmatch(
        r"listening on \S+\n(\S+) connected\n\1 auth \*\*\*\n\1 event ALL\n(\1 closed\n)?", result.stdout
    )
    assert "".join(received) == ("0120120" if repeat else "012")


def test_emulate_replays_the_recording_if_no_file_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulate, "Emulator", Watched)
    for options in (["--replay"], ["--replay", "demo"]):
        assert run("emulate", None, "--port", 0, *options).stdout.startswith("listening on ")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "has no event in it"),
        (support.AUTH, "has no event in it"),
        (b"Content-Length: x\n\n", "expected ASCII digits"),
        (gzip.compress(support.AUTH * 9, mtime=0)[:-9], "ended before the end-of-stream marker"),
        (None, "No such file"),
    ],
)
def test_what_cannot_be_replayed_is_reported(content: bytes | None, why: str, tmp_path: Path) -> None:
    path = tmp_path / "stream\x1b"
    if content is not None:
        path.write_bytes(content)
    result = run("emulate", None, "--port", 0, "--replay", path)
    assert result.exit_code == 1
    assert why in result.stderr
    assert "\x1b" not in result.stderr


def test_a_port_that_is_taken_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        result = run("emulate", None, "--port", port)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: cannot listen on 127.0.0.1:{port}: Address already in use")
