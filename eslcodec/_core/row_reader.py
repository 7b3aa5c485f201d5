"""Many headers of a message at once, each as what it is: `RowReader`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from .. import _cells
from .message import Message

_READERS: Final[dict[str, Callable[[str | None], Any] | None]] = {
    "string": None,
    "int64": _cells.integer,
    "float64": _cells.real,
    "timestamp": _cells.time,
    "list": _cells.items,
}


class RowReader:
    """Reads the same headers of many messages.

    Args:
        columns: name and kind of each. "string": its text; "int64": `-?[0-9]+` of at most 19 characters; "float64":
            digits with at most one point, and a minus before them; "timestamp": such a whole number of microseconds
            since 1970 as an aware datetime, None of 0; "list": a tuple of the items of an array, or of the one value.
            What is not written so is None, and so is what is absent; the items of nothing are ().

    Raises:
        KeyError: a kind that is none of these.
        TypeError: a name that is no str; or it was made already.
    """

    __slots__ = ("_names", "_readers")

    def __init__(self, columns: Iterable[tuple[str, str]]) -> None:
        if hasattr(self, "_names"):
            raise TypeError("a RowReader is made once")
        pairs = list(columns)
        self._names = [name for name, _ in pairs]
        for name in self._names:
            if type(name) is not str:
                raise TypeError(f"a name is {name!r}, expected a str")
        self._readers = [(place, read) for place, (_, kind) in enumerate(pairs) if (read := _READERS[kind])]

    def read(self, message: Message) -> list[Any]:
        """The values of a message, as `select` finds them."""
        row: list[Any] = list(message.select(*self._names))
        for place, read in self._readers:
            row[place] = read(row[place])
        return row
