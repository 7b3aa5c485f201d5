"""Does memory stay flat? Decodes millions of events with one decoder and prints how much memory the process has.

python bench/memory.py [EVENTS] [STREAM...]      10 million of sip_plain by default: some minutes
python bench/memory.py 1000000 sip_json sip_xml  the other formats, one after the other
python bench/memory.py --recording 10            record 10 GB of sip_plain, read them, replay them: some minutes
python bench/memory.py --convert 10              record 10 GB, `eslcodec convert` them to Parquet: some minutes

The last needs pyarrow, and some GB of room in the folder for temporary files. --options says what `convert` gets, such
as --options='--calls'.
"""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import repeat
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


def record(folder: Path, size: int, streams: Iterator[bytes]) -> Iterator[int]:
    """Record that many bytes, one stream after the other."""
    from eslcodec.ingest import Recorder

    with Recorder(folder, fsync="never", min_free=0) as recorder:
        recorder.opened(("switch", 8021))
        done = 0
        for data in streams:
            for at in range(0, len(data), CHUNK):
                recorder.received(data[at : at + CHUNK])
            while recorder.stats()["queued_bytes"] > 1 << 24:  # it would give up behind, faster than any switch
                time.sleep(0.001)
            yield len(data)
            done += len(data)
            if done >= size:
                break


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
        watched("recording", record(Path(folder), size, repeat(b"".join(corpora.captured("sip_plain")))))
        watched("reading", read_back(Path(folder)))
        watched("replaying, with the client in the same process", replay(Path(folder)))


UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def renamed(data: bytes) -> Iterator[bytes]:
    """The same again and again, with other uuids each time: calls of a day are not the same."""
    texts, uuids = UUID.split(data), UUID.findall(data)
    number = 0
    while True:
        pieces = [b"%08x%b" % (int(uuid[:8], 16) ^ number, uuid[8:]) for uuid in uuids]
        yield b"".join(piece for pair in zip(texts, [*pieces, b""], strict=True) for piece in pair)
        number += 1


def convert(size: int, options: list[str]) -> None:
    """Record that many bytes, convert them in another process, and print what memory that one has."""
    with tempfile.TemporaryDirectory() as name:
        folder, out = Path(name, "rec"), Path(name, "out.parquet")
        watched("recording", record(folder, size, renamed(b"".join(corpora.captured("sip_plain")))))
        packed = sum(file.stat().st_size for file in folder.rglob("*.zst"))
        command = [sys.executable, "-m", "eslcodec", "convert", *options, str(folder), str(out)]
        began = time.monotonic()
        with subprocess.Popen(command, cwd="/") as process:
            peak, due = 0.0, 0.0
            while process.poll() is None:
                now, peak = memory_of(process.pid, peak)
                seconds = time.monotonic() - began
                if seconds >= due:
                    written = out.stat().st_size / 1e6 if out.exists() else 0
                    print(f"{seconds:>6.0f} s  {now:>6.1f} MB, {written:,.0f} MB written", flush=True)
                    due = max(5.0, seconds * 1.25)
                time.sleep(0.1)
        print(
            f"{shlex.join(['convert', *options])}: {size / 1e9:.1f} GB, {packed / 1e6:,.0f} MB on disk, to "
            f"{out.stat().st_size / 1e6:,.0f} MB in {time.monotonic() - began:.0f} s; peak {peak:.1f} MB, "
            f"exit status {process.returncode}"
        )


def memory_of(process: int, peak: float) -> tuple[float, float]:
    """MB of another process now, and at most up to now (Linux). Both are the old peak when it has ended."""
    text = Path(f"/proc/{process}/status").read_text()
    found = {name: int(size) * 1024 / 1e6 for name, size in re.findall(r"^(Vm\w+):\s+(\d+) kB$", text, re.MULTILINE)}
    return found.get("VmRSS", peak), found.get("VmHWM", peak)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("events", type=int, nargs="?", default=10_000_000)
    parser.add_argument("streams", nargs="*", default=["sip_plain"])
    parser.add_argument("--recording", type=float, metavar="GB")
    parser.add_argument("--convert", type=float, metavar="GB")
    parser.add_argument("--options", default="", help="of `eslcodec convert`")
    args = parser.parse_args()
    if args.convert:
        convert(int(args.convert * 1e9), shlex.split(args.options))
        return
    if args.recording:
        recording(int(args.recording * 1e9))
        return
    for name in args.streams:
        read(name, args.events)


if __name__ == "__main__":
    main()
