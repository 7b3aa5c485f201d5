"""Notices: how they are written, read back, recorded in their place, and that no event can pass for one."""

from __future__ import annotations

import gc
import io
import json
import threading
from datetime import datetime, timezone
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from legs_support import check
from recorder_support import GREETING, Clock, chunks_in, files_in, recorder_of
from shells import until
from support import part, plain

AT = 1_796_000_000.25
TIME = datetime(2026, 11, 29, 2, 52, 30, 251991, tzinfo=timezone.utc)


def notices_of(esl: ModuleType) -> Any:
    return part(esl, "ingest.notices")


def loss(esl: ModuleType, *fields: Any) -> Any:
    return part(esl, "ingest.watch").Loss(*fields)


def all_of(esl: ModuleType) -> list[Any]:
    n = notices_of(esl)
    return [
        n.Started("fs1", AT, "127.0.0.1", 8021, "host", "fs1.example.org", "8f08a03a", "1.11.3"),
        n.Started("fs1", AT, "::1", 8021),
        n.Stopped("fs1", AT, "removed"),
        n.CoreChanged("fs1", AT, "8f08a03a", "a1b2"),
        n.CoreChanged("fs1", AT, None, None),
        n.Ended("fs1", AT, "e10a8e20", TIME, TIME),
        n.Ended("fs1", AT, "e10a8e20", None, None, "a1b2"),
        n.Found("fs1", AT, "e10a8e20", TIME, "inbound", "1000", "2000", True, "Ann\n\udcff", "sofia/a", "default"),
        n.Found("fs1", AT, "e10a8e20"),
    ]


def test_they_come_back_from_a_line(esl: ModuleType) -> None:
    n = notices_of(esl)
    for notice in all_of(esl):
        line = n.to_line(notice)
        assert line.startswith(b'{"_notice":"%b","switch":"fs1","at":' % notice.kind.encode())
        assert b"\n" not in line
        back = n.from_line(line)
        expected = [getattr(notice, name) for name in notice.__dataclass_fields__]
        expected = [item.replace("\udcff", "\ufffd") if isinstance(item, str) else item for item in expected]
        assert [getattr(back, name) for name in notice.__dataclass_fields__] == expected
        assert type(back) is type(notice)


def test_a_gap_and_a_loss_come_back(esl: ModuleType) -> None:
    n = notices_of(esl)
    lost = loss(esl, "bounded", None, 17, "reconnected")
    assert n.from_line(n.to_line(lost, "fs1", AT)) == lost
    before = {"Core-UUID": "c", "Event-Sequence": 7, "Event-Date-Timestamp": 1795920750251991}
    gap = esl.Gap.of(2.5, "gone", esl.Event.build("DTMF", before))
    gap.resume(esl.Event.build("DTMF", {"Core-UUID": "c", "Event-Sequence": 10}))
    for back in n.from_line(n.to_line(gap, "fs1", AT)), n.from_dict(n.to_note(gap, "fs1", AT)):
        assert type(back) is esl.Gap
        assert (back.seconds, back.reason, back.last_sequence, back.at_most) == (2.5, "gone", 7, 2)
        assert (back.last_timestamp, back.same_core) == (gap.last_timestamp, True)
    bare = n.from_line(n.to_line(esl.Gap.of(1, ""), None, AT))
    assert (bare.seconds, bare.last_sequence, bare.same_core) == (1.0, None, None)


