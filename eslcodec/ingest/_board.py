"""What switches do at the moment, in numbers: `Board`, behind `eslcodec top`.

No I/O and no clock: messages, the health of connections and the time are passed in. Whatever comes, memory is bounded:
names that anybody can choose (with `sendevent`) are cut, cleaned of what a terminal obeys, and counted together beyond
so many.

What the numbers mean:

* *legs up*: `Session-Count` of the last HEARTBEAT is what counts, the switch's own number. Until the next one it is
  moved by each leg that begins (CHANNEL_CREATE) and ends (CHANNEL_DESTROY; CHANNEL_HANGUP_COMPLETE if those are not
  sent to us). Before the first HEARTBEAT only what began and ended since is known (`counted`), and after a gap the sum
  is old until the next one (`stale`).
* *calls a second*: CHANNEL_CREATE of legs that begin a call of their own: those whose `Channel-Call-UUID` is their own.
* *answered*: of the legs that ended in the last minutes (CHANNEL_HANGUP_COMPLETE) those that were answered. The share
  is the answer-seizure ratio of legs.
* *registrations*: what happened in the last minutes; how many there are is not in events.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from .._codec import Message
from ..events import Event, Gap

__all__ = ["Board", "Health", "Line"]

NOW_SECONDS: Final = 5
"""What "now" is an average of."""

MINUTE: Final = 60

OUTCOME_SECONDS: Final = 300
"""Over how long answers, causes and registrations are counted."""

NAMES: Final = 200
"""Names of events, or subclasses, of one switch that are counted apart; FreeSWITCH has 93 events. Those that were not
seen for a minute make room."""

CAUSES: Final = 100
"""The same of causes; FreeSWITCH has 66."""

NAME_CHARACTERS: Final = 64

OTHERS: Final = "(others)"
"""What is counted together."""

REGISTRATIONS: Final = {
    "sofia::register": "registered",
    "sofia::unregister": "unregistered",
    "sofia::expire": "expired",
    "sofia::register_failure": "failed",
}

_ADDED: Final = (
    "waiting",
    "gaps",
    "gap_seconds",
    "unread_seconds",
    "reconnects",
    "core_changes",
    "dropped",
    "malformed",
)

Source = Literal["heartbeat", "stale", "counted"]


class Health(Protocol):
    """What is asked of the state of a connection. `SwitchStats` has it, and more, which is shown if it is there."""

    @property
    def state(self) -> str: ...
    @property
    def core_uuid(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Sum:
    """The connections to several switches together, by the names of `SwitchStats`. Lag, the worst, and queues are those
    of switches that are connected."""

    lag: float | None = None
    queue_estimate: int | None = None
    waiting: int = 0
    losses: Mapping[str, int] = field(default_factory=dict)
    loss_reports: Mapping[str, int] = field(default_factory=dict)
    gaps: int = 0
    gap_seconds: float = 0.0
    unread_seconds: float = 0.0
    reconnects: int = 0
    core_changes: int = 0
    dropped: int = 0
    malformed: int = 0

    @classmethod
    def of(cls, parts: Sequence[Any]) -> Sum:
        """The sum; what a part does not know is left out."""

        def known(name: str) -> list[Any]:
            return [value for part in parts if (value := getattr(part, name, None)) is not None]

        found: dict[str, Any] = {name: sum(known(name)) for name in _ADDED}
        for name in ("losses", "loss_reports"):
            found[name] = _sum(known(name))
        live = [part for part in parts if getattr(part, "connected", False)]
        lags = [lag for part in live if (lag := getattr(part, "lag", None)) is not None]
        queues = [queue for part in live if (queue := getattr(part, "queue_estimate", None)) is not None]
        return cls(lag=max(lags, default=None), queue_estimate=sum(queues) if queues else None, **found)


@dataclass(frozen=True, slots=True)
class Line:
    """A switch, or the sum of all, at a moment.

    Attributes:
        name: of the switch; None for the sum.
        health: the state of its connection as it was given last, None if it never was; for the sum a `Sum`.
        seconds: how long it has been watched.
        total: events until now.
        now: events a second, over the last 5 seconds.
        minute: events a second, over the last minute.
        events: name (for CUSTOM also `CUSTOM` and the subclass) -> events a second over the last minute, most first.
        events_now: the same over the last 5 seconds.
        up: legs up; None if nothing tells.
        source: where that is from: "heartbeat", "stale" or "counted".
        most: legs that the switch allows (`Max-Sessions`); None if it did not say.
        idle: share of the processor that is idle, in percent; None if it did not say.
        calls: calls a second, over the last minute.
        legs: legs a second.
        answers: answers a second, over the last minute.
        ended, answered: legs that ended in the last five minutes, and those of them that had been answered.
        causes: cause -> how many of them, most first.
        registrations: registered, unregistered, expired, failed -> how many in the last five minutes.

    Example:
        >>> Board().total(0.0).now
        0.0
    """

    name: str | None
    health: Any
    seconds: float
    total: int
    now: float
    minute: float
    events: Mapping[str, float]
    events_now: Mapping[str, float]
    up: int | None
    source: Source | None
    most: int | None
    idle: float | None
    calls: float
    legs: float
    answers: float
    ended: int
    answered: int
    causes: Mapping[str, int]
    registrations: Mapping[str, int]

    @property
    def lag(self) -> float | None:
        """Seconds that events take; None if that is not known, or there is no connection."""
        lag: float | None = getattr(self.health, "lag", None) if self._is_live else None
        return lag

    @property
    def queue(self) -> int | None:
        """About how many events wait in the switch; None if that is not known, or there is no connection."""
        queue: int | None = getattr(self.health, "queue_estimate", None) if self._is_live else None
        return queue

    @property
    def _is_live(self) -> bool:
        return self.name is None or bool(getattr(self.health, "connected", False))

    @property
    def asr(self) -> float | None:
        """The share of legs that were answered, of those that ended; None if none did."""
        return self.answered / self.ended if self.ended else None


class Rolling:
    """Counts by name over the last seconds.

    Args:
        seconds: how many; a multiple of `slot`.
        slot: they come and go in pieces of so many.
        most: names that are counted apart.

    Attributes:
        counts: name -> how many.

    Example:
        >>> rolling = Rolling(60, 1, most=2)
        >>> for name in ("a", "b", "c", "d", "a"):
        ...     rolling.add(name, 1, now=100.0)
        >>> rolling.counts
        {'a': 2, 'b': 1, '(others)': 2}
        >>> rolling.move(160.0)
        >>> rolling.counts
        {}
    """

    def __init__(self, seconds: int, slot: int, most: int) -> None:
        self.counts: dict[str, int] = {}
        self._slot = slot
        self._kept = seconds // slot
        self._most = most
        self._slots: deque[tuple[int, dict[str, int]]] = deque()

    def add(self, name: str, count: int, now: float) -> None:
        """So many came."""
        self.move(now)
        at = int(now // self._slot)
        if not self._slots or self._slots[-1][0] < at:
            self._slots.append((at, {}))
        counts = self.counts
        if name not in counts and len(counts) >= self._most:
            name = OTHERS
        counts[name] = counts.get(name, 0) + count
        slot = self._slots[-1][1]
        slot[name] = slot.get(name, 0) + count

    def move(self, now: float) -> None:
        """Time passed. If it went back further than all that is counted, a clock was set: it begins anew."""
        at = int(now // self._slot)
        slots, counts = self._slots, self.counts
        if slots and at + self._kept < slots[-1][0]:
            slots.clear()
            counts.clear()
        while slots and slots[0][0] <= at - self._kept:
            for name, count in slots.popleft()[1].items():
                left = counts[name] - count
                if left:
                    counts[name] = left
                else:
                    del counts[name]

    def recent(self, seconds: int, now: float) -> dict[str, int]:
        """Those of the last seconds, and of the piece that has begun."""
        first = int(now // self._slot) - seconds // self._slot
        found: dict[str, int] = {}
        for at, counts in reversed(self._slots):
            if at < first:
                break
            for name, count in counts.items():
                found[name] = found.get(name, 0) + count
        return found

    def span(self, seconds: int, now: float, began: float) -> float:
        """How many seconds `recent` covers, if counting began then."""
        first = (int(now // self._slot) - seconds // self._slot) * self._slot
        return max(now - max(float(first), began), 1.0)


class Sessions:
    """Legs up: by the switch's own count, moved by what began and ended since."""

    def __init__(self) -> None:
        self.most: int | None = None
        self.idle: float | None = None
        self._base: int | None = None
        self._number = -1  # of the last HEARTBEAT
        self._began = self._destroyed = self._hung_up = 0
        self._destroys = False  # whether CHANNEL_DESTROY is sent to us
        self._stale = False
        self._seen = False

    def heartbeat(self, event: Message) -> None:
        """The switch counts."""
        count = _number(event.get("Session-Count"))
        if count is None:
            return
        self._base, self._number = count, _number(event._last("Event-Sequence")) or -1
        self._began = self._destroyed = self._hung_up = 0
        self._stale = False
        self.most = _number(event.get("Max-Sessions"))
        idle = (event.get("Idle-CPU") or "").partition(".")
        whole = _number(idle[0])
        self.idle = None if whole is None else min(float(whole), 100.0)

    def began(self, event: Message) -> None:
        self._seen = True
        self._began += self._is_new(event)

    def destroyed(self, event: Message) -> None:
        self._destroys = True
        self._destroyed += self._is_new(event)

    def hung_up(self, event: Message) -> None:
        self._hung_up += self._is_new(event)

    def gap(self) -> None:
        """What happened meanwhile is not known."""
        self._stale = True

    def restart(self) -> None:
        """Another run of the switch: no leg of the old one is left."""
        self.__init__()  # type: ignore[misc]

    def up(self) -> tuple[int | None, Source | None]:
        """How many there are, and how that is known."""
        if self._base is None and not self._seen:
            return None, None
        ended = self._destroyed if self._destroys else self._hung_up
        up = max((self._base or 0) + self._began - ended, 0)
        if self._base is None:
            return up, "counted"
        return up, "stale" if self._stale else "heartbeat"

    def _is_new(self, event: Message) -> bool:
        """Whether it is not in the last HEARTBEAT's count: events come a little out of order."""
        number = _number(event._last("Event-Sequence"))
        return number is None or number > self._number


