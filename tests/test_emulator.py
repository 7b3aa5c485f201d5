"""The emulated switch behaves as a real one was seen to: by transcripts, by captures, and rule by rule."""

from __future__ import annotations

import asyncio
import difflib
import gzip
import json
import lzma
import os
import re
import socket
import subprocess
import sys
import threading
import time
import warnings
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sizes import FULL
from support import DATA, capture, open_capture, plugin_option

import eslcodec
from eslcodec._switch import COMMANDS_KEPT, Field, Switch, SwitchEvent
from eslcodec.emulator import EmulatedCall, Emulator, Fault, Later, Listener, Run, Session, User

VECTORS = [
    vector for vector in json.loads((DATA / "vectors.json").read_text("utf-8"))["vectors"] if vector["kind"] == "server"
]
FAREWELL = "Disconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n"
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
SECONDS = 10.0


class Client:
    """A socket that keeps what it reads: messages, and the bytes."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(SECONDS)
        self.sock = sock
        self.decoder = eslcodec.Decoder()
        self.messages: list[eslcodec.Message] = []
        self.raw = b""
        self.ended = False
        self.seen = 0

    def send(self, text: str) -> None:
        self.sock.sendall(text.encode("latin-1"))

    def read(self) -> None:
        try:
            data = self.sock.recv(1 << 20)
        except ConnectionResetError:
            data = b""
        except TimeoutError:
            pytest.fail(f"nothing more came; received {self.messages}")
        self.ended = not data
        self.raw += data
        self.decoder.feed(data)
        self.messages += self.decoder

    def until(self, condition: Callable[[], Any]) -> None:
        while not condition():
            assert not self.ended, f"the connection ended; received {self.messages}"
            self.read()

    def to_the_end(self) -> None:
        while not self.ended:
            self.read()

    @property
    def events(self) -> list[eslcodec.Event]:
        return [message for message in self.messages if isinstance(message, eslcodec.Event)]

    @property
    def replies(self) -> list[eslcodec.Message]:
        return [message for message in self.messages if not isinstance(message, (eslcodec.Event, eslcodec.LogLine))]

    def ask(self, command: str) -> eslcodec.Message:
        """The reply to one command."""
        before = len(self.replies)
        self.send(command + "\n\n")
        self.until(lambda: len(self.replies) > before)
        return self.replies[before]

    def text(self, command: str) -> str:
        reply = self.ask(command)
        return reply.text if isinstance(reply, eslcodec.CommandReply) else (reply.body or b"").decode()

    def next_event(self) -> eslcodec.Event:
        self.until(lambda: len(self.events) > self.seen)
        self.seen += 1
        return self.events[self.seen - 1]


def narrow(switch: Emulator) -> socket.socket:
    """A connection whose sockets keep little; on some machines they would grow to tens of megabytes."""
    assert switch._server is not None
    switch._server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
    sock = socket.create_connection((switch.host, switch.port))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    return sock


@contextmanager
def connected(switch: Emulator, *commands: str, login: bool = True) -> Iterator[Client]:
    """A client that has logged in and sent some commands."""
    with narrow(switch) as sock:
        client = Client(sock)
        if login:
            client.until(lambda: client.messages)
            client.ask("auth ClueCon")
        for command in commands:
            client.ask(command)
        yield client


@contextmanager
def called(switch: Emulator, **options: Any) -> Iterator[tuple[EmulatedCall, Client]]:
    """A call that the switch has put through to us, and our end of its connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        call = switch.dial(*server.getsockname(), **options)
        sock, _ = server.accept()
    with sock:
        yield call, Client(sock)


def fence(switch: Emulator, client: Client) -> None:
    """Everything fired before is with the client, if it was meant for it."""
    client.text("api echo fence")


def names(client: Client) -> list[str | None]:
    return [event.name for event in client.events]


@pytest.fixture
def switch() -> Iterator[Emulator]:
    with Emulator() as switch:
        yield switch


# Transcripts of the real command loop


class BareSession(Session):
    """The transcripts' channel: it has nothing but its id."""

    def fields(self, *, variables: bool = True) -> list[Field]:
        return [("Unique-ID", self.uuid)]


class BareSwitch(Switch):
    """The transcripts' switch: its core functions are stubs, so consoles echo and channels fire no events."""

    def __init__(self) -> None:
        super().__init__(
            make_uuid=lambda kind: "job-generated" if kind == "job" else "uuid-generated",
            core_headers=self.short_headers,
        )
        self.api.clear()
        self.api.update({"status": lambda args: f"UP arg=[{args or '(none)'}]\n", "empty": ""})

    def short_headers(self, name: str, function: str) -> Iterable[Field]:
        core = function == "parse_command" and name != "CHANNEL_DATA"
        return [("Event-Name", name), *([("Core-UUID", "core")] if core else [])]

    def console(self, text: str) -> str:
        return f"console[{text}]\n"

    def channel_event(self, *_args: Any, **_keywords: Any) -> None:
        pass


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_command_loop_transcript(vector: dict[str, Any]) -> None:
    switch = BareSwitch()
    session = switch.add_session(BareSession("sess-1", {"foo": "bar"}))
    if vector["mode"] == "inbound":
        listener = Listener(switch)
    else:
        listener = Listener(switch, session=session, mode=vector["mode"].removeprefix("outbound "))
    assert listener.start() == vector["greeting"].encode("latin-1")
    for step in vector["transcript"]:
        if "client" in step:
            sent = listener.receive(step["client"].encode("latin-1"))
        else:
            name, *pairs = step["event_fired"].split(" ")
            sent = listener.fire(switch.event(name, [tuple(pair.split("=", 1)) for pair in pairs]))
        assert sent.decode("latin-1") == step["server"], step
    assert listener.closing == vector["closed_at_end"]


def test_there_are_36_transcripts() -> None:
    assert len(VECTORS) == 36


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_commands_may_arrive_byte_by_byte(vector: dict[str, Any]) -> None:
    def said(size: int) -> tuple[list[bytes], list[bytes]]:
        switch = BareSwitch()
        session = switch.add_session(BareSession("sess-1", {"foo": "bar"}))
        inbound = vector["mode"] == "inbound"
        listener = Listener(switch, session=None if inbound else session, mode=vector["mode"])
        sent = listener.start()
        data = "".join(step.get("client", "") for step in vector["transcript"]).encode("latin-1")
        for at in range(0, len(data), size):
            sent += listener.receive(data[at : at + size])
        decoder = eslcodec.Decoder()
        decoder.feed(sent)
        messages = list(decoder)
        # Events wait for pipelined commands, so their place depends on how these come.
        events = [message.frame for message in messages if isinstance(message, eslcodec.Event)]
        return events, [message.frame for message in messages if not isinstance(message, eslcodec.Event)]

    assert said(1) == said(1 << 20)


# Captures: what a real client wrote, written to the emulator


def summary(message: eslcodec.Message) -> str:
    """What must be the same: the kind, and the text but for ids and the outputs of API commands."""
    if isinstance(message, eslcodec.ApiResponse):
        failed = (message.body or b"").endswith((b" Command not found!\n", b"-ERR no reply\n"))
        return f"api/response {message.text if failed else '...'!r}"
    shown = [message.content_type or "", message.get("Content-Disposition", ""), message.get("Linger-Time", "")]
    shown += [message.get("Socket-Mode", ""), message.get("Control", ""), message.get("Channel-Name", "")]
    if message.get("Event-Name") == "CHANNEL_DATA":
        shown = [*shown[:1], *shown[3:5]]
    body = "..." if message.content_type == "command/reply" else (message.body or b"").decode("latin-1")
    text = "|".join([*filter(None, shown), *message.getlist("Reply-Text"), body])
    return UUID.sub("<uuid>", text)


def messages_of(data: bytes) -> list[eslcodec.Message]:
    decoder = eslcodec.Decoder()
    decoder.feed(data)
    return list(decoder)


def messages_at(data: bytes) -> Callable[[int], list[eslcodec.Message]]:
    """What tells the messages that were whole after so many bytes."""
    messages, ends = [], []
    decoder = eslcodec.Decoder()
    decoder.feed(data)
    for message in decoder:
        messages.append(message)
        ends.append(decoder.consumed)
    return lambda at: messages[: bisect_right(ends, at)]


def whole(name: str) -> bytes:
    """A capture with its end, which has the last replies."""
    with open_capture(name) as stream:
        return stream.read()


def replies_in(messages: Iterable[eslcodec.Message]) -> list[eslcodec.Message]:
    return [message for message in messages if not isinstance(message, (eslcodec.Event, eslcodec.LogLine))]


def writes_of(name: str) -> list[dict[str, Any]]:
    """What the client of a capture wrote."""
    writes: list[dict[str, Any]] = json.loads((DATA / "captures" / f"{name}.tx.json").read_text("utf-8"))
    return writes


def script(switch: Emulator, name: str, messages: Iterable[eslcodec.Message]) -> None:
    """Have a switch answer API commands that it does not know as in a capture, and run its applications."""
    outputs: dict[str, deque[str]] = {}
    bodies = (message.text for message in messages if isinstance(message, eslcodec.ApiResponse))
    for write in writes_of(name):
        kind, _, command = write["bytes"].rstrip("\n").partition(" ")
        if kind == "sendmsg":
            uuid, _, headers = command.partition("\n")
            if uuid not in switch.sessions:
                switch.add_session(uuid)
            switch.applications[eslcodec.parse_headers(headers)["execute-app-name"]] = 0.0
        elif kind in ("api", "bgapi"):
            answers = outputs.setdefault(command.partition(" ")[0], deque())
            answers.append(next(bodies) if kind == "api" else "+OK\n")
    for word, answers in outputs.items():
        switch.api[word] = lambda _args, answers=answers: answers.popleft().removesuffix("-ERR no reply\n")


def converse(
    name: str,
    client: Client,
    then: Callable[[], object] | None = None,
    counts: Callable[[Iterable[eslcodec.Message]], tuple[int, ...]] = lambda messages: (len(replies_in(messages)),),
) -> None:
    """Write what the client of a capture wrote, each piece after as many replies (or whatever counts) as there were."""
    data = whole(name)
    before = messages_at(data)
    replies = replies_in(before(len(data)))
    for write in writes_of(name):
        due = counts(before(write["at"]))
        while not client.ended and any(got < wanted for got, wanted in zip(counts(client.messages), due, strict=True)):
            client.read()
        try:
            client.send(write["bytes"])
        except OSError:  # some wrote on after the end
            break
    if then is not None:
        closing = sum(isinstance(reply, eslcodec.DisconnectNotice) for reply in replies)
        client.until(lambda: len(client.replies) >= len(replies) - closing)
        then()
    client.until(lambda: len(client.replies) >= len(replies) or client.ended)
    if not isinstance(replies[-1], eslcodec.DisconnectNotice):
        client.sock.shutdown(socket.SHUT_WR)
    client.to_the_end()


