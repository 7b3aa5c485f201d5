"""What the tests of recorders share: a clock that is set by hand, what is in a folder, a writer that is held up."""

from __future__ import annotations

import threading
from pathlib import Path
from types import ModuleType
from typing import Any

from support import part

SECOND = 1_000_000_000
GREETING = b"Content-Type: auth/request\n\n"


class Clock:
    """Both clocks, which stand still until they are moved."""

    def __init__(self) -> None:
        self.mono_ns = 5 * SECOND
        self.wall_ns = 1_764_400_000 * SECOND

    def mono(self) -> int:
        return self.mono_ns

    def wall(self) -> int:
        return self.wall_ns

    def go(self, seconds: float, recorder: Any = None) -> None:
        """Time passes; the recorder's thread looks at the clock."""
        self.mono_ns += int(seconds * SECOND)
        self.wall_ns += int(seconds * SECOND)
        if recorder is not None:
            recorder._bell.ring()


def recorder_of(esl: ModuleType, folder: Path, clock: Clock | None = None, **options: Any) -> Any:
    """A recorder, with a clock of ours if one is given, that does not ask for free space unless it is told to."""
    kind: Any = part(esl, "ingest.recorder").Recorder
    if clock is not None:
        kind = type("Clocked", (kind,), {"_mono": staticmethod(clock.mono), "_wall": staticmethod(clock.wall)})
    return kind(folder, **{"min_free": 0, "fsync": "never", **options})


def files_in(folder: Path) -> list[Path]:
    """All recordings, in order of their names."""
    return sorted(folder.glob("*/*.esl.zst"))


def chunks_in(esl: ModuleType, *files: Path) -> list[Any]:
    """The chunks of files, checked."""
    chunks = []
    for path in files:
        with path.open("rb") as file:
            chunks += list(part(esl, "zst").read_chunks(file, str(path)))
    return chunks


def bytes_in(esl: ModuleType, *files: Path) -> bytes:
    return b"".join(chunk.data for chunk in chunks_in(esl, *files))


def notes_in(esl: ModuleType, *files: Path) -> list[Any]:
    return [chunk.note for chunk in chunks_in(esl, *files) if chunk.note is not None]


def is_closed(esl: ModuleType, path: Path) -> bool:
    """Whether the file ends with its seek table."""
    with path.open("rb") as file:
        reader = part(esl, "zst").read_chunks(file)
        list(reader)
        return bool(reader.closed)


class Held:
    """A disk that does not answer until it is let go."""

    def __init__(self, esl: ModuleType, monkeypatch: Any) -> None:
        self.reached = threading.Event()
        self.free = threading.Event()
        file = part(esl, "ingest._files").File
        write = file.write

        def held(self_: Any, parts: Any) -> None:
            self.reached.set()
            assert self.free.wait(60)
            write(self_, parts)

        monkeypatch.setattr(file, "write", held)
