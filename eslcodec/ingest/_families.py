"""Which metrics there are, what each says, and how they become those of prometheus-client."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from prometheus_client import Metric

__all__ = ["DECLARED", "Declared", "Times", "Value", "families_of"]

NEEDS_EXTRA: Final = "metrics need prometheus-client: pip install 'eslcodec[metrics]'"


@dataclass(frozen=True, slots=True)
class Declared:
    """A metric: what kind it is, which labels it has, what it says."""

    kind: Literal["counter", "gauge", "summary", "histogram"]
    labels: tuple[str, ...]
    help: str


_OF_SWITCH: Final = ("switch",)

DECLARED: Final = {
    "eslcodec_info": Declared("gauge", ("version", "core"), "1; the version and the core are labels."),
    "eslcodec_connected": Declared("gauge", _OF_SWITCH, "1 while the connection can be used, else 0."),
    "eslcodec_events_total": Declared(
        "counter", ("switch", "event"), "Events by name; other: names that no switch has."
    ),
    "eslcodec_received_events_total": Declared("counter", _OF_SWITCH, "Events that came, of any name."),
    "eslcodec_received_bytes_total": Declared("counter", _OF_SWITCH, "Bytes that came."),
    "eslcodec_reconnects_total": Declared("counter", _OF_SWITCH, "How often a lost connection was set up again."),
    "eslcodec_gaps_total": Declared("counter", _OF_SWITCH, "Times in which events may have been missed."),
    "eslcodec_gap_seconds_total": Declared("counter", _OF_SWITCH, "How long these times were."),
    "eslcodec_core_changes_total": Declared("counter", _OF_SWITCH, "How often another run of the switch answered."),
    "eslcodec_lag_seconds": Declared("gauge", _OF_SWITCH, "How long events are on their way, clock offset taken out."),
    "eslcodec_switch_queue_events_estimate": Declared("gauge", _OF_SWITCH, "About how many events wait in the switch."),
    "eslcodec_unread_seconds": Declared("gauge", _OF_SWITCH, "How long a socket with something in it was not read."),
    "eslcodec_waiting_messages": Declared("gauge", _OF_SWITCH, "Messages that wait in this process to be taken."),
    "eslcodec_lost_events_total": Declared(
        "counter", ("switch", "grade"), "Lost events, by how sure that is. Do not add up over grades."
    ),
    "eslcodec_loss_reports_total": Declared(
        "counter", ("switch", "grade"), "Losses that were found, however many events they are."
    ),
    "eslcodec_malformed_events_total": Declared("counter", _OF_SWITCH, "Events that cannot be read."),
    "eslcodec_dropped_total": Declared("counter", _OF_SWITCH, "Messages that this process dropped, being too slow."),
    "eslcodec_recording": Declared("gauge", _OF_SWITCH, "1 while it is recorded, 0 after recording ended."),
    "eslcodec_recorded_bytes_total": Declared("counter", _OF_SWITCH, "Bytes written to recordings."),
    "eslcodec_recorder_queued_bytes": Declared("gauge", _OF_SWITCH, "Bytes that wait to be written."),
    "eslcodec_fsync_seconds": Declared("summary", _OF_SWITCH, "How long the disk took to sync recordings."),
    "eslcodec_disk_free_bytes": Declared("gauge", ("folder",), "What is free on the disk of recordings."),
    "eslcodec_disk_size_bytes": Declared("gauge", ("folder",), "How large the disk of recordings is."),
    "eslcodec_spill_bytes": Declared("gauge", _OF_SWITCH, "Recorded bytes that are not published yet."),
    "eslcodec_spill_oldest_seconds": Declared("gauge", _OF_SWITCH, "How old the oldest of these is."),
    "eslcodec_published_total": Declared("counter", _OF_SWITCH, "Events that the message broker acknowledged."),
    "eslcodec_publish_errors_total": Declared("counter", ("switch", "reason"), "Stops, and tries to go on that fail."),
    "eslcodec_duplicates_total": Declared("counter", _OF_SWITCH, "Events that it already had."),
    "eslcodec_oversize_total": Declared("counter", _OF_SWITCH, "Events that are too large for it."),
    "eslcodec_in_flight": Declared("gauge", _OF_SWITCH, "Events sent to it and not acknowledged."),
    "eslcodec_publish_seconds": Declared("histogram", _OF_SWITCH, "Seconds from receipt to acknowledgement."),
    "eslcodec_scrape_errors_total": Declared("counter", (), "How often something that adds metrics failed."),
}
"""Name, as it is scraped -> what it is. Those from `eslcodec_spill_bytes` on are of a bridge."""


class Times:
    """How long something took, in classes: a histogram. Cheap to count, from any thread.

    Args:
        bounds: seconds, upper bounds of the classes, ascending; one without a bound is added.

    Raises:
        ValueError: the bounds do not ascend.

    Example:
        >>> times = Times((0.01, 0.1))
        >>> for seconds in (0.005, 0.05, 0.02, 3):
        ...     times.observe(seconds)
        >>> times.cumulated(), times.sum
        ([('0.01', 1), ('0.1', 3), ('+Inf', 4)], 3.075)
    """

    __slots__ = ("_counts", "_lock", "bounds", "sum")

    def __init__(
        self, bounds: tuple[float, ...] = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
    ) -> None:
        if list(bounds) != sorted(set(bounds)) or not all(map(isfinite, bounds)):
            raise ValueError(f"bounds are {bounds!r:.100}, expected ascending numbers")
        self.bounds = bounds
        self.sum = 0.0
        self._counts = [0] * (len(bounds) + 1)
        self._lock = threading.Lock()

    def observe(self, seconds: float) -> None:
        """Something took so long.

        Args:
            seconds: how long.
        """
        self.observe_all((seconds,))

    def observe_all(self, times: Iterable[float]) -> None:
        """Some things took so long.

        Args:
            times: seconds of each.

        Example:
            >>> times = Times((0.01, 0.1))
            >>> times.observe_all([0.05, 0.02, 3])
            >>> times.cumulated()
            [('0.01', 0), ('0.1', 2), ('+Inf', 3)]
        """
        with self._lock:
            for seconds in times:
                self._counts[bisect_left(self.bounds, seconds)] += 1
                self.sum += seconds

    def cumulated(self) -> list[tuple[str, int]]:
        """(upper bound, how often it took no longer) of each class; the last is of all."""
        with self._lock:
            return list(zip((*map(str, self.bounds), "+Inf"), accumulate(self._counts), strict=True))


Value = tuple[str, tuple[str, ...], Any]
"""Name, labels in the order of `Declared`, and a number, a (count, sum) for a summary, or a `Times`."""


def families_of(values: Iterable[Value]) -> Iterator[Metric]:
    """Values as metrics of prometheus-client, in the order of `DECLARED`.

    Raises:
        ImportError: prometheus-client is not installed.
    """
    try:
        from prometheus_client import core
    except ImportError as error:
        raise ImportError(NEEDS_EXTRA) from error
    kinds: dict[str, Any] = {
        "counter": core.CounterMetricFamily,
        "gauge": core.GaugeMetricFamily,
        "summary": core.SummaryMetricFamily,
        "histogram": core.HistogramMetricFamily,
    }
    grouped: dict[str, list[tuple[tuple[str, ...], Any]]] = {name: [] for name in DECLARED}
    for name, labels, value in values:
        grouped[name].append((labels, value))
    for name, found in grouped.items():
        if not found:
            continue
        declared = DECLARED[name]
        family: Metric = kinds[declared.kind](name, declared.help, labels=declared.labels)
        for labels, value in found:
            _add(family, declared.kind, labels, value)
        yield family


def _add(family: Any, kind: str, given: tuple[str, ...], value: Any) -> None:
    # The path of a folder may be bytes that are no UTF-8: one such label would be the end of the whole scrape.
    labels = [label.encode("utf-8", "backslashreplace").decode() for label in given]
    if kind == "summary":
        family.add_metric(labels, count_value=value[0], sum_value=value[1])
    elif kind == "histogram":
        family.add_metric(labels, buckets=value.cumulated(), sum_value=value.sum)
    else:
        family.add_metric(labels, value)
