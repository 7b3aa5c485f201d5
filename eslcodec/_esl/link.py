"""One socket to a switch: bytes, frames, the reply to a command, and which thread may receive.

It does not use `eslcodec.connection`: the official module takes the next reply, whichever it is, as the reply to its
command (docs/protocol/esl-module.md, P7.3).
"""

from __future__ import annotations

import select
import socket
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from traceback import walk_tb
from typing import Final, ParamSpec, TypeVar

from .. import _fork
from .._codec import Message, MessageDecoder
from .._ctext import redacted, to_bytes, to_text
from .._shut import reset_at_close, shut_down
from ..errors import IncompleteFrame, ProtocolError
from . import settings
from .frames import KINDS, Notice, ends_connection, is_reply, respell
from .settings import DEBUG, ERROR, log
from .turns import Turns

MAX_BODY_BYTES: Final = 16 << 20
"""The official library ends a connection that announces a larger body (docs/protocol/framing.md, P2.4)."""

MAX_QUEUED_BYTES: Final = 1 << 30
MAX_QUEUED_FRAMES: Final = 1 << 22
"""Of what came while a reply was waited for. A switch that sends events and never the reply would fill the memory; and
the smallest frames take ten times as much as their bytes."""

_PACKAGE: Final = __name__.partition("._esl.")[0]
_DECODER: Final = (f"{_PACKAGE}._codec_py", f"{_PACKAGE}._core.")
"""What the names of the modules of the Python core begin with."""

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Link:
    """A blocking socket that one thread at a time reads.

    A network error raises nothing: `_connected` is 0 then. After an exception that interrupts a call the next call gets
    its own reply, or the connection has ended.
    """

    _had_socket = False

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._connected = 0
        self._decoder = MessageDecoder(KINDS, Message, max_body_bytes=MAX_BODY_BYTES)
        self._queue: deque[Message] = deque()  # what came while a reply was waited for
        self._queued = 0  # its bytes
        self._last: Message | None = None  # the frame that came last, replies to commands apart
        self._asked = False  # whether a command was sent whose reply is still to come
        self._seen = 0  # meanwhile: `consumed` of the decoder, for the frames that were dealt with
        self._writing = False  # whether a command may have been sent in part
        self._renew_locks()
        _fork.register(self)

    def _renew_locks(self) -> None:
        self._receiving = Turns()
        self._sending = threading.RLock()

    def _connect(self, host: str | None, port: int | None) -> bool:
        """Connect to the first address of the host. False if that fails."""
        if port is None:
            return False
        try:
            found = socket.getaddrinfo(host, port & 0xFFFF, type=socket.SOCK_STREAM)
            family, kind, protocol, _, address = found[0]
            self._use(socket.socket(family, kind, protocol))
            if self._socket is not None:
                self._socket.connect(address)
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except (OSError, UnicodeError) as error:
            self._fail(f"cannot connect to {host}:{port}: {error}")
            self._close_if_over()
            return False
        return True

    def _use(self, sock: socket.socket) -> None:
        """Use this socket from now on."""
        sock.settimeout(None)
        self._socket = sock
        self._had_socket = True
        self._connected = 1

    # Its end

    def _fail(self, why: str) -> None:
        """Note that the connection has ended; `_close_if_over` closes the socket."""
        if self._connected:
            log(ERROR, why)
        self._connected = 0

    def _close_if_over(self) -> None:
        """Close a socket that is not used any more. While one thread receives, it is the one that closes."""
        if self._connected or self._socket is None:
            return
        mark = object()
        try:
            if self._receiving.acquire(mark, blocking=False):
                with self._sending:
                    sock, self._socket = self._socket, None
                if sock is not None:
                    shut_down(sock)
                    sock.close()
                self._receiving.release(mark)
        except BaseException:
            self._receiving.abandon(mark)
            raise

    def _in_turn(self, work: Callable[_P, _T], *args: _P.args, **options: _P.kwargs) -> _T:
        """Do what only one thread at a time may: receive."""
        mark, turns = object(), self._receiving
        try:
            turns.acquire(mark)
            result = work(*args, **options)
            turns.release(mark)
        except BaseException as error:
            self._interrupted(mark, turns, error)
            raise
        self._close_if_over()
        return result

    # Interruptions. Python raises them between any two steps, so what was done is read from what C code has counted.

    def _interrupted(self, mark: object, turns: Turns, error: BaseException) -> None:
        """Give up the turn; if it was ours, end a connection that would not be understood any more."""
        if turns.holds(mark) and (self._has_lost_a_frame() or _was_in_decoder(error)):
            self._end("interrupted while it read")
        turns.abandon(mark)
        self._close_if_over()

    def _has_lost_a_frame(self) -> bool:
        """Whether a frame was taken from the decoder that may have been the reply to come."""
        return self._asked and self._decoder.consumed != self._seen

    def _end(self, why: str) -> None:
        """End the connection for all threads. The socket is closed later."""
        self._fail(why)
        sock = self._socket
        if sock is not None:
            shut_down(sock)

    def _leave(self) -> None:
        """In a child process: the connection and the threads that held its locks are the parent's (see `_fork`)."""
        sock, self._socket, self._connected = self._socket, None, 0
        self._renew_locks()
        if sock is not None:
            sock.close()

    # Bytes

    def _write(self, command: str | bytes, asks: bool = False) -> bool:
        """Send a command, and the blank line that it may lack. `asks`: its reply is awaited.

        See docs/protocol/esl-module.md, A2.3.
        """
        data = to_bytes(command) if isinstance(command, str) else command
        if not data.endswith(b"\n\n"):
            data += b"\n\n"
        if settings.log_level >= DEBUG:
            log(DEBUG, f"SEND {redacted(to_text(data))}")
        with self._sending:
            sock = self._socket
            if self._writing:
                self._end("a command was sent in part")
            if sock is None or not self._connected:
                return False
            try:
                self._writing = True
                sock.sendall(data)
                if asks:
                    self._asked = True
                self._writing = False
            except BaseException as error:
                if self._writing:
                    self._end(f"cannot send: {error!r}")
                if not _is_of_socket(error):
                    raise
                return False
        return True

    def _receive(self) -> bool:
        """Wait for bytes. False if there will be none."""
        sock = self._socket
        if sock is None or not self._connected:
            return False
        before = self._fed()
        sizes: list[int] = []
        try:
            with self._decoder.get_buffer() as room:
                sizes.extend(map(sock.recv_into, (room,)))  # no signal comes between receiving and noting the size
            if sizes[0] and not self._connected:  # ended by another thread meanwhile
                reset_at_close(sock)
            self._decoder.buffer_updated(sizes[0])
        except ProtocolError:
            raise
        except BaseException as error:
            if _is_of_socket(error):
                self._fail(f"cannot receive: {error}")
                return False
            self._keep(sum(sizes), before)
            raise
        return sizes[0] > 0

    def _fed(self) -> int:
        """The bytes that the decoder was given."""
        return self._decoder.consumed + self._decoder.buffered

    def _keep(self, size: int, before: int) -> None:
        """Give the decoder what was received when an exception came, unless it has it."""
        if size and self._fed() == before:
            with suppress(ValueError, ProtocolError):  # the decoder of Python, between two states
                self._decoder.buffer_updated(size)
        if self._fed() != before + size:
            self._end("interrupted while it received")

    def _read(self, ms: int | None = None) -> Message | None:
        """The next frame from the wire. None if the connection has ended, or nothing has begun within `ms`."""
        try:
            while (frame := self._decoder.next_message()) is None:
                if ms is not None and not self._begins(ms):
                    return None
                ms = None if ms else ms
                if not self._receive():
                    self._fail("the connection has ended")
                    return None
            if settings.log_level >= DEBUG:
                log(DEBUG, f"RECV {to_text(frame.frame)}")
            return respell(frame)
        except ProtocolError as error:
            self._fail(str(error))
            return None

    def _next_frame(self, frame: Message | None = None, ms: int | None = None) -> Message | None:
        """The next frame for `recvEvent`, this one if it was read already; None as for `_read`."""
        if not self._connected:
            return None
        if frame is None and self._queue:
            frame = self._queue.popleft()
            self._queued -= len(frame.frame)
        elif frame is None:
            frame = self._read_on(ms)
        else:
            frame = respell(frame)
        if frame is None:
            return None
        self._last = frame
        if type(frame) is Notice and ends_connection(frame):
            self._fail("the server has said good-bye")
            return None
        return frame

    def _read_on(self, ms: int | None) -> Message | None:
        """`_read`, but ignore the reply to a command that was interrupted."""
        if not self._asked:
            return self._read(ms)
        if self._has_lost_a_frame():
            self._end("interrupted while it read")
            return None
        frame = self._read(ms)
        if frame is not None and is_reply(frame):
            self._asked = False
            return self._read(ms)
        self._seen = self._decoder.consumed
        return frame

    def _ask(self, command: str | bytes) -> Message | None:
        """Send a command and wait for its reply: the next one that comes. Other frames wait in the queue.

        See docs/protocol/esl-module.md, P7.3.
        """
        if self._asked and self._reply() is None:  # that of a command that was interrupted
            return None
        self._seen = self._decoder.consumed
        return self._reply() if self._write(command, asks=True) else None

    def _reply(self) -> Message | None:
        """The reply to what was asked."""
        if self._has_lost_a_frame():
            self._end("interrupted while it read")
            return None
        while (frame := self._read()) is not None and not is_reply(frame):
            self._queue.append(frame)
            self._queued += len(frame.frame)
            self._seen = self._decoder.consumed
            if self._queued > MAX_QUEUED_BYTES or len(self._queue) > MAX_QUEUED_FRAMES:
                self._fail(f"{len(self._queue)} frames of {self._queued} bytes wait, and no reply has come")
                return None
        self._asked = False
        return frame

    def _begins(self, ms: int) -> bool:
        """Whether the next frame has its header block here, or more of it comes within so many milliseconds.

        With 0 milliseconds only the latter: what is whole is taken then, and nothing awaited.
        """
        if ms and self._decoder.buffered and self._has_header_block():
            return True
        sock = self._socket
        return sock is None or not self._connected or _is_readable(sock, ms)

    def _has_header_block(self) -> bool:
        """Whether that of the next frame is here. Asking the decoder copies what came of the frame."""
        try:
            self._decoder.feed_eof()
        except IncompleteFrame as error:
            return error.header_bytes is not None
        return False


def _is_of_socket(error: BaseException) -> bool:
    """Whether an error comes from the system: a TimeoutError without a number was raised by a signal handler."""
    return isinstance(error, OSError) and error.errno is not None


def _was_in_decoder(error: BaseException) -> bool:
    """Whether the decoder of Python was interrupted, and may be left between two states."""
    return any(frame.f_globals["__name__"].startswith(_DECODER) for frame, _ in walk_tb(error.__traceback__))


def _is_readable(sock: socket.socket, ms: int) -> bool:
    """Whether something can be received within so many milliseconds, the end included."""
    try:
        if not hasattr(select, "poll"):  # Windows; gevent
            return bool(select.select([sock], [], [], ms / 1000)[0])
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return bool(poll.poll(min(ms, 2**31 - 1)))
    except (OSError, ValueError):
        return True  # closed meanwhile: receiving will tell
