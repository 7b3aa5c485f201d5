"""ESLconnection: no value becomes another header or command (docs/protocol/esl-module.md, A6)."""

from __future__ import annotations

from typing import Any

import pytest
from esl_support import (
    COMMAND_REPLY,
    LOGIN,
    LOST,
    OK_SEEN,
    Background,
    Server,
    assert_dead,
    seen,
    strictly,
)
from support import plain

from eslcodec._ctext import unquoted

# By default no value becomes another header or command


REFUSABLE: list[tuple[str, tuple[Any, ...]]] = [
    ("api", ("status\nconsole_execute: true",)),
    ("api", ("status\n\nexit",)),
    ("api", ("status", "a\n\nexit\n\n")),
    ("api", ("status\rx",)),
    ("api", ("echo", "reload of mod_event_socket")),
    ("bgapi", ("status\n\nexit",)),
    ("bgapi", ("status", "x\nJob-UUID: j")),
    ("bgapi", ("status", "x", "j\n\nexit")),
    ("filter", ("A", "b\n\nexit")),
    ("filter", ("A\nB", "b")),
    ("filter", ("A", "b\rc")),
    ("filter", ("A", None)),
    ("filter", (None, "b")),
    ("filter", (None, None)),
    ("events", ("plain", "DTMF\nCUSTOM")),
    ("events", ("json", "DTMF\n\nexit")),
    ("events", ("plain", None)),
    ("execute", ("playback", "a\nasync: true")),
    ("execute", ("playback\nexecute-app-arg: b", "a")),
    ("execute", ("playback", "a", "u\n\nexit")),
    ("execute", ("log", "INFO unload mod_event_socket")),
    ("executeAsync", ("playback", "a\r\nb")),
]
NEVER_WHOLE = [  # more than the switch reads as one command: it would take the rest for the next
    ("api", ("echo", "x" * (10 << 20))),
    ("bgapi", ("echo", "x" * (10 << 20))),
    ("execute", ("log", "x" * (10 << 20), "u")),
    ("filter", ("A", "x" * (10 << 20))),
    ("events", ("plain", "x" * (10 << 20))),
]


def assert_refused(wire: Any, returned: Any, caplog: Any) -> None:
    """Nothing was sent, the reply says why, the log as well, without values; the connection goes on."""
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("eslcodec.esl", "WARNING")
    assert record.getMessage().startswith("ESL: not sent: ")
    if not isinstance(returned, int):
        assert (returned.getType(), returned.getBody()) == ("SOCKET_DATA", None)
        assert returned.getHeader("Content-Type") == "command/reply"
        text = returned.getHeader("Reply-Text")
        assert unquoted(text) == "-ERR " + record.getMessage().removeprefix("ESL: ")
        assert "\n" not in text
    else:
        assert returned == 1
    assert wire.con.connected() == 1
    assert seen(wire.con.sendRecv("next")) == OK_SEEN
    assert wire.sent() == b"next\n\n"


@pytest.mark.parametrize(("method", "arguments"), [*REFUSABLE, *NEVER_WHOLE])
def test_what_would_be_another_header_or_command_is_refused(
    ESL: Any, wire_of: Any, caplog: pytest.LogCaptureFixture, method: Any, arguments: Any
) -> None:
    wire = wire_of(COMMAND_REPLY)
    assert_refused(wire, getattr(wire.con, method)(*arguments), caplog)


@pytest.mark.parametrize(("method", "arguments"), REFUSABLE)
def test_nothing_is_refused_when_strict(
    ESL: Any, wire_of: Any, caplog: pytest.LogCaptureFixture, method: Any, arguments: Any
) -> None:
    with strictly(ESL, True):
        wire = wire_of(COMMAND_REPLY)
        returned = getattr(wire.con, method)(*arguments)
        assert returned == 0 if method == "events" else returned.getHeader("Reply-Text") == "+OK"
        sent = wire.sent()
    assert all((text or "(null)").encode() in sent for text in arguments)
    assert caplog.records == []


