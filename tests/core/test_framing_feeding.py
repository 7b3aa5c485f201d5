"""Bytes come out in order however they go in: pieces, windows, whatever is held (docs/protocol/framing.md, P2)."""

from __future__ import annotations

import random
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import AUTH, OK, decode, examples, frame, kinds, pieces, plain, receive


def test_iteration_ends_when_bytes_are_missing_and_goes_on_after_the_next_feed(esl: ModuleType) -> None:
    decoder = esl.Decoder()
    assert list(decoder) == []
    decoder.feed(OK + OK[:10])
    assert [message.frame for message in decoder] == [OK]
    assert list(decoder) == []
    decoder.feed(OK[10:])
    assert [message.frame for message in decoder] == [OK]


def test_next_message_is_iteration_one_at_a_time(esl: ModuleType) -> None:
    decoder = esl.Decoder()
    assert decoder.next_message() is None
    decoder.feed(AUTH + OK + b"Con")
    assert decoder.next_message().frame == AUTH
    assert next(decoder).frame == OK
    assert decoder.next_message() is None
    with pytest.raises(StopIteration):
        next(decoder)


def test_buffered_and_consumed_add_up_to_what_was_fed(esl: ModuleType) -> None:
    data = b"\n" + OK + plain(b"A: 1\n\nbody") + AUTH[:7]
    decoder = esl.Decoder()
    fed = 0
    for chunk in pieces(data, 5, 1, 17):
        decoder.feed(chunk)
        fed += len(chunk)
        assert decoder.buffered + decoder.consumed == fed
        for _ in decoder:
            assert decoder.buffered + decoder.consumed == fed
    assert (decoder.buffered, decoder.consumed) == (7, len(data) - 7)


def test_chunk_of_nothing_changes_nothing(esl: ModuleType) -> None:
    decoder = esl.Decoder()
    decoder.feed(b"")
    decoder.feed(OK[:5])
    decoder.feed(b"")
    decoder.get_buffer(10)
    decoder.buffer_updated(0)
    assert (list(decoder), decoder.buffered) == ([], 5)
    decoder.feed(OK[5:])
    assert [message.frame for message in decoder] == [OK]


def test_what_was_fed_may_change_afterwards(esl: ModuleType) -> None:
    decoder = esl.Decoder()
    data = bytearray(OK)
    decoder.feed(data)
    data[:] = b"x" * len(data)
    assert [message.frame for message in decoder] == [OK]


def test_received_and_fed_bytes_are_one_stream(esl: ModuleType) -> None:
    decoder = esl.Decoder()
    decoder.feed(OK[:3])
    receive(decoder, OK[3:20])
    decoder.feed(OK[20:30])
    receive(decoder, OK[30:] + AUTH[:4])
    assert [message.frame for message in decoder] == [OK]
    receive(decoder, AUTH[4:])
    assert [message.frame for message in decoder] == [AUTH]


def test_buffer_offered_before_a_feed_still_counts_behind_it(esl: ModuleType) -> None:
    decoder = esl.Decoder()
    view = decoder.get_buffer(len(OK))
    decoder.feed(AUTH)
    view[: len(OK)] = OK
    decoder.buffer_updated(len(OK))
    assert [message.frame for message in decoder] == [AUTH, OK]


def test_messages_outlive_the_decoder_and_its_buffer(esl: ModuleType) -> None:
    decoder = esl.Decoder()
    decoder.feed(plain(b"A: first\n\nbody"))
    first = decoder.next_message()
    for _ in range(100):
        decoder.feed(plain(b"A: other\n\nxxxx"))
        assert decoder.next_message()["A"] == "other"
    del decoder
    assert (first["A"], first.body) == ("first", b"body")


def test_two_decoders_know_nothing_of_each_other(esl: ModuleType) -> None:
    one, two = esl.Decoder(), esl.Decoder()
    one.feed(OK[:10])
    two.feed(AUTH[:10])
    two.feed(AUTH[10:])
    one.feed(OK[10:])
    assert [message.frame for message in one] == [OK]
    assert [message.frame for message in two] == [AUTH]


# A window that is out while bytes are fed


