"""Which events a connection needs itself, for jobs, executions and digits, whether its user asked for them or not.

`Subscriptions` has what the user asked for. The two are kept apart for two reasons: an event that only we need must not
reach the user, and one that the user unsubscribes from must go on coming as long as we need it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from . import commands
from ._ctext import described
from ._pipeline import OnReply, Pipeline
from .errors import InvalidCommand
from .events import CommandReply, Event
from .subscriptions import MY_EVENTS, Subscriptions
from .waits import Wait

_OF_EXECUTIONS: Final = frozenset(
    ["CHANNEL_EXECUTE", "CHANNEL_EXECUTE_COMPLETE", "CHANNEL_HANGUP", "CHANNEL_HANGUP_COMPLETE"]
)


class Needs:
    """The events that are needed, and what was sent for them to come.

    Args:
        pipeline: for commands.
        subscriptions: what the user asked for.

    Attributes:
        names: of events that are needed, from the first job, execution or digit on.
        my_events: the answer to a `myevents` for the connection's own channel, the user's or ours; None if there was
            none, or it was refused.
    """

    def __init__(self, pipeline: Pipeline, subscriptions: Subscriptions) -> None:
        self.names: set[str] = set()
        self.my_events: Wait[CommandReply] | None = None
        self._pipeline = pipeline
        self._subscriptions = subscriptions
        self._private: set[str] = set()  # names of events that come because we asked, whether the user did or not
        self._filtered: set[str] = set()  # needed names for which there is a filter of ours

    @property
    def own_channel_only(self) -> bool:
        """Whether events of other channels do not come: after `myevents` the switch sends one channel's, whatever else
        is subscribed to."""
        return self.my_events is not None or self._subscriptions.channel is not None

    def need(self, name: str, what: str, refused: OnReply) -> None:
        """From now on events of this name must come: ask for them unless the user did.

        Args:
            name: of the events.
            what: the command that needs them, for messages.
            refused: called if the switch does not let us have them.
        """
        if name in self.names:
            return
        self._pipeline.asked += 1
        self.names.add(name)
        self.filter_ours()
        if not self._subscriptions.wants(name):
            self._private.add(name)
            self._pipeline.send(commands.event(name), what, refused=refused)

    def need_executions(self, granted: OnReply, refused: OnReply) -> None:
        """From now on the channel's events must come, those of applications and of its end."""
        if "CHANNEL_EXECUTE" in self.names:
            return
        if self.my_events is None and self._subscriptions.channel is None:
            self._private |= MY_EVENTS
            self.my_events = self._pipeline.send(
                commands.myevents(), "the channel's events", granted=granted, refused=refused
            )
        self.names |= _OF_EXECUTIONS
        self.filter_ours()

    def need_digits(self, granted: OnReply, refused: OnReply) -> None:
        """From now on the channel's events must come, those of digits and of its end."""
        if "DTMF" in self.names:
            return
        self._pipeline.asked += 1
        self.need_executions(granted, refused)
        self.names.add("DTMF")
        self.filter_ours()

    def give_up(self, names: Iterable[str]) -> None:
        """The switch does not give us events of these names. Those that come all the same are the user's."""
        names = list(names)
        self.names.difference_update(names)
        self._private.difference_update(names)
        self.filter_ours()

    def give_up_channel(self) -> None:
        """We do not get the channel's events."""
        self.give_up(MY_EVENTS)
        self.my_events = None

    def hide(self) -> None:
        """The user unsubscribes from something: the events that we need still come, but no longer reach the user."""
        self._private |= self.names

    def ask_again(self) -> None:
        """Ask for our events again, after a command that ended all subscriptions."""
        self.hide()
        if self.names:
            self._pipeline.command(commands.event(*sorted(self.names)))

    def share_my_events(self, wait: Wait[CommandReply], format: str | None) -> Wait[CommandReply]:
        """The user asks for what was already enabled; the switch would answer -ERR."""
        if format not in (None, self._subscriptions.format or "plain"):
            raise InvalidCommand(f"the channel's events are enabled already: their format cannot become {format!r:.80}")
        self._subscriptions.channel = ""
        return wait

    # Filters

    def filter_ours(self) -> None:
        """Keep our filters up to date. While the user has filters, only events that match one come: so each name that
        we need has one."""
        needed = self.names if self._subscriptions.filters else set()
        for name in sorted(needed - self._filtered):
            self._pipeline.command(commands.filter("Event-Name", name))
        for name in sorted(self._filtered - needed):
            if ("Event-Name", name) not in self._subscriptions.filters:
                self._pipeline.command(commands.filter_delete("Event-Name", name))
        self._filtered = set(needed)

    def add_filter(self, header: str, value: str) -> Wait[CommandReply]:
        """The user's `filter`; ours go before it."""
        block = commands.filter(header, value)
        self._pipeline.check_open(described(block))
        self._pipeline.asked += 1
        self._subscriptions.filters.append((header, value))
        self.filter_ours()
        return self._pipeline.command(block)

    def delete_filter(self, header: str, value: str | None) -> Wait[CommandReply]:
        """The user's `filter delete`, which may take ours away too."""
        wait = self._pipeline.command(commands.filter_delete(header, value))
        self._subscriptions.remove_filters(header, value)
        if header.lower() in ("all", "event-name"):
            self._filtered -= {value} if value else self._filtered.copy()
        self.filter_ours()
        return wait

    # Events

    def shows(self, name: str, event: Event) -> bool:
        """Whether an event that came is one the user asked for."""
        if name in self._private and not self._subscriptions.wants(name):
            return False
        return name not in self._filtered or self._subscriptions.passes(event)
