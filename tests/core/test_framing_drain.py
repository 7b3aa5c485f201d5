"""`drain`: all whole messages in one call, as iteration gives them one by one; and whether there was anything else."""

from __future__ import annotations

import random
import threading
from types import ModuleType
from typing import Any

import pytest
from support import ACCEPTED, AUTH, capture, notice, pieces, plain, receive
from threads_support import FRAMES, event_of

EVENT = plain(b"Event-Name: DTMF\nEvent-Sequence: 5\n\n")
MIXED = b"".join([EVENT, EVENT, AUTH, EVENT, event_of("json"), event_of("xml"), ACCEPTED, b"\r\n", EVENT, EVENT])
DAMAGE = [b"Content-Length: x\n\n", b"Content-Length: 70000\n\n", b"A: %b\n\n" % (b"x" * 2000)]


def shown(messages: list[Any]) -> list[Any]:
    return [(type(message).__name__, message.frame) for message in messages]


def one_by_one(decoder: Any, messages: list[Any], kind: type) -> bool:
    """What `drain` is."""
    begin = len(messages)
    messages.extend(decoder)
    return all(type(message) is kind for message in messages[begin:])


def bounded(esl: ModuleType) -> Any:
    return esl.Decoder(max_header_bytes=1000, max_body_bytes=60_000)


def trace(esl: ModuleType, chunks: list[bytes], drain: Any, buffered: bool) -> list[Any]:
    """What comes of each piece, and at the end again."""
    decoder, seen = bounded(esl), []
    for chunk in [*chunks, b"", b""]:
        messages: list[Any] = []
        receive(decoder, chunk) if buffered else decoder.feed(chunk)
        said: Any
        try:
            said = drain(decoder, messages, esl.Event)
        except esl.ProtocolError as error:
            said = type(error).__name__, str(error)
        seen.append((said, shown(messages), decoder.buffered, decoder.consumed))
    return seen


def streams() -> list[bytes]:
    real = [capture(name)[:150_000] for name in ("sip_plain", "sip_json", "sip_xml", "bgapi_plain", "callcenter")]
    return [MIXED, *real, *(b"".join(FRAMES[:40]) + MIXED + damage + MIXED for damage in DAMAGE)]


@pytest.mark.parametrize("number", range(len(streams())))
def test_it_is_iteration_in_one_call(both: tuple[ModuleType, ModuleType], number: int) -> None:
    data = streams()[number]
    chance = random.Random(number)
    for sizes in ((len(data),), (65536,), (1460,), (1,), *((chance.randint(1, 9000), chance.randint(1, 99)),) * 4):
        chunks = pieces(data[: 20_000 if sizes == (1,) else None], *sizes)
        for buffered in (False, True):
            wanted = trace(both[1], chunks, one_by_one, buffered)
            for esl in both:
                assert trace(esl, chunks, lambda decoder, *rest: decoder.drain(*rest), buffered) == wanted


def test_what_it_says(esl: ModuleType) -> None:
    decoder, messages = esl.Decoder(), ["before"]
    assert decoder.drain(messages, esl.Event) is True  # nothing came
    decoder.feed(EVENT * 2)
    assert decoder.drain(messages, esl.Event) is True
    assert messages[0] == "before"
    decoder.feed(EVENT + AUTH + EVENT)
    assert decoder.drain(messages, esl.Event) is False
    decoder.feed(EVENT)
    assert decoder.drain(messages, esl.Message) is False  # of the class itself
    decoder.feed(b"Content-Type: x/y\n\n")
    assert decoder.drain(messages, esl.Message) is True
    assert len(messages) == 8


@pytest.mark.parametrize("before", range(5))
@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_raised_after_what_came_before(esl: ModuleType, before: int, damage: bytes) -> None:
    decoder, messages = bounded(esl), list[Any]()
    decoder.feed(EVENT * before + damage + EVENT)
    errors = []
    for _ in range(3):
        with pytest.raises(esl.ProtocolError) as caught:
            decoder.drain(messages, esl.Event)
        errors.append(caught.value)
    assert shown(messages) == [("Event", EVENT)] * before
    assert len(set(map(id, errors))) == 3
    assert len(set(map(str, errors))) == 1


def test_a_notice_among_events(esl: ModuleType) -> None:
    decoder, messages = esl.Decoder(), list[Any]()
    decoder.feed(EVENT + notice(b"bye\n") + EVENT)
    assert decoder.drain(messages, esl.Event) is False
    assert [type(message).__name__ for message in messages] == ["Event", "DisconnectNotice", "Event"]


def test_a_class_whose_making_fails_takes_nothing(esl: ModuleType) -> None:
    fails = [True]

    class Odd(esl.Message):  # type: ignore[name-defined,misc]
        def __new__(cls, *args: Any) -> Any:
            if fails[0] and messages:
                raise KeyError("odd")
            return super().__new__(cls, *args)

    messages: list[Any] = []
    decoder = esl.events.MessageDecoder({b"text/event-plain": Odd}, esl.Message)
    decoder.feed(EVENT * 3)
    with pytest.raises(KeyError):
        decoder.drain(messages, Odd)
    assert (len(messages), decoder.consumed) == (1, len(EVENT))
    fails[0] = False
    assert decoder.drain(messages, Odd) is True
    assert [message.frame for message in messages] == [EVENT] * 3


def test_a_class_that_feeds_its_decoder(esl: ModuleType) -> None:
    """Code of a subclass runs in between, and may do anything with the decoder."""

    class Odd(esl.Message):  # type: ignore[name-defined,misc]
        def __new__(cls, *args: Any) -> Any:
            if len(messages) == 1:
                decoder.feed(AUTH)
                messages.append("own")
            return super().__new__(cls, *args)

    messages: list[Any] = []
    decoder = esl.events.MessageDecoder({b"text/event-plain": Odd}, esl.Message)
    decoder.feed(EVENT * 3)
    assert decoder.drain(messages, Odd) is False
    assert [getattr(message, "frame", message) for message in messages] == [EVENT, "own", EVENT, EVENT, AUTH]


def test_threads_that_share_a_decoder_get_each_message_once(esl: ModuleType) -> None:
    """They should not; it stays whole all the same."""
    for _ in range(5):
        decoder = esl.Decoder()
        decoder.feed(b"".join(FRAMES))
        lists: list[list[Any]] = [[] for _ in range(4)]
        start = threading.Barrier(4)

        def drain(into: list[Any], decoder: Any = decoder, start: Any = start) -> None:
            start.wait()
            decoder.drain(into, esl.Event)

        threads = [threading.Thread(target=drain, args=(into,)) for into in lists]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        got = sorted(message.frame for into in lists for message in into)
        assert got == sorted(FRAMES)
