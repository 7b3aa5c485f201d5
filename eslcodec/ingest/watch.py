"""What was lost on the way from a switch, and how sure that is: `LossWatch`.

The switch does not say what it did not send. Its signs differ in what they prove, so each `Loss` has a grade
(docs/guides/losses.md says what to do about each, and how often a loss is found):

* `certain`: the switch said so, or we dropped it ourselves.
* `bounded`: the connection was lost and came back to the same run of the same switch.
* `counted`: more calls began than began in the stream.
* `probable`: more numbers of events are missing than is usual.
* `stalled`: HEARTBEAT does not come any more.

No I/O and no clock: messages and the time are passed in. Order is taken from the numbers of events, never from times.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from .._codec import Message, NextNumber
from ..errors import IncompleteFrame, ReaderTooSlow
from ..events import AuthRequest, DisconnectNotice, Event, Gap, LogLine
from ._lag import Lag
from ._numbers import PER_WINDOW, RUN, Numbers, Run
from ._sessions import Missing, Sessions

__all__ = ["Grade", "Loss", "LossWatch"]

Grade = Literal["certain", "bounded", "counted", "probable", "stalled"]
"""How sure a loss is."""

HEARTBEAT_SECONDS: Final = 20.0
"""How often a switch sends HEARTBEAT unless it is told otherwise (event-heartbeat-interval)."""

STALLED_INTERVALS: Final = 2

KILLED_EVENTS: Final = 501
"""A switch ends a connection that so many events in a row did not fit into the queue of."""

SAMPLE_SECONDS: Final = 0.01
"""How often the lag is looked at: once for each read from a socket, mostly."""

JUMP_SECONDS: Final = 0.5
"""More between our two clocks, or backwards, is a jump of the one that can be set."""

JUDGE_EVERY: Final = 128  # events

_KILLED: Final = "killed listener because of lost"
_MARK: Final = b"\nkilled listener"
_LOG: Final = re.compile(
    r"^(?:.{0,80}\[CRIT\] mod_event_socket\.c:\d+ )?"
    r"(?:(?P<error>Event enqueue ERROR) |(?:Killing listener because of too many lost events\. )?"
    r"Lost \[(?P<lost>\d{1,9})\](?: events!| Queue size))"
)
_WATCHED: Final = frozenset({"HEARTBEAT", "CHANNEL_CREATE", "CHANNEL_OUTGOING", "CHANNEL_HANGUP", "CUSTOM"})
_NOT_STARTED: Final = "CS_NONE"
_LOOKED_UP: Final = "sofia::register_attempt"
_SHOWN: Final = 5  # runs of numbers


@dataclass(frozen=True, slots=True)
class Loss:
    """Something that was sent, or should have been, and did not come.

    One loss may be found by several grades, so do not add up over grades.

    Attributes:
        grade: "certain", "bounded", "counted", "probable" or "stalled".
        count: how many events are missing. For "certain" at least so many; for "counted" how many CHANNEL_CREATE, other
            events of these calls being missing too; for "probable" as far as can be told. None if nothing tells.
        at_most: no more than so many; None if nothing limits it.
        evidence: what shows it, one line of text for people.

    Example:
        >>> Loss("bounded", None, 17, "reconnected: last number 82, then 100")
        Loss(grade='bounded', count=None, at_most=17, evidence='reconnected: last number 82, then 100')
    """

    kind: ClassVar[str] = "loss"
    """As the notices of `eslcodec.ingest` have one."""

    grade: Grade
    count: int | None
    at_most: int | None
    evidence: str


class LossWatch:
    """What was lost on one switch's connections, one after the other. Not for several threads at once.

    Give it all messages in the order in which they came, those of reconnections too, and `tick` about once a second.

    Args:
        subscribed_all: whether `ALL` is subscribed to and no filter is set. Only then missing numbers say something.
        creates: whether every CHANNEL_CREATE is sent to us, by `ALL` or by name; with a filter it is not. It counts
            from the first one that comes.
        heartbeat: seconds between two HEARTBEAT, until they show it themselves; None if they are not subscribed to.
        run: how many numbers missing in a row are unusual.
        per_window: more than so many numbers missing of 200 are unusual.

    Attributes:
        lag: how long events take, and about how many wait in the switch: see `Lag`.
        places: of each loss that `see_all` told last: the place of the message that it comes before.
        gaps: how many `Gap` there were.
        malformed: how many events could not be read.

    Example:
        >>> watch = LossWatch()
        >>> for number in (1, 2, 3, 14):
        ...     event = Event.build("DTMF", {"Core-UUID": "c", "Event-Sequence": number})
        ...     assert watch.see(event, now=100.0) == []
        >>> [loss] = watch.see(Gap.of(2.5, "killed listener because of lost events\\n", event), now=102.5)
        >>> loss.grade, loss.count
        ('certain', 501)
        >>> event = Event.build("DTMF", {"Core-UUID": "c", "Event-Sequence": 600})
        >>> watch.see(event, now=102.5)[0].at_most
        595
        >>> [loss.grade for loss in watch.tick(now=150.0)]
        ['stalled']
    """

    def __init__(
        self,
        subscribed_all: bool = True,
        *,
        creates: bool = True,
        heartbeat: float | None = HEARTBEAT_SECONDS,
        run: int = RUN,
        per_window: int = PER_WINDOW,
    ) -> None:
        self.lag = Lag()
        self.places: list[int] = []
        self.gaps = self.malformed = 0
        self._at = 0  # the place of the message that is looked at
        self._places: list[int] = []
        self._all = subscribed_all
        self._creates = creates
        self._numbers = Numbers(run, per_window)
        self._sessions = Sessions()
        self._found: list[Loss] = []
        self._core: str | None = None
        self._numbering = NextNumber(_WATCHED)  # `_next` is after the highest number, or negative after a reconnection
        self._follows = self._numbering.takes
        self._before: int | None = None  # what it was before that
        self._killed = False
        self._dropped = 0
        self._errors = 0  # lines of the log that the line with their sum is still to follow
        # time: the lag is looked at unless it is from `_now` to before `_later`
        self._now = self._later = 0.0
        self._steady: float | None = None
        # HEARTBEAT
        self._interval = heartbeat
        self._shown = False  # the interval, by two of them
        self._uptime: int | None = None
        self._heard: float | None = None
        self._stalled = False

    @property
    def subscribed_all(self) -> bool:
        """Whether all is subscribed to. Set it when that changes: numbers missing until then are forgotten."""
        return self._all

    @subscribed_all.setter
    def subscribed_all(self, value: bool) -> None:
        self._all = value
        self._numbers.forget()

    def see(self, message: Message, now: float, steady: float | None = None) -> list[Loss]:
        """The next message came.

        Args:
            message: any message.
            now: the time when it was received, as `time.time()`.
            steady: the same moment as `time.monotonic()`. With it a jump of our clock is noticed at once.

        Returns:
            What is known to be lost by now and was not told before; mostly nothing.
        """
        if not self._now <= now < self._later:
            self._later_on(message, now, steady)
        name = self._follows(message)
        if name is None:
            self._look(message, now)
        elif name:
            self._watched(message, name, self._numbering._next - 1, now)
        return self._told() if self._found else []

    def see_all(self, messages: list[Message], now: float, steady: float | None = None) -> list[Loss]:
        """The next messages came, received together: the same as `see` of each, at a little more than half the cost.

        Example:
            >>> watch = LossWatch()
            >>> watch.see_all([Event.build("DTMF", {"Core-UUID": "c", "Event-Sequence": n}) for n in (1, 2)], now=100.0)
            []
        """
        numbering = self._numbering
        if messages and not self._now <= now < self._later:
            self._later_on(messages[0], now, steady)
        at = numbering.passes(messages, 0)
        while at < len(messages):
            self._at = at
            if numbering._answer is None:
                self._look(messages[at], now)
            else:
                self._watched(messages[at], numbering._answer, numbering._next - 1, now)
            at = numbering.passes(messages, at + 1)
        self._at = 0
        return self._told()

    def _look(self, message: Message, now: float) -> None:
        """What is not just the next event by number."""
        if not isinstance(message, Event) or isinstance(message, Gap):
            self._other(message, now)
            return
        numbering = self._numbering
        numbering._count += 1
        if numbering._count > numbering._until:
            self._judge(now)
        number = _number(message._last("Event-Sequence"))
        if number is None:
            self._unnumbered(message)
            return
        if number == numbering._next:
            numbering._next = number + 1
        else:
            self._jump(message, number, now)
        name = message.get("Event-Name")
        if name in _WATCHED:
            self._watched(message, name, number, now)

    def tick(self, now: float, steady: float | None = None) -> list[Loss]:
        """Time passed; see `see`. This alone notices that nothing comes."""
        if self._pass(now, steady):
            self._judge(now)
        if self._heard is None:
            self._heard = now
        interval = self._interval
        silent = now - self._heard
        if interval is not None and not self._stalled and silent > STALLED_INTERVALS * interval:
            self._stalled = True
            self._add("stalled", None, None, f"no HEARTBEAT for {silent:.1f} s, expected one every {interval:g} s")
        return self._told()

    def ended(self, why: BaseException | str, now: float) -> list[Loss]:
        """The connection ended.

        Args:
            why: the exception, or the reason in words. Of those that say that something was lost: `ReaderTooSlow`, and
                an `IncompleteFrame` or another with the switch's notice in it.
            now: the time.
        """
        if isinstance(why, ReaderTooSlow):
            self._add("certain", None, None, f"we ended the connection: {why}")
        else:
            reason = why.reason if isinstance(why, IncompleteFrame) else str(why)
            self._ended(reason or str(why))
        return self._told()

    def dropped(self, total: int, now: float) -> list[Loss]:
        """What our client dropped itself, as `fs.stats()["dropped"]` says: the sum until now.

        Example:
            >>> watch = LossWatch()
            >>> watch.dropped(5, now=1.0), watch.dropped(5, now=2.0)
            ([Loss(grade='certain', count=5, at_most=5, evidence='dropped by us: 5 messages')], [])
        """
        more = total - self._dropped if total >= self._dropped else total
        self._dropped = total
        if more:
            self._add("certain", more, more, f"dropped by us: {more} messages")
        return self._told()

    def clock_jumped(self, seconds: float) -> None:
        """Our clock was set forward by so many seconds (or back), and somebody noticed. `steady` does so too."""
        self.lag.restart()
        self._numbers.moved(seconds)
        if self._heard is not None:
            self._heard += seconds

    # What else than events

    def _other(self, message: Message, now: float) -> None:
        """What is no event of the switch."""
        if isinstance(message, Gap):
            self.gaps += 1
            self._ended(message.reason)
            self._reconnects()
            self._heard, self._stalled = now, False  # nobody could hear it: it is waited for anew
        elif isinstance(message, AuthRequest):
            self._reconnects()
        elif isinstance(message, DisconnectNotice):
            self._ended(message.text)
        elif isinstance(message, LogLine):
            self._logged(message)

    def _ended(self, reason: str) -> None:
        if _KILLED not in reason or self._killed:
            return
        self._killed = True
        count = None if "log lines" in reason else KILLED_EVENTS
        self._add("certain", count, None, f"the switch ended the connection: {' '.join(reason.split())[:80]}")

    def _logged(self, line: LogLine) -> None:
        """The switch logs what did not fit into a queue, of whichever connection; each event, and then the sum."""
        if line.file != "mod_event_socket.c":
            return
        found = _LOG.match(line.text)
        if found is None:
            return
        if found["error"]:
            self._errors += 1
            count = 1
        else:
            count = max(int(found["lost"]) - self._errors, 0)
            self._errors = 0
        if count:
            self._add("certain", count, count, f"on this switch, by its log: {found[0][found[0].find('.c:') + 3 :]}")

    def _unnumbered(self, event: Event) -> None:
        """An event that cannot be read, or that a notice was written into."""
        if event.malformed is not None:
            self.malformed += 1
        if _MARK in (event.payload or b""):
            self._ended(f"{_KILLED} events, written into a half-sent event")
        else:
            self._numbers.drawn(self._numbering._next)

    # Numbers

    def _jump(self, event: Event, number: int, now: float) -> None:
        """A number that does not follow the highest."""
        numbering = self._numbering
        expected = numbering._next
        if expected < 0:
            self._begin(event, number)
        elif number > expected:
            numbering._next = number + 1
            if self._all:
                self._numbers.jumped(number, expected, numbering._count, now)
        elif not self._numbers.late(number) and event._last("Core-UUID") != self._core:
            self._begin(event, number)

    def _reconnects(self) -> None:
        """What comes next is of another connection."""
        if self._numbering._next >= 0:
            self._before = self._numbering._next
            self._numbering._next = -1

    def _begin(self, event: Message, number: int) -> None:
        """The first event of a connection, or of another run of the switch."""
        core, expected = event._last("Core-UUID"), self._before
        if expected is not None and core == self._core:
            missing = max(number - expected, 0) + self._numbers.missing
            if missing:
                evidence = f"reconnected: highest number {expected - 1}, then {number}, same Core-UUID"
                self._add("bounded", None, missing, evidence)
            self._numbering._next = max(number + 1, expected)
        else:
            self._numbering._next = number + 1
            self._core = core
            self._sessions = Sessions()
            self._uptime, self._shown = None, False
            self.lag.restart()
        self._before = None
        self._numbers.forget()
        self._killed = False

    def _judge(self, now: float) -> None:
        self._numbering._until = self._numbering._count + JUDGE_EVERY
        runs = self._numbers.judge(self._numbering._count, now)
        if runs:
            missing = sum(map(len, runs))
            more = f" and {len(runs) - _SHOWN} more" if len(runs) > _SHOWN else ""
            self._add("probable", missing, missing, f"numbers missing: {_listed(runs)}{more}")

    # Certain kinds of events

    def _watched(self, event: Message, name: str, number: int, now: float) -> None:
        if name == "CHANNEL_CREATE":
            self._sessions.create(number)
        elif name == "CHANNEL_HANGUP":
            if event.get("Channel-State") == _NOT_STARTED:
                self._sessions.create(number)
        elif name == "HEARTBEAT":
            self._heartbeat(event, number, now)
        elif self._all and (name != "CUSTOM" or event.get("Event-Subclass") == _LOOKED_UP):
            self._numbers.drawn(number)

    def _heartbeat(self, event: Message, number: int, now: float) -> None:
        core, begun, uptime, command = event.select("Core-UUID", "Session-Since-Startup", "Uptime-msec", "Command")
        if command is not None:  # somebody sent it
            return
        if core != self._core:
            self._begin(event, number)
        self._heard, self._stalled = now, False
        if uptime is not None and uptime.isdecimal():
            self._note_interval(int(uptime))
        if self._creates and begun is not None and begun.isdecimal():
            missing = self._sessions.heartbeat(number, int(begun))
            if missing is not None:
                self._add("counted", missing.creates, None, _counted(missing))

    def _note_interval(self, uptime: int) -> None:
        """The least time between two is the interval: one of them may have been lost."""
        before, self._uptime = self._uptime, uptime
        if self._interval is None or before is None or uptime <= before:
            return
        seconds = (uptime - before) / 1000
        self._interval = min(self._interval, seconds) if self._shown else seconds
        self._shown = True

    # Time

    def _pass(self, now: float, steady: float | None) -> bool:
        """Time goes on. Returns whether it did."""
        before, self._now, self._later = self._now, now, now + SAMPLE_SECONDS
        last, self._steady = self._steady, steady
        if self._heard is None:
            self._heard = now
            return True
        step = now - before
        if last is not None and steady is not None:
            jump = step - (steady - last)
            if abs(jump) > JUMP_SECONDS:
                self.clock_jumped(jump)
        elif step < -JUMP_SECONDS:
            self.clock_jumped(step)
        return step > 0

    def _later_on(self, message: Message, now: float, steady: float | None) -> None:
        """Time went on until this came. What is longer than an interval at once was a clock, or nobody looked."""
        before, heard = self._now, self._heard
        if self._pass(now, steady):
            self._judge(now)
        if steady is None and heard is not None and now - before > (self._interval or HEARTBEAT_SECONDS):
            self._heard = heard + now - before
        if isinstance(message, Event):
            self._look_at_lag(message, now)

    def _look_at_lag(self, event: Event, now: float) -> None:
        stamp = event._last("Event-Date-Timestamp")
        if stamp is not None and stamp.isdecimal() and len(stamp) <= 17:
            self.lag.sample(int(stamp) / 1e6, now, self._numbering._count)

    def _add(self, grade: Grade, count: int | None, at_most: int | None, evidence: str) -> None:
        self._found.append(Loss(grade, count, at_most, evidence))
        self._places.append(self._at)

    def _told(self) -> list[Loss]:
        if not self._found:
            return []
        found, self._found = self._found, []
        self.places, self._places = self._places, []
        return found


def _listed(runs: list[Run]) -> str:
    return ", ".join(map(str, runs[:_SHOWN]))


def _number(text: str | None) -> int | None:
    """A number of the wire, if it is one that fits."""
    return int(text) if text is not None and len(text) <= 18 and text.isdecimal() else None


def _counted(missing: Missing) -> str:
    return (
        f"{missing.sessions} sessions began between the HEARTBEATs {missing.first} and {missing.last}, "
        f"{missing.creates} of them without CHANNEL_CREATE"
    )
