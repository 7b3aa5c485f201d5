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
    from . import notices, presets, resync
    from ._batches import batches
    from ._calls import Call, Calls
    from ._health import Health
    from ._legs import Leg, Legs
    from ._ndjson import ndjson
    from ._records import calls, legs
    from ._scan import Scan, scan
    from .columns import Batch, Columns, Schema
    from .fleet import Fleet, FleetStats, Host, SwitchStats
    from .metrics import Metrics
    from .notices import CoreChanged, Ended, Found, Notice, Started, Stopped
    from .recorder import Recorder
    from .redact import Redact
    from .redacting import Redacted, redact_recording
    from .resync import Known
    from .watch import Loss, LossWatch

_LAZY: Final = {
    "Batch": "columns",
    "Call": "_calls",
    "Calls": "_calls",
    "Columns": "columns",
    "CoreChanged": "notices",
    "Ended": "notices",
    "Fleet": "fleet",
    "FleetStats": "fleet",
    "Found": "notices",
    "Health": "_health",
    "Host": "fleet",
    "Known": "resync",
    "Leg": "_legs",
    "Legs": "_legs",
    "Loss": "watch",
    "LossWatch": "watch",
    "Metrics": "metrics",
    "Notice": "notices",
    "Recorder": "recorder",
    "Redact": "redact",
    "Redacted": "redacting",
    "Scan": "_scan",
    "Schema": "columns",
    "Started": "notices",
    "Stopped": "notices",
    "SwitchStats": "fleet",
    "batches": "_batches",
    "calls": "_records",
    "legs": "_records",
    "ndjson": "_ndjson",
    "redact_recording": "redacting",
    "scan": "_scan",
}
"""Public name -> module."""

__all__ = [
    "Batch",
    "Call",
    "Calls",
    "Columns",
    "CoreChanged",
    "Ended",
    "Fleet",
    "FleetStats",
    "Found",
    "Health",
    "Host",
    "Known",
    "Leg",
    "Legs",
    "Loss",
    "LossWatch",
    "Metrics",
    "Notice",
    "Recorder",
    "Redact",
    "Redacted",
    "Scan",
    "Schema",
    "Started",
    "Stopped",
    "SwitchStats",
    "batches",
    "calls",
    "legs",
    "ndjson",
    "notices",
    "presets",
    "redact_recording",
    "resync",
    "scan",
]


def __getattr__(name: str) -> Any:
    if name in ("notices", "presets", "resync"):
        return import_module("." + name, __name__)
    if name in _LAZY:
        return getattr(import_module("." + _LAZY[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
