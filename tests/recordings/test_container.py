"""The container: cut, flipped, read by the one library or the other or none, by Zstandard's own tool, by an independent
reader of the seek table."""

from __future__ import annotations

import io
import random
import shutil
import struct
import subprocess
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recordings_support import CONNECTION, HAS_LIBRARY, LEVELS, Tape, event, read, shown, small_tape
from support import capture, examples

from eslcodec import DamagedRecording, ESLError, RecordingError, _zstd, limits, zst


def without_library(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(_zstd, "library", lambda: None)


# What is written is read


@pytest.mark.parametrize("level", LEVELS)
def test_a_file_gives_what_was_put_into_it(level: int) -> None:
    tape = small_tape(level)
    chunks, reader = read(tape.bytes())
    assert (reader.closed, reader.torn, reader.damage) == (True, 0, [])
    assert b"".join(chunk[7] for chunk in chunks) == tape.received
    _, first, *_ = chunks
    assert first[:4] == (zst.STREAM, CONNECTION, 0, 1_790_000_000 * 10**9)
    assert first[8] == [(0, 100), (1000, 200)]
    assert first[9] == [zst.Sent(500, 100, b"api status\n\n"), zst.Sent(700, 300, b"exit\n\n")]
    assert [eval(chunk[10])["note"] for chunk in chunks if chunk[0] == zst.NOTE] == ["opened", "closed", "stopped"]


@pytest.mark.parametrize("level", LEVELS)
def test_a_pipe_will_do(level: int) -> None:
    class Pipe(io.RawIOBase):
        def __init__(self, data: bytes) -> None:
            self.left = data

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            data, self.left = self.left[:7], self.left[7:]
            buffer[: len(data)] = data
            return len(data)

    tape = small_tape(level)
    for options in ({}, {"data": False}, {"check": False}):
        reader = zst.read_chunks(Pipe(tape.bytes()), **options)  # type: ignore[arg-type]
        assert [chunk.length for chunk in reader] == [shown[6] for shown in read(tape.bytes())[0]]
        assert reader.closed


def test_heads_alone_are_read_without_their_data() -> None:
    class Counted(io.BytesIO):
        count = 0

        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            self.count += len(data)
            return data

        read1 = read  # type: ignore[assignment]

    tape = Tape()
    for _ in range(20):
        tape.chunk(bytes(1 << 20))
    file = Counted(tape.bytes())
    chunks = list(zst.read_chunks(file, data=False))
    assert len(chunks) == 20
    assert sum(chunk.stored for chunk in chunks) == sum(size for size, _ in tape.sizes)
    with pytest.raises(ValueError, match="only the heads"):
        _ = chunks[0].data


def test_files_put_together_are_a_file() -> None:
    tape = small_tape()
    chunks, reader = read(tape.bytes() + tape.bytes())
    assert len(chunks) == 2 * len(tape.ends())
    assert reader.closed


def test_no_bytes_are_no_chunks() -> None:
    chunks, reader = read(b"")
    assert (chunks, reader.closed, reader.torn) == ([], False, 0)


@examples(60)
@given(st.data())
def test_whatever_is_packed_comes_back(data: st.DataObject) -> None:
    u63, u32 = st.integers(0, 2**63 - 1), st.integers(0, 2**32 - 1)
    content = data.draw(st.binary(max_size=400))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=4)))
    reads = [
        (data.draw(u32), end - begin)
        for begin, end in zip([0, *cuts], [*cuts, len(content)], strict=True)
        if data.draw(st.just(True))
    ]
    sends = data.draw(st.lists(st.tuples(u32, st.integers(0, len(content)), st.binary(max_size=50)), max_size=3))
    first = data.draw(st.none() | st.integers(0, len(content) - 1)) if content else None
    when = {name: data.draw(u63) for name in ("connection", "offset", "wall_ns", "mono_ns")}
    table = b"".join(struct.pack("<II", *each) for each in reads)
    packed = zst.pack_stream(
        zst.Compressor(data.draw(st.integers(0, 3))), first=first, reads=table, sends=sends, data=content, **when
    )
    [chunk], _ = read(b"".join(packed))
    assert chunk[1:5] == tuple(when.values())
    assert chunk[5:] == (first, len(content), content, reads, [zst.Sent(*sent) for sent in sends], "None")


