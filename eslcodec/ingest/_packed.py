"""Messages of the contract as the bytes that a server of NATS gets: what `Contract.event` says, made at once.

Most of an event's headers are the same for all of its kind: they are put together once. What is out of the ordinary is
left to `contract.py`, whose words are the contract.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from zlib import crc32

from ..events import Event
from .contract import _KEY_MOST, Contract, Item, Place, _bytes, _time_of, escape, identity

_FIRST: Final = b"NATS/1.0\r\n"
_HEAD: Final = re.compile(rb"(?:[!#-'*+.^_`|~0-9A-Za-z-]+: [ -~]*\r\n)*")
_SUBJECT: Final = re.compile(rb"[^\0-\x20\x7f]+")
_SUBJECTS_MOST: Final = 1 << 14  # that are remembered


class Packed(NamedTuple):
    """A message as it is sent.

    Attributes:
        subject: where it goes.
        head: its headers, without the empty line behind them.
        body: the line of JSON.
        id: what it is known by.
        place: behind it, in the recording; None if it is not from one.
        received: when it was, in seconds since 1970; None if that is not known.
    """

    subject: bytes
    head: bytes
    body: bytes
    id: str
    place: Place | None
    received: float | None


def headers_of(head: bytes) -> dict[str, str]:
    """Names and values of headers as they are sent.

    Example:
        >>> headers_of(pack(Item("e.x", {"Nats-Msg-Id": "8f08a03a:525"}, b"{}", "8f08a03a:525")).head)
        {'Nats-Msg-Id': '8f08a03a:525'}
    """
    lines = head.removeprefix(_FIRST).decode("ascii").split("\r\n")[:-1]
    return dict(line.split(": ", 1) for line in lines)


def pack(item: Item) -> Packed:
    """A message as it is sent.

    Raises:
        ValueError: the subject or a header cannot be sent.

    Example:
        >>> pack(Item("e.x", {"Nats-Msg-Id": "8f08a03a:525"}, b"{}", "8f08a03a:525")).head
        b'NATS/1.0\\r\\nNats-Msg-Id: 8f08a03a:525\\r\\n'
        >>> pack(Item("e x", {}, b"{}", "8f08a03a:525"))
        Traceback (most recent call last):
            ...
        ValueError: read the subject 'e x', expected one without blanks
    """
    subject = item.subject.encode("utf-8", "replace")
    if not _SUBJECT.fullmatch(subject):
        raise ValueError(f"read the subject {item.subject!r:.200}, expected one without blanks")
    head = "".join([f"{name}: {value}\r\n" for name, value in item.headers.items()]).encode("utf-8", "replace")
    is_one_a_line = head.count(b"\r\n") == len(item.headers)
    if not (_HEAD.fullmatch(head) and is_one_a_line and item.id.isascii() and item.id.isprintable()):
        raise ValueError(f"read the headers {item.headers!r:.400}, of {item.id!r:.100}, expected printable ASCII")
    received = item.headers.get("Esl-Received")
    return Packed(
        subject, _FIRST + head, item.body, item.id, item.place, float(received) if received is not None else None
    )


class Packer:
    """Events of one switch as messages, as `Contract.event` makes them.

    Args:
        contract: by which they are made; what is set there later counts at once.

    Example:
        >>> contract = Contract("fs1", "8f08a03a")
        >>> event = Event.build("DTMF", {"Core-UUID": "8f08a03a", "Event-Sequence": 525})
        >>> place = Place("20261130T014838Z-000001", 4096, 98765, 7)
        >>> Packer(contract).event(event, place, 1796003318.25) == pack(contract.event(event, place, 1796003318.25))
        True
    """

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._kinds: dict[
            tuple[str | None, ...], tuple[list[bytes], bytes]
        ] = {}  # subjects by partitions, and the head
        more = [name for name in contract.subjects._names if name not in ("Event-Name", "Event-Subclass")]
        self._names = ("Unique-ID", "_id", "_oversize", "Event-Name", "Event-Subclass", *more)
        self._file = ""
        self._token = ""  # of that file

    def __repr__(self) -> str:
        return f"<Packer of {self._contract!r}>"

    def event(self, event: Event, place: Place, received: float) -> Packed:
        """An event as a message; see `Contract.event`."""
        contract = self._contract
        shown = event if contract.redact is None else contract.redact(event)
        unique_id, ours, oversize, *kind = shown.select(*self._names)
        line = shown.to_json()
        if ours is not None or oversize is not None or len(line) == 2:
            return pack(contract.event(event, place, received))
        core, sequence = event._last("Core-UUID"), event._last("Event-Sequence")
        if core is None or core != contract._core or not _is_number(sequence):
            id = identity(event, contract._core)
        else:
            id = f"{core}:{sequence}"
        time = _time_of(shown._last("Event-Date-Timestamp"))
        subjects, head = self._kinds.get(tuple(kind)) or self._make(tuple(kind))
        name = id.encode()
        head = head % (name, name, self._place(place), received)
        if time is not None:
            head += b"ce-time: %b\r\n" % time.encode()
        body = b'{"_id":"%b",%b' % (name, line[1:])
        if contract._room is not None and len(body) > contract._room:
            return pack(contract.event(event, place, received))
        subject = subjects[crc32(_bytes(unique_id or contract.switch)) % len(subjects)]
        return Packed(subject, head, body, id, place, received)

    def _place(self, place: Place) -> bytes:
        file, position, offset, connection = place
        if file != self._file:
            self._file, self._token = file, escape(file)
        return f"{self._token}:{position}:{offset}:{connection:016x}".encode()

    def _make(self, kind: tuple[str | None, ...]) -> tuple[list[bytes], bytes]:
        """What all events have that have the same name, subclass and headers in their subject."""
        contract = self._contract
        subjects = contract.subjects
        values = dict(zip(self._names[3:], kind, strict=True))
        before, behind = subjects._make((contract.switch, *(values[name] for name in subjects._names)))
        made = [f"{before}{number}{behind}".encode() for number in range(subjects.partitions)]
        name, subclass = values["Event-Name"], values["Event-Subclass"]
        text = f"esl.event.{escape(name or '')}{'' if subclass is None else '.' + escape(subclass)}"
        headers = contract._headers("%b", text.replace("%", "%%"), None, None)
        headers["ce-source"] = headers["ce-source"].replace("%", "%%")
        headers |= {"Esl-Place": "%b", "Esl-Received": "%.6f"}
        head = "".join([f"{name}: {value}\r\n" for name, value in headers.items()]).encode()
        found = made, _FIRST + head
        if sum(len(value or "") for value in kind) <= _KEY_MOST:
            if len(self._kinds) * len(made) >= _SUBJECTS_MOST:
                self._kinds.clear()
            self._kinds[kind] = found
        return found


def _is_number(text: str | None) -> bool:
    return text is not None and text.isdigit() and text.isascii() and len(text) <= 20
