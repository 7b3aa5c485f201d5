"""eslcodec.ESL: its names, its log, the types of arguments (docs/protocol/esl-module.md, A1 and A4)."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
from esl_support import COMMAND_REPLY, DTMF, DTMF_SEEN, OK_SEEN, REPLIES, STATUSES, seen

# Types of arguments: docs/protocol/esl-module.md, A1


METHODS: dict[str, tuple[Any, ...]] = {
    **REPLIES,
    **STATUSES,
    "api": ("status", "x"),
    "bgapi": ("status", "x", "j"),
    "execute": ("a", "x", "u"),
    "executeAsync": ("a", "x", "u"),
}
TAKES_STRINGS = [(name, at) for name, right in METHODS.items() for at in range(len(right))]


@pytest.mark.parametrize(("name", "at"), TAKES_STRINGS)
def test_only_a_string_is_a_string(ESL: Any, strict: Any, wire_of: Any, name: Any, at: Any) -> None:
    wire = wire_of(COMMAND_REPLY)
    arguments = list(METHODS[name])
    for wrong in (b"A", 5, True, 1.5, ["A"]):
        arguments[at] = wrong
        with pytest.raises(TypeError):
            getattr(wire.con, name)(*arguments)
    assert wire.sent() == b""


@pytest.mark.parametrize(("name", "at"), TAKES_STRINGS)
def test_surrogate_that_stands_for_no_byte_is_refused(ESL: Any, strict: Any, wire_of: Any, name: Any, at: Any) -> None:
    wire = wire_of(COMMAND_REPLY)
    arguments = list(METHODS[name])
    arguments[at] = "\ud800"
    if (name, at) != ("events", 0):  # there it is only compared
        with pytest.raises((TypeError, ValueError)):
            getattr(wire.con, name)(*arguments)
        assert wire.sent() == b""


@pytest.mark.parametrize("wrong", ["x", b"x", 5, True])
def test_only_an_event_is_an_event(ESL: Any, strict: Any, wire_of: Any, wrong: Any) -> None:
    wire = wire_of(COMMAND_REPLY)
    for name in ("sendEvent", "sendMSG"):
        with pytest.raises(TypeError):
            getattr(wire.con, name)(wrong)
    with pytest.raises(TypeError):
        wire.con.sendMSG(ESL.ESLevent("DTMF"), b"u")
    assert wire.sent() == b""


@pytest.mark.parametrize("wrong", ["1", 1.5, None, b"1"])
def test_only_an_int_is_a_number_of_milliseconds(ESL: Any, strict: Any, wire_of: Any, wrong: Any) -> None:
    with pytest.raises(TypeError):
        wire_of(DTMF).con.recvEventTimed(wrong)


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        *(("socketDescriptor", {0}), ("connected", {0}), ("getInfo", {0}), ("recvEvent", {0}), ("disconnect", {0})),
        *(
            ("send", {1}),
            ("sendRecv", {1}),
            ("recvEventTimed", {1}),
            ("sendEvent", {1}),
            ("filter", {2}),
            ("events", {2}),
        ),
        *(("setAsyncExecute", {1}), ("setEventLock", {1}), ("api", {1, 2}), ("bgapi", {1, 2, 3}), ("sendMSG", {1, 2})),
        *(("execute", {1, 2, 3}), ("executeAsync", {1, 2, 3})),
    ],
)
def test_number_of_arguments(ESL: Any, strict: Any, wire_of: Any, name: Any, counts: Any) -> None:
    wire = wire_of(COMMAND_REPLY)
    for count in {0, 1, 2, 3, 4} - counts:
        with pytest.raises(TypeError):
            getattr(wire.con, name)(*["x"] * count)
    assert wire.sent() == b""


@pytest.mark.parametrize(
    ("name", "keywords"),
    [
        *(("send", {"cmd": "x"}), ("sendRecv", {"cmd": "x"}), ("api", {"cmd": "x"}), ("recvEventTimed", {"ms": 1})),
        *(("events", {"etype": "plain", "value": "ALL"}), ("execute", {"app": "answer"}), ("bgapi", {"cmd": "x"})),
    ],
)
def test_arguments_are_positional(ESL: Any, strict: Any, wire_of: Any, name: Any, keywords: Any) -> None:
    wire = wire_of(COMMAND_REPLY)
    with pytest.raises(TypeError):
        getattr(wire.con, name)(**keywords)
    assert wire.sent() == b""


def test_nul_cuts_every_string(ESL: Any, strict: Any, wire_of: Any) -> None:
    wire = wire_of(COMMAND_REPLY * 4)
    wire.con.api("status\0x", "a\0b")
    wire.con.filter("A\0x", "b\0c")
    wire.con.events("json\0x", "ALL\0x")
    wire.con.execute("a\0x", "b\0x", "u\0x")
    assert wire.sent() == (
        b"api status a\n\nfilter A b\n\nevent json ALL\n\n"
        b"sendmsg u\ncall-command: execute\nexecute-app-name: a\nexecute-app-arg: b\n\n"
    )


def test_connection_takes_new_attributes_and_has_no_unknown_ones(ESL: Any, strict: Any, wire_of: Any) -> None:
    con = wire_of().con
    con.mine_own = 5
    assert con.mine_own == 5
    for name in ("noevents", "myevents", "linger", "log", "divert_events", "nixevent", "exit"):
        with pytest.raises(AttributeError):
            getattr(con, name)


# The module: docs/protocol/esl-module.md, A4


def test_star_import_gives_the_three_names(ESL: Any) -> None:
    names: dict[str, Any] = {}
    exec(f"from {ESL.__name__} import *", names)
    assert {name for name in names if not name.startswith("__")} == {"ESLconnection", "ESLevent", "eslSetLogLevel"}
    assert names["ESLconnection"] is ESL.ESLconnection


def test_strict_is_off_unless_asked_for(ESL: Any) -> None:
    assert ESL.strict is False


def test_strict_can_be_patched(ESL: Any) -> None:
    with mock.patch.object(ESL, "strict", True):
        assert ESL.strict is True
        with pytest.raises(TypeError, match="no priority"):
            ESL.ESLevent("DTMF").setPriority(1)
    assert ESL.strict is False
    assert ESL.ESLevent("DTMF").setPriority(1) is True


@pytest.mark.parametrize("wrong", [(), ("7",), (None,), (7.0,), (b"7",), (7, 7)])
def test_log_level_is_an_int(ESL: Any, strict: Any, wrong: Any) -> None:
    with pytest.raises(TypeError):
        ESL.eslSetLogLevel(*wrong)


def test_nothing_is_logged_before_it_is_asked_for(
    ESL: Any, strict: Any, wire_of: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    wire = wire_of(DTMF, b"Content-Length: x\n\n")
    wire.con.send("noevents")
    assert [wire.con.recvEvent().getType() for _ in range(2)] == ["DTMF", "SERVER_DISCONNECTED"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("level", [7, 8, 99, -1])
def test_every_frame_is_logged_to_standard_error_at_the_last_level(
    ESL: Any, strict: Any, wire_of: Any, set_level: Any, capfd: pytest.CaptureFixture[str], level: int
) -> None:
    wire = wire_of(DTMF, COMMAND_REPLY)
    assert set_level(level) is None
    assert seen(wire.con.sendRecv("noevents")) == OK_SEEN
    assert seen(wire.con.recvEvent()) == DTMF_SEEN
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("[DEBUG] ")
    assert all(part in err for part in ("noevents", "Reply-Text: +OK", "Event-Name: DTMF\nA: 1\n"))


@pytest.mark.parametrize(("level", "begins"), [(0, ""), (2, ""), (3, "[ERROR] "), (6, "[ERROR] ")])
def test_errors_are_logged_from_their_level_on(
    ESL: Any, strict: Any, wire_of: Any, set_level: Any, capfd: pytest.CaptureFixture[str], level: int, begins: str
) -> None:
    wire = wire_of(DTMF, b"Content-Length: x\n\n")
    set_level(level)
    assert [wire.con.recvEvent().getType() for _ in range(2)] == ["DTMF", "SERVER_DISCONNECTED"]
    out, err = capfd.readouterr()
    assert (out, err[: len("[ERROR] ")], err.count("\n")) == ("", begins, 1 if begins else 0)


def test_last_of_several_levels_counts(
    ESL: Any, wire_of: Any, set_level: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    set_level(7)
    set_level(0)
    assert seen(wire_of(DTMF).con.recvEvent()) == DTMF_SEEN
    assert capfd.readouterr() == ("", "")
