"""The contract of the bridge: subjects, identities, headers and bodies, against docs/contract.md and its vectors."""

from __future__ import annotations

import doctest
import json
import re
from collections.abc import Iterator
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote
from zlib import crc32

import pytest
from emulated import connected
from formats_support import CAPTURES
from hypothesis import given
from hypothesis import strategies as st
from legs_support import check
from support import capture, part

from eslcodec.emulator import Emulator

TOKEN = re.compile(r"[A-Za-z0-9_:~%-]{1,96}", re.ASCII)
TENANTS = "tenant.{variable_domain_name}.{@switch}.{@partition}.{Event-Name}"
DATA = files("eslcodec") / "data" / "contract"
VECTORS = json.loads((DATA / "v1.json").read_text(encoding="utf-8"))
CORE = "8f08a03a"

wild = st.text(st.sampled_from([*'ab.:*>%~$ \t\n\r\0\x7f_-"\\A0', "\u00e9", "\u20ac", "\udcff", "\udc80"]), max_size=60)
values = st.one_of(wild, st.binary(max_size=120).map(lambda data: data.decode("utf-8", "surrogateescape")))


def contract(esl: ModuleType) -> Any:
    return part(esl, "ingest.contract")


def schema(name: str) -> Any:
    return json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))


def token_of(data: bytes) -> str:
    """What docs/contract.md says, by somebody else's percent coding."""
    ends = [quote(data[at : at + 1], safe="_:-").replace(".", "%2E").replace("~", "%7E") for at in range(len(data))]
    if len("".join(ends)) <= 96:
        return "".join(ends) or "%"
    while len("".join(ends)) > 63:
        ends.pop()
    return "".join(ends) + "~" + sha256(data).hexdigest()[:32]


# Tokens


@pytest.mark.parametrize("vector", VECTORS["tokens"], ids=lambda vector: vector["why"])
def test_tokens_are_those_of_the_vectors(esl: ModuleType, vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["hex"])
    value = data.decode("utf-8", "surrogateescape")
    assert vector.get("text", value) == value
    assert contract(esl).escape(value) == vector["token"] == token_of(data)
    if not vector["shortened"]:
        assert contract(esl).unescape(vector["token"]) == value
        return
    with pytest.raises(ValueError, match="was shortened"):
        contract(esl).unescape(vector["token"])


def test_there_are_vectors_for_each_kind_of_byte() -> None:
    assert len(VECTORS["tokens"]) >= 30
    seen = b"".join(bytes.fromhex(vector["hex"]) for vector in VECTORS["tokens"])
    assert set(b".*> \t\r\n\0\x7f%~$\xff") <= set(seen)


@given(value=values)
def test_a_token_is_safe_and_gives_its_value_back(esl: ModuleType, value: str) -> None:
    token = contract(esl).escape(value)
    assert TOKEN.fullmatch(token)
    assert token == token_of(value.encode("utf-8", "surrogateescape"))
    if "~" not in token:
        assert contract(esl).unescape(token) == value


@given(pair=st.tuples(values, values))
def test_two_values_have_two_tokens(esl: ModuleType, pair: tuple[str, str]) -> None:
    one, two = (contract(esl).escape(value) for value in pair)
    assert (one == two) == (pair[0] == pair[1])


@given(size=st.integers(90, 110), bad=st.integers(0, 40))
def test_what_is_too_long_is_cut_behind_a_whole_byte(esl: ModuleType, size: int, bad: int) -> None:
    value = "x" * (size - bad) + "." * bad
    token = contract(esl).escape(value)
    assert token == token_of(value.encode())
    assert len(token) <= 96


@pytest.mark.parametrize("token", ["", ".", "%%", "%2", "%2e", "%41", "a b", "a.b", "\u00e9", "%2E%", "x" * 97, "*"])
def test_what_escape_does_not_give_is_no_token(esl: ModuleType, token: str) -> None:
    with pytest.raises(ValueError, match="expected one that was escaped"):
        contract(esl).unescape(token)


def test_half_a_surrogate_pair_is_told_as_what_is_no_character(esl: ModuleType) -> None:
    assert contract(esl).escape("a\ud800") == "a%EF%BF%BD"


