"""Who may receive: threads take turns."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress


class Turns:
    """A lock that is given to those who wait in the order in which they came. It costs next to nothing while nobody
    waits.

    A thread that calls `recvEvent` in a loop would overtake the others for ever. The turn belongs to the mark that is
    in a dict. It is put there and taken away by atomic operations, which no other thread and no signal can divide. So a
    call that is interrupted, at any point, gives up its turn with `abandon`.
    """

    def __init__(self) -> None:
        self._holder: dict[int, object] = {}
        self._mutex = threading.RLock()  # a signal handler may come here, too
        self._waiters: deque[tuple[object, threading.Lock]] = deque()

    def acquire(self, mark: object, blocking: bool = True) -> bool:
        if not self._waiters and self._holder.setdefault(0, mark) is mark:
            return True
        if not blocking:
            return False
        wake = threading.Lock()
        wake.acquire()
        with self._mutex:
            self._waiters.append((mark, wake))
            self._hand_over()
        wake.acquire()
        return True

    def release(self, mark: object) -> None:
        if self._holder.get(0) is mark:
            del self._holder[0]
        if self._waiters:
            self.abandon(mark)

    def abandon(self, mark: object) -> None:
        """Stop waiting with this mark, and give up the turn if it has it."""
        with self._mutex:
            for waiter in [waiter for waiter in self._waiters if waiter[0] is mark]:
                self._waiters.remove(waiter)
            if self._holder.get(0) is mark:
                del self._holder[0]
            self._hand_over()

    def holds(self, mark: object) -> bool:
        return self._holder.get(0) is mark

    def _hand_over(self) -> None:
        """Give the turn, if nobody has it, to the call that waits longest; with the mutex. Goes on where it was
        interrupted."""
        if self._waiters:
            mark, wake = self._waiters[0]
            if self._holder.setdefault(0, mark) is mark:
                with suppress(RuntimeError):  # it was woken already
                    wake.release()
                self._waiters.popleft()
