"""Any bytes as a stream: both cores, however it is fed, give the same frames, the same error, the same bytes left."""

from __future__ import annotations

from typing import Any

from _common import PYTHON, C, draw, main, same, support

DOCUMENTED = ("InvalidContentLength", "HeaderTooLarge", "BodyTooLarge", "IncompleteFrame", "LimitExceeded")


def shown(result: dict[str, Any]) -> dict[str, Any]:
    return {**result, "messages": [support.snapshot(message) for message in result["messages"]]}


def test_one_input(data: bytes) -> None:
    rng = draw(data)
    bounds = rng.choice([{}, {"max_header_bytes": 64}, {"max_body_bytes": 32}, {"max_buffered": 100_000}])
    whole = shown(support.outcome(PYTHON.Decoder(**bounds), [data]))
    assert whole["error"] is None or whole["error"][0] in DOCUMENTED, whole["error"]
    chunks = rng.choice([support.pieces(data, 1), support.pieces(data, rng.randint(1, 50), rng.randint(1, 7))])
    feed = rng.choice([None, support.receive])
    ours, theirs = C.Decoder(**bounds), PYTHON.Decoder(**bounds)
    cut = same(
        shown(support.outcome(ours, chunks, feed=feed)), shown(support.outcome(theirs, chunks, feed=feed)), "in pieces"
    )
    same(shown(support.outcome(C.Decoder(**bounds), [data])), whole, "whole")
    # In pieces, what comes behind a framing error is not kept; all else is the same.
    assert (cut["messages"], cut["error"], cut["consumed"]) == (whole["messages"], whole["error"], whole["consumed"])
    frames = support.outcome(PYTHON.FrameSplitter(**bounds), [data])
    same(support.outcome(C.FrameSplitter(**bounds), [data]), frames, "frames")
    assert [block + (body or b"") for block, body in frames["messages"]] == [m["frame"] for m in whole["messages"]]
    assert (frames["error"], frames["consumed"]) == (whole["error"], whole["consumed"])
    if whole["error"] and whole["error"][0] != "IncompleteFrame":  # the decoder stays dead, and says the same again
        for decoder in (ours, theirs):
            decoder.feed(b"Content-Type: auth/request\n\n")
            assert support.outcome(decoder, [])["error"] == whole["error"], decoder


if __name__ == "__main__":
    main(test_one_input)
