"""What the tests of formats share: the events of the captures, decoded once."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from sizes import FULL
from support import DATA, capture

CAPTURES = sorted(path.name.partition(".")[0] for path in (DATA / "captures").glob("*.esl*"))


@lru_cache(maxsize=9)
def events_of(package: Any, name: Any) -> Any:
    return list(decode_events(package, name))


def decode_events(package: Any, name: Any) -> Any:
    decoder = package.Decoder()
    decoder.feed(capture(name))
    return (message for message in decoder if isinstance(message, package.Event))


def a_fifth_of(events: Any) -> Any:
    return events if FULL or len(events) < 500 else events[::5]


def format_of(event: Any) -> Any:
    return event.content_type.rpartition("-")[2]
