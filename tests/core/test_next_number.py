"""`NextNumber`: events that are the next by number, read no further than that."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import captured, examples, part

from eslcodec import limits

NAMES = ("HEARTBEAT", "CUSTOM")
HEADS = {"plain": b"Event-Name: %b\n", "json": b'{"Event-Name":"%b"'}
NUMBERS = {"plain": b"Event-Sequence: %b\n", "json": b',"Event-Sequence":"%b"'}
ENDS = {"plain": b"\n", "json": b"}"}
MORE = {"plain": b"X: %b\n", "json": b',"X":"%b"'}
FORMATS = sorted(HEADS)


def numbering(esl: ModuleType, expected: int = 525) -> Any:
    made = part(esl, "_codec").NextNumber(NAMES)
    made._next = expected
    return made


def message(esl: ModuleType, payload: bytes, format: str = "plain") -> Any:
    return esl.Event.from_payload(payload, format)


def written(
    format: str, name: bytes = b"DTMF", number: bytes = b"525", before: bytes = b"", after: bytes = b""
) -> bytes:
    return HEADS[format] % name + before + NUMBERS[format] % number + after + ENDS[format]


@pytest.mark.parametrize("format", FORMATS)
def test_the_next_is_taken_and_counted(esl: ModuleType, format: str) -> None:
    numbers = numbering(esl)
    for number in (525, 526, 527):
        assert numbers.takes(message(esl, written(format, number=b"%d" % number), format)) == ""
        assert numbers._read == number
    assert (numbers._next, numbers._count) == (528, 3)


@pytest.mark.parametrize("format", FORMATS)
def test_a_name_that_is_looked_for_is_told(esl: ModuleType, format: str) -> None:
    numbers = numbering(esl)
    assert numbers.takes(message(esl, written(format, name=b"CUSTOM"), format)) == "CUSTOM"
    assert numbers.takes(message(esl, written(format, name=b"CUSTOM"), format)) is None
    assert numbers._read == 525
    assert numbers.takes(message(esl, written(format, name=b"HEARTBEA", number=b"526"), format)) == ""
    assert numbers._next == 527


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    "payload",
    [
        {"number": b"524"},
        {"number": b"526"},
        {"number": b""},
        {"number": b"-525"},
        {"number": b"525 "},
        {"number": b"525\r"},
        {"number": b"5250"},
        {"number": b"0" * 16 + b"525"},  # of 19 digits
        {"number": "\u0665\u0662\u0665".encode()},  # digits, but not of ASCII
        {"name": b"CUST%4FM"},
        {"name": b"CUST\\u004fM"},
    ],
    ids=str,
)
def test_others_are_left_as_they_are(esl: ModuleType, format: str, payload: dict[str, bytes]) -> None:
    numbers = numbering(esl)
    assert numbers.takes(message(esl, written(format, **payload), format)) is None
    assert (numbers._next, numbers._count) == (525, 0)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("number", [b"525", b"0525", b"0" * 15 + b"525"])
def test_digits_up_to_18(esl: ModuleType, format: str, number: bytes) -> None:
    assert numbering(esl).takes(message(esl, written(format, number=number), format)) == ""


@pytest.mark.parametrize("format", FORMATS)
def test_where_the_number_may_stand(esl: ModuleType, format: str) -> None:
    """It begins in the first so many bytes: the line feed, or the comma, that comes before it is within them."""
    head = len(HEADS[format] % b"DTMF") - (format == "plain")
    room = limits.NEXT_NUMBER_BYTES - 1 - head - len(MORE[format] % b"")
    for size, taken in [(room - 1, True), (room, True), (room + 1, False)]:
        payload = written(format, before=MORE[format] % (b"x" * size))
        assert (numbering(esl).takes(message(esl, payload, format)) == "") is taken, size


@pytest.mark.parametrize("format", FORMATS)
def test_where_the_name_may_end(esl: ModuleType, format: str) -> None:
    """It and the line feed after it, or in JSON its quote and the comma, are within the same."""
    last = limits.NEXT_NUMBER_BYTES - len(HEADS[format] % b"") - (format == "json")
    for size, taken in [(last - 1, True), (last, True), (last + 1, False), (last + 2, False)]:
        assert (numbering(esl).takes(message(esl, written(format, name=b"N" * size), format)) == "") is taken, size


def test_a_number_in_the_body_is_none(esl: ModuleType) -> None:
    payload = b"Event-Name: DTMF\nContent-Length: 21\n\nEvent-Sequence: 525\n\n"
    assert numbering(esl).takes(message(esl, payload)) is None
    payload = b'{"Event-Name":"DTMF","_body":",\\"Event-Sequence\\":\\"525\\""}'
    assert numbering(esl).takes(message(esl, payload, "json")) is None


@pytest.mark.parametrize("format", FORMATS)
def test_the_first_number_is_read(esl: ModuleType, format: str) -> None:
    again = NUMBERS[format] % b"526"
    assert numbering(esl).takes(message(esl, written(format, after=again), format)) == ""
    assert numbering(esl, 526).takes(message(esl, written(format, after=again), format)) is None


def test_what_is_no_event_in_plain_or_json(esl: ModuleType) -> None:
    numbers = numbering(esl)
    block = b"Content-Type: command/reply\nEvent-Name: DTMF\nEvent-Sequence: 525\n\n"
    xml = b"<event><headers><Event-Name>DTMF</Event-Name><Event-Sequence>525</Event-Sequence></headers></event>"
    channel = b"Event-Name: DTMF\nEvent-Sequence: 525\n\n"
    for other in (
        esl.CommandReply(block),
        esl.CommandReply(channel),
        message(esl, xml, "xml"),
        message(esl, b"Event-Subclass: a\n" + written("plain")),
        message(esl, b""),
        message(esl, b"Event-Name: "),
        message(esl, b"Event-Name: DTMF"),
        message(esl, b"Event-Name: DTMF\nEvent-Sequence: 525"),
        message(esl, b'{"Event-Name":"DTMF"', "json"),
        message(esl, b'{"Event-Name":"DTMF","Event-Sequence":"525', "json"),
        None,
        "text",
    ):
        assert numbers.takes(other) is None
        assert numbers._read == -1


def test_none_is_taken_before_a_number_is_known_or_after_the_last(esl: ModuleType) -> None:
    numbers = part(esl, "_codec").NextNumber([])
    event = message(esl, written("plain", number=b"0"))
    assert (numbers._next, numbers._count) == (-1, 0)
    assert numbers.takes(event) is None
    numbers._next = 0
    numbers._until = 0
    assert numbers.takes(event) is None
    numbers._until = 1
    assert numbers.takes(event) == ""
    assert numbers.takes(message(esl, written("plain", number=b"1"))) is None


@pytest.mark.parametrize("format", FORMATS)
def test_it_passes_those_that_are_the_next(esl: ModuleType, format: str) -> None:
    numbers = numbering(esl, 1)
    names = [b"DTMF", b"DTMF", b"CUSTOM", b"DTMF"]
    events = [message(esl, written(format, name=name, number=b"%d" % at), format) for at, name in enumerate(names, 1)]
    events += [None, *events]
    assert (numbers.passes(events, 0), numbers._answer, numbers._next) == (2, "CUSTOM", 4)
    assert (numbers.passes(events, 3), numbers._answer, numbers._next) == (4, None, 5)
    assert (numbers.passes(events, 5), numbers._answer, numbers._read) == (5, None, 1)
    assert numbers._count == 4
    for start in (len(events), 10**6):
        assert numbers.passes(events, start) == max(start, len(events))
    assert numbers.passes([], 0) == 0
    numbers._next = 1
    assert numbers.passes(events, -5) == 2


def test_it_passes_lists_only(esl: ModuleType) -> None:
    with pytest.raises(TypeError):
        numbering(esl).passes(None, 0)


def test_names_are_ascii(esl: ModuleType) -> None:
    with pytest.raises(UnicodeEncodeError):
        part(esl, "_codec").NextNumber(["é"])


@pytest.mark.parametrize("name", ["calls_sip", "transfer_hold_json", "conference_xml", "churn_plain", "lowlevel"])
def test_of_a_recording_it_takes_what_is_the_next(esl: ModuleType, name: str) -> None:
    """Always what a look-up says, and most of a recording."""
    numbers = numbering(esl, 0)
    events = [one for one in captured(esl, name) if isinstance(one, esl.Event)][:2000]
    for event in events:
        expected = numbers._next
        taken = numbers.takes(event)
        assert numbers._read in (-1, event.sequence) or event.name == "PRIVATE_COMMAND" or "Command" in event
        if taken is not None:
            assert event.sequence == expected
            assert taken == (event.name if event.name in NAMES else "")
        elif event.sequence is not None:
            numbers._next = event.sequence + 1
    assert name == "conference_xml" or numbers._count > len(events) // 2


PLAIN_PARTS = [b"Event-Name: DTMF", b"Event-Sequence: 525", b"Event-Sequence: 526", b"\n", b"\r\n", b"A: b", b"%", b" "]
JSON_PARTS = [
    b'{"Event-Name":"DTMF"',
    b',"Event-Sequence":"525"',
    b',"Event-Sequence":"',
    b'"',
    b"\\",
    b",",
    b"}",
    b"9",
]
PARTS = st.sampled_from([*PLAIN_PARTS, *JSON_PARTS, b"\n", b"x" * 1000])


@examples(300)
@given(parts=st.lists(PARTS, max_size=12), format=st.sampled_from(FORMATS))
def test_both_cores_take_the_same(both: tuple[ModuleType, ModuleType], parts: list[bytes], format: str) -> None:
    payload = b"".join(parts)
    if not payload.startswith(HEADS[format][:-4]):
        payload = HEADS[format] % b"DTMF" + payload
    seen = []
    for esl in both:
        numbers = numbering(esl)
        seen.append((numbers.takes(message(esl, payload, format)), numbers._read, numbers._next, numbers._count))
    assert seen[0] == seen[1]
