"""Makes seed corpora from tests/data: `python fuzz/seeds.py DIR` fills DIR/plain, json, xml, decoder and headers.

Small events of every kind and every capture, the vectors, and streams of a few frames.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "tests"))

import support

import eslcodec

MOST_BYTES = 1800  # small inputs are tried by the hundred thousand


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
        keep(root / "decoder", b"".join(message.frame for message in frames[at : at + 3]))


def from_vector(root: Path, vector: dict[str, object]) -> None:
    if vector["kind"] == "recv":
        text = vector["input"]
        data = (text if isinstance(text, str) else "".join(part * count for part, count in text)).encode("latin-1")
        keep(root / "decoder", data)
        for format in ("plain", "json", "xml"):
            if f"text/event-{format}".encode() in data:
                keep(root / format, data.partition(b"\n\n")[2])
    elif vector["kind"] == "xml":
        keep(root / "xml", str(vector["expect"]).encode("latin-1"))
    elif vector["kind"] == "urlencode_server":
        keep(root / "headers", str(vector["expect"]).encode("latin-1"))


def main(folder: str) -> None:
    root = Path(folder)
    for path in sorted((support.DATA / "captures").glob("*.esl*")):
        from_capture(root, support.capture(path.name.partition(".")[0]))
    for vector in json.loads((support.DATA / "vectors.json").read_text())["vectors"]:
        from_vector(root, vector)
    for made in sorted(root.iterdir()):
        print(made, sum(1 for _ in made.iterdir()))


if __name__ == "__main__":
    main(sys.argv[1])