def assert_same(expected: list[str], got: list[str]) -> None:
    if got != expected:
        pytest.fail("\n".join(difflib.unified_diff(expected, got, "captured", "emulated", lineterm="", n=2)))


USERS = {
    "1000@localtest": User("esl1234", events="HEARTBEAT CHANNEL_CREATE", api="status version"),
    "admin@test.local": User("adminpw"),
    "limited@test.local": User("limitedpw", api="status"),
}
INBOUND_CAPTURES = [
    "api_console_execute",
    "auth_crlf",
    "auth_invalid",
    "auth_late",
    "bgapi_json",
    "bgapi_nonsubscribed",
    "bgapi_plain",
    "callcenter",
    "calls_sip",
    "calls_sip_json",
    "commands_inbound",
    "concurrent_commands",
    "conference",
    "conference_xml",
    "crlf_json",
    "event_commands",
    "exit_variants",
    "filter_works",
    "getvar_breaks_framing",
    "limits",
    "log_and_events",
    "log_events",
    "log_only",
    "lowlevel",
    "malformed",
    "myevents_inbound",
    "registrations",
    "restart_recover_after",
    "restart_recover_before",
    "rude_rejection",
    "sendevent",
    "sendevent_xml",
    "sendmsg_event_lock_order",
    "server_stop_reload",
    "special_json",
    "special_plain",
    "special_xml",
    "transfer_hold",
    "transfer_hold_json",
    "unauthed_commands",
    "userauth",
    "userauth_longlist",
    "userauth_ok",
    "userauth_variant_0",
    "userauth_variant_1",
    "userauth_variant_2",
    "userauth_variant_3",
]
DAY = (  # like a production day
    *("callcenter", "calls_sip", "calls_sip_json", "conference", "conference_xml", "lowlevel", "registrations"),
    *("restart_recover_after", "restart_recover_before", "transfer_hold", "transfer_hold_json"),
)
ODD_VARIABLES = {
    "v_utf8_zh": "你好\uff0c世界 呼叫中心",
    "v_percent": "100% sure, 50%off",
    "v_array": ["a", "b", "c d: %20 é"],
    "v_long": "1" + "0123456789abcdefghijklmnopqrstuvwxyz" * 20,
    "v_spaces": "  two lead and trail  ",
    "v_space_only": " ",
    "v_newline": "line1\nline2\n\nline4: x\r\ncrlf",
    "v_fakeheader": "x\nContent-Length: 5\n\nhello",
    "v_tilde": "~Reply-Text: fake",
}


@pytest.mark.parametrize("name", INBOUND_CAPTURES)
def test_replies_of_an_inbound_capture(name: str) -> None:
    data = whole(name)
    messages = messages_of(data)
    users = dict(USERS)
    if name == "userauth_longlist":
        allowed = messages[1]["Allowed-API"].partition("Content-Type")[0]
        users["longlist@test.local"] = User("longpw", api=allowed + "7" * 400)
    with Emulator(users=users, allow=name != "rude_rejection") as switch:
        switch.api["show"] = "type,name,ikey,filename\n"
        switch.api["originate"] = lambda _args: f"+OK {switch.add_session().uuid}\n"
        switch.api["msleep"] = lambda args: Later(int(args) / 100_000, "+OK\n")
        if name in DAY:
            script(switch, name, messages)
        bound = re.search(rb"Unique-ID: (\S+)", data)
        hangup = None
        if bound and "sendevent" not in name and name not in DAY:
            session = switch.add_session(bound[1].decode(), ODD_VARIABLES)
            if b"Controlled-Session-UUID" in data:
                hangup = lambda: switch.hangup(session.uuid)  # noqa: E731
        if name == "sendmsg_event_lock_order":
            switch.add_session("aa28a1f7-d336-4d7c-87ef-e72da0db6198")
        with connected(switch, login=False) as client:
            converse(name, client, hangup)
    assert_same(*[[summary(message) for message in found] for found in (replies_in(messages), client.replies)])
    if hangup is not None:
        assert client.events[-1].name == "CHANNEL_HANGUP"


def core_aside(event: eslcodec.Event) -> list[Any]:
    """An event without what differs between two switches and two moments."""
    own = re.compile(r"Core-UUID|FreeSWITCH-.*|Event-Date-.*|Event-Sequence|Event-UUID|Event-Calling-.*")
    return [
        [(name, "" if own.fullmatch(name) else value) for name, value in event.pairs()],
        event.body,
        event.malformed and str(event.malformed).partition(":")[0],
    ]


@pytest.mark.parametrize("name", ["sendevent", "sendevent_xml"])
def test_events_of_a_sendevent_capture(name: str) -> None:
    captured = messages_of(capture(name))
    expected = [core_aside(event) for event in captured if isinstance(event, eslcodec.Event)]
    with Emulator() as switch, connected(switch, login=False) as client:
        converse(name, client)
    assert [core_aside(event) for event in client.events] == expected


OUTBOUND_CAPTURES: dict[str, str] = {
    "out_async_full": "async full",
    "out_async_nolinger": "async full",
    "out_async_nolinger_cmd": "async full",
    "out_myevents_json": "async full",
    "out_myevents_plain": "async full",
    "out_no_connect": "async full",
    "out_path": "async full",
    "out_silent_client": "async full",
    "out_single_channel": "async",
    "out_sync": "full",
    "out_sync_hangup_midway": "full",
    "out_unicast": "async full",
    "outbound_async_full_plain": "async full",
    "outbound_async_json_linger2": "async full",
    "outbound_async_xml_nolinger": "async full",
    "outbound_sync_full": "full",
    "outbound_sync_single_channel": "",
}
NOT_BEFORE = {"out_async_full": "foo"}
HUNG_UP_BY_THE_CALLER = {"out_async_nolinger", "out_async_nolinger_cmd"}

# Events that the captures have and the emulator does not send there, each with its reason.
NOT_REPRODUCED = {
    # The park of an async channel races with the client's first commands; the emulator parks before it listens to them.
    "CHANNEL_PARK": {
        "out_async_full",
        "out_async_nolinger",
        "out_async_nolinger_cmd",
        "out_myevents_json",
        "out_myevents_plain",
        "out_single_channel",
        "out_unicast",
    },
    # What the dialplan had done before the socket application, late in the queue; and DTMF, which is media.
    "CHANNEL_STATE CS_ROUTING": {"out_myevents_json"},
    "CHANNEL_STATE CS_EXECUTE": {"out_myevents_json", "out_myevents_plain"},
    "CHANNEL_EXECUTE answer": {"out_myevents_json", "out_myevents_plain"},
    "CHANNEL_EXECUTE_COMPLETE answer": {"out_myevents_json", "out_myevents_plain"},
    "CHANNEL_EXECUTE socket": {"out_myevents_json", "out_myevents_plain"},
    "DTMF": {"out_myevents_json", "out_myevents_plain"},
}


NOT_WRITTEN_AGAIN = {
    "api": "the outputs of API commands, which are scripted",
    "api_large": "the output of an API command",
    "churn_json": "nothing but events",
    "churn_plain": "nothing but events",
    "churn_xml": "nothing but events",
    "shutdown_plain": "its end: test_shutdown_says_so",
    "sip_json": "nothing but events",
    "sip_plain": "nothing but events",
    "sip_xml": "nothing but events",
    "slow_client_killed": "its end: test_a_slow_reader_is_killed_in_the_middle_of_an_event",
}


def test_no_capture_is_forgotten() -> None:
    captures = {path.name.partition(".")[0] for path in (DATA / "captures").glob("*.tx.json")}
    assert captures == {*INBOUND_CAPTURES, *OUTBOUND_CAPTURES, *NOT_WRITTEN_AGAIN}


def happened(name: str, messages: Iterable[eslcodec.Message]) -> list[str]:
    """The events in order, and where among them the notices came."""
    found = []
    for message in messages:
        if isinstance(message, eslcodec.DisconnectNotice):
            found.append("linger" if message.linger else "disconnect")
        if not isinstance(message, eslcodec.Event):
            continue
        application = message.get("Application", "")
        label = f"{message.name} {application}".strip()
        if message.name == "CHANNEL_STATE":
            label += f" {message['Channel-State']}"
        if name in NOT_REPRODUCED.get(label, ()):
            continue
        # A real socket's own COMPLETE repeats the response of the application before it.
        response = "" if application == "socket" else message.get("Application-Response", "")
        data = re.sub(r":\d+", "", message.get("Application-Data", ""))  # the port of a socket
        found.append(f"{label} {data} {response}".strip())
    return found


def hung_up_while_it_plays(switch: Emulator) -> Callable[[Session, str], Run]:
    """A playback that its caller does not hear to the end."""

    def play(session: Session, _data: str) -> Run:
        switch._switch.later(0.1, lambda: switch.hangup(session.uuid))
        return Run(60, "FILE PLAYED", "PLAYBACK ERROR")

    return play


@pytest.mark.parametrize("name", OUTBOUND_CAPTURES)
def test_replies_and_events_of_an_outbound_capture(name: str) -> None:
    data = capture(name)
    captured = messages_of(data)
    channel = next((message for message in captured if message.get("Event-Name") == "CHANNEL_DATA"), captured[0])
    variables = {key.removeprefix("variable_"): channel[key] for key in channel if key.startswith("variable_")}
    if name == "out_path":
        del variables["socket_path"], variables["socket_host"]
    with Emulator(login_timeout=0.05 if name == "out_silent_client" else 25) as switch:
        in_time = switch._switch.later

        def later(seconds: float, call: Callable[[], None]) -> None:
            """Time flies, but not before the client has written what it wrote while an application ran."""
            if name in NOT_BEFORE and NOT_BEFORE[name] not in switch.commands:
                in_time(0.001, lambda: later(seconds, call))
            else:
                in_time(seconds / 20, call)

        switch._switch.later = later
        switch.applications["sleep"] = lambda _session, data: int(data) / 1000
        switch.applications["playback"] = 0.3
        if name == "out_sync_hangup_midway":
            switch.applications["playback"] = hung_up_while_it_plays(switch)
        options = {
            "mode": OUTBOUND_CAPTURES[name],
            "uuid": channel.get("Unique-ID", "silent"),
            "variables": variables,
            "name": channel.get("Channel-Name", ""),
            "answered": channel.get("Answer-State") == "answered",
            "path": "some/path?x=1" if name == "out_path" else "",
        }
        with called(switch, **options) as (call, client):
            converse(
                name,
                client,
                call.hangup if name in HUNG_UP_BY_THE_CALLER else None,
                lambda messages: (len(replies_in(messages)), len(happened(name, messages))),
            )
            call.wait()
    assert_same(*[[summary(message) for message in replies_in(found)] for found in (captured, client.messages)])
    assert_same(*[happened(name, messages) for messages in (captured, client.messages)])


# Login


