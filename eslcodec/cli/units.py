"""Sizes, times and shares as they are typed: read in one place, each with its unit, and refused with an example.

The functions raise ValueError, with a text for the user; `SIZE`, `DURATION`, `SHARE`, `MOMENT`, `FSYNC` and `ROTATION`
are types of options, which make a line of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import click

from .text import escape

_STEPS: Final = "KMGTP"
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)(?:B|([KMGTP])(iB|B)?)", re.ASCII)
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])", re.ASCII)
_SHARE: Final = re.compile(r"(\d+(?:\.\d+)?)%", re.ASCII)
_MOMENT: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?(Z|[+-]\d\d:\d\d)?)?", re.ASCII
)
_CLOCK: Final = re.compile(r"\d\d:\d\d(?::\d\d)?", re.ASCII)
_MOST_DIGITS: Final = 30  # of a number that anybody means; more would only take time


def size(text: str) -> int:
    """A number of bytes.

    Args:
        text: a number and its unit: `B`, or `K`, `M`, `G`, `T`, `P`, each 1,024 times the one before (`MiB` is the same
            as `M`, and `MB` is a million).

    Example:
        >>> size("256M"), size("1.5KiB"), size("50GB"), size("10B")
        (268435456, 1536, 50000000000, 10)

    Raises:
        ValueError: it is something else, or nothing.
    """
    found = _SIZE.fullmatch(text) if len(text) < _MOST_DIGITS else None
    if found is None:
        hint = ", with M for mebibytes: m is minutes" if re.fullmatch(r"\d+m", text, re.ASCII) else ""
        raise ValueError(f"read {escape(text)!r}, expected a size such as 50G or 256M{hint}")
    number, step, suffix = found.groups()
    bytes_ = float(number) * (1000 if suffix == "B" else 1024) ** (_STEPS.index(step) + 1 if step else 0)
    return int(_more_than_0(bytes_, text))


def duration(text: str) -> float:
    """Seconds.

    Args:
        text: numbers with their units: `ms`, `s`, `m`, `h`, `d`, `w`.

    Example:
        >>> duration("7d"), duration("1h30m"), duration("500ms")
        (604800.0, 5400.0, 0.5)

    Raises:
        ValueError: it is something else, or nothing.
    """
    parts = _PART.findall(text) if len(text) < _MOST_DIGITS else []
    if not parts or "".join(number + unit for number, unit in parts) != text:
        hint = ", with m for minutes: M is mebibytes" if re.fullmatch(r"\d+M", text, re.ASCII) else ""
        raise ValueError(f"read {escape(text)!r}, expected a time such as 7d, 1h or 30s{hint}")
    return _more_than_0(sum(float(number) * _SECONDS[unit] for number, unit in parts), text)


def share(text: str) -> float:
    """A part of the whole, 0 to 1.

    Example:
        >>> share("10%"), share("0.5%")
        (0.1, 0.005)

    Raises:
        ValueError: it is no percentage below 100.
    """
    found = _SHARE.fullmatch(text) if len(text) < _MOST_DIGITS else None
    if found is None or float(found[1]) >= 100:
        raise ValueError(f"read {escape(text)!r}, expected a percentage below 100 such as 10%")
    return float(found[1]) / 100


def moment(text: str, now: datetime | None = None) -> datetime:
    """A point in time.

    Args:
        text: `2026-11-29`, `2026-11-29T08:00`, with seconds, with `Z` or `+01:00` (else it is the local time); `08:00`
            of today, `-2h` for so long ago, `now`, `today`, `yesterday`.
        now: the present, which is asked for if it is not given.

    Returns:
        It, with its offset from UTC.

    Example:
        >>> moment("2026-11-29T08:00Z").isoformat()
        '2026-11-29T08:00:00+00:00'
        >>> moment("-2h", moment("2026-11-29 08:00:30.5+01:00")).isoformat()
        '2026-11-29T06:00:30.500000+01:00'

    Raises:
        ValueError: it is something else, or no such day.
    """
    now = datetime.now().astimezone() if now is None else now
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    try:
        if text == "now":
            return now
        if text in ("today", "yesterday"):
            return (midnight - timedelta(days=text == "yesterday")).astimezone()
        if text.startswith("-"):
            return now - timedelta(seconds=duration(text[1:]))
        if _CLOCK.fullmatch(text):
            return datetime.fromisoformat(f"{midnight:%Y-%m-%d}T{text}").astimezone()
        found = _MOMENT.fullmatch(text)
        if found is not None:
            return _read_moment(*found.groups())
    except (ValueError, OverflowError) as error:
        raise ValueError(f"read {escape(text)!r}: {error}") from None
    raise ValueError(f"read {escape(text)!r}, expected a time such as 2026-11-29T08:00, 08:00, yesterday or -2h")


def _read_moment(day: str, clock: str | None, second: str | None, part: str | None, zone: str | None) -> datetime:
    whole = f"{day}T{clock or '00:00'}:{second or '00'}.{(part or '').ljust(6, '0')}"
    read = datetime.fromisoformat(whole + (zone or "").replace("Z", "+00:00"))
    return read if zone else read.astimezone()


def _more_than_0(number: float, text: str) -> float:
    if not number > 0:
        raise ValueError(f"read {escape(text)!r}, expected more than 0")
    return number


def fsync(text: str) -> float | Literal["always", "never"]:
    """How often what was written is forced to the disk: `always`, `never`, or after so many seconds.

    Example:
        >>> fsync("never"), fsync("1s")
        ('never', 1.0)

    Raises:
        ValueError: it is something else.
    """
    if text == "always":
        return "always"
    if text == "never":
        return "never"
    try:
        return duration(text)
    except ValueError:
        raise ValueError(f"read {escape(text)!r}, expected a time such as 1s, always, or never") from None


def rotation(text: str) -> tuple[Literal["bytes", "seconds"], float]:
    """When a new file is begun: after so many bytes, or so long.

    Example:
        >>> rotation("256M"), rotation("1h")
        (('bytes', 268435456), ('seconds', 3600.0))

    Raises:
        ValueError: it is neither.
    """
    with suppress(ValueError):
        return "bytes", size(text)
    with suppress(ValueError):
        return "seconds", duration(text)
    raise ValueError(f"read {escape(text)!r}, expected a size such as 256M, or a time such as 1h")


def shown_size(number: float) -> str:
    """Bytes for people.

    Example:
        >>> shown_size(0), shown_size(999), shown_size(268435456), shown_size(5.05e13)
        ('0 B', '999 B', '256.0 MiB', '45.9 TiB')
    """
    unit = "B"
    for following in _STEPS:
        if number < 1024:
            break
        number, unit = number / 1024, f"{following}iB"
    return f"{number:.0f} B" if unit == "B" else f"{number:.1f} {unit}"


def shown_duration(seconds: float) -> str:
    """Seconds for people, in the two units that matter.

    Example:
        >>> shown_duration(0.25), shown_duration(75), shown_duration(90000), shown_duration(86400 * 400)
        ('0.2 s', '1 min 15 s', '1 d 1 h', '400 d')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for big, small, length, parts in (("d", "h", 86400, 3600), ("h", "min", 3600, 60), ("min", "s", 60, 1)):
        if whole >= length:
            rest = whole % length // parts
            return (
                f"{whole // length} {big} {rest} {small}"
                if rest and whole < 100 * length
                else f"{whole // length} {big}"
            )
    return f"{whole} s"


class _Typed(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic in new ones
    """An option's value, by one of the functions here."""

    def __init__(self, name: str, read: Callable[[str], Any]) -> None:
        self.name = name
        self._read = read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self._read(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


SIZE: Final = _Typed("size", size)
DURATION: Final = _Typed("time", duration)
SHARE: Final = _Typed("percent", share)
MOMENT: Final = _Typed("moment", moment)
FSYNC: Final = _Typed("time|always|never", fsync)
ROTATION: Final = _Typed("size|time", rotation)
