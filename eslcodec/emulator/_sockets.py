"""The emulator's sockets: who is let in, what is read and written, and how all stand still. In its thread alone."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable
from enum import IntEnum
from typing import Final, Protocol

from ..errors import ESLError
from ._faults import Fault, Trouble
from ._listener import Listener
from ._model import SHUTDOWN
from ._replay import FOREVER, Programme, Replay
from ._switch import Switch
from ._thread import LoopThread

LOGIN_SECONDS: Final = 25.0
"""Seconds within which the first command has to be complete."""
_CHUNK_BYTES: Final = 256 << 10
"""Bytes that are handed to a socket at once. A reply waits for no more than these."""
_TURN_BYTES: Final = 8 << 20
"""Bytes for one connection after which the others have their turn."""
_BURST: Final = 1000
"""Frames that a replay at full speed produces between two looks at the sockets."""
_TICK_SECONDS: Final = 0.01
"""Seconds after which a replay at a rate produces what is due."""
_STANDSTILL_SECONDS: Final = 0.1
"""How long a switch stands still at least, for all to see it: a kernel now and then takes what nobody reads yet."""
_GRACE_SECONDS: Final = 1.0
"""How long a connection that has said goodbye waits for the client to close: what it still sends must not reset it."""


class Settings(Protocol):
    """What holds for connections that come, and may be changed while the emulator runs."""

    @property
    def allow(self) -> bool | Callable[[str], bool]: ...

    @property
    def login_timeout(self) -> float: ...

    @property
    def fault(self) -> Fault | None: ...

    @property
    def faults(self) -> deque[Fault | None]: ...


class Sockets:
    """The socket that listens and those of all connections.

    Args:
        switch: what the connections share.
        thread: where all happens.
        settings: what holds for connections that come.
        programme: what is replayed to each; None if nothing is.

    Attributes:
        switch: what the connections share.
        thread: where all happens.
        settings: what holds for connections that come.
        connections: those that are open.
        server: the socket that listens.
    """

    def __init__(self, switch: Switch, thread: LoopThread, settings: Settings, programme: Programme | None) -> None:
        self.switch = switch
        self.thread = thread
        self.settings = settings
        self.connections: set[Connection] = set()
        self.server: socket.socket | None = None
        self._programme = programme
        self._freezing: Connection | None = None
        self._thaws_from = 0.0

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """That of the thread, which runs."""
        assert self.thread.loop is not None
        return self.thread.loop

    # Connections

    def listen(self, host: str, port: int) -> int:
        """Open the socket that listens; give its port."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.server = socket.create_server((host, port), family=family, backlog=1024)
        self.server.setblocking(False)
        number: int = self.server.getsockname()[1]
        return number

    def watch(self) -> None:
        """Wait for connections unless all stands still."""
        assert self.server is not None
        if self.server.fileno() < 0:
            return
        if self.frozen:
            self.loop.remove_reader(self.server)
        else:
            self.loop.add_reader(self.server, self._accept)

    def _accept(self) -> None:
        assert self.server is not None
        while True:
            try:
                sock, address = self.server.accept()
            except OSError:  # nobody waits any more, or there are no descriptors left
                return
            sock.setblocking(False)
            self.open(sock, Listener(self.switch, peer=address), refused=not self._lets_in(address[0]))

    def _lets_in(self, address: str) -> bool:
        allow = self.settings.allow
        try:
            return bool(allow(address) if callable(allow) else allow)
        except BaseException as error:  # another's function: who connects must not wait for its bug
            self.switch.core.errors.append(error)
            return False

    def open(self, sock: socket.socket, listener: Listener, *, refused: bool = False) -> None:
        """Serve a connection.

        Args:
            sock: its socket, which does not block.
            listener: what it is to the switch.
            refused: it is turned away.
        """
        faults = self.settings.faults
        fault = faults.popleft() if faults else self.settings.fault
        replay = None if self._programme is None else self._programme.replay(listener)
        connection = Connection(self, sock, listener, fault, replay)
        self.connections.add(connection)
        self.switch.tell(listener, "connected")
        connection.open(refused)
        self.thread.notify()

    def closed(self, connection: Connection) -> None:
        """A connection has ended."""
        self.connections.discard(connection)
        connection.listener.end()
        self.thaw(connection)
        self.thread.notify()

    def drop(self) -> None:
        """Close every connection without a notice, wherever in a frame that is."""
        for connection in list(self.connections):
            connection.close()

    def close(self) -> None:
        """Close every connection, as a switch that is being shut down, and listen no more."""
        if self.server is not None:
            self.loop.remove_reader(self.server)
            self.server.close()
        while self._freezing is not None:  # one after the other, if several are being killed
            self._freezing.close()
        self.switch.core.forget_held()
        for connection in list(self.connections):
            connection.dismiss(SHUTDOWN)

    # Standing still

    @property
    def frozen(self) -> bool:
        """Whether all stands still because a slow reader is being killed."""
        return self._freezing is not None

    def stops(self, connection: Connection) -> bool:
        """Whether a connection stands still because another one is being killed."""
        return self._freezing not in (None, connection)

    def freezes_for(self, connection: Connection) -> bool:
        """Whether all others stand still for this connection."""
        return self._freezing is connection

    def freeze(self, connection: Connection) -> None:
        """Nothing is accepted, read, written or fired until this connection has taken its notice."""
        self._freezing = connection
        self._thaws_from = self.loop.time() + _STANDSTILL_SECONDS
        self.switch.core.freeze()
        self._watch_all()
        self.thread.notify()

    def thaw(self, connection: Connection) -> None:
        """This connection has taken its notice, or is gone: go on, if that is what all waited for."""
        if self._freezing is not connection or self.thread.loop is None:
            return
        soon = self._thaws_from - self.loop.time()
        if soon > 0 and not connection.closed:
            self.loop.call_later(soon, self.thaw, connection)
            return
        self._freezing = None
        self.switch.core.thaw()
        self._watch_all()
        for other in list(self.connections):
            other.flush()  # and another killed one may be among them
        self.switch.core.catch_up()
        self.thread.notify()

    def _watch_all(self) -> None:
        self.watch()
        for connection in self.connections:
            connection.watch()


