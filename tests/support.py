"""What the tests share: both cores in one process, the ways to feed a stream, a naive reader to compare with.

Nothing in here tests anything. pytest's `pythonpath` makes it importable.
"""

from __future__ import annotations

import importlib.util
import io
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import IO, Any

from hypothesis import settings
from sizes import FACTOR, FULL, HEAVY

DATA = Path(__file__).parent / "data"
CHOSEN = os.environ.get("ESLCODEC_IMPL")
CORES = (CHOSEN,) if CHOSEN else ("c", "python")


def examples(count: int) -> settings:
    """So many random cases; ESLCODEC_TEST_EXAMPLES=100 makes it a hundred times as many."""
    return settings(max_examples=count * FACTOR)


def heavy_examples(count: int) -> settings:
    """So many random cases at full size, and else a fifth (sizes.py)."""
    return settings(max_examples=int(count * HEAVY))


# Both cores


def load_copy(alias: str, wanted: str) -> ModuleType:
    """A second copy of the package under the name `alias`, made as if ESLCODEC_IMPL were `wanted` ("" is unset)."""
    import eslcodec

    folder = str(Path(eslcodec.__file__).parent)
    spec = importlib.util.spec_from_file_location(alias, eslcodec.__file__, submodule_search_locations=[folder])
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    before = os.environ.pop("ESLCODEC_IMPL", None)
    os.environ["ESLCODEC_IMPL"] = wanted
    sys.modules[alias] = package
    try:
        spec.loader.exec_module(package)
    except BaseException:
        forget_copy(alias)
        raise
    finally:
        del os.environ["ESLCODEC_IMPL"]
        if before is not None:
            os.environ["ESLCODEC_IMPL"] = before
    return package


def forget_copy(alias: str) -> None:
    for name in [name for name in sys.modules if name == alias or name.startswith(alias + ".")]:
        del sys.modules[name]


def load_core(core: str) -> ModuleType:
    """The package bound to one core: the imported one if it is that, else a copy named eslcodec_python.

    Raises ImportError if it is the compiled core and not the one that was imported: its relative imports are those of
    the name it was compiled for, so it cannot be part of a copy.
    """
    import eslcodec

    if eslcodec.__impl__ == core:
        return eslcodec
    if core == "c":
        raise ImportError(
            "ESLCODEC_IMPL=python asks for the other one"
            if os.environ.get("ESLCODEC_IMPL") == "python"
            else "eslcodec was built without it (ESLCODEC_BUILD_EXTENSION=yes says why)"
        )
    return sys.modules.get("eslcodec_python") or load_copy("eslcodec_python", "python")


# Frames


def frame(head: bytes, body: bytes | None = None) -> bytes:
    """A frame: header lines without the last line feed, then the body with its Content-Length."""
    if body is None:
        return head + b"\n\n"
    return b"%b\nContent-Length: %d\n\n%b" % (head, len(body), body)


def plain(payload: bytes) -> bytes:
    """A plain event as a switch frames it."""
    return b"Content-Length: %d\nContent-Type: text/event-plain\n\n%b" % (len(payload), payload)


OK = b"Content-Type: command/reply\nReply-Text: +OK\n\n"
AUTH = b"Content-Type: auth/request\n\n"


# Ways to feed


def pieces(data: bytes, *sizes: int) -> list[bytes]:
    """`data` cut into pieces of `sizes`, again and again."""
    cut = []
    at = 0
    while at < len(data):
        size = sizes[len(cut) % len(sizes)]
        cut.append(data[at : at + size])
        at += size
    return cut


def receive(decoder: Any, data: bytes) -> None:
    """`data` through get_buffer and buffer_updated, as often as it takes."""
    while data:
        with decoder.get_buffer(len(data)) as view:
            size = min(len(view), len(data))
            view[:size] = data[:size]
        decoder.buffer_updated(size)
        data = data[size:]