class _Switch:
    """One switch's numbers."""

    def __init__(self, name: str, now: float) -> None:
        self.name = name
        self.began = now
        self.total = 0
        self.health: Any = None
        self.core: str | None = None
        self.events = Rolling(MINUTE, 1, NAMES)
        self.starts = Rolling(MINUTE, 1, 8)  # calls, legs, answers
        self.outcomes = Rolling(OUTCOME_SECONDS, 5, 8)  # ended, answered, and what happened to registrations
        self.causes = Rolling(OUTCOME_SECONDS, 5, CAUSES)
        self.sessions = Sessions()
        self.looks = {
            "CHANNEL_CREATE": self._created,
            "CHANNEL_ANSWER": self._answered,
            "CHANNEL_HANGUP_COMPLETE": self._hung_up,
            "CHANNEL_DESTROY": self._destroyed,
            "HEARTBEAT": self._heartbeat,
        }

    def see(self, messages: Iterable[Message | object], now: float) -> None:
        self.began = min(self.began, now)  # a clock that was set back
        counts: dict[tuple[str, str | None], int] = {}
        for message in messages:
            if not isinstance(message, Event):
                continue
            if isinstance(message, Gap):
                self.sessions.gap()
                continue
            name, subclass = message.select("Event-Name", "Event-Subclass")
            key = name or "(no name)", subclass if name == "CUSTOM" else None
            counts[key] = counts.get(key, 0) + 1
            look = self.looks.get(key[0])
            if look is not None:
                look(message, now)
        for (name, subclass), count in counts.items():
            self.total += count
            if subclass in REGISTRATIONS:
                self.outcomes.add(REGISTRATIONS[subclass], count, now)
            self.events.add(_clean(name if subclass is None else f"{name} {subclass}"), count, now)

    def _created(self, event: Message, now: float) -> None:
        self.sessions.began(event)
        self.starts.add("legs", 1, now)
        uuid, call = event.select("Unique-ID", "Channel-Call-UUID")
        if call is None or call == uuid:
            self.starts.add("calls", 1, now)

    def _answered(self, event: Message, now: float) -> None:
        self.starts.add("answers", 1, now)

    def _hung_up(self, event: Message, now: float) -> None:
        self.sessions.hung_up(event)
        cause, answered = event.select("Hangup-Cause", "Caller-Channel-Answered-Time")
        self.outcomes.add("ended", 1, now)
        if answered and answered != "0":
            self.outcomes.add("answered", 1, now)
        self.causes.add(_clean(cause or "(no cause)"), 1, now)

    def _destroyed(self, event: Message, now: float) -> None:
        self.sessions.destroyed(event)

    def _heartbeat(self, event: Message, now: float) -> None:
        self.of_core(event._last("Core-UUID"))
        self.sessions.heartbeat(event)

    def of_core(self, core: str | None) -> None:
        """Which run of the switch it is."""
        if core and core != self.core:
            if self.core is not None:
                self.sessions.restart()
            self.core = core

    def line(self, now: float) -> Line:
        for rolling in (self.events, self.starts, self.outcomes, self.causes):
            rolling.move(now)
        events, began = self.events, self.began
        minute = events.span(MINUTE - 1, now, began)
        lately = events.recent(NOW_SECONDS, now)
        span = events.span(NOW_SECONDS, now, began)
        up, source = self.sessions.up()
        starts, outcomes = self.starts.counts, self.outcomes.counts
        return Line(
            name=self.name,
            health=self.health,
            seconds=max(now - began, 0.0),
            total=self.total,
            now=sum(lately.values()) / span,
            minute=sum(events.counts.values()) / minute,
            events={name: count / minute for name, count in _most_first(events.counts)},
            events_now={name: count / span for name, count in _most_first(lately)},
            up=up,
            source=source,
            most=self.sessions.most,
            idle=self.sessions.idle,
            calls=starts.get("calls", 0) / minute,
            legs=starts.get("legs", 0) / minute,
            answers=starts.get("answers", 0) / minute,
            ended=outcomes.get("ended", 0),
            answered=outcomes.get("answered", 0),
            causes=dict(_most_first(self.causes.counts)),
            registrations={kind: outcomes.get(kind, 0) for kind in REGISTRATIONS.values()},
        )