def test_what_is_no_notice(esl: ModuleType) -> None:
    n = notices_of(esl)
    stopped: dict[str, Any] = {"_notice": "stopped", "switch": "a", "at": 1, "reason": "x"}
    assert n.from_dict(stopped) is not None
    wrong: list[dict[str, Any]] = [
        {**stopped, "at": "1"},
        {**stopped, "at": True},
        {**stopped, "at": None},
        {**stopped, "reason": 5},
        {**stopped, "reason": None},
        {**stopped, "_notice": "unknown"},
        {**stopped, "_notice": ["stopped"]},
        {"_notice": "gap", "at": 1},
        {"_notice": "gap", "at": 1, "seconds": True, "reason": ""},
        {"_notice": "loss", "at": 1, "grade": "x", "evidence": ""},
        {"_notice": "loss", "at": 1, "grade": "bounded", "evidence": "", "count": "5"},
        {"_notice": "started", "at": 1, "host": "a", "port": "8021"},
        {"_notice": "ended", "at": 1, "uuid": "a", "not_before": "yesterday"},
        {"_notice": "ended", "at": 1, "uuid": "a", "not_before": "2026-01-01T00:00:00"},
        {},
    ]
    for said in wrong:
        assert n.from_dict(said) is None, said
    for line in (
        b"",
        b"{}",
        b'{"_notice":',
        b'{"at":1,"_notice":"stopped","reason":""}',
        b'{"_notice":' + b"[" * 100_000,
    ):
        assert n.from_line(line) is None
    with pytest.raises(TypeError):
        n.describe(esl.Event.build("DTMF"))
    for at in None, float("nan"), float("inf"):
        with pytest.raises(ValueError, match="at is"):
            n.to_line(loss(esl, "stalled", None, None, ""), "a", at)


def test_lines_are_as_the_schema_says(esl: ModuleType) -> None:
    n, schema = notices_of(esl), part(esl, "ingest.presets").json_schema("notice")
    before = {"Core-UUID": "c", "Event-Sequence": 7, "Event-Date-Timestamp": 1795920750251991}
    gap = esl.Gap.of(2.5, "gone", esl.Event.build("DTMF", before))
    others = [gap, esl.Gap.of(1, ""), loss(esl, "bounded", None, 17, "x"), loss(esl, "stalled", None, None, "")]
    said = [n.describe(item) for item in all_of(esl)] + [n.describe(item, "fs1", AT) for item in others]
    for each in said:
        check(each, schema, {})
        (kind,) = (kind for kind in schema["oneOf"] if kind["properties"]["_notice"]["const"] == each["_notice"])
        assert list(kind["properties"]) == list(each)
        for name in each:
            with pytest.raises(AssertionError):
                check({key: value for key, value in each.items() if key != name}, schema, {})
    assert {each["_notice"] for each in said} == {kind["title"] for kind in schema["oneOf"]}
    stopped: dict[str, Any] = {"_notice": "stopped", "switch": "fs1", "at": 1, "reason": "x"}
    check(stopped, schema, {})
    with pytest.raises(AssertionError):
        check({**stopped, "at": "1"}, schema, {})


def test_notices_are_redacted(esl: ModuleType, tmp_path: Path) -> None:
    n, redact = notices_of(esl), part(esl, "ingest.redact").Redact
    found = n.Found("fs1", AT, "b", TIME, "inbound", "1000", "2000", True, "Ann", "sofia/1000", "default")
    hidden = n.redacted(found, redact(mask=["Caller-*"], drop=["Channel-Name"]))
    assert (hidden.caller, hidden.callee, hidden.caller_name, hidden.name) == ("***", "***", "***", None)
    assert (hidden.uuid, hidden.created, hidden.direction, hidden.answered) == ("b", TIME, "inbound", True)
    assert n.redacted(n.Ended("fs1", AT, "b"), redact(mask=["Unique-ID"])).uuid == "***"
    assert n.redacted(n.Ended("fs1", AT, "b"), redact(drop=["Unique-ID"])).uuid == ""
    stopped = n.Stopped("fs1", AT, "removed")
    assert n.redacted(stopped, redact(mask=["*"])) is stopped
    with recorder_of(esl, tmp_path / "a") as recorder:
        recorder.opened(("127.0.0.1", 8021))
        recorder.received(GREETING)
        recorder.note(n.to_note(found))
        recorder.note({"note": "mine", "caller": "1000"})
    masks = redact(mask=["Caller-*"])
    part(esl, "ingest.redacting").redact_recording(tmp_path / "a", tmp_path / "out.esl.zst", masks)
    assert told(esl, tmp_path / "out.esl.zst") == [n.redacted(found, masks)]
    assert lines_written(esl, tmp_path / "a", redact=masks, notices=True) == [n.to_line(n.redacted(found, masks))]