# Damage


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("closed", [True, False])
def test_a_cut_at_any_byte_gives_exactly_the_whole_chunks_before(level: int, closed: bool) -> None:
    tape = small_tape(level)
    whole = tape.bytes(closed)
    chunks, _ = read(whole)
    ends = tape.ends()
    for cut in range(len(whole)):
        before = sum(end <= cut for end in ends)
        for options in ({}, {"damaged": "skip"}, {"data": False}):
            reader = zst.read_chunks(io.BytesIO(whole[:cut]), **options)  # type: ignore[arg-type]
            found = list(reader)
            assert len(found) == before, (cut, options)
            assert reader.torn == cut - (ends[before - 1] if before else 0), (cut, options)
            assert not reader.closed
        assert read(whole[:cut])[0] == chunks[:before], cut


def damaged_in_any_place(whole: bytes, chunks: list[Any], places: range | list[int], rng: random.Random) -> None:
    """Flip a bit here and there: all that comes out is what was written.

    At most one chunk is lost, and without a seek table the connections behind it.
    """
    listed = whole.endswith(struct.pack("<I", zst.SEEKABLE_MAGIC))
    for place in places:
        flipped = bytearray(whole)
        flipped[place] ^= 1 << rng.randrange(8)
        data = bytes(flipped)
        found = []
        reader = zst.read_chunks(io.BytesIO(data), "rec")
        raised = None
        try:
            for chunk in reader:
                found.append(shown(chunk))
        except DamagedRecording as error:
            raised = error
        if raised is not None:
            with pytest.raises(DamagedRecording) as again:
                next(reader)
            assert again.value is not raised
            assert str(again.value) == str(raised)
        assert found == chunks[: len(found)], place
        assert len(found) == len(chunks) or raised or reader.torn, place
        rest, reader = read(data, damaged="skip")
        assert all(chunk in chunks for chunk in rest), place
        lost = [chunk for chunk in chunks if chunk not in rest]
        if listed:
            assert len(lost) <= 1 or place >= len(whole) - 9, place  # in the end of the table
        else:
            assert all(chunk[1] != chunks[0][1] for chunk in lost[1:]), place
        assert bool(reader.damage) == bool(raised), place


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("closed", [True, False])
def test_a_flip_anywhere_never_gives_a_wrong_byte_or_time(level: int, closed: bool) -> None:
    tape = small_tape(level)
    whole = tape.bytes(closed)
    damaged_in_any_place(whole, read(whole)[0], range(len(whole)), random.Random(level))


@pytest.mark.heavy
@pytest.mark.parametrize("level", LEVELS)
def test_flips_in_a_real_stream_never_give_a_wrong_byte(level: int) -> None:
    tape = Tape(level)
    data = capture("api")
    for at in range(0, len(data), 9000):
        tape.chunk(data[at : at + 9000])
    whole = tape.bytes()
    rng = random.Random(level)
    damaged_in_any_place(whole, read(whole)[0], rng.choices(range(len(whole)), k=300), rng)


def test_an_end_of_zeros_is_a_torn_end() -> None:
    """What a power cut leaves: the file's size was written, its end was not."""
    tape = small_tape()
    chunks, _ = read(tape.bytes(False))
    for keep in (0, 4, 60):
        last = len(tape.bytes(False)) - (tape.ends()[-1] - tape.ends()[-2])
        found, reader = read(tape.bytes(False)[: last + keep] + bytes(4096 - keep))
        assert found == chunks[:-1]
        assert reader.torn == 4096


def test_a_damaged_file_without_an_end_says_where_it_is_damaged() -> None:
    tape = small_tape()
    data = bytearray(tape.bytes())
    place = tape.ends()[1]
    data[place + 30] ^= 1
    with pytest.raises(DamagedRecording, match=rf"^rec, byte {place}: read bytes with checksum .*, expected") as caught:
        read(bytes(data))
    assert (caught.value.path, caught.value.position) == ("rec", place)


def test_received_bytes_that_look_like_a_chunk_are_none() -> None:
    """After damage the next chunk is looked for: what somebody put into a header or a body must not be taken for it."""
    forged = Tape()
    forged.open(99)
    forged.chunk(event(666))
    tape = Tape()
    tape.chunk(event(1))
    tape.chunk(event(2) + forged.bytes(False) + forged.bytes())
    tape.chunk(event(3))
    data = bytearray(tape.bytes())
    data[tape.ends()[0]] ^= 1  # the magic number of the second
    found, reader = read(bytes(data), damaged="skip")
    assert [chunk[7] for chunk in found] == [event(1), event(3)]
    assert len(reader.damage) == 1


