"""Legs: what became of each channel, from the events about it. No I/O, no clock: time is what the events say.

`Leg` is the row, `Legs` makes them: push messages with `see`, and `finish` at the end. CHANNEL_HANGUP_COMPLETE has
nearly all of a row. The other events are there for what it does not say: whom the channel called at first, what its
uuid was before, that its switch was killed, that its end fell into a gap.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from .._codec import Message, RowReader
from ..events import Event, Gap
from . import _rows
from ._rows import Leg
from .notices import FOUND_HEADERS, CoreChanged, Ended, Found, Notice
from .watch import Loss

__all__ = ["Leg", "Legs"]

_SECOND: Final = 1_000_000  # microseconds, in which times are counted here
_FINISHED: Final = 100_000  # uuids that are remembered after their end, for what comes twice or late
_CORES: Final = 10_000  # runs of switches that are remembered
_NO_LEGS: Final[tuple[Leg, ...]] = ()

_HEAD: Final = RowReader(
    [
        ("Core-UUID", "string"),
        ("Event-Date-Timestamp", "int64"),
        ("Unique-ID", "string"),
        ("Caller-Channel-Created-Time", "string"),
    ]
)
_LINKS: Final = ("Other-Leg-Unique-ID", "variable_other_loopback_leg_uuid")
_BRIDGE: Final = RowReader(
    [
        ("Bridge-A-Unique-ID", "string"),
        ("Bridge-B-Unique-ID", "string"),
        ("Event-Date-Timestamp", "int64"),
        ("Caller-Channel-Bridged-Time", "int64"),
    ]
)


_Switch = tuple[str | None, str | None]  # host and name


class Watcher(Protocol):
    """What is told how legs hang together: `Calls`. Times are microseconds; an event without one is at None."""

    def opened(self, uuid: str, called: bool) -> None: ...
    def linked(self, uuid: str, other: str) -> None: ...
    def renamed(self, old: str, new: str) -> None: ...
    def bridged(self, a: str, b: str, at: int | None) -> None: ...
    def unbridged(self, a: str, b: str, at: int | None, since: int | None) -> None: ...
    def hanging_up(self, uuid: str) -> None: ...
    def ended(self, leg: Leg) -> None: ...


class _Core:
    """One run of a switch, from its start to its end."""

    __slots__ = ("gaps", "heard", "replaced", "switch", "uuid")

    def __init__(self, uuid: str, switch: _Switch) -> None:
        self.uuid = uuid
        self.switch = switch
        self.heard = 0
        self.replaced: int | None = None  # when another run of the same switch was first heard of
        self.gaps = 0

    @property
    def dead(self) -> bool:
        """Whether another run has taken its place, and it was not heard of since."""
        return self.replaced is not None and self.heard <= self.replaced


class _Open:
    """A leg that has not ended yet."""

    __slots__ = ("core", "created", "first", "former", "gaps", "heard", "last", "recovered", "since", "uuid")

    def __init__(self, uuid: str, core: _Core, created: str | None) -> None:
        self.uuid = uuid
        self.former: str | None = None
        self.core = core
        self.created = created  # as written: tells two channels of one uuid apart
        self.since: str | None = None  # when it was created, if that was before a recovery
        self.first: _rows.Values | None = None  # of the caller and whom it called
        self.last: _rows.Packed | None = None  # what its row is made of
        self.recovered = False
        self.heard = 0
        self.gaps = 0


class Legs:
    """Makes a row of each leg that ends, from any messages: push them with `see`.

    It reads CHANNEL_CREATE, CHANNEL_ANSWER, CHANNEL_BRIDGE, CHANNEL_UNBRIDGE, CHANNEL_UUID, CHANNEL_HANGUP,
    CHANNEL_HANGUP_COMPLETE, CHANNEL_DESTROY, HEARTBEAT and `Gap`, and passes over everything else. Only
    CHANNEL_HANGUP_COMPLETE is needed; `eslcodec.presets.CALLS` and HEARTBEAT are a good choice.

    A leg that ends gives one row, whose `status` is `complete`, or `recovered` if it went on under another Core-UUID
    after `sofia recover`. What ends otherwise gives a row with what was known of it:

    * `switch_restarted`: its switch runs under another Core-UUID, and the leg was not recovered within
      `recover_seconds`.
    * `lost_in_gap`: it was open before a `Gap` and was not heard of since. Nobody can tell when it ended.
    * `open`: it goes on, or its end was not seen.

    What a resync found out (`Ended` and `Found` among the messages) is used: a leg that is known to have ended gives
    its row at once, `lost_in_gap` with `not_before` and `not_after`, and one whose beginning was missed is open. Legs
    of a switch that was started anew wait for their recovery all the same.

    Else the last two come with `finish`, or when a leg was not heard of for `give_up` seconds, or when more than
    `max_open` are open: then the ones that were not heard of for the longest time are given up. If one of these ends
    after all, it gives a second row.

    Time is the latest `Event-Date-Timestamp`. One object belongs to one thread at a time.

    Args:
        columns: own columns, name -> header, such as `{"customer": "variable_customer_id"}`: they are in `Leg.own`, and
            in what `asdict` and `to_json` give.
        give_up: seconds.
        max_open: how many legs may be open.
        recover_seconds: how long a killed switch may take until `sofia recover`.

    Raises:
        ValueError: a bound that is not positive, or an own column that is called as one of ours.

    Example:
        >>> from eslcodec import Event
        >>> legs = Legs(columns={"customer": "variable_customer_id"})
        >>> start, answer, end = 1795920738251991, 1795920740251991, 1795920750251991  # microseconds
        >>> (leg,) = legs.see(
        ...     Event.build(
        ...         "CHANNEL_HANGUP_COMPLETE",
        ...         {
        ...             "Unique-ID": "e10a8e20",
        ...             "Hangup-Cause": "NORMAL_CLEARING",
        ...             "Caller-Channel-Created-Time": start,
        ...             "Caller-Channel-Answered-Time": answer,
        ...             "Caller-Channel-Hangup-Time": end,
        ...             "variable_customer_id": "4711",
        ...         },
        ...     )
        ... )
        >>> leg.uuid, leg.cause, leg.duration, leg.billsec, leg.status, leg.own
        ('e10a8e20', 'NORMAL_CLEARING', 12.0, 10.0, 'complete', {'customer': '4711'})
    """

    def __init__(
        self,
        *,
        columns: Mapping[str, str] | None = None,
        give_up: float = 86_400.0,
        max_open: int = 1_000_000,
        recover_seconds: float = 300.0,
    ) -> None:
        if not (give_up > 0 and max_open > 0 and recover_seconds > 0):
            raise ValueError("give_up, max_open and recover_seconds must be positive")
        self._reader = _rows.Reader(columns or {})
        self._give_up = int(give_up * _SECOND)
        self._max_open = max_open
        self._recover = int(recover_seconds * _SECOND)
        self._watcher: Watcher | None = None
        self._open: OrderedDict[str, _Open] = OrderedDict()  # the one that was heard of last is at the end
        self._finished: OrderedDict[str, str | None] = OrderedDict()
        self._cores: OrderedDict[str, _Core] = OrderedDict()
        self._replaced: deque[tuple[int, _Core]] = deque()
        self._rows: list[Leg] = []
        self._checked = 0
        self._counts = dict.fromkeys((*_rows.STATUSES, "repeats", "given_up"), 0)
        self.now = 0
        """The latest time that an event had, in microseconds since the epoch; 0 before the first."""

    def see(self, message: Message | Notice | Loss) -> Sequence[Leg]:
        """Take a message, or a notice; the rows that it completes, mostly none."""
        if isinstance(message, (Notice, Loss)):
            self._noticed(message)
        else:
            name = message.get("Event-Name")
            if name is None or name not in _HANDLERS:
                return _NO_LEGS
            self._take(message, name)
        if not self._rows:
            return _NO_LEGS
        rows, self._rows = self._rows, []
        return rows

    def finish(self) -> Sequence[Leg]:
        """Rows for all that are still open, at the end of the stream."""
        while self._open:
            self._drop(next(iter(self._open.values())))
        rows, self._rows = self._rows, []
        return rows

    def stats(self) -> dict[str, int]:
        """Counters: rows by their status, `open` those that are open now, `repeats` of an end that was known already,
        `given_up` for age or number.

        Example:
            >>> list(Legs().stats())
            ['complete', 'recovered', 'switch_restarted', 'lost_in_gap', 'open', 'repeats', 'given_up']
        """
        names = (*_rows.STATUSES, "repeats", "given_up")
        return {**{name: self._counts[name] for name in names}, "open": len(self._open)}

    def missed(self, core_uuid: str | None = None) -> None:
        """Note that events may be missing here, as a `Gap` in the stream does by itself.

        Args:
            core_uuid: of the switch concerned; None if it might be any.

        Example:
            >>> from eslcodec import Event
            >>> legs = Legs()
            >>> legs.see(Event.build("CHANNEL_CREATE", {"Unique-ID": "a"}))
            ()
            >>> legs.missed()
            >>> [leg.status for leg in legs.finish()]
            ['lost_in_gap']
        """
        core = self._cores.get(core_uuid or "")
        for one in self._cores.values() if core is None else (core,):
            one.gaps += 1

    def is_finished(self, uuid: str) -> bool:
        """Whether this leg has ended, not too long ago."""
        return uuid in self._finished

    # Events

    def _take(self, message: Message, name: str) -> None:
        """Read a message of a name that is one of ours."""
        _HANDLERS[name](self, message, name)
        if self.now - self._checked >= _SECOND:
            self._checked = self.now
            self._expire()

    def _created(self, message: Message, name: str) -> None:
        leg, _ = self._channel(message, name)
        if leg is None:
            return
        leg.last = _rows.packed(message)  # mostly it is another one that is read in the end
        if leg.first is None:
            leg.first = _rows.early(message)

    def _bridged(self, message: Message, name: str) -> None:
        a, b, at, _ = _BRIDGE.read(message)
        _, fresh = self._channel(message, name)
        if fresh and a and b and self._watcher is not None:
            self._watcher.linked(a, b)
            self._watcher.bridged(a, b, at)

    def _unbridged(self, message: Message, name: str) -> None:
        a, b, at, since = _BRIDGE.read(message)
        _, fresh = self._channel(message, name)
        if fresh and a and b and self._watcher is not None:
            self._watcher.linked(a, b)
            self._watcher.unbridged(a, b, at, since)

    def _renamed(self, message: Message, name: str) -> None:
        old, new = message.select("Old-Unique-ID", "Unique-ID")
        leg = self._open.pop(old, None) if old and new and new not in self._open else None
        if leg is not None and old and new:
            leg.uuid = new
            self._open[new] = leg
            if self._watcher is not None:
                self._watcher.renamed(old, new)
        leg, _ = self._channel(message, name)
        if leg is not None:
            leg.former = leg.former or old

    def _hanging_up(self, message: Message, name: str) -> None:
        leg, _ = self._channel(message, name)
        if leg is not None and self._watcher is not None:
            self._watcher.hanging_up(leg.uuid)

    def _ended(self, message: Message, name: str) -> None:
        if name == "CHANNEL_DESTROY" and message.get("Unique-ID") not in self._open:
            return  # its row was made of CHANNEL_HANGUP_COMPLETE, or before this stream begins
        leg, _ = self._channel(message, name)
        if leg is None:
            self._counts["repeats"] += bool(message.get("Unique-ID"))
            return
        row = self._reader.read(message)
        recovered = leg.recovered or _rows.is_recovered(row)
        del self._open[leg.uuid]
        self._finish(leg.uuid, message.get("Caller-Channel-Created-Time"))
        self._put(leg, row, "recovered" if recovered else "complete")

    def _beat(self, message: Message, name: str) -> None:
        core, at, _, _ = _HEAD.read(message)
        self._tick(message, core, at)

    def _custom(self, message: Message, name: str) -> None:
        if isinstance(message, Gap):
            before, _ = message._sides
            self.missed(None if before is None else before._last("Core-UUID"))

    # What was found out

    def _noticed(self, notice: Notice | Loss) -> None:
        """Read a notice."""
        if isinstance(notice, Ended):
            self._found_ended(notice)
        elif isinstance(notice, Found):
            self._found(notice)
        elif isinstance(notice, CoreChanged):
            self._replace(self._cores.get(notice.before or ""))

    def _found_ended(self, notice: Ended) -> None:
        leg = self._open.get(notice.uuid)
        if leg is None:
            return
        if notice.core_uuid and leg.core.uuid and notice.core_uuid != leg.core.uuid:
            self._replace(leg.core)
        if leg.core.dead:
            return  # it may be recovered
        del self._open[leg.uuid]
        self._finish(leg.uuid, leg.created)
        self._put(leg, self._last_of(leg), "lost_in_gap", (notice.not_before, notice.not_after))

    def _found(self, notice: Found) -> None:
        if notice.uuid in self._open or notice.uuid in self._finished:
            return  # a recording may have it behind the end of the channel
        said = {header: getattr(notice, name) for name, header in FOUND_HEADERS.items()}
        said["Core-UUID"] = notice.core_uuid
        if notice.created is not None:
            said["Caller-Channel-Created-Time"] = str(_rows.microseconds(notice.created))
        event = Event.build("CHANNEL_DATA", {name: value for name, value in said.items() if value is not None})
        self._created(event, "CHANNEL_DATA")
        if notice.uuid in self._open:
            self._open[notice.uuid].created = None  # the events say it more exactly

    def _replace(self, core: _Core | None) -> None:
        """Another run of the switch has taken the place of this one."""
        if core is not None and not core.dead:
            core.replaced = self.now
            self._replaced.append((self.now + self._recover, core))

    # Legs

    def _finish(self, uuid: str, created: str | None) -> None:
        self._finished[uuid] = created
        if len(self._finished) > _FINISHED:
            self._finished.popitem(last=False)

    def _last_of(self, leg: _Open) -> list[Any] | None:
        """What is known of a leg whose end was not seen."""
        return None if leg.last is None else self._reader.read(_rows.unpacked(leg.last))

    def _channel(self, message: Message, name: str) -> tuple[_Open | None, bool]:
        """The open leg that an event is about, and whether the event is news: not about one that has ended."""
        core_uuid, at, uuid, created = _HEAD.read(message)
        core = self._tick(message, core_uuid, at)
        if not uuid:
            return None, False
        leg = self._open.get(uuid)
        if leg is not None and name == "CHANNEL_CREATE" and leg.core is core and created != (leg.created or created):
            self._drop(leg)  # another channel of the same name: the end of this one was missed
            leg = None
        if leg is None:
            if uuid in self._finished:
                if self._finished[uuid] == created:
                    return None, False
                del self._finished[uuid]  # another channel of the same name, or the same one recovered
            leg = self._start(uuid, core, created, message)
        else:
            self._open.move_to_end(uuid)
            if leg.core is not core:
                self._moved(leg, core, message, created)
        leg.heard, leg.gaps = self.now, leg.core.gaps
        if self._watcher is not None:
            for other in message.select(*_LINKS):
                if other and other != uuid:
                    self._watcher.linked(uuid, other)
        return leg, True

    def _start(self, uuid: str, core: _Core, created: str | None, message: Message) -> _Open:
        leg = self._open[uuid] = _Open(uuid, core, created)
        if self._watcher is not None:
            self._watcher.opened(uuid, message.get("Other-Type") == "originator")
        if len(self._open) > self._max_open:
            self._counts["given_up"] += 1
            self._drop(next(iter(self._open.values())))
        return leg

    def _moved(self, leg: _Open, core: _Core, message: Message, created: str | None) -> None:
        """The leg is heard of under another Core-UUID: recovered, unless that stands in the first head of a copy."""
        if not leg.core.uuid:  # nobody said under which before
            leg.core = core
            return
        if _own_core(message) == core.uuid:
            leg.since = leg.since or leg.created
            leg.core, leg.created, leg.recovered = core, created, True

    def _drop(self, leg: _Open) -> None:
        """A row for a leg whose end was not seen."""
        del self._open[leg.uuid]
        status = "open"
        if leg.core.dead:
            status = "switch_restarted"
        elif leg.gaps != leg.core.gaps:
            status = "lost_in_gap"
        self._put(leg, self._last_of(leg), status)

    def _put(self, leg: _Open, values: list[Any] | None, status: str, bounds: _rows.Bounds = (None, None)) -> None:
        self._counts[status] += 1
        if leg.first is not None and values is not None:
            _rows.put_early(values, leg.first)
        row = self._reader.leg(values, leg.uuid, leg.former, leg.core.uuid, leg.since, status, bounds)
        self._rows.append(row)
        if self._watcher is not None:
            self._watcher.ended(row)

    # Time

    def _tick(self, message: Message, uuid: str | None, at: int | None) -> _Core:
        """Time goes on to that of an event; the run of the switch that it is of."""
        if at is not None and at > self.now:
            self.now = at
        core = self._cores.get(uuid or "")
        if core is None:
            uuid = _own_core(message) or uuid or ""
            core = self._cores.get(uuid) or self._new_core(uuid, message)
        core.heard = self.now
        return core

    def _new_core(self, uuid: str, message: Message) -> _Core:
        host, name = message.select("FreeSWITCH-Hostname", "FreeSWITCH-Switchname")
        switch = host, name
        for core in self._cores.values():
            if core.switch == switch:
                self._replace(core)
        if len(self._cores) == _CORES:
            self._cores.popitem(last=False)
        self._cores[uuid] = _Core(uuid, switch)
        return self._cores[uuid]

    def _expire(self) -> None:
        """Give up what is overdue."""
        while self._replaced and self._replaced[0][0] <= self.now:
            _, core = self._replaced.popleft()
            if core.dead:
                for leg in [leg for leg in self._open.values() if leg.core is core]:
                    self._drop(leg)
        while self._open:
            leg = next(iter(self._open.values()))
            leg.heard = leg.heard or self.now  # the events before had no time
            if leg.heard > self.now - self._give_up:
                break
            self._counts["given_up"] += 1
            self._drop(leg)


def _own_core(message: Message) -> str | None:
    """The Core-UUID that the switch wrote itself: in a copied event the last one."""
    return message._last("Core-UUID") if isinstance(message, Event) else None


_HANDLERS: Final[dict[str, Callable[[Legs, Message, str], None]]] = {
    "CHANNEL_CREATE": Legs._created,
    "CHANNEL_ANSWER": Legs._created,
    "CHANNEL_BRIDGE": Legs._bridged,
    "CHANNEL_UNBRIDGE": Legs._unbridged,
    "CHANNEL_UUID": Legs._renamed,
    "CHANNEL_HANGUP": Legs._hanging_up,
    "CHANNEL_HANGUP_COMPLETE": Legs._ended,
    "CHANNEL_DESTROY": Legs._ended,
    "HEARTBEAT": Legs._beat,
    "CUSTOM": Legs._custom,
}
HANDLED: Final = frozenset(_HANDLERS)
"""The events that are read."""

SENT: Final = HANDLED - {"CUSTOM"}
"""Those of a stream as a switch sent it: of CUSTOM only `Gap` is read, which no switch sends."""
