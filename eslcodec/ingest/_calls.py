"""Calls: legs that had to do with each other, as one row when the last of them has ended.

`Call` is the row, `Calls` makes them of what `Legs` tells: which legs there are, who was connected to whom and when.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import count
from typing import Any, Final, NamedTuple

from .._cells import EPOCH, integer
from .._codec import Message
from . import _rows
from ._legs import HANDLED, Legs
from ._rows import Leg
from .notices import Notice
from .watch import Loss

__all__ = ["Call", "Calls"]

_SECOND: Final = 1_000_000  # microseconds, in which times are counted here
_UNSEEN: Final = 30 * _SECOND  # how long a call waits for a leg that was named and not seen: it may have ended long ago
_CLOSE: Final = 2 * _SECOND  # two connected legs end within this, or the end of one has not to do with the other's
_NAMES: Final = 10  # names and bridges of a call are noted up to so many times the number of legs it may have
_NO_CALLS: Final[tuple[Any, ...]] = ()
_WORST: Final = ("switch_restarted", "lost_in_gap", "open", "recovered", "complete")

_ENDED: Final = ("complete", "recovered")
_RECEIVED: Final = ("recv_bye", "recv_cancel", "recv_refuse")


class Call(NamedTuple):
    """One call: the legs that had to do with each other. Times are aware, in UTC; None is what is not known."""

    uuid: str
    """Of its first leg."""
    switch: str | None
    status: str
    """That of the leg that is known least: `complete`, `recovered`, `open`, `lost_in_gap`, `switch_restarted`."""
    direction: str | None
    """Of its first leg."""
    caller_name: str | None
    """Of its first leg, as the next two."""
    caller: str | None
    callee: str | None
    created: datetime | None
    answered: datetime | None
    """When its first leg was answered, by whomever: an announcement too."""
    ended: datetime | None
    """When its last leg hung up; None if the end of one was not seen."""
    duration: float | None
    """Seconds from `created` to `ended`."""
    talk_seconds: float | None
    """How long at least two answered legs were connected to each other, hold included; None if an end was not seen."""
    outcome: str | None
    """`answered`; else `cancelled` by the caller or `failed`; None if it was not answered and has not ended."""
    ended_by: str | None
    """`caller` (who is at the first leg), `callee` (who is at another) or `switch`; None if nothing says so."""
    ended_leg: str | None
    """The uuid of the leg that hung up first of those that ended it."""
    cause: str | None
    """The cause of that leg."""
    transfers: int
    """How often somebody who was connected was moved on: to somebody else, or to an extension where nobody was."""
    conference: str | None
    """The conference in which a leg of it was. A conference does not make one call of its members."""
    legs: tuple[Leg, ...]
    """In the order in which they were created."""

    def asdict(self) -> dict[str, Any]:
        """All columns; `legs` as a list of dicts."""
        row = self._asdict()
        row["legs"] = [leg.asdict() for leg in self.legs]
        return row

    def to_json(self) -> bytes:
        """One line of JSON without its line feed, as that of `Leg`."""
        return _rows.dump(self.asdict())


class _Bridge:
    """Two legs connected, from `start` to `end` in microseconds, as far as that was seen."""

    __slots__ = ("a", "b", "end", "moved", "start")

    def __init__(self, a: str, b: str, start: int | None, end: int | None = None) -> None:
        self.a, self.b, self.start, self.end = a, b, start, end
        self.moved = False  # whether one of them had been connected to somebody else before

    def joins(self, a: str, b: str) -> bool:
        return {self.a, self.b} == {a, b}

    def other(self, uuid: str) -> str | None:
        return self.b if uuid == self.a else self.a if uuid == self.b else None


class _Group:
    """Legs that are one call."""

    __slots__ = ("bridges", "done", "hangups", "names", "open", "rows", "unseen", "waits")

    def __init__(self) -> None:
        self.names: dict[str, tuple[bool, int]] = {}  # of all uuids: whether another called it, order of appearance
        self.open: set[str] = set()
        self.unseen: set[str] = set()
        self.rows: list[Leg] = []
        self.bridges: list[_Bridge] = []
        self.hangups: dict[str, int] = {}  # uuids, and the order in which they began to hang up
        self.waits = False
        self.done = False

    def take(self, other: _Group) -> None:
        self.names.update(other.names)
        self.open |= other.open
        self.unseen |= other.unseen
        self.rows += other.rows
        self.bridges += other.bridges
        self.hangups.update(other.hangups)
        other.done = True


class Calls:
    """Makes a row of each call whose legs have all ended, from any messages: push them with `see`.

    Legs are one call if one names the other as its other leg (Other-Leg-Unique-ID), if they were connected
    (CHANNEL_BRIDGE), or if they are the two ends of a loopback channel. Channel-Call-UUID does not count: at the end of
    a leg it is mostly its own uuid. Who listens in, or sits in the same conference, is in a call of his own.

    A call whose legs are not all known (a stream that begins in its middle) waits half a minute for what was named and
    not seen.

    Args:
        columns: own columns of the legs, as for `Legs`; so are `give_up`, `max_open` and `recover_seconds`.
        max_legs: a call of more legs is cut: one channel of an agent can go on all day and be connected to every
            caller. What has ended so far becomes a row of the status `open`.

    Raises:
        ValueError: as `Legs`; or `max_legs` is less than 2.

    Example:
        >>> from eslcodec import Event
        >>> calls = Calls()
        >>> a = {"Unique-ID": "a", "Caller-Caller-ID-Number": "1000", "Caller-Destination-Number": "2000"}
        >>> b = {"Unique-ID": "b", "Other-Leg-Unique-ID": "a", "variable_sip_hangup_disposition": "recv_refuse"}
        >>> for event in Event.build("CHANNEL_CREATE", a), Event.build("CHANNEL_HANGUP_COMPLETE", b):
        ...     calls.see(event)
        ()
        ()
        >>> (call,) = calls.see(Event.build("CHANNEL_HANGUP_COMPLETE", a))
        >>> call.caller, call.callee, call.outcome, call.ended_by, [leg.uuid for leg in call.legs]
        ('1000', '2000', 'failed', 'callee', ['a', 'b'])
    """

    def __init__(
        self,
        *,
        columns: Mapping[str, str] | None = None,
        give_up: float = 86_400.0,
        max_open: int = 1_000_000,
        recover_seconds: float = 300.0,
        max_legs: int = 1_000,
    ) -> None:
        if max_legs < 2:
            raise ValueError("max_legs must be at least 2")
        self._legs = Legs(columns=columns, give_up=give_up, max_open=max_open, recover_seconds=recover_seconds)
        self._watcher = self._legs._watcher = _Watcher(self._legs, max_legs)

    def see(self, message: Message | Notice | Loss) -> Sequence[Call]:
        """Take a message, or a notice; the rows that it completes, mostly none."""
        if isinstance(message, (Notice, Loss)):
            self._legs._noticed(message)
        else:
            name = message.get("Event-Name")
            if name is None or name not in HANDLED:
                return _NO_CALLS
            self._legs._take(message, name)
        self._legs._rows.clear()  # they are in calls
        return self._watcher.due()

    def finish(self) -> Sequence[Call]:
        """Rows for all that are still open, at the end of the stream."""
        self._legs.finish()
        return self._watcher.all()

    def missed(self, core_uuid: str | None = None) -> None:
        """Note that events may be missing here: see `Legs.missed`."""
        self._legs.missed(core_uuid)

    def stats(self) -> dict[str, int]:
        """Counters: those of `Legs`; `calls` that became rows, of these `cut` ones.

        Example:
            >>> stats = Calls().stats()
            >>> stats["calls"], stats["cut"]
            (0, 0)
        """
        return {**self._legs.stats(), "calls": self._watcher.calls, "cut": self._watcher.cut}


class _Watcher:
    """Puts legs together: what `Legs` tells."""

    def __init__(self, legs: Legs, max_legs: int) -> None:
        self._legs = legs
        self._max_legs = max_legs
        self._of: dict[str, _Group] = {}
        self._waiting: deque[tuple[int, _Group]] = deque()
        self._count = count()
        self._rows: list[Call] = []
        self.calls = 0
        self.cut = 0

    def due(self) -> Sequence[Call]:
        """The rows that are ready."""
        while self._waiting and self._waiting[0][0] <= self._legs.now:
            group = self._waiting.popleft()[1]
            group.waits = False
            if not (group.done or group.open):
                self._emit(group)
        if not self._rows:
            return _NO_CALLS
        rows, self._rows = self._rows, []
        return rows

    def all(self) -> Sequence[Call]:
        """The rows of everything, at the end."""
        for group in list({id(group): group for group in self._of.values()}.values()):
            self._emit(group)
        self._waiting.clear()
        return self.due()

    # What Legs tells

    def opened(self, uuid: str, called: bool) -> None:
        group = self._group(uuid)
        group.names[uuid] = called, group.names[uuid][1]
        group.open.add(uuid)
        group.unseen.discard(uuid)

    def linked(self, uuid: str, other: str) -> None:
        group = self._of.get(uuid)
        if group is None:
            return
        if other not in self._of:
            known = self._legs.is_finished(other)  # then its call is a row already
            if not known and len(group.names) < _NAMES * self._max_legs:
                self._join(group, other).unseen.add(other)
            return
        self._merge(group, self._of[other])

    def renamed(self, old: str, new: str) -> None:
        self._merge(self._group(old), self._group(new))
        group = self._of[new]
        group.open.discard(old)
        group.unseen.discard(new)
        group.open.add(new)

    def bridged(self, a: str, b: str, at: int | None) -> None:
        group = self._of.get(a) or self._of.get(b)
        if group is None or any(bridge.end is None and bridge.joins(a, b) for bridge in group.bridges):
            return  # recovered: they were connected all the time, as they see it
        if len(group.bridges) >= _NAMES * self._max_legs:
            return
        bridge = _Bridge(a, b, at)
        bridge.moved = _moves(group.bridges, a, b)
        group.bridges.append(bridge)

    def unbridged(self, a: str, b: str, at: int | None, since: int | None) -> None:
        group = self._of.get(a) or self._of.get(b)
        if group is None:
            return
        for bridge in reversed(group.bridges):
            if bridge.end is None and bridge.joins(a, b):
                bridge.end = at
                return
        if len(group.bridges) < _NAMES * self._max_legs:
            group.bridges.append(_Bridge(a, b, since, at))  # it began before the stream

    def hanging_up(self, uuid: str) -> None:
        self._group(uuid).hangups.setdefault(uuid, next(self._count))

    def ended(self, leg: Leg) -> None:
        group = self._group(leg.uuid)
        group.open.discard(leg.uuid)
        group.rows.append(leg)
        if leg.status in _ENDED:
            group.hangups.setdefault(leg.uuid, next(self._count))
        if group.open:
            if len(group.rows) >= self._max_legs:
                self._cut(group)
        elif not group.unseen:
            self._emit(group)
        elif not group.waits:
            group.waits = True
            self._waiting.append((self._legs.now + _UNSEEN, group))

    # Groups

    def _group(self, uuid: str) -> _Group:
        return self._of.get(uuid) or self._join(_Group(), uuid)

    def _join(self, group: _Group, uuid: str) -> _Group:
        self._of[uuid] = group
        group.names[uuid] = False, next(self._count)
        return group

    def _merge(self, one: _Group, other: _Group) -> None:
        if one is other:
            return
        if len(one.names) < len(other.names):
            one, other = other, one
        one.take(other)
        for uuid in other.names:
            self._of[uuid] = one

    def _emit(self, group: _Group) -> None:
        group.done = True
        for uuid in group.names:
            del self._of[uuid]
        if group.rows:
            self.calls += 1
            self._rows.append(_call(group))

    def _cut(self, group: _Group) -> None:
        """A row of what has ended, and another group for what goes on."""
        rest = _Group()
        rest.bridges = [bridge for bridge in group.bridges if bridge.end is None]
        rest.open, rest.unseen = group.open, group.unseen
        group.bridges = [bridge for bridge in group.bridges if bridge.end is not None]
        self._emit(group)
        for uuid in (*rest.open, *rest.unseen):
            self._of[uuid] = rest
            rest.names[uuid] = group.names[uuid]
        self.cut += 1
        self._rows[-1] = self._rows[-1]._replace(status="open", ended=None, duration=None)


# From legs to a row


def _call(group: _Group) -> Call:
    """The row of a group in which something has ended."""
    legs = _in_order(group)
    first = legs[0]
    names = {leg.former_uuid or leg.uuid: leg for leg in legs} | {leg.uuid: leg for leg in legs}
    for bridge in group.bridges:
        bridge.a, bridge.b = (names[uuid].uuid if uuid in names else uuid for uuid in (bridge.a, bridge.b))
    _complete(group.bridges, names, legs)
    ends = [leg.hung_up for leg in legs]
    created = min((leg.created for leg in legs if leg.created is not None), default=None)
    ended = None if None in ends else max(end for end in ends if end is not None)
    last = _ending(group, legs, names)
    return Call(
        uuid=first.uuid,
        switch=first.switch,
        status=next(status for status in _WORST if any(leg.status == status for leg in legs)),
        direction=first.direction,
        caller_name=first.caller_name,
        caller=first.caller,
        callee=first.callee,
        created=created,
        answered=first.answered,
        ended=ended,
        duration=None if created is None or ended is None else (ended - created).total_seconds(),
        talk_seconds=_talk(group.bridges, names),
        outcome=_outcome(first),
        ended_by=_ended_by(last, first, legs),
        ended_leg=None if last is None else last.uuid,
        cause=None if last is None else last.cause,
        transfers=_transfers(group.bridges, legs),
        conference=next((leg.conference for leg in legs if leg.conference), None),
        legs=tuple(legs),
    )


def _in_order(group: _Group) -> list[Leg]:
    """By their creation; of two of one moment the one that called the other is the first."""
    seen = group.names

    def key(leg: Leg) -> tuple[bool, datetime | int, tuple[bool, int]]:
        name = leg.former_uuid if leg.former_uuid in seen else leg.uuid
        return leg.created is None, leg.created or 0, seen.get(name or "", (False, 0))

    return sorted(group.rows, key=key)


def _outcome(first: Leg) -> str | None:
    if first.answered is not None:
        return "answered"
    if first.status not in _ENDED:
        return None
    cancelled = first.disposition == "recv_cancel" or (not first.disposition and first.cause == "ORIGINATOR_CANCEL")
    return "cancelled" if cancelled else "failed"


def _moves(bridges: Iterable[_Bridge], a: str, b: str) -> bool:
    """Whether to connect them moves one of them on: from somebody else, to whom it is not connected any more."""
    if any(bridge.joins(a, b) for bridge in bridges):
        return False
    return any(bridge.end is not None and bool({a, b} & {bridge.a, bridge.b}) for bridge in bridges)


def _transfers(bridges: Iterable[_Bridge], legs: Iterable[Leg]) -> int:
    moved = [bridge for bridge in bridges if bridge.moved]
    return len(moved) + sum(_blind(leg, bridges, moved) for leg in legs)


def _blind(leg: Leg, bridges: Iterable[_Bridge], moved: Iterable[_Bridge]) -> int:
    """Blind transfers of a leg after which it was connected to nobody else.

    `bl_xfer` stands there for the dialplan's own `transfer` too, before the leg was connected to anybody.
    """
    if not leg.transfer_history:
        return 0
    words = (entry.split(":", 3) for entry in leg.transfer_history)
    times = [integer(word[0]) or 0 for word in words if len(word) > 2 and word[2] == "bl_xfer"]
    mine = [bridge.start // _SECOND for bridge in bridges if bridge.start is not None and bridge.other(leg.uuid)]
    on = [bridge.start // _SECOND for bridge in moved if bridge.start is not None and bridge.other(leg.uuid)]
    count = 0
    for at, following in zip(times, [*times[1:], None], strict=False):
        before = any(start < at for start in mine)
        led_on = any(at <= start and (following is None or start < following) for start in on)
        count += before and not led_on
    return count


def _complete(bridges: list[_Bridge], names: Mapping[str, Leg], legs: Iterable[Leg]) -> None:
    """Give bridges their ends, and legs of which none was seen the last bridge that they had, as their rows say."""
    for leg in legs:
        if leg.bridged is None or leg.hung_up is None or leg.other_leg is None:
            continue
        if not any(bridge.other(leg.uuid) for bridge in bridges):
            bridges.append(_Bridge(leg.uuid, leg.other_leg, _rows.microseconds(leg.bridged)))
    for bridge in bridges:
        ends = [
            _rows.microseconds(leg.hung_up)
            for leg in (names.get(bridge.a), names.get(bridge.b))
            if leg is not None and leg.hung_up is not None
        ]
        if bridge.end is not None:
            ends.append(bridge.end)
        bridge.end = min(ends, default=None)


def _talk(bridges: Iterable[_Bridge], names: Mapping[str, Leg]) -> float | None:
    """Seconds in which there was a bridge between answered legs. Before an answer it carries tones."""
    spans: list[tuple[int, int]] = []
    for bridge in bridges:
        known = [names[uuid] for uuid in (bridge.a, bridge.b) if uuid in names]
        answers = [leg.answered for leg in known]
        if None in answers:
            continue
        if bridge.start is None or bridge.end is None:
            return None
        start = max([bridge.start, *(_rows.microseconds(at) for at in answers if at is not None)])
        spans.append((start, bridge.end))
    total, until = 0, 0
    for start, end in sorted(spans):
        total += max(0, end - max(start, until))
        until = max(until, end)
    return total / _SECOND


def _ending(group: _Group, legs: Sequence[Leg], names: Mapping[str, Leg]) -> Leg | None:
    """The leg with which the end of the call began."""
    ended = [leg for leg in legs if leg.status in _ENDED]
    if not ended:
        return None
    ended.sort(key=lambda leg: group.hangups.get(leg.uuid, 0))
    if legs[0].answered is None:
        return _refusing(legs, ended)
    last = _last(ended)
    bridge = max(
        (bridge for bridge in group.bridges if bridge.other(last.uuid)), key=lambda one: one.start or 0, default=None
    )
    partner = None
    if bridge is not None and bridge.end is not None and _near(bridge.end, last):
        partner = names.get(bridge.other(last.uuid) or "")
    final = [leg for leg in ended if leg is last or leg is partner]
    return next((leg for leg in final if leg.disposition in _RECEIVED), final[0])


def _refusing(legs: Sequence[Leg], ended: Sequence[Leg]) -> Leg:
    """The same of a call that was not answered: the caller who gave up, or the last who refused, or the switch."""
    first = legs[0]
    if first.disposition in _RECEIVED:
        return first
    called = [leg for leg in ended if leg is not first]
    if called and _last(called).disposition == "recv_refuse":
        return _last(called)
    return first if first.status in _ENDED else ended[0]


def _last(ended: Sequence[Leg]) -> Leg:
    """Who hung up last, of legs in the order in which they began to."""
    return max(enumerate(ended), key=lambda placed: (placed[1].hung_up or EPOCH, placed[0]))[1]


def _near(end: int, leg: Leg) -> bool:
    return leg.hung_up is not None and abs(_rows.microseconds(leg.hung_up) - end) <= _CLOSE


def _ended_by(last: Leg | None, first: Leg, legs: Sequence[Leg]) -> str | None:
    if last is None:
        return None
    if last.disposition in _RECEIVED:
        return "caller" if last is first else "callee"
    return "switch" if any((leg.disposition or "").startswith("send_") for leg in legs) else None
