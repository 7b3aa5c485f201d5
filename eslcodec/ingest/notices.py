"""Notices: what is said in a stream of events that no switch sent. Started, lost, found out afterwards.

They come in the order of the stream, as objects of their own, so no event can pass for one: whoever may use `sendevent`
can send `CUSTOM eslcodec::gap`, but that is an `Event`. `eslcodec.Gap` and `ingest.Loss` are notices too, and are
written here in the same way:

* `to_line`: a line of JSON, `{"_notice":"ended","switch":"fs1","at":1796000000.25,...}`. `at` is a number. In the
  line of an event every value is text or a list of texts, whatever its headers are called. So the rule is: a line is a
  notice if its first key is `_notice` and its `at` is a number; `from_line` goes by it.
* `to_note`: the same for `eslcodec.ingest.Recorder.note`, where `note` stands for `_notice`: a chunk of its own kind in
  the file.
* The pseudo header `@notice` of `Columns`.

No I/O and no clock.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timezone
from typing import Any, ClassVar, Final, TypeGuard, TypeVar, get_args

from ..events import Event, Gap
from .watch import Grade, Loss

__all__ = [
    "CoreChanged",
    "Ended",
    "Found",
    "Notice",
    "Started",
    "Stopped",
    "describe",
    "from_dict",
    "from_line",
    "is_notice",
    "redacted",
    "to_line",
    "to_note",
]


@dataclass(frozen=True, slots=True)
class Notice:
    """What all notices have.

    Attributes:
        kind: which one it is, a word.
        switch: name of the switch.
        at: when it was known, in seconds since 1970.

    Example:
        >>> notice = Stopped("fs1", 1796000000.0, reason="removed")
        >>> isinstance(notice, Notice), notice.kind
        (True, 'stopped')
    """

    kind: ClassVar[str] = ""

    switch: str
    at: float


@dataclass(frozen=True, slots=True)
class Started(Notice):
    """A connection to the switch stands, is logged in, and has subscribed.

    Example:
        >>> Started("fs1", 1796000000.0, "127.0.0.1", 8021, core_uuid="8f08a03a").kind
        'started'
    """

    kind: ClassVar[str] = "started"

    host: str
    port: int
    hostname: str | None = None
    switchname: str | None = None
    core_uuid: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Stopped(Notice):
    """The connection to the switch is over for good, or the switch was removed.

    Example:
        >>> Stopped("fs1", 1796000000.0, "removed").reason
        'removed'
    """

    kind: ClassVar[str] = "stopped"

    reason: str


@dataclass(frozen=True, slots=True)
class CoreChanged(Notice):
    """The switch runs under another Core-UUID: it was started anew.

    Example:
        >>> CoreChanged("fs1", 1796000000.0, before="8f08a03a", after="a1b2c3d4").after
        'a1b2c3d4'
    """

    kind: ClassVar[str] = "core_changed"

    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Ended(Notice):
    """A channel that was known is no longer there, and its end was not seen.

    Attributes:
        uuid: of the channel.
        not_before: when it was last heard of, or the stream last whole; None if that is not known.
        not_after: when the switch was asked and did not know it.
        core_uuid: of the run of the switch that was asked; None if it is not known. In another one than the channel's
            the channel may be back later (`sofia recover`).

    Example:
        >>> Ended("fs1", 1796000000.0, "e10a8e20").not_after is None
        True
    """

    kind: ClassVar[str] = "ended"

    uuid: str
    not_before: datetime | None = None
    not_after: datetime | None = None
    core_uuid: str | None = None


@dataclass(frozen=True, slots=True)
class Found(Notice):
    """A channel is there that was not known: its beginning was not seen. The fields are as `show channels` has them.

    Attributes:
        uuid: of the channel.
        created: when it began, to the second.
        direction: `inbound` or `outbound`.
        caller, caller_name, callee: numbers and name.
        answered: whether somebody answered; None if the switch does not say.
        name: of the channel.
        context: of the dialplan.
        core_uuid: of the run of the switch.

    Example:
        >>> Found("fs1", 1796000000.0, "e10a8e20", direction="inbound", caller="1000").caller
        '1000'
    """

    kind: ClassVar[str] = "found"

    uuid: str
    created: datetime | None = None
    direction: str | None = None
    caller: str | None = None
    callee: str | None = None
    answered: bool | None = None
    caller_name: str | None = None
    name: str | None = None
    context: str | None = None
    core_uuid: str | None = None


T = TypeVar("T")

Item = Notice | Gap | Loss
"""What can be said."""

_KINDS: Final[Mapping[str, type[Notice]]] = {kind.kind: kind for kind in (Started, Stopped, CoreChanged, Ended, Found)}
_BEGINNING: Final = b'{"_notice":'
_SURROGATES: Final = re.compile("[\ud800-\udfff]")  # stand for bytes that are not UTF-8
_NO_BYTES: Final = re.compile("[\ud800-\udc7f\udd00-\udfff]")  # but these, which JSON may have, for none at all
_OWN: Final = "_notice"
_NOTE: Final = "note"


def is_notice(item: object) -> TypeGuard[Item]:
    """Whether something is a notice: by its type, which no event has that came from a switch.

    Example:
        >>> is_notice(Gap.of(2.5, "gone")), is_notice(Event.build("CUSTOM", subclass="eslcodec::gap"))
        (True, False)
    """
    return isinstance(item, (Notice, Gap, Loss))


def describe(item: Item, switch: str | None = None, at: float | None = None) -> dict[str, Any]:
    """A notice as what JSON has: `_notice` (its kind), `switch`, `at`, and what the kind has. Times are RFC 3339.

    Args:
        item: any notice, a `Gap` or a `Loss` too.
        switch: name of the switch, for a `Gap` or `Loss`, which do not know it.
        at: the time in seconds since 1970, for these.

    Raises:
        ValueError: the time is not known, or is no number.
        TypeError: it is no notice.

    Example:
        >>> describe(Loss("bounded", None, 17, "reconnected"), "fs1", 1796000000.0)["at_most"]
        17
    """
    if isinstance(item, Notice):
        kind, switch, at = item.kind, item.switch, item.at
        said = {each.name: _plain(getattr(item, each.name)) for each in fields(item)[2:]}
    elif isinstance(item, Gap):
        kind, said = "gap", _of_gap(item)
    elif isinstance(item, Loss):
        kind, said = "loss", {each.name: getattr(item, each.name) for each in fields(item)}
    else:
        raise TypeError(f"{type(item).__name__} is no notice")
    if at is None or not math.isfinite(at):
        raise ValueError(f"at is {at!r}, expected seconds since 1970")
    return {_OWN: kind, "switch": switch, "at": at, **said}


def to_line(item: Item, switch: str | None = None, at: float | None = None) -> bytes:
    """A notice as a line of JSON without its line feed: of `describe`. What is not UTF-8 becomes U+FFFD.

    Raises:
        ValueError, TypeError: see `describe`.

    Example:
        >>> to_line(Stopped("fs1", 1796000000.25, "removed"))
        b'{"_notice":"stopped","switch":"fs1","at":1796000000.25,"reason":"removed"}'
    """
    text = json.dumps(describe(item, switch, at), ensure_ascii=False, separators=(",", ":"))
    return _SURROGATES.sub("\ufffd", text).encode()


def to_note(item: Item, switch: str | None = None, at: float | None = None) -> dict[str, Any]:
    """A notice for `eslcodec.ingest.Recorder.note`: `describe`, with `note` for `_notice`.

    Raises:
        ValueError, TypeError: see `describe`.

    Example:
        >>> to_note(Stopped("fs1", 1796000000.25, "removed"))
        {'note': 'stopped', 'switch': 'fs1', 'at': 1796000000.25, 'reason': 'removed'}
    """
    said = describe(item, switch, at)
    return {_NOTE: said.pop(_OWN), **said}


def from_line(line: bytes | str) -> Item | None:
    """The notice of a line; None if it is an event's line, or a kind that is not known.

    Example:
        >>> from_line(b'{"_notice":"stopped","switch":"fs1","at":1796000000.25,"reason":"removed"}')
        Stopped(switch='fs1', at=1796000000.25, reason='removed')
        >>> forged = Event.from_payload(b"_notice: stopped\\nat: 1796000000.25\\nreason: x\\n\\n", "plain")
        >>> from_line(forged.to_json()) is None
        True
    """
    raw = line.encode("utf-8", "replace") if isinstance(line, str) else line
    if not raw.startswith(_BEGINNING):
        return None
    try:
        said = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return from_dict(said)


def from_dict(said: Mapping[str, Any]) -> Item | None:
    """The notice that `describe` or `to_note` wrote; None if it is none, or of a kind that is not known.

    A `Gap` comes back with what was known of the events beside it. Keys that are not known are passed over.

    Example:
        >>> from_dict({"note": "ended", "switch": "fs1", "at": 1796000000, "uuid": "e10a8e20"}).uuid
        'e10a8e20'
        >>> from_dict({"note": "gap", "since": 1, "until": 2}) is None  # a recorder's own
        True
    """
    kind = said.get(_OWN, said.get(_NOTE))
    if not isinstance(kind, str):
        return None
    try:
        _number(said["at"])
        _maybe(_text, said.get("switch"))
        if kind == "gap":
            return _to_gap(said)
        if kind == "loss":
            return _to_loss(said)
        return None if kind not in _KINDS else _to_notice(_KINDS[kind], said)
    except (KeyError, ValueError, TypeError, OverflowError):
        return None


def redacted(item: Item, redact: Callable[[Event], Event]) -> Item:
    """A notice without what may not leave the site: as `redact` would have it in an event about the channel.

    Args:
        item: any notice. Only `Ended` and `Found` say something of channels.
        redact: such as a `Redact`.

    Example:
        >>> from eslcodec.ingest import Redact
        >>> found = Found("fs1", 1796000000.0, "e10a8e20", caller="1000")
        >>> redacted(found, Redact(mask=["Caller-Caller-ID-Number"])).caller
        '***'
    """
    if not isinstance(item, (Ended, Found)):
        return item
    said = {name: _text(getattr(item, name)) for name in FOUND_HEADERS if getattr(item, name, None) is not None}
    event = redact(Event.build("CHANNEL_DATA", {FOUND_HEADERS[name]: value for name, value in said.items()}))
    left: dict[str, Any] = {name: event.get(FOUND_HEADERS[name]) for name in said}
    return replace(item, **{**left, "uuid": left["uuid"] or ""})


FOUND_HEADERS: Final = {
    "uuid": "Unique-ID",
    "direction": "Call-Direction",
    "caller": "Caller-Caller-ID-Number",
    "callee": "Caller-Destination-Number",
    "caller_name": "Caller-Caller-ID-Name",
    "name": "Channel-Name",
    "context": "Caller-Context",
}
"""In which headers an event about the channel has what a `Found` says."""


# What a value is written as, and read from


def _plain(value: Any) -> Any:
    return _written(value) if isinstance(value, datetime) else value


def _written(time: datetime) -> str:
    return time.astimezone(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _to_time(value: Any) -> datetime:
    time = datetime.fromisoformat(_text(value).replace("Z", "+00:00"))
    if time.tzinfo is None:
        raise ValueError(value)
    return time.astimezone(timezone.utc)  # which not every year 1 or 9999 can be


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return _NO_BYTES.sub("\ufffd", value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError
    return value


def _number(value: Any) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError
    if not math.isfinite(value):
        raise ValueError(value)
    return float(value)


def _maybe(read: Callable[[Any], T], value: Any) -> T | None:
    return None if value is None else read(value)


_READ: Final[Mapping[str, Callable[[Any], Any]]] = {
    "at": _number,
    "port": _count,
    "answered": _flag,
    "created": _to_time,
    "not_before": _to_time,
    "not_after": _to_time,
}
"""A field's name -> what reads it; text where nothing is said."""

