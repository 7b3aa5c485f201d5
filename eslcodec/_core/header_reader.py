"""The look-ups of the official module: `HeaderReader`, the core of `ESLevent`."""

from __future__ import annotations

from collections.abc import Mapping
from copyreg import __newobj__ as _newobj  # type: ignore[attr-defined]
from typing import TYPE_CHECKING, Any

from .lone import lone
from .message import Message

if TYPE_CHECKING:
    from typing_extensions import Self


class HeaderReader:
    """What a program calls for each header of an event of the official module: `ESLevent.getHeader`, `nextHeader`.

    A subclass sets the attributes below, and its `_find` answers what cannot be answered here.
    """

    __slots__ = ("_at", "_frame", "_index", "_names")

    _frame: Message | None  # an event as it came
    _index: Mapping[str, str | None] | None  # the value of each exact name, once it was made
    _names: list[str]
    _at: int

    def __new__(cls, *args: Any, **names: Any) -> Self:
        reader = super().__new__(cls)
        reader._frame = reader._index = None
        reader._names = []
        reader._at = 0
        return reader

    def getHeader(self, name: str | None, idx: int = -1, /) -> str | None:
        """The first value of a header, whatever the case of its name, None if there is none.

        Args:
            name: `_body` is the body, if no header has that name.
            idx: which item of an array, from 0; None if there is no such item or no array. Negative: the whole value,
                of an array `ARRAY::a|:b`.
        """
        if idx == -1:
            index, frame = self._index, self._frame  # another thread may change them in between
            if index is not None:
                found: Any = index.get(name)  # type: ignore[arg-type]
                if found is not None:
                    return found  # type: ignore[no-any-return]
            elif frame is not None:
                found = lone(frame, name)
                if found is not False and found is not None:
                    return found  # type: ignore[no-any-return]
        return self._find(name, idx)

    def _find(self, name: str | None, idx: int) -> str | None:
        raise NotImplementedError

    def nextHeader(self) -> str | None:
        """The name of the next header, None after the last one or before `firstHeader`.

        The names are those that `firstHeader` found: headers may change in between.
        """
        names, at = self._names, self._at  # another thread may begin again in between
        if at >= len(names):
            return None
        self._at = at + 1
        return names[at]

    def _rewind(self, names: list[str]) -> str | None:
        """Have `nextHeader` give these names; the first of them."""
        self._names = names
        self._at = 0
        return self.nextHeader()

    def __reduce__(self) -> tuple[Any, ...]:
        state = self._frame, self._index, self._names, self._at, getattr(self, "__dict__", None)
        return _newobj, (type(self),), state

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._frame, self._index, self._names, at, others = state
        self._at = max(at, 0)
        if others:
            self.__dict__.update(others)
