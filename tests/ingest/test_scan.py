"""`scan`: what was recorded as a stream of batches, by one thread or several, for whoever reads Arrow."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import threading
from datetime import datetime, timezone
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from columns_support import SPEC, rows_of, wanted_rows
from recordings_support import BEGIN, CONNECTION, Tape, event
from support import capture, frame, part, plain

SEQUENCE = {"Event-Sequence": "int64"}
PLACES = {**SEQUENCE, "at": ("@received", "timestamp"), "@offset": "int64", "@switch": "dictionary"}


def scan_of(esl: ModuleType) -> Any:
    return part(esl, "ingest._scan")


def numbers(found: Any) -> list[int]:
    return [row["Event-Sequence"] for row in rows_of(*found)]


def long_tape(pieces: int = 40, events: int = 400, cut: int = 777) -> Tape:
    """Events over the edges of reads and of chunks."""
    tape = Tape()
    tape.note(note="opened", peer=["fs1", 8021])
    stream = b"Content-Type: auth/request\n\n" + b"".join(event(number) for number in range(events))
    reads = [stream[at : at + cut] for at in range(0, len(stream), cut)]
    each = -(-len(reads) // pieces)
    for at in range(0, len(reads), each):
        tape.chunk(*reads[at : at + each])
    return tape


@pytest.fixture
def small_groups(esl: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part(esl, "ingest._pieces"), "GROUP_BYTES", 1500)
    monkeypatch.setattr(part(esl, "ingest._pieces"), "_PLAIN_BYTES", 1000)


# Rows


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("name", ["sip_plain", "special_json", "churn_xml"])
def test_rows_of_captures_are_those_of_messages(esl: ModuleType, name: str, threads: int, small_groups: None) -> None:
    data = capture(name)[:300_000]
    spec = {title: what for title, what in SPEC.items() if title not in ("received", "switch")}
    assert rows_of(*scan_of(esl).scan(data, spec, threads=threads)) == wanted_rows(esl, spec, data)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_times_places_and_switch_are_those_of_the_recording(
    esl: ModuleType, threads: int, small_groups: None, tmp_path: Path
) -> None:
    tape = long_tape()
    path = tape.write(tmp_path / "a.esl.zst")
    rows = rows_of(*scan_of(esl).scan(path, PLACES, threads=threads))
    assert [row["Event-Sequence"] for row in rows] == list(range(400))
    assert {row["@switch"] for row in rows} == {"fs1:8021"}
    frames = [event(number) for number in range(400)]
    place, ends = len(b"Content-Type: auth/request\n\n"), {}
    recording = part(esl, "recordings").Recording(path)
    for chunk in recording.chunks():
        at = chunk.offset
        for us, size in chunk.reads:
            at += size
            ends[at] = chunk.wall_ns // 1000 + us
    for row, each in zip(rows, frames, strict=True):
        assert row["@offset"] == place
        place += len(each)
        assert row["at"].timestamp() * 1e6 == pytest.approx(ends[min(end for end in ends if end >= place)], abs=0.5)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_folder_is_read_over_its_files_and_connections(
    esl: ModuleType, threads: int, small_groups: None, tmp_path: Path
) -> None:
    tape = Tape()
    stream = b"".join(map(event, range(20)))
    tape.note(note="opened", peer=["fs1", 8021])
    for at in range(0, 1000, 100):
        tape.chunk(stream[at : at + 100])
    tape.write(tmp_path / "fs1_8021" / "20260921T141320Z-000000.esl.zst")
    tape.written, tape.sizes = [], []
    tape.note(note="continued", peer=["fs1", 8021])
    for at in range(1000, 1500, 100):
        tape.chunk(stream[at : at + 100])
    tape.open(CONNECTION + 1)
    tape.note(note="opened", peer=["::1", 8022])
    tape.chunk(event(100), event(101)[:30])
    tape.open(CONNECTION + 2)
    tape.offset = 500
    tape.chunk(event(200))
    tape.write(tmp_path / "fs1_8021" / "20260921T141400Z-000001.esl.zst")
    found = scan_of(esl).scan(tmp_path, PLACES, threads=threads)
    rows = rows_of(*found)
    recording = part(esl, "recordings").Recording(tmp_path)
    expected = [message for message in recording.messages() if isinstance(message, esl.Event)]
    assert [row["Event-Sequence"] for row in rows] == [int(message["Event-Sequence"]) for message in expected]
    assert {row["Event-Sequence"]: row["@switch"] for row in rows}[100] == "[::1]:8022"
    assert found.stats()["rows"] == len(rows)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("since", "until"), [(3, None), (None, 9.0005), (2.001, 7), (4.0015, 4.003), (1000, None)])
def test_since_and_until_are_those_of_messages(
    esl: ModuleType, since: Any, until: Any, threads: int, small_groups: None, tmp_path: Path
) -> None:
    path = long_tape().write(tmp_path / "a.esl.zst")
    since, until = (None if time is None else BEGIN + time for time in (since, until))
    messages = part(esl, "recordings").Recording(path).messages(since, until)
    expected = [int(message["Event-Sequence"]) for message in messages if "Event-Sequence" in message]
    scan = scan_of(esl).scan
    assert numbers(scan(path, SEQUENCE, threads, since, until)) == expected
    rows = rows_of(*scan(path, PLACES, threads, since, until))
    assert [row["Event-Sequence"] for row in rows] == expected
    assert {row["@switch"] for row in rows} <= {"fs1:8021"}
    if since is not None:
        when = datetime.fromtimestamp(since, timezone.utc)
        assert numbers(scan(path, SEQUENCE, threads, when, until)) == expected


@pytest.mark.parametrize("threads", [1, 3])
def test_events_redaction_and_presets(esl: ModuleType, threads: int, small_groups: None) -> None:
    module = part(esl, "ingest._scan")
    data = b"".join(
        plain(b"Event-Name: %b\nUnique-ID: %d\n\n" % (name, at)) for at, name in enumerate((b"A", b"B") * 50)
    )
    spec = {"name": ("Event-Name", "string"), "id": ("Unique-ID", "int64")}
    found = module.scan(data, spec, threads, events=iter(["B"]))
    for _ in range(2):
        assert [row["id"] for row in rows_of(*found)] == list(range(1, 100, 2))
        assert found.stats() == {"rows": 50, "filtered": 50, "malformed": 0, "refused": {}}

    def redact(event: Any) -> Any:
        return esl.Event.build(event.name, {"Unique-ID": "x"})

    found = module.scan(data, spec, threads, events="A", redact=redact)
    assert [row["id"] for row in rows_of(*found)] == [None] * 50
    assert found.stats()["refused"] == {"id": 50}
    presets = part(esl, "ingest.presets")
    calls = plain(b"Event-Name: CHANNEL_HANGUP_COMPLETE\nUnique-ID: 1\n\n") + data
    assert [row["uuid"] for row in rows_of(*module.scan(calls, presets.LEGS, threads))] == ["1"]
    assert module.scan(calls, presets.LEGS).metadata == {"table": "legs", "schema_version": "1"}


# Damage


def torn_apart(tape: Tape, chunk: int) -> bytes:
    """The file with one bit of a chunk's data turned."""
    data = bytearray(tape.bytes())
    data[tape.ends()[chunk] - 10] ^= 1
    return bytes(data)


