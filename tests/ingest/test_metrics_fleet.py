"""Metrics of a fleet of emulated switches; scraped by a real Prometheus, where there is one."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

pytest.importorskip("prometheus_client")

from metrics_support import SECONDS, Numbers, asked, parsed, run
from ports import free_port
from support import part

from eslcodec.emulator import Emulator

PROMETHEUS = shutil.which("prometheus")
PAUSE = 0.02


@pytest.fixture(autouse=True)
def patient(esl: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine the loop may take long to answer."""
    monkeypatch.setattr(part(esl, "ingest._health"), "ASK_SECONDS", SECONDS)


async def reading(fleet: Any, metrics: Any, is_over: Callable[[], Any]) -> None:
    """Read and count until it is over."""
    while not is_over():
        for switch, messages in await fleet.take(timeout=PAUSE):
            metrics.see_all(switch, messages)


def test_the_numbers_are_those_of_a_fleet(esl: ModuleType) -> None:
    """What the tests of metrics make up is what a fleet gives."""
    stats = part(esl, "ingest.fleet").SwitchStats
    assert set(Numbers.__dataclass_fields__) <= set(stats.__dataclass_fields__)


def test_a_fleet_of_two(esl: ModuleType, tmp_path: Path) -> None:
    ingest = part(esl, "ingest")

    async def main(one: Emulator, two: Emulator) -> None:
        hosts = [f"east=127.0.0.1:{one.port}", f"west=127.0.0.1:{two.port}"]
        async with ingest.Fleet(hosts, tap=lambda name: ingest.Recorder(tmp_path / name, min_free=0)) as fleet:
            metrics = ingest.Metrics(fleet, folders=[tmp_path])
            async with ingest.Health(metrics, port=0) as health:
                port = int(health.url.rpartition(":")[2])
                await reading(fleet, metrics, lambda: all(each.connected for each in fleet.switches.values()))
                for _ in range(5):
                    one.fire("CHANNEL_ANSWER", {"Unique-ID": "u-1"})
                await reading(fleet, metrics, lambda: metrics.events("east").get("CHANNEL_ANSWER") == 5)
                one.drop()
                await reading(fleet, metrics, lambda: fleet.switches["east"].gaps)
                two.stop()
                await reading(fleet, metrics, lambda: not fleet.switches["west"].connected)
                status, _, body = await asyncio.to_thread(asked, port, "/metrics")
                values = parsed(body.decode())
                assert status == 200
                assert values["eslcodec_connected", "east"] == 1
                assert values["eslcodec_connected", "west"] == 0
                assert values["eslcodec_events_total", "CHANNEL_ANSWER", "east"] == 5
                assert values["eslcodec_received_events_total", "east"] >= 5
                assert values["eslcodec_reconnects_total", "east"] == 1
                assert values["eslcodec_gaps_total", "east"] == 1
                assert values["eslcodec_recording", "east"] == 1
                for path, wanted in (("/livez", 200), ("/readyz", 200)):
                    assert (await asyncio.to_thread(asked, port, path))[0] == wanted
                told = json.loads((await asyncio.to_thread(asked, port, "/status"))[2])["switches"]
                assert (told["east"]["connected"], told["west"]["connected"]) == (True, False)
                assert told["west"]["error"]
                assert told["east"]["tap"]["state"] == "recording"
                await fleet.remove("west")
                while "west" in fleet.switches:
                    await reading(fleet, metrics, lambda: True)
                    await fleet.take(timeout=PAUSE)
                assert b"west" not in (await asyncio.to_thread(asked, port, "/metrics"))[2]

    with Emulator() as one, Emulator() as two:
        run(lambda: main(one, two))


