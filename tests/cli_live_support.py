"""What the tests of the commands that connect share: running one, here or in a process of its own, and a switch."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import eslcodec
from eslcodec.emulator import Emulator

testing = pytest.importorskip("click.testing")
pytest.importorskip("rich")
cli = pytest.importorskip("eslcodec.cli")
api, conf, emulate, live, login = (
    pytest.importorskip(f"eslcodec.cli.{name}") for name in ("api", "conf", "emulate", "live", "login")
)

SECRET = "s3cret-\u00e9"
# A shell that runs the tests in the background lets them ignore SIGINT, which children inherit.
LISTENING = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
COMMAND = [sys.executable, "-W", "error", "-c", f"{LISTENING}; from eslcodec.cli import main; main()"]
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
HOSTILE = {"V\x1b[1m": "\x1b]0;t\x07\u202e\x9b\r\n\x7f\u2028[red]", "Job-UUID": "\x1b[2J", "Channel-Name": "\u2066x"}
BODY = b"\x1b[2J\xff\n\xc2\x9b\n"


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of whoever runs the tests."""
    for name in ("HOST", "PORT", "USER", "PASSWORD", "PASSWORD_FILE", "PROFILE", "SWITCHES"):
        monkeypatch.delenv(f"ESLCODEC_{name}", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setattr(conf, "_SYSTEM_FILE", str(tmp_path / "fs_cli.conf"))


@pytest.fixture
def switch() -> Iterator[Emulator]:
    with Emulator() as switch:
        yield switch


def run(command: str, switch: Emulator | None, *args: Any, **kwargs: Any) -> Any:
    """A command in this process, connected to a switch."""
    where = [] if switch is None else ["--port", switch.port]
    words = [str(arg) for arg in (command, *where, *args)]
    return testing.CliRunner().invoke(cli.command_line(), words, prog_name="eslcodec", **kwargs)


@contextmanager
def spawned(*args: Any, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    """A command in a process of its own, which is ended with the block."""
    with subprocess.Popen(
        [*COMMAND, *map(str, args)],
        cwd="/",  # with -c the folder comes first where modules are looked for: not the checkout
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **env},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().decode().rstrip("\n")


def interrupted(process: subprocess.Popen[bytes]) -> tuple[int, bytes]:
    """Ctrl-C; the exit status and what was left to say on standard error."""
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    return process.returncode, errors


@contextmanager
def meanwhile(action: Callable[[], object]) -> Iterator[None]:
    """An action in another thread, whose failure is the test's."""
    failures: list[BaseException] = []

    def act() -> None:
        try:
            action()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=act)
    thread.start()
    try:
        yield
    finally:
        thread.join()
    if failures:
        raise failures[0]


def subscribed(switch: Emulator, times: int = 1) -> None:
    """Wait until so many connections have subscribed."""
    switch.wait_for(lambda: sum(command.startswith("event ") for command in switch.commands) >= times, 30)


def firing(switch: Emulator, *events: Any) -> Any:
    """Fires these events once somebody has subscribed."""

    def fire() -> None:
        subscribed(switch)
        for event in events:
            switch.fire(event)

    return meanwhile(fire)


def build(name: str, headers: Any = (), body: Any = None, subclass: str | None = None) -> eslcodec.Event:
    return eslcodec.Event.build(name, headers, body, subclass)


def events_in(stream: bytes) -> list[Any]:
    """The events of a stream."""
    decoder = eslcodec.Decoder()
    decoder.feed(stream)
    return [message for message in decoder if isinstance(message, eslcodec.Event)]


@pytest.fixture
def password_file(tmp_path: Path) -> Any:
    """Writes a file, and gives its path."""

    def write(content: bytes, mode: int = 0o600) -> Path:
        path = tmp_path / "secret"
        path.touch()
        path.chmod(0o600)
        path.write_bytes(content)
        path.chmod(mode)
        return path

    return write
