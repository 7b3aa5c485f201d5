"""The commands that connect, `api`, `tail`, and `emulate`: what they show, and what they never show."""

from __future__ import annotations

import gzip
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import support

import eslcodec
from eslcodec.emulator import Emulator, Fault, Later, User

testing = pytest.importorskip("click.testing")
pytest.importorskip("rich")
cli = pytest.importorskip("eslcodec.cli")
emulate, live, login = (pytest.importorskip(f"eslcodec.cli.{name}") for name in ("emulate", "live", "login"))

SECRET = "s3cret-\u00e9"
# A shell that runs the tests in the background lets them ignore SIGINT, which children inherit.
LISTENING = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
COMMAND = [sys.executable, "-W", "error", "-c", f"{LISTENING}; from eslcodec.cli import main; main()"]
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
HOSTILE = {"V\x1b[1m": "\x1b]0;t\x07\u202e\x9b\r\n\x7f\u2028[red]", "Job-UUID": "\x1b[2J", "Channel-Name": "\u2066x"}
BODY = b"\x1b[2J\xff\n\xc2\x9b\n"


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOST", "PORT", "USER", "PASSWORD", "PASSWORD_FILE"):
        monkeypatch.delenv(f"ESLCODEC_{name}", raising=False)


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


# api


def test_api_prints_what_the_command_wrote(switch: Emulator) -> None:
    switch.api["dump"] = BODY
    result = run("api", switch, "dump")
    assert (result.exit_code, result.stdout_bytes, result.stderr) == (0, BODY, "")


def test_api_on_a_terminal_shows_nothing_that_it_obeys(switch: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "is_terminal", lambda stream: True)
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


# Where to, and who


def test_the_environment_says_where_the_switch_is(switch: Emulator) -> None:
    switch.api["x"] = "here"
    environment = {"ESLCODEC_HOST": "127.0.0.1", "ESLCODEC_PORT": str(switch.port), "ESLCODEC_PASSWORD": ""}
    assert run("api", None, "x", env=environment).stdout == "here"


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
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


# tail


def test_tail_shows_a_line_for_each_event(switch: Emulator) -> None:
    with firing(switch, build("CHANNEL_CREATE", {"Unique-ID": "u1"}), build("CUSTOM", {"A": "b"}, "hi", "a::b")):
        result = run("tail", switch, "--count", 2)
    assert (result.exit_code, result.stderr) == (0, "")
    first, second = result.stdout.splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}  Event             CHANNEL_CREATE            #\d+  u1", first)
    assert re.fullmatch(r"\S+  Event             CUSTOM                    #\d+  a::b  body: 2 bytes", second)


def test_tail_in_full(switch: Emulator) -> None:
    with firing(switch, build("DTMF", {"Digit": "1"}, "one\ntwo")):
        lines = run("tail", switch, "--full", "--count", 1).stdout.splitlines()
    assert "         Digit: 1" in lines
    assert lines[-2:] == ["         | one", "         | two"]


@pytest.mark.parametrize("wire", ["plain", "json"])
def test_tail_in_ndjson(wire: str, switch: Emulator) -> None:
    event = build("DTMF", {"Codecs": ["PCMU", "G722"], "Name": "Zo\u00eb \U0001f600"}, "hi")
    with firing(switch, event):
        result = run("tail", switch, "--ndjson", "--format", wire, "--count", 1)
    assert result.stdout.count("\n") == 1
    shown = json.loads(result.stdout)
    assert event.to_dict().items() <= shown.items()
    assert f"event {wire} ALL" in switch.commands


@pytest.mark.parametrize("wire", ["plain", "json", "xml"])
def test_tail_and_decode_write_the_line_of_to_json(wire: str, tmp_path: Path) -> None:
    event = eslcodec.Event.build("DTMF", {"Codecs": ["PCMU", "G722"], "Name": "Jos\udce9 \U0001f600"}, 'a "b"\n')
    event = eslcodec.Event.from_payload(event.serialize(wire), wire)
    recorded = tmp_path / "recorded.esl"
    recorded.write_bytes(event.frame)
    with Emulator(replay=recorded) as switch:
        followed = run("tail", switch, "--ndjson", "--count", 1).stdout_bytes
    assert followed == run("decode", None, "--ndjson", recorded).stdout_bytes == event.to_json() + b"\n"
    assert json.loads(followed)["_body"] == 'a "b"\n'


