"""The mutable header list of an event (docs/protocol/headers.md, P6), as the switch has it.

A list of headers in order. Names may repeat and are compared without regard to ASCII case; a value is text, or a list
of texts: an array. What a caller adds is interpreted as the switch does: `ARRAY::a|:b` becomes an array, `name[2]` sets
an item of one, an empty value deletes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final, overload

from ._ctext import atoi as atoi  # ESL.py asks for it here
from ._ctext import to_bytes, to_text
from ._json import Field, joined

if TYPE_CHECKING:
    from .events import Event

MAX_ARRAY_INDEX: Final = 4000
"""The largest `i` of `name[i]`: the switch drops others. A bound, because the gap before it is filled."""

MAX_GAP_ITEMS: Final = 1 << 16
"""How many items the `name[i]` of one list make together, further ones are dropped: seven bytes from a peer would stand
for 4 000 items each time."""

_ARRAY: Final = "ARRAY::"
_ARRAYS: Final = re.compile(r"\A(?:ARRAY::)+")


def _fold(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass").lower()


class HeaderList:
    """Headers to be changed, and to become an event.

    Args:
        fields: (name, text or list) to begin with, taken as they are.
        body: the body, None if there is none.

    Example:
        >>> headers = HeaderList([("Event-Name", "CUSTOM")])
        >>> headers.add("A", "1"); headers.push("A", "2"); headers.add("B", "x")
        >>> headers.get("a"), headers.getlist("A"), headers.delete("b"), len(headers)
        ('ARRAY::1|:2', ['1', '2'], True, 2)

    One thread at a time may change it. Others may read meanwhile: they get the headers of some moment before or during
    the change.
    """

    __slots__ = ("_fields", "_named", "_next", "_room", "body")

    def __init__(self, fields: Iterable[Field] = (), body: bytes | None = None) -> None:
        # By running numbers, so that deleting moves nothing: only what puts a header first looks at all of them.
        self._fields: dict[int, tuple[str, str | list[str]]] = {}
        self._named: dict[bytes, list[int]] = {}  # the numbers of a name, in lower case
        self._next = 0
        self._room = MAX_GAP_ITEMS
        self.body = body
        for name, value in fields:
            self._append(name, value if isinstance(value, str) else list(value))

    @classmethod
    def of(cls, event: Event) -> HeaderList:
        """The headers and the body of an event, as a list of their own."""
        return cls(event._fields(), event.body)

    def fields(self) -> list[Field]:
        """(name, text or list) of each header, in order; the lists are copies."""
        return [(name, value if isinstance(value, str) else list(value)) for name, value in self._all()]

    def pairs(self) -> list[tuple[str, str]]:
        """(name, text) of each header, in order, an array as `ARRAY::a|:b`."""
        return [(name, joined(value)) for name, value in self._all()]

    def _all(self) -> list[tuple[str, str | list[str]]]:
        """As they are at this moment: another thread may change them."""
        return list(self._fields.values())

    def __len__(self) -> int:
        return len(self._fields)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.pairs())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._find(name) is not None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, HeaderList):
            return NotImplemented
        return self.fields() == other.fields() and self.body == other.body

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<HeaderList of {len(self._fields)} headers>"

    def _append(self, name: str, value: str | list[str]) -> None:
        self._fields[self._next] = (name, value)
        self._named.setdefault(_fold(name), []).append(self._next)
        self._next += 1

    def _insert(self, name: str, value: str | list[str], first: bool) -> None:
        if not first:
            self._append(name, value)
            return
        others = self._all()
        self._fields.clear()
        self._named.clear()
        for field in [(name, value), *others]:
            self._append(*field)

    def _find(self, name: str) -> int | None:
        """The number of the first header of a name."""
        numbers = self._named.get(_fold(name))
        return numbers[0] if numbers else None

    def _first(self, name: str) -> str | list[str] | None:
        """The first value of a name; None if there is none, or if another thread has just deleted it."""
        at = self._find(name)
        field = None if at is None else self._fields.get(at)
        return None if field is None else field[1]

    @overload
    def get(self, name: str, default: None = None) -> str | None: ...
    @overload
    def get(self, name: str, default: str) -> str: ...
    def get(self, name: str, default: str | None = None) -> str | None:
        """The first value of a name as text; of `_body`, if no header has that name, the body."""
        value = self._first(name)
        if value is not None:
            return joined(value)
        if name == "_body" and self.body is not None:
            return to_text(self.body)
        return default

    def first(self, name: str) -> str | list[str] | None:
        """The first value of a name as it stands: text, or an array as a list of its own. None if there is none."""
        value = self._first(name)
        return list(value) if isinstance(value, list) else value

    def getlist(self, name: str) -> list[str]:
        """The items of the first header of a name; [] if there is none."""
        value = self.first(name)
        if value is None:
            return []
        return [value] if isinstance(value, str) else value

    def replace(self, name: str, value: str | list[str]) -> bool:
        """Put another value, taken as it is, in the place of the first one of a name. False if there is none."""
        at = self._find(name)
        if at is None:
            return False
        self._fields[at] = (self._fields[at][0], value if isinstance(value, str) else list(value))
        return True

    def delete(self, name: str) -> bool:
        """Delete every header of a name. False if there was none."""
        numbers = self._named.pop(_fold(name), ())
        for number in numbers:
            del self._fields[number]
        return bool(numbers)

    def add(self, name: str, value: str, *, first: bool = False) -> None:
        """Add a header after the others, or before them.

        `ARRAY::a|:b` is pushed item by item, `ARRAY::` alone adds nothing; `name[i]` sets item `i` of an array; an
        empty value deletes every header of the name. A header named `_body` is the body as well.

        Args:
            name: the header's name, or `name[i]` with `i` from 0 to 4000; others are ignored, and so is what goes
                beyond `MAX_GAP_ITEMS`.
            value: its text.
            first: before the others.
        """
        self._be_body(name, value)
        base, bracket, index = name.partition("[")
        if bracket:
            self._set_item(base, index, value, first)
        elif not value:
            self.delete(name)
        elif value.startswith(_ARRAY):
            self._push_items(name, value, first)
        else:
            self._insert(name, value, first)

    def push(self, name: str, value: str) -> None:
        """Append an item to the first header of a name, which becomes an array; make one if there is none.

        A header named `_body` is the body as well: the item that came last.
        """
        self._extend(name, value, front=False)

    def unshift(self, name: str, value: str) -> None:
        """Put an item before those of the first header of a name; make one, before all others, if there is none.

        A header named `_body` is the body as well: the item that came last.
        """
        self._extend(name, value, front=True)

    def _be_body(self, name: str, value: str) -> None:
        if name == "_body":
            self.body = to_bytes(value)

    def _extend(self, name: str, value: str, *, front: bool) -> None:
        if "[" in name:
            self.add(name, value, first=front)
            return
        self._be_body(name, value)
        at = self._find(name)
        if at is not None:
            items = self._items(at)
            items.insert(0 if front else len(items), value)
        elif value.startswith(_ARRAY):
            self._push_items(name, value, front)
        elif value:
            self._insert(name, [value], front)

    def _push_items(self, name: str, text: str, first: bool) -> None:
        """Push the items of an array's text one by one: empty ones before the first are lost, an existing header is
        extended. Where there is none yet, an item that is an array's text is cut again."""
        if text == _ARRAY:
            return
        for item in text.removeprefix(_ARRAY).split("|:"):
            at = self._find(name)
            if at is not None:
                self._be_body(name, item)
                self._items(at).append(item)
                continue
            inner = _ARRAYS.sub("", item)
            self._be_body(name, inner or item[-len(_ARRAY) :])
            if inner:
                self._insert(name, [inner], first)

    def _items(self, at: int) -> list[str]:
        """The items of a header, which becomes an array if it is none."""
        name, value = self._fields[at]
        if isinstance(value, str):
            value = [value]
            self._fields[at] = (name, value)
        return value

    def _set_item(self, name: str, index: str, value: str, first: bool) -> None:
        i = atoi(index)
        if not 0 <= i <= MAX_ARRAY_INDEX:
            return
        at = self._find(name)
        old = self._fields[at][1] if at is not None else []
        items = [] if isinstance(old, str) else old  # a text is not kept: the gap is filled instead
        more = max(i + 1 - len(items), 0)
        if more > self._room:
            return
        self._room -= more
        items += [""] * more
        items[i] = value
        if at is None:
            self._insert(name, items, first)
        else:
            self._fields[at] = (self._fields[at][0], items)