def test_without_a_table_only_a_connection_that_is_known_is_believed() -> None:
    """The head of the first chunk is destroyed: nobody knows its connection, and nothing is believed. It is said."""
    tape = Tape()
    tape.chunk(event(1))
    tape.chunk(event(2))
    data = bytearray(tape.bytes(closed=False))
    data[0] ^= 1
    found, _ = read(bytes(data), damaged="skip")
    assert [chunk[7] for chunk in found] == [event(2)]  # the rest of the head says which it is
    data[8] ^= 1
    with pytest.raises(DamagedRecording):
        read(bytes(data))
    found, reader = read(bytes(data), damaged="skip")
    assert (found, len(reader.damage), reader.torn) == ([], 1, 0)
    data = bytearray(tape.bytes())
    data[0] ^= 1
    data[8] ^= 1
    found, _ = read(bytes(data), damaged="skip")
    assert [chunk[7] for chunk in found] == [event(2)]  # the table says where it is


def sealed(head: bytes, *, magic: bytes = b"ESLR", data: bytes = b"") -> bytes:
    content = magic + struct.pack("<I", zlib.crc32(data, zlib.crc32(head))) + head
    return struct.pack("<II", zst.CHUNK_MAGIC, len(content)) + content


HEAD = struct.Struct("<BBHQQQQIIIII")
STREAM = {"version": 1, "kind": 0, "flags": 0, "connection": CONNECTION, "offset": 0, "wall": 0, "mono": 0}
COUNTS = {"length": 5, "first": 0, "reads": 0, "sends": 0, "note": 0}


@pytest.mark.parametrize(
    ("changes", "tables", "why"),
    [
        ({"version": 2}, b"", "version 2"),
        ({"kind": 1}, b"", "kind 1"),
        ({"flags": 1}, b"", "flags 1"),
        ({"first": 5}, b"", "begins at 5 of 5"),
        ({"reads": 1}, b"", "for its tables"),
        ({"reads": 1}, struct.pack("<II", 0, 4), "whose reads have 4"),
        ({"reads": 2**32 - 1}, b"", "for its tables"),
        ({"sends": 1}, struct.pack("<III", 0, 6, 0), "sent after 6 of 5"),
        ({"sends": 1}, struct.pack("<III", 0, 0, 1), "for what it holds"),
        ({"sends": 1}, struct.pack("<III", 0, 0, 2**32 - 1), "for what it holds"),
        ({"note": 2}, b"{}", "a note of 2"),
        ({"kind": 2, "length": 0, "first": 2**32 - 1}, b"", "a note of 0"),
        ({"kind": 2, "note": 2}, b"{}", "begins at|a note of 2"),
        ({"kind": 2, "length": 0, "first": 2**32 - 1, "note": 2}, b"[]", "is a list"),
        ({"kind": 2, "length": 0, "first": 2**32 - 1, "note": 4}, b"{{{{", "no JSON"),
        ({"kind": 2, "length": 0, "first": 2**32 - 1, "note": 1 << 17}, b"[" * (1 << 17), "no JSON"),
        ({"kind": 2, "length": 0, "first": 2**32 - 1, "note": 1}, b"\xff", "no JSON"),
        ({}, b"x", "for what it holds"),
        ({"length": limits.RECORD_CHUNK_BYTES + 1}, b"", "expected no more than"),
        ({"length": 6}, b"", "Zstandard frame of 5 bytes after the head of a chunk of 6"),
    ],
)
def test_a_head_must_be_explained_to_the_byte(changes: dict[str, int], tables: bytes, why: str) -> None:
    """All of these have a right checksum: somebody made them."""
    values = {**STREAM, **COUNTS, **changes}
    data = b"hello" if values["kind"] == 0 else b""
    frame = zst.Compressor(0).frame(data) if values["kind"] == 0 else b""
    bad = sealed(HEAD.pack(*values.values()) + tables, data=data) + frame
    good = Tape()
    good.chunk(b"x")
    with pytest.raises(DamagedRecording, match=why):
        read(bad + good.bytes(False))
    found, _ = read(bad + good.bytes(False), damaged="skip")
    assert [chunk[7] for chunk in found] == [b"x"]
    assert read(bad)[1].torn == len(bad)


