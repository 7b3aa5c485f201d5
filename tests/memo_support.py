"""What the tests of what a decoder remembers share: events, and what is written of them in the plainest way."""

from __future__ import annotations

import json
from typing import Any

from support import plain


def event(lines: list[bytes], body: bytes = b"") -> bytes:
    return plain(b"\n".join([*lines, b"", body]))


def decoded(esl: Any, data: bytes) -> list[Any]:
    decoder = esl.Decoder()
    decoder.feed(data)
    return list(decoder)


def naive_json(pairs: list[tuple[str, str]], body: bytes, replace: bool) -> bytes:
    """What `to_json` gives, by its description."""

    def clean(text: str) -> str:
        return "".join("\ufffd" if replace and "\ud800" <= char <= "\udfff" else char for char in text)

    mapping: dict[str, Any] = {}
    for name, value in pairs:
        name, text = clean(name), clean(value)
        if name not in mapping or name == "Event-Name":
            mapping[name] = text[7:].split("|:") if text.startswith("ARRAY::") else text
    if body:
        mapping["_body"] = clean(body.decode("utf-8", "surrogateescape"))
    text = json.dumps(mapping, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace")
