"""How a recorder ends: killed, at the exit of the interpreter, in a child process, forgotten, by a signal's handler."""

from __future__ import annotations

import gc
import linecache
import os
import random
import signal
import subprocess
import sys
import threading
import weakref
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from recorder_support import GREETING, Clock, bytes_in, chunks_in, files_in, is_closed, notes_in, recorder_of
from shells import PATIENCE, until
from support import part

from eslcodec.emulator import Emulator

PEER = ("10.0.0.1", 8021)


def start(esl: ModuleType, code: str, *arguments: object, **options: Any) -> subprocess.Popen[str]:
    """A program that records."""
    package = Path(str(esl.__file__)).parent.parent
    environment = {**os.environ, "PYTHONPATH": str(package), "ESLCODEC_IMPL": esl.__impl__}
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd="/",
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def output(program: subprocess.Popen[str]) -> str:
    out, errors = program.communicate(timeout=60)
    assert errors == ""
    return out


# Killed

STREAM = """
import sys
from eslcodec.ingest import Recorder
recorder = Recorder(sys.argv[1], min_free=0, chunk_seconds=0.02, rotate_bytes=200_000, level=int(sys.argv[2]))
recorder.opened(("10.0.0.1", 8021))
number = 0
while True:
    recorder.received(b"".join(b"Content-Length: 20\\n\\n%019d\\n" % n for n in range(number, number + 100)))
    recorder.sent(b"api echo %d\\n\\n" % number)
    number += 100
    if number % 10_000 == 0:
        print(number, flush=True)
    while recorder.stats()["queued_bytes"] > 8_000_000:
        pass
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize("level", [0, 1])
def test_a_kill_at_any_moment_leaves_whole_chunks(esl: ModuleType, tmp_path: Path, level: int) -> None:
    luck = random.Random(16 + level)
    for turn in range(4):
        folder = tmp_path / str(turn)
        with start(esl, STREAM, folder, level) as program:
            assert program.stdout is not None
            for _ in range(luck.randint(2, 30)):
                assert program.stdout.readline()
            program.kill()
            program.communicate(timeout=60)
        files = files_in(folder)
        chunks = [chunk for chunk in chunks_in(esl, *files) if chunk.note is None]
        data = b"".join(chunk.data for chunk in chunks)
        if not chunks:  # it had hardly begun
            continue
        frames = len(data) // 40 + 1
        assert b"".join(b"Content-Length: 20\n\n%019d\n" % number for number in range(frames)).startswith(data)
        assert len({chunk.connection for chunk in chunks}) == 1
        sent = [one.data for chunk in chunks for one in chunk.sends]
        assert sent == [b"api echo %d\n\n" % (100 * number) for number in range(len(sent))]
        assert len(sent) >= len(data) // 4000 - 1
        assert all(is_closed(esl, path) for path in files[:-1])
        messages = list(part(esl, "recordings").Recording(folder).messages())
        assert len(messages) == len(data) // 40
        again = recorder_of(esl, folder)
        again.opened(PEER)
        again.received(GREETING)
        again.close()
        assert again.missed is not None
        assert again.missed.since_ns == chunks[-1].end_ns
        assert not again.missed.whole
        assert again.missed.seconds > 0
        assert notes_in(esl, files_in(folder)[-1])[0]["note"] == "gap"


KILLED = """
import sys
from eslcodec.ingest import Recorder
recorder = Recorder(sys.argv[1], min_free=0, chunk_seconds=0.05)
recorder.opened(("10.0.0.1", 8021))
for number in range(5):
    recorder.received(b"%d" % number)
    while recorder.stats()["chunks"] <= number:
        pass
