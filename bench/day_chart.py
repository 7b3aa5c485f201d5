"""The chart of docs/guides/columns.md: what a day of events costs, in today's ways and in ours.

Its figures are those of a whole run of peers.py, or of `make bench-peers ARGS=--day`, which measures nothing else.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from report import COLOURS, INK, README, business, dress, figure, figures, made, replaced, save

Results = dict[str, Any]

STREAM = "sip_plain"
EVENTS = 10_000_000  # of a day
BARS = {
    "greenswitch_pandas": "greenswitch's parser, pandas",
    "official_duckdb": "official C module, its JSON, DuckDB",
    "stdlib_duckdb": "20 lines of Python, json, DuckDB",
    "json_duckdb": "eslcodec: to_json, DuckDB",
    "select_arrow": "eslcodec: select, pyarrow's builders",
    "record": "eslcodec: record",
    "scan": "eslcodec: scan of the recording, 8 columns",
    "ndjson": "eslcodec: ndjson, everything as JSON",
    "columns20": "eslcodec: Columns, 20 columns",
    "columns8": "eslcodec: Columns, 8 columns",
}
TODAY = ("greenswitch_pandas", "official_duckdb", "stdlib_duckdb")
ONCE = (*TODAY, "json_duckdb", "select_arrow")  # what also costs something once for a stream: over a longer one
GUIDE = README.parent / "docs" / "guides" / "columns.md"
MARK = "<!-- day, made by make bench-peers -->\n"


def case(task: str) -> str:
    """The case whose figure a bar has."""
    return f"{task} {STREAM}/long" if task in ONCE else f"{task} {STREAM}"


def of_a_day(results: Results, task: str) -> float | None:
    """CPU seconds of a day's events."""
    cpu = figure(results, case(task), "cpu")
    return None if cpu is None else cpu * EVENTS


def said(seconds: float) -> str:
    """As people say it."""
    return f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def chart(results: Results, paths: list[Path]) -> None:
    """A bar for each way, on a log scale; the lines show the slowest and the fastest round."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"svg.hashsalt": "eslcodec", "font.size": 10, "font.family": "DejaVu Sans"})
    seconds = {task: value for task in reversed(BARS) if (value := of_a_day(results, task)) is not None}
    plot, axes = plt.subplots(figsize=(9, 0.34 * len(seconds) + 1.2), layout="constrained")
    for at, (task, value) in enumerate(seconds.items()):
        rounds = [cpu * EVENTS for cpu in figures(results, case(task), "cpu") if cpu is not None]
        axes.barh(
            BARS[task],
            value,
            color=COLOURS["peer" if task in TODAY else "ours"],
            xerr=[[value - min(rounds)], [max(rounds) - value]],
            error_kw={"ecolor": INK, "capsize": 3},
            height=0.7,
        )
        axes.annotate(
            said(value), (max(rounds), at), (6, 0), textcoords="offset points", va="center", color=INK, fontsize=9
        )
    axes.set_xscale("log")
    axes.set_xlim(min(seconds.values()) / 3, max(seconds.values()) * 2)
    axes.set_xticks([10, 60, 600], ["10 s", "1 min", "10 min"])
    axes.minorticks_off()
    axes.set_xlabel(f"CPU time of {EVENTS:,} events, log scale\nthe thin lines are the slowest and the fastest round")
    dress(axes)
    save(plot, paths)
    plt.close(plot)


def caption(results: Results) -> str:
    """What the guide says below it."""
    size = (figure(results, f"columns8 {STREAM}", "bytes") or 0) / (
        figure(results, f"columns8 {STREAM}", "events") or 1
    )
    busy = business(results)
    return f"{EVENTS:,} events of {size / 1000:.1f} KB, {EVENTS * size / 1e9:.0f} GB, on one core: {made(results)}." + (
        f" The machine was busy: {busy}." if busy else ""
    )


def write(results: Results, folder: Path) -> None:
    """day.json, day.svg, day.png; beside the others, the caption too. Nothing if a way is missing."""
    if any(of_a_day(results, task) is None for task in BARS):
        return
    cases = {case(task): results["cases"][case(task)] for task in BARS}
    kept = {"made": results["made"], "cases": cases}
    (folder / "day.json").write_text(json.dumps(kept, indent=1) + "\n")
    chart(kept, [folder / "day.svg", folder / "day.png"])
    if folder.resolve() == README.parent / "bench" / "results":
        text = GUIDE.read_text(encoding="utf-8")
        GUIDE.write_text(replaced(text, MARK, f"{caption(kept)}\n"), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, help="day.json or results.json; the chart goes beside it")
    path = parser.parse_args().results
    write(json.loads(path.read_text()), path.parent)
