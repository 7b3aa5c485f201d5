"""The commands that connect: where to, who, and passwords, which they never show."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cli_live_support import COMMAND, SECRET, login, run
from cli_live_support import no_settings as no_settings
from cli_live_support import password_file as password_file
from cli_live_support import switch as switch
from ports import free_port

from eslcodec.emulator import Emulator, Fault, User

# Where to, and who


def test_the_environment_says_where_the_switch_is(switch: Emulator) -> None:
    switch.api["x"] = "here"
    environment = {"ESLCODEC_HOST": "127.0.0.1", "ESLCODEC_PORT": str(switch.port), "ESLCODEC_PASSWORD": ""}
    assert run("api", None, "x", env=environment).stdout == "here"


def test_nobody_listens() -> None:
    port = free_port()
    result = run("api", None, "--port", port, "status")
    assert (result.exit_code, result.stderr) == (1, f"Error: cannot connect to 127.0.0.1:{port}: Connection refused\n")


def test_a_wrong_password_is_not_shown() -> None:
    with Emulator(password="another") as switch:
        result = run("tail", switch, env={"ESLCODEC_PASSWORD": SECRET})
    assert result.exit_code == 1
    assert result.stderr == f"Error: 127.0.0.1:{switch.port} refused the login: -ERR invalid (wrong password?)\n"


def test_an_address_that_is_not_let_in() -> None:
    with Emulator(allow=False) as switch:
        result = run("api", switch, "status")
    assert result.exit_code == 1
    assert "Access Denied" in result.stderr


def test_a_switch_that_says_something_else() -> None:
    with Emulator(fault=Fault.garbage(b"Content-Length: \x1b[2J\n\n")) as switch:
        result = run("api", switch, "status")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: 127.0.0.1:{switch.port}: ")
    assert result.stderr[:-1].isprintable()


def test_ipv6_addresses_stand_in_brackets() -> None:
    assert login.address("::1", 8021) == "[::1]:8021"
    assert login.address("a\x1b", 1) == "a\\x1b:1"


# Passwords


@pytest.mark.parametrize("content", ["{}", "{}\n", "{}\r\n", "{}\nnot this\n"])
@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_password_from_a_file(content: str, mode: int, password_file: Any) -> None:
    path = password_file(content.format(SECRET).encode(), mode)
    with Emulator(password=SECRET) as switch:
        for options, env in ((["--password-file", path], {}), ([], {"ESLCODEC_PASSWORD_FILE": str(path)})):
            result = run("api", switch, *options, "status", env={"ESLCODEC_PASSWORD": "wrong", **env})
            assert result.exit_code == 0


@pytest.mark.parametrize("mode", [0o640, 0o620, 0o610, 0o604, 0o602, 0o601, 0o777])
@pytest.mark.skipif(os.name != "posix", reason="modes mean nothing here")
def test_a_password_file_for_others_is_refused(mode: int, switch: Emulator, password_file: Any) -> None:
    for command in (["api", "status"], ["tail"], ["emulate"]):
        path = password_file(b"ClueCon\n", mode)
        result = run(command[0], switch, "--password-file", path, *command[1:])
        assert result.exit_code == 1
        assert f"secret has mode {mode:04o}" in result.stderr
        assert switch.commands == []


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda path: None, "No such file"),
        (lambda path: path.mkdir(), "Is a directory"),
        (lambda path: os.mkfifo(path, 0o600), "expected a regular file"),
        (lambda path: os.close(os.open(path, os.O_CREAT, 0o600)), "no password in its first line"),
    ],
)
@pytest.mark.skipif(os.name != "posix", reason="needs mkfifo")
def test_a_password_file_that_is_none_is_refused(make: Any, why: str, switch: Emulator, tmp_path: Path) -> None:
    path = tmp_path / "s\x1b"
    make(path)
    result = run("api", switch, "--password-file", path, "status")
    assert result.exit_code == 1
    assert why in result.stderr
    assert "\x1b" not in result.stderr


def test_a_user_needs_a_password(switch: Emulator) -> None:
    result = run("api", switch, "--user", "1000@example.org", "status")
    assert result.exit_code == 2
    assert "a user needs a password" in result.stderr


def test_a_password_that_cannot_be_sent_is_not_shown(switch: Emulator) -> None:
    result = run("api", switch, "status", env={"ESLCODEC_PASSWORD": f"{SECRET}\n\napi x"})
    assert result.exit_code == 2
    assert SECRET not in result.output


@pytest.mark.parametrize("command", ["", "api", "tail", "emulate"])
def test_help_does_not_show_the_password(command: str) -> None:
    result = run(command or "--help", None, "--help", env={"ESLCODEC_PASSWORD": SECRET})
    assert result.exit_code == 0
    assert SECRET not in result.output


def test_no_log_shows_the_password(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    with Emulator(password=SECRET) as switch:
        run("api", switch, "status", env={"ESLCODEC_PASSWORD": SECRET})
        run("api", switch, "status", env={"ESLCODEC_PASSWORD": f"not {SECRET}"})
    assert SECRET not in caplog.text


def answered_prompt(switch: Emulator, answers: list[str], *arguments: str) -> str:
    """`eslcodec api` on a terminal on which somebody types when asked; what the terminal shows."""
    pty = pytest.importorskip("pty")
    main, terminal = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "api", "--port", str(switch.port), *arguments, "status"],
        cwd="/",
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    shown = b""
    with process, open(main, "r+b", buffering=0) as screen:
        for number, answer in enumerate(answers, 1):
            while shown.count(b"Password of ") < number or not shown.endswith(b" "):
                shown += screen.read(1000)
            screen.write(answer.encode() + b"\n")
        try:
            while data := screen.read(1000):
                shown += data
        except OSError:  # how a terminal says that nobody is left
            pass
    return shown.decode()


def test_a_password_that_is_typed_is_not_shown() -> None:
    with Emulator(password=SECRET) as switch:
        shown = answered_prompt(switch, [SECRET])
        assert switch.commands == [f"auth {SECRET}", "api status"]
    assert f"Password of 127.0.0.1:{switch.port} [ClueCon]: " in shown
    assert "is ready" in shown
    assert SECRET not in shown


def test_nothing_typed_is_the_switchs_own_default(switch: Emulator) -> None:
    assert "is ready" in answered_prompt(switch, [""])


def test_a_password_given_as_user_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "is_terminal", lambda stream: True)
    with Emulator() as switch:
        result = run("api", switch, "--user", f"1:{SECRET}", "x", input="x\n")
    assert result.exit_code == 2
    assert f"Password of 1:*** at 127.0.0.1:{switch.port}: " in result.stderr
    assert SECRET not in result.output


def test_a_user_has_no_default() -> None:
    with Emulator(users={"1@example.org": User(SECRET)}) as switch:
        shown = answered_prompt(switch, ["", SECRET], "--user", "1@example.org")
    assert shown.count(f"Password of 1@example.org at 127.0.0.1:{switch.port}: ") == 2
    assert "is ready" in shown
    assert SECRET not in shown


@pytest.mark.parametrize(("user", "typed"), [([], f"{SECRET}\n"), (["--user", "1@example.org"], f"\n{SECRET}\n")])
def test_the_question_goes_to_standard_error(user: list[str], typed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "is_terminal", lambda stream: True)
    with Emulator(password=SECRET, users={"1@example.org": User(SECRET)}) as switch:
        switch.api["x"] = "output"
        result = run("api", switch, *user, "x", input=typed)
    assert (result.exit_code, result.stdout) == (0, "output")
    assert SECRET not in result.stderr
    assert result.stderr.startswith("Password of ")