@pytest.mark.parametrize("vector", VECTORS["partitions"], ids=str)
def test_partitions_are_those_of_the_vectors(esl: ModuleType, vector: dict[str, Any]) -> None:
    want = vector["partition"]
    assert contract(esl).partition(vector["unique_id"], vector["switch"], vector["partitions"]) == want
    assert crc32((vector["unique_id"] or vector["switch"]).encode()) % vector["partitions"] == want


# Subjects


@pytest.mark.parametrize("vector", VECTORS["subjects"], ids=lambda vector: vector["why"])
def test_subjects_are_those_of_the_vectors(esl: ModuleType, vector: dict[str, Any]) -> None:
    subjects = contract(esl).Subjects(vector["template"], vector["partitions"])
    event = esl.Event.from_payload(json.dumps(vector["headers"]).encode(), "json")
    assert subjects.of_event(event, vector["switch"]) == vector["subject"]
    assert subjects.parse(vector["subject"]).switch == vector["switch"]


@pytest.mark.parametrize("vector", VECTORS["notices"], ids=lambda vector: vector["kind"])
def test_subjects_of_notices_are_those_of_the_vectors(esl: ModuleType, vector: dict[str, Any]) -> None:
    subjects = contract(esl).Subjects(vector["template"])
    assert subjects.of_notice(vector["kind"], vector["switch"]) == vector["subject"]
    assert subjects.parse(vector["subject"])[:3] == (vector["switch"], None, vector["kind"])


@given(
    headers=st.dictionaries(
        st.sampled_from(["Event-Name", "Event-Subclass", "Unique-ID", "variable_domain_name"]),
        st.one_of(st.sampled_from(["notice", "gap", "0", "notice.gap", "", "esl"]), values),
    ),
    switch=st.one_of(st.just("fs1"), values.filter(lambda value: value != "")),
    template=st.sampled_from(["", TENANTS, "e.{@partition}", "e.{@switch}.{@partition}[.a.{Event-Name}.{X}]"]),
)
def test_no_event_has_the_subject_of_a_notice(
    esl: ModuleType, headers: dict[str, str], switch: str, template: str
) -> None:
    subjects = contract(esl).Subjects(template) if template else contract(esl).Subjects()
    event = esl.Event.from_payload(json.dumps(headers).encode(), "json")
    subject = subjects.of_event(event, switch)
    assert all(TOKEN.fullmatch(token) for token in subject.split("."))
    assert len(subject) < 4096 - 512
    read = subjects.parse(subject)
    assert read.notice is None
    assert read.partition == contract(esl).partition(event.get("Unique-ID"), switch)
    for name, value in read.headers.items():
        assert value in (None, event.get(name) or "")
    for kind in ("gap", headers.get("Event-Name", ""), headers.get("Event-Subclass", "")):
        notice = subjects.of_notice(kind, switch)
        assert notice != subject
        assert subjects.parse(notice).partition is None
        start = subjects.pattern(switch).removesuffix(">")
        assert "*" in start or (notice.startswith(start) and subject.startswith(start))


def test_what_stands_in_brackets_is_left_out_with_its_header(esl: ModuleType) -> None:
    subjects = contract(esl).Subjects("e.{@partition}[.{A}.{B}]", 1)
    said = [subjects.of_event(esl.Event.build("X", headers), "s") for headers in ({}, {"A": "1"}, {"B": "2"})]
    assert said == ["e.0", "e.0.1.%", "e.0.%.2"]
    assert subjects.parse("e.0.%.2").headers == {"A": "", "B": "2"}
    assert contract(esl).Subjects(TENANTS).pattern() == "tenant.*.*.>"
    assert contract(esl).Subjects().pattern() == "esl.v1.*.>"


@pytest.mark.parametrize(
    "template",
    [
        "",
        "esl",
        "esl.{@switch}",
        "{@partition}.x",
        "_esl.{@partition}",
        "$esl.{@partition}",
        "esl..{@partition}",
        "esl.{@partition}.{@partition}",
        "esl.{@switch}.{@switch}.{@partition}",
        "esl.{@host}.{@partition}",
        "esl.x{A}.{@partition}",
        "esl.{}.{@partition}",
        "esl.{@partition}.>",
        "esl.{@partition}.{A}.{A}",
        "esl.{@partition}[.{A}].b",
        "esl.{@partition}[.b]",
        "esl[.{@partition}.{A}]",
        "esl.{@partition}[.{@switch}]",
        "esl.{@partition}[.{A}",
        "esl.{@partition}" + ".x" * 15,
    ],
)
def test_a_template_that_would_mislead_is_refused(esl: ModuleType, template: str) -> None:
    with pytest.raises(ValueError, match="the template"):
        contract(esl).Subjects(template)


