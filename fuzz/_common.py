"""What the fuzz targets share: both cores, inputs as texts, and what is stated about every event: both read the same.

Only the Python twin gives coverage to the fuzzer; the compiled core is compared with it. What happens to an input is
drawn from the input itself, so that every finding can be repeated.
"""

from __future__ import annotations

import json
import random
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import atheris

sys.path.append(str(Path(__file__).parent.parent / "tests"))

with atheris.instrument_imports(include=["eslcodec", "eslcodec_python", "eslcodec_c"]):
    import support

    C, PYTHON = support.load_core("c"), support.load_core("python")
    for package in (C, PYTHON):
        for module in (
            "_xml",
            "_json",
            "render",
            "headers",
            "commands",
            "emulator._listener",
            "connection",
            "ESL",
            "ingest.columns",
            "ingest._ndjson",
        ):
            __import__(f"{package.__name__}.{module}")

import losses

BETWEEN_RECORDS, BETWEEN_FIELDS, BETWEEN_ITEMS = b"\x1e", b"\x1f", b"\x1d"
"""What cuts an input that stands for calls: into calls or arguments, those into texts, those into items of a list."""

READINGS = {
    "raw": lambda event: event.raw,
    "payload": lambda event: event.payload,
    "content_type": lambda event: event.content_type,
    "body": lambda event: event.body,
    "text": lambda event: event.text,
    "malformed": lambda event: fault(event.malformed),
    "pairs": lambda event: event.pairs(),
    "asdict": lambda event: list(event.asdict().items()),
    "items": lambda event: list(event.items()),
    "keys": lambda event: list(event),
    "len": lambda event: len(event),
    "fields": lambda event: event._fields(),
    "to_dict": lambda event: list(event.to_dict().items()),
    "to_dict, escaped": lambda event: list(event.to_dict("surrogateescape").items()),
    "to_json": lambda event: event.to_json(),
    "to_json, escaped": lambda event: event.to_json("surrogateescape"),
    "envelope": lambda event: event.envelope,
    "hash": lambda event: hash(event) == hash(type(event)(*event.__reduce__()[1])),
    "survey": lambda event: support.survey(event),
    "named": lambda event: (event.name, event.subclass, event.uuid, event.sequence, event.timestamp),
}


def fault(malformed: Any) -> Any:
    return malformed and (malformed.format, malformed.offset, malformed.why, str(malformed))


def draw(data: bytes) -> random.Random:
    return random.Random(zlib.crc32(data))


def texts(record: bytes, between: bytes = BETWEEN_FIELDS) -> list[str]:
    return [support.to_text(field) for field in record.split(between)]


def choose(options: Sequence[str], word: str) -> str:
    """The word itself if it is an option, else one that it stands for: any input means something."""
    return word if word in options else options[zlib.crc32(word.encode("utf-8", "surrogateescape")) % len(options)]


def same(ours: Any, theirs: Any, what: object) -> Any:
    assert ours == theirs, f"{what}: C has {ours!r}, Python has {theirs!r}"
    return ours


def some_names(event: Any, rng: random.Random) -> list[str]:
    """Names that are there, that are there in another case, and that are not."""
    names = [name for name, _ in event.pairs()]
    names = rng.sample(names, min(len(names), 8))
    names += [rng.choice([str.upper, str.lower, str.swapcase])(name) for name in names]
    names += (
        [name[:-1] for name in names[:2]] + [name + ":" for name in names[:2]] + [name + ": x" for name in names[:1]]
    )
    names += ["Event-Name", "event-NAME", "_body", "absent", "", "\n", "\ud800", "Content-Length", "\udcc3\udca9"]
    rng.shuffle(names)
    return names


def naive_dict(pairs: list[tuple[str, str]]) -> dict[str, str]:
    eager: dict[str, str] = {}
    for name, value in pairs:
        if name == "Event-Name":
            eager[name] = value
        else:
            eager.setdefault(name, value)
    return eager