@pytest.mark.timeout(300)
@pytest.mark.parametrize("windows", [1, 1 << 16])
def test_feeding_while_a_window_is_out_takes_linear_time(esl: ModuleType, windows: int) -> None:
    """64 MB in pieces of 1 KB, behind one window or a new one each time. Copied each time, they are two million MB."""
    piece = bytes(1024)
    decoder = esl.Decoder()
    decoder.feed(b"Content-Type: api/response\nContent-Length: %d\n\n" % (len(piece) << 16))
    views = []
    for number in range(1 << 16):
        if number < windows:
            views[:] = [decoder.get_buffer(1)]
        decoder.feed(piece)
    assert decoder.next_message().body == piece * (1 << 16)
    views[0][: len(OK)] = OK
    decoder.buffer_updated(len(OK))
    assert [message.frame for message in decoder] == [OK]


NUMBERED = b"".join(b"Content-Type: command/reply\nReply-Text: +OK %d\n\n" % number for number in range(2000))


@pytest.mark.parametrize("updated", [0, 1, 5_000, 50_000])
@pytest.mark.parametrize("taken", [False, True])
@pytest.mark.parametrize("fed", [slice(0, 3_000), slice(2_000, 60_000), slice(30_000, None), slice(None)])
def test_a_window_is_fed_to_its_own_decoder(esl: ModuleType, updated: int, taken: bool, fed: Any) -> None:
    """What it says when it is fed counts, though it may overlap with where that goes."""
    decoder, other = esl.Decoder(), esl.Decoder()
    frames = []
    view = decoder.get_buffer()
    view[:] = NUMBERED[: len(view)]
    if updated:
        decoder.buffer_updated(updated)
    if taken:
        frames += [message.frame for message in decoder]
    other.feed(NUMBERED[:updated] + view[fed])
    decoder.feed(view[fed])
    frames += [message.frame for message in decoder]
    assert frames == [message.frame for message in other]
    assert decoder.buffered == other.buffered


def test_a_window_is_fed_while_half_a_frame_moves_over_it(esl: ModuleType) -> None:
    decoder = esl.Decoder()
    first, second = (frame(b"Content-Type: api/response", NUMBERED[:size]) for size in (30_000, 50_000))
    view = decoder.get_buffer()
    view[:55_000] = (first + second)[:55_000]
    decoder.buffer_updated(55_000)
    assert decoder.next_message().frame == first
    fed = bytes(view[:35_000])
    decoder.feed(view[:35_000])
    assert decoder.next_message().frame == ((first + second)[:55_000] + fed)[len(first) :][: len(second)]


def test_what_is_too_much_stays_offered(esl: ModuleType) -> None:
    decoder = esl.Decoder(max_buffered=100)
    view = decoder.get_buffer(100)
    view[: len(OK)] = OK
    decoder.feed(AUTH * 3)
    with pytest.raises(esl.LimitExceeded):
        decoder.buffer_updated(len(OK))
    assert kinds(decoder) == ["AuthRequest"] * 3
    decoder.buffer_updated(len(OK))
    assert [message.frame for message in decoder] == [OK]
    with pytest.raises(ValueError, match="without get_buffer"):
        decoder.buffer_updated(0)


# Where bytes lie until they are taken


@pytest.mark.parametrize("way", ["feed", "receive"])
@pytest.mark.parametrize("before", [b"", OK * 3])
@pytest.mark.parametrize("behind", [b"", OK, OK[:7], OK * 50_000])
def test_frame_of_megabytes_is_whole_and_what_follows_too(esl: ModuleType, way: str, before: Any, behind: Any) -> None:
    large = frame(b"Content-Type: api/response", bytes(range(256)) * 10_000)
    decoder = esl.Decoder()
    frames = []
    for chunk in pieces(before + large + behind, 300_000):
        decoder.feed(chunk) if way == "feed" else receive(decoder, chunk)
        frames += [message.frame for message in decoder]
    rest = len(behind) % len(OK)
    assert decoder.buffered == rest
    decoder.feed(OK[rest:] + large)
    frames += [message.frame for message in decoder]
    assert b"".join(frames) == before + large + behind + OK[rest:] + large
    assert len(frames) == len(before + behind + OK[rest:]) // len(OK) + 2


def test_frame_of_megabytes_is_whole_while_its_window_is_held(esl: ModuleType) -> None:
    large = frame(b"Content-Type: api/response", b"x" * 3_000_000)
    decoder = esl.Decoder()
    views = []
    for chunk in pieces(large + OK, 60_000):
        views.append(decoder.get_buffer(len(chunk)))
        views[-1][: len(chunk)] = chunk
        decoder.buffer_updated(len(chunk))
    assert [message.frame for message in decoder] == [large, OK]
    for view in views:
        view[:10] = b"y" * 10
    decoder.feed(OK)
    assert [message.frame for message in decoder] == [OK]