def snapshot(message: Any) -> Any:
    """Everything that a message or a frame shows, for comparing cores and ways to feed."""
    if isinstance(message, tuple):
        return message
    names: list[str] = ["Event-Name", "event-name", "no such name", "Content-Type", "content-length", "ReplY-TexT"]
    pairs = message.pairs()
    names += [name for name, _ in pairs]
    malformed = getattr(message, "malformed", None)
    return {
        "kind": type(message).__name__,
        "frame": message.frame,
        "raw": message.raw,
        "content_type": message.content_type,
        "repr": repr(message),
        "pickled": message.__reduce__()[1],
        "pairs": pairs,
        "asdict": list(message.asdict().items()),
        "items": list(message.items()),
        "len": len(message),
        "body": message.body,
        "text": message.text,
        "select": message.select(*names, *map(str.swapcase, names)),
        "getlist": [message.getlist(name) for name in names[:14]],
        "last": [message._last(name) for name in [*names, *map(str.swapcase, names), "", "a\nb", "A:b", "é"]],
        "own": [getattr(message, name, None) for name in ("name", "id", "sequence", "timestamp")],
        "lone": [lone(message, name) for name in [*names, *map(str.swapcase, names), "A:b", "a\nb", "", "é", 5]],
        "survey": survey(message),
        "malformed": None if malformed is None else (type(malformed).__name__, str(malformed)),
    }


def outcome(decoder: Any, chunks: list[bytes], *, end: bool = True, feed: Any = None) -> dict[str, Any]:
    """What comes out of a decoder: messages, the error that ended it, and what is left."""
    out: list[Any] = []
    error: Exception | None = None
    try:
        for chunk in chunks:
            decoder.feed(chunk) if feed is None else feed(decoder, chunk)
            out += decoder
        if end:
            decoder.feed_eof()
    except Exception as caught:
        error = caught
    return {
        "messages": out,
        "error": None if error is None else (type(error).__name__, str(error)),
        "buffered": decoder.buffered,
        "consumed": decoder.consumed,
    }


def take(decoder: Any, chunks: list[bytes], into: list[Any]) -> None:
    """Feed piece after piece and put what comes out into a list, which keeps it if an error ends that."""
    for chunk in chunks:
        decoder.feed(chunk)
        for message in decoder:
            into.append(message)


def decode(esl: Any, data: bytes, **bounds: int) -> list[Any]:
    """The messages of a whole stream, which must end after its last frame."""
    decoder = esl.Decoder(**bounds)
    decoder.feed(data)
    messages = list(decoder)
    decoder.feed_eof()
    return messages


def kinds(messages: Iterable[Any]) -> list[str]:
    return [type(message).__name__ for message in messages]


def decode_every_way(esl: Any, data: bytes, **bounds: int) -> list[Any]:
    """The messages of a stream of whole frames, after checking that it makes no difference how it is fed.

    Whole, byte by byte (nothing comes out before its last byte, and then at once), in pieces of several sizes, by feed,
    by get_buffer and buffer_updated, by both in turn, with stray line ends or an unfinished frame behind it; and from
    the splitter as from the decoder. The messages returned have not been read yet.
    """
    decoder = esl.Decoder(**bounds)
    decoder.feed(data)
    messages, ends = [], []
    for message in decoder:
        messages.append(message)
        ends.append(decoder.consumed)
    decoder.feed_eof()
    assert decoder.buffered == 0
    assert decoder.consumed == len(data)
    wanted = [snapshot(message) for message in outcome(esl.Decoder(**bounds), [data])["messages"]]

    for feed in (None, receive):
        decoder = esl.Decoder(**bounds)
        count = 0
        for at in range(len(data)):
            byte = data[at : at + 1]
            decoder.feed(byte) if feed is None else feed(decoder, byte)
            for message in decoder:
                assert ends[count] == at + 1, "not at its last byte"
                assert snapshot(message) == wanted[count]
                count += 1
        assert count == len(messages)
        decoder.feed_eof()
        assert (decoder.buffered, decoder.consumed) == (0, len(data))

    def either(decoder: Any, chunk: bytes, turn: list[bool] = [False]) -> None:  # noqa: B006
        turn[0] = not turn[0]
        receive(decoder, chunk) if turn[0] else decoder.feed(chunk)

    for sizes in ((2,), (3, 1), (7, 1, 30), (64,)):
        for feed in (None, receive, either):
            result = outcome(esl.Decoder(**bounds), pieces(data, *sizes), feed=feed)
            assert [snapshot(message) for message in result["messages"]] == wanted
            assert (result["error"], result["buffered"], result["consumed"]) == (None, 0, len(data))

    for behind, left in ((b"\r\n\n", 0), (b"Content-Type: api/resp", 22), (b"Content-Length: 3\n\nab", 21)):
        decoder = esl.Decoder(**bounds)
        decoder.feed(data + behind)
        assert [snapshot(message) for message in decoder] == wanted
        assert decoder.buffered == left
        assert decoder.consumed == len(data + behind) - left

    splitter = esl.FrameSplitter(**bounds)
    splitter.feed(data)
    frames = list(splitter)
    assert [block + (body or b"") for block, body in frames] == [shown["frame"] for shown in wanted]
    assert [tuple(shown["pickled"]) for shown in wanted] == frames
    return messages


