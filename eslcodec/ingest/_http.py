"""A small HTTP server for numbers about ourselves: a thread with an event loop of its own, so that it answers while the
program's loop is stuck.

GET and HEAD, one request a connection. Whoever is slow, or sends too much, is cut off; if many connect at once, the
oldest gives way, so that a probe that is quick is answered.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from .. import _fork

__all__ = ["Answer", "HttpServer"]

HEAD_BYTES: Final = 8192
"""A request, its blank line included."""

HEAD_SECONDS: Final = 5.0
"""In which it has to be there."""

ANSWER_SECONDS: Final = 10.0
"""In which an answer has to be taken."""

CONNECTIONS: Final = 32
"""At a time."""

_DRAIN_BYTES: Final = 1 << 16  # of what a client goes on to send after its answer, for it to be read
_DRAIN_SECONDS: Final = 1.0
_CLOSE_SECONDS: Final = 5.0
_PLAIN: Final = "text/plain; charset=utf-8"
_LOG: Final = logging.getLogger("eslcodec.health")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request is answered with."""

    status: int
    body: bytes
    content_type: str = _PLAIN

    @classmethod
    def of(cls, status: int, text: str) -> Answer:
        """Lines of text."""
        return cls(status, f"{text}\n".encode())


class _Refused(Exception):
    """The request cannot be answered."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status)
        self.answer = Answer.of(status, status.phrase)


class HttpServer:
    """Answers at one address until it is closed.

    Args:
        answer: gives the answer of a path (without a query) and the request's headers, names in lower case; called in
            the server's thread.
        host, port: where; 0 takes a free port.
    """

    def __init__(self, answer: Callable[[str, Mapping[str, str]], Awaitable[Answer]], host: str, port: int) -> None:
        self._answer = answer
        self._address = host, port
        self._sock: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._failed: set[str] = set()

    @property
    def port(self) -> int:
        """Which port it is, while it runs."""
        return self._address[1]

    def start(self) -> None:
        """Listen, and answer from now on.

        Raises:
            OSError: the address cannot be had.
        """
        host, port = self._address
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.create_server((host, port), family=family, backlog=64)
        self._address = host, sock.getsockname()[1]
        self._sock = sock
        running: Future[None] = Future()
        thread = threading.Thread(target=self._work, args=(sock, running), name="eslcodec-health", daemon=True)
        try:
            thread.start()
            running.result()
        except BaseException:  # no threads, or no descriptors left
            sock.close()
            raise
        self._thread = thread
        _fork.register(self)

    def close(self) -> None:
        """Cut off whoever is there, and listen no more. Waits a moment. More than once does no harm."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        assert self._loop is not None
        assert self._stop is not None
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._stop.set)
        thread.join(_CLOSE_SECONDS)

    def _leave(self) -> None:
        """In a child process: the port is the parent's (see `_fork`)."""
        if self._thread is not None and self._sock is not None:
            self._thread = None
            with suppress(OSError):
                _fork.close_here(self._sock.fileno())

    # In the thread

    def _work(self, sock: socket.socket, running: Future[None]) -> None:
        try:
            asyncio.run(self._run(sock, running))
        except Exception as error:
            if running.done():
                _LOG.exception("the endpoints ended")
            else:
                running.set_exception(error)

    async def _run(self, sock: socket.socket, running: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._serve, sock=sock, limit=HEAD_BYTES, backlog=64)
        running.set_result(None)
        await self._stop.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait([*self._tasks], timeout=_CLOSE_SECONDS)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._tasks) >= CONNECTIONS:
            oldest = next(iter(self._tasks))
            del self._tasks[oldest]
            oldest.cancel()
        self._tasks[task] = None
        try:
            await self._talk(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # it has gone, or is sent away
        finally:
            self._tasks.pop(task, None)
            writer.transport.abort()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.set_write_buffer_limits(0)
        with_body = True
        try:
            method, path, headers = await _request(reader)
            with_body = method != "HEAD"
            answer = await self._answered(path, headers)
        except _Refused as refused:
            answer = refused.answer
        except EOFError:
            return
        writer.write(_block(answer, with_body))
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(writer.drain(), ANSWER_SECONDS)
            writer.write_eof()
            await asyncio.wait_for(_drained(reader), _DRAIN_SECONDS)

    async def _answered(self, path: str, headers: Mapping[str, str]) -> Answer:
        try:
            return await self._answer(path, headers)
        except Exception:
            if path not in self._failed:  # of our own few paths: others do not fail
                self._failed.add(path)
                _LOG.exception("cannot answer %s", path)
            raise _Refused(HTTPStatus.INTERNAL_SERVER_ERROR) from None


async def _request(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str]]:
    """Method, path and headers.

    Raises:
        EOFError: the client has gone.
        _Refused: it is not a request that we answer.
    """
    try:
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), HEAD_SECONDS)
    except asyncio.TimeoutError:
        raise _Refused(HTTPStatus.REQUEST_TIMEOUT) from None
    except asyncio.LimitOverrunError:
        raise _Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE) from None
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[1].startswith("/"):
        raise _Refused(HTTPStatus.BAD_REQUEST)
    method, target, version = words
    if version not in ("HTTP/1.0", "HTTP/1.1"):
        raise _Refused(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
    if method not in ("GET", "HEAD"):
        raise _Refused(HTTPStatus.METHOD_NOT_ALLOWED)
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise _Refused(HTTPStatus.BAD_REQUEST)
        headers[name.lower()] = value.strip()
    return method, target.partition("?")[0], headers


def _block(answer: Answer, with_body: bool) -> bytes:
    status = HTTPStatus(answer.status)
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        f"Content-Type: {answer.content_type}\r\n"
        f"Content-Length: {len(answer.body)}\r\n"
        "Cache-Control: no-store\r\n"
        "X-Content-Type-Options: nosniff\r\n"
        "Connection: close\r\n"
    )
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        head += "Allow: GET, HEAD\r\n"
    return f"{head}\r\n".encode("latin-1") + (answer.body if with_body else b"")


async def _drained(reader: asyncio.StreamReader) -> None:
    """Read what is still sent: a connection that is closed with unread bytes is reset, and the answer may be lost."""
    left = _DRAIN_BYTES
    while left > 0 and (data := await reader.read(left)):
        left -= len(data)
