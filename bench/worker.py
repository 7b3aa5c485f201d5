"""One measurement, in a process of its own: `worker.py TASK STREAM` prints what it cost as JSON.

Runs with the Python of the environment that has the task's client in it.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import pickle
import random
import resource
import signal
import statistics
import sys
import time
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import corpora
from tasks import TASKS

PASSES = 3  # at least: single passes of slow clients differ by a third, and the median leaves the odd one out
SAMPLE = 200  # events of the untimed pass that loads modules and makes the first calls


def status(field: str) -> int:
    """A figure of /proc/self/status in bytes, 0 where there is none."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(field + ":"))


def reset_peak() -> bool:
    """Let the peak start from what is in use now. False where the system has no such thing (Linux has)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def peak() -> int:
    return status("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def fixed_work() -> float:
    """CPU seconds of a fixed piece of work that fits into the cache, the fastest of some: how fast a core is now.

    What runs on the same core's other thread, or a clock that was lowered, makes CPU time longer and leaves wall clock
    by CPU time at 1. It is done in C: a loop in Python differs by a third from process to process.
    """
    data = bytes(random.Random(8021).choices(b"abcdefgh \n", k=30_000))
    found = []
    for _ in range(9):
        began = time.process_time()
        zlib.compress(data, 6)
        found.append(time.process_time() - began)
    return min(found)


def give_back() -> None:
    """Free memory goes back to the system, or what is taken of it again would not be seen (glibc has such a call)."""
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def measure(task: str, name: str, limit: int | None, seconds: float) -> dict[str, Any]:
    """`PASSES` over the stream, or as many as `seconds` have room for: the median pass, and the memory of all."""
    prepare = TASKS[task].prepare
    stream = corpora.load(name, limit)
    keeps = task.startswith("keep")
    if not keeps:
        prepare(stream.first(SAMPLE))()
    before_all = fixed_work()
    walls: list[float] = []
    cpus: list[float] = []
    growth = rss = 0
    while len(walls) < PASSES or sum(walls) < seconds:
        run = prepare(stream)
        gc.collect()
        gc.freeze()  # what was imported and prepared is not searched for garbage again and again
        if not walls:
            give_back()
        reset_peak()
        before, rss_before = peak(), status("VmRSS")
        wall, cpu = time.perf_counter(), time.process_time()
        kept = run()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
        growth, rss = max(growth, peak() - before), status("VmRSS") - rss_before
        if keeps:
            break
    count = len(kept) if isinstance(kept, list) else len(stream.frames)
    return {
        "events": count,
        "lost": max(count - kept, 0) if isinstance(kept, int) and not keeps else 0,
        "bytes": sum(map(len, stream.frames)),
        "payload": sum(map(len, stream.payloads)),
        "wall": statistics.median(walls) / count,
        "cpu": statistics.median(cpus) / count,
        "passes": len(walls),
        "peak": growth,
        "kept": rss / count if keeps else None,
        "work": max(before_all, fixed_work()),
    }


def dump(task: str, name: str, limit: int | None, path: Path) -> None:
    """Write every event that a client gives, as a dict of its headers, for comparing."""
    stream = corpora.load(name, limit)
    events: list[dict[str, Any]] = []
    client = TASKS[task].client
    if client is None:
        import eslcodec

        decoder = eslcodec.Decoder()
        decoder.feed(stream.data)
        events = [message.asdict() for message in decoder]
    else:
        client(stream, lambda headers: events.append(dict(headers)))()
    path.write_bytes(pickle.dumps(events))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("stream")
    parser.add_argument("--limit", type=int, help="events of a capture at most")
    parser.add_argument("--seconds", type=float, default=0.4, help="time passes for at least so long")
    parser.add_argument("--once", action="store_true", help="do not measure; one pass, for who counts instructions")
    parser.add_argument("--dump", type=Path, help="do not measure; pickle the events into this file")
    args = parser.parse_args()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # senders end by themselves
    if args.once:
        TASKS[args.task].prepare(corpora.load(args.stream, args.limit))()
    elif args.dump:
        dump(args.task, args.stream, args.limit, args.dump)
    else:
        json.dump(measure(args.task, args.stream, args.limit, args.seconds), sys.stdout)


if __name__ == "__main__":
    main()
