"""The recorded vectors of the official module, and where `eslcodec.ESL` does something else. Nothing in here tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from esl_support import COMMAND_REPLY, FILE, LOST, Server, inner, outer, saying, seen, wires

VECTORS: dict[str, Any] = {vector["name"]: vector for vector in FILE["vectors"]}


def vectors(kind: str) -> list[str]:
    return [name for name, vector in VECTORS.items() if vector["kind"] == kind]


def text_of(raw: str) -> str:
    """A vector's string, in which a character is a byte, as the module shows it."""
    return raw.encode("latin-1").decode("utf-8", "surrogateescape")


def expected(event: Any) -> Any:
    """What `seen` shows of an event that a vector describes."""
    if not isinstance(event, dict):
        return event
    headers = []
    for name, value in event["headers"]:
        if isinstance(value, dict):
            value = value["array"] if "array" in value else repeated(value)
        headers.append([text_of(name), text_of(value) if isinstance(value, str) else [text_of(item) for item in value]])
    body = event["body"]
    return {"type": event["type"], "headers": headers, "body": None if body is None else text_of(repeated(body))}


def repeated(value: Any) -> Any:
    """A vector's value, in which {"repeat": [text, count]} is a long one."""
    return value["repeat"][0] * value["repeat"][1] if isinstance(value, dict) and "repeat" in value else value


def build(ESL: Any, event: dict[str, Any]) -> Any:
    """The event that a vector describes."""
    built = ESL.ESLevent(*event["new"])
    for verb, *arguments in event.get("ops", []):
        assert getattr(built, verb)(*map(repeated, arguments)) is True
    return built


def argument(ESL: Any, value: Any) -> Any:
    return build(ESL, value) if isinstance(value, dict) and "new" in value else repeated(value)


# Kinds of vectors: what was recorded, and what the module does. Both are compared, so both are plain data.


def recorded_serialize(vector: dict[str, Any]) -> Any:
    return {"plain": vector["expect_plain"], "json": vector["expect_json"], "type": vector["expect_type"]}


def done_serialize(ESL: Any, vector: dict[str, Any]) -> Any:
    event = build(ESL, vector["event"])
    plain, json_ = (
        text.encode("utf-8", "surrogateescape").decode("latin-1")
        for text in (event.serialize(), event.serialize("json"))
    )
    return {"plain": plain, "json": json_, "type": event.getType()}


def recorded_serialize_length(vector: dict[str, Any]) -> Any:
    return vector["expect_plain_length"]


def done_serialize_length(ESL: Any, vector: dict[str, Any]) -> Any:
    return len(build(ESL, vector["event"]).serialize())


def recorded_emit(vector: dict[str, Any]) -> Any:
    wire = vector.get("expect_wire")
    if wire is None:
        head, tail = vector["expect_wire_head"], vector["expect_wire_tail"]
        wire = head + head[-1] * (vector["expect_wire_length"] - len(head) - len(tail)) + tail
    return {"wire": wire, "returns": vector.get("expect_return", vector["expect_return_type"])}


def done_emit(ESL: Any, vector: dict[str, Any]) -> Any:
    with wires(ESL) as wire_of:
        wire = wire_of(COMMAND_REPLY)
        for name, *arguments in vector["setup"]:
            getattr(wire.con, name)(*arguments)
        returned = getattr(wire.con, vector["method"])(*(argument(ESL, value) for value in vector["args"]))
        wire_text = wire.sent().decode("latin-1")
    return {"wire": wire_text, "returns": returned if isinstance(returned, int) else type(returned).__name__}


def recorded_handshake(vector: dict[str, Any]) -> Any:
    return {"sends": "".join(vector["client_sends"]), "connected": vector["connected"]}


def done_handshake(ESL: Any, vector: dict[str, Any]) -> Any:
    with Server(*(say.encode("latin-1") for say in vector["server_sends"])) as server:
        places = {"HOST": "127.0.0.1", "PORT": str(server.port)}
        con = ESL.ESLconnection(*(places.get(value, value) for value in vector["args"]))
        connected = con.connected()
        con.disconnect()
    return {"sends": server.heard.decode("latin-1"), "connected": connected}


def recorded_script(vector: dict[str, Any]) -> Any:
    return [[expected(step["returns"]), step["connected_after"]] for step in vector["steps"]]


SENDS = ("send", "sendRecv", "sendEvent")


def done_script(ESL: Any, vector: dict[str, Any]) -> Any:
    commands = sum(step["call"][0] in SENDS for step in vector["steps"])
    said = vector["server_sends_after_each_command"].encode("latin-1")
    closes = vector["server_closes"]
    done = []
    with wires(ESL) as wire_of:
        wire = wire_of(said * (1 if closes else commands), ended=closes)
        for step in vector["steps"]:
            name, *arguments = step["call"]
            returned = getattr(wire.con, name)(*(argument(ESL, value) for value in arguments))
            done.append([returned if isinstance(returned, int) else seen(returned), wire.con.connected()])
    return done