@pytest.mark.parametrize("threads", [1, 3])
def test_damage_is_raised_after_the_rows_before_it(
    esl: ModuleType, threads: int, small_groups: None, tmp_path: Path
) -> None:
    path = tmp_path / "a.esl.zst"
    path.write_bytes(torn_apart(long_tape(), 20))
    sound: list[Any] = []
    with pytest.raises(esl.DamagedRecording) as told:
        sound.extend(part(esl, "recordings").Recording(path).messages())
    made: list[Any] = []
    with pytest.raises(esl.DamagedRecording) as caught:
        made.extend(scan_of(esl).scan(path, SEQUENCE, threads))
    assert str(caught.value) == str(told.value)
    assert numbers(made) == [int(message["Event-Sequence"]) for message in sound[1:]]


@pytest.mark.parametrize("threads", [1, 3])
def test_damage_is_passed_over_and_counted(esl: ModuleType, threads: int, small_groups: None, tmp_path: Path) -> None:
    path = tmp_path / "a.esl.zst"
    path.write_bytes(torn_apart(long_tape(), 20))
    recording = part(esl, "recordings").Recording(path, damaged="skip")
    expected = [int(message["Event-Sequence"]) for message in recording.messages() if "Event-Sequence" in message]
    assert len(recording.damage) == 1
    assert 350 < len(expected) < 400
    again = part(esl, "recordings").Recording(path, damaged="skip")
    assert numbers(scan_of(esl).scan(again, SEQUENCE, threads)) == expected
    assert list(map(str, again.damage)) == list(map(str, recording.damage))


