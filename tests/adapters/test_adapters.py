"""The adapters inside the real clients, before and after `install`, and inside modules that look like them or do not.

A client runs in a process of its own (adapters_client.py), against our emulator or a server that sends given bytes. If
it is not installed, what needs it is skipped; ESLCODEC_TEST_REQUIRE_CLIENT=greenswitch (or genesis, or switchio) makes
its absence a failure.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import io
import json
import os
import pickle
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections import UserDict
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import (
    ACCEPTED,
    AUTH,
    OK,
    capture,
    examples,
    frame,
    naive_frames,
    naive_pairs,
    naive_payload,
    naive_unquote,
    plain,
    until,
)

from eslcodec import InvalidContentLength
from eslcodec.adapters import UnknownClient
from eslcodec.emulator import Emulator, Fault

CLIENTS = ("greenswitch", "genesis", "switchio")
PROGRAM = Path(__file__).parents[1] / "adapters_client.py"
END = plain(b"Event-Name: CUSTOM\nEvent-Subclass: test%3A%3Aend\n\n")

Headers = dict[str, Any]
Shown = tuple[Headers, "str | None"]  # an event: its headers, its body


# What runs a client


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> str:
    """Each client that is installed."""
    name: str = request.param
    return need(name)


def need(name: str) -> str:
    if importlib.util.find_spec(name) is None:
        if os.environ.get("ESLCODEC_TEST_REQUIRE_CLIENT") == name:
            pytest.fail(f"{name} is not installed")
        pytest.skip(f"{name} is not installed")
    return name


def started(
    client: str, port: int, *, install: bool = True, until: int | None = None, path: Path | None = None, **task: Any
) -> Any:
    """A process in which the client does a task at this port; it is looked for in `path` first."""
    environment = {**os.environ, **({"PYTHONPATH": str(path)} if path else {})}
    task = {"together": [], "commands": [], "patience": 20, "stop": False} | task
    task |= {"client": client, "port": port, "install": install, "until": until}
    arguments = [sys.executable, str(PROGRAM), json.dumps(task)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def result(process: Any) -> dict[str, Any]:
    """What the client's user saw."""
    with process:
        try:
            printed, errors = process.communicate(timeout=90)
        finally:
            process.kill()
    assert process.returncode == 0, errors
    seen: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return seen


def run(client: str, port: int, **task: Any) -> dict[str, Any]:
    return result(started(client, port, **task))


def events_of(client: str, stream: bytes, *, install: bool = True, fault: Fault | None = None) -> list[Shown]:
    """The events that the client makes of a stream that the emulator replays, and of END behind it."""
    count = len(naive_frames(stream))
    with Emulator(replay=stream + END, fault=fault) as switch:
        seen = run(client, switch.port, install=install, until=count + 1, commands=["event plain ALL"])
    assert len(seen["events"]) == count + 1
    return [(headers, body) for headers, body in seen["events"][:-1]]


def event_of(client: str, payload: bytes) -> Shown:
    """The event that the client makes of a plain payload."""
    (event,) = events_of(client, plain(payload))
    return event


class Wire:
    """A server that logs one client in, sends it given bytes once it has said `event`, and then perhaps no more."""

    def __init__(self, data: bytes, *, close: bool = False) -> None:
        self._data = data
        self._close = close

    def __enter__(self) -> Wire:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(10)
        self._listening.close()

    def _serve(self) -> None:
        connection, _ = self._listening.accept()
        with connection, suppress(ConnectionError), connection.makefile("rb") as commands:
            connection.sendall(AUTH)
            for line in commands:
                if line.startswith(b"auth "):
                    connection.sendall(ACCEPTED)
                elif line.startswith(b"event "):
                    connection.sendall(OK + self._data)
                    if self._close:
                        connection.shutdown(socket.SHUT_WR)


def wire_events(client: str, data: bytes, count: int) -> list[Shown]:
    """The first events that the client makes of given bytes."""
    with Wire(data) as server:
        seen = run(client, server.port, until=count, commands=["event plain ALL"])
    return [(headers, body) for headers, body in seen["events"]]


# Captured streams


@lru_cache
def captured(name: str) -> bytes:
    """The plain events and the log lines of a capture, at most 300."""
    frames = [block + (body or b"") for block, body in naive_frames(capture(name)) if is_replayed(block)]
    return b"".join(frames[:300])


def is_replayed(block: bytes) -> bool:
    return b"Content-Type: text/event-plain" in block or b"Content-Type: log/data" in block


def text(data: bytes | str) -> str:
    raw = data if isinstance(data, bytes) else data.encode("utf-8", "surrogateescape")
    return raw.decode("utf-8", "replace")


def listed(pairs: list[tuple[str, str]]) -> Headers:
    """Pairs as genesis has them: a list for a repeated name."""
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(text(name), []).append(text(value))
    return {name: found if len(found) > 1 else found[0] for name, found in values.items()}


def last(pairs: list[tuple[str, str]]) -> Headers:
    """Pairs as greenswitch and switchio have them: the last of a repeated name."""
    return {text(name): text(value) for name, value in pairs}


def expected(client: str, block: bytes, body: bytes | None) -> Shown:
    """What a client with its adapter makes of a frame, in the plainest way."""
    mapping = listed if client == "genesis" else last
    pairs, rest = naive_payload(body or b"") if b"text/event-plain" in block else ([], body)
    shown = text(rest) if rest else None
    if client == "switchio" and shown is not None and not shown.endswith("\n"):
        shown += "\n"
    return mapping(naive_pairs(block)) | mapping(pairs), shown


