"""What a real client wrote, written to the emulator: replies and events as in the captures."""

from __future__ import annotations

import difflib
import json
import re
import socket
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from emulated import DAY, UUID, Client, called, connected, messages_of, whole
from support import DATA, capture

import eslcodec
from eslcodec.emulator import Emulator, Later, Run, Session, User


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


def messages_at(data: bytes) -> Callable[[int], list[eslcodec.Message]]:
    """What tells the messages that were whole after so many bytes."""
    messages, ends = [], []
    decoder = eslcodec.Decoder()
    decoder.feed(data)
    for message in decoder:
        messages.append(message)
        ends.append(decoder.consumed)
    return lambda at: messages[: bisect_right(ends, at)]


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
        switch._switch.core.later(0.1, lambda: switch.hangup(session.uuid))
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
        in_time = switch._switch.core.later

        def later(seconds: float, call: Callable[[], None]) -> None:
            """Time flies, but not before the client has written what it wrote while an application ran."""
            if name in NOT_BEFORE and NOT_BEFORE[name] not in switch.commands:
                in_time(0.001, lambda: later(seconds, call))
            else:
                in_time(seconds / 20, call)

        switch._switch.core.later = later
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
            call.wait(20)
    assert_same(*[[summary(message) for message in replies_in(found)] for found in (captured, client.messages)])
    assert_same(*[happened(name, messages) for messages in (captured, client.messages)])
