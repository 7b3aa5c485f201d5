"""`errors` of look-ups: text that anything takes, in each format."""

from __future__ import annotations

import json
import re
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import decode

# Text that anything takes: `errors` of look-ups

NOT_UTF8 = [
    ("plain", b"A: Jos\xe9\nB\xfe: %FF%C3%A9 %ed%a0%80\nE: \nArr: ARRAY::\xff|:x\nU: \xc3\xa9\n\nbody\xff"),
    (
        "json",
        b'{"A":"Jos\xe9","B\xfe":"\xff\xc3\xa9 \xed\xa0\x80","E":"","Arr":["\xff","x"],"U":"\\u00e9","_body":"\xff"}',
    ),
]
REPLACED = {"A": "Jos\ufffd", "B\ufffd": "\ufffdé \ufffd\ufffd\ufffd", "E": "", "Arr": "ARRAY::\ufffd|:x", "U": "é"}
KEPT = {"A": "Jos\udce9", "B\udcfe": "\udcffé \udced\udca0\udc80", "E": "", "Arr": "ARRAY::\udcff|:x", "U": "é"}


@pytest.mark.parametrize(("format", "payload"), NOT_UTF8)
@pytest.mark.parametrize("first", ["get", "select", "asdict", "len", "absent"])
def test_look_ups_replace_or_keep_bytes_that_are_not_utf8(
    esl: ModuleType, format: Any, payload: Any, first: str
) -> None:
    event = esl.Event.from_payload(payload, format)
    event.asdict() if first == "asdict" else event.get("absent") if first == "absent" else None
    assert first != "len" or len(event) == 5
    for name, kept, replaced in zip(KEPT, KEPT.values(), REPLACED.values(), strict=True):
        assert event.get(name) == event.get(name, errors="surrogateescape") == event[name] == kept
        assert event.get(name, errors="replace") == event.get(name, None, errors="replace") == replaced
        assert event.get(name, "default", errors="replace") == replaced
        replaced.encode()
    assert event.select(*KEPT) == event.select(*KEPT, errors="surrogateescape") == tuple(KEPT.values())
    assert event.select(*KEPT, "absent", errors="replace") == (*REPLACED.values(), None)
    assert event.select(errors="replace") == ()
    assert event.asdict() == event.asdict(errors="surrogateescape") == dict(event) == KEPT
    assert list(event.asdict(errors="replace").items()) == list(REPLACED.items())
    assert event.asdict(errors="replace") is not event.asdict(errors="replace")
    assert event.asdict() == KEPT
    json.dumps(event.asdict(errors="replace"), ensure_ascii=False).encode()


def test_other_frames_and_xml_are_replaced_alike(esl: ModuleType) -> None:
    frame = b"Content-Type: command/reply\nReply-Text: +OK Jos\xe9\n\n"
    (reply,) = decode(esl, frame)
    made = esl.CommandReply(frame)
    xml = esl.Event.from_payload(b"<event><headers><A>%E9</A></headers></event>", "xml")
    for message, name, kept in (
        (reply, "Reply-Text", "+OK Jos\udce9"),
        (made, "reply-text", "+OK Jos\udce9"),
        (xml, "A", "\udce9"),
    ):
        assert message.get(name) == kept
        assert message.get(name, errors="replace") == kept[:-1] + "\ufffd"
        assert message.select(name, errors="replace") == (kept[:-1] + "\ufffd",)
        assert kept[:-1] + "\ufffd" in message.asdict(errors="replace").values()


def test_the_default_of_a_look_up_is_returned_as_it_is(esl: ModuleType) -> None:
    event = esl.Event.build("DTMF")
    for default in ("\udce9", b"\xff", ["\udce9"], 5, None):
        assert event.get("absent", default, errors="replace") is default
        assert event.get("absent", default) is default


def test_names_that_become_one_are_one_in_asdict(esl: ModuleType) -> None:
    event = esl.Event.from_payload(b"A\xff: 1\nA\xfe: 2\nEvent-Name: B\nEvent-Name: C\n\n", "plain")
    assert event.asdict(errors="replace") == {"A\ufffd": "1", "Event-Name": "C"}
    assert event.get("A\xfe", errors="replace") is None
    assert event.get("A\udcfe", errors="replace") == "2"


@pytest.mark.parametrize("errors", ["strict", "ignore", "", "Replace", None, 5])
def test_other_error_modes_of_look_ups_are_refused(esl: ModuleType, errors: Any) -> None:
    event = esl.Event.build("DTMF")
    message = r"^errors is .*, expected 'replace' or 'surrogateescape'$"
    for name in ("Event-Name", "absent"):
        with pytest.raises(ValueError, match=message):
            event.get(name, errors=errors)
        with pytest.raises(ValueError, match=message):
            event.get(name, "default", errors=errors)
        with pytest.raises(ValueError, match=message):
            event.select(name, errors=errors)
    with pytest.raises(ValueError, match=message):
        event.asdict(errors=errors)
    for wrong in (lambda: event.get("A", None, "replace"), lambda: event.asdict("replace")):
        with pytest.raises(TypeError):
            wrong()


def test_the_name_of_a_mode_may_be_another_object(esl: ModuleType) -> None:
    event = esl.Event.from_payload(b"A: \xff\n\n", "plain")
    for mode, text in (("surrogate", "\udcff"), ("repl", "\ufffd")):
        errors = "".join([mode, "escape" if mode == "surrogate" else "ace"])
        assert event.get("A", errors=errors) == event.select("A", errors=errors)[0] == text
        assert event.asdict(errors=errors) == {"A": text}


@given(
    fields=st.lists(
        st.tuples(
            st.sampled_from([b"A", b"a", b"B\xff", b"B\xfe", b"Event-Name", "é".encode(), b"\xc3"]),
            st.sampled_from(
                [b"1", b"\xff", b"%FE", b"%C3%A9", b"\xc3", b"x%ED%A0%80y", b"\xf0\x9f\x98\x80", b"%F0%9F%98"]
            ),
        ),
        max_size=6,
    )
)
def test_replaced_look_ups_are_the_others_replaced(both: tuple[ModuleType, ModuleType], fields: Any) -> None:
    def replaced(text: Any) -> Any:
        return re.sub("[\ud800-\udfff]", "\ufffd", text)

    payload = b"".join(name + b": " + value + b"\n" for name, value in fields) + b"\n"
    for package in both:
        event = package.Event.from_payload(payload, "plain")
        kept = event.asdict()
        wanted = {}
        for name, value in kept.items():
            wanted.setdefault(replaced(name), replaced(value))
        assert list(event.asdict(errors="replace").items()) == list(wanted.items())
        assert event.select(*kept, errors="replace") == tuple(map(replaced, kept.values()))
        assert [event.get(name, errors="replace") for name in kept] == list(map(replaced, kept.values()))
        assert event.asdict(errors="replace").items() <= event.to_dict().items()
