"""Commands: the bytes of each."""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Any

import pytest
from commands_support import read, understood

from eslcodec import EventName, HangupCause, InvalidCommand, LogLevel
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
def test_command(built: Any, wire: bytes) -> None:
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
def test_sendevent(built: Any, wire: bytes) -> None:
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
def test_sendmsg(built: Any, wire: Any) -> None:
    assert built == wire


@pytest.mark.parametrize(
    "argument",
    ["x=1\n2", "x=1\r\n2", "x=1\r2", "\n", " x", " ", "ARRAY::a", "ARRAY::a|:b", "a\n\nexit\n\n", "\nh\u00e9\udcff"],
)
def test_argument_that_no_header_can_carry_goes_as_the_body(argument: str) -> None:
    data = argument.encode("utf-8", "surrogateescape")
    head = b"sendmsg\ncall-command: execute\nexecute-app-name: set\ncontent-type: text/plain\nevent-lock: true\n"
    built = execute("set", argument, event_lock=True)
    assert built == head + b"Content-Length: %d\n\n%b" % (len(data), data)
    (command,) = read(built)
    assert ("execute-app-arg", argument) in understood(command).parts["headers"]


class Colour(str, Enum):
    RED = "red"  # and its str() is "Colour.RED"


def test_string_enumeration_is_what_it_holds() -> None:
    assert str(Colour.RED) == "Colour.RED"
    assert api(Colour.RED, Colour.RED) == b"api red red\n\n"
    assert sendevent("X", {Colour.RED: Colour.RED}, Colour.RED) == b"sendevent X\nred: red\nContent-Length: 3\n\nred"


class Level(IntEnum):
    LOW = 3

    def __str__(self) -> Any:
        return "Level.LOW"  # as of every IntEnum before Python 3.11


def test_number_of_an_enumeration_is_its_number() -> None:
    assert linger(Level.LOW) == b"linger 3\n\n"
    assert sendevent("X", {"A": Level.LOW}) == b"sendevent X\nA: 3\n\n"
    with pytest.raises(InvalidCommand, match=r"^loops is 2147483648, expected -2147483648 to 2147483647$"):
        execute("x", loops=2**31)
