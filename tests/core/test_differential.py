"""Random streams, cut and damaged at random: both cores agree, and both agree with a naive reader (support.py).

The Python twin is the specification, the compiled core an optimisation of it (docs/protocol/rules.md, 1).
"""

from __future__ import annotations

from functools import partial
from types import ModuleType
from typing import Any

import pytest
from differential_support import NAMES, SEPARATORS, VALUES
from hypothesis import assume, example, given
from hypothesis import strategies as st
from support import (
    AUTH,
    OK,
    decode,
    heavy_examples,
    naive_dict,
    naive_frames,
    naive_get,
    naive_getlist,
    naive_last,
    naive_pairs,
    naive_payload,
    naive_unquote,
    outcome,
    pieces,
    plain,
    receive,
    snapshot,
)

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(0)]

# A grammar of streams

LINE_ENDS = st.sampled_from([b"\n", b"\n", b"\n", b"\n", b"\r\n", b"\r\r\n"])


@st.composite
def header_lines(draw: Any, max_size: Any = 8) -> Any:
    lines = []
    for _ in range(draw(st.integers(0, max_size))):
        line = draw(NAMES) + draw(SEPARATORS) + draw(VALUES)
        if line.strip(b"\r"):  # an empty one would end the block
            lines.append(line + draw(LINE_ENDS))
    return b"".join(lines)


BODIES = st.one_of(
    st.sampled_from([b"", b"\n", b"\n\n", OK, AUTH, b"Unique-ID: forged\n\n", b"\r\n\r\n", "é".encode()]),
    st.binary(max_size=40),
)
PAYLOADS = st.one_of(
    st.builds(
        lambda lines, blank, body: lines + blank + body, header_lines(), st.sampled_from([b"\n", b"\r\n", b""]), BODIES
    ),
    st.binary(max_size=60),
)
JSON = st.sampled_from(
    [
        b'{"Event-Name":"DTMF","A":"1","a":["x","y"],"A":"2","Content-Length":"3","_body":"abc"}',
        b'{"Event-Name":"COMMAND","Event-Name":"PRIVATE_COMMAND","u":"\\u00e9\\ud83d\\ude00\\n","raw":"\xff\xc3\xa9"}',
        b'{"n":5,"o":{"a":["}"]},"e":[],"one":["x"]} behind',
        b"{}",
    ]
)
XML = st.sampled_from(
    [
        b"<event>\n  <headers>\n    <Event-Name>DTMF</Event-Name>\n    <A>%41</A>\n    <A>y</A>\n  </headers>\n"
        b"  <Content-Length>2</Content-Length>\n  <body>b\n  </body>\n</event>\n",
        b"<event/>",
    ]
)
CONTENT_TYPES = st.sampled_from(
    [
        b"command/reply",
        b"api/response",
        b"log/data",
        b"text/disconnect-notice",
        b"auth/request",
        b"text/rude-rejection",
        b"x/y",
        b"TEXT/event-PLAIN",
    ]
)


@st.composite
def frames(draw: Any) -> Any:
    """One whole frame, its Content-Length right."""
    kind = draw(st.sampled_from(["plain", "plain", "plain", "other", "other", "connect", "json", "xml"]))
    end = draw(st.sampled_from([b"\n", b"\n", b"\r\n"]))
    lines = draw(header_lines(3))
    if b"content-length" in lines.lower():
        lines = b""
    if kind == "connect":
        return b"Event-Name: CHANNEL_DATA" + end + lines + b"Content-Type: command/reply" + end + end
    if kind == "other":
        body = draw(st.none() | BODIES)
        content_type = draw(CONTENT_TYPES)
    else:
        body = draw({"plain": PAYLOADS, "json": JSON, "xml": XML}[kind])
        content_type = b"text/event-" + kind.encode()
    length = b"" if body is None else b"Content-Length: %d%b" % (len(body), end)
    return length + b"Content-Type: " + content_type + end + lines + end + (body or b"")


STRAY = st.sampled_from([b"", b"", b"", b"", b"\n", b"\r\n", b"\n\n\r"])


@st.composite
def streams(draw: Any) -> Any:
    """Whole frames, with stray line ends between them."""
    return b"".join(draw(STRAY) + draw(frames()) for _ in range(draw(st.integers(1, 5))))


