"""Measure ours, other clients and what the machine allows, in one run: `make bench-peers`.

For each Python that is needed an environment is made and the clients are installed into it. Then come the rounds: in
each of them every case is measured once, by worker.py in a process of its own, ours and the others' in turn. Writes
results.json, table.md, chart.svg, chart.png and marks.md. On a busy machine it refuses to.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import pickle
import platform
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import day_chart as day
import marks
import report
from tasks import APART, PEERS, TASKS, Peer, waits

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent
TOOLS = ("Cython==3.3.1", "setuptools==84.2.1", "orjson==3.13.0", "backports.zstd==1.8.0; python_version < '3.14'")
"""What ours and the limits need beside the package."""
TABLES = ("duckdb==2.0.1", "pandas==3.1.1", "pyarrow==26.0.1", "click==8.5.1", "rich==15.0.0")
"""What today's ways to a table need beside the clients, and `eslcodec convert`."""
TIMEOUT = 300  # seconds for one measurement

TABLE = [name for name, task in TASKS.items() if task.group not in APART]
OVERALL = [name for name, task in TASKS.items() if task.group in ("whole", "part")]
EVERY = (1, 2, 4, 15)  # events a read: 1 to 4 is what a switch with some calls sends, 15 what one full read brings
SMALL = ["receive", "five", "whole_blocking", "whole_asyncio"]
TAKEN = ["take_blocking", "take_asyncio", "take_fleet"]
FAST = ["greenswitch", "switchio", "aioesl", "genesis", "official_five"]


READINGS = ["iterate", "one", "five", "select", "asdict", "pairs", "to_json"]
PYTHON = ["py_five", "py_asdict", "py_to_json"]
WAYS = [*day.TODAY, "json_duckdb", "select_arrow"]
MODULES = ("official", "esl")
DAY = [tuple(day.case(task).split()) for task in day.BARS]
CONVERTED = 10  # GB


def all_cases() -> list[tuple[str, str]]:
    """(task, stream) of everything that is measured, ours and the others' in turn."""
    cases = [(task, f"{kind}_plain") for kind in ("sip", "churn") for task in TABLE]
    cases += [(task, "sip_plain/long") for task in WAYS]
    cases += [
        (task, "churn_plain/long") for task in WAYS if task != "official_duckdb"
    ]  # DuckDB refuses its repeated names
    for kind in ("sip", "churn"):
        plain = f"{kind}_plain"
        cases += [(task, plain) for task in OVERALL if task != "whole_many"]
        for format in ("json", "xml"):
            cases += [(task, f"{kind}_{format}") for task in (*READINGS, *PYTHON)]
            cases += [(task, f"{kind}_{format}/plain") for task in READINGS]
        cases += [(task, f"{kind}_json") for task in ("orjson_loads", "orjson_both", "json_loads", "py_get")]
        cases += [(f"{module}_{read}", f"{kind}_json") for module in MODULES for read in ("name", "five", "all")]
        cases += [(f"{module}_body", f"{kind}_xml") for module in MODULES]
        cases += [(task, f"{plain}/shuffled") for task in ("asdict", "five")]
        cases += [(task, f"{plain}@{size}") for size in (1460, 16) for task in ("five", "asdict", "greenswitch")]
        cases += [(task, f"{plain}#{every}") for every in EVERY for task in SMALL]
        cases += [(task, f"{plain}#{every}") for every in (1, 15) for task in TAKEN]
        cases += [(task, f"{plain}#1") for task in ("asdict", "whole_many", "many_five", "many_asdict")]
        cases += [(task, plain) for task in ("record", "messages", "whole_tap")]
        cases += [
            (task, plain) for task in ("columns8", "columns20", "ndjson", "scan", "legs", "scan_long", "scan_long_two")
        ]
        cases += [("take_batches", plain), ("columns8", f"{kind}_json"), ("columns8", f"{kind}_json/plain")]
        cases += [("ndjson", f"{kind}_json"), ("newlines", f"{kind}_json/plain")]
        cases += [(task, plain) for task in ("keep_events", "keep_dicts", "keep_decoders")]
    cases += [(task, f"headers_{count}") for count in (500, 1500) for task in (*READINGS, "greenswitch")]
    cases += [("body", "body_1M@1460"), ("body", "body_4M@1460"), ("receive", "body_4M@1460")]
    cases += [("copy", "body_4M@1460")]
    cases += [("items", "array_200"), ("items", "array_2000"), ("asdict", "array_200")]
    cases += [("asdict", "names_3000"), ("asdict", "names_12000"), ("floor", "names_3000"), ("reply", "replies")]
    cases += [("official_all", "names_3000"), ("esl_all", "names_3000"), ("esl_all", "names_12000")]
    cases += [(peer, stream) for stream in ("body_4M@1460", "array_200", "names_3000", "replies") for peer in FAST]
    ours = [case for case in cases if TASKS[case[0]].peer is None]
    others = [case for case in cases if TASKS[case[0]].peer is not None]
    turns = [(at / len(group), case) for group in (ours, others) for at, case in enumerate(group)]
    return [case for _, case in sorted(turns)]


