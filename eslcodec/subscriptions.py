"""What a connection has asked the switch for: event names, subclasses, format, filters, log level.

It is kept as the switch keeps it (docs/protocol/commands.md, 4). So the same can be asked for again on a new
connection, and events that only the library needs are kept apart from those that the user wants.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from . import commands
from ._ctext import quoted, word
from ._filters import Filter, passes, remaining
from ._renamed import Renamed
from .enums import LogLevel
from .events import Event

MY_EVENTS: Final = frozenset(
    [
        *("CHANNEL_ANSWER", "CHANNEL_APPLICATION", "CHANNEL_BRIDGE", "CHANNEL_CREATE", "CHANNEL_DATA"),
        *("CHANNEL_DESTROY", "CHANNEL_EXECUTE", "CHANNEL_EXECUTE_COMPLETE", "CHANNEL_HANGUP"),
        *("CHANNEL_HANGUP_COMPLETE", "CHANNEL_ORIGINATE", "CHANNEL_UUID", "CHANNEL_OUTGOING", "CHANNEL_PARK"),
        *("CHANNEL_PROGRESS", "CHANNEL_PROGRESS_MEDIA", "CHANNEL_STATE", "CHANNEL_UNBRIDGE", "CHANNEL_UNPARK"),
        *("DETECTED_SPEECH", "DTMF", "NOTALK", "TALK"),
    ]
)
"""The names that `myevents` enables."""

_SHOWN: Final = 300  # characters of a `repr`


def event_name(name: str) -> str:
    """A name as the switch compares it: upper case, without `SWITCH_EVENT_`.

    Example:
        >>> event_name("channel_answer")
        'CHANNEL_ANSWER'
    """
    return str(name).upper().removeprefix("SWITCH_EVENT_")


class Subscriptions:
    """What was asked for and granted. Changed by a `Connection`; anybody may read it.

    Attributes:
        format: "plain", "json" or "xml"; None if it was never chosen, which is "plain".
        names: event names in the order they were asked for; "ALL" and "CUSTOM" may be among them.
        without: names taken out again after "ALL".
        subclasses: subclasses of CUSTOM.
        filters: (header, value) of each filter.
        log_level: what `log` was called with, None if log lines are off.
        channel: uuid of the channel whose events `myevents` enabled; "" for a connection's own channel, None if none.

    Example:
        >>> wanted = Subscriptions()
        >>> wanted.add(["CHANNEL_ANSWER"], ["sofia::register"], "json")
        >>> wanted
        <Subscriptions json CHANNEL_ANSWER sofia::register>
        >>> wanted.commands()
        [b'event json CHANNEL_ANSWER CUSTOM sofia::register\\n\\n']
    """

    def __init__(self) -> None:
        self.format: str | None = None
        self.names: dict[str, None] = {}
        self.without: dict[str, None] = {}
        self.subclasses: dict[str, None] = {}
        self.filters: list[tuple[str, str]] = []
        self.log_level: str | int | LogLevel | None = None
        self.channel: str | None = None
        self._silence_told = False

    def __repr__(self) -> str:
        shown = ""
        parts = self._parts()
        for at, part in enumerate(parts):
            if len(shown) + len(part) > _SHOWN:
                return f"<Subscriptions{shown} and {len(parts) - at} more>"
            shown += f" {part}"
        return f"<Subscriptions{shown or ' nothing'}>"

    def _parts(self) -> list[str]:
        """What was asked for, for a `repr`. Each list is copied whole: others may be changing it."""
        parts = [word(self.format)] if self.format else []
        parts += map(word, [*list(self.names), *list(self.subclasses)])
        parts += [f"-{word(name)}" for name in list(self.without)]
        if self.channel is not None:
            parts.append(f"myevents {word(self.channel)}" if self.channel else "myevents")
        parts += [f"filter {word(header)}: {quoted(value, 60)}" for header, value in list(self.filters)]
        if self.log_level is not None:
            parts.append(f"log {word(str(self.log_level))}")
        return parts

    def add(self, names: Iterable[str], subclasses: Iterable[str] = (), format: str | None = None) -> None:
        """`event` was granted."""
        for name in map(event_name, names):
            self.names[name] = None
            self.without.pop(name, None)
            if name == "ALL":
                self.without.clear()
        self.subclasses.update(dict.fromkeys(subclasses))
        self.format = format or self.format

    def remove(self, names: Iterable[str], subclasses: Sequence[str] = ()) -> None:
        """`nixevent` was granted."""
        for subclass in subclasses:
            self.subclasses.pop(subclass, None)
        for name in map(event_name, names):
            if name == "ALL":
                self.clear()
            elif name == "CUSTOM" and subclasses:
                continue  # the switch takes the subclasses out and leaves CUSTOM in
            else:
                self.names.pop(name, None)
                if "ALL" in self.names:
                    self.without[name] = None

    def clear(self) -> None:
        """`noevents`, or `nixevent ALL`, was granted. Filters stay, as they do in the switch."""
        self.names.clear()
        self.without.clear()
        self.subclasses.clear()

    def remove_filters(self, header: str, value: str | None) -> None:
        """`filter delete` was granted."""
        self.filters[:] = remaining(self.filters, header, value)

    def wants(self, name: str) -> bool:
        """Whether events of this name were asked for."""
        if name in self.names or ("ALL" in self.names and name not in self.without):
            return True
        return self.channel is not None and name in MY_EVENTS

    def warning(self) -> str | None:
        """A warning for the log, once, when there are only filters that keep events back: then the switch sends none.

        Example:
            >>> wanted = Subscriptions()
            >>> wanted.filters.append(("Unique-ID", "-8f08a03a"))
            >>> wanted.warning(), wanted.warning()
            ('no event comes until one more filter lets it: there is only Unique-ID -8f08a03a, which keeps events back', None)
        """  # noqa: E501
        silent = bool(self.filters) and all(is_negative(value) for _, value in self.filters)
        told, self._silence_told = self._silence_told, silent
        if told or not silent:
            return None
        header, value = self.filters[0]
        shown = f"{header} {value}".encode("unicode_escape").decode()
        return f"no event comes until one more filter lets it: there is only {shown:.80}, which keeps events back"

    silence = Renamed()

    def passes(self, event: Event) -> bool:
        """Whether the switch's filters, without those of our own, let an event through: one that matches is enough,
        a negative one that matches forbids it."""
        return passes(self.filters, event.get)

    def commands(self) -> list[bytes]:
        """The commands that ask for the same on a new connection: filters first, so that nothing comes unfiltered."""
        wanted = [commands.filter(header, value) for header, value in self.filters]
        if self.channel:
            wanted.append(commands.myevents(self.channel))
        if self.names or self.subclasses:
            wanted.append(commands.event(*self.names, custom=list(self.subclasses), format=self.format))
        if self.without:
            wanted.append(commands.nixevent(*self.without))
        if self.log_level is not None:
            wanted.append(commands.log(self.log_level))
        return wanted


def is_negative(value: str) -> bool:
    """Whether a filter with this value keeps events back: the last of the signs in front of it counts.

    Example:
        >>> is_negative("-8f08a03a"), is_negative("+1555"), is_negative("/-/")
        (True, False, False)
    """
    return Filter.of(value).negative
