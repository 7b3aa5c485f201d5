"""What the tests of `Fleet` share."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine
from typing import Any

from eslcodec import Event
from eslcodec.emulator import Emulator
from eslcodec.ingest import Fleet
from eslcodec.reconnect import Backoff

PATIENCE = 20.0  # seconds that nothing here should ever take
QUICK = Backoff(first=0.01, longest=0.05, jitter=0)


def at(name: str, switch: Any) -> str:
    """A switch of the tests as a host."""
    return f"{name}=127.0.0.1:{switch.port}"


def quick(hosts: Any, **options: Any) -> Fleet:
    """A fleet that does not let a test wait."""
    return Fleet(hosts, **{"backoff": QUICK, "dials_per_second": 1000, "connect_timeout": PATIENCE, **options})


def run(main: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(main, 2 * PATIENCE))


class Stream:
    """What came of a fleet, by switch."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.came: dict[str, list[Any]] = defaultdict(list)

    async def until(self, condition: Callable[[], Any]) -> None:
        """Read until it is so."""
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, f"not so in time; came {dict(self.came)}"
            for name, items in await self.fleet.take(timeout=0.01):
                self.came[name] += items

    async def connected(self, *names: str) -> None:
        """Read until these have started."""
        await self.until(lambda: all("started" in self.kinds(name) for name in names))

    def kinds(self, name: str) -> list[str]:
        return [kind_of(item) for item in self.came[name]]

    def numbers(self, name: str) -> list[int]:
        """Of the events that `fire` fired."""
        return [int(item["N"]) for item in self.came[name] if isinstance(item, Event) and "N" in item]

    def of(self, name: str, kind: str) -> list[Any]:
        return [item for item in self.came[name] if kind_of(item) == kind]


def kind_of(item: Any) -> str:
    """A word for anything that comes."""
    return str(getattr(item, "kind", "") or type(item).__name__.lower())


def fire(switch: Emulator, *numbers: int) -> None:
    for number in numbers:
        switch.fire("DTMF", {"N": str(number)})


async def eventually(condition: Callable[[], Any]) -> None:
    """Wait for something that nothing announces, without reading."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "not so in time"
        await asyncio.sleep(0.001)