@pytest.mark.parametrize(
    "name", ["sip_plain", "churn_plain", "special_plain", "log_and_events", "log_events", "bgapi_plain", "sendevent"]
)
def test_a_client_with_its_adapter_gets_every_event_of_a_captured_stream_as_the_switch_sent_it(client, name):
    stream = captured(name)
    wanted = [expected(client, block, body) for block, body in naive_frames(stream)]
    assert events_of(client, stream) == wanted


@pytest.mark.parametrize("name", ["sip_plain", "churn_plain", "special_plain", "log_and_events", "bgapi_plain"])
def test_nothing_changes_for_the_user_of_genesis(name):
    before, after = events_of(need("genesis"), captured(name), install=False), events_of("genesis", captured(name))
    assert after == before


@pytest.mark.parametrize("name", ["sip_plain", "churn_plain", "special_plain", "log_and_events"])
def test_nothing_changes_for_the_user_of_greenswitch_but_bodies_and_the_ends_of_lines(name):
    before, after = (
        events_of(need("greenswitch"), captured(name), install=False),
        events_of("greenswitch", captured(name)),
    )
    for (headers_before, body_before), (headers, body) in zip(before, after, strict=True):
        if body != body_before:  # it was the rest of the last header, and further ones
            assert body_before is None
            assert headers_before.pop("Content-Length") != headers.pop("Content-Length")
            headers_before = {name: value for name, value in headers_before.items() if name in headers}
        assert headers_before == {name: "\n".join(value.splitlines()).strip() for name, value in headers.items()}


@pytest.mark.parametrize("name", ["sip_plain", "churn_plain"])
def test_nothing_changes_for_the_user_of_switchio_but_the_ends_of_lines(name):
    before, after = events_of(need("switchio"), captured(name), install=False), events_of("switchio", captured(name))

    def without_line_ends(event: Shown) -> Shown:
        return {name: re.sub(r"[\r\n]", "", value).rstrip() for name, value in event[0].items()}, event[1]

    assert list(map(without_line_ends, after)) == list(map(without_line_ends, before))


# What was wrong


def test_a_percent_encoded_line_end_in_a_callers_name_forges_nothing(client):
    payload = (
        b"Event-Name: CHANNEL_CREATE\nCaller-Caller-ID-Name: x%0AEvent-Name: FORGED%0A%0AContent-Length: 5\nA: b\n\n"
    )
    headers, body = event_of(client, payload)
    assert headers["Event-Name"] == "CHANNEL_CREATE"
    assert headers["Caller-Caller-ID-Name"] == "x\nEvent-Name: FORGED\n\nContent-Length: 5"
    assert headers["A"] == "b"
    assert body is None


def test_a_value_keeps_its_line_ends(client):
    payload = b"Event-Name: X\nvariable_sdp: v%3D0%0D%0As%3D-%0D%0A\nLast: %20y%0A\n\n"
    headers, _ = event_of(client, payload)
    assert headers["variable_sdp"] == "v=0\r\ns=-\r\n"
    assert headers["Last"] == " y\n"


def test_a_body_is_neither_read_as_headers_nor_as_frames(client):
    body = b"A: forged\nplain\n\n" + END + b"%41: \xc3\xa9\r\nContent-Length: 7\n\n"
    head = b"Event-Name: BACKGROUND_JOB\nA: real\nContent-Length: %d\n\n" % len(body)
    headers, shown = event_of(client, head + body)
    assert headers["A"] == "real"
    assert headers["Content-Length"] == str(len(body))
    assert set(headers) == {"Event-Name", "A", "Content-Length", "Content-Type"}
    assert shown == body.decode()


def test_a_log_line_with_header_lines_in_it_is_a_body(client):
    line = b"[DEBUG] Content-Type: api/response\nContent-Length: 5\n\nx\n"
    ((headers, body),) = events_of(client, frame(b"Content-Type: log/data\nLog-Level: 7\nUser-Data: ", line))
    assert headers == {"Content-Type": "log/data", "Log-Level": "7", "User-Data": "", "Content-Length": str(len(line))}
    assert body == line.decode()


def test_bytes_that_are_not_utf_8_are_replaced_and_nothing_is_lost(client):
    payload = b"Event-Name: X\nA: %FF%C3%A9\nB: \xff\nContent-Length: 2\n\n\xfe!"
    (headers, body), (line, message) = events_of(client, plain(payload) + frame(b"Content-Type: log/data", b"\xff\n"))
    assert (headers["A"], headers["B"]) == ("\ufffdé", "\ufffd")
    assert body is not None
    assert body.rstrip("\n") == "\ufffd!"
    assert (line["Content-Type"], message) == ("log/data", "\ufffd\n")


def test_text_that_is_not_ascii_shifts_nothing(client):
    one = b"Event-Name: X\nvariable_n\xc3\xa4me: caf\xc3\xa9\n\n"
    events = events_of(client, plain(one) * 3)
    assert [headers["variable_näme"] for headers, _ in events] == ["café"] * 3