@pytest.mark.parametrize("options", [[], ["--full"], ["--ndjson"]])
@pytest.mark.parametrize("terminal", [False, True])
def test_nothing_that_a_caller_chose_controls_the_terminal(
    terminal: bool, options: list[str], switch: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "is_terminal", lambda stream: terminal)
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich: behave as on a terminal
    monkeypatch.setenv("TERM", "xterm-256color")

    def act() -> None:
        subscribed(switch)
        switch.fire("CUSTOM", HOSTILE, BODY, "\x1b[1m")
        switch.log("err", "\x1b[2J\u202e")

    with meanwhile(act):
        result = run("tail", switch, "--log", "--count", 2, *options)
    assert result.exit_code == 0
    output = COLOURS.sub("", result.output)
    assert (output != result.output) is (terminal and options != ["--ndjson"])
    assert all(char.isprintable() or char == "\n" for char in output)
    if options:
        assert "[red]" in output
    if options == ["--ndjson"]:
        assert HOSTILE.items() <= json.loads(output.splitlines()[0]).items()


def test_no_colours_if_they_are_not_wanted(switch: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "is_terminal", lambda stream: True)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    with firing(switch, build("CHANNEL_CREATE", {"Channel-Name": "x" * 119})):
        output = run("tail", switch, "--count", 1).stdout
    assert "\x1b" not in output
    assert output.count("\n") == 1  # a long line is the terminal's to break


@pytest.mark.parametrize(
    ("message", "style"),
    [
        (build("CHANNEL_CREATE"), "green"),
        (build("CHANNEL_HANGUP_COMPLETE"), "red"),
        (build("CHANNEL_STATE"), "cyan"),
        (build("CUSTOM"), "magenta"),
        (build("HEARTBEAT"), "dim"),
        (build("DTMF"), "none"),
        (eslcodec.Event(b"Content-Type: text/event-json\n\n", b"{"), "bold red"),
        (eslcodec.LogLine(b"Content-Type: log/data\nLog-Level: 3\n\n", b"x"), "red"),
        (eslcodec.LogLine(b"Content-Type: log/data\nLog-Level: 7\n\n", b"x"), "dim"),
        (eslcodec.LogLine(b"Content-Type: log/data\n\n", b"x"), "dim"),
        (eslcodec.DisconnectNotice(b"Content-Type: text/disconnect-notice\n\n"), "bold"),
    ],
)
def test_colours_by_kind(message: Any, style: str) -> None:
    assert live._style(message) == style


def test_names_and_subclasses_are_subscribed_to(switch: Emulator) -> None:
    with firing(switch, build("HEARTBEAT"), build("CUSTOM", subclass="b::c"), build("CUSTOM", subclass="a::b")):
        result = run("tail", switch, "--custom", "a::b", "--count", 1)
    assert "a::b" in result.stdout
    assert [command for command in switch.commands if command.startswith("event")] == ["event CUSTOM a::b"]


def test_a_name_that_the_switch_does_not_have_is_told(switch: Emulator) -> None:
    with firing(switch, build("DTMF")):
        result = run("tail", switch, "dtmf", "SWITCH_EVENT_TALK", "ALL", "NOPE", "NOPE", "--count", 1)
    assert result.exit_code == 0
    assert result.stderr == "eslcodec: FreeSWITCH 1.11 has no event NOPE: it does not mind being asked for it\n"
    result = run("tail", switch, "NOPE")
    assert result.exit_code == 1
    assert result.stderr.endswith(": -ERR no keywords supplied\n")
    assert "event dtmf SWITCH_EVENT_TALK ALL NOPE NOPE" in switch.commands


def test_a_name_that_is_misspelt_is_an_error(switch: Emulator) -> None:
    result = run("tail", switch, "DTMF", "CHANEL_ANSWER")
    assert result.exit_code == 2
    assert result.stderr.endswith(
        "Error: no event is named 'CHANEL_ANSWER', expected CHANNEL_ANSWER (--unknown: it is meant)\n"
    )
    assert switch.commands == []  # it is told before anything is connected
    with firing(switch, build("DTMF")):
        result = run("tail", switch, "DTMF", "CHANEL_ANSWER", "NOPE", "--unknown", "--count", 1)
    assert (result.exit_code, result.stderr) == (0, "")


