"""Four of the five programs of examples/ to begin with, run as users run them; the fifth needs a NATS server."""

from __future__ import annotations

import csv
import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from examples_support import EXAMPLES, line, running
from support import DATA, until

from eslcodec import ingest
from eslcodec.emulator import Emulator

pytestmark = pytest.mark.skipif(not EXAMPLES.exists(), reason="the tests stand beside no checkout")


def test_the_service_counts_calls_over_a_reconnection() -> None:
    with Emulator(password="secret") as switch, running("calls_service", switch.host, switch.port, 0) as process:
        port = int(line(process).removeprefix("listening on port "))

        def told() -> dict[str, object]:
            with socket.create_connection(("127.0.0.1", port)) as client, client.makefile() as text:
                answer: dict[str, object] = json.loads(text.readline())
            return answer

        switch.wait_for(lambda: "api show channels as json" in switch.commands, 30)
        for uuid in ("a", "b"):
            switch.fire("CHANNEL_CREATE", {"Unique-ID": uuid, "Channel-Call-State": "DOWN"})
            switch.fire("CHANNEL_CALLSTATE", {"Unique-ID": uuid, "Channel-Call-State": "RINGING"})
        switch.fire("CHANNEL_DESTROY", {"Unique-ID": "b", "Channel-Call-State": "HANGUP"})
        until(lambda: told() == {"connected": True, "RINGING": 1}, 30)
        switch.add_session("c")
        switch.drop()
        until(lambda: told() == {"connected": True, "ACTIVE": 1}, 30)


def test_the_script_for_the_official_module_runs_as_it_is() -> None:
    with Emulator(password="secret") as switch:
        switch.endpoints["user/1000"] = "answer"
        arguments = (switch.host, switch.port, "user/1000")
        with running("esl_script", *arguments, module="eslcodec.ESL") as process:
            assert line(process) == "answered: 1000"
            assert line(process) == "job: +OK"
            assert line(process) == "hung up: NORMAL_CLEARING"
            assert process.wait(30) == 0


def test_the_test_of_the_ivr_passes(tmp_path: Path) -> None:
    for name in ("ivr.py", "test_ivr.py"):
        shutil.copy(EXAMPLES / name, tmp_path)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_ivr.py"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert "2 passed" in ran.stdout, ran.stdout + ran.stderr


def test_a_day_becomes_call_records(tmp_path: Path) -> None:
    capture = DATA / "captures" / "transfer_hold.esl.xz"
    with running("call_records", capture, tmp_path / "calls") as process:
        assert process.wait(60) == 0
    rows = [json.loads(text) for text in (tmp_path / "calls.ndjson").read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 32
    assert [row["uuid"] for row in rows] == [call.uuid for call in ingest.calls(capture)]
    with (tmp_path / "calls.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert [row["caller"] for row in table] == [row["caller"] for row in rows]
    assert table[0]["outcome"] == "answered"