def test_refusals_are_refused_in_the_module_s_own_log_too(
    ESL: Any, wire_of: Any, set_level: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    set_level(3)
    wire_of().con.filter("A", None)
    assert "] event.py:" in (err := capfd.readouterr().err)
    assert "not sent: the value is None" in err


@pytest.mark.parametrize(
    ("method", "arguments", "wire_text"),
    [
        ("api", ("status\n",), b"api status \n\n"),
        ("api", ("status\r\n\r\n",), b"api status \n\n"),
        ("api", ("show", "calls\n\n"), b"api show calls\n\n"),
        ("bgapi", ("status\n", "x\n", "j\n"), b"bgapi status x\nJob-UUID: j\n\n"),
        ("filter", ("A\n", "b\n"), b"filter A b\n\n"),
        ("events", ("plain", "ALL\n"), b"event plain ALL\n\n"),
        (
            "executeAsync",
            ("playback\n", "a\n\n", "u\r\n"),
            b"sendmsg u\ncall-command: execute\nexecute-app-name: playback\nexecute-app-arg: a\nasync: true\n\n",
        ),
    ],
)
def test_line_end_behind_an_argument_is_dropped(
    ESL: Any, wire_of: Any, caplog: pytest.LogCaptureFixture, method: str, arguments: Any, wire_text: bytes
) -> None:
    wire = wire_of(COMMAND_REPLY)
    getattr(wire.con, method)(*arguments)
    assert wire.sent() == wire_text
    assert caplog.records == []


@pytest.mark.parametrize("verb", ["reload", "unload"])
def test_reloading_the_socket_module_is_sent_where_it_is_meant(
    ESL: Any, strict: Any, wire_of: Any, caplog: pytest.LogCaptureFixture, verb: str
) -> None:
    wire = wire_of(COMMAND_REPLY * 4)
    wire.con.api(verb, "mod_event_socket")
    wire.con.api(f"{verb} mod_event_socket")
    wire.con.api("bgapi", f"{verb} mod_event_socket")
    wire.con.bgapi(verb, "mod_event_socket")
    assert wire.sent() == b"".join(
        command % verb.encode() + b"\n\n"
        for command in (
            b"api %b mod_event_socket",
            b"api %b mod_event_socket ",
            b"api bgapi %b mod_event_socket",
            b"bgapi %b mod_event_socket",
        )
    )
    assert caplog.records == []


@pytest.mark.parametrize(
    "arguments", [("a\n\nexit",), ("user\nx", "pw"), ("user", "p\rw"), ("reload mod_event_socket",)]
)
def test_login_that_would_be_another_command_is_refused(
    ESL: Any, caplog: pytest.LogCaptureFixture, arguments: Any
) -> None:
    with Server(*LOGIN) as server:
        con = ESL.ESLconnection("127.0.0.1", server.port, *arguments)
        assert_dead(ESL, con)
    assert (server.called, server.heard) == (False, b"")
    (record,) = caplog.records
    assert all(text not in record.getMessage() for text in ("exit", "pw", "user\nx", "p\rw"))


def test_line_end_behind_a_password_is_dropped(ESL: Any) -> None:
    with Server(*LOGIN) as server:
        con = ESL.ESLconnection("127.0.0.1", server.port, "user@d\n", "pw\r\n")
        assert con.connected() == 1
        con.disconnect()
    assert server.heard == b"userauth user@d:pw\n\n"


def event_of(ESL: Any, *headers: tuple[str, str], body: str | None = None, new: tuple[str, ...] = ("CLONE",)) -> Any:
    event = ESL.ESLevent(*new)
    for name, value in headers:
        event.addHeader(name, value)
    if body is not None:
        event.addBody(body)
    return event


INJECTING: list[dict[str, Any]] = [
    {"headers": [("A", "x\nInjected: 1")]},
    {"headers": [("A", "x\n\nexit")]},
    {"headers": [("A", "x\n")]},
    {"headers": [("A", "x\rInjected: 1")]},
    {"headers": [("A", "ARRAY::x|:y\nInjected: 1")]},
    {"headers": [("A\nInjected: 1", "x")]},
    {"headers": [("Content-Length: 99", "x")], "body": "b"},
    {"headers": [("Command", "reload"), ("Module", "mod_event_socket")]},
    {"headers": [], "new": ("CUSTOM", "a::b\nInjected: 1")},
    {"headers": [("_body", "x\n\nexit")]},
    {"headers": [("A", "x" * (10 << 20))]},
    {"headers": [], "body": "x" * ((16 << 20) + 1)},
]


@pytest.mark.parametrize("event", INJECTING, ids=range(len(INJECTING)))
@pytest.mark.parametrize("method", ["sendEvent", "sendMSG"])
def test_event_whose_value_would_be_another_header_is_refused(
    ESL: Any, wire_of: Any, caplog: pytest.LogCaptureFixture, method: str, event: Any
) -> None:
    wire = wire_of(COMMAND_REPLY)
    headers, options = event["headers"], {name: value for name, value in event.items() if name != "headers"}
    returned = getattr(wire.con, method)(event_of(ESL, *headers, **options))
    assert_refused(wire, returned, caplog)


def test_channel_that_would_be_another_header_is_refused(
    ESL: Any, wire_of: Any, caplog: pytest.LogCaptureFixture
) -> None:
    wire = wire_of(COMMAND_REPLY)
    assert_refused(wire, wire.con.sendMSG(event_of(ESL, ("A", "1")), "u\nInjected: 1"), caplog)


def test_received_value_with_a_line_end_or_a_nul_is_refused(
    ESL: Any, wire_of: Any, caplog: pytest.LogCaptureFixture
) -> None:
    for value in (b"v%0AInjected: 1", b"a%0D%0Ab", b"a%00b"):
        wire = wire_of(plain(b"Event-Name: DTMF\nA: " + value + b"\nContent-Length: 1\n\nB"), COMMAND_REPLY)
        event = wire.con.recvEvent()
        assert_refused(wire, wire.con.sendEvent(event), caplog)
        caplog.clear()


def test_nothing_of_an_event_is_refused_when_strict(ESL: Any, wire_of: Any, caplog: pytest.LogCaptureFixture) -> None:
    with strictly(ESL, True):
        wire = wire_of(COMMAND_REPLY * 2)
        event = event_of(ESL, ("A", "x\nInjected: 1"), ("Content-Length", "7"), body="B")
        wire.con.sendEvent(event)
        assert wire.con.sendMSG(event, "u\nAlso: 1") == 0
        lines = b"A: x\nInjected: 1\nContent-Length: 7\nContent-Length: 1\n\nB\n\n"
        assert wire.sent() == b"sendevent CUSTOM\n" + lines + b"sendmsg u\nAlso: 1\n" + lines
    assert caplog.records == []


@pytest.mark.parametrize(
    ("headers", "body", "sent"),
    [
        ([("Content-Length", "99")], "two\u00e9", b"Content-Length: 5\n\ntwo\xc3\xa9\n\n"),
        ([("content-LENGTH", "1"), ("Content-Length", "2"), ("A", "1")], "B", b"A: 1\nContent-Length: 1\n\nB\n\n"),
        ([("Content-Length", "x"), ("A", "1")], "B\n\n", b"A: 1\nContent-Length: 3\n\nB\n\n"),
        ([("Content-Length", "5"), ("A", "1")], None, b"A: 1\nContent-Length: 0\n\n"),
        ([("Content-Length", "ARRAY::5|:6")], "", b"Content-Length: 0\n\n"),
        ([("A", "1")], "", b"A: 1\n\n"),
        ([("A", "1")], "B", b"A: 1\nContent-Length: 1\n\nB\n\n"),
    ],
)
def test_length_of_an_event_is_sent_once_and_is_that_of_the_body(
    ESL: Any, wire_of: Any, headers: Any, body: Any, sent: bytes
) -> None:
    wire = wire_of(COMMAND_REPLY * 2)
    event = event_of(ESL, *headers, body=body)
    wire.con.sendEvent(event)
    assert wire.con.sendMSG(event, "u") == 0
    assert wire.sent() == b"sendevent CUSTOM\n" + sent + b"sendmsg u\n" + sent


@pytest.mark.parametrize("length", [4076, 4077, 4078, 4095, 5119, 100_000])
def test_long_argument_stays_apart_from_the_lines_behind_it(ESL: Any, strict: Any, wire_of: Any, length: int) -> None:
    """In the official module it loses its line end, and the next header is glued to it."""
    wire = wire_of(COMMAND_REPLY)
    heard = Background(wire.hears, b"x" * 200_000)
    wire.con.setEventLock("1")
    wire.con.executeAsync("set", "x" * length, "u")
    wire.con.disconnect()
    assert heard.returns().splitlines()[2:] == [
        *(b"sendmsg u", b"call-command: execute", b"execute-app-name: set", b"execute-app-arg: " + b"x" * length),
        *(b"event-lock: true", b"async: true", b""),
    ]


def test_refusal_on_a_dead_connection_is_what_everything_is_there(
    ESL: Any, strict: Any, wire_of: Any, caplog: pytest.LogCaptureFixture
) -> None:
    con = wire_of().con
    con.disconnect()
    assert [con.api("a\nb"), con.bgapi("a\nb"), con.filter("A", None), con.execute("a\nb")] == [None] * 4
    event = event_of(ESL, ("A", "x\ny"))
    assert (con.events("plain", "a\nb"), con.sendMSG(event), seen(con.sendEvent(event))) == (1, 1, LOST)
    assert caplog.records == []


def test_switch_gets_one_command_from_what_is_sent(ESL: Any) -> None:
    """Against a switch that reads as the real one does."""
    from eslcodec.emulator import Emulator

    with Emulator() as switch:
        con = ESL.ESLconnection(switch.host, switch.port, "ClueCon")
        event = event_of(ESL, ("Content-Length", "3"), ("Section", "33"), body="B" * 3, new=("CUSTOM", "a::b"))
        con.events("plain", "CUSTOM a::b")
        con.sendEvent(event)
        received = con.recvEvent()
        assert (received.getHeader("Section"), received.getBody()) == ("33", "BBB")
        con.disconnect()
