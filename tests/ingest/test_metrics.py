"""What a scrape says is what was counted; what a peer sends is no label; what others add is told with the rest."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest

pytest.importorskip("prometheus_client")

from metrics_support import Numbers, parsed
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from prometheus_client.parser import text_string_to_metric_families as text_families
from support import captured, part, plain

from eslcodec.ingest._families import DECLARED

PROMTOOL = shutil.which("promtool")


@pytest.fixture
def metrics_of(esl: ModuleType) -> Any:
    return part(esl, "ingest.metrics").Metrics


def event_of(esl: ModuleType, name: str | None, extra: str = "") -> Any:
    decoder = esl.Decoder()
    line = "" if name is None else f"Event-Name: {name}\n"
    decoder.feed(plain(f"{line}{extra}Core-UUID: c-1\n\n".encode()))
    [event] = decoder
    return event


def scraped(metrics: Any) -> dict[tuple[Any, ...], float]:
    return parsed(metrics.expose()[0].decode())


def test_events_are_counted_by_name(esl: ModuleType, metrics_of: Any) -> None:
    messages = list(captured(esl, "churn_plain"))
    wanted: dict[str, int] = {}
    for message in messages:
        if isinstance(message, esl.Event):
            wanted[message["Event-Name"]] = wanted.get(message["Event-Name"], 0) + 1
    assert len(wanted) > 5
    metrics, other = metrics_of({"west": Numbers()}), metrics_of({"west": Numbers()})
    for at in range(0, len(messages), 100):
        metrics.see_all("west", messages[at : at + 100])
    for message in messages:
        other.see("west", message)
    assert metrics.events("west") == other.events("west") == wanted
    values = scraped(metrics)
    assert {key[1]: value for key, value in values.items() if key[0] == "eslcodec_events_total"} == wanted


def test_names_that_no_switch_has_are_one(esl: ModuleType, metrics_of: Any) -> None:
    metrics = metrics_of({})
    for turn in range(3):
        names = [f"X{turn}-{number}" for number in range(500)]
        metrics.see_all("west", [event_of(esl, name) for name in [*names, "CUSTOM", "ALL", "a%22%0Ab"]])
        assert len(metrics._counts["west"]) <= 2
    assert metrics.events("west") == {"other": 3 * 502, "CUSTOM": 3}
    assert parsed(metrics.expose()[0].decode())["eslcodec_events_total", "other", "west"] == 3 * 502


def test_what_has_no_name_is_passed_over(esl: ModuleType, metrics_of: Any) -> None:
    loss = part(esl, "ingest.watch").Loss("certain", 1, None, "x")
    decoder = esl.Decoder()
    decoder.feed(b"Content-Type: log/data\nContent-Length: 2\nLog-Level: 3\n\na\n")
    decoder.feed(b"Content-Type: text/event-json\nContent-Length: 2\n\n{[")
    line, malformed = decoder
    metrics = metrics_of({})
    metrics.see_all("west", [line, loss, event_of(esl, None), malformed, object(), event_of(esl, "DTMF")])
    metrics.see_all("west", [])
    metrics.see("west", event_of(esl, "DTMF"))
    assert metrics.events("west") == {"DTMF": 2}
    assert metrics.events("east") == {}


def test_the_numbers_of_a_switch(metrics_of: Any) -> None:
    values = scraped(metrics_of({"west": Numbers(), "east": Numbers(connected=False, lag=None, queue_estimate=None)}))
    wanted = {
        "connected": 1,
        "received_events_total": 12,
        "received_bytes_total": 60_000,
        "malformed_events_total": 1,
        "dropped_total": 2,
        "reconnects_total": 3,
        "gaps_total": 3,
        "gap_seconds_total": 4.5,
        "core_changes_total": 1,
        "lag_seconds": 0.25,
        "switch_queue_events_estimate": 7,
        "unread_seconds": 0.5,
        "waiting_messages": 9,
    }
    assert {name: values[f"eslcodec_{name}", "west"] for name in wanted} == wanted
    assert values["eslcodec_connected", "east"] == 0
    assert ("eslcodec_lag_seconds", "east") not in values
    assert values["eslcodec_lost_events_total", "certain", "west"] == 501
    assert values["eslcodec_loss_reports_total", "bounded", "west"] == 2
    assert values["eslcodec_lost_events_total", "probable", "west"] == 0  # an increase from nothing is none
    assert ("eslcodec_recording", "west") not in values
    assert not re.search(r"8f08a03a|10\.0\.0\.1|pbx-west", str(values))


def test_what_a_recorder_says(esl: ModuleType, metrics_of: Any, tmp_path: Path) -> None:
    with part(esl, "ingest.recorder").Recorder(tmp_path, min_free=0, fsync="always") as recorder:
        recorder.opened(("127.0.0.1", 8021))
        recorder.received(b"x" * 1000)
    tap = {**recorder.stats(), "failed": None}
    values = scraped(metrics_of({"west": Numbers(tap={**tap, "state": "recording"})}))
    assert values["eslcodec_recording", "west"] == 1
    assert values["eslcodec_recorded_bytes_total", "west"] == tap["written_bytes"] > 0
    assert values["eslcodec_fsync_seconds_count", "west"] == tap["syncs"] > 0
    assert values["eslcodec_fsync_seconds_sum", "west"] == tap["sync_seconds"]
    for ended in ({**tap, "state": "stopped"}, {"failed": "OSError: gone"}):
        assert scraped(metrics_of({"west": Numbers(tap=ended)}))["eslcodec_recording", "west"] == 0
    assert scraped(metrics_of({"west": Numbers(tap={"failed": None})}))["eslcodec_recording", "west"] == 1


def test_the_disk_of_recordings(metrics_of: Any, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    metrics = metrics_of({}, folders=[tmp_path, gone])
    values = scraped(metrics)
    assert 0 < values["eslcodec_disk_free_bytes", str(tmp_path)] <= values["eslcodec_disk_size_bytes", str(tmp_path)]
    assert ("eslcodec_disk_free_bytes", str(gone)) not in values
    assert list(tmp_path.iterdir()) == []  # what was written to see whether it can be


def test_what_others_add(esl: ModuleType, metrics_of: Any) -> None:
    module = part(esl, "ingest.metrics")
    times = module.Times((0.1, 1.0))
    for seconds in (0.1, 0.5, 2.0):
        times.observe(seconds)
    metrics = metrics_of({"west": Numbers()})
    reasons = [module.Sample("eslcodec_publish_errors_total", "west", 1, f"r{number}") for number in range(40)]
    metrics.add(lambda: [module.Sample("eslcodec_spill_bytes", "west", 5), *reasons])
    metrics.add(lambda: [module.Sample("eslcodec_publish_seconds", "west", times)])
    values = scraped(metrics)
    assert values["eslcodec_spill_bytes", "west"] == 5
    assert values["eslcodec_publish_errors_total", "r31", "west"] == 1
    assert values["eslcodec_publish_errors_total", "other", "west"] == 8
    assert values["eslcodec_publish_seconds_bucket", "0.1", "west"] == 1
    assert values["eslcodec_publish_seconds_bucket", "+Inf", "west"] == 3
    assert values["eslcodec_publish_seconds_sum", "west"] == 2.6
    assert values["eslcodec_scrape_errors_total",] == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("eslcodec_unheard_of", "west", 1),
        ("eslcodec_info", "west", 1),
        ("eslcodec_spill_bytes", "west", 1, "label"),
        ("eslcodec_publish_errors_total", "west", 1),
        ("eslcodec_publish_seconds", "west", 1),
        ("eslcodec_fsync_seconds", "west", 1),
        ("eslcodec_spill_bytes", "west", None),
        ("eslcodec_spill_bytes", "west", "many"),
        ("eslcodec_spill_bytes", None, 1),
        ("eslcodec_publish_errors_total", "west", 1, 503),
    ],
)
def test_one_that_fails_hurts_no_other(esl: ModuleType, metrics_of: Any, arguments: Any) -> None:
    module = part(esl, "ingest.metrics")
    metrics = metrics_of({"west": Numbers()})
    metrics.add(lambda: [module.Sample(*arguments)])
    metrics.add(lambda: [module.Sample("eslcodec_in_flight", "west", 4)])
    values = scraped(metrics)
    assert (values["eslcodec_in_flight", "west"], values["eslcodec_scrape_errors_total",]) == (4, 1)
    assert ("eslcodec_unheard_of", "west") not in values


def test_bounds_that_do_not_ascend(esl: ModuleType) -> None:
    for bounds in ((1.0, 0.5), (1.0, 1.0), (1.0, float("inf")), (float("nan"),)):
        with pytest.raises(ValueError, match="ascending"):
            part(esl, "ingest.metrics").Times(bounds)


def test_a_switch_that_was_removed_is_forgotten(esl: ModuleType, metrics_of: Any) -> None:
    switches = {"west": Numbers(), "east": Numbers()}
    metrics = metrics_of(lambda: switches)
    for name in switches:
        metrics.see(name, event_of(esl, "DTMF"))
    assert scraped(metrics)["eslcodec_events_total", "DTMF", "east"] == 1
    del switches["east"]
    assert not [key for key in scraped(metrics) if "east" in key]
    assert metrics.events("east") == {}
    assert metrics.events("west") == {"DTMF": 1}


class Fleet:
    switches: ClassVar = {"west": Numbers()}


def test_where_the_numbers_come_from(metrics_of: Any) -> None:
    for source in (Fleet(), Fleet.switches, lambda: Fleet.switches):
        assert scraped(metrics_of(source))["eslcodec_connected", "west"] == 1
    with pytest.raises(TypeError, match="source is 5, expected a Fleet"):
        metrics_of(5)


def test_it_is_a_collector(metrics_of: Any) -> None:
    registry = CollectorRegistry()
    metrics = metrics_of(Fleet())
    registry.register(metrics)
    assert parsed(generate_latest(registry).decode())["eslcodec_connected", "west"] == 1
    registry.unregister(metrics)


def test_openmetrics(metrics_of: Any) -> None:
    body, content_type = metrics_of(Fleet()).expose("application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
    assert content_type.startswith("application/openmetrics-text")
    families = {family.name: family for family in open_families(body.decode())}
    assert families["eslcodec_reconnects"].type == "counter"
    assert families["eslcodec_reconnects"].samples[0].value == 3
    assert "process_open_fds" in families or sys.platform != "linux"


def test_hostile_labels_stay_within_their_quotes(metrics_of: Any) -> None:
    name = 'a"} 1\neslcodec_connected{switch="b\\'
    for accept in ("", "application/openmetrics-text"):
        body, _ = metrics_of({name: Numbers()}).expose(accept)
        families = (open_families if accept else text_families)(body.decode())
        [found] = [family for family in families if family.name == "eslcodec_connected"]
        assert [(sample.labels, sample.value) for sample in found.samples] == [({"switch": name}, 1)]


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text"])
def test_labels_that_are_no_utf8_do_not_end_the_scrape(metrics_of: Any, accept: str, monkeypatch: Any) -> None:
    module = sys.modules[metrics_of.__module__]
    monkeypatch.setattr(module, "_disk_of", lambda folder: module.Disk(folder, 1, 2))
    metrics = metrics_of({}, folders=["/rec/\udcff", "/rec/\udcfe"])
    metrics.add(lambda: [module.Sample("eslcodec_publish_errors_total", "west", 1, "\udcff")])
    body, _ = metrics.expose(accept)
    families = (open_families if accept else text_families)(body.decode())
    [found] = [family for family in families if family.name == "eslcodec_disk_free_bytes"]
    assert [sample.labels["folder"] for sample in found.samples] == ["/rec/\\udcff", "/rec/\\udcfe"]


def test_a_folder_that_is_named_twice_is_one(metrics_of: Any, tmp_path: Path) -> None:
    body = metrics_of({}, folders=[tmp_path, str(tmp_path)]).expose()[0].decode()
    assert body.count("eslcodec_disk_free_bytes{") == 1


def test_threads_that_count_and_one_that_scrapes(esl: ModuleType, metrics_of: Any) -> None:
    metrics = metrics_of({"west": Numbers()})
    batch = [event_of(esl, "DTMF"), event_of(esl, "HEARTBEAT"), event_of(esl, "X")] * 10

    def count() -> None:
        for _ in range(200):
            metrics.see_all("west", batch)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    seen = 0
    while any(thread.is_alive() for thread in threads):
        now = metrics.events("west").get("DTMF", 0)
        assert now >= seen
        seen = now
        metrics._picture()
    for thread in threads:
        thread.join()
    assert metrics.events("west") == {"DTMF": 8000, "HEARTBEAT": 8000, "other": 8000}


def test_without_prometheus_client(esl: ModuleType) -> None:
    code = """
