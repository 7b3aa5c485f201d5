"""`Recording`: files and folders, whatever packed them; from a time or a number on; what is torn, damaged, missing."""

from __future__ import annotations

import gzip
import io
import os
import sys
import tracemalloc
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from recordings_support import BEGIN, CONNECTION, HAS_LIBRARY, LEVELS, Tape, event, small_tape
from support import AUTH, capture, part

from eslcodec import _zstd


def recording(esl: Any, path: Any, **options: Any) -> Any:
    return part(esl, "recordings").Recording(path, **options)


def numbers(messages: Any) -> list[int]:
    return [message.sequence for message in messages if message.get("Event-Sequence") is not None]


def up_to_error(messages: Iterator[Any]) -> tuple[list[Any], Exception | None]:
    """What comes out, and what is raised then."""
    found = []
    try:
        for message in messages:
            found.append(message)
    except Exception as error:
        return found, error
    return found, None


def tape_of(count: int, level: int = 0, per_chunk: int = 5, begin: float = BEGIN) -> Tape:
    """Events 0 to `count`, so many a chunk, a second each; none of the chunks ends with an event."""
    tape = Tape(level, begin)
    stream = b"".join(event(number) for number in range(count))
    size = len(event(10)) * per_chunk + 13
    for at in range(0, len(stream), size):
        piece = stream[at : at + size]
        tape.chunk(*(piece[i : i + 200] for i in range(0, len(piece), 200)), us=100_000)
    return tape


# What is opened


@pytest.mark.parametrize("level", LEVELS)
def test_a_recorded_stream_gives_the_messages_of_the_stream(esl: ModuleType, level: int, tmp_path: Path) -> None:
    data = capture("sip_plain")
    tape = Tape(level)
    for at in range(0, len(data), 100_003):
        tape.chunk(data[at : at + 100_003])
    decoder = esl.Decoder()
    decoder.feed(data)
    found = list(recording(esl, tape.write(tmp_path / "a.esl.zst")).messages())
    assert found == list(decoder)
    assert {type(message) for message in found} >= {esl.Event, esl.CommandReply}


def packed(kind: str, data: bytes) -> bytes:
    if kind == ".gz":
        return gzip.compress(data)
    if kind == ".xz":
        lzma = pytest.importorskip("lzma")
        return bytes(lzma.compress(data))
    if kind == ".zst":
        if not HAS_LIBRARY:
            pytest.skip("no Zstandard library")
        return bytes(_zstd.library().compress(data))
    return data


@pytest.mark.parametrize("kind", ["", ".gz", ".xz", ".zst"])
def test_a_plain_stream_is_read_whatever_packed_it(esl: ModuleType, kind: str, tmp_path: Path) -> None:
    data = capture("special_plain")
    decoder = esl.Decoder()
    decoder.feed(data)
    whole = list(decoder)
    path = tmp_path / f"a.esl{kind}"
    path.write_bytes(packed(kind, data))
    nameless = tmp_path / "nameless"
    nameless.write_bytes(packed(kind, data))
    for source in (path, str(path), nameless, io.BytesIO(packed(kind, data)), path.open("rb")):
        assert list(part(esl, "recordings").iter_messages(source)) == whole
        if hasattr(source, "close"):
            source.close()
    chunks = list(recording(esl, path).chunks())
    assert b"".join(chunk.data for chunk in chunks) == data
    assert (chunks[0].connection, chunks[0].wall_ns, chunks[0].reads, chunks[0].first) == (0, 0, [], 0)


def test_a_pipe_is_read(esl: ModuleType) -> None:
    for data in (small_tape().bytes(), AUTH + event(1)):
        read_end, write_end = os.pipe()
        os.write(write_end, data)
        os.close(write_end)
        with open(read_end, "rb", buffering=0) as pipe:
            assert next(recording(esl, pipe).messages()).content_type == "auth/request"


