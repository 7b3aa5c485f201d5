"""What the tests of the command line share: running it, here or in a process of its own, and streams in files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

testing = pytest.importorskip("click.testing")
pytest.importorskip("rich")

cli = pytest.importorskip("eslcodec.cli")
decode, demo, files, text = (
    pytest.importorskip(f"eslcodec.cli.{name}") for name in ("decode", "demo", "files", "text")
)

ESCAPED_BODY = (
    b"Event-Name: CUSTOM\nEvent-Subclass: %1B%5B2J[bold]x[/bold]%0D%0A\nV: %9B%C2%9B%07%E2%80%AE%7F\n\n\x1b]0;t\x07\n"
)


def run(*args: Any, **kwargs: Any) -> Any:
    """The command in this process."""
    return testing.CliRunner().invoke(cli.command_line(), [str(arg) for arg in args], prog_name="eslcodec", **kwargs)


def spawn(*args: Any, code: str = "", stdin: bytes = b"", cwd: Path | str = "/", **env: str) -> Any:
    """The command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", f"{code}\nfrom eslcodec.cli import main; main()", *map(str, args)],
        input=stdin,
        capture_output=True,
        timeout=60,
        cwd=cwd,  # with -c the folder comes first where modules are looked for: not the checkout
        env={**os.environ, **env},
    )


@pytest.fixture
def written(tmp_path: Path) -> Any:
    """Writes a stream into a file, and gives its path."""

    def write(data: bytes, name: str = "stream.esl") -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """The demo plays the first 40 events only."""
    data: bytes = files.recording()
    data = data[: [head.start() for head in demo._EVENT_HEAD.finditer(data)][40]]
    monkeypatch.setattr(demo, "recording", lambda: data)
    return data
