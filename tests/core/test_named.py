"""`_named`: iteration over the messages of some Event-Names, as a look at each would choose them."""

from __future__ import annotations

import random
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import ACCEPTED, AUTH, capture, load_core, pieces, receive
from threads_support import event_of

NAMES = ("CHANNEL_CREATE", "CHANNEL_ANSWER", "CHANNEL_HANGUP", "HEARTBEAT", "DTMF", "é", "\ud800")
DAMAGE = [b"Content-Length: x\n\n", b"Content-Length: 70000\n\n", b"A: %b\n\n" % (b"x" * 2000)]


def chosen(decoder: Any, names: Any = NAMES) -> Any:
    """What `_named` is."""
    return (message for message in decoder if message.get("Event-Name") in names)


def event(format: str, payload: bytes) -> bytes:
    return b"Content-Length: %d\nContent-Type: text/event-%s\n\n%b" % (len(payload), format.encode(), payload)


def shown(messages: list[Any]) -> list[Any]:
    return [(type(message).__name__, message.frame) for message in messages]


def trace(esl: ModuleType, chunks: list[bytes], choose: Any, buffered: bool) -> list[Any]:
    """What comes of each piece, and at the end again."""
    decoder, seen = esl.Decoder(max_header_bytes=1000, max_body_bytes=60_000), []
    for chunk in [*chunks, b"", b""]:
        receive(decoder, chunk) if buffered else decoder.feed(chunk)
        messages: list[Any] = []
        said: Any = None
        try:
            for message in choose(decoder):
                messages.append((message, decoder.consumed))
        except esl.ProtocolError as error:
            said = type(error).__name__, str(error)
        seen.append((said, [(*shown([m])[0], at) for m, at in messages], decoder.buffered, decoder.consumed))
    try:
        decoder.feed_eof()
    except esl.ProtocolError as error:
        seen.append((type(error).__name__, str(error)))
    return seen


def by_names(decoder: Any) -> Any:
    return decoder._named(NAMES)


