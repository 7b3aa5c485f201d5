"""Events as the bytes that a server gets: the same as by the contract, word for word."""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eslcodec import Decoder, Event
from eslcodec.ingest import Redact
from eslcodec.ingest._packed import Packed, Packer, headers_of, pack
from eslcodec.ingest.contract import Contract, Item, Place, Subjects

CAPTURES = Path(__file__).parents[1] / "data/captures"
PLACE = Place("20261130T014838Z-000001", 4096, 98765, 7)
CORE = "8f08a03a"


def both(event: Event, contract: Contract, place: Place = PLACE, received: float = 1796003318.25) -> tuple[Packed, ...]:
    return Packer(contract).event(event, place, received), pack(contract.event(event, place, received))


def events(capture: str) -> list[Event]:
    decoder = Decoder()
    decoder.feed(lzma.decompress((CAPTURES / f"{capture}.esl.xz").read_bytes()))
    return [message for message in decoder if isinstance(message, Event)]


@pytest.mark.parametrize("capture", ["sip_plain", "churn_plain", "sip_json", "sip_xml"])
def test_captured_events_are_as_by_the_contract(capture: str) -> None:
    found = events(capture)[:400]
    contract = Contract("pbx.example.com", found[0].get("Core-UUID"))
    packer = Packer(contract)
    for offset, event in enumerate(found):
        place = Place(f"20261130T014838Z-{offset // 50:06}", offset // 9, offset, 7)
        assert packer.event(event, place, offset / 8) == pack(contract.event(event, place, offset / 8))


TEXT = st.one_of(st.sampled_from(["", CORE, "1", "525", "\xb2", "a b", "%", "x" * 400, "1796003318250000"]), st.text())
NAMES = "Event-Name Event-Subclass Core-UUID Event-Sequence Event-Date-Timestamp Unique-ID _id _oversize _ID variable_a"


@given(
    headers=st.lists(st.tuples(st.sampled_from(NAMES.split()), TEXT), max_size=9),
    body=st.one_of(st.none(), TEXT),
    template=st.sampled_from(
        [None, "t.{variable_a}.{@switch}.{@partition}.{Event-Name}", "t.{@partition}.{Event-Subclass}"]
    ),
    core=st.sampled_from([CORE, None]),
)
def test_any_event_is_as_by_the_contract(
    headers: list[tuple[str, str]], body: str | None, template: str | None, core: str | None
) -> None:
    lines = b"".join(
        b"%b: %b\n" % (name.encode(), value.encode("utf-8", "replace").replace(b"\n", b" ")) for name, value in headers
    )
    event = Event.from_payload(lines + b"\n" + (body or "").encode("utf-8", "replace"), "plain")
    contract = Contract("a.b%c", core, Subjects(template, 3) if template else None)
    packed, expected = both(event, contract)
    assert packed == expected


@pytest.mark.parametrize("size", [(64 << 10) - 2300, (64 << 10) - 1800, 64 << 10, 1 << 20])
def test_what_is_too_large_is_shortened_as_by_the_contract(size: int) -> None:
    contract = Contract("fs1", CORE, max_bytes=64 << 10)
    packed, expected = both(Event.build("CUSTOM", {"Core-UUID": CORE, "A": "x" * size}), contract)
    assert packed == expected
    assert len(packed.body) < 64 << 10


def test_what_is_set_at_the_contract_counts_at_once() -> None:
    contract = Contract("fs1")
    packer = Packer(contract)
    event = Event.build("DTMF", {"Core-UUID": CORE, "Event-Sequence": 525})
    before = packer.event(event, PLACE, 1.0).id
    contract.core = CORE
    assert (before[:4], packer.event(event, PLACE, 1.0).id) == ("-:h:", f"{CORE}:525")


def test_what_is_redacted_is_known_by_what_was_received() -> None:
    """The identity is that of the event as it came; all else is of what is shown."""
    redact = Redact.profile("secrets")
    for core in (CORE, None):
        contract = Contract("fs1", core, redact=redact)
        event = Event.build("DTMF", {"Core-UUID": CORE, "Event-Sequence": 525, "variable_sip_auth_password": "s3cret"})
        packed, expected = both(event, contract)
        assert packed == expected
        assert b"s3cret" not in packed.body
        assert packed.id == Packer(Contract("fs1", core)).event(event, PLACE, 1.0).id


def test_more_kinds_than_are_remembered() -> None:
    contract = Contract("fs1", CORE, Subjects(partitions=1024))
    packer = Packer(contract)
    for number in range(40):
        event = Event.build("CUSTOM", {"Unique-ID": str(number)}, subclass=f"kind{number}")
        assert packer.event(event, PLACE, 1.0) == pack(contract.event(event, PLACE, 1.0))


@pytest.mark.parametrize(
    ("item", "why"),
    [
        (Item("a b", {}, b"", "1"), "read the subject 'a b', expected one without blanks"),
        (Item("", {}, b"", "1"), "read the subject '', expected one without blanks"),
        (Item("a", {"A": "1\r\nB: 2"}, b"", "1"), "printable ASCII"),
        (Item("a", {"A b": "1"}, b"", "1"), "printable ASCII"),
        (Item("a", {"A": "é"}, b"", "1"), "printable ASCII"),
        (Item("a", {}, b"", "1\r\nB: 2"), "printable ASCII"),
    ],
)
def test_what_would_not_be_one_message_is_refused(item: Item, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        pack(item)


def test_headers_come_back() -> None:
    headers = {"A": "1: 2", "B": ""}
    assert headers_of(pack(Item("a", headers, b"", "1")).head) == headers
