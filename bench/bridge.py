"""What the bridge costs: CPU time of its process, from a recording to a real nats-server.

    python bench/bridge.py [sip_plain ...] [--events 30000] [--rounds 5] [--storage file] [--server nats-server]

Each measurement is a process of its own and publishes to a stream of its own. Beside the bridge are `publish_async` of
nats-py with the same bodies, with the same headers and without any, a socket that sends the same bytes to somebody who
only reads, and a loop over `memchr` for line feeds of the same events. Ratios are of measurements of one round. Printed
too are the events a second of one bridge, and the CPU time of both ends meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import corpora

if TYPE_CHECKING:
    from eslcodec.ingest.contract import Item

STREAM = "FS1"
CORE = re.compile(rb"\nCore-UUID: ([^\n]+)")
SEQUENCE = re.compile(rb"\nEvent-Sequence: [0-9]+")
BLOCK = 256 << 10  # bytes that the bare socket sends at once
LOOPS = 20  # over the bytes for `memchr`, which is quick
FROM = "bridge", "publish_async", "without headers"
CASES = (*FROM, "sendall", "newlines")


def cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def cpu_of(pid: int) -> float:
    """CPU seconds of another process (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# What is published


def frames(name: str, count: int) -> Iterator[bytes]:
    """So many events of a capture, again and again, each with a number of its own."""
    captured = corpora.load(name).frames
    for number in range(count):
        payload = captured[number % len(captured)].partition(b"\n\n")[2]
        yield corpora.framed(SEQUENCE.sub(b"\nEvent-Sequence: %d" % (10_000_000 + number), payload))


def record(folder: Path, name: str, count: int) -> None:
    """Make the recording, with the notice that says which switch it is."""
    from eslcodec.ingest import Recorder, notices

    with Recorder(folder, fsync="never", min_free=0) as recorder:
        recorder.opened(("switch", 8021))
        for number, frame in enumerate(frames(name, count)):
            if not number:
                core = CORE.search(frame)
                assert core is not None
                started = notices.Started("fs1", time.time(), "switch", 8021, core_uuid=core[1].decode())
                recorder.note(notices.to_note(started))
            recorder.received(frame)
            while recorder.stats()["queued_bytes"] > 16 << 20:
                time.sleep(0.001)


def items(folder: Path) -> list[Item]:
    """The messages that the contract makes of the events in the recording."""
    from eslcodec.ingest._spill import Spill
    from eslcodec.ingest.contract import Contract

    spill, contract = Spill(folder), Contract("fs1")
    found: list[Item] = []
    while entries := spill.read():
        for entry in entries:
            if entry.event is not None:
                contract.core = contract.core or entry.event.get("Core-UUID")
                found.append(contract.event(entry.event, entry.place, entry.received))
    return found


# The cases: each returns how many messages, and seconds of CPU and of the clock


async def publish_by_bridge(folder: Path, url: str) -> tuple[int, float, float]:
    from eslcodec.ingest.bridge import Bridge
    from eslcodec.ingest.contract import Contract

    bridge = Bridge(folder, url, STREAM, Contract("fs1"), begin="all")
    bridge.finish()
    began, at = cpu(), time.perf_counter()
    assert await bridge.run(drain=120.0)
    spent = cpu() - began, time.perf_counter() - at
    stats = bridge.stats().publisher
    assert (stats.duplicates, dict(stats.stops)) == (0, {})
    return (stats.acknowledged, *spent)


async def publish_async(folder: Path, url: str, has_headers: bool) -> tuple[int, float, float]:
    import nats

    messages = [(item.subject, item.body, item.headers if has_headers else None) for item in items(folder)]
    connection = await nats.connect(url)
    context = connection.jetstream()
    began, at = cpu(), time.perf_counter()
    waiting = [await context.publish_async(subject, body, headers=headers) for subject, body, headers in messages]
    await context.publish_async_completed()
    spent = cpu() - began, time.perf_counter() - at
    assert not any(future.result().duplicate for future in waiting)
    await connection.close()
    return (len(messages), *spent)


def send_all(folder: Path) -> tuple[int, float, float]:
    """The bytes of subjects, headers and bodies, to a process that reads them and does nothing else."""
    messages = items(folder)
    lines = [
        b"HPUB %b %d\r\n" % (item.subject.encode(), item.size)
        + b"".join(b"%b: %b\r\n" % (name.encode(), value.encode()) for name, value in item.headers.items())
        + item.body
        for item in messages
    ]
    data = b"".join(lines)
    with socket.create_server(("127.0.0.1", 0)) as server:
        program = "import socket, sys\ns = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n"
        program += "into = bytearray(1 << 20)\nwhile s.recv_into(into): pass"
        reader = subprocess.Popen([sys.executable, "-c", program, str(server.getsockname()[1])])
        with server.accept()[0] as sender:
            began, at = cpu(), time.perf_counter()
            for begin in range(0, len(data), BLOCK):
                sender.sendall(memoryview(data)[begin : begin + BLOCK])
            spent = cpu() - began, time.perf_counter() - at
    reader.wait()
    return (len(messages), *spent)


def newlines(name: str, count: int) -> tuple[int, float, float]:
    import limits

    made = list(frames(name, min(count, 2000)))
    data = b"".join(made)
    began, at = cpu(), time.perf_counter()
    for _ in range(LOOPS):
        limits.newlines(data)
    return (LOOPS * len(made), cpu() - began, time.perf_counter() - at)


def measure(case: str, folder: Path, url: str, name: str, count: int) -> tuple[int, float, float]:
    import_module("nats")  # what loading it costs is in no figure
    if case == "bridge":
        return asyncio.run(publish_by_bridge(folder, url))
    if case == "sendall":
        return send_all(folder)
    if case == "newlines":
        return newlines(name, count)
    return asyncio.run(publish_async(folder, url, case == "publish_async"))


# The run


@contextlib.contextmanager
def nats_server(binary: str, folder: Path) -> Iterator[tuple[str, int]]:
    """A server with JetStream on loopback: its address, and its process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [binary, "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while process.poll() is None:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port)).close()
                break
            time.sleep(0.05)
        yield f"nats://127.0.0.1:{port}", process.pid
    finally:
        process.kill()
        process.wait()


async def new_stream(url: str, storage: str) -> None:
    import nats
    import nats.js.errors

    from eslcodec.ingest.bridge import stream_config

    connection = await nats.connect(url)
    context = connection.jetstream()
    with contextlib.suppress(nats.js.errors.NotFoundError):
        await context.delete_stream(STREAM)
    config = {**stream_config(STREAM, ["esl.v1.fs1.>"]), "storage": storage}
    await connection.request(f"$JS.API.STREAM.CREATE.{STREAM}", json.dumps(config).encode(), timeout=10)
    await connection.close()


def compile_limits(folder: Path) -> None:
    """`limits.pyx`, for the loop over `memchr`; that row is left out without Cython."""
    shutil.copy(Path(__file__).parent / "limits.pyx", folder)
    command = [sys.executable, "-m", "Cython.Build.Cythonize", "--inplace", "limits.pyx"]
    env = {**os.environ, "CFLAGS": "-O3"}
    if subprocess.run(command, cwd=folder, env=env, capture_output=True).returncode:
        print("without Cython there is no loop over memchr: pip install Cython", file=sys.stderr)


def rounds(name: str, options: argparse.Namespace, base: Path) -> dict[str, list[dict[str, float]]]:
    """What each case cost in each round: seconds an event, of CPU, of the clock, and of the server's CPU."""
    found: dict[str, list[dict[str, float]]] = {}
    recording = base / name
    record(recording, name, options.events)
    recording = next(path for path in recording.iterdir() if path.is_dir())
    env = {**os.environ, "PYTHONPATH": str(base)}
    for number in range(options.rounds):
        with nats_server(options.server, base / f"{name}-{number}") as (url, pid):
            for case in options.only or CASES:
                if case == "newlines" and not list(base.glob("limits*.so")):
                    continue
                for place in recording.glob("*.place"):
                    place.unlink()  # or the next bridge goes on behind it
                asyncio.run(new_stream(url, options.storage))
                before = cpu_of(pid)
                command = [sys.executable, __file__, name, "--case", case, "--folder", str(recording), "--url", url]
                command += ["--events", str(options.events)]
                done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
                count, spent, wall = json.loads(done.stdout)
                figures = {"cpu": spent / count, "wall": wall / count, "server": (cpu_of(pid) - before) / count}
                found.setdefault(case, []).append(figures)
        shutil.rmtree(base / f"{name}-{number}")
    return found


def report(name: str, found: dict[str, list[dict[str, float]]]) -> None:
    print(f"\n{name}: us of CPU an event, median of {len(next(iter(found.values())))} rounds (least, most)")
    for case, figures in found.items():
        spent = [each["cpu"] * 1e6 for each in figures]
        print(f"  {case:16} {statistics.median(spent):8.2f}  ({min(spent):.2f}, {max(spent):.2f})")
    for case in found if "bridge" in found else ():
        if case == "bridge":
            continue
        pairs = zip(found["bridge"], found[case], strict=True)
        ratios = [bridge["cpu"] / other["cpu"] for bridge, other in pairs]
        ratio = statistics.median(ratios)
        print(
            f"  bridge by {case:16} {ratio:6.2f}, the other way {1 / ratio:.2f}  ({min(ratios):.2f}, {max(ratios):.2f})"
        )
    for case in FROM:
        for each in sorted(found.get(case, []), key=lambda one: one["wall"])[:1]:
            client, server = each["cpu"] / each["wall"], each["server"] / each["wall"]
            said = f"the client on {client:.2f} processors, the server on {server:.2f}"
            print(f"  {case}: {1 / each['wall']:,.0f} events/s at most, {said}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=["sip_plain", "churn_plain"])
    parser.add_argument("--events", type=int, default=30_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--storage", choices=["file", "memory"], default="file")
    parser.add_argument("--server", default=str(Path(sys.executable).parent / "nats-server"))
    parser.add_argument("--only", action="append", choices=CASES)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--url", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(measure(options.case, options.folder, options.url, options.names[0], options.events)))
        return
    with tempfile.TemporaryDirectory(prefix="eslcodec-bench-") as folder:
        compile_limits(Path(folder))
        for name in options.names:
            report(name, rounds(name, options, Path(folder)))


if __name__ == "__main__":
    main()
