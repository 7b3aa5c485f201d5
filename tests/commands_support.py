"""What the switch makes of commands: a reader of its own, and the calls that a builder takes.

The reader follows the switch's rules (docs/protocol/commands.md, 1 and 4, docs/protocol/headers.md, P6) on its own: it
knows nothing of how commands are built.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from hypothesis import strategies as st

from eslcodec import commands
from eslcodec.commands import noevents, sendmsg

# What the switch makes of a stream of commands


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
