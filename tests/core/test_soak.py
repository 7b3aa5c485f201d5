"""Many events through each client with a reader that is slower than the switch: nothing lost, or counted exactly.

ESLCODEC_TEST_EXAMPLES=50 makes it a million events through each.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from sizes import HEAVY
from support import part, plain

from eslcodec.emulator import Emulator

ROUND = 1000  # events
ROUNDS = int(20 * HEAVY)
STREAM = b"".join(
    plain(b"Event-Name: HEARTBEAT\nEvent-Sequence: %d\nvariable_x: %b\n\n" % (number, b"x%20y" * 200))
    for number in range(ROUND)
)
TOTAL = ROUND * ROUNDS
LOOK = min(5000, TOTAL // 4)  # events between two looks at the memory
ASK = min(10_000, TOTAL // 2)  # events between two commands
FOREIGN_MALLOC = os.environ.get("PYTHONMALLOC") == "malloc"  # sanitizers keep what is freed: memory says nothing then
GROWTH = 60 << 20  # bytes: what stands before a reply, buffers of both ends, and what Python keeps for itself

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc to read the memory from"),
]


def memory() -> int:
    """Resident memory of this process in bytes."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) << 10


class Reader:
    """Checks the order of what comes and the memory that it takes meanwhile."""

    def __init__(self) -> None:
        self.came = 0
        self.highest = 0
        self._before = memory()

    def read(self, event: Any) -> None:
        assert event.sequence == self.came % ROUND
        self.count()

    def count(self) -> None:
        self.came += 1
        if self.came % LOOK == 0:
            self.highest = max(self.highest, memory() - self._before)


@pytest.fixture
def switch() -> Any:
    with Emulator(replay=STREAM, repeat=ROUNDS, lossless=True) as switch:
        yield switch


def test_a_slow_blocking_reader_loses_nothing(esl: ModuleType, switch: Any) -> None:
    reader = Reader()
    with part(esl, "sync").connect(port=switch.port) as client:
        client.subscribe("ALL")
        for event in client.events():
            reader.read(event)
            if reader.came == TOTAL:
                break
            if reader.came % ASK == 0:
                assert client.api("echo", "slow").text == "slow"
    assert reader.came == TOTAL
    assert reader.highest < GROWTH or FOREIGN_MALLOC


def test_a_slow_asyncio_reader_loses_nothing(esl: ModuleType, switch: Any) -> None:
    reader = Reader()

    async def main() -> None:
        async with part(esl, "aio").connect(port=switch.port, queue_limit=500) as client:
            await client.subscribe("ALL")
            async for event in client.events():
                reader.read(event)
                if reader.came % 100 == 0:
                    await asyncio.sleep(0)
                if reader.came == TOTAL:
                    break
                if reader.came % ASK == 0:
                    assert (await client.api("echo", "slow")).text == "slow"

    asyncio.run(main())
    assert reader.came == TOTAL
    assert reader.highest < GROWTH or FOREIGN_MALLOC


def test_what_a_slow_asyncio_reader_drops_is_counted_exactly(esl: ModuleType, switch: Any) -> None:
    reader = Reader()

    async def main() -> int:
        async with part(esl, "aio").connect(port=switch.port, queue_limit=500, when_full="drop") as client:
            await client.subscribe("ALL")
            async for _ in client.events():
                reader.count()
                if reader.came + client.dropped == TOTAL:
                    break
                await asyncio.sleep(0)  # slower than the switch: something else always comes first
            return int(client.dropped)

    dropped = asyncio.run(main())
    assert dropped > 0
    assert reader.came + dropped == TOTAL
    assert reader.highest < GROWTH or FOREIGN_MALLOC


def test_what_a_slow_blocking_reader_drops_is_counted_exactly(esl: ModuleType, switch: Any) -> None:
    reader = Reader()
    with part(esl, "sync").connect(port=switch.port, queue_limit=50, when_full="drop") as client:
        client.subscribe("ALL")
        for _ in client.events():
            reader.count()
            if reader.came + client.dropped == TOTAL:
                break
            if reader.came % 50 == 0:
                client.api("echo", "slow")  # the reply stands behind events, which are read and dropped meanwhile
    assert client.dropped > 0
    assert reader.came + client.dropped == TOTAL
    assert reader.highest < GROWTH or FOREIGN_MALLOC
