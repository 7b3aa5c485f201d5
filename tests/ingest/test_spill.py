"""A recording is read while it is written, from any place on, and nothing is read twice or left out."""

from __future__ import annotations

import itertools
import os
import stat
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorder_support import GREETING, recorder_of
from recordings_support import BEGIN, CONNECTION, Tape, event
from support import examples, part

COUNT = 12
NAMES = [f"20261130T01483{number}Z-000001" for number in range(4)]


def spill(esl: ModuleType, folder: Path, after: Any = None) -> Any:
    return part(esl, "ingest._spill").Spill(folder, after)


def path_of(folder: Path, number: int) -> Path:
    return folder / f"{NAMES[number]}.esl.zst"


def told(entries: list[Any]) -> list[Any]:
    """Numbers of events, and what notes say."""
    return [int(one.event["Event-Sequence"]) if one.event is not None else one.note["note"] for one in entries]


def all_of(reader: Any, most: int = 1000) -> list[Any]:
    found = []
    while some := reader.read(most):
        assert len(some) <= most
        found += some
    return found


def tapes(cuts: list[int], files: list[int], notes: list[int], ends: list[int]) -> tuple[list[Tape], list[Any]]:
    """A stream in so many pieces, which go on in another file, or on another connection, and what is in them."""
    made, want, number = [Tape()], [], 0
    tape = made[0]
    tape.note(note="opened", peer=["fs1", 8021])
    want.append("opened")
    stream, at, numbers = GREETING, 0, []
    for index, cut in enumerate(cuts):
        if index in files and len(made) < len(NAMES):
            made.append(Tape(begin=tape.now))
            made[-1].connection, made[-1].offset, made[-1].scanner = tape.connection, tape.offset, tape.scanner
            tape = made[-1]
        if index in notes:
            tape.note(note="gap")
            want.append("gap")
        if index in ends:  # in the middle of an event, which is never whole then
            stream, at, numbers = GREETING, 0, []
            tape.open(tape.connection + 1)
            tape.note(note="opened", peer=["fs1", 8021])
            want.append("opened")
        while len(stream) < at + cut:
            stream += event(number, number % 5 * 40)
            numbers.append((len(stream), number))
            number += 1
        tape.chunk(stream[at : at + cut // 3], stream[at + cut // 3 : at + cut])
        at += cut
        want += [which for end, which in numbers if end <= at]
        numbers = [(end, which) for end, which in numbers if end > at]
    return made, want


streams = st.tuples(
    st.lists(st.integers(3, 500), min_size=1, max_size=12),
    *[st.lists(st.integers(1, 11), max_size=3) for _ in range(3)],
)


@examples(60)
@given(stream=streams, steps=st.lists(st.integers(1, 700), max_size=40), most=st.integers(1, 5))
def test_what_is_written_bit_by_bit_is_read_once_and_in_order(
    esl: ModuleType, stream: Any, steps: list[int], most: int
) -> None:
    made, want = tapes(*stream)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "peer"
        reader = spill(esl, folder)
        assert reader.read() == []
        folder.mkdir()
        found = []
        sizes = iter(steps)
        for number, tape in enumerate(made):
            data = tape.bytes(closed=number % 2 == 0)  # every other one was killed
            begin, end = 0, 0  # it is there and empty first
            while begin < len(data):
                with path_of(folder, number).open("ab") as file:
                    file.write(data[begin:end])
                found += reader.read(most)
                begin, end = end, end + next(sizes, 1 << 20)
        found += all_of(reader, most)
        assert told(found) == want
        places = [entry.place for entry in found]
        assert places == sorted(set(places))
        assert reader.damage == 0
        for at, place in enumerate(places):
            again = spill(esl, folder, part(esl, "ingest.contract").Place.parse(str(place)))
            assert told(all_of(again)) == want[at + 1 :], place
            assert again.missed == 0
            assert told([reader.has(place)]) == [want[at]]
            if want[at] not in ("gap", "opened"):
                assert reader.has(place._replace(offset=place.offset - 1)) is None
        end = spill(esl, folder)
        end.skip()
        assert end.read() == []


def test_each_event_has_the_time_of_its_last_byte(esl: ModuleType, tmp_path: Path) -> None:
    tape = Tape()
    data = GREETING + event(1) + event(2)
    tape.chunk(data[:40], data[40:-1], data[-1:], us=250)
    tape.note(note="closed", why="")
    tape.write(path_of(tmp_path, 0))
    entries = spill(esl, tmp_path).read()
    assert [round((entry.received - BEGIN) * 1e6) for entry in entries] == [250, 500, 1_000_000]
    assert [entry.place.offset for entry in entries] == [len(data) - len(event(2)), len(data), len(data)]
    assert {entry.place.connection for entry in entries} == {CONNECTION}


def test_a_torn_end_is_left_when_another_file_begins(esl: ModuleType, tmp_path: Path) -> None:
    tape, other = Tape(), Tape()
    tape.chunk(GREETING + event(1))
    tape.chunk(event(2))
    path_of(tmp_path, 0).write_bytes(tape.bytes(closed=False)[:-3])
    reader = spill(esl, tmp_path)
    assert told(reader.read()) == [1]
    assert reader.read() == []
    other.open(7)
    other.chunk(GREETING + event(3))
    other.write(path_of(tmp_path, 1))
    assert told(reader.read()) == [3]


@pytest.mark.skipif(sys.platform == "win32", reason="no locks")
def test_a_file_that_is_still_written_is_not_left_for_a_later_one(esl: ModuleType, tmp_path: Path) -> None:
    import fcntl

    tape, other = Tape(), Tape()
    tape.chunk(GREETING + event(1))
    other.open(7)
    other.chunk(GREETING + event(3))
    tape.write(path_of(tmp_path, 0), closed=False)
    other.write(path_of(tmp_path, 1))
    reader = spill(esl, tmp_path)
    with path_of(tmp_path, 0).open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert told(all_of(reader)) == [1]
        before = len(tape.bytes(closed=False))
        tape.chunk(event(2))
        file.write(tape.bytes(closed=False)[before:])
        file.flush()
        assert told(all_of(reader)) == [2]
    assert told(all_of(reader)) == [3]


def test_a_file_that_was_deleted_is_counted(esl: ModuleType, tmp_path: Path) -> None:
    for number in range(3):
        tape = Tape()
        tape.open(number + 1)
        tape.chunk(GREETING + event(number))
        tape.write(path_of(tmp_path, number))
    reader = spill(esl, tmp_path)
    (first,) = reader.read(1)
    path_of(tmp_path, 0).unlink()
    assert told(all_of(reader)) == [1, 2]
    assert reader.missed == 1
    again = spill(esl, tmp_path, first.place)
    assert told(all_of(again)) == [1, 2]
    assert again.missed == 1


def test_damage_is_passed_over_and_counted(esl: ModuleType, tmp_path: Path) -> None:
    tape = Tape()
    for number in range(3):
        tape.chunk((GREETING if number == 0 else b"") + event(number))
    data = bytearray(tape.bytes())
    data[tape.ends()[1] - 5] ^= 1
    path_of(tmp_path, 0).write_bytes(data)
    reader = spill(esl, tmp_path)
    assert told(all_of(reader)) == [0, 2]
    assert reader.damage == 1


def test_what_a_recorder_wrote_is_read(esl: ModuleType, tmp_path: Path) -> None:
    with recorder_of(esl, tmp_path, chunk_seconds=0.01) as recorder:
        recorder.opened(("fs1", 8021))
        for number in range(COUNT):
            recorder.received((GREETING if number == 0 else b"") + event(number))
    (folder,) = tmp_path.iterdir()
    entries = all_of(spill(esl, folder), 5)
    assert [one for one in told(entries) if isinstance(one, int)] == list(range(COUNT))
    assert told(entries)[0] == "opened"
    assert told(entries)[-1] in ("closed", "stopped")


@pytest.mark.parametrize(
    ("at", "first"), [(0, 0), (0.5, 2), (1, 2), (1.0015, 4), (3.5, 11), (103, 11), (103.0005, 12), (104, None)]
)
def test_what_was_received_from_a_time_on(esl: ModuleType, tmp_path: Path, at: float, first: int | None) -> None:
    """Chunks of three reads, a millisecond apart; each event ends in the read after that in which it began."""
    events = [event(number) for number in range(15)]
    data = GREETING + b"".join(events)
    cuts = [0, *(len(GREETING) + end - 10 for end in itertools.accumulate(map(len, events))), len(data)]
    reads = [data[begin:end] for begin, end in itertools.pairwise(cuts)]
    tape = Tape(begin=BEGIN)
    for begin in range(0, 12, 3):
        tape.chunk(*reads[begin : begin + 3])
    tape.write(path_of(tmp_path, 0))
    other = Tape(begin=BEGIN + 103)
    other.connection, other.offset, other.scanner = tape.connection, tape.offset, tape.scanner
    other.chunk(*reads[12:])
    other.write(path_of(tmp_path, 1))
    reader = spill(esl, tmp_path)
    reader.since(BEGIN + at)
    entries = all_of(reader)
    assert (told(entries)[0] if entries else None) == first
    everything = all_of(spill(esl, tmp_path))
    assert entries == [entry for entry in everything if entry.received >= BEGIN + at]


# Where the place is kept


def test_a_place_is_kept_whole(esl: ModuleType, tmp_path: Path) -> None:
    module, place = part(esl, "ingest._spill"), part(esl, "ingest.contract").Place
    assert module.kept(tmp_path, "FS1") is None
    for number in range(3):
        kept = module.Kept(place(NAMES[0], number, 7, 1), f"core:{number}")
        module.keep(tmp_path, "FS1", kept)
        assert module.kept(tmp_path, "FS1") == kept
    assert module.kept(tmp_path, "FS2") is None
    assert [path.name for path in tmp_path.iterdir()] == ["FS1.place"]
    if os.name == "posix":
        assert stat.S_IMODE((tmp_path / "FS1.place").stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"place": "a:1", "id": "x"}', '{"place": 5, "id": "x"}', "\0"])
def test_what_is_no_place_is_refused(esl: ModuleType, tmp_path: Path, text: str) -> None:
    (tmp_path / "FS1.place").write_text(text)
    with pytest.raises(ValueError, match="read no place in a recording"):
        part(esl, "ingest._spill").kept(tmp_path, "FS1")


def test_a_place_that_cannot_be_written_leaves_the_last_one(
    esl: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, place = part(esl, "ingest._spill"), part(esl, "ingest.contract").Place
    first = module.Kept(place(NAMES[0], 1, 7, 1), "core:1")
    module.keep(tmp_path, "FS1", first)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        module.keep(tmp_path, "FS1", first._replace(id="core:2"))
    assert module.kept(tmp_path, "FS1") == first
