"""What goes wrong with a connection of the emulator, on request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal

FREEZE_SECONDS: Final = 600.0
"""After so long a switch gives up telling a slow reader that it is killed: 60 000 tries, 10 ms apart."""


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong with a connection once `after` bytes have been sent on it, the greeting included.

    `freeze` differs: it happens when the connection is killed, and it affects all other connections.

    Example:
        >>> Fault.cut(after=100).kind, Fault.drip(1, every=0.01).size
        ('cut', 1)
    """

    kind: Literal["cut", "close", "stall", "drip", "garbage", "freeze"]
    after: int = 0
    data: bytes = b""
    size: int = 1
    every: float = 0.0
    seconds: float = FREEZE_SECONDS

    @classmethod
    def cut(cls, after: int = 0) -> Fault:
        """The connection is reset, wherever in a frame that is."""
        return cls("cut", after)

    @classmethod
    def close(cls, after: int = 0) -> Fault:
        """The connection is closed without a notice, wherever in a frame that is."""
        return cls("close", after)

    @classmethod
    def stall(cls, after: int = 0) -> Fault:
        """Nothing more is sent; the connection stays open."""
        return cls("stall", after)

    @classmethod
    def drip(cls, size: int = 1, *, every: float = 0.001, after: int = 0) -> Fault:
        """Only `size` bytes are sent every so many seconds."""
        return cls("drip", after, size=size, every=every)

    @classmethod
    def garbage(cls, data: bytes, after: int = 0) -> Fault:
        """These bytes are sent in between."""
        return cls("garbage", after, data)

    @classmethod
    def freeze(cls, seconds: float = FREEZE_SECONDS) -> Fault:
        """The whole switch stands still while it kills this connection for being too slow, as FreeSWITCH does.

        It tells a reader whose queue ran over that it is killed, and holds the lock of all connections until the full
        socket has taken the notice or is closed. No other connection gets an event, a reply or a login meanwhile;
        events that are fired, and log lines, are given out afterwards, all at once; they do not count in `queue_limit`,
        so that nobody loses one of them. Without this fault the emulator kills a slow reader and nobody else notices.

        Args:
            seconds: after which the switch gives up and closes the connection.

        Example:
            >>> import socket
            >>> from eslcodec import connect
            >>> from eslcodec.emulator import Emulator, Fault
            >>> with Emulator(queue_limit=10, faults=[Fault.freeze()]) as switch:
            ...     slow = socket.create_connection((switch.host, switch.port))
            ...     slow.sendall(b"auth ClueCon\\n\\nevent plain ALL\\n\\n")
            ...     _ = switch.wait_for(lambda: "event plain ALL" in switch.commands)
            ...     while not switch.frozen:
            ...         switch.fire("CUSTOM", body="x" * 200_000)
            ...     slow.close()  # or read
            ...     with connect(switch.host, switch.port) as fs:
            ...         fs.api("echo", "at last").text
            'at last'
        """
        return cls("freeze", seconds=seconds)


class _Flow(Enum):
    FREE = "what is sent goes out"
    STALLED = "nothing goes out any more"
    DRIPPING = "a little goes out"
    PAUSED = "a little has gone out, and the next has to wait"


class Trouble:
    """What a fault does to the bytes of one connection.

    Args:
        fault: what goes wrong, None if nothing does.
        later: calls a function after some seconds.
        flush: called when more may be sent.

    Attributes:
        freeze: the fault of a connection that stops all others when it is killed.

    Example:
        >>> trouble = Trouble(Fault.close(after=3), lambda _seconds, _call: None, lambda: None)
        >>> trouble.permits(10), trouble.sent(3), trouble.due()
        (3, None, Fault(kind='close', after=3, data=b'', size=1, every=0.0, seconds=600.0))
    """

    def __init__(
        self,
        fault: Fault | None,
        later: Callable[[float, Callable[[], None]], object],
        flush: Callable[[], None],
    ) -> None:
        self.freeze = fault if fault is not None and fault.kind == "freeze" else None
        self._fault = None if self.freeze else fault
        self._later = later
        self._flush = flush
        self._sent = 0
        self._flow = _Flow.FREE
        self._drip = Fault.drip()

    def permits(self, size: int) -> int:
        """How many bytes of so many may be sent now."""
        if self._flow in (_Flow.STALLED, _Flow.PAUSED):
            return 0
        if self._fault is not None:
            return min(size, self._fault.after - self._sent)
        if self._flow is _Flow.FREE:
            return size
        self._flow = _Flow.PAUSED
        self._later(self._drip.every, self._go_on)
        return min(size, self._drip.size)

    def _go_on(self) -> None:
        self._flow = _Flow.DRIPPING
        self._flush()

    def sent(self, count: int) -> None:
        """So many bytes have been sent."""
        self._sent += count

    def due(self) -> Fault | None:
        """The fault that happens now, once. A stall and a drip take effect here; the caller carries out the others."""
        fault = self._fault
        if fault is None or self._sent < fault.after:
            return None
        self._fault = None
        if fault.kind == "stall":
            self._flow = _Flow.STALLED
        elif fault.kind == "drip":
            self._flow, self._drip = _Flow.DRIPPING, fault
        return fault