def test_an_address_that_the_acl_refuses_is_told_so() -> None:
    with Emulator(allow=lambda address: address != "127.0.0.1") as switch:
        with connected(switch, login=False) as client:
            client.to_the_end()
        assert [type(message).__name__ for message in client.messages] == ["RudeRejection", "DisconnectNotice"]


def test_a_client_that_says_nothing_is_sent_away() -> None:
    with Emulator(login_timeout=0.05) as switch, connected(switch, login=False) as client:
        client.to_the_end()
        assert client.messages[-1].text == FAREWELL


def test_a_restricted_user_is_refused_api_commands_hidden_in_others() -> None:
    users = {"u@d": User("p", api="status bgapi expand")}
    with Emulator(users=users) as switch, connected(switch, login=False) as client:
        client.until(lambda: client.messages)
        client.ask("userauth u@d:p")
        switch.api["expand"] = "expanded"
        assert client.text("api expand status") == "expanded"
        assert client.text("api expand uptime") == "-ERR permission denied"
        assert client.text("bgapi bgapi expand version") == "-ERR permission denied"
        assert client.text("api bgapi status").startswith("+OK Job-UUID: ")


def test_a_restricted_user_may_subscribe_to_the_allowed_subclasses_only() -> None:
    users = {"u@d": User("p", events="DTMF CUSTOM a::b", log=False)}
    with Emulator(users=users) as switch, connected(switch, login=False) as client:
        client.until(lambda: client.messages)
        client.ask("userauth u@d:p")
        assert client.text("event plain dtmf CUSTOM a::b") == "+OK event listener enabled plain"
        assert client.text("event plain CUSTOM c::d") == "-ERR permission denied"
        assert client.text("event plain TALK") == "-ERR permission denied"
        assert client.text("log 7") == "-ERR permission denied"


# Events


def test_the_same_event_in_three_formats(switch: Emulator) -> None:
    headers = {"Unique-ID": "a1", "Text": "a b: c%", "Array": ["x", "y"], "Utf": "你好"}
    read = []
    for format in ("plain", "json", "xml"):
        with connected(switch, f"event {format} MESSAGE") as client:
            switch.fire("MESSAGE", headers, "body of\ntwo lines")
            event = client.next_event()
        assert event.content_type == f"text/event-{format}"
        assert (event.name, event.body, event.getlist("Array")) == ("MESSAGE", b"body of\ntwo lines", ["x", "y"])
        read.append([event[name] for name in ("Unique-ID", "Text", "Utf", "FreeSWITCH-Hostname")])
    assert read[0] == read[1] == read[2] == ["a1", "a b: c%", "你好", "emulator"]


def test_events_get_the_headers_of_the_core() -> None:
    with Emulator(clock=lambda: 1_795_441_722.5) as switch, connected(switch, "event plain ALL") as client:
        switch.fire("HEARTBEAT")
        switch.fire("HEARTBEAT")
        first, second = client.next_event(), client.next_event()
    assert first["Event-Date-GMT"] == "Mon, 23 Nov 2026 13:48:42 GMT"
    assert first["Event-Date-Timestamp"] == "1795441722500000"
    assert (second.sequence or 0) - (first.sequence or 0) == 1
    assert first["Core-UUID"] == second["Core-UUID"]


def test_a_ready_made_event_is_fired_as_it_is(switch: Emulator) -> None:
    event = eslcodec.Event.build("DTMF", {"Core-UUID": "c", "DTMF-Digit": "#"})
    with connected(switch, "event plain DTMF") as client:
        switch.fire(event)
        assert client.next_event().pairs() == event.pairs()


def test_an_event_that_no_switch_could_send_is_refused(switch: Emulator) -> None:
    with pytest.raises(eslcodec.InvalidCommand):
        switch.fire("DTMF", {"a: b": "c"})


def test_the_subclass_comes_before_the_name(switch: Emulator) -> None:
    with connected(switch, "event plain CUSTOM a::b") as client:
        switch.fire("CUSTOM", {"X": "1"}, subclass="a::b")
        assert client.next_event().pairs()[:2] == [("Event-Subclass", "a::b"), ("Event-Name", "CUSTOM")]


def test_all_means_the_subclasses_known_by_then_once_a_name_is_nixed(switch: Emulator) -> None:
    switch.fire("CUSTOM", subclass="old::one")
    with connected(switch, "event plain ALL", "nixevent DTMF") as client:
        switch.fire("CUSTOM", subclass="new::one")
        switch.fire("DTMF")
        switch.fire("CUSTOM", subclass="old::one")
        assert client.next_event().subclass == "old::one"
        assert len(client.events) == 1


def test_a_subclass_of_sendevent_is_not_registered(switch: Emulator) -> None:
    with connected(switch, "event plain ALL") as other:
        other.text("sendevent CUSTOM\nEvent-Subclass: mine::own")
        with connected(switch, "event plain ALL", "nixevent DTMF") as client:
            other.text("sendevent CUSTOM\nEvent-Subclass: mine::own")
            switch.fire("TALK")
            assert client.next_event().name == "TALK"


def test_keys_are_pressed_as_long_as_the_call_lasts(switch: Emulator) -> None:
    with eslcodec.serve(lambda call: call.exit()) as server, connected(switch, "event plain DTMF") as client:
        call = switch.dial("127.0.0.1", server.port)
        call.dtmf("1#")
        call.hangup()
        call.dtmf("2")
        call.wait()
        fence(switch, client)
        events = client.events
    assert [(event["DTMF-Digit"], event.uuid) for event in events] == [("1", call.uuid), ("#", call.uuid)]
    assert "variable_uuid" not in events[0]  # as in captures


def test_nixevent_of_a_subclass_keeps_the_others(switch: Emulator) -> None:
    with connected(switch, "event plain CUSTOM a b", "nixevent CUSTOM a") as client:
        switch.fire("CUSTOM", subclass="a")
        switch.fire("CUSTOM", subclass="b")
        assert client.next_event().subclass == "b"


def test_event_names_may_have_their_prefix(switch: Emulator) -> None:
    with connected(switch, "event plain switch_event_dtmf") as client:
        switch.fire("DTMF")
        assert client.next_event().name == "DTMF"


def test_noevents_drops_what_waits(switch: Emulator) -> None:
    with connected(switch, "event plain DTMF") as client:
        client.send("noev")
        switch.wait_for(lambda: switch.listeners[0].held)
        switch.fire("DTMF")
        assert client.text("ents") == "+OK no longer listening for events"
        fence(switch, client)
        assert client.events == []


def test_events_wait_until_all_pipelined_commands_are_answered(switch: Emulator) -> None:
    switch.api["fire"] = lambda args: switch.fire("DTMF", {"Digit": args})  # type: ignore[func-returns-value]
    with connected(switch, "event plain DTMF") as client:
        client.send("api fire 1\n\napi fire 2\n\napi echo x\n\n")
        client.until(lambda: len(client.events) == 2)
    kinds = [type(message).__name__ for message in client.messages[-5:]]
    assert kinds == ["ApiResponse"] * 3 + ["Event"] * 2


# Filters


def passing(filters: list[str], *headers: dict[str, str]) -> list[str]:
    """Which of the events with these headers pass, by their `N`."""
    switch = Switch()
    listener = Listener(switch)
    listener.start()
    listener.receive(b"auth ClueCon\n\nevent plain ALL\n\n")
    for line in filters:
        listener.receive(f"filter {line}\n\n".encode())
    events = [switch.event("DTMF", [("N", str(at)), *pairs.items()]) for at, pairs in enumerate(headers)]
    return [event.headers.get("N") or "" for event in events if listener.fire(event)]


def test_filters_are_alternatives() -> None:
    assert passing(["A 1", "B 2"], {"A": "1"}, {"B": "2"}, {"A": "2", "B": "1"}, {}) == ["0", "1"]


def test_a_negative_filter_vetoes() -> None:
    assert passing(["A 1", "B -2"], {"A": "1"}, {"A": "1", "B": "2"}, {"A": "1", "B": "3"}) == ["0", "2"]


def test_with_negative_filters_only_nothing_passes() -> None:
    assert passing(["B -2"], {"B": "2"}, {"B": "3"}, {}) == []


def test_a_filter_in_slashes_is_a_regular_expression() -> None:
    assert passing(["A /^x.z$/"], {"A": "xyz"}, {"A": "XYZ"}, {"A": "x"}) == ["0"]
    assert passing(["A /^x.z$/i"], {"A": "xyz"}, {"A": "XYZ"}, {"A": "x"}) == ["0", "1"]
    assert passing(["A /(/"], {"A": "("}) == []
    assert passing(["A /x"], {"A": "x"}, {"A": "/x"}) == []


def test_a_negative_regular_expression_is_none() -> None:
    assert passing(["A 1", "B -/2/"], {"A": "1", "B": "2"}, {"A": "1", "B": "/2/"}) == ["0"]


def test_filters_compare_without_case_and_match_values_with_blanks() -> None:
    assert passing(["application play back"], {"Application": "PLAY BACK"}) == ["0"]


def test_a_deleted_filter_filters_no_more() -> None:
    assert passing(["A 1", "A 2", "delete A 1"], {"A": "1"}, {"A": "2"}) == ["1"]
    assert passing(["A 1", "A 2", "delete a"], {"A": "1"}, {"A": "2"}) == ["0", "1"]
    assert passing(["A 1", "B 2", "delete all"], {}) == ["0"]


def test_a_filter_without_a_value_filters_nothing() -> None:
    assert passing(["add A"], {}) == ["0"]
    assert passing(["A "], {}) == ["0"]
    assert passing(["A 1", "B 2", "a "], {"A": "1"}, {"B": "2"}) == ["1"]  # an empty one deletes, as in a header


def test_a_filter_that_is_an_array_compares_as_one() -> None:
    assert passing(["A ARRAY::1|:2"], {"A": "ARRAY::1|:2"}, {"A": "1"}) == ["0"]
    assert passing(["A ARRAY::1"], {"A": "1"}, {"A": "ARRAY::1"}) == ["0"]
    assert passing(["A ARRAY::1|:2", "delete A ARRAY::1|:2"], {}) == ["0"]


# myevents, log lines


def test_myevents_lets_only_the_channels_own_events_through(switch: Emulator) -> None:
    switch.add_session("mine")
    with connected(switch, "event json BACKGROUND_JOB", "myevents mine") as client:
        switch.fire("DTMF", {"Unique-ID": "other"})
        switch.fire("HEARTBEAT", {"Unique-ID": "mine"})
        client.ask("bgapi echo x\nJob-UUID: j")
        switch.fire("DTMF", {"Unique-ID": "mine"})
        client.until(lambda: len(client.events) == 2)
        assert [(event.name, event.content_type) for event in client.events] == [
            ("BACKGROUND_JOB", "text/event-json"),
            ("DTMF", "text/event-json"),
        ]
        assert client.events[0]["Job-Owner-UUID"] == "mine"