def test_nothing_is_allocated_because_a_head_says_that_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class File(io.BytesIO):
        def read1(self, size: int = -1) -> bytes:
            asked.append(size)
            return super().read1(size)

    head = struct.pack("<II", zst.CHUNK_MAGIC, limits.RECORD_HEAD_BYTES)
    assert list(zst.read_chunks(File(head + b"ESLR" + bytes(100)))) == []
    assert max(asked) <= limits.RECORD_READ_BYTES_MAX


def frame_of(*blocks: tuple[int, int, bytes], size: int = 5, descriptor: int = 0xA0) -> bytes:
    """A Zstandard frame by hand: of each block type, size and content."""
    packed = struct.pack("<IBI", _zstd.FRAME_MAGIC, descriptor, size)
    for number, (kind, length, content) in enumerate(blocks):
        packed += (length << 3 | kind << 1 | (number == len(blocks) - 1)).to_bytes(3, "little") + content
    return packed


@pytest.mark.parametrize(
    ("frame", "data"),
    [
        (frame_of((0, 2, b"he"), (0, 3, b"llo")), b"hello"),
        (frame_of((1, 5, b"x")), b"xxxxx"),
        (frame_of((0, 0, b""), (1, 4, b"x"), (0, 1, b"y")), b"xxxxy"),
        (frame_of((0, 5, b"hello")).replace(b"\xa0", b"\xa4", 1) + b"\0\0\0\0", None),  # a checksum, which ours is for
        (frame_of((3, 5, b"hello")), None),
        (frame_of((0, 5, b"hello"), descriptor=0xA1), None),  # a dictionary
        (frame_of((0, 4, b"hell")), None),
        (frame_of((0, 6, b"hello!")), None),
        (frame_of((0, (1 << 17) + 1, b"")), None),
        (frame_of(*[(1, 1 << 17, b"x")] * 200), None),
        (struct.pack("<IB", _zstd.FRAME_MAGIC, 0x00) + b"\x00" + bytes(10), None),  # no content size
        (b"\x28\xb5\x2f\xfe" + bytes(20), None),
    ],
)
def test_frames_are_read_as_rfc_8878_says(frame: bytes, data: bytes | None, monkeypatch: pytest.MonkeyPatch) -> None:
    without_library(monkeypatch)
    head = sealed(HEAD.pack(*{**STREAM, **COUNTS}.values()), data=data or b"hello")
    good = Tape()
    good.chunk(b"x")
    found, reader = read(head + frame + good.bytes(False), damaged="skip")
    if frame[4] == 0xA4:
        assert found[0][7] == b"hello"
    elif data is None:
        assert [chunk[7] for chunk in found] == [b"x"]
        assert len(reader.damage) == 1
    else:
        assert [chunk[7] for chunk in found] == [data, b"x"]


# Libraries


@pytest.mark.skipif(not HAS_LIBRARY, reason="no Zstandard library")
def test_without_a_library_an_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    tape = small_tape(1)
    without_library(monkeypatch)
    reader = zst.read_chunks(io.BytesIO(tape.bytes()), "day.esl.zst")
    for _ in range(2):
        with pytest.raises(RecordingError, match=r"^day\.esl\.zst is compressed .*pip install 'eslcodec\[record\]'$"):
            list(reader)
    assert not isinstance(reader._error, DamagedRecording)


def test_without_a_library_raw_blocks_are_written_and_read(monkeypatch: pytest.MonkeyPatch) -> None:
    without_library(monkeypatch)
    tape = small_tape(1)
    assert not zst.Compressor(1).compresses
    assert b"".join(chunk[7] for chunk in read(tape.bytes())[0]) == tape.received


@pytest.mark.skipif(not HAS_LIBRARY, reason="no Zstandard library")
def test_a_library_reads_what_was_written_without_and_the_other_way_round() -> None:
    library = _zstd.library()
    for content in (b"", b"x", bytes(300_000), random.Random(1).randbytes(300_000)):
        raw = _zstd.raw_frame(content)
        assert library.decompress(raw) == content
        assert library.get_frame_info(raw).decompressed_size == len(content)
        assert _zstd.unpack_frame(raw, len(content)) == content
        packed = zst.Compressor(1).frame(content)
        assert library.get_frame_info(packed).decompressed_size == len(content)
        assert _zstd.unpack_frame(packed, len(content)) == content


