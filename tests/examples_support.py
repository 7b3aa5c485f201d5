"""Runs the programs in examples/ as users run them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


@contextmanager
def running(name: str, *arguments: object, module: str | None = None) -> Iterator[subprocess.Popen[str]]:
    """An example as a process whose output can be read, run by a module if one is given. It is ended if it does not end
    by itself."""
    by = [] if module is None else ["-m", module]
    process = subprocess.Popen(
        [sys.executable, "-W", "error", *by, str(EXAMPLES / f"{name}.py"), *map(str, arguments)],
        cwd="/",
        env={**os.environ, "ESL_PASSWORD": "secret"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[str]) -> str:
    """The next line of its output; what went wrong if there is none."""
    assert process.stdout is not None
    assert process.stderr is not None
    read = process.stdout.readline()
    return read.rstrip("\n") if read else pytest.fail(process.stderr.read())
