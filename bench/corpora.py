"""The streams that are measured: captured ones from tests/data/captures, and made ones that stress a decoder.

A stream is named `sip_plain`. Behind the name may stand what is done with its events: `sip_plain/shuffled`,
`sip_plain/long`, four times, or `sip_xml/plain`, the same events as the switch would have sent them in the plain
format. Then, how it arrives: in chunks of so many bytes, `sip_plain@1460`, or with so many events a read,
`sip_plain#4`. Only the events of a capture are in it: the login before them is left out, because clients answer it
from state that a bench does not have.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

CAPTURES = Path(__file__).resolve().parent.parent / "tests" / "data" / "captures"
CHUNK = 65536  # what a busy socket gives in one call

FIVE = ("Event-Name", "Unique-ID", "Caller-Destination-Number", "Channel-State", "Event-Date-Timestamp")
LATE = ("variable_accountcode", "variable_tenant_id")
ABSENT = ("variable_no_such_name", "Other-Leg-No-Such-Name")
ITEMS = "variable_sip_items"


@dataclass(frozen=True)
class Stream:
    """Whole frames in the order in which they arrive, how they arrive, and what a user reads of each.

    Attributes:
        name: see above.
        frames: one for each event.
        chunk: bytes a read.
        reads: the names that a user asks for.
        every: events a read; 0 if it is the chunk that counts.
    """

    name: str
    frames: list[bytes]
    chunk: int
    reads: tuple[str, ...]
    every: int = 0

    def first(self, count: int) -> Stream:
        """The same with that many events at most."""
        return replace(self, frames=self.frames[:count])

    @cached_property
    def data(self) -> bytes:
        return b"".join(self.frames)

    @cached_property
    def chunks(self) -> list[bytes]:
        if self.every:
            return [b"".join(self.frames[at : at + self.every]) for at in range(0, len(self.frames), self.every)]
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
    source, _, every = name.partition("#")
    source, _, chunk = source.partition("@")
    capture, _, change = source.partition("/")
    if capture in MADE:
        frames, reads = list(MADE[capture]()), READS.get(capture, FIVE)
    else:
        frames, reads = captured(capture)[:limit], FIVE
    if change:
        frames = CHANGES[change](frames)
    return Stream(name, frames, int(chunk or CHUNK), reads, int(every or 0))


def shuffled(frames: list[bytes]) -> list[bytes]:
    return random.Random(8021).sample(frames, len(frames))


def in_plain(frames: list[bytes]) -> list[bytes]:
    """The same events in the plain format."""
    import eslcodec

    decoder: Any = eslcodec.Decoder()  # of events only
    decoder.feed(b"".join(frames))
    return [framed(event.serialize("plain")) for event in decoder]


def long(frames: list[bytes]) -> list[bytes]:
    """For what costs something once, however many events there are."""
    return frames * 4


CHANGES: dict[str, Callable[[list[bytes]], list[bytes]]] = {"shuffled": shuffled, "plain": in_plain, "long": long}


@lru_cache
def captured(name: str) -> list[bytes]:
    """The event frames of a capture."""
    import eslcodec

    data = b"".join(chunk.data for chunk in eslcodec.Recording(CAPTURES / f"{name}.esl.xz").chunks())
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


def headers(count: int, events: int = 120) -> Iterator[bytes]:
    """Events of that many headers, the names always the same: calls with very many variables, eight events each.

    Within a call one value in ten is another in each event; one in eight has percent-codes.
    """
    event_names = ("CHANNEL_STATE", "CHANNEL_CALLSTATE", "CHANNEL_EXECUTE", "CHANNEL_EXECUTE_COMPLETE")
    for sequence in range(events):
        call = sequence // 8
        first = [
            f"Event-Name: {event_names[sequence % 4]}",
            f"Event-Sequence: {sequence}",
            f"Event-Date-Timestamp: {1795442780517319 + 20_011 * sequence}",
            "Channel-State: CS_EXECUTE",
            f"Unique-ID: 41450517-9b95-4633-93d9-{call:012x}",
            f"Caller-Destination-Number: 49309{call:05d}",
        ]
        rest = (
            f"variable_sip_h_X-Attribute-{at}: "
            f"{'a%20longer%3B%20value' if at % 8 == 0 else 'value'}-{sequence if at % 10 == 0 else call}-{at}"
            for at in range(len(first), count)
        )
        yield framed("\n".join([*first, *rest, "", ""]).encode())


MADE: dict[str, Callable[[], Iterator[bytes]]] = {
    "body_1M": lambda: body(1 << 20),
    "body_4M": lambda: body(4 << 20),
    "array_200": lambda: array(200),
    "array_2000": lambda: array(2000, 20),
    "names_3000": lambda: names(3000),
    "names_12000": lambda: names(12000, 5),
    "headers_500": lambda: headers(500),
    "headers_1500": lambda: headers(1500),
    "replies": lambda: iter([b"Content-Type: command/reply\nReply-Text: +OK accepted\n\n"] * 20_000),
}
READS = {"array_200": (ITEMS,), "array_2000": (ITEMS,), "replies": ("Reply-Text",), "body_4M": ("Job-UUID",)}