class _Phase(IntEnum):
    """How far a socket has come."""

    OPEN = 0
    DRAINED = 1  # all is said; the client has time to read it
    CLOSED = 2


class Connection:
    """The socket of a listener: reads, writes, and what goes wrong with it.

    Args:
        sockets: all of them.
        sock: its own.
        listener: what it is to the switch.
        fault: what goes wrong with it.
        replay: what is sent to it of a capture.

    Attributes:
        listener: what it is to the switch.
        unsent: what the socket has not yet taken.
    """

    def __init__(
        self, sockets: Sockets, sock: socket.socket, listener: Listener, fault: Fault | None, replay: Replay | None
    ) -> None:
        self.listener = listener
        self.unsent = memoryview(b"")
        self._sockets = sockets
        self._loop = sockets.loop
        self._sock = sock
        self._trouble = Trouble(fault, self._loop.call_later, self.flush)
        self._replay = replay
        self._phase = _Phase.OPEN
        self._blocked = False  # the socket takes no more
        self._woken = False  # `flush` will be called
        self._producing = False  # `_produce` will be called
        self._timer: asyncio.TimerHandle | None = None

    # Beginning and end

    def open(self, refused: bool) -> None:
        """Greet, or turn away."""
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.listener.attach(self._wake)
        self.watch()
        self._timer = self._loop.call_later(self._sockets.settings.login_timeout, self._too_late)
        greeting = self.listener.refuse() if refused else self.listener.start()
        self.unsent = memoryview(greeting)
        self._strike()
        self.flush()

    @property
    def closed(self) -> bool:
        """Whether its socket is closed."""
        return self._phase is _Phase.CLOSED

    def close(self, *, reset: bool = False) -> None:
        """Close it, wherever in a frame that is.

        Args:
            reset: the client is to see a reset.
        """
        if self.closed:
            return
        self._phase = _Phase.CLOSED
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        if reset:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()
        if self._replay is not None:
            self._replay.close()
        self._sockets.closed(self)

    def dismiss(self, text: bytes) -> None:
        """Send a notice, as far as the socket takes it, and close."""
        self.listener.dismiss(text)
        self.flush()
        self.close()

    def _too_late(self) -> None:
        if not self.listener.commands:
            self.listener.close()

    def _kill(self) -> None:
        """What is half sent is not sent to its end; the notice waits for the reader, the switch does not."""
        self.unsent = memoryview(b"")
        self.listener.end()
        if self._trouble.freeze is not None and self._blocked:
            self._close_in(self._trouble.freeze.seconds)
            self._sockets.freeze(self)
        self._sockets.thread.notify()

    def _finish(self) -> None:
        """Everything is said: close, but leave the client time to read it."""
        if self._phase >= _Phase.DRAINED:
            return
        self._phase = _Phase.DRAINED
        self.listener.end()
        self._close_in(_GRACE_SECONDS)
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.close()
        self._sockets.thread.notify()

    def _close_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, self.close)

    # What is waited for

    @property
    def _still(self) -> bool:
        return self._sockets.stops(self)

    def watch(self) -> None:
        """Wait for what happens next on the socket. A switch that cannot write does not read either."""
        if self.closed:
            return
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        if self._blocked and not self._still:
            self._loop.add_writer(self._sock, self._writable)
        elif not self._still:
            self._loop.add_reader(self._sock, self._readable)

    def _wake(self) -> None:
        """The listener has something to send: send it once the loop comes around."""
        if not self._woken and not self.closed:
            self._woken = True
            self._loop.call_soon(self._awake)

    def _awake(self) -> None:
        self._woken = False
        self.flush()

    # Reading

    def _readable(self) -> None:
        try:
            data = self._sock.recv(_CHUNK_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self.listener.feed(data)
        self._play()
        self.flush()
        self._sockets.thread.notify()

    # Writing

    def flush(self) -> None:
        """Send what there is until the socket takes no more."""
        turn = _TURN_BYTES
        while not self.closed and not self._still:
            if self.listener.killed:
                self._kill()
                if self._sockets.freezes_for(self):  # its socket is full
                    return
            if not self.unsent:
                self.unsent = self._next()
            if not self.unsent:
                break
            count = self._send()
            if not count:
                return
            turn -= count
            if turn <= 0:
                self._wake()
                return
        if not self.closed and not self._still:
            self._block(False)
            if self.listener.closing:
                self._finish()

    def _send(self) -> int:
        """Have the socket take some; 0 if it takes nothing now, or never."""
        size = self._trouble.permits(len(self.unsent))
        if not size:
            return 0
        try:
            count = self._sock.send(self.unsent[:size])
        except (BlockingIOError, InterruptedError):
            self._block(True)
            return 0
        except OSError:
            self.close()
            return 0
        self.unsent = self.unsent[count:]
        self._trouble.sent(count)
        self._strike()
        return count

    def _writable(self) -> None:
        """The socket takes more. A switch looks for commands between two events, so that a stream starves none."""
        self._readable()
        if not self.closed:
            self.flush()

    def _next(self) -> memoryview:
        data = self.listener.pull(_CHUNK_BYTES)
        if data:
            return memoryview(data)
        replay = self._replay
        if replay is None or self.listener.closing or self.listener.held or not self.listener.listening:
            return memoryview(b"")
        try:
            chunk = replay.take(_CHUNK_BYTES)
        except (ESLError, OSError) as error:
            self._break_off(error)
            return memoryview(self.listener.pull())
        if not chunk and replay.over and replay.programme.then == "close":
            self.listener.close()
            return memoryview(self.listener.pull())
        if not chunk and replay.waiting:
            self._wake()  # nothing of this was wanted; others have their turn before there is more
        return chunk

    def _block(self, blocked: bool) -> None:
        if blocked == self._blocked:
            return
        self._blocked = blocked
        self.watch()
        if not blocked:
            self._sockets.thaw(self)

    def _strike(self) -> None:
        """The fault happens, if it is due."""
        fault = self._trouble.due()
        if fault is None:
            return
        if fault.kind in ("cut", "close"):
            self.close(reset=fault.kind == "cut")
        elif fault.kind == "garbage":
            self.unsent = memoryview(fault.data + bytes(self.unsent))

    # Replay

    def _play(self) -> None:
        """Go on with the replay if the client listens, stop it if it does not."""
        replay = self._replay
        if replay is None or replay.on_demand:
            return
        if not self.listener.listening:
            replay.clear()
        elif not self._producing and not replay.over:
            self._producing = True
            self._loop.call_soon(self._produce, replay, self._loop.time(), replay.produced)

    def _produce(self, replay: Replay, since: float, before: int) -> None:
        if self.closed or self.listener.closing or not self.listener.listening or replay.complete:
            self._producing = False
            self.flush()
            return
        if self._still:
            self._loop.call_later(_TICK_SECONDS, self._produce, replay, since, before)
            return
        limit = FOREVER if replay.programme.lossless else self._sockets.switch.core.queue_limit
        try:
            due = replay.due(since, self._loop.time(), before, _BURST)
            replay.produce(due, limit - self.listener.queued)
        except (ESLError, OSError) as error:
            self._break_off(error)
        self.flush()
        self._sockets.thread.notify()
        rate, speed = replay.programme.rate, replay.programme.speed
        delay = max(_TICK_SECONDS, 1 / rate) if rate is not None else 0 if speed is None else _TICK_SECONDS
        self._loop.call_later(delay, self._produce, replay, since, before)

    def _break_off(self, error: Exception) -> None:
        """The recording cannot be read any further: who starts the emulator is told, and the client sees an end."""
        self._loop.call_exception_handler({"message": "a replay ended", "exception": error})
        self.listener.close()
