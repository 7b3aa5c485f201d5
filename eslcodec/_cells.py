"""Texts of headers as what they are: whole numbers, times and so on; for rows and the Python core's `RowReader`."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_ARRAY: Final = "ARRAY::"
_MOST: Final = 253_402_300_800_000_000  # microseconds: the year 10000, which no datetime has


def integer(text: str | None) -> int | None:
    """A whole number of the wire; None if it is anything else."""
    if text is None or len(text) > 19 or not text.isascii():
        return None
    return int(text) if text.isdigit() or (text[:1] == "-" and text[1:].isdigit()) else None


def time(text: str | None) -> datetime | None:
    """Microseconds since the epoch; 0 is None."""
    microseconds = integer(text)
    return None if microseconds is None else moment(microseconds)


def moment(microseconds: int) -> datetime | None:
    """The same of a number."""
    return EPOCH + timedelta(microseconds=microseconds) if 0 < microseconds < _MOST else None


def real(text: str | None) -> float | None:
    """A decimal number such as `4.50`."""
    if text is None or len(text) > 30 or not text.isascii():
        return None
    return float(text) if text.lstrip("-").replace(".", "", 1).isdigit() and text.rfind("-") < 1 else None


def items(text: str | None) -> tuple[str, ...]:
    if not text:
        return ()
    return tuple(text[len(_ARRAY) :].split("|:")) if text.startswith(_ARRAY) else (text,)