def test_hosts_that_were_never_read_are_not_ready(esl: ModuleType) -> None:
    ingest = part(esl, "ingest")
    known: list[str] = []

    def hosts() -> list[str]:
        found = list(known)  # which may be emptied while it is looked at: that is in another thread
        if not found:
            raise OSError("the list cannot be had")
        return found

    async def main(switch: Emulator) -> None:
        fleet = ingest.Fleet(hosts, refresh=PAUSE)
        async with fleet, ingest.Health(ingest.Metrics(fleet), port=0) as health:
            port = int(health.url.rpartition(":")[2])
            while (answer := await asyncio.to_thread(asked, port, "/readyz"))[0] == 200:
                pass
            assert b"the hosts are not known: OSError: the list cannot be had" in answer[2]
            known.append(f"east=127.0.0.1:{switch.port}")
            while (await asyncio.to_thread(asked, port, "/readyz"))[0] != 200:
                pass
            known.clear()  # from now on the list stays as it was, which is no reason to end us
            while fleet.stats().error is None:
                await asyncio.sleep(PAUSE)
            assert (await asyncio.to_thread(asked, port, "/readyz"))[0] == 200

    with Emulator() as switch:
        run(lambda: main(switch))


class Prometheus:
    """A server that scrapes one target and knows our rules."""

    def __init__(self, folder: Path, target: int, port: int, rules: str) -> None:
        (folder / "alerts.yml").write_text(rules.replace("for: 2m", "for: 1s"))
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "200ms"},
            "rule_files": ["alerts.yml"],
            "scrape_configs": [{"job_name": "eslcodec", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}],
        }
        (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
        self.url = f"http://127.0.0.1:{port}"
        assert PROMETHEUS is not None
        self.process = subprocess.Popen(
            [
                PROMETHEUS,
                "--config.file=prometheus.yml",
                f"--web.listen-address=127.0.0.1:{port}",
                f"--storage.tsdb.path={folder / 'data'}",
            ],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def answer(self, path: str, **query: str) -> Any:
        """What its API says, once it is up."""
        end = time.monotonic() + 60
        while True:
            try:
                with urlopen(f"{self.url}/api/v1/{path}?{urlencode(query)}", timeout=10) as answer:
                    return json.load(answer)["data"]
            except OSError:
                assert self.process.poll() is None
                assert time.monotonic() < end
                time.sleep(PAUSE)

    def value(self, query: str) -> float | None:
        found = self.answer("query", query=query)["result"]
        return float(found[0]["value"][1]) if found else None

    def firing(self) -> set[tuple[str, str]]:
        alerts = self.answer("alerts")["alerts"]
        return {(each["labels"]["alertname"], each["labels"]["switch"]) for each in alerts if each["state"] == "firing"}


@pytest.mark.skipif(PROMETHEUS is None, reason="prometheus is not installed (Debian: prometheus)")
def test_a_real_prometheus(esl: ModuleType, tmp_path: Path) -> None:
    ingest, rules = part(esl, "ingest"), part(esl, "ingest.metrics").rules()

    async def main(one: Emulator) -> None:
        hosts = [f"east=127.0.0.1:{one.port}", "west=127.0.0.1:1"]
        async with ingest.Fleet(hosts) as fleet:
            metrics = ingest.Metrics(fleet, folders=[tmp_path])
            async with ingest.Health(metrics, port=0) as health:
                # before the first scrape: else its alert may come too, and go when it is looked at the next time
                await reading(fleet, metrics, lambda: fleet.switches["east"].connected)
                prometheus = Prometheus(tmp_path, int(health.url.rpartition(":")[2]), free_port(), rules)
                try:
                    reader = asyncio.ensure_future(reading(fleet, metrics, lambda: False))
                    one.fire("CHANNEL_ANSWER")
                    query = 'eslcodec_events_total{event="CHANNEL_ANSWER",switch="east"}'
                    while metrics.events("east").get("CHANNEL_ANSWER", 0) < 3:
                        one.fire("CHANNEL_ANSWER")
                        await asyncio.sleep(PAUSE)
                    while await asyncio.to_thread(prometheus.value, query) != metrics.events("east")["CHANNEL_ANSWER"]:
                        await asyncio.sleep(PAUSE)
                    while await asyncio.to_thread(prometheus.value, 'up{job="eslcodec"}') != 1:
                        await asyncio.sleep(PAUSE)
                    while ("EslcodecDisconnected", "west") not in await asyncio.to_thread(prometheus.firing):
                        await asyncio.sleep(PAUSE)
                    assert ("EslcodecDisconnected", "east") not in await asyncio.to_thread(prometheus.firing)
                    reader.cancel()
                finally:
                    prometheus.process.kill()
                    prometheus.process.wait()

    with Emulator() as one:
        run(lambda: main(one))