# Lines of JSON


def lines_written(esl: ModuleType, source: Any, **options: Any) -> list[bytes]:
    out = io.BytesIO()
    count = part(esl, "ingest._ndjson").ndjson(source, out, **options)
    lines = out.getvalue().splitlines()
    assert count == len(lines)
    return lines


def test_lines_of_a_recording_have_notices_where_they_are_asked_for(esl: ModuleType, tmp_path: Path) -> None:
    n = notices_of(esl)
    ended, lost = n.Ended("fs1", AT, "a"), loss(esl, "bounded", None, 17, "x")
    with recorder_of(esl, tmp_path) as recorder:
        recorder.opened(("127.0.0.1", 8021))
        recorder.received(GREETING + event(1) + event(2)[:30])
        recorder.note(n.to_note(ended))
        recorder.received(event(2)[30:] + event(3))
        recorder.note(n.to_note(lost, "fs1", AT))
        recorder.note(n.to_note(esl.Gap.of(2.5, "gone"), "fs1", AT))
    for options in {}, {"errors": "surrogateescape"}, {"redact": lambda event: event}:
        lines = lines_written(esl, tmp_path, notices=True, **options)
        found = [n.from_line(line) or json.loads(line)["Event-Sequence"] for line in lines]
        assert found[:5] == ["1", ended, "2", "3", lost]
        assert type(found[5]) is esl.Gap
        assert len(found) == 6
        assert len(lines_written(esl, tmp_path, **options)) == 3
    assert len(lines_written(esl, tmp_path, events=["X"], notices=True)) == 3


# Nobody can forge one


def test_events_that_try_to_be_notices(esl: ModuleType) -> None:
    """Whatever stands in an event: its line has no number, and its type is another."""
    n = notices_of(esl)
    stopped = {"_notice": "stopped", "switch": "fs1", "at": 1796000000.25, "reason": "x"}
    text = "".join(f"{name}: {value}\n" for name, value in stopped.items()).encode()
    tries = [
        esl.Event.from_payload(text, "plain"),
        esl.Event.from_payload(text + b"at: 5\nat[0]: 5\n", "plain"),
        esl.Event.from_payload(json.dumps(stopped).encode(), "json"),
        esl.Event.from_payload(json.dumps({**stopped, "_body": "{}"}).encode(), "json"),
        esl.Event.build("CUSTOM", {"Gap-Seconds": "2.5", "Gap-Reason": "x"}, subclass="eslcodec::gap"),
        esl.Event.build("CUSTOM", {"x": '","at":1796000000.25,"_notice":"stopped'}),
    ]
    for event in tries:
        assert n.from_line(event.to_json()) is None, event.to_json()
        assert not n.is_notice(event)
        assert all(isinstance(value, (str, list)) for value in json.loads(event.to_json()).values())


@pytest.mark.parametrize("format", ["plain", "json", "xml"])
def test_sendevent_that_tries(esl: ModuleType, format: str) -> None:
    n, emulator = notices_of(esl), part(esl, "emulator")
    with emulator.Emulator() as switch, esl.connect(switch.host, switch.port) as fs:
        fs.subscribe("ALL", format=format)
        headers = [("_notice", "gap"), ("at", "1796000000.25"), ("seconds", "2.5"), ("reason", "x")]
        for subclass in "eslcodec::gap", "x::y":
            fs.send(b"sendevent CUSTOM\nEvent-Subclass: %b\n" % subclass.encode() + lines(headers) + b"\n")
        fs.send(b"sendevent NOTIFY\n" + lines(headers) + b"\n")
        found = []
        while len(found) < 3:
            found += [event for event in fs.take(10, 5) if "_notice" in event]
        for event in found:
            assert type(event) is esl.Event
            assert n.from_line(event.to_json()) is None
            assert not event.to_json().startswith(b'{"_notice":')


def lines(headers: list[tuple[str, str]]) -> bytes:
    return b"".join(b"%b: %b\n" % (name.encode(), value.encode()) for name, value in headers)


