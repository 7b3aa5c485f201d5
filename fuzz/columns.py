"""Any bytes as a stream for `Columns` and `ndjson`: both cores make the same rows and lines, however it is fed."""

from __future__ import annotations

import io
import random
from contextlib import suppress
from typing import Any

from _common import PYTHON, C, draw, main, same, some_names, support
from columns_support import made, wanted_rows

KINDS = ("string", "dictionary", "int64", "float64", "timestamp", "bool", "list", "binary", "json")
PSEUDO = ("@body", "@json", "@id", "@received", "@offset", "@switch")
RARE = ("timestamp",)  # Python has no dates for most of what Arrow has
TEXTS = ("string", "dictionary", "list", "binary")


def spec_of(messages: list[Any], rng: random.Random) -> dict[str, Any]:
    names = ["Event-Name", "Event-Sequence", "Core-UUID"]
    for message in messages[:3]:
        names += some_names(message, rng)
    kinds = [kind for kind in KINDS if kind not in RARE]
    spec = {f"{number}": (name, rng.choice(kinds)) for number, name in enumerate(names)}
    for name in rng.sample(PSEUDO, 3):
        spec[name] = (name, rng.choice(["string", "binary"]))
    return spec


def lines_of(package: Any, data: bytes) -> tuple[bytes, Any]:
    out = io.BytesIO()
    try:
        count: Any = package.ingest._ndjson.ndjson(data, out)
    except package.ProtocolError as error:
        count = type(error).__name__, str(error)
    return out.getvalue(), count


def events_in(data: bytes) -> list[Any]:
    messages: list[Any] = []
    decoder = PYTHON.Decoder()
    with suppress(PYTHON.ProtocolError):
        support.take(decoder, [data], messages)
    return [message for message in messages if isinstance(message, PYTHON.Event)]


def test_one_input(data: bytes) -> None:
    rng = draw(data)
    events = events_in(data)
    spec = spec_of(events, rng)
    chosen = None if rng.random() < 0.7 else [event.name.replace(" ", "") for event in events[:2] if event.name]
    options = {"events": chosen, "batch_rows": rng.choice([1, 2, 1000]), "batch_bytes": rng.choice([1, 500, 1 << 20])}
    try:
        whole = made(PYTHON, spec, [data], **options)
    except ValueError:  # a choice of events that means nothing
        return
    same(made(C, spec, [data], **options), whole, "whole")
    pieces = rng.choice([support.pieces(data, 1), support.pieces(data, rng.randint(1, 50), rng.randint(1, 7))])
    same(made(C, spec, pieces, **options), whole, "in pieces")
    if chosen is None:
        plain = {name: what for name, what in spec.items() if what[1] in TEXTS}
        assert [{name: row[name] for name in plain} for row in whole[0]] == wanted_rows(PYTHON, plain, data)
    same(lines_of(C, data), lines_of(PYTHON, data), "lines")


if __name__ == "__main__":
    main(test_one_input)
