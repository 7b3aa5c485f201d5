"""The emulator's thread: a loop that serves all connections, and the ways in for every other thread."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """An event loop in a thread of its own. Every method may be called from any thread.

    Args:
        failed: called in the thread with what a callback raised.

    Attributes:
        loop: the event loop; None while the thread does not run.

    Example:
        >>> thread = LoopThread(print)
        >>> thread.start(lambda: None)
        >>> thread.run(lambda: "done in the thread")
        'done in the thread'
        >>> thread.stop(lambda: None)
    """

    def __init__(self, failed: Callable[[BaseException], object]) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._failed = failed
        self._calls: set[Future[Any]] = set()
        self._changed = threading.Condition()
        self._version = 0
        self._stopped = threading.Event()

    def start(self, prepare: Callable[[], None]) -> None:
        """Run the thread.

        Args:
            prepare: called before, in this thread.
        """
        self._stopped.clear()
        self.loop = loop = asyncio.SelectorEventLoop()  # the one that Windows has by default has no add_reader
        loop.set_exception_handler(self._handle)
        prepare()
        self._thread = threading.Thread(target=self._serve, args=[loop], name="eslcodec-emulator", daemon=True)
        self._thread.start()

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run the loop until it is stopped, not until a callback says `sys.exit()`."""
        served = False
        while not served:
            try:
                loop.run_forever()
                served = True
            except BaseException as error:
                self._failed(error)

    def stop(self, finish: Callable[[], None]) -> None:
        """End the thread, if it runs.

        Args:
            finish: called before, in the thread.

        Raises:
            RuntimeError: this is the thread itself.
        """
        loop, thread = self.loop, self._thread
        if loop is None or thread is None:
            return
        if threading.current_thread() is thread:
            raise RuntimeError("a thread cannot end itself: API functions and applications may say switch.shutdown()")
        self.run(finish)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        self.loop = self._thread = None
        for call in list(self._calls):
            call.cancel()
        self._stopped.set()
        self.notify()

    def wait(self, timeout: float | None) -> bool:
        """Wait until it is stopped; False if that did not come in time."""
        return self._stopped.wait(timeout)

    def run(self, call: Callable[[], T]) -> T:
        """Call a function in the thread, or here if that is this one or there is none."""
        loop, thread = self.loop, self._thread
        if loop is None or threading.current_thread() is thread:
            return call()
        future: Future[T] = Future()
        self._calls.add(future)

        def run() -> None:
            try:
                future.set_result(call())
            except BaseException as error:
                future.set_exception(error)

        loop.call_soon_threadsafe(run)
        try:
            return future.result()
        finally:
            self._calls.discard(future)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Have a function called in the thread after some seconds. Only from the thread itself."""
        assert self.loop is not None

        def due() -> None:
            call()
            self.notify()

        self.loop.call_later(seconds, due)

    def notify(self) -> None:
        """Something has happened that others may wait for."""
        with self._changed:
            self._version += 1
            self._changed.notify_all()

    def wait_for(self, condition: Callable[[], T], timeout: float) -> T:
        """Wait until a condition holds, which is looked at whenever something has happened; give what it returned.

        If it does not hold in time, that is false.
        """
        deadline = time.monotonic() + timeout
        while True:
            version = self._version
            result = condition()
            if result or not self._changes(version, deadline - time.monotonic()):
                return result

    def _changes(self, version: int, timeout: float) -> bool:
        """Wait until something has happened since that version."""
        with self._changed:
            return self._changed.wait_for(lambda: self._version != version, timeout)

    def _handle(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._failed(context.get("exception") or RuntimeError(context["message"]))
