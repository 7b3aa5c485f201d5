"""The tables and the chart of a run of peers.py.

There is one unit: CPU time an event, in µs. Events per CPU second and MB per CPU second, in tables and in the chart,
are derived from it. Wall clock is in results.json, and says whether the machine was quiet.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks import APART, PEERS, TASKS, waits

REFERENCE = "greenswitch"  # the fastest client that others wrote in Python
OURS = ("ours", "adapted")  # the groups in bold
ROUNDS = 7  # of a run that goes into the repository
BUSY = 1.1  # wall clock to CPU time of what only computes; above it something else ran on its core
SLOW = 1.15  # CPU time of a fixed piece of work by the fastest of the run; above it something slowed the core


# Figures, for marks.py too


def figures(results: dict[str, Any], case: str, field: str) -> list[float | None]:
    """A field of a case in every round, None where it was not measured."""
    return [None if round is None else round.get(field) for round in results["cases"].get(case, [])]


def figure(results: dict[str, Any], case: str, field: str) -> float | None:
    """The median of a field over the rounds."""
    found = [value for value in figures(results, case, field) if value is not None]
    return statistics.median(found) if found else None


def ratio(results: dict[str, Any], case: str, other: str) -> float | None:
    """CPU time an event of `case` by that of `other`: the median of the rounds' ratios."""
    pairs = zip(figures(results, case, "cpu"), figures(results, other, "cpu"), strict=False)
    found = [a / b for a, b in pairs if a is not None and b]
    return statistics.median(found) if found else None


def spread(results: dict[str, Any], case: str) -> float | None:
    """CPU time of the slowest round less that of the fastest, by the median. None if there is only one."""
    found = [value for value in figures(results, case, "cpu") if value is not None]
    return (max(found) - min(found)) / statistics.median(found) if len(found) > 1 and all(found) else None


def percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.0f} %"