class Board:
    """Numbers of several switches. Not for several threads at once.

    Example:
        >>> board = Board()
        >>> for second in range(10):
        ...     board.see_all("pbx1", [Event.build("CHANNEL_CREATE", {"Unique-ID": second})], now=100.0 + second)
        >>> [line] = board.lines(now=110.0)
        >>> line.name, line.now, line.up, line.source
        ('pbx1', 1.0, 10, 'counted')
    """

    def __init__(self) -> None:
        self._switches: dict[str, _Switch] = {}

    def see_all(self, switch: str, messages: Iterable[Message | object], now: float) -> None:
        """The next messages of a switch came; what is no event is passed over.

        Args:
            switch: its name.
            messages: in the order in which they came.
            now: the time, as `time.time()`.
        """
        self._switch(switch, now).see(messages, now)

    def stats(self, name: str, stats: Health, now: float) -> None:
        """The state of a switch's connection; one that was removed is forgotten."""
        if stats.state == "removed":
            self._switches.pop(name, None)
            return
        switch = self._switch(name, now)
        switch.health = stats
        switch.of_core(stats.core_uuid)

    def gap(self, name: str, now: float) -> None:
        """What happened at a switch meanwhile is not known; a `Gap` among its messages says so too."""
        self._switch(name, now).sessions.gap()

    def keep(self, names: Container[str]) -> None:
        """Others are watched no more."""
        for gone in [name for name in self._switches if name not in names]:
            del self._switches[gone]

    def lines(self, now: float) -> list[Line]:
        """A line for each switch, in the order in which they were first seen."""
        return [switch.line(now) for switch in self._switches.values()]

    def total(self, now: float, lines: Iterable[Line] | None = None) -> Line:
        """The sum of all switches.

        Args:
            now: the time.
            lines: those of the switches at this time, if they are known already.
        """
        lines = self.lines(now) if lines is None else list(lines)
        known = [line.up for line in lines if line.up is not None]
        sources = {line.source for line in lines if line.source is not None}
        most = [line.most for line in lines if line.most is not None]
        return Line(
            name=None,
            health=Sum.of([line.health for line in lines if line.health is not None]),
            seconds=max((line.seconds for line in lines), default=0.0),
            total=sum(line.total for line in lines),
            now=sum((line.now for line in lines), 0.0),
            minute=sum((line.minute for line in lines), 0.0),
            events=_sum(line.events for line in lines),
            events_now=_sum(line.events_now for line in lines),
            up=sum(known) if known else None,
            source=next((source for source in _WEAKEST if source in sources), None),
            most=sum(most) if most and len(most) == len(lines) else None,
            idle=None,
            calls=sum((line.calls for line in lines), 0.0),
            legs=sum((line.legs for line in lines), 0.0),
            answers=sum((line.answers for line in lines), 0.0),
            ended=sum(line.ended for line in lines),
            answered=sum(line.answered for line in lines),
            causes=_sum(line.causes for line in lines),
            registrations={kind: sum(line.registrations[kind] for line in lines) for kind in REGISTRATIONS.values()},
        )

    def _switch(self, name: str, now: float) -> _Switch:
        found = self._switches.get(name)
        if found is None:
            found = self._switches[name] = _Switch(name, now)
        return found


_WEAKEST: Final[tuple[Source, ...]] = ("counted", "stale", "heartbeat")


def _most_first(counts: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def _sum(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in parts:
        for name, count in part.items():
            found[name] = found.get(name, 0) + count
    return dict(_most_first(found))


def _number(text: str | None) -> int | None:
    """A number of the wire, if it is one that fits."""
    return int(text) if text is not None and len(text) <= 18 and text.isascii() and text.isdecimal() else None


def _clean(text: str) -> str:
    """A name that anybody can choose: short, and nothing in it that a terminal obeys."""
    if len(text) <= NAME_CHARACTERS and text.isprintable():
        return text
    cut = text if len(text) <= NAME_CHARACTERS else text[: NAME_CHARACTERS - 3] + "..."
    return cut if cut.isprintable() else "".join(char if char.isprintable() else "?" for char in cut)
