"""Commands: the switch reads one command with the same parts.

Those of the vectors, those that clients sent to a real switch, and whatever a builder takes.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from commands_support import ANY_TEXT, CLEAN_TEXT, assert_read_as_meant, build, built_again, calls, read, understood
from hypothesis import example, given
from hypothesis import strategies as st
from support import DATA, examples

from eslcodec import InvalidCommand
from eslcodec.commands import api, auth, bgapi, event, execute, filter, noevents, sendevent, sendmsg

# The vectors of kinds `emit` and `handshake`: the same bytes from a builder, or the reason why not

VECTORS = {
    vector["name"]: vector
    for vector in json.loads((DATA / "vectors.json").read_text())["vectors"]
    if vector["kind"] in ("emit", "handshake")
}
LINE_ENDS = "line ends behind a command, which the switch skips"
BLANK = "a trailing blank, which the switch drops"
NO_HEADER = "an empty value, which is no header for the switch: it is left out"
WITHOUT_ADD = "the word `add` may be left out, but for headers named `add` and `delete`"
CUT = "the official library cuts what does not fit its buffer"
INJECTION = "a line end in a part adds a header or a command"

OTHERWISE: dict[str, tuple[str, Any, Any]] = {  # name: reason, call, what comes of it
    "emit_send_one_lf": (LINE_ENDS, noevents, b"noevents\n\n"),
    "emit_send_crlf_crlf": ("CR LF line ends", noevents, b"noevents\n\n"),
    "emit_sendRecv": (WITHOUT_ADD, lambda: filter("Event-Name", "DTMF"), b"filter add Event-Name DTMF\n\n"),
    "emit_filter": (WITHOUT_ADD, lambda: filter("Unique-ID", "u-1"), b"filter add Unique-ID u-1\n\n"),
    "emit_filter_none": ("the vector recommends an error", lambda: filter("A", None), TypeError),
    "emit_api_no_arg": (BLANK, lambda: api("status"), b"api status\n\n"),
    "emit_api_none_arg": (BLANK, lambda: api("status"), b"api status\n\n"),
    "emit_bgapi_empty_arg_and_job": (NO_HEADER, lambda: bgapi("a", "", job_uuid=""), InvalidCommand),
    "emit_execute_empty_arg": (
        NO_HEADER,
        lambda: execute("answer", "", uuid="u-1"),
        b"sendmsg u-1\ncall-command: execute\nexecute-app-name: answer\n\n",
    ),
    "emit_events_truncated_1023": (
        CUT,
        lambda: event("x" * 1100, format="plain"),
        b"event plain %b\n\n" % (b"x" * 1100),
    ),
    "emit_execute_arg_truncated_loses_lf": (
        CUT,
        lambda: execute("a", "b" * 4090, uuid="u", event_lock=True),
        b"sendmsg u\ncall-command: execute\nexecute-app-name: a\nexecute-app-arg: %b\nevent-lock: true\n\n"
        % (b"b" * 4090),
    ),
    "emit_sendevent_lf_injection": (
        INJECTION,
        lambda: sendevent("CUSTOM", {"Event-Name": "CUSTOM", "A": "x\nInjected: 1"}, subclass="s"),
        InvalidCommand,
    ),
    "emit_sendevent_body": (
        LINE_ENDS,
        lambda: sendevent("NOTIFY", {"Event-Name": "NOTIFY", "user": "1000"}, "OK"),
        b"sendevent NOTIFY\nEvent-Name: NOTIFY\nuser: 1000\nContent-Length: 2\n\nOK",
    ),
    "emit_sendevent_body_ending_lf": (
        LINE_ENDS,
        lambda: sendevent("NOTIFY", {"Event-Name": "NOTIFY"}, "OK\n"),
        b"sendevent NOTIFY\nEvent-Name: NOTIFY\nContent-Length: 3\n\nOK\n",
    ),
    "emit_sendevent_own_content_length": (
        "the length twice makes the switch read two bodies; the vector recommends to drop the caller's",
        lambda: sendevent("DTMF", {"Event-Name": "DTMF", "content-length": "2"}, "OK"),
        b"sendevent DTMF\nEvent-Name: DTMF\nContent-Length: 2\n\nOK",
    ),
    "emit_sendmsg_keeps_event_name": (
        "the order of a message's headers is ours",
        lambda: sendmsg("nomedia", {"Event-Name": "SEND_MESSAGE"}, uuid="u-1"),
        b"sendmsg u-1\ncall-command: nomedia\nEvent-Name: SEND_MESSAGE\n\n",
    ),
    "handshake_password_injection": (INJECTION, lambda: auth("a\n\nexit"), InvalidCommand),
}


def wire_of(vector: dict[str, Any]) -> bytes:
    if "expect_wire" in vector or "client_sends" in vector:
        return (vector.get("expect_wire") or "".join(vector["client_sends"])).encode("latin-1")
    head, tail = (vector[f"expect_wire_{end}"].encode("latin-1") for end in ("head", "tail"))
    return head + head[-1:] * (vector["expect_wire_length"] - len(head) - len(tail)) + tail


@pytest.mark.parametrize("name", VECTORS)
def test_vector(name: Any) -> None:
    wire = wire_of(VECTORS[name])
    if name not in OTHERWISE:
        assert b"".join(built_again(understood(command)) for command in read(wire)) == wire
        return
    reason, call, outcome = OTHERWISE[name]
    assert outcome != wire, f"{reason}: but it is the same"
    if isinstance(outcome, type):
        with pytest.raises(outcome):
            call()
    else:
        assert call() == outcome
    if reason in (LINE_ENDS, BLANK, NO_HEADER, WITHOUT_ADD) and not isinstance(outcome, type):
        assert [understood(command) for command in read(outcome)] == [understood(command) for command in read(wire)]


def test_every_vector_that_is_otherwise_exists() -> None:
    assert set(OTHERWISE) <= set(VECTORS)
    assert len(VECTORS) == 43 + 9


# What clients sent to a real switch: the same bytes from a builder, the same meaning, or no command

SPELLED = {  # what the switch reads as ours: reason -> how it looks
    "line ends are CR LF": rb"\r\n\r\n\Z",
    "`filter` without `add`": rb"\Afilter (?!add |delete )\S+ ",
    "a word in upper case, with more behind it, or `...`": rb"\A(API |events |nixevents |\.\.\.)",
    "Content-Length in lower case, or before other headers": rb"\ncontent-length: |\nContent-Length: 12\nX-After-CL:",
    "headers that are none for the switch, blanks that it drops": rb"\n(no colon header|X-Empty: )\n",
    "an array by indexed names, an empty value": rb"\nempty: \nArr\[0\]: x\nArr\[1\]: y\n",
    "userauth with the password before the domain": rb"\Auserauth admin:adminpw@test\.local\n",
    "the command that the switch rewrites; a builder has it as it is": rb"\Aapi reload mod_event_socket\n",
}
NO_COMMAND = {  # what is wrong on purpose: reason -> the bytes
    "a part is missing": rb"(api ?|bgapi|event( plain)?|nixevent|filter( delete)?|getvar|divert_events)\n\n",
    "filter without value": rb"filter (x|X|Event-Name)\n\n",
    "not on or off": rb"divert_events bogus\n\n",
    "two blanks": rb"(api  status|filter  delete  Event-Name CHANNEL_EXECUTE)\n\n",
    "no such command": rb"(foo|FOO BAR|bogus command|nosuch[0-9]|[ \t]api status|apistatus|x+)\n\n",
    "a format after a uuid": rb"myevents nosuchuuid json\n\n",
    "words behind the level": rb"log 7 extra\n\n",
    "an event without name": rb"sendevent\nx: 1\n\n",
    "neither domain nor password": rb"userauth admin\n\n",
    "a length with which the switch closes": rb"api echo hi\nContent-Length: -1\n\n",
}
CAPTURES = sorted(path.name.removesuffix(".tx.json") for path in (DATA / "captures").glob("*.tx.json"))


def sent(name: str) -> bytes:
    writes = json.loads((DATA / "captures" / f"{name}.tx.json").read_text())
    return "".join(write["bytes"] for write in writes).encode("latin-1")


def known_reasons(reasons: dict[str, bytes], raw: bytes, match: Any) -> list[str]:
    return [reason for reason, pattern in reasons.items() if match(pattern, raw)]


@pytest.mark.parametrize("name", CAPTURES)
def test_captured_commands_are_built_again(name: Any) -> None:
    for command in read(sent(name)):
        meaning = understood(command)
        wrong = known_reasons(NO_COMMAND, command.raw, re.fullmatch)
        spelled = known_reasons(SPELLED, command.raw, re.search)
        try:
            built = None if meaning is None else built_again(meaning)
        except InvalidCommand:
            built = None
        assert (built is None) == (len(wrong) == 1), command.raw
        if built is not None:
            assert (built != command.raw) == (len(spelled) == 1), command.raw
            assert [understood(again) for again in read(built)] == [meaning]


def test_every_reason_is_needed_and_every_builder_occurs() -> None:
    every = [command for name in CAPTURES for command in read(sent(name))]
    for reasons, match in ((SPELLED, re.search), (NO_COMMAND, re.fullmatch)):
        for reason, pattern in reasons.items():
            assert any(match(pattern, command.raw) for command in every), reason
    occurring = {meaning.builder for meaning in map(understood, every) if meaning is not None}
    assert occurring == {
        *("auth", "userauth", "exit", "api", "bgapi", "event", "nixevent", "noevents", "myevents", "divert_events"),
        *("filter", "filter_delete", "sendevent", "sendmsg", "log", "nolog", "linger", "nolinger", "connect", "getvar"),
        "resume",
    }


@examples(500)
@given(calls(ANY_TEXT))
@example(("xferext", {"applications": [("ARRAY::", "|:")]}))
def test_any_text_is_refused_or_read_as_meant(call: Any) -> None:
    try:
        built = build(*call)
    except InvalidCommand:
        return
    assert_read_as_meant(call, built)


@examples(500)
@given(calls(CLEAN_TEXT))
def test_clean_text_is_taken_and_read_as_meant(call: Any) -> None:
    assert_read_as_meant(call, build(*call))


@examples(500)
@given(st.sampled_from(["set", "x"]), st.one_of(ANY_TEXT, st.text()))
def test_argument_is_refused_or_reaches_the_application(application: Any, argument: Any) -> None:
    try:
        built = execute(application, argument)
    except InvalidCommand:
        assert re.search("[\0\ud800-\udc7f\udd00-\udfff]", argument) or "mod_event_socket" in argument
        return
    assert_read_as_meant(("execute", {"application": application, "argument": argument}), built)
