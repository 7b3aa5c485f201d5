"""Events in bulk: columns, lines of JSON, records (experimental). Each part loads when it is first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .columns import Batch as Batch
    from .columns import Columns as Columns
    from .columns import Schema as Schema
    from .ndjson import ndjson as ndjson

_LAZY: Final = {
    "Batch": "columns",
    "Columns": "columns",
    "Schema": "columns",
    "ndjson": "ndjson",
}
"""Public name -> module."""

__all__ = ["Batch", "Columns", "Schema", "ndjson"]


def __getattr__(name: str) -> Any:
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{module}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
