"""`Health`: `/metrics`, `/livez`, `/readyz` and `/status` of a process that reads switches."""

from __future__ import annotations

import asyncio
import json
import math
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from .._address import address
from ._http import Answer, HttpServer
from .metrics import Disk, Metrics, Picture, Times, disks_of

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["Health"]

T = TypeVar("T")

BEAT_SECONDS: Final = 0.5
"""How often the program's loop shows that it turns."""

ASK_SECONDS: Final = 2.0
"""How long the program's loop, or a disk, has for an answer."""

_JSON: Final = "application/json"
_FIELDS: Final = (
    "host",
    "port",
    "state",
    "connected",
    "since",
    "error",
    "hostname",
    "switchname",
    "core_uuid",
    "lag",
    "queue_estimate",
    "unread_seconds",
    "waiting",
    "received_events",
    "received_bytes",
    "malformed",
    "dropped",
    "reconnects",
    "gaps",
    "gap_seconds",
    "core_changes",
    "losses",
    "loss_reports",
    "tap",
)
"""What `/status` says of a switch, as far as it is known."""


class Health:
    """Says over HTTP how this process and its switches are. An async context manager; GET and HEAD only.

    * `/metrics`: for Prometheus; OpenMetrics if the request asks for it.
    * `/livez`: 200 while the loop turns, in which this was started, else 503. For liveness probes.
    * `/readyz`: 200 if the switches are known, the folders of the metrics can be written and `ready` has nothing
      against it, else 503 and why.
    * `/status`: JSON, by switch. For people and alerts, never for probes: who is restarted because a *switch* is down
      loses what it records of the others.

    It answers from a thread of its own. While the loop is stuck, `/livez` says so, and the others answer 503.

    Args:
        metrics: what is told.
        host: where to listen. There is no login and no TLS: others than this machine should come through a proxy.
        port: 0 takes a free one.
        ready: functions that are called in the loop at each `/readyz`; what one returns, unless None, is why not.
        stuck_seconds: for how long the loop may stand still.

    Raises:
        TypeError, ValueError: an argument is wrong.

    Attributes:
        url: where it is, while it runs: "http://127.0.0.1:9821".

    Example:
        >>> import asyncio
        >>> from urllib.request import urlopen
        >>> async def main():
        ...     async with Health(Metrics({}), port=0) as health:
        ...         return await asyncio.to_thread(lambda: urlopen(health.url + "/livez").read())
        >>> asyncio.run(main())
        b'the loop turns\\n'
    """

    def __init__(
        self,
        metrics: Metrics,
        *,
        host: str = "127.0.0.1",
        port: int = 9821,
        ready: Sequence[Callable[[], str | None]] = (),
        stuck_seconds: float = 10.0,
    ) -> None:
        if not isinstance(metrics, Metrics):
            raise TypeError(f"metrics is {metrics!r:.80}, expected Metrics")
        if not BEAT_SECONDS * 2 <= stuck_seconds < math.inf:
            raise ValueError(f"stuck_seconds is {stuck_seconds!r}, expected {BEAT_SECONDS * 2:g} or more")
        if not 0 <= port <= 0xFFFF:
            raise ValueError(f"port is {port!r}, expected 0 to 65535")
        self._metrics = metrics
        self._host, self._port = host, port
        self._ready = tuple(ready)
        self._stuck_seconds = stuck_seconds
        self._pulse: _Pulse | None = None
        self._server: HttpServer | None = None
        self._pictures = _Asked(self._in_loop(metrics._picture), self._why_stuck)
        self._doubts = _Asked(self._in_loop(self._check), self._why_stuck)
        self._disks = _Asked(_in_thread(lambda: disks_of(metrics.folders)), lambda: "the disk does not answer")
        self._paths: dict[str, Callable[[Mapping[str, str]], Awaitable[Answer]]] = {
            "/metrics": self._answer_metrics,
            "/livez": self._answer_livez,
            "/readyz": self._answer_readyz,
            "/status": self._answer_status,
        }

    @property
    def url(self) -> str:
        """Where it is: "http://127.0.0.1:9821"."""
        return f"http://{address(self._host, self._server.port if self._server else self._port)}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Answer from now on. The loop that this is called in is the one that is watched.

        Raises:
            OSError: the address cannot be had.
            RuntimeError: it runs already.
        """
        if self._server is not None:
            raise RuntimeError("started twice, expected close() before")
        server = HttpServer(self._answer, self._host, self._port)
        pulse = self._pulse = _Pulse(asyncio.get_running_loop())
        try:
            server.start()
        except BaseException:
            pulse.stop()
            raise
        self._server = server

    async def close(self) -> None:
        """Answer no more. More than once does no harm."""
        server, self._server = self._server, None
        if self._pulse is not None:
            self._pulse.stop()
        if server is not None:
            await asyncio.get_running_loop().run_in_executor(None, server.close)

    # In the server's thread

    async def _answer(self, path: str, headers: Mapping[str, str]) -> Answer:
        answer = self._paths.get(path)
        if answer is None:
            return Answer.of(HTTPStatus.NOT_FOUND, "there are " + " ".join(self._paths))
        try:
            return await answer(headers)
        except NoAnswer as error:
            return Answer.of(HTTPStatus.SERVICE_UNAVAILABLE, str(error))

    async def _answer_livez(self, headers: Mapping[str, str]) -> Answer:
        seconds = self._still()
        if seconds > self._stuck_seconds:
            return Answer.of(HTTPStatus.SERVICE_UNAVAILABLE, f"the loop has been stuck for {seconds:.1f} s")
        return Answer.of(HTTPStatus.OK, "the loop turns")

    async def _answer_readyz(self, headers: Mapping[str, str]) -> Answer:
        why: list[str] = []
        questions = (self._pictures.answer(), self._doubts.answer(), self._disks.answer())
        for answer in await asyncio.gather(*questions, return_exceptions=True):
            if isinstance(answer, NoAnswer):
                why.append(str(answer))
            elif isinstance(answer, BaseException):
                why.append(f"{type(answer).__name__}: {answer}")
            elif isinstance(answer, list):
                why += [doubt for each in answer if (doubt := _doubt(each)) is not None]
        if why:
            return Answer.of(HTTPStatus.SERVICE_UNAVAILABLE, "\n".join(dict.fromkeys(why)))
        return Answer.of(HTTPStatus.OK, "ready")

    async def _answer_status(self, headers: Mapping[str, str]) -> Answer:
        picture = await self._pictures.answer()
        return Answer(HTTPStatus.OK, _to_json(_status(picture, self._still())), _JSON)

    async def _answer_metrics(self, headers: Mapping[str, str]) -> Answer:
        picture = await self._pictures.answer()
        disks: list[Disk] = []
        with suppress(NoAnswer):  # a disk that hangs has no free bytes, and is no reason to know nothing
            disks = await self._disks.answer()
        try:
            body, content_type = self._metrics._expose(headers.get("accept", ""), picture, disks)
        except ImportError as error:
            return Answer.of(HTTPStatus.NOT_IMPLEMENTED, str(error))
        return Answer(HTTPStatus.OK, body, content_type)

    def _check(self) -> list[str | None]:
        return [check() for check in (self._metrics._why_unread, *self._ready)]

    def _still(self) -> float:
        """How many seconds ago the loop turned."""
        return math.inf if self._pulse is None else self._pulse.seconds()

    def _why_stuck(self) -> str:
        return f"the loop does not answer; it turned {self._still():.1f} s ago"

    def _in_loop(self, function: Callable[[], T]) -> Callable[[], Future[T]]:
        """Have it called in the program's loop, where the fleet lives."""

        def begin() -> Future[T]:
            future: Future[T] = Future()
            if self._pulse is None:
                raise NoAnswer(self._why_stuck())
            try:
                self._pulse.loop.call_soon_threadsafe(_settle, future, function)
            except RuntimeError:  # it is closed
                raise NoAnswer(self._why_stuck()) from None
            return future

        return begin


