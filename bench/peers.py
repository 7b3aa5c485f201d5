"""Measure ours, other clients and what the machine allows, in one run: `make bench-peers`.

For each Python that is needed an environment is made and the clients are installed into it. Then come the rounds: in
each of them every case is measured once, by worker.py in a process of its own, ours and the others' in turn. Writes
results.json, table.md, chart.svg, chart.png and marks.md.
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
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import marks
import report
from tasks import APART, PEERS, TASKS, Peer

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent
TOOLS = ("Cython==3.3.1", "setuptools==84.2.1", "orjson==3.13.0")  # what ours and the limits need beside the package
TIMEOUT = 300  # seconds for one measurement

TABLE = [name for name, task in TASKS.items() if task.group not in APART]
OVERALL = [name for name, task in TASKS.items() if task.group in ("whole", "part")]
FAST = ["greenswitch", "switchio", "aioesl", "genesis", "official_five"]


def all_cases() -> list[tuple[str, str]]:
    """(task, stream) of everything that is measured, ours and the others' in turn."""
    cases = [(task, f"{kind}_plain") for kind in ("sip", "churn") for task in TABLE]
    for kind in ("sip", "churn"):
        cases += [(task, f"{kind}_plain") for task in OVERALL]
        cases += [(task, f"{kind}_json") for task in ("five", "asdict", "orjson_loads")]
        cases += [
            (f"{module}_{read}", f"{kind}_json") for module in ("official", "esl") for read in ("name", "five", "all")
        ]
        cases += [(task, f"{kind}_plain/shuffled") for task in ("asdict", "five")]
        cases += [(task, f"{kind}_plain@{size}") for size in (1460, 16) for task in ("five", "asdict", "greenswitch")]
        cases += [(task, f"{kind}_plain") for task in ("keep_events", "keep_dicts")]
    cases += [("body", "body_1M@1460"), ("body", "body_4M@1460"), ("receive", "body_4M@1460")]
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


def equality(environments: Environments, folder: Path, limit: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for stream in ("sip_plain", "churn_plain"):
        reference: list[dict[str, str]] | None = None
        for name in ["iterate", *(name for name, task in TASKS.items() if task.client)]:
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


# The run


def rounds(environments: Environments, cases: list[tuple[str, str]], count: int, options: list[str]) -> dict[str, Any]:
    """`TASK STREAM` -> its measurement in each round, None where it failed."""
    measured: dict[str, list[Any]] = {f"{task} {stream}": [] for task, stream in cases}
    for number in range(count):
        for at, (task, stream) in enumerate(cases):
            print(f"\rround {number + 1}/{count}, {at + 1}/{len(cases)}: {task} {stream:30}", end="", flush=True)
            try:
                done = environments.worker(task, stream, *options)
                done.check_returncode()
                result = json.loads(done.stdout.splitlines()[-1])
            except KeyError:  # not installed
                result = None
            except subprocess.TimeoutExpired:
                environments.skipped[f"{task} {stream}"] = f"not ready after {TIMEOUT} s"
                result = None
            except subprocess.CalledProcessError as error:
                environments.skipped[f"{task} {stream}"] = (error.stderr.strip().splitlines() or ["failed"])[-1]
                result = None
            measured[f"{task} {stream}"].append(result)
    print()
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheel", type=Path, required=True, help="of eslcodec")
    parser.add_argument("--envs", type=Path, required=True, help="folder for the environments")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.4, help="of each measurement at least")
    parser.add_argument("--quick", action="store_true", help="2 rounds of 300 events: to see whether everything works")
    parser.add_argument("--only", default="", help="measure only cases `TASK STREAM` that this pattern is found in")
    args = parser.parse_args()
    limit = ["--limit", "300"] if args.quick else []
    seconds = 0.02 if args.quick else args.seconds
    cases = [case for case in all_cases() if re.search(args.only, " ".join(case))]

    args.envs.mkdir(parents=True, exist_ok=True)
    args.out.mkdir(parents=True, exist_ok=True)
    environments = Environments(args.envs.resolve(), args.wheel.resolve())
    results = {
        "made": {**machine(), **environments.versions(), "quick": args.quick},
        "equal": equality(environments, args.envs.resolve(), limit),
        "cases": rounds(environments, cases, 2 if args.quick else args.rounds, ["--seconds", str(seconds), *limit]),
        "skipped": environments.skipped,
    }
    (args.out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    report.write(results, args.out)
    marks.write(results, args.out)
    for name, why in environments.skipped.items():
        print(f"skipped: {name}: {why}")


if __name__ == "__main__":
    main()
