"""What is between a publisher and a stream: messages in flight and their acknowledgements, without I/O.

A stream of its own for each switch is *chained*: a message says which one must be the stream's last, and with which
sequence, so that one refusal refuses all behind it, and a publisher that slept while another took over is refused too.
Then the stream's last message is looked up, and publishing goes on behind it: with one message first, since a cluster
may still have some in hand that were sent before, and check against the stream without them. Its sequence tells. In a
stream that switches share there is no chain: what was refused comes late, behind what was not. Where bridges *overlap*,
each publishing the same, there is none either, or each would refuse the other's: what the end of the stream has is left
out, and the server drops what it gets twice.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from operator import lt
from typing import Any, Final, NamedTuple

from ._families import Times
from ._packed import Packed
from .contract import Place

WINDOW: Final = 4096
"""Messages in flight: more made nothing faster."""

WINDOW_BYTES: Final = 32 << 20
"""Their bytes: these are held until they are acknowledged."""

LOOK_BACK: Final = 2048
"""How many of the stream's messages are looked at when it is not known how many are new: within a second."""

_SEEN_MOST: Final = 4 * LOOK_BACK

ACK_TIMEOUT: Final = 5.0
"""Seconds without an acknowledgement: a cluster elects a leader within about four."""

TIMES: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Seconds, bounds of classes: a recorder writes once a second, a cluster elects a leader within about four."""

_REASONS: Final = {  # by the server's err_code
    10047: "full",
    10054: "oversize",
    10060: "stream",
    10070: "order",
    10071: "order",
    10077: "full",
    10097: "oversize",
    10109: "sealed",
    10122: "full",
    10118: "no_responders",
    10158: "order",
}
_UNDER_WAY: Final = 10158  # another message with the same identity, in a cluster
_NO_RESPONDERS: Final = "503"
_PLAIN_ACK: Final = re.compile(rb'\{"stream":"([ !#-\[\]-~]+)", ?"seq":([1-9][0-9]{0,18})\}')  # as nearly all are


class Last(NamedTuple):
    """The end of a stream.

    Attributes:
        sequence: that the server gave last; 0 of a stream that never had a message.
        id: of the message with this sequence; None if it is gone (aged out, purged), or has none.
    """

    sequence: int
    id: str | None


class Trouble(NamedTuple):
    """Why nothing is published.

    Attributes:
        kind: "order" (something else is the stream's last message than was said), "full", "oversize", "stream" (the
            subject leads to another stream), "sealed", "refused" (anything else that the server says),
            "no_responders" (there is no such stream, or it has no leader), "timeout", "disorder" (an acknowledgement
            for another message than the next), "unreadable" (no acknowledgement), "permission", "connection".
        text: what the server or the system said.
        since: by the clock that the caller tells.

    Example:
        >>> Trouble("timeout", "no acknowledgement for 5.0 s", 12.5).needs_connection
        True
    """

    kind: str
    text: str
    since: float

    @property
    def needs_connection(self) -> bool:
        """Whether what is under way on this connection cannot be waited for any more."""
        return self.kind in ("timeout", "disorder", "unreadable", "connection")


class Batch(NamedTuple):
    """Messages to be published now, one behind the other.

    Attributes:
        epoch, number: with which the reply subject of the first ends; the number of the next is one more.
        items: them.
        before: the identity of the message that was published before them in this epoch; None if none was.
        stream: which one they are for.
        expected: the sequence that must be the stream's last before the first of them; None if it is not chained.
    """

    epoch: int
    number: int
    items: Sequence[Packed]
    before: str | None
    stream: str
    expected: int | None

    def guards(self) -> list[bytes]:
        """For each of them the headers by which the server sees whether it is the next, as they are sent."""
        stream = f"Nats-Expected-Stream: {self.stream}\r\n".encode()
        if self.expected is None:
            return [stream] * len(self.items)
        before = [self.before, *(item.id for item in self.items[:-1])]
        # Servers look at the sequence first. 2.15.1 in a cluster refuses an identity and then never answers again.
        guards = [
            f"Nats-Expected-Last-Sequence: {expected}\r\nNats-Expected-Last-Msg-Id: {id}\r\n".encode()
            for expected, id in enumerate(before, self.expected)
        ]
        if self.before is None:
            guards[0] = stream + f"Nats-Expected-Last-Sequence: {self.expected}\r\n".encode()
        return guards


class Flight:
    """The messages in flight to one stream.

    Args:
        stream: its name.
        chained: see above.
        overlap: see above; excludes `chained`.
        window, window_bytes: how much may be in flight.
        timeout: after how many seconds without an acknowledgement it stops.
        last: the identity of the message that was acknowledged last, if that is known of an earlier run.
        clock: seconds since 1970.

    Attributes:
        epoch: how often it was opened; an acknowledgement of an earlier one counts for nothing.
        acknowledged: how many messages the stream has.
        duplicates: how many of them it had before.
        found: how many of them were seen in the stream, without an acknowledgement or from another publisher.
        out_of_order: how many stand in the stream before one that was sent earlier (never, if chained).
        disagreements: how often the stream's last message was none of ours.
        stale: answers that came too late.
        freed: how often the first message was acknowledged on which all others waited.
        stops: how often it stopped, or could not be opened again, and why.
        place: behind the last message that the stream has of all that came before it.
        trouble: why it is not open, or why nothing was acknowledged since.
        times: seconds from the receipt of an event to the acknowledgement of its message.
    """

    def __init__(
        self,
        stream: str,
        *,
        chained: bool = True,
        overlap: bool = False,
        window: int = WINDOW,
        window_bytes: int = WINDOW_BYTES,
        timeout: float = ACK_TIMEOUT,
        last: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.stream = stream
        self.chained = chained
        self.overlap = overlap
        self.epoch = 0
        self.acknowledged = self.duplicates = self.found = self.out_of_order = self.disagreements = self.stale = 0
        self.freed = 0
        self.stops: Counter[str] = Counter()
        self.place: Place | None = None
        self.trouble: Trouble | None = None
        self.times = Times(TIMES)
        self.is_open = False
        self._clock = clock
        self._window, self._window_bytes, self._timeout = window, window_bytes, timeout
        self._waiting: deque[Packed] = deque()
        self._bytes = 0
        self._first = 0  # the number of the first that waits
        self._next = 0  # of the next to be published
        self._last_id = last
        self._sequence = 0  # the highest that was acknowledged, or looked up
        self._previous = 0  # that of the message before the first that waits, if it is known
        self._expected = 0  # what the next message says of the stream's end
        self._before: str | None = None  # the identity of the message that was published last in this epoch
        self._seen: set[str] = set()  # identities that the stream has
        self._done_early: dict[int, int] = {}  # sequences of what was acknowledged before the first that waits
        self._again: deque[int] = deque()  # numbers of what is under way from another bridge, perhaps in vain
        self._first_alone = False  # until the first message of this epoch has its acknowledgement
        self._moved = 0.0  # when something was last published into an empty flight, or acknowledged

    def __repr__(self) -> str:
        state = "open" if self.is_open else "shut"
        return f"<Flight {self.stream!r} {state}, {len(self._waiting)} waiting>"

    @property
    def room(self) -> bool:
        """Whether another message may be added."""
        return len(self._waiting) < self._window and self._bytes < self._window_bytes

    @property
    def waiting(self) -> int:
        """How many messages are not acknowledged yet."""
        return len(self._waiting)

    @property
    def in_flight(self) -> int:
        """How many of them were published since it was opened."""
        return self._next - self._first

    @property
    def is_held(self) -> bool:
        """Whether all others wait until the first message since it was opened has its acknowledgement."""
        return self._first_alone and self.in_flight > 0

    def _free(self) -> None:
        self.freed += self._first_alone
        self._first_alone = False

    @property
    def oldest(self) -> float | None:
        """When that was received which waits longest, in seconds since 1970; None if that is not known."""
        return self._waiting[0].received if self._waiting else None

    @property
    def last_id(self) -> str | None:
        """The identity of the last message that the stream has of all that came before it."""
        return self._last_id

    def add(self, item: Packed) -> None:
        """Have a message published, behind all that wait."""
        self._waiting.append(item)
        self._bytes += len(item.body)

    def take(self, now: float, most: int = 1) -> Batch | None:
        """The next messages to publish; None if there is none, or it is not open."""
        if not self.is_open:
            return None
        self._pass_over()
        while self._again:
            number = self._again.popleft()
            if number >= self._first:
                return Batch(self.epoch, number, [self._waiting[number - self._first]], None, self.stream, None)
        if self.is_held:
            return None
        end = self._first + len(self._waiting)
        while self._next < end and self._is_there(self._next):  # done when what is before it is
            self._next += 1
        numbers: Iterable[int] = range(self._next, min(self._next + (1 if self._first_alone else most), end))
        if self._seen or self._done_early:
            numbers = takewhile(lambda number: not self._is_there(number), numbers)
        items = [self._waiting[number - self._first] for number in numbers]
        if not items:
            return None
        if self._next == self._first:
            self._moved = now
        expected = self._expected if self.chained else None
        batch = Batch(self.epoch, self._next, items, self._before, self.stream, expected)
        self._before = items[-1].id
        self._next += len(items)
        self._expected += len(items)
        return batch

    def _is_there(self, number: int) -> bool:
        """Whether the stream has a message, though not all before it."""
        return number in self._done_early or self._waiting[number - self._first].id in self._seen

    # The stream's end

    def look_back(self, last: Last) -> int:
        """How many of the stream's last messages `open` must know the identities of: 0 if it ends as we left it.

        That one of ours is the last does not say that those before it are there: another publisher may have left out
        something, and what was refused may stand before what was not.
        """
        if self.overlap:  # what others put there can be before what we did
            return min(max(LOOK_BACK, len(self._waiting)), last.sequence)
        if last.sequence == 0 or self._is_ours(last):
            return 0
        new = last.sequence - self._sequence if 0 < self._sequence <= last.sequence else LOOK_BACK
        return min(new, max(LOOK_BACK, len(self._waiting)), last.sequence)

    def open(self, last: Last | None = None, ids: Iterable[str] = ()) -> None:
        """Publish what waits, from the beginning.

        Args:
            last: the end of the stream, if it is chained, or bridges overlap.
            ids: of that many messages as `look_back` says; "" of one that has none. What waits, or comes later, and has
                one of them is not published.
        """
        found = set(ids)
        if self.chained:
            if last is None:
                raise ValueError("the end of a chained stream must be looked up before it is opened")
            found.update(self._taken_out(last, found))
            ours = self._is_ours(last) or any(item.id == last.id for item in self._waiting)
            self.disagreements += self._last_id is not None and not ours
            self._expected = self._sequence = last.sequence
            self._first_alone = True
        self._see(found)
        self._again.clear()
        self.epoch += 1
        self._next = self._first
        self._before = None
        self.is_open = True
        if not self._waiting:
            self.trouble = None

    def _is_ours(self, last: Last) -> bool:
        """Whether the stream ends where we left it; a message that is gone is ours if the sequence is."""
        if last.id is None:
            return last.sequence > 0 and self._last_id is not None and self._sequence in (0, last.sequence)
        return last.id == self._last_id

    def _taken_out(self, last: Last, found: set[str]) -> list[str]:
        """What was put into the stream since its end was known, before one of ours that is its end now, and is gone
        again (purged): behind that one it would be out of order. The sequences tell that all of it was there."""
        count = last.sequence - self._sequence
        if self._sequence == 0 or not 0 < count <= len(self._waiting):
            return []
        new = [item.id for item in self._waiting if item.id not in self._seen][:count]
        gone = [id for id in new if id not in found]
        is_end_ours = len(new) == count and new[-1] == last.id
        is_rest_ours = found == set(new[len(gone) :])
        return gone if is_end_ours and is_rest_ours else []

    def _see(self, found: set[str]) -> None:
        self._seen = self._seen | found if len(self._seen) < _SEEN_MOST else found
        self._pass_over()

    def _pass_over(self) -> None:
        """What the stream has is done."""
        while self._waiting and (self._done_early or self._seen):
            sequence = self._done_early.pop(self._first, None)
            if sequence is not None:
                self.out_of_order += sequence < self._previous
                self._previous = max(self._previous, sequence)
            elif self._waiting[0].id in self._seen:
                self._seen.discard(self._waiting[0].id)
                self.found += 1
                self.trouble = None
            else:
                return
            self._done()
            self._next = max(self._next, self._first)

    def _done(self) -> Packed:
        item = self._waiting.popleft()
        self._bytes -= len(item.body)
        self._first += 1
        self.acknowledged += 1
        self._last_id = item.id
        if item.place is not None:
            self.place = item.place
        return item

    # Answers

    def answered(self, epoch: int, number: int, data: bytes, status: str | None, now: float) -> None:
        """An answer came.

        Args:
            epoch, number: of the ticket, as its reply subject says.
            data: the answer.
            status: of its headers, if it has one.
        """
        if epoch != self.epoch or not self.is_open:
            self.stale += 1
            return
        if status == _NO_RESPONDERS:
            return self.stop("no_responders", f"nobody took a message for stream {self.stream}", now)
        answer = _read(data)
        if answer is None:
            return self.stop("unreadable", f"read {data[:100]!r}, expected an acknowledgement", now)
        error = answer.get("error")
        if isinstance(error, dict):
            code: Any = error.get("err_code")
            if self.overlap and code == _UNDER_WAY and self._first <= number < self._next:
                return self._again.append(number)
            kind = _REASONS.get(code, "refused") if type(code) is int else "refused"
            return self.stop(kind, f"{error.get('description')} ({code})", now)
        sequence = answer.get("seq")
        if answer.get("stream") != self.stream:
            return self.stop("stream", f"stream {answer.get('stream')!r:.100} took it, expected {self.stream!r}", now)
        if type(sequence) is not int or sequence < 1:
            return self.stop("unreadable", f"read {data[:100]!r}, expected a sequence", now)
        self._acknowledge(number, sequence, answer.get("duplicate") is True, now)

    def acknowledged_all(self, epoch: int, numbers: Sequence[int], sequences: Sequence[int], now: float) -> None:
        """Acknowledgements came one behind the other, of this stream, and of nothing that it had before.

        Args:
            epoch, numbers: as their reply subjects say.
            sequences: of the messages in the stream.
        """
        count, first = len(numbers), self._first
        is_next = epoch == self.epoch and self.is_open and first + count <= self._next and not self._done_early
        is_new = sequences[0] > self._sequence and all(map(lt, sequences, sequences[1:]))
        if self.chained:
            is_new = is_new and sequences[0] == self._sequence + 1 and sequences[-1] == self._sequence + count
        if is_next and is_new and list(numbers) == list(range(first, first + count)):
            return self._acknowledge_all(sequences[-1], count, now)
        for number, sequence in zip(numbers, sequences, strict=True):
            if epoch != self.epoch or not self.is_open:
                self.stale += 1
            else:
                self._acknowledge(number, sequence, False, now)

    def _acknowledge_all(self, sequence: int, count: int, now: float) -> None:
        self._previous = self._sequence = sequence
        self._moved = now
        self._free()
        self.trouble = None
        clock = self._clock()
        received = [self._done().received for _ in range(count)]
        self.times.observe_all([clock - at for at in received if at is not None])
        self._pass_over()

    def _acknowledge(self, number: int, sequence: int, duplicate: bool, now: float) -> None:
        first = self._first
        if not first <= number < self._next or (number != first and not self.overlap):
            return self.stop("disorder", f"message {number} was acknowledged, expected {first}", now)
        if self.chained and not duplicate and sequence != self._sequence + 1:
            # Something stands between that the server should have refused: look at the stream's end again.
            return self.stop("disorder", f"sequence {sequence} was given, expected {self._sequence + 1}", now)
        self.duplicates += duplicate
        self._sequence = max(self._sequence, sequence)
        self._free()
        self.trouble = None
        received = self._waiting[number - self._first].received
        if received is not None:
            self.times.observe(self._clock() - received)
        if number == self._first:
            self._moved = now
            self.out_of_order += sequence < self._previous
            self._previous = max(self._previous, sequence)
            self._done()
        else:  # where bridges overlap, what is there already is answered at once
            self._done_early[number] = sequence
        if self._done_early or self._seen:
            self._pass_over()

    def tick(self, now: float) -> None:
        """Look at the time."""
        if self.is_open and self.in_flight and now - self._moved >= self._timeout:
            self.stop("timeout", f"no acknowledgement for {now - self._moved:.1f} s", now)

    def stop(self, kind: str, text: str, now: float) -> None:
        """Publish nothing until it is opened again; what waits keeps waiting."""
        if self.is_open or self.trouble is None or self.trouble.kind != kind:
            self.failed(kind, text, now)

    def failed(self, kind: str, text: str, now: float) -> None:
        """The same, for a try to open it that came to nothing: each of them counts, or a trouble that lasts would look
        like one that is over."""
        self.is_open = False
        self.stops[kind] += 1
        since = self.trouble.since if self.trouble is not None else now
        self.trouble = Trouble(kind, text, since)


def _read(data: bytes) -> dict[str, Any] | None:
    """An answer of a stream; None if it is none."""
    plain = _PLAIN_ACK.fullmatch(data)
    if plain is not None:
        return {"stream": plain[1].decode("ascii"), "seq": int(plain[2])}
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(answer, dict):
        return None
    return answer if "error" in answer or "stream" in answer else None
