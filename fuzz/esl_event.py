"""Any operations on an event of the ESL module, made, read or received: a list of headers (tests/esl_model.py).

An input is a mode and a format, headers to receive, and calls (see BETWEEN_RECORDS in _common.py).
"""

from __future__ import annotations

import re
from typing import Any

from _common import BETWEEN_RECORDS, PYTHON, C, choose, draw, main, support, texts
from esl_model import Model, fold
from esl_support import FIRST, apply, decoder_of, framed, names_of, seen

MODULES = [support.part(package, "ESL") for package in (C, PYTHON)]
MODES = ("default", "strict")
FORMATS = ("made", "text", "plain", "json", "outer")
CALLS = {  # how many texts each takes
    **{"names": 0, "getBody": 0, "serialize": 1, "getHeader": 1, "setPriority": 0},
    **{"addHeader": 2, "pushHeader": 2, "unshiftHeader": 2, "delHeader": 1, "addBody": 1},
}
MOST = 12  # headers, and calls: the gaps of so many arrays stay below MAX_GAP_ITEMS
LAST = [("names",), ("getBody",), ("serialize", None), ("serialize", "json")]


def argument(text: str) -> str:
    """A text as SWIG takes it, up to its first NUL."""
    return text.partition("\0")[0]


def modelled(name: str) -> str:
    """A name for which the model says all: it knows no array of priorities, and reads an index as Python does."""
    base, bracket, index = name.partition("[")
    if fold(base) == "priority":
        base = "priorit"
    return base + bracket + re.sub(r"[^!-~ ]", "", index)


def on_the_wire(name: str, format: str) -> str | None:
    """A name that a frame can carry as it is, None if it means something else to the frame or to the module."""
    sent = re.sub(rb"[:\r\n\0]", b"", modelled(name).encode("utf-8", "surrogateescape"))
    name = support.to_text(sent)  # bytes that come together may be a character
    plain = fold(name).partition("[")[0]
    taken = {"content-length", "content-type"} if format == "outer" else {"_body"} if format == "json" else set()
    return None if not name or plain in taken or fold(name).startswith("event-name[") else name


def received(record: list[str], format: str) -> tuple[list[tuple[str, str]], str | None]:
    """Headers and body."""
    pairs = zip(record[: 2 * MOST : 2], record[1::2])  # noqa: B905
    headers = [(sent, value) for name, value in pairs if (sent := on_the_wire(name, format)) is not None]
    return headers, record[-1] if len(record) % 2 and record[-1] else None


def model_of(strict: bool, format: str, as_text: bool, headers: list[tuple[str, str]], body: str | None) -> Model:
    model = Model(strict)
    for name, value in [*FIRST[format], *headers]:
        model.receive(name, value, json=format == "json", event=format != "outer")
    if format == "outer" and body is not None:
        model.addHeader("Content-Length", str(len(body.encode("utf-8", "surrogateescape"))))
    model.body = body if body is not None else model.body
    return model if as_text else model.copied()  # only a connection copies what it returns


def event_of(module: Any, frame: bytes, as_text: bool) -> Any:
    if as_text:
        return module.ESLevent("json", support.to_text(frame.partition(b"\n\n")[2]))
    decoder = decoder_of(module)
    decoder.feed(frame)
    (message,) = decoder
    return module.ESLevent._received(message)


def step(fields: list[str]) -> tuple[Any, ...]:
    verb = choose(tuple(CALLS), fields[0])
    words = [argument(text) for text in [*fields[1:], "", ""][: CALLS[verb]]]
    if words and verb != "addBody":
        words[0] = modelled(words[0])
    if verb == "serialize":
        return verb, "json" if words[0] == "json" else None
    if verb == "getHeader" and len(fields) > 2 and re.fullmatch("-?[0-9]{1,4}", fields[2]):
        return verb, words[0], int(fields[2])
    return verb, *words


def test_one_input(data: bytes) -> None:
    rng = draw(data)
    head, wire, *calls = [texts(record) for record in [*data.split(BETWEEN_RECORDS), b""]]
    strict = choose(MODES, head[0]) == "strict"
    format = choose(FORMATS, head[-1])
    steps = [step(fields) for fields in calls[:MOST]]
    as_text, format = format == "text", "json" if format == "text" else format
    headers, body = received(wire, format)
    for module in MODULES:
        module.strict = strict
        if format == "made":
            event, model = module.ESLevent("DTMF"), Model(strict, [["Event-Name", "DTMF"]])
        else:
            event = event_of(module, framed(format, headers, body), as_text)
            model = model_of(strict, format, as_text, headers, body)
        kind = event.getType() if rng.random() < 0.5 else None  # which may read the event
        apply(event, model, steps)
        apply(event, model, LAST)
        assert kind in (None, event.getType())
        finish(module, event)


def finish(module: Any, event: Any) -> None:
    """All that it shows agrees; it can be written as XML; moved, it is the same, and what it was is invalid."""
    shown = seen(event)
    assert event.serialize("xml")
    moved = module.ESLevent(event)
    assert seen(moved) == shown
    assert (event.getType(), names_of(event), event.serialize(), event.getBody()) == ("invalid", [], "", None)
    assert not event.addHeader("A", "1")


if __name__ == "__main__":
    main(test_one_input)
