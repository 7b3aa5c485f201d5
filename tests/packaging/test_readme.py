"""Every block of code in the README and in the guides runs, against an emulated switch where it needs one."""

from __future__ import annotations

import ast
import configparser
import doctest
import gzip
import importlib.metadata
import importlib.util
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from guide_support import PAGES, README, ROOT, block, blocks, blocks_with, commands
from ports import free_port
from support import capture, plugin_option, until

import eslcodec
from eslcodec import ingest
from eslcodec.emulator import Emulator
from eslcodec.ingest import Recorder
from eslcodec.ingest.presets import json_schema

pytestmark = pytest.mark.skipif(not README.exists(), reason="the README is in the checkout only")


PROGRAMS = {  # what no other block has in it -> the test that runs it; dialogues run page by page
    "$ pip install eslcodec": "test_what_is_installed",
    "print(eslcodec.__impl__)": "test_which_core_is_in_use",
    "$ make demo": "test_make_is_what_ci_runs",
    "with eslcodec.connect(": "test_the_loop_over_events",
    "def hang_up(uuid)": "test_the_connection_of_each_worker",
    "eslcodec.aio.connect(": "test_the_loop_with_asyncio",
    "def greet(call)": "test_the_handler_of_calls",
    "def read_pin(call)": "test_the_pin_that_is_typed",
    "def menu(call)": "test_the_menu_and_its_test",
    "def message(call)": "test_the_message_that_is_left",
    "def test_my_program(esl_switch)": "test_the_tests_that_users_write",
    "def ask_for_pin(call)": "test_the_test_of_a_caller_who_types",
    "$ python -m eslcodec.ESL": "test_the_script_for_the_official_module",
    "greenswitch.install()": "test_the_line_for_an_adapter",
    'profile = "secrets"': "test_the_profile_of_redaction",
    "async with Fleet([": "test_many_switches",
    "[switches.west]": "test_the_file_of_a_fleet",
    "class Answers(": "test_the_protocol_over_the_decoder",
    "in calls(fs.events())": "test_the_loop_over_calls",
    "in fs.resync(known)": "test_what_happened_in_a_gap",
    "FULL JOIN theirs": "test_the_comparison_of_call_records",
    "$ eslcodec record --dir rec --events": "test_the_recording_of_a_day",
    'duckdb.connect("day.duckdb")': "test_a_day_in_duckdb",
    "import polars as pl": "test_a_day_in_polars",
    ".to_pandas()": "test_a_day_in_pandas",
    "fs.batches(presets.EVENTS": "test_parquet_by_the_hour",
    "$ eslcodec convert --calls --since": "test_who_hung_up_on_whom",
    "FROM 'calls.parquet'": "test_who_hung_up_on_whom",
    "$ eslcodec convert --legs": "test_legs_through_a_pipe",
    "CREATE TABLE calls": "test_call_records_into_postgresql",
    "FROM pstdin": "test_call_records_into_postgresql",
    "$ psql -Xqf calls.sql": "test_call_records_into_postgresql",
    "jsonb_array_elements(legs)": "test_call_records_into_postgresql",
    "$ eslcodec emulate": "test_the_command_lines",
    "[switches.default]": "test_the_profiles_of_the_command_line",
    "$ cat commands.txt": "test_commands_in_a_file",
    "_ESLCODEC_COMPLETE=bash_source": "test_the_completion_of_shells",
    "$ cat printed.txt": "test_events_that_were_printed",
    "$ eslcodec record 127.0.0.1": "test_a_recording_from_the_shell",
    "$ eslcodec top east": "test_the_board_from_the_shell",
    '"per_second_minute": ': "test_the_board_from_the_shell",
    "$ eslcodec bridge fs1": "test_the_bridge_from_the_shell",
    "$ eslcodec replay /var/lib": "test_yesterday_in_staging",
    "[Service]": "test_the_unit_of_a_service",
    "async with fleet, Health(": "test_the_program_that_is_watched",
    "metrics.rules()": "test_the_files_for_prometheus_and_grafana",
    "rule_files: [alerts.yml]": "test_the_files_for_prometheus_and_grafana",
    "$ eslcodec tail nats://": "test_the_tail_of_a_stream",
    'print(event.switch, "notice", event.kind)': "test_events_in_order",
    "workers=8": "test_events_with_workers",
    "ordered=False)": "test_events_without_order",
    "async for leg in legs(consumer)": "test_legs_from_a_stream",
    "$ eslcodec convert nats://": "test_legs_from_a_stream",
    '<configuration name="event_socket.conf"': "test_the_configuration_is_xml",
    '<list name="esl_clients"': "test_the_configuration_is_xml",
    '<extension name="mine">': "test_the_configuration_is_xml",
}


