"""Notices in columns: `@notice`, in their place, and no event can have one."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from columns_support import columns_of, rows_of
from recorder_support import GREETING, Clock, recorder_of
from support import part, plain

AT = 1_796_000_000.25
SPEC = {
    "number": ("Event-Sequence", "int64"),
    "notice": ("@notice", "json"),
    "body": ("@body", "string"),
    "line": ("@json", "string"),
    "id": ("@id", "string"),
    "at": ("@received", "timestamp"),
    "place": ("@offset", "int64"),
    "switch": ("@switch", "dictionary"),
    "list": ("A", "list"),
    "flag": ("B", "bool"),
}


def notices_of(esl: ModuleType) -> Any:
    return part(esl, "ingest.notices")


def event(number: int, more: str = "") -> bytes:
    return plain(f"Event-Name: DTMF\nEvent-Sequence: {number}\n{more}\n".encode())


def told(esl: ModuleType, rows: list[dict[str, Any]]) -> list[Any]:
    """Of each row the number of its event, or its notice."""
    found = []
    for row in rows:
        found.append(row["number"] if row["notice"] is None else notices_of(esl).from_line(row["notice"]))
        if row["notice"] is not None:
            others = {name for name, value in row.items() if value is not None}
            assert others <= {"notice", "at", "switch"}
    return found


@pytest.mark.parametrize("kind", ["string", "json", "binary", "dictionary"])
def test_extend_takes_notices_and_gaps(esl: ModuleType, kind: str) -> None:
    n = notices_of(esl)
    ended, lost = n.Ended("fs1", AT, "a"), part(esl, "ingest.watch").Loss("bounded", None, 17, "x")
    decoder = esl.Decoder()
    decoder.feed(event(1) + event(2) + event(3))
    one, two, three = decoder
    messages = [ended, one, esl.Gap.of(2.5, "gone"), two, lost, three, ended]
    columns = columns_of(esl).Columns({**SPEC, "notice": ("@notice", kind)}, batch_rows=2)
    columns.extend(messages)
    batches = list(iter(columns.flush, None))
    assert [batch.num_rows for batch in batches] == [2, 2, 2, 1]
    found = told(esl, rows_of(*batches))
    assert found[:2] == [ended, 1]
    assert (type(found[2]), found[2].seconds) == (esl.Gap, 2.5)
    assert found[3:] == [2, lost, 3, ended]
    assert columns.stats()["rows"] == 7
    plainly = columns_of(esl).Columns({"number": ("Event-Sequence", "int64")})
    plainly.extend(messages)
    assert [row["number"] for row in rows_of(plainly.flush())] == [1, None, 2, 3]  # a gap is an event there


def test_an_event_never_has_one(esl: ModuleType) -> None:
    data = event(1, '@notice: {"_notice":"stopped"}\n_notice: stopped\nat: 5\n')
    data += plain(b"Event-Name: CUSTOM\nEvent-Subclass: eslcodec::gap\nGap-Seconds: 2.5\nGap-Reason: x\n\n")
    text = json.dumps({"@notice": "{}", "_notice": "stopped", "at": 5, "Event-Name": "X"}).encode()
    data += b"Content-Length: %d\nContent-Type: text/event-json\n\n%b" % (len(text), text)
    decoder = esl.Decoder()
    decoder.feed(data)
    for fed in True, False:
        columns = columns_of(esl).Columns(SPEC)
        columns.feed(data) if fed else columns.extend(list(decoder))
        rows = rows_of(columns.flush())
        assert [row["notice"] for row in rows] == [None] * 3
        assert columns.stats()["refused"] == {}


def test_notices_are_redacted_and_not_filtered(esl: ModuleType) -> None:
    n = notices_of(esl)
    redact = part(esl, "ingest.redact").Redact(mask=["Caller-*"])
    columns = columns_of(esl).Columns(SPEC, events=["X"], redact=redact)
    columns.extend([n.Found("fs1", AT, "a", caller="1000")])
    (found,) = told(esl, rows_of(columns.flush()))
    assert (found.uuid, found.caller) == ("a", "***")


def tape(esl: ModuleType, folder: Path) -> tuple[list[Any], Clock]:
    """A recording, and what is in it."""
    n, clock = notices_of(esl), Clock()
    expected: list[Any] = []
    with recorder_of(esl, folder, clock, rotate_bytes=4000) as recorder:
        for connection in range(3):
            recorder.opened(("fs1", 8021))
            recorder.received(GREETING)
            for number in range(20):
                whole = event(100 * connection + number, "A: " + "x" * 200 + "\n")
                recorder.received(whole[:40])
                if number % 3 == 0:
                    expected.append(n.Ended("fs1", AT, f"{connection}-{number}"))
                    recorder.note(n.to_note(expected[-1]))
                recorder.received(whole[40:])
                expected.append(100 * connection + number)
                clock.go(1, recorder)
            recorder.note({"note": "mine"})
            recorder.closed("gone")
    return expected, clock


@pytest.mark.parametrize("threads", [1, 3])
def test_a_scan_has_them_in_their_place(
    esl: ModuleType, tmp_path: Path, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, _ = tape(esl, tmp_path)
    monkeypatch.setattr(part(esl, "ingest._pieces"), "GROUP_BYTES", 2000)
    scan = part(esl, "ingest._scan").scan
    found = scan(tmp_path, SPEC, threads=threads)
    rows = rows_of(*found)
    assert told(esl, rows) == expected
    assert {row["switch"] for row in rows} == {"fs1:8021"}
    assert all(row["at"] is not None for row in rows)
    assert found.stats()["rows"] == len(expected)
    plainly = scan(tmp_path, {"number": ("Event-Sequence", "int64")}, threads=threads)
    assert [row["number"] for row in rows_of(*plainly)] == [item for item in expected if isinstance(item, int)]
    begin = 1_764_400_000 + 20
    late = rows_of(*scan(tmp_path, SPEC, threads=threads, since=begin, until=begin + 20))
    assert told(esl, late) == [
        item for item in expected if (100 <= item < 200 if isinstance(item, int) else item.uuid.startswith("1-"))
    ]


def test_batches_of_a_client_have_its_gap(esl: ModuleType) -> None:
    with part(esl, "emulator").Emulator() as switch, esl.connect(switch.host, switch.port, reconnect=True) as fs:
        fs.subscribe("DTMF")
        batches = fs.batches(SPEC, max_rows=1)
        switch.fire("DTMF")
        assert rows_of(next(batches))[0]["notice"] is None
        switch.drop()
        (row,) = rows_of(next(batches))
        assert type(notices_of(esl).from_line(row["notice"])) is esl.Gap
