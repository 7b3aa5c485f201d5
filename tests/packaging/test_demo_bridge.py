"""`make demo-bridge`: what it shows, and that it leaves nothing behind."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from nats_support import BINARIES, needs_server, once

PROGRAM = Path(__file__).parents[2] / "tools" / "demo_bridge.py"

pytestmark = [
    pytest.mark.skipif(not PROGRAM.exists(), reason="tools/ is in the checkout only"),
    pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX"),
]


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    pytest.importorskip("click")
    spec = importlib.util.spec_from_file_location("demo_bridge", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.heavy
@needs_server
@once
@pytest.mark.timeout(240)
def test_nothing_is_lost_and_nothing_is_left(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PATH": f"{Path(BINARIES[-1]).parent}:{os.environ['PATH']}"}
    command = [sys.executable, "-I", str(PROGRAM), "--events", "1000"]
    done = subprocess.run(command, cwd="/", env=environment, capture_output=True, text=True, timeout=200)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [re.sub(r"^.*  ", "", line) for line in lines[1:-2]] == [
        "record, bridge and server run",
        "SIGKILL to bridge",
        "bridge starts again",
        "SIGKILL to nats-server",
        "nats-server starts again",
        "all is sent, and the stream has as many",
    ]
    assert lines[-2:] == [
        "sent 1,000, recorded 1,000, in the stream 1,000: 0 lost, 0 twice",
        "OK      each event once, in the order in which it was sent",
    ]
    assert max(map(len, lines)) <= 80
    assert list(tmp_path.iterdir()) == []


def test_without_a_server_it_says_what_to_install(
    program: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(program.shutil, "which", lambda name: None)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(sys, "argv", ["demo_bridge.py"])
    with pytest.raises(program.Failed, match=r"^There is no nats-server: install one .*\.$"):
        program.main()


@pytest.mark.parametrize(
    ("recorded", "stored", "said"),
    [
        ([0, 1, 2], [0, 2], "recorded 3, in the stream 2: 1 lost, 0 twice"),
        ([0, 1, 2], [0, 1, 1, 2], "recorded 3, in the stream 4: 0 lost, 1 twice"),
        ([0, 1], [0, 1], "recorded 2, in the stream 2: 1 lost, 0 twice"),
        ([0, 1, 2], [0, 2, 1], "recorded 3, in the stream 3: 0 lost, 0 twice"),
    ],
)
def test_what_is_lost_or_twice_or_out_of_order_fails(
    program: ModuleType, capsys: pytest.CaptureFixture[str], recorded: list[int], stored: list[int], said: str
) -> None:
    assert program.report(3, recorded, stored) is False
    assert capsys.readouterr().out == f"sent 3, {said}\nFAILED  they differ\n"
