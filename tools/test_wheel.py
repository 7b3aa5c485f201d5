"""Test the eslcodec that is installed, on both cores: `test_wheel.py [PYTEST ARGUMENTS]`, beside tests/ and README.md.

A platform wheel can lack its extensions, and import all the same. A compiled core that is not declared safe without the
GIL brings the GIL back for the whole program. Either is an error here, before any test runs.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable

import eslcodec

CORES = ("c", "python")


def fault() -> str | None:
    """What is wrong with the wheel, or None."""
    if eslcodec.__impl__ != "c":
        return f"the wheel has no compiled core, only {eslcodec.__impl__!r}"
    if importlib.util.find_spec("eslcodec._columns_c") is None:
        return "the wheel has no compiled columns"
    importlib.import_module("eslcodec._columns_c")
    gil_is_on: Callable[[], bool] = getattr(sys, "_is_gil_enabled", lambda: True)  # Python 3.13 and later
    if sysconfig.get_config_var("Py_GIL_DISABLED") and gil_is_on():
        return "importing eslcodec brings the GIL back: declare the core freethreading_compatible or skip this wheel"
    return None


def suite(core: str, arguments: list[str]) -> int:
    """Run pytest. `-I` keeps this folder, where there may be a checkout, off the path."""
    environment = {**os.environ, "ESLCODEC_IMPL": core}
    print(f"the suite on the core {core!r}", flush=True)
    return subprocess.run([sys.executable, "-I", "-m", "pytest", "-q", *arguments], env=environment).returncode


def main() -> None:
    problem = fault()
    if problem:
        sys.exit(problem)
    failed = [core for core in CORES if suite(core, sys.argv[1:])]
    if failed:
        sys.exit(f"failed on: {', '.join(failed)}")


if __name__ == "__main__":
    main()