def test_a_filter_that_keeps_everything_back_is_told(switch: Emulator) -> None:
    thread = threading.Thread(target=lambda: (subscribed(switch), switch.drop()))
    thread.start()
    result = run("tail", switch, "DTMF", "--no-reconnect", "--filter", "Side=-b")
    thread.join()
    assert "eslcodec: no event comes until one more filter lets it: there is only Side -b" in result.stderr


def test_filters_are_the_switchs(switch: Emulator) -> None:
    events = [build("DTMF", {"Digit": digit, "Side": side}) for digit, side in ("1a", "2a", "2b", "3b", "4c")]
    options = [part for value in ("Digit=-3", "Digit=2", "Side=/^[bc]$/") for part in ("--filter", value)]
    with firing(switch, *events):
        result = run("tail", switch, *options, "--full", "--count", 3)
    assert result.stderr == ""  # the one with the sign goes last: it would let nothing through
    assert re.findall(r"Digit: (.)\n *Side: (.)", result.stdout) == [("2", "a"), ("2", "b"), ("4", "c")]
    commands = [command.split()[0] for command in switch.commands]
    assert commands == ["auth", "filter", "filter", "filter", "event"]  # nothing comes unfiltered


@pytest.mark.parametrize("value", ["Digit", "Digit=", "=1", ""])
def test_a_filter_is_a_header_and_a_value(value: str, switch: Emulator) -> None:
    result = run("tail", switch, "--filter", value)
    assert result.exit_code == 2
    assert "expected HEADER=VALUE" in result.stderr
    assert switch.commands == []


def test_headers_are_compared_here(switch: Emulator) -> None:
    events = [build("DTMF", {"Digit": digit, "Side": side}) for digit, side in ("1a", "2a", "2b")]
    with firing(switch, *events, build("HEARTBEAT"), build("DTMF", {"Digit": "5"})):
        result = run("tail", switch, "--header", "digit", "--header", "Digit=2", "--header", "Side", "--count", 2)
    assert result.exit_code == 0
    assert result.stdout.count("DTMF") == 2


def test_log_lines_come_down_to_a_level(switch: Emulator) -> None:
    def act() -> None:
        subscribed(switch)
        for level in ("debug", "warning", "err"):
            switch.log(level, f"a line of {level}")

    with meanwhile(act):
        result = run("tail", switch, "--log=Warning", "--count", 2)
    assert [line.split(None, 2)[1:] for line in result.stdout.splitlines()] == [
        ["LogLine", "WARNING: a line of warning"],
        ["LogLine", "ERR: a line of err"],
    ]
    with meanwhile(lambda: (subscribed(switch, 2), switch.log("info", "x"))):
        result = run("tail", switch, "--ndjson", "--log", "--count", 1)
    assert json.loads(result.stdout)["Log-Level"] == "6"
    assert switch.commands[1::3] == ["log warning", "log debug"]


@pytest.mark.parametrize(
    "options", [["--full", "--ndjson"], ["--count", "0"], ["--log", "DTMF"], ["--format", "xml"], ["a b"]]
)
def test_wrong_use_of_tail(options: list[str], switch: Emulator) -> None:
    assert run("tail", switch, *options).exit_code == 2
    assert [command for command in switch.commands if command.startswith("event")] == []


def test_an_event_that_cannot_be_read_is_shown_as_that() -> None:
    frame = support.frame(b"Content-Type: text/event-json", b'{"a": \x1b}')
    with Emulator(replay=frame) as switch:
        result = run("tail", switch, "--count", 1)
    assert "malformed: " in result.stdout
    assert "\x1b" not in result.stdout


# tail: when the connection ends


@pytest.mark.parametrize("options", [[], ["--ndjson"]])
def test_tail_connects_again_and_says_what_is_missing(options: list[str], switch: Emulator) -> None:
    switch.faults.extend([None, Fault.close(after=0)])  # the second attempt fails

    def act() -> None:
        subscribed(switch)
        switch.fire("DTMF", {"Digit": "1"})
        switch.drop()
        subscribed(switch, 2)
        switch.fire("DTMF", {"Digit": "2"})

    with meanwhile(act):
        result = run("tail", switch, "DTMF", "--filter", "Event-Name=DTMF", "--count", 2, *options)
    assert result.exit_code == 0
    notes = result.stderr.splitlines()
    assert any(re.match(r"eslcodec: .*again", note) for note in notes)
    if options:
        first, gap, second = map(json.loads, result.stdout.splitlines())
        assert (first["Digit"], gap["Event-Subclass"], second["Digit"]) == ("1", "eslcodec::gap", "2")
    else:
        assert result.stdout.count("DTMF") == 2
        assert re.fullmatch(
            r"eslcodec: connected again after \d+\.\d s, what happened meanwhile is missing: .+", notes[-1]
        )
    assert switch.commands.count("filter add Event-Name DTMF") == 2


