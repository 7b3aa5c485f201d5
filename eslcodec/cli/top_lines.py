"""What `eslcodec top` says without a terminal: lines for people, or an object of JSON for scripts."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

from ..ingest._board import OUTCOME_SECONDS, Line
from .text import escape
from .top_view import ALL, get, number_text, rate_text, seconds_text, up_text, worst

_HEALTH: Final = (
    "state",
    "connected",
    "host",
    "port",
    "hostname",
    "switchname",
    "core_uuid",
    "lag",
    "queue_estimate",
    "waiting",
    "losses",
    "loss_reports",
    "gaps",
    "gap_seconds",
    "unread_seconds",
    "reconnects",
    "core_changes",
    "dropped",
    "malformed",
    "received_events",
    "received_bytes",
    "error",
)
"""What a switch's object has of its connection, by the names of `SwitchStats`."""

_SUMMED: Final = tuple(name for name in _HEALTH[7:] if name not in ("received_events", "received_bytes", "error"))


def document(lines: Sequence[Line], total: Line, at: float) -> str:
    """All of it as an object of JSON, on one line of ASCII.

    Example:
        >>> from eslcodec.ingest._board import Board
        >>> json.loads(document([], Board().total(5.0), at=5.0))["switches"]
        {}
    """
    whole = {
        "at": round(at, 3),
        "seconds": round(total.seconds, 3),
        "total": _object(total, _SUMMED),
        "switches": {line.name: _object(line, _HEALTH) for line in lines},
    }
    return json.dumps(whole)


def _object(line: Line, health: Sequence[str]) -> dict[str, Any]:
    return {
        **{name: _json(get(line, name)) for name in health},
        "lag": _json(line.lag),
        "queue_estimate": line.queue,
        "events": {
            "total": line.total,
            "per_second": round(line.now, 3),
            "per_second_minute": round(line.minute, 3),
            "by_name": {name: round(rate, 3) for name, rate in line.events.items()},
        },
        "legs": {"up": line.up, "source": line.source, "most": line.most, "per_second": round(line.legs, 3)},
        "calls_per_second": round(line.calls, 3),
        "answers_per_second": round(line.answers, 3),
        "outcomes": {
            "seconds": OUTCOME_SECONDS,
            "ended": line.ended,
            "answered": line.answered,
            "asr": None if line.asr is None else round(line.asr, 4),
            "causes": dict(line.causes),
            "registrations": dict(line.registrations),
        },
    }


def _json(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 3)
    return dict(value) if hasattr(value, "items") else value


def text_lines(lines: Sequence[Line], total: Line, at: float) -> Iterator[str]:
    """A line for each switch, and one for their sum if there are several."""
    clock = time.strftime("%H:%M:%S", time.localtime(at))
    for line in (*lines, total) if len(lines) > 1 else lines:
        name = ALL if line.name is None else escape(line.name)
        state = get(line, "state")
        yield (
            f"{clock} {name}{f' {state}' if state else ''}: {rate_text(line.now)} events/s, {up_text(line)} legs up, "
            f"{rate_text(line.calls)} calls/s, {number_text(line.answered)} of {number_text(line.ended)} answered, "
            f"lag {seconds_text(line.lag)} s, queue {number_text(line.queue)}, "
            f"lost {worst(line)[0]}, gaps {number_text(get(line, 'gaps'))}"
        )
