"""The table and the chart of a run of peers.py."""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks import APART, PEERS, TASKS

REFERENCE = "greenswitch"  # the fastest client that others wrote in Python
OURS = ("ours", "adapted")  # the groups in bold
BUSY = 1.1  # wall clock to CPU time of what only computes; above it something else ran on its core


# Figures, for marks.py too


def figures(results: dict[str, Any], case: str, field: str) -> list[float | None]:
    """A field of a case in every round, None where it was not measured."""
    return [None if round is None else round[field] for round in results["cases"].get(case, [])]


def figure(results: dict[str, Any], case: str, field: str) -> float | None:
    """The median of a field over the rounds."""
    found = [value for value in figures(results, case, field) if value is not None]
    return statistics.median(found) if found else None


def ratio(results: dict[str, Any], case: str, other: str) -> float | None:
    """CPU time an event of `case` by that of `other`: the median of the rounds' ratios."""
    pairs = zip(figures(results, case, "cpu"), figures(results, other, "cpu"), strict=False)
    found = [a / b for a, b in pairs if a is not None and b]
    return statistics.median(found) if found else None


def shown(value: float | None) -> str:
    """Three digits, as few zeros as can be."""
    if value is None:
        return "-"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 0.01 else f"{value:.1g}"


# The table


def made(results: dict[str, Any]) -> str:
    """Date, machine and versions in a sentence."""
    about = results["made"]
    return (
        f"{about['date']}, {about['cpu']}, {about['system']}, CPython {about['python']}, "
        f"eslcodec {about['eslcodec']} ({about['core']} core)"
    )


