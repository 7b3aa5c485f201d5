"""What columns, lines and call records cost: from received bytes, from a recording, and live."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import loopback
import recorded
from corpora import Stream

Pass = Callable[[], object]

EIGHT: dict[str, tuple[str, str]] = {
    "name": ("Event-Name", "dictionary"),
    "core_uuid": ("Core-UUID", "dictionary"),
    "at": ("Event-Date-Timestamp", "timestamp"),
    "sequence": ("Event-Sequence", "int64"),
    "uuid": ("Unique-ID", "string"),
    "channel": ("Channel-Name", "string"),
    "callee": ("Caller-Destination-Number", "string"),
    "cause": ("Hangup-Cause", "dictionary"),
}
TWENTY = EIGHT | {
    name: (name, "string")
    for name in (
        "Call-Direction",
        "Channel-State",
        "Channel-Call-State",
        "Answer-State",
        "Caller-Caller-ID-Number",
        "Caller-Caller-ID-Name",
        "Caller-Context",
        "Caller-Source",
        "Other-Leg-Unique-ID",
        "FreeSWITCH-Hostname",
        "Channel-Read-Codec-Name",
        "variable_sip_call_id",
    )
}


def columns(spec: dict[str, tuple[str, str]]) -> Callable[[Stream], Pass]:
    """`Columns.feed` of the stream; the batches are let go of."""

    def prepare(stream: Stream) -> Pass:
        from eslcodec.ingest import Columns

        made, chunks = Columns(spec), stream.chunks

        def run() -> None:
            for chunk in chunks:
                made.feed(chunk)
                made.take()
            made.flush()

        return run

    return prepare


def lines(stream: Stream) -> Pass:
    """`ndjson` of the stream, to nowhere."""
    from eslcodec.ingest import ndjson

    class Nowhere:
        def write(self, data: bytes) -> int:
            return len(data)

    nowhere: Any = Nowhere()
    return lambda: ndjson(stream.chunks, nowhere)


LONG_BYTES = 256 << 20


def scanned(threads: int, long: bool = False) -> Callable[[Stream], Pass]:
    """`scan` of a recording, eight columns: of the stream, or of so many of it that threads have enough to do."""

    def prepare(stream: Stream) -> Pass:
        from eslcodec.ingest import scan

        times = max(LONG_BYTES // len(stream.data), 1) if long else 1
        found = scan(recorded.recorded(stream, times), EIGHT, threads)

        def run() -> None:
            for _ in found:
                pass

        return run

    return prepare


def legs(stream: Stream) -> Pass:
    """`legs` of a recording of the stream."""
    import eslcodec.ingest

    folder = recorded.recorded(stream)

    def run() -> None:
        for _ in eslcodec.ingest.legs(folder):
            pass

    return run


def live(stream: Stream) -> Pass:
    """`fs.batches` of the blocking client."""
    import eslcodec

    served = loopback.switch(stream)
    count = len(stream.frames)
    client = eslcodec.connect(port=served.port, password=str(count))
    taken, every = served.pace.taken, served.pace.every

    def run() -> int:
        came, due = 0, every or count
        client.subscribe("ALL")
        for batch in client.batches(EIGHT, max_rows=every or count, max_seconds=60):
            came += batch.num_rows
            if came >= due:
                taken[0] = came
                due += every
            if came >= count:
                break
        return came

    return run