def test_a_value_goes_on_in_the_next_line(client):
    payload = b"Event-Name: X\nvariable_sdp: v=0\no=- 1 1 IN IP4\na=rtpmap:0 PCMU/8000\na=X-nat:0\nLast: y\n\n"
    headers, _ = event_of(client, payload)
    ending = "\n" if client == "switchio" else ""  # its own way
    assert headers["variable_sdp"] == "v=0\no=- 1 1 IN IP4\na=rtpmap:0 PCMU/8000\na=X-nat:0" + ending
    assert headers["Last"] == "y"


def test_a_value_goes_on_in_the_next_line_even_if_that_has_a_colon(client):
    headers, _ = event_of(client, b"Event-Name: X\nvariable_sdp: v=0\na=rtpmap:0 PCMU/8000\nLast: y\n\n")
    assert headers["variable_sdp"].rstrip("\n") == "v=0\na=rtpmap:0 PCMU/8000"
    assert headers["Last"] == "y"


def test_of_repeated_names_the_client_keeps_what_it_kept(client):
    headers, _ = event_of(client, b"Event-Name: COMMAND\nEvent-Name: PRIVATE_COMMAND\nA: 1\nA: 2\nA: 3\n\n")
    names, values = (["COMMAND", "PRIVATE_COMMAND"], ["1", "2", "3"])
    assert headers["Event-Name"] == (names if client == "genesis" else names[-1])
    assert headers["A"] == (values if client == "genesis" else values[-1])


def test_outer_headers_are_percent_decoded(client):
    data = b"Content-Type: text/disconnect-notice\nContent-Disposition: linger\nChannel-Name: a%20b%0Ac: d\n\n" + END
    events = wire_events(client, data, 2)
    assert events[0][0]["Channel-Name"] == "a b\nc: d"
    assert events[1][0]["Event-Subclass"] == "test::end"


def test_events_behind_a_linger_notice_arrive(client):
    notice = (
        b"Content-Type: text/disconnect-notice\nContent-Disposition: linger\nLinger-Time: -1\nContent-Length: 0\n\n"
    )
    events = wire_events(client, notice + END * 2, 3)
    assert [headers.get("Event-Subclass") for headers, _ in events] == [None, "test::end", "test::end"]


def test_the_body_of_a_notice_does_not_become_a_header_of_the_next_frame(client):
    notice = frame(b"Content-Type: text/disconnect-notice\nContent-Disposition: linger", b"Bye: now\n")
    events = wire_events(client, notice + END, 2)
    assert "Bye" not in events[0][0]
    assert events[1][0]["Event-Subclass"] == "test::end"
    assert "Bye" not in events[1][0]


def test_line_ends_before_a_frame_and_cr_lf_are_accepted(client):
    data = b"\n\r\n" + END.replace(b"plain\n\n", b"plain\r\n\r\n").replace(b"\nContent", b"\r\nContent")
    events = wire_events(client, data, 1)
    assert events[0][0]["Event-Subclass"] == "test::end"


def test_two_thousand_events_in_one_chunk_all_arrive(client):
    assert len(events_of(client, plain(b"Event-Name: X\nEvent-Sequence: 1\n\n") * 2000)) == 2000


def test_it_makes_no_difference_where_a_stream_is_cut(client):
    stream = plain("Event-Name: X\nA: 1%0A2\nB: é\nContent-Length: 3\n\né\n".encode()) + captured("log_events")[:700]
    stream = b"".join(block + (body or b"") for block, body in naive_frames(stream))
    assert events_of(client, stream, fault=Fault.drip(1, every=0.0001)) == events_of(client, stream)


def test_a_large_body_arrives_whole(client):
    body = b"row, 1: 2\n" * 419_430 + b"the end\n"
    head = b"Event-Name: BACKGROUND_JOB\nContent-Length: %d\n\n" % len(body)
    _, shown = event_of(client, head + body)
    assert shown == body.decode()


def test_names_are_as_on_the_wire(client):
    headers, _ = event_of(client, b"Event-Name: X\nvariable_50%25: 50%25\nvariable_a:b: c\n\n")
    assert (headers["variable_50%25"], headers["variable_a:b"]) == ("50%", "c")


def test_blanks_at_the_ends_of_a_value_stay(client):
    headers, _ = event_of(client, b"Event-Name: X\nA:  b \nC: %20d%20\n\n")
    assert (headers["A"], headers["C"]) == (" b ", " d ")


def test_a_header_line_may_be_long(client):
    events = wire_events(client, b"X-Long: " + b"x" * 300_000 + b"\n" + END, 1)
    assert len(events[0][0]["X-Long"]) == 300_000


def test_a_value_of_many_lines_arrives_whole(client):
    lines = [f"line {number}" for number in range(50_000)]
    headers, _ = event_of(client, "Event-Name: X\nA: {}\n\n".format("\n".join(lines)).encode())
    assert headers["A"].splitlines() == lines


def test_only_line_feeds_end_lines(client):
    value = "a\x0bB: c\x1cD: e\x85F: g\u2028H: i"
    headers, _ = event_of(client, f"Event-Name: X\nA: {value}\nLast: y\n\n".encode())
    assert (headers["A"], headers["Last"]) == (value, "y")


def test_a_body_begins_at_a_blank_line_of_cr_lf(client):
    headers, body = event_of(client, b"Event-Name: X\r\nContent-Length: 12\r\n\r\nA: 1\r\n\r\nB: 2\n")
    assert (headers["Event-Name"], headers["Content-Length"], body) == ("X", "12", "A: 1\r\n\r\nB: 2\n")


