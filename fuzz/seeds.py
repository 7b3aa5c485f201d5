"""Makes seed corpora from tests/data: `python fuzz/seeds.py DIR` fills DIR with a folder for each kind of input.

Small events of every kind and every capture, the vectors, streams of a few frames, commands that clients sent, calls
that the vectors make, and sessions: what a client sent and what the switch said to it.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parent.parent / "tests"))

import support
from commands_support import Command, read, understood

import eslcodec
import eslcodec.commands

MOST_BYTES = 1800  # small inputs are tried by the hundred thousand
CALLS = (  # of builders that no capture names
    ("execute", "playback", "a.wav", "u-1", "e-1", "name", "2", "1", "", "1"),
    ("execute", "set", "a=b\nc"),
    ("hangup", "USER_BUSY", "u-1", "1", "", "3"),
    ("nomedia", "u-2", "u-1"),
    ("unicast", "127.0.0.1", "8025", "127.0.0.1", "8026", "tcp", "native", "u-1"),
    ("xferext", "answer\x1f\x1fplayback\x1fa.wav", "u-1"),
    ("sendevent", "CUSTOM", "A\x1f1\x1fB\x1fx\x1dy\x1fC\x1fARRAY::a|:b", "body", "a::b"),
    ("sendmsg", "execute", "content-type\x1ftext/plain", "body", "u-1", "1"),
    ("filter_delete", "Unique-ID", "u-1"),
    ("api", "reload", "mod_event_socket"),
)
EVENT = b"Event-Name: %b\nUnique-ID: u-1\nJob-UUID: j1\nApplication-UUID: e1\nHangup-Cause: NORMAL_CLEARING\n\n+OK\n"
JOB, STARTED, COMPLETE, HANGUP = (
    support.plain(EVENT % name)
    for name in (b"BACKGROUND_JOB", b"CHANNEL_EXECUTE", b"CHANNEL_EXECUTE_COMPLETE", b"CHANNEL_HANGUP_COMPLETE")
)
LINGER = b"Content-Type: text/disconnect-notice\nContent-Disposition: linger\nChannel-Name: x\nLinger-Time: 5\n\n"
SESSIONS = (  # that no capture has: pieces for fuzz/connection.py
    (b"b" + support.OK * 2, b"B" + support.OK + JOB),
    (b"r" + support.OK * 2, b"R" + support.OK + STARTED + COMPLETE, b"-" + HANGUP),
    (b"r" + support.reply(b"-ERR no") * 2, b"m" + support.OK, b"v" + support.OK, b"r" + LINGER + support.OK),
    (b"f" + support.OK, b"b" + support.OK * 3, b"F" + support.OK + JOB, b"n" + support.OK * 3, b"N" + support.OK * 2),
    (b"g" + support.reply(b"a\nb: c"), b"g" + support.reply(b"x"), b"a" + support.api_response(b"-ERR x\n")),
    (b"x" + support.reply(b"+OK bye") + support.notice(support.FAREWELL),),
)
LETTERS = {  # what fuzz/connection.py does for a command like this
    **{b"api": b"a", b"bgapi": b"b", b"connect": b"c", b"event": b"e", b"filter": b"f", b"getvar": b"g", b"log": b"l"},
    **{b"myevents": b"m", b"nixevent": b"n", b"noevents": b"N", b"sendmsg": b"r", b"sendevent": b"S", b"exit": b"x"},
}


def keep(folder: Path, data: bytes) -> None:
    if len(data) <= MOST_BYTES:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / hashlib.sha1(data).hexdigest()[:16]).write_bytes(data)


def from_capture(root: Path, data: bytes) -> None:
    decoder = eslcodec.Decoder()
    decoder.feed(data)
    smallest: dict[object, eslcodec.Message] = {}
    for message in decoder:
        key = (message.content_type, message.get("Event-Name"), message.get("Event-Subclass"), message.body is None)
        if key not in smallest or len(message.frame) < len(smallest[key].frame):
            smallest[key] = message
    frames = list(smallest.values())
    for message in frames:
        if isinstance(message, eslcodec.Event):
            keep(root / str(message.content_type).rpartition("-")[2], message.payload or b"")
        keep(root / "headers", message.raw)
    for at in range(0, len(frames), 3):
        for stray in (b"", b"\r\n", b"\n"):  # between frames, where they mean nothing
            keep(root / "decoder", stray.join(message.frame for message in frames[at : at + 3]))


def from_session(root: Path, name: str) -> None:
    writes = json.loads((support.DATA / "captures" / f"{name}.tx.json").read_text())
    said = support.capture(name)
    pieces, before = [], 0
    for write in writes:
        data = write["bytes"].encode("latin-1")
        verb = (data.split() or [b""])[0]
        pieces.append(said[before : write["at"]] + b"\x1e" + LETTERS.get(verb, b"-"))
        before = write["at"]
    keep(root / "connection", (b"-" + b"".join(pieces) + said[before:])[:MOST_BYTES])
    for command in read("".join(write["bytes"] for write in writes).encode("latin-1")):
        from_command(root, command)


def from_command(root: Path, command: Command) -> None:
    meaning = understood(command)
    if meaning is not None:
        parts = dict(meaning.parts)
        if meaning.builder == "sendmsg":
            (_, parts["call_command"]), *parts["headers"] = parts["headers"]
        order = inspect.signature(getattr(eslcodec.commands, meaning.builder)).parameters
        call = [meaning.builder, *(parts.get(name, "") for name in order)]
        keep(root / "commands", b"\x1e".join(map(argument, call)))


def argument(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, list):
        return b"\x1f".join(map(argument, flat(value)))
    return str(value).encode("utf-8", "surrogateescape")


def flat(values: list[Any]) -> Iterable[Any]:
    for value in values:
        if isinstance(value, tuple):
            name, item = value
            yield from (name, "\x1d".join(item) if isinstance(item, list) else item)
        else:
            yield value


def from_calls(root: Path, vector: dict[str, Any]) -> None:
    """What a vector does to an event of the ESL module."""
    operations = vector["event"].get("ops", [])
    if any(not isinstance(text, str) for operation in operations for text in operation):
        return
    calls = [b"\x1f".join(text.encode("latin-1") for text in operation) for operation in operations]
    keep(root / "esl_event", b"\x1e".join([b"default\x1fmade", b"", *calls]))
    pairs = [text for operation in operations if len(operation) == 3 for text in operation[1:]]
    for format in (b"text", b"plain", b"json", b"outer"):
        wire = b"\x1f".join(text.encode("latin-1") for text in [*pairs, "body"])
        keep(root / "esl_event", b"\x1e".join([b"strict\x1f" + format, wire, *calls]))


def from_vector(root: Path, vector: dict[str, Any]) -> None:
    if vector["kind"] == "recv":
        text = vector["input"]
        data = (text if isinstance(text, str) else "".join(part * count for part, count in text)).encode("latin-1")
        keep(root / "decoder", data)
        for format in ("plain", "json", "xml"):
            if f"text/event-{format}".encode() in data:
                keep(root / format, data.partition(b"\n\n")[2])
    elif vector["kind"] == "serialize":
        from_calls(root, vector)
    elif vector["kind"] == "xml":
        keep(root / "xml", str(vector["expect"]).encode("latin-1"))
    elif vector["kind"] == "urlencode_server":
        keep(root / "headers", str(vector["expect"]).encode("latin-1"))


def main(folder: str) -> None:
    root = Path(folder)
    for path in sorted((support.DATA / "captures").glob("*.esl*")):
        from_capture(root, support.capture(path.name.partition(".")[0]))
    for path in sorted((support.DATA / "captures").glob("*.tx.json")):
        from_session(root, path.name.removesuffix(".tx.json"))
    for session in SESSIONS:
        for more in range(4):  # what kind of connection it is, is drawn from the input
            keep(root / "connection", b"\x1e".join([*session, *[b"-"] * more]))
    for path in sorted((support.DATA / "recordings").glob("*.esl.zst")):
        keep(root / "recording", path.read_bytes())
    for stream in sorted((root / "decoder").iterdir()):
        keep(root / "recording", stream.read_bytes())
    for call in CALLS:
        keep(root / "commands", "\x1e".join(call).encode())
    for vector in json.loads((support.DATA / "vectors.json").read_text())["vectors"]:
        from_vector(root, vector)
    for made in sorted(root.iterdir()):
        print(made, sum(1 for _ in made.iterdir()))


if __name__ == "__main__":
    main(sys.argv[1])