def test_what_is_there_comes_before_the_stream_ends(esl: ModuleType) -> None:
    read_end, write_end = os.pipe()
    with open(read_end, "rb") as pipe, open(write_end, "wb", buffering=0) as writer:
        messages = recording(esl, pipe).messages()
        writer.write(AUTH)
        assert next(messages).content_type == "auth/request"
        writer.write(event(3))
        assert next(messages).sequence == 3


@pytest.mark.parametrize("kind", [".gz", ".xz", ".zst"])
def test_a_packed_stream_that_is_cut_is_damaged(esl: ModuleType, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a"
    data = packed(kind, capture("special_plain") * 3)
    path.write_bytes(data[: len(data) // 2])
    found, error = up_to_error(recording(esl, path).messages())
    assert isinstance(error, part(esl, "errors").DamagedRecording)
    assert "cannot be unpacked" in str(error)
    skipping = recording(esl, path, damaged="skip")
    assert list(skipping.messages()) == found
    assert len(skipping.damage) == 1


@pytest.mark.parametrize(("module", "kind"), [("gzip", ".gz"), ("lzma", ".xz")])
def test_a_missing_module_is_named(esl: ModuleType, module: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = packed(kind, AUTH)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(part(esl, "errors").RecordingError, match=f"built without {module}"):
        list(recording(esl, io.BytesIO(data)).messages())


def test_a_missing_library_is_named(esl: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    data = packed(".zst", AUTH)
    monkeypatch.setattr(part(esl, "_zstd"), "library", lambda: None)
    with pytest.raises(part(esl, "errors").RecordingError, match=r"eslcodec\[record\]"):
        list(recording(esl, io.BytesIO(data)).messages())


def test_what_is_not_there_is_an_error_at_once(esl: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        recording(esl, tmp_path / "none")
    with pytest.raises(ValueError, match="expected 'raise' or 'skip'"):
        recording(esl, tmp_path, damaged="ignore")
    assert list(recording(esl, tmp_path).messages()) == []


def test_a_file_whose_name_says_zst_is_never_taken_for_a_plain_stream(esl: ModuleType, tmp_path: Path) -> None:
    """Else a damaged beginning would give a header block with a chunk's head in it."""
    whole = small_tape().bytes()
    for place in range(16):
        for bit in range(8):
            data = bytearray(whole)
            data[place] ^= 1 << bit
            path = tmp_path / "a.esl.zst"
            path.write_bytes(data)
            with pytest.raises(part(esl, "errors").RecordingError):
                list(recording(esl, path).messages())
            nameless = io.BytesIO(bytes(data))
            with pytest.raises(part(esl, "errors").RecordingError):
                list(recording(esl, nameless).messages())


# A stream without times


def test_an_unfinished_end_of_a_plain_stream_is_an_error(esl: ModuleType) -> None:
    data = AUTH + event(1)[:-3]
    with pytest.raises(part(esl, "errors").IncompleteFrame):
        list(recording(esl, io.BytesIO(data)).messages())
    skipping = recording(esl, io.BytesIO(data), damaged="skip")
    assert len(list(skipping.messages())) == 1
    assert skipping.dropped == len(event(1)) - 3


def test_what_is_no_protocol_is_an_error_behind_what_is(esl: ModuleType) -> None:
    data = event(1) + b"Content-Length: x\n\n" + event(2)
    with pytest.raises(part(esl, "errors").InvalidContentLength):
        list(recording(esl, io.BytesIO(data)).messages())
    assert numbers(recording(esl, io.BytesIO(data), damaged="skip").messages()) == [1]


def test_times_need_a_recording_with_times(esl: ModuleType) -> None:
    with pytest.raises(part(esl, "errors").RecordingError, match="has no times"):
        list(recording(esl, io.BytesIO(AUTH)).messages(since=0))


# Connections, files, folders


def test_a_stream_goes_on_over_files(esl: ModuleType, tmp_path: Path) -> None:
    data = b"".join(event(number) for number in range(40))
    one, two = Tape(), Tape(begin=BEGIN + 100)
    one.chunk(data[:1000])
    two.offset, two.scanner = 1000, one.scanner
    two.chunk(data[1000:])
    one.write(tmp_path / "fs1_8021" / "20260921T000000Z-1.esl.zst")
    two.write(tmp_path / "fs1_8021" / "20260921T000000Z-2.esl.zst")
    whole = recording(esl, tmp_path)
    assert numbers(whole.messages()) == list(range(40))
    assert whole.dropped == 0


def test_a_clock_that_is_set_back_does_not_turn_a_stream_round(esl: ModuleType, tmp_path: Path) -> None:
    data = b"".join(event(number) for number in range(40))
    one, two = Tape(), Tape(begin=BEGIN - 3600)
    one.chunk(data[:1000])
    two.offset, two.scanner = 1000, one.scanner
    two.chunk(data[1000:])
    one.write(tmp_path / "20260921T010000Z-1.esl.zst")
    two.write(tmp_path / "20260921T000000Z-2.esl.zst")
    assert numbers(recording(esl, tmp_path).messages()) == list(range(40))


def test_another_connection_begins_anew_and_what_was_left_is_counted(esl: ModuleType, tmp_path: Path) -> None:
    tape = Tape()
    tape.chunk(event(1) + event(2)[:-7])
    tape.open(CONNECTION + 1)
    tape.chunk(event(3))
    whole = recording(esl, tape.write(tmp_path / "a.esl.zst"))
    assert numbers(whole.messages()) == [1, 3]
    assert whole.dropped == len(event(2)) - 7


def test_lost_bytes_cost_the_frames_they_were_part_of(esl: ModuleType, tmp_path: Path) -> None:
    data = b"".join(event(number) for number in range(12))
    tape = Tape()
    tape.chunk(data[:300])
    tape.offset += 300
    tape.scanner.scan(data[300:600])
    tape.chunk(data[600:])
    whole = recording(esl, tape.write(tmp_path / "a.esl.zst"))
    found = numbers(whole.messages())
    size = len(event(1))
    assert found == [*range(300 // size), *range(-(-600 // size), 10), *range(10, 12)]
    assert whole.dropped == 300 % size + (-600 % size)


def test_folders_come_one_after_the_other(esl: ModuleType, tmp_path: Path) -> None:
    for host, first in (("b_8021", 10), ("a_8021", 0)):
        for number in (2, 0, 1):
            tape = Tape(begin=BEGIN + number * 60)
            tape.open(CONNECTION + first + number)
            tape.chunk(event(first + number))
            tape.write(tmp_path / host / f"{number}.esl.zst")
    (tmp_path / "a_8021" / "notes.txt").write_text("no recording")
    (tmp_path / "a_8021" / ".hidden.esl.zst").write_text("no recording")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "x.esl").write_bytes(event(99))
    assert numbers(recording(esl, tmp_path).messages()) == [0, 1, 2, 10, 11, 12, 99]


def test_a_torn_file_in_the_midst_of_others_is_no_error(esl: ModuleType, tmp_path: Path) -> None:
    one, two = Tape(), Tape(begin=BEGIN + 60)
    one.chunk(event(1))
    one.chunk(event(2))
    two.open(CONNECTION + 1)
    two.chunk(event(3))
    path = one.write(tmp_path / "1.esl.zst", closed=False)
    path.write_bytes(path.read_bytes()[:-5])
    two.write(tmp_path / "2.esl.zst")
    (tmp_path / "3.esl.zst").write_bytes(b"")  # was just made
    whole = recording(esl, tmp_path)
    assert numbers(whole.messages()) == [1, 3]
    info = whole.info()
    assert (list(info.torn), info.closed, len(info.open_files)) == ([str(path)], False, 2)


# From and until


@pytest.mark.parametrize("level", LEVELS)
def test_messages_of_a_time_are_those_received_then(esl: ModuleType, level: int, tmp_path: Path) -> None:
    tape = tape_of(60, level)
    path = tape.write(tmp_path / "a.esl.zst")
    when: list[tuple[float, int]] = []  # of each event, by a plain count over the table of reads
    ends = []
    total = 0
    for chunk in recording(esl, path).chunks():
        for us, size in chunk.reads:
            total += size
            ends.append((total, chunk.wall_ns // 1000 + us))
    at = 0
    for number in range(60):
        at += len(event(number))
        when.append((next(time for end, time in ends if end >= at), number))
    times = sorted({time for time, _ in when})
    for begin in times[:: len(times) // 9]:
        for end in (None, begin + 1, begin + 400_000, begin + 5_000_000):
            expected = [number for time, number in when if begin <= time and (end is None or time < end)]
            since = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=begin)
            until = None if end is None else since + timedelta(microseconds=end - begin)
            assert numbers(recording(esl, path).messages(since=since, until=until)) == expected, (begin, end)
    assert numbers(recording(esl, path).messages(until=times[3] / 1e6)) == [n for t, n in when if t < times[3]]
    assert numbers(recording(esl, path).messages(since=BEGIN + 10**6)) == []
    with pytest.raises(ValueError, match="expected a datetime with a time zone"):
        recording(esl, path).messages(since=datetime(2026, 1, 1))
    for number in (float("inf"), float("nan")):
        with pytest.raises(ValueError, match=r"until is .*, expected seconds since 1970 or a datetime"):
            recording(esl, path).messages(until=number)


def test_a_message_that_began_before_comes_whole(esl: ModuleType, tmp_path: Path) -> None:
    """It began three chunks and a file before the time that is asked for."""
    long = event(1, 3000)
    one, two = Tape(), Tape(begin=BEGIN + 2)
    one.chunk(event(0) + long[:500])
    one.chunk(long[500:1500])
    two.offset, two.scanner = one.offset, one.scanner
    two.chunk(long[1500:2500])
    two.chunk(long[2500:] + event(2))
    one.write(tmp_path / "1.esl.zst")
    two.write(tmp_path / "2.esl.zst")
    whole = recording(esl, tmp_path)
    for since in range(1, 4):
        assert numbers(whole.messages(since=BEGIN + since)) == [1, 2]


def test_what_does_not_matter_is_not_read(esl: ModuleType, tmp_path: Path) -> None:
    tape = tape_of(60)
    data = bytearray(tape.bytes())
    ends = tape.ends()
    for end in (ends[1], ends[-1]):
        data[end - 1] ^= 1  # the last byte of the data of the second chunk, and of the last
    path = tmp_path / "a.esl.zst"
    path.write_bytes(data)
    found = numbers(recording(esl, path).messages(since=BEGIN + 4, until=BEGIN + 7))
    assert found == list(range(found[0], found[-1] + 1))
    assert len(found) > 10
    with pytest.raises(part(esl, "errors").DamagedRecording):
        list(recording(esl, path).messages(since=BEGIN + 1))


@pytest.mark.parametrize("level", LEVELS)
def test_messages_from_a_number_on(esl: ModuleType, level: int, tmp_path: Path) -> None:
    """Two runs of the switch; numbers that begin anew; the disorder that a switch has."""
    path = tmp_path / "a.esl.zst"
    tape = Tape(level)
    order = [n ^ 5 if n % 64 < 32 else n for n in range(5000, 9096)]
    for at in range(0, len(order), 64):
        tape.chunk(b"".join(event(number) for number in order[at : at + 64]))
    tape.open(CONNECTION + 1)
    for at in range(0, 320, 64):
        tape.chunk(AUTH + b"".join(event(number) for number in range(at, at + 64)))
    tape.write(path)
    everything = [*order, *range(320)]
    for number in (0, 5000, 5003, 6500, 8999, 9090, 9095):
        first = next(index for index, each in enumerate(everything) if each >= number)
        assert numbers(recording(esl, path).messages(sequence=number)) == everything[first:], number
    assert numbers(recording(esl, path).messages(sequence=9096)) == []
    plain = tmp_path / "b.esl"
    plain.write_bytes(tape.received)
    first = everything.index(9000)
    assert numbers(recording(esl, plain).messages(sequence=9000)) == everything[first:]


def test_from_a_number_few_chunks_are_unpacked(
    esl: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tape = Tape()
    for at in range(0, 40_000, 200):
        tape.chunk(b"".join(event(number) for number in range(at, at + 200)))
    path = tape.write(tmp_path / "a.esl.zst")
    unpacked = []
    real = part(esl, "zst").unpack_frame
    monkeypatch.setattr(part(esl, "zst"), "unpack_frame", lambda *args: unpacked.append(1) or real(*args))
    assert next(recording(esl, path).messages(sequence=30_100)).sequence == 30_100
    assert len(unpacked) < 30


# Damage


def test_damage_is_raised_behind_what_is_whole_or_passed_over(esl: ModuleType, tmp_path: Path) -> None:
    tape = tape_of(60)
    data = bytearray(tape.bytes())
    ends = tape.ends()
    data[ends[4] - 50] ^= 1
    path = tmp_path / "a.esl.zst"
    path.write_bytes(data)
    found, error = up_to_error(recording(esl, path).messages())
    assert isinstance(error, part(esl, "errors").DamagedRecording)
    assert error.position == ends[3]
    before = numbers(found)
    assert before == list(range(len(before)))
    skipping = recording(esl, path, damaged="skip")
    rest = numbers(skipping.messages())
    assert rest[: len(before)] == before
    assert rest[len(before) :] == list(range(60))[-(len(rest) - len(before)) :]
    assert len(before) < len(rest) < 60
    assert [error.position for error in skipping.damage] == [ends[3]]
    assert skipping.dropped > 0
    assert [error.position for error in skipping.info(verify=True).damage] == [ends[3]]
    assert skipping.info().damage == []  # nothing was unpacked


# The whole


def test_info_says_what_is_in_it(esl: ModuleType, tmp_path: Path) -> None:
    tape = Tape()
    tape.note(note="opened", peer=["fs1", 8021])
    tape.chunk(event(1), event(2))
    tape.now += 9
    tape.chunk(event(3), event(4), us=20_000_000)
    tape.now += 20
    tape.offset += 50
    tape.chunk(event(5))
    tape.now += 30
    tape.open(CONNECTION + 1)
    tape.chunk(event(6))
    path = tape.write(tmp_path / "fs1_8021" / "a.esl.zst")
    (tmp_path / "b.esl").write_bytes(AUTH)
    whole = recording(esl, tmp_path)
    info = whole.info()
    assert (info.files, info.connections, info.chunks, info.closed) == (2, 3, 4, True)
    assert info.received == sum(len(event(n)) for n in range(1, 7)) + len(AUTH)
    assert info.stored == path.stat().st_size + len(AUTH)
    begin = datetime.fromtimestamp(BEGIN, timezone.utc)
    assert (info.first, info.last) == (begin, begin + timedelta(seconds=62))
    assert [(gap.missing, gap.seconds) for gap in info.gaps] == [(50, 1.0), (None, 31.0)]
    assert info.notes == [(begin, {"note": "opened", "peer": ["fs1", 8021]})]
    assert info.longest_silence == 20.0
    assert (info.torn, info.damage, info.open_files) == ({}, [], [])
    assert recording(esl, path).info(verify=True).chunks == 4
    assert recording(esl, io.BytesIO(path.read_bytes())).info().chunks == 4


def test_repair_leaves_what_is_whole_in_a_closed_file(esl: ModuleType, tmp_path: Path) -> None:
    tape = tape_of(60)
    data = bytearray(tape.bytes(closed=False))
    ends = tape.ends()
    data[ends[4] - 50] ^= 1
    torn = bytes(data[:-20])
    path = tmp_path / "fs_8021" / "a.esl.zst"
    path.parent.mkdir()
    path.write_bytes(torn)
    path.chmod(0o640)
    os.utime(path, (BEGIN, BEGIN))
    good = tape.write(tmp_path / "fs_8021" / "b.esl.zst")
    (tmp_path / "c.esl").write_bytes(AUTH)
    kept = list(recording(esl, path, damaged="skip").messages())
    [repair] = recording(esl, tmp_path).repair()
    assert (repair.path, repair.original) == (str(path), f"{path}.damaged")
    assert Path(repair.original).read_bytes() == torn
    assert (repair.chunks, repair.dropped) == (len(ends) - 2, len(torn) - (ends[-2] - (ends[4] - ends[3])))
    assert list(recording(esl, path).messages()) == kept
    info = recording(esl, path).info(verify=True)
    assert (info.closed, info.damage, info.torn) == (True, [], {})
    assert [note for _, note in info.notes] == [{"note": "repaired", "dropped": repair.dropped}]
    if os.name == "posix":
        assert path.stat().st_mode & 0o777 == 0o640
    assert path.stat().st_mtime == BEGIN  # it expires when it would have
    assert path.read_bytes().startswith(torn[: ends[3]])
    assert sorted(os.listdir(path.parent)) == ["a.esl.zst", "a.esl.zst.damaged", "b.esl.zst"]
    assert recording(esl, tmp_path).repair() == []
    assert good.read_bytes() == tape.bytes()


def test_an_earlier_original_is_not_overwritten(esl: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "a.esl.zst"
    for _ in range(2):
        path.write_bytes(tape_of(20).bytes(closed=False)[:-3])
        assert len(recording(esl, path).repair()) == 1
    assert sorted(os.listdir(tmp_path)) == ["a.esl.zst", "a.esl.zst.damaged", "a.esl.zst.damaged2"]


def test_a_file_of_which_nothing_is_whole_becomes_an_empty_one(esl: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "a.esl.zst"
    path.write_bytes(b"\x5c\x2a")
    [repair] = recording(esl, path).repair()
    assert (repair.chunks, repair.dropped) == (0, 2)
    assert list(recording(esl, path).messages()) == []
    assert recording(esl, path).info().closed


def test_a_file_that_is_being_written_is_left_alone(esl: ModuleType, tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    path = tmp_path / "a.esl.zst"
    path.write_bytes(tape_of(20).bytes(closed=False))
    with path.open("rb") as recorder:
        fcntl.flock(recorder, fcntl.LOCK_EX)
        assert recording(esl, path).repair() == []
    assert len(recording(esl, path).repair()) == 1
    with pytest.raises(ValueError, match="only a path"):
        recording(esl, io.BytesIO()).repair()


def test_a_failed_repair_leaves_all_as_it_was(esl: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.esl.zst"
    path.write_bytes(tape_of(20).bytes(closed=False))
    before = path.read_bytes()

    def refuse(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space left"):
        recording(esl, path).repair()
    assert os.listdir(tmp_path) == ["a.esl.zst"]
    assert path.read_bytes() == before


# Memory


@pytest.mark.parametrize("level", LEVELS)
def test_memory_is_that_of_a_chunk_however_long_it_is(esl: ModuleType, level: int, tmp_path: Path) -> None:
    tape = Tape(level)
    piece = b"".join(event(number, 20_000) for number in range(40))
    path = tmp_path / "a.esl.zst"
    with path.open("wb") as file:  # 40 MB
        for _ in range(50):
            tape.chunk(piece)
            file.write(b"".join(tape.written))
            tape.written.clear()
            tape.received = b""
        file.write(tape.bytes())
    reading: dict[str, Any] = {
        "messages": lambda: recording(esl, path).messages(),
        "until": lambda: recording(esl, path).messages(until=BEGIN + 10**6),
        "chunks": lambda: recording(esl, path).chunks(),
        "from a number": lambda: recording(esl, path).messages(sequence=0),
    }
    for name, read in reading.items():
        tracemalloc.start()
        count = sum(1 for _ in read())
        recording(esl, path).info()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert count == (50 if name == "chunks" else 2000)
        assert peak < 8 << 20, name
