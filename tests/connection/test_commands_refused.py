"""Commands: what is refused, and the sizes that the switch takes."""

from __future__ import annotations

import re
from typing import Any

import pytest

from eslcodec import InvalidCommand, limits
from eslcodec.commands import (
    api,
    auth,
    bgapi,
    divert_events,
    event,
    execute,
    filter,
    filter_delete,
    getvar,
    hangup,
    linger,
    log,
    myevents,
    nixevent,
    nomedia,
    sendevent,
    sendmsg,
    unicast,
    userauth,
    xferext,
)

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
def test_line_break_in_a_line_is_refused(part: Any, breaker: str) -> None:
    for text in (f"abc{breaker}xyz", f"{breaker}abc", f"abc{breaker}"):
        with pytest.raises(InvalidCommand) as caught:
            LINES[part](text)
        assert ("abc" in str(caught.value)) == (part not in SECRETS)


@pytest.mark.parametrize("part", LINES)
def test_leading_blank_is_refused(part: Any) -> None:
    if part in BLANKS_FIRST:
        assert b" abc" in LINES[part](" abc")
        return
    for text in (" abc", "  ", " "):
        with pytest.raises(InvalidCommand):
            LINES[part](text)


@pytest.mark.parametrize("part", LINES)
def test_part_without_text_is_refused(part: Any) -> None:
    if part in EMPTY:
        assert LINES[part]("").endswith(b"\n\n")
        return
    with pytest.raises(InvalidCommand):
        LINES[part]("")


@pytest.mark.parametrize("part", LINES)
def test_surrogate_that_stands_for_no_byte_is_refused(part: Any) -> None:
    with pytest.raises(InvalidCommand) as caught:
        LINES[part]("abc\ud800")
    assert caught.value.__context__ is None, "its attributes hold the whole command"
    assert "abc" not in str(caught.value) or part not in SECRETS


@pytest.mark.parametrize("part", LINES)
def test_part_that_is_no_text_is_a_type_error(part: Any) -> None:
    for wrong in (b"abc", 1.5, ["abc"], None, True):
        with_default = {"bgapi job", "myevents uuid", "log level", "event format", "myevents format"}
        optional = part in with_default or part.endswith((" uuid", " subclass", "event_uuid", "event_uuid_name"))
        value = part in ("sendevent value", "sendmsg value")  # which takes lists and flags
        if (wrong is None and (optional or part == "filter_delete value")) or (value and wrong in (["abc"], True)):
            continue
        with pytest.raises(TypeError) as caught:
            LINES[part](wrong)
        assert "abc" not in str(caught.value)


def test_login_is_in_no_text() -> None:
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
def test_blank_in_a_word_is_refused(part: Any, text: str) -> None:
    with pytest.raises(InvalidCommand):
        LINES[part](text)


@pytest.mark.parametrize("text", ["a:b", "a@b", ":", "@"])
@pytest.mark.parametrize("part", ["userauth user", "userauth domain"])
def test_sign_where_userauth_is_cut_is_refused(part: str, text: str) -> None:
    with pytest.raises(InvalidCommand):
        LINES[part](text)


@pytest.mark.parametrize(
    "name", ["a:b", ":", "a[0]", "a[", "[1]", "_body", "_BODY", "Content-Length[0]", "a ", "\ta", ""]
)
@pytest.mark.parametrize("part", ["sendevent header", "sendmsg header"])
def test_header_name_that_means_more_is_refused(part: str, name: str) -> None:
    with pytest.raises(
        InvalidCommand, match=r"^a header name is '.*', expected one without ':', '\[' and blanks around"
    ):
        LINES[part](name)


@pytest.mark.parametrize("length", [3, "3", "1", "02", "+2", "2x", "-1", "x", ["2"], True])
@pytest.mark.parametrize("name", ["Content-Length", "content-length"])
def test_content_length_that_is_not_the_bodys_is_refused(name: str, length: Any) -> None:
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
def test_array_that_does_not_come_out_as_it_went_in_is_refused(items: Any) -> None:
    with pytest.raises(InvalidCommand):
        sendevent("X", {"A": items})
    if isinstance(items, str):
        for call in (filter, filter_delete):
            with pytest.raises(InvalidCommand):
                call("A", items)


@pytest.mark.parametrize("first", ["1", ["1"]])
def test_array_of_a_name_that_is_there_is_refused(first: Any) -> None:
    with pytest.raises(InvalidCommand, match="is there already"):
        sendevent("X", [("A", first), ("a", ["2"])])
    assert sendevent("X", [("A", ["1"]), ("a", "2")]) == b"sendevent X\nA: ARRAY::1\na: 2\n\n"