@pytest.mark.parametrize("number", [-1, 0, 1025])
def test_a_number_of_partitions_that_cannot_be_is_refused(esl: ModuleType, number: int) -> None:
    with pytest.raises(ValueError, match="expected 1 to 1024"):
        contract(esl).Subjects(partitions=number)
    assert contract(esl).Subjects(partitions=1024).partitions == 1024


@pytest.mark.parametrize(
    "subject",
    [
        *["", "esl", "esl.v2.a.0.X", "esl.v1.a.16.X", "esl.v1.a.01.X", "esl.v1.a.-1.X", "esl.v1.a.~.X"],
        *["esl.v1.a.0.X.Y.Z", "esl.v1.a.0.%zz", "esl.v1.a.notice", "esl.v1.a.notice.x.y", "esl.v1.a.0"],
    ],
)
def test_what_the_template_does_not_give_is_no_subject(esl: ModuleType, subject: str) -> None:
    with pytest.raises(ValueError, match="read"):
        contract(esl).Subjects().parse(subject)


# Identities


@pytest.mark.parametrize("vector", VECTORS["ids"], ids=lambda vector: vector["why"])
def test_identities_are_those_of_the_vectors(esl: ModuleType, vector: dict[str, Any]) -> None:
    event = esl.Event.from_payload(vector["payload"].encode(), "plain")
    assert contract(esl).identity(event, vector["core"]) == vector["id"]


@pytest.mark.parametrize("format", ["plain", "json", "xml"])
def test_an_event_that_is_copied_and_fired_twice_has_three_identities(format: str) -> None:
    """It has the older pair in front: a log that goes by that drops both copies without a word."""
    from eslcodec.ingest.contract import Contract, identity

    with Emulator() as switch, connected(switch) as client:
        client.ask(f"event {format} DTMF")
        client.text("sendevent DTMF\nDTMF-Digit: 5")
        client.until(lambda: len(client.events) == 1)
        (first,) = client.events
        core = first["Core-UUID"]
        copied = "\n".join(f"{name}: {first[name]}" for name in first if name != "Content-Length")
        for _ in range(2):
            client.text(f"sendevent DTMF\n{copied}")
        client.until(lambda: len(client.events) == 3)
        for event in client.events[1:]:
            assert event.getlist("Core-UUID")[0] == core
            assert event.getlist("Event-Sequence")[0] == first["Event-Sequence"]
        for asked in (core, "11111111", None):
            ids = [identity(event, asked) for event in client.events]
            assert len(set(ids)) == 3, ids
        assert [identity(event, core) for event in client.events] == [event.id for event in client.events]
        lines = [json.loads(Contract("fs1", core).event(event).body)["_id"] for event in client.events]
        assert lines == [event.id for event in client.events]


@pytest.mark.parametrize("sequence", ["", "-5", "+5", " 5", "5 ", "1e3", "\u0665", "5:6", "1" * 21])
def test_only_a_number_is_trusted(esl: ModuleType, sequence: str) -> None:
    payload = json.dumps({"Event-Name": "DTMF", "Core-UUID": CORE, "Event-Sequence": sequence}).encode()
    event = esl.Event.from_payload(payload, "json")
    assert contract(esl).identity(event, CORE) == f"{CORE}:h:{sha256(payload).hexdigest()[:32]}"


@pytest.mark.parametrize("name", CAPTURES)
def test_all_events_of_a_capture_have_identities_of_their_own(esl: ModuleType, name: str) -> None:
    decoder = esl.Decoder()
    decoder.feed(capture(name))
    seen: dict[str, bytes] = {}
    try:
        for message in decoder:
            if isinstance(message, esl.Event) and not message.malformed:
                id = contract(esl).identity(message, message.get("Core-UUID"))
                assert seen.setdefault(id, message.payload) == message.payload
                assert contract(esl).identity(message, "another").startswith("another:h:")
    except esl.ProtocolError:
        pass


# Messages


def events_of(esl: ModuleType, name: str) -> Iterator[Any]:
    decoder = esl.Decoder()
    decoder.feed(capture(name))
    return (message for message in decoder if isinstance(message, esl.Event))


