"""What recording costs, and reading what was recorded.

Files are written into a folder of their own, which goes when the process ends. What a disk needs is not measured: only
CPU time is, with that of the kernel and of the recorder's thread.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import loopback
from corpora import Stream

Pass = Callable[[], object]
PEER = ("switch", 8021)


def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="eslcodec-bench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def record(stream: Stream) -> Pass:
    """A recorder that gets the stream read by read, as fast as it takes it, until it is on the disk."""
    from eslcodec.ingest import Recorder

    folder = _folder()

    def run() -> None:
        recorder = Recorder(folder, fsync="never", min_free=0)
        recorder.opened(PEER)
        for chunk in stream.chunks:
            recorder.received(chunk)
        recorder.close()

    return run


def recorded(stream: Stream, times: int = 1) -> Path:
    """The folder of a recording of this stream, so many times one after the other."""
    from eslcodec.ingest import Recorder

    folder = _folder()
    with Recorder(folder, fsync="never", min_free=0) as recorder:
        recorder.opened(PEER)
        for _ in range(times):
            for chunk in stream.chunks:
                recorder.received(chunk)
            while recorder.stats()["queued_bytes"] > 16 << 20:
                time.sleep(0.001)
    return folder


def messages(stream: Stream) -> Pass:
    """`Recording.messages()`, of which nothing is read."""
    import eslcodec

    folder = recorded(stream)

    def run() -> None:
        for _ in eslcodec.Recording(folder).messages():
            pass

    return run


def blocking_with_tap(stream: Stream) -> Pass:
    """`eslcodec.connect(tap=...)`, with a recorder."""
    from eslcodec.ingest import Recorder

    return loopback.blocking(stream, Recorder(_folder(), fsync="never", min_free=0))
