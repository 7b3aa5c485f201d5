"""`ndjson` writes what `to_json` gives, a line an event."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from formats_support import CAPTURES
from hypothesis import given
from hypothesis import strategies as st
from recordings_support import Tape, event, small_tape
from support import capture, examples, part, pieces, plain

NAMES = ["A", "a", "Event-Name", "_body", "_BODY", "\u00e9", 'Q"', "x" * 40, "AB", "CD", "Content-Length", ""]
VALUES = [
    "",
    "1",
    "%41%22%5c%0a%00",
    "\u00e9",
    "%C3%A9%e9",
    "ARRAY::a|:b",
    "ARRAY%3A%3Aa%7C%3A%22",
    "ARRAY::",
    "ARRAY:x",
    "a: b",
]
VALUES += ["y" * 15 + '"', "y" * 16 + "%20" + "z" * 33, "y" * 17 + "\\", "%", "%4", "ARRAY", "\x01\x7f", "A", "|:"]


def lines_of(esl: ModuleType, source: Any, **options: Any) -> tuple[list[bytes], int]:
    out = io.BytesIO()
    count = part(esl, "ingest._ndjson").ndjson(source, out, **options)
    assert out.getvalue().endswith(b"\n") or count == 0
    return out.getvalue().split(b"\n")[:-1], count


def wanted(esl: ModuleType, data: bytes, errors: str = "replace") -> list[bytes]:
    decoder = esl.Decoder()
    decoder.feed(data)
    lines = []
    try:
        for message in decoder:
            if isinstance(message, esl.Event) and message.malformed is None:
                lines.append(message.to_json(errors))
    except esl.ProtocolError:
        pass
    return lines


def json_event(payload: bytes) -> bytes:
    return b"Content-Length: %d\nContent-Type: text/event-json\n\n%b" % (len(payload), payload)


@pytest.mark.parametrize("name", CAPTURES)
def test_lines_of_a_capture_are_those_of_its_events(esl: ModuleType, name: str) -> None:
    data = capture(name)[:300_000]
    out = io.BytesIO()
    with contextlib.suppress(esl.ProtocolError):
        part(esl, "ingest._ndjson").ndjson(data, out)
    lines = out.getvalue().split(b"\n")[:-1]
    assert lines == wanted(esl, data)


LINE = st.builds(
    lambda name, cut, value, end: name.encode() + cut + value.encode() + end,
    st.sampled_from(NAMES),
    st.sampled_from([b": ", b":", b": \t"]),
    st.sampled_from(VALUES),
    st.sampled_from([b"", b"\r", b"\xe9"]),
)


@examples(200)
@given(
    st.lists(st.one_of(LINE, st.binary(max_size=5)), max_size=8, unique_by=lambda line: line.partition(b":")[0]),
    st.sampled_from([b"", b"\n", b"\n\n", b"\n\r\n", b'\n\nbody "\xe9\n']),
)
def test_hostile_plain_events_have_the_lines_of_to_json(
    both: tuple[ModuleType, ModuleType], lines: list[bytes], end: bytes
) -> None:
    data = plain(b"\n".join(lines) + end) * 2
    for esl in both:
        assert lines_of(esl, data) == (wanted(esl, data), 2)


MEMBER = st.tuples(
    st.sampled_from(NAMES),
    st.one_of(st.sampled_from([*VALUES, 5, None, "\ud800"]), st.lists(st.sampled_from(VALUES), max_size=3)),
)


@examples(200)
@given(st.lists(MEMBER, max_size=8), st.booleans(), st.sampled_from([b"", b" ", b"\n{}", b"\xff"]), st.integers(0, 200))
def test_hostile_json_events_have_the_lines_of_to_json(
    both: tuple[ModuleType, ModuleType], members: list[Any], ascii: bool, junk: bytes, at: int
) -> None:
    texts = [f"{json.dumps(name)}:{json.dumps(value, ensure_ascii=ascii)}" for name, value in members]
    payload = ("{" + ",".join(texts) + "}").encode("utf-8", "surrogatepass")
    data = json_event(payload[:at] + junk + payload[at:]) * 2
    for esl in both:
        assert lines_of(esl, data)[0] == wanted(esl, data)


def test_the_switch_s_own_json_is_copied(esl: ModuleType) -> None:
    payload = b'{"Event-Name":"DTMF","A":["x","y"],"B":"\\u0001\\n\xc3\xa9","_body":"b"}'
    assert lines_of(esl, json_event(payload + b" behind")) == ([payload], 1)


@pytest.mark.parametrize("size", [1, 100, 5000])
def test_sources_may_be_bytes_files_and_pieces(esl: ModuleType, size: int) -> None:
    data = capture("special_plain")
    lines = wanted(esl, data)
    if size == 1:
        data, lines = plain(b"A: 1\n\n"), [b'{"A":"1"}']
    for source in (
        data,
        bytearray(data),
        memoryview(data),
        io.BytesIO(data),
        pieces(data, size),
        iter(pieces(data, size)),
    ):
        assert lines_of(esl, source) == (lines, len(lines))


def test_a_stream_may_be_larger_than_what_is_read_at_a_time(esl: ModuleType) -> None:
    data = plain(b"Event-Name: DTMF\n\n" + b"x" * 700_000) + plain(b"Event-Name: LAST\n\n") * 10_000
    lines, count = lines_of(esl, data)
    assert count == len(lines) == 10_001
    assert lines == wanted(esl, data)


def test_events_are_chosen(esl: ModuleType) -> None:
    data = plain(b"Event-Name: DTMF\n\n") + plain(b"Event-Name: HEARTBEAT\n\n")
    assert lines_of(esl, data, events=["HEARTBEAT"]) == ([b'{"Event-Name":"HEARTBEAT"}'], 1)


def test_bytes_that_are_not_utf8_are_replaced_or_escaped(esl: ModuleType) -> None:
    data = plain(b"A: \xe9\n\n")
    assert lines_of(esl, data)[0] == [b'{"A":"\xef\xbf\xbd"}']
    assert lines_of(esl, data, errors="surrogateescape")[0] == [b'{"A":"\\udce9"}']
    with pytest.raises(ValueError, match="errors is 'ignore'"):
        lines_of(esl, data, errors="ignore")


def test_what_is_redacted_is_what_redact_gives(esl: ModuleType) -> None:
    def redact(event: Any) -> Any:
        return esl.Event.from_payload(b"A: ***\n\n", "plain")

    assert lines_of(esl, plain(b"A: secret\n\n"), redact=redact) == ([b'{"A":"***"}'], 1)


def test_lines_before_damage_are_written(esl: ModuleType) -> None:
    out = io.BytesIO()
    with pytest.raises(esl.InvalidContentLength):
        part(esl, "ingest._ndjson").ndjson(plain(b"A: 1\n\n") + b"Content-Length: x\n\n" + plain(b"A: 2\n\n"), out)
    assert out.getvalue() == b'{"A":"1"}\n'


def test_an_unfinished_event_has_no_line(esl: ModuleType) -> None:
    assert lines_of(esl, plain(b"A: 1\n\n") * 2 + plain(b"A: 2\n\n")[:-1]) == ([b'{"A":"1"}'] * 2, 2)
    assert lines_of(esl, b"") == ([], 0)


@pytest.mark.parametrize("options", [{}, {"errors": "surrogateescape"}, {"redact": lambda event: event}])
def test_lines_of_a_recording(esl: ModuleType, options: dict[str, Any], tmp_path: Path) -> None:
    path = small_tape().write(tmp_path / "a.esl.zst")
    events = [
        message for message in part(esl, "recordings").Recording(path).messages() if isinstance(message, esl.Event)
    ]
    expected = [event.to_json(options.get("errors", "replace")) for event in events]
    for source in (path, str(path), tmp_path, part(esl, "recordings").Recording(path)):
        assert lines_of(esl, source, **options) == (expected, len(expected))
    (tmp_path / "b.esl").write_bytes(capture("sip_plain")[:100_000])
    assert lines_of(esl, tmp_path / "b.esl", **options)[0] == wanted(esl, capture("sip_plain")[:100_000])


@pytest.mark.parametrize("options", [{}, {"errors": "surrogateescape"}])
def test_lines_of_a_recording_around_damage(esl: ModuleType, options: dict[str, Any], tmp_path: Path) -> None:
    tape = Tape()
    for number in range(0, 8, 2):
        bad = b"Content-Length: x\n\n" if number == 4 else b""
        tape.chunk(event(number), event(number + 1) + bad)
    data = bytearray(tape.bytes())
    data[tape.ends()[0] - 10] ^= 1
    path = tmp_path / "a.esl.zst"
    path.write_bytes(data)
    recording = part(esl, "recordings").Recording(path, damaged="skip")
    lines, count = lines_of(esl, recording, **options)
    assert [json.loads(line)["Event-Sequence"] for line in lines] == ["2", "3", "4", "5"]
    assert (count, len(recording.damage)) == (4, 1)
    out = io.BytesIO()
    with pytest.raises(esl.DamagedRecording):
        part(esl, "ingest._ndjson").ndjson(path, out, **options)
    assert out.getvalue() == b""