def test_log_lines_come_up_to_the_level(switch: Emulator) -> None:
    with connected(switch, "log warning") as client:
        switch.log("INFO", "not this")
        switch.log("err", "this\n\nContent-Length: 5", uuid="a1", file="x.c", function="f", line=7)
        client.until(lambda: isinstance(client.messages[-1], eslcodec.LogLine))
        line = client.messages[-1]
        assert isinstance(line, eslcodec.LogLine)
        assert (line.level, line.text, line.uuid) == (3, "this\n\nContent-Length: 5\n", "a1")
        assert (line.file, line.function, line.line) == ("x.c", "f", 7)
        client.ask("nolog")
        switch.log(0, "nor this")
        fence(switch, client)
        assert sum(isinstance(message, eslcodec.LogLine) for message in client.messages) == 1
    with pytest.raises(ValueError, match="no log level"):
        switch.log("loud", "x")


# API commands and jobs


def test_an_api_answer_is_an_output_or_a_function_of_the_arguments(switch: Emulator) -> None:
    switch.api |= {"text": "a\n", "bytes": b"\xff", "call": lambda args: args.upper(), "fails": lambda _args: None}
    with connected(switch) as client:
        assert client.text("api text") == "a\n"
        assert client.ask("api bytes").body == b"\xff"
        assert client.text("api call x y") == "X Y"
        assert client.text("api fails now") == "-ERR fails Command not found!\n"
        assert client.text("api call x;;text\nconsole_execute: true") == "Xa\n"


def test_a_slow_api_command_stops_its_connection_and_no_other(switch: Emulator) -> None:
    switch.api["slow"] = Later(0.2, "done")
    with connected(switch, "event plain DTMF") as client, connected(switch) as other:
        client.send("api slow\n\napi echo after\n\n")
        switch.wait_for(lambda: "api slow" in switch.commands)
        switch.fire("DTMF")
        fence(switch, other)
        client.until(lambda: client.events)
        assert [message.text for message in client.messages[-3:-1]] == ["done", "after"]


def test_what_an_api_function_raises_comes_out_at_the_end() -> None:
    def broken(_args: str) -> str:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"), Emulator() as switch:  # noqa: PT012
        switch.api["broken"] = broken
        with connected(switch) as client:
            assert client.text("api broken") == "-ERR RuntimeError('broken')\n"
            assert client.text("api echo still here") == "still here"


def test_what_an_api_command_puts_out_has_to_be_text() -> None:
    with pytest.raises(TypeError, match="'number' gave 5"), Emulator() as switch:  # noqa: PT012
        switch.api["number"] = 5  # type: ignore[assignment]
        with connected(switch) as client:
            assert client.text("api number").startswith("-ERR TypeError")


def test_default_api_commands(switch: Emulator) -> None:
    session = switch.add_session("s1", {"a": ["x", "y"]})
    with connected(switch) as client:
        assert client.text("api status").startswith("UP 0 years, 0 days, 0 hours, 0 minutes")
        assert "FreeSWITCH Version" in client.text("api version")
        assert client.text("api uptime").strip().isdigit()
        assert UUID.fullmatch(client.text("api create_uuid"))
        assert client.text("api uuid_exists s1") == "true"
        assert client.text("api uuid_getvar s1 a") == "ARRAY::x|:y"
        assert client.text("api uuid_getvar s1 b") == "_undef_"
        assert client.text("api uuid_setvar s1 b c d") == "+OK\n"
        assert session.variables["b"] == "c d"
        assert client.text("api global_setvar g=1") == "+OK"
        assert client.text("api global_getvar g") == "1"
        assert client.text("api uuid_kill s1 17") == "+OK\n"
        assert session.hangup_cause == "USER_BUSY"
        for command in ("uuid_kill", "uuid_getvar", "uuid_setvar"):
            assert client.text(f"api {command} s1 x y") == "-ERR No such channel!\n"
        switch.add_session("s2")
        assert client.text("api hupall").startswith("+OK")
        assert switch.sessions == {}
        assert client.text("api reload mod_other") == "+OK\n"


def test_jobs_finish_at_once_unless_held(switch: Emulator) -> None:
    with connected(switch, "event plain BACKGROUND_JOB") as client:
        reply = client.ask("bgapi echo x y")
        event = client.next_event()
    assert isinstance(reply, eslcodec.CommandReply)
    assert event["Job-UUID"] == reply.job_uuid
    assert (event["Job-Command"], event["Job-Command-Arg"], event.body) == ("echo", "x y", b"x y")


@pytest.mark.parametrize("order", ["first", "last", "random", "given"])
def test_held_jobs_finish_in_the_order_wanted(switch: Emulator, order: Any) -> None:
    switch.hold_jobs = True
    ids = [f"job{at}" for at in range(20)]
    with connected(switch, "event plain BACKGROUND_JOB") as client:
        for uuid in ids:
            client.ask(f"bgapi echo {uuid}\nJob-UUID: {uuid}")
        assert client.events == []
        given = sorted(ids)
        released = switch.release_jobs(given if order == "given" else order, seed=7)
        client.until(lambda: len(client.events) == len(ids))
        assert [event["Job-UUID"] for event in client.events] == released
        assert [event.text for event in client.events] == released
    if order == "random":
        assert released not in (ids, ids[::-1])
        assert sorted(released) == given
    else:
        assert released == {"first": ids, "last": ids[::-1], "given": given}[order]
    assert switch.jobs == []


def test_some_jobs_may_be_released_and_others_held(switch: Emulator) -> None:
    switch.hold_jobs = True
    with connected(switch) as client:
        for uuid in "abc":
            client.ask(f"bgapi echo\nJob-UUID: {uuid}")
    assert switch.hold_jobs
    assert switch.release_jobs(count=1) == ["a"]
    assert switch.release_jobs(["c"]) == ["c"]
    assert [job.uuid for job in switch.jobs] == ["b"]
    with pytest.raises(KeyError):
        switch.release_jobs(["nosuch"])


# sendevent


@pytest.mark.parametrize("format", ["plain", "json", "xml"])
def test_sendevent_comes_back(switch: Emulator, format: str) -> None:
    with connected(switch, f"event {format} CUSTOM a::b") as client:
        reply = client.text("sendevent CUSTOM\nEvent-Subclass: a::b\nX: 1 %\nL[1]: b\nContent-Length: 5\n\nhello")
        event = client.next_event()
    assert reply == f"+OK {event['Event-UUID']}"
    assert (event.subclass, event["X"], event["Command"], event.body) == ("a::b", "1 %", "sendevent CUSTOM", b"hello")
    assert event.getlist("L") == ["", "b"]


def test_sendevent_to_a_live_channel_goes_to_the_channel(switch: Emulator) -> None:
    session = switch.add_session("s1")
    with connected(switch, "event plain ALL") as client:
        client.ask("sendevent DTMF\nUnique-ID: s1\nDigit: 5")
        fence(switch, client)
        assert client.events == []
    assert [event.headers.get("Digit") for event in session.events] == ["5"]


def test_xml_of_an_odd_header_name_is_malformed_as_on_a_real_switch(switch: Emulator) -> None:
    with connected(switch, "event xml NOTIFY") as client:
        client.ask("sendevent NOTIFY\na name: x\nContent-Length: 13\n\n<é&\x01>\r\n\xff\xfe.\n")
        event = client.next_event()
    assert event.malformed is not None
    assert b"    <a name>x</a name>\n" in (event.payload or b"")


# How commands are read


def test_a_body_may_hold_anything_but_is_cut_at_a_nul(switch: Emulator) -> None:
    with connected(switch, "event plain NOTIFY") as client:
        client.ask("sendevent NOTIFY\nContent-Length: 12\n\nexit\n\nexit\n\n")
        assert client.next_event().body == b"exit\n\nexit\n\n"
        client.ask("sendevent NOTIFY\nContent-Length: 5\n\nab\0cd")
        assert client.next_event().body == b"ab"


def test_of_two_bodies_the_last_counts(switch: Emulator) -> None:
    with connected(switch, "event plain NOTIFY") as client:
        client.ask("sendevent NOTIFY\nContent-Length: 2\nContent-Length: 3\n\nabcde")
        assert client.next_event().body == b"cde"


def test_a_cr_makes_the_lines_before_it_part_of_the_command(switch: Emulator) -> None:
    with connected(switch) as client:
        assert client.text("api echo x\nconsole_execute: true\r\nA: b") == "x\nconsole_execute: true"


def test_a_command_block_of_10_mib_is_complete(switch: Emulator) -> None:
    with connected(switch) as client:
        thread = threading.Thread(target=client.send, args=("api echo " + "x" * 10_485_760 + "\n\n",))
        thread.start()
        client.until(lambda: len(client.replies) == 4)
        thread.join()
    assert len(client.replies[2].body or b"") == 10_485_760 - len("api echo ")
    assert client.replies[3].text == "-ERR command not found"


def test_reload_of_the_module_anywhere_in_a_command_ends_all_connections(switch: Emulator) -> None:
    with connected(switch) as other, connected(switch) as client:
        assert client.text("foo\nx: Reload MOD_event_socket").startswith("+OK Job-UUID: ")
        for each in (client, other):
            each.to_the_end()
            assert each.messages[-1].text == "The system is being shut down.\n"


def test_level_numbers_of_log() -> None:
    listener = Listener(Switch())
    listener.start()
    listener.receive(b"auth ClueCon\n\n")
    assert b"+OK log level 65 [63]" in listener.receive(b"log 65\n\n")
    assert b"-ERR invalid log level" in listener.receive(b"log 64\n\n")
    assert b"+OK log level 10 [10]" in listener.receive(b"log 10\n\n")


# Slow readers


def big_events(switch: Emulator) -> None:
    body = "x" * 200_000
    while switch.listeners:
        switch.fire("CUSTOM", {"N": "1"}, body)


def test_a_slow_reader_is_killed_in_the_middle_of_an_event() -> None:
    with Emulator(queue_limit=10) as switch, connected(switch, "event plain ALL") as client:
        big_events(switch)
        client.to_the_end()
    notice = b"Content-Type: text/disconnect-notice\nContent-Length: 39\n\nkilled listener because of lost events\n"
    assert client.raw.endswith(notice)
    assert client.raw[: -len(notice)][-1:] == b"x"
    with pytest.raises(eslcodec.IncompleteFrame):
        client.decoder.feed_eof()


def test_the_500th_lost_event_in_a_row_is_survived_and_the_501st_is_not() -> None:
    switch = Switch(queue_limit=1)
    listener = Listener(switch)
    listener.start()
    listener.receive(b"auth ClueCon\n\nevent plain DTMF\n\n")
    listener.receive(b"half a command")
    event = switch.event("DTMF")
    for _ in range(501):
        listener.offer(event)
    assert (listener.lost, listener.closing) == (500, False)
    assert listener.receive(b"\n\n").count(b"Event-Name: DTMF") == 1
    listener.receive(b"half a command")
    for _ in range(501):
        listener.offer(event)
    assert (listener.lost, listener.closing) == (500, False)
    assert b"lost events" in listener.fire(event)
    assert listener.closing