def test_where_the_headers_of_the_frame_stand(client):
    headers, _ = event_of(client, b"Event-Name: X\nA: 1\n\n")
    assert list(headers) == ["Event-Name", "A", "Content-Length", "Content-Type"]


# Commands


def answer(client: str, reply: Shown) -> str | None:
    """What a command's reply says: the output of an api command, or the Reply-Text."""
    headers, body = reply
    return headers["Reply-Text"] if headers["Content-Type"] == "command/reply" else body


def test_a_large_api_response_arrives_whole_and_events_go_on_behind_it(client):
    output = "row: 1, é\n" * 400_000
    with Emulator(replay=END) as switch:
        switch.api["big"] = lambda args: output
        seen = run(client, switch.port, until=1, commands=["api big", "event plain ALL"])
    assert answer(client, seen["replies"][0]) == output
    assert answer(client, seen["replies"][1]) == "+OK event listener enabled plain"
    assert seen["events"][0][0]["Event-Subclass"] == "test::end"


@pytest.mark.parametrize("install", [False, True])
def test_commands_are_answered_in_order_while_events_come(client, install):
    stream = captured("churn_plain")
    count = len(naive_frames(stream))
    with Emulator(replay=stream) as switch:
        switch.api["echo"] = lambda args: f"{args}\n"
        api = [f"api echo {number}" for number in range(20)]
        seen = run(client, switch.port, install=install, until=count, together=["event plain ALL", *api])
    assert [answer(client, reply) for reply in seen["replies"][1:]] == [f"{number}\n" for number in range(20)]
    assert len(seen["events"]) == count


def test_a_background_job_is_answered_twice(client):
    with Emulator() as switch:
        switch.api["work"] = lambda args: f"+OK {args}\n"
        seen = run(client, switch.port, until=1, commands=["event plain BACKGROUND_JOB", "bgapi work hard"])
    (headers, body) = seen["events"][0]
    assert headers["Event-Name"] == "BACKGROUND_JOB"
    assert headers["Job-UUID"] == seen["replies"][1][0]["Job-UUID"]
    assert body == "+OK hard\n"


# How connections end


@pytest.mark.parametrize(
    "rest",
    [b"", END[:20], END[:-5], b"Content-Length: 5x\n\n", b"Content-Length: 99999999999\n\n"],
    ids=["between frames", "in a header block", "in a body", "no length", "too large"],
)
def test_the_end_of_a_connection_is_the_clients_own_wherever_it_comes(client, rest):
    with Wire(END + rest, close=True) as server:
        seen = run(client, server.port, commands=["event plain ALL"], stop=True)
    assert seen["ended"]
    assert len(seen["events"]) <= 1  # greenswitch hands nothing on once it has seen the end


def test_a_frame_that_cannot_be_framed_ends_an_open_connection(client):
    with Wire(b"Content-Type: text/event-plain\nContent-Length: 5x\n\n") as server:
        assert run(client, server.port, commands=["event plain ALL"], stop=True)["ended"]


def test_greenswitch_stops_as_before():
    need("greenswitch")
    with Emulator() as switch:
        seen = run("greenswitch", switch.port, until=0, commands=["api status"], stop=True)
        switch.wait_for(lambda: not switch.listeners)
    assert len(seen["replies"]) == 1


# Other formats


def test_greenswitch_reads_events_in_other_formats():
    payload = b'{"Event-Name":"X","A":"b: c","L":["1","2"],"_body":"text"}'
    json_event = frame(b"Content-Type: text/event-json", payload)
    xml_event = frame(b"Content-Type: text/event-xml", b"<event><headers><A>%20b</A></headers><body>t</body></event>")
    broken = frame(b"Content-Type: text/event-json", b'{"A": ')
    one, other, third = events_of(need("greenswitch"), json_event + xml_event + broken)
    assert (one[0]["Event-Name"], one[0]["A"], one[0]["L"], one[1]) == ("X", "b: c", "ARRAY::1|:2", "text")
    assert (other[0]["A"], other[1]) == (" b", "t")
    assert third == ({"Content-Type": "text/event-json", "Content-Length": "6"}, '{"A": ')


@pytest.mark.parametrize("name", ["genesis", "switchio"])
def test_events_in_other_formats_are_text(name):
    payload = b'{"Event-Name":"X","A":"b: c%20d"}\n'
    xml = b"<event>\n\n<A>b: c</A>\n</event>\n"
    events = events_of(
        need(name), frame(b"Content-Type: text/event-json", payload) + frame(b"Content-Type: text/event-xml", xml)
    )
    assert [body for _, body in events] == [payload.decode(), xml.decode()]
    assert [set(headers) for headers, _ in events] == [{"Content-Type", "Content-Length"}] * 2


@pytest.mark.parametrize("install", [False, True])
def test_genesis_takes_events_apart_that_an_event_lock_glued_together(install):
    payload = b"Event-Name: COMMAND\nevent-lock: true\nA: 1\nEvent-Name: PRIVATE_COMMAND\nB: 2%20\n\n"
    need("genesis")
    with Wire(plain(payload)) as server:
        seen = run("genesis", server.port, install=install, until=2, commands=["event plain ALL"])
    assert [headers["Event-Name"] for headers, _ in seen["events"]] == ["COMMAND", "PRIVATE_COMMAND"]
    assert [headers.get("B") for headers, _ in seen["events"]] == [None, "2 "]