recorder._chunk_ns = 10**15
recorder.received(b"of a chunk that is not whole yet")
print("now", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_kill_costs_the_chunk_that_is_not_whole(esl: ModuleType, tmp_path: Path) -> None:
    """What is older than `chunk_seconds` is in the file: the thread wrote it though nothing more came."""
    with start(esl, KILLED, tmp_path, stdin=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "now\n"
        program.kill()
        program.communicate(timeout=60)
    assert bytes_in(esl, *files_in(tmp_path)) == b"01234"


# Exit

EXIT = """
import sys, threading
from eslcodec.ingest import Recorder
recorder = Recorder(sys.argv[1], min_free=0, chunk_seconds=1000)
recorder.opened(("10.0.0.1", 8021))
recorder.received(b"not closed")
"""


@pytest.mark.parametrize(
    "last",
    [
        "",
        "del recorder",
        "recorder.closed('lost')",
        "sys.exit(0)",
        "threading.Timer(0.05, recorder.received, (b' by anybody',)).start()",
        "import atexit; atexit.register(recorder.close)",
        "recorder.close(); recorder.close()",
    ],
)
def test_at_exit_everything_is_written(esl: ModuleType, tmp_path: Path, last: str) -> None:
    with start(esl, EXIT + last, tmp_path) as program:
        assert output(program) == ""
        assert program.returncode == 0
    [path] = files_in(tmp_path)
    assert bytes_in(esl, path) == b"not closed" + (b" by anybody" if "Timer" in last else b"")
    assert is_closed(esl, path)


EXIT_WITH_CLIENT = """
import sys, eslcodec
from eslcodec.ingest import Recorder
fs = eslcodec.connect("127.0.0.1", int(sys.argv[2]), tap=Recorder(sys.argv[1], min_free=0, chunk_seconds=1000))
fs.subscribe("ALL")
print(fs.api("status").text[:2])
"""


def test_at_exit_with_a_client_that_is_open(esl: ModuleType, tmp_path: Path) -> None:
    with Emulator() as switch, start(esl, EXIT_WITH_CLIENT, tmp_path, switch.port) as program:
        assert output(program) == "UP\n"
        assert program.returncode == 0
    [path] = files_in(tmp_path)
    assert b"api/response" in bytes_in(esl, path)
    assert is_closed(esl, path)


EXIT_STUCK = """
import sys, threading, time
from eslcodec import limits
from eslcodec.ingest import Recorder, _files
limits.RECORDER_EXIT_SECONDS = 0.05
_files.File.write = lambda *_: threading.Event().wait()
recorder = Recorder(sys.argv[1], min_free=0, chunk_seconds=0.001)
recorder.opened(("10.0.0.1", 8021))
recorder.received(b"x")
"""


def test_the_exit_does_not_wait_for_ever(esl: ModuleType, tmp_path: Path) -> None:
    with start(esl, EXIT_STUCK, tmp_path) as program:
        _, errors = program.communicate(timeout=60)
        assert program.returncode == 0
    assert "did not answer" in errors


# Other processes, other threads


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_process_records_nothing_and_harms_nothing(esl: ModuleType, tmp_path: Path) -> None:
    recorder = recorder_of(esl, tmp_path, fsync="always")
    recorder.opened(PEER)
    for number in range(20):
        recorder.received(b"parent %d\n" % number)
        if number % 4 == 0:
            until(lambda: recorder.stats()["queued_bytes"] == 0)
        child = os.fork()
        if child == 0:
            said = 1
            try:
                recorder.received(b"child")
                recorder.sent(b"child")
                recorder.opened(PEER)
                recorder.closed("child")
                recorder.close()
                own = recorder_of(esl, tmp_path / "own")
                own.opened(PEER)
                own.received(b"of the child")
                own.close()
                said = 0 if recorder.stats()["state"] == "left" and own.stats()["chunks"] == 1 else 2
            finally:
                os._exit(said)
        assert os.waitpid(child, 0)[1] == 0
    recorder.close()
    [path] = [path for path in files_in(tmp_path) if "10.0.0.1" in str(path)]
    assert bytes_in(esl, path) == b"".join(b"parent %d\n" % number for number in range(20))
    assert is_closed(esl, path)
    assert len(files_in(tmp_path / "own")) == 20


def test_what_waits_to_be_written_is_though_the_recorder_is_forgotten_before_its_thread_wakes_up(
    esl: ModuleType, tmp_path: Path
) -> None:
    clock = Clock()
    recorder = recorder_of(esl, tmp_path, clock, keep_seconds=1000)
    recorder.opened(PEER)
    recorder.received(b"x")
    recorder.closed("over")
    until(lambda: files_in(tmp_path))
    clock.go(2, recorder)
    bell, writer = recorder._bell, recorder._writer
    until(lambda: not writer.has_file and bell.kept is None and bell.until_ns)  # the thread waits for its bell
    with bell.lock:  # and is not awake before this is done
        recorder.opened(PEER)
        recorder.received(b"x")
        recorder.closed("over")
        del recorder
        gc.collect()
    until(lambda: len(files_in(tmp_path)) == 2)


def test_a_recorder_that_is_forgotten(esl: ModuleType, tmp_path: Path) -> None:
    """With a connection it goes on; without one it goes away, its thread too."""
    clock = Clock()
    recorder = recorder_of(esl, tmp_path, clock, keep_seconds=1000)
    recorder.opened(PEER)
    recorder.received(b"x")
    thread, bell, gone = recorder._thread, recorder._bell, weakref.ref(recorder)
    recorder.closed("over")
    del recorder
    gc.collect()
    until(lambda: files_in(tmp_path))
    assert gone() is not None  # its file is open

    def is_gone() -> bool:
        clock.go(2)  # the thread may not have taken the end when it was first moved
        bell.ring()
        gc.collect()
        return gone() is None

    until(is_gone)
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert is_closed(esl, *files_in(tmp_path))


ONE_STEP = "self._has_thread = True"  # Python handles no signal between the condition before it and this


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="needs signals")
@pytest.mark.parametrize("verb", ["closed", "close", "sent", "stats"])
def test_a_signal_in_the_middle_of_anything(esl: ModuleType, tmp_path: Path, verb: str) -> None:
    """Its handler calls the recorder, at every line that runs within `received`, `sent`, `opened`, `closed`."""
    assert threading.current_thread() is threading.main_thread()
    place = str(Path(str(esl.__file__)).parent / "ingest" / "recorder.py")
    arguments = {"closed": ("by a signal",), "sent": (b"S",)}.get(verb, ())
    calls = [0]
    recorder: Any = None

    def handler(*_: Any) -> None:
        calls[0] += 1
        with suppress(RuntimeError):  # nothing is open yet
            getattr(recorder, verb)(*arguments)

    def trace(frame: Any, what: str, _: Any) -> Any:
        if frame.f_code.co_filename != place or threading.current_thread() is not threading.main_thread():
            return None
        if what == "line" and ONE_STEP not in linecache.getline(place, frame.f_lineno):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGUSR1)
        return trace

    before, traced = signal.signal(signal.SIGUSR1, handler), sys.gettrace()
    step, left = 0, [0]
    try:
        while left[0] <= 0:
            step += 1
            recorder = recorder_of(esl, tmp_path / str(step), Clock())
            left = [step]
            sys.settrace(trace)
            try:
                recorder.opened(PEER)
                recorder.received(b"one")
                recorder.sent(b"exit\n\n")
                recorder.received(b"two")
                recorder.closed("over")
            except RuntimeError:  # it was closed before
                assert verb == "closed"
            finally:
                sys.settrace(traced)
            recorder.close()
            kept = bytes_in(esl, *files_in(tmp_path / str(step)))
            assert kept in (b"onetwo", b"one", b"two", b""), step
            assert recorder.stats()["why"] is None
            if verb in ("sent", "stats"):
                assert kept == b"onetwo"
            assert not recorder._thread
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert step > 40
    assert calls[0] >= step - 1


def test_nothing_is_left_of_many_recorders(esl: ModuleType, tmp_path: Path) -> None:
    before = set(threading.enumerate())
    descriptors = Path("/proc/self/fd")
    open_before = len(list(descriptors.iterdir())) if descriptors.exists() else 0
    recorders = []
    for number in range(30):
        recorders.append(recorder_of(esl, tmp_path))
        recorders[-1].opened((f"host{number}", 1))
        recorders[-1].received(GREETING)
    for recorder in recorders:
        recorder.close()
    assert set(threading.enumerate()) <= before  # those of other tests may have ended meanwhile
    if descriptors.exists():
        assert len(list(descriptors.iterdir())) <= open_before
    assert len(files_in(tmp_path)) == 30
