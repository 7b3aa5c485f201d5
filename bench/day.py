"""How large the recording of a day is: the calls of a capture, more or fewer of them, in chunks of a second.

    python bench/day.py [CALLS A DAY]...

`tests/data/captures/calls_sip` has 150 calls with everything that the switch sent of them. Their legs are laid over
each other at random moments, as many as a day of so many calls has, evenly over the day. An hour of it or less is
packed as `eslcodec record` packs it, and counted. docs/guides/recordings.md has the result.
"""

from __future__ import annotations

import lzma
import random
import struct
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from eslcodec import Decoder, Event, presets, zst

CAPTURE = Path(__file__).parents[1] / "tests" / "data" / "captures" / "calls_sip.esl.xz"
CALLS = 150  # in it
DAY = 86400.0
SECONDS = 3600.0  # of the day that are packed, or
LEGS = 2000  # so many legs, whichever is less
CHUNK_SECONDS = 1.0
CHUNK_BYTES = 1 << 20

Leg = list[tuple[float, bytes]]  # seconds, and the frame of an event


def legs(names: Iterable[str]) -> list[Leg]:
    """The events of these names, by call."""
    decoder = Decoder()
    decoder.feed(lzma.decompress(CAPTURE.read_bytes()))
    found: dict[str, Leg] = defaultdict(list)
    wanted = set(names)
    for event in decoder:
        if isinstance(event, Event) and (event.name in wanted or "ALL" in wanted):
            stamp = event.timestamp
            assert stamp is not None
            found[event.get("Channel-Call-UUID") or event.get("Unique-ID") or ""].append(
                (stamp.timestamp(), event.frame)
            )
    return list(found.values())


def stream(legs: list[Leg], calls: float, seconds: float) -> Iterator[tuple[float, bytes]]:
    """The events of so many seconds of a day of so many calls."""
    chance = random.Random(7)
    events: Leg = []
    for _ in range(round(calls / DAY * seconds * len(legs) / CALLS)):
        leg = chance.choice(legs)
        start = chance.uniform(0, seconds) - leg[0][0]
        events += [(start + at, frame) for at, frame in leg]
    return iter(sorted(events))


def packed(events: Iterable[tuple[float, bytes]]) -> tuple[int, int]:
    """Bytes received, and written."""
    compressor = zst.Compressor(1)
    received = written = 0
    chunk: list[bytes] = []
    size, began = 0, 0.0

    def write() -> int:
        reads = struct.pack("<II", 0, 1) * len(chunk)
        parts = zst.pack_stream(
            compressor,
            connection=1,
            offset=0,
            wall_ns=0,
            mono_ns=0,
            first=0,
            reads=reads,
            sends=(),
            data=b"".join(chunk),
        )
        return sum(map(len, parts))

    for at, frame in events:
        if chunk and (at - began >= CHUNK_SECONDS or size >= CHUNK_BYTES):
            written += write()
            chunk, size = [], 0
        began = began if chunk else at
        chunk.append(frame)
        size += len(frame)
        received += len(frame)
    return received, written + (write() if chunk else 0)


def main(days: list[int]) -> None:
    """Print a line for each day and preset."""
    for calls in days:
        for name, names in (("CALLS", presets.CALLS), ("ALL", presets.ALL)):
            found = legs(names)
            seconds = min(SECONDS, LEGS / (calls / DAY * len(found) / CALLS))
            received, written = (number * DAY / seconds for number in packed(stream(found, calls, seconds)))
            print(
                f"{calls:>9,} calls, {name:<5}: {received / 1e9:8.2f} GB received, {written / 1e9:7.3f} GB on disk, "
                f"{received / written:4.1f} x smaller"
            )


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or [10_000, 100_000, 1_000_000])
