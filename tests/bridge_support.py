"""What the tests of `eslcodec bridge` share: a recording to publish, and runs of the command."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from cli_live_support import spawned
from recordings_support import BEGIN, Tape
from support import plain

from eslcodec.ingest import notices
from eslcodec.ingest.contract import Item, Place
from eslcodec.ingest.publisher import PublisherStats

CORE = "8f08a03a"
SECONDS = 60.0
TRIES = 5
STREAM = "ESL-fs1"


def recorded(folder: Path, *payloads: bytes, hour: int = 1, begin: float = BEGIN) -> Path:
    """A folder as `eslcodec record` makes it, of one switch: a note of its start, and these events.

    Args:
        folder: which; it may have the files of earlier hours.
        hour: in which the file was begun.
        begin: when the first one came.
    """
    tape = Tape(begin=begin)
    tape.note(**notices.to_note(notices.Started("x", 1796000000.0, "10.0.0.1", 8021, core_uuid=CORE)))
    for payload in payloads:
        tape.chunk(plain(payload))
    tape.write(folder / "10.0.0.1_8021" / f"20261130T{hour:02}4838Z-000001.esl.zst")
    return folder


def numbered(count: int) -> list[bytes]:
    """Events."""
    return [b"Event-Name: DTMF\nCore-UUID: 8f08a03a\nEvent-Sequence: %d\n\n" % number for number in range(count)]


def from_folder(folder: Path, url: str, *more: Any) -> list[str]:
    """The command that publishes it."""
    return ["bridge", "--from", str(folder), "fs1=10.0.0.1", "--since", "all", "--to", url, *map(str, more)]


class Running:
    """A command that runs, and what it says."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.said = ""
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._news:
                self.said += line.decode()
                self._news.notify_all()

    def wait_for(self, is_so: Callable[[], object], what: object = "") -> None:
        """Until something is so, which is looked at whenever it says something, and now and then."""
        end = time.monotonic() + SECONDS
        with self._news:
            while time.monotonic() < end and self.process.poll() is None:
                if is_so():
                    return
                self._news.wait(0.05)
        if self.process.poll() is not None:
            self._reader.join(SECONDS)  # what it said last may not be read yet
        assert is_so(), f"it did not come about: {what}; it said {self.said}"

    def says(self, text: str) -> None:
        """Wait until it has said so."""
        self.wait_for(lambda: text in self.said, text)

    def ended(self, *signals: int) -> int:
        """Its exit status."""
        for number in signals:
            self.process.send_signal(number)
        code = self.process.wait(SECONDS)
        self._reader.join(SECONDS)
        return code


@contextmanager
def running(*args: Any, **env: str) -> Iterator[Running]:
    with spawned(*args, **env) as process:
        run = Running(process)
        yield run
        process.kill()
        run.ended()


def published(folder: Path, url: str, *more: Any, stream: str = STREAM) -> tuple[int, str]:
    """Publish a folder until it is in the stream, and end it with SIGTERM: the exit status, and what it said."""

    def places() -> list[bytes]:
        return [path.read_bytes() for path in folder.glob(f"*/{stream}*.place")]

    before = places()
    with running(*from_folder(folder, url, *more)) as run:
        run.wait_for(lambda: places() != before, "a place")
        return run.ended(signal.SIGTERM), run.said


def troubled(kind: str, text: str, *words: Any) -> tuple[int, str]:
    """Have a command tell of a trouble, and end it with SIGTERM: the exit status, and what it said.

    It tells of trouble of a kind once. On a busy machine the first may be that an answer came late: it is begun again.

    Args:
        kind: what it says of all trouble of the kind.
        text: what it is to say.
    """
    for _ in range(TRIES):
        with running(*words) as run:
            run.says(kind)
            code = run.ended(signal.SIGTERM)
        if text in run.said:
            break
    return code, run.said


class ListEnd(NamedTuple):
    id: str | None = None
    place: Place | None = None
    max_bytes: int = 1 << 20

    def check(self, partitions: int, prefix: str) -> list[str]:
        if partitions != 16:
            raise ValueError("a list has 16 partitions")
        return ["a list is in memory"]


class ListSink:
    """A log that is a list, and acknowledges so many messages."""

    log: list[Item]
    most = 1000

    def __init__(self, servers: str, stream: str, *, last: str | None, **settings: Any) -> None:
        self.stream = stream
        self.last_id: str | None = last
        self.place: Place | None = None
        self.settings = settings
        self._sent = 0

    async def stream_end(self, create: object = None) -> ListEnd:
        return ListEnd()

    async def __aenter__(self) -> ListSink:
        return self

    async def __aexit__(self, *args: object) -> None:
        pass

    async def publish(self, item: Item) -> None:
        self.log.append(item)
        self._sent += 1
        if self._sent <= self.most:
            self.place, self.last_id = item.place, item.id

    async def flush(self, timeout: float | None = None) -> bool:
        return self._sent <= self.most

    def stats(self) -> PublisherStats:
        return PublisherStats(acknowledged=min(self._sent, self.most))
