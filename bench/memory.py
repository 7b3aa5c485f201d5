"""Does memory stay flat? Decodes millions of events with one decoder and prints how much memory the process has.

python bench/memory.py [EVENTS] [STREAM...]      10 million of sip_plain by default: some minutes
python bench/memory.py 1000000 sip_json sip_xml  the other formats, one after the other
python bench/memory.py --recording 10            record 10 GB of sip_plain, read them, replay them: some minutes
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import corpora

import eslcodec

CHUNK = 64 << 10


def resident_mb() -> float:
    """Memory of this process in MB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def read(name: str, wanted: int) -> None:
    """Decode that many events of a stream and read each in all ways."""
    data = b"".join(corpora.captured(name))
    print(f"{name}: core {eslcodec.__impl__}, the stream itself {len(data) / 1e6:.0f} MB")
    decoder = eslcodec.Decoder()
    events = 0
    due = 0
    while events < wanted:
        for at in range(0, len(data), CHUNK):
            decoder.feed(data[at : at + CHUNK])
            for message in decoder:
                message.asdict()
                message.to_json()
                message.pairs()
                message.get("Unique-ID")
                message.get("variable_absent")
                events += 1
        if events >= due:
            print(f"{events:>12,} events  {resident_mb():.1f} MB", flush=True)
            due = max(2 * events, due)
    print(f"{events:>12,} events  {resident_mb():.1f} MB")


def watched(what: str, steps: Iterator[int]) -> None:
    """Print how much memory there is each time that twice as many bytes were done."""
    done, due = 0, 1 << 28
    for size in steps:
        done += size
        if done >= due:
            print(f"{what}: {done / 1e9:>6.1f} GB  {resident_mb():.1f} MB", flush=True)
            due = 2 * done
    print(f"{what}: {done / 1e9:>6.1f} GB  {resident_mb():.1f} MB, which is all", flush=True)


def record(folder: Path, size: int) -> Iterator[int]:
    from eslcodec.ingest import Recorder

    data = b"".join(corpora.captured("sip_plain"))
    with Recorder(folder, fsync="never", min_free=0) as recorder:
        recorder.opened(("switch", 8021))
        for _ in range(size // len(data)):
            for at in range(0, len(data), CHUNK):
                recorder.received(data[at : at + CHUNK])
            while recorder.stats()["queued_bytes"] > 1 << 24:  # it would give up behind, faster than any switch
                time.sleep(0.001)
            yield len(data)


def read_back(folder: Path) -> Iterator[int]:
    for message in eslcodec.iter_messages(folder):
        yield len(message.raw)


def replay(folder: Path) -> Iterator[int]:
    from eslcodec.emulator import Emulator

    with (
        Emulator(replay=folder, lossless=True, then="close") as switch,
        eslcodec.connect(port=switch.port, password=switch.password) as fs,
    ):
        fs.subscribe("ALL")
        for message in fs.events():
            yield len(message.raw)


def recording(size: int) -> None:
    """Record that many bytes, read them and replay them."""
    with tempfile.TemporaryDirectory() as folder:
        watched("recording", record(Path(folder), size))
        watched("reading", read_back(Path(folder)))
        watched("replaying, with the client in the same process", replay(Path(folder)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("events", type=int, nargs="?", default=10_000_000)
    parser.add_argument("streams", nargs="*", default=["sip_plain"])
    parser.add_argument("--recording", type=float, metavar="GB")
    args = parser.parse_args()
    if args.recording:
        recording(int(args.recording * 1e9))
        return
    for name in args.streams:
        read(name, args.events)


if __name__ == "__main__":
    main()