@pytest.mark.parametrize("name", ["calls_sip", "calls_sip_json", "conference_xml", "sendevent"])
def test_messages_are_as_the_schemas_say(esl: ModuleType, name: str) -> None:
    place = contract(esl).Place("20261130T014838Z-000001", 0, 512, 7)
    checked = 0
    for event in events_of(esl, name):
        maker = contract(esl).Contract("fs 1", event.get("Core-UUID"))
        item = maker.event(event, place, 1796003318.0625)
        body = json.loads(item.body)
        check(body, schema("event"), {})
        check(item.headers, schema("headers"), {})
        for message, known in ((body, "event"), (item.headers, "headers")):
            for member, rule in schema(known)["properties"].items():
                if member in message and "pattern" in rule:
                    assert re.search(rule["pattern"], message[member], re.ASCII), member
        assert next(iter(body)) == "_id"
        assert body.pop("_id") == item.id == item.headers["Nats-Msg-Id"] == item.headers["ce-id"]
        assert body == event.to_dict()
        assert item.headers["ce-source"] == "/esl/fs%201"
        assert item.headers["ce-time"] == event.timestamp.isoformat(timespec="microseconds").replace("+00:00", "Z")
        assert (item.headers["Esl-Place"], item.headers["Esl-Received"]) == (str(place), "1796003318.062500")
        assert item.place == place
        checked += 1
    assert checked > 5


@given(
    headers=st.lists(
        st.tuples(st.one_of(st.sampled_from(["_id", "_oversize", "_ID", "_body", "A", "Core-UUID"]), wild), values),
        max_size=6,
    ),
    kind=st.sampled_from(["plain", "json"]),
)
def test_the_identity_stands_once_whatever_the_event_brings(
    esl: ModuleType, headers: list[tuple[str, str]], kind: str
) -> None:
    if kind == "json":
        payload = "{" + ",".join(f"{json.dumps(name)}:{json.dumps(value)}" for name, value in headers) + "}"
    else:
        lines = [
            f"{re.sub('[^A-Za-z_-]', '', name)}: {quote(value, errors='surrogateescape')}\n" for name, value in headers
        ]
        payload = "".join(lines) + "\n"
    event = esl.Event.from_payload(payload.encode(), kind)
    item = contract(esl).Contract("fs1", CORE).event(event)
    pairs: list[tuple[str, Any]] = json.loads(item.body, object_pairs_hook=list)
    assert [name for name, _ in pairs].count("_id") == 1
    assert pairs[0] == ("_id", item.id)
    assert "_oversize" not in dict(pairs)
    want = {} if event.malformed else event.to_dict()
    assert dict(pairs[1:]) == {name: value for name, value in want.items() if name not in ("_id", "_oversize")}
    assert all(text.isascii() and text.isprintable() and text for text in item.headers.values())


def test_an_event_that_cannot_be_read_is_told_by_its_identity(esl: ModuleType) -> None:
    event = esl.Event.from_payload(b"{bad", "json")
    item = contract(esl).Contract("fs1", CORE).event(event)
    assert item.id == f"{CORE}:h:{sha256(b'{bad').hexdigest()[:32]}"
    assert item.body == b'{"_id":"%b"}' % item.id.encode()
    assert item.subject.endswith(".%")


def test_what_is_too_large_is_told_without_its_body(esl: ModuleType) -> None:
    maker = contract(esl).Contract("fs1", CORE, max_bytes=64 << 10)
    known = {"Core-UUID": CORE, "Event-Sequence": "5", "Unique-ID": "u", "Event-Date-Timestamp": "1796003318062500"}
    bare = maker.event(esl.Event.build("DTMF", known, "x"))
    room = (64 << 10) - bare.size - 4  # "Content-Length: 1" grows to five digits
    whole = maker.event(esl.Event.build("DTMF", known, "x" * (room + 1)))
    assert (whole.size, "_oversize" in json.loads(whole.body), maker.oversize) == (64 << 10, False, 0)
    cut = maker.event(esl.Event.build("DTMF", known, "x" * (room + 2)))
    body = json.loads(cut.body)
    assert body == {"_id": f"{CORE}:5", "_oversize": len(whole.body) + 1, "Event-Name": "DTMF", **known} | {
        "Content-Length": str(room + 2)
    }
    assert (cut.headers["Esl-Oversize"], maker.oversize, cut.subject) == (str(len(whole.body) + 1), 1, whole.subject)


