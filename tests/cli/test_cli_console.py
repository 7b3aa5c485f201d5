"""`eslcodec cli`: what fs_cli's options do, and the console without and on a terminal."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cli_live_support import COMMAND, login, run
from cli_live_support import no_settings as no_settings
from cli_live_support import switch as switch

from eslcodec.emulator import Emulator

console = pytest.importorskip("eslcodec.cli.console")


def test_a_command_runs_as_at_the_console(switch: Emulator) -> None:
    switch.api.update(x="here", no="-ERR no\n")
    result = run("cli", switch, "-x", "x 'a  b'")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "here\n", "")
    assert switch.commands == ["auth ClueCon", "api x 'a  b'\nconsole_execute: true"]
    result = run("cli", switch, "-x", "no")
    assert (result.exit_code, result.stdout) == (1, "-ERR no\n")


def test_the_options_of_fs_cli_are_taken(switch: Emulator) -> None:
    switch.api["x"] = "here"
    words = "-H 127.0.0.1 -p ClueCon -d 3 -l 4 -U -S -q -b -i -r -R -t 2000 -T 5000 -n -Q -s u1"
    assert run("cli", switch, *words.split(), "-x", "x").stdout == "here\n"


def test_times_are_milliseconds_as_fs_cli_has_them(switch: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def connect(*args: Any, **options: Any) -> Any:
        seen.update(options)
        raise OSError("enough")

    monkeypatch.setattr(login, "connect", connect)
    assert run("cli", switch, "-t", "200", "-T", "1500", "-x", "status").exit_code == 1
    assert (seen["command_timeout"], seen["connect_timeout"]) == (0.2, 1.5)
    run("cli", switch, "-x", "status")
    assert seen["command_timeout"] == 30


def test_commands_from_a_pipe(switch: Emulator) -> None:
    switch.api.update(x="here", no="-ERR no\n")
    typed = "x\n\nno\n/event plain DTMF\n/filter Event-Name DTMF\n/nope\n/help\n/exit\nx\n"
    result = run("cli", switch, input=typed)
    assert result.exit_code == 0
    assert result.stdout.startswith("here\n-ERR no\n+OK event listener enabled plain\n+OK filter added.")
    assert "Unknown command [nope]\n" in result.stdout
    assert "/logfilter [TEXT]" in result.stdout
    assert switch.commands[1:] == [
        "api x\nconsole_execute: true",
        "api no\nconsole_execute: true",
        "event plain DTMF",
        "filter Event-Name DTMF",
    ]


def test_what_is_typed_need_not_be_utf8_nor_be_there(switch: Emulator) -> None:
    seen: list[str] = []
    switch.api["x"] = lambda args: seen.append(args) or "here\n"  # type: ignore[func-returns-value]
    command = [*COMMAND, "cli", "-P", str(switch.port), "-p", "ClueCon"]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}
    done = subprocess.run(command, input=b"x caf\xe9\n", env=environment, capture_output=True, cwd="/")
    assert (done.returncode, done.stdout, done.stderr, seen) == (0, b"here\n", b"", ["caf\udce9"])
    pytest.importorskip("pty")  # a shell to close it
    shell = ["sh", "-c", 'exec "$@" <&-', "sh", *command]
    closed = subprocess.run(shell, env=environment, capture_output=True, cwd="/")
    assert (closed.returncode, closed.stdout, closed.stderr) == (0, b"", b"")


def session(**options: Any) -> Any:
    names = ("loglevel", "log_uuid", "log_uuid_short", "set_log_uuid", "quiet", "no_color", "batchmode")
    return console.Session({name: options.get(name) for name in names}, {})


def test_log_lines_of_one_call_and_with_a_text() -> None:
    def line(text: str, uuid: str = "") -> Any:
        from eslcodec import LogLine

        user = f"User-Data: {uuid}\n" if uuid else ""
        return LogLine(f"Content-Type: log/data\nLog-Level: 4\n{user}\n".encode(), text.encode())

    uuid = "8f08a03a-c377-4f13-a9ec-93b2319b9f0b"
    assert session()._told(line("a\n", uuid)) == "a\n"
    assert session(log_uuid=True)._told(line("a\n", uuid)) == f"{uuid} a\n"
    assert session(log_uuid_short=True)._told(line("a\n", uuid)) == "8f08a03a a\n"
    only = session(set_log_uuid=uuid)
    assert (only._told(line("a\n")), only._told(line("a\n", uuid))) == ("", "a\n")
    only._answer(None, "logfilter", "b", "")
    assert (only._told(line("a\n", uuid)), only._told(line("ab\n", uuid))) == ("", "ab\n")
    assert only._answer(None, "uuid", "", "") == "UUID filtering disabled\n"


def test_the_console_on_a_terminal(switch: Emulator, tmp_path: Path) -> None:
    """Log lines come between what is typed, nothing in them controls the terminal, and control-D ends it."""
    pty = pytest.importorskip("pty")
    switch.api.update(switchname="lab", x="here")
    main, terminal = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "cli", "-P", str(switch.port), "-p", "ClueCon", "-l", "warning"],
        cwd="/",
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(terminal)
    shown, seen = b"", 0
    with process, open(main, "r+b", buffering=0) as screen:

        def until(text: bytes) -> None:
            """Until the screen has it, behind what was waited for before."""
            nonlocal shown, seen
            while text not in shown[seen:]:
                shown += screen.read(1000)
            seen = shown.index(text, seen) + len(text)

        until(b"freeswitch@lab> ")
        switch.wait_for(lambda: "log warning" in switch.commands, 30)
        switch.log("warning", "a line \x1b[2J of it")
        until(b"a line \\x1b[2J of it")
        screen.write(b"x\n")
        until(b"here\r\n")
        until(b"freeswitch@lab> ")  # before, control-D would be the terminal's, and not the console's
        screen.write(b"\x04")
        try:
            while data := screen.read(1000):
                shown += data
        except OSError:  # how a terminal says that nobody is left
            pass
    assert process.returncode == 0
    assert b"\x1b[2J" not in shown
    assert b"Traceback" not in shown
