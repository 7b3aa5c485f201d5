"""Any bytes as a stream: both cores, however it is fed, give the same frames, the same error, the same bytes left.

Whole frames come first, whatever follows them; what ends a stream is one of the documented exceptions.
"""

from __future__ import annotations

import random
from typing import Any

from _common import PYTHON, C, draw, main, same, support

DOCUMENTED = ("InvalidContentLength", "HeaderTooLarge", "BodyTooLarge", "IncompleteFrame", "LimitExceeded")
GOOD = support.OK + support.plain(b"A: 1\n\nx")  # within every bound below
BOUNDS: list[dict[str, int]] = [{}, {}, {"max_header_bytes": 64}, {"max_body_bytes": 32}, {"max_buffered": 300}]


def reader_of(package: Any) -> Any:
    class Reader(package._codec.HeaderReader):  # type: ignore[misc]
        def _find(self, name: Any, idx: Any) -> Any:
            return "asked", name, idx

    return Reader


READERS = reader_of(C), reader_of(PYTHON)


def shown(result: dict[str, Any]) -> dict[str, Any]:
    return {**result, "messages": [support.snapshot(message) for message in result["messages"]]}


def read(kind: Any, message: Any) -> list[Any]:
    """What a program with the ESL module's calls gets of a message, before and behind the index of its headers."""
    reader = kind()
    reader._frame = message
    names = [name for name, _ in message.pairs()][:8]
    asked = [*names, *map(str.swapcase, names), "_body", "absent", "", None, 5]
    found = [reader.getHeader(name, *idx) for name in asked for idx in ((), (-1,), (0,))]
    reader._index = message.asdict()
    found += [reader.getHeader(name) for name in asked]
    return [*found, reader._rewind(names), *(reader.nextHeader() for _ in range(len(names) + 1))]


def feeding(rng: random.Random) -> Any:
    """Bytes go in by `feed`, by `get_buffer` and `buffer_updated`, or by both in turn."""

    def both(decoder: Any, data: bytes) -> None:
        support.receive(decoder, data[: len(data) // 2])
        decoder.feed(data[len(data) // 2 :])

    return rng.choice([None, support.receive, both])


def test_one_input(data: bytes) -> None:
    rng = draw(data)
    bounds = rng.choice(BOUNDS)
    result = support.outcome(PYTHON.Decoder(**bounds), [data])
    whole = same(shown(support.outcome(C.Decoder(**bounds), [data])), shown(result), "whole")
    chunks = rng.choice([support.pieces(data, 1), support.pieces(data, rng.randint(1, 50), rng.randint(1, 7))])
    feed = feeding(rng)
    ours, theirs = C.Decoder(**bounds), PYTHON.Decoder(**bounds)
    cut_by_ours = support.outcome(ours, chunks, feed=feed)
    cut = same(shown(cut_by_ours), shown(support.outcome(theirs, chunks, feed=feed)), "in pieces")
    for error in (whole["error"], cut["error"]):
        assert error is None or error[0] in DOCUMENTED, error
    if "max_buffered" in bounds:  # how much waits depends on the pieces
        return
    # In pieces, what comes behind a framing error is not kept; all else is the same.
    assert (cut["messages"], cut["error"], cut["consumed"]) == (whole["messages"], whole["error"], whole["consumed"])
    check_frames(data, whole, bounds, chunks, feed)
    if rng.random() < 0.3:
        check_good_frames_first(data, whole, bounds)
        for message, twin in zip(cut_by_ours["messages"], result["messages"], strict=True):
            same(*(read(kind, one) for kind, one in zip(READERS, (message, twin), strict=True)), "headers, one by one")
    if whole["error"] and whole["error"][0] != "IncompleteFrame":  # the decoder stays dead, and says the same again
        for decoder in (ours, theirs):
            decoder.feed(b"Content-Type: auth/request\n\n")
            assert support.outcome(decoder, [])["error"] == whole["error"], decoder


def check_frames(data: bytes, whole: dict[str, Any], bounds: dict[str, int], chunks: list[bytes], feed: Any) -> None:
    """The splitter cuts as the decoder does, and as a naive reader does where nothing is wrong with the lengths."""
    frames = support.outcome(PYTHON.FrameSplitter(**bounds), [data])
    same(support.outcome(C.FrameSplitter(**bounds), [data]), frames, "frames")
    for package in (C, PYTHON):
        cut = support.outcome(package.FrameSplitter(**bounds), chunks, feed=feed)
        assert (cut["messages"], cut["error"]) == (frames["messages"], frames["error"]), package
    assert [block + (body or b"") for block, body in frames["messages"]] == [m["frame"] for m in whole["messages"]]
    assert (frames["error"], frames["consumed"]) == (whole["error"], whole["consumed"])
    if whole["error"] is None or whole["error"][0] == "IncompleteFrame":
        assert frames["messages"] == support.naive_frames(data)


def check_good_frames_first(data: bytes, whole: dict[str, Any], bounds: dict[str, int]) -> None:
    """Frames before it change nothing, and come out whatever is behind them."""
    good = len(shown(support.outcome(PYTHON.Decoder(**bounds), [GOOD]))["messages"])
    for package in (C, PYTHON):
        behind = shown(support.outcome(package.Decoder(**bounds), [GOOD + data]))
        assert (good, len(behind["messages"])) == (2, good + len(whole["messages"])), package
        assert (behind["messages"][good:], behind["error"]) == (whole["messages"], whole["error"]), package


if __name__ == "__main__":
    main(test_one_input)
