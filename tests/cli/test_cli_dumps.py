"""Files that are no stream: recognised by their content and told, or read with `decode --unframed`."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
import support
from cli_support import run
from cli_support import written as written

import eslcodec
from eslcodec.cli.dumps import unframed

LOG = b"2026-11-29 08:00:00.000001 98.50% [NOTICE] switch_channel.c:1118 New Channel sofia/x [u1]\n"
PLAIN = b"Event-Name: DTMF\nUnique-ID: u1\nDTMF-Digit: %23\n\n"
DECODED = (
    b"RECV EVENT\nEvent-Name: CHANNEL_ANSWER\nEvent-Date-Local: 2026-11-29 08:00:00\n"
    b"variable_switch_r_sdp: v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n\nCaller-Name: 100% \xc3\xab\n\n"
)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\xd4\xc3\xb2\xa1\x02\x00\x04\x00" + bytes(40), "read packets (pcap), expected a stream: `tcpflow -r FILE"),
        (b"\x0a\x0d\x0d\x0a\x1c\x00\x00\x00" + bytes(40), "read packets (pcap), expected a stream: `tcpflow -r FILE"),
        (PLAIN, "read events without the headers of frames, expected a stream: eslcodec decode --unframed"),
        (b"\xef\xbb\xbf" + PLAIN, "read events without the headers of frames, expected a stream: eslcodec decode"),
        (b"----\r\n" + PLAIN.replace(b"\n", b"\r\n"), "read events without the headers of frames, expected"),
        (b"\x1b[36m" + LOG + DECODED, "read events without the headers of frames, expected a stream"),
        (b"\x1b[35m" + LOG + b"\x1b[0m", "read log lines without frames, expected a stream"),
        (
            b'{"Event-Name": "DTMF"}\n',
            "read events in JSON without frames, expected a stream: eslcodec decode --unframed",
        ),
        (b"<event>\n<headers/></event>", "read events in XML without frames, expected a stream"),
    ],
)
def test_a_file_that_is_no_stream_is_recognised(data: bytes, what: str, written: Any) -> None:
    for command, content in (("decode", data), ("info", gzip.compress(data))):
        path = written(content, f"dump_{command}")
        result = run(command, path)
        assert (result.exit_code, result.stdout) == (1, "")
        assert f"{path}: {what}" in result.stderr


@pytest.mark.parametrize("name", ["outbound_sync_full", "special_plain", "api", "log_only", "rude_rejection"])
def test_no_stream_is_taken_for_a_dump(name: str, written: Any) -> None:
    result = run("decode", written(support.capture(name)))
    assert "expected a stream" not in result.stderr
    assert result.stdout


def test_the_first_piece_of_a_pipe_is_not_judged() -> None:
    reply = b"Event-Name: CHANNEL_DATA\nUnique-ID: u1\nContent-Type: command/reply\nReply-Text: +OK\n\n"
    files = pytest.importorskip("eslcodec.cli.files")
    pieces = [files.Chunk.plain("", at, reply[at : at + 30]) for at in range(0, len(reply), 30)]
    assert list(files._streams(pieces, "standard input")) == pieces
    with pytest.raises(files.click.ClickException, match="expected a stream"):
        list(files._streams([files.Chunk.plain("", 0, PLAIN)], "standard input"))


def events_of(path: Any) -> list[dict[str, Any]]:
    result = run("decode", "--unframed", "--ndjson", path)
    assert result.exit_code == 0
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_the_text_of_events_as_scripts_print_it(written: Any) -> None:
    message = b"Event-Name: MESSAGE\nContent-Length: 8\n\nhi\n\nyou\n\n"
    assert events_of(written(b"got one:\n" + PLAIN + message + PLAIN.replace(b"\n", b"\r\n"))) == [
        {"Event-Name": "DTMF", "Unique-ID": "u1", "DTMF-Digit": "#"},
        {"Event-Name": "MESSAGE", "Content-Length": "8", "_body": "hi\n\nyou\n"},
        {"Event-Name": "DTMF", "Unique-ID": "u1", "DTMF-Digit": "#"},
    ]


def test_what_editors_put_in_front_is_no_part_of_the_first_event(written: Any) -> None:
    result = run("decode", "--unframed", "--ndjson", written(b"\xef\xbb\xbf" + PLAIN.replace(b"\n", b"\r\n")))
    assert (json.loads(result.stdout)["DTMF-Digit"], result.stderr) == ("#", "")


def test_packets_are_told_there_too(written: Any) -> None:
    result = run("decode", "--unframed", written(b"\xd4\xc3\xb2\xa1" + bytes(40)))
    assert result.exit_code == 1
    assert "read packets (pcap), expected a stream: `tcpflow" in result.stderr


def test_xml_with_many_events_that_never_end_is_read_once() -> None:
    found = unframed(b"<event><a/></event>" + b"<event><headers>" * 200_000)
    assert found.frames == [b"Content-Length: 19\nContent-Type: text/event-xml\n\n<event><a/></event>"]


def test_what_is_no_event_is_counted(written: Any) -> None:
    result = run("decode", "--unframed", written(LOG + PLAIN + LOG))
    assert result.stdout == "      1  DTMF                      u1  #\n"
    assert "2 lines are no part of an event, and passed over" in result.stderr


def test_what_fs_cli_shows_is_read_with_values_of_several_lines(written: Any) -> None:
    assert (
        events_of(written(b"\x1b[36m" + LOG + DECODED + DECODED))
        == [
            {
                "Event-Name": "CHANNEL_ANSWER",
                "Event-Date-Local": "2026-11-29 08:00:00",
                "variable_switch_r_sdp": "v=0\no=- 1 1 IN IP4 192.0.2.1",
                "Caller-Name": "100% \u00eb",
            }
        ]
        * 2
    )


@pytest.mark.parametrize("form", ["json", "xml"])
def test_events_in_other_forms_without_frames(form: str, written: Any) -> None:
    events = [eslcodec.Event.build("DTMF", {"DTMF-Digit": digit}) for digit in "1#"]
    data = b"\n".join(event.serialize(form) for event in events)
    assert [event["DTMF-Digit"] for event in events_of(written(data))] == ["1", "#"]


def test_a_dump_becomes_a_stream_for_all_other_commands(written: Any) -> None:
    stream = run("decode", "--unframed", "--to", "plain", written(PLAIN * 3)).stdout_bytes
    assert [message["DTMF-Digit"] for message in eslcodec.iter_messages(written(stream, "s.esl"))] == ["#"] * 3
    assert "297 B received" in run("info", written(stream, "s.esl")).stdout


def test_a_file_without_messages_is_told(written: Any) -> None:
    result = run("decode", written(b""))
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.endswith("there is no message in it\n")


@pytest.mark.parametrize("words", [["emulate", "--port", "0", "--replay"], ["replay", "--port", "0"], ["convert"]])
def test_a_dump_is_not_replayed_or_converted(words: list[str], written: Any, tmp_path: Any) -> None:
    result = run(*words, written(PLAIN), *([tmp_path / "out.ndjson"] if words == ["convert"] else []))
    assert result.exit_code == 1
    assert "expected a stream: eslcodec decode --unframed" in result.stderr


@pytest.mark.parametrize(
    "verb",
    ["api", "bridge", "cli", "convert", "decode", "demo", "emulate", "info", "record", "replay", "show", "tail", "top"],
)
def test_every_help_has_examples(verb: str) -> None:
    shown = run(verb, "--help", terminal_width=80).stdout
    assert f"\n  eslcodec {verb}" in shown
    assert max(map(len, shown.splitlines())) <= 100