_NEEDED: Final = frozenset(("at", "host", "port", "reason", "uuid"))


def _to_notice(kind: type[Notice], said: Mapping[str, Any]) -> Notice:
    values: dict[str, Any] = {}
    for each in fields(kind):
        value = said.get(each.name)
        if value is not None or each.name in _NEEDED:
            read: Callable[[Any], Any] = _READ.get(each.name, _text)
            values[each.name] = read(value)
        else:
            values[each.name] = "" if each.name == "switch" else None
    return kind(**values)


def _to_loss(said: Mapping[str, Any]) -> Loss:
    if said["grade"] not in get_args(Grade):
        raise ValueError(said["grade"])
    count, at_most = (_maybe(_count, said.get(name)) for name in ("count", "at_most"))
    return Loss(said["grade"], count, at_most, _text(said["evidence"]))


# Gaps


def _of_gap(gap: Gap) -> dict[str, Any]:
    before, after = gap._sides
    last = gap.last_timestamp
    return {
        "seconds": gap.seconds,
        "reason": gap.reason,
        "core_uuid": None if before is None else before._last("Core-UUID"),
        "last_sequence": gap.last_sequence,
        "last_timestamp": None if last is None else _written(last),
        "next_core_uuid": None if after is None else after._last("Core-UUID"),
        "next_sequence": None if after is None else after.sequence,
        "at_most": gap.at_most,
    }


def _to_gap(said: Mapping[str, Any]) -> Gap:
    last = _maybe(_to_time, said.get("last_timestamp"))
    at = None if last is None else round(last.timestamp() * 1_000_000)
    before = _side(said.get("core_uuid"), said.get("last_sequence"), at)
    gap = Gap.of(_number(said["seconds"]), _text(said["reason"]), before)
    after = _side(said.get("next_core_uuid"), said.get("next_sequence"), None)
    if after is not None:
        gap.resume(after)
    return gap


def _side(core: Any, sequence: Any, at: int | None) -> Event | None:
    """The event beside a gap, as far as the notice has it."""
    headers = {
        "Core-UUID": _maybe(_text, core),
        "Event-Sequence": _maybe(_count, sequence),
        "Event-Date-Timestamp": at,
    }
    known = {name: str(value) for name, value in headers.items() if value is not None}
    return Event.build("CUSTOM", known) if known else None
