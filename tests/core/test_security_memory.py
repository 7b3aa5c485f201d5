"""Whatever a peer sends, work is linear and memory is bounded (docs/protocol/rules.md, 3 and 5)."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tracemalloc
from types import ModuleType
from typing import Any

import pytest
from support import OK, decode, frame, load_core, pieces, plain, receive, take

# Linear work, bounded memory


def test_header_line_without_an_end_is_refused_at_the_bound(esl: ModuleType) -> None:
    chunk = b"x" * 1024
    decoder = esl.Decoder()
    messages = []
    with pytest.raises(esl.HeaderTooLarge) as caught:
        take(decoder, [chunk] * 10 * 1024, messages)
    fed = decoder.buffered
    assert messages == []
    assert fed == (1 << 20) + 1024, "not one chunk more than the bound needs"
    assert (caught.value.read, caught.value.limit) == ((1 << 20) + 1, 1 << 20)
    for _ in range(9 * 1024):
        decoder.feed(chunk)
        receive(decoder, chunk)
    assert decoder.buffered == fed, "what comes after the error is not stored"


def test_header_line_of_10_mb_at_once_is_refused(esl: ModuleType) -> None:
    decoder = esl.Decoder()
    decoder.feed(b"A: " + b"x" * (10 << 20))
    with pytest.raises(esl.HeaderTooLarge):
        decoder.next_message()


def test_search_for_the_blank_line_goes_on_where_it_stopped() -> None:
    esl = load_core("python")  # the compiled core's search cannot be watched from here
    decoder = esl.Decoder()
    for byte in pieces(b"A: " + b"x" * 3000, 1):
        decoder.feed(byte)
        assert decoder.next_message() is None
        assert decoder._searched >= decoder.buffered - 2


def allocated(call: Any) -> Any:
    """The most memory that Python had allocated at once during `call`, beside what it had before."""
    gc.collect()
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def resident() -> Any:
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[0]) * 4096  # all that is mapped, so that malloc'ed and untouched memory counts


def test_declared_length_allocates_nothing_until_bytes_come(esl: ModuleType) -> None:
    declared = b"Content-Length: 60000000\nContent-Type: text/event-plain\n\n"
    decoders = [esl.Decoder() for _ in range(20)]

    def feed() -> None:
        for decoder in decoders:
            for byte in pieces(declared, 20):
                decoder.feed(byte)
                assert decoder.next_message() is None
            receive(decoder, b"first bytes")
            assert decoder.next_message() is None
            with pytest.raises(esl.IncompleteFrame):
                decoder.feed_eof()

    try:
        before = resident()
    except OSError:
        before = None  # no /proc: what is left to see is Python's own allocation
    assert allocated(feed) < 20_000_000
    if before is not None:
        assert resident() - before < 100_000_000, "20 declared lengths of 60 MB"


def test_small_messages_do_not_hold_the_buffer(esl: ModuleType) -> None:
    decoder = esl.Decoder()
    kept = []

    def feed() -> None:
        for _ in range(50):
            decoder.feed(plain(b"A: 1\n\n") + frame(b"Content-Type: api/response", bytes(1_000_000)))
            kept.append(next(decoder))
            next(decoder)

    assert allocated(feed) < 20_000_000
    assert [event["A"] for event in kept] == ["1"] * 50


def test_large_body_in_small_pieces_comes_out_whole(esl: ModuleType) -> None:
    body = bytes(range(256)) * 16384  # 4 MB: the quadratic decoders of others take seconds for this
    decoder = esl.Decoder()
    messages = []
    for chunk in pieces(frame(b"Content-Type: api/response", body) + OK, 512):
        decoder.feed(chunk)
        messages += decoder
    response, reply = messages
    assert response.body == body
    assert reply.frame == OK


def test_many_headers_names_and_array_items_are_read(esl: ModuleType) -> None:
    count = 20_000
    payload = b"".join(b"variable_%d: %d\n" % (number, number) for number in range(count))
    items = "|:".join(map(str, range(count)))
    (event,) = decode(esl, plain(payload + b"A: ARRAY::" + items.encode() + b"\n" + b"R: 1\n" * count + b"\n"))
    assert len(event) == count + 2
    assert all(event[f"variable_{number}"] == str(number) for number in range(0, count, 7))
    assert all(f"no_{number}" not in event for number in range(count))
    assert event.getlist("A") == list(map(str, range(count)))
    assert event.getlist("R") == ["1"] * count


def test_many_small_frames_at_once_are_read(esl: ModuleType) -> None:
    decoder = esl.Decoder()
    decoder.feed(OK * 50_000)
    assert sum(1 for _ in decoder) == 50_000
    assert decoder.buffered == 0


def test_a_buffer_given_out_outlives_a_decoder_that_is_garbage() -> None:
    """A collection clears what it frees; releasing the memoryview afterwards used to write through what was cleared."""
    code = """
import gc, eslcodec
for _ in range(10):
    decoder = eslcodec.Decoder()
    cycle = [decoder, decoder.get_buffer()]
    cycle.append(cycle)
    del decoder, cycle
    gc.collect()
print(hash(type(None)) is not None)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd="/",  # with -c the folder comes first where modules are looked for: not the checkout
        capture_output=True,
        text=True,
        env=dict(os.environ),
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
