"""Does memory stay flat? Decodes millions of events with one decoder and prints how much memory the process has.

python bench/memory.py [EVENTS] [STREAM...]      10 million of sip_plain by default: some minutes
python bench/memory.py 1000000 sip_json sip_xml  the other formats, one after the other
"""

from __future__ import annotations

import sys
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


def main() -> None:
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
    for name in sys.argv[2:] or ["sip_plain"]:
        read(name, wanted)


if __name__ == "__main__":
    main()