# Environments


def candidates(version: tuple[int, int]) -> Iterator[str]:
    """Interpreters of that version: on PATH, and in pyenv, whose shims stand for one version only."""
    name = "python{}.{}".format(*version)
    if found := shutil.which(name):
        yield found
    if shutil.which("pyenv"):
        root = subprocess.run(["pyenv", "root"], capture_output=True, text=True, check=True).stdout.strip()
        yield from map(str, sorted(Path(root).glob(f"versions/*/bin/{name}")))


def find_python(peer: Peer) -> str | None:
    """This Python if the client works on it, else the newest that does, None if none is here."""
    if peer.newest is None or sys.version_info[:2] <= peer.newest:
        return sys.executable
    for minor in range(peer.newest[1], 9, -1):
        for candidate in candidates((3, minor)):
            if subprocess.run([candidate, "-c", "import venv, ensurepip, zlib"], capture_output=True).returncode == 0:
                return candidate
    return None


class Environments:
    """The environments, one for each Python, and what could not be installed.

    Args:
        folder: where they are.
        wheel: eslcodec itself, for this Python; for others it is compiled from the checkout.
    """

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.skipped: dict[str, str] = {}
        self._folder = folder
        self._limits = folder / "limits"
        self._made: dict[str, Path] = {}
        self._main = self._make(sys.executable, wheel)
        self._pip(self._main, *TOOLS)
        if problem := self._pip(self._main, "--only-binary", ":all:", *TABLES):
            self.skipped["tables in today's ways"] = problem
        self._pythons: dict[str, Path] = {}
        for name, peer in PEERS.items():
            found = find_python(peer)
            if found is None:
                self.skipped[name] = "needs Python {}.{} at most".format(*(peer.newest or ()))
                continue
            python = self._make(found, CHECKOUT)
            if problem := self._pip(python, peer.requirement):
                self.skipped[name] = f"cannot be installed: {problem}"
            else:
                self._pythons[name] = python
        self._compile_limits()

    def _make(self, interpreter: str, package: Path) -> Path:
        """The Python of that interpreter's environment, with eslcodec in it."""
        if interpreter not in self._made:
            self._made[interpreter] = python = self._environment(interpreter)
            if problem := self._pip(python, "--force-reinstall", "--no-deps", str(package)):
                self.skipped[f"eslcodec on Python {python.parent.parent.name}"] = problem
        return self._made[interpreter]

    def _environment(self, interpreter: str) -> Path:
        version = subprocess.run(
            [interpreter, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        folder = self._folder / version
        if not (folder / "bin" / "python").exists():
            subprocess.run([interpreter, "-m", "venv", "--clear", str(folder)], check=True)
        return folder / "bin" / "python"

    def _pip(self, python: Path, *what: str) -> str:
        """Install. Returns what went wrong, "" if nothing did."""
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what]
        env = {**os.environ, "ESLCODEC_BUILD_EXTENSION": "yes"}  # without a compiled core it is not what is measured
        done = subprocess.run(command, env=env, capture_output=True, text=True)
        lines = [line for line in done.stderr.splitlines() if line.lstrip().lower().startswith("error")]
        return "" if done.returncode == 0 else (lines or ["pip failed"])[-1].strip()

    def _compile_limits(self) -> None:
        self._limits.mkdir(exist_ok=True)
        shutil.copy(HERE / "limits.pyx", self._limits)
        done = subprocess.run(
            [str(self._main), "-m", "Cython.Build.Cythonize", "--inplace", "limits.pyx"],
            cwd=self._limits,
            env={**os.environ, "CFLAGS": "-O3"},
            capture_output=True,
        )
        if done.returncode:
            self.skipped["limits"] = "limits.pyx cannot be compiled"

    def worker(self, task: str, stream: str, *options: str) -> subprocess.CompletedProcess[str]:
        """One call of worker.py in the environment of that task. Raises KeyError if there is none."""
        peer = TASKS[task].peer
        python = self._main if peer is None else self._pythons[peer]
        core = "python" if task.startswith("py_") else ""
        return subprocess.run(
            [str(python), "-W", "ignore", str(HERE / "worker.py"), task, stream, *options],
            env={**os.environ, "ESLCODEC_IMPL": core, "PYTHONPATH": str(self._limits)},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )

    def convert(self, gigabytes: float) -> subprocess.CompletedProcess[str]:
        """One call of memory.py."""
        return subprocess.run(
            [str(self._main), str(HERE / "memory.py"), "--convert", str(gigabytes)], capture_output=True, text=True
        )

    def instructions(self, task: str, stream: str, limit: int) -> int:
        """How many instructions (without the kernel's) a process takes that passes once over so many events.

        Raises:
            FileNotFoundError: there is no valgrind here.
            subprocess.CalledProcessError: it failed.
        """
        out = self._folder / "valgrind"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        process = subprocess.Popen(
            [
                *("valgrind", "--tool=cachegrind", "--cache-sim=no", f"--log-file={out}/%p.log"),
                *(f"--cachegrind-out-file={out}/%p.out", str(self._main), "-W", "ignore", str(HERE / "worker.py")),
                *(task, stream, "--once", "--limit", str(limit)),
            ],
            env={**os.environ, "ESLCODEC_IMPL": "", "PYTHONHASHSEED": "0"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if code := process.wait(TIMEOUT):
            raise subprocess.CalledProcessError(code, "valgrind")
        log = (out / f"{process.pid}.log").read_text()  # the switch, forked from it, has its own
        return int(re.findall(r"I\s+refs:\s+([\d,]+)", log)[-1].replace(",", ""))

    def versions(self) -> dict[str, Any]:
        """What is in the main environment, and on which Python each client runs."""
        script = "import sys, eslcodec; print(sys.version.split()[0], eslcodec.__version__, eslcodec.__impl__)"
        done = subprocess.run([str(self._main), "-I", "-c", script], capture_output=True, text=True, check=True)
        python, version, core = done.stdout.split()
        on = {name: python.parent.parent.name for name, python in self._pythons.items()}
        return {"python": python, "eslcodec": version, "core": core, "clients": on}


def machine() -> dict[str, str]:
    """Date and machine, without names or paths."""
    try:
        cpu = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())[0]
    except (OSError, IndexError):
        cpu = platform.processor()
    try:
        system = platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        system = platform.system()
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": f"{cpu}, {os.cpu_count()} cores, {platform.machine()}",
        "system": f"{system}, {platform.system()} {platform.release().split('-')[0]}",
    }


# Whether the results are equal


def compare(ours: list[dict[str, str]], theirs: list[dict[str, Any]]) -> dict[str, Any]:
    """How many of our events a client does not give, or gives otherwise, and why: reason -> events."""
    by_sequence = {event.get("Event-Sequence"): event for event in theirs}
    reasons: Counter[str] = Counter()
    differ = 0
    for event in ours:
        other = by_sequence.get(event["Event-Sequence"])
        found = {"event missing"} if other is None else set(differences(event, other))
        differ += bool(found)
        reasons.update(found)
    return {"events": len(ours), "differ": differ, "why": dict(reasons.most_common())}


def differences(ours: dict[str, str], theirs: dict[str, Any]) -> Iterator[str]:
    """Reasons why two readings of an event differ. The frame's own headers among the event's are none."""
    frame = {"Content-Type", "Content-Length"}
    if theirs.keys() - ours.keys() - frame:
        yield "headers that were never sent"
    if ours.keys() - theirs.keys():
        yield "headers missing"
    for name in ours.keys() & theirs.keys() - frame:
        mine, other = ours[name], theirs[name]
        if mine == other:
            continue
        if not isinstance(other, str):
            yield "a list for repeated names"
        elif mine.strip() == other:
            yield "blanks stripped from values"
        elif "".join(mine.split()) == "".join(other.split()):
            yield "line ends of values changed or lost"
        elif mine.startswith(other.strip()):
            yield "values cut short"
        elif other.startswith(mine):
            yield "values with later lines joined on"
        else:
            yield "other values"


def equality(
    environments: Environments, folder: Path, limit: list[str], cases: list[tuple[str, str]]
) -> dict[str, Any]:
    """`TASK STREAM` -> how far a client's events are ours, for those that are measured."""
    found: dict[str, Any] = {}
    for stream in ("sip_plain", "churn_plain"):
        reference: list[dict[str, str]] | None = None
        compared = [name for name, task in TASKS.items() if task.client and (name, stream) in cases]
        for name in ["iterate", *compared] if compared else []:
            path = folder / "events.pickle"
            try:
                done = environments.worker(name, stream, "--dump", str(path), *limit)
                done.check_returncode()
            except (KeyError, subprocess.SubprocessError):
                continue
            events = pickle.loads(path.read_bytes())
            if reference is None:
                reference = events
            else:
                found[f"{name} {stream}"] = compare(reference, events)
    return found


# Whether the machine is quiet

CALIBRATION = """
import time
wall, cpu = time.perf_counter(), time.process_time()
while time.process_time() - cpu < 0.7:
    sum(range(1000))
print((time.perf_counter() - wall) / (time.process_time() - cpu))
"""


def calibrate() -> float:
    """Wall clock by CPU time of what only computes, on two cores at once, if there are two: what loopback takes."""
    command = [sys.executable, "-I", "-c", CALIBRATION]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(min(2, os.cpu_count() or 1))]
    return max(float(process.communicate()[0]) for process in running)


