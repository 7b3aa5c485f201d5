"""The adapters inside the real clients: events, as the switch sent them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from adapters_support import END, Shown, captured, event_of, events_of, expected, need, text, wire_events
from adapters_support import client as client
from hypothesis import given
from hypothesis import strategies as st
from support import examples, frame, naive_frames, naive_unquote, plain

from eslcodec.emulator import Fault


@pytest.mark.parametrize(
    "name", ["sip_plain", "churn_plain", "special_plain", "log_and_events", "log_events", "bgapi_plain", "sendevent"]
)
def test_a_client_with_its_adapter_gets_every_event_of_a_captured_stream_as_the_switch_sent_it(
    client: Any, name: str
) -> None:
    stream = captured(name)
    wanted = [expected(client, block, body) for block, body in naive_frames(stream)]
    assert events_of(client, stream) == wanted


@pytest.mark.parametrize("name", ["sip_plain", "churn_plain", "special_plain", "log_and_events", "bgapi_plain"])
def test_nothing_changes_for_the_user_of_genesis(name: str) -> None:
    before, after = events_of(need("genesis"), captured(name), install=False), events_of("genesis", captured(name))
    assert after == before


@pytest.mark.parametrize("name", ["sip_plain", "churn_plain", "special_plain", "log_and_events"])
def test_nothing_changes_for_the_user_of_greenswitch_but_bodies_and_the_ends_of_lines(name: str) -> None:
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
def test_nothing_changes_for_the_user_of_switchio_but_the_ends_of_lines(name: str) -> None:
    before, after = events_of(need("switchio"), captured(name), install=False), events_of("switchio", captured(name))

    def without_line_ends(event: Shown) -> Shown:
        return {name: re.sub(r"[\r\n]", "", value).rstrip() for name, value in event[0].items()}, event[1]

    assert list(map(without_line_ends, after)) == list(map(without_line_ends, before))


# What was wrong


def test_a_percent_encoded_line_end_in_a_callers_name_forges_nothing(client: Any) -> None:
    payload = (
        b"Event-Name: CHANNEL_CREATE\nCaller-Caller-ID-Name: x%0AEvent-Name: FORGED%0A%0AContent-Length: 5\nA: b\n\n"
    )
    headers, body = event_of(client, payload)
    assert headers["Event-Name"] == "CHANNEL_CREATE"
    assert headers["Caller-Caller-ID-Name"] == "x\nEvent-Name: FORGED\n\nContent-Length: 5"
    assert headers["A"] == "b"
    assert body is None


def test_a_value_keeps_its_line_ends(client: Any) -> None:
    payload = b"Event-Name: X\nvariable_sdp: v%3D0%0D%0As%3D-%0D%0A\nLast: %20y%0A\n\n"
    headers, _ = event_of(client, payload)
    assert headers["variable_sdp"] == "v=0\r\ns=-\r\n"
    assert headers["Last"] == " y\n"


def test_a_body_is_neither_read_as_headers_nor_as_frames(client: Any) -> None:
    body = b"A: forged\nplain\n\n" + END + b"%41: \xc3\xa9\r\nContent-Length: 7\n\n"
    head = b"Event-Name: BACKGROUND_JOB\nA: real\nContent-Length: %d\n\n" % len(body)
    headers, shown = event_of(client, head + body)
    assert headers["A"] == "real"
    assert headers["Content-Length"] == str(len(body))
    assert set(headers) == {"Event-Name", "A", "Content-Length", "Content-Type"}
    assert shown == body.decode()


def test_a_log_line_with_header_lines_in_it_is_a_body(client: Any) -> None:
    line = b"[DEBUG] Content-Type: api/response\nContent-Length: 5\n\nx\n"
    ((headers, body),) = events_of(client, frame(b"Content-Type: log/data\nLog-Level: 7\nUser-Data: ", line))
    assert headers == {"Content-Type": "log/data", "Log-Level": "7", "User-Data": "", "Content-Length": str(len(line))}
    assert body == line.decode()


def test_bytes_that_are_not_utf_8_are_replaced_and_nothing_is_lost(client: Any) -> None:
    payload = b"Event-Name: X\nA: %FF%C3%A9\nB: \xff\nContent-Length: 2\n\n\xfe!"
    (headers, body), (line, message) = events_of(client, plain(payload) + frame(b"Content-Type: log/data", b"\xff\n"))
    assert (headers["A"], headers["B"]) == ("\ufffdé", "\ufffd")
    assert body is not None
    assert body.rstrip("\n") == "\ufffd!"
    assert (line["Content-Type"], message) == ("log/data", "\ufffd\n")


def test_text_that_is_not_ascii_shifts_nothing(client: Any) -> None:
    one = b"Event-Name: X\nvariable_n\xc3\xa4me: caf\xc3\xa9\n\n"
    events = events_of(client, plain(one) * 3)
    assert [headers["variable_näme"] for headers, _ in events] == ["café"] * 3


def test_a_value_goes_on_in_the_next_line(client: Any) -> None:
    payload = b"Event-Name: X\nvariable_sdp: v=0\no=- 1 1 IN IP4\na=rtpmap:0 PCMU/8000\na=X-nat:0\nLast: y\n\n"
    headers, _ = event_of(client, payload)
    ending = "\n" if client == "switchio" else ""  # its own way
    assert headers["variable_sdp"] == "v=0\no=- 1 1 IN IP4\na=rtpmap:0 PCMU/8000\na=X-nat:0" + ending
    assert headers["Last"] == "y"


def test_a_value_goes_on_in_the_next_line_even_if_that_has_a_colon(client: Any) -> None:
    headers, _ = event_of(client, b"Event-Name: X\nvariable_sdp: v=0\na=rtpmap:0 PCMU/8000\nLast: y\n\n")
    assert headers["variable_sdp"].rstrip("\n") == "v=0\na=rtpmap:0 PCMU/8000"
    assert headers["Last"] == "y"


def test_of_repeated_names_the_client_keeps_what_it_kept(client: Any) -> None:
    headers, _ = event_of(client, b"Event-Name: COMMAND\nEvent-Name: PRIVATE_COMMAND\nA: 1\nA: 2\nA: 3\n\n")
    names, values = (["COMMAND", "PRIVATE_COMMAND"], ["1", "2", "3"])
    assert headers["Event-Name"] == (names if client == "genesis" else names[-1])
    assert headers["A"] == (values if client == "genesis" else values[-1])


def test_outer_headers_are_percent_decoded(client: Any) -> None:
    data = b"Content-Type: text/disconnect-notice\nContent-Disposition: linger\nChannel-Name: a%20b%0Ac: d\n\n" + END
    events = wire_events(client, data, 2)
    assert events[0][0]["Channel-Name"] == "a b\nc: d"
    assert events[1][0]["Event-Subclass"] == "test::end"


def test_events_behind_a_linger_notice_arrive(client: Any) -> None:
    notice = (
        b"Content-Type: text/disconnect-notice\nContent-Disposition: linger\nLinger-Time: -1\nContent-Length: 0\n\n"
    )
    events = wire_events(client, notice + END * 2, 3)
    assert [headers.get("Event-Subclass") for headers, _ in events] == [None, "test::end", "test::end"]


def test_the_body_of_a_notice_does_not_become_a_header_of_the_next_frame(client: Any) -> None:
    notice = frame(b"Content-Type: text/disconnect-notice\nContent-Disposition: linger", b"Bye: now\n")
    events = wire_events(client, notice + END, 2)
    assert "Bye" not in events[0][0]
    assert events[1][0]["Event-Subclass"] == "test::end"
    assert "Bye" not in events[1][0]


def test_line_ends_before_a_frame_and_cr_lf_are_accepted(client: Any) -> None:
    data = b"\n\r\n" + END.replace(b"plain\n\n", b"plain\r\n\r\n").replace(b"\nContent", b"\r\nContent")
    events = wire_events(client, data, 1)
    assert events[0][0]["Event-Subclass"] == "test::end"


def test_two_thousand_events_in_one_chunk_all_arrive(client: Any) -> None:
    assert len(events_of(client, plain(b"Event-Name: X\nEvent-Sequence: 1\n\n") * 2000)) == 2000


def test_it_makes_no_difference_where_a_stream_is_cut(client: Any) -> None:
    stream = plain("Event-Name: X\nA: 1%0A2\nB: é\nContent-Length: 3\n\né\n".encode()) + captured("log_events")[:700]
    stream = b"".join(block + (body or b"") for block, body in naive_frames(stream))
    assert events_of(client, stream, fault=Fault.drip(1, every=0.0001)) == events_of(client, stream)


def test_a_large_body_arrives_whole(client: Any) -> None:
    body = b"row, 1: 2\n" * 419_430 + b"the end\n"
    head = b"Event-Name: BACKGROUND_JOB\nContent-Length: %d\n\n" % len(body)
    _, shown = event_of(client, head + body)
    assert shown == body.decode()


def test_names_are_as_on_the_wire(client: Any) -> None:
    headers, _ = event_of(client, b"Event-Name: X\nvariable_50%25: 50%25\nvariable_a:b: c\n\n")
    assert (headers["variable_50%25"], headers["variable_a:b"]) == ("50%", "c")


def test_blanks_at_the_ends_of_a_value_stay(client: Any) -> None:
    headers, _ = event_of(client, b"Event-Name: X\nA:  b \nC: %20d%20\n\n")
    assert (headers["A"], headers["C"]) == (" b ", " d ")


def test_a_header_line_may_be_long(client: Any) -> None:
    events = wire_events(client, b"X-Long: " + b"x" * 300_000 + b"\n" + END, 1)
    assert len(events[0][0]["X-Long"]) == 300_000


def test_a_value_of_many_lines_arrives_whole(client: Any) -> None:
    lines = [f"line {number}" for number in range(50_000)]
    headers, _ = event_of(client, "Event-Name: X\nA: {}\n\n".format("\n".join(lines)).encode())
    assert headers["A"].splitlines() == lines


def test_only_line_feeds_end_lines(client: Any) -> None:
    value = "a\x0bB: c\x1cD: e\x85F: g\u2028H: i"
    headers, _ = event_of(client, f"Event-Name: X\nA: {value}\nLast: y\n\n".encode())
    assert (headers["A"], headers["Last"]) == (value, "y")


def test_a_body_begins_at_a_blank_line_of_cr_lf(client: Any) -> None:
    headers, body = event_of(client, b"Event-Name: X\r\nContent-Length: 12\r\n\r\nA: 1\r\n\r\nB: 2\n")
    assert (headers["Event-Name"], headers["Content-Length"], body) == ("X", "12", "A: 1\r\n\r\nB: 2\n")


def test_where_the_headers_of_the_frame_stand(client: Any) -> None:
    headers, _ = event_of(client, b"Event-Name: X\nA: 1\n\n")
    assert list(headers) == ["Event-Name", "A", "Content-Length", "Content-Type"]


# How the clients understand lines


@examples(200)
@given(lines=st.lists(st.text("Aa :%0\n\té", min_size=1, max_size=9), max_size=6))
def test_a_line_without_colon_and_blank_continues_the_value_before_it(lines: Any) -> None:
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
