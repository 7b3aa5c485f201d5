"""What a real FreeSWITCH sent (tests/data/captures/README.md) decodes to the last byte, however it arrives."""

from __future__ import annotations

import importlib.util
from collections import Counter
from types import ModuleType
from typing import Any

import pytest
from support import DATA, LONG, capture, captured, naive_frames, open_capture, pieces

# name: (bytes, messages by kind)
CAPTURES = {
    "api": (64746, {"ApiResponse": 33, "AuthRequest": 1, "CommandReply": 3, "DisconnectNotice": 1}),
    "api_console_execute": (756, {"ApiResponse": 2, "AuthRequest": 1, "CommandReply": 2, "DisconnectNotice": 1}),
    "api_large": (1238804, {"ApiResponse": 3, "AuthRequest": 1, "CommandReply": 2, "DisconnectNotice": 1}),
    "auth_crlf": (669, {"ApiResponse": 1, "AuthRequest": 1, "CommandReply": 2, "DisconnectNotice": 1}),
    "auth_invalid": (206, {"AuthRequest": 1, "CommandReply": 1, "DisconnectNotice": 1}),
    "auth_late": (319, {"AuthRequest": 1, "CommandReply": 3, "DisconnectNotice": 1}),
    "bgapi_json": (122539, {"AuthRequest": 1, "CommandReply": 14, "DisconnectNotice": 1, "Event": 10}),
    "bgapi_nonsubscribed": (394, {"AuthRequest": 1, "CommandReply": 3, "DisconnectNotice": 1}),
    "bgapi_plain": (114342, {"AuthRequest": 1, "CommandReply": 14, "DisconnectNotice": 1, "Event": 10}),
    "callcenter": (
        6951622,
        {"ApiResponse": 64, "AuthRequest": 1, "CommandReply": 4, "DisconnectNotice": 1, "Event": 1813},
    ),
    "calls_sip": (40606535, {"AuthRequest": 1, "CommandReply": 4, "DisconnectNotice": 1, "Event": 8153}),
    "calls_sip_json": (41581353, {"AuthRequest": 1, "CommandReply": 4, "DisconnectNotice": 1, "Event": 8164}),
    "churn_json": (3997187, {"AuthRequest": 1, "CommandReply": 2, "Event": 1656}),
    "churn_plain": (11998259, {"AuthRequest": 1, "CommandReply": 2, "Event": 5192}),
    "churn_xml": (2995482, {"AuthRequest": 1, "CommandReply": 2, "Event": 767}),
    "commands_inbound": (
        36489,
        {"ApiResponse": 6, "AuthRequest": 1, "CommandReply": 48, "DisconnectNotice": 1, "Event": 1},
    ),
    "concurrent_commands": (
        9066,
        {"ApiResponse": 12, "AuthRequest": 1, "CommandReply": 32, "DisconnectNotice": 1, "Event": 9},
    ),
    "conference": (
        730013,
        {"ApiResponse": 36, "AuthRequest": 1, "CommandReply": 4, "DisconnectNotice": 1, "Event": 280},
    ),
    "conference_xml": (1259972, {"AuthRequest": 1, "CommandReply": 4, "DisconnectNotice": 1, "Event": 280}),
    "crlf_json": (115289, {"ApiResponse": 3, "AuthRequest": 1, "CommandReply": 4, "DisconnectNotice": 1, "Event": 48}),
    "event_commands": (3280, {"AuthRequest": 1, "CommandReply": 45, "DisconnectNotice": 1}),
    "exit_variants": (255, {"AuthRequest": 1, "CommandReply": 2, "DisconnectNotice": 1}),
    "filter_works": (158597, {"AuthRequest": 1, "CommandReply": 5, "DisconnectNotice": 1, "Event": 70}),
    "getvar_breaks_framing": (
        5633,
        {"AuthRequest": 1, "CommandReply": 5, "DisconnectNotice": 1, "Event": 1, "Message": 1},
    ),
    "limits": (4723, {"AuthRequest": 1, "CommandReply": 8, "DisconnectNotice": 1, "Event": 2}),
    "log_and_events": (
        221584,
        {"ApiResponse": 1, "AuthRequest": 1, "CommandReply": 6, "DisconnectNotice": 1, "Event": 81, "LogLine": 33},
    ),
    "log_events": (871932, {"AuthRequest": 1, "CommandReply": 6, "DisconnectNotice": 1, "Event": 244, "LogLine": 546}),
    "log_only": (81612, {"AuthRequest": 1, "CommandReply": 13, "DisconnectNotice": 1, "LogLine": 252}),
    "lowlevel": (
        10238467,
        {
            **{"ApiResponse": 42, "AuthRequest": 1, "CommandReply": 18, "DisconnectNotice": 1},
            **{"Event": 2101, "LogLine": 846},
        },
    ),
    "malformed": (1288, {"ApiResponse": 6, "AuthRequest": 1, "CommandReply": 7, "DisconnectNotice": 1}),
    "myevents_inbound": (
        21972,
        {"AuthRequest": 1, "CommandReply": 21, "DisconnectNotice": 1, "Event": 5, "Message": 1},
    ),
    "out_async_full": (42046, {"ApiResponse": 2, "CommandReply": 16, "DisconnectNotice": 2, "Event": 13}),
    "out_async_nolinger": (22897, {"CommandReply": 2, "DisconnectNotice": 1, "Event": 7}),
    "out_async_nolinger_cmd": (23009, {"CommandReply": 4, "DisconnectNotice": 1, "Event": 7}),
    "out_myevents_json": (95786, {"CommandReply": 7, "DisconnectNotice": 2, "Event": 20}),
    "out_myevents_plain": (93807, {"CommandReply": 7, "DisconnectNotice": 2, "Event": 19}),
    "out_no_connect": (7864, {"ApiResponse": 1, "CommandReply": 3, "DisconnectNotice": 1}),
    "out_path": (3945, {"CommandReply": 4, "DisconnectNotice": 1}),
    "out_silent_client": (218, {"DisconnectNotice": 1}),
    "out_single_channel": (12596, {"CommandReply": 12, "DisconnectNotice": 1, "Event": 3}),
    "out_sync": (21589, {"ApiResponse": 1, "CommandReply": 8, "DisconnectNotice": 1, "Event": 6}),
    "out_sync_hangup_midway": (12737, {"CommandReply": 4, "DisconnectNotice": 2, "Event": 3}),
    "out_unicast": (23275, {"CommandReply": 6, "DisconnectNotice": 2, "Event": 7}),
    "outbound_async_full_plain": (46952, {"ApiResponse": 1, "CommandReply": 17, "DisconnectNotice": 2, "Event": 15}),
    "outbound_async_json_linger2": (36946, {"CommandReply": 6, "DisconnectNotice": 2, "Event": 11}),
    "outbound_async_xml_nolinger": (58947, {"CommandReply": 5, "DisconnectNotice": 1, "Event": 11}),
    "outbound_sync_full": (17372, {"CommandReply": 5, "DisconnectNotice": 1, "Event": 5}),
    "outbound_sync_single_channel": (3957, {"CommandReply": 6, "DisconnectNotice": 1}),
    "registrations": (
        336295,
        {"ApiResponse": 11, "AuthRequest": 1, "CommandReply": 7, "DisconnectNotice": 1, "Event": 284},
    ),
    "restart_recover_after": (
        2063932,
        {"ApiResponse": 4, "AuthRequest": 1, "CommandReply": 4, "DisconnectNotice": 1, "Event": 362},
    ),
    "restart_recover_before": (2117648, {"ApiResponse": 1, "AuthRequest": 1, "CommandReply": 2, "Event": 466}),
    "rude_rejection": (202, {"DisconnectNotice": 1, "RudeRejection": 1}),
    "sendevent": (7453, {"AuthRequest": 1, "CommandReply": 13, "DisconnectNotice": 1, "Event": 10}),
    "sendevent_xml": (6269, {"AuthRequest": 1, "CommandReply": 8, "DisconnectNotice": 1, "Event": 5}),
    "sendmsg_event_lock_order": (45490, {"AuthRequest": 1, "CommandReply": 9, "DisconnectNotice": 1, "Event": 16}),
    "server_stop_reload": (342, {"ApiResponse": 1, "AuthRequest": 1, "CommandReply": 2, "DisconnectNotice": 1}),
    "shutdown_plain": (1096863, {"AuthRequest": 1, "CommandReply": 3, "DisconnectNotice": 1, "Event": 1818}),
    "sip_json": (3998376, {"AuthRequest": 1, "CommandReply": 2, "Event": 785}),
    "sip_plain": (11997693, {"AuthRequest": 1, "CommandReply": 2, "Event": 2819}),
    "sip_xml": (2993690, {"AuthRequest": 1, "CommandReply": 2, "Event": 317}),
    "slow_client_killed": (4794631, {"AuthRequest": 1, "CommandReply": 2, "Event": 7951}),
    "special_json": (
        239082,
        {"ApiResponse": 1, "AuthRequest": 1, "CommandReply": 7, "DisconnectNotice": 1, "Event": 88},
    ),
    "special_plain": (
        225785,
        {"ApiResponse": 1, "AuthRequest": 1, "CommandReply": 7, "DisconnectNotice": 1, "Event": 85},
    ),
    "special_xml": (
        394762,
        {"ApiResponse": 1, "AuthRequest": 1, "CommandReply": 7, "DisconnectNotice": 1, "Event": 85},
    ),
    "transfer_hold": (
        13776966,
        {"ApiResponse": 43, "AuthRequest": 1, "CommandReply": 15, "DisconnectNotice": 1, "Event": 2721},
    ),
    "transfer_hold_json": (14260184, {"AuthRequest": 1, "CommandReply": 4, "DisconnectNotice": 1, "Event": 2721}),
    "unauthed_commands": (668, {"ApiResponse": 1, "AuthRequest": 1, "CommandReply": 6, "DisconnectNotice": 1}),
    "userauth": (945, {"ApiResponse": 1, "AuthRequest": 1, "CommandReply": 5, "DisconnectNotice": 1}),
    "userauth_longlist": (896, {"AuthRequest": 1, "CommandReply": 2, "DisconnectNotice": 1}),
    "userauth_ok": (528, {"ApiResponse": 1, "AuthRequest": 1, "CommandReply": 3, "DisconnectNotice": 1}),
    "userauth_variant_0": (206, {"AuthRequest": 1, "CommandReply": 1, "DisconnectNotice": 1}),
    "userauth_variant_1": (206, {"AuthRequest": 1, "CommandReply": 1, "DisconnectNotice": 1}),
    "userauth_variant_2": (206, {"AuthRequest": 1, "CommandReply": 1, "DisconnectNotice": 1}),
    "userauth_variant_3": (137, {"AuthRequest": 1, "CommandReply": 1}),
}