@st.composite
def damaged(draw: Any, data: Any) -> Any:
    """`data` with bytes changed, deleted, inserted, or its end cut off; and where the damage begins."""
    first = len(data)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        first = min(first, at)
        how = draw(st.sampled_from(["flip", "delete", "insert", "truncate", "length"]))
        if how == "flip":
            data = data[:at] + bytes([draw(st.integers(0, 255))]) + data[at + 1 :]
        elif how == "delete":
            data = data[:at] + data[at + draw(st.integers(1, 20)) :]
        elif how == "insert":
            data = data[:at] + draw(st.sampled_from([b"\n", b"\r", b"\n\n", b":", b"%", b"\0", b"\xff"])) + data[at:]
        elif how == "truncate":
            data = data[:at]
        else:
            found = data.find(b"Content-Length: ", at)
            if found >= 0 and draw(st.booleans()):  # another name: a frame without one
                data = data[:found] + b"X" + data[found + 1 :]
            elif found >= 0:
                wrong = draw(st.sampled_from([b"-", b"9", b"0x", b" ", b"99999999999999999999", b"\0", b"%31"]))
                data = data[: found + 16] + wrong + data[found + 16 :]
    return data, first


BOUNDS = st.one_of(
    st.just({}),
    st.just({}),
    st.fixed_dictionaries(
        {},
        optional={
            "max_header_bytes": st.integers(1, 200),
            "max_body_bytes": st.integers(1, 60),
            "max_buffered": st.integers(1, 300),
        },
    ),
)
CUTS = st.lists(st.integers(1, 60), min_size=1, max_size=6)
FEEDS = st.lists(st.sampled_from(["feed", "receive", "window", "empty"]), min_size=1, max_size=4)
READS = st.lists(st.sampled_from(["all", "all", "one", "none", "eof"]), min_size=1, max_size=4)

# Both cores