class NoAnswer(Exception):
    """Something did not answer in time."""


class _Pulse:
    """Beats while a loop turns."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._beat()

    def _beat(self) -> None:
        self._at = time.monotonic()
        self._timer = self.loop.call_later(BEAT_SECONDS, self._beat)

    def seconds(self) -> float:
        """How long it has not beaten beyond what is usual."""
        return max(time.monotonic() - self._at - BEAT_SECONDS, 0.0)

    def stop(self) -> None:
        self._timer.cancel()


class _Asked(Generic[T]):
    """A question that others wait for too. While it is not answered it is not asked again, and who comes after one that
    waited in vain does not wait.

    Args:
        begin: asks.
        why: says why there is no answer.
    """

    def __init__(self, begin: Callable[[], Future[T]], why: Callable[[], str]) -> None:
        self._begin = begin
        self._why = why
        self._asked: Future[T] | None = None
        self._late = False

    async def answer(self) -> T:
        """The answer.

        Raises:
            NoAnswer: it takes too long.
        """
        asked = self._asked
        if asked is None or asked.done():
            asked = self._asked = self._begin()
            self._late = False
        if self._late:
            raise NoAnswer(self._why())
        loop, bell = asyncio.get_running_loop(), asyncio.Event()

        def ring(_: Future[T]) -> None:
            with suppress(RuntimeError):  # the server has ended meanwhile
                loop.call_soon_threadsafe(bell.set)

        asked.add_done_callback(ring)
        try:
            await asyncio.wait_for(bell.wait(), ASK_SECONDS)
        except asyncio.TimeoutError:
            self._late = True
            raise NoAnswer(self._why()) from None
        return asked.result()


def _in_thread(function: Callable[[], T]) -> Callable[[], Future[T]]:
    """Have it called in a thread that nobody waits for at the end of the process."""

    def begin() -> Future[T]:
        future: Future[T] = Future()
        threading.Thread(target=_settle, args=(future, function), name="eslcodec-disk", daemon=True).start()
        return future

    return begin


def _settle(future: Future[T], function: Callable[[], T]) -> None:
    try:
        result = function()
    except Exception as error:
        future.set_exception(error)
    except BaseException:  # Ctrl-C, which is for the program
        future.set_exception(NoAnswer("the program ends"))
        raise
    else:
        future.set_result(result)


def _doubt(found: str | Disk | None) -> str | None:
    """Why not ready."""
    if isinstance(found, Disk):
        return None if found.fault is None else f"{found.folder} cannot be written: {found.fault}"
    return found


def _status(picture: Picture, still: float) -> dict[str, Any]:
    switches = {
        name: {key: getattr(numbers, key) for key in _FIELDS if hasattr(numbers, key)}
        for name, numbers in picture.switches.items()
    }
    for name, told in switches.items():
        told["events"] = dict(picture.events.get(name, {}))
    for sample in picture.samples:
        told = switches.setdefault(sample.switch, {})
        key = sample.name.removeprefix("eslcodec_")
        value: Any = sample.value
        if isinstance(value, Times):
            value = {"count": value.cumulated()[-1][1], "sum": value.sum}
        if sample.label is None:
            told[key] = value
        else:
            told.setdefault(key, {})[sample.label] = value
    return {"at": time.time(), "loop_seconds": still, "switches": switches}


def _to_json(value: Any) -> bytes:
    return json.dumps(_plain(value), ensure_ascii=False, allow_nan=False).encode("utf-8", "replace") + b"\n"


def _plain(value: Any) -> Any:
    """As JSON has it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