def table(results: dict[str, Any], stream: str) -> str:
    """One stream as Markdown."""
    first = next(
        (
            round
            for case in results["cases"]
            if case.endswith(f" {stream}")
            for round in results["cases"][case]
            if round
        ),
        None,
    )
    if first is None:
        return ""
    count, size = first["events"], first["bytes"] / first["events"]
    lines = [
        f"**{stream}**: {count:,} events of {size:,.0f} bytes",
        "",
        f"| | events/s | MB/s | CPU µs/event | times {REFERENCE} | peak MB | events that differ from ours |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name, task in TASKS.items():
        case = f"{name} {stream}"
        wall, cpu = figure(results, case, "wall"), figure(results, case, "cpu")
        if task.group in APART or wall is None or cpu is None:
            continue
        times = ratio(results, f"{REFERENCE} {stream}", case)
        equal = results["equal"].get(case)
        cells = [
            f"**{task.label}**" if task.group in OURS else task.label,
            shown(1 / wall),
            shown(size / wall / 1e6),
            shown(cpu * 1e6),
            shown(times),
            f"{(figure(results, case, 'peak') or 0) / 1e6:.1f}",
            "" if equal is None else f"{equal['differ']:,} of {equal['events']:,}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def whole_table(results: dict[str, Any]) -> str:
    """Whole clients on both captures, beside a loop that does nothing but receive."""
    lines = [
        "**Whole clients**, from another process over loopback, logged in and subscribed, 5 headers of each event",
        "",
        "| | sip: CPU µs/event | times a bare `recv_into` loop | churn: CPU µs/event | times a bare `recv_into` loop |",
        "|---|--:|--:|--:|--:|",
    ]
    found = False
    for name, label in [
        *((name, task.label) for name, task in TASKS.items() if task.group == "whole"),
        ("receive", "bare `recv_into` loop"),
    ]:
        cells = [label]
        for stream in ("sip_plain", "churn_plain"):
            cpu = figure(results, f"{name} {stream}", "cpu")
            found = found or (cpu is not None and name != "receive")
            times = ratio(results, f"{name} {stream}", f"receive {stream}")
            cells += [shown(None if cpu is None else cpu * 1e6), shown(times)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) if found else ""


def parts_table(results: dict[str, Any]) -> str:
    """What the author of a client pays for each part, as times the fastest other client in Python."""
    labels = {name: task.label for name, task in TASKS.items() if task.group == "part"}
    labels |= {name: f"`Decoder`: {TASKS[name].label}" for name in ("iterate", "five", "asdict")}
    rows = {label: (REFERENCE, name) for name, label in labels.items()}
    return times_table(results, f"times {REFERENCE}", rows)


def adapters_table(results: dict[str, Any]) -> str:
    """Whole clients with our codec in them, as times themselves without."""
    clients = ("greenswitch", "genesis", "switchio")
    rows = {client: (f"whole_{client}", f"whole_adapted_{client}") for client in clients}
    return times_table(results, "times itself", rows)


def module_table(results: dict[str, Any]) -> str:
    """The ESL module, as times the official one, the same calls over loopback."""
    reads = {"`recvEvent`, `getHeader` of the name": "name", "of 5 headers": "five", "of all, by `nextHeader`": "all"}
    rows = {label: (f"official_{read}", f"esl_{read}") for label, read in reads.items()}
    streams = {f"{kind}, {format}": f"{kind}_{format}" for format in ("plain", "json") for kind in ("sip", "churn")}
    return times_table(results, "times the official module, by format", rows, streams)


STREAMS = {"sip": "sip_plain", "churn": "churn_plain"}


def times_table(
    results: dict[str, Any], what: str, rows: Mapping[str, tuple[str, str]], streams: Mapping[str, str] = STREAMS
) -> str:
    """How many times faster the second task of each row is than its first, on each stream that was measured."""
    values = {
        head: [ratio(results, f"{slow} {stream}", f"{fast} {stream}") for slow, fast in rows.values()]
        for head, stream in streams.items()
    }
    columns = {head: column for head, column in values.items() if any(column)}
    if not columns:
        return ""
    lines = [f"| {what} | {' | '.join(columns)} |", f"|---{'|--:' * len(columns)}|"]
    lines += [
        f"| {label} | {' | '.join(shown(column[at]) for column in columns.values())} |" for at, label in enumerate(rows)
    ]
    return "\n".join(lines)


def notes(results: dict[str, Any]) -> str:
    """What was done to the clients, why events differ, what is missing, whether the machine was quiet."""
    lines = []
    on = results["made"]["clients"]
    for name, peer in PEERS.items():
        where = f"Python {on[name]}" if name in on else f"not shown: {results['skipped'].get(name, 'not installed')}"
        lines.append(f"* {peer.requirement}: {where}; {peer.note}.")
    for case, equal in results["equal"].items():
        if equal["differ"]:
            why = ", ".join(f"{reason} ({count:,})" for reason, count in equal["why"].items())
            lines.append(f"* {case} differs in: {why}.")
    lines += [f"* Missing: {what}: {why}." for what, why in results["skipped"].items() if what not in PEERS]
    wall, cpu = figure(results, "asdict sip_plain", "wall"), figure(results, "asdict sip_plain", "cpu")
    if wall and cpu and wall > BUSY * cpu:
        lines.append(f"* **The machine was busy**: {wall / cpu:.1f} times more wall clock than CPU time.")
    return "\n".join(lines)


# The chart

COLOURS = {
    "ours": "#2f81f7",
    "python": "#7aa7e8",
    "yardstick": "#a58a5c",
    "peer": "#8b949e",
    "adapted": "#4f9d8f",
}
INK = "#7d8590"  # as readable on white as on a dark page; the background is transparent


def chart(results: dict[str, Any], stream: str, paths: list[Path]) -> None:
    """Events a second of one core, on a log scale; what the machine allows as lines."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"svg.hashsalt": "eslcodec", "font.size": 10, "font.family": "DejaVu Sans"})
    speeds = {
        name: 1 / cpu
        for name, task in TASKS.items()
        if task.group not in APART and (cpu := figure(results, f"{name} {stream}", "cpu"))
    }
    bars = [name for name in reversed(speeds) if TASKS[name].group in COLOURS]
    if not bars:
        return
    labels = [TASKS[name].label.replace("`", "").removeprefix("yardstick: ") for name in bars]
    plot, axes = plt.subplots(figsize=(9, 0.32 * len(bars) + 1.5), layout="constrained")
    axes.barh(labels, [speeds[name] for name in bars], color=[COLOURS[TASKS[name].group] for name in bars], height=0.7)
    for at, name in enumerate(bars):
        axes.text(
            speeds[name] * 0.93,
            at,
            shown(float(f"{speeds[name]:.3g}")),
            ha="right",
            va="center",
            color="white",
            fontsize=8,
        )
    for name, mark in (("newlines", "(a)"), ("receive", "(b)"), ("floor", "(c)")):
        if name in speeds:
            axes.axvline(speeds[name], color="#d29922", linestyle="--", linewidth=1.2)
            axes.text(speeds[name], len(bars) - 0.4, mark, color="#d29922", ha="center", va="bottom", fontsize=9)
    axes.set_xscale("log")
    axes.set_xlim(min(speeds.values()) / 2.2, max(speeds.values()) * 1.4)
    axes.set_xlabel(
        f"events per second of one core ({stream}), log scale\n"
        "limits: (a) find newlines in C   (b) recv_into over loopback   (c) the same dicts in C, no parsing"
    )
    axes.tick_params(colors=INK, which="both", length=0)
    axes.xaxis.label.set_color(INK)
    axes.grid(axis="x", color=INK, alpha=0.25)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)
    for path in paths:
        metadata = {"Date": None} if path.suffix == ".svg" else None  # the same file from the same figures
        plot.savefig(path, transparent=True, dpi=160, metadata=metadata)
    plt.close(plot)


README = Path(__file__).parent.parent / "README.md"
END = "<!-- end -->"


def into_readme(results: dict[str, Any]) -> None:
    """Put the tables, with date and machine, between the README's marks."""
    tables = {
        "": f"{table(results, 'sip_plain')}\n\n{whole_table(results)}\n\n{made(results)}.",
        "parts, ": parts_table(results),
        "adapters, ": adapters_table(results),
        "module, ": module_table(results),
    }
    text = README.read_text()
    for mark, new in tables.items():
        if new:
            text = replaced(text, f"<!-- {mark}made by make bench-peers -->\n", f"{new}\n")
    README.write_text(text)


def replaced(text: str, begin: str, new: str) -> str:
    """The text with something new between a mark and the end that follows it."""
    before, mark, rest = text.partition(begin)
    _, end, after = rest.partition(END)
    return f"{before}{mark}{new}{end}{after}" if end else text


def write(results: dict[str, Any], folder: Path) -> None:
    """table.md, chart.svg and chart.png; a run that goes into the repository goes into the README as well."""
    parts = [
        made(results),
        table(results, "sip_plain"),
        table(results, "churn_plain"),
        whole_table(results),
        parts_table(results),
        adapters_table(results),
        module_table(results),
        notes(results),
    ]
    (folder / "table.md").write_text("\n\n".join(filter(None, parts)) + "\n")
    chart(results, "sip_plain", [folder / "chart.svg", folder / "chart.png"])
    if folder.resolve() == README.parent / "bench" / "results":
        into_readme(results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, help="results.json; what is written goes beside it")
    path = parser.parse_args().results
    write(json.loads(path.read_text()), path.parent)
