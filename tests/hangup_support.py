"""What the tests of hang-ups share: calls of either client, and a switch that is played.

It is played with what a real one sent (tests/data/captures). `Callee` (shells.py) hides which of the two clients it is.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from concurrent.futures import Future
from types import ModuleType
from typing import Any

import pytest
from shells import HOST, PATIENCE, Callee, Peer
from support import OK, api_response, capture, naive_frames, plain, reply

from eslcodec.emulator import EmulatedCall, Emulator

UUID = "d81101c7-3ab0-49ba-a4bc-877193d8ea38"  # of the channel in all frames that are played
PLAYED = b"16027621-e3d1-4850-b187-144a7717bf13"  # Application-UUID of the captured playback
ANSWERED = {
    "async full": "out_async_full",
    "async": "out_single_channel",
    "full": "out_sync",
    "": "outbound_sync_single_channel",
}
LINGERS = reply(b"+OK will linger")
ENABLED = reply(b"+OK Events Enabled")
WAYS = [(mode, linger) for mode in ANSWERED for linger in (False, True) if "full" in mode or not linger]

# What acts on the channel
ACTS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("playback", ("b.wav",), {}),
    ("playback", ("b.wav",), {"wait": True}),
    ("execute", ("sleep", "1"), {"event_lock": True}),
    ("execute", ("sleep", "1"), {"uuid": UUID}),
    ("answer", (), {}),
    ("set", ("a", "b"), {"wait": True}),
    ("sendmsg", ("nomedia",), {}),
    ("sendmsg", ("execute", {"session-id": UUID, "execute-app-name": "answer"}), {}),
    ("execute", ("hangup",), {"wait": True}),
    ("hangup", (), {}),
    ("nomedia", ("u-2",), {}),
    ("unicast", (), {"uuid": UUID}),
    ("xferext", ([("answer", "")],), {}),
]


@pytest.fixture(params=["sync", "aio"])
def callee(esl: ModuleType, request: pytest.FixtureRequest) -> Iterator[Callee]:
    callee = Callee(esl, request.param, command_timeout=PATIENCE)
    yield callee
    callee.close()


@pytest.fixture
def switch() -> Iterator[Emulator]:
    with Emulator() as switch:
        yield switch


# A switch that is played


def frames(name: str) -> list[bytes]:
    """The frames of a capture, its channel being ours."""
    data = [block + (body or b"") for block, body in naive_frames(capture(name))]
    found = re.search(rb"\nUnique-ID: (\S{36})\n", data[0])
    assert found is not None
    return [frame.replace(found[1], UUID.encode()) for frame in data]


BEGUN, NOTICE, HANGUP, COMPLETE, GOODBYE = frames("out_sync_hangup_midway")[4:]
ASYNC_END = frames("out_async_nolinger")[3:-1]  # from CHANNEL_HANGUP to CHANNEL_HANGUP_COMPLETE


def changed(frame: bytes, old: bytes, new: bytes) -> bytes:
    """A plain event's frame with other text in its payload."""
    payload = frame.partition(b"\n\n")[2]
    assert old in payload
    return plain(payload.replace(old, new))


UNAWARE = changed(COMPLETE, b"Answer-State: hangup\nHangup-Cause: NORMAL_CLEARING\n", b"Answer-State: answered\n")
"""What is complete an instant before the channel is seen to hang up (observed on async sockets)."""


class Line(Peer):
    """The switch's end of a call."""

    def __init__(self, port: int, mode: str) -> None:
        super().__init__(socket.create_connection((HOST, port)))
        self.static = "async" not in mode
        self.answers(b"connect", frames(ANSWERED[mode])[0])

    def executes(self) -> bytes:
        """The next command is an `execute`: its Event-UUID."""
        found = re.search(rb"Event-UUID: (\S+)", self.command())
        assert found is not None
        return found[1]


def rings(callee: Callee, mode: str, *, linger: bool = False) -> Line:
    line = callee.rings(lambda port: Line(port, mode))
    if linger:
        begun = callee.begin("linger")
        line.answers(b"linger", LINGERS)
        begun.result(PATIENCE)
    return line


def begins(callee: Callee, line: Line, *what: Any, first: bool = True) -> tuple[Future[Any], bytes]:
    """An awaited execution: what it comes to, and its Event-UUID."""
    ending = callee.begin(*what, wait=True)
    if first:
        line.answers(b"myevents", ENABLED)
    return ending, line.executes()


def interrupted(line: Line, key: bytes, *, linger: bool, complete: bytes = COMPLETE) -> list[bytes]:
    """What a switch sends when the caller hangs up during a playback."""
    begun, complete = BEGUN.replace(PLAYED, key), complete.replace(PLAYED, key)
    if line.static:  # nothing is sent while it runs
        return [OK, begun, NOTICE, HANGUP, complete] if linger else [OK, begun, HANGUP, complete, GOODBYE]
    return [OK, begun, ASYNC_END[0], complete, *ASYNC_END[1:], NOTICE if linger else GOODBYE]


def ended(callee: Callee, future: Future[Any]) -> Any:
    with pytest.raises(callee.esl.ChannelEnded) as raised:
        future.result(PATIENCE)
    return raised.value


def goes_on(callee: Callee, line: Line) -> None:
    """What does not act on the channel is sent, and nothing was sent before it."""
    for verb, arguments, options, sent, answer in (
        ("api", ("status",), {}, b"api status", api_response(b"UP")),
        ("bgapi", ("status",), {"job_uuid": "j"}, b"event BACKGROUND_JOB", OK + reply(b"+OK Job-UUID: j")),
        ("subscribe", ("DTMF",), {}, b"event DTMF", OK),
        ("filter_delete", (), {}, b"filter delete all", OK),
        ("linger", (5,), {}, b"linger 5", reply(b"+OK will linger 5 seconds")),
        ("hangup", (), {"uuid": "another"}, b"sendmsg another\ncall-command: hangup", OK),
        ("exit", (), {}, b"exit", reply(b"+OK bye")),
    ):
        begun = callee.begin(verb, *arguments, **options)
        assert line.command().startswith(sent)
        if verb == "bgapi":
            assert line.command().startswith(b"bgapi status")
        line.sends(answer)
        begun.result(PATIENCE)


def dials(callee: Callee, switch: Emulator, mode: str, **options: Any) -> EmulatedCall:
    return callee.rings(lambda port: switch.dial(HOST, port, mode=mode, **options))
