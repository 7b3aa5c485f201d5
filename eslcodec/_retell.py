"""A recorded stream told anew: all times moved, the switch renamed, without I/O.

The emulator does so when it replays (`shift_to_now`, `rename`): what it sends looks like a stream of now, of a switch
that is another one. Times are known by the names of their headers, as the captures of docs/protocol have them; a number
is moved only if it can be one (10, 13 or 16 digits are seconds, milliseconds or microseconds since 1970), so that 0,
which stands for "not yet", stays.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime, parsedate_to_datetime
from hashlib import blake2b
from typing import Final, TypeVar
from uuid import UUID

from ._codec import Message
from ._ctext import to_bytes, to_text
from ._rewrite import BodyRule, Rule, Rules, rewrite

M = TypeVar("M", bound=Message)

_NUMBER_NAMES: Final = re.compile(
    r"(?:variable_)?(?:"
    r"event-date-timestamp|task-runtime|expires"
    r"|(?:caller|other-leg|channel)-(?:profile|channel)-[a-z-]*time|(?:caller|other-leg|channel)-channel-last-hold"
    r"|cc-[a-z-]*-time|.*_u?epoch|.*_stamp|hold_events"
    r"|(?:(?:caller|other-leg|channel)-)?transfer[-_]source|transfer_history"
    r")"
)
_TEXT_NAMES: Final = re.compile(r"(?:variable_)?event-date-(local|gmt)|.*_stamp")
_CORE_NAMES: Final = re.compile(r"(?:variable_)?core-uuid")
_SWITCH_NAMES: Final = re.compile(r"(?:variable_)?freeswitch-(?:hostname|switchname)")
_NUMBER: Final = re.compile(r"(?<![0-9])[1-9](?:[0-9]{15}|[0-9]{12}|[0-9]{9})(?![0-9])")
_PER_SECOND: Final = {10: 1, 13: 1_000, 16: 1_000_000}
_STAMP: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
_LINE: Final = re.compile(r"(?m)^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(?=\.[0-9]{6})")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Retelling:
    """Messages with other times, and of another switch.

    Args:
        shift: how much later all times are; fractions of a second are cut off, so that the dates of an event agree.
        rename: `FreeSWITCH-Hostname` and `FreeSWITCH-Switchname`; None leaves them.
        salt: of the new Core-UUIDs: the same salt gives the same ones. None makes one.
        new_core: each Core-UUID becomes another one, so that nobody takes it for the switch that was recorded.

    Example:
        >>> from eslcodec import Event
        >>> headers = {"Event-Date-Timestamp": 10**15, "FreeSWITCH-Hostname": "pbx1", "Core-UUID": "c"}
        >>> event = Event.build("DTMF", headers)
        >>> told = Retelling(timedelta(seconds=2.5), rename="staging")(event)
        >>> told["Event-Date-Timestamp"], told["FreeSWITCH-Hostname"], told["Core-UUID"] == "c"
        ('1000000002000000', 'staging', False)
    """

    def __init__(
        self,
        shift: timedelta = timedelta(0),
        *,
        rename: str | None = None,
        salt: bytes | None = None,
        new_core: bool = True,
    ) -> None:
        self.shift = shift - shift % timedelta(seconds=1)
        self._rename = rename
        self._salt = os.urandom(16) if salt is None else salt
        self._new_core = new_core
        self._rules = Rules(self._choose)

    def __call__(self, message: M) -> M:
        """The message, told anew."""
        lines: BodyRule | None = None
        if self.shift and (message.content_type or "").lower() == "log/data":
            lines = self._lines
        return rewrite(message, self._rules, lines)

    def _choose(self, name: str) -> Rule | None:
        folded = name.lower()
        if self._new_core and _CORE_NAMES.fullmatch(folded):
            return Rule(self._core)
        if self._rename is not None and _SWITCH_NAMES.fullmatch(folded):
            return Rule(self._name)
        if not self.shift:
            return None
        changes: list[Callable[[str], str]] = []
        if _TEXT_NAMES.fullmatch(folded):
            changes.append(self._text)
        if _NUMBER_NAMES.fullmatch(folded):
            changes.append(self._numbers)
        return Rule(_one_after_the_other(changes), whole=True) if changes else None

    def _core(self, value: str) -> str:
        digest = blake2b(to_bytes(value), key=self._salt, digest_size=16).digest()
        return str(UUID(bytes=digest, version=4))

    def _name(self, _value: str) -> str:
        return self._rename or ""

    def _numbers(self, value: str) -> str:
        """A value with every number that can be a time moved."""
        return _NUMBER.sub(self._number, value)

    def _number(self, match: re.Match[str]) -> str:
        digits = match[0]
        moved = int(digits) + self.shift // timedelta(seconds=1) * _PER_SECOND[len(digits)]
        return str(moved) if moved > 0 else digits

    def _text(self, value: str) -> str:
        """A date of the switch, as its own clock has it or as in mails."""
        if _STAMP.fullmatch(value):
            return self._stamp(value)
        try:
            date = parsedate_to_datetime(value).replace(tzinfo=timezone.utc) + self.shift
            return format_datetime(date, usegmt=True)
        except (ValueError, OverflowError, TypeError):
            return value

    def _stamp(self, text: str) -> str:
        try:
            return str(datetime.fromisoformat(text) + self.shift)
        except (ValueError, OverflowError):
            return text

    def _lines(self, body: bytes) -> bytes:
        """A line of the log, which begins with its time."""
        return to_bytes(_LINE.sub(lambda match: self._stamp(match[0]), to_text(body)))


def _one_after_the_other(changes: list[Callable[[str], str]]) -> Callable[[str], str]:
    def change(value: str) -> str:
        for each in changes:
            value = each(value)
        return value

    return change


def shift_to(when: datetime, message: Message) -> timedelta | None:
    """How much later `when` is than the time that an event says of itself; None if it says none."""
    said = message.get("Event-Date-Timestamp")
    if said is None or not said.isascii() or not said.isdigit() or len(said) > 18:
        return None
    try:
        return when - (_EPOCH + timedelta(microseconds=int(said)))
    except OverflowError:
        return None
