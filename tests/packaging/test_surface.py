"""What a user sees and pays: the public names with their signatures, what an import loads, how large a file may be."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import eslcodec

PACKAGE = Path(eslcodec.__file__).parent
TESTS = Path(__file__).parents[1]

LOADED = {  # of ours, by `import eslcodec`
    "eslcodec",
    "eslcodec._cells",
    "eslcodec._codec",
    "eslcodec._codec_py",
    "eslcodec._core",
    "eslcodec._core.decoder",
    "eslcodec._core.formats",
    "eslcodec._core.header_reader",
    "eslcodec._core.json_in",
    "eslcodec._core.json_out",
    "eslcodec._core.lines",
    "eslcodec._core.lone",
    "eslcodec._core.message",
    "eslcodec._core.row_reader",
    "eslcodec._core.word_finder",
    "eslcodec._core.scanner",
    "eslcodec._core.next_number",
    "eslcodec._core.channel_filter",
    "eslcodec._core.splitter",
    "eslcodec._core.templates",
    "eslcodec._core.text",
    "eslcodec._core.xml_in",
    "eslcodec._ctext",
    "eslcodec._json",
    "eslcodec.enums",
    "eslcodec.errors",
    "eslcodec.events",
    "eslcodec.limits",
}
NOT_LOADED = {"asyncio", "socket", "ssl", "logging", "selectors", "signal", "json", "xml", "lzma", "gzip", "subprocess"}

MOST_LINES = 700
MOST_LINES_OF_A_FUNCTION = 45  # without its docstring
LONG_FILES = {  # and why
    "commands.py": "a function for each command, and nothing else",
}
LONG_FUNCTIONS = {  # and why
    "_core/decoder.py:next_message": "the way of each frame: a call more is time",
    "cli/decode.py:decode": "its parameters are the options of the command",
    "cli/top.py:top": "its parameters are the options of the command",
    "emulator/_server.py:__init__": "its parameters are its documentation",
}


def run(code: str, core: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd="/",  # with -c the folder comes first where modules are looked for: not the checkout
        env={
            **os.environ,
            "PYTHONPATH": f"{PACKAGE.parent}{os.pathsep}{TESTS}",
            **({"ESLCODEC_IMPL": core} if core else {}),
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    return done.stdout


def test_public_names_and_signatures_are_those_of_the_list() -> None:
    """A change here is a change for users: STABILITY.md, CHANGELOG.md, and then `python tests/api.py`."""
    said = run("import api, eslcodec; print('\\n'.join(api.lines(eslcodec)))", "python").splitlines()
    kept = (TESTS / "data" / "api.txt").read_text(encoding="utf-8").splitlines()
    assert sorted(set(said) - set(kept)) == []
    assert sorted(set(kept) - set(said)) == []


@pytest.mark.parametrize("core", ["", "python"])
def test_an_import_loads_what_a_decoder_needs(core: str) -> None:
    code = "import sys; before = set(sys.modules); import eslcodec; print(*sorted(set(sys.modules) - before))"
    loaded = set(run(code, core).split())
    assert {name for name in loaded if name.startswith("eslcodec")} - {"eslcodec._codec_c"} == LOADED
    assert {name.partition(".")[0] for name in loaded} & NOT_LOADED == set()


@pytest.mark.parametrize("module", ["eslcodec", "eslcodec.sync", "eslcodec.aio", "eslcodec.ESL", "eslcodec.emulator"])
def test_an_import_starts_no_thread_and_leaves_signals_and_logging_alone(module: str) -> None:
    code = f"""
import logging, signal, threading
def state():
    handlers = [signal.getsignal(number) for number in signal.valid_signals() if number not in (9, 19)]
    root = logging.getLogger()
    return threading.active_count(), handlers, root.handlers[:], root.level, logging.getLogger("eslcodec").level
before = state()
import {module}
print(state() == before)
"""
    assert run(code).strip() == "True"


def source_files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def named(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def test_no_file_is_longer_than_one_subject_needs() -> None:
    long = {named(path) for path in source_files() if len(path.read_text(encoding="utf-8").splitlines()) > MOST_LINES}
    assert long == set(LONG_FILES)


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """From `def` to the end, the docstring left out."""
    assert function.end_lineno is not None
    count = function.end_lineno - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None:
        assert first.end_lineno is not None
        count -= first.end_lineno - first.lineno + 1
    return count


def test_no_function_is_longer_than_a_screen() -> None:
    long = set()
    for path in source_files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and lines_of(node) > MOST_LINES_OF_A_FUNCTION:
                long.add(f"{named(path)}:{node.name}")
    assert long == set(LONG_FUNCTIONS)
