"""Legs and calls of a decoder or a recording: events that they do not read are passed over, and nothing else is."""

from __future__ import annotations

import gc
import random
import tracemalloc
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from legs_support import Script
from support import capture, part, pieces, plain

CAPTURES = Path(__file__).parent.parent / "data" / "captures"
NAMES = sorted({path.name.split(".")[0] for path in CAPTURES.glob("*.esl*")})
SIZE = 400_000


def rows(esl: ModuleType, name: str, source: Any) -> tuple[list[Any], Any]:
    """What came, and what was raised then."""
    found: list[Any] = []
    try:
        for row in getattr(part(esl, "ingest"), name)(source):
            found.append(row)
    except esl.ProtocolError as error:
        return found, (type(error).__name__, str(error))
    return found, None


def decoder(esl: ModuleType, data: bytes) -> Any:
    decoder = esl.Decoder()
    decoder.feed(data)
    return decoder


def check(esl: ModuleType, data: bytes) -> None:
    """All messages, one by one, and those that are made: the same rows."""
    for name in ("legs", "calls"):
        wanted = rows(esl, name, iter(decoder(esl, data)))
        assert rows(esl, name, decoder(esl, data)) == wanted


@pytest.mark.parametrize("name", NAMES)
def test_captures(esl: ModuleType, name: str) -> None:
    check(esl, capture(name)[:SIZE])


@pytest.mark.parametrize("name", ["calls_sip", "churn_plain", "calls_sip_json", "churn_json", "churn_xml"])
@pytest.mark.parametrize("seed", range(4))
def test_damaged_events(esl: ModuleType, name: str, seed: int) -> None:
    """Bytes of payloads, and now and then of a head, are others."""
    chance = random.Random(f"{name} {seed}")
    data = bytearray(capture(name)[:150_000])
    names = [place for place in range(len(data)) if data.startswith((b"Event-Name", b"CHANNEL_"), place)]
    for _ in range(40):
        place = chance.choice(names) + chance.randrange(16) if chance.random() < 0.7 else chance.randrange(len(data))
        data[min(place, len(data) - 1)] = chance.choice(b'\n\r: "\\<>Ee%A_\0\xff')
    check(esl, bytes(data))


def test_switches_in_one_stream(esl: ModuleType) -> None:
    """Frames of several switches, in turn."""
    chance = random.Random(8021)
    streams = [
        [message.frame for message in decoder(esl, capture(name)[:300_000])]
        for name in ("calls_sip", "churn_plain", "churn_json", "churn_xml", "restart_recover_before")
    ]
    frames = []
    while any(streams):
        stream = chance.choice([one for one in streams if one])
        frames.append(stream.pop(0))
    check(esl, b"".join(frames))


@pytest.mark.parametrize("format", ["plain", "json", "xml"])
def test_scripts_in_every_format(esl: ModuleType, format: str) -> None:
    script = Script(esl).talk("a", "b").after(10).end("a", "b")
    frames = []
    for event in script.events:
        payload = event.serialize(format)
        frames.append(
            b"Content-Length: %d\nContent-Type: text/event-%b\n\n%b" % (len(payload), format.encode(), payload)
        )
        frames.append(plain(b"Event-Name: CODEC\nUnique-ID: a\n\n"))
    legs, error = rows(esl, "legs", decoder(esl, b"".join(frames)))
    assert ([leg.status for leg in legs], error) == (["complete", "complete"], None)
    assert legs == rows(esl, "legs", script.events)[0]


def test_recordings(esl: ModuleType, tmp_path: Path) -> None:
    data = capture("churn_plain")[:SIZE]
    ingest = part(esl, "ingest")
    with ingest.Recorder(tmp_path / "rec", fsync="never", min_free=0) as recorder:
        recorder.opened(("switch", 8021))
        for piece in pieces(data, 5000):
            recorder.received(piece)
    for name in ("legs", "calls"):
        recording = esl.Recording(tmp_path / "rec")
        wanted = rows(esl, name, recording.messages())
        assert wanted[0]
        for source in (
            str(tmp_path / "rec"),
            tmp_path / "rec",
            recording,
            esl.Recording(tmp_path / "rec", damaged="skip"),
        ):
            assert rows(esl, name, source) == wanted


def test_a_recording_of_ones_own_is_asked_for_its_messages(esl: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "one.esl").write_bytes(plain(b"Event-Name: CHANNEL_HANGUP_COMPLETE\nUnique-ID: a\n\n"))

    class Own(esl.Recording):  # type: ignore[name-defined,misc]
        def messages(self, *args: Any, **more: Any) -> Any:
            for message in super().messages(*args, **more):
                yield message
                yield esl.Event.build("CHANNEL_HANGUP_COMPLETE", {"Unique-ID": "b"})

    assert [leg.uuid for leg in part(esl, "ingest").legs(Own(tmp_path / "one.esl"))] == ["a", "b"]
    assert [leg.uuid for leg in part(esl, "ingest").legs(tmp_path / "one.esl")] == ["a"]


def test_an_open_leg_keeps_an_event_and_nothing_of_its_decoder(esl: ModuleType) -> None:
    """Decoders as of a switch that goes away again and again, each with a leg that never ends."""
    legs = part(esl, "ingest").Legs()
    lines = b"".join(b"variable_%d: %d\n" % (number, number) for number in range(200))

    def create(number: int) -> None:
        for message in decoder(esl, plain(b"Event-Name: CHANNEL_CREATE\nUnique-ID: %d\n%b\n" % (number, lines))):
            message.asdict()
            legs.see(message)

    create(0)
    tracemalloc.start()
    try:
        for number in range(1, 51):
            create(number)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < 50 * 3 * len(lines)
    finally:
        tracemalloc.stop()
    assert [int(leg.uuid) for leg in legs.finish()] == list(range(51))
