"""The files of a recorder: their names, who may read them, when a new one begins, which are deleted, the gap before."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from recorder_support import (
    GREETING,
    SECOND,
    Clock,
    bytes_in,
    chunks_in,
    files_in,
    is_closed,
    notes_in,
    recorder_of,
)
from shells import until
from support import part

PEER = ("10.0.0.1", 8021)
posix = pytest.mark.skipif(os.name != "posix", reason="rights of files as POSIX has them")


# Names


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("10.0.0.1", "10.0.0.1_8021"),
        ("fs-1.example_net.org", "fs-1.example_net.org_8021"),
        ("FS1", "fs1_8021"),
        ("::1", "%3A%3A1_8021"),
        ("fe80::1%eth0", "fe80%3A%3A1%25eth0_8021"),
        ("..", "%2E._8021"),
        ("../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd_8021"),
        ("-rf", "%2Drf_8021"),
        ("a\0b\nc\\d", "a%00b%0Ac%5Cd_8021"),
        ("caf\xe9", "caf%C3%A9_8021"),
        ("\udce9", "%ED%B3%A9_8021"),
        ("", "_8021"),
        ("con.net", "%63on.net_8021"),
        ("10.0.0.1_8021", "10.0.0.1_8021_8021"),
    ],
)
def test_the_folder_of_a_peer(esl: ModuleType, tmp_path: Path, host: str, name: str) -> None:
    assert part(esl, "ingest._files").folder_name(host, 8021) == name
    recorder = recorder_of(esl, tmp_path)
    recorder.opened((host, 8021))
    recorder.received(GREETING)
    recorder.close()
    assert recorder.stats()["why"] is None
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert [path.parent.parent for path in files_in(tmp_path)] == [tmp_path]


def test_a_long_host_has_a_name_of_its_own(esl: ModuleType, tmp_path: Path) -> None:
    for last in "ab":
        recorder = recorder_of(esl, tmp_path)
        recorder.opened(("x" * 5000 + last, 65535))
        recorder.received(GREETING)
        recorder.close()
        assert recorder.stats()["why"] is None
    assert len(list(tmp_path.iterdir())) == 2


def test_a_file_is_named_by_the_time_at_which_it_begins(esl: ModuleType, tmp_path: Path) -> None:
    clock = Clock()
    recorder = recorder_of(esl, tmp_path, clock)
    recorder.opened(PEER)
    recorder.received(GREETING)
    recorder.close()
    assert [path.name for path in files_in(tmp_path)] == ["20251129T070640Z-000000.esl.zst"]


def test_names_sort_as_files_were_made_even_if_the_clock_jumps(esl: ModuleType, tmp_path: Path) -> None:
    clock = Clock()
    made = []
    for jump in (0, 0, -86_400, 7200, -1, 0):
        clock.wall_ns += jump * SECOND
        recorder = recorder_of(esl, tmp_path, clock)
        recorder.opened(PEER)
        recorder.received(b"%d" % len(made))
        recorder.close()
        made.append(Path(recorder.stats()["path"]))
    assert made == sorted(made) == files_in(tmp_path)
    assert bytes_in(esl, *made) == b"012345"


def test_never_appends_and_never_writes_over(esl: ModuleType, tmp_path: Path) -> None:
    clock = Clock()
    old = tmp_path / "10.0.0.1_8021" / "20251129T070640Z-000000.esl.zst"
    old.parent.mkdir()
    old.write_bytes(b"whatever")
    (old.parent / "20251129T070640Z-000001.esl.zst").symlink_to(tmp_path / "elsewhere")
    recorder = recorder_of(esl, tmp_path, clock)
    recorder.opened(PEER)
    recorder.received(GREETING)
    recorder.close()
    assert old.read_bytes() == b"whatever"
    assert not (tmp_path / "elsewhere").exists()
    assert Path(recorder.stats()["path"]).name == "20251129T070640Z-000002.esl.zst"


def test_two_recorders_of_one_peer_have_files_of_their_own(esl: ModuleType, tmp_path: Path) -> None:
    clock = Clock()
    recorders = [recorder_of(esl, tmp_path, clock) for _ in range(5)]
    for number, recorder in enumerate(recorders):
        recorder.opened(PEER)
        recorder.received(b"%d" % number)
    for recorder in recorders:
        recorder.close()
    assert sorted(bytes_in(esl, path) for path in files_in(tmp_path)) == [b"%d" % number for number in range(5)]


# Rights


@posix
@pytest.mark.parametrize("mask", [0, 0o022, 0o777])
def test_nobody_else_may_read_it(esl: ModuleType, tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        recorder = recorder_of(esl, tmp_path / "new" / "rec", fsync="always", rotate_bytes=1)
        for host in ("one", "two"):
            recorder.opened((host, 1))
            for _ in range(3):
                recorder.received(GREETING)
                recorder.sent(b"exit\n\n")
                recorder.closed()
                recorder.opened((host, 1))
        recorder.close()
    finally:
        os.umask(before)
    made = list(tmp_path.rglob("*"))
    assert len([path for path in made if path.is_file()]) >= 2
    for path in made:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


@posix
def test_a_folder_that_was_open_to_others_is_not_any_more(esl: ModuleType, tmp_path: Path) -> None:
    """The one of the peer, which is ours. The one that was given is its owner's matter."""
    tmp_path.chmod(0o755)
    peer = tmp_path / "10.0.0.1_8021"
    peer.mkdir()
    peer.chmod(0o777)
    recorder = recorder_of(esl, tmp_path)
    recorder.opened(PEER)
    recorder.received(GREETING)
    recorder.close()
    assert stat.S_IMODE(peer.stat().st_mode) == 0o700
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


