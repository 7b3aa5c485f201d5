"""The programs in examples/, run as users run them, against an emulated switch."""

from __future__ import annotations

from typing import Any

import pytest
from examples_support import EXAMPLES, line, running

from eslcodec import presets
from eslcodec.emulator import Emulator

STYLES = ["", "_async"]

pytestmark = [
    pytest.mark.skipif(not EXAMPLES.exists(), reason="the tests stand beside no checkout"),
    pytest.mark.parametrize("style", STYLES, ids=["blocking", "asyncio"]),
]


def test_inbound_follows_calls(style: Any) -> None:
    with Emulator(password="secret") as switch:
        switch.api["uuid_getvar"] = lambda args: "PCMU" if args == "u-1 read_codec" else "-ERR"
        with running(f"inbound{style}", switch.host, switch.port) as process:
            wanted = f"event {'' if style else 'json '}{' '.join(presets.CALLS)}"
            switch.wait_for(lambda: wanted in switch.commands, 30)
            switch.fire("HEARTBEAT")
            switch.fire("CHANNEL_ANSWER", {"Unique-ID": "u-1", "Caller-Caller-ID-Number": "1000"})
            if style:
                assert line(process) == "answered u-1 codec PCMU"
                switch.fire("CHANNEL_HANGUP_COMPLETE", {"Unique-ID": "u-1", "Hangup-Cause": "USER_BUSY"})
                assert line(process) == "hung up u-1 USER_BUSY"
            else:
                assert line(process).endswith("CHANNEL_ANSWER u-1 1000 -> None")
                switch.drop()
                assert line(process).startswith("missed ")


def test_outbound_answers_and_plays(style: Any) -> None:
    with running(f"outbound{style}", "127.0.0.1", 0) as process, Emulator() as switch:
        port = int(line(process).removeprefix("listening on port "))
        call = switch.dial("127.0.0.1", port, variables={"caller_id_number": "1000"})
        assert line(process).startswith("call from")
        assert line(process).startswith("played:")
        assert call.wait(30) == "NORMAL_CLEARING"
        assert call.executed == [("answer", ""), ("playback", "ivr/ivr-welcome.wav")]


def test_the_ivr_asks_and_connects(style: Any) -> None:
    with running(f"ivr{style}", "127.0.0.1", 0) as process, Emulator() as switch:
        switch.endpoints["user/*"] = "busy"
        port = int(line(process).removeprefix("listening on port "))
        call = switch.call("127.0.0.1", port, caller="1000", script=["1"])
        assert (line(process), line(process)) == ("1000 chose 1", "reached: busy USER_BUSY")
        assert call.wait(30) == "NORMAL_CLEARING"
        assert call.executed[-1] == ("playback", "ivr/ivr-no_user_response.wav")
        call = switch.call("127.0.0.1", port, caller="1000", script=["2", "0815#", "4711#"])
        assert line(process) == "1000 chose 2"
        assert call.wait(30) == "NORMAL_CLEARING"
        assert call.executed[-1] == ("playback", "ivr/ivr-access_denied.wav")
        switch.call("127.0.0.1", port, caller="1001", script=[("hangup", "ORIGINATOR_CANCEL")])
        assert line(process) == "1001 hung up: ORIGINATOR_CANCEL"


def test_bgapi_collects_results(style: Any) -> None:
    with Emulator(password="secret") as switch, running(f"bgapi{style}", switch.host, switch.port) as process:
        lines = sorted(line(process) for _ in range(3))
        assert lines[0] == "nosuchcommand failed -ERR nosuchcommand Command not found!"
        assert [text.split(maxsplit=2)[:2] for text in lines[1:]] == [["status", "ok"], ["version", "ok"]]
        assert process.wait(30) == 0


def test_originate_says_what_came_of_it(style: Any) -> None:
    with Emulator(password="secret") as switch:
        switch.endpoints["user/1000"] = "answer"
        with running(f"originate{style}", "user/1000", switch.host, switch.port) as process:
            assert line(process) == "user/1000 answered SUCCESS"
            assert process.wait(30) == 0


def test_custom_events_are_filtered_by_the_switch(style: Any) -> None:
    with Emulator(password="secret") as switch, running(f"custom_filter{style}", switch.host, switch.port) as process:
        assert line(process) == "waiting"
        for user, subclass in (("2000", "sofia::register"), ("1001", "sofia::expire"), ("1002", "sofia::register")):
            switch.fire("CUSTOM", {"Event-Subclass": subclass, "from-user": user, "network-ip": "192.0.2.1"})
        assert line(process) == "sofia::register 1002 192.0.2.1"
