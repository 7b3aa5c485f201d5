"""What `repr`, `str` and `print` say: what a thing is, on one bounded line that a terminal can show, and no secret."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import decode, frame, plain, plugin_option

import eslcodec

UUID = "8f08a03a-7c5e-4b8e-9d2b-0c7a9f3b1e11"
LONGEST = 400  # characters of any of them


def one(esl: ModuleType, data: Any) -> Any:
    (message,) = decode(esl, data)
    return message


def reply(esl: ModuleType, text: Any) -> Any:
    return one(esl, b"Content-Type: command/reply\nReply-Text: " + text + b"\n\n")


def api(esl: ModuleType, text: Any) -> Any:
    return one(esl, frame(b"Content-Type: api/response", text))


def test_event(esl: ModuleType) -> None:
    payload = b"Event-Name: CHANNEL_ANSWER\nEvent-Sequence: 18378\nUnique-ID: %b\n\n" % UUID.encode()
    assert repr(one(esl, plain(payload))) == f"<Event CHANNEL_ANSWER #18378 {UUID}>"
    assert str(one(esl, plain(payload))) == f"<Event CHANNEL_ANSWER #18378 {UUID}>"


@pytest.mark.parametrize(
    ("payload", "shown"),
    [
        (b"Event-Name: HEARTBEAT\n\n", "HEARTBEAT"),
        (
            b"Event-Name: CUSTOM\nEvent-Subclass: sofia%3A%3Aregister\nEvent-Sequence: 7\n\n",
            "CUSTOM sofia::register #7",
        ),
        (b"Event-Name: BACKGROUND_JOB\nJob-UUID: 7f4d\n\n+OK\n", "BACKGROUND_JOB 7f4d"),
        (b"A: 1\n\n", "(no name)"),
        (b"\n", "(no name)"),
        (b"Event-Name: \n\n", "(no name)"),
        (b"Event-Name: DTMF\nEvent-Sequence: many\nUnique-ID: a%0Ab%1B[2J\n\n", "DTMF 'a...'"),
        (b"Event-Name: a%1B%5B2J%E2%80%AE%9B\n\n", r"'a\x1b[2J\u202e\udc9b'"),
        (b"Event-Name: DTMF> <Event TALK\n\n", "'DTMF> <Event TALK'"),
        (b"Event-Name: " + b"X" * 100 + b"\n\n", f"'{'X' * 60}...'"),
    ],
)
def test_event_that_says_more_less_or_something_odd(esl: ModuleType, payload: bytes, shown: str) -> None:
    assert repr(esl.Event.from_payload(payload, "plain")) == f"<Event {shown}>"


def test_event_of_every_format(esl: ModuleType) -> None:
    for payload, format in (
        (b'{"Event-Name":"DTMF","Event-Sequence":"5","Unique-ID":"a1"}', "json"),
        (
            b"<event><headers><Event-Name>DTMF</Event-Name><Event-Sequence>5</Event-Sequence>"
            b"<Unique-ID>a1</Unique-ID></headers></event>",
            "xml",
        ),
    ):
        assert repr(esl.Event.from_payload(payload, format)) == "<Event DTMF #5 a1>"
        broken = esl.Event.from_payload(payload[:-3], format)
        assert repr(broken) == f"<Event malformed text/event-{format} of {len(broken.frame)} bytes>"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (b"+OK accepted", "ok '+OK accepted'"),
        (b"-ERR no reply", "-ERR 'no reply'"),
        (b"-ERR", "-ERR ''"),
        (b"a value", "ok 'a value'"),
        (b"-ERR \x1b[2J", r"-ERR '\x1b[2J'"),
    ],
)
def test_command_reply(esl: ModuleType, text: bytes, shown: str) -> None:
    assert repr(reply(esl, text)) == f"<CommandReply {shown}>"


def test_reply_to_connect(esl: ModuleType) -> None:
    head = b"Event-Name: CHANNEL_DATA\nUnique-ID: a1\nContent-Type: command/reply\nReply-Text: %2BOK%0A\n\n"
    assert repr(one(esl, head)) == "<CommandReply ok '+OK' CHANNEL_DATA a1>"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (b"UP 0 years, 0 days\nFreeSWITCH is ready\n", "ok 'UP 0 years, 0 days...'"),
        (b"\n\n0 total.\n", "ok '0 total.'"),
        (b"+OK\n", "ok '+OK'"),
        (b"-ERR no such channel\n", "-ERR 'no such channel'"),
        (b"-USAGE: <uuid> [cause]\n", "-USAGE '<uuid> [cause]'"),
        (b"", "ok ''"),
        (b"x" * 101, f"ok '{'x' * 100}...'"),
        (b"\xff\xc3\xab", r"ok '\udcffë'"),
    ],
)
def test_api_response(esl: ModuleType, text: bytes, shown: str) -> None:
    assert repr(api(esl, text)) == f"<ApiResponse {shown}>"


def test_print_shows_what_an_api_command_said(esl: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    print(api(esl, b"UP 0 years, 0 days, 1 hour\nFreeSWITCH (Version 1.11) is ready\n"))
    assert capsys.readouterr().out == "<ApiResponse ok 'UP 0 years, 0 days, 1 hour...'>\n"


def test_job_result(esl: ModuleType) -> None:
    for body, shown in ((b"+OK 4a1c\n", "ok '+OK 4a1c'"), (b"-ERR USER_BUSY\n", "-ERR 'USER_BUSY'"), (b"", "ok ''")):
        event = esl.Event.build("BACKGROUND_JOB", {"Job-UUID": "7f4d"}, body)
        assert repr(esl.JobResult.of(event)) == f"<JobResult 7f4d {shown}>"


def test_gap(esl: ModuleType) -> None:
    assert repr(esl.Gap.of(2.9971, "timed out\nwhile reading")) == "<Gap 2.997 s: timed out while reading>"
    assert repr(esl.Gap.of(0, "\x1b[2J" + "x" * 200)) == rf"<Gap 0.000 s: \x1b[2J{'x' * 93}...>"
    assert repr(esl.Gap(*reply(esl, b"+OK").__reduce__()[1])) == "<Gap ? s: ?>"  # which is none


def test_log_line(esl: ModuleType) -> None:
    head = b"Content-Type: log/data\nLog-Level: %b\nLog-File: mod.c\nLog-Line: 7\nUser-Data: a1"
    assert repr(one(esl, frame(head % b"4", b"hello\n"))) == "<LogLine WARNING mod.c:7 'hello' a1>"
    assert repr(one(esl, frame(head % b"11", b"hello\n"))) == "<LogLine 11 mod.c:7 'hello' a1>"
    assert repr(one(esl, frame(b"Content-Type: log/data", b""))) == "<LogLine ? ''>"


def test_notices(esl: ModuleType) -> None:
    head = b"Content-Type: text/disconnect-notice\nControlled-Session-UUID: a1\nContent-Disposition: "
    assert repr(one(esl, frame(head + b"linger", b"Lingering\n"))) == "<DisconnectNotice linger 'Lingering' a1>"
    assert repr(one(esl, frame(head + b"disconnect", b"Bye\n\n"))) == "<DisconnectNotice final 'Bye' a1>"
    assert repr(one(esl, b"Content-Type: auth/request\n\n")) == "<AuthRequest>"
    refused = frame(b"Content-Type: text/rude-rejection", b"Access Denied, go away.\n")
    assert repr(one(esl, refused)) == "<RudeRejection 'Access Denied, go away.'>"


def test_other_messages(esl: ModuleType) -> None:
    assert repr(esl.Message(b"\n\n")) == "<Message of 2 bytes>"
    assert repr(esl.Message(b"Content-Type: a/b\n\n", b"x")) == "<Message a/b of 20 bytes>"
    assert repr(esl.Message(b"Content-Type: a\x1bb\n\n")) == r"<Message 'a\x1bb' of 19 bytes>"


def test_message_that_is_not_made_yet(esl: ModuleType) -> None:
    for kind in (esl.Message, esl.Event, esl.ApiResponse, esl.Gap, esl.AuthRequest):
        assert repr(kind.__new__(kind)) == f"<{kind.__name__} not made yet>"


def subscriptions(esl: ModuleType) -> Any:
    return importlib.import_module(f"{esl.__name__}.subscriptions").Subscriptions()


def test_subscriptions(esl: ModuleType) -> None:
    wanted = subscriptions(esl)
    assert repr(wanted) == str(wanted) == "<Subscriptions nothing>"
    wanted.add(["all"], ["sofia::register"], "json")
    wanted.remove(["HEARTBEAT"])
    wanted.channel = ""
    wanted.filters.append(("Unique-ID", "a\x1b1"))
    wanted.log_level = "info"
    assert repr(wanted) == (
        r"<Subscriptions json ALL sofia::register -HEARTBEAT myevents filter Unique-ID: 'a\x1b1' log info>"
    )
    wanted = subscriptions(esl)
    wanted.channel = UUID
    assert repr(wanted) == f"<Subscriptions myevents {UUID}>"


def test_subscriptions_are_shown_in_part_if_they_are_many(esl: ModuleType) -> None:
    wanted = subscriptions(esl)
    wanted.add([f"EVENT_{number:03}" for number in range(400)])
    assert repr(wanted).endswith("EVENT_028 EVENT_029 and 370 more>")
    wanted.add(["x" * 10_000])
    wanted.filters += [("a", "b" * 10_000)] * 1000
    assert len(repr(wanted)) < LONGEST


def test_no_secret_is_shown(esl: ModuleType) -> None:
    """What a switch sends of them stands in headers that are not shown."""
    headers = {
        "Event-Sequence": 5,
        "variable_sip_auth_password": "hunter2",
        "variable_sip_h_Authorization": "hunter2",
        "DTMF-Digit": "hunter2",
        "API-Command-Argument": "hunter2",
        "Application-Data": "hunter2",
        "Caller-Caller-ID-Name": "hunter2",
    }
    for format in ("plain", "json", "xml"):
        event = esl.Event.build("CHANNEL_EXECUTE", headers, "hunter2")
        assert repr(esl.Event.from_payload(event.serialize(format), format)) == "<Event CHANNEL_EXECUTE #5>"
    granted = one(esl, b"Content-Type: command/reply\nReply-Text: +OK accepted\nAllowed-API: hunter2\n\n")
    assert repr(granted) == "<CommandReply ok '+OK accepted'>"


TYPES = [
    b"text/event-plain",
    b"text/event-json",
    b"text/event-xml",
    b"command/reply",
    b"api/response",
    b"log/data",
    b"text/disconnect-notice",
    b"text/rude-rejection",
    b"auth/request",
    b"\x1b",
]
NAMES = [
    b"Event-Name",
    b"Event-Subclass",
    b"Event-Sequence",
    b"Unique-ID",
    b"Reply-Text",
    b"Job-UUID",
    b"Log-Level",
    b"Log-File",
    b"Log-Line",
    b"User-Data",
    b"Gap-Seconds",
    b"Controlled-Session-UUID",
]
VALUES = st.binary(max_size=300).map(lambda value: value.replace(b"\n", b"\x1b").replace(b"\r", b"\x9b"))


@given(st.sampled_from(TYPES), st.lists(st.tuples(st.sampled_from(NAMES), VALUES)), st.binary(max_size=300))
def test_any_message_is_shown_alike_on_one_short_printable_line(
    both: tuple[ModuleType, ModuleType], content_type: Any, headers: Any, body: Any
) -> None:
    lines = b"".join(b"%b: %b\n" % header for header in headers)
    shown = []
    for esl in both:
        head = b"Content-Type: %b\n%bContent-Length: %d\n\n" % (content_type, lines, len(lines) + 1 + len(body))
        (message,) = decode(esl, head + lines + b"\n" + body)
        shown.append(repr(message))
        again = esl.Gap(*message.__reduce__()[1])
        shown.append(f"{message!s} {again!r}")
    assert shown[:2] == shown[2:]
    for text in shown:
        assert text.isprintable()
        assert len(text) < 2 * LONGEST


# What pytest shows of two messages that are not equal


def compared(esl: ModuleType, left: Any, right: Any) -> Any:
    assert left != right
    plugin = importlib.import_module(f"{esl.__name__}.pytest_plugin")
    first, *lines = plugin.pytest_assertrepr_compare("==", left, right)
    assert first == f"{left!r} == {right!r}"
    return lines


def test_headers_and_bodies_that_differ(esl: ModuleType) -> None:
    build = esl.Event.build
    ours = build("DTMF", {"Unique-ID": "a1", "A": "x", "Only": "o", "R": ["1", "2"]}, "body")
    theirs = build("DTMF", [("Unique-ID", "a1"), ("A", "\x1by"), ("R", "1"), ("R", "2"), ("More", "")], "bodY")
    assert compared(esl, ours, theirs) == [
        "equal headers: 3; these are not:",
        r"A: 'x' != '\x1by'",
        "Only: 'o' != (absent)",
        "R: 'ARRAY::1|:2' != ['1', '2']",
        "More: (absent) != ''",
        "body: b'body' != b'bodY'",
    ]
    assert compared(esl, build("A"), build("B")) == ["Event-Name: 'A' != 'B'"]
    assert compared(esl, build("A", (), "x"), build("A")) == [
        "equal headers: 1; these are not:",
        "Content-Length: '1' != (absent)",
        "body: b'x' != (absent)",
    ]


def test_long_values_are_shown_from_where_they_differ(esl: ModuleType) -> None:
    ours, theirs = (esl.Event.build("A", {"Name": "v=0" * 50 + end}, "b" * 90 + end) for end in ("x" * 200, "y"))
    assert compared(esl, ours, theirs)[1:] == [
        f"Name: '{'x' * 80}'... != 'y' from 150 on",
        "Content-Length: '290' != '91'",
        f"body: b'{'x' * 80}'... != b'y' from 90 on",
    ]
    ours, theirs = (esl.Event.build("A", {"Name": "v" * size}) for size in (100, 101))
    assert compared(esl, ours, theirs)[1] == "Name: '' != 'v' from 100 on"


def test_messages_that_differ_in_how_they_are_written(esl: ModuleType) -> None:
    read = esl.Event.from_payload
    assert compared(esl, esl.Event.build("A", {"x": 1, "y": 2}), esl.Event.build("A", {"y": 2, "x": 1})) == [
        "the same headers in another order: 'x' != 'y' at 1"
    ]
    assert compared(esl, read(b"A: %2b\n\n", "plain"), read(b"A: %2B\n\n", "plain")) == [
        r"the same headers, written in another way: b'A: %2b\n\n' != b'A: %2B\n\n'"
    ]
    assert compared(esl, read(b"A: 1\n\n", "plain"), read(b'{"A":"1"}', "json")) == [
        "Content-Type of the frame: 'text/event-plain' != 'text/event-json'"
    ]
    assert compared(esl, read(b"{", "json"), read(b'{"A":"1"}', "json"))[0].startswith("malformed: ")
    job = esl.JobResult.of(read(b"A: 1\n\n", "plain"))
    assert compared(esl, job, read(b"A: 1\n\n", "plain")) == ["kind: JobResult != Event"]


def test_pytest_has_its_own_way_with_everything_else(esl: ModuleType) -> None:
    plugin = importlib.import_module(f"{esl.__name__}.pytest_plugin")
    event = esl.Event.build("A")
    for op, left, right in (("!=", event, event), ("==", event, {}), ("==", 1, event), ("in", event, [])):
        assert plugin.pytest_assertrepr_compare(op, left, right) is None


def test_pytest_shows_it(tmp_path: Path) -> None:
    (tmp_path / "test_user.py").write_text(
        "from eslcodec import Event\n"
        "def test_events():\n"
        "    assert Event.build('DTMF', {'DTMF-Digit': '1'}) == Event.build('DTMF', {'DTMF-Digit': '#'})\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugin_option(), "-p", "no:cacheprovider", "test_user.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(eslcodec.__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    assert "DTMF-Digit: '1' != '#'" in done.stdout, done.stdout + done.stderr
