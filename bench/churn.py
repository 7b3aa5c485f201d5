"""Several switches' churn, faster than it was recorded, into recordings: is anything lost, and how late is it?

    python bench/churn.py [--switches 5] [--speed 5] [--seconds 20]

Each switch is an emulator in a process of its own, which replays tests/data/captures/churn_plain at so many times its
pace, and loses what does not fit into its queue, as a switch does. One process has a `Fleet` with a `Recorder` for each
of them. Printed are the events that were sent, that came, and that are in the recordings, and the worst lag: when an
event came, less when it was due, less the least of that.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import lzma
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from eslcodec import Decoder, Event
from eslcodec.emulator import Emulator
from eslcodec.ingest import Fleet, Recorder
from eslcodec.recordings import Recording

CAPTURE = Path(__file__).parent.parent / "tests/data/captures/churn_plain.esl.xz"


def stamps() -> list[float]:
    """When each event of the capture was made, in seconds after the first."""
    decoder = Decoder()
    decoder.feed(lzma.decompress(CAPTURE.read_bytes()))
    made = [event.timestamp.timestamp() for event in decoder if isinstance(event, Event) and event.timestamp]
    return [max(at - made[0], 0.0) for at in made]


def emulate(speed: float, repeat: int) -> None:
    """A switch, until standard input ends; then what it sent."""
    with Emulator(replay=str(CAPTURE), speed=speed, repeat=repeat) as switch:
        print(switch.port, flush=True)
        sys.stdin.read()
        usage = resource.getrusage(resource.RUSAGE_SELF)
        print(json.dumps({"cpu": usage.ru_utime + usage.ru_stime}), flush=True)


async def watch(ports: list[int], folder: str, made: list[float], speed: float, repeat: int) -> dict[str, Any]:
    """Record until nothing comes any more."""
    recorders: dict[str, Recorder] = {}

    def recorder(name: str) -> Recorder:
        recorders[name] = Recorder(Path(folder, name), min_free=0)
        return recorders[name]

    length, expected = max(made), len(made) * repeat
    came = dict.fromkeys((f"s{at}" for at in range(len(ports))), 0)
    late: dict[str, list[float]] = {name: [] for name in came}
    said: list[str] = []
    queued = 0
    fleet = Fleet(
        [f"{name}=127.0.0.1:{port}" for name, port in zip(came, ports, strict=True)], tap=recorder, resync=False
    )
    async with fleet:
        deadline = time.monotonic() + 600
        while any(count < expected for count in came.values()) and time.monotonic() < deadline:
            for name, messages in await fleet.take(1000, 3.0):
                now = time.time()
                for message in messages:
                    if type(message) is Event:
                        number = came[name]
                        came[name] += 1
                        if not number % 50:
                            at = number // len(made) * length + made[number % len(made)]
                            late[name].append(now - at / speed)
                    elif getattr(message, "kind", "loss") not in ("started", "core_changed"):
                        said.append(f"{name}: {message}")
                        deadline = min(deadline, time.monotonic() + 30)
            queued = max([queued, *(one.stats()["queued_bytes"] for one in recorders.values())])
        stats = fleet.switches
    for one in recorders.values():
        one.close()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    worst = {name: max(times) - min(times) for name, times in late.items() if times}
    return {
        "sent": expected * len(ports),
        "came": sum(came.values()),
        "worst lag, s": round(max(worst.values()), 3),
        "lag by switch, s": [round(one, 3) for one in worst.values()],
        "gaps": sum(one.gaps for one in stats.values()),
        "losses": {name: dict(one.loss_reports) for name, one in stats.items() if one.loss_reports},
        "most bytes that waited to be written": queued,
        "said": said[:10],
        "cpu, us an event": round((usage.ru_utime + usage.ru_stime) / max(sum(came.values()), 1) * 1e6, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--switches", type=int, default=5)
    parser.add_argument("--speed", type=float, default=5.0)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--emulate", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.emulate is not None:
        emulate(options.speed, options.emulate)
        return
    made = stamps()
    repeat = max(round(options.seconds * options.speed / max(made)), 1)
    command = [sys.executable, __file__, "--emulate", str(repeat), "--speed", str(options.speed)]
    switches = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(options.switches)
    ]
    try:
        ports = [int(switch.stdout.readline()) for switch in switches if switch.stdout is not None]
        with tempfile.TemporaryDirectory() as folder:
            began = time.monotonic()
            found = asyncio.run(watch(ports, folder, made, options.speed, repeat))
            found["seconds"] = round(time.monotonic() - began, 1)
            kept = [sum(type(one) is Event for one in Recording(path).messages()) for path in Path(folder).iterdir()]
            found["recorded"] = sum(kept)
        found["cpu of the switches, s"] = []
        for switch in switches:
            out, _ = switch.communicate(timeout=60)
            found["cpu of the switches, s"].append(round(json.loads(out)["cpu"], 1))
    finally:
        for switch in switches:
            switch.kill()
    for name, value in found.items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
