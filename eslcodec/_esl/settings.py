"""What holds for the whole module: whether it is strict, and how much of what it does is written to stderr.

Read as `settings.strict` and `settings.log_level`: a name that was imported would not see a change.
"""

from __future__ import annotations

import sys
from pathlib import PurePath
from typing import Final

from .arguments import as_int

strict = False
"""Whether to do as the official module where it departs from its documentation."""

_LEVELS: Final = ("EMERG", "ALERT", "CRIT", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG")
ERROR: Final = 3
DEBUG: Final = 7
log_level = -1
"""The highest level that is written. Nothing is written before `eslSetLogLevel` is called."""


def eslSetLogLevel(level: int, /) -> None:
    """Have this module write to stderr what it does. The switch's own log is not concerned.

    Args:
        level: 0 (EMERG) to 7 (DEBUG, every frame that is sent or received); anything else is 7.

    Example:
        >>> eslSetLogLevel(3)
    """
    global log_level
    number = as_int(level)
    log_level = number if 0 <= number <= DEBUG else DEBUG


def log(level: int, text: str) -> None:
    """Write a line to stderr if it is of the level that was asked for, with where it was called."""
    if level > log_level:
        return
    frame = sys._getframe(1)
    code = frame.f_code
    where = f"{PurePath(code.co_filename).name}:{frame.f_lineno} {code.co_name}()"
    print(f"[{_LEVELS[level]}] {where} {text}", file=sys.stderr)
