"""Streams of events kept and passed on (experimental: it may change with any version).

    >>> from eslcodec.ingest import LossWatch
    >>> LossWatch().tick(now=0.0)
    []

Each name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .watch import Loss, LossWatch

_LAZY = {"Loss": "watch", "LossWatch": "watch"}

__all__ = ["Loss", "LossWatch"]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module("." + _LAZY[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
