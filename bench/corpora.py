"""The streams that are measured: captured ones from tests/data/captures, and made ones that stress a decoder.

A stream is named `sip_plain`, `sip_plain/shuffled` or, with the chunk size in which it arrives, `sip_plain@1460`. Only
the events of a capture are in it: the login before them is left out, because clients answer it from state that a bench
does not have.
"""

from __future__ import annotations

import lzma
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

CAPTURES = Path(__file__).resolve().parent.parent / "tests" / "data" / "captures"
CHUNK = 65536  # what a busy socket gives in one call

FIVE = ("Event-Name", "Unique-ID", "Caller-Destination-Number", "Channel-State", "Event-Date-Timestamp")
LATE = ("variable_accountcode", "variable_tenant_id")
ABSENT = ("variable_no_such_name", "Other-Leg-No-Such-Name")
ITEMS = "variable_sip_items"


@dataclass(frozen=True)
class Stream:
    """Whole frames in the order in which they arrive, the size of the chunks, and what a user reads of each."""

    name: str
    frames: list[bytes]
    chunk: int
    reads: tuple[str, ...]

    @cached_property
    def data(self) -> bytes:
        return b"".join(self.frames)

    @cached_property
    def chunks(self) -> list[bytes]:
        data = self.data
        return [data[at : at + self.chunk] for at in range(0, len(data), self.chunk)]

    @cached_property
    def payloads(self) -> list[bytes]:
        return [frame.partition(b"\n\n")[2] for frame in self.frames]

    @property
    def names(self) -> list[str]:
        """The names of the events that occur."""
        lines = (payload.partition(b"Event-Name: ")[2].partition(b"\n")[0] for payload in self.payloads)
        return sorted({line.decode() for line in lines})


def load(name: str, limit: int | None = None) -> Stream:
    """The stream of that name.

    Args:
        name: see above.
        limit: how many events of a capture at most.
    """
    source, _, chunk = name.partition("@")
    capture, _, order = source.partition("/")
    if capture in MADE:
        frames, reads = list(MADE[capture]()), READS.get(capture, FIVE)
    else:
        frames, reads = captured(capture)[:limit], FIVE
    if order:
        frames = random.Random(8021).sample(frames, len(frames))
    return Stream(name, frames, int(chunk or CHUNK), reads)


@lru_cache
def captured(name: str) -> list[bytes]:
    """The event frames of a capture."""
    data = lzma.decompress((CAPTURES / f"{name}.esl.xz").read_bytes())
    return [frame for frame in split(data) if b"\nContent-Type: text/event-" in frame[:200]]


def split(data: bytes) -> Iterator[bytes]:
    """Frames that are known to be well-formed."""
    at = 0
    while at < len(data):
        end = data.index(b"\n\n", at) + 2
        _, name, length = data[at:end].partition(b"Content-Length: ")
        end += int(length.split(b"\n", 1)[0]) if name else 0
        yield data[at:end]
        at = end


def framed(payload: bytes) -> bytes:
    return b"Content-Length: %d\nContent-Type: text/event-plain\n\n%b" % (len(payload), payload)


# Made streams


def body(size: int) -> Iterator[bytes]:
    """One background job whose result has that many bytes: rows as `show channels` prints them."""
    row = (
        b"1b2c3d4e-5f60-7182-93a4-b5c6d7e8f901,inbound,sofia/internal/1000@example.test,CS_EXECUTE" + b",0" * 40 + b"\n"
    )
    text = (row * (size // len(row) + 1))[:size]
    head = b"Event-Name: BACKGROUND_JOB\nEvent-Sequence: 1\nJob-UUID: 7f4db78a\nContent-Length: %d\n\n" % size
    yield framed(head + text)


def array(items: int, events: int = 200) -> Iterator[bytes]:
    """Events with one array of that many items among 30 ordinary headers."""
    head = b"".join(b"variable_name_%d: value%%20%d\n" % (number, number) for number in range(30))
    for sequence in range(events):
        joined = b"%7C%3A".join(b"item%%20%d" % (sequence + number) for number in range(items))
        line = b"variable_sip_items: ARRAY%3A%3A" + joined
        yield framed(b"Event-Name: CUSTOM\nEvent-Sequence: %d\n%b%b\n\n" % (sequence, head, line))


def names(count: int, events: int = 20) -> Iterator[bytes]:
    """Events with that many headers each, whose names nobody has seen before."""
    for sequence in range(events):
        lines = b"".join(b"variable_new_%d_%d: value %d\n" % (sequence, at, at) for at in range(count))
        yield framed(b"Event-Name: CUSTOM\nEvent-Sequence: %d\n%b\n" % (sequence, lines))


MADE: dict[str, Callable[[], Iterator[bytes]]] = {
    "body_1M": lambda: body(1 << 20),
    "body_4M": lambda: body(4 << 20),
    "array_200": lambda: array(200),
    "array_2000": lambda: array(2000, 20),
    "names_3000": lambda: names(3000),
    "names_12000": lambda: names(12000, 5),
    "replies": lambda: iter([b"Content-Type: command/reply\nReply-Text: +OK accepted\n\n"] * 20_000),
}
READS = {"array_200": (ITEMS,), "array_2000": (ITEMS,), "replies": ("Reply-Text",), "body_4M": ("Job-UUID",)}
