"""Commands: their bytes, what is refused, and that the switch reads one command with the same parts.

READER below follows the switch's rules (docs/protocol/commands.md, 1 and 4, docs/protocol/headers.md, P6) on its
own: it knows nothing of how commands are built.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from enum import Enum, IntEnum
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support import DATA, examples

from eslcodec import EventName, HangupCause, InvalidCommand, LogLevel, commands, limits
from eslcodec.commands import (
    api,
    auth,
    bgapi,
    connect,
    divert_events,
    event,
    execute,
    exit,
    filter,
    filter_delete,
    getvar,
    hangup,
    linger,
    log,
    myevents,
    nixevent,
    noevents,
    nolinger,
    nolog,
    nomedia,
    resume,
    sendevent,
    sendmsg,
    unicast,
    userauth,
    xferext,
)

# READER: what the switch makes of a stream of commands


class Command(NamedTuple):
    raw: bytes
    line: str
    headers: list[tuple[str, str | list[str]]]
    body: bytes | None  # None: the length is one with which the switch closes the connection


def read(stream: bytes) -> Iterator[Command]:
    while stream := stream.lstrip(b"\r\n"):
        end = re.search(rb"\n\r*\n", stream)
        assert end, f"the switch waits for the rest of {stream!r:.80}"
        raw, stream = stream[: end.end()], stream[end.end() :]
        first, *lines = split_lines(replaced(raw.split(b"\0")[0]))
        headers: list[tuple[str, str | list[str]]] = []
        body: bytes | None = b""
        for line in lines:
            name, colon, value = line.partition(":")
            if colon:
                add_header(headers, name, value.lstrip(" "))
            if colon and name.lower() == "content-length":  # each of them reads a body
                length = int((re.match(r"\s*([+-]?[0-9]+)", value) or [0, 0])[1])
                if not 0 <= length <= 16 << 20:
                    yield Command(raw, first, headers, None)
                    return
                body, stream = stream[:length], stream[length:]
                assert len(body) == length, f"the switch waits for {length} bytes of body"
                raw += body
        yield Command(raw, first, headers, body)


def replaced(block: bytes) -> bytes:
    for verb in (b"unload", b"reload"):
        if verb in block.lower() and b"mod_event_socket" in block.lower():
            return b"api bgapi %b mod_event_socket\n\n" % verb
    return block


def split_lines(block: bytes) -> list[str]:
    lines = []
    while block:
        at = block.find(b"\r") if b"\r" in block else block.find(b"\n")  # a CR first, wherever it is
        at = len(block) if at < 0 else at
        lines.append(block[:at].decode("utf-8", "surrogateescape"))
        block = block[at:].lstrip(b"\r\n")
    return lines


def add_header(headers: list[tuple[str, str | list[str]]], name: str, value: str) -> None:
    base, bracket, index = name.partition("[")
    at = next((i for i, (other, _) in enumerate(headers) if other.lower() == base.lower()), None)
    if bracket:
        items = headers[at][1] if at is not None and isinstance(headers[at][1], list) else []
        number = int((re.match(r"[0-9]+", index) or "0")[0])
        items = [*items, *[""] * (number + 1 - len(items))]
        items[number] = value
        headers[len(headers) if at is None else at :] = [(base, items)]
    elif value == "":
        headers[:] = [(other, text) for other, text in headers if other.lower() != name.lower()]
    elif value.startswith("ARRAY::"):
        old = [] if at is None else headers[at][1] if isinstance(headers[at][1], list) else [headers[at][1]]
        items = [*old]
        for item in value[len("ARRAY::") :].split("|:"):
            if items or item:  # empty ones at the beginning are lost
                items.append(item)
        headers[len(headers) if at is None else at : None if at is None else at + 1] = [(name, items)] if items else []
    else:
        headers.append((name, value))


def header(command: Command, name: str) -> Any:
    return next((value for other, value in command.headers if other.lower() == name.lower()), None)


class Read(NamedTuple):
    """A command as a call of a builder."""

    builder: str
    parts: dict[str, Any]


def understood(command: Command) -> Read | None:
    """Which command it is to the switch; None if it is none, or lacks what it needs, or ends the connection."""
    verb = next((verb for verb in VERBS if command.line.lower().startswith(verb)), None)
    if verb is None or command.body is None:
        return None
    _, _, rest = command.line.partition(" ")
    return VERBS[verb](verb.strip(), rest, command)


def alone(verb: str, rest: str, command: Command) -> Read:
    return Read({"...": "exit"}.get(verb, verb), {})


def one_part(name: str) -> Any:
    return lambda verb, rest, command: Read(verb, {name: rest}) if rest or verb == "auth" else None


def read_userauth(verb: str, rest: str, command: Command) -> Read | None:
    at, colon = rest.find("@"), rest.find(":")
    if at < 0 or colon < 0:
        return None
    if colon < at:
        return Read(verb, {"user": rest[:colon], "domain": rest[at + 1 :], "password": rest[colon + 1 : at]})
    return Read(verb, {"user": rest[:at], "domain": rest[at + 1 : colon], "password": rest[colon + 1 :]})


def read_call(verb: str, rest: str, command: Command) -> Read:
    name, _, args = rest.partition(" ")
    parts: dict[str, Any] = {"command": name, "args": args.strip(" ")}
    if header(command, "console_execute") == "true":
        parts["console_execute"] = True
    if job := header(command, "Job-UUID"):
        parts["job_uuid"] = job
    return Read(verb, parts)


def read_event(verb: str, rest: str, command: Command) -> Read | None:
    words = rest.split(" ") if rest else []
    parts: dict[str, Any] = {}
    if verb == "event" and words and words[0].lower() in ("plain", "json", "xml"):
        parts["format"] = words.pop(0).lower()
    upper = [word.upper().removeprefix("SWITCH_EVENT_") for word in words]
    at = upper.index("CUSTOM") if "CUSTOM" in upper else len(words)
    parts["custom"] = words[at + 1 :]
    parts["names"] = words[:at] + (["CUSTOM"] if words[at:] and not parts["custom"] else [])
    return Read(verb, parts) if words else None


def read_myevents(verb: str, rest: str, command: Command) -> Read:
    if rest in ("plain", "json", "xml"):
        return Read(verb, {"format": rest})
    return Read(verb, {"uuid": rest} if rest else {})


def read_divert_events(verb: str, rest: str, command: Command) -> Read | None:
    return Read(verb, {"on": rest == "on"}) if rest in ("on", "off") else None


def read_filter(verb: str, rest: str, command: Command) -> Read | None:
    name, blank, value = rest.partition(" ")
    builder = {"delete": "filter_delete", "add": "filter"}.get(name.lower())
    if not blank:
        return None
    if builder is not None:
        name, _, value = value.partition(" ")
    kept: list[tuple[str, str | list[str]]] = []
    add_header(kept, name, value)
    return Read(builder or "filter", {"header": name, **({"value": kept[0][1]} if kept else {})})


def read_optional(name: str, kind: Any) -> Any:
    return lambda verb, rest, command: Read(verb, {name: kind(rest)} if rest else {})


def read_sendevent(verb: str, rest: str, command: Command) -> Read | None:
    headers = [(name, value) for name, value in command.headers if name.lower() != "content-length"]
    return Read(verb, {"name": rest, "headers": headers, "body": command.body}) if rest else None


def read_sendmsg(verb: str, rest: str, command: Command) -> Read:
    """The argument of `execute` is found where the switch looks for it."""
    headers = [(name, value) for name, value in command.headers if name.lower() != "content-length"]
    body = command.body
    by_body = header(command, "content-type") == "text/plain" and body and not header(command, "execute-app-arg")
    if header(command, "call-command") == "execute" and by_body:
        headers.remove(("content-type", "text/plain"))
        headers.append(("execute-app-arg", body.decode("utf-8", "surrogateescape")))
        body = b""
    return Read(verb, {"headers": headers, "body": body, **({"uuid": rest} if rest else {})})


VERBS: dict[str, Any] = {
    "exit": alone,
    "...": alone,
    "auth ": one_part("password"),
    "userauth ": read_userauth,
    "api ": read_call,
    "bgapi ": read_call,
    "nixevent": read_event,
    "noevents": alone,
    "event": read_event,
    "myevents": read_myevents,
    "divert_events": read_divert_events,
    "filter ": read_filter,
    "sendevent": read_sendevent,
    "sendmsg": read_sendmsg,
    "nolog": alone,
    "log": read_optional("level", str),
    "nolinger": alone,
    "linger": read_optional("seconds", int),
    "connect": alone,
    "getvar": one_part("name"),
    "resume": alone,
}

# What was read, given to a builder again

OPTIONS = {"event-lock": "event_lock", "event-lock-pri": "event_lock_pri", "lead-frames": "lead_frames"}
SENDMSG = {  # call-command: header -> argument of its builder
    "execute": {
        "execute-app-name": "application",
        "execute-app-arg": "argument",
        "loops": "loops",
        "async": "run_async",
        "Event-UUID": "event_uuid",
        "Event-UUID-Name": "event_uuid_name",
        "hold-bleg": "hold_bleg",
    },
    "hangup": {"hangup-cause": "cause"},
    "nomedia": {"nomedia-uuid": "nomedia_uuid"},
    "unicast": {
        name: name.replace("-", "_")
        for name in ("local-ip", "local-port", "remote-ip", "remote-port", "transport", "flags")
    },
}
FLAGS = ("event_lock", "event_lock_pri", "run_async", "hold_bleg")
NUMBERS = ("loops", "lead_frames", "local_port", "remote_port")


def built_again(read: Read) -> bytes:
    parts = dict(read.parts)
    if read.builder in ("event", "nixevent"):
        return getattr(commands, read.builder)(*parts.pop("names"), **parts)
    if read.builder != "sendmsg":
        return getattr(commands, read.builder)(**parts)
    (_, call), *headers = parts.pop("headers")
    names = SENDMSG.get(call, {}) | OPTIONS
    if not headers or parts["body"] or any(name not in names for name, _ in headers):
        return sendmsg(call, headers, **parts)
    del parts["body"]
    for header_name, value in headers:
        name = names[header_name]
        parts[name] = value == "true" if name in FLAGS else int(value) if name in NUMBERS else value
    return getattr(commands, call)(**parts)


# The bytes


@pytest.mark.parametrize(
    ("built", "wire"),
    [
        (auth("ClueCon"), b"auth ClueCon\n\n"),
        (auth(" two  words: "), b"auth  two  words: \n\n"),
        (auth("h\u00e9\udcff"), b"auth h\xc3\xa9\xff\n\n"),
        (userauth("1000", "example.org", "a:b@c d"), b"userauth 1000@example.org:a:b@c d\n\n"),
        (exit(), b"exit\n\n"),
        (api("status"), b"api status\n\n"),
        (api("originate", "user/1000 &park()"), b"api originate user/1000 &park()\n\n"),
        (api("originate user/1000 &park()"), b"api originate user/1000 &park()\n\n"),
        (api("status ;; version", console_execute=True), b"api status ;; version\nconsole_execute: true\n\n"),
        (api("reload", "mod_event_socket"), b"api reload mod_event_socket\n\n"),
        (api("bgapi", "unload mod_event_socket"), b"api bgapi unload mod_event_socket\n\n"),
        (api("reload", "mod_sofia"), b"api reload mod_sofia\n\n"),
        (api("module_exists", "mod_event_socket"), b"api module_exists mod_event_socket\n\n"),
        (bgapi("status"), b"bgapi status\n\n"),
        (bgapi("status", "x", job_uuid="two words"), b"bgapi status x\nJob-UUID: two words\n\n"),
        (event("ALL"), b"event ALL\n\n"),
        (event("channel_answer", "DTMF", format="xml"), b"event xml channel_answer DTMF\n\n"),
        (event(EventName.DTMF, EventName.TALK), b"event DTMF TALK\n\n"),
        (event("CUSTOM"), b"event CUSTOM\n\n"),
        (event(custom=["a::b", "json"]), b"event CUSTOM a::b json\n\n"),
        (event("CUSTOM", "DTMF", custom=["a::b"]), b"event DTMF CUSTOM a::b\n\n"),
        (event("switch_event_custom", "DTMF"), b"event DTMF CUSTOM\n\n"),
        (nixevent("ALL"), b"nixevent ALL\n\n"),
        (nixevent("HEARTBEAT", custom=["a::b"]), b"nixevent HEARTBEAT CUSTOM a::b\n\n"),
        (noevents(), b"noevents\n\n"),
        (myevents(), b"myevents\n\n"),
        (myevents(format="xml"), b"myevents xml\n\n"),
        (myevents("u-1"), b"myevents u-1\n\n"),
        (divert_events(True), b"divert_events on\n\n"),
        (divert_events(False), b"divert_events off\n\n"),
        (filter("Unique-ID", "u-1"), b"filter add Unique-ID u-1\n\n"),
        (filter("add", "/a b/"), b"filter add add /a b/\n\n"),
        (filter("delete", "all"), b"filter add delete all\n\n"),
        (filter("variable_a:b", "-x y "), b"filter add variable_a:b -x y \n\n"),
        (filter_delete(), b"filter delete all\n\n"),
        (filter_delete("Unique-ID"), b"filter delete Unique-ID\n\n"),
        (filter_delete("Unique-ID", "u 1"), b"filter delete Unique-ID u 1\n\n"),
        (log(), b"log\n\n"),
        (log("warning"), b"log warning\n\n"),
        (log(7), b"log 7\n\n"),
        (log(LogLevel.ERR), b"log ERR\n\n"),
        (log(LogLevel.DEBUG1), b"log 101\n\n"),
        (nolog(), b"nolog\n\n"),
        (linger(), b"linger\n\n"),
        (linger(0), b"linger 0\n\n"),
        (nolinger(), b"nolinger\n\n"),
        (connect(), b"connect\n\n"),
        (getvar("caller_id_name"), b"getvar caller_id_name\n\n"),
        (getvar("X Name Space"), b"getvar X Name Space\n\n"),
        (resume(), b"resume\n\n"),
    ],
)
def test_command(built, wire):
    assert built == wire


@pytest.mark.parametrize(
    ("built", "wire"),
    [
        (sendevent("NOTIFY"), b"sendevent NOTIFY\n\n"),
        (sendevent("custom", subclass="a::b"), b"sendevent custom\nEvent-Subclass: a::b\n\n"),
        (sendevent("X", {"A": "x y: z ", "B": "\tx"}), b"sendevent X\nA: x y: z \nB: \tx\n\n"),
        (sendevent("X", [("k", "1"), ("K", "2"), ("k", "3")]), b"sendevent X\nk: 1\nK: 2\nk: 3\n\n"),
        (sendevent("X", {"a name": "x%20y"}), b"sendevent X\na name: x%20y\n\n"),
        (sendevent("X", {"N": -5, "T": True, "F": False}), b"sendevent X\nN: -5\nT: true\nF: false\n\n"),
        (sendevent("X", {"C": HangupCause.USER_BUSY, "E": EventName.DTMF}), b"sendevent X\nC: 17\nE: DTMF\n\n"),
        (sendevent("X", {"L": ["a", "", "b c"]}), b"sendevent X\nL: ARRAY::a|:|:b c\n\n"),
        (sendevent("X", {"L": ("a|", ":b", "")}), b"sendevent X\nL: ARRAY::a||::b|:\n\n"),
        (sendevent("X", {"L": ["one"]}), b"sendevent X\nL: ARRAY::one\n\n"),
        (sendevent("X", {"L": "ARRAY::a|:b"}), b"sendevent X\nL: ARRAY::a|:b\n\n"),
        (sendevent("X", {"L": "see ARRAY::a"}), b"sendevent X\nL: see ARRAY::a\n\n"),
        (sendevent("X", body="h\u00e9"), b"sendevent X\nContent-Length: 3\n\nh\xc3\xa9"),
        (sendevent("X", body="\udcff"), b"sendevent X\nContent-Length: 1\n\n\xff"),
        (sendevent("X", body=b"a\0\r\n\nexit\n\n"), b"sendevent X\nContent-Length: 11\n\na\0\r\n\nexit\n\n"),
        (sendevent("X", body=bytearray(b"\n")), b"sendevent X\nContent-Length: 1\n\n\n"),
        (sendevent("X", body=memoryview(b"ab")), b"sendevent X\nContent-Length: 2\n\nab"),
        (sendevent("X", {"content-length": "2", "A": "1"}, "ab"), b"sendevent X\nA: 1\nContent-Length: 2\n\nab"),
        (sendevent("X", {"Content-Length": 0}), b"sendevent X\n\n"),
        (sendevent("X", {"Event-Name": "CUSTOM"}), b"sendevent X\nEvent-Name: CUSTOM\n\n"),
    ],
)
def test_sendevent(built, wire):
    assert built == wire


def lines(*texts: str) -> bytes:
    return "\n".join([*texts, "", ""]).encode()


@pytest.mark.parametrize(
    ("built", "wire"),
    [
        (sendmsg("hangup"), lines("sendmsg", "call-command: hangup")),
        (sendmsg("ARRAY::a|:b"), lines("sendmsg", "call-command: ARRAY::a|:b")),  # joined where the switch asks for it
        (
            sendmsg("x", [("a", "1"), ("b", ["2", "3"])], uuid="u-1", event_lock=True),
            lines("sendmsg u-1", "call-command: x", "a: 1", "b: ARRAY::2|:3", "event-lock: true"),
        ),
        (
            sendmsg("x", {"content-type": "text/plain"}, "a\nb", event_lock_pri=True, lead_frames=3),
            lines(
                *("sendmsg", "call-command: x", "content-type: text/plain", "event-lock-pri: true", "lead-frames: 3"),
                "Content-Length: 3",
            )
            + b"a\nb",
        ),
        (execute("answer"), lines("sendmsg", "call-command: execute", "execute-app-name: answer")),
        (
            execute("set", "a= b: c\t ", uuid="u-1"),
            lines("sendmsg u-1", "call-command: execute", "execute-app-name: set", "execute-app-arg: a= b: c\t "),
        ),
        (
            execute(
                "playback",
                "a.wav",
                event_uuid="e 1",
                event_uuid_name="name",
                loops=-1,
                event_lock=True,
                event_lock_pri=True,
                run_async=True,
                hold_bleg=True,
                lead_frames=0,
            ),
            lines(
                *("sendmsg", "call-command: execute", "execute-app-name: playback", "execute-app-arg: a.wav"),
                *("event-lock: true", "event-lock-pri: true", "lead-frames: 0", "loops: -1", "async: true"),
                *("Event-UUID: e 1", "Event-UUID-Name: name", "hold-bleg: true"),
            ),
        ),
        (hangup(), lines("sendmsg", "call-command: hangup", "hangup-cause: NORMAL_CLEARING")),
        (hangup(HangupCause.USER_BUSY), lines("sendmsg", "call-command: hangup", "hangup-cause: USER_BUSY")),
        (hangup(17, uuid="u"), lines("sendmsg u", "call-command: hangup", "hangup-cause: 17")),
        (
            hangup("CALL_REJECTED", event_lock=True),
            lines("sendmsg", "call-command: hangup", "hangup-cause: CALL_REJECTED", "event-lock: true"),
        ),
        (
            nomedia("b", uuid="a", event_lock_pri=True),
            lines("sendmsg a", "call-command: nomedia", "nomedia-uuid: b", "event-lock-pri: true"),
        ),
        (
            unicast(),
            lines(
                *("sendmsg", "call-command: unicast", "local-ip: 127.0.0.1", "local-port: 8025"),
                *("remote-ip: 127.0.0.1", "remote-port: 8026", "transport: udp"),
            ),
        ),
        (
            unicast(local_ip="::1", local_port=0, remote_ip="fe80::1", remote_port=65535, transport="tcp",
                    flags="native", uuid="u", lead_frames=1),
            lines(
                *("sendmsg u", "call-command: unicast", "local-ip: ::1", "local-port: 0", "remote-ip: fe80::1"),
                *("remote-port: 65535", "transport: tcp", "flags: native", "lead-frames: 1"),
            ),
        ),
        (
            xferext([("answer", ""), ("set", "a=b c "), ("answer", "")], event_lock=True),
            lines(
                *("sendmsg", "call-command: xferext", "application: answer", "application: set a=b c "),
                *("application: answer", "event-lock: true"),
            ),
        ),
    ],
)  # fmt: skip
def test_sendmsg(built, wire):
    assert built == wire


@pytest.mark.parametrize(
    "argument",
    ["x=1\n2", "x=1\r\n2", "x=1\r2", "\n", " x", " ", "ARRAY::a", "ARRAY::a|:b", "a\n\nexit\n\n", "\nh\u00e9\udcff"],
)
def test_argument_that_no_header_can_carry_goes_as_the_body(argument):
    data = argument.encode("utf-8", "surrogateescape")
    head = b"sendmsg\ncall-command: execute\nexecute-app-name: set\ncontent-type: text/plain\nevent-lock: true\n"
    built = execute("set", argument, event_lock=True)
    assert built == head + b"Content-Length: %d\n\n%b" % (len(data), data)
    (command,) = read(built)
    assert ("execute-app-arg", argument) in understood(command).parts["headers"]


class Colour(str, Enum):
    RED = "red"  # and its str() is "Colour.RED"


def test_string_enumeration_is_what_it_holds():
    assert str(Colour.RED) == "Colour.RED"
    assert api(Colour.RED, Colour.RED) == b"api red red\n\n"
    assert sendevent("X", {Colour.RED: Colour.RED}, Colour.RED) == b"sendevent X\nred: red\nContent-Length: 3\n\nred"


class Level(IntEnum):
    LOW = 3

    def __str__(self):
        return "Level.LOW"  # as of every IntEnum before Python 3.11


def test_number_of_an_enumeration_is_its_number():
    assert linger(Level.LOW) == b"linger 3\n\n"
    assert sendevent("X", {"A": Level.LOW}) == b"sendevent X\nA: 3\n\n"
    with pytest.raises(InvalidCommand, match=r"^loops is 2147483648, expected -2147483648 to 2147483647$"):
        execute("x", loops=2**31)


# What is refused

LINES = {  # parts that stand on a line of their own or with others
    "auth": auth,
    "userauth user": lambda text: userauth(text, "d", "p"),
    "userauth domain": lambda text: userauth("u", text, "p"),
    "userauth password": lambda text: userauth("u", "d", text),
    "api command": api,
    "api args": lambda text: api("status", text),
    "bgapi command": bgapi,
    "bgapi args": lambda text: bgapi("status", text),
    "bgapi job": lambda text: bgapi("status", job_uuid=text),
    "event name": lambda text: event("DTMF", text),
    "event subclass": lambda text: event(custom=[text]),
    "event format": lambda text: event("DTMF", format=text),
    "nixevent name": nixevent,
    "nixevent subclass": lambda text: nixevent(custom=["a::b", text]),
    "myevents uuid": myevents,
    "myevents format": lambda text: myevents(format=text),
    "filter header": lambda text: filter(text, "x"),
    "filter value": lambda text: filter("A", text),
    "filter_delete header": filter_delete,
    "filter_delete value": lambda text: filter_delete("A", text),
    "sendevent name": sendevent,
    "sendevent subclass": lambda text: sendevent("CUSTOM", subclass=text),
    "sendevent header": lambda text: sendevent("X", {text: "x"}),
    "sendevent value": lambda text: sendevent("X", {"A": text}),
    "sendevent item": lambda text: sendevent("X", {"A": ["x", text]}),
    "sendmsg call-command": sendmsg,
    "sendmsg header": lambda text: sendmsg("x", {text: "x"}),
    "sendmsg value": lambda text: sendmsg("x", [("A", text)]),
    "sendmsg uuid": lambda text: sendmsg("x", uuid=text),
    "execute application": execute,
    "execute uuid": lambda text: execute("answer", uuid=text),
    "execute event_uuid": lambda text: execute("answer", event_uuid=text),
    "execute event_uuid_name": lambda text: execute("answer", event_uuid_name=text),
    "hangup cause": hangup,
    "hangup uuid": lambda text: hangup(uuid=text),
    "nomedia nomedia_uuid": nomedia,
    "nomedia uuid": lambda text: nomedia("u", uuid=text),
    "unicast local_ip": lambda text: unicast(local_ip=text),
    "unicast remote_ip": lambda text: unicast(remote_ip=text),
    "unicast transport": lambda text: unicast(transport=text),
    "unicast flags": lambda text: unicast(flags=text),
    "unicast uuid": lambda text: unicast(uuid=text),
    "xferext application": lambda text: xferext([("answer", ""), (text, "x")]),
    "xferext data": lambda text: xferext([("answer", text)]),
    "xferext uuid": lambda text: xferext([("answer", "")], uuid=text),
    "log level": log,
    "getvar": getvar,
}
SECRETS = ("auth", "userauth user", "userauth domain", "userauth password")
BLANKS_FIRST = ("auth", "userauth password", "sendevent item")  # where a leading blank is part of the text
EMPTY = ("auth", "userauth password", "api args", "bgapi args", "sendevent item", "unicast flags", "xferext data")


@pytest.mark.parametrize("breaker", ["\n", "\r", "\0", "\r\n", "\n\nexit\n\n"])
@pytest.mark.parametrize("part", LINES)
def test_line_break_in_a_line_is_refused(part, breaker):
    for text in (f"abc{breaker}xyz", f"{breaker}abc", f"abc{breaker}"):
        with pytest.raises(InvalidCommand) as caught:
            LINES[part](text)
        assert ("abc" in str(caught.value)) == (part not in SECRETS)


@pytest.mark.parametrize("part", LINES)
def test_leading_blank_is_refused(part):
    if part in BLANKS_FIRST:
        assert b" abc" in LINES[part](" abc")
        return
    for text in (" abc", "  ", " "):
        with pytest.raises(InvalidCommand):
            LINES[part](text)


@pytest.mark.parametrize("part", LINES)
def test_part_without_text_is_refused(part):
    if part in EMPTY:
        assert LINES[part]("").endswith(b"\n\n")
        return
    with pytest.raises(InvalidCommand):
        LINES[part]("")


@pytest.mark.parametrize("part", LINES)
def test_surrogate_that_stands_for_no_byte_is_refused(part):
    with pytest.raises(InvalidCommand) as caught:
        LINES[part]("abc\ud800")
    assert caught.value.__context__ is None, "its attributes hold the whole command"
    assert "abc" not in str(caught.value) or part not in SECRETS


@pytest.mark.parametrize("part", LINES)
def test_part_that_is_no_text_is_a_type_error(part):
    for wrong in (b"abc", 1.5, ["abc"], None, True):
        with_default = {"bgapi job", "myevents uuid", "log level", "event format", "myevents format"}
        optional = part in with_default or part.endswith((" uuid", " subclass", "event_uuid", "event_uuid_name"))
        value = part in ("sendevent value", "sendmsg value")  # which takes lists and flags
        if (wrong is None and (optional or part == "filter_delete value")) or (value and wrong in (["abc"], True)):
            continue
        with pytest.raises(TypeError) as caught:
            LINES[part](wrong)
        assert "abc" not in str(caught.value)


def test_login_is_in_no_text():
    for call in (
        lambda: auth("hunter2\n"),
        lambda: auth("hunter2\ud800"),
        lambda: auth("hunter2 reload mod_event_socket"),
        lambda: auth("hunter2" + "x" * limits.MAX_COMMAND_BYTES),
        lambda: userauth("u", "d", "hunter2\r"),
        lambda: userauth("u:hunter2", "d", "x"),
        lambda: userauth("u", "d:hunter2", "x"),
        lambda: userauth("u@d:hunter2", "d", "x"),
    ):
        with pytest.raises(InvalidCommand) as caught:
            call()
        assert "hunter2" not in str(caught.value)
        assert "hunter2" not in repr(caught.value.__context__)


@pytest.mark.parametrize("text", ["a b", "a ", "a  b"])
@pytest.mark.parametrize(
    "part",
    [
        *("userauth user", "userauth domain", "event name", "event subclass", "nixevent name", "nixevent subclass"),
        *("myevents uuid", "filter header", "filter_delete header", "sendevent name", "sendmsg call-command"),
        *("sendmsg uuid", "execute application", "execute uuid", "hangup cause", "hangup uuid", "nomedia uuid"),
        *("nomedia nomedia_uuid", "unicast local_ip", "unicast remote_ip", "unicast uuid", "xferext application"),
        *("xferext uuid", "log level"),
    ],
)
def test_blank_in_a_word_is_refused(part, text):
    with pytest.raises(InvalidCommand):
        LINES[part](text)


@pytest.mark.parametrize("text", ["a:b", "a@b", ":", "@"])
@pytest.mark.parametrize("part", ["userauth user", "userauth domain"])
def test_sign_where_userauth_is_cut_is_refused(part, text):
    with pytest.raises(InvalidCommand):
        LINES[part](text)


@pytest.mark.parametrize(
    "name", ["a:b", ":", "a[0]", "a[", "[1]", "_body", "_BODY", "Content-Length[0]", "a ", "\ta", ""]
)
@pytest.mark.parametrize("part", ["sendevent header", "sendmsg header"])
def test_header_name_that_means_more_is_refused(part, name):
    with pytest.raises(
        InvalidCommand, match=r"^a header name is '.*', expected one without ':', '\[' and blanks around"
    ):
        LINES[part](name)


@pytest.mark.parametrize("length", [3, "3", "1", "02", "+2", "2x", "-1", "x", ["2"], True])
@pytest.mark.parametrize("name", ["Content-Length", "content-length"])
def test_content_length_that_is_not_the_bodys_is_refused(name, length):
    for call in (lambda: sendevent("X", {name: length}, "ab"), lambda: sendmsg("x", {name: length}, "ab")):
        with pytest.raises(InvalidCommand, match=r"expected 2, the length of the body$"):
            call()


@pytest.mark.parametrize(
    "items",
    [
        [],
        [""],
        ["", "b"],  # the switch drops empty items at the beginning
        ["a|:b"],
        ["a", "b|:"],
        ["ARRAY::a"],
        ["a", "ARRAY::b|:c"],
        "ARRAY::",
        "ARRAY::a",  # an array of one, which reads "a"
        "ARRAY::|:b",
        "ARRAY::a|:ARRAY::b",
    ],
)
def test_array_that_does_not_come_out_as_it_went_in_is_refused(items):
    with pytest.raises(InvalidCommand):
        sendevent("X", {"A": items})
    if isinstance(items, str):
        for call in (filter, filter_delete):
            with pytest.raises(InvalidCommand):
                call("A", items)


@pytest.mark.parametrize("first", ["1", ["1"]])
def test_array_of_a_name_that_is_there_is_refused(first):
    with pytest.raises(InvalidCommand, match="is there already"):
        sendevent("X", [("A", first), ("a", ["2"])])
    assert sendevent("X", [("A", ["1"]), ("a", "2")]) == b"sendevent X\nA: ARRAY::1\na: 2\n\n"


def test_header_of_a_parameter_is_refused():
    with pytest.raises(InvalidCommand, match=r"^the header Event-Subclass is given twice$"):
        sendevent("CUSTOM", {"event-subclass": "a::b"}, subclass="a::b")
    for value in ("hangup", ["hangup"]):
        with pytest.raises(InvalidCommand, match=r"^the header call-command is given twice$"):
            sendmsg("execute", {"Call-Command": value})


def test_subclass_of_an_event_that_has_none_is_refused():
    with pytest.raises(InvalidCommand, match=r"^'NOTIFY' has no subclasses, only CUSTOM has$"):
        sendevent("NOTIFY", subclass="a::b")


@pytest.mark.parametrize("name", ["json", "PLAIN", "Xml", "sofia::register", "a-b", "h\u00e9", "DTMF,TALK"])
def test_event_name_that_is_none_is_refused(name):
    for call in (
        lambda: event(name),
        lambda: event("CUSTOM", name),
        lambda: event(name, format="plain"),
        lambda: nixevent(name),
        lambda: sendevent(name),
    ):
        with pytest.raises(InvalidCommand, match=r"^an event name is '"):
            call()


def test_events_are_refused_without_a_name():
    for call in (event, nixevent, lambda: event(format="json")):
        with pytest.raises(InvalidCommand, match=r"^no event name, expected one at least$"):
            call()
    with pytest.raises(TypeError, match=r"^custom is str, expected a list of subclasses$"):
        event(custom="sofia::register")


@pytest.mark.parametrize("format", ["JSON", "yaml", ""])
def test_format_that_the_switch_does_not_have_is_refused(format):
    for call in (lambda: event("ALL", format=format), lambda: myevents(format=format)):
        with pytest.raises(InvalidCommand, match=r", expected 'plain', 'json' or 'xml'$"):
            call()


def test_myevents_takes_a_uuid_or_a_format():
    with pytest.raises(InvalidCommand, match="ignores a format after a uuid"):
        myevents("u-1", format="json")
    with pytest.raises(InvalidCommand, match="may take for a format"):
        myevents("JSON")


def test_filter_of_an_index_and_delete_of_everything_with_a_value_are_refused():
    for call in (lambda: filter("A[1]", "x"), lambda: filter_delete("A[1]")):
        with pytest.raises(InvalidCommand, match=r"expected a name without '\['"):
            call()
    with pytest.raises(InvalidCommand, match=r"^'filter delete ALL' removes all filters, expected no value$"):
        filter_delete("ALL", "x")


@pytest.mark.parametrize(
    "call",
    [
        lambda: api("reload", "-f mod_event_socket"),
        lambda: api("reload", "mod_event_socket", console_execute=True),
        lambda: api("Unload", "MOD_EVENT_SOCKET_X"),
        lambda: api("echo", "mod_event_socket was reloaded"),
        lambda: bgapi("reload", "mod_event_socket"),
        lambda: sendevent("X", {"A": "unload", "B": "mod_event_socket"}, "exit\n\n"),
        lambda: execute("log", "mod_event_socket reload"),
        lambda: auth("reload mod_event_socket"),
    ],
)
def test_words_for_which_the_switch_forgets_the_rest_are_refused(call):
    with pytest.raises(InvalidCommand, match=r"both 'mod_event_socket' and 'reload' or 'unload'"):
        call()


def test_body_may_hold_the_words_for_which_the_switch_forgets_the_rest():
    assert sendevent("X", body="reload mod_event_socket").endswith(b"\n\nreload mod_event_socket")


def test_argument_with_a_nul_is_refused():
    for argument in ("a\0", "a\n\0b", " \0"):
        with pytest.raises(InvalidCommand, match="has a NUL in it, where the switch would cut it"):
            execute("set", argument)


def test_extension_without_application_is_refused():
    with pytest.raises(InvalidCommand, match=r"^no application, expected one at least$"):
        xferext([])


@pytest.mark.parametrize(
    ("call", "low", "high"),
    [
        (lambda number: execute("x", loops=number), -(2**31), 2**31 - 1),
        (lambda number: execute("x", lead_frames=number), 0, 2**31 - 1),
        (lambda number: hangup(lead_frames=number), 0, 2**31 - 1),
        (hangup, 0, 2**31 - 1),
        (linger, 0, 2**31 - 1),
        (log, 0, 2**31 - 1),
        (lambda number: unicast(local_port=number), 0, 65535),
        (lambda number: unicast(remote_port=number), 0, 65535),
        (lambda number: sendevent("X", {"A": number}), -(2**63), 2**63 - 1),
    ],
)
def test_number(call, low, high):
    for number in (low, low + 1, high):
        assert re.search(rb"[ :]%d\n" % number, call(number))
    for number in (low - 1, high + 1):
        with pytest.raises(InvalidCommand, match=f" {number}, expected {low} to {high}$|bits long, expected"):
            call(number)
    with pytest.raises(InvalidCommand, match=rf"is 20001 bits long, expected {low} to {high}$"):
        call(2**20000)
    with pytest.raises(TypeError):
        call(1.0)


@pytest.mark.parametrize(
    "call",
    [
        *(lambda: linger(True), lambda: log(True), lambda: hangup(True), lambda: unicast(local_port=True)),
        *(lambda: execute("x", loops=True), lambda: execute("x", lead_frames=False)),
        lambda: nomedia("u", lead_frames=True),
    ],
)
def test_flag_is_no_number(call):
    with pytest.raises(TypeError, match=r" is bool, expected int$"):
        call()


@pytest.mark.parametrize("wrong", [1, 0, "true", "false", "off", "", None])
@pytest.mark.parametrize(
    "call",
    [
        *(divert_events, lambda flag: api("x", console_execute=flag), lambda flag: execute("x", event_lock=flag)),
        *(lambda flag: execute("x", event_lock_pri=flag), lambda flag: execute("x", run_async=flag)),
        *(lambda flag: execute("x", hold_bleg=flag), lambda flag: xferext([("x", "")], event_lock=flag)),
    ],
)
def test_only_a_flag_is_a_flag(call, wrong):
    with pytest.raises(TypeError, match=f" is {type(wrong).__name__}, expected bool$"):
        call(wrong)


def test_other_types_are_type_errors():
    for body in (5, None, ["a"]):
        with pytest.raises(TypeError, match=r"^the body is (int|NoneType|list), expected bytes or str$"):
            sendevent("X", body=body)
    for value in ({"a": 1}, {"a"}, b"a", bytearray(b"a"), memoryview(b"a"), None, 1.5):
        with pytest.raises(TypeError, match=r"^the value of 'A' is \w+, expected str$"):
            sendevent("X", {"A": value})
    with pytest.raises(TypeError, match=r"^an item of the value of 'A' is int, expected str$"):
        sendevent("X", {"A": [1]})
    with pytest.raises(TypeError, match="unexpected keyword argument 'async'"):
        hangup(**{"async": True})
    with pytest.raises(InvalidCommand, match="stands for no byte"):
        sendevent("X", body="\ud800")


# What the switch takes, at n-1, n and n+1


def test_size_of_a_command():
    room = limits.MAX_COMMAND_BYTES - len(b"getvar \n\n")
    for size in (room - 1, room):
        assert len(getvar("x" * size)) == limits.MAX_COMMAND_BYTES - room + size
    with pytest.raises(InvalidCommand) as caught:
        getvar("x" * (room + 1))
    assert str(caught.value) == (
        "a command without its body has 10485761 bytes, expected no more than 10485760: the switch would close"
    )
    with pytest.raises(InvalidCommand, match="has 10485761 bytes"):  # bytes are counted, not characters
        getvar("\u00e9" * (room // 2) + "x" * (room % 2 + 1))


def test_size_of_a_body():
    for size in (limits.MAX_COMMAND_BODY_BYTES - 1, limits.MAX_COMMAND_BODY_BYTES):
        head = b"sendevent X\nContent-Length: %d\n\n" % size
        built = sendevent("X", body=bytes(size))
        assert (built[: len(head)], len(built)) == (head, len(head) + size)
    with pytest.raises(InvalidCommand) as caught:
        sendevent("X", body=bytes(limits.MAX_COMMAND_BODY_BYTES + 1))
    assert str(caught.value) == (
        "the body of a command has 16777217 bytes, expected no more than 16777216: the switch would close"
    )


def test_size_of_a_job_uuid():
    for size in (255, 256):
        assert bgapi("x", job_uuid="j" * size) == b"bgapi x\nJob-UUID: %b\n\n" % (b"j" * size)
    for job in ("j" * 257, "\u00e9" * 128 + "j"):
        with pytest.raises(InvalidCommand, match=r"^the Job-UUID has 257 bytes, expected no more than 256$"):
            bgapi("x", job_uuid=job)


# The vectors of kinds `emit` and `handshake`: the same bytes from a builder, or the reason why not

VECTORS = {
    vector["name"]: vector
    for vector in json.loads((DATA / "vectors.json").read_text())["vectors"]
    if vector["kind"] in ("emit", "handshake")
}
LINE_ENDS = "line ends behind a command, which the switch skips"
BLANK = "a trailing blank, which the switch drops"
NO_HEADER = "an empty value, which is no header for the switch: it is left out"
WITHOUT_ADD = "the word `add` may be left out, but for headers named `add` and `delete`"
CUT = "the official library cuts what does not fit its buffer"
INJECTION = "a line end in a part adds a header or a command"

OTHERWISE: dict[str, tuple[str, Any, Any]] = {  # name: reason, call, what comes of it
    "emit_send_one_lf": (LINE_ENDS, noevents, b"noevents\n\n"),
    "emit_send_crlf_crlf": ("CR LF line ends", noevents, b"noevents\n\n"),
    "emit_sendRecv": (WITHOUT_ADD, lambda: filter("Event-Name", "DTMF"), b"filter add Event-Name DTMF\n\n"),
    "emit_filter": (WITHOUT_ADD, lambda: filter("Unique-ID", "u-1"), b"filter add Unique-ID u-1\n\n"),
    "emit_filter_none": ("the vector recommends an error", lambda: filter("A", None), TypeError),
    "emit_api_no_arg": (BLANK, lambda: api("status"), b"api status\n\n"),
    "emit_api_none_arg": (BLANK, lambda: api("status"), b"api status\n\n"),
    "emit_bgapi_empty_arg_and_job": (NO_HEADER, lambda: bgapi("a", "", job_uuid=""), InvalidCommand),
    "emit_execute_empty_arg": (
        NO_HEADER,
        lambda: execute("answer", "", uuid="u-1"),
        b"sendmsg u-1\ncall-command: execute\nexecute-app-name: answer\n\n",
    ),
    "emit_events_truncated_1023": (
        CUT,
        lambda: event("x" * 1100, format="plain"),
        b"event plain %b\n\n" % (b"x" * 1100),
    ),
    "emit_execute_arg_truncated_loses_lf": (
        CUT,
        lambda: execute("a", "b" * 4090, uuid="u", event_lock=True),
        b"sendmsg u\ncall-command: execute\nexecute-app-name: a\nexecute-app-arg: %b\nevent-lock: true\n\n"
        % (b"b" * 4090),
    ),
    "emit_sendevent_lf_injection": (
        INJECTION,
        lambda: sendevent("CUSTOM", {"Event-Name": "CUSTOM", "A": "x\nInjected: 1"}, subclass="s"),
        InvalidCommand,
    ),
    "emit_sendevent_body": (
        LINE_ENDS,
        lambda: sendevent("NOTIFY", {"Event-Name": "NOTIFY", "user": "1000"}, "OK"),
        b"sendevent NOTIFY\nEvent-Name: NOTIFY\nuser: 1000\nContent-Length: 2\n\nOK",
    ),
    "emit_sendevent_body_ending_lf": (
        LINE_ENDS,
        lambda: sendevent("NOTIFY", {"Event-Name": "NOTIFY"}, "OK\n"),
        b"sendevent NOTIFY\nEvent-Name: NOTIFY\nContent-Length: 3\n\nOK\n",
    ),
    "emit_sendevent_own_content_length": (
        "the length twice makes the switch read two bodies; the vector recommends to drop the caller's",
        lambda: sendevent("DTMF", {"Event-Name": "DTMF", "content-length": "2"}, "OK"),
        b"sendevent DTMF\nEvent-Name: DTMF\nContent-Length: 2\n\nOK",
    ),
    "emit_sendmsg_keeps_event_name": (
        "the order of a message's headers is ours",
        lambda: sendmsg("nomedia", {"Event-Name": "SEND_MESSAGE"}, uuid="u-1"),
        b"sendmsg u-1\ncall-command: nomedia\nEvent-Name: SEND_MESSAGE\n\n",
    ),
    "handshake_password_injection": (INJECTION, lambda: auth("a\n\nexit"), InvalidCommand),
}


def wire_of(vector: dict[str, Any]) -> bytes:
    if "expect_wire" in vector or "client_sends" in vector:
        return (vector.get("expect_wire") or "".join(vector["client_sends"])).encode("latin-1")
    head, tail = (vector[f"expect_wire_{end}"].encode("latin-1") for end in ("head", "tail"))
    return head + head[-1:] * (vector["expect_wire_length"] - len(head) - len(tail)) + tail


@pytest.mark.parametrize("name", VECTORS)
def test_vector(name):
    wire = wire_of(VECTORS[name])
    if name not in OTHERWISE:
        assert b"".join(built_again(understood(command)) for command in read(wire)) == wire
        return
    reason, call, outcome = OTHERWISE[name]
    assert outcome != wire, f"{reason}: but it is the same"
    if isinstance(outcome, type):
        with pytest.raises(outcome):
            call()
    else:
        assert call() == outcome
    if reason in (LINE_ENDS, BLANK, NO_HEADER, WITHOUT_ADD) and not isinstance(outcome, type):
        assert [understood(command) for command in read(outcome)] == [understood(command) for command in read(wire)]


def test_every_vector_that_is_otherwise_exists():
    assert set(OTHERWISE) <= set(VECTORS)
    assert len(VECTORS) == 43 + 9


# What clients sent to a real switch: the same bytes from a builder, the same meaning, or no command

SPELLED = {  # what the switch reads as ours: reason -> how it looks
    "line ends are CR LF": rb"\r\n\r\n\Z",
    "`filter` without `add`": rb"\Afilter (?!add |delete )\S+ ",
    "a word in upper case, with more behind it, or `...`": rb"\A(API |events |nixevents |\.\.\.)",
    "Content-Length in lower case, or before other headers": rb"\ncontent-length: |\nContent-Length: 12\nX-After-CL:",
    "headers that are none for the switch, blanks that it drops": rb"\n(no colon header|X-Empty: )\n",
    "an array by indexed names, an empty value": rb"\nempty: \nArr\[0\]: x\nArr\[1\]: y\n",
    "userauth with the password before the domain": rb"\Auserauth admin:adminpw@test\.local\n",
    "the command that the switch rewrites; a builder has it as it is": rb"\Aapi reload mod_event_socket\n",
}
NO_COMMAND = {  # what is wrong on purpose: reason -> the bytes
    "a part is missing": rb"(api ?|bgapi|event( plain)?|nixevent|filter( delete)?|getvar|divert_events)\n\n",
    "filter without value": rb"filter (x|X|Event-Name)\n\n",
    "not on or off": rb"divert_events bogus\n\n",
    "two blanks": rb"(api  status|filter  delete  Event-Name CHANNEL_EXECUTE)\n\n",
    "no such command": rb"(foo|FOO BAR|bogus command|nosuch[0-9]|[ \t]api status|apistatus|x+)\n\n",
    "a format after a uuid": rb"myevents nosuchuuid json\n\n",
    "words behind the level": rb"log 7 extra\n\n",
    "an event without name": rb"sendevent\nx: 1\n\n",
    "neither domain nor password": rb"userauth admin\n\n",
    "a length with which the switch closes": rb"api echo hi\nContent-Length: -1\n\n",
}
CAPTURES = sorted(path.name.removesuffix(".tx.json") for path in (DATA / "captures").glob("*.tx.json"))


def sent(name: str) -> bytes:
    writes = json.loads((DATA / "captures" / f"{name}.tx.json").read_text())
    return "".join(write["bytes"] for write in writes).encode("latin-1")


def known_reasons(reasons: dict[str, bytes], raw: bytes, match: Any) -> list[str]:
    return [reason for reason, pattern in reasons.items() if match(pattern, raw)]


@pytest.mark.parametrize("name", CAPTURES)
def test_captured_commands_are_built_again(name):
    for command in read(sent(name)):
        meaning = understood(command)
        wrong = known_reasons(NO_COMMAND, command.raw, re.fullmatch)
        spelled = known_reasons(SPELLED, command.raw, re.search)
        try:
            built = None if meaning is None else built_again(meaning)
        except InvalidCommand:
            built = None
        assert (built is None) == (len(wrong) == 1), command.raw
        if built is not None:
            assert (built != command.raw) == (len(spelled) == 1), command.raw
            assert [understood(again) for again in read(built)] == [meaning]


def test_every_reason_is_needed_and_every_builder_occurs():
    every = [command for name in CAPTURES for command in read(sent(name))]
    for reasons, match in ((SPELLED, re.search), (NO_COMMAND, re.fullmatch)):
        for reason, pattern in reasons.items():
            assert any(match(pattern, command.raw) for command in every), reason
    occurring = {meaning.builder for meaning in map(understood, every) if meaning is not None}
    assert occurring == {
        *("auth", "userauth", "exit", "api", "bgapi", "event", "nixevent", "noevents", "myevents", "divert_events"),
        *("filter", "filter_delete", "sendevent", "sendmsg", "log", "nolog", "linger", "nolinger", "connect", "getvar"),
        "resume",
    }


# Whatever a builder takes, the switch reads as that one command with those parts

FRAGMENTS = [
    *("a", "b", "Z", "\u00e9", "\udcff", "~", "%0A", "5", "-", "/", "@", "|", "|:", ":", "::", "[", "[0]", " ", "  "),
    *("\t", "\n", "\n\n", "\r", "\0", "\ud800", "ARRAY::", "CUSTOM", "SWITCH_EVENT_", "_body", "json", "plain", "xml"),
    *("add", "delete", "all", "call-command", "Content-Length", "Event-Subclass", "console_execute: true"),
    *("reload", "unload", "mod_event_socket", "exit", "on", "text/plain", "execute-app-arg"),
]
ANY_TEXT = st.one_of(st.sampled_from(FRAGMENTS), st.lists(st.sampled_from(FRAGMENTS), max_size=4).map("".join))
CLEAN_TEXT = st.text("abcxyzABC_0189", min_size=1, max_size=8).map("w".__add__)


def headers_of(text: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    value = st.one_of(text, st.integers(-(2**63), 2**63 - 1), st.booleans(), st.lists(text, min_size=1, max_size=3))
    return st.lists(
        st.tuples(text, value), max_size=3, unique_by=lambda pair: pair[0].lower() if text is CLEAN_TEXT else object()
    )


def calls(text: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    """A builder and its arguments."""
    flag, number, body = st.just(True), st.integers(0, 2**31 - 1), st.binary(max_size=8)
    words = st.lists(text, min_size=1, max_size=3)
    options = {"uuid": text, "event_lock": flag, "event_lock_pri": flag, "lead_frames": number}
    required: dict[str, dict[str, Any]] = {
        **{name: {} for name in ("exit", "noevents", "nolog", "nolinger", "connect", "resume")},
        "auth": {"password": text},
        "userauth": {"user": text, "domain": text, "password": text},
        "api": {"command": text},
        "bgapi": {"command": text},
        "event": {"names": words},
        "nixevent": {"names": words},
        "myevents": {},
        "divert_events": {"on": st.booleans()},
        "filter": {"header": text, "value": text},
        "filter_delete": {"header": text},
        "sendevent": {"name": text},
        "sendmsg": {"call_command": text},
        "execute": {"application": text},
        "hangup": {"cause": text},
        "nomedia": {"nomedia_uuid": text},
        "unicast": {
            **{f"{end}_{what}": text if what == "ip" else st.integers(0, 65535)
               for end in ("local", "remote") for what in ("ip", "port")},
            "transport": st.sampled_from(["udp", "tcp"]),
        },
        "xferext": {"applications": st.lists(st.tuples(text, st.just("") | text), min_size=1, max_size=3)},
        "log": {},
        "linger": {},
        "getvar": {"name": text},
    }  # fmt: skip
    optional: dict[str, dict[str, Any]] = {
        "api": {"args": text, "console_execute": flag},
        "bgapi": {"args": text, "job_uuid": text},
        "event": {"custom": words, "format": st.sampled_from(["plain", "json", "xml"])},
        "nixevent": {"custom": words},
        "myevents": {"uuid": text},
        "filter_delete": {"value": text},
        "sendevent": {"headers": headers_of(text), "body": body},
        "sendmsg": {"headers": headers_of(text), "body": body, **options},
        "execute": {
            **{"argument": text, "loops": st.integers(-(2**31), 2**31 - 1), "run_async": flag, "hold_bleg": flag},
            **{"event_uuid": text, "event_uuid_name": text, **options},
        },
        "hangup": options,
        "nomedia": options,
        "unicast": {"flags": text, **options},
        "xferext": options,
        "log": {"level": text},
        "linger": {"seconds": number},
    }
    return st.one_of(
        [
            st.tuples(st.just(name), st.fixed_dictionaries(parts, optional=optional.get(name, {})))
            for name, parts in required.items()
        ]
    )


def build(name: str, parts: dict[str, Any]) -> bytes:
    others = dict(parts)
    return getattr(commands, name)(*others.pop("names", ()), **others)


def as_read(value: Any) -> Any:
    """A header's value as the switch has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and value.startswith("ARRAY::"):
        return value[len("ARRAY::") :].split("|:")
    return str(value) if isinstance(value, int) else value


