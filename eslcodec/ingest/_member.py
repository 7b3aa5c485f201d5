"""One switch of a `Fleet`: its connection, what waits of it, and what is said of it in its stream.

The messages wait in the client's own queue, so its bounds hold, and nowhere else. Notices and losses wait beside it,
each with its place among the messages: `harvest` puts both together.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import repeat
from typing import Any, Final

from .._codec import Message
from .._tap import Tap
from ..aio import Client
from ..aio._loop import Bell
from ..connection import Reply
from ..errors import AccessDenied, AuthError, CommandError, ConnectionClosed, ESLError, InvalidCommand, ReaderTooSlow
from ..events import ApiResponse, Event, Gap
from ..message_queue import MessageQueue
from ..reconnect import Backoff, End
from ..subscriptions import event_name, is_negative
from ._dials import Dials
from ._hosts import Host
from ._member_tap import MemberTap
from ._switches import Finder, Item, SwitchStats, Wanted, opening
from .notices import CoreChanged, Started, Stopped
from .watch import HEARTBEAT_SECONDS, Loss, LossWatch

_LOG: Final = logging.getLogger("eslcodec.fleet")
_POPLEFT: Final[Callable[[MessageQueue], Message]] = MessageQueue.popleft
_HEARTBEAT: Final = "HEARTBEAT"
_REFUSALS: Final = (AccessDenied, AuthError, CommandError, InvalidCommand)
_ASK_AGAIN: Final = Backoff(first=2.0, longest=300.0)
_CORE_UUID: Final = "global_getvar core_uuid"
_ASKED: Final = ("hostname", "switchname", "version", _CORE_UUID)


class _MemberBell(Bell):
    """Rings when something came: says that its member has something, instead of waking readers of the client."""

    __slots__ = ("_member",)

    def __init__(self, loop: asyncio.AbstractEventLoop, member: Member) -> None:
        super().__init__(loop)
        self._member = member

    def ring(self) -> None:
        member = self._member
        if not member.is_ready:
            member.is_ready = True
            member.ready(member)
        client = member.client
        if client is None:
            return
        if client._books.over is not None:
            member.over.set()
        elif member.ear.tap is not None:
            member.ear.heed_disk(client._link)


class Member:
    """One switch. `start` it, `harvest` what came, `stop` it.

    Args:
        host: where it is.
        wanted: what is asked of it.
        dials: gives out the moments to dial.
        ready: called when it has something and had nothing.
        make_tap: makes what hears its bytes; again, if a recorder has stopped because it was behind.
        resync: finds out what happened in gaps.

    Attributes:
        client: the connection; None while there is none.
        is_ready: whether it may have something.
        is_leaving: whether it was stopped, or is about to be.
        ear: what hears its bytes.
        is_over: whether it was stopped, and says no more.
        over: set when the client will not connect again by itself.
        before: the one of the same name before it, until everything of that was taken.
    """

    def __init__(
        self,
        host: Host,
        wanted: Wanted,
        dials: Dials,
        ready: Callable[[Member], None],
        make_tap: Callable[[], Tap | None] = lambda: None,
        resync: Finder | None = None,
    ) -> None:
        self.ear = MemberTap(host.name, make_tap)
        opening(host, wanted, self.ear.tap)  # which may object
        self.host = host
        self.name = host.name
        self.client: Client | None = None
        self.is_ready = False
        self.ready = ready
        self.is_leaving = self.is_over = False
        self.over = asyncio.Event()
        self.before: Member | None = None
        self._wanted = wanted
        self._dials = dials
        self._resync = resync
        self._task: asyncio.Task[None] | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._side: set[asyncio.Task[None]] = set()
        # what waits
        self._queue = MessageQueue()
        self._notes: deque[tuple[int, Item]] = deque()  # each comes before the message that was appended so many before
        self._rest: deque[Item] = deque()  # what was harvested and is more than was wanted
        self._ends: deque[End] = deque()  # of connections whose gap is still to come
        self._own_gaps: deque[Gap] = deque()  # which no client completes, still to be harvested
        self._unseen: Gap | None = None  # before we began, still to be harvested; no connection of ours was lost
        self._open_gap: Gap | None = None  # one that was, and what came after it was not
        self._begin_books()

    def _begin_books(self) -> None:
        """What is known of it, and sums."""
        self._state = "connecting"
        self._since = time.time()
        self._error: str | None = None
        self._fault: str | None = None  # of ours
        self._was_here = self._is_started = False
        self._gone: tuple[float, str, Event | None] | None = None  # when the last client ended, why, its last event
        self._facts: dict[str, str | None] = dict.fromkeys(("hostname", "switchname", "core_uuid", "version"))
        self._core: str | None = None  # as it was told in the stream
        self._awaits_core = True
        self._watch = self._make_watch(heartbeat=True)
        self._gaps_seen = 0
        self._past = {"received_events": 0, "received_bytes": 0, "dropped": 0, "reconnects": -1, "malformed": 0}
        self._gaps = self._core_changes = 0
        self._gap_seconds = 0.0
        self._losses: Counter[str] = Counter()
        self._reports: Counter[str] = Counter()

    def _make_watch(self, *, heartbeat: bool) -> LossWatch:
        wanted = self._wanted
        creates = not wanted.filters and not {"ALL", "CHANNEL_CREATE"}.isdisjoint(map(event_name, wanted.names))
        return LossWatch(wanted.all, creates=creates, heartbeat=HEARTBEAT_SECONDS if heartbeat else None)

    # Its life

    def start(self) -> None:
        """Begin to connect."""
        self._task = asyncio.ensure_future(self._live())

    async def stop(self, reason: str) -> None:
        """End for good: the connection is closed. What came before can still be harvested, a `Stopped` last.

        Whoever waits for it may give up: it is done all the same, once, and can be waited for again.
        """
        self.is_leaving = True
        if self._stopping is None:
            self._stopping = asyncio.ensure_future(self._stop(reason))
        await asyncio.shield(self._stopping)

    async def _stop(self, reason: str) -> None:
        tasks = [*self._side, *([] if self._task is None else [self._task])]
        self._task = None
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self.client is not None:
            await self._leave(self.client, reason)
        self._change("removed", None)
        if self._is_started:
            self._is_started = False
            self.say([*self._unrecorded(), Stopped(self.name, time.time(), reason)])
        self.is_over = True
        self._has_something()  # if only that it is over

    def _has_something(self) -> None:
        if not self.is_ready:
            self.is_ready = True
            self.ready(self)

    def follow(self, before: Member) -> None:
        """What still waits of one of the same name that was stopped comes first."""
        self.before = before
        if not self.is_ready:
            self.is_ready = True
            self.ready(self)

    async def _live(self) -> None:
        """Connect, as often as it takes."""
        number, backoff = 0, self._wanted.backoff
        clock = asyncio.get_running_loop().time
        while True:
            began = clock()
            slowly = await self._once()
            if clock() - began > 2 * backoff.longest:
                number = 0
            pause = backoff.pause(number)
            number += 1
            await asyncio.sleep(backoff.longest if slowly or pause is None else pause)

    async def _once(self) -> bool:
        """Connect, until that is over for good: whether we were not let in."""
        refused = False
        try:
            client = await self._connected()
            await self.over.wait()
            refused = await self._lost(client)
        except _REFUSALS as error:
            refused = isinstance(error, (AuthError, AccessDenied))
            self._change("refused", str(error))
        except (OSError, ESLError) as error:
            self._change("away" if self._was_here else "connecting", str(error))
        except Exception as error:  # ours: it must not end in silence, and not end the others
            self._failed(error)
            if self.client is not None:
                await self._lost(self.client)
            self._change("away" if self._was_here else "connecting", None)
        return refused

    def _failed(self, error: Exception) -> None:
        """Something is wrong here, and not with the switch."""
        self._fault = f"a fault in eslcodec: {type(error).__name__}: {error}"
        _LOG.exception("%s: %s; it goes on", self.name, self._fault)

    async def _connected(self) -> Client:
        """A client that has subscribed, and whose messages wait here from now on."""
        await self._dials.turn()
        client = await opening(self.host, self._wanted, self.ear.tap)
        try:
            assert client._route is not None
            first = b"api %b\n\n" % _CORE_UUID.encode(), self._logged_in
            client._route = replace(client._route, turn=self._dials.turn, first=first)
            client._lost = self._ends.append
            link = client._link
            await self._ask(client)
            if client._link is link:  # else this was done on the next one
                self.ear.logged_in(self._facts["core_uuid"])
            heartbeat = await self._subscribe(client)
        except BaseException:
            self._ends.clear()
            await client.close()
            raise
        self._attach(client, heartbeat)
        return client

    async def _subscribe(self, client: Client) -> bool:
        """Ask for everything that is wanted: whether HEARTBEAT comes too."""
        wanted = self._wanted
        filters = [*wanted.filters, *([("Event-Name", _HEARTBEAT)] if wanted.filters else [])]
        for header, value in sorted(filters, key=lambda pair: is_negative(pair[1])):
            await client.filter(header, value)
        if wanted.log is not None:
            try:
                await client.log(wanted.log)
            except CommandError as error:
                _LOG.debug("%s: no log lines: %s", self.name, error)
        options: dict[str, Any] = {"custom": wanted.subclasses, "format": wanted.format, "unknown": True}
        if not {"ALL", _HEARTBEAT}.isdisjoint(map(event_name, wanted.names)):
            await client.subscribe(*wanted.names, **options)
            return True
        try:
            await client.subscribe(*wanted.names, _HEARTBEAT, **options)
        except CommandError:
            if not (wanted.names or wanted.subclasses):
                raise
            await client.subscribe(*wanted.names, **options)
            return False
        return True

    async def _ask(self, client: Client) -> None:
        """Ask the switch who it is, as far as it says so."""
        replies = await client.pipeline([f"api {command}" for command in _ASKED])
        for name, reply in zip(self._facts, (replies[0], replies[1], replies[3], replies[2]), strict=True):
            self._facts[name] = _said(reply) or self._facts[name]

    def _logged_in(self, reply: Reply) -> None:
        """The client has connected again, and has not subscribed yet."""
        self.ear.logged_in(_said(reply))

    def _attach(self, client: Client, heartbeat: bool) -> None:
        """From now on its messages come here."""
        loop, inbox = asyncio.get_running_loop(), client._inbox
        if self._gone is None:
            self._watch = self._make_watch(heartbeat=heartbeat)
        place = self._take_over(inbox.queue)
        self.over.clear()
        self.client = client
        self._change("connected", None)
        self._was_here, self._gone = True, None
        self._is_started = True
        self.say([*self._unrecorded(), self._started()], place)
        inbox.bell = _MemberBell(loop, self)
        client._link.came = inbox.bell.ring
        inbox.bell.ring()
        self._return(client, ask=False)

    def _started(self) -> Started:
        facts = self._facts
        if self._core is None:
            self._core = facts["core_uuid"]
        return Started(self.name, time.time(), self.host.host, self.host.port, **facts)

    def _unrecorded(self) -> list[Gap]:
        """What no recorder saw before this start, once that is known."""
        gap = self.ear.unrecorded()
        if gap is None:
            return []
        self._unseen = gap
        self._gaps += 1
        self._gap_seconds += gap.seconds
        return [gap]

    def _take_over(self, queue: MessageQueue) -> int:
        """What still waits of earlier clients, and the gap, stand before what came on this one: its place."""
        place = queue._appended - len(queue)
        old, self._queue = self._queue, queue
        left: list[Message] = list(old)
        since = old._appended - len(old)
        if self._gone is not None:
            began, why, last = self._gone
            gap = Gap.of(max(asyncio.get_running_loop().time() - began, 0), why, last)
            self._own_gaps.append(gap)
            left.append(gap)
        if left:
            queue.put_back(left)
        shift = queue._appended - len(queue) - since
        self._notes = deque((at + shift, item) for at, item in self._notes)
        return place

    async def _lost(self, client: Client) -> bool:
        """The client will not connect again by itself: whether it was refused."""
        end = client._books.over
        why = "it was closed" if end is None else end.reason
        refused = end is not None and (end.refused or isinstance(end.error(), _REFUSALS))
        if self._gone is None:
            self._gone = (client._link.gone, why, client.connection.last_event)
        await self._leave(client, why)
        self._change("refused" if refused else "away", why)
        if self._is_started:
            self._is_started = False
            self.say([Stopped(self.name, time.time(), why)])
        return refused

    async def _leave(self, client: Client, why: str) -> None:
        for task in self._side:
            task.cancel()
        await client.close()
        self.client = None
        for name, number in self._numbers(client).items():
            self._past[name] += number

    def _change(self, state: str, error: str | None) -> None:
        if error is not None and error != self._error:  # else it would be said all night
            _LOG.warning("%s: %s", self.name, error)
        elif state != self._state:
            _LOG.info("%s: %s", self.name, state)
        if state != self._state:
            self._state, self._since = state, time.time()
        self._error = error

    def _return(self, client: Client, *, ask: bool) -> None:
        """There is a connection, for the first time or after a gap: find out what is to be found out."""
        if not ask and self._resync is None:
            return
        for earlier in self._side:  # what it would find out is out of date
            earlier.cancel()
        task = asyncio.ensure_future(self._find_out(client, ask))
        self._side.add(task)
        task.add_done_callback(self._side.discard)

    async def _find_out(self, client: Client, ask: bool) -> None:
        """Ask until there is an answer, or another connection, which is asked anew."""
        for pause in _ASK_AGAIN.delays():
            try:
                await self._asked_for(client, ask)
                return
            except ConnectionClosed:
                return
            except ESLError as error:
                _LOG.info("%s: cannot be asked: %s", self.name, error)
            except Exception as error:
                self._failed(error)
                return
            await asyncio.sleep(pause)

    async def _asked_for(self, client: Client, ask: bool) -> None:
        if ask:
            await self._ask(client)
            core = self._facts["core_uuid"]
            if self._awaits_core and core is not None and not self._queue:
                self.say(self._changed(core))
        if self._resync is not None:
            self._resync.clock_offset = self._watch.lag.offset or 0.0
            self.say(await self._resync.after(client))

    # What waits

    def say(self, items: Iterable[Item], place: int | None = None) -> None:
        """These come in its stream after all that has come by now, or before the message of this place."""
        self._notes.extend(zip(repeat(self._queue._appended if place is None else place), items))
        if self._notes and not self.is_ready:
            self.is_ready = True
            self.ready(self)

    @property
    def waiting(self) -> int:
        """How many messages wait, about: any thread may ask."""
        count, one = 0, self
        while True:  # of the same name there may have been many
            count += len(one._queue) + len(one._rest) + len(one._notes)
            before = one.before
            if before is None:
                return count
            one = before

    def harvest(self, most: int, now: float, steady: float) -> list[Item]:
        """What came next, with what is to be said of it.

        Args:
            most: how many at most.
            now: `time.time()`.
            steady: `time.monotonic()`.
        """
        queue = self._queue
        run: list[Any]
        if self.before is not None or self._rest:
            run = self._harvest_earlier(most, now, steady)
            self.is_ready = self.waiting > 0
            return run
        if len(queue) <= most:
            run = list(queue)
            queue.clear()
        else:
            run = list(map(_POPLEFT, repeat(queue, most)))
        client = self.client
        if client is not None and client._link.paused:
            client._link.throttle()
        watch = self._watch
        losses = self._seen(run, now, steady) if run else []
        if losses or self._notes or self._awaits_core or self._open_gap is not None or watch.gaps != self._gaps_seen:
            run = self._annotated(run, losses, now)
        if self._resync is not None and run:
            self._show(self._resync, run)
        if len(run) > most:
            self._rest.extend(run[most:])
            del run[most:]
        self.is_ready = bool(queue or self._notes or self._rest)
        return run

    def _show(self, resync: Finder, run: list[Item]) -> None:
        gap = self._unseen
        if gap is not None and any(item is gap for item in run):  # of before the connection that it asks
            self._unseen = None
            run = [item for item in run if item is not gap]
        try:
            resync.see(run)
        except Exception as error:
            self._failed(error)

    def _seen(self, run: list[Message], now: float, steady: float) -> list[Loss]:
        try:
            return self._watch.see_all(run, now, steady)
        except Exception as error:  # the messages are worth more than what is said of them
            self._failed(error)
            self._past["malformed"] += self._watch.malformed
            self._watch, self._gaps_seen = self._make_watch(heartbeat=True), 0
            return []

    def _harvest_earlier(self, most: int, now: float, steady: float) -> list[Item]:
        if self._rest:
            return [self._rest.popleft() for _ in range(min(most, len(self._rest)))]
        run: list[Item] = []
        chain: list[Member] = [self]
        while chain[-1].before is not None:
            chain.append(chain[-1].before)
        while len(chain) > 1 and len(run) < most:
            run += chain[-1].harvest(most - len(run), now, steady)
            if chain[-1].waiting:
                break
            chain.pop()
            chain[-1].before = None
        if run:
            return run
        return self.harvest(most, now, steady)

    def _annotated(self, run: list[Message], losses: list[Loss], now: float) -> list[Item]:
        """A run with losses, notices and what its gaps mean, each in its place."""
        said: list[tuple[int, Item]] = []
        first = self._queue._appended - len(self._queue) - len(run)
        while self._notes and self._notes[0][0] <= first + len(run):  # these were said before that message came
            at, item = self._notes.popleft()
            said.append((max(at - first, 0), item))
        said += zip(self._watch.places, losses, strict=True) if losses else []
        looks = self._awaits_core or self._open_gap is not None or self._watch.gaps != self._gaps_seen
        if looks:
            for at, message in enumerate(run):
                said += [(at, item) for item in self._looked_at(message, now)]
            self._gaps_seen = self._watch.gaps
        for _, item in said:
            if isinstance(item, Loss):
                self._note_loss(item)
            if item is not self._unseen:  # which its recorder has found
                self.ear.note(item, now)
        return _woven(run, said)

    def _note_loss(self, loss: Loss) -> None:
        _LOG.warning("%s: %s loss: %s", self.name, loss.grade, loss.evidence)
        self._reports[loss.grade] += 1
        if loss.count is not None:
            self._losses[loss.grade] += loss.count

    def _looked_at(self, message: Message, now: float) -> list[Item]:
        """What is to be said before a message, if it is a gap or comes after one."""
        if isinstance(message, Gap):
            return self._passed(message, now)
        if not isinstance(message, Event):
            return []
        core = message._last("Core-UUID")
        if core is None:
            return []
        if self._open_gap is not None:
            self._open_gap.resume(message)
            self._open_gap = None
        if not self._awaits_core:
            return []
        for name in ("hostname", "switchname"):
            self._facts[name] = message.get(f"FreeSWITCH-{name.capitalize()}", self._facts[name])
        return self._changed(core)

    def _changed(self, core: str) -> list[Item]:
        """The switch says that it has this Core-UUID."""
        before, self._core = self._core, core
        self._awaits_core = False
        self._facts["core_uuid"] = core
        if before is None or before == core:
            return []
        self._core_changes += 1
        return [CoreChanged(self.name, time.time(), before, core)]

    def _passed(self, gap: Gap, now: float) -> list[Item]:
        """A gap is taken from the queue."""
        self._gaps += 1
        self._gap_seconds += gap.seconds
        self._awaits_core = True
        if self._own_gaps and gap is self._own_gaps[0]:
            self._open_gap = self._own_gaps.popleft()
        self.ear.note(gap, now)
        if self.client is not None:
            self._return(self.client, ask=True)
        error = self._ends.popleft().error() if self._ends else None
        return list(self._watch.ended(error, now)) if isinstance(error, ReaderTooSlow) else []

    def tick(self, now: float, steady: float) -> None:
        """Time passed."""
        client = self.client
        if client is None:
            return
        self.ear.heed(client)
        if self.ear.tap is not None:
            self.say(self._unrecorded())
        if self._queue:
            return
        watch = self._watch
        losses = watch.dropped(client.dropped + self._past["dropped"], now)
        if client._books.away is None:
            losses += watch.tick(now, steady)
        if losses:
            self.say(losses)

    # What is known

    def _numbers(self, client: Client) -> dict[str, int]:
        """Of this client, over its connections. Any thread may ask."""
        totals, connection = client._totals, client.connection
        return {
            "received_events": totals._events + connection.received_events,
            "received_bytes": totals._bytes + connection.received_bytes,
            "dropped": client.dropped,
            "reconnects": totals._reconnects + 1,
        }

    def stats(self) -> SwitchStats:
        """How it stands. Any thread may ask."""
        client, watch = self.client, self._watch
        state, since, error = self._standing(client)
        numbers = self._past if client is None else {**self._past, **_sum(self._past, self._numbers(client))}
        return SwitchStats(
            self.name,
            self.host.host,
            self.host.port,
            state,
            connected=state == "connected",
            since=since,
            **self._facts,
            received_events=numbers["received_events"],
            received_bytes=numbers["received_bytes"],
            malformed=numbers["malformed"] + watch.malformed,
            dropped=numbers["dropped"],
            reconnects=max(numbers["reconnects"], 0),
            gaps=self._gaps,
            gap_seconds=self._gap_seconds,
            core_changes=self._core_changes,
            lag=watch.lag.seconds,
            queue_estimate=watch.lag.queue,
            losses=dict(self._losses),
            loss_reports=dict(self._reports),
            unread_seconds=0.0 if client is None else client.connection.flow.unread_seconds,
            waiting=self.waiting,
            error=error or self._fault,
            tap=None if client is None else client._link.tap_stats(),
        )

    def _standing(self, client: Client | None) -> tuple[str, float, str | None]:
        """State, since when, and what is wrong."""
        if client is None:
            return self._state, self._since, self._error
        books, link = client._books, client._link
        away = books.away or books.over
        since = link.began if away is None else link.ended_at
        at = time.time() - (client._now() - since)
        if away is None:
            return "connected", max(at, self._since), None
        return "away", at, str(books._failure or away.reason)

    async def api(self, command: str, args: str = "", timeout: float | None = None) -> Reply:
        """Run an API command there.

        Raises:
            ConnectionClosed: there is no connection.
            ESLError: see `eslcodec.aio.Client.api`.
        """
        client = self.client
        if client is None:
            raise ConnectionClosed(f"{self.name} is not connected: {self._error or self._state}")
        return await client.api(command, args, timeout=timeout)


def _said(reply: Reply) -> str | None:
    """The output of an API command; None if it was refused."""
    text = reply.text.strip() if isinstance(reply, ApiResponse) else ""
    return None if not text or text.startswith("-ERR") else text


def _sum(past: Mapping[str, int], now: Mapping[str, int]) -> dict[str, int]:
    return {name: past[name] + number for name, number in now.items()}


def _woven(run: list[Message], said: list[tuple[int, Item]]) -> list[Item]:
    """Messages, and what comes before the message of this place."""
    woven: list[Item] = []
    begin = 0
    for at, item in sorted(said, key=lambda pair: pair[0]):
        woven += run[begin:at]
        woven.append(item)
        begin = at
    return woven + run[begin:]
