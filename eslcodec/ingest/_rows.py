"""The row of a leg: which headers it is made of, what is computed from them, and how rows are written."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any, Final, NamedTuple

from .._cells import EPOCH, time
from .._codec import Message, RowReader
from .presets import LEGS

STATUSES: Final = ("complete", "recovered", "switch_restarted", "lost_in_gap", "open")

_SECOND: Final = timedelta(seconds=1)
_SURROGATES: Final = re.compile("[\ud800-\udfff]")  # stand for bytes that are not UTF-8


Values = tuple[str | None, ...]
"""Headers as text."""

Packed = tuple[Callable[..., Message], tuple[Any, ...]]
"""What `packed` gives."""


Bounds = tuple["datetime | None", "datetime | None"]


class Leg(NamedTuple):
    """One leg: what became of one channel. Times are aware, in UTC; None is what is not known or did not happen.

    Example:
        >>> from eslcodec import Event
        >>> from eslcodec.ingest import legs
        >>> ended = {"Unique-ID": "e10a8e20", "Caller-Channel-Hangup-Time": 1795920750251991}
        >>> (leg,) = legs([Event.build("CHANNEL_HANGUP_COMPLETE", ended)])
        >>> leg.hung_up.isoformat(), leg.answered, leg.status
        ('2026-11-29T02:52:30.251991+00:00', None, 'complete')
        >>> leg.to_json()[:64]
        b'{"switch":null,"core_uuid":null,"uuid":"e10a8e20","former_uuid":'
    """

    switch: str | None
    """Name of the switch."""
    core_uuid: str | None
    """Which run of the switch, the last if there were several."""
    uuid: str
    """Of the channel, the last if it was renamed."""
    former_uuid: str | None
    """The first uuid of a channel that was renamed (CHANNEL_UUID)."""
    other_leg: str | None
    """The uuid that the channel had to do with last."""
    other_type: str | None
    """What that one is to this: `originator` or `originatee`."""
    direction: str | None
    """`inbound`: into the switch; or `outbound`."""
    channel: str | None
    """Its name, such as `sofia/internal/1000@example.org`."""
    created: datetime | None
    """Of a recovered leg before the recovery, as far as that is known."""
    progress: datetime | None
    """When it rang."""
    progress_media: datetime | None
    """When there were tones or announcements before the answer."""
    answered: datetime | None
    bridged: datetime | None
    """When it was last connected to another leg."""
    hung_up: datetime | None
    """None if its end was not seen."""
    event_time: datetime | None
    """Of the event that this row was made of."""
    caller_name: str | None
    """Of the caller, as it was when the channel was created."""
    caller: str | None
    """The caller's number, as it was when the channel was created."""
    callee: str | None
    """The number called, as it was when the channel was created; a transfer changes it later."""
    context: str | None
    """The dialplan's context in which it began."""
    profile: str | None
    """SIP profile."""
    gateway: str | None
    """SIP gateway, of a call out or in."""
    domain: str | None
    accountcode: str | None
    cause: str | None
    """Why it ended, such as `NORMAL_CLEARING`."""
    q850: int | None
    """The same as a number of Q.850."""
    disposition: str | None
    """Who ended it: `recv_bye`, `recv_cancel`, `recv_refuse` the other side, `send_bye`, `send_cancel`, `send_refuse`
    the switch, on its own or for the other leg. SIP and Verto only."""
    sip_term_status: int | None
    """SIP status with which an outbound leg ended."""
    last_bridge_hangup_cause: str | None
    """Why the leg ended that it was last connected to or that it called."""
    originate_disposition: str | None
    """What became of what it called: `USER_BUSY` although `cause` is `NORMAL_CLEARING`, if the dialplan went on."""
    read_codec: str | None
    read_rate: int | None
    write_codec: str | None
    write_rate: int | None
    sip_call_id: str | None
    remote_address: str | None
    """Of the SIP peer."""
    remote_port: int | None
    media_address: str | None
    """Of the peer's RTP, as it said."""
    media_port: int | None
    user_agent: str | None
    pdd: float | None
    """Seconds from its creation until it rang, sent media or was answered: post-dial delay."""
    duration: float | None
    """Seconds from its creation until it hung up."""
    billsec: float | None
    """Seconds from its answer until it hung up; 0 if it was not answered."""
    hold_seconds: float | None
    """How long it was on hold."""
    mos: float | None
    """What the switch thinks of what it heard, up to 4.5."""
    jitter: float | None
    """The largest variance of the arrival of packets, in milliseconds."""
    skipped_packets: int | None
    conference: str | None
    """The conference it was in last."""
    transfer_history: tuple[str, ...]
    """As the switch wrote it: `<seconds>:<id>:bl_xfer:<to>` or `uuid_br` or `att_xfer`."""
    not_before: datetime | None
    """Of a leg whose end was missed in a gap, and found out: not before this did it end."""
    not_after: datetime | None
    """And not after this."""
    status: str
    """`complete`, `recovered`, `switch_restarted`, `lost_in_gap` or `open`: see `Legs`."""
    own: Mapping[str, str | None]
    """The own columns."""

    def asdict(self) -> dict[str, Any]:
        """All columns, own columns among them and not in `own`."""
        row = self._asdict()
        row.update(row.pop("own"))
        return row

    def to_json(self) -> bytes:
        """One line of JSON without its line feed. Times are RFC 3339 in UTC; what is not UTF-8 becomes U+FFFD."""
        return dump(self.asdict())