class Quiet:
    """Sees to it that nothing else runs: neither on the core that measures nor on that core's other thread.

    Wall clock above `BUSY` x CPU time is the first, a fixed piece of work above `SLOW` x the fastest of the run the
    second.

    Args:
        insist: refuse a busy machine.
    """

    ATTEMPTS = 10
    PAUSE = 5  # seconds

    def __init__(self, insist: bool) -> None:
        self.insist = insist
        self.worst = 1.0
        self.fastest = float("inf")  # seconds of the fixed piece of work
        self.busy: Counter[str] = Counter()

    def begin(self) -> None:
        """Raises SystemExit if the machine is busy now."""
        self.worst = calibrate()
        if self.insist and self.worst > report.BUSY:
            sys.exit(
                f"The machine is busy: {self.worst:.2f} times more wall clock than CPU time in a calibration. "
                "Wait, or measure all the same with --busy."
            )

    def measure(self, task: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """A measurement during which nothing else ran: a busy one is made again, after a pause.

        Raises:
            SystemExit: it stays busy.
        """
        for _ in range(self.ATTEMPTS):
            result = measure()
            self.fastest = min(self.fastest, result["work"])
            alone = waits(task) or result["wall"] <= report.BUSY * result["cpu"]
            if alone and result["work"] <= report.SLOW * self.fastest:
                return result
            self.busy[task] += 1
            if not self.insist:
                return result
            time.sleep(self.PAUSE)
        sys.exit(f"\nThe machine has become busy, and {task} cannot be measured. Nothing was written.")


COUNTED = ["five", "whole_blocking", "whole_asyncio", *TAKEN]
FEW, MANY = 300, 1300  # events: the difference leaves out imports and the login


def counted(environments: Environments, cases: list[tuple[str, str]]) -> dict[str, float]:
    """`TASK STREAM` -> instructions an event, by valgrind, where few events come a read. No rounds: it is exact.

    Without valgrind there are none, and `skipped` says so.
    """
    found: dict[str, float] = {}
    for task, stream in cases:
        if task not in COUNTED or stream not in ("sip_plain#1", "sip_plain#15"):
            continue
        print(f"\rcounting instructions: {task} {stream}\033[K", end="", flush=True)
        try:
            few, many = (environments.instructions(task, stream, limit) for limit in (FEW, MANY))
        except FileNotFoundError:
            environments.skipped["instructions"] = "valgrind is not installed"
            break
        except (subprocess.SubprocessError, IndexError) as error:
            environments.skipped[f"instructions of {task} {stream}"] = str(error)
        else:
            found[f"{task} {stream}"] = (many - few) / (MANY - FEW)
    return found


def converted(environments: Environments, gigabytes: float) -> dict[str, float]:
    """Memory of `eslcodec convert` to Parquet, in MB. It is measured once: it hardly differs, and takes minutes."""
    print(f"\rconverting {gigabytes:g} GB to Parquet\033[K", end="", flush=True)
    done = environments.convert(gigabytes)
    found = re.findall(r"peak ([\d.]+) MB, exit status 0$", done.stdout.strip())
    if not found:
        environments.skipped["memory of convert"] = (done.stderr.strip().splitlines() or ["failed"])[-1]
        return {}
    return {"gigabytes": gigabytes, "peak_mb": float(found[0])}


# The run


class Progress:
    """One line that says where the run is, and how long it will take."""

    def __init__(self, rounds: int, cases: list[tuple[str, str]]) -> None:
        self._rounds = rounds
        self._cases = cases
        self._took: dict[tuple[str, str], float] = {}

    def show(self, number: int, at: int) -> None:
        case = self._cases[at]
        where = f"round {number + 1}/{self._rounds}, {at + 1}/{len(self._cases)}, {self.left(number, at)}"
        print(f"\r{where}: {' '.join(case)}\033[K", end="", flush=True)

    def took(self, at: int, seconds: float) -> None:
        self._took[self._cases[at]] = seconds

    def left(self, number: int, at: int) -> str:
        """The time that is left, from what each case took last; what was not measured yet takes the mean."""
        if not self._took:
            return "time left not known yet"
        mean = sum(self._took.values()) / len(self._took)
        expected = [self._took.get(case, mean) for case in self._cases]
        seconds = sum(expected[at:]) + sum(expected) * (self._rounds - number - 1)
        return f"{seconds / 60:.0f} min left" if seconds >= 60 else f"{seconds:.0f} s left"


def rounds(
    environments: Environments, cases: list[tuple[str, str]], count: int, options: list[str], quiet: Quiet
) -> dict[str, Any]:
    """`TASK STREAM` -> its measurement in each round, None where it failed."""
    measured: dict[str, list[Any]] = {f"{task} {stream}": [] for task, stream in cases}
    progress = Progress(count, cases)
    for number in range(count):
        for at, case in enumerate(cases):
            progress.show(number, at)
            began = time.monotonic()
            measured[" ".join(case)].append(one_measurement(environments, case, options, quiet))
            progress.took(at, time.monotonic() - began)
    print()
    return measured


def one_measurement(
    environments: Environments, case: tuple[str, str], options: list[str], quiet: Quiet
) -> dict[str, Any] | None:
    """What worker.py says, None where it failed: why is then in `skipped`."""

    def measure() -> dict[str, Any]:
        done = environments.worker(*case, *options)
        done.check_returncode()
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return result

    try:
        return quiet.measure(case[0], measure)
    except KeyError:  # not installed
        return None
    except subprocess.TimeoutExpired:
        environments.skipped[" ".join(case)] = f"not ready after {TIMEOUT} s"
    except subprocess.CalledProcessError as error:
        environments.skipped[" ".join(case)] = (error.stderr.strip().splitlines() or ["failed"])[-1]
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheel", type=Path, required=True, help="of eslcodec")
    parser.add_argument("--envs", type=Path, required=True, help="folder for the environments")
    parser.add_argument(
        "--out", type=Path, help="folder for the results: bench/results for a whole run, else a folder in --envs"
    )
    parser.add_argument("--rounds", type=int, default=report.ROUNDS)
    parser.add_argument("--seconds", type=float, default=0.4, help="of each measurement at least")
    parser.add_argument("--quick", action="store_true", help="2 rounds of 300 events: to see whether everything works")
    parser.add_argument("--day", action="store_true", help="only what the chart of a day needs, into bench/results")
    parser.add_argument(
        "--only",
        default="",
        help="measure only cases `TASK STREAM` that this pattern is found in; `convert` is 10 GB to Parquet",
    )
    parser.add_argument("--busy", action="store_true", help="measure on a busy machine too")
    parser.add_argument("--list", action="store_true", help="print the cases, measure nothing")
    args = parser.parse_args()
    limit = ["--limit", "300"] if args.quick else []
    seconds = 0.02 if args.quick else args.seconds
    count = 2 if args.quick else args.rounds
    cases = [case for case in all_cases() if re.search(args.only, " ".join(case))]
    if args.day:
        cases = [case for case in cases if case in DAY]
    if args.list:
        print(*map(" ".join, cases), sep="\n")
        return
    whole = not (args.only or args.quick or args.day) and count >= report.ROUNDS
    converts = whole or bool(args.only and re.search(args.only, "convert"))
    out = args.out or (HERE / "results" if whole else args.envs / "results")

    quiet = Quiet(insist=not args.busy and not args.quick)
    quiet.begin()
    args.envs.mkdir(parents=True, exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    environments = Environments(args.envs.resolve(), args.wheel.resolve())
    equal = equality(environments, args.envs.resolve(), limit, cases)
    measured = rounds(environments, cases, count, ["--seconds", str(seconds), *limit], quiet)
    results = {
        "made": {
            **machine(),
            **environments.versions(),
            "whole": whole,
            "rounds": count,
            "calibration": round(quiet.worst, 3),
            "busy": sum(quiet.busy.values()),
        },
        "equal": equal,
        "instructions": counted(environments, cases),
        "convert": converted(environments, CONVERTED) if converts else {},
        "summary": report.summary(measured),
        "cases": measured,
        "skipped": environments.skipped,
    }
    if args.day and not args.out:
        out = HERE / "results"
        day.write(results, out)
    else:
        (out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
        report.write(results, out)
        day.write(results, out)
        marks.write(results, out)
    print(f"written: {out}")
    for name, why in environments.skipped.items():
        print(f"skipped: {name}: {why}")


if __name__ == "__main__":
    main()