# Rotation


def test_a_new_file_goes_on_with_the_connection(esl: ModuleType, tmp_path: Path) -> None:
    clock = Clock()
    recorder = recorder_of(esl, tmp_path, clock, rotate_bytes=5000, level=0)
    recorder.opened(PEER)
    sent = [b"Content-Length: %d\n\n" % size + bytes(size) for size in range(0, 3000, 100)]
    for number, frame in enumerate(sent):
        cut = len(frame) // 2
        recorder.received(frame[:cut])
        clock.go(2, recorder)
        until(lambda: recorder.stats()["chunks"] == 2 * number + 1)  # noqa: B023
        recorder.received(frame[cut:])
        clock.go(2, recorder)
        until(lambda: recorder.stats()["chunks"] == 2 * number + 2)  # noqa: B023
    recorder.close()
    files = files_in(tmp_path)
    assert recorder.stats()["files"] == len(files) > 8
    assert all(is_closed(esl, path) for path in files)
    assert all(5000 <= path.stat().st_size < 10_000 for path in files[:-1])
    assert bytes_in(esl, *files) == b"".join(sent)
    chunks = [chunk for chunk in chunks_in(esl, *files) if chunk.note is None]
    assert len({chunk.connection for chunk in chunks}) == 1
    offset = 0
    for chunk in chunks:
        assert chunk.offset == offset
        offset += chunk.length
    notes = [notes_in(esl, path) for path in files]
    assert notes[0][0] == {"note": "opened", "peer": list(PEER)}
    assert all(note[0] == {"note": "continued", "peer": list(PEER)} for note in notes[1:])
    recording = part(esl, "recordings").Recording(tmp_path)
    assert b"".join(chunk.data for chunk in recording.chunks()) == b"".join(sent)
    assert recording.dropped == 0
    info = part(esl, "recordings").Recording(tmp_path).info()
    assert (info.connections, info.gaps, info.closed) == (1, [], True)


def test_a_file_ends_with_its_time_even_if_nothing_comes(esl: ModuleType, tmp_path: Path) -> None:
    """What is in it is to be deleted one day."""
    clock = Clock()
    recorder = recorder_of(esl, tmp_path, clock, rotate_seconds=100, chunk_seconds=1)
    recorder.opened(PEER)
    recorder.received(b"one")
    clock.go(1, recorder)
    until(lambda: recorder.stats()["chunks"] == 1)
    [path] = files_in(tmp_path)
    assert not is_closed(esl, path)
    clock.go(100, recorder)
    until(lambda: is_closed(esl, path))
    recorder.received(b"two")
    clock.go(1, recorder)
    until(lambda: recorder.stats()["chunks"] == 2)
    clock.wall_ns -= 86_400 * SECOND  # a clock that is set back changes nothing
    clock.go(50, recorder)
    recorder.received(b"three")
    recorder.close()
    assert bytes_in(esl, path) == b"one"
    assert [bytes_in(esl, path) for path in files_in(tmp_path)] == [b"one", b"twothree"]