PLAIN = [
    b"Event-Name: DTMF\n\n",
    b"Event-Name: CODEC\n\n",
    b"Event-Name: CODEC\nEvent-Name: DTMF\n\n",  # the last counts
    b"Event-Name: DTMF\nEvent-Name: CODEC\n\n",
    b"Event-Name: CODEC\nEvent-Name:DTMF\n\n",
    b"Event-Name: CODEC\nEvent-Name:DT: MF\n\n",
    b"Event-Name: CODEC\nevent-name: DTMF\n\n",
    b"event-name: DTMF\n\n",
    b"EVENT-NAME: CODEC\nEvent-name: DTMF\n\n",
    b"A: b\nEvent-Name: DTMF\n\n",
    b"\nEvent-Name: DTMF\n\n",
    b"Event-Name: CODEC\n\nEvent-Name: DTMF\n\n",  # in the body
    b"Event-Name: CODEC\r\nEvent-Name: DTMF\r\n\r\n",
    b"Event-Name: DTM%46\n\n",
    b"Event-Name: CODE%43\n\n",
    b"Event-Name: DTMF \n\n",
    b"Event-Name:  DTMF\n\n",
    b"Event-Name: \n\n",
    b"Event-Name: ",
    b"Event-Name: DTMF",
    b"Event-Name: CODEC",
    b"Event-Name: CODEC\n",
    b"Event-Name: CODEC\nEvent-Name:",
    b"Event-Name: CODEC\nEvent-Name",
    b"Event-Name: %C3%A9\n\n",
    "Event-Name: é\n\n".encode(),
    b"Event-Name: dtmf\n\n",
    b"Event-Name: DTMF_\n\n",
    b"Event-Name: DTM\n\n",
    b"",
    b"\n",
]
JSON = [
    b'{"Event-Name":"DTMF"}',
    b'{"Event-Name":"CODEC"}',
    b'{"Event-Name":"CODEC","Event-Name":"DTMF"}',
    b'{"Event-Name":"DTMF","Event-Name":"CODEC"}',
    b'{"Event-Name":"CODEC","event-name":"DTMF"}',
    b'{"event-name":"DTMF"}',
    b'{"Event-Name":"CODEC","\\u0045vent-Name":"DTMF"}',
    b'{"Event-Name":"CODEC","Event\\u002dName":"DTMF"}',
    b'{"Event-Name":"CODEC","\\Event-Name":"DTMF"}',
    b'{"Event-Name":"CODEC","a":"\\r\\n\\t\\"\\\\\\/\\b\\f"}',
    b'{"Event-Name":"CODEC","a":"\\\\","Event-Name":"DTMF"}',
    b'{"Event-Name":"CODEC","a":"\\"Event-Name\\":\\"DTMF\\""}',
    b'{"Event-Name":"CODEC","a":{"Event-Name":"DTMF"}}',
    b'{"Event-Name":"CODEC","a":["Event-Name"]}',
    b'{"Event-Name":"DTM\\u0046"}',
    b'{"Event-Name":["DTMF"]}',
    b'{"Event-Name":["CODEC"],"Event-Name":"DTMF"}',
    b'{"Event-Name":5}',
    b'{ "Event-Name":"DTMF"}',
    b'{"Event-Name": "DTMF"}',
    b'{"a":"b","Event-Name":"DTMF"}',
    b'{"Event-Name":"CODEC" "DTMF"}',
    b'{"Event-Name":"CODEC"',
    b'{"Event-Name":"DTMF"',
    b'{"Event-Name":"CODEC","a":"\\',
    b'{"Event-Name":"CODEC',
    b'{"Event-Name":"DTMF","a"',
    b'{"Event-Name":"CODEC"}{"Event-Name":"DTMF"}',
    b'{"Event-Name":"CODEC","_body":"Event-Name"}',
    b'{"Event-Name":"\xc3\xa9"}',
    b"{}",
    b"[]",
    b"",
]
HEAD = b"<event>\n  <headers>\n    "
TAIL = b"\n  </headers>\n</event>"
XML = [
    *(
        HEAD + inner + TAIL
        for inner in (
            b"<Event-Name>DTMF</Event-Name>",
            b"<Event-Name>CODEC</Event-Name>",
            b"<Event-Name>CODEC</Event-Name>\n    <Event-Name>DTMF</Event-Name>",
            b"<Event-Name>DTMF</Event-Name>\n    <Event-Name>CODEC</Event-Name>",
            b"<Event-Name>CODEC</Event-Name>\n    <event-name>DTMF</event-name>",
            b"<event-name>DTMF</event-name>",
            b"<Event-Name>CODEC<!-- --></Event-Name>",
            b"<Event-Name>DT<!-- -->MF</Event-Name>",
            b"<Event-Name>DT<![CDATA[MF]]></Event-Name>",
            b"<Event-Name>DTM&#70;</Event-Name>",
            b"<Event-Name>DTM%46</Event-Name>",
            b"<Event-Name >DTMF</Event-Name >",
            b'<Event-Name>CODEC</Event-Name><Event-Name a="b">DTMF</Event-Name>',
            b"<Event-Name>CODEC</Event-Name><a><Event-Name>DTMF</Event-Name></a>",
            b"<Event-Name>CODEC</Event-Name><a>&lt;Event-Name></a>",
            b"<Event-Name>CODEC</Event-Name>\n    <a>\0</a>",
            b"<Event-Name>CODEC</Event-Name>\n    <a>",
            b"<Event-Name/>",
        )
    ),
    b"<event><headers><Event-Name>DTMF</Event-Name></headers></event>",
    HEAD + b"<Event-Name>CODEC",
    HEAD + b"<Event-Name>DTMF</Event-Name>",
    b"",
]
HARD = [("plain", one) for one in PLAIN] + [("json", one) for one in JSON] + [("xml", one) for one in XML]
OTHERS = [
    AUTH,
    ACCEPTED,
    b"\r\n",
    b"Event-Name: DTMF\nContent-Type: command/reply\n\n",  # as the reply to `connect`
    b"Event-Name: CODEC\nContent-Type: command/reply\n\n",
    b"Content-Type: x/y\nEvent-Name: DTMF\n\n",
    b"Content-Type: text/event-plain\n\n",
    b"Event-Name: DTMF\n\n",
]


def streams() -> list[bytes]:
    names = ("sip_plain", "sip_json", "sip_xml", "churn_plain", "bgapi_json", "callcenter", "conference_xml")
    mixed = b"".join([*(event(*one) for one in HARD), *OTHERS, event_of("json"), event_of("xml")])
    damaged = (event("plain", PLAIN[1]) * 3 + damage + event("plain", PLAIN[0]) for damage in DAMAGE)
    cut = (event("plain", one)[:-1] for one in (b"Event-Name: CODEC\n\n", b"Event-Name: DTMF\n\n"))
    return [mixed, *(mixed + one for one in cut), *damaged, *(capture(name)[:150_000] for name in names)]


@pytest.mark.parametrize("number", range(len(streams())))
def test_it_is_a_look_at_each(both: tuple[ModuleType, ModuleType], number: int) -> None:
    data = streams()[number]
    chance = random.Random(number)
    for sizes in ((len(data),), (65536,), (1460,), (1,), *((chance.randint(1, 9000), chance.randint(1, 99)),) * 4):
        chunks = pieces(data[: 20_000 if sizes == (1,) else None], *sizes)
        for buffered in (False, True):
            wanted = trace(both[1], chunks, chosen, buffered)
            for esl in both:
                assert trace(esl, chunks, by_names, buffered) == wanted