import sys
sys.modules["prometheus_client"] = None
import eslcodec
from eslcodec.ingest import Metrics
metrics = Metrics({})
metrics.see("west", eslcodec.Event.build("DTMF"))
print(dict(metrics.events("west")))
for ask in (metrics.expose, lambda: list(metrics.collect())):
    try:
        ask()
    except ImportError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd="/", capture_output=True, text=True, timeout=60, check=True)
    sentence = "metrics need prometheus-client: pip install 'eslcodec[metrics]'"
    assert done.stdout.splitlines() == ["{'DTMF': 1}", sentence, sentence]


def test_the_package_alone_loads_nothing_of_it() -> None:
    code = "import eslcodec, eslcodec.ingest, sys; print([name for name in sys.modules if 'prometheus' in name])"
    done = subprocess.run([sys.executable, "-c", code], cwd="/", capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


# Rules and dashboard


def known_names() -> set[str]:
    """As they are scraped."""
    names = set()
    for name, declared in DECLARED.items():
        endings = {"summary": ("_sum", "_count"), "histogram": ("_sum", "_count", "_bucket")}.get(declared.kind, ("",))
        names |= {name + ending for ending in endings}
    return names


def queries(esl: ModuleType) -> list[str]:
    dashboard = json.loads(part(esl, "ingest.metrics").dashboard())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return [*asked, *(each["query"]["query"] for each in dashboard["templating"]["list"] if each["type"] == "query")]


def test_every_query_asks_for_metrics_that_are(esl: ModuleType) -> None:
    rules = part(esl, "ingest.metrics").rules()
    asked = set(re.findall(r"\beslcodec_\w+", "\n".join(queries(esl))))
    assert asked - known_names() == set()
    assert set(re.findall(r"\beslcodec_\w+", rules)) - known_names() == set()
    unused = known_names() - asked - {"eslcodec_publish_seconds_sum", "eslcodec_publish_seconds_count"}
    assert unused == {"eslcodec_scrape_errors_total"}


def test_each_metric_says_what_it_is() -> None:
    for name, declared in DECLARED.items():
        assert name.endswith("_total") == (declared.kind == "counter"), name
        assert declared.help.endswith("."), name


def test_panels_do_not_lie_on_each_other(esl: ModuleType) -> None:
    taken: set[tuple[int, int]] = set()
    panels = json.loads(part(esl, "ingest.metrics").dashboard())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 15
    for panel in panels:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (Debian: prometheus)")
def test_promtool_reads_rules_and_queries(esl: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "alerts.yml").write_text(part(esl, "ingest.metrics").rules())
    fixed = [query.replace("$__rate_interval", "5m") for query in queries(esl) if "label_values" not in query]
    recorded = [{"record": f"eslcodec:q{number}", "expr": query} for number, query in enumerate(fixed)]
    (tmp_path / "queries.yml").write_text(json.dumps({"groups": [{"name": "q", "rules": recorded}]}))  # JSON is YAML
    for name in ("alerts.yml", "queries.yml"):
        done = subprocess.run(
            [PROMTOOL, "check", "rules", name], cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (Debian: prometheus)")
def test_each_alert_comes_when_it_should(esl: ModuleType, tmp_path: Path) -> None:
    rules = part(esl, "ingest.metrics").rules()
    (tmp_path / "alerts.yml").write_text(rules)
    tests = Path(__file__).parents[1] / "data" / "alerts_test.yml"
    shutil.copy(tests, tmp_path / "alerts_test.yml")
    tested = set(re.findall(r"alertname: (\w+)", tests.read_text()))
    assert tested == set(re.findall(r"alert: (\w+)", rules))
    done = subprocess.run(
        [PROMTOOL, "test", "rules", "alerts_test.yml"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
