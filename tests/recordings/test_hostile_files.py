"""Recordings that somebody made to hurt: work stays within some times the file, numbers within what can be written."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from types import ModuleType

import pytest
from recordings_support import CONNECTION, Tape, event
from support import part


def lookalike(connection: int, size: int) -> bytes:
    """Looks like the head of a chunk, so many bytes long: a note which is most of it."""
    counts = struct.pack("<5I", 0, 0xFFFFFFFF, 0, 0, size - 60)
    head = b"ESLR" + bytes(4) + b"\1\2\0\0" + struct.pack("<Q", connection) + bytes(24) + counts
    return struct.pack("<II", 0x184D2A5C, size) + head[:60]


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize("connection", [CONNECTION, 7])
def test_lookalikes_within_each_other_are_not_all_read(esl: ModuleType, connection: int, listed: bool) -> None:
    zst = part(esl, "zst")
    tape = Tape()
    tape.chunk(event(1))
    whole, one = tape.bytes(closed=False), lookalike(connection, 2 << 20)
    count = (4 << 20) // len(one)
    data = whole + b"damage" + one * count
    if listed:
        data += zst.seek_table([(len(whole), 0), (6, 0), *[(len(one), 0)] * count])
    reader = zst.read_chunks(io.BytesIO(data), damaged="skip")
    assert [chunk.data for chunk in reader] == [event(1)]
    assert reader._looked < (300 << 20) + 16 * len(data)  # of 120 GB


def test_what_was_read_is_not_moved_for_each_chunk(esl: ModuleType) -> None:
    window = part(esl, "_window").Window(io.BytesIO(bytes(1000)))
    assert window.need(1000)
    moved = 0
    for _ in range(999):
        window.at += 1
        before = window.data
        window.forget()
        moved += 0 if window.data is before else len(window.data)
    assert moved <= 1000
    assert window.position == 999


@pytest.mark.parametrize("name", ["offset", "wall_ns", "mono_ns"])
def test_numbers_that_leave_no_room_are_damage(esl: ModuleType, tmp_path: Path, name: str) -> None:
    zst, recordings = part(esl, "zst"), part(esl, "recordings")
    when = {"connection": 2**64 - 1, "offset": 0, "wall_ns": 1, "mono_ns": 1, name: 2**64 - 1}
    parts = zst.pack_stream(
        zst.Compressor(0), first=0, reads=struct.pack("<II", 0xFFFFFFFF, 5), sends=[], data=b"hello", **when
    )
    good = {**when, name: 2**63 - 1}
    path = tmp_path / "a.esl.zst"
    path.write_bytes(b"".join(parts) + zst.pack_note(note={"note": "opened"}, **good))
    assert len(recordings.Recording(path).info(verify=True).damage) == 1
    [repair] = recordings.Recording(path).repair()
    assert (repair.chunks, recordings.Recording(path).info(verify=True).damage) == (1, [])
    redacting, redact = part(esl, "ingest.redacting"), part(esl, "ingest.redact").Redact.profile("secrets")
    assert redacting.redact_recording(path, tmp_path / "out.esl.zst", redact).received == 0
