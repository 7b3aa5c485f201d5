"""Looks after blocking connections while nobody reads them: one thread for the whole process.

A blocking client reads when somebody waits, and a program may do something else for a long time. Then the kernel's
buffers fill and the switch queues. In the end the switch kills the connection, and holds the lock of all its other
connections meanwhile. So once a connection has asked for events, this thread reads into its queue when nobody else has
for a while, sends keepalive probes, ends a connection that is too far behind, and has a due reconnection tried. It runs
no handler and keeps no client alive. It is never started for those who use the codec only.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from typing import Final, Protocol

from . import _fork, limits

_LOG: Final = logging.getLogger("eslcodec.client")
_BREATH: Final = 0.001  # seconds before the next round, while there is more to read


class Tended(Protocol):
    """What the caretaker looks after."""

    def _tend(self) -> float | None:
        """Do what is due, without waiting.

        Returns:
            Seconds until the next look; None if there is nothing to look after any more.
        """


class Caretaker:
    """The thread, once it is started, and what it looks after.

    Attributes:
        running: whether the thread is there.
    """

    def __init__(self) -> None:
        self._leave()
        _fork.register(self)

    def _leave(self) -> None:
        """In a child process: the thread is the parent's (see `_fork`)."""
        self.running = False
        self._failed = False
        self._lock = threading.Lock()  # guards the start
        self._called = threading.Event()
        self._tended: weakref.WeakSet[Tended] = weakref.WeakSet()

    def note(self, tended: Tended) -> None:
        """Look after this too, but do not start the thread for it."""
        self._tended.add(tended)

    def take_on(self, tended: Tended) -> None:
        """Look after this from now on."""
        self.note(tended)
        self._start()
        self._called.set()

    def _start(self) -> None:
        with self._lock:
            if self.running or self._failed:
                return
            try:
                threading.Thread(target=self._work, name="eslcodec-caretaker", daemon=True).start()
                self.running = True
            except RuntimeError as error:
                self._failed = True
                _LOG.warning("no caretaker: unread events will pile up in the switch: %s", error)

    def _work(self) -> None:
        while True:
            self._called.wait(self._look_after_all())
            self._called.clear()

    def _look_after_all(self) -> float | None:
        """One round. Seconds until the next one; None if there is nothing to look after."""
        next_look: float | None = None
        for tended in list(self._tended):
            try:
                seconds = tended._tend()
            except Exception:
                _LOG.exception("the caretaker cannot look after %r", tended)
                seconds = limits.CARETAKER_SECONDS
            if seconds is None:
                self._tended.discard(tended)
            else:
                next_look = seconds if next_look is None else min(seconds, next_look)
        return None if next_look is None else max(next_look, _BREATH)


CARETAKER: Final = Caretaker()


def is_wanted(option: bool) -> bool:
    """Whether the caretaker is wanted: not with `caretaker=False`, nor with ESLCODEC_CARETAKER=0 in the environment."""
    return option and os.environ.get("ESLCODEC_CARETAKER") != "0"