def test_header_of_a_parameter_is_refused() -> None:
    with pytest.raises(InvalidCommand, match=r"^the header Event-Subclass is given twice$"):
        sendevent("CUSTOM", {"event-subclass": "a::b"}, subclass="a::b")
    for value in ("hangup", ["hangup"]):
        with pytest.raises(InvalidCommand, match=r"^the header call-command is given twice$"):
            sendmsg("execute", {"Call-Command": value})


def test_subclass_of_an_event_that_has_none_is_refused() -> None:
    with pytest.raises(InvalidCommand, match=r"^'NOTIFY' has no subclasses, only CUSTOM has$"):
        sendevent("NOTIFY", subclass="a::b")


@pytest.mark.parametrize("name", ["json", "PLAIN", "Xml", "sofia::register", "a-b", "h\u00e9", "DTMF,TALK"])
def test_event_name_that_is_none_is_refused(name: str) -> None:
    for call in (
        lambda: event(name),
        lambda: event("CUSTOM", name),
        lambda: event(name, format="plain"),
        lambda: nixevent(name),
        lambda: sendevent(name),
    ):
        with pytest.raises(InvalidCommand, match=r"^an event name is '"):
            call()


def test_events_are_refused_without_a_name() -> None:
    for call in (event, nixevent, lambda: event(format="json")):
        with pytest.raises(InvalidCommand, match=r"^no event name, expected one at least$"):
            call()
    with pytest.raises(TypeError, match=r"^custom is str, expected a list of subclasses$"):
        event(custom="sofia::register")


@pytest.mark.parametrize("format", ["JSON", "yaml", ""])
def test_format_that_the_switch_does_not_have_is_refused(format: str) -> None:
    for call in (lambda: event("ALL", format=format), lambda: myevents(format=format)):
        with pytest.raises(InvalidCommand, match=r", expected 'plain', 'json' or 'xml'$"):
            call()


def test_myevents_takes_a_uuid_or_a_format() -> None:
    with pytest.raises(InvalidCommand, match="ignores a format after a uuid"):
        myevents("u-1", format="json")
    with pytest.raises(InvalidCommand, match="may take for a format"):
        myevents("JSON")


def test_filter_of_an_index_and_delete_of_everything_with_a_value_are_refused() -> None:
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
def test_words_for_which_the_switch_forgets_the_rest_are_refused(call: Any) -> None:
    with pytest.raises(InvalidCommand, match=r"both 'mod_event_socket' and 'reload' or 'unload'"):
        call()


def test_body_may_hold_the_words_for_which_the_switch_forgets_the_rest() -> None:
    assert sendevent("X", body="reload mod_event_socket").endswith(b"\n\nreload mod_event_socket")


def test_argument_with_a_nul_is_refused() -> None:
    for argument in ("a\0", "a\n\0b", " \0"):
        with pytest.raises(InvalidCommand, match="has a NUL in it, where the switch would cut it"):
            execute("set", argument)


def test_extension_without_application_is_refused() -> None:
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
def test_number(call: Any, low: int, high: int) -> None:
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
def test_flag_is_no_number(call: Any) -> None:
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
def test_only_a_flag_is_a_flag(call: Any, wrong: Any) -> None:
    with pytest.raises(TypeError, match=f" is {type(wrong).__name__}, expected bool$"):
        call(wrong)


def test_other_types_are_type_errors() -> None:
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


def test_size_of_a_command() -> None:
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


def test_size_of_a_body() -> None:
    for size in (limits.MAX_COMMAND_BODY_BYTES - 1, limits.MAX_COMMAND_BODY_BYTES):
        head = b"sendevent X\nContent-Length: %d\n\n" % size
        built = sendevent("X", body=bytes(size))
        assert (built[: len(head)], len(built)) == (head, len(head) + size)
    with pytest.raises(InvalidCommand) as caught:
        sendevent("X", body=bytes(limits.MAX_COMMAND_BODY_BYTES + 1))
    assert str(caught.value) == (
        "the body of a command has 16777217 bytes, expected no more than 16777216: the switch would close"
    )


def test_size_of_a_job_uuid() -> None:
    for size in (255, 256):
        assert bgapi("x", job_uuid="j" * size) == b"bgapi x\nJob-UUID: %b\n\n" % (b"j" * size)
    for job in ("j" * 257, "\u00e9" * 128 + "j"):
        with pytest.raises(InvalidCommand, match=r"^the Job-UUID has 257 bytes, expected no more than 256$"):
            bgapi("x", job_uuid=job)