HOSTILE: list[dict[str, Any]] = [
    {"note": "ended", "at": 1, "uuid": "a", "not_before": 5},
    {"note": "ended", "at": 1, "uuid": "a", "not_after": ["2026-01-01T00:00:00Z"]},
    {"note": "ended", "at": 1, "uuid": "a", "not_after": "0001-01-01T00:00:00+14:00"},
    {"note": "found", "at": 1, "uuid": "a", "created": "9999-12-31T23:59:59-14:00"},
    {"note": "found", "at": 1, "uuid": {"a": 1}},
    {"note": "stopped", "at": 10**400, "reason": "x"},
    {"note": "stopped", "at": -(10**400), "reason": "x"},
    {"note": "stopped", "at": 1, "switch": {"a": 1}, "reason": "x"},
    {"note": "gap", "at": 10**400, "seconds": 1, "reason": "x"},
    {"note": "gap", "at": 1, "switch": ["a"], "seconds": 1, "reason": "x"},
    {"note": "gap", "at": 1, "seconds": 10**400, "reason": "x"},
    {"note": "gap", "at": 1, "seconds": 1, "reason": "x", "core_uuid": {"a": 1}},
    {"note": "gap", "at": 1, "seconds": 1, "reason": "x", "next_sequence": [7]},
    {"note": "loss", "at": 10**400, "grade": "certain", "evidence": ""},
    {"note": "loss", "at": 1, "switch": 5, "grade": "certain", "evidence": ""},
]


def test_hostile_notes_are_no_notices(esl: ModuleType, tmp_path: Path) -> None:
    """Whoever wrote the file: what reads it goes on."""
    n = notices_of(esl)
    assert [said for said in HOSTILE if n.from_dict(said) is not None] == []
    for at in float("nan"), float("inf"), float("-inf"):
        assert n.from_dict({"note": "stopped", "at": at, "reason": "x"}) is None
        assert n.from_dict({"note": "gap", "at": 1, "seconds": at, "reason": "x"}) is None
        assert n.from_line(b'{"_notice":"stopped","at":%a,"reason":"x"}' % at) is None
    with recorder_of(esl, tmp_path) as recorder:
        recorder.opened(("127.0.0.1", 8021))
        recorder.received(GREETING)
        for number, said in enumerate(HOSTILE):
            recorder.note(said)
            recorder.received(event(number))
    assert told(esl, tmp_path) == list(range(len(HOSTILE)))
    lines = lines_written(esl, tmp_path, notices=True)
    assert [json.loads(line)["Event-Sequence"] for line in lines] == [str(number) for number in range(len(HOSTILE))]
    batches = part(esl, "ingest").scan(tmp_path, {"@notice": "json", "Event-Sequence": "string"})
    assert sum(batch.num_rows for batch in batches) == len(HOSTILE)
    assert list(part(esl, "ingest").legs(tmp_path)) == []
    assert len(esl.Recording(tmp_path).info().notes) > len(HOSTILE)


def test_text_of_json_that_stands_for_no_byte(esl: ModuleType) -> None:
    n = notices_of(esl)
    redact = part(esl, "ingest").Redact(mask=["Caller-Caller-ID-Number"])
    for line in (
        b'{"_notice":"found","switch":"a","at":1,"uuid":"u","caller":"\\ud800","name":"\\udfff"}',
        b'{"_notice":"gap","switch":"a","at":1,"seconds":1,"reason":"\\ud800","core_uuid":"\\ud800"}',
    ):
        said = n.redacted(n.from_line(line), redact)
        assert "\ufffd" in n.to_line(said, "a", 1).decode()
    assert n.redacted(n.Found("a", 1, "\ud800"), redact).uuid == "\ufffd"


# Recordings