LEFT = {"slow_client_killed": 22}  # bytes of the frame that the end of the stream cut off
STRAY = {"getvar_breaks_framing": 2}  # line ends between frames, which are skipped
SMALL = 300_000  # of larger streams only so much is fed in pieces of 1 and 7 bytes


def load(name: Any) -> Any:
    if not (DATA / "captures" / f"{name}.esl").exists() and importlib.util.find_spec("_lzma") is None:
        pytest.skip("this Python has no _lzma: xz-compressed captures cannot be read")
    return capture(name)


def kinds(messages: Any) -> Any:
    return Counter(type(message).__name__ for message in messages)


def test_every_capture_is_in_the_table() -> None:
    names = {path.name.split(".")[0] for path in (DATA / "captures").glob("*.esl*")}
    assert names == set(CAPTURES)


@pytest.mark.parametrize("name", LONG)
def test_long_capture_whole_in_pieces_of_any_size(esl: ModuleType, name: Any) -> None:
    load(name)
    size, counts = CAPTURES[name]
    for piece in (1 << 20, 1460, 61_001):
        seen, total = Counter(), 0
        for message in captured(esl, name, piece):
            seen[type(message).__name__] += 1
            total += len(message.frame)
        assert (seen, total) == (counts, size)
    splitter, frames = esl.FrameSplitter(), 0
    with open_capture(name) as stream:
        while data := stream.read(1 << 18):
            splitter.feed(data)
            frames += sum(1 for _ in splitter)
    splitter.feed_eof()
    assert (frames, splitter.consumed) == (sum(counts.values()), size)