# A naive reader of header blocks: every rule of docs/protocol/reading.md in the plainest way, slow and eager.


def naive_unquote(raw: bytes) -> bytes:
    return re.sub(rb"%([0-9A-Fa-f]{2})", lambda found: bytes([int(found[1], 16)]), raw)


def naive_pairs(block: bytes, decode: bool = True, multiline: bool = False) -> list[tuple[str, str]]:
    pairs: list[list[bytes]] = []
    for line in block.split(b"\n"):
        line = re.sub(rb"\r\Z", b"", line)
        if line == b"":
            break
        if b": " in line:
            pairs.append(list(line.split(b": ", 1)))
        elif b":" in line:
            name, value = line.split(b":", 1)
            pairs.append([name, value.lstrip(b" \t")])
        elif multiline and pairs:
            pairs[-1][1] += b"\n" + line
    return [(to_text(name), to_text(naive_unquote(value) if decode else value)) for name, value in pairs]


def to_text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def naive_dict(pairs: list[tuple[str, str]]) -> dict[str, str]:
    names = dict.fromkeys(name for name, _ in pairs)
    of = {name: [value for other, value in pairs if other == name] for name in names}
    return {name: of[name][-1 if name == "Event-Name" else 0] for name in names}


def ascii_lower(name: str) -> str:
    return "".join(chr(ord(char) + 32) if "A" <= char <= "Z" else char for char in name)


def naive_spelling(pairs: list[tuple[str, str]], name: str) -> str | None:
    names = list(dict.fromkeys(other for other, _ in pairs))
    if name in names:
        return name
    return next((other for other in names if ascii_lower(other) == ascii_lower(name)), None)


def naive_get(pairs: list[tuple[str, str]], name: str) -> str | None:
    key = naive_spelling(pairs, name)
    return None if key is None else naive_dict(pairs)[key]


def naive_last(pairs: list[tuple[str, str]], name: str) -> str | None:
    key = naive_spelling(pairs, name)
    return [value for other, value in pairs if other == key][-1] if key is not None else None


def naive_getlist(pairs: list[tuple[str, str]], name: str) -> list[str]:
    key = naive_spelling(pairs, name)
    values = [value for other, value in pairs if other == key]
    return [item for v in values for item in (v[len("ARRAY::") :].split("|:") if v.startswith("ARRAY::") else [v])]


def naive_payload(payload: bytes) -> tuple[list[tuple[str, str]], bytes | None]:
    """Pairs and body of a plain event's payload."""
    blank = re.search(rb"(?:\A|\n)\r?\n", payload)
    if blank is None:
        return naive_pairs(payload), None
    return naive_pairs(payload[: blank.start()]), payload[blank.end() :] or None


def naive_frames(data: bytes) -> list[tuple[bytes, bytes | None]]:
    """The whole frames of a stream without damage in its lengths."""
    frames = []
    at = 0
    while True:
        while data[at : at + 1] in (b"\r", b"\n"):
            at += 1
        blank = re.compile(rb"\n\r?\n").search(data, at)
        if blank is None:
            return frames
        block = data[at : blank.end()]
        lengths = [int(value) for name, value in naive_pairs(block, False) if ascii_lower(name) == "content-length"]
        end = blank.end() + (lengths[0] if lengths else 0)
        if end > len(data):
            return frames
        frames.append((block, data[blank.end() : end] if lengths else None))
        at = end


