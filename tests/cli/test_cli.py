"""The `eslcodec` command: the demo and its checks, listing and filtering streams, and what may reach a terminal."""

from __future__ import annotations

import contextlib
import doctest
import errno
import functools
import gzip
import importlib
import io
import json
import lzma
import os
import pkgutil
import platform
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import support
from hypothesis import given
from hypothesis import strategies as st

import eslcodec
from eslcodec.emulator import Fault

testing = pytest.importorskip("click.testing")
pytest.importorskip("rich")

cli = pytest.importorskip("eslcodec.cli")
decode, demo, files, text = (
    pytest.importorskip(f"eslcodec.cli.{name}") for name in ("decode", "demo", "files", "text")
)

ESCAPED_BODY = (
    b"Event-Name: CUSTOM\nEvent-Subclass: %1B%5B2J[bold]x[/bold]%0D%0A\nV: %9B%C2%9B%07%E2%80%AE%7F\n\n\x1b]0;t\x07\n"
)


def run(*args: Any, **kwargs: Any) -> Any:
    """The command in this process."""
    return testing.CliRunner().invoke(cli.command_line(), [str(arg) for arg in args], prog_name="eslcodec", **kwargs)


def spawn(*args: Any, code: str = "", stdin: bytes = b"", cwd: Path | str = "/", **env: str) -> Any:
    """The command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", f"{code}\nfrom eslcodec.cli import main; main()", *map(str, args)],
        input=stdin,
        capture_output=True,
        timeout=60,
        cwd=cwd,  # with -c the folder comes first where modules are looked for: not the checkout
        env={**os.environ, **env},
    )


@pytest.fixture
def written(tmp_path: Path) -> Any:
    """Writes a stream into a file, and gives its path."""

    def write(data: bytes, name: str = "stream.esl") -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """The demo plays the first 40 events only."""
    data: bytes = files.recording()
    data = data[: [head.start() for head in demo._EVENT_HEAD.finditer(data)][40]]
    monkeypatch.setattr(demo, "recording", lambda: data)
    return data


# The command


def test_version_shows_the_core_and_how_it_was_built() -> None:
    shown = run("--version").output
    assert shown.startswith(f"eslcodec {eslcodec.__version__}, core: {eslcodec.__impl__} (")
    if eslcodec.__impl__ == "python":
        assert "(pure Python), " in shown
    else:
        assert re.search(
            r"\((release|debug|sanitize|coverage|other) build, (AVX2|(no )?SIMD), Cython \d+\.\d+\.\d+\), ", shown
        )
    assert f", {platform.python_implementation()} {platform.python_version()}, " in shown
    assert len(shown.splitlines()) == 1


def test_the_package_can_be_run(tmp_path: Path) -> None:
    shown = run_module("--version", cwd=tmp_path)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout == run("--version").output
    assert "Usage: eslcodec" in run_module("--help", cwd=tmp_path).stdout
    assert run_module("decod", cwd=tmp_path).returncode == 2


def test_the_package_that_is_run_in_this_process(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(sys, "argv", ["anything", "--version"])
    path = Path(eslcodec.__file__).with_name("__main__.py")
    with pytest.raises(SystemExit) as exit:  # runpy cannot: pytest has its own importer for plugins
        exec(compile(path.read_text(), path, "exec"), {"__name__": "__main__", "__package__": "eslcodec"})
    assert exit.value.code == 0
    assert capsys.readouterr().out == run("--version").output


@pytest.mark.parametrize("module", ["click", "rich"])
def test_the_package_that_is_run_without_the_extra_says_what_to_install(module: str, tmp_path: Path) -> None:
    (tmp_path / "missing").mkdir()
    (tmp_path / "missing" / f"{module}.py").write_text("raise ImportError")
    shown = run_module("--version", cwd=tmp_path, first=tmp_path / "missing")
    assert (shown.returncode, shown.stdout) == (1, "")
    assert shown.stderr == "eslcodec: the command line needs the extra 'cli': pip install 'eslcodec[cli]'\n"


def run_module(*args: str, cwd: Path, first: Path | None = None) -> Any:
    """`python -m eslcodec`, with a folder that comes first where modules are looked for."""
    folders = [*([str(first)] if first else []), str(Path(eslcodec.__file__).parents[1])]
    return subprocess.run(
        [sys.executable, "-m", "eslcodec", *args],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(folders)},
    )


def test_help_names_the_commands() -> None:
    result = run("-h")
    assert result.exit_code == 0
    assert "demo" in result.output
    assert "decode" in result.output


@pytest.mark.parametrize("command", ["api", "decode", "demo", "emulate", "tail", "--version"])
@pytest.mark.parametrize("module", ["click", "rich"])
def test_without_the_extra_a_sentence_says_what_to_install(module: str, command: str, tmp_path: Path) -> None:
    result = spawn(command, code=f"import sys; sys.modules['{module}'] = None", cwd=tmp_path)
    assert result.returncode == 1
    assert result.stdout == b""
    assert result.stderr.decode().splitlines() == [
        "eslcodec: the command line needs the extra 'cli': pip install 'eslcodec[cli]'"
    ]


@pytest.mark.parametrize("module", ["click", "rich"])
def test_the_module_can_be_imported_without_the_extra(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SystemExit, match=r"eslcodec\[cli\]"):
        importlib.reload(cli).main()


def test_a_command_that_does_not_exist_is_reported() -> None:
    result = run("decod")
    assert result.exit_code == 2
    assert "No such command 'decod'" in result.stderr


@pytest.mark.parametrize("stdout", [io.StringIO, lambda: io.TextIOWrapper(io.BytesIO()), lambda: None])
def test_main_runs_whatever_stdout_is(stdout: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["eslcodec", "--version"])
    monkeypatch.setattr(sys, "stdout", stdout())
    with pytest.raises(SystemExit) as exit:
        cli.main()
    assert exit.value.code == 0


def test_docstring_examples() -> None:
    for name in (module.name for module in pkgutil.iter_modules(cli.__path__)):
        assert doctest.testmod(importlib.import_module(f"eslcodec.cli.{name}")).failed == 0


# Escaping


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
    with subprocess.Popen([*command, str(written(HOSTILE))], stdout=terminal, stderr=terminal, cwd="/") as process:
        os.close(terminal)
        shown = b""
        with open(main, "rb", buffering=0) as screen, contextlib.suppress(OSError):  # how it says that nobody is left
            while data := screen.read(1000):
                shown += data
        assert process.wait(60) == 1  # two events cannot be read
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
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decode, "is_terminal", lambda stream: True)
        patch.setattr(decode, "reading", lambda file, out: contextlib.nullcontext([stream]))
        output = run("decode", *options, "x").output
    assert all(char.isprintable() or char in "\n\t" for char in output)


def test_an_error_does_not_control_the_terminal_either(written: Any) -> None:
    path = written(b"Content-Length: \x1b[2J\n\n", "[red]x[1].esl")
    result = run("decode", path)
    assert result.exit_code == 1
    assert "[red]x[1].esl: after message 0, at byte 0: read Content-Length '\\x1b[2J'" in result.output


# Decode


def test_listing(written: Any) -> None:
    stream = (
        support.AUTH
        + support.OK
        + support.plain(b"Event-Name: CUSTOM\nEvent-Subclass: a%3A%3Ab\nUnique-ID: u1\nEvent-Sequence: 7\n\nbody")
        + support.plain(b"Channel-Name: sofia/x\n\n")
        + b"Event-Name: CHANNEL_DATA\nContent-Type: command/reply\nReply-Text: +OK%0A\n\n"
        + support.frame(b"Content-Type: api/response", b"-ERR no\n")
        + support.frame(b"Content-Type: log/data\nLog-Level: 4", b"oh\n")
        + support.frame(b"Content-Type: log/data", b"x" * 121)
        + support.frame(b"Content-Type: text/disconnect-notice\nContent-Disposition: linger\nChannel-Name: c", b"")
        + support.frame(b"Content-Type: text/disconnect-notice\nControlled-Session-UUID: u2", b"bye")
        + support.frame(b"Content-Type: text/rude-rejection", b"Access Denied\n")
        + support.frame(b"X: y")
    )
    assert run("decode", written(stream)).output.splitlines() == [
        "      1  AuthRequest       auth/request, 0 bytes",
        "      2  CommandReply      +OK",
        "      3  Event             CUSTOM                    #7  a::b  u1  body: 4 bytes",
        "      4  Event             (no name)                 sofia/x",
        "      5  CommandReply      +OK\\n  3 headers",
        "      6  ApiResponse       8 bytes: -ERR no",
        "      7  LogLine           WARNING: oh",
        f"      8  LogLine           None: {'x' * 120}... (121 characters)",
        "      9  DisconnectNotice  linger  c",
        "     10  DisconnectNotice  final  u2",
        "     11  RudeRejection     14 bytes: Access Denied",
        "     12  Message           (no Content-Type), 0 bytes",
    ]


def test_full_listing_has_headers_repeats_and_body(written: Any) -> None:
    stream = support.plain(b"Event-Name: X\nA: 1%0A\nA: 2\n\none\ntwo\n") + support.AUTH
    assert run("decode", "--full", written(stream)).output.splitlines() == [
        "      1  Event             X                         body: 8 bytes",
        "         Event-Name: X",
        "         A: 1\\n",
        "         A: 2",
        "         | one",
        "         | two",
        "      2  AuthRequest       auth/request, 0 bytes",
        "         Content-Type: auth/request",
    ]


@pytest.mark.parametrize("name", ["special_plain", "special_json", "special_xml", "api"])
def test_ndjson_lines_are_what_to_json_gives(name: str, written: Any) -> None:
    stream = support.capture(name)
    lines = run("decode", "--ndjson", written(stream)).stdout_bytes.splitlines()
    messages = support.decode(eslcodec, stream)
    assert len(lines) == len(messages)
    printable = 0
    for line, message in zip(lines, messages, strict=True):
        assert line == text.json_line(message)
        assert json.loads(line) == json.loads(message.to_json())
        if message.to_json().decode().isprintable():
            printable += 1
            assert line == message.to_json()
    assert printable > len(messages) * 0.9


def test_ndjson_has_bodies_and_arrays(written: Any) -> None:
    event = eslcodec.Event.build("CUSTOM", {"Codecs": ["PCMU", "G722"], "Same": "x"}, "hello\n", subclass="a::b")
    stream = b"".join(
        eslcodec.render.event_frame(event.serialize(format), format) for format in ("plain", "json", "xml")
    )
    stream += support.frame(b"Content-Type: api/response", b"+OK\n")
    *lines, response = run("decode", "--ndjson", written(stream)).stdout_bytes.splitlines()
    assert lines == [event.to_json()] * 3
    assert json.loads(lines[0])["Codecs"] == ["PCMU", "G722"]
    assert json.loads(lines[0])["_body"] == "hello\n"
    assert json.loads(response)["_body"] == "+OK\n"


def test_ndjson_is_utf8_without_lone_surrogates(written: Any) -> None:
    result = run("decode", "--ndjson", written(support.plain(b"A: %FF\nB\xfe: %F0%9F%98%80\n\n")))
    assert result.stdout_bytes == '{"A":"\ufffd","B\ufffd":"\U0001f600"}\n'.encode()


def test_ndjson_and_full_exclude_each_other(written: Any) -> None:
    assert run("decode", "--ndjson", "--full", written(b"")).exit_code == 2


def test_plain_json_and_xml_streams_list_the_same_events(written: Any) -> None:
    lists = [
        [line.split()[2] for line in run("decode", written(support.capture(f"special_{kind}"))).output.splitlines()]
        for kind in ("plain", "json", "xml")
    ]
    assert lists[0][:1] == ["auth/request,"]
    assert [len(names) for names in lists] == [
        len(support.decode(eslcodec, support.capture(f"special_{kind}"))) for kind in ("plain", "json", "xml")
    ]
    assert "CHANNEL_CREATE" in set(lists[0]) & set(lists[1]) & set(lists[2])


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_packed_files_give_the_same(pack: Any, written: Any) -> None:
    stream = support.capture("special_plain")
    # The name does not matter: a file's first bytes say what it is.
    assert run("decode", written(pack(stream), "x")).output == run("decode", written(stream)).output


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress])
def test_standard_input_gives_the_same(pack: Any, written: Any, tmp_path: Path) -> None:
    stream = support.capture("special_plain")
    result = spawn("decode", "-", stdin=pack(stream), cwd=tmp_path)
    assert result.returncode == 0
    assert result.stdout.decode().splitlines() == run("decode", written(stream)).output.splitlines()


def test_a_character_that_the_encoding_lacks_costs_nothing(written: Any, tmp_path: Path) -> None:
    path = written(support.plain("Event-Name: Zoë\n\n".encode()))
    result = spawn("decode", path, cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert result.returncode == 0
    assert b"Zo\\xeb" in result.stdout


def test_a_closed_pipe_ends_it_quietly(written: Any, tmp_path: Path) -> None:
    path = written(support.capture("special_plain") * 20)
    command = [sys.executable, "-c", "from eslcodec.cli import main; main()", "decode", "--full", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().split() == [b"1", b"AuthRequest", b"auth/request,", b"0", b"bytes"]
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 1


EVENTS = (
    support.AUTH
    + support.plain(b"Event-Name: HEARTBEAT\nUp: a=b\nEmpty: \n\n")
    + support.plain(b"Event-Name: DTMF\nUp: c\nDigit: 1\n\n")
    + support.plain(b"Event-Name: DTMF\nDigit: 2\n\n")
)


@pytest.mark.parametrize(
    ("filters", "numbers"),
    [
        ([], [1, 2, 3, 4]),
        (["--event", "DTMF"], [3, 4]),
        (["--event", "dtmf", "--event", "HEARTBEAT"], [2, 3, 4]),
        (["--event", "NONE"], []),
        (["--event", "SWITCH_EVENT_DTMF"], [3, 4]),
        (["--event", "all"], [2, 3, 4]),
        (["--header", "Up"], [2, 3]),
        (["--header", "up"], [2, 3]),
        (["--header", "Up=a=b"], [2]),
        (["--header", "Up=a"], []),
        (["--header", "Empty"], [2]),
        (["--header", "Empty="], [2]),
        (["--header", "Digit="], []),
        (["--header", "Up", "--header", "Digit=1"], [3]),
        (["--event", "DTMF", "--header", "Digit=2"], [4]),
        (["--header", "Content-Type=auth/request"], [1]),
    ],
)
def test_filters_keep_the_numbers_of_the_stream(filters: list[str], numbers: list[int], written: Any) -> None:
    output = run("decode", *filters, written(EVENTS)).stdout
    assert [int(line.split()[0]) for line in output.splitlines()] == numbers


def test_names_that_no_event_has_are_told(written: Any) -> None:
    stream = written(EVENTS + support.plain(b"Event-Name: NOPE\n\n"))
    result = run("decode", "--event", "NOPE", "--event", "nope\x1b", "--event", "DTMF", stream)
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 3
    assert result.stderr.splitlines() == [
        f"eslcodec: FreeSWITCH 1.11 has no event {name}: none will be shown unless it is in there all the same"
        for name in ("NOPE", "nope\\x1b")
    ]
    result = run("decode", "--event", "NOPE", "--unknown", stream)
    assert (len(result.stdout.splitlines()), result.stderr) == (1, "")


def test_a_name_that_is_misspelt_is_an_error(written: Any) -> None:
    stream = written(EVENTS)
    result = run("decode", "--event", "DMTF", stream)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.endswith("Error: no event is named 'DMTF', expected DTMF (--unknown: it is meant)\n")
    result = run("decode", "--event", "DMTF", "--unknown", stream)
    assert (result.exit_code, result.output) == (0, "")


# Decode: another format


@pytest.mark.parametrize("source", ["plain", "json", "xml"])
@pytest.mark.parametrize("to", ["plain", "json", "xml"])
def test_a_stream_in_any_format_becomes_any_other(source: str, to: str, written: Any) -> None:
    event = eslcodec.Event.build("CUSTOM", {"Peer": "a b", "Codecs": ["PCMU", "G722"]}, "hello", subclass="my::test")
    stream = support.frame(b"Content-Type: auth/request") + eslcodec.render.event_frame(event.serialize(source), source)
    result = run("decode", "--to", to, written(stream))
    assert result.exit_code == 0
    decoder = eslcodec.Decoder()
    decoder.feed(result.stdout_bytes)
    auth, again = decoder
    decoder.feed_eof()
    assert auth.frame == b"Content-Type: auth/request\n\n"
    assert again.envelope == {"Content-Length": str(len(again.payload)), "Content-Type": f"text/event-{to}"}
    assert (again.to_dict(), again.body) == (event.to_dict(), b"hello")
    assert source != to or result.stdout_bytes == stream


def test_a_captured_stream_comes_back_from_json_as_it_was(written: Any) -> None:
    json_stream = run("decode", "--to", "json", written(support.capture("special_plain"))).stdout_bytes
    lines = [
        run("decode", "--ndjson", written(data)).output for data in (json_stream, support.capture("special_plain"))
    ]
    assert lines[0] == lines[1]


def test_to_ndjson_is_ndjson(written: Any) -> None:
    path = written(EVENTS)
    assert run("decode", "--to", "ndjson", path).output == run("decode", "--ndjson", path).output


def test_what_a_format_cannot_carry_stays_as_it_is_and_changes_the_exit_status(written: Any) -> None:
    stream = support.plain(b"Event-Name: A\nv 1: x\n\n") + support.frame(b"Content-Type: text/event-json", b"{")
    path = written(stream)
    result = run("decode", "--to", "xml", path)
    assert result.stdout_bytes == stream
    assert result.exit_code == 1
    assert result.stderr == (
        f"Error: {path}: event payloads that cannot be read: 1; "
        "events that cannot be written as xml and were left as they are: 1\n"
    )


@pytest.mark.parametrize("options", [["--ndjson", "--to", "xml"], ["--to", "json", "--full"]])
def test_two_ways_of_printing_exclude_each_other(options: list[str], written: Any) -> None:
    assert run("decode", *options, written(EVENTS)).exit_code == 2


# Decode: what goes wrong


def test_an_unfinished_frame_is_reported_behind_the_whole_ones(written: Any) -> None:
    result = run("decode", written(EVENTS + b"Content-Length: 9\n\nabc"))
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        *run("decode", written(EVENTS)).output.splitlines(),
        f"Error: {written(EVENTS)}: after message 4, at byte {len(EVENTS)}: "
        "stream ended in a body: read 3 bytes, expected 9",
    ]


def test_a_framing_error_is_reported_behind_the_whole_messages(written: Any) -> None:
    result = run("decode", written(EVENTS + b"Content-Length: -9\n\nabc" + EVENTS))
    assert result.exit_code == 1
    assert [line.split()[1] for line in result.output.splitlines()[:4]] == ["AuthRequest", "Event", "Event", "Event"]
    assert result.output.splitlines()[4].endswith("read Content-Length '-9', expected ASCII digits")


def test_a_malformed_event_is_listed_and_changes_the_exit_status(written: Any) -> None:
    path = written(support.frame(b"Content-Type: text/event-json", b'{"a": \x1b}') + EVENTS)
    result = run("decode", "--full", path)
    first, payload, *_, last = result.output.splitlines()
    assert first.startswith("      1  Event             text/event-json, 8 bytes, malformed: ")
    assert payload == '         | {"a": \\x1b}'
    assert last == f"Error: {path}: event payloads that cannot be read: 1"
    assert result.exit_code == 1


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_a_packed_file_that_was_cut_gives_what_is_in_it(pack: Any, written: Any) -> None:
    packed = pack(support.capture("special_plain"))
    result = run("decode", written(packed[: len(packed) // 2]))
    assert result.exit_code == 1
    assert result.output.startswith("      1  AuthRequest")
    assert "ended before the end-of-stream marker" in result.output.splitlines()[-1]


@pytest.mark.parametrize(("pack", "at"), [(gzip.compress, 10), (lzma.compress, 30)])
def test_a_packed_file_that_is_damaged_is_reported(pack: Any, at: int, written: Any) -> None:
    packed = bytearray(pack(EVENTS))
    packed[at] ^= 0xFF
    result = run("decode", written(packed))
    assert result.exit_code == 1
    assert result.output.splitlines()[-1].startswith("Error: ")
    assert isinstance(result.exception, SystemExit)


@pytest.mark.parametrize(
    ("module", "pack"), [("lzma", lzma.compress), ("gzip", gzip.compress), ("zlib", gzip.compress)]
)
def test_a_missing_module_is_named(module: str, pack: Any, written: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(pack(EVENTS))
    monkeypatch.setitem(sys.modules, module, None)
    result = run("decode", path)
    assert result.exit_code == 1
    assert f"this Python was built without {module}" in result.output
    assert isinstance(result.exception, SystemExit)


def test_a_file_that_is_not_there_is_reported(tmp_path: Path) -> None:
    result = run("decode", tmp_path / "none")
    assert result.exit_code == 1
    assert "No such file" in result.output


def test_what_may_not_be_read_is_reported(written: Any) -> None:
    path = written(EVENTS)
    path.chmod(0)
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        result = run("decode", path)
    finally:
        if root:
            os.seteuid(0)
    assert (result.exit_code, result.output) == (1, f"Error: Could not open file '{path}': Permission denied\n")


@pytest.mark.parametrize("command", [["decode"], ["emulate", "--port", "0", "--replay"]])
@pytest.mark.parametrize(("file", "why"), [("/", "Is a directory"), ("/proc/self/mem", "Input/output error")])
@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="needs Linux' files that cannot be read")
def test_what_cannot_be_read_is_reported(file: str, why: str, command: list[str]) -> None:
    result = run(*command, file)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert file in result.stderr
    assert result.stderr.endswith(f": {why}\n")


# When the output cannot be written

COMMANDS = [
    ["decode"],
    ["decode", "--full"],
    ["decode", "--ndjson"],
    ["decode", "--to", "json"],
    ["demo", "--rate", "0"],
    ["emulate", "--port", "0"],
    ["emulate", "--help"],
    ["--help"],
    ["--version"],
]


def redirected(command: list[str], to: str, written: Any) -> Any:
    """A command whose output the shell sends elsewhere."""
    if command[0] == "decode":
        command = [*command, str(written(support.capture("special_plain")))]
    main = [sys.executable, "-W", "error", "-c", "from eslcodec.cli import main; main()"]
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {to}', "sh", *main, *command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        cwd="/",
        text=True,
    )


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_disk_is_one_line(command: list[str], written: Any) -> None:
    result = redirected(command, ">/dev/full", written)
    assert (result.returncode, result.stderr) == (1, "Error: cannot write: No space left on device\n")
    silent = redirected(command, ">/dev/full 2>/dev/full", written)
    assert (silent.returncode, silent.stderr) == (1, "")


@pytest.mark.parametrize("command", [*COMMANDS[:5], *COMMANDS[6:]], ids=" ".join)
@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
def test_no_standard_output_at_all_is_no_error(command: list[str], written: Any) -> None:
    result = redirected(command, ">&-", written)
    assert (result.returncode, result.stderr) == (0, "")


def test_another_trouble_of_the_system_is_one_line_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(error: OSError) -> Any:
        def recording() -> Any:
            raise error

        monkeypatch.setattr(demo, "recording", recording)
        result = run("demo")
        assert result.exit_code == 1
        return result.stderr

    assert fail(OSError(24, "Too many open files")) == "Error: Too many open files\n"
    assert fail(OSError(errno.ENOSPC, "No space")) == "Error: cannot write: No space\n"
    assert fail(BrokenPipeError(errno.EPIPE, "Broken pipe")) == ""
    assert fail(OSError("\x1b")) == "Error: \\x1b\n"
    assert fail(FileNotFoundError(2, "No such file", "\x1b")) == "Error: \\x1b: No such file\n"


# Decode: the progress bar


@pytest.fixture
def terminal_on_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_LONG_FILE", 10)
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich: behave as on a terminal
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "300")  # the folders of pytest-xdist have long names
    monkeypatch.setattr(files, "is_terminal", lambda stream: stream is sys.stderr)


@pytest.mark.parametrize("pack", [bytes, lzma.compress])
def test_a_long_file_gets_a_progress_bar_if_a_terminal_is_watching(
    pack: Any, written: Any, terminal_on_stderr: None
) -> None:
    path = written(pack(EVENTS), "[red]long.esl")
    result = run("decode", "--ndjson", path)
    assert result.exit_code == 0
    assert "[red]long.esl" in result.output
    assert "\x1b[" in result.output


def test_the_progress_bar_is_gone_before_an_error_is_printed(written: Any, terminal_on_stderr: None) -> None:
    result = run("decode", written(EVENTS + b"Content-Length: 1\n\n"))
    assert result.exit_code == 1
    assert "\x1b" not in result.output[result.output.index("Error: ") :]


@pytest.mark.parametrize("terminals", [(), ("stdout", "stderr")])
def test_no_progress_bar_otherwise(
    terminals: tuple[str, ...], written: Any, terminal_on_stderr: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "is_terminal", lambda stream: bool(terminals))
    assert "\x1b" not in run("decode", written(EVENTS)).output


# Demo


def test_demo_decodes_and_checks_the_whole_recording() -> None:
    result = run("demo")
    assert result.exit_code == 0
    assert "OK      2819 of 2819 events sent were decoded" in result.output
    assert "OK      309200 headers, sha256 c08acf5e70bdcbd9" in result.output
    assert "CHANNEL_HANGUP               11" in result.output
    assert "142 call legs up, 11 down" in result.output
    assert f"core: {eslcodec.__impl__}" in result.output


def test_the_recording_is_the_capture() -> None:
    assert files.recording() == support.capture("sip_plain")


def test_demo_without_another_core_says_so(short: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    for core in ("_codec_c", "_codec_py"):
        monkeypatch.setitem(sys.modules, f"eslcodec.{core}", None)
    result = run("demo")
    assert result.exit_code == 0
    assert "no other core is here, so the standard library's reading" in result.output


def test_the_standard_librarys_reading_agrees_on_the_whole_recording() -> None:
    data = files.recording()
    events = [message.asdict() for message in support.decode(eslcodec, data) if isinstance(message, eslcodec.Event)]
    assert list(demo._plain_reading(data)) == events


def test_demo_fails_if_headers_differ(short: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_other_reading", lambda data: ("nobody", iter([])))
    result = run("demo")
    assert result.exit_code == 1
    assert "OK      40 of 40 events" in result.output
    assert "nobody: 0 headers" in result.output
    assert "A CHECK FAILED" in result.output


def test_demo_fails_if_an_event_is_missing(short: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_EVENT_NAME", re.compile(rb"^(?:Event-Name|Event-Sequence): (.*)$", re.MULTILINE))
    result = run("demo")
    assert result.exit_code == 1
    assert "FAILED  40 of 80 events" in result.output


def test_demo_that_breaks_off_says_why(short: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "Emulator", functools.partial(demo.Emulator, fault=Fault.close(after=len(short) // 2)))
    result = run("demo")
    assert result.exit_code == 1
    assert "Error: the demo broke off: stream ended in a body" in result.output


def test_demo_is_live_on_a_terminal(short: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "is_terminal", lambda stream: True)
    monkeypatch.setattr(demo, "_REFRESH", 0.0)
    result = run("demo", env={"TERM": "xterm-256color"})
    assert result.exit_code == 0
    assert "\x1b[2K" in result.output  # pictures replaced by later ones
    assert "OK      40 of 40 events" in result.output


@pytest.mark.parametrize(("options", "term"), [(["--plain"], "xterm"), ([], "dumb")])
def test_demo_in_plain_lines_on_a_terminal(
    options: list[str], term: str, short: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "is_terminal", lambda stream: True)
    monkeypatch.setattr(demo, "_REPORT", 0.0)
    result = run("demo", *options, "--rate", "1e6", env={"TERM": term})
    assert result.exit_code == 0
    assert "\x1b[2K" not in result.output
    assert " s      40 events  " in result.output


def test_a_demo_that_is_interrupted_stops_its_switch(short: bytes) -> None:
    def interrupt(tally: Any) -> None:
        raise KeyboardInterrupt

    before = threading.enumerate()
    with pytest.raises(KeyboardInterrupt):
        demo.receive(short, 0.5, interrupt)  # the next event would come after two seconds
    assert threading.enumerate() == before


def test_the_rate_is_kept(short: bytes) -> None:
    tally = demo.receive(short, 400.0, lambda tally: None)
    assert tally.seconds >= 0.08  # 0.1, but for the granularity of waiting
    assert len(tally.kept) == 40