@pytest.mark.parametrize("name", CAPTURES)
def test_capture_whole(esl: ModuleType, name: Any) -> None:
    data = load(name)
    size, counts = CAPTURES[name] if name not in LONG else (len(data), None)
    left = LEFT.get(name, 0)
    decoder = esl.Decoder()
    decoder.feed(data)
    messages = list(decoder)
    assert len(data) == size
    assert counts is None or kinds(messages) == counts
    assert (decoder.buffered, decoder.consumed) == (left, size - left)
    frames = [message.frame for message in messages]
    assert sum(map(len, frames)) == size - left - STRAY.get(name, 0)
    if name not in STRAY:
        assert b"".join(frames) == data[: size - left]
    assert [message.__reduce__()[1] for message in messages] == naive_frames(data)
    if not left:
        decoder.feed_eof()


@pytest.mark.parametrize("name", CAPTURES)
def test_capture_in_pieces(esl: ModuleType, name: Any) -> None:
    data = load(name)
    splitter = esl.FrameSplitter()
    splitter.feed(data)
    wanted = [block + (body or b"") for block, body in splitter]
    for size in (65536, 1460, 7, 1):
        cut = data if size > 7 else data[:SMALL]
        decoder = esl.Decoder()
        messages = []
        for chunk in pieces(cut, size):
            decoder.feed(chunk)
            messages += decoder
        frames = [message.frame for message in messages]
        if len(cut) == len(data):
            assert frames == wanted, size
            assert name in LONG or kinds(messages) == CAPTURES[name][1]
        else:
            assert frames == wanted[: len(frames)], size
            assert len(wanted[len(frames)]) > decoder.buffered
        assert decoder.consumed == sum(map(len, frames)) + STRAY.get(name, 0)
        assert decoder.buffered == len(cut) - decoder.consumed
        if decoder.buffered == 0:
            decoder.feed_eof()