def recorded_recv(vector: dict[str, Any]) -> Any:
    shown = []
    for each in vector["expect"]["frames"]:
        event = each["event"] or each["outer"]
        shown.append(expected({**event, "headers": each.get("oop_copy_headers", event["headers"])}))
    return shown


def done_recv(ESL: Any, vector: dict[str, Any]) -> Any:
    parts = vector["input"] if isinstance(vector["input"], list) else [[vector["input"], 1]]
    data = b"".join(part.encode("latin-1") * count for part, count in parts)
    shown = []
    with wires(ESL) as wire_of:
        wire = wire_of()
        with saying(wire.peer, data):
            while (event := wire.con.recvEvent()).getType() != "SERVER_DISCONNECTED":
                assert wire.con.connected() == 1
                shown.append(seen(event))
            assert seen(event) == LOST
            assert wire.con.connected() == 0
            wire.con.disconnect()
    return shown


RECORDED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "serialize": recorded_serialize,
    "serialize_length": recorded_serialize_length,
    "emit": recorded_emit,
    "handshake": recorded_handshake,
    "script": recorded_script,
    "recv": recorded_recv,
}
DONE: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    "serialize": done_serialize,
    "serialize_length": done_serialize_length,
    "emit": done_emit,
    "handshake": done_handshake,
    "script": done_script,
    "recv": done_recv,
}


# Where the module does something else than was recorded


@dataclass(frozen=True)
class Other:
    why: str
    does: Any
    strict: bool = True  # whether it does so under `strict` as well


OK = outer("Content-Type=command/reply", "Reply-Text=+OK")
FROM_REPLY = outer("Content-Type=command/reply", "Reply-Text=+OK")
A1 = outer("A=1")

NEVER = "docs/protocol/esl-module.md, A6: never cuts, reads a value's middle as an array, or prints through printf"
BY_DEFAULT = "docs/protocol/esl-module.md, A6"
REFUSED = "by default no value becomes another header or command: it is refused, and nothing sent"
CR = "docs/protocol/reading.md, 1: one CR is dropped"
STRAY = "docs/protocol/reading.md, 11: stray CR/LF before a block are skipped"
NO_COLON = "docs/protocol/reading.md, 1: a line without a colon is skipped"
LENGTH = "docs/protocol/reading.md, 12 and 17: Content-Length of a frame: ASCII digits, equal repeats, else a failure"
NUL = "docs/protocol/reading.md, 11: NUL is an ordinary byte"
BODY = "docs/protocol/reading.md, 10: body: full length"
PERCENT = "docs/protocol/reading.md, 3: strict two-hex-digit percent decoding"
BLANKS = "docs/protocol/reading.md, 17: blanks in front of a value are dropped, a TAB too"
INNER_BODY = "docs/protocol/reading.md, 10: inner Content-Length is ignored, the body is all that follows"

