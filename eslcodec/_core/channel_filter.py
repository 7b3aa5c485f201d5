"""Events that say nothing new of a channel: `ChannelFilter`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .message import Message


class ChannelFilter:
    """Finds the events that whoever follows which channels are open has to look at. Mostly there are few.

    Args:
        kind: the class of what is looked into, exactly; all else is found.
        names: Event-Name -> whether it says no more than that a channel is open. Events with other names are passed.

    Raises:
        TypeError: `kind` is no class of messages.

    Example:
        >>> block = b"Content-Type: text/event-plain\\n\\n"
        >>> filter = ChannelFilter(Message, {"CHANNEL_ANSWER": True, "CHANNEL_DESTROY": False})
        >>> names = [b"DTMF", b"CHANNEL_ANSWER", b"CHANNEL_DESTROY"]
        >>> events = [Message(block, b"Event-Name: %b\\nUnique-ID: a\\n\\n" % name) for name in names]
        >>> [filter.passes(events, 0, heard, gaps) for heard, gaps in [({}, 0), ({"a": 0}, 0), ({"a": 0}, 1)]]
        [1, 2, 1]
    """

    __slots__ = ("_kind", "_names")

    def __init__(self, kind: type[Any], names: Mapping[str, bool]) -> None:
        if not issubclass(kind, Message):
            raise TypeError(f"{kind!r} is no subclass of Message")
        self._kind = kind
        self._names = {name: bool(opens) for name, opens in names.items()}

    def passes(self, items: list[Any], start: int, heard: Mapping[str, int], gaps: int) -> int:
        """Pass over one after the other as long as they say nothing new.

        Args:
            items: any.
            start: the place of the first.
            heard: Unique-ID of a channel -> how many gaps there had been when it was last heard of. A dict.
            gaps: how many there were by now.

        Returns:
            The place of the first that is to be looked at; their number if there is none.
        """
        if not isinstance(heard, dict):
            raise TypeError(f"heard is {heard!r:.80}, expected a dict")
        kind, at = self._kind, max(start, 0)
        opens_of: Callable[[str | None], bool | None] = self._names.get  # type: ignore[assignment]  # None is not in it
        while at < len(items):
            item = items[at]
            if type(item) is not kind:
                break
            opens = opens_of(item.get("Event-Name"))
            if opens is False or (opens and heard.get(item.get("Unique-ID")) != gaps):
                break
            at += 1
        return at
