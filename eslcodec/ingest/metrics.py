"""`Metrics`: what a fleet of switches does, as metrics for Prometheus (docs/guides/monitoring.md has the list).

Nothing of prometheus-client is on the way of an event: what comes is counted in dicts, and everything else is read when
a scrape asks for it. Labels are `switch`, which is a configured name, and names of a bounded set. Nothing that a peer
sends becomes a label, and no uuid, number or Core-UUID does.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from numbers import Real
from operator import methodcaller
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from .. import _codec
from ..enums import EventName
from ..errors import ESLError
from ._families import DECLARED, NEEDS_EXTRA, Times, Value, families_of

if TYPE_CHECKING:
    from prometheus_client import Metric

    from ._switches import SwitchStats

__all__ = ["Metrics", "Sample", "Times", "dashboard", "rules"]

OTHER: Final = "other"
"""The label of events with a name that no switch has."""

KNOWN: Final = frozenset(str(name) for name in EventName if name is not EventName.ALL)
"""The names that are labels."""

_GRADES: Final = ("certain", "bounded", "counted", "probable", "stalled")
_LABELS_MOST: Final = 32  # values of a label that a source gives, before "other"
_name_of: Final = methodcaller("get", "Event-Name")
_count: Final[Callable[[Counter[str | None], Iterable[str | None]], None]] = Counter.update


@dataclass(frozen=True, slots=True)
class Sample:
    """A value of something that is beside the fleet, a bridge for instance: see `Metrics.add`.

    Attributes:
        name: one of those that are declared, as "eslcodec_spill_bytes".
        switch: the configured name of the switch concerned.
        value: a number, or a `Times` for "eslcodec_publish_seconds".
        label: of those that have another label, "eslcodec_publish_errors_total" for one: its value.

    Example:
        >>> Sample("eslcodec_publish_errors_total", "west", 3, "timeout").label
        'timeout'
    """

    name: str
    switch: str
    value: float | Times
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything as it was at one moment.

    Attributes:
        switches: name -> its numbers.
        events: name of a switch -> name of an event, or "other" -> how many came.
        samples: what was added by others.
        errors: how often one of these failed so far.
    """

    switches: Mapping[str, SwitchStats] = field(default_factory=dict)
    events: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    samples: Sequence[Sample] = ()
    errors: int = 0


