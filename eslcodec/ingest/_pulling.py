"""The connection of a consumer: it is looked at or made, asked for messages, and told what was handled.

Reconnecting is ours, as in publishing. After each connection the server is asked what it waits for; `_intake.py` hands
out nothing before that is here.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

from ..errors import ESLError
from . import _nats
from ._delivered import Delivered, read
from ._intake import Held, Intake, Requests

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg

ACK_EVERY: Final = 64
"""Handled messages after which an ordered consumer says so; and whenever nothing is left to hand out."""

EXPIRES: Final = 30.0  # seconds that a request for messages is good for
HEARTBEAT: Final = 2.0
_SILENCE: Final = 2.5 * HEARTBEAT  # after which the server is taken for dead
_TICK: Final = 0.25
_LOOKS: Final = 0.5  # seconds between questions about the consumer, where we wait for something
_GONE_LOOKS: Final = 3  # a server that starts may not know its consumers at once
_SHARED_LOOKS: Final = 10  # a leader that is new may count a request of ours whose connection is gone
_SECOND: Final = 10**9
_OVERHEAD: Final = 512  # bytes of a message beside its body, about
_INACTIVE: Final = 60.0  # seconds after which a server forgets a consumer without a name
_ACK: Final = b"+ACK"
_NAK: Final = b"-NAK"
_TERM: Final = b"+TERM"
_PROGRESS: Final = b"+WPI"
_LOG: Final = logging.getLogger("eslcodec.consume")


class ConsumerGone(ESLError):
    """The durable consumer was deleted, or made anew, while it was read: with it went the place to go on from.

    Example:
        >>> issubclass(ConsumerGone, ESLError)
        True
    """


class ConsumerShared(ESLError):
    """Another program takes from the same durable consumer, so that no order can be kept.

    Example:
        >>> issubclass(ConsumerShared, ESLError)
        True
    """


class _NotYet(Exception):
    """It cannot be read now; it is tried again."""


@dataclass(frozen=True)
class Wanted:
    """What is read.

    Attributes:
        stream: its name.
        durable: the consumer's name; None for one that keeps no place.
        subjects: which messages; none for all.
        ordered: whether order is kept.
        begin: where, if the consumer is new.
        ack_wait: seconds after which the server gives a message to somebody else.
        check: sees whether a stream's configuration will do; raises ValueError.
    """

    stream: str
    durable: str | None
    subjects: tuple[str, ...]
    ordered: bool
    begin: Literal["all", "now"] | datetime
    ack_wait: float
    check: Callable[[Mapping[str, Any]], object]

    @property
    def policy(self) -> str:
        """How is acknowledged."""
        return "none" if self.durable is None else "all" if self.ordered else "explicit"

    def config(self, behind: int, window: int) -> dict[str, Any]:
        """Of the consumer to be made.

        Args:
            behind: a sequence of the stream behind which it begins; 0: where it was said.
            window: how many messages may be on their way or here.
        """
        config: dict[str, Any] = {"ack_policy": self.policy, "replay_policy": "instant"}
        if behind:
            config |= {"deliver_policy": "by_start_sequence", "opt_start_seq": behind + 1}
        elif isinstance(self.begin, datetime):
            at = self.begin.astimezone(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")
            config |= {"deliver_policy": "by_start_time", "opt_start_time": at}
        else:
            config["deliver_policy"] = "all" if self.begin == "all" else "new"
        if len(self.subjects) == 1:
            config["filter_subject"] = self.subjects[0]
        elif self.subjects:
            config["filter_subjects"] = list(self.subjects)
        if self.durable is None:
            return config | {"inactive_threshold": round(_INACTIVE * _SECOND), "mem_storage": True, "num_replicas": 1}
        wait = round(self.ack_wait * _SECOND)
        return config | {"durable_name": self.durable, "ack_wait": wait, "max_ack_pending": window, "max_deliver": -1}

    def compare(self, config: Mapping[str, Any]) -> None:
        """See that a consumer is as it is wanted.

        Raises:
            ValueError: it is another.
        """
        name = f"consumer {config.get('durable_name') or config.get('name')} of stream {self.stream}"
        if config.get("ack_policy") != self.policy:
            raise ValueError(
                f"{name} has ack_policy {config.get('ack_policy')}, expected {self.policy} "
                f"(ordered={self.ordered}): use another name"
            )
        if config.get("deliver_subject"):
            raise ValueError(f"{name} pushes to {config['deliver_subject']!r:.200}, expected one that is pulled from")
        one = config.get("filter_subject")
        found = set(config.get("filter_subjects") or ([one] if one else []))
        if found - {">"} != set(self.subjects) - {">"}:
            raise ValueError(
                f"{name} has the subjects {sorted(found)}, expected {sorted(self.subjects)}: use another name "
                "(several subjects need a server from 2.10 on)"
            )


class Puller:
    """Keeps an intake filled from a stream, over one connection after the other.

    Args:
        servers: tried in turn.
        options: for `nats.connect`.
        wanted: what is read.
        intake: where it goes.
        until_end: end when all is here that the stream had at the start.

    Attributes:
        trouble: why nothing comes; None if it does.
        connects, unreadable, pending: see `ConsumeStats`.
        is_over: whether nothing comes any more.
    """

    def __init__(
        self, servers: Sequence[str], options: Mapping[str, Any], wanted: Wanted, intake: Intake, until_end: bool
    ) -> None:
        self.wanted = wanted
        self.intake = intake
        self.trouble: str | None = None
        self.connects = 0
        self.unreadable = 0
        self.pending: int | None = None
        self.is_over = False
        self.ack_every = min(ACK_EVERY, max(intake.window // 4, 1))
        self._servers = servers
        self._options = options
        self._until_end = until_end
        self._end = 0  # the stream's last sequence at the start
        self._created: str | None = None  # the stream
        self._gone = 0  # how often it was not there, one time after the other
        self._shared = 0  # how often somebody else waited there, one time after the other
        self._name = wanted.durable or ""
        self._connection: Client | None = None
        self._inbox = ""
        self._requests = Requests()
        self._heard = 0.0
        self._now = 0.0
        self._subscription: Any = None
        self._is_broken = False
        self._is_closing = False
        self._is_too_large = False  # the next message is larger than all that may be held
        self._last_ack: str | None = None
        self._acks: deque[tuple[str, bytes]] = deque()
        self._poked = asyncio.Event()
        self._came_event: Callable[[], None] = lambda: None

    def on_ready(self, call: Callable[[], None]) -> None:
        """Have it called whenever there may be something to hand out."""
        self._came_event = call

    def poke(self) -> None:
        """There is room, or something to acknowledge."""
        self._poked.set()

    def say(self, held: Held, what: Literal["ack", "term"] | float) -> None:
        """Say of one message that it was handled, is given up, or is to come again after so many seconds."""
        if self.wanted.durable is None or not held.reply:
            return
        words = {"ack": _ACK, "term": _TERM}
        word = words[what] if isinstance(what, str) else _NAK
        if not isinstance(what, str) and what > 0:
            word += b" " + json.dumps({"delay": round(what * _SECOND)}).encode()
        self._acks.append((held.reply, word))
        if len(self._acks) >= self.ack_every or not self.intake.has_ready:
            self._poked.set()

    # The connection

    async def run(self) -> None:
        """Read until it is cancelled, or all is here.

        Raises:
            ConsumerGone, ConsumerShared: see there.
            ValueError: the stream or the consumer cannot be used.
        """
        tries = 0
        failures = (_nats.errors(), OSError, asyncio.TimeoutError, KeyError, TypeError, _NotYet)
        while not self._is_finished:
            before = self.intake.last
            server = self._servers[tries % len(self._servers)]
            try:
                connection = await _nats.connect(server, self._options, self._wrong, self._ended)
            except failures as error:
                self._in_trouble(f"{server}: {_nats.said(error)}")
            else:
                try:
                    await self._serve(connection)
                except failures as error:
                    self._in_trouble(_nats.said(error))
                finally:
                    self._connection = None
                    await _nats.close(connection)
            tries = 1 if self.intake.last > before else tries + 1
            if not self._is_finished:
                await asyncio.sleep(_nats.delay(tries // len(self._servers)))

    @property
    def _is_finished(self) -> bool:
        """Whether nothing comes any more, and all that came is acknowledged."""
        if not self.is_over or self.wanted.durable is None:
            return self.is_over
        return not (self.intake.held or self.intake.ack or self._acks)

    def _in_trouble(self, text: str) -> None:
        if text != self.trouble and not self._is_closing:
            _LOG.warning("stream %s: %s", self.wanted.stream, text)
        self.trouble = text

    def _wrong(self, error: Exception) -> None:
        if self._connection is not None:
            self._broken(_nats.said(error))

    def _ended(self) -> None:
        if self._connection is not None:
            self._broken("the connection ended")

    def _broken(self, why: str) -> None:
        self._is_broken = True
        self._in_trouble(why)
        self._poked.set()

    async def _serve(self, connection: Client) -> None:
        self.connects += 1
        self._inbox = connection.new_inbox()
        self._requests.forget()
        self._is_broken = False
        self._shared = 0
        self.intake.unsettle()
        came = partial(self._came, connection)
        most = 4 * self.intake.window + 1024  # which is more than was asked for
        self._subscription = await connection.subscribe(
            f"{self._inbox}.*", cb=came, pending_msgs_limit=most, pending_bytes_limit=0
        )
        self._connection = connection
        info = await self._look(connection)
        if self.wanted.ordered and self.wanted.durable is not None:
            await self._alone(connection, info)
        if self.wanted.durable is None:
            self.intake.settle_now()
        elif self.intake.ordered:
            delivered = int(info["delivered"]["stream_seq"])
            self.intake.forgotten(delivered)
            if self.intake.ack is None and self.intake.floor <= delivered:
                self.intake.ack = self._last_ack
        self._heard = time.monotonic()
        looked, self._now = 0.0, self._heard
        while not self._is_broken and not self._is_finished and connection.is_connected:
            now = time.monotonic()
            if now - self._now > 4 * _TICK:  # the program was busy, not the server
                self._heard = now
            self._now = now
            await self.tell(connection, now)
            if now - looked >= _LOOKS and self._must_look():
                looked = now
                await self._settle(connection)
            if self.intake.is_settled:
                self.trouble = None
            await self._ask_for_more(connection)
            if now - self._heard > _SILENCE and self._requests.open:
                raise _NotYet(f"the server said nothing for {_SILENCE:g} seconds")
            await self._pause()
        if self.is_over and self.wanted.durable is None and connection.is_connected:
            await self._forget(connection)

    async def _forget(self, connection: Client) -> None:
        """The consumer has no name, and nobody will go on with it."""
        await connection.publish(f"$JS.API.CONSUMER.DELETE.{self.wanted.stream}.{self._name}")

    async def _pause(self) -> None:
        timer = asyncio.get_running_loop().call_later(_TICK, self._poked.set)
        try:
            await self._poked.wait()
        finally:
            timer.cancel()
        self._poked.clear()

    async def tell(self, connection: Client, now: float) -> None:
        """Say what was handled, and that the rest is still worked at."""
        intake = self.intake
        if self.wanted.durable is None:
            intake.ack = None
            intake.since = 0
            return
        if intake.ack is not None and (intake.since >= self.ack_every or not intake.has_ready):
            reply, intake.ack, intake.since = intake.ack, None, 0
            self._last_ack = reply
            await connection.publish(reply, _ACK)
        while self._acks:
            await connection.publish(*self._acks.popleft())
        if intake.held and now - next(iter(intake.held.values())).at > self.wanted.ack_wait / 3:
            for held in list(intake.held.values()):
                if now - held.at > self.wanted.ack_wait / 3 and held.reply:
                    held.at = now
                    await connection.publish(held.reply, _PROGRESS)

    async def finish(self, again: Mapping[int, float]) -> None:
        """The end: say what was handled, and give the rest back.

        Args:
            again: by sequence, after how many seconds it is to come again; at once if it is not there.
        """
        connection, intake = self._connection, self.intake
        self._is_closing = True
        if connection is None or not connection.is_connected:
            return
        if self.wanted.durable is not None:
            # Else what is given back would come to us.
            await asyncio.wait_for(self._subscription.drain(), _nats.CONNECT_TIMEOUT)
            intake.since = self.ack_every
            for held in intake.held.values():
                if not held.is_done:
                    self.say(held, again.get(held.sequence, 0.0))
            await self.tell(connection, self._now)
        else:
            await self._forget(connection)
        await connection.flush(round(_nats.CONNECT_TIMEOUT))

    # The consumer

    async def _look(self, connection: Client) -> dict[str, Any]:
        """What the server says of the consumer, which is made if it is not there."""
        wanted = self.wanted
        stream = await self._info(connection, f"STREAM.INFO.{wanted.stream}")
        wanted.check(stream["config"])
        if self._created not in (None, stream["created"]):
            raise ConsumerGone(f"stream {wanted.stream} was made anew at {stream['created']}: no place in it is known")
        if self._until_end and not self._end:
            self._end = int(stream["state"]["last_seq"])
            self.is_over = not self._end
        if wanted.durable is None:
            info = await self._make(connection)
        else:
            info = await _nats.ask(connection, f"CONSUMER.INFO.{wanted.stream}.{wanted.durable}")
            if self._created is None and info.get("error", {}).get("err_code") == _nats.NO_CONSUMER:
                info = await self._make(connection)
            self._check_error(info)
            wanted.compare(info["config"])
        self._created = stream["created"]
        self._gone = 0
        return info

    async def _make(self, connection: Client) -> dict[str, Any]:
        wanted = self.wanted
        config = wanted.config(self.intake.last if wanted.durable is None else 0, self.intake.window)
        subject = f"CONSUMER.DURABLE.CREATE.{wanted.stream}.{wanted.durable}"
        if wanted.durable is None:
            subject = f"CONSUMER.CREATE.{wanted.stream}"
        info = await _nats.ask(connection, subject, {"stream_name": wanted.stream, "config": config})
        if info.get("error", {}).get("code") == 400:
            raise ValueError(f"stream {wanted.stream}: {info['error'].get('description')}")
        self._check_error(info)
        self._name = info["name"]
        if wanted.durable is None:
            wanted.compare(info["config"])
        return info

    async def _info(self, connection: Client, subject: str) -> dict[str, Any]:
        info = await _nats.ask(connection, subject)
        self._check_error(info)
        return info

    def _check_error(self, info: Mapping[str, Any]) -> None:
        error = info.get("error")
        if error is None:
            return
        text = f"stream {self.wanted.stream}: {error.get('description')} ({error.get('err_code')})"
        if self._created is not None and error.get("err_code") in (_nats.NO_CONSUMER, _nats.NO_STREAM):
            self._gone += 1
            if self._gone == _GONE_LOOKS:
                raise ConsumerGone(f"{text}: consumer {self._name} was deleted, and with it the place to go on from")
        raise _NotYet(text)

    async def _alone(self, connection: Client, info: dict[str, Any]) -> None:
        """Wait while another program asks the consumer for messages."""
        while info.get("num_waiting"):
            self._in_trouble(f"another program takes from consumer {self._name}: waiting until it is gone")
            await asyncio.sleep(_LOOKS)
            if self._is_broken:
                raise _NotYet(self.trouble)
            info = await self._consumer(connection)

    async def _consumer(self, connection: Client) -> dict[str, Any]:
        return await self._info(connection, f"CONSUMER.INFO.{self.wanted.stream}.{self._name}")

    def _must_look(self) -> bool:
        if not self.intake.is_settled:
            return True
        return bool(self._end) and not self.intake.held

    async def _settle(self, connection: Client) -> None:
        """See whether all is here that the server waits for, or whether the end is reached."""
        was_settled = self.intake.is_settled
        info = await self._consumer(connection)
        if not was_settled and self.wanted.durable is not None:
            if int(info.get("num_waiting", 0)) > (self._requests.open > 0):
                return self._seems_shared()
            self._shared = 0
            if not self.intake.settle(info):
                self._in_trouble(f"{info['num_ack_pending']} messages were delivered before, and come again")
        if self.intake.is_settled:
            self._came_event()
        if self._end and not self.intake.held and not info["num_pending"] and not info["num_ack_pending"]:
            self.is_over = True
            self._came_event()

    def _seems_shared(self) -> None:
        self._shared += 1
        if self._shared == _SHARED_LOOKS:
            raise ConsumerShared(
                f"another program takes from consumer {self._name} of stream {self.wanted.stream}, which is "
                "ordered: give each a partition of its own, or use ordered=False"
            )

    # Messages

    async def _ask_for_more(self, connection: Client) -> None:
        intake = self.intake
        room = intake.window - len(intake.held)
        size = intake.window_bytes - intake.size
        is_idle = not intake.held
        if self._requests.open or self.is_over or self._is_closing:
            return
        if not intake.is_settled or is_idle:
            size = intake.window_bytes
        elif 2 * room < intake.window or 2 * size < intake.window_bytes:
            return
        if room < 1:
            return
        request = {"batch": room, "max_bytes": size, "expires": round(EXPIRES * _SECOND)}
        request["idle_heartbeat"] = round(HEARTBEAT * _SECOND)
        if self._is_too_large and is_idle:
            self._is_too_large = False
            room = request["batch"] = 1
            del request["max_bytes"]
        number = self._requests.ask(room)
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self.wanted.stream}.{self._name}"
        await connection.publish(subject, json.dumps(request).encode(), f"{self._inbox}.{number}")

    async def _came(self, connection: Client, message: Msg) -> None:
        self._heard = self._now
        if connection is not self._connection or (self._is_broken and self.wanted.durable is None):
            return  # of an earlier connection, or behind a hole
        reply, body = message.reply, message.data
        if not reply:
            self._status(message.subject[len(self._inbox) + 1 :], message.headers or {})
            return
        if self._requests.came():
            self._poked.set()
        tokens = reply.split(".")
        at = 4 if len(tokens) < 11 else 6  # with a domain and an account in front
        delivery, sequence = int(tokens[at]), int(tokens[at + 1])
        self.pending = int(tokens[at + 4])
        intake = self.intake
        if not intake.is_new(sequence, int(tokens[at + 2]), reply):
            self._poked.set()
        elif not intake.is_settled and self.wanted.durable is None:
            self._broken("messages are missing: asking for them again")
            return
        else:
            item = self._read(message.headers, body, sequence, delivery > 1)
            intake.add(Held(sequence, reply, item, len(body) + _OVERHEAD, delivery, self._now))
        if self._end and intake.is_settled and (sequence >= self._end or not self.pending):
            self.is_over = True
        self._came_event()

    def _read(self, headers: Mapping[str, str] | None, body: bytes, sequence: int, again: bool) -> Delivered | None:
        try:
            return read(headers, body, sequence, again)
        except ValueError:  # whose text has bytes of the body, which no log is to have
            self.unreadable += 1
            text = "stream %s: message %d is none of the contract: its %d bytes are passed over"
            _LOG.warning(text, self.wanted.stream, sequence, len(body))
            return None

    def _status(self, number: str, headers: Mapping[str, str]) -> None:
        """What a server says that is no message."""
        status, text = headers.get("Status", ""), headers.get("Description", "")
        if status == "100":  # a heartbeat
            return
        self._requests.end(number, headers.get("Nats-Pending-Messages", ""))
        self._poked.set()
        if "maxbytes" in text.lower().replace(" ", ""):
            self._is_too_large = True
            return
        if status in ("404", "408") or text == "Batch Completed":  # there is nothing, it expired, or all came
            return
        self._broken(f"{status} {text}" if text else f"status {status}")
