"""A bridge for each switch that a folder has recordings of, and what is deleted there."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal

from ..events import Event
from . import _files
from ._hosts import Host
from .bridge import Bridge, stream_config
from .contract import PREFIX, Contract, Subjects, escape
from .metrics import Sample

_LOG: Final = logging.getLogger("eslcodec.bridge")
_LOOK_SECONDS: Final = 0.5  # between two looks for new folders
_DELETE_SECONDS: Final = 30.0
_AGAIN_SECONDS: Final = 1.0
_DRAIN_SECONDS: Final = 86400.0  # `finish` says when it is enough
_SWITCH: Final = "{switch}"
STREAM: Final = "ESL-{switch}"
"""The name of the streams, unless another is given."""


class Bridges:
    """Publishes what is recorded of many switches, each by a `Bridge` of its own.

    Args:
        folder: that recorders have, with a folder for each peer. Those that appear later are taken too.
        servers, options, begin, overlap: as for `Bridge`.
        hosts: which switches are published, under these names; none: all, under the names of their hosts.
        stream: the name of the streams: with `{switch}` in it each switch has its own, else they share it.
        subjects: how subjects are made, in place of `prefix`.
        prefix: what subjects begin with. With another one than `esl.v1` it is a replay: it keeps its places apart from
            those of what is live, goes to streams of its own (`ESL-{switch}-<prefix>` unless others are named), and
            deletes nothing.
        create: whether streams are made that are not there, and with how many replicas; 0: they are not made.
        keep: for how many seconds a file stays that is acknowledged; None: nothing is deleted.
        redact: what takes out of events what may not be published; None: everything may. The spill has all of it.

    Attributes:
        failures: why nothing is published of a switch any more, by its name.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        servers: Sequence[str],
        *,
        hosts: Sequence[Host] = (),
        stream: str = STREAM,
        subjects: Subjects | None = None,
        prefix: str = PREFIX,
        create: int = 0,
        begin: Literal["now", "all"] | float = "all",
        overlap: bool = False,
        keep: float | None = None,
        redact: Callable[[Event], Event] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.failures: dict[str, str] = {}
        self._servers, self._options = servers, options
        self._begin: Literal["now", "all"] | float = begin
        self._names = {_files.folder_name(host.host, host.port): host.name for host in hosts}
        self._overlap, self._replicas, self._redact = overlap, create, redact
        self._stream, self._subjects = stream, subjects or Subjects.under(prefix)
        is_replay = prefix != PREFIX
        if is_replay and stream == STREAM:
            self._stream = f"{STREAM}-{prefix.replace('.', '-')}"
        self._keep = math.inf if keep is None or is_replay else keep
        self._bridges: dict[str, Bridge] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._is_finishing = False
        self._told: dict[str, str] = {}
        self._disagreed: dict[str, int] = {}
        self._spilled: dict[str, int] = {}  # bytes, by names of switches

    def __repr__(self) -> str:
        return f"<Bridges {str(self.folder)!r}, {len(self._bridges)} switches>"

    @property
    def bridges(self) -> Mapping[str, Bridge]:
        """The bridges by names of switches."""
        return self._bridges

    @property
    def is_over(self) -> bool:
        """Whether nothing is published any more, of any switch."""
        return bool(self._tasks) and len(self.failures) >= max(len(self._tasks), len(self._names))

    def keep_running(self) -> None:
        """The end of `run` does not end the bridges: `finish` does."""
        self._is_finishing = True

    async def run(self) -> None:
        """Publish until it is cancelled; see `finish`."""
        deleted = time.monotonic()
        try:
            while True:
                for path in await asyncio.to_thread(self._folders):
                    self._begin_with(path)
                for task in self._tasks.values():
                    if task.done():
                        task.result()  # a fault of ours, or a library is missing
                if self._begin == "now":
                    self._begin = "all"  # of those that come from now on
                self._tell()
                await asyncio.to_thread(self._measure)
                if time.monotonic() - deleted >= min(_DELETE_SECONDS, max(self._keep / 2, _LOOK_SECONDS)):
                    deleted = time.monotonic()
                    await asyncio.to_thread(self.delete)
                await asyncio.sleep(_LOOK_SECONDS)
        finally:
            if not self._is_finishing:
                await self._cancel()

    async def finish(self, drain: float) -> bool:
        """Publish what is in the spill, for no more than so many seconds; what is not acknowledged stays there.

        Returns:
            Whether all is published.
        """
        self._is_finishing = True
        for path in await asyncio.to_thread(self._folders):
            self._begin_with(path)
        for bridge in self._bridges.values():
            bridge.finish()
        tasks = set(self._tasks.values())
        pending = (await asyncio.wait(tasks, timeout=drain))[1] if tasks else set()
        self._tell()
        is_done = not (pending or self.failures or any(task.cancelled() or task.exception() for task in tasks))
        await self._cancel()
        return is_done

    async def _cancel(self) -> None:
        tasks = set(self._tasks.values())
        for bridge in self._bridges.values():
            bridge.stop()
        while tasks := {task for task in tasks if not task.done()}:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=_AGAIN_SECONDS)

    def _folders(self) -> list[Path]:
        with suppress(FileNotFoundError), os.scandir(self.folder) as found:
            paths = [Path(one.path) for one in found if one.is_dir(follow_symlinks=False)]
            return sorted(path for path in paths if self._name(path) is not None and _files.names_in(path))
        return []

    def _name(self, path: Path) -> str | None:
        """The name of the switch whose recordings are there; None if it is not asked for."""
        if self._names:
            return self._names.get(path.name)
        host, _, port = path.name.rpartition("_")
        if not (host and port.isdigit()):
            return None
        return host if port == "8021" else path.name  # as `Host.parse` names one

    def _begin_with(self, path: Path) -> None:
        name = self._name(path)
        if name is not None and name not in self._tasks:
            doing = self._bridge(name, path, self._begin)
            self._tasks[name] = asyncio.create_task(doing, name=f"bridge of {name}")

    async def _bridge(self, name: str, path: Path, begin: Literal["now", "all"] | float) -> None:
        while True:
            try:
                self._bridges[name] = bridge = self._new(name, path, begin)
                if self._is_finishing:
                    bridge.finish()
                await bridge.run(drain=_DRAIN_SECONDS)
                return
            except ValueError as error:
                self.failures[name] = str(error)
                _LOG.error("%s: is not published: %s", name, error)
                return
            except OSError as error:
                _LOG.error("%s: %s; trying again", name, error)
                await asyncio.sleep(_AGAIN_SECONDS)

    def _new(self, name: str, path: Path, begin: Literal["now", "all"] | float) -> Bridge:
        contract = Contract(name, subjects=self._subjects, redact=self._redact)
        is_own = _SWITCH in self._stream
        stream = self._stream.replace(_SWITCH, escape(name))
        pattern = self._subjects.pattern(name if is_own else None)
        create = stream_config(stream, [pattern], self._replicas) if self._replicas else None
        settings: dict[str, Any] = {"chained": is_own, "create": create, "begin": begin, "overlap": self._overlap}
        return Bridge(path, self._servers, stream, contract, options=self._options, **settings)

    def _tell(self) -> None:
        """Say what is wrong when that changes, and when it is over."""
        for name, bridge in self._bridges.items():
            stats = bridge.stats()
            for warning in stats.warnings:
                if self._told.get(f"{name} {warning}") is None:
                    self._told[f"{name} {warning}"] = ""
                    _LOG.warning("%s: %s", name, warning)
            if stats.publisher.disagreements > self._disagreed.get(name, 0):
                self._disagreed[name] = stats.publisher.disagreements
                text = "the stream ends with none of ours: others publish there, or it was emptied or lost something"
                _LOG.warning("%s: %s", name, text)
            trouble = stats.publisher.trouble
            kind = "" if trouble is None else trouble.kind
            if kind != self._told.get(name, ""):
                self._told[name] = kind
                _LOG.warning("%s: %s", name, "is published again" if trouble is None else f"{kind}: {trouble.text}")

    def delete(self) -> int:
        """Delete files whose events are all acknowledged, and which are older than they are kept.

        Returns:
            How many.
        """
        count = 0
        for bridge in list(self._bridges.values()):
            place = bridge.stats().place
            if place is None or self._keep == math.inf:
                continue
            folder = Path(bridge.folder)
            for name in [_files.name_of(*one) for one in _files.names_in(folder)]:
                if name.removesuffix(_files.SUFFIX) >= place.file:
                    break
                with suppress(OSError):
                    if time.time() - (folder / name).stat().st_mtime > self._keep:
                        count += _files.delete(folder / name)
        return count

    def summary(self) -> str:
        """How all fare, in a line."""
        stats = [bridge.stats().publisher for bridge in self._bridges.values()]
        troubled = [f"{name}: {kind}" for name, kind in self._told.items() if kind]
        text = f"{sum(each.acknowledged for each in stats)} acknowledged, {sum(each.waiting for each in stats)} waiting"
        return ", ".join([text, *troubled])

    def samples(self) -> Iterator[Sample]:
        """Numbers for `Metrics.add`."""
        for name, bridge in self._bridges.items():
            bridged = bridge.stats()
            stats, oldest = bridged.publisher, bridged.oldest
            yield Sample("eslcodec_published_total", name, stats.acknowledged)
            yield Sample("eslcodec_duplicates_total", name, stats.duplicates + stats.found)
            yield Sample("eslcodec_oversize_total", name, bridged.oversize)
            yield Sample("eslcodec_in_flight", name, stats.waiting)
            yield Sample("eslcodec_publish_seconds", name, stats.publish_seconds)
            yield Sample("eslcodec_spill_oldest_seconds", name, max(time.time() - oldest, 0.0) if oldest else 0.0)
            yield Sample("eslcodec_spill_bytes", name, self._spilled.get(name, 0))
            for reason, count in stats.stops.items():
                yield Sample("eslcodec_publish_errors_total", name, count, reason)
            if stats.disagreements:
                yield Sample("eslcodec_publish_errors_total", name, stats.disagreements, "disagreement")

    def _measure(self) -> None:
        """How much is not published yet."""
        for name, bridge in list(self._bridges.items()):
            with suppress(OSError):
                bridge.look()
            place, folder = bridge.stats().place, Path(bridge.folder)
            total = 0
            for one in _files.names_in(folder):
                file = _files.name_of(*one)
                begin = file.removesuffix(_files.SUFFIX)
                with suppress(OSError):
                    if place is None or begin >= place.file:
                        total += (folder / file).stat().st_size
                    if place is not None and begin == place.file:
                        total -= place.position
            self._spilled[name] = total