# Captures


LONG = ("callcenter", "calls_sip", "calls_sip_json", "lowlevel", "transfer_hold", "transfer_hold_json")  # 7 to 41 MB
BEGINNING = 5_000_000 if FULL else 250_000


def capture(name: str) -> bytes:
    """What a real FreeSWITCH sent (tests/data/captures/README.md); of a long one the beginning, whole frames."""
    with open_capture(name) as stream:
        if name not in LONG:
            return stream.read()
        data = stream.read(BEGINNING)
    return data[: sum(len(block) + len(body or b"") for block, body in naive_frames(data))]


def open_capture(name: str) -> IO[bytes]:
    """A capture as a file of bytes, all of it, however long: nobody needs to have it in memory."""
    from eslcodec.recordings import Recording

    path = DATA / "captures" / f"{name}.esl"
    recording = Recording(path if path.exists() else path.with_suffix(".esl.xz"))
    return io.BufferedReader(_Unpacked(chunk.data for chunk in recording.chunks()))


class _Unpacked(io.RawIOBase):
    """Pieces, as a file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._left or next(self._pieces, b"")
        size = min(len(data), len(buffer))
        buffer[:size] = data[:size]
        self._left = data[size:]
        return size


def captured(esl: Any, name: str, size: int = 1 << 18) -> Iterator[Any]:
    """The messages of a whole capture, decoded in pieces of `size` while it is read."""
    decoder = esl.Decoder()
    with open_capture(name) as stream:
        while piece := stream.read(size):
            decoder.feed(piece)
            yield from decoder
    decoder.feed_eof()


# Processes


def plugin_option() -> list[str]:
    """What pytest needs to know our fixture: nothing where the package is installed."""
    registered = any(entry.name == "eslcodec" for entry in entry_points(group="pytest11"))
    return [] if registered else ["-p", "eslcodec.pytest_plugin"]


# Connections


def until(condition: Callable[[], Any], timeout: float = 10.0) -> Any:
    """Look again and again until a condition holds; what it gave then."""
    deadline = time.monotonic() + timeout
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not so within {timeout:g} s: {condition}")
        time.sleep(0.005)  # between two looks
    return found


def lone(message: Any, name: Any) -> Any:
    """`lone` of the core that made the message."""
    return codec_of(message).lone(message, name)


def survey(message: Any) -> Any:
    """`survey` of the core that made the message."""
    return codec_of(message).survey(message)


def codec_of(message: Any) -> Any:
    """`_codec` of the package that a message, of whatever subclass, is from."""
    ours = (kind.__module__ for kind in type(message).__mro__ if kind.__module__.startswith("eslcodec"))
    return importlib.import_module(f"{next(ours).partition('.')[0]}._codec")


def part(esl: Any, name: str) -> Any:
    """A module of the package that is bound to the core of `esl`."""
    return importlib.import_module(f"{esl.__name__}.{name}")


def reply(text: bytes, extra: bytes = b"") -> bytes:
    """A command/reply as a switch sends it."""
    return b"Content-Type: command/reply\nReply-Text: %b\n%b\n" % (text, extra)


def api_response(output: bytes) -> bytes:
    """An api/response as a switch sends it."""
    return b"Content-Type: api/response\nContent-Length: %d\n\n%b" % (len(output), output)


def notice(text: bytes) -> bytes:
    """A final disconnect-notice of a connection without a channel."""
    return b"Content-Type: text/disconnect-notice\nContent-Length: %d\n\n%b" % (len(text), text)


FAREWELL = b"Disconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n"
ACCEPTED = b"Content-Type: command/reply\nReply-Text: +OK accepted\n\n"
REJECTED = b"Content-Type: text/rude-rejection\nContent-Length: 24\n\nAccess Denied, go away.\n"
