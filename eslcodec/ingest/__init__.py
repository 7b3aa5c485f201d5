"""What becomes of streams of events: recordings, columns, call records (experimental: see STABILITY.md).

    >>> import eslcodec, tempfile
    >>> from eslcodec.emulator import Emulator
    >>> from eslcodec.ingest import Recorder
    >>> with tempfile.TemporaryDirectory() as folder, Emulator() as switch, Recorder(folder, min_free=0) as recorder:
    ...     with eslcodec.connect(switch.host, switch.port, tap=recorder) as fs:
    ...         fs.api("status").ok
    True

Each name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from . import presets
    from ._calls import Call, Calls
    from ._legs import Leg, Legs
    from ._records import calls, legs
    from .recorder import Recorder
    from .redact import Redact

_LAZY: Final = {
    "Call": "_calls",
    "Calls": "_calls",
    "Leg": "_legs",
    "Legs": "_legs",
    "Recorder": "recorder",
    "Redact": "redact",
    "calls": "_records",
    "legs": "_records",
}
"""Public name -> module."""

__all__ = ["Call", "Calls", "Leg", "Legs", "Recorder", "Redact", "calls", "legs", "presets"]


def __getattr__(name: str) -> Any:
    if name == "presets":
        return import_module(".presets", __name__)
    if name in _LAZY:
        return getattr(import_module("." + _LAZY[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
