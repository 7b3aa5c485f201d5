"""What was taken from a stream and is not acknowledged: how much, in which order, up to where all is done. No I/O.

In an ordered intake everything is handed out by its sequence in the stream, each once, and the acknowledgement of one
means all before it (`AckAll`). A server may deliver newer messages before it delivers lost ones again, so the intake
hands out nothing while the server waits for acknowledgements of messages that are not here: see `settle`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from ._delivered import Delivered


class Held:
    """A message that was taken.

    Attributes:
        sequence: in the stream.
        reply: where it is acknowledged; "" if the server has forgotten that it delivered it.
        item: what it is; None if it cannot be read.
        size: in bytes.
        delivery: how often the server delivered it, this time included.
        at: when it was taken, or its time was extended (of `time.monotonic`).
        is_given: whether it was handed out.
        is_done: whether it was handled.
    """

    __slots__ = ("at", "delivery", "is_done", "is_given", "item", "reply", "sequence", "size")

    def __init__(self, sequence: int, reply: str, item: Delivered | None, size: int, delivery: int, at: float) -> None:
        self.sequence = sequence
        self.reply = reply
        self.item = item
        self.size = size
        self.delivery = delivery
        self.at = at
        self.is_given = False
        self.is_done = False


class Requests:
    """What a server was asked for. One request at a time is open, for messages do not say of which they are.

    In a cluster the end of a request may come before its messages, which take another way. It says how many of them
    were not sent; the others are still to come, and are none of the next request.

    Attributes:
        open: how many messages are still to come of the request that is open; 0 if none is.
    """

    def __init__(self) -> None:
        self.open = 0
        self._number = 0
        self._late = 0  # messages of requests that have ended

    def forget(self) -> None:
        """Nothing comes any more of what was asked for on an earlier connection."""
        self.open = self._late = 0

    def ask(self, count: int) -> int:
        """So many are asked for now: by which number."""
        self._number += 1
        self.open = count
        return self._number

    def came(self) -> bool:
        """A message came: whether the request that was open is over now."""
        if self._late:
            self._late -= 1
            return False
        was_open, self.open = self.open, max(self.open - 1, 0)
        return was_open == 1

    def end(self, number: str, unsent: str) -> None:
        """A request has ended.

        Args:
            number: which one, as it was sent.
            unsent: how many of its messages were not sent; "" if the server does not say so.
        """
        if number != str(self._number):
            return
        if unsent.isdecimal():
            self._late += max(self.open - int(unsent), 0)
        self.open = 0


class Intake:
    """Messages that are held.

    Args:
        ordered: whether they are handed out by their sequence.
        window, window_bytes: how much may be held and asked for.

    Attributes:
        held: by sequence.
        size: of all that are held, in bytes.
        floor: an ordered intake has handled all up to this sequence.
        ack: where that is acknowledged; None if it was, or nothing was handled.
        since: how many were handled since then.
        last: the greatest sequence that came.
        repeats: how many came that were held or handled already.
        out_of_order: how many came behind a later one that was handed out.
        is_settled: whether everything that the server waits for is here.
    """

    def __init__(self, ordered: bool, window: int, window_bytes: int) -> None:
        self.ordered = ordered
        self.window = window
        self.window_bytes = window_bytes
        self.held: dict[int, Held] = {}
        self.size = 0
        self.floor = 0
        self.ack: str | None = None
        self.since = 0
        self.last = 0
        self.repeats = 0
        self.out_of_order = 0
        self.is_settled = not ordered
        self._ack_of = 0  # the sequence that `ack` acknowledges
        self._given = 0  # the greatest sequence that was handed out
        self._next = 0  # of the deliveries of the consumer; 0 if it is not known
        self._order: deque[Held] = deque()  # all that are held, by sequence
        self._ready: deque[Held] = deque()

    # What comes

    def is_new(self, sequence: int, delivery: int, reply: str) -> bool:
        """Whether a message must be taken; if it is here, its newest reply subject counts."""
        if self._next and delivery != self._next:
            self.is_settled = not self.ordered
        self._next = delivery + 1
        known = self.held.get(sequence)
        if known is not None:
            known.reply = reply
        elif not self.ordered or sequence > self.floor:
            return True
        elif self.ack is None or sequence >= self._ack_of:
            self.ack, self._ack_of = reply, sequence  # the server has forgotten: it is said again
        self.repeats += 1
        return False

    def add(self, held: Held) -> None:
        """Take a message."""
        sequence = held.sequence
        self.held[sequence] = held
        self.size += held.size
        if not self.ordered:
            self._ready.append(held)
        elif self.is_settled and sequence > self.last:
            self._order.append(held)
            self._ready.append(held)
        elif self.is_settled:
            self._sort()
        self.last = max(self.last, sequence)

    def unsettle(self) -> None:
        """A connection is new: what is under way to us is not known."""
        self._next = 0
        self.is_settled = not self.ordered

    def forgotten(self, delivered: int) -> None:
        """A server that crashed has forgotten what it delivered behind this: it delivers that again, and until then no
        acknowledgement may name it."""
        if self._ack_of > delivered:
            self.ack = None
        for held in [held for held in self.held.values() if held.sequence > delivered]:
            held.reply = ""
            if not held.is_given:
                self.drop(held)
        self.last = max(self.held, default=self.floor)

    def settle(self, info: Mapping[str, Any]) -> bool:
        """See by what the server says of the consumer whether all that it waits for is here.

        What it never delivered, as far as it knows after a crash, it does not wait for.
        """
        delivered = int(info["delivered"]["stream_seq"])
        here = sum(sequence <= delivered for sequence in self.held)
        if not self.is_settled and int(info["num_ack_pending"]) <= here:
            self.is_settled = True
            self._sort()
        return self.is_settled

    def settle_now(self) -> None:
        """Nobody is waited for: nothing is acknowledged here, or everything was asked for anew."""
        self.is_settled = True
        self._sort()

    def _sort(self) -> None:
        order = sorted(self.held.values(), key=lambda held: held.sequence)
        self._order = deque(order)
        self._ready = deque(held for held in order if not held.is_given)

    # What is handed out

    @property
    def has_ready(self) -> bool:
        """Whether there is something to hand out."""
        return self.is_settled and bool(self._ready)

    def take(self) -> Held | None:
        """The next one; None if there is none."""
        if not self._ready or not self.is_settled:
            return None
        held = self._ready.popleft()
        held.is_given = True
        if held.sequence > self._given:
            self._given = held.sequence
        elif self.ordered:
            self.out_of_order += 1
        return held

    def done(self, held: Held) -> None:
        """It was handled."""
        held.is_done = True
        self.since += 1
        if not self.ordered:
            self.drop(held)
            return
        order = self._order
        while order and order[0].is_done:
            first = order.popleft()
            self.floor = first.sequence
            if first.reply:
                self.ack, self._ack_of = first.reply, first.sequence
            self.drop(first)

    def drop(self, held: Held) -> None:
        """It is no longer ours."""
        if self.held.pop(held.sequence, None) is not None:
            self.size -= held.size