def test_received_bytes_that_look_like_a_note(esl: ModuleType, tmp_path: Path) -> None:
    """A caller sent what a recorder would write, and nothing is compressed."""
    n = notices_of(esl)
    note = n.to_note(n.Stopped("fs1", AT, "forged"))
    forged = part(esl, "zst").pack_note(connection=7, offset=0, wall_ns=10**18, mono_ns=9, note=note)
    with recorder_of(esl, tmp_path, level=0) as recorder:
        recorder.opened(("127.0.0.1", 8021))
        recorder.received(GREETING + event(1))
        recorder.received(b"Content-Length: %d\nContent-Type: api/response\n\n%b" % (len(forged), forged))
        recorder.received(event(2))
    (path,) = files_in(tmp_path)
    assert forged in path.read_bytes()
    whole = path.read_bytes()
    for damaged in "raise", "skip":
        found = list(esl.Recording(path, damaged=damaged).messages(notices=True))
        assert [type(item).__name__ for item in found] == ["AuthRequest", "Event", "ApiResponse", "Event"]
    at = whole.index(forged)
    path.write_bytes(whole[: at - 1] + bytes([whole[at - 1] ^ 1]) + whole[at:])
    assert not any(n.is_notice(item) for item in esl.Recording(path, damaged="skip").messages(notices=True))


def event(number: int) -> bytes:
    return plain(b"Event-Name: DTMF\nEvent-Sequence: %d\n\n" % number)


def told(esl: ModuleType, source: Path, **options: Any) -> list[Any]:
    """Sequence numbers and notices of a recording, in order."""
    found = esl.Recording(source).messages(notices=True, **options)
    return [
        item.sequence if type(item) is esl.Event else item for item in found if not isinstance(item, esl.AuthRequest)
    ]


def test_notices_stand_in_their_place(esl: ModuleType, tmp_path: Path) -> None:
    n, clock = notices_of(esl), Clock()
    ended, found = n.Ended("fs1", AT, "a"), n.Found("fs1", AT, "b")
    lost = loss(esl, "bounded", None, 17, "reconnected")
    with recorder_of(esl, tmp_path, clock) as recorder:
        recorder.note(n.to_note(ended))  # before the first connection
        recorder.opened(("127.0.0.1", 8021))
        recorder.received(GREETING + event(1) + event(2)[:30])
        recorder.note(n.to_note(found))  # in the midst of a frame
        recorder.received(event(2)[30:])
        recorder.note(n.to_note(lost, "fs1", AT))
        recorder.note({"note": "mine", "of": [1]})
        recorder.received(event(3))
        recorder.closed("gone")
        recorder.note(n.to_note(esl.Gap.of(2.5, "gone"), "fs1", AT))  # between two
        recorder.opened(("127.0.0.1", 8021))
        recorder.received(GREETING + event(4))
        recorder.note(n.to_note(n.Stopped("fs1", AT, "removed")))
        assert recorder.stats()["state"] == "recording"
    items = told(esl, tmp_path)
    assert items[:6] == [ended, 1, found, 2, lost, 3]
    assert type(items[6]) is esl.Gap
    assert items[7:] == [4, n.Stopped("fs1", AT, "removed")]
    assert [m.sequence for m in esl.Recording(tmp_path).messages() if isinstance(m, esl.Event)] == [1, 2, 3, 4]
    info = esl.Recording(tmp_path).info(verify=True)
    assert not info.damage
    kinds = [note["note"] for _, note in info.notes]
    assert kinds == ["ended", "opened", "found", "loss", "mine", "closed", "gap", "opened", "stopped", "closed"]