class Metrics:
    """Metrics of several switches. It is a collector of prometheus-client (the extra `metrics`), which is needed only
    when a scrape comes. Any thread may count, and any may scrape.

    Args:
        source: a `Fleet`; or anything with such a mapping `switches`; or the mapping; or a function that returns it.
        folders: where recordings go, whose disks are watched.

    Raises:
        TypeError: `source` is none of these.

    Example:
        >>> from eslcodec import Event
        >>> metrics = Metrics({})
        >>> metrics.see_all("west", [Event.build("DTMF"), Event.build("HEARTBEAT"), Event.build("DTMF")])
        >>> dict(metrics.events("west"))
        {'DTMF': 2, 'HEARTBEAT': 1}
        >>> body, content_type = metrics.expose()
        >>> content_type.partition(";")[0]
        'text/plain'
    """

    def __init__(self, source: Any, *, folders: Iterable[str | os.PathLike[str]] = ()) -> None:
        self._source = source
        self._read: Callable[[], Mapping[str, SwitchStats]] = _reader_of(source)
        self._folders = tuple(dict.fromkeys(os.fspath(folder) for folder in folders))  # no series twice
        self._counts: dict[str, Counter[str | None]] = {}
        self._sizes: dict[str, int] = {}
        self._lock = threading.Lock()
        self._sources: list[Callable[[], Iterable[Sample]]] = []
        self._errors = 0

    @property
    def folders(self) -> tuple[str, ...]:
        """Where recordings go."""
        return self._folders

    def _why_unread(self) -> str | None:
        """Why it is not known which switches there are; None if it is."""
        if self._read():
            return None
        stats = getattr(self._source, "stats", None)
        error = getattr(stats(), "error", None) if callable(stats) else None
        return None if error is None else f"the hosts are not known: {error}"

    # The way of an event

    def see(self, switch: str, message: Any) -> None:
        """Count one message, as `see_all` does many.

        Args:
            switch: the configured name.
            message: what the fleet gave.
        """
        name = _name_or_none(message)
        with self._lock:
            counts = self._counts.get(switch)
            if counts is not None and name in counts:
                counts[name] += 1
                return
        self.see_all(switch, (message,))

    def see_all(self, switch: str, messages: Sequence[Any]) -> None:
        """Count messages by the names of the events among them. A run as `eslcodec.ingest.Fleet.take` gives it costs
        least.

        Args:
            switch: the configured name.
            messages: what the fleet gave, in any order; notices and losses are passed over.
        """
        try:
            names = [*map(_name_of, messages)]
        except (AttributeError, TypeError, ESLError):
            names = [*map(_name_or_none, messages)]
        with self._lock:
            counts = self._counts.get(switch)
            if counts is None:
                counts = self._counts[switch] = Counter()
            _count(counts, names)
            if len(counts) != self._sizes.get(switch):
                self._fold(switch, counts)

    def _fold(self, switch: str, counts: Counter[str | None]) -> None:
        """Names that no switch has are one, however many a peer thinks of."""
        for name in [name for name in counts if name not in KNOWN and name not in (OTHER, None)]:
            counts[OTHER] += counts.pop(name)
        self._sizes[switch] = len(counts)

    def events(self, switch: str) -> Mapping[str, int]:
        """How many events of each name came; "other" are those with a name that no switch has.

        Args:
            switch: the configured name.
        """
        with self._lock:
            counts = dict(self._counts.get(switch, ()))
        return MappingProxyType({name: number for name, number in counts.items() if name is not None})

    # What others add

    def add(self, source: Callable[[], Iterable[Sample]]) -> None:
        """Ask this too at each scrape: a bridge, for one. If it fails, the rest is told all the same, and
        `eslcodec_scrape_errors_total` counts.

        Args:
            source: gives samples, all of names in `Metrics.NAMES`.
        """
        self._sources.append(source)

    NAMES: Final = tuple(DECLARED)
    """The names of the metrics, as they are scraped."""

    # A scrape

    def _picture(self) -> Picture:
        """Everything as it is now; where the fleet lives. Events of switches that the source does not know any more are
        forgotten."""
        switches = dict(self._read())
        with self._lock:
            for gone in [name for name in self._counts if name not in switches]:
                if switches:  # a source without any switch does not say that one has gone
                    del self._counts[gone]
                    self._sizes.pop(gone, None)
        events = {switch: self.events(switch) for switch in [*self._counts]}
        samples: list[Sample] = []
        for source in [*self._sources]:
            try:
                samples += _checked(source())
            except Exception:
                self._errors += 1
        return Picture(switches, events, samples, self._errors)

    def _families(self, picture: Picture, disks: Iterable[Disk]) -> Iterator[Metric]:
        """A picture as prometheus-client has metrics.

        Raises:
            ImportError: prometheus-client is not installed.
        """
        return families_of(_values(picture, disks))

    def collect(self) -> Iterator[Metric]:
        """For `REGISTRY.register(metrics)`: all metrics as they are now.

        Raises:
            ImportError: prometheus-client is not installed.
        """
        return self._families(self._picture(), disks_of(self._folders))

    def describe(self) -> list[Metric]:
        """For a registry: nothing has to be asked to know the names."""
        return []

    def expose(self, accept: str = "") -> tuple[bytes, str]:
        """All metrics as they are now, and those of the process, as a scrape gets them.

        Args:
            accept: the header of the request: with "application/openmetrics-text" in it that is written.

        Returns:
            The text and its Content-Type.

        Raises:
            ImportError: prometheus-client is not installed.
        """
        return self._expose(accept, self._picture(), disks_of(self._folders))

    def _expose(self, accept: str, picture: Picture, disks: Iterable[Disk]) -> tuple[bytes, str]:
        """The same, of a picture."""
        try:
            from prometheus_client import CollectorRegistry, ProcessCollector, exposition
            from prometheus_client.openmetrics import exposition as openmetrics
        except ImportError as error:
            raise ImportError(NEEDS_EXTRA) from error
        registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=registry)
        registry.register(_Once([*self._families(picture, disks)]))
        if "application/openmetrics-text" in accept:
            write: Callable[[CollectorRegistry], bytes] = openmetrics.generate_latest
            return write(registry), openmetrics.CONTENT_TYPE_LATEST
        return exposition.generate_latest(registry), exposition.CONTENT_TYPE_LATEST


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk of a folder.

    Attributes:
        folder: which.
        free, size: bytes; None if it cannot be asked.
        fault: why nothing can be written there; None if it can.
    """

    folder: str
    free: int | None = None
    size: int | None = None
    fault: str | None = None


def disks_of(folders: Iterable[str]) -> list[Disk]:
    """How much is free where recordings go, and whether a byte can be written there: by writing one. A disk that hangs
    keeps us waiting."""
    return [_disk_of(folder) for folder in folders]


def _disk_of(folder: str) -> Disk:
    try:
        usage = shutil.disk_usage(folder)
    except OSError as error:
        return Disk(folder, fault=_reason(error))
    try:
        with tempfile.TemporaryFile(dir=folder, prefix=".eslcodec-") as file:
            file.write(b"\n")
    except OSError as error:
        return Disk(folder, usage.free, usage.total, _reason(error))
    return Disk(folder, usage.free, usage.total)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def rules() -> str:
    """The alerting rules for Prometheus: YAML for a file that `rule_files` names.

    Example:
        >>> rules().count("- alert: ")
        9
    """
    return _data("alerts.yml")


def dashboard() -> str:
    """The dashboard for Grafana: JSON to import.

    Example:
        >>> import json
        >>> json.loads(dashboard())["title"]
        'eslcodec: switches'
    """
    return _data("dashboard.json")


def _data(name: str) -> str:
    return files("eslcodec").joinpath("data").joinpath("monitoring").joinpath(name).read_text(encoding="utf-8")


class _Once:
    """A collector of what was collected."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families