@pytest.mark.parametrize("threads", [1, 3])
def test_what_cannot_be_framed_is_raised_after_the_rows_before_it(
    esl: ModuleType, threads: int, small_groups: None
) -> None:
    data = b"".join(map(event, range(50))) + b"Content-Length: x\n\n" + b"".join(map(event, range(50)))
    made: list[Any] = []
    with pytest.raises(esl.InvalidContentLength):
        made.extend(scan_of(esl).scan(data, SEQUENCE, threads))
    assert numbers(made) == list(range(50))


@pytest.mark.parametrize("threads", [1, 3])
def test_what_was_counted_before_the_stream_broke_is_in_stats(esl: ModuleType, threads: int, tmp_path: Path) -> None:
    path = tmp_path / "a.esl"
    path.write_bytes(event(1) + frame(b"Content-Type: text/event-json", b"{") + event(2) + b"Content-Length: x\n\n")
    found = scan_of(esl).scan(part(esl, "recordings").Recording(path, damaged="skip"), {"Fill": "int64"}, threads)
    assert [batch.num_rows for batch in found] == [2]
    assert found.stats() == {"rows": 2, "filtered": 0, "malformed": 1, "refused": {"Fill": 2}}


def test_a_stream_that_cannot_be_framed_is_not_kept(esl: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = part(esl, "ingest._pieces")
    monkeypatch.setattr(pieces, "GROUP_BYTES", 2000)
    monkeypatch.setattr(pieces, "_FRAME_MOST", 3000)
    monkeypatch.setattr(pieces, "_PLAIN_BYTES", 1000)
    data = event(1) + b"Content-Length: x\n\n" + bytes(50_000)
    [group] = pieces.groups(pieces.with_beginnings(pieces.plain_chunks(data)))
    assert len(group) < 8


def test_what_is_no_source_is_refused(esl: ModuleType, tmp_path: Path) -> None:
    scan = scan_of(esl).scan
    with pytest.raises(OSError, match="nothing"):
        scan(tmp_path / "nothing", SEQUENCE)
    with pytest.raises(ValueError, match="threads is 0"):
        scan(b"", SEQUENCE, threads=0)
    with pytest.raises(ValueError, match="have no times"):
        scan(b"", SEQUENCE, since=1)
    with pytest.raises(ValueError, match="expected one of string"):
        scan(b"", {"a": "text"})
    path = tmp_path / "a.esl"
    path.write_bytes(event(1))
    with pytest.raises(esl.RecordingError, match="has no times"):
        list(scan(path, SEQUENCE, since=1))
    with path.open("rb") as file, pytest.raises(ValueError, match="read once"):
        scan(part(esl, "recordings").Recording(file), SEQUENCE)


# Who reads it


def readers() -> dict[str, Any]:
    def duckdb(found: Any) -> list[int]:
        db = importlib.import_module("duckdb")
        return [row[0] for row in db.sql('select "Event-Sequence" from found').fetchall()]

    return {
        "pyarrow": lambda found: importlib.import_module("pyarrow").table(found)["Event-Sequence"].to_pylist(),
        "pyarrow reader": lambda found: [
            number
            for batch in importlib.import_module("pyarrow").RecordBatchReader.from_stream(found)
            for number in batch.column(0).to_pylist()
        ],
        "polars": lambda found: importlib.import_module("polars").DataFrame(found)["Event-Sequence"].to_list(),
        "polars from_arrow": lambda found: (
            importlib.import_module("polars").from_arrow(found).struct.field("Event-Sequence").to_list()
        ),
        "duckdb": duckdb,
        "pandas": lambda found: (
            importlib.import_module("pandas").DataFrame.from_arrow(found)["Event-Sequence"].tolist()
        ),
        "nanoarrow": lambda found: [
            row["Event-Sequence"]
            for row in importlib.import_module("nanoarrow").ArrayStream(found).read_all().to_pylist()
        ],
    }


@pytest.mark.parametrize("reader", readers())
def test_it_is_read_twice(esl: ModuleType, reader: str, small_groups: None, tmp_path: Path) -> None:
    pytest.importorskip(reader.split()[0])
    path = long_tape().write(tmp_path / "a.esl.zst")
    found = scan_of(esl).scan(path, {**SEQUENCE, "name": ("Event-Name", "dictionary"), **PLACES}, threads=2)
    for _ in range(2):
        assert readers()[reader](found) == list(range(400))


def test_readers_see_damage_as_an_error_with_its_text(esl: ModuleType, tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    path = tmp_path / "a.esl.zst"
    path.write_bytes(torn_apart(long_tape(), 20))
    found = scan_of(esl).scan(path, SEQUENCE, threads=1)
    for _ in range(2):
        with pytest.raises((OSError, esl.DamagedRecording), match="expected"):
            pa.table(found)
    if part(esl, "ingest.columns")._columns.__name__.endswith("_c"):
        reader = pa.RecordBatchReader.from_stream(found)
        assert reader.read_next_batch().num_rows > 100
        for _ in range(2):
            with pytest.raises(OSError, match="checksum"):
                reader.read_next_batch()


def test_an_empty_source_has_the_schema_and_its_version(esl: ModuleType) -> None:
    pa = pytest.importorskip("pyarrow")
    presets = part(esl, "ingest.presets")
    table = pa.table(scan_of(esl).scan(b"", presets.LEGS))
    full = pa.table(scan_of(esl).scan(plain(b"Event-Name: CHANNEL_HANGUP_COMPLETE\n\n"), presets.LEGS))
    assert (table.num_rows, full.num_rows) == (0, 1)
    assert table.schema.equals(full.schema, check_metadata=True)
    if part(esl, "ingest.columns")._columns.__name__.endswith("_c"):
        assert table.schema.metadata == {b"table": b"legs", b"schema_version": b"1"}


def test_readers_that_go_away_leave_nothing_running(esl: ModuleType, small_groups: None, tmp_path: Path) -> None:
    path = long_tape().write(tmp_path / "a.esl.zst")
    found = iter(scan_of(esl).scan(path, SEQUENCE, threads=3))
    next(found)
    del found
    assert [thread for thread in threading.enumerate() if thread.name.startswith("eslcodec-scan")] == []


def test_a_stream_that_nobody_reads_is_let_go_of(both: tuple[ModuleType, ModuleType]) -> None:
    columns = part(both[0], "ingest.columns")

    def batches() -> Any:
        try:
            yield columns.Columns(SEQUENCE).flush()
        finally:
            gone.append(1)

    gone: list[int] = []
    made = batches()
    next(made)
    capsule = columns._columns.stream_of(columns.Columns(SEQUENCE).schema, made)
    del made
    del capsule
    assert gone == [1]


EXIT = """
import sys, threading
import pyarrow as pa
from eslcodec.ingest import scan
data = b"Content-Length: 17\\nContent-Type: text/event-plain\\n\\nEvent-Name: DTMF\\n" * 50_000
found = scan(data, {"name": ("Event-Name", "dictionary")}, threads=int(sys.argv[1]))
reader = pa.RecordBatchReader.from_stream(found)
print(reader.read_next_batch().num_rows > 0)
sys.modules["kept"] = reader  # let go of while Python ends
"""


@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_stream_may_outlive_python(both: tuple[ModuleType, ModuleType], threads: str, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    done = subprocess.run(
        [sys.executable, "-c", EXIT, threads],
        cwd=tmp_path,
        capture_output=True,
        timeout=60,
        env={**os.environ, "ESLCODEC_IMPL": "c"},
    )
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, [b"True"], b"")