def test_lost_log_lines_kill_too() -> None:
    switch = Switch(queue_limit=1)
    listener = Listener(switch)
    listener.start()
    listener.receive(b"auth ClueCon\n\nlog\n\nhalf a command")
    for _ in range(502):
        switch.log(7, b"x")
    assert listener.pull().endswith(b"killed listener because of lost log lines\n")


# What is remembered


@pytest.mark.parametrize("count", [COMMANDS_KEPT - 1, COMMANDS_KEPT, COMMANDS_KEPT + 1, 2 * COMMANDS_KEPT])
def test_the_newest_commands_are_remembered(count: int) -> None:
    switch = Switch()
    listener = Listener(switch)
    sent = [f"api echo {number}" for number in range(count)]
    listener.receive("".join(f"{command}\n\n" for command in sent).encode())
    assert listener.commands == switch.commands == sent[-COMMANDS_KEPT:]
    assert (sent[0] in switch.commands) == (count <= COMMANDS_KEPT)


def test_commands_of_all_connections_are_bounded_together() -> None:
    switch = Switch()
    one, two = Listener(switch), Listener(switch)
    one.receive(b"a\n\n" * COMMANDS_KEPT)
    two.receive(b"b\n\n")
    assert (len(one.commands), two.commands) == (COMMANDS_KEPT, ["b"])
    assert switch.commands == one.commands[1:] + two.commands


def test_commands_are_a_list_that_a_test_may_empty(switch: Emulator) -> None:
    with connected(switch, "api echo 1") as client:
        assert switch.commands[1:] == ["api echo 1"]
        del switch.commands[:]
        client.ask("api echo 2")
    assert switch.commands == ["api echo 2"]


# A slow reader freezes all


@contextmanager
def frozen(**options: Any) -> Iterator[tuple[Emulator, Client, Client]]:
    """A switch that stands still, the slow reader that it kills, and another client that was logged in before."""
    with (
        Emulator(queue_limit=10, faults=[None, Fault.freeze(**options)]) as switch,
        connected(switch, "event plain DTMF") as other,
        connected(switch, "event plain ALL") as slow,
    ):
        overrun(switch)
        yield switch, slow, other


def overrun(switch: Emulator) -> None:
    """Fire events until the switch stands still, or has done so for as long as it may."""
    fill(switch)
    deadline, before = time.monotonic() + SECONDS, len(switch.listeners)
    while not switch.frozen and len(switch.listeners) == before:
        switch.fire("CUSTOM", {"N": "1"}, "x" * 200_000)
        assert time.monotonic() < deadline


def fill(switch: Emulator) -> None:
    """Fill the sockets of those who do not read. On a busy machine the kernel takes a while to move what they keep."""
    switch.fire("CUSTOM", {"N": "0"}, "x" * 4_000_000)
    deadline = time.monotonic() + SECONDS
    before, since = [0], time.monotonic()
    while not any(before) or time.monotonic() < since + 0.2:
        left = [len(connection.unsent) for connection in list(switch._connections)]
        if left != before:
            before, since = left, time.monotonic()
        assert time.monotonic() < deadline
        time.sleep(0.001)


def turns(switch: Emulator) -> None:
    """Time enough for the switch to do whatever it has to do now."""
    for _ in range(5):
        switch._run(lambda: None)


def nothing_for(client: Client) -> bool:
    client.sock.setblocking(False)
    try:
        return not client.sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    finally:
        client.sock.settimeout(SECONDS)


def test_nobody_is_served_while_a_slow_reader_is_killed() -> None:
    with frozen() as (switch, slow, other), socket.create_connection((switch.host, switch.port)) as late:
        before = len(switch.listeners)
        other.send("api echo x\n\n")
        switch.fire("DTMF", {"N": "1"})
        turns(switch)
        assert switch.frozen
        assert nothing_for(other)
        assert nothing_for(Client(late))
        assert len(switch.listeners) == before == 1
        assert "api echo x" not in switch.commands
        slow.sock.close()
        other.until(lambda: len(other.events) == 1 and any(message.body == b"x" for message in other.messages))
        assert Client(late).sock.recv(100) == b"Content-Type: auth/request\n\n"
        assert not switch.frozen


def test_all_goes_on_once_the_slow_reader_has_read_its_notice() -> None:
    with frozen() as (switch, slow, other):
        slow.to_the_end()
        assert slow.raw.endswith(b"\n\nkilled listener because of lost events\n")
        assert other.text("api echo x") == "x"
        assert not switch.frozen


def test_a_switch_gives_up_telling_a_slow_reader_after_some_seconds() -> None:
    with frozen(seconds=0.05) as (switch, slow, other):
        assert other.text("api echo x") == "x"
        assert not switch.frozen
        slow.to_the_end()
        assert b"disconnect-notice" not in slow.raw


def test_without_the_fault_a_slow_reader_is_killed_and_nobody_waits() -> None:
    with Emulator(queue_limit=10) as switch, connected(switch) as other, connected(switch, "event plain ALL"):
        while len(switch.listeners) == 2:
            switch.fire("CUSTOM", {"N": "1"}, "x" * 200_000)
        assert not switch.frozen
        assert other.text("api echo x") == "x"


def test_a_reader_whose_socket_takes_the_notice_freezes_nobody() -> None:
    with Emulator(queue_limit=1, fault=Fault.freeze()) as switch, connected(switch, "event plain DTMF") as client:
        client.send("half a command")
        switch.wait_for(lambda: switch.listeners[0].held)
        for _ in range(502):
            switch.fire("DTMF")
        client.to_the_end()
        assert client.raw.endswith(b"lost events\n")
        assert not switch.frozen


def test_lost_log_lines_freeze_too() -> None:
    with Emulator(queue_limit=10, faults=[Fault.freeze()]) as switch, connected(switch, "log debug") as slow:
        switch.wait_for(lambda: switch.listeners[0].log_level == 7)
        while not switch.frozen:
            switch.log("debug", "x" * 200_000)
        slow.to_the_end()
        assert slow.raw.endswith(b"lost log lines\n")


def test_a_short_standstill_is_seen() -> None:
    with Emulator(queue_limit=10, faults=[Fault.freeze()]) as switch, connected(switch, "event plain ALL") as slow:

        def read_on() -> None:
            switch.wait_for(lambda: not switch.listeners)
            slow.to_the_end()

        reader = threading.Thread(target=read_on)
        reader.start()
        while switch.listeners:
            switch.fire("CUSTOM", body="x" * 200_000)
        switch.fire("CUSTOM")
        assert switch.frozen
        reader.join()
        assert switch.wait_for(lambda: not switch.frozen)


def test_what_happens_meanwhile_comes_in_order_and_overruns_nobody() -> None:
    with frozen() as (switch, slow, other):
        for number in range(600):  # more than the queue of a reader, and the lost ones that kill it
            switch.fire("DTMF", {"N": str(number)})
        slow.sock.close()
        other.until(lambda: len(other.events) == 600)
        switch.fire("DTMF", {"N": "600"})
        other.until(lambda: len(other.events) == 601)
        assert [int(event["N"]) for event in other.events] == list(range(601))


def test_what_happened_meanwhile_waits_for_a_reader_that_has_no_turn() -> None:
    """Its socket takes a few events now and then, and the queue is much smaller than what was held back."""
    with (
        Emulator(queue_limit=10, faults=[Fault.drip(3000, every=0.01), Fault.freeze()]) as switch,
        connected(switch, "event plain DTMF") as other,
        connected(switch, "event plain ALL") as slow,
    ):
        overrun(switch)
        for number in range(600):
            switch.fire("DTMF", {"N": str(number)})
        slow.sock.close()
        other.until(lambda: len(other.events) == 600)
        assert [int(event["N"]) for event in other.events] == list(range(600))


@pytest.mark.parametrize("command", [b"event plain DTMF\n\n", b"log\n\n"])
def test_what_was_held_does_not_count_in_the_queue_and_what_comes_then_does(command: bytes) -> None:
    switch = Switch(queue_limit=10)
    listener = Listener(switch)
    listener.start()
    listener.receive(b"auth ClueCon\n\n" + command)
    listener.receive(b"half a command")
    numbers = iter(range(10_000))

    def happen(count: int) -> None:
        for _ in range(count):
            number = next(numbers)
            switch.fire(switch.event("DTMF", [("N", f"<{number}>")]))
            switch.log(7, b"<%d>" % number)

    def lost() -> int:
        return listener.lost + listener.lost_log_lines

    happen(10)
    assert lost() == 0
    switch.frozen = True
    happen(600)
    switch.frozen = False
    switch.give_held()
    assert (lost(), listener.closing) == (0, False)
    happen(3)
    assert lost() == 3  # the ten from before wait still
    written = listener.receive(b"\n\n")
    assert [int(number) for number in re.findall(rb"<(\d+)>|%3C(\d+)%3E", written) for number in number if number] == [
        *range(610)
    ]
    listener.receive(b"half a command")
    happen(510)
    assert (lost(), listener.closing) == (500, False)
    happen(1)
    assert listener.closing


def test_of_two_slow_readers_one_is_killed_after_the_other() -> None:
    with (
        Emulator(queue_limit=10, faults=[None, Fault.freeze(), Fault.freeze()]) as switch,
        connected(switch) as other,
        connected(switch, "event plain ALL") as one,
        connected(switch, "event plain ALL") as two,
    ):
        overrun(switch)
        switch.wait_for(lambda: len(switch.listeners) < 3)
        other.send("api echo x\n\n")
        one.sock.close()
        turns(switch)
        while not switch.frozen:  # the second had room for a few events more
            switch.fire("CUSTOM", {"N": "1"}, "x" * 200_000)
        two.sock.close()
        other.until(lambda: any(message.body == b"x" for message in other.messages))
        switch.wait_for(lambda: len(switch.listeners) == 1)
        assert not switch.frozen


def test_a_call_that_begins_meanwhile_stands_still_too() -> None:
    with frozen() as (switch, slow, _), called(switch, mode="async full") as (call, client):
        client.send("connect\n\n")
        turns(switch)
        assert nothing_for(client)
        assert call.commands == []
        slow.sock.close()
        client.until(lambda: client.replies)


@pytest.mark.parametrize("mode", ["async full", "full"])
def test_a_call_that_is_hung_up_meanwhile_ends_in_order(mode: str) -> None:
    with (
        Emulator(queue_limit=10, faults=[None, Fault.freeze()]) as switch,
        called(switch, mode=mode) as (call, client),
        connected(switch, "event plain ALL") as slow,
    ):
        client.ask("connect")
        client.ask("myevents")
        overrun(switch)
        switch.fire("DTMF", {"Unique-ID": call.uuid})
        call.hangup("USER_BUSY")
        turns(switch)
        assert nothing_for(client)
        slow.sock.close()
        client.to_the_end()
    # as without a freeze: a static connection ends before CHANNEL_HANGUP, an async one after the last event
    assert names(client)[-1:] == ["CHANNEL_HANGUP_COMPLETE" if mode == "async full" else "DTMF"]
    assert isinstance(client.messages[-1], eslcodec.DisconnectNotice)


