"""`eslcodec bridge`: from switches to a stream, and what is refused."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from cli_live_support import build, run, spawned, subscribed
from cli_live_support import no_settings as no_settings
from cli_live_support import password_file as password_file
from cli_live_support import switch as switch
from nats_support import ANSWER, BINARIES, Server, client, cluster, needs_server, until

from eslcodec.cli.login import is_for_others
from eslcodec.emulator import Emulator

bridge = pytest.importorskip("eslcodec.cli.bridge")
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals and modes of POSIX")
URL = "nats://127.0.0.1:1"


def words(switch: Emulator, spill: Path, url: str, *more: str) -> list[str]:
    return ["bridge", f"fs1=127.0.0.1:{switch.port}", "--to", url, "--dir", str(spill), "--events", "DTMF", *more]


def fire(switch: Emulator, numbers: range) -> None:
    for number in numbers:
        switch.fire(build("DTMF", {"X-Number": str(number)}))


async def numbers_in(server: Server) -> list[int]:
    """What the stream has, in its order."""
    connection = await client(server)
    context = connection.jetstream(timeout=ANSWER)
    try:
        last = (await context.stream_info("ESL-fs1")).state.last_seq
        bodies = [json.loads((await context.get_msg("ESL-fs1", number)).data) for number in range(1, last + 1)]
    finally:
        await connection.close()
    return [int(body["X-Number"]) for body in bodies if body.get("Event-Name") == "DTMF"]


def ended(process: Any) -> tuple[int, str]:
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors.decode()


@pytest.mark.heavy
@needs_server
@POSIX
def test_what_a_switch_sends_is_in_the_stream_after_sigterm(switch: Emulator, tmp_path: Path) -> None:
    spill = tmp_path / "spill"
    with cluster(BINARIES[-1], tmp_path) as (server,), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(30)
        variables = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        with spawned(*words(switch, spill, server.url, "--create-stream"), **variables) as process:
            assert systemd.recv(100) == b"READY=1"
            subscribed(switch)
            fire(switch, range(50))
            asyncio.run(until(lambda: _has(server, 50), "events"))
            fire(switch, range(50, 100))
            code, errors = ended(process)
        assert code == 0, errors
        found = asyncio.run(numbers_in(server))
        assert found[:50] == list(range(50))
        assert found == list(range(len(found)))  # of the rest as much as was received


async def _has(server: Server, count: int) -> bool:
    """Whether the stream has so many of the events; there are notices, too."""
    return len(await numbers_in(server)) >= count


@pytest.mark.heavy
@needs_server
@POSIX
def test_what_the_broker_did_not_take_stays_and_comes_later(switch: Emulator, tmp_path: Path) -> None:
    spill = tmp_path / "spill"
    with spawned(*words(switch, spill, URL, "--drain", "100ms")) as process:
        subscribed(switch)
        fire(switch, range(20))
        _wait_for_bytes(spill)
        assert process.stderr is not None
        assert any(b"fs1: connection: nats://127.0.0.1:1: " in line for line in process.stderr)
        code, errors = ended(process)
    assert code == 1, errors
    with cluster(BINARIES[-1], tmp_path) as (server,):
        again = ["bridge", "--from", spill, f"fs1=127.0.0.1:{switch.port}", "--to", server.url, "--create-stream"]
        with spawned(*again, "--since", "all") as process:
            asyncio.run(until(lambda: _has(server, 20), "events"))
            code, errors = ended(process)
        assert code == 0, errors
        assert asyncio.run(numbers_in(server)) == list(range(20))


def _wait_for_bytes(spill: Path) -> None:
    """Until the last of the events is recorded."""
    from eslcodec.ingest._spill import Spill

    async def is_there() -> bool:
        folders = list(spill.glob("*")) if spill.exists() else []
        entries = Spill(folders[0]).read(10_000) if folders else []
        return any(entry.event is not None and entry.event.get("X-Number") == "19" for entry in entries)

    asyncio.run(until(is_there, "a recording"))


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (["fs1=h", "--events", "DTMF"], "expected --dir DIR, or --from DIR"),
        (["fs1=h", "--events", "DTMF", "--dir", "a", "--from", "b"], "expected --dir DIR, or --from DIR"),
        (["--dir", "a", "--events", "DTMF"], "expected a HOST"),
        (["fs1=h", "--dir", "a"], "--events names no event"),
        (["--from", "a", "--events", "DTMF"], "--events goes with --dir"),
        (["--from", "a", "--metrics", "9108"], "expected :9108"),
        (["--from", "a", "--to", "nats://me:secret@h"], "which all on this machine can read"),
    ],
)
def test_what_cannot_be_is_said(more: list[str], why: str) -> None:
    result = run("bridge", None, "--to", URL, *more)
    assert result.exit_code == 2
    assert why in " ".join(result.output.split())
    assert "secret" not in result.output


@POSIX
@pytest.mark.parametrize("option", ["--nats-creds", "--nats-nkey", "--tls-key"])
def test_secrets_that_others_can_read_are_refused(tmp_path: Path, option: str) -> None:
    path = tmp_path / "secret"
    path.write_text("x")
    os.chmod(path, 0o640)
    result = run("bridge", None, "--to", URL, "--from", str(tmp_path), option, str(path))
    assert result.exit_code == 1
    assert "has mode 0640" in result.output


@POSIX
@pytest.mark.parametrize(
    ("owner", "we", "mode", "refused"),
    [
        (0, 1000, 0o440, False),  # as systemd and Kubernetes hand them over
        (0, 1000, 0o444, True),
        (0, 1000, 0o460, True),
        (0, 0, 0o440, True),
        (1000, 1000, 0o440, True),
        (1000, 1000, 0o600, False),
    ],
)
def test_a_secret_of_root_may_be_for_the_group_of_a_process(
    owner: int, we: int, mode: int, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: we)
    assert is_for_others(os.stat_result((0o100000 | mode, 0, 0, 1, owner, 0, 0, 0, 0, 0))) is refused


def test_certificates_that_are_none_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text("x")
    result = run("bridge", None, "--to", URL, "--from", str(tmp_path), "--tls-ca", str(path))
    assert result.exit_code == 1
    assert "ca.pem" in result.output
    result = run("bridge", None, "--to", URL, "--from", str(tmp_path), "--tls-cert", str(path))
    assert "go together" in result.output