@pytest.mark.parametrize(("format", "payload"), HARD)
def test_each_event(esl: ModuleType, format: str, payload: bytes) -> None:
    decoder = esl.Decoder()
    decoder.feed(event(format, payload))
    wanted = shown(list(chosen(decoder)))
    decoder.feed(event(format, payload))
    assert shown(list(decoder._named(iter(NAMES)))) == wanted
    assert (decoder.buffered, list(decoder)) == (0, [])


@pytest.mark.parametrize("format", ["plain", "json", "xml"])
@pytest.mark.parametrize("before", [*range(90), 4000])
def test_a_second_name_is_found_wherever_it_stands(esl: ModuleType, format: str, before: int) -> None:
    filler = b"x" * before
    payload = {
        "plain": b"Event-Name: CODEC\nA: %b\nEvent-Name: DTMF\n\n" % filler,
        "json": b'{"Event-Name":"CODEC","A":"%b","Event-Name":"DTMF"}' % filler,
        "xml": HEAD + b"<Event-Name>CODEC</Event-Name><A>%b</A><Event-Name>DTMF</Event-Name>" % filler + TAIL,
    }[format]
    decoder = esl.Decoder()
    decoder.feed(event(format, payload) + event(format, payload.replace(b"DTMF", b"API")) + AUTH)
    assert [message.get("Event-Name") for message in decoder._named(["DTMF"])] == ["DTMF"]


def test_it_goes_on_with_what_is_fed_later(esl: ModuleType) -> None:
    decoder = esl.Decoder()
    found = decoder._named(["DTMF"])
    assert list(found) == []
    decoder.feed(event("plain", PLAIN[1]) + event("plain", PLAIN[0]) + AUTH)
    assert [message.frame for message in found] == [event("plain", PLAIN[0])]
    assert (decoder.buffered, list(found), list(decoder._named([]))) == (0, [], [])


@pytest.mark.parametrize("size", [1, 100, 70_000, 200_000])
def test_what_was_passed_over_is_told_of_at_the_end(both: tuple[ModuleType, ModuleType], size: int) -> None:
    """An end in the middle of a frame names what came before it."""
    told = []
    for esl in both:
        for choose in (chosen, by_names):
            decoder = esl.Decoder()
            decoder.feed(event("plain", b"Event-Name: CODEC\nA: %b\n\n" % (b"x" * size)) + b"Content-Ty")
            assert list(choose(decoder)) == []
            with pytest.raises(esl.IncompleteFrame) as caught:
                decoder.feed_eof()
            told.append((str(caught.value), vars(caught.value) if hasattr(caught.value, "__dict__") else None))
    assert told.count(told[0]) == 4


def test_a_class_whose_making_fails_takes_nothing(esl: ModuleType) -> None:
    fails = [True]

    class Odd(esl.Message):  # type: ignore[name-defined,misc]
        def __new__(cls, *args: Any) -> Any:
            if fails[0]:
                raise KeyError("odd")
            return super().__new__(cls, *args)

    decoder = esl.events.MessageDecoder({b"text/event-plain": Odd}, esl.Message)
    decoder.feed(event("plain", PLAIN[0]) * 2)
    with pytest.raises(KeyError):
        next(decoder._named(["DTMF"]))
    assert decoder.consumed == 0
    fails[0] = False
    assert len(list(decoder._named(["DTMF"]))) == 2


def test_names_are_texts(esl: ModuleType) -> None:
    with pytest.raises(TypeError):
        list(esl.Decoder()._named(5))


PARTS = st.sampled_from(
    [
        b"Event-Name", b"event-name", b"Event-Name: DTMF", b"\n", b"\r\n", b": ", b":", b"DTMF", b"CODEC", b"%44TMF",
        b'"', b'"Event-Name":"DTMF"', b",", b"{", b"}", b"\\", b"\\u0045", b"\\\\", b"\\n", b"<", b">", b"</", b"<a>",
        b"<Event-Name>DTMF</Event-Name>", b"\xff", b" ", b"\0", b"_",
    ]
)  # fmt: skip
BEGUN = {
    "plain": b"Event-Name: CODEC\n",
    "json": b'{"Event-Name":"CODEC"',
    "xml": HEAD + b"<Event-Name>CODEC</Event-Name>",
}
ENDED = {"plain": b"\n", "json": b"}", "xml": TAIL}


@given(st.sampled_from(sorted(BEGUN)), st.booleans(), st.lists(PARTS, max_size=12), st.booleans())
def test_any_event(format: str, begun: bool, parts: list[bytes], ended: bool) -> None:
    payload = (BEGUN[format] if begun else b"") + b"".join(parts) + (ENDED[format] if ended else b"")
    found = []
    for core in ("c", "python"):
        try:
            esl = load_core(core)
        except ImportError:
            continue
        for choose in (chosen, by_names):
            decoder = esl.Decoder()
            decoder.feed(event(format, payload) + event("plain", PLAIN[0]))
            found.append(shown(list(choose(decoder))))
    assert found.count(found[0]) == len(found)
