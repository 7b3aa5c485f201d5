"""Any arguments for any builder of commands: refused, or read by the emulator as that one command, and as no other.

An input is a builder's name and its arguments, in the order of its parameters (see BETWEEN_RECORDS in _common.py).
"""

from __future__ import annotations

import inspect
import random
import re
from collections.abc import Iterator
from typing import Any

from _common import BETWEEN_FIELDS, BETWEEN_ITEMS, BETWEEN_RECORDS, C, choose, draw, main, support, texts
from commands_support import Command, Read, as_headers, as_read, in_order, meant, understood
from commands_support import read as naive_read

COMMANDS, LISTENER = support.part(C, "commands"), support.part(C, "emulator._listener")
BUILDERS = sorted(
    name
    for name, value in vars(COMMANDS).items()
    if inspect.isfunction(value) and value.__module__ == COMMANDS.__name__ and not name.startswith("_")
)
BETWEEN = COMMANDS.noevents()  # what stands before and behind the command
WRONG = (None, 5, 1.5, b"x", True, ["a"], [None], {"a": None}, [("a",)], object(), "\ud800", 1 << 70)


class Emulator(LISTENER.Listener):  # type: ignore[name-defined,misc]
    """The emulator's command loop, which notes what it has read instead of doing it."""

    def __init__(self) -> None:
        super().__init__(LISTENER.Switch())
        self.noted: list[Command] = []

    def _dispatch(self, word: str, line: str, command: Any) -> tuple[None, bool]:
        self.noted.append(Command(b"", line, command.headers.fields(), command.headers.body or b""))
        return None, False


# From the input to arguments


def number(record: bytes) -> int:
    return int(found[0]) if (found := re.match(rb"-?[0-9]{1,25}", record)) else len(record)


def one_value(field: bytes, rng: random.Random) -> Any:
    if BETWEEN_ITEMS in field:
        return texts(field, BETWEEN_ITEMS)
    if field.isdigit() and rng.random() < 0.5:
        return number(field)
    return rng.random() < 0.5 if field == b"true" else support.to_text(field)


def header_pairs(record: bytes, rng: random.Random) -> list[tuple[str, Any]]:
    fields = record.split(BETWEEN_FIELDS)
    return [(support.to_text(name), one_value(value, rng)) for name, value in zip(fields[::2], fields[1::2])]  # noqa: B905


def text_pairs(record: bytes, rng: random.Random) -> list[tuple[str, str]]:
    fields = texts(record)
    return list(zip(fields[::2], [*fields[1::2], ""]))  # noqa: B905


def text(record: bytes, rng: random.Random) -> str:
    return support.to_text(record)


def text_or_number(record: bytes, rng: random.Random) -> str | int:
    return number(record) if record.isdigit() and rng.random() < 0.5 else support.to_text(record)


MAKERS = {  # a parameter's annotation -> makes an argument of a record; a new one has to be added here
    "str": text,
    "str | None": text,
    "bool": lambda record, rng: record not in (b"", b"0"),
    "int": lambda record, rng: number(record),
    "int | None": lambda record, rng: number(record),
    "str | int": text_or_number,
    "str | int | LogLevel | None": text_or_number,
    "bytes | str": lambda record, rng: record if rng.random() < 0.5 else support.to_text(record),
    "*str": lambda record, rng: texts(record),
    "Sequence[str]": lambda record, rng: texts(record),
    "Headers": lambda record, rng: header_pairs(record, rng),
    "Iterable[tuple[str, str]]": text_pairs,
}


def parameters(name: str) -> Iterator[tuple[str, str, Any]]:
    """Name, annotation and default of each parameter, options included."""
    for parameter in inspect.signature(getattr(COMMANDS, name)).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            for option, annotation in COMMANDS.MessageOptions.__annotations__.items():
                yield option, annotation.__forward_arg__, None
        elif parameter.kind is parameter.VAR_POSITIONAL:
            yield parameter.name, f"*{parameter.annotation}", parameter.empty
        else:
            yield parameter.name, parameter.annotation, parameter.default