def test_kept_frame_of_megabytes_does_not_change(esl: ModuleType) -> None:
    decoder = esl.Decoder()
    kept = []
    for number in range(3):
        large = frame(b"Content-Type: api/response", b"%d" % number * 1_500_000)
        for chunk in pieces(large, 200_000):
            receive(decoder, chunk)
        kept += decoder
    assert [set(message.body) for message in kept] == [{48}, {49}, {50}]


MIXED = b"".join(
    frame(b"Content-Type: " + kind, body)
    for kind, body in [
        (b"command/reply\nReply-Text: +OK", None),
        (b"text/event-plain", b"Event-Name: A\nB: 1\n\n" + b"b" * 700),
        (b"api/response", b"\n" * 5_000),
        (b"log/data", b"line"),
        (b"text/event-json", b'{"A":"' + b"j" * 2_000 + b'"}'),
    ]
    * 4
)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["feed", "feed", "copy", "receive", "offer"]),
            st.sampled_from([0, 1, 40, 1_023, 1_024, 1_025, 2_500, 4_095, 4_096, 4_097, 9_000, 30_000]),
            st.sampled_from([0, 1, 2, 99]),
        ),
        min_size=1,
        max_size=25,
    )
)
@examples(200)
def test_bytes_come_out_in_order_however_they_go_in_and_whenever_they_are_taken(esl: ModuleType, steps: Any) -> None:
    decoder = esl.Decoder()
    frames = []
    at = 0
    for way, size, taken in steps:
        chunk = MIXED[at : at + size]
        if way == "offer":
            decoder.get_buffer(size)  # and nothing comes
            chunk = b""
        elif way == "receive":
            receive(decoder, chunk)
        else:
            decoder.feed(chunk if way == "feed" else bytearray(chunk))
        at += len(chunk)
        for _ in range(taken):
            if (message := decoder.next_message()) is None:
                break
            frames.append(message.frame)
        assert decoder.buffered + sum(map(len, frames)) == decoder.buffered + decoder.consumed == at
    frames += [message.frame for message in decoder]
    assert b"".join(frames) == MIXED[: at - decoder.buffered]
    assert frames == [message.frame for message in decode(esl, MIXED)][: len(frames)]
    decoder.feed(MIXED[at:])
    assert len(frames) + len(list(decoder)) == 20


# Small pieces are copied behind those before, and nothing else is done while it is known that a frame is not whole


@pytest.mark.parametrize("cut", [1, 2, 3, 16, 61, 1_460, 4_095, 4_096, 4_097])
def test_frames_come_out_with_the_piece_that_ends_them(esl: ModuleType, cut: int) -> None:
    ends = {len(b"".join(frames)) for frames in ([m.frame for m in decode(esl, MIXED)][:n] for n in range(1, 21))}
    decoder, splitter = esl.Decoder(), esl.FrameSplitter()
    for at in range(0, len(MIXED), cut):
        decoder.feed(MIXED[at : at + cut])
        splitter.feed(MIXED[at : at + cut])
        came = [end for end in ends if at < end <= at + cut]
        assert len(list(decoder)) == len(list(splitter)) == len(came)
        assert decoder.next_message() is splitter.next_frame() is None
        assert decoder.buffered == splitter.buffered
    assert decoder.buffered == 0


@pytest.mark.parametrize("cut", [1, 16, 100, 4_095, 4_096])
@pytest.mark.parametrize("taken", ["before", "never"])
def test_what_waits_is_bounded_in_pieces_of_any_size(esl: ModuleType, cut: int, taken: str) -> None:
    start, bound = b"Content-Type: api/response\nContent-Length: 20000\n\n", 10_000
    decoder = esl.Decoder(max_body_bytes=20_000, max_buffered=bound)
    decoder.feed(OK + start)
    if taken == "before":
        assert kinds(decoder) == ["CommandReply"]
    while decoder.buffered + cut <= bound:
        decoder.feed(b"x" * cut)
    waiting = decoder.buffered
    with pytest.raises(esl.LimitExceeded, match=rf"\b{waiting + cut}\b.*\b{bound}\b|\b{bound}\b.*\b{waiting + cut}\b"):
        decoder.feed(b"x" * cut)
    assert decoder.buffered == waiting
    decoder.feed(b"x" * (bound - waiting))
    with pytest.raises(esl.LimitExceeded):
        decoder.feed(b"x")
    assert decoder.buffered == bound
    assert kinds(decoder) == ([] if taken == "before" else ["CommandReply"])