def test_a_file_waits_for_the_next_connection_a_little(esl: ModuleType, tmp_path: Path) -> None:
    clock = Clock()
    recorder = recorder_of(esl, tmp_path, clock)
    for number in range(3):
        recorder.opened(PEER)
        recorder.received(b"%d" % number)
        recorder.closed("lost")
        clock.go(0.5, recorder)
    until(lambda: recorder.stats()["chunks"] == 3)
    assert len(files_in(tmp_path)) == 1
    clock.go(0.6, recorder)
    until(lambda: recorder._thread is None)  # nothing is left of it
    assert is_closed(esl, *files_in(tmp_path))
    recorder.opened(PEER)
    recorder.received(b"3")
    recorder.close()
    assert [bytes_in(esl, path) for path in files_in(tmp_path)] == [b"012", b"3"]
    assert recorder.missed is None  # its own end is no gap to it


# Retention


def make(esl: ModuleType, folder: Path, clock: Clock, host: str, size: int, age: float) -> Path:
    """A recording of so many bytes, which ended so many seconds ago."""
    recorder = recorder_of(esl, folder, clock, level=0)
    recorder.opened((host, 1))
    recorder.received(bytes(size))
    recorder.close()
    path = Path(recorder.stats()["path"])
    ended = clock.wall_ns / SECOND - age
    os.utime(path, (ended, ended))
    return path


@pytest.fixture
def tended(esl: ModuleType, tmp_path: Path) -> Iterator[Any]:
    """A recorder of another peer in the same folder that is at work, and what it does next when its clock is moved."""
    clock = Clock()
    recorders = []

    def begin(**options: Any) -> Any:
        recorder = recorder_of(esl, tmp_path, clock, **options)
        recorders.append(recorder)
        recorder.opened(("now", 1))
        recorder.received(b"x")
        clock.go(1, recorder)
        until(lambda: recorder.stats()["chunks"] == 1)
        os.utime(recorder.stats()["path"], (0, 0))  # it looks as old as can be
        clock.go(61, recorder)
        until(lambda: not recorder._deletes or recorder._writer._looked_ns == clock.mono_ns)
        return recorder

    begin.clock = clock  # type: ignore[attr-defined]
    yield begin
    for recorder in recorders:
        recorder.close()


def test_what_is_older_is_deleted(esl: ModuleType, tmp_path: Path, tended: Any) -> None:
    old = [make(esl, tmp_path, tended.clock, host, 10, age) for host, age in (("a", 2000), ("b", 1100), ("a", 1200))]
    young = make(esl, tmp_path, tended.clock, "b", 10, 500)
    other = tmp_path / "a_1" / "notes.txt"
    other.write_text("not a recording")
    recorder = tended(keep_seconds=1000)
    until(lambda: recorder.stats()["deleted_files"] == 3)
    assert not any(path.exists() for path in old)
    assert young.exists()
    assert other.exists()
    assert Path(recorder.stats()["path"]).exists()  # in use
    tended.clock.go(700, recorder)
    until(lambda: tended.clock.go(61, recorder) or not young.parent.exists())  # nothing is left in it


def test_bytes_beyond_the_bound_are_deleted_oldest_first(esl: ModuleType, tmp_path: Path, tended: Any) -> None:
    files = [make(esl, tmp_path, tended.clock, host, 10_000, age) for host, age in (("a", 30), ("b", 40), ("c", 10))]
    recorder = tended(keep_bytes=25_000)
    until(lambda: recorder.stats()["deleted_files"] == 1)
    assert [path.exists() for path in files] == [True, False, True]


def test_what_another_recorder_writes_is_left_alone(esl: ModuleType, tmp_path: Path, tended: Any) -> None:
    pytest.importorskip("fcntl")
    other = tended(level=0)
    recorder = tended(keep_seconds=1, keep_bytes=1)
    assert recorder.stats()["deleted_files"] == 0
    path = Path(other.stats()["path"])
    assert path.exists()
    other.close()
    with suppress(FileNotFoundError):  # which is seen at once, if it is just being looked
        os.utime(path, (0, 0))
    tended.clock.go(61, recorder)
    until(lambda: not path.exists())


