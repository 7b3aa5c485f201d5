"""Recorders that were at work on one peer at the same time: their files are in one folder, and each is read whole."""

from __future__ import annotations

import random
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from recorder_support import Clock, files_in, recorder_of
from recordings_support import BEGIN, Tape, event
from shells import until
from support import part


class Writing:
    """A recorder: each second it receives the end of an event and the beginning of the next one.

    Attributes:
        came: of each event that was whole, its number and when.
        files: when each ended, and what is in it.
    """

    def __init__(self, number: int, chance: random.Random) -> None:
        self.came: list[tuple[int, float]] = []
        self.files: list[tuple[float, bytes]] = []
        self._next = number * 10_000
        self._chance = chance
        self._connection = number * 100 + 1
        self._begun: tuple[int, bytes] | None = None
        per_file = chance.choice([2, 5, 20, 40])
        tape = Tape(begin=BEGIN + chance.random() * 50)
        tape.open(self._connection)
        for _ in range(chance.randint(1, 7)):
            for _ in range(per_file):
                self._receive(tape)
                if chance.random() < 0.05:
                    self._connect(tape)
            self.files.append((tape.now, tape.bytes(closed=chance.random() < 0.9)))
            before, tape = tape, Tape(begin=tape.now)
            tape.open(before.connection, before.offset)
            tape.scanner = before.scanner
            if chance.random() < 0.3:
                tape.now += chance.random() * 30
                self._connect(tape)

    def _receive(self, tape: Tape) -> None:
        number, left = self._begun or (None, b"")
        if number is not None:
            self.came.append((number, tape.now))
        whole = event(self._next)
        self._begun = self._next, whole[50:]
        self._next += 1
        tape.chunk(left + whole[:50])

    def _connect(self, tape: Tape) -> None:
        self._begun = None
        self._connection += 1
        tape.open(self._connection)


def numbers(messages: Any) -> list[int]:
    return sorted(message.sequence for message in messages)


@pytest.mark.parametrize("seed", range(12))
def test_all_of_each_is_read_and_what_came_in_a_time(esl: ModuleType, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    recorders = [Writing(number, chance) for number in range(1, chance.randint(2, 5))]
    folder = tmp_path / "fs_8021"
    folder.mkdir()
    for number, (_, data) in enumerate(sorted(file for recorder in recorders for file in recorder.files)):
        (folder / f"{number:06}.esl.zst").write_bytes(data)
    came = [each for recorder in recorders for each in recorder.came]
    recording = part(esl, "recordings").Recording(folder)
    assert numbers(recording.messages()) == sorted(number for number, _ in came)
    for _ in range(5):
        since = BEGIN + chance.random() * 300
        until = since + chance.random() * 100
        expected = sorted(number for number, at in came if since <= at < until)
        assert numbers(recording.messages(since=since, until=until)) == expected


def test_two_recorders_lose_nothing_and_have_no_gaps(esl: ModuleType, tmp_path: Path) -> None:
    clock = Clock()
    recorders = [recorder_of(esl, tmp_path, clock, rotate_bytes=1000, level=0) for _ in range(2)]
    stream = b"".join(event(number) for number in range(100))
    for recorder in recorders:
        recorder.opened(("10.0.0.1", 8021))
    for at in range(0, len(stream), 333):
        for recorder in recorders:
            recorder.received(stream[at : at + 333])
        clock.go(1.5)
        for recorder in recorders:
            recorder._bell.ring()
            until(lambda recorder=recorder: recorder.stats()["chunks"] == at // 333 + 1)  # noqa: B023
    for recorder in recorders:
        recorder.close()
    assert len(files_in(tmp_path)) > 10
    recording = part(esl, "recordings").Recording(tmp_path)
    assert numbers(recording.messages()) == sorted([*range(100), *range(100)])
    assert recording.dropped == 0
    assert recording.info().gaps == []
