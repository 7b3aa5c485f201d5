"""The vectors of kind `recv` (tests/data/vectors.json), most of them recorded from the official C library.

What it recorded is what we read, once its SOCKET_DATA header, which it adds itself, is taken away. Where
docs/protocol/reading.md differs on purpose, OURS says what we read instead and why. An entry that is not needed is a
failure.
"""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

import pytest
from support import DATA, pieces

VECTORS = {v["name"]: v for v in json.loads((DATA / "vectors.json").read_text())["vectors"] if v["kind"] == "recv"}

STRAY = "docs/protocol/reading.md, 11: stray CR/LF before a block"
CR = "docs/protocol/reading.md, 1: one CR before the LF is dropped"
NO_COLON = "docs/protocol/reading.md, 1: a line without ':' is skipped"
CUT = "docs/protocol/reading.md, 1: cut at the first ': ', further blanks are kept"
EMPTY = "docs/protocol/reading.md, 9: empty values, as they are"
LENGTH = "docs/protocol/reading.md, 12: Content-Length of a frame"
PLAIN_TEXT = "docs/protocol/reading.md, 2: frame headers are plain text and stay as they are"
NUL = "docs/protocol/reading.md, 11: NUL is an ordinary byte"
BODY = "docs/protocol/reading.md, 10: body: bytes, full length"
BLOCK = "docs/protocol/reading.md, 11: header block size"
ARRAYS = "docs/protocol/reading.md, 8: the marker stands at the start, every item counts, repeats are kept"
INDEXED = "docs/protocol/reading.md, 8: pairs as on the wire: a name with an index is a name"
BODY_HEADER = "docs/protocol/reading.md, 10: body is everything after the blank line (a header _body is a header)"
INNER_BODY = "docs/protocol/reading.md, 10: inner Content-Length is ignored, the body is all that follows"
EVENT_NAME = "docs/protocol/reading.md, 7: pairs keep all, also of Event-Name"
NOTICE = "docs/protocol/reading.md, 15: a final disconnect-notice is a message like any other"
JSON_EMPTY = "docs/protocol/reading.md, 9: empty values and arrays' empty items, as they are"
JSON_VALUES = "docs/protocol/reading.md, 14: a value of another producer keeps its JSON text"
JSON_NUL = "docs/protocol/reading.md, 11: NUL is an ordinary byte"
JSON_BODY = "docs/protocol/reading.md, 10: JSON _body verbatim"
JSON_MALFORMED = "docs/protocol/reading.md, 14: an event that cannot be read has `malformed` set"
JSON_SURROGATE = "docs/protocol/reading.md, 14: reading an event never raises, a lone surrogate is U+FFFD"
XML = "docs/protocol/reading.md, 14: XML events are parsed"

GOODBYE = "Disconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n"


def frame(headers: list[list[str]], body: str | None = None, event: Any = None) -> dict[str, Any]:
    """A frame as we expect it. Headers of which the wire has arrays: see `lists`."""
    lists: dict[str, list[str]] = {}
    for name, value in headers:
        lists.setdefault(name, []).extend(value[7:].split("|:") if value.startswith("ARRAY::") else [value])
    return {"headers": headers, "lists": lists, "body": body, "event": event}


def event(headers: list[list[str]], body: str | None = None, **lists: list[str]) -> dict[str, Any]:
    read = frame(headers, body)
    del read["event"]
    read["lists"] |= lists
    return read


def in_frame(event: Any, payload: str, format: str = "plain") -> dict[str, Any]:
    return frame([["Content-Length", str(len(payload))], ["Content-Type", f"text/event-{format}"]], payload, event)


REPLY = frame([["Content-Type", "command/reply"], ["Reply-Text", "+OK"]])
A1 = frame([["A", "1"]])
CLEAN = "EOF"


def one(*headers: str) -> tuple[list[Any], str]:
    """The outcome of a single frame, "name=value"."""
    return [frame([header.split("=", 1) for header in headers])], CLEAN


def payload_of(name: str) -> str:
    return VECTORS[name]["expect"]["frames"][0]["outer"]["body"]


def plain_event(name: str, headers: list[list[str]], body: str | None = None) -> tuple[list[Any], str]:
    return [in_frame(event(headers, body), payload_of(name))], CLEAN


