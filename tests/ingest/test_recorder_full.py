"""When recording cannot go on: a disk that is full, that fails, that is too slow. The client never notices."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from recorder_support import GREETING, Clock, Held, bytes_in, files_in, is_closed, notes_in, recorder_of
from shells import until
from support import part

from eslcodec.emulator import Emulator

PEER = ("10.0.0.1", 8021)
MEGABYTE = bytes(1 << 20)


def ended_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)], capture_output=True)
    except OSError as error:
        pytest.skip(f"cannot mount a small disk: {error}")
    if done.returncode:
        pytest.skip(f"cannot mount a small disk, which needs root: {done.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("min_free", [0, 0.25])
def test_a_full_disk_ends_recording(
    esl: ModuleType, small_disk: Path, caplog: pytest.LogCaptureFixture, min_free: float
) -> None:
    recorder = recorder_of(esl, small_disk, Clock(), level=0, min_free=min_free, rotate_bytes=5 << 20)
    recorder.opened(PEER)
    count = 0
    while recorder.stats()["state"] == "recording":
        recorder.received(MEGABYTE)
        count += 1
        until(lambda: not recorder.stats()["queued_bytes"])
        assert count < 30
    recorder.received(MEGABYTE)
    recorder.sent(b"exit\n\n")
    recorder.opened(PEER)
    recorder.closed("")
    recorder.close()
    stats = recorder.stats()
    said = "No space left" if not min_free else "of the disk are free, expected 25.0%"
    assert stats["state"] == "stopped"
    assert said in stats["why"]
    assert [said in line for line in ended_lines(caplog)] == [True]
    files = files_in(small_disk)
    assert bytes_in(esl, *files) == MEGABYTE * stats["chunks"]
    assert 11 <= stats["chunks"] <= 15
    assert all(is_closed(esl, path) for path in files[:-1])
    last = notes_in(esl, files[-1])[-1]
    if min_free:  # else there is no room for it
        assert (last["note"], last["why"]) == ("stopped", stats["why"])
        assert is_closed(esl, files[-1])
    elif last["note"] == "stopped":
        assert last["why"] == stats["why"]


@pytest.mark.parametrize("min_free", [0, 0.25])
def test_a_full_disk_makes_room_by_deleting_the_oldest(
    esl: ModuleType, small_disk: Path, caplog: pytest.LogCaptureFixture, min_free: float
) -> None:
    """Files become small enough for it by themselves."""
    foreign = small_disk / "foreign.bin"
    foreign.write_bytes(bytes(2 << 20))
    recorder = recorder_of(esl, small_disk, Clock(), level=0, min_free=min_free, on_full="oldest")
    recorder.opened(PEER)
    for _ in range(60):
        recorder.received(MEGABYTE)
        until(lambda: not recorder.stats()["queued_bytes"])
    recorder.close()
    stats = recorder.stats()
    assert (stats["state"], stats["why"], ended_lines(caplog)) == ("closed", None, [])
    assert stats["chunks"] == 60
    assert stats["deleted_files"] == stats["files"] - len(files_in(small_disk)) > 10
    assert len(bytes_in(esl, *files_in(small_disk))) % len(MEGABYTE) == 0
    assert len(bytes_in(esl, *files_in(small_disk))) >= (8 if not min_free else 5) << 20
    assert foreign.stat().st_size == 2 << 20
    if min_free:
        disk = os.statvfs(small_disk)
        assert disk.f_bavail / disk.f_blocks > 0.1


def test_a_disk_that_others_fill_ends_it_all_the_same(
    esl: ModuleType, small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (small_disk / "foreign.bin").write_bytes(bytes(14 << 20))
    recorder = recorder_of(esl, small_disk, level=0, min_free=0.25, on_full="oldest")
    recorder.opened(PEER)
    recorder.received(MEGABYTE)
    recorder.close()
    assert recorder.stats()["state"] == "stopped"
    assert len(ended_lines(caplog)) == 1
    assert (small_disk / "foreign.bin").exists()


def test_a_read_only_disk_is_an_error_at_once(esl: ModuleType, small_disk: Path) -> None:
    if subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], capture_output=True).returncode:
        pytest.skip("cannot make it read-only")
    with pytest.raises(OSError, match=r"Read-only|ermission"):
        recorder_of(esl, small_disk)
    with pytest.raises(OSError, match="Read-only"):
        recorder_of(esl, small_disk / "new")


def test_a_disk_that_becomes_read_only(esl: ModuleType, small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    recorder = recorder_of(esl, small_disk)
    if subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], capture_output=True).returncode:
        pytest.skip("cannot make it read-only")
    with Emulator() as switch, esl.connect(switch.host, switch.port, tap=recorder) as fs:
        assert fs.api("status").ok
        recorder.close()
        assert fs.api("status").ok
        tap = fs.stats().tap
    assert (tap["state"], tap["failed"]) == ("stopped", None)
    assert "Read-only" in tap["why"]
    [line] = ended_lines(caplog)
    assert f"127.0.0.1:{switch.port}" in line


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="rights of files as POSIX has them")
def test_a_folder_that_may_not_be_written(esl: ModuleType, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError):
        recorder_of(esl, tmp_path)
    tmp_path.chmod(0o700)


def test_what_stands_in_the_place_of_the_folder(
    esl: ModuleType, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"exists|directory"):
        recorder_of(esl, tmp_path / "file")
    (tmp_path / "10.0.0.1_8021").write_text("")
    recorder = recorder_of(esl, tmp_path)
    recorder.opened(PEER)
    recorder.received(GREETING)
    recorder.close()
    assert recorder.stats()["state"] == "stopped"
    assert len(ended_lines(caplog)) == 1


class Failing:
    """Writing fails from the nth chunk or note on, perhaps after a part of it was written."""

    def __init__(self, esl: ModuleType, monkeypatch: pytest.MonkeyPatch, good: int, code: int, part_of_it: int) -> None:
        self.left = good
        write = os.write

        def failing(descriptor: int, data: Any) -> int:
            self.left -= 1
            if self.left >= 0:
                return write(descriptor, data)
            if self.left == -1 and part_of_it:
                return write(descriptor, data[:part_of_it])
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(part(esl, "ingest._files").os, "write", failing)


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("part_of_it", [0, 30])
def test_only_whole_chunks_stay_in_the_file(
    esl: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    code: int,
    part_of_it: int,
) -> None:
    recorder = recorder_of(esl, tmp_path, Clock())
    failing = Failing(esl, monkeypatch, 3, code, part_of_it)
    recorder.opened(PEER)
    for number in range(5):
        recorder.received(b"%d" % number)
        with recorder._lock:
            recorder._seal()
    until(lambda: recorder.stats()["state"] == "stopped")
    recorder.close()
    assert failing.left < 0
    assert os.strerror(code) in recorder.stats()["why"]
    assert len(ended_lines(caplog)) == 1
    [path] = files_in(tmp_path)
    assert bytes_in(esl, path) == b"01"


def test_a_fault_of_ours_ends_recording_and_nothing_else(
    esl: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def pack(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("never")

    monkeypatch.setattr(part(esl, "zst"), "pack_stream", pack)
    recorder = recorder_of(esl, tmp_path)
    with Emulator() as switch, esl.connect(switch.host, switch.port, tap=recorder) as fs:
        recorder.close()
        assert fs.api("status").ok
    assert recorder.stats()["why"] == "ZeroDivisionError: never"
    assert not recorder.stats()["behind"]
    assert len(ended_lines(caplog)) == 1
    assert [note["note"] for note in notes_in(esl, *files_in(tmp_path))] == ["opened", "stopped"]


def test_a_writer_that_is_behind(
    esl: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What was taken in is written once the disk answers again; then the file says why there is no more."""
    most = part(esl, "limits").RECORDER_BUFFER_BYTES
    held = Held(esl, monkeypatch)
    recorder = recorder_of(esl, tmp_path, Clock(), level=0)
    recorder.opened(PEER)
    count = 0
    while recorder.stats()["state"] == "recording":
        recorder.received(b"%07d\n" % count * 8192)
        count += 1
        assert count * 65_536 < 2 * most
    recorder.received(b"this is not kept")
    recorder.opened(PEER)
    stats = recorder.stats()
    assert most - (2 << 20) < stats["queued_bytes"] <= most
    assert stats["why"].startswith("the writer is behind")
    assert stats["behind"]
    [line] = ended_lines(caplog)
    assert "10.0.0.1:8021" in line
    held.free.set()
    recorder.close()
    [path] = files_in(tmp_path)
    kept = bytes_in(esl, path)
    assert len(kept) >= most - (2 << 20)
    whole = b"".join(b"%07d\n" % number * 8192 for number in range(count))
    assert whole.startswith(kept)
    assert len(whole) - len(kept) <= 65_536
    assert notes_in(esl, path)[-1] == {"note": "stopped", "why": stats["why"]}
    assert is_closed(esl, path)
    assert recorder.stats()["queued_bytes"] == 0
    assert len(ended_lines(caplog)) == 1


def test_many_short_connections_are_bounded_too(
    esl: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part(esl, "ingest.recorder"), "_QUEUE_BYTES", 100_000)
    held = Held(esl, monkeypatch)
    recorder = recorder_of(esl, tmp_path, Clock())
    count = 0
    while recorder.stats()["state"] in ("recording", "waiting"):
        recorder.opened(PEER)
        recorder.received(b"x")
        count += 1
        assert count < 200
    held.free.set()
    recorder.close()
    assert len(recorder._queue) == 0
    assert notes_in(esl, *files_in(tmp_path))[-1]["note"] == "stopped"


def test_a_client_whose_recorder_is_behind(
    esl: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(part(esl, "ingest.recorder"), "_QUEUE_BYTES", 3_000_000)
    held = Held(esl, monkeypatch)
    recorder = recorder_of(esl, tmp_path, chunk_seconds=0.001)
    with Emulator() as switch, esl.connect(switch.host, switch.port, tap=recorder) as fs:
        switch.api["large"] = lambda _: "x" * 900_000
        assert held.reached.wait(20)
        for _ in range(8):
            assert len(fs.api("large").text) == 900_000
        tap = fs.stats().tap
        assert (tap["state"], tap["failed"]) == ("stopped", None)
        held.free.set()
        recorder.close()
        assert fs.api("status").ok
    assert len(ended_lines(caplog)) == 1