def _reader_of(source: Any) -> Callable[[], Mapping[str, SwitchStats]]:
    if isinstance(source, Mapping):
        return lambda: source
    if hasattr(source, "switches"):
        return lambda: source.switches
    if callable(source):
        return source  # type: ignore[no-any-return]
    raise TypeError(f"source is {source!r:.80}, expected a Fleet, a mapping, or a function that returns one")


def _name_or_none(message: Any) -> str | None:
    """The name of an event, None for what has none: a log line, a notice, an event that cannot be read."""
    try:
        return message.get("Event-Name")  # type: ignore[no-any-return]
    except (AttributeError, TypeError, ESLError):
        return None


def _checked(samples: Iterable[Sample]) -> list[Sample]:
    """Samples that can be told.

    Raises:
        ValueError: the name, or the kind of value, is not of a metric that others may add.
    """
    found = list(samples)
    for sample in found:
        declared = DECLARED.get(sample.name)
        if declared is None or declared.labels[:1] != ("switch",):
            raise ValueError(f"no metric is named {sample.name!r:.80}")
        if (len(declared.labels) == 2) != (sample.label is not None):
            raise ValueError(f"{sample.name} has the labels {declared.labels}")
        labels: tuple[object, ...] = (sample.switch, sample.label or "")
        if not all(isinstance(label, str) for label in labels):
            raise ValueError(f"{sample.name} has a label that is no text")
        if (declared.kind == "histogram") != isinstance(sample.value, Times) or declared.kind == "summary":
            raise ValueError(f"{sample.name} is a {declared.kind}, not a {type(sample.value).__name__}")
        if not isinstance(sample.value, (Real, Times)):
            raise ValueError(f"{sample.name} is {sample.value!r:.80}, expected a number")
    return found