@pytest.mark.parametrize("deleted", [False, True])
def test_a_new_file_that_another_recorder_looks_at_is_ours_after_that(
    esl: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deleted: bool
) -> None:
    """It has the lock before us, and may delete what nobody has."""
    fcntl = pytest.importorskip("fcntl")
    files = part(esl, "ingest._files")
    create, looking = files.File._create, list[Any]()

    def create_and_look(self: Any, *arguments: Any) -> Any:
        path, descriptor = create(self, *arguments)
        if not looking:
            looking.append(path.open("rb"))
            fcntl.flock(looking[0], fcntl.LOCK_EX)
        return path, descriptor

    def end_the_look(seconds: float) -> None:
        if deleted:
            Path(looking[0].name).unlink()
        looking[0].close()

    monkeypatch.setattr(files.File, "_create", create_and_look)
    monkeypatch.setattr(files, "time", SimpleNamespace(**{**vars(time), "sleep": end_the_look}))
    recorder = recorder_of(esl, tmp_path)
    recorder.opened(PEER)
    recorder.received(b"x")
    recorder.closed()
    until(lambda: recorder.stats()["written_bytes"])
    [path] = files_in(tmp_path)
    assert not files.delete(path)
    recorder.close()
    assert bytes_in(esl, path) == b"x"


def test_a_clock_that_jumps_ahead_deletes_nothing(esl: ModuleType, tmp_path: Path, tended: Any) -> None:
    kept = make(esl, tmp_path, tended.clock, "a", 10, 10)
    recorder = tended(keep_seconds=1000)
    tended.clock.wall_ns += 3650 * 86_400 * SECOND
    tended.clock.go(61, recorder)
    until(lambda: recorder._writer._looked_ns == tended.clock.mono_ns)
    assert kept.exists()
    tended.clock.go(1000, recorder)
    until(lambda: not kept.exists())


def test_an_idle_recorder_goes_on_deleting(esl: ModuleType, tmp_path: Path, tended: Any) -> None:
    recorder = tended(keep_seconds=1000)
    path = Path(recorder.stats()["path"])
    recorder.closed("the switch is gone")
    tended.clock.go(2, recorder)
    until(lambda: is_closed(esl, path))
    ended = tended.clock.wall_ns / SECOND
    os.utime(path, (ended, ended))
    until(lambda: tended.clock.go(61, recorder) or not path.exists())  # the thread may just have looked


# The gap before


def test_what_was_missed_since_the_last_recording(esl: ModuleType, tmp_path: Path) -> None:
    clock = Clock()
    recorder = recorder_of(esl, tmp_path, clock)
    recorder.opened(PEER)
    recorder.received(GREETING)
    clock.go(0.5)
    recorder.received(GREETING)
    last = clock.wall_ns
    recorder.close()
    assert recorder.missed is None
    assert recorder.stats()["gap_seconds"] is None
    clock.go(90)
    again = recorder_of(esl, tmp_path, clock)
    again.opened(("10.0.0.2", 8021))
    again.received(GREETING)
    again.opened(PEER)
    until(lambda: again.missed is not None)
    assert again.missed == (last, clock.wall_ns, True)
    assert again.missed.seconds == again.stats()["gap_seconds"] == 90
    again.received(GREETING)
    again.opened(PEER)
    again.received(GREETING)
    again.close()
    first, second = (notes_in(esl, path) for path in files_in(tmp_path) if path.parent.name == "10.0.0.1_8021")
    assert [note["note"] for note in first] == ["opened", "closed"]
    assert [note["note"] for note in second] == ["gap", "opened", "closed", "opened", "closed"]
    assert second[0] == {"note": "gap", "since": last, "until": last + 90 * SECOND, "whole": True}


def test_what_was_missed_is_told_though_the_first_connection_brought_nothing(esl: ModuleType, tmp_path: Path) -> None:
    """The switch is busy, and does not greet in time; a connection without a byte is in no file."""
    clock = Clock()
    recorder = recorder_of(esl, tmp_path, clock)
    recorder.opened(PEER)
    recorder.received(GREETING)
    last = clock.wall_ns
    recorder.close()
    clock.go(90)
    again = recorder_of(esl, tmp_path, clock)
    again.opened(PEER)
    again.closed("the login did not succeed")
    until(lambda: again.missed is not None)
    clock.go(10)
    again.opened(PEER)
    again.received(GREETING)
    again.close()
    assert again.missed is not None
    assert again.missed.seconds == 100
    notes = notes_in(esl, files_in(tmp_path)[-1])
    assert notes[0] == {"note": "gap", "since": last, "until": last + 100 * SECOND, "whole": True}
    assert [note["note"] for note in notes] == ["gap", "opened", "closed"]