@pytest.mark.parametrize("cut", [16, 4_095])
@pytest.mark.parametrize("size", [65_534, 65_535, 65_536, 65_537, 65_552, 1 << 20, (1 << 20) + 1])
def test_small_pieces_fill_the_memory_for_them_to_its_last_byte(esl: ModuleType, cut: int, size: int) -> None:
    head = b"Content-Type: api/response\nContent-Length: %d\n\n" % size
    body = bytes(range(256)) * (size // 256 + 1)
    stream = head + body[: size - len(head) - 1]
    decoder = esl.Decoder()
    for _ in range(2):
        for piece in pieces(stream, cut):
            decoder.feed(piece)
            assert decoder.next_message() is None
        rest = size + len(head) - len(stream)
        for at in range(rest):
            decoder.feed(b"%c" % (at % 256))
        assert [message.body for message in decoder] == [
            body[: size - len(head) - 1] + bytes(at % 256 for at in range(rest))
        ]


# What was fed is cut in place, joined to the rest before it, or appended to that


@pytest.mark.parametrize("seed", range(6))
def test_what_is_fed_in_any_sizes_and_kinds_is_one_stream(esl: ModuleType, seed: Any) -> None:
    """Pieces longer and shorter than what waits, in turn; heads met before and new ones, one as long as the next."""
    rng = random.Random(seed)
    frames = []
    for number in range(300):
        size = rng.choice([0, 1, 9, 10, 99, 100, 500, 20_000])
        body = bytes(rng.choices(b"A: %\r\n\nContent-Length: 7", k=size))
        frames.append(rng.choice([plain(body), OK, AUTH, b"Content-Length: %d\nX: %d\n\n" % (size, number % 7) + body]))
    data = b"".join(frames)
    decoder, splitter = esl.Decoder(), esl.FrameSplitter()
    found, cut, at = [], [], 0
    while at < len(data):
        piece = data[at : at + rng.choice([1, 7, 100, 3_000, 70_000])]
        at += len(piece)
        given = rng.choice([bytes, bytearray, lambda piece: memoryview(bytearray(piece))])(piece)
        if rng.random() < 0.2:
            receive(decoder, piece)
        else:
            decoder.feed(given)
        splitter.feed(given)
        if type(given) is not bytes:
            given[:] = b"\n" * len(given)
        if rng.random() < 0.7:
            found += [message.frame for message in decoder]
            cut += list(splitter)
        assert decoder.buffered + decoder.consumed == splitter.buffered + splitter.consumed == at
    assert found + [message.frame for message in decoder] == frames
    assert [block + (body or b"") for block, body in [*cut, *splitter]] == frames


# How much get_buffer offers


def offered(esl: ModuleType, sizes: list[int]) -> list[int]:
    """What is offered before each of these reads; -1 is one that fills it."""
    splitter = esl.FrameSplitter(max_buffered=1 << 40)
    seen = []
    for size in sizes:
        window = splitter.get_buffer()
        seen.append(len(window))
        read = len(window) if size < 0 else min(size, len(window))
        window[:read] = b"\n" * read
        splitter.buffer_updated(read)
        assert list(splitter) == []
    return seen


def test_a_read_that_fills_the_window_doubles_it(esl: ModuleType) -> None:
    least, most = 64 << 10, 256 << 10
    assert offered(esl, [-1, -1, -1, -1, 100]) == [least, 2 * least, most, most, most]
    assert offered(esl, [least - 1, least - 1, 1, 1]) == [least] * 4
    after = offered(esl, [-1, *[100] * 60])
    assert after[1] == 2 * least
    assert after[-1] == least
    assert after[1:] == sorted(after[1:], reverse=True)


def test_both_cores_offer_the_same(both: tuple[ModuleType, ModuleType]) -> None:
    chance = random.Random(64)
    sizes = [chance.choice([-1, 0, 100, 9000, 70_000]) for _ in range(300)]
    assert offered(both[0], sizes) == offered(both[1], sizes)
