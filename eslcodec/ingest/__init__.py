"""Streams of events kept and passed on (experimental: it may change with any version).

Each name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._ndjson import ndjson
    from .columns import Batch, Columns, Schema

_LAZY = {"Batch": "columns", "Columns": "columns", "Schema": "columns", "ndjson": "_ndjson"}

__all__ = ["Batch", "Columns", "Schema", "ndjson"]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module("." + _LAZY[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
