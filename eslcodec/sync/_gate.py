"""A gate: where a thread waits while another one reads the socket, and how it is woken."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress


class Gate:
    """Where a thread waits while another one reads. Most never have to, so the lock is made when one does."""

    __slots__ = ("_bar", "_called", "_woken")

    def __init__(self, woken: deque[Gate]) -> None:
        self._bar: threading.Lock | None = None
        self._called = False  # before it was shut
        self._woken = woken

    def call(self) -> None:
        """Have it opened as soon as the lock of the connection is free."""
        if self._bar is None:
            self._called = True
        else:
            self._woken.append(self)

    def shut(self) -> None:
        """Before a wait, with the lock."""
        if self._bar is None:
            bar = threading.Lock()
            if not self._called:
                bar.acquire()
            self._bar = bar

    def open(self) -> None:
        if self._bar is not None:
            with suppress(RuntimeError):  # it is open
                self._bar.release()

    def wait(self, seconds: float) -> None:
        if self._bar is not None:
            self._bar.acquire(timeout=seconds)


def forget(gates: list[Gate], gate: Gate) -> None:
    if gate in gates:
        gates.remove(gate)