OTHERWISE: dict[str, Other] = {
    # ESLevent
    "serialize_body_replaced": Other(
        BY_DEFAULT,
        {
            "plain": "Event-Name: DTMF\nContent-Length: 2\n\nab",
            "json": '{\n\t"Event-Name":\t"DTMF",\n\t"Content-Length":\t"2",\n\t"_body":\t"ab"\n}',
            "type": "DTMF",
        },
        strict=False,
    ),
    "serialize_unshift_appends": Other(
        BY_DEFAULT,
        {
            "plain": "Event-Name: DTMF\nP: ARRAY%3A%3A0%7C%3A1\n\n",
            "json": '{\n\t"Event-Name":\t"DTMF",\n\t"P":\t["0", "1"]\n}',
            "type": "DTMF",
        },
        strict=False,
    ),
    "serialize_all_escaped_drops_last": Other(NEVER, 1822),
    # commands
    "emit_filter_none": Other(REFUSED, {"wire": "", "returns": "ESLevent"}, strict=False),
    "emit_sendevent_lf_injection": Other(REFUSED, {"wire": "", "returns": "ESLevent"}, strict=False),
    "emit_sendevent_own_content_length": Other(
        "the vector's `recommended`: a user's own Content-Length is sent once and right",
        {"wire": "sendevent DTMF\nEvent-Name: DTMF\nContent-Length: 2\n\nOK\n\n", "returns": "ESLevent"},
        strict=False,
    ),
    "emit_events_truncated_1023": Other(NEVER, {"wire": "event plain " + "x" * 1100 + "\n\n", "returns": 0}),
    "emit_execute_arg_truncated_loses_lf": Other(
        NEVER,
        {
            "wire": "sendmsg u\ncall-command: execute\nexecute-app-name: a\n"
            f"execute-app-arg: {'b' * 4090}\nevent-lock: true\n\n",
            "returns": "ESLevent",
        },
    ),
    # login
    "handshake_password_injection": Other(REFUSED, {"sends": "", "connected": 0}, strict=False),
    "handshake_crlf_server_fails": Other(CR, {"sends": "auth x\n\n", "connected": 0}),
    # replies
    "script_sendevent_returns_stale_event_outbound": Other(BY_DEFAULT, [[FROM_REPLY, 1]], strict=False),
    "script_sendevent_returns_previous_frame": Other(
        BY_DEFAULT, [[FROM_REPLY, 1], [inner("DTMF", "Event-Name=DTMF", "A=1"), 1], [FROM_REPLY, 1]], strict=False
    ),
    # frames
    "crlf_header_values_keep_cr": Other(CR, [OK]),
    "crlf_content_length_still_parses": Other(CR, [outer("Content-Length=3", body="abc"), A1]),
    "terminator_crlf_lf": Other(CR, [A1, outer("B=2")]),
    "extra_lf_between_frames": Other(STRAY, [outer("Content-Type=a"), outer("Reply-Text=b")]),
    "extra_lf_lf_between_frames": Other(STRAY, [outer("Content-Type=a"), outer("Reply-Text=b")]),
    "leading_blank_block": Other(STRAY, [outer("Content-Type=a")]),
    "nocolon_line_joins_next_name": Other(NO_COLON, [outer("A=1", "B=2")]),
    "header_lookup_case_insensitive_length": Other(LENGTH, []),
    "content_length_not_a_number": Other(LENGTH, []),
    "content_length_trailing_junk": Other(LENGTH, []),
    "content_length_plus_sign": Other(LENGTH, []),
    "content_length_decimal_point": Other(LENGTH, []),
    "content_length_hex_is_zero": Other(LENGTH, []),
    "content_length_percent_decoded": Other(LENGTH, []),
    "content_length_array_is_zero": Other(LENGTH, []),
    "body_with_nul": Other(BODY, [outer("Content-Length=7", "Content-Type=x", body="a\0b\nc\0d"), A1]),
    "nul_in_header_block": Other(NUL, [outer("A=1\0002"), OK]),
    "header_block_65536_splits": Other(NEVER, [outer("A=" + "x" * 65531), OK]),
    "header_block_70000_single_value_lost": Other(NEVER, [outer("A=" + "x" * 69995), OK]),
    "urldecode_basic": Other(
        PERCENT,
        [outer("A=A%zz%4%", "B=100%", "C=a+b", "D=%2", "L=\n\r", "M=\u4f60", "R=%A", "S=%41")],
    ),
    "urldecode_scanf_quirks": Other(
        PERCENT, [outer("E=%2x", "G=% 41", "H=%-1", "I=%+4", "J=%4Z", "N=%   A", "O=%\tA")]
    ),
    "urldecode_nul_truncates": Other(f"{NUL}; {PERCENT}", [outer("K=a\0b", "F=%0x41", "Q=%0xg", "Z=z")]),
    "array_marker_mid_value": Other(NEVER, [outer("A=xx ARRAY::a|:b")]),
    "event_plain_body_without_length": Other(
        INNER_BODY, [inner("BACKGROUND_JOB", "Event-Name=BACKGROUND_JOB", body="+OK x\n")]
    ),
    "event_plain_last_line_without_lf_lost": Other(
        "the vector's `recommended`: a last line without LF is a line",
        [inner("DTMF", "Event-Name=DTMF", "A=1", "B=2")],
    ),
    "event_plain_unterminated_with_length": Other(
        "the vector's `recommended`: no blank line, no body", [inner("DTMF", "Event-Name=DTMF", "Content-Length=3")]
    ),
    "event_plain_inner_crlf": Other(CR, [inner("DTMF", "Event-Name=DTMF", "A=1")]),
    "event_plain_inner_nocolon": Other(
        NO_COLON, [inner("DTMF", "Event-Name=DTMF", "A=1", "B=A2", "C=3", "Content-Length=1", body="x")]
    ),
    "event_plain_inner_tab_kept": Other(BLANKS, [inner("DTMF", "Event-Name=DTMF", "A=1", "B=2", "C=3", "D=: x")]),
    "event_json_escaped_nul_truncates": Other(NUL, [inner("CUSTOM", "u=a\0b", "v=1")]),
    "event_json_body_percent_percent": Other(NEVER, [inner("DTMF", "Event-Name=DTMF", body="a%%b")]),
}


def outcome(vector: dict[str, Any], strict: bool) -> Any:
    """What the module is to do with a vector."""
    other = OTHERWISE.get(vector["name"])
    if other is not None and (other.strict or not strict):
        return other.does
    return RECORDED[vector["kind"]](vector)
