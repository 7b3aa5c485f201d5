"""The emulated switch cuts and answers commands as the real command loop was seen to, by transcripts."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from emulated import connected
from support import DATA

import eslcodec
from eslcodec._json import Field
from eslcodec.emulator import Emulator, Listener, Session
from eslcodec.emulator._switch import Switch

VECTORS = [
    vector for vector in json.loads((DATA / "vectors.json").read_text("utf-8"))["vectors"] if vector["kind"] == "server"
]


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
        self.api.update({"status": lambda args: f"UP arg=[{args or '(none)'}]\n", "empty": ""})
        self.channels.fire = lambda *_args, **_keywords: None  # type: ignore[method-assign]

    def short_headers(self, name: str, function: str) -> Iterable[Field]:
        core = function == "parse_command" and name != "CHANNEL_DATA"
        return [("Event-Name", name), *([("Core-UUID", "core")] if core else [])]

    def run_console(self, text: str, then: Callable[[bytes], None]) -> None:
        then(f"console[{text}]\n".encode("latin-1"))


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_command_loop_transcript(vector: dict[str, Any]) -> None:
    switch = BareSwitch()
    session = switch.channels.add(BareSession("sess-1", {"foo": "bar"}))
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
            sent = listener.fire(switch.core.event(name, [tuple(pair.split("=", 1)) for pair in pairs]))
        assert sent.decode("latin-1") == step["server"], step
    assert listener.closing == vector["closed_at_end"]


def test_there_are_36_transcripts() -> None:
    assert len(VECTORS) == 36


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_commands_may_arrive_byte_by_byte(vector: dict[str, Any]) -> None:
    def said(size: int) -> tuple[list[bytes], list[bytes]]:
        switch = BareSwitch()
        session = switch.channels.add(BareSession("sess-1", {"foo": "bar"}))
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