def test_a_replay_stands_still_and_goes_on() -> None:
    data, _ = recording(40)
    with (
        Emulator(queue_limit=100, replay=data, rate=100, repeat=None, faults=[None, Fault.freeze()]) as switch,
        connected(switch, "event plain DTMF") as other,
        connected(switch, "event plain ALL") as slow,
    ):
        other.until(lambda: other.events)
        overrun(switch)
        while not nothing_for(other):
            other.read()
        (listener,) = switch.listeners
        before, due = listener.queued, threading.Event()
        switch._later(0.05, due.set)  # when some frames would have happened
        assert due.wait(SECONDS)
        assert nothing_for(other)
        assert listener.queued == before
        slow.sock.close()
        seen = len(other.events)
        other.until(lambda: len(other.events) > seen + 10)


@pytest.mark.parametrize("how", ["stop", "drop", "shutdown"])
def test_a_switch_that_stands_still_can_be_stopped(how: str) -> None:
    with frozen() as (switch, _, other):
        for _ in range(3):
            switch.fire("DTMF")
        getattr(switch, how)()
        if how == "shutdown":
            assert switch.frozen
            switch.stop()
        other.to_the_end()
        assert (b"The system is being shut down.\n" in other.raw) == (how != "drop")
        assert not switch.frozen
        if how != "drop":
            switch.port = 0
            switch.start()
        with connected(switch, "event plain DTMF") as client:
            switch.fire("DTMF", {"N": "2"})
            assert client.next_event()["N"] == "2"


# Replay


def recording(count: int, name: str = "sip_plain") -> tuple[bytes, list[bytes]]:
    """The first events of a capture, as a capture with replies and a cut event around them; and these events."""
    decoder = eslcodec.Decoder()
    decoder.feed(capture(name)[: 40_000 * count])
    events = [message.frame for message in decoder if isinstance(message, eslcodec.Event)][:count]
    assert len(events) == count
    return b"Content-Type: auth/request\n\n" + b"".join(events) + events[0][:-9], events


def test_a_replay_begins_with_event_and_is_verbatim() -> None:
    data, events = recording(30)
    with Emulator(replay=data, then="close") as switch, connected(switch) as client:
        fence(switch, client)
        assert client.events == []
        client.ask("event xml DTMF")
        client.to_the_end()
    assert [event.frame for event in client.events] == events
    assert client.messages[-1].text == FAREWELL


@pytest.mark.parametrize("suffix", [".esl", ".esl.xz", ".esl.gz"])
def test_a_replay_comes_from_a_file(tmp_path: Path, suffix: str) -> None:
    data, events = recording(3)
    pack = {".esl.xz": lzma.compress, ".esl.gz": gzip.compress}.get(suffix, bytes)
    path = tmp_path / f"capture{suffix}"
    path.write_bytes(pack(data))
    with Emulator(replay=path, lossless=True) as switch, connected(switch, "myevents any") as client:
        client.until(lambda: len(client.events) == 3)
        assert client.text("api echo open") == "open"
    assert [event.frame for event in client.events] == events


@pytest.mark.heavy
@pytest.mark.parametrize("name", DAY)
def test_a_production_day_is_replayed_verbatim(name: str) -> None:
    """Whole in make test-all; else of the long ones the beginning."""
    data = whole(name) if FULL else capture(name)
    kept = (eslcodec.Event, eslcodec.LogLine)
    frames = [message.frame for message in messages_of(data) if isinstance(message, kept)]
    with (
        Emulator(replay=data, lossless=True, then="close") as switch,
        connected(switch, "event plain ALL") as client,
    ):
        client.to_the_end()
    assert [message.frame for message in client.messages if isinstance(message, kept)] == frames
    assert len(frames) > 40


def test_a_capture_without_events_cannot_be_replayed() -> None:
    with pytest.raises(ValueError, match="no event"):
        Emulator(replay=capture("auth_late"))


def test_a_replay_has_a_rate_above_zero() -> None:
    with pytest.raises(ValueError, match="rate is 0"):
        Emulator(rate=0)


def test_a_replay_repeats() -> None:
    data, events = recording(7)
    with (
        Emulator(replay=data, repeat=5, lossless=True, then="close") as switch,
        connected(switch, "event plain ALL") as client,
    ):
        client.to_the_end()
    assert [event.frame for event in client.events] == events * 5


def test_a_replay_without_end_goes_on() -> None:
    data, events = recording(7)
    with Emulator(replay=data, repeat=None, lossless=True) as switch, connected(switch, "event plain ALL") as client:
        client.until(lambda: len(client.events) > 1000)
    assert [event.frame for event in client.events[:21]] == events * 3


def test_a_replay_at_a_rate_takes_its_time() -> None:
    data, events = recording(20)
    with Emulator(replay=data, rate=200, then="close") as switch, connected(switch, "event plain ALL") as client:
        began = time.monotonic()
        client.to_the_end()
        took = time.monotonic() - began
    assert [event.frame for event in client.events] == events
    assert 0.08 < took < 5


def test_commands_are_answered_and_events_fired_during_a_replay() -> None:
    data, events = recording(50)
    with Emulator(replay=data, rate=500) as switch, connected(switch, "event plain ALL") as client:
        assert client.text("api echo x") == "x"
        switch.fire("HEARTBEAT")
        client.until(lambda: len(client.events) == 51)
    assert [event.frame for event in client.events if event.get("FreeSWITCH-Hostname") != "emulator"] == events


def test_commands_are_read_though_a_replay_keeps_the_socket_full() -> None:
    data, _ = recording(100)
    with Emulator(replay=data, repeat=None, lossless=True) as switch, connected(switch, "event plain ALL") as client:
        client.until(lambda: len(client.events) > 5000)
        assert client.text("api echo heard") == "heard"
        client.send("exit\n\n")
        client.to_the_end()
    assert client.messages[-1].text == FAREWELL


def test_noevents_stops_a_replay_and_event_goes_on() -> None:
    data, _ = recording(5)
    with Emulator(replay=data, rate=400, repeat=None) as switch, connected(switch, "event plain ALL") as client:
        client.until(lambda: client.events)
        client.ask("noevents")
        count = len(client.events)
        fence(switch, client)
        assert len(client.events) == count
        client.ask("event plain ALL")
        client.until(lambda: len(client.events) > count)


def test_a_replay_does_not_wait_for_a_slow_reader() -> None:
    data, _ = recording(100)
    with Emulator(replay=data, repeat=None, queue_limit=2000) as switch, connected(switch, "event plain ALL") as client:
        switch.wait_for(lambda: not switch.listeners)
        client.to_the_end()
    assert client.raw.endswith(b"\n\nkilled listener because of lost events\n")


def test_a_lossless_replay_waits_for_a_slow_reader() -> None:
    data, events = recording(100)
    with (
        Emulator(replay=data, repeat=30, queue_limit=10, lossless=True, rate=1e6, then="close") as switch,
        connected(switch, "event plain ALL") as client,
    ):
        switch.wait_for(lambda: switch.listeners[0].backlog > 1000)
        client.to_the_end()
    assert len(client.events) == 100 * 30
    assert [event.frame for event in client.events[-100:]] == events


# Faults


GREETING = b"Content-Type: auth/request\n\n"


def test_fault_cut() -> None:
    with Emulator(faults=[Fault.cut(after=10)]) as switch:
        with socket.create_connection((switch.host, switch.port)) as sock:
            client = Client(sock)
            client.to_the_end()
            assert client.raw in (GREETING[:10], b"")  # a reset may overtake what was sent
        with connected(switch) as client:
            assert client.text("api echo the next one is whole") == "the next one is whole"


def test_fault_close() -> None:
    with Emulator(fault=Fault.close(after=40)) as switch:
        for _ in range(2):
            with socket.create_connection((switch.host, switch.port)) as sock:
                client = Client(sock)
                client.send("auth ClueCon\n\n")
                client.to_the_end()
                assert client.raw == (GREETING + b"Content-Type: command/reply")[:40]
        switch.wait_for(lambda: not switch.listeners)


def test_fault_stall() -> None:
    with Emulator(fault=Fault.stall(after=len(GREETING) + 5)) as switch, connected(switch, login=False) as client:
        client.send("auth ClueCon\n\nexit\n\n")
        switch.wait_for(lambda: "exit" in switch.commands)
        client.until(lambda: len(client.raw) == len(GREETING) + 5)
        client.sock.settimeout(0.05)
        with pytest.raises(TimeoutError):
            client.sock.recv(1)


def test_fault_drip() -> None:
    with (
        Emulator(fault=Fault.drip(10, every=0.001, after=len(GREETING))) as switch,
        connected(switch, login=False) as client,
    ):
        client.until(lambda: client.messages)
        client.send("auth ClueCon\n\n")
        pieces = []
        while len(client.messages) < 2:
            before = len(client.raw)
            client.read()
            pieces.append(len(client.raw) - before)
    assert len(pieces) > 1
    assert client.messages[1].text == "+OK accepted"


def test_fault_garbage() -> None:
    with (
        Emulator(fault=Fault.garbage(b"\0garbage", after=len(GREETING) - 1)) as switch,
        socket.create_connection((switch.host, switch.port)) as sock,
    ):
        client = Client(sock)
        client.until(lambda: len(client.raw) == len(GREETING) + 8)
    assert client.raw == GREETING[:-1] + b"\0garbage\n"


def test_a_fault_after_nothing_is_there_from_the_start() -> None:
    with Emulator(fault=Fault.close()) as switch, socket.create_connection((switch.host, switch.port)) as sock:
        assert Client(sock).sock.recv(1) == b""


def test_drop_closes_without_a_notice(switch: Emulator) -> None:
    with connected(switch) as client:
        switch.drop()
        client.to_the_end()
    assert not isinstance(client.messages[-1], eslcodec.DisconnectNotice)
    with connected(switch) as client:
        assert client.text("api echo again") == "again"


def test_shutdown_says_so(switch: Emulator) -> None:
    with connected(switch) as client:
        switch.shutdown()
        client.to_the_end()
    assert client.messages[-1].text == "The system is being shut down.\n"


# Channels


def execute(application: str, data: str = "", **headers: str) -> str:
    lines = ["sendmsg", "call-command: execute", f"execute-app-name: {application}", f"execute-app-arg: {data}"]
    return "\n".join([*lines, *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())])


def executions(client: Client) -> list[str]:
    short = {"CHANNEL_EXECUTE": "begin", "CHANNEL_EXECUTE_COMPLETE": "end"}
    return [f"{short[event.name]} {event['Application-UUID']}" for event in client.events if event.name in short]


@pytest.fixture
def slow(switch: Emulator) -> Emulator:
    switch.applications["sleep"] = lambda _session, data: int(data) / 1000
    return switch


