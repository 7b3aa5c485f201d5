"""Runs a program as `python script.py` or `python -m module` does, in a process that has prepared something for it."""

from __future__ import annotations

import builtins
import sys
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, ModuleType, TracebackType
from typing import Any, NoReturn


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
    names = _main_module(__file__=path, __loader__=SourceFileLoader("__main__", path), __cached__=None)
    sys.argv[:] = argv
    sys.path[0] = str(Path(argv[0]).resolve().parent)
    sys.excepthook = _report
    exec(compile(source, path, "exec"), names)


def run_module(argv: list[str]) -> None:
    """Run the module `argv[0]`, or the `__main__` of that package, as `__main__`.

    `sys.argv` is as it expects it; `sys.path` begins with the current folder already, as under `python -m`. What it
    raises ends the process as it would without us; the traceback begins in the module.

    Args:
        argv: the module's name and its arguments.

    Raises:
        SystemExit: 1, if there is no such module, or it cannot be run.
    """
    name = argv[0]
    sys.argv[:] = ["-m", *argv[1:]]  # while it is looked for, which may import packages
    sys.excepthook = _report
    spec = _spec_of(name)
    code = _code_of(spec)
    if code is None:
        _complain(f"No code object available for {name}")
    names = _main_module(
        __file__=spec.origin,
        __loader__=spec.loader,
        __cached__=spec.cached,
        __spec__=spec,
        __package__=spec.parent,
    )
    sys.argv[0] = str(spec.origin)
    exec(code, names)


def _spec_of(name: str) -> ModuleSpec:
    """That of a module, or of what a package runs."""
    if name.startswith("."):
        _complain("Relative module names not supported")
    try:
        spec = find_spec(name)
    except (ImportError, ValueError) as error:
        if isinstance(error, ImportError) and not (error.name and f"{name}.".startswith(f"{error.name}.")):
            raise  # a package that was imported on the way
        spec = None
    if spec is None:
        _complain(f"No module named {name}")
    if spec.submodule_search_locations is None:
        return spec
    main = find_spec(f"{name}.__main__")
    if main is None:
        _complain(f"No module named {name}.__main__; {name!r} is a package and cannot be directly executed")
    return main


def _code_of(spec: ModuleSpec) -> CodeType | None:
    read = getattr(spec.loader, "get_code", None)
    code = None if read is None else read(spec.name)
    return code if isinstance(code, CodeType) else None


def _complain(why: str) -> NoReturn:
    print(f"{sys.executable}: {why}", file=sys.stderr)
    raise SystemExit(1)


def _main_module(**names: Any) -> dict[str, Any]:
    """The names of a new `__main__`."""
    main = ModuleType("__main__")
    if sys.version_info >= (3, 15):
        del names["__cached__"]
    main.__dict__.update(__builtins__=builtins, **names)
    sys.modules["__main__"] = main
    return main.__dict__


def _report(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """`sys.excepthook` without the frames that have led to the program."""
    program = at = traceback
    while at is not None:  # what another thread or a destructor raises has no frame of ours
        if at.tb_frame.f_code.co_filename == __file__:
            program = at.tb_next
        at = at.tb_next
    sys.__excepthook__(kind, error.with_traceback(program), program)
