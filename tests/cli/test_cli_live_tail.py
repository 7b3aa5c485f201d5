"""`eslcodec tail`: what it shows, what it never shows, and when its connection ends."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import support
from cli_live_support import (
    BODY,
    COLOURS,
    COMMAND,
    HOSTILE,
    SECRET,
    build,
    firing,
    interrupted,
    line,
    live,
    meanwhile,
    run,
    spawned,
    subscribed,
)
from cli_live_support import no_settings as no_settings
from cli_live_support import password_file as password_file
from cli_live_support import switch as switch

import eslcodec
from eslcodec.emulator import Emulator, Fault


def test_tail_shows_a_line_for_each_event(switch: Emulator) -> None:
    with firing(switch, build("CHANNEL_CREATE", {"Unique-ID": "u1"}), build("CUSTOM", {"A": "b"}, "hi", "a::b")):
        result = run("tail", switch, "--count", 2)
    assert (result.exit_code, result.stderr) == (0, "")
    first, second = result.stdout.splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}  CHANNEL_CREATE            u1  #\d+", first)
    assert re.fullmatch(r"\S+  a::b                      #\d+  body: 2 bytes", second)


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
    assert "event dtmf SWITCH_EVENT_TALK ALL NOPE" in switch.commands


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
    assert [line.split(None, 1)[1] for line in result.stdout.splitlines()] == [
        "log WARNING               a line of warning",
        "log ERR                   a line of err",
    ]
    with meanwhile(lambda: (subscribed(switch, 2), switch.log("info", "x"))):
        result = run("tail", switch, "--ndjson", "--log", "--count", 1)
    assert json.loads(result.stdout)["Log-Level"] == "6"
    assert switch.commands[1::3] == ["log warning", "log debug"]


@pytest.mark.parametrize(
    "options", [["--full", "--ndjson"], ["--count", "0"], ["--log", "DTMF"], ["--format", "xml"], ["a\rb::c\0"]]
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
            switch.fire("DTMF", {"Digit": digit, "DTMF-Digit": digit})
            switch.fire("HEARTBEAT")
            assert line(process).split()[1:3] == ["DTMF", digit]
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