def summary(cases: dict[str, list[Any]]) -> dict[str, Any]:
    """`TASK STREAM` -> rounds, CPU µs an event (median, smallest, largest), spread, wall clock by CPU time."""
    results = {"cases": cases}
    found = {}
    for case in cases:
        cpus = [1e6 * cpu for cpu in figures(results, case, "cpu") if cpu is not None]
        walls = [1e6 * wall for wall in figures(results, case, "wall") if wall is not None]
        if not cpus:
            continue
        apart = spread(results, case)
        found[case] = {
            "rounds": len(cpus),
            "cpu_us": round(statistics.median(cpus), 4),
            "cpu_us_min": round(min(cpus), 4),
            "cpu_us_max": round(max(cpus), 4),
            "spread": None if apart is None else round(apart, 3),
            "wall_by_cpu": round(statistics.median(walls) / statistics.median(cpus), 3) if all(cpus) else None,
        }
    return found


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
    count = about.get("rounds") or max((len(rounds) for rounds in results["cases"].values()), default=0)
    return (
        f"{about['date']}, {count} rounds, {about['cpu']}, {about['system']}, CPython {about['python']}, "
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
        f"| | CPU µs/event | spread | events/CPU s | MB/CPU s | times {REFERENCE} | peak MB | "
        "events that differ from ours |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, task in TASKS.items():
        case = f"{name} {stream}"
        cpu = figure(results, case, "cpu")
        if task.group in APART or not cpu:
            continue
        times = ratio(results, f"{REFERENCE} {stream}", case)
        equal = results["equal"].get(case)
        cells = [
            f"**{task.label}**" if task.group in OURS else task.label,
            shown(cpu * 1e6),
            percent(spread(results, case)),
            shown(float(f"{1 / cpu:.3g}")),
            shown(size / cpu / 1e6),
            shown(times),
            f"{(figure(results, case, 'peak') or 0) / 1e6:.1f}",
            "" if equal is None else f"{equal['differ']:,} of {equal['events']:,}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def cpu_table(
    results: dict[str, Any], what: str, rows: Mapping[str, str], streams: Mapping[str, str], note: str = ""
) -> str:
    """CPU µs an event, with the spread, of each task on each stream that was measured.

    Args:
        what: stands above the labels.
        rows: label -> task; rows without a figure are left out.
        streams: head of a column -> stream.
        note: stands above the table.
    """
    columns = {head: stream for head, stream in streams.items() if any(cell(results, t, stream) for t in rows.values())}
    if not columns:
        return ""
    lines = [*([note, ""] if note else []), f"| {what} | {' | '.join(columns)} |", f"|---{'|--:' * len(columns)}|"]
    for label, task in rows.items():
        cells = [cell(results, task, stream) for stream in columns.values()]
        if any(cells):
            lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(results: dict[str, Any], task: str, stream: str) -> str:
    """A figure and its spread, "" if there is none."""
    cpu, apart = figure(results, f"{task} {stream}", "cpu"), spread(results, f"{task} {stream}")
    if cpu is None:
        return ""
    return shown(cpu * 1e6) + ("" if apart is None else f" ({percent(apart)})")


def bold(name: str) -> str:
    label = TASKS[name].label
    return f"**{label}**" if TASKS[name].group in OURS else label


def formats_table(results: dict[str, Any]) -> str:
    """Events in JSON and XML beside the same events in the plain format."""
    ours = ("iterate", "one", "five", "select", "asdict", "pairs", "to_json")
    python = ("py_get", "py_five", "py_asdict", "py_to_json")
    yardsticks = ("orjson_loads", "orjson_both", "json_loads")
    tables = []
    for kind in ("sip", "churn"):
        columns = {
            "JSON": f"{kind}_json",
            "these in plain": f"{kind}_json/plain",
            "XML": f"{kind}_xml",
            "those in plain": f"{kind}_xml/plain",
        }
        rows = {bold(name): name for name in (*ours, *python, *yardsticks)}
        note = f"**Formats**, {kind}: CPU µs/event (spread)"
        tables.append(cpu_table(results, "", rows, columns, note))
    return "\n\n".join(filter(None, tables))


def headers_table(results: dict[str, Any]) -> str:
    """Events with very many headers."""
    rows = {bold(name): name for name in ("iterate", "one", "five", "select", "asdict", "pairs", "to_json", REFERENCE)}
    streams = {"500 headers": "headers_500", "1,500 headers": "headers_1500"}
    return cpu_table(results, "", rows, streams, "**Many headers**: CPU µs/event (spread)")


def reads_table(results: dict[str, Any]) -> str:
    """How many events a read brings, and what that makes of a client's cost."""
    names = {
        "bare `recv_into` loop": "receive",
        "**`Decoder` alone**, from memory": "five",
        "**eslcodec, blocking**": "whole_blocking",
        "**eslcodec, asyncio**": "whole_asyncio",
        "**eslcodec, asyncio, 200 connections**": "whole_many",
        "**200 decoders in turn**, from memory": "many_five",
        "**200 decoders in turn**, from memory, `asdict`": "many_asdict",
        "**`Decoder` alone**, from memory, `asdict`": "asdict",
    }
    tables = []
    for kind in ("sip", "churn"):
        streams = {str(every): f"{kind}_plain#{every}" for every in (1, 2, 4, 15)}
        note = f"**Events a read**, {kind}, 5 headers of each event: CPU µs/event (spread)"
        tables.append(cpu_table(results, "events a read", names, streams, note))
    return "\n\n".join(filter(None, tables))


def whole_table(results: dict[str, Any]) -> str:
    """Whole clients on both captures, beside a loop that does nothing but receive."""
    heads = [f"{kind}: {what}" for kind in ("sip", "churn") for what in ("CPU µs/event", "spread", "times (b)")]
    lines = [
        "**Whole clients**, from another process over loopback, logged in and subscribed, 5 headers of each event; "
        "(b) is a bare `recv_into` loop",
        "",
        f"| | {' | '.join(heads)} |",
        f"|---{'|--:' * len(heads)}|",
    ]
    found = False
    for name, label in [
        *((name, task.label) for name, task in TASKS.items() if task.group == "whole"),
        ("receive", "(b) bare `recv_into` loop"),
    ]:
        cells = []
        for stream in STREAMS.values():
            cpu = figure(results, f"{name} {stream}", "cpu")
            times = ratio(results, f"{name} {stream}", f"receive {stream}")
            cells += [
                shown(None if cpu is None else cpu * 1e6),
                percent(spread(results, f"{name} {stream}")),
                shown(times),
            ]
        if set(cells) <= {"-", ""}:
            continue
        found = found or name != "receive"
        lines.append(f"| {label} | {' | '.join(cells)} |")
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
    reads = {
        "`recvEvent`, `getHeader` of the name": "name",
        "of 5 headers": "five",
        "of all, by `nextHeader`": "all",
        "`getBody`, all that is made of XML": "body",
    }
    rows = {label: (f"official_{read}", f"esl_{read}") for label, read in reads.items()}
    formats = {"plain": "plain", "JSON": "json", "XML": "xml"}
    streams = {f"{kind}, {head}": f"{kind}_{name}" for head, name in formats.items() for kind in ("sip", "churn")}
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
    lines.append("* Spread: the slowest round less the fastest, by the median.")
    if busy := business(results):
        lines.append(f"* **The machine was busy**: {busy}.")
    return "\n".join(lines)


def business(results: dict[str, Any]) -> str:
    """How busy the machine was, "" if it was quiet."""
    cases = list(results["cases"])
    by_cpu = {}
    for case in cases:
        wall, cpu = figure(results, case, "wall"), figure(results, case, "cpu")
        if wall and cpu and not waits(case.split()[0]):
            by_cpu[case] = wall / cpu
    said = []
    if over := [value for value in by_cpu.values() if value > BUSY]:
        said.append(
            f"{len(over)} of {len(by_cpu)} cases took up to {max(over):.2f} times more wall clock than CPU time"
        )
    works = [work for case in cases for work in figures(results, case, "work") if work]
    if slow := [work / min(works) for work in works if work > SLOW * min(works)]:
        said.append(f"{len(slow)} of {len(works)} measurements were on a core up to {max(slow):.2f} times slower")
    return "; ".join(said)


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
    """Events per CPU second, on a log scale; what the machine allows as lines."""
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
    marks = {"receive": "(b)", "floor": "(c)", "positions": "(d)", "copy": "(e)"}
    for at, (name, mark) in enumerate(marks.items()):
        if name in speeds:
            above = len(bars) - 0.4 + 0.7 * (at % 2)  # neighbours may be as fast as each other
            axes.axvline(speeds[name], color="#d29922", linestyle="--", linewidth=1.2)
            axes.text(speeds[name], above, mark, color="#d29922", ha="center", va="bottom", fontsize=9)
    axes.set_xscale("log")
    axes.set_xlim(min(speeds.values()) / 2.2, max(speeds.values()) * 1.4)
    axes.set_xlabel(
        f"events per CPU second ({stream}), log scale: 1 / CPU time an event\n"
        "limits: (b) recv_into over loopback   (c) the same dicts in C, no parsing\n"
        "(d) newline positions, vectorised   (e) a plain copy of the bytes"
    )
    dress(axes)
    save(plot, paths)
    plt.close(plot)


def dress(axes: Any) -> None:
    """No frame, one colour for what is written, and upright lines."""
    axes.tick_params(colors=INK, which="both", length=0)
    axes.xaxis.label.set_color(INK)
    axes.grid(axis="x", color=INK, alpha=0.25)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)


