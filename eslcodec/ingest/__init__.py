"""What is made of streams of events (experimental: it may change with any version).

    >>> from eslcodec import Event
    >>> from eslcodec.ingest import legs
    >>> ended = Event.build("CHANNEL_HANGUP_COMPLETE", {"Unique-ID": "a", "Hangup-Cause": "USER_BUSY"})
    >>> [leg.cause for leg in legs([ended])]
    ['USER_BUSY']

Each name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import presets
    from ._calls import Call, Calls
    from ._legs import Leg, Legs
    from ._records import calls, legs

_LAZY = {
    "Call": "_calls",
    "Calls": "_calls",
    "Leg": "_legs",
    "Legs": "_legs",
    "calls": "_records",
    "legs": "_records",
}

__all__ = ["Call", "Calls", "Leg", "Legs", "calls", "legs", "presets"]


def __getattr__(name: str) -> Any:
    if name == "presets":
        return import_module(".presets", __name__)
    if name in _LAZY:
        return getattr(import_module("." + _LAZY[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