def compare_events(ours: Any, theirs: Any, rng: random.Random) -> None:
    """Both cores read the same, in any order; look-ups say what the eager reading says; nothing raises."""
    readings = list(READINGS)
    names = some_names(type(theirs)(*theirs.__reduce__()[1]), rng)
    look_ups = [*names, *readings]
    rng.shuffle(look_ups)
    for what in look_ups:
        if what in READINGS:
            same(READINGS[what](ours), READINGS[what](theirs), what)
        else:
            value = same(ours.get(what), theirs.get(what), what)
            assert same(what in ours, what in theirs, what) == (value is not None)
            same(support.lone(ours, what), support.lone(theirs, what), what)
            if rng.random() < 0.25:  # reads all of the event, each time
                same(ours.getlist(what), theirs.getlist(what), what)
            same(ours.select(what, "absent"), theirs.select(what, "absent"), what)
    pairs = theirs.pairs()
    eager = naive_dict(pairs)
    assert list(theirs.asdict().items()) == list(eager.items())
    folded: dict[str, str] = {}
    for name in eager:
        folded.setdefault(support.ascii_lower(name), name)
    for name in names:
        assert theirs.get(name) == eager.get(name if name in eager else folded.get(support.ascii_lower(name))), name
    for errors in ("replace", "surrogateescape"):
        assert json.loads(theirs.to_json(errors)) == theirs.to_dict(errors)
        theirs.to_json(errors).decode()
    if theirs.malformed is not None:
        assert (pairs, theirs.body) == ([], None)


def compare_round_trip(event: Any, package: Any, own_format: str) -> None:
    """Written in each format and read back, an event has what losses.py says."""
    if event.malformed is not None:
        for format in losses.FORMATS:
            try:
                assert event.serialize(format) == event.payload
                assert format == own_format
            except package.MalformedPayload:
                assert format != own_format
        return
    fields, body = event._fields(), event.body
    for format in losses.FORMATS:
        if format == own_format:
            assert event.serialize(format) == event.payload
            continue
        try:
            payload = event.serialize(format)
        except package.InvalidCommand:
            assert losses.refused(fields, body, format), (format, fields, body)
            continue
        assert not losses.refused(fields, body, format), (format, fields, body)
        again = package.Event.from_payload(payload, format)
        assert again.malformed is None, (format, payload, again.malformed)
        assert (again._fields(), again.body) == losses.written(fields, body, format), (format, payload)


def variants(payload: bytes, rng: random.Random) -> list[bytes]:
    """Payloads that resemble one: what a decoder remembers of one must not show in the next."""
    made = [payload]
    for _ in range(rng.randrange(3)):
        at = rng.randrange(len(payload) + 1)
        end = at + rng.choice([0, 1, 1, 3, 20])
        made.append(payload[:at] + rng.choice([b"", b"x", b"\n", b"\r", b'"', b"%41", b": "]) + payload[end:])
    return [*made, payload]


def events_of(package: Any, payloads: list[bytes], format: str) -> list[Any]:
    decoder = package.Decoder()
    for payload in payloads:
        decoder.feed(
            b"Content-Length: %d\nContent-Type: text/event-%b\n\n%b" % (len(payload), format.encode(), payload)
        )
    return list(decoder)


def payload_target(format: str) -> Any:
    def test_one_input(data: bytes) -> None:
        rng = draw(data)
        payloads = variants(data, rng)
        for ours, theirs in zip(events_of(C, payloads, format), events_of(PYTHON, payloads, format), strict=True):
            if rng.random() < 0.3:  # these are told nothing by their neighbours
                ours = C.Event.from_payload(ours.payload, format)
            compare_events(ours, theirs, rng)
            if format == "plain":
                assert (theirs.pairs(), theirs.body) == support.naive_payload(theirs.payload)
            package, event = (C, ours) if rng.random() < 0.5 else (PYTHON, theirs)
            compare_round_trip(event, package, format)

    return test_one_input


def main(test_one_input: Any) -> None:
    words = Path(__file__).with_name("esl.dict")
    atheris.Setup([sys.argv[0], f"-dict={words}", "-max_len=4096", *sys.argv[1:]], test_one_input)
    atheris.Fuzz()
