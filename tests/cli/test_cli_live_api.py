"""`eslcodec api`: what it prints, and its exit status."""

from __future__ import annotations

import re

import pytest
from cli_live_support import BODY, SECRET, api, run
from cli_live_support import no_settings as no_settings
from cli_live_support import switch as switch

from eslcodec.emulator import Emulator, Later, User


def test_api_prints_what_the_command_wrote(switch: Emulator) -> None:
    switch.api["dump"] = BODY
    result = run("api", switch, "dump")
    assert (result.exit_code, result.stdout_bytes, result.stderr) == (0, BODY, "")


def test_api_on_a_terminal_shows_nothing_that_it_obeys(switch: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "is_terminal", lambda stream: True)
    switch.api["dump"] = b"Name\tType\n" + BODY + b"end"
    assert run("api", switch, "dump").stdout == "Name\tType\n\\x1b[2J\\udcff\n\\x9b\nend\n"
    switch.api["nothing"] = b""
    assert run("api", switch, "nothing").stdout == "-ERR no reply\n"


@pytest.mark.parametrize("options", [[], ["--bg"]])
@pytest.mark.parametrize(("output", "status"), [("+OK", 0), ("-ERR no\n", 1), ("-USAGE: x\n", 1), ("fine -ERR", 0)])
def test_exit_status_of_api(options: list[str], output: str, status: int, switch: Emulator) -> None:
    switch.api["x"] = output
    result = run("api", switch, *options, "x")
    assert (result.exit_code, result.stdout, result.stderr) == (status, output, "")


def test_what_stands_behind_the_command_is_the_switchs(switch: Emulator) -> None:
    run("api", switch, "--console", "originate", "-x", "--help", "&echo(1 2)")
    run("api", switch, "show channels")
    run("api", switch, "--", "-x")
    assert switch.commands[1::2] == [
        "api originate -x --help &echo(1 2)\nconsole_execute: true",
        "api show channels",
        "api -x",
    ]


def test_a_command_that_is_not_permitted_is_answered() -> None:
    with Emulator(users={"1000@example.org": User(SECRET, api="status")}) as switch:
        arguments = ["--user", "1000@example.org", "show", "calls"]
        result = run("api", switch, *arguments, env={"ESLCODEC_PASSWORD": SECRET})
        refused = run("api", switch, "--bg", *arguments, env={"ESLCODEC_PASSWORD": SECRET})
    assert (result.exit_code, result.stdout) == (1, "-ERR permission denied")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr == f"Error: 127.0.0.1:{switch.port}: -ERR permission denied\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--console", "--bg", "status"],
        ["status\n\napi system x"],
        ["status", "a\rb"],
        [""],
        ["--timeout", "0", "status"],
        ["--user", "1000", "status"],
    ],
)
def test_wrong_use_of_api_sends_nothing(arguments: list[str], switch: Emulator) -> None:
    result = run("api", switch, *arguments, env={"ESLCODEC_PASSWORD": "ClueCon"})
    assert result.exit_code == 2
    assert result.stdout == ""
    assert [command for command in switch.commands if command.startswith("api")] == []


@pytest.mark.parametrize("options", [[], ["--bg"]])
def test_no_answer_in_time(options: list[str], switch: Emulator) -> None:
    switch.api["slow"] = Later(60, "")
    result = run("api", switch, "--timeout", "0.2", *options, "slow")
    assert result.exit_code == 1
    assert re.fullmatch(r"Error: 127.0.0.1:\d+: .*0.2 s.*api slow.*\n", result.stderr)
