"""A stream told anew: no time stays as it was, no name of the switch, and nothing else changes (_retell.py)."""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime, timedelta, timezone
from types import ModuleType
from typing import Any

import pytest
from formats_support import CAPTURES
from support import capture, part

YEARS = timedelta(days=3650, seconds=1)
TIME = re.compile(r"(?<![0-9])1795[0-9]{6}(?:[0-9]{3}|[0-9]{6})?(?![0-9])|2026-11-[0-9]{2}|Nov 2026")
"""A time of the days on which the captures were made."""


def replayed(esl: ModuleType, name: str) -> list[Any]:
    """The events and log lines of a capture, up to damage."""
    decoder = esl.Decoder()
    decoder.feed(capture(name)[: 3 << 20])
    found = []
    try:
        for message in decoder:
            if isinstance(message, (esl.Event, esl.LogLine)) and message.malformed is None:
                found.append(message)
    except esl.ProtocolError:
        pass
    return found[:1500]


@pytest.mark.parametrize("name", CAPTURES)
def test_every_time_moves(esl: ModuleType, name: str) -> None:
    retell = part(esl, "_retell").Retelling(YEARS)
    stayed: Counter[str] = Counter()
    for message in replayed(esl, name):
        told = retell(message)
        assert [pair[0] for pair in told.pairs()] == [pair[0] for pair in message.pairs()]
        for (key, value), (_, new) in zip(message.pairs(), told.pairs(), strict=True):
            if TIME.search(new) and "sdp" not in key:  # the numbers in SDP are no times, but made of one
                stayed[f"{key}: {new:.60}"] += 1
            if key == "Content-Length" or "uuid" in key.lower() or TIME.search(value):
                continue
            assert new == value
        if isinstance(message, esl.Event):
            assert told.body == message.body or told.body is message.body is None or message.body == b""
            if message.timestamp is not None:
                assert told.timestamp - message.timestamp == YEARS
            assert (told.name, told.sequence) == (message.name, message.sequence)
            assert told.id != message.id or message.id is None
            assert told["Event-Date-Local"][:4] == "2036"
            assert re.fullmatch(r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} 2036 [0-9:]{8} GMT", told["Event-Date-GMT"])
        elif TIME.search(message.text):
            assert told.text[:4] == "2036" or not TIME.match(message.text)
        decoder = esl.Decoder()
        decoder.feed(told.frame)
        assert list(decoder) == [told]
    assert not stayed


@pytest.mark.parametrize("name", CAPTURES)
def test_another_name_and_nothing_else(esl: ModuleType, name: str) -> None:
    retell = part(esl, "_retell").Retelling(rename="staging é%41")
    for message in replayed(esl, name):
        for (key, value), (_, new) in zip(message.pairs(), retell(message).pairs(), strict=True):
            if key.endswith(("FreeSWITCH-Hostname", "FreeSWITCH-Switchname")):
                assert new == "staging é%41"
            elif key.endswith("Core-UUID"):
                assert new != value
                assert re.fullmatch("[0-9a-f-]{36}", new)
            elif key != "Content-Length":
                assert new == value


def test_core_uuids_are_new_for_each_telling_and_the_same_within_one(esl: ModuleType) -> None:
    Retelling = part(esl, "_retell").Retelling
    events = [esl.Event.build("HEARTBEAT", {"Core-UUID": core}) for core in ("a", "a", "b")]
    told = [Retelling(salt=b"1")(event)["Core-UUID"] for event in events]
    assert told[0] == told[1] != told[2]
    again = Retelling(salt=b"1")
    assert [again(event)["Core-UUID"] for event in events] == told
    assert Retelling()(events[0])["Core-UUID"] != told[0]
    assert Retelling(new_core=False)(events[0]) is events[0]


@pytest.mark.parametrize("format", ["plain", "json", "xml"])
def test_what_is_no_time_stays(esl: ModuleType, format: str) -> None:
    headers = {
        "Caller-Channel-Answered-Time": "0",
        "Up-Time": "0 years, 1795921450 seconds",
        "Caller-Caller-ID-Number": "1795921450",
        "variable_x": "1795921450123456",
        "Event-Date-Local": "yesterday",
        "Event-Date-GMT": "1795921450",
        "Event-Date-Timestamp": "99999999999999999999",
        "variable_start_stamp": "9999-12-31 23:59:59",
        "variable_start_epoch": "1000000000",
    }
    event = esl.Event.from_payload(
        esl.Event.build("DTMF", headers, b"2026-11-23 13:37:46.942238 x").serialize(format), format
    )
    told = part(esl, "_retell").Retelling(YEARS, new_core=False)(event)
    assert told["variable_start_epoch"] == str(10**9 + int(YEARS.total_seconds()))
    assert {**told.asdict(), "variable_start_epoch": "1000000000"} == event.asdict()
    assert told.body == event.body
    back = part(esl, "_retell").Retelling(-YEARS * 100, new_core=False)(event)
    assert back["variable_start_epoch"] == "1000000000"


def test_dates_agree_whatever_the_fraction(esl: ModuleType) -> None:
    headers = {"Event-Date-Timestamp": "1795921450900000", "Event-Date-GMT": "Sun, 29 Nov 2026 03:04:10 GMT"}
    told = part(esl, "_retell").Retelling(timedelta(seconds=1, microseconds=999_999))(esl.Event.build("DTMF", headers))
    assert told.asdict() == {
        "Event-Name": "DTMF",
        "Event-Date-Timestamp": "1795921451900000",
        "Event-Date-GMT": "Sun, 29 Nov 2026 03:04:11 GMT",
    }


def test_how_far_to_now(esl: ModuleType) -> None:
    shift_to = part(esl, "_retell").shift_to
    when = datetime(2030, 1, 1, tzinfo=timezone.utc)
    event = esl.Event.build("DTMF", {"Event-Date-Timestamp": int(when.timestamp()) * 1_000_000 - 5_000_000})
    assert shift_to(when, event) == timedelta(seconds=5)
    for value in ("x", "٣", "9" * 19, "9" * 18, "", "-5"):
        assert shift_to(when, esl.Event.build("DTMF", {"Event-Date-Timestamp": value})) is None
    assert shift_to(when, esl.Event.build("DTMF")) is None