def test_genesis_continues_a_repeated_value_that_goes_on():
    headers, _ = event_of(need("genesis"), b"Event-Name: X\nA: 1\nA: 2\n3\n\n")
    assert headers["A"] == ["1", "2\n3"]


@pytest.mark.parametrize("install", [False, True])
def test_a_consumer_of_genesis_gets_what_it_handles(install):
    need("genesis")
    with Emulator(replay=plain(b"Event-Name: HEARTBEAT\nUp-Time: 0%20s\n\n") * 3) as switch:
        seen = run("genesis consumer", switch.port, install=install, until=3)
    assert [headers["Up-Time"] for headers, _ in seen["events"]] == ["0 s"] * 3


@pytest.mark.parametrize("install", [False, True])
def test_an_outbound_server_of_greenswitch_plays_to_a_caller(install):
    need("greenswitch")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = started("greenswitch outbound", port, install=install)
    with Emulator() as switch:
        switch.applications["playback"] = 0.01

        def dial() -> Any:
            with suppress(ConnectionRefusedError):
                return switch.dial("127.0.0.1", port, variables={"uuid": "u 1"})

        call = until(dial, 30)
        told = result(process)
        assert call.wait() == "NORMAL_CLEARING"
    assert told["answer"] == "+OK"
    assert told["played"] == ["CHANNEL_EXECUTE_COMPLETE", "playback", "one.wav"]
    assert told["caller"][1:] == ["u 1", "+OK"]


def test_genesis_hands_events_to_handlers():
    need("genesis")
    with Wire(END * 3) as server:
        assert run("genesis", server.port, until=3, commands=["event plain ALL"])["handled"] >= 2


def changes_that_switchio_needs() -> list[list[str]]:
    """File, what stands there, what has to stand there: from the table in the docstring of the adapter."""
    _, table = adapter("switchio").__doc__.split("what has to stand there\n")
    return [re.split(r" {2,}", line.strip()) for line in table.strip().splitlines()]


@pytest.mark.parametrize("install", [False, True])
def test_switchio_runs_on_this_python_with_the_changes_that_the_adapter_names(install, tmp_path):
    need("switchio")
    spec = importlib.util.find_spec("switchio")
    assert spec is not None
    assert spec.origin is not None
    shutil.copytree(Path(spec.origin).parent, tmp_path / "switchio")
    for name, old, new in changes_that_switchio_needs():
        file = tmp_path / "switchio" / name
        text = file.read_text()
        assert text.count(old) == 1
        file.write_text(text.replace(old, new))
    call = {"Unique-ID": "u1", "Call-Direction": "inbound"}
    with Emulator() as switch:
        process = started("switchio listener", switch.port, install=install, path=tmp_path)
        switch.wait_for(lambda: any(command.startswith("event") for command in switch.commands), 30)
        for name in ("HEARTBEAT", "CHANNEL_CREATE", "CHANNEL_ANSWER"):
            switch.fire(name, call)
        told = result(process)
    assert told == {"handled": True, "resumed": True, "replied": True, "arguments": [["a"], ["b"]]}


def test_switchio_does_not_run_on_this_python_as_it_is():
    need("switchio")
    connect = "import switchio.protocol as p; p.InboundProtocol('h', 'p', None)"
    install = "from eslcodec.adapters import switchio; switchio.install(); "
    for code in (connect, install + connect):
        done = subprocess.run([sys.executable, "-c", code], cwd="/", capture_output=True, text=True)
        error = "AttributeError: module 'asyncio'" if sys.version_info >= (3, 11) else "TypeError: "
        assert f"\n{error}" in done.stderr
    hint = (
        "\nswitchio 0.1.0a1 itself needs changes on Python 3.10 and later: help(eslcodec.adapters.switchio) lists them"
    )
    assert (hint in done.stderr) is (sys.version_info >= (3, 11))


