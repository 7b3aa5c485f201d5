"""`HeadScanner` finds the beginnings of frames that the splitter finds, in whatever pieces the bytes come."""

from __future__ import annotations

import pickle
import random
from bisect import bisect_left
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import AUTH, OK, capture, examples, frame, part, pieces, plain

from eslcodec import limits

SHORT = [
    *("api", "auth_crlf", "commands_inbound", "concurrent_commands", "event_commands", "getvar_breaks_framing"),
    *("log_only", "malformed", "out_async_full", "limits"),
]
SAMPLES = ["sip_plain", "churn_json", "churn_xml", "log_and_events", "slow_client_killed", "api_large", "crlf_json"]


def beginnings(esl: Any, data: bytes) -> list[int]:
    """Where a splitter begins frames: the whole ones, the one that is not whole, and one that cannot be read."""
    splitter = esl.FrameSplitter(max_buffered=len(data) + 1)
    splitter.feed(data)
    found = []
    try:
        for block, body in splitter:
            found.append(splitter.consumed - len(block) - len(body or b""))
    except esl.ProtocolError:
        pass
    rest = data[splitter.consumed :]
    if left := rest.lstrip(b"\r\n"):
        found.append(len(data) - len(left))
    return found


def scanned(esl: Any, data: list[bytes]) -> list[int]:
    """What a scanner says of pieces, as places in the stream."""
    scanner, found, at = part(esl, "_codec").HeadScanner(), [], 0
    for piece in data:
        first = scanner.scan(piece)
        if first is not None:
            found.append(at + first)
        at += len(piece)
    return found


def expected(places: list[int], data: list[bytes]) -> list[int]:
    """The first beginning in each piece."""
    firsts, at = [], 0
    for piece in data:
        index = bisect_left(places, at)
        at += len(piece)
        if index < len(places) and places[index] < at:
            firsts.append(places[index])
    return firsts


@pytest.mark.parametrize("name", SHORT)
def test_a_capture_cut_anywhere(esl: ModuleType, name: str) -> None:
    data = capture(name)[:6000]
    places = beginnings(esl, data)
    for cut in range(len(data) + 1):
        assert scanned(esl, [data[:cut], data[cut:]]) == expected(places, [data[:cut], data[cut:]]), cut


@pytest.mark.parametrize("name", [*SHORT, *SAMPLES])
def test_a_capture_in_pieces(esl: ModuleType, name: str) -> None:
    data = capture(name)[:120_000]
    places = beginnings(esl, data)
    for sizes in ((1,), (2, 1), (7,), (50, 3), (1460,), (65_536,), (len(data),)):
        if sum(sizes) < 5 and len(data) > 30_000:
            continue
        cut = pieces(data, *sizes)
        assert scanned(esl, cut) == expected(places, cut), sizes


PIECES = [
    *(AUTH, OK, plain(b"Event-Name: X\n\n"), b"\n", b"\r\n", b"\r", b"A", b"\n\n", b": ", b"x" * 70),
    *(
        b"Content-Length: 5\n\nhello",
        b"content-LENGTH:\t 5 \r\n\r\nhello",
        b"Content-Length: 3\nContent-Length: 3\n\nabc",
    ),
    *(
        b"Content-Length: 3\nContent-Length: 4\n\nabc",
        b"Content-Length: x\n\n",
        b"Content-Length: 99999999999999999999\n\n",
    ),
    *(
        b"Content-Type: text/event-json\n\n",
        b"Content-Length: 2\nContent-Type: text/event-json\n\n{}",
        b"Content-Length: 0\n\n",
    ),
    b"Content-Length: 4\nContent-Type: text/event-plain\n\n\n\n\n\n",
]


@examples(150)
@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=6), max_size=8), st.lists(st.integers(1, 90), min_size=1))
def test_any_stream_in_any_pieces(both: tuple[ModuleType, ModuleType], parts: list[bytes], sizes: list[int]) -> None:
    data = b"".join(parts)
    places = beginnings(both[1], data)
    cut = pieces(data, *sizes)
    for core in both:
        assert scanned(core, cut) == expected(places, cut), core


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_the_longest_header_block(esl: ModuleType, more: int) -> None:
    block = b"A: " + b"x" * (limits.MAX_HEADER_BYTES - 5 + more) + b"\n\n"
    assert len(block) == limits.MAX_HEADER_BYTES + more
    data = block + AUTH
    places = [0, len(block)] if more <= 0 else [0]
    for sizes in ((len(data),), (len(block),), (len(block) - 1,), (100_000,), (4096,), (4095,)):
        cut = pieces(data, *sizes)
        assert scanned(esl, cut) == expected(places, cut), sizes


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_the_largest_body(esl: ModuleType, more: int) -> None:
    size = limits.MAX_BODY_BYTES + more
    scanner = part(esl, "_codec").HeadScanner()
    assert scanner.scan(b"Content-Length: %d\n\n" % size) == 0
    piece = bytes(1 << 20)
    while size >= len(piece):
        assert scanner.scan(piece) is None
        size -= len(piece)
    assert scanner.scan(piece[:size] + AUTH) == (size if more <= 0 else None)


def test_after_a_head_that_cannot_be_read_nothing_is_found(esl: ModuleType) -> None:
    scanner = part(esl, "_codec").HeadScanner()
    assert scanner.scan(OK + b"Content-Length: x\n\n" + AUTH) == 0
    assert scanner.scan(AUTH) is None


def test_no_head_is_copied_twice(esl: ModuleType) -> None:
    """Byte by byte, a header block of a megabyte takes no quadratic time."""
    scanner = part(esl, "_codec").HeadScanner()
    for _ in range(300_000):
        scanner.scan(b"x")
    assert scanner.scan(b"\n\n") is None
    assert scanner.scan(b"A") == 0


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_contiguous_bytes_will_do(esl: ModuleType, kind: Any) -> None:
    scanner = part(esl, "_codec").HeadScanner()
    assert scanner.scan(kind(frame(b"A: b", b"body") + AUTH)) == 0


def test_what_is_no_bytes_is_refused(esl: ModuleType) -> None:
    scanner = part(esl, "_codec").HeadScanner()
    with pytest.raises(TypeError, match=r"^scan\(\) takes bytes, not str$"):
        scanner.scan("A: b")
    with pytest.raises(BufferError, match=r"^scan\(\) takes contiguous bytes$"):
        scanner.scan(memoryview(b"abcd")[::2])
    assert scanner.scan(b"A") == 0


def test_it_is_not_pickled(esl: ModuleType) -> None:
    with pytest.raises(TypeError, match="cannot pickle"):
        pickle.dumps(part(esl, "_codec").HeadScanner())


def test_pieces_of_a_long_capture_at_random(esl: ModuleType) -> None:
    data = capture("calls_sip")
    places = beginnings(esl, data)
    rng = random.Random(7)
    cut = pieces(data, *(rng.choice((1, 60, 1460, 40_000)) for _ in range(50)))
    assert scanned(esl, cut) == expected(places, cut)
