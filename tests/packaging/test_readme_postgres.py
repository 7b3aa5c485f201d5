"""Call records into PostgreSQL, as the guide has it, in a real server where one is installed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import postgres_support
import pytest
from guide_support import README, block, commands
from support import capture

import eslcodec
from eslcodec import ingest
from eslcodec.ingest import Recorder
from eslcodec.ingest.presets import json_schema

pytestmark = pytest.mark.skipif(not README.exists(), reason="the guides are in the checkout only")

HOSTILE = [
    """'; DROP TABLE calls; -- "quoted" \\""",
    "a\\u0000b, nul\0, \\\0\0",
    "two\r\nlines\ttab \x01\x02\x7f",
    "\udcff not UTF-8, \u65e5\u672c \U0001f642",
    "\\.",
    "",
    "{}",
]


def record(data: bytes) -> None:
    with Recorder("rec", min_free=0, fsync="never") as recorder:
        recorder.opened(("127.0.0.1", 8021))
        recorder.received(data)


def hung_up(uuid: str, name: str = "") -> bytes:
    headers = {
        "Unique-ID": uuid,
        "Caller-Channel-Created-Time": 1795920750251991,
        "Caller-Channel-Hangup-Time": 1795920760251991,
        "Caller-Caller-ID-Name": name,
        "Caller-Context": name,
        "Hangup-Cause": "NORMAL_CLEARING",
    }
    return eslcodec.Event.build("CHANNEL_HANGUP_COMPLETE", headers).frame


def test_call_records_into_postgresql(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a recording, again while it grows: what the table has are the calls, whatever their names are made of."""
    pytest.importorskip("eslcodec.cli", reason="the extra cli is not installed")
    monkeypatch.chdir(tmp_path)
    Path("calls.sql").write_text(block("CREATE TABLE calls"))
    Path("load.sql").write_text(block("FROM pstdin"))
    make, load = commands(block("$ psql -Xqf calls.sql"))
    record(capture("restart_recover_before"))
    record(capture("restart_recover_after"))
    record(b"".join(hung_up(f"hostile {at}", name) for at, name in enumerate(HOSTILE)))
    record(eslcodec.Event.build("CHANNEL_CREATE", {"Unique-ID": "u-open"}).frame)
    with postgres_support.server() as environment:
        in_bash(make, environment)
        for status in "open", "complete", "complete":
            in_bash(load, environment)
            calls = {call.uuid: call for call in ingest.calls("rec")}
            found = [json.loads(text) for text in asked("SELECT to_jsonb(calls) FROM calls", environment)]
            assert {row["uuid"]: row for row in found} == {uuid: in_database(call) for uuid, call in calls.items()}
            assert calls["u-open"].status == status
            if status == "open":
                record(hung_up("u-open"))
        query = block("jsonb_array_elements(legs)").replace("current_date", "'2026-01-01'")
        gateways = [row.split("|") for row in asked(query, environment)]
    outbound = [leg for call in calls.values() for leg in call.legs if leg.direction == "outbound"]
    assert sum(int(count) for _, count, _ in gateways) == len(outbound) > 5
    assert set(found[0]) == set(json_schema("call")["properties"])


def in_bash(command: tuple[str, list[str]], environment: dict[str, str]) -> None:
    """Run a command of a block, with the package that is tested."""
    program = f'set -o pipefail; eslcodec() {{ "{sys.executable}" -m eslcodec "$@"; }}; {command[0]}'
    done = subprocess.run(["bash", "-c", program], env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")


def asked(query: str, environment: dict[str, str]) -> list[str]:
    """The rows that a database answers with."""
    done = subprocess.run(
        ["psql", "-XAtc", query], env={**environment, "PGTZ": "UTC"}, capture_output=True, encoding="utf-8", timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def in_database(call: ingest.Call) -> dict[str, Any]:
    """The row that is made of a call: no NUL in its texts, and times as the database writes them."""
    row: dict[str, Any] = without_nul(json.loads(call.to_json()))
    for name in "created", "answered", "ended":
        row[name] = row[name] and re.sub(r"\.?0*Z$", "+00:00", row[name])
    return row


def without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, dict):
        return {name: without_nul(each) for name, each in value.items()}
    return [without_nul(each) for each in value] if isinstance(value, list) else value
