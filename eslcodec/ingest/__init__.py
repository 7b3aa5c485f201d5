"""Streams of events kept and passed on (experimental: it may change with any version).

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
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .recorder import Recorder
    from .redact import Redact
    from .redacting import Redacted, redact_recording

_LAZY = {"Recorder": "recorder", "Redact": "redact", "Redacted": "redacting", "redact_recording": "redacting"}

__all__ = ["Recorder", "Redact", "Redacted", "redact_recording"]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module("." + _LAZY[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