def test_executes_nest_without_event_lock(slow: Emulator) -> None:
    with called(slow) as (_call, client):
        for command in ("connect", "myevents"):
            client.ask(command)
        client.send("".join(execute("sleep", "20", Event_UUID=uuid) + "\n\n" for uuid in "abc"))
        client.until(lambda: len(executions(client)) == 6)
    assert executions(client) == ["begin a", "begin b", "begin c", "end c", "end b", "end a"]


def test_executes_with_event_lock_wait_for_each_other(slow: Emulator) -> None:
    with called(slow) as (_call, client):
        for command in ("connect", "myevents"):
            client.ask(command)
        client.send("".join(execute("sleep", "5", Event_UUID=uuid, event_lock="true") + "\n\n" for uuid in "abc"))
        client.until(lambda: len(executions(client)) == 6)
    assert executions(client) == ["begin a", "end a", "begin b", "end b", "begin c", "end c"]


def test_a_static_connection_is_answered_when_the_application_has_ended(slow: Emulator) -> None:
    with called(slow, mode="full") as (call, client):
        for command in ("connect", "event plain ALL"):
            client.ask(command)
        client.send(execute("sleep", "100") + "\n\napi echo next\n\n")
        slow.wait_for(lambda: call.executed)
        slow.fire("HEARTBEAT")
        client.until(lambda: "HEARTBEAT" in names(client))
        kinds = [getattr(message, "name", None) or type(message).__name__ for message in client.messages[2:]]
        assert kinds[:3] == ["CommandReply", "ApiResponse", "CHANNEL_EXECUTE"]
        assert sorted(kinds[3:]) == ["CHANNEL_EXECUTE_COMPLETE", "HEARTBEAT"]


def test_async_true_makes_one_execute_of_a_static_connection_async(slow: Emulator) -> None:
    with called(slow, mode="full") as (_call, client):
        client.ask("connect")
        client.ask("myevents")
        assert client.text(execute("sleep", "60000", **{"async": "true"})) == "+OK"
        assert client.text("api echo free") == "free"


def test_a_short_application_is_not_repeated_and_a_long_one_is(switch: Emulator) -> None:
    flies = switch._switch.later
    switch._switch.later = lambda seconds, call: flies(seconds / 100, call)
    switch.applications["short"] = 0.4
    switch.applications["long"] = Run(0.5, "DONE")
    with called(switch) as (call, client):
        client.ask("connect")
        client.ask("myevents")
        client.ask(execute("short", loops="3", Event_UUID="s"))
        client.ask(execute("long", loops="3", Event_UUID="l", Event_UUID_Name="n"))
        client.until(lambda: len(executions(client)) == 8)
    assert executions(client).count("begin s") == 1
    assert executions(client).count("begin l") == 3
    last = [event for event in client.events if event["Application-UUID"] == "l"][-1]
    assert (last["Application-Response"], last["Application-UUID-Name"]) == ("DONE", "n")
    assert [application for application, _ in call.executed] == ["short", "long"]


def test_an_unknown_application_hangs_up(switch: Emulator) -> None:
    with called(switch) as (call, client):
        client.ask("connect")
        client.send(execute("nosuchapp") + "\n\n")
        assert call.wait() == "DESTINATION_OUT_OF_ORDER"


def test_an_application_may_be_a_function(switch: Emulator) -> None:
    def greet(session: Session, data: str) -> None:
        session.variables["greeting"] = f"hello {data}"

    switch.applications["greet"] = greet
    with called(switch, mode="full") as (_call, client):
        client.ask("connect")
        assert client.text(execute("greet", "you")) == "+OK"
        assert client.text("getvar greeting") == "hello you"


def test_what_an_application_raises_comes_out_at_the_end() -> None:
    def broken(_session: Session, _data: str) -> None:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"), Emulator() as switch:  # noqa: PT012
        switch.applications["broken"] = broken
        with called(switch, mode="full") as (_call, client):
            client.ask("connect")
            assert client.text(execute("broken")) == "+OK"


def test_an_application_takes_seconds() -> None:
    with pytest.raises(TypeError, match="'odd' gave 'x'"), Emulator() as switch:  # noqa: PT012
        switch.applications["odd"] = lambda _session, _data: "x"  # type: ignore[assignment,return-value]
        with called(switch, mode="full") as (_call, client):
            client.ask("connect")
            assert client.text(execute("odd")) == "+OK"


def test_xferext_executes_one_application_after_the_other(slow: Emulator) -> None:
    with called(slow) as (call, client):
        client.ask("connect")
        client.ask("myevents")
        client.ask(
            "sendmsg\ncall-command: xferext\napplication: sleep 10\napplication: set a=b\napplication: hangup 17"
        )
        assert call.wait() == "USER_BUSY"
    assert call.executed == [("sleep", "10"), ("set", "a=b"), ("hangup", "17")]


def test_an_inbound_connection_commands_a_channel_by_its_id(switch: Emulator) -> None:
    session = switch.add_session("s1", answered=False)
    with connected(switch, "event plain CHANNEL_ANSWER CHANNEL_EXECUTE_COMPLETE") as client:
        assert client.text(execute("answer").replace("sendmsg", "sendmsg s1")) == "+OK"
        assert client.text("sendmsg\nsession-id: s1\n" + execute("set", "a=b").partition("\n")[2]) == "+OK"
        client.until(lambda: len(client.events) == 3)
    assert names(client) == ["CHANNEL_ANSWER", "CHANNEL_EXECUTE_COMPLETE", "CHANNEL_EXECUTE_COMPLETE"]
    assert (session.answered, session.variables["a"]) == (True, "b")


def test_an_inbound_connection_lingers_after_its_channel(switch: Emulator) -> None:
    switch.add_session("s1", name="sofia/x")
    with connected(switch, "myevents s1", "linger 1") as client:
        switch.hangup("s1", "USER_BUSY")
        client.to_the_end()
        first, last = [message for message in client.messages if isinstance(message, eslcodec.DisconnectNotice)]
    assert (first.linger, first.linger_time, first.channel_name, first.controlled_uuid) == (True, 1, "sofia/x", "s1")
    assert (last.final, last.text) == (True, FAREWELL)
    at = client.messages.index(first)
    assert isinstance(client.messages[at - 1], eslcodec.Event)
    assert client.events[-1].name == "CHANNEL_HANGUP_COMPLETE"


def test_linger_without_a_time_ends_with_exit(switch: Emulator) -> None:
    with called(switch, uuid="c1") as (call, client):
        for command in ("connect", "linger", "myevents"):
            client.ask(command)
        call.hangup("NO_ANSWER")
        client.until(lambda: isinstance(client.messages[-1], eslcodec.DisconnectNotice))
        assert client.text("api echo still here") == "still here"
        assert client.text(execute("set", "late=1")) == "+OK"
        assert client.text("exit") == "+OK bye"
        client.to_the_end()
        assert client.messages[-1]["Controlled-Session-UUID"] == "c1"
        assert call.wait() == "NO_ANSWER"
        assert ("set", "late=1") not in call.executed
        assert call.commands[-1] == "exit"


def test_the_dialplan_ends_a_static_call_that_its_client_leaves(switch: Emulator) -> None:
    with connected(switch, "event plain CHANNEL_HANGUP CHANNEL_UNPARK CHANNEL_DESTROY") as watcher:
        with called(switch, mode="full") as (call, client):
            client.ask("connect")
        assert call.wait() == "NORMAL_CLEARING"
        watcher.until(lambda: "CHANNEL_DESTROY" in names(watcher))
        assert names(watcher) == ["CHANNEL_HANGUP", "CHANNEL_DESTROY"]


def test_an_async_call_stays_parked_unless_resumed(switch: Emulator) -> None:
    with called(switch, uuid="parked") as (call, client):
        client.ask("connect")
    assert call.wait() is None
    assert "parked" in switch.sessions
    with called(switch, uuid="resumed") as (call, client):
        client.ask("connect")
        client.ask("resume")
    assert call.wait() == "NORMAL_CLEARING"
    assert set(switch.sessions) == {"parked"}


@pytest.mark.parametrize("mode", ["async full", "async"])
def test_an_answered_async_call_goes_on_in_the_dialplan(switch: Emulator, mode: str) -> None:
    with connected(switch, "event plain ALL") as watcher:
        with called(switch, mode=mode, answered=True) as (call, client):
            client.ask("connect")
        assert call.wait() == "NORMAL_CLEARING"
        watcher.until(lambda: "CHANNEL_DESTROY" in names(watcher))
    assert names(watcher)[-7:] == [
        "CHANNEL_UNPARK",
        "CHANNEL_EXECUTE_COMPLETE",  # of `socket`
        "CHANNEL_HANGUP",
        "CHANNEL_STATE",
        "CHANNEL_STATE",
        "CHANNEL_HANGUP_COMPLETE",
        "CHANNEL_DESTROY",
    ]


def test_a_call_that_its_client_answered_goes_on_once_everything_is_done(slow: Emulator) -> None:
    with called(slow) as (call, client):
        client.ask("connect")
        client.ask(execute("answer"))
        client.ask(execute("sleep", "10", event_lock="true"))
        client.ask(execute("set", "a=b", event_lock="true"))
    slow.wait_for(lambda: call.hangup_cause)
    assert call.executed == [("answer", ""), ("sleep", "10"), ("set", "a=b")]


@pytest.mark.parametrize("mode", ["full", ""])
def test_resume_on_a_static_socket_resets_the_channel_for_ever(switch: Emulator, mode: str) -> None:
    with connected(switch, "event plain CHANNEL_STATE CHANNEL_EXECUTE_COMPLETE CHANNEL_HANGUP") as watcher:
        with called(switch, mode=mode, uuid="c1", answered=True) as (call, client):
            client.ask("connect")
            assert client.text("resume") == "+OK"
        assert call.wait() is None
        watcher.until(lambda: len(watcher.events) == 2)
        assert [event.get("Application") for event in watcher.events] == ["socket", None]
        assert watcher.events[-1]["Channel-State"] == call.session.state == "CS_RESET"
        assert "c1" in switch.sessions
        assert watcher.text("api uuid_kill c1") == "+OK\n"  # the only way out
    assert call.hangup_cause == "NORMAL_CLEARING"


def test_an_unanswered_call_stays_parked_until_it_is_hung_up(switch: Emulator) -> None:
    with connected(switch, "event plain CHANNEL_UNPARK CHANNEL_EXECUTE_COMPLETE CHANNEL_HANGUP_COMPLETE") as watcher:
        with called(switch, uuid="c1") as (call, client):
            client.ask("connect")
            client.ask("myevents")
        assert call.wait() is None
        assert (call.session.parked, call.session.state) == (True, "CS_EXECUTE")
        switch.hangup("c1", "ORIGINATOR_CANCEL")
        watcher.until(lambda: len(watcher.events) == 3)
        assert names(watcher) == ["CHANNEL_UNPARK", "CHANNEL_EXECUTE_COMPLETE", "CHANNEL_HANGUP_COMPLETE"]
    assert not call.session.parked


