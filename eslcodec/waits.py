"""What somebody waits for: a reply, the result of a job, the end of an application, the login.

A `Wait` is settled once, with a value or with an error. It does not know the connection: the `Watchers` that it is made
with count those who wait.

    >>> watchers = Watchers()
    >>> wait: Wait[str] = Wait(watchers, "the answer to api status")
    >>> wait.watch(lambda: print("woken"))
    >>> watchers.count, wait.done
    (1, False)
    >>> wait.finish("UP")
    woken
    >>> wait.result()
    'UP'
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar, cast

from .errors import ConnectionClosed, ESLError
from .events import ApiResponse, CommandReply

T = TypeVar("T")

Reply = CommandReply | ApiResponse
"""What answers a command."""


class Watchers:
    """How many threads or tasks wait for something of one connection.

    Attributes:
        count: that many.
    """

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


class Wait(Generic[T]):
    """What a command, a job, an execution or the login will come to: a value, or an error. Settled once.

    Args:
        watchers: of its connection; who waits for it is counted there.
        what, patient: the attributes.

    Attributes:
        what: what is waited for, for messages; no secret is in it.
        done: whether it is settled.
        patient: whether it may take as long as the application that it runs, so that no default timeout fits.

    Example:
        >>> wait: Wait[int] = Wait(Watchers(), "the answer")
        >>> wait.finish(42)
        >>> wait.fail(ConnectionClosed("too late"))
        >>> wait.done, wait.result()
        (True, 42)
    """

    __slots__ = ("_error", "_sent", "_value", "_wakers", "_watchers", "done", "patient", "what")

    def __init__(self, watchers: Watchers, what: str, *, patient: bool = False) -> None:
        self._watchers = watchers
        self.what = what
        self.patient = patient
        self.done = False
        self._value: T | None = None
        self._error: ESLError | None = None
        self._sent = False
        self._wakers: list[Callable[[], object]] = []

    def result(self) -> T:
        """The value.

        Raises:
            ESLError: what it failed with, a new instance each time.
            RuntimeError: it is not settled yet.
        """
        if not self.done:
            raise RuntimeError(f"{self.what} is not answered yet")
        if self._error is not None:
            error = self._error.again()
            if self._sent and isinstance(error, ConnectionClosed):
                error.maybe_done = True
            raise error
        return cast("T", self._value)

    def watch(self, waker: Callable[[], object]) -> None:
        """Somebody waits now: `waker` is called when it is settled, or when it is no use to wait any longer."""
        self._wakers.append(waker)
        self._watchers.count += 1

    def unwatch(self, waker: Callable[[], object]) -> None:
        """The end of `watch`."""
        self._wakers.remove(waker)
        self._watchers.count -= 1

    @property
    def awaited(self) -> bool:
        """Whether somebody waits for it, or it may take long (`patient`)."""
        return self.patient or bool(self._wakers)

    def wake(self) -> None:
        """Make whoever waits look again."""
        for waker in list(self._wakers):
            waker()

    def finish(self, value: T) -> None:
        """Settle it with a value; no effect if it is settled."""
        if not self.done:
            self.done = True
            self._value = value
            self.wake()

    def fail(self, error: ESLError, *, sent: bool = False) -> None:
        """Settle it with an error; no effect if it is settled.

        Args:
            error: each caller of `result` gets a new instance of it.
            sent: whether the switch may have done what it is about (`ConnectionClosed.maybe_done`).
        """
        if not self.done:
            self.done = True
            self._sent = sent
            self._error = error
            self.wake()

    def __repr__(self) -> str:
        return f"<Wait for {self.what}: {'open' if not self.done else 'failed' if self._error else 'done'}>"