def call_of(data: bytes, rng: random.Random) -> tuple[str, dict[str, Any]]:
    word, *records = data.split(BETWEEN_RECORDS)
    name = choose(BUILDERS, support.to_text(word))
    parts: dict[str, Any] = {}
    for at, (part, annotation, default) in enumerate(parameters(name)):
        record = records[at] if at < len(records) else b""
        if record or default is inspect.Parameter.empty or rng.random() < 0.1:
            parts[part] = MAKERS[annotation](record, rng)
    return name, parts


def call(name: str, parts: dict[str, Any]) -> bytes:
    others = dict(parts)
    return getattr(COMMANDS, name)(*others.pop("names", ()), **others)  # type: ignore[no-any-return]


# What is stated


def intended(name: str, parts: dict[str, Any]) -> Read:
    """What the emulator should understand: `meant` with defaults, and with what random texts make of a value."""
    parts = dict(parts)
    for part, _, default in parameters(name):
        optional = default is not inspect.Parameter.empty
        if optional and part not in parts:
            parts[part] = getattr(default, "name", default)  # of a cause its name
        if optional and any(parts[part] is nothing for nothing in (None, False, "", b"", ())):
            del parts[part]
    if "body" in parts:
        parts["body"] = COMMANDS._body(parts["body"]).partition(b"\0")[0]  # where the switch cuts it
    if "subclass" in parts:
        parts["headers"] = [("Event-Subclass", parts.pop("subclass")), *parts.get("headers", ())]
    if "job_uuid" in parts:
        parts["job_uuid"] = as_read(parts["job_uuid"])
    if name == "log" and "level" in parts:
        parts["level"] = str(parts["level"])
    wanted = meant(name, parts)
    if name == "xferext":
        wanted.parts["headers"] = [(other, as_read(value)) for other, value in wanted.parts["headers"]]
    return wanted


def message(command: Command) -> Read:
    """A `sendmsg` as it stands: `understood` looks for the argument of `execute` in its body."""
    uuid = command.line.partition(" ")[2]
    return Read(
        "sendmsg",
        {"headers": as_headers(command.headers), "body": command.body, **({"uuid": uuid} if uuid else {})},
    )


def emulated(built: bytes, rng: random.Random) -> Command:
    """The only command that the emulator's loop reads between two others, however the bytes are cut."""
    emulator = Emulator()
    stream = BETWEEN + built + BETWEEN
    cut = rng.randrange(len(stream))
    emulator.feed(stream[:cut])
    emulator.feed(stream[cut:])
    assert not emulator.closing, "the switch would close the connection"
    assert not emulator.held, "something is left over"
    lines = [command.line for command in emulator.noted]
    assert [lines[0], *lines[2:]] == ["noevents", "noevents"], lines
    return emulator.noted[1]


def test_one_input(data: bytes) -> None:
    rng = draw(data)
    name, parts = call_of(data, rng)
    spoiled = rng.random() < 0.05
    if spoiled and parts:
        parts[rng.choice(sorted(parts))] = rng.choice(WRONG)
    try:
        built = call(name, parts)
    except C.InvalidCommand:
        return
    except (TypeError, ValueError):
        assert spoiled, (name, parts)
        return
    command = emulated(built, rng)
    naive = [other.raw for other in naive_read(BETWEEN + built + BETWEEN)]
    assert naive == [BETWEEN, built, BETWEEN], naive
    if spoiled:
        return
    if built.lower() in COMMANDS._RELOADS:  # the switch replaces these by what they mean
        words = built.decode().lower().split()
        assert command.line == f"api bgapi {words[-2]} {words[-1]}"
        return
    read = message(command) if name == "sendmsg" else understood(command)
    assert in_order(read) == in_order(intended(name, parts)), (built, read)


if __name__ == "__main__":
    main(test_one_input)