def json_event(name: str, headers: list[list[str]], body: str | None = None, **lists: Any) -> tuple[list[Any], str]:
    return [in_frame(event(headers, body, **lists), payload_of(name), "json")], CLEAN


DTMF = ["Event-Name", "DTMF"]
BAD_LENGTH: tuple[list[Any], str] = ([], "InvalidContentLength")

OURS: dict[str, tuple[str, tuple[list[Any], str]]] = {
    # framing
    "crlf_header_values_keep_cr": (CR, ([REPLY], CLEAN)),
    "crlf_content_length_still_parses": (CR, ([frame([["Content-Length", "3"]], "abc"), A1], CLEAN)),
    "terminator_crlf_lf": (CR, ([A1, frame([["B", "2"]])], CLEAN)),
    "extra_lf_between_frames": (STRAY, ([frame([["Content-Type", "a"]]), frame([["Reply-Text", "b"]])], CLEAN)),
    "extra_lf_lf_between_frames": (STRAY, ([frame([["Content-Type", "a"]]), frame([["Reply-Text", "b"]])], CLEAN)),
    "leading_blank_block": (STRAY, one("Content-Type=a")),
    "content_length_not_a_number": (LENGTH, BAD_LENGTH),
    "content_length_trailing_junk": (LENGTH, BAD_LENGTH),
    "content_length_plus_sign": (LENGTH, BAD_LENGTH),
    "content_length_decimal_point": (LENGTH, BAD_LENGTH),
    "content_length_hex_is_zero": (LENGTH, BAD_LENGTH),
    "content_length_percent_decoded": (LENGTH, BAD_LENGTH),
    "content_length_array_is_zero": (LENGTH, BAD_LENGTH),
    "header_lookup_case_insensitive_length": (LENGTH, BAD_LENGTH),
    "content_length_over_16MiB": ("docs/protocol/reading.md, 11: max_body_bytes is 64 MiB", ([], "IncompleteFrame")),
    "body_with_nul": (BODY, ([frame([["Content-Length", "7"], ["Content-Type", "x"]], "a\0b\nc\0d"), A1], CLEAN)),
    "nul_in_header_block": (NUL, ([frame([["A", "1\0002"]]), REPLY], CLEAN)),
    "header_block_65536_splits": (BLOCK, ([frame([["A", "x" * 65531]]), REPLY], CLEAN)),
    "header_block_70000_single_value_lost": (BLOCK, ([frame([["A", "x" * 69995]]), REPLY], CLEAN)),
    # lines
    "nocolon_line_joins_next_name": (NO_COLON, one("A=1", "B=2")),
    "value_whitespace": (CUT, one("A=1", "B=  2  ", "C=3", "D=:x", "E=a: b", "H=end")),
    "empty_value_dropped": (EMPTY, one("A=", "B=", "C=\t ", "H=end")),
    "empty_value_deletes_earlier": (EMPTY, one("A=x", "a=", "B=1")),
    # percent coding
    "urldecode_basic": (
        PLAIN_TEXT,
        one("A=%41%zz%4%", "B=100%", "C=a+b", "D=%2", "L=%0A%0d", "M=%e4%BD%a0", "R=%%41", "S=%2541"),
    ),
    "urldecode_scanf_quirks": (PLAIN_TEXT, one("E=%2x", "G=% 41", "H=%-1", "I=%+4", "J=%4Z", "N=%   A", "O=%\tA")),
    "urldecode_nul_truncates": (PLAIN_TEXT, one("K=a%00b", "F=%0x41", "Q=%0xg", "Z=z")),
    "outer_reply_text_is_decoded": (PLAIN_TEXT, one("Content-Type=command/reply", "Reply-Text=50% off %41")),
    # arrays
    "array_single": (ARRAYS, one("A=ARRAY::a")),
    "array_encoded_marker": (PLAIN_TEXT, one("A=ARRAY%3A%3Aa%7C%3Ab%20c")),
    "array_leading_empty_dropped": (ARRAYS, one("A=ARRAY::|:b")),
    "array_marker_only_dropped": (ARRAYS, one("A=ARRAY::", "B=1")),
    "array_marker_mid_value": (ARRAYS, one("A=xx ARRAY::a|:b")),
    "array_appends_to_existing_header": (ARRAYS, one("A=p", "A=ARRAY::b|:c", "A=q")),
    "indexed_names": (INDEXED, one("A[0]=x", "A[1]=y")),
    "indexed_gap_fills_empty": (INDEXED, one("B[3]=z")),
    "indexed_replaces_scalar": (INDEXED, one("A=x", "A[1]=y")),
    "indexed_overwrite_stale_value": (INDEXED, one("A[0]=x", "A[1]=y", "A[0]=zz")),
    "indexed_out_of_range_dropped": (INDEXED, one("A[4001]=x", "A[-1]=x", "B=1")),
    "body_pseudo_header": (BODY_HEADER, one("_body=hello", "B=1")),
    # plain events
    "event_plain_body_without_length": (
        INNER_BODY,
        plain_event("event_plain_body_without_length", [["Event-Name", "BACKGROUND_JOB"]], "+OK x\n"),
    ),
    "event_plain_last_line_without_lf_lost": (
        "vector: recommended",
        plain_event("event_plain_last_line_without_lf_lost", [DTMF, ["A", "1"], ["B", "2"]]),
    ),
    "event_plain_unterminated_with_length": (
        INNER_BODY,
        plain_event("event_plain_unterminated_with_length", [DTMF, ["Content-Length", "3"]]),
    ),
    "event_plain_inner_crlf": (CR, plain_event("event_plain_inner_crlf", [DTMF, ["A", "1"]])),
    "event_plain_inner_nocolon": (
        NO_COLON,
        plain_event(
            "event_plain_inner_nocolon", [DTMF, ["A", "1"], ["B", "A2"], ["C", "3"], ["Content-Length", "1"]], "x"
        ),
    ),
    "event_plain_inner_tab_kept": (
        CUT,
        plain_event("event_plain_inner_tab_kept", [DTMF, ["A", "1"], ["B", "  2"], ["C", "3"], ["D", ": x"]]),
    ),
    "event_plain_repeated_event_name": (
        EVENT_NAME,
        plain_event("event_plain_repeated_event_name", [DTMF, ["A", "1"], ["event-name", "HEARTBEAT"]]),
    ),
    # JSON events
    "event_json_non_strings_dropped": (
        JSON_VALUES,
        json_event(
            "event_json_non_strings_dropped",
            [
                DTMF,
                ["num", "5"],
                ["t", "true"],
                ["nul", "null"],
                ["obj", '{"a":"b"}'],
                ["mix", "ARRAY::a|:1|:null|:b"],
                ["e", ""],
            ],
            e=[],
        ),
    ),
    "event_json_empty_strings": (
        JSON_EMPTY,
        json_event("event_json_empty_strings", [DTMF, ["A", ""], ["arr", "ARRAY::|:y|:"], ["dup", "1"], ["dup", "2"]]),
    ),
    "event_json_malformed": (JSON_MALFORMED, json_event("event_json_malformed", [])),
    "event_json_lone_surrogate_rejected": (
        JSON_SURROGATE,
        json_event("event_json_lone_surrogate_rejected", [["u", "\ufffd".encode().decode("latin-1")]]),
    ),
    "event_json_escaped_nul_truncates": (
        JSON_NUL,
        json_event("event_json_escaped_nul_truncates", [["u", "a\0b"], ["v", "1"]]),
    ),
    "event_json_body_percent_percent": (JSON_BODY, json_event("event_json_body_percent_percent", [DTMF], "a%%b")),
    # XML events
    "event_xml_left_raw": (XML, ([in_frame(event([DTMF]), payload_of("event_xml_left_raw"), "xml")], CLEAN)),
    "log_data": (
        EMPTY,
        (
            [
                frame(
                    [
                        ["Content-Type", "log/data"],
                        ["Content-Length", "9"],
                        ["Log-Level", "7"],
                        ["Text-Channel", "0"],
                        ["Log-File", "switch_core.c"],
                        ["Log-Func", "main"],
                        ["Log-Line", "12"],
                        ["User-Data", ""],
                    ],
                    "log line\n",
                ),
                REPLY,
            ],
            CLEAN,
        ),
    ),
    # ends
    "disconnect_notice_inbound": (
        NOTICE,
        ([frame([["Content-Type", "text/disconnect-notice"], ["Content-Length", "67"]], GOODBYE), REPLY], CLEAN),
    ),
    "disconnect_notice_session": (
        NOTICE,
        (
            [
                frame(
                    [
                        ["Content-Type", "text/disconnect-notice"],
                        ["Controlled-Session-UUID", "u-1"],
                        ["Content-Disposition", "disconnect"],
                        ["Content-Length", "67"],
                    ],
                    GOODBYE,
                )
            ],
            CLEAN,
        ),
    ),
}