@pytest.mark.parametrize("end", [Emulator.drop, Emulator.shutdown])
def test_tail_that_may_not_connect_again_ends(end: Callable[[Emulator], None], switch: Emulator) -> None:
    def act() -> None:
        subscribed(switch)
        end(switch)

    with meanwhile(act):
        result = run("tail", switch, "--no-reconnect")
    assert result.exit_code == 1
    assert re.fullmatch(rf"Error: 127.0.0.1:{switch.port}: .*(shut down|closed).*\n", result.stderr)


def test_tail_ends_with_its_connection_if_the_switch_says_good_bye_too() -> None:
    with Emulator(replay=support.plain(b"Event-Name: DTMF\n\n"), then="close") as switch:
        result = run("tail", switch, "--no-reconnect")
    assert result.stdout.count("DTMF") == 1
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: 127.0.0.1:{switch.port}: ")


def test_ctrl_c_has_the_status_that_a_shell_gives_it(switch: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(live, "_followed", interrupt)
    result = run("tail", switch)
    assert (result.exit_code, result.output) == (130, "")


def test_tail_is_live_and_ends_with_ctrl_c(switch: Emulator) -> None:
    with spawned("tail", "--port", switch.port, "--header", "Digit") as process:
        subscribed(switch)
        for digit in "12":
            switch.fire("DTMF", {"Digit": digit})
            switch.fire("HEARTBEAT")
            assert line(process).split()[1:3] == ["Event", "DTMF"]
        assert interrupted(process) == (130, b"")


def test_tail_reads_the_password_file_again_when_it_connects_again(password_file: Any) -> None:
    path = password_file(b"first")
    with Emulator(password="first") as switch, spawned("tail", "--port", switch.port, "--password-file", path) as tail:
        subscribed(switch)
        switch._switch.password = SECRET
        path.chmod(0o640)
        switch.drop()
        assert tail.stderr is not None
        assert b"lost the connection" in tail.stderr.readline()
        refused = tail.stderr.readline().decode()
        assert re.fullmatch(r"eslcodec: cannot connect to \S+ again: \S+secret has mode 0640: .*\n", refused)
        new = path.with_name("new")
        new.write_bytes(SECRET.encode())
        new.chmod(0o600)
        new.replace(path)
        subscribed(switch, 2)
        switch.fire("DTMF")
        assert "DTMF" in line(tail)
        assert SECRET.encode() not in interrupted(tail)[1]


def test_what_the_client_has_to_say_does_not_control_the_terminal(
    switch: Emulator, capfd: pytest.CaptureFixture[str]
) -> None:
    def api(args: str) -> str:
        logging.getLogger("eslcodec").warning("a \x1b[2J")
        return "+OK"

    switch.api["x"] = api
    assert run("api", switch, "x").stderr == "eslcodec: a \\x1b[2J\n"
    assert capfd.readouterr().err == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
@pytest.mark.parametrize("command", [["api", "status"], ["tail"], ["tail", "--ndjson"]])
def test_a_full_disk_is_one_line(command: list[str], switch: Emulator) -> None:
    with firing(switch, "DTMF") if "tail" in command else nullcontext(), open("/dev/full", "w") as full:
        main = [*COMMAND, command[0], "--port", str(switch.port), *command[1:]]
        done = subprocess.run(main, stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE, timeout=60, cwd="/")
    assert (done.returncode, done.stderr) == (1, b"Error: cannot write: No space left on device\n")


def test_tail_into_a_closed_pipe_ends_quietly(switch: Emulator) -> None:
    with spawned("tail", "--port", switch.port) as process:
        subscribed(switch)
        switch.fire("DTMF")
        assert "DTMF" in line(process)
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        switch.fire("DTMF")
        assert process.stderr.read() == b""
        assert process.wait(30) == 1


# emulate


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
            Emulator.wait_for(switch, lambda: not switch.listeners)

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
            received.extend(event["A"] for event in islice(client.events(30 if repeat else 0.2), 7))

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
