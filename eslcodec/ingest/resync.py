"""What happened while nothing was heard of a switch: its channels compared with those that are known.

`Known` follows which channels are open, by the events that come: no I/O, no clock. After a `Gap` what was open is in
doubt until it is heard of again. `Comparison` says what the switch's own table (`show channels as json`) makes of it:
`Ended` for a channel that is gone, `Found` for one that is new. `resync` (asyncio) and `resync_blocking` ask the
switch; `fs.resync()` calls them.

What makes an answer and the stream disagree although nothing was lost, and what is done about it:

* Events are in the client's queue that nobody has read: they are looked through before anything is said.
* The switch writes its table from a thread of its own, so a channel that began or ended just now is in it late.
  Whatever seems to have ended is asked for by `uuid_exists`, which looks at the channel itself; and after `settle`
  seconds the table is asked for once more.
* A channel that is heard of after the gap is never said to have ended: its end will come as an event.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, Final, NamedTuple, Protocol

from .._address import address
from .._codec import ChannelFilter, Message
from ..errors import CommandError
from ..events import Event, Gap
from .notices import Ended, Found, Notice
from .watch import Loss

__all__ = ["Comparison", "Known", "Resync", "read_channels", "resync", "resync_blocking"]

COMMAND: Final = "show channels as json"
_FINISHED: Final = 100_000  # uuids that are remembered after their end
_GAPS: Final = 10_000
_CONFIRMED: Final = 1_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_SECONDS_MOST: Final = 253_402_300_800  # the year 10000, which no datetime has
_SENDABLE: Final = re.compile(r"[!-~]{1,256}")
_ANSWERED: Final = frozenset(("ACTIVE", "HELD", "UNHELD"))
_DYING: Final = frozenset(("CS_HANGUP", "CS_REPORTING", "CS_DESTROY"))
_UNANSWERED: Final = frozenset(("DOWN", "DIALING", "RINGING", "EARLY", "RING_WAIT"))

_OPENS: Final = 1
_CLOSES: Final = 2
_RENAMES: Final = 3
_GAP: Final = 4
_MEANS: Final = {
    **dict.fromkeys(
        (
            "CHANNEL_CREATE",
            "CHANNEL_ANSWER",
            "CHANNEL_BRIDGE",
            "CHANNEL_UNBRIDGE",
            "CHANNEL_CALLSTATE",
            "CHANNEL_PROGRESS",
            "CHANNEL_PROGRESS_MEDIA",
            "CHANNEL_EXECUTE",
            "CHANNEL_PARK",
        ),
        _OPENS,
    ),
    "CHANNEL_HANGUP_COMPLETE": _CLOSES,
    "CHANNEL_DESTROY": _CLOSES,
    "CHANNEL_UUID": _RENAMES,
    "CUSTOM": _GAP,
}
# a Gap is not of the type itself that is looked into
_FILTERED: Final = {name: means == _OPENS for name, means in _MEANS.items() if means != _GAP}


class Known:
    """The channels that are open, as far as the events say that came. One thread at a time.

    Args:
        max_open: how many at most; with more, those that were not heard of for the longest time are forgotten.

    Example:
        >>> from eslcodec import Event
        >>> known = Known()
        >>> known.see(Event.build("CHANNEL_CREATE", {"Unique-ID": "a"}))
        >>> known.see(Event.build("CHANNEL_CREATE", {"Unique-ID": "b"}))
        >>> known.see(Gap.of(2.5, "gone"))
        >>> known.see(Event.build("CHANNEL_ANSWER", {"Unique-ID": "b"}))
        >>> list(known), "a" in known, known.doubtful
        (['a', 'b'], True, 1)
    """

    def __init__(self, max_open: int = 1_000_000) -> None:
        if max_open < 1:
            raise ValueError(f"max_open is {max_open}, expected 1 or more")
        self._max_open = max_open
        self._filter = ChannelFilter(Event, _FILTERED)
        self._open: OrderedDict[str, int] = OrderedDict()  # uuid -> how many gaps there had been; longest unheard first
        self._finished: OrderedDict[str, int] = OrderedDict()
        self._gaps = 0
        self._since: OrderedDict[int, datetime | None] = OrderedDict()  # of each gap when it began

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[str]:
        return iter(self._open)

    def __contains__(self, uuid: object) -> bool:
        return uuid in self._open

    def __repr__(self) -> str:
        return f"<Known, {len(self._open)} channels, {self.doubtful} doubtful>"

    @property
    def doubtful(self) -> int:
        """How many were not heard of since something was missed."""
        count = 0
        for gaps in self._open.values():  # those that were heard of last are at the end
            if gaps == self._gaps:
                break
            count += 1
        return count

    def see(self, message: Message | Notice | Loss) -> None:
        """The next message came; a `Gap` among them, and what was found out by a resync."""
        if isinstance(message, (Notice, Loss)):
            self._told(message)
            return
        means = _MEANS.get(message.get("Event-Name") or "")
        if means is None:
            return
        if means == _GAP:
            if isinstance(message, Gap):
                self.missed(message.last_timestamp)
            return
        uuid = message.get("Unique-ID")
        if not uuid:
            return
        if means == _CLOSES:
            self._close(uuid)
        elif means == _OPENS:
            if uuid not in self._finished or message.get("Event-Name") == "CHANNEL_CREATE":
                self._hear(uuid)
        else:
            old = message.get("Old-Unique-ID")
            if old:
                self._close(old)
            self._hear(uuid)

    def see_all(self, messages: Iterable[Message | Notice | Loss]) -> None:
        """The next messages came: the same as `see` of each, at a part of the cost. While there is much room, no
        account is kept of which of two channels was heard of last."""
        items = messages if type(messages) is list else list(messages)
        passes = self._filter.passes
        # without room it matters which of those that were heard of since the last gap was heard of last
        has_room = 2 * (len(self._open) + len(items)) < self._max_open
        heard = self._open if has_room else {}
        at = passes(items, 0, heard, self._gaps)
        while at < len(items):
            self.see(items[at])
            at = passes(items, at + 1, heard, self._gaps)

    def missed(self, since: datetime | None = None) -> None:
        """Events may be missing here, as a `Gap` says by itself; what is open is in doubt.

        Args:
            since: from when on; None if that is not known.
        """
        self._since[self._gaps] = since
        if len(self._since) > _GAPS:
            self._since.popitem(last=False)
        self._gaps += 1

    def _told(self, notice: Notice | Loss) -> None:
        if isinstance(notice, Ended):
            self._close(notice.uuid)
        elif isinstance(notice, Found):
            self._hear(notice.uuid)

    def _hear(self, uuid: str) -> None:
        self._open[uuid] = self._gaps
        self._open.move_to_end(uuid)
        self._finished.pop(uuid, None)
        if len(self._open) > self._max_open:
            self._open.popitem(last=False)

    def _close(self, uuid: str) -> None:
        self._open.pop(uuid, None)
        self._finished[uuid] = self._gaps
        self._finished.move_to_end(uuid)
        if len(self._finished) > _FINISHED:
            self._finished.popitem(last=False)


# The switch's answer


class Channel(NamedTuple):
    """A row of the table, what is used of it."""

    uuid: str
    created: datetime | None
    direction: str | None
    caller: str | None
    callee: str | None
    answered: bool | None
    caller_name: str | None
    name: str | None
    context: str | None
    dying: bool = False
    """It has hung up already."""


def read_channels(text: str) -> list[Channel]:
    """The channels in the output of `show channels as json`.

    Raises:
        ValueError: it is something else, or not whole: nothing can be said then.

    Example:
        >>> read_channels('{"row_count": 0}\\n')
        []
        >>> [channel] = read_channels('{"row_count":1,"rows":[{"uuid":"e10a8e20","callstate":"RINGING"}]}')
        >>> channel.uuid, channel.answered
        ('e10a8e20', False)
    """
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"the answer to {COMMAND!r} is no JSON: {text!r:.80}") from None
    count, rows = (said.get("row_count"), said.get("rows", [])) if isinstance(said, dict) else (None, None)
    if not isinstance(rows, list) or count != len(rows):
        raise ValueError(f"the answer to {COMMAND!r} is not whole: row_count is {count!r:.80}")
    return [_channel(row) for row in rows]


def _channel(row: Any) -> Channel:
    if not isinstance(row, dict) or not isinstance(row.get("uuid"), str) or not row["uuid"]:
        raise ValueError(f"the answer to {COMMAND!r} has a row without a uuid")
    state = _text(row, "callstate")
    answered = True if state in _ANSWERED else False if state in _UNANSWERED else None
    return Channel(
        row["uuid"],
        _time(_text(row, "created_epoch")),
        _text(row, "direction"),
        _text(row, "initial_cid_num") or _text(row, "cid_num"),
        _text(row, "initial_dest") or _text(row, "dest"),
        answered,
        _text(row, "initial_cid_name") or _text(row, "cid_name"),
        _text(row, "name"),
        _text(row, "initial_context") or _text(row, "context"),
        state == "HANGUP" or _text(row, "state") in _DYING,
    )


def _text(row: dict[str, Any], name: str) -> str | None:
    value = row.get(name)
    return value if isinstance(value, str) and value else None


def _time(text: str | None) -> datetime | None:
    if text is None or not (text.isascii() and text.isdigit()) or len(text) > 12:
        return None
    seconds = int(text)
    return _EPOCH + timedelta(seconds=seconds) if 0 < seconds < _SECONDS_MOST else None


# What both together say


class _Waiting:
    """What messages say that nobody has read yet."""

    def __init__(self, messages: Iterable[Message]) -> None:
        self.gap = False
        self.heard: set[str] = set()
        self.ended: set[str] = set()
        for message in messages:
            means = _MEANS.get(message.get("Event-Name") or "")
            if means == _GAP:
                self.gap = self.gap or isinstance(message, Gap)
            elif means is not None:
                self._channel(message, means)

    def _channel(self, message: Message, means: int) -> None:
        uuid = message.get("Unique-ID") or ""
        if means == _CLOSES:
            self.ended.add(uuid)
        elif means == _RENAMES:
            self.ended.add(message.get("Old-Unique-ID") or "")
        if means != _CLOSES:
            self.heard.add(uuid)
            self.ended.discard(uuid)


class Comparison:
    """One answer of the switch, compared with what is known. Ask `asks` about each, then `notices` says what follows.

    Args:
        known: the channels that are known; it has seen all that was read.
        channels: the answer.
        waiting: the messages that came before the answer and were not read yet. Later ones do no harm. If a `Gap` is
            among them, nothing is said: it is to be done anew when that was read.

    Attributes:
        asks: the uuids that the switch is to be asked for by `uuid_exists`.

    Example:
        >>> from eslcodec import Event
        >>> known = Known()
        >>> known.see(Event.build("CHANNEL_CREATE", {"Unique-ID": "a"}))
        >>> known.missed()
        >>> found = read_channels('{"row_count":1,"rows":[{"uuid":"b"}]}')
        >>> comparison = Comparison(known, found)
        >>> comparison.asks
        ['a']
        >>> [(notice.kind, notice.uuid) for notice in comparison.notices("fs1", 1796000000.0, {"a": False})]
        [('ended', 'a'), ('found', 'b')]
    """

    def __init__(self, known: Known, channels: Sequence[Channel], waiting: Iterable[Message] = ()) -> None:
        self._known = known
        self._channels = {channel.uuid: channel for channel in channels}
        self._waiting = _Waiting(waiting)
        self._ended = [uuid for uuid in self._in_doubt() if uuid not in self._channels]
        self._found = list(self._new())
        again = [uuid for uuid in self._found if uuid in known._finished]  # back again, or in the table too long
        self.asks = [uuid for uuid in (*self._ended, *again) if _SENDABLE.fullmatch(uuid)]

    def _in_doubt(self) -> Iterator[str]:
        known, waiting = self._known, self._waiting
        for uuid, gaps in known._open.items():
            if gaps == known._gaps or waiting.gap:
                return
            if uuid not in waiting.heard and uuid not in waiting.ended:
                yield uuid

    def _new(self) -> Iterator[str]:
        known, waiting = self._known, self._waiting
        for uuid, channel in self._channels.items():
            if waiting.gap or channel.dying or uuid in known._open or uuid in waiting.heard or uuid in waiting.ended:
                continue
            if known._finished.get(uuid) != known._gaps:
                yield uuid

    def notices(
        self,
        switch: str,
        at: float,
        exists: dict[str, bool],
        *,
        core_uuid: str | None = None,
        clock_offset: float = 0.0,
        last: bool = True,
    ) -> list[Notice]:
        """What is new, once: `known` has it then.

        Args:
            switch: its name.
            at: when the answer came, in seconds since 1970.
            exists: what the switch said of those in `asks`; what it did not say of is missing.
            core_uuid: of the switch's run now.
            clock_offset: how far our clock is before the switch's, in seconds: as the lag of a LossWatch says.
            last: whether it will not be asked again: then the table is believed where `exists` says nothing, and
                what is new in it is told.
        """
        known = self._known
        told: list[Notice] = []
        for uuid in self._ended:
            if exists.get(uuid, not last):
                if uuid in exists:
                    known._hear(uuid)
            else:
                told.append(Ended(switch, at, uuid, *self._bounds(uuid, at - clock_offset), core_uuid))
        for uuid in self._found if last else ():
            if exists.get(uuid, True):
                told.append(Found(switch, at, *self._channels[uuid][:-1], core_uuid))
        known.see_all(told)
        if last:
            for uuid in [uuid for uuid in self._in_doubt() if uuid in self._channels]:
                known._hear(uuid)
        return told

    def _bounds(self, uuid: str, now: float) -> tuple[datetime | None, datetime | None]:
        """The end of a channel: after the last event before the gap, and before the answer."""
        since = self._known._since.get(self._known._open.get(uuid, 0))
        try:
            until = _EPOCH + timedelta(seconds=now)
        except (OverflowError, ValueError):  # the switch's clock is in the year 10000
            return since, None
        return since, until if since is None or until > since else since


# Asking


class _Asks:
    """What is asked for, how the answers are taken, and what was told so far.

    An answer belongs to the connection on which it came. If that is lost meanwhile there is a `Gap`, with which it is
    all done anew, so nothing more is told.
    """

    def __init__(
        self,
        known: Known,
        switch: str,
        settle: float,
        confirm: int,
        offset: float,
        waiting: Callable[[], Iterable[Message]],
    ) -> None:
        self.told: list[Notice] = []
        self._known = known
        self._switch = switch
        self._confirm = confirm
        self._offset = offset
        self._waiting = waiting
        self._rounds = 2 if settle > 0 else 1
        self._gaps = known._gaps
        self._asked: list[str] = []
        self._at = 0.0

    @property
    def goes_on(self) -> bool:
        """Whether it is to be asked, once more."""
        return self._rounds > 0 and self._is_current(self._messages())

    def take(self, reply: Any) -> list[str]:
        """An answer came: what to ask about it.

        Raises:
            CommandError: it is none.
        """
        self._at = time.time()
        try:
            self._channels = read_channels(reply.check().text)
        except ValueError as error:
            raise CommandError(str(error)) from None
        self._asked = Comparison(self._known, self._channels, self._messages()).asks[: self._confirm]
        return ["api global_getvar core_uuid", *(f"api uuid_exists {uuid}" for uuid in self._asked)]

    def end(self, replies: Sequence[Any]) -> bool:
        """What was asked is answered; whether the next round is later."""
        waiting = self._messages()
        if not self._is_current(waiting):
            return False
        core, *answers = [(reply.text or "").strip() for reply in replies]
        exists = {
            uuid: answer == "true"
            for uuid, answer in zip(self._asked, answers, strict=True)
            if answer in ("true", "false")
        }
        self._rounds -= 1
        self.told += Comparison(self._known, self._channels, waiting).notices(
            self._switch,
            self._at,
            exists,
            core_uuid=core if core[:1] != "-" and _SENDABLE.fullmatch(core) else None,
            clock_offset=self._offset,
            last=not self._rounds,
        )
        return self._rounds > 0

    def _messages(self) -> list[Message]:
        """What waits, though another thread may put something in or take it out meanwhile."""
        while True:
            try:
                return list(self._waiting())
            except RuntimeError:
                pass

    def _is_current(self, waiting: Iterable[Message]) -> bool:
        """Whether nothing was missed since the beginning."""
        return self._known._gaps == self._gaps and not any(isinstance(message, Gap) for message in waiting)


class Client(Protocol):
    """The client of asyncio."""

    host: str
    port: int

    @property
    def connection(self) -> Any: ...
    def api(self, command: str, args: str = ..., *, timeout: float | None = ...) -> Coroutine[Any, Any, Any]: ...
    def pipeline(self, commands: Iterable[str], *, timeout: float | None = ...) -> Coroutine[Any, Any, Any]: ...


class BlockingClient(Protocol):
    """The blocking client."""

    host: str
    port: int

    @property
    def connection(self) -> Any: ...
    def api(self, command: str, args: str = ..., *, timeout: float | None = ...) -> Any: ...
    def pipeline(self, commands: Iterable[str], *, timeout: float | None = ...) -> Any: ...


async def resync(
    client: Client,
    known: Known,
    *,
    switch: str | None = None,
    settle: float = 1.0,
    confirm: int = _CONFIRMED,
    clock_offset: float = 0.0,
    timeout: float | None = None,
    waiting: Callable[[], Iterable[Message]] | None = None,
) -> list[Notice]:
    """Ask a switch for its channels, and compare them with those that are known: `fs.resync()`.

    Args:
        client: a client of asyncio, connected.
        known: the channels that are known. It must have seen all that was read from the client.
        switch: name of the switch; None for host and port.
        settle: seconds after which the table is asked for once more; 0 not to.
        confirm: of how many channels at most it is asked whether they exist, beside the table.
        clock_offset: see `Comparison.notices`.
        timeout: of each command, see the client.
        waiting: what gives the messages that were received and that `known` has not seen; None for the client's queue.

    Returns:
        An `Ended` for each channel in doubt that is gone, a `Found` for each that is new. Nothing, if a `Gap` waits to
        be read: call it after that.

    Raises:
        CommandError: the switch refuses, or its answer is no whole table. Nothing was found out then.
        ESLError: as for `eslcodec.aio.Client.api`.
    """
    queue = waiting or (lambda: client.connection.queue)
    asks = _Asks(known, _named(client, switch), settle, confirm, clock_offset, queue)
    while asks.goes_on:
        commands = asks.take(await client.api(COMMAND, timeout=timeout))
        if asks.end(await client.pipeline(commands, timeout=timeout)):
            await asyncio.sleep(settle)
    return asks.told


def resync_blocking(
    client: BlockingClient,
    known: Known,
    *,
    switch: str | None = None,
    settle: float = 1.0,
    confirm: int = _CONFIRMED,
    clock_offset: float = 0.0,
    timeout: float | None = None,
    waiting: Callable[[], Iterable[Message]] | None = None,
) -> list[Notice]:
    """The same as `resync` for the blocking client.

    Example:
        >>> import eslcodec
        >>> from eslcodec.emulator import Emulator
        >>> with Emulator() as switch, eslcodec.connect(switch.host, switch.port) as fs:
        ...     session = switch.add_session("e10a8e20")
        ...     [notice.kind for notice in resync_blocking(fs, Known(), settle=0)]
        ['found']
    """
    queue = waiting or (lambda: client.connection.queue)
    asks = _Asks(known, _named(client, switch), settle, confirm, clock_offset, queue)
    while asks.goes_on:
        commands = asks.take(client.api(COMMAND, timeout=timeout))
        if asks.end(client.pipeline(commands, timeout=timeout)):
            time.sleep(settle)
    return asks.told


class Resync:
    """The resync of one switch, over all its connections: `see` everything that is read from it, call `after` at the
    start and after each `Gap`.

    Args:
        switch: its name.
        max_open: see `Known`.
        settle, confirm, timeout: see `resync`.

    Attributes:
        known: the channels that are known.
        clock_offset: see `resync`; set it when it is known.

    Example:
        >>> import asyncio
        >>> from eslcodec import aio
        >>> from eslcodec.emulator import Emulator
        >>> async def main(switch):
        ...     async with aio.connect(switch.host, switch.port) as fs:
        ...         return await Resync("fs1", settle=0).after(fs)
        >>> with Emulator() as switch:
        ...     session = switch.add_session("e10a8e20")
        ...     [notice] = asyncio.run(main(switch))
        >>> notice.kind, notice.uuid
        ('found', 'e10a8e20')
    """

    def __init__(
        self,
        switch: str,
        *,
        max_open: int = 1_000_000,
        settle: float = 1.0,
        confirm: int = _CONFIRMED,
        timeout: float | None = None,
    ) -> None:
        self.known = Known(max_open)
        self.clock_offset = 0.0
        self._switch = switch
        self._settle = settle
        self._confirm = confirm
        self._timeout = timeout

    def see(self, items: Iterable[Any]) -> None:
        """These are the next of its stream: messages, and notices among them."""
        self.known.see_all(items)

    async def after(self, client: Client) -> list[Notice]:
        """There is a connection, for the first time or after a gap: what is to be said of it, see `resync`.

        Raises:
            ESLError: see `resync`.
        """
        return await resync(
            client,
            self.known,
            switch=self._switch,
            settle=self._settle,
            confirm=self._confirm,
            clock_offset=self.clock_offset,
            timeout=self._timeout,
        )


def _named(client: Any, switch: str | None) -> str:
    return address(client.host, client.port) if switch is None else switch
