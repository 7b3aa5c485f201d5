"""`eslcodec decode`: what may reach a terminal."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import support
from cli_support import ESCAPED_BODY, decode, run, text
from cli_support import written as written
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[2J", r"\x1b[2J"),
        ("\x9b2J", r"\x9b2J"),
        ("\x07", r"\x07"),
        ("a\rb", r"a\rb"),
        ("a\nb\tc", r"a\nb\tc"),
        ("\x00\x7f\x85", r"\x00\x7f\x85"),
        ("\u202eabc\u2066\u200b\ufeff", r"\u202eabc\u2066\u200b\ufeff"),
        ("\u2028\u2029", r"\u2028\u2029"),
        ("\udcff\ud800", r"\udcff\ud800"),
        ("\U000e0041", r"\U000e0041"),
        (r"\x1b", r"\\x1b"),
        ("[bold]x[/bold] :smile:", "[bold]x[/bold] :smile:"),
        ("Zoë, 中文, \U0001f600", "Zoë, 中文, \U0001f600"),
        ("", ""),
    ],
)
def test_escape(raw: str, shown: str) -> None:
    assert text.escape(raw) == shown


@given(st.text(st.characters(exclude_categories=())))
def test_escape_is_printable_and_loses_nothing(raw: str) -> None:
    shown = text.escape(raw)
    assert shown.isprintable()
    assert shown.encode("ascii", "backslashreplace").decode("unicode_escape") == raw


HOSTILE = (
    support.plain(ESCAPED_BODY)
    + b"Content-Type: command/reply\nReply-Text: \x1b[31m\xe2\x80\xae\r\n\xff\x1b: \x9b\n\n"
    + support.frame(b"Content-Type: api/response", b"\x1b[1m\x07")
    + support.frame(b"Content-Type: log/data\nLog-Level: 4\nUser-Data: \x1b", b"\x1b[1m\x07")
    + support.frame(b"Content-Type: text/disconnect-notice\nControlled-Session-UUID: \x1b\nChannel-Name: \x1b", b"\x1b")
    + support.frame(b"Content-Type: \x1b[1m\x07")
    + support.frame(b"Content-Type: text/event-json", b"{\x1b[2J")
    + support.frame(b"Content-Type: text/event-xml", "<e\u06dd/>".encode())
)
STREAMS = [["--to", "plain"], ["--to", "json"], ["--to", "xml"]]
LISTS = [[], ["--full"], ["--ndjson"], ["--to", "ndjson"]]


@pytest.mark.parametrize("options", LISTS)
@pytest.mark.parametrize("terminal", [False, True])
def test_nothing_that_a_caller_chose_controls_the_terminal(
    terminal: bool, options: list[str], written: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode, "is_terminal", lambda stream: terminal)
    output = run("decode", *options, written(HOSTILE)).output
    assert all(char.isprintable() or char == "\n" for char in output)
    assert "[bold]x[/bold]" in output


@pytest.mark.parametrize("options", STREAMS)
def test_a_stream_in_another_format_is_escaped_on_a_terminal_and_nowhere_else(
    options: list[str], written: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(HOSTILE)
    raw = run("decode", *options, path).stdout_bytes
    assert b"\x1b[31m\xe2\x80\xae\r\n\xff\x1b: \x9b\n\n" in raw
    monkeypatch.setattr(decode, "is_terminal", lambda stream: True)
    result = run("decode", *options, path)
    assert all(char.isprintable() or char == "\n" for char in result.output)
    assert r"Reply-Text: \x1b[31m\u202e\r" in result.output.splitlines()


@pytest.mark.parametrize("options", [*STREAMS, *LISTS])
def test_a_real_terminal_is_one(options: list[str], written: Any) -> None:
    pty = pytest.importorskip("pty")
    main, terminal = pty.openpty()
    command = [sys.executable, "-c", "from eslcodec.cli import main; main()", "decode", *options]
    shown = b""
    with subprocess.Popen([*command, str(written(HOSTILE))], stdout=terminal, stderr=terminal, cwd="/") as process:
        while process.poll() is None or select.select([main], [], [], 0.5)[0]:  # it is open here too: nothing is lost
            if select.select([main], [], [], 0.1)[0]:
                shown += os.read(main, 1000)
        assert process.wait(60) == 1  # two events cannot be read
    os.close(main)
    os.close(terminal)
    assert all(char.isprintable() or char in "\r\n" for char in shown.decode())
    assert b"[bold]x[/bold]" in shown or options in STREAMS


@support.examples(50)
@given(
    payload=st.binary(max_size=40),
    format=st.sampled_from(["plain", "json", "xml"]),
    options=st.sampled_from([*STREAMS, *LISTS]),
)
def test_whatever_comes_a_terminal_obeys_nothing(payload: bytes, format: str, options: list[str]) -> None:
    stream = support.frame(b"Content-Type: text/event-" + format.encode(), payload) + b"X: " + payload + b"\n\n"
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(decode, "is_terminal", lambda stream: True)
        (Path(folder) / "x").write_bytes(stream)
        output = run("decode", *options, f"{folder}/x").output
    assert all(char.isprintable() or char in "\n\t" for char in output)


def test_an_error_does_not_control_the_terminal_either(written: Any) -> None:
    path = written(b"Content-Length: \x1b[2J\n\n", "[red]x[1].esl")
    result = run("decode", path)
    assert result.exit_code == 1
    assert "[red]x[1].esl: after message 0, at byte 0: read Content-Length '\\x1b[2J'" in result.output
