"""Columns for Arrow from what an Event Socket sends: `Columns`, and the `Batch` that it makes.

Picks the compiled one beside the compiled core, or its Python twin where that is not there. `ESLCODEC_IMPL=c` asks for
it by name, as for the core (`_codec.py`). Type checkers read the twin.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .._codec import __impl__ as _core

if TYPE_CHECKING or _core == "python":
    from . import _columns_py as _columns
else:
    try:
        from .. import _columns_c as _columns
    except ImportError as error:
        if os.environ.get("ESLCODEC_IMPL") == "c":
            raise ImportError(f"ESLCODEC_IMPL=c, but the compiled columns are not there: {error}") from error
        from . import _columns_py as _columns

from ._columns_py import Schema as Schema

Batch = _columns.Batch
Columns = _columns.Columns

__all__ = ["Batch", "Columns", "Schema"]
