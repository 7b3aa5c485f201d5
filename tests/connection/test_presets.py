"""Presets name what the switch has, and both clients can ask for each of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support import capture, decode, part

from eslcodec import commands, presets
from eslcodec.enums import EventName

NAMES = ["CALLS", "ALL"]
SUBCLASSES = ["REGISTRATIONS", "GATEWAYS", "CALLCENTER", "CONFERENCE"]
WORDS = [(preset, word) for preset in NAMES + SUBCLASSES for word in getattr(presets, preset)]


def as_subscribed(preset: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """A preset's names and subclasses."""
    words = getattr(presets, preset)
    return (words, ()) if preset in NAMES else ((), words)


def fired(preset: str) -> list[tuple[str, str | None]]:
    """(name, subclass) of an event for each word of a preset, and one that no preset but ALL has."""
    words = [word for word in getattr(presets, preset) if word != "ALL"]
    return [*((word, None) if preset in NAMES else ("CUSTOM", word) for word in words), ("HEARTBEAT", None)]


def expected(preset: str) -> list[tuple[str, str | None]]:
    return fired(preset) if preset == "ALL" else fired(preset)[:-1]


def test_every_preset_is_named_and_cannot_be_changed() -> None:
    assert sorted(NAMES + SUBCLASSES) == sorted(presets.__all__)
    for preset in presets.__all__:
        assert isinstance(getattr(presets, preset), tuple)


@pytest.mark.parametrize(("preset", "word"), WORDS)
def test_words_are_names_or_subclasses(preset: str, word: str) -> None:
    assert (word in EventName.__members__) == (preset in NAMES)
    assert ("::" in word) == (preset in SUBCLASSES)


def test_no_word_stands_twice() -> None:
    assert len({word for _, word in WORDS}) == len(WORDS)


def test_one_command_asks_for_several() -> None:
    block = commands.event(*presets.CALLS[:1], custom=presets.CALLCENTER + presets.CONFERENCE)
    assert block == b"event CHANNEL_CREATE CUSTOM callcenter::info conference::maintenance conference::cdr\n\n"


@pytest.mark.parametrize("name", ["sip_plain", "churn_plain"])
def test_calls_are_about_an_eighth_of_a_real_stream(esl: Any, name: str) -> None:
    events = [message for message in decode(esl, capture(name)) if isinstance(message, esl.Event)]
    share = sum(event.name in presets.CALLS for event in events) / len(events)
    assert 1 / 9 < share < 1 / 6


@pytest.mark.parametrize("preset", NAMES + SUBCLASSES)
def test_the_blocking_client_subscribes(esl: Any, preset: str) -> None:
    names, custom = as_subscribed(preset)
    with part(esl, "emulator").Emulator() as switch, esl.connect(switch.host, switch.port) as fs:
        assert fs.subscribe(*names, custom=custom).ok
        for name, subclass in fired(preset):
            switch.fire(name, subclass=subclass)
        got = [fs.next_event(timeout=10) for _ in expected(preset)]
        assert fs.unsubscribe(*names, custom=custom).ok
    assert [(event.name, event.subclass) for event in got] == expected(preset)


@pytest.mark.parametrize("preset", NAMES + SUBCLASSES)
def test_the_asyncio_client_subscribes(esl: Any, preset: str) -> None:
    names, custom = as_subscribed(preset)

    async def subscribe(switch: Any) -> list[Any]:
        async with esl.aio.connect(switch.host, switch.port) as fs:
            assert (await fs.subscribe(*names, custom=custom)).ok
            for name, subclass in fired(preset):
                switch.fire(name, subclass=subclass)
            got = [await fs.next_event(timeout=10) for _ in expected(preset)]
            assert (await fs.unsubscribe(*names, custom=custom)).ok
            return got

    with part(esl, "emulator").Emulator() as switch:
        got = asyncio.run(subscribe(switch))
    assert [(event.name, event.subclass) for event in got] == expected(preset)