@contextmanager
def running(code: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-u", "-c", code], cwd="/", stdout=subprocess.PIPE, text=True)
    with process:
        try:
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def subscribed(switch: Emulator) -> bool:
    return any(command.startswith("event") for command in switch.commands)


def source_of(test: str) -> str:
    """Of a test here, or in a file beside this one."""
    for path in sorted(Path(__file__).parent.glob("test_readme*.py")):
        code = path.read_text(encoding="utf-8")
        for node in ast.parse(code).body:
            if isinstance(node, ast.FunctionDef) and node.name == test:
                first = min(each.lineno for each in (node, *node.decorator_list))
                return "\n".join(code.splitlines()[first - 1 : node.end_lineno])
    raise AssertionError(f"no test {test}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_is_run_by_a_test(page: Path) -> None:
    for language, code in blocks(page):
        if language == "pycon":
            assert code.startswith(">>> "), code
            assert code.endswith("\n\n"), f"a blank line ends the last output for doctest: {code}"
            continue
        marks = [mark for mark in PROGRAMS if mark in code]
        assert len(marks) == 1, f"which test runs this {language} block? {marks}\n{code}"
        assert repr(marks[0])[1:-1] in source_of(PROGRAMS[marks[0]])


def test_every_program_is_on_a_page() -> None:
    assert [mark for mark in PROGRAMS if not blocks_with(mark)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_dialogues_go_as_printed(page: Path) -> None:
    prompts = sum(code.count(">>> ") for language, code in blocks(page) if language == "pycon")
    before = sys.modules.get("ESL")
    try:
        result = doctest.testfile(str(page), module_relative=False, encoding="utf-8")
    finally:
        if before is None:
            sys.modules.pop("ESL", None)
    assert result.failed == 0
    assert result.attempted == prompts


def test_what_is_installed() -> None:
    """By the name and with the extra that the README names."""
    ((command, _),) = commands(block("$ pip install eslcodec"))
    assert command.split() == ["pip", "install", "eslcodec"]
    try:
        extras = importlib.metadata.metadata("eslcodec").get_all("Provides-Extra")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("eslcodec is imported from a folder, not installed")
    assert extras is not None
    assert "cli" in extras


def test_which_core_is_in_use() -> None:
    ((command, shown),) = commands(block("print(eslcodec.__impl__)"))
    python, *words = shlex.split(command)
    assert (python, shown) == ("python", ["c"])
    done = subprocess.run([sys.executable, *words], cwd="/", capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == [eslcodec.__impl__]


def test_the_first_screens_figures_are_those_of_the_published_run() -> None:
    results = ROOT / "bench" / "results" / "results.json"
    if not results.exists():
        pytest.skip("the results are in the checkout only")
    summary = json.loads(results.read_text())["summary"]

    def times(case: str, other: str) -> float:
        return summary[f"{other} sip_plain"]["cpu_us"] / summary[f"{case} sip_plain"]["cpu_us"]

    text = README.read_text(encoding="utf-8").partition("## Speed")[0]
    said = [int(found) for found in re.findall(r"(\d+)\s+times", text)]
    measured = [times("five", "greenswitch"), times("asdict", "greenswitch"), times("esl_name", "official_name")]
    assert len(said) == len(measured)
    for claim, value in zip(said, measured, strict=True):
        assert 0.9 * value <= claim <= value  # rounded down


def test_the_readme_is_short() -> None:
    assert len(README.read_bytes()) <= 12 * 1024


def test_make_is_what_ci_runs() -> None:
    script = README.with_name(".ci") / "run"
    if not script.exists():
        pytest.skip(".ci/run is in the checkout only")
    for command, _ in commands(block("$ make demo")):
        assert re.search(f"^{command} ", script.read_text(), re.MULTILINE)


@pytest.mark.parametrize("code", blocks_with("with eslcodec.connect("), ids=["README", "index", "guide"])
def test_the_loop_over_events(code: str) -> None:
    with Emulator() as switch, running(code.replace("8021", str(switch.port))) as process:
        switch.wait_for(lambda: subscribed(switch), 30)
        switch.fire("CHANNEL_ANSWER", {"Unique-ID": "u-1"})
        assert line(process).split()[:2] == ["CHANNEL_ANSWER", "u-1"]


def test_the_connection_of_each_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    with Emulator() as switch:
        switch.api["uuid_kill"] = lambda uuid: f"+OK {uuid}"
        names: dict[str, Any] = {}
        exec(block("def hang_up(uuid)").replace("8021", str(switch.port)), names)
        assert names["hang_up"]("u-1").text == "+OK u-1"
        first = names["connection_of"](os.getpid())
        monkeypatch.setattr(os, "getpid", lambda: 0)  # as in a worker that was forked
        assert names["hang_up"]("u-2").text == "+OK u-2"
        assert len(switch.listeners) == 2
        for fs in (first, names["connection_of"](0)):
            fs.close()


@pytest.mark.parametrize("code", blocks_with("eslcodec.aio.connect("))
def test_the_loop_with_asyncio(code: str) -> None:
    with Emulator() as switch:
        switch.api["originate"] = "+OK"
        last = "bgapi" if "bgapi" in code else "event"
        with running(code.replace("8021", str(switch.port))) as process:
            switch.wait_for(lambda: any(command.startswith(last) for command in switch.commands), 30)
            switch.fire("CHANNEL_ANSWER", {"Unique-ID": "u-1"})
            assert line(process) == "CHANNEL_ANSWER u-1"


def test_the_handler_of_calls() -> None:
    port = free_port()
    code = block("def greet(call)").replace("8084", str(port))
    with running(code) as process, Emulator() as switch:
        until(lambda: connectable(port), 30)
        call = switch.dial("127.0.0.1", port)
        assert line(process).startswith("call from")
        assert call.wait(30) == "NORMAL_CLEARING"
        assert call.executed == [("answer", ""), ("set", "greeted=yes"), ("playback", "ivr/ivr-welcome.wav")]


@pytest.mark.parametrize(("typed", "cause"), [("1234#", "NORMAL_CLEARING"), ("1#", "CALL_REJECTED")])
@pytest.mark.parametrize("mode", ["async full", ""])
def test_the_pin_that_is_typed(typed: str, cause: str, mode: str) -> None:
    names: dict[str, Any] = {}
    exec(block("def read_pin(call)"), names)
    with eslcodec.serve(names["read_pin"]) as server, Emulator() as switch:
        call = switch.dial("127.0.0.1", server.port, mode=mode)
        switch.wait_for(lambda: ("playback", "ivr/ivr-please_enter_pin_followed_by_pound.wav") in call.executed, 30)
        call.dtmf(typed)
        assert call.wait(30) == cause
        assert [application for application, _ in call.executed] == ["answer", "playback"]


def connectable(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def test_the_tests_that_users_write(tmp_path: Path) -> None:
    program = (
        "import threading\n"
        + block("def greet(call)").partition("\n\n\nwith")[0]
        + "\n\n\n"
        + block("def read_pin(call)")
        + "\ndef listen(host, port):\n"
        "    with eslcodec.connect(host, port) as fs:\n"
        "        fs.subscribe('ALL', format='plain')\n"
        "        assert fs.next_event(10).name == 'CHANNEL_HANGUP'\n"
        "def start_my_program(host, port):\n"
        "    threading.Thread(target=listen, args=(host, port)).start()\n"
    )
    (tmp_path / "test_mine.py").write_text(program + block("def test_my_program(esl_switch)"))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            *plugin_option(),
            "-q",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            ".",
            "test_mine.py",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "3 passed" in done.stdout, done.stdout


def test_the_test_of_a_caller_who_types() -> None:
    names: dict[str, Any] = {}
    code = block("def ask_for_pin(call)")
    exec(code, names)
    names["test_a_wrong_pin_and_a_right_one"]()
    assert len(code[code.index("def test_") :].splitlines()) < 20


def test_the_protocol_over_the_decoder() -> None:
    with Emulator() as switch, running(block("class Answers(").replace("8021", str(switch.port))) as process:
        switch.wait_for(lambda: subscribed(switch), 30)
        switch.fire("CHANNEL_ANSWER", {"Unique-ID": "u-1"})
        assert line(process) == "CHANNEL_ANSWER 'u-1'"
        switch.shutdown()
        assert line(process) == "closed: None"


def test_the_loop_over_calls() -> None:
    port = free_port()
    code = block("in calls(fs.events())").replace("8021", str(port))
    first = {"Unique-ID": "a", "Caller-Caller-ID-Number": "1000", "Caller-Destination-Number": "2000"}
    refused = {"Unique-ID": "b", "Other-Leg-Unique-ID": "a", "variable_sip_hangup_disposition": "recv_refuse"}
    with Emulator(port=port) as switch, running(code) as process:
        switch.wait_for(lambda: subscribed(switch), 30)
        switch.fire("CHANNEL_CREATE", first)
        for leg in refused, first:
            switch.fire("CHANNEL_HANGUP_COMPLETE", leg | {"Caller-Channel-Hangup-Time": "1795920750251991"})
        assert line(process) == "1000 -> 2000 failed 0.0 ended by callee"


def test_the_program_that_is_watched() -> None:
    pytest.importorskip("prometheus_client")
    from metrics_support import asked, parsed

    code = block("async with fleet, Health(").replace("port=9821", "port=0")
    with Emulator() as east, Emulator() as west:
        for host, switch in (("10.0.0.1:8021", east), ("10.0.0.2:8021", west)):
            code = code.replace(host, f"127.0.0.1:{switch.port}")
        with running(code) as process:
            port = int(line(process).rpartition(":")[2])
            until(lambda: subscribed(east) and subscribed(west), 30)
            east.fire("CHANNEL_ANSWER")
            key = "eslcodec_events_total", "CHANNEL_ANSWER", "east"
            until(lambda: parsed(asked(port, "/metrics")[2].decode()).get(key) == 1, 30)
            for path in ("/livez", "/readyz", "/status"):
                assert asked(port, path)[0] == 200


def test_the_files_for_prometheus_and_grafana(tmp_path: Path) -> None:
    """Both come as printed, and Prometheus takes the configuration, where there is one."""
    pytest.importorskip("prometheus_client")
    (tmp_path / "prometheus.yml").write_text(block("rule_files: [alerts.yml]"))
    for command, _ in commands(block("metrics.rules()")):
        python, *words = shlex.split(command)
        assert (python, words[0], words[2][0]) == ("python", "-c", ">")
        done = subprocess.run([sys.executable, *words[:2]], cwd="/", capture_output=True, text=True, timeout=60)
        (tmp_path / words[2][1:]).write_text(done.stdout)
    assert json.loads((tmp_path / "dashboard.json").read_text())["panels"]
    assert "- alert: EslcodecDisconnected" in (tmp_path / "alerts.yml").read_text()
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("there is no promtool (Debian: prometheus); the rest was looked at")
    done = subprocess.run(
        [promtool, "check", "config", "prometheus.yml"], cwd=tmp_path, capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_every_metric_alert_and_logger_is_in_the_guide() -> None:
    from eslcodec.ingest import metrics
    from eslcodec.logs import LOGGERS

    text = (ROOT / "docs" / "guides" / "monitoring.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`(eslcodec_\w+)`", text)) == set(metrics.Metrics.NAMES)
    assert set(re.findall(r"^\| `(Eslcodec\w+)`", text, re.MULTILINE)) == set(
        re.findall(r"alert: (\w+)", metrics.rules())
    )
    told = dict(re.findall(r"^\| `(eslcodec\.\w+)` \| (.*) \|$", text, re.MULTILINE))
    assert {name: what.replace("`--log-json`", "--log-json") for name, what in told.items()} == {
        name: what for name, what in LOGGERS.items() if name != "eslcodec"
    }


def test_what_happened_in_a_gap() -> None:
    port = free_port()
    code = block("in fs.resync(known)").replace("8021", str(port))
    with Emulator(port=port) as switch:
        switch.add_session("old")
        with running(code) as process:
            assert line(process) == "was here before us: old"
            switch.add_session("new")
            switch._run(lambda: (switch._sockets.drop(), switch._switch.channels.sessions.pop("old")))
            assert {line(process), line(process)} == {"ended unseen old", "began unseen new"}


def test_the_comparison_of_call_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where DuckDB is installed; else only that its columns are ours."""
    query = block("FULL JOIN theirs")
    ours = [
        {"uuid": uuid, "status": "complete", "cause": "NORMAL_CLEARING", "billsec": seconds}
        for uuid, seconds in [("same", 1.5), ("longer", 2.5), ("only ours", 3.5)]
    ]
    assert set(ours[0]) < set(json_schema("leg")["properties"])
    duckdb = pytest.importorskip("duckdb")
    monkeypatch.chdir(tmp_path)
    Path("cdr").mkdir()
    Path("legs.ndjson").write_text("".join(json.dumps(row) + "\n" for row in ours))
    for uuid, microseconds in ("same", "1500000"), ("longer", "2600000"), ("only theirs", "10000"):
        variables = {"uuid": uuid, "hangup_cause": "NORMAL_CLEARING", "billusec": microseconds, "direction": "inbound"}
        Path("cdr", f"{uuid}.cdr.json").write_text(json.dumps({"switchname": "pbx", "variables": variables}))
    assert duckdb.sql(query).fetchall() == [
        ("longer", "complete", "NORMAL_CLEARING", "NORMAL_CLEARING", 2.5, 2.6),
        ("only ours", "complete", "NORMAL_CLEARING", None, 3.5, None),
        ("only theirs", None, None, "NORMAL_CLEARING", None, 0.01),
    ]


@pytest.fixture
def day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recording as the guide has it, in the current folder."""
    monkeypatch.chdir(tmp_path)
    with Recorder("rec", min_free=0, fsync="never") as recorder:
        for name in "restart_recover_before", "restart_recover_after":
            recorder.opened(("127.0.0.1", 8021))
            recorder.received(capture(name))
    return tmp_path


def hangups() -> list[str]:
    return [
        event["Hangup-Cause"]
        for event in eslcodec.iter_messages("rec")
        if isinstance(event, eslcodec.Event) and event.name == "CHANNEL_HANGUP_COMPLETE"
    ]


def test_the_recording_of_a_day() -> None:
    """The command that the guide begins with is one that there is; test_cli_record runs it."""
    found = commands(block("$ eslcodec record --dir rec --events"))
    cli = pytest.importorskip("eslcodec.cli", reason="the extra cli is not installed")
    record = cli.command_line().get_command(None, "record")
    record.make_context("record", shlex.split(found[1][0])[2:])
    pip, install, ours, *_ = shlex.split(found[0][0])
    assert (pip, install, ours) == ("pip", "install", "eslcodec[cli,record,parquet]"), "what this page's blocks need"


def test_a_day_in_duckdb(day: Path, capsys: pytest.CaptureFixture[str]) -> None:
    duckdb = pytest.importorskip("duckdb")
    code = block('duckdb.connect("day.duckdb")')
    assert len(code.splitlines()) <= 10
    exec(code, {})
    counts = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    events = sum(isinstance(message, eslcodec.Event) for message in eslcodec.iter_messages("rec"))
    assert sum(int(count) for count, _ in counts) == events
    with duckdb.connect("day.duckdb") as db:
        assert db.sql("SELECT count(DISTINCT id) FROM events").fetchall() == [(events,)]


def test_a_day_in_polars(day: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("polars")
    names: dict[str, Any] = {}
    exec(block("import polars as pl"), names)
    assert sorted(names["hangups"]["cause"].to_list()) == sorted(hangups())
    assert "NORMAL_CLEARING" in capsys.readouterr().out


def test_a_day_in_pandas(day: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for module in ("pandas", "pyarrow"):
        pytest.importorskip(module)
    names: dict[str, Any] = {}
    exec(block(".to_pandas()"), names)
    assert sorted(names["legs"]["cause"].tolist()) == sorted(hangups())
    assert "NORMAL_CLEARING" in capsys.readouterr().out


def test_parquet_by_the_hour(day: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    code = f"import os; os.chdir({str(day)!r})\n{block('fs.batches(presets.EVENTS')}"
    with Emulator() as switch:
        code = code.replace("8021", str(switch.port)).replace("max_seconds=60", "max_seconds=0.05")
        with running(code) as process:
            switch.wait_for(lambda: subscribed(switch), 30)
            for number in range(2):
                switch.fire("DTMF", {"DTMF-Digit": str(number)})
                path, _, rows = line(process).rpartition(" ")
                assert rows == "1"
                [row] = parquet.read_table(day / path, partitioning=None).to_pylist()
                assert (row["name"], json.loads(row["event"])["DTMF-Digit"]) == ("DTMF", str(number))


def test_who_hung_up_on_whom(day: Path) -> None:
    pytest.importorskip("pyarrow")
    duckdb = pytest.importorskip("duckdb")
    converted(block("$ eslcodec convert --calls --since"))
    found = duckdb.sql(block("FROM 'calls.parquet'")).fetchall()
    calls = [call for call in ingest.calls("rec") if call.outcome == "answered" and call.ended_by]
    assert len(found) == len(calls) > 5
    assert {row[:4] for row in found} == {(call.caller, call.callee, call.ended_by, call.cause) for call in calls}


def converted(code: str, cut: str = "\n") -> bytes:
    """What the command writes, up to a pipe."""
    pytest.importorskip("eslcodec.cli", reason="the extra cli is not installed")
    ((command, _),) = commands(code)
    words = shlex.split(command.partition(cut)[0])
    assert words[0] == "eslcodec"
    done = subprocess.run([sys.executable, "-m", *words], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_legs_through_a_pipe(day: Path) -> None:
    code = block("$ eslcodec convert --legs")
    legs = converted(code, " | ")
    Path("legs.ndjson").write_bytes(legs)
    assert legs.splitlines() == [leg.to_json() for leg in ingest.legs("rec")]
    duckdb = pytest.importorskip("duckdb")
    query = shlex.split(commands(code)[0][0].partition(" | ")[2])[2].replace("/dev/stdin", "legs.ndjson")
    assert sum(count for _, count in duckdb.sql(query).fetchall()) == len(legs.splitlines())


def test_the_script_for_the_official_module(tmp_path: Path) -> None:
    ((command, _),) = commands(block("$ python -m eslcodec.ESL"))
    python, *words = shlex.split(command)
    assert (python, words[-2:]) == ("python", ["script.py", "arguments"])
    (tmp_path / "script.py").write_text("import ESL, sys; print(ESL.ESLevent('DTMF').getType(), sys.argv[1:])")
    done = subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("DTMF ['arguments']\n", "")


def test_the_line_for_an_adapter() -> None:
    """Where the client is installed, as when .ci/run tests the adapters; where it is not, that is what it says."""
    done = subprocess.run(
        [sys.executable, "-c", block("greenswitch.install()")], cwd="/", capture_output=True, text=True, timeout=60
    )
    if importlib.util.find_spec("greenswitch"):
        assert (done.returncode, done.stderr) == (0, "")
    else:
        assert done.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'greenswitch'"


def test_the_configuration_is_xml() -> None:
    for mark in ('<configuration name="event_socket.conf"', '<list name="esl_clients"', '<extension name="mine">'):
        assert ElementTree.fromstring(block(mark)).get("name")


SHELL = ["-W", "error", "-c", "from eslcodec.cli import main; main()"]


def test_the_command_lines(tmp_path: Path) -> None:
    """As printed, but for the port, times, and what goes on for ever: that is cut after a message."""
    pytest.importorskip("click")
    pytest.importorskip("rich")
    stream = gzip.decompress((Path(eslcodec.__file__).parent / "data" / "sip_plain.esl.gz").read_bytes())
    (tmp_path / "stream.esl").write_bytes(stream)
    (emulate, (listening,)), *others = commands(block("$ eslcodec emulate"))
    settings = {f"ESLCODEC_{name}" for name in ("HOST", "USER", "PASSWORD", "PASSWORD_FILE")}
    environment = {name: value for name, value in os.environ.items() if name not in settings}
    with subprocess.Popen(
        [sys.executable, *SHELL, *shlex.split(emulate)[1:], "--port", "0"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as switch:
        try:
            said, _, environment["ESLCODEC_PORT"] = line(switch).rpartition(":")
            assert f"{said}:8021" == listening
            for command, expected in others:
                check(command, expected, tmp_path, environment)
        finally:
            switch.kill()


def check(command: str, expected: list[str], folder: Path, environment: dict[str, str]) -> None:
    words = shlex.split(re.split(r"[|;]", command)[0])
    assert words[0] == "eslcodec"
    if words[1] == "demo":  # runs for a minute; here it is for the words to be understood
        words.append("--help")
    if words[1] == "tail" and "--count" not in words:
        words += ["--count", "1"]
    done = subprocess.run(
        [sys.executable, *SHELL, *words[1:]], cwd=folder, env=environment, capture_output=True, text=True, timeout=60
    )
    shown = [*done.stdout.splitlines(), *([str(done.returncode)] if command.endswith("; echo $?") else [])]
    assert expected or done.returncode == 0, done.stderr
    assert [timeless(text) for text in shown[: len(expected)]] == [timeless(text) for text in expected]
    if "jq" in command:
        assert all(isinstance(json.loads(text), dict) for text in shown)


def timeless(text: str) -> str:
    return re.sub(r"\d+ (second|millisecond|microsecond)s?\b", r"N \1s", re.sub(r"^\d+:\d+:\d+\.\d+", "T", text))


def test_the_profile_of_redaction(tmp_path: Path) -> None:
    pytest.importorskip("tomllib")
    from eslcodec.ingest import Redact

    Redact.make_key(tmp_path / "redact.key")
    (tmp_path / "redact.toml").write_text(block('profile = "secrets"'))
    redact = Redact.from_toml(tmp_path / "redact.toml")
    assert redact.pairs([("variable_sip_h_X", "1"), ("DTMF-Digit", "5")]) == [("DTMF-Digit", "***")]
    assert str(redact.value("Caller-ANI", "1000")).startswith("h-")
    assert redact.body(b"hello") == b"***"


def test_many_switches() -> None:
    with Emulator() as east, Emulator() as west:
        code = block("async with Fleet([")
        code = code.replace("10.0.0.1:8021", f"127.0.0.1:{east.port}").replace(
            "10.0.0.2:8021", f"127.0.0.1:{west.port}"
        )
        with running(code) as process:
            started = {line(process).partition("(")[0] for _ in range(2)}
            assert started == {"east Started", "west Started"}
            west.fire("CHANNEL_ANSWER", {"Unique-ID": "u-1"})
            assert line(process) == "west CHANNEL_ANSWER u-1"


def test_the_file_of_a_fleet(tmp_path: Path) -> None:
    pytest.importorskip("tomllib")
    from eslcodec.ingest import Fleet

    (tmp_path / "fleet.toml").write_text(block("[switches.west]"))
    assert repr(Fleet.from_toml(tmp_path / "fleet.toml")) == "<Fleet of 2, not entered>"


def fired(switch: subprocess.Popen[str]) -> list[str]:
    """Names of the first events that an emulated switch in another process sends."""
    _, _, port = line(switch).rpartition(":")
    with eslcodec.connect("127.0.0.1", int(port)) as fs:
        fs.subscribe("ALL")
        return [str(event.name) for event in fs.take(timeout=60)]


@contextmanager
def in_shell(words: list[str], folder: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, *LISTENING, *words],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


# A shell that runs the tests in the background lets them ignore SIGINT, which children inherit.
LISTENING = [
    "-W",
    "error",
    "-c",
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from eslcodec.cli import main; main()",
]


def numberless(text: str) -> str:
    """A line but for what is different each time."""
    return re.sub(r"\d[\d.,:]*", "N", re.sub(r"[0-9a-f]{8}-[-0-9a-f]{27}", "uuid", text))


def count(folder: Path) -> int:
    return sum(1 for _ in eslcodec.iter_messages(folder)) if folder.exists() else 0


def test_a_recording_from_the_shell(tmp_path: Path) -> None:
    """As printed, but for sizes and times; everything there is recorded, and everything recorded is replayed."""
    pytest.importorskip("click")
    pytest.importorskip("rich")
    (record, (summary,)), *others, (replay, (listening,)) = commands(block("$ eslcodec record 127.0.0.1"))
    data = gzip.decompress((Path(eslcodec.__file__).parent / "data" / "sip_plain.esl.gz").read_bytes())
    sent = len(re.findall(rb"Content-Type: text/event", data))
    with Emulator(replay=data, lossless=True) as switch:
        environment = {**os.environ, "ESLCODEC_PORT": str(switch.port)}
        words = [*shlex.split(record)[1:], "--min-free", "0%"]  # there may be little room where tests run
        with in_shell(words, tmp_path, environment) as process:
            until(lambda: count(tmp_path / "rec") >= sent, 60)
            process.send_signal(signal.SIGINT)
            shown, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
        assert numberless(shown) == numberless(summary) + "\n"
    for command, expected in others:
        done = subprocess.run(
            [sys.executable, *SHELL, *shlex.split(command)[1:]],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (0, "")
        lines = done.stdout.splitlines()
        assert list(map(numberless, lines[: len(expected)])) == list(map(numberless, expected))
        assert expected or not lines
    assert count(tmp_path / "for-the-bug-report.esl.zst") == count(tmp_path / "rec")
    with in_shell([*shlex.split(replay)[1:], "--port", "0"], tmp_path, dict(os.environ)) as process:
        names = fired(process)
    assert listening.startswith("listening on ")
    assert names[0] in [message.name for message in eslcodec.iter_messages(tmp_path / "rec") if "Event-Name" in message]


def test_yesterday_in_staging(tmp_path: Path) -> None:
    pytest.importorskip("click")
    pytest.importorskip("rich")
    ((command, (listening,)),) = commands(block("$ eslcodec replay /var/lib"))
    words = shlex.split(command)
    folder = tmp_path / words[2].lstrip("/")
    event = eslcodec.Event.build("DTMF", {"DTMF-Digit": "5", "Event-Date-Timestamp": str(int(time.time() * 1e6))})
    with Recorder(folder, min_free=0) as recorder:
        recorder.opened(("10.0.0.1", 8021))
        recorder.received(event.frame)
    with in_shell(["replay", str(folder), *words[3:], "--port", "0"], tmp_path, dict(os.environ)) as process:
        assert fired(process) == ["DTMF"]
    assert listening.startswith("listening on ")


def test_the_unit_of_a_service(tmp_path: Path) -> None:
    """systemd takes it, where there is one; and the command takes what it says."""
    click = pytest.importorskip("click")
    pytest.importorskip("rich")
    from eslcodec.cli import command_line

    code = block("[Service]")
    unit = configparser.ConfigParser(interpolation=None, strict=True)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(code.replace("\\\n", ""))
    program, *words = shlex.split(unit["Service"]["ExecStart"].replace("%%", "%"))
    assert Path(program).name == "eslcodec"
    group = command_line()
    command = group.get_command(click.Context(group), words[0])
    assert command is not None
    parsed = command.make_context(words[0], words[1:]).params
    assert parsed["hosts"] == ("10.0.0.1", "10.0.0.2")
    assert parsed["min_free"] == 0.1
    assert "/var/lib/" + unit["Service"]["StateDirectory"] == parsed["folder"]
    assert unit["Service"]["Type"] == "notify"
    verify = shutil.which("systemd-analyze")
    if verify is None:
        pytest.skip("there is no systemd-analyze; the rest was looked at")
    path = tmp_path / "eslcodec-record.service"
    path.write_text(code.replace(program, sys.executable))
    done = subprocess.run([verify, "verify", str(path)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_board_from_the_shell(tmp_path: Path) -> None:
    pytest.importorskip("click")
    pytest.importorskip("rich")
    from eslcodec.cli import top_view
    from eslcodec.ingest._board import Board

    (live, picture), (once, _), (recorded, _) = commands(block("$ eslcodec top east"))
    board = Board()
    for name in ("east", "west"):
        board.see_all(name, [], 0.0)
    shown = top_view.picture(board.lines(9.0), board.total(9.0), top_view.Choice(), (80, 24), 9.0)
    assert [picture[1].split(), picture[6].split()] == [shown[1].plain.split(), shown[6].plain.split()]
    environment = {**os.environ, "ESLCODEC_PASSWORD": "ClueCon"}
    with Emulator() as east, Emulator() as west:
        where = {"10.0.0.1": f"127.0.0.1:{east.port}", "10.0.0.2": f"127.0.0.1:{west.port}", "10s": "8s"}

        def output(command: str, *more: str) -> str:
            words = shlex.split(re.sub("|".join(where), lambda found: where[found[0]], command.partition(" | ")[0]))
            run = [sys.executable, *SHELL, *words[1:], *more]
            done = subprocess.run(run, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stderr
            return done.stdout

        lines = output(live, "--once", "--seconds", "8s").splitlines()
        assert [text.split()[1:3] for text in lines[:2]] == [["east", "connected:"], ["west", "connected:"]]
        found = json.loads(output(once))
    documented = json.loads(block('"per_second_minute": '))
    assert list(found) == list(documented)
    [one], [described] = found["switches"].values(), documented["switches"].values()
    assert list(one) == list(described)
    for name, value in described.items():
        if isinstance(value, dict) and name not in ("losses", "loss_reports"):
            assert list(one[name]) == list(value)
    assert set(documented["total"]) - {"..."} <= set(found["total"]) < set(one)
    with (
        Recorder(tmp_path / "rec", min_free=0) as recorder,
        Emulator() as switch,
        eslcodec.connect(switch.host, switch.port, tap=recorder) as fs,
    ):
        fs.api("status")
    assert "recorded: " in output(recorded.replace("08:15", "now"))
