"""Two bridges over one emulated switch know each event by the same name, from the first event of a connection on."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from bridge_support import ListSink
from fleet_support import at, eventually, quick, run
from recordings_support import Tape
from support import plain

from eslcodec import Event
from eslcodec.emulator import Emulator
from eslcodec.ingest import Fleet, Recorder, notices
from eslcodec.ingest.bridge import Bridge
from eslcodec.ingest.contract import Contract, identity

CORE, NEXT = "8f08a03a", "11111111"
PAYLOADS = [b"Event-Name: DTMF\nCore-UUID: %b\nEvent-Sequence: 1\n\n" % core.encode() for core in (CORE, NEXT)]


def known(core: str | None) -> list[str]:
    """What the events of `PAYLOADS` are known by over a connection to a switch with this Core-UUID."""
    return [identity(Event.from_payload(payload, "plain"), core) for payload in PAYLOADS]


def published(folder: Path) -> list[str]:
    """The identities of the events that a bridge reads from a recording."""
    kind: Any = type("Sink", (ListSink,), {"log": []})
    bridge = Bridge(folder, "", "LIST", Contract("fs1"), begin="all", sink=kind)
    bridge.finish()
    asyncio.run(asyncio.wait_for(bridge.run(), 60))
    return [item.id for item in kind.log if item.id == item.headers["ce-id"] and not item.id.startswith("n:")]


async def received(fleet: Fleet, count: int) -> None:
    """Until so many events were received; they are not taken, so that what the fleet says of them comes late."""
    await eventually(lambda: fleet.switches["fs1"].received_events >= count)


def test_the_first_events_of_each_connection_have_one_identity_in_two_recordings(tmp_path: Path) -> None:
    """The switch sends events as soon as they are asked for; then it is started anew, and has another Core-UUID."""

    async def main(switch: Emulator) -> None:
        recorders = [Recorder(tmp_path / str(number), min_free=0) for number in range(2)]
        fleets = [quick([at("fs1", switch)], tap=lambda _, one=one: one) for one in recorders]
        async with fleets[0] as one, fleets[1] as two:
            await asyncio.gather(received(one, 2), received(two, 2))
            switch._switch.core.uuid = NEXT
            switch.drop()
            await asyncio.gather(received(one, 4), received(two, 4))
            await one.take(timeout=1)
            await two.take(timeout=1)
        for recorder in recorders:
            await asyncio.to_thread(recorder.close)

    with Emulator(replay=b"".join(map(plain, PAYLOADS))) as switch:
        switch._switch.core.uuid = CORE
        run(main(switch))
    folders = [next((tmp_path / str(number)).iterdir()) for number in range(2)]
    assert known(CORE)[0] == f"{CORE}:1"
    assert known(NEXT)[1] == f"{NEXT}:1"
    assert [published(folder) for folder in folders] == [known(CORE) + known(NEXT)] * 2


def noted(folder: Path, *said: dict[str, Any]) -> list[str]:
    """What the events are known by behind each of these notes."""
    tape = Tape()
    for note in said:
        tape.note(**note)
        tape.chunk(*map(plain, PAYLOADS))
    folder.mkdir(exist_ok=True)
    (folder / "20261130T014838Z-000001.esl.zst").write_bytes(tape.bytes(closed=False))
    return published(folder)


def logged_in(core: str | None) -> dict[str, Any]:
    return {"note": "logged_in", "switch": "fs1", "at": 1796000000.0, "core_uuid": core}


def started(core: str) -> dict[str, Any]:
    return notices.to_note(notices.Started("fs1", 1796000000.0, "10.0.0.1", 8021, core_uuid=core))


def changed(core: str) -> dict[str, Any]:
    return notices.to_note(notices.CoreChanged("fs1", 1796000000.0, None, core))


def test_a_late_notice_does_not_overrule_what_was_said_at_the_login(tmp_path: Path) -> None:
    found = noted(tmp_path, logged_in(NEXT), started(CORE), changed(CORE), logged_in(CORE), logged_in(None))
    assert found == 3 * known(NEXT) + known(CORE) + known(None)


def test_without_a_login_it_is_what_the_notices_say_as_in_older_recordings(tmp_path: Path) -> None:
    opened = {"note": "opened", "peer": ["10.0.0.1", 8021]}
    found = noted(tmp_path, opened, started(CORE), opened, changed(NEXT), logged_in(CORE), opened, started(NEXT))
    assert found == known(None) + 2 * known(CORE) + known(NEXT) + 2 * known(CORE) + known(NEXT)


def test_it_is_known_when_the_file_with_the_login_is_gone(tmp_path: Path) -> None:
    """A connection goes on for days, and the first files of it are deleted."""
    recorder = Recorder(tmp_path, rotate_bytes=1, min_free=0)
    recorder.opened(("10.0.0.1", 8021))
    recorder.note(logged_in(CORE))
    for payload in PAYLOADS:
        recorder.received(plain(payload))
        recorder.note({"note": "a word"})  # it ends a chunk
    recorder.close()
    folder = tmp_path / "10.0.0.1_8021"
    first, *rest = sorted(folder.glob("*.esl.zst"))
    assert rest
    first.unlink()
    assert published(folder) == known(CORE)[1:]