def test_a_client_that_cannot_be_imported_says_why(tmp_path):
    """As switchio since Python 3.11; with a hint if there is one, which notes need 3.11 for."""
    from eslcodec.adapters._client import Client

    (tmp_path / "eslcodec_test_broken.py").write_text("import asyncio\nasyncio.nothing\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        for hint in ("", "see there"):
            with pytest.raises(AttributeError, match="nothing") as caught:
                Client("eslcodec_test_broken", "1", [], hint).install()
            notes = [hint] if hint and sys.version_info >= (3, 11) else []
            assert getattr(caught.value, "__notes__", []) == notes


@pytest.mark.parametrize("imported", ["before", "after"])
def test_uninstall_puts_back_exactly_what_was_there(client, imported):
    assert run(client, 0, check=imported) == {"replaced": True, "again": True, "restored": True}


# Without the clients: modules that look like them inside, as far as the adapters go


def made_modules(**contents: dict[str, Any]) -> dict[str, ModuleType]:
    """Modules, and the packages that they are in; `__` in a name is a dot."""
    modules: dict[str, ModuleType] = {}
    for name, attributes in contents.items():
        dotted = name.replace("__", ".")
        for end in [at for at, char in enumerate(dotted) if char == "."]:
            modules.setdefault(dotted[:end], ModuleType(dotted[:end]))
        modules[dotted] = ModuleType(dotted)
        vars(modules[dotted]).update(attributes)
    for name, module in modules.items():
        module.__path__ = []  # or nothing can be imported from it
        package, _, last_part = name.rpartition(".")
        if package:
            setattr(modules[package], last_part, module)
    return modules


def like_greenswitch() -> dict[str, ModuleType]:
    class ESLEvent:
        headers: dict[str, str]
        data: str

        def __init__(self, data: str) -> None:
            self.headers = {}
            self.parse_data(data)

        def parse_data(self, data: str) -> None: ...

    class ESLProtocol:
        def __init__(self, sock_file: Any) -> None:
            self.sock_file = sock_file
            self.sock = SimpleNamespace(close=lambda: None)
            self.connected = self._run = True
            self.events: list[ESLEvent] = []

        def receive_events(self) -> None: ...

        @staticmethod
        def _read_socket(sock: Any, length: int) -> str:
            raise AssertionError("bodies have been read")

        def handle_event(self, event: ESLEvent) -> None:
            if event.headers["Content-Type"].startswith("text/event-"):
                event.parse_data(self._read_socket(self.sock_file, int(event.headers["Content-Length"])))
            elif "Content-Length" in event.headers:
                event.data = self._read_socket(self.sock_file, int(event.headers["Content-Length"]))
            self.events.append(event)

    return made_modules(greenswitch__esl={"ESLEvent": ESLEvent, "ESLProtocol": ESLProtocol})


def like_genesis() -> dict[str, ModuleType]:
    class ESLEvent(UserDict):  # type: ignore[type-arg]
        body: str | None = None

    class Protocol:
        reader: asyncio.StreamReader | None = None
        _pending_loss_reason: str | None = None

        def __init__(self) -> None:
            self.is_connected = True
            self.events: asyncio.Queue[Any] = asyncio.Queue()

        async def handler(self) -> None: ...

        async def _signal_reader_done(self) -> None:
            await self.events.put(self._pending_loss_reason)

    class ESLReaderFSM:
        def process_headers(self, header_block: str) -> None: ...

        def process_body(self, raw_body: bytes) -> list[Any]:
            return ["first", "second"]

    def parse_headers(payload: str) -> None: ...
    def _header_attr_name(key: str) -> str:
        return key.lower()

    errors: list[str] = []
    logger = SimpleNamespace(trace=lambda *_: None, error=errors.append)
    return made_modules(
        genesis__observability={"logger": logger, "errors": errors},
        genesis__protocol__parser={"ESLEvent": ESLEvent, "parse_headers": parse_headers},
        genesis__protocol__base={"Protocol": Protocol},
        genesis__protocol__reader_fsm={"ESLReaderFSM": ESLReaderFSM, "parse_headers": parse_headers},
        genesis__protocol__telemetry={"_header_attr_name": _header_attr_name},
        genesis__channel={"parse_headers": parse_headers},
    )


def like_genesis_before_2026_10() -> dict[str, ModuleType]:
    """It tells nobody that a connection has ended, and `parse_headers` is bound elsewhere."""
    modules = like_genesis()
    base, channel = vars(modules["genesis.protocol.base"]), vars(modules["genesis.channel"])
    base["parse_headers"] = channel.pop("parse_headers")
    del base["Protocol"]._signal_reader_done, base["Protocol"]._pending_loss_reason
    return modules


def like_switchio() -> dict[str, ModuleType]:
    class InboundProtocol:
        transport: object = None

        def __init__(self) -> None:
            self.lines: list[str] = []
            self.log = SimpleNamespace(isEnabledFor=lambda _: True, log=lambda _, line: self.lines.append(line))
            self.events: list[dict[str, str]] = []

        def data_received(self, data: bytes) -> None: ...

        def process_events(self, events: list[dict[str, str]], parsed: str) -> None:
            self.events += events

    return made_modules(switchio__protocol={"InboundProtocol": InboundProtocol})


LIKE: dict[str, Callable[[], dict[str, ModuleType]]] = {
    "greenswitch": like_greenswitch,
    "genesis": like_genesis,
    "switchio": like_switchio,
}
# One function of each that an adapter needs: module, class or module, name.
NEEDED = {
    "greenswitch": ("greenswitch.esl", "ESLProtocol", "handle_event"),
    "genesis": ("genesis.channel", "", "parse_headers"),
    "switchio": ("switchio.protocol", "InboundProtocol", "process_events"),
}


def adapter(name: str) -> ModuleType:
    return importlib.import_module(f"eslcodec.adapters.{name}")


@pytest.fixture(params=CLIENTS)
def alike(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The name of a client; modules like its own can be imported."""
    name: str = request.param
    pretend(name, monkeypatch)
    yield name
    adapter(name).uninstall()


def pretend(name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    for imported in [module for module in sys.modules if module.split(".")[0] == name]:
        monkeypatch.delitem(sys.modules, imported)
    modules = LIKE[name]()
    for dotted, module in modules.items():
        monkeypatch.setitem(sys.modules, dotted, module)
    return modules


def inside(name: str) -> dict[tuple[str, ...], Any]:
    """Everything in the modules of a client, and in their classes."""
    found: dict[tuple[str, ...], Any] = {}
    for module in [module for dotted, module in sys.modules.items() if dotted.split(".")[0] == name]:
        for key, value in vars(module).items():
            found[module.__name__, key] = value
            if isinstance(value, type):
                found.update({(module.__name__, key, attribute): raw for attribute, raw in vars(value).items()})
    return found


def test_install_replaces_once_and_uninstall_puts_back(alike):
    before = inside(alike)
    adapter(alike).uninstall()  # nothing to do
    assert adapter(alike).install() is None
    after = inside(alike)
    assert any(before.get(where) is not value for where, value in after.items())
    adapter(alike).install()
    assert all(after[where] is value for where, value in inside(alike).items())
    assert adapter(alike).uninstall() is None
    restored = inside(alike)
    assert restored.keys() == before.keys()
    assert all(before[where] is value for where, value in restored.items())


@pytest.mark.parametrize("change", ["gone", "no function", "other parameters"])
def test_a_client_that_looks_otherwise_is_refused_and_left_alone(alike, change):
    module, owner, name = NEEDED[alike]
    place = getattr(sys.modules[module], owner) if owner else sys.modules[module]
    if change == "gone":
        delattr(place, name)
    else:
        setattr(place, name, 8021 if change == "no function" else lambda self, other: None)
    before = inside(alike)
    with pytest.raises(UnknownClient) as caught:
        adapter(alike).install()
    assert inside(alike) == before
    error = caught.value
    assert (error.client, error.known) == (alike, adapter(alike)._CLIENT.known)
    for part in (alike, error.found, error.known, f"{module}.{owner}.{name}".replace("..", ".")):
        assert part in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_client_whose_modules_lie_elsewhere_is_refused(alike, monkeypatch):
    monkeypatch.delitem(sys.modules, NEEDED[alike][0])
    with pytest.raises(UnknownClient, match=r"there is no"):
        adapter(alike).install()


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_that_is_not_installed_is_an_import_error(name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=name):
        adapter(name).install()


def test_importing_the_adapters_imports_no_client():
    names = ", ".join(f"eslcodec.adapters.{name}" for name in CLIENTS)
    code = f"import sys, {names}; assert not {set(CLIENTS)} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd="/", check=True)


STREAM = (
    b"Content-Type: command/reply\nReply-Text: +OK%20a\nmore\n\n"
    + plain(b"Event-Name: X\nA: 1\nA: \xff\nContent-Length: 5\n\nB: 2\n")
    + plain(b"Event-Name: Y\nC: %FF\n\n")
    + plain(b"Event-Name: Z\nC: %C3%A9\nC: 2\nC: 3\n\n")
    + END
    + frame(b"Content-Type: log/data\nLong: " + b"x" * 200, b"line\n")
    + frame(b"Content-Type: text/event-json", b'{"D":"1"}')
    + frame(b"Content-Type: text/event-json", b'{"D')
)


def test_what_looks_like_greenswitch_gets_its_events(monkeypatch):
    module = pretend("greenswitch", monkeypatch)["greenswitch.esl"]
    adapter("greenswitch").install()
    protocol = module.ESLProtocol(io.BufferedReader(io.BytesIO(STREAM)))  # type: ignore[arg-type]
    protocol.receive_events()
    broken = module.ESLProtocol(io.BufferedReader(io.BytesIO(b"Content-Length: x\n\n")))  # type: ignore[arg-type]
    broken.receive_events()
    stopped = module.ESLProtocol(io.BufferedReader(io.BytesIO(STREAM)))  # type: ignore[arg-type]
    stopped.handle_event = lambda event: vars(stopped).update(_run=False)
    stopped.receive_events()
    gone = module.ESLProtocol(io.BufferedReader(io.BytesIO()))  # type: ignore[arg-type]
    gone.connected = False  # a notice has said so
    gone.receive_events()
    direct = module.ESLEvent("\n A : 1\nB: 2 \n 3\n").headers
    adapter("greenswitch").uninstall()
    shown = [(event.headers, getattr(event, "data", None)) for event in protocol.events]
    plain_type = {"Content-Type": "text/event-plain"}
    assert shown[:5] == [
        ({"Content-Type": "command/reply", "Reply-Text": "+OK a\nmore"}, None),
        ({"Event-Name": "X", "A": "\ufffd", "Content-Length": "5"} | plain_type, "B: 2\n"),
        ({"Event-Name": "Y", "C": "\ufffd", "Content-Length": "22"} | plain_type, None),
        ({"Event-Name": "Z", "C": "3", "Content-Length": "35"} | plain_type, None),
        ({"Event-Name": "CUSTOM", "Event-Subclass": "test::end", "Content-Length": "50"} | plain_type, None),
    ]
    assert [(headers.get("D"), data) for headers, data in shown[5:]] == [(None, "line\n"), ("1", None), (None, '{"D')]
    assert (protocol.connected, protocol._run, broken.connected, broken._run) == (False, False, False, False)
    assert (stopped.connected, gone._run) == (True, True)
    assert direct == {"A": "1", "B": "2 \n 3"}


def test_what_looks_like_genesis_gets_its_events(monkeypatch):
    modules = pretend("genesis", monkeypatch)
    adapter("genesis").install()

    async def handle(data: bytes) -> list[Any]:
        protocol = modules["genesis.protocol.base"].Protocol()
        await protocol.handler()  # without a reader
        protocol.reader = asyncio.StreamReader()
        protocol.reader.feed_data(data)
        protocol.reader.feed_eof()
        await protocol.handler()
        return [protocol.events.get_nowait() for _ in range(protocol.events.qsize())]

    lock = plain(b"Event-Name: A\nevent-lock: true\nEvent-Name: B\n\n")
    *events, eof = asyncio.run(handle(STREAM + lock))
    truncated = asyncio.run(handle(b"Content-"))
    broken = asyncio.run(handle(b"Content-Length: x\n\n"))
    dump = modules["genesis.channel"].parse_headers("A: 1\nA: 2\n")
    attribute = modules["genesis.protocol.telemetry"]._header_attr_name("X")
    items = [list(event.items())[:2] for event in (events[1], events[3])]
    adapter("genesis").uninstall()
    assert (events[-2:], eof, truncated, broken) == (["first", "second"], "eof", ["truncated"], ["eof"])
    assert modules["genesis.observability"].errors == [
        "Error reading from stream. read Content-Length 'x', expected ASCII digits"
    ]
    assert items[0] == [("Event-Name", "X"), ("A", ["1", "\ufffd"])]
    assert items[1] == [("Event-Name", "Z"), ("C", ["é", "2", "3"])]
    assert [event.body for event in events[:-2]] == [None, "B: 2\n", None, None, None, "line\n", '{"D":"1"}', '{"D']
    assert (dump, attribute) == ({"A": ["1", "2"]}, "x")


def test_what_looks_like_the_genesis_before_gets_its_events(monkeypatch):
    monkeypatch.setitem(LIKE, "genesis", like_genesis_before_2026_10)
    modules = pretend("genesis", monkeypatch)
    before = inside("genesis")
    adapter("genesis").install()

    async def handle(data: bytes) -> list[Any]:
        protocol = modules["genesis.protocol.base"].Protocol()
        await protocol.handler()  # without a reader
        protocol.reader = asyncio.StreamReader()
        protocol.reader.feed_data(data)
        protocol.reader.feed_eof()
        await protocol.handler()
        assert not protocol.is_connected
        assert "_pending_loss_reason" not in vars(protocol)
        return [protocol.events.get_nowait() for _ in range(protocol.events.qsize())]

    events = asyncio.run(handle(STREAM))
    broken = asyncio.run(handle(END + b"Content-Length: x\n\n"))
    dump = modules["genesis.protocol.base"].parse_headers("A: 1\nA: 2\n")
    adapter("genesis").uninstall()
    assert [event.body for event in events] == [None, "B: 2\n", None, None, None, "line\n", '{"D":"1"}', '{"D']
    assert [event.data["Event-Subclass"] for event in broken] == ["test::end"]
    assert dump == {"A": ["1", "2"]}
    restored = inside("genesis")
    assert restored.keys() == before.keys()
    assert all(before[where] is value for where, value in restored.items())


def test_a_genesis_between_two_that_are_known_is_refused(monkeypatch):
    """It has what the older one has, and signals the end, which the newer one does."""
    monkeypatch.setitem(LIKE, "genesis", like_genesis_before_2026_10)
    protocol = pretend("genesis", monkeypatch)["genesis.protocol.base"].Protocol
    protocol._signal_reader_done = lambda self: None
    before = inside("genesis")
    with pytest.raises(
        UnknownClient, match=r"2026\.7\.1 and 2026\.10\.18.*there is no genesis\.channel\.parse_headers"
    ):
        adapter("genesis").install()
    assert inside("genesis") == before


def test_what_looks_like_switchio_gets_its_events(monkeypatch):
    module = pretend("switchio", monkeypatch)["switchio.protocol"]
    adapter("switchio").install()
    protocol = module.InboundProtocol()
    returned = [event for chunk in (STREAM[:99], STREAM[99:]) for event in protocol.data_received(chunk)]
    protocol.data_received(b"Content-")
    protocol.transport = object()  # connected again
    (again,) = protocol.data_received(AUTH)
    with pytest.raises(InvalidContentLength):
        protocol.data_received(b"Content-Length: x\n\n")
    quiet = module.InboundProtocol()
    quiet.log.isEnabledFor = lambda _: False
    quiet.data_received(AUTH)
    adapter("switchio").uninstall()
    assert (quiet.events, quiet.lines) == ([again], [])
    assert protocol.events == [*returned, again]
    assert returned[0]["Reply-Text"] == "+OK a\nmore\n"
    assert [event.get("Body") for event in returned] == [
        None,
        "B: 2\n",
        None,
        None,
        None,
        "line\n",
        '{"D":"1"}\n',
        '{"D\n',
    ]
    assert protocol.lines[0].startswith("Socket data received:\nContent-Type: command/reply\nReply-Text: +OK a\n")


# How the clients understand lines


@examples(200)
@given(lines=st.lists(st.text("Aa :%0\n\té", min_size=1, max_size=9), max_size=6))
def test_a_line_without_colon_and_blank_continues_the_value_before_it(lines):
    from eslcodec.adapters._client import pairs_of

    head = ("A: " + "\n".join(lines)).split("\n\n")[0].removesuffix("\n")
    wanted: list[list[str]] = []
    for line in head.split("\n"):
        name, cut, value = line.partition(": ")
        if cut:
            wanted.append([name, value])
        else:
            wanted[-1][1] += "\n" + line
    for line_end in ("\n", "\r\n"):
        assert pairs_of(head.replace("\n", line_end).encode()) == [
            (name, text(naive_unquote(value.encode()))) for name, value in wanted
        ]