def test_notices_from_a_time_on(esl: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The file waits for the next connection: its thread would close it before the note or after it, as it happens.
    monkeypatch.setattr(part(esl, "limits"), "RECORDER_LINGER_SECONDS", 100.0)
    n, clock = notices_of(esl), Clock()
    with recorder_of(esl, tmp_path, clock) as recorder:
        for number in range(4):
            recorder.opened(("127.0.0.1", 8021))
            recorder.received(GREETING + event(number))
            recorder.closed("gone")
            clock.go(10, recorder)
            recorder.note(n.to_note(n.Ended("fs1", AT, str(number))))
            clock.go(10, recorder)
    begin = 1_764_400_000
    assert [getattr(item, "uuid", item) for item in told(esl, tmp_path, since=begin + 25)] == ["1", 2, "2", 3, "3"]
    assert [getattr(item, "uuid", item) for item in told(esl, tmp_path, since=begin + 65)] == ["3"]
    assert [getattr(item, "uuid", item) for item in told(esl, tmp_path, until=begin + 15)] == [0, "0"]


def test_a_note_when_the_file_was_closed_goes_into_the_next(esl: ModuleType, tmp_path: Path) -> None:
    n, clock = notices_of(esl), Clock()
    with recorder_of(esl, tmp_path, clock, rotate_seconds=60) as recorder:
        recorder.opened(("127.0.0.1", 8021))
        recorder.received(GREETING + event(1))
        clock.go(2, recorder)
        until_written(recorder, 1)
        clock.go(100, recorder)
        until_closed(recorder)
        recorder.note(n.to_note(n.Ended("fs1", AT, "a")))
        recorder.received(event(2))
    assert len(files_in(tmp_path)) == 2
    assert [getattr(item, "uuid", item) for item in told(esl, tmp_path)] == [1, "a", 2]
    assert [c.note["note"] for c in chunks_in(esl, files_in(tmp_path)[1]) if c.note] == ["ended", "continued", "closed"]


def test_a_note_when_the_last_file_was_closed_has_one_of_its_own(esl: ModuleType, tmp_path: Path) -> None:
    n, clock = notices_of(esl), Clock()
    with recorder_of(esl, tmp_path, clock) as recorder:
        recorder.opened(("127.0.0.1", 8021))
        recorder.received(GREETING + event(1))
        recorder.closed("gone")
        until_written(recorder, 1)
        clock.go(100, recorder)
        until_closed(recorder)
        recorder.note(n.to_note(n.Ended("fs1", AT, "a")))
        recorder.note(n.to_note(n.Stopped("fs1", AT, "removed")))
    assert [getattr(item, "uuid", None) for item in told(esl, tmp_path)] == [None, "a", None]
    first, second = files_in(tmp_path)
    (opened, *_), rest = chunks_in(esl, first), chunks_in(esl, second)
    assert [(chunk.connection, chunk.offset) for chunk in rest] == [(opened.connection, len(GREETING + event(1)))] * 3
    assert [chunk.note["note"] for chunk in rest] == ["continued", "ended", "stopped"]
    info = part(esl, "recordings").Recording(tmp_path).info()
    assert (info.connections, info.gaps, info.closed) == (1, [], True)
    again = recorder_of(esl, tmp_path, clock)
    again.opened(("127.0.0.1", 8021))
    again.close()
    assert (again.missed.seconds, again.missed.whole) == (100, True)


def test_a_note_is_not_lost_with_its_recorder(esl: ModuleType, tmp_path: Path) -> None:
    """It is forgotten, not closed, while the note waits for a file."""
    n, clock = notices_of(esl), Clock()
    recorder = recorder_of(esl, tmp_path, clock)
    recorder.opened(("127.0.0.1", 8021))
    recorder.received(GREETING + event(1))
    recorder.closed("gone")
    until_written(recorder, 1)
    clock.go(100, recorder)
    until_closed(recorder)
    bell, writer = recorder._bell, recorder._writer
    recorder.note(n.to_note(n.Ended("fs1", AT, "a")))
    until(lambda: writer.holds and bell.kept is None)
    del recorder

    def is_written() -> bool:
        gc.collect()
        return len(files_in(tmp_path)) == 2 and not writer.has_file

    until(is_written)
    assert [getattr(item, "uuid", item) for item in told(esl, tmp_path)] == [1, "a"]


@pytest.mark.parametrize("is_last", [True, False])
def test_a_note_of_a_connection_that_brought_nothing(esl: ModuleType, tmp_path: Path, is_last: bool) -> None:
    """It stands by another one of the recorder."""
    n, clock = notices_of(esl), Clock()
    with recorder_of(esl, tmp_path, clock) as recorder:
        recorder.opened(("127.0.0.1", 8021))
        recorder.received(GREETING + event(1))
        recorder.closed("gone")
        recorder.opened(("127.0.0.1", 8021))
        recorder.note(n.to_note(n.Ended("fs1", AT, "a")))
        recorder.closed("gone")
        recorder.note(n.to_note(n.Ended("fs1", AT, "b")))
        if not is_last:
            recorder.opened(("127.0.0.1", 8021))
            recorder.received(GREETING + event(2))
    assert [getattr(item, "uuid", item) for item in told(esl, tmp_path)] == [1, "a", "b", 2][: 3 if is_last else 4]
    assert len(files_in(tmp_path)) == 1


def test_a_connection_that_ends_long_after_its_last_byte_has_its_end_told(esl: ModuleType, tmp_path: Path) -> None:
    """Its file was closed in time."""
    clock = Clock()
    with recorder_of(esl, tmp_path, clock, rotate_seconds=60) as recorder:
        recorder.opened(("127.0.0.1", 8021))
        recorder.received(GREETING)
        clock.go(2, recorder)
        until_written(recorder, 1)
        clock.go(100, recorder)
        until_closed(recorder)
        recorder.closed("gone")
    assert [c.note["note"] for c in chunks_in(esl, files_in(tmp_path)[1]) if c.note] == ["continued", "closed"]
    again = recorder_of(esl, tmp_path, clock)
    again.opened(("127.0.0.1", 8021))
    again.close()
    assert (again.missed.seconds, again.missed.whole) == (0, True)


def until_written(recorder: Any, chunks: int) -> None:
    until(lambda: recorder.stats()["chunks"] >= chunks)


def until_closed(recorder: Any) -> None:
    until(lambda: not recorder._writer.has_file)


def test_notes_from_many_threads(esl: ModuleType, tmp_path: Path) -> None:
    n = notices_of(esl)
    with recorder_of(esl, tmp_path) as recorder:
        recorder.opened(("127.0.0.1", 8021))
        recorder.received(GREETING)

        def tell(name: str) -> None:
            for number in range(100):
                recorder.note(n.to_note(n.Ended(name, AT, str(number))))

        threads = [threading.Thread(target=tell, args=(str(number),)) for number in range(4)]
        for thread in threads:
            thread.start()
        for number in range(100):
            recorder.received(event(number))
        for thread in threads:
            thread.join()
    items = told(esl, tmp_path)
    assert [item for item in items if isinstance(item, int)] == list(range(100))
    for name in "0123":
        found = [item.uuid for item in items if not isinstance(item, int) and item.switch == name]
        assert found == [str(number) for number in range(100)]


def test_what_a_recorder_does_not_note(esl: ModuleType, tmp_path: Path) -> None:
    with recorder_of(esl, tmp_path) as recorder:
        wrong: list[dict[str, Any]] = [
            {},
            {"note": ""},
            {"note": 5},
            {"note": "opened", "peer": ["evil", 1]},
            {"note": "closed", "at": 1},
            {"note": "gap", "since": 1},
            {"note": "stopped"},
            {"note": "x", "long": "y" * 70_000},
        ]
        for said in wrong:
            with pytest.raises(ValueError, match="note"):
                recorder.note(said)
        deep: list[Any] = []
        for _ in range(100_000):
            deep = [deep]
        for value in float("nan"), float("-inf"), deep:
            with pytest.raises(ValueError, match=r"JSON|too deep"):
                recorder.note({"note": "x", "what": value})
        with pytest.raises(TypeError):
            recorder.note({"note": "x", "what": object()})
    recorder.note({"note": "x"})  # closed: nothing happens


def test_a_notice_at_the_end_says_not_that_all_was_recorded(esl: ModuleType, tmp_path: Path) -> None:
    n = notices_of(esl)
    files = part(esl, "ingest._files")
    note = n.to_note(n.Stopped("fs1", AT, "removed"))
    packed = part(esl, "zst").pack_note(connection=7, offset=5, wall_ns=10**18, mono_ns=9, note=note)
    (tmp_path / "a.esl.zst").write_bytes(packed)
    (chunk,) = chunks_in(esl, tmp_path / "a.esl.zst")
    assert not files._counts(chunk)
