"""An exception from outside, raised at any line: what the tests of interruptions share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any


class Interrupt(BaseException):
    """What no code catches by name."""


def raise_at(
    step: int, place: str, raised: type[BaseException] = Interrupt
) -> tuple[Callable[[FrameType, str, Any], Any], list[str]]:
    """A tracer that raises once, at the `step`th line that runs in `place`, a file or a folder; and where that was."""
    left, where = [step], []

    def trace(frame: FrameType, what: str, _: Any) -> Any:
        if not frame.f_code.co_filename.startswith(place):
            return None
        if what == "line":
            left[0] -= 1
            if left[0] == 0:
                where.append(f"{Path(frame.f_code.co_filename).name}:{frame.f_code.co_name}:{frame.f_lineno}")
                raise raised
        return trace

    return trace, where
