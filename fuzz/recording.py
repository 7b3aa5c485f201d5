"""Recordings: any bytes as a file, and files that were written and then changed.

Only documented errors are raised; of a file that was written, nothing comes out that was not in it, with its times;
both cores give the same messages.
"""

from __future__ import annotations

import importlib
import io
import random
import struct
from typing import Any

from _common import PYTHON, C, draw, main, same

zst, recordings = (importlib.import_module(f"{PYTHON.__name__}.{name}") for name in ("zst", "recordings"))
of_c = importlib.import_module(f"{C.__name__}.recordings")
CONNECTION = 0x1122_3344_5566_7788
Shown = tuple[Any, ...]


def shown(chunk: Any) -> Shown:
    data = chunk.data
    when = chunk.kind, chunk.connection, chunk.offset, chunk.wall_ns, chunk.mono_ns, chunk.first
    return (*when, data, chunk.reads_bytes, tuple(chunk.sends), repr(chunk.note))


def chunks_of(data: bytes, **options: Any) -> list[Shown]:
    """What comes out before an error, which must be one of ours."""
    found = []
    try:
        for chunk in zst.read_chunks(io.BytesIO(data), **options):
            found.append(shown(chunk))
    except PYTHON.ESLError:
        pass
    return found


def messages_of(module: Any, package: Any, data: bytes, **options: Any) -> tuple[list[bytes], str]:
    recording, found = module.Recording(io.BytesIO(data), **options), []
    try:
        for message in recording.messages():
            found.append(message.frame)
    except (package.ESLError, OSError) as error:
        return found, f"{type(error).__name__}: {error}"
    return found, f"{recording.dropped} {[str(error) for error in recording.damage]}"


def written(data: bytes, rng: random.Random) -> bytes:
    """A recording of these bytes."""
    compressor = zst.Compressor(rng.choice([0, 0, 1]))
    scanner = PYTHON._codec.HeadScanner()
    parts, sizes, at, connection = [], [], 0, CONNECTION
    while at < len(data) and len(parts) < 16:
        when = {"connection": connection, "offset": at, "wall_ns": rng.getrandbits(60), "mono_ns": at}
        if rng.random() < 0.2:
            parts.append(zst.pack_note(note={"note": "x", "n": rng.random()}, **when))
            sizes.append((len(parts[-1]), 0))
        piece = data[at : at + rng.randint(1, 400)]
        reads = struct.pack("<IIII", 0, len(piece) // 2, rng.getrandbits(20), len(piece) - len(piece) // 2)
        sends = [(rng.getrandbits(20), rng.randint(0, len(piece)), rng.randbytes(9))] * rng.randint(0, 2)
        head, frame = zst.pack_stream(
            compressor, first=scanner.scan(piece), reads=reads, sends=sends, data=piece, **when
        )
        parts += (head, frame)
        sizes += ((len(head), 0), (len(frame), len(piece)))
        at += len(piece)
    return b"".join(parts) + (zst.seek_table(sizes) if rng.random() < 0.5 else b"")


def changed(data: bytes, rng: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        at = rng.randrange(len(out) + 1)
        change = rng.randrange(5)
        if change == 0:
            del out[at : at + rng.choice([1, 3, 200])]
        elif change == 1:
            out[at:at] = rng.randbytes(rng.choice([1, 4, 40]))
        elif change == 2:
            out[at:at] = out[rng.randrange(len(out) + 1) :][: rng.choice([8, 70, 400])]
        elif change == 3:
            del out[at:]
        elif at < len(out):
            out[at] ^= 1 << rng.randrange(8)
    return bytes(out)


def test_one_input(data: bytes) -> None:
    rng = draw(data)
    for options in ({}, {"damaged": "skip"}, {"data": False}, {"check": False, "damaged": "skip"}):
        try:
            for chunk in zst.read_chunks(io.BytesIO(data), **options):
                repr((chunk.reads, chunk.sends, chunk.note, chunk.end_ns, chunk.sizes, chunk))
        except PYTHON.ESLError:
            pass
    for damaged in ("raise", "skip"):
        same(messages_of(of_c, C, data, damaged=damaged), messages_of(recordings, PYTHON, data, damaged=damaged), data)
    recordings.Recording(io.BytesIO(data)).info(verify=rng.random() < 0.5)
    whole = written(data, rng)
    chunks = chunks_of(whole)
    assert b"".join(chunk[6] for chunk in chunks) == data[: sum(len(chunk[6]) for chunk in chunks)]
    for _ in range(4):
        other = changed(whole, rng)
        for damaged in ("raise", "skip"):
            for chunk in chunks_of(other, damaged=damaged):
                assert chunk in chunks, chunk
            same(
                messages_of(of_c, C, other, damaged=damaged),
                messages_of(recordings, PYTHON, other, damaged=damaged),
                "of a changed file",
            )


if __name__ == "__main__":
    main(test_one_input)
