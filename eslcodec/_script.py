"""Runs a script as `python script.py` does, inside a process that has prepared something for it."""

from __future__ import annotations

import builtins
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType, TracebackType


def run(argv: list[str]) -> None:
    """Run `argv[0]` as `__main__`, with `sys.argv` and the first folder of `sys.path` as it expects them.

    What it raises ends the process as it would without us; the traceback begins in the script.

    Args:
        argv: the script's path and its arguments.

    Raises:
        SystemExit: 2, if the script cannot be read.
    """
    try:
        source = Path(argv[0]).read_bytes()
    except OSError as error:
        print(f"{sys.executable}: can't open file {argv[0]!r}: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    path = str(Path(argv[0]).absolute())
    main = ModuleType("__main__")
    main.__dict__.update(__builtins__=builtins, __file__=path, __loader__=SourceFileLoader("__main__", path))
    if sys.version_info < (3, 15):
        main.__dict__["__cached__"] = None
    sys.modules["__main__"] = main
    sys.argv[:] = argv
    sys.path[0] = str(Path(argv[0]).resolve().parent)
    sys.excepthook = _report
    exec(compile(source, path, "exec"), main.__dict__)


def _report(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """`sys.excepthook` without the frames that have led to the script."""
    at = traceback
    while at is not None and at.tb_frame.f_code is not run.__code__:
        at = at.tb_next
    script = traceback if at is None else at.tb_next  # at is None for what another thread or a destructor raises
    sys.__excepthook__(kind, error.with_traceback(script), script)