@pytest.mark.skipif(not HAS_LIBRARY, reason="no Zstandard library")
def test_a_bomb_is_not_unpacked() -> None:
    """A frame that says 5 bytes and has 25 MB."""
    library = _zstd.library()
    bomb = library.ZstdCompressor().compress(bytes(25 << 20), library.ZstdCompressor.FLUSH_FRAME)
    head = sealed(HEAD.pack(*{**STREAM, **COUNTS}.values()), data=b"hello")
    small = frame_of((0, 5, b"hello"))[:9] + bomb[_zstd.frame_head(bomb, 0)[0] :]
    good = Tape()
    good.chunk(b"x")
    for frame in (bomb, small):
        with pytest.raises(DamagedRecording):
            read(head + frame + good.bytes(False))


# Zstandard's own


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("closed", [True, False])
def test_zstd_gives_what_was_received(level: int, closed: bool) -> None:
    zstd = shutil.which("zstd")
    if zstd is None:
        pytest.skip("the tool zstd is not installed")
    tape = small_tape(level)
    done = subprocess.run([zstd, "-dc"], input=tape.bytes(closed), capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == tape.received


def seekable(data: bytes) -> list[tuple[int, int, int]]:
    """The seek table of a file as Zstandard describes it: of each frame where it begins, its bytes, and its content's.

    Written from zstd_seekable_compression_format.md, without a look at what it tests.
    """
    number, descriptor, magic = struct.unpack("<IBI", data[-9:])
    assert magic == 0x8F92EAB1
    assert descriptor & 0b0111_1111 == 0  # reserved bits; the highest says that entries have checksums
    size = 12 if descriptor & 0x80 else 8
    table = data[-9 - number * size - 8 :]
    skippable, length = struct.unpack_from("<II", table)
    assert skippable == 0x184D2A5E
    assert length == number * size + 9
    frames, at = [], 0
    for entry in range(number):
        packed, content = struct.unpack_from("<II", table, 8 + entry * size)
        frames.append((at, packed, content))
        at += packed
    assert at + len(table) == len(data)
    return frames


@pytest.mark.parametrize("level", LEVELS)
def test_the_seek_table_is_that_of_the_seekable_format(level: int) -> None:
    tape = small_tape(level)
    data = tape.bytes()
    content = b""
    for at, size, length in seekable(data):
        frame = data[at : at + size]
        if not length:
            assert frame.startswith(struct.pack("<II", 0x184D2A5C, size - 8))
            continue
        unpacked = _zstd.unpack_frame(frame, length)
        assert len(unpacked) == length
        content += unpacked
    assert content == tape.received


@pytest.mark.parametrize("change", [b"entry", b"count", b"magic", b"descriptor"])
def test_a_seek_table_that_is_wrong_is_damage_where_something_follows(change: bytes) -> None:
    tape = small_tape()
    data = bytearray(tape.bytes())
    data[{b"entry": -12, b"count": -9, b"magic": -1, b"descriptor": -5}[change]] ^= 1
    more = Tape()
    more.open(CONNECTION)
    more.chunk(b"x")
    with pytest.raises(ESLError, match="seek table"):
        read(bytes(data) + more.bytes())
    found, reader = read(bytes(data))
    assert len(found) == len(tape.ends())
    assert (reader.closed, reader.torn > 0) == (False, True)


@pytest.mark.skipif(not HAS_LIBRARY, reason="no Zstandard library")
def test_frames_that_zstd_made_are_read(tmp_path: Path) -> None:
    """Another library, with checksums that ours does not write, at any level."""
    zstd = shutil.which("zstd")
    if zstd is None:
        pytest.skip("the tool zstd is not installed")
    data = capture("sip_plain")[:400_000]
    (tmp_path / "a").write_bytes(data)
    values = {**STREAM, **COUNTS, "length": len(data)}
    for level in ("-1", "-19", "--fast=5"):
        done = subprocess.run([zstd, "-qc", level, str(tmp_path / "a")], capture_output=True, timeout=60, check=True)
        [chunk], reader = read(sealed(HEAD.pack(*values.values()), data=data) + done.stdout)
        assert (chunk[7], reader.torn) == (data, 0)
