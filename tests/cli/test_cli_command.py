"""The `eslcodec` command: how it is run, what it needs, and where its output goes."""

from __future__ import annotations

import doctest
import errno
import importlib
import io
import os
import pkgutil
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import support
from cli_support import cli, demo, run, spawn
from cli_support import written as written

import eslcodec

# The command


def test_version_shows_the_core_and_how_it_was_built() -> None:
    shown = run("--version").output
    assert shown.startswith(f"eslcodec {eslcodec.__version__}, core: {eslcodec.__impl__} (")
    if eslcodec.__impl__ == "python":
        assert "(pure Python), " in shown
    else:
        assert re.search(
            r"\((release|debug|sanitize|coverage|other) build, (AVX2|(no )?SIMD), Cython \d+\.\d+\.\d+\), ", shown
        )
    assert f", {platform.python_implementation()} {platform.python_version()}, " in shown
    assert len(shown.splitlines()) == 1


def test_the_package_can_be_run(tmp_path: Path) -> None:
    shown = run_module("--version", cwd=tmp_path)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout == run("--version").output
    assert "Usage: eslcodec" in run_module("--help", cwd=tmp_path).stdout
    assert run_module("decod", cwd=tmp_path).returncode == 2


def test_the_package_that_is_run_in_this_process(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(sys, "argv", ["anything", "--version"])
    path = Path(eslcodec.__file__).with_name("__main__.py")
    with pytest.raises(SystemExit) as exit:  # runpy cannot: pytest has its own importer for plugins
        exec(compile(path.read_text(), path, "exec"), {"__name__": "__main__", "__package__": "eslcodec"})
    assert exit.value.code == 0
    assert capsys.readouterr().out == run("--version").output


@pytest.mark.parametrize("module", ["click", "rich"])
def test_the_package_that_is_run_without_the_extra_says_what_to_install(module: str, tmp_path: Path) -> None:
    (tmp_path / "missing").mkdir()
    (tmp_path / "missing" / f"{module}.py").write_text("raise ImportError")
    shown = run_module("--version", cwd=tmp_path, first=tmp_path / "missing")
    assert (shown.returncode, shown.stdout) == (1, "")
    assert shown.stderr == "eslcodec: the command line needs the extra 'cli': pip install 'eslcodec[cli]'\n"


def run_module(*args: str, cwd: Path, first: Path | None = None) -> Any:
    """`python -m eslcodec`, with a folder that comes first where modules are looked for."""
    folders = [*([str(first)] if first else []), str(Path(eslcodec.__file__).parents[1])]
    return subprocess.run(
        [sys.executable, "-m", "eslcodec", *args],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(folders)},
    )


def test_help_names_the_commands() -> None:
    result = run("-h")
    assert result.exit_code == 0
    assert "demo" in result.output
    assert "decode" in result.output


@pytest.mark.parametrize(
    "command", ["api", "convert", "decode", "demo", "emulate", "info", "record", "replay", "tail", "--version"]
)
@pytest.mark.parametrize("module", ["click", "rich"])
def test_without_the_extra_a_sentence_says_what_to_install(module: str, command: str, tmp_path: Path) -> None:
    result = spawn(command, code=f"import sys; sys.modules['{module}'] = None", cwd=tmp_path)
    assert result.returncode == 1
    assert result.stdout == b""
    assert result.stderr.decode().splitlines() == [
        "eslcodec: the command line needs the extra 'cli': pip install 'eslcodec[cli]'"
    ]


@pytest.mark.parametrize("module", ["click", "rich"])
def test_the_module_can_be_imported_without_the_extra(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SystemExit, match=r"eslcodec\[cli\]"):
        importlib.reload(cli).main()


def test_a_command_that_does_not_exist_is_reported() -> None:
    result = run("decod")
    assert result.exit_code == 2
    assert "No such command 'decod'" in result.stderr


@pytest.mark.parametrize("stdout", [io.StringIO, lambda: io.TextIOWrapper(io.BytesIO()), lambda: None])
def test_main_runs_whatever_stdout_is(stdout: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["eslcodec", "--version"])
    monkeypatch.setattr(sys, "stdout", stdout())
    with pytest.raises(SystemExit) as exit:
        cli.main()
    assert exit.value.code == 0


def test_docstring_examples() -> None:
    for name in (module.name for module in pkgutil.iter_modules(cli.__path__)):
        assert doctest.testmod(importlib.import_module(f"eslcodec.cli.{name}")).failed == 0


# When the output cannot be written

COMMANDS = [
    ["decode"],
    ["decode", "--full"],
    ["decode", "--ndjson"],
    ["decode", "--to", "json"],
    ["demo", "--rate", "0"],
    ["emulate", "--port", "0"],
    ["emulate", "--help"],
    ["--help"],
    ["--version"],
]


def redirected(command: list[str], to: str, written: Any) -> Any:
    """A command whose output the shell sends elsewhere."""
    if command[0] == "decode":
        command = [*command, str(written(support.capture("special_plain")))]
    main = [sys.executable, "-W", "error", "-c", "from eslcodec.cli import main; main()"]
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {to}', "sh", *main, *command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        cwd="/",
        text=True,
    )


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_disk_is_one_line(command: list[str], written: Any) -> None:
    result = redirected(command, ">/dev/full", written)
    assert (result.returncode, result.stderr) == (1, "Error: cannot write: No space left on device\n")
    silent = redirected(command, ">/dev/full 2>/dev/full", written)
    assert (silent.returncode, silent.stderr) == (1, "")


@pytest.mark.parametrize("command", [*COMMANDS[:5], *COMMANDS[6:]], ids=" ".join)
@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
def test_no_standard_output_at_all_is_no_error(command: list[str], written: Any) -> None:
    result = redirected(command, ">&-", written)
    assert (result.returncode, result.stderr) == (0, "")


def test_another_trouble_of_the_system_is_one_line_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(error: OSError) -> Any:
        def recording() -> Any:
            raise error

        monkeypatch.setattr(demo, "recording", recording)
        result = run("demo")
        assert result.exit_code == 1
        return result.stderr

    assert fail(OSError(24, "Too many open files")) == "Error: Too many open files\n"
    assert fail(OSError(errno.ENOSPC, "No space")) == "Error: cannot write: No space\n"
    assert fail(BrokenPipeError(errno.EPIPE, "Broken pipe")) == ""
    assert fail(OSError("\x1b")) == "Error: \\x1b\n"
    assert fail(FileNotFoundError(2, "No such file", "\x1b")) == "Error: \\x1b: No such file\n"