# An event without headers, which says why in `malformed`.
MALFORMED = {"event_json_malformed", "event_json_top_level_array"}

ENDS = {"EOF": "EOF", "EOF_PARTIAL": "IncompleteFrame", "FATAL_CONTENT_LENGTH": "InvalidContentLength"}


def spelled_out(value: Any) -> Any:
    return value["repeat"][0] * value["repeat"][1] if isinstance(value, dict) and "repeat" in value else value


def recorded_block(block: dict[str, Any], skip: int) -> dict[str, Any]:
    headers = []
    lists: dict[str, list[str]] = {}
    for name, value in block["headers"][skip:]:
        value = spelled_out(value)
        items = value["array"] if isinstance(value, dict) else [value]
        headers.append([name, value["value"] if isinstance(value, dict) else value])
        lists.setdefault(name, []).extend(items)
    return {"headers": headers, "lists": lists, "body": spelled_out(block["body"])}


def recorded(vector: dict[str, Any]) -> tuple[list[Any], str]:
    """What the official library made of it, without what it adds itself."""
    frames = []
    for read in vector["expect"]["frames"]:
        assert read["outer"]["headers"][0] == ["Event-Name", "SOCKET_DATA"]
        frames.append(recorded_block(read["outer"], 1))
        frames[-1]["event"] = None if read["event"] is None else recorded_block(read["event"], 0)
    return frames, ENDS.get(vector["expect"]["end"], vector["expect"]["end"])