@pytest.mark.parametrize("value", ["y" * 70_000, "\x01" * 70_000, ["z" * 40_000, "z" * 40_000]])
def test_what_is_too_large_without_its_body_is_told_by_what_it_is_known_by(esl: ModuleType, value: Any) -> None:
    maker = contract(esl).Contract("fs1", CORE, max_bytes=64 << 10)
    for name in ("variable_x", "Unique-ID", "Event-Subclass"):
        payload = json.dumps({"Event-Name": "CUSTOM", "Core-UUID": CORE, "Event-Sequence": "5", name: value}).encode()
        item = maker.event(esl.Event.from_payload(payload, "json"))
        body = json.loads(item.body)
        assert item.size <= 64 << 10
        assert (body["_id"], body["Event-Name"], body["_oversize"] > 60_000) == (f"{CORE}:5", "CUSTOM", True)
        assert (name in body) == (name != "variable_x")
        check(body, schema("event"), {})


def test_a_notice_is_told_where_no_event_is(esl: ModuleType) -> None:
    maker = contract(esl).Contract("fs1", CORE)
    line = b'{"_notice":"core\\u005fchanged","switch":"fs1","at":1796003318.25}\n'
    items = [maker.notice(line, contract(esl).Place("f", 0, at, 7), 1796003318.25) for at in (1, 2)]
    assert items[0].id != items[1].id
    item = items[0]
    body = json.loads(item.body)
    assert body == {"_notice": "core_changed", "_id": item.id, "switch": "fs1", "at": 1796003318.25}
    assert (item.subject, item.headers["ce-type"]) == ("esl.v1.fs1.notice.core_changed", "esl.notice.core_changed")
    check(body, schema("notice"), {})
    check(item.headers, schema("headers"), {})


def test_what_is_taken_out_is_nowhere_but_the_identity_is_that_of_what_came(esl: ModuleType) -> None:
    module = contract(esl)
    redact = esl.ingest.Redact(mask=["Unique-ID", "variable_tenant"], drop=["Event-Date-Timestamp"], bodies="drop")
    subjects = module.Subjects("a.{variable_tenant}.{@switch}.{@partition}.{Event-Name}")
    headers = {"Event-Date-Timestamp": "1796003318250000", "Unique-ID": "u1", "variable_tenant": "acme"}
    for pair in ({"Core-UUID": CORE, "Event-Sequence": "5"}, {"Core-UUID": "other", "Event-Sequence": "5"}):
        event = esl.Event.build("DTMF", {**headers, **pair}, "hi")
        plain = module.Contract("fs1", CORE, subjects).event(event)
        item = module.Contract("fs1", CORE, subjects, redact=redact).event(event)
        assert item.id == item.headers["ce-id"] == plain.id
        assert item.subject == f"a.{module.escape('***')}.fs1.{module.partition('***', 'fs1')}.DTMF"
        assert "ce-time" not in item.headers
        assert json.loads(item.body) == {
            "_id": plain.id,
            "Event-Name": "DTMF",
            **pair,
            "Unique-ID": "***",
            "variable_tenant": "***",
        }


def test_a_large_event_is_cut_after_what_is_taken_out(esl: ModuleType) -> None:
    redact = esl.ingest.Redact(drop=["variable_large"], mask=["variable_x"])
    event = esl.Event.build("DTMF", {"variable_large": "l" * 200_000, "variable_x": "x" * 200_000})
    maker = contract(esl).Contract("fs1", CORE, max_bytes=64 << 10, redact=redact)
    assert json.loads(maker.event(event).body)["variable_x"] == "***"
    assert maker.oversize == 0


def test_a_notice_that_is_redacted_is_known_by_what_it_was(esl: ModuleType) -> None:
    maker, place = contract(esl).Contract("fs1", CORE), contract(esl).Place("f", 0, 1, 7)
    line, shown = (
        b'{"_notice":"found","switch":"fs1","at":1.0,"caller":"%b"}' % caller for caller in (b"1000", b"***")
    )
    item = maker.notice(line, place, 1.0, shown)
    assert item.id == maker.notice(line, place, 1.0).id
    assert json.loads(item.body)["caller"] == "***"


