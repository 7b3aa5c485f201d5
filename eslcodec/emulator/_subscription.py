"""Which events a connection of an emulated switch gets (docs/protocol/commands.md, 4)."""

from __future__ import annotations

from typing import Final

from .._filters import passes, remaining
from ..enums import EventName
from ..headers import HeaderList
from ..subscriptions import MY_EVENTS, event_name
from ._events import SwitchEvent
from ._model import Session, User
from ._rights import DENIED, may_have

_NAMES: Final = frozenset(name.value for name in EventName)
_NO_NAMES: Final = "-ERR no keywords supplied"


def event_type(word: str) -> str | None:
    """The event that a word of a subscription names, None if it names none.

    Example:
        >>> event_type("switch_event_dtmf"), event_type("sofia::register")
        ('DTMF', None)
    """
    name = event_name(word)
    return name if name in _NAMES else None


class Subscription:
    """What a connection has asked for. A method for each command, which gives the reply.

    Attributes:
        format: "plain", "json" or "xml".
        listening: whether it gets events at all.
        names: of events.
        subclasses: of CUSTOM.
        own_only: whether it gets only the events of its channel, after `myevents`.

    Example:
        >>> wanted = Subscription()
        >>> wanted.enable("json DTMF".split(" "), None, set()), wanted.filter("A 1")
        ('+OK event listener enabled json', '+OK filter added. [A]=[1]')
        >>> wanted.filters
        [('A', '1')]
    """

    def __init__(self) -> None:
        self.format = "plain"
        self.listening = False
        self.names: set[str] = set()
        self.subclasses: set[str] = set()
        self.own_only = False
        self._filters = HeaderList()  # as in the switch, so that names and values mean what they do in an event

    @property
    def filters(self) -> list[tuple[str, str]]:
        """(header, value) of each filter."""
        return self._filters.pairs()

    # Whether an event is wanted

    def wants(self, event: SwitchEvent, session: Session | None) -> bool:
        """Whether subscriptions, filters and `myevents` let an event through.

        Args:
            event: what was fired.
            session: the connection's channel.
        """
        return self._named(event) and passes(self._filters, event.headers.get) and self._own(event, session)

    def _named(self, event: SwitchEvent) -> bool:
        if not self.listening:
            return False
        if "ALL" in self.names:
            return True
        if event.name not in self.names:
            return False
        return event.subclass is None or event.subclass in self.subclasses

    def _own(self, event: SwitchEvent, session: Session | None) -> bool:
        if not self.own_only:
            return True
        if session is None:
            return "Unique-ID" in event.headers
        return session.uuid in (event.headers.get("Unique-ID"), event.headers.get("Job-Owner-UUID"))

    # Commands

    def enable(self, words: list[str], user: User | None, registered: set[str]) -> str:
        """`event`.

        Args:
            words: those of the command.
            user: who may not ask for everything, None if there are no limits.
            registered: the subclasses that ALL brings.
        """
        if words[0].lower() in ("plain", "json", "xml"):
            self.format = words.pop(0).lower()
        known = 0
        custom = False
        for word in words:
            name = event_type(word)
            if not custom and name is None:
                continue
            if not may_have(user, word if custom else str(name), subclass=custom):
                return DENIED
            if custom:
                self.subclasses.add(word)
                continue
            known += 1
            self.names |= _NAMES if name == "ALL" else {str(name)}
            self.subclasses |= registered if name == "ALL" else set()
            custom = name == "CUSTOM"
        if not known:
            return _NO_NAMES
        self.listening = True
        return f"+OK event listener enabled {self.format}"

    def disable(self, words: list[str]) -> str:
        """`nixevent`."""
        known = 0
        custom = False
        for word in words:
            if custom:
                self.subclasses.discard(word)
                continue
            name = event_type(word)
            if name is None:
                continue
            known += 1
            custom = name == "CUSTOM"
            if name == "ALL":
                self.names.clear()
            elif not custom:
                self.names -= {"ALL", name}
        if not known:
            return _NO_NAMES
        self.listening = True
        return "+OK events nixed"

    def stop(self) -> str:
        """`noevents`."""
        if not self.listening:
            return "-ERR not listening for events"
        self.listening = False
        self.names.clear()
        self.subclasses.clear()
        return "+OK no longer listening for events"

    def enable_own(self, text: str = "") -> str:
        """`myevents`.

        Args:
            text: of the command, in which the switch looks for a format.
        """
        for format in ("xml", "json"):
            if format in text or format.upper() in text:
                self.format = format
        self.own_only = self.listening = True
        self.names |= MY_EVENTS
        return "+OK Events Enabled"

    def filter(self, text: str) -> str:
        """`filter`.

        Args:
            text: what stands after the word.
        """
        header, blank, value = text.lstrip(" ").partition(" ")
        if not blank:
            return "-ERR invalid syntax"
        if header.lower() == "delete":
            header, _, value = value.partition(" ")
            self._filters = HeaderList(remaining(self._filters, header, value))
            return f"+OK filter deleted. [{header}][{value}]"
        if header.lower() == "add":
            header, blank, value = value.partition(" ")
            if not blank:
                return f"+OK filter added. [{header}]=[(null)]"
        self._filters.add(header, value)
        return f"+OK filter added. [{header}]=[{value}]"