INTERRUPTED = {  # what comes behind CHANNEL_EXECUTE when the caller hangs up during a playback
    ("async full", False): "CHANNEL_HANGUP CHANNEL_EXECUTE_COMPLETE disconnect",
    ("async full", True): "CHANNEL_HANGUP CHANNEL_EXECUTE_COMPLETE linger",
    ("async", False): "CHANNEL_HANGUP CHANNEL_EXECUTE_COMPLETE disconnect",
    ("full", False): "CHANNEL_HANGUP CHANNEL_EXECUTE_COMPLETE disconnect",
    ("full", True): "linger CHANNEL_HANGUP CHANNEL_EXECUTE_COMPLETE",
    ("", False): "CHANNEL_HANGUP CHANNEL_EXECUTE_COMPLETE disconnect",
}


@pytest.mark.parametrize(("mode", "linger"), INTERRUPTED)
def test_the_caller_hangs_up_during_a_playback(switch: Emulator, mode: str, linger: bool) -> None:
    switch.applications["playback"] = 60
    with called(switch, mode=mode) as (call, client):
        for command in ("connect", "myevents", *(["linger"] if linger else [])):
            client.ask(command)
        client.send(execute("playback", "a.wav") + "\n\n")
        switch.wait_for(lambda: call.executed)
        call.hangup("ORIGINATOR_CANCEL")
        wanted = INTERRUPTED[mode, linger].split()
        client.until(lambda: len(seen(client)) >= len(wanted) + 1)
    assert seen(client) == ["CHANNEL_EXECUTE", *wanted]
    [complete] = [event for event in client.events if event.name == "CHANNEL_EXECUTE_COMPLETE" and is_played(event)]
    assert complete["Application-Response"] == "PLAYBACK ERROR"
    assert (complete["Answer-State"], complete["Hangup-Cause"]) == ("hangup", "ORIGINATOR_CANCEL")


def is_played(event: eslcodec.Event) -> bool:
    return event.get("Application") == "playback"


def seen(client: Client) -> list[str]:
    """Notices and the events that an execution and a hang-up bring, in order."""
    return [
        message.get("Content-Disposition", "") if isinstance(message, eslcodec.DisconnectNotice) else message.name or ""
        for message in client.messages
        if isinstance(message, eslcodec.DisconnectNotice)
        or (isinstance(message, eslcodec.Event) and (is_played(message) or message.name == "CHANNEL_HANGUP"))
    ]


def test_the_linger_notice_of_an_idle_static_call_comes_behind_its_hangup(switch: Emulator) -> None:
    with called(switch, mode="full") as (call, client):
        for command in ("connect", "myevents", "linger"):
            client.ask(command)
        call.hangup()
        client.until(lambda: len(seen(client)) == 2)
        assert seen(client) == ["CHANNEL_HANGUP", "linger"]
        assert client.text(execute("playback", "a.wav")) == "+OK"  # and no event of it
        assert client.text("api echo on") == "on"
        assert len(seen(client)) == 2


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("log -1", "+OK log level -1 [0]"),
        ("log +3", "+OK log level +3 [3]"),
        ("log 5.9", "+OK log level 5.9 [5]"),
        ("log -", "+OK log level - [0]"),
        ("log 64", "-ERR invalid log level"),
        ("log 65", "+OK log level 65 [63]"),
        ("log disable", "+OK log level disable [-1]"),
        ("log 1a", "-ERR invalid log level"),
    ],
)
def test_levels_of_the_log(switch: Emulator, command: str, answer: str) -> None:
    with connected(switch) as client:
        assert client.text(command) == answer


def test_unload_takes_modules_that_are_there(switch: Emulator) -> None:
    with connected(switch) as client:
        assert client.text("api unload mod_nosuch") == "-ERR [No such module!]\n"
        assert client.text("api unload -f mod_sofia") == "+OK\n"
        assert client.text("api unload mod_sofia") == "-ERR [No such module!]\n"
        assert client.text("api unload") == "-USAGE: [-f] <mod_name>\n"


def test_a_call_shows_what_it_is(switch: Emulator) -> None:
    with connected(switch, "event plain CHANNEL_EXECUTE CHANNEL_PARK") as watcher:
        with called(switch, variables={"a": ["x", "y"]}, path="p") as (call, client):
            channel = client.ask("connect")
            assert channel.getlist("variable_a") == ["x", "y"]
            assert (channel["variable_socket_path"], channel["Answer-State"]) == ("p", "ringing")
            assert channel["Unique-ID"] == call.uuid
            assert (channel["Socket-Mode"], channel["Control"]) == ("async", "full")
            assert not call.over
            assert call.uuid in repr(call)
        watcher.until(lambda: len(watcher.events) == 2)
        assert watcher.events[0]["Application-Data"].endswith("/p async full")


def test_a_call_is_over_once_its_channel_has_gone_on() -> None:
    seen: set[tuple[bool, str | None]] = set()
    calls: list[EmulatedCall] = []

    def clock() -> float:  # is asked for each event
        seen.update((call.over, call.hangup_cause) for call in calls)
        return 1.0

    with Emulator(clock=clock) as switch, connected(switch, "event plain ALL"):
        with called(switch) as (call, client):
            calls.append(call)
            client.ask("connect")
            client.ask("resume")
        assert call.wait() == "NORMAL_CLEARING"
    assert (False, "NORMAL_CLEARING") in seen
    assert not [cause for over, cause in seen if over and cause is None]


def test_dial_says_if_nobody_listens(switch: Emulator) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
    with pytest.raises(OSError, match="refused"):
        switch.dial(*address)
    assert switch.sessions == {}


def test_only_a_running_switch_dials() -> None:
    with pytest.raises(RuntimeError, match="does not run"):
        Emulator().dial("127.0.0.1", 1)


def test_hangup_takes_live_channels_and_known_causes(switch: Emulator) -> None:
    switch.add_session("s1")
    with pytest.raises(KeyError):
        switch.hangup("s1", "BORED")
    with pytest.raises(KeyError):
        switch.hangup("s2")
    session = switch.sessions["s1"]
    switch.hangup("s1", "USER_BUSY")
    assert switch.sessions == {}
    assert repr(session) == "<Session s1 USER_BUSY>"


# The emulator itself


def test_wait_for_says_what_came_instead(switch: Emulator) -> None:
    with connected(switch, "api echo x"), pytest.raises(TimeoutError, match="'api echo x'"):
        switch.wait_for(lambda: False, timeout=0.01)


def test_a_hundred_connections_share_one_thread(switch: Emulator) -> None:
    before = threading.active_count()
    clients = [socket.create_connection((switch.host, switch.port)) for _ in range(100)]
    for client in clients:
        client.sendall(b"auth ClueCon\n\nevent plain DTMF\n\n")
    switch.wait_for(lambda: sum(listener.listening for listener in switch.listeners) == 100)
    switch.fire("DTMF")
    for sock in clients:
        client = Client(sock)
        client.until(lambda client=client: client.events)
        sock.close()
    assert threading.active_count() == before
    switch.wait_for(lambda: not switch.listeners)


def test_stop_leaves_nothing_behind() -> None:
    def descriptors() -> int:
        folder = Path("/proc/self/fd")
        return len(os.listdir(folder)) if folder.exists() else 0

    threads, files = threading.active_count(), descriptors()
    emulator = Emulator()
    assert "stopped" in repr(emulator)
    emulator.start()
    assert "running" in repr(emulator)
    assert not emulator.wait(timeout=0)
    with connected(emulator) as client:
        emulator.stop()
        client.to_the_end()
    assert client.messages[-1].text == "The system is being shut down.\n"
    emulator.stop()
    assert emulator.wait(timeout=0)
    assert (threading.active_count(), descriptors()) == (threads, files)


def test_it_can_be_started_again_on_its_port() -> None:
    emulator = Emulator()
    with emulator:
        port = emulator.port
    with emulator, connected(emulator) as client:
        assert emulator.port == port
        assert client.text("api echo again") == "again"


def test_it_listens_on_ipv6() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with Emulator(host="::1") as switch, connected(switch) as client:
        assert client.text("api echo six") == "six"


class WithoutReaders(asyncio.SelectorEventLoop):
    """A loop that can do what the one that Windows has by default can do, and no more."""

    def _missing(self, *_: object) -> Any:
        raise NotImplementedError

    add_reader = add_writer = _missing


@pytest.fixture
def no_readers() -> Iterator[None]:
    """Whoever makes an event loop, and does not say which, gets one without `add_reader`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # since Python 3.14

        class Policy(asyncio.DefaultEventLoopPolicy):
            def new_event_loop(self) -> asyncio.AbstractEventLoop:
                return WithoutReaders()

        before = asyncio.get_event_loop_policy()
        asyncio.set_event_loop_policy(Policy())
        yield
        asyncio.set_event_loop_policy(before)


def test_it_needs_no_particular_event_loop_of_the_program(no_readers: None) -> None:
    """Windows' own has no `add_reader`."""

    async def answer(call: Any) -> None:
        await call.answer()
        await call.hangup("USER_BUSY")

    async def main() -> None:
        assert isinstance(asyncio.get_running_loop(), WithoutReaders)
        with Emulator(queue_limit=10, faults=[None, None, Fault.freeze()]) as switch:
            async with eslcodec.aio.connect(switch.host, switch.port) as fs, eslcodec.aio.serve(answer) as server:
                assert (await fs.api("echo", "one")).text == "one"
                call = await asyncio.to_thread(switch.dial, "127.0.0.1", server.port)
                assert await asyncio.to_thread(call.wait) == "USER_BUSY"
                with connected(switch, "event plain ALL"):
                    await asyncio.to_thread(overrun, switch)
                assert (await fs.api("echo", "two")).text == "two"

    asyncio.run(main())


def test_channels_may_be_set_up_before_it_starts() -> None:
    emulator = Emulator()
    emulator.add_session("s1", {"a": "b"})
    with emulator, connected(emulator, "myevents s1") as client:
        assert client.text("getvar a") == "b"


def test_an_event_is_written_once_for_all_connections() -> None:
    event = SwitchEvent("DTMF", eslcodec.headers.HeaderList([("Event-Name", "DTMF")]))
    assert event.frame("json") is event.frame("json")


def test_the_fixture_is_a_running_switch(tmp_path: Path) -> None:
    (tmp_path / "test_user.py").write_text(
        "import socket\n"
        "def test_fixture(esl_switch):\n"
        "    with socket.create_connection((esl_switch.host, esl_switch.port)) as sock:\n"
        "        assert sock.recv(28) == b'Content-Type: auth/request\\n\\n'\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(eslcodec.__file__).parents[1])}
    plugin = plugin_option()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", *plugin, "-p", "no:cacheprovider", "test_user.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr
