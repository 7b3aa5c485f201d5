"""A recorder among others: what somebody deletes, links, or keeps in its folder, and disks that say odd things."""

from __future__ import annotations

import linecache
import logging
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from recorder_support import GREETING, Clock, bytes_in, files_in, is_closed, notes_in, recorder_of
from shells import until
from support import part

PEER = ("10.0.0.1", 8021)
OLD = "20200101T000000Z-000000.esl.zst"
links = pytest.mark.skipif(os.name != "posix", reason="links and pipes as POSIX has them")


def write(recorder: Any, data: bytes) -> None:
    """Have it in the file."""
    chunks = recorder.stats()["chunks"]
    recorder.received(data)
    with recorder._lock:
        recorder._seal()
    until(lambda: recorder.stats()["chunks"] > chunks or recorder.stats()["state"] == "stopped")


def kept(folder: Path, name: str) -> Path:
    """A file that was written long ago."""
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x" * 100)
    os.utime(path, (1, 1))
    return path


@links
def test_a_file_that_is_deleted_is_followed_by_another(
    esl: ModuleType, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = recorder_of(esl, tmp_path, Clock())
    recorder.opened(PEER)
    write(recorder, GREETING)
    shutil.rmtree(tmp_path / "10.0.0.1_8021")
    write(recorder, b"then")
    write(recorder, b" this")
    recorder.close()
    [path] = files_in(tmp_path)
    assert bytes_in(esl, path) == b"then this"
    assert is_closed(esl, path)
    assert [note["note"] for note in notes_in(esl, path)] == ["continued", "closed"]
    [line] = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert "was deleted while it was written" in line


@links
def test_the_folder_of_a_peer_is_no_link(esl: ModuleType, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(0o755)
    (tmp_path / "rec").mkdir()
    (tmp_path / "rec" / "10.0.0.1_8021").symlink_to(elsewhere)
    recorder = recorder_of(esl, tmp_path / "rec", Clock())
    recorder.opened(PEER)
    write(recorder, GREETING)
    assert "link" in recorder.stats()["why"]
    recorder.close()
    assert os.listdir(elsewhere) == []
    assert elsewhere.stat().st_mode & 0o777 == 0o755


@links
def test_a_pipe_with_the_name_of_a_recording_holds_nobody_up(esl: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "10.0.0.1_8021"
    folder.mkdir()
    os.mkfifo(folder / OLD)
    recorder = recorder_of(esl, tmp_path, Clock())
    recorder.opened(PEER)
    write(recorder, GREETING)
    recorder.close()
    assert part(esl, "recordings").Recording(tmp_path).info().received == len(GREETING)


@pytest.mark.parametrize(
    ("name", "stays"),
    [
        (f"a_1/{OLD}", False),
        (f"a_1/{OLD}.damaged", False),  # what `repair` put aside is a recording as well
        (f"a_1/{OLD}.damaged12", False),
        (f"a_1/{OLD}.gz", True),
        (f"a_1/copy-{OLD}", True),
        (f"archive/{OLD}", True),
        (f"case_a/{OLD}", True),
    ],
)
def test_only_what_recorders_made_is_deleted(esl: ModuleType, tmp_path: Path, name: str, stays: bool) -> None:
    path = kept(tmp_path, name)
    recorder = recorder_of(esl, tmp_path, keep_seconds=60)
    recorder.opened(PEER)
    until(lambda: recorder._writer._looked_ns > 0)
    recorder.close()
    assert path.exists() is stays


@pytest.mark.skipif(not hasattr(os, "statvfs"), reason="no statvfs")
@pytest.mark.parametrize("on_full", ["stop", "oldest"])
def test_a_disk_that_does_not_say_how_large_it_is(
    esl: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_full: str
) -> None:
    old = kept(tmp_path, f"a_1/{OLD}")
    unknown = SimpleNamespace(f_bavail=0, f_blocks=0, f_frsize=4096)
    monkeypatch.setattr(part(esl, "ingest._files").os, "statvfs", lambda path: unknown)
    recorder = recorder_of(esl, tmp_path, Clock(), min_free=0.1, on_full=on_full)
    recorder.opened(PEER)
    for _ in range(3):
        write(recorder, GREETING)
    assert recorder.stats()["state"] == "recording"
    recorder.close()
    assert old.exists()
    assert len(files_in(tmp_path / "10.0.0.1_8021" / "..")) == 2


def test_part_of_a_chunk_that_cannot_be_removed_is_the_end_of_the_file(
    esl: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = recorder_of(esl, tmp_path, Clock())
    recorder.opened(PEER)
    write(recorder, b"whole")
    files, write_ = part(esl, "ingest._files"), os.write

    def part_of(descriptor: int, data: Any) -> int:
        monkeypatch.setattr(files.os, "write", refuse)
        return write_(descriptor, data[:30])

    def refuse(*_: object) -> int:
        monkeypatch.setattr(files.os, "write", write_)  # the note of the end could be written again
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(files.os, "write", part_of)
    monkeypatch.setattr(files.os, "ftruncate", refuse)
    write(recorder, b"not whole")
    recorder.close()
    assert "Input/output" in recorder.stats()["why"]
    [path] = files_in(tmp_path)
    info = part(esl, "recordings").Recording(path).info(verify=True)
    assert (info.received, info.damage, info.torn) == (5, [], {str(path): 30})


def interrupted(at: int, step: Callable[[], object]) -> bool:
    """Ctrl-C before this line of the recorder and of what it locks with; whether there was one."""
    lines = 0

    def trace(frame: Any, event: str, _: object) -> Any:
        nonlocal lines
        path = frame.f_code.co_filename
        if event == "line" and path.endswith(("recorder.py", "threading.py")):
            if linecache.getline(path, frame.f_lineno).strip().startswith(("with ", "try:")):
                return trace  # no signal is handled there: a trace that raises would leave the lock taken
            lines += 1
            if lines == at:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        step()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def test_an_interrupt_anywhere_does_not_leave_the_writer_asleep(esl: ModuleType, tmp_path: Path) -> None:
    at = 1
    while True:
        clock = Clock()
        recorder = recorder_of(esl, tmp_path / str(at), clock)
        recorder.opened(PEER)
        write(recorder, GREETING)
        until(lambda: recorder._bell.until_ns > 0)  # noqa: B023
        was = interrupted(at, lambda: recorder.received(b"then"))  # noqa: B023
        clock.go(2)
        recorder.received(b"end")
        recorder.close(20)
        assert recorder._thread is None
        [path] = files_in(tmp_path / str(at))
        data = bytes_in(esl, path)
        assert data.startswith(GREETING)
        assert data.endswith(b"end")
        if not was:
            assert data == GREETING + b"thenend"
            break
        at += 1
    assert at > 20
