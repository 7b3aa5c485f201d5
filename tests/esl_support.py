"""What the tests of `eslcodec.ESL` share: the other end of its socket, and where it differs from the recorded vectors.

A peer says everything before the module reads any of it, wherever the order of bytes on the wire allows that: no
threads, no waiting. Nothing in here tests anything.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import importlib
import json
import socket
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from support import ACCEPTED, AUTH, DATA

FILE = json.loads((DATA / "vectors.json").read_text())
VECTORS: dict[str, Any] = {vector["name"]: vector for vector in FILE["vectors"]}
CONNECT_REPLY: bytes = FILE["outbound_connect_reply"].encode("latin-1")
COMMAND_REPLY: bytes = FILE["command_reply"].encode("latin-1")
GOODBYE = "Disconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n"
SECONDS = 10.0


def vectors(kind: str) -> list[str]:
    return [name for name, vector in VECTORS.items() if vector["kind"] == kind]


def room(ESL: Any, name: str) -> Any:
    """One of the files behind the module."""
    return importlib.import_module(f"{ESL.__package__}._esl.{name}")


def decoder_of(ESL: Any) -> Any:
    """A decoder as a connection of the module has it."""
    frames = room(ESL, "frames")
    return room(ESL, "connection").MessageDecoder(frames.KINDS, frames.Message)


# The other end


def outbound(ESL: Any, sock: socket.socket) -> Any:
    """ESLconnection(fd) with a socket that is its alone, whether it takes the descriptor over or duplicates it."""
    if ESL.strict:
        return ESL.ESLconnection(sock.detach())
    with sock:
        return ESL.ESLconnection(sock.fileno())


class Wire:
    """An outbound connection and its peer, which has said everything already."""

    def __init__(self, ESL: Any, said: bytes, *, ended: bool = False, connect: bytes = CONNECT_REPLY) -> None:
        self.peer, ours = socket.socketpair()
        self.peer.settimeout(SECONDS)
        self.peer.sendall(connect + said)
        if ended:
            self.peer.shutdown(socket.SHUT_WR)
        self.con = outbound(ESL, ours)

    def close(self) -> None:
        self.con.disconnect()
        self.peer.close()

    def hears(self, data: bytes) -> bytes:
        """What the peer receives, up to as many bytes as are expected."""
        heard = b""
        while len(heard) < len(data):
            more = self.peer.recv(len(data) - len(heard))
            if not more:
                break
            heard += more
        return heard

    def sent(self) -> bytes:
        """Everything that was sent behind `connect`. Ends the connection."""
        self.con.disconnect()
        heard = to_the_end(self.peer)
        assert heard.startswith(b"connect\n\n")
        return heard.removeprefix(b"connect\n\n")


def to_the_end(sock: socket.socket) -> bytes:
    heard = b""
    try:
        while data := sock.recv(1 << 16):
            heard += data
    except ConnectionResetError:
        pass
    return heard


@contextmanager
def wires(ESL: Any) -> Iterator[Callable[..., Wire]]:
    """Makes `Wire`s, and closes them."""
    with ExitStack() as stack:

        def make(*said: bytes, **options: Any) -> Wire:
            wire = Wire(ESL, b"".join(said), **options)
            stack.callback(wire.close)
            return wire

        yield make


@contextmanager
def saying(sock: socket.socket, data: bytes) -> Iterator[None]:
    """Something longer than a socket's buffers, then the end, while something else reads it."""

    def say() -> None:
        with contextlib.suppress(OSError):  # it may not want to hear it all
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=say)
    thread.start()
    try:
        yield
    finally:
        thread.join(SECONDS)
        assert not thread.is_alive(), "nobody reads"


class Server:
    """A server for one inbound connection: says something, reads a command, and so on; then only listens."""

    def __init__(self, *says: bytes, host: str = "127.0.0.1") -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.says = says
        self.heard = b""
        self.listener = socket.create_server((host, 0), family=family)
        self.listener.settimeout(SECONDS)
        self.port: int = self.listener.getsockname()[1]
        self.called = False
        self.thread = threading.Thread(target=self.serve)

    def serve(self) -> None:
        try:
            sock, _ = self.listener.accept()
        except OSError:  # nobody called
            return
        self.called = True
        sock.settimeout(SECONDS)
        with sock, contextlib.suppress(ConnectionError):
            for say in self.says[:-1]:
                sock.sendall(say)
                before = len(self.heard)
                while b"\n\n" not in self.heard[before:]:
                    data = sock.recv(1 << 16)
                    if not data:
                        return
                    self.heard += data
            sock.sendall(self.says[-1])
            sock.shutdown(socket.SHUT_WR)
            self.heard += to_the_end(sock)

    def __enter__(self) -> Server:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join(SECONDS)
        self.listener.close()
        assert not self.thread.is_alive(), "the client does not close"


LOGIN = (AUTH, ACCEPTED)


def unread(fd: int) -> int:
    """How many bytes have arrived that nobody has read."""
    count = array.array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, count)
    return count[0]


class Background:
    """A call in a thread of its own."""

    def __init__(self, call: Callable[..., Any], *arguments: Any) -> None:
        self.result: Any = "nothing yet"

        def run() -> None:
            self.result = call(*arguments)

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()

    def waits(self) -> bool:
        """Whether it has not returned, given every chance to."""
        self.thread.join(0.1)
        return self.thread.is_alive()

    def returns(self) -> Any:
        self.thread.join(SECONDS)
        assert not self.thread.is_alive(), "does not return"
        return self.result


# What an event shows


def seen(event: Any) -> Any:
    """Type, headers (arrays as lists) and body, in the vectors' words; None for None."""
    if event is None:
        return None
    members = json.loads(event.serialize("json"), object_pairs_hook=list) or []
    body = event.getBody()
    if body is not None:
        assert [name for name, _ in members[-2:]] == ["Content-Length", "_body"]
        members = members[:-2]
    assert names_of(event) == [name for name, _ in members]
    for name, value in members[::-1]:  # so that the first of a name is looked at last, and counts
        first = next(value for other, value in members if ascii_lower(other) == ascii_lower(name))
        text = first if isinstance(first, str) else first[0] if len(first) == 1 else "ARRAY::" + "|:".join(first)
        assert event.getHeader(name) == text
        items = [None] if isinstance(first, str) else [*first, None]
        assert [event.getHeader(name, i) for i in range(len(items))] == items
    return {"type": event.getType(), "headers": [list(member) for member in members], "body": body}


def ascii_lower(name: str) -> str:
    return "".join(char.lower() if char.isascii() else char for char in name)


def names_of(event: Any) -> list[str]:
    names = []
    name = event.firstHeader()
    while name is not None:
        names.append(name)
        name = event.nextHeader()
    return names


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


LOST = {"type": "SERVER_DISCONNECTED", "headers": [["Event-Name", "SERVER_DISCONNECTED"]], "body": None}


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


def outer(*headers: str, body: str | None = None) -> Any:
    """A frame, "name=value"."""
    pairs = [["Event-Name", "SOCKET_DATA"], *(header.split("=", 1) for header in headers)]
    return {"type": "SOCKET_DATA", "headers": pairs, "body": body}


def inner(type_: str, *headers: str, body: str | None = None) -> Any:
    return {"type": type_, "headers": [header.split("=", 1) for header in headers], "body": body}


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


@contextmanager
def strictly(ESL: Any, strict: bool) -> Iterator[None]:
    """`ESL.strict`, as it was before afterwards."""
    before = ESL.strict
    ESL.strict = strict
    try:
        yield
    finally:
        ESL.strict = before
