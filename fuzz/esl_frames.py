"""Any bytes from a server to the ESL module's connection, over a socket: nothing raises, and it comes to an end.

Both cores return the same, call by call, and all of it can be read.
"""

from __future__ import annotations

import random
from typing import Any

from _common import PYTHON, C, draw, main, same, support
from esl_support import CONNECT_REPLY, Wire, names_of, seen

MODULES = [support.part(package, "ESL") for package in (C, PYTHON)]
CALLS: list[tuple[Any, ...]] = [
    *[("recvEvent",)] * 4,
    *(("recvEventTimed", 0), ("recvEventTimed", 1), ("getInfo",), ("connected",), ("send", "noevents")),
    *(("sendRecv", "status"), ("api", "status", "x"), ("bgapi", "status"), ("events", "plain", "ALL")),
    *(("filter", "A", "b"), ("execute", "playback", "a.wav"), ("setAsyncExecute", "1"), ("sendEvent", "DTMF")),
    *(("sendMSG", "DTMF", "u-1"), ("disconnect",)),
]


def result(module: Any, con: Any, call: tuple[Any, ...]) -> Any:
    verb, *arguments = call
    if verb in ("sendEvent", "sendMSG"):
        arguments[0] = module.ESLevent(arguments[0])
    got = getattr(con, verb)(*arguments)
    if not isinstance(got, module.ESLevent):
        return got
    before = [got.getHeader(name) for name in ("Event-Name", "content-type", "_body", "A", "absent")]
    names = names_of(got)
    whole = all("\0" not in name for name in names)  # asked for one with NUL, the module looks for what is before it
    return before, names, got.getType(), got.serialize(), got.serialize("xml"), whole and seen(got)


def results(module: Any, data: bytes, rng: random.Random) -> list[Any]:
    """What calls return, then `recvEvent` until the connection has ended."""
    module.strict = rng.random() < 0.3
    wire = Wire(module, data, ended=True, connect=rng.choice([b"", CONNECT_REPLY]))
    try:
        calls = [rng.choice(CALLS) for _ in range(rng.randrange(8))]
        got = [(call, result(module, wire.con, call)) for call in calls]
        for _ in range(len(data) + 2):  # a frame has a byte at least, the connect reply is one
            if not wire.con.connected():
                break
            got.append((("recvEvent",), result(module, wire.con, ("recvEvent",))))
        assert not wire.con.connected()
        last = wire.con.recvEvent().getType()
        assert last == "SERVER_DISCONNECTED", last
        assert wire.con.recvEventTimed(1) is None
        assert wire.con.api("status") is None
        return got
    finally:
        wire.close()


def test_one_input(data: bytes) -> None:
    ours, theirs = (results(module, data, draw(data)) for module in MODULES)
    for (call, one), (_, other) in zip(ours, theirs, strict=True):
        same(one, other, call)


if __name__ == "__main__":
    main(test_one_input)