def latin1(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def shown_block(message: Any) -> dict[str, Any]:
    return {
        "headers": [[latin1(name), latin1(value)] for name, value in message.pairs()],
        "lists": {latin1(name): [latin1(item) for item in message.getlist(name)] for name in message},
        "body": None if message.body is None else message.body.decode("latin-1"),
    }


def read(esl: Any, vector: dict[str, Any]) -> tuple[list[Any], str, list[Any]]:
    """What we make of it, in the same shape, and the messages."""
    given = vector["input"]
    data = (given if isinstance(given, str) else "".join(c * n for c, n in given)).encode("latin-1")
    cut = vector.get("chunks", [])
    chunks = pieces(data, 1) if cut == "bytewise" else []
    at = 0
    for size in [] if cut == "bytewise" else [*cut, len(data)]:
        chunks.append(data[at : at + size])
        at += size
    decoder = esl.Decoder()
    messages: list[Any] = []
    end = "EOF"
    try:
        for chunk in chunks:
            decoder.feed(chunk)
            messages += decoder
        decoder.feed_eof()
    except esl.ProtocolError as error:
        end = type(error).__name__
    frames = []
    for message in messages:
        if isinstance(message, esl.Event):
            block, body = message.__reduce__()[1]
            headers = [[latin1(name), latin1(value)] for name, value in esl.parse_pairs(block, decode=False)]
            frames.append(frame(headers, body.decode("latin-1"), shown_block(message)))
        else:
            frames.append({**shown_block(message), "event": None})
    return frames, end, messages


@pytest.mark.parametrize("name", VECTORS)
def test_vector(esl: ModuleType, name: Any) -> None:
    vector = VECTORS[name]
    as_recorded = recorded(vector)
    if name in OURS:
        _, expected = OURS[name]
        assert expected != as_recorded, "this vector is read as recorded: it needs no entry in OURS"
    else:
        expected = as_recorded
    frames, end, messages = read(esl, vector)
    assert (frames, end) == expected
    for message in messages:
        if isinstance(message, esl.Event):
            names = [value for name, value in message.pairs() if name == "Event-Name"]
            assert message.name == (names[-1] if names else None)
            assert (message.malformed is not None) == (name in MALFORMED)


def test_every_difference_names_a_vector_and_a_reason() -> None:
    assert set(OURS) <= set(VECTORS)
    for reason, (_, end) in OURS.values():
        assert reason.startswith(("docs/protocol/reading.md, ", "vector: "))
        assert end in ("EOF", "InvalidContentLength", "IncompleteFrame")


def test_all_vectors_are_here() -> None:
    assert len(VECTORS) == 112