def save(plot: Any, paths: list[Path]) -> None:
    for path in paths:
        metadata = {"Date": None} if path.suffix == ".svg" else None  # the same file from the same figures
        plot.savefig(path, transparent=True, dpi=160, metadata=metadata)


FEW = {  # the bars of the README's chart
    "five": "eslcodec, 5 headers",
    "asdict": "eslcodec, all headers",
    "greenswitch": "greenswitch 0.0.19",
    "official_five": "official C module, 5 headers",
    "switchio": "switchio 0.1.0a1",
    "genesis": "genesis 2026.10.18",
}


def few_chart(results: dict[str, Any], stream: str, paths: list[Path]) -> None:
    """Events per CPU second of us and a few others, on a linear scale; the lines show slowest and fastest round."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"svg.hashsalt": "eslcodec", "font.size": 10, "font.family": "DejaVu Sans"})
    rounds = {name: sorted(filter(None, figures(results, f"{name} {stream}", "cpu"))) for name in reversed(FEW)}
    if not all(rounds.values()):
        return
    speeds = {name: 1 / statistics.median(cpus) for name, cpus in rounds.items()}
    apart = [[speeds[name] - 1 / cpus[-1], 1 / cpus[0] - speeds[name]] for name, cpus in rounds.items()]
    plot, axes = plt.subplots(figsize=(8, 2.6), layout="constrained")
    axes.barh(
        [FEW[name] for name in rounds],
        list(speeds.values()),
        color=[COLOURS[TASKS[name].group] for name in rounds],
        xerr=[list(side) for side in zip(*apart, strict=True)],
        error_kw={"ecolor": INK, "capsize": 3},
        height=0.7,
    )
    for at, name in enumerate(rounds):
        end = 1 / rounds[name][0]
        axes.annotate(
            shown(float(f"{speeds[name]:.3g}")), (end, at), (5, 0), textcoords="offset points", va="center", color=INK
        )
    axes.set_xlim(0, 1.15 / min(cpus[0] for cpus in rounds.values()))
    axes.set_xlabel("events per CPU second, 4.3 KB each; the thin lines are the slowest and the fastest round")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    dress(axes)
    save(plot, paths)
    plt.close(plot)


def few_caption(results: dict[str, Any]) -> str:
    """What the README says below its chart."""
    busy = business(results)
    apart = [value for name in FEW if (value := spread(results, f"{name} sip_plain")) is not None]
    return (
        f"Bridged SIP calls, from bytes to what the user reads, on one core: {made(results)}. Slowest and fastest "
        f"round are {percent(min(apart))} to {percent(max(apart))} of the median apart."
        + (f" The machine was busy: {busy}." if busy else "")
        if apart
        else ""
    )


README = Path(__file__).parent.parent / "README.md"
END = "<!-- end -->"


def into_pages(results: dict[str, Any]) -> None:
    """Put the tables, with date and machine, between the marks of the README and of the guides."""
    busy = business(results)
    note = f"\n\n**The machine was busy**: {busy}." if busy else ""
    tables = {
        "": f"{table(results, 'sip_plain')}\n\n{whole_table(results)}\n\n{made(results)}.{note}",
        "chart, ": few_caption(results),
        "parts, ": parts_table(results),
        "adapters, ": adapters_table(results),
        "module, ": module_table(results),
    }
    for page in [README, *sorted((README.parent / "docs" / "guides").glob("*.md"))]:
        text = page.read_text(encoding="utf-8")
        for mark, new in tables.items():
            if new:
                text = replaced(text, f"<!-- {mark}made by make bench-peers -->\n", f"{new}\n")
        page.write_text(text, encoding="utf-8")


def replaced(text: str, begin: str, new: str) -> str:
    """The text with something new between a mark and the end that follows it."""
    before, mark, rest = text.partition(begin)
    _, end, after = rest.partition(END)
    return f"{before}{mark}{new}{end}{after}" if end else text


def write(results: dict[str, Any], folder: Path) -> None:
    """table.md, the charts; a whole run that goes into the repository goes into the README and the guides as well."""
    parts = [
        made(results),
        table(results, "sip_plain"),
        table(results, "churn_plain"),
        formats_table(results),
        headers_table(results),
        reads_table(results),
        whole_table(results),
        parts_table(results),
        adapters_table(results),
        module_table(results),
        notes(results),
    ]
    (folder / "table.md").write_text("\n\n".join(filter(None, parts)) + "\n")
    chart(results, "sip_plain", [folder / "chart.svg", folder / "chart.png"])
    few_chart(results, "sip_plain", [folder / "few.svg", folder / "few.png"])
    if folder.resolve() == README.parent / "bench" / "results" and results["made"].get("whole"):
        into_pages(results)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, help="results.json; what is written goes beside it")
    path = parser.parse_args().results
    write(json.loads(path.read_text()), path.parent)
