"""Events made by hand, for tests of what is lost."""

from __future__ import annotations

from collections.abc import Iterable

from eslcodec import Event
from eslcodec.ingest import Loss, LossWatch

CORE = "c-1"
NOW = 1_795_000_000.0


def event(number: int, name: str = "DTMF", *, stamp: float = NOW, core: str = CORE, **headers: str | int) -> Event:
    """An event of the switch; an underscore in a header's name is a hyphen."""
    block = {
        "Core-UUID": core,
        "Event-Date-Timestamp": round(stamp * 1e6),
        "Event-Sequence": number,
        **{key.replace("_", "-"): value for key, value in headers.items()},
    }
    return Event.build(name, block)


def heartbeat(number: int, sessions: int, uptime: float = 0.0, **headers: str | int) -> Event:
    """A HEARTBEAT after so many sessions, and so many seconds since the switch was started."""
    more = {"Session-Since-Startup": sessions, "Uptime-msec": round(uptime * 1000), **headers}
    return event(number, "HEARTBEAT", stamp=NOW + uptime, **more)


def see(watch: LossWatch, events: Iterable[Event], now: float = NOW) -> list[Loss]:
    """All that it says about these, received together."""
    return [loss for one in events for loss in watch.see(one, now)]


def see_numbers(watch: LossWatch, numbers: Iterable[int], now: float = NOW) -> list[Loss]:
    """The same about events with these numbers."""
    return see(watch, map(event, numbers), now)


def settled(watch: LossWatch, first: int, now: float = NOW) -> list[Loss]:
    """What it says once enough has followed from this number on."""
    found = see_numbers(watch, range(first, first + 1200), now)
    return found + see_numbers(watch, range(first + 1200, first + 1400), now + 2)