# The three streams that the server itself broke (docs/protocol/observed.md, 3 and 4). No more is lost than the frames
# concerned.


def test_getvar_breaks_framing(esl: ModuleType) -> None:
    decoder = esl.Decoder()
    decoder.feed(capture("getvar_breaks_framing"))
    auth, login, myevents, newline, rest, fake_header, tilde, event, notice = decoder
    decoder.feed_eof()
    assert [type(m).__name__ for m in (auth, login, myevents)] == ["AuthRequest", "CommandReply", "CommandReply"]

    # `getvar v_newline`: the value "line1\nline2\n\nline4: x\r\ncrlf" is sent raw. Its blank line ends the reply, and
    # what follows is a frame of its own.
    assert type(newline) is esl.CommandReply
    assert (newline.text, newline.asdict()) == ("line1", {"Content-Type": "command/reply", "Reply-Text": "line1"})
    assert newline.frame == b"Content-Type: command/reply\nReply-Text: line1\nline2\n\n"
    assert type(rest) is esl.Message
    assert (rest.asdict(), rest.body, rest.frame) == ({"line4": "x"}, None, b"line4: x\r\ncrlf\n\n")

    # `getvar v_fakeheader`: a Content-Length in the value is believed.
    assert type(fake_header) is esl.CommandReply
    assert (fake_header.text, fake_header.body) == ("x", b"hello")

    # `getvar v_tilde`: no blank line. The reply to `api echo next` is glued to it.
    assert type(tilde) is esl.CommandReply
    assert tilde.text == "fakeContent-Type: api/response"
    assert (tilde["Content-Length"], tilde.body) == ("4", b"next")

    # After that, all is well again.
    assert type(event) is esl.Event
    assert (event.name, event.sequence, len(event.frame)) == ("CHANNEL_HANGUP", 17429, 5042)
    assert type(notice) is esl.DisconnectNotice
    assert notice.controlled_uuid == event.uuid == "fcc63192-a1aa-4b48-a8e4-2df4d2d9a04d"