def microseconds(time: datetime) -> int:
    """Since the epoch."""
    since = time - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


_USED: Final = [name for name in LEGS if name not in ("duration_us", "billed_us")]
_KINDS: Final = ("int64", "float64", "timestamp", "list")
_COLUMNS: Final = [(LEGS[name][0], LEGS[name][1] if LEGS[name][1] in _KINDS else "string") for name in _USED]
_COMPUTED: Final = (
    *("former_uuid", "pdd", "duration", "billsec", "hold_seconds"),
    *("not_before", "not_after", "status", "own"),
)
_PICK: Final = itemgetter(*([*_USED, *_COMPUTED].index(name) for name in Leg._fields))
_UUID: Final = _USED.index("uuid")
_CORE_UUID: Final = _USED.index("core_uuid")
_GATEWAY: Final = _USED.index("gateway")
_GATEWAY_IN: Final = _USED.index("gateway_in")
_DISPOSITION: Final = _USED.index("disposition")
_VERTO: Final = _USED.index("verto_disposition")
_RECOVERED: Final = _USED.index("recovered")
_HELD: Final = _USED.index("held_us")
_CREATED: Final = _USED.index("created")
_ANSWERED: Final = _USED.index("answered")
_HUNG_UP: Final = _USED.index("hung_up")
_PROGRESS: Final = slice(_USED.index("progress"), _ANSWERED + 1)  # progress, progress_media, answered
_FIRST: Final = slice(_USED.index("caller_name"), _USED.index("context") + 1)
_EARLY: Final = [header for header, _ in _COLUMNS[_FIRST]]
_NOTHING: Final = [() if kind == "list" else None for _, kind in _COLUMNS]


class Reader:
    """Reads the headers that rows are made of, the own columns among them."""

    def __init__(self, own: Mapping[str, str]) -> None:
        taken = sorted(set(own) & set(Leg._fields))
        if taken:
            raise ValueError(f"own column {taken[0]!r} is called as one of a leg's")
        self._own = tuple(own)
        self.read: Callable[[Message], list[Any]] = RowReader(
            [*_COLUMNS, *((header, "string") for header in own.values())]
        ).read
        """What a row is made of."""

    def leg(
        self,
        row: list[Any] | None,
        uuid: str,
        former: str | None,
        core: str,
        since: str | None,
        status: str,
        bounds: Bounds = (None, None),
    ) -> Leg:
        """The row.

        Args:
            row: what `read` gave, which is used up; None if there is nothing.
            uuid: of the channel.
            former: its first uuid.
            core: Core-UUID.
            since: when it was created before a recovery, as text.
            status: of the row.
            bounds: between which times it ended, if that was missed.
        """
        if row is None:
            row = [*_NOTHING, *(None for _ in self._own)]
        row[_UUID], row[_CORE_UUID] = uuid, core or None
        row[_GATEWAY] = row[_GATEWAY] or row[_GATEWAY_IN]
        row[_DISPOSITION] = row[_DISPOSITION] or row[_VERTO]
        own = dict(zip(self._own, row[len(_USED) :], strict=True))
        row[len(_USED) :] = (former, *_seconds(row, time(since)), *bounds, status, own)
        return Leg._make(_PICK(row))


def early(message: Message) -> Values:
    """The parts of what `read` gives that a transfer changes later: the caller, the number called, the context."""
    return message.select(*_EARLY)


def packed(message: Message) -> Packed:
    """A message to keep for long: as its pickle has it, without what its decoder remembers."""
    kind, parts = message.__reduce__()[:2]
    return kind, parts


def unpacked(packed: Packed) -> Message:
    """The message again."""
    kind, parts = packed
    return kind(*parts)


def put_early(row: list[Any], first: Values) -> None:
    """Replace these parts by what they were first."""
    row[_FIRST] = first


def is_recovered(row: list[Any]) -> bool:
    """Whether the switch itself says so."""
    return bool(row[_RECOVERED] == "true")


def _seconds(row: list[Any], since: datetime | None) -> tuple[float | None, ...]:
    """What is computed from times. A recovered leg was created anew, after it had been answered."""
    answered, hung_up = row[_ANSWERED], row[_HUNG_UP]
    created = since or row[_CREATED]
    early = [at for at in row[_PROGRESS] if at is not None]
    first = min(early, default=None)
    if first is not None and (created is None or first < created):
        created = first
    row[_CREATED] = created
    held = row[_HELD]
    return (
        _between(created, first),
        _between(created, hung_up),
        _between(answered, hung_up) if answered or hung_up is None else 0.0,
        None if held is None else held / 1_000_000,
    )


def _between(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else (end - start) / _SECOND


def _written(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds").replace("+00:00", "Z")
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def dump(row: Mapping[str, Any]) -> bytes:
    """One line of JSON."""
    text = json.dumps(row, ensure_ascii=False, separators=(",", ":"), default=_written)
    return _SURROGATES.sub("\ufffd", text).encode()