def meant(name: str, parts: dict[str, Any]) -> Read:
    """What the switch should read."""
    parts = dict(parts)
    if name in ("api", "bgapi"):
        command, _, args = f"{parts['command']} {parts.get('args', '')}".partition(" ")
        return Read(name, parts | {"command": command, "args": args.strip(" ")})
    if name in ("event", "nixevent"):
        names = [word for word in parts["names"] if word.upper().removeprefix("SWITCH_EVENT_") != "CUSTOM"]
        custom = parts.get("custom", [])
        bare = ["CUSTOM"] if len(names) < len(parts["names"]) and not custom else []
        return Read(name, parts | {"names": names + bare, "custom": custom})
    if name in ("filter", "filter_delete"):
        return Read(name, {part: as_read(text) if part == "value" else text for part, text in parts.items()})
    if name == "sendevent":
        return Read(name, parts | {"headers": as_headers(parts.get("headers", [])), "body": parts.get("body", b"")})
    if name in ("sendmsg", *SENDMSG, "xferext"):
        return meant_message(name, parts)
    return Read(name, parts)


def as_headers(headers: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    return [(name, as_read(value)) for name, value in headers if name.lower() != "content-length"]


def meant_message(name: str, parts: dict[str, Any]) -> Read:
    target = {"uuid": parts.pop("uuid")} if "uuid" in parts else {}
    body = parts.pop("body", b"")
    headers = [("call-command", as_read(parts.pop("call_command", name))), *as_headers(parts.pop("headers", []))]
    for application, data in parts.pop("applications", []):
        headers.append(("application", as_read(f"{application} {data}" if data else application)))
    spelled = {part: header for header, part in (SENDMSG.get(name, {}) | OPTIONS).items()}
    headers += [
        (spelled[part], value if part == "argument" else as_read(value)) for part, value in parts.items() if value != ""
    ]
    return Read("sendmsg", {"headers": headers, "body": body, **target})


def in_order(read: Read | None) -> Read | None:
    """The order of a message's headers means nothing, but for those of one name."""
    if read is None or read.builder != "sendmsg":
        return read
    return Read("sendmsg", read.parts | {"headers": sorted(read.parts["headers"], key=lambda pair: pair[0].lower())})


def assert_read_as_meant(call: tuple[str, dict[str, Any]], built: bytes) -> None:
    command, behind = read(built + noevents())
    assert (command.raw, behind.raw) == (built, noevents())
    assert in_order(understood(command)) == in_order(meant(*call))


@examples(500)
@given(calls(ANY_TEXT))
@example(("xferext", {"applications": [("ARRAY::", "|:")]}))
def test_any_text_is_refused_or_read_as_meant(call):
    try:
        built = build(*call)
    except InvalidCommand:
        return
    assert_read_as_meant(call, built)


@examples(500)
@given(calls(CLEAN_TEXT))
def test_clean_text_is_taken_and_read_as_meant(call):
    assert_read_as_meant(call, build(*call))


@examples(500)
@given(st.sampled_from(["set", "x"]), st.one_of(ANY_TEXT, st.text()))
def test_argument_is_refused_or_reaches_the_application(application, argument):
    try:
        built = execute(application, argument)
    except InvalidCommand:
        assert re.search("[\0\ud800-\udc7f\udd00-\udfff]", argument) or "mod_event_socket" in argument
        return
    assert_read_as_meant(("execute", {"application": application, "argument": argument}), built)