@pytest.mark.parametrize(
    "line", [b"", b"{}", b'{"_notice":1}', b'{"Event-Name":"A"}', b'{"_notice":"a"', b'["_notice"]']
)
def test_what_is_no_notice_is_refused(esl: ModuleType, line: bytes) -> None:
    with pytest.raises(ValueError, match="expected a notice"):
        contract(esl).Contract("fs1").notice(line, contract(esl).Place("f", 0, 1, 7), 0.0)


@pytest.mark.parametrize("name", ["", "x" * 97, "." * 33])
def test_a_name_of_a_switch_that_is_no_whole_token_is_refused(esl: ModuleType, name: str) -> None:
    with pytest.raises(ValueError, match="is no token of at most 96 bytes"):
        contract(esl).Contract(name)


@pytest.mark.parametrize("core", ["", "a b", "x" * 65, 'x"', "a\nb"])
def test_a_core_that_cannot_be_one_is_not_known(esl: ModuleType, core: str) -> None:
    assert contract(esl).Contract("fs1", core).core is None
    assert repr(contract(esl).Contract("fs1", core)) == "<Contract 'fs1' v1>"


def test_a_message_has_room_for_what_it_is_known_by(esl: ModuleType) -> None:
    with pytest.raises(ValueError, match="expected at least 65536"):
        contract(esl).Contract("fs1", max_bytes=65_535)


# The page


def test_the_page_says_what_is_done() -> None:
    page = Path(__file__).parents[2] / "docs" / "contract.md"
    if not page.exists():
        pytest.skip("docs/ is not beside the tests")
    result = doctest.testfile(str(page), module_relative=False, encoding="utf-8")
    assert (result.failed, result.attempted) == (0, 12)


# Places


@given(file=values.filter(bool), numbers=st.tuples(*[st.integers(0, 2**62)] * 2), connection=st.integers(0, 2**64 - 1))
def test_a_place_is_read_back(esl: ModuleType, file: str, numbers: tuple[int, int], connection: int) -> None:
    place = contract(esl).Place(file[:30], *numbers, connection)
    assert contract(esl).Place.parse(str(place)) == place


def test_later_places_are_greater(esl: ModuleType) -> None:
    place = contract(esl).Place
    ordered = [("a-1", 0, 9, 9), ("a-1", 0, 10, 8), ("a-1", 90, 0, 0), ("a-2", 0, 0, 0), ("b-0", 0, 0, 0)]
    assert sorted(place(*one) for one in reversed(ordered)) == ordered


@pytest.mark.parametrize(
    "text", ["", "a:1:2", "a:1:2:0", "a:x:2:" + "0" * 16, ":1:2:" + "0" * 16, "%zz:1:2:" + "0" * 16]
)
def test_what_is_no_place_is_refused(esl: ModuleType, text: str) -> None:
    with pytest.raises(ValueError, match="read"):
        contract(esl).Place.parse(text)


def test_subjects_are_the_same_whatever_is_remembered(esl: ModuleType) -> None:
    module = contract(esl)
    warm = module.Subjects()
    values = [None, "", *(f"a.{number}" for number in range(1500)), "x" * 300, "a.1", None, ""]
    for value in values:
        headers = {"Unique-ID": f"u{value}"}
        for switch in ("fs1", "a.b"):
            event = esl.Event.build("DTMF", headers if value is None else {**headers, "Event-Subclass": value})
            subject = warm.of_event(event, switch)
            assert subject == module.Subjects().of_event(event, switch)
            assert warm.parse(subject).partition == module.partition(f"u{value}", switch)
            assert len(warm._made) <= module._MADE_MOST
    assert not any("x" * 300 in (value or "") for key in warm._made for value in key)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("1796003318250000", "2026-11-30T01:48:38.250000Z"),
        ("0", "1970-01-01T00:00:00.000000Z"),
        ("-1", "1969-12-31T23:59:59.999999Z"),
        ("-62135596800000000", "0001-01-01T00:00:00.000000Z"),
        ("-62135596800000001", None),
        ("253402300799999999", "9999-12-31T23:59:59.999999Z"),
        ("253402300800000000", None),
        ("9" * 19, None),
        ("1.5", None),
        ("", None),
    ],
)
def test_when_it_happened_is_a_time_of_the_calendar_or_not_said(esl: ModuleType, text: str, time: str | None) -> None:
    event = esl.Event.build("DTMF", {"Event-Date-Timestamp": text})
    item = contract(esl).Contract("fs1").event(event)
    assert item.headers.get("ce-time") == time
    assert (event.timestamp is None) == (time is None)