_NUMBERS: Final[dict[str, str]] = {
    "eslcodec_received_events_total": "received_events",
    "eslcodec_received_bytes_total": "received_bytes",
    "eslcodec_reconnects_total": "reconnects",
    "eslcodec_gaps_total": "gaps",
    "eslcodec_gap_seconds_total": "gap_seconds",
    "eslcodec_core_changes_total": "core_changes",
    "eslcodec_lag_seconds": "lag",
    "eslcodec_switch_queue_events_estimate": "queue_estimate",
    "eslcodec_unread_seconds": "unread_seconds",
    "eslcodec_waiting_messages": "waiting",
    "eslcodec_malformed_events_total": "malformed",
    "eslcodec_dropped_total": "dropped",
}


def _values(picture: Picture, disks: Iterable[Disk]) -> Iterator[Value]:
    from .. import __version__  # which imports much

    yield "eslcodec_info", (__version__, _codec.__impl__), 1
    for switch, numbers in picture.switches.items():
        yield from _of_switch(switch, numbers)
    for switch, counts in picture.events.items():
        for name, number in counts.items():
            yield "eslcodec_events_total", (switch, name), number
    for disk in disks:
        if disk.free is not None:
            yield "eslcodec_disk_free_bytes", (disk.folder,), disk.free
            yield "eslcodec_disk_size_bytes", (disk.folder,), disk.size
    yield from _of_samples(picture.samples)
    yield "eslcodec_scrape_errors_total", (), picture.errors


def _of_switch(switch: str, numbers: SwitchStats) -> Iterator[Value]:
    yield "eslcodec_connected", (switch,), int(numbers.connected)
    for name, attribute in _NUMBERS.items():
        value = getattr(numbers, attribute)
        if value is not None:
            yield name, (switch,), value
    for grade in _GRADES:  # 0 too: what begins with 1 has not increased
        yield "eslcodec_lost_events_total", (switch, grade), numbers.losses.get(grade, 0)
        yield "eslcodec_loss_reports_total", (switch, grade), numbers.loss_reports.get(grade, 0)
    if numbers.tap is not None:
        yield from _of_tap(switch, numbers.tap)


def _of_tap(switch: str, tap: Mapping[str, Any]) -> Iterator[Value]:
    """What a recorder says of itself; another tap need not say anything."""
    well = tap.get("failed") is None and tap.get("state", "recording") in ("recording", "waiting")
    yield "eslcodec_recording", (switch,), int(well)
    for name, key in (
        ("eslcodec_recorded_bytes_total", "written_bytes"),
        ("eslcodec_recorder_queued_bytes", "queued_bytes"),
    ):
        if key in tap:
            yield name, (switch,), tap[key]
    if "syncs" in tap:
        yield "eslcodec_fsync_seconds", (switch,), (tap["syncs"], tap["sync_seconds"])


def _of_samples(samples: Iterable[Sample]) -> Iterator[Value]:
    """Each once; of another label only so many values that a scrape stays small."""
    found: dict[tuple[str, tuple[str, ...]], Any] = {}
    values: dict[str, set[str]] = {}
    for sample in samples:
        labels: tuple[str, ...] = (sample.switch,)
        if sample.label is not None:
            seen = values.setdefault(sample.name, set())
            if sample.label in seen or len(seen) < _LABELS_MOST:
                seen.add(sample.label)
                labels += (sample.label,)
            else:
                labels += (OTHER,)
        key = sample.name, labels
        if key in found and DECLARED[sample.name].kind == "counter":
            found[key] += sample.value
        else:
            found[key] = sample.value
    for (name, labels), value in found.items():
        yield name, labels, value
