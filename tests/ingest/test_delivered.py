"""What a message of a stream becomes: events and notices by the contract."""

from __future__ import annotations

import pytest

from eslcodec import Event, Gap
from eslcodec.ingest._delivered import StreamEvent, StreamNotice, read
from eslcodec.ingest.contract import Contract, Place
from eslcodec.ingest.notices import to_line

PLACE = Place("f", 0, 1, 7)


def read_back(event: Event, contract: Contract) -> StreamEvent:
    item = contract.event(event, PLACE, 1796003318.25)
    found = read(item.headers, item.body, 17, True)
    assert isinstance(found, StreamEvent)
    return found


def test_an_event_comes_back_as_it_was() -> None:
    headers = {"Core-UUID": "8f08a03a", "Event-Sequence": 525, "Codecs": ["PCMU", "G722"], "Name": 'a "b" \n ü'}
    event = Event.build("CUSTOM", headers, "hello", subclass="sofia::register")
    found = read_back(event, Contract("fs 1", "8f08a03a"))
    assert found.to_dict() == event.to_dict()
    assert (found.name, found.subclass, found.body, found.id) == ("CUSTOM", "sofia::register", b"hello", event.id)
    assert (found.event_id, found.switch, found.received) == ("8f08a03a:525", "fs 1", 1796003318.25)
    assert (found.redelivered, found.number, found.oversize) == (True, 17, None)


def test_an_event_that_was_too_large_says_so() -> None:
    event = Event.build("CUSTOM", {"Core-UUID": "c", "Event-Sequence": 1}, "x" * 100_000, subclass="a::b")
    found = read_back(event, Contract("fs1", "c", max_bytes=64 << 10))
    assert found.oversize is not None
    assert found.oversize > 100_000
    assert (found.body, "_oversize" in found, found.subclass) == (None, False, "a::b")


def test_a_copied_event_has_the_identity_of_the_contract() -> None:
    event = Event.build("CUSTOM", {"Core-UUID": "old", "Event-Sequence": 1, "_id": "forged"})
    found = read_back(event, Contract("fs1", "new"))
    assert found.event_id.startswith("new:h:")
    assert found.id == "old:1"
    assert "_id" not in found


def test_an_event_that_could_not_be_read_is_an_event_without_a_name() -> None:
    found = read({"Nats-Msg-Id": "a"}, b'{"_id":"a"}', 1, False)
    assert isinstance(found, StreamEvent)
    assert (found.name, found.event_id, found.switch, found.received) == (None, "a", None, None)


def test_without_headers_the_body_says_who_it_is() -> None:
    found = read(None, b'{"_id":"8f08a03a:525","Event-Name":"DTMF"}', 1, False)
    assert isinstance(found, StreamEvent)
    assert found.event_id == "8f08a03a:525"


@pytest.mark.parametrize("source", ["/esl/a~00112233445566778899aabbccddeeff", "/other/fs1", "/esl/a b"])
def test_a_source_that_is_none_of_ours_names_no_switch(source: str) -> None:
    headers = {"ce-source": source, "Esl-Received": "soon"}
    found = read(headers, b'{"_id":"a"}', 1, False)
    assert (found.switch, found.received) == (None, None)


def test_a_notice_comes_back_as_it_was() -> None:
    item = Contract("fs1").notice(to_line(Gap.of(2.5, "gone"), "fs1", 1796000000.25), PLACE, 1796003318.25)
    found = read(item.headers, item.body, 17, False)
    assert isinstance(found, StreamNotice)
    assert isinstance(found.notice, Gap)
    assert (found.kind, found.notice.seconds, found.notice.reason) == ("gap", 2.5, "gone")
    assert (found.event_id, found.switch, found.received) == (item.id, "fs1", 1796003318.25)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"hello", b'{"Event-Name":"DTMF"}', b'{"_id":"a","x":', b'{"_id":"a"', b'{"_id":1}', b'["_id"]'),
        *(
            b'{"_notice":1,"_id":"a"}',
            b'{"_notice":"gap"}',
            b'{"_notice":"gap","_id":"a"',
            b'{"_notice":' + b"[" * 9999,
        ),
    ],
)
def test_what_is_none_of_the_contract_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"^read b'"):
        read({}, body, 1, False)
