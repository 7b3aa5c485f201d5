"""The adapters inside the real clients, before and after `install`: commands, the end, other formats, programs."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from adapters_support import END, Shown, Wire, adapter, captured, event_of, events_of, need, result, run, started
from adapters_support import client as client
from ports import free_port
from support import frame, naive_frames, plain, until

from eslcodec.emulator import Emulator

# Commands


def answer(client: str, reply: Shown) -> str | None:
    """What a command's reply says: the output of an api command, or the Reply-Text."""
    headers, body = reply
    return headers["Reply-Text"] if headers["Content-Type"] == "command/reply" else body


def test_a_large_api_response_arrives_whole_and_events_go_on_behind_it(client: Any) -> None:
    output = "row: 1, é\n" * 400_000
    with Emulator(replay=END) as switch:
        switch.api["big"] = lambda args: output
        seen = run(client, switch.port, until=1, commands=["api big", "event plain ALL"])
    assert answer(client, seen["replies"][0]) == output
    assert answer(client, seen["replies"][1]) == "+OK event listener enabled plain"
    assert seen["events"][0][0]["Event-Subclass"] == "test::end"


@pytest.mark.parametrize("install", [False, True])
def test_commands_are_answered_in_order_while_events_come(client: Any, install: bool) -> None:
    stream = captured("churn_plain")
    count = len(naive_frames(stream))
    with Emulator(replay=stream) as switch:
        switch.api["echo"] = lambda args: f"{args}\n"
        api = [f"api echo {number}" for number in range(20)]
        seen = run(client, switch.port, install=install, until=count, together=["event plain ALL", *api])
    assert [answer(client, reply) for reply in seen["replies"][1:]] == [f"{number}\n" for number in range(20)]
    assert len(seen["events"]) == count


def test_a_background_job_is_answered_twice(client: Any) -> None:
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
def test_the_end_of_a_connection_is_the_clients_own_wherever_it_comes(client: Any, rest: Any) -> None:
    with Wire(END + rest, close=True) as server:
        seen = run(client, server.port, commands=["event plain ALL"], stop=True)
    assert seen["ended"]
    assert len(seen["events"]) <= 1  # greenswitch hands nothing on once it has seen the end


def test_a_frame_that_cannot_be_framed_ends_an_open_connection(client: Any) -> None:
    with Wire(b"Content-Type: text/event-plain\nContent-Length: 5x\n\n") as server:
        assert run(client, server.port, commands=["event plain ALL"], stop=True)["ended"]


def test_greenswitch_stops_as_before() -> None:
    need("greenswitch")
    with Emulator() as switch:
        seen = run("greenswitch", switch.port, until=0, commands=["api status"], stop=True)
        switch.wait_for(lambda: not switch.listeners, 20)
    assert len(seen["replies"]) == 1


# Other formats


def test_greenswitch_reads_events_in_other_formats() -> None:
    payload = b'{"Event-Name":"X","A":"b: c","L":["1","2"],"_body":"text"}'
    json_event = frame(b"Content-Type: text/event-json", payload)
    xml_event = frame(b"Content-Type: text/event-xml", b"<event><headers><A>%20b</A></headers><body>t</body></event>")
    broken = frame(b"Content-Type: text/event-json", b'{"A": ')
    one, other, third = events_of(need("greenswitch"), json_event + xml_event + broken)
    assert (one[0]["Event-Name"], one[0]["A"], one[0]["L"], one[1]) == ("X", "b: c", "ARRAY::1|:2", "text")
    assert (other[0]["A"], other[1]) == (" b", "t")
    assert third == ({"Content-Type": "text/event-json", "Content-Length": "6"}, '{"A": ')


@pytest.mark.parametrize("name", ["genesis", "switchio"])
def test_events_in_other_formats_are_text(name: str) -> None:
    payload = b'{"Event-Name":"X","A":"b: c%20d"}\n'
    xml = b"<event>\n\n<A>b: c</A>\n</event>\n"
    events = events_of(
        need(name), frame(b"Content-Type: text/event-json", payload) + frame(b"Content-Type: text/event-xml", xml)
    )
    assert [body for _, body in events] == [payload.decode(), xml.decode()]
    assert [set(headers) for headers, _ in events] == [{"Content-Type", "Content-Length"}] * 2


@pytest.mark.parametrize("install", [False, True])
def test_genesis_takes_events_apart_that_an_event_lock_glued_together(install: bool) -> None:
    payload = b"Event-Name: COMMAND\nevent-lock: true\nA: 1\nEvent-Name: PRIVATE_COMMAND\nB: 2%20\n\n"
    need("genesis")
    with Wire(plain(payload)) as server:
        seen = run("genesis", server.port, install=install, until=2, commands=["event plain ALL"])
    assert [headers["Event-Name"] for headers, _ in seen["events"]] == ["COMMAND", "PRIVATE_COMMAND"]
    assert [headers.get("B") for headers, _ in seen["events"]] == [None, "2 "]


def test_genesis_continues_a_repeated_value_that_goes_on() -> None:
    headers, _ = event_of(need("genesis"), b"Event-Name: X\nA: 1\nA: 2\n3\n\n")
    assert headers["A"] == ["1", "2\n3"]


@pytest.mark.parametrize("install", [False, True])
def test_a_consumer_of_genesis_gets_what_it_handles(install: bool) -> None:
    need("genesis")
    with Emulator(replay=plain(b"Event-Name: HEARTBEAT\nUp-Time: 0%20s\n\n") * 3) as switch:
        seen = run("genesis consumer", switch.port, install=install, until=3)
    assert [headers["Up-Time"] for headers, _ in seen["events"]] == ["0 s"] * 3


@pytest.mark.parametrize("install", [False, True])
def test_an_outbound_server_of_greenswitch_plays_to_a_caller(install: bool) -> None:
    need("greenswitch")
    port = free_port()
    process = started("greenswitch outbound", port, install=install)
    with Emulator() as switch:
        switch.applications["playback"] = 0.01

        def dial() -> Any:
            with suppress(ConnectionRefusedError):
                return switch.dial("127.0.0.1", port, variables={"uuid": "u 1"})

        call = until(dial, 30)
        told = result(process)
        assert call.wait(20) == "NORMAL_CLEARING"
    assert told["answer"] == "+OK"
    assert told["played"] == ["CHANNEL_EXECUTE_COMPLETE", "playback", "one.wav"]
    assert told["caller"][1:] == ["u 1", "+OK"]


def test_genesis_hands_events_to_handlers() -> None:
    need("genesis")
    with Wire(END * 3) as server:
        assert run("genesis", server.port, until=3, commands=["event plain ALL"])["handled"] >= 2


def changes_that_switchio_needs() -> list[list[str]]:
    """File, what stands there, what has to stand there: from the table in the docstring of the adapter."""
    _, table = adapter("switchio").__doc__.split("what has to stand there\n")
    return [re.split(r" {2,}", line.strip()) for line in table.strip().splitlines()]


@pytest.mark.parametrize("install", [False, True])
def test_switchio_runs_on_this_python_with_the_changes_that_the_adapter_names(install: bool, tmp_path: Path) -> None:
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


def test_switchio_does_not_run_on_this_python_as_it_is() -> None:
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


def test_a_client_that_cannot_be_imported_says_why(tmp_path: Path) -> None:
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
def test_uninstall_puts_back_exactly_what_was_there(client: Any, imported: str) -> None:
    assert run(client, 0, check=imported) == {"replaced": True, "again": True, "restored": True}
