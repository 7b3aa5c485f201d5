"""`eslcodec api`: what it prints, and its exit status."""

from __future__ import annotations

import json
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


# Several commands


def test_commands_from_standard_input(switch: Emulator) -> None:
    switch.api.update(one="1\n", two="2", three="-ERR no\n")
    typed = b"one\r\n\n# a comment\n two a  b \nthree\none"
    result = run("api", switch, input=typed)
    assert (result.exit_code, result.stderr) == (1, "")
    assert result.stdout == "==> one <==\n1\n==> two a  b <==\n2\n==> three <==\n-ERR no\n==> one <==\n1\n"
    assert switch.commands[1:] == ["api one", "api two a  b", "api three", "api one"]  # over one connection
    assert run("api", switch, "-", input=b"one\n").stdout == "==> one <==\n1\n"


def test_outputs_as_lines_of_json(switch: Emulator) -> None:
    switch.api.update(dump=BODY, no="-ERR no\n")
    result = run("api", switch, "--json", input=b"dump\nno\n")
    assert result.exit_code == 1
    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        {"command": "dump", "ok": True, "output": BODY.decode("utf-8", "replace")},
        {"command": "no", "ok": False, "output": "-ERR no\n"},
    ]
    assert "\x1b" not in result.stdout
    assert json.loads(run("api", switch, "--json", "no").stdout)["command"] == "no"


def test_what_is_typed_on_standard_input_is_shown_safely(switch: Emulator) -> None:
    result = run("api", switch, input=b"\x1b[2J\xff\n")
    assert result.stdout.startswith("==> \\x1b[2J\\udcff <==\n")


def test_commands_as_fs_cli_has_them(switch: Emulator) -> None:
    switch.api.update(one="1", two="2")
    assert run("api", switch, "-x", "one").stdout == "1"
    assert run("api", switch, "-x", "one", "-x", "two").stdout == "==> one <==\n1\n==> two <==\n2\n"
    assert switch.commands[1] == "api one\nconsole_execute: true"
    assert run("api", switch, "-x", "one", "two").exit_code == 2


def test_a_terminal_is_not_waited_for(switch: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "is_terminal", lambda stream: True)
    result = run("api", switch)
    assert result.exit_code == 2
    assert "Missing argument 'COMMAND', or commands on standard input" in result.stderr
