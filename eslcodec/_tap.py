"""A tap: what hears each byte that a client reads and sends, and what becomes of one that fails.

`connect(tap=)` takes one, `serve(tap=)` a function that gives one for a call. What a tap raises is not the client's
fault and must not become its trouble: the tap is dropped for good, and the log says so once.

    >>> class Counter:
    ...     size = 0
    ...     def opened(self, peer): ...
    ...     def received(self, data): self.size += len(data)
    ...     def sent(self, data): raise OSError("no space left")
    >>> tapping = Tapping(Counter())
    >>> tapping.received(b"Content-Type: auth/request\\n\\n")
    >>> tapping.tap.size, tapping.stats()
    (28, {'failed': None})
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable
from typing import Any, Final, Protocol

from ._address import address

_LOG: Final = logging.getLogger("eslcodec.tap")
_taken: Final[weakref.WeakValueDictionary[int, Tapping]] = weakref.WeakValueDictionary()  # exclusive taps, by id
_IN_USE: Final = "which is in use for another connection, expected one for each client"
_taken_lock: Final = threading.RLock()  # a signal's handler may close a client


class Tap(Protocol):
    """What `connect(tap=)` takes: an object that hears what is read and sent, in order, each byte once.

    It is called by whoever reads, in the middle of a step of the client: it must return soon, and not call the client.
    If one of its methods raises, it is dropped with a line in the log (logger "eslcodec"), `flow.Stats.tap` says why,
    and the connection goes on.

    A tap may have two methods more: `closed(reason)`, called when a connection has ended, and `stats()`, whose dict is
    shown in `flow.Stats.tap`. With a true `exclusive` it is for one connection at a time: another one is refused.

    Example:
        >>> from eslcodec import connect
        >>> from eslcodec.emulator import Emulator
        >>> class Transcript:
        ...     def __init__(self): self.said = []
        ...     def opened(self, peer): self.said.append("opened")
        ...     def received(self, data): self.said.append(bytes(data[:26]))
        ...     def sent(self, data): self.said.append(data)
        >>> transcript = Transcript()
        >>> with Emulator() as switch, connect(switch.host, switch.port, tap=transcript) as fs:
        ...     transcript.said[:3]
        ['opened', b'Content-Type: auth/request', b'auth ClueCon\\n\\n']
    """

    def opened(self, peer: tuple[str, int]) -> object:
        """There is a connection to this host (as it was given) and port; what follows is of it. Also after a
        reconnection."""

    def received(self, data: memoryview) -> object:
        """Exactly what one read brought, not parsed yet. The memory is the client's: copy what is to be kept."""

    def sent(self, data: bytes) -> object:
        """Commands that were given to the socket; the last of them may not have left when the connection ends."""


class Tapping:
    """The tap of one client over all its connections, until it fails.

    Args:
        tap: it; None if there is none.

    Attributes:
        tap: the same; None once it has failed.
        failed: why it was dropped, None while it was not.

    Raises:
        ValueError: it is for one connection at a time, and another client has one.
    """

    def __init__(self, tap: Tap | None) -> None:
        if getattr(tap, "exclusive", False) and id(tap) in _taken:
            raise ValueError(f"tap is {tap!r:.80}, {_IN_USE}")
        self.tap = tap
        self.failed: str | None = None
        self._peer = ("", 0)
        self._open = False

    def opened(self, peer: tuple[str, int]) -> None:
        """There is a connection."""
        if self.tap is None:
            return
        self._peer, self._open = peer, True
        try:
            if getattr(self.tap, "exclusive", False):
                self._take(self.tap)
            self.tap.opened(peer)
        except Exception as error:
            self._drop(error)

    def received(self, data: memoryview) -> None:
        """A read brought something."""
        if self.tap is not None:
            try:
                self.tap.received(data)
            except Exception as error:
                self._drop(error)

    def sent(self, data: bytes) -> None:
        """Commands were given to the socket."""
        if self.tap is not None:
            try:
                self.tap.sent(data)
            except Exception as error:
                self._drop(error)

    def closed(self, reason: str) -> None:
        """The connection has ended."""
        tap = self.tap
        if tap is None or not self._open:
            return
        self._open = False
        try:
            closed = getattr(tap, "closed", None)
            if closed is not None:
                closed(reason)
        except Exception as error:
            self._drop(error)
        finally:
            self._release(tap)

    def stats(self) -> dict[str, Any] | None:
        """For `Stats.tap`: what it says of itself, and why it was dropped; None if there never was one."""
        if self.tap is None:
            return None if self.failed is None else {"failed": self.failed}
        said: dict[str, Any] = {}
        try:
            said = dict(getattr(self.tap, "stats", dict)())
        except Exception as error:
            self._drop(error)
        return {**said, "failed": self.failed}

    def leave(self) -> None:
        """In a child process: the tap is the parent's (see `_fork`)."""
        self.tap, self.failed = None, "the process is a fork"
        _taken.clear()

    def _take(self, tap: Tap) -> None:
        with _taken_lock:
            if _taken.setdefault(id(tap), self) is not self:
                raise ValueError(f"tap is {tap!r:.80}, {_IN_USE}")

    def _release(self, tap: Tap) -> None:
        with _taken_lock:
            if _taken.get(id(tap)) is self:
                del _taken[id(tap)]

    def _drop(self, error: Exception) -> None:
        tap, self.tap = self.tap, None
        self.failed = f"{type(error).__name__}: {error}"
        _LOG.error("the tap of %s failed, and is not told any more: %s", address(*self._peer), self.failed)
        if tap is not None:
            self._release(tap)