@pytest.mark.parametrize("cut", [0, 1, 20, 60])
def test_what_was_missed_since_a_recorder_was_killed(esl: ModuleType, tmp_path: Path, cut: int) -> None:
    """Its file has no seek table, and its end may be torn."""
    clock = Clock()
    recorder = recorder_of(esl, tmp_path, clock)
    recorder.opened(PEER)
    ends = []
    for _ in range(3):
        recorder.received(GREETING)
        ends.append(clock.wall_ns)
        clock.go(1, recorder)
        until(lambda: recorder.stats()["chunks"] == len(ends))
    [path] = files_in(tmp_path)
    recorder.close()
    data = path.read_bytes()
    chunks = chunks_in(esl, path)
    whole = chunks[-1].position  # where the note "closed" begins: after it comes the table
    path.write_bytes(data[: whole - cut])
    clock.go(10)
    again = recorder_of(esl, tmp_path, clock)
    again.opened(PEER)
    until(lambda: again.missed is not None)
    assert again.missed.since_ns == (ends[2] if cut == 0 else ends[1])
    assert not again.missed.whole
    again.close()


def test_what_is_no_recording_is_no_gap(esl: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "10.0.0.1_8021"
    folder.mkdir()
    for number, data in enumerate((b"", b"x" * 100, b"\x5e\x2a\x4d\x18" + bytes(20), b"\xb1\xea\x92\x8f" * 9)):
        (folder / f"20000101T000000Z-{number:06}.esl.zst").write_bytes(data)
    (folder / "20000101T000000Z-9.esl.zst").mkdir()
    clock = Clock()
    recorder = recorder_of(esl, tmp_path, clock)
    recorder.opened(PEER)
    recorder.received(GREETING)
    recorder.close()
    assert recorder.missed is None
    assert recorder.stats()["why"] is None


# Syncs, the real tool


def test_syncs(esl: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {"data": 0, "all": 0}
    files = part(esl, "ingest._files")

    def count(kind: str, call: Any) -> Any:
        def counted(descriptor: int) -> None:
            counts[kind] += 1
            call(descriptor)

        return counted

    monkeypatch.setattr(files, "_sync_data", count("data", files._sync_data))
    monkeypatch.setattr(files.os, "fsync", count("all", os.fsync))
    done = {}
    for how in ("always", 100.0, "never"):
        counts.update(data=0, all=0)
        clock = Clock()
        recorder = recorder_of(esl, tmp_path / str(how), clock, fsync=how)
        recorder.opened(PEER)
        for number in range(1, 6):
            recorder.received(GREETING)
            clock.go(1, recorder)
            until(lambda: recorder.stats()["chunks"] == number)  # noqa: B023
        before = counts["data"]
        clock.go(100, recorder)
        if how == 100.0:
            until(lambda: counts["data"] == before + 1)  # noqa: B023
        recorder.close()
        done[how] = before, counts["data"] - before, counts["all"] > 0
    assert done == {"always": (6, 2, True), 100.0: (0, 2, True), "never": (0, 0, False)}


def test_the_real_tool_reads_it(esl: ModuleType, tmp_path: Path) -> None:
    try:
        subprocess.run(["zstd", "--version"], capture_output=True, check=True)
    except OSError:
        pytest.skip("there is no zstd command")
    recorder = recorder_of(esl, tmp_path)
    recorder.opened(PEER)
    for number in range(5000):
        recorder.received(b"Content-Length: %d\n\n" % number + bytes(number))
    recorder.close()
    done = subprocess.run(["zstd", "-dc", *map(str, files_in(tmp_path))], capture_output=True, check=True)
    assert done.stdout == b"".join(b"Content-Length: %d\n\n" % number + bytes(number) for number in range(5000))


def test_nothing_of_it_is_loaded_by_an_import() -> None:
    code = (
        "import sys, eslcodec, eslcodec.sync, eslcodec.aio;"
        "print([name for name in sys.modules if 'ingest' in name or 'zst' in name])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout.strip() == "[]"
