"""What becomes of a client whose connection ended: when to dial again, what is final, what its readers are told.

Without I/O and without a clock: both clients, the blocking one and that of asyncio, ask `Reconnection`, and pass the
time in, in seconds of a clock of theirs.

    >>> from eslcodec.errors import ConnectionClosed
    >>> books = Reconnection(Backoff(first=1, jitter=0, attempts=2))
    >>> books.lost(End("gone", False, False, lambda: ConnectionClosed("gone")), lasted=60, since=99.5, now=100)
    >>> books.due
    101
    >>> books.dialling()
    >>> books.failed(OSError("no route"), None, now=101)
    >>> books.due
    103.0
    >>> books.gap(now=103).seconds
    3.5
    >>> books.usable()
    >>> books.due, books.away, books.over
    (None, None, None)
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .errors import AccessDenied, AuthError, ESLError
from .events import Event, Gap


@dataclass(frozen=True)
class Backoff:
    """Longer and longer pauses, each cut short at random so that many clients do not come back at the same moment.

    Args:
        first: the first pause in seconds.
        factor: how much longer each next one is.
        longest: bound of a pause in seconds.
        jitter: the part of a pause that chance may take away, 0 to 1.
        attempts: how many before giving up, None for no end.

    Example:
        >>> list(Backoff(first=1, longest=3, jitter=0, attempts=4).delays())
        [1, 2.0, 3, 3]
    """

    first: float = 0.5
    factor: float = 2.0
    longest: float = 30.0
    jitter: float = 0.5
    attempts: int | None = None

    def __post_init__(self) -> None:
        if not (0 <= self.first <= self.longest and self.factor >= 1 and 0 <= self.jitter <= 1):
            raise ValueError(f"expected 0 <= first <= longest, factor >= 1 and jitter from 0 to 1, got {self}")

    def delays(self) -> Iterator[float]:
        """The pauses of one series of attempts, in seconds."""
        number = 0
        while (pause := self.pause(number)) is not None:
            yield pause
            number += 1

    def pause(self, number: int) -> float | None:
        """The pause before an attempt.

        Args:
            number: which attempt of a series, from 0.

        Returns:
            Seconds; None if there is no such attempt any more.
        """
        if self.attempts is not None and number >= self.attempts:
            return None
        try:
            pause = min(self.first * self.factor**number if number else self.first, self.longest)
        except OverflowError:
            pause = self.longest
        return pause if not self.jitter else pause * (1 - self.jitter * random.random())


@dataclass(frozen=True, slots=True)
class End:
    """Why a connection ended.

    Attributes:
        reason: in words, the switch's own where it gave any.
        asked: whether we asked for it: `exit`, or closing our side.
        clean: whether nothing went wrong: we asked, or the switch said good-bye.
        error: makes the exception for those who still waited.

    Example:
        >>> from eslcodec.connection import Connection
        >>> connection = Connection.inbound("ClueCon")
        >>> connection.receive_eof()
        >>> connection.end.clean, connection.end.reason
        (False, 'the switch closed the connection before the login was answered')
    """

    reason: str
    asked: bool
    clean: bool
    error: Callable[[], ESLError]

    @property
    def worth_retrying(self) -> bool:
        """Whether another connection may fare better: not if we left, nor if we were not let in."""
        return not self.asked and not isinstance(self.error(), (AuthError, AccessDenied))


class Reconnection:
    """The books of one client over all its connections. Not safe for several threads at once, but for `close`.

    It goes through `lost`, then `dialling` at `due` and `failed` any number of times, then `usable`; or it is `over`.

    Args:
        backoff: the pauses before the attempts; None: nothing is set up again.

    Attributes:
        away: why there is no connection, while one may come back; None while there is one.
        due: when the next attempt is to be made; None while nothing is planned.
        over: the end for good, None before.

    Example:
        >>> from eslcodec.errors import ConnectionClosed
        >>> books = Reconnection(None)
        >>> books.lost(End("gone", False, False, lambda: ConnectionClosed("gone")), lasted=1, since=8, now=9)
        >>> books.over.reason
        'gone'
    """

    def __init__(self, backoff: Backoff | None) -> None:
        self.away: End | None = None
        self.due: float | None = None
        self.over: End | None = None
        self._backoff = backoff
        self._number = 0  # of the next attempt; not an iterator, which an exception from outside would exhaust
        self._pause = 0.0
        self._since = 0.0
        self._last: Event | None = None
        self._closed = False
        self._failure: Exception | None = None

    def returns_from(self, end: End) -> bool:
        """Whether a connection that ended so may be set up again."""
        return self._backoff is not None and self.over is None and not self._closed and end.worth_retrying

    def lost(self, end: End, *, lasted: float, since: float, now: float, last: Event | None = None) -> None:
        """The connection has ended.

        Args:
            end: why.
            lasted: seconds. A connection that lasted no longer than the pause before it has changed nothing: the
                pauses go on growing.
            since: from when on something may have been missed.
            now: the time.
            last: the last event on it.
        """
        self._since, self._last = since, last or self._last
        if not self.returns_from(end):
            self.over = self.over or end
            return
        self.away = end
        self._failure = None
        assert self._backoff is not None
        if lasted > self._pause:
            self._number = 0
        self.plan(now)

    def plan(self, now: float) -> None:
        """See to it that the next attempt is `due`, or that it is `over`: no attempt is left."""
        if self.due is not None or self.over is not None:
            return
        pause = None if self._backoff is None else self._backoff.pause(self._number)
        if pause is None:
            self.over = self._exhausted()
        else:
            self._number += 1
            self._pause = pause
            self.due = now + pause

    def dialling(self) -> None:
        """An attempt begins. If it is never heard of again, `plan` plans the next."""
        self.due = None

    def failed(
        self,
        error: Exception,
        end: End | None,
        *,
        now: float,
        since: float | None = None,
        last: Event | None = None,
    ) -> None:
        """The attempt came to nothing.

        Args:
            error: what it failed with.
            end: of its connection, if it got so far.
            now: the time.
            since: if a gap was told on it: from when on something may have been missed since.
            last: the last event on it.
        """
        self._failure = error
        if self.over is not None:
            return
        if end is not None and not end.worth_retrying:
            self.over = end
            return
        if end is not None and since is not None:
            self.away, self._since, self._last = end, since, last or self._last
        self.plan(now)

    def usable(self) -> None:
        """The attempt succeeded: there is a connection again."""
        self.away = self.due = self._failure = None

    def gap(self, now: float) -> Gap:
        """What a reader is told who goes on behind what was missed."""
        return Gap.of(max(now - self._since, 0), "" if self.away is None else self.away.reason, self._last)

    def close(self) -> None:
        """We do not want it any more. Any thread may say so."""
        self._closed = True
        if self.away is not None and self.over is None:
            self.over = End(self.away.reason, True, True, self.away.error)

    def told(self, end: End) -> ESLError | None:
        """What a reader is told once everything was read and nothing will come: an error, or None, which is silence.

        Args:
            end: of the last connection.
        """
        final = self.over or end
        return None if self._closed or final.clean else final.error()

    def _exhausted(self) -> End:
        """Whoever asked for reconnection hears that it failed, even if the switch had said good-bye."""
        away, failure = self.away, self._failure
        assert away is not None

        def error() -> ESLError:
            made = away.error()
            made.__cause__ = made.__cause__ or (failure and failure.with_traceback(None))
            return made

        return End(away.reason, False, False, error)