def test_userauth_longlist(esl: ModuleType) -> None:
    decoder = esl.Decoder()
    decoder.feed(capture("userauth_longlist"))
    auth, login, bye, notice = decoder
    decoder.feed_eof()
    assert type(auth) is esl.AuthRequest

    # The reply is cut at 511 bytes and has no blank line: the reply to `api version` is glued to it.
    assert type(login) is esl.CommandReply
    assert (login.ok, login.text, login["Allowed-Events"]) == (True, "+OK accepted", "all")
    assert login["Allowed-API"].startswith("version cmd_number_000 cmd_number_001 ")
    assert login["Allowed-API"].endswith(" cmd_number_028 cmd_numbeContent-Type: api/response")
    assert login["Content-Length"] == "109"
    assert login.text == "+OK accepted"
    assert login.body.startswith(b"FreeSWITCH Version 1.11.3-dev+git~")
    assert len(login.body) == 109

    assert (type(bye), bye.text) == (esl.CommandReply, "+OK bye")
    assert type(notice) is esl.DisconnectNotice
    assert notice.text.startswith("Disconnected, goodbye.\n")


NOTICE = b"Content-Type: text/disconnect-notice\nContent-Length: 39\n\nkilled listener because of lost events\n"


def test_slow_client_killed(esl: ModuleType) -> None:
    load("slow_client_killed")
    data = capture("slow_client_killed")
    assert data.endswith(b"\nEvent-Calling-Functi" + NOTICE)
    decoder = esl.Decoder()
    decoder.feed(data)
    *whole, last = decoder
    assert all(event.name for event in whole[3:])
    assert [event.sequence for event in whole[-2:]] == [whole[-2].sequence, whole[-2].sequence + 1]

    # The event that was being sent declares 551 bytes. The notice fills it up, and 22 bytes of the notice are left.
    assert type(last) is esl.Event
    assert (last.name, last.subclass) == ("CUSTOM", "a::b")
    assert last.frame.startswith(b"Content-Length: 551\nContent-Type: text/event-plain\n\nEvent-Subclass: a%3A%3Ab\n")
    assert last["Event-Calling-FunctiContent-Type"] == "text/disconnect-notice"
    assert last["Content-Length"] == "39"
    assert last.body == b"killed listener b"
    assert decoder.buffered == 22
    with pytest.raises(esl.IncompleteFrame) as caught:
        decoder.feed_eof()
    assert str(caught.value) == (
        "stream ended in a header block: read 22 bytes, expected a blank line; "
        "a disconnect-notice begins in the frame before: 'killed listener because of lost events'"
    )
    assert caught.value.notice == NOTICE
    assert caught.value.reason == "killed listener because of lost events\n"
    assert caught.value.data == b"ecause of lost events\n"
    assert (caught.value.header_bytes, caught.value.body_bytes) == (None, None)


def test_slow_client_killed_in_a_longer_event(esl: ModuleType) -> None:
    load("slow_client_killed")
    data = capture("slow_client_killed")
    start = data.rindex(b"Content-Length: 551\n")
    data = data[start:].replace(b"Content-Length: 551\n", b"Content-Length: 5510\n")
    decoder = esl.Decoder()
    decoder.feed(data)
    assert list(decoder) == []
    with pytest.raises(esl.IncompleteFrame) as caught:
        decoder.feed_eof()
    assert str(caught.value) == (
        "stream ended in a body: read 573 bytes, expected 5510; "
        "a disconnect-notice stands in it: 'killed listener because of lost events'"
    )
    assert caught.value.data == data
    assert (caught.value.header_bytes, caught.value.body_bytes) == (53, 5510)
    assert caught.value.notice == NOTICE
    assert caught.value.reason == "killed listener because of lost events\n"