class CallTapping(Tapping):
    """The tap of a call. Which one it is can be asked once the channel's data is there: what is read and sent before
    that is kept for it.

    Example:
        >>> class Printer:
        ...     def opened(self, peer): print("opened", peer)
        ...     def received(self, data): print("received", bytes(data))
        ...     def sent(self, data): print("sent", data)
        >>> tapping = CallTapping(lambda call: Printer())
        >>> tapping.opened(("127.0.0.1", 40718))
        >>> tapping.sent(b"connect\\n\\n")
        >>> tapping.received(memoryview(b"Content-Type: command/reply"))
        >>> tapping.use(tapping.choose("the call"))
        opened ('127.0.0.1', 40718)
        sent b'connect\\n\\n'
        received b'Content-Type: command/reply'
    """

    def __init__(self, choose: Callable[[Any], Tap | None]) -> None:
        self._held = _Held()
        super().__init__(self._held)
        self._choose = choose

    def choose(self, call: Any) -> Tap | None:
        """Have it chosen; None too if that fails, which is logged."""
        try:
            tap = self._choose(call)
            check_tap(tap)
        except Exception as error:
            self._drop(error)
            return None
        return tap

    def use(self, tap: Tap | None) -> None:
        """From now on it is this one, which hears what was kept. Nothing may be read or sent meanwhile."""
        self.tap = tap
        held, self._held = self._held, _Held()
        for tell, what in held.heard:
            getattr(self, tell)(what)


class _Held:
    """What is kept for a tap that is not there yet. `limits.LOGIN_BYTES` bounds it."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Any]] = []

    def opened(self, peer: tuple[str, int]) -> None:
        self.heard.append(("opened", peer))

    def received(self, data: memoryview) -> None:
        self.heard.append(("received", bytes(data)))

    def sent(self, data: bytes) -> None:
        self.heard.append(("sent", data))

    def closed(self, reason: str) -> None:
        self.heard.append(("closed", reason))


def check_tap(tap: object) -> None:
    """Whether it can be a tap.

    Raises:
        TypeError: it has not the methods.

    Example:
        >>> check_tap(print)
        Traceback (most recent call last):
            ...
        TypeError: tap is <built-in function print>, expected an object with opened(), received() and sent(), or None
    """
    if tap is None:
        return
    if isinstance(tap, type) or not all(callable(getattr(tap, name, None)) for name in ("opened", "received", "sent")):
        raise TypeError(f"tap is {tap!r:.80}, expected an object with opened(), received() and sent(), or None")


def check_chooser(tap: object) -> None:
    """Whether it can choose a tap for a call.

    Raises:
        TypeError: it is no function.

    Example:
        >>> check_chooser(lambda call: None)
    """
    if tap is not None and not callable(tap):
        raise TypeError(f"tap is {tap!r:.80}, expected a function that gives a tap for a call, or None")