def trace(esl: ModuleType, decoder: Any, data: Any, cuts: Any, feeds: Any, reads: Any) -> Any:
    """Everything that a caller sees of a decoder. Exceptions that are not documented pass through."""
    seen = []
    messages = []

    def attempt(call: Any) -> None:
        try:
            result = call()
        except esl.ProtocolError as error:
            seen.append((type(error).__name__, str(error), vars(error)))
        else:
            if result is not None:
                seen.extend(map(snapshot, result))
                messages.extend(result)
        seen.append((decoder.buffered, decoder.consumed))

    def window(chunk: Any) -> None:
        with memoryview(decoder.get_buffer(len(chunk))) as view:
            room = min(len(chunk) // 2, len(view))
            view[:room] = chunk[len(chunk) - room :]
            decoder.feed(chunk[: len(chunk) - room])
            decoder.buffer_updated(room)

    ways = {
        "feed": decoder.feed,
        "receive": lambda chunk: receive(decoder, chunk),
        "window": window,
        "empty": lambda chunk: (decoder.feed(b""), decoder.feed(chunk), decoder.feed(b""))[0],
    }
    one = decoder.next_message if hasattr(decoder, "next_message") else decoder.next_frame
    asks = {
        "all": lambda: list(decoder),
        "one": lambda: [message for message in [one()] if message is not None],
        "none": lambda: None,
        "eof": decoder.feed_eof,
    }
    for number, chunk in enumerate(pieces(data, *cuts)):
        attempt(partial(ways[feeds[number % len(feeds)]], chunk))
        attempt(asks[reads[number % len(reads)]])
    for ask in ("all", "eof", "one", "all", "eof"):
        attempt(asks[ask])
    return seen, messages


@given(data=st.data(), stream=streams(), bounds=BOUNDS, cuts=CUTS, feeds=FEEDS, reads=READS)
@heavy_examples(400)
def test_both_cores_agree_on_everything(
    both: tuple[ModuleType, ModuleType], data: Any, stream: Any, bounds: Any, cuts: Any, feeds: Any, reads: Any
) -> None:
    stream, _ = data.draw(damaged(stream))
    c, python = both
    ours, messages = trace(c, c.Decoder(**bounds), stream, cuts, feeds, reads)
    twins, others = trace(python, python.Decoder(**bounds), stream, cuts, feeds, reads)
    assert ours == twins
    for one, two in zip(messages, others, strict=True):
        assert [one == other for other in messages] == [two == other for other in others]
    for one in messages:
        assert all(hash(one) == hash(other) for other in messages if one == other)
    ours, _ = trace(c, c.FrameSplitter(**bounds), stream, cuts, feeds, reads)
    twins, _ = trace(python, python.FrameSplitter(**bounds), stream, cuts, feeds, reads)
    assert ours == twins


@given(st.binary(max_size=80), CUTS, BOUNDS)
@heavy_examples(100)
def test_both_cores_agree_on_any_bytes(both: tuple[ModuleType, ModuleType], data: Any, cuts: Any, bounds: Any) -> None:
    c, python = both
    ours, _ = trace(c, c.Decoder(**bounds), data, cuts, ["feed"], ["all"])
    twins, _ = trace(python, python.Decoder(**bounds), data, cuts, ["feed"], ["all"])
    assert ours == twins


@given(
    st.lists(
        st.sampled_from(
            [b"\n", b"\r", b"\n\n", b":", b": ", b"A", b"Event-Name", b"Content-Length: 3", b"Content-Type: "]
        )
        | st.sampled_from([b"text/event-plain", b"command/reply", b"%41", b" ", b"x" * 30, b"abc", b"1", b"\0"]),
        max_size=40,
    ).map(b"".join),
    CUTS,
    BOUNDS,
)
@heavy_examples(300)
def test_both_cores_agree_on_any_line_ends(
    both: tuple[ModuleType, ModuleType], data: Any, cuts: Any, bounds: Any
) -> None:
    c, python = both
    ours, _ = trace(c, c.Decoder(**bounds), data, cuts, ["feed"], ["all"])
    twins, _ = trace(python, python.Decoder(**bounds), data, cuts, ["feed"], ["all"])
    assert ours == twins


@given(
    digits=st.integers(0, 10**21).map(lambda number: b"%d" % number)
    | st.integers(0, 10**20).map(lambda number: b"%d\nContent-Length: %d" % (number, number + number % 2))
    | st.integers(590, 610).map(lambda size: b"9" * size)
    | st.binary(max_size=6).filter(lambda x: b"\n" not in x),
    bound=st.sampled_from([1, 100, 2**31, 2**32 + 5, 2**62 % 10**18, 10**18 - 1]),
)
@example(digits=b"%d" % 2**63, bound=100)
@example(digits=b"%d" % (10**19 - 1), bound=100)
@example(digits=b"%d" % 2**64, bound=100)
@example(digits=b"%d" % 10**18, bound=10**18 - 1)
@heavy_examples(100)
def test_both_cores_agree_on_any_content_length(both: tuple[ModuleType, ModuleType], digits: Any, bound: Any) -> None:
    seen = []
    for esl in both:
        decoder = esl.Decoder(max_body_bytes=bound, max_buffered=1000)
        decoder.feed(b"Content-Length: " + digits + b"\n\nabc")
        seen.append(trace(esl, decoder, b"", [1], ["feed"], ["all"])[0])
    assert seen[0] == seen[1]


# One core


def shown(result: Any) -> Any:
    return [snapshot(message) for message in result["messages"]], result["error"], result["consumed"]


@given(data=st.data(), stream=streams(), bounds=BOUNDS, cuts=CUTS)
@heavy_examples(100)
def test_pieces_do_not_matter(esl: ModuleType, data: Any, stream: Any, bounds: Any, cuts: Any) -> None:
    stream, _ = data.draw(damaged(stream))
    bounds.pop("max_buffered", None)
    whole = shown(outcome(esl.Decoder(**bounds), [stream]))
    assert shown(outcome(esl.Decoder(**bounds), pieces(stream, 1))) == whole
    assert shown(outcome(esl.Decoder(**bounds), pieces(stream, *cuts))) == whole
    assert shown(outcome(esl.Decoder(**bounds), pieces(stream, *cuts), feed=receive)) == whole


@given(data=st.data(), stream=streams(), cuts=CUTS)
@heavy_examples(100)
def test_good_frames_before_damage_come_out_first(esl: ModuleType, data: Any, stream: Any, cuts: Any) -> None:
    broken, first = data.draw(damaged(stream))
    good = [block + (body or b"") for block, body in naive_frames(stream[:first])]
    result = outcome(esl.Decoder(), pieces(broken, *cuts))
    assert [message.frame for message in result["messages"][: len(good)]] == good


@given(stream=streams(), cuts=CUTS)
@heavy_examples(100)
def test_frames_are_those_of_a_naive_splitter(esl: ModuleType, stream: Any, cuts: Any) -> None:
    splitter = esl.FrameSplitter()
    seen = []
    for chunk in pieces(stream, *cuts):
        splitter.feed(chunk)
        seen += splitter
    splitter.feed_eof()
    assert seen == naive_frames(stream)


@given(payload=PAYLOADS, data=st.data())
@heavy_examples(300)
def test_look_ups_are_those_of_a_naive_reader_in_any_order(esl: ModuleType, payload: Any, data: Any) -> None:
    pairs, body = naive_payload(payload)
    (event,) = decode(esl, plain(payload))
    known = [name for name, _ in pairs]
    changes = st.sampled_from(
        [str, str.upper, str.lower, str.swapcase, lambda name: name + ":", lambda name: name[:-1]]
    )
    names = st.builds(lambda name, change: change(name), st.sampled_from([*known, "Event-Name", "absent"]), changes)
    asks = data.draw(
        st.lists(
            st.tuples(
                st.sampled_from(
                    ["[]", "get", "in", "select", "getlist", "last", "asdict", "len", "iter", "pairs", "body", "raw"]
                ),
                names | st.text(max_size=4),
            ),
            min_size=1,
            max_size=12,
        )
    )
    for ask, name in asks:
        wanted = naive_get(pairs, name)
        if ask == "[]" and wanted is None:
            with pytest.raises(KeyError):
                event[name]
        elif ask == "[]":
            assert event[name] == wanted
        elif ask == "get":
            assert event.get(name, 5) == (5 if wanted is None else wanted)
        elif ask == "in":
            assert (name in event) == (wanted is not None)
        elif ask == "select":
            assert event.select(name, "absent", name) == (wanted, naive_get(pairs, "absent"), wanted)
        elif ask == "getlist":
            assert event.getlist(name) == naive_getlist(pairs, name)
        elif ask == "last":
            assert event._last(name) == naive_last(pairs, name)
        elif ask == "asdict":
            assert list(event.asdict().items()) == list(naive_dict(pairs).items())
        elif ask == "len":
            assert len(event) == len(naive_dict(pairs))
        elif ask == "iter":
            assert list(event) == list(naive_dict(pairs))
        elif ask == "pairs":
            assert event.pairs() == pairs
        elif ask == "body":
            assert event.body == body
        else:
            assert event.raw == payload[: len(payload) - len(body or b"")]


@given(lines=header_lines(), data=st.data())
@heavy_examples(100)
def test_frame_headers_are_those_of_a_naive_reader(esl: ModuleType, lines: Any, data: Any) -> None:
    lines = lines.lstrip(b"\r\n")
    assume(b"content-length" not in lines.lower() and b"text/event-" not in lines.lower())
    (message,) = decode(esl, b"X: 1\n" + lines + b"\n")
    pairs = naive_pairs(b"X: 1\n" + lines, decode=False)
    assert message.pairs() == pairs
    for name in data.draw(st.lists(st.sampled_from([name for name, _ in pairs]), max_size=4)):
        assert message.get(name.swapcase()) == naive_get(pairs, name.swapcase())
        assert message[name] == naive_get(pairs, name)
        assert message._last(name) == naive_last(pairs, name)
        assert message.getlist(name) == naive_getlist(pairs, name)


@given(block=st.one_of(header_lines(), PAYLOADS, st.binary(max_size=60)), decode=st.booleans(), multiline=st.booleans())
@heavy_examples(300)
def test_parse_is_that_of_a_naive_reader(esl: ModuleType, block: Any, decode: Any, multiline: Any) -> None:
    pairs = naive_pairs(block, decode, multiline)
    assert esl.parse_pairs(block, decode=decode, multiline=multiline) == pairs
    headers = esl.parse_headers(block, decode=decode, multiline=multiline)
    assert list(headers.items()) == list(naive_dict(pairs).items())
    text = block.decode("utf-8", "surrogateescape")
    assert esl.parse_pairs(text, decode=decode, multiline=multiline) == pairs


ENCODED = st.one_of(
    st.binary(max_size=40),
    st.lists(st.sampled_from([b"%", b"4", b"1", b"f", b"F", b"g", b"A", b"%41", b"%0A", b"\xff"]), max_size=30).map(
        b"".join
    ),
)


@given(ENCODED)
@heavy_examples(300)
def test_unquote_is_that_of_a_naive_reader(esl: ModuleType, data: Any) -> None:
    assert esl.unquote(data) == naive_unquote(data)


@given(ENCODED | st.binary(min_size=200, max_size=600))
@heavy_examples(100)
def test_unquote_gives_back_what_quote_was_given(esl: ModuleType, data: Any) -> None:
    quoted = esl.quote(data)
    assert esl.unquote(quoted) == data
    assert quoted.isascii()
