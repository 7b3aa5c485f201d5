"""`eslcodec decode`: listing, filtering and writing streams, and what goes wrong."""

from __future__ import annotations

import gzip
import json
import lzma
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import support
from cli_support import decode, files, run, spawn, text
from cli_support import written as written

import eslcodec


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
        "      1  AuthRequest               auth/request, 0 bytes",
        "      2  CommandReply              +OK",
        "      3  a::b                      u1  #7  body: 4 bytes",
        "      4  (no name)                 sofia/x",
        "      5  CommandReply              +OK\\n  3 headers",
        "      6  ApiResponse               8 bytes: -ERR no",
        "      7  log WARNING               oh",
        f"      8  log None                  {'x' * 120}... (121 characters)",
        "      9  DisconnectNotice          linger  c",
        "     10  DisconnectNotice          final  u2",
        "     11  RudeRejection             14 bytes: Access Denied",
        "     12  Message                   (no Content-Type), 0 bytes",
    ]


def test_full_listing_has_headers_repeats_and_body(written: Any) -> None:
    stream = support.plain(b"Event-Name: X\nA: 1%0A\nA: 2\n\none\ntwo\n") + support.AUTH
    assert run("decode", "--full", written(stream)).output.splitlines() == [
        "      1  X                         body: 8 bytes",
        "         Event-Name: X",
        "         A: 1\\n",
        "         A: 2",
        "         | one",
        "         | two",
        "      2  AuthRequest               auth/request, 0 bytes",
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
        [line.split()[1] for line in run("decode", written(support.capture(f"special_{kind}"))).output.splitlines()]
        for kind in ("plain", "json", "xml")
    ]
    assert lists[0][:1] == ["AuthRequest"]
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
    assert [line.split()[1] for line in result.output.splitlines()[:4]] == ["AuthRequest", "HEARTBEAT", "DTMF", "DTMF"]
    assert result.output.splitlines()[4].endswith("read Content-Length '-9', expected ASCII digits")


def test_a_malformed_event_is_listed_and_changes_the_exit_status(written: Any) -> None:
    path = written(support.frame(b"Content-Type: text/event-json", b'{"a": \x1b}') + EVENTS)
    result = run("decode", "--full", path)
    first, payload, *_, last = result.output.splitlines()
    assert first.startswith("      1  Event                     text/event-json, 8 bytes, malformed: ")
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
    assert (result.exit_code, result.output) == (1, f"Error: {path}: Permission denied\n")


@pytest.mark.parametrize("command", [["decode"], ["emulate", "--port", "0", "--replay"]])
@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="needs Linux' files that cannot be read")
def test_what_cannot_be_read_is_reported(command: list[str]) -> None:
    result = run(*command, "/proc/self/mem")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: /proc/self/mem: Input/output error\n"


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
    for module in (files, decode):
        monkeypatch.setattr(module, "is_terminal", lambda stream: bool(terminals))
    assert "\x1b" not in run("decode", written(EVENTS)).output
