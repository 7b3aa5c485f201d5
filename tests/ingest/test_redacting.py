"""Recordings written anew without what may not leave the site (ingest/redacting.py)."""

from __future__ import annotations

import io
import os
import random
import struct
from pathlib import Path
from typing import Any

import pytest
from formats_support import CAPTURES
from sizes import FULL
from support import capture

import eslcodec
from eslcodec import Recording, zst
from eslcodec._codec import HeadScanner
from eslcodec._zstd import Compressor
from eslcodec.ingest import Redact, Redacted, redact_recording

BEGAN = 1_800_000_000
SECRET = b"Qz7~ 5%x"
PASSWORD = b"Event-Name: API\nAPI-Command-Argument: %7Bsip_auth_password%3DQz7~%205%25x%2Ca%3D1%7D\nA: 1\n\n"


def framed(payload: bytes) -> bytes:
    return b"Content-Length: %d\nContent-Type: text/event-plain\n\n%b" % (len(payload), payload)


class Writer:
    """A recording made by hand: each chunk has reads of any size, one every 10 ms."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.at = 0.0
        self.offset = 0
        self.connection = 1
        self.scanner = HeadScanner()
        path.write_bytes(b"")

    def note(self, **note: Any) -> None:
        when = {"wall_ns": round((BEGAN + self.at) * 1e9), "mono_ns": round(self.at * 1e9)}
        self._put(zst.pack_note(connection=self.connection, offset=self.offset, note=note, **when))

    def stream(self, reads: list[bytes], sends: list[tuple[int, int, bytes]] | None = None) -> None:
        data = b"".join(reads)
        head, frame = zst.pack_stream(
            Compressor(0),
            connection=self.connection,
            offset=self.offset,
            wall_ns=round((BEGAN + self.at) * 1e9),
            mono_ns=round(self.at * 1e9),
            first=self.scanner.scan(data),
            reads=b"".join(struct.pack("<II", n * 10_000, len(read)) for n, read in enumerate(reads)),
            sends=sends or [],
            data=data,
        )
        self._put(head + frame)
        self.offset += len(data)
        self.at += 1

    def connect(self) -> None:
        self.connection += 1
        self.offset = 0
        self.scanner = HeadScanner()

    def _put(self, data: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(data)


def pieces(data: bytes, seed: int) -> list[list[bytes]]:
    """Bytes as reads of random sizes, three a chunk."""
    rng = random.Random(seed)
    cut = []
    while data:
        size = rng.choice([1, 7, 100, 3000, 20_000])
        cut.append(data[:size])
        data = data[size:]
    return [cut[at : at + 3] for at in range(0, len(cut), 3)]


def timed(path: Path) -> list[tuple[float, eslcodec.Message]]:
    """Each message of a recording, and when it was whole."""
    found = []
    stream = b""
    ends: list[tuple[int, float]] = []
    for chunk in Recording(path).chunks():
        if chunk.kind == zst.STREAM:
            stream += chunk.data
            for us, size in chunk.reads:
                ends.append(((ends[-1][0] if ends else 0) + size, chunk.wall_ns / 1e9 + us / 1e6))
    decoder = eslcodec.Decoder(max_buffered=1 << 30)
    decoder.feed(stream)
    for message in decoder:
        found.append((next(at for end, at in ends if end >= decoder.consumed), message))
    return found


@pytest.mark.parametrize("name", [name for name in CAPTURES if not name.startswith("churn")])
def test_messages_and_times_are_those_of_the_original(tmp_path: Path, name: str) -> None:
    data = capture(name)[: 500_000 if FULL else 60_000]
    decoder = eslcodec.Decoder()
    decoder.feed(data)
    try:
        whole = list(decoder)
    except eslcodec.ProtocolError:
        return
    data = data[: decoder.consumed]
    writer = Writer(tmp_path / "in.esl.zst")
    for reads in pieces(data, seed=5):
        writer.stream(reads)
    redact = Redact.profile("secrets", mask=["caller-*", "user-data"], drop=["variable_*"])
    result = redact_recording(tmp_path / "in.esl.zst", tmp_path / "out.esl.zst", redact, level=0)
    before, after = timed(tmp_path / "in.esl.zst"), timed(tmp_path / "out.esl.zst")
    assert [message for _, message in after] == [redact(message) for message in whole]
    assert [at for at, _ in after] == [at for at, _ in before]
    assert list(Recording(tmp_path / "out.esl.zst").messages()) == [redact(message) for message in whole]
    written = sum(len(redact(message).frame) for message in whole)
    assert result == Redacted(len(whole), result.changed, len(data), written, 0)
    assert redact_recording(tmp_path / "out.esl.zst", tmp_path / "again.esl.zst", redact, level=0).dropped == 0
    info = Recording(tmp_path / "out.esl.zst").info(verify=True)
    assert info.received == written


def test_connections_notes_and_what_was_sent(tmp_path: Path) -> None:
    event = framed(PASSWORD)
    assert SECRET in eslcodec.unquote(event)
    writer = Writer(tmp_path / "in.esl.zst")
    writer.note(note="opened", peer=["10.0.0.1", 8021])
    writer.stream(
        [b"Content-Type: auth/request\n\n", b"Content-Type: command/reply\nReply-Text: Qz7\n\n", event[:50]],
        [
            (5, 28, b"auth " + SECRET + b"\n\n"),
            (7, 28, b"api originate {sip_auth_pass"),
            (20_000, 79, b"word=" + SECRET + b"}x &park\n\nsendmsg u\nContent-Length: 12\n\npin=Qz7~"),
        ],
    )
    writer.stream([event[50:60]], [(1, 3, b"7777\n\n"[:4])])
    writer.stream([event[60:], event[:-1]])
    writer.note(note="closed", why="end")
    writer.connect()
    writer.note(note="opened", peer=["10.0.0.2", 8021])
    writer.stream([event])
    writer.offset += 1000  # lost
    writer.scanner = HeadScanner()
    writer.stream([event])
    result = redact_recording(tmp_path / "in.esl.zst", tmp_path / "out.esl.zst", Redact.profile("secrets"), level=0)
    assert b"Qz7" not in (tmp_path / "out.esl.zst").read_bytes()
    assert result.dropped == len(event) - 1
    chunks = list(Recording(tmp_path / "out.esl.zst").chunks())
    notes = [chunk.note for chunk in chunks if chunk.kind == zst.NOTE]
    assert [note and note["note"] for note in notes] == ["opened", "closed", "opened"]
    assert notes[1] == {"note": "closed", "why": "end"}
    streams = [chunk for chunk in chunks if chunk.kind == zst.STREAM]
    assert [(chunk.connection, chunk.wall_ns // 10**9 - BEGAN) for chunk in streams] == [
        (1, 0),
        (1, 1),
        (1, 2),
        (2, 3),
        (2, 4),
    ]
    assert streams[0].sends == [
        (5, 28, b"auth ***\n\n"),
        (20_000, 73, b"api originate {sip_auth_password=***}x &park\n\n"),
    ]
    assert streams[0].reads == [(0, 28), (10_000, 45)]
    assert streams[1].reads == []
    assert streams[1].sends == [(1, 0, b"sendmsg u\nContent-Length: 7\n\npin=***")]
    assert streams[2].reads == [(0, streams[2].length)]
    assert streams[4].offset == streams[3].offset + streams[3].length + 1000
    messages = list(Recording(tmp_path / "out.esl.zst").messages())
    assert [message["API-Command-Argument"] for message in messages[2:]] == ["{sip_auth_password=***,a=1}"] * 3


@pytest.mark.skipif(os.name != "posix", reason="modes of files")
def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        redact_recording(io.BytesIO(framed(PASSWORD)), tmp_path / "out.esl.zst", Redact())
    finally:
        os.umask(before)
    assert (tmp_path / "out.esl.zst").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        redact_recording(io.BytesIO(framed(PASSWORD)), tmp_path / "out.esl.zst", Redact())


def test_nothing_is_left_of_a_copy_that_failed(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "in.esl.zst")
    for _ in range(3):
        writer.stream([framed(PASSWORD)])
    data = bytearray((tmp_path / "in.esl.zst").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "in.esl.zst").write_bytes(data)
    with pytest.raises(eslcodec.DamagedRecording):
        redact_recording(tmp_path / "in.esl.zst", tmp_path / "out.esl.zst", Redact())
    assert not (tmp_path / "out.esl.zst").exists()
    result = redact_recording(tmp_path / "in.esl.zst", tmp_path / "out.esl.zst", Redact(), damaged="skip")
    assert result.messages == 2


def test_a_stream_without_times_stays_one(tmp_path: Path) -> None:
    data = capture("sip_plain")[:200_000]
    result = redact_recording(io.BytesIO(data), tmp_path / "out.esl.zst", Redact(mask=["unique-id"]))
    messages = list(Recording(tmp_path / "out.esl.zst").messages())
    assert len(messages) == result.messages > 20
    assert {message.get("Unique-ID") for message in messages} <= {"***", None}
    assert 0 < result.dropped < 20_000


def test_what_is_no_protocol_is_left_out(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "in.esl.zst")
    writer.stream([framed(PASSWORD), b"Content-Length: x\n\n" + SECRET], [(0, 0, b"Content-Length: x\n\n" + SECRET)])
    writer.connect()
    writer.stream([framed(PASSWORD)], [(0, 0, b"exit\n\n")])
    result = redact_recording(tmp_path / "in.esl.zst", tmp_path / "out.esl.zst", Redact.profile("secrets"), level=0)
    assert result.messages == 2
    assert b"Qz7" not in (tmp_path / "out.esl.zst").read_bytes()
    streams = [chunk for chunk in Recording(tmp_path / "out.esl.zst").chunks() if chunk.kind == zst.STREAM]
    assert [[sent.data for sent in chunk.sends] for chunk in streams] == [[], [b"exit\n\n"]]
