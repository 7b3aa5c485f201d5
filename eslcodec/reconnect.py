"""What happens to a client whose connection ended: when to dial again, which end is final, what its readers are told.

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

import os
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from . import limits
from ._codec import Message
from .errors import AccessDenied, AuthError, ConnectionClosed, ESLError, InvalidCommand
from .events import Event, Gap

Password = str | Callable[[], str] | os.PathLike[str]
"""What `connect` takes: the password, or what gives it anew at each attempt: a function, or the path of a file."""


def password_now(password: Password | None) -> str:
    """The password as it is now: what a function returns, or what stands in a file, without blanks around it.

    Example:
        >>> password_now(None), password_now("secret"), password_now(lambda: "new secret")
        ('ClueCon', 'secret', 'new secret')
    """
    if password is None:
        return "ClueCon"
    if isinstance(password, str):
        return password
    if isinstance(password, os.PathLike):
        return Path(password).read_text(encoding="utf-8", errors="surrogateescape").strip()
    return password()


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
        refused: whether the switch refused what had been subscribed to before.

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
    refused: bool = False

    @property
    def worth_retrying(self) -> bool:
        """Whether another connection may fare better: not if we left, nor if we were not let in."""
        return not self.asked and not isinstance(self.error(), (AuthError, AccessDenied))


class GapNotice:
    """The notice of what was missed between two connections, for the second: made once, when it is first asked for.

    Args:
        make: makes it; None if there was no connection before.

    Attributes:
        is_open: whether it still lacks what the first event after it says.

    Example:
        >>> notice = GapNotice(lambda: Gap.of(2.5, "gone", None))
        >>> notice.now().seconds, notice.now() is notice.now(), notice.is_open
        (2.5, True, True)
        >>> notice.resume([Event.build("HEARTBEAT", {"Core-UUID": "8f08a03a"})])
        >>> notice.is_open
        False
    """

    def __init__(self, make: Callable[[], Gap] | None) -> None:
        self.is_open = False
        self._make = make
        self._gap: Gap | None = None

    def now(self) -> Gap:
        """The notice; what was missed ends here."""
        if self._gap is None:
            assert self._make is not None
            self._gap, self.is_open = self._make(), True
        return self._gap

    def resume(self, messages: Iterable[Message]) -> None:
        """These came after it; the first event among them completes it."""
        for message in messages:
            if isinstance(message, Event) and "Core-UUID" in message:
                self.now().resume(message)
                self.is_open = False
                return


class Reconnection:
    """What one client has to remember over all its connections. Not safe for several threads at once, except `close`.

    It goes through `lost`, then `dialling` at `due` and `failed` any number of times, then `usable`; or it is `over`.

    Args:
        backoff: the pauses before the attempts; None: nothing is set up again.
        renews: whether the password is read again for each attempt. A refused login is tried again then, slowly: after
            the longest pause.

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

    def __init__(self, backoff: Backoff | None, *, renews: bool = False) -> None:
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
        self._said: End | None = None  # why the switch ended the last attempt
        self._renews = renews
        self._refusals = 0  # of what was subscribed to, in a row
        self._news = ""  # why the last attempt failed

    @classmethod
    def of(cls, reconnect: bool | Backoff, password: Password | None, connect_first: bool) -> Reconnection:
        """The books of a client with these options.

        Raises:
            ValueError: `connect_first` without `reconnect`.
        """
        if connect_first and not reconnect:
            raise ValueError("connect_first lets reconnect cover the first connection too: give reconnect as well")
        backoff = Backoff() if reconnect is True else reconnect or None
        if not (password is None or isinstance(password, str | os.PathLike) or callable(password)):
            raise TypeError(
                f"password is of type {type(password).__name__}, expected text, a path, or a function that returns it"
            )
        return cls(backoff, renews=not isinstance(password, str | None))

    @property
    def reconnects(self) -> bool:
        """Whether connections are set up again at all."""
        return self._backoff is not None

    def returns_from(self, end: End) -> bool:
        """Whether a connection that ended so may be set up again."""
        return self._backoff is not None and self.over is None and not self._closed and end.worth_retrying

    def lost(self, end: End, *, lasted: float, since: float, now: float, last: Event | None = None) -> None:
        """The connection has ended.

        Args:
            end: why.
            lasted: seconds. After a connection that lasted no longer than the pause before it the pauses go on growing.
            since: since when something may have been missed.
            now: the time.
            last: the last event on it.
        """
        self._since, self._last = since, last or self._last
        if not self.returns_from(end):
            self.over = self.over or end
            return
        self.away = end
        self._failure = self._said = None
        assert self._backoff is not None
        if lasted > self._pause:
            self._number = 0
        self.plan(now)

    def plan(self, now: float, *, slowly: bool = False) -> None:
        """Set `due` for the next attempt, or `over` if no attempt is left."""
        if self.due is not None or self.over is not None:
            return
        pause = None if self._backoff is None else self._backoff.pause(self._number)
        if pause is None:
            self.over = self._exhausted()
        else:
            assert self._backoff is not None
            self._number += 1
            self._pause = self._backoff.longest if slowly else pause
            self.due = now + self._pause

    def dialling(self) -> None:
        """An attempt begins. If neither `failed` nor `usable` follows, `plan` plans the next."""
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
            since: if a gap was told on its connection: since when something may have been missed after it.
            last: the last event on it.
        """
        self._failure = error
        if self.over is not None:
            return
        self.over = self._final(error, end)
        if self.over is not None:
            return
        if end is not None and since is not None:
            self.away, self._since, self._last = end, since, last or self._last
        self.plan(now, slowly=isinstance(error, AuthError))

    def _final(self, error: Exception, end: End | None) -> End | None:
        """The end for good, if an attempt that failed so means that."""
        self._said = None
        if isinstance(error, InvalidCommand) and not self._renews:  # who we are cannot be said
            return End(str(error), False, False, InvalidCommand(str(error)).again)
        if end is None or (end.worth_retrying and not end.refused):
            return None
        self._said = end
        if end.refused:
            self._refusals += 1
            return end if self._refusals >= limits.RESUBSCRIBE_TRIES else None
        return None if self._renews and isinstance(error, AuthError) else end

    def usable(self) -> None:
        """The attempt succeeded: there is a connection again."""
        self.away = self.due = self._failure = self._said = None
        self._refusals = 0
        self._news = ""

    def is_news(self, error: Exception) -> bool:
        """Whether an attempt failed for another reason than the one before; else the log need not say it again.

        Args:
            error: of the attempt.
        """
        before, self._news = self._news, str(error)
        return before != self._news

    def gap(self, now: float) -> Gap:
        """The notice for readers, of what was missed until now."""
        return Gap.of(max(now - self._since, 0), "" if self.away is None else self.away.reason, self._last)

    def close(self) -> None:
        """We do not want it any more. Any thread may say so."""
        self._closed = True
        if self.away is not None and self.over is None:
            self.over = End(self.away.reason, True, True, self.away.error)

    def told(self, end: End) -> ESLError | None:
        """What a reader is told once everything was read and nothing will come: an error, or None if reading just ends.

        Args:
            end: of the last connection.
        """
        final = self.over or end
        return None if self._closed or final.clean else final.error()

    def _exhausted(self) -> End:
        """The end when no attempt is left: an error, even if the switch had said good-bye."""
        away, failure = self.away, self._failure
        if self._said is not None:
            return self._said

        def error() -> ESLError:  # not before it is asked for: until then `failure` may be raised, with its traceback
            made = ConnectionClosed(str(failure)) if away is None else away.error()
            made.__cause__ = made.__cause__ or (failure and failure.with_traceback(None))
            return made

        return End(str(failure) if away is None else away.reason, False, False, error)
